"""A new partition on a real server: it gets what its siblings share, before anybody can meet it without."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Engine

from core.plans.archive import plan_archive
from core.plans.ensure import Ensure
from core.plans.plan import Plan, outdated
from core.postgres.connection import parse_url, working_engine
from core.tables.catalog.table import read_table
from tests import desks
from tests.conftest import ADMIN, Act
from tests.tables import Run

pytestmark = pytest.mark.every_version

NOTES = """
CREATE TABLE notes (id bigint NOT NULL, tenant text NOT NULL, taken_on date NOT NULL, v int)
    PARTITION BY RANGE (taken_on);
CREATE TABLE notes_2025 PARTITION OF notes FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE notes_2026 PARTITION OF notes FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
"""


def each(run: Run, *statements: str, of: tuple[str, ...] = ("notes_2025", "notes_2026")) -> None:
    """Runs statements with each partition in the place of `{}`."""
    for name in of:
        for statement in statements:
            run(statement.replace("{}", name))


def plan_2027(engine: Engine, table: str = "notes") -> Plan:
    return desks.desk(engine).plan(Ensure(read_table(engine, table), dates=(date(2027, 1, 1),)))


def test_rows_of_strangers_stay_unseen(worker: Engine, act: Act, run: Run, make_role: Any) -> None:
    run(NOTES)
    role, _ = make_role("web")
    run(f"GRANT USAGE ON SCHEMA public TO {role}")
    run(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO {role}")
    each(
        run,
        f"GRANT SELECT, INSERT ON {{}} TO {role}",
        "ALTER TABLE {} ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY own ON {} USING (tenant = current_user)",
        f"CREATE POLICY strict ON {{}} AS RESTRICTIVE FOR SELECT TO {role}, PUBLIC USING (v > 0)",
    )
    plan = plan_2027(worker)
    act(plan)
    for number, tenant, v in ((1, "other", 1), (2, role, 1), (3, role, 0)):
        run(f"INSERT INTO notes VALUES ({number}, '{tenant}', '2027-05-05', {v})")
    run(f"SET ROLE {role}")
    assert run("SELECT id FROM notes_2027") == [(2,)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run("DELETE FROM notes_2027")
    run("RESET ROLE")
    acl = "SELECT relacl::text FROM pg_class WHERE relname = '{}'"
    assert run(acl.format("notes_2027")) == run(acl.format("notes_2026"))
    assert "It gets row security, as notes_2025 and notes_2026 have." in plan.effects
    assert any(f"Default privileges would give {role} more of it" in effect for effect in plan.effects)
    assert plan.warnings == ()


def test_keys_and_triggers_that_stand_on_each_sibling(worker: Engine, act: Act, run: Run) -> None:
    run(NOTES)
    run(
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN NEW.v := TG_ARGV[0]::int; RETURN NEW; END $$;"
        'CREATE TABLE tenants (tenant text PRIMARY KEY); ALTER TABLE notes ADD COLUMN "a ON b" int'
    )
    each(
        run,
        "ALTER TABLE {} ADD PRIMARY KEY (id)",
        "ALTER TABLE {} ADD CHECK (v < 100)",
        "ALTER TABLE {} ADD FOREIGN KEY (tenant) REFERENCES tenants",
        "ALTER TABLE {} ALTER COLUMN v SET NOT NULL",
        'CREATE TRIGGER "touch ON x" BEFORE INSERT OR UPDATE OF v, "a ON b" ON {} FOR EACH ROW WHEN (NEW.v > 1)'
        " EXECUTE FUNCTION touch('7')",
        "CREATE TRIGGER always BEFORE DELETE ON {} FOR EACH ROW EXECUTE FUNCTION touch('8')",
        "ALTER TABLE {} ENABLE ALWAYS TRIGGER always",
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON {} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
        " EXECUTE FUNCTION touch('9')",
        "CREATE TRIGGER counted AFTER INSERT ON {} REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT"
        " EXECUTE FUNCTION touch('1')",
    )
    plan = plan_2027(worker)
    act(plan)
    assert plan.warnings == ()
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        run("INSERT INTO notes VALUES (1, 'a', '2027-05-05', 2)")
    run("INSERT INTO tenants VALUES ('a'); INSERT INTO notes VALUES (1, 'a', '2027-05-05', 2)")
    assert run("SELECT v FROM notes_2027") == [(7,)]
    for row, error in (
        ("(1, 'a', '2027-06-06', 0)", psycopg2.errors.UniqueViolation),
        ("(2, 'a', '2027-06-06', NULL)", psycopg2.errors.NotNullViolation),
    ):
        with pytest.raises(error):
            run(f"INSERT INTO notes VALUES {row}")
    triggers = (
        "SELECT tgname, tgenabled, tgdeferrable, tginitdeferred, tgtype, tgnewtable, tgattr::text,"
        " replace(pg_get_triggerdef(oid), '{0}', '') FROM pg_trigger"
        " WHERE tgrelid = '{0}'::regclass AND NOT tgisinternal ORDER BY 1"
    )
    assert run(triggers.format("notes_2027")) == run(triggers.format("notes_2026"))
    constraints = (
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = '{}'::regclass ORDER BY 1"
    )
    assert [(name.replace("2027", "2026"), what) for name, what in run(constraints.format("notes_2027"))] == run(
        constraints.format("notes_2026")
    )


@pytest.mark.parametrize("inherited", [False, True], ids=["own", "inherited"])
def test_changes_are_sent_as_the_siblings_send_theirs(worker: Engine, act: Act, run: Run, inherited: bool) -> None:
    run(NOTES)
    if inherited:
        run("ALTER TABLE notes ADD CONSTRAINT told_apart UNIQUE (id, taken_on)")
    else:
        each(run, "ALTER TABLE {} ADD CONSTRAINT {}_told_apart UNIQUE (id)")
    index = run(
        "SELECT c.relname, i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
        " WHERE c.relname LIKE 'notes_202%'"
    )
    for name, its in index:
        run(f"ALTER TABLE {name} REPLICA IDENTITY USING INDEX {its}; ALTER TABLE {name} CLUSTER ON {its}")
    run("CREATE PUBLICATION changes FOR TABLE notes_2025 , notes_2026")
    plan = plan_2027(worker)
    assert plan.warnings == (
        "The publication changes will send the rows of public.notes_2027 under that name: make it on every subscriber"
        " before the first row is written, or it stops there, for all tables.",
    )
    act(plan)
    run("INSERT INTO notes VALUES (1, 'a', '2027-05-05', 2); UPDATE notes SET v = 3")
    assert run("SELECT count(*) FROM pg_publication_tables WHERE tablename = 'notes_2027'") == [(1,)]
    marks = run(
        "SELECT c.relreplident, i.indisreplident, i.indisclustered, i.indisvalid FROM pg_class c"
        " JOIN pg_index i ON i.indrelid = c.oid WHERE c.relname = 'notes_2027'"
    )
    assert marks == [("i", True, True, True)]
    assert run("SELECT indisvalid FROM pg_index WHERE indrelid = 'notes'::regclass") == [(True,)] * inherited


def test_what_the_server_says_of_the_new_one_is_what_it_says_of_the_others(worker: Engine, act: Act, run: Run) -> None:
    major = int(run("SHOW server_version_num")[0][0]) // 10000
    run(NOTES.replace("v int", "v int, words text, span int4range"))
    run("CREATE SCHEMA parts; CREATE STATISTICS common ON id, v FROM notes; CREATE INDEX ON notes (tenant)")
    distinct = " NULLS NOT DISTINCT" if major >= 15 else ""
    each(
        run,
        f"CREATE UNIQUE INDEX {{}}_mixed ON {{}} (lower(tenant) text_pattern_ops DESC, v) INCLUDE (id){distinct}"
        " WITH (fillfactor = 71) WHERE v > 1",
        "CREATE INDEX ON {} USING gin (string_to_array(words, ' '))",
        "ALTER TABLE {} ADD CONSTRAINT {}_apart EXCLUDE USING gist (span WITH &&) WHERE (v > 5) DEFERRABLE",
        f"ALTER TABLE {{}} ADD CONSTRAINT {{}}_uq UNIQUE{distinct} (v, id) WITH (fillfactor = 72) INITIALLY DEFERRED",
        "ALTER TABLE {} SET (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_enabled = off)",
        "ALTER TABLE {} ALTER words SET STORAGE EXTERNAL, ALTER words SET COMPRESSION pglz, ALTER v SET STATISTICS 500,"
        " ALTER v SET (n_distinct = 50, n_distinct_inherited = -0.5)",
        "ALTER TABLE {} ALTER v SET DEFAULT 3, ALTER words SET DEFAULT 'it''s'",
        "CREATE STATISTICS {}_more (dependencies, mcv) ON tenant, v FROM {}",
        "ALTER STATISTICS {}_more SET STATISTICS 77",
        "CREATE STATISTICS {}_expr ON lower(words) FROM {}",
        "CREATE RULE kept AS ON DELETE TO {} WHERE OLD.v = 9 DO INSTEAD NOTHING",
        "ALTER TABLE {} FORCE ROW LEVEL SECURITY",
        "ALTER TABLE {} REPLICA IDENTITY FULL",
        "GRANT SELECT (id, v), UPDATE (v) ON {} TO PUBLIC",
        "GRANT SELECT ON {} TO pg_monitor WITH GRANT OPTION",
        "COMMENT ON TABLE {} IS E'Keep \\\\ this'",
        "COMMENT ON COLUMN {}.v IS 'a value'",
        "ALTER TABLE {} SET UNLOGGED",
        "ALTER TABLE {} SET SCHEMA parts",
    )
    plan = plan_2027(worker)
    act(plan)
    assert plan.warnings == ()
    new, old = (described(run, f"parts.notes_{year}") for year in (2027, 2026))
    assert new == old


def described(run: Run, name: str) -> list[tuple[Any, ...]]:
    """All that the catalog says of a partition, its own name left out."""
    oid = f"'{name}'::regclass"
    short = name.partition(".")[2]
    return run(
        rf"""
        SELECT 'index', replace(pg_get_indexdef(indexrelid), '{short}', ''), indisreplident::text FROM pg_index
            WHERE indrelid = {oid}
        UNION ALL SELECT 'constraint', replace(conname, '{short}', ''), pg_get_constraintdef(oid) FROM pg_constraint
            WHERE conrelid = {oid} AND contype <> 'n'
        UNION ALL SELECT 'statistics', regexp_replace(pg_get_statisticsobjdef(oid), '\S*{short}', '', 'g'),
                stxstattarget::text FROM pg_statistic_ext WHERE stxrelid = {oid} AND stxname NOT LIKE '%id_v_stat'
        UNION ALL SELECT 'rule', replace(pg_get_ruledef(oid), '{short}', ''), ev_enabled::text FROM pg_rewrite
            WHERE ev_class = {oid}
        UNION ALL SELECT 'column', a.attname, concat_ws(' ', a.attnotnull, a.attstorage, a.attcompression,
                a.attstattarget, (SELECT array_agg(o) FROM unnest(a.attoptions) o WHERE o NOT LIKE 'pg_attver=%'),
                a.attacl, pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum))
            FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = {oid} AND a.attnum > 0
        UNION ALL SELECT 'table', relnamespace::regnamespace::text, concat_ws(' ', relpersistence, relam, reltablespace,
                relrowsecurity, relforcerowsecurity, relreplident, reloptions, relacl, relowner,
                obj_description(oid, 'pg_class'),
                (SELECT t.reloptions FROM pg_class t WHERE t.oid = c.reltoastrelid))
            FROM pg_class c WHERE oid = {oid}
        ORDER BY 1, 2, 3"""
    )


def test_what_siblings_differ_in_is_told_and_left_out(worker: Engine, act: Act, run: Run) -> None:
    run(NOTES)
    run(
        "ALTER TABLE notes_2026 ENABLE ROW LEVEL SECURITY, SET (fillfactor = 50);"
        "ALTER TABLE notes_2025 SET (fillfactor = 60)"
    )
    plan = plan_2027(worker)
    assert plan.warnings == (
        "notes_2026 has fillfactor=50, notes_2025 hasn't: a new partition gets none.",
        "notes_2025 has fillfactor=60, notes_2026 hasn't: a new partition gets none.",
        "notes_2026 has row security, notes_2025 hasn't: a new partition gets none.",
    )
    act(plan)
    assert run("SELECT relrowsecurity, reloptions FROM pg_class WHERE relname = 'notes_2027'") == [(False, None)]


def test_one_sibling_alone_tells_all_but_what_may_be_its_own(worker: Engine, act: Act, run: Run) -> None:
    run(NOTES)
    run("DROP TABLE notes_2025; ALTER TABLE notes_2026 ADD UNIQUE (id), ADD CHECK (taken_on < '2026-12-25' OR v > 1)")
    run(
        "COMMENT ON TABLE notes_2026 IS 'The year 2026'; CREATE SEQUENCE notes_2026_v;"
        "ALTER TABLE notes_2026 ALTER v SET DEFAULT nextval('notes_2026_v')"
    )
    plan = plan_2027(worker)
    act(plan)
    assert run("SELECT contype FROM pg_constraint WHERE conrelid = 'notes_2027'::regclass AND contype <> 'n'") == [
        ("u",)
    ]
    assert [warning.partition(": it may be meant for notes_2026 alone")[1] != "" for warning in plan.warnings] == [
        True
    ] * 3


def test_bounds_that_a_partition_keeps_are_no_trait(worker: Engine, run: Run) -> None:
    run(NOTES)
    run("ALTER TABLE notes_2026 ADD CHECK (taken_on >= '2026-01-01' AND taken_on < '2027-01-01')")
    assert plan_2027(worker).warnings == ()


def test_a_limit_of_the_key_is_told_and_not_copied(worker: Engine, act: Act, run: Run) -> None:
    run(NOTES)
    each(run, "ALTER TABLE {} ADD CHECK (taken_on < '2027-01-01')")
    plan = plan_2027(worker)
    assert "it limits the key, of which the new one holds other values" in plan.warnings[0]
    act(plan)
    run("INSERT INTO notes VALUES (1, 'a', '2027-05-05', 2)")


def test_names_that_are_taken_are_gone_round(worker: Engine, act: Act, run: Run) -> None:
    run(NOTES)
    run("CREATE TABLE other (id int CONSTRAINT notes_2027_own PRIMARY KEY)")
    each(run, "ALTER TABLE {} ADD CONSTRAINT {}_own UNIQUE (id)", "ALTER TABLE {} REPLICA IDENTITY USING INDEX {}_own")
    act(plan_2027(worker))
    identity = "SELECT indisunique FROM pg_index WHERE indrelid = 'notes_2027'::regclass AND indisreplident"
    assert run(identity) == [(True,)]


def test_a_key_that_refers_to_its_own_table(worker: Engine, act: Act, run: Run) -> None:
    run(NOTES)
    each(run, "ALTER TABLE {} ADD PRIMARY KEY (id)", "ALTER TABLE {} ADD FOREIGN KEY (v) REFERENCES {} (id)")
    act(plan_2027(worker))
    found = (
        "SELECT confrelid::regclass::text FROM pg_constraint WHERE conrelid = 'notes_2027'::regclass AND contype = 'f'"
    )
    assert run(found) == [("notes_2027",)]


def test_a_trigger_of_the_table_that_is_off_on_its_partitions(worker: Engine, act: Act, run: Run) -> None:
    run(NOTES)
    run("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
    run("CREATE TRIGGER no BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION no()")
    each(run, "ALTER TABLE {} DISABLE TRIGGER no")
    act(plan_2027(worker))
    assert run("SELECT tgenabled FROM pg_trigger WHERE tgrelid = 'notes_2027'::regclass") == [("D",)]


def test_only_the_owner_s_partitions_count(worker: Engine, run: Run, make_role: Any) -> None:
    run(NOTES)
    role, _ = make_role("mallory")
    each(run, f"ALTER TABLE {{}} OWNER TO {role}", "ALTER TABLE {} ADD CHECK (v > 0)")
    plan = plan_2027(worker)
    assert plan.warnings == (
        "The partitions belong to other roles than the table does: nothing is copied from them but what"
        " the table itself has.",
    )
    assert "CHECK" not in plan.sql


def test_siblings_that_change_outdate_the_plan(worker: Engine, run: Run) -> None:
    run(NOTES)
    plan = plan_2027(worker)
    assert outdated(plan, read_table(worker, "notes")) == ()
    run("ALTER TABLE notes_2026 ENABLE ROW LEVEL SECURITY")
    assert "row security" in str(outdated(plan, read_table(worker, "notes")))


def test_what_comes_back_without_what_its_siblings_share_is_told(worker: Engine, act: Act, run: Run) -> None:
    run(
        NOTES.replace("notes_2026", "notes_2027").replace(
            "'2026-01-01') TO ('2027-01-01'", "'2027-01-01') TO ('2028-01-01'"
        )
    )
    run("CREATE TABLE notes_2024 PARTITION OF notes FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')")
    act(plan_archive(read_table(worker, "notes"), "notes_2024", now=datetime(2026, 10, 20, tzinfo=UTC)))
    each(
        run,
        "ALTER TABLE {} ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY own ON {} USING (true)",
        "ALTER TABLE {} ADD UNIQUE (id)",
        "ALTER TABLE {} SET (fillfactor = 50)",
        of=("notes_2025", "notes_2027"),
    )
    told = desks.reattach(worker, read_table(worker, "notes"), "notes_2024").warnings
    assert told == (
        "It comes back without what the newest partitions share: the key UNIQUE (id), row security, the policy own."
        " The Doctor compares them once it is attached.",
    )


def test_what_the_role_may_not_give_is_told_and_left_out(run: Run, make_role: Any) -> None:
    run(NOTES)
    owner, _ = make_role("owner")
    role, url = make_role("app")
    run(f"CREATE SCHEMA partition_desk AUTHORIZATION {role}; GRANT {owner} TO {role}")
    run("CREATE TABLE tenants (tenant text PRIMARY KEY)")
    run(f"GRANT USAGE, CREATE ON SCHEMA public TO {role}, {owner}; ALTER TABLE notes OWNER TO {owner}")
    run("CREATE FUNCTION secret() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$")
    run("REVOKE EXECUTE ON FUNCTION secret() FROM PUBLIC")
    each(
        run,
        "CREATE TRIGGER secret BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION secret()",
        "ALTER TABLE {} ADD FOREIGN KEY (tenant) REFERENCES tenants",
        "CREATE STATISTICS {}_more ON id, v FROM {}",
        "GRANT SELECT ON {} TO pg_monitor",
        f"ALTER TABLE {{}} OWNER TO {owner}",
    )
    run("CREATE PUBLICATION theirs FOR TABLE notes_2025, notes_2026")
    app = working_engine(parse_url(url))
    try:
        plan = plan_2027(app)
        desks.desk(app).run(plan, ADMIN, "a test")
    finally:
        app.dispose()
    (superuser,) = run("SELECT current_user")[0]
    assert plan.warnings == (
        f"A new partition does not get the trigger secret: the role {role} may not execute public.secret().",
        "A new partition does not get the FOREIGN KEY (tenant) REFERENCES public.tenants(tenant):"
        f" the role {role} may not refer to public.tenants.",
        "A new partition does not get a place in the publication theirs:"
        f" only {superuser} may add to it, and {role} is no member of that role.",
    )
    owners = "SELECT relowner::regrole::text FROM pg_class WHERE relname = 'notes_2027'"
    statistics = "SELECT stxowner::regrole::text FROM pg_statistic_ext WHERE stxrelid = 'notes_2027'::regclass"
    assert (run(owners), run(statistics)) == ([(owner,)], [(owner,)])
    acl = "SELECT relacl::text FROM pg_class WHERE relname = '{}'"
    assert run(acl.format("notes_2027")) == run(acl.format("notes_2026"))
