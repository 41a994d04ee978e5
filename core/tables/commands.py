"""The twin of an act on the command line: pasted into a shell it does the same to the same object."""

from __future__ import annotations

from core.tables.table import PartitionedTable
from core.text import shell_word


def option(name: str, value: str) -> str:
    """`--name value`; in one word where the value could be taken for an option."""
    return f"{name}={shell_word(value)}" if value.startswith("-") else f"{name} {shell_word(value)}"


def twin(verb: str, table: PartitionedTable, partition: str = "", *words: str) -> str:
    """`partitions VERB --partition P WORDS --table T`; the table is always named, as settings may name another."""
    named = [option("--partition", partition)] if partition else []
    return " ".join(["partitions", verb, *named, *words, option("--table", table.address)])


def backup_twin(verb: str, backup: str, *words: str) -> str:
    """`partitions VERB WORDS BACKUP`, for what is done with a backup by its id."""
    return " ".join(["partitions", verb, *words, *(["--"] if backup.startswith("-") else []), shell_word(backup)])
