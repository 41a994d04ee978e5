"""What is asked of growth: of which table, on which day, with which plans, limit and prices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from core.growth.outlook import Retention
from core.growth.savings import Prices
from core.plans.proof import Kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Everything that a Growth is reckoned from, besides what the database tells."""

    table: str | None
    """None asks for all tables of the database together."""
    today: date
    zone: str
    archive_schema: str
    retention: Retention
    limit: int | None = None
    """Bytes on the server."""
    prices: Prices | None = None
    currency: str = "EUR"
    horizon: int = 365
    """So many days are forecast."""
    kept: tuple[Kept, ...] | None = None
    """The backups; None leaves cold storage to what was sampled of it."""


def prices_of(hot: float | None, cold: float | None) -> Prices | None:
    """The prices of two settings; None where neither is set."""
    return None if hot is None and cold is None else Prices(hot or 0.0, cold or 0.0)
