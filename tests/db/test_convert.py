"""A plain table is partitioned where it stands: what hung on it hangs on its parent, and nobody is held up."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import partial

import pytest
from sqlalchemy import Engine

from core.console.execute import Budget
from core.errors import LockNotObtained
from core.names import address, ident
from core.period import Width
from core.plans.gather import gathering
from core.plans.inplace import Convert
from core.plans.plan import Plan
from core.plans.unconvert import Unconvert
from tests import desks
from tests.db.cli.test_commands import Partitions, partitions  # noqa: F401 a fixture
from tests.db.converted import READ_THROUGH, make_everything, plain
from tests.faults import ADA, Console, Strike, terminate
from tests.servers import connect
from tests.tables import Run

MakeRole = Callable[..., tuple[str, str]]
THIS_YEAR = datetime.now(UTC).year
BY_YEAR = ("convert", "--key", "date", "--every", "1 year", "--split-later", "--table", "public.kid_absences")
TREE = (
    "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = 'kid_absences'::regclass ORDER BY 1"
)
UNFINISHED = (
    "SELECT conrelid::regclass::text || '.' || conname FROM pg_constraint WHERE NOT convalidated AND conparentid = 0"
    " UNION SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
)
ALL = "SELECT count(*), sum(hash_record_extended(t, 0)) FROM (SELECT kid_id, date, reason, id FROM kid_absences) t"


@pytest.mark.every_version
def test_everything_hangs_on_the_parent(
    partitions: Partitions,  # noqa: F811
    run: Run,
    dump: Callable[[], str],
    make_role: MakeRole,
) -> None:
    owner, granted = make_role(f"owner%{os.getpid()}")[0], make_role(f"reader {os.getpid()}")[0]
    make_everything(run, owner, granted)
    run(READ_THROUGH.format(owner=ident(owner), reader=ident(granted)))
    before, rows = dump(), run("SELECT * FROM kid_absences ORDER BY id")
    position = run("SELECT last_value, is_called FROM kid_absences_id_seq")
    file = run("SELECT pg_relation_filenode('kid_absences')")

    done = partitions(*BY_YEAR)
    assert done.code == 0, done.err
    assert run("SELECT pg_relation_filenode('kid_absences_before')") == file  # no row was copied
    assert run("SELECT * FROM kid_absences ORDER BY id") == rows
    assert run("SELECT last_value, is_called FROM kid_absences_id_seq") == position
    after = dump()
    assert "ADD CONSTRAINT kid_absences_pkey PRIMARY KEY (id, date) INCLUDE (hours)" in after
    kept = re.compile(
        r"(GRANT|CREATE (TRIGGER|POLICY|STATISTICS|VIEW|RULE|FUNCTION)|ALTER PUBLICATION|COMMENT ON|.* OWNER TO).*"
    )
    lost = {line for line in before.splitlines() if kept.fullmatch(line)} - set(after.splitlines())
    assert lost == {"COMMENT ON CONSTRAINT kid_absences_pkey ON public.kid_absences IS 'ids';"}  # has a second line
    assert run(UNFINISHED) == []
    end = THIS_YEAR + 2
    assert run(TREE) == [
        (f"kid_absences_{end}", f"FOR VALUES FROM ('{end}-01-01') TO ('{end + 1}-01-01')"),
        (f"kid_absences_{end + 1}", f"FOR VALUES FROM ('{end + 1}-01-01') TO ('{end + 2}-01-01')"),
        ("kid_absences_before", f"FOR VALUES FROM (MINVALUE) TO ('{end}-01-01')"),
    ]
    assert run("SELECT tgname FROM pg_trigger WHERE tgrelid = 'kid_absences_before'::regclass"
               " AND tgparentid <> 0 AND tgname !~ '^RI_' ORDER BY 1") == [("switched_off",), ("touched",)]  # fmt: skip
    unhindered = "ALTER PUBLICATION changes DROP TABLE kid_absences; ALTER TABLE kid_absences DISABLE TRIGGER USER"
    # a referenced row can't go, a row of a child that does not exist can't come
    for refused in (
        "DELETE FROM kid_absences WHERE (kid_id, date) IN (SELECT kid_id, day FROM excuses)",
        f"INSERT INTO kid_absences (kid_id, date) VALUES (99999, '{end}-03-01')",
    ):
        with pytest.raises(Exception, match="violates foreign key"):
            run(f"{unhindered}; {refused}")

    assert _tied_to(run) == TIED  # none to a partition
    position = run("SELECT last_value, is_called FROM kid_absences_id_seq")
    back = partitions("unconvert", "--table", "public.kid_absences")
    assert back.code == 0, back.err
    assert dump() == before
    assert run("SELECT * FROM kid_absences ORDER BY id") == rows
    assert run("SELECT last_value, is_called FROM kid_absences_id_seq") == position
    assert run("SELECT pg_relation_filenode('kid_absences')") == file
    assert run(UNFINISHED) == []
    assert _tied_to(run) == TIED
    assert "a plain table already" in partitions("unconvert", "--table", "public.kid_absences").out


TIED = [
    (one, "kid_absences")
    for one in (
        "function days_of(bigint)",
        "policy of them % on table notes",
        "rule by_name on view other.named",
        "view ill",
        'view other."whole %"',
        "view whole",
    )
]


def _tied_to(run: Run) -> list[tuple[str, str]]:
    """What reads a table from outside of it, and which."""
    rows: list[tuple[str, str]] = run(
        "SELECT DISTINCT CASE WHEN r.rulename = '_RETURN' THEN pg_describe_object('pg_class'::regclass, r.ev_class, 0)"
        ' ELSE pg_describe_object(d.classid, d.objid, 0) END COLLATE "C", c.relname::text FROM pg_depend d'
        " JOIN pg_class c ON c.oid = d.refobjid AND c.relname ~ '^kid_absences' AND c.relkind IN ('r', 'p')"
        " LEFT JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass"
        " WHERE d.refclassid = 'pg_class'::regclass AND d.deptype = 'n' AND (r.oid IS NOT NULL"
        " OR d.classid = 'pg_proc'::regclass OR d.objid IN (SELECT p.oid FROM pg_policy p WHERE p.polrelid <> c.oid"
        " AND p.polname <> 'own'))"
    )
    return sorted(rows)


def test_views_and_functions_read_all_rows_there_and_back(
    partitions: Partitions,  # noqa: F811
    run: Run,
) -> None:
    plain(run)
    run("CREATE VIEW all_of_them AS SELECT kid_id, date FROM kid_absences; CREATE VIEW above AS TABLE all_of_them;"
        "CREATE FUNCTION how_many() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM kid_absences; END;"
        "CREATE FUNCTION by_name() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM kid_absences'")  # fmt: skip
    counted = "SELECT count(*), how_many(), by_name() FROM above"
    told = partitions(*BY_YEAR)
    assert told.code == 0, told.err
    for one in ("view public.all_of_them", "function public.how_many()", "whose body is a text"):
        assert one in told.out
    assert "above" not in told.out
    run(f"INSERT INTO all_of_them VALUES (1, '{THIS_YEAR + 2}-02-02')")
    assert run(f"SELECT count(*) FROM kid_absences_{THIS_YEAR + 2}") == [(1,)]
    assert run(counted) == [(243, 243, 243)]
    run(f"DELETE FROM all_of_them WHERE date = '{THIS_YEAR + 2}-02-02'")
    back = partitions("unconvert", "--table", "public.kid_absences")
    assert back.code == 0, back.err
    assert run(counted) == [(242, 242, 242)]


@pytest.mark.every_version
def test_new_rows_find_their_place_and_upkeep_goes_on(partitions: Partitions, run: Run) -> None:  # noqa: F811
    plain(run)
    before = run(ALL)
    done = partitions(*BY_YEAR)
    assert done.code == 0, done.err
    assert run(ALL) == before
    run(f"INSERT INTO kid_absences (kid_id, date) VALUES (1, '{THIS_YEAR}-02-02'), (1, '{THIS_YEAR + 2}-02-02')")
    assert run("SELECT tableoid::regclass::text FROM kid_absences WHERE kid_id = 1 ORDER BY id DESC LIMIT 2") == [
        (f"kid_absences_{THIS_YEAR + 2}",), ("kid_absences_before",),
    ]  # fmt: skip
    assert run("SELECT max(id) - min(id) FROM (SELECT id FROM kid_absences ORDER BY id DESC LIMIT 2) two") == [(1,)]
    ahead = partitions("ensure", "--ahead", "4", "--table", "public.kid_absences")  # whose width is known now
    assert ahead.code == 0, ahead.err
    assert run(f"SELECT to_regclass('kid_absences_{THIS_YEAR + 4}') IS NOT NULL") == [(True,)]
    again = partitions(*BY_YEAR)
    assert (again.code, "partitioned by date already" in again.out) == (0, True), again
    assert partitions("doctor", "--table", "public.kid_absences").code == 0


@pytest.mark.parametrize(
    ("type_", "every", "name"),
    [("date", "1 month", r"_\d{4}_\d\d"), ("timestamp(3)", "10 days", r"_\d{4}_\d\d_\d\d"),
     ("timestamptz", "6 hours", r"_\d{4}_\d\d_\d\d_\d\d")],
)  # fmt: skip
def test_any_width(partitions: Partitions, run: Run, type_: str, every: str, name: str) -> None:  # noqa: F811
    plain(run, key_type=type_)
    before = run(ALL)
    done = partitions("convert", "--key", "date", "--every", every, "--split-later", "--table", "kid_absences")
    assert done.code == 0, done.err
    assert run(ALL) == before
    names = [row[0] for row in run(TREE)]
    assert names[-1] == "kid_absences_before"
    assert len(names) == 3
    assert all(re.fullmatch(f"kid_absences{name}", one) for one in names[:-1])


def test_to_its_end_what_it_held_is_split_by_period(partitions: Partitions, run: Run) -> None:  # noqa: F811
    plain(run)
    run("CREATE TABLE excuses (kid bigint, day date, FOREIGN KEY (kid, day) REFERENCES kid_absences (kid_id, date))")
    run("INSERT INTO excuses SELECT kid_id, date FROM kid_absences LIMIT 9")
    before = run(ALL)
    done = partitions("convert", "--key", "date", "--every", "1 year", "--table", "kid_absences")
    assert done.code == 0, done.err
    assert "ON CONFLICT (id) fails from then on: it has to name (id, date), or nothing" in done.out
    run("INSERT INTO kid_absences (kid_id, date) VALUES (1, '2021-05-05') ON CONFLICT (id, date) DO NOTHING")
    with pytest.raises(Exception, match="no unique or exclusion constraint matching"):
        run("INSERT INTO kid_absences (kid_id, date) VALUES (1, '2021-05-05') ON CONFLICT (id) DO NOTHING")
    run("DELETE FROM kid_absences WHERE (kid_id, date) = (1, '2021-05-05')")
    assert "Until then" not in done.out, "what was true while it ran is told as if it were so still"
    assert "does not get the CHECK" not in done.out, "the check that holds its own bounds is nobody's else"
    assert run(ALL) == before
    assert run(UNFINISHED) == []
    years = range(2019, THIS_YEAR + 4)
    assert [row[0] for row in run(TREE)] == [f"kid_absences_{year}" for year in years]
    assert run(TREE)[0][1] == "FOR VALUES FROM (MINVALUE) TO ('2020-01-01')"
    assert run("SELECT to_regclass('kid_absences_before')") == [(None,)]
    run("INSERT INTO kid_absences (kid_id, date) VALUES (1, '1999-01-01')")
    again = partitions("convert", "--key", "date", "--every", "1 year", "--table", "kid_absences")
    assert again.code == 0, again.err
    assert len(run(TREE)) == len(years)


def test_what_partitions_can_t_hold_is_given_up_by_name_alone(
    partitions: Partitions,  # noqa: F811
    run: Run,
    dump: Callable[[], str],
) -> None:
    plain(run)
    run("ALTER TABLE kid_absences ADD code bigint GENERATED ALWAYS AS (kid_id * 10000 + id) STORED UNIQUE,"
        " ADD parent bigint REFERENCES kid_absences;"
        "ALTER TABLE kid_absences ADD EXCLUDE USING gist (box(point(id, id), point(id, id)) WITH &&);"
        'CREATE UNIQUE INDEX "odd one" ON kid_absences (lower(reason || id));'
        "CREATE TABLE notes (absence bigint REFERENCES kid_absences); INSERT INTO notes VALUES (1)")  # fmt: skip
    before, rows = dump(), run(ALL)
    names = ["kid_absences_code_key", "kid_absences_box_excl", "odd one", "kid_absences_parent_fkey",
             "notes_absence_fkey"]  # fmt: skip
    some = [word for name in names[1:] for word in ("--without", name)]
    refused = partitions(*BY_YEAR, *some)
    assert (refused.code, refused.err.count("Or give it up")) == (1, 1), refused
    assert dump() == before
    shown = partitions(*BY_YEAR, *some, "--without", names[0], "--dry-run")
    assert shown.code == 0, shown.err
    assert all(name in shown.out for name in names)
    again = re.findall(r"(ALTER TABLE \S+ ADD CONSTRAINT \S+ FOREIGN KEY .*?)\s*$", shown.out, flags=re.M)
    assert len(again) == 2, shown.out
    done = partitions(*BY_YEAR[:5], *some, "--without", names[0], "--split-later", "--table", "public.kid_absences")
    assert done.code == 0, done.err
    assert run(ALL) == rows
    assert run("SELECT conname FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace") == []
    with pytest.raises(Exception, match=r"kid_absences_code_key|kid_absences_box_excl|odd one"):
        run("INSERT INTO kid_absences (id, kid_id, date) OVERRIDING SYSTEM VALUE"
            " SELECT id, kid_id, '2001-01-01' FROM kid_absences LIMIT 1")  # fmt: skip
    back = partitions("unconvert", "--table", "public.kid_absences")
    assert back.code == 0, back.err
    for statement in again:
        run(statement.removeprefix("-- "))
    assert dump() == before


def test_what_is_given_up_goes_on_in_each_period(
    partitions: Partitions,  # noqa: F811
    run: Run,
) -> None:
    plain(run)
    run("ALTER TABLE kid_absences ADD code bigint; UPDATE kid_absences SET code = id;"
        "ALTER TABLE kid_absences ADD CONSTRAINT codes UNIQUE (code)")  # fmt: skip
    done = partitions("convert", "--key", "date", "--every", "1 year", "--without", "codes", "--table", "kid_absences")
    assert done.code == 0, done.err
    unique = "SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'u' AND conkey = '{5}' ORDER BY 1"
    assert run(unique) == [(name,) for name, _ in run(TREE)]


@pytest.mark.parametrize("name", ["a$desk$b$unchanged$c", 'Kid "A" 100%; $$(x)'])
def test_odd_names_there_and_back(partitions: Partitions, run: Run, name: str) -> None:  # noqa: F811
    run(f"CREATE TABLE {ident(name)} (id bigserial PRIMARY KEY, day date NOT NULL)")
    run(f"INSERT INTO {ident(name)} (day) SELECT date '2024-01-01' + g FROM generate_series(1, 99) g")
    words = ("--table", address("public", name))
    there = partitions("convert", "--key", "day", "--every", "1 year", "--split-later", *words)
    assert there.code == 0, there.err
    back = partitions("unconvert", *words)
    assert back.code == 0, back.err
    assert run(f"SELECT count(*), count(DISTINCT id) FROM {ident(name)}") == [(99, 99)]
    assert run("SELECT count(*) FROM pg_partitioned_table") == [(0,)]


REFUSED = {
    "no such column": ("", "--key day", "has no column day"),
    "no time": ("", "--key reason", "its type is text"),
    "rows without": ("ALTER TABLE kid_absences ALTER date DROP NOT NULL; INSERT INTO kid_absences (kid_id) VALUES (1)",
                     "", "1 row of public.kid_absences has no date"),
    "for ever": ("INSERT INTO kid_absences (kid_id, date) VALUES (1, '9999-12-31')", "", "more than 10 years ahead"),
    "infinite": ("INSERT INTO kid_absences (kid_id, date) VALUES (1, 'infinity')", "", "more than 10 years ahead"),
    "to itself": ("ALTER TABLE kid_absences ADD FOREIGN KEY (kid_id, date) REFERENCES kid_absences (kid_id, date)", "",
                  "foreign key to itself"),
    "unique": ("ALTER TABLE kid_absences ADD UNIQUE (kid_id, id)", "",
               "Drop it first. Or give it up: partitions convert --without kid_absences_kid_id_id_key."),
    "referenced": ("CREATE TABLE notes (absence bigint REFERENCES kid_absences)", "",
                   "Or give it up: partitions convert --without notes_absence_fkey."),
    "given up in vain": ("ALTER TABLE kid_absences ADD UNIQUE (kid_id, id)", "--without kid_absences_kid_id_date_key",
                         "has no kid_absences_kid_id_date_key that would have to be given up"),
    "stored view": ("CREATE MATERIALIZED VIEW ill AS SELECT * FROM kid_absences", "", "materialized view public.ill"),
    "row type": ("CREATE VIEW ill AS SELECT a AS whole FROM kid_absences a", "", "column whole of view public.ill"),
    "only": ("CREATE VIEW ill AS SELECT id FROM ONLY kid_absences", "", "view public.ill reads ONLY it"),
    "grouped": ("CREATE VIEW ill AS SELECT id, reason FROM kid_absences GROUP BY id", "",
                "view public.ill rests on a constraint of it"),
    "name": ("CREATE TABLE kid_absences_before ()", "", "already holds kid_absences_before"),
    "referrer": ("CREATE TABLE notes (kid bigint, day date, FOREIGN KEY (kid, day) REFERENCES kid_absences (kid_id,"
                 " date)) PARTITION BY RANGE (day)", "", "partitioned itself, references it"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_stands_in_the_way_is_told_and_changes_nothing(
    partitions: Partitions,  # noqa: F811
    run: Run,
    dump: Callable[[], str],
    what: str,
) -> None:
    plain(run)
    sql, words, told = REFUSED[what]
    if sql:
        run(sql)
    before = dump()
    for dry in ((), ("--dry-run",)):
        done = partitions(*BY_YEAR, *words.split(), *dry)
        assert done.code == 1, done.out
        assert told in done.err
        assert dump() == before
    printed = re.search(r"SELECT .*", done.err)
    assert (printed is not None) is ("years ahead" in told or "has no date" in told)
    if printed is not None:
        assert len(run(printed.group())) == 1


def test_who_does_not_own_it_may_not(partitions: Partitions, run: Run, make_role: MakeRole) -> None:  # noqa: F811
    plain(run)
    role, url = make_role(f"other {os.getpid()}")
    run(f"GRANT SELECT ON kid_absences TO {ident(role)}")
    done = partitions(*BY_YEAR, "--dry-run", url=url)
    assert (done.code, "does not own public.kid_absences" in done.err) == (1, True), done


def test_a_dry_run_shows_all_and_changes_nothing(
    partitions: Partitions,  # noqa: F811
    run: Run,
    dump: Callable[[], str],
) -> None:
    plain(run)
    before = dump()
    shown = partitions(*BY_YEAR, "--dry-run")
    assert shown.code == 0, shown.err
    for part in ("NOT VALID", "CREATE UNIQUE INDEX CONCURRENTLY", "VALIDATE CONSTRAINT", "ATTACH PARTITION"):
        assert part in shown.out
    assert dump() == before
    script = "\n".join(line for line in shown.out.splitlines() if not line.startswith("--"))
    for statement in _statements(script):
        run(statement)
    assert [row[0] for row in run(TREE)] == ["kid_absences_before"]


def _statements(script: str) -> list[str]:
    """What psql would send one by one: a transaction as one."""
    found, at = [], 0
    for block in re.finditer(r"\s*BEGIN;\n.*?\nCOMMIT;|[^;]+;", script, flags=re.S):
        assert not script[at : block.start()].strip()
        found.append(block.group())
        at = block.end()
    return found


def test_what_was_hung_on_it_meanwhile_stops_it(run: Run, database_url: str) -> None:
    plain(run)
    with Console(database_url) as console:
        planned = _wish(console)
        run("CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
            "CREATE TRIGGER noted BEFORE INSERT ON kid_absences FOR EACH ROW EXECUTE FUNCTION note()")  # fmt: skip
        ended = console.ask(lambda _: planned)
        assert "no longer defined as it was" in ended
        assert run("SELECT relkind FROM pg_class WHERE oid = 'kid_absences'::regclass") == [("r",)]
        assert console.ask(lambda _: _wish(console)) == "done"
    assert run("SELECT count(*) FROM pg_trigger WHERE tgname = 'noted'") == [(2,)]


def test_behind_a_reader_it_gives_up_and_takes_back_what_it_began(run: Run, database_url: str, worker: Engine) -> None:
    plain(run)
    with Console(database_url) as console, closing(connect(database_url)) as reader:
        planned = _wish(console)
        with reader.cursor() as cursor:
            cursor.execute("BEGIN; SELECT count(*) FROM kid_absences")
            impatient = desks.desk(worker, budget=Budget(lock_ms=50, patience_s=1))
            with pytest.raises(LockNotObtained, match="In the way"):
                impatient.run(planned, ADA, "too busy")
            cursor.execute("ROLLBACK")
        assert run("SELECT relkind, relchecks FROM pg_class WHERE oid = 'kid_absences'::regclass") == [("r", 0)]
        assert console.ask(lambda _: _wish(console)) == "done"


def _wish(console: Console) -> Plan:
    wish = Convert("public.kid_absences", "date", Width(months=12), ("id", "kid_id", "date"), indexed=True)
    return desks.desk(console.reader).plan(wish)


def _back(console: Console) -> Plan:
    desk = desks.desk(console.reader)
    return desk.plan(gathering(desk, desk.read("public.kid_absences")) or Unconvert("public.kid_absences"))


def _break_everywhere(
    run: Run, url: str, wish: Callable[[Console], Plan], least: int, goal: Callable[[], bool], *, converted: bool
) -> None:
    """Ends the working session at each statement in turn; each time the same is asked for again until it is done."""
    with Console(url) as console:
        for at in range(1, 200):
            run("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            plain(run)
            run("DROP INDEX kid_absences_date_idx; CREATE TABLE excuses (kid bigint, day date, FOREIGN KEY (kid, day)"
                " REFERENCES kid_absences (kid_id, date)); INSERT INTO excuses SELECT kid_id, date FROM kid_absences"
                " LIMIT 9")  # fmt: skip
            before = run(ALL)
            if converted:
                assert console.ask(lambda _: _wish(console)) == "done"
            strike = Strike(at, partial(terminate, url))
            ended = console.ask(lambda _: wish(console), strike)
            if not strike.reached:
                assert ended == "done", ended
                break
            assert run(ALL) == before, strike.statement
            for _ in range(4):
                ended = console.ask(lambda _: wish(console))
                if ended == "nothing":
                    break
                assert ended == "done", (strike.statement, ended)
            assert run(ALL) == before, strike.statement
            assert run(UNFINISHED) == [], strike.statement
            assert goal(), strike.statement
        assert at > least


def test_broken_at_every_statement_it_is_asked_for_again(run: Run, database_url: str) -> None:
    def goal() -> bool:
        return [row[0] for row in run(TREE)] == ["kid_absences_before"]

    _break_everywhere(run, database_url, _wish, 20, goal, converted=False)


@pytest.mark.thorough
def test_the_way_back_broken_at_every_statement_is_asked_for_again(run: Run, database_url: str) -> None:
    left = "SELECT relkind, relname FROM pg_class WHERE relname LIKE 'kid_absences%' AND relkind IN ('r', 'p')"

    def goal() -> bool:
        return run(left) == [("r", "kid_absences")]

    _break_everywhere(run, database_url, _back, 15, goal, converted=True)
