"""What was measured, as tables for a terminal or for README.md, and what was to be reached."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """Something that was to be reached, the figure that was measured, and whether it suffices."""

    what: str
    figure: str
    reached: bool

    @property
    def verdict(self) -> str:
        return "reached" if self.reached else "not reached"


@dataclass(frozen=True, slots=True)
class Table:
    """One comparison: the first column names the ways, the others have units in their heads."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()

    def plain(self) -> str:
        """Aligned columns: the first to the left, figures to the right."""
        lines = [self.title, "", *_aligned(self.head, self.rows), ""]
        lines += [f"  {note}" for note in self.notes]
        lines += [f"  {_plain_target(target)}" for target in self.targets]
        return "\n".join(lines)

    def markdown(self) -> str:
        """The same for README.md."""
        rule = ("---", *("---:" for _ in self.head[1:]))
        lines = [f"**{self.title}**", "", *(f"| {' | '.join(row)} |" for row in (self.head, rule, *self.rows)), ""]
        lines += [f"* {note}" for note in self.notes]
        lines += [f"* {_plain_target(target)}" for target in self.targets]
        return "\n".join(lines)


def _plain_target(target: Target) -> str:
    return f"{target.verdict}: {target.what} ({target.figure})"


def _aligned(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    written = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return [f"  {line.rstrip()}" for line in (written[0], "  ".join("-" * width for width in widths), *written[1:])]


def ms(value: float) -> str:
    """Milliseconds with as many digits as mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def times(by_hand: float, ours: float) -> str:
    """How many times shorter ours is."""
    ratio = by_hand / ours
    return f"{ratio:,.0f}x" if ratio >= 10 else f"{ratio:.1f}x"
