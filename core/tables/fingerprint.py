"""One line that tells the rows of a table from any others: their number, and a sum of hashes that no order changes.

What is hashed is the text of the whole row, so that values swapped between two rows, 1.0 for 1.00 or '1 mon' for
'30 days' all show, and so that every type is covered. The text is the same on every server under `SETTINGS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.names import dollar_quoted, ident, literal
from core.postgres.connection import MISMATCH
from core.postgres.session import ROW_TEXT

KIND = "text-1"
"""How the fingerprints of this module begin; another way of computing gets another kind."""

ROWS_A_SECOND = 3_000_000
"""How many rows a server reads for a fingerprint in a second, roughly; for telling people how long it takes."""

SETTINGS: tuple[str, ...] = tuple(f"SET LOCAL {name} = {literal(value)}" for name, value in ROW_TEXT.items())
"""The statements for one transaction under which the text of a row is the same everywhere."""


def fingerprint_sql(relation: str, columns: Sequence[str], *, also: Sequence[str] = (), into: str = "") -> str:
    """One SELECT that gives (rows, total, and the total of the columns `also`); `relation` is quoted and qualified.

    Reads every row, about 3 million a second. Run it under `SETTINGS`. `into` is for PL/pgSQL.
    """
    totals = f"{_total(columns)} AS total" + (f", {_total(also)} AS also" if also else "")
    return f"SELECT pg_catalog.count(*) AS rows, {totals}{into} FROM ONLY {relation} t"


def _total(columns: Sequence[str]) -> str:
    row = ", ".join(f"t.{ident(column)}" for column in columns)
    text = f'ROW({row})::pg_catalog.text COLLATE pg_catalog."C"'
    return f"coalesce(pg_catalog.sum(pg_catalog.hashtextextended({text}, 0)), 0)::pg_catalog.text"


def fingerprint(rows: int, total: str) -> str:
    """The fingerprint of what `fingerprint_sql` gave: "text-1:<rows>:<sum>"."""
    return f"{KIND}:{rows}:{total}"


def together(fingerprints: Iterable[str]) -> str:
    """The fingerprint of all the rows of several tables; ValueError for one that is computed otherwise."""
    every = tuple(fingerprints)
    if len(every) == 1:
        return every[0]
    parts = [one.split(":") for one in every]
    if any(len(one) != 3 or one[0] != KIND for one in parts):
        raise ValueError("not of one kind")
    return fingerprint(sum(int(rows) for _, rows, _ in parts), str(sum(int(total) for *_, total in parts)))


def require_fingerprint_sql(relation: str, columns: Sequence[str], expected: str, message: str) -> str:
    """A DO block that raises `message` with SQLSTATE PD001 unless the table's fingerprint is `expected`.

    The settings are pinned for its own time alone. The error's detail tells the fingerprint that was found.
    """
    keep, pinned, put_back = _pinned(ROW_TEXT)
    body = f"""
DECLARE
{keep}
  found_rows bigint;
  found_total text;
BEGIN
{pinned}
  {fingerprint_sql(relation, columns, into=" INTO STRICT found_rows, found_total")};
  IF pg_catalog.concat({literal(KIND + ":")}, found_rows, ':', found_total) <> {literal(expected)} THEN
    RAISE EXCEPTION USING ERRCODE = '{MISMATCH}', MESSAGE = {literal(message)},
      DETAIL = pg_catalog.concat({literal(KIND + ":")}, found_rows, ':', found_total);
  END IF;
{put_back}
END
"""
    return f"DO {dollar_quoted(body)}"


def require_same_sql(
    relation: str, columns: Sequence[tuple[str, str]], said: Sequence[str], unsaid: Sequence[str], message: str
) -> str:
    """A DO block that raises `message` with SQLSTATE PD001 unless the table is still the one that was looked at.

    That is: it has exactly `columns`, (name, type) in their order, and its comment holds each text of `said` and none
    of `unsaid`. To be run under a lock that lets nobody change either.
    """
    wanted = ", ".join(f"{literal(name)} || ' ' || {literal(kind)}" for name, kind in columns)
    comment = f"coalesce(pg_catalog.obj_description({literal(relation)}::pg_catalog.regclass, 'pg_class'), '')"
    differs = [
        f"pg_catalog.strpos({comment}, {literal(text)}) {'=' if text in said else '>'} 0" for text in (*said, *unsaid)
    ]
    keep, pinned, put_back = _pinned({"search_path": "pg_catalog"})
    body = f"""
