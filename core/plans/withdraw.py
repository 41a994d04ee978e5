"""Withdraw: what a conversion, or its way back, made beforehand goes, where it never came to its switch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from core.names import ident, qualified
from core.plans.built import built_for_the_way_back, our_indexes
from core.plans.convertible import require_rights
from core.plans.operation import Sources
from core.plans.plan import Lock, Mode, Plan, Step, basis, nothing_to_do
from core.plans.under_way import ABANDON
from core.tables.commands import twin
from core.tables.plain import CHECK
from core.tables.table import PartitionedTable
from core.text import listed


@dataclass(frozen=True, slots=True)
class Withdraw:
    """That nothing is left of a conversion, or of its way back, that was begun; the rows were never touched."""

    operation: ClassVar = ABANDON
    table: str | PartitionedTable

    def plan(self, desk: Sources) -> Plan:
        """Looks at the catalog alone."""
        table = desk.read(self.table) if isinstance(self.table, str) else self.table
        plain = table.strategy == "plain"
        act = "convert" if plain else "unconvert"
        command = twin(act, table, "", "--abandon")
        steps = tuple(_steps(table))
        if not steps:
            why = f"Nothing is left of a conversion of {table.label}, or of its way back."
            return nothing_to_do(ABANDON, table.address, table.label, why, command=command)
        require_rights(table)
        what = listed(step.title.partition(" ")[2] for step in steps)
        return Plan(
            operation=ABANDON,
            table=table.address,
            subject=table.label,
            basis=basis(table, all_partitions=True),
            steps=steps,
            effects=(
                f"{table.label} is as it was before: no row was copied or moved, and only {what} goes, of what was"
                " made beforehand.",
            ),
            way_back=f"Begin it anew: {twin('convert', table, '', '--key ... --every ...')}"
            if plain
            else f"Begin it anew: {twin('unconvert', table)}",
            command=command,
            oid=table.oid,
        )


def _steps(table: PartitionedTable) -> list[Step]:
    steps = []
    if table.strategy == "plain" and any(check.name == CHECK for check in table.checks):
        steps.append(
            Step(
                f"Drop the CHECK {CHECK}",
                (f"ALTER TABLE {table.sql} DROP CONSTRAINT {ident(CHECK)}",),
                (Lock(table.sql, Mode.ACCESS_EXCLUSIVE),),
            )
        )
    for on, schema, name in made_indexes(table):
        steps.append(
            Step(
                f"Drop the index {name}",
                (f"DROP INDEX CONCURRENTLY {qualified(schema, name)}",),
                (Lock(on, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False),),
                transactional=False,
            )
        )
    return steps


def made_indexes(table: PartitionedTable) -> tuple[tuple[str, str, str], ...]:
    """(table that it is on, schema, name) of each index that was built for a switch that has not been."""
    if table.strategy == "plain":
        ours = our_indexes(table.name)
        return tuple((table.sql, table.schema, index.name) for index in table.indexes if index.name in ours)
    built = built_for_the_way_back(table.name)
    return tuple((one.sql, one.schema, built) for one in table.partitions if built in one.index_names)
