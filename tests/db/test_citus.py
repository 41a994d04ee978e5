"""What Citus distributes: measured where its rows are, locked within the budget everywhere, brought back spread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import URL, Engine

from core.growth.samples.measure import read_present, sample
from core.plans.archive import plan_archive
from core.plans.ensure import ENSURE
from core.tables.catalog.table import read_table
from core.tables.distribution import Distribution
from tests import desks
from tests.citus import Cluster, make_cluster, on
from tests.conftest import Act
from tests.tables import Made, Run

pytestmark = pytest.mark.older_versions  # these have dblink, by which the stand-in reaches its servers

NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)


@pytest.fixture
def cluster(run: Run, database_url: str, server_url: URL) -> Iterator[Cluster]:
    made = make_cluster(run, database_url, server_url)
    yield made
    for worker in made.workers:
        worker.drop()


@pytest.fixture
def made(cluster: Cluster, make_table: Callable[..., Made]) -> Made:
    """A distributed table of three years, with rows in the shards of the first."""
    made = make_table(rows=0, identity=False)
    for name in (made.name, *(made.partition(lower) for lower, _ in made.ranges)):
        cluster.distribute(f"public.{name}")
    for number, (_, shard, worker) in enumerate(cluster.shards(made.first), 1):
        on(worker, f"INSERT INTO {shard} SELECT g, repeat('x', 500) FROM generate_series(1, {number * 400}) g")
    return made


def bytes_of(cluster: Cluster, relation: str) -> int:
    """What Citus says of it: the sum over its shards."""
    return sum(
        on(worker, f"SELECT pg_total_relation_size('{shard}')")[0][0] for _, shard, worker in cluster.shards(relation)
    )


def analyze(cluster: Cluster, relation: str) -> None:
    for _, shard, worker in cluster.shards(relation):
        on(worker, f"VACUUM ANALYZE {shard}")


def test_sizes_and_rows_are_those_of_the_shards(reader: Engine, cluster: Cluster, made: Made) -> None:
    table = read_table(reader, made.address)
    assert (table.server.can.citus, table.server.product.endswith(", Citus 13.2-1")) == ("13.2-1", True)
    assert table.distribution == Distribution("kid_id", 1)
    first, empty, _ = table.partitions
    assert first.size is not None
    assert empty.size is not None
    assert (first.size.total, empty.size.total) == (bytes_of(cluster, made.first), bytes_of(cluster, empty.name))
    assert first.size.total > 600_000
    assert (first.rows, empty.rows, first.activity) == (None, 0, None)  # nobody analyzed the rows; no rows are none
    analyze(cluster, made.first)
    for exact in (True, False):
        again = read_table(reader, made.address, exact=exact).partitions[0]
        assert again.size is not None
        assert (again.rows, again.size.exact, again.size.heap > 600_000) == (1200, exact, True)


def test_a_shard_that_is_kept_twice_has_its_rows_once(reader: Engine, cluster: Cluster, made: Made, run: Run) -> None:
    analyze(cluster, made.first)
    ((_, shard, worker), _) = cluster.shards(made.first)
    other = next(one for one in cluster.workers if one is not worker)
    on(other, f"CREATE TABLE {shard} (kid_id bigint)")
    placed = run(f"SELECT shardid, groupid FROM pg_dist_placement WHERE shardid::text = right('{shard[:-1]}', 6)")
    run(f"INSERT INTO pg_dist_placement VALUES (1, {placed[0][0]}, 1, {3 - placed[0][1]})")
    assert read_table(reader, made.address).partitions[0].rows == 1200


def test_a_table_that_is_only_named_like_a_shard_counts_nowhere(reader: Engine, cluster: Cluster, made: Made) -> None:
    before = read_table(reader, made.address).partitions
    for _, shard, worker in cluster.shards(made.first):
        other = next(one for one in cluster.workers if one is not worker)
        on(other, f"CREATE TABLE {shard} AS SELECT generate_series(1, 1000) kid_id")
        on(
            worker,
            f"CREATE SCHEMA x; CREATE TABLE x.{shard.partition('.')[2]} AS SELECT generate_series(1, 1000) kid_id",
        )
    assert [one.size for one in read_table(reader, made.address).partitions] == [one.size for one in before]


def test_what_a_server_does_not_tell_is_unknown_and_not_nothing(
    reader: Engine, worker: Engine, cluster: Cluster, made: Made, run: Run
) -> None:
    assert sample(worker, archive_schema="archive", today=date(2026, 10, 19)).skipped == ()
    run("UPDATE pg_dist_node SET nodename = 'nowhere' WHERE nodeid = 2")
    table = read_table(reader, made.address)
    assert [(one.size, one.rows) for one in table.partitions] == [(None, None)] * 3
    run("DROP FUNCTION pg_catalog.run_command_on_all_nodes")
    assert [(one.size, one.rows) for one in read_table(reader, made.address).partitions] == [(None, None)] * 3
    told = sample(worker, archive_schema="archive", today=date(2026, 10, 20))
    assert told.skipped == tuple(sorted(one.name for one in table.partitions))


def test_a_sample_has_the_bytes_of_the_shards(worker: Engine, cluster: Cluster, made: Made) -> None:
    sample(worker, archive_schema="archive", today=date(2026, 10, 20))
    (first,) = (one for one in read_present(worker, archive_schema="archive") if one.name == made.first)
    assert first.size is not None
    assert first.size.total == bytes_of(cluster, made.first)


def test_every_wait_has_its_budget_on_every_server(reader: Engine, act: Act, made: Made, run: Run) -> None:
    run("CREATE TABLE public.told (query text, sent text, budget interval)")
    run("""CREATE FUNCTION public.tell() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.told SELECT current_query(), current_setting('citus.propagate_set_commands', true),
            current_setting('lock_timeout')::interval;
        END $$""")
    run("CREATE EVENT TRIGGER tell ON ddl_command_start EXECUTE FUNCTION public.tell()")
    table = read_table(reader, made.address)
    plan = plan_archive(table, made.first, now=NOW)
    assert "CONCURRENTLY" not in plan.sql
    act(plan)
    run("DROP EVENT TRIGGER tell")
    told = run(f"SELECT sent, budget FROM public.told WHERE query LIKE '%{made.first}%'")  # not the journal's own
    assert {(sent, 0 < budget.total_seconds() <= 0.1) for sent, budget in told} == {("local", True)}


def test_a_restored_table_is_spread_like_its_siblings_before_it_is_attached(
    reader: Engine, act: Act, cluster: Cluster, made: Made, run: Run
) -> None:
    act(plan_archive(read_table(reader, made.address), made.first, now=NOW))
    archived = f'"archive"."{made.first}"'
    run(f"DELETE FROM pg_dist_partition WHERE logicalrelid = '{archived}'::regclass")  # as a restore makes it: here
    made.insert(*made.ranges[0], into=archived)
    plan = desks.reattach(reader, read_table(reader, made.address), made.first)
    assert [step.statements for step in plan.steps[:2]] == [
        (
            f"SELECT pg_catalog.create_distributed_table('{archived}', 'kid_id',"
            ' colocate_with := \'"public"."kid_absences"\')',
        ),
        (
            f"SELECT pg_catalog.truncate_local_data_after_distributing_table('{archived}')"
            " WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint"
            f" WHERE contype = 'f' AND confrelid = '{archived}'::pg_catalog.regclass)",
        ),
    ]
    assert "ATTACH PARTITION" in plan.steps[-1].sql
    act(replace(plan, steps=plan.steps[:1]))  # stopped after the first: the rest is found undone
    rest = desks.reattach(reader, read_table(reader, made.address), made.first)
    assert [step.title for step in rest.steps] == [step.title for step in plan.steps[1:]]
    act(rest)
    groups = run("SELECT DISTINCT colocationid FROM pg_dist_partition")
    assert groups == [(1,)]
    assert run(f"SELECT pg_relation_size('public.{made.first}')") == [(0,)]


def test_old_rows_are_left_where_a_foreign_key_would_take_others_with_them(
    reader: Engine, act: Act, cluster: Cluster, made: Made, run: Run
) -> None:
    act(plan_archive(read_table(reader, made.address), made.first, now=NOW))
    made.insert(*made.ranges[0], into=f'"archive"."{made.first}"')
    run(
        "CREATE TABLE public.notes (kid bigint, on_day date, FOREIGN KEY (kid, on_day)"
        f' REFERENCES "archive"."{made.first}" (kid_id, date))'
    )
    run(f'INSERT INTO public.notes SELECT kid_id, date FROM "archive"."{made.first}" LIMIT 1')
    plan = desks.reattach(reader, read_table(reader, made.address), made.first)
    act(replace(plan, steps=plan.steps[:1]))
    assert run("SELECT count(*) FROM public.notes") == [(1,)]


def test_a_new_partition_is_made_as_ever(reader: Engine, act: Act, made: Made) -> None:
    plan = desks.ensure(reader, read_table(reader, made.address), [(date(2027, 1, 1), date(2028, 1, 1))])
    assert plan.operation is ENSURE
    act(plan)
    assert read_table(reader, made.address).find("kid_absences_2027") is not None
