"""Every kind of key, width, zone and naming once at least, each through the whole life of a partition and back."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Engine

from core.names import literal
from core.tables.catalog.table import read_table
from core.tables.coverage import gaps
from tests.road import Road
from tests.tables import Run, describe

pytestmark = pytest.mark.usefixtures("shared_sessions")

UNIX = "extract(epoch FROM l AT TIME ZONE '{zone}')"
KEYS = {
    "date": ("date", "l::date::text"),
    "a domain over date": ("day", "l::date::text"),
    "timestamp": ("timestamp", "l::text"),
    "timestamp(3)": ("timestamp(3)", "l::text"),
    "timestamptz": ("timestamptz", "(l AT TIME ZONE '{zone}')::text"),
    "timestamptz(6)": ("timestamptz(6)", "(l AT TIME ZONE '{zone}')::text"),
    "a domain over timestamptz": ("moment", "(l AT TIME ZONE '{zone}')::text"),
    "epoch": ("bigint", f"{UNIX}::bigint::text"),
    "epoch in integers": ("integer", f"{UNIX}::bigint::text"),
    "epoch_ms": ("bigint", f"(1000 * {UNIX})::bigint::text"),
    "epoch_us": ("bigint", f"(1000000 * {UNIX})::bigint::text"),
    "epoch_ms in numerics": ("numeric(20)", f"(1000 * {UNIX})::bigint::text"),
    "snowflake": ("bigint", f"(((1000 * {UNIX})::bigint - 1288834974657) << 22)::text"),
    "yyyymm": ("integer", "to_char(l, 'YYYYMM')"),
    "yyyymmdd": ("bigint", "to_char(l, 'YYYYMMDD')"),
    "uuidv7": (
        "uuid",
        f"regexp_replace(lpad(to_hex((1000 * {UNIX})::bigint), 12, '0'), '(.{{8}})(.{{4}})',"
        " '\\1-\\2-0000-0000-000000000000')",
    ),
    "ulid": (
        'text COLLATE "C"',
        f"(SELECT string_agg(substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', (((1000 * {UNIX})::bigint >> 5 * d) & 31)::int"
        " + 1, 1), '' ORDER BY d DESC) FROM generate_series(0, 9) d) || repeat('0', 16)",
    ),
    "iso": ("text", "to_char(l, 'YYYY-MM-DD')"),
    "iso months": ("varchar(7)", "to_char(l, 'YYYY-MM')"),
}
"""The type of the key, and how a local time `l` is written as one."""
IDS = {
    "bigint": ("bigint", ["-1000", "0", "1000", "2000", "3000"], "1500"),
    "integer": ("integer", ["0", "1000", "2000", "3000", "4000"], "500"),
    "smallint": ("smallint", ["-100", "0", "100", "200", "300"], "-5"),
    "numeric": ("numeric(12,2)", ["-0.5", "0.5", "1000", "2000.25", "3000"], "0.25"),
    "uuid": (
        "uuid",
        [f"'{start}0000000-0000-0000-0000-000000000000'" for start in "048bf"],
        "'10000000-0000-4000-8000-000000000000'",
    ),
    "text": ('text COLLATE "C"', ["'A'", "'H'", "'P''s'", "'a'", "'z'"], "'Bo''e \\ x'"),
    "varchar": ('varchar(20) COLLATE "C"', ["'A'", "'H'", "'P''s'", "'a'", "'z'"], "'B'"),
    "char": ('char(4) COLLATE "C"', ["'A'", "'H'", "'P'", "'a'", "'z'"], "'B'"),
}
WIDTHS = {
    "hour": ("1 hour", "date_trunc('hour', now() AT TIME ZONE '{zone}')"),
    "day": ("1 day", "date_trunc('day', now() AT TIME ZONE '{zone}')"),
    "week": ("7 days", "date_trunc('week', now() AT TIME ZONE '{zone}')"),
    "10 days": ("10 days", "date_trunc('day', now() AT TIME ZONE '{zone}') - interval '4 days'"),
    "month": ("1 month", "date_trunc('month', now() AT TIME ZONE '{zone}')"),
    "quarter": ("3 months", "date_trunc('quarter', now() AT TIME ZONE '{zone}')"),
    "half": (
        "6 months",
        "date_trunc('year', now() AT TIME ZONE '{zone}')"
        " + CASE WHEN extract(month FROM now() AT TIME ZONE '{zone}') > 6 THEN interval '6 months' ELSE '0' END",
    ),
    "year": ("1 year", "date_trunc('year', now() AT TIME ZONE '{zone}')"),
    "school year": (
        "1 year",
        "date_trunc('year', now() AT TIME ZONE '{zone}' - interval '7 months') + interval '7 months'",
    ),
}
"""How wide a partition is, and where the one of now begins in the zone."""
NAMES = {
    "y2024": "to_char(l, '\"readings_y\"YYYY')",
    "p20250101": "to_char(l, '\"readings_p\"YYYYMMDD')",
    "p20250101_06": "to_char(l, '\"readings_p\"YYYYMMDD_HH24')",
    "_2024_01": "to_char(l, '\"readings_\"YYYY_MM')",
    "2024w05": 'to_char(l, \'"readings_"IYYY"w"IW\')',
    "numbers": "'readings_' || n + 5",
}
BERLIN, YORK, NEPAL = "Europe/Berlin", "America/New_York", "Asia/Kathmandu"


@dataclass(frozen=True)
class Cell:
    """One of all the tables that could be."""

    key: str
    width: str
    zone: str
    naming: str

    def __str__(self) -> str:
        return f"{self.key}, {self.width}, {self.zone}, {self.naming}"


CELLS = [
    Cell("date", "year", "UTC", "y2024"),
    Cell("date", "10 days", YORK, "numbers"),
    Cell("a domain over date", "half", BERLIN, "p20250101"),
    Cell("timestamp", "hour", NEPAL, "p20250101_06"),
    Cell("timestamp(3)", "week", BERLIN, "2024w05"),
    Cell("timestamptz", "month", BERLIN, "_2024_01"),
    Cell("timestamptz", "day", YORK, "p20250101"),
    Cell("timestamptz", "year", NEPAL, "y2024"),
    Cell("timestamptz(6)", "quarter", NEPAL, "p20250101"),
    Cell("a domain over timestamptz", "school year", BERLIN, "y2024"),
    Cell("epoch", "day", BERLIN, "p20250101"),
    Cell("epoch in integers", "quarter", "UTC", "numbers"),
    Cell("epoch_ms", "month", NEPAL, "_2024_01"),
    Cell("epoch_us", "week", "UTC", "2024w05"),
    Cell("epoch_ms in numerics", "year", YORK, "y2024"),
    Cell("snowflake", "month", "UTC", "_2024_01"),
    Cell("yyyymm", "month", BERLIN, "numbers"),
    Cell("yyyymm", "quarter", YORK, "_2024_01"),
    Cell("yyyymmdd", "10 days", NEPAL, "p20250101"),
    Cell("uuidv7", "month", "UTC", "p20250101"),
    Cell("uuidv7", "day", BERLIN, "numbers"),
    Cell("ulid", "week", "UTC", "2024w05"),
    Cell("iso", "school year", "UTC", "numbers"),
    Cell("iso months", "half", NEPAL, "_2024_01"),
]
EVERYWHERE = [
    Cell("timestamptz", "month", YORK, "p20250101"),
    Cell("epoch_ms", "day", "UTC", "numbers"),
    Cell("uuidv7", "week", NEPAL, "2024w05"),
]
"""On every server."""

TABLE = """
CREATE DOMAIN day AS date; CREATE DOMAIN moment AS timestamptz;
CREATE TABLE readings (id bigint GENERATED BY DEFAULT AS IDENTITY, k {type} NOT NULL, kid int DEFAULT 0,
    note text DEFAULT 'x', CHECK (id >= 0)) PARTITION BY RANGE ({key});
