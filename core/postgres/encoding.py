"""What the encoding of a database means to the console: what it can store, and text whose encoding nobody promised.

A database in SQL_ASCII takes any bytes; names of roles and databases keep the encoding of the database in which they
were made. Every byte is read, and the same bytes are sent back: one that is no UTF-8 becomes a letter of private use,
U+EF80 to U+EFFF, and that letter the byte again.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

from psycopg2 import extensions

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

RAW = ("SQL_ASCII", "MULE_INTERNAL")
"""The encodings of databases that PostgreSQL converts to no other."""
ANY_BYTES = "UNICODE"
"""What the driver is told to read and write so: a name of UTF8's that nothing else has to say any more."""

CODEC = "partition_desk_octets"
"""Python's name of it."""

_FIRST = 0xEF00
_TAKEN = re.compile(rb"(\xee[\xbe\xbf][\x80-\xbf])")
"""The letters of private use themselves, which would come back as another byte."""
_STANDS_FOR_A_BYTE = re.compile("([\uef80-\uefff])")


def _as_letters(data: bytes) -> str:
    return "".join(chr(_FIRST + byte) for byte in data)


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return _as_letters(error.object[error.start : error.end]), error.end


def _decode(data: ReadableBuffer, errors: str = "strict") -> tuple[str, int]:
    found = bytes(data)
    if _TAKEN.search(found) is None:
        return codecs.utf_8_decode(found, CODEC, True)
    parts = enumerate(_TAKEN.split(found))
    text = "".join(_as_letters(part) if number % 2 else part.decode("utf-8", CODEC) for number, part in parts)
    return text, len(found)


def _encode(text: str, errors: str = "strict") -> tuple[bytes, int]:
    parts = enumerate(_STANDS_FOR_A_BYTE.split(text))
    return b"".join(bytes([ord(part) - _FIRST]) if number % 2 else part.encode() for number, part in parts), len(text)


def _find(name: str) -> codecs.CodecInfo | None:
    return codecs.CodecInfo(_encode, _decode, name=CODEC) if name == CODEC else None


codecs.register_error(CODEC, _escape)
codecs.register(_find)
extensions.encodings[ANY_BYTES] = CODEC


_PLAINER = str.maketrans({"\xa0": " ", "\u2013": "-", "\u2014": "-", "\u2018": "'", "\u2019": "'", "\u2026": "..."})


def python_codec(encoding: str) -> str | None:
    """Python's name of an encoding of PostgreSQL's; None where Python has none."""
    if encoding in RAW:
        return CODEC
    known: dict[str, str] = extensions.encodings
    return known.get(encoding) or known.get(encoding.replace("_", ""))


def storable(text: str, encoding: str) -> str:
    """`text` as a database of that encoding can keep it: plainer, and what it lacks written out as \\u20ac."""
    codec = python_codec(encoding) or "ascii"
    if unstorable(text, encoding):
        return text.translate(_PLAINER).encode(codec, "backslashreplace").decode(codec)
    return text


def unstorable(text: str, encoding: str) -> str:
    """The first letter of `text` that a database of that encoding can't keep; empty where it can keep all."""
    try:
        text.encode(python_codec(encoding) or "ascii")
    except UnicodeEncodeError as error:
        return text[error.start]
    return ""
