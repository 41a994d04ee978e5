"""Tables whose partitions are partitioned themselves, for tests: each of the ways in which people cut twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.tables import Run


@dataclass(frozen=True)
class Planted:
    """A table that a test made."""

    name: str
    served: str
    """The table by RANGE whose partitions the console acts on: itself, or a branch."""
    branch: str
    """A partition of it that is over, with all that is below it."""
    rows: int
    """In that branch."""
    split: str
    """How the branch is partitioned, for people; empty where it is plain."""


_COLUMNS = "(id bigint GENERATED ALWAYS AS IDENTITY, kid_id int NOT NULL, kind text NOT NULL, day date NOT NULL)"
_YEARS = (2023, 2024, 2025)
ROWS = 900
"""In each year."""


def _year(parent: str, year: int, by: str = "") -> str:
    return (
        f"CREATE TABLE {parent}_{year} PARTITION OF {parent}"
        f" FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01'){by};"
    )


def _hash(parent: str, modulus: int = 2) -> str:
    return "".join(
        f"CREATE TABLE {parent}_{n} PARTITION OF {parent} FOR VALUES WITH (MODULUS {modulus}, REMAINDER {n});"
        for n in range(modulus)
    )


def _list(parent: str) -> str:
    return (
        f"CREATE TABLE {parent}_a PARTITION OF {parent} FOR VALUES IN ('a', 'b');"
        f"CREATE TABLE {parent}_rest PARTITION OF {parent} DEFAULT;"
    )


def _halves(parent: str, year: int) -> str:
    ends = (f"{year}-01-01", f"{year}-07-01", f"{year + 1}-01-01")
    return "".join(
        f"CREATE TABLE {parent}_h{n} PARTITION OF {parent} FOR VALUES FROM ('{ends[n - 1]}') TO ('{ends[n]}');"
        for n in (1, 2)
    )


def _fill(name: str, years: tuple[int, ...]) -> str:
    return "".join(
        f"INSERT INTO {name} (kid_id, kind, day) SELECT g, chr(97 + g % 3), '{year}-01-01'::date + g % 365"
        f" FROM generate_series(1, {ROWS}) g;"
        for year in years
    )


def plant(run: Run, kind: str, name: str = "visit") -> Planted:
    """One of KINDS, of the years 2023 to 2025, analyzed."""
    above = {"list-range": "LIST (kind)", "list": "LIST ((extract(year FROM day)))"}.get(kind, "RANGE (day)")
    made = [f"CREATE TABLE {name} {_COLUMNS} PARTITION BY {above};"]
    served = name
    if kind == "list-range":
        served = f"{name}_a"
        made.append(f"CREATE TABLE {served} PARTITION OF {name} FOR VALUES IN ('a') PARTITION BY RANGE (day);")
        made.append(f"CREATE TABLE {name}_bc PARTITION OF {name} FOR VALUES IN ('b', 'c') PARTITION BY RANGE (day);")
        made += [_year(parent, year) for parent in (served, f"{name}_bc") for year in _YEARS]
    elif kind == "three levels":
        for year in _YEARS:
            below = f"{name}_{year}"
            made += [_year(name, year, " PARTITION BY LIST (kind)"), _list(below)]
            made.append(f"CREATE TABLE {below}_c PARTITION OF {below} FOR VALUES IN ('c') PARTITION BY HASH (kid_id);")
            made.append(_hash(f"{below}_c", 3))
    elif kind == "empty":
        made.append(_year(name, 2023, " PARTITION BY HASH (kid_id)"))
        made += [_year(name, year) for year in _YEARS[1:]]
    elif kind == "list":
        made += [f"CREATE TABLE {name}_{year} PARTITION OF {name} FOR VALUES IN ({year});" for year in _YEARS]
    else:
        by = {"hash": "HASH (kid_id)", "list": "LIST (kind)", "range": "RANGE (day)"}[kind.removeprefix("range-")]
        for year in _YEARS:
            below = f"{name}_{year}"
            made.append(_year(name, year, f" PARTITION BY {by}"))
            made.append(_hash(below) if by[0] == "H" else _list(below) if by[0] == "L" else _halves(below, year))
    run("".join(made))
    run(f"CREATE INDEX {name}_by_day ON {name} (day)")
    run(_fill(name, _YEARS[1:] if kind == "empty" else _YEARS))
    run(f"ANALYZE {name}")
    split = {
        "range-hash": "HASH (kid_id), 2 partitions",
        "range-list": "LIST (kind), 2 partitions",
        "range-range": "RANGE (day), 2 partitions",
        "three levels": "LIST (kind), 3 partitions",
        "empty": "HASH (kid_id), 0 partitions",
    }
    rows = {"list-range": ROWS // 3, "empty": 0}.get(kind, ROWS)
    return Planted(name, served, f"{served}_2023", rows, split.get(kind, ""))


KINDS = ("range-hash", "range-list", "range-range", "list-range", "list")
SERVED = KINDS[:4]


def plant_foreign(run: Run, table: str, bounds: str, name: str) -> None:
    """A partition whose rows are elsewhere, where nobody answers."""
    run(
        "DO $$ BEGIN CREATE FOREIGN DATA WRAPPER nobody; CREATE SERVER far FOREIGN DATA WRAPPER nobody;"
        " EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    run(f"CREATE FOREIGN TABLE {name} PARTITION OF {table} {bounds} SERVER far")


def on_disk(run: Run, table: str) -> int:
    """What PostgreSQL itself says that all leaves of a table take."""
    return int(
        run(
            "SELECT coalesce(sum(pg_total_relation_size(t.relid)), 0)"
            f" FROM (SELECT relid FROM pg_partition_tree('{table}') UNION SELECT '{table}'::regclass) t"
            " JOIN pg_class c ON c.oid = t.relid AND c.relkind = 'r'"
        )[0][0]
    )


def shape(run: Run, table: str) -> list[tuple[Any, ...]]:
    """A table and all below it: schemas, bounds, indexes, CHECKs, comments."""
    return run(
        "SELECT c.oid::regclass::text, t.parentrelid::regclass::text, t.level, pg_get_expr(c.relpartbound, c.oid),"
        " (SELECT array_agg(concat(i.relname, x.indisvalid, pg_get_expr(x.indpred, c.oid)) ORDER BY i.relname)"
        "   FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid),"
        " (SELECT array_agg(concat(a.attname, a.atttypid, a.attnotnull, a.attstorage, a.attstattarget,"
        "     col_description(c.oid, a.attnum), pg_get_expr(d.adbin, d.adrelid)) ORDER BY a.attnum) FROM pg_attribute a"
        "   LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
        "   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),"
        " ARRAY(SELECT g::text FROM unnest(c.relacl) g ORDER BY 1), c.reloptions, pg_get_userbyid(c.relowner),"
        " CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,"
        " (SELECT array_agg(k.conname || pg_get_constraintdef(k.oid) ORDER BY k.conname) FROM pg_constraint k"
        "   WHERE k.conrelid = c.oid), obj_description(c.oid, 'pg_class')"
        f" FROM pg_partition_tree('{table}') t JOIN pg_class c ON c.oid = t.relid ORDER BY 1"
    )


def content(run: Run, table: str) -> tuple[Any, ...]:
    """How many rows, and a sum of hashes that no order changes."""
    return run(f"SELECT count(*), sum(hash_record_extended(t, 0)) FROM {table} t")[0]


def tree_of(run: Run, table: str) -> set[str]:
    """The names of a table and all below it."""
    below = {name for (name,) in run(f"SELECT relid::regclass::text FROM pg_partition_tree('{table}')")}
    return below | {name for (name,) in run(f"SELECT '{table}'::regclass::text")}


def furnish(run: Run, branch: str) -> None:
    """Gives each table of a branch what a backup has to bring back: rights, comments, options, indexes, CHECKs."""
    run("DO $$ BEGIN CREATE ROLE reads_branches; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    tree = run(f"SELECT relid::regclass::text, isleaf FROM pg_partition_tree('{branch}') ORDER BY 1")
    for number, (name, leaf) in enumerate(tree or [(branch, True)]):
        run(f"GRANT SELECT ON {name} TO reads_branches; COMMENT ON TABLE {name} IS 'it''s number {number}'")
        run(f"COMMENT ON COLUMN {name}.day IS 'of {number}'; ALTER TABLE {name} ALTER kind SET DEFAULT 'k{number}'")
        run(f"ALTER TABLE {name} ALTER kind SET STATISTICS {number + 10}")
        if leaf:
            run(f"ALTER TABLE {name} SET (fillfactor = {70 + number})")
            run(f"ALTER TABLE {name} ALTER kind SET STORAGE EXTERNAL")
            run(f"CREATE INDEX {name}_own ON {name} (kid_id) WHERE kid_id > {number}")
            run(f"ALTER TABLE {name} ADD CONSTRAINT {name}_small CHECK (kid_id < 1000000 + {number})")
    run(f"ALTER TABLE {branch} ADD CONSTRAINT positive CHECK (kid_id > 0)")
    run(f"CREATE UNIQUE INDEX {branch}_one ON {branch} (id, kid_id, kind, day)")
