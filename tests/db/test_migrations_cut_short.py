"""An upgrade or a downgrade that was cut short anywhere is asked for again, and comes to its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from core.absences import PARTITIONED
from core.period import Width
from core.plans.conversion import to_its_end
from core.plans.inplace import Convert
from core.plans.split import Split
from tests import desks
from tests.db.converted import plain
from tests.db.test_migrations import THIS_YEAR, Alembic, alembic, from_year, partitions  # noqa: F401 a fixture
from tests.moving import TRACES
from tests.tables import Run

YEAR = Width(months=12)


def left_over(run: Run) -> list[str]:
    """What a move or a conversion has left behind; the table of the revision is none of that."""
    return [name for (name,) in run(TRACES) if not name.startswith("partition_desk_version")]


@pytest.mark.parametrize("steps", [(1,), (4,), (5,), (99,), (99, 99), (99, 99, 1), (99, 99, 3)], ids=str)
def test_an_upgrade_that_was_cut_short_goes_on(
    alembic: Alembic,  # noqa: F811
    run: Run,
    worker: Engine,
    dump: Callable[[], str],
    steps: tuple[int, ...],
) -> None:
    """After so many steps of each operation in turn."""
    run("CREATE TABLE kid_absences (id serial PRIMARY KEY, kid_id int, date date)")
    run("INSERT INTO kid_absences (kid_id, date) SELECT g, '2020-02-01' FROM generate_series(1, 9) g")
    before = dump()
    desk = desks.desk(worker)
    begin = Convert("public.kid_absences", "date", YEAR, PARTITIONED.unique, PARTITIONED.indexed)
    for number, wish in zip(steps, to_its_end(desk, "public.kid_absences", YEAR, begin, split=True), strict=False):
        plan = desk.plan(wish)
        assert plan.steps
        desk.run_unrecorded(replace(plan, steps=plan.steps[:number]))
    alembic.upgrade()
    assert partitions(run) == from_year(2020)
    assert run("SELECT count(*), count(DISTINCT id) FROM kid_absences") == [(9, 9)]
    assert left_over(run) == []
    again = alembic.told
    alembic.downgrade()
    assert dump() == before, again


@pytest.mark.parametrize("begun", [False, True])
def test_a_downgrade_takes_back_a_split_that_was_begun(
    alembic: Alembic,  # noqa: F811
    run: Run,
    worker: Engine,
    dump: Callable[[], str],
    begun: bool,
) -> None:
    plain(run)
    before, desk = dump(), desks.desk(worker)
    alembic.upgrade()
    assert partitions(run) == from_year(2019)
    run(f"INSERT INTO kid_absences (kid_id, date) VALUES (1, '{THIS_YEAR + 3}-06-01')")
    if begun:
        plan = desk.plan(Split("public.kid_absences", f"kid_absences_{THIS_YEAR + 3}", Width(months=6)))
        desk.run_unrecorded(replace(plan, steps=plan.steps[:1]))
    alembic.downgrade()
    assert dump() == before
    assert run("SELECT count(*) FROM kid_absences") == [(243,)]
    assert left_over(run) == []
