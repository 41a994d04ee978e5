"""What PostgreSQL ties to a table by its oid, not by its name, and what has it follow the name to another table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tied:
    """A view, a rule, a policy of another table, or a function with a parsed body that reads the table.

    Each is replaced where it stands, so that its owner, its rights, its comment and all that hangs on it stay.
    """

    what: str
    """In PostgreSQL's words: view public.ill."""
    again: str
    """The statement that ties it to what has the table's name by then."""
    relation: str = ""
    """What that locks, quoted and qualified; empty for a function."""
    lock: str = ""
    """Takes this lock, and changes nothing: before the table's, as whoever reads a view takes them."""
    owned: bool = True
    """Whether the connected role may replace it."""
    grouped: bool = False
    """Whether it rests on the primary key or another constraint of the table, as a GROUP BY of the key alone does."""
    only: bool = False
    """Whether it reads FROM ONLY the table, which holds no row itself once it is partitioned."""


def locked_first(tied: Iterable[Tied]) -> tuple[str, ...]:
    """The statements that lock what is replaced later in the same transaction."""
    return tuple(dict.fromkeys(one.lock for one in tied if one.lock))


def unfit(tied: Iterable[Tied]) -> Iterator[str]:
    """Why some of it can't follow."""
    for one in tied:
        if not one.owned:
            yield f"The {one.what} has to be made anew, and belongs to another role, or to a schema that is closed."
        elif one.only:
            yield f"The {one.what} reads ONLY it: of a partitioned table that is no row. Make it without ONLY first."
        elif one.grouped:
            yield (
                f"The {one.what} rests on a constraint of it, as a GROUP BY of the primary key alone does. Name all"
                " columns in its GROUP BY, or drop it first."
            )


def told(tied: tuple[Tied, ...]) -> tuple[str, ...]:
    """What becomes of it, in plain sentences."""
    if not tied:
        return ()
    whats = ", ".join(one.what for one in tied)
    return (
        f"Made anew in the switch, so that all rows are read through it as before, with rights and comments: {whats}.",
    )
