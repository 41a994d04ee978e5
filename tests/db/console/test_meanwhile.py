"""What somebody else did between the confirming and the doing: what holds already is done, and is no failure."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from core.console.desk import Desk
from core.console.journal import OperationState, read_operations
from core.console.queue import claim
from core.console.run import run_queued
from core.errors import PlanOutdated
from core.plans.archive import Archive
from core.plans.ensure import Ensure
from core.plans.operation import Wish
from core.plans.reattach import Reattach
from core.postgres.connection import session
from core.tables.table import PartitionedTable
from tests import desks
from tests.conftest import ADMIN
from tests.desks import SEAL
from tests.tables import Made


def take(desk: Desk, number: int) -> None:
    """Does what is in the queue, as a worker would."""
    with session(desk.working) as work:
        claimed = claim(work, number, SEAL)
        assert claimed is not None
        run_queued(desk, work, claimed, None)


Asking = Callable[[PartitionedTable, Made], Wish]
ASKED: dict[str, Asking] = {
    "archive": lambda table, made: Archive(table, made.first),
    "ensure": lambda table, made: Ensure(table, ahead=3),
}


@pytest.mark.parametrize("name", ASKED)
def test_what_was_confirmed_twice_is_done_twice(
    worker: Engine, reader: Engine, make_table: Callable[..., Made], name: str
) -> None:
    """Two people confirm what both were shown; the second's worker finds nothing left to do."""
    made, desk = make_table(), desks.desk(worker)
    plan = desk.plan(ASKED[name](desk.read("kid_absences"), made))
    desk.run(plan, ADMIN, "the first")
    take(desk, desk.enqueue(plan, ADMIN, "the second").id)
    second, first = read_operations(reader)
    assert first.state is second.state is OperationState.DONE
    assert (first.error, second.error.endswith("Somebody else did it meanwhile; nothing was changed.")) == ("", True)


def test_what_is_something_else_by_now_is_no_success(
    worker: Engine, reader: Engine, make_table: Callable[..., Made]
) -> None:
    made, desk = make_table(), desks.desk(worker)
    plan = desk.plan(Archive(desk.read("kid_absences"), made.first))
    desk.run(plan, ADMIN)
    desk.run(desk.plan(Reattach(desk.read("kid_absences"), made.first)), ADMIN)
    made.run(f"ALTER TABLE {made.first} ADD CHECK (kid_id IS NOT NULL)")
    ticket = desk.enqueue(plan, ADMIN, "of before")
    with pytest.raises(PlanOutdated):
        take(desk, ticket.id)
    assert read_operations(reader)[0].state is OperationState.FAILED
