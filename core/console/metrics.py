"""The figures of every table of a database in the text format of Prometheus, for the tools that watch other things."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from core.console.alarms.health import AlarmFigures
from core.console.failures import read_failures, waiting
from core.console.journal import count_failures
from core.growth.holdings import Stage
from core.growth.samples.measure import read_sums
from core.growth.samples.read import read_highest_ids, read_runs
from core.plans.proof import NEVER as UNTRIED
from core.plans.proof import Kept, Verdict
from core.postgres.connection import session
from core.postgres.own_tables import read_hidden
from core.rules.run import Upkeep
from core.seal import Seal
from core.tables.catalog.coverage import read_coverage
from core.tables.catalog.highest import counts_on, read_highest_among
from core.tables.catalog.rows import count_covered_by_default
from core.tables.coverage import NEVER, Coverage, IdsLeft
from core.tables.pace import LOOKED_AT

COUNT_S = 3.0
"""How long counting rows in DEFAULT partitions may take in all; what is not counted by then is left out."""

PENDING = "detach_pending"
COLD = "cold"


@dataclass(frozen=True, slots=True)
class TableFigures:
    """What is told of one table."""

    table: str
    """Its address."""
    runway: timedelta | None
    """NEVER for never; None where its key tells no time, and nothing else for how long its ids last."""
    partitions: dict[str, int]
    """By state: attached, detach_pending, archived."""
    bytes: dict[str, int]
    """By state: attached, archived, and cold for its backups, where those were read."""
    default_rows: int | None
    """None where they could not be counted just now."""
    failures: int | None
    """Operations that failed or were interrupted, ever since the journal began; None where it may not be read."""
    waiting: int | None
    """Those of them that were neither done since nor acknowledged; None likewise."""
    last_backup: datetime | None
    """None where there is none, or none was looked for."""
    last_proof: datetime | None
    """When the newest backup was last proven by restoring it, of that partition where this is longest ago."""
    verdicts: dict[str, int]
    """How many partitions have a newest backup of each verdict, or that nobody tried to prove; empty where they were
    not read."""
    ids: IdsLeft | None = None
    """How many ids have a place, of a key that only counts; None where that is not cheaply known."""


@dataclass(frozen=True, slots=True)
class Readings:
    """What is told of a database that answers."""

    tables: tuple[TableFigures, ...]
    last_sample: datetime | None
    place: bool
    """Whether the place of the backups could be read."""
    journal: bool = True
    """Whether the role may read the console's own tables."""
    alarms: AlarmFigures | None = None
    """None where no target of alarms is set."""
    upkeep: Upkeep | None = None
    """How it stands with the rules of the database; None where that can't be read."""


def read_metrics(
    engine: Engine,
    *,
    archive_schema: str,
    now: datetime,
    zone: str,
    kept: Sequence[Kept] | None,
    seal: Seal | None = None,
) -> Readings:
    """The figures of every partitioned table; `kept` are the backups of this database, None where nobody knows.

    Without the console's seal every failure waits: nobody can tell who acknowledged one.

    Reads no rows but those in DEFAULT partitions, and waits behind no lock for more than a moment. Raises CatalogBusy,
    ConnectionFailed.
    """
    sums = read_sums(engine, archive_schema=archive_schema)
    hidden = read_hidden(engine) is not None
    failures = None if hidden else count_failures(engine)
    today = now.astimezone(ZoneInfo(zone)).date()
    wait = None if hidden else waiting(read_failures(engine, seal=seal, today=today))
    backups: dict[str, list[Kept]] = {}
    for one in kept or ():
        backups.setdefault(one.backup.parent, []).append(one)
    until = time.monotonic() + COUNT_S
    shown = [one for one in read_coverage(engine, archive_schema) if not one.apart or one.address in sums]
    ids = _ids_left(engine, shown, now)
    tables = tuple(
        _figures(
            coverage,
            sums.get(coverage.address, {}),
            None if failures is None else failures.get(coverage.address, 0),
            None if wait is None else wait[coverage.address],
            None if kept is None else backups.get(coverage.address, ()),
            default_rows=_default_rows(engine, coverage, until),
            runway=coverage.runway(now, zone),
            ids=ids.get(coverage.address),
        )
        for coverage in shown
    )
    last = next(iter(read_runs(engine, limit=1)), None)
    sampled = None if last is None or last.generated else last.taken_at
    return Readings(tables, sampled, kept is not None, not hidden)


