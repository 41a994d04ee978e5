"""What follows from a table's description: gaps, runway, what is due, and the tag in an archived table's comment."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta

import pytest

from core.errors import AmbiguousName
from core.period import Period
from core.tables.bounds import Bounds
from core.tables.coverage import NEVER, Gap, covered_until, gaps, runway, unexplained_gaps
from core.tables.ends import KeyType
from core.tables.key import Key
from core.tables.marks import Hold, Marks, PlannedDrop, Tag
from core.tables.partition import Partition, State
from core.tables.retention import due
from core.tables.size import Size
from core.tables.structure import Check
from core.tables.table import PartitionedTable
from core.tables.tree import Kind
from tests.unit.factories import KEY, archived, bounds, bounds_check, default_partition, partition, table

TODAY = date(2026, 10, 20)


def years(*partitions: Partition) -> PartitionedTable:
    return table(partitions=partitions)


def gap(lower: int, upper: int) -> Gap:
    return Gap(date(lower, 1, 1), date(upper, 1, 1))


def test_a_table_without_a_gap() -> None:
    assert gaps(years(partition(2024), partition(2025), partition(2026), default_partition())) == ()


def test_gaps_between_partitions() -> None:
    assert gaps(years(partition(2020), partition(2022), partition(2025))) == (gap(2021, 2022), gap(2023, 2025))


def test_a_detach_that_is_pending_leaves_a_gap_that_is_explained() -> None:
    pending = years(partition(2024), partition(2025, pending=True), partition(2026))
    assert gaps(pending) == (gap(2025, 2026),)
    assert unexplained_gaps(pending) == ()


def test_open_ends_have_no_gap_outside() -> None:
    below = partition(2020, bounds=Bounds.parse("FOR VALUES FROM (MINVALUE) TO ('2021-01-01')"))
    above = partition(2023, bounds=Bounds.parse("FOR VALUES FROM ('2023-01-01') TO (MAXVALUE)"))
    assert gaps(years(below, partition(2021), partition(2022), above)) == ()
    assert gaps(years(below, above)) == (gap(2021, 2023),)


def test_unknown_bounds_and_overlong_ones() -> None:
    wide = partition(2020, bounds=bounds(2020, 2024))
    assert gaps(years(wide, partition(2021), partition(2025))) == (gap(2024, 2025),)
    assert gaps(years(partition(2020), partition(2021, bounds=None), partition(2022))) == (gap(2021, 2022),)


def test_what_archived_tables_hold_is_explained() -> None:
    found = table(partitions=(partition(2019), partition(2024)), archived=(archived(2020), archived(2022)))
    assert unexplained_gaps(found) == (gap(2021, 2022), gap(2023, 2024))
    part = replace(archived(2021), bounds=bounds(date(2020, 6, 1), date(2023, 6, 1)))
    assert unexplained_gaps(replace(found, archived=(part,))) == (
        Gap(date(2020, 1, 1), date(2020, 6, 1)),
        Gap(date(2023, 6, 1), date(2024, 1, 1)),
    )


def test_runway() -> None:
    assert runway(table(), TODAY).days == (date(2028, 1, 1) - TODAY).days
    assert runway(years(partition(2026)), date(2026, 12, 31)).days == 1
    assert runway(years(partition(2025)), TODAY).days == 0
    assert runway(years(partition(2026), partition(2028)), TODAY).days == (date(2027, 1, 1) - TODAY).days
    assert runway(years(partition(2026, pending=True), partition(2027)), TODAY).days == 0
    assert runway(years(default_partition()), TODAY).days == 0
    above = partition(2026, bounds=Bounds.parse("FOR VALUES FROM ('2026-01-01') TO (MAXVALUE)"))
    assert runway(years(above), TODAY) == NEVER
    assert covered_until(years(above), TODAY) is None
    assert covered_until(table(), TODAY) == date(2028, 1, 1)


def test_runway_by_the_applications_calendar() -> None:
    key = Key("at", KeyType.TIMESTAMPTZ)
    until = Bounds.between(key, date(2026, 1, 1), date(2027, 1, 1), "Asia/Kolkata")
    found = table(key=key, partitions=(partition(2026, bounds=until),))
    assert covered_until(found, TODAY, "Asia/Kolkata") == datetime(2026, 12, 31, 18, 30, tzinfo=UTC)
    assert runway(found, TODAY, "Asia/Kolkata").days == (date(2027, 1, 1) - TODAY).days
    assert runway(found, TODAY, "UTC").days == (date(2026, 12, 31) - TODAY).days


def test_due() -> None:
    found = years(partition(2021), partition(2022), partition(2023), partition(2026), default_partition())
    assert [p.name for p in due(found, date(2023, 10, 20), TODAY)] == ["kid_absences_2021", "kid_absences_2022"]
    assert [p.name for p in due(found, date(2023, 1, 1), TODAY)] == ["kid_absences_2021", "kid_absences_2022"]
    assert [p.name for p in due(found, date(2022, 12, 31), TODAY)] == ["kid_absences_2021"]
    spoiled = years(partition(2020, kind=Kind.FOREIGN), partition(2021, pending=True), partition(2022))
    assert [p.name for p in due(spoiled, date(2026, 1, 1), TODAY)] == ["kid_absences_2022"]
    above = partition(2020, bounds=Bounds.parse("FOR VALUES FROM ('2020-01-01') TO (MAXVALUE)"))
    assert due(years(above), date(2026, 1, 1), TODAY) == ()
    assert due(table(key=None), date(2026, 1, 1), TODAY) == ()


def test_states() -> None:
    assert partition(2024).state is State.ATTACHED
    assert partition(2024, busy=True).state is State.BUSY
    assert partition(2024, busy=True, pending=True).state is State.DETACH_PENDING
    assert archived(2024).state is State.ARCHIVED
    assert archived(2024, busy=True).state is State.BUSY
    assert Size(1, 2, 4).total == 7


def test_what_a_table_finds() -> None:
    found = table(
        partitions=(partition(2025), partition(2026, pending=True), default_partition()), archived=(archived(2023),)
    )
    assert found.default is found.partitions[2]
    assert found.pending is found.partitions[1]
    assert found.find("kid_absences_2025") is found.partitions[0]
    assert found.find("kid_absences_2023") is None
    assert found.find_archived("kid_absences_2023") is found.archived[0]
    assert found.holding(date(2025, 6, 1), date(2026, 6, 1)) == found.partitions[:2]
    assert found.archived_in(date(2023, 12, 31), date(2024, 1, 1)) == found.archived
    assert found.archived_in(date(2024, 1, 1), date(2025, 1, 1)) == ()
    assert (found.sql, found.label, found.address) == ('"public"."kid_absences"', *("public.kid_absences",) * 2)
    with pytest.raises(ValueError, match="has no key that is served"):
        table(key=None).bounds_between(date(2024, 1, 1), date(2025, 1, 1))


def test_the_period_is_what_most_partitions_have() -> None:
    months = [partition(m, bounds=bounds(date(2026, m, 1), date(2026, m + 1, 1))) for m in range(1, 4)]
    assert years(partition(2024), *months).period() is Period.MONTH
    assert years().period() is Period.YEAR
    assert table(partitions=(), archived=(archived(2024),)).period() is Period.YEAR


def test_volatile_figures_do_not_make_two_partitions_differ() -> None:
    assert partition(2024, rows=1, busy=True, size=None) == partition(2024)
    assert partition(2024, comment="x") != partition(2024)


# --- the tag -------------------------------------------------------------------------------------------------------

TAG = Tag(
    '"public"."Kid ""A"""',
    "public",
    "FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
    "2026-01-05T08:00:00+00:00",
    True,
)


