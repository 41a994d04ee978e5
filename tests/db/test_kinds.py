"""Partitioned tables of every kind that a server takes: each is listed, looked at and asked for its next partition.

The kinds are those of PostgreSQL's own regression tests, in tables made for this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from core.cli.main import main
from core.names import address
from core.tables.catalog.summaries import read_tables
from tests.conftest import OpenSession
from tests.tables import Run

pytestmark = pytest.mark.usefixtures("shared_sessions")

KINDS = """
CREATE TABLE by_int (a int, b text) PARTITION BY RANGE (a);
CREATE TABLE by_int_1 PARTITION OF by_int FOR VALUES FROM (MINVALUE) TO (10);
CREATE TABLE by_int_2 PARTITION OF by_int FOR VALUES FROM (10) TO (MAXVALUE);
CREATE TABLE by_text (a text) PARTITION BY RANGE (a);
CREATE TABLE by_text_1 PARTITION OF by_text FOR VALUES FROM ('a') TO ('m');
CREATE TABLE by_text_2 PARTITION OF by_text FOR VALUES FROM ('x') TO (MAXVALUE);
CREATE TABLE by_c_text (a text COLLATE "C") PARTITION BY RANGE (a COLLATE "POSIX");
CREATE TABLE by_c_text_1 PARTITION OF by_c_text FOR VALUES FROM ('A') TO ('Z''"');
CREATE TABLE by_numeric (a numeric(12, 3)) PARTITION BY RANGE (a);
CREATE TABLE by_numeric_1 PARTITION OF by_numeric FOR VALUES FROM (-1.5) TO (1e6);
CREATE TABLE by_numeric_2 PARTITION OF by_numeric FOR VALUES FROM (1e6) TO ('NaN');
CREATE TABLE by_float (a float8) PARTITION BY RANGE (a);
CREATE TABLE by_float_1 PARTITION OF by_float FOR VALUES FROM ('-Infinity') TO ('Infinity');
CREATE TABLE by_interval (a interval) PARTITION BY RANGE (a);
CREATE TABLE by_interval_1 PARTITION OF by_interval FOR VALUES FROM ('1 day') TO ('1 month');
CREATE TABLE by_bytea (a bytea) PARTITION BY RANGE (a);
CREATE TABLE by_bytea_1 PARTITION OF by_bytea FOR VALUES FROM ('\\x00') TO ('\\xff');
CREATE TABLE by_inet (a inet) PARTITION BY RANGE (a);
CREATE TABLE by_inet_1 PARTITION OF by_inet FOR VALUES FROM ('10.0.0.0') TO ('11.0.0.0');
CREATE TABLE by_oid (a oid) PARTITION BY RANGE (a);
CREATE TABLE by_oid_1 PARTITION OF by_oid FOR VALUES FROM (1) TO (100);
CREATE TYPE mood AS ENUM ('low', 'high', 'top');
CREATE TABLE by_enum (a mood) PARTITION BY RANGE (a);
CREATE TABLE by_enum_1 PARTITION OF by_enum FOR VALUES FROM ('low') TO ('top');
CREATE TYPE pair AS (x int, y int);
CREATE TABLE by_row (a pair) PARTITION BY RANGE (a);
CREATE TABLE by_row_1 PARTITION OF by_row FOR VALUES FROM ('(1,2)') TO ('(3,4)');
CREATE TABLE by_array (a int[]) PARTITION BY RANGE (a);
CREATE TABLE by_array_1 PARTITION OF by_array FOR VALUES FROM ('{1,2}') TO ('{3}');
CREATE TABLE by_daterange (a daterange) PARTITION BY RANGE (a);
CREATE TABLE by_daterange_1 PARTITION OF by_daterange FOR VALUES FROM ('[2025-01-01,2025-02-01)') TO (MAXVALUE);
CREATE TABLE by_time (a time) PARTITION BY RANGE (a);
CREATE TABLE by_time_1 PARTITION OF by_time FOR VALUES FROM ('00:00') TO ('12:00');
CREATE TABLE by_timetz (a timetz) PARTITION BY RANGE (a);
CREATE TABLE by_timetz_1 PARTITION OF by_timetz FOR VALUES FROM ('00:00+00') TO ('12:00+00');
CREATE TABLE by_char (a "char", b bpchar(3)) PARTITION BY RANGE (a);
CREATE TABLE by_char_1 PARTITION OF by_char FOR VALUES FROM ('a') TO ('z');
CREATE TABLE by_name (a name) PARTITION BY RANGE (a);
CREATE TABLE by_name_1 PARTITION OF by_name FOR VALUES FROM ('a') TO ('z');
CREATE TABLE by_money (a money) PARTITION BY RANGE (a);
CREATE TABLE by_money_1 PARTITION OF by_money FOR VALUES FROM ('1') TO ('2');
CREATE TABLE by_bit (a varbit) PARTITION BY RANGE (a);
CREATE TABLE by_bit_1 PARTITION OF by_bit FOR VALUES FROM ('0') TO ('1');

