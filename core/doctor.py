"""Examines a table and says what is right with it, what is not, why that matters, and what puts it right.

Each check is one function of `CHECKS`, named for what it looks at. It yields its faults, or one finding that is OK.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import combinations, islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.bounds import Bounds, End, Key, KeyType, key_value
from core.ddl import EXCLUSION, attach, require_nothing_pending, table_option, within
from core.errors import Refused
from core.model import (
    UNLIMITED,
    Archived,
    Gap,
    Index,
    Marks,
    Partition,
    PartitionedTable,
    covered_until,
    due,
    runway_days,
    unexplained_gaps,
)
from core.names import fit, ident, literal, qualified
from core.operations.archive import attach_obstacles, plan_archive
from core.operations.ensure import plan_ensure
from core.period import Period, Range, period_of
from core.plan import Plan, comment_sql
from core.text import human_bytes, human_date, plural


class Severity(StrEnum):
    """How much a finding matters, least first."""

    OK = "ok"
    """Looked at and found right."""
    NOTE = "note"
    """Worth knowing; nothing breaks."""
    WARNING = "warning"
    """Something will break, or is slower or laxer than it should be."""
    CRITICAL = "critical"
    """Something fails now."""

    @property
    def rank(self) -> int:
        """0 for OK up to 3."""
        return tuple(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check says about one thing."""

    check: str
    """The check's stable name."""
    severity: Severity
    title: str
    """A sentence for a reader who knows no SQL."""
    reason: str = ""
    """Why it matters."""
    fix: Plan | None = None
    hint: str = ""
    """The exact words to do by hand, where there is no plan."""
    subject: str = ""
    """The name of the partition or archived table it is about."""
    act: str = ""
    """What the button of the fix says."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is examined, and the circumstances that the catalog doesn't know."""

    table: PartitionedTable
    key: Key
    today: date
    now: datetime
    zone: str
    cutoff: date
    automatic_creation: bool
    default_rows: int | None

    @property
    def period(self) -> Period:
        """The period that most partitions have."""
        return self.table.period(self.zone)

    @property
    def current(self) -> Range:
        """The calendar period of today."""
        return self.period.containing(self.today)

    @property
    def following(self) -> Range:
        """The calendar period after the current one."""
        return self.current[1], self.period.after(self.current[1])


def examine(
    table: PartitionedTable,
    *,
    today: date,
    now: datetime,
    cutoff: date,
    automatic_creation: bool,
    default_rows: int | None = None,
    zone: str = "UTC",
) -> tuple[Finding, ...]:
    """Every check's findings, most severe first, else in the order of CHECKS.

    `cutoff`: partitions wholly before it are due for archive. `default_rows`: how many rows the DEFAULT partition
    holds in all, None where nobody counted. A table that is not served has one finding, that it is not.
    """
    if table.not_served is not None or table.key is None:
        return (_unserved(table),)
    case = Case(table, table.key, today, now, zone, cutoff, automatic_creation, default_rows)
    found = [finding for check in CHECKS for finding in check(case)]
    return tuple(sorted(found, key=lambda finding: -finding.severity.rank))


def _unserved(table: PartitionedTable) -> Finding:
    """CRITICAL for a plain table, which should be partitioned; NOTE for one that is partitioned in another way."""
    if table.strategy == "plain":
        return Finding(
            "partitioned",
            Severity.CRITICAL,
            f"{table.label} is a plain table: it is not partitioned",
            "Nothing of it can be archived by period, and nothing can be created ahead.",
            hint="Run: alembic upgrade head. It turns a plain kid_absences into a partitioned one with all its rows.",
        )
    return Finding(
        "partitioned",
        Severity.NOTE,
        f"{table.label} is only shown here",
        f"The console does not act on it: {table.not_served}.",
        hint="Tables partitioned by RANGE on one date or timestamp column are served.",
    )


# Words -----------------------------------------------------------------------------------------------------------


def spoken_end(end: End | None, zone: str = "UTC") -> str:
    """One end of bounds for people, with its time where that is not midnight in `zone`."""
    if end is None:
        return "open end"
    if not isinstance(end, datetime):
        return human_date(end)
    local = end.astimezone(ZoneInfo(zone)) if end.tzinfo else end
    return human_date(local.date()) + ("" if local.time() == time() else f" {local:%H:%M}")


def spoken_period(wanted: Range) -> str:
    """A period for people: 2027, quarter 1 of 2027, January 2027, one date, or the first and the last of it."""
    lower, upper = wanted
    period = period_of(lower, upper)
    if period is Period.YEAR:
        return f"{lower.year}"
    if period is Period.QUARTER:
        return f"quarter {(lower.month + 2) // 3} of {lower.year}"
    if period is Period.MONTH:
        return f"{lower:%B} {lower.year}"
    if period is Period.DAY:
        return human_date(lower)
    return f"{human_date(lower)} to {human_date(upper - timedelta(days=1))}"


def _listed(names: Iterable[str], most: int = 5) -> str:
    """Names with commas, "and", and how many more there are."""
    shown = list(names)
    more = len(shown) - most
    if more > 0:
        shown = [*shown[:most], f"{more:,} more"]
    return ", ".join(shown[:-1]) + (" and " if len(shown) > 1 else "") + shown[-1] if shown else "none"


