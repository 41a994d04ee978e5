"""The words that name a table or a partition on a command line, whatever is in their names."""

from __future__ import annotations

import shlex

from core.tables.table import PartitionedTable


def table_option(table: PartitionedTable) -> str:
    """` --table X` for a command line, or nothing for the table that is meant without it."""
    return "" if table.address == "public.kid_absences" else f" --table {shlex.quote(table.address)}"


def partition_option(name: str) -> str:
    """` --partition X` for a command line, whatever is in the name."""
    return f" --partition={shlex.quote(name)}" if name.startswith("-") else f" --partition {shlex.quote(name)}"
