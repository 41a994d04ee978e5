"""Two roles with no power beyond need: what `partitions grants` prints makes them, and with them everything works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from core.console.desk import Desk
from core.doctor.findings import Severity
from core.errors import ConnectionFailed, NotAllowed, Refused, SettingError
from core.growth.outlook import Retention
from core.period import Duration
from core.postgres.connection import parse_url, session
from core.settings import read_settings
from tests.conftest import ADMIN
from tests.desks import KEY
from tests.road import Road
from tests.tables import Made, Run

Make = Callable[..., Made]
Open = Callable[[dict[str, str]], Desk]
MakeRole = Callable[..., tuple[str, str]]


@pytest.fixture
def roles(road: Road, make_role: MakeRole, run: Run) -> Callable[[Made], dict[str, str]]:
    """Runs the SQL that is printed, as a superuser; gives the two addresses as settings."""

    def make(made: Made) -> dict[str, str]:
        (reads, read_url), (acts, act_url) = make_role("pd_read"), make_role("pd_act")
        for _ in range(2):  # to run it again is free
            run(road.done("grants", "--reading", reads, "--acting", acts).out)
        return {"DATABASE_READ_URL": read_url, "DATABASE_URL": act_url}

    return make


@pytest.fixture
def opened(road: Road) -> Iterator[Callable[[dict[str, str]], Desk]]:
    """Opens a desk at these addresses."""
    made: list[Desk] = []

    def open_desk(urls: dict[str, str]) -> Desk:
        settings = read_settings({**road.environ, **urls, "PARTITION_DESK_KEY": KEY})
        made.append(Desk.at(urls["DATABASE_URL"], settings, environ=road.environ))
        return made[-1]

    yield open_desk
    for desk in made:
        desk.close()


def connected(desk: Desk) -> tuple[Any, ...]:
    """(the role, whether it is a superuser, whether it may read rows of the tables) of either engine."""
    found = []
    for engine in (desk.reading, desk.working):
        with session(engine) as connection:
            found.append(
                connection.exec_driver_sql(
                    "SELECT current_user::text, (SELECT rolsuper OR rolbypassrls OR rolcreaterole FROM pg_roles"
                    " WHERE rolname = current_user), has_table_privilege('public.kid_absences', 'SELECT')"
                ).one()
            )
    return tuple(found)


@pytest.mark.parametrize("owned_by", ["a superuser", "a role of the application"])
def test_the_two_roles_do_everything_between_them(
    road: Road, make_table: Make, make_role: MakeRole, roles: Any, opened: Open, run: Run, owned_by: str
) -> None:
    made = make_table(start=date(2020, 1, 1), count=3, rows=20)
    if owned_by != "a superuser":
        owner, _ = make_role("pd_app")
        for name in ("kid_absences", *(made.partition(lower) for lower, _ in made.ranges)):
            run(f"ALTER TABLE {name} OWNER TO {owner}")
    urls = roles(made)
    desk = opened(urls)
    (reads, reads_beyond, reads_rows), (acts, acts_beyond, acts_rows) = connected(desk)
    assert (reads_beyond, reads_rows, acts_beyond, acts_rows) == (False, False, False, True)

    def pages() -> None:
        table = desk.read(made.address)
        assert table.server.user == reads
        assert all(one.size is not None for one in table.everything)
        findings = desk.examine(table, desk.backups(made.address, table.server))
        told = {one.check: one for one in findings}
        assert (told["privileges"].severity, told["powers"].severity) == (Severity.OK, Severity.OK)
        assert told["powers"].title == f"The console connects as {acts} and {reads}, with no power beyond need"
        desk.growth(made.address, retention=Retention(Duration(3, "year"), None), kept=(), prices=None)
        desk.metrics(())
        assert desk.tables()
        for words in (("status",), ("history",), ("growth",), ("metrics",), ("backups",), ("audit", "verify")):
            road.done(*words, **urls)

    pages()
    table = ("--table", made.address)
    first = made.first
    road.done("ensure", "--ahead", "1", *table, **urls)
    road.done("archive", "--partition", first, *table, **urls)
    road.done("reattach", "--partition", first, *table, **urls)
    road.done("archive", "--partition", first, *table, **urls)
    road.done("hold", "--partition", first, "--reason", "an inspection", *table, **urls)
    road.done("hold", "--partition", first, "--lift", *table, **urls)
    road.done("backup", "--partition", first, *table, **urls)
    (kept,) = road.every()
    road.prove(kept.backup.id)
    road.done("find", "--date", "2021-03-01", *table, **urls)  # which takes reading rows
    road.done("drop", "--partition", first, "--confirm", first, "--now", *table, **urls)
    road.done("restore", kept.backup.id, **urls)
    road.done("sample", **urls)
    pages()
    assert desk.read(made.address).find_archived(first) is not None
    with session(desk.reading) as connection, pytest.raises(Exception, match="permission denied"):
        connection.exec_driver_sql("SELECT * FROM public.kid_absences")


def test_a_page_plans_as_the_role_that_acts(road: Road, make_table: Make, roles: Any, opened: Open) -> None:
    """A plan made on a table that was read by the other role is one that a worker runs."""
    from core.plans.archive import Archive

    made = make_table(rows=5)
    desk = opened(roles(made))
    plan = desk.plan(Archive(desk.read(made.address), made.first))
    desk.run(plan, ADMIN)
    assert desk.read(made.address).find_archived(made.first) is not None
    with pytest.raises(NotAllowed, match="does not own"):
        Archive(desk.read(made.address), made.partition(made.ranges[1][0])).plan(desk)


def test_two_databases_are_no_console(road: Road, make_table: Make, opened: Open) -> None:
    make_table(rows=5)
    elsewhere = road.url.replace(road.url.rpartition("/")[2].partition("?")[0], "postgres")
    desk = opened({"DATABASE_URL": road.url, "DATABASE_READ_URL": elsewhere})
    with pytest.raises(Refused, match="lead to two databases"):
        desk.acting()
    nobody = parse_url(road.url).set(username="pd_nobody").render_as_string(hide_password=False)
    with pytest.raises(ConnectionFailed, match="Check the user in DATABASE_READ_URL"):
        opened({"DATABASE_URL": road.url, "DATABASE_READ_URL": nobody}).server()
    with pytest.raises(SettingError, match="DATABASE_READ_URL is set, and DATABASE_URL is not"):
        read_settings({"DATABASE_READ_URL": road.url})


def test_the_doctor_tells_what_roles_may_beyond_need(
    road: Road, make_table: Make, make_role: MakeRole, opened: Open, run: Run
) -> None:
    made = make_table(rows=5)
    road.archive(made, made.first)
    etl, _ = make_role("pd_etl")
    app, app_url = make_role("pd_app")
    run(f"GRANT pg_write_all_data TO {etl}")
    run(f"GRANT ALL ON kid_absences, archive.{made.first} TO {app}")
    desk = opened({"DATABASE_URL": road.url, "DATABASE_READ_URL": app_url})

    def said(one: Desk) -> dict[str, Any]:
        found = [each for each in one.examine(road.read(made), None) if each.check in ("powers", "others")]
        assert {each.severity for each in found} <= {Severity.NOTE, Severity.OK}
        return {each.title: each for each in found}

    told = " ".join(said(desk))
    assert "as which the console connects, is a superuser: more than it needs" in told
    assert f"The role {app}, as which the console connects, may read rows and may write rows: more" in told
    assert f"{etl} may change the console's journal, schema partition_desk" in told
    assert f"{etl} may change archived tables" in told
    assert f"{app} may change" not in told  # it is a role of the console's here
    alone = replace(desk, apart=False, reading=desk.working)
    assert f"{app} and {etl} may change archived tables" in " ".join(said(alone))
    run(f"REVOKE pg_write_all_data FROM {etl}")
    run(f"REVOKE ALL ON archive.{made.first} FROM {app}")
    assert "Nobody but the owner and superusers may change" in " ".join(said(alone))
    assert {one.severity for one in said(replace(alone, embedded=True)).values()} == {Severity.OK}
