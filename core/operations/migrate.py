"""Migrate: a plain table becomes partitioned with all its rows, and plain again, each in one transaction.

The table is made anew beside the old one, filled, compared, and only then is the old one dropped. What the new table
has only because it is partitioned says so in its own comment (`Memo`), so that the way back takes it away again.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date

from core.bounds import Bounds, Key, KeyType
from core.errors import DetachPending, NameTaken, NotAllowed, NotServed, ReadOnlyServer, Refused
from core.model import PartitionedTable
from core.names import fit, ident, literal, qualified
from core.period import Period
from core.plan import comment_sql


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


@dataclass(frozen=True, slots=True)
class DefinedColumn:
    """A column, and what LIKE does not carry over of it."""

    name: str
    type: str
    not_null: bool = False
    generated: bool = False
    """Computed from other columns, so that no value can be inserted."""
    hashable: bool = True
    """Whether its type has a hash function of its own; others are compared as text."""
    statistics: int | None = None
    options: tuple[str, ...] = ()
    grants: tuple[Grant, ...] = ()


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
    options: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    """What hangs on this partition alone and goes with it, in PostgreSQL's words."""

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
    options: tuple[str, ...] = ()
    """Storage parameters, name=value; those of the TOAST table begin with "toast."."""
    tablespace: str = ""
    comment: str | None = None
    dependents: tuple[str, ...] = ()
    """Views and whatever else would stay behind with the old table, in PostgreSQL's words."""
    oddities: tuple[str, ...] = ()
    """Reasons that need no further look: unlogged, inherited, typed, with rules, ..."""

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


@dataclass(frozen=True, slots=True)
class Target:
    """What a plain table is to become: partitioned by years of `key`, with `unique` enforced at the parent."""

    key: str = "date"
    unique: tuple[str, ...] = ("kid_id", "date")
    """Left alone where the table lacks one of the columns."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What the rows say, read under the lock."""

    rows: int
    years: tuple[int, ...] = ()
    """The years that have rows."""
    without_key: int = 0
    """Rows whose key is NULL."""
    out_of_calendar: int = 0
    """Rows before the year 1 or after 9998, infinity included."""
    duplicates: int = 0
    """Groups of rows that are equal in the columns that are to become unique."""
    taken: frozenset[str] = frozenset()
    """Names of relations and types of the table's schema."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """The final SQL of a migration, one transaction: what takes locks first, then what works under them."""

    table: str
    locks: tuple[str, ...]
    """Run together, under the lock budget, and begun again where a lock isn't got in time."""
    statements: tuple[str, ...]
    effects: tuple[str, ...]
    """What has changed, in plain sentences."""

    @property
    def sql(self) -> str:
        """The whole as a script for psql."""
        return "\n".join(["BEGIN;", *(f"{statement};" for statement in (*self.locks, *self.statements)), "COMMIT;"])


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


# ---------------------------------------------------------------- what is looked at beforehand


def require_rights(table: PartitionedTable) -> None:
    """Raises NotAllowed or ReadOnlyServer where the connected role can't make the table anew on this server."""
    server = table.server
    if server.in_recovery or server.read_only:
        kind = "a standby" if server.in_recovery else "read-only"
        raise ReadOnlyServer(f"This server is {kind}.", next="Connect to the primary server.")
    if not table.owned:
        raise NotAllowed(
            f"The role {server.user} does not own {table.label}; its owner is {table.owner}.",
            next=f"Connect as {table.owner}, or grant the role {table.owner} to {server.user}.",
        )
    if not table.may_create:
        raise NotAllowed(
            f"The role {server.user} may not create tables in the schema {table.schema}.",
            next=f"Run as its owner: GRANT CREATE ON SCHEMA {ident(table.schema)} TO {ident(server.user)}.",
        )


