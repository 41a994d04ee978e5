"""Bounds: PostgreSQL's text kept, its ends parsed, compared and made."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime

import pytest

from core.period import Period
from core.tables.bounds import Bounds
from core.tables.catalog.stored import stored_bounds, stored_end
from core.tables.ends import Beyond, End, KeyType
from core.tables.key import Key, day_of, key_value

DATE, TIMESTAMP, ZONED = (Key("date", type_) for type_ in tuple(KeyType)[:3])


DAY = 86_400_000_000


def of(lower: str, upper: str) -> Bounds:
    return Bounds.parse(f"FOR VALUES FROM ({lower}) TO ({upper})")


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("'2024-02-29'", date(2024, 2, 29)),
        ("'0001-01-01'", date(1, 1, 1)),
        ("'9999-12-31'", date(9999, 12, 31)),
        ("'2024-02-29 00:00:00'", datetime(2024, 2, 29)),  # noqa: DTZ001 a timestamp without time zone
        ("'2024-02-29 12:30:00.5'", datetime(2024, 2, 29, 12, 30, 0, 500_000)),  # noqa: DTZ001
        ("'2024-02-29 12:30:00.000001+00'", datetime(2024, 2, 29, 12, 30, 0, 1, UTC)),
        ("'2024-02-29 00:00:00+05:30'", datetime(2024, 2, 28, 18, 30, tzinfo=UTC)),
        ("'2024-02-29 00:00:00-08'", datetime(2024, 2, 29, 8, tzinfo=UTC)),
        ("'infinity'", Beyond("infinity", math.inf)),
        ("'-infinity'", Beyond("-infinity", -math.inf)),
        ("'4713-01-01 BC'", Beyond("4713-01-01 BC", -2_451_507 * DAY)),
        ("'0044-03-15 00:00:00 BC'", Beyond("0044-03-15 00:00:00 BC", -746_117 * DAY)),
        ("'10000-01-01'", Beyond("10000-01-01", 2_921_940 * DAY)),
        ("'294276-12-31 23:59:59'", Beyond("294276-12-31 23:59:59", 106_751_982 * DAY + 86_399_000_000)),
        ("MAXVALUE", None),
    ],
)
def test_ends(text: str, end: End | None) -> None:
    bounds = of("MINVALUE", text)
    assert (bounds.lower, bounds.upper, bounds.upper_sql, bounds.lower_sql) == (None, end, text, "MINVALUE")
    assert bounds.text == f"FOR VALUES FROM (MINVALUE) TO ({text})"


@pytest.mark.parametrize("text", ["FOR VALUES IN ('a')", "FOR VALUES WITH (modulus 2, remainder 0)", "", "default"])
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(ValueError, match="not the bounds of a range"):
        Bounds.parse(text)


HOSTILE = [
    "FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') ; DROP TABLE kids",
    "FOR VALUES FROM ('2020-01-01') TO ('2021-01-01'); DROP TABLE kids --')",
    "FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')\n",
    "\nFOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
    "for values from ('2020-01-01') to ('2021-01-01')",
    "FOR VALUES  FROM ('2020-01-01') TO ('2021-01-01')",
    "FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') TO ('2022-01-01')",
    "FOR VALUES FROM (MAXVALUE) TO ('2021-01-01')",
    "FOR VALUES FROM ('2020-01-01') TO (MINVALUE)",
    "FOR VALUES FROM ('2020-01-01', '2020-01-01') TO ('2021-01-01', '2021-01-01')",
    "FOR VALUES FROM ('2020-01-01') TO ('2021-01-01 00:00:00')",
    "FOR VALUES FROM ('2020-01-01 00:00:00') TO ('2021-01-01 00:00:00+00')",
    "FOR VALUES WITH (modulus 2, remainder 0)",
    "DEFAULT ",
    "DEFAULT; DROP TABLE kids",
]
SAFE = r"DEFAULT|FOR VALUES (?:FROM|IN|WITH) [^']*(?: ?E?'(?:[^'\\]|''|\\\\)*'[^'\\;]*)*"
"""Nothing but constants in quotes, and the words of bounds."""
HOSTILE_ENDS = [
    "'x'::text || pg_sleep(9)",
    "('x'::text || pg_sleep(9))",
    "pg_sleep(9)",
    "now()",
    "current_date",
    "NULL",
    "maxvalue",
    "20210101",
    "-1",
    "''",
    "'",
    "'2021-01-01",
    "2021-01-01'",
    "'2021-01-01'::date",
    "date '2021-01-01'",
    "CAST('2021-01-01' AS date)",
    "'2021-01-01' || ''",
    "E'2021-01-01'",
    "U&'2021-01-01'",
    "$$2021-01-01$$",
    "('2021-01-01')",
    "'2021-01-01' /* */",
    "'2021-01-01' --",
    " '2021-01-01'",
    "'2021-01-01' ",
    "' 2021-01-01'",
    "'2021-01-01 '",
    "'2021-01-01\n'",
    "'2021-01-01\\n'",
    "'2021-01-01\0'",
    "'2021-01-01'\x27",
    "'2021''-01-01'",
    "'2021-01-01'); SELECT pg_sleep(9); --",
    "'2021\u201001-01'",
    "'\uff12\uff10\uff12\uff11-01-01'",
    "'\u0662\u0660\u0662\u0661-\u0660\u0661-\u0660\u0661'",
    "\u20182021-01-01\u2019",
    "'2021-01-01\u00a000:00:00'",
    "'0000-01-01'",
    "'02021-01-01'",
    "'12345678-01-01'",
    "'2021-00-01'",
    "'2021-13-01'",
    "'2021-02-29'",
    "'1900-02-29'",
    "'10001-02-29'",
    "'0004-02-29 BC'",
    "'2021-1-1'",
    "'20210101'",
    "'2021-W01-1'",
    "'01/01/2021'",
    "'2021-01-01 24:00:00'",
    "'2021-01-01 00:60:00'",
    "'2021-01-01 00:00:60'",
    "'2021-01-01 00:00'",
    "'2021-01-01T00:00:00'",
    "'2021-01-01 00:00:00.'",
    "'2021-01-01 00:00:00.0000001'",
    "'2021-01-01 00:00:00 UTC'",
    "'2021-01-01 00:00:00Z'",
    "'2021-01-01 00:00:00+16'",
    "'2021-01-01 00:00:00+0530'",
    "'2021-01-01 00:00:00+05:60'",
    "'2021-01-01 00:00:00+05:30:60'",
    "'2021-01-01+00'",
    "'2021-01-01 AD'",
    "'2021-01-01 bc'",
    "'2021-01-01 BC BC'",
    "'Infinity'",
    "'infinity '",
    "'+infinity'",
    "infinity",
    "'now'",
    "'today'",
    "'epoch'",
    "'allballs'",
]


@pytest.mark.parametrize("text", [*HOSTILE, *(f"FOR VALUES FROM ('2020-01-01') TO ({end})" for end in HOSTILE_ENDS),
                                  *(f"FOR VALUES FROM ({end}) TO (MAXVALUE)" for end in HOSTILE_ENDS)])  # fmt: skip
def test_what_postgresql_does_not_print_is_refused_and_never_sql(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 whatever is wrong with it
        Bounds.parse(text)
    try:
        sql = Bounds(text, None, None).sql
    except ValueError:
        return
    assert re.fullmatch(SAFE, sql)


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("'2024-02-29'", "'2024-02-29'"),
        ("'0004-02-29'", "'0004-02-29'"),
        ("'0005-02-29 BC'", "'0005-02-29 BC'"),
        ("'10000-02-29'", "'10000-02-29'"),
        ("'5874897-12-31'", "'5874897-12-31'"),
        ("'-infinity'", "'-infinity'"),
        ("'2024-01-01 00:00:00.000001+05:30:15'", "'2024-01-01 00:00:00.000001+05:30:15'"),
        ("'4713-01-01 00:00:00-00:45 BC'", "'4713-01-01 00:00:00-00:45 BC'"),
        ("'0001-01-01 00:00:00+14'", "'0001-01-01 00:00:00+14'"),
        ("'9999-12-31 23:00:00-12'", "'9999-12-31 23:00:00-12'"),
    ],
)
def test_sql_is_made_of_the_parsed_parts(text: str, sql: str) -> None:
    bounds = of(text, "MAXVALUE")
    assert bounds.text == f"FOR VALUES FROM ({text}) TO (MAXVALUE)"
    assert (bounds.lower_sql, bounds.sql) == (sql, f"FOR VALUES FROM ({sql}) TO (MAXVALUE)")
    assert bounds.dates("Pacific/Kiritimati") is bounds.dates("Pacific/Pago_Pago") is None


def test_the_sql_of_a_default() -> None:
    assert Bounds.parse("DEFAULT").sql == "DEFAULT"


@pytest.mark.parametrize("type_", tuple(KeyType)[:3])
def test_the_ends_are_constants_of_the_keys_type(type_: KeyType) -> None:
    for key in (DATE, TIMESTAMP, ZONED):
        text = Bounds.between(key, date(2024, 1, 1), date(2025, 1, 1)).text
        assert (Bounds.parse(text).on(Key("", type_)) is not None) is (key.type is type_)
        if key.type is type_:
            assert Bounds.parse(text, type_).text == text
        else:
            with pytest.raises(ValueError, match="not the bounds of a range of"):
                Bounds.parse(text, type_)
    for text in (
        "DEFAULT",
        "FOR VALUES FROM (MINVALUE) TO ('infinity')",
        "FOR VALUES FROM ('-infinity') TO (MAXVALUE)",
    ):
        assert Bounds.parse(text).on(Key("", type_)) is not None


def test_a_day_that_the_calendar_of_a_zone_lacks() -> None:
    first = of("'0001-01-01 00:00:00+00'", "'0002-01-01 00:00:00+00'")
    assert first.dates("UTC") == (date(1, 1, 1), date(2, 1, 1))
    assert first.dates("America/New_York") is None
    early = Bounds.between(ZONED, date(33, 1, 1), date(34, 1, 1))
    assert early.text == "FOR VALUES FROM ('0033-01-01 00:00:00+00') TO ('0034-01-01 00:00:00+00')"


def test_default_has_no_ends_and_overlaps_nothing() -> None:
    default, year = Bounds.parse("DEFAULT"), of("'2024-01-01'", "'2025-01-01'")
    assert default.is_default
    assert not year.is_default
    assert not default.holds(date(2024, 1, 1))
    assert not default.overlaps(year)
    assert not year.overlaps(default)
    assert not default.covers(year)
    assert not year.covers(default)
    with pytest.raises(ValueError, match="not the bounds of a range"):
        _ = default.lower_sql


@pytest.mark.parametrize(
    ("day", "held"),
    [(date(2023, 12, 31), False), (date(2024, 1, 1), True), (date(2024, 12, 31), True), (date(2025, 1, 1), False)],
)
def test_the_lower_end_belongs_to_it_and_the_upper_does_not(day: date, held: bool) -> None:
    assert of("'2024-01-01'", "'2025-01-01'").holds(day) is held


OPEN_BELOW, OPEN_ABOVE = of("MINVALUE", "'2024-01-01'"), of("'2025-01-01'", "MAXVALUE")
YEAR, MAY = of("'2024-01-01'", "'2025-01-01'"), of("'2024-05-01'", "'2024-06-01'")


@pytest.mark.parametrize(
    ("one", "other", "overlaps", "covers"),
    [
        (YEAR, YEAR, True, True),
        (YEAR, MAY, True, True),
        (MAY, YEAR, True, False),
        (YEAR, OPEN_BELOW, False, False),
        (YEAR, OPEN_ABOVE, False, False),
        (OPEN_BELOW, OPEN_ABOVE, False, False),
        (of("MINVALUE", "MAXVALUE"), YEAR, True, True),
        (YEAR, of("MINVALUE", "MAXVALUE"), True, False),
        (YEAR, of("'2024-12-31'", "'2025-02-01'"), True, False),
        (OPEN_BELOW, of("MINVALUE", "'2023-01-01'"), True, True),
    ],
)
def test_overlaps_and_covers(one: Bounds, other: Bounds, overlaps: bool, covers: bool) -> None:
    assert one.overlaps(other) is overlaps
    assert other.overlaps(one) is overlaps
    assert one.covers(other) is covers


def test_the_text_alone_makes_two_bounds_equal() -> None:
    assert of("'2024-01-01'", "'infinity'") != of("'2024-01-01'", "MAXVALUE")
    assert of("'2024-01-01'", "'2025-01-01'") == YEAR


@pytest.mark.parametrize(
    ("key", "zone", "text"),
    [
        (DATE, "Europe/Berlin", "FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')"),
        (TIMESTAMP, "Europe/Berlin", "FOR VALUES FROM ('2024-01-01 00:00:00') TO ('2025-01-01 00:00:00')"),
        (ZONED, "UTC", "FOR VALUES FROM ('2024-01-01 00:00:00+00') TO ('2025-01-01 00:00:00+00')"),
        (ZONED, "Europe/Berlin", "FOR VALUES FROM ('2023-12-31 23:00:00+00') TO ('2024-12-31 23:00:00+00')"),
        (ZONED, "Asia/Kolkata", "FOR VALUES FROM ('2023-12-31 18:30:00+00') TO ('2024-12-31 18:30:00+00')"),
    ],
)
def test_between(key: Key, zone: str, text: str) -> None:
    bounds = Bounds.between(key, date(2024, 1, 1), date(2025, 1, 1), zone)
    assert bounds.text == text
    assert bounds.dates(zone) == (date(2024, 1, 1), date(2025, 1, 1))
    assert bounds.period(zone) is Period.YEAR
    assert bounds.holds(key_value(key, date(2024, 1, 1), zone))
    assert not bounds.holds(key_value(key, date(2025, 1, 1), zone))


def test_a_change_of_the_clock_between_the_ends_is_kept() -> None:
    bounds = Bounds.between(ZONED, date(2024, 3, 31), date(2024, 4, 1), "Europe/Berlin")
    assert bounds.text == "FOR VALUES FROM ('2024-03-30 23:00:00+00') TO ('2024-03-31 22:00:00+00')"
    assert bounds.period("Europe/Berlin") is Period.DAY
    assert bounds.period("UTC") is None


@pytest.mark.parametrize(
    "bounds",
    [
        of("MINVALUE", "'2024-01-01'"),
        of("'2024-01-01'", "'infinity'"),
        of("'2024-01-01 12:00:00'", "'2025-01-01 00:00:00'"),
        Bounds.parse("DEFAULT"),
    ],
)
def test_ranges_that_are_no_whole_days(bounds: Bounds) -> None:
    assert bounds.dates() is None
    assert bounds.period() is None


def test_day_of() -> None:
    assert day_of(date(2024, 2, 3)) == day_of(datetime(2024, 2, 3, 4, tzinfo=UTC)) == date(2024, 2, 3)


def _bytes(value: int, size: int = 8) -> bytes:
    return value.to_bytes(size, "little", signed=True)


@pytest.mark.parametrize(
    ("type_oid", "raw", "text"),
    [
        (1082, _bytes(0), "'2000-01-01'"),
        (1082, _bytes(-1), "'1999-12-31'"),
        (1082, _bytes(8825), "'2024-02-29'"),
        (1082, _bytes(2**31 - 1), "'infinity'"),
        (1082, _bytes(-(2**31)), "'-infinity'"),
        (1114, _bytes(0), "'2000-01-01 00:00:00'"),
        (1114, _bytes(500_000), "'2000-01-01 00:00:00.5'"),
        (1114, _bytes(-1), "'1999-12-31 23:59:59.999999'"),
        (1184, _bytes(3_600_000_000), "'2000-01-01 01:00:00+00'"),
        (1184, _bytes(2**63 - 1), "'infinity'"),
        (1184, _bytes(-(2**63)), "'-infinity'"),
    ],
)
def test_stored_ends(type_oid: int, raw: bytes, text: str) -> None:
    assert stored_end(type_oid, raw) == text


@pytest.mark.parametrize("node", ["", "{PARTITIONBOUNDSPEC :strategy l :is_default false}", "nonsense"])
def test_what_stores_no_range(node: str) -> None:
    assert stored_bounds(node) is None


def test_a_stored_default() -> None:
    assert stored_bounds("{PARTITIONBOUNDSPEC :strategy r :is_default true :lowerdatums <>}") == Bounds.parse("DEFAULT")


def test_what_pythons_calendar_lacks_keeps_its_place_in_the_order() -> None:
    texts = ["-infinity", "4713-01-01 BC", "0002-12-31 BC", "0001-01-01 BC", "0001-01-01", "2026-01-01", "9999-12-31"]
    texts += ["10000-01-01", "10000-02-01", "5874897-12-31", "infinity"]
    ends = [DATE.end(text) for text in texts]
    assert sorted(ends, key=lambda end: (True, end)) == ends
    for place, lower in enumerate(texts):
        for upper in texts[place + 1 :]:
            bounds = of(f"'{lower}'", f"'{upper}'")
            held = [bounds.holds(end) for end in ends]
            assert held == [place <= other < texts.index(upper) for other in range(len(ends))]
