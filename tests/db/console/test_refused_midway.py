"""What the server refuses in the middle leaves nothing half done, and asking again goes on from there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from core.console.journal import OperationState, read_operations
from core.errors import Failed
from core.plans.plan import Plan
from tests.conftest import Act, OpenSession
from tests.db.console.planning import archiving, catalog_of, pending, read, reattaching
from tests.tables import Made, Run, fingerprint

every_version = pytest.mark.every_version
Make = Callable[..., Made]


@every_version
@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
def test_a_row_that_sneaks_into_the_default_takes_the_exclusion_back(
    reader: Engine, act: Act, make_table: Make, run: Run, request: pytest.FixtureRequest, large: bool
) -> None:
    if large:
        request.getfixturevalue("large_default")
    made = make_table(default=True)
    act(archiving(reader, made))
    plan = reattaching(reader, made)
    before = catalog_of(run, made)
    made.insert(*made.ranges[0], rows=1)
    with pytest.raises(Failed, match="violated by some row") as failed:
        act(plan)
    assert failed.value.sqlstate == "23514"
    taken_back = "What was begun was taken back; nothing is changed."
    assert failed.value.safe.startswith(taken_back if large else "Nothing was changed.")
    assert catalog_of(run, made) == before
    operation = read_operations(reader)[0]
    assert (operation.state, operation.sqlstate) == (OperationState.FAILED, "23514")


def test_duplicates_in_an_archived_table_leave_nothing_and_asking_again_finishes(
    reader: Engine, act: Act, make_table: Make, run: Run
) -> None:
    made = make_table()
    act(archiving(reader, made))
    run("ALTER TABLE archive.kid_absences_2022 DROP CONSTRAINT kid_absences_2022_kid_id_date_key")
    run("INSERT INTO archive.kid_absences_2022 SELECT * FROM archive.kid_absences_2022 WHERE kid_id = 1")
    with pytest.raises(Failed, match="could not create unique index") as failed:
        act(reattaching(reader, made))
    assert failed.value.sqlstate == "23505"
    assert failed.value.safe.startswith("Nothing was changed.")
    assert run("SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid") == []
    assert made.count() == 40
    run("DELETE FROM archive.kid_absences_2022 WHERE kid_id = 1")
    plan = reattaching(reader, made)
    assert plan.steps[0].title == "Build the missing index on kid_id, date"
    act(plan)
    assert made.count() == 59


@every_version
def test_rows_that_are_referred_to_keep_their_partition(reader: Engine, act: Act, make_table: Make, run: Run) -> None:
    made = make_table()
    run("CREATE TABLE letters (kid_id bigint, day date, FOREIGN KEY (kid_id, day) REFERENCES kid_absences"
        " (kid_id, date))")  # fmt: skip
    run("INSERT INTO letters SELECT kid_id, date FROM kid_absences_2022 LIMIT 1")
    plan = archiving(reader, made)
    assert plan.warnings[0] == "Rows that public.letters refers to keep the partition from being detached;" \
        " then nothing happens."  # fmt: skip
    with pytest.raises(Failed, match="violates foreign key constraint") as failed:
        act(plan)
    assert failed.value.sqlstate == "23503"
    assert not pending(run)
    assert made.count() == 60
    table = read(reader, made)
    assert table.find(made.first) is not None
    assert table.archived == ()


def test_an_archive_that_was_cut_short_before_its_move_is_finished(
    reader: Engine, act: Act, make_table: Make, session: OpenSession, run: Run
) -> None:
    made = make_table()
    other = session()
    plan = archiving(reader, made)
    for step in plan.steps[:-1]:
        for statement in step.statements:
            other.run(statement)
    rest = archiving(reader, made)
    assert [step.sql for step in rest.steps] == ['ALTER TABLE "public"."kid_absences_2022" SET SCHEMA "archive";']
    act(rest)
    archived = read(reader, made).find_archived(made.first)
    assert archived is not None
    assert archived.schema == "archive"


@every_version
@pytest.mark.usefixtures("large_default")
@pytest.mark.parametrize("k", range(4))
def test_asking_again_after_each_step_reaches_the_same_end(
    reader: Engine, act: Act, make_table: Make, session: OpenSession, k: int
) -> None:
    """Steps 1 to k are run by hand, as if the console had died then; with a DEFAULT there and back."""
    made = make_table(default=True, foreign_key=True)
    rows = fingerprint(reader, made.sql)
    psql = session()

    def run_first(plan: Plan) -> None:
        for step in plan.steps[:k]:
            for statement in ["BEGIN", *step.statements, "COMMIT"] if step.transactional else step.statements:
                psql.run(statement)

    run_first(archiving(reader, made))
    if read(reader, made).find(made.first) is not None or k < 3:
        act(archiving(reader, made))
    run_first(reattaching(reader, made))
    if read(reader, made).find_archived(made.first) is not None:
        act(reattaching(reader, made))
    assert fingerprint(reader, made.sql) == rows
    table = read(reader, made)
    assert table.default is not None
    assert table.default.checks == tuple(c for c in table.default.checks if not c.name.startswith("partition_desk"))
