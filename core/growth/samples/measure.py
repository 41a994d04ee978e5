"""Looks at the size of every partition, attached or archived, and has core.growth.samples.write keep what changed."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from operator import itemgetter

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.errors import CatalogBusy
from core.growth.holdings import Holding, Stage, holding, parsed_bounds
from core.growth.samples.read import read_sampled
from core.growth.samples.tables import TIMEOUT_MS, make
from core.growth.samples.values import STAGES, ColdBytes, Figures, Known, SampleEntry, SampleRun
from core.growth.samples.write import read_known, write_day
from core.names import address, literal, split_qualified
from core.postgres.advisory import LockKey, held
from core.postgres.connection import session, translate
from core.postgres.server import server_of
from core.postgres.session import Row, rows_of
from core.postgres.snapshot import read_snapshot
from core.tables.bounds import Bounds
from core.tables.catalog.highest import counts_on, read_highest_among
from core.tables.catalog.ownership import (
    MAY_BE_DETACHED,
    oid_array,
    read_archived_branches,
    read_detached,
    read_parents,
)
from core.tables.catalog.relation import BUSY, size_columns
from core.tables.catalog.shards import read_spread
from core.tables.catalog.tree import OWN_TABLES
from core.tables.distribution import Shards
from core.tables.ends import End, Value
from core.tables.key import Key
from core.tables.ownership import Descent, Ownership, Parent
from core.tables.size import Size

EXACT_UP_TO = 20_000
"""So many partitions are measured file by file; of more, sizes are those of the last vacuum or analyze."""

_HIGHEST_S = 10.0
"""Whatever the number of tables: what is not asked by then for its highest id is so the next time."""


def sample(
    engine: Engine,
    *,
    archive_schema: str,
    today: date,
    backups: ColdBytes | None = None,
) -> SampleRun:
    """Measures every partition of the database, attached or archived, and writes down what changed since the last day.

    Once more on the same day replaces what that day had. `backups` of None leave what was known of them. Takes locks
    that a plain SELECT takes, one at a time, and waits for none longer than a moment: a partition that somebody holds
    exclusively is skipped and told, and keeps its last figures. The highest id of a table whose key counts is written
    down too, where an index or the statistics tell it. Makes its tables where they are missing. Raises NotAllowed,
    ReadOnlyServer, CatalogBusy, ConnectionFailed.
    """
    began = time.monotonic()
    with session(engine) as connection:
        try:
            make(connection)
            return _sample(connection, archive_schema, today, backups, began)
        except DBAPIError as error:
            raise translate(error) from error


def _sample(
    connection: Connection,
    archive_schema: str,
    today: date,
    backups: ColdBytes | None,
    began: float,
) -> SampleRun:
    with held(connection, LockKey.SAMPLE, 1, "sampling"):
        known = read_known(connection, today)
        names = {one.relation: one.name for one in known if one.relation is not None}
        look = _read_look(connection, archive_schema, names, sorted({one.table for one in known}))
        entries, skipped = _entries(look, known, backups)
        changed = sum(1 for entry in entries if entry.changed)
        seconds = round(time.monotonic() - began, 3)
        run = SampleRun(today, datetime.now(UTC), seconds, len(look.seen), changed, skipped, look.exact)
        write_day(connection, entries, run, _highest_ids(connection, look))
        return run


def _highest_ids(connection: Connection, look: _Look) -> dict[str, Value]:
    """The highest id of each table whose key counts, by its address, where an index or the statistics tell it."""
    found: dict[str, Value] = {}
    until = time.monotonic() + _HIGHEST_S
    for table, key in look.keys.items():
        bounds = {one.oid: one.bounds for one in look.seen if one.table == table and one.state == 0 and one.bounds}
        ranges = sorted(
            ((parsed, oid) for oid, text in bounds.items() if (parsed := Bounds.shown(text).on(key)) is not None),
            key=lambda one: one[0].order,
        )
        one = read_highest_among(connection, key, [oid for range_, oid in ranges if range_.is_range])
        if one is not None:
            found[table] = one
        if time.monotonic() > until:
            break
    return found


def read_present(engine: Engine, *, archive_schema: str, zone: str = "UTC") -> tuple[Holding, ...]:
    """Every partition of the database as it is now, attached or archived, whether it was ever sampled or not.

    Also what was detached by hand and left where it stood, if it was sampled before. It writes nothing. Raises
    CatalogBusy, ConnectionFailed.
    """
    exact, present = _present(engine, archive_schema)
    return tuple(
        holding(
            table,
            seen.name,
            STAGES[seen.state],
            bounds,
            None if seen.figures is None else Size(*seen.figures, exact),
            zone=zone,
            rows=seen.live,
            dead_rows=seen.dead,
            oid=seen.oid,
        )
        for seen, table, bounds in present
    )


def read_sums(engine: Engine, *, archive_schema: str) -> dict[str, dict[Stage, tuple[int, int | None]]]:
    """How many partitions there are of each table in each place, and their bytes, by the table's address.

    None for the bytes where somebody holds one of them, whose size is not known then. It writes nothing. Raises
    CatalogBusy, ConnectionFailed.
    """
    found: dict[str, dict[Stage, tuple[int, int | None]]] = {}
    for seen, table, _ in _present(engine, archive_schema)[1]:
        places = found.setdefault(table, {})
        number, size = places.get(STAGES[seen.state], (0, 0))
        known = None if size is None or seen.figures is None else size + sum(seen.figures)
        places[STAGES[seen.state]] = number + 1, known
    return found


def _present(engine: Engine, archive_schema: str) -> tuple[bool, list[tuple[_Seen, str, str | None]]]:
    """(whether sizes are measured, what is on the server with the address of its table and its bounds)."""
    sampled = {one.oid: one for one in read_sampled(engine)}
    with session(engine) as connection:
        try:
            look = _read_look(connection, archive_schema, {oid: one.name for oid, one in sampled.items()}, ())
        except DBAPIError as error:
            raise translate(error) from error
    found: list[tuple[_Seen, str, str | None]] = []
    for seen in look.seen:
        before = sampled.get(seen.oid)
        if seen.table is not None:
            found.append((seen, seen.table, seen.bounds))
        elif before is not None and before.name == seen.name:
            found.append((seen, before.table, before.bounds))
    return look.exact, found


# --- looking at the server ------------------------------------------------------------------------------------------

_ESTIMATED = """
    c.relpages::bigint * pg_catalog.current_setting('block_size')::int AS heap,
    coalesce(x.pages, 0) * pg_catalog.current_setting('block_size')::int AS index_bytes,
    coalesce(tc.relpages + coalesce(tx.pages, 0), 0) * pg_catalog.current_setting('block_size')::int AS toast
