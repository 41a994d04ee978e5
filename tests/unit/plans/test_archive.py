"""plan_archive: the whole SQL of every path, and every refusal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from core.errors import (
    DeskError,
    DetachPending,
    NameTaken,
    NotAllowed,
    NotServed,
    PartitionNotFound,
    PeriodNotOver,
    ReadOnlyServer,
    Refused,
)
from core.plans.archive import ARCHIVE, plan_archive
from core.plans.plan import Lock, Mode, Plan
from core.plans.reattach import plan_reattach
from core.postgres.capabilities import Capabilities
from core.tables.bounds import Bounds
from core.tables.distribution import Distribution
from core.tables.key import KeyRange
from core.tables.marks import Hold, Marks, PlannedDrop, Tag
from core.tables.structure import ForeignKey
from core.tables.tree import Kind
from tests.unit.factories import (
    NOW,
    archive_schema,
    archived,
    bounds,
    bounds_check,
    default_partition,
    partition,
    server,
    table,
)

PARENT = '"public"."kid_absences"'
CHILD = '"public"."kid_absences_2025"'
BACK = '"public"."kid_absences_2024"'
KIDS = ForeignKey("fk", "public.kids", "FOREIGN KEY (kid_id) REFERENCES public.kids(id)")
LETTERS = ForeignKey("fk2", "public.letters", "FOREIGN KEY (kid_id, date) REFERENCES kid_absences(kid_id, date)")
COMMENT = (
    f"COMMENT ON TABLE {CHILD} IS E'partition-desk: "
    '{"parent": "\\\\"public\\\\".\\\\"kid_absences\\\\"", "schema": "public", '
    "\"bounds\": \"FOR VALUES FROM (''2025-01-01'') TO (''2026-01-01'')\", "
    '"archived_at": "2026-10-20T09:30:00+00:00", "made_check": true, "key": "date", "oid": 1}\';'
)
WITHIN_2025 = '"date" IS NOT NULL AND "date" >= \'2025-01-01\'::date AND "date" < \'2026-01-01\'::date'
ATTACH = f"ALTER TABLE {PARENT} ATTACH PARTITION {BACK} FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"


def scripts(plan: Plan) -> list[str]:
    return [step.sql for step in plan.steps]


def archiving(**changes: Any) -> Plan:
    return plan_archive(table(**changes), "kid_absences_2025", now=NOW)


def reattaching(rows: KeyRange | None = None, default_rows: int = 0, **changes: Any) -> Plan:
    changes = {"archived": (archived(2024),), **changes}
    return plan_reattach(table(**changes), "kid_absences_2024", rows=rows, default_rows=default_rows)


def test_concurrently() -> None:
    plan = archiving()
    assert scripts(plan) == [
        COMMENT,
        f"ALTER TABLE {PARENT} DETACH PARTITION {CHILD} CONCURRENTLY;",
        f'ALTER TABLE {CHILD} SET SCHEMA "archive";',
    ]
    detach = plan.steps[1]
    assert not detach.transactional
    assert detach.finish == f"ALTER TABLE {PARENT} DETACH PARTITION {CHILD} FINALIZE"
    assert detach.locks == (Lock(PARENT, Mode.SHARE_UPDATE_EXCLUSIVE), Lock(CHILD, Mode.ACCESS_EXCLUSIVE))
    assert (plan.operation, plan.subject) == (ARCHIVE, "kid_absences_2025")
    assert plan.command == "partitions archive --partition kid_absences_2025 --table public.kid_absences"
    assert plan.way_back == "Reattach: partitions reattach --partition kid_absences_2025 --table public.kid_absences"
    assert plan.effects[0].endswith("New rows of its range fail.")


IN_TRANSACTION = [
    f"""BEGIN;