def _script(*statements: str) -> str:
    """Statements as lines for psql."""
    return "\n".join(f"{statement};" for statement in statements)


def _planned(finding: Finding, act: str, build: Callable[[], Plan]) -> Finding:
    """The finding with its plan, or, where the builder refuses, with its reason and its words."""
    try:
        plan = build()
    except Refused as refusal:
        return replace(finding, reason=f"{finding.reason} {refusal.what}".strip(), hint=refusal.next or refusal.what)
    return replace(finding, fix=plan, act=act)


# Are the partitions there? ---------------------------------------------------------------------------------------


def partitioned(case: Case) -> Iterator[Finding]:
    """OK; examine() stops before this one for a table that is not served. NOTE for bounds that can't be read."""
    table = case.table
    unread = [p for p in table.partitions if p.bounds is None]
    for partition in unread:
        yield Finding(
            "partitioned",
            Severity.NOTE,
            f"The range of {partition.name} can't be read just now",
            "Somebody holds it exclusively, so the checks of ranges leave it out.",
            hint="Look again in a moment.",
            subject=partition.name,
        )
    if not unread:
        yield Finding(
            "partitioned",
            Severity.OK,
            f"{table.label} is partitioned by {case.key.column}, with {plural(len(table.partitions), 'partition')}",
        )


def _ensure(case: Case, *ranges: Range) -> Plan:
    require_nothing_pending(case.table)
    unread = [p.name for p in case.table.partitions if p.bounds is None]
    if unread:
        raise Refused(f"The range of {_listed(unread)} can't be read just now.", next="Look again in a moment.")
    return plan_ensure(case.table, ranges, zone=case.zone)


def _default_caveat(case: Case) -> str:
    if case.table.default is None or case.default_rows == 0:
        return ""
    return (
        f" If {case.table.default.name} holds rows of that time, creating it is refused and changes nothing:"
        " move them out first."
    )


def current_period(case: Case) -> Iterator[Finding]:
    """CRITICAL when today has no partition; WARNING when a DEFAULT takes its rows."""
    table = case.table
    moment = key_value(case.key, case.today, case.zone)
    holder = next((p for p in table.ranges if not p.pending and p.bounds and p.bounds.holds(moment)), None)
    if holder is not None:
        title = f"Today, {human_date(case.today)}, has its partition: {holder.name}"
        yield Finding("current_period", Severity.OK, title)
        return
    name = spoken_period(case.current)
    fallen = table.default is not None and table.pending is None
    reason = (
        f"Rows of today go to the DEFAULT partition now, and each one makes it harder to create {name}."
        if fallen
        else "Every insert for today fails now; reads return nothing for it."
    )
    found = Finding(
        "current_period",
        Severity.WARNING if fallen else Severity.CRITICAL,
        f"Today, {human_date(case.today)}, has no partition",
        reason + _default_caveat(case),
    )
    yield _planned(found, f"Create {name}", lambda: _ensure(case, case.current))


def next_period(case: Case) -> Iterator[Finding]:
    """WARNING when the period after the current one is not wholly there."""
    days = runway_days(case.table, case.today, case.zone)
    name = spoken_period(case.following)
    if _following_is_held(case):
        left = "The last partition has no upper end" if days == UNLIMITED else f"{plural(days, 'day')} of runway"
        yield Finding("next_period", Severity.OK, f"The next period, {name}, has its partition", f"{left}.")
        return
    begins = human_date(case.following[0])
    reason = f"From {begins} on inserts would fail"
    if case.table.default is not None:
        reason = f"From {begins} on rows would go to the DEFAULT partition"
    found = Finding(
        "next_period",
        Severity.WARNING,
        f"The next period, {name}, lacks its partition: {plural(days, 'day')} of runway left",
        f"{reason}.{_default_caveat(case)}",
    )
    yield _planned(found, f"Create {name}", lambda: _ensure(case, case.following))


def _following_is_held(case: Case) -> bool:
    """Whether the next calendar period is held; for partitions off the calendar, whether the current one has a next."""
    lower, upper = case.following
    until = covered_until(case.table, lower, case.zone)
    if until is None or until >= key_value(case.key, upper, case.zone):
        return True
    moment = key_value(case.key, case.today, case.zone)
    live = [p.bounds for p in case.table.ranges if p.bounds and not p.pending]
    current = next((b for b in live if b.holds(moment)), None)
    if current is None or current.upper is None or current.period(case.zone) is not None:
        return False
    return any(bounds.holds(current.upper) for bounds in live)


MOST_AT_ONCE = 100
"""How many partitions a finding's plan creates at most; beyond it a person should look at what is going on."""


def gaps(case: Case) -> Iterator[Finding]:
    """WARNING for each range between partitions that neither a partition nor an archived table holds."""
    found = unexplained_gaps(case.table)
    for gap in found:
        yield _gap(case, gap)
    if not found:
        yield Finding("gaps", Severity.OK, "There is no gap between the partitions that no archived table explains")


