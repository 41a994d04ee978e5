"""How a table is written down so that it can be made on a server that holds nothing else, and what that leaves out.

It reads what else the catalog says of the table, in the caller's transaction. The session must print qualified names
(search_path = pg_catalog).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from core.backups.needs import Types, dependencies, ordered
from core.errors import BackupUnusable
from core.names import ident, literal, qualified
from core.plans.manifest import BackupColumn, LeftOut, Needed
from core.postgres.session import Row, rows_of
from core.tables.definition import Constraint, Definition, Rights
from core.tables.rebuild import belongings, indexing, with_options
from core.tables.structure import Check

EVERYWHERE = ("", *(f'"pg_catalog"."{name}"' for name in ("default", "C", "POSIX", "ucs_basic")))
"""The collations that every server has."""


@dataclass(frozen=True, slots=True)
class Lone:
    """A table's statements without those that need anything but the types in `needs`, and what was left out."""

    columns: tuple[BackupColumn, ...]
    needs: tuple[Needed, ...]
    create: str
    """CREATE TABLE."""
    settings: tuple[str, ...]
    """What is set on it before it has rows: storage and the like."""
    constraints: tuple[str, ...]
    """What follows the rows: constraints, indexes, comments."""
    left_out: tuple[LeftOut, ...]
    constraint_names: tuple[str, ...]
    """Those that are taken on the table."""


def write_lone(connection: Connection, definition: Definition, relation: tuple[str, str], split: str = "") -> Lone:
    """The statements that make `definition` as the table `relation` (schema, name), partitioned by `split` if at all.

    Raises BackupUnusable for what can't be made elsewhere and can't be left out either.
    """
    own = rows_of(connection, _COLUMNS.format(oid=definition.oid))
    needs = Types(connection)
    needs.add(row.atttypid for row in own)
    waiting = {**ordered(connection, definition.oid), **dependencies(connection, definition.oid, needs)}
    target = qualified(*relation)
    moved = replace(definition, schema=relation[0], name=relation[1], user=definition.owner)
    constraints = [row for row in _constraints(connection, definition.oid) if not _of_a_parent(row)]
    kept, later = _split_constraints(constraints, waiting)
    indexes = tuple(replace(index, tablespace="") for index in definition.indexes if not index.constraint)
    alone = tuple(index for index in indexes if index.valid and f"index {index.name}" not in waiting)
    named = {row.column: row for row in constraints if row.contype == "n"}
    statements = [
        *_constraint_sql(moved, kept),
        *indexing(moved, (), alone),
        *_index_comments(moved, kept),
        *_identity_sql(target, own, definition),
        *_statistics(connection, moved, target),
    ]
    left = [
        *_left_of_columns(target, own, waiting),
        *(
            LeftOut(f"constraint {one.name}", sql, waiting[f"constraint {one.name}"], "restore")
            for one in later
            for sql in _constraint_sql(moved, (one,))
        ),
        *(
            LeftOut(f"index {index.name}", sql, waiting[f"index {index.name}"], "restore")
            for index in indexes
            if index.valid and index not in alone
            for sql in indexing(moved, (), (index,))
        ),
        *(LeftOut(f"index {index.name}, which is not valid", "") for index in indexes if not index.valid),
        *_left_of_indexes(connection, moved),
        *needs.left_out,
        *_left_of_table(moved, definition, target, constraints),
        *_left_of_rules(connection, definition),
        *(
            LeftOut(f"constraint {row.conname}, which holds its parent's number", "", back="reattach")
            for row in _constraints(connection, definition.oid)
            if _of_a_parent(row)
        ),
    ]
    return Lone(
        columns=_backup_columns(own),
        needs=needs.statements(),
        create=_create(target, definition, own, named, waiting) + (f" PARTITION BY {split}" if split else ""),
        settings=tuple(_settings(moved, target, own)),
        constraints=tuple(statements),
        left_out=tuple(left),
        constraint_names=tuple(row.conname for row in constraints),
    )


def read_columns(connection: Connection, oid: int) -> tuple[BackupColumn, ...]:
    """The columns of a table as a manifest keeps them."""
    return _backup_columns(rows_of(connection, _COLUMNS.format(oid=oid)))


_CHECKS = """
SELECT k.conname, pg_catalog.pg_get_constraintdef(k.oid) AS definition, k.convalidated
FROM pg_catalog.pg_constraint k WHERE k.conrelid = {oid} AND k.contype = 'c'
"""


def read_checks(connection: Connection, oid: int) -> tuple[Check, ...]:
    """The CHECK constraints of a table."""
    rows = rows_of(connection, _CHECKS.format(oid=oid))
    return tuple(Check(row.conname, row.definition, row.convalidated) for row in rows)