def require_partitionable(definition: Definition, target: Target) -> Key:
    """The key, where the table can become partitioned. Raises Refused with every reason that stands against it."""
    if definition.partitioned:
        raise NotServed(
            f"{definition.label} is partitioned already.",
            next="If it was partitioned in another way, alembic stamp head records that without changing it.",
        )
    column = definition.column(target.key)
    if column is None:
        raise Refused(
            f"{definition.label} has no column {target.key} to be partitioned by.",
            next="Name another with alembic -x key=COLUMN upgrade head.",
        )
    if column.type not in set(KeyType):
        raise Refused(
            f"{definition.label} can't be partitioned by years: its column {target.key} is {column.type}, "
            "not date, timestamp or timestamp with time zone.",
            next="Change its type first: ALTER TABLE ... ALTER COLUMN ... TYPE date USING ...",
        )
    reasons = (*definition.oddities, *_left_behind(definition), *_unfit(definition, column))
    if reasons:
        raise Refused(" ".join((f"{definition.label} can't be partitioned as it is.", *reasons)))
    return Key(target.key, KeyType(column.type))


def require_unpartitionable(definition: Definition) -> None:
    """Raises Refused with every reason that stands against a plain table."""
    if not definition.partitioned:
        raise NotServed(f"{definition.label} is not partitioned: there is nothing to take back.")
    column = definition.column(definition.key or "")
    if column is None or column.type not in set(KeyType):
        raise NotServed(f"{definition.label} is not partitioned by RANGE of one date or timestamp column.")
    for child in definition.children:
        if child.pending:
            raise DetachPending(
                f"The detach of {child.name} was begun and not finished: its rows would be left out.",
                next=f"Finish it first: partitions archive --partition {child.name}.",
            )
        if child.kind != "r":
            what = "partitioned again" if child.kind == "p" else "a foreign table"
            raise NotServed(f"{child.name} is {what}; the console only shows such a table.")
    reasons = (*definition.oddities, *_left_behind(definition), *_unowned(definition))
    if reasons:
        raise Refused(" ".join((f"{definition.label} can't become a plain table as it is.", *reasons)))


def _left_behind(definition: Definition) -> Iterator[str]:
    if definition.dependents:
        yield (
            f"These would stay with the old table: {', '.join(definition.dependents)}. "
            "Drop them first and make them again afterwards."
        )
    if definition.replica_identity == "i":
        yield "Its replica identity is an index. Set it to DEFAULT or FULL first."


def _unowned(definition: Definition) -> Iterator[str]:
    for fk in definition.incoming:
        if not fk.owned:
            yield f"The foreign key {fk.name} has to be made again, and its table {fk.other} belongs to another role."
    for publication in definition.publications:
        if not publication.owned:
            yield f"The publication {publication.name}, which has to name the new table, belongs to another role."


def _unfit(definition: Definition, column: DefinedColumn) -> Iterator[str]:
    key = column.name
    if column.generated:
        yield f"{key} is a generated column, which can't be a partition key."
    for fk in definition.incoming:
        if key not in fk.columns:
            yield (
                f"The foreign key {fk.name} of {fk.other} references ({', '.join(fk.columns)}), which can't stay "
                f"unique without {key}. Drop that foreign key first."
            )
    for one in definition.constraints:
        yield from _unfit_constraint(one, key)
    for index in definition.indexes:
        if index.unique and not index.constraint and key not in index.columns:
            yield f"The unique index {index.name} can't be kept: PostgreSQL needs {key} in it. Drop it first."
        if not index.valid:
            yield f"The index {index.name} is invalid. Drop it, or REINDEX it, first."
    for trigger in definition.triggers:
        if trigger.reads_rows:
            yield f"The trigger {trigger.name} has transition tables for each row, which partitions can't have."
    for publication in definition.publications:
        if (publication.columns or publication.condition) and not publication.via_root:
            yield (
                f"The publication {publication.name} names columns or rows of the table, which needs "
                "publish_via_partition_root. Set it first."
            )
    yield from _unowned(definition)