"""
_ESTIMATED_FROM = """
LEFT JOIN pages x ON x.oid = c.oid
LEFT JOIN pg_catalog.pg_class tc ON tc.oid = c.reltoastrelid AND tc.relkind = 't'
LEFT JOIN pages tx ON tx.oid = c.reltoastrelid
"""
_COUNT = """
SELECT (SELECT count(*) FROM pg_catalog.pg_inherits i
        JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relkind = 'r') +
    (SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = {archive} AND c.relkind = 'r')
"""
# Partitions of every table by RANGE with all that is below each, and of tables by LIST or HASH their leaves; then what
# was a partition: tagged, in the archive schema, or sampled before and still there, with all that is below it.
_LOOK = """
WITH RECURSIVE busy AS ({busy}), {own_tables},
tree(root, unit, oid) AS (
    SELECT CASE WHEN own.ranged THEN own.oid ELSE own.root END, i.inhrelid, i.inhrelid FROM own
    JOIN pg_catalog.pg_inherits i ON i.inhparent = own.oid
    LEFT JOIN own below ON below.oid = i.inhrelid WHERE below.oid IS NULL
    UNION ALL SELECT NULL, r.oid, r.oid FROM unnest({archived}) r(oid)
    UNION ALL SELECT tree.root, tree.unit, i.inhrelid FROM tree
    JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = tree.oid
    JOIN pg_catalog.pg_inherits i ON i.inhparent = p.partrelid),
