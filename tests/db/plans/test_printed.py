"""SQL that is printed where something is refused is run as it is printed; it helps, and no other table is another."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from datetime import date

import pytest
from sqlalchemy import Engine

from core.backups.storage import StorageSettings
from core.console.desk import Desk
from core.errors import BackupUnusable, DeskError, NotAllowed, Refused
from core.names import ident, qualified
from core.period import Width
from core.plans.inplace import Convert
from core.plans.proof import Kept
from core.postgres.connection import parse_url, working_engine
from tests import desks, printed
from tests.printed import SITUATIONS, Situation
from tests.road import NOW, Road
from tests.tables import Run

HOSTILE = 'P"r;-- %s '


def asked(situation: Situation, desk: Desk, schema: str) -> Refused | None:
    try:
        situation.asks(desk, schema)
    except Refused as refused:
        return refused
    return None


def printed_by(error: DeskError) -> str:
    """The function that the error comes from, as `module.function`."""
    frames = traceback.extract_tb(error.__traceback__)
    frame = frames[-1]
    return f"{frame.filename.rpartition('/')[2].removesuffix('.py')}.{frame.name}"


def judged(situation: Situation, desk: Desk, run: Run, schema: str) -> str:
    """What is wrong with what is printed; empty where it helps and nothing else is another."""
    refused = asked(situation, desk, schema)
    if refused is None:
        return "it is not refused"
    statements = printed.printed(str(refused))
    if not statements:
        return f"it prints nothing: {refused}"
    before = printed.world(run, situation.touches)
    own = iter(situation.fills)
    for statement in statements:
        run(re.sub(r"\.\.\.", lambda _: next(own), statement))
    again = asked(situation, desk, schema)
    if again is not None:
        return f"after {statements} still {again}"
    if printed.world(run, situation.touches) != before:
        return f"{statements} changed other tables"
    return "" if printed_by(refused) == situation.raised_in else f"it was printed by {printed_by(refused)}"


def test_what_a_refusal_prints_helps_and_changes_nothing_else(
    run: Run, make_role: Callable[..., tuple[str, str]]
) -> None:
    role, url = make_role()
    theirs, ours = working_engine(parse_url(url)), working_engine(parse_url(url).set(username="postgres"))
    wrong = {}
    try:
        for number, (name, situation) in enumerate(SITUATIONS.items()):
            schema, archive = f"{HOSTILE}{number}", f"archive {number}"
            made_by = situation.made_by.replace("taken_on", f"taken_{number}")  # whose an archived table is, is plain
            run(made_by.format(s=ident(schema), a=ident(archive), r=ident(role)))
            desk = desks.desk(ours if situation.as_superuser else theirs, now=NOW, archive_schema=archive)
            if found := judged(situation, desk, run, schema):
                wrong[name] = found
    finally:
        theirs.dispose()
        ours.dispose()
    assert wrong == {}


BACKED_UP = """
CREATE SCHEMA "s 1"; CREATE TYPE "s 1"."Mood" AS ENUM ('good', 'it''s', 'so so', 'bad');
CREATE TABLE "s 1".readings (id bigint, taken_on date NOT NULL, mood "s 1"."Mood") PARTITION BY RANGE (taken_on);
CREATE TABLE "s 1".y2022 PARTITION OF "s 1".readings FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');
INSERT INTO "s 1".readings VALUES (1, '2022-05-05', 'it''s'), (2, '2022-06-06', 'bad');
"""
ANEW = """
DROP TABLE "s 1".readings; DROP TYPE "s 1"."Mood"; CREATE TYPE "s 1"."Mood" AS ENUM ('so so');
CREATE TABLE "s 1".others AS SELECT 'so so'::"s 1"."Mood" AS mood;
"""


def test_what_a_restore_prints_helps_and_changes_nothing_else(
    road: Road, run: Run, make_role: Callable[..., tuple[str, str]]
) -> None:
    run(BACKED_UP)
    plan = desks.back_up(road.reader, road.cold, desks.desk(road.reader).read('"s 1".readings'), "y2022", now=NOW)
    road.run_plan(plan)
    kept = road.kept(plan.backup)
    run(ANEW)
    before = printed.world(run)
    helps(road.worker, run, road.cold, kept, BackupUnusable, says='The type "s 1"."Mood" here lacks good, it\'s, bad')
    assert run('SELECT enum_range(NULL::"s 1"."Mood")::text') == [('{good,it\'s,"so so",bad}',)]
    assert printed.world(run) == before

    role, url = make_role()
    engine = working_engine(parse_url(url))
    try:
        run(f'GRANT USAGE ON SCHEMA "s 1" TO {ident(role)}')
        helps(engine, run, road.cold, kept, NotAllowed, says="The schema archive does not exist")
        run(f"ALTER SCHEMA archive OWNER TO postgres; GRANT USAGE ON SCHEMA archive TO {ident(role)}")
        helps(engine, run, road.cold, kept, NotAllowed, says="may not create tables in the schema archive")
    finally:
        engine.dispose()
    assert printed.world(run) == before
    road.run_plan(desks.restore(road.worker, road.cold, kept))
    assert run(f"SELECT id, mood::text FROM {qualified('archive', 'y2022')} ORDER BY 1") == [(1, "it's"), (2, "bad")]


def helps(engine: object, run: Run, storage: StorageSettings, kept: Kept, error: type[DeskError], *, says: str) -> None:
    with pytest.raises(error) as refused:
        desks.restore(engine, storage, kept)
    assert says in str(refused.value)
    for statement in printed.printed(str(refused.value)):
        run(statement)
    desks.restore(engine, storage, kept)


def test_what_a_conversion_prints_finds_the_rows(run: Run, worker: Engine) -> None:
    run('CREATE TABLE plain (day date, "I d" int, v int); INSERT INTO plain VALUES (NULL, 1, 1), (NULL, 2, 2)')
    assert found_by_what_is_printed(run, worker) == [(None, 1, 1), (None, 2, 2)]
    run(
        "UPDATE plain SET day = '2025-05-05'; INSERT INTO plain SELECT '2025-06-06', n, 3 FROM unnest(ARRAY[1, NULL]) n"
    )
    run("INSERT INTO plain SELECT * FROM plain WHERE v = 3")
    assert found_by_what_is_printed(run, worker) == [("2025-06-06", 1)]


def found_by_what_is_printed(run: Run, engine: Engine) -> list[tuple[object, ...]]:
    with pytest.raises(Refused) as refused:
        desks.desk(engine).plan(Convert("public.plain", "day", Width(months=12), ("day", "I d")))
    (statement,) = re.findall(r"SELECT .*;", refused.value.next)
    return [tuple(str(one) if isinstance(one, date) else one for one in row) for row in run(statement)]
