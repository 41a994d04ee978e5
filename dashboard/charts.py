"""The charts, in the colours that mean the same on every page and with words beside every colour."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import altair as alt
import pandas as pd
import streamlit as st

from core.text import human_bytes, human_rows
from dashboard.format import Item, Shown

COLOURS: dict[Shown, str] = {
    Shown.ATTACHED: "#2f6fed",
    Shown.DUE: "#d97706",
    Shown.AHEAD: "#9dc0ff",
    Shown.ARCHIVED: "#8a94a6",
    Shown.PENDING: "#9333ea",
    Shown.BUSY: "#5b7fbf",
    Shown.MISSING: "#d64545",
}
DARK_LABEL = (Shown.DUE, Shown.AHEAD, Shown.ARCHIVED)
"""States whose colour takes dark text."""
SIZES = {"rows": "#2f6fed", "indexes": "#7fb3a8", "large values": "#c9a0dc"}
MIB = 1024 * 1024
Chart = alt.Chart | alt.LayerChart | alt.FacetChart


def _ink() -> str:
    """The colour of axis labels, readable on the page's ground."""
    return "#b6c0d1" if st.context.theme.type == "dark" else "#4a5568"


def _today_colour() -> str:
    return "#ff9a9a" if st.context.theme.type == "dark" else "#a32222"


def _utc(day: date) -> pd.Timestamp:
    return pd.Timestamp(day.isoformat(), tz="UTC")


def strip_frame(items: Sequence[Item]) -> pd.DataFrame:
    """One row an item with two ends: label, state, lower, upper, middle (UTC), and what the tooltip says."""
    known = [item for item in items if item.lower is not None and item.upper is not None]
    return pd.DataFrame(
        {
            "label": [item.label for item in known],
            "state": [str(item.state) for item in known],
            "lower": [_utc(item.lower) for item in known if item.lower],
            "upper": [_utc(item.upper) for item in known if item.upper],
            "middle": [_utc(i.lower) + (_utc(i.upper) - _utc(i.lower)) / 2 for i in known if i.lower and i.upper],
            "Where": [item.name or "no partition" for item in known],
            "Range": [item.bounds for item in known],
            "Rows": [f"about {human_rows(item.rows)}" if item.rows is not None else "unknown" for item in known],
            "Size": [human_bytes(item.total) if item.known else "busy, not read" for item in known],
        }
    )


def coverage(items: Sequence[Item], today: date) -> Chart | None:
    """Which dates have a partition and where it is; None where nothing has two ends."""
    frame = strip_frame(items)
    if frame.empty:
        return None
    present = [state for state in Shown if (frame["state"] == str(state)).any()]
    scale = alt.Scale(domain=[str(s) for s in present], range=[COLOURS[s] for s in present])
    first, last = min(frame["lower"].min(), _utc(today)), max(frame["upper"].max(), _utc(today))
    x = alt.X("lower:T", title=None, scale=alt.Scale(type="utc", domain=[_iso(first), _iso(last)], nice=False))
    axis = alt.Axis(
        labelColor=_ink(), labelFontSize=12, tickColor=_ink(), domain=False, grid=False, labelOverlap=True,
        labelFlush=True, **({"values": _years(first, last)} if _whole_years(frame) else {}), format=_tick(frame),
    )  # fmt: skip
    base = alt.Chart(frame)
    hollow = f"datum.state === '{Shown.MISSING}'"
    tooltip = ["label:N", alt.Tooltip("state:N", title="State"), "Where:N", "Range:N", "Rows:N", "Size:N"]
    bars = base.mark_bar(height=38, cornerRadius=4, strokeWidth=1.5).encode(
        x=x.axis(axis),
        x2="upper:T",
        color=alt.Color("state:N", scale=scale, legend=_legend()),
        fillOpacity=alt.condition(hollow, alt.value(0.08), alt.value(1)),
        stroke=alt.condition(hollow, alt.value(COLOURS[Shown.MISSING]), alt.value("transparent")),
        strokeDash=alt.condition(hollow, alt.value([4, 3]), alt.value([1, 0])),
        tooltip=tooltip,
    )
    layers: list[alt.Chart] = [bars]
    if len(frame) <= 16:
        dark = " || ".join(f"datum.state === '{state}'" for state in (*DARK_LABEL, Shown.MISSING))
        missing = alt.value("#0d1524")
        layers.append(
            base.mark_text(fontSize=12, fontWeight=600, limit=90).encode(
                x=alt.X("middle:T"), text="label:N", color=alt.condition(dark, missing, alt.value("#ffffff"))
            )
        )
    now = pd.DataFrame({"today": [_utc(today)], "word": ["today"]})
    rule = alt.Chart(now).mark_rule(color=_today_colour(), strokeWidth=2.5).encode(x="today:T")
    word = alt.Chart(now).mark_text(
        color=_today_colour(), fontSize=12, fontWeight=600, dy=-34, align="right" if len(frame) else "left", dx=-4
    ).encode(x="today:T", text="word:N")  # fmt: skip
    return alt.layer(*layers, rule, word).properties(height=104)


