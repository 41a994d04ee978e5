"""What a table has that its backup lacks: all that was made or changed since, and nothing where nothing was."""

from __future__ import annotations

import psycopg2
import pytest

from core.backups.differences import read_lacking
from core.backups.kept import read_kept
from core.plans.proof import Verdict
from tests import tables
from tests.db.backups.walks import Walk, described
from tests.tables import Run

T = "archive.kid_absences_2022"

BEFORE = f"""
CREATE TYPE mood AS ENUM ('fine', 'ill');
CREATE TYPE pair AS (a int, b int);
CREATE DOMAIN short AS text CHECK (length(VALUE) < 99);
ALTER TABLE {T} ADD m mood, ADD p pair, ADD s short;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER watch BEFORE INSERT ON {T} FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE POLICY a_few ON {T} USING (kid_id > 3);
CREATE INDEX expressed ON {T} ((kid_id + 1));
CREATE STATISTICS counted ON kid_id, date FROM {T};
ALTER TABLE {T} ADD CONSTRAINT plausible CHECK (kid_id > -9) NOT VALID;
CREATE RULE never AS ON DELETE TO {T} WHERE OLD.kid_id < 0 DO INSTEAD NOTHING
"""

SINCE = {
    f"ALTER TABLE {T} DISABLE TRIGGER watch": "trigger watch, switched off",
    f"DROP TRIGGER watch ON {T}; CREATE TRIGGER watch AFTER DELETE ON {T} FOR EACH ROW EXECUTE FUNCTION nothing()": (
        "trigger watch"
    ),
    f"ALTER POLICY a_few ON {T} USING (kid_id > 4)": "policy a_few",
    f"CREATE RULE quiet AS ON DELETE TO {T} DO INSTEAD NOTHING": "rule quiet",
    f"CREATE OR REPLACE RULE never AS ON DELETE TO {T} DO INSTEAD NOTHING": "rule never",
    f"ALTER TABLE {T} SET (fillfactor = 50)": "the options WITH (fillfactor='50')",
    f"ALTER TABLE {T} SET UNLOGGED": "that it is unlogged",
    "ALTER INDEX archive.expressed ALTER COLUMN 1 SET STATISTICS 33": "statistics target of the index expressed",
    "ALTER STATISTICS counted SET STATISTICS 77": "target of the statistics counted",
    "COMMENT ON STATISTICS counted IS 'why'": "the comment of counted",
    f"COMMENT ON CONSTRAINT plausible ON {T} IS 'why'": "the comment of plausible",
    f"ALTER TABLE {T} VALIDATE CONSTRAINT plausible": "the constraint plausible",
    f"ALTER TABLE {T} CLUSTER ON expressed": "that it is clustered on expressed",
    f"ALTER TABLE {T} REPLICA IDENTITY FULL": "REPLICA IDENTITY FULL",
    "ALTER TYPE mood RENAME VALUE 'ill' TO 'unwell'": "the type public.mood as it is now",
    "ALTER TYPE pair RENAME ATTRIBUTE a TO c; ALTER TYPE pair RENAME ATTRIBUTE b TO a;"
    " ALTER TYPE pair RENAME ATTRIBUTE c TO b": "the type public.pair as it is now",
    "ALTER DOMAIN short SET DEFAULT 'x'": "the type public.short as it is now",
}  # fmt: skip


def test_whatever_was_changed_since_is_missed(walk: Walk, run: Run) -> None:
    made = tables.make_table(run)
    archived = walk.archive(made, made.first)
    run(BEFORE)
    backup = walk.back_up(made, made.first)
    assert read_lacking(walk.reader, archived, backup) == ()
    run("ALTER TYPE mood ADD VALUE 'away' BEFORE 'ill'")
    assert read_lacking(walk.reader, archived, backup) == (), "the rows can be restored beside it"
    for change, lacking in SINCE.items():
        run(change)
        assert lacking in read_lacking(walk.reader, archived, backup), change
    assert len(read_lacking(walk.reader, archived, backup)) >= len(SINCE) - 2  # two of the trigger, two of a rule


def test_nothing_is_missed_of_what_was_backed_up_while_it_was_attached(walk: Walk, run: Run) -> None:
    made = tables.make_table(run)
    run(
        BEFORE.replace(T, "kid_absences_2022").replace(
            "ALTER TABLE kid_absences_2022 ADD m", "ALTER TABLE kid_absences ADD m"
        )
    )
    run("COMMENT ON INDEX expressed IS 'why'; ALTER TABLE kid_absences_2022 SET (fillfactor = 50)")
    backup = walk.back_up(made, made.first)
    archived = walk.archive(made, made.first)
    assert read_lacking(walk.reader, archived, backup) == ()


