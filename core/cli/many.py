"""Several acts in one command: all are planned before the first is done, then they are done one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from core.cli.acting import PLANNED_AGAIN, Given, act, put, put_json, run_plan, say
from core.cli.output.acts import script
from core.errors import Asked, DeskError, PlanOutdated
from core.period import Range
from core.plans.operation import Wish
from core.plans.target import Target
from core.plans.together import Planned, locks_of, planned, same_act, summed_up
from core.tables.table import PartitionedTable
from core.text import Json, human_seconds, plural, shown


@dataclass(frozen=True, slots=True)
class Said:
    """How the acts were asked for, all of them."""

    reason: str
    dry_run: bool
    as_json: bool
    go_on: bool
    """Whether one that is refused or fails keeps the others from being done."""


@dataclass(frozen=True, slots=True)
class One:
    """One of the acts that a command asks for."""

    label: str
    """What was typed for it."""
    wish: Callable[[str | PartitionedTable], Wish]
    """On that table. Raises what keeps it from being said: no backup is of that name."""
    table: PartitionedTable | None = None
    """Its own, where that is another than the command's."""


class State(StrEnum):
    """What became of one of several acts."""

    DONE = "done"
    PLANNED = "planned"
    HELD = "nothing to do"
    ASKED = "asked for"
    REFUSED = "refused"
    FAILED = "failed"
    NOT_TRIED = "not tried"


@dataclass(slots=True)
class Told:
    """One of several acts, and what became of it."""

    one: One
    act: Planned | None = None
    state: State = State.NOT_TRIED
    error: DeskError | None = None
    more: Json = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What it acts on."""
        return self.act.plan.subject if self.act else self.one.label

    @property
    def json(self) -> Json:
        """As --json lists it: what one act prints, and what it is of."""
        error = str(self.error) if self.error else None
        return {"partition": self.name, "state": self.state.value, "error": error, **self.more}


def targets(years: Sequence[Range], partitions: Sequence[str]) -> list[tuple[str, Target]]:
    """What was typed with --year or --partition, with the words for each."""
    return [*((f"{year[0]:%Y}", year) for year in years), *((name, name) for name in partitions)]


def act_on_each(given: Given, ones: Sequence[One], said: Said) -> int:
    """Plans each, tells what all of them take, and does one after the other. Returns the exit status.

    Where one is refused before anything was done, nothing is done unless the others are to go on.
    """
    table = given.read()
    if given.saving is not None and len(ones) == 1:
        act(given, ones[0].wish(table), reason=said.reason, dry_run=True, as_json=said.as_json)
        return 0
    if given.saving is not None and ones:
        raise given.saving.several
    every = _plan_all(given, table, ones)
    refused = [one for one in every if one.state is State.REFUSED]
    for one in refused:
        say(f"{one.name}: {one.error}")
    acts = [one.act for one in every if one.act is not None]
    _sum(acts, said)
    if not refused or said.go_on:
        _do_all(given, every, said)
    if said.as_json:
        put_json([one.json for one in every])
    elif not every:
        put("Nothing to do: none is due.")
    else:
        _end(every, said)
    return 0 if all(one.state in (State.DONE, State.PLANNED, State.HELD) for one in every) else 1


def _plan_all(given: Given, table: PartitionedTable, ones: Sequence[One]) -> list[Told]:
    """Each planned on the table as it is before the first is done; one that was typed twice is one."""
    every: list[Told] = []
    seen: set[tuple[str, str]] = set()
    for one in ones:
        told = Told(one)
        try:
            own = one.table or table
            wish = one.wish(own)
            told.act = planned(own, wish, given.desk.plan(wish))
        except DeskError as error:
            told.state, told.error = State.REFUSED, error
        else:
            if same_act(told.act.plan) in seen:
                continue
            seen.add(same_act(told.act.plan))
        every.append(told)
    return every


def _sum(acts: Sequence[Planned], said: Said) -> None:
    if said.as_json or not any(act.plan.steps for act in acts):
        return
    lines = [summed_up(acts), *locks_of([act.plan for act in acts])]
    lines.append(
        "One after the other; what is refused or fails is told, and the rest goes on."
        if said.go_on
        else "One after the other; the first that fails ends it (else --go-on)."
    )
    for line in lines:
        put(f"{'-- ' if said.dry_run else ''}{shown(line)}")


def _do_all(given: Given, every: Sequence[Told], said: Said) -> None:
    for one in every:
        if one.act is None:
            continue
        try:
            _do(given, one, one.act, said)
        except DeskError as error:
            one.error = error
            one.state = State.ASKED if isinstance(error, Asked) else State.FAILED
            say(f"{one.name}: {error}")
            if given.interrupted.is_set():
                raise
            if not said.go_on and one.state is State.FAILED:
                return


def _do(given: Given, one: Told, act: Planned, said: Said) -> None:
    """Does it as it is planned now: those before it have changed the table."""
    plan = act.plan
    for again in reversed(range(PLANNED_AGAIN)):
        try:
            if plan.steps and not said.dry_run:
                plan = given.desk.plan(one.one.wish(plan.table))
            if plan.steps and plan.oid != act.plan.oid:
                raise PlanOutdated(f"{act.plan.subject} is another table now.")
            one.more = run_plan(given, plan, reason=said.reason, dry_run=said.dry_run, quiet=True)
        except PlanOutdated:
            if not again:
                raise
            continue
        break
    one.state = State.HELD if not plan.steps else State.PLANNED if said.dry_run else State.DONE
    if said.as_json:
        return
    if said.dry_run:
        put(f"\n{script(given.desk.warned(plan))}")
    else:
        put(shown(_line(one, plan.subject)))


def _line(one: Told, subject: str) -> str:
    done = one.more.get("operation")
    if one.state is State.HELD or not isinstance(done, dict):
        return f"{subject}: nothing to do. {one.more.get('nothing_to_do') or ''}".rstrip()
    return f"{subject}: done (operation {done['id']}, took {human_seconds(done['seconds'])})."


def _end(every: Sequence[Told], said: Said) -> None:
    """How many of them ended how."""
    counted = [(state, sum(one.state is state for one in every)) for state in State]
    words = ", ".join(f"{count:,} {state.value}" for state, count in counted if count)
    left = any(one.state in (State.REFUSED, State.FAILED, State.NOT_TRIED) for one in every)
    again = " The same command goes on with what is left." if left and not said.dry_run else ""
    put(f"{'-- ' if said.dry_run else ''}Of {plural(len(every), 'act')}: {words}.{again}")
