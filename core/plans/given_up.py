"""What a table may give up to become partitioned, where PostgreSQL can't keep it: on somebody's word alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from core.errors import Refused
from core.names import ident
from core.tables.commands import option
from core.tables.definition import Constraint, DefinedIndex, Definition, IncomingKey
from core.text import listed


@dataclass(frozen=True, slots=True)
class GivenUp:
    """What is given up, by what becomes of it."""

    alone: tuple[Constraint | DefinedIndex, ...] = ()
    """Unique and exclusion constraints and unique indexes: they go on within each partition alone."""
    own: tuple[Constraint, ...] = ()
    """Foreign keys of the table to itself, which go."""
    incoming: tuple[IncomingKey, ...] = ()
    """Those of other tables, which go."""


def choice(name: str) -> str:
    """What a refusal adds for what may be given up."""
    return f" Or give it up: partitions convert {option('--without', name)}."


def give_up(definition: Definition, key: str, names: Iterable[str]) -> tuple[Definition, GivenUp]:
    """The definition without what is given up, and that. Raises Refused for a name of nothing that may be.

    And for a foreign key of a table that is somebody else's.
    """
    wanted = set(names)
    unique = [one for one in definition.of_kind("ux") if one.kind == "x" or key not in one.columns]
    indexes = [one for one in definition.indexes if one.unique and not one.constraint and key not in one.columns]
    kept: tuple[Constraint | DefinedIndex, ...] = (*unique, *indexes)
    found = GivenUp(
        tuple(one for one in kept if one.name in wanted),
        tuple(one for one in definition.constraints if one.to_itself and one.name in wanted),
        tuple(one for one in definition.incoming if one.name in wanted),
    )
    alone, own, incoming = ({one.name for one in kind} for kind in (found.alone, found.own, found.incoming))
    unknown = sorted(wanted - alone - own - incoming)
    if unknown:
        raise Refused(
            f"{definition.label} has no {listed(unknown)} that would have to be given up.",
            next="What can't be kept is named, each with its reason, where nothing is given up.",
        )
    foreign = next((fk for fk in found.incoming if not fk.owned), None)
    if foreign is not None:
        raise Refused(
            f"The foreign key {foreign.name} can't be given up: its table {foreign.other} belongs to another role.",
            next="Have that role drop it, or run this as a member of both.",
        )
    left = replace(
        definition,
        constraints=tuple(one for one in definition.constraints if one.name not in alone | own),
        indexes=tuple(one for one in definition.indexes if one.name not in alone),
        incoming=tuple(one for one in definition.incoming if one.name not in incoming),
    )
    return left, found


def told(definition: Definition, given: GivenUp) -> Iterator[str]:
    """What that means, and how what goes is made again on the way back."""
    for one in given.alone:
        what = one.definition if isinstance(one, Constraint) else f"unique index ({', '.join(one.columns)})"
        yield (
            f"{one.name}, {what}, goes on within each partition, as {definition.aside} has it: nothing checks it across"
            " partitions any more."
        )
    pairs = [(definition.sql, one) for one in given.own] + [(fk.other, fk) for fk in given.incoming]
    for other, fk in pairs:
        again = f"ALTER TABLE {other} ADD CONSTRAINT {ident(fk.name)} {fk.definition}"
        yield (
            f"The foreign key {fk.name} of {other} goes: nothing checks it any more, and the way back does not make it"
            f" again. It was: {again}"
        )


def taken_away(definition: Definition, given: GivenUp) -> tuple[str, ...]:
    """The statements that take the foreign keys away."""
    return (
        *(f"ALTER TABLE {fk.other} DROP CONSTRAINT {ident(fk.name)}" for fk in given.incoming),
        *(f"ALTER TABLE {definition.sql} DROP CONSTRAINT {ident(fk.name)}" for fk in given.own),
    )
