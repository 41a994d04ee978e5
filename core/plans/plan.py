"""A plan is data: the final SQL of an operation in order, the locks it takes, and what it was built from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from typing import Any

from core.errors import PlanOutdated
from core.plans.operation import Operation, Scope
from core.tables.archived import Archived
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.tables.tree import Kind


class Mode(StrEnum):
    """PostgreSQL's table lock modes, weakest first. Source: PostgreSQL manual, "Explicit Locking"."""

    ACCESS_SHARE = "ACCESS SHARE"
    ROW_SHARE = "ROW SHARE"
    ROW_EXCLUSIVE = "ROW EXCLUSIVE"
    SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
    SHARE = "SHARE"
    SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
    EXCLUSIVE = "EXCLUSIVE"
    ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"

    @property
    def meaning(self) -> str:
        """What the lock means to everybody else, in plain words."""
        return _MEANING[self]

    @property
    def conflicts(self) -> tuple[Mode, ...]:
        """The modes that can't be held beside this one."""
        return _CONFLICTS[self]

    @property
    def pg_name(self) -> str:
        """As pg_locks.mode spells it: AccessShareLock."""
        return self.value.title().replace(" ", "") + "Lock"


_ALL = tuple(Mode)
_CONFLICTS: dict[Mode, tuple[Mode, ...]] = {
    Mode.ACCESS_SHARE: _ALL[7:],
    Mode.ROW_SHARE: _ALL[6:],
    Mode.ROW_EXCLUSIVE: _ALL[4:],
    Mode.SHARE_UPDATE_EXCLUSIVE: _ALL[3:],
    Mode.SHARE: (*_ALL[2:4], *_ALL[5:]),
    Mode.SHARE_ROW_EXCLUSIVE: _ALL[2:],
    Mode.EXCLUSIVE: _ALL[1:],
    Mode.ACCESS_EXCLUSIVE: _ALL,
}
_MEANING: dict[Mode, str] = {
    Mode.ACCESS_SHARE: "reads and writes go on",
    Mode.ROW_SHARE: "reads and writes go on",
    Mode.ROW_EXCLUSIVE: "reads and writes go on",
    Mode.SHARE_UPDATE_EXCLUSIVE: "reads and writes go on; other schema changes and vacuum wait",
    Mode.SHARE: "reads go on; writes wait",
    Mode.SHARE_ROW_EXCLUSIVE: "reads go on; writes wait",
    Mode.EXCLUSIVE: "plain reads go on; writes wait",
    Mode.ACCESS_EXCLUSIVE: "reads and writes wait",
}


@dataclass(frozen=True, slots=True)
class Lock:
    """One table lock that a step takes; `relation` is quoted and qualified, as to_regclass() reads it."""

    relation: str
    mode: Mode
    brief: bool = True
    """Held for moments; False where it is held while rows are read."""


@dataclass(frozen=True, slots=True)
class Step:
    """What commits as one: the statements of one transaction, or one statement that runs outside of any."""

    title: str
    statements: tuple[str, ...]
    locks: tuple[Lock, ...] = ()
    transactional: bool = True
    finish: str = ""
    """The statement that completes the step where its own was cut short (DETACH ... FINALIZE)."""
    waits_for_all: bool = False
    """Whether it waits for every statement that runs in the database, as FINALIZE does."""
    undo: tuple[str, ...] = ()
    """What takes the step back where a later one fails."""
    rehearsal: bool = False
    """Whether it is taken back at once: what others' code refuses is refused before anything is done."""
    leaves: str = ""
    """The index, quoted and qualified, that a try that failed leaves behind, invalid."""
    refuses: bool = False
    """Whether rows that others write fail until it is committed, so that it is not to wait for long."""
    if_missing: bool = False
    """Whether it makes what another operation may have made meanwhile: a plan without it is the same."""
    progress: str = ""
    """A query that tells how much of it is done, 0 to 1, while it runs."""

    @property
    def proves(self) -> bool:
        """Whether it reads rows against a constraint that a step before it added, and changes nothing else."""
        return self.transactional and any(not lock.brief for lock in self.locks)

    @property
    def sql(self) -> str:
        """The step as a script for psql."""
        lines = [f"{statement};" for statement in self.statements]
        if self.rehearsal:
            return "\n".join(["BEGIN;", *lines, "ROLLBACK;"])
        return "\n".join(["BEGIN;", *lines, "COMMIT;"] if self.transactional and len(lines) > 1 else lines)


