"""Random backups of random tables, some spoilt in random ways: each spoilt one is found, and no good one refused."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from core.backups.kept import keep_proof, read_all_kept, read_kept
from core.backups.proving import Proving
from core.backups.storage.folder import Folder
from core.backups.verify import verify
from core.backups.write import back_up
from core.errors import BackupDamaged, BackupNotFound
from core.plans.manifest import MANIFEST, OBJECT, Backup, backup_id
from core.plans.proof import Verdict
from core.postgres.connection import parse_url, working_engine
from core.postgres.programs import Tool, find_pg_dump
from core.seal import Seal
from core.tables.catalog.table import read_table
from tests.servers import connect
from tests.tables import Run, runner

SPOILT = 0.2
"""Of all backups."""
TABLES = 20
YEARS = (2020, 2021, 2022)
COLUMNS = {
    "bigint": "(random() * 9e15)::bigint",
    "numeric": "round((random() * 1e9)::numeric, (random() * 9)::int)",
    "double precision": "random() * 10 ^ (random() * 300)",
    "text": "repeat(chr(32 + (random() * 5000)::int), (random() * 60)::int)",
    'text COLLATE "C"': "md5(random()::text)",
    "varchar(40)": "left(E'\\t\\n\\\\,\"' || md5(random()::text), (random() * 30)::int)",
    "bytea": "decode(md5(random()::text), 'hex')",
    "jsonb": "jsonb_build_object('a', random(), 'ä', ARRAY[g, NULL])",
    "timestamptz": "'2000-01-01 00:00Z'::timestamptz + random() * interval '40 years'",
    "interval": "random() * interval '9 years'",
    "boolean": "random() < 0.5",
    "uuid": "md5(random()::text)::uuid",
    "inet": "'10.0.0.0'::inet + (random() * 60000)::int",
    "int4range": "int4range(g, g + (random() * 9)::int)",
    "text[]": "ARRAY[md5(random()::text), NULL, '{}']",
    "point": "point(random(), random())",
    "tsvector": "to_tsvector('simple', md5(random()::text) || ' a b')",
    "bit varying": "(random() * 1e6)::int::bit(20)::varbit",
}


@dataclass
class Kept:
    """A place with backups, and what was done to it."""

    engine: Engine
    run: Run
    storage: Folder
    tool: Tool
    random: random.Random
    made: list[Backup] = field(default_factory=list)
    spoilt: dict[str, str] = field(default_factory=dict)
    """How, by the id of the backup."""

    def file(self, id: str, ending: str) -> Path:
        return Path(self.storage.label, id + ending)

    def make_table(self, number: int) -> str:
        """A table of random columns, with rows that have a NULL here and there."""
        types = self.random.sample(sorted(COLUMNS), self.random.randint(2, 7))
        columns = ", ".join(f"c{place} {type_}" for place, type_ in enumerate(types))
        values = ", ".join(f"CASE WHEN random() < 0.9 THEN {COLUMNS[type_]} END" for type_ in types)
        name = f"soaked_{number}"
        self.run(f"CREATE TABLE {name} (id bigint NOT NULL, day date NOT NULL, {columns}) PARTITION BY RANGE (day)")
        for year in (*YEARS, datetime.now(UTC).year):
            bounds = f"FROM ('{year}-01-01') TO ('{year + 1}-01-01')"
            self.run(f"CREATE TABLE {name}_{year} PARTITION OF {name} FOR VALUES {bounds}")
        if self.random.random() < 0.5:
            self.run(f"ALTER TABLE {name} ADD PRIMARY KEY (id, day)")
        if self.random.random() < 0.3:
            self.run(f"ALTER TABLE {name} ADD twice numeric GENERATED ALWAYS AS (id * 2) STORED")
        named = ", ".join(f"c{place}" for place in range(len(types)))
        for year in YEARS:
            self.run(
                f"INSERT INTO {name} (id, day, {named}) SELECT g, '{year}-01-01'::date + g % 365, {values}"
                f" FROM generate_series(1, {self.random.randint(1, 400)}) g"
            )
        return name

    def back_up(self, name: str) -> None:
        """One more backup of one of its years, of which a row has changed since the last."""
        part = f"{name}_{self.random.choice(YEARS)}"
        self.run(f"UPDATE {part} SET id = id + 100000 WHERE ctid = (SELECT min(ctid) FROM {part})")
        table = read_table(self.engine, f"public.{name}")
        made = back_up(
            self.engine,
            table,
            part,
            self.storage,
            id=backup_id(table.server.database, table.address, part, datetime.now(UTC), f"{len(self.made):06x}"),
            tool=self.tool,
            actor="a soak",
            reason="",
            archive_schema="archive",
            cancelled=lambda: False,
            report=lambda work: None,
        )
        self.made.append(made)


def _flipped(kept: Kept, one: Backup) -> None:
    path = kept.file(one.id, OBJECT)
    data = bytearray(path.read_bytes())
    for _ in range(kept.random.randint(1, 3)):
        data[kept.random.randrange(len(data))] ^= 1 << kept.random.randrange(8)
    if data == path.read_bytes():
        data[0] ^= 1
    path.write_bytes(data)


def _cut(kept: Kept, one: Backup) -> None:
    path = kept.file(one.id, OBJECT)
    path.write_bytes(path.read_bytes()[: kept.random.randrange(one.bytes)])


def _longer(kept: Kept, one: Backup) -> None:
    with kept.file(one.id, OBJECT).open("ab") as file:
        file.write(kept.random.randbytes(kept.random.randint(1, 2000)))


def _lost(kept: Kept, one: Backup) -> None:
    kept.file(one.id, kept.random.choice((OBJECT, MANIFEST))).unlink()


def _altered(kept: Kept, one: Backup) -> None:
    """One letter of its manifest, where that changes what it says."""
    path = kept.file(one.id, MANIFEST)
    text = path.read_text()
    while True:
        at = kept.random.randrange(len(text))
        other = text[:at] + kept.random.choice('0189aZ",}{') + text[at + 1 :]
        try:
            same = json.loads(other) == json.loads(text)
        except ValueError:
            same = False
        if not same:
            path.write_text(other)
            return


def _rewritten(kept: Kept, one: Backup) -> None:
    """A figure of its manifest, with its own checksum made anew: what only a restore can find."""
    changed = (
        replace(one, rows=one.rows + kept.random.randint(1, 9)),
        replace(one, fingerprint=one.fingerprint[:-1] + str((int(one.fingerprint[-1]) + 1) % 10)),
        replace(one, columns=(*one.columns[:-1], replace(one.columns[-1], name="other"))),
        replace(one, sha256=one.sha256[::-1]),
        replace(one, bounds=one.bounds.replace("-01-01", "-02-01")),
    )
    kept.file(one.id, MANIFEST).write_text(kept.random.choice(changed).to_json())


def _other_than(kept: Kept, one: Backup, others: list[Backup]) -> Backup | None:
    fit = [other for other in others if other.sha256 != one.sha256 and kept.file(other.id, OBJECT).exists()]
    return kept.random.choice(fit) if fit else None


def _swapped(kept: Kept, one: Backup) -> None:
    """The object of another backup, of any table."""
    other = _other_than(kept, one, kept.made)
    assert other is not None
    shutil.copy(kept.file(other.id, OBJECT), kept.file(one.id, OBJECT))


def _older(kept: Kept, one: Backup) -> None:
    """All of another backup of the same partition under this one's name, or its rows alone."""
    same = [other for other in kept.made if (other.parent, other.name) == (one.parent, one.name)]
    other = _other_than(kept, one, same) or _other_than(kept, one, kept.made)
    assert other is not None
    for ending in kept.random.choice(((OBJECT,), (OBJECT, MANIFEST))):
        shutil.copy(kept.file(other.id, ending), kept.file(one.id, ending))


