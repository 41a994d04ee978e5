"""A picture with its heading and what can be taken away of it: a table for a spreadsheet, the picture for a meeting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from core.growth.read import Growth
from dashboard import layout
from dashboard.charts import palette
from dashboard.charts.palette import LIGHT_INK, Chart, Ink
from dashboard.format import plain
from dashboard.growth.tables import Table, as_csv
from dashboard.state import clock, database

WIDTH = 1000
"""Pixels of a picture that is taken away, at half the density that a PNG has."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One picture of the page."""

    key: str
    """Of its buttons and its files."""
    title: str
    words: str
    """What it shows, in a few words; not Markdown, as is the note."""
    alt: str
    """What it tells, for who can't see it."""
    draw: Callable[[Ink], Chart | None]
    table: Callable[[], Table]
    note: str = ""
    empty: str = "There is nothing to show yet."


def show(figure: Figure, source: str) -> None:
    """The picture in a card; `source` names date and database, for the files."""
    with st.container(border=True, gap="small", height="stretch"):
        layout.heading(figure.title, plain(figure.words))
        chart = figure.draw(palette.ink())
        if chart is not None:
            st.altair_chart(chart, theme=None, alt=f"{figure.title}: {figure.alt}", key=f"chart_{figure.key}")
        with st.container(horizontal=True, vertical_alignment="top", wrap=False):
            with st.container(width="stretch"):
                st.caption(plain(figure.note if chart is not None else figure.empty))
            take(figure, source)


def take(figure: Figure, source: str) -> None:
    """The menu of files; each is made when it is asked for."""
    name = f"growth-{figure.key}"
    with st.popover("Files", icon=":material/download:", type="tertiary", help=f"Take away: {figure.title}"):
        files = (
            ("Table", "CSV", lambda: as_csv(figure.table()), "text/csv", ":material/table:"),
            ("Picture", "PNG", lambda: as_png(figure, source), "image/png", ":material/image:"),
            ("Picture", "SVG", lambda: as_svg(figure, source), "image/svg+xml", ":material/draw:"),
        )
        for what, kind, make, mime, icon in files:
            st.download_button(
                f"{what} ({kind})",
                make,
                f"{name}.{kind.lower()}",
                mime,
                key=f"take_{figure.key}_{kind.lower()}",
                icon=icon,
                on_click="ignore",
                type="tertiary",
            )


def report(growth: Growth) -> None:
    """The button that takes the one-page report away."""
    where, moment = database.desk().address, clock.now()

    def make() -> str:
        from core.growth.report import report_html  # needed by few

        return report_html(growth, place=where, made_at=moment)

    st.download_button(
        "One-page report",
        make,
        f"growth-{growth.today}.html",
        "text/html",
        key="take_report",
        icon=":material/description:",
        on_click="ignore",
        help="HTML that opens anywhere and prints well: with date, database and how each number came about.",
    )


def as_svg(figure: Figure, source: str) -> str:
    """The picture on white with its title and where it is from."""
    import vl_convert  # slow to load, and needed by few

    return str(vl_convert.vegalite_to_svg(_spec(figure, source)))


def as_png(figure: Figure, source: str) -> bytes:
    """The same as pixels, twice as dense as a screen's."""
    import vl_convert

    return bytes(vl_convert.vegalite_to_png(_spec(figure, source), scale=2))


def _spec(figure: Figure, source: str) -> str:
    chart = figure.draw(LIGHT_INK)
    if chart is None:
        return '{"data": {"values": []}, "mark": "text", "title": "There is nothing to show."}'
    title = {
        "text": f"{figure.title}: {figure.words}" if figure.words else figure.title,
        "subtitle": source,
        "anchor": "start",
        "fontSize": 16,
        "subtitleColor": LIGHT_INK.axis,
        "offset": 12,
    }
    made = chart.properties(width=WIDTH, background="#ffffff", padding=16, title=title)
    return str(made.to_json())
