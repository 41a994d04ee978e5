"""Errors: three sentences each, the tree as its docstring tells it, and SQLSTATE turned into it."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import pytest
from sqlalchemy.exc import DBAPIError

from core import errors
from core.console.actor import Actor, Origin
from core.console.register import ACKNOWLEDGED, PAUSED, ROOMS
from core.errors import (
    CatalogBusy,
    ConnectionFailed,
    DeskError,
    Failed,
    NotAllowed,
    NotAttachable,
    PlanOutdated,
    ReadOnlyServer,
    Refused,
    SettingError,
)
from core.plans.operation import (
    ACCOUNTS,
    FIND,
    LEAST,
    MAINTAIN,
    NAMES,
    SAMPLE,
    SEND_ALARMS,
    TEST_ALARMS,
    Operation,
    Role,
)
from core.postgres.connection import parse_url, place, translate

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, DeskError)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_is_in_the_tree_that_the_docstring_tells(kind: type[DeskError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")
    assert kind.__doc__
    children = (errors.__doc__ or "").partition("Refused")[2].partition("PlanOutdated")[0]
    assert (issubclass(kind, Refused) and kind is not Refused) == (kind.__name__ in children)


def test_what_safe_and_next() -> None:
    error = DeskError("It happened.", next="Do this.")
    assert str(error) == "It happened. Nothing was changed. Do this."
    assert str(DeskError("It happened.", safe="")) == "It happened."
    assert (error.what, error.safe, error.next) == ("It happened.", "Nothing was changed.", "Do this.")


def test_reasons_and_changes() -> None:
    refused = NotAttachable("It can't.", ("One.", "Two."), next="Mend it.")
    assert str(refused) == "It can't. One. Two. Nothing was changed. Mend it."
    assert refused.reasons == ("One.", "Two.")
    assert PlanOutdated("Changed.", ("was: a",)).changes == ("was: a",)


URL = parse_url("postgres://anna:geheim@db.example:5433/school")


def driver_error(state: str | None, message: str, detail: str | None = None, *, lost: bool = False) -> DBAPIError:
    """An error as the driver raises it."""
    original = Exception(message)
    original.pgcode = state  # type: ignore[attr-defined]
    original.diag = SimpleNamespace(message_primary=message if state else None, message_detail=detail)  # type: ignore[attr-defined]
    return DBAPIError("SELECT 1", None, original, connection_invalidated=lost)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (driver_error("55P03", "canceling statement due to lock timeout"), CatalogBusy, "locked by somebody else"),
        (driver_error("42501", "must be owner of table t"), NotAllowed, "may not do this: must be owner of table t."),
        (driver_error("25006", "cannot execute in a read-only transaction"), ReadOnlyServer, "takes no changes"),
        (
            driver_error("57014", "canceling statement due to user request"),
            Failed,
            "The server stopped it: canceling statement due to user request.",
        ),
        (driver_error("22P05", "character has no equivalent"), Failed, "This database's encoding lacks a letter"),
        (
            driver_error("25P04", "terminating connection due to transaction timeout"),
            ConnectionFailed,
            "The server ended the session: terminating connection due to transaction timeout.",
        ),
        (
            driver_error("23505", "duplicate key", "Key (a)=(1)"),
            Failed,
            "The server refused: duplicate key (Key (a)=(…)).",
        ),
        (driver_error("57P01", "terminating connection"), ConnectionFailed, "The connection to the server was lost"),
        (driver_error(None, "server closed the connection unexpectedly"), ConnectionFailed, "was lost"),
        (driver_error("42P01", "relation is not there", lost=True), ConnectionFailed, "was lost"),
    ],
)
def test_sqlstate(error: DBAPIError, kind: type[DeskError], message: str) -> None:
    told = translate(error)
    assert type(told) is kind
    assert message in str(told)
    assert "Nothing was changed." in str(told)
    assert "Half of it." in str(translate(error, safe="Half of it."))


def test_a_failure_keeps_code_and_words() -> None:
    told = translate(driver_error("23505", "duplicate key", "Key (a)=(1)"))
    assert isinstance(told, Failed)
    assert (told.sqlstate, told.server_message) == ("23505", "duplicate key (Key (a)=(…))")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('FATAL:  password authentication failed for user "anna"', "The server refused the password for anna."),
        ("fe_sendauth: no password supplied", "The server refused the password for anna."),
        ('FATAL:  role "anna" does not exist', "The server knows no role anna."),
        ('FATAL:  database "school" does not exist', "The server has no database school."),
        ("FATAL:  no pg_hba.conf entry for host", "The server does not let anna in from here."),
        ("FATAL:  sorry, too many clients already", "The server has no free connection."),
        ("FATAL:  the database system is starting up", "The server is starting or stopping."),
        ("could not translate host name", "The server can't be reached: school on db.example:5433."),
        ("Connection refused", "The server can't be reached: school on db.example:5433."),
    ],
)
def test_a_login_that_fails(said: str, told: str) -> None:
    error = translate(driver_error(None, said), URL)
    assert isinstance(error, ConnectionFailed)
    assert error.what == told
    assert "geheim" not in str(error)


@pytest.mark.parametrize("text", ["postgres://h/d", "postgresql://h/d", "postgresql+asyncpg://h/d", " postgres://h/d "])
def test_addresses(text: str) -> None:
    assert parse_url(text).drivername == "postgresql+psycopg2"


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "not a database address"), ("nonsense", "not a database address"), ("mysql://h/d", "begins with mysql")],
)
def test_what_is_no_address(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        parse_url(text)


def test_a_place_never_shows_a_password() -> None:
    assert place(URL) == "school on db.example:5433"
    assert place(parse_url("postgresql://anna@/school?host=/run/pg")) == "school on /run/pg"
    assert place(parse_url("postgresql://anna@/")) == "anna on the local socket"


NEEDS = {
    "ensure": Role.OPERATOR,
    "archive": Role.ADMIN,
    "reattach": Role.ADMIN,
    "backup": Role.OPERATOR,
    "verify": Role.OPERATOR,
    "drop": Role.ADMIN,
    "restore": Role.ADMIN,
    "hold": Role.ADMIN,
    "key": Role.ADMIN,
    "schedule": Role.ADMIN,
    "adopt": Role.ADMIN,
    "release": Role.ADMIN,
    "rules": Role.ADMIN,
    "drain": Role.ADMIN,
    "split": Role.ADMIN,
    "merge": Role.ADMIN,
    "abandon": Role.ADMIN,
    "convert": Role.ADMIN,
    "unconvert": Role.ADMIN,
    "index": Role.ADMIN,
    "reindex": Role.ADMIN,
    "unindex": Role.ADMIN,
}


def test_every_operation_has_its_role_here() -> None:
    assert {room.operation.name for room in ROOMS} == set(NEEDS)
    besides = {NAMES, FIND, SAMPLE, MAINTAIN, ACCOUNTS, SEND_ALARMS, TEST_ALARMS, ACKNOWLEDGED.name, PAUSED.name}
    assert set(NEEDS) | besides == set(LEAST)


@pytest.mark.parametrize("operation", [room.operation for room in ROOMS], ids=str)
@pytest.mark.parametrize("role", list(Role))
def test_roles(role: Role, operation: Operation) -> None:
    actor = Actor("Vera", role, Origin.DASHBOARD)
    enough = list(Role).index(role) >= list(Role).index(NEEDS[operation.name])
    assert actor.may(operation) is enough
    if enough:
        actor.require(operation)
        return
    with pytest.raises(NotAllowed, match=f"Vera is here as {role}; to {operation} takes an {NEEDS[operation.name]}"):
        actor.require(operation)