HOLD = Hold("2027-01-31", 'asked for by "audit", 100%', "ada")
DROP = PlannedDrop("public.kid_absences", "2026-12-01T08:00:00+00:00", "school/2024/1", "text-1:5:77", "ada")


@pytest.mark.parametrize(
    "marks",
    [Marks(TAG), Marks(TAG, HOLD, DROP), Marks(hold=HOLD), Marks(drop=DROP)],
    ids=["tag", "all", "hold", "drop"],
)
@pytest.mark.parametrize(
    "comment",
    [None, "checked", "two\nlines", "\n", "ends with one\n", "it's 100% \\ 孩子", 'partition-desk: {"not": "one"}'],
)
def test_marks_beside_any_comment_are_read_back(comment: str | None, marks: Marks) -> None:
    assert Marks.split(marks.beside(comment)) == (comment, marks)


def test_an_empty_comment_counts_as_none() -> None:
    assert Marks.split(Marks(TAG).beside("")) == (None, Marks(TAG))
    assert Marks.split(None) == (None, Marks())
    assert Marks.split("") == ("", Marks())
    assert (Marks().beside(None), Marks().beside("mine")) == (None, "mine")


@pytest.mark.parametrize(
    "comment",
    [
        "partition-desk: {",
        "partition-desk: []",
        'partition-desk: {"parent": "x"}',
        'partition-desk: {"parent": "x", "schema": "y", "bounds": "none", "archived_at": "", "made_check": true}',
        f"{Marks(TAG).beside(None)}\nand more",
        'partition-desk hold: {"until": "soon", "reason": "", "by": ""}',
        'partition-desk drop: {"parent": "", "at": "2026-12-01T08:00:00", "backup": "", "fingerprint": "", "by": ""}',
    ],
)
def test_a_tag_that_cannot_be_read_is_the_users_text(comment: str) -> None:
    assert Marks.split(comment) == (comment, Marks())