def _unfit_constraint(one: Constraint, key: str) -> Iterator[str]:
    if one.kind == "u" and key not in one.columns:
        yield f"The unique constraint {one.name} can't be kept: PostgreSQL needs {key} in it. Drop it first."
    if one.kind == "x":
        yield f"The exclusion constraint {one.name} can't be kept. Drop it first."
    if one.to_itself and key not in one.to_itself:
        yield (
            f"The foreign key {one.name} references ({', '.join(one.to_itself)}) of the table itself, which can't stay "
            f"unique without {key}. Drop that foreign key first."
        )
    if not one.validated:
        yield f"The constraint {one.name} is not valid for all rows. Run ALTER TABLE ... VALIDATE CONSTRAINT first."
    if one.no_inherit:
        yield f"The constraint {one.name} is NO INHERIT, which a partitioned table can't have."


# ---------------------------------------------------------------- the two plans


def lock_statements(definition: Definition) -> tuple[str, ...]:
    """What takes every lock of the migration: on the table, and on those that foreign keys join it to.

    A foreign key is dropped here, and made again at the end, because that locks the other table without needing
    rights on it.
    """
    forced = (f"ALTER TABLE {definition.sql} NO FORCE ROW LEVEL SECURITY",) if definition.row_security_forced else ()
    return (
        f"LOCK TABLE {definition.sql} IN ACCESS EXCLUSIVE MODE",
        *(f"ALTER TABLE {fk.other} DROP CONSTRAINT {ident(fk.name)}" for fk in definition.incoming),
        *(f"ALTER TABLE {definition.sql} DROP CONSTRAINT {ident(fk.name)}" for fk in definition.of_kind("f")),
        *forced,
    )


def wanted_unique(definition: Definition, target: Target) -> tuple[str, ...]:
    """The columns that have to become unique, or none: they are already, or the table lacks one of them."""
    if not target.unique or any(definition.column(name) is None for name in target.unique):
        return ()
    wanted = set(target.unique)
    found = any(i.unique and not i.partial and set(i.columns) == wanted for i in definition.indexes)
    return () if found else target.unique


def remembered_key(definition: Definition) -> tuple[str, ...]:
    """The columns of the primary key that the plain table had, where partitioning added the key to it."""
    primary = definition.primary_key
    memo = Memo.split(primary.comment)[1] if primary else None
    if primary is None or memo is None or not memo.was or primary.columns[-1] != definition.key:
        return ()
    return primary.columns[:-1]


def plan_partition(
    definition: Definition, contents: Contents, *, today: date, target: Target | None = None, zone: str = "UTC"
) -> Conversion:
    """The SQL that partitions a plain table by years: those with rows, this one and the next.

    ACCESS EXCLUSIVE on the table from beginning to end. Raises Refused for what stands in the way.
    """
    target = target or Target()
    key = require_partitionable(definition, target)
    children = _new_children(definition, contents, key, today, zone)
    _require_rows_fit(definition, contents, target)
    constraints, notes = _widened(definition, target)
    added = _additions(definition, target)
    _require_free(definition, contents, (*(name for name, _ in children), *(one.name for one in added)))
    options = _with(definition.options)
    made = [
        f"CREATE TABLE {definition.sql} ({_like(definition)}) PARTITION BY RANGE ({ident(key.column)})"
        + _in_tablespace(definition),
        *_owner(definition, definition.sql),
        *_sequences(definition),
    ]
    for name, bounds in children:
        child = qualified(definition.schema, name)
        made.append(f"CREATE TABLE {child} PARTITION OF {definition.sql} {bounds.text}{options}")
        made.extend(_owner(definition, child))
    statements = (
        *_put_aside(definition),
        *made,
        _copy(definition),
        _compare(definition),
        f"DROP TABLE {definition.aside_sql}",
        *_indexing(definition, (*constraints, *(one for one in added if isinstance(one, Constraint)))),
        *(line for one in added if isinstance(one, DefinedIndex) for line in _index(definition, one)),
        *_belongings(definition, tuple(qualified(definition.schema, name) for name, _ in children)),
        f"ANALYZE {definition.sql}",
    )
    first, last = children[0][0], children[-1][0]
    effects = (
        f"{definition.label} is partitioned by RANGE ({key.column}): {contents.rows:,} rows "
        f"in {len(children)} partitions, {first} to {last}.",
        *notes,
        *(f"{_what(one)} was added; the way back takes it away again." for one in added),
        *_told(definition),
    )
    return Conversion(definition.label, lock_statements(definition), statements, effects)