ALTER TABLE {PARENT} DETACH PARTITION {CHILD};
ALTER TABLE {CHILD} ADD CONSTRAINT "kid_absences_2025_date_check" CHECK ({WITHIN_2025}) NOT VALID;
{COMMENT}
ALTER TABLE {CHILD} SET SCHEMA "archive";
COMMIT;""",
    'ALTER TABLE "archive"."kid_absences_2025" VALIDATE CONSTRAINT "kid_absences_2025_date_check";',
]


def test_in_one_transaction_with_a_default() -> None:
    plan = archiving(partitions=(partition(2025), default_partition()))
    assert scripts(plan) == IN_TRANSACTION
    assert plan.steps[0].locks == (
        Lock(PARENT, Mode.ACCESS_EXCLUSIVE),
        Lock(CHILD, Mode.ACCESS_EXCLUSIVE),
        Lock('"public"."kid_absences_default"', Mode.ACCESS_EXCLUSIVE),
    )
    assert "land in the DEFAULT partition kid_absences_default instead of failing" in plan.effects[0]


@pytest.mark.parametrize(
    "other",
    [{"server": server(can=Capabilities(concurrent_detach=False))}, {"distribution": Distribution("kid_id", 1)}],
    ids=["13", "Citus"],
)
def test_in_one_transaction_where_concurrently_is_not_to_be_had(other: dict[str, Any]) -> None:
    assert scripts(archiving(**other)) == IN_TRANSACTION


def test_what_citus_does_not_distribute_is_detached_as_everywhere() -> None:
    assert scripts(archiving(server=server(can=Capabilities(citus="13.2-1")))) == scripts(archiving())


def test_a_users_own_check_of_the_bounds_is_used_and_kept() -> None:
    own = partition(2025, checks=(bounds_check(bounds(2025, 2026), "mine"),))
    plan = archiving(partitions=(own, default_partition()))
    made = f'ALTER TABLE {CHILD} ADD CONSTRAINT "kid_absences_2025_date_check" CHECK ({WITHIN_2025}) NOT VALID;\n'
    script = IN_TRANSACTION[0].replace(made, "").replace('"made_check": true', '"made_check": false')
    assert scripts(plan) == [script]


def test_a_taken_name_of_the_check_gets_a_number() -> None:
    taken = ("kid_absences_2025_date_check", "kid_absences_2025_date_check1")
    plan = archiving(partitions=(partition(2025, constraint_names=taken), default_partition()))
    assert '"kid_absences_2025_date_check2"' in plan.sql


def test_the_schema_is_made_where_it_is_missing() -> None:
    plan = archiving(archive=archive_schema(name="Old Years", exists=False, may_create=False))
    assert scripts(plan)[0].splitlines() == [
        "BEGIN;",
        'CREATE SCHEMA IF NOT EXISTS "Old Years";',
        'REVOKE ALL ON SCHEMA "Old Years" FROM PUBLIC;',
        "COMMIT;",
    ]
    assert scripts(plan)[-1] == f'ALTER TABLE {CHILD} SET SCHEMA "Old Years";'


def test_a_pending_detach_is_finished() -> None:
    plan = archiving(partitions=(partition(2025, pending=True),))
    assert scripts(plan) == [
        COMMENT,
        f"ALTER TABLE {PARENT} DETACH PARTITION {CHILD} FINALIZE;",
        f'ALTER TABLE {CHILD} SET SCHEMA "archive";',
    ]
    assert plan.steps[1].waits_for_all
    assert plan.warnings[0].startswith("Its detach was begun before and is finished now")


def test_a_pending_detach_of_a_future_period_is_finished_too() -> None:
    future = table(partitions=(partition(2027, pending=True),))
    assert len(plan_archive(future, "kid_absences_2027", now=NOW).steps) == 3


def test_a_move_that_was_cut_short_is_finished() -> None:
    half = table(partitions=(), archived=(archived(2025, schema="public"),))
    plan = plan_archive(half, "kid_absences_2025", now=NOW)
    assert scripts(plan) == [f'ALTER TABLE {CHILD} SET SCHEMA "archive";']
    assert plan.effects == ("It is detached already; this finishes what an interrupted archive left.",)


def test_a_proof_that_was_cut_short_is_finished() -> None:
    half = table(partitions=(), archived=(archived(2025, validated=False),))
    assert scripts(plan_archive(half, "kid_absences_2025", now=NOW)) == IN_TRANSACTION[1:]


def test_both_are_finished_and_the_schema_made() -> None:
    half = table(
        partitions=(),
        archive=archive_schema(exists=False),
        archived=(archived(2025, schema="public", validated=False),),
    )
    assert scripts(plan_archive(half, "kid_absences_2025", now=NOW))[1:] == [
        f'ALTER TABLE {CHILD} SET SCHEMA "archive";',
        *IN_TRANSACTION[1:],
    ]


@pytest.mark.parametrize("default", [False, True], ids=["", "default"])
def test_foreign_keys_are_locked_too(default: bool) -> None:
    partitions = (partition(2025), default_partition()) if default else (partition(2025),)
    plan = archiving(references=(KIDS,), referenced_by=(LETTERS,), partitions=partitions)
    locks = {lock.relation: lock.mode for lock in plan.locks}
    assert (locks["public.kids"], locks["public.letters"]) == (Mode.SHARE_ROW_EXCLUSIVE, Mode.ACCESS_EXCLUSIVE)
    assert plan.warnings[0].startswith("Rows that public.letters refers to keep the partition from being detached")


def test_the_users_comment_stays_above_the_tag() -> None:
    plan = archiving(partitions=(partition(2025, comment="it's\nmine"),))
    assert scripts(plan)[0].startswith(f"COMMENT ON TABLE {CHILD} IS E'it''s\nmine\npartition-desk: ")
    bounds = "FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')"
    old = Tag(PARENT, "public", bounds, "2020-01-01T00:00:00+00:00", made_check=False)
    old_tag = Marks(old).beside("mine")
    assert scripts(archiving(partitions=(partition(2025, comment=old_tag),)))[0].count("partition-desk") == 1


def test_a_hold_stays_on_the_way_there_and_back() -> None:
    hold = Hold("2027-01-31", "audit", "ada")
    line = Marks(hold=hold).beside(None)
    there = scripts(archiving(partitions=(partition(2025, comment=Marks(hold=hold).beside("mine")),)))[0]
    assert there.startswith(f"COMMENT ON TABLE {CHILD} IS E'mine\npartition-desk: ")
    assert there.endswith(f"\n{line}';")
    drop = PlannedDrop("public.kid_absences", "2026-12-01T08:00:00+00:00", "b", "text-1:0:0", "ada")
    back = scripts(reattaching(archived=(archived(2024, hold=hold, drop=drop),)))[-1]
    assert f"COMMENT ON TABLE {BACK} IS '{line}';" in back


def test_archive_of_hostile_names() -> None:
    odd = partition(2025, name='Kid "A" -- 100%; DROP', schema="No.rth")
    plan = plan_archive(table(name='Kid "A"', schema="No.rth", partitions=(odd,)), odd.name, now=NOW)
    assert scripts(plan)[1] == (
        'ALTER TABLE "No.rth"."Kid ""A""" DETACH PARTITION "No.rth"."Kid ""A"" -- 100%; DROP" CONCURRENTLY;'
    )
    assert plan.command == (
        """partitions archive --partition 'Kid "A" -- 100%; DROP' --table '"No.rth"."Kid ""A""\"'"""
    )


