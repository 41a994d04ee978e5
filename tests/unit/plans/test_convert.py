"""What a conversion and its way back make anew, by its SQL, and what stands in the way of both."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.absences import PARTITIONED as TARGET
from core.errors import DetachPending, NotServed, Refused
from core.plans.convertible import (
    Target,
    additions,
    narrowed,
    require_partitionable,
    require_unpartitionable,
    widened,
)
from core.tables.definition import (
    Child,
    Constraint,
    DefinedColumn,
    DefinedIndex,
    Definition,
    Grant,
    IncomingKey,
    Memo,
    OwnedSequence,
    Policy,
    Publication,
    Rights,
    Statistics,
    Trigger,
    remembered_key,
    wanted_unique,
)
from core.tables.rebuild import (
    belongings,
    in_tablespace,
    indexing,
    like,
    owner,
    sequences,
    told,
    with_options,
)

SIMPLE = Definition(
    oid=1,
    schema="public",
    name="kid_absences",
    owner="app",
    user="app",
    partitioned=False,
    columns=(
        DefinedColumn("id", "bigint", not_null=True),
        DefinedColumn("kid_id", "bigint", not_null=True),
        DefinedColumn("date", "date"),
        DefinedColumn("extra", "json"),
        DefinedColumn("twice", "bigint", generated=True),
    ),
    sequences=(OwnedSequence("public", "kid_absences_id_seq", "id", "ALWAYS", "START WITH 1 INCREMENT BY 1"),),
    constraints=(Constraint("kid_absences_pkey", "p", "PRIMARY KEY (id)", ("id",)),),
    indexes=(DefinedIndex("kid_absences_pkey", "USING btree (id)", ("id",), unique=True, constraint=True),),
)
BEFORE = '"public"."kid_absences_before"'
LIKE = (
    f"LIKE {BEFORE} INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING CONSTRAINTS"
    " INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING COMMENTS"
)
WAS = 'partition-desk: {"was": "PRIMARY KEY (id)", "nullable": true}'
ADDED = 'partition-desk: {"was": "", "nullable": false}'


PARTITIONED = replace(
    SIMPLE,
    partitioned=True,
    key="date",
    constraints=(
        Constraint("kid_absences_pkey", "p", "PRIMARY KEY (id, date)", ("id", "date"), comment=WAS),
        Constraint("kid_absences_kid_id_date_key", "u", "UNIQUE (kid_id, date)", ("kid_id", "date"), comment=ADDED),
    ),
    indexes=(
        DefinedIndex("kid_absences_date_idx", "USING btree (date)", ("date",), comment=ADDED),
        DefinedIndex("kid_absences_kid_id_date_key", "", ("kid_id", "date"), unique=True, constraint=True),
        DefinedIndex("kid_absences_pkey", "", ("id", "date"), unique=True, constraint=True),
    ),
    children=(
        Child("public", "kid_absences_2026", "r", reloptions=("fillfactor=80",), extras=("index public.alone",)),
        Child("other", "Rest", "r", reloptions=("fillfactor=80",)),
        Child("public", "kid_absences_2027", "r"),
    ),
)


RICH = Definition(
    oid=1,
    schema="School %",
    name='Ab"sences',
    owner="own er",
    user="postgres",
    partitioned=False,
    columns=(
        DefinedColumn("kid", "integer", statistics=500, attoptions=("pg_attver=1", "n_distinct=-0.1")),
        DefinedColumn("at", "timestamp with time zone", not_null=True, grants=(Grant("", "SELECT", False),)),
    ),
    sequences=(OwnedSequence("School %", "numbers", "kid", ""),),
    constraints=(
        Constraint("one", "u", "UNIQUE (kid, at)", ("kid", "at"), comment="o'ne"),
        Constraint("to_kid", "f", "FOREIGN KEY (kid) REFERENCES public.kids(id)", ("kid",), comment="kid"),
    ),
    indexes=(
        DefinedIndex("by_time", "USING btree (at)", ("at",), comment="time", tablespace="fast"),
        DefinedIndex("one", "", ("kid", "at"), unique=True, constraint=True, clustered=True),
    ),
    incoming=(IncomingKey("back", "public.notes", "FOREIGN KEY (a, b) REFERENCES x(kid, at)", ("kid", "at"), True),),
    triggers=(Trigger("touch", "CREATE TRIGGER touch ...", "D", comment="touches"),),
    policies=(Policy("own", "CREATE POLICY own ...", "own rows"),),
    statistics=(Statistics("public", "st", "own er", "CREATE STATISTICS public.st ...", 300, "both"),),
    publications=(Publication("pub", via_root=True, owned=True, columns=("kid",), condition="(kid > 1)"),),
    rights=Rights(
        (
            Grant("own er", "SELECT", False),
            Grant("reader", "SELECT", False),
            Grant("reader", "INSERT", False),
            Grant("reader", "UPDATE", True),
            Grant("", "SELECT", False),
        ),
        owner_limited=True,
        by_default=("all",),
    ),
    regranted=True,
    row_security=True,
    row_security_forced=True,
    replica_identity="f",
    reloptions=("fillfactor=70", "toast.autovacuum_enabled=false"),
    tablespace="slow",
    comment="all of it",
)


def test_of_a_columns_options_only_those_come_along_that_every_server_has() -> None:
    options = ("pg_attver=1", "n_distinct=5", "n_distinct_inherited=-0.5", "of_another=a=b")
    marked = DefinedColumn("kid", "integer", attoptions=options)
    assert marked.options == ("n_distinct=5", "n_distinct_inherited=-0.5")
    assert marked.odd_options == ("of_another=a=b",)
    plain = DefinedColumn("at", "timestamp with time zone", not_null=True, attoptions=("pg_attver=22158904",))
    definition = replace(RICH, columns=(marked, plain))
    settings = [statement for statement in belongings(definition, ("one", "other")) if " ALTER COLUMN " in statement]
    assert len(settings) == 3
    assert {statement.partition(" SET ")[2] for statement in settings} == {"(n_distinct=5, n_distinct_inherited=-0.5)"}
    assert "The column kid loses options that are not known here: of_another=a=b." in told(definition)


def test_everything_that_hangs_on_the_table_comes_along() -> None:
    table = '"School %"."Ab""sences"'
    children = ('"School %"."Ab""sences_2026"', '"School %"."Ab""sences_2027"')
    assert (like(RICH), in_tablespace(RICH)) == (
        LIKE.replace(BEFORE, '"School %"."Ab""sences_before"'),
        ' TABLESPACE "slow"',
    )
    assert with_options(RICH.options) == " WITH (fillfactor='70', toast.autovacuum_enabled='false')"
    assert (*owner(RICH, table), *sequences(RICH)) == (
        f'ALTER TABLE {table} OWNER TO "own er"',
        f'ALTER SEQUENCE "School %"."numbers" OWNED BY {table}."kid"',
    )
    assert (*indexing(RICH, RICH.of_kind("pu")), *belongings(RICH, children)) == (
        f'ALTER TABLE {table} ADD CONSTRAINT "one" UNIQUE (kid, at)',
        f"COMMENT ON CONSTRAINT \"one\" ON {table} IS 'o''ne'",
        "SET LOCAL default_tablespace = '\"fast\"'",
        f'CREATE INDEX "by_time" ON {table} USING btree (at)',
        "SET LOCAL default_tablespace = ''",
        'COMMENT ON INDEX "School %"."by_time" IS \'time\'',
        f'ALTER TABLE {table} ADD CONSTRAINT "to_kid" FOREIGN KEY (kid) REFERENCES public.kids(id)',
        f"COMMENT ON CONSTRAINT \"to_kid\" ON {table} IS 'kid'",
        'ALTER TABLE public.notes ADD CONSTRAINT "back" FOREIGN KEY (a, b) REFERENCES x(kid, at)',
        f'ALTER TABLE {table} ALTER COLUMN "kid" SET STATISTICS 500',
        f'ALTER TABLE {table} ALTER COLUMN "kid" SET (n_distinct=-0.1)',
        'ALTER TABLE "School %"."Ab""sences_2026" ALTER COLUMN "kid" SET (n_distinct=-0.1)',
        'ALTER TABLE "School %"."Ab""sences_2027" ALTER COLUMN "kid" SET (n_distinct=-0.1)',
        f"ALTER TABLE {table} REPLICA IDENTITY FULL",
        'ALTER TABLE "School %"."Ab""sences_2026" REPLICA IDENTITY FULL',
        'ALTER TABLE "School %"."Ab""sences_2027" REPLICA IDENTITY FULL',
        "CREATE STATISTICS public.st ...",
        'ALTER STATISTICS "public"."st" OWNER TO "own er"',
        'ALTER STATISTICS "public"."st" SET STATISTICS 300',
        'COMMENT ON STATISTICS "public"."st" IS \'both\'',
        "CREATE TRIGGER touch ...",
        f'ALTER TABLE {table} DISABLE TRIGGER "touch"',
        f"COMMENT ON TRIGGER \"touch\" ON {table} IS 'touches'",
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        "CREATE POLICY own ...",
        f"COMMENT ON POLICY \"own\" ON {table} IS 'own rows'",
        f'REVOKE ALL ON TABLE {table} FROM "all", "own er"',
        f'GRANT SELECT ON TABLE {table} TO "own er"',
        f'GRANT SELECT, INSERT ON TABLE {table} TO "reader"',
        f'GRANT UPDATE ON TABLE {table} TO "reader" WITH GRANT OPTION',
        f"GRANT SELECT ON TABLE {table} TO PUBLIC",
        f'GRANT SELECT ("at") ON TABLE {table} TO PUBLIC',
        f"COMMENT ON TABLE {table} IS 'all of it'",
        f'ALTER PUBLICATION "pub" ADD TABLE {table} ("kid") WHERE ((kid > 1))',
    )
    assert tuple(told(RICH)) == (
        "Rights that others than the owner had granted are granted by the owner now.",
        "CLUSTER no longer knows one by itself: a partitioned table keeps no such mark.",
    )


def test_quoted_columns_stay_whole_in_a_wider_key() -> None:
    odd = replace(
        SIMPLE,
        constraints=(Constraint("pk", "p", 'PRIMARY KEY (id, "a) (b") INCLUDE (kid_id)', ("id", "a) (b")),),
    )
    ((wider,), _) = widened(odd, "date")
    assert wider.definition == 'PRIMARY KEY (id, "a) (b", "date") INCLUDE (kid_id)'


@pytest.mark.parametrize(
    ("definition", "error", "words"),
    [
        (PARTITIONED, NotServed, "public.kid_absences is partitioned already."),
        (replace(SIMPLE, dependents=("view public.v",)), Refused, "would stay with the old table: view public.v"),
        (replace(SIMPLE, oddities=("It is odd.",)), Refused, "can't be partitioned as it is. It is odd."),
        (replace(RICH, columns=(DefinedColumn("date", "text"),)), Refused, "its column date is text"),
    ],
)
def test_partition_refuses(definition: Definition, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as raised:
        require_partitionable(definition, TARGET)
    assert words in str(raised.value)


def test_unpartition_refuses() -> None:
    pending = replace(PARTITIONED, children=(Child("public", "a", "r", pending=True),))
    with pytest.raises(DetachPending, match="its rows would be left out"):
        require_unpartitionable(pending)
    with pytest.raises(NotServed, match="partitioned again"):
        require_unpartitionable(replace(PARTITIONED, children=(Child("public", "a", "p"),)))
    with pytest.raises(NotServed, match="nothing to take back"):
        require_unpartitionable(SIMPLE)
    with pytest.raises(NotServed, match="not partitioned by RANGE of one date"):
        require_unpartitionable(replace(PARTITIONED, key=None))


def test_what_partitioning_added_goes_and_a_key_that_is_needed_stays_as_it_is() -> None:
    constraints, indexes, nullable, notes = narrowed(PARTITIONED, 0)
    assert [one.definition for one in constraints] == ["PRIMARY KEY (id)"]
    assert [one.name for one in indexes] == ["kid_absences_kid_id_date_key", "kid_absences_pkey"]
    assert nullable
    assert "The primary key kid_absences_pkey is (id) again." in notes
    constraints, _, _, notes = narrowed(PARTITIONED, 2)
    assert [one.definition for one in constraints] == ["PRIMARY KEY (id, date)"]
    assert "The primary key stays on (id, date): 2 values of (id) stand in more than one row." in notes
    incoming = (IncomingKey("back", "public.notes", "FOREIGN KEY ...", ("kid_id", "date"), True),)
    notes = narrowed(replace(PARTITIONED, incoming=incoming), 0)[3]
    assert "kid_absences_kid_id_date_key stays on (kid_id, date): a foreign key references it." in notes


def test_remembered_key() -> None:
    assert remembered_key(PARTITIONED) == ("id",)
    assert remembered_key(SIMPLE) == ()


def test_wanted_unique() -> None:
    assert wanted_unique(SIMPLE, ("kid_id", "date")) == ("kid_id", "date")
    assert wanted_unique(SIMPLE, ()) == ()
    assert wanted_unique(SIMPLE, ("kid", "date")) == ()
    assert wanted_unique(PARTITIONED, ("kid_id", "date")) == ()


def test_what_the_table_lacks_is_added() -> None:
    names = [(one.name, one.comment) for one in additions(SIMPLE, TARGET)]
    assert names == [("kid_absences_kid_id_date_key", ADDED), ("kid_absences_date_idx", ADDED)]
    assert additions(SIMPLE, Target("date")) == ()


@pytest.mark.parametrize("comment", [None, "one line", "two\nlines"])
def test_memo_keeps_the_users_comment(comment: str | None) -> None:
    memo = Memo("PRIMARY KEY (id)", nullable=True)
    assert Memo.split(memo.beside(comment)) == (comment, memo)
    assert Memo.split(comment) == (comment, None)
    assert Memo.split('partition-desk: {"else": 1}') == ('partition-desk: {"else": 1}', None)
