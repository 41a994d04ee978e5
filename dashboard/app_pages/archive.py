"""Archive: each period on its road from attached to dropped and back, its bytes, its proof and its one next act."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from core.console.journal import OperationState
from core.plans.operation import Operation
from core.tables.archived import Archived
from core.tables.key import key_value
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.text import human_bytes
from core.text import human_date
from core.text import plural
from dashboard import layout
from dashboard import notices
from dashboard.charts import partitions
from dashboard.format import by_hand
from dashboard.partitions.items import items
from dashboard.format import plain
from dashboard.lifecycle import lines
from dashboard.lifecycle import lists
from dashboard.lifecycle import phases
from dashboard.lifecycle import summary
from dashboard.road import backups
from dashboard.charts.partitions import road
from dashboard.lifecycle.lines import Read
from dashboard.road.road import Leg
from dashboard.road.road import Stop
from dashboard.state import current
from dashboard.state import session
from datetime import datetime
import streamlit as st

def main() -> None:
    """The page."""
    table = current.table()
    if table.not_served is not None or table.key is None:
        layout.header("Archive")
        layout.only_shown(table.not_served)
        return
    found, read = lines.read(table)
    layout.header(plain(summary.verdict(found, read)), summary.counted(found, read, table))
    lines.unread(read)
    notices.pending(table)
    phases.draw(table, found)
    lists.planned(found)
    lists.due(found, read)
    lists.archived(found, read)
    lists.dropped(found, read)
    lists.unusable(read)
    lists.still_kept(found, read, table)
    lists.hand_work(table)


main()
