"""Where a backup is proven: a database of its own, on the server that is most like the one it was made of.

That is the server that PARTITION_DESK_PROOF_URL names, or else one that is made of the programs on this machine and
thrown away: of the source's own major version where they are installed, else of the next newer one.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.backups.throwaway import throwaway_server
from core.errors import ConnectionFailed, DeskError, Failed, Unprovable
from core.names import ident, literal
from core.plans.manifest import Backup
from core.postgres.connection import parse_url, server_message, session, sqlstate, translate, working_engine
from core.postgres.programs import ServerPrograms, find_servers
from core.postgres.session import Row, rows_of
from core.tables.catalog.ownership import oid_array

_SETTING = "PARTITION_DESK_PROOF_URL"
_NAMED = "partition_desk_proof_"
"""How the databases begin that are made on a named server; the seconds of their making follow."""
_STALE_S = 120


@dataclass(frozen=True, slots=True)
class Proving:
    """What a proof may use."""

    home: Path
    """Where the object is fetched to, and a throwaway server may lie."""
    environ: Mapping[str, str]
    """Where programs are looked up."""
    url: str = field(default="", repr=False)
    """PARTITION_DESK_PROOF_URL; may hold a password."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A fresh database to prove one backup in."""

    main: Engine
    """As somebody who may make extensions, where the server lets it."""
    poor: Engine
    """As who owns the database, and may neither run programs nor read files."""
    alike: bool
    """Whether texts have the order that they have in the backup's database."""
    about: str
    """For people: "PostgreSQL 15.20 of this machine"."""


def where_proven(
    servers: Sequence[ServerPrograms], major: int, extensions: Sequence[str], *, xml: bool = False
) -> ServerPrograms:
    """The programs that are nearest to a server of this major version, with the extensions and, if asked for, XML.

    A newer server reads what an older one wrote, and not the other way round; where nothing is as new as the source,
    the newest there is. Raises Unprovable, which says what lacks and where it could be proven.
    """
    newer = sorted((one for one in servers if one.major >= major), key=lambda one: one.major)
    order = newer or sorted(servers, key=lambda one: -one.major)[:1]
    for one in order:
        if not one.lacking(extensions) and (not xml or one.has_xml):
            return one
    if not order:
        raise Unprovable(
            "There is no PostgreSQL server on this machine that it could be restored into.", next=_NAME_ONE
        )
    lacking = ", ".join(order[0].lacking(extensions))
    needed = f"the extension {lacking}" if lacking else "XML"
    raise Unprovable(
        f"It needs {needed}, which no PostgreSQL {major} or later on this machine has.",
        next=f"Install postgresql-{major} with it here, or name a server that has it: {_NAME_ONE}",
    )


_NAME_ONE = f"{_SETTING}=postgresql://user@host/postgres, of a role that may create databases."


@contextmanager
def ground(backup: Backup, proving: Proving, folder: Path) -> Iterator[Ground]:
    """A fresh database for the backup, gone at the end; a throwaway server lies in `folder`.

    Raises Unprovable, Failed, ConnectionFailed.
    """
    if proving.url:
        with _named(backup, parse_url(proving.url, _SETTING)) as found:
            yield found
        return
    major = backup.server_version_num // 10000
    xml = any(column.type.removesuffix("[]") == "xml" for column in backup.columns)
    programs = where_proven(find_servers(environ=proving.environ), major, backup.extensions, xml=xml)
    with throwaway_server(folder, programs) as (main, poor):
        alike = _make_database(main, "backup", poor.username or "", backup)
        about = f"PostgreSQL {programs.version} of this machine"
        with _engines(main.set(database="backup"), poor.set(database="backup")) as (maker, replay):
            yield Ground(maker, replay, alike, about)


@contextmanager
def _named(backup: Backup, url: URL) -> Iterator[Ground]:
    """A database of its own on the server that the admin names. Only what bears a name made here is dropped."""
    name = f"{_NAMED}{int(time.time())}_{secrets.token_hex(4)}"
    with _proving_session(url) as connection:
        who = connection.exec_driver_sql(_WHO).one()
        _sweep(connection)
        poor = url
        if who.superuser:  # whose SQL may do anything: another replays it
            password = secrets.token_urlsafe(24)
            poor = url.set(username=name, password=password)
            connection.exec_driver_sql(f"CREATE ROLE {ident(name)} LOGIN PASSWORD {literal(password)}")
        elif who.reaches:
            raise Unprovable(
                f"The role {who.name} of PARTITION_DESK_PROOF_URL may run programs or read files of its server.",
                next="Name a role there that may create databases and nothing else.",
            )
        try:
            alike = _make_database(url, name, poor.username or who.name, backup)
            there = url.set(database=name), poor.set(database=name)
            with _engines(*there) as (main, replay), session(replay):  # held, so that nobody takes it for a dead one's
                yield Ground(main, replay, alike, f"PostgreSQL {who.version} of PARTITION_DESK_PROOF_URL")
        finally:
            with suppress(DBAPIError, DeskError), session_of(url) as after:
                after.exec_driver_sql(f"DROP DATABASE IF EXISTS {ident(name)} WITH (FORCE)")
                if poor is not url:
                    after.exec_driver_sql(f"DROP ROLE IF EXISTS {ident(name)}")


