"""An operation and the wish for it: what can be done, how dangerous it is, who may, and what is asked for in one case.

Both stand in the file of the builder that they belong to; core.console.register names every operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Protocol

from core.period import Width
from core.plans.refusals import require_served
from core.tables.archived import Archived
from core.tables.bonds import Bond, OwnKey
from core.tables.bounds import Bounds
from core.tables.equipment import Equipped
from core.tables.indexes import TreeIndexes
from core.tables.key import KeyRange
from core.tables.move import Ground, Move, Strewn
from core.tables.partition import Partition
from core.tables.plain import Begun, Plain, Whole
from core.tables.table import PartitionedTable

if TYPE_CHECKING:
    from core.plans.drop import Hanging
    from core.plans.manifest import Backup
    from core.plans.plan import Plan
    from core.plans.restore import Surroundings


class Role(StrEnum):
    """What a person may do here, weakest first; each may what those before it may."""

    VIEWER = "viewer"
    AUDITOR = "auditor"
    OPERATOR = "operator"
    ADMIN = "admin"


NAMES, FIND, SAMPLE, ACCOUNTS = "names", "find", "sample", "accounts"
"""What takes a role and is no operation: reading who did what, finding the rows of one value, sampling, accounts."""
SEND_ALARMS, TEST_ALARMS = "send alarms", "test alarms"
"""So do these."""
NAMES, FIND, SAMPLE, ACCOUNTS, MAINTAIN = "names", "find", "sample", "accounts", "maintain"
"""What takes a role and is no operation: reading who did what, finding the rows of one value, sampling, accounts, and
having the console keep to the rules that admins have set."""
LEAST: Mapping[str, Role] = MappingProxyType(
    {
        NAMES: Role.AUDITOR,
        FIND: Role.OPERATOR,
        SAMPLE: Role.OPERATOR,
        MAINTAIN: Role.OPERATOR,
        ACCOUNTS: Role.ADMIN,
        SEND_ALARMS: Role.OPERATOR,
        TEST_ALARMS: Role.ADMIN,
        "ensure": Role.OPERATOR,
        "backup": Role.OPERATOR,
        "verify": Role.OPERATOR,
        "acknowledge": Role.OPERATOR,
        "archive": Role.ADMIN,
        "reattach": Role.ADMIN,
        "adopt": Role.ADMIN,
        "release": Role.ADMIN,
        "index": Role.ADMIN,
        "reindex": Role.ADMIN,
        "unindex": Role.ADMIN,
        "drop": Role.ADMIN,
        "schedule": Role.ADMIN,
        "restore": Role.ADMIN,
        "drain": Role.ADMIN,
        "split": Role.ADMIN,
        "merge": Role.ADMIN,
        "abandon": Role.ADMIN,
        "pause": Role.ADMIN,
        "hold": Role.ADMIN,
        "key": Role.ADMIN,
        "rules": Role.ADMIN,
        "convert": Role.ADMIN,
        "unconvert": Role.ADMIN,
    }
)
"""The least role that may do it, by the name of the operation; everything else is for everyone who has a role."""


class Danger(StrEnum):
    """What has to be confirmed before it is done."""

    CLICK = "one click"
    DIALOG = "a dialog"
    TYPED_NAME = "a dialog in which the name is typed"


class Scope(StrEnum):
    """Which changes outdate a plan, besides those of its table, its subject and the DEFAULT partition."""

    SUBJECT = "no others"
    PARTITIONS = "those of any partition"
    ALL = "those of any partition or archived table"


@dataclass(frozen=True, slots=True)
class Operation:
    """What can be done, as its verb; two are the same whose names are."""

    name: str
    """As the journal has it: archive."""
    verb: str = field(compare=False)
    """As a page begins a sentence with it: Archive."""
    doing: str = field(compare=False)
    """As a page says that it is under way: archiving."""
    danger: Danger = field(compare=False)
    scope: Scope = field(compare=False, default=Scope.SUBJECT)
    counts_rows: bool = field(compare=False, default=True)
    """Whether the rows of its subject are counted before and after."""
    moves_files: bool = field(compare=False, default=False)
    """Whether it copies rows between the server and the place of the backups, beyond what SQL alone does."""
    marks_only: bool = field(compare=False, default=False)
    """Whether it writes into comments alone; a queued drop of its subject is called off by it."""
    destroys: bool = field(compare=False, default=False)
    """Whether it needs a backup that is proven, and a worker that may drop."""
    told_apart_by: str = field(compare=False, default="")
    """The field of a plan in which two wishes on one subject differ: `backup`, `steps`, or none."""

    @property
    def role(self) -> Role:
        """The least role that may do it; that of an admin for what only a foreign row of the journal knows."""
        return LEAST.get(self.name, Role.ADMIN)

    def __str__(self) -> str:
        return self.name


class Sources(Protocol):
    """What a wish may look at before its plan is built: the console's Desk."""

    @property
    def zone(self) -> str:
        """The application's time zone."""

    @property
    def now(self) -> datetime:
        """This moment."""

    @property
    def today(self) -> date:
        """The date in `zone`."""

    @property
    def server_now(self) -> datetime:
        """This moment by the server's clock, which counts for a drop. Raises Refused where the two are apart."""

    def usual_width(self, table: PartitionedTable) -> Width | None:
        """How wide the first partition of a table is to be, where the console was made for that table."""

    @property
    def may_drop(self) -> bool:
        """Whether anything may be dropped at all."""

    @property
    def backup_place(self) -> str:
        """The label of the place of the backups. Raises SettingError."""

    def read(self, table: str) -> PartitionedTable:
        """The table as it is now."""

    def address_of(self, table: str) -> str:
        """The schema and name of the table that a name means. Raises TableNotFound, AmbiguousName."""

    def alone(self, table: PartitionedTable, address: str) -> Archived | None:
        """The table of that address, where it hangs on no parent, as what may become a partition of `table`."""

    def outside(self, table: PartitionedTable, alone: Archived, bounds: Bounds) -> int:
        """How many rows of such a table do not lie in the bounds. Reads all of it."""

    def tree_indexes(self, table: PartitionedTable) -> TreeIndexes:
        """The indexes of a table and of all below it."""

    def plain(self, table: PartitionedTable, key: str, unique: tuple[str, ...] = ()) -> Plain:
        """A table that is not partitioned, and what its rows say of that column, and of those that become unique.

        Reads all of them.
        """

    def whole(self, table: PartitionedTable) -> Whole:
        """A partitioned table, and which of its partitions hold rows."""

    def begun(self, table: PartitionedTable) -> Begun | None:
        """The conversion of a table that was begun, until what it held is split by period."""

    def filled(self, table: PartitionedTable) -> tuple[str, ...]:
        """The partitions that hold a row, as `schema.name`."""

    def default_rows(self, table: PartitionedTable, ranges: Iterable[Bounds]) -> int:
        """How many rows of the ranges its DEFAULT partition holds."""

    def under_way(self, table: PartitionedTable) -> Move | None:
        """The move of rows between its partitions that was begun and not finished."""

    def bonds(self, table: PartitionedTable) -> tuple[Bond, ...]:
        """The foreign keys on the same period that bind the table to others, and those to others yet."""

    def own_keys(self, oids: Iterable[int], tables: Iterable[int]) -> tuple[OwnKey, ...]:
        """The foreign keys of these partitions, and of those that were, to these tables."""

    def holds_rows(self, one: Partition | Archived) -> bool:
        """Whether a partition, or what was one, holds a row, as far as that can be read."""

    def ground(self, table: PartitionedTable, oids: Iterable[int]) -> Ground:
        """What has to be known of these partitions before their rows are moved."""

    def strewn(self, table: PartitionedTable, one: Partition, sane: Bounds) -> Strewn:
        """How the rows of a partition lie about a range."""

    def cells(self, table: PartitionedTable, ends: Sequence[Bounds]) -> Mapping[Bounds, int]:
        """How many rows of the DEFAULT lie in each of these ranges, one beside the other; none without rows."""

    def key_range(self, table: PartitionedTable, archived: Archived) -> KeyRange | None:
        """The smallest and the largest key among the rows of an archived table."""

    def equipped(self, table: PartitionedTable, archived: Archived) -> Equipped | None:
        """What an archived table of that table has of its own; None where that can't be read just now."""

    def hanging(self, archived: Archived) -> Hanging:
        """What hangs on an archived table."""

    def surroundings(self, backup: Backup) -> Surroundings:
        """What there is of what a backup needs to be brought back."""

    def done_at(self, operation: Operation, table: str, backup: str) -> datetime | None:
        """When an operation on that table was last done with that backup, as the journal has it."""

    def holds(self, relation: str, backup: Backup) -> bool:
        """Whether a table, quoted and qualified, is what a backup holds. Reads all of its rows."""

    def dump_tool(self, version_num: int) -> str:
        """The pg_dump that reads the rows of such a server, as "pg_dump 18.4". Raises ToolMissing."""

    def lacking(self, archived: Archived, backup: Backup) -> tuple[str, ...]:
        """What of the definition of an archived table is not in a backup of it."""

    def proof_doubts(self, table: PartitionedTable, oids: Iterable[int]) -> tuple[str, ...]:
        """Why a backup of these tables could not be proven as things are, a sentence each."""


class Wish(Protocol):
    """One operation asked for, with all that a person can say of it."""

    operation: ClassVar[Operation]

    def plan(self, desk: Sources) -> Plan:
        """What it takes, as everything is now. Raises Refused for what stands in the way."""


def table_for(desk: Sources, table: str | PartitionedTable) -> PartitionedTable:
    """The table of a wish: read now where it is only named. Raises NotServed and the like where nothing can be done."""
    found = desk.read(table) if isinstance(table, str) else table
    require_served(found)
    return found
