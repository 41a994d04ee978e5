"""Backups between versions, and of every type that a server's own catalog has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace

import pytest

from core.backups.kept import read_kept
from core.plans.proof import Kept
from core.postgres.connection import parse_url, working_engine
from core.postgres.programs import find_pg_dump
from core.postgres.server import read_server
from tests import tables
from tests.binaries import NotHere
from tests.db.backups.walks import Walk, circle, fingerprint_of
from tests.servers import MAJORS, Database, Servers, connect
from tests.tables import Run, runner

ODD = """
CREATE TYPE mood AS ENUM ('fine', 'ill');
CREATE DOMAIN short AS text COLLATE "C" DEFAULT 'x' CHECK (length(VALUE) < 99);
CREATE TYPE span AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi);
CREATE TYPE pair AS (a mood, b short[]);
ALTER TABLE kid_absences ADD m mood DEFAULT 'ill', ADD s short, ADD r span DEFAULT '[1,2.5)',
    ADD p pair[] DEFAULT ARRAY[ROW('fine', '{a,b}')::pair], ADD f float8 DEFAULT 0.1,
    ADD j jsonb DEFAULT '{"a": [1.0]}',
    ADD words tsvector GENERATED ALWAYS AS (to_tsvector('english', reason || ' was added')) STORED,
    ADD CHECK (r && '[0,9]' AND m <> 'fine');
CREATE INDEX ON kid_absences USING gin (words);
CREATE INDEX ON kid_absences USING gist (r) WHERE kid_id > 3;
CREATE STATISTICS counted ON kid_id, date FROM kid_absences_2022
"""


@pytest.fixture
def everywhere(servers: Servers, walk: Walk) -> Iterator[dict[int, Walk]]:
    """A walk in a database of its own on each version that can be had, with one place."""
    with ExitStack() as stack:
        found: dict[int, Walk] = {}
        for major in MAJORS:
            try:
                database = Database(servers.url(major), f"versions{os.getpid()}")
            except NotHere:
                continue
            stack.callback(database.drop)
            engine = working_engine(parse_url(database.url))
            stack.callback(engine.dispose)
            run = runner(stack.enter_context(closing(connect(database.url))))
            tool = find_pg_dump(major * 10000, environ=os.environ)
            found[major] = replace(walk, reader=engine, worker=engine, run=run, tool=tool)
        yield found


def test_a_backup_of_each_version_is_restored_on_each(everywhere: dict[int, Walk]) -> None:
    kept: dict[int, Kept] = {}
    for major, walk in everywhere.items():
        made = tables.make_table(walk.run)
        walk.run(ODD)
        backup = walk.back_up(made, made.first)
        kept[major] = read_kept(walk.storage, backup.id)
        assert backup.server_version_num // 10000 == major
    for target, walk in everywhere.items():
        walk.run("DROP TABLE kid_absences CASCADE")  # the types stay, and are compared with those of every version
        for source, one in kept.items():
            schema = f"from_{source}"
            assert walk.restore(None, one, archive_schema=schema) == one.backup.rows, (source, target)
            assert fingerprint_of(walk.worker, f"{schema}.kid_absences_2022") == one.backup.fingerprint
        assert read_server(walk.reader).version_num // 10000 == target


EVERY_TYPE = r"""
DO $every$
DECLARE
  one record;
  value text;
  whole text;
  literals CONSTANT text[] := ARRAY['1', 'true', '2022-03-04', '10:00', '1 mon 2 days', 'english', 'pg_class', 'simple',
    '10.0.0.1', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '(1,2)', '((1,2),(3,4))', '{1,2,3}', '[(1,2),(3,4)]',
    '<(1,2),3>', '{"a": 1}', '$.a', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '16/B374D848', '10:20:10,14',
    'postgres=r/postgres', 'pg_catalog', 'int4', 'now()', 'abs(integer)', '+', '+(integer,integer)', '"C"', '{}',
    'YES', 'x'];
BEGIN
  FOR one IN
    SELECT t.typtype, t.typrelid, format_type(t.oid, NULL) AS type, 'c' || t.oid AS name, 'c' || e.oid AS element
    FROM pg_type t LEFT JOIN pg_type e ON e.typarray = t.oid
    WHERE t.oid < 16384 AND t.typtype IN ('b', 'c', 'd', 'e', 'm', 'r')
      AND (e.typtype IS DISTINCT FROM 'c' OR e.typname = 'pg_am')  -- else a row is larger than its page
      AND t.typnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    ORDER BY e.oid IS NOT NULL, t.oid
  LOOP
    BEGIN
      EXECUTE format('ALTER TABLE kid_absences ADD COLUMN %I %s', one.name, one.type);
    EXCEPTION WHEN invalid_table_definition OR undefined_object THEN
      CONTINUE;  -- of pseudo-types
    END;
    IF one.element IS NOT NULL THEN
      EXECUTE format('UPDATE kid_absences_2022 SET %I = ARRAY[%I, NULL]', one.name, one.element);
      CONTINUE;
    END IF;
    FOREACH value IN ARRAY CASE one.typtype
        WHEN 'c' THEN ARRAY['(' || repeat(',', (SELECT relnatts - 1 FROM pg_class WHERE oid = one.typrelid)) || ')']
        ELSE literals END
    LOOP
      BEGIN
        whole := CASE WHEN one.typtype = 'r' THEN '[' || value || ',' || value || ']'
          WHEN one.typtype = 'm' THEN '{[' || value || ',' || value || ']}' ELSE value END;
        EXECUTE format('UPDATE kid_absences_2022 SET %I = %L::%s', one.name, whole, one.type);
        EXIT;
      EXCEPTION WHEN OTHERS THEN
        NULL;  -- not of this type: the next
      END;
    END LOOP;
  END LOOP;
END
$every$
"""
NO_VALUES = {
    *("gtsvector", "pg_node_tree", "pg_ndistinct", "pg_dependencies", "pg_mcv_list"),
    *("pg_brin_bloom_summary", "pg_brin_minmax_multi_summary"),
}
"""Types that nobody can write a value of."""


COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = 'kid_absences_2022'::regclass AND attname ~ '^c[0-9]+$' ORDER BY attnum
"""


def test_every_type_of_the_catalog_comes_back_as_it_was(walk: Walk, run: Run, shared: None) -> None:
    made = tables.make_table(run, rows=1)
    run(EVERY_TYPE)
    columns = run(COLUMNS)
    (values,) = run("SELECT to_jsonb(r) FROM kid_absences_2022 r LIMIT 1")[0]
    empty = {kind for name, kind in columns if values[name] is None}
    assert empty <= NO_VALUES | {"xml"}  # not every server is built with it
    assert len(columns) > 300
    circle(walk, made, made.first)
