"""What order texts have where nothing says it: the database's default collation."""

DEFAULT_ORDER = """
(SELECT CASE WHEN l.provider = 'i' THEN 'icu ' || l.locale
        WHEN l.provider = 'c' AND d.datcollate NOT IN ('C', 'POSIX', 'C.UTF-8', 'C.utf8') THEN d.datcollate
        ELSE '' END
    FROM pg_catalog.pg_database d CROSS JOIN LATERAL (SELECT
        coalesce(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c') AS provider,
        coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale', '') AS locale) l
    WHERE d.datname = pg_catalog.current_database())
"""
"""As SQL: its name, which tells two apart; empty where it is that of the bytes, as on every server."""
