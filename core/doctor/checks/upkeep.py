"""What another tool that makes partitions of the table does with it by itself, and what would stop that tool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from core.doctor.findings import FEW, Case, Finding, Severity, gently, script
from core.names import ident, literal
from core.tables.naming import learnt, shape
from core.tables.partition import Partition
from core.tables.upkeep import Upkeep
from core.text import listed, plural


def other_tools(case: Case) -> Iterator[Finding]:
    """WARNING where another tool drops partitions, or stumbles over a name; NOTE where its settings can't be read."""
    other = case.table.upkeep
    if other is None:
        yield Finding("other_tools", Severity.OK, "No other tool is known to make partitions of this table")
        return
    if other.unread:
        yield _unread(case, other)
        return
    found = [*_dropped(case, other), *_misnamed(case, other)]
    yield from found
    if not found:
        yield Finding("other_tools", Severity.OK, f"It is managed by {other.said} as well, and nothing is in its way")


def _unread(case: Case, other: Upkeep) -> Finding:
    schema, user = other.notes.rpartition(".")[0], ident(case.table.server.user)
    return Finding(
        "other_tools",
        Severity.NOTE,
        f"{other.tool} is in this database: whether it makes partitions of this table can't be read",
        "What it would do to a partition that is made or brought back here can't be told before it is done.",
        hint=script(f"GRANT USAGE ON SCHEMA {schema} TO {user}", f"GRANT SELECT ON {other.notes} TO {user}"),
    )


def _dropped(case: Case, other: Upkeep) -> Iterator[Finding]:
    """That it drops what nobody has backed up; the remedy lets it archive instead."""
    if not other.drops or not other.retention:
        return
    table, archive = case.table, case.table.archive
    change = "retention_keep_table = true"
    if archive.exists:
        change += f", retention_schema = {literal(archive.name).strip()}"
    where = literal(f"{table.schema}.{table.name}").strip()
    yield Finding(
        "other_tools",
        Severity.WARNING,
        f"{other.tool} {other.takes_away}, and nothing here is asked before",
        "No backup is made and no hold is heeded: what it drops is gone."
        + (" With the setting below it moves them to the archive." if archive.exists else ""),
        hint=script(f"UPDATE {other.notes} SET {change} WHERE parent_table = {where}"),
    )


def _misnamed(case: Case, other: Upkeep) -> Iterator[Finding]:
    """Partitions of another name than the tool's own: it fails on the range of one that it does not find by name."""
    ranges = case.table.ranges
    usual = Counter(shape(one.name) for one in ranges).most_common(1)
    odd = [one for one in ranges if shape(one.name) != usual[0][0]]
    if not odd:
        return
    are = "is" if len(odd) == 1 else "are"
    yield Finding(
        "other_tools",
        Severity.WARNING,
        f"{listed(one.name for one in odd)} {are} not named as {other.tool} names partitions",
        "It knows partitions by their names: when it comes to make one of that range it fails on the overlap,"
        " and its run stops there, for other tables as well.",
        hint=_rename(case, [one for one in ranges if one not in odd], odd),
        subject=case.called(odd[0]) if len(odd) == 1 else "",
    )


def _rename(case: Case, others: list[Partition], odd: list[Partition]) -> str:
    """The statements that give them the names that the others' pattern makes; nothing where one can't be told."""
    cut = case.cut
    if cut is None:
        return ""
    located = [(one.name, cell) for one in others if one.bounds and (cell := cut.located(one.bounds))]
    pattern = learnt([(name, *cell) for name, cell in located])
    if pattern is None or pattern.counts:
        return ""
    lines: list[str] = []
    for one in odd[:FEW]:
        cell = cut.located(one.bounds) if one.bounds else None
        name = pattern.made(*cell) if cell else ""
        if not name or name in case.table.taken:
            return ""
        lines.append(f"ALTER TABLE {one.sql} RENAME TO {ident(name)}")
    more = len(odd) - len(lines)
    return gently(*lines) + (f"\n-- and {plural(more, 'more partition')} likewise" if more else "")
