"""Who is here, what they may, and why nothing is shown or can be done, where that is so."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import unquote

import streamlit as st

from core.console.actor import Actor, Origin, article, person, system_user
from core.console.said import parse
from core.errors import DeskError, NotAllowed, SettingError
from core.plans.drop import DROPS_ARE_OFF
from core.plans.operation import Operation
from core.settings import Settings
from dashboard import door
from dashboard.door import Session, Way
from dashboard.password import SIGN_OUT, has_that_password
from dashboard.state import database


def no_drop_reason() -> str | None:
    """Why nothing may be dropped from here, whatever its backup; None where it may."""
    return None if database.desk().may_drop else DROPS_ARE_OFF


def actor() -> Actor:
    """Who is here, with the role of this moment. Raises NotAllowed for who has none, or is not known; SettingError."""
    name = _name()
    said = parse(unquote(st.context.headers.get(door.SAID_HEADER, ""))) if _way() is Way.SIGN_IN else None
    found = person(database.desk().settings, name, Origin.DASHBOARD, said)
    return replace(found, verified=str(_way()), address=str(st.context.ip_address or ""))


def _way() -> Way:
    address = st.get_option("server.address")
    return door.way(database.desk().settings, address, embedded=database.desk().embedded)


def _name() -> str:
    """Who is here, as the gate vouches for it; where nobody is asked, whoever runs the dashboard. Raises NotAllowed."""
    asked, address = _way(), st.get_option("server.address")
    why = door.closed_because(asked, address, st.context.headers.keys())
    if why is not None:
        raise NotAllowed(why, safe="")
    if asked is not Way.OPEN and st.context.headers.get(door.VOUCHER_HEADER) != door.VOUCHER:
        raise NotAllowed(
            "This dashboard asks who is there, and was started in a way that can't.",
            safe="",
            next="Start it with make run, or python -m dashboard: it prints the link to open.",
        )
    vouched = "" if asked is Way.OPEN else unquote(st.context.headers.get(door.NAME_HEADER, ""))
    _require_session(database.desk().settings, vouched, st.context.headers.get(door.SESSION_HEADER, ""))
    return vouched or system_user()


def _require_session(settings: Settings, name: str, text: str) -> None:
    """Raises NotAllowed where the sign-in has ended, by itself or in another tab, or the account; pages outlive it."""
    if not text:
        return
    session = Session.parse(text)
    if session.is_over or (settings.accounts and not has_that_password(settings, name, session)):
        raise NotAllowed("Your sign-in has ended.", safe="", next="Load this page again to sign in.")


def sign_out() -> None:
    """The button that ends the sign-in of who is here, where there is one."""
    settings = database.desk().settings
    if settings.provider is not None:
        st.button("Sign out", key="sign_out", icon=":material/logout:", type="tertiary", on_click=st.logout)
    elif settings.accounts:
        base = (st.get_option("server.baseUrlPath") or "").strip("/")
        st.link_button("Sign out", f"{f'/{base}' if base else ''}{SIGN_OUT}", icon=":material/logout:", type="tertiary")


def seen() -> str:
    """As whom the page is drawn, to notice when that has changed."""
    refused = refusal()
    return str(refused) if refused is not None else str(actor())


def is_unasked() -> bool:
    """Whether nobody is asked who is there, on a database that is no demo."""
    return database.desk().settings.open and not database.desk().embedded


def refusal() -> DeskError | None:
    """Why whoever is here is shown nothing; None for who has a role."""
    try:
        database.desk()
    except SettingError:
        return None  # the page says it in place of all others
    try:
        actor()
    except (NotAllowed, SettingError) as error:
        return error
    return None


def may(what: Operation | str) -> bool:
    """Whether who is here may do it."""
    return actor().may(what)


def require(what: Operation | str) -> None:
    """Raises NotAllowed where who is here may not do it."""
    actor().require(what)


def closed_reason(operation: Operation) -> str | None:
    """Why its button can't act: the server takes no changes, or it takes another role."""
    server, here = database.server(), actor()
    if server.in_recovery:
        return "This server is a standby: nothing can be changed here. Connect to the primary server."
    if server.read_only:
        return "This server is set to read-only: nothing can be changed here."
    if not here.may(operation):
        return f"You are here as {here.role}; to {operation} takes {article(operation.role)} {operation.role}."
    return None