def _backup_columns(rows: Sequence[Row]) -> tuple[BackupColumn, ...]:
    return tuple(
        BackupColumn(row.attname, row.type, row.attnotnull, row.attgenerated, row.collation or "") for row in rows
    )


# --- columns ------------------------------------------------------------------------------------------------------

_COLUMNS = """
SELECT a.attname, a.atttypid, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull,
    a.attgenerated, a.attidentity, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS expression,
    CASE WHEN a.attcollation <> t.typcollation
        THEN '"' || replace(n.nspname, '"', '""') || '"."' || replace(co.collname, '"', '""') || '"' END AS collation,
    CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage END AS storage, a.attcompression AS compression,
    pg_catalog.col_description(a.attrelid, a.attnum) AS comment,
    (SELECT x.indexrelid::regclass::text FROM pg_catalog.pg_index x
        WHERE x.indrelid = a.attrelid AND x.indisreplident LIMIT 1) AS replica_index,
    (SELECT ic.relname FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid
        WHERE x.indrelid = a.attrelid AND x.indisreplident LIMIT 1) AS replica_name,
    (SELECT ic.relname FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid
        WHERE x.indrelid = a.attrelid AND x.indisclustered LIMIT 1) AS clustered
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = co.collnamespace
WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""


_OF_SERVERS = re.compile(r'collation (?:"(?:[^"]|"")+"|[^".]+)')
"""A collation of pg_catalog, which most servers have, and without which a column can't be computed."""


def _create(
    target: str, definition: Definition, own: Sequence[Row], named: dict[str, Row], waiting: dict[str, tuple[str, ...]]
) -> str:
    lines = [f"    {_column(row, named, waiting)}" for row in own]
    options = with_options(definition.portable_options)
    return f"CREATE TABLE {target} (\n" + ",\n".join(lines) + f"\n){options}"


def _column(row: Row, named: dict[str, Row], waiting: dict[str, tuple[str, ...]]) -> str:
    words = [ident(row.attname), row.type]
    if row.collation and row.collation in EVERYWHERE:
        words.append(f"COLLATE {row.collation}")
    if row.attgenerated:
        lacking = [need for need in waiting.get(f"default {row.attname}", ()) if not _OF_SERVERS.fullmatch(need)]
        if lacking:
            needed = ", ".join(need.partition(" ")[2] for need in lacking)
            raise BackupUnusable(
                f"The column {row.attname} is generated with {needed}, which a server that holds only this table"
                " does not have; a backup of it could not be proven.",
                next="Write the expression with PostgreSQL's own functions.",
            )
        kind = "VIRTUAL" if row.attgenerated == "v" else "STORED"
        words.append(f"GENERATED ALWAYS AS ({row.expression}) {kind}")
    elif row.expression is not None and f"default {row.attname}" not in waiting:
        words.append(f"DEFAULT {row.expression}")
    constraint = named.get(row.attname)
    if row.attnotnull and (constraint is None or constraint.convalidated):
        if constraint is not None:  # PostgreSQL 18 gives it a name; older ones read it and forget it
            words.append(f"CONSTRAINT {ident(constraint.conname)}")
        words.append("NOT NULL" + (" NO INHERIT" if constraint is not None and constraint.connoinherit else ""))
    return " ".join(words)


_STORAGE = {"p": "PLAIN", "e": "EXTERNAL", "m": "MAIN", "x": "EXTENDED"}


def _settings(moved: Definition, target: str, own: Sequence[Row]) -> Iterator[str]:
    for row in own:
        column = ident(row.attname)
        if row.storage:
            yield f"ALTER TABLE {target} ALTER COLUMN {column} SET STORAGE {_STORAGE[row.storage]}"
        if row.compression == "p":
            yield f"ALTER TABLE {target} ALTER COLUMN {column} SET COMPRESSION pglz"
        if row.comment is not None:
            yield f"COMMENT ON COLUMN {target}.{column} IS {literal(row.comment).strip()}"
    yield from belongings(_bare(moved, columns=tuple(replace(column, grants=()) for column in moved.columns)), ())


def _bare(definition: Definition, **kept: Any) -> Definition:
    """The definition with nothing that hangs on the table but what is given."""
    nothing = {
        "columns": (),
        "constraints": (),
        "incoming": (),
        "triggers": (),
        "policies": (),
        "statistics": (),
        "publications": (),
        "sequences": (),
        "rights": Rights(),
        "row_security": False,
        "row_security_forced": False,
        "replica_identity": "d",
        "comment": None,
    }
    return replace(definition, **{**nothing, **kept})


