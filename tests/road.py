"""Walks the road of cold storage for tests: the command line on one database and one place, proofs cut short."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from core.backups.kept import keep_proof, read_all_kept, read_with_manifest
from core.backups.storage import StorageSettings
from core.cli.main import main
from core.console.execute import Budget
from core.errors import DeskError
from core.plans.archive import plan_archive
from core.plans.drop import Drop
from core.plans.plan import Plan
from core.plans.proof import Kept, Proof, Verdict
from core.tables.catalog.table import read_table
from core.tables.table import PartitionedTable
from tests import desks
from tests.advice import advised
from tests.conftest import ADMIN
from tests.desks import KEY, sealed
from tests.tables import Made, Run

NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
BUDGET = Budget(lock_ms=100, patience_s=30)


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """The last line on standard error."""
        return self.err.splitlines()[-1] if self.err else ""

    @property
    def json(self) -> Any:
        """Standard output, which is one JSON value."""
        return json.loads(self.out)


@dataclass
class Road:
    """A database, a place and the command line, in this process."""

    url: str
    home: Path
    environ: dict[str, str]
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    reader: Engine
    worker: Engine
    run: Run
    made: list[Made] = field(default_factory=list)

    def __call__(self, *words: str, url: str | None = None, **environ: str) -> Ended:
        """Runs one command; `environ` on top of the road's own."""
        with self.monkeypatch.context() as patch:
            for name in [n for n in os.environ if n.startswith(("PARTITION_DESK_", "AWS_")) and "TEST" not in n]:
                patch.delenv(name)
            for name, value in {
                "DATABASE_URL": url or self.url,
                "PARTITION_DESK_KEY": KEY,
                **self.environ,
                **environ,
            }.items():
                patch.setenv(name, value)
            self.capsys.readouterr()
            ended = Ended(main(words), *self.capsys.readouterr())
        assert all(advised(ended.err)), "whatever command is advised is one as it stands"
        return ended

    def done(self, *words: str, **more: str) -> Ended:
        """Runs one command that ends well."""
        ended = self(*words, **more)
        assert ended.code == 0, ended
        return ended

    def advised(self, ended: Ended, before: str) -> Ended:
        """Runs the command that an outcome advises after the word `before`, as a shell would."""
        line = next(line for line in ended.out.splitlines() if line.startswith(before)).removeprefix(before)
        return self.done(*shlex.split(line)[1:])

    @property
    def cold(self) -> StorageSettings:
        """The same place, for what is done without the command line."""
        return StorageSettings(self.environ["BACKUP_URL"], self.home, {**os.environ, **self.environ}, KEY)

    def read(self, made: Made) -> PartitionedTable:
        return read_table(self.reader, made.address)

    def run_plan(self, plan: Plan, budget: Budget = BUDGET, **more: Any) -> None:
        desks.desk(self.worker, budget=budget, storage=self.cold).run(plan, ADMIN, "a test", **more)

    def archive(self, made: Made, name: str) -> None:
        self.run_plan(plan_archive(self.read(made), name, now=NOW))

    def back_up(self, made: Made, name: str, *, proven: bool = True) -> Kept:
        """A backup of the table as it is, proven by our word alone where the proof is not what is looked at."""
        plan = desks.back_up(self.reader, self.cold, self.read(made), name, now=datetime.now(UTC))
        self.run_plan(plan)
        if proven:
            self.prove(plan.backup)
        return self.kept(plan.backup)

    def kept(self, id: str) -> Kept:
        return next(kept for kept in self.every() if kept.backup.id == id)

    def every(self) -> tuple[Kept, ...]:
        return read_all_kept(self.cold.open())[0]

    def prove(self, id: str, **changes: Any) -> None:
        """Writes a good proof beside a backup, sealed as a console's, with `changes`."""
        place = self.cold.open()
        kept, manifest = read_with_manifest(place, id)
        backup = kept.backup
        values: dict[str, Any] = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "actor": "Ada",
            "verdict": Verdict.PROVEN,
            "reason": "",
            "rows": backup.rows,
            "fingerprint": backup.fingerprint,
            "sha256": backup.sha256,
            "server_version": "18.4",
            "seconds": 1.0,
            **changes,
        }
        keep_proof(place, backup.id, sealed(Proof(**values), manifest))

    def ready(self, made: Made, *names: str) -> list[Kept]:
        """Archives and backs up, so that each can be dropped."""
        for name in names:
            self.archive(made, name)
        return [self.back_up(made, name) for name in names]

    def plan_drop(self, made: Made, name: str, *, placed: bool = False) -> Plan:
        """To drop it, whatever the place of its backup, or only where that is the road's."""
        if placed:
            return desks.desk(self.reader, storage=self.cold, now=NOW).plan(Drop(self.read(made), name, self.every()))
        return desks.drop(self.reader, self.read(made), name, self.every(), today=NOW.date())

    def plan_later(self, made: Made, name: str, at: datetime = LONG_AGO) -> None:
        """Writes down that the table is to be dropped, by default long ago."""
        self.run_plan(
            desks.later_drop(self.reader, self.read(made), name, self.every(), at=at, by="Ada", today=NOW.date())
        )

    def drop(self, made: Made, name: str, budget: Budget = BUDGET, **more: Any) -> DeskError | None:
        """Drops it; how that failed, if it did."""
        try:
            self.run_plan(self.plan_drop(made, name), budget, **more)
        except DeskError as error:
            return error
        return None

    def is_there(self, relation: str) -> bool:
        return bool(self.run(f"SELECT to_regclass('{relation}') IS NOT NULL")[0][0])
