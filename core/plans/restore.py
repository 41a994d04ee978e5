"""Restore: the plan that makes a backed up table anew in the archive schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from typing import ClassVar

from core.errors import BackupUnusable, NameTaken, NotAllowed, TableNotFound
from core.names import comment_sql, ident, literal, qualified
from core.period import Duration
from core.plans.guard import OwnStatements
from core.plans.manifest import Backup, LeftOut, Needed
from core.plans.operation import Danger, Operation, Sources
from core.plans.plan import Plan, Step, basis, nothing_to_do
from core.plans.proof import Kept
from core.plans.script import copy_statement, marks_of
from core.postgres.server import Server
from core.postgres.session import PORTABLE
from core.tables.bounds import Bounds
from core.tables.commands import backup_twin
from core.tables.fingerprint import require_fingerprint_sql
from core.tables.marks import Hold, Marks
from core.tables.partition import Partition
from core.tables.table import ArchiveSchema, PartitionedTable
from core.text import human_bytes, plural, to_run

RESTORE = Operation(
    "restore", "Restore", "restoring", Danger.DIALOG, counts_rows=False, moves_files=True, told_apart_by="backup"
)


@dataclass(frozen=True, slots=True)
class Restore:
    """That a backup is brought back, also into a database that never had its table."""

    operation: ClassVar = RESTORE
    kept: Kept
    hold: Hold | None = None

    def plan(self, desk: Sources) -> Plan:
        """Reads what there is of what it needs. Raises Refused for what stands in the way."""
        try:
            table = desk.read(self.kept.backup.parent)
        except TableNotFound:
            table = None
        there = desk.surroundings(self.kept.backup)
        done = _done_before(desk, table, self.kept.backup, there)
        if done is not None:
            return done
        plan = plan_restore(table, self.kept, there=there, hold=self.hold, place_label=desk.backup_place)
        return replace(plan, place=desk.backup_place)


def _done_before(desk: Sources, table: PartitionedTable | None, backup: Backup, there: Surroundings) -> Plan | None:
    """A plan without steps, where the table is in the archive schema as the backup has it.

    Or where it was restored from that very backup and is attached since, unchanged.
    """
    address, archive = table.address if table else backup.parent, there.archive.name
    bounds = backup.range
    archived = [one for one in table.archived if (one.schema, one.name) == (archive, backup.name)] if table else []
    other = any(one.bounds is not None and one.bounds.text != backup.bounds for one in archived)
    if backup.name in there.archive.taken and not other and desk.holds(qualified(archive, backup.name), backup):
        why = f"{archive}.{backup.name} is there as the backup {backup.id} has it, row by row."
        return nothing_to_do(RESTORE, address, backup.name, why, backup=backup.id)
    attached = [one for one in table.ranges if one.bounds == bounds and not one.pending] if table else []
    if attached and desk.done_at(RESTORE, address, backup.id) and desk.holds(attached[0].sql, backup):
        where = f"{attached[0].schema}.{attached[0].name}"
        why = f"It was restored and is attached to {address} as {where}, as the backup {backup.id} has it, row by row."
        return nothing_to_do(RESTORE, address, backup.name, why, backup=backup.id)
    return None


def hold_of_restored(lasts: Duration, today: date, by: str) -> Hold:
    """The hold under which a table comes back, so that no rule takes it again at once."""
    return Hold(lasts.after(today).isoformat(), "Restored from a backup", by)


def _holding(table: PartitionedTable, backup: Backup) -> tuple[Partition, ...]:
    """The partitions that hold a part of a backup's range."""
    bounds = Bounds.shown(backup.bounds).on(table.key) if table.key is not None else None
    if bounds is None:
        return ()
    return tuple(p for p in table.ranges if p.bounds is not None and p.bounds.overlaps(bounds))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What there is on the server that a backup is to be restored on, of all that it asks for."""

    server: Server
    archive: ArchiveSchema
    """Its `taken` holds every name of a relation or type in the schema."""
    encoding: str
    schemas: frozenset[str] = frozenset()
    present: frozenset[str] = frozenset()
    """Of the `needs` of what was left out, those that exist."""
    types: dict[str, Needed | None] = field(default_factory=dict)
    """Of the needed types those that exist, quoted and qualified, each as it is here, None where SQL can't make it; of
    the extensions, their names quoted."""
    available: frozenset[str] = frozenset()
    """Of the needed extensions, those that could be made."""
    sent_by: tuple[str, ...] = ()
    """The publications that a table is in as soon as it is made in the archive schema."""
    may_own: frozenset[str] = frozenset()
    """Roles that the connected one may give a table to."""


def plan_restore(
    table: PartitionedTable | None,
    kept: Kept,
    *,
    there: Surroundings,
    hold: Hold | None = None,
    place_label: str = "",
) -> Plan:
    """A plan that makes the backed up table anew in the archive schema, in one transaction, under `hold`.

    `table` is its parent, None where there is none here. Raises BackupUnusable with every reason at once, NameTaken,
    and NotAllowed where the role may not make what is missing.
    """
    backup = kept.backup
    parts = OwnStatements(backup, there.archive.name)
    _require_usable(backup, there)
    _require_rights(backup, there)
    clash = sorted({*(one.name for one in backup.levels), *parts.names} & there.archive.taken)
    if clash:
        raise NameTaken(
            f"{there.archive.name} already holds {', '.join(clash)}; tables and indexes share one set of names there.",
            next="Rename what stands there, if nobody reads it by that name.",
        )
    back, stays = _put_back(backup, there)
    warnings = _restore_warnings(table, kept, there, stays)
    return Plan(
        operation=RESTORE,
        table=table.address if table else backup.parent,
        subject=backup.name,
        basis=basis(table) if table else (),
        steps=(
            Step(
                f"Make {there.archive.name}.{backup.name} from its backup and compare every row",
                tuple(_restore_statements(backup, parts, there, back, marks_of(backup, hold, parent=table))),
            ),
        ),
        effects=(
            f"{human_bytes(backup.bytes)} are fetched{f' from {place_label}' if place_label else ''}, and"
            f" {plural(backup.rows, 'row')} {'becomes' if backup.rows == 1 else 'become'} the table"
            f" {there.archive.name}.{backup.name}"
            + (f", with {plural(len(backup.below), 'table')} below it." if backup.split else "."),
            "Its rows are compared with the backup's fingerprint before anything is committed.",
            f"Afterwards it is an archived partition of {backup.parent}, which can be reattached.",
            *([f"It is held{f' until {hold.until}' if hold.until else ''}: {hold.reason}"] if hold else []),
        ),
        way_back="Drop it again; its backup stays.",
        command=backup_twin("restore", backup.id, *([] if hold else ["--no-hold"])),
        warnings=warnings,
        backup=backup.id,
    )


def _restore_statements(
    backup: Backup, parts: OwnStatements, there: Surroundings, back: tuple[LeftOut, ...], marks: Marks
) -> Iterator[str]:
    relation = qualified(there.archive.name, backup.name)
    archive = ident(there.archive.name)
    # not the path: that is the role's own, after pg_catalog, for what runs functions of others
    settings = {name: value for name, value in PORTABLE.items() if name != "search_path"}
    settings["TimeZone"] = backup.time_zone or there.server.time_zone  # a CHECK may depend on it
    yield from (f"SET LOCAL {name} = {literal(value)}" for name, value in settings.items())
    if not there.archive.exists:
        yield f"CREATE SCHEMA {archive}"
        yield f"REVOKE ALL ON SCHEMA {archive} FROM PUBLIC"
    for schema in _missing_schemas(backup, there):
        yield f"CREATE SCHEMA {ident(schema)}"
    yield from (need.sql for need in _missing(backup, there))
    yield from parts.create
    yield from (parts.checked(one.sql) for one in back if one.back == "columns")
    leaves = [(leaf, qualified(there.archive.name, leaf.name)) for leaf in backup.leaves]
    if there.sent_by:  # a subscriber would stop at the first row; that of an unlogged table is not sent
        yield from (f"ALTER TABLE {name} SET UNLOGGED" for _, name in leaves)
    yield from (copy_statement(backup, leaf, there.archive.name) for leaf, _ in leaves)
    yield from parts.afterwards
    late = [one for one in back if one.back == "restore"]
    yield from (parts.checked(one.sql) for one in late if not _of_rights(one))
    if there.sent_by:
        yield from (f"ALTER TABLE {name} SET LOGGED" for _, name in leaves)
    for leaf, name in leaves:
        changed = f"The rows of {name} are not those of the backup {backup.id}."
        yield require_fingerprint_sql(name, backup.fingerprinted(leaf), leaf.fingerprint, changed)
    yield comment_sql(relation, marks.beside(backup.comment))
    yield from (parts.checked(one.sql) for one in late if _of_rights(one))


def _of_rights(one: LeftOut) -> bool:
    return any(need.startswith("role ") for need in one.needs) or one.what == "rights"


def _missing(backup: Backup, there: Surroundings) -> tuple[Needed, ...]:
    return tuple(need for need in backup.needs if _type_name(need) not in there.types)


def _missing_schemas(backup: Backup, there: Surroundings) -> tuple[str, ...]:
    wanted = dict.fromkeys(need.schema for need in _missing(backup, there))
    have = {*there.schemas, there.archive.name, "pg_catalog"}
    return tuple(schema for schema in wanted if schema not in have)


def _type_name(need: Needed) -> str:
    return ident(need.name) if need.kind == "extension" else qualified(need.schema, need.name)


def _require_usable(backup: Backup, there: Surroundings) -> None:
    reasons: list[str] = []
    if there.encoding != backup.encoding:
        reasons.append(f"Its texts are in {backup.encoding}, the database's in {there.encoding}.")
    if there.server.in_recovery or there.server.read_only:
        reasons.append("This server takes no changes.")
    for need in backup.needs:
        name = _type_name(need)
        if need.kind == "type" and name in there.types:
            reasons += type_differs(need, name, there.types[name])
        if need.kind == "extension" and name not in there.types and name not in there.available:
            reasons.append(f"It needs the extension {need.name}, which is not installed on this server.")
    if not there.server.can.named_not_null and any(column.generated == "v" for column in backup.columns):
        reasons.append("It has a virtual generated column, which came with PostgreSQL 18.")
    if not there.server.can.named_not_null and any(_is_not_null(statement) for statement in backup.afterwards):
        reasons.append("It has a NOT NULL that was not validated, which came with PostgreSQL 18.")
    if reasons:
        raise BackupUnusable(f"The backup of {backup.name} can't be restored here.", tuple(reasons))


def _labels(name: str, need: Needed, known: tuple[str, ...]) -> Iterator[str]:
    """What adds the labels that an enum lacks, each where it stood."""
    there = {*known}
    for place, label in enumerate(need.labels):
        if label in there:
            continue
        after = next((one for one in reversed(need.labels[:place]) if one in there), None)
        before = next((one for one in need.labels[place:] if one in there), None)
        where = f" AFTER {literal(after).strip()}" if after else f" BEFORE {literal(before).strip()}" if before else ""
        yield f"ALTER TYPE {name} ADD VALUE {literal(label).strip()}{where}"
        there.add(label)


def type_differs(need: Needed, name: str, here: Needed | None) -> Iterator[str]:
    """Why values of the backup's type would mean something else in the type `name`, quoted and qualified, of here."""
    if here is not None and _means_the_same(need.sql, here.sql):
        return
    if need.labels and here is not None and here.labels:
        both = [label for label in need.labels if label in here.labels]
        if both == [label for label in here.labels if label in both]:  # each value means what it meant
            lacking = [label for label in need.labels if label not in both]
            if lacking:
                made = to_run(*_labels(name, need, here.labels))
                yield f"The type {name} here lacks {', '.join(lacking)}: {made}"
            return
    said = here.sql if here is not None else "one that is not made by SQL"
    yield f"The type {name} here is not the backup's, which is made by {need.sql}; here it is {said}."


