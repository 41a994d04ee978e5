"""Where a backup is proven, and what is said of one that is whole and can't be proven there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from core.backups import proving
from core.backups.kept import read_all_kept, read_kept
from core.backups.proving import Proving, doubts
from core.backups.storage.folder import Folder
from core.cli.main import main
from core.errors import BackupUnusable, DeskError, NotVerified, StorageFailed
from core.plans.drop import plan_drop
from core.plans.manifest import Backup, Locale
from core.plans.proof import Verdict
from core.postgres.connection import working_engine
from core.postgres.programs import ServerPrograms, find_servers
from tests import tables
from tests.db.backups.walks import NOW, Make, Walk
from tests.servers import connect
from tests.tables import Made, Run, runner

AsOf = Callable[..., str]


@pytest.fixture
def wheel_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No PostgreSQL on this machine but the two that come with the console."""

    def found(**given: Any) -> tuple[ServerPrograms, ...]:
        return tuple(one for one in find_servers(**given) if "pginstall" in str(one.folder))

    monkeypatch.setattr(proving, "find_servers", found)


@contextmanager
def elsewhere(walk: Walk, server: URL, database: str) -> Iterator[Walk]:
    """A walk in a database of its own that the words of CREATE DATABASE make."""
    name = f"pd_ground_{os.getpid()}"
    admin = connect(server)
    runner(admin)(f"CREATE DATABASE {name} TEMPLATE template0 {database}")
    url = server.set(database=name)
    connection, engine = connect(url), working_engine(url)
    try:
        yield replace(walk, reader=engine, worker=engine, run=runner(connection))
    finally:
        engine.dispose()
        connection.close()
        runner(admin)(f"DROP DATABASE {name} WITH (FORCE)")
        admin.close()


def rewritten(walk: Walk, backup: Backup, **changes: Any) -> Backup:
    changed = replace(backup, **changes)
    Path(walk.storage.label, backup.manifest).write_text(changed.to_json())
    return changed


def make_with(run: Run, column: str, values: str) -> Made:
    """kid_absences with one more column, of which the first partition's rows have these values."""
    made = tables.make_table(run)
    run(f"ALTER TABLE kid_absences ADD COLUMN more {column}")
    if values:
        run(f"UPDATE kid_absences_2022 SET more = {values}")
    return made


@pytest.mark.with_contrib
def test_a_type_of_an_extension_is_proven_where_the_extension_is(walk: Walk, run: Run) -> None:
    run("CREATE EXTENSION citext; CREATE EXTENSION hstore SCHEMA public")
    made = make_with(run, "citext", "'Ab'")
    run("ALTER TABLE kid_absences ADD COLUMN pairs hstore, ADD COLUMN page xml")
    run("UPDATE kid_absences_2022 SET pairs = 'a=>1', page = '<a/>'")
    proof = walk.verify(walk.back_up(made, made.first))
    assert (proof.verdict, proof.reason) == (Verdict.PROVEN, "")
    assert proof.server_version.startswith("15."), "the version of its source, which is installed here"


@pytest.mark.with_contrib
def test_a_type_that_no_server_here_has_is_no_damage(walk: Walk, run: Run, wheel_alone: None) -> None:
    run("CREATE EXTENSION citext")
    made = make_with(run, "citext", "'Ab'")
    found = walk.read(made).find(made.first)
    assert found is not None
    (doubt,) = doubts(walk.reader, [found.oid], 150020, Proving(walk.home, os.environ))
    assert "As things are, a backup could not be proven here. It needs the extension citext" in doubt
    backup = walk.back_up(made, made.first)
    proof = walk.verify(backup)
    assert (proof.verdict, proof.server_version) == (Verdict.UNPROVABLE, "")
    assert proof.reason == "It needs the extension citext, which no PostgreSQL 15 or later on this machine has."
    assert "PARTITION_DESK_PROOF_URL" in proof.next
    kept = read_kept(walk.storage, backup.id)
    assert (kept.proven, kept.damaged, kept.unprovable) == (None, None, proof)
    walk.archive(made, made.first)
    with pytest.raises(NotVerified, match=r"could not be proven so far: It needs the extension citext"):
        plan_drop(walk.read(made), made.first, kept, today=NOW.date())


