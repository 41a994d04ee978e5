"""Maintain: makes the rules of every table true, one act after the other, each a wish like any other.

Creation comes first, on every table, before anything old is looked at. What fails on one table or partition is written
down and keeps nothing else from being done. A run that was killed is gone on with by the next: each looks at what is.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from core.console import maintained
from core.console.actor import Actor, Origin, role_of
from core.console.execute import Cancellation, Progress
from core.console.ruled import InForce, Ruling, read_in_force
from core.errors import ConnectionFailed, DeskError, NotAllowed, PlanOutdated, Refused
from core.plans.archive import ARCHIVE, Archive
from core.plans.backup import BACKUP, BackUp
from core.plans.drop import DROP, Drop
from core.plans.ensure import ENSURE, Ensure
from core.plans.operation import Role, Wish
from core.plans.plan import Plan
from core.plans.proof import Kept
from core.plans.verify import VERIFY, Verify
from core.postgres.advisory import LockKey, is_strangers, read_holder, try_lock, unlock
from core.postgres.connection import session, translate
from core.rules.calendar import acted
from core.rules.due import Act, Due, Moment, copies_of, counted_since, due
from core.rules.run import Done, Left, Run, begun_since
from core.rules.value import Rules
from core.tables.table import PartitionedTable

if TYPE_CHECKING:
    from core.console.desk import Desk
    from core.seal import Seal

PLANNED_AGAIN = 5
"""How often an act is planned anew because somebody changed the table before it was begun."""
MOST_ACTS = 5_000
"""On one table in one run, whatever its rules: a fault of this program is not to go on for ever."""
UPKEEP = Actor("maintain", Role.OPERATOR, Origin.UPKEEP)
"""Creates, backs up and verifies; what takes an admin is done in the name of who set the rules."""


@dataclass(slots=True)
class _Going:
    """A run under way, and where it is written down."""

    desk: Desk
    seal: Seal
    act: Callable[[Plan, Actor, str], object]
    told: Callable[[str], None]
    outside: bool
    number: int
    run: Run
    before: tuple[Run, ...]
    cancellation: Cancellation
    kept: dict[str, tuple[Kept, ...] | None] = field(default_factory=dict)
    """The backups of a table, as they were last read."""

    def write(self, **changes: object) -> None:
        """Changes what is known of the run, and writes it down; a server that is away is told of by what fails."""
        self.run = replace(self.run, **changes)  # type: ignore[arg-type]
        with suppress(DBAPIError, ConnectionFailed), session(self.desk.working) as connection:
            maintained.write(connection, self.seal, self.number, self.run)


def maintain(
    desk: Desk,
    *,
    act: Callable[[Plan, Actor, str], object] | None = None,
    told: Callable[[str], None] = lambda _: None,
    outside: bool = False,
    only: int | None = None,
    cancellation: Cancellation | None = None,
    progress: Progress | None = None,
) -> Run:
    """Makes the rules true, of every table or of the one with the oid `only`, and says what it did and left.

    `act` runs a plan, in place of the Desk. With `outside` windows are passed over. Raises Refused where somebody else
    is at it, JournalPublished and the like where nothing can be written down.
    """
    stop = cancellation or Cancellation()

    def run(plan: Plan, actor: Actor, reason: str) -> object:
        return desk.run(plan, actor, reason, cancellation=stop, progress=progress)

    in_force = [one for one in read_in_force(desk) if only in (None, one.oid)]
    if not in_force:
        return Run(desk.now, desk.now, platform.node())
    with session(desk.working) as connection, _alone(connection):
        seal = desk.make_seal()
        begun = Run(desk.now, None, platform.node())
        before = maintained.read_runs(desk.working, seal)
        number = maintained.begin(connection, seal, begun)
        going = _Going(desk, seal, act or run, told, outside, number, begun, before, stop)
        for creating in (True, False):
            for one in in_force:
                if not stop.requested:
                    _keep_to(going, one, creating=creating)
        stopped = "It was stopped before it had looked at everything." if stop.requested else ""
        going.write(ended=desk.now, stopped=stopped)
        return going.run


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Raises Refused where another process is at it, on whatever host; ConnectionFailed and the like."""
    locked = try_lock(connection, LockKey.MAINTAIN, 0)
    if not locked and not is_strangers(connection, LockKey.MAINTAIN, 0):
        who = read_holder(connection, LockKey.MAINTAIN, 0)
        raise Refused(
            f"maintain is running already{f': {who}' if who else ''}.",
            next="What is left is done by the next run.",
        )
    try:
        yield
    except DBAPIError as error:
        raise translate(error) from error
    finally:
        if locked:
            unlock(connection, LockKey.MAINTAIN, 0)


def _keep_to(going: _Going, one: InForce, *, creating: bool) -> None:
    """Makes the rules of one table true, as far as that can be done now: what is missing, or all the rest."""
    if one.rules is None or one.ruling is None:
        if one.doubt and creating:
            _leave(going, [Left(one.table, "rules", one.table, one.doubt, wrong=True)])
        return
    tried: set[tuple[str, str]] = set()
    failed: set[tuple[str, str]] = set()
    found = Due()
    try:
        for _ in range(MOST_ACTS):
            table = going.desk.read(one.table)
            found = _due(going, one.rules, table, frozenset(failed))
            acts = [act for act in found.acts if (act.operation is ENSURE) is creating]
            again = next((act for act in acts if act.key in tried), None)
            if again is not None:
                why = "it was done, and is still wanted"
                _leave(going, [Left(one.table, again.operation.name, again.subject, why, wrong=True)])
                failed.add(again.key)
                continue
            if not acts or going.cancellation.requested:
                break
            tried.add(acts[0].key)
            if not _do(going, one.ruling, one.rules, table, acts[0]):
                failed.add(acts[0].key)
    except DeskError as error:
        _leave(going, [Left(one.table, "read", one.table, str(error), wrong=True)])
        return
    held = (each for each in found.held if (each.operation is ENSURE) is creating)
    _leave(going, (Left(one.table, each.operation.name, each.subject, each.why, each.wrong) for each in held))


