"""Quotes identifiers and literals as PostgreSQL reads them, and keeps names within its 63 bytes."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from core.errors import UsageError

MAX_BYTES = 63
"""NAMEDATALEN - 1: PostgreSQL cuts longer identifiers, silently."""

_PLAIN = re.compile(r'[^".]+')
_PART = re.compile(r'"(?:[^"]|"")+"|[^".]+')


def ident(name: str) -> str:
    """`name` in double quotes, always, so that capitals, spaces, percent signs and quotes survive.

    Raises UsageError for what can't be an identifier: empty, over 63 bytes, or with a NUL.
    """
    if not name:
        raise UsageError("An empty name can't be a table or schema.")
    if "\x00" in name:
        raise UsageError("A name can't contain a NUL character.")
    if len(name.encode()) > MAX_BYTES:
        raise UsageError(f"The name {name!r} is {len(name.encode())} bytes long; PostgreSQL keeps {MAX_BYTES}.")
    return '"' + name.replace('"', '""') + '"'


def qualified(schema: str, name: str) -> str:
    """`"schema"."name"`."""
    return f"{ident(schema)}.{ident(name)}"


@lru_cache(maxsize=4096)  # asked once a partition for the table that it is of
def address(schema: str, name: str) -> str:
    """A name that `split_qualified` reads back, quoted only where it has to be."""
    return ".".join(part if _PLAIN.fullmatch(part) else ident(part) for part in (schema, name))


def literal(text: str) -> str:
    """`text` as a string constant that means the same whatever standard_conforming_strings is."""
    if "\x00" in text:
        raise UsageError("A text can't contain a NUL character.")
    quoted = text.replace("'", "''")
    return f" E'{quoted.replace(chr(92), chr(92) * 2)}'" if "\\" in text else f"'{quoted}'"


def dollar_quoted(body: str) -> str:
    """`body` between dollar quotes that do not occur in it."""
    tag = "$desk$"
    while tag in body:
        tag = f"{tag[:-1]}_$"
    return f"{tag}{body}{tag}"


def fit(stem: str, suffix: str) -> str:
    """`stem + suffix` within 63 bytes; a stem that has to be cut gets six hex digits that tell it from its like."""
    whole = stem + suffix
    if len(whole.encode()) <= MAX_BYTES:
        return whole
    digest = "_" + hashlib.sha256(stem.encode()).hexdigest()[:6]
    room = MAX_BYTES - len((digest + suffix).encode())
    return stem.encode()[:room].decode(errors="ignore") + digest + suffix


def split_qualified(text: str) -> tuple[str | None, str]:
    """(schema or None, name) of what a person typed: `name`, `schema.name`, `"Odd.Schema"."Na""me"`.

    Unquoted parts are taken as they stand, capitals included. Raises UsageError.
    """
    parts: list[str] = []
    position = 0
    while True:
        match = _PART.match(text, position)
        if match is None:
            raise UsageError(f"{text!r} is not a table name.", next='Write name, schema.name or "Schema"."Name".')
        part = match.group()
        parts.append(part[1:-1].replace('""', '"') if part.startswith('"') else part)
        position = match.end()
        if position == len(text):
            break
        if text[position] != ".":
            raise UsageError(f"{text!r} is not a table name.", next='Write name, schema.name or "Schema"."Name".')
        position += 1
    if len(parts) > 2:
        raise UsageError(f"{text!r} has more than a schema and a name.", next="Quote parts that contain a dot.")
    for part in parts:
        ident(part)
    return (None, parts[0]) if len(parts) == 1 else (parts[0], parts[1])


def comment_sql(relation: str, comment: str | None) -> str:
    """COMMENT ON TABLE, which takes SHARE UPDATE EXCLUSIVE; None takes the comment away."""
    return f"COMMENT ON TABLE {relation} IS {literal(comment).strip() if comment is not None else 'NULL'}"
