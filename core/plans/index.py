"""Indexes over a whole tree: made, built anew and dropped without holding up anybody for longer than a moment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from core.errors import CatalogBusy, NameTaken, NotServed, Refused, UsageError
from core.names import address, fit, ident, qualified, split_qualified
from core.plans.operation import Danger, Operation, Scope, Sources, table_for
from core.plans.plan import Lock, Mode, Plan, Step, basis, nothing_to_do
from core.plans.refusals import require_nothing_pending
from core.tables.commands import option, twin
from core.tables.indexes import Node, TreeIndex, TreeIndexes
from core.tables.table import PartitionedTable
from core.tables.tree import Kind
from core.text import human_bytes, listed, plural, shell_word, shown

INDEX = Operation(
    "index", "Index", "indexing", Danger.DIALOG, scope=Scope.PARTITIONS, counts_rows=False, told_apart_by="steps"
)
REINDEX = Operation(
    "reindex", "Reindex", "reindexing", Danger.DIALOG, scope=Scope.PARTITIONS, counts_rows=False, told_apart_by="steps"
)
UNINDEX = Operation(
    "unindex", "Drop an index of", "dropping an index of", Danger.DIALOG, counts_rows=False, told_apart_by="steps"
)


@dataclass(frozen=True, slots=True)
class CreateIndex:
    """That every partition has an index, and the table one that they hang on."""

    operation: ClassVar = INDEX
    table: str | PartitionedTable
    columns: str
    """As they are typed: kid_id, date DESC NULLS LAST."""
    unique: bool = False
    name: str = ""
    """Of the table's; empty for one that is made of the columns."""

    def plan(self, desk: Sources) -> Plan:
        """Reads the indexes of the whole tree."""
        table = table_for(desk, self.table)
        return plan_index(table, desk.tree_indexes(table), self.columns, unique=self.unique, name=self.name)


@dataclass(frozen=True, slots=True)
class Reindex:
    """That an index is built anew on every partition."""

    operation: ClassVar = REINDEX
    table: str | PartitionedTable
    name: str
    invalid: bool = False
    """Only where it is not valid."""

    def plan(self, desk: Sources) -> Plan:
        """Reads the indexes of the whole tree."""
        table = table_for(desk, self.table)
        return plan_reindex(table, desk.tree_indexes(table), self.name, invalid=self.invalid)


@dataclass(frozen=True, slots=True)
class DropIndex:
    """That an index is gone from the table and every partition."""

    operation: ClassVar = UNINDEX
    table: str | PartitionedTable
    name: str

    def plan(self, desk: Sources) -> Plan:
        """Reads the indexes of the whole tree."""
        table = table_for(desk, self.table)
        return plan_unindex(table, desk.tree_indexes(table), self.name)


# --- what is typed ----------------------------------------------------------------------------------------------

_COLUMN = re.compile(
    r'\s*("(?:[^"]|"")+"|[^\s",()]+)(?:\s+(ASC|DESC))?(?:\s+NULLS\s+(FIRST|LAST))?\s*(?:,|$)', re.IGNORECASE
)


def typed_columns(text: str, tree: TreeIndexes) -> tuple[tuple[str, ...], str]:
    """(the columns, the definition as PostgreSQL prints it). Raises UsageError for what is no list of columns."""
    known = dict(tree.quoted)
    names: list[str] = []
    said: list[str] = []
    position = 0
    while position < len(text) or not said:
        match = _COLUMN.match(text, position)
        if match is None or (match.end() == len(text) and text.endswith(",")):
            raise UsageError(
                f"{text!r} is no list of columns.",
                next='Write it as "kid_id, date DESC NULLS LAST"; an index of expressions is made by hand.',
            )
        word, order, nulls = match[1], (match[2] or "").upper(), (match[3] or "").upper()
        name = word[1:-1].replace('""', '"') if word.startswith('"') else word
        if name not in known:
            raise UsageError(f"{tree.top.name} has no column {name}.", next=f"It has {listed(known, most=20)}.")
        down = order == "DESC"
        last = f" NULLS {nulls}" if nulls and (nulls == "FIRST") != down else ""
        names.append(name)
        said.append(f"{known[name]}{' DESC' if down else ''}{last}")
        position = match.end()
    if len(set(names)) < len(names):
        raise UsageError(f"{text!r} names a column twice.")
    return tuple(names), f"USING btree ({', '.join(said)})"


