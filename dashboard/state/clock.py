"""What time it is for the pages: the date, the moment, and the dates that the settings reckon from them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from dashboard.state import database


def today() -> date:
    """The date in the application's time zone."""
    return datetime.now(ZoneInfo(database.desk().settings.time_zone)).date()


def now() -> datetime:
    """This moment, UTC."""
    return datetime.now(UTC)


def zone() -> str:
    """The application's time zone."""
    return database.desk().settings.time_zone


def cutoff() -> date:
    """Partitions that end before this date are due for archive."""
    return database.desk().settings.archive_after.before(today())


def verify_before() -> date:
    """A backup that was proven last before this date was so too long ago."""
    return database.desk().settings.verify_every.before(today())
