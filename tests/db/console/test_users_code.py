"""Acts whose statements run other people's code: event triggers, and functions in CHECKs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

import psycopg2
import pytest
from sqlalchemy import Engine

from core.console.execute import Budget
from core.errors import Failed, LockNotObtained, PlanOutdated
from core.plans.archive import plan_archive
from core.postgres.connection import parse_url, reading_engine
from core.tables.catalog.rows import count_all_default_rows
from core.tables.catalog.table import read_table
from core.tables.table import PartitionedTable
from tests import desks
from tests.conftest import Act, OpenSession
from tests.tables import Made, Run

pytestmark = pytest.mark.every_version

NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)
Make = Callable[..., Made]

LOG = """
CREATE TABLE ddl_log (event text, tag text, what text);
CREATE FUNCTION log_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  IF tg_event = 'ddl_command_end' THEN
    INSERT INTO ddl_log SELECT tg_event, command_tag, object_identity FROM pg_event_trigger_ddl_commands();
  ELSIF tg_event = 'sql_drop' THEN
    INSERT INTO ddl_log SELECT tg_event, tg_tag, object_identity FROM pg_event_trigger_dropped_objects();
  ELSE
    INSERT INTO ddl_log VALUES (tg_event, tg_tag, '');
  END IF;
END $$;
CREATE EVENT TRIGGER log_start ON ddl_command_start EXECUTE FUNCTION log_ddl();
CREATE EVENT TRIGGER log_end ON ddl_command_end EXECUTE FUNCTION log_ddl();
CREATE EVENT TRIGGER log_drop ON sql_drop EXECUTE FUNCTION log_ddl();
"""
"""Whoever logs names the table as everybody's session finds it."""


@pytest.fixture(autouse=True)
def no_triggers_are_left(run: Run) -> Iterator[None]:
    """An event trigger would meet the fixtures' own clearing up."""
    yield
    for (name,) in run("SELECT evtname FROM pg_event_trigger"):
        run(f'DROP EVENT TRIGGER "{name}"')


def read(reader: Engine, made: Made) -> PartitionedTable:
    return read_table(reader, made.address)


def logged(run: Run, tag: str) -> set[str]:
    return {what for (what,) in run(f"SELECT what FROM ddl_log WHERE tag = '{tag}' AND event = 'ddl_command_end'")}


@pytest.mark.parametrize("default", [False, True], ids=["", "default"])
def test_every_act_runs_event_triggers_that_name_their_tables_without_a_schema(
    reader: Engine, act: Act, make_table: Make, run: Run, default: bool
) -> None:
    """From the very first one, which makes the journal."""
    made = make_table(default=default)
    run(LOG)
    act(plan_archive(read(reader, made), made.first, now=NOW))
    assert "archive.kid_absences_2022" in logged(run, "ALTER TABLE")
    assert {"partition_desk"} <= logged(run, "CREATE SCHEMA")
    run("CREATE INDEX ON kid_absences (reason, kid_id)")
    act(desks.reattach(reader, read(reader, made), made.first))
    assert "archive.kid_absences_2022_reason_kid_id_idx" in logged(run, "CREATE INDEX")
    act(desks.ensure(reader, read(reader, made), [(date(2027, 1, 1), date(2028, 1, 1))]))
    assert "public.kid_absences_2027" in logged(run, "CREATE TABLE")
    assert made.count() == 60


def test_a_detach_that_others_left_pending_is_finished_among_such_triggers(
    reader: Engine, act: Act, make_table: Make, run: Run, session: OpenSession
) -> None:
    made = make_table()
    run(LOG)
    run("ALTER EVENT TRIGGER log_start DISABLE")  # the second transaction alone is to fail
    other = session()
    other.run("SET search_path = pg_catalog")
    with pytest.raises(psycopg2.Error, match='"ddl_log" does not exist'):
        other.run(f"ALTER TABLE public.kid_absences DETACH PARTITION public.{made.first} CONCURRENTLY")
    act(plan_archive(read(reader, made), made.first, now=NOW))
    assert read(reader, made).find_archived(made.first) is not None


def everything(run: Run) -> list[tuple[object, ...]]:
    """Every relation, constraint, comment and schema that is not the server's or the console's own."""
    return run(
        "SELECT n.nspname, c.relname, c.relkind, c.relispartition, pg_get_expr(c.relpartbound, c.oid),"
        " obj_description(c.oid, 'pg_class'), (SELECT array_agg(k.conname ORDER BY k.conname) FROM pg_constraint k"
        " WHERE k.conrelid = c.oid), i.inhdetachpending, x.indisvalid"
        " FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid"
        " LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_index x ON x.indexrelid = c.oid"
        " WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'partition_desk') ORDER BY 1, 2"
    )


