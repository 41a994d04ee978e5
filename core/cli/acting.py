"""What every command of the command line works with: the database it looks at, how it acts, and how it speaks."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from core.console.desk import Desk
from core.console.desk import opened as open_desk
from core.errors import DeskError, Failed, PlanOutdated, UsageError
from core.period import Range
from core.settings import Settings, read_settings
from core.tables.table import PartitionedTable
from core.text import NBSP, Json, shell_word, shown

if TYPE_CHECKING:
    from core.console.actor import Actor
    from core.console.execute import Cancellation, Progress
    from core.console.journal import OperationRecord
    from core.plans.operation import Wish
    from core.plans.plan import Plan
    from core.plans.target import Target

T = TypeVar("T")
PLANNED_AGAIN = 5
"""How often an act is planned anew because the table changed before it was begun."""
LOOK_S = 0.2
"""How long Ctrl-C may go unnoticed."""


@dataclass(slots=True)
class Saving:
    """The file that one plan is saved in, where --save-plan names one; - for standard output."""

    path: str
    saved: bool = False

    def save(self, given: Given, plan: Plan) -> str:
        """Writes it, and says so; a file that is there is left as it is. Raises UsageError."""
        from core.console.actor import system_user
        from core.console.saved import written

        if not plan.steps:
            return f"Nothing to do, and nothing to save. {' '.join(plan.effects)}"
        if self.saved:
            raise self.several
        text = written(given.desk, plan, system_user())
        self.saved = True
        if self.path == "-":
            return text.rstrip()
        try:
            with Path(self.path).open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError as error:
            raise UsageError(f"{self.path} is there already.", next="Name a new file.") from error
        except OSError as error:
            raise UsageError(f"{self.path} can't be written: {error.strerror or error}.") from error
        doing = f"partitions apply {shell_word(self.path)}"
        return f"Saved, and nothing done: {plan.operation} {shown(plan.subject)}. Do it: {doing}"

    @property
    def several(self) -> UsageError:
        """Why several acts are not saved together."""
        return UsageError("A saved plan is of one act, and this is more than one.", next="Save each by itself.")


@dataclass(frozen=True, slots=True)
class Given:
    """What every command is given."""

    desk: Desk
    table: str
    """As it was typed, or PARTITION_DESK_TABLE."""
    interrupted: threading.Event
    """Ctrl-C was pressed."""
    saving: Saving | None = None
    """Where the plan goes in place of being done."""

    @property
    def actor(self) -> Actor:
        """The operating system's user, with the role that the settings give. Raises NotAllowed for who has none."""
        return whoever_runs_this(self.desk.settings)

    def read(self) -> PartitionedTable:
        """The table as it is now."""
        return self.desk.read(self.table)


@contextmanager
def opened(table: str | None, interrupted: threading.Event, save_plan: str | None = None) -> Iterator[Given]:
    """The database of a command; the embedded one is started where none is named."""
    settings = read_settings()
    if settings.names_people:  # else whoever has got this far may
        whoever_runs_this(settings)
    with open_desk(settings, say=say) as desk:
        yield Given(desk, table or settings.table, interrupted, Saving(save_plan) if save_plan is not None else None)


def whoever_runs_this(settings: Settings) -> Actor:
    """The operating system's user, with the role of this moment. Raises NotAllowed for who has none."""
    from core.console.actor import Origin, person, system_user

    return person(settings, system_user(), Origin.COMMAND_LINE)


def target(year: Range | None, partition: str | None) -> Target:
    """The partition that was named, or the year of the one that is meant."""
    found = partition if partition is not None else year
    if found is None:
        raise UsageError("Which partition?", next="Name it with --year or --partition.")
    return found


# Acting and speaking ----------------------------------------------------------------------------------------------


def act(given: Given, wish: Wish, *, reason: str, dry_run: bool, as_json: bool = False) -> Plan:
    """Plans and runs, or prints; plans anew while others change the table before it is begun."""
    for again in reversed(range(PLANNED_AGAIN)):
        plan = given.desk.plan(wish)
        try:
            run_plan(given, plan, reason=reason, dry_run=dry_run, as_json=as_json)
        except PlanOutdated:
            if not again:
                raise
            continue
        return plan
    raise AssertionError("unreachable")


def run_plan(
    given: Given,
    plan: Plan,
    *,
    reason: str,
    dry_run: bool,
    as_json: bool = False,
    actor: Actor | None = None,
    quiet: bool = False,
) -> Json:
    """Runs one plan and prints how it ended, or only prints it for a dry run.

    Returns what is printed as JSON; `quiet` leaves the printing to the caller. With --save-plan a dry run saves it.
    """
    from core.cli.output.acts import operation_json, outcome, script

    told: Json
    if dry_run:
        plan = given.desk.warned(plan)
        told = {"dry_run": True, "plan": json.loads(plan.to_json())}
        text = script(plan) if given.saving is None else given.saving.save(given, plan)
    else:
        done = _run(given, plan, actor or given.actor, reason)
        plan = done.plan if done else plan  # the same was under way already, and was followed
        told = {"dry_run": False, "operation": operation_json(done) if done else None, "backup": plan.backup or None}
        text = outcome(plan, done, given.desk.address)
    told["nothing_to_do"] = None if plan.steps else " ".join(plan.effects)
    if not quiet:
        if as_json:
            put_json(told)
        else:
            put(text)
    return told


def _run(given: Given, plan: Plan, actor: Actor, reason: str) -> OperationRecord | None:
    return run_apart(
        given,
        lambda cancellation, progress: given.desk.run(
            plan, actor, reason, cancellation=cancellation, progress=progress
        ),
    )


def run_apart(given: Given, do: Callable[[Cancellation, Progress], T]) -> T:
    """Does it in a thread: the driver, while it waits for the server, does not hear Ctrl-C."""
    from core.console.execute import Cancellation
    from core.console.worker import printer

    ended: list[T] = []
    failed: list[DeskError] = []
    over = threading.Event()
    cancellation = Cancellation()

    def work() -> None:
        try:
            ended.append(do(cancellation, printer(say)))
        except DeskError as error:
            failed.append(error)
        finally:
            over.set()

    threading.Thread(target=work, daemon=True, name="partitions-operation").start()
    # Thread.join() takes a thread for ended once it was interrupted (bpo-45274)
    while not over.is_set():
        try:
            over.wait(LOOK_S)
        except KeyboardInterrupt:
            if given.interrupted.is_set():
                say("Left at once. The server may still be at its last statement: partitions history tells.")
                raise
            given.interrupted.set()
            cancellation.request()
            say("Stopping. Ctrl-C again leaves at once.")
    if failed:
        raise failed[0]
    if not ended:
        raise Failed("The operation ended by a fault of this program.", safe="partitions history tells what was done.")
    return ended[0]


def put(text: str) -> None:
    """Writes a result to standard output."""
    print(text.replace(NBSP, " "))


def put_json(value: Json | list[Json]) -> None:
    """Writes a result as JSON to standard output."""
    pieces = json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(value)
    while some := "".join(islice(pieces, 10_000)):  # all of it at once takes as much memory as what it tells of
        sys.stdout.write(some)
    sys.stdout.write("\n")


def say(text: str) -> None:
    """Writes one line to standard error, and never fails for nobody listening: an operation may be under way."""
    with suppress(OSError, ValueError):
        print(shown(text), file=sys.stderr, flush=True)


def forget_stdout() -> None:
    """Lets the interpreter end without another complaint about the closed pipe."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
