"""Runs the two migrations inside Alembic's transaction: looks, takes the locks under their budget, plans, does it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.console.locks import Blocker, read_holders
from core.errors import LockNotObtained, PlanOutdated
from core.migrations.contents import read_partitioned_contents, read_plain_contents
from core.names import literal
from core.plans.convert import Conversion, lock_statements, plan_partition, plan_unpartition
from core.plans.convertible import Target, require_partitionable, require_unpartitionable
from core.plans.plan import Lock, Mode
from core.postgres.advisory import LockKey
from core.postgres.connection import DEADLOCK, LOCK_TIMEOUT, session, sqlstate, translate
from core.postgres.session import NO_TIMEOUTS, PRINTED, local_settings, set_local
from core.settings import Settings
from core.tables.catalog.definition import read_definition
from core.tables.definition import Definition
from core.tables.table import PartitionedTable

AUTOVACUUM_MS = 1_200
"""A server's own worker yields only to somebody who has waited for deadlock_timeout, which is 1 s."""


@dataclass(frozen=True, slots=True)
class Migration:
    """What both directions work with."""

    connection: Connection
    """Alembic's, in its transaction."""
    watch: Engine
    """Reads who is in the way."""
    table: PartitionedTable
    """As it was read before the transaction."""
    settings: Settings


def partition(migration: Migration, target: Target, today: date) -> tuple[str, ...]:
    """Partitions the plain table by years; what has changed, in plain sentences. Raises DeskError."""

    def require(definition: Definition) -> None:
        require_partitionable(definition, target)

    def plan(definition: Definition) -> Conversion:
        zone = migration.settings.time_zone
        contents = read_plain_contents(migration.connection, definition, target, zone)
        return plan_partition(definition, contents, target, today=today, zone=zone)

    return _convert(migration, require, plan)


def unpartition(migration: Migration) -> tuple[str, ...]:
    """Makes the partitioned table plain; what has changed, and what was left in the archive. Raises DeskError."""

    def plan(definition: Definition) -> Conversion:
        contents = read_partitioned_contents(migration.connection, definition)
        archived = tuple(f"{one.schema}.{one.name}" for one in migration.table.archived)
        return plan_unpartition(definition, contents, archived=archived)

    return _convert(migration, require_unpartitionable, plan)


def _convert(
    migration: Migration, require: Callable[[Definition], None], plan: Callable[[Definition], Conversion]
) -> tuple[str, ...]:
    table = migration.table
    try:
        with local_settings(migration.connection, _SETTINGS) as before:
            set_local(migration.connection, {"lock_timeout": str(migration.settings.lock_budget_ms)})
            require(read_definition(migration.connection, table.schema, table.name))
            definition = _locked(migration, require)
            set_local(migration.connection, {"lock_timeout": "0"})
            conversion = plan(definition)
            path = ", ".join(filter(None, ("pg_catalog", before["search_path"])))
            set_local(migration.connection, {"search_path": path})  # for event triggers, CHECKs and the like
            for statement in conversion.statements:
                _run(migration.connection, statement)
    except DBAPIError as error:
        raise translate(error) from error
    return conversion.effects


def _run(connection: Connection, sql: str) -> None:
    connection.exec_driver_sql(sql, execution_options={"no_parameters": True})


# Everything is printed alike; row security hides no row; no time-out meant for others ends it.
_SETTINGS = {
    **PRINTED,
    "row_security": "off",
    **NO_TIMEOUTS,
    "default_tablespace": "",
}


def _locked(migration: Migration, require: Callable[[Definition], None]) -> Definition:
    """The definition, read under all the locks; each try holds up others for no longer than the lock budget."""
    patience = migration.settings.patience_s
    deadline = time.monotonic() + patience
    blockers: tuple[Blocker, ...] = ()
    tries = 0
    while True:
        tries += 1
        budget = migration.settings.lock_budget_ms
        if any(one.is_autovacuum for one in blockers):
            budget = max(budget, AUTOVACUUM_MS)
        try:
            return _try_locks(migration, require, budget)
        except DBAPIError as error:
            if sqlstate(error) not in (LOCK_TIMEOUT, DEADLOCK):
                raise
            _run(migration.connection, "ROLLBACK TO SAVEPOINT partition_desk_locks")
            blockers = _in_the_way(migration)
            if time.monotonic() > deadline:
                who = "; ".join(one.sentence() for one in blockers[:3]) or "sessions that came and went without a gap"
                raise LockNotObtained(
                    f"{migration.table.label} could not be locked within {patience:.0f} s, after {tries} tries. "
                    f"In the way: {who}.",
                    next="Ask again in a quieter hour, or allow more patience (PARTITION_DESK_PATIENCE_S) or a longer "
                    "lock budget (PARTITION_DESK_LOCK_BUDGET_MS), which lets others wait as long.",
                ) from error
        time.sleep(random.uniform(0.1, 1.0))  # nosec B311 # noqa: S311 no secret


def _try_locks(migration: Migration, require: Callable[[Definition], None], budget_ms: int) -> Definition:
    connection, table = migration.connection, migration.table
    _run(connection, "SAVEPOINT partition_desk_locks")
    _run(connection, f"SET LOCAL lock_timeout = {budget_ms}")
    _run(
        connection,
        f"SELECT pg_catalog.pg_advisory_xact_lock({LockKey.TABLE}, pg_catalog.hashtext({literal(table.address)}))",
    )
    _run(connection, f"LOCK TABLE {table.sql} IN ACCESS EXCLUSIVE MODE")
    definition = read_definition(connection, table.schema, table.name)
    if definition.oid != table.oid:
        raise PlanOutdated(f"{table.label} is another table than it was a moment ago.")
    require(definition)
    for statement in lock_statements(definition):
        _run(connection, statement)
    _run(connection, "RELEASE SAVEPOINT partition_desk_locks")
    return definition


def _in_the_way(migration: Migration) -> tuple[Blocker, ...]:
    table = migration.table
    others = dict.fromkeys(fk.other for fk in (*table.references, *table.referenced_by))
    relations = (table.sql, *others, *(one.sql for one in table.partitions))
    own = migration.connection.exec_driver_sql("SELECT pg_catalog.pg_backend_pid()").scalar_one()
    with session(migration.watch) as watch:
        return read_holders(watch, (Lock(relation, Mode.ACCESS_EXCLUSIVE) for relation in relations), own)