def plan_unpartition(definition: Definition, contents: Contents, *, archived: Iterable[str] = ()) -> Conversion:
    """The SQL that makes a partitioned table plain, with the rows of all its partitions.

    `archived` are the names of the tables that were detached from it; they are left where they are, and told.
    `contents.duplicates` counts groups of rows equal in `remembered_key`. ACCESS EXCLUSIVE on the table and all its
    partitions from beginning to end. Raises Refused for what stands in the way.
    """
    require_unpartitionable(definition)
    _require_free(definition, contents, ())
    constraints, indexes, nullable, notes = _narrowed(definition, contents)
    options = Counter(child.options for child in definition.children).most_common(1)
    statements = (
        *_put_aside(definition),
        f"CREATE TABLE {definition.sql} ({_like(definition)}){_with(options[0][0] if options else ())}"
        + _in_tablespace(definition),
        *_owner(definition, definition.sql),
        *_sequences(definition),
        _copy(definition),
        _compare(definition),
        "DROP TABLE " + ", ".join((*(child.sql for child in definition.children), definition.aside_sql)),
        *_nullable(definition, nullable),
        *_indexing(definition, constraints, indexes),
        *_belongings(definition, ()),
        f"ANALYZE {definition.sql}",
    )
    left = tuple(archived)
    extras = [extra for child in definition.children for extra in child.extras]
    effects = (
        f"{definition.label} is a plain table again: {contents.rows:,} rows "
        f"from {len(definition.children)} partitions.",
        *notes,
        *([f"Archived and left where they are, not in the plain table: {', '.join(left)}."] if left else []),
        *([f"Gone with the partitions that alone had them: {', '.join(extras)}."] if extras else []),
        *_told(definition),
    )
    return Conversion(definition.label, lock_statements(definition), statements, effects)


# ---------------------------------------------------------------- what only partitioning does


def _new_children(
    definition: Definition, contents: Contents, key: Key, today: date, zone: str
) -> tuple[tuple[str, Bounds], ...]:
    years = sorted({*contents.years, today.year, today.year + 1})
    ranges = [Period.YEAR.containing(date(year, 1, 1)) for year in years]
    return tuple(
        (fit(definition.name, f"_{Period.YEAR.label(lower)}"), Bounds.between(key, lower, upper, zone))
        for lower, upper in ranges
    )


def _require_rows_fit(definition: Definition, contents: Contents, target: Target) -> None:
    if contents.without_key:
        raise Refused(
            f"{contents.without_key:,} rows of {definition.label} have no {target.key}: no partition can hold them.",
            next=f"Give them one, or move them out: SELECT * FROM {definition.sql} WHERE {ident(target.key)} IS NULL.",
        )
    if contents.out_of_calendar:
        raise Refused(
            f"{contents.out_of_calendar:,} rows of {definition.label} have a {target.key} that is infinite, or lies "
            "before the year 1 or after 9998.",
            next="Put them right, or move them out, first.",
        )
    if contents.duplicates:
        columns = ", ".join(target.unique)
        raise Refused(
            f"({columns}) has to be unique in {definition.label}, and {contents.duplicates:,} pairs of values stand in "
            "more than one row.",
            next=f"Find them: SELECT {', '.join(map(ident, target.unique))} FROM {definition.sql} "
            f"GROUP BY {', '.join(map(ident, target.unique))} HAVING count(*) > 1.",
        )


