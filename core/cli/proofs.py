"""The commands of proofs that are made again and shown to others: drill, proof."""

from __future__ import annotations

import os

import click

from core.cli.acting import Given, act, put, put_json, whoever_runs_this
from core.cli.files import text_of
from core.cli.options import DRY_RUN, DURATION, JSON, REASON, command, plain_text
from core.console.drill import OLDER, WHY, find_next
from core.period import Duration
from core.plans.verify import Verify
from core.settings import read_settings


@command("drill", "prove one backup again: of the newest of each partition the one that was proven longest ago")
@click.option("--older", metavar="D", type=DURATION, help="only one that was last tried before so long (default 30d)")
@REASON
@DRY_RUN
@JSON
def drill(given: Given, *, older: Duration | None, reason: str, dry_run: bool, as_json: bool) -> None:
    since = older or given.desk.settings.drill or OLDER
    kept = find_next(given.desk, since)
    if kept is not None:
        act(given, Verify(kept), reason=reason or WHY, dry_run=dry_run, as_json=as_json)
        return
    why = f"no newest backup of a partition is due: each was tried within the last {since}, or is known to be damaged."
    if as_json:
        put_json({"dry_run": dry_run, "nothing_to_do": why})
    else:
        put(f"Nothing to do: {why}")


@click.command("proof", short_help="print the record of a backup's last proof (show), or check one (check)")
@click.argument("what", metavar="show|check", type=click.Choice(("show", "check")))
@click.argument("named", metavar="BACKUP|FILE", type=plain_text)
def proof(what: str, named: str) -> int:
    """Prints the sealed record of a backup's last proof (show BACKUP), or says whether a record is as it was sealed
    (check FILE; exit status 1 where it is not, or tells of damage).

    How another program checks it, and what can be checked without the key: README, Cold storage.
    """
    from core.backups.kept import read_kept
    from core.backups.storage import StorageSettings
    from core.plans.proof_record import check, record_of
    from core.seal import make_seal, trusted_seal

    settings = read_settings()
    if settings.names_people:
        whoever_runs_this(settings)
    if what == "show":
        place = StorageSettings(settings.backup_url, settings.home, os.environ, settings.key).open()
        put(record_of(read_kept(place, named), make_seal(settings.key, settings.home)).rstrip())
        return 0
    found = check(text_of(named), trusted_seal(settings.key, settings.home))
    put(found.said)
    return 0 if found.proven else 1
