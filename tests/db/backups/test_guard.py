"""A manifest of another's making runs nothing but what makes its one table, on a real server."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from core.errors import BackupUnusable
from core.names import qualified
from core.plans.manifest import Backup, Needed
from core.plans.proof import Kept
from core.plans.script import after_rows, before_rows
from tests.db.backups.walks import Make, Walk, bad

pytestmark = pytest.mark.attacked_versions


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE public.kid_absences",
        'ALTER TABLE "archive"."kid_absences_2022" ADD CONSTRAINT "x" CHECK (true); DROP TABLE public.kid_absences',
        'ALTER TABLE "archive"."kid_absences_2022" ADD CONSTRAINT "x" CHECK (true) -- ',
        'CREATE INDEX "i" ON "archive"."kid_absences_2022" USING btree (f($$a$$))',
        'ALTER TABLE "archive"."kid_absences_2022" ADD CONSTRAINT "x" CHECK (type\'a\\\'); DROP TABLE kids --\')',
        "DELETE FROM public.kid_absences",
        "COPY public.kids TO PROGRAM 'rm'",
    ],
)
def test_a_manifest_that_would_do_more(walk: Walk, make_table: Make, statement: str) -> None:
    made = make_table()
    backup = walk.back_up(made, made.first)
    hostile = replace(backup, afterwards=(*backup.afterwards, statement))
    with pytest.raises(BackupUnusable, match="that making this one table does not need"):
        walk.plan_restore(made, Kept(hostile))


def forged(walk: Walk, backup: Backup, **changes: Any) -> Backup:
    """The backup with another definition, whole and sealed again, as who may write to the place can make it."""
    forgery = replace(backup, **changes)
    object_ = Path(walk.storage.label, backup.object)
    text = zstandard.ZstdDecompressor().decompressobj().decompress(object_.read_bytes())
    rows = text.removeprefix(before_rows(backup).encode()).removesuffix(after_rows(backup).encode())
    assert len(rows) > 0
    text = before_rows(forgery).encode() + rows + after_rows(forgery).encode()
    packed = zstandard.ZstdCompressor().compress(text)
    object_.write_bytes(packed)
    forgery = replace(forgery, raw_bytes=len(text), bytes=len(packed), sha256=hashlib.sha256(packed).hexdigest())
    Path(walk.storage.label, backup.manifest).write_text(forgery.to_json())
    return forgery


def test_a_verification_runs_no_sql_but_that_of_the_table(walk: Walk, make_table: Make, tmp_path: Path) -> None:
    made = make_table()
    backup = walk.back_up(made, made.first)
    assert walk.verify(forged(walk, backup)).good, "the forger's work is whole"
    object_ = Path(walk.storage.label, backup.object)
    whole = object_.read_bytes()
    touched = tmp_path / "touched"
    tmp_path.chmod(0o777)
    program = f"COPY (SELECT 1) TO PROGRAM 'touch {touched}'"
    type_ = Needed("type", "public", "mood", f'CREATE TYPE "public"."mood" AS ENUM (\'a\'); {program}')
    refused = "a statement that making this one table does not need"
    for changes in (
        {"afterwards": (*backup.afterwards, program)},
        {"create": (*backup.create, program)},
        {"create": (program, *backup.create)},
        {"create": (*backup.create[:-1], f"DO $do$BEGIN {program}; END$do$", backup.create[-1])},
        {"needs": (type_,)},
    ):
        assert refused in bad(walk, forged(walk, backup, **changes)).reason
        object_.write_bytes(whole)
    for expression in ("pg_read_file('/etc/passwd') <> ''", "lo_export(lo_create(0), '/tmp/pd-forged') > 0"):
        check = f'ALTER TABLE {qualified("archive", made.first)} ADD CONSTRAINT "x" CHECK ({expression})'
        assert "permission denied" in bad(walk, forged(walk, backup, afterwards=(check, *backup.afterwards))).reason
        object_.write_bytes(whole)
    assert not touched.exists()