CREATE TABLE by_date (id int, d date NOT NULL) PARTITION BY RANGE (d);
CREATE TABLE by_date_old PARTITION OF by_date FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
CREATE TABLE by_date_2020 PARTITION OF by_date FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE by_date_hole PARTITION OF by_date FOR VALUES FROM ('2021-06-01') TO ('2021-06-02');
CREATE TABLE by_date_far PARTITION OF by_date FOR VALUES FROM ('infinity') TO (MAXVALUE);
CREATE TABLE by_date_rest PARTITION OF by_date DEFAULT;
CREATE TABLE by_bc (d date) PARTITION BY RANGE (d);
CREATE TABLE by_bc_1 PARTITION OF by_bc FOR VALUES FROM ('0044-03-15 BC') TO ('10000-01-01');
CREATE TABLE by_moment (t timestamptz(3) NOT NULL) PARTITION BY RANGE (t);
CREATE TABLE by_moment_1 PARTITION OF by_moment FOR VALUES FROM ('2026-01-01 00:00+13') TO ('2026-02-01 00:00+13');
CREATE TABLE nothing_yet (d date) PARTITION BY RANGE (d);
CREATE TABLE nothing_by_list (a int) PARTITION BY LIST (a);
CREATE TABLE nothing_by_hash (a int) PARTITION BY HASH (a);
CREATE TABLE only_default (d date) PARTITION BY RANGE (d);
CREATE TABLE only_default_1 PARTITION OF only_default DEFAULT;
CREATE TABLE one_value (d date) PARTITION BY RANGE (d);
CREATE TABLE one_value_1 PARTITION OF one_value FOR VALUES FROM (MINVALUE) TO (MAXVALUE);

CREATE TABLE by_several (a int, b text, c date) PARTITION BY RANGE (a, b, c);
CREATE TABLE by_several_1 PARTITION OF by_several FOR VALUES FROM (1, 'a', MINVALUE) TO (1, 'b', '2026-01-01');
CREATE TABLE by_several_2 PARTITION OF by_several FOR VALUES FROM (1, 'b', '2026-01-01') TO (2, MINVALUE, MINVALUE);
CREATE TABLE by_several_3 PARTITION OF by_several
    FOR VALUES FROM (2, MINVALUE, MINVALUE) TO (MAXVALUE, MAXVALUE, MAXVALUE);
CREATE TABLE by_day_and_id (d date, id bigint) PARTITION BY RANGE (d, id);
CREATE TABLE by_day_and_id_1 PARTITION OF by_day_and_id FOR VALUES FROM ('2026-01-01', 0) TO ('2026-02-01', 0);
CREATE TABLE by_expression (t timestamp, a int) PARTITION BY RANGE ((t::date));
CREATE TABLE by_expression_1 PARTITION OF by_expression FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE by_mixed_expression (a int, b text) PARTITION BY RANGE (a, lower(b));
CREATE TABLE by_mixed_expression_1 PARTITION OF by_mixed_expression FOR VALUES FROM (1, 'a') TO (2, 'b');

CREATE TABLE by_list (a text) PARTITION BY LIST (a);
CREATE TABLE by_list_1 PARTITION OF by_list FOR VALUES IN ('x', 'y''s', NULL, 'a, b');
CREATE TABLE by_list_2 PARTITION OF by_list DEFAULT;
CREATE TABLE by_bool (a bool) PARTITION BY LIST (a);
CREATE TABLE by_bool_t PARTITION OF by_bool FOR VALUES IN (true);
CREATE TABLE by_bool_f PARTITION OF by_bool FOR VALUES IN (false, NULL);
CREATE TABLE by_years (a int) PARTITION BY LIST (a);
CREATE TABLE by_years_1 PARTITION OF by_years FOR VALUES IN (2025);
CREATE TABLE by_list_of_rows (a pair) PARTITION BY LIST (a);
CREATE TABLE by_list_of_rows_1 PARTITION OF by_list_of_rows FOR VALUES IN ('(1,2)', '(3,)');
CREATE TABLE by_length (a text) PARTITION BY LIST (length(a));
CREATE TABLE by_length_1 PARTITION OF by_length FOR VALUES IN (1, 2);

CREATE TABLE by_hash (a int, b text) PARTITION BY HASH (a, b);
CREATE TABLE by_hash_1 PARTITION OF by_hash FOR VALUES WITH (MODULUS 4, REMAINDER 0);
CREATE TABLE by_hash_2 PARTITION OF by_hash FOR VALUES WITH (MODULUS 8, REMAINDER 3);
CREATE TABLE by_hash_rows (a pair) PARTITION BY HASH (a);

