"""A stand-in for Citus on plain PostgreSQL: its catalog, and the functions of it that the console calls.

Names, columns and signatures are those of 13.2. A server of the cluster is a database beside the coordinator's, reached
over dblink; a shard is a plain table there, as Citus makes them. What Citus does to DDL and queries is not in it.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from sqlalchemy import URL

from core.names import ident, literal
from core.postgres.connection import parse_url
from tests.servers import Database, connect
from tests.tables import Run, runner

_CATALOG = """
SET allow_system_table_mods = on;
CREATE EXTENSION dblink SCHEMA pg_catalog;
INSERT INTO pg_catalog.pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
    VALUES (99999, 'citus', 10, 11, false, '13.2-1');
CREATE TABLE pg_catalog.pg_dist_node (nodeid int, groupid int, nodename text);
CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass, partmethod "char", partkey text, colocationid int);
CREATE TABLE pg_catalog.pg_dist_shard (logicalrelid regclass, shardid bigint);
CREATE TABLE pg_catalog.pg_dist_placement (placementid bigint, shardid bigint, shardstate int, groupid int);
CREATE SEQUENCE pg_catalog.shards START 102008;
CREATE FUNCTION pg_catalog.column_to_column_name(regclass, text) RETURNS text LANGUAGE sql STRICT AS 'SELECT $2';
CREATE FUNCTION pg_catalog.run_command_on_all_nodes(command text, parallel bool DEFAULT true,
    give_warning_for_connection_errors bool DEFAULT false, OUT nodeid int, OUT success bool, OUT result text)
    RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE node record;
BEGIN
    FOR node IN SELECT * FROM pg_catalog.pg_dist_node LOOP
        nodeid := node.nodeid;
        BEGIN
            SELECT true, d.said INTO success, result
                FROM pg_catalog.dblink({words} || ' dbname=' || node.nodename, command) d(said text);
        EXCEPTION WHEN OTHERS THEN
            success := false; result := SQLERRM;
        END;
        RETURN NEXT;
    END LOOP;
END $$;
CREATE FUNCTION pg_catalog.create_distributed_table(table_name regclass, distribution_column text,
    distribution_type text DEFAULT 'hash', colocate_with text DEFAULT 'default', shard_count int DEFAULT NULL)
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO pg_catalog.pg_dist_partition SELECT table_name, 'h', distribution_column, coalesce((SELECT colocationid
        FROM pg_catalog.pg_dist_partition WHERE logicalrelid = to_regclass(colocate_with)), 1);
    INSERT INTO pg_catalog.pg_dist_shard SELECT table_name, nextval('pg_catalog.shards') FROM pg_catalog.pg_dist_node;
    INSERT INTO pg_catalog.pg_dist_placement SELECT shardid, shardid, 1, (shardid % 2)::int + 1
        FROM pg_catalog.pg_dist_shard WHERE logicalrelid = table_name;
END $$;
CREATE FUNCTION pg_catalog.truncate_local_data_after_distributing_table(function_calls regclass)
    RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'TRUNCATE ' || function_calls || ' CASCADE'; END $$;
"""


@dataclass
class Cluster:
    """A coordinator, which is the test's database, and two servers with the shards of what is distributed."""

    run: Run
    workers: tuple[Database, ...]

    def distribute(self, relation: str, column: str = "kid_id") -> None:
        """Makes it distributed, with empty shards."""
        self.run(f"SELECT pg_catalog.create_distributed_table({literal(relation)}, {literal(column)})")
        self.make_shards(relation)

    def make_shards(self, relation: str) -> None:
        """Makes the shards that the catalog says there are, on their servers."""
        for schema, shard, worker in self.shards(relation):
            on(worker, f"CREATE SCHEMA IF NOT EXISTS {ident(schema)}")
            on(worker, f"CREATE TABLE {shard} (kid_id bigint PRIMARY KEY, reason text)")

    def shards(self, relation: str) -> list[tuple[str, str, Database]]:
        """(schema, quoted name, where) of each."""
        found = self.run(
            "SELECT n.nspname, c.relname, s.shardid, p.groupid FROM pg_catalog.pg_dist_shard s"
            " JOIN pg_catalog.pg_dist_placement p USING (shardid) JOIN pg_class c ON c.oid = s.logicalrelid"
            f" JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = {literal(relation)}::regclass"
        )
        return [
            (schema, f"{ident(schema)}.{ident(f'{name}_{shard}')}", self.workers[group - 1])
            for schema, name, shard, group in found
        ]


def on(worker: Database, sql: str) -> list[tuple[int, ...]]:
    """Runs it there."""
    with closing(connect(worker.url)) as connection:
        return runner(connection)(sql)


def make_cluster(run: Run, url: str, server: URL) -> Cluster:
    """Makes the test's database a coordinator; the others have to be dropped by whoever asked for it."""
    at = parse_url(url)
    words = f"host={at.query['host']} port={at.port or at.query.get('port', 5432)} user={at.username}"
    run(_CATALOG.replace("{words}", literal(words)))
    workers = (Database(server, "worker"), Database(server, "worker"))
    for number, worker in enumerate(workers, 1):
        run(f"INSERT INTO pg_catalog.pg_dist_node VALUES ({number}, {number}, {literal(worker.name)})")
    return Cluster(run, workers)
