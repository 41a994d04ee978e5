"""Kills the server with -9 at random moments of every act, starts it at once, and asks for the same again.

python -m tests.soak [--kills 200 | --backups 500] [--minutes 60] [--seed N]
python -m tests.soak --years 3 [--tables 40]

Each time the act has to end with 0, the table has to be as it leaves it, and every row has to be there once; after a
drop they are in the backup alone, which the restore after it brings back. It stops after so many kills or minutes, or
at the first that is wrong, and prints what was. With --backups it kills nothing, and spoils backups instead.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import psutil

from core.cli.main import main as partitions
from core.postgres.connection import parse_url, working_engine
from core.postgres.embedded import running_server
from tests.servers import connect
from tests.soak.backups import soak as soak_backups
from tests.soak.years import keep
from tests.tables import make_table, runner

YEAR, NAME = "2022", "kid_absences_2022"
ROWS = 3_000
WAITS_S = 180.0
"""After so long an act that does not end is wrong."""
AGAIN = 3
"""How often the same may be asked for until it is done."""
HOME, TABLE = f"archive.{NAME}", f"public.{NAME}"


@dataclass(frozen=True)
class Act:
    """A command, and the state that it leaves."""

    name: str
    words: tuple[str, ...]
    there: str
    """Where 2022 is then: a relation, or nowhere."""
    attached: bool = False


ACTS = (
    Act("ensure", ("ensure", "--year", "{new}"), TABLE, attached=True),
    Act("archive", ("archive", "--year", YEAR), HOME),
    Act("backup", ("backup", "--year", YEAR), HOME),
    Act("verify", ("verify", "--year", YEAR), HOME),
    Act("drop", ("drop", "--year", YEAR, "--now", "--confirm", NAME), ""),
    Act("restore", ("restore", "--year", YEAR), HOME),
    Act("hold", ("hold", "--year", YEAR, "--lift"), HOME),
    Act("reattach", ("reattach", "--year", YEAR), TABLE, attached=True),
)


@dataclass
class Soak:
    """A server that is killed, and what was counted."""

    home: Path
    random: random.Random
    stack: ExitStack
    kills: Counter[str] = field(default_factory=Counter)
    middle: Counter[str] = field(default_factory=Counter)
    """Those while the act was under way."""
    asked: int = 0
    took: dict[str, float] = field(default_factory=dict)
    back_s: float = 0.0
    """The longest time until the server was there again."""
    year: int = 2025

    def start(self) -> None:
        begun = time.monotonic()
        os.environ["DATABASE_URL"] = self.stack.enter_context(running_server(self.home))
        self.back_s = max(self.back_s, time.monotonic() - begun)

    def kill(self) -> None:
        """Every process of the server at once, as a machine that loses its power."""
        pid = int((self.home / "data" / "postmaster.pid").read_text().splitlines()[0])
        main = psutil.Process(pid)
        every = [main, *main.children(recursive=True)]
        for one in every:
            with suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGKILL)
        psutil.wait_procs(every, timeout=20)
        self.stack.close()

    def words(self, act: Act) -> list[str]:
        return [word.format(new=self.year) for word in act.words]

    def round(self, act: Act, known: Rows, *, killing: bool) -> None:
        """One act, killed or not, brought to its end and looked at."""
        ended = Ended(self.words(act))
        begun = time.monotonic()
        if killing:
            ended.thread.join(self.random.uniform(0, self.took[act.name]))
            self.middle[act.name] += ended.thread.is_alive()
            self.kills[act.name] += 1
            self.kill()
            self.start()
        code = ended.code()
        self.took.setdefault(act.name, time.monotonic() - begun)
        for _ in range(AGAIN if killing else 0):
            self.asked += 1
            again = Ended(self.words(act))
            code = again.code()
            if not code:
                break
            ended = again
        if code:
            raise AssertionError(f"{act.name} ended with {code}: {ended.said.getvalue()}")
        if act.name == "ensure":
            self.year += 1
        with closing(connect(os.environ["DATABASE_URL"])) as connection:
            known.look(runner(connection), act, self.year - 1)


class Ended:
    """A command in a thread of its own, and what it said."""

    def __init__(self, words: list[str]) -> None:
        self.said = StringIO()
        self._code: list[int] = []
        self.thread = threading.Thread(target=self._run, args=(words,), daemon=True)
        self.thread.start()

    def _run(self, words: list[str]) -> None:
        with redirect_stdout(self.said), redirect_stderr(self.said):
            self._code.append(partitions(words))

    def code(self) -> int:
        self.thread.join(WAITS_S)
        assert not self.thread.is_alive(), f"it did not end within {WAITS_S:.0f} s: {self.said.getvalue()}"
        return self._code[0] if self._code else -1


_ROWS = "SELECT count(*), sum(hash_record_extended(t, 0)) FROM (SELECT id, kid_id, date, reason FROM {}) t"


@dataclass(frozen=True)
class Rows:
    """The rows of 2022 and all others, as they were at first."""

    own: Any
    others: Any

    @classmethod
    def read(cls, run: Callable[[str], Any]) -> Rows:
        others = "public.kid_absences WHERE date >= '2023-01-01'"
        return cls(run(_ROWS.format(TABLE))[0], run(_ROWS.format(others))[0])

    def look(self, run: Callable[[str], Any], act: Act, newest: int) -> None:
        """Raises AssertionError where the state is not what the act leaves, or a row is lost or doubled."""
        others = run(_ROWS.format("public.kid_absences WHERE date >= '2023-01-01'"))[0]
        assert others == self.others, f"other rows after {act.name}: {others} for {self.others}"
        for relation in (TABLE, HOME):
            there = run(f"SELECT to_regclass('{relation}') IS NOT NULL")[0][0]
            assert there == (relation == act.there), f"{relation} after {act.name}: {there}"
        through = run(_ROWS.format("public.kid_absences WHERE date < '2023-01-01'"))[0]
        if act.there:
            assert run(_ROWS.format(act.there))[0] == self.own, f"the rows of {YEAR} after {act.name}"
        assert through == (self.own if act.attached else (0, None)), f"seen through the table after {act.name}"
        assert not run("SELECT FROM pg_inherits WHERE inhdetachpending"), f"a detach is pending after {act.name}"
        assert run(f"SELECT to_regclass('public.kid_absences_{newest}') IS NOT NULL")[0][0] or newest == 2024
        running = "SELECT kind FROM partition_desk.operation WHERE state IN ('queued', 'running')"
        assert not run(running), f"something is under way after {act.name}: {run(running)}"


@contextmanager
def soaking(seed: int) -> Iterator[Soak]:
    """A server and a table of its own, gone afterwards."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="pd-soak-", dir=shared if shared.is_dir() else None) as folder:
        root = Path(folder)
        root.chmod(0o711)
        os.environ.update(
            PARTITION_DESK_HOME=str(root / "console"),
            PARTITION_DESK_KEY="the key of a soak",
            PARTITION_DESK_PATIENCE_S="60",
            BACKUP_URL=str(root / "place"),
        )
        with ExitStack() as stack:
            soak = Soak(root / "server", random.Random(seed), stack)
            soak.start()
            os.environ["PARTITION_DESK_PROOF_URL"] = os.environ["DATABASE_URL"]
            yield soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--backups", type=int, help="make so many random backups, spoil a fifth of them, and judge all")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--years", type=int, default=0, help="keep rules for so long instead of killing anything")
    parser.add_argument("--tables", type=int, default=40, help="how many tables those are of")
    options = parser.parse_args()
    if options.years:
        return _years(options.years, options.tables, options.seed)
    until = time.monotonic() + 60 * options.minutes
    out = sys.stdout
    with soaking(options.seed) as soak:
        if options.backups:
            url = os.environ["DATABASE_URL"]
            print(soak_backups(soak.home.parent, url, count=options.backups, until=until, seed=options.seed), file=out)
            return 0
        with closing(connect(os.environ["DATABASE_URL"])) as connection:
            make_table(runner(connection), rows=ROWS)
            known = Rows.read(runner(connection))
        for act in ACTS:  # to know how long each takes
            soak.round(act, known, killing=False)
        while sum(soak.kills.values()) < options.kills and time.monotonic() < until:
            for act in ACTS:
                soak.round(act, known, killing=True)
                print(f"{sum(soak.kills.values())} {act.name}", file=out, flush=True)
        print(_figure(soak, options.seed), file=out)
    return 0


def _years(years: int, tables: int, seed: int) -> int:
    with soaking(seed), closing(connect(os.environ["DATABASE_URL"])) as connection:
        engine = working_engine(parse_url(os.environ["DATABASE_URL"]))
        try:
            done = keep(engine, runner(connection), tables=tables, days=365 * years + 1)
        finally:
            engine.dispose()
    said = ", ".join(f"{count:,} {kind}" for kind, count in sorted(done.items()) if kind != "runs")
    print(f"{years} years of {tables} tables, {done['runs']:,} runs: {said}. Nothing missing, early or twice.")
    return 0


def _figure(soak: Soak, seed: int) -> str:
    kills, middle = sum(soak.kills.values()), sum(soak.middle.values())
    each = ", ".join(f"{name} {soak.middle[name]} of {number}" for name, number in soak.kills.items())
    return (
        f"{kills} kills with -9 (seed {seed}), {middle} of them in the middle of an act: {each}. Asked again"
        f" {soak.asked} times; each act reached its end, no row was lost or doubled; the server was back within"
        f" {soak.back_s:.1f} s."
    )


if __name__ == "__main__":
    sys.exit(main())
