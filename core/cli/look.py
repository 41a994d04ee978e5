"""The commands that only look: status, doctor, find, history, journal, grants."""

from __future__ import annotations

from datetime import date

import click

from core.cli.acting import Given, put, put_json
from core.cli.options import JSON, calendar_date, column_value, command, number, plain_text
from core.cli.output.look import findings_text, found_json, found_text, status_json, status_text
from core.errors import TableNotFound, UsageError
from core.plans.operation import NAMES
from core.postgres.publications import OWN_SCHEMA
from core.text import Json

_STATUS_JSON = """\
--json gives one object: database, server_version, table, key (the column; null where the table is only shown here),
reading (how a number, a uuid or a text of it tells a time; null where its type does, or where nothing is known),
managed_by (another tool that makes partitions of it, such as pg_partman 4.7.2, or null), as_of, runway_ids (of a key
of numbers that tells no time: how many have a place above the highest in use), ids_a_day (how fast those are used, as
samples tell), runway_days (null where it never ends, or the table is only shown), partitions and gaps. Of ids both are
null while too few samples tell. Dates are ISO 8601; a lower or upper of null is unbounded, and bytes
are null where somebody holds the partition exclusively. Archived tables are among the partitions; strays were archived
from tables ("of") that are no longer there. Gaps are ranges between the first and the last partition that neither a
partition nor an archived table explains. The kind of a partition is plain, foreign or branch, of which split says how
it is partitioned; branches are those below LIST or HASH that are tables of their own."""


@command("status", "show the partitions, archived ones too, and how long they last", epilog=_STATUS_JSON)
@JSON
def status(given: Given, *, as_json: bool) -> None:
    table = given.read()
    branches = given.desk.branches(table)
    if as_json:
        put_json(status_json(table, given.desk.now, given.desk.zone, branches, given.desk.ids_left(table)))
    else:
        ids = given.desk.ids_left(table)
        bound = given.desk.bound_to(table)
        put(status_text(table, given.desk.now, given.desk.zone, given.desk.address, branches, ids, bound))


@command("doctor", "check everything that can be wrong, with the reason and the remedy")
@JSON
def doctor(given: Given, *, as_json: bool) -> None:
    from core.doctor.findings import as_json as finding_json

    table = given.read()
    every = [table, *(given.desk.read(address) for address in table.branch_tables)]
    found = [(one, given.desk.examine(one, given.desk.backups(one.address, one.server))) for one in every]
    if as_json:
        told: list[Json] = [
            {"table": one.address, "findings": [finding_json(each) for each in some]} for one, some in found
        ]
        put_json({**told[0], "branches": told[1:]})
    else:
        put("\n\n".join(findings_text(one, some) for one, some in found))


@command("find", "tell where the rows of a date are")
@click.option("--date", "day", metavar="D", type=calendar_date, required=True, help="the date, as 2025-03-14")
@click.option(
    "--where",
    metavar="COLUMN=VALUE ...",
    type=column_value,
    multiple=True,
    help="only the rows of this value, such as that of a column of a unique constraint",
)
@JSON
def find(given: Given, *, day: date, where: tuple[tuple[str, str], ...], as_json: bool) -> None:
    if len(dict(where)) < len(where):
        raise UsageError("--where names a column twice.", next="A row has one value in each.")
    found = given.desk.find(given.read(), day, dict(where), given.actor)
    if as_json:
        put_json(found_json(found))
    else:
        put(found_text(found))


_HISTORY = """\
What is asked for by several options fits all of them, and one that takes several words any of those. The days are those
of UTC, as are the times that are printed. --text looks in what it was of, the reason, how it ended and the SQL, in
capitals or not; --act is what the first column begins with, and for planned drops "plan a drop" and "keep"."""


