"""The whole definition of a table and what its rows say, as frozen values: all that is needed to make it anew."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from core.names import fit, qualified
from core.tables.tied import Tied


@dataclass(frozen=True, slots=True)
class Grant:
    """One right of one role, as aclexplode() tells it."""

    grantee: str
    """Empty for PUBLIC."""
    privilege: str
    grantable: bool


@dataclass(frozen=True, slots=True)
class Rights:
    """Who may do what with a relation; `grants` is None where nothing was ever granted or revoked."""

    grants: tuple[Grant, ...] | None = None
    owner_limited: bool = False
    """Whether the owner gave up some of its own rights."""
    by_default: tuple[str, ...] = ()
    """Who gets rights on a new relation here by ALTER DEFAULT PRIVILEGES; empty text for PUBLIC."""


COLUMN_OPTIONS = ("n_distinct", "n_distinct_inherited")
"""The options of a column of a table that every PostgreSQL has."""
_SERVER_MARKS = ("pg_attver",)
"""What PostgreSQL keeps beside them for itself, from 15.20 on; most servers refuse it in an ALTER TABLE."""


_TABLE_OPTIONS = frozenset(
    [
        "autovacuum_enabled",
        "fillfactor",
        "toast_tuple_target",
        "parallel_workers",
        "user_catalog_table",
        "vacuum_index_cleanup",
        "vacuum_truncate",
        "log_autovacuum_min_duration",
        "autovacuum_vacuum_threshold",
        "autovacuum_vacuum_insert_threshold",
        "autovacuum_analyze_threshold",
        "autovacuum_vacuum_scale_factor",
        "autovacuum_vacuum_insert_scale_factor",
        "autovacuum_analyze_scale_factor",
        "autovacuum_vacuum_cost_limit",
        "autovacuum_vacuum_cost_delay",
        "autovacuum_freeze_min_age",
        "autovacuum_freeze_max_age",
        "autovacuum_freeze_table_age",
        "autovacuum_multixact_freeze_min_age",
        "autovacuum_multixact_freeze_max_age",
        "autovacuum_multixact_freeze_table_age",
    ]
)
"""The options of a table that every PostgreSQL from 14 on has (source: reloptions.c)."""
_NEWER_TABLE_OPTIONS = frozenset(("autovacuum_vacuum_max_threshold", "vacuum_max_eager_freeze_failure_rate"))
"""Those of 18, which an older one refuses."""


def _of_table(options: tuple[str, ...], names: frozenset[str]) -> tuple[str, ...]:
    return tuple(one for one in options if one.partition("=")[0].removeprefix("toast.") in names)


def _named(options: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(option for option in options if option.partition("=")[0] in names)


@dataclass(frozen=True, slots=True)
class DefinedColumn:
    """A column, and what LIKE does not carry over of it."""

    name: str
    type: str
    not_null: bool = False
    generated: bool = False
    """Computed from other columns, so that no value can be inserted."""
    statistics: int | None = None
    attoptions: tuple[str, ...] = ()
    """Each as name=value, those included that no copy of the table can have."""
    grants: tuple[Grant, ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        """Those that a copy of the table gets, on whatever server."""
        return _named(self.attoptions, COLUMN_OPTIONS)

    @property
    def odd_options(self) -> tuple[str, ...]:
        """Those that somebody set and that a copy of the table doesn't get."""
        known = _named(self.attoptions, (*COLUMN_OPTIONS, *_SERVER_MARKS))
        return tuple(option for option in self.attoptions if option not in known)


@dataclass(frozen=True, slots=True)
class OwnedSequence:
    """The sequence of an identity or serial column."""

    schema: str
    name: str
    column: str
    identity: str
    """ALWAYS or BY DEFAULT; empty for serial, whose sequence is kept itself."""
    options: str = ""
    rights: Rights = Rights()
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint, its definition as pg_get_constraintdef() gives it."""

    name: str
    kind: str
    """pg_constraint.contype: p, u, f, c, x, n."""
    definition: str
    columns: tuple[str, ...] = ()
    validated: bool = True
    no_inherit: bool = False
    """A CHECK or NOT NULL that partitions would not have."""
    comment: str | None = None
    to_itself: tuple[str, ...] = ()
    """The columns of the table itself that a foreign key references."""


@dataclass(frozen=True, slots=True)
class DefinedIndex:
    """An index; one that stands under a constraint is made with it."""

    name: str
    tail: str
    """What follows the table's name in pg_get_indexdef()."""
    columns: tuple[str, ...]
    """Empty text for an expression."""
    unique: bool = False
    partial: bool = False
    valid: bool = True
    constraint: bool = False
    comment: str | None = None
    tablespace: str = ""
    clustered: bool = False


