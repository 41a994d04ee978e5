"""Asks the server in which order the constants of a key stand, where it alone knows: texts in a collation, enums.

The order is that of the type's usual operators, which are PostgreSQL's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from sqlalchemy import Connection

from core.names import literal, qualified
from core.postgres.session import rows_of
from core.tables.bounds import values_of
from core.tables.key import Key
from core.tables.structure import Check

Texts = Iterable[tuple[int, str]]
"""Constants, each with the number of its part of the key."""


def in_order(connection: Connection, key: Key, texts: Texts) -> Key:
    """The key with the places of these constants among those that it knows, whose places stay as they are."""
    if all(part.ranks is None for part in key.parts):
        return key
    wanted: dict[int, set[str]] = {}
    for part, text in texts:
        wanted.setdefault(part, set()).add(text)
    first, *rest = (_placed(connection, part, wanted.get(number, ())) for number, part in enumerate(key.parts))
    return replace(first, rest=tuple(rest)) if key.rest else first


def of_bounds(texts: Iterable[str | None]) -> Texts:
    """The constants of bounds, as PostgreSQL prints them."""
    return (one for text in texts if text for one in values_of(text))


def of_checks(key: Key, checks: Iterable[Check]) -> Texts:
    """The constants of CHECKs that say a range of the key, or may."""
    return (one for check in checks for one in check.values_on(key))


def _placed(connection: Connection, part: Key, texts: Iterable[str]) -> Key:
    known = part.ranks
    if known is None:
        return part
    asked = sorted({*texts} - known.keys())
    return part.ranked({**known, **_places(_ordered(connection, part, [*known, *asked]), known)}) if asked else part


_PLACES = """
SELECT v.n, pg_catalog.dense_rank() OVER (ORDER BY v.t::{type}{collate}) AS place
FROM (VALUES {rows}) v(n, t) ORDER BY place
"""


def _ordered(connection: Connection, part: Key, texts: Sequence[str]) -> list[list[str]]:
    """The texts in the server's order, those that are alike together."""
    rows = ", ".join(f"({number}, {literal(text)})" for number, text in enumerate(texts))
    named = part.collation or (("pg_catalog", "default") if part.type.is_text else None)
    collate = f" COLLATE {qualified(*named)}" if named else ""
    found = rows_of(connection, _PLACES.format(type=part.cast, collate=collate, rows=rows))
    return [[texts[row.n] for row in alike] for _, alike in groupby(found, key=lambda row: int(row.place))]


def _places(ordered: Sequence[Sequence[str]], known: Mapping[str, float]) -> dict[str, float]:
    """The places of texts in order: those that are known, and the others evenly between their neighbours."""
    fixed = [next((known[text] for text in alike if text in known), None) for alike in ordered]
    found: dict[str, float] = {}
    before, waiting = None, 0
    for number, place in enumerate([*fixed, None]):
        if place is None and number < len(fixed):
            waiting += 1
            continue
        for step in range(waiting):
            if before is None:
                own = float(step) if place is None else place - waiting + step
            else:
                own = before + step + 1 if place is None else before + (place - before) * (step + 1) / (waiting + 1)
            found |= dict.fromkeys(ordered[number - waiting + step], own)
        if place is not None:
            found |= dict.fromkeys(ordered[number], place)
        before, waiting = place, 0
    return found