def _line(mark: Tag | Hold | PlannedDrop, **changes: object) -> str:
    kinds = {Tag: "partition-desk: ", Hold: "partition-desk hold: ", PlannedDrop: "partition-desk drop: "}
    return kinds[type(mark)] + json.dumps({**asdict(mark), **changes})


@pytest.mark.parametrize("mark", [TAG, HOLD, DROP])
def test_a_field_of_a_mark_is_what_the_console_writes(mark: Tag | Hold | PlannedDrop) -> None:
    assert Marks.split(_line(mark)) != (_line(mark), Marks())
    for name in asdict(mark):
        for value in (
            None,
            3 if name != "oid" else -3,
            1.5,
            [] if name != "below" else [["x"]],
            {},
            ["x"],
            [["x", "a\0b"]],
            {"x": "y"},
            "a\0b",
            "\ud800",
            True if name != "made_check" else "true",
        ):
            line = _line(mark, **{name: value})
            assert Marks.split(line) == (line, Marks())
    for line in (_line(mark, more="x"), _line(mark).partition("{")[0] + "[" * 100_000):
        assert Marks.split(line) == (line, Marks())


@pytest.mark.parametrize(
    "line",
    [
        _line(TAG, bounds="DEFAULT"),
        _line(TAG, bounds="FOR VALUES FROM ('2024-01-01') TO ('2025-01-01'); CREATE TABLE forged ()"),
        _line(TAG, bounds="FOR VALUES FROM (forged()) TO (MAXVALUE)"),
        _line(TAG, schema=""),
        _line(TAG, oid=2**32),
        _line(TAG, schema="x" * 64),
        _line(TAG, archived_at="2024-01-01"),
        _line(TAG, archived_at="0001-01-01T00:00:00+14:00"),
        _line(HOLD, until="2024-02-30"),
        _line(DROP, parent="a.b.c"),
        _line(DROP, at="2026-12-01T08:00:00"),
        _line(DROP, at="9999-12-31T23:59:59-14:00"),
    ],
)
def test_a_mark_that_the_console_does_not_write_is_the_users_text(line: str) -> None:
    assert Marks.split(f"mine\n{line}") == (f"mine\n{line}", Marks())


def test_the_bounds_of_a_tag_are_those_of_a_key() -> None:
    assert TAG.range_on(KEY) == Bounds.parse(TAG.bounds)
    assert TAG.range_on(Key("date", KeyType.TIMESTAMP)) is None


def test_a_backup_of_another_key_explains_no_gap() -> None:
    found, moments = years(partition(2020), partition(2022)), Key("date", KeyType.TIMESTAMPTZ)
    whole = (date(2021, 1, 1), date(2022, 1, 1))
    assert unexplained_gaps(found, [Bounds.between(moments, *whole)]) == (gap(2021, 2022),)
    assert unexplained_gaps(found, [Bounds.between(KEY, *whole)]) == ()


def test_a_mark_that_stands_twice_counts_once() -> None:
    older = replace(HOLD, reason="older")
    twice = Marks(TAG, HOLD).beside(Marks(hold=older).beside("mine"))
    assert Marks.split(twice) == (Marks(hold=older).beside("mine"), Marks(TAG, HOLD))


def test_a_hold_binds_through_its_last_day() -> None:
    assert HOLD.binds(date(2027, 1, 31))
    assert not HOLD.binds(date(2027, 2, 1))
    assert replace(HOLD, until="").binds(date.max)


def test_what_is_held_is_not_due() -> None:
    held = partition(2021, comment=Marks(hold=HOLD).beside("mine"))
    found = years(held, partition(2022), partition(2026))
    assert [p.name for p in due(found, date(2023, 10, 20), TODAY)] == ["kid_absences_2022"]
    assert [p.name for p in due(found, date(2023, 10, 20), date(2027, 2, 1))] == [held.name, "kid_absences_2022"]


def test_a_planned_drop_is_due_from_its_moment_on() -> None:
    moment = datetime.fromisoformat(DROP.at)
    assert DROP.is_due(moment)
    assert not DROP.is_due(moment - timedelta(seconds=1))


