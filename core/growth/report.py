"""The report on growth for a meeting: one HTML page that needs nothing beside it and prints on one sheet of A4."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from core.growth import pictures
from core.growth.history import Change
from core.growth.read import Growth
from core.growth.series import day_of
from core.growth.words import (
    due_words,
    ends,
    how_words,
    in_archive,
    leads,
    limit_size,
    limit_words,
    money_words,
    month_of,
    removed_words,
    saved_words,
    sentence,
    share_words,
    signed,
    signed_percent,
    spread_words,
    subject,
    trust,
    year_words,
)
from core.text import human_bytes, human_date, human_time

MOST_NOTES = 6
NOTE_LETTERS = 190
TITLE_LETTERS = 70
DENSE_LETTERS = 1200
"""So much has room on the page."""


@dataclass(frozen=True, slots=True)
class Headline:
    """One figure at the top, with a word beside it and one below."""

    title: str
    figure: str
    beside: str
    below: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture with its heading and caption."""

    title: str
    drawing: str
    """SVG of our own making, which goes into the page as it is; empty where there is nothing to show."""
    caption: str


def report_html(growth: Growth, *, place: str, made_at: datetime) -> str:
    """The whole page. `place` says which database it is, without a password."""
    limit = limit_words(growth)
    words = (
        leads(growth) if limit else "",
        saved_words(growth),
        due_words(growth),
        year_words(growth),
        share_words(growth),
    )
    return _template().render(
        title=f"Storage growth: {subject(growth)}",
        title_letters=TITLE_LETTERS,
        where=f"{place}, {human_date(growth.today)}",
        lead=limit or leads(growth),
        cards=_cards(growth),
        total=Picture("On the server", pictures.on_server(growth), _total_caption(growth)),
        thirds=(
            Picture("Written, by month", pictures.by_month(growth), _monthly_caption(growth)),
            Picture("Archived and freed, by quarter", pictures.by_quarter(growth), _saved_caption(growth)),
            Picture(f"Stored, by {growth.period} of its dates", pictures.by_period(growth), _periods_caption(growth)),
        ),
        words=[word for word in words if word],
        how=(*how_words(growth), sentence(trust(growth)), *_notes(growth)),
        dense_letters=DENSE_LETTERS,
        made_at=human_time(made_at),
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    made = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    return made.from_string((files("core.growth") / "report.html.jinja").read_text(encoding="utf-8"))


def _notes(growth: Growth) -> list[str]:
    notes = [_cut(note) for note in (*growth.notes, *growth.forecast.verdict.notes)]
    if len(notes) <= MOST_NOTES:
        return notes
    more = len(notes) - MOST_NOTES
    return [*notes[:MOST_NOTES], f"{more} more {'remark' if more == 1 else 'remarks'}: partitions growth tells."]


def _cut(words: str) -> str:
    return words if len(words) <= NOTE_LETTERS else f"{words[: NOTE_LETTERS - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}"


# The figures at the top -------------------------------------------------------------------------------------------


def _cards(growth: Growth) -> tuple[Headline, ...]:
    month, year = growth.change_30, growth.change_365
    now = Headline(
        "Stored now",
        human_bytes(growth.server),
        money_words(growth, growth.money(growth.server, growth.cold or 0)),
        f"{human_bytes(growth.attached)} in use, {in_archive(growth)} archived"
        + (f"; {human_bytes(growth.cold)} of backups elsewhere" if growth.cold else ""),
    )
    grown = (
        _change("In 30 days", month)
        if month
        else Headline("In 30 days", "unknown", "", "nothing was measured 30 days ago")
    )
    if year is None:
        return now, grown, _ahead(growth), _gone(growth)
    return now, grown, _change("In 365 days", year), _ahead(growth)


def _change(title: str, change: Change) -> Headline:
    return Headline(title, signed(change.added), signed_percent(change.share), f"since {human_date(change.since)}")


def _ahead(growth: Growth) -> Headline:
    if not growth.forecast.possible:
        return Headline("In a year", "unknown", "", "too little is known for a forecast")
    low, expected, high = ends(growth.outlook.kept)
    return Headline(
        f"On {human_date(day_of(growth.outlook.days[-1]))}",
        human_bytes(expected),
        money_words(growth, growth.money(expected)),
        f"{spread_words(low, high)}{removed_words(growth)}".lstrip(",; "),
    )


def _gone(growth: Growth) -> Headline:
    return Headline(
        "Freed so far",
        human_bytes(growth.freed_total),
        money_words(growth, growth.money(growth.freed_total)),
        f"{human_bytes(growth.archived_total)} went to the archive",
    )


# What the pictures show -------------------------------------------------------------------------------------------


def _total_caption(growth: Growth) -> str:
    if growth.derived:
        past = "Past: derived from the partitions as they are now, a point for each; what was dropped is missing."
    else:
        past = "Past, measured: pale blue is in use, grey is archived on the same server."
    if not growth.forecast.possible:
        return f"{past} {growth.forecast.verdict.notes[0]}"
    stays = ", if everything stays" if growth.outlook.frees else ""
    removed = " Dashed: if old data is removed." if growth.outlook.frees else ""
    beyond = growth.limit and not pictures.drawn_limit(growth)
    limit = f" The limit of {limit_size(growth.limit or 0)} lies far above." if beyond else ""
    return (
        f"{past} Ahead: expected{stays}; the band is where it most likely leads, as tried on the past.{removed}{limit}"
    )


def _monthly_caption(growth: Growth) -> str:
    if not growth.months:
        return "Sizes have to be sampled over months for this."
    first, last = month_of(growth.months[-pictures.BARS :][0].first), month_of(growth.months[-1].first)
    years = last if first == last else f"{first} to {last}"
    how = "Derived from the partitions" if growth.derived else "From daily samples"
    return f"{how}, {years}; pale: the month is not whole. Archiving takes nothing off."


def _saved_caption(growth: Growth) -> str:
    if not growth.savings:
        return "Nothing was archived or dropped so far, as far as anything tells."
    return (
        "Grey: left its table for the archive, on the same server. Blue: left the server. Told by samples and tables."
    )


def _periods_caption(growth: Growth) -> str:
    return "Present size of the partitions for these dates, archived ones too; pale: not over yet."
