"""An index over a whole tree is made partition by partition, goes on where it was cut short, is built anew, dropped."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import Engine

from core.cli.output.acts import script
from core.console.wishes import plan_again
from core.doctor.findings import Severity
from core.names import ident, literal, qualified
from core.plans.index import CreateIndex, DropIndex, Reindex
from core.plans.operation import Wish
from core.plans.plan import Plan
from core.text import NBSP, shown
from tests import desks
from tests.faults import MOST, Console, Strike, places, terminate
from tests.road import Road
from tests.tables import Made, Run, shell_words

Make = Callable[..., Made]

BRANCHED = """
CREATE TABLE {t} (id bigint NOT NULL, day date NOT NULL, "The Note" text) PARTITION BY RANGE (day);
CREATE TABLE t_2022 PARTITION OF {t} FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');
CREATE TABLE t_2023 PARTITION OF {t} FOR VALUES FROM ('2023-01-01') TO ('2024-01-01') PARTITION BY HASH (id);
CREATE TABLE t_2023_0 PARTITION OF t_2023 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE t_2023_1 PARTITION OF t_2023 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE t_2024 PARTITION OF {t} FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO {t} SELECT g, date '2022-01-01' + g, 'x' FROM generate_series(0, 999) g;
"""
INDEXES = """
SELECT x.indrelid::regclass::text, x.indexrelid::regclass::text, x.indisvalid, i.inhparent::regclass::text
FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid LEFT JOIN pg_inherits i ON i.inhrelid = x.indexrelid
WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1, 2
"""


def unfinished(run: Run, index: str) -> None:
    """As a CREATE or REINDEX CONCURRENTLY leaves it that was cut short."""
    run(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = {literal(index)}::regclass")


def test_the_life_of_an_index(road: Road, run: Run) -> None:
    run(BRANCHED.format(t="t"))
    run('CREATE INDEX mine ON t_2022 (id DESC, "The Note") WITH (fillfactor = 70)')
    run('CREATE INDEX "t_2024_id_The Note_idx" ON t_2024 (id DESC, "The Note")')
    unfinished(run, '"t_2024_id_The Note_idx"')
    create = ("index", "create", "--columns", 'id DESC, "The Note"', "--table", "public.t")
    done = road.done(*create, "--reason", "slow")
    assert "1 partition had an equal one, which is used." in done.out
    assert "Take away the unfinished index t_2024_id_The Note_idx" in done.err
    assert "Build the index of t_2023_0 (3 of 4)" in done.err
    whole = [
        ("t", '"t_id_The Note_idx"', True, None),
        ("t_2022", "mine", True, '"t_id_The Note_idx"'),
        ("t_2023", '"t_2023_id_The Note_idx"', True, '"t_id_The Note_idx"'),
        ("t_2023_0", '"t_2023_0_id_The Note_idx"', True, '"t_2023_id_The Note_idx"'),
        ("t_2023_1", '"t_2023_1_id_The Note_idx"', True, '"t_2023_id_The Note_idx"'),
        ("t_2024", '"t_2024_id_The Note_idx"', True, '"t_id_The Note_idx"'),
    ]
    assert run(INDEXES) == whole
    again = road.done(*create)
    assert again.out.startswith("Nothing to do: t_id_The Note_idx is that index already, on the table and on each")

    run('CREATE INDEX "mine_ccnew" ON t_2022 (id DESC, "The Note")')
    unfinished(run, "mine_ccnew")
    (listed,) = road.done("index", "--json", "--table", "public.t").json["indexes"]
    assert (listed["partitions"], listed["lacking"], listed["leftovers"]) == (4, [], ["mine_ccnew"])
    oids = "SELECT oid FROM pg_class WHERE relname LIKE 't!_2023!__!_id%' ESCAPE '!' ORDER BY relname"
    before = run(oids)
    rebuilt = road.done("index", "reindex", "t_id_The Note_idx", "--table", "public.t")
    assert "Take away mine_ccnew, which an earlier try has left" in rebuilt.err
    assert run(INDEXES) == whole
    assert all(new != old for new, old in zip(run(oids), before, strict=True))
    unfinished(run, "mine")
    mended = road.done("index", "reindex", "public.t_id_The Note_idx", "--invalid", "--table", "public.t")
    assert "is built anew on 1 partition" in mended.out
    assert road.done("index", "reindex", "t_id_The Note_idx", "--invalid", "--table", "public.t").out.startswith(
        "Nothing to do: t_id_The Note_idx is valid on every partition"
    )

    dropped = road.done("index", "drop", "t_id_The Note_idx", "--table", "public.t")
    assert run(INDEXES) == []
    assert road.done("index", "drop", "t_id_The Note_idx", "--table", "public.t").out.startswith("Nothing to do: ")
    road.advised(dropped, "Make it again: ")
    assert [one[2:] for one in run(INDEXES)] == [one[2:] for one in whole[:1]] + [
        (True, f'"{above}_id_The Note_idx"') for above in ("t", "t", "t_2023", "t_2023", "t")
    ]


def test_what_can_not_be_is_refused_with_its_reason(road: Road, run: Run) -> None:
    run(BRANCHED.format(t="t"))
    run("ALTER TABLE t ADD CONSTRAINT kept UNIQUE (id, day)")
    before = run(INDEXES)

    def refused(*words: str) -> str:
        ended = road("index", *words, "--table", "public.t")
        assert ended.code in (1, 2), words
        assert run(INDEXES) == before
        return ended.err

    unique = refused("create", "--unique", "--columns", '"The Note"')
    assert "has to hold the columns that the table is partitioned by: day and id are not among The Note." in unique
    assert "is no list of columns" in refused("create", "--columns", "lower(id)")
    assert "is no list of columns" in refused("create", "--columns", "id,")
    assert "t has no column idd." in refused("create", "--columns", "idd")
    assert "names a column twice" in refused("create", "--columns", "id, id DESC")
    assert "t_2022 is there already, and another." in refused("create", "--columns", "day", "--name", "t_2022")
    assert "kept keeps a constraint of public.t" in refused("drop", "kept")
    assert "is the index of one partition, t_2022" in refused("drop", "t_2022_id_day_key")
    assert "public.t has no index nothing." in refused("reindex", "nothing")
    assert "--columns, --unique and --name go with create" in refused("reindex", "kept", "--unique")
    run(
        "ALTER TABLE t DROP CONSTRAINT kept; CREATE FOREIGN DATA WRAPPER nowhere;"
        "CREATE SERVER far FOREIGN DATA WRAPPER nowhere"
    )
    run("CREATE FOREIGN TABLE t_far PARTITION OF t FOR VALUES FROM ('2030-01-01') TO ('2031-01-01') SERVER far")
    before = run(INDEXES)
    assert "t_far of public.t is a foreign table" in refused("create", "--columns", "day")


def test_odd_names_and_the_twin_of_each(road: Road, make_table: Make, run: Run) -> None:
    name, schema, column = "ö" * 31 + "x", 'No.r"th', "The Day:\nx"
    made = make_table(name=name, schema=schema, key=column, rows=2)
    desk = desks.desk(road.reader, road.worker)

    def same(wish: Wish) -> Plan:
        plan = desk.plan(wish)
        assert plan_again(desk, plan.wish, plan).to_json() == plan.to_json()
        words = shell_words(plan.command)
        told = road.done(*words[1:2], "--dry-run", *words[2:]).out
        assert told.strip() == script(plan).replace(NBSP, " ").strip()
        return plan

    columns = f"{ident(column)} DESC NULLS LAST, reason"
    for own in ("-it's; --", "", "x" * 63, "a.b"):
        road.run_plan(same(CreateIndex(made.address, columns, name=own)))
        index = next(
            one for one in desk.tree_indexes(desk.read(made.address)).top.indexes if "reason" in one.definition
        )
        assert index.valid
        assert index.name == own or not own
        road.run_plan(same(Reindex(made.address, qualified(schema, index.name))))
        road.run_plan(same(DropIndex(made.address, qualified(schema, index.name))))
    same(CreateIndex(made.address, columns, unique=True))
    assert run(
        f"SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%reason%' AND tablename <> {literal(shown(name))}"
    )


def test_the_doctor_tells_the_command_that_completes_one(road: Road, run: Run) -> None:
    run(BRANCHED.format(t="t"))
    run("CREATE INDEX half ON ONLY t (day DESC, id)")
    desk = desks.desk(road.reader)
    (finding,) = [one for one in desk.examine(desk.read("t"), None) if one.check == "invalid_indexes"]
    road.done(*shell_words(finding.hint)[1:])
    assert {valid for _, _, valid, _ in run(INDEXES)} == {True}
    (finding,) = [one for one in desk.examine(desk.read("t"), None) if one.check == "invalid_indexes"]
    assert finding.severity is Severity.OK


def create(reader: Engine) -> Plan:
    return desks.desk(reader).plan(CreateIndex("public.t", "id, day", unique=True))


def test_broken_at_every_step_it_goes_on(database_url: str, run: Run) -> None:
    run(BRANCHED.format(t="t"))
    with Console(database_url) as console:
        strike = Strike(MOST, partial(terminate, database_url))
        assert console.ask(create, strike) == "done"
        whole = run(INDEXES)
        assert len(places(strike.came)) > 8
        for at in places(strike.came):
            run("DROP TABLE t")
            run(BRANCHED.format(t="t"))
            ended = console.ask(create, Strike(at, partial(terminate, database_url)))
            while ended != "nothing":
                ended = console.ask(create)
                assert ended in ("done", "nothing"), ended
            assert run(INDEXES) == whole


def test_two_rows_alike_leave_nothing_behind_and_are_told(road: Road, run: Run) -> None:
    run(BRANCHED.format(t="t"))
    run("INSERT INTO t SELECT * FROM t WHERE day = '2024-02-02'")
    words = ("index", "create", "--unique", "--columns", "id, day", "--table", "public.t")
    failed = road(*words)
    assert failed.code == 1
    assert "2024-02-02" not in failed.err, "no row's content"
    assert all(valid for _, index, valid, _ in run(INDEXES) if index.startswith("t_2024"))
    run("DELETE FROM t WHERE day = '2024-02-02'")
    road.done(*words)
    states: set[Any] = {valid for _, _, valid, _ in run(INDEXES)}
    assert states == {True}
