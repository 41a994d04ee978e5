"""What both edges need of cold storage: the backups of a table, and the plans that take more than the catalog says."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from core.backups.restore import read_surroundings
from core.backups.storage import StorageSettings
from core.errors import Refused, TableNotFound
from core.period import Duration
from core.plans.backup import plan_backup, require_backed_up
from core.plans.manifest import Kept, backup_id
from core.plans.plan import Plan
from core.plans.restore import plan_restore
from core.plans.verify import plan_verify
from core.postgres.programs import find_pg_dump
from core.tables.catalog.table import read_table
from core.tables.model import Hold, PartitionedTable

DROPS_ARE_OFF = "Dropping is switched off here: PARTITION_DESK_ALLOW_DROP is false."


def prepare_backup(cold: StorageSettings, table: PartitionedTable, name: str, *, now: datetime) -> Plan:
    """A plan that backs the partition `name` up under a new id. Raises Refused, ToolMissing and SettingError."""
    found = require_backed_up(table, name)
    made = backup_id(table.server.database, table.address, found.name, now, secrets.token_hex(3))
    tool = find_pg_dump(table.server.version_num, environ=cold.environ)
    place = cold.open().label
    return replace(plan_backup(table, name, id=made, place_label=place, tool=f"pg_dump {tool.version}"), place=place)


def prepare_verify(cold: StorageSettings, kept: Kept) -> Plan:
    """A plan that proves a backup, or finds that it is none."""
    place = cold.open().label
    return replace(plan_verify(kept.backup, place), place=place)


def prepare_restore(
    engine: Engine, cold: StorageSettings, kept: Kept, *, archive_schema: str, hold: Hold | None = None
) -> Plan:
    """A plan that brings a backup back, also into a database that never had its table. Reads what there is."""
    try:
        table = read_table(engine, kept.backup.parent, archive_schema=archive_schema)
    except TableNotFound:
        table = None
    there = read_surroundings(engine, kept.backup, archive_schema=archive_schema)
    place = cold.open().label
    return replace(plan_restore(table, kept, there=there, hold=hold, place_label=place), place=place)


def hold_of_restored(lasts: Duration, today: date, by: str) -> Hold:
    """The hold under which a table comes back, so that no rule takes it again at once."""
    return Hold(lasts.after(today).isoformat(), "Restored from a backup", by)


def later(now: datetime, after: Duration, zone: str) -> datetime:
    """This time of day in `zone`, so much later."""
    local = now.astimezone(ZoneInfo(zone))
    day = min(after.after(local.date()), date.max - timedelta(days=1))
    return datetime.combine(day, time(local.hour, local.minute, local.second), local.tzinfo)


def require_drops(*, allowed: bool) -> None:
    """Raises Refused where the setting forbids to drop."""
    if not allowed:
        raise Refused(DROPS_ARE_OFF, next="Ask whoever set it.")
