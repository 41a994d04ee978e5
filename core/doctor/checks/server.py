"""The server, the role, and the environment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.doctor.findings import Case, Finding, Severity, one_line, script
from core.names import ident
from core.tables.commands import twin
from core.tables.key import Clock
from core.tables.table import (
    PartitionedTable,
)
from core.text import listed, plural, shell_word


@dataclass(frozen=True, slots=True)
class Right:
    """Whether the connected role may do an act, and what would let it."""

    act: str
    possible: bool
    grants: tuple[str, ...]


def rights(table: PartitionedTable) -> tuple[Right, ...]:
    """What the connected role may do, act by act."""
    server, archive = table.server, table.archive
    user = ident(server.user)
    # membership in a superuser is everything on the server, which nobody asked for
    own = () if table.owned or table.owner_is_superuser else (f"GRANT {ident(table.owner)} TO {user}",)
    create = () if table.may_create else (f"GRANT USAGE, CREATE ON SCHEMA {ident(table.schema)} TO {user}",)
    database = f"GRANT CREATE ON DATABASE {ident(server.database)} TO {user}"
    room: tuple[str, ...] = ()
    if archive.exists and not archive.may_create:
        room = (f"GRANT USAGE, CREATE ON SCHEMA {ident(archive.name)} TO {user}",)
    elif not archive.exists and not server.may_create_schema:
        room = (f"CREATE SCHEMA {ident(archive.name)} AUTHORIZATION {user}",)
    select = (f"GRANT USAGE ON SCHEMA {ident(table.schema)} TO {user}", f"GRANT SELECT ON {table.sql} TO {user}")
    journal = (
        f"GRANT USAGE ON SCHEMA partition_desk TO {user}",
        f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA partition_desk TO {user}",
    )
    keep = () if server.may_write_journal else journal if server.journal else (database,)
    return (
        Right("read the rows", table.may_read, () if table.may_read else select),
        Right("create partitions", table.owned and not create, own + create),
        Right("archive", table.owned and not room, own + room),
        Right("reattach", table.owned and not create, own + create),
        Right("keep the journal", server.may_write_journal, keep),
    )


def privileges(case: Case) -> Iterator[Finding]:
    """WARNING when the connected role may not do every act."""
    user = case.table.server.user
    all_rights = rights(case.table)
    possible = [right.act for right in all_rights if right.possible]
    missing = [right for right in all_rights if not right.possible]
    if not missing:
        title = f"The role {user} may do everything here: {listed(possible)}"
        yield Finding("privileges", Severity.OK, title)
        return
    grants = dict.fromkeys(grant for right in missing for grant in right.grants)
    yield Finding(
        "privileges",
        Severity.WARNING,
        f"The role {user} may not {listed(right.act for right in missing)}",
        f"It may: {listed(possible) if possible else 'nothing else'}. Only the owner of the table,"
        f" {case.table.owner}, or a member of that role can attach and detach.",
        hint=_granting(case.table, tuple(grants)),
    )


def _granting(table: PartitionedTable, grants: tuple[str, ...]) -> str:
    said = f"-- Run as an administrator, or connect as {one_line(table.owner)}:\n{script(*grants)}" if grants else ""
    if not table.owned and table.owner_is_superuser:
        return (
            f"-- Attaching and detaching take a connection as {one_line(table.owner)}. To be a member of that role is"
            f" to be a superuser, which is advised to nobody: better let a role of its own own the table.\n{said}"
        ).rstrip()
    return said


def owners(case: Case) -> Iterator[Finding]:
    """WARNING for partitions of another owner than the table's, which its owner can't move to the archive."""
    table = case.table
    others = [p for p in table.partitions if p.owner != table.owner]
    if not others:
        yield Finding("owners", Severity.OK, f"The table and all its partitions belong to {table.owner}")
        return
    yield Finding(
        "owners",
        Severity.WARNING,
        f"{plural(len(others), 'partition')} not owned by {table.owner}: {listed(p.name for p in others)}",
        "PostgreSQL lets a table be moved to the archive by its own owner only.",
        hint=script(*(f"ALTER TABLE {p.sql} OWNER TO {ident(table.owner)}" for p in others)),
        subject=case.called(others[0]),
    )


def writable(case: Case) -> Iterator[Finding]:
    """WARNING on a standby or a server set to read-only: everything can be seen and nothing done."""
    server = case.table.server
    if server.in_recovery or server.read_only:
        kind = "a standby" if server.in_recovery else "set to read-only"
        yield Finding(
            "writable",
            Severity.WARNING,
            f"This server is {kind}: nothing can be changed here",
            "Reading goes on as ever.",
            hint="Connect to the primary server."
            if server.in_recovery
            else "-- See where it is set, and set it off there:\n"
            "SELECT source, sourcefile FROM pg_settings WHERE name = 'default_transaction_read_only';",
        )
    else:
        yield Finding("writable", Severity.OK, "The server takes changes: it is neither a standby nor read-only")


_MANAGED = (
    "Its provider runs it: nobody is a superuser there, no file of it can be reached, and nothing here needs either."
)


def server_version(case: Case) -> Iterator[Finding]:
    """WARNING where a detach makes everybody wait, and where a release leaves foreign keys unenforced after one."""
    table, server = case.table, case.table.server
    old = not table.detaches_concurrently
    if old:
        citus = server.can.concurrent_detach
        yield Finding(
            "server_version",
            Severity.WARNING,
            f"{server.product} can't detach while reads and writes go on",
            "Citus refuses DETACH CONCURRENTLY of a distributed table: everybody waits for a moment instead, on every"
            " server at most as long as the lock budget."
            if citus
            else "DETACH CONCURRENTLY came with 14: until then everybody waits for a moment when a year is archived.",
            hint="Nothing needs doing: archiving waits briefly, and tries again."
            if citus
            else "Update the server to PostgreSQL 14 or later.",
        )
    fixed = server.foreign_keys_fixed_in
    faulty = bool(fixed) and bool(table.references or table.referenced_by)
    if faulty:
        names = listed(dict.fromkeys(fk.name for fk in (*table.references, *table.referenced_by)))
        yield Finding(
            "server_version",
            Severity.WARNING,
            f"{server.product} can leave foreign keys unenforced after a detach",
            f"{names} could let wrong rows in once a partition has been archived. PostgreSQL has fixed it.",
            hint=f"Update the server to {fixed} or later; then drop and add again the foreign keys of tables that"
            " were detached before.",
        )
    if not old and not faulty:
        title = f"{server.product} is new enough for everything that is done here"
        yield Finding("server_version", Severity.OK, title, _MANAGED if server.can.provider else "")


def time_zone(case: Case) -> Iterator[Finding]:
    """WARNING when the server's day begins elsewhere than the application's and the key is a moment in time."""
    server_zone = case.table.server.time_zone
    zones = f"the server's time zone is {server_zone}, the application's {case.zone}"
    same = _same_zone(server_zone, case.zone, case.now)
    if same:
        yield Finding("time_zone", Severity.OK, f"Server and application agree on the time zone: {case.zone}")
    elif case.key.clock is None:
        yield Finding("time_zone", Severity.OK, f"The key {case.key.name} tells no time, and so of no time zone")
    elif case.key.clock is not Clock.INSTANT:
        kind = "a date" if case.key.clock is Clock.DATE else "a timestamp without time zone"
        yield Finding(
            "time_zone",
            Severity.OK,
            f"The key {case.key.name} is {kind}, which has no time zone",
            f"Only a current_date in SQL could differ around midnight: {zones}.",
        )
    else:
        yield Finding(
            "time_zone",
            Severity.WARNING,
            f"Rows near midnight can fall into another day: {zones}",
            f"{case.key.name} is a moment in time: a date in a query or in bounds begins where the session's"
            " time zone says.",
            hint="Tell Partition Desk the zone in which dates begin, where that is the server's:"
            f" PARTITION_DESK_TIME_ZONE={shell_word(server_zone)}\nThe server's own setting is of every application of"
            " the database: ask who else relies on it.",
        )


def _same_zone(one: str, other: str, now: datetime) -> bool:
    """Whether two zones have the same clock through the year around `now`, whatever they are called."""
    if one == other:
        return True
    try:
        first, second = ZoneInfo(one), ZoneInfo(other)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    moments = [now.astimezone(UTC) + timedelta(weeks=week) for week in range(-26, 27)]
    return all(moment.astimezone(first).utcoffset() == moment.astimezone(second).utcoffset() for moment in moments)


def automatic_creation(case: Case) -> Iterator[Finding]:
    """WARNING when ENABLE_ABSENCE_PARTITIONS switches the creation at the application's start off."""
    if case.cut is None:
        title = "Nothing creates partitions of this table by itself: nothing tells how wide they are to be"
        yield Finding("automatic_creation", Severity.NOTE, title)
        return
    if case.automatic_creation:
        title = "Applications create this period and the next at their start (ENABLE_ABSENCE_PARTITIONS is on)"
        yield Finding("automatic_creation", Severity.OK, title)
        return
    yield Finding(
        "automatic_creation",
        Severity.WARNING,
        "Automatic creation is switched off",
        "No partition comes by itself: one day inserts fail.",
        hint="Set ENABLE_ABSENCE_PARTITIONS=true for the application, or run from cron:\n" + twin("ensure", case.table),
    )