@command("history", "list what was done, newest first; of all tables without --table", epilog=_HISTORY)
@click.option("--since", metavar="D", type=calendar_date, help="asked for on this day or later, as 2025-03-14")
@click.option("--until", metavar="D", type=calendar_date, help="asked for on this day or before")
@click.option("--who", metavar="NAME ...", type=plain_text, multiple=True, help="asked for by this person")
@click.option("--act", "acts", metavar="ACT ...", type=plain_text, multiple=True, help="such as archive, drop, restore")
@click.option(
    "--state",
    "states",
    metavar="STATE ...",
    type=click.Choice(("queued", "running", "done", "failed", "cancelled", "interrupted")),
    multiple=True,
    help="queued, running, done, failed, cancelled or interrupted",
)
@click.option("--text", metavar="TEXT", type=plain_text, default="", help="with this text in it")
@click.option("--limit", metavar="N", type=number("The limit", 1, 100_000), default="20", help="how many (default 20)")
@JSON
def history(
    given: Given,
    *,
    since: date | None,
    until: date | None,
    who: tuple[str, ...],
    acts: tuple[str, ...],
    states: tuple[str, ...],
    text: str,
    limit: int,
    as_json: bool,
) -> None:
    from core.cli.output.acts import history_text, operation_json
    from core.console.journal import OperationState
    from core.console.search import Sought, read_counted, read_found
    from core.postgres.own_tables import read_hidden

    table = "" if click.get_current_context().params["table"] is None else _address(given)
    sought = Sought(table, acts, tuple(OperationState(one) for one in states), who, since, until, text)
    names = given.actor.may(NAMES)
    operations = read_found(given.desk.reading, sought, names=names, limit=limit, seal=given.desk.seal())
    hidden = None if operations else read_hidden(given.desk.reading)
    if hidden is not None:
        raise hidden
    counted = read_counted(given.desk.reading, sought, names=names)
    if as_json:
        put_json({"found": counted.all, "operations": [operation_json(operation) for operation in operations]})
    else:
        put(history_text(operations, counted.all, asked=sought != Sought(table)))


@command("journal", "print the SQL that makes the console's own tables, for subscribers of a published database")
def journal(given: Given) -> None:
    from core.console import journal_tables, maintained
    from core.console.alarms import state
    from core.growth.samples import tables

    put(
        "-- The console's own tables. Run it on every subscriber, then on this database as the console's role.\n"
        f"CREATE SCHEMA IF NOT EXISTS {OWN_SCHEMA};\n{journal_tables.definition()};\n{tables.definition()};\n"
        f"{state.definition()};\n{maintained.definition()};"
    )


_ROLES = """\
The role that reads sees the catalog and sizes, and no rows: DATABASE_READ_URL is its address, for pages and commands
that look. The one that acts is DATABASE_URL: it becomes a member of the owners of the partitioned tables, or owns them
where a superuser did. Run it as a superuser, again after a table was partitioned, and give both a password."""


@command("grants", "print the SQL that makes two roles with no power beyond need: one reads, one acts", epilog=_ROLES)
@click.option("--reading", metavar="ROLE", type=plain_text, default="partition_desk_read", help="the one that reads")
@click.option("--acting", metavar="ROLE", type=plain_text, default="partition_desk_act", help="the one that acts")
def grants(given: Given, *, reading: str, acting: str) -> None:
    from core.tables.catalog.powers import read_estate
    from core.tables.powers import grants as statements

    if not reading or not acting or reading == acting:
        raise UsageError("--reading and --acting name two roles.")
    desk = given.desk
    estate = read_estate(desk.reading, archive_schema=desk.archive_schema, roles=(reading, acting))
    lines = statements(estate, reading=reading, acting=acting, archive_schema=desk.archive_schema)
    put(
        f"-- As a superuser, in the database {' '.join(estate.database.split())}. Then give both a password:"
        " \\password ROLE in psql.\n"
        "BEGIN;\n" + "".join(f"{line};\n" for line in lines) + "COMMIT;"
    )


def _address(given: Given) -> str:
    """The address of the table; what a table that is gone had done with it can still be asked for."""
    try:
        return given.desk.address_of(given.table)
    except TableNotFound:
        return given.desk.address_to_be(given.table)
