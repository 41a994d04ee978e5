"""How long the catalog of a database with many partitions takes to read."""

from __future__ import annotations

import sys
from statistics import median
from unittest.mock import patch

from core.absences import definition
from core.growth.samples import measure
from core.growth.samples.measure import read_present
from core.tables.catalog.summaries import read_tables
from tests.bench.report import Table, Target, ms, times
from tests.bench.server import Desk, desk, timed

PARTITIONS = 50
"""Of each table."""
EXACT_MS = 500.0
ESTIMATED_MS = 100.0
MANY = 10_000
"""The number of partitions at which the two limits hold."""

# The procedure's own, verbatim but for the pattern.
_BY_HAND = """
SELECT
    schemaname,
    tablename,
    pg_size_pretty(pg_total_relation_size(schemaname||'.'||tablename)) as size
FROM pg_tables
WHERE tablename LIKE '{pattern}'
ORDER BY tablename
"""

_ADD_PARTITIONS = """
DO $$ BEGIN
    FOR y IN {first}..{last} LOOP
        EXECUTE format('CREATE TABLE public.{name}_%s PARTITION OF public.{name} FOR VALUES FROM (%L) TO (%L)',
            y, y || '-01-01', (y + 1) || '-01-01');
    END LOOP;
    INSERT INTO public.{name} (kid_id, date) SELECT 1, make_date(y, 5, 1) FROM generate_series({first}, {last}) y;
END $$
"""


def measure_catalog(server: str, tables: tuple[int, ...], runs: int) -> tuple[Table, ...]:
    """At each number of tables, 50 partitions each: all of them, and one table among them."""
    rows: list[tuple[str, ...]] = []
    targets: list[Target] = []
    built = 0
    with desk(server, "catalog") as at:
        for count in tables:
            add_tables(at, range(built, count))
            built = count
            print(f"  catalog: {count * PARTITIONS:,} partitions built", file=sys.stderr, flush=True)
            more, limits = _measure(at, count * PARTITIONS, runs)
            rows += more
            targets += limits
    return (
        Table(
            f"Read the catalog, {PARTITIONS} partitions a table",
            ("", "by hand ms", "ours exact ms", "ours estimated ms", "by hand is longer"),
            tuple(rows),
            notes=(
                f"Medians of {runs}, warm. By hand: the procedure's query of names and sizes, for the pattern that"
                " finds the same tables. Ours: rows, and sizes split into heap, indexes and TOAST; exact asks the file"
                " system for every size, estimated takes the pages of the last analyze.",
                "One table: everything that a page shows of it, with constraints, indexes and archived tables.",
            ),
            targets=tuple(targets),
        ),
    )


def name_of(number: int) -> str:
    """The name of the table with that number."""
    return f"kid_absences_t{number:03d}"


def add_tables(at: Desk, numbers: range) -> None:
    """Tables of 50 partitions with a row in each, and the catalog vacuumed as autovacuum would have by now."""
    at.run("SET synchronous_commit = off")
    for number in numbers:
        name = name_of(number)
        at.run(definition(f"public.{name}"))
        at.run(_ADD_PARTITIONS.format(name=name, first=1980, last=1980 + PARTITIONS - 1))
    at.run("RESET synchronous_commit")
    _vacuum_catalog(at)


def _vacuum_catalog(at: Desk) -> None:
    for (name,) in at.run(
        "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace"
        " AND relkind = 'r' AND NOT relisshared"
    ):
        at.run(f"VACUUM (ANALYZE) {name}")
    at.run("CHECKPOINT")


def _estimated(at: Desk) -> None:
    with patch.object(measure, "EXACT_UP_TO", 0):
        read_present(at.reading, archive_schema="archive")


def _measure(at: Desk, partitions: int, runs: int) -> tuple[list[tuple[str, ...]], list[Target]]:
    def taken(*works: object) -> tuple[float, ...]:
        found = [[timed(work) for work in works] for _ in range(runs + 1)]  # type: ignore[arg-type]
        return tuple(median(column) for column in zip(*found[1:], strict=True))

    name = name_of(1)
    hand, exact, estimated, overview = taken(
        lambda: at.run(_BY_HAND.format(pattern="kid_absences_%")),
        lambda: read_present(at.reading, archive_schema="archive"),
        lambda: _estimated(at),
        lambda: read_tables(at.reading),
    )
    one_hand, one_exact, one_estimated = taken(
        lambda: at.run(_BY_HAND.format(pattern=f"{name}_%")),
        lambda: at.table(name, exact=True),
        lambda: at.table(name),
    )
    assert len(read_present(at.reading, archive_schema="archive")) == partitions
    rows = [
        (f"all {partitions:,} partitions", ms(hand), ms(exact), ms(estimated), times(hand, exact)),
        (f"all {partitions:,} partitions, summed by table", ms(hand), "", ms(overview), times(hand, overview)),
        (f"one table among {partitions:,}", ms(one_hand), ms(one_exact), ms(one_estimated), times(one_hand, one_exact)),
    ]
    targets = []
    if partitions >= MANY:
        targets = [
            Target(f"{partitions:,} partitions exact under 0.5 s", f"{ms(exact)} ms", exact < EXACT_MS),
            Target(
                f"{partitions:,} partitions estimated, summed by table as pages list them, under 0.1 s",
                f"{ms(overview)} ms",
                overview < ESTIMATED_MS,
            ),
        ]
    return rows, targets
