"""A treemap: rectangles as large as what they stand for, those of one table side by side, and what is small in one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDE = 2.4
"""How many times wider than high the picture is taken to be."""
MOST = 160
"""So many rectangles at most, so that each can be made out."""
OF_A_TABLE = 40
"""And so many of one table, where there are several."""
LEAST = 0.0015
"""What is a smaller part of the whole is taken together with its like."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One rectangle to be: a partition, or several small ones of a table."""

    table: str
    label: str
    kind: str
    """What its colour tells."""
    size: float
    count: int = 1
    """How many partitions it stands for."""
    short: str = ""
    """What a person calls it, where that is shorter: 2026."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A leaf with its place, from 0 to 1 both ways; y grows downwards."""

    leaf: Leaf
    x: float
    y: float
    x2: float
    y2: float


def gathered(leaves: Sequence[Leaf]) -> list[Leaf]:
    """The same bytes in at most some MOST leaves: of each table the largest, the others as one for each kind."""
    shown = [leaf for leaf in leaves if leaf.size > 0]
    whole = sum(leaf.size for leaf in shown)
    tables = _largest_tables(shown)
    each = MOST if len(tables) <= 1 else max(1, min(OF_A_TABLE, MOST // len(tables)))
    found: list[Leaf] = []
    small: dict[tuple[str, str], list[Leaf]] = {}
    taken: dict[str, int] = {}
    for leaf in sorted(shown, key=lambda one: (-one.size, one.table, one.label)):
        alone = leaf.table in tables and taken.get(leaf.table, 0) < each and leaf.size >= LEAST * whole
        if alone:
            taken[leaf.table] = taken.get(leaf.table, 0) + 1
            found.append(leaf)
        else:
            small.setdefault((leaf.table if leaf.table in tables else "", leaf.kind), []).append(leaf)
    for (table, kind), group in small.items():
        if len(group) == 1:
            found.append(group[0])
            continue
        number = sum(leaf.count for leaf in group)
        others = len({leaf.table for leaf in group})
        where = table or f"{others:,} smaller tables"
        found.append(Leaf(where, f"{number:,} smaller", kind, sum(leaf.size for leaf in group), number))
    return found


def _largest_tables(leaves: Sequence[Leaf]) -> set[str]:
    sizes: dict[str, float] = {}
    for leaf in leaves:
        sizes[leaf.table] = sizes.get(leaf.table, 0.0) + leaf.size
    return set(sorted(sizes, key=lambda table: (-sizes[table], table))[: MOST // 4])


def tiles(leaves: Sequence[Leaf], wide: float = WIDE) -> list[Tile]:
    """Where each leaf lies: the tables side by side, the leaves of each within it, the largest first."""
    by_table: dict[str, list[Leaf]] = {}
    for leaf in leaves:
        by_table.setdefault(leaf.table, []).append(leaf)
    tables = sorted(by_table.values(), key=lambda group: (-sum(leaf.size for leaf in group), group[0].table))
    found = []
    outer = squarified([sum(leaf.size for leaf in group) for group in tables], (0.0, 0.0, wide, 1.0))
    for group, box in zip(tables, outer, strict=True):
        group.sort(key=lambda leaf: (leaf.count > 1, -leaf.size, leaf.label))
        for leaf, (x, y, x2, y2) in zip(group, squarified([leaf.size for leaf in group], box), strict=True):
            found.append(Tile(leaf, x / wide, y, x2 / wide, y2))
    return found


Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def squarified(sizes: Sequence[float], box: Box) -> list[Box]:
    """Boxes of those areas, in that order, that fill the box and are nearly square (Bruls, Huizing, van Wijk 2000)."""
    left, top, right, bottom = box
    whole = sum(sizes)
    scale = (right - left) * (bottom - top) / whole if whole > 0 else 0.0
    found: list[Box] = []
    start = 0
    while start < len(sizes):
        side = min(right - left, bottom - top)
        end = start + 1
        while end < len(sizes) and _worst(sizes[start : end + 1], side, scale) <= _worst(sizes[start:end], side, scale):
            end += 1
        row = [size * scale for size in sizes[start:end]]
        depth = sum(row) / side if side > 0 else 0.0
        at = 0.0
        for area in row:
            length = area / depth if depth > 0 else 0.0
            if right - left >= bottom - top:
                found.append((left, top + at, left + depth, top + at + length))
            else:
                found.append((left + at, top, left + at + length, top + depth))
            at += length
        if right - left >= bottom - top:
            left += depth
        else:
            top += depth
        start = end
    return found


def _worst(sizes: Sequence[float], side: float, scale: float) -> float:
    """The longest shape in a row: 1 for squares."""
    areas = [size * scale for size in sizes]
    total = sum(areas)
    if total <= 0 or side <= 0 or min(areas) <= 0:
        return float("inf")
    return max(side**2 * max(areas) / total**2, total**2 / (side**2 * min(areas)))
