"""Identifiers and constants as PostgreSQL reads them."""

from __future__ import annotations

import pytest

from core.errors import UsageError
from core.names import address, fit, ident, literal, qualified, split_qualified


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("kid_absences", '"kid_absences"'),
        ('Kid "A"', '"Kid ""A"""'),
        ("100%s :y", '"100%s :y"'),
        ("отсутствия", '"отсутствия"'),
        ("a.b", '"a.b"'),
        ("a\\b'c", '"a\\b\'c"'),
        ("x" * 63, f'"{"x" * 63}"'),
    ],
)
def test_ident(name: str, quoted: str) -> None:
    assert ident(name) == quoted


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "An empty name can't be a table or schema"),
        ("a\x00b", "can't contain a NUL"),
        ("x" * 64, "is 64 bytes long; PostgreSQL keeps 63"),
        ("д" * 32, "is 64 bytes long"),
    ],
)
def test_what_is_no_identifier(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ident(name)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("it's", "'it''s'"), ("100%", "'100%'"), ("a\\b", " E'a\\\\b'"), ("'\\", " E'''\\\\'"), ("", "''")],
)
def test_literal(text: str, quoted: str) -> None:
    assert literal(text) == quoted


def test_a_constant_holds_no_nul() -> None:
    with pytest.raises(UsageError, match="can't contain a NUL"):
        literal("a\x00")


def test_fit_cuts_the_stem_and_keeps_likes_apart() -> None:
    assert fit("kid_absences", "_2027") == "kid_absences_2027"
    assert fit("a" * 58, "_2027") == "a" * 58 + "_2027"
    one, two = fit("a" * 62 + "b", "_2027"), fit("a" * 62 + "c", "_2027")
    assert one != two
    assert (one[:51], one[-5:], len(one)) == ("a" * 51, "_2027", 63)


def test_fit_never_cuts_a_letter_in_two() -> None:
    name = fit("д" * 31, "_2027")
    assert len(name.encode()) <= 63
    assert name.startswith("д" * 25)
    assert name.endswith("_2027")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("kid_absences", (None, "kid_absences")),
        ("Kid Absences", (None, "Kid Absences")),
        ("north.kid_absences", ("north", "kid_absences")),
        ('"a.b"."c""d"', ("a.b", 'c"d')),
        ('north."c.d"', ("north", "c.d")),
        ("север.дети", ("север", "дети")),
    ],
)
def test_split_qualified(text: str, parts: tuple[str | None, str]) -> None:
    assert split_qualified(text) == parts


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", 'a"b', '"a', '"a"b', "a..b", '""', "a.b.c", "x" * 64])
def test_what_is_no_table_name(text: str) -> None:
    with pytest.raises(UsageError):
        split_qualified(text)


@pytest.mark.parametrize("name", ["plain", "Kid Absences", "a.b", 'c"d', "100%", "孩子"])
@pytest.mark.parametrize("schema", ["public", "no.rth", 'q"'])
def test_an_address_is_read_back(schema: str, name: str) -> None:
    assert split_qualified(address(schema, name)) == (schema, name)


def test_qualified() -> None:
    assert qualified("a b", 'c"') == '"a b"."c"""'
