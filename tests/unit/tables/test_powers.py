"""The whole SQL of the two roles, of tables that a superuser owns and of an application's."""

from __future__ import annotations

from core.tables.powers import Estate, Relation, grants


def relation(schema: str, name: str, owner: str, *, superuser: bool = False, may_create: bool = True) -> Relation:
    return Relation(schema, name, owner, superuser, may_create)


def said(*relations: Relation, referenced: tuple[str, ...] = (), roles: frozenset[str] = frozenset()) -> list[str]:
    estate = Estate('scho"ol', relations, referenced, roles)
    return list(grants(estate, reading="re ad", acting="act", archive_schema="archive"))


BEGIN = [
    'CREATE ROLE "re ad" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS',
    'CREATE ROLE "act" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS',
    'GRANT CONNECT ON DATABASE "scho""ol" TO "re ad", "act"',
    'CREATE SCHEMA IF NOT EXISTS "archive" AUTHORIZATION "act"',
    'CREATE SCHEMA IF NOT EXISTS "partition_desk" AUTHORIZATION "act"',
]
SCHEMAS = [
    'GRANT USAGE ON SCHEMA "archive" TO "re ad"',
    'GRANT USAGE, CREATE ON SCHEMA "archive" TO "act"',
    'GRANT USAGE ON SCHEMA "partition_desk" TO "re ad"',
    'GRANT USAGE, CREATE ON SCHEMA "partition_desk" TO "act"',
]
END = [
    'GRANT SELECT ON ALL TABLES IN SCHEMA partition_desk TO "re ad"',
    'ALTER DEFAULT PRIVILEGES FOR ROLE "act" IN SCHEMA partition_desk GRANT SELECT ON TABLES TO "re ad"',
]


def test_of_tables_of_a_superuser_and_of_an_application() -> None:
    found = said(
        relation("Kita", "a b", "postgres", superuser=True),
        relation("Kita", "visits", "App", may_create=False),
        relation("archive", "visits_2020", "App"),
        relation("partition_desk", "operation", "postgres", superuser=True),
        referenced=("public.kids",),
    )
    assert found == [
        *BEGIN,
        'GRANT USAGE ON SCHEMA "Kita" TO "re ad"',
        'GRANT USAGE, CREATE ON SCHEMA "Kita" TO "act"',
        *SCHEMAS,
        'GRANT "App" TO "act"',
        'GRANT USAGE, CREATE ON SCHEMA "archive" TO "App"',
        'GRANT USAGE, CREATE ON SCHEMA "Kita" TO "App"',
        'ALTER TABLE "Kita"."a b" OWNER TO "act"',
        'ALTER TABLE "partition_desk"."operation" OWNER TO "act"',
        'GRANT REFERENCES ON public.kids TO "act"',
        *END,
    ]


def test_once_more_it_takes_nothing_over() -> None:
    own = (relation("archive", "x_2020", "act"), relation("partition_desk", "operation", "act"))
    assert said(*own, roles=frozenset({"re ad", "act"})) == [*BEGIN[2:], *SCHEMAS, *END]