_OF_SERVERS = re.compile(r', COLLATION = pg_catalog\.(?:"(?:[^"]|"")+"|\w+)')
"""What manifests of before leave out of a range."""


def _means_the_same(sql: str, here: str) -> bool:
    """Whether a value of the type that is made by `sql` is the same in one that is made by `here`.

    A domain may demand more here: the server refuses rows that don't do it.
    """
    if sql.startswith("CREATE DOMAIN "):
        return here == sql or here.startswith(f"{sql} CONSTRAINT ")
    return sql in (here, _OF_SERVERS.sub("", here))


def _is_not_null(statement: str) -> bool:
    return re.search(r' ADD CONSTRAINT "(?:[^"]|"")+" NOT NULL ', statement) is not None


def _require_rights(backup: Backup, there: Surroundings) -> None:
    archive = there.archive
    user = there.server.user
    missing = [*([] if archive.exists else [archive.name]), *_missing_schemas(backup, there)]
    if missing and not there.server.may_create_schema:
        raise NotAllowed(
            f"The schema {missing[0]} does not exist and the role {user} may not create it.",
            next="Run once as an administrator: "
            + to_run(*(f"CREATE SCHEMA {ident(schema)} AUTHORIZATION {ident(user)}" for schema in missing)),
        )
    if archive.exists and not archive.may_create:
        raise NotAllowed(
            f"The role {user} may not create tables in the schema {archive.name}.",
            next=f"Run as its owner: {to_run(f'GRANT USAGE, CREATE ON SCHEMA {ident(archive.name)} TO {ident(user)}')}",
        )


