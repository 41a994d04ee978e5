"""Backups on real servers: they restore alone, are proven, and come back equal."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from sqlalchemy import URL

from core.backups.kept import read_kept
from core.errors import BackupUnusable
from core.names import ident, literal, qualified
from core.plans.proof import Kept
from core.postgres.connection import working_engine
from tests import tables
from tests.db.backups.walks import ODD, Alone, Make, Odd, Walk, circle, described, fingerprint_of, state_of
from tests.servers import connect
from tests.tables import describe, runner


@pytest.mark.all_versions
def test_the_full_circle(walk: Walk, make_table: Make) -> None:
    made = make_table()
    walk.run(f"COMMENT ON TABLE {made.first} IS 'checked by Anna:\nit''s \\ 100% fine'")
    walk.run(f"ALTER TABLE {made.first} SET (fillfactor = 80)")
    backup = circle(walk, made, made.first)
    assert (backup.rows, backup.parent, backup.schema) == (20, "public.kid_absences", "public")
    assert backup.bounded


@pytest.mark.parametrize("key_type", ["timestamp", "timestamptz"])
def test_other_key_types(walk: Walk, make_table: Make, shared: None, key_type: str) -> None:
    made = make_table(key_type=key_type)
    circle(walk, made, made.first)


NAMES = {
    "63 bytes": "a" * 63,
    "emoji": "отсутствия 🧒🏽 孩子",
    "quotes": 'Kid "absent" \'s',
    "backslash": "kid\\absences\\'",
    "percent": "100% of %s %(days)s",
    "colon": "time:of :day::date :'x' :\"y\"",
    "newline": "kid\nabsences\t\\.\n",
    "COPY": 'x" (a) FROM stdin;\nCOPY',
    "dots": "..",
    "hidden": ".kid.absences",
    "dollar": "kid$absences$$desk$1",
    "slashes": "../../etc/passwd",
    "pattern": "kid*abs?[a-z]|(b)",
    "a keyword": "table",
    "semicolon": "kid; DROP TABLE x; --",
}


@pytest.mark.one_in(5)
@pytest.mark.parametrize("name", NAMES.values(), ids=list(NAMES))
def test_hostile_names(walk: Walk, make_table: Make, alone: Alone, shared: None, name: str) -> None:
    made = make_table(name, schema=f"in {name}"[:20], key=name)
    backup = circle(walk, made, made.first)
    alone.psql(walk.object(backup))
    assert fingerprint_of(alone.engine, qualified("archive", made.first)) == backup.fingerprint


def test_an_attached_partition(walk: Walk, make_table: Make, alone: Alone) -> None:
    made = make_table(foreign_key=True)
    relation = qualified("public", made.first)
    before = state_of(walk, made, made.first)
    backup = walk.back_up(made, made.first)
    assert state_of(walk, made, made.first) == before
    assert walk.verify(backup).reason == ""
    alone.psql(walk.object(backup))
    assert fingerprint_of(alone.engine, f'"archive".{ident(made.first)}') == backup.fingerprint

    walk.run(f"DROP TABLE {relation}")
    walk.restore(made, read_kept(walk.storage, backup.id))
    archived = walk.read(made).find_archived(made.first)
    assert archived is not None
    assert archived.tag is not None
    assert archived.tag.parent == made.sql
    walk.reattach(made, made.first)
    after = state_of(walk, made, made.first)
    assert [line for line in after[1] if line[0] not in ("constraint",)] == [
        line for line in before[1] if line[0] not in ("constraint",)
    ]
    assert {line[2] for line in after[1]} == {line[2] for line in before[1]}
    assert after[2:] == before[2:]


@pytest.mark.one_in(3)
@pytest.mark.all_versions
@pytest.mark.parametrize("odd", ODD.values(), ids=list(ODD))
def test_it_restores_alone(walk: Walk, make_table: Make, alone: Alone, odd: Odd, shared: None) -> None:
    if odd.icu and not walk.run("SELECT 1 FROM pg_collation WHERE collname = 'sv-x-icu'"):
        pytest.skip("this PostgreSQL is built without ICU")
    if odd.extension and not walk.run("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"):
        pytest.skip("this PostgreSQL has no extension of that name")
    made = make_table()
    for statement in odd.setup:
        walk.run(statement)
    archived = walk.archive(made, made.first)
    for statement in odd.after:
        walk.run(statement.format(t=archived.sql))
    before = describe(walk.run, archived.sql), walk.fingerprint(archived.sql)
    every = fingerprint_of(walk.worker, archived.sql, every=True)

    backup = walk.back_up(made, made.first)
    assert [one.what for one in backup.left_out if one.back in ("columns", "restore")][:-1] == list(odd.left_out)
    alone.psql(walk.object(backup))
    assert fingerprint_of(alone.engine, archived.sql) == backup.fingerprint == before[1]
    assert fingerprint_of(alone.engine, archived.sql, every=True) == every
    if not odd.left_out:
        assert described(alone.run, archived.sql) == described(walk.run, archived.sql)
    if backup.server_version_num >= 180000:
        assert walk.verify(backup).reason == ""

    walk.run(f"DROP TABLE {archived.sql}")
    walk.restore(made, read_kept(walk.storage, backup.id))
    assert (describe(walk.run, archived.sql), walk.fingerprint(archived.sql)) == before
    walk.reattach(made, made.first)


@pytest.mark.all_versions
def test_options_that_only_this_server_knows(walk: Walk, make_table: Make, alone: Alone) -> None:
    """PostgreSQL 15.20 marks every column of a new table, each table with another number; others know no such mark."""
    made = make_table()
    archived = walk.archive(made, made.first)
    walk.run(f"ALTER TABLE {archived.sql} ALTER COLUMN kid_id SET (n_distinct = 5)")
    walk.run("SET allow_system_table_mods = on")
    walk.run(
        "UPDATE pg_attribute SET attoptions = (SELECT array_agg(o) FROM unnest(attoptions) o WHERE o NOT LIKE 'pg_a%')"
        " || ARRAY['pg_attver=' || attrelid] WHERE attnum > 0 AND attrelid IN"
        f" ({literal(archived.sql)}::regclass, {literal(made.sql)}::regclass)"
    )
    walk.run(
        "UPDATE pg_attribute SET attoptions = array_append(attoptions, 'of_another=1')"
        f" WHERE attrelid = {literal(archived.sql)}::regclass AND attname = 'reason'"
    )
    walk.run(f"ALTER TABLE {archived.sql} SET (fillfactor = 70)")
    walk.run(
        "UPDATE pg_class SET reloptions = reloptions || '{of_a_fork=1}'::text[]"
        f" WHERE oid = {literal(archived.sql)}::regclass"
    )
    backup = walk.back_up(made, made.first)
    left = ["option of_a_fork=1", "option of_another=1 of reason"]
    assert [one.what for one in backup.left_out if "option" in one.what] == left
    assert walk.verify(backup).reason == ""
    alone.psql(walk.object(backup))
    options = (
        "SELECT attname, option FROM pg_attribute, unnest(attoptions) option WHERE option NOT LIKE 'pg_attver=%'"
        f" AND attnum > 0 AND attrelid = {literal(archived.sql)}::regclass"
    )
    assert alone.run(options) == [("kid_id", "n_distinct=5")]
    of_table = f"SELECT reloptions FROM pg_class WHERE oid = {literal(archived.sql)}::regclass"
    assert alone.run(of_table) == [(["fillfactor=70"],)]
    walk.run(f"DROP TABLE {archived.sql}")
    plan = walk.plan_restore(made, read_kept(walk.storage, backup.id))
    assert "its SQL is in the manifest: option of_a_fork=1, option of_another=1 of reason." in " ".join(plan.warnings)
    walk.restore(made, read_kept(walk.storage, backup.id))
    assert (walk.run(options), walk.run(of_table)) == ([("kid_id", "n_distinct=5")], [(["fillfactor=70"],)])
    walk.reattach(made, made.first)


@pytest.mark.all_versions
def test_another_encoding(walk: Walk, server_url: URL, make_table: Make) -> None:
    name = f"pd_latin_{os.getpid()}"
    admin = connect(server_url)
    runner(admin)(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    url = server_url.set(database=name)
    connection = connect(url)
    engine = working_engine(url)
    try:
        there = replace(walk, reader=engine, worker=engine, run=runner(connection))
        made = tables.make_table(there.run, "größe")
        there.run("UPDATE \"größe\" SET reason = 'é\\' || id")
        backup = there.back_up(made, made.first)
        assert backup.encoding == "LATIN1"
        if backup.server_version_num >= 180000:
            assert walk.verify(backup).reason == ""
        there.run(f"DROP TABLE {ident(made.first)}")
        assert there.restore(made, read_kept(walk.storage, backup.id)) == 20
        assert there.fingerprint(qualified("archive", made.first)) == backup.fingerprint
        with pytest.raises(BackupUnusable, match="in LATIN1, the database's in UTF8"):
            walk.plan_restore(None, Kept(backup))
    finally:
        engine.dispose()
        connection.close()
        runner(admin)(f"DROP DATABASE {name} WITH (FORCE)")
        admin.close()
