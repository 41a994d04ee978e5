"""The twins on the command line: what a shell makes of them is what was meant, whatever is in a name."""

from __future__ import annotations

import pytest

from core.tables.commands import backup_twin, option, twin
from tests.tables import shell_words
from tests.unit.factories import table

HOSTILE = (
    "t_2024",
    "a b;c",
    "-x y",
    "--table",
    'q"',
    "it's",
    "$(reboot)",
    "`id`",
    "new\nline",
    "it's\ta \\n\r\nline\x1b[31m\x01",
    "no\N{NO-BREAK SPACE}break\N{RIGHT-TO-LEFT OVERRIDE}2024",
    "ünïcode",
    "*",
    "~",
    "a.b",
    "#",
)


@pytest.mark.parametrize(
    ("schema", "name", "words"),
    [
        ("public", "kid_absences", "--table public.kid_absences"),
        ("north", "kid_absences", "--table north.kid_absences"),
        ("public", "Kid Absences", "--table 'public.Kid Absences'"),
        ("no.rth", 'q"', """--table '"no.rth"."q""\"'"""),
        ("-x", "y", "--table=-x.y"),
    ],
)
def test_the_table_is_always_named(schema: str, name: str, words: str) -> None:
    assert twin("status", table(schema=schema, name=name)) == f"partitions status {words}"


@pytest.mark.parametrize(
    ("name", "words"),
    [("t_2024", "--partition t_2024"), ("a b;c", "--partition 'a b;c'"), ("-x y", "--partition='-x y'")],
)
def test_a_partition(name: str, words: str) -> None:
    assert twin("keep", table(), name) == f"partitions keep {words} --table public.kid_absences"


@pytest.mark.parametrize("value", HOSTILE)
def test_a_shell_gives_the_value_back(value: str) -> None:
    words = shell_words(option("--reason", value))
    assert "".join(words).removeprefix("--reason").removeprefix("=" if value.startswith("-") else "") == value
    assert shell_words(backup_twin("verify", value))[-1] == value
    assert backup_twin("verify", value).isprintable(), "one line, whatever shows it"


def test_an_id_that_looks_like_an_option_stands_behind_two_dashes() -> None:
    assert backup_twin("restore", "-db/t/x", "--no-hold") == "partitions restore --no-hold -- -db/t/x"
    assert backup_twin("restore", "db/t/x") == "partitions restore db/t/x"