CREATE INDEX ON readings (k)
"""


def make(run: Run, type_: str, parts: list[tuple[str, str, str]], key: str = "k") -> None:
    """The table readings with these partitions, (name, lower, upper) each; both ends are SQL."""
    run(TABLE.format(type=type_, key=key))
    if key == "k":
        run("ALTER TABLE readings ADD PRIMARY KEY (id, k)")
    for name, lower, upper in parts:
        run(f'CREATE TABLE "{name}" PARTITION OF readings FOR VALUES FROM ({lower}) TO ({upper})')


def made_by(run: Run, cell: Cell) -> tuple[str, str]:
    """Makes the table of a cell, six partitions up to the next; (the oldest's name, a date that it holds)."""
    type_, written = KEYS[cell.key]
    step, now, written = (text.replace("{zone}", cell.zone) for text in (*WIDTHS[cell.width], written))
    run("SET TIME ZONE 'UTC'")
    rows = run(
        f"SELECT {NAMES[cell.naming]}, {written}, l::date::text, l FROM (SELECT n, {now} + n * interval '{step}' AS l"
        " FROM generate_series(-4, 2) n) s ORDER BY s.l"
    )
    ends = [f"'{row[1]}'" for row in rows]
    names = [row[0] for row in rows]
    make(run, type_, list(zip(names, ends, ends[1:], strict=False)))
    inside = f"{now} - 4 * interval '{step}' + n * interval '{step}' / 5"
    run(
        f"INSERT INTO readings (k, note) SELECT ({written})::{type_.partition(' COLLATE')[0]}, 'row ' || n"
        f" FROM (SELECT n, {inside} AS l FROM generate_series(0, 4) n) s"
    )
    return names[0], rows[0][2]


def bounds(run: Run) -> list[tuple[str, str]]:
    """(lower, upper) of every partition as the server prints them, in the order of the key."""
    type_ = run(
        "SELECT format_type(atttypid, -1) FROM pg_attribute WHERE attrelid = 'readings'::regclass AND attname = 'k'"
    )
    return run(
        "SELECT m[1], m[2] FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid, regexp_match("
        "pg_get_expr(c.relpartbound, c.oid), $$FROM \\('?(.*?)'?\\) TO \\('?(.*?)'?\\)$$) m"
        f" WHERE i.inhparent = 'readings'::regclass ORDER BY m[1]::{type_[0][0]}"
    )


def state_of(run: Run, name: str) -> tuple[Any, ...]:
    """The rows of a partition and all that the catalog says of it, without the names of constraints."""
    lines = [line for line in describe(run, f"public.{name}") if line[0] != "constraint"]
    constraints = sorted(line[2] for line in describe(run, f"public.{name}") if line[0] == "constraint")
    return run(f"SELECT t::text FROM {name} t ORDER BY id"), lines, constraints


def walk(road: Road, name: str, **environ: str) -> None:
    """Archive, back up, verify, drop, restore and reattach: the same table with the same rows."""
    table = ("--table", "public.readings")
    before = state_of(road.run, name)
    assert len(before[0]) > 0
    road.done("archive", f"--partition={name}", "--allow-current", *table, **environ)
    assert road.run(f"SELECT count(*) FROM archive.{name}") == [(len(before[0]),)]
    road.done("backup", f"--partition={name}", *table, **environ)
    road.done("verify", f"--partition={name}", *table, **environ)
    road.done("drop", f"--partition={name}", *table, "--now", f"--confirm={name}", **environ)
    road.done("restore", f"--partition={name}", *table, "--no-hold", **environ)
    road.done("reattach", f"--partition={name}", *table, **environ)
    assert state_of(road.run, name) == before
    again = road.done("reattach", f"--partition={name}", *table, **environ)
    assert "already" in again.out
    for command in (("sample",), ("growth", *table), ("metrics",), ("status", *table), ("doctor", *table)):
        road.done(*command, **environ)


def live(road: Road, cell: Cell) -> None:
    """The whole life of a table whose key tells a time."""
    first, day = made_by(road.run, cell)
    table = ("--table", "public.readings")
    zone = {"PARTITION_DESK_TIME_ZONE": cell.zone}
    told = road.done("status", *table, "--json", **zone).json
    assert told["runway_days"] is not None
    assert told["gaps"] == []
    severities = {f["check"]: f["severity"] for f in road.done("doctor", *table, "--json", **zone).json["findings"]}
    assert severities["current_period"] == "ok", severities
    before = bounds(road.run)
    road.done("ensure", "--ahead", "2", *table, **zone)
    after = bounds(road.run)
    assert len(after) > len(before)
    assert after[: len(before)] == before
    assert all(one[1] == other[0] for one, other in pairwise(after))
    assert "Nothing to do" in road.done("ensure", "--ahead", "2", *table, **zone).out
    found = road.done("find", "--date", day, "--where", "note=row 0", *table, "--json", **zone).json
    assert [place["relation"] for place in found["places"] if place["rows"]] == [f"public.{first}"]
    walk(road, first, **zone)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_key_that_tells_a_time(road: Road, cell: Cell) -> None:
    live(road, cell)


@pytest.mark.one_in(2)
@pytest.mark.every_version
@pytest.mark.parametrize("cell", EVERYWHERE, ids=str)
def test_the_same_on_every_server(road: Road, cell: Cell) -> None:
    live(road, cell)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("key", IDS)
def test_a_key_that_tells_none(road: Road, key: str) -> None:
    type_, ends, value = IDS[key]
    names = [f"readings_{n}" for n in range(4)]
    make(road.run, type_, list(zip(names, ends, ends[1:], strict=False)))
    road.run(f"INSERT INTO readings (k) VALUES ({value}); INSERT INTO readings (k) VALUES ({ends[3]})")
    table = ("--table", "public.readings")
    told = road.done("status", *table, "--json").json
    assert [one["name"] for one in told["partitions"]] == names
    assert (told["runway_days"], told["gaps"]) == (None, [])
    assert road("ensure", *table).code == 1
    assert road("find", "--date", "2026-01-01", *table).code == 1
    held = next(n for n in names if road.run(f"SELECT count(*) FROM {n}") != [(0,)])
    walk(road, held)


MONTHS = "SELECT (date_trunc('month', now()) + n * interval '1 month')::date::text FROM generate_series(-4, 2) n"


def test_several_columns_of_which_the_first_tells(road: Road) -> None:
    ends = [row[0] for row in road.run(MONTHS)]
    parts = [(f"readings_{n}", f"'{ends[n]}', MINVALUE", f"'{ends[n + 1]}', MINVALUE") for n in range(6)]
    make(road.run, "date", parts, "k, kid")
    road.run(f"INSERT INTO readings (k, kid) SELECT date '{ends[0]}' + n, n FROM generate_series(0, 9) n")
    table = ("--table", "public.readings")
    assert road.done("status", *table, "--json").json["gaps"] == []
    road.done("ensure", "--ahead", "3", *table)
    made = road.run("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'readings_6'")
    assert made[0][0].startswith(f"FOR VALUES FROM ('{ends[6]}', MINVALUE) TO ('")
    assert made[0][0].endswith(", MINVALUE)")
    road.done("archive", "--partition=readings_0", *table)
    check = road.run(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'archive.readings_0'::regclass"
        " AND contype = 'c' AND pg_get_constraintdef(oid) LIKE '%IS NOT NULL%'"
    )
    assert "kid IS NOT NULL" in check[0][0]
    road.done("reattach", "--partition=readings_0", *table)
    walk(road, "readings_0")
    found = road.done("find", "--date", ends[0], *table, "--json").json
    assert [place["rows"] for place in found["places"]] == [1]


SEVERAL = {
    "a date and an id": (
        "date",
        "k, kid",
        [
            "MINVALUE, MINVALUE",
            *(f"'2024-01-01', {kid}" for kid in ("MINVALUE", -5, 7, "MAXVALUE")),
            "'2025-01-01', 100",
            "MAXVALUE, MAXVALUE",
        ],
        "'2024-01-01', 6",
    ),
    "an id and a text": (
        "bigint",
        'k, note COLLATE "C"',
        ["1000, MINVALUE", "1000, 'H'", "1000, 'a'", "9000, 'B'", "10000, MINVALUE"],
        "1000, 0, 'P'",
    ),
    "three, and an expression": (
        "bigint",
        "k, lower(note), kid",
        ["5, 'a', 1", "5, 'a', 9", "5, 'b', MINVALUE", "7, MINVALUE, MINVALUE"],
        "5, 5, 'A'",
    ),
}


@pytest.mark.one_in(2)
@pytest.mark.parametrize("several", SEVERAL.values(), ids=SEVERAL)
def test_ends_that_further_columns_tell(road: Road, several: tuple[str, str, list[str], str]) -> None:
    type_, key, ends, row = several
    count = len(ends) - 1
    parts = [(f"readings_{n}", ends[n], ends[n + 1]) for n in range(count)]
    make(road.run, type_, parts[::-1], key)
    road.run(f"INSERT INTO readings (k, kid{', note' if row.count(',') > 1 else ''}) VALUES ({row})")
    table = ("--table", "public.readings")
    told = road.done("status", *table, "--json").json
    assert [one["name"] for one in told["partitions"]] == [f"readings_{n}" for n in range(count)]
    assert told["gaps"] == []
    for more in ((), ("--every", "1 month")):
        refused = road("ensure", *table, *more)
        assert (refused.code, "Traceback" in refused.err) == (1, False)
        assert "not only k tells where it ends" in refused.err
    assert road.run("SELECT count(*) FROM pg_inherits WHERE inhparent = 'readings'::regclass") == [(count,)]
    held = next(name for name, *_ in parts if road.run(f"SELECT count(*) FROM {name}") != [(0,)])
    walk(road, held)
    for name, *_ in parts:
        road.done("archive", f"--partition={name}", "--allow-current", *table)
    for name, *_ in parts:
        road.done("reattach", f"--partition={name}", *table)
    assert road.run("SELECT count(*) FROM readings") == [(1,)]


EXPRESSIONS = {
    "a part of a document": ("jsonb", "(k ->> 'at')", "{end}", "jsonb_build_object('at', '{end}-17')", True),
    "a month": ("timestamp", "date_trunc('month', k)", "{end}-01", "'{end}-17 12:00'", True),
    "a year": ("date", "(extract(year FROM k))", "{year}", "'{year}-05-05'", False),
    "a text in lower case": ('text COLLATE "C"', "lower(k)", "{letter}", "upper('{letter}x')", False),
    "a case": ("int", "(CASE WHEN k < 0 THEN 0 ELSE k END)", "{year}", "{year}", False),
}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_an_expression(road: Road, expression: tuple[str, str, str, str, bool]) -> None:
    type_, key, end, row, timed = expression
    months = [row[0][:7] for row in road.run(MONTHS)]
    values = [{"end": month, "year": 2020 + n, "letter": chr(97 + n)} for n, month in enumerate(months)]
    ends = [f"'{end.format(**one)}'" for one in values]
    make(road.run, type_, [(f"readings_{n}", ends[n], ends[n + 1]) for n in range(6)], key)
    for one in values[:6]:
        road.run(f"INSERT INTO readings (k) VALUES ({row.format(**one)})")
    table = ("--table", "public.readings")
    told = road.done("status", *table, "--json").json
    assert (told["runway_days"] is not None, told["gaps"]) == (timed, [])
    assert road("ensure", "--ahead", "4", *table).code == (0 if timed else 1)
    count = road.run("SELECT count(*) FROM pg_inherits WHERE inhparent = 'readings'::regclass")
    assert count == [(9 if timed else 6,)]
    walk(road, "readings_0")
    if timed:
        found = road.done("find", "--date", f"{months[0]}-17", *table, "--json").json
        assert sum(place["rows"] for place in found["places"]) == (1 if type_ == "jsonb" else 0)


COLLATIONS = {
    "Swedish": ('text COLLATE "sv-x-icu"', ["a", "Anna", "Zoë", "Åke", "ä", "öl"]),
    "a varying text without a case": ("varchar(10) COLLATE nocase", ["A", "b", "C-1", "c2", "D"]),
    "English, by the key alone": ("text", ["a", "B", "c d", "cd", "É"]),
}


@pytest.mark.one_in(3)
@pytest.mark.every_version
@pytest.mark.parametrize("collation", COLLATIONS.values(), ids=COLLATIONS)
def test_texts_in_the_order_of_a_collation(road: Road, collation: tuple[str, list[str]]) -> None:
    type_, words = collation
    if not road.run("SELECT 1 FROM pg_collation WHERE collname = 'sv-x-icu'"):
        pytest.skip("this PostgreSQL is built without ICU")
    options = "provider = icu, locale = 'und-u-ks-level2', deterministic = false"
    road.run(f"CREATE COLLATION public.nocase ({options})")
    key = 'k COLLATE "en-x-icu"' if type_ == "text" else "k"
    count = len(words) - 1
    parts = [(f"readings_{n}", f"'{words[n]}'", f"'{words[n + 1]}'") for n in range(count)]
    make(road.run, type_, parts[::-1], key)
    road.run(f"INSERT INTO readings (k) SELECT k || '1' FROM unnest(ARRAY{words[:-1]}::text[]) k")
    table = ("--table", "public.readings")
    told = road.done("status", *table, "--json").json
    assert [one["name"] for one in told["partitions"]] == [f"readings_{n}" for n in range(count)]
    assert told["gaps"] == []
    walk(road, "readings_1")
    for n in (2, 1):
        road.done("archive", f"--partition=readings_{n}", "--allow-current", *table)
    told = road.done("status", *table, "--json").json
    assert [one["name"] for one in told["partitions"]] == [f"readings_{n}" for n in range(count)]
    road.run("ALTER TABLE archive.readings_2 DROP CONSTRAINT readings_2_k_check")
    road.run(f"INSERT INTO archive.readings_2 (id, k) VALUES (99, '{words[-1]}')")
    refused = road("reattach", "--partition=readings_2", *table)
    assert (refused.code, f"to {words[-1]}, outside of the bounds" in refused.err) == (1, True), refused.err
    road.run("DELETE FROM archive.readings_2 WHERE id = 99")
    for n in (1, 2):
        road.done("backup", f"--partition=readings_{n}", *table)
        road.done("verify", f"--partition=readings_{n}", *table)
        road.done("drop", f"--partition=readings_{n}", *table, "--now", f"--confirm=readings_{n}")
    findings = road.done("doctor", *table, "--json").json["findings"]
    assert {one["severity"] for one in findings if one["check"] == "gaps"} == {"ok"}


@pytest.mark.every_version
def test_any_text_of_bounds_stands_where_the_server_puts_it(run: Run, reader: Engine) -> None:
    """Texts drawn from letters that collations tell apart, in each of them, as bounds of as many partitions."""
    if not run("SELECT 1 FROM pg_collation WHERE collname = 'sv-x-icu'"):
        pytest.skip("this PostgreSQL is built without ICU")
    letters = "aAbBzZåÅäÖéeE 1290-_'\\,.(ßsSþ🧒"
    draw = random.Random(5)
    words = {"".join(draw.choice(letters) for _ in range(draw.randint(1, 4))) for _ in range(80)}
    quoted = ", ".join(literal(word).strip() for word in sorted(words))
    for number, collation in enumerate(("C", "sv-x-icu", "de-x-icu", "en-x-icu", "default")):
        ordered = [row[0] for row in run(f'SELECT w FROM unnest(ARRAY[{quoted}]) w ORDER BY w COLLATE "{collation}"')]
        run(f'CREATE TABLE t{number} (k text COLLATE "{collation}") PARTITION BY RANGE (k)')
        for place, (lower, upper) in enumerate(pairwise(ordered)):
            ends = f"({literal(lower)}) TO ({literal(upper)})"
            run(f"CREATE TABLE t{number}_{place} PARTITION OF t{number} FOR VALUES FROM {ends}")
        table = read_table(reader, f"public.t{number}")
        assert [one.name for one in table.ranges] == [f"t{number}_{place}" for place in range(len(ordered) - 1)]
        assert gaps(table) == ()


def test_any_number_and_uuid_of_bounds_stands_where_the_server_puts_it(run: Run, reader: Engine) -> None:
    """Numbers that no float tells apart, with what lies beyond all of them; uuids of every half."""
    draw = random.Random(7)
    whole = [draw.randint(-(10**30), 10**30) for _ in range(15)]
    numbers = [f"{n + step}.{draw.randint(0, 9)}" for n in whole for step in (0, 1)]
    numbers += ["NaN", "Infinity", "-Infinity", "0", "0.00000000000000000001", "-0.1", "1e40"]
    uuids = [f"{draw.getrandbits(128):032x}" for _ in range(30)]
    for type_, texts in (("numeric", numbers), ("uuid", uuids)):
        quoted = ", ".join(f"'{text}'" for text in texts)
        ordered = [row[0] for row in run(f"SELECT DISTINCT w::text FROM unnest(ARRAY[{quoted}]::{type_}[]) w")]
        ordered = [row[0] for row in run(f"SELECT w::text FROM unnest(ARRAY{ordered}::{type_}[]) w ORDER BY w.w")]
        run(f"CREATE TABLE t_{type_} (k {type_}) PARTITION BY RANGE (k)")
        for place, (lower, upper) in enumerate(pairwise(ordered)):
            run(f"CREATE TABLE {type_}_{place} PARTITION OF t_{type_} FOR VALUES FROM ('{lower}') TO ('{upper}')")
        table = read_table(reader, f"public.t_{type_}")
        assert [one.name for one in table.ranges] == [f"{type_}_{place}" for place in range(len(ordered) - 1)]
        assert gaps(table) == ()
