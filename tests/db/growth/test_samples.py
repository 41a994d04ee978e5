"""Samples of sizes on real servers: what is seen, what is kept of it, and what a partition's life makes of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from core.errors import NotAllowed, ReadOnlyServer
from core.growth.history import together
from core.growth.holdings import Stage, holdings
from core.growth.samples import measure
from core.growth.samples.prune import prune
from core.growth.samples.read import read_histories, read_holdings, read_moves, read_runs
from core.growth.samples.values import SampleRun
from core.growth.savings import savings
from core.plans.reattach import plan_reattach
from core.postgres.advisory import LockKey
from core.postgres.connection import parse_url, working_engine
from core.tables.catalog.table import read_table
from tests.conftest import Act, OpenSession, until
from tests.db.growth.sampling import DAY, Make, archive, grow, rows, sample, size, stages
from tests.tables import Run

# --- looking --------------------------------------------------------------------------------------------------------


def test_reading_where_nothing_was_sampled_finds_nothing_and_makes_nothing(reader: Engine, run: Run) -> None:
    assert read_histories(reader) == read_holdings(reader, on=DAY) == read_runs(reader) == read_moves(reader) == ()
    assert prune(reader, today=DAY, keep_days=1) == 0
    assert run("SELECT to_regnamespace('partition_desk')") == [(None,)]


@pytest.mark.every_version
@pytest.mark.parametrize("key_type", ["date", "timestamptz"])
def test_a_sample_says_what_the_server_does(
    worker: Engine, reader: Engine, make_table: Make, run: Run, key_type: str
) -> None:
    made = make_table('Kid "A"bsences', schema="Süd", key_type=key_type, default=True, rows=500)
    run(f"VACUUM (ANALYZE) {made.sql}")
    found = sample(worker)
    assert (found.partitions, found.changed, found.skipped, found.exact, found.generated) == (4, 4, (), True, False)
    (history,) = read_histories(reader)
    assert history.table == made.address
    assert [day.item() for day in history.days] == [DAY]
    names = [made.partition(lower) for lower, _ in made.ranges]
    seen = read_holdings(reader, on=DAY)
    whole = sum(item.bytes for item in holdings(read_table(reader, made.address)))
    assert history.server.tolist() == history.attached.tolist() == history.written.tolist() == [whole]
    assert history.heap + history.index + history.toast == whole
    assert (history.rows.tolist(), history.partitions.tolist()) == ([1500], [4])
    assert {item.name for item in seen} == {*names, made.default}
    assert {(i.name, i.lower, i.upper, i.size, i.rows) for i in seen} == {
        (i.name, i.lower, i.upper, i.size, i.rows) for i in holdings(read_table(reader, made.address))
    }
    (last,) = read_runs(reader)
    assert (last.day, last.partitions, last.changed) == (DAY, 4, 4)


def test_exact_sizes_are_those_of_the_files(worker: Engine, reader: Engine, make_table: Make, run: Run) -> None:
    made = make_table(rows=3000)
    sample(worker)
    for item in read_holdings(reader, on=DAY):
        assert item.bytes == size(run, f"public.{item.name}")
    assert made.count() == 9000


def test_of_too_many_partitions_sizes_are_those_of_the_last_analyze(
    worker: Engine, reader: Engine, make_table: Make, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_table(rows=3000)
    run(f"VACUUM (ANALYZE) {made.sql}")
    monkeypatch.setattr(measure, "EXACT_UP_TO", 2)
    assert not sample(worker).exact
    estimated = {item.name: item for item in read_holdings(reader, on=DAY)}
    for item in holdings(read_table(reader, made.address, exact=False)):
        assert estimated[item.name].size == item.size
        assert item.size is not None
        assert not item.size.exact


@pytest.mark.every_version
def test_tables_of_every_strategy_and_depth_are_sampled(worker: Engine, reader: Engine, run: Run) -> None:
    run("""
        CREATE TABLE by_list (a int, b date) PARTITION BY LIST (a);
        CREATE TABLE by_list_1 PARTITION OF by_list FOR VALUES IN (1);
        CREATE TABLE by_hash (a int) PARTITION BY HASH (a);
        CREATE TABLE by_hash_0 PARTITION OF by_hash FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE by_hash_1 PARTITION OF by_hash FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        CREATE TABLE deep (a int, b date) PARTITION BY RANGE (b);
        CREATE TABLE deep_2026 PARTITION OF deep FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
            PARTITION BY HASH (a);
        CREATE TABLE deep_2026_0 PARTITION OF deep_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE deep_2026_1 PARTITION OF deep_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        INSERT INTO deep SELECT g, '2026-05-01' FROM generate_series(1, 1000) g;
    """)
    assert sample(worker).partitions == 4
    assert sample(worker, 1).changed == 0
    found = {history.table: history.partitions.tolist() for history in read_histories(reader)}
    assert found == {"public.by_list": [1, 1], "public.by_hash": [2, 2], "public.deep": [1, 1]}
    (deep,) = read_histories(reader, table="public.deep")
    assert deep.written[0] == size(run, "deep_2026_0") + size(run, "deep_2026_1")


# --- a row only where something changed -----------------------------------------------------------------------------


def test_only_what_changed_gets_a_row(worker: Engine, reader: Engine, make_table: Make, run: Run) -> None:
    made = make_table(rows=100)
    run(f"VACUUM (ANALYZE) {made.sql}")
    assert sample(worker).changed == 3
    assert sample(worker, 1).changed == 0
    grow(made, 2, 5000)
    assert sample(worker, 2).changed == 1
    assert rows(run) == 4
    (history,) = read_histories(reader)
    one, two, three = history.written
    assert one == two < three == sum(item.bytes for item in holdings(read_table(reader, made.address)))
    changes = run(
        "SELECT day FROM partition_desk.size_sample JOIN partition_desk.sampled_partition ON id = partition_id"
        f" WHERE name = '{made.partition(made.ranges[2][0])}' ORDER BY day"
    )
    assert changes == [(DAY,), (DAY + timedelta(days=2),)]


def test_once_more_on_a_day_replaces_it(worker: Engine, reader: Engine, make_table: Make, run: Run) -> None:
    made = make_table(rows=100)
    sample(worker)
    sample(worker, 1)
    grow(made, 2, 5000)
    sample(worker, 1)
    large = read_histories(reader)[0].written
    run(f"TRUNCATE {made.sql}")
    sample(worker, 1)
    (history,) = read_histories(reader)
    assert len(history) == len(read_runs(reader)) == 2
    assert history.written[1] < history.written[0] < large[1]
    assert history.written[1] == sum(item.bytes for item in read_holdings(reader, on=DAY + timedelta(days=1)))


def test_a_sample_under_a_clock_that_went_back_leaves_later_days_as_they_were(
    worker: Engine, reader: Engine, make_table: Make, run: Run
) -> None:
    made = make_table(rows=100)
    sample(worker, 0)
    sample(worker, 10)
    before = read_histories(reader)[0].written.tolist()
    grow(made, 2, 5000)
    sample(worker, 5)
    (history,) = read_histories(reader)
    assert [(day.item() - DAY).days for day in history.days] == [0, 5, 10]
    assert [history.written[0], history.written[2]] == before
    assert history.written[1] > before[1]
    assert sum(item.bytes for item in read_holdings(reader, on=DAY + timedelta(days=10))) == before[1]
    assert sum(item.bytes for item in read_holdings(reader, on=DAY + timedelta(days=7))) == history.written[1]


# --- a partition's life ---------------------------------------------------------------------------------------------


@pytest.mark.every_version
@pytest.mark.parametrize("key_type", ["date", "timestamptz"])
def test_archived_dropped_and_back_what_is_written_stays(
    worker: Engine, reader: Engine, make_table: Make, run: Run, act: Act, key_type: str
) -> None:
    made = make_table(rows=2000, key_type=key_type)
    run(f"VACUUM (ANALYZE) {made.sql}")
    sample(worker)
    archive(worker, act, made, made.first)
    sample(worker, 1)
    act(plan_reattach(read_table(worker, made.address), made.first))
    sample(worker, 2)
    archive(worker, act, made, made.first)
    sample(worker, 3)
    run(f'DROP TABLE archive."{made.first}"')
    sample(worker, 4)
    (history,) = read_histories(reader)
    gone = history.attached[0] - history.attached[1]
    assert gone > 100_000
    assert history.written[1:].tolist() == pytest.approx([history.written[0]] * 4, rel=0.05)
    assert history.archived.tolist() == pytest.approx([0, gone, 0, gone, 0], rel=0.1)
    assert history.freed.tolist() == pytest.approx([0, 0, 0, 0, gone], rel=0.1)
    assert history.rows.tolist() == [6000] * 5
    assert history.partitions.tolist() == [3, 3, 3, 3, 2]
    moves = read_moves(reader)
    assert [(move.name, move.before, move.after) for move in moves] == [
        (made.first, Stage.ATTACHED, Stage.ARCHIVED),
        (made.first, Stage.ARCHIVED, Stage.ATTACHED),
        (made.first, Stage.ATTACHED, Stage.ARCHIVED),
        (made.first, Stage.ARCHIVED, Stage.DROPPED),
    ]
    (quarter,) = savings(moves)
    assert (quarter.archived_partitions, quarter.freed_partitions) == (2, 1)
    assert quarter.freed == pytest.approx(gone, rel=0.1)
    assert int(run("SELECT count(*) FROM partition_desk.sampled_partition")[0][0]) == 3


def test_what_was_archived_before_the_first_sample_belongs_to_its_table(
    worker: Engine, reader: Engine, make_table: Make, run: Run, act: Act
) -> None:
    made = make_table(count=4, rows=200)
    archive(worker, act, made, made.first)
    by_hand = made.partition(made.ranges[1][0])
    run(f"ALTER TABLE {made.sql} DETACH PARTITION public.{by_hand}; ALTER TABLE public.{by_hand} SET SCHEMA archive")
    run("CREATE TABLE archive.somebody_s (id int)")
    sample(worker)
    assert stages(reader) == {
        made.first: Stage.ARCHIVED,
        by_hand: Stage.ARCHIVED,
        made.partition(made.ranges[2][0]): Stage.ATTACHED,
        made.partition(made.ranges[3][0]): Stage.ATTACHED,
    }
    lowers = {item.name: item.lower for item in read_holdings(reader, on=DAY)}
    assert (lowers[made.first], lowers[by_hand]) == (made.ranges[0][0], made.ranges[1][0])
    assert read_moves(reader) == ()


def test_a_partition_that_is_detached_and_left_where_it_is_was_not_dropped(
    worker: Engine, reader: Engine, make_table: Make, run: Run
) -> None:
    made = make_table()
    sample(worker)
    run(f"ALTER TABLE {made.sql} DETACH PARTITION public.{made.first}")
    sample(worker, 1)
    assert stages(reader, 1)[made.first] is Stage.ARCHIVED
    assert stages(reader, 0)[made.first] is Stage.ATTACHED


def test_a_partition_that_is_cut_in_two_was_not_dropped(
    worker: Engine, reader: Engine, make_table: Make, run: Run
) -> None:
    made = make_table(rows=3000)
    sample(worker)
    run(f"""
        ALTER TABLE {made.sql} DETACH PARTITION public.{made.first};
        CREATE TABLE halves_1 PARTITION OF {made.sql} FOR VALUES FROM ('2022-01-01') TO ('2022-07-01');
        CREATE TABLE halves_2 PARTITION OF {made.sql} FOR VALUES FROM ('2022-07-01') TO ('2023-01-01');
        INSERT INTO {made.sql} SELECT * FROM public.{made.first};
        DROP TABLE public.{made.first};
    """)
    sample(worker, 1)
    (history,) = read_histories(reader)
    assert history.freed.tolist() == [0, 0]
    assert history.written[1] == pytest.approx(history.written[0], rel=0.2)
    assert read_moves(reader) == ()


def test_a_table_that_is_plain_again_was_not_dropped(
    worker: Engine, reader: Engine, make_table: Make, run: Run
) -> None:
    made = make_table()
    sample(worker)
    run(f"CREATE TABLE public.plain AS SELECT * FROM {made.sql}; DROP TABLE {made.sql}")
    run(f"ALTER TABLE public.plain RENAME TO {made.name}")
    sample(worker, 1)
    (history,) = read_histories(reader)
    assert history.freed.tolist() == [0, 0]
    assert history.server[1] == 0


def test_a_table_that_is_dropped_freed_its_bytes(worker: Engine, reader: Engine, make_table: Make, run: Run) -> None:
    made = make_table()
    sample(worker)
    run(f"DROP TABLE {made.sql}")
    sample(worker, 1)
    sample(worker, 2)
    (history,) = read_histories(reader)
    assert history.server.tolist()[1:] == [0, 0]
    assert history.freed.tolist() == [0, history.server[0], history.server[0]]


def test_a_renamed_table_keeps_its_history(
    worker: Engine, reader: Engine, make_table: Make, run: Run, act: Act
) -> None:
    made = make_table()
    archive(worker, act, made, made.first)
    sample(worker)
    run(f"ALTER TABLE {made.sql} RENAME TO missed_days")
    sample(worker, 1)
    (history,) = read_histories(reader)
    assert history.table == "public.missed_days"
    assert history.written[0] == history.written[1]
    assert (history.archived > 0).all()
    assert together([history]).written.tolist() == history.written.tolist()


def test_another_table_under_a_known_oid_is_another_partition(
    worker: Engine, reader: Engine, make_table: Make, run: Run
) -> None:
    """A restored dump numbers its tables anew, and takes the samples with it."""
    made = make_table(rows=2000)
    run(f"VACUUM (ANALYZE) {made.sql}")
    sample(worker)
    oids = "SELECT relation FROM partition_desk.sampled_partition ORDER BY id"
    shifted = [oid for (oid,) in run(oids)]
    for number, oid in enumerate([*shifted[1:], shifted[0]], start=1):
        run(f"UPDATE partition_desk.sampled_partition SET relation = {oid} WHERE id = {number}")
    assert sample(worker, 1).changed == 0
    assert [oid for (oid,) in run(oids)] == shifted
    assert read_moves(reader) == ()


# --- who else is there ----------------------------------------------------------------------------------------------


@pytest.mark.every_version
def test_who_is_busy_is_skipped_and_keeps_its_figures(
    worker: Engine, reader: Engine, make_table: Make, run: Run, session: OpenSession
) -> None:
    made = make_table(rows=100)
    sample(worker)
    grow(made, 0, 5000)
    grow(made, 1, 5000)
    run(f"CREATE TABLE new_one PARTITION OF {made.sql} FOR VALUES FROM ('2030-01-01') TO ('2031-01-01')")
    other = session()
    other.hold(
        f"LOCK TABLE ONLY public.{made.first} IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE ONLY new_one IN ACCESS EXCLUSIVE MODE",
    )
    found = sample(worker, 1)
    assert found.skipped == (made.first, "new_one")
    assert read_runs(reader)[0].skipped == found.skipped
    before, after = ({i.name: i.bytes for i in read_holdings(reader, on=DAY + timedelta(days=n))} for n in (0, 1))
    assert after[made.first] == before[made.first]
    assert after[made.partition(made.ranges[1][0])] > before[made.partition(made.ranges[1][0])]
    assert "new_one" not in after
    other.release()
    assert sample(worker, 1).skipped == ()
    assert "new_one" in stages(reader, 1)


def test_sampling_holds_up_nobody_who_writes_or_alters(
    worker: Engine, make_table: Make, run: Run, session: OpenSession
) -> None:
    made = make_table()
    other = session()
    other.hold(f"INSERT INTO {made.sql} (kid_id, date) VALUES (77, '2022-05-05')")
    assert sample(worker).skipped == ()
    other.run(f"ALTER TABLE {made.sql} ADD COLUMN more int")
    assert set(sample(worker, 1).skipped) == {made.partition(lower) for lower, _ in made.ranges}
    other.release()
    locks = "SELECT count(*) FROM pg_locks WHERE locktype IN ('relation', 'advisory') AND pid <> pg_backend_pid()"
    assert run(f"{locks} AND database = (SELECT oid FROM pg_database WHERE datname = current_database())") == [(0,)]


def test_two_at_once_follow_each_other(
    worker: Engine, reader: Engine, make_table: Make, run: Run, session: OpenSession
) -> None:
    make_table()
    sample(worker)
    first = session()
    first.run(f"SELECT pg_advisory_lock({LockKey.SAMPLE}, 1)")
    done: list[SampleRun] = []
    threads = [threading.Thread(target=lambda: done.append(sample(worker, 1))) for _ in range(2)]
    for thread in threads:
        thread.start()
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'partition-desk' AND query LIKE '%advisory%'"
        " AND datname = current_database()"
    )
    until(lambda: run(waiting) == [(2,)])
    assert done == []
    first.run(f"SELECT pg_advisory_unlock({LockKey.SAMPLE}, 1)")
    for thread in threads:
        thread.join(20)
    assert [one.day for one in done] == [DAY + timedelta(days=1)] * 2
    assert len(read_histories(reader)[0]) == 2


def test_a_role_without_the_right_is_told_what_it_needs(
    make_table: Make, make_role: Callable[..., tuple[str, str]], run: Run, worker: Engine
) -> None:
    make_table()
    name, url = make_role()
    engine = working_engine(parse_url(url))
    try:
        with pytest.raises(NotAllowed, match="CREATE SCHEMA partition_desk AUTHORIZATION"):
            sample(engine)
        sample(worker)
        assert read_histories(engine) == ()
        run(f'GRANT USAGE ON SCHEMA partition_desk TO "{name}"')
        run(f'GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA partition_desk TO "{name}"')
        for day in (1, 1, 2):
            assert sample(engine, day).partitions == 3
        assert len(read_histories(engine)[0]) == 3
    finally:
        engine.dispose()


def test_a_reading_engine_does_not_sample(reader: Engine, run: Run) -> None:
    with pytest.raises(ReadOnlyServer):
        sample(reader)
    assert run("SELECT to_regnamespace('partition_desk')") == [(None,)]
