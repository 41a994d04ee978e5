"""Situations in which something is refused and SQL printed that helps: run as printed, and compared with all else."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from core.console.desk import Desk
from core.names import address, comment_sql
from core.plans.adopt import Adopt
from core.plans.archive import Archive
from core.plans.convertible import require_rights
from core.plans.ensure import Ensure
from core.plans.reattach import Reattach
from core.tables.marks import Hold, Marks
from tests.tables import Run

TABLE = """
CREATE SCHEMA {s}; GRANT USAGE ON SCHEMA {s} TO {r};
CREATE TABLE {s}.readings (id bigint NOT NULL, taken_on date NOT NULL, v numeric) PARTITION BY RANGE (taken_on);
CREATE TABLE {s}.y2022 PARTITION OF {s}.readings FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');
CREATE TABLE {s}.y2023 PARTITION OF {s}.readings FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
INSERT INTO {s}.readings VALUES (1, '2022-05-05', 1), (2, '2022-06-06', 2), (3, '2023-05-05', 3);
"""
OWNED = (
    TABLE + "ALTER TABLE {s}.readings OWNER TO {r}; ALTER TABLE {s}.y2022 OWNER TO {r};"
    " ALTER TABLE {s}.y2023 OWNER TO {r};"
)
BRANCH = """
CREATE SCHEMA {s}; GRANT USAGE ON SCHEMA {s} TO {r}; CREATE SCHEMA {a} AUTHORIZATION {r};
CREATE TABLE {s}.readings (id bigint NOT NULL, taken_on date NOT NULL, v numeric) PARTITION BY RANGE (taken_on);
CREATE TABLE {s}.y2022 PARTITION OF {s}.readings FOR VALUES FROM ('2022-01-01') TO ('2023-01-01')
    PARTITION BY HASH (id);
CREATE TABLE {s}.y2022_0 PARTITION OF {s}.y2022 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE {s}.y2022_1 PARTITION OF {s}.y2022 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE {s}.y2023 PARTITION OF {s}.readings FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
INSERT INTO {s}.readings SELECT g, date '2022-01-01' + g, g FROM generate_series(1, 400) g;
CREATE TABLE {s}.others (id bigint PRIMARY KEY); INSERT INTO {s}.others SELECT generate_series(1, 400);
ALTER TABLE {s}.readings OWNER TO {r}; ALTER TABLE {s}.y2022 OWNER TO {r};
"""
AWAY = (
    BRANCH
    + """
