"""When each newest backup was last proven, month by month, and the records of those proofs to take away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date

import altair as alt
import pandas as pd
import streamlit as st

from core.backups.drill import newest_of_each
from core.plans.proof import NEVER, Kept, Verdict
from core.plans.proof_record import MEANS, record_of
from core.text import plural
from dashboard import layout
from dashboard.charts import palette
from dashboard.charts.palette import COLOURS, DARK, Chart, Ink
from dashboard.lifecycle.lines import Read
from dashboard.partitions.items import Status
from dashboard.state import clock, database

MONTHS = 12
_EARLIER = "before"
_SAID = {
    Verdict.DAMAGED.value: "damaged",
    Verdict.UNPROVABLE.value: "not provable here",
    NEVER: "never proven",
}


def draw(read: Read) -> None:
    """The calendar of proofs; nothing where there is no backup, or nobody could look."""
    newest = newest_of_each(read.kept or ()) if read is not None else ()
    if not newest:
        return
    today = clock.today()
    with st.container(border=True, gap="small"):
        layout.heading("Proofs", f"in which month each newest backup was last proven; {_counted(newest)}")
        alt_text = "How many newest backups were last proven in each month"
        st.altair_chart(_chart(by_month(newest, today), palette.ink()), theme=None, alt=alt_text, key="chart_proofs")
        st.caption(MEANS)
        _records(newest)


def by_month(newest: Sequence[Kept], today: date) -> dict[str, int]:
    """How many were last proven in each of the last months, oldest first, and before all of those."""
    first = today.year * 12 + today.month - MONTHS
    labels = [f"{date(month // 12, month % 12 + 1, 1):%b %Y}" for month in range(first, first + MONTHS)]
    found = dict.fromkeys((_EARLIER, *labels), 0)
    for kept in newest:
        if kept.proven_at is not None:
            label = f"{kept.proven_at:%b %Y}"
            found[label if label in labels else _EARLIER] += 1
    return found


def _counted(newest: Sequence[Kept]) -> str:
    verdicts = Counter(kept.verdict for kept in newest)
    proven = verdicts[Verdict.PROVEN.value]
    parts = [f"{proven:,} of {plural(len(newest), 'backup')} proven"]
    return ", ".join([*parts, *(f"{verdicts[one]:,} {said}" for one, said in _SAID.items() if verdicts[one])])


def _chart(months: dict[str, int], ink: Ink) -> Chart:
    frame = pd.DataFrame({"month": list(months), "backups": list(months.values())})
    base = alt.Chart(frame).encode(
        x=alt.X("month:O", sort=None, title=None, axis=alt.Axis(labelAngle=0, labelOverlap="greedy", ticks=False)),
        tooltip=[alt.Tooltip("month:O", title="Last proven"), alt.Tooltip("backups:Q", title="Newest backups")],
    )
    some = "datum.backups > 0"
    cells = base.mark_rect(cornerRadius=3).encode(
        color=alt.condition(some, alt.value(COLOURS[Status.VERIFIED]), alt.value(ink.grid))
    )
    texts = base.mark_text(color=DARK, fontWeight="bold").transform_filter(some).encode(text="backups:Q")
    return palette.styled(cells + texts, 34, ink)


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