def _left_of_columns(target: str, own: Sequence[Row], waiting: dict[str, tuple[str, ...]]) -> Iterator[LeftOut]:
    for row in own:
        alter = f"ALTER TABLE {target} ALTER COLUMN {ident(row.attname)}"
        if row.collation and row.collation not in EVERYWHERE:
            collate = f"{alter} SET DATA TYPE {row.type} COLLATE {row.collation}"
            yield LeftOut(f"collation of {row.attname}", collate, (f"collation {row.collation}",), "columns")
        needs = waiting.get(f"default {row.attname}")
        if needs:
            default = f"{alter} SET DEFAULT {row.expression}"
            yield LeftOut(f"default of {row.attname}", default, needs, "columns")
        if row.compression == "l":
            yield LeftOut(f"compression of {row.attname}", f"{alter} SET COMPRESSION lz4", ("lz4",), "columns")
        if row.attidentity:
            yield LeftOut(f"identity of {row.attname}, which comes with the parent", "", back="reattach")


# --- constraints and indexes --------------------------------------------------------------------------------------

_CONSTRAINTS = """
SELECT k.oid, k.conname, k.contype, pg_catalog.pg_get_constraintdef(k.oid) AS definition, k.convalidated,
    k.connoinherit, pg_catalog.obj_description(k.oid, 'pg_constraint') AS comment,
    a.attname AS column, ic.relname AS index, pg_catalog.obj_description(ic.oid, 'pg_class') AS index_comment,
    k.confrelid::regclass::text AS other
FROM pg_catalog.pg_constraint k
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
LEFT JOIN pg_catalog.pg_class ic ON ic.oid = k.conindid
WHERE k.conrelid = {oid} AND k.contype IN ('p', 'u', 'x', 'c', 'f', 'n')
ORDER BY array_position(ARRAY['n', 'c', 'p', 'u', 'x', 'f'], k.contype::text), k.conname
"""


def _of_a_parent(row: Row) -> bool:
    """Whether it is a CHECK that a detach left of a table below HASH: it names a table by its oid, here and now."""
    return row.contype == "c" and "satisfies_hash_partition(" in row.definition


def _constraints(connection: Connection, oid: int) -> Sequence[Row]:
    return rows_of(connection, _CONSTRAINTS.format(oid=oid))


def _split_constraints(
    rows: Sequence[Row], waiting: dict[str, tuple[str, ...]]
) -> tuple[tuple[Constraint, ...], tuple[Constraint, ...]]:
    """The constraints that a lone table can have, and those that have to wait; foreign keys are in neither."""
    kept: list[Constraint] = []
    later: list[Constraint] = []
    for row in rows:
        if row.contype == "f" or (row.contype == "n" and row.convalidated):
            continue
        one = Constraint(row.conname, row.contype, row.definition, comment=row.comment)
        (later if f"constraint {row.conname}" in waiting else kept).append(one)
    return tuple(kept), tuple(later)


def _constraint_sql(moved: Definition, constraints: Iterable[Constraint]) -> Iterator[str]:
    yield from indexing(replace(moved, indexes=()), tuple(constraints), ())


def _index_comments(moved: Definition, constraints: Iterable[Constraint]) -> Iterator[str]:
    comments = {index.name: index.comment for index in moved.indexes}
    for one in constraints:
        comment = comments.get(one.name) if one.kind in "pux" else None
        if comment is not None:
            yield f"COMMENT ON INDEX {qualified(moved.schema, one.name)} IS {literal(comment).strip()}"


def _identity_sql(target: str, own: Sequence[Row], definition: Definition) -> Iterator[str]:
    words = {"f": "FULL", "n": "NOTHING"}.get(definition.replica_identity)
    if definition.replica_identity == "i" and own and own[0].replica_name:
        words = f"USING INDEX {ident(own[0].replica_name)}"
    if words:
        yield f"ALTER TABLE {target} REPLICA IDENTITY {words}"
    if own and own[0].clustered:
        yield f"ALTER TABLE {target} CLUSTER ON {ident(own[0].clustered)}"


def _statistics(connection: Connection, moved: Definition, target: str) -> Iterator[str]:
    """Statistics objects, made in the table's new schema."""
    if not moved.statistics:
        return
    was = rows_of(connection, f"SELECT {moved.oid}::regclass::text AS name")[0].name
    for one in moved.statistics:
        _, _, what = one.definition.partition(" ON ") if '"' not in one.definition else _after_name(one.definition)
        kinds = ""
        head = one.definition[: len(one.definition) - len(what)]
        if head.endswith(") ON "):
            kinds = f" {head[head.rindex('(') : -4]}"
        columns = what.removesuffix(f" FROM {was}")
        name = qualified(moved.schema, one.name)
        yield f"CREATE STATISTICS {name}{kinds} ON {columns} FROM {target}"
        if one.comment is not None:
            yield f"COMMENT ON STATISTICS {name} IS {literal(one.comment).strip()}"


