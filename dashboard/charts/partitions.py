"""The charts, in the colours that mean the same on every page and with words beside every colour."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import altair as alt
import pandas as pd

from core.text import human_bytes, human_date, human_rows, unit_of
from dashboard.charts.palette import COLOURS, LIGHT_INK, Chart, Ink, hatched, ink, label_ink, states, styled
from dashboard.charts.spans import DRAWN, LISTED, bucketed, closed, merged
from dashboard.charts.spans import along as is_along
from dashboard.partitions.axis import Spot
from dashboard.partitions.items import PHASES, Item, Status

SIZES = {"rows": "#2f6fed", "indexes": "#7fb3a8", "large values": "#c9a0dc"}
Orient = Literal["bottom", "top"]
WHERE_IT_FITS = "scale('x', datum.upper) - scale('x', datum.lower) > 8 * length(datum.label) ? datum.label : ''"
"""The label of a bar that is wide enough for it, as wide as the page is just now: an expression of Vega's."""


def _placed(spot: Spot) -> Any:
    """A place as a frame has it, a Timestamp or a float: a local time counts as UTC, which is what the axis is in."""
    return pd.Timestamp(spot, tz="UTC") if isinstance(spot, datetime) else float(spot)


# --- which part of the key has a place -----------------------------------------------------------------------------


def strip_frame(items: Sequence[Item], ink: Ink = LIGHT_INK) -> pd.DataFrame:
    """One row an item with two ends: label, state, lower, upper, middle on the axis, and what the tooltip says."""
    known = [
        (item, _placed(item.lower), _placed(item.upper))
        for item in items
        if item.lower is not None and item.upper is not None
    ]
    rows = [
        {
            "label": item.label,
            "state": str(item.status),
            "lower": lower,
            "upper": upper,
            "middle": lower + (upper - lower) / 2,
            "ink": label_ink(item.status, ink),
            **_told(item),
        }
        for item, lower, upper in known
    ]
    return pd.DataFrame(rows, columns=["label", "state", "lower", "upper", "middle", "ink", *TOLD])


TOLD = ("Where", "Range", "Rows", "Size")
TOOLTIP = [
    alt.Tooltip("label:N", title="Period"),
    alt.Tooltip("state:N", title="State"),
    *(alt.Tooltip(f"{name}:N") for name in TOLD),
]


def _told(item: Item) -> dict[str, str]:
    if item.status is Status.CAUGHT:
        return {"Where": item.name, "Range": item.bounds, "Rows": "in the DEFAULT", "Size": "in the DEFAULT"}
    rows = f"about {human_rows(item.rows)} (estimate)" if item.rows is not None else "not counted yet"
    return {
        "Where": item.name or "no partition",
        "Range": item.bounds,
        "Rows": rows if item.name else "none",
        "Size": (human_bytes(item.total) if item.known else "busy, not read") if item.name else "none",
    }