def _gap(case: Case, gap: Gap) -> Finding:
    where = "go to the DEFAULT partition" if case.table.default else "can't be written"
    title = f"No partition from {spoken_end(gap.lower, case.zone)} up to {spoken_end(gap.upper, case.zone)}"
    reason = f"No archived table holds it either. Rows of that time {where}.{_default_caveat(case)}"
    finding = Finding("gaps", Severity.WARNING, title, reason)
    periods = _periods(case, gap)
    if not periods:
        return replace(finding, hint=_gap_by_hand(case, gap))
    names = spoken_period(periods[0]) if len(periods) == 1 else f"{len(periods)} partitions of one {case.period} each"
    return _planned(finding, f"Create {names}", lambda: _ensure(case, *periods))


def _periods(case: Case, gap: Gap) -> tuple[Range, ...]:
    """The table's periods that are exactly the gap, or nothing where it is cut otherwise or far too wide."""
    dates = Bounds("", gap.lower, gap.upper).dates(case.zone)
    if dates is None:
        return ()
    try:
        periods = tuple(islice(case.period.cover(*dates), MOST_AT_ONCE + 1))
    except (ValueError, OverflowError):  # the calendar ends at 9999
        return ()
    exact = len(periods) <= MOST_AT_ONCE and (periods[0][0], periods[-1][1]) == dates
    return periods if exact else ()


def _gap_by_hand(case: Case, gap: Gap) -> str:
    table = case.table
    ends = [end.isoformat(sep=" ") if isinstance(end, datetime) else end.isoformat() for end in (gap.lower, gap.upper)]
    bounds = Bounds.parse(f"FOR VALUES FROM ({literal(ends[0])}) TO ({literal(ends[1])})")
    label = "_".join(re.sub(r"\D", "", end[:10]) for end in ends)
    relation = qualified(table.schema, fit(table.name, f"_{label}"))
    return _script(
        f"CREATE TABLE {relation} (LIKE {table.sql} INCLUDING ALL EXCLUDING IDENTITY)",
        attach(table, relation, bounds),
    )


# What stands beside or between -----------------------------------------------------------------------------------


def overlaps(case: Case) -> Iterator[Finding]:
    """WARNING for each archived table whose range a partition, or another archived table, holds too."""
    found = [*_overlaps_attached(case), *_overlaps_archived(case)]
    yield from found
    if not found:
        yield _archive_fine(case, "overlaps", "No partition stands where {} came from")


def _overlaps_attached(case: Case) -> Iterator[Finding]:
    for archived in case.table.archived:
        bounds = archived.bounds
        holders = [p for p in case.table.ranges if bounds and p.bounds and p.bounds.overlaps(bounds)]
        for holder in holders[:1]:
            yield Finding(
                "overlaps",
                Severity.WARNING,
                f"{archived.schema}.{archived.name} can't come back: {holder.name} holds a part of its range",
                "Two partitions can't share a date; its rows of that time are in two tables now.",
                hint=_merge(case, holder, archived),
                subject=archived.name,
            )


def _merge(case: Case, holder: Partition, archived: Archived) -> str:
    """SQL that moves the partition's rows to the archived table, all or none; its CHECK refuses what doesn't belong."""
    table = case.table
    columns = _columns(table)
    return "\n".join(
        (
            f"-- Put the rows of {holder.name} to the archived ones, then bring those back:",
            "BEGIN;",
            "SET LOCAL lock_timeout = '2s';",
            f"ALTER TABLE {table.sql} DETACH PARTITION {holder.sql};",
            f"INSERT INTO {archived.sql} ({columns}) SELECT {columns} FROM {holder.sql};",
            f"DROP TABLE {holder.sql};",
            "COMMIT;",
            f"-- partitions reattach --partition {archived.name}{table_option(table)}",
        )
    )


def _columns(table: PartitionedTable) -> str:
    """The columns that can be written, in the table's order; that of a partition may be another."""
    return ", ".join(ident(column.name) for column in table.columns if not column.generated)


def _overlaps_archived(case: Case) -> Iterator[Finding]:
    known = [(a, a.bounds) for a in case.table.archived if a.bounds is not None]
    for (one, its), (other, theirs) in combinations(known, 2):
        if its.overlaps(theirs):
            yield Finding(
                "overlaps",
                Severity.WARNING,
                f"{one.schema}.{one.name} and {other.schema}.{other.name} hold the same range",
                "Only one of them can come back.",
                hint=f"Compare them: SELECT count(*), min({ident(case.key.column)}), max({ident(case.key.column)})"
                f" FROM {one.sql}; and the same of {other.sql}.",
                subject=one.name,
            )


COUNTING_STOPS = 1_000_000
"""Where core.catalog.count_default_rows stops; a count that reaches it means at least so many."""


def default_partition(case: Case) -> Iterator[Finding]:
    """WARNING for rows in the DEFAULT partition; NOTE that there is one, or that its rows were not counted."""
    default = case.table.default
    if default is None:
        title = "There is no DEFAULT partition: a row without its partition fails instead of going astray"
        yield Finding("default_partition", Severity.OK, title)
        return
    costs = (
        "While it exists no partition can be detached without a moment's wait for everybody (PostgreSQL rules"
        " CONCURRENTLY out), and later rows for an archived range land in it instead of failing."
    )
    if not case.default_rows:
        said = "it is empty" if case.default_rows == 0 else "its rows were not counted"
        yield Finding(
            "default_partition",
            Severity.NOTE,
            f"There is a DEFAULT partition, {default.name}: {said}",
            costs,
            hint=f"Count its rows: SELECT count(*) FROM ONLY {default.sql};\n"
            f"If it is empty and not wanted: ALTER TABLE {case.table.sql} DETACH PARTITION {default.sql};",
            subject=default.name,
        )
        return
    least = "at least " if case.default_rows >= COUNTING_STOPS else ""
    yield Finding(
        "default_partition",
        Severity.WARNING,
        f"The DEFAULT partition {default.name} holds {least}{plural(case.default_rows, 'row')}",
        f"No partition can be created or reattached for a period whose rows are there. {costs}",
        hint=_move_out_of_default(case, default),
        subject=default.name,
    )


