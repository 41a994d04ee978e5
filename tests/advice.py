"""The commands that a text advises: each has to be one that the command line takes as it stands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click

from core.cli.main import COMMANDS, partitions
from core.errors import UsageError

_NAMES = "|".join(name for names in COMMANDS.values() for name in names)
_ADVISED = re.compile(rf"(?<![\w/.])partitions (?=(?:{_NAMES})(?![\w-]))")


def advised(text: str) -> Iterator[tuple[str, ...]]:
    """The words of each command in a text, without the prose around it. AssertionError for one that isn't taken."""
    for match in _ADVISED.finditer(text):
        line = text[match.start() :].partition("\n")[0]
        yield _taken(_words(line)[1:], line)


def _words(line: str) -> list[str]:
    """What a shell makes of a line, up to an apostrophe of the prose after the command."""
    for end in range(len(line), 0, -1):
        try:
            return shlex.split(line[:end])
        except ValueError:
            continue
    return []


def _taken(words: list[str], line: str) -> tuple[str, ...]:
    """As many of the words as are a command."""
    why: Exception | None = None
    for end in range(len(words), 0, -1):
        for last in (words[end - 1], words[end - 1].rstrip(".,;:)")):
            try:
                command = [*words[: end - 1], last]
                _parse(command)
            except (click.UsageError, UsageError) as error:
                why = error
                continue
            beyond = words[end : end + 1]
            assert not beyond or not beyond[0].startswith("--"), f"{line!r} is not taken: {why}"
            return tuple(command)
    raise AssertionError(f"{line!r} is not taken: {why}")


def _parse(words: list[str]) -> None:
    above = click.Context(partitions, **partitions.context_settings)
    command = partitions.get_command(above, words[0])
    if command is None:
        raise click.UsageError(f"there is no command {words[0]}")
    if words[1:] != ["--help"]:
        command.make_context(words[0], words[1:], parent=above)
