"""Archive: each period on its road from attached to dropped and back, its bytes, its proof and its one next act."""

from __future__ import annotations

from dashboard import layout, notices
from dashboard.format import plain
from dashboard.lifecycle import lines, lists, phases, proofs, summary
from dashboard.operations import waiting
from dashboard.state import current


def main() -> None:
    """The page."""
    table = current.table()
    if table.not_served is not None or table.key is None:
        layout.header("Archive")
        layout.only_shown(table)
        return
    found, read = lines.read(table)
    layout.header(plain(summary.verdict(found, read)), summary.counted(found, read, table))
    lines.unread(read)
    notices.pending(table)
    waiting.draw(of_table=table.address)
    lists.planned(found)
    lists.due(found, read, table)
    phases.draw(table, found)
    lists.archived(found, read)
    lists.dropped(found, read)
    proofs.draw(read)
    lists.unusable(read)
    lists.still_kept(found, read, table)
    lists.hand_work(table)


main()
