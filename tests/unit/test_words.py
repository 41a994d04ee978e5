"""The words that people read: one for each thing, as the glossary of CONTRIBUTING has them, and right plurals."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted(file for room in ("core", "dashboard") for file in (ROOT / room).rglob("*.py"))
SYNONYMS = {
    r"child(?:ren)? (?:table|partition)s?": "partition",
    r"sub-?partitions?": "branch",
    r"un-?archiv(?:e|es|ed|ing)": "reattach",
    r"re-?attach(?:ment)s?": "reattach",
    r"purg(?:e|es|ed|ing)": "drop",
    r"delet(?:e|es|ed|ing) (?:the|a|this|its) (?:partition|table)": "drop",
    r"(?:scheduled|pending) drops?": "planned drop",
    r"legal holds?": "hold",
    r"retention (?:period|polic)\w*": "archive after, of the rules",
    r"off-?load\w*": "archive",
    r"cold store": "place of the backups, or in cold storage",
    r"validat(?:e|es|ed|ing) (?:the|a|this|its) backup": "verify",
    r"(?:background )?(?:jobs?|tasks?) (?:is|are|was|were) ": "operation",
    r"catch-?all": "DEFAULT",
    r"default partition": "DEFAULT partition",
}
"""What is not said, by what is said for it; in small letters, as a constant of SQL or an identifier isn't."""
NOT_WORDS = {"core/console/hanging.py"}
"""Where strings are of PostgreSQL's own messages, or of SQL."""
SQL = re.compile(r"\b(?:SELECT|FROM|WHERE|CREATE|ALTER|pg_catalog|pg_class)\b|::")
COUNTED = re.compile(r" (?:rows|partitions|backups|operations|steps|tries|days|checks|tables)\b")


@cache
def trees() -> dict[Path, ast.Module]:
    """Every module, read once."""
    return {file: ast.parse(file.read_text()) for file in SOURCES}


def said(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The strings of a module that may be read by people: no docstring, no SQL, none of one word."""
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            text = node.value
            if " " in text.strip() and not SQL.search(text):
                yield node.lineno, text


def test_one_word_for_each_thing() -> None:
    any_of = re.compile("|".join(rf"\b{synonym}\b" for synonym in SYNONYMS))
    found = [
        f"{file.relative_to(ROOT)}:{line}: {any_of.search(text)[0]!r}"  # type: ignore[index]
        for file in SOURCES
        if str(file.relative_to(ROOT)) not in NOT_WORDS
        for line, text in said(trees()[file])
        if any_of.search(text)
    ]
    assert found == [], SYNONYMS


def uncounted(tree: ast.Module) -> list[str]:
    """The counts in an f-string that are followed by a plural whatever they are."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, text in zip(node.values, node.values[1:], strict=False):
            if isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant):
                plural = COUNTED.match(str(text.value))
                what = ast.unparse(value.value)
                if plural and (what.startswith(("human_rows(", "len(")) or _grouped(value)):
                    found.append(f"{what}{plural[0]}")
    return found


def _grouped(value: ast.FormattedValue) -> bool:
    return value.format_spec is not None and ast.unparse(value.format_spec) == "f','"


SEVERAL = {
    "len(known) partitions",  # more than can be drawn
    "number partitions",  # more than are created at once
    "len(cells) partitions",  # one is named
    "len(run) partitions",  # neighbours taken together
    "place.rows rows",  # "the one row of it"
    "len(damaged) backups",  # one is named
    "len(found) tables",  # that a name may mean
    "len(life.backups) backups",  # one has no list
    "MOST_AT_ONCE partitions",
    "len(whole) days",  # a fault of the program
}
"""Counts that are never one where they are told so, and why."""


def test_a_count_of_one_is_told_as_one() -> None:
    told = {f"{what} in {file.relative_to(ROOT)}" for file in SOURCES for what in uncounted(trees()[file])}
    assert sorted(one for one in told if one.partition(" in ")[0] not in SEVERAL) == []
    assert uncounted(ast.parse("f'{human_rows(x)} rows'")) == ["human_rows(x) rows"]
    assert uncounted(ast.parse("f'{n:,} partitions of it'")) == ["n partitions"]
