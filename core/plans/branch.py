"""What archive and reattach do with all that hangs below a branch, so that it goes and comes back as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from core.errors import DetachPending, NameTaken, NotAllowed, Refused
from core.names import ident, qualified
from core.plans.plan import Lock, Mode
from core.tables.archived import Archived
from core.tables.partition import Partition
from core.tables.structure import OwnSequence
from core.tables.table import PartitionedTable
from core.tables.tree import Kind, Member
from core.text import listed, plural, shell_word, to_run


def require_movable(table: PartitionedTable, one: Partition | Archived) -> None:
    """Raises Refused for a foreign table, and for a branch of which a part can't come along."""
    if one.kind is Kind.FOREIGN:
        raise Refused(
            f"{table.called(one)} is a foreign table: its rows are on another server, and nothing here takes room.",
            next="Detach or attach it by hand, if its rows are not to be seen through the table.",
        )
    _require_nothing_pending_below(one)
    others = [each for each in one.members if not each.owned]
    if others and not table.server.can.superuser:
        raise NotAllowed(
            f"The role {table.server.user} does not own {listed(each.name for each in others)}, below {one.name}.",
            next="Run as an administrator, to give them to the table's owner: "
            + to_run(*(f"ALTER TABLE {each.sql} OWNER TO {ident(table.owner)}" for each in others)),
        )


def require_copied(table: PartitionedTable, one: Partition | Archived) -> None:
    """Raises Refused for what no backup holds whole, and DetachPending; nothing is dropped without a backup."""
    if one.kind is Kind.FOREIGN:
        raise Refused(f"{table.called(one)} is a foreign table: its rows are on another server, and are kept there.")
    _require_nothing_pending_below(one)
    foreign = one.tree.foreign if one.tree is not None else ()
    if foreign:
        are = "is a foreign table" if len(foreign) == 1 else "are foreign tables"
        parent = next((each.sql for each in one.members if each.oid == foreign[0].parent), one.sql)
        raise Refused(
            f"{listed(each.name for each in foreign)}, below {table.called(one)}, {are}: the rows are on another"
            " server, and a backup of the others would not be one of the whole.",
            next=f"Take it out first, if its rows are kept there and nobody reads them through {parent};"
            f" pg_dump (16 or newer) writes the rest as it is: {dumped(table, one)}",
        )
    require_names_apart(one)


def below_of(one: Partition | Archived) -> set[tuple[str, ...]]:
    """How it is cut, and all that hangs below it: where, by which name and bounds, and how cut itself."""
    parents = {one.oid: one.name, **{each.oid: each.name for each in one.members}}
    below = ((parents[each.parent], each.name, each.bounds, each.split) for each in one.members)
    return {("", one.name, one.tree.split if one.tree is not None else ""), *below}


def _require_nothing_pending_below(one: Partition | Archived) -> None:
    pending = next((each for each in one.members if each.pending), None)
    if pending is not None:
        parent = next((each.sql for each in one.members if each.oid == pending.parent), one.sql)
        raise DetachPending(
            f"The detach of {pending.name}, below {one.name}, was begun and not finished.",
            next=f"Finish it first: {to_run(f'ALTER TABLE {parent} DETACH PARTITION {pending.sql} FINALIZE')}",
        )


def dumped(table: PartitionedTable, one: Partition | Archived) -> str:
    """The command that writes a branch with all that hangs below it into a file."""
    database, name = shell_word(table.server.database), shell_word(one.sql)
    file = shell_word(f"{one.name}.dump")
    return f"pg_dump --dbname={database} --table-and-children={name} --format=custom --file={file}"


def moved_away(one: Partition | Archived, schema: str) -> Iterator[str]:
    """The statements that move it to the archive schema with all that hangs below it."""
    for each in (one, *one.members):
        if each.schema != schema:
            yield f"ALTER TABLE {each.sql} SET SCHEMA {ident(schema)}"


def homeward(archived: Archived, home: str) -> Iterator[tuple[Archived | Member, str]]:
    """It and what goes with it back to the table, each with the schema that it stood in, as far as there is one.

    What is there already is left out.
    """
    theirs = dict(archived.tag.below) if archived.tag is not None else {}
    going: tuple[Archived | Member, ...] = (archived, *archived.beside)
    for each in going:
        wanted = theirs.get(each.name, home) if each is not archived else home
        schema = wanted if wanted in archived.homes_below else home
        if each.schema != schema:
            yield each, schema


def moved_home(archived: Archived, home: str) -> Iterator[str]:
    """The statements that move it back with what goes with it."""
    for each, schema in homeward(archived, home):
        yield f"ALTER TABLE {each.sql} SET SCHEMA {ident(schema)}"


def homes_below(partition: Partition) -> tuple[tuple[str, str], ...]:
    """(name, schema) of each table below it that stands in another schema."""
    return tuple((each.name, each.schema) for each in partition.members if each.schema != partition.schema)


def require_names_apart(one: Partition | Archived) -> None:
    """Raises NameTaken where two of its tables or indexes, of several schemas, have one name."""
    names = Counter((*one.own_names, *(name for each in one.members for name in each.names)))
    twice = sorted(name for name, number in names.items() if number > 1)
    if twice:
        raise NameTaken(
            f"Of {one.name} and what hangs below it two are called {listed(twice)}, in several schemas: they can't"
            " stand in one.",
            next="Rename one of them first.",
        )


def locks_below(one: Partition | Archived, mode: Mode, *, brief: bool = True) -> tuple[Lock, ...]:
    """The same lock on all that hangs below it."""
    return tuple(Lock(each.sql, mode, brief) for each in one.members)


def locks_moved(one: Partition | Archived, schema: str, mode: Mode, *, brief: bool = True) -> tuple[Lock, ...]:
    """The same once it was moved to that schema."""
    goes = one.schema != schema
    return tuple(Lock(qualified(schema, each.name) if goes else each.sql, mode, brief) for each in one.members)


def own_sequences(one: Partition | Archived) -> Iterator[tuple[str, OwnSequence]]:
    """(the table that owns it, quoted and qualified; the sequence), of all that moves."""
    yield from ((one.sql, own) for own in one.sequences)
    yield from ((each.sql, own) for each in one.beside for own in each.sequences)


def told_below(one: Partition | Archived) -> Iterator[str]:
    """What becomes of the tables below it, a sentence each."""
    if not one.members:
        return
    yield f"It goes as one, with {plural(len(one.members), 'table')} that hang below it."
    others = [each for each in one.members if each.schema != one.schema]
    if others and isinstance(one, Partition):
        names = listed(f"{each.schema}.{each.name}" for each in others)
        yield f"{names} of another schema go with it, and come back to theirs."
    elif others:
        names = listed(f"{each.schema}.{each.name}" for each in others)
        yield f"{names} stay in their schema, as a part of it."
    if one.tree is not None and one.tree.foreign:
        names = listed(each.name for each in one.tree.foreign)
        yield f"The rows of {names} are on another server, and stay there: the foreign table comes along, unproven."
