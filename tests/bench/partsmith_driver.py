"""Runs one plan of pg-partsmith, in its own virtual environment: nothing of ours is imported here.

Plans as its README shows, prints the plan in one line, waits for a line, applies it, prints how long that took.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime

from pg_partsmith import (
    CreateAhead,
    DropNever,
    KeepNewest,
    LifecyclePolicy,
    OperationKind,
    PartitionError,
    PartitionGranularity,
    RangePartitioning,
    TablePartitionConfig,
    TimeBoundaries,
)
from pg_partsmith.sync import (
    PartitionLifecycleService,
    PostgresAdvisoryLockManager,
    PostgresMetadataProvider,
    PostgresPartitionRepository,
)
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def main(url: str, operation: str, year: int) -> None:
    logging.getLogger("pg_partsmith").addHandler(logging.NullHandler())  # what it says is in the result, too
    engine = create_engine(url)
    archive = operation == "archive"
    config = TablePartitionConfig(
        schema="public",
        table_name="kid_absences",
        scheme=RangePartitioning(key="date", boundaries=TimeBoundaries(granularity=PartitionGranularity.YEAR)),
        lifecycle=LifecyclePolicy(
            creation=CreateAhead(count=1),
            # the year is then the newest that is not kept
            retention=KeepNewest(count=NOW.year - year if archive else 100),
            drop=DropNever(),
        ),
    )
    service = PartitionLifecycleService(
        repo=PostgresPartitionRepository(engine),
        metadata=PostgresMetadataProvider(engine),
        locks=PostgresAdvisoryLockManager(engine),
    )
    now = NOW if archive else datetime(year, 6, 1, tzinfo=UTC)
    plan = service.plan(config, now=now).only(OperationKind.DETACH if archive else OperationKind.CREATE)
    print(" ".join(plan.describe().split()), flush=True)
    sys.stdin.readline()
    begun = time.perf_counter()
    error = ""
    try:
        result = service.apply(config, plan)
        if not result.created_count + result.detached_count:
            error = "; ".join(issue.error for issue in result.issues) or "nothing was done"
    except (SQLAlchemyError, PartitionError) as found:
        error = f"{type(found).__name__}: {found}"
    print(json.dumps({"seconds": time.perf_counter() - begun, "error": error}), flush=True)
    engine.dispose()


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
