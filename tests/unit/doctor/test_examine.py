"""Every check of the Doctor: a table in good health passes it, and a table with that one fault does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from core.doctor.examine import CHECKS
from core.doctor.findings import Severity
from core.plans.archive import ARCHIVE
from core.plans.backup import BACKUP
from core.plans.drop import SCHEDULE
from core.plans.hold import HOLD
from core.plans.proof import Unreadable, Verdict
from core.plans.steps import EXCLUSION
from core.plans.verify import VERIFY
from core.tables.archived import Source
from core.tables.bounds import Bounds
from core.tables.ends import KeyType
from core.tables.key import Key
from core.tables.marks import Hold, Marks, PlannedDrop, Tag
from core.tables.size import Size
from core.tables.structure import Check, Column
from tests.unit.doctor.looking import YEARS, findings, look, only
from tests.unit.factories import (
    BY_DATE,
    COLUMNS,
    UNIQUE,
    archive_schema,
    archived,
    bounds,
    bounds_check,
    default_partition,
    kept,
    partition,
    server,
    table,
)


def test_a_healthy_table_passes_every_check_with_a_sentence_each() -> None:
    found = look(table(archived=(archived(2023), archived(2024))), backups=(kept(2023), kept(2024)))
    assert [finding.check for finding in found] == [check.__name__ for check in CHECKS]
    assert {finding.severity for finding in found} == {Severity.OK}
    assert all(finding.title and finding.fix is None and not finding.hint for finding in found)
    assert len({finding.title for finding in found}) == len(found)


def test_the_most_severe_come_first_and_equals_keep_the_order_of_the_checks() -> None:
    found = look(table(partitions=(partition(2025),), owned=False), automatic_creation=False)
    assert [(f.severity, f.check) for f in found[:4]] == [
        (Severity.CRITICAL, "current_period"),
        (Severity.WARNING, "next_period"),
        (Severity.WARNING, "privileges"),
        (Severity.WARNING, "automatic_creation"),
    ]
    names = [check.__name__ for check in CHECKS]
    for severity in Severity:
        places = [names.index(f.check) for f in found if f.severity is severity]
        assert places == sorted(places)


def test_every_check_says_something_of_every_spoiled_table() -> None:
    spoiled = table(
        partitions=(partition(2020, pending=True, rows=None), partition(2026, bounds=None), default_partition()),
        archived=(archived(2020), archived(2019, bounds=None, source=None, tag=None)),
        indexes=(),
        archive=archive_schema(open_to_public=True),
        server=server(version_num=130004, version="13.4", in_recovery=True),
        owned=False,
    )
    assert {finding.check for finding in look(spoiled)} == {check.__name__ for check in CHECKS}


# Is the table one to act on? -----------------------------------------------------------------------------------------


def test_a_plain_table_has_one_finding_that_says_alembic_upgrade_head() -> None:
    (found,) = look(table(strategy="plain", key=None, not_served="it is not partitioned", partitions=()))
    assert (found.check, found.severity) == ("partitioned", Severity.CRITICAL)
    assert "plain table" in found.title
    assert "alembic upgrade head" in found.hint


def test_a_table_partitioned_in_another_way_has_one_note_with_the_reason() -> None:
    (found,) = look(table(strategy="list", key=None, not_served="it is partitioned by LIST, not by RANGE"))
    assert (found.check, found.severity) == ("partitioned", Severity.NOTE)
    assert "LIST" in found.reason


def test_partitioned_says_by_what_and_in_how_many() -> None:
    assert only("partitioned", table()).title == "public.kid_absences is partitioned by date, with 3 partitions"


def test_bounds_that_cannot_be_read_are_told_and_nothing_is_planned_on_a_guess() -> None:
    spoiled = table(partitions=(partition(2025), partition(2026, bounds=None, busy=True)))
    assert only("partitioned", spoiled).severity is Severity.NOTE
    found = only("current_period", spoiled)
    assert found.fix is None
    assert "kid_absences_2026 can't be read" in found.reason


# This period and the next --------------------------------------------------------------------------------------------


def test_no_partition_for_today_is_critical_and_is_created_by_its_plan() -> None:
    found = only("current_period", table(partitions=(partition(2025),)))
    assert found.severity is Severity.CRITICAL
    assert found.title == "Today, 20 October 2026, has no partition"
    assert "insert for today fails" in found.reason
    assert found.act == "Create 2026"
    assert found.fix is not None
    assert found.fix.steps[0].statements[1] == (
        'ALTER TABLE "public"."kid_absences" ATTACH PARTITION "public"."kid_absences_2026"'
        " FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')"
    )
    assert "kid_absences_2026" in only("current_period", table()).title


def test_with_a_default_partition_rows_of_today_go_astray_instead_of_failing() -> None:
    found = only("current_period", table(partitions=(partition(2025), default_partition())), default_rows=12)
    assert found.severity is Severity.WARNING
    assert "DEFAULT partition" in found.reason
    assert "creating it is refused and changes nothing" in found.reason


def test_what_the_default_holds_rows_of_is_not_offered_to_be_created() -> None:
    stray = table(partitions=(partition(2025), default_partition()))
    for check in ("current_period", "next_period"):
        found = only(check, stray, default_rows=12, default_held=lambda _bounds: 12)
        assert found.fix is None, check
        assert "holds 12 rows of 202" in found.reason
        assert "partitions drain --table public.kid_absences" in found.hint
        assert only(check, stray, default_rows=12, default_held=lambda _bounds: 0).fix is not None


def test_a_pending_partition_does_not_hold_today() -> None:
    found = only("current_period", table(partitions=(partition(2025), partition(2026, pending=True))))
    assert found.severity is Severity.CRITICAL
    assert found.fix is None
    assert found.hint == "Finish it first: partitions archive --partition kid_absences_2026 --table public.kid_absences"


def test_an_archived_current_period_is_to_be_reattached_not_created_anew() -> None:
    found = only("current_period", table(partitions=(partition(2025),), archived=(archived(2026),)))
    assert found.fix is None
    assert (
        found.hint
        == "Reattach it instead: partitions reattach --partition kid_absences_2026 --table public.kid_absences"
    )
    assert "a new partition would keep it from coming back" in found.reason


def test_a_missing_next_period_is_a_warning_with_the_days_left() -> None:
    found = only("next_period", table(partitions=(partition(2025), partition(2026))))
    assert found.severity is Severity.WARNING
    assert found.title == "The next period, 2027, lacks its partition: 73 days of runway left"
    assert "From 1 January 2027 on inserts would fail" in found.reason
    assert found.act == "Create 2027"
    assert found.fix is not None
    assert found.fix.command == "partitions ensure --year 2027 --table public.kid_absences"


def test_the_next_period_is_there() -> None:
    found = only("next_period", table())
    assert found.severity is Severity.OK
    assert found.reason == "438 days of runway."
    open_ended = partition(2027, bounds=Bounds.parse("FOR VALUES FROM ('2027-01-01') TO (MAXVALUE)"))
    assert "no upper end" in only("next_period", table(partitions=(*YEARS[:2], open_ended))).reason


def test_school_years_need_the_one_after_the_current() -> None:
    school_years = tuple(
        partition(year, bounds=bounds(date(year, 7, 1), date(year + 1, 7, 1))) for year in (2025, 2026, 2027)
    )
    march = date(2027, 3, 1)
    assert only("next_period", table(partitions=school_years), today=march).severity is Severity.OK
    assert only("next_period", table(partitions=school_years[:2]), today=march).severity is Severity.WARNING


def test_monthly_partitions_are_told_by_their_month() -> None:
    months = tuple(partition(month, bounds=bounds(date(2026, month, 1), date(2026, month + 1, 1))) for month in (9, 10))
    found = only("next_period", table(partitions=months))
    assert found.title == "The next period, November 2026, lacks its partition: 12 days of runway left"
    assert found.fix is not None
    assert found.fix.subject == "2026_11"


def test_a_moment_key_is_cut_by_the_applications_calendar() -> None:
    key = Key("at", KeyType.TIMESTAMPTZ)
    both = tuple(
        partition(year, bounds=Bounds.between(key, date(year, 1, 1), date(year + 1, 1, 1), "Europe/Berlin"))
        for year in (2026, 2027)
    )
    spoiled = table(key=key, partitions=both[:1])
    found = only("next_period", spoiled, zone="Europe/Berlin")
    assert found.fix is not None
    assert "FROM ('2026-12-31 23:00:00+00') TO ('2027-12-31 23:00:00+00')" in found.fix.sql
    assert only("next_period", table(key=key, partitions=both), zone="Europe/Berlin").severity is Severity.OK


# Gaps, overlaps ------------------------------------------------------------------------------------------------------


def test_a_gap_is_a_warning_and_its_plan_creates_each_period_of_it() -> None:
    found = only("gaps", table(partitions=(partition(2022), *YEARS)))
    assert found.severity is Severity.WARNING
    assert found.title == "No partition from 1 January 2023 up to 1 January 2025"
    assert found.act == "Create 2 partitions of 1 year each"
    assert found.fix is not None
    assert found.fix.subject == "2023, 2024"


def test_there_is_no_gap_where_archived_tables_explain_it() -> None:
    explained = table(partitions=(partition(2022), *YEARS), archived=(archived(2023), archived(2024)))
    assert only("gaps", explained).severity is Severity.OK


def test_what_archived_tables_leave_of_a_gap_is_told() -> None:
    found = only("gaps", table(partitions=(partition(2022), *YEARS), archived=(archived(2023),)))
    assert found.title == "No partition from 1 January 2024 up to 1 January 2025"
    assert found.act == "Create 2024"


def test_a_gap_off_the_calendar_is_closed_by_hand() -> None:
    odd = partition(2024, bounds=bounds(2024, date(2024, 11, 15)))
    found = only("gaps", table(partitions=(partition(2023), odd, *YEARS)))
    assert found.fix is None
    assert found.hint == (
        "BEGIN;\nSET LOCAL lock_timeout = '2s';\n"
        'CREATE TABLE "public"."kid_absences_20241115_20250101"'
        ' (LIKE "public"."kid_absences" INCLUDING ALL EXCLUDING IDENTITY EXCLUDING COMMENTS);\n'
        'ALTER TABLE "public"."kid_absences" ATTACH PARTITION "public"."kid_absences_20241115_20250101"'
        " FOR VALUES FROM ('2024-11-15') TO ('2025-01-01');\nCOMMIT;"
    )


def test_a_gap_of_centuries_is_not_filled_by_one_click() -> None:
    found = only("gaps", table(partitions=(partition(1026), *YEARS)))
    assert found.severity is Severity.WARNING
    assert found.fix is None
    assert found.hint.startswith("To fill it would take 998 partitions of 1 year each.")
    assert ";" not in found.hint


def test_an_archived_table_whose_range_is_held_again_cannot_come_back() -> None:
    found = only("overlaps", table(partitions=(partition(2024), *YEARS), archived=(archived(2024),)))
    assert found.severity is Severity.WARNING
    assert found.title == "archive.kid_absences_2024 can't come back: kid_absences_2024 holds a part of its range"
    assert 'ALTER TABLE "public"."kid_absences" DETACH PARTITION "public"."kid_absences_2024";' in found.hint
    assert found.subject == "archive.kid_absences_2024", "the name alone means the attached one as well"
    assert only("overlaps", table(archived=(archived(2024),))).severity is Severity.OK


@pytest.mark.parametrize(
    ("held", "within"),
    [
        ("FROM ('2024-03-01') TO ('2024-04-01')", True),
        ("FROM ('2024-01-01') TO ('2025-01-01')", True),
        ("FROM ('2024-01-01') TO ('2025-01-02')", False),
        ("FROM ('2023-12-31') TO ('2024-02-01')", False),
        ("FROM ('2024-01-01') TO (MAXVALUE)", False),
        ("FROM (MINVALUE) TO ('2024-02-01')", False),
        ("FROM ('2024-01-01') TO ('infinity')", False),
    ],
)
def test_only_a_partition_within_the_archived_range_is_given_up(held: str, within: bool) -> None:
    holder = partition(2024, name="holder", bounds=Bounds.parse(f"FOR VALUES {held}"))
    found = only("overlaps", table(partitions=(holder,), archived=(archived(2024),)))
    assert ("DROP TABLE" in found.hint) is within
    assert ("holder holds more than the range of archive.kid_absences_2024" in found.hint) is not within
    assert (";" in found.hint) is within, "words alone"


@pytest.mark.parametrize(
    ("held", "within"),
    [
        ("FROM ('2026-06-01') TO (MAXVALUE)", False),
        ("FROM ('2026-06-01') TO ('infinity')", False),
        ("FROM ('2026-06-01') TO ('2027-01-01')", False),
        ("FROM ('2025-06-01') TO ('infinity')", False),
    ],
)
def test_an_archived_range_that_ends_where_only_the_server_can_compare(held: str, within: bool) -> None:
    holder = partition(2026, name="holder", bounds=Bounds.parse(f"FOR VALUES {held}"))
    open_ended = archived(2026, bounds=Bounds.parse("FOR VALUES FROM ('2026-01-01') TO ('infinity')"))
    found = only("overlaps", table(partitions=(holder,), archived=(open_ended,)))
    assert ("DROP TABLE" in found.hint) is within


def test_two_archived_tables_of_one_range_are_told() -> None:
    twice = (archived(2024), archived(2024, name="kid_absences_2024_copy"))
    found = only("overlaps", table(archived=twice))
    assert found.severity is Severity.WARNING
    assert found.title == "archive.kid_absences_2024 and archive.kid_absences_2024_copy hold the same range"


# DEFAULT, leftovers, pending -----------------------------------------------------------------------------------------


def test_rows_in_the_default_partition_are_counted_and_left_there() -> None:
    found = only("default_partition", table(partitions=(*YEARS, default_partition())), default_rows=1234)
    assert found.severity is Severity.WARNING
    assert found.title == "The DEFAULT partition kid_absences_default holds 1,234 rows"
    assert found.hint == (
        "-- partitions drain --table public.kid_absences\n-- Which periods they are of:\n"
        'SELECT date_trunc(\'year\', "date") AS period, count(*) FROM ONLY "public"."kid_absences_default"'
        " GROUP BY 1 ORDER BY 1;"
    )
    assert "Move them into partitions of their own, while everybody works: partitions drain" in found.reason
    assert "A plain DELETE is no way: it fires the ON DELETE actions" in found.reason
    assert "CONCURRENTLY" in found.reason
    assert only("default_partition", table()).severity is Severity.OK


def test_a_count_that_was_cut_off_says_at_least() -> None:
    found = only("default_partition", table(partitions=(*YEARS, default_partition())), default_rows=1_000_000)
    assert "at least 1,000,000 rows" in found.title


@pytest.mark.parametrize(("rows", "said"), [(0, "it is empty"), (None, "its rows were not counted")])
def test_a_default_partition_without_known_rows_is_a_note(rows: int | None, said: str) -> None:
    found = only("default_partition", table(partitions=(*YEARS, default_partition())), default_rows=rows)
    assert found.severity is Severity.NOTE
    assert said in found.title
    assert "land in it instead of failing" in found.reason


def test_a_check_that_an_interrupted_operation_left_is_dropped_by_hand() -> None:
    left = Check(f"{EXCLUSION}2028", "CHECK (((date < '2028-01-01'::date) OR ...))", validated=False)
    own = Check("reason_given", "CHECK ((reason <> ''::text))", validated=True)
    found = only("leftovers", table(partitions=(*YEARS, default_partition(checks=(own, left)))))
    assert found.severity is Severity.WARNING
    assert found.title == "kid_absences_default still refuses the rows of 2028"
    assert (
        'BEGIN;\nSET LOCAL lock_timeout = \'2s\';\nALTER TABLE "public"."kid_absences_default" DROP CONSTRAINT'
        ' "partition_desk_excludes_2028";\nCOMMIT;'
    ) in found.hint
    assert only("leftovers", table(partitions=(*YEARS, default_partition(checks=(own,))))).severity is Severity.OK


def test_a_tag_on_an_attached_partition_is_a_note_that_keeps_the_users_comment() -> None:
    tag = Tag('"public"."kid_absences"', "public", bounds(2025, 2026).text, "2026-10-01T00:00:00+00:00", True)
    found = only("leftovers", table(partitions=(partition(2025, comment=Marks(tag).beside("It's ours")), *YEARS[1:])))
    assert found.severity is Severity.NOTE
    assert found.hint == "COMMENT ON TABLE \"public\".\"kid_absences_2025\" IS 'It''s ours';"


def test_a_pending_detach_is_critical_and_its_plan_finishes_it() -> None:
    found = only("detach_pending", table(partitions=(partition(2025, pending=True), *YEARS[1:])))
    assert found.severity is Severity.CRITICAL
    assert found.subject == "kid_absences_2025"
    assert "no longer see its rows" in found.reason
    assert "PostgreSQL 18 can crash" in found.reason
    assert found.act == "Finish archiving kid_absences_2025"
    assert found.fix is not None
    assert found.fix.operation is ARCHIVE
    finalize = 'ALTER TABLE "public"."kid_absences" DETACH PARTITION "public"."kid_absences_2025" FINALIZE;'
    assert finalize in [step.sql for step in found.fix.steps]
    assert only("detach_pending", table()).severity is Severity.OK


@pytest.mark.parametrize(
    "changes",
    [{"server": server(version_num=160014, version="16.14")}, {"columns": COLUMNS[1:]}],
    ids=["before identity was shared", "without an identity column"],
)
def test_the_crash_is_told_only_where_it_can_happen(changes: dict[str, Any]) -> None:
    found = only("detach_pending", table(partitions=(partition(2025, pending=True), *YEARS[1:]), **changes))
    assert "crash" not in found.reason


def test_a_pending_detach_that_the_role_may_not_finish_says_who_may() -> None:
    spoiled = table(partitions=(partition(2025, pending=True), *YEARS[1:]), owned=False, owner="school")
    found = only("detach_pending", spoiled)
    assert found.fix is None
    assert found.hint.startswith("Connect as school, or grant the role school to app")


# The archive ---------------------------------------------------------------------------------------------------------


def test_an_archived_table_outside_the_archive_is_moved_there() -> None:
    found = only("half_archived", table(archived=(archived(2024, schema="public"),)))
    assert found.severity is Severity.WARNING
    assert found.title == "The archive of kid_absences_2024 was interrupted"
    assert found.fix is not None
    assert found.fix.steps[0].sql == 'ALTER TABLE "public"."kid_absences_2024" SET SCHEMA "archive";'


def test_bounds_that_are_not_proven_are_validated() -> None:
    found = only("half_archived", table(archived=(archived(2024, validated=False),)))
    assert found.fix is not None
    assert found.fix.steps[-1].sql == (
        'ALTER TABLE "archive"."kid_absences_2024" VALIDATE CONSTRAINT "kid_absences_2024_date_check";'
    )
    assert only("half_archived", table(archived=(archived(2024),))).severity is Severity.OK


def test_a_table_archived_by_hand_is_not_half_archived() -> None:
    assert only("half_archived", table(archived=(archived(2024, tagged=False),))).severity is Severity.OK


def test_half_archived_never_plans_on_an_attached_partition_of_the_same_name() -> None:
    earlier = bounds(2023, 2024)
    unproven = archived(2024, bounds=earlier, checks=(bounds_check(earlier, "earlier", validated=False),))
    spoiled = table(partitions=(partition(2024), *YEARS), archived=(unproven,))
    found = only("half_archived", spoiled)
    assert found.fix is None
    assert 'ALTER TABLE "archive"."kid_absences_2024" RENAME TO "kid_absences_2024_archived";' in found.hint


def test_archived_columns_that_no_longer_match_say_each_statement() -> None:
    grown = table(columns=(*COLUMNS, Column("excused", "boolean", not_null=False)), archived=(archived(2024),))
    found = only("archived_columns", grown)
    assert found.severity is Severity.WARNING
    assert "archive.kid_absences_2024 no longer matches" in found.title
    assert 'ALTER TABLE "archive"."kid_absences_2024" ADD COLUMN "excused" boolean' in found.hint
    assert only("archived_columns", table(archived=(archived(2024),))).severity is Severity.OK


def test_an_archived_table_of_unknown_range_needs_a_check() -> None:
    strange = archived(2024, name="kid_absences_old", tagged=False, bounds=None, source=None)
    found = only("archived_ranges", table(archived=(strange,)))
    assert found.severity is Severity.WARNING
    assert 'SELECT min("date"), max("date") FROM "archive"."kid_absences_old";' in found.hint
    by_name = archived(2024, tagged=False)
    assert by_name.source is Source.NAME
    assert only("archived_ranges", table(archived=(by_name,))).severity is Severity.OK


@pytest.mark.parametrize("indexes", [(UNIQUE,), (UNIQUE, replace(BY_DATE, valid=False))], ids=["missing", "invalid"])
def test_an_archived_table_without_an_index_is_a_note(indexes: tuple[Any, ...]) -> None:
    found = only("archived_indexes", table(archived=(archived(2024, indexes=indexes),)))
    assert found.severity is Severity.NOTE
    assert found.title == "archive.kid_absences_2024 lacks an index of the table: (date)"
    assert only("archived_indexes", table(archived=(archived(2024),))).severity is Severity.OK


def test_an_archive_open_to_everybody_is_closed_by_hand() -> None:
    found = only("archive_schema", table(archive=archive_schema(open_to_public=True)))
    assert found.severity is Severity.WARNING
    assert found.hint.endswith('\nREVOKE ALL ON SCHEMA "archive" FROM PUBLIC;')
    own = only("archive_schema", table(archive=archive_schema(name="public", open_to_public=True)))
    assert "would close it to everybody who uses other tables in it" in own.hint
    assert "REVOKE" not in own.hint
    assert "closed" in only("archive_schema", table()).title
    missing = only("archive_schema", table(archive=archive_schema(exists=False, may_create=False)))
    assert missing.severity is Severity.OK
    assert "first archive" in missing.title


def test_what_is_due_is_a_note_with_bytes_and_archives_the_oldest() -> None:
    found = only("due_for_archive", table(partitions=(partition(2021), partition(2022), partition(2023), *YEARS)))
    assert found.severity is Severity.NOTE
    assert found.title == "Due for archive: 2 partitions, oldest 2021"
    assert found.act == "Archive kid_absences_2021"
    assert found.fix is not None
    assert found.fix.subject == "kid_absences_2021"
    assert "20 October 2023" in only("due_for_archive", table()).title


# Indexes, statistics -------------------------------------------------------------------------------------------------


def test_an_invalid_index_is_built_again_and_its_leftover_copy_dropped() -> None:
    broken = partition(2025, invalid_indexes=("kid_absences_2025_date_idx", "kid_absences_2025_date_idx_ccnew1"))
    found = findings("invalid_indexes", table(partitions=(broken, *YEARS[1:])))
    assert [f.severity for f in found] == [Severity.WARNING, Severity.WARNING]
    assert [f.hint for f in found] == [
        'REINDEX INDEX CONCURRENTLY "public"."kid_absences_2025_date_idx";',
        'DROP INDEX CONCURRENTLY "public"."kid_absences_2025_date_idx_ccnew1";',
    ]
    assert only("invalid_indexes", table()).severity is Severity.OK


def test_a_parents_index_that_a_partition_lacks_is_completed() -> None:
    found = only("invalid_indexes", table(indexes=(UNIQUE, replace(BY_DATE, valid=False))))
    assert found.severity is Severity.WARNING
    assert found.title == "The index kid_absences_date_idx is not there on every partition"
    assert found.hint == (
        "partitions index create --columns date --name kid_absences_date_idx --table public.kid_absences"
    )
    partial = replace(BY_DATE, valid=False, definition="USING btree (date) WHERE (kid_id > 0)")
    by_hand = only("invalid_indexes", table(indexes=(UNIQUE, partial))).hint
    assert "CREATE INDEX CONCURRENTLY its_index ON its_partition USING btree (date) WHERE (kid_id > 0);" in by_hand


def test_rows_that_nothing_tells_apart_are_a_warning() -> None:
    found = only("unique_constraint", table(indexes=(BY_DATE,)))
    assert found.severity is Severity.WARNING
    assert "Nothing tells one row of kid_absences from another" in found.title
    assert 'ALTER TABLE "public"."kid_absences" ADD UNIQUE (..., "date");' in found.hint
    assert "(kid_id, date)" in only("unique_constraint", table()).title


def test_a_primary_key_of_generated_ids_alone_is_a_note() -> None:
    by_id = replace(UNIQUE, name="kid_absences_pkey", columns=("id", "date"), primary=True)
    found = only("unique_constraint", table(indexes=(by_id, BY_DATE)))
    assert found.severity is Severity.NOTE
    assert "Only the generated id tells" in found.title


def test_a_key_without_an_index_gets_one_on_each_partition() -> None:
    found = only("key_index", table(indexes=(UNIQUE,), partitions=(partition(2026), partition(2027))))
    assert found.severity is Severity.WARNING
    assert found.hint.splitlines() == [
        'CREATE INDEX "kid_absences_date_idx" ON ONLY "public"."kid_absences" ("date");',
        'CREATE INDEX CONCURRENTLY "kid_absences_2026_date_idx" ON "public"."kid_absences_2026" ("date");',
        'ALTER INDEX "public"."kid_absences_date_idx" ATTACH PARTITION "public"."kid_absences_2026_date_idx";',
        'CREATE INDEX CONCURRENTLY "kid_absences_2027_date_idx" ON "public"."kid_absences_2027" ("date");',
        'ALTER INDEX "public"."kid_absences_date_idx" ATTACH PARTITION "public"."kid_absences_2027_date_idx";',
    ]
    assert only("key_index", table()).severity is Severity.OK


def test_partitions_with_rows_that_were_never_analyzed_are_a_note() -> None:
    spoiled = (partition(2025, rows=None), partition(2026), partition(2027, rows=None, size=Size(0, 16384, 0)))
    found = only("never_analyzed", table(partitions=spoiled))
    assert found.severity is Severity.NOTE
    assert found.hint == 'ANALYZE "public"."kid_absences_2025";'
    assert only("never_analyzed", table(partitions=spoiled[1:])).severity is Severity.OK


# Backups, planned drops and holds ------------------------------------------------------------------------------------

OLD_YEARS = (archived(2020), archived(2021))
SINCE = date(2025, 10, 20)


def test_archived_tables_without_a_backup_are_a_note_with_the_command() -> None:
    found = only("backed_up", table(archived=OLD_YEARS), backups=(kept(2021),))
    assert found.severity is Severity.NOTE
    assert found.title.startswith("1 archived table has no backup, 10")
    assert found.hint == "partitions backup --partition kid_absences_2020 --table public.kid_absences"
    assert (found.wants, found.subject) == (BACKUP, "kid_absences_2020")
    changed = only("backed_up", table(archived=(archived(2021),)), backups=(kept(2021, columns=()),))
    assert changed.severity is Severity.NOTE
    unread = only("backed_up", table(archived=OLD_YEARS), backups=None, backups_unread="The bucket is gone.")
    assert (unread.severity, unread.reason) == (Severity.NOTE, "The bucket is gone.")


def test_a_proof_that_is_missing_or_old() -> None:
    there, gone = table(archived=OLD_YEARS[:1]), table()
    fresh, never = kept(2020), kept(2020, proven=False)
    assert only("proven", there, backups=(fresh,), verify_before=SINCE).severity is Severity.OK
    assert only("proven", there, backups=(never,), verify_before=SINCE).severity is Severity.NOTE
    alone = only("proven", gone, backups=(never,), verify_before=SINCE)
    assert (alone.severity, alone.hint) == (Severity.WARNING, f"partitions verify {never.backup.id}")
    assert (alone.wants, alone.backup) == (VERIFY, never.backup.id)
    assert alone.title == (
        "The newest backup of kid_absences_2020 was never restored and compared, and is the only copy"
    )
    old = only("proven", gone, backups=(fresh,), verify_before=date(2026, 10, 3))
    assert old.title == "The newest backup of kid_absences_2020 was last restored and compared on 2 October 2026"
    older = kept(2020, id="older", finished_at="2025-01-01T00:00:00+00:00", proven=False)
    assert only("proven", gone, backups=(older, fresh), verify_before=SINCE).severity is Severity.OK


def test_a_failed_proof_is_worse_where_the_table_is_gone() -> None:
    bad = replace(kept(2020).proofs[0], verdict=Verdict.DAMAGED, reason="A byte was changed.")
    failed = replace(kept(2020), proofs=(bad,))
    there = only("proven", table(archived=OLD_YEARS[:1]), backups=(failed,))
    assert (there.severity, there.hint) == (
        Severity.WARNING,
        "partitions backup --partition kid_absences_2020 --table public.kid_absences",
    )
    gone = only("proven", table(), backups=(failed,))
    assert gone.severity is Severity.CRITICAL
    assert (there.wants, gone.wants) == (BACKUP, VERIFY)
    assert gone.reason == "A byte was changed. The table itself is no longer on the server."


def test_what_can_not_be_used_is_told() -> None:
    found = only("unusable_backups", table(), unusable=(Unreadable("a/b.json", "It is cut off."),))
    assert (found.severity, found.reason) == (
        Severity.WARNING,
        "It is cut off. They are taken for no backup: a/b.json.",
    )


def test_planned_drops_wait_in_plain_sight_and_late_ones_are_a_warning() -> None:
    drop = PlannedDrop("public.kid_absences", "2026-10-25T09:30:00+00:00", "b", "text-1:0:0", "ada")
    found = only("planned_drops", table(archived=(archived(2020, drop=drop),)))
    assert (found.severity, found.title) == (Severity.NOTE, "kid_absences_2020 is to be dropped on 25 October 2026")
    assert found.hint == "To call it off: partitions keep --partition kid_absences_2020 --table public.kid_absences"
    assert found.wants is SCHEDULE
    late = replace(drop, at="2026-10-18T09:30:00+00:00")
    assert only("planned_drops", table(archived=(archived(2020, drop=late),))).severity is Severity.WARNING


def test_holds_are_shown_with_their_end() -> None:
    hold = Hold("2026-10-20", "the audit", "ada")
    marked = partition(2025, comment=Marks(hold=hold).beside("mine"))
    found = only("holds", table(partitions=(marked, *YEARS[1:])))
    assert (found.title, found.reason) == ("kid_absences_2025 is held through 20 October 2026", "By ada: the audit")
    over = only("holds", table(archived=(archived(2020, hold=replace(hold, until="2026-10-19")),)))
    assert over.title == "The hold of kid_absences_2020 has run out"
    assert (found.wants, over.wants) == (None, HOLD)


def test_a_gap_that_a_backup_explains_is_none() -> None:
    gappy = table(partitions=(partition(2019), *(partition(year) for year in range(2021, 2028))))
    assert only("gaps", gappy).severity is Severity.WARNING
    assert only("gaps", gappy, backups=(kept(2020),)).severity is Severity.OK