ALTER TABLE {s}.readings DETACH PARTITION {s}.y2022; ALTER TABLE {s}.y2022 SET SCHEMA {a};
ALTER TABLE {s}.y2022_0 SET SCHEMA {a}; ALTER TABLE {s}.y2022_1 SET SCHEMA {a};
ALTER TABLE {a}.y2022 ADD CHECK (taken_on >= '2022-01-01' AND taken_on < '2023-01-01');
"""
)


@dataclass(frozen=True)
class Situation:
    """What is so, what is asked for, and what of the tables the printed statements may change."""

    site: str
    """The function that prints them."""
    made_by: str
    asks: Callable[[Desk, str], object]
    """Asks for it, of the tables in this schema."""
    touches: str = "nothing"
    """A pattern of the names of tables that are to change by it."""
    fills: tuple[str, ...] = ()
    """What somebody writes in place of the dots, one after the other."""
    as_superuser: bool = False
    """Whether the console is one; else its role owns the table and no more."""
    raises: str = ""
    """The function that raises, where it is another."""

    @property
    def raised_in(self) -> str:
        return self.raises or self.site


def archive(desk: Desk, schema: str) -> object:
    return desk.plan(Archive(address(schema, "readings"), "y2022"))


def ensure(desk: Desk, schema: str) -> object:
    return desk.plan(Ensure(address(schema, "readings"), dates=(date(2024, 5, 5),)))


def reattach(desk: Desk, schema: str) -> object:
    return desk.plan(Reattach(address(schema, "readings"), "y2022"))


def convert(desk: Desk, schema: str) -> None:
    require_rights(desk.read(address(schema, "readings")))


SITUATIONS = {
    "no archive schema, and no right to make one": Situation("archive.require_room", OWNED, archive),
    "an archive schema of somebody else": Situation(
        "archive.require_room", OWNED + "CREATE SCHEMA {a}", archive
    ),
    "a schema in which nothing may be made": Situation("ensure._require_possible", OWNED, ensure),
    "the same before a conversion": Situation("convertible.require_rights", OWNED, convert),
    "a leaf whose detach was cut short": Situation(
        "branch._require_nothing_pending_below",
        BRANCH.replace("BY HASH (id)", "BY RANGE (taken_on)")
        .replace("WITH (MODULUS 2, REMAINDER 0)", "FROM ('2022-01-01') TO ('2022-07-01')")
        .replace("WITH (MODULUS 2, REMAINDER 1)", "FROM ('2022-07-01') TO ('2023-01-01')")
        + "UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = '{s}.y2022_1'::regclass",
        archive,
        r"y2022(_1)?",
        as_superuser=True,
    ),
    "leaves of somebody else": Situation("branch.require_movable", BRANCH, archive, r"y2022_[01]"),
    "a table of which nothing tells the range": Situation(
        "attachable.require_attachable",
        TABLE + "CREATE SCHEMA {a}; ALTER TABLE {s}.readings DETACH PARTITION {s}.y2022;"
        "ALTER TABLE {s}.y2022 SET SCHEMA {a}; ALTER TABLE {a}.y2022 RENAME TO readings_old;",
        lambda desk, schema: desk.plan(Reattach(address(schema, "readings"), "readings_old")),
        "readings_old",
        fills=("2022-01-01", "2023-01-01"),
        as_superuser=True,
    ),
    "a branch without keys that the table got": Situation(
        "attachable.branch_obstacles",
        AWAY + "ALTER TABLE {s}.readings ADD PRIMARY KEY (taken_on, id);"
        "ALTER TABLE {s}.readings ADD UNIQUE NULLS NOT DISTINCT (id, taken_on) INCLUDE (v);",
        reattach,
        r"y2022(_[01])?",
        as_superuser=True,
        raises="attachable.require_attachable",
    ),
    "a table that says that it is held": Situation(
        "adopt._require_own",
        TABLE + "CREATE TABLE {s}.hand (LIKE {s}.readings INCLUDING ALL);"
        + comment_sql("{s}.hand", Marks(hold=Hold("", "audit", "Ada")).beside("it's 2024")).replace("{\"", "{{\"")
        .replace("\"}", "\"}}"),
        lambda desk, schema: desk.plan(
            Adopt(address(schema, "readings"), address(schema, "hand"), "2024-01-01", "2025-01-01")
        ),
        "hand",
        as_superuser=True,
    ),
}  # fmt: skip

_WORLD = """
SELECT c.oid, c.relname, format('%I.%I', n.nspname, c.relname), concat_ws(' | ', c.relkind,
    c.relowner::regrole, c.relacl, n.nspowner,
    pg_get_expr(c.relpartbound, c.oid), (SELECT inhparent::regclass FROM pg_inherits WHERE inhrelid = c.oid),
    (SELECT string_agg(concat_ws(' ', attname, atttypid::regtype, atttypmod, attnotnull, attgenerated, attacl), ','
        ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
    (SELECT string_agg(concat_ws(' ', conname, pg_get_constraintdef(oid)), ',' ORDER BY conname)
        FROM pg_constraint WHERE conrelid = c.oid),
    (SELECT string_agg(pg_get_indexdef(indexrelid), ',' ORDER BY indexrelid) FROM pg_index WHERE indrelid = c.oid),
    (SELECT string_agg(tgname, ',' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|information_schema)'
"""


def world(run: Run, but: str = "nothing") -> dict[int, tuple[str, ...]]:
    """What every table is and holds, but for those whose name is like this."""
    found = {oid: (relation, what) for oid, name, relation, what in run(_WORLD) if not re.fullmatch(but, name)}
    rows = run(
        " UNION ALL ".join(
            f"SELECT {oid}::bigint, string_agg(t::text, ',' ORDER BY t::text) FROM ONLY {relation} t"
            for oid, (relation, _) in found.items()
        )
        or "SELECT 0, '' WHERE false"
    )
    return {oid: (*found[oid], held) for oid, held in rows}


def printed(said: str) -> list[str]:
    """The statements in what was said."""
    return _STATEMENT.findall(said)


_STATEMENT = re.compile(r"""\b(?:ALTER|COMMENT|CREATE|GRANT) [A-Z](?:"(?:[^"]|"")*"|'(?:[^']|'')*'|[^"';])*;""")
