"""What a picture is drawn with: the colours of a theme, and the words for bytes and for what they cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.growth.savings import Prices
from core.growth.words import amount
from core.text import human_bytes
from dashboard.charts.palette import LIGHT_INK, Ink


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours and words."""

    ink: Ink = LIGHT_INK
    prices: Prices | None = None
    currency: str = ""

    def say(self, size: float, *, cold: bool = False) -> str:
        """Bytes, and where prices are set what they cost a month."""
        paid = self.paid(size, cold=cold)
        return human_bytes(round(size)) + (f" ({paid} a month)" if paid else "")

    def says(self, sizes: Iterable[float], *, cold: bool = False) -> list[str]:
        """The same of each."""
        return [self.say(size, cold=cold) for size in sizes]

    def paid(self, size: float, *, cold: bool = False) -> str:
        """What so many bytes cost a month; empty without prices."""
        if self.prices is None:
            return ""
        money = self.prices.of(0, size) if cold else self.prices.of(size)
        return amount(money, self.currency)