def typed_again(definition: str) -> str | None:
    """The columns of a definition as --columns takes them; None for one that --columns can't say."""
    match = re.fullmatch(r"USING btree \(((?:\"(?:[^\"]|\"\")+\"|[^\"()])+)\)", definition)
    words = re.sub(r'"(?:[^"]|"")+"', "x", match[1]) if match else ""
    plain = r"[^\s,]+( DESC)?( NULLS (FIRST|LAST))?"
    return match[1] if match and re.fullmatch(rf"{plain}(, {plain})*", words) else None


# --- what any of them needs ---------------------------------------------------------------------------------------


def _require_quiet(table: PartitionedTable, tree: TreeIndexes) -> None:
    """Raises Refused for what none of them is done on, and CatalogBusy where somebody is at it."""
    require_nothing_pending(table)
    if table.distribution is not None:
        raise NotServed(f"{table.label} is spread over servers by Citus.", next="Its indexes are made by Citus' own.")
    busy = [node.name for node in tree.nodes if node.busy]
    if busy:
        raise CatalogBusy(f"{listed(busy)} is locked by somebody else just now.", next="Ask again in a moment.")
    building = [node.name for node in tree.nodes if node.building]
    if building:
        raise Refused(f"An index of {listed(building)} is being built just now.", next="Ask again when it has ended.")


def _of_name(table: PartitionedTable, tree: TreeIndexes, name: str) -> TreeIndex | None:
    """The table's index of that name. Raises Refused for one of another table's."""
    schema, bare = split_qualified(name)
    if schema not in (None, table.schema):
        return None
    found = next((one for one in tree.top.indexes if one.name == bare), None)
    if found is None and any(one.name == bare for node in tree.nodes for one in node.indexes):
        owner = next(node for node in tree.nodes if any(one.name == bare for one in node.indexes))
        raise Refused(
            f"{bare} is the index of one partition, {owner.name}.",
            next=f"Name the one of the table that it hangs on: {listed(one.name for one in tree.top.indexes)}.",
        )
    return found


def _existing(table: PartitionedTable, tree: TreeIndexes, name: str) -> TreeIndex:
    found = _of_name(table, tree, name)
    if found is None:
        raise Refused(
            f"{table.label} has no index {name}.",
            next=f"It has {listed((one.name for one in tree.top.indexes), most=20)}.",
        )
    return found


def _twin(table: PartitionedTable, verb: str, *words: str) -> str:
    return twin("index", table, "", verb, *words)


def _by_name(table: PartitionedTable, verb: str, name: str, *words: str) -> str:
    """`partitions index VERB WORDS --table T NAME`."""
    return f"{_twin(table, verb, *words)} {shell_word(address(table.schema, name))}"


# --- create -------------------------------------------------------------------------------------------------------