def _renamed(kept: Kept, one: Backup) -> None:
    """Under a name that says another moment."""
    new = f"{one.id}0"
    for ending in (OBJECT, MANIFEST):
        kept.file(one.id, ending).rename(kept.file(new, ending))


WAYS: dict[str, Callable[[Kept, Backup], None]] = {
    "bytes flipped": _flipped,
    "cut short": _cut,
    "bytes appended": _longer,
    "a file lost": _lost,
    "its manifest altered": _altered,
    "its manifest rewritten with its checksum": _rewritten,
    "another's rows": _swapped,
    "another version of it": _older,
    "renamed": _renamed,
}


def _judged(kept: Kept, backup: Backup, listed: set[str], proving: Proving) -> str:
    """What a verification says of it; that it is not listed as a backup any more counts as found."""
    try:
        proof = verify(
            kept.storage,
            backup.id,
            proving=proving,
            actor="a soak",
            cancelled=lambda: False,
            report=lambda work: None,
        )
        keep_proof(kept.storage, backup.id, proof)
        proven = read_kept(kept.storage, backup.id).proven is not None
    except (BackupDamaged, BackupNotFound):
        return Verdict.DAMAGED.value
    if proof.verdict is Verdict.PROVEN and not (proven and backup.id in listed):
        return f"{proof.verdict} in one way and not in another"
    return proof.verdict.value if proof.good else f"{proof.verdict}: {proof.reason}"