def coverage(items: Sequence[Item], now: datetime | None) -> Chart | None:
    """Which part of the key has a partition and where it is, `now` on its axis; None where nothing has a range."""
    shown = merged(closed(items, now), DRAWN // 4)
    if not shown:
        return None
    colours, coded = ink(), states(shown)
    frame = strip_frame(shown, colours)
    base = alt.Chart(frame).encode(x=_along(frame, now))
    bars = base.mark_bar(cornerRadius=4 if len(shown) <= LISTED else 0, strokeWidth=1.5).encode(
        x2="upper",
        y=_level(0.1),
        y2=alt.Y2Datum(0.68),
        fill=coded.fill,
        stroke=coded.stroke,
        strokeDash=coded.dash,
        tooltip=TOOLTIP,
    )
    words = base.mark_text(fontSize=12, fontWeight=600, text=alt.ExprRef(WHERE_IT_FITS)).encode(
        x=f"middle:{_kind(now)}", y=_level(0.39), color=alt.Color("ink:N", scale=None)
    )
    return styled(alt.layer(bars, *_hatched(bars, shown), words, *_today(now)), 138)


def _hatched(bars: alt.Chart, shown: Sequence[Item]) -> list[alt.Chart]:
    """The same bars of what goes to the DEFAULT, with stripes; nothing where nothing does."""
    if all(item.status is not Status.CAUGHT for item in shown):
        return []
    striped = bars.transform_filter(alt.datum.state == str(Status.CAUGHT))
    return [striped.encode(fill=alt.FillValue(hatched(ink())))]


def _level(value: float) -> alt.YDatum:
    return alt.YDatum(value, scale=alt.Scale(domain=[0, 1]), axis=None)


def _today(now: datetime | None, *, word: bool = True) -> list[alt.Chart]:
    """A line through the whole height with a ground of its own, and its word on top; none where there is no time."""
    if now is None:
        return []
    colours = ink()
    frame = pd.DataFrame({"today": [_placed(now)], "Today": [f"{human_date(now.date())}, {now:%H:%M}"]})
    mark = alt.Chart(frame).encode(x="today:T", tooltip="Today:N")
    ground = mark.mark_rule(color=colours.ground, strokeWidth=5)
    rule = mark.mark_rule(color=colours.today, strokeWidth=2.5)
    if not word:
        return [ground, rule]
    said = mark.mark_text(
        text="today", color=colours.today, fontSize=12, fontWeight=700, align="right", dx=-6, baseline="top"
    )
    return [ground, rule, said.encode(y=alt.value(0))]


def _along(frame: pd.DataFrame, now: datetime | None, field: str = "lower", orient: Orient = "bottom") -> alt.X:
    """The axis that the stretches of a frame stand on, `field` being placed: of time, else of numbers."""
    if now is None:
        return _numbers(frame, field, orient)
    first, last = min(frame["lower"].min(), _placed(now)), max(frame["upper"].max(), _placed(now))
    domain = [_moment(first), _moment(last)]
    years, days = last.year - first.year, (last - first) / pd.Timedelta(days=1)
    starts = frame["lower"]
    whole = bool(((starts.dt.month == 1) & (starts.dt.day == 1)).all())
    axis = alt.Axis(
        orient=orient,
        grid=False,
        labelFlush=True,
        labelOverlap=True,
        labelSeparation=8,
        tickCount={"interval": "year", "step": 1} if years > 6 else 8,
        format="%Y" if years > 6 or whole else "%b %Y" if days > 240 else "%-d %b" if days > 5 else "%-d %b %H:%M",
    )
    if whole and years <= 14:
        axis = alt.Axis(
            orient=orient,
            grid=False,
            labelFlush=True,
            labelOverlap=False,
            format="%Y",
            values=[_moment(pd.Timestamp(year, 1, 1)) for year in range(first.year, last.year + 1)],
        )
    return alt.X(f"{field}:T", title=None, scale=alt.Scale(type="utc", domain=domain, nice=False), axis=axis)


def _numbers(frame: pd.DataFrame, field: str, orient: Orient) -> alt.X:
    domain = [frame["lower"].min(), frame["upper"].max()]
    said = "datum.value === 0 ? '0' : format(datum.value, '~s')"
    axis = alt.Axis(orient=orient, grid=False, labelFlush=True, labelOverlap=True, tickCount=8, labelExpr=said)
    return alt.X(f"{field}:Q", title=None, scale=alt.Scale(domain=domain, nice=False, zero=False), axis=axis)


def _kind(now: datetime | None) -> str:
    """The type of a second place on the same axis, in a short form."""
    return "Q" if now is None else "T"


def _moment(moment: pd.Timestamp) -> alt.DateTime:
    return alt.DateTime(
        year=moment.year,
        month=moment.month,
        date=moment.day,
        hours=moment.hour,
        minutes=moment.minute,
        seconds=moment.second,
        utc=True,
    )


def timeline(items: Sequence[Item], now: datetime | None) -> Chart | None:
    """The bounds of each partition on its own line, to see overlaps and gaps; the axis is on top, where one begins."""
    shown = bucketed(closed(items, now), DRAWN)
    if not shown:
        return None
    frame, coded = strip_frame(shown), states(shown)
    frame["order"] = range(len(frame))
    bars = (
        alt.Chart(frame)
        .mark_bar(cornerRadius=3, height=14, strokeWidth=1.5)
        .encode(
            x=_along(frame, now, orient="top"),
            x2="upper",
            y=_names(),
            tooltip=TOOLTIP,
            fill=coded.fill,
            stroke=coded.stroke,
            strokeDash=coded.dash,
        )
    )
    return styled(alt.layer(bars, *_hatched(bars, shown), *_today(now, word=False)), alt.Step(22))


def road(items: Sequence[Item], now: datetime | None) -> Chart | None:
    """Each period at its stop of the road, as a circle as large as its bytes, which stand below it in `road_unit`."""
    shown = [item for item in closed(items, now) if item.name]
    shown = bucketed(shown, LISTED) if len(shown) > LISTED else shown
    if not shown:
        return None
    coded = states(shown)
    frame = strip_frame(shown)
    frame["stop"] = [_stop(item.status) for item in shown]
    frame["bytes"] = [item.total for item in shown]
    factor = unit_of(max(item.total for item in items))[1]
    frame["size"] = [_figure(item.total / factor) if item.known else "busy" for item in shown]
    stops = [str(phase) for phase in PHASES]
    y = alt.Y(
        "stop:N",
        sort=stops,
        title=None,
        scale=alt.Scale(domain=stops),
        axis=alt.Axis(grid=True, ticks=False, labelLimit=110),
    )
    base = alt.Chart(frame).encode(y=y)
    circles = base.mark_circle(opacity=1, strokeWidth=1.5).encode(
        x=_along(frame, now, "middle"),
        size=alt.Size("bytes:Q", scale=alt.Scale(range=[30, 900], zero=True), legend=None),
        fill=coded.fill.legend(None),
        stroke=coded.stroke.legend(None),
        strokeDash=coded.dash.legend(None),
        tooltip=TOOLTIP,
    )
    layers = [*_today(now, word=False), circles]
    if len(shown) <= 14:
        layers.append(
            base.mark_text(fontSize=11, dy=26, color=ink().axis).encode(x=f"middle:{_kind(now)}", text="size:N")
        )
    return styled(alt.layer(*layers), 330)


def road_unit(items: Sequence[Item]) -> str:
    """The unit of the figures in the picture of the road."""
    return unit_of(max((item.total for item in items), default=0))[0]


def _figure(number: float) -> str:
    return f"{number:.0f}" if number >= 10 or number == 0 else f"{number:.1f}" if number >= 0.1 else "<0.1"


def _stop(state: Status) -> str:
    """The phase that it is drawn at: what is ahead, pending or busy is attached."""
    return str(state if state in PHASES else Status.ATTACHED)


# --- how large, how many ------------------------------------------------------------------------------------------


def sizes(items: Sequence[Item], now: datetime | None) -> Chart:
    """Bytes of each partition, split into rows, indexes and large values: a bar each, or along the axis where many."""
    known = [item for item in items if item.name and item.known]
    along = is_along(known)
    known = bucketed(closed(known, now), DRAWN) if along else known
    unit, factor = unit_of(max((item.total for item in known), default=0))
    rows = []
    for number, item in enumerate(known):
        start = 0
        for part, size in (("rows", item.heap), ("indexes", item.index), ("large values", item.toast)):
            rows.append(
                {
                    "label": item.label,
                    "order": number,
                    "part": part,
                    "from": start / factor,
                    "to": (start + size) / factor,
                    "lower": _end(item.lower),
                    "upper": _end(item.upper),
                    "state": str(item.status),
                    "Part": f"{human_bytes(size)} of {human_bytes(item.total)}",
                    **_told(item),
                }
            )
            start += size
    columns = ["label", "order", "part", "from", "to", "lower", "upper", "state", "Part", *TOLD]
    frame = pd.DataFrame(rows, columns=columns)
    parts = ("part", list(SIZES), list(SIZES.values()))
    tooltip = [
        TOOLTIP[0],
        TOOLTIP[1],
        alt.Tooltip("part:N", title="Part"),
        alt.Tooltip("Part:N", title="Of it"),
        *TOOLTIP[2:],
    ]
    return _measured(frame, along, now, ("from", "to"), unit, parts, tooltip, alt.Axis(tickCount=5))


def rows(items: Sequence[Item], now: datetime | None) -> Chart:
    """The planner's estimate of rows in each partition, in the colour of its state."""
    known = [item for item in items if item.name]
    along = is_along(known)
    known = bucketed(closed(known, now), DRAWN) if along else known
    rows = [
        {
            "label": item.label,
            "order": number,
            "from": 0,
            "to": item.rows or 0,
            "lower": _end(item.lower),
            "upper": _end(item.upper),
            "state": str(item.status),
            **_told(item),
        }
        for number, item in enumerate(known)
    ]
    frame = pd.DataFrame(rows, columns=["label", "order", "from", "to", "lower", "upper", "state", *TOLD])
    axis = alt.Axis(tickCount=5, format="~s")
    present = [state for state in Status if any(item.status is state for item in known)]
    kinds = ("state", [str(state) for state in present], [COLOURS[state] for state in present])
    return _measured(frame, along, now, ("from", "to"), "rows (estimate)", kinds, TOOLTIP, axis)


def _end(spot: Spot | None) -> Any:
    return None if spot is None else _placed(spot)


def _measured(
    frame: pd.DataFrame,
    along: bool,
    now: datetime | None,
    ends: tuple[str, str],
    unit: str,
    kinds: tuple[str, list[str], list[str]],
    tooltip: list[alt.Tooltip],
    axis: alt.Axis,
) -> Chart:
    """Bars of a quantity: lying, one a name, or standing along the axis.

    `kinds` is a field, its values, their colours.
    """
    fill = alt.Fill(field=kinds[0], type="nominal", scale=alt.Scale(domain=kinds[1], range=kinds[2]))
    scale = alt.Scale() if frame["to"].any() else alt.Scale(domain=[0, 1])
    bars = alt.Chart(frame).mark_bar(cornerRadius=0 if along else 2, strokeWidth=0.8)
    if along:
        chart = bars.encode(
            x=_along(frame, now),
            x2="upper",
            y=alt.Y(f"{ends[0]}:Q", title=unit, axis=axis, scale=scale),
            y2=f"{ends[1]}:Q",
            fill=fill,
            stroke=alt.Stroke(field=kinds[0], type="nominal", scale=alt.Scale(domain=kinds[1], range=kinds[2])),
            tooltip=tooltip,
        )
        return styled(chart, 280)
    chart = bars.encode(
        y=_names(),
        x=alt.X(f"{ends[0]}:Q", title=unit, axis=axis, scale=scale),
        x2=f"{ends[1]}:Q",
        fill=fill,
        tooltip=tooltip,
    )
    return styled(chart, alt.Step(22))


def _names() -> alt.Y:
    axis = alt.Axis(labelLimit=180, labelOverlap=False, labelPadding=7, grid=False, ticks=False)
    return alt.Y("label:N", sort=alt.EncodingSortField("order", op="min"), title=None, axis=axis)
