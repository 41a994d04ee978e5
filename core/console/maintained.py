"""The heartbeat of `partitions maintain`: a sealed row for each run, in a table of the console's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.console.ruled import read_in_force
from core.names import literal
from core.postgres.connection import session, sqlstate, translate
from core.postgres.own_tables import make_tables, read_hidden, require_plain, require_trusted
from core.rules.run import Run, Upkeep, late_after
from core.seal import Seal
from core.tables.catalog.coverage import read_coverage
from core.tables.cut import Cut, read_cut

if TYPE_CHECKING:
    from core.console.desk import Desk
    from core.tables.coverage import Coverage

_TABLE = """
CREATE TABLE IF NOT EXISTS partition_desk.maintenance (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    said text NOT NULL,
    seal text NOT NULL
)
"""
_EXISTS = """
SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'partition_desk' AND c.relname = 'maintenance'
"""
KEPT = 2_000
"""So many of the newest runs are kept."""
LOOKED_AT = 200
"""So many of the newest are looked at."""


def definition() -> str:
    """The SQL that makes the table, once its schema is there."""
    return _TABLE.strip()


def _exists(connection: Connection) -> bool:
    there = bool(connection.exec_driver_sql(_EXISTS).scalar_one())
    if there:
        require_plain(connection)
    return there


def begin(connection: Connection, seal: Seal, run: Run) -> int:
    """Writes down that a run has begun, and gives its number. Raises NotAllowed, JournalPublished."""
    require_trusted(connection)
    if not _exists(connection):
        otherwise = "the table that runs of maintain are written down in"
        make_tables(connection, definition(), there=_exists, otherwise=otherwise)
    said = run.said()
    number = connection.exec_driver_sql(
        f"INSERT INTO partition_desk.maintenance (said, seal) VALUES ({literal(said)}, {literal(_seal(seal, said))})"
        " RETURNING id"
    ).scalar_one()
    connection.exec_driver_sql(f"DELETE FROM partition_desk.maintenance WHERE id <= {int(number) - KEPT}")
    return int(number)


def write(connection: Connection, seal: Seal, number: int, run: Run) -> None:
    """Writes down how far it is, and at last how it ended."""
    said = run.said()
    connection.exec_driver_sql(
        f"UPDATE partition_desk.maintenance SET said = {literal(said)}, seal = {literal(_seal(seal, said))}"
        f" WHERE id = {int(number)}"
    )


def _seal(seal: Seal, said: str) -> str:
    return seal.of("maintain", said)


def read_runs(engine: Engine, seal: Seal | None, limit: int = LOOKED_AT) -> tuple[Run, ...]:
    """The newest runs first, by their seal; none where the role may not read them."""
    with session(engine) as connection:
        try:
            if seal is None or not _exists(connection):
                return ()
            rows = connection.exec_driver_sql(
                f"SELECT said, seal FROM partition_desk.maintenance ORDER BY id DESC LIMIT {int(limit)}"
            ).all()
        except DBAPIError as error:
            if sqlstate(error) == "42501":
                return ()
            raise translate(error) from error
    return tuple(Run.read(row.said) for row in rows if seal.fits(row.seal, "maintain", row.said))


def read_upkeep(desk: Desk) -> Upkeep | None:
    """How it stands with the rules of the database; None where the role may not read what is written of them."""
    if read_hidden(desk.reading) is not None:
        return None
    found = read_in_force(desk)
    with_rules = {one.table: one.rules for one in found if one.rules is not None}
    doubts = tuple((one.table, one.doubt) for one in found if one.doubt)
    if not with_rules:
        return Upkeep((), None, late_after(()), doubts)
    runs = read_runs(desk.reading, desk.seal())
    last = next((one for one in runs if one.ended is not None), None)
    covered = {one.address: one for one in read_coverage(desk.reading, desk.archive_schema)}
    widths = []
    for table, rules in with_rules.items():
        if rules.ahead is not None:
            own = next(_cuts(desk, covered.get(table)), None)
            widths.append((rules.every or (own.width if own else None), rules.ahead))
    return Upkeep(tuple(with_rules), last, late_after(widths), doubts)


def _cuts(desk: Desk, coverage: Coverage | None) -> Iterator[Cut]:
    if coverage is None or coverage.key is None:
        return
    cut = read_cut(coverage.key, coverage.ranges, (desk.zone, "UTC"), desk.now)
    if isinstance(cut, Cut):
        yield cut