def refuse(run: Run, *, event: str = "ddl_command_end", when: str = "", condition: str = "true") -> None:
    """Has an event trigger refuse DDL from now on."""
    run(
        "CREATE FUNCTION no_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ DECLARE one record; BEGIN"
        f" IF {condition} THEN RAISE EXCEPTION 'not on a Friday'; END IF; END $$;"
        f"CREATE EVENT TRIGGER no_ddl ON {event} {when} EXECUTE FUNCTION no_ddl()"
    )


@pytest.mark.newest_version
def test_what_an_event_trigger_refuses_to_the_very_first_act_is_told_with_its_name(
    reader: Engine, act: Act, make_table: Make, run: Run
) -> None:
    """Which makes the journal before anything else."""
    made = make_table()
    refuse(run)
    before = everything(run)
    with pytest.raises(Failed, match="not on a Friday") as refused:
        act(plan_archive(read(reader, made), made.first, now=NOW))
    assert "raised by the event trigger no_ddl" in refused.value.what
    assert refused.value.safe == "Nothing was changed."
    assert everything(run) == before
    assert run("SELECT to_regnamespace('partition_desk')") == [(None,)]


ANY_ON = "EXISTS (SELECT 1 FROM pg_event_trigger_ddl_commands() WHERE object_identity = '{}')"
REFUSALS = {
    "every command": {},
    "before every command": {"event": "ddl_command_start"},
    "one tag": {"when": "WHEN TAG IN ('ALTER TABLE')"},
    "comments": {"when": "WHEN TAG IN ('COMMENT')"},
    "the parent": {"condition": ANY_ON.format("public.kid_absences")},
    "what is archived": {"condition": ANY_ON.format("archive.kid_absences_2022")},
    "this role": {"condition": "current_user = session_user"},
    "a detach": {"when": "WHEN TAG IN ('ALTER TABLE')", "condition": "current_query() ~* 'DETACH'"},
}


@pytest.mark.one_in(4)
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=list(REFUSALS))
@pytest.mark.parametrize("shape", ["plain", "referenced", "default"])
def test_an_archive_that_an_event_trigger_refuses_leaves_everything_as_it_was(
    reader: Engine, act: Act, make_table: Make, run: Run, refusal: dict[str, str], shape: str
) -> None:
    made = make_table(default="default" in shape)
    if "referenced" in shape:
        run("ALTER TABLE kid_absences ADD UNIQUE (kid_id, date)")
        run("CREATE TABLE notes (kid bigint, day date, FOREIGN KEY (kid, day) REFERENCES kid_absences (kid_id, date))")
    act(desks.ensure(reader, read(reader, made), [(date(2027, 1, 1), date(2028, 1, 1))]))  # makes the journal
    refuse(run, **refusal)
    before = everything(run)
    with pytest.raises(Failed, match="not on a Friday") as refused:
        act(plan_archive(read(reader, made), made.first, now=NOW))
    assert "raised by the event trigger no_ddl" in refused.value.what
    assert "Have its function mended by whoever keeps it." in refused.value.next
    assert "ALTER EVENT TRIGGER" not in refused.value.next
    assert refused.value.safe.startswith(("Nothing was changed.", "What was begun was taken back; nothing is changed."))
    assert everything(run) == before
    assert made.count() == 60


def test_a_detach_that_drops_what_is_not_to_be_dropped_is_refused_before(
    reader: Engine, act: Act, make_table: Make, run: Run
) -> None:
    """Of a table that others refer to, a detach drops their constraints on the partition."""
    made = make_table()
    run("ALTER TABLE kid_absences ADD UNIQUE (kid_id, date)")
    run("CREATE TABLE notes (kid bigint, day date, FOREIGN KEY (kid, day) REFERENCES kid_absences (kid_id, date))")
    act(desks.ensure(reader, read(reader, made), [(date(2027, 1, 1), date(2028, 1, 1))]))  # makes the journal
    refuse(run, event="sql_drop", when="WHEN TAG IN ('ALTER TABLE')")
    before = everything(run)
    with pytest.raises(Failed, match="not on a Friday") as refused:
        act(plan_archive(read(reader, made), made.first, now=NOW))
    assert refused.value.safe.startswith("Nothing was changed.")
    assert everything(run) == before


def test_what_such_a_trigger_left_pending_is_told_with_what_helps(
    reader: Engine, act: Act, make_table: Make, run: Run
) -> None:
    made = make_table()
    act(desks.ensure(reader, read(reader, made), [(date(2027, 1, 1), date(2028, 1, 1))]))  # makes the journal
    refuse(run, when="WHEN TAG IN ('ALTER TABLE')")
    with pytest.raises(psycopg2.Error, match="not on a Friday"):
        run(f"ALTER TABLE kid_absences DETACH PARTITION {made.first} CONCURRENTLY")
    with pytest.raises(Failed, match="not on a Friday") as refused:
        act(plan_archive(read(reader, made), made.first, now=NOW))
    assert refused.value.safe.startswith("The partition is detach pending: all its rows are there")
    assert "raised by the event trigger no_ddl" in refused.value.what
    assert "Have its function mended by whoever keeps it." in refused.value.next
    assert "ALTER EVENT TRIGGER" not in refused.value.next
    assert refused.value.next.endswith("Archive it again to finish.")
    run("ALTER EVENT TRIGGER no_ddl DISABLE")
    act(plan_archive(read(reader, made), made.first, now=NOW))
    assert read(reader, made).find_archived(made.first) is not None


