"""Runs what is printed as a remedy as somebody pastes it into psql, and tells what became of everybody else's rows."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg2

from core.doctor.findings import Finding
from core.names import qualified
from tests.tables import Run

_PIECES = re.compile(r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | ; | [^'";-]+ | -""", re.VERBOSE)


class NotSql(Exception):
    """Words, or a statement without its end."""


def statements(script: str) -> Iterator[str]:
    """The statements of a script, as psql cuts it; comments are left out."""
    statement = ""
    for piece in _PIECES.findall(script):
        if piece == ";":
            yield statement.strip()
            statement = ""
        elif not piece.startswith("--"):
            statement += piece
    if statement.strip():
        raise NotSql(statement.strip())


def printed(finding: Finding) -> str:
    """What is printed with a finding for psql; its words, where it has no SQL."""
    return finding.fix.sql if finding.fix else finding.hint


def is_sql(text: str) -> bool:
    """Whether somebody would paste it into psql: all of it is comments and statements with their ends."""
    try:
        return bool(list(statements(text)))
    except NotSql:
        return False


def paste(run: Run, script: str) -> list[str]:
    """Runs the statements one after the other as psql does, which goes on after an error; returns what failed."""
    failed: list[str] = []
    for statement in statements(script):
        try:
            run(statement)
        except psycopg2.Error as error:
            failed.append(str(error).splitlines()[0])
    return failed


_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND n.nspname !~ '^pg_' ORDER BY 1, 2
"""


def rows(run: Run) -> dict[str, list[str]]:
    """Every row of every table, partitions as a part of theirs, by the table's name."""
    return {
        f"{schema}.{name}": [row[0] for row in run(f"SELECT t::text FROM {qualified(schema, name)} t ORDER BY 1")]
        for schema, name in run(_TABLES)
    }


def all_rows(found: dict[str, list[str]], *names: str) -> list[str]:
    """The rows of some tables together."""
    return sorted(row for name in names for row in found.get(name, []))
