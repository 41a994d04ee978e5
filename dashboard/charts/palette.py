"""The colours that mean the same on every page, in both themes, and what all charts have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import streamlit as st

from dashboard.partitions.items import Item, Status

Chart = alt.Chart | alt.LayerChart | alt.FacetChart

COLOURS: dict[Status, str] = {
    Status.ATTACHED: "#2f6fed",
    Status.DUE: "#d97706",
    Status.AHEAD: "#9dc0ff",
    Status.ARCHIVED: "#8a94a6",
    Status.BACKED_UP: "#7fb3a8",
    Status.VERIFIED: "#2b9a66",
    Status.DROPPED: "#8a94a6",
    Status.PENDING: "#9333ea",
    Status.BUSY: "#2f6fed",
    Status.MISSING: "#d64545",
    Status.CAUGHT: "#0d9488",
}
OUTLINED = {Status.BUSY: [1, 0], Status.MISSING: [4, 3], Status.DROPPED: [3, 2], Status.CAUGHT: [2, 2]}
"""States that are drawn as an outline, with the dash of its line."""
DARK_LABEL = (Status.DUE, Status.AHEAD, Status.ARCHIVED, Status.BACKED_UP, Status.VERIFIED)
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
    tints: dict[Status, str]
    """The fill of what is drawn as an outline."""


LIGHT_INK = Ink(
    axis="#4a5568",
    text=DARK,
    grid="#dde3ec",
    ground="#ffffff",
    today="#c22f2f",
    missing="#a32222",
    tints={Status.BUSY: "#e6efff", Status.MISSING: "#fdf1f1", Status.DROPPED: "#eef1f5", Status.CAUGHT: "#e3f4f2"},
)
DARK_INK = Ink(
    axis="#b6c0d1",
    text="#e8ecf4",
    grid="#2b3649",
    ground="#0e1420",
    today="#ff9a9a",
    missing="#ff9a9a",
    tints={Status.BUSY: "#172b52", Status.MISSING: "#2b1418", Status.DROPPED: "#263042", Status.CAUGHT: "#0f2a2c"},
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
            columnPadding=8,
            columns=alt.ExprRef("width < 460 ? 2 : 4"),
        )
    )
    return made


def label_ink(state: Status, ink: Ink) -> str:
    """The colour of words on a bar of that state."""
    if state in OUTLINED:
        return ink.missing if state is Status.MISSING else ink.text
    return DARK if state in DARK_LABEL else "#ffffff"


STRIPES = 9
"""Across each stretch that the DEFAULT takes, so that it is told by more than its colour."""


def hatched(colours: Ink) -> alt.LinearGradient:
    """The fill of what goes to the DEFAULT."""
    pair = (colours.tints[Status.CAUGHT], COLOURS[Status.CAUGHT])
    stops = [
        alt.GradientStop(color=pair[stripe % 2], offset=edge / STRIPES)
        for stripe in range(STRIPES)
        for edge in (stripe, stripe + 1)
    ]
    return alt.LinearGradient(gradient="linear", stops=stops, x1=0, y1=0, x2=1, y2=1)


@dataclass(frozen=True, slots=True)
class States:
    """The encodings of the states that a chart shows, merged into one legend: colour, outline, dash."""

    fill: alt.Fill
    stroke: alt.Stroke
    dash: alt.StrokeDash


def states(shown: Sequence[Item]) -> States:
    """The encodings for the states that are among the items."""
    present = [state for state in Status if any(item.status is state for item in shown)]
    domain = [str(state) for state in present]
    colours = [COLOURS[state] for state in present]
    fills = [ink().tints.get(state, COLOURS[state]) for state in present]
    dashes = [OUTLINED.get(state, [1, 0]) for state in present]
    return States(
        fill=alt.Fill("state:N", scale=alt.Scale(domain=domain, range=fills)),
        stroke=alt.Stroke("state:N", scale=alt.Scale(domain=domain, range=colours)),
        dash=alt.StrokeDash("state:N", scale=alt.Scale(domain=domain, range=dashes)),
    )
