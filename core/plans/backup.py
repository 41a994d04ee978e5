"""Back up: which partitions can be, and the plan that shows how."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from core.errors import NotServed, PartitionNotFound, Refused
from core.plans.branch import locks_below, require_copied
from core.plans.drop import choose
from core.plans.manifest import backup_id
from core.plans.operation import Danger, Operation, Sources, table_for
from core.plans.plan import Lock, Mode, Plan, Step, basis
from core.plans.proof import Kept
from core.plans.target import Target, partition_of
from core.tables.archived import Archived
from core.tables.commands import twin
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.text import plural, shell_word

BACKUP = Operation("backup", "Back up", "backing up", Danger.CLICK, counts_rows=False, moves_files=True)


@dataclass(frozen=True, slots=True)
class BackUp:
    """That a partition, attached or archived, is copied to the place of the backups."""

    operation: ClassVar = BACKUP
    table: str | PartitionedTable
    partition: Target
    backup: str = ""
    """Its id; empty for a new one."""

    def plan(self, desk: Sources) -> Plan:
        """Under a new id, where none is given. Raises Refused, ToolMissing and SettingError."""
        table = table_for(desk, self.table)
        found = require_backed_up(table, partition_of(table, self.partition, desk.zone))
        where = (table.server.database, table.address, found.name)
        made = self.backup or backup_id(*where, desk.now, secrets.token_hex(3))
        tool = desk.dump_tool(table.server.version_num)
        plan = plan_backup(table, table.called(found), id=made, place_label=desk.backup_place, tool=tool)
        doubts = desk.proof_doubts(table, (found.oid, *(one.oid for one in found.members)))
        return replace(plan, place=desk.backup_place, warnings=(*plan.warnings, *doubts))


def plan_backup(table: PartitionedTable, name: str, *, id: str, place_label: str, tool: str) -> Plan:
    """A plan that writes the rows and the definition of a partition to the place, under the path `id`.

    `tool` is the pg_dump that reads the rows, as "pg_dump 18.4". Raises Refused for what can't be backed up.
    """
    found = require_backed_up(table, name)
    name = table.called(found)
    target = f"{place_label.rstrip('/')}/{id}.sql.zst"
    option = "--table" if found.is_plain else "--table-and-children"
    dump = f"pg_dump --dbname={shell_word(table.server.database)} {option}={shell_word(found.sql)}"
    rows = f" {plural(found.rows, 'row')}" if found.rows is not None else " every row"
    return Plan(
        operation=BACKUP,
        table=table.address,
        subject=name,
        basis=basis(table, found.oid),
        steps=(
            Step(
                f"Write {name} to {place_label}",
                (f"{dump} | zstd -3 > {shell_word(target)}",),
                (Lock(found.sql, Mode.ACCESS_SHARE, brief=False), *locks_below(found, Mode.ACCESS_SHARE, brief=False)),
                transactional=False,
            ),
        ),
        effects=(
            f"{tool} reads{rows} of {found.schema}.{name} as of one moment; others read and write it meanwhile.",
            f"It is compressed on its way to {place_label}; what it takes to make the table anywhere is in it.",
            "Its manifest, with the number of rows and their fingerprint, is written last: until then it is no backup.",
        ),
        way_back="Nothing on the server is changed.",
        command=twin("backup", table, name),
        backup=id,
        oid=found.oid,
    )


def without_backup(table: PartitionedTable, every: Iterable[Kept]) -> list[Archived]:
    """The archived tables that are here as a whole, and that none of the backups holds as they are now."""
    every = tuple(every)
    return [one for one in table.archived if one.is_here and choose(every, table, one) is None]


def require_backed_up(table: PartitionedTable, name: str) -> Partition | Archived:
    """The attached or archived partition `name`, where it can be backed up. Raises Refused."""
    if table.not_served is not None or table.key is None:
        raise NotServed(f"{table.label} is only shown here: {table.not_served}.")
    found = table.find(name) or table.find_archived(name)
    if found is None:
        known = ", ".join(table.calls().values()) or "none"
        raise PartitionNotFound(f"{table.label} has no partition {name}.", next=f"There are: {known}.")
    require_copied(table, found)
    if found.bounds is None:
        raise Refused(
            f"The bounds of {name} are not known just now, and a backup without them could not be brought back.",
            next="Try again in a moment; a table archived by hand needs a CHECK of its range, or its year in its name.",
        )
    if found.bounds.is_default:
        raise Refused(f"{name} is the DEFAULT partition: it has no bounds that it could come back to.")
    return found