def _after_name(definition: str) -> tuple[str, str, str]:
    head, on, what = definition.partition(" ON ")
    while head.count('"') % 2:
        more, on, what = what.partition(" ON ")
        head = f"{head} ON {more}"
    return head, on, what


def _left_of_table(
    moved: Definition, definition: Definition, target: str, constraints: Sequence[Row]
) -> Iterator[LeftOut]:
    for row in constraints:
        if row.contype == "f":
            sql = f"ALTER TABLE {target} ADD CONSTRAINT {ident(row.conname)} {row.definition}"
            yield LeftOut(f"foreign key {row.conname} to {row.other}", sql, (f"regclass {row.other}",), "reattach")
    yield from _left_of_options(definition, target)
    if definition.unlogged:
        yield LeftOut("that it is unlogged", f"ALTER TABLE {target} SET UNLOGGED")
    for trigger in definition.triggers:
        yield LeftOut(f"trigger {trigger.name}{_FIRING.get(trigger.enabled, '')}", trigger.definition)
    for policy in definition.policies:
        yield LeftOut(f"policy {policy.name}", policy.definition)
    for statistics in definition.statistics:
        if statistics.target is not None:
            sql = f"ALTER STATISTICS {qualified(moved.schema, statistics.name)} SET STATISTICS {statistics.target}"
            yield LeftOut(f"target of the statistics {statistics.name}", sql)
    if definition.row_security:
        yield LeftOut("row security", f"ALTER TABLE {target} ENABLE ROW LEVEL SECURITY")
    if definition.row_security_forced:
        yield LeftOut("row security for the owner", f"ALTER TABLE {target} FORCE ROW LEVEL SECURITY")
    if definition.tablespace:
        yield LeftOut(f"tablespace {definition.tablespace}", "")
    for publication in definition.publications:
        yield LeftOut(f"publication {publication.name}", "")
    yield LeftOut(
        f"owner {definition.owner}",
        f"ALTER TABLE {target} OWNER TO {ident(definition.owner)}",
        (f"role {definition.owner}",),
        "restore",
    )
    rights = replace(definition.rights, by_default=())
    columns = tuple(replace(column, statistics=None, attoptions=()) for column in moved.columns)
    for sql in belongings(_bare(moved, rights=rights, columns=columns), ()):
        yield LeftOut("rights", sql, _grantees(sql, definition), "restore")


_FIRING = {"D": ", switched off", "R": ", on replicas alone", "A": ", on replicas as well"}

_INDEX_TARGETS = """
SELECT ic.relname, a.attnum, a.attstattarget AS target
FROM pg_catalog.pg_index x
JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid
JOIN pg_catalog.pg_attribute a ON a.attrelid = ic.oid AND a.attstattarget >= 0
WHERE x.indrelid = {oid} AND x.indisvalid
ORDER BY ic.relname, a.attnum
"""


def _left_of_indexes(connection: Connection, moved: Definition) -> Iterator[LeftOut]:
    for row in rows_of(connection, _INDEX_TARGETS.format(oid=moved.oid)):
        index = qualified(moved.schema, row.relname)
        sql = f"ALTER INDEX {index} ALTER COLUMN {row.attnum} SET STATISTICS {row.target}"
        yield LeftOut(f"statistics target of the index {row.relname}", sql)


_RULES = """
SELECT r.rulename, pg_catalog.pg_get_ruledef(r.oid) AS definition FROM pg_catalog.pg_rewrite r
WHERE r.ev_class = {oid} ORDER BY r.rulename
"""


def _left_of_rules(connection: Connection, definition: Definition) -> Iterator[LeftOut]:
    for row in rows_of(connection, _RULES.format(oid=definition.oid)):
        yield LeftOut(f"rule {row.rulename}", row.definition.removesuffix(";"))


def _left_of_options(definition: Definition, target: str) -> Iterator[LeftOut]:
    for option in definition.reloptions:
        if option not in definition.portable_options:
            name, _, value = option.partition("=")
            yield LeftOut(f"option {option}", f"ALTER TABLE {target} SET ({name}={literal(value).strip()})")
    for column in definition.columns:
        for option in column.odd_options:
            sql = f"ALTER TABLE {target} ALTER COLUMN {ident(column.name)} SET ({option})"
            yield LeftOut(f"option {option} of {column.name}", sql)


def _grantees(sql: str, definition: Definition) -> tuple[str, ...]:
    """The role that a GRANT is for; it ends with its name. A REVOKE concerns the owner alone."""
    roles = {one.grantee for one in definition.rights.grants or ()}
    roles |= {one.grantee for column in definition.columns for one in column.grants}
    if sql.startswith("REVOKE "):
        return (f"role {definition.owner}",)
    ends = sql.removesuffix(" WITH GRANT OPTION")
    return tuple(f"role {role}" for role in sorted(roles) if role and ends.endswith(f" TO {ident(role)}"))
