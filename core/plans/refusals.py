"""What stands in the way of any operation on a table, whatever it is."""

from __future__ import annotations

from core.errors import DetachPending, NotAllowed, NotServed, ReadOnlyServer
from core.postgres.server import Server
from core.tables.commands import option, twin
from core.tables.key import Key
from core.tables.table import PartitionedTable


def require_served(table: PartitionedTable) -> Key:
    """The table's key, where the console may act on the table; raises what stands in the way."""
    if table.not_served is not None or table.key is None:
        branches = table.branch_tables
        raise NotServed(
            f"{table.label} is only shown here: {table.not_served}.",
            next=f"Its branches are tables of their own: {option('--table', branches[0])}"
            f"{f', and {len(branches) - 1:,} more' if branches[1:] else ''}"
            if branches
            else "",
        )
    require_writable(table.server)
    if not table.owned:
        raise NotAllowed(
            f"The role {table.server.user} does not own {table.label}; its owner is {table.owner}.",
            next=f"Connect as {table.owner}"
            + ("" if table.owner_is_superuser else f", or grant the role {table.owner} to {table.server.user}")
            + ": PostgreSQL lets nobody else attach or detach partitions.",
        )
    return table.key


def require_writable(server: Server) -> None:
    """Raises ReadOnlyServer for a standby, and where a setting lets nothing be written, which no other server helps."""
    if server.in_recovery:
        raise ReadOnlyServer("This server is a standby.", next="Connect to the primary server.")
    if server.read_only:
        raise ReadOnlyServer(
            "Nothing can be written here: default_transaction_read_only is on.",
            next="Set it off where it is set: for this role, this database or the server.",
        )


def require_nothing_pending(table: PartitionedTable) -> None:
    """Raises DetachPending: until it is finished no other DDL is run on that parent."""
    if table.pending is not None:
        raise DetachPending(
            f"The detach of {table.pending.name} was begun and not finished.",
            next=f"Finish it first: {twin('archive', table, table.called(table.pending))}",
        )
