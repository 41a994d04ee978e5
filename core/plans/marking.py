"""What only writes a mark into a table's comment: a hold, a planned drop."""

from __future__ import annotations

from core.errors import PartitionNotFound, Refused
from core.names import comment_sql
from core.plans.plan import Lock, Mode, Step
from core.plans.refusals import require_served
from core.tables.archived import Archived
from core.tables.commands import twin
from core.tables.marks import Marks
from core.tables.partition import Partition
from core.tables.table import PartitionedTable


def require_archived(table: PartitionedTable, name: str) -> Archived:
    """The archived table of that name. Raises Refused for an attached one, PartitionNotFound for none."""
    require_served(table)
    archived = table.find_archived(name)
    if archived is None:
        if table.find(name) is not None:
            raise Refused(
                f"{name} is attached to {table.label}: only an archived table can be dropped.",
                next=f"Archive it first: {twin('archive', table, name)}",
            )
        known = ", ".join(table.called(a) for a in table.archived) or "none"
        raise PartitionNotFound(f"No archived table {name} belongs to {table.label}.", next=f"Archived are: {known}.")
    return archived


def comment_step(title: str, one: Partition | Archived, own: str | None, old: Marks, new: Marks) -> Step:
    """Writes the marks below the user's own comment, and can take it back."""
    return Step(
        title,
        (comment_sql(one.sql, new.beside(own)),),
        (Lock(one.sql, Mode.SHARE_UPDATE_EXCLUSIVE),),
        undo=(comment_sql(one.sql, old.beside(own)),),
    )
