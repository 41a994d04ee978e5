"""The catalog as it is read: bounds without a lock, busy partitions, tables only shown, roles with no rights."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from itertools import pairwise

import pytest
from sqlalchemy import Engine

from core.errors import AmbiguousName, CatalogBusy, TableNotFound
from core.growth.samples import measure
from core.growth.samples.measure import read_present
from core.period import Period
from core.postgres.connection import parse_url, reading_engine
from core.postgres.server import read_server
from core.tables.archived import Archived, Source
from core.tables.bounds import Bounds
from core.tables.catalog.coverage import lacks
from core.tables.catalog.rows import count_default_rows, read_key_range
from core.tables.catalog.stored import stored_bounds
from core.tables.catalog.summaries import read_tables
from core.tables.catalog.table import read_table
from core.tables.ends import KeyType
from core.tables.key import Key, KeyRange
from core.tables.partition import State
from core.tables.structure import Check
from core.tables.table import PartitionedTable
from core.tables.tree import Kind
from tests.conftest import OpenSession, until
from tests.tables import KEY_TYPES, Made, Run

pytestmark = pytest.mark.every_version
Make = Callable[..., Made]


def busy_read(reader: Engine, made: Made, *, exact: bool = True) -> PartitionedTable:
    return read_table(reader, made.address, exact=exact)


# --- bounds --------------------------------------------------------------------------------------------------------

ENDS = {
    "date": [
        "'0001-01-01'",
        "'1582-10-15'",
        "'1999-12-31'",
        "'2000-01-01'",
        "'2024-02-29'",
        "'9999-12-31'",
    ],
    "timestamp": [
        "'0001-01-01 00:00:00'",
        "'1999-12-31 23:59:59.999999'",
        "'2000-01-01 00:00:00'",
        "'2024-02-29 12:30:00.000001'",
        "'2024-02-29 12:30:00.5'",
        "'2024-03-10 12:30:10.12'",
        "'9999-12-31 23:59:59.9'",
    ],
    "timestamptz": [
        "'0001-01-01 00:00:00+00'",
        "'1999-12-31 23:59:59+05:30'",
        "'2000-01-01 00:00:00+00'",
        "'2024-02-29 12:30:00.5+02'",
        "'2024-03-31 02:30:00 Europe/Berlin'",
        "'9999-12-31 10:00:00+00'",
    ],
}
OUTSIDE = {"date": "'4713-01-01 BC', '0044-03-15 BC', '10000-01-01', '294276-12-31'"}
for _kind in ("timestamp", "timestamptz"):
    OUTSIDE[_kind] = "'0044-03-15 00:00:00 BC', '0001-12-31 23:59:59.5 BC', '10000-01-01 00:00:00'"


@pytest.mark.parametrize("key_type", list(KEY_TYPES))
def test_stored_bounds_are_those_that_postgresql_prints(run: Run, key_type: str) -> None:
    """Every pair of neighbours among the ends, infinities and MINVALUE to MAXVALUE included."""
    run("SET TimeZone = UTC")
    run(f"CREATE TABLE t (k {KEY_TYPES[key_type]}) PARTITION BY RANGE (k)")
    ends = ["MINVALUE", "'-infinity'", *ENDS[key_type], "'infinity'", "MAXVALUE"]
    for number, (lower, upper) in enumerate(pairwise(ends)):
        run(f"CREATE TABLE p{number} PARTITION OF t FOR VALUES FROM ({lower}) TO ({upper})")
    run("CREATE TABLE rest PARTITION OF t DEFAULT")
    rows = run(
        "SELECT relpartbound::text, pg_get_expr(relpartbound, oid) FROM pg_class"
        " WHERE relispartition AND relkind = 'r' ORDER BY oid"
    )
    assert len(rows) == len(ends)
    for stored, printed in rows:
        found = stored_bounds(stored)
        assert found is not None
        assert found.text == printed
        assert found == Bounds.parse(printed)
        assert (found.lower, found.upper) == (Bounds.parse(printed).lower, Bounds.parse(printed).upper)


@pytest.mark.parametrize("key_type", list(KEY_TYPES))
def test_ends_that_python_has_no_date_for_keep_their_place(run: Run, key_type: str) -> None:
    run("SET TimeZone = UTC")
    run(f"CREATE TABLE t (k {KEY_TYPES[key_type]}) PARTITION BY RANGE (k)")
    ends = [text.strip() for text in OUTSIDE[key_type].split(",")]
    for number, (lower, upper) in enumerate(pairwise(ends)):
        run(f"CREATE TABLE p{number} PARTITION OF t FOR VALUES FROM ({lower}) TO ({upper})")
    rows = run(
        "SELECT relpartbound::text, pg_get_expr(relpartbound, oid) FROM pg_class WHERE relispartition ORDER BY relname"
    )
    found = [Bounds.parse(printed) for _, printed in rows]
    assert [stored_bounds(stored) for stored, _ in rows] == found
    assert sorted(found, key=lambda bounds: bounds.order) == found
    assert all(one.upper == other.lower for one, other in pairwise(found))


def test_other_strategies_have_no_stored_range(run: Run) -> None:
    run("CREATE TABLE l (k date) PARTITION BY LIST (k)")
    run("CREATE TABLE l1 PARTITION OF l FOR VALUES IN ('2024-01-01')")
    run("CREATE TABLE h (k date) PARTITION BY HASH (k)")
    run("CREATE TABLE h1 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 0)")
    for (stored,) in run("SELECT relpartbound::text FROM pg_class WHERE relispartition"):
        assert stored_bounds(stored) is None


# --- one table -----------------------------------------------------------------------------------------------------


def test_a_table_as_it_is(reader: Engine, make_table: Make) -> None:
    made = make_table(default=True, foreign_key=True)
    table = read_table(reader, "kid_absences")
    assert (table.schema, table.name, table.key, table.strategy) == ("public", "kid_absences", made.key, "range")
    assert table.not_served is None
    assert table.owned
    names = ["kid_absences_2022", "kid_absences_2023", "kid_absences_2024", "kid_absences_default"]
    assert [p.name for p in table.partitions] == names
    assert [p.bounds and p.bounds.text for p in table.partitions] == [
        "FOR VALUES FROM ('2022-01-01') TO ('2023-01-01')",
        "FOR VALUES FROM ('2023-01-01') TO ('2024-01-01')",
        "FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
        "DEFAULT",
    ]
    assert [c.name for c in table.columns] == ["id", "kid_id", "date", "reason", "noted"]
    assert [c.identity for c in table.columns] == [True, False, False, False, False]
    assert {(i.name, i.unique, i.constraint, i.valid) for i in table.indexes} == {
        ("kid_absences_date_idx", False, False, True),
        ("kid_absences_kid_id_date_key", True, True, True),
    }
    assert table.checks == (Check("kid_absences_kid_id_check", "CHECK ((kid_id >= 0))", validated=True),)
    assert [(fk.other, fk.definition) for fk in table.references] == [
        ("public.kids", "FOREIGN KEY (kid_id) REFERENCES public.kids(id)")
    ]
    first = table.partitions[0]
    assert first.size is not None
    assert (first.size.heap, first.size.index, first.size.exact) == (8192, 32768, True)
    assert first.rows is None  # never analyzed
    assert first.activity is not None


def test_sizes_add_up_to_what_the_server_says(reader: Engine, make_table: Make, run: Run) -> None:
    made = make_table()
    run("INSERT INTO kid_absences (kid_id, date, reason) SELECT g, '2022-05-05', string_agg(md5(g::text || s), '')"
        " FROM generate_series(1000, 1020) g, generate_series(1, 300) s GROUP BY g")  # fmt: skip
    run("VACUUM ANALYZE kid_absences")
    (partition,) = [p for p in busy_read(reader, made).partitions if p.name == made.first]
    (estimate,) = [p for p in busy_read(reader, made, exact=False).partitions if p.name == made.first]
    assert partition.size is not None
    assert estimate.size is not None
    assert partition.size.toast > 0
    assert [(partition.size.total,)] == run(f"SELECT pg_total_relation_size('{made.first}')")
    assert (estimate.size.heap, estimate.size.exact) == (8192 * run(f"SELECT relpages FROM pg_class WHERE relname ="
                                                                   f" '{made.first}'")[0][0], False)  # fmt: skip
    assert partition.rows == 41


def test_all_partitions_of_the_database_have_the_sizes_of_their_tables(
    reader: Engine, make_table: Make, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_table(default=True)
    make_table(name="other", schema="away", rows=0)
    run("VACUUM ANALYZE")
    for exact, most in ((True, measure.EXACT_UP_TO), (False, 2)):
        monkeypatch.setattr(measure, "EXACT_UP_TO", most)
        found = {(one.table, one.name): one.size for one in read_present(reader, archive_schema="archive")}
        own = read_table(reader, made.address, exact=exact)
        assert len(found) == 4 + 3
        assert [found[made.address, p.name] for p in own.partitions] == [p.size for p in own.partitions]
    monkeypatch.undo()
    run("BEGIN")
    run(f"LOCK TABLE {made.first} IN ACCESS EXCLUSIVE MODE")
    busy = [one.name for one in read_present(reader, archive_schema="archive") if one.size is None]
    run("ROLLBACK")
    assert busy == [made.first]


def test_reading_makes_nothing(reader: Engine, make_table: Make, run: Run) -> None:
    made = make_table()
    before = run("SELECT oid, relname FROM pg_class ORDER BY 1"), run("SELECT nspname FROM pg_namespace ORDER BY 1")
    busy_read(reader, made)
    read_tables(reader)
    read_server(reader)
    lacks(reader, "kid_absences", made.ranges)
    assert before == (
        run("SELECT oid, relname FROM pg_class ORDER BY 1"),
        run("SELECT nspname FROM pg_namespace ORDER BY 1"),
    )


def test_a_reader_can_change_nothing(reader: Engine, make_table: Make) -> None:
    make_table()
    with reader.connect() as connection, pytest.raises(Exception, match="read-only transaction"):
        connection.exec_driver_sql("DELETE FROM public.kid_absences")


@pytest.mark.parametrize("name", ["nothing", "public.nothing", "elsewhere.kid_absences", "KID_ABSENCES"])
def test_a_table_that_is_not_there(reader: Engine, make_table: Make, name: str) -> None:
    make_table()
    with pytest.raises(TableNotFound, match="There is no table"):
        read_table(reader, name)


def test_a_name_in_several_schemas(reader: Engine, make_table: Make) -> None:
    make_table(schema="north")
    make_table(schema="south")
    with pytest.raises(AmbiguousName, match=r"on the search path: north\.kid_absences, south\.kid_absences"):
        read_table(reader, "kid_absences")
    assert read_table(reader, "south.kid_absences").schema == "south"
    make_table()
    assert read_table(reader, "kid_absences").schema == "public"


def test_a_role_that_may_only_read_the_catalog(
    reader: Engine, make_table: Make, make_role: Callable[..., tuple[str, str]], run: Run
) -> None:
    made = make_table(default=True, foreign_key=True)
    name, url = make_role()
    run("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    run("REVOKE CREATE ON SCHEMA public FROM PUBLIC")  # as it is from 15 on
    engine = reading_engine(parse_url(url))
    try:
        theirs = busy_read(engine, made)
        tables = read_tables(engine)
    finally:
        engine.dispose()
    ours = busy_read(reader, made)
    assert theirs.partitions == ours.partitions
    assert [p.size for p in theirs.partitions] == [p.size for p in ours.partitions]
    assert (theirs.server.user, theirs.owned, theirs.may_read, theirs.may_create) == (name, False, False, False)
    assert (theirs.server.can.superuser, theirs.server.may_create_schema) == (False, False)
    assert (theirs.server.cluster, bool(ours.server.cluster)) == ("", True)
    assert [table.name for table in tables] == ["kid_absences"]


# --- busy ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("queued", [False, True], ids=["held", "queued"])
@pytest.mark.parametrize("exact", [False, True], ids=["estimated", "exact"])
def test_a_busy_partition_is_shown_with_its_bounds(
    reader: Engine, make_table: Make, session: OpenSession, run: Run, queued: bool, exact: bool
) -> None:
    """The reader's lock_timeout is 150 ms: whatever waited would fail as CatalogBusy."""
    made = make_table(key_type="timestamptz", default=True)
    run("ALTER TABLE kid_absences_2022 ADD CONSTRAINT mine CHECK (kid_id < 1000000) NOT VALID")
    run("CREATE INDEX ON kid_absences (lower(reason)) WHERE kid_id > 7")
    before = busy_read(reader, made, exact=exact)
    holder, waiter = session(), session()
    if queued:
        holder.hold("SELECT * FROM kid_absences_2022")
        waiter.run("BEGIN")
        waiter.background("LOCK TABLE kid_absences_2022 IN ACCESS EXCLUSIVE MODE")
        until(lambda: run("SELECT 1 FROM pg_locks WHERE relation = 'kid_absences_2022'::regclass AND NOT granted"))
    else:
        holder.hold("LOCK TABLE kid_absences_2022 IN ACCESS EXCLUSIVE MODE")
    table = busy_read(reader, made, exact=exact)
    assert table == before
    assert [p.state for p in table.partitions] == [State.BUSY, State.ATTACHED, State.ATTACHED, State.ATTACHED]
    assert table.partitions[0].bounds == Bounds.between(made.key, date(2022, 1, 1), date(2023, 1, 1))
    assert (table.partitions[0].size is None) is exact
    assert [table_summary.partitions for table_summary in read_tables(reader)] == [4]
    holder.release()
    if queued:
        waiter.join()
        waiter.release()
    assert [p.state for p in busy_read(reader, made).partitions] == [State.ATTACHED] * 4


