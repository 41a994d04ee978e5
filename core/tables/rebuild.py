"""The SQL that makes a table anew beside the old one, from its definition: columns, rows, and all that hangs on it."""

from __future__ import annotations

from collections.abc import Iterator

from core.names import comment_sql, fit, ident, literal, qualified
from core.tables.definition import Constraint, DefinedIndex, Definition, Grant, Rights, Statistics


def like(definition: Definition) -> str:
    """The columns with defaults, NOT NULL, generation, CHECKs, storage and comments; no identity, no index."""
    what = ("DEFAULTS", "GENERATED", "CONSTRAINTS", "STORAGE", "COMPRESSION", "COMMENTS")
    return " ".join((f"LIKE {definition.aside_sql}", *(f"INCLUDING {one}" for one in what)))


def in_tablespace(definition: Definition) -> str:
    """The clause that puts a new table where the old one lies."""
    return f" TABLESPACE {ident(definition.tablespace)}" if definition.tablespace else ""


def with_options(options: tuple[str, ...]) -> str:
    """The WITH clause of storage parameters given as name=value."""
    pairs = (option.partition("=") for option in options)
    listed = ", ".join(f"{name}={literal(value).strip()}" for name, _, value in pairs)
    return f" WITH ({listed})" if listed else ""


def owner(definition: Definition, relation: str) -> tuple[str, ...]:
    """Gives a new relation to the table's owner, where somebody else makes it."""
    if definition.owner == definition.user:
        return ()
    return (f"ALTER TABLE {relation} OWNER TO {ident(definition.owner)}",)


def put_aside(definition: Definition) -> Iterator[str]:
    """Renames the old table and its identity sequences, so that the new ones can have their names."""
    yield from put_sequences_aside(definition)
    yield f"ALTER TABLE {definition.sql} RENAME TO {ident(definition.aside)}"


def put_sequences_aside(definition: Definition) -> Iterator[str]:
    """Renames the identity sequences of the old table."""
    for one in definition.sequences:
        if one.identity:
            yield f"ALTER SEQUENCE {qualified(one.schema, one.name)} RENAME TO {ident(fit(one.name, '_before'))}"


def sequences(definition: Definition) -> Iterator[str]:
    """Identity columns get a sequence that goes on where the old one stands; a serial's sequence changes hands."""
    for one in definition.sequences:
        sequence = qualified(one.schema, one.name)
        if not one.identity:
            yield f"ALTER SEQUENCE {sequence} OWNED BY {definition.sql}.{ident(one.column)}"
            continue
        old = qualified(one.schema, fit(one.name, "_before"))
        yield (
            f"ALTER TABLE {definition.sql} ALTER COLUMN {ident(one.column)} ADD GENERATED {one.identity} AS IDENTITY "
            f"(SEQUENCE NAME {sequence} {one.options})"
        )
        yield f"SELECT pg_catalog.setval({literal(sequence).strip()}, last_value, is_called) FROM {old}"
        yield from _grants(f"SEQUENCE {sequence}", one.rights, definition.owner)
        if one.comment is not None:
            yield f"COMMENT ON SEQUENCE {sequence} IS {literal(one.comment).strip()}"


def indexing(
    definition: Definition, constraints: tuple[Constraint, ...], indexes: tuple[DefinedIndex, ...] | None = None
) -> Iterator[str]:
    """PRIMARY KEY, UNIQUE and plain indexes under their own names, which the old table has given up by now."""
    standing = {index.name: index for index in definition.indexes}
    for one in constraints:
        index = standing.get(one.name)
        add = f"ALTER TABLE {definition.sql} ADD CONSTRAINT {ident(one.name)} {one.definition}"
        yield from _placed(add, index.tablespace if index else "")
        yield from commented(f"CONSTRAINT {ident(one.name)} ON {definition.sql}", one.comment)
        yield from commented(f"INDEX {qualified(definition.schema, one.name)}", index.comment if index else None)
    for index in definition.indexes if indexes is None else indexes:
        if not index.constraint:
            yield from make_index(definition, index)
    if not definition.partitioned:
        return
    for index in definition.indexes:
        if index.clustered:
            yield f"ALTER TABLE {definition.sql} CLUSTER ON {ident(index.name)}"


def make_index(definition: Definition, index: DefinedIndex) -> Iterator[str]:
    """CREATE INDEX, where the old one lay, and its comment."""
    unique = "UNIQUE " if index.unique else ""
    yield from _placed(f"CREATE {unique}INDEX {ident(index.name)} ON {definition.sql} {index.tail}", index.tablespace)
    yield from commented(f"INDEX {qualified(definition.schema, index.name)}", index.comment)


def _placed(statement: str, tablespace: str) -> tuple[str, ...]:
    """The printed definitions leave out the tablespace."""
    if not tablespace:
        return (statement,)
    return (
        f"SET LOCAL default_tablespace = {literal(ident(tablespace)).strip()}",
        statement,
        "SET LOCAL default_tablespace = ''",
    )


def commented(what: str, comment: str | None) -> tuple[str, ...]:
    """COMMENT ON, where there is one."""
    return () if comment is None else (f"COMMENT ON {what} IS {literal(comment).strip()}",)


