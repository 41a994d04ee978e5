"""The fingerprint's SQL, word for word, and how hostile names and messages stand in it."""

from __future__ import annotations

import pytest

from core.errors import UsageError
from core.tables.fingerprint import SETTINGS, dollar_quoted, fingerprint, fingerprint_sql, require_fingerprint_sql


def test_one_select_reads_the_text_of_every_row() -> None:
    assert fingerprint_sql('"archive"."kid_absences_2024"', ["id", 'a "b"']) == (
        "SELECT pg_catalog.count(*) AS rows, coalesce(pg_catalog.sum(pg_catalog.hashtextextended("
        'ROW(t."id", t."a ""b""")::pg_catalog.text COLLATE pg_catalog."C", 0)), 0)::pg_catalog.text AS total'
        ' FROM ONLY "archive"."kid_absences_2024" t'
    )


def test_a_fingerprint_says_how_it_was_computed() -> None:
    assert fingerprint(5, "-12") == "text-1:5:-12"


def test_every_setting_that_changes_a_text_is_pinned() -> None:
    assert SETTINGS == (
        "SET LOCAL search_path = 'pg_catalog'",
        "SET LOCAL DateStyle = 'ISO'",
        "SET LOCAL IntervalStyle = 'postgres'",
        "SET LOCAL TimeZone = 'UTC'",
        "SET LOCAL extra_float_digits = '1'",
        "SET LOCAL bytea_output = 'hex'",
        "SET LOCAL lc_monetary = 'C'",
        "SET LOCAL quote_all_identifiers = 'off'",
        "SET LOCAL row_security = 'off'",
    )


def test_a_required_fingerprint_pins_the_settings_itself() -> None:
    sql = require_fingerprint_sql('"a"."b"', ["id"], "text-1:1:2", "it's \\ changed")
    assert sql.startswith("DO $desk$\nDECLARE\n")
    assert sql.endswith("END\n$desk$")
    assert sql.count("pg_catalog.set_config(") == 2 * len(SETTINGS)  # and those of before afterwards
    assert "<> 'text-1:1:2' THEN" in sql
    assert "ERRCODE = 'PD001', MESSAGE =  E'it''s \\\\ changed'," in sql
    assert ' AS total INTO STRICT found_rows, found_total FROM ONLY "a"."b" t;' in sql


def test_dollar_quotes_that_the_body_has_are_not_used() -> None:
    assert dollar_quoted("x") == "$desk$x$desk$"
    assert dollar_quoted("$desk$") == "$desk_$$desk$$desk_$"
    sql = require_fingerprint_sql('"a"."$desk$ $desk_$"', ["id"], "text-1:1:2", "m")
    assert sql.startswith("DO $desk__$")


def test_a_name_that_is_none() -> None:
    with pytest.raises(UsageError):
        fingerprint_sql('"a"."b"', [""])