def test_a_busy_archived_table_is_shown(reader: Engine, make_table: Make, session: OpenSession, run: Run) -> None:
    made = make_table()
    run("CREATE SCHEMA archive")
    run("ALTER TABLE kid_absences DETACH PARTITION kid_absences_2022 CONCURRENTLY")
    run("ALTER TABLE kid_absences_2022 SET SCHEMA archive")
    before = busy_read(reader, made)
    session().hold("LOCK TABLE archive.kid_absences_2022 IN ACCESS EXCLUSIVE MODE")
    table = busy_read(reader, made)
    assert table == before
    assert [(a.state, a.source, a.size) for a in table.archived] == [(State.BUSY, Source.CHECK, None)]


def test_a_parent_that_stays_locked_is_told(reader: Engine, make_table: Make, session: OpenSession) -> None:
    made = make_table()
    session().hold("LOCK TABLE ONLY kid_absences IN ACCESS EXCLUSIVE MODE")
    with pytest.raises(CatalogBusy, match="kid_absences is locked by somebody else just now"):
        busy_read(reader, made)


def test_a_detach_that_is_pending(reader: Engine, make_table: Make, session: OpenSession, run: Run) -> None:
    made = make_table()
    holder, hand = session(), session()
    holder.hold("SELECT * FROM kid_absences")
    hand.background("ALTER TABLE kid_absences DETACH PARTITION kid_absences_2023 CONCURRENTLY")
    until(lambda: run("SELECT 1 FROM pg_inherits WHERE inhdetachpending"))
    run(f"SELECT pg_cancel_backend({hand.pid})")
    hand.join()
    table = busy_read(reader, made)
    assert table.pending is not None
    assert (table.pending.name, table.pending.state) == ("kid_absences_2023", State.DETACH_PENDING)
    assert table.pending.bounds is not None
    assert table.pending.bounds.lower == date(2023, 1, 1)
    assert lacks(reader, "kid_absences", made.ranges)


