"""Alembic's environment: `alembic upgrade head` and `alembic downgrade -1` on the database that the settings name.

The revision stands in a table of its own beside the migrated one, so that it meets neither the alembic_version of the
application whose database this is nor that of another table migrated here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import context
from alembic.util import CommandError
from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from core.console.desk import Desk
from core.errors import DeskError, TableNotFound, UsageError
from core.migrations import version_table
from core.migrations.convert import Migration
from core.plans.convertible import require_rights
from core.postgres.connection import APPLICATION_NAME, CONNECT_TIMEOUT_S, parse_url, pin_each, translate
from core.postgres.embedded import running_server
from core.postgres.session import CONSOLE
from core.settings import Settings, read_settings
from core.tables.table import PartitionedTable


@contextmanager
def _address(settings: Settings) -> Iterator[URL]:
    """DATABASE_URL, or the embedded server, which runs for as long as the migration does."""
    if settings.database_url:
        yield parse_url(settings.database_url)
    else:
        with running_server(settings.home) as url:
            yield parse_url(url)


@contextmanager
def _opened(url: URL, settings: Settings) -> Iterator[tuple[Engine, Desk]]:
    """(the engine that Alembic works on, the desk that reads and does the rest)."""
    arguments = {"connect_timeout": CONNECT_TIMEOUT_S, "application_name": APPLICATION_NAME}
    work = create_engine(url, poolclass=NullPool, connect_args=arguments)
    # Alembic's own table is made under the role's path, as the role's event triggers expect
    pin_each(work, {name: value for name, value in CONSOLE.items() if name != "search_path"})
    desk = Desk.at(url.render_as_string(hide_password=False), settings)
    try:
        yield work, desk
    finally:
        desk.close()


def _read(desk: Desk) -> PartitionedTable:
    try:
        return desk.acting().read()
    except TableNotFound as error:
        raise TableNotFound(error.what, next="Create it first, or name another with PARTITION_DESK_TABLE.") from error


def _migrate(url: URL, settings: Settings) -> None:
    with _opened(url, settings) as (work, desk):
        table = _read(desk)
        try:
            with work.connect() as connection:
                context.configure(
                    connection=connection,
                    version_table=version_table(table.name),
                    version_table_schema=table.schema,
                    migration=Migration(desk, table),
                )
                if not context.get_context().opts.get("dont_mutate"):  # `alembic current` only looks
                    require_rights(table)
                with context.begin_transaction():
                    context.run_migrations()
        except DBAPIError as error:
            raise translate(error, url) from error


def main() -> None:
    """Runs what was asked for; what stands in the way is one line, not a traceback."""
    try:
        if context.is_offline_mode():
            raise UsageError(
                "These migrations read the table before they change it, and go on where one was cut short, so --sql"
                " can't print them.",
                next="partitions convert --dry-run and partitions unconvert --dry-run print every statement.",
            )
        settings = read_settings()
        with _address(settings) as url:
            _migrate(url, settings)
    except DeskError as error:
        raise CommandError(str(error)) from error


main()