def _ids_left(engine: Engine, found: Iterable[Coverage], now: datetime) -> dict[str, IdsLeft]:
    """How many ids have a place, by the address of the table; asked for no longer than COUNT_S in all."""
    counting = [one for one in found if one.key is not None and one.key.column and counts_on(one.key)]
    if not counting:
        return {}
    samples = read_highest_ids(engine, since=now - LOOKED_AT)
    left: dict[str, IdsLeft] = {}
    until = time.monotonic() + COUNT_S
    with session(engine) as connection:
        for one in counting:
            highest = read_highest_among(connection, one.key, one.oids) if one.key is not None else None
            ids = one.ids_left(highest, now, samples.get(one.address, ()))
            if ids is not None:
                left[one.address] = ids
            if time.monotonic() > until:
                break
    return left


def _default_rows(engine: Engine, coverage: Coverage, until: float) -> int | None:
    left = round(1000 * (until - time.monotonic()))
    if coverage.default and left <= 0:
        return None
    return count_covered_by_default(engine, coverage, timeout_ms=max(1, left))


def _figures(
    coverage: Coverage,
    sums: Mapping[Stage, tuple[int, int | None]],
    failures: int | None,
    wait: int | None,
    backups: Iterable[Kept] | None,
    *,
    default_rows: int | None,
    runway: timedelta | None,
    ids: IdsLeft | None,
) -> TableFigures:
    attached, archived = (sums.get(stage, (0, 0)) for stage in (Stage.ATTACHED, Stage.ARCHIVED))
    partitions = {
        Stage.ATTACHED.value: max(0, attached[0] - coverage.pending),
        PENDING: coverage.pending,
        Stage.ARCHIVED.value: archived[0],
    }
    places = {Stage.ATTACHED.value: attached[1], Stage.ARCHIVED.value: archived[1]}
    sizes = {place: size for place, size in places.items() if size is not None}
    own = tuple(backups or ())
    if backups is not None:
        sizes[COLD] = sum(one.backup.bytes for one in own)
    newest = {(one.backup.name, one.backup.bounds): one for one in sorted(own, key=lambda one: one.backup.finished_at)}
    verdicts = dict.fromkeys((*Verdict, UNTRIED), 0) if backups is not None else {}
    for one in newest.values():
        verdicts[one.verdict] += 1
    return TableFigures(
        table=coverage.address,
        runway=runway if ids is None else ids.runway,
        partitions=partitions,
        bytes=sizes,
        default_rows=default_rows,
        failures=failures,
        waiting=wait,
        last_backup=max((datetime.fromisoformat(one.backup.finished_at) for one in own), default=None),
        last_proof=min((one.proven_at for one in newest.values() if one.proven_at), default=None),
        verdicts=verdicts,
        ids=ids,
    )


# The text -------------------------------------------------------------------------------------------------------

_Sample = tuple[dict[str, str], float]
"""Labels and value of one line."""


def metrics_text(figures: Readings | None, *, now: datetime) -> str:
    """The figures for Prometheus, as of `now`; `partition_desk_up 0` alone where the database can't be reached."""
    if figures is None:
        return _family("up", "gauge", "Whether the database answers.", [({}, 0)])
    tables = figures.tables
    one = [({"table": table.table}, table) for table in tables]
    runway = [(label, _days(t.runway)) for label, t in one if t.runway is not None]
    counted = [(label, t.ids) for label, t in one if t.ids is not None]
    left = [(label, float("inf") if ids.count is None else float(ids.count)) for label, ids in counted]
    pace = [(label, round(ids.pace.a_day, 3)) for label, ids in counted if ids.pace is not None]
    default = [(label, float(t.default_rows)) for label, t in one if t.default_rows is not None]
    families = [
        _family("up", "gauge", "Whether the database answers.", [({}, 1)]),
        _family("runway_days", "gauge", "Days until a date, or an id, has no partition; +Inf for never.", runway),
        _family("ids_left", "gauge", "Ids above the highest in use that have a partition; +Inf without end.", left),
        _family("ids_a_day", "gauge", "How many ids were used a day of late, as samples tell.", pace),
        _family("partitions", "gauge", "Partitions by state.", _by_state((t.table, t.partitions) for t in tables)),
        _family(
            "bytes",
            "gauge",
            "Bytes by state: attached and archived on the server, cold in the place of the backups.",
            _by_state((t.table, t.bytes) for t in tables),
        ),
        _family("default_rows", "gauge", "Rows in the DEFAULT partition, counted up to a million.", default),
        _family(
            "detach_pending",
            "gauge",
            "Whether a detach was begun and not finished: its rows are out of sight.",
            [(label, float(t.partitions[PENDING] > 0)) for label, t in one],
        ),
        _family(
            "failed_operations_total",
            "counter",
            "Operations that failed or were interrupted, as the journal has them.",
            [(label, float(t.failures)) for label, t in one if t.failures is not None],
        ),
        _family(
            "waiting_failures",
            "gauge",
            "Operations that failed or were interrupted, and were neither done since nor acknowledged.",
            [(label, float(t.waiting)) for label, t in one if t.waiting is not None],
        ),
        _family(
            "journal_up",
            "gauge",
            "Whether failures and samples can be read: 0 where the role may not.",
            [({}, float(figures.journal))],
        ),
        *_of_backups(figures, now),
        *_of_upkeep(figures.upkeep, now),
        _family(
            "sample_age_seconds",
            "gauge",
            "Since the sizes of all partitions were last sampled.",
            [({}, _age(figures.last_sample, now))] if figures.last_sample else [],
        ),
        *_of_alarms(figures.alarms, now),
    ]
    return "".join(families)


