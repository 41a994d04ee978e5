"""Publications: what they will send of the console's own tables and of new partitions, and whom that would stop."""

from __future__ import annotations

from collections.abc import Iterator

from core.doctor.findings import Case, Finding, Severity
from core.names import address
from core.postgres.publications import MAKE_THERE, why_not
from core.text import listed


def journal_published(case: Case) -> Iterator[Finding]:
    """WARNING where the first act is refused, as its own row would stop a subscriber; NOTE where it is sent."""
    if case.journal_unmade_for:
        yield Finding(
            "journal_published",
            Severity.WARNING,
            "Nothing can be done here as yet: the console's own tables would be published",
            why_not(case.journal_unmade_for),
            hint=MAKE_THERE,
        )
    elif case.journal_sent_by:
        names = listed(case.journal_sent_by)
        yield Finding(
            "journal_published",
            Severity.NOTE,
            f"The publication {names} sends the console's own tables",
            "Every act writes rows to the schema partition_desk; a subscriber that lacks its tables stops at the"
            " first, for all its tables.",
            hint="On a subscriber that lacks them run what this prints: partitions journal",
        )
    else:
        yield Finding("journal_published", Severity.OK, "No publication sends the console's own tables")


def partitions_published(case: Case) -> Iterator[Finding]:
    """NOTE where a publication sends each partition under its own name, so that a new one may stop a subscriber."""
    table = case.table
    sending = [p for p in table.publications if p.sends_attached(table.schema) and not p.as_parent]
    archiving = [p for p in table.publications if p.sends_alone(table.archive.name)]
    if sending:
        yield Finding(
            "partitions_published",
            Severity.NOTE,
            f"The publication {listed(p.name for p in sending)} sends each partition under its own name",
            "A subscriber needs each new partition before its first row is written; at the first row of a table that"
            " it lacks it stops, for all tables. ATTACH, DETACH and CREATE TABLE themselves are not sent.",
            hint="Create each new partition on the subscribers first. Or let them be sent as rows of"
            f" {table.label}, once every subscriber has a table {address(table.schema, table.name)} that takes them"
            " (publish_via_partition_root); how to change over is in PostgreSQL's manual, CREATE PUBLICATION.",
        )
    if archiving:
        yield Finding(
            "partitions_published",
            Severity.NOTE,
            f"The publication {listed(p.name for p in archiving)} sends tables of the schema {table.archive.name}",
            f"Archived partitions stay in it, as {table.archive.name}.<name>: what is written to one there stops a"
            " subscriber that lacks it. Archiving and reattaching write no row.",
        )
    if table.subscriptions:
        yield Finding(
            "partitions_published",
            Severity.NOTE,
            f"The subscription {listed(table.subscriptions)} writes into {table.label}",
            "A row that finds no partition stops it, for all tables: one of an archived range, or of a time that has"
            " none yet.",
            hint="Have each partition here before the publisher writes its first row, and archive what is over there.",
        )
    if not sending and not archiving and not table.subscriptions:
        yield Finding("partitions_published", Severity.OK, "No new or archived partition can stop a subscriber")
