"""The command that looks at the record of what was asked, refused and done: audit."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import click

from core.cli.acting import Given, put
from core.cli.options import command
from core.errors import SettingError
from core.plans.operation import NAMES
from core.text import plural, spreadsheet_text

_COLUMNS = (
    *("n", "at", "event", "operation", "actor", "verified", "role", "address", "origin", "reason", "act", "table"),
    *("subject", "result", "error", "sqlstate", "rows_before", "rows_after", "plan", "sql", "hash"),
)
_TOLD = """\
verify looks whether any entry of the record, and any row of the journal, was changed, taken out or put in between;
exit status 1 where one was. export prints the record, a line of JSON for each entry, or with --csv a table for a
spreadsheet, in which nothing is taken for a formula. How to check it without this program: README, The record."""


@command("audit", "check the record of what was asked, refused and done (verify), or print it (export)", epilog=_TOLD)
@click.argument("what", metavar="verify|export", type=click.Choice(("verify", "export")))
@click.option("--csv", "as_csv", is_flag=True, help="export as a table of comma-separated values")
@click.option("--against", metavar="FILE", help="verify against the file of PARTITION_DESK_AUDIT_LOG as well")
def audit(given: Given, *, what: str, as_csv: bool, against: str | None) -> int:
    given.actor.require(NAMES)
    if what == "export":
        _export(given, as_csv=as_csv)
        return 0
    return _verify(given, against)


def _verify(given: Given, against: str | None) -> int:
    from core.console.audit import read_entries
    from core.console.audited import lacking, read_broken
    from core.console.second_place import read_kept

    desk = given.desk
    seal = desk.seal()
    if seal is None:
        raise SettingError(
            "There is no key here with which the record could be checked.",
            next="Set PARTITION_DESK_KEY as the consoles of this database have it, or run it where their key is.",
        )
    number, found = read_broken(desk.reading, seal)
    if against:
        found += tuple(lacking(read_kept(Path(against)), read_entries(desk.reading)))
    if found:
        put("\n".join(found))
        return 1
    put(f"The record holds: {plural(number, 'entry', 'entries')}, each as it was written, and none is lacking.")
    return 0


def _export(given: Given, *, as_csv: bool) -> None:
    from core.console.audit import read_entries

    writer = csv.writer(sys.stdout, lineterminator="\n")
    if as_csv:
        writer.writerow(_COLUMNS)
    for one in read_entries(given.desk.reading):
        row = {**one.said, "n": one.n, "entry": one.entry, "previous": one.previous, "hash": one.hash, "seal": one.seal}
        if as_csv:
            writer.writerow(spreadsheet_text("" if (v := row.get(name)) is None else v) for name in _COLUMNS)
        else:
            sys.stdout.write(json.dumps(row) + "\n")