@pytest.mark.with_contrib
def test_xml_is_proven_where_a_server_has_it_and_told_before_where_none_has(
    walk: Walk, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_with(run, "xml[]", "ARRAY['<a>ä</a>'::xml]")
    found = walk.read(made).find(made.first)
    assert found is not None
    here = Proving(walk.home, os.environ)
    assert doubts(walk.reader, [found.oid], 150020, here) == ()
    backup = walk.back_up(made, made.first)
    proof = walk.verify(backup)
    assert (proof.verdict, proof.reason) == (Verdict.PROVEN, "")
    wheel = tuple(one for one in find_servers(environ=os.environ) if "pginstall" in str(one.folder))
    monkeypatch.setattr(proving, "find_servers", lambda **_: wheel)
    (doubt,) = doubts(walk.reader, [found.oid], 150020, here)
    why = "It needs XML, which no PostgreSQL 15 or later on this machine has."
    assert f"As things are, a backup could not be proven here. {why} Install postgresql-15" in doubt
    proof = walk.verify(backup)
    assert (proof.verdict, proof.reason) == (Verdict.UNPROVABLE, why)


def test_a_named_server_without_xml_is_told_before_the_backup(walk: Walk, run: Run, database_url: str) -> None:
    made = make_with(run, "text", "")
    found = walk.read(made).find(made.first)
    assert found is not None
    named = Proving(walk.home, os.environ, database_url)
    assert doubts(walk.reader, [found.oid], 180000, named) == ()
    run("ALTER TABLE kid_absences ADD COLUMN page xml")
    (doubt,) = doubts(walk.reader, [found.oid], 180000, named)
    assert doubt.endswith("the server that PARTITION_DESK_PROOF_URL names was built without XML.")


def test_functions_of_ones_own_are_told_before_the_backup(walk: Walk, run: Run) -> None:
    made = tables.make_table(run)
    found = walk.read(made).find(made.first)
    assert found is not None

    def told() -> tuple[str, ...]:
        return doubts(walk.reader, [found.oid], 180000, Proving(walk.home, os.environ))

    run("CREATE FUNCTION public.twice(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2'")
    run("ALTER TABLE kid_absences ADD CONSTRAINT is_even CHECK (public.twice(kid_id) % 2 = 0)")
    (check,) = told()
    assert check.startswith("The CHECK is_even calls public.twice(bigint), which a server that holds this table alone")
    backup = walk.back_up(made, made.first)
    assert walk.verify(backup).verdict is Verdict.PROVEN
    assert "constraint is_even" in [one.what for one in backup.left_out]
    run("ALTER TABLE kid_absences ADD COLUMN doubled bigint GENERATED ALWAYS AS (public.twice(kid_id)) STORED")
    column, other = told()
    assert column.startswith("The column doubled is generated with public.twice(bigint), which")
    assert "no backup of it is made. Write its expression with PostgreSQL's own functions" in column
    assert other == check
    with pytest.raises(BackupUnusable, match="The column doubled is generated with"):
        walk.back_up(made, made.first)
    run("ALTER TABLE kid_absences ALTER COLUMN doubled DROP EXPRESSION")  # the way out that is told
    assert told() == (check,)
    assert walk.verify(walk.back_up(made, made.first)).verdict is Verdict.PROVEN


@pytest.mark.with_contrib
def test_texts_are_those_of_the_sources_locale_where_the_server_knows_it(walk: Walk, server_url: URL) -> None:
    icu = "ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C'"
    with elsewhere(walk, server_url, icu) as there:
        made = make_with(there.run, "text", "'straße'")
        there.run("ALTER TABLE kid_absences_2022 ADD CONSTRAINT in_capitals CHECK (upper(more) = 'STRASSE')")
        backup = there.back_up(made, made.first)
        assert backup.locale == Locale("i", "C", "C", "en-US")
        proof = walk.verify(backup)
        assert (proof.verdict, proof.reason) == (Verdict.PROVEN, "")
        rewritten(walk, backup, locale=Locale("c", "xx_YY.UTF-8", "xx_YY.UTF-8"))  # which this machine has not
        proof = walk.verify(backup)
        assert proof.verdict is Verdict.PROVEN
        assert proof.reason == "in_capitals was not compared: that server has another locale."


@pytest.mark.with_contrib
def test_generated_columns_are_computed_anew_and_no_damage(walk: Walk, run: Run, wheel_alone: None) -> None:
    made = tables.make_table(run)
    run(
        "ALTER TABLE kid_absences ADD COLUMN words tsvector GENERATED ALWAYS AS (to_tsvector('english', reason)) STORED"
    )
    run("UPDATE kid_absences_2022 SET reason = 'three rows were added'")
    backup = walk.back_up(made, made.first)
    assert backup.compared == "stored"
    proof = walk.verify(backup)
    stemmed = "Its generated columns come out otherwise on that server: words."
    assert (proof.verdict, proof.reason) == (Verdict.PROVEN, stemmed if proof.server_version > "18" else "")
    whole = walk.fingerprint('"public"."kid_absences_2022"')
    rewritten(walk, backup, compared="", generated="", fingerprint=whole + "0")
    proof = walk.verify(backup)
    assert proof.verdict is Verdict.UNPROVABLE, "of one of before nothing tells which column it was"
    assert "words came out otherwise, or a row was changed" in proof.reason
    rewritten(walk, backup, fingerprint=backup.fingerprint + "0")
    assert walk.verify(backup).verdict is Verdict.DAMAGED


def test_a_value_that_names_another_table_is_no_damage(walk: Walk, run: Run) -> None:
    run("CREATE TABLE audited (id int)")
    made = make_with(run, "regclass", "'audited'")
    found = walk.read(made).find(made.first)
    assert found is not None
    (doubt,) = doubts(walk.reader, [found.oid], 180000, Proving(walk.home, os.environ))
    assert doubt.startswith("The values of more (regclass) name other tables")
    proof = walk.verify(walk.back_up(made, made.first))
    assert proof.verdict is Verdict.UNPROVABLE
    assert 'could not take it: relation "public.audited" does not exist' in proof.reason
    assert proof.next.startswith("A value of more names what no server has that holds this table alone.")
    run("CREATE DOMAIN named AS regclass; CREATE TYPE pair AS (a named, b int)")
    run("ALTER TABLE kid_absences ALTER more TYPE text, ADD pairs pair[]")
    (doubt,) = doubts(walk.reader, [found.oid], 180000, Proving(walk.home, os.environ))
    assert doubt.startswith("The values of pairs (regclass) name other tables")
    assert walk.verify(walk.back_up(made, made.first)).verdict is Verdict.PROVEN


def test_a_named_server_proves_and_keeps_nothing(
    walk: Walk, run: Run, make_table: Make, make_role: Any, server_url: URL
) -> None:
    made = make_table()
    backup = walk.back_up(made, made.first)
    left = f"partition_desk_proof_{1_700_000_000}_{os.getpid():08x}"
    admin = connect(server_url)
    own = runner(admin)
    own(f"CREATE DATABASE {left} TEMPLATE template0")
    role, address = make_role()
    own(f'ALTER ROLE "{role}" CREATEDB')
    for url in (server_url.render_as_string(hide_password=False), address):
        walk.proof_url = url
        proof = walk.verify(backup)
        assert (proof.verdict, proof.reason) == (Verdict.PROVEN, "")
    own(f'GRANT pg_read_server_files TO "{role}"')
    proof = walk.verify(backup)
    assert proof.verdict is Verdict.UNPROVABLE
    assert "may run programs or read files of its server" in proof.reason
    ours = f"datname = '{left}' OR pg_has_role(datdba, '{role}', 'USAGE') AND datname LIKE 'partition_desk_proof%'"
    assert own(f"SELECT datname FROM pg_database WHERE {ours} AND datname LIKE 'partition_desk_proof%'") == []
    assert own("SELECT rolname FROM pg_roles WHERE rolname LIKE 'partition_desk_proof%'") == []
    admin.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://127.0.0.1:1/none", "No proof can be made on the server that PARTITION_DESK_PROOF_URL names"),
        ("mysql://there/x", "PARTITION_DESK_PROOF_URL begins with mysql"),
    ],
)
def test_a_named_server_that_is_not_there_is_told_by_its_setting(
    walk: Walk, make_table: Make, url: str, said: str
) -> None:
    made = make_table()
    backup = walk.back_up(made, made.first)
    walk.proof_url = url
    with pytest.raises(DeskError, match=said) as refused:
        walk.verify(backup)
    assert "DATABASE_URL" not in str(refused.value)
    assert read_kept(walk.storage, backup.id).proofs == ()


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes the place one that can be read and no longer be written."""

    def close() -> None:
        def refused(storage: Folder, path: str, text: str) -> None:
            raise StorageFailed(f"A backup can't be written to {storage.label}: it is mounted read-only.")

        monkeypatch.setattr(Folder, "write_text", refused)

    return close


def test_the_verdict_is_told_where_it_can_not_be_written_down(
    walk: Walk,
    make_table: Make,
    database_url: str,
    full: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("BACKUP_URL", walk.storage.label)
    monkeypatch.setenv("PARTITION_DESK_HOME", str(walk.home))
    monkeypatch.setenv("PARTITION_DESK_PROOF_URL", database_url)
    made = make_table()
    backup = walk.back_up(made, made.first)
    full()
    assert main(["verify", backup.id]) == 1
    said = capsys.readouterr().err
    assert "is whole, each of its rows was compared; but that could not be written down" in said
    assert "mounted read-only" in said
    path = walk.object(backup)
    whole = path.read_bytes()
    path.write_bytes(whole[:40] + b"X" + whole[41:])
    assert main(["verify", backup.id]) == 1
    said = capsys.readouterr().err
    assert "is damaged: Its bytes were changed" in said
    assert "It could not be written down" in said


def test_one_manifest_that_can_not_be_read_hides_no_other(
    walk: Walk, make_table: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_table()
    one, other = (walk.back_up(made, name) for name in (made.first, "kid_absences_2023"))
    real = Folder.read_text

    def asleep(storage: Folder, path: str) -> str:
        if path == one.manifest:
            raise StorageFailed("The object is asleep.")
        return real(storage, path)

    monkeypatch.setattr(Folder, "read_text", asleep)
    kept, unusable = read_all_kept(walk.storage)
    assert [found.backup.id for found in kept] == [other.id]
    assert [(found.path, found.reason) for found in unusable] == [(one.manifest, "The object is asleep.")]
