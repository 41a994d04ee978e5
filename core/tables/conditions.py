"""A range of the key as a condition: made in the words of PostgreSQL's own partition constraints, and read from CHECKs.

ATTACH reads no row where a CHECK says what the partition constraint does; this is how the server builds that one
(get_qual_for_range() in partbounds.c), so that a CHECK of ours always does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from core.names import ident, literal
from core.tables.key import Key

CONSTANT = r"(?:MINVALUE|MAXVALUE|NULL|true|false|-?\d+(?:\.\d+)?|'(?:[^'\0]|'')*')"
"""One constant of bounds as PostgreSQL prints it."""
WORDS = ("MINVALUE", "MAXVALUE", "NULL", "true", "false")
"""Those that are no values."""


def anywhere(above: str) -> str:
    """Of conditions joined by AND those that another server can look at as well: none that names a table by its oid."""
    return " AND ".join(one for one in split(above) if "satisfies_hash_partition(" not in one)


def split(conditions: str) -> tuple[str, ...]:
    """Conditions joined by AND, one by one."""
    found, begin, depth, quoted = [], 0, 0, ""
    for place, letter in enumerate(conditions):
        if quoted or letter in "'\"":
            quoted = "" if letter == quoted else quoted or letter
        depth += 0 if quoted else (letter == "(") - (letter == ")")
        if not depth and not quoted and conditions.startswith(" AND ", place):
            found.append(conditions[begin:place])
            begin = place + len(" AND ")
    return tuple(one for one in (*found, conditions[begin:]) if one)


def bare(constant: str) -> str:
    """A constant without its quotes."""
    return constant[1:-1].replace("''", "'") if constant.startswith("'") else constant


@dataclass(frozen=True, slots=True)
class Term:
    """What is said of one part of the key."""

    part: int
    operator: str
    constant: str = ""
    """As PostgreSQL prints it; empty for IS NULL and IS NOT NULL."""

    def printed(self, key: Key) -> str:
        """As SQL, the constant quoted anew and of the type of its part."""
        part = key.parts[self.part]
        if not self.constant:
            return f"{replace(part, collation=None).sql} {self.operator}"
        return f"{part.sql} {self.operator} {literal(bare(self.constant)).strip()}::{part.cast}"


@dataclass(frozen=True, slots=True)
class Joined:
    """Several conditions, all of which hold (AND), or one at least (OR)."""

    word: str
    terms: tuple[Condition, ...]

    def printed(self, key: Key) -> str:
        """As SQL, without brackets around it."""
        return f" {self.word} ".join(
            f"({one.printed(key)})" if isinstance(one, Joined) else one.printed(key) for one in self.terms
        )


Condition = Term | Joined

_NOT = {">=": "<", "<": ">=", ">": "<=", "<=": ">", "=": "<>", "IS NULL": "IS NOT NULL", "IS NOT NULL": "IS NULL"}


def of_range(key: Key, lower: Sequence[str], upper: Sequence[str]) -> Joined:
    """That the key lies between ends, each a constant a part, as the server's own constraint says it."""
    terms: list[Condition] = [Term(part, "IS NOT NULL") for part in range(len(key.parts))]
    first = 0
    while first < len(lower) - 1 and lower[first] == upper[first] and lower[first] not in WORDS:
        terms.append(Term(first, "=", lower[first]))
        first += 1
    for ends, strict, final, beyond in ((lower, ">", ">=", "MINVALUE"), (upper, "<", "<", "MAXVALUE")):
        arms = tuple(_arms(ends, first, strict, final, beyond))
        terms += [_joined("OR", arms)] if arms else []
    return Joined("AND", tuple(terms))


def _arms(ends: Sequence[str], first: int, strict: str, final: str, beyond: str) -> Iterator[Condition]:
    """Beyond this end in the first part; or alike in it, and beyond in the next; and so on."""
    for last in range(first, len(ends)):
        if ends[last] in WORDS:
            return
        following = ends[last + 1] if last + 1 < len(ends) else None
        operator = f"{strict}=" if following == beyond else final if following is None else strict
        alike = tuple(Term(part, "=", ends[part]) for part in range(first, last))
        yield _joined("AND", (*alike, Term(last, operator, ends[last])))


def _joined(word: str, terms: tuple[Condition, ...]) -> Condition:
    return terms[0] if len(terms) == 1 else Joined(word, terms)


def negated(condition: Condition) -> Condition:
    """What holds where the condition does not; nothing of it is NULL where an IS NULL of the key stands beside it."""
    if isinstance(condition, Joined):
        return Joined("OR" if condition.word == "AND" else "AND", tuple(negated(one) for one in condition.terms))
    return Term(condition.part, _NOT[condition.operator], condition.constant)


def alike(key: Key, one: Condition, other: Condition) -> bool:
    """Whether two conditions say the same, whatever the order of what they join, and the words of their constants."""
    try:
        return _said(key, one) == _said(key, other)
    except ValueError:
        return False


def _said(key: Key, condition: Condition) -> tuple[str, int | frozenset[object], object]:
    if isinstance(condition, Term):
        value = key.parts[condition.part].value(bare(condition.constant)) if condition.constant else None
        return condition.operator, condition.part, value
    found: set[object] = set()
    for one in condition.terms:
        inner = _said(key, one)
        if inner[0] == condition.word and isinstance(inner[1], frozenset):
            found |= inner[1]
        else:
            found.add(inner)
    return condition.word, frozenset(found), None


