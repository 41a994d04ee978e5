"""Builds backups and what surrounds them for tests; any field can be given by its name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.names import comment_sql
from core.plans.manifest import Backup, BackupColumn, LeftOut
from core.plans.proof import Proof, Verdict
from core.plans.restore import Surroundings
from core.plans.script import marks_of, session_statements
from tests.unit import factories

RELATION = '"archive"."kid_absences_2024"'


def backup(**changes: Any) -> Backup:
    """The backup of kid_absences_2024, archived by the console."""
    healthy = Backup(
        id="a/b/c",
        database="school",
        cluster="7000000000000000001",
        server_version="18.4",
        server_version_num=180004,
        encoding="UTF8",
        parent="public.kid_absences",
        schema="public",
        name="kid_absences_2024",
        archive="archive",
        bounds="FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
        bounded=True,
        made_check=True,
        key_column="date",
        key_type="date",
        columns=tuple(BackupColumn(c.name, c.type, c.not_null, "", "") for c in factories.COLUMNS),
        rows=20,
        fingerprint="text-1:20:7",
        raw_bytes=5000,
        bytes=1000,
        sha256="ab" * 32,
        tool="pg_dump 18.4",
        console="0.1.0",
        archived_at="2026-01-05T08:00:00+00:00",
        started_at="2026-10-20T09:30:00+00:00",
        finished_at="2026-10-20T09:30:05+00:00",
        actor="Ada",
        reason="",
        needs=(),
        create=(
            *session_statements("UTF8", ""),
            'CREATE SCHEMA IF NOT EXISTS "archive"',
            f'CREATE TABLE {RELATION} (\n    "id" bigint NOT NULL,\n    "kid_id" bigint NOT NULL,\n'
            '    "date" date NOT NULL,\n    "reason" text\n)',
        ),
        afterwards=(
            f'ALTER TABLE {RELATION} ADD CONSTRAINT "kid_absences_2024_date_check" CHECK ((date IS NOT NULL))',
            f'ALTER TABLE {RELATION} ADD CONSTRAINT "kid_absences_2024_key" UNIQUE (kid_id, date)',
            f'CREATE INDEX "kid_absences_2024_date_idx" ON {RELATION} USING btree (date)',
        ),
        left_out=(LeftOut("owner app", f'ALTER TABLE {RELATION} OWNER TO "app"', ("role app",), "restore"),),
        owner="app",
        comment=None,
    )
    found = replace(healthy, **changes)
    if "afterwards" not in changes:
        comment = comment_sql(RELATION, marks_of(found).beside(found.comment))
        found = replace(found, afterwards=(*found.afterwards, comment))
    return found


def proof(**changes: Any) -> Proof:
    """A good proof of it."""
    healthy = Proof("2026-10-20T10:00:00+00:00", "Ada", Verdict.PROVEN, "", 20, "text-1:20:7", "ab" * 32, "18.4", 1.5)
    return replace(healthy, **changes)


def surroundings(**changes: Any) -> Surroundings:
    """A server where nothing is in the way, with the role app connected and the schema archive there."""
    healthy = Surroundings(
        server=factories.server(),
        archive=factories.archive_schema(),
        encoding="UTF8",
        schemas=frozenset({"public", "archive", "pg_catalog"}),
        present=frozenset({"role app"}),
        may_own=frozenset({"app"}),
    )
    return replace(healthy, **changes)