# --- what is only shown --------------------------------------------------------------------------------------------

UNSERVED = {
    "list": ("(d date) PARTITION BY LIST (d)", "it is partitioned by LIST, not by RANGE"),
    "hash": ("(d date) PARTITION BY HASH (d)", "it is partitioned by HASH, not by RANGE"),
    "columns": ("(d date, n boolean) PARTITION BY RANGE (d, n)", "its key is boolean, whose order is not known here"),
    "order": (
        "(t text) PARTITION BY RANGE (t text_pattern_ops)",
        "its key t is ordered otherwise than text usually is",
    ),
    "boolean": ("(d boolean) PARTITION BY RANGE (d)", "its key is boolean, whose order is not known here"),
    "money": ("(d money) PARTITION BY RANGE (d)", "its key is money, whose order is not known here"),
    "domain": (
        "(d own_interval) PARTITION BY RANGE (d)",
        "its key is public.own_interval, whose order is not known here",
    ),
}


@pytest.mark.parametrize(("definition", "reason"), UNSERVED.values(), ids=list(UNSERVED))
def test_tables_that_are_only_shown(reader: Engine, run: Run, definition: str, reason: str) -> None:
    run(f"CREATE DOMAIN own_interval AS interval; CREATE TABLE shown {definition}")
    table = read_table(reader, "shown")
    assert (table.key, table.not_served, table.archived) == (None, reason, ())
    assert [(t.name, t.not_served) for t in read_tables(reader)] == [("shown", reason)]