def belongings(definition: Definition, children: tuple[str, ...]) -> Iterator[str]:
    """Everything else that hangs on the table, in an order in which each finds what it needs."""
    table = definition.sql
    for one in definition.of_kind("f"):
        yield f"ALTER TABLE {table} ADD CONSTRAINT {ident(one.name)} {one.definition}"
        yield from commented(f"CONSTRAINT {ident(one.name)} ON {table}", one.comment)
    for fk in definition.incoming:
        yield f"ALTER TABLE {fk.other} ADD CONSTRAINT {ident(fk.name)} {fk.definition}"
        yield from commented(f"CONSTRAINT {ident(fk.name)} ON {fk.other}", fk.comment)
    yield from _column_settings(definition, children)
    identity = {"f": "FULL", "n": "NOTHING"}.get(definition.replica_identity)
    if identity:
        yield from (f"ALTER TABLE {relation} REPLICA IDENTITY {identity}" for relation in (table, *children))
    for statistics in definition.statistics:
        yield from _statistics(definition, statistics)
    for trigger in definition.triggers:
        yield trigger.definition
        state = {"D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}.get(trigger.enabled)
        if state:
            yield f"ALTER TABLE {table} {state} TRIGGER {ident(trigger.name)}"
        yield from commented(f"TRIGGER {ident(trigger.name)} ON {table}", trigger.comment)
    if definition.row_security:
        yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
    if definition.row_security_forced:
        yield f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"
    for policy in definition.policies:
        yield policy.definition
        yield from commented(f"POLICY {ident(policy.name)} ON {table}", policy.comment)
    yield from _grants(f"TABLE {table}", definition.rights, definition.owner)
    for column in definition.columns:
        yield from _grant(f"TABLE {table}", column.grants, f" ({ident(column.name)})")
    if definition.comment is not None:
        yield comment_sql(table, definition.comment)
    for publication in definition.publications:
        columns = f" ({', '.join(map(ident, publication.columns))})" if publication.columns else ""
        where = f" WHERE ({publication.condition})" if publication.condition else ""
        yield f"ALTER PUBLICATION {ident(publication.name)} ADD TABLE {table}{columns}{where}"


def _column_settings(definition: Definition, children: tuple[str, ...]) -> Iterator[str]:
    for column in definition.columns:
        alter = f"ALTER COLUMN {ident(column.name)}"
        if column.statistics is not None:
            yield f"ALTER TABLE {definition.sql} {alter} SET STATISTICS {column.statistics}"
        if column.options:
            for relation in (definition.sql, *children):
                yield f"ALTER TABLE {relation} {alter} SET ({', '.join(column.options)})"


def _statistics(definition: Definition, one: Statistics) -> Iterator[str]:
    name = qualified(one.schema, one.name)
    yield one.definition
    if one.owner != definition.user:
        yield f"ALTER STATISTICS {name} OWNER TO {ident(one.owner)}"
    if one.target is not None:
        yield f"ALTER STATISTICS {name} SET STATISTICS {one.target}"
    yield from commented(f"STATISTICS {name}", one.comment)


def _role(name: str) -> str:
    return ident(name) if name else "PUBLIC"


def _grants(relation: str, rights: Rights, owner: str) -> Iterator[str]:
    revoked = [*rights.by_default, *([owner] if rights.owner_limited else [])]
    if revoked:
        yield f"REVOKE ALL ON {relation} FROM {', '.join(map(_role, revoked))}"
    own = () if rights.owner_limited else (owner,)
    yield from _grant(relation, tuple(one for one in rights.grants or () if one.grantee not in own), "")


def _grant(relation: str, grants: tuple[Grant, ...], columns: str) -> Iterator[str]:
    """One statement for each role, in the order of the rights' list; apart where some may be passed on."""
    together: dict[tuple[str, bool], list[str]] = {}
    for one in grants:
        together.setdefault((one.grantee, one.grantable), []).append(one.privilege + columns)
    for (grantee, grantable), privileges in together.items():
        option = " WITH GRANT OPTION" if grantable else ""
        yield f"GRANT {', '.join(privileges)} ON {relation} TO {_role(grantee)}{option}"


def told(definition: Definition) -> Iterator[str]:
    """What does not come along quite as it was, in plain sentences."""
    if definition.regranted:
        yield "Rights that others than the owner had granted are granted by the owner now."
    if definition.odd_options:
        yield f"The table loses options that are not known here: {', '.join(definition.odd_options)}."
    for column in definition.columns:
        if column.odd_options:
            yield f"The column {column.name} loses options that are not known here: {', '.join(column.odd_options)}."
    clustered = [index.name for index in definition.indexes if index.clustered]
    if clustered and not definition.partitioned:
        yield f"CLUSTER no longer knows {clustered[0]} by itself: a partitioned table keeps no such mark."
    for publication in definition.publications:
        if not publication.via_root and not definition.partitioned:
            yield (
                f"The publication {publication.name} sends changes under the partitions' names: its subscribers need "
                "those tables, or set publish_via_partition_root."
            )
