"""Indexes, constraints and statistics."""

from __future__ import annotations

import re
from collections.abc import Iterator

from core.doctor.findings import Case, Finding, Severity, script
from core.names import fit, ident, literal, qualified
from core.plans.index import create_twin, typed_again
from core.tables.archived import Archived
from core.tables.key import Key
from core.tables.partition import Partition
from core.tables.structure import Index, OwnSequence
from core.tables.table import PartitionedTable
from core.text import listed, plural

_UNFINISHED = re.compile(r"_cc(new|old)\d*$")


def invalid_indexes(case: Case) -> Iterator[Finding]:
    """WARNING for each index that PostgreSQL does not use because its build did not end."""
    table = case.table
    broken = [(p, name) for p in table.partitions for name in p.invalid_indexes]
    for partition, name in broken:
        # What REINDEX CONCURRENTLY leaves when it is cut short: the old index still serves, its copy goes.
        verb = "DROP" if _UNFINISHED.search(name) else "REINDEX"
        yield Finding(
            "invalid_indexes",
            Severity.WARNING,
            f"The index {name} of {partition.name} is not finished",
            "Queries can't use it, and each write still pays for it. Its build was interrupted, or runs just now.",
            hint=script(f"{verb} INDEX CONCURRENTLY {qualified(partition.schema, name)}"),
            subject=case.called(partition),
        )
    unfinished = [index for index in table.indexes if not index.valid]
    for index in unfinished:
        yield Finding(
            "invalid_indexes",
            Severity.WARNING,
            f"The index {index.name} is not there on every partition",
            "Queries on the partitions that lack it are slow, and new partitions get it all the same.",
            hint=_complete_index(table, index),
        )
    if not broken and not unfinished:
        indexes = plural(len(table.indexes), "index", "indexes")
        yield Finding("invalid_indexes", Severity.OK, f"The table's {indexes} and those of its partitions are valid")


def _complete_index(table: PartitionedTable, index: Index) -> str:
    columns = None if index.constraint else typed_again(index.definition)
    if columns is not None:
        return create_twin(table, columns, index.name, unique=index.unique)
    parent = qualified(table.schema, index.name)
    unique = "UNIQUE " if index.unique else ""
    return "\n".join(
        (
            "-- The partitions that lack it:",
            f"SELECT i.inhrelid::regclass FROM pg_inherits i WHERE i.inhparent = {_regclass(table.sql)}"
            " AND NOT EXISTS (SELECT FROM pg_inherits x JOIN pg_index d ON d.indexrelid = x.inhrelid"
            f" WHERE x.inhparent = {_regclass(parent)} AND d.indrelid = i.inhrelid AND d.indisvalid);",
            "-- Then for each, with a name of your own for its index:",
            f"CREATE {unique}INDEX CONCURRENTLY its_index ON its_partition {index.definition};",
            f"ALTER INDEX {parent} ATTACH PARTITION its_index;",
        )
    )


def _regclass(relation: str) -> str:
    return f"{literal(relation).strip()}::regclass"


def unique_constraint(case: Case) -> Iterator[Finding]:
    """WARNING when nothing keeps equal rows apart; NOTE when only generated ids do."""
    table, key = case.table, case.key
    if any(part.expression for part in key.parts):
        title = f"No unique constraint is possible on a table that is partitioned by an expression: {key.name}"
        yield Finding("unique_constraint", Severity.NOTE, title, "Each partition can have one of its own.")
        return
    generated = {c.name for c in table.columns if c.identity}
    unique = [index for index in table.indexes if index.unique and set(key.columns) <= set(index.columns)]
    telling = [index for index in unique if not generated & set(index.columns)]
    for index in telling[:1]:
        title = f"No two rows share their ({', '.join(index.columns)}): {index.name} sees to it in every partition"
        yield Finding("unique_constraint", Severity.OK, title)
    if telling:
        return
    only = f"Only the generated {listed(sorted(generated))} tells" if unique else "Nothing tells"
    yield Finding(
        "unique_constraint",
        Severity.NOTE if unique else Severity.WARNING,
        f"{only} one row of {table.name} from another",
        "The same row can be written twice. A unique constraint of a partitioned table must contain its key.",
        hint="-- With the columns that tell rows apart in place of the dots. It reads every row, and holds up everybody"
        " until it has:\n"
        f"ALTER TABLE {table.sql} ADD UNIQUE (..., {', '.join(map(ident, key.columns))});",
    )


def _begins_with(index: Index, key: Key) -> bool:
    if key.column:
        return index.columns[:1] == (key.column,)
    return re.match(rf"USING \w+ \(\(?{re.escape(key.expression)}", index.definition) is not None