def plan_index(
    table: PartitionedTable, tree: TreeIndexes, columns: str, *, unique: bool = False, name: str = ""
) -> Plan:
    """A plan that makes the table's index without its partitions', builds theirs one by one, and attaches each.

    An equal index that a partition has is used; an invalid one that a try has left is dropped and built anew. Each
    step is found done by whoever asks again. No steps where an equal one is complete. Raises Refused.
    """
    _require_quiet(table, tree)
    names, definition = typed_columns(columns, tree)
    _require_possible(table, tree, names, unique)
    there = next(
        (one for one in tree.top.indexes if one.is_like(definition, unique=unique) and not one.constraint), None
    )
    own = there.name if there else name or _free(tree, tree.top.schema, table.name, names)
    said = definition.removeprefix("USING btree (").removesuffix(")")
    command = _twin(
        table, "create", option("--columns", said), *(["--unique"] if unique else []), option("--name", own)
    )
    if there is not None and there.valid:
        why = f"{there.name} is that index already, on the table and on each of its partitions."
        return nothing_to_do(INDEX, table.address, own, why, command=command)
    if there is None and (tree.top.schema, own) in tree.taken:
        raise NameTaken(f"{table.schema}.{own} is there already, and another.", next="Give another name: --name.")
    tree = replace(tree, taken=tree.taken | {(tree.top.schema, own)})
    steps = tuple(_Make(tree, names, definition, unique, own, there).steps())
    building = [step for step in steps if step.leaves]
    used = len(tree.leaves) - len(building)
    return Plan(
        operation=INDEX,
        table=table.address,
        subject=own,
        basis=basis(table, all_partitions=True),
        steps=steps,
        effects=(
            f"{plural(len(building), 'partition')} of {table.label} {'gets' if len(building) == 1 else 'get'} an index"
            f" on {said}{', in which no two rows are alike' if unique else ''}, one after the other.",
            *([f"{plural(used, 'partition')} had an equal one, which is used."] if used else []),
            "New partitions get it from the first step on.",
        ),
        meanwhile=(
            "Reads and writes go on while they are built; each build waits for the transactions that are open when it"
            " begins.",
        ),
        way_back=f"Drop it: {_by_name(table, 'drop', own)}",
        command=command,
    )


def _require_possible(table: PartitionedTable, tree: TreeIndexes, names: tuple[str, ...], unique: bool) -> None:
    foreign = [node.name for node in tree.leaves if node.kind is Kind.FOREIGN]
    if foreign:
        raise Refused(
            f"{listed(foreign)} of {table.label} {'is a foreign table' if len(foreign) == 1 else 'are foreign tables'},"
            " which have no indexes here: the table's own would never be complete.",
            next="Make the index on each of the other partitions by hand.",
        )
    if not unique:
        return
    lacking = [column for node in tree.nodes if node.kind is Kind.BRANCH for column in node.key if column not in names]
    if "" in lacking:
        raise Refused("No unique index is possible over partitions by an expression.", next="Each can have its own.")
    if lacking:
        raise Refused(
            f"A unique index has to hold the columns that the table is partitioned by: {listed(dict.fromkeys(lacking))}"
            f" {'is' if len(lacking) == 1 else 'are'} not among {', '.join(names)}.",
            next="Add them; or make a unique index on one partition alone, by hand.",
        )


def _free(tree: TreeIndexes, schema: str, relation: str, names: tuple[str, ...], but: str = "") -> str:
    """A name for an index on these columns, as PostgreSQL would make one, that is free but for `but`."""
    stem = f"{relation}_{'_'.join(names)}"
    tries = (fit(stem, f"_idx{number or ''}") for number in range(len(tree.taken) + 1))
    return next(one for one in tries if one == but or (schema, one) not in tree.taken)