def _move_out_of_default(case: Case, default: Partition) -> str:
    """SQL that shows which periods the rows are of, and that moves those of one period into a partition of its own."""
    table = case.table
    wanted = case.following if table.holding(*case.current, case.zone) else case.current
    bounds = table.bounds_between(*wanted, case.zone)
    relation = qualified(table.schema, fit(table.name, f"_{case.period.label(wanted[0])}"))
    columns = _columns(table)
    overriding = " OVERRIDING SYSTEM VALUE" if any(column.identity for column in table.columns) else ""
    condition = within(case.key, bounds)
    unit = "week" if case.period is Period.WEEK else case.period.value
    return "\n".join(
        (
            "-- Which periods they are of:",
            f"SELECT date_trunc('{unit}', {ident(case.key.column)}) AS period, count(*)"
            f" FROM ONLY {default.sql} GROUP BY 1 ORDER BY 1;",
            f"-- Then for each period; here {spoken_period(wanted)}:",
            "BEGIN;",
            "SET LOCAL lock_timeout = '2s';",
            f"LOCK TABLE ONLY {table.sql}, ONLY {default.sql} IN ACCESS EXCLUSIVE MODE;",
            f"CREATE TEMPORARY TABLE moved ON COMMIT DROP AS SELECT {columns} FROM ONLY {default.sql}"
            f" WHERE {condition};",
            f"DELETE FROM ONLY {default.sql} WHERE {condition};",
            f"CREATE TABLE {relation} PARTITION OF {table.sql} {bounds.text};",
            f"INSERT INTO {table.sql} ({columns}){overriding} SELECT {columns} FROM moved;",
            "COMMIT;",
        )
    )


def leftovers(case: Case) -> Iterator[Finding]:
    """WARNING for a CHECK that an interrupted operation left on the DEFAULT; NOTE for a tag left on a partition."""
    found = [*_left_checks(case), *_left_tags(case)]
    yield from found
    if not found:
        yield Finding("leftovers", Severity.OK, "No interrupted operation has left anything on the partitions")


def _left_checks(case: Case) -> Iterator[Finding]:
    default = case.table.default
    for check in default.checks if default else ():
        if default and check.name.startswith(EXCLUSION):
            range_name = check.name.removeprefix(EXCLUSION)
            yield Finding(
                "leftovers",
                Severity.WARNING,
                f"{default.name} still refuses the rows of {range_name}",
                "An operation that was interrupted left a CHECK constraint on it: until that is gone, rows of that"
                " range fail where they have no partition. It belongs there only while an operation runs.",
                hint=_script(f"ALTER TABLE {default.sql} DROP CONSTRAINT {ident(check.name)}"),
                subject=default.name,
            )


def _left_tags(case: Case) -> Iterator[Finding]:
    for partition in case.table.partitions:
        comment, marks = Marks.split(partition.comment)
        if marks.tag is not None and not partition.pending:
            yield Finding(
                "leftovers",
                Severity.NOTE,
                f"{partition.name} is attached, and its comment says that it was archived",
                "An archive began and did not get as far as the detach. It harms nothing; archiving it again"
                " writes the comment anew.",
                hint=_script(comment_sql(partition.sql, replace(marks, tag=None).beside(comment))),
                subject=partition.name,
            )


def detach_pending(case: Case) -> Iterator[Finding]:
    """CRITICAL: the rows are out of sight, inserts fail, and some statements crash the server."""
    table, pending = case.table, case.table.pending
    if pending is None:
        yield Finding("detach_pending", Severity.OK, "No detach is pending")
        return
    reason = (
        f"Reads through {table.label} no longer see its rows, and inserts for its range fail."
        " Add no column to the table before the detach is finished: it could not be finished then."
    )
    identity = [column.name for column in table.columns if column.identity]
    # Partitions share their parent's identity column since 17; the crash was seen on 18.
    if identity and table.server.version_num >= 170000:
        reason += (
            f" Let nobody insert straight into {pending.name} and leave {identity[0]} to its default:"
            f" PostgreSQL {table.server.version_num // 10000} can crash on it, with every session."
        )
    found = Finding(
        "detach_pending",
        Severity.CRITICAL,
        f"The detach of {pending.name} was begun and not finished",
        reason,
        subject=pending.name,
    )
    yield _planned(found, f"Finish archiving {pending.name}", lambda: _archive(case, pending.name))


def _archive(case: Case, name: str) -> Plan:
    return plan_archive(case.table, name, now=case.now, zone=case.zone)


# The archive -----------------------------------------------------------------------------------------------------


