"""The server and the session that looks at it: its version, what it can do, and what the connected role may do."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.errors import DeskError
from core.postgres.capabilities import CAPABILITIES, Capabilities, capabilities_of
from core.postgres.connection import is_lost, raised_in, session, translate
from core.postgres.session import rows_of


@dataclass(frozen=True, slots=True)
class Server:
    """The server and the session that looks at it."""

    database: str
    user: str
    version_num: int
    version: str
    in_recovery: bool
    read_only: bool
    time_zone: str = "UTC"
    can: Capabilities = field(default_factory=Capabilities)
    may_create_schema: bool = False
    journal: bool = False
    """Whether the journal's schema exists."""
    may_write_journal: bool = False
    event_triggers: tuple[str, ...] = ()
    """Names of the event triggers that ALTER TABLE runs, but for those of extensions."""
    cluster: str = ""
    """PostgreSQL's system identifier, to tell servers with databases of one name apart; empty where it is hidden."""

    @property
    def major(self) -> int:
        """For words and programs; what it can do is asked."""
        return self.version_num // 10000

    @property
    def product(self) -> str:
        """What it is, for people: "PostgreSQL 16.4 on Amazon RDS, Citus 13.2-1"."""
        on = f" on {self.can.provider}" if self.can.provider else ""
        return f"PostgreSQL {self.version.split(' ', maxsplit=1)[0]}{on}" + (
            f", Citus {self.can.citus}" if self.can.citus else ""
        )

    @property
    def foreign_keys_fixed_in(self) -> str:
        """The release that keeps foreign keys through ATTACH and DETACH, where this one doesn't, else empty."""
        minor = self.version_num % 10000
        fixed = _FOREIGN_KEYS_FIXED.get(self.major, 0)
        if self.major < min(_FOREIGN_KEYS_FIXED):
            return "14.14"
        return f"{self.major}.{fixed}" if minor < fixed else ""

    @property
    def crashes_on_pending_identity(self) -> bool:
        """Partitions share their parent's identity column since 17; the crash was seen on 18, and is expected on."""
        return self.version_num >= 170000


_FOREIGN_KEYS_FIXED = {13: 17, 14: 14, 15: 9, 16: 5, 17: 1}
"""The minor release of each major that keeps foreign keys enforced through ATTACH and DETACH; 18 always did."""

_SERVER = f"""
SELECT pg_catalog.current_database() AS database, current_user AS role,
    pg_catalog.current_setting('server_version_num')::int AS version_num,
    pg_catalog.current_setting('server_version') AS version, pg_catalog.pg_is_in_recovery() AS in_recovery,
    (SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'default_transaction_read_only') = 'on' AS read_only,
    (SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'TimeZone') AS time_zone,
    {CAPABILITIES},
    pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS may_create_schema,
    j.oid IS NOT NULL AS journal,
    pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may_read_cluster,
    CASE WHEN j.oid IS NULL THEN pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')
        ELSE pg_catalog.has_schema_privilege(j.oid, 'USAGE') AND coalesce((
            SELECT pg_catalog.has_table_privilege(c.oid, 'INSERT') AND pg_catalog.has_table_privilege(c.oid, 'UPDATE')
            FROM pg_catalog.pg_class c WHERE c.relnamespace = j.oid AND c.relname = 'operation'),
            pg_catalog.has_schema_privilege(j.oid, 'CREATE'))
    END AS may_write_journal,
    (SELECT json_agg(t.evtname ORDER BY t.evtname) FROM pg_catalog.pg_event_trigger t
        WHERE t.evtenabled <> 'D' AND t.evtevent <> 'login'
            AND (t.evttags IS NULL OR 'ALTER TABLE' = ANY (t.evttags))
            AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.deptype = 'e' AND (
                (d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = t.evtfoid)
                OR (d.classid = 'pg_catalog.pg_event_trigger'::regclass AND d.objid = t.oid)))) AS event_triggers
FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_namespace j ON j.nspname = 'partition_desk'
"""

_EVENT_TRIGGERS = """
SELECT t.evtname, p.proname FROM pg_catalog.pg_event_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.evtfoid
WHERE t.evtenabled <> 'D' ORDER BY t.evtname
"""


def read_event_triggers(connection: Connection) -> tuple[tuple[str, str], ...]:
    """(name, name of its function) of every event trigger that runs."""
    return tuple((row.evtname, row.proname) for row in rows_of(connection, _EVENT_TRIGGERS))


def raised_by(connection: Connection, error: DBAPIError) -> DeskError | None:
    """What an event trigger raised, with its name; None for an error that comes from none."""
    if is_lost(error) or connection.invalidated:
        return None
    found: list[str] = []
    with suppress(DBAPIError):
        found = [name for name, function in read_event_triggers(connection) if function in raised_in(error)]
    if not found:
        return None
    told = translate(error)
    told.what += f" That was raised by the event trigger {' or '.join(found)}."
    told.next = (
        "Have its function mended by whoever keeps it. To disable it instead would let everybody else's changes"
        " pass unseen meanwhile, so that is for them to decide."
    )
    return told


_CLUSTER = "system_identifier"


def server_of(connection: Connection) -> Server:
    row = rows_of(connection, _SERVER)[0]
    if _CLUSTER not in connection.info:  # it never changes; a session asks once
        connection.info[_CLUSTER] = (
            rows_of(connection, "SELECT system_identifier::text AS id FROM pg_catalog.pg_control_system()")[0].id
            if row.may_read_cluster
            else ""
        )
    return Server(
        cluster=connection.info[_CLUSTER],
        database=row.database,
        user=row.role,
        version_num=row.version_num,
        version=row.version,
        in_recovery=row.in_recovery,
        read_only=row.read_only,
        time_zone=row.time_zone,
        can=capabilities_of(row),
        may_create_schema=row.may_create_schema,
        journal=row.journal,
        may_write_journal=row.may_write_journal,
        event_triggers=tuple(row.event_triggers or ()),
    )


def read_server(engine: Engine) -> Server:
    """The server, its version and what the connected role may do there."""
    with session(engine) as connection:
        try:
            return server_of(connection)
        except DBAPIError as error:
            raise translate(error) from error
