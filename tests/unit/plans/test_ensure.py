"""plan_ensure: the whole SQL of every path, and every refusal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from core.errors import (
    DeskError,
    DetachPending,
    NameTaken,
    NotAllowed,
    NotAttachable,
    NotServed,
    OffCalendar,
    Overlap,
    ReadOnlyServer,
    UsageError,
)
from core.period import Range, Width
from core.plans.ensure import ENSURE, Ensure
from core.plans.plan import Lock, Mode, Plan
from core.plans.steps import READ_UNDER_LOCK, exclusion_name
from core.tables.bounds import Bounds
from core.tables.ends import KeyType
from core.tables.key import Key
from core.tables.structure import Check, ForeignKey
from core.tables.table import PartitionedTable
from tests import desks
from tests.unit.factories import archived, bounds, default_partition, ensured, missed, partition, server, table

Y2028 = (date(2028, 1, 1), date(2029, 1, 1))
Y2029 = (date(2029, 1, 1), date(2030, 1, 1))
PARENT = '"public"."kid_absences"'
LIKE = f"(LIKE {PARENT} INCLUDING ALL EXCLUDING IDENTITY EXCLUDING COMMENTS)"


def scripts(plan: Plan) -> list[str]:
    return [step.sql for step in plan.steps]


def test_nothing_is_missing() -> None:
    plan = ensured(table(), [(date(year, 1, 1), date(year + 1, 1, 1)) for year in (2025, 2026, 2027)])
    assert (plan.steps, plan.subject) == ((), "nothing")
    assert plan.effects == ("public.kid_absences has all of it already.",)


def test_a_thousand_periods_are_told_by_the_first_the_last_and_their_number() -> None:
    plan = ensured(table(), [(date(year, 1, 1), date(year + 1, 1, 1)) for year in range(2025, 3026)])
    assert (plan.subject, len(plan.steps)) == ("2028 to 3025 (998 of them)", 998)
    assert ENSURE.told_apart_by == "steps", "others between the same two are another wish"


def test_like_then_attach() -> None:
    plan = ensured(table(), [(date(2027, 1, 1), date(2028, 1, 1)), Y2028])
    assert scripts(plan) == [
        f"""BEGIN;
CREATE TABLE "public"."kid_absences_2028" {LIKE};
ALTER TABLE {PARENT} ATTACH PARTITION "public"."kid_absences_2028" FOR VALUES FROM ('2028-01-01') TO ('2029-01-01');
COMMIT;"""
    ]
    assert plan.locks == (
        Lock(PARENT, Mode.SHARE_UPDATE_EXCLUSIVE),
        Lock('"public"."kid_absences_2028"', Mode.ACCESS_EXCLUSIVE),
    )
    assert (plan.operation, plan.table, plan.subject) == (ENSURE, "public.kid_absences", "2028")
    assert plan.effects == (
        "kid_absences_2028 is created, empty, for '2028-01-01' up to, not including, '2029-01-01'.",
    )
    assert plan.command == "partitions ensure --year 2027 --year 2028 --table public.kid_absences"


def test_each_range_commits_by_itself() -> None:
    plan = ensured(table(), [Y2028, Y2029])
    assert [step.title for step in plan.steps] == [
        "Create kid_absences_2028 and attach it",
        "Create kid_absences_2029 and attach it",
    ]
    assert plan.subject == "2028, 2029"


def test_with_a_default_its_scan_is_spared() -> None:
    default = '"public"."kid_absences_default"'
    plan = ensured(table(partitions=(partition(2027), default_partition())), [Y2028])
    assert scripts(plan) == [
        f'ALTER TABLE {default} ADD CONSTRAINT "partition_desk_excludes_2028" CHECK ("date" IS NULL'
        " OR \"date\" < '2028-01-01'::date OR \"date\" >= '2029-01-01'::date) NOT VALID;",
        f'ALTER TABLE {default} VALIDATE CONSTRAINT "partition_desk_excludes_2028";',
        f"""BEGIN;
