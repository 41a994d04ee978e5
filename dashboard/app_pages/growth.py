"""Growth: how much is stored, how fast it grows, when it hurts, and what archiving saved and would save next."""

from __future__ import annotations

import streamlit as st

from core.growth import words as growth_words
from core.growth.read import Growth
from core.text import human_date, plural
from dashboard import layout
from dashboard.charts.downloads import report, show
from dashboard.format import plain
from dashboard.growth import cards as growth_cards
from dashboard.growth import charts as growth_charts
from dashboard.growth import figures as growth_figures
from dashboard.growth import filters as growth_filters
from dashboard.state import current, database, reads


def counted(growth: Growth) -> str:
    """One line of what the figures stand on."""
    what = f"**{plain(growth.table)}**" if growth.table else f"**All tables of {plain(growth.database)}**"
    timed = any(item.lower or item.upper for item in growth.items)
    parts = f"{what} · {plural(len(growth.items), 'partition')}{' (slices of time)' if timed else ''}"
    last = growth.last_sample
    if growth.derived or last is None:
        sampled = (
            f"sampled on {plural(growth.sampled_days, 'day')} so far" if growth.sampled_days else "nothing sampled yet"
        )
        return f"{parts} · {sampled}: derived from the data"
    first = growth_charts.first_day(growth.history)
    days = plural(len(growth.history), "day")
    invented = growth.history.generated_until
    demo = f" · invented for the demo up to {human_date(invented)}" if invented else ""
    return f"{parts} · sampled on {days} since {human_date(first)}, last on {human_date(last.day)}{demo}"


def first_visit(growth: Growth) -> None:
    """That nothing or too little was measured yet, what the figures are instead, and what to do."""
    if not growth.derived:
        return
    by_itself = (
        " Sizes are sampled once a day while this dashboard runs; where it doesn't run every day, let cron do it:"
    )
    by_cron = " Let cron sample sizes once a day:"
    st.info(
        f"**These figures are derived.** {plain(growth.why_derived)} {plain(growth.history.how)}"
        f"{by_itself if database.desk().settings.sample_daily else by_cron}",
        icon=":material/calculate:",
    )
    st.code("0 4 * * *  partitions sample", language="bash")


def cards(row: tuple[growth_cards.Card, ...]) -> None:
    """Some figures in a row."""
    with st.grid(min(4, len(row)), gap="small", min_column_width=190):
        for card in row:
            layout.card(card.label, card.value, card.note, help=card.help, colour="red" if card.urgent else "gray")


def honestly(growth: Growth) -> None:
    """What was not measured, how good the forecast is, and how each figure came about."""
    with st.container(border=True, gap="small"):
        layout.heading("How sure is this", growth_words.trust(growth))
        for note in dict.fromkeys((*growth.notes, *growth.forecast.verdict.notes)):
            st.markdown(f"- {plain(note)}")


def main() -> None:
    """The page."""
    current.table()  # where there is none the page says so, and asks for nothing
    title, filters = st.container(gap=None), st.container(horizontal=True, vertical_alignment="bottom", gap="small")
    with filters:
        chosen = growth_filters.draw()
    growth = reads.growth(chosen.table, horizon=chosen.horizon, limit=chosen.limit, prices=chosen.prices,
                            retention=chosen.retention)  # fmt: skip
    with title:
        layout.header(plain(growth_words.stands(growth)), read=growth.as_of)
        reached = growth_words.reached(growth, chosen.horizon)
        if reached:
            st.markdown(f"**{plain(reached[0].upper() + reached[1:])}.**")
        st.caption(counted(growth))
    with filters:
        report(growth)
    first_visit(growth)

    cards(growth_cards.cards(growth, chosen.horizon))
    source = f"{growth.database}: {growth_filters.told(chosen)}; {human_date(growth.today)}. Partition Desk."
    drawn = growth_figures.figures(growth, chosen.horizon)
    show(drawn["ahead"], source)
    show(drawn["stored"], source)
    cards((*growth_cards.further(growth), *growth_cards.costs(growth)))
    smaller = [
        *(("months", "periods") if growth.months else ("periods",)),
        *(("growers",) if len(growth.growers) > 1 else ("month_rows",)),
        "made_of", "savings", "leaving",
    ]  # fmt: skip
    if len(smaller) % 2:
        smaller.remove("made_of")
        show(drawn["made_of"], source)
    for place in range(0, len(smaller), 2):
        with st.grid(2, gap="small", min_column_width=330):
            for key in smaller[place : place + 2]:
                show(drawn[key], source)
    show(drawn["partitions"], source)
    if growth.calendar is not None:
        show(drawn["calendar"], source)
    honestly(growth)


main()
