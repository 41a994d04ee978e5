"""A partitioned table whose rows lie in several partitions becomes plain, while everybody works."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pytest
from sqlalchemy import Engine

from core.plans.gather import gathering
from core.plans.plan import Plan
from core.plans.unconvert import Unconvert
from tests import desks
from tests.db.cli.test_commands import Partitions, partitions  # noqa: F401 a fixture
from tests.db.converted import plain
from tests.faults import Console, Strike, terminate
from tests.tables import Run

NEXT = datetime.now(UTC).year + 2
THERE = ("convert", "--key", "date", "--every", "1 year", "--table", "kid_absences")
BACK = ("unconvert", "--table", "kid_absences")
ALL = "SELECT count(*), sum(hash_record_extended(t, 0)) FROM (SELECT kid_id, date, reason, id FROM kid_absences) t"
LEFT = "SELECT relkind, relname FROM pg_class WHERE relname LIKE '%kid_absences%' AND relkind IN ('r', 'p', 'v')"
HANGING = (
    "CREATE TABLE excuses (kid bigint, day date, CONSTRAINT of_absence FOREIGN KEY (kid, day) REFERENCES kid_absences"
    " (kid_id, date)); INSERT INTO excuses SELECT kid_id, date FROM kid_absences LIMIT 9;"
    "CREATE VIEW ill AS TABLE kid_absences; COMMENT ON CONSTRAINT of_absence ON excuses IS 'which day';"
    "ALTER TABLE kid_absences ALTER reason SET STATISTICS 300, ADD CHECK (kid_id >= 0);"
    "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
    "CREATE TRIGGER touched BEFORE UPDATE ON kid_absences FOR EACH ROW EXECUTE FUNCTION touch();"
    "ALTER TABLE kid_absences ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON kid_absences USING (kid_id > 0);"
    "COMMENT ON TABLE kid_absences IS 'who is away'"
)


@pytest.mark.every_version
def test_rows_of_many_partitions_become_one_table_as_it_was(
    partitions: Partitions,  # noqa: F811
    run: Run,
    dump: Callable[[], str],
) -> None:
    plain(run)
    run(HANGING)
    before = dump()
    there = partitions(*THERE)
    assert there.code == 0, there.err
    run(f"INSERT INTO kid_absences (kid_id, date) VALUES (1, '{NEXT}-02-02'), (1, '{NEXT + 1}-02-02')")
    rows = run(ALL)
    shown = partitions(*BACK, "--dry-run")
    assert (shown.code, "CREATE TRIGGER" in shown.out, "this comes first" in shown.err) == (0, True, True)
    assert run(ALL) == rows
    back = partitions(*BACK)
    assert back.code == 0, back.err
    assert dump() == before
    assert run(ALL) == rows
    assert run("SELECT count(*) FROM ill") == [(244,)]
    assert run("INSERT INTO kid_absences (kid_id, date) VALUES (0, '2000-01-01') RETURNING id") == [(245,)]


def test_gaps_the_default_and_what_is_archived(partitions: Partitions, run: Run) -> None:  # noqa: F811
    plain(run, years=(2019, 2020, 2021, 2022))
    assert partitions(*THERE).code == 0
    archived = [partitions("archive", "--year", str(year), "--table", "kid_absences") for year in (2020, 2021)]
    assert [one.code for one in archived] == [0, 0], archived
    run("CREATE TABLE rest PARTITION OF kid_absences DEFAULT")
    run("INSERT INTO kid_absences (kid_id, date) VALUES (7, '2020-12-30')")
    back = partitions(*BACK)
    assert back.code == 0, back.err
    assert (
        "Archived and left where they are, not in the plain table: archive.kid_absences_2020, archive.kid_absences_2021"
        in (back.out)
    )
    assert run("SELECT count(*), count(*) FILTER (WHERE date BETWEEN '2020-01-01' AND '2021-12-31')"
               " FROM kid_absences") == [(243, 1)]  # fmt: skip
    assert run("SELECT count(*) FROM archive.kid_absences_2020") == [(121,)]


def test_archived_partitions_come_along_where_that_is_asked(partitions: Partitions, run: Run) -> None:  # noqa: F811
    plain(run, years=(2019, 2020, 2021))
    rows = run(ALL)
    assert partitions(*THERE).code == 0
    assert partitions("archive", "--year", "2020", "--table", "kid_absences").code == 0
    back = partitions(*BACK, "--with-archived")
    assert back.code == 0, back.err
    assert run(ALL) == rows
    assert run(LEFT) == [("r", "kid_absences")]


def test_what_would_keep_it_from_becoming_plain_is_told_before_a_row_is_moved(
    partitions: Partitions,  # noqa: F811
    run: Run,
    dump: Callable[[], str],
) -> None:
    plain(run)
    assert partitions(*THERE).code == 0
    run("CREATE TABLE kid_absences_parent ()")
    before = dump()
    back = partitions(*BACK)
    assert (back.code, "already holds kid_absences_parent" in back.err) == (1, True), back
    assert dump() == before


def test_broken_now_and_then_it_is_asked_for_again(run: Run, database_url: str) -> None:
    def back(reader: Engine) -> Plan:
        desk = desks.desk(reader)
        return desk.plan(gathering(desk, desk.read("public.kid_absences")) or Unconvert("public.kid_absences"))

    with Console(database_url) as console:
        for at in range(3, 200, 9):  # each statement of a merge has its turn where moves are broken
            run("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            run("CREATE TABLE kid_absences (id bigint GENERATED ALWAYS AS IDENTITY, kid_id bigint, date date,"
                " reason text, PRIMARY KEY (id, date)) PARTITION BY RANGE (date)")  # fmt: skip
            for year in (2020, 2021, 2022):
                run(f"CREATE TABLE kid_absences_{year} PARTITION OF kid_absences FOR VALUES FROM ('{year}-01-01')"
                    f" TO ('{year + 1}-01-01'); INSERT INTO kid_absences (kid_id, date) SELECT g, '{year}-03-01'"
                    " FROM generate_series(1, 50) g")  # fmt: skip
            run("CREATE TABLE rest PARTITION OF kid_absences DEFAULT; INSERT INTO kid_absences (kid_id, date)"
                " VALUES (7, '2019-05-05'), (7, '2030-05-05')")  # fmt: skip
            before = run(ALL)
            strike = Strike(at, partial(terminate, database_url))
            ended = console.ask(back, strike)
            if not strike.reached:
                assert ended == "done", ended
                break
            assert run(ALL) == before, strike.statement
            if run("SELECT 1 FROM pg_class WHERE relname = 'rest' AND relispartition"):
                run("TRUNCATE ONLY rest")  # which is told to where its rows were copied
            before = run(ALL)
            for _ in range(5):
                ended = console.ask(back)
                if ended == "nothing":
                    break
                assert ended == "done", (strike.statement, ended)
            assert run(ALL) == before, strike.statement
            assert run(LEFT) == [("r", "kid_absences")], strike.statement
        assert at > 20