def without_nulls(condition: Joined) -> Condition:
    """The same without what says that there are values, as people write it."""
    return _joined("AND", tuple(one for one in condition.terms if not isinstance(one, Term) or one.constant))


def ends_of(condition: Condition) -> tuple[str, str] | None:
    """The constants between which the first part lies, MINVALUE and MAXVALUE among them; None where more is said."""
    if isinstance(condition, Joined) and condition.word == "OR":
        return None
    terms = condition.terms if isinstance(condition, Joined) else (condition,)
    found = {">=": "MINVALUE", "<": "MAXVALUE"}
    for one in terms:
        if isinstance(one, Joined):
            inner = ends_of(one)
            if inner is None:
                return None
            found = {
                operator: end if end not in WORDS else found[operator]
                for operator, end in zip((">=", "<"), inner, strict=True)
            }
        elif one.operator in found and not one.part:
            found[one.operator] = one.constant
        elif one.operator != "IS NOT NULL":
            return None
    return found[">="], found["<"]


def values(condition: Condition) -> tuple[tuple[int, str], ...]:
    """(the number of a part of the key, a constant that it is compared with, without quotes)."""
    if isinstance(condition, Joined):
        return tuple(one for term in condition.terms for one in values(term))
    return ((condition.part, bare(condition.constant)),) if condition.constant else ()


def read(key: Key, expression: str) -> Condition | None:
    """What the expression of a CHECK, as PostgreSQL prints it, says of the key; None where it says anything else."""
    if not all(part.column or part.expression for part in key.parts):
        return None  # an expression that was not printed
    try:
        return _Reader(key, expression).whole()
    except (ValueError, RecursionError):
        return None


_TYPE = (
    r"(?:\w+|\"[^\"]+\")(?:\.\w+|\.\"[^\"]+\")?(?:\(\d+(?:,-?\d+)?\))?"
    r"(?: (?!AND |OR |COLLATE )[a-z ]+(?:\(\d+\))?)?"
)


_COLLATION = r"(?:\w+\.|\"[^\"]+\"\.)?(?:\w+|\"[^\"]+\")"
_VALUE = re.compile(CONSTANT, re.ASCII)
_MANNER = re.compile(rf"::(?P<type>{_TYPE})| COLLATE {_COLLATION}", re.ASCII)
T = TypeVar("T")


class _Reader:
    """Reads the text of a CHECK on a key, from left to right. Raises ValueError at what it does not know."""

    def __init__(self, key: Key, text: str) -> None:
        self._text, self._place, self._key = text, 0, key
        self._operands = [_operand(part) for part in key.parts]

    def whole(self) -> Condition:
        found = self._either()
        if self._place < len(self._text):
            raise ValueError(self._text[self._place :])
        return found

    def _either(self) -> Condition:
        return self._several("OR", self._both)

    def _both(self) -> Condition:
        return self._several("AND", self._one)

    def _several(self, word: str, inner: Callable[[], Condition]) -> Condition:
        found = [inner()]
        while self._text.startswith(f" {word} ", self._place):
            self._place += len(word) + 2
            found.append(inner())
        return _joined(word, tuple(found))

    def _one(self) -> Condition:
        for number, operand in enumerate(self._operands):
            match = operand.match(self._text, self._place)
            if match is not None:
                self._place = match.end()
                part = self._key.parts[number]
                self._require_alike(part, match["as"])
                return Term(number, match["null"] or match["operator"], "" if match["null"] else self._constant(part))
        return self._bracketed(self._either)

    def _constant(self, part: Key) -> str:
        """A constant with whatever casts and collations PostgreSQL prints around it."""
        match = _VALUE.match(self._text, self._place)
        if match is not None:
            self._place = match.end()
            found = match.group()
        else:
            found = self._bracketed(lambda: self._constant(part))
        while (match := _MANNER.match(self._text, self._place)) is not None:
            self._place = match.end()
            self._require_alike(part, match["type"])
        return found

    def _bracketed(self, inner: Callable[[], T]) -> T:
        self._pass("(")
        found = inner()
        self._pass(")")
        return found

    def _pass(self, letter: str) -> None:
        if not self._text.startswith(letter, self._place):
            raise ValueError(self._text[self._place :])
        self._place += 1

    def _require_alike(self, part: Key, cast: str | None) -> None:
        """Raises ValueError for a cast to a type whose values are in another order."""
        if not part.is_compared_as(cast):
            raise ValueError(cast)


def _operand(part: Key) -> re.Pattern[str]:
    """One condition on a part of the key: a cast stands beside a domain, a length beside a varying text."""
    own = re.escape(ident(part.column) if part.column else part.expression)
    if re.fullmatch(r"[a-z_][a-z0-9_$]*", part.column):  # in quotes only where that is a word of SQL
        own = f"(?:{own}|{re.escape(part.column)})"
    return re.compile(
        rf"\s*(?:{own}|\({own}\)::(?P<as>{_TYPE})|\({own} COLLATE {_COLLATION}\))"
        r" (?:(?P<null>IS NOT NULL|IS NULL)|(?P<operator>>=|<=|<|>|=) )",
        re.ASCII,
    )