def key_index(case: Case) -> Iterator[Finding]:
    """WARNING when no index begins with the key."""
    table, key = case.table, case.key
    what, some = ("Dates", "a few days") if key.clock else ("Values", "a few of them")
    column = key.column or key.expression
    name = next((index.name for index in table.indexes if _begins_with(index, key)), None)
    if name is not None:
        yield Finding("key_index", Severity.OK, f"{what} are found by an index on {column}: {name}")
        return
    yield Finding(
        "key_index",
        Severity.WARNING,
        f"No index begins with {column}: a query for {some} reads a whole partition",
        "PostgreSQL picks the partition by its bounds; within it, it looks through every row.",
        hint=_key_index_by_hand(case),
    )


def _key_index_by_hand(case: Case) -> str:
    """An index on the parent alone, then one on each partition while reads and writes go on."""
    table, key = case.table, case.key
    column, stem = ident(key.column) if key.column else f"({key.expression})", key.column or "key"
    parent = fit(table.name, f"_{stem}_idx")
    lines = [f"CREATE INDEX {ident(parent)} ON ONLY {table.sql} ({column})"]
    for partition in table.partitions:
        name = fit(partition.name, f"_{stem}_idx")
        lines.append(f"CREATE INDEX CONCURRENTLY {ident(name)} ON {partition.sql} ({column})")
        attached = qualified(partition.schema, name)
        lines.append(f"ALTER INDEX {qualified(table.schema, parent)} ATTACH PARTITION {attached}")
    return script(*lines)


def unlogged(case: Case) -> Iterator[Finding]:
    """WARNING for partitions and archived tables whose rows a crash of the server takes, and a standby lacks."""
    found = [one for one in case.table.everything if one.unlogged]
    if not found:
        yield Finding("unlogged", Severity.OK, "The rows of every partition and archived table outlast a crash")
        return
    yield Finding(
        "unlogged",
        Severity.WARNING,
        f"{plural(len(found), 'table')} {'is' if len(found) == 1 else 'are'} UNLOGGED: {listed(o.name for o in found)}",
        "After a crash of the server their rows are gone, and no standby and no subscriber has them.",
        hint="-- Each is written anew, and nobody reads or writes it meanwhile:\n"
        + script(*(f"ALTER TABLE {one.sql} SET LOGGED" for one in found)),
        subject=case.called(found[0]),
    )


def never_analyzed(case: Case) -> Iterator[Finding]:
    """NOTE for partitions with rows that the planner knows nothing of; an empty new one needs nothing."""
    found = [p for p in case.table.partitions if p.rows is None and not p.pending and (p.size is None or p.size.heap)]
    if not found:
        yield Finding("never_analyzed", Severity.OK, "The planner knows every partition that holds rows")
        return
    yield Finding(
        "never_analyzed",
        Severity.NOTE,
        f"{plural(len(found), 'partition')} never analyzed: {listed(p.name for p in found)}",
        "Their row counts are unknown here, and queries on them may be planned badly.",
        hint=script(*(f"ANALYZE {p.sql}" for p in found)),
        subject=case.called(found[0]),
    )


def sequences(case: Case) -> Iterator[Finding]:
    """NOTE for a sequence that a partition owns and others use, WARNING where it is an archived table's."""
    table = case.table
    found = [(one, own) for one in table.everything for own in one.sequences if own.stays]
    for one, own in found:
        archived = isinstance(one, Archived)
        yield Finding(
            "sequences",
            Severity.WARNING if archived else Severity.NOTE,
            f"The sequence {own.label} belongs to {one.schema}.{one.name}, and others use it",
            f"It is used by {'; '.join(own.users)}. A sequence goes wherever its owner goes: "
            + (
                "programs that name it where it was fail, and the archived table can't be dropped."
                if archived
                else "who moves or drops that partition by hand takes it along. The console's archive leaves it here."
            ),
            hint=_bring_home(table, one, own),
            subject=table.called(one),
        )
    if not found:
        yield Finding("sequences", Severity.OK, "No partition owns a sequence that others use")


def _bring_home(table: PartitionedTable, one: Partition | Archived, own: OwnSequence) -> str:
    """Statements that give the sequence to the table's column, in the table's schema, or to no column."""
    home = one.schema if isinstance(one, Partition) else table.schema
    statements = []
    if home != own.schema:
        statements = [f"ALTER SEQUENCE {own.sql} OWNED BY NONE", f"ALTER SEQUENCE {own.sql} SET SCHEMA {ident(home)}"]
    there = qualified(home, own.name)
    if own.heir is not None and home == table.schema and one.owner == table.owner:
        statements.append(f"ALTER SEQUENCE {there} OWNED BY {table.sql}.{ident(own.heir)}")
    return script(*(statements or [f"ALTER SEQUENCE {there} OWNED BY NONE"]))
