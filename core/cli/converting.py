"""The commands that make a plain table partitioned, and a partitioned one plain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import click

from core.cli.acting import Given, act, put, put_json, say
from core.cli.options import BATCH_PAUSE, DRY_RUN, JSON, REASON, command
from core.cli.output.converting import prospects_lines, standing_json, standing_text
from core.console.journal import OperationRecord, read_operations
from core.console.pausing import at_work, pause
from core.errors import Refused, UsageError
from core.period import Width
from core.plans.conversion import Stage, Standing, standing_of, to_its_end
from core.plans.gather import to_plain
from core.plans.inplace import Convert
from core.plans.operation import Wish
from core.plans.reattach import Reattach
from core.plans.split import Split
from core.plans.unconvert import Unconvert
from core.plans.under_way import Abandon
from core.plans.withdraw import Withdraw
from core.tables.commands import twin
from core.tables.move import Move
from core.tables.plain import Asked

F = TypeVar("F", bound=Callable[..., object])
_TOLD = {
    "status": "tell how far it is, whether one can still go back, and what comes next",
    "pause": "have it stop at its next batch, in whatever process it runs",
    "resume": "go on where it stopped",
    "abandon": "take it back, to the table as it was",
    "finish": "bring it to its end, all of it",
}
"""What can be said of one that was begun; one at a time."""
WORDS = tuple(_TOLD)


def _words(call: F) -> F:
    for name in reversed(WORDS):
        call = click.option(f"--{name}", is_flag=True, help=_TOLD[name])(call)
    return call


@command("convert", "make a plain table partitioned where it stands, while everybody works", either=(WORDS,))
@click.option("--key", metavar="COLUMN", help="the column of dates or times that it is partitioned by")
@click.option("--every", metavar="WIDTH", type=Width.parse, help="how wide its partitions are to be, as '1 month'")
@click.option("--split-later", is_flag=True, help="leave what it holds now in one partition")
@click.option(
    "--without",
    metavar="NAME ...",
    multiple=True,
    help="a unique or exclusion constraint, or a foreign key to it, that may be given up; each by its name",
)
@BATCH_PAUSE
@_words
@REASON
@DRY_RUN
@JSON
def convert(
    given: Given,
    *,
    key: str | None,
    every: Width | None,
    split_later: bool,
    without: tuple[str, ...],
    rest_ms: int | None,
    reason: str,
    dry_run: bool,
    as_json: bool,
    **said: bool,
) -> int:
    acts = _Acts(given, "convert", reason, dry_run, rest_ms)
    word = _said(said, as_json=as_json)
    if word:
        return acts.control(word, as_json=as_json)
    if key is None or every is None:
        missing = "--key" if key is None else "--every"
        raise click.UsageError(f"Missing option '{missing}'.", click.get_current_context())
    return acts.convert(Asked(key, every, without), split_later=split_later)


@command("unconvert", "make a partitioned table plain, while everybody works", either=(WORDS,))
@click.option("--with-archived", is_flag=True, help="bring its archived partitions back first, to be part of it")
@BATCH_PAUSE
@_words
@REASON
@DRY_RUN
@JSON
def unconvert(
    given: Given,
    *,
    with_archived: bool,
    rest_ms: int | None,
    reason: str,
    dry_run: bool,
    as_json: bool,
    **said: bool,
) -> int:
    acts = _Acts(given, "unconvert", reason, dry_run, rest_ms)
    word = _said(said, as_json=as_json)
    return acts.control(word, as_json=as_json) if word else acts.unconvert(with_archived=with_archived)


def _said(said: dict[str, bool], *, as_json: bool) -> str:
    """The word that was typed, or none. Raises UsageError for --json without --status."""
    word = next((name for name in WORDS if said[name]), "")
    if as_json and word != "status":
        raise UsageError("--json goes with --status.")
    return word


@dataclass(frozen=True, slots=True)
class _Acts:
    """What one command does, one operation after the other."""

    given: Given
    name: str
    """convert or unconvert."""
    reason: str
    dry_run: bool
    rest_ms: int | None = None

    def do(self, wish: Wish) -> int:
        act(self.given, wish, reason=self.reason, dry_run=self.dry_run)
        return 0

    def convert(self, asked: Asked, *, split_later: bool) -> int:
        """Brings a plain table to its first use, and on to its end."""
        every = asked.every
        begin = Convert(self.given.table, asked.key, every, without=asked.without)
        done = self._go(every, begin, split=not split_later)
        table = self.given.read()
        if self.dry_run and table.strategy == "plain":
            desk = self.given.desk
            for line in prospects_lines(desk.prospects(table), asked.key, every, desk.zone, desk.today):
                say(line)
        return done

    def _go(self, every: Width | None, begin: Convert | None = None, *, split: bool = True) -> int:
        """One wish after the other; of a dry run the first alone, for the others rest on it."""
        desk, table = self.given.desk, self.given.read().address
        for wish in to_its_end(desk, table, every, begin, split=split, rest_ms=self.rest_ms):
            try:
                self.do(wish)
            except UsageError as error:
                if not isinstance(wish, Split):
                    raise
                # what it is asked for at once is too much; the table is in use all the same
                say(f"What it held stays in one partition: {error}")
                return 1
            if self.dry_run:
                break
        return 0

    def unconvert(self, *, with_archived: bool = False) -> int:
        """Brings the rows of a table into one partition, where they lie in several, and makes that the plain table."""
        table = self.given.read()
        for one in table.archived if with_archived else ():
            self.do(Reattach(table.address, table.called(one)))
        for wish in to_plain(self.given.desk, table.address, self.rest_ms):
            self.do(wish)
            if self.dry_run and not isinstance(wish, Unconvert):
                say("Its rows lie in several partitions: this comes first, and the rest is planned once it is done.")
                break
        return 0

    # --- what was begun ---

    def control(self, word: str, *, as_json: bool) -> int:
        """Does one of WORDS. Raises Refused where nothing is under way of which it could be said."""
        found = standing_of(self.given.desk, self.given.read(), self.name)
        if word == "status":
            active, who = self._active(found), at_work(self.given.desk, found.table.address)
            if as_json:
                put_json(standing_json(found, active, who))
            else:
                put(standing_text(found, active, who))
            return 0
        return {"pause": self._pause, "abandon": self._abandon}.get(word, self._go_on)(found)

    def _active(self, found: Standing) -> tuple[OperationRecord, ...]:
        newest = read_operations(self.given.desk.reading, table=found.table.address, limit=20)
        return tuple(one for one in newest if one.state.active)

    def _pause(self, found: Standing) -> int:
        if found.move is not None and found.stage is Stage.MOVING:
            return self._pause_move(found, found.move)
        active = self._active(found)
        if active:
            one = active[0]
            raise Refused(
                f"Operation {one.id}, {one.kind} {one.subject}, has no batches: it ends soon, or is stopped.",
                next=f"Have it stop: partitions cancel {one.id}. What it made beforehand is taken away then.",
            )
        who = at_work(self.given.desk, found.table.address)
        if who:
            raise Refused(
                f"{who[:1].upper()}{who[1:]} is at work on {found.table.label}, and has no batches: it ends soon.",
                next="Ask again in a moment.",
            )
        if not found.stage.under_way:
            raise Refused(f"Nothing is under way that could be paused. {found.said}", next=_begin(found))
        put(f"Nothing to do: nobody goes on with it. {found.said}")
        return 0

    def _pause_move(self, found: Standing, move: Move) -> int:
        resume = found.command("--resume")
        if self.dry_run:
            put("Nothing to do: it is paused already." if move.paused else "-- Would pause it at its next batch.")
        elif pause(self.given.desk, found.table, move, self.given.actor, self.reason, found.command("--pause")):
            put(f"Paused: it stops at its next batch. Writes are carried over all the same. Go on: {resume}")
        else:
            put(f"Nothing to do: it is paused already. Go on: {resume}")
        return 0

    def _abandon(self, found: Standing) -> int:
        if found.move is not None and found.stage is Stage.MOVING:
            self.do(Abandon(found.table.address))
            if self.name == "unconvert":
                return 0
            if self.dry_run:
                say(f"Then it becomes plain where it stands: {twin('unconvert', found.table)}")
                return 0
        elif not found.stage.under_way or found.stage is Stage.BEGUN:
            return self.do(Withdraw(found.table.address))
        say(f"{found.table.label} is in use: taking it back is the way to the plain table.")
        return self.unconvert()

    def _go_on(self, found: Standing) -> int:
        if self.name == "unconvert":
            if found.stage is Stage.PARTITIONED:
                raise Refused(f"No way back was begun. {found.said}", next=_begin(found))
            return self.unconvert()
        if found.stage is Stage.PLAIN:
            raise Refused(found.said, next=_begin(found))
        asked = found.begun.asked if found.begun is not None else None
        if found.stage is Stage.PARTITIONED:
            put(f"Nothing to do: {found.said}")
            return 0
        if found.move is not None:
            return self._go(None)
        if asked is None:
            raise Refused(
                "What was begun does not say how wide the partitions are to be.",
                next=f"Say it: {found.command('--key ... --every ...')}",
            )
        if found.stage is Stage.BEGUN:
            return self.convert(asked, split_later=False)
        return self._go(asked.every)


def _begin(found: Standing) -> str:
    return f"Begin it: {found.command(*(('--key ... --every ...',) if found.act == 'convert' else ()))}"
