"""The roles of the server: what the console's may beyond need, and who else may change what it rests on."""

from __future__ import annotations

from collections.abc import Iterator

from core.doctor.findings import Case, Finding, Severity
from core.postgres.publications import OWN_SCHEMA
from core.text import listed

_OWN = "The server is the one that comes with the console"
_LESS = "To have roles that may what is needed and no more, an administrator runs what this prints: partitions grants"


def powers(case: Case) -> Iterator[Finding]:
    """NOTE where a connected role may more than the console needs; the embedded server's own is as it has to be."""
    found = case.powers
    if found is None:
        yield Finding("powers", Severity.OK, f"{_OWN}: the role that the console connects as is its own")
        return
    too_much = [one for one in found.connected if one.beyond]
    for one in too_much:
        yield Finding(
            "powers",
            Severity.NOTE,
            f"The role {one.name}, as which the console connects, {listed(one.beyond)}: more than it needs",
            "What a fault here could do, or somebody who learns its password, is what the role may do.",
            hint=_LESS,
        )
    if not too_much:
        names = listed(one.name for one in found.connected)
        yield Finding("powers", Severity.OK, f"The console connects as {names}, with no power beyond need")


def others(case: Case) -> Iterator[Finding]:
    """NOTE where other roles may change the table, the journal or the archive; superusers always may."""
    found = case.powers
    if found is None:
        yield Finding("others", Severity.OK, f"{_OWN}: nobody else comes in")
        return
    said = {
        f"{case.table.label} in the place of its owner": found.over_table,
        "archived tables": found.over_archive,
        f"the console's journal, schema {OWN_SCHEMA}": found.over_journal,
    }
    telling = [f"{listed(names)} may change {what}" for what, names in said.items() if names]
    if not telling:
        title = "Nobody but the owner and superusers may change the table, what is archived and the journal"
        yield Finding("others", Severity.OK, title)
        return
    yield Finding(
        "others",
        Severity.NOTE,
        f"Other roles may change what this console rests on: {'; '.join(telling)}",
        "They can remove what is kept without the console. Rows of the journal that they write are never obeyed.",
        hint="Look whether they need it: \\dp and \\du in psql tell where a right comes from.",
    )
