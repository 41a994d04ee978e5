"""Bounds as the catalog stores them, which can be read while somebody holds the partition: no lock is taken for it."""

from __future__ import annotations

import re
from collections.abc import Callable

from core.names import literal
from core.tables.bounds import Bounds
from core.tables.ends import KeyType, time_text
from core.tables.key import Key

_DAY = 86_400_000_000
_INFINITE = {(1 << bits - 1) - 1: "infinity" for bits in (32, 64)} | {
    -(1 << bits - 1): "-infinity" for bits in (32, 64)
}


def _whole(raw: bytes, length: int) -> int:
    return int.from_bytes(raw[:length], "little", signed=True)


def _time(raw: bytes, type_: KeyType) -> str:
    number = _whole(raw, 4 if type_ is KeyType.DATE else 8)
    if number in _INFINITE and (type_ is KeyType.DATE) == (abs(number) <= 2**31):
        return _INFINITE[number]
    return time_text(number * _DAY if type_ is KeyType.DATE else number, type_)


def _uuid(raw: bytes) -> str:
    digits = raw[:16].hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


# By the oids of pg_type.
_TYPES: dict[int, tuple[KeyType, Callable[[bytes], str]]] = {
    1082: (KeyType.DATE, lambda raw: _time(raw, KeyType.DATE)),
    1114: (KeyType.TIMESTAMP, lambda raw: _time(raw, KeyType.TIMESTAMP)),
    1184: (KeyType.TIMESTAMPTZ, lambda raw: _time(raw, KeyType.TIMESTAMPTZ)),
    21: (KeyType.SMALLINT, lambda raw: str(_whole(raw, 2))),
    23: (KeyType.INTEGER, lambda raw: str(_whole(raw, 4))),
    20: (KeyType.BIGINT, lambda raw: str(_whole(raw, 8))),
    2950: (KeyType.UUID, _uuid),
    25: (KeyType.TEXT, lambda raw: raw[4:].decode()),
    1043: (KeyType.VARCHAR, lambda raw: raw[4:].decode()),
    1042: (KeyType.CHAR, lambda raw: raw[4:].decode()),
}


def stored_end(type_oid: int, raw: bytes) -> str:
    """One end of stored bounds as PostgreSQL prints it, from the bytes of its constant. ValueError for other types.

    Source: date.c, timestamp.c and uuid.c of PostgreSQL.
    """
    if type_oid not in _TYPES:
        raise ValueError(f"constants of type {type_oid} are not read")
    type_, read = _TYPES[type_oid]
    text = read(raw)
    return text if type_ is KeyType.INTEGER and not text.startswith("-") else literal(text).strip()


_DATUM = re.compile(
    r"PARTITIONRANGEDATUM :kind (-?\d)(?: :value \{CONST :consttype (\d+) .*?:constvalue \d+ \[([-\d ]+)\])?"
)


def stored_text(node: str) -> str | None:
    """The bounds of a range as PostgreSQL prints them, from the stored node tree (relpartbound::text).

    None where they can't be read. Source: outfuncs.c of PostgreSQL 14 to 18 on little-endian servers; the tests hold it
    against pg_get_expr().
    """
    if ":is_default true" in node:
        return "DEFAULT"
    ends: list[str] = []
    for kind, type_oid, raw in _DATUM.findall(node):
        if kind == "0":
            try:
                ends.append(stored_end(int(type_oid or 0), bytes(int(b) & 0xFF for b in raw.split())))
            except (OverflowError, ValueError):
                return None
        else:
            ends.append("MINVALUE" if kind == "-1" else "MAXVALUE")
    half, odd = divmod(len(ends), 2)
    if odd or not half:
        return None
    return f"FOR VALUES FROM ({', '.join(ends[:half])}) TO ({', '.join(ends[half:])})"


def stored_bounds(node: str, key: Key | None = None) -> Bounds | None:
    """The bounds from the stored node tree, without any lock; None where they can't be read, or are not of the key."""
    text = stored_text(node)
    try:
        return Bounds.parse(text, key) if text is not None else None
    except ValueError:
        return None


_CONST = re.compile(r":consttype (\d+) ")


def stored_key_type(node: str) -> KeyType | None:
    """The type of the key from the stored node tree; None where its order is not known, or both ends are unbounded."""
    found = _CONST.search(node)
    known = _TYPES.get(int(found[1])) if found else None
    return known[0] if known else None