def _of_backups(figures: Readings, now: datetime) -> Iterator[str]:
    one = [({"table": table.table}, table) for table in figures.tables]
    yield from (
        _family("backups_up", "gauge", "Whether the place of the backups can be read.", [({}, float(figures.place))]),
        _family(
            "backup_age_seconds",
            "gauge",
            "Since the newest backup of the table was made.",
            [(label, _age(t.last_backup, now)) for label, t in one if t.last_backup],
        ),
        _family(
            "verification_age_seconds",
            "gauge",
            "Since the newest backup was last restored and found whole, of the partition where this is longest ago.",
            [(label, _age(t.last_proof, now)) for label, t in one if t.last_proof],
        ),
        _family(
            "newest_backups",
            "gauge",
            "Partitions by what is known of their newest backup: proven, damaged, unprovable here, never tried.",
            [
                ({"table": t.table, "verdict": verdict}, float(count))
                for t in figures.tables
                for verdict, count in t.verdicts.items()
            ],
        ),
    )


def _of_alarms(found: AlarmFigures | None, now: datetime) -> Iterator[str]:
    if found is None:
        return
    active = [({"severity": severity}, float(count)) for severity, count in found.active.items()]
    unsent = [({"channel": channel}, float(count)) for channel, count in found.unsent.items()]
    looked: list[_Sample] = [({}, _age(found.looked_at, now))] if found.looked_at else []
    yield from (
        _family("alarm_active", "gauge", "Causes of alarms that were found last, by severity.", active),
        _family("alarm_unsent", "gauge", "Messages that a target has not taken yet, tried again by itself.", unsent),
        _family("alarm_look_age_seconds", "gauge", "Since it was last looked for what to tell people of.", looked),
    )


def _of_upkeep(upkeep: Upkeep | None, now: datetime) -> Iterator[str]:
    """The heartbeat of maintain; nothing but the number where no table has rules."""
    if upkeep is None:
        return
    yield _family("maintain_tables", "gauge", "Tables with rules that are obeyed.", [({}, float(len(upkeep.tables)))])
    if not upkeep.tables:
        return
    last = upkeep.last
    late = "Whether there are rules, and maintain has not run to its end for longer than it should be."
    yield _family("maintain_late", "gauge", late, [({}, float(upkeep.is_late(now)))])
    if last is not None:
        yield _family("maintain_age_seconds", "gauge", "Since maintain last ended.", [({}, _age(last.ended, now))])
        done = float(sum(one.good for one in last.did))
        yield _family("maintain_acts", "gauge", "What its last run did.", [({}, done)])
        left = float(len(last.failed) + bool(last.stopped))
        yield _family("maintain_left", "gauge", "What its last run left that needs somebody.", [({}, left)])


def _days(runway: timedelta) -> float:
    return float("inf") if runway == NEVER else round(runway / timedelta(days=1), 3)


def _age(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, round((now - moment).total_seconds()))


def _by_state(found: Iterable[tuple[str, dict[str, int]]]) -> list[_Sample]:
    return [
        ({"table": table, "state": state}, float(value)) for table, states in found for state, value in states.items()
    ]


def _family(name: str, kind: str, help_text: str, samples: Sequence[_Sample]) -> str:
    """One metric with its lines; nothing where it has none."""
    if not samples:
        return ""
    whole = f"partition_desk_{name}"
    lines = [f"# HELP {whole} {help_text}", f"# TYPE {whole} {kind}"]
    lines += [f"{whole}{_labels(labels)} {_number(value)}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _labels(labels: dict[str, str]) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return "+Inf" if value == float("inf") else str(int(value)) if value == int(value) else repr(value)
