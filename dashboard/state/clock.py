"""What time it is for the pages: the date, the moment, and the dates that the settings reckon from them."""

from __future__ import annotations

from datetime import date, datetime

from dashboard.state import database


def today() -> date:
    """The date in the application's time zone."""
    return database.desk().today


def now() -> datetime:
    """This moment, UTC."""
    return database.desk().now


def zone() -> str:
    """The application's time zone."""
    return database.desk().zone


def cutoff() -> date:
    """Partitions that end before this date are due for archive."""
    return database.desk().cutoff


def verify_before() -> date:
    """A backup that was proven last before this date was so too long ago."""
    return database.desk().verify_before
