"""Ranges of a key as conditions: as the server's own constraints say them, and as CHECKs are read."""

from __future__ import annotations

import pytest

from core.tables import conditions
from core.tables.bounds import Bounds, outside, within
from core.tables.ends import KeyType
from core.tables.key import Key
from core.tables.structure import Check

DAY = Key("day", KeyType.DATE)
BOTH = Key("day", KeyType.DATE, rest=(Key("kid_id", KeyType.INTEGER),))
CODE = Key("code", KeyType.VARCHAR, declared="character varying(20)")
AT = Key("", KeyType.TEXT, expression="(payload ->> 'at'::text)", uses=("payload",))

SERVER = {
    "a domain": (
        Key("k", KeyType.DATE, declared="day"),
        "FROM ('2024-01-01') TO ('2025-01-01')",
        "((k IS NOT NULL) AND ((k)::date >= '2024-01-01'::day) AND ((k)::date < '2025-01-01'::day))",
    ),
    "one column tells": (
        BOTH,
        "FROM ('2024-01-01', MINVALUE) TO ('2025-01-01', MINVALUE)",
        "((day IS NOT NULL) AND (kid_id IS NOT NULL) AND (day >= '2024-01-01'::date) AND (day < '2025-01-01'::date))",
    ),
    "the second column tells": (
        BOTH,
        "FROM ('2025-01-01', 5) TO ('2026-01-01', MAXVALUE)",
        "((day IS NOT NULL) AND (kid_id IS NOT NULL) AND ((day > '2025-01-01'::date) OR ((day = '2025-01-01'::date)"
        " AND (kid_id >= 5))) AND (day <= '2026-01-01'::date))",
    ),
    "after all of one": (
        BOTH,
        "FROM ('2026-01-01', MAXVALUE) TO (MAXVALUE, MAXVALUE)",
        "((day IS NOT NULL) AND (kid_id IS NOT NULL) AND (day > '2026-01-01'::date))",
    ),
    "one day": (
        BOTH,
        "FROM ('2026-01-01', -5) TO ('2026-01-01', 5)",
        "((day IS NOT NULL) AND (kid_id IS NOT NULL) AND (day = '2026-01-01'::date) AND (kid_id >= '-5'::integer)"
        " AND (kid_id < 5))",
    ),
    "a varying text in a collation": (
        CODE,
        "FROM ('A') TO ('it''s')",
        "((code IS NOT NULL) AND ((code)::text >= ('A'::character varying(20) COLLATE \"C\"))"
        " AND ((code)::text < ('it''s'::character varying)::text))",
    ),
    "an expression": (
        AT,
        "FROM ('2024') TO ('2025')",
        "(((payload ->> 'at'::text) IS NOT NULL) AND ((payload ->> 'at'::text) >= '2024'::text)"
        " AND ((payload ->> 'at'::text) < '2025'::text))",
    ),
}
"""As PostgreSQL 18 leaves them after DETACH ... CONCURRENTLY, or prints them from a backup."""


@pytest.mark.parametrize(("key", "ends", "said"), SERVER.values(), ids=SERVER)
def test_what_the_server_says_is_what_is_said_here(key: Key, ends: str, said: str) -> None:
    check = Check("c", f"CHECK ({said})", validated=True)
    assert check.says(key, Bounds.parse(f"FOR VALUES {ends}", key))
    for was, now in (("2026", "2027"), ("2025", "2028"), ("'A'", "'B'")):
        ends = ends.replace(was, now)
    assert not check.says(key, Bounds.parse(f"FOR VALUES {ends}", key))


@pytest.mark.parametrize(
    "definition",
    [
        "CHECK (((day >= '2024-01-01'::date) OR (day < '2025-01-01'::date)))",
        "CHECK (((day >= '2024-01-01'::date) AND (day < '2025-01-01'::date) AND (kid_id < 5)))",
        "CHECK (((day >= '2024-01-01'::date) AND (day < '2025-01-01'::date)) AND (f(day) IS NULL))",
        "CHECK ((" + "(" * 5000 + "day >= '2024-01-01'::date" + ")" * 5000 + "))",
    ],
)
def test_what_says_more_or_less_is_no_range(definition: str) -> None:
    check = Check("c", definition, validated=True)
    assert check.range_on(DAY) is None
    assert not check.says(DAY, Bounds.parse("FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')", DAY))


def test_the_complement() -> None:
    bounds = Bounds.parse("FOR VALUES FROM ('2025-01-01', 5) TO ('2026-01-01', MINVALUE)", BOTH)
    assert within(BOTH, bounds) == (
        '"day" IS NOT NULL AND "kid_id" IS NOT NULL AND ("day" > \'2025-01-01\'::date OR ("day" = \'2025-01-01\'::date'
        " AND \"kid_id\" >= '5'::integer)) AND \"day\" < '2026-01-01'::date"
    )
    assert outside(BOTH, bounds) == (
        '"day" IS NULL OR "kid_id" IS NULL OR ("day" <= \'2025-01-01\'::date AND ("day" <> \'2025-01-01\'::date'
        " OR \"kid_id\" < '5'::integer)) OR \"day\" >= '2026-01-01'::date"
    )


def test_ends_by_several_columns_are_in_the_order_of_tuples() -> None:
    ends = ["MINVALUE, MINVALUE", "'2024-01-01', MINVALUE", "'2024-01-01', -5", "'2024-01-01', 7"]
    ends += ["'2024-01-01', MAXVALUE", "'2024-02-01', MINVALUE", "MAXVALUE, MAXVALUE"]
    ranges = [Bounds.parse(f"FOR VALUES FROM ({ends[n]}) TO ({ends[n + 1]})", BOTH) for n in range(6)]
    mixed = [*ranges[3:], *ranges[:3]]
    assert sorted(mixed, key=lambda one: one.order) == ranges
    assert not any(one.overlaps(other) for one in ranges for other in ranges if one is not other)
    whole = Bounds.parse("FOR VALUES FROM ('2024-01-01', MINVALUE) TO ('2024-02-01', MINVALUE)", BOTH)
    assert [whole.covers(one) for one in ranges] == [False, True, True, True, True, False]
    assert Bounds.between(BOTH, whole.lower, whole.upper).text == whole.text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("above", "kept"),
    [
        ("", ""),
        ("satisfies_hash_partition('16400'::oid, 2, 0, id)", ""),
        (
            "(kind IS NOT NULL) AND (kind = ANY (ARRAY['a AND b'::text, '('::text])) AND"
            " satisfies_hash_partition('16400'::oid, 2, 0, id) AND ((day > '2024-01-01'::date) AND (n > 0))",
            "(kind IS NOT NULL) AND (kind = ANY (ARRAY['a AND b'::text, '('::text])) AND"
            " ((day > '2024-01-01'::date) AND (n > 0))",
        ),
    ],
)
def test_what_names_a_table_by_its_number_is_of_one_server_alone(above: str, kept: str) -> None:
    assert conditions.anywhere(above) == kept
