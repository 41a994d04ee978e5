"""Every proof of the last twelve months, and the records of those of the newest backups to take away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from operator import itemgetter

import altair as alt
import pandas as pd
import streamlit as st

from core.backups.drill import newest_of_each
from core.plans.proof import NEVER, Kept, Verdict
from core.plans.proof_record import MEANS, record_of
from dashboard import layout
from dashboard.charts import palette
from dashboard.charts.palette import COLOURS, DARK, Chart, Ink
from dashboard.growth.tables import Table, as_csv
from dashboard.lifecycle.lines import Read
from dashboard.partitions.items import Status
from dashboard.state import clock, database

MONTHS = 12
_SAID = {
    Verdict.PROVEN.value: "proven",
    Verdict.DAMAGED.value: "damaged",
    Verdict.UNPROVABLE.value: "not provable here",
    NEVER: "never proven",
}
_STATUS = {
    Verdict.PROVEN: Status.VERIFIED,
    Verdict.DAMAGED: Status.MISSING,
    Verdict.UNPROVABLE: Status.BACKED_UP,
}


def draw(read: Read) -> None:
    """The calendar of proofs; nothing where there is no backup, or nobody could look."""
    every = (read.kept or ()) if read is not None else ()
    newest = newest_of_each(every)
    if not newest:
        return
    months = by_month(every, clock.today())
    with st.container(border=True, gap="small"):
        layout.heading("Proofs", f"every one of the last twelve months; of the newest backups {_counted(newest)}")
        alt_text = "How many verifications there were in each month, by what they found"
        st.altair_chart(_chart(months, palette.ink()), theme=None, alt=alt_text, key="chart_proofs")
        st.caption(MEANS)
        with st.container(horizontal=True):
            _records(newest)
            st.download_button(
                "Every proof (CSV)",
                lambda: as_csv(listed(every)),
                f"proofs-{clock.today()}.csv",
                "text/csv",
                key="take_proofs",
                icon=":material/table:",
                type="tertiary",
                on_click="ignore",
                help="Each verification of the last twelve months that this console's key has sealed, of backups that"
                " are there.",
            )


def by_month(every: Iterable[Kept], today: date) -> dict[tuple[str, Verdict], int]:
    """How many verifications of the last months there were by (month, verdict), oldest first.

    Each month stands there with those that proved something, and with another verdict where there was one at all.
    """
    first = today.year * 12 + today.month - MONTHS
    labels = [_label(date(month // 12, month % 12 + 1, 1)) for month in range(first, first + MONTHS)]
    moments = [(_label(datetime.fromisoformat(one.at).date()), one.verdict) for kept in every for one in kept.tried]
    found = Counter(one for one in moments if one[0] in labels)
    there = [one for one in Verdict if one is Verdict.PROVEN or any(verdict is one for _, verdict in found)]
    return {(label, verdict): found[label, verdict] for verdict in there for label in labels}


def _label(day: date) -> str:
    return f"{day:%b %Y}"


def listed(every: Iterable[Kept]) -> Table:
    """Each verification with its backup, newest first; times in UTC."""
    tried = ((one.at, kept.backup, one) for kept in every for one in kept.tried)
    pairs = sorted(tried, key=itemgetter(0), reverse=True)
    columns = ["at", "partition", "backup", "verdict", "reason", "rows", "fingerprint", "server_version", "actor"]
    return columns, (
        [at, kept.name, kept.id, str(one.verdict), one.reason, one.rows, one.fingerprint, one.server_version, one.actor]
        for at, kept, one in pairs
    )


def _counted(newest: Sequence[Kept]) -> str:
    verdicts = Counter(kept.verdict for kept in newest)
    proven = verdicts[Verdict.PROVEN.value]
    others = [f"{verdicts[one]:,} {said}" for one, said in _SAID.items() if verdicts[one] and one != Verdict.PROVEN]
    return ", ".join([f"{proven:,} of {len(newest):,} proven", *others])


def _chart(months: dict[tuple[str, Verdict], int], ink: Ink) -> Chart:
    rows = [(month, _SAID[verdict], number, COLOURS[_STATUS[verdict]]) for (month, verdict), number in months.items()]
    frame = pd.DataFrame(rows, columns=["month", "found", "proofs", "colour"])
    axis = alt.Axis(labelAngle=0, labelOverlap="greedy", ticks=False)
    base = alt.Chart(frame).encode(
        x=alt.X("month:O", sort=None, title=None, axis=axis),
        y=alt.Y("found:O", sort=None, title=None, axis=alt.Axis(ticks=False, domain=False)),
        tooltip=[alt.Tooltip("month:O", title="Month"), alt.Tooltip("proofs:Q", title="Verifications"), "found:O"],
    )
    some = "datum.proofs > 0"
    cells = base.mark_rect(cornerRadius=3).encode(
        color=alt.condition(some, alt.Color("colour:N", scale=None), alt.value(ink.grid))
    )
    texts = base.mark_text(color=DARK, fontWeight="bold").transform_filter(some).encode(text="proofs:Q")
    return palette.styled(cells + texts, 34 * len({verdict for _, verdict in months}), ink)


def _records(newest: Sequence[Kept]) -> None:
    """The sealed record of one backup's last proof, as `partitions proof show` prints it."""
    told = {f"{kept.backup.name} · {kept.backup.id.rpartition('/')[2]}": kept for kept in newest if kept.judged}
    seal = database.desk().seal()
    if not told or seal is None:
        return
    with st.popover("Record of a proof", icon=":material/download:", type="tertiary"):
        chosen = told[st.selectbox("Backup", list(told), key="proof_record")]
        st.caption(
            "JSON with a seal, which `partitions proof check FILE` checks; README says how another program does."
        )
        st.download_button(
            "Take it away",
            lambda: record_of(chosen, seal),
            f"proof-{chosen.backup.name}.json",
            "application/json",
            key="take_proof",
            on_click="ignore",
        )