def _archive_fine(case: Case, check: str, title: str) -> Finding:
    """The OK of a check of archived tables, where `{}` in the title stands for them."""
    number = len(case.table.archived)
    if not number:
        return Finding(check, Severity.OK, f"Nothing is archived from {case.table.label} yet")
    tables = "the one archived table" if number == 1 else f"the {number:,} archived tables"
    return Finding(check, Severity.OK, title.format(tables))


def half_archived(case: Case) -> Iterator[Finding]:
    """WARNING for a table of ours that stands outside the archive schema, or whose bounds are not proven."""
    found = [a for a in case.table.archived if a.tag is not None and (_misplaced(case, a) or _unproven(case, a))]
    for archived in found:
        yield _half(case, archived)
    if not found:
        yield _archive_fine(case, "half_archived", "Every archive that was begun is complete: {}")


def _misplaced(case: Case, archived: Archived) -> bool:
    return archived.schema != case.table.archive.name


def _unproven(case: Case, archived: Archived) -> bool:
    check = archived.bounds_check(case.key)
    return check is not None and not check.validated


def _half(case: Case, archived: Archived) -> Finding:
    lacks = (
        f"It is detached, and still stands in the schema {archived.schema}."
        if _misplaced(case, archived)
        else "Its bounds are written on it and not proven, so that reattaching it would read every row."
    )
    found = Finding(
        "half_archived",
        Severity.WARNING,
        f"The archive of {archived.name} was interrupted",
        lacks,
        subject=archived.name,
    )
    # A plan goes by name: one that is taken twice would act on the other table.
    if case.table.find(archived.name) is not None or case.table.find_archived(archived.name) is not archived:
        rename = f"ALTER TABLE {archived.sql} RENAME TO {ident(fit(archived.name, '_archived'))}"
        return replace(
            found,
            reason=f"{lacks} Another table has the same name.",
            hint=f"Give it another name, then look here again:\n{_script(rename)}",
        )
    return _planned(found, f"Finish archiving {archived.name}", lambda: _archive(case, archived.name))


def archived_columns(case: Case) -> Iterator[Finding]:
    """WARNING for each archived table whose shape keeps it from being reattached."""
    found = [(a, reasons) for a in case.table.archived if (reasons := attach_obstacles(case.table, a))]
    for archived, reasons in found:
        yield Finding(
            "archived_columns",
            Severity.WARNING,
            f"{archived.schema}.{archived.name} no longer matches {case.table.name}: it could not be reattached",
            "PostgreSQL attaches a table only if its columns, constraints and owner match.",
            hint="\n".join(reasons),
            subject=archived.name,
        )
    if not found:
        yield _archive_fine(case, "archived_columns", "The columns of {} match the table's")


def archived_ranges(case: Case) -> Iterator[Finding]:
    """WARNING for an archived table of which nothing tells which range it held."""
    column = ident(case.key.column)
    unknown = [a for a in case.table.archived if a.bounds is None]
    for archived in unknown:
        yield Finding(
            "archived_ranges",
            Severity.WARNING,
            f"Nothing tells which range {archived.schema}.{archived.name} held",
            "It has no tag of the console, no CHECK of its range and no period in its name: it can't be reattached.",
            hint=f"See what it holds, then write it down with its own dates:\n"
            f"SELECT min({column}), max({column}) FROM {archived.sql};\n"
            f"ALTER TABLE {archived.sql} ADD CHECK ({column} >= '2019-01-01' AND {column} < '2020-01-01');",
            subject=archived.name,
        )
    if not unknown:
        yield _archive_fine(case, "archived_ranges", "The range of {} is known")


def archived_indexes(case: Case) -> Iterator[Finding]:
    """NOTE for an archived table that lacks an index of the parent; reattaching builds it."""
    found = [(a, lacking) for a in case.table.archived if (lacking := _lacking(case, a))]
    for archived, lacking in found:
        columns = _listed(f"({', '.join(index.columns)})" for index in lacking)
        yield Finding(
            "archived_indexes",
            Severity.NOTE,
            f"{archived.schema}.{archived.name} lacks an index of the table: {columns}",
            "Reattaching builds it first, while reads and writes go on; it takes longer for that.",
            hint=f"Nothing needs doing before: partitions reattach --partition {archived.name}"
            f"{table_option(case.table)}",
            subject=archived.name,
        )
    if not found:
        yield _archive_fine(case, "archived_indexes", "Every index of the table is on {}")


def _lacking(case: Case, archived: Archived) -> tuple[Index, ...]:
    own = {index.shape for index in archived.indexes if index.valid}
    return tuple(index for index in case.table.indexes if index.shape not in own)


def archive_schema(case: Case) -> Iterator[Finding]:
    """WARNING when every role of the database may look into the archive schema."""
    archive = case.table.archive
    if not archive.exists:
        title = f"The schema {archive.name} is made, closed to the public, with the first archive"
        yield Finding("archive_schema", Severity.OK, title)
    elif archive.open_to_public:
        yield Finding(
            "archive_schema",
            Severity.WARNING,
            f"The schema {archive.name} is open to every role of the database",
            "Archived rows lie there without the table's row security.",
            hint=_script(f"REVOKE ALL ON SCHEMA {ident(archive.name)} FROM PUBLIC"),
        )
    else:
        yield Finding("archive_schema", Severity.OK, f"The schema {archive.name} is closed to the public")