def test_an_open_archive_schema_is_warned_of() -> None:
    plan = archiving(archive=archive_schema(open_to_public=True))
    assert plan.warnings[0] == "The schema archive is open to every role of the database."


@pytest.mark.parametrize(
    ("now", "zone", "refused"),
    [
        (datetime(2025, 12, 31, 12, tzinfo=UTC), "UTC", True),
        (datetime(2026, 1, 1, 0, 30, tzinfo=UTC), "UTC", False),
        (NOW, "UTC", False),
    ],
)
def test_only_a_period_that_is_over(now: datetime, zone: str, refused: bool) -> None:
    if not refused:
        assert plan_archive(table(), "kid_absences_2025", now=now, zone=zone).steps
        return
    with pytest.raises(
        PeriodNotOver, match="kid_absences_2025 holds dates that are not over: it goes up to '2026-01-01'"
    ):
        plan_archive(table(), "kid_absences_2025", now=now, zone=zone)


def test_the_current_period_where_it_is_allowed() -> None:
    plan = plan_archive(table(), "kid_absences_2026", now=NOW, allow_current=True)
    assert (
        plan.command == "partitions archive --partition kid_absences_2026 --allow-current --table public.kid_absences"
    )


@pytest.mark.parametrize("tagged", [True, False])
def test_what_is_archived_has_nothing_left_to_do(tagged: bool) -> None:
    plan = plan_archive(table(partitions=(), archived=(archived(2025, tagged=tagged),)), "kid_absences_2025", now=NOW)
    assert plan.steps == ()
    assert plan.effects == ("kid_absences_2025 is archived already: archive.kid_absences_2025.",)


