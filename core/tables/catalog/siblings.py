"""Reads what the partitions of one table share, for the next one and for those that lack it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.names import literal
from core.postgres.connection import CANCELLED, LOCK_TIMEOUT, session, sqlstate, translate
from core.postgres.server import Server
from core.postgres.session import READ_TIMEOUT_MS, Row, reading, rows_of
from core.tables.catalog.equipment import read_equipped
from core.tables.definition import Grant
from core.tables.equipment import INDEXES, Equipment, Equipped, Kind, Trait
from core.tables.key import Key
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.tables.tree import Member

NEWEST = 3
"""How many partitions are looked at for the next one."""
MOST = 1_000
"""How many are compared with each other."""

_AROUND = """
SELECT pg_catalog.has_schema_privilege(n.oid, 'CREATE') AS may_create,
    (SELECT json_agg(DISTINCT json_build_array(coalesce(g.rolname, ''), x.privilege_type, x.is_grantable)::text)
        FROM pg_catalog.pg_default_acl d CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) x
        LEFT JOIN pg_catalog.pg_roles g ON g.oid = x.grantee
        WHERE d.defaclobjtype = 'r' AND d.defaclnamespace IN (0, n.oid)
            AND d.defaclrole = (SELECT u.oid FROM pg_catalog.pg_roles u WHERE u.rolname = current_user)
            AND x.grantee NOT IN (d.defaclrole, p.relowner)) AS by_default,
    CASE WHEN {named} THEN (SELECT json_agg(c.relname) FROM pg_catalog.pg_class c
        WHERE c.relnamespace = n.oid AND pg_catalog.starts_with(c.relname, {stem})) END AS taken
FROM pg_catalog.pg_class p, pg_catalog.pg_namespace n WHERE p.oid = {parent} AND n.nspname = {schema}
"""


def read_equipment(
    connection: Connection, parent: Row, partitions: Sequence[Partition], key: Key, server: Server
) -> tuple[Equipment, Equipment]:
    """What the newest partitions have of their own that the parent's owner owns and nobody holds locked.

    Where the newest is partitioned itself: (what the leaves of the newest two have, what these two have). `parent` has
    oid, nspname, relname and owner; the partitions are in the order of their bounds.
    """
    ranged = [p for p in partitions if p.bounds and not p.bounds.is_default and not p.pending]
    here = [p for p in ranged if p.is_plain or p.tree is not None]
    if not here or here[-1].is_plain:
        return _equipment(connection, parent, [p for p in here if p.is_plain], key, server), Equipment()
    branches = [p for p in here[-2:] if p.tree is not None]
    leaves = [leaf for p in branches if p.tree is not None for leaf in p.tree.here]
    return (
        _equipment(connection, parent, leaves, key, server),
        _equipment(connection, parent, branches, key, server),
    )


def _equipment(
    connection: Connection, parent: Row, ranged: Sequence[Partition | Member], key: Key, server: Server
) -> Equipment:
    trusted = [p for p in ranged if p.owner == parent.owner]
    oids = [p.oid for p in trusted if not p.busy][-NEWEST:]
    siblings = read_equipped(connection, parent.oid, oids, key, server)
    if len(siblings) == 1:
        siblings = (replace(siblings[0], traits=tuple(_of_one(siblings[0], key))),)
    found = Equipment(siblings, foreign_owned=len(ranged) - len(trusted), unread=bool(trusted) and not siblings)
    around = rows_of(
        connection,
        _AROUND.format(
            named=found.schema not in (None, parent.nspname)
            or any(trait.kind in (*INDEXES, Kind.STATISTICS) for trait in found.shared),
            stem=literal(parent.relname[:40]),
            parent=parent.oid,
            schema=literal(found.schema or parent.nspname),
        ),
    )[0]
    return replace(
        found,
        may_create=around.may_create,
        by_default=tuple(sorted((Grant(*json.loads(one)) for one in around.by_default or ()), key=str)),
        taken=frozenset(around.taken or ()),
    )


def read_all_equipped(engine: Engine, table: PartitionedTable) -> tuple[Equipped, ...] | None:
    """What each of the newest partitions and the DEFAULT have of their own; None where that can't be read just now.

    Those of other owners, foreign tables and those partitioned again are left out.
    """
    if table.not_served is not None:
        return ()
    mine = [p for p in table.partitions if p.is_plain and p.bounds and not p.pending and not p.busy]
    return read_equipped_of(engine, table, [p.oid for p in mine if p.owner == table.owner][-MOST:])


def read_equipped_of(engine: Engine, table: PartitionedTable, oids: Iterable[int]) -> tuple[Equipped, ...] | None:
    """What tables that are, or were, partitions of `table` have of their own; None where somebody holds one locked."""
    if table.key is None:
        return ()
    try:
        with session(engine) as connection, reading(connection, timeout_ms=READ_TIMEOUT_MS):
            return read_equipped(connection, table.oid, oids, table.key, table.server)
    except DBAPIError as error:
        if sqlstate(error) in (LOCK_TIMEOUT, CANCELLED):
            return None
        raise translate(error) from error


def _of_one(one: Equipped, key: Key) -> Iterator[Trait]:
    """Its traits, less what may be meant for it alone, where no second partition tells."""
    for trait in one.traits:
        end = r"(?!\w)" if trait.kind is not Kind.COLUMN else ""
        names_it = re.search(rf"(?<!\w){re.escape(one.name)}{end}", trait.on(""))
        names = "|".join(re.escape(name) for name in key.columns)
        keyed = trait.kind is Kind.CHECK and re.search(rf"(?<!\w)(?:{names})(?!\w)", trait.parts[0])
        if trait.lacks or not (names_it or keyed or trait.kind is Kind.COMMENT):
            yield trait
        else:
            yield replace(trait, lacks=f"it may be meant for {one.name} alone, and no other partition tells")
