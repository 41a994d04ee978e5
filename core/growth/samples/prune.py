"""Forgets old samples, or keeps one a week of them."""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.growth.samples.tables import exists
from core.names import literal
from core.postgres.advisory import LockKey, held
from core.postgres.connection import session, translate
from core.postgres.own_tables import rollback


def prune(engine: Engine, *, today: date, keep_days: int | None = None, weekly_after_days: int | None = None) -> int:
    """Forgets samples: those over `keep_days` old, and all but the last of a week over `weekly_after_days` old.

    How many rows went. What a partition was at the oldest kept day stays known, and so does every move from one place
    to another unless it is too old. Raises ValueError for fewer than a day, NotAllowed.
    """
    if any(days is not None and days < 1 for days in (keep_days, weekly_after_days)):
        raise ValueError("at least a day is kept")
    with session(engine) as connection:
        try:
            if not exists(connection):
                return 0
            statements = [
                *(_forget(today - timedelta(days=keep_days)) if keep_days else ()),
                *(_thin(today - timedelta(days=weekly_after_days)) if weekly_after_days else ()),
            ]
            with held(connection, LockKey.SAMPLE, 1, "sampling"):
                connection.exec_driver_sql("BEGIN")
                try:
                    gone = sum(connection.exec_driver_sql(sql).rowcount for sql in statements)
                    connection.exec_driver_sql("COMMIT")
                except DBAPIError:
                    rollback(connection)
                    raise
            return gone
        except DBAPIError as error:
            raise translate(error) from error


def _forget(before: date) -> tuple[str, ...]:
    day = literal(before.isoformat())
    return (
        f"DELETE FROM partition_desk.size_sample s WHERE s.day < {day} AND EXISTS (SELECT 1"
        " FROM partition_desk.size_sample n"
        f" WHERE n.partition_id = s.partition_id AND n.day > s.day AND n.day <= {day})",
        f"UPDATE partition_desk.size_sample SET moved_from = NULL WHERE day < {day} AND moved_from IS NOT NULL",
        f"DELETE FROM partition_desk.size_total WHERE day < {day}",
        f"DELETE FROM partition_desk.sample_run WHERE day < {day}",
    )


def _thin(before: date) -> tuple[str, ...]:
    """Whole weeks only, from Monday to Sunday."""
    monday = literal((before - timedelta(days=before.weekday())).isoformat())
    later = (
        "DELETE FROM partition_desk.{table} s WHERE s.day < {monday} AND EXISTS (SELECT 1 FROM partition_desk.{other} n"
        " WHERE {same} n.day > s.day AND n.day < {monday}"
        " AND n.day < pg_catalog.date_trunc('week', s.day)::date + 7){kept}"
    )
    return (
        later.format(table="size_sample", other="size_sample", same="n.partition_id = s.partition_id AND",
                     monday=monday, kept=" AND s.moved_from IS NULL"),
        later.format(table="size_total", other="sample_run", same="", monday=monday, kept=""),
        later.format(table="sample_run", other="sample_run", same="", monday=monday, kept=""),
    )  # fmt: skip
