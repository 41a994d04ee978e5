"""How a table's partitions are named: the pattern that its siblings' names follow, from which the next name is made."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

_LOOKED_AT = 12
"""So many of the newest names tell the pattern."""


def _week(local: datetime) -> str:
    return f"{local.isocalendar().week:02}"


def _week_year(local: datetime) -> str:
    return f"{local.isocalendar().year:04}"


_PARTS: dict[str, tuple[Callable[[datetime], str], int]] = {
    "Y": (lambda local: f"{local:%Y}", 4),
    "G": (_week_year, 4),
    "m": (lambda local: f"{local:%m}", 2),
    "d": (lambda local: f"{local:%d}", 2),
    "H": (lambda local: f"{local:%H}", 2),
    "M": (lambda local: f"{local:%M}", 2),
    "S": (lambda local: f"{local:%S}", 2),
    "V": (_week, 2),
    "j": (lambda local: f"{local:%j}", 3),
    "y": (lambda local: f"{local:%y}", 2),
    "q": (lambda local: str((local.month + 2) // 3), 1),
    "n": (lambda local: str(local.month), 0),
    "s": (lambda local: str(int((local - datetime(1970, 1, 1)).total_seconds())), 10),  # noqa: DTZ001
}
"""(the digits of one part of a date, how many they are; 0 for no fixed number), the usual reading first."""
_SEQUENCES = (
    *("YmdHMS", "YmdHM", "YmdH", "Ymd", "Ym", "Y", "GV", "G", "Yj", "Yq", "YV", "ymd", "ym", "yV", "y"),
    *("mdHMS", "md", "m", "d", "HMS", "HM", "H", "M", "S", "V", "j", "q", "n", "s"),
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_PIECE = re.compile(rf"(\d+)|((?<![a-z])(?:{'|'.join(_MONTHS)})(?![a-z]))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a name: text as it stands, or what is made from the lower or the upper end; a number that counts up."""

    text: str = ""
    parts: str = ""
    """Of a date, as keys of the table of parts; "b" for the name of a month; "#" for a number that counts up."""
    upper: bool = False

    def made(self, lower: datetime, upper: datetime, count: int) -> str:
        """The text for a partition from one local time to another, the count-th after the newest."""
        if self.parts == "#":
            return str(int(self.text) + count).zfill(len(self.text) if self.text.startswith("0") else 0)
        local = upper if self.upper else lower
        if self.parts == "b":
            word = _MONTHS[local.month - 1]
            return word.upper() if self.text.isupper() else word.capitalize() if self.text.istitle() else word
        return "".join(_PARTS[part][0](local) for part in self.parts) if self.parts else self.text


Named = tuple[str, datetime, datetime]
"""A name and the local times that its partition goes from and to."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """What the names of a table's partitions are made by."""

    pieces: tuple[Piece, ...]

    def made(self, lower: datetime, upper: datetime, count: int = 1) -> str:
        """The name of the partition from one local time to another; `count` is its place after the newest."""
        return "".join(piece.made(lower, upper, count) for piece in self.pieces)

    @property
    def counts(self) -> bool:
        """Whether a number in it counts partitions, so that their place has to be known."""
        return any(piece.parts == "#" for piece in self.pieces)

    @property
    def tells_lower(self) -> bool:
        """Whether two partitions of other beginnings have other names by it."""
        return any(piece.parts for piece in self.pieces)


def shape(name: str) -> str:
    """The name with its numbers and its months left open: what names of one pattern have alike."""
    return _PIECE.sub("#", name)


def learnt(siblings: Sequence[Named]) -> Pattern | None:
    """The pattern that the newest names follow; None where they follow none, or one that tells no two apart.

    `siblings` in the order of their lower ends. One name alone tells its pattern where only one reading fits best.
    """
    newest = siblings[-_LOOKED_AT:]
    if not newest:
        return None
    name = newest[-1][0]
    found: tuple[Piece, ...] = ()
    position = 0
    for match in _PIECE.finditer(name):
        before = name[position : match.start()]
        found += ((Piece(before),) if before else ()) + (_piece(newest, match, found),)
        position = match.end()
    if position < len(name):
        found += (Piece(name[position:]),)
    pattern = Pattern(found)
    agreed = [one for one in newest if pattern.made(one[1], one[2], _steps(newest, one)) == one[0]]
    return pattern if pattern.tells_lower and len(agreed) * 2 > len(newest) else None


def _steps(newest: Sequence[Named], one: Named) -> int:
    return list(newest).index(one) - len(newest) + 1


def _piece(newest: Sequence[Named], match: re.Match[str], before: Sequence[Piece]) -> Piece:
    """What the run of digits, or the name of a month, stands for in most of the names; `before` stands before it.

    A month without a year comes again after twelve: where a count says as much of all names, it is a count.
    """
    last = next((piece for piece in reversed(before) if piece.parts not in ("", "#")), Piece())
    text, (_, lower, upper) = match.group(), newest[-1]
    place = len(_PIECE.findall(match.string[: match.start()]))
    beside = [word for number, word in enumerate(_found(match.string)) if number != place]
    read = ((piece, word) for word in beside for piece in _candidates(word))
    comes_again = not any(_tells_year(piece) and piece.made(lower, upper, 0) == word for piece, word in read)
    others = [(found[place], one) for one in newest if len(found := _found(one[0])) > place]
    candidates = [piece for piece in _candidates(text) if piece.made(lower, upper, 0) == text]
    if len(others) == 1:
        candidates = [piece for piece in candidates if piece.parts != "#"]
    candidates.sort(
        key=lambda piece: (
            comes_again and piece.parts != "#" and not _tells_year(piece),
            piece.parts == "#",
            piece.upper != last.upper,
            not _goes_on(piece, last),
        )
    )
    counted = Counter(
        piece
        for piece in candidates
        for other, one in others
        if piece.made(one[1], one[2], _steps(newest, one)) == other
    )
    counted[Piece(text)] = sum(1 for other, _ in others if other == text)
    count = Piece(text, "#")
    candidates.insert(candidates.index(count) if count in candidates else len(candidates), Piece(text))
    best = max(counted.values())
    return next(piece for piece in candidates if counted[piece] == best)


def _tells_year(piece: Piece) -> bool:
    return bool(set(piece.parts) & set("YGys"))


def _goes_on(piece: Piece, last: Piece) -> bool:
    """Whether it is a smaller part of a date than the one before it."""
    order = "YGyjqVnbmdHMS"
    return not last.parts or order.find(piece.parts[:1]) > order.find(last.parts[-1:])


def _found(name: str) -> list[str]:
    return [match.group() for match in _PIECE.finditer(name)]


def _candidates(text: str) -> Iterator[Piece]:
    if not text.isdigit():
        yield Piece(text, "b")
        yield Piece(text, "b", upper=True)
        return
    for upper in (False, True):
        for sequence in _SEQUENCES:
            width = sum(_PARTS[part][1] for part in sequence)
            if width == len(text) or (sequence == "n" and len(text) < 3):
                yield Piece(text, sequence, upper)
    yield Piece(text, "#")