CREATE TABLE "public"."kid_absences_2028" {LIKE};
ALTER TABLE {PARENT} ATTACH PARTITION "public"."kid_absences_2028" FOR VALUES FROM ('2028-01-01') TO ('2029-01-01');
ALTER TABLE {default} DROP CONSTRAINT "partition_desk_excludes_2028";
COMMIT;""",
    ]
    assert plan.steps[0].undo == (f'ALTER TABLE {default} DROP CONSTRAINT "partition_desk_excludes_2028"',)
    assert plan.steps[1].locks == (Lock(default, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False),)
    assert Lock(default, Mode.ACCESS_EXCLUSIVE) in plan.steps[2].locks


@pytest.mark.parametrize(("validated", "left"), [(False, 3), (True, 1)])
def test_an_exclusion_that_was_left_behind_is_used(validated: bool, left: int) -> None:
    check = Check("partition_desk_excludes_2028", "CHECK (...)", validated)
    plan = ensured(table(partitions=(default_partition(checks=(check,)),)), [Y2028])
    assert len(plan.steps) == left
    assert scripts(plan)[-1].count("DROP CONSTRAINT") == 1
    assert all(step.undo or step.refuses for step in plan.steps)


def test_a_small_default_is_read_under_the_lock_and_refuses_nothing() -> None:
    for read_through, number in ((READ_UNDER_LOCK, 1), (READ_UNDER_LOCK + 1, 3), (None, 3)):
        found = table(partitions=(partition(2027), replace(default_partition(), read_through=read_through)))
        plan = ensured(found, [Y2028])
        assert len(plan.steps) == number
        assert any(step.refuses for step in plan.steps) is bool(plan.warnings) is (number > 1)
        assert Lock('"public"."kid_absences_default"', Mode.ACCESS_EXCLUSIVE) in plan.steps[-1].locks


def test_owner_tablespace_and_foreign_key() -> None:
    kids = ForeignKey("fk", "public.kids", "FOREIGN KEY (kid_id) REFERENCES public.kids(id)")
    letters = ForeignKey("fk2", "public.letters", "FOREIGN KEY (kid_id, date) REFERENCES kid_absences(kid_id, date)")
    plan = ensured(
        table(owner='Boss "B"', tablespace="fast disk", references=(kids,), referenced_by=(letters,)), [Y2028]
    )
    assert scripts(plan) == [
        f'''BEGIN;
CREATE TABLE "public"."kid_absences_2028" {LIKE} TABLESPACE "fast disk";
ALTER TABLE "public"."kid_absences_2028" OWNER TO "Boss ""B""";
ALTER TABLE {PARENT} ATTACH PARTITION "public"."kid_absences_2028" FOR VALUES FROM ('2028-01-01') TO ('2029-01-01');
COMMIT;'''
    ]
    assert plan.locks[2:] == (
        Lock("public.kids", Mode.SHARE_ROW_EXCLUSIVE),
        Lock("public.letters", Mode.SHARE_ROW_EXCLUSIVE),
    )


def test_hostile_names_and_a_zoned_key() -> None:
    hostile = table(schema="No.rth", name='Kid "A" 100%', key=Key("The Day:", KeyType.TIMESTAMPTZ), partitions=())
    plan = ensured(hostile, [Y2028], zone="Europe/Berlin")
    assert scripts(plan) == [
        """BEGIN;
CREATE TABLE "No.rth"."Kid ""A"" 100%_2028" (LIKE "No.rth"."Kid ""A"" 100%" INCLUDING ALL EXCLUDING IDENTITY\
 EXCLUDING COMMENTS);
ALTER TABLE "No.rth"."Kid ""A"" 100%" ATTACH PARTITION "No.rth"."Kid ""A"" 100%_2028"\
 FOR VALUES FROM ('2027-12-31 23:00:00+00') TO ('2028-12-31 23:00:00+00');
COMMIT;"""
    ]
    assert plan.command == 'partitions ensure --year 2028 --table \'"No.rth"."Kid ""A"" 100%"\''


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ((date(2028, 4, 1), date(2028, 7, 1)), "kid_absences_2028_q2"),
        ((date(2028, 4, 1), date(2028, 5, 1)), "kid_absences_2028_04"),
        ((date(2028, 4, 3), date(2028, 4, 10)), "kid_absences_2028_w14"),
        ((date(2028, 4, 3), date(2028, 4, 4)), "kid_absences_2028_04_03"),
        ((date(2028, 4, 3), date(2028, 4, 6)), "kid_absences_20280403_20280406"),
    ],
)
def test_the_name_of_a_new_partition(wanted: Range, name: str) -> None:
    assert [new.name for new in missed(table(partitions=()), [wanted])] == [name]


def test_bounds_decide_never_names() -> None:
    odd = table(partitions=(partition(2024, name="whatever", bounds=bounds(2028, 2030)),))
    assert missed(odd, [Y2028, Y2029]) == ()
    above = partition(2024, bounds=Bounds.parse("FOR VALUES FROM ('2024-01-01') TO (MAXVALUE)"))
    assert missed(table(partitions=(above,)), [Y2028]) == ()


def test_a_long_label_fits() -> None:
    assert len(exclusion_name("x" * 80).encode()) == 63


REFUSALS: list[tuple[dict[str, Any], type[DeskError], str]] = [
    ({"not_served": "it is partitioned by LIST", "key": None}, NotServed, "only shown here: it is partitioned by LIST"),
    ({"server": server(in_recovery=True)}, ReadOnlyServer, "This server is a standby. Nothing was changed"),
    ({"server": server(read_only=True)}, ReadOnlyServer, "default_transaction_read_only is on"),
    ({"owned": False, "owner": "boss"}, NotAllowed, "The role app does not own public.kid_absences; its owner is boss"),
    ({"partitions": (partition(2025, pending=True),)}, DetachPending, "detach of kid_absences_2025 was begun and not"),
    ({"may_create": False}, NotAllowed, 'GRANT USAGE, CREATE ON SCHEMA "public" TO "app";'),
    (
        {"taken": frozenset({"kid_absences_2028"})},
        NameTaken,
        "The name public.kid_absences_2028 is taken by what is no",
    ),
    (
        {"partitions": (partition(2028, bounds=bounds(date(2028, 1, 1), date(2028, 4, 1))),)},
        Overlap,
        "2028 can't get a partition of its own: kid_absences_2028 holds a part of it",
    ),
    ({"archived": (archived(2028),)}, Overlap, "2028 is archived in archive.kid_absences_2028: a new partition would"),
]


@pytest.mark.parametrize(("changes", "error", "message"), REFUSALS, ids=[r[1].__name__ for r in REFUSALS])
def test_refusals(changes: dict[str, Any], error: type[DeskError], message: str) -> None:
    with pytest.raises(error) as refused:
        ensured(table(**changes), [Y2028])
    assert message in str(refused.value)


def test_rows_in_the_default_are_told() -> None:
    with pytest.raises(NotAttachable, match="kid_absences_default holds 1,234 rows of 2028"):
        ensured(table(partitions=(default_partition(),)), [Y2028], default_rows=1234)
    with pytest.raises(NotAttachable, match=r"holds 1 row of 2028\.") as refused:
        ensured(table(partitions=(default_partition(),)), [Y2028, (date(2029, 1, 1), date(2030, 1, 1))], default_rows=1)
    assert "Or leave them where they are" in str(refused.value)
    assert "A plain DELETE is no way" in str(refused.value)


def test_nothing_missing_asks_for_no_rights_to_create() -> None:
    bare = replace(table(), may_create=False)
    assert ensured(bare, [(date(2026, 1, 1), date(2027, 1, 1))]).steps == ()


# What can be said of dates ----------------------------------------------------------------------------------------

EMPTY = table(name="visits", partitions=())


def wished(of: PartitionedTable, **wish: Any) -> Plan:
    return desks.desk(desks.NO_ENGINE, now=datetime(2026, 10, 20, 9, 30, tzinfo=UTC)).plan(Ensure(of, **wish))


@pytest.mark.parametrize("wish", [{}, {"dates": (date(2026, 6, 1),)}, {"ahead": 1}, {"years": (Y2028,)}])
def test_a_table_without_partitions_asks_for_their_width(wish: dict[str, Any]) -> None:
    with pytest.raises(OffCalendar, match="it has no partition yet") as refused:
        wished(EMPTY, **wish)
    assert "partitions ensure --every '1 month' --table public.visits" in str(refused.value)


@pytest.mark.parametrize(
    ("every", "subject"),
    [
        ("1 year", "2026, 2027"),
        ("6 months", "2026_07, 2027_01"),
        ("1 quarter", "2026_q4, 2027_q1"),
        ("1 month", "2026_10, 2026_11"),
        ("1 week", "2026_w43, 2026_w44"),
        ("1 day", "2026_10_20, 2026_10_21"),
    ],
)
def test_a_width_that_is_said_begins_where_the_calendar_does(every: str, subject: str) -> None:
    plan = wished(EMPTY, every=Width.parse(every))
    assert plan.subject == subject
    assert f"--every '{every}'" in plan.command


def test_the_table_that_the_console_was_made_for_is_cut_by_years() -> None:
    assert wished(table(partitions=())).subject == "2026, 2027"


@pytest.mark.parametrize("day", [date(9999, 12, 31), date(26, 5, 1), date.min])
def test_a_date_that_is_a_slip_of_the_hand(day: date) -> None:
    with pytest.raises(UsageError, match="can't get a partition here"):
        wished(table(), dates=(day,))


def test_the_period_of_a_date() -> None:
    plan = wished(table(), dates=(date(2029, 5, 5),))
    assert (plan.subject, plan.command) == ("2029", "partitions ensure --year 2029 --table public.kid_absences")