def soak(home: Path, url: str, *, count: int, until: float, seed: int) -> str:
    """Makes so many, spoils a fifth, judges all; ends at the first that is judged wrong. Returns what was, in words."""
    engine = working_engine(parse_url(url))
    connection = connect(url)
    with closing(connection):
        run = runner(connection)
        run(f"SELECT setseed({(seed % 1000) / 1000})")
        storage = Folder(home / "place")
        storage.seal = Seal(b"the key of a soak")
        tool = find_pg_dump(int(run("SHOW server_version_num")[0][0]), environ=os.environ)
        kept = Kept(engine, run, storage, tool, random.Random(seed))
        tables = [kept.make_table(number) for number in range(TABLES)]
        while len(kept.made) < count and time.monotonic() < until:
            kept.back_up(kept.random.choice(tables))
            _say(len(kept.made), "made")
        spoilt = kept.random.sample(kept.made, round(len(kept.made) * SPOILT))
        for number, one in enumerate(spoilt):
            way = list(WAYS)[number % len(WAYS)]
            if kept.file(one.id, OBJECT).exists():
                WAYS[way](kept, one)
                kept.spoilt[one.id] = way
        found = _judge(kept, Proving(home / "proving", os.environ, url), until)
    engine.dispose()
    ways = ", ".join(f"{way} {number}" for way, number in Counter(kept.spoilt.values()).items())
    good = found.pop("good")
    return (
        f"{len(kept.made)} random backups (seed {seed}), {len(kept.spoilt)} of them spoilt: {ways}. Judged"
        f" {found.total() + good} of them: each spoilt one was found ({found.total()}), each good one proven ({good})."
    )


def _judge(kept: Kept, proving: Proving, until: float) -> Counter[str]:
    """How many were judged rightly, the good ones as `good`. Raises AssertionError at the first that was not."""
    listed = {one.backup.id for one in read_all_kept(kept.storage)[0]}
    found: Counter[str] = Counter()
    for backup in kept.random.sample(kept.made, len(kept.made)):
        if time.monotonic() > until:
            break
        way = kept.spoilt.get(backup.id)
        verdict = _judged(kept, backup, listed, proving)
        right = verdict == Verdict.PROVEN.value if way is None else verdict.startswith(Verdict.DAMAGED.value)
        assert right, f"{backup.id}, {way or 'whole'}, is told to be {verdict}"
        found[way or "good"] += 1
        _say(sum(found.values()), "judged")
    return found


def _say(number: int, what: str) -> None:
    if number % 25 == 0:
        print(f"{number} {what}", file=sys.stderr, flush=True)
