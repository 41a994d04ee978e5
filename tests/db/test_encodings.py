"""The whole road in databases that keep text in other encodings than UTF-8, or in none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL

from core.names import ident
from core.postgres.connection import parse_url, reading_engine, working_engine
from tests import tables
from tests.road import Road
from tests.servers import connect
from tests.tables import Run

STRANGER = "SELECT " + ", ".join(f"note AS note_number_{number}" for number in range(40)) + " FROM {}"
"""A query that is cut where it is told of."""


@pytest.fixture
def road_in(
    server_url: URL,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Callable[[str], Road]]:
    """The road in a database of an encoding."""
    name = f"pd_encoded_{tmp_path.name[-20:]}".lower()
    admin = connect(server_url)
    opened = []

    def make(encoding: str, order: str = "LOCALE_PROVIDER libc") -> Road:
        tables.runner(admin)(
            f"CREATE DATABASE {ident(name)} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C' {order}"
        )
        url = server_url.set(database=name)
        other = connect(url, client_encoding="UTF8")
        if encoding == "SQL_ASCII":  # which sends UTF-8 to a database that asks nothing
            tables.runner(other)("SET client_encoding = 'SQL_ASCII'")
        reader, worker = reading_engine(url), working_engine(url)
        opened.extend([other.close, reader.dispose, worker.dispose])
        environ = {"PARTITION_DESK_HOME": str(home), "BACKUP_URL": str(tmp_path / "place")}
        text = url.render_as_string(hide_password=False)
        return Road(text, home, environ, monkeypatch, capsys, reader, worker, tables.runner(other))

    yield make
    for close in opened:
        close()
    tables.runner(admin)(f"DROP DATABASE IF EXISTS {ident(name)} WITH (FORCE)")
    admin.close()


def fill(run: Run, table: str) -> None:
    run(f"CREATE TABLE {ident(table)} (id bigint NOT NULL, day date NOT NULL, note text) PARTITION BY RANGE (day)")
    for year in (2021, 2026, 2027):
        run(
            f"CREATE TABLE {ident(f'{table}_{year}')} PARTITION OF {ident(table)}"
            f" FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01')"
        )
    run(f"INSERT INTO {ident(table)} SELECT g, date '2021-01-01' + g, 'x' FROM generate_series(1, 20) g")


WAYS = {"LATIN1": "éa", "WIN1252": "é€", "EUC_JP": "表日", "EUC_KR": "표", "SQL_ASCII": "é表"}


@pytest.mark.one_in(5)
@pytest.mark.parametrize(("encoding", "name"), WAYS.items(), ids=list(WAYS))
def test_the_whole_road(road_in: Callable[[str], Road], encoding: str, name: str) -> None:
    road = road_in(encoding)
    run = road.run
    fill(run, name)
    run(f"COMMENT ON TABLE {ident(f'{name}_2021')} IS '{name}'")
    road.done("status", "--table", name)
    assert "Traceback" not in road("doctor", "--table", name).err
    one = ("--table", name, "--partition", f"{name}_2021")
    reason = "fertig — 5 € … 日本 é"
    run("BEGIN")
    run(STRANGER.format(ident(f"{name}_2021")))
    stopped = road("archive", *one, "--reason", reason, PARTITION_DESK_PATIENCE_S="1")
    assert (stopped.code, "In the way: session" in stopped.err) == (1, True), stopped
    run("ROLLBACK")
    for command in (
        ("archive", *one),
        ("backup", *one),
        ("verify", *one),
        ("drop", *one, "--confirm", f"{name}_2021", "--now"),
        ("restore", *one, "--no-hold"),
        ("reattach", *one),
    ):
        road.done(*command, "--reason", reason)
    assert run(f"SELECT count(*), obj_description('{ident(f'{name}_2021')}'::regclass) FROM {ident(name)}") == [
        (20, name)
    ]
    told = road.done("history", "--table", name, "--json").json["operations"]
    assert {entry["state"] for entry in told} == {"done", "failed"}
    kept = {"LATIN1": "fertig - 5 \\u20ac ... \\u65e5\\u672c é", "SQL_ASCII": reason}.get(encoding)
    assert kept is None or {entry["reason"] for entry in told} == {kept}


def test_bytes_that_are_no_letters(road_in: Callable[[str], Road]) -> None:
    """In SQL_ASCII a name or a comment can hold any byte; it stays what it is."""
    road = road_in("SQL_ASCII")
    fill(road.run, "ev")
    road.run("COMMENT ON TABLE ev_2021 IS E'caf\\351'")
    road.run("DO $$BEGIN EXECUTE 'ALTER TABLE ev_2021 RENAME TO \"ev_2021' || E'\\351' || '\"'; END$$")
    told = road.done("status", "--table", "ev", "--json").out
    assert "ev_2021\uefe9" in told or "ev_2021\\uefe9" in told
    for command in ("archive", "backup", "verify", "reattach"):
        road.done(command, "--table", "ev", "--year", "2021")
    ((name, comment),) = road.run(
        "SELECT relname::text::bytea, obj_description(oid)::bytea FROM pg_class WHERE relname ~ '^ev_2021'"
    )
    assert (bytes(name), bytes(comment)) == (b"ev_2021\xe9", b"caf\xe9")


def test_what_the_database_has_no_letter_for_is_refused_before_anything_happened(
    road_in: Callable[[str], Road],
) -> None:
    road = road_in("LATIN1")
    fill(road.run, "ev")
    road.done("archive", "--table", "ev", "--year", "2021")
    refused = road("hold", "--table", "ev", "--year", "2021", "--reason", "Prüfung — 5 €")
    assert refused.code == 1, refused
    assert "keeps text in LATIN1, which has no '—'" in refused.err
    assert "Nothing was changed." in refused.err
    missing = road("status", "--table", "ev€")
    assert missing.code == 1
    assert "This database's encoding lacks a letter of what was asked" in missing.err


@pytest.mark.every_version
def test_a_client_encoding_of_the_database_changes_nothing(road: Road) -> None:
    road.run(f"ALTER DATABASE {ident(parse_url(road.url).database or '')} SET client_encoding = 'latin1'")
    fill(road.run, "ev€")
    for command in ("archive", "reattach"):
        road.done(command, "--table", "ev€", "--year", "2021", "--reason", "5 € …")
    assert {one["reason"] for one in road.done("history", "--table", "ev€", "--json").json["operations"]} == {"5 € …"}


@pytest.mark.older_versions
def test_a_check_that_orders_texts_waits_for_a_server_that_orders_them_alike(
    road_in: Callable[..., Road], run: Run, database_url: str
) -> None:
    """In Swedish B stands between a and m, by its bytes before both: no proof may rest on either."""
    if not run("SELECT 1 FROM pg_collation WHERE collname = 'sv-x-icu'") or run("SHOW server_version_num")[0][0] < "15":
        pytest.skip("this PostgreSQL has no database in an order of ICU")
    road = road_in("UTF8", "LOCALE_PROVIDER icu ICU_LOCALE 'sv'")
    road.run("CREATE TABLE words (k text NOT NULL, n int) PARTITION BY RANGE (k)")
    road.run("CREATE TABLE words_a PARTITION OF words FOR VALUES FROM ('a') TO ('m')")
    road.run("CREATE TABLE words_m PARTITION OF words FOR VALUES FROM ('m') TO ('z')")
    road.run(
        "ALTER TABLE words_a ADD CONSTRAINT early CHECK (k < 'n' AND n > 0), ADD CONSTRAINT known CHECK (k <> 'x')"
    )
    road.run("INSERT INTO words VALUES ('B', 1), ('c', 2), ('N', 3)")
    on = ("--partition=words_a", "--table=words")
    checks = "SELECT string_agg(conname, ' ' ORDER BY conname) FROM pg_constraint"
    checks += " WHERE conrelid::regclass::text = 'archive.words_a'"
    road.done("archive", *on, "--allow-current")
    before = road.run(checks)
    road.done("backup", *on)
    (kept,) = road.every()
    assert not kept.backup.bounded
    assert {one.needs for one in kept.backup.left_out if one.what == "constraint early"} == {("order icu sv",)}
    assert any('"known"' in one for one in kept.backup.afterwards), "equality is alike everywhere"
    road.done("verify", kept.backup.id)
    road.done("drop", *on, "--now", "--confirm=words_a")
    elsewhere = road.done("restore", kept.backup.id, "--dry-run", url=database_url).out
    assert "there is no default order of texts icu sv here: constraint early" in elsewhere
    road.done("restore", kept.backup.id, "--no-hold")
    assert road.run(checks) == before
    road.done("reattach", *on)
    assert road.run("SELECT count(*) FROM words") == [(3,)]