@pytest.mark.older_versions
def test_a_type_that_an_extension_orders_is_only_shown(reader: Engine, run: Run) -> None:
    if not run("SELECT FROM pg_available_extensions WHERE name = 'citext'"):
        pytest.skip("citext is not on this server")
    run("CREATE EXTENSION citext; CREATE TABLE shown (c citext) PARTITION BY RANGE (c)")
    reason = "its key is public.citext, which an extension orders by operators of its own"
    assert read_table(reader, "shown").not_served == reason


def test_several_columns_and_expressions_are_a_key(reader: Engine, run: Run) -> None:
    run("CREATE SCHEMA own; CREATE FUNCTION own.\"low, er\"(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1'")
    run(
        'CREATE TABLE t (d timestamp, n int, "a, b" text) PARTITION BY RANGE ((d::date), n,'
        ' (coalesce("a, b", \'x,(\'||n)), own."low, er"("a, b"))'
    )
    key = read_table(reader, "t").key
    assert key is not None
    assert [(part.column, part.expression, part.type) for part in key.parts] == [
        ("", "(d)::date", KeyType.DATE),
        ("n", "", KeyType.INTEGER),
        ("", "COALESCE(\"a, b\", ('x,('::text || n))", KeyType.TEXT),
        ("", 'own."low, er"("a, b")', KeyType.TEXT),
    ]
    assert set(key.columns) == {"d", "n", "a, b"}


