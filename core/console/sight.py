"""What a wish may look at beside its table before its plan is built: rows, indexes, moves, backups, the journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from core.backups.storage import StorageSettings
from core.names import address
from core.settings import Settings
from core.tables.catalog.archived import read_alone
from core.tables.catalog.rows import count_default_rows, count_outside, read_key_range
from core.tables.catalog.siblings import read_equipped_of

# What only some acts look at is loaded where it is needed: a command that only looks starts without.

if TYPE_CHECKING:
    from core.plans.drop import Hanging
    from core.plans.manifest import Backup
    from core.plans.operation import Operation
    from core.plans.restore import Surroundings
    from core.tables.archived import Archived
    from core.tables.bonds import Bond, OwnKey
    from core.tables.bounds import Bounds
    from core.tables.equipment import Equipped
    from core.tables.indexes import TreeIndexes
    from core.tables.key import KeyRange
    from core.tables.move import Ground, Move, Strewn
    from core.tables.partition import Partition
    from core.tables.plain import Begun, Plain, Whole
    from core.tables.prospect import Prospect
    from core.tables.table import PartitionedTable


@dataclass(frozen=True, slots=True)
class Sight:
    """One database as wishes look at it; the Desk is one, and does the rest."""

    settings: Settings
    reading: Engine
    working: Engine
    storage: StorageSettings
    """Where its backups are kept."""

    @property
    def archive_schema(self) -> str:
        """Where archived partitions go."""
        return self.settings.archive_schema

    def plain(self, table: PartitionedTable, key: str, unique: tuple[str, ...] = ()) -> Plain:
        """A table that is not partitioned, and what its rows say of that column, and of those that become unique.

        Reads all of them.
        """
        from core.plans.built import our_indexes
        from core.tables.catalog.plain import read_plain

        return read_plain(self.reading, table.schema, table.name, key, our_indexes(table.name), unique)

    def whole(self, table: PartitionedTable) -> Whole:
        """A partitioned table, and which of its partitions hold rows."""
        from core.tables.catalog.plain import read_whole

        parts = tuple((one.schema, one.name) for one in table.partitions)
        return read_whole(self.reading, table.schema, table.name, parts)

    def prospects(self, table: PartitionedTable) -> tuple[Prospect, ...]:
        """What a plain table could be partitioned by, and what would come out; reads no row."""
        from core.tables.catalog.prospects import read_prospects

        return read_prospects(self.reading, table.schema, table.name)

    def begun(self, table: PartitionedTable) -> Begun | None:
        """The conversion of a table that was begun, until what it held is split by period."""
        from core.tables.catalog.plain import read_begun

        return read_begun(self.reading, (table.oid, *(one.oid for one in table.partitions)))

    def filled(self, table: PartitionedTable) -> tuple[str, ...]:
        """The partitions that hold a row, as `schema.name`."""
        from core.tables.catalog.plain import read_filled

        parts = ((one.schema, one.name) for one in table.partitions if one.is_plain)
        return tuple(address(*one) for one in read_filled(self.reading, parts))

    def default_rows(self, table: PartitionedTable, ranges: Iterable[Bounds]) -> int:
        """How many rows of the ranges its DEFAULT partition holds."""
        return count_default_rows(self.reading, table, tuple(ranges))

    def alone(self, table: PartitionedTable, address: str) -> Archived | None:
        """The table of that address, where it hangs on no parent, as what may become a partition of `table`."""
        return read_alone(self.reading, table, address)

    def outside(self, table: PartitionedTable, alone: Archived, bounds: Bounds) -> int:
        """How many rows of such a table do not lie in the bounds. Reads all of it."""
        return count_outside(self.reading, table, alone, bounds)

    def under_way(self, table: PartitionedTable) -> Move | None:
        """The move of rows between its partitions that was begun and not finished."""
        from core.tables.catalog.moves import read_move

        return read_move(self.reading, table)

    def bonds(self, table: PartitionedTable) -> tuple[Bond, ...]:
        """The foreign keys on the same period that bind the table to others, and those to others yet."""
        if not (table.references or table.referenced_by):
            return ()
        from core.tables.catalog.bonds import read_bonds

        return read_bonds(self.reading, table.oid)

    def bound_to(self, table: PartitionedTable) -> tuple[str, ...]:
        """The addresses of the tables whose partitions go with its own."""
        every = (name for bond in self.bonds(table) for name in (bond.referring, bond.referred))
        return tuple(name for name in dict.fromkeys(every) if name != table.address)

    def own_keys(self, oids: Iterable[int], tables: Iterable[int]) -> tuple[OwnKey, ...]:
        """The foreign keys of these partitions, and of those that were, to these tables."""
        from core.tables.catalog.bonds import read_own_keys

        return read_own_keys(self.reading, oids, tables)

    def holds_rows(self, one: Partition | Archived) -> bool:
        """Whether a partition, or what was one, holds a row; True, too, where that can't be read."""
        from core.tables.catalog.bonds import read_holds_rows

        return read_holds_rows(self.reading, one.schema, one.name)

    def ground(self, table: PartitionedTable, oids: Iterable[int]) -> Ground:
        """What has to be known of these partitions before their rows are moved."""
        from core.tables.catalog.moves import read_ground

        return read_ground(self.reading, table, oids)

    def strewn(self, table: PartitionedTable, one: Partition, sane: Bounds) -> Strewn:
        """How the rows of a partition lie about a range. Reads all of them."""
        from core.tables.catalog.moves import read_strewn

        return read_strewn(self.reading, table, one, sane)

    def cells(self, table: PartitionedTable, ends: Sequence[Bounds]) -> Mapping[Bounds, int]:
        """How many rows of the DEFAULT lie in each of these ranges, one beside the other; none without rows."""
        from core.tables.catalog.moves import read_cells

        return read_cells(self.reading, table, ends)

    def tree_indexes(self, table: PartitionedTable) -> TreeIndexes:
        """The indexes of a table and of all below it. Raises CatalogBusy."""
        from core.tables.catalog.indexes import read_tree_indexes

        return read_tree_indexes(self.reading, table.oid)

    def key_range(self, table: PartitionedTable, archived: Archived) -> KeyRange | None:
        """The smallest and the largest key among the rows of an archived table."""
        return read_key_range(self.reading, table, archived)

    def equipped(self, table: PartitionedTable, archived: Archived) -> Equipped | None:
        """What an archived table of that table has of its own; None where that can't be read just now."""
        found = read_equipped_of(self.reading, table, [archived.oid])
        return found[0] if found else None

    def hanging(self, archived: Archived) -> Hanging:
        """What hangs on an archived table. Raises CatalogBusy while somebody holds it."""
        from core.console.hanging import read_hanging

        return read_hanging(self.reading, archived)

    def surroundings(self, backup: Backup) -> Surroundings:
        """What there is of what a backup needs to be brought back."""
        from core.backups.restore import read_surroundings

        return read_surroundings(self.reading, backup, archive_schema=self.archive_schema)

    def done_at(self, operation: Operation, table: str, backup: str) -> datetime | None:
        """When an operation on that table was last done with that backup, as the journal has it."""
        from core.console.journal import read_done

        return read_done(self.reading, operation, table, backup)

    def holds(self, relation: str, backup: Backup) -> bool:
        """Whether a table, quoted and qualified, is what a backup holds. Reads all of its rows."""
        from core.backups.restore import holds

        return holds(self.reading, relation, backup)

    def dump_tool(self, version_num: int) -> str:
        """The pg_dump that reads the rows of such a server, as "pg_dump 18.4". Raises ToolMissing."""
        from core.postgres.programs import find_pg_dump

        return f"pg_dump {find_pg_dump(version_num, environ=self.storage.environ).version}"

    def lacking(self, archived: Archived, backup: Backup) -> tuple[str, ...]:
        """What of the definition of an archived table is not in a backup of it. Raises CatalogBusy."""
        from core.backups.differences import read_lacking

        return read_lacking(self.reading, archived, backup)

    def proof_doubts(self, table: PartitionedTable, oids: Iterable[int]) -> tuple[str, ...]:
        """Why a backup of these tables could not be proven as things are, a sentence each."""
        from core.backups.proving import Proving, doubts

        proving = Proving(self.storage.home, self.storage.environ, self.settings.proof_url or "")
        return doubts(self.reading, oids, table.server.version_num, proving)