pages AS (
    SELECT x.indrelid AS oid, sum(ic.relpages)::bigint AS pages
    FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid AND ic.relkind = 'i'
    GROUP BY x.indrelid),
found AS (
    SELECT tree.root, tree.unit, tree.oid FROM tree
    UNION ALL SELECT NULL, c.oid, c.oid FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND {detached})
SELECT f.root, f.unit, c.oid, c.relname, c.relkind,
    CASE WHEN c.oid = f.unit THEN pg_catalog.pg_get_expr(c.relpartbound, 0) END AS bounds,
    nullif(c.reltuples, -1)::bigint AS live, pg_catalog.pg_stat_get_dead_tuples(c.oid) AS dead, {size}
FROM found f
JOIN pg_catalog.pg_class c ON c.oid = f.oid AND c.relkind IN ('r', 'p')
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN busy b ON b.oid = c.oid
{sources}
"""
# Tables that were partitioned when they were sampled, and are plain ones now: their rows were not dropped.
_PLAIN = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND (n.nspname, c.relname) IN ({names})
"""


@dataclass(frozen=True, slots=True)
class _Seen:
    """One relation as it was found."""

    oid: int
    name: str
    state: int
    table: str | None
    """The address of its table; None where nothing but an earlier sample can tell."""
    bounds: str | None
    figures: tuple[int, int, int] | None
    """Heap, indexes, TOAST; None for a busy one."""
    live: int | None
    dead: int | None


@dataclass(frozen=True, slots=True)
class _Look:
    seen: tuple[_Seen, ...]
    within: frozenset[int]
    """The oids of what is counted with the partition above it, or by the partitions below it."""
    exact: bool
    plain: frozenset[str]
    """Addresses of sampled tables that are plain ones now."""
    keys: Mapping[str, Key]
    """The keys that are ids, by the address of the table."""


def _look(connection: Connection, archive_schema: str, known: Mapping[int, str], addresses: Iterable[str]) -> _Look:
    """Everything that is to be sampled, in one snapshot that waits for nobody. Raises DBAPIError."""
    archive = literal(archive_schema)
    many = connection.exec_driver_sql(_COUNT.format(archive=archive)).scalar_one() > EXACT_UP_TO
    archived = oid_array(read_archived_branches(connection, archive_schema))
    sql = _LOOK.format(
        busy=BUSY,
        own_tables=OWN_TABLES.format(archived=archived),
        archived=archived,
        detached=MAY_BE_DETACHED.format(archive=archive, also=oid_array(known)),
        size=_ESTIMATED if many else size_columns(exact=True),
        sources=_ESTIMATED_FROM if many else "",
    )
    rows = rows_of(connection, sql)
    spread = read_spread(connection, server_of(connection).can, exact=not many)
    parents = read_parents(connection)
    ownership = Ownership(parents)
    origins = {
        one.oid: ownership.origin(one)
        for one in read_detached(connection, archive_schema, also=known)
        if known.get(one.oid) != one.name
    }
    by_oid = {parent.oid: parent for parent in parents}
    parts = (split_qualified(one) for one in addresses)
    names = ", ".join(f"({literal(schema or '')}, {literal(name)})" for schema, name in parts)
    plain = rows_of(connection, _PLAIN.format(names=names)) if names else ()
    seen = tuple(
        _seen(row, spread.of(row.oid), by_oid.get(row.root), origins.get(row.oid))
        for row in rows
        if row.oid == row.unit
    )
    below: dict[int, list[_Seen]] = {}
    for row in rows:
        if row.oid != row.unit and row.relkind == "r":
            below.setdefault(row.unit, []).append(_seen(row, spread.of(row.oid), None, None))
    return _Look(
        tuple(_summed(one, below[one.oid]) if one.oid in below else one for one in seen),
        frozenset([*(row.oid for row in rows if row.oid != row.unit), *by_oid]),
        not many,
        frozenset(address(row.nspname, row.relname) for row in plain),
        {
            parent.address: parent.key
            for parent in parents
            if parent.key is not None and parent.key.column and counts_on(parent.key)
        },
    )


