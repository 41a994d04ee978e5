"""What a table needs beside itself: types that are made along with it, and what its parts depend on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import Connection

from core.errors import BackupUnusable
from core.names import ident, literal, qualified
from core.plans.manifest import LeftOut, Needed
from core.postgres.collation import DEFAULT_ORDER
from core.postgres.session import Row, rows_of

_FIRST_OF_USER = 16384
"""FirstNormalObjectId: objects with lower oids came with PostgreSQL."""


_DEPENDENCIES = """
WITH mine AS (
    SELECT 'pg_catalog.pg_attrdef'::regclass AS classid, d.oid, 'default ' || a.attname AS what, '' AS definition
        FROM pg_catalog.pg_attrdef d
        JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = {oid}
    UNION ALL SELECT 'pg_catalog.pg_constraint'::regclass, k.oid, 'constraint ' || k.conname,
        pg_catalog.pg_get_constraintdef(k.oid)
        FROM pg_catalog.pg_constraint k WHERE k.conrelid = {oid} AND k.contype IN ('c', 'x', 'p', 'u')
    UNION ALL SELECT 'pg_catalog.pg_class'::regclass, x.indexrelid, CASE WHEN k.oid IS NULL THEN 'index ' || ic.relname
            ELSE 'constraint ' || k.conname END, pg_catalog.pg_get_indexdef(x.indexrelid)
        FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid
        LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = x.indexrelid AND k.conrelid = x.indrelid
            AND k.contype IN ('p', 'u', 'x')
        WHERE x.indrelid = {oid}
)
SELECT m.what, m.definition, d.refclassid::regclass::text AS class_, d.refobjid,
    CASE d.refclassid
        WHEN 'pg_catalog.pg_class'::regclass THEN 'regclass ' || d.refobjid::regclass::text
        WHEN 'pg_catalog.pg_proc'::regclass THEN 'regprocedure ' || d.refobjid::regprocedure::text
        WHEN 'pg_catalog.pg_type'::regclass THEN 'regtype ' || pg_catalog.format_type(d.refobjid, NULL)
        WHEN 'pg_catalog.pg_operator'::regclass THEN 'regoperator ' || d.refobjid::regoperator::text
        WHEN 'pg_catalog.pg_collation'::regclass THEN 'collation ' || d.refobjid::regcollation::text
        ELSE 'other ' || pg_catalog.pg_describe_object(d.refclassid, d.refobjid, 0) END AS needs,
    (SELECT e.extname FROM pg_catalog.pg_depend x JOIN pg_catalog.pg_extension e ON e.oid = x.refobjid
        WHERE x.classid = d.refclassid AND x.objid = d.refobjid AND x.deptype = 'e') AS extension
FROM mine m
JOIN pg_catalog.pg_depend d ON d.classid = m.classid AND d.objid = m.oid AND d.deptype IN ('n', 'a')
LEFT JOIN pg_catalog.pg_collation co ON d.refclassid = 'pg_catalog.pg_collation'::regclass AND co.oid = d.refobjid
WHERE NOT (d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = {oid})
    AND NOT (d.refclassid = 'pg_catalog.pg_constraint'::regclass)
    AND NOT (d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid IN (
        SELECT x.indexrelid FROM pg_catalog.pg_index x WHERE x.indrelid = {oid}))
    AND NOT (d.refclassid = 'pg_catalog.pg_class'::regclass AND EXISTS (  -- the parent's index or constraint
        SELECT 1 FROM pg_catalog.pg_inherits i WHERE i.inhparent = d.refobjid AND d.deptype <> 'n'))
    AND (d.refobjid >= {first} OR (co.oid IS NOT NULL AND co.collname NOT IN ('default', 'C', 'POSIX', 'ucs_basic')))