# --- CHECK constraints ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("definition", "found"),
    [
        ("CHECK (((date >= '2024-01-01'::date) AND (date < '2025-01-01'::date)))", bounds(2024, 2025)),
        (
            "CHECK (((date IS NOT NULL) AND (date >= '2024-01-01'::date) AND (date < '2025-01-01'::date)))",
            bounds(2024, 2025),
        ),
        ("CHECK ((date < '2025-01-01'::date)) NOT VALID", Bounds.parse("FOR VALUES FROM (MINVALUE) TO ('2025-01-01')")),
        ("CHECK ((date IS NOT NULL))", None),
        ("CHECK (((date >= '2024-01-01'::date) OR (date < '2025-01-01'::date)))", None),
        ("CHECK ((NOT (date < '2025-01-01'::date)))", None),
        ("CHECK (((date > '2024-01-01'::date) AND (date < '2025-01-01'::date)))", None),
        ("CHECK (((day >= '2024-01-01'::date) AND (date < '2025-01-01'::date)))", None),
        ("CHECK ((date >= '2024-01-01 00:00:00'::timestamp without time zone))", None),
        ("CHECK (((date >= '2024-01-01'::date) AND (kid_id > 0)))", None),
        ("CHECK ((kid_id >= 0))", None),
    ],
)
def test_the_range_that_a_check_says(definition: str, found: Bounds | None) -> None:
    assert Check("c", definition, validated=True).range_on(KEY) == found


@pytest.mark.parametrize("name", ["Day (of) AND OR", 'a "b"', '"', "NOT VALID", "день"])
def test_the_range_of_a_column_with_any_name(name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    definition = (
        f"CHECK ((({quoted} IS NOT NULL) AND ({quoted} >= '2024-01-01'::date) AND ({quoted} < '2025-01-01'::date)))"
    )
    check = Check("c", definition, validated=True)
    assert check.range_on(Key(name, KeyType.DATE)) == bounds(2024, 2025)
    assert check.range_on(KEY) is None
    assert check.excludes_null()


def test_a_validated_check_of_the_bounds_is_preferred() -> None:
    own = bounds(2024, 2025)
    checks = (bounds_check(own, "a", validated=False), bounds_check(own, "b"), bounds_check(bounds(2023, 2024), "c"))
    found = archived(2024, checks=checks).bounds_check(KEY)
    assert found is not None
    assert found.name == "b"
    assert archived(2024, checks=checks[2:]).bounds_check(KEY) is None


TWINS = (partition(2021, schema="y2021", name="readings"), partition(2022, schema="y2022", name="readings"))


def test_a_name_means_all_that_have_it_and_with_its_schema_the_one_there() -> None:
    one, other = TWINS
    gone = archived(2020, name="readings")
    here = table(partitions=(*TWINS, partition(2023)), archived=(gone,))
    assert here.named("readings") == (one, other, gone)
    assert here.named("y2022.readings") == here.named('"y2022"."readings"') == (other,)
    assert here.named("archive.readings") == (gone,)
    assert here.named("y2023.readings") == here.named('"odd') == ()
    assert [here.called(item) for item in here.everything] == [
        "y2021.readings",
        "y2022.readings",
        "kid_absences_2023",
        "archive.readings",
    ]
    assert here.calls() == {item.oid: here.called(item) for item in here.everything}


def test_an_archived_table_is_named_by_the_schema_that_it_came_from_as_well() -> None:
    gone = archived(2020, name="readings")
    assert gone.tag is not None
    one = replace(gone, tag=replace(gone.tag, schema="y2020"))
    here = table(partitions=TWINS, archived=(one,))
    assert here.named("y2020.readings") == here.named('"y2020"."readings"') == (one,)
    assert here.named("y2021.readings") == (TWINS[0],)
    assert here.named("y2019.readings") == ()
    assert here.called(one) == "archive.readings"


def test_a_name_with_dots_and_quotes_in_it_is_found_as_it_stands() -> None:
    dotted, quoted = partition(2021, name="y2022.readings"), partition(2023, name='re"ad')
    here = table(partitions=(dotted, TWINS[1], quoted))
    assert here.named("y2022.readings") == (dotted, TWINS[1])
    assert here.find('re"ad') is quoted
    assert here.called(dotted) == 'public."y2022.readings"'
    assert here.called(TWINS[1]) == "readings"
    assert here.find(here.called(dotted)) is dotted


def test_a_name_that_several_have_finds_none_of_them() -> None:
    here = table(partitions=TWINS)
    with pytest.raises(AmbiguousName) as refused:
        here.find("readings")
    assert str(refused.value) == (
        "readings means 2 tables of public.kid_absences: y2021.readings (FROM ('2021-01-01') TO ('2022-01-01')),"
        " y2022.readings (FROM ('2022-01-01') TO ('2023-01-01')). Nothing was changed."
        " Name one of them with its schema, as --partition y2021.readings does."
    )
    with pytest.raises(AmbiguousName):
        here.find_archived("readings")
    assert here.find("y2022.readings") is TWINS[1]
    assert here.find_archived("y2022.readings") is None
