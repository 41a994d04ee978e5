"""The commands of growth: sample, growth, report, metrics."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.cli.acting import Given, put, put_json, say
from core.cli.options import DURATION, JSON, command, plain_text
from core.errors import ConnectionFailed, Failed
from core.period import Duration
from core.settings import parse_bytes

if TYPE_CHECKING:
    from core.growth.read import Growth

# What reckons (numpy) is loaded by the commands that do: every other one, and cron, starts without it.

_SAMPLE_JSON = """\
--json gives one object: day, taken_at, seconds, partitions, changed, skipped (names of partitions that somebody held
exclusively), exact (false where sizes are those of the last vacuum), cold_bytes (of this database's backups; null where
their place could not be read) and forgotten_rows."""

_GROWTH_JSON = """\
--json gives one object; sizes are bytes, dates ISO 8601, and null is what is not known. database, table (null for all
together), as_of, today, derived (true where nothing was sampled yet), last_sample; server_bytes is attached_bytes and
archived_bytes, cold_bytes the backups; change_30_days and change_365_days; months (bytes written in each);
rows_by_month, year_to_date and by_period (derived from the partitions and the planner's statistics); forecast (trust:
none, rough, fair or good; needs_days; per_month_bytes; points with low, expected and high, if everything is kept and as
planned; past_errors, as shares; notes); limit_bytes, limit_passed_if_kept and limit_passed_as_planned; growers; leaving
(the next 365 days); savings by quarter; shares; money (a month, null without prices); history, a list a column; and
notes."""

_METRICS = """\
The text is that of Prometheus. With --file it is written beside the file and renamed, so that node_exporter's textfile
collector never reads half of it. Where the database can't be reached partition_desk_up is 0, and the exit status 1."""


ALL = click.option("--all", "every", is_flag=True, help="all tables of the database together")
LIMIT_BYTES = click.option(
    "--limit-bytes",
    metavar="SIZE",
    type=parse_bytes,
    help="when this is passed, such as 500 GB (default PARTITION_DESK_STORAGE_LIMIT)",
)
DROP_AFTER = click.option(
    "--drop-after",
    metavar="D",
    type=DURATION,
    help="as if archived partitions left the server so long after, such as 90d (default: none does)",
)


@command("sample", "write down the size of every partition of the database, once a day, from cron", epilog=_SAMPLE_JSON)
@JSON
def sample(given: Given, *, as_json: bool) -> None:
    from core.cli.growth_output import sampled_json, sampled_text

    sampled = given.desk.sample(given.actor)
    if as_json:
        if sampled.unread is not None:
            say(f"Cold storage was not read: {sampled.unread}")
        put_json(sampled_json(sampled))
    else:
        put(sampled_text(sampled))


@command("growth", "tell how much is stored, how fast it grows and where that leads", epilog=_GROWTH_JSON)
@ALL
@LIMIT_BYTES
@DROP_AFTER
@JSON
def growth(given: Given, *, every: bool, limit_bytes: int | None, drop_after: Duration | None, as_json: bool) -> None:
    from core.cli.growth_output import growth_json, growth_text

    found = _read(given, every=every, limit_bytes=limit_bytes, drop_after=drop_after)
    if as_json:
        put_json(growth_json(found))
    else:
        put(growth_text(found, given.desk.address))


@command("report", "write the one-page report on growth, for a meeting")
@click.option("--html", metavar="FILE", type=plain_text, required=True, help="where it goes")
@ALL
@LIMIT_BYTES
@DROP_AFTER
def report(given: Given, *, html: str, every: bool, limit_bytes: int | None, drop_after: Duration | None) -> None:
    from core.growth.report import report_html

    found = _read(given, every=every, limit_bytes=limit_bytes, drop_after=drop_after)
    path = write_file(html, report_html(found, place=given.desk.address, made_at=given.desk.now))
    put(f"Wrote {path}: one page, to be opened in a browser and printed from there.")


def _read(given: Given, *, every: bool, limit_bytes: int | None, drop_after: Duration | None) -> Growth:
    from core.growth.outlook import Retention
    from core.growth.question import prices_of

    settings = given.desk.settings
    kept, unread = given.desk.database_backups()
    if unread is not None:
        say(f"Cold storage was not read: {unread}")
    return given.desk.growth(
        None if every else given.table,
        retention=Retention(settings.archive_after, drop_after),
        limit=limit_bytes or settings.storage_limit,
        prices=prices_of(settings.price_hot, settings.price_cold),
        kept=kept,
    )


@command("metrics", "print the figures of all tables for Prometheus", epilog=_METRICS)
@click.option("--file", metavar="PATH", type=plain_text, help="into this file instead, at once")
def metrics(given: Given, *, file: str | None) -> None:
    from core.console.metrics import metrics_text

    try:
        kept, unread = given.desk.database_backups()
        found = given.desk.metrics(kept)
    except ConnectionFailed:
        _put_metrics(file, metrics_text(None, now=given.desk.now))
        raise
    if unread is not None:
        say(f"Cold storage was not read: {unread}")
    _put_metrics(file, metrics_text(found, now=given.desk.now))


def _put_metrics(name: str | None, text: str) -> None:
    if name:
        write_file(name, text)
    else:
        put(text.rstrip("\n"))


def write_file(name: str, text: str) -> Path:
    """Writes a file at once: whoever reads it meanwhile finds the old one or the new one, whole. Raises Failed."""
    path = Path(name)
    made = None
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        handle, made = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)  # for an exporter that runs as somebody else
        Path(made).replace(path)
    except OSError as error:
        if made is not None:
            with suppress(OSError):
                Path(made).unlink()
        raise Failed(
            f"{name} can't be written: {error.strerror}.", next="Name a file in a folder that is there and yours."
        ) from error
    except ValueError as error:
        raise Failed(f"{name!r} is no name of a file: {error}.") from error
    return path
