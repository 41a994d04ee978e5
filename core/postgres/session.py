"""What is asked of a session: the rows of a statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

Row = Any
"""A row of a result, its columns as attributes."""


def rows_of(connection: Connection, sql: str) -> Sequence[Row]:
    """The rows of a statement that is final text."""
    return connection.exec_driver_sql(sql, execution_options={"no_parameters": True}).all()
