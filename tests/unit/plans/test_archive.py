"""plan_archive and plan_reattach: the whole SQL of every path, and every refusal."""

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
    Overlap,
    PartitionNotFound,
    PeriodNotOver,
    ReadOnlyServer,
    Refused,
)
from core.plans.archive import ARCHIVE, REATTACH, plan_archive, plan_reattach
from core.plans.obstacles import attach_obstacles
from core.plans.plan import Lock, Mode, Plan
from core.postgres.capabilities import Capabilities
from core.tables.archived import Source
from core.tables.bounds import Bounds
from core.tables.distribution import Distribution
from core.tables.key import KeyRange
from core.tables.marks import Hold, Marks, PlannedDrop, Tag
from core.tables.structure import Check, Column, ForeignKey
from tests.unit.factories import (
    BY_DATE,
    COLUMNS,
    NOW,
    UNIQUE,
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
STORED = '"archive"."kid_absences_2024"'
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
WITHIN_2024 = WITHIN_2025.replace("2025", "2024").replace("2026", "2025")
ATTACH = f"ALTER TABLE {PARENT} ATTACH PARTITION {BACK} FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"
ROWS = KeyRange(date(2024, 1, 2), date(2024, 12, 30))


def scripts(plan: Plan) -> list[str]:
    return [step.sql for step in plan.steps]


def archiving(**changes: Any) -> Plan:
    return plan_archive(table(**changes), "kid_absences_2025", now=NOW)


def reattaching(rows: KeyRange | None = None, default_rows: int = 0, **changes: Any) -> Plan:
    changes = {"archived": (archived(2024),), **changes}
    return plan_reattach(table(**changes), "kid_absences_2024", rows=rows, default_rows=default_rows)


# --- archive -------------------------------------------------------------------------------------------------------


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


def test_what_is_attached_has_nothing_to_come_back_from() -> None:
    plan = plan_reattach(table(partitions=(partition(2025), partition(2026, pending=True))), "kid_absences_2025")
    assert plan.steps == ()
    assert plan.effects == ("kid_absences_2025 is attached to public.kid_absences already.",)


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
    ("sub", {"partitions": (partition(2025, leaf=False),)}, Refused, "is partitioned itself or a foreign table"),
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
        '"archive"."kid_absences_2025_date_idx" RENAME TO',
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


# --- reattach ------------------------------------------------------------------------------------------------------


def attach_script(*, check: str | None = "kid_absences_2024_date_check", default: bool = False, tail: str = "") -> str:
    lines = ["BEGIN;", f'ALTER TABLE {STORED} SET SCHEMA "public";', ATTACH]
    if check:
        lines.append(f'ALTER TABLE {BACK} DROP CONSTRAINT "{check}";')
    if default:
        lines.append(
            'ALTER TABLE "public"."kid_absences_default" DROP CONSTRAINT "partition_desk_excludes_kid_absences_2024";'
        )
    return "\n".join([*lines, *([tail] if tail else []), "COMMIT;"])


UNTAG = f"COMMENT ON TABLE {BACK} IS NULL;"
PROOF = [
    f'ALTER TABLE {STORED} ADD CONSTRAINT "kid_absences_2024_date_check" CHECK ({WITHIN_2024}) NOT VALID;',
    f'ALTER TABLE {STORED} VALIDATE CONSTRAINT "kid_absences_2024_date_check";',
]
EXCLUDE = [
    'ALTER TABLE "public"."kid_absences_default" ADD CONSTRAINT "partition_desk_excludes_kid_absences_2024" CHECK'
    ' ("date" IS NULL OR "date" < \'2024-01-01\'::date OR "date" >= \'2025-01-01\'::date) NOT VALID;',
    'ALTER TABLE "public"."kid_absences_default" VALIDATE CONSTRAINT "partition_desk_excludes_kid_absences_2024";',
]


def test_from_the_tag() -> None:
    plan = reattaching()
    assert scripts(plan) == [attach_script(tail=UNTAG)]
    assert plan.locks == (
        Lock(STORED, Mode.ACCESS_EXCLUSIVE),
        Lock(PARENT, Mode.SHARE_UPDATE_EXCLUSIVE),
        Lock(BACK, Mode.ACCESS_EXCLUSIVE),
    )
    assert (plan.operation, plan.subject, plan.warnings) == (REATTACH, "kid_absences_2024", ())
    assert plan.command == "partitions reattach --partition kid_absences_2024 --table public.kid_absences"


def test_a_users_comment_and_own_check_stay() -> None:
    tag = archived(2024).tag
    assert tag is not None
    mine = archived(2024, comment="mine\n2", tag=replace(tag, made_check=False))
    assert scripts(reattaching(archived=(mine,))) == [
        attach_script(check=None, tail=f"COMMENT ON TABLE {BACK} IS 'mine\n2';")
    ]


def test_a_check_that_was_not_validated_is_validated_first() -> None:
    plan = reattaching(ROWS, archived=(archived(2024, validated=False),))
    assert scripts(plan) == [PROOF[1], attach_script(tail=UNTAG)]


def test_a_check_that_is_gone_is_written_anew() -> None:
    plan = reattaching(ROWS, archived=(archived(2024, checks=()),))
    assert scripts(plan) == [*PROOF, attach_script(tail=UNTAG)]
    assert plan.steps[0].undo == (f'ALTER TABLE {STORED} DROP CONSTRAINT "kid_absences_2024_date_check"',)


def test_a_check_without_not_null_does_for_a_column_that_is() -> None:
    bare = Check("mine", "CHECK (((date >= '2024-01-01'::date) AND (date < '2025-01-01'::date)))", validated=True)
    by_hand = archived(2024, tagged=False, source=Source.CHECK, checks=(bare,))
    plan = reattaching(archived=(by_hand,))
    assert scripts(plan) == [attach_script(check=None)]
    assert plan.warnings == ("It was archived by hand: its bounds come from its CHECK constraint.",)


def test_a_check_without_not_null_does_not_do_for_a_column_that_allows_it() -> None:
    nullable = tuple(replace(column, not_null=False, identity=False) for column in COLUMNS)
    bare = Check("mine", "CHECK (((date >= '2024-01-01'::date) AND (date < '2025-01-01'::date)))", validated=True)
    by_hand = archived(2024, tagged=False, source=Source.CHECK, checks=(bare,), columns=nullable)
    plan = reattaching(ROWS, archived=(by_hand,), columns=nullable)
    assert scripts(plan) == [*PROOF, attach_script()]


def test_by_its_name() -> None:
    plan = reattaching(ROWS, archived=(archived(2024, tagged=False),))
    assert scripts(plan) == [*PROOF, attach_script()]
    assert plan.warnings[0].startswith("It was archived by hand: its bounds come from its name and are proven")


def test_an_empty_table_by_its_name() -> None:
    plan = reattaching(KeyRange(None, None), archived=(archived(2024, tagged=False),))
    assert scripts(plan) == [*PROOF, attach_script()]


def test_a_default_is_kept_out_of_the_lock() -> None:
    plan = reattaching(partitions=(partition(2025), default_partition()))
    assert scripts(plan) == [*EXCLUDE, attach_script(default=True, tail=UNTAG)]


def test_a_missing_index_is_built_before() -> None:
    plan = reattaching(archived=(archived(2024, indexes=(replace(UNIQUE, name="u"),)),))
    assert scripts(plan) == [
        f'CREATE INDEX CONCURRENTLY "kid_absences_2024_date_idx" ON {STORED} USING btree (date);',
        attach_script(tail=UNTAG),
    ]
    assert not plan.steps[0].transactional


def test_a_missing_constraint_is_built_as_an_index_before() -> None:
    plan = reattaching(archived=(archived(2024, indexes=(replace(BY_DATE, name="d"),)),))
    assert scripts(plan) == [
        f'CREATE UNIQUE INDEX CONCURRENTLY "kid_absences_2024_kid_id_date_key" ON {STORED} USING btree (kid_id, date);',
        f'ALTER TABLE {STORED} ADD CONSTRAINT "kid_absences_2024_kid_id_date_key" UNIQUE'
        ' USING INDEX "kid_absences_2024_kid_id_date_key";',
        attach_script(tail=UNTAG),
    ]


def test_a_unique_index_without_its_constraint_becomes_it() -> None:
    bare = replace(UNIQUE, name="bare", constraint=False)
    plan = reattaching(archived=(archived(2024, indexes=(bare, replace(BY_DATE, name="d"))),))
    assert scripts(plan)[0] == f'ALTER TABLE {STORED} ADD CONSTRAINT "bare" UNIQUE USING INDEX "bare";'


def test_a_primary_key() -> None:
    primary = replace(UNIQUE, name="kid_absences_pkey", primary=True)
    plan = reattaching(indexes=(primary,), archived=(archived(2024, indexes=()),))
    assert scripts(plan)[1] == (
        f'ALTER TABLE {STORED} ADD CONSTRAINT "kid_absences_2024_pkey" PRIMARY KEY'
        ' USING INDEX "kid_absences_2024_pkey";'
    )


def test_two_alike_need_two() -> None:
    twice = (BY_DATE, replace(BY_DATE, name="again"))
    one = replace(BY_DATE, name="kid_absences_2024_date_idx")
    plan = reattaching(indexes=twice, archived=(archived(2024, indexes=(one,)),))
    assert scripts(plan)[0] == (
        f'CREATE INDEX CONCURRENTLY "kid_absences_2024_date_idx_partition" ON {STORED} USING btree (date);'
    )


def test_an_unfinished_index_is_taken_away_first() -> None:
    broken = replace(BY_DATE, name="kid_absences_2024_date_idx", valid=False)
    plan = reattaching(archived=(archived(2024, indexes=(replace(UNIQUE, name="u"), broken)),))
    assert scripts(plan)[:2] == [
        'DROP INDEX CONCURRENTLY "archive"."kid_absences_2024_date_idx";',
        f'CREATE INDEX CONCURRENTLY "kid_absences_2024_date_idx" ON {STORED} USING btree (date);',
    ]


def test_a_missing_foreign_key_is_checked_before() -> None:
    plan = reattaching(references=(KIDS,))
    assert scripts(plan) == [
        f'ALTER TABLE {STORED} ADD CONSTRAINT "kid_absences_2024_fk" {KIDS.definition} NOT VALID;',
        f'ALTER TABLE {STORED} VALIDATE CONSTRAINT "kid_absences_2024_fk";',
        attach_script(tail=UNTAG),
    ]
    assert plan.steps[0].undo == (f'ALTER TABLE {STORED} DROP CONSTRAINT "kid_absences_2024_fk"',)
    whole = reattaching(references=(KIDS,), archived=(archived(2024, foreign_keys=(KIDS.definition,)),))
    assert scripts(whole) == [attach_script(tail=UNTAG)]


def test_it_goes_back_to_the_schema_it_came_from() -> None:
    tag = archived(2024).tag
    assert tag is not None
    plan = reattaching(archived=(archived(2024, tag=replace(tag, schema="north")),))
    assert f'ALTER TABLE {STORED} SET SCHEMA "north";' in scripts(plan)[0]
    at_home = archived(2024, schema="public")
    assert "SET SCHEMA" not in reattaching(archived=(at_home,)).sql


def spoiled(column: Column | None = None, *, drop: str = "", **changes: Any) -> dict[str, Any]:
    columns = tuple(
        column if column and own.name == column.name else replace(own, identity=False)
        for own in COLUMNS
        if own.name != drop
    )
    if column and column.name not in {own.name for own in COLUMNS}:
        columns = (*columns, column)
    return {"archived": (archived(2024, columns=columns, **changes),)}


REATTACH_REFUSALS: list[tuple[str, dict[str, Any], type[DeskError], str]] = [
    ("shown", {"not_served": "it is not partitioned"}, NotServed, "only shown here"),
    ("owner", {"owned": False}, NotAllowed, "PostgreSQL lets nobody else attach or detach"),
    ("pending", {"partitions": (partition(2025, pending=True),)}, DetachPending, "not finished"),
    ("missing", {"archived": ()}, PartitionNotFound, "kid_absences_2024"),
    (
        "bounds",
        {"archived": (archived(2024, bounds=None, tag=None, source=None),)},
        NotAttachable,
        "archive.kid_absences_2024",
    ),
    (
        "overlap",
        {"partitions": (partition(2025, bounds=bounds(date(2024, 6, 1), date(2026, 1, 1))),)},
        Overlap,
        "kid_absences_2025 holds a part of kid_absences_2024's range already",
    ),
    ("name", {"taken": frozenset({"kid_absences_2024"})}, NameTaken, "public already holds kid_absences_2024"),
    (
        "index name",
        {"taken": frozenset({"kid_absences_2024_date_idx"})},
        NameTaken,
        "public already holds kid_absences_2024_date_idx",
    ),
    ("lacks", spoiled(drop="reason"), NotAttachable, 'ADD COLUMN "reason" text'),
    ("extra", spoiled(Column("more", "int", not_null=False)), NotAttachable, 'DROP COLUMN "more"'),
    ("type", spoiled(Column("reason", "integer", not_null=False)), NotAttachable, 'ALTER COLUMN "reason" TYPE text'),
    ("null", spoiled(Column("kid_id", "bigint", not_null=False)), NotAttachable, 'ALTER COLUMN "kid_id" SET NOT NULL'),
    ("collation", spoiled(Column("reason", "text", not_null=False, collation="C")), NotAttachable, "the collation C"),
    (
        "generated",
        spoiled(Column("reason", "text", not_null=False, generated="s 'x'")),
        NotAttachable,
        "DROP EXPRESSION;",
    ),
    ("identity", spoiled(Column("id", "bigint", not_null=True, identity=True)), NotAttachable, "DROP IDENTITY"),
    (
        "check",
        {"checks": (Check("positive", "CHECK ((kid_id > 0))", validated=True),)},
        NotAttachable,
        'ADD CONSTRAINT "positive" CHECK ((kid_id > 0))',
    ),
    ("owner of it", {"archived": (archived(2024, owner="boss", owned=False),)}, NotAttachable, 'OWNER TO "app"'),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "error", "message"), [r[1:] for r in REATTACH_REFUSALS], ids=[r[0] for r in REATTACH_REFUSALS]
)
def test_reattach_is_refused(changes: dict[str, Any], error: type[DeskError], message: str) -> None:
    with pytest.raises(error) as refused:
        reattaching(**changes)
    assert message in str(refused.value)
    assert "Nothing was changed." in str(refused.value)


