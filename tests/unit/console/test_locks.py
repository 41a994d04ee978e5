"""Blockers in plain words, and queries with their constants hidden."""

from __future__ import annotations

import pytest

from core.console.locks import QUERY_LENGTH, Blocker, redacted


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("SELECT * FROM kids WHERE name = 'Tom O''Hara'", "SELECT * FROM kids WHERE name = ?"),
        ("SELECT 1, 2.5, -3", "SELECT ?, ?, -?"),
        ("SELECT E'it\\'s' || 'x'", "SELECT ? || ?"),
        ("SELECT $$secret$$, $tag$more 'secret'$tag$", "SELECT ?, ?"),
        ("SELECT\n  a1, t2.b3\n\tFROM t2", "SELECT a1, t2.b3 FROM t2"),
        ('SELECT "2024" FROM "t 5"', 'SELECT "2024" FROM "t 5"'),
        ("SELECT 'C:\\' || 'secret'", "SELECT ? || ?"),
        ("SELECT 'a' || 'cut by the serv", "SELECT ? || ?"),
        ("SELECT E'it\\'s cut", "SELECT ?"),
        ("DO $$ cut by the serv", "DO ?"),
        ("SELECT name LIKE'x'", "SELECT name LIKE?"),
        ("UPDATE t SET a = 10 WHERE b = 'x'  AND c=7", "UPDATE t SET a = ? WHERE b = ? AND c=?"),
        ("SELECT $1, $2", "SELECT $1, $2"),
        (
            "VACUUM public.kid_absences_2024 (to prevent wraparound)",
            "VACUUM public.kid_absences_2024 (to prevent wraparound)",
        ),
        ("", ""),
    ],
)
def test_constants_are_hidden(query: str, shown: str) -> None:
    assert redacted(query) == shown


def test_a_long_query_is_cut() -> None:
    shown = redacted("SELECT " + "column_name, " * 50)
    assert len(shown) == QUERY_LENGTH
    assert shown.endswith("…")


def blocker(**changes: object) -> Blocker:
    fields: dict[str, object] = {
        "pid": 7,
        "user": "anna",
        "application": "psql",
        "client": "10.0.0.9",
        "state": "idle in transaction",
        "since": "2026-10-20T09:00:00+00:00",
        "seconds": 61.7,
        "query": "SELECT ?",
        "relation": "kid_absences",
        "kind": "session",
    }
    return Blocker(**{**fields, **changes})  # type: ignore[arg-type]


def test_sentences() -> None:
    assert blocker().sentence() == "session 7 (anna, psql, 10.0.0.9), idle in transaction for 62 s: SELECT ?"
    assert blocker(user="", application="", client="", state="").sentence() == "session 7, running for 62 s: SELECT ?"
    prepared = blocker(pid=None, kind="prepared transaction", application="", client="", state="", query="PREPARE")
    assert prepared.sentence() == "prepared transaction (anna), running for 62 s: PREPARE"


def test_autovacuum() -> None:
    assert blocker(kind="autovacuum").is_autovacuum
    assert blocker(kind="autovacuum to prevent wraparound").is_autovacuum
    assert not blocker().is_autovacuum


def test_json_gives_it_back() -> None:
    one = blocker()
    assert Blocker(**one.as_json()) == one  # type: ignore[arg-type]
