"""Every statement that the Doctor prints is run as it is printed, where it is printed; nobody loses a row by it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine

from core.doctor.examine import CHECKS
from core.doctor.findings import FEW, Finding, Severity, first_lines
from core.names import comment_sql, ident, qualified
from core.plans import steps
from core.postgres.connection import parse_url, reading_engine
from core.tables.marks import Hold, Marks
from tests import desks, remedies
from tests.tables import Run

NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)
HOSTILE = "R\"e;a'd\n-- x%s"
TABLE = """
CREATE TABLE {t} (id bigint NOT NULL, taken_on {type} NOT NULL, v text, UNIQUE (id, taken_on))
    PARTITION BY RANGE (taken_on);
CREATE INDEX ON {t} (taken_on);
CREATE TABLE {p2024} PARTITION OF {t} FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE {p2025} PARTITION OF {t} FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE {p2026} PARTITION OF {t} FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE {p2027} PARTITION OF {t} FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
INSERT INTO {t} SELECT g, date '2024-01-05' + g * 30, 'v' FROM generate_series(1, 30) g;
CREATE TABLE public.alarms (id bigint, on_day {type}, FOREIGN KEY (id, on_day) REFERENCES {t} (id, taken_on)
    ON DELETE CASCADE);
INSERT INTO public.alarms SELECT id, taken_on FROM {t} WHERE taken_on >= '2026-01-01';
CREATE TABLE public.notes (id bigint, on_day {type}, FOREIGN KEY (id, on_day) REFERENCES {t} (id, taken_on)
    ON DELETE SET NULL);