def _put_back(backup: Backup, there: Surroundings) -> tuple[tuple[LeftOut, ...], tuple[tuple[LeftOut, str], ...]]:
    """What was left out and can be put back here, and what can't, with the reason."""
    back: list[LeftOut] = []
    stays: list[tuple[LeftOut, str]] = []
    for one in backup.left_out:
        lacking = [need for need in one.needs if need not in there.present]
        if one.back not in ("columns", "restore"):
            continue
        if one.what.startswith("owner "):
            owner = one.what.removeprefix("owner ")
            if owner == there.server.user:
                continue
            if not lacking and owner not in there.may_own:
                stays.append((one, f"the role {there.server.user} may not give tables to it"))
                continue
        if lacking:
            stays.append((one, f"there is no {', '.join(_said(need) for need in lacking)} here"))
        else:
            back.append(one)
    return tuple(back), tuple(stays)


_KINDS = {
    "regclass": "relation",
    "regprocedure": "function",
    "regtype": "type",
    "regoperator": "operator",
    "order": "default order of texts",
}


def _said(need: str) -> str:
    kind, _, name = need.partition(" ")
    if kind == "other":
        return name
    return f"{_KINDS.get(kind, kind)} {name}".strip()


def _restore_warnings(
    table: PartitionedTable | None, kept: Kept, there: Surroundings, stays: tuple[tuple[LeftOut, str], ...]
) -> tuple[str, ...]:
    backup = kept.backup
    found: list[str] = []
    if kept.proven is None:
        found.append(f"This backup has no good proof: it {kept.unproven}.")
    if table is None:
        found.append(f"The table {backup.parent} is not in this database; there is nothing to reattach to.")
    else:
        needs = _reattach_needs(table, backup)
        if needs:
            found.append(
                f"It can't be reattached as it is: {'; '.join(needs)}. Reattach says what to run, once it is there."
            )
        holding = [p.name for p in _holding(table, backup)]
        if holding:
            found.append(f"{', '.join(holding)} holds a part of its range; it can't be reattached beside it.")
    created = [_type_name(need) for need in _missing(backup, there)]
    if created:
        found.append(f"It is made along with what it needs: {', '.join(created)}.")
    found += dict.fromkeys(f"Not put back, because {why}: {one.what}." for one, why in stays)
    by_hand = (one for one in backup.left_out if not one.back and one.sql)  # a type that is here has what is its own
    own = list(dict.fromkeys(one.what for one in by_hand if not one.needs or not {*one.needs} <= there.present))
    if own:
        found.append(f"Not put back by itself, its SQL is in the manifest: {', '.join(own)}.")
    lost = list(dict.fromkeys(one.what for one in backup.left_out if not one.back and not one.sql))
    if lost:
        found.append(f"Not put back: {', '.join(lost)}.")
    if there.sent_by:
        found.append(
            f"The publication {', '.join(there.sent_by)} sends the tables of {there.archive.name}, yet not the rows of"
            " this restore: they come in while it is unlogged, and it is written once more to be logged. A row that is"
            f" written to {there.archive.name}.{backup.name} later stops a subscriber that has no such table."
        )
    if there.archive.exists and there.archive.open_to_public:
        found.append(f"The schema {there.archive.name} is open to every role of the database.")
    return tuple(found)


def _reattach_needs(table: PartitionedTable, backup: Backup) -> list[str]:
    """What of the columns keeps the table from its parent as it is now."""
    theirs = {column.name: column for column in backup.columns}
    needs: list[str] = []
    for column in table.columns:
        own = theirs.pop(column.name, None)
        if own is None:
            needs.append(f"it lacks the column {column.name}")
        elif own.type != column.type:
            needs.append(f"its column {column.name} is {own.type}, the table's is {column.type}")
        elif column.not_null and not own.not_null:
            needs.append(f"its column {column.name} allows NULL")
    return needs + [f"it has a column {name} that the table lacks" for name in theirs]
