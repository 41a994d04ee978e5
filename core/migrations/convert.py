"""Runs the two migrations as `partitions convert` and `unconvert` do, while everybody works."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from core.console.desk import Desk
from core.console.locks import Blocker, read_holders
from core.errors import LockNotObtained, PlanOutdated, Refused, UsageError
from core.migrations.contents import read_partitioned_contents
from core.names import literal
from core.period import Width
from core.plans.conversion import to_its_end
from core.plans.convert import Conversion, lock_statements, plan_unpartition
from core.plans.convertible import Target, require_unpartitionable
from core.plans.inplace import Convert
from core.plans.operation import Wish
from core.plans.plan import Lock, Mode
from core.plans.split import Split
from core.plans.unconvert import Unconvert
from core.plans.under_way import Abandon
from core.postgres.advisory import LockKey
from core.postgres.connection import DEADLOCK, LOCK_TIMEOUT, session, sqlstate, translate
from core.postgres.session import NO_TIMEOUTS, PRINTED, local_settings, set_local
from core.tables.catalog.definition import read_definition
from core.tables.definition import Definition
from core.tables.table import PartitionedTable
from core.text import plural

YEAR = Width(months=12)
PLANNED_AGAIN = 5
"""How often a wish is planned anew because the table changed before it was begun."""
AUTOVACUUM_MS = 1_200
"""A server's own worker yields only to somebody who has waited for deadlock_timeout, which is 1 s."""


@dataclass(frozen=True, slots=True)
class Migration:
    """What both directions work with."""

    connection: Connection
    """Alembic's, in its transaction, in which nothing is done but keeping the revision."""
    desk: Desk
    """Does it, on sessions of its own."""
    table: PartitionedTable
    """As it was read before the transaction."""


def partition(migration: Migration, target: Target) -> Iterator[str]:
    """Partitions the plain table by years, online, from wherever it is; tells what is done. Raises DeskError.

    What can't be split stays in one partition, which is told: the table is in use partitioned all the same.
    """
    desk, table = migration.desk, migration.table.address
    begin = Convert(table, target.key, YEAR, target.unique, target.indexed)
    for wish in to_its_end(desk, table, YEAR, begin, split=True):
        try:
            yield from _done(desk, wish)
        except (Refused, UsageError) as why:
            if not isinstance(wish, Split):
                raise
            yield f"What it held stays in one partition. {why.what} {why.next}".strip()
    found = desk.read(table)
    by = found.key.name if found.key is not None else target.key
    names = [one.name for one in found.ranges]
    yield (
        f"{found.label} is partitioned by RANGE ({by}): {plural(len(names), 'partition')}, {names[0]} to {names[-1]}."
        if names
        else f"{found.label} is partitioned by RANGE ({by})."
    )


def unpartition(migration: Migration) -> Iterator[str]:
    """Makes the partitioned table plain; tells what is done, and what was left in the archive. Raises DeskError.

    Online where its rows lie in one partition; else in one transaction, in which everybody waits.
    """
    desk, table = migration.desk, migration.table
    move = desk.under_way(table) if table.strategy != "plain" else None
    if move is not None:
        first = move.course.leaving[0].name
        yield from _done(desk, Split(table.address, first, None) if move.switched else Abandon(table.address))
        table = desk.read(table.address)
    if table.strategy == "plain" or len(desk.filled(table)) <= 1:
        yield from _done(desk, Unconvert(table.address))
        return

    def plan(definition: Definition) -> Conversion:
        contents = read_partitioned_contents(migration.connection, definition)
        archived = tuple(f"{one.schema}.{one.name}" for one in migration.table.archived)
        return plan_unpartition(definition, contents, archived=archived)

    yield from _convert(migration, require_unpartitionable, plan)


def _done(desk: Desk, wish: Wish) -> Iterator[str]:
    """Tells what a wish takes and does it; plans anew while others change the table before it is begun."""
    for again in reversed(range(PLANNED_AGAIN)):
        plan = desk.plan(wish)
        yield from plan.effects if again == PLANNED_AGAIN - 1 else ()
        if not plan.steps:
            return
        try:
            desk.run_unrecorded(plan)
        except PlanOutdated:
            if not again:
                raise
        else:
            return


def _convert(
    migration: Migration, require: Callable[[Definition], None], plan: Callable[[Definition], Conversion]
) -> tuple[str, ...]:
    table = migration.table
    try:
        with local_settings(migration.connection, _SETTINGS) as before:
            set_local(migration.connection, {"lock_timeout": str(migration.desk.settings.lock_budget_ms)})
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
    patience = migration.desk.settings.patience_s
    deadline = time.monotonic() + patience
    blockers: tuple[Blocker, ...] = ()
    tries = 0
    while True:
        tries += 1
        budget = migration.desk.settings.lock_budget_ms
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
    with session(migration.desk.reading) as watch:
        return read_holders(watch, (Lock(relation, Mode.ACCESS_EXCLUSIVE) for relation in relations), own)
