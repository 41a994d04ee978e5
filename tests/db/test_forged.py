"""Marks that a stranger wrote on a table of their own: read as data, never run, and never taken for the console's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from core.growth.samples.measure import read_present
from core.names import ident, literal
from core.tables.archived import Source
from core.tables.catalog.marks import read_marks, read_planned_drops
from core.tables.catalog.table import read_table
from core.tables.marks import Hold, Marks, PlannedDrop, Tag
from tests.db.cli.test_commands import Partitions, make_absences, partitions
from tests.servers import connect
from tests.tables import Run, runner

pytestmark = pytest.mark.attacked_versions

__all__ = ["partitions"]
MakeRole = Callable[..., tuple[str, str]]

PAYLOADS = {
    "a table": "FOR VALUES FROM ('2020-01-01') TO ('2021-01-01'); CREATE TABLE public.executed ()",
    "a function": "FOR VALUES FROM ('2020-01-01') TO (CAST(stranger.executed() AS text))",
    "an end that goes on": "FOR VALUES FROM ('2020-01-01') TO ('2021-01-01'::date + stranger.executed())",
    "a lower end": "FOR VALUES FROM (('2020-01-01'::date + stranger.executed())) TO ('2021-01-01')",
    "well formed": "FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
}
COLUMNS = "(id bigint, kid_id bigint NOT NULL, date date NOT NULL, reason text)"


def forged(bounds: str) -> str:
    """A comment as the console writes it, but for its bounds."""
    at = "2024-01-01T00:00:00+00:00"
    tag = Tag('"public"."kid_absences"', "public", bounds, at, made_check=True)
    hold = Hold("", "a forged hold", "nobody")
    drop = PlannedDrop("public.kid_absences", at, "a/b/c", "text-1:1:1", "nobody")
    return literal(str(Marks(tag, hold, drop).beside("mine")))


@pytest.mark.one_in(2)
@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("genuine", [False, True], ids=["alone", "beside the genuine one"])
def test_a_forged_mark_is_neither_run_nor_taken(
    partitions: Partitions,
    reader: Engine,
    run: Run,
    make_role: MakeRole,
    payload: str,
    genuine: bool,
) -> None:
    make_absences(run, '"public"."kid_absences"', 2020, 2021)
    if genuine:
        assert partitions("archive", "--year", "2020").code == 0
    else:
        run("DROP TABLE kid_absences_2020")
    role, url = make_role()
    run(f"CREATE SCHEMA stranger AUTHORIZATION {ident(role)}")
    connection = connect(url)
    stranger = runner(connection)
    try:
        stranger(
            "CREATE FUNCTION stranger.executed() RETURNS int LANGUAGE plpgsql AS $$ BEGIN"
            " CREATE TABLE public.executed (); RETURN 1; END $$; GRANT EXECUTE ON FUNCTION stranger.executed TO public"
        )
        for kind, name in (("", "stranger.kid_absences_2020"), ("TEMP ", "kid_absences_2020")):
            stranger(f"CREATE {kind}TABLE {name} {COLUMNS}")
            relation = name if not kind else f"pg_temp.{name}"
            stranger(f"COMMENT ON TABLE {relation} IS {forged(PAYLOADS[payload])}")

        table = read_table(reader, "kid_absences")
        assert [(a.schema, a.source) for a in table.archived] == ([("archive", Source.TAG)] if genuine else [])
        assert all(a.hold is None and a.drop is None for a in table.archived)
        assert read_planned_drops(reader) == ()
        assert all(not one.counts_for(owner) for one in read_marks(reader)[0] for owner in (None, 0, 10**9))
        present = [seen.name for seen in read_present(reader, archive_schema="archive")]
        assert present.count("kid_absences_2020") == int(genuine)

        words = ("reattach", "--year", "2020")
        before = run("SELECT count(*) FROM pg_class")
        dry = partitions(*words, "--dry-run")
        for looking in (("status",), ("doctor", "--json"), ("growth",), ("find", "--date", "2020-05-05")):
            ended = partitions(*looking)
            assert ended.code in (0, 2, 3), ended.err
            assert "stranger" not in ended.out
            assert "forged" not in ended.out
        assert run("SELECT count(*) FROM pg_class") == before
        assert "stranger" not in dry.out + dry.err
        if genuine:
            assert dry.code == 0
            assert "ATTACH PARTITION" in dry.out
            assert partitions(*words).code == 0
            assert run("SELECT count(*) FROM kid_absences WHERE date < '2021-01-01'") == [(101,)]
        else:
            assert dry.code == 1
            assert partitions(*words).code == 1
        assert run("SELECT to_regclass('public.executed')") == [(None,)]
    finally:
        connection.close()
