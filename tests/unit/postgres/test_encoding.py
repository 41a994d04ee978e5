"""Bytes that are no UTF-8 are read as letters, and sent as the same bytes."""

from __future__ import annotations

import pytest

from core.postgres.encoding import CODEC


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain", "plain"),
        ("é € 日 😀".encode(), "é € 日 😀"),
        (b"caf\xe9", "caf\uefe9"),
        (b"\xc3", "\uefc3"),
        (b"\x80\xff", "\uef80\uefff"),
        ("\uef85".encode(), "\uefee\uefbe\uef85"),  # the letter itself, which would come back as another byte
        ("\uef7f\uf000".encode(), "\uef7f\uf000"),
        (bytes(range(256)), None),
    ],
)
def test_every_byte_comes_back(data: bytes, text: str | None) -> None:
    read = data.decode(CODEC)
    assert read.encode(CODEC) == data
    assert text is None or read == text
    assert read.encode().decode() == read  # what JSON, a terminal and a page take
