"""The report on growth for a meeting: one HTML page that needs nothing beside it and prints on one sheet of A4."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from html import escape

import numpy as np

from core.growth.read import Growth
from core.growth.savings import Money
from core.growth.series import Days, Floats, day_of
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
from core.period import Period, add_months
from core.text import human_bytes, human_date, human_time

MEASURED_DAYS, DERIVED_DAYS = 730, 8 * 365
"""How much of the past the first chart shows."""
BARS = 14
MOST_NOTES = 6
NOTE_LETTERS = 190
TITLE_LETTERS = 70
DENSE_LETTERS = 1200
"""So much has room on the page."""
LIMIT_SHOWN = 2.5
"""A limit so many times above everything else is told, not drawn: it would flatten the curve."""

BLUE, PALE, GREY, RED, INK, FAINT = "#2f6fed", "#9dc0ff", "#8a94a6", "#c2362b", "#1f2733", "#e3e7ee"

_STYLE = f"""
@page {{ size: A4; margin: 11mm 12mm; }}
* {{ box-sizing: border-box; }}
html {{ color-scheme: light; }}
body {{ margin: 0 auto; padding: 6mm; max-width: 198mm; background: #fff; color: {INK};
  font: 8.6pt/1.36 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, "DejaVu Sans", sans-serif;
  -webkit-print-color-adjust: exact; print-color-adjust: exact; overflow-wrap: anywhere; }}
