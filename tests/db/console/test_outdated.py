"""A plan that the table has outgrown between the asking and the doing is refused, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from core.console.journal import OperationState, read_operations
from core.errors import PlanOutdated, TableNotFound
from tests.conftest import Act
from tests.db.console.planning import archiving, catalog_of, ensuring, read, reattaching
from tests.tables import Made, Run

every_version = pytest.mark.every_version
Make = Callable[..., Made]


CHANGES = {
    "column": "ALTER TABLE kid_absences ADD COLUMN more int",
    "column's type": "ALTER TABLE kid_absences ALTER COLUMN kid_id TYPE numeric",
    "index": "CREATE INDEX ON kid_absences (reason)",
    "default": "CREATE TABLE other PARTITION OF kid_absences DEFAULT",
    "renamed": "ALTER TABLE kid_absences_2022 RENAME TO other",
    "check": "ALTER TABLE kid_absences_2022 ADD CHECK (kid_id < 1000000)",
    "comment": "COMMENT ON TABLE kid_absences_2022 IS 'mine'",
    "detached": "ALTER TABLE kid_absences DETACH PARTITION kid_absences_2022",
    "replaced": "DROP TABLE kid_absences_2022; CREATE TABLE kid_absences_2022 PARTITION OF kid_absences"
    " FOR VALUES FROM ('2022-01-01') TO ('2023-01-01')",
    "foreign key": "CREATE TABLE kids (id bigint PRIMARY KEY);"
    " ALTER TABLE kid_absences ADD FOREIGN KEY (kid_id) REFERENCES kids",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_an_outdated_archive_is_refused(
    reader: Engine, act: Act, make_table: Make, run: Run, change: str, major: int | None
) -> None:
    made = make_table(rows=0)
    plan = archiving(reader, made)
    run(change)
    before = catalog_of(run, made)
    with pytest.raises(PlanOutdated, match=r"public\.kid_absences is no longer as it was") as refused:
        act(plan)
    assert refused.value.safe.startswith("Nothing was changed.")
    assert refused.value.changes
    assert catalog_of(run, made) == before
    assert [o.state for o in read_operations(reader)] == [OperationState.FAILED]
    assert read_operations(reader)[0].server_message == "\n".join(refused.value.changes)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE archive.kid_absences_2022 DROP COLUMN reason",
        "ALTER TABLE archive.kid_absences_2022 DROP CONSTRAINT kid_absences_2022_date_check",
        "DROP INDEX archive.kid_absences_2022_date_idx",
        "COMMENT ON TABLE archive.kid_absences_2022 IS 'mine'",
        "CREATE TABLE other PARTITION OF kid_absences FOR VALUES FROM ('2022-06-01') TO ('2022-07-01')",
        "DROP TABLE archive.kid_absences_2022",
    ],
)
def test_an_outdated_reattach_is_refused(reader: Engine, act: Act, make_table: Make, run: Run, change: str) -> None:
    made = make_table()
    act(archiving(reader, made))
    plan = reattaching(reader, made)
    run(change)
    before = catalog_of(run, made)
    with pytest.raises(PlanOutdated):
        act(plan)
    assert catalog_of(run, made) == before


def test_an_outdated_ensure_is_refused(reader: Engine, act: Act, make_table: Make, run: Run) -> None:
    made = make_table()
    plan = ensuring(reader, made)
    run("CREATE TABLE mine PARTITION OF kid_absences FOR VALUES FROM ('2027-01-01') TO ('2027-07-01')")
    with pytest.raises(PlanOutdated, match="Look at the table as it is now and confirm again"):
        act(plan)
    assert read(reader, made).find("kid_absences_2027") is None


def test_what_concerns_others_does_not_outdate_a_plan(reader: Engine, act: Act, make_table: Make, run: Run) -> None:
    made = make_table()
    plan = archiving(reader, made)
    run("COMMENT ON TABLE kid_absences_2024 IS 'another partition'")
    run("CREATE TABLE kid_absences_2031 PARTITION OF kid_absences FOR VALUES FROM ('2031-01-01') TO ('2032-01-01')")
    run("INSERT INTO kid_absences (kid_id, date) VALUES (77, '2022-12-31')")
    run("ANALYZE kid_absences")
    act(plan)
    assert read(reader, made).find_archived(made.first) is not None


def test_a_table_that_is_gone(reader: Engine, act: Act, make_table: Make, run: Run) -> None:
    made = make_table()
    plan = archiving(reader, made)
    run("DROP TABLE kid_absences")
    with pytest.raises(TableNotFound, match="There is no table"):
        act(plan)
