"""A table made by hand becomes a partition where it stands, is taken out again, or is refused with nothing changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine

from core.names import comment_sql, ident, literal, qualified
from core.plans.adopt import PROOF, Adopt
from core.plans.plan import Plan
from core.tables.catalog.table import read_table
from core.tables.marks import Hold, Marks
from tests import desks
from tests.faults import MOST, Console, Strike, places, terminate
from tests.road import Road
from tests.tables import Made, Run, describe

Make = Callable[..., Made]

EACH = """
GRANT SELECT ON {one} TO reader_of_kids;
ALTER TABLE {one} ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON {one} USING (kid_id > 0);
ALTER TABLE {one} REPLICA IDENTITY FULL;
"""


@pytest.fixture
def reader_role(run: Run) -> Iterator[None]:
    run("CREATE ROLE reader_of_kids")
    yield
    run("DROP OWNED BY reader_of_kids; DROP ROLE reader_of_kids")


def by_hand(run: Run, made: Made, name: str, lower: str, rows: int = 20, **more: str) -> str:
    """A table with the columns of `made` and none of its indexes, with a row a day from `lower` on."""
    relation = qualified(more.get("schema", made.schema), name)
    key = ident(made.key.column)
    run(f"CREATE TABLE {relation} (LIKE {made.sql} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
    run(
        f"INSERT INTO {relation} (id, kid_id, {key}) SELECT g, g, ({literal(lower)}::{made.key.type})"
        f" + g * interval '1 day' FROM generate_series(0, {rows - 1}) g"
    )
    return relation


def attached(run: Run, relation: str) -> str | None:
    """Its bounds, where it is a partition."""
    return run(f"SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = {literal(relation)}::regclass")[0][0]


def test_it_comes_with_all_that_its_siblings_have(road: Road, make_table: Make, reader_role: None, run: Run) -> None:
    made = make_table(foreign_key=True)
    for lower, _ in made.ranges:
        run(EACH.format(one=qualified("public", made.partition(lower))))
    run("CREATE ROLE someone")
    relation = by_hand(run, made, "absences_by_hand", "2025-01-01")
    run(f"ALTER TABLE {relation} OWNER TO someone")
    words = ("adopt", "absences_by_hand", "--lower", "2025-01-01", "--upper", "2026-01-01", "--table", made.address)
    dry = road.done(*words, "--dry-run")
    assert "Its name is not made as the others' are: kid_absences_2025 would be." in dry.out
    assert "It gets the policy own, as the newest partitions have." in dry.out
    assert attached(run, relation) is None

    done = road.done(*words, "--reason", "made by hand")
    assert attached(run, relation) == "FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')"
    assert made.count() == 80
    theirs = describe(run, qualified("public", made.first))
    own = describe(run, relation)
    kinds = ("constraint", "index", "trigger")
    assert len([one for one in own if one[0] in kinds]) == len([one for one in theirs if one[0] in kinds])
    assert not any(PROOF in str(one) for one in own)
    what = "SELECT relrowsecurity, relreplident, relacl, relowner FROM pg_class WHERE oid = {}::regclass"
    assert run(what.format(literal(relation))) == run(what.format(literal(f"public.{made.first}")))
    assert run(f"SELECT polname FROM pg_policy WHERE polrelid = {literal(relation)}::regclass") == [("own",)]

    again = road.done(*words)
    assert again.out.startswith("Nothing to do: absences_by_hand is a partition of public.kid_absences already")
    road.advised(done, "Take it out again, where it stands: ")
    assert (attached(run, relation), made.count()) == (None, 60)
    assert run(f"SELECT count(*) FROM {relation}") == [(20,)]
    gone = road.done("release", "public.absences_by_hand", "--table", made.address)
    assert gone.out.startswith("Nothing to do: public.absences_by_hand is no partition of public.kid_absences.")
    assert road.done(*words, "--json").json["operation"]["kind"] == "adopt"
    run("DROP OWNED BY someone; DROP ROLE someone")


KEYS: dict[str, tuple[dict[str, Any], tuple[str, str], str]] = {
    "dates": ({}, ("2025-01-01", "2026-01-01"), "FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')"),
    "open": ({}, ("2025-01-01", "MAXVALUE"), "FOR VALUES FROM ('2025-01-01') TO (MAXVALUE)"),
    "local times": (
        {"key_type": "timestamp", "schema": 'No".rth'},
        ("2025-01-01", "2025-01-21 06:30"),
        "FOR VALUES FROM ('2025-01-01 00:00:00') TO ('2025-01-21 06:30:00')",
    ),
    "moments": (
        {"key_type": "timestamptz", "name": "visits 'x'", "key": "The Day:"},
        ("2025-01-01 00:00:00+00", "2026-01-01"),
        "FOR VALUES FROM ('2025-01-01 00:00:00+00') TO ('2026-01-01 00:00:00+00')",
    ),
}


def test_ends_are_read_as_the_key_has_them(road: Road, make_table: Make, run: Run) -> None:
    run("SET TIME ZONE 'UTC'")
    for kind, (how, (lower, upper), told) in KEYS.items():
        made = make_table(**{"rows": 0, "schema": kind, **how})
        relation = by_hand(run, made, "-it's %s", "2025-01-01")
        words = ("--lower", lower, "--upper", upper, "--table", made.address, "--", relation)
        road.done("adopt", *words, PARTITION_DESK_TIME_ZONE="UTC")
        assert attached(run, relation) == told
        assert made.count() == 20
        assert road.done("adopt", *words, PARTITION_DESK_TIME_ZONE="UTC").out.startswith("Nothing to do: ")


def test_ids(road: Road, run: Run) -> None:
    run("CREATE TABLE o (id bigint NOT NULL, note text) PARTITION BY RANGE (id)")
    run("CREATE TABLE o_1 PARTITION OF o FOR VALUES FROM (0) TO (100)")
    run("CREATE TABLE by_hand AS SELECT g::bigint AS id, 'x'::text AS note FROM generate_series(100, 250) g")
    words = ("adopt", "by_hand", "--table", "public.o", "--lower", "0100", "--upper")
    refused = road(*words, "200")
    assert "51 rows of it lie outside of '100' up to, not including, '200'" in refused.err
    assert "Its column id allows NULL" in refused.err
    run("ALTER TABLE by_hand ALTER id SET NOT NULL")
    road.done(*words, "300")
    assert attached(run, "by_hand") == "FOR VALUES FROM ('100') TO ('300')"
    assert run("SELECT count(*) FROM o") == [(151,)]


REFUSED: dict[str, tuple[str, tuple[str, str], str]] = {
    "rows outside": ("", ("2025-01-05", "2026-01-01"), "4 rows of it lie outside of '2025-01-05' up to"),
    "overlap": ("", ("2024-06-01", "2026-01-01"), "kid_absences_2024 holds a part of "),
    "order": ("", ("2026-01-01", "2025-01-01"), "2026-01-01 is not before 2025-01-01."),
    "no date": ("", ("2025-01-01", "'); DROP TABLE kids; --"), "is no value of date, which is date."),
    "a time of a date": ("", ("2025-01-01", "2025-02-01 06:00"), "is no value of date, which is date."),
    "columns": (
        "ALTER TABLE hand DROP reason; ALTER TABLE hand ALTER kid_id TYPE int",
        ("2025-01-01", "2026-01-01"),
        "It lacks the column reason",
    ),
    "a mark": (
        comment_sql("hand", Marks(hold=Hold("", "the audit", "Ada")).beside("of 2025")),
        ("2025-01-01", "2026-01-01"),
        "says that this console archived or held it",
    ),
    "a partition of another": (
        "CREATE TABLE p (LIKE hand) PARTITION BY RANGE (date);"
        " ALTER TABLE p ATTACH PARTITION hand FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
        ("2025-01-01", "2026-01-01"),
        "public.hand is no table that could be a partition",
    ),
    "rows in the DEFAULT": (
        "INSERT INTO kid_absences (kid_id, date) VALUES (1, '2025-05-05')",
        ("2025-01-01", "2026-01-01"),
        "holds 1 row of its range",
    ),
}


def test_what_does_not_fit_is_refused_and_nothing_is_changed(road: Road, make_table: Make, run: Run) -> None:
    made = make_table(default=True, rows=0)
    for kind, (before, (lower, upper), told) in REFUSED.items():
        by_hand(run, made, "hand", "2025-01-01")
        run(before or "SELECT 1")
        there = describe(run, "hand"), describe(run, made.sql)
        refused = road("adopt", "hand", "--lower", lower, "--upper", upper, "--table", made.address)
        assert refused.code in (1, 2), kind
        assert told in refused.err, kind
        if kind == "columns":
            assert "Its column kid_id is integer, the table's is bigint" in refused.err, "every reason at once"
        assert (describe(run, "hand"), describe(run, made.sql)) == there, kind
        run("DROP TABLE hand")


def test_the_archived_one_of_that_range_is_not_kept_from_coming_back(road: Road, make_table: Make, run: Run) -> None:
    made = make_table(rows=1)
    road.archive(made, made.first)
    by_hand(run, made, "hand", "2022-03-01")
    words = ("--lower", "2022-01-01", "--upper", "2023-01-01", "--table", made.address)
    refused = road("adopt", "hand", *words)
    assert "is archived in archive.kid_absences_2022" in refused.err
    assert f"partitions reattach --partition {made.first}" in refused.err
    assert "is archived from public.kid_absences" in road("adopt", f"archive.{made.first}", *words).err


def adopt(reader: Engine) -> Plan:
    return desks.desk(reader).plan(Adopt("public.kid_absences", "public.hand", "2025-01-01", "2026-01-01"))


def test_broken_at_every_statement_and_asked_again(database_url: str, make_table: Make, run: Run) -> None:
    made = make_table(foreign_key=True, rows=0)
    check = "ADD CONSTRAINT odd CHECK (reason <> 'x')"
    for lower, _ in made.ranges:
        one = made.partition(lower)
        run(f"ALTER TABLE {one} {check}; ALTER TABLE {one} ENABLE ROW LEVEL SECURITY")
    with Console(database_url) as console:
        by_hand(run, made, "hand", "2025-01-01")
        whole = Strike(MOST, partial(terminate, database_url))
        assert console.ask(adopt, whole) == "done"
        assert len(places(whole.came)) > 5
        for at in places(whole.came):
            run("DROP TABLE hand")
            by_hand(run, made, "hand", "2025-01-01")
            strike = Strike(at, partial(terminate, database_url))
            ended = console.ask(adopt, strike)
            assert strike.reached
            assert (run("SELECT count(*) FROM hand"), made.count() in (0, 20)) == ([(20,)], True)
            while ended != "nothing":
                ended = console.ask(adopt)
                assert ended in ("done", "nothing"), (strike.statement, ended)
            own = [name for kind, name, _ in describe(run, "hand") if kind == "constraint"]
            assert sorted(own) == sorted(set(own)), strike.statement
            assert PROOF not in own
            assert "odd" in own
            assert read_table(console.reader, made.address).find("hand") is not None
            assert made.count() == 20