def test_what_can_not_be_made_alone_is_left_out_and_told(walk: Walk, run: Run, shared: None) -> None:
    made = tables.make_table(run)
    archived = walk.archive(made, made.first)
    run(
        f"""
CREATE FUNCTION fine(text) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true';
CREATE TYPE pair AS (a int, b int);
CREATE DOMAIN positive AS pair CHECK ((VALUE).a > 0);
CREATE DOMAIN checked AS text CHECK (fine(VALUE)) CONSTRAINT brief CHECK (length(VALUE) < 9);
ALTER TABLE {T} ADD p positive DEFAULT ROW(1, 2)::pair, ADD c checked DEFAULT 'long';
ALTER DOMAIN checked ADD CONSTRAINT tiny CHECK (length(VALUE) < 3) NOT VALID;
UPDATE {T} SET reason = 'twice' WHERE kid_id < 3;
ALTER TABLE {T} SET UNLOGGED;
"""
    )
    with pytest.raises(psycopg2.errors.UniqueViolation):
        run(f"CREATE UNIQUE INDEX CONCURRENTLY once ON {T} (reason)")
    backup = walk.back_up(made, made.first)
    assert [one.what for one in backup.left_out if not one.what.startswith("owner ")] == [
        "index once, which is not valid",
        "constraint checked_check of the type public.checked",
        "constraint tiny of the type public.checked",
        "that it is unlogged",
    ]
    made_of = {need.name: need.sql for need in backup.needs}
    assert made_of["positive"].endswith("CHECK (((VALUE).a > 0))")
    assert made_of["checked"].endswith('CONSTRAINT "brief" CHECK ((length(VALUE) < 9))')
    assert (walk.verify(backup).verdict, read_lacking(walk.reader, archived, backup)) == (Verdict.PROVEN, ())
    run("ALTER DOMAIN checked DROP CONSTRAINT tiny")
    run(f"DROP TABLE {T}")
    plan = walk.plan_restore(made, read_kept(walk.storage, backup.id))
    assert "Not put back by itself, its SQL is in the manifest: that it is unlogged." in plan.warnings
    assert "Not put back: index once, which is not valid." in plan.warnings
    walk.restore(made, read_kept(walk.storage, backup.id))
    run(f"DROP TABLE {T}; DROP DOMAIN checked, positive; DROP TYPE pair")
    said = " ".join(walk.plan_restore(made, read_kept(walk.storage, backup.id)).warnings)
    assert "constraint checked_check of the type public.checked, constraint tiny of the type public.checked" in said


@pytest.mark.with_contrib
def test_what_is_computed_or_ordered_by_a_collation_of_the_servers_is_proven_where_that_is(
    walk: Walk, run: Run
) -> None:
    made = tables.make_table(run)
    run(
        """
CREATE TYPE span AS RANGE (SUBTYPE = text, COLLATION = "und-x-icu");
ALTER TABLE kid_absences ADD s span DEFAULT '[a,B]',
    ADD loud text GENERATED ALWAYS AS (upper(reason COLLATE "und-x-icu")) STORED
"""
    )
    proof = walk.verify(walk.back_up(made, made.first))
    assert (proof.verdict, proof.reason) == (Verdict.PROVEN, "")


@pytest.mark.with_contrib
def test_a_check_that_rests_on_a_collation_is_no_damage_and_comes_back_with_it(walk: Walk, run: Run) -> None:
    made = tables.make_table(run)
    run(
        """
CREATE COLLATION alike (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
ALTER TABLE kid_absences ADD state text COLLATE alike DEFAULT 'Open',
    ADD loud text COLLATE "und-x-icu" DEFAULT 'straße',
    ADD CONSTRAINT stated CHECK (state IN ('open', 'shut')), ADD CONSTRAINT same CHECK (state <> 'closed'),
    ADD CONSTRAINT louder CHECK (upper(loud) = 'STRASSE'), ADD CONSTRAINT soft CHECK (loud <> 'STRASSE')
"""
    )
    archived = walk.archive(made, made.first)
    before = described(run, archived.sql)
    backup = walk.back_up(made, made.first)
    left = {one.what for one in backup.left_out if one.back == "restore"}
    assert left == {"constraint stated", "constraint same", "constraint louder", "owner postgres"}
    proof = walk.verify(backup)
    assert (proof.verdict, proof.reason) == (Verdict.PROVEN, "")
    run(f"DROP TABLE {archived.sql}")
    walk.restore(made, read_kept(walk.storage, backup.id))
    assert described(run, archived.sql) == before
