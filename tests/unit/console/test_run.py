"""Which operations of one kind and subject are the same wish."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from core.console.run import is_same_wish
from core.plans.archive import plan_archive
from tests.unit.factories import partition, table


def test_an_operation_on_another_table_of_that_name_is_another_wish() -> None:
    plan = plan_archive(
        table(partitions=(partition(2025),)), "kid_absences_2025", now=datetime(2026, 10, 20, tzinfo=UTC)
    )
    assert is_same_wish(plan, plan)
    assert is_same_wish(plan, replace(plan, oid=None)), "one of an older journal"
    assert not is_same_wish(plan, replace(plan, oid=77))