def test_without_event_triggers_nothing_is_tried_beforehand(reader: Engine, make_table: Make, run: Run) -> None:
    made = make_table()
    assert "ROLLBACK" not in plan_archive(read(reader, made), made.first, now=NOW).sql
    run(LOG)
    shown = plan_archive(read(reader, made), made.first, now=NOW)
    assert shown.steps[0].sql.startswith("BEGIN;\nCREATE SCHEMA")
    assert shown.steps[0].sql.endswith("ROLLBACK;")
    assert "log_drop, log_end, log_start" in shown.steps[0].title


def test_an_event_trigger_that_came_since_the_plan_outdates_it(
    reader: Engine, act: Act, make_table: Make, run: Run
) -> None:
    made = make_table()
    act(desks.ensure(reader, read(reader, made), [(date(2027, 1, 1), date(2028, 1, 1))]))  # makes the journal
    plan = plan_archive(read(reader, made), made.first, now=NOW)
    refuse(run, when="WHEN TAG IN ('ALTER TABLE')")
    with pytest.raises(PlanOutdated, match="no longer as it was"):
        act(plan)


def test_an_index_that_is_refused_does_not_stay_unfinished(
    reader: Engine, act: Act, make_table: Make, run: Run
) -> None:
    made = make_table()
    act(plan_archive(read(reader, made), made.first, now=NOW))
    run("CREATE INDEX ON kid_absences (reason, kid_id)")
    plan = desks.reattach(reader, read(reader, made), made.first)
    before = everything(run)
    refuse(run, when="WHEN TAG IN ('CREATE INDEX')")
    with pytest.raises(Failed, match="not on a Friday") as refused:
        act(plan)
    assert refused.value.safe.startswith("Nothing was changed.")
    assert everything(run) == before


def test_an_index_that_can_not_be_taken_away_again_is_told(
    reader: Engine, act: Act, make_table: Make, run: Run
) -> None:
    made = make_table()
    act(plan_archive(read(reader, made), made.first, now=NOW))
    run("CREATE INDEX ON kid_absences (reason, kid_id)")
    plan = desks.reattach(reader, read(reader, made), made.first)
    refuse(run, when="WHEN TAG IN ('CREATE INDEX', 'DROP INDEX')")
    with pytest.raises(Failed, match="not on a Friday") as refused:
        act(plan)
    left = '"archive"."kid_absences_2022_reason_kid_id_idx"'
    assert refused.value.safe.startswith(f"No row was changed. The index {left} is left unfinished")
    run("DROP EVENT TRIGGER no_ddl")
    act(desks.reattach(reader, read(reader, made), made.first))
    assert made.count() == 60


def test_a_lock_that_an_event_trigger_does_not_get_is_told_in_the_servers_words(
    reader: Engine, act: Act, make_table: Make, run: Run, session: OpenSession
) -> None:
    made = make_table()
    act(desks.ensure(reader, read(reader, made), [(date(2027, 1, 1), date(2028, 1, 1))]))  # makes the journal
    run("CREATE TABLE ddl_log (what text)")
    run(
        "CREATE FUNCTION busy() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN LOCK TABLE ddl_log NOWAIT; END $$;"
        "CREATE EVENT TRIGGER busy ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION busy()"
    )
    session().hold("LOCK TABLE ddl_log")
    with pytest.raises(
        LockNotObtained, match='the server said: could not obtain lock on relation "ddl_log"'
    ) as stopped:
        act(plan_archive(read(reader, made), made.first, now=NOW), Budget(lock_ms=50, patience_s=1.5))
    assert stopped.value.safe.startswith("Nothing was changed.")


@pytest.mark.newest_version
def test_policies_and_operators_of_others_are_found_where_rows_are_counted(
    make_table: Make, run: Run, make_role: Callable[..., tuple[str, str]]
) -> None:
    made = make_table(default=True)
    role, url = make_role()
    run("CREATE TABLE allowed (kid bigint)")
    run("INSERT INTO allowed SELECT generate_series(1, 1000)")
    run("CREATE FUNCTION may(bigint) RETURNS bool LANGUAGE sql STABLE AS 'SELECT $1 IN (SELECT kid FROM allowed)'")
    run("INSERT INTO kid_absences (kid_id, date) VALUES (1, '2035-05-05')")
    run(f"ALTER TABLE {made.default} ENABLE ROW LEVEL SECURITY")
    run(f"CREATE POLICY theirs ON {made.default} USING (may(kid_id))")
    run(f'GRANT SELECT ON {made.default}, kid_absences, allowed TO "{role}"')
    theirs = reading_engine(parse_url(url))
    assert count_all_default_rows(theirs, read(theirs, made)) == 1
    theirs.dispose()