DECLARE
{keep}
BEGIN
{pinned}
  IF (SELECT pg_catalog.array_agg(a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum)
      FROM pg_catalog.pg_attribute a WHERE a.attrelid = {literal(relation)}::pg_catalog.regclass
        AND a.attnum > 0 AND NOT a.attisdropped) IS DISTINCT FROM ARRAY[{wanted}]::text[]
{"".join(f"      OR {one}{chr(10)}" for one in differs)}  THEN
    RAISE EXCEPTION USING ERRCODE = '{MISMATCH}', MESSAGE = {literal(message)};
  END IF;
{put_back}
END
"""
    return f"DO {dollar_quoted(body)}"


@dataclass(frozen=True, slots=True)
class Below:
    """One table below another, as it is expected."""

    parent: str
    name: str
    bounds: str
    split: str
    """How it is partitioned itself; empty for a leaf."""
    columns: tuple[tuple[str, str], ...]
    """(name, type) in their order."""

    @property
    def said(self) -> str:
        """All of it as the server is asked to put it together."""
        columns = ", ".join(f"{name} {kind}" for name, kind in self.columns)
        return f"{self.parent} > {self.name} {self.bounds} [{self.split}] ({columns})"


def require_below_sql(relation: str, below: Sequence[Below], message: str) -> str:
    """A DO block that raises `message` with SQLSTATE PD001 unless exactly `below` hangs below a partitioned table.

    To be run under a lock on all of it.
    """
    wanted = ", ".join(literal(one.said) for one in below)
    keep, pinned, put_back = _pinned(
        {"search_path": "pg_catalog", "DateStyle": "ISO, MDY", "IntervalStyle": "postgres", "TimeZone": "UTC"}
    )
    body = f"""
DECLARE
{keep}
  wanted CONSTANT text[] := ARRAY[{wanted}]::text[];
  found text[];
BEGIN
{pinned}
  SELECT pg_catalog.array_agg(pg_catalog.format('%s > %s %s [%s] (%s)', p.relname, c.relname,
      pg_catalog.pg_get_expr(c.relpartbound, 0),
      CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END,
      (SELECT pg_catalog.string_agg(pg_catalog.format('%s %s', a.attname,
          pg_catalog.format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
        WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped)))
    INTO found
    FROM pg_catalog.pg_partition_tree({literal(relation)}::pg_catalog.regclass) t
    JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.relid
    JOIN pg_catalog.pg_class p ON p.oid OPERATOR(pg_catalog.=) t.parentrelid
    WHERE t.level OPERATOR(pg_catalog.>) 0;
  IF NOT (coalesce(found, ARRAY[]::text[]) OPERATOR(pg_catalog.@>) wanted
      AND wanted OPERATOR(pg_catalog.@>) coalesce(found, ARRAY[]::text[])
      AND coalesce(pg_catalog.cardinality(found), 0) OPERATOR(pg_catalog.=) {len(below)}) THEN
    RAISE EXCEPTION USING ERRCODE = '{MISMATCH}', MESSAGE = {literal(message)};
  END IF;
{put_back}
END
"""
    return f"DO {dollar_quoted(body)}"


def _pinned(settings: Mapping[str, str]) -> tuple[str, str, str]:
    """What keeps the settings of before, sets these, and puts those of before back, in PL/pgSQL."""
    kept = ", ".join(f"pg_catalog.current_setting({literal(name)})" for name in settings)
    sets = "\n".join(
        f"  PERFORM pg_catalog.set_config({literal(name)}, {literal(value)}, true);" for name, value in settings.items()
    )
    back = "\n".join(
        f"  PERFORM pg_catalog.set_config({literal(name)}, of_before[{number}], true);"
        for number, name in enumerate(settings, 1)
    )
    return f"  of_before CONSTANT text[] := ARRAY[{kept}];", sets, back
