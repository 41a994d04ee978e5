"""The colours that mean the same on every page, in both themes, and what all charts have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import streamlit as st

from dashboard.format import Item, Shown

Chart = alt.Chart | alt.LayerChart | alt.FacetChart

COLOURS: dict[Shown, str] = {
    Shown.ATTACHED: "#2f6fed",
    Shown.DUE: "#d97706",
    Shown.AHEAD: "#9dc0ff",
    Shown.ARCHIVED: "#8a94a6",
    Shown.BACKED_UP: "#7fb3a8",
    Shown.VERIFIED: "#2b9a66",
    Shown.DROPPED: "#8a94a6",
    Shown.PENDING: "#9333ea",
    Shown.BUSY: "#2f6fed",
    Shown.MISSING: "#d64545",
}
OUTLINED = {Shown.BUSY: [1, 0], Shown.MISSING: [4, 3], Shown.DROPPED: [3, 2]}
"""States that are drawn as an outline, with the dash of its line."""
DARK_LABEL = (Shown.DUE, Shown.AHEAD, Shown.ARCHIVED, Shown.BACKED_UP, Shown.VERIFIED)
"""Filled states whose colour takes dark text."""
DARK = "#0d1524"


@dataclass(frozen=True, slots=True)
class Ink:
    """The colours that follow the theme."""

    axis: str
    text: str
    grid: str
    ground: str
    today: str
    missing: str
    tints: dict[Shown, str]
    """The fill of what is drawn as an outline."""


LIGHT_INK = Ink(
    axis="#4a5568",
    text=DARK,
    grid="#dde3ec",
    ground="#ffffff",
    today="#c22f2f",
    missing="#a32222",
    tints={Shown.BUSY: "#e6efff", Shown.MISSING: "#fdf1f1", Shown.DROPPED: "#eef1f5"},
)
DARK_INK = Ink(
    axis="#b6c0d1",
    text="#e8ecf4",
    grid="#2b3649",
    ground="#0e1420",
    today="#ff9a9a",
    missing="#ff9a9a",
    tints={Shown.BUSY: "#172b52", Shown.MISSING: "#2b1418", Shown.DROPPED: "#263042"},
)


def ink() -> Ink:
    """The colours of the theme that the page is shown in."""
    return DARK_INK if st.context.theme.type == "dark" else LIGHT_INK


def styled(chart: Chart, height: int | alt.Step, colours: Ink | None = None) -> Chart:
    """A chart with the page's font and colours, or those given, and no more space around it than it needs."""
    colours = colours or ink()
    made: Chart = (
        chart.properties(
            height=height,
            width="container",
            background="transparent",
            padding={"left": 2, "right": 8, "top": 2, "bottom": 2},
        )
        .configure(font='"Source Sans", sans-serif')
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=colours.axis,
            titleColor=colours.axis,
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            gridColor=colours.grid,
            tickColor=colours.grid,
            domain=False,
        )
        .configure_legend(
            orient="top",
            title=None,
            labelColor=colours.axis,
            labelFontSize=13,
            symbolType="square",
            symbolSize=110,
            symbolStrokeWidth=1.5,
            offset=8,
            columnPadding=14,
        )
    )
    return made


def label_ink(state: Shown, ink: Ink) -> str:
    """The colour of words on a bar of that state."""
    if state in OUTLINED:
        return ink.missing if state is Shown.MISSING else ink.text
    return DARK if state in DARK_LABEL else "#ffffff"


@dataclass(frozen=True, slots=True)
class States:
    """The encodings of the states that a chart shows, merged into one legend: colour, outline, dash."""

    fill: alt.Fill
    stroke: alt.Stroke
    dash: alt.StrokeDash


def states(shown: Sequence[Item]) -> States:
    """The encodings for the states that are among the items."""
    present = [state for state in Shown if any(item.state is state for item in shown)]
    domain = [str(state) for state in present]
    colours = [COLOURS[state] for state in present]
    fills = [ink().tints.get(state, COLOURS[state]) for state in present]
    dashes = [OUTLINED.get(state, [1, 0]) for state in present]
    return States(
        fill=alt.Fill("state:N", scale=alt.Scale(domain=domain, range=fills)),
        stroke=alt.Stroke("state:N", scale=alt.Scale(domain=domain, range=colours)),
        dash=alt.StrokeDash("state:N", scale=alt.Scale(domain=domain, range=dashes)),
    )
