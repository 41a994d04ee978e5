"""Who is here, and why nothing can be done from here, where that is so."""

from __future__ import annotations

import ipaddress

import streamlit as st

from core.console.actor import Actor, Origin, system_user
from core.errors import NotAllowed
from core.plans.drop import DROPS_ARE_OFF
from core.plans.operation import Role
from dashboard.gate import FORWARDED
from dashboard.state import database


def no_drop_reason() -> str | None:
    """Why nothing may be dropped from here, whatever its backup; None where it may."""
    return None if database.desk().may_drop else DROPS_ARE_OFF


def actor() -> Actor:
    """Who is here: without a sign-in, whoever runs the dashboard; a viewer where it listens to the network."""
    role = Role.ADMIN if read_only_reason() is None else Role.VIEWER
    return Actor(system_user(), role, Origin.DASHBOARD)


def require_open() -> None:
    """Raises NotAllowed where nothing can be done from here."""
    reason = read_only_reason()
    if reason is not None:
        raise NotAllowed(reason)


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


def closed_reason() -> str | None:
    """Why no button can act: this dashboard only shows, or its server takes no changes."""
    reason = read_only_reason()
    if reason is None:
        here = database.server()
        if here.in_recovery:
            return "This server is a standby: nothing can be changed here. Connect to the primary server."
        if here.read_only:
            return "This server is set to read-only: nothing can be changed here."
    return reason


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