@pytest.mark.parametrize(
    ("rows", "default_rows", "message"),
    [
        (KeyRange(date(2024, 1, 1), date(2025, 1, 1)), 0, "Its rows run from 2024-01-01 to 2025-01-01, outside of the"),
        (
            KeyRange(date(2023, 12, 31), date(2024, 2, 1)),
            0,
            "bounds that its name says: FOR VALUES FROM ('2024-01-01')",
        ),
        (KeyRange(date(2024, 1, 1), date(2024, 2, 1), nulls=1200), 0, "1,200 of its rows have no date"),
        (ROWS, 4000, "The DEFAULT partition kid_absences_default holds 4,000 rows of its range"),
    ],
)
def test_rows_that_keep_it_away(rows: KeyRange, default_rows: int, message: str) -> None:
    with pytest.raises(NotAttachable) as refused:
        reattaching(
            rows,
            default_rows,
            archived=(archived(2024, tagged=False),),
            partitions=(partition(2025), default_partition()),
        )
    assert message in str(refused.value)


def test_every_reason_is_told_at_once() -> None:
    columns = (Column("id", "integer", not_null=False),)
    with pytest.raises(NotAttachable) as refused:
        reattaching(archived=(archived(2024, columns=columns, owner="boss", owned=False),))
    assert len(refused.value.reasons) == 6


def test_a_superuser_need_not_own_it() -> None:
    mine = table(server=server(can=Capabilities(superuser=True)))
    assert attach_obstacles(mine, archived(2024, owner="boss", owned=False)) == ()


def test_reattach_of_hostile_names() -> None:
    odd = archived(2024, name="a'b \\ 100%:x", schema="Old.Years", indexes=())
    odd = replace(odd, checks=())
    plan = plan_reattach(table(archived=(odd,), indexes=()), odd.name, rows=ROWS)
    assert scripts(plan)[0].startswith(
        """ALTER TABLE "Old.Years"."a'b \\ 100%:x" ADD CONSTRAINT "a'b \\ 100%:x_date_check" CHECK ("""
    )