def _summed(unit: _Seen, leaves: Sequence[_Seen]) -> _Seen:
    """A partition that is partitioned itself, with the figures of its leaves."""
    figures = [one.figures for one in leaves if one.figures is not None]
    live = [one.live for one in leaves if one.live is not None or one.figures is None or one.figures[0]]
    return replace(
        unit,
        figures=(sum(f[0] for f in figures), sum(f[1] for f in figures), sum(f[2] for f in figures))
        if len(figures) == len(leaves)
        else None,
        live=None if None in live else sum(one or 0 for one in live),
        dead=sum(one.dead or 0 for one in leaves),
    )


def _seen(row: Row, shards: Shards | None, parent: Parent | None, origin: Descent | None) -> _Seen:
    bounds = row.bounds
    figures = None if row.heap is None else (row.heap, row.index_bytes, row.toast)
    if shards is not None:
        figures = (shards.size.heap, shards.size.index, shards.size.toast) if shards.size else None
    if origin is not None:
        parent, bounds = origin.parent, origin.bounds.text if origin.bounds else None
    return _Seen(
        oid=row.oid,
        name=row.relname,
        state=STAGES.index(Stage.ARCHIVED if row.root is None else Stage.ATTACHED),
        table=parent.address if parent else None,
        bounds=bounds,
        figures=figures,
        live=shards.rows if shards else row.live,
        dead=None if shards else row.dead,
    )


def _read_look(
    connection: Connection, archive_schema: str, known: Mapping[int, str], addresses: Iterable[str]
) -> _Look:
    """`_look`, begun again where somebody locked a partition meanwhile. Raises CatalogBusy."""
    busy = CatalogBusy(
        "Partitions are being locked and released too fast to be measured just now.", next="Sample again in a moment."
    )
    return read_snapshot(
        connection,
        lambda: _look(connection, archive_schema, known, addresses),
        busy=busy,
        timeout_ms=TIMEOUT_MS,
    )


# --- what each of them is, and what it was before ------------------------------------------------------------------


def _entries(
    look: _Look, known: Sequence[Known], backups: ColdBytes | None
) -> tuple[list[SampleEntry], tuple[str, ...]]:
    """(everything with its figures, the names of what was skipped)."""
    match = _Matcher(known)
    entries: list[SampleEntry] = []
    skipped: list[str] = []
    for seen in look.seen:
        one = match.take(seen)
        if seen.figures is None:
            skipped.append(seen.name)
        table = seen.table or (one.table if one else None)
        last = one.figures if one else None
        if table is None or (seen.figures is None and last is None):
            continue  # a table of somebody's in the archive schema, or a new one that is held
        heap, index, toast = seen.figures or ((last.heap, last.index, last.toast) if last else (0, 0, 0))
        cold = _cold(backups, seen, table, last)
        moved = last.state if last is not None and last.state != seen.state else None
        figures = Figures(seen.state, moved, heap, index, toast, cold, seen.live, seen.dead, look.exact)
        bounds = seen.bounds or (one.bounds if one else None)
        entries.append(SampleEntry(one, table, seen.oid, seen.name, bounds, figures))
    held = _Held(entries)
    entries.extend(
        _gone(one, backups, replaced=one.table in look.plain or one.relation in look.within or held.covers(one))
        for one in match.left()
    )
    entries.extend(_only_in_storage(entries, backups or {}))
    return entries, tuple(sorted(skipped))


