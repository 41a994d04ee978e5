"""Who is here, and why nothing can be done from here, where that is so."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import streamlit as st

from core.console.actor import Actor, Origin, article, person, system_user
from core.errors import DeskError, NotAllowed, SettingError
from core.plans.drop import DROPS_ARE_OFF
from core.plans.operation import Operation, Role
from dashboard.gate import FORWARDED
from dashboard.state import database


def no_drop_reason() -> str | None:
    """Why nothing may be dropped from here, whatever its backup; None where it may."""
    return None if database.desk().may_drop else DROPS_ARE_OFF


def actor() -> Actor:
    """Who is here, with the role of this moment: without a sign-in, whoever runs the dashboard.

    A viewer where it listens to the network. Raises NotAllowed for who has no role, and SettingError.
    """
    found = person(database.desk().settings, system_user(), Origin.DASHBOARD)
    return found if read_only_reason() is None else replace(found, role=Role.VIEWER)


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
    """Raises NotAllowed where nothing can be done from here, or not this by who is here."""
    reason = read_only_reason()
    if reason is not None:
        raise NotAllowed(reason)
    actor().require(what)


def read_only_reason() -> str | None:
    """Why nothing can be done from here, or None where it can."""
    address = st.get_option("server.address")
    if isinstance(address, str) and (address == "localhost" or _is_loopback(address)):
        if not any(name in st.context.headers for name in FORWARDED):
            return None
        return (
            "A proxy has passed this page on: nobody knows who is there, and there is no sign-in, so it only shows."
            " Open the dashboard on its own machine to act, or use the command line."
        )
    where = f"on {address}" if address else "on every network address"
    return (
        f"This dashboard listens {where} and has no sign-in, so it only shows."
        " Bind it to 127.0.0.1 to act, or use the command line."
    )


def closed_reason(operation: Operation) -> str | None:
    """Why its button can't act: this dashboard only shows, its server takes no changes, or it takes another role."""
    reason = read_only_reason()
    if reason is None:
        here = database.server()
        if here.in_recovery:
            return "This server is a standby: nothing can be changed here. Connect to the primary server."
        if here.read_only:
            return "This server is set to read-only: nothing can be changed here."
        here_as = actor()
        if not here_as.may(operation):
            return f"You are here as {here_as.role}; to {operation} takes {article(operation.role)} {operation.role}."
    return reason


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
