"""What the reader of Growth chose: table or all, how far ahead, limit, prices; the address bar carries it."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from core.errors import UsageError
from core.growth.outlook import Retention
from core.growth.savings import Prices
from core.growth.words import written
from core.period import Duration
from core.settings import parse_bytes
from core.text import plural
from dashboard.format import plain
from dashboard.state import current, database

# Each is a parameter of the address bar, too.
SCOPE, AHEAD, LIMIT, HOT, COLD, OLD = "scope", "ahead", "limit", "hot", "cold", "old"
THIS, ALL = "This table", "All tables"
HORIZONS = {"3 months": 90, "1 year": 365, "2 years": 730, "3 years": 1095, "5 years": 1825, "10 years": 3650}
USUAL = "3 years"
STAYS = "stays in the archive"
USUAL_WAITS = ("90 days", "1 year")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the page looks at."""

    table: str | None
    """None for all together."""
    horizon: int
    limit: int | None
    prices: Prices | None
    retention: Retention


def draw() -> Chosen:
    """The filters; they stand in a row of the page."""
    settings = database.desk().settings
    several = len(database.tables()) > 1
    scope = THIS
    if several:
        scope = st.segmented_control(
            "Of", (THIS, ALL), default=THIS, required=True, key=SCOPE, bind="query-params"
        ) or THIS  # fmt: skip
    ahead = st.selectbox(
        "Look ahead",
        list(HORIZONS),
        index=list(HORIZONS).index(USUAL),
        key=AHEAD,
        width=120,
        bind="query-params",
        help="How far the forecast reaches. The further, the less sure.",
    )
    limit = st.text_input(
        "Limit on the server",
        value=written(settings.storage_limit) if settings.storage_limit else "",
        placeholder="such as 500 GB",
        key=LIMIT,
        width=145,
        max_chars=24,
        bind="query-params",
        help="How much the server may hold: a number and a unit, such as 500 GB or 2 TiB. The address bar carries"
        " it; PARTITION_DESK_STORAGE_LIMIT sets it for all.",
    )
    old = _old(settings.archive_after, settings.drop_after if settings.allow_drop else None)
    prices = _prices(settings.price_hot, settings.price_cold, settings.currency)
    return Chosen(
        table=current.address() if scope == THIS else None,
        horizon=HORIZONS.get(ahead or USUAL, HORIZONS[USUAL]),
        limit=_limit(limit),
        prices=prices,
        retention=Retention(settings.archive_after, old),
    )


def _old(after: Duration, waits: Duration | None) -> Duration | None:
    """How long after it was archived old data is taken to leave the server; None for never."""
    lasts = dict.fromkeys((*([str(waits)] if waits else ()), *USUAL_WAITS))
    options = {f"removed after {lasting}": Duration.parse(lasting) for lasting in lasts}
    chosen = st.selectbox(
        "Old data is",
        [*options, STAYS],
        key=OLD,
        index=0 if waits else len(options),
        width=185,
        bind="query-params",
        help=f"Archived is what ended {after} ago: moved aside, on the same server. What would it free to remove it so"
        " long after that, once it is backed up? Nothing is removed by looking.",
    )
    return options.get(chosen or STAYS)


def _prices(hot: float | None, cold: float | None, currency: str) -> Prices | None:
    with st.popover("Prices", icon=":material/payments:", help="What storage costs, to show everything in money, too"):
        one = st.number_input(
            f"On the server, {currency} a GB and month", 0.0, 1e6, hot or 0.0, 0.01, key=HOT, bind="query-params"
        )
        other = st.number_input(
            f"In cold storage, {currency} a GB and month", 0.0, 1e6, cold or 0.0, 0.001, format="%.3f", key=COLD,
            bind="query-params",
        )  # fmt: skip
        st.caption("A GB is 1,000,000,000 bytes. Without prices, nothing is shown in money.")
    return Prices(one, other) if one or other else None


def _limit(text: str | None) -> int | None:
    """The limit in bytes; what can't be read is told."""
    if not (text or "").strip():
        return None
    try:
        return parse_bytes(text or "")
    except UsageError as error:
        st.warning(plain(f"{error.what} {error.next}"), icon=":material/warning:")
        return None


def told(chosen: Chosen) -> str:
    """What was chosen, for a file."""
    limit = f"limit {written(chosen.limit)}" if chosen.limit else "no limit"
    return f"{chosen.table or 'all tables'}, {plural(chosen.horizon, 'day')} ahead, {limit}"