def due_for_archive(case: Case) -> Iterator[Finding]:
    """NOTE with how many partitions are due and how large; the fix archives the oldest."""
    found = due(case.table, case.cutoff, case.today, case.zone)
    if not found:
        title = f"No partition is due for archive: none ended by {human_date(case.cutoff)}"
        yield Finding("due_for_archive", Severity.OK, title)
        return
    oldest = found[0]
    are = "is" if len(found) == 1 else "are"
    size = human_bytes(sum(p.size.total for p in found if p.size))
    note = Finding(
        "due_for_archive",
        Severity.NOTE,
        f"{plural(len(found), 'partition')} {are} due for archive, {size}",
        f"{_listed(p.name for p in found)} ended by {human_date(case.cutoff)}. Nothing archives by itself.",
        subject=oldest.name,
    )
    yield _planned(note, f"Archive {oldest.name}", lambda: _archive(case, oldest.name))


# Indexes and statistics ------------------------------------------------------------------------------------------

_UNFINISHED = re.compile(r"_cc(new|old)\d*$")


def invalid_indexes(case: Case) -> Iterator[Finding]:
    """WARNING for each index that PostgreSQL does not use because its build did not end."""
    table = case.table
    broken = [(p, name) for p in table.partitions for name in p.invalid_indexes]
    for partition, name in broken:
        # What REINDEX CONCURRENTLY leaves when it is cut short: the old index still serves, its copy goes.
        verb = "DROP" if _UNFINISHED.search(name) else "REINDEX"
        yield Finding(
            "invalid_indexes",
            Severity.WARNING,
            f"The index {name} of {partition.name} is not finished",
            "Queries can't use it, and each write still pays for it. Its build was interrupted, or runs just now.",
            hint=_script(f"{verb} INDEX CONCURRENTLY {qualified(partition.schema, name)}"),
            subject=partition.name,
        )
    unfinished = [index for index in table.indexes if not index.valid]
    for index in unfinished:
        yield Finding(
            "invalid_indexes",
            Severity.WARNING,
            f"The index {index.name} is not there on every partition",
            "Queries on the partitions that lack it are slow, and new partitions get it all the same.",
            hint=_complete_index(table, index),
        )
    if not broken and not unfinished:
        indexes = plural(len(table.indexes), "index", "indexes")
        yield Finding("invalid_indexes", Severity.OK, f"The table's {indexes} and those of its partitions are valid")


def _complete_index(table: PartitionedTable, index: Index) -> str:
    parent = qualified(table.schema, index.name)
    unique = "UNIQUE " if index.unique else ""
    return "\n".join(
        (
            "-- The partitions that lack it:",
            f"SELECT i.inhrelid::regclass FROM pg_inherits i WHERE i.inhparent = {_regclass(table.sql)}"
            " AND NOT EXISTS (SELECT FROM pg_inherits x JOIN pg_index d ON d.indexrelid = x.inhrelid"
            f" WHERE x.inhparent = {_regclass(parent)} AND d.indrelid = i.inhrelid AND d.indisvalid);",
            "-- Then for each, with a name of your own for its index:",
            f"CREATE {unique}INDEX CONCURRENTLY its_index ON its_partition {index.definition};",
            f"ALTER INDEX {parent} ATTACH PARTITION its_index;",
        )
    )


def _regclass(relation: str) -> str:
    return f"{literal(relation).strip()}::regclass"


def unique_constraint(case: Case) -> Iterator[Finding]:
    """WARNING when nothing keeps equal rows apart; NOTE when only generated ids do."""
    table, column = case.table, case.key.column
    generated = {c.name for c in table.columns if c.identity}
    unique = [index for index in table.indexes if index.unique and column in index.columns]
    telling = [index for index in unique if not generated & set(index.columns)]
    for index in telling[:1]:
        title = f"No two rows share their ({', '.join(index.columns)}): {index.name} sees to it in every partition"
        yield Finding("unique_constraint", Severity.OK, title)
    if telling:
        return
    only = f"Only the generated {_listed(sorted(generated))} tells" if unique else "Nothing tells"
    yield Finding(
        "unique_constraint",
        Severity.NOTE if unique else Severity.WARNING,
        f"{only} one row of {table.name} from another",
        "The same row can be written twice. A unique constraint of a partitioned table must contain its key.",
        hint=f"With the columns that tell rows apart in place of kid_id; it reads every row and holds up writers:\n"
        f"ALTER TABLE {table.sql} ADD UNIQUE (kid_id, {ident(column)});",
    )


def key_index(case: Case) -> Iterator[Finding]:
    """WARNING when no index begins with the key."""
    table, column = case.table, case.key.column
    name = next((index.name for index in table.indexes if index.columns[:1] == (column,)), None)
    if name is not None:
        yield Finding("key_index", Severity.OK, f"Dates are found by an index on {column}: {name}")
        return
    yield Finding(
        "key_index",
        Severity.WARNING,
        f"No index begins with {column}: a query for a few days reads a whole partition",
        "PostgreSQL picks the partition by its bounds; within it, it looks through every row.",
        hint=_key_index_by_hand(case),
    )


