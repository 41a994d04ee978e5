"""The command line: one command for each operation and each reader, for people and for cron.

Exit status: 0 done, also when there was nothing to do; 1 refused or failed, with one message on standard error;
2 wrong usage; 130 stopped by Ctrl-C. Results go to standard output, everything said meanwhile to standard error.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper

import click
from sqlalchemy.exc import DBAPIError

from core.cli.acting import forget_stdout, say
from core.errors import DeskError, UsageError
from core.postgres import connection

COMMANDS = {
    "look": ("status", "doctor", "find", "history", "journal", "grants"),
    "act": ("ensure", "archive", "reattach", "key", "cancel", "approve", "acknowledge"),
    "saved": ("apply",),
    "shape": ("adopt", "release"),
    "moving": ("drain", "split", "merge"),
    "index": ("index",),
    "converting": ("convert", "unconvert"),
    "backups": ("backup", "verify", "backups", "drop", "keep", "hold", "restore"),
    "proofs": ("drill", "proof"),
    "people": ("user",),
    "record": ("audit",),
    "rules": ("rules",),
    "alarms": ("alarms",),
    "maintain": ("maintain",),
    "growth": ("sample", "growth", "report", "metrics"),
}
"""The commands by the module of this package that each stands in, in the order in which help lists them."""


class Program(click.Group):
    """Loads a module of commands when one of them is asked for: `status` starts without what backups need."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return [name for names in COMMANDS.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        for module, names in COMMANDS.items():
            if cmd_name in names:
                found: click.Command = getattr(import_module(f"core.cli.{module}"), cmd_name)
                return found
        return None


partitions = Program(
    "partitions",
    help="Sees after date-partitioned PostgreSQL tables: which partitions there are, creating them ahead, archiving"
    " them, backing them up with proof, dropping them, and bringing them back.",
    epilog="The database is DATABASE_URL; without it, the embedded one. Exit status: 0 done or nothing to do,"
    " 1 refused or failed, 2 wrong usage, 130 stopped by Ctrl-C.",
    no_args_is_help=False,
    subcommand_metavar="COMMAND ...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
click.version_option(package_name="partition-desk", message="partitions %(version)s")(partitions)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # What is read lives until the end: to look for rubbish among a million objects takes a quarter of the time.
    gc.set_threshold(50_000, 20, 100)
    interrupted = threading.Event()
    try:
        # not through click's own main(): what it makes of Ctrl-C and of a closed pipe is not what is promised here
        words = list(sys.argv[1:] if argv is None else argv)
        with partitions.make_context("partitions", words, obj=interrupted) as context:
            status: int = partitions.invoke(context)
    except click.exceptions.Exit as ended:  # after --help or --version
        return ended.exit_code
    except click.UsageError as error:
        say(_usage(error))
        return 2
    except UsageError as error:
        say(str(error))
        return 2
    except DeskError as error:
        say(str(error))
        return 130 if interrupted.is_set() else 1
    except DBAPIError as error:
        say(str(connection.translate(error)))
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        forget_stdout()
        return 0  # whoever read has read enough
    return status


def _usage(error: click.UsageError) -> str:
    """What was wrong, and where it stands how it is right."""
    said = error.format_message()
    if said[-1] not in ".?":
        said += "."
    return f"{said} See {error.ctx.command_path if error.ctx else 'partitions'} --help."