@dataclass(frozen=True, slots=True)
class _Make:
    """One index that is made on a whole tree."""

    tree: TreeIndexes
    names: tuple[str, ...]
    definition: str
    unique: bool
    own: str
    there: TreeIndex | None

    def steps(self) -> Iterator[Step]:
        """Above first, so that what comes meanwhile gets it; then each leaf, then the branches, the lowest first."""
        top, found = self.tree.top, self._found()
        made = {top.oid: self.there.sql if self.there else qualified(top.schema, self.own)}
        if self.there is None:
            yield self._above(top, self.own)
        for node in reversed(self.tree.branches):
            one = found[node.oid]
            name = one.name if one else self._name(node)
            made[node.oid] = qualified(node.schema, name)
            if one is None:
                yield self._above(node, name)
        leaves = self.tree.leaves
        for number, node in enumerate(leaves, 1):
            yield from self._leaf(node, found[node.oid], made, f" ({number} of {len(leaves)})")
        for node in self.tree.branches:
            one = found[node.oid]
            if one is None or one.parent is None:
                yield self._attach(node, made)

    def _found(self) -> dict[int, TreeIndex | None]:
        """Of each table its index that is this one: attached to that of the table above, else free and of use."""
        found = {self.tree.top.oid: self.there}
        for node in self.tree.nodes[1:]:
            above = found[node.parent or 0]
            fitting = [one for one in node.indexes if one.is_like(self.definition, unique=self.unique)]
            attached = [one for one in fitting if above is not None and one.parent == above.oid]
            free = [one for one in fitting if one.parent is None and (one.valid or node.kind is Kind.BRANCH)]
            found[node.oid] = next(iter((*attached, *free)), None)
        return found

    def _name(self, node: Node, but: str = "") -> str:
        return _free(self.tree, node.schema, node.name, self.names, but)

    def _create(self, name: str, on: str) -> str:
        return f"CREATE {'UNIQUE ' if self.unique else ''}INDEX {ident(name)} ON {on} {self.definition}"

    def _above(self, node: Node, name: str) -> Step:
        return Step(
            f"Make the index {name} of {node.name}, without those of its partitions",
            (self._create(name, f"ONLY {node.sql}"),),
            (Lock(node.sql, Mode.SHARE),),
        )

    def _leaf(self, node: Node, found: TreeIndex | None, made: dict[int, str], where: str) -> Iterator[Step]:
        if found is None:
            broken = [one for one in node.indexes if self._is_unfinished(one)]
            for one in broken:
                yield _alone(f"Take away the unfinished index {one.name}", node, f"DROP INDEX CONCURRENTLY {one.sql}")
            name = self._name(node, broken[0].name if broken else "")
            made[node.oid] = qualified(node.schema, name)
            statement = self._create(name, node.sql).replace("INDEX ", "INDEX CONCURRENTLY ", 1)
            build = _alone(f"Build the index of {node.name}{where}", node, statement)
            yield replace(build, leaves=made[node.oid])
        else:
            made[node.oid] = found.sql
            if not found.valid:
                yield _alone(f"Build {found.name} anew{where}", node, f"REINDEX INDEX CONCURRENTLY {found.sql}")
        if found is None or found.parent is None:
            yield self._attach(node, made)

    def _is_unfinished(self, one: TreeIndex) -> bool:
        free = not one.valid and one.parent is None and not one.constraint and not one.is_leftover
        return free and one.is_like(self.definition, unique=self.unique)

    def _attach(self, node: Node, made: dict[int, str]) -> Step:
        above, index = made[node.parent or 0], made[node.oid]
        return Step(
            f"Hang the index of {node.name} below the one above it",
            (f"ALTER INDEX {above} ATTACH PARTITION {index}",),
            (Lock(above, Mode.SHARE_UPDATE_EXCLUSIVE), Lock(index, Mode.ACCESS_EXCLUSIVE)),
        )


# --- reindex ------------------------------------------------------------------------------------------------------


