"""The door for an application: `from core.database import engine`, made from DATABASE_URL at first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.postgres import connection

if TYPE_CHECKING:
    from sqlalchemy import Engine

    engine: Engine


def __getattr__(name: str) -> Engine:
    if name != "engine":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return connection.engine
