"""The Desk: one database and everything the console does with it, made once and used by every edge alike.

The command line, the pages, the worker and an application's start-up all go this way: a wish becomes a plan on what is
there now, and the plan is run in place or put into the queue.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from core.backups.storage import StorageSettings
from core.console.sight import Sight
from core.errors import Refused
from core.names import address, split_qualified
from core.period import Width
from core.postgres import connection
from core.postgres.publications import MAKE_THERE, read_publishing, why_not
from core.postgres.server import read_server
from core.settings import FIRST_TABLE, Settings
from core.tables.catalog.address import read_address, read_path
from core.tables.catalog.coverage import read_coverage
from core.tables.catalog.highest import read_highest
from core.tables.catalog.summaries import read_tables
from core.tables.catalog.table import read_table
from core.tables.coverage import IdsLeft, ids_left
from core.tables.find import find_rows
from core.tables.pace import LOOKED_AT

# What acts and what examines is loaded where it is needed: a command that only looks starts without.

if TYPE_CHECKING:
    from sqlalchemy import URL

    from core.backups.kept import Backups
    from core.console.actor import Actor
    from core.console.execute import Budget, Cancellation, Progress
    from core.console.journal import OperationRecord
    from core.console.metrics import Readings
    from core.console.queue import Ticket
    from core.doctor.findings import Finding
    from core.errors import DeskError
    from core.growth.outlook import Retention
    from core.growth.read import Growth
    from core.growth.samples.daily import Sampled
    from core.growth.savings import Prices
    from core.plans.operation import Wish
    from core.plans.plan import Plan
    from core.plans.proof import Kept
    from core.postgres.server import Server
    from core.seal import Seal
    from core.tables.coverage import Coverage
    from core.tables.find import Found
    from core.tables.summaries import TableSummary
    from core.tables.table import PartitionedTable


_READ_URL = "DATABASE_READ_URL"


def _clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Desk(Sight):
    """One database, how to read it, how to act on it, and under which settings."""

    url: URL | None = None
    """None on an application's own engine."""
    embedded: bool = False
    """Whether it is the server that comes with the console."""
    apart: bool = False
    """Whether it reads as another role than it acts as."""
    clock: Callable[[], datetime] = field(default=_clock, compare=False)
    server_clock: Callable[[], datetime] | None = field(default=None, compare=False)
    """None for the server's own."""

    @classmethod
    def at(
        cls, url: str, settings: Settings, *, environ: Mapping[str, str] = os.environ, embedded: bool = False
    ) -> Desk:
        """The database of a URL, with engines of the console's own. Raises SettingError."""
        parsed = connection.parse_url(url)
        apart = settings.database_read_url
        return cls(
            settings,
            connection.reading_engine(parsed)
            if apart is None
            else connection.reading_engine(connection.parse_url(apart, _READ_URL), _READ_URL),
            connection.working_engine(parsed),
            StorageSettings(settings.backup_url, settings.home, environ, settings.key),
            parsed,
            embedded,
            apart is not None,
        )

    @classmethod
    def on(cls, engine: Engine, settings: Settings, *, environ: Mapping[str, str] = os.environ) -> Desk:
        """The database of an application, on its own engine."""
        storage = StorageSettings(settings.backup_url, settings.home, environ, settings.key)
        return cls(settings, engine, engine, storage)

    def close(self) -> None:
        """Closes its connections."""
        self.reading.dispose()
        self.working.dispose()

    # --- what it knows by itself ---

    @property
    def zone(self) -> str:
        """The application's time zone, in which a date begins."""
        return self.settings.time_zone

    @property
    def now(self) -> datetime:
        """This moment."""
        return self.clock()

    @property
    def today(self) -> date:
        """The date in `zone`."""
        return self.now.astimezone(ZoneInfo(self.zone)).date()

    @property
    def server_now(self) -> datetime:
        """This moment by the server's clock, which counts for a drop: a console's may run fast.

        Raises Refused where the console's says another: one of both is wrong, and nobody knows which.
        """
        from core.console.clocks import server_time

        return self.server_clock() if self.server_clock is not None else server_time(self.reading, self.now)

    @property
    def cutoff(self) -> date:
        """Partitions that end before this date are due for archive."""
        return self.settings.archive_after.before(self.today)

    @property
    def verify_before(self) -> date:
        """A backup that was proven last before this date was so too long ago."""
        return self.settings.verify_every.before(self.today)

    def usual_width(self, table: PartitionedTable) -> Width | None:
        """A year for the table that the console was made for; None for any other, of which nothing is known."""
        return Width(months=12) if self.settings.table == table.name == FIRST_TABLE else None

    @property
    def may_drop(self) -> bool:
        """Whether anything may be dropped at all."""
        return self.settings.allow_drop

    @property
    def budget(self) -> Budget:
        """How long an operation may hold others up, and wait itself."""
        from core.console.execute import Budget

        return Budget(self.settings.lock_budget_ms, self.settings.patience_s)

    @property
    def backup_place(self) -> str:
        """The label of the place of the backups. Raises SettingError."""
        return self.storage.open().label

    @property
    def address(self) -> str:
        """Host, port and database, for people."""
        return connection.place(self.url) if self.url is not None else ""

    def acting(self) -> Desk:
        """The same, reading as the role that acts: what an act takes depends on what that role may.

        Raises Refused where the two addresses are of two databases.
        """
        if not self.apart:
            return self
        found = replace(self, reading=self.working, apart=False)
        here, there = self.server(), found.server()
        if (here.database, here.cluster) != (there.database, there.cluster):
            raise Refused(
                "DATABASE_READ_URL and DATABASE_URL lead to two databases.", next="Set both to the same database."
            )
        return found

    # --- looking ---

    def address_of(self, table: str) -> str:
        """The schema and name of the table that a name means. Raises TableNotFound, AmbiguousName."""
        return read_address(self.reading, table, archive_schema=self.archive_schema)

    def address_to_be(self, table: str) -> str:
        """The schema and name that a table of this name would be made under, for one that is gone."""
        schema, name = split_qualified(table)
        return address(schema or next(iter(read_path(self.reading)), "public"), name)

    def read(self, table: str = "") -> PartitionedTable:
        """A table as it is now, that of the settings where none is named.

        Raises TableNotFound, AmbiguousName, CatalogBusy.
        """
        return read_table(self.reading, table or self.settings.table, archive_schema=self.archive_schema)

    def ids_left(self, table: PartitionedTable) -> IdsLeft | None:
        """How many ids have a partition above the highest in use, where the key counts and that is cheaply known.

        With how long they last, where samples of the highest tell.
        """
        highest = read_highest(self.reading, table)
        if highest is None:
            return None
        from core.growth.samples.read import read_highest_ids

        samples = read_highest_ids(self.reading, since=self.now - LOOKED_AT, table=table.address)
        return ids_left(table, highest, self.now, samples.get(table.address, ()))

    def read_working(self, table: str) -> PartitionedTable:
        """The same for an operation under way, on its own engine, with estimated sizes."""
        return read_table(self.working, table, archive_schema=self.archive_schema, exact=False)

    def tables(self) -> tuple[TableSummary, ...]:
        """Every partitioned table of the database."""
        return read_tables(self.reading, self.archive_schema)

    def branches(self, table: PartitionedTable) -> tuple[Coverage, ...]:
        """What the branches of a table by LIST or HASH cover that are tables of their own."""
        wanted = table.branch_tables
        every = read_coverage(self.reading, self.archive_schema) if wanted else ()
        return tuple(one for one in every if one.address in wanted)

    def server(self) -> Server:
        """The server and the session that looks at it."""
        return read_server(self.reading)

    def backups(self, table: str, server: Server, *, since: date | None = None) -> Backups:
        """The backups of the table of that address, by their manifests alone; never raises a DeskError.

        With `since`, each with all that was tried with it from that day on.
        """
        from core.backups.kept import read_backups  # so is what reads backups

        return read_backups(self.storage, table, server, since=since)

    def examine(self, table: PartitionedTable, backups: Backups | None) -> tuple[Finding, ...]:
        """What the Doctor says of a table; without its backups, what can be said before they are read."""
        from core.console.examining import examine

        return examine(self, table, backups)

    def database_backups(self) -> tuple[tuple[Kept, ...] | None, DeskError | None]:
        """(the backups of this database, None), or (None, why their place can't be read)."""
        from core.backups.kept import read_database_backups

        return read_database_backups(self.storage.open, self.server())

    def growth(
        self,
        table: str | None,
        *,
        retention: Retention,
        kept: tuple[Kept, ...] | None,
        prices: Prices | None,
        limit: int | None = None,
        horizon: int = 365,
    ) -> Growth:
        """How storage grows, of one table or, with None, of all. Raises TableNotFound, NotServed."""
        from core.growth.question import Question
        from core.growth.read import read_growth

        asked = Question(
            table=table,
            archive_schema=self.archive_schema,
            today=self.today,
            zone=self.zone,
            retention=retention,
            limit=limit,
            prices=prices,
            currency=self.settings.currency,
            horizon=horizon,
            kept=kept,
        )
        return read_growth(self.reading, asked)

    def metrics(self, kept: tuple[Kept, ...] | None) -> Readings:
        """The figures of every table of the database."""
        from core.console.alarms.health import read_figures
        from core.console.maintained import read_upkeep
        from core.console.metrics import read_metrics

        schema, seal = self.archive_schema, self.seal()
        found = read_metrics(self.reading, archive_schema=schema, now=self.now, zone=self.zone, kept=kept, seal=seal)
        return replace(found, alarms=read_figures(self.reading, self.settings), upkeep=read_upkeep(self))

    def find(
        self, table: PartitionedTable, day: date, where: Mapping[str, str], actor: Actor, *, noted: bool = False
    ) -> Found:
        """Where the rows of a date are, and of these values of columns.

        Who looks for values is written down first, with the columns and without the values, unless that is `noted`
        already. Raises NotAllowed for the actor's role.
        """
        if where:
            from core.console.privacy import note_find

            note_find(self, table, day, tuple(where), actor, noted=noted)
        return find_rows(self.acting().reading, table, day, where, zone=self.zone)

    def sample(self, actor: Actor | None = None) -> Sampled:
        """Writes the sizes of this day down, and forgets what is too old; the worker does it on nobody's behalf.

        Raises NotAllowed for the actor's role.
        """
        if actor is not None:
            from core.console.actor import as_of_now
            from core.plans.operation import SAMPLE

            as_of_now(self.settings, actor).require(SAMPLE)
        from core.growth.samples.daily import sample_today

        return sample_today(
            self.working,
            self.storage.open,
            archive_schema=self.archive_schema,
            today=self.today,
            keep=self.settings.keep_samples,
            weekly_after=self.settings.weekly_after,
        )

    # --- acting ---

    def plan(self, wish: Wish) -> Plan:
        """What a wish takes, as everything is now. Raises Refused for what stands in the way."""
        from core.console.wishes import written

        now = self.now
        at = replace(self.acting(), clock=lambda: now)
        plan = (_on_table(at, wish) if self.apart else wish).plan(at)
        return replace(plan, wish=written(wish, plan, now))

    def plan_again(self, operation: OperationRecord) -> Plan:
        """What the wish of a row takes now. Raises NotSealed where no console with this one's key wrote it."""
        from core.console.wishes import read_wish
        from core.errors import NotSealed

        if operation.sealed is False:
            raise NotSealed(operation.told, next="Ask for what you want yourself.")
        wish, _ = read_wish(self, operation.wish)
        return self.plan(wish)

    def warned(self, plan: Plan) -> Plan:
        """The plan with what has to be known before it is confirmed: whether it is refused for a subscriber's sake."""
        unmade_for, _ = self.journal_published() if plan.steps else ((), ())
        if not unmade_for:
            return plan
        told = f"It is refused as yet. {why_not(unmade_for)} {MAKE_THERE}"
        return replace(plan, warnings=(told, *plan.warnings))

    def journal_published(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The publications that keep the journal from being made, and those that send it."""
        from core.console.journal_tables import read_is_made

        made = read_is_made(self.reading)
        found = read_publishing(self.reading, made=made)
        return ((), found) if made else (found, ())

    def run(
        self,
        plan: Plan,
        actor: Actor,
        reason: str = "",
        *,
        cancellation: Cancellation | None = None,
        progress: Progress | None = None,
    ) -> OperationRecord | None:
        """Runs a plan in this process and returns its journal row; None where there was nothing to do.

        If the same is being done already, by whomever, that is followed to its end instead. Raises how it failed.
        """
        with self.noting_refusals(plan, actor, reason):
            self._require_allowed(plan, actor, reason)
        from core.console.run import run_now

        return run_now(self, plan, actor, reason, cancellation=cancellation, progress=progress)

    def run_unrecorded(self, plan: Plan) -> None:
        """Runs a plan for a role that may not write the journal; for an application's start-up only."""
        from core.console.run import run_unrecorded

        run_unrecorded(self, plan)

    def enqueue(self, plan: Plan, actor: Actor, reason: str = "") -> Ticket:
        """Puts a confirmed plan into the queue of the workers. Raises NotAllowed for the actor's role."""
        from core.console.queue import enqueue

        with self.noting_refusals(plan, actor, reason):
            self._require_allowed(plan, actor, reason)
            ticket = enqueue(self.working, plan, actor, reason, seal=self.make_seal())
        self.keep_record()
        return ticket

    def keep_record(self) -> None:
        """Writes into the record's second place, where there is one, what that lacks."""
        if self.settings.audit_log:
            from core.console.second_place import keep

            keep(self.working, self.settings.audit_log)

    @contextmanager
    def noting_refusals(self, plan: Plan, actor: Actor, reason: str) -> Iterator[None]:
        """Has the record say what is refused, and whom; without a record, or where it can't be written, nothing."""
        from core.console.audit import note, refused
        from core.errors import Asked, DeskError, PlanOutdated

        try:
            yield
        except Asked:  # which is written down already
            self.keep_record()
            raise
        except (Refused, PlanOutdated) as error:
            with suppress(DeskError):
                note(self.working, self.seal(), refused(plan, actor, reason, error))
            self.keep_record()
            raise

    def seal(self) -> Seal | None:
        """What the journal's rows are sealed with; None where there is no key that can be read and is trusted."""
        from core.seal import trusted_seal  # who only looks is not stopped by it; who acts is told

        return trusted_seal(self.settings.key, self.settings.home)

    def make_seal(self) -> Seal:
        """The same, with a key made where there is none. Raises SettingError where none can be kept or trusted."""
        from core.seal import make_seal

        return make_seal(self.settings.key, self.settings.home)

    def _require_allowed(self, plan: Plan, actor: Actor, reason: str) -> None:
        from core.console.actor import as_of_now, require_named

        here = as_of_now(self.settings, actor)
        here.require(plan.operation)
        if here.said is not None:
            from core.console.approval import counts_later

            if counts_later(plan):
                require_named(self.settings, here, plan.operation)
        if plan.operation.destroys:
            from core.plans.drop import require_drops

            require_drops(allowed=self.may_drop)
        if self.settings.two_persons:
            from core.console.approval import require_second

            require_second(self, plan, actor, reason)


def _on_table(desk: Desk, wish: Wish) -> Wish:
    """The wish on its table as that desk's role sees it."""
    from core.tables.table import PartitionedTable

    table = getattr(wish, "table", None)
    return replace(cast(Any, wish), table=desk.read(table.address)) if isinstance(table, PartitionedTable) else wish


@contextmanager
def opened(settings: Settings, *, say: Callable[[str], None]) -> Iterator[Desk]:
    """The database that the settings name, closed afterwards; the embedded one is started where they name none."""
    if settings.database_url is not None:
        desk = Desk.at(settings.database_url, settings)
        try:
            yield desk
        finally:
            desk.close()
        return
    from core.postgres.embedded import running_server

    say(f"Using the embedded database in {settings.home}.")
    with running_server(settings.home) as url:
        desk = Desk.at(url, settings, embedded=True)
        try:
            yield desk
        finally:
            desk.close()