@dataclass(frozen=True, slots=True)
class Beside:
    """Another table that a plan acts on, as part of a set."""

    table: str
    """Its address."""
    oid: int
    """Of its partition, or of what was one."""
    basis: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """An operation on one table, ready to be shown and to be run byte by byte as it was shown."""

    operation: Operation
    table: str
    """The parent as `TableSummary.address` gives it."""
    subject: str
    """What it acts on, for people: kid_absences_2024, with its schema where the name alone means more than one."""
    basis: tuple[str, ...]
    """The facts it rests on, one a line; applied only while the catalog still says them all."""
    steps: tuple[Step, ...]
    effects: tuple[str, ...] = ()
    """What happens, in plain sentences that are as true once it is done."""
    meanwhile: tuple[str, ...] = ()
    """How it goes and what others notice of it; told before it is done, and not after."""
    way_back: str = ""
    command: str = ""
    """The same from the command line."""
    warnings: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    """The names of the partitions that it makes, in the order of its ranges."""
    ranges: tuple[str, ...] = ()
    """Their bounds, as PostgreSQL prints them."""
    left: tuple[str, ...] = ()
    """What was asked for and can't be done now, each with its reason; the rest is done."""
    backup: str = ""
    """The id of the backup that it makes, reads or rests on."""
    place: str = ""
    """The label of the place where that backup is: nobody with another place may run the plan."""
    bytes: int | None = None
    """What a drop frees on the server; None where it was not measured."""
    oid: int | None = None
    """The one partition or archived table that it acts on; None for what makes tables, and for the oldest plans."""
    due: str = ""
    """When the drop that it plans is due, as the mark has it; empty for every other plan."""
    request: int | None = None
    """The operation by which another person has asked for it, where it takes two."""
    beside: tuple[Beside, ...] = ()
    """The other tables of a set that goes as one; of most plans there are none."""
    wish: str = field(default="", compare=False)
    """What was asked for, as the journal keeps it: a worker builds the plan from it anew. Not a part of its JSON."""

    @property
    def sql(self) -> str:
        """The whole plan as a script for psql, each step under its title."""
        return "\n\n".join(f"-- {' '.join(step.title.splitlines())}\n{step.sql}" for step in self.steps)

    @property
    def locks(self) -> tuple[Lock, ...]:
        """The strongest lock on each relation, in order of first use."""
        strongest: dict[str, Lock] = {}
        for lock in (lock for step in self.steps for lock in step.locks):
            held = strongest.get(lock.relation)
            if held is None or _ALL.index(lock.mode) > _ALL.index(held.mode):
                strongest[lock.relation] = lock
        return tuple(strongest.values())

    @property
    def digest(self) -> str:
        """Tells this plan from any other that would do something else, or rests on something else.

        What is told of it, figures among that, is not in it; nor is whether the archive schema has to be made.
        """
        raw = asdict(self) | {"operation": self.operation.name}
        for told in ("effects", "meanwhile", "warnings", "way_back", "command", "bytes", "left", "wish"):
            del raw[told]
        if self.request is None:  # as the plans of older journals, whose seals still fit
            del raw["request"]
        if not self.beside:
            del raw["beside"]
        raw["basis"] = [fact for fact in self.basis if not fact.startswith("schema ")]
        raw["steps"] = [asdict(step) for step in self.steps if not step.if_missing]
        for step in raw["steps"]:
            if not step["progress"]:
                del step["progress"]
        return sha256(json.dumps(raw, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> str:
        """The plan as the journal keeps it."""
        raw = asdict(self) | {"operation": self.operation.name}
        del raw["wish"]
        if not self.beside:
            del raw["beside"]
        return json.dumps(raw, ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, named: Callable[[str], Operation]) -> Plan:
        """The plan that `to_json` wrote; `named` knows the operations. Raises ValueError, KeyError or TypeError."""
        raw: dict[str, Any] = json.loads(text)
        steps = tuple(
            Step(
                title=step["title"],
                statements=tuple(step["statements"]),
                locks=tuple(Lock(lock["relation"], Mode(lock["mode"]), lock["brief"]) for lock in step["locks"]),
                transactional=step["transactional"],
                finish=step["finish"],
                waits_for_all=step["waits_for_all"],
                undo=tuple(step["undo"]),
                rehearsal=step.get("rehearsal", False),  # plans of older journals have none of these
                leaves=step.get("leaves", ""),
                refuses=step.get("refuses", False),
                if_missing=step.get("if_missing", False),
                progress=step.get("progress", ""),
            )
            for step in raw["steps"]
        )
        return cls(
            operation=named(raw["operation"]),
            table=raw["table"],
            subject=raw["subject"],
            basis=tuple(raw["basis"]),
            steps=steps,
            effects=tuple(raw["effects"]),
            meanwhile=tuple(raw.get("meanwhile", ())),
            way_back=raw["way_back"],
            command=raw["command"],
            warnings=tuple(raw["warnings"]),
            makes=tuple(raw.get("makes", ())),
            ranges=tuple(raw.get("ranges", ())),
            left=tuple(raw.get("left", ())),
            backup=raw.get("backup", ""),  # plans of older journals have none
            place=raw.get("place", ""),
            bytes=raw.get("bytes"),
            oid=raw.get("oid"),
            due=raw.get("due", ""),
            request=raw.get("request"),
            beside=tuple(Beside(one["table"], one["oid"], tuple(one["basis"])) for one in raw.get("beside", ())),
        )


def tables_of(plan: Plan) -> tuple[str, ...]:
    """The addresses of all tables that a plan acts on, each once, in the one order in which they are locked."""
    return tuple(sorted({plan.table, *(one.table for one in plan.beside)}))


def nothing_to_do(
    operation: Operation, table: str, subject: str, why: str, *, command: str = "", backup: str = ""
) -> Plan:
    """A plan without steps: what is wished holds already, and `why` says how that is known."""
    return Plan(operation, table, subject, basis=(), steps=(), effects=(why,), command=command, backup=backup)


def called_now(plan: Plan, table: PartitionedTable) -> str:
    """What means the very table of the plan, wherever it is by now. Raises PlanOutdated where it is gone."""
    if plan.oid is None:
        return plan.subject
    one = table.by_oid(plan.oid)
    if one is None:
        raise PlanOutdated(f"{plan.subject} is no longer there.")
    return table.called(one)


def facts(table: PartitionedTable) -> tuple[str, ...]:
    """Everything that a plan can rest on, one fact a line; volatile figures are not among them."""
    lines = [
        f"table {table.oid} {table.label} by {table.strategy} on {table.key}, owned by {table.owner}",
        f"server {table.server.major}, concurrent detach: {table.detaches_concurrently}",
        *(f"server event trigger {name}" for name in table.server.event_triggers),
        _schema_fact(table, exists=table.archive.exists),
        f"table references: {', '.join(fk.definition for fk in table.references) or 'nothing'}",
        f"table referenced by: {', '.join(fk.other for fk in table.referenced_by) or 'nothing'}",
        f"table DEFAULT partition: {table.default.name if table.default else 'none'}",
        f"table detach pending: {table.pending.name if table.pending else 'none'}",
        f"table comment: {table.comment or 'none'}",
        *(f"table column {column}" for column in table.columns),
        *(f"table index {index.name} {index.shape} valid {index.valid}" for index in table.indexes),
    ]
    lines += _equipment_facts(table)
    lines += [_partition_fact(partition) for partition in table.partitions]
    lines += [_archived_fact(archived) for archived in table.archived]
    return tuple(lines)


def _schema_fact(table: PartitionedTable, *, exists: bool) -> str:
    return f"schema {table.archive.name} exists: {exists}"


def _equipment_facts(table: PartitionedTable) -> list[str]:
    equipment = table.equipment
    return [
        f"siblings stand in {equipment.schema or table.schema}",
        f"siblings default privileges: {', '.join(map(str, equipment.by_default)) or 'none'}",
        *(f"siblings share {trait.fact}" for trait in equipment.shared),
        *(f"siblings differ in {one.trait.fact}" for one in equipment.apart),
        *(f"siblings above their leaves share {trait.fact}" for trait in table.branching.shared),
    ]


def _partition_fact(partition: Partition) -> str:
    checks = ", ".join(f"{c.name} {c.definition}" for c in partition.checks)
    return (
        f"partition {partition.oid} {partition.schema}.{partition.name} {partition.bounds and partition.bounds.text}"
        f" owned by {partition.owner}, pending {partition.pending}, checks {checks or 'none'}"
        f", comment {partition.comment!r}{_sequences_fact(partition)}{_tree_fact(partition)}"
    )


def _tree_fact(one: Partition | Archived) -> str:
    if one.kind is not Kind.BRANCH or one.tree is None:
        return "" if one.is_plain else f", {one.kind}"
    below = (f"{each.oid} {each.schema}.{each.name} {each.bounds} {each.split}" for each in one.members)
    return f", by {one.tree.split}: {'; '.join(below) or 'nothing below'}"


def _sequences_fact(one: Partition | Archived) -> str:
    return f", sequences {one.sequences}" if one.sequences else ""


def _archived_fact(archived: Archived) -> str:
    return (
        f"archived {archived.oid} {archived.schema}.{archived.name} {archived.bounds and archived.bounds.text}"
        f" owned by {archived.owner}, columns {archived.columns}, checks {archived.checks}"
        f", indexes {[(i.name, i.shape, i.valid) for i in archived.indexes]}"
        f", comment {archived.comment!r}, {archived.marks}{_sequences_fact(archived)}"
        f"{f', {archived.distribution}' if archived.distribution else ''}{_tree_fact(archived)}"
    )


def basis(table: PartitionedTable, *oids: int, all_partitions: bool = False) -> tuple[str, ...]:
    """The facts that an operation on the tables `oids` rests on: the parent's, theirs, the DEFAULT's.

    With `all_partitions` the bounds of every partition count, and what they share, as they do for a new one.
    """
    wanted = {*oids, *([table.default.oid] if table.default else [])}
    if all_partitions:
        wanted |= {p.oid for p in table.partitions} | {a.oid for a in table.archived}
    return tuple(
        fact for fact in facts(table) if (all_partitions if fact.startswith("siblings ") else _is_of(fact, wanted))
    )


def _is_of(fact: str, oids: set[int]) -> bool:
    return fact.split(" ", 1)[0] not in ("partition", "archived") or int(fact.split(" ", 2)[1]) in oids


def outdated(plan: Plan, table: PartitionedTable) -> tuple[str, ...]:
    """What of the plan's basis the catalog no longer says, and what it says instead; empty while all holds.

    That the archive schema was made meanwhile is no change: a plan makes it only where it is missing. `table` is the
    plan's own, or one of those beside it.
    """
    other = next((one for one in plan.beside if one.table == table.address), None)
    if other is not None and plan.table != other.table:
        plan = replace(plan, table=other.table, oid=other.oid, basis=other.basis, beside=())
    now = facts(table)
    shown = set(plan.basis)
    if _schema_fact(table, exists=False) in shown:
        now = tuple(_schema_fact(table, exists=False) if fact.startswith("schema ") else fact for fact in now)
    subjects = {" ".join(fact.split(" ", 2)[:2]) for fact in plan.basis}
    gone = [f"was: {fact}" for fact in plan.basis if fact not in now]
    new = [f"is: {fact}" for fact in now if fact not in shown and _concerns(fact, subjects, plan)]
    return (*gone, *new)


def _concerns(fact: str, subjects: set[str], plan: Plan) -> bool:
    kind = fact.split(" ", 1)[0]
    if kind in ("table", "server", "schema"):
        return True
    scope = plan.operation.scope
    if scope is Scope.ALL or (scope is Scope.PARTITIONS and kind == "partition"):
        return True
    return " ".join(fact.split(" ", 2)[:2]) in subjects
