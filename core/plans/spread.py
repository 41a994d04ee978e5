"""What Citus needs before a table that is here in one piece becomes a part of one that is spread over servers."""

from __future__ import annotations

from core.names import literal
from core.plans.plan import Lock, Mode, Step
from core.tables.archived import Archived
from core.tables.table import PartitionedTable


def spread_like_parent(table: PartitionedTable, archived: Archived) -> tuple[Step, ...]:
    """Cuts the rows up like its siblings' while nobody waits for it: an attach would do so under the parent's lock.

    Citus leaves the old rows here, where nobody sees them. They are removed in a step of their own, which planning
    again finds undone; never where a foreign key leads to the table, because that removal would follow it.
    """
    if table.distribution is None:
        return ()
    steps = []
    relation = literal(archived.sql)
    locks = (Lock(archived.sql, Mode.ACCESS_EXCLUSIVE, brief=False),)
    if archived.distribution is None:
        column = literal(table.distribution.column) if table.distribution.column is not None else "NULL"
        steps.append(
            Step(
                f"Spread {archived.name} over the servers as its siblings are",
                (
                    f"SELECT pg_catalog.create_distributed_table({relation}, {column},"
                    f" colocate_with := {literal(table.sql)})",
                ),
                locks,
            )
        )
    if archived.distribution is None or archived.left_here:
        steps.append(
            Step(
                f"Remove what {archived.name} left on the coordinator, out of everybody's sight",
                (
                    f"SELECT pg_catalog.truncate_local_data_after_distributing_table({relation})"
                    " WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint"
                    f" WHERE contype = 'f' AND confrelid = {relation}::pg_catalog.regclass)",
                ),
                locks,
            )
        )
    return tuple(steps)
