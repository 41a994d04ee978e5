"""One archived table has one parent, whoever asks: the catalog, the samples, and the filter for Alembic."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from core.growth.samples.measure import read_present
from core.migrations import skip_partitions
from core.names import literal
from core.tables.archived import Source
from core.tables.catalog.table import read_table
from core.tables.marks import Marks, Tag
from tests.tables import Run

CHECKED = "CHECK (day >= '2019-01-01' AND day < '2020-01-01')"
TAG = Tag(
    '"public"."orders"', "public", "FOR VALUES FROM ('2015-01-01') TO ('2016-01-01')", "2024-01-01T00:00:00+00:00", True
)


@pytest.fixture(autouse=True)
def orders(run: Run) -> None:
    """The tables orders and orders_old, the second with a column less, and an archive schema."""
    run("CREATE TABLE orders (id bigint, day date, price numeric) PARTITION BY RANGE (day)")
    run("CREATE TABLE orders_old (id bigint, day date) PARTITION BY RANGE (day)")
    run("CREATE SCHEMA archive")


def archived(reader: Engine) -> dict[str, list[tuple[str, str | None, Source | None]]]:
    """By parent: (name, lower end, source) of what the catalog takes for its archived tables."""
    return {
        name: [
            (one.name, str(one.bounds.lower) if one.bounds else None, one.source)
            for one in read_table(reader, f"public.{name}").archived
        ]
        for name in ("orders", "orders_old")
    }


def sampled(reader: Engine) -> dict[str, tuple[str, str | None]]:
    """By name: (the address of the table, the lower end) of what is sampled."""
    return {
        one.name: (one.table, str(one.lower) if one.lower else None)
        for one in read_present(reader, archive_schema="archive")
    }


def proposed(reader: Engine, *names: str, style: str = "ISO") -> list[str]:
    """Which of these tables of the archive schema autogenerate is shown."""
    with reader.connect().execution_options(isolation_level="READ COMMITTED") as connection:
        connection.exec_driver_sql(f"SET DateStyle = '{style}'")
        wanted = skip_partitions(connection)
        shown = [name for name in names if wanted(name, "table", {"schema_name": "archive"})]
        assert str(connection.exec_driver_sql("SHOW DateStyle").scalar_one()).startswith(style)
    return shown


def test_a_longer_name_of_a_parent_wins(reader: Engine, run: Run) -> None:
    run("CREATE TABLE archive.orders_old_2020 (id bigint, day date, price numeric)")
    run("CREATE TABLE archive.orders_2020 (id bigint, day date, price numeric)")
    assert archived(reader) == {
        "orders": [("orders_2020", "2020-01-01", Source.NAME)],
        "orders_old": [("orders_old_2020", "2020-01-01", Source.NAME)],
    }
    assert sampled(reader) == {
        "orders_2020": ("public.orders", "2020-01-01"),
        "orders_old_2020": ("public.orders_old", "2020-01-01"),
    }
    assert proposed(reader, "orders_2020", "orders_old_2020", "somebody_s") == ["somebody_s"]


@pytest.mark.parametrize("style", ["ISO", "German"])
def test_moved_by_hand_under_another_name_it_is_known_by_its_check(reader: Engine, run: Run, style: str) -> None:
    run(f"CREATE TABLE archive.any_name (id bigint, day date, price numeric, {CHECKED})")
    run(f"CREATE TABLE archive.fewer (id bigint, day date, {CHECKED})")
    run(f"CREATE TABLE archive.too_few (day date, {CHECKED})")
    assert archived(reader) == {
        "orders": [("any_name", "2019-01-01", Source.CHECK)],
        "orders_old": [("fewer", "2019-01-01", Source.CHECK)],
    }
    assert sampled(reader) == {
        "any_name": ("public.orders", "2019-01-01"),
        "fewer": ("public.orders_old", "2019-01-01"),
    }
    assert proposed(reader, "any_name", "fewer", "too_few", style=style) == ["too_few"]


def test_what_lacks_the_key_is_nobody_s(reader: Engine, run: Run) -> None:
    run("CREATE TABLE archive.orders_2020 (id bigint, month date, price numeric)")
    assert archived(reader) == {"orders": [], "orders_old": []}
    assert sampled(reader) == {}


def test_a_mark_wins_over_names_and_checks(reader: Engine, run: Run) -> None:
    run(f"CREATE TABLE archive.orders_old_2020 (id bigint, day date, {CHECKED})")
    run("CREATE TABLE public.left_there (id bigint, day date)")
    for name in ("archive.orders_old_2020", "public.left_there"):
        run(f"COMMENT ON TABLE {name} IS {literal(str(Marks(TAG).beside(None)))}")
    run("CREATE TABLE archive.sold_2020 (id bigint, day date, price numeric)")
    of_another = Tag('"public"."sold"', TAG.schema, TAG.bounds, TAG.archived_at, TAG.made_check)
    run(f"COMMENT ON TABLE archive.sold_2020 IS {literal(str(Marks(of_another).beside(None)))}")
    found = archived(reader)
    assert sorted(found["orders"]) == [
        ("left_there", "2015-01-01", Source.TAG),
        ("orders_old_2020", "2015-01-01", Source.TAG),
    ]
    assert found["orders_old"] == []
    assert sampled(reader) == {
        "left_there": ("public.orders", "2015-01-01"),
        "orders_old_2020": ("public.orders", "2015-01-01"),
    }
    assert proposed(reader, "orders_old_2020", "sold_2020") == []


def test_what_fits_two_parents_equally_is_nobody_s_and_never_proposed_to_be_dropped(reader: Engine, run: Run) -> None:
    run("CREATE SCHEMA sales; CREATE TABLE sales.orders (LIKE orders) PARTITION BY RANGE (day)")
    run("CREATE TABLE archive.orders_2020 (LIKE orders)")
    run(f"CREATE TABLE archive.any_name (LIKE orders, {CHECKED})")
    assert archived(reader)["orders"] == []
    assert read_table(reader, "sales.orders").archived == ()
    assert sampled(reader) == {}
    assert proposed(reader, "orders_2020", "any_name") == []
