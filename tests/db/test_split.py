"""One partition becomes several and several become one: the same rows, while everybody reads and writes."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Engine

from core.console.desk import Desk
from core.errors import Overlap, Refused, UsageError
from core.period import Width
from core.plans.adopt import Release
from core.plans.archive import Archive
from core.plans.drain import Drain
from core.plans.ensure import Ensure
from core.plans.operation import Wish
from core.plans.split import Merge, Split
from core.plans.under_way import Abandon
from tests import desks
from tests.conftest import ADMIN
from tests.moving import TRACES, everything, make_visits
from tests.servers import connect
from tests.tables import Run, describe, runner

NOW = datetime(2025, 6, 1, tzinfo=UTC)
MONTH, WEEK = Width(months=1), Width(days=7)


@pytest.fixture
def desk(worker: Engine) -> Desk:
    return desks.desk(worker, now=NOW)


def partitions(desk: Desk) -> dict[str, str]:
    return {one.name: one.bounds.text for one in desk.read("visits").partitions if one.bounds}


def done(desk: Desk, wish: Wish) -> None:
    desk.run(desk.plan(wish), ADMIN)


def make_wide(run: Run, desk: Desk) -> None:
    """The first quarter of 2025 in one partition with what is its own, and three rows in the DEFAULT."""
    make_visits(run)
    run(
        "CREATE TABLE visits_q1 (LIKE visits INCLUDING ALL EXCLUDING IDENTITY);"
        "ALTER TABLE visits_q1 ADD FOREIGN KEY (kid_id) REFERENCES kids ON DELETE CASCADE;"
        "DELETE FROM bills WHERE day >= '2025-01-01';"
        "WITH gone AS (DELETE FROM visits WHERE day >= '2025-01-01' RETURNING id, kid_id, day, note)"
        " INSERT INTO visits_q1 (id, kid_id, day, note) SELECT * FROM gone;"
        "ALTER TABLE visits ATTACH PARTITION visits_q1 FOR VALUES FROM ('2025-01-01') TO ('2025-04-01');"
        "INSERT INTO bills SELECT 10000 + id, id, day FROM visits WHERE day >= '2025-01-01';"
        "INSERT INTO visits (kid_id, day) VALUES (1, '2031-01-01'), (2, '2031-02-02'), (3, '1850-01-01');"
        "ALTER TABLE visits_q1 ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON visits_q1 USING (kid_id > 50);"
        "GRANT SELECT ON visits_q1 TO PUBLIC; ALTER TABLE visits_q1 SET (fillfactor = 60);"
        "CREATE TRIGGER mine AFTER INSERT OR DELETE ON visits_q1 FOR EACH ROW EXECUTE FUNCTION note(); TRUNCATE log"
    )


def own(run: Run, name: str) -> list[Any]:
    """What the catalog says of a partition, but for names and bounds."""
    return sorted(
        (one[0], *((one[1],) if one[0] in ("column", "trigger") else ()), str(one[2]).split(" | FOR VALUES")[0])
        for one in describe(run, name)
        if one[0] != "index"
    )


@pytest.mark.every_version
def test_a_partition_is_split_and_merged_again(run: Run, desk: Desk) -> None:
    make_wide(run, desk)
    relations = ("visits", "bills", "log", "kids")
    rows, before, ranges = everything(run, *relations), own(run, "visits_q1"), partitions(desk)
    plan = desk.plan(Split("visits", "visits_q1", MONTH))
    assert plan.way_back.endswith(
        "partitions merge --partition visits_2025_01 --partition visits_2025_02 --partition visits_2025_03"
        " --table public.visits"
    )
    desk.run(plan, ADMIN)
    assert everything(run, *relations) == rows
    assert [everything(run, f"ONLY visits_2025_0{n}")[0][0] for n in (1, 2, 3)] == [310, 280, 310]
    assert partitions(desk)["visits_2025_03"] == "FOR VALUES FROM ('2025-03-01') TO ('2025-04-01')"
    assert own(run, "visits_2025_02") == before
    assert run(TRACES) == []
    assert "nothing to split" in desk.plan(Split("visits", "visits_2025_02", MONTH)).effects[0]
    done(desk, Merge("visits", ("visits_2025_03", "visits_2025_01", "visits_2025_02")))
    assert everything(run, *relations) == rows
    merged = {one: text for one, text in partitions(desk).items() if one not in ranges}
    assert merged == {"visits_2025_q1": ranges["visits_q1"]}
    assert own(run, "visits_2025_q1") == before
    assert run(TRACES) == []
    run("DELETE FROM visits WHERE day = '2025-02-02'")
    assert run("SELECT count(*) FROM bills WHERE day = '2025-02-02'") == [(0,)]
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        run("INSERT INTO bills VALUES (0, 0, '2025-02-02')")


def test_the_ends_of_the_old_one_stay_where_the_width_does_not_fit(run: Run, desk: Desk) -> None:
    make_visits(run, cascade=False)
    rows = everything(run, "visits")
    done(desk, Split("visits", "visits_2024_11", WEEK))
    found = [text for text in partitions(desk).values() if "FROM ('2024-11" in text]
    assert found[0] == "FOR VALUES FROM ('2024-11-01') TO ('2024-11-04')"
    assert found[-1] == "FOR VALUES FROM ('2024-11-25') TO ('2024-12-01')"
    assert everything(run, "visits") == rows


def test_what_can_t_be_done_is_told_before_anything_is_made(run: Run, desk: Desk) -> None:
    make_visits(run, cascade=False)
    run("CREATE TABLE visits_2024_01 PARTITION OF visits FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')")
    for wish, error, why in (
        (Merge("visits", ("visits_2024_01", "visits_2024_11")), Overlap, "do not lie side by side"),
        (Merge("visits", ("visits_2024_01", "visits_2024_12"), across_gaps=True), Overlap, "do not lie side by side"),
        (Merge("visits", ("visits_2024_11", "visits_2024_11")), UsageError, "takes two"),
        (Merge("visits", ("visits_2024_12", "visits_default"), across_gaps=True), UsageError, "only with all others"),
        (Split("visits", "visits_default", MONTH), Refused, "partitions drain --table public.visits"),
        (Split("visits", "visits_2024_11", None), UsageError, "How wide"),
    ):
        with pytest.raises(error, match=why):
            desk.plan(wish)
    run("ALTER TABLE visits_2024_11 SET (fillfactor = 60)")
    with pytest.raises(Refused, match="make them alike first"):
        desk.plan(Merge("visits", ("visits_2024_11", "visits_2024_12")))
    assert run(TRACES) == []


def test_one_move_of_a_table_at_a_time_and_each_goes_on_by_its_own_command(run: Run, desk: Desk) -> None:
    make_visits(run, cascade=False)
    rows = everything(run, "visits")
    for statement in desk.plan(Split("visits", "visits_2024_12", WEEK)).steps[0].statements:
        run(statement)
    for other in (Drain("visits"), Split("visits", "visits_2024_11", WEEK), Merge("visits", ("a", "b"))):
        with pytest.raises(Refused, match=r"partitions split --partition visits_2024_12 --table public.visits"):
            desk.plan(other)
    for leaving in (Archive("visits", "visits_2024_12"), Release("visits", "public.visits_2024_12")):
        with pytest.raises(Refused, match=r"The rows of .*visits_2024_12 are being moved") as refused:
            desk.plan(leaving)
        assert "partitions split --partition visits_2024_12 --abandon" in refused.value.next
    assert desk.plan(Archive("visits", "visits_2024_11")).steps
    done(desk, Split("visits", "visits_2024_12", None))
    assert everything(run, "visits") == rows
    assert run(TRACES) == []
    # others of the table are made and taken meanwhile
    for statement in desk.plan(Drain("visits", MONTH)).steps[0].statements:
        run(statement)
    done(desk, Ensure("visits", dates=(NOW.date(),), every=MONTH))
    done(desk, Drain("visits"))
    assert everything(run, "visits") == rows
    assert not desk.plan(Abandon("visits")).steps


class Reader(threading.Thread):
    """Counts rows that nobody changes, again and again: it never misses one, and never sees one twice."""

    def __init__(self, url: str) -> None:
        super().__init__(name="reader")
        self.over = threading.Event()
        self.seen: set[Any] = set()
        self.looks = 0
        self._url = url

    def run(self) -> None:
        connection = connect(self._url)
        look = runner(connection)
        while not self.over.is_set():
            self.seen |= set(look("SELECT count(*), count(DISTINCT id), sum(id) FROM visits WHERE note = 'still'"))
            self.looks += 1
        connection.close()


class Writer(threading.Thread):
    """Inserts, updates, moves and deletes rows of its own, and keeps what it has done in a table beside."""

    def __init__(self, url: str, number: int) -> None:
        super().__init__(name=f"writer {number}")
        self.over = threading.Event()
        self.failed: list[str] = []
        self._url, self._number = url, number

    def run(self) -> None:
        connection = connect(self._url)
        write = runner(connection)
        turn = 0
        while not self.over.is_set():
            turn += 1
            own = self._number * 1_000_000 + turn
            day = f"date '2025-01-01' + {(turn * 7 + self._number) % 85}"
            try:
                for sql in (
                    f"INSERT INTO {{}} (id, kid_id, day, note) VALUES ({own}, 1 + {turn} % 100, {day}, 'w')",
                    f"UPDATE {{}} SET note = note || 'x' WHERE id = {own - 3}",
                    f"UPDATE {{}} SET day = day + 31 WHERE id = {own - 5} AND day < '2025-02-28'",
                    f"DELETE FROM {{}} WHERE id = {own - 7} AND id % 2 = 0",
                ):
                    write(f"BEGIN; {sql.format('visits')}; {sql.format('twin')}; COMMIT")
            except psycopg2.Error as error:
                self.failed.append(str(error))
                write("ROLLBACK")
        connection.close()


@pytest.mark.one_in(2)
@pytest.mark.parametrize("act", ["drain", "split"])
def test_eight_writers_and_a_reader_notice_nothing(run: Run, desk: Desk, database_url: str, act: str) -> None:
    make_visits(run, rows=0, cascade=False)
    run(
        "INSERT INTO visits (id, kid_id, day, note) SELECT -g, 1 + g % 100, date '2025-01-01' + g % 90, 'still'"
        " FROM generate_series(1, 40000) g"
    )
    if act == "split":
        done(desk, Drain("visits"))
        done(desk, Merge("visits", ("visits_2025_01", "visits_2025_02", "visits_2025_03")))
    run(
        "CREATE TABLE twin (LIKE visits INCLUDING ALL); INSERT INTO twin (id, kid_id, day, note)"
        " SELECT id, kid_id, day, note FROM visits; CREATE INDEX ON twin (id); CREATE INDEX ON visits (id)"
    )
    reader, writers = Reader(database_url), [Writer(database_url, number) for number in range(1, 9)]
    for one in (reader, *writers):
        one.start()
    try:
        done(desk, Drain("visits") if act == "drain" else Split("visits", "visits_2025_q1", MONTH))
    finally:
        for one in (*writers, reader):
            one.over.set()
        for one in (*writers, reader):
            one.join()
    assert [one.failed for one in writers] == [[]] * 8
    assert len(reader.seen) == 1
    assert reader.looks > 3
    assert everything(run, "visits") == everything(run, "twin")
    assert run("SELECT count(*) FROM twin WHERE note LIKE 'w%'")[0][0] > 0
    assert run(TRACES) == []