def test_a_list_of_partitions_with_no_range(reader: Engine, run: Run) -> None:
    run("CREATE TABLE shown (d date, kind text) PARTITION BY LIST (kind)")
    run("CREATE TABLE shown_a PARTITION OF shown FOR VALUES IN ('a')")
    run("CREATE TABLE shown_rest PARTITION OF shown DEFAULT")
    table = read_table(reader, "shown")
    assert [(p.name, p.bounds) for p in table.partitions] == [
        ("shown_a", Bounds.shown("FOR VALUES IN ('a')")),
        ("shown_rest", Bounds.parse("DEFAULT")),
    ]


def test_a_sub_partitioned_partition_keeps_none_of_the_others_from_being_served(
    reader: Engine, run: Run, make_table: Make
) -> None:
    make_table()
    run("CREATE TABLE sub PARTITION OF kid_absences FOR VALUES FROM ('2030-01-01') TO ('2031-01-01')"
        " PARTITION BY RANGE (date)")  # fmt: skip
    run("CREATE TABLE sub_1 PARTITION OF sub FOR VALUES FROM ('2030-01-01') TO ('2030-07-01')")
    table = read_table(reader, "kid_absences")
    assert table.not_served is None
    assert [p.kind for p in table.partitions] == [Kind.PLAIN] * 3 + [Kind.BRANCH]
    assert [(t.name, t.not_served, t.partitions) for t in read_tables(reader)] == [("kid_absences", None, 4)]
    assert read_table(reader, "sub").not_served is None


def test_a_plain_table_is_only_shown(reader: Engine, run: Run) -> None:
    run("CREATE TABLE kid_absences (date date)")
    table = read_table(reader, "kid_absences")
    assert (table.strategy, table.not_served, table.partitions) == ("plain", "it is not partitioned", ())


def test_a_precise_column_that_is_not_the_key_does_not_matter(reader: Engine, run: Run) -> None:
    run("CREATE TABLE shown (d date, at timestamptz(0)) PARTITION BY RANGE (d)")
    assert read_table(reader, "shown").key == Key("d", KeyType.DATE)


# --- what was archived ---------------------------------------------------------------------------------------------


def archived_of(reader: Engine, made: Made) -> dict[str, Archived]:
    return {item.name: item for item in busy_read(reader, made).archived}


def test_only_what_came_from_the_table_counts_as_its_archive(reader: Engine, make_table: Make, run: Run) -> None:
    made = make_table()
    run("CREATE SCHEMA archive")
    columns = "id bigint, kid_id bigint, date date, reason text, noted timestamptz"
    run(f"CREATE TABLE archive.kid_absences_2019 ({columns})")
    run(f"CREATE TABLE archive.kid_absences_2020_q3 ({columns})")
    run(f"CREATE TABLE archive.kid_absences_old ({columns})")
    run(f"CREATE TABLE archive.any_name ({columns}, CHECK (date >= '2018-01-01' AND date < '2019-01-01'))")
    run("CREATE TABLE archive.other_2019 (date date)")
    run("CREATE TABLE archive.kid_absences_2017 (day date)")
    found = archived_of(reader, made)
    assert {name: (item.source, item.bounds and item.bounds.text) for name, item in found.items()} == {
        "kid_absences_2019": (Source.NAME, "FOR VALUES FROM ('2019-01-01') TO ('2020-01-01')"),
        "kid_absences_2020_q3": (None, None),
        "kid_absences_old": (None, None),
        "any_name": (Source.CHECK, "FOR VALUES FROM ('2018-01-01') TO ('2019-01-01')"),
    }


