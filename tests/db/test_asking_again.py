"""Asking again is free: what holds already ends with 0 and says so, also after a kill; another wish does not."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, event

from core.cli.main import main
from tests.processes import PROCESSES
from tests.road import Road
from tests.tables import Made

Make = Callable[..., Made]
T = "kid_absences_2022"


def nothing(road: Road, *words: str, says: str) -> None:
    """The command ends with 0, says that nothing is to be done and why, changes nothing, and so in JSON."""
    before = road.run("SELECT count(*) FROM partition_desk.operation")
    told = road.done(*words).out
    assert told.startswith("Nothing to do: "), told
    assert says in told
    assert road.done(*words, "--dry-run").out.startswith("-- Nothing to do: ")
    if words[0] not in ("archive", "reattach", "ensure"):
        answer = road.done(*words, "--json").json
        assert answer["operation"] is None
        assert says in answer["nothing_to_do"]
    assert road.run("SELECT count(*) FROM partition_desk.operation") == before, "no row in the journal either"


def refused(road: Road, *words: str, says: str) -> None:
    ended = road(*words)
    assert (ended.code, ended.out) == (1, ""), ended
    assert says in ended.err


def test_what_is_archived_and_what_is_attached(road: Road, make_table: Make) -> None:
    make_table()
    road.done("archive", "--year", "2022")
    nothing(road, "archive", "--year", "2022", says=f"{T} is archived already: archive.{T}.")
    nothing(road, "archive", "--partition", f"archive.{T}", says="is archived already")
    nothing(road, "archive", "--partition", f"public.{T}", says="is archived already")
    refused(road, "archive", "--year", "2001", says="has no partition for 2001")
    road.done("reattach", "--year", "2022")
    nothing(road, "reattach", "--year", "2022", says=f"{T} is attached to public.kid_absences already.")
    nothing(road, "reattach", "--partition", T, says="is attached to")
    nothing(road, "reattach", "--partition", f"archive.{T}", says="is attached to")
    refused(road, "archive", "--partition", f"archive.{T}", says=f"has no partition archive.{T}")
    refused(road, "reattach", "--partition", "another", says="No archived table another belongs to")
    nothing(road, "ensure", "--year", "2022", says="public.kid_absences has all of it already.")


def test_a_table_of_that_name_is_not_what_was_meant(road: Road, make_table: Make) -> None:
    make_table()
    road.done("archive", "--year", "2022")
    road.run(f"CREATE TABLE {T} PARTITION OF kid_absences FOR VALUES FROM ('2022-01-01') TO ('2023-01-01')")
    refused(road, "archive", "--partition", T, says=f"{T} means 2 tables of public.kid_absences")
    refused(road, "archive", "--year", "2022", says=f"archive already holds {T}")
    refused(road, "reattach", "--year", "2022", says=f"{T} holds a part of {T}'s range already")


def test_a_hold_and_a_planned_drop_that_are_there(road: Road, make_table: Make) -> None:
    made = make_table()
    held = ("hold", "--year", "2022", "--reason", "the audit")
    last = road.done(*held).out.splitlines()[-1]
    assert last == f"Lift it: partitions hold --partition {T} --lift --table public.kid_absences"
    nothing(road, *held, says=f"{T} is held so already.")
    assert road.done("hold", "--year", "2022", "--reason", "another").out.startswith("Done: hold")
    lifted = road.done("hold", "--year", "2022", "--lift").out.splitlines()[-1]
    assert lifted.startswith("Hold it again: partitions hold")
    nothing(road, "hold", "--year", "2022", "--lift", says=f"{T} is not held.")

    road.ready(made, T)
    later = ("drop", "--year", "2022", f"--confirm={T}", "--after", "7d")
    road.done(*later)
    nothing(road, *later, says=f"{T} is to be dropped on ")
    assert road.done(*later[:-1], "8d").out.startswith("Done: ")
    road.done("keep", "--year", "2022")
    nothing(road, "keep", "--year", "2022", says=f"No drop of {T} is planned.")


def test_a_drop_that_was_done(road: Road, make_table: Make) -> None:
    made = make_table()
    (kept,) = road.ready(made, T)
    id = kept.backup.id
    dropped = [
        ("drop", "--year", "2022", f"--confirm={T}", "--now"),
        ("drop", "--partition", T, f"--confirm={T}", "--now", f"--backup={id}"),
        ("drop", "--partition", f"archive.{T}", f"--confirm={T}", "--now"),
        ("drop", "--year", "2022", f"--confirm={T}", "--after", "7d"),
    ]
    road.done(*dropped[0])
    for words in dropped:
        nothing(road, *words, says=f"; the backup {id} keeps all of it.")
    refused(road, *dropped[0], "--backup=no/such", says="has no archived table for 2022")
    refused(road, "drop", "--year", "2023", "--confirm=kid_absences_2023", "--now", says="is attached to")
    refused(road, "drop", "--partition", "other", "--confirm=other", "--now", says="No archived table other")

    road.run("TRUNCATE partition_desk.operation CASCADE")
    nothing(road, *dropped[1], says=f"{T} is not on the server; the backup {id} keeps all of it.")
    refused(road, *dropped[0], says="has no archived table for 2022")

    road.done("ensure", "--year", "2022")
    refused(road, *dropped[1], says="is attached to public.kid_absences: only an archived table can be dropped")


def test_a_drop_that_was_done_where_the_server_alone_knows_the_order(road: Road) -> None:
    """Of an enum whose dropped ends no partition has any more."""
    road.run("CREATE TYPE mood AS ENUM ('low', 'fair', 'high', 'top')")
    road.run("CREATE TABLE moods (m mood NOT NULL) PARTITION BY RANGE (m)")
    for lower, upper in (("low", "fair"), ("high", "top")):
        road.run(f"CREATE TABLE {lower} PARTITION OF moods FOR VALUES FROM ('{lower}') TO ('{upper}')")
    words = ("--partition", "low", "--table", "public.moods")
    road.done("archive", *words, "--allow-current")
    road.done("backup", *words)
    road.prove(road.every()[0].backup.id)
    road.done("drop", *words, "--now", "--confirm", "low")
    nothing(road, "drop", *words, "--now", "--confirm", "low", says="low was dropped on")
    road.run("CREATE TABLE low PARTITION OF moods FOR VALUES FROM ('low') TO ('fair')")
    refused(road, "drop", *words, "--now", "--confirm", "low", says="only an archived table can be dropped")


def test_a_restore_of_what_is_there(road: Road, make_table: Make) -> None:
    made = make_table(rows=5)
    (kept,) = road.ready(made, T)
    restore = ("restore", kept.backup.id)
    nothing(road, *restore, says=f"archive.{T} is there as the backup {kept.backup.id} has it, row by row.")
    road.done("drop", "--year", "2022", f"--confirm={T}", "--now")
    road.done(*restore)
    nothing(road, *restore, says="row by row")
    road.done("reattach", "--year", "2022")
    nothing(road, *restore, says=f"is attached to public.kid_absences as public.{T}, as the backup")

    road.done("archive", "--year", "2022")
    road.run(f"DELETE FROM archive.{T} WHERE ctid = (SELECT min(ctid) FROM archive.{T})")
    refused(road, *restore, says=f"archive already holds {T}")
    road.run(f"DROP TABLE archive.{T}")
    road.run(f"CREATE TABLE archive.{T} (id int)")
    refused(road, *restore, says=f"archive already holds {T}")


# After a kill ----------------------------------------------------------------------------------------------------


def _die_at(environ: dict[str, str], words: tuple[str, ...], at: int) -> None:
    """Runs a command in a process of its own that kills itself, as kill -9 does, at the statement number `at`."""
    os.environ.update(environ)
    seen = 0

    def count(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        nonlocal seen
        seen += not statement.lstrip().startswith(("SELECT", "SET", "WITH", "\nSELECT", "\nWITH"))
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "after_cursor_execute", count)
    main(words)


def killed(road: Road, at: int, *words: str) -> bool:
    """Whether the command was killed there; False where it had ended."""
    process = PROCESSES.Process(target=_die_at, args=({"DATABASE_URL": road.url, **road.environ}, words, at))
    process.start()
    process.join(90)
    assert process.exitcode is not None, "it neither ended nor was killed"
    return process.exitcode == -signal.SIGKILL


@pytest.mark.one_in(4)
@pytest.mark.parametrize("at", [4, 7, 9, 11, 13, 15, 18, 25])
def test_the_same_command_after_a_kill_leads_to_the_same_end(road: Road, make_table: Make, at: int) -> None:
    made = make_table(rows=5, foreign_key=False)
    rows = road.run("SELECT count(*), sum(hash_record_extended(t, 0)) FROM kid_absences t")
    archive = ("archive", "--year", "2022")
    assert killed(road, at, *archive) or at > 13
    road.done(*archive)
    nothing(road, *archive, says="is archived already")
    kept = road.back_up(made, T)
    drop = ("drop", "--partition", T, f"--confirm={T}", "--now", f"--backup={kept.backup.id}")
    assert killed(road, at, *drop) or at > 9
    road.done(*drop)
    nothing(road, *drop, says="was dropped on")
    assert not road.is_there(f"archive.{T}")
    restore = ("restore", kept.backup.id)
    assert killed(road, at, *restore) or at > 13
    road.done(*restore)
    nothing(road, *restore, says="row by row")
    reattach = ("reattach", "--year", "2022")
    assert killed(road, at, *reattach) or at > 9
    road.done(*reattach)
    nothing(road, *reattach, says="is attached to")
    assert road.run("SELECT count(*), sum(hash_record_extended(t, 0)) FROM kid_absences t") == rows