@dataclass(frozen=True, slots=True)
class IncomingKey:
    """A foreign key of another table that references this one."""

    name: str
    other: str
    """The other table, quoted and qualified."""
    definition: str
    columns: tuple[str, ...]
    """The columns that it references."""
    owned: bool
    """Whether the connected role may alter the other table."""
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger, its definition as pg_get_triggerdef() gives it."""

    name: str
    definition: str
    enabled: str
    """pg_trigger.tgenabled: O, D, R, A."""
    reads_rows: bool = False
    """A row trigger with transition tables, which partitions can't have."""
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A row security policy and the statement that makes it."""

    name: str
    definition: str
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Statistics:
    """A statistics object and the statement that makes it."""

    schema: str
    name: str
    owner: str
    definition: str
    target: int | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """A publication that names the table."""

    name: str
    via_root: bool
    owned: bool
    columns: tuple[str, ...] = ()
    condition: str = ""


@dataclass(frozen=True, slots=True)
class Child:
    """A partition, as far as the way back needs it."""

    schema: str
    name: str
    kind: str
    """pg_class.relkind."""
    pending: bool = False
    reloptions: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    """What hangs on this partition alone and goes with it, in PostgreSQL's words."""

    @property
    def options(self) -> tuple[str, ...]:
        """Those that a table made anew on the same server gets."""
        return _of_table(self.reloptions, _TABLE_OPTIONS | _NEWER_TABLE_OPTIONS)

    @property
    def sql(self) -> str:
        """Its quoted and qualified name."""
        return qualified(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class Definition:
    """Everything that has to be made again when a table is made anew."""

    oid: int
    schema: str
    name: str
    owner: str
    user: str
    """The connected role."""
    partitioned: bool
    key: str | None = None
    """The one column of a RANGE key; None for a plain table and any other key."""
    columns: tuple[DefinedColumn, ...] = ()
    sequences: tuple[OwnedSequence, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    indexes: tuple[DefinedIndex, ...] = ()
    incoming: tuple[IncomingKey, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    policies: tuple[Policy, ...] = ()
    statistics: tuple[Statistics, ...] = ()
    publications: tuple[Publication, ...] = ()
    children: tuple[Child, ...] = ()
    rights: Rights = Rights()
    regranted: bool = False
    """Whether roles other than the owner granted some of the rights."""
    row_security: bool = False
    row_security_forced: bool = False
    replica_identity: str = "d"
    """pg_class.relreplident: d, n, f, i."""
    reloptions: tuple[str, ...] = ()
    """Each as name=value, those included that no copy of the table can have."""
    """Storage parameters, name=value; those of the TOAST table begin with "toast."."""
    tablespace: str = ""
    unlogged: bool = False
    comment: str | None = None
    dependents: tuple[str, ...] = ()
    """Views and whatever else would stay behind with the old table, in PostgreSQL's words."""
    tied: tuple[Tied, ...] = ()
    """What of that can be made to follow the table's name."""
    oddities: tuple[str, ...] = ()
    """Reasons that need no further look: unlogged, inherited, typed, with rules, ..."""

    @property
    def options(self) -> tuple[str, ...]:
        """Those that a table made anew on the same server gets."""
        return _of_table(self.reloptions, _TABLE_OPTIONS | _NEWER_TABLE_OPTIONS)

    @property
    def portable_options(self) -> tuple[str, ...]:
        """Those that a copy gets on whatever server."""
        return _of_table(self.reloptions, _TABLE_OPTIONS)

    @property
    def odd_options(self) -> tuple[str, ...]:
        """Those that nothing is known of here."""
        return tuple(one for one in self.reloptions if one not in self.options)

    @property
    def sql(self) -> str:
        """Its quoted and qualified name."""
        return qualified(self.schema, self.name)

    @property
    def label(self) -> str:
        """Its name for people: schema.name."""
        return f"{self.schema}.{self.name}"

    @property
    def aside(self) -> str:
        """The name that the old table has until it is dropped."""
        return fit(self.name, "_before")

    @property
    def aside_sql(self) -> str:
        """The same, quoted and qualified."""
        return qualified(self.schema, self.aside)

    def column(self, name: str) -> DefinedColumn | None:
        """The column of that name."""
        return next((column for column in self.columns if column.name == name), None)

    @property
    def primary_key(self) -> Constraint | None:
        """The PRIMARY KEY."""
        return next((one for one in self.constraints if one.kind == "p"), None)

    def of_kind(self, kinds: str) -> tuple[Constraint, ...]:
        """The constraints of the kinds named by their letters."""
        return tuple(one for one in self.constraints if one.kind in kinds)


_MEMO = "partition-desk: "


@dataclass(frozen=True, slots=True)
class Memo:
    """The last line in the comment of a constraint or index that says why it is as it is."""

    was: str = ""
    """The definition of the constraint on the plain table; empty for what the plain table did not have."""
    nullable: bool = False
    """Whether the key could be NULL before the primary key got it."""

    def beside(self, comment: str | None) -> str:
        """The user's comment with the memo as its last line."""
        line = _MEMO + json.dumps(asdict(self), ensure_ascii=False)
        return f"{comment}\n{line}" if comment else line

    @classmethod
    def split(cls, comment: str | None) -> tuple[str | None, Memo | None]:
        """(the user's comment, the memo); a line that can't be read counts as the user's."""
        head, _, last = (comment or "").rpartition("\n")
        if not last.startswith(_MEMO):
            return comment, None
        try:
            return head or None, cls(**json.loads(last.removeprefix(_MEMO)))
        except (ValueError, TypeError):
            return comment, None


def remembered_key(definition: Definition) -> tuple[str, ...]:
    """The columns of the primary key that the plain table had, where partitioning added the key to it."""
    primary = definition.primary_key
    memo = Memo.split(primary.comment)[1] if primary else None
    if primary is None or memo is None or not memo.was or primary.columns[-1] != definition.key:
        return ()
    return primary.columns[:-1]


def wanted_unique(definition: Definition, columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that have to become unique, or none: they are already, or the table lacks one of them."""
    if not columns or any(definition.column(name) is None for name in columns):
        return ()
    found = any(i.unique and not i.partial and set(i.columns) == set(columns) for i in definition.indexes)
    return () if found else columns
