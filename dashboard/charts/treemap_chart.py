"""The picture of all partitions at once, drawn from where the treemap puts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from core.text import human_bytes, plural
from dashboard.charts.palette import DARK, Chart, styled
from dashboard.charts.theme import Theme
from dashboard.charts.treemap import Leaf, Tile, gathered, tiles
from dashboard.growth.charts import ARCHIVED, IN_USE, PARTS, coloured

TILE_PX = (1000, 400)
"""The picture's size, to judge which words fit."""


def treemap(leaves: Sequence[Leaf], theme: Theme) -> Chart | None:
    """All partitions as rectangles as large as their bytes; what is small is taken together."""
    placed = tiles(gathered(leaves))
    if not placed:
        return None
    kinds = [kind for kind in (IN_USE, ARCHIVED) if any(tile.leaf.kind == kind for tile in placed)]
    several = len({tile.leaf.table for tile in placed}) > 1
    rows = []
    for tile in placed:
        leaf = tile.leaf
        wide, high = (tile.x2 - tile.x) * TILE_PX[0], (tile.y2 - tile.y) * TILE_PX[1]
        fits = int((wide - 8) / 7)
        called = leaf.short or leaf.label
        names = (f"{leaf.table} · {called}", leaf.table, leaf.table.rpartition(".")[2]) if several else ()
        names = names if several and leaf.count > 1 else (*names[:1], called)
        label = next((name for name in names if len(name) <= fits), "")
        rows.append(
            {
                "x": tile.x, "x2": tile.x2, "y": tile.y, "y2": tile.y2,
                "middle": (tile.x + tile.x2) / 2, "centre": (tile.y + tile.y2) / 2,
                "part": leaf.kind,
                "word": label if high > 16 else "",
                "size": human_bytes(round(leaf.size)) if fits >= 9 and high > 34 else "",
                "ink": "#ffffff" if leaf.kind == IN_USE else DARK,
                "Table": leaf.table,
                "Partition": leaf.label if leaf.count == 1 else f"{plural(leaf.count, 'partition')}, each small",
                "Size": theme.say(leaf.size),
            }
        )  # fmt: skip
    frame = pd.DataFrame(rows)
    unit = alt.Scale(domain=[0, 1], nice=False)
    base = alt.Chart(frame)
    boxes = base.mark_rect(stroke=theme.ink.ground, strokeWidth=1.5).encode(
        x=alt.X("x:Q", scale=unit, axis=None),
        x2="x2:Q",
        y=alt.Y("y:Q", scale=alt.Scale(domain=[1, 0], nice=False), axis=None),
        y2="y2:Q",
        color=coloured(kinds, [PARTS[kind] for kind in kinds]),
        tooltip=[alt.Tooltip(f"{name}:N") for name in ("Table", "Partition", "Size")],
    )
    room = alt.expr("max(1, (datum.x2 - datum.x) * width - 6)")  # the page may be narrower than is judged here
    words = base.encode(x="middle:Q", y="centre:Q", color=alt.Color("ink:N", scale=None))
    return styled(
        alt.layer(
            boxes,
            words.mark_text(fontSize=12, fontWeight=600, dy=-7, aria=False, limit=room).encode(text="word:N"),
            words.mark_text(fontSize=11, dy=8, aria=False, limit=room).encode(text="size:N"),
            *_tables(placed, theme),
        ),
        TILE_PX[1],
        theme.ink,
    )


def _tables(placed: Sequence[Tile], theme: Theme) -> list[alt.Chart]:
    """A line around each table of several, and its name where that fits."""
    by_table: dict[str, list[Tile]] = {}
    for tile in placed:
        by_table.setdefault(tile.leaf.table, []).append(tile)
    if len(by_table) < 2 or len(by_table) == len(placed):
        return []
    rows = []
    for table, group in by_table.items():
        x, y = min(tile.x for tile in group), min(tile.y for tile in group)
        x2, y2 = max(tile.x2 for tile in group), max(tile.y2 for tile in group)
        fits = int(((x2 - x) * TILE_PX[0] - 12) / 7)
        name = next((one for one in (table, table.rpartition(".")[2]) if len(one) <= fits), "")
        tall = (y2 - y) * TILE_PX[1] > 60
        rows.append({"x": x, "x2": x2, "y": y, "y2": y2, "name": name if len(group) > 1 and tall else ""})
    base = alt.Chart(pd.DataFrame(rows)).encode(x="x:Q", y="y:Q")
    line = base.mark_rect(filled=False, stroke=theme.ink.text, strokeWidth=2, aria=False).encode(x2="x2:Q", y2="y2:Q")
    words: dict[str, Any] = {"align": "left", "baseline": "top", "dx": 5, "dy": 5, "fontSize": 12, "fontWeight": 700}
    room = alt.expr("max(1, (datum.x2 - datum.x) * width - 10)")
    ground = base.mark_text(**words, limit=room, aria=False, stroke=theme.ink.ground, strokeWidth=5, strokeJoin="round")
    said = base.mark_text(**words, limit=room, color=theme.ink.text)
    return [line, *(text.encode(text="name:N") for text in (ground, said))]