CREATE TABLE deep (d date, a int, b text) PARTITION BY RANGE (d);
CREATE TABLE deep_2025 PARTITION OF deep FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY LIST (a);
CREATE TABLE deep_2025_1 PARTITION OF deep_2025 FOR VALUES IN (1) PARTITION BY HASH (b);
CREATE TABLE deep_2025_1_h PARTITION OF deep_2025_1 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TABLE deep_2025_rest PARTITION OF deep_2025 DEFAULT;
CREATE TABLE deep_2026 PARTITION OF deep FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY RANGE (a);
CREATE TABLE deep_plain PARTITION OF deep FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
INSERT INTO deep SELECT date '2025-01-01' + n, n % 2, n::text FROM generate_series(0, 300) n;
CREATE TABLE same_key (d date) PARTITION BY RANGE (d);
CREATE TABLE same_key_1 PARTITION OF same_key FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY RANGE (d);
CREATE TABLE same_key_1_1 PARTITION OF same_key_1 FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');
CREATE TABLE list_first (region text, d date) PARTITION BY LIST (region);
CREATE TABLE list_first_eu PARTITION OF list_first FOR VALUES IN ('eu') PARTITION BY RANGE (d);
CREATE TABLE list_first_eu_1 PARTITION OF list_first_eu FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE list_first_us PARTITION OF list_first FOR VALUES IN ('us') PARTITION BY RANGE (d);

CREATE TABLE self_key (d date, id int, up int, PRIMARY KEY (d, id),
    FOREIGN KEY (d, up) REFERENCES self_key (d, id)) PARTITION BY RANGE (d);
CREATE TABLE self_key_1 PARTITION OF self_key FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE referring (d date, id int, FOREIGN KEY (d, id) REFERENCES self_key) PARTITION BY RANGE (d);
CREATE TABLE referring_1 PARTITION OF referring FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE dropped (x int, d date, y int, z text) PARTITION BY RANGE (d);
ALTER TABLE dropped DROP COLUMN x;
CREATE TABLE dropped_1 PARTITION OF dropped FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
ALTER TABLE dropped DROP COLUMN y;
CREATE TABLE other_order (z text, gone int, d date);
ALTER TABLE other_order DROP COLUMN gone;
ALTER TABLE dropped ATTACH PARTITION other_order FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
CREATE TABLE no_columns (d date) PARTITION BY RANGE (d);
CREATE TABLE made_columns (id bigint GENERATED BY DEFAULT AS IDENTITY, d date, y int DEFAULT 3,
    twice int GENERATED ALWAYS AS (y * 2) STORED, CHECK (y > 0)) PARTITION BY RANGE (d);
CREATE TABLE made_columns_1 PARTITION OF made_columns (y DEFAULT 7, CHECK (y < 100))
    FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE made_columns_2 (LIKE made_columns INCLUDING CONSTRAINTS INCLUDING GENERATED);
ALTER TABLE made_columns ATTACH PARTITION made_columns_2 FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
CREATE TYPE shaped AS (d date, v text);
CREATE TABLE typed OF shaped PARTITION BY RANGE (d);
CREATE TABLE typed_1 PARTITION OF typed FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE "Mixed Case" ("The Day" date, "a.b" int) PARTITION BY RANGE ("The Day");
CREATE TABLE "Mixed Case_1" PARTITION OF "Mixed Case" FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE "q""u'o%s;{}" ("d""%(x)s" date) PARTITION BY RANGE ("d""%(x)s");
CREATE TABLE "q""u'o%s;{}1" PARTITION OF "q""u'o%s;{}" FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE "select" ("table" date) PARTITION BY RANGE ("table");
CREATE SCHEMA "Other.Place"; CREATE SCHEMA away;
CREATE TABLE spread (d date) PARTITION BY RANGE (d);
CREATE TABLE away.spread_1 PARTITION OF spread FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE "Other.Place".spread_1 PARTITION OF spread FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE "Other.Place".spread (d date) PARTITION BY RANGE (d);
CREATE TABLE lost (d date, v text) PARTITION BY RANGE (d);
CREATE UNLOGGED TABLE lost_1 PARTITION OF lost FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere;
CREATE TABLE partly_foreign (d date, v text) PARTITION BY RANGE (d);
CREATE FOREIGN TABLE partly_foreign_1 PARTITION OF partly_foreign FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')
    SERVER elsewhere;
