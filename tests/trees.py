"""Tables whose partitions are partitioned themselves, for tests: each of the ways in which people cut twice."""

from __future__ import annotations

from dataclasses import dataclass

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


def _fill(name: str) -> str:
    return "".join(
        f"INSERT INTO {name} (kid_id, kind, day) SELECT g, chr(97 + g % 3), '{year}-01-01'::date + g % 365"
        f" FROM generate_series(1, {ROWS}) g;"
        for year in _YEARS
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
    run(_fill(name))
    run(f"ANALYZE {name}")
    split = {"range-hash": "HASH (kid_id)", "range-list": "LIST (kind)", "range-range": "RANGE (day)"}.get(kind, "")
    rows = ROWS // 3 if kind == "list-range" else ROWS
    return Planted(name, served, f"{served}_2023", rows, split and f"{split}, 2 partitions")


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