_WHO = """
SELECT current_user AS name, r.rolsuper AS superuser, pg_catalog.current_setting('server_version') AS version,
    EXISTS (SELECT 1 FROM pg_catalog.pg_roles m WHERE m.rolname IN
        ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')
        AND pg_catalog.pg_has_role(current_user, m.oid, 'MEMBER')) AS reaches
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""

_DEAD = f"""
SELECT d.datname AS name FROM pg_catalog.pg_database d
WHERE d.datname ~ '^{_NAMED}[0-9]+_[0-9a-f]+$' AND pg_catalog.pg_has_role(current_user, d.datdba, 'USAGE')
    AND pg_catalog.split_part(d.datname, '_', 4)::bigint < extract(epoch FROM pg_catalog.now()) - {_STALE_S}
    AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_activity a WHERE a.datname = d.datname)
"""


def _sweep(connection: Connection) -> None:
    """Drops what proofs of the dead left on the named server: databases where nobody is connected, and their roles."""
    for row in connection.exec_driver_sql(_DEAD).all():
        with suppress(DBAPIError):
            connection.exec_driver_sql(f"DROP DATABASE {ident(row.name)}")
            connection.exec_driver_sql(f"DROP ROLE IF EXISTS {ident(row.name)}")


@contextmanager
def _engines(*urls: URL) -> Iterator[tuple[Engine, ...]]:
    made = tuple(working_engine(url) for url in urls)
    try:
        yield made
    finally:
        for one in made:
            one.dispose()


@contextmanager
def _proving_session(url: URL) -> Iterator[Connection]:
    """A session with the named server. Raises ConnectionFailed, which says which setting leads there."""
    begun = False
    try:
        with session_of(url) as connection:
            begun = True
            yield connection
    except ConnectionFailed as error:
        if begun:
            raise
        raise ConnectionFailed(
            f"No proof can be made on the server that {_SETTING} names: {error.what}",
            safe="The backup was not changed; this says nothing about it.",
            next=f"Check that it runs, and that {_SETTING} is right.",
        ) from error


@contextmanager
def session_of(url: URL) -> Iterator[Connection]:
    """A session with the server there, for as long as it is needed."""
    with _engines(url) as (engine,), session(engine) as connection:
        yield connection


def _make_database(url: URL, name: str, owner: str, backup: Backup) -> bool:
    """Makes an empty database with the encoding of the backup's, and its order of texts where the server knows it.

    Returns whether it does. Raises Unprovable where the server has no such encoding, and Failed.
    """
    create = (
        f"CREATE DATABASE {ident(name)} OWNER {ident(owner)} TEMPLATE template0 ENCODING {literal(backup.encoding)}"
    )
    try:
        with session_of(url) as connection:
            major = connection.exec_driver_sql("SHOW server_version_num").scalar_one()
            for locale in backup.locale.clauses(int(major) // 10000):
                with suppress(DBAPIError):  # it is not known there: the next
                    connection.exec_driver_sql(f"{create} {locale}")
                    return True
            connection.exec_driver_sql(f"{create} LC_COLLATE 'C' LC_CTYPE 'C'" + _LIBC * (int(major) >= 150000))
            return False
    except DBAPIError as error:
        raise Failed(
            f"The server that was to prove it made no database: {server_message(error)}.", sqlstate=sqlstate(error)
        ) from error


_LIBC = " LOCALE_PROVIDER libc"


_DOUBTS = """
WITH RECURSIVE used(attname, oid) AS (
    SELECT a.attname, a.atttypid FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = ANY ({oids}) AND a.attnum > 0 AND NOT a.attisdropped
    UNION SELECT u.attname, part.oid FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.oid
        CROSS JOIN LATERAL (  -- what an array, a domain, a range or a composite type is made of
            SELECT t.typelem AS oid WHERE t.typcategory = 'A' UNION ALL SELECT t.typbasetype WHERE t.typtype = 'd'
            UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)
            UNION ALL SELECT x.atttypid FROM pg_catalog.pg_attribute x
                WHERE t.typtype = 'c' AND x.attrelid = t.typrelid AND x.attnum > 0 AND NOT x.attisdropped) part
)
SELECT DISTINCT u.attname, pg_catalog.format_type(t.oid, NULL) AS type, e.extname AS extension,
    t.oid IN ('regclass'::regtype, 'regproc'::regtype, 'regprocedure'::regtype, 'regoper'::regtype,
        'regoperator'::regtype, 'regrole'::regtype, 'regnamespace'::regtype, 'regcollation'::regtype,
        'regtype'::regtype, 'regconfig'::regtype, 'regdictionary'::regtype) AS names_others