ORDER BY 1, 5
"""


def dependencies(connection: Connection, oid: int, types: Types) -> dict[str, tuple[str, ...]]:
    """What each default, constraint and index needs that a lone server has not, for those that need anything."""
    found: dict[str, list[str]] = {}
    for row in rows_of(connection, _DEPENDENCIES.format(oid=oid, first=_FIRST_OF_USER)):
        if row.class_ == "pg_type" and row.refobjid in types.known:
            continue
        if row.class_ == "pg_collation" and row.definition and " COLLATE " not in row.definition:
            continue  # the column's own, which is left out at the column
        if row.extension in types.extensions:
            continue
        needs = row.needs if row.extension is None else f"extension {row.extension}"
        found.setdefault(row.what, []).append(needs)
    return {what: tuple(dict.fromkeys(needs)) for what, needs in found.items()}


_ORDERED = """
SELECT conname, array_agg(DISTINCT needs ORDER BY needs) AS needs FROM (
    SELECT k.conname, CASE WHEN co.collname = 'default' THEN 'order ' || d.own
        ELSE 'collation ' || co.oid::regcollation::text END AS needs
    FROM (SELECT {default_order} AS own) d
    CROSS JOIN pg_catalog.pg_constraint k
    CROSS JOIN LATERAL pg_catalog.regexp_matches(k.conbin::text, '\\{{OPEXPR :opno (\\d+) :opfuncid \\d+'
        ' :opresulttype \\d+ :opretset \\w+ :opcollid \\d+ :inputcollid (\\d+) ', 'g') m(found)
    JOIN pg_catalog.pg_collation co ON co.oid = m.found[2]::oid AND co.collname NOT IN ('C', 'POSIX', 'ucs_basic')
        AND NOT (co.collname = 'default' AND d.own = '')
    WHERE k.conrelid = {oid} AND k.contype = 'c' AND EXISTS (SELECT FROM pg_catalog.pg_amop o
        JOIN pg_catalog.pg_am a ON a.oid = o.amopmethod AND a.amname = 'btree'
        WHERE o.amopopr = m.found[1]::oid AND o.amopstrategy <> 3)
    UNION ALL
    SELECT k.conname, 'collation ' || co.oid::regcollation::text
    FROM pg_catalog.pg_constraint k
    CROSS JOIN LATERAL pg_catalog.regexp_matches(k.conbin::text, '(:funccollid \\d+)? :inputcollid (\\d+) ',
        'g') m(found)
    JOIN pg_catalog.pg_collation co ON co.oid = m.found[2]::oid
        AND co.collname NOT IN ('default', 'C', 'POSIX', 'ucs_basic')
    WHERE k.conrelid = {oid} AND k.contype = 'c' AND (m.found[1] IS NOT NULL OR NOT co.collisdeterministic)) every