@media print {{ body {{ padding: 0; max-width: none; }} }}
h1 {{ margin: 0; font-size: 16pt; line-height: 1.2; font-weight: 650; }}
h1.long {{ font-size: 10.5pt; }}
h2 {{ margin: 0 0 0.6mm; font-size: 9.2pt; font-weight: 650; }}
p {{ margin: 0; }}
.where {{ color: #5b6675; }}
.lead {{ margin: 2mm 0 3mm; font-size: 10pt; }}
.cards {{ display: grid; grid-template-columns: repeat(4, 1fr); gap: 3mm; margin-bottom: 3.4mm; }}
.card {{ border: 0.3mm solid {FAINT}; border-radius: 1.6mm; padding: 2mm 2.4mm; }}
.card b {{ display: block; font-size: 13.5pt; line-height: 1.25; font-weight: 650; }}
.card span, figcaption, .how {{ color: #5b6675; font-size: 7.4pt; line-height: 1.32; }}
.card em {{ display: block; font-style: normal; color: #5b6675; font-size: 8pt; }}
figure {{ margin: 0 0 3mm; break-inside: avoid; }}
figure svg {{ display: block; width: 100%; height: auto; }}
.thirds {{ display: grid; grid-template-columns: repeat(3, 1fr); gap: 4mm; }}
.words {{ columns: 2; column-gap: 6mm; margin: 0 0 3mm; padding: 0; list-style: none; }}
.words li {{ break-inside: avoid; margin-bottom: 1.2mm; }}
.how {{ border-top: 0.3mm solid {FAINT}; padding-top: 2mm; }}
.how ul {{ margin: 0; padding: 0; list-style: none; columns: 2; column-gap: 6mm; }}
.how li {{ break-inside: avoid; margin-bottom: 0.8mm; }}
.how p {{ margin-top: 1.2mm; }}
.dense {{ font-size: 6.2pt; line-height: 1.25; }}
.how h2 {{ color: {INK}; font-size: 8.4pt; }}
.nothing {{ color: #5b6675; padding: 4mm 0; }}
text {{ font-family: inherit; fill: #5b6675; paint-order: stroke; stroke: #fff; stroke-width: 2.5px; }}
"""


def report_html(growth: Growth, *, place: str, made_at: datetime) -> str:
    """The whole page. `place` says which database it is, without a password."""
    title = f"Storage growth: {subject(growth)}"
    limit = limit_words(growth)
    words = [
        leads(growth) if limit else "",
        saved_words(growth),
        due_words(growth),
        year_words(growth),
        share_words(growth),
    ]
    how = (*how_words(growth), sentence(trust(growth)), *_notes(growth))
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        f'<h1 class="{"long" if len(title) > TITLE_LETTERS else "short"}">{escape(title)}</h1>',
        f'<p class="where">{escape(place)}, {escape(human_date(growth.today))}</p>',
        f'<p class="lead">{escape(limit or leads(growth))}</p>',
        _cards(growth),
        _figure("On the server", _total(growth), _total_caption(growth)),
        '<div class="thirds">',
        _figure("Written, by month", _monthly(growth), _monthly_caption(growth)),
        _figure("Archived and freed, by quarter", _saved(growth), _saved_caption(growth)),
        _figure(f"Stored, by {growth.period} of its dates", _periods(growth), _periods_caption(growth)),
        "</div>",
        f'<ul class="words">{_list(word for word in words if word)}</ul>',
        f'<div class="how {"dense" if sum(map(len, how)) > DENSE_LETTERS else "short"}">',
        f"<h2>How these figures came about</h2><ul>{_list(how)}</ul>",
        f"<p>Made by Partition Desk on {escape(human_time(made_at))}. Sizes are in units of 1,024:"
        " 1 GiB is 1,024 MiB.</p></div>",
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _list(words: Iterable[str]) -> str:
    return "".join(f"<li>{escape(word)}</li>" for word in words)


def _notes(growth: Growth) -> list[str]:
    notes = [_cut(note) for note in (*growth.notes, *growth.forecast.verdict.notes)]
    if len(notes) <= MOST_NOTES:
        return notes
    more = len(notes) - MOST_NOTES
    return [*notes[:MOST_NOTES], f"{more} more {'remark' if more == 1 else 'remarks'}: partitions growth tells."]


def _cut(words: str) -> str:
    return words if len(words) <= NOTE_LETTERS else f"{words[: NOTE_LETTERS - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}"


# The figures at the top -------------------------------------------------------------------------------------------


def _cards(growth: Growth) -> str:
    month, year = growth.change_30, growth.change_365
    grown = (
        _card("In 30 days", signed(month.added), signed_percent(month.share), f"since {human_date(month.since)}")
        if month
        else _card("In 30 days", "unknown", "", "nothing was measured 30 days ago")
    )
    longer = (
        _card("In 365 days", signed(year.added), signed_percent(year.share), f"since {human_date(year.since)}")
        if year
        else _ahead(growth)
    )
    last = _ahead(growth) if year else _gone(growth)
    now = _card(
        "Stored now",
        human_bytes(growth.server),
        _cost(growth, growth.money(growth.server, growth.cold or 0)),
        f"{human_bytes(growth.attached)} in use, {in_archive(growth)} archived"
        + (f"; {human_bytes(growth.cold)} of backups elsewhere" if growth.cold else ""),
    )
    return f'<div class="cards">{now}{grown}{longer}{last}</div>'


def _ahead(growth: Growth) -> str:
    if not growth.forecast.possible:
        return _card("In a year", "unknown", "", "too little is known for a forecast")
    low, expected, high = ends(growth.outlook.planned)
    return _card(
        f"On {human_date(day_of(growth.outlook.days[-1]))}",
        human_bytes(expected),
        _cost(growth, growth.money(expected)),
        spread_words(low, high).removeprefix(", "),
    )


def _gone(growth: Growth) -> str:
    return _card(
        "Freed so far",
        human_bytes(growth.freed_total),
        _cost(growth, growth.money(growth.freed_total)),
        f"{human_bytes(growth.archived_total)} went to the archive",
    )


def _cost(growth: Growth, money: Money | None) -> str:
    return money_words(growth, money)


def _card(title: str, figure: str, beside: str, below: str) -> str:
    extra = f"<em>{escape(beside)}</em> " if beside else ""
    return f'<div class="card">{escape(title)}<b>{escape(figure)}</b>{extra}<span>{escape(below)}</span></div>'


# Charts -----------------------------------------------------------------------------------------------------------


def _figure(title: str, drawing: str, caption: str) -> str:
    return f"<figure><h2>{escape(title)}</h2>{drawing}<figcaption>{escape(caption)}</figcaption></figure>"


_NOTHING = '<p class="nothing">Nothing to show yet.</p>'


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a chart's values are on its canvas."""

    width: float
    height: float
    left: float
    bottom: float
    low: float
    high: float
    """The least and the greatest value that have a place."""
    top: float = 10.0
    right: float = 8.0

    def y(self, value: float) -> float:
        """How far down a value is."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return round(self.height - self.bottom - share * (self.height - self.bottom - self.top), 1)

    def x(self, share: float) -> float:
        """How far right a part of the whole width is, 0 to 1."""
        return round(self.left + share * (self.width - self.left - self.right), 1)


def _svg(frame: _Frame, label: str, parts: Iterable[str]) -> str:
    inside = "".join(parts)
    size = f'viewBox="0 0 {frame.width:g} {frame.height:g}"'
    return f'<svg {size} role="img" aria-label="{escape(label)}">{inside}</svg>'


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Round sizes from `low` to `high`, multiples of 1, 2 or 5 in a binary unit."""
    if high <= low:
        return [low]
    unit = 1024 ** max(0, math.floor(math.log(max(abs(low), abs(high), 1.0), 1024)))
    steps = (unit * factor * 10**power for power in range(-2, 4) for factor in (1, 2, 5))
    step = next((one for one in steps if (high - low) / one <= most), high - low)
    return [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _scale(frame: _Frame, most: int, size: float) -> list[str]:
    """The lines across with their figures at the left."""
    parts = []
    for tick in _ticks(frame.low, frame.high, most):
        y = frame.y(tick)
        parts.append(f'<line x1="{frame.left}" x2="{frame.width - frame.right}" y1="{y}" y2="{y}" stroke="{FAINT}"/>')
        words = "0" if tick == 0 else ("-" if tick < 0 else "") + human_bytes(round(abs(tick)))
        parts.append(_text(frame.left - 4, y + size / 3, words, size, "end"))
    return parts


def _text(x: float, y: float, words: str, size: float, anchor: str = "start", fill: str = "") -> str:
    colour = f' style="fill:{fill}"' if fill else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" text-anchor="{anchor}"{colour}>{escape(words)}</text>'


def _path(xs: Sequence[float], ys: Sequence[float]) -> str:
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in zip(xs, ys, strict=True))


def _area(xs: Sequence[float], upper: Sequence[float], lower: Sequence[float], fill: str, opacity: float = 1) -> str:
    there = _path(xs, upper)
    back = _path(xs[::-1], lower[::-1])
    return f'<path d="{there}L{back[1:]}Z" fill="{fill}" fill-opacity="{opacity:g}"/>'


def _line(xs: Sequence[float], ys: Sequence[float], colour: str, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="{_path(xs, ys)}" fill="none" stroke="{colour}" stroke-width="1.6"{dashed}/>'


# What is on the server, and will be -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Past:
    days: Days
    attached: Floats
    total: Floats


def _past(growth: Growth) -> _Past:
    """What the first chart shows of the history, thinned to what can be seen."""
    history = growth.history
    since = growth.today - timedelta(days=DERIVED_DAYS if growth.derived else MEASURED_DAYS)
    shown = np.flatnonzero((history.days >= np.datetime64(since, "D")) & (history.days <= np.datetime64(growth.today)))
    if len(shown) > 400:
        shown = np.unique(np.append(shown[:: math.ceil(len(shown) / 400)], shown[-1]))
    return _Past(history.days[shown], history.attached[shown], history.server[shown])


def _total(growth: Growth) -> str:
    past, ahead = _past(growth), growth.outlook
    if not len(past.days):
        return _NOTHING
    first = day_of(past.days[0])
    last = max(growth.today, day_of(ahead.days[-1])) if growth.forecast.possible else growth.today
    limit = _drawn_limit(growth)
    frame = _Frame(720, 215, 58, 22, 0, 1.06 * max(_highest(growth), limit or 0, 1))

    def x(day: date) -> float:
        return frame.x((day - first).days / max(1, (last - first).days))

    xs = [x(day_of(day)) for day in past.days]
    zero = [frame.y(0)] * len(xs)
    attached, total = ([frame.y(float(size)) for size in sizes] for sizes in (past.attached, past.total))
    parts = [*_scale(frame, 5, 9.5), *_calendar(frame, x, first, last)]
    if growth.derived:  # a point a period: what lies between nobody knows
        parts += [_line(xs, total, BLUE, "4 3"), *(f'<circle cx="{a:g}" cy="{b:g}" r="2.4" fill="{BLUE}"/>'
                  for a, b in zip(xs, total, strict=True))]  # fmt: skip
    else:
        parts += [_area(xs, total, attached, GREY, 0.45), _area(xs, attached, zero, PALE), _line(xs, total, BLUE)]
    if growth.forecast.possible:
        parts += _future(growth, frame, x)
    now = x(growth.today)
    parts.append(f'<line x1="{now}" x2="{now}" y1="{frame.top}" y2="{frame.y(0)}" stroke="{INK}" stroke-width="0.7"/>')
    parts.append(_text(now - 4, frame.top + 7, "today", 9.5, "end"))
    if limit:
        y = frame.y(limit)
        parts.append(f'<line x1="{frame.left}" x2="{frame.width - frame.right}" y1="{y}" y2="{y}" stroke="{RED}"/>')
        parts.append(_text(frame.left + 5, y - 3.5, f"limit {limit_size(limit)}", 9.5, fill=RED))
    return _svg(frame, f"Bytes on the server from {first} to {last}", parts)


def _highest(growth: Growth) -> float:
    """The most bytes that the first chart shows, the limit aside."""
    found = [float(growth.server), *_past(growth).total.tolist()]
    if growth.forecast.possible:
        found += [float(growth.outlook.kept.expected.max()), float(growth.outlook.planned.high.max())]
    return float(max(found))


def _drawn_limit(growth: Growth) -> int | None:
    """The limit, where it is not so far above everything that it would flatten the curve."""
    return growth.limit if growth.limit and growth.limit <= LIMIT_SHOWN * _highest(growth) else None


def _future(growth: Growth, frame: _Frame, x: Callable[[date], float]) -> list[str]:
    ahead = growth.outlook
    places = sorted({*range(0, len(ahead.days), 5), len(ahead.days) - 1})
    xs = [x(day_of(ahead.days[place])) for place in places]
    low, expected, high = (
        [frame.y(min(float(curve[place]), frame.high)) for place in places]
        for curve in (ahead.planned.low, ahead.planned.expected, ahead.planned.high)
    )
    parts = [_area(xs, high, low, BLUE, 0.16), _line(xs, expected, BLUE, "5 3")]
    if float(np.max(ahead.kept.expected - ahead.planned.expected)) > 0:
        kept = [frame.y(float(ahead.kept.expected[place])) for place in places]
        parts.append(_line(xs, kept, GREY, "2 3"))
    return parts


def _calendar(frame: _Frame, x: Callable[[date], float], first: date, last: date) -> list[str]:
    """Marks at the beginning of years, and of quarters where there is room."""
    width = Period.YEAR if (last - first).days > 4 * 365 else Period.QUARTER
    parts = []
    for lower, _ in width.cover(width.after(width.containing(first)[0]), last + timedelta(days=1)):
        begins = lower.month == 1
        if x(lower) > frame.width - frame.right - 4:
            continue
        y = frame.y(0)
        parts.append(f'<line x1="{x(lower)}" x2="{x(lower)}" y1="{y}" y2="{y + 4}" stroke="{GREY}"/>')
        parts.append(_text(x(lower), y + 14, f"{lower.year}" if begins else f"{lower:%b}", 9.5, "middle"))
    if not parts:
        ends = ((first, "start"), (last, "end"))
        parts = [_text(x(day), frame.y(0) + 14, human_date(day), 9.5, anchor) for day, anchor in ends]
    return parts


def _total_caption(growth: Growth) -> str:
    if growth.derived:
        past = "Past: derived from the partitions as they are now, a point for each; what was dropped is missing."
    else:
        past = "Past, measured: pale blue is in use, grey is archived on the same server."
    if not growth.forecast.possible:
        return f"{past} {growth.forecast.verdict.notes[0]}"
    drop = growth.retention.drop_after or any(item.drop_on for item in growth.items)
    kept = " Dotted grey: if everything stays." if drop else ""
    beyond = growth.limit and not _drawn_limit(growth)
    limit = f" The limit of {limit_size(growth.limit or 0)} lies far above." if beyond else ""
    return f"{past} Dashed: expected; the band holds the truth four times of five, as tried on the past.{kept}{limit}"


# Bars -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Bar:
    label: str
    parts: tuple[tuple[float, str], ...]
    """(size, colour), from the ground up."""
    faint: bool = False


def _bars(title: str, bars: Sequence[_Bar]) -> str:
    if not bars:
        return _NOTHING
    tops = [sum(size for size, _ in bar.parts) for bar in bars]
    low, high = min(0.0, *tops), max(0.0, *tops)
    if high == low:
        return _NOTHING
    frame = _Frame(240, 120, 46, 18, low * 1.06, high * 1.06, right=10.0)
    parts = _scale(frame, 3, 8.5)
    room = 5.4 * max(len(bar.label) for bar in bars) + 4
    step = max(1, math.ceil(len(bars) * room / (frame.width - frame.left)))
    for number, bar in enumerate(bars):
        left, right = frame.x(number / len(bars)), frame.x((number + 1) / len(bars))
        width = min(0.72 * (right - left), 30.0)
        start = (left + right - width) / 2
        base = 0.0
        for size, colour in bar.parts:
            upper, lower = sorted((frame.y(base), frame.y(base + size)))
            opacity = ' fill-opacity="0.45"' if bar.faint else ""
            parts.append(
                f'<rect x="{start:.1f}" y="{upper:g}" width="{width:.1f}" height="{max(0.4, lower - upper):.1f}"'
                f' fill="{colour}"{opacity}/>'
            )
            base += size
        if (len(bars) - 1 - number) % step == 0:
            parts.append(_text((left + right) / 2, frame.height - 5, bar.label, 8.5, "middle"))
    return _svg(frame, title, parts)


def _monthly(growth: Growth) -> str:
    months = [month for month in growth.months if month.measured][-BARS:]
    return _bars(
        "Bytes written by month",
        [_Bar(f"{one.first:%b}", ((one.added, BLUE),), faint=not one.complete) for one in months],
    )


def _monthly_caption(growth: Growth) -> str:
    if not growth.months:
        return "Sizes have to be sampled over months for this."
    first, last = month_of(growth.months[-BARS:][0].first), month_of(growth.months[-1].first)
    years = last if first == last else f"{first} to {last}"
    how = "Derived from the partitions" if growth.derived else "From daily samples"
    return f"{how}, {years}; pale: the month is not whole. Archiving takes nothing off."


def _saved(growth: Growth) -> str:
    if not growth.savings:
        return _NOTHING
    found = {quarter.first: quarter for quarter in growth.savings}
    first, last = growth.savings[0].first, Period.QUARTER.containing(growth.today)[0]
    first = max(first, add_months(last, -3 * 7))
    bars = []
    for lower, _ in Period.QUARTER.cover(first, last + timedelta(days=1)):
        quarter = found.get(lower)
        sizes = (quarter.freed, quarter.archived) if quarter else (0, 0)
        bars.append(_Bar(_label(Period.QUARTER, lower), ((float(sizes[0]), BLUE), (float(sizes[1]), GREY))))
    return _bars("Bytes archived and freed by quarter", bars)


def _saved_caption(growth: Growth) -> str:
    if not growth.savings:
        return "Nothing was archived or dropped so far, as far as anything tells."
    return (
        "Grey: left its table for the archive, on the same server. Blue: left the server. Told by samples and tables."
    )


def _periods(growth: Growth) -> str:
    return _bars(
        "Bytes by period",
        [
            _Bar(_label(growth.period, bar.lower), ((float(bar.bytes), BLUE),), faint=not bar.complete)
            for bar in growth.by_period[-BARS:]
        ],
    )


def _label(period: Period, lower: date) -> str:
    if period is Period.YEAR:
        return f"{lower.year}"
    if period is Period.QUARTER:
        return f"Q{(lower.month + 2) // 3} {lower:%y}"
    return f"{lower:%b %y}" if period is Period.MONTH else f"{lower.day} {lower:%b}"


def _periods_caption(growth: Growth) -> str:
    return "Present size of the partitions for these dates, archived ones too; pale: not over yet."