ABOVE = partition(2025, bounds=Bounds.parse("FOR VALUES FROM ('2025-01-01') TO (MAXVALUE)"))
ARCHIVE_REFUSALS: list[tuple[str, dict[str, Any], type[DeskError], str]] = [
    ("shown", {"not_served": "it is partitioned by HASH"}, NotServed, "public.kid_absences is only shown here"),
    ("standby", {"server": server(in_recovery=True)}, ReadOnlyServer, "Connect to the primary server"),
    ("owner", {"owned": False, "owner": "boss"}, NotAllowed, "grant the role boss to app"),
    ("missing", {"partitions": (partition(2026),)}, PartitionNotFound, "has no partition kid_absences_2025"),
    (
        "pending",
        {"partitions": (partition(2025), partition(2026, pending=True))},
        DetachPending,
        "The detach of kid_absences_2026 was begun and not finished",
    ),
    ("sub", {"partitions": (partition(2025, kind=Kind.FOREIGN),)}, Refused, "2025 is a foreign table: its rows"),
    ("bounds", {"partitions": (partition(2025, bounds=None),)}, Refused, "can't be read just now"),
    ("default", {"partitions": (default_partition(name="kid_absences_2025"),)}, Refused, "is the DEFAULT partition"),
    ("open", {"partitions": (ABOVE,)}, PeriodNotOver, "it goes up to MAXVALUE"),
    (
        "schema",
        {"archive": archive_schema(exists=False), "server": server(may_create_schema=False)},
        NotAllowed,
        'CREATE SCHEMA "archive" AUTHORIZATION "app"',
    ),
    ("room", {"archive": archive_schema(may_create=False)}, NotAllowed, 'USAGE, CREATE ON SCHEMA "archive" TO "app"'),
    (
        "table",
        {"archive": archive_schema(taken=frozenset({"kid_absences_2025"}))},
        NameTaken,
        "archive already holds kid_absences_2025; tables, their row types, indexes and sequences share names there",
    ),
    (
        "index",
        {"archive": archive_schema(taken=frozenset({"kid_absences_2025_date_idx"}))},
        NameTaken,
        "Rename what stands there, if nobody reads it by that name.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "error", "message"), [r[1:] for r in ARCHIVE_REFUSALS], ids=[r[0] for r in ARCHIVE_REFUSALS]
)
def test_archive_is_refused(changes: dict[str, Any], error: type[DeskError], message: str) -> None:
    with pytest.raises(error) as refused:
        archiving(**changes)
    assert message in str(refused.value)
    assert "Nothing was changed." in str(refused.value)