def _key_index_by_hand(case: Case) -> str:
    """An index on the parent alone, then one on each partition while reads and writes go on."""
    table, column = case.table, ident(case.key.column)
    parent = fit(table.name, f"_{case.key.column}_idx")
    lines = [f"CREATE INDEX {ident(parent)} ON ONLY {table.sql} ({column})"]
    for partition in table.partitions:
        name = fit(partition.name, f"_{case.key.column}_idx")
        lines.append(f"CREATE INDEX CONCURRENTLY {ident(name)} ON {partition.sql} ({column})")
        attached = qualified(partition.schema, name)
        lines.append(f"ALTER INDEX {qualified(table.schema, parent)} ATTACH PARTITION {attached}")
    return _script(*lines)


def never_analyzed(case: Case) -> Iterator[Finding]:
    """NOTE for partitions with rows that the planner knows nothing of; an empty new one needs nothing."""
    found = [p for p in case.table.partitions if p.rows is None and not p.pending and (p.size is None or p.size.heap)]
    if not found:
        yield Finding("never_analyzed", Severity.OK, "The planner knows every partition that holds rows")
        return
    yield Finding(
        "never_analyzed",
        Severity.NOTE,
        f"{plural(len(found), 'partition')} never analyzed: {_listed(p.name for p in found)}",
        "Their row counts are unknown here, and queries on them may be planned badly.",
        hint=_script(*(f"ANALYZE {p.sql}" for p in found)),
        subject=found[0].name,
    )


# Server, role, environment ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Right:
    """Whether the connected role may do an act, and what would let it."""

    act: str
    possible: bool
    grants: tuple[str, ...]


def rights(table: PartitionedTable) -> tuple[Right, ...]:
    """What the connected role may do, act by act."""
    server, archive = table.server, table.archive
    user = ident(server.user)
    own = () if table.owned else (f"GRANT {ident(table.owner)} TO {user}",)
    create = () if table.may_create else (f"GRANT USAGE, CREATE ON SCHEMA {ident(table.schema)} TO {user}",)
    database = f"GRANT CREATE ON DATABASE {ident(server.database)} TO {user}"
    room: tuple[str, ...] = ()
    if archive.exists and not archive.may_create:
        room = (f"GRANT USAGE, CREATE ON SCHEMA {ident(archive.name)} TO {user}",)
    elif not archive.exists and not server.may_create_schema:
        room = (f"CREATE SCHEMA {ident(archive.name)} AUTHORIZATION {user}",)
    select = (f"GRANT USAGE ON SCHEMA {ident(table.schema)} TO {user}", f"GRANT SELECT ON {table.sql} TO {user}")
    journal = (
        f"GRANT USAGE ON SCHEMA partition_desk TO {user}",
        f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA partition_desk TO {user}",
    )
    lacking = (
        ("read the rows", () if table.may_read else select),
        ("create partitions", own + create),
        ("archive", own + room),
        ("reattach", own + create),
        ("keep the journal", () if server.may_write_journal else journal if server.journal else (database,)),
    )
    return tuple(Right(act, not grants, grants) for act, grants in lacking)


def privileges(case: Case) -> Iterator[Finding]:
    """WARNING when the connected role may not do every act."""
    user = case.table.server.user
    all_rights = rights(case.table)
    possible = [right.act for right in all_rights if right.possible]
    missing = [right for right in all_rights if not right.possible]
    if not missing:
        title = f"The role {user} may do everything here: {_listed(possible)}"
        yield Finding("privileges", Severity.OK, title)
        return
    grants = dict.fromkeys(grant for right in missing for grant in right.grants)
    yield Finding(
        "privileges",
        Severity.WARNING,
        f"The role {user} may not {_listed(right.act for right in missing)}",
        f"It may: {_listed(possible) if possible else 'nothing else'}. Only the owner of the table,"
        f" {case.table.owner}, or a member of that role can attach and detach.",
        hint=f"Run as an administrator, or connect as {case.table.owner}:\n{_script(*grants)}",
    )


def owners(case: Case) -> Iterator[Finding]:
    """WARNING for partitions of another owner than the table's, which its owner can't move to the archive."""
    table = case.table
    others = [p for p in table.partitions if p.owner != table.owner]
    if not others:
        yield Finding("owners", Severity.OK, f"The table and all its partitions belong to {table.owner}")
        return
    yield Finding(
        "owners",
        Severity.WARNING,
        f"{plural(len(others), 'partition')} not owned by {table.owner}: {_listed(p.name for p in others)}",
        "PostgreSQL lets a table be moved to the archive by its own owner only.",
        hint=_script(*(f"ALTER TABLE {p.sql} OWNER TO {ident(table.owner)}" for p in others)),
        subject=others[0].name,
    )


def writable(case: Case) -> Iterator[Finding]:
    """WARNING on a standby or a server set to read-only: everything can be seen and nothing done."""
    server = case.table.server
    if server.in_recovery or server.read_only:
        kind = "a standby" if server.in_recovery else "set to read-only"
        yield Finding(
            "writable",
            Severity.WARNING,
            f"This server is {kind}: nothing can be changed here",
            "Reading goes on as ever.",
            hint="Connect to the primary server."
            if server.in_recovery
            else "See where it is set, and set it off there:\n"
            "SELECT source, sourcefile FROM pg_settings WHERE name = 'default_transaction_read_only';",
        )
    else:
        yield Finding("writable", Severity.OK, "The server takes changes: it is neither a standby nor read-only")