def test_the_range_of_an_archived_tables_rows(reader: Engine, make_table: Make, run: Run) -> None:
    made = make_table(key_type="timestamptz")
    run("CREATE SCHEMA archive")
    run("CREATE TABLE archive.kid_absences_2019 (id bigint, date timestamptz)")
    run("INSERT INTO archive.kid_absences_2019 VALUES (1, '2019-02-03 04:05:06.789+02'), (2, NULL), (3, NULL),"
        " (4, '2019-12-31 23:00:00+00')")  # fmt: skip
    table = busy_read(reader, made)
    found = read_key_range(reader, table, table.archived[0])
    assert found.nulls == 2
    assert isinstance(found.lowest, datetime)
    assert found.lowest.isoformat() == "2019-02-03T02:05:06.789000+00:00"
    assert isinstance(found.highest, datetime)
    assert found.highest.isoformat() == "2019-12-31T23:00:00+00:00"
    run("TRUNCATE archive.kid_absences_2019")
    assert read_key_range(reader, table, table.archived[0]) == KeyRange(None, None, 0)


def test_rows_of_the_default_are_counted_by_range(reader: Engine, make_table: Make, run: Run) -> None:
    made = make_table(default=True)
    run("INSERT INTO kid_absences (kid_id, date) SELECT g, '2030-12-31' FROM generate_series(1, 5) g")
    run("INSERT INTO kid_absences (kid_id, date) SELECT g, '2031-01-01' FROM generate_series(1, 3) g")
    table = busy_read(reader, made)
    years = {y: Bounds.between(made.key, date(y, 1, 1), date(y + 1, 1, 1)) for y in (2029, 2030, 2031)}
    assert {y: count_default_rows(reader, table, [bounds]) for y, bounds in years.items()} == {
        2029: 0,
        2030: 5,
        2031: 3,
    }
    assert count_default_rows(reader, table, years.values()) == 8
    assert count_default_rows(reader, table, []) == 0


# --- whether anything lacks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key_type", list(KEY_TYPES))
def test_lacks_is_certain_when_it_says_no(reader: Engine, make_table: Make, run: Run, key_type: str) -> None:
    made = make_table("Kid Absences", key_type=key_type, period=Period.MONTH)
    name = '"Kid Absences"'
    assert not lacks(reader, f"public.{name}", made.ranges)
    after = made.ranges[-1][1]
    assert lacks(reader, f"public.{name}", [*made.ranges, (after, made.period.after(after))])
    assert lacks(reader, "nothing", made.ranges)
    run(f'ALTER TABLE public.{name} DETACH PARTITION "{made.first}"')
    assert lacks(reader, f"public.{name}", made.ranges)
    assert not lacks(reader, f"public.{name}", made.ranges[1:])


def test_a_default_partition_is_no_partition_for_a_range(reader: Engine, make_table: Make) -> None:
    make_table(default=True)
    assert lacks(reader, "public.kid_absences", [(date(2030, 1, 1), date(2031, 1, 1))])


@pytest.mark.newest_version
def test_a_thousand_partitions_are_read_whole(reader: Engine, run: Run) -> None:
    run("CREATE TABLE many (d date, n int) PARTITION BY RANGE (d)")
    for first in range(0, 1000, 500):  # one transaction would need more locks than the server has
        run(f"DO $$ BEGIN FOR i IN {first}..{first + 499} LOOP EXECUTE format('CREATE TABLE many_%s PARTITION OF many"
            " FOR VALUES FROM (%L) TO (%L)', i, date '2020-01-01' + i, date '2020-01-01' + i + 1);"
            " END LOOP; END $$")  # fmt: skip
    table = read_table(reader, "many")
    assert len(table.partitions) == 1000
    assert table.partitions[0].bounds == Bounds.between(Key("d", KeyType.DATE), date(2020, 1, 1), date(2020, 1, 2))
    assert [p.name for p in table.partitions[:3]] == ["many_0", "many_1", "many_2"]
    assert all(p.size is not None for p in table.partitions)
    assert [(t.name, t.partitions) for t in read_tables(reader)] == [("many", 1000)]