def _require_free(definition: Definition, contents: Contents, names: tuple[str, ...]) -> None:
    asides = [fit(one.name, "_before") for one in definition.sequences if one.identity]
    clash = sorted({definition.aside, *asides, *names} & contents.taken)
    if clash:
        raise NameTaken(
            f"{definition.schema} already holds {', '.join(clash)}, which the migration needs for itself.",
            next="Rename what stands there, or move it to another schema.",
        )


_PRIMARY_KEY = re.compile(r'PRIMARY KEY \((?P<columns>(?:"(?:[^"]|"")+"|[^")])*)\)')


def _widened(definition: Definition, target: Target) -> tuple[tuple[Constraint, ...], tuple[str, ...]]:
    """The PRIMARY KEY and UNIQUE constraints that the partitioned table gets, and what there is to tell of them."""
    primary = definition.primary_key
    constraints = definition.of_kind("pu")
    if primary is None or target.key in primary.columns:
        return constraints, ()
    column = definition.column(target.key)
    memo = Memo(primary.definition, nullable=column is not None and not column.not_null)
    wider = Constraint(
        primary.name,
        "p",
        _PRIMARY_KEY.sub(lambda found: f"PRIMARY KEY ({found['columns']}, {ident(target.key)})", primary.definition),
        (*primary.columns, target.key),
        comment=memo.beside(primary.comment),
    )
    before = ", ".join(primary.columns)
    note = (
        f"The primary key {primary.name} is ({before}, {target.key}) now: PostgreSQL needs the partition column in it. "
        f"That ({before}) alone is unique is no longer checked."
    )
    return tuple(wider if one is primary else one for one in constraints), (note,)


def _additions(definition: Definition, target: Target) -> tuple[Constraint | DefinedIndex, ...]:
    memo = Memo().beside(None)
    added: list[Constraint | DefinedIndex] = []
    unique = wanted_unique(definition, target)
    if unique:
        listed = ", ".join(map(ident, unique))
        name = fit(definition.name, fit("_" + "_".join(unique), "_key")[-40:])
        added.append(Constraint(name, "u", f"UNIQUE ({listed})", unique, comment=memo))
    if not any(index.columns == (target.key,) and not index.partial for index in definition.indexes):
        name = fit(definition.name, fit(f"_{target.key}", "_idx")[-40:])
        added.append(DefinedIndex(name, f"USING btree ({ident(target.key)})", (target.key,), comment=memo))
    return tuple(added)


def _what(one: Constraint | DefinedIndex) -> str:
    kind = "unique constraint" if isinstance(one, Constraint) else "index"
    return f"The {kind} {one.name} on ({', '.join(one.columns)})"


# ---------------------------------------------------------------- what only the way back does


def _narrowed(
    definition: Definition, contents: Contents
) -> tuple[tuple[Constraint, ...], tuple[DefinedIndex, ...], bool, tuple[str, ...]]:
    """The constraints and indexes of the plain table, whether its key may be NULL again, and what there is to tell."""
    referenced = [frozenset(fk.columns) for fk in definition.incoming]
    referenced += [frozenset(one.to_itself) for one in definition.constraints if one.to_itself]
    constraints: list[Constraint] = []
    notes: list[str] = []
    nullable = False
    for one in definition.of_kind("pux"):
        comment, memo = Memo.split(one.comment)
        if memo is None:
            constraints.append(one)
        elif frozenset(one.columns) in referenced:
            constraints.append(_commented(one, comment))
            notes.append(f"{one.name} stays on ({', '.join(one.columns)}): a foreign key references it.")
        elif memo.was and contents.duplicates:
            constraints.append(_commented(one, comment))
            notes.append(
                f"The primary key stays on ({', '.join(one.columns)}): {contents.duplicates:,} values of "
                f"({', '.join(remembered_key(definition))}) stand in more than one row."
            )
        elif memo.was:
            nullable = memo.nullable
            constraints.append(Constraint(one.name, one.kind, memo.was, one.columns[:-1], comment=comment))
            notes.append(f"The primary key {one.name} is ({', '.join(one.columns[:-1])}) again.")
        else:
            notes.append(f"{_what(one)} was there for the partitions only and is gone.")
    indexes: list[DefinedIndex] = []
    for index in definition.indexes:
        if Memo.split(index.comment)[1] is None:
            indexes.append(index)
        else:
            notes.append(f"{_what(index)} was there for the partitions only and is gone.")
    return tuple(constraints), tuple(indexes), nullable, tuple(notes)