GROUP BY conname
"""


def ordered(connection: Connection, oid: int) -> dict[str, tuple[str, ...]]:
    """The CHECKs that rest on a collation that another server may not have, and which that is.

    What they are made of is read from their trees: a CHECK that compares by its column's or the database's collation
    names none. Equality is alike everywhere, unless the collation takes different texts for the same; what a function
    makes of a text (`upper`) is the collation's.
    """
    sql = _ORDERED.format(oid=oid, default_order=DEFAULT_ORDER)
    return {f"constraint {row.conname}": tuple(row.needs) for row in rows_of(connection, sql)}


def _collated(collation: str, usual: str) -> str:
    """A collation that every server has, quoted and qualified, where it is not the usual one."""
    return (
        "(SELECT 'pg_catalog.' || pg_catalog.quote_ident(co.collname) FROM pg_catalog.pg_collation co"
        f" WHERE co.oid = {collation} AND {collation} <> {usual} AND co.oid < {_FIRST_OF_USER}"
        " AND co.collname IN ('C', 'POSIX', 'ucs_basic'))"
    )


_TYPES = """
SELECT t.oid, n.nspname, t.typname, t.typtype, t.typelem, t.typbasetype, t.typrelid, t.typnotnull, t.typdefault,
    t.typcategory, pg_catalog.format_type(t.typbasetype, t.typtypmod) AS base,
    (SELECT e.extname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e') AS extension,
    (SELECT en.nspname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
        JOIN pg_catalog.pg_namespace en ON en.oid = e.extnamespace
        WHERE d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e') AS extension_schema,
    (SELECT json_agg(l.enumlabel ORDER BY l.enumsortorder) FROM pg_catalog.pg_enum l WHERE l.enumtypid = t.oid)
        AS labels,
    (SELECT json_agg(json_build_array(a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)
            || coalesce(' COLLATE ' || {of_attribute}, ''), a.atttypid::bigint)
        ORDER BY a.attnum) FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
        WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) AS attributes,
    CASE WHEN t.typtype = 'd' THEN {of_domain} END AS domain_collation,
    {of_range} AS range_collation,
    CASE WHEN t.typtype = 'd' THEN {odd_of_domain} ELSE {odd_of_range} END::text AS odd_collation,
    (SELECT pg_catalog.quote_ident(on_.nspname) || '.' || pg_catalog.quote_ident(o.opcname)
        FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_namespace on_ ON on_.oid = o.opcnamespace
        WHERE o.oid = r.rngsubopc AND NOT o.opcdefault) AS opclass, r.rngsubopc >= 16384 AS own_opclass,
    CASE WHEN r.rngsubdiff <> 0 AND r.rngsubdiff < 16384 THEN r.rngsubdiff::regproc::text END AS difference,
    (SELECT json_agg(json_build_array(k.conname, pg_catalog.pg_get_constraintdef(k.oid), k.convalidated
            AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_constraint'::regclass
            AND d.objid = k.oid AND d.refobjid >= 16384 AND d.refclassid <> 'pg_catalog.pg_type'::regclass
            AND NOT (d.refclassid = 'pg_catalog.pg_class'::regclass AND EXISTS (  -- a composite type's attributes
                SELECT 1 FROM pg_catalog.pg_class c WHERE c.oid = d.refobjid AND c.relkind = 'c'))))
        ORDER BY k.conname) FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c') AS checks,
    EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = t.oid
        AND d.refobjid >= 16384 AND d.refclassid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_class'::regclass))
        AS default_waits,
    r.rngsubtype::bigint AS subtype, pg_catalog.format_type(r.rngsubtype, NULL) AS subtype_name,
    (SELECT m.typname FROM pg_catalog.pg_type m WHERE m.oid = r.rngmultitypid) AS multirange,
    mr.rngtypid::bigint AS range_of, coalesce(r.rngcanonical <> 0, false) AS canonical
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid
LEFT JOIN pg_catalog.pg_range mr ON mr.rngmultitypid = t.oid
WHERE t.oid = ANY ('{{{oids}}}'::oid[])
"""


def _of_server(collation: str, usual: str) -> str:
    """A collation that came with the server, quoted and qualified, where it is not the usual one: without it, a range
    may have its ends the wrong way round."""
    return (
        "(SELECT 'pg_catalog.' || pg_catalog.quote_ident(co.collname) FROM pg_catalog.pg_collation co"
        f" WHERE co.oid = {collation} AND {collation} <> {usual} AND co.oid < {_FIRST_OF_USER})"
    )


def _odd_collation(collation: str, usual: str, kept: str) -> str:
    """One that a type is made without."""
    return f"CASE WHEN {collation} <> {usual} AND {kept} IS NULL THEN {collation}::regcollation END"


_OF_DOMAIN = "t.typcollation", "(SELECT b.typcollation FROM pg_catalog.pg_type b WHERE b.oid = t.typbasetype)"
_OF_RANGE = "r.rngcollation", "(SELECT b.typcollation FROM pg_catalog.pg_type b WHERE b.oid = r.rngsubtype)"


def _types_sql(oids: Iterable[int]) -> str:
    return _TYPES.format(
        oids=",".join(map(str, oids)),
        of_attribute=_collated("a.attcollation", "y.typcollation"),
        of_domain=_collated(*_OF_DOMAIN),
        of_range=_of_server(*_OF_RANGE),
        odd_of_domain=_odd_collation(*_OF_DOMAIN, _collated(*_OF_DOMAIN)),
        odd_of_range=_odd_collation(*_OF_RANGE, _of_server(*_OF_RANGE)),
    )


class Types:
    """The types of the user's that a table rests on, those that others rest on first."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.known: set[int] = set()
        self.left_out: list[LeftOut] = []
        """What a server that holds nothing else can't have of them, or can't be given as they are made."""
        self._needed: list[Needed] = []

    @property
    def extensions(self) -> frozenset[str]:
        """The extensions that some of them belong to."""
        return frozenset(need.name for need in self._needed if need.kind == "extension")

    def statements(self) -> tuple[Needed, ...]:
        """What makes them, in order."""
        return tuple(dict.fromkeys(self._needed))

    def add(self, oids: Iterable[int | None]) -> None:
        """Adds types by their oids, and what they rest on. Raises BackupUnusable for one written in C."""
        wanted = sorted({oid for oid in oids if oid is not None and oid >= _FIRST_OF_USER} - self.known)
        if not wanted:
            return
        self.known |= set(wanted)
        for row in rows_of(self._connection, _types_sql(wanted)):
            self._add(row)

    def _add(self, row: Row) -> None:
        name = qualified(row.nspname, row.typname)
        if row.odd_collation:
            whose = f"of the type {row.nspname}.{row.typname}"
            self.left_out.append(LeftOut(f"collation {row.odd_collation} {whose}", ""))
        if row.extension:
            schema = f" WITH SCHEMA {ident(row.extension_schema)}"
            sql = f"CREATE EXTENSION IF NOT EXISTS {ident(row.extension)}{schema}"
            self._needed.append(Needed("extension", row.extension_schema, row.extension, sql))
        elif row.typtype == "b" and row.typelem and row.typcategory == "A":
            self.add([row.typelem])
        elif row.typtype == "m":
            self.add([row.range_of])
        elif row.typtype == "e":
            labels = tuple(row.labels or ())
            listed = ", ".join(literal(label).strip() for label in labels)
            self._append(row, f"CREATE TYPE {name} AS ENUM ({listed})", labels)
        elif row.typtype == "d":
            self.add([row.typbasetype])
            self._append(row, f"CREATE DOMAIN {name} AS {_domain(row)}")
            self.left_out += _left_of_domain(row, name)
        elif row.typtype == "c":
            attributes = row.attributes or []
            self.add([oid for _, _, oid in attributes])
            listed = ", ".join(f"{ident(attribute)} {type_}" for attribute, type_, _ in attributes)
            self._append(row, f"CREATE TYPE {name} AS ({listed})")
        elif row.typtype == "r" and not row.canonical and not row.own_opclass:
            self.add([row.subtype])
            parts = [f"SUBTYPE = {row.subtype_name}"]
            if row.opclass:
                parts.append(f"SUBTYPE_OPCLASS = {row.opclass}")
            if row.range_collation:
                parts.append(f"COLLATION = {row.range_collation}")
            if row.difference:
                parts.append(f"SUBTYPE_DIFF = {row.difference}")
            parts.append(f"MULTIRANGE_TYPE_NAME = {qualified(row.nspname, row.multirange)}")
            self._append(row, f"CREATE TYPE {name} AS RANGE ({', '.join(parts)})")
        else:
            raise BackupUnusable(
                f"The type {name} is not one that can be made elsewhere by SQL alone, so that no backup of this table"
                " could be proven.",
                next="Turn its columns into a type of PostgreSQL's own first.",
            )

    def _append(self, row: Row, sql: str, labels: tuple[str, ...] = ()) -> None:
        self._needed.append(Needed("type", row.nspname, row.typname, sql, labels))


def _domain(row: Row) -> str:
    words = [row.base]
    if row.domain_collation:
        words.append(f"COLLATE {row.domain_collation}")
    if row.typdefault is not None and not row.default_waits:
        words.append(f"DEFAULT {row.typdefault}")
    if row.typnotnull:
        words.append("NOT NULL")
    words += [f"CONSTRAINT {ident(name)} {definition}" for name, definition, alone in row.checks or () if alone]
    return " ".join(words)


def _left_of_domain(row: Row, name: str) -> Iterator[LeftOut]:
    """What of a domain its values are restored without, where it has to be made."""
    whose, there = f"of the type {row.nspname}.{row.typname}", (f"regtype {name}",)
    if row.typdefault is not None and row.default_waits:
        yield LeftOut(f"default {whose}", f"ALTER DOMAIN {name} SET DEFAULT {row.typdefault}", there)
    for constraint, definition, alone in row.checks or ():
        if not alone:
            sql = f"ALTER DOMAIN {name} ADD CONSTRAINT {ident(constraint)} {definition}"
            yield LeftOut(f"constraint {constraint} {whose}", sql, there)


def type_there(connection: Connection, oid: int) -> Needed | None:
    """A type as a backup made now would have it; None for one that SQL alone does not make."""
    found = Types(connection)
    try:
        found.add([oid])
    except BackupUnusable:
        return None
    return found.statements()[-1]