_FOREIGN_KEYS_FIXED = {13: 17, 14: 14, 15: 9, 16: 5, 17: 1}
"""The minor release of each major that keeps foreign keys enforced through ATTACH and DETACH."""


def server_version(case: Case) -> Iterator[Finding]:
    """WARNING below 14, and below the minor releases that keep foreign keys enforced through a detach."""
    table, server = case.table, case.table.server
    major, minor = divmod(server.version_num, 10000)
    old = not server.detaches_concurrently
    if old:
        yield Finding(
            "server_version",
            Severity.WARNING,
            f"PostgreSQL {server.version} can't detach while reads and writes go on",
            "Citus refuses DETACH CONCURRENTLY: everybody waits for a moment instead."
            if server.citus and major >= 14
            else "DETACH CONCURRENTLY came with 14: until then everybody waits for a moment when a year is archived.",
            hint="Nothing needs doing: archiving waits briefly, and tries again."
            if server.citus and major >= 14
            else "Update the server to PostgreSQL 14 or later.",
        )
    fixed = _FOREIGN_KEYS_FIXED.get(major, 0 if major > max(_FOREIGN_KEYS_FIXED) else 9999)
    faulty = minor < fixed and bool(table.references or table.referenced_by)
    if faulty:
        names = _listed(dict.fromkeys(fk.name for fk in (*table.references, *table.referenced_by)))
        target = f"{major}.{fixed}" if fixed < 9999 else "14.14"
        yield Finding(
            "server_version",
            Severity.WARNING,
            f"PostgreSQL {server.version} can leave foreign keys unenforced after a detach",
            f"{names} could let wrong rows in once a partition has been archived. PostgreSQL has fixed it.",
            hint=f"Update the server to {target} or later; then drop and add again the foreign keys of tables that"
            " were detached before.",
        )
    if not old and not faulty:
        title = f"PostgreSQL {server.version} is new enough for everything that is done here"
        yield Finding("server_version", Severity.OK, title)


def time_zone(case: Case) -> Iterator[Finding]:
    """WARNING when the server's day begins elsewhere than the application's and the key is a moment in time."""
    server_zone = case.table.server.time_zone
    zones = f"the server's time zone is {server_zone}, the application's {case.zone}"
    same = _same_zone(server_zone, case.zone, case.now)
    if same:
        yield Finding("time_zone", Severity.OK, f"Server and application agree on the time zone: {case.zone}")
    elif case.key.type is not KeyType.TIMESTAMPTZ:
        kind = "a date" if case.key.type is KeyType.DATE else "a timestamp without time zone"
        yield Finding(
            "time_zone",
            Severity.OK,
            f"The key {case.key.column} is {kind}, which has no time zone",
            f"Only a current_date in SQL could differ around midnight: {zones}.",
        )
    else:
        yield Finding(
            "time_zone",
            Severity.WARNING,
            f"Rows near midnight can fall into another day: {zones}",
            f"{case.key.column} is a moment in time: a date in a query or in bounds begins where the session's"
            " time zone says.",
            hint=f"Set the application's zone for Partition Desk: PARTITION_DESK_TIME_ZONE={server_zone}\n"
            "or the server's for this database:\n"
            + _script(
                f"ALTER DATABASE {ident(case.table.server.database)} SET TimeZone = {literal(case.zone).strip()}"
            ),
        )


def _same_zone(one: str, other: str, now: datetime) -> bool:
    """Whether two zones have the same clock through the year around `now`, whatever they are called."""
    if one == other:
        return True
    try:
        first, second = ZoneInfo(one), ZoneInfo(other)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    moments = [now.astimezone(UTC) + timedelta(weeks=week) for week in range(-26, 27)]
    return all(moment.astimezone(first).utcoffset() == moment.astimezone(second).utcoffset() for moment in moments)


def automatic_creation(case: Case) -> Iterator[Finding]:
    """WARNING when ENABLE_ABSENCE_PARTITIONS switches the creation at the application's start off."""
    if case.automatic_creation:
        title = "Applications create this period and the next at their start (ENABLE_ABSENCE_PARTITIONS is on)"
        yield Finding("automatic_creation", Severity.OK, title)
        return
    yield Finding(
        "automatic_creation",
        Severity.WARNING,
        "Automatic creation is switched off",
        "No partition comes by itself: one day inserts fail.",
        hint="Set ENABLE_ABSENCE_PARTITIONS=true for the application, or run from cron:\n"
        f"partitions ensure{table_option(case.table)}",
    )


CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    partitioned,
    current_period,
    next_period,
    detach_pending,
    gaps,
    overlaps,
    default_partition,
    leftovers,
    half_archived,
    archived_columns,
    archived_ranges,
    archived_indexes,
    archive_schema,
    due_for_archive,
    invalid_indexes,
    unique_constraint,
    key_index,
    never_analyzed,
    privileges,
    owners,
    writable,
    server_version,
    time_zone,
    automatic_creation,
)
"""Every check, in the order in which equally severe findings are shown."""