def _nullable(definition: Definition, nullable: bool) -> tuple[str, ...]:
    if not nullable or definition.key is None:
        return ()
    return (f"ALTER TABLE {definition.sql} ALTER COLUMN {ident(definition.key)} DROP NOT NULL",)


def _commented(one: Constraint, comment: str | None) -> Constraint:
    return Constraint(one.name, one.kind, one.definition, one.columns, comment=comment)


# ---------------------------------------------------------------- the pieces of both


def _like(definition: Definition) -> str:
    """The columns with defaults, NOT NULL, generation, CHECKs, storage and comments; no identity, no index."""
    what = ("DEFAULTS", "GENERATED", "CONSTRAINTS", "STORAGE", "COMPRESSION", "COMMENTS")
    return " ".join((f"LIKE {definition.aside_sql}", *(f"INCLUDING {one}" for one in what)))


def _in_tablespace(definition: Definition) -> str:
    return f" TABLESPACE {ident(definition.tablespace)}" if definition.tablespace else ""


def _with(options: tuple[str, ...]) -> str:
    pairs = (option.partition("=") for option in options)
    listed = ", ".join(f"{name}={literal(value).strip()}" for name, _, value in pairs)
    return f" WITH ({listed})" if listed else ""


def _owner(definition: Definition, relation: str) -> tuple[str, ...]:
    if definition.owner == definition.user:
        return ()
    return (f"ALTER TABLE {relation} OWNER TO {ident(definition.owner)}",)


def _put_aside(definition: Definition) -> Iterator[str]:
    for one in definition.sequences:
        if one.identity:
            yield f"ALTER SEQUENCE {qualified(one.schema, one.name)} RENAME TO {ident(fit(one.name, '_before'))}"
    yield f"ALTER TABLE {definition.sql} RENAME TO {ident(definition.aside)}"


def _sequences(definition: Definition) -> Iterator[str]:
    """Identity columns get a sequence that goes on where the old one stands; a serial's sequence changes hands."""
    for one in definition.sequences:
        sequence = qualified(one.schema, one.name)
        if not one.identity:
            yield f"ALTER SEQUENCE {sequence} OWNED BY {definition.sql}.{ident(one.column)}"
            continue
        old = qualified(one.schema, fit(one.name, "_before"))
        yield (
            f"ALTER TABLE {definition.sql} ALTER COLUMN {ident(one.column)} ADD GENERATED {one.identity} AS IDENTITY "
            f"(SEQUENCE NAME {sequence} {one.options})"
        )
        yield f"SELECT pg_catalog.setval({literal(sequence).strip()}, last_value, is_called) FROM {old}"
        yield from _grants(f"SEQUENCE {sequence}", one.rights, definition.owner)
        if one.comment is not None:
            yield f"COMMENT ON SEQUENCE {sequence} IS {literal(one.comment).strip()}"


