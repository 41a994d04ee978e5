"""What archive and reattach do with all that hangs below a branch, so that it goes and comes back as one."""

from __future__ import annotations

from collections.abc import Iterator

from core.errors import DetachPending, NotAllowed, Refused
from core.names import ident, qualified
from core.plans.plan import Lock, Mode
from core.tables.archived import Archived
from core.tables.partition import Partition
from core.tables.structure import OwnSequence
from core.tables.table import PartitionedTable
from core.tables.tree import Kind
from core.text import listed, plural, shell_word


def require_movable(table: PartitionedTable, one: Partition | Archived) -> None:
    """Raises Refused for a foreign table, and for a branch of which a part can't come along."""
    if one.kind is Kind.FOREIGN:
        raise Refused(
            f"{table.called(one)} is a foreign table: its rows are on another server, and nothing here takes room.",
            next="Detach or attach it by hand, if its rows are not to be seen through the table.",
        )
    pending = next((each for each in one.members if each.pending), None)
    if pending is not None:
        parent = next((each.sql for each in one.members if each.oid == pending.parent), one.sql)
        raise DetachPending(
            f"The detach of {pending.name}, below {one.name}, was begun and not finished.",
            next=f"Finish it first: ALTER TABLE {parent} DETACH PARTITION {pending.sql} FINALIZE",
        )
    others = [each for each in one.members if not each.owned]
    if others and not table.server.can.superuser:
        raise NotAllowed(
            f"The role {table.server.user} does not own {listed(each.name for each in others)}, below {one.name}.",
            next=f"Give it to the table's owner: ALTER TABLE {others[0].sql} OWNER TO {ident(table.owner)}",
        )


def require_copied(table: PartitionedTable, one: Partition | Archived) -> None:
    """Raises Refused for what is no plain table: a backup holds one, and nothing is dropped without a backup."""
    if one.is_plain:
        return
    if one.kind is Kind.FOREIGN:
        raise Refused(f"{table.called(one)} is a foreign table: its rows are on another server, and are kept there.")
    raise Refused(
        f"{table.called(one)} is partitioned itself: its backup would be of {plural(len(one.members) + 1, 'table')},"
        " which this console does not prove, and so it does not drop them either.",
        next=f"pg_dump (16 or newer) writes it as it is: {dumped(table, one)}",
    )


def dumped(table: PartitionedTable, one: Partition | Archived) -> str:
    """The command that writes a branch with all that hangs below it into a file."""
    database, name = shell_word(table.server.database), shell_word(one.sql)
    file = shell_word(f"{one.name}.dump")
    return f"pg_dump --dbname={database} --table-and-children={name} --format=custom --file={file}"


def moved(one: Partition | Archived, schema: str) -> Iterator[str]:
    """The statements that move it to a schema, and with it what stands beside it and hangs below it."""
    if one.schema == schema:
        return
    for relation in (one.sql, *(each.sql for each in one.beside)):
        yield f"ALTER TABLE {relation} SET SCHEMA {ident(schema)}"


def locks_below(one: Partition | Archived, mode: Mode, *, brief: bool = True) -> tuple[Lock, ...]:
    """The same lock on all that hangs below it."""
    return tuple(Lock(each.sql, mode, brief) for each in one.members)


def locks_moved(one: Partition | Archived, schema: str, mode: Mode, *, brief: bool = True) -> tuple[Lock, ...]:
    """The same once it stands in that schema."""
    beside = {each.oid for each in one.beside}
    return tuple(
        Lock(qualified(schema, each.name) if each.oid in beside else each.sql, mode, brief) for each in one.members
    )


def own_sequences(one: Partition | Archived) -> Iterator[tuple[str, OwnSequence]]:
    """(the table that owns it, quoted and qualified; the sequence), of all that moves."""
    yield from ((one.sql, own) for own in one.sequences)
    yield from ((each.sql, own) for each in one.beside for own in each.sequences)


def told_below(one: Partition | Archived) -> Iterator[str]:
    """What becomes of the tables below it, a sentence each."""
    if not one.members:
        return
    yield f"It goes as one, with {plural(len(one.beside), 'table')} that hang below it."
    staying = [each for each in one.members if each not in one.beside]
    if staying:
        names = listed(f"{each.schema}.{each.name}" for each in staying)
        yield f"{names} stay in their schema, as a part of it."
    if one.tree is not None and one.tree.foreign:
        names = listed(each.name for each in one.tree.foreign)
        yield f"The rows of {names} are on another server, and stay there: the foreign table comes along, unproven."