INSERT INTO public.notes SELECT id, taken_on FROM {t} WHERE taken_on >= '2026-01-01';
CREATE TABLE public.log (what text);
CREATE FUNCTION public.tell() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.log VALUES (tg_op); RETURN NULL; END $$;
CREATE TRIGGER tell AFTER DELETE OR UPDATE OR TRUNCATE ON {t} FOR EACH STATEMENT EXECUTE FUNCTION public.tell();
ANALYZE;
"""


def table_of(name: str, type_: str = "date") -> str:
    names = {f"p{year}": qualified("public", f"{name}_{year}") for year in range(2024, 2028)}
    return TABLE.replace("{type}", type_).replace("{t}", qualified("public", name)).format_map(Names(names))


class Names(dict[str, str]):
    """Leaves braces alone that name nothing."""

    def __missing__(self, key: str) -> str:
        return "{" + key + "}"


@dataclass(frozen=True)
class Situation:
    """What is wrong, and with which check it is told."""

    check: str
    made_by: str
    gone: bool = True
    """Whether the finding is gone once what it prints was run."""
    fails: str = ""
    """What the server says to what is printed for somebody to fill in first."""


ARCHIVED = """
CREATE SCHEMA archive; REVOKE ALL ON SCHEMA archive FROM PUBLIC;
ALTER TABLE {t} DETACH PARTITION {p2024}; ALTER TABLE {p2024} SET SCHEMA archive;
"""
AGAIN = ARCHIVED + "CREATE TABLE public.again PARTITION OF {t} FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"

DROPPED = "ALTER TABLE {t} DETACH PARTITION {p2025}; DROP TABLE {p2025};"
COMMON = "INSERT INTO {t} VALUES (900, '2024-05-05', 'again');"

SITUATIONS = {
    "no-today": Situation("current_period", "DROP TABLE public.alarms, public.notes, {p2026};"),
    "no-next": Situation("next_period", "ALTER TABLE {t} DETACH PARTITION {p2027}; DROP TABLE {p2027};"),
    "gap": Situation("gaps", DROPPED),
    "odd-gap": Situation(
        "gaps",
        DROPPED + "CREATE TABLE {p2025} PARTITION OF {t} FOR VALUES FROM ('2025-03-10') TO ('2026-01-01');",
    ),
    "overlap": Situation("overlaps", AGAIN + COMMON),
    "overlap-twice-the-row": Situation(
        "overlaps", AGAIN + "INSERT INTO {t} SELECT * FROM archive.{n2024};", gone=False, fails="duplicate key"
    ),
    "overlap-with-force-rls": Situation(
        "overlaps",
        AGAIN + COMMON + "ALTER TABLE public.again ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;",
    ),
    "overlap-needed-by-a-view": Situation(
        "overlaps",
        AGAIN + COMMON + "CREATE VIEW public.seen AS TABLE public.again;",
        gone=False,
        fails="cannot drop table",
    ),
    "overlap-that-is-referred-to": Situation(
        "overlaps",
        AGAIN
        + "INSERT INTO {t} VALUES (900, '2024-05-05', 'again'); INSERT INTO public.alarms VALUES (900, '2024-05-05');",
        gone=False,
        fails="violates foreign key constraint",
    ),
    "two-archived": Situation(
        "overlaps",
        ARCHIVED + "ALTER TABLE archive.{n2024} ADD CHECK (taken_on >= '2024-01-01' AND taken_on < '2025-01-01');"
        "CREATE TABLE archive.{c2024} (LIKE archive.{n2024} INCLUDING ALL);",
        gone=False,
    ),
    "empty-default": Situation("default_partition", "CREATE TABLE public.rest PARTITION OF {t} DEFAULT;"),
    "rows-in-default": Situation(
        "default_partition",
        "CREATE TABLE public.rest PARTITION OF {t} DEFAULT; INSERT INTO {t} VALUES (901, '2030-05-05', 'x');"
        "INSERT INTO public.alarms VALUES (901, '2030-05-05'); INSERT INTO public.notes VALUES (901, '2030-05-05');",
        gone=False,
    ),
    "left-check": Situation(
        "leftovers",
        "CREATE TABLE public.rest PARTITION OF {t} DEFAULT;"
        f"ALTER TABLE public.rest ADD CONSTRAINT {ident(steps.EXCLUSION + '2028')}"
        " CHECK (taken_on < '2028-01-01') NOT VALID;",
    ),
    "unknown-range": Situation(
        "archived_ranges",
        ARCHIVED + "ALTER TABLE archive.{n2024} RENAME TO {old};",
        gone=False,
        fails="invalid input syntax",
    ),
    "open-archive": Situation("archive_schema", "CREATE SCHEMA archive; GRANT ALL ON SCHEMA archive TO PUBLIC;"),
    "index-of-some": Situation(
        "invalid_indexes", "CREATE INDEX by_v ON ONLY {t} (v) WHERE v IS NOT NULL;", gone=False, fails="does not exist"
    ),
    "no-index-on-the-key": Situation("key_index", "DROP INDEX public.{index};"),
    "nothing-unique": Situation(
        "unique_constraint",
        "DROP TABLE public.alarms, public.notes; ALTER TABLE {t} DROP CONSTRAINT {unique};",
        gone=False,
        fails="syntax error",
    ),
    "unlogged": Situation(
        "unlogged",
        "DROP TABLE public.alarms, public.notes; ALTER TABLE {p2025} SET UNLOGGED;"
        + ARCHIVED
        + "ALTER TABLE archive.{n2024} SET UNLOGGED;",
    ),
    "never-analyzed": Situation(
        "never_analyzed",
        "CREATE TABLE public.late PARTITION OF {t} FOR VALUES FROM ('2028-01-01') TO ('2029-01-01');"
        "INSERT INTO {t} VALUES (902, '2028-05-05', 'x');",
    ),
    "other-owner": Situation("owners", "ALTER TABLE {p2025} OWNER TO pg_database_owner;"),
}


def found(engine: Engine, name: str, check: str) -> list[Finding]:
    desk = desks.desk(engine, now=NOW)
    some = desk.examine(desk.read(qualified("public", name)), None)
    return [finding for finding in some if finding.check == check and finding.severity is not Severity.OK]


@pytest.mark.one_in(2)
@pytest.mark.every_version
@pytest.mark.parametrize("name", ["readings", HOSTILE], ids=["plain", "hostile"])
@pytest.mark.parametrize("what", SITUATIONS)
def test_what_is_printed_puts_it_right_and_costs_nobody_a_row(run: Run, worker: Engine, what: str, name: str) -> None:
    situation = SITUATIONS[what]
    run(table_of(name))
    make(run, name, situation)
    before = remedies.rows(run)
    faults = found(worker, name, situation.check)
    assert faults
    for finding in faults:
        printed = remedies.printed(finding)
        assert remedies.is_sql(printed) or not re.search(r"\b(ALTER|DROP|DELETE|CREATE|GRANT|REVOKE)\b [A-Z]", printed)
        if remedies.is_sql(printed):
            failed = remedies.paste(run, printed)
            assert bool(failed) is bool(situation.fails), failed
            assert not failed or situation.fails in failed[0]
    after = remedies.rows(run)
    ours = {key for key in before if key.startswith(("archive.", f"public.{name}"))} | {"public.again"}
    assert {key: before[key] for key in before.keys() - ours} == {key: after[key] for key in before.keys() - ours}
    assert remedies.all_rows(before, *ours) == remedies.all_rows(after, *ours)
    if situation.gone:
        assert found(worker, name, situation.check) == []
    elif situation.fails:
        assert found(worker, name, situation.check)


def make(run: Run, name: str, situation: Situation) -> None:
    words = {f"p{year}": qualified("public", f"{name}_{year}") for year in range(2024, 2028)}
    words |= {
        "t": qualified("public", name),
        "n2024": ident(f"{name}_2024"),
        "c2024": ident(f"{name}_2024_copy"),
        "old": ident(f"{name}_old"),
    }
    for kind, unique in (("index", "f"), ("unique", "t")):
        made = run(
            "SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
            f" WHERE c.relkind = 'p' AND indisunique = '{unique}'"
        )
        words[kind] = made[0][0]
    run(situation.made_by.format_map(Names(words)))


@pytest.mark.every_version
@pytest.mark.parametrize(
    "of_the_holder",
    [
        "FOR VALUES FROM ('2024-01-01') TO (MAXVALUE)",
        "FOR VALUES FROM ('2023-06-01') TO ('2025-01-01')",
        "FOR VALUES FROM ('2024-06-01') TO ('2025-06-01')",
    ],
)
def test_a_partition_that_holds_more_than_the_archived_range_is_left_alone(
    run: Run, worker: Engine, of_the_holder: str
) -> None:
    run(table_of("readings") + ";DROP TABLE public.alarms, public.notes")
    make(run, "readings", Situation("overlaps", ARCHIVED))
    run("ALTER TABLE public.readings DETACH PARTITION public.readings_2025")
    for year in (2026, 2027) if "MAXVALUE" in of_the_holder else ():
        run(f"ALTER TABLE public.readings DETACH PARTITION public.readings_{year}")
    run(f"CREATE TABLE public.live PARTITION OF public.readings {of_the_holder}")
    (finding, *_) = found(worker, "readings", "overlaps")
    assert not remedies.is_sql(finding.hint)
    assert "Leave both where they are" in finding.hint


@pytest.mark.parametrize(
    "why",
    [
        "CREATE RULE nothing AS ON INSERT TO archive.readings_2024 DO INSTEAD NOTHING",
        "CREATE FUNCTION public.none() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER none BEFORE INSERT ON archive.readings_2024 FOR EACH ROW EXECUTE FUNCTION public.none()",
        "CREATE TABLE public.rest PARTITION OF public.readings DEFAULT",
        comment_sql('"public"."again"', Marks(hold=Hold("", "r", "b")).beside(None)),
    ],
    ids=["rule", "trigger", "default", "hold"],
)
def test_what_would_lose_rows_on_their_way_is_not_printed(run: Run, worker: Engine, why: str) -> None:
    run(table_of("readings"))
    make(run, "readings", Situation("overlaps", AGAIN))
    (finding,) = found(worker, "readings", "overlaps")
    assert "DROP TABLE" in finding.hint
    run(why)
    (finding,) = found(worker, "readings", "overlaps")
    assert "DROP TABLE" not in finding.hint


def test_a_default_that_gets_a_row_meanwhile_stays(run: Run, worker: Engine) -> None:
    run(table_of("readings") + ";CREATE TABLE public.rest PARTITION OF public.readings DEFAULT")
    (finding,) = found(worker, "readings", "default_partition")
    run("INSERT INTO public.readings VALUES (901, '2030-05-05', 'x')")
    assert "division by zero" in remedies.paste(run, finding.hint)[0]
    assert run("SELECT count(*) FROM public.readings WHERE id = 901") == [(1,)]


def test_membership_in_a_superuser_is_advised_to_nobody(
    run: Run, make_role: Callable[..., tuple[str, str]], worker: Engine
) -> None:
    run(table_of("readings"))
    role, url = make_role()
    theirs = reading_engine(parse_url(url))
    try:
        (finding,) = found(theirs, "readings", "privileges")
    finally:
        theirs.dispose()
    assert not re.search(r'GRANT "?postgres"? TO', finding.hint)
    assert remedies.paste(run, finding.hint) == []
    assert run(f"SELECT pg_has_role('{role}', 'postgres', 'MEMBER')") == [(False,)]


def test_a_zone_is_told_and_no_setting_of_the_whole_database(run: Run, worker: Engine) -> None:
    run(table_of("readings", "timestamptz"))
    desk = desks.desk(worker, now=NOW, time_zone="Europe/Berlin")
    (finding,) = (f for f in desk.examine(desk.read("readings"), None) if f.check == "time_zone")
    assert finding.severity is Severity.WARNING
    assert "ALTER" not in finding.hint


def test_days_of_a_default_are_those_of_the_application(run: Run, worker: Engine) -> None:
    run(table_of("readings", "timestamptz") + ";CREATE TABLE public.rest PARTITION OF public.readings DEFAULT")
    run("INSERT INTO public.readings VALUES (1, '2029-12-31 23:30:00+00', 'x')")
    desk = desks.desk(worker, now=NOW, time_zone="Europe/Berlin")
    (finding,) = (f for f in desk.examine(desk.read("readings"), None) if f.check == "default_partition")
    run("SET TimeZone = 'America/New_York'")
    (select,) = remedies.statements(finding.hint)
    assert str(run(select)[0][0]).startswith("2030-01-01")


def test_of_a_thousand_partitions_few_are_named_and_all_are_in_the_json(run: Run, worker: Engine) -> None:
    run("CREATE TABLE public.many (id bigint NOT NULL, day date NOT NULL) PARTITION BY RANGE (day)")
    for start in range(0, 400, 100):
        run(
            "".join(
                f"CREATE TABLE public.many_{day:%Y%m%d} PARTITION OF public.many FOR VALUES FROM ('{day}')"
                f" TO ('{day + timedelta(days=1)}');"
                for day in (date(2026, 1, 1) + timedelta(days=start + number) for number in range(100))
            )
        )
    (finding,) = found(worker, "many", "key_index")
    assert len(list(remedies.statements(finding.hint))) == 801
    shown, more = first_lines(finding.hint)
    assert (len(shown.splitlines()), more) == (1 + 2 * FEW, 790)
    assert remedies.paste(run, finding.hint) == []
    assert found(worker, "many", "key_index") == []


def test_a_gap_of_hundreds_of_days_says_how_many_partitions_it_takes(run: Run, worker: Engine) -> None:
    run("CREATE TABLE public.daily (day date NOT NULL) PARTITION BY RANGE (day)")
    for day in (date(2025, 10, 29), date(2025, 10, 30), date(2026, 10, 20), date(2026, 10, 21)):
        run(
            f"CREATE TABLE public.daily_{day:%Y%m%d} PARTITION OF public.daily FOR VALUES FROM ('{day}')"
            f" TO ('{day + timedelta(days=1)}')"
        )
    (finding,) = found(worker, "daily", "gaps")
    assert finding.fix is None
    assert finding.hint.startswith("To fill it would take 354 partitions of 1 day each.")


def test_every_check_with_sql_has_its_situation() -> None:
    """A check that is added is run here, or is one of those that print commands of the console alone."""
    covered = {situation.check for situation in SITUATIONS.values()}
    elsewhere = {
        "partitioned",
        "detach_pending",  # with a detach that is cut short
        "half_archived",
        "archived_columns",
        "archived_indexes",
        "due_for_archive",
        "backed_up",
        "proven",
        "unusable_backups",
        "planned_drops",
        "holds",
        "other_tools",  # with pg_partman itself
        "journal_published",
        "partitions_published",
        "siblings",  # in a file of its own
        "strays",  # with what a renamed parent left
        "sequences",  # with the acts that move them
        "powers",  # with the roles that have them
        "others",
        "privileges",  # here, as another role
        "writable",
        "server_version",
        "time_zone",
        "automatic_creation",
        "maintained",  # where partitions maintain is tested
        "alarms",  # where they are sent
    }
    assert {check.__name__ for check in CHECKS} == covered | elsewhere