def _copy(definition: Definition) -> str:
    columns = ", ".join(ident(column.name) for column in definition.columns if not column.generated)
    overriding = " OVERRIDING SYSTEM VALUE" if any(one.identity for one in definition.sequences) else ""
    return f"INSERT INTO {definition.sql} ({columns}){overriding} SELECT {columns} FROM {definition.aside_sql}"


def _compare(definition: Definition) -> str:
    """Raises where the copy has not the same rows: their number, and a sum of hashes that no order changes."""
    row = ", ".join(ident(c.name) + ("" if c.hashable else "::pg_catalog.text") for c in definition.columns)
    read = f"SELECT pg_catalog.count(*) AS rows, pg_catalog.sum(pg_catalog.hash_record_extended(ROW({row}), 0)) AS hash"
    body = f"""
DECLARE
  original record;
  copied record;
BEGIN
  {read} INTO original FROM {definition.aside_sql};
  {read} INTO copied FROM {definition.sql};
  IF original IS DISTINCT FROM copied THEN
    RAISE EXCEPTION 'the copy differs from the table: % rows before, % rows after', original.rows, copied.rows;
  END IF;
END
"""
    tag = "$compare$"
    while tag in body:
        tag = f"{tag[:-1]}_$"
    return f"DO {tag}{body}{tag}"


def _indexing(
    definition: Definition, constraints: tuple[Constraint, ...], indexes: tuple[DefinedIndex, ...] | None = None
) -> Iterator[str]:
    """PRIMARY KEY, UNIQUE and plain indexes under their own names, which the old table has given up by now."""
    standing = {index.name: index for index in definition.indexes}
    for one in constraints:
        index = standing.get(one.name)
        add = f"ALTER TABLE {definition.sql} ADD CONSTRAINT {ident(one.name)} {one.definition}"
        yield from _placed(add, index.tablespace if index else "")
        yield from _comment(f"CONSTRAINT {ident(one.name)} ON {definition.sql}", one.comment)
        yield from _comment(f"INDEX {qualified(definition.schema, one.name)}", index.comment if index else None)
    for index in definition.indexes if indexes is None else indexes:
        if not index.constraint:
            yield from _index(definition, index)
    if not definition.partitioned:
        return
    for index in definition.indexes:
        if index.clustered:
            yield f"ALTER TABLE {definition.sql} CLUSTER ON {ident(index.name)}"


def _index(definition: Definition, index: DefinedIndex) -> Iterator[str]:
    unique = "UNIQUE " if index.unique else ""
    yield from _placed(f"CREATE {unique}INDEX {ident(index.name)} ON {definition.sql} {index.tail}", index.tablespace)
    yield from _comment(f"INDEX {qualified(definition.schema, index.name)}", index.comment)


def _placed(statement: str, tablespace: str) -> tuple[str, ...]:
    """The printed definitions leave out the tablespace."""
    if not tablespace:
        return (statement,)
    return (
        f"SET LOCAL default_tablespace = {literal(ident(tablespace)).strip()}",
        statement,
        "SET LOCAL default_tablespace = ''",
    )


def _comment(what: str, comment: str | None) -> tuple[str, ...]:
    return () if comment is None else (f"COMMENT ON {what} IS {literal(comment).strip()}",)


