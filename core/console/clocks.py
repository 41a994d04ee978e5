"""The server's clock, which counts for what ends anything, checked against the console's own."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.errors import Refused
from core.postgres.connection import session, translate
from core.text import human_seconds

APART = timedelta(minutes=2)
"""How far the two may be apart."""


def server_time(engine: Engine, here: datetime) -> datetime:
    """The server's own time, where it is `here`, the console's, too.

    Raises Refused where the console's clock says another: one of both is wrong, and nobody knows which.
    """
    with session(engine) as connection:
        try:
            said = connection.exec_driver_sql("SELECT pg_catalog.clock_timestamp()::text").scalar_one()
        except DBAPIError as error:
            raise translate(error) from error
    there = datetime.fromisoformat(str(said))
    apart = abs(there - here)
    if apart > APART:
        raise Refused(
            f"The clocks of the server and of this console are {human_seconds(apart.total_seconds())} apart, so that"
            " nothing is dropped, now or later.",
            next="Set the one that is wrong.",
        )
    return there
