"""Processes that tests kill, or run many of at once: each is forked from one that has imported what they run.

The first test that wants one starts the one that they are forked from, so that what all of them import stands here.
"""

from __future__ import annotations

import multiprocessing

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        "tests.faults",
        "tests.starting",
        "tests.db.test_asking_again",
        "tests.db.test_road_faults",
        "core.backups.restore",
        "core.backups.verify",
        "core.backups.write",
        "sqlalchemy.dialects.postgresql.psycopg2",
    ]
)