class _Matcher:
    """Finds for each relation what is known of it: by its oid, else by its bounds, else by its name."""

    def __init__(self, known: Sequence[Known]) -> None:
        self._left = {one.id: one for one in known}
        self._by_relation = {one.relation: one for one in known if one.relation is not None}
        self._by_bounds = {(one.table, one.bounds): one for one in known if one.bounds is not None}
        self._by_name = {(one.table, one.name): one for one in known}

    def take(self, seen: _Seen) -> Known | None:
        """The known one, which nothing else is then; None for a new one."""
        found = self._by_relation.get(seen.oid)
        if found is not None and not (found.name == seen.name or (seen.bounds and found.bounds == seen.bounds)):
            found = None  # a dump was restored, and the oid is another's now
        if found is None and seen.table is not None:
            if seen.bounds is not None:
                found = self._by_bounds.get((seen.table, seen.bounds))
            named = self._by_name.get((seen.table, seen.name))
            if found is None and named is not None and None in (named.bounds, seen.bounds):
                found = named
        return None if found is None else self._left.pop(found.id, None)

    def left(self) -> tuple[Known, ...]:
        """Those that nothing was found for."""
        return tuple(self._left.values())


def _cold(backups: ColdBytes | None, one: _Seen | Known, table: str, last: Figures | None) -> int:
    if backups is None:
        return last.cold if last else 0
    if one.bounds is not None:
        return backups.get((table, one.name, one.bounds), 0)
    return sum(size for (parent, name, _), size in backups.items() if (parent, name) == (table, one.name))


class _Held:
    """The ranges that the partitions of each table hold now, in the order of their lower ends."""

    def __init__(self, entries: Iterable[SampleEntry]) -> None:
        self._by_table: dict[str, list[tuple[End, Bounds]]] = {}
        for entry in entries:
            bounds = parsed_bounds(entry.bounds)
            if bounds is not None and bounds.lower is not None:
                self._by_table.setdefault(entry.table, []).append((bounds.lower, bounds))
        for found in self._by_table.values():
            found.sort(key=itemgetter(0))

    def covers(self, one: Known) -> bool:
        """Whether others hold its range now: it was split, merged or made anew, not dropped."""
        own, found = parsed_bounds(one.bounds), self._by_table.get(one.table, [])
        if own is None or own.is_default:
            return False
        end = len(found) if own.upper is None else bisect_left(found, own.upper, key=itemgetter(0))
        # Ranges of one table don't overlap: of those that begin before its end, the last ends last.
        return any(bounds.overlaps(own) for _, bounds in found[max(0, end - 2) : end])


def _gone(one: Known, backups: ColdBytes | None, *, replaced: bool) -> SampleEntry:
    """What is no longer on the server, at its last size; at none where its rows went elsewhere meanwhile."""
    dropped = STAGES.index(Stage.DROPPED)
    last = one.figures or Figures(dropped, None, 0, 0, 0, 0, None, None, exact=True)
    replaced = replaced and last.state != dropped
    moved = None if replaced or last.state == dropped else last.state
    figures = replace(last, state=dropped, moved_from=moved, dead=None, cold=_cold(backups, one, one.table, last))
    if replaced:
        figures = replace(figures, heap=0, index=0, toast=0, live=0)
    return SampleEntry(one, one.table, one.relation, one.name, one.bounds, figures)


def _only_in_storage(entries: Iterable[SampleEntry], backups: ColdBytes) -> list[SampleEntry]:
    """Backups of what was gone before the first sample."""
    there = {(entry.table, entry.name, entry.bounds) for entry in entries}
    dropped = STAGES.index(Stage.DROPPED)
    return [
        SampleEntry(None, table, None, name, bounds, Figures(dropped, None, 0, 0, 0, size, None, None, exact=True))
        for (table, name, bounds), size in backups.items()
        if not {(table, name, bounds), (table, name, None)} & there
    ]
