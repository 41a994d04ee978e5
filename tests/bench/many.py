"""Tables with more partitions than can be made one by one: the server reads all bounds anew for each, hours for 50,000.

The partitions are plain tables, made as fast as any, and their links are written into the catalog as CREATE TABLE ...
PARTITION OF writes them. Only on a server that is thrown away afterwards.
"""

from __future__ import annotations

from core.names import literal, qualified
from tests.tables import Run

FIRST = "2000-01-01"
"""Where the first partition begins; a date before it is written otherwise."""
_AT_ONCE = 500
"""So many tables are made in one transaction, each of which holds a lock until it ends."""

_TOOLS = """
CREATE CAST (text AS pg_node_tree) WITHOUT FUNCTION AS ASSIGNMENT;
CREATE FUNCTION public.datum(day date) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg((CASE WHEN b > 127 THEN b - 256 ELSE b END)::text, ' ' ORDER BY n DESC)
    FROM generate_series(0, 7) n, LATERAL (SELECT get_byte(int8send((day - date '2000-01-01')::bigint), n) AS b) s $$;
"""
_MAKE = """
DO $$ BEGIN FOR i IN {first}..{last} LOOP
    EXECUTE format('CREATE TABLE public.%I (LIKE {parent} INCLUDING ALL)', {stem} || '_' || i);
END LOOP; END $$
"""
# In the order of core catalogs: the partition and its bounds, its index, its columns and constraints, then the parent,
# so that every session forgets what it knew of it.
_LINK = """
BEGIN;
CREATE TEMP TABLE made ON COMMIT DROP AS
    SELECT c.oid, x.indexrelid AS own, date '{day}' + substr(c.relname, length({stem}) + 2)::int AS day
    FROM pg_class c JOIN pg_index x ON x.indrelid = c.oid
    WHERE c.relkind = 'r' AND starts_with(c.relname, {stem} || '_') AND c.oid <> {model}::regclass;
UPDATE pg_class c SET relispartition = true, relpartbound = replace(regexp_replace(regexp_replace(m.relpartbound::text,
    '\\[[-0-9 ]+\\]', '[ ' || public.datum(day) || ' ]'),
    '(.*)\\[[-0-9 ]+\\]', '\\1<upper>'), '<upper>', '[ ' || public.datum(day + 1) || ' ]')
    FROM made, pg_class m WHERE c.oid = made.oid AND m.oid = {model}::regclass;
INSERT INTO pg_inherits SELECT oid, {of}::regclass, 1, false FROM made;
INSERT INTO pg_depend SELECT 'pg_class'::regclass, oid, 0, 'pg_class'::regclass, {of}::regclass, 0, 'a' FROM made;
UPDATE pg_class c SET relispartition = true FROM made WHERE c.oid = own;
INSERT INTO pg_inherits SELECT own, x.indexrelid, 1, false FROM made, pg_index x WHERE x.indrelid = {of}::regclass;
UPDATE pg_attribute a SET attinhcount = 1, attislocal = false FROM made WHERE a.attrelid = made.oid AND attnum > 0;
UPDATE pg_constraint k SET coninhcount = 1, conislocal = false,
    conparentid = CASE k.contype WHEN 'p' THEN p.oid ELSE 0 END
    FROM made, pg_constraint p WHERE k.conrelid = made.oid AND p.conrelid = {of}::regclass AND p.contype = 'p';
UPDATE pg_class SET relhassubclass = true WHERE oid = {of}::regclass;
COMMIT
"""


def make_many(run: Run, name: str, count: int) -> None:
    """A table of ids and days with a partition a day, and a primary key, so that each has one index."""
    parent, model, stem = qualified("public", name), qualified("public", f"{name}_0"), literal(name).strip()
    if not run("SELECT 1 FROM pg_cast WHERE casttarget = 'pg_node_tree'::regtype"):
        run(_TOOLS)
    run("SET synchronous_commit = off")
    run(
        f"CREATE TABLE {parent} (id bigint NOT NULL, day date NOT NULL, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)"
    )
    run(f"CREATE TABLE {model} PARTITION OF {parent} FOR VALUES FROM ('{FIRST}') TO (date '{FIRST}' + 1)")
    for first in range(1, count, _AT_ONCE):
        run(_MAKE.format(first=first, last=min(first + _AT_ONCE, count) - 1, parent=parent, stem=stem))
    run(_LINK.format(day=FIRST, stem=stem, of=literal(parent).strip(), model=literal(model).strip()))
    found = run(f"SELECT count(*) FROM pg_inherits WHERE inhparent = {literal(parent)}::regclass")
    assert found == [(count,)], found


def settle(run: Run) -> None:
    """Leaves the catalog as autovacuum would have by now."""
    for (name,) in run(
        "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r'"
        " AND NOT relisshared"
    ):
        run(f"VACUUM (ANALYZE) {name}")
    run("CHECKPOINT")
