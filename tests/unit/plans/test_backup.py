"""Plans of backups, proofs and restores, word for word, and every reason for which one is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.console.register import named
from core.errors import BackupUnusable, NameTaken, NotAllowed, NotServed, PartitionNotFound, Refused
from core.plans.backup import BACKUP, plan_backup, require_backed_up
from core.plans.manifest import BackupColumn, LeftOut, Needed
from core.plans.plan import Lock, Mode, Plan
from core.plans.proof import Kept
from core.plans.restore import RESTORE, plan_restore
from core.plans.script import after_rows, before_rows, make_if_missing
from core.plans.verify import VERIFY, plan_verify
from core.postgres.capabilities import Capabilities
from core.tables.fingerprint import require_fingerprint_sql
from core.tables.marks import Hold
from core.tables.tree import Kind
from tests.unit import factories
from tests.unit.cold_factories import RELATION, backup, proof, surroundings

MOOD = Needed("type", "my types", "mood", "CREATE TYPE \"my types\".\"mood\" AS ENUM ('ok', 'bad')", ("ok", "bad"))


def test_the_plan_of_a_backup() -> None:
    table = factories.table(archived=(factories.archived(2024),))
    plan = plan_backup(table, "kid_absences_2024", id="a/b/c", place_label="s3://bucket/x", tool="pg_dump 18.4")
    (step,) = plan.steps
    assert step.statements == (
        'pg_dump --dbname=school --table=\'"archive"."kid_absences_2024"\' | zstd -3 > s3://bucket/x/a/b/c.sql.zst',
    )
    assert (step.locks, step.transactional) == (
        (Lock('"archive"."kid_absences_2024"', Mode.ACCESS_SHARE, False),),
        False,
    )
    assert (plan.operation, plan.table, plan.backup) == (BACKUP, "public.kid_absences", "a/b/c")
    assert plan.command == "partitions backup --partition kid_absences_2024 --table public.kid_absences"
    assert plan.effects[0].startswith("pg_dump 18.4 reads 40,000 rows of archive.kid_absences_2024 as of one moment")
    assert Plan.from_json(plan.to_json(), named) == plan


@pytest.mark.parametrize(
    ("changes", "name", "error", "said"),
    [
        ({"not_served": "it is partitioned by list"}, "kid_absences_2025", NotServed, "by list"),
        ({}, "kid_absences_1999", PartitionNotFound, "There are: kid_absences_2025"),
        (
            {"partitions": (factories.partition(2025, kind=Kind.FOREIGN),)},
            "kid_absences_2025",
            Refused,
            "is a foreign table: its rows",
        ),
        ({"partitions": (factories.partition(2025, bounds=None),)}, "kid_absences_2025", Refused, "are not known"),
        ({"partitions": (factories.default_partition(),)}, "kid_absences_default", Refused, "the DEFAULT partition"),
    ],
)
def test_what_is_not_backed_up(changes: dict[str, Any], name: str, error: type[Refused], said: str) -> None:
    with pytest.raises(error, match=said):
        require_backed_up(factories.table(**changes), name)


def test_the_plan_of_a_verification() -> None:
    plan = plan_verify(backup(), "/var/backups/")
    assert plan.steps[0].statements == (
        f"sha256sum /var/backups/a/b/c.sql.zst  # {'ab' * 32}",
        "zstd -dc /var/backups/a/b/c.sql.zst | psql -v ON_ERROR_STOP=1 throwaway",
    )
    assert not plan.steps[0].transactional
    assert (plan.operation, plan.backup, plan.command) == (VERIFY, "a/b/c", "partitions verify a/b/c")


def test_the_text_of_an_object() -> None:
    text = before_rows(backup())
    assert text.startswith("-- Partition Desk backup, format 1: a/b/c\n-- It restores alone: ")
    assert "\nSET client_encoding = 'UTF8';\n" in text
    assert text.endswith(
        '    "reason" text\n);\nCOPY "archive"."kid_absences_2024" ("id", "kid_id", "date", "reason") FROM stdin;\n'
    )
    after = after_rows(backup())
    assert after.startswith(f'\\.\nALTER TABLE {RELATION} ADD CONSTRAINT "kid_absences_2024_date_check"')
    assert f"COMMENT ON TABLE {RELATION} IS " in after
    generated = BackupColumn("twice", "bigint", False, "s", "")
    assert '"reason") FROM stdin;\n' in before_rows(backup(columns=(*backup().columns, generated)))


def test_types_are_made_where_they_are_missing() -> None:
    schema, do = make_if_missing(MOOD)
    assert schema == 'CREATE SCHEMA IF NOT EXISTS "my types"'
    assert do == (
        'DO $desk$\nBEGIN\n  IF pg_catalog.to_regtype(\'"my types"."mood"\') IS NULL THEN\n'
        f"    {MOOD.sql};\n  END IF;\nEND\n$desk$"
    )


def restored(**options: Any) -> Plan:
    kept = options.pop("kept", Kept(backup(), (proof(),)))
    table = options.pop("table", factories.table())
    return plan_restore(table, kept, **{"there": surroundings(), **options})


def test_the_plan_of_a_restore() -> None:
    hold = Hold("2027-01-18", "restored for an audit", "Ada")
    plan = restored(hold=hold, place_label="s3://bucket")
    (step,) = plan.steps
    statements = [one for one in step.statements if not one.startswith("SET LOCAL ")]
    changed = 'The rows of "archive"."kid_absences_2024" are not those of the backup a/b/c.'
    assert statements == [
        f'CREATE TABLE {RELATION} (\n    "id" bigint NOT NULL,\n    "kid_id" bigint NOT NULL,\n'
        '    "date" date NOT NULL,\n    "reason" text\n)',
        f'COPY {RELATION} ("id", "kid_id", "date", "reason") FROM STDIN WITH (ENCODING \'UTF8\')',
        f'ALTER TABLE {RELATION} ADD CONSTRAINT "kid_absences_2024_date_check" CHECK ((date IS NOT NULL))',
        f'ALTER TABLE {RELATION} ADD CONSTRAINT "kid_absences_2024_key" UNIQUE (kid_id, date)',
        f'CREATE INDEX "kid_absences_2024_date_idx" ON {RELATION} USING btree (date)',
        require_fingerprint_sql(RELATION, ["id", "kid_id", "date", "reason"], "text-1:20:7", changed),
        f"COMMENT ON TABLE {RELATION} IS"
        ' E\'partition-desk: {"parent": "\\\\"public\\\\".\\\\"kid_absences\\\\"", "schema": "public", "bounds":'
        " \"FOR VALUES FROM (''2024-01-01'') TO (''2025-01-01'')\", \"archived_at\":"
        ' "2026-01-05T08:00:00+00:00", "made_check": true, "key": "date", "oid": 1}\n'
        'partition-desk hold: {"until": "2027-01-18", "reason": "restored for an audit", "by": "Ada"}\'',
    ]
    assert step.transactional
    assert (plan.warnings, plan.backup, plan.operation) == ((), "a/b/c", RESTORE)
    assert plan.effects[-1] == "It is held until 2027-01-18: restored for an audit"


@pytest.mark.parametrize(
    ("made", "here", "same"),
    [
        ('DOMAIN "public"."d" AS int', ' CONSTRAINT "c" CHECK ((VALUE > 0))', True),  # the server refuses what doesn't
        ('DOMAIN "public"."d" AS int', " DEFAULT 3", False),
        ('DOMAIN "public"."d" AS int CONSTRAINT "c" CHECK ((VALUE > 0))', "x", False),
        ('TYPE "public"."d" AS (a int', ", b int)", False),
        ('TYPE "public"."d" AS RANGE (SUBTYPE = text', ', COLLATION = pg_catalog."und-x-icu"', True),  # as of before
        ('TYPE "public"."d" AS RANGE (SUBTYPE = text, COLLATION = pg_catalog."C"', "", True),
        ('TYPE "public"."d" AS RANGE (SUBTYPE = text', ", COLLATION = public.own", False),
    ],
)
def test_a_type_of_the_name_serves_where_its_values_mean_the_same(made: str, here: str, same: bool) -> None:
    need = Needed("type", "public", "d", f"CREATE {made}")
    there = surroundings(types={'"public"."d"': replace(need, sql=f"{need.sql}{here}")})
    if same:
        assert restored(kept=Kept(backup(needs=(need,))), there=there).steps
        return
    with pytest.raises(BackupUnusable):
        restored(kept=Kept(backup(needs=(need,))), there=there)


def test_what_is_missing_is_made_first() -> None:
    there = surroundings(archive=factories.archive_schema(exists=False), schemas=frozenset({"public"}))
    plan = restored(kept=Kept(backup(needs=(MOOD,))), there=there)
    statements = [one for one in plan.steps[0].statements if not one.startswith("SET LOCAL ")]
    assert statements[:4] == [
        'CREATE SCHEMA "archive"',
        'REVOKE ALL ON SCHEMA "archive" FROM PUBLIC',
        'CREATE SCHEMA "my types"',
        MOOD.sql,
    ]
    assert plan.warnings == (
        "This backup has no good proof: it was never restored and compared.",
        'It is made along with what it needs: "my types"."mood".',
    )


@pytest.mark.parametrize(
    ("there", "changes", "said"),
    [
        ({"encoding": "LATIN1"}, {}, "Its texts are in UTF8, the database's in LATIN1"),
        ({"server": factories.server(in_recovery=True)}, {}, "takes no changes"),
        (
            {"types": {'"my types"."mood"': replace(MOOD, sql="", labels=("ok",))}},
            {"needs": (MOOD,)},
            'The type "my types"."mood" here lacks bad',
        ),
        (
            {"types": {'"my types"."mood"': replace(MOOD, sql="", labels=MOOD.labels[::-1])}},
            {"needs": (MOOD,)},
            'The type "my types"."mood" here is not the backup\'s',
        ),
        (
            {"types": {'"my types"."mood"': None}},
            {"needs": (MOOD,)},
            "here it is one that is not made by SQL",
        ),
        (
            {},
            {"needs": (Needed("extension", "public", "citext", 'CREATE EXTENSION IF NOT EXISTS "citext"'),)},
            "needs the extension citext",
        ),
        (
            {"server": factories.server(can=Capabilities(named_not_null=False))},
            {"columns": (*backup().columns, BackupColumn("v", "int", False, "v", ""))},
            "virtual generated column",
        ),
        (
            {"server": factories.server(can=Capabilities(named_not_null=False))},
            {"afterwards": (f'ALTER TABLE {RELATION} ADD CONSTRAINT "n" NOT NULL reason NOT VALID',)},
            "a NOT NULL that was not validated",
        ),
    ],
)
def test_what_can_not_be_restored_here(there: dict[str, Any], changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BackupUnusable, match=said):
        restored(kept=Kept(backup(**changes)), there=surroundings(**there))


@pytest.mark.parametrize("taken", ["kid_absences_2024", "kid_absences_2024_date_idx", "kid_absences_2024_key"])
def test_a_name_that_is_taken(taken: str) -> None:
    with pytest.raises(NameTaken, match=f"archive already holds {taken};"):
        restored(there=surroundings(archive=factories.archive_schema(taken=frozenset({taken, "other"}))))


@pytest.mark.parametrize(
    ("archive", "server", "said"),
    [
        ({"may_create": False}, {}, "may not create tables in the schema archive"),
        ({"exists": False}, {"may_create_schema": False}, "archive does not exist and the role app may not create it"),
    ],
)
def test_rights_that_are_missing(archive: dict[str, Any], server: dict[str, Any], said: str) -> None:
    there = surroundings(archive=factories.archive_schema(**archive), server=factories.server(**server))
    with pytest.raises(NotAllowed, match=said):
        restored(there=there)


def test_what_was_left_out_is_put_back_where_it_can_be() -> None:
    default = f"ALTER TABLE {RELATION} ALTER COLUMN \"id\" SET DEFAULT nextval('public.s'::regclass)"
    grant = f'GRANT SELECT ON TABLE {RELATION} TO "anna"'
    key = f'ALTER TABLE {RELATION} ADD CONSTRAINT "fk" FOREIGN KEY (kid_id) REFERENCES public.kids(id)'
    left = (
        LeftOut("default of id", default, ("regclass public.s",), "columns"),
        LeftOut("foreign key fk to public.kids", key, ("regclass public.kids",), "reattach"),
        LeftOut("trigger t", "CREATE TRIGGER ..."),
        LeftOut("owner boss", f'ALTER TABLE {RELATION} OWNER TO "boss"', ("role boss",), "restore"),
        LeftOut("rights", grant, ("role anna",), "restore"),
    )
    kept = Kept(backup(left_out=left, owner="boss"), (proof(),))
    everything = frozenset({"regclass public.s", "regclass public.kids", "role boss", "role anna"})
    plan = restored(kept=kept, there=surroundings(present=everything, may_own=frozenset({"app", "boss"})))
    statements = list(plan.steps[0].statements)
    assert statements.index(default) < next(n for n, one in enumerate(statements) if one.startswith("COPY "))
    assert statements[-2:] == [f'ALTER TABLE {RELATION} OWNER TO "boss"', grant]
    assert not any("FOREIGN KEY" in one for one in statements)
    assert plan.warnings == ("Not put back by itself, its SQL is in the manifest: trigger t.",)

    plan = restored(kept=kept, there=surroundings(present=frozenset({"role boss"})))
    assert plan.warnings == (
        "Not put back, because there is no relation public.s here: default of id.",
        "Not put back, because the role app may not give tables to it: owner boss.",
        "Not put back, because there is no role anna here: rights.",
        "Not put back by itself, its SQL is in the manifest: trigger t.",
    )


def test_without_its_parent_and_with_other_columns() -> None:
    assert restored(table=None).warnings == (
        "The table public.kid_absences is not in this database; there is nothing to reattach to.",
    )
    columns = (*factories.COLUMNS[:2], replace(factories.COLUMNS[2], type="timestamp without time zone"))
    table = factories.table(columns=columns, partitions=(factories.partition(2024),))
    assert restored(table=table).warnings == (
        "It can't be reattached as it is: its column date is date, the table's is timestamp without time zone;"
        " it has a column reason that the table lacks. Reattach says what to run, once it is there.",
        "kid_absences_2024 holds a part of its range; it can't be reattached beside it.",
    )


def test_in_another_archive_schema() -> None:
    there = surroundings(archive=factories.archive_schema(name='the "cold"'))
    left = LeftOut("index i", f'CREATE INDEX "i" ON {RELATION} USING btree (f(id))', (), "restore")
    plan = restored(kept=Kept(backup(left_out=(left,))), there=there)
    text = "\n".join(plan.steps[0].statements)
    assert RELATION not in text
    assert 'CREATE INDEX "i" ON "the ""cold"""."kid_absences_2024" USING btree (f(id))' in text