CREATE TABLE partly_foreign_2 PARTITION OF partly_foreign FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE indexed (d date, a int, t text, UNIQUE (d, a)) PARTITION BY RANGE (d);
CREATE TABLE indexed_1 PARTITION OF indexed FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX ON ONLY indexed (t); CREATE INDEX ON indexed (lower(t)) WHERE a > 1;
CREATE INDEX ON indexed USING hash (a); CREATE INDEX ON indexed (d DESC NULLS LAST) INCLUDE (a);
CREATE TABLE guarded (d date, a int) PARTITION BY RANGE (d);
CREATE TABLE guarded_1 PARTITION OF guarded FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; CREATE POLICY positive ON guarded USING (a > 0);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER each_row AFTER INSERT ON guarded FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER each_statement AFTER INSERT ON guarded FOR EACH STATEMENT EXECUTE FUNCTION note();
ALTER TABLE guarded_1 DISABLE TRIGGER each_row;
CREATE TABLE old_way (d date); CREATE TABLE old_way_1 (CHECK (d < '2026-01-01')) INHERITS (old_way);
CREATE MATERIALIZED VIEW seen AS TABLE by_date; CREATE VIEW looked_at AS TABLE deep;
INSERT INTO by_date SELECT n, date '2020-01-01' + n FROM generate_series(0, 900) n;
INSERT INTO lost SELECT date '2026-01-01' + n, repeat('x', 3000) || n FROM generate_series(0, 90) n;
INSERT INTO list_first SELECT 'eu', date '2026-01-01' + n FROM generate_series(0, 30) n;
ANALYZE by_date, lost;
"""
_PARTITIONED = """
SELECT n.nspname, c.relname,
    (SELECT coalesce(sum(pg_total_relation_size(t.relid)), 0) FROM pg_partition_tree(c.oid) t
        WHERE t.isleaf AND t.relid <> c.oid)::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'p' AND c.relpersistence <> 't' ORDER BY 1, 2
"""
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(
    run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs a command on a database of all kinds; returns its status and what it printed."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.delenv("PARTITION_DESK_TABLE", raising=False)
    for statement in KINDS.split(";\n"):
        if statement.strip():
            run(statement)

    def run_command(*words: str) -> tuple[int, str]:
        status = main(list(words))
        out, err = capsys.readouterr()
        return status, out + err

    return run_command


@pytest.mark.thorough
@pytest.mark.every_version
def test_every_kind_is_looked_at_and_its_sizes_are_those_of_its_leaves(command: Command, run: Run) -> None:
    wrong: list[str] = []
    for schema, name, size in run(_PARTITIONED):
        table = ("--table", address(schema, name))
        status, said = command("status", "--json", *table)
        told = sum(one["total_bytes"] or 0 for one in json.loads(said)["partitions"]) if status == 0 else said
        if told != size:
            wrong.append(f"{name} takes {size}, and not {told}")
        for words in (("status",), ("doctor",)):
            status, said = command(*words, *table)
            if status != 0 or "(text=" in said:
                wrong.append(f"{words[0]} of {name}: {said}")
        status, said = command("ensure", "--dry-run", *table)
        if status != 0 and (status != 1 or "nothing was changed." not in said.lower()):
            wrong.append(f"ensure of {name}: {said}")
    assert wrong == []


@pytest.mark.every_version
def test_a_database_of_every_kind_is_listed_measured_and_sampled(
    command: Command, run: Run, reader: Engine, session: OpenSession
) -> None:
    brief = session()
    brief.run("CREATE TEMP TABLE brief (d date) PARTITION BY RANGE (d)")
    brief.run("CREATE TEMP TABLE brief_1 PARTITION OF brief DEFAULT")
    roots = run(
        "SELECT n.nspname, c.relname, (SELECT count(*) FROM pg_inherits WHERE inhparent = c.oid) FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'p' AND NOT c.relispartition"
        " AND c.relpersistence <> 't' ORDER BY 1, 2"
    )
    listed = read_tables(reader)
    assert sorted((one.schema, one.name, one.partitions) for one in listed if not one.under) == sorted(roots)
    status, said = command("metrics")
    assert (status, "partition_desk_up 1" in said) == (0, True)
    for table in {one.address for one in listed} - {one.under for one in listed}:
        label = table.replace("\\", "\\\\").replace('"', '\\"')
        assert f'partition_desk_partitions{{table="{label}",state="attached"}}' in said
    sizes = re.findall(r'^partition_desk_bytes\{.*state="attached"\} (\S+)', said, re.MULTILINE)
    leaves = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relispartition AND relpersistence <> 't'"
    assert [(sum(int(float(size)) for size in sizes),)] == run(f"{leaves} AND relkind = 'r'")
    first, again = (json.loads(command("sample", "--json")[1]) for _ in range(2))
    assert (again["partitions"], again["skipped"]) == (first["partitions"], [])
    for words in (("growth", "--all"), ("growth", "--all", "--json")):
        assert command(*words)[0] == 0
