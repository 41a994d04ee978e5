"""What a picture is drawn with: the colours of a theme, and the words for bytes and for what they cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.growth.outlook import Money, Prices
from core.text import NBSP, human_bytes
from dashboard.charts.palette import LIGHT_INK, Ink


@dataclass(frozen=True, slots=True)
class Pen:
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
        return self.amount(self.prices.of(0, size) if cold else self.prices.of(size))

    def amount(self, money: Money) -> str:
        """An amount a month in its currency: 0.42 EUR, 1,250 EUR."""
        if 0 < abs(money.month) < 0.01:
            return f"under 0.01{NBSP}{self.currency}"
        digits = 0 if abs(money.month) >= 1000 else 2
        return f"{money.month:,.{digits}f}{NBSP}{self.currency}"


UNITS = tuple((f"{letter}{kind}", base**power) for power, letter in ((5, "P"), (4, "T"), (3, "G"), (2, "M"), (1, "K"))
              for kind, base in (("B", 1000), ("iB", 1024)))  # fmt: skip


def written(size: int) -> str:
    """A size as somebody would have set it: 500 GB, 2 TiB; never rounded."""
    whole = next((unit for unit in UNITS if size % unit[1] == 0), ("bytes", 1))
    return f"{size // whole[1]} {whole[0]}"