def _iso(moment: pd.Timestamp) -> dict[str, int | bool]:
    return {"year": moment.year, "month": moment.month, "date": moment.day, "utc": True}


def _whole_years(frame: pd.DataFrame) -> bool:
    starts = frame["lower"]
    return bool(((starts.dt.month == 1) & (starts.dt.day == 1)).all()) and len(frame) <= 40


def _years(first: pd.Timestamp, last: pd.Timestamp) -> list[dict[str, int | bool]]:
    return [{"year": year, "month": 1, "date": 1, "utc": True} for year in range(first.year, last.year + 1)]


def _tick(frame: pd.DataFrame) -> str:
    return "%Y" if _whole_years(frame) else "%b %Y"


def _legend(columns: int = 0) -> alt.Legend:
    return alt.Legend(
        orient="top", title=None, labelColor=_ink(), labelFontSize=13, symbolType="square", columns=columns, offset=6
    )


def sizes(items: Sequence[Item]) -> Chart:
    """Bytes of each partition, split into rows, indexes and large values, as stacked bars."""
    rows = [
        {"label": item.label, "order": number, "part": part, "MiB": size / MIB, "Size": human_bytes(size),
         "Whole": human_bytes(item.total), "Table": item.name, "State": str(item.state), "stack": place}
        for number, item in enumerate(items)
        if item.name
        for place, (part, size) in enumerate(
            (("rows", item.heap), ("indexes", item.index), ("large values", item.toast))
        )
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["label", "order", "part", "MiB", "Size", "Whole", "Table", "State", "stack"])
    return (
        alt.Chart(frame)
        .mark_bar(cornerRadius=2)
        .encode(
            y=_partition_axis(),
            x=alt.X("MiB:Q", title="MiB", axis=alt.Axis(labelColor=_ink(), titleColor=_ink(), tickCount=5)),
            color=alt.Color(
                "part:N", scale=alt.Scale(domain=list(SIZES), range=list(SIZES.values())), legend=_legend()
            ),
            order=alt.Order("stack:Q"),
            tooltip=["Table:N", "State:N", alt.Tooltip("part:N", title="Part"), "Size:N", "Whole:N"],
        )
        .properties(height=alt.Step(22))
    )


def rows(items: Sequence[Item]) -> Chart:
    """The planner's estimate of rows in each partition, in the colour of its state."""
    known = [item for item in items if item.name]
    frame = pd.DataFrame(
        {
            "label": [item.label for item in known],
            "order": list(range(len(known))),
            "rows": [item.rows or 0 for item in known],
            "Rows": [
                f"about {human_rows(item.rows)}" if item.rows is not None else "not counted yet" for item in known
            ],
            "Table": [item.name for item in known],
            "state": [str(item.state) for item in known],
        }
    )
    present = [state for state in Shown if state in {item.state for item in known}]
    scale = alt.Scale(domain=[str(s) for s in present], range=[COLOURS[s] for s in present])
    return (
        alt.Chart(frame)
        .mark_bar(cornerRadius=2)
        .encode(
            y=_partition_axis(),
            x=alt.X(
                "rows:Q",
                title="rows (estimate)",
                axis=alt.Axis(labelColor=_ink(), titleColor=_ink(), tickCount=5, format="~s"),
            ),
            color=alt.Color("state:N", scale=scale, legend=_legend()),
            tooltip=["Table:N", alt.Tooltip("state:N", title="State"), "Rows:N"],
        )
        .properties(height=alt.Step(22))
    )


def _partition_axis() -> alt.Y:
    return alt.Y(
        "label:N",
        sort=alt.EncodingSortField("order"),
        title=None,
        axis=alt.Axis(labelColor=_ink(), labelFontSize=12, labelLimit=180, labelOverlap=False),
    )


def timeline(items: Sequence[Item], today: date) -> Chart | None:
    """The bounds of each partition on its own line, to see overlaps and gaps."""
    frame = strip_frame(items)
    if frame.empty:
        return None
    frame["order"] = range(len(frame))
    present = [state for state in Shown if (frame["state"] == str(state)).any()]
    scale = alt.Scale(domain=[str(s) for s in present], range=[COLOURS[s] for s in present])
    axis = alt.Axis(labelColor=_ink(), labelOverlap=True, format=_tick(frame), gridOpacity=0.5)
    bars = (
        alt.Chart(frame)
        .mark_bar(cornerRadius=3, height=14)
        .encode(
            x=alt.X("lower:T", title=None, scale=alt.Scale(type="utc"), axis=axis),
            x2="upper:T",
            y=_partition_axis(),
            color=alt.Color("state:N", scale=scale, legend=_legend()),
            tooltip=["label:N", alt.Tooltip("state:N", title="State"), "Where:N", "Range:N", "Rows:N", "Size:N"],
        )
    )
    now = pd.DataFrame({"today": [_utc(today)]})
    rule = alt.Chart(now).mark_rule(color=_today_colour(), strokeWidth=2).encode(x="today:T")
    return alt.layer(bars, rule).properties(height=alt.Step(22))
