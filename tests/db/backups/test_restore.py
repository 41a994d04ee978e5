"""Restoring a backup: what is told before, elsewhere, with other rights, and broken in the middle."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from core.backups.kept import read_all_kept, read_kept
from core.backups.restore import restore
from core.backups.storage.folder import Folder
from core.errors import (
    BackupDamaged,
    BackupNotFound,
    BackupUnusable,
    Cancelled,
    ConnectionFailed,
    NameTaken,
    NotAllowed,
)
from core.names import ident, qualified
from core.plans.proof import Kept
from core.postgres.connection import parse_url, session, working_engine
from core.tables.marks import Hold
from tests import tables
from tests.db.backups.walks import ODD, Alone, Changing, Make, Walk, described
from tests.tables import describe


def test_owner_and_rights_come_back(walk: Walk, make_table: Make, make_role: Callable[..., tuple[str, str]]) -> None:
    owner, other = make_role('owner\'s "role"')[0], make_role("reader TO x")[0]
    made = make_table(owner=owner)
    archived = walk.archive(made, made.first)
    walk.run(f"GRANT SELECT, INSERT ON {archived.sql} TO {ident(other)} WITH GRANT OPTION")
    walk.run(f"GRANT SELECT ON {archived.sql} TO PUBLIC")
    walk.run(f"GRANT UPDATE (reason), REFERENCES (reason) ON {archived.sql} TO {ident(other)}")
    walk.run(f"REVOKE DELETE ON {archived.sql} FROM {ident(owner)}")
    before = sorted(map(repr, describe(walk.run, archived.sql)))
    backup = walk.back_up(made, made.first)
    walk.run(f"DROP TABLE {archived.sql}")
    kept = read_kept(walk.storage, backup.id)
    walk.restore(made, kept)
    after = sorted(map(repr, describe(walk.run, archived.sql)))
    assert [_sorted_rights(line) for line in after] == [_sorted_rights(line) for line in before]

    gone = replace(kept, backup=replace(backup, owner="nobody here"))
    lost = [replace(one, needs=("role nobody here",)) for one in backup.left_out if one.needs]
    walk.run(f"DROP TABLE {archived.sql}")
    plan = walk.plan_restore(made, replace(gone, backup=replace(gone.backup, left_out=tuple(lost))))
    assert not any(statement.startswith(("GRANT", "REVOKE")) for statement in plan.steps[0].statements)
    assert any("there is no role nobody here here: owner" in warning for warning in plan.warnings)


def _sorted_rights(line: str) -> list[str]:
    return sorted(line.replace("{", ",").replace("}", ",").split(","))


def test_a_role_without_rights_is_told_before(
    walk: Walk, make_table: Make, make_role: Callable[..., tuple[str, str]]
) -> None:
    made = make_table()
    archived = walk.archive(made, made.first)
    backup = walk.back_up(made, made.first)
    _, url = make_role()
    engine = working_engine(parse_url(url))
    poor = replace(walk, worker=engine)
    with pytest.raises(NotAllowed, match="may not create tables in the schema archive"):
        poor.plan_restore(made, Kept(backup))
    walk.run(f"DROP TABLE {archived.sql}")
    walk.run("DROP SCHEMA archive")
    with pytest.raises(NotAllowed, match="does not exist and the role"):
        poor.plan_restore(made, Kept(backup))
    with pytest.raises(NotAllowed):
        poor.back_up(made, made.partition(date(2023, 1, 1)))
    engine.dispose()
    assert [entry.path for entry in walk.storage.list()] == [backup.manifest, backup.object]


def test_in_a_new_database_from_manifests_alone(walk: Walk, make_table: Make, alone: Alone) -> None:
    made = make_table()
    for statement in ODD["enum, domain and composite"].setup:
        walk.run(statement)
    archived = walk.archive(made, made.first)
    backup = walk.back_up(made, made.first)
    ((kept,), strange) = read_all_kept(walk.storage, parent="public.kid_absences")
    assert (kept, strange) == (Kept(backup), ())
    assert read_all_kept(walk.storage, parent="public.other") == ((), ())

    new = replace(walk, reader=alone.engine, worker=alone.engine, run=alone.run)
    plan = new.plan_restore(None, kept, hold=Hold("2027-01-18", "just restored", "Ada"))
    assert "nothing to reattach to" in " ".join(plan.warnings)
    assert '"my types"."mood"' in " ".join(plan.warnings)
    new.restore(None, kept, hold=Hold("2027-01-18", "just restored", "Ada"))
    assert described(alone.run, archived.sql) == described(walk.run, archived.sql)
    assert new.fingerprint(archived.sql) == backup.fingerprint

    again = tables.make_table(alone.run, rows=0)
    found = new.read(again).find_archived(f"archive.{made.first}")
    assert found is not None
    assert archived.tag is not None
    elsewhere = replace(archived.tag, key="", oid=0, cluster="")  # where the parent has another oid
    assert (found.tag, found.bounds) == (elsewhere, archived.bounds)
    assert found.hold == Hold("2027-01-18", "just restored", "Ada")
    alone.run(f"DROP TABLE {archived.sql}")
    plan = new.plan_restore(again, kept)
    assert "It can't be reattached as it is: it has a column " in " ".join(plan.warnings)
    assert 'CREATE TYPE "my types"."mood"' not in plan.sql

    alone.run("ALTER TYPE \"my types\".mood RENAME VALUE 'ok' TO 'fine'")
    with pytest.raises(BackupUnusable, match="lacks ok"):
        new.plan_restore(again, kept)


def test_into_another_archive_schema(walk: Walk, make_table: Make) -> None:
    made = make_table()
    for statement in ODD["indexes"].setup:
        walk.run(statement)
    archived = walk.archive(made, made.first)
    for statement in ODD["indexes"].after:
        walk.run(statement.format(t=archived.sql))
    backup = walk.back_up(made, made.first)
    walk.restore(made, Kept(backup), archive_schema='the "cold" one')
    relation = qualified('the "cold" one', made.first)
    assert walk.fingerprint(relation) == backup.fingerprint
    assert len(described(walk.run, relation)) == len(described(walk.run, archived.sql))
    assert walk.run("SELECT count(*) FROM pg_statistic_ext") == [(2,)]


def test_names_that_are_taken(walk: Walk, make_table: Make) -> None:
    made = make_table()
    archived = walk.archive(made, made.first)
    backup = walk.back_up(made, made.first)
    with pytest.raises(NameTaken, match=made.first):
        walk.plan_restore(made, Kept(backup))
    walk.run(f"ALTER TABLE {archived.sql} RENAME TO elsewhere")
    with pytest.raises(NameTaken, match=f"{made.first}_date_idx, {made.first}_kid_id_date_key"):
        walk.plan_restore(made, Kept(backup))


def test_a_parent_with_other_columns_is_told(walk: Walk, make_table: Make) -> None:
    made = make_table()
    walk.archive(made, made.first)
    backup = walk.back_up(made, made.first)
    walk.run(f"DROP TABLE archive.{made.first}")
    walk.run("ALTER TABLE kid_absences ADD COLUMN room int, DROP COLUMN noted, ALTER COLUMN reason TYPE varchar(50)")
    (warning,) = [w for w in walk.plan_restore(made, Kept(backup)).warnings if "reattached" in w]
    assert warning == (
        "It can't be reattached as it is: its column reason is text, the table's is character varying(50);"
        " it lacks the column room; it has a column noted that the table lacks."
        " Reattach says what to run, once it is there."
    )


def test_a_restore_looks_for_itself(walk: Walk, make_table: Make) -> None:
    made = make_table(rows=2000)
    backup = walk.back_up(made, made.first)
    path = walk.object(backup)
    whole = path.read_bytes()
    chance = random.Random(5)
    spoilt = [whole[:-1], whole[: len(whole) // 2], whole + b"\0", b""]
    for _ in range(25):
        flipped = bytearray(whole)
        flipped[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        spoilt.append(bytes(flipped))
    for content in spoilt:
        path.write_bytes(content)
        with pytest.raises(BackupDamaged):
            walk.restore(made, Kept(backup))
        assert walk.run("SELECT 1 FROM pg_namespace WHERE nspname = 'archive'") == []
    path.unlink()
    with pytest.raises(BackupNotFound):
        walk.restore(made, Kept(backup))


def test_a_restore_that_is_cancelled_or_cut_off(walk: Walk, make_table: Make) -> None:
    made = make_table(rows=500)
    backup = walk.back_up(made, made.first)
    plan = walk.plan_restore(made, Kept(backup))
    database = walk.read(made).server.database
    storage = Changing(Path(walk.storage.label))

    def slow(path: str) -> Iterator[bytes]:
        for chunk in Folder.read(storage, path):
            yield chunk[:100]
            storage.change()
            yield chunk[100:]

    storage.read = slow  # type: ignore[method-assign]
    stop = threading.Event()
    for change, error in (
        (lambda: (stop.set(), time.sleep(0.5)), Cancelled),
        (
            lambda: walk.run(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
                " AND state LIKE 'idle in transaction%'"
            ),
            ConnectionFailed,
        ),
    ):
        storage.change = change
        stop.clear()
        with session(walk.worker) as work, pytest.raises(error):
            restore(work, storage, Kept(backup), plan, cancelled=stop.is_set, report=lambda work: None)
        assert walk.run("SELECT 1 FROM pg_namespace WHERE nspname = 'archive'") == []
        walk.worker.dispose()
    storage.change = lambda: None
    with session(walk.worker) as work:
        assert restore(work, storage, Kept(backup), plan, cancelled=lambda: False, report=lambda work: None) == 500
