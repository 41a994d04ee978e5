"""Builds values of core.tables for tests: a kid_absences in good health, and every way to spoil it by keyword.

Any field of the built value can be given by its name: `partition(2024, pending=True)`, `table(owned=False)`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from core.period import Range, Width
from core.plans.ensure import NewPartition, missing, plan_ensure
from core.plans.manifest import Backup, BackupColumn
from core.plans.plan import Plan
from core.plans.proof import Kept, Proof, Verdict
from core.postgres.server import Server
from core.tables.archived import Archived, Source
from core.tables.bounds import Bounds
from core.tables.cut import Cut, cut_by
from core.tables.ends import KeyType
from core.tables.key import Key
from core.tables.marks import Tag
from core.tables.partition import Partition
from core.tables.size import Size
from core.tables.structure import Check, Column, Index
from core.tables.table import ArchiveSchema, PartitionedTable

KEY = Key("date", KeyType.DATE)
TODAY = date(2026, 10, 20)
NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)

COLUMNS = (
    Column("id", "bigint", not_null=True, identity=True),
    Column("kid_id", "bigint", not_null=True),
    Column("date", "date", not_null=True),
    Column("reason", "text", not_null=False),
)
UNIQUE = Index(
    name="kid_absences_kid_id_date_key",
    shape='btree unique 2 3124 3122 0 0 0 0 ["kid_id", "date"]',
    columns=("kid_id", "date"),
    unique=True,
    primary=False,
    constraint=True,
    valid=True,
    definition="USING btree (kid_id, date)",
)
BY_DATE = Index(
    name="kid_absences_date_idx",
    shape='btree 1 3122 0 0 ["date"]',
    columns=("date",),
    unique=False,
    primary=False,
    constraint=False,
    valid=True,
    definition="USING btree (date)",
)
INDEXES = (UNIQUE, BY_DATE)


def server(**changes: Any) -> Server:
    """PostgreSQL 18 with a role that may do everything."""
    healthy = Server(
        database="school",
        user="app",
        version_num=180004,
        version="18.4",
        in_recovery=False,
        read_only=False,
        may_create_schema=True,
        journal=True,
        may_write_journal=True,
    )
    return replace(healthy, **changes)


def archive_schema(**changes: Any) -> ArchiveSchema:
    """The schema `archive`, there and closed."""
    return replace(ArchiveSchema("archive", exists=True, may_create=True), **changes)


def bounds(lower: int | date, upper: int | date) -> Bounds:
    """The bounds from one date to another; a year stands for its first of January."""
    ends = [end if isinstance(end, date) else date(end, 1, 1) for end in (lower, upper)]
    return Bounds.between(KEY, ends[0], ends[1])


def bounds_check(of: Bounds, name: str, *, validated: bool = True) -> Check:
    """The CHECK that a detached partition keeps, as PostgreSQL prints it."""
    definition = f"CHECK (((date IS NOT NULL) AND (date >= {of.lower_sql}::date) AND (date < {of.upper_sql}::date)))"
    return Check(name, definition if validated else f"{definition} NOT VALID", validated)


def partition(year: int, **changes: Any) -> Partition:
    """The attached partition of a year, analyzed, 8 MiB in heap and 2 MiB in indexes."""
    name = f"kid_absences_{year}"
    healthy = Partition(
        oid=year,
        schema="public",
        name=name,
        owner="app",
        bounds=bounds(year, year + 1),
        index_names=(f"{name}_date_idx", f"{name}_kid_id_date_key"),
        constraint_names=(f"{name}_kid_id_date_key",),
        size=Size(8 * 1024**2, 2 * 1024**2, 0),
        rows=40_000,
    )
    return replace(healthy, **changes)


def default_partition(**changes: Any) -> Partition:
    """The DEFAULT partition."""
    changes = {"oid": 90, "name": "kid_absences_default", "bounds": Bounds.parse("DEFAULT"), **changes}
    return partition(2000, **changes)


def archived(year: int, *, tagged: bool = True, validated: bool = True, **changes: Any) -> Archived:
    """The archived table of a year: by the console, or by hand with nothing but its name to tell the range."""
    name = f"kid_absences_{year}"
    own = bounds(year, year + 1)
    tag = Tag('"public"."kid_absences"', "public", own.text, "2026-01-05T08:00:00+00:00", made_check=True)
    healthy = Archived(
        oid=10_000 + year,
        schema="archive",
        name=name,
        owner="app",
        bounds=own,
        source=Source.TAG if tagged else Source.NAME,
        tag=tag if tagged else None,
        comment=None,
        columns=tuple(replace(column, identity=False) for column in COLUMNS),
        indexes=tuple(replace(index, name=index.name.replace("kid_absences", name)) for index in INDEXES),
        checks=(bounds_check(own, f"{name}_date_check", validated=validated),) if tagged else (),
        size=Size(8 * 1024**2, 2 * 1024**2, 0),
        rows=40_000,
    )
    return replace(healthy, **changes)


def kept(year: int, *, proven: bool = True, **changes: Any) -> Kept:
    """A backup of the archived table of a year, with one proof, good or none."""
    name = f"kid_absences_{year}"
    own = bounds(year, year + 1)
    backup = Backup(
        id=f"school/public.kid_absences/{name}/20261001T080000Z-abc123",
        database="school",
        cluster="7000000000000000001",
        server_version="18.4",
        server_version_num=180004,
        encoding="UTF8",
        parent="public.kid_absences",
        schema="public",
        name=name,
        archive="archive",
        bounds=own.text,
        bounded=True,
        made_check=True,
        key_column="date",
        key_type="date",
        columns=tuple(BackupColumn(c.name, c.type, c.not_null, c.generated, c.collation) for c in COLUMNS),
        rows=40_000,
        fingerprint="text-1:40000:12345678901234567890",
        raw_bytes=4_000_000,
        bytes=1_000_000,
        sha256="ab" * 32,
        tool="pg_dump 18.4",
        console="0.1.0",
        archived_at="2026-01-05T08:00:00+00:00",
        started_at="2026-10-01T08:00:00+00:00",
        finished_at="2026-10-01T08:00:05+00:00",
        actor="ada",
        reason="",
        needs=(),
        create=(),
        afterwards=(),
        left_out=(),
        owner="app",
        comment=None,
    )
    backup = replace(backup, **changes)
    good = Proof(
        at="2026-10-02T08:00:00+00:00",
        actor="ada",
        verdict=Verdict.PROVEN,
        reason="",
        rows=backup.rows,
        fingerprint=backup.fingerprint,
        sha256=backup.sha256,
        server_version="18.4",
        seconds=3.0,
    )
    return Kept(backup, (good,) if proven else ())


def table(**changes: Any) -> PartitionedTable:
    """kid_absences with the years 2025 to 2027, nothing archived, owned by the connected role."""
    healthy = PartitionedTable(
        oid=1,
        schema="public",
        name="kid_absences",
        owner="app",
        key=KEY,
        strategy="range",
        not_served=None,
        server=server(),
        archive=archive_schema(),
        owned=True,
        may_create=True,
        may_read=True,
        columns=COLUMNS,
        indexes=INDEXES,
        partitions=(partition(2025), partition(2026), partition(2027)),
        as_of=NOW,
    )
    return replace(healthy, **changes)


def ensured(of: PartitionedTable, ranges: Iterable[Range], *, zone: str = "UTC", default_rows: int = 0) -> Plan:
    """plan_ensure for ranges of dates, on the table's own grid, or on that of years where it has none."""
    wanted, grid = _asked(of, ranges, zone)
    return plan_ensure(of, wanted, grid, zone=zone, default_rows=dict.fromkeys(wanted, default_rows))


def missed(of: PartitionedTable, ranges: Iterable[Range], zone: str = "UTC") -> tuple[NewPartition, ...]:
    """What `missing` finds to make for ranges of dates; raises the first refusal."""
    wanted, grid = _asked(of, ranges, zone)
    new, refused = missing(of, wanted, grid, zone)
    if refused:
        raise refused[0]
    return new


def _asked(of: PartitionedTable, ranges: Iterable[Range], zone: str) -> tuple[list[Bounds], Cut]:
    key, grid = of.key or Key("date", KeyType.DATE), of.cut(zone)
    if isinstance(grid, str):
        grid = cut_by(key, Width(months=12), zone, TODAY)
    return [Bounds.between(key, *wanted, grid.zone) for wanted in ranges], grid
