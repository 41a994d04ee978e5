"""plan_reattach: the whole SQL of every path, and every refusal."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
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
)
from core.plans.obstacles import attach_obstacles
from core.plans.plan import Lock, Mode, Plan
from core.plans.reattach import REATTACH, plan_reattach
from core.postgres.capabilities import Capabilities
from core.tables.archived import Source
from core.tables.key import KeyRange
from core.tables.structure import Check, Column, ForeignKey
from tests.unit.factories import (
    BY_DATE,
    COLUMNS,
    UNIQUE,
    archived,
    bounds,
    default_partition,
    partition,
    server,
    table,
)

PARENT = '"public"."kid_absences"'
STORED = '"archive"."kid_absences_2024"'
BACK = '"public"."kid_absences_2024"'
KIDS = ForeignKey("fk", "public.kids", "FOREIGN KEY (kid_id) REFERENCES public.kids(id)")
WITHIN_2024 = '"date" IS NOT NULL AND "date" >= \'2024-01-01\'::date AND "date" < \'2025-01-01\'::date'
ATTACH = f"ALTER TABLE {PARENT} ATTACH PARTITION {BACK} FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"
ROWS = KeyRange(date(2024, 1, 2), date(2024, 12, 30))


def scripts(plan: Plan) -> list[str]:
    return [step.sql for step in plan.steps]


def reattaching(rows: KeyRange | None = None, default_rows: int = 0, **changes: Any) -> Plan:
    changes = {"archived": (archived(2024),), **changes}
    return plan_reattach(table(**changes), "kid_absences_2024", rows=rows, default_rows=default_rows)


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
    whole = reattaching(references=(KIDS,), archived=(archived(2024, foreign_keys=(KIDS,)),))
    assert scripts(whole) == [attach_script(tail=UNTAG)]
    unproven = replace(KIDS, name="own", definition=f"{KIDS.definition} NOT VALID")
    proven_first = reattaching(references=(KIDS,), archived=(archived(2024, foreign_keys=(unproven,)),))
    assert scripts(proven_first) == [
        f'ALTER TABLE {STORED} VALIDATE CONSTRAINT "own";',
        attach_script(tail=UNTAG),
    ], "beside its own ATTACH would make a second"


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


def test_what_is_attached_has_nothing_to_come_back_from() -> None:
    plan = plan_reattach(table(partitions=(partition(2025), partition(2026, pending=True))), "kid_absences_2025")
    assert plan.steps == ()
    assert plan.effects == ("kid_absences_2025 is attached to public.kid_absences already.",)


def test_who_owns_neither_is_told_of_no_other_owner() -> None:
    of = table(archived=(archived(2021, owned=False),))
    assert attach_obstacles(of, of.archived[0]) == ()
    (told,) = attach_obstacles(of, replace(of.archived[0], owner="somebody"))
    assert str(told).startswith(f"Its owner is somebody, not {of.owner}")