def _belongings(definition: Definition, children: tuple[str, ...]) -> Iterator[str]:
    """Everything else that hangs on the table, in an order in which each finds what it needs."""
    table = definition.sql
    for one in definition.of_kind("f"):
        yield f"ALTER TABLE {table} ADD CONSTRAINT {ident(one.name)} {one.definition}"
        yield from _comment(f"CONSTRAINT {ident(one.name)} ON {table}", one.comment)
    for fk in definition.incoming:
        yield f"ALTER TABLE {fk.other} ADD CONSTRAINT {ident(fk.name)} {fk.definition}"
    yield from _column_settings(definition, children)
    identity = {"f": "FULL", "n": "NOTHING"}.get(definition.replica_identity)
    if identity:
        yield from (f"ALTER TABLE {relation} REPLICA IDENTITY {identity}" for relation in (table, *children))
    for statistics in definition.statistics:
        yield from _statistics(definition, statistics)
    for trigger in definition.triggers:
        yield trigger.definition
        state = {"D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}.get(trigger.enabled)
        if state:
            yield f"ALTER TABLE {table} {state} TRIGGER {ident(trigger.name)}"
        yield from _comment(f"TRIGGER {ident(trigger.name)} ON {table}", trigger.comment)
    if definition.row_security:
        yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
    if definition.row_security_forced:
        yield f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"
    for policy in definition.policies:
        yield policy.definition
        yield from _comment(f"POLICY {ident(policy.name)} ON {table}", policy.comment)
    yield from _grants(f"TABLE {table}", definition.rights, definition.owner)
    for column in definition.columns:
        yield from _grant(f"TABLE {table}", column.grants, f" ({ident(column.name)})")
    if definition.comment is not None:
        yield comment_sql(table, definition.comment)
    for publication in definition.publications:
        columns = f" ({', '.join(map(ident, publication.columns))})" if publication.columns else ""
        where = f" WHERE ({publication.condition})" if publication.condition else ""
        yield f"ALTER PUBLICATION {ident(publication.name)} ADD TABLE {table}{columns}{where}"


def _column_settings(definition: Definition, children: tuple[str, ...]) -> Iterator[str]:
    for column in definition.columns:
        alter = f"ALTER COLUMN {ident(column.name)}"
        if column.statistics is not None:
            yield f"ALTER TABLE {definition.sql} {alter} SET STATISTICS {column.statistics}"
        if column.options:
            for relation in (definition.sql, *children):
                yield f"ALTER TABLE {relation} {alter} SET ({', '.join(column.options)})"


def _statistics(definition: Definition, one: Statistics) -> Iterator[str]:
    name = qualified(one.schema, one.name)
    yield one.definition
    if one.owner != definition.user:
        yield f"ALTER STATISTICS {name} OWNER TO {ident(one.owner)}"
    if one.target is not None:
        yield f"ALTER STATISTICS {name} SET STATISTICS {one.target}"
    yield from _comment(f"STATISTICS {name}", one.comment)


def _role(name: str) -> str:
    return ident(name) if name else "PUBLIC"


def _grants(relation: str, rights: Rights, owner: str) -> Iterator[str]:
    revoked = [*rights.by_default, *([owner] if rights.owner_limited else [])]
    if revoked:
        yield f"REVOKE ALL ON {relation} FROM {', '.join(map(_role, revoked))}"
    own = () if rights.owner_limited else (owner,)
    yield from _grant(relation, tuple(one for one in rights.grants or () if one.grantee not in own), "")


def _grant(relation: str, grants: tuple[Grant, ...], columns: str) -> Iterator[str]:
    """One statement for each role, in the order of the rights' list; apart where some may be passed on."""
    together: dict[tuple[str, bool], list[str]] = {}
    for one in grants:
        together.setdefault((one.grantee, one.grantable), []).append(one.privilege + columns)
    for (grantee, grantable), privileges in together.items():
        option = " WITH GRANT OPTION" if grantable else ""
        yield f"GRANT {', '.join(privileges)} ON {relation} TO {_role(grantee)}{option}"


def _told(definition: Definition) -> Iterator[str]:
    if definition.regranted:
        yield "Rights that others than the owner had granted are granted by the owner now."
    clustered = [index.name for index in definition.indexes if index.clustered]
    if clustered and not definition.partitioned:
        yield f"CLUSTER no longer knows {clustered[0]} by itself: a partitioned table keeps no such mark."
    for publication in definition.publications:
        if not publication.via_root and not definition.partitioned:
            yield (
                f"The publication {publication.name} sends changes under the partitions' names: its subscribers need "
                "those tables, or set publish_via_partition_root."
            )
