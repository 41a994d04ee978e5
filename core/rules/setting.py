"""Set the rules of a table: an operation that runs nothing on the table; its sealed row of the journal is the rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from core.errors import Refused
from core.names import dollar_quoted, literal
from core.period import Duration
from core.plans.operation import Danger, Operation, Sources, table_for
from core.plans.plan import Plan, Step, basis, nothing_to_do
from core.rules.file import TableRules, written
from core.rules.value import Rules
from core.tables.commands import option, twin
from core.tables.table import PartitionedTable

RULES = Operation(
    "rules", "Set the rules of", "setting its rules", Danger.DIALOG, counts_rows=False, told_apart_by="steps"
)


@dataclass(frozen=True, slots=True)
class SetRules:
    """That these are the rules of a table, instead of those of before; with None it has none."""

    operation: ClassVar = RULES
    table: str | PartitionedTable
    rules: Rules | None
    before: Rules | None = None
    """Those that it has, for who confirms it."""
    instead_of: int = 0
    """The operation that set those; 0 where there are none. Where others were set meanwhile, it is refused."""
    cluster: str = ""
    """The server that the table is on: elsewhere its oid may be another table's by chance."""

    def plan(self, desk: Sources) -> Plan:
        """Reads nothing but the table."""
        table = table_for(desk, self.table)
        return plan_rules(table, self.rules, self.before, self.instead_of, desk.zone)


def plan_rules(
    table: PartitionedTable, rules: Rules | None, before: Rules | None = None, instead_of: int = 0, zone: str = "UTC"
) -> Plan:
    """A plan that writes the rules of a table down, or with None that it has none. No steps where they are so already.

    Raises Refused for rules that no key of this kind can keep.
    """
    if rules is not None and rules == Rules():
        rules = None
    command = twin("rules set", table, "", *set_words(rules))
    width = table.width(zone)
    if rules == before:
        why = f"{table.label} has {'just these' if rules else 'no'} rules."
        return nothing_to_do(RULES, table.address, table.label, why, command=command)
    if rules is not None:
        _require_kept(table, rules, zone)
    said = rules.sentence(width) if rules else "no rules: nothing is done by itself"
    was = f"Before: {before.sentence(width)}." if before else "Before, it had none."
    return Plan(
        operation=RULES,
        table=table.address,
        subject=table.label,
        basis=basis(table),
        steps=(Step(f"Write the rules of {table.label} down", (_statement(table, rules, instead_of),)),),
        effects=(f"{table.label}: {said}.", was, "Nothing of the table is changed; partitions maintain keeps to them."),
        way_back=f"Undo: {twin('rules undo', table)}",
        command=command,
        warnings=tuple(_warned(rules)) if rules else (),
        oid=table.oid,
    )


def _statement(table: PartitionedTable, rules: Rules | None, instead_of: int) -> str:
    """The rules in comments, as the file has them, and that nobody set others meanwhile; the row is the rules."""
    lines = written((TableRules(table.address, rules or Rules()),), head="").strip().splitlines()
    said = "\n".join(f"-- {line}" for line in lines)
    changed = literal(f"The rules of {table.label} were set by somebody else meanwhile: look at them as they are now.")
    return f"{said}\nDO {dollar_quoted(_CHECK.format(oid=table.oid, last=instead_of, changed=changed.strip()))}"


_CHECK = """
BEGIN
    IF (SELECT coalesce(max(id), 0) FROM partition_desk.operation
        WHERE kind = 'rules' AND state = 'done' AND plan ->> 'oid' = '{oid}') <> {last} THEN
        RAISE EXCEPTION USING MESSAGE = {changed};
    END IF;
END
"""


def set_words(rules: Rules | None) -> list[str]:
    """The options of `partitions rules set` that say just these rules."""
    if rules is None:
        return ["--none"]
    words = ["--only"]
    for key, value in rules.said().items():
        words.append("--backup" if key == "backup" else option(f"--{key.replace('_', '-')}", str(value)))
    return words


def _require_kept(table: PartitionedTable, rules: Rules, zone: str) -> None:
    """Raises Refused where nothing could ever be done by a rule on this table."""
    key = table.key
    if key is None or key.clock is not None:
        return
    by_time = [name for name, on in (("ahead", rules.ahead is not None), ("every", rules.every)) if on]
    if isinstance(rules.archive_after, Duration):
        by_time.append("archive_after")
    if by_time:
        raise Refused(
            f"The key of {table.label} tells no time, so that {' and '.join(by_time)} can't be kept:"
            f" {table.cut(zone)}.",
            next="Leave that out; archive_after can be a number of partitions or a size.",
        )


def _warned(rules: Rules) -> list[str]:
    """What somebody may not have meant."""
    found = []
    if rules.drop_after is not None and rules.verify_every is None:
        found.append("Nothing proves backups by these rules: a drop waits until somebody has verified its backup.")
    if rules.drop_after is not None and not rules.backup:
        found.append("Nothing is backed up by these rules: a drop waits until somebody has made a backup.")
    return found
