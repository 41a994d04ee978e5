"""Whose archived table is it: marks, names and CHECKs against all the partitioned tables of a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

import pytest

from core.period import Width
from core.tables.archived import Source
from core.tables.cut import Cut
from core.tables.ends import KeyType
from core.tables.key import Key
from core.tables.marks import Tag
from core.tables.ownership import Descent, Detached, Ownership, Parent
from core.tables.structure import Check

DAY = Key("day", KeyType.DATE)
COLUMNS = frozenset({"id", "day"})
ORDERS = Parent(1, "public", "orders", 10, DAY, COLUMNS)
ORDERS_OLD = Parent(2, "public", "orders_old", 10, DAY, COLUMNS)
SALES = Parent(3, "sales", "orders", 11, DAY, COLUMNS)
WIDE = Parent(4, "public", "bookings", 10, DAY, COLUMNS | {"price"})
OTHER_KEY = Parent(5, "public", "orders_old", 10, Key("month", KeyType.DATE), frozenset({"id", "month"}))
BY_LIST = Parent(6, "public", "orders_old", 10, None, COLUMNS)

Y2019 = Check("c", "CHECK (((day IS NOT NULL) AND (day >= '2019-01-01'::date) AND (day < '2020-01-01'::date)))", True)
OPEN = Check("c", "CHECK ((day >= '2019-01-01'::date))", True)
TAG = Tag(
    '"public"."orders"', "public", "FOR VALUES FROM ('2018-01-01') TO ('2019-01-01')", "2024-01-01T00:00:00+00:00", True
)


def table(name: str = "orders_2020", **changes: object) -> Detached:
    made = Detached(99, "archive", name, True, COLUMNS, (), None, frozenset())
    return replace(made, **changes)  # type: ignore[arg-type]


def told(origin: Descent | None) -> tuple[int, str | None, Source | None] | None:
    """(the parent, the year of the lower end, what tells it)."""
    if origin is None:
        return None
    return origin.parent.oid, str(origin.bounds.lower)[:4] if origin.bounds else None, origin.source


@pytest.mark.parametrize(
    ("found", "parents", "expected"),
    [
        # the longest name that fits
        (table("orders_2020"), [ORDERS, ORDERS_OLD], (1, "2020", Source.NAME)),
        (table("orders_old_2020"), [ORDERS, ORDERS_OLD], (2, "2020", Source.NAME)),
        (table("orders_old_2020"), [ORDERS_OLD, ORDERS], (2, "2020", Source.NAME)),
        (table("orders_old_2020"), [ORDERS], (1, None, None)),
        (table("orders_older"), [ORDERS, ORDERS_OLD], (1, None, None)),
        (table("orders_old_2020"), [ORDERS, OTHER_KEY], (1, None, None)),
        (table("orders_old_2020"), [ORDERS, BY_LIST], (6, None, None)),
        (table("orders"), [ORDERS], None),
        # its CHECK before its name
        (table("orders_2020", checks=(Y2019,)), [ORDERS, ORDERS_OLD], (1, "2019", Source.CHECK)),
        (table("orders_old_2020", checks=(Y2019,)), [ORDERS, ORDERS_OLD], (2, "2019", Source.CHECK)),
        (table("orders_2020", checks=(OPEN,)), [ORDERS], (1, "2020", Source.NAME)),
        (table("orders_2020", columns=frozenset({"day"})), [ORDERS], (1, "2020", Source.NAME)),
        (table("orders_2020", columns=frozenset({"id"})), [ORDERS], None),
        (table("orders_rest", columns=frozenset({"day"})), [ORDERS], None),
        # moved by hand under another name
        (table("any_name"), [ORDERS], None),
        (table("any_name", checks=(Y2019,)), [ORDERS], (1, "2019", Source.CHECK)),
        (table("any_name", checks=(Y2019,), columns=frozenset({"day"})), [ORDERS], None),
        (table("any_name", checks=(Y2019,), ours=False), [ORDERS], None),
        (table("any_name", checks=(Y2019,)), [ORDERS, ORDERS_OLD], None),
        (table("any_name", checks=(Y2019,)), [ORDERS, OTHER_KEY], (1, "2019", Source.CHECK)),
        (table("any_name", checks=(Y2019,), columns=WIDE.columns), [ORDERS, WIDE], (4, "2019", Source.CHECK)),
        (table("any_name", checks=(Y2019,), columns=COLUMNS), [ORDERS, WIDE], (1, "2019", Source.CHECK)),
        # one name in two schemas
        (table("orders_2020"), [ORDERS, SALES], None),
        (table("orders_2020"), [ORDERS, replace(SALES, columns=WIDE.columns)], (1, "2020", Source.NAME)),
        # a mark
        (table("any", tag=TAG, speaks_for=frozenset({10})), [ORDERS, ORDERS_OLD], (1, "2018", Source.TAG)),
        (table("any", tag=TAG, speaks_for=frozenset({10}), ours=False), [ORDERS], (1, "2018", Source.TAG)),
        (table("orders_old_2020", tag=TAG, speaks_for=frozenset({10})), [ORDERS, ORDERS_OLD], (1, "2018", Source.TAG)),
        (table("orders_2020", tag=TAG, speaks_for=frozenset({10})), [ORDERS, SALES], (1, "2018", Source.TAG)),
        # a mark of somebody's who may not act on the parent
        (table("any", tag=TAG, speaks_for=frozenset({11})), [ORDERS], None),
        (table("orders_old_2020", tag=TAG), [ORDERS, ORDERS_OLD], (2, "2020", Source.NAME)),
        (table("orders_2020", tag=TAG, ours=False), [ORDERS], None),
        # a mark of a table that is not there, or whose bounds are of no such key
        (table("sold_2020", tag=replace(TAG, parent='"public"."sold"'), speaks_for=frozenset({10})), [ORDERS], None),
        (table("orders_2020", tag=replace(TAG, parent='"public"."sold"')), [ORDERS], None),
        (
            table("orders_old_2020", tag=replace(TAG, bounds="FOR VALUES FROM (1) TO (2)"), speaks_for=frozenset({10})),
            [ORDERS, ORDERS_OLD],
            (1, None, None),
        ),
        (
            table("orders_2020", tag=replace(TAG, bounds="FOR VALUES FROM (1) TO (2)"), speaks_for=frozenset({10})),
            [ORDERS],
            (1, "2020", Source.NAME),
        ),
    ],
)
def test_a_table_belongs_to_one_parent_or_to_none(
    found: Detached, parents: list[Parent], expected: tuple[int, str | None, Source | None] | None
) -> None:
    assert told(Ownership(parents).origin(found)) == expected


def test_what_fits_several_parents_equally_is_claimed_by_each() -> None:
    ownership = Ownership([ORDERS, SALES, ORDERS_OLD])
    assert [one.parent.oid for one in ownership.claims(table("orders_2020"))] == [1, 3]
    assert ownership.origin(table("orders_2020")) is None
    assert [one.parent.oid for one in ownership.claims(table("orders_old_2020"))] == [2]
    assert ownership.claims(table("somebodys", columns=frozenset({"id"}))) == ()


MOVED = replace(TAG, oid=2, cluster="here", key="day")
HERE = replace(ORDERS_OLD, cluster="here")


@pytest.mark.parametrize(
    ("tag", "parents", "expected"),
    [
        (MOVED, [HERE], 2),
        (MOVED, [HERE, ORDERS], 2),  # a new table took its name
        (MOVED, [replace(HERE, key=Key("month", KeyType.DATE), columns=frozenset({"id", "month"}))], 2),
        (replace(MOVED, oid=1), [HERE, ORDERS], 1),
        (replace(MOVED, oid=77), [HERE, ORDERS], 1),  # its table is gone; that of its name has its shape
        (replace(MOVED, oid=77), [replace(ORDERS, columns=frozenset({"day", "price"}))], None),
        (replace(MOVED, oid=77), [replace(ORDERS, key=Key("month", KeyType.DATE))], None),
        (replace(MOVED, cluster="elsewhere"), [HERE, ORDERS], 1),  # there the oid may be anything's
        (replace(MOVED, cluster="elsewhere"), [HERE], 2),
        (MOVED, [replace(HERE, columns=frozenset({"day", "price"}))], None),
        (replace(MOVED, bounds="FOR VALUES FROM (1) TO (2)"), [HERE], None),
    ],
)
def test_a_mark_means_the_table_of_its_oid_on_its_server(tag: Tag, parents: list[Parent], expected: int | None) -> None:
    found = table("any", tag=tag, speaks_for=frozenset({10}))
    ownership = Ownership(parents)
    origin = ownership.origin(found)
    assert (origin.parent.oid if origin else None) == expected
    assert ownership.is_stray(found) == (expected is None)


MONTHS = Cut(DAY, Width(months=1), "UTC", datetime(2026, 12, 1))  # noqa: DTZ001 in the grid's zone
SUNDAYS = Cut(DAY, Width(days=7), "UTC", datetime(2025, 3, 2))  # noqa: DTZ001
DAYS = Cut(DAY, Width(days=1), "UTC", datetime(2025, 3, 2))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("name", "grid", "lower", "upper"),
    [
        ("orders_p20250301", MONTHS, date(2025, 3, 1), date(2025, 4, 1)),
        ("orders_2025_03", MONTHS, date(2025, 3, 1), date(2025, 4, 1)),
        ("orders_20250309", SUNDAYS, date(2025, 3, 9), date(2025, 3, 16)),
        ("orders_20250301", DAYS, date(2025, 3, 1), date(2025, 3, 2)),
        ("orders_20250302", MONTHS, None, None),  # in the middle of a month
        ("orders_2025", MONTHS, None, None),  # of another width
        ("orders_2025_03", DAYS, None, None),
        ("orders_20250301", "nothing tells", None, None),  # a day, a week or a month
        ("orders_2025", "nothing tells", date(2025, 1, 1), date(2026, 1, 1)),
        ("orders_9999_12_31", MONTHS, None, None),
    ],
)
def test_a_name_tells_a_range_only_at_the_width_of_the_table(
    name: str, grid: Cut | str, lower: date | None, upper: date | None
) -> None:
    origin = Ownership([replace(ORDERS, grid=grid)]).origin(table(name))
    assert origin is not None
    assert (origin.bounds and origin.bounds.lower, origin.bounds and origin.bounds.upper) == (lower, upper)


def test_the_name_of_a_table_by_ids_tells_no_range() -> None:
    ids = replace(ORDERS, key=Key("id", KeyType.BIGINT))
    origin = Ownership([ids]).origin(table("orders_2020"))
    assert told(origin) == (1, None, None)