def plan_reindex(table: PartitionedTable, tree: TreeIndexes, name: str, *, invalid: bool = False) -> Plan:
    """A plan that builds an index anew on every partition, one by one, and takes away what an earlier try has left.

    With `invalid` only where it is not valid; no steps where it is so everywhere. Raises Refused.
    """
    _require_quiet(table, tree)
    index = _existing(table, tree, name)
    if index.exclusion:
        raise Refused(f"{index.name} is an exclusion constraint, which PostgreSQL builds anew under a lock alone.")
    every = tuple(tree.below(index))
    chosen = [(node, one) for node, one in every if not (invalid and one.valid)]
    own = {node.oid: one for node, one in every}
    left = [
        (node, one)
        for node in tree.leaves
        for one in node.indexes
        if one.is_leftover and node.oid in own and one.is_like(own[node.oid].definition, unique=own[node.oid].unique)
    ]
    command = _by_name(table, "reindex", index.name, *(["--invalid"] if invalid else []))
    if not chosen and not left:
        why = f"{index.name} is valid on every partition that has it."
        return nothing_to_do(REINDEX, table.address, index.name, why, command=command)
    lacking = len(tree.leaves) - len(every)
    return Plan(
        operation=REINDEX,
        table=table.address,
        subject=index.name,
        basis=basis(table, all_partitions=True),
        steps=(
            *(
                _alone(
                    f"Take away {one.name}, which an earlier try has left", node, f"DROP INDEX CONCURRENTLY {one.sql}"
                )
                for node, one in left
            ),
            *(
                _alone(
                    f"Build {one.name} anew ({number} of {len(chosen)})", node, f"REINDEX INDEX CONCURRENTLY {one.sql}"
                )
                for number, (node, one) in enumerate(chosen, 1)
            ),
        ),
        effects=(
            f"{index.name} is built anew on {plural(len(chosen), 'partition')}, one after the other,"
            f" {human_bytes(sum(one.bytes for _, one in chosen))} as it is now. Reads and writes go on, by the old one"
            " until the new one is there.",
        ),
        way_back="It is the same index, only packed anew.",
        command=command,
        warnings=(
            (
                f"{plural(lacking, 'partition')} {'lacks' if lacking == 1 else 'lack'} it:"
                f" {_completed(table, index)} completes it.",
            )
            if lacking
            else ()
        ),
    )


def _alone(title: str, node: Node, statement: str) -> Step:
    locks = (Lock(node.sql, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False),)
    return Step(title, (statement,), locks, transactional=False)


def _completed(table: PartitionedTable, index: TreeIndex) -> str:
    said = typed_again(index.definition)
    return create_twin(table, said, index.name, unique=index.unique) if said else "making it there by hand"


def create_twin(table: PartitionedTable, columns: str, name: str, *, unique: bool) -> str:
    """The command that makes an index, or completes it."""
    words = (option("--columns", columns), *(["--unique"] if unique else []), option("--name", name))
    return _twin(table, "create", *words)


# --- drop ---------------------------------------------------------------------------------------------------------


def plan_unindex(table: PartitionedTable, tree: TreeIndexes, name: str) -> Plan:
    """A plan that drops an index from the table and all partitions at once, within the lock budget. Raises Refused.

    PostgreSQL drops none of a partitioned table concurrently. No steps where there is none of that name.
    """
    _require_quiet(table, tree)
    index = _of_name(table, tree, name)
    if index is None:
        why = f"{table.label} has no index {shown(name)}."
        return nothing_to_do(UNINDEX, table.address, name, why, command=_by_name(table, "drop", name))
    if index.constraint:
        raise Refused(
            f"{index.name} keeps a constraint of {table.label}: it goes with that alone.",
            next="Rows would no longer be kept apart, or found by what refers to them: drop the constraint by hand.",
        )
    every = tuple(tree.below(index))
    said = typed_again(index.definition)
    again = create_twin(table, said, index.name, unique=index.unique) if said else f"by hand: {index.definition}"
    return Plan(
        operation=UNINDEX,
        table=table.address,
        subject=index.name,
        basis=basis(table),
        steps=(
            Step(
                f"Drop {index.name} from the table and {plural(len(every), 'partition')}",
                (f"DROP INDEX {index.sql}",),
                (
                    *(Lock(node.sql, Mode.ACCESS_EXCLUSIVE) for node in tree.nodes),
                    Lock(index.sql, Mode.ACCESS_EXCLUSIVE),
                ),
            ),
        ),
        effects=(
            f"{index.name} leaves {table.label} and all its partitions at once,"
            f" {human_bytes(sum(one.bytes for _, one in every))}. Queries that use it read more.",
            "PostgreSQL drops no index of a partitioned table concurrently: all of it is locked for a moment, in short"
            " tries that nobody waits behind for long.",
        ),
        way_back=f"Make it again: {again}",
        command=_by_name(table, "drop", index.name),
    )
