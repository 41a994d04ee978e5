"""The commands that texts advise are found in them, and one that would not be taken is."""

from __future__ import annotations

import pytest

from tests.advice import advised


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("First: partitions archive --partition a --table public.e", ["archive --partition a --table public.e"]),
        ("as in: partitions ensure --every '1 month' --table public.e.", ["ensure --every 1 month --table public.e"]),
        ("partitions key --as epoch --table e (epoch and 3 more)", ["key --as epoch --table e"]),
        ("partitions keep --year 2022, or partitions backups --every", ["keep --year 2022", "backups --every"]),
        ("See partitions status --help.", ["status --help"]),
        ("Its partitions are: a, b. It holds 3 partitions and more.", []),
    ],
)  # fmt: skip
def test_commands_are_found_amid_prose(text: str, found: list[str]) -> None:
    assert [" ".join(words) for words in advised(text)] == found


@pytest.mark.parametrize(
    "text",
    ["partitions archive --partitoin a", "partitions archive --table a", "partitions key --as weird --table a"],
)
def test_one_that_is_not_taken_fails(text: str) -> None:
    with pytest.raises(AssertionError, match="is not taken"):
        list(advised(text))
