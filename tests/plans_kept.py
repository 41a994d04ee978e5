"""Keeps the server's plans of what a test's sessions ask the catalogs again and again.

Most of what reading a table costs is planning its queries, which say the same each time. From the second time on they
are prepared: the same statement, parsed and planned once a session.
"""

from __future__ import annotations

import itertools
from typing import Any

from sqlalchemy import Connection, Engine, event

_LONG = 1_000
"""Letters from which a statement is worth it."""
_NUMBERS = itertools.count(1)
_KNOWN = "tests: prepared statements"


def keep_plans(engine: Engine) -> Engine:
    """Has the sessions of an engine prepare what they read with when it comes again."""
    event.listen(engine, "before_cursor_execute", _before, retval=True)
    event.listen(engine, "after_cursor_execute", _after)
    return engine


def _before(
    connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
) -> tuple[str, Any]:
    if len(statement) < _LONG or parameters or not statement.lstrip().startswith(("SELECT", "WITH")):
        return statement, parameters
    known: dict[str, str] = connection.info.setdefault(_KNOWN, {})
    name = known.get(statement)
    if name is None:  # seen for the first time, if it goes well
        context._kept = (statement, "")
        return statement, parameters
    if name == "":
        name = f"kept_{next(_NUMBERS)}"  # another each time: one that failed may have been prepared
        context._kept = (statement, name)
        return f"PREPARE {name} AS {statement}; EXECUTE {name}", parameters
    return f"EXECUTE {name}", parameters


def _after(connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
    kept = getattr(context, "_kept", None)
    if kept is not None:
        connection.info.setdefault(_KNOWN, {})[kept[0]] = kept[1]
