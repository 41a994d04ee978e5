"""Reads bounds from the node tree that the catalog stores, which no lock guards, as pg_get_expr() prints them."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

from core.tables.bounds import Bounds
from core.tables.key import KeyType

EPOCH = date(2000, 1, 1)
"""Day 0 of PostgreSQL's date and timestamp types."""


def stored_end(type_oid: int, raw: bytes) -> str:
    """One end of stored bounds as PostgreSQL prints it, from the bytes of its constant.

    For partitions that are locked: pg_get_expr() would wait. Source: date.c and timestamp.c of PostgreSQL.
    """
    if type_oid == 1082:
        days = int.from_bytes(raw[:4], "little", signed=True)
        if abs(days) == 2**31 - 1 or days == -(2**31):
            return "'infinity'" if days > 0 else "'-infinity'"
        return f"'{(EPOCH + timedelta(days=days)).isoformat()}'"
    micros = int.from_bytes(raw[:8], "little", signed=True)
    if micros in (2**63 - 1, -(2**63)):
        return "'infinity'" if micros > 0 else "'-infinity'"
    moment = datetime.combine(EPOCH, time()) + timedelta(microseconds=micros)
    text = moment.isoformat(sep=" ").rstrip("0") if moment.microsecond else moment.isoformat(sep=" ")
    return f"'{text}{'+00' if type_oid == 1184 else ''}'"


_DATUM = re.compile(
    r"PARTITIONRANGEDATUM :kind (-?\d)(?: :value \{CONST :consttype (\d+) .*?:constvalue \d+ \[([-\d ]+)\])?"
)


def stored_bounds(node: str) -> Bounds | None:
    """The bounds from the stored node tree (relpartbound::text), read without any lock; None where it can't be.

    Source: outfuncs.c of PostgreSQL 14 to 18 on little-endian servers; the tests hold it against pg_get_expr().
    """
    if ":is_default true" in node:
        return Bounds.parse("DEFAULT")
    ends: list[str] = []
    for kind, type_oid, raw in _DATUM.findall(node):
        if kind == "0":
            if not type_oid:
                return None
            try:
                ends.append(stored_end(int(type_oid), bytes(int(b) & 0xFF for b in raw.split())))
            except (OverflowError, ValueError):
                return None
        else:
            ends.append("MINVALUE" if kind == "-1" else "MAXVALUE")
    return Bounds.parse(f"FOR VALUES FROM ({ends[0]}) TO ({ends[1]})") if len(ends) == 2 else None


_KEY_TYPES = {"1082": KeyType.DATE, "1114": KeyType.TIMESTAMP, "1184": KeyType.TIMESTAMPTZ}

_CONST = re.compile(r":consttype (\d+) :consttypmod (-?\d+)")


def stored_key_type(node: str) -> KeyType | None:
    """The type of the key from the stored node tree; None where it is not served, or where both ends are unbounded."""
    found = _CONST.search(node)
    return _KEY_TYPES.get(found[1]) if found and found[2] == "-1" else None