FROM used u
JOIN pg_catalog.pg_type t ON t.oid = u.oid
LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_catalog.pg_extension'::regclass
ORDER BY 1, 2
"""


_OWN_FUNCTIONS = """
SELECT DISTINCT w.generated, w.name, p.oid::regprocedure::text AS function
FROM (SELECT true AS generated, a.attname AS name, 'pg_catalog.pg_attrdef'::regclass AS classid, d.oid
        FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
        WHERE d.adrelid = ANY ({oids}) AND a.attgenerated <> ''
    UNION ALL SELECT false, k.conname, 'pg_catalog.pg_constraint'::regclass, k.oid FROM pg_catalog.pg_constraint k
        WHERE k.conrelid = ANY ({oids}) AND k.contype = 'c') w
JOIN pg_catalog.pg_depend n ON n.classid = w.classid AND n.objid = w.oid
    AND n.refclassid = 'pg_catalog.pg_proc'::regclass AND n.refobjid >= 16384
JOIN pg_catalog.pg_proc p ON p.oid = n.refobjid
WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend e
    WHERE e.classid = 'pg_catalog.pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')
ORDER BY 1 DESC, 2, 3
"""


def _of_own_functions(rows: Sequence[Row]) -> Iterator[str]:
    """What functions of the user's mean for a backup: it holds the table, and no function."""
    for row in rows:
        if row.generated:
            yield (
                f"The column {row.name} is generated with {row.function}, which a server that holds this table alone"
                " lacks: no backup of it is made. Write its expression with PostgreSQL's own functions, or make it an"
                " ordinary column (ALTER TABLE ... ALTER COLUMN ... DROP EXPRESSION), first."
            )
        else:
            yield (
                f"The CHECK {row.name} calls {row.function}, which a server that holds this table alone lacks: a backup"
                " is proven without that CHECK; a restore puts it back where the function is."
            )


def _without_xml(proving: Proving) -> Iterator[str]:
    """Why the server that is named can't prove a column of XML."""
    try:
        with _proving_session(parse_url(proving.url, _SETTING)) as connection:
            connection.exec_driver_sql("SELECT pg_catalog.xml_is_well_formed('<a/>')")
    except DBAPIError as error:
        if sqlstate(error) != _NOT_BUILT_IN:
            raise translate(error) from error
        yield f"As things are, a backup could not be proven: the server that {_SETTING} names was built without XML."


_NOT_BUILT_IN = "0A000"


def doubts(engine: Engine, oids: Iterable[int], version_num: int, proving: Proving) -> tuple[str, ...]:
    """Why a backup of these tables could not be proven as things are, a sentence each. Raises ConnectionFailed."""
    with session(engine) as connection:
        try:
            listed = oid_array(list(oids))
            rows = rows_of(connection, _DOUBTS.format(oids=listed))
            functions = rows_of(connection, _OWN_FUNCTIONS.format(oids=listed))
        except DBAPIError as error:
            raise translate(error) from error
    found: list[str] = []
    naming = [row for row in rows if row.names_others]
    if naming:
        columns = ", ".join(dict.fromkeys(f"{row.attname} ({row.type})" for row in naming))
        found.append(
            f"The values of {columns} name other tables, functions or roles, which a server that holds this table alone"
            " lacks: a backup can't be proven if any of them is not PostgreSQL's own, and nothing dropped on it."
        )
    found += _of_own_functions(functions)
    extensions = list(dict.fromkeys(row.extension for row in rows if row.extension))
    xml = any(row.type == "xml" for row in rows)
    if proving.url:
        found += _without_xml(proving) if xml else ()
    else:
        try:
            where_proven(find_servers(environ=proving.environ), version_num // 10000, extensions, xml=xml)
        except Unprovable as error:
            found.append(f"As things are, a backup could not be proven here. {error.what} {error.next}")
    return tuple(found)