def _leave(going: _Going, left: Iterable[Left]) -> None:
    found = tuple(left)
    if found:
        going.write(left=(*going.run.left, *found))


def moment_of(
    desk: Desk,
    rules: Rules,
    table: PartitionedTable,
    kept: tuple[Kept, ...] | None,
    runs: Iterable[Run],
    *,
    outside: bool,
) -> Moment:
    """When it is, with all that the rules of a table ask besides."""
    copies = None if kept is None else copies_of(table, kept)
    at = Moment(desk.now, desk.zone, copies, may_drop=desk.may_drop, outside=outside)
    return replace(at, done=begun_since(runs, table.address, counted_since(rules, at)))


def read_kept(desk: Desk, rules: Rules, table: PartitionedTable) -> tuple[Kept, ...] | None:
    """The backups of a table, where its rules ask for them; None where their place can't be read."""
    if not (rules.backup or rules.verify_every or rules.drop_after):
        return ()
    found = desk.backups(table.address, table.server)
    return None if found.kept is None else (*found.kept, *found.others)


def _due(going: _Going, rules: Rules, table: PartitionedTable, failed: frozenset[tuple[str, str]]) -> Due:
    if table.address not in going.kept:
        going.kept[table.address] = read_kept(going.desk, rules, table)
    runs = (going.run, *going.before)
    at = moment_of(going.desk, rules, table, going.kept[table.address], runs, outside=going.outside)
    return due(rules, table, replace(at, failed=failed))


def _do(going: _Going, ruling: Ruling, rules: Rules, table: PartitionedTable, act: Act) -> bool:
    """Does one act, written down before and after; whether it was done."""
    begun = Done(table.address, act.operation.name, act.subject, going.desk.now.isoformat())
    done = going.run.did
    going.write(did=(*done, begun))
    going.told(f"{table.address}: {act.operation} {act.subject}, as {act.why}")
    left: tuple[str, ...] = ()
    try:
        left = _run(going, ruling, rules, table, act)
        ended = replace(begun, ended=True)
    except DeskError as error:
        ended = replace(begun, ended=True, error=str(error))
        left = (str(error),)
    if act.operation in (BACKUP, VERIFY, DROP):
        going.kept.pop(table.address, None)
    lefts = (Left(table.address, act.operation.name, act.subject, why, wrong=True) for why in left)
    going.write(did=(*done, ended), left=(*going.run.left, *lefts))
    return ended.good and not left


def _run(going: _Going, ruling: Ruling, rules: Rules, table: PartitionedTable, act: Act) -> tuple[str, ...]:
    """Plans and runs it, anew while others change the table; what of it can't be done now, each with its reason."""
    actor = _actor(going.desk, ruling, act)
    reason = f"Rules of operation {ruling.operation}: {act.why}"
    for again in reversed(range(PLANNED_AGAIN)):
        plan = going.desk.plan(_wish(going, rules, table, act))
        try:
            if plan.steps:
                going.act(plan, actor, reason)
        except PlanOutdated:
            if not again:
                raise
            table = going.desk.read(table.address)
            continue
        return plan.left
    raise AssertionError("unreachable")


def _actor(desk: Desk, ruling: Ruling, act: Act) -> Actor:
    """In whose name it is done. Raises NotAllowed where that takes an admin, and who set the rules is none any more."""
    if act.operation.role is not Role.ADMIN:
        return UPKEEP
    if role_of(desk.settings, ruling.by) is not Role.ADMIN:
        raise NotAllowed(
            f"{ruling.by} has set the rules of {ruling.table}, and is no admin any more.",
            next="Have an admin set them again.",
        )
    return Actor(ruling.by, Role.ADMIN, Origin.RULES)


def _wish(going: _Going, rules: Rules, table: PartitionedTable, act: Act) -> Wish:
    if act.operation is ENSURE:
        return Ensure(table, ahead=rules.ahead, every=rules.every)
    if act.operation is ARCHIVE:
        return Archive(table, act.subject)
    if act.operation is BACKUP:
        return BackUp(table, act.subject)
    every = going.kept.get(table.address) or ()
    if act.operation is VERIFY:
        return Verify(next(kept for kept in every if kept.backup.id == act.backup))
    return Drop(table, act.subject, every, act.backup)


def would_do(desk: Desk, one: InForce, *, outside: bool = False) -> tuple[Due, PartitionedTable]:
    """What a run would do now on one table, one act after the other, and what it would leave; nothing is changed."""
    rules = one.rules or Rules()
    table = desk.read(one.table)
    runs = maintained.read_runs(desk.reading, desk.seal())
    at = moment_of(desk, rules, table, read_kept(desk, rules, table), runs, outside=outside)
    return acted(rules, table, at), table
