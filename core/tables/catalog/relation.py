"""Columns of queries that tell of the relation `c`, beside `b` that says whether it is busy; and what they become."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from core.names import ident
from core.postgres.session import Row
from core.tables.ends import KeyType, key_type_of
from core.tables.key import Key
from core.tables.size import Activity, Size
from core.tables.structure import Check, Column, Index

# Relations that somebody holds, or waits for, in ACCESS EXCLUSIVE: reading their size or bounds would wait.
BUSY = """
    SELECT DISTINCT l.relation AS oid FROM pg_catalog.pg_locks l
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid()
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
"""


INDEXED = """
indexed AS (
    SELECT x.indrelid AS oid, array_agg(ic.relname::text ORDER BY ic.relname) AS names,
        array_agg(ic.relname::text ORDER BY ic.relname) FILTER (WHERE NOT x.indisvalid) AS invalid,
        sum(ic.relpages)::bigint AS pages, sum(pg_catalog.pg_stat_get_numscans(x.indexrelid))::bigint AS scans
    FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid
    WHERE x.indrelid IN ({of}) GROUP BY x.indrelid)
"""
"""A part of WITH: what the indexes of each of these tables come to, in one go for tens of thousands of them.

Joined as `x`, it serves `size_columns` and `activity_columns`.
"""


def size_columns(exact: bool, *, indexed: bool = False) -> str:
    """Columns heap, index_bytes, toast of the relation c; NULL where it is busy (source: dbsize.c).

    An exact size costs a look at each file, so none is looked at twice. `indexed`: INDEXED is joined.
    """
    if exact:
        return """
            CASE WHEN b.oid IS NULL THEN pg_catalog.pg_relation_size(c.oid) + pg_catalog.pg_relation_size(c.oid, 'fsm')
                + pg_catalog.pg_relation_size(c.oid, 'vm') END AS heap,
            CASE WHEN b.oid IS NULL THEN pg_catalog.pg_indexes_size(c.oid) END AS index_bytes,
            CASE WHEN b.oid IS NULL AND c.reltoastrelid <> 0
                THEN pg_catalog.pg_total_relation_size(c.reltoastrelid) ELSE 0 END AS toast
        """
    pages = (
        "coalesce(x.pages, 0)"
        if indexed
        else """(SELECT coalesce(sum(ic.relpages), 0)::bigint FROM pg_catalog.pg_index x
            JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid WHERE x.indrelid = c.oid)"""
    )
    return f"""
        c.relpages::bigint * pg_catalog.current_setting('block_size')::int AS heap,
        {pages} * pg_catalog.current_setting('block_size')::int AS index_bytes,
        CASE WHEN c.reltoastrelid = 0 THEN 0
            ELSE (SELECT coalesce(sum(tc.relpages), 0)::bigint FROM pg_catalog.pg_class tc WHERE tc.oid = ANY (ARRAY(
                SELECT c.reltoastrelid
                UNION ALL SELECT x.indexrelid FROM pg_catalog.pg_index x WHERE x.indrelid = c.reltoastrelid)))
            * pg_catalog.current_setting('block_size')::int END AS toast
    """


def activity_columns(*, indexed: bool = False) -> str:
    """What pg_stat_all_tables shows, asked for the relation c alone: the view sums up every table first.

    `indexed`: INDEXED is joined.
    """
    scans = (
        "coalesce(x.scans, 0)"
        if indexed
        else """(SELECT coalesce(sum(pg_catalog.pg_stat_get_numscans(sx.indexrelid)), 0)::bigint
            FROM pg_catalog.pg_index sx WHERE sx.indrelid = c.oid)"""
    )
    return f"""
    pg_catalog.pg_stat_get_dead_tuples(c.oid) AS n_dead_tup, pg_catalog.pg_stat_get_numscans(c.oid) + {scans} AS scans,
    CASE WHEN c.relkind <> 'f' THEN pg_catalog.pg_stat_get_tuples_inserted(c.oid) END AS n_tup_ins,
    greatest(pg_catalog.pg_stat_get_last_vacuum_time(c.oid), pg_catalog.pg_stat_get_last_autovacuum_time(c.oid))
        AS vacuumed,
    greatest(pg_catalog.pg_stat_get_last_analyze_time(c.oid), pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid))
        AS analyzed
    """


# Printing an expression opens the relation that its columns are named by: for a busy one that is its parent, where
# the same number names the same column (source: ruleutils.c).
CHECKS = """
    (SELECT json_agg(json_build_array(k.conname, CASE WHEN b.oid IS NULL THEN pg_catalog.pg_get_constraintdef(k.oid)
            WHEN NOT EXISTS (SELECT 1 FROM unnest(k.conkey) u(num)
                JOIN pg_catalog.pg_attribute own ON own.attrelid = c.oid AND own.attnum = u.num
                LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = {parent} AND a.attnum = u.num
                WHERE a.attname IS DISTINCT FROM own.attname)
            THEN 'CHECK (' || pg_catalog.pg_get_expr(k.conbin, {parent}) || ')'
                || CASE WHEN k.connoinherit THEN ' NO INHERIT' ELSE '' END
                || CASE WHEN k.convalidated THEN '' ELSE ' NOT VALID' END
            ELSE '' END, k.convalidated)
        ORDER BY k.conname) FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c')
"""

OWNERS = """
owners AS MATERIALIZED (SELECT DISTINCT p.relowner FROM pg_catalog.pg_partitioned_table t
    JOIN pg_catalog.pg_class p ON p.oid = t.partrelid)
"""
"""A part of WITH that SPEAKS_FOR asks."""

# Any role may comment on a table of its own, and needs no right in any schema for a temporary one. What counts is the
# word of who could do as much to the parent: its owner, members of that role, superusers.
SPEAKS_FOR = """
    ARRAY(SELECT o.relowner::bigint FROM owners o
        WHERE c.relpersistence <> 't' AND pg_catalog.pg_has_role(c.relowner, o.relowner, 'USAGE'))
"""

COLUMN_NAMES = """
    ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
"""

COLUMNS = """
    (SELECT json_agg(json_build_array(a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
            a.attidentity <> '',
            CASE WHEN a.attgenerated <> '' THEN a.attgenerated::text || ' ' || pg_catalog.pg_get_expr(d.adbin,
                CASE WHEN b.oid IS NULL THEN d.adrelid ELSE {parent} END)
                ELSE '' END,
            CASE WHEN a.attcollation <> t.typcollation THEN pg_catalog.format('%I.%I', cn.nspname, co.collname)
                ELSE '' END,
            CASE WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, 0) END,
            CASE WHEN k.oid IS NOT NULL THEN json_build_array(k.conname, pg_catalog.pg_get_constraintdef(k.oid),
                k.convalidated) END) ORDER BY a.attnum)
     FROM pg_catalog.pg_attribute a
     JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
     LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation
     LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace
     LEFT JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum]
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
"""


def indexes_column(definition: bool) -> str:
    """A JSON list of the indexes of c. Shapes come from columns alone, which no lock guards; expressions do not."""
    tail = (
        """CASE WHEN b.oid IS NULL THEN pg_catalog.substr(pg_catalog.pg_get_indexdef(x.indexrelid),
            pg_catalog.length('CREATE ' || CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END || 'INDEX '
                || pg_catalog.quote_ident(ic.relname) || ' ON '
                || CASE WHEN c.relkind = 'p' THEN 'ONLY ' ELSE '' END || pg_catalog.quote_ident(n.nspname) || '.'
                || pg_catalog.quote_ident(c.relname) || ' ') + 1) ELSE '' END"""
        if definition
        else "''"
    )
    excludes = """
            coalesce((SELECT CASE WHEN b.oid IS NULL THEN pg_catalog.pg_get_constraintdef(k.oid) ELSE 'busy' END
                FROM pg_catalog.pg_constraint k WHERE x.indisexclusion AND k.conindid = x.indexrelid
                    AND k.conrelid = x.indrelid AND k.contype = 'x'), '')"""
    return f"""
    (SELECT json_agg(json_build_array(ic.relname,
            am.amname || ' ' || CASE WHEN x.indisunique THEN 'unique ' ELSE '' END
                || CASE WHEN pg_catalog.to_jsonb(x) @> '{{"indnullsnotdistinct": true}}' THEN 'alike nulls ' ELSE '' END
                || x.indnkeyatts || ' ' || x.indclass::text || ' ' || x.indcollation::text || ' '
                || x.indoption::text || ' ' || (SELECT coalesce(json_agg(a.attname ORDER BY u.n), '[]')::text
                    FROM unnest(x.indkey) WITH ORDINALITY u(num, n)
                    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = u.num)
                || CASE WHEN x.indexprs IS NULL AND x.indpred IS NULL THEN '' WHEN b.oid IS NOT NULL THEN ' (busy)'
                    ELSE coalesce(' on ' || pg_catalog.pg_get_expr(x.indexprs, x.indrelid), '')
                    || coalesce(' where ' || pg_catalog.pg_get_expr(x.indpred, x.indrelid), '') END,
            (SELECT coalesce(json_agg(coalesce(a.attname, 'expression') ORDER BY u.n), '[]')
                FROM unnest(x.indkey) WITH ORDINALITY u(num, n)
                LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = u.num
                WHERE u.n <= x.indnkeyatts),
            x.indisunique, x.indisprimary,
            EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k
                WHERE k.conindid = x.indexrelid AND k.conrelid = x.indrelid AND k.contype IN ('p', 'u')),
            x.indisvalid, {tail}, {excludes}) ORDER BY ic.relname)
     FROM pg_catalog.pg_index x
     JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid
     JOIN pg_catalog.pg_am am ON am.oid = ic.relam
     WHERE x.indrelid = c.oid)
    """


def columns_of(raw: Iterable[Sequence[Any]] | None) -> tuple[Column, ...]:
    return tuple(
        Column(
            name, type_, not_null, identity, generated, collation, default or "", nulls=Check(*nulls) if nulls else None
        )
        for name, type_, not_null, identity, generated, collation, default, nulls in raw or ()
    )


def checks_of(raw: Iterable[Sequence[Any]] | None) -> tuple[Check, ...]:
    return tuple(Check(*check) for check in raw or ())


def indexes_of(raw: Iterable[Sequence[Any]] | None) -> tuple[Index, ...]:
    return tuple(
        Index(name, shape, tuple(columns), unique, primary, constraint, valid, definition, exclusion)
        for name, shape, columns, unique, primary, constraint, valid, definition, exclusion in raw or ()
    )


def size_of(row: Row, exact: bool) -> Size | None:
    return None if row.heap is None else Size(row.heap, row.index_bytes, row.toast, exact)


def activity_of(row: Row) -> Activity | None:
    if row.n_tup_ins is None:
        return None
    return Activity(row.n_dead_tup, row.scans, row.n_tup_ins, row.vacuumed, row.analyzed)


KEY = """
    (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(ka.attname,
            pg_catalog.format_type(ka.atttypid, ka.atttypmod),
            pg_catalog.format_type(coalesce(nullif(kt.typbasetype, 0), kt.oid), NULL),
            pg_catalog.format_type(oc.opcintype, NULL), oc.opcdefault, kn.nspname, kc.collname,
            kc.oid IS DISTINCT FROM nullif(ka.attcollation, 0), kc.collprovider = 'b'
                OR kc.collname IN ('C', 'POSIX', 'ucs_basic') AND kn.nspname = 'pg_catalog'
                OR kc.collprovider = 'd' AND (pg_catalog.to_jsonb(kd) ->> 'datlocprovider' = 'b'
                    OR coalesce(pg_catalog.to_jsonb(kd) ->> 'datlocprovider', 'c') = 'c'
                        AND kd.datcollate IN ('C', 'POSIX')),
            coalesce(pg_catalog.has_schema_privilege(kn.oid, 'USAGE'), true),
            oc.opcnamespace = 'pg_catalog'::pg_catalog.regnamespace,
            coalesce(pg_catalog.has_schema_privilege(kt.typnamespace, 'USAGE'), true))
            ORDER BY n)
        FROM pg_catalog.generate_series(0, p.partnatts - 1) n
        JOIN pg_catalog.pg_opclass oc ON oc.oid = p.partclass[n]
        JOIN pg_catalog.pg_database kd ON kd.datname = pg_catalog.current_database()
        LEFT JOIN pg_catalog.pg_attribute ka
            ON ka.attrelid = p.partrelid AND ka.attnum = p.partattrs[n] AND p.partattrs[n] <> 0
        LEFT JOIN pg_catalog.pg_type kt ON kt.oid = ka.atttypid
        LEFT JOIN pg_catalog.pg_collation kc ON kc.oid = p.partcollation[n]
        LEFT JOIN pg_catalog.pg_namespace kn ON kn.oid = kc.collnamespace) AS key_parts,
    (SELECT pg_catalog.json_agg(DISTINCT ea.attname) FROM pg_catalog.pg_attribute ea,
            pg_catalog.regexp_matches(p.partexprs::text, ':varattno (\\d+)', 'g') em
        WHERE ea.attrelid = p.partrelid AND ea.attnum = em[1]::int) AS key_uses
"""
"""What a table `p` of pg_partitioned_table is partitioned by: a JSON list of its columns and expressions,
and the columns that these are made of."""
KEY_WORDS = "pg_catalog.pg_get_expr(p.partexprs, p.partrelid) AS key_expressions"
"""The expressions among them; printing them opens the table."""


def unserved(row: Row) -> str | None:
    """Why a partitioned table is only shown: its strategy, or an order that is not known; from the columns of KEY.

    The row has partstrat besides.
    """
    if row.partstrat != "r":
        return f"it is partitioned by {'LIST' if row.partstrat == 'l' else 'HASH'}, not by RANGE"
    for part in row.key_parts:
        name, declared, base, ordered_as, usual, schema, collation, _, bytewise, usable, by_the_server, named = part
        type_ = _type_of(base, ordered_as)
        if not usual:
            return f"its key {name or 'expression'} is ordered otherwise than {declared or ordered_as} usually is"
        if type_ is not None and type_.is_text and not bytewise and not usable:
            return (
                f"its key is ordered by the collation {collation} of the schema {schema}, which this role may not use"
                f" (GRANT USAGE ON SCHEMA {ident(schema)} would let it)"
            )
        if type_ is None and not by_the_server:
            return f"its key is {declared or ordered_as}, which an extension orders by operators of its own"
        if type_ is None and (declared is None or declared != base or base in _UNREADABLE):
            return f"its key is {declared or ordered_as}, whose order is not known here"
        if type_ is None and not named:
            return f"its key is {declared}, a type of a schema that this role may not use"
    return None


_UNREADABLE = ("boolean", "money")
"""Types whose constants are printed as words, or as the currency of the moment."""


def _type_of(base: str | None, ordered_as: str) -> KeyType | None:
    return (key_type_of(base) if base else None) or key_type_of(ordered_as)


def key_of(row: Row, *, whole: bool = False) -> Key | None:
    """The key from the columns of KEY; None where it is not served. A `whole` one has the words of KEY_WORDS."""
    if unserved(row) is not None:
        return None
    expressions = list(_expressions(row.key_expressions or "")) if whole else []
    uses = tuple(row.key_uses or ())
    first, *rest = (
        _part(part, expressions.pop(0) if part[0] is None and expressions else "", uses) for part in row.key_parts
    )
    return replace(first, rest=tuple(rest))


def _part(part: Sequence[Any], expression: str, uses: tuple[str, ...]) -> Key:
    name, declared, base, ordered_as, _, schema, collation, collates, bytewise, *_ = part
    type_ = _type_of(base, ordered_as) or KeyType.OTHER
    asked = type_ is KeyType.OTHER or (type_.is_text and not bytewise)
    return Key(
        name or "",
        type_,
        declared="" if declared in (None, type_) else declared,
        expression=expression,
        uses=() if name else uses,
        collation=(schema, collation) if collation and (collates or asked) else None,
        collates=bool(collation) and collates and (name is not None or collation != "default"),
        ranks=MappingProxyType({}) if asked else None,
    )


def _expressions(text: str) -> tuple[str, ...]:
    """A printed list of expressions, each alone."""
    found: list[str] = []
    depth, begin, quote = 0, 0, ""
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([":
            depth += 1
        elif letter in ")]":
            depth -= 1
        elif letter == "," and not depth:
            found.append(text[begin:place].strip())
            begin = place + 1
    return (*found, text[begin:].strip()) if text else ()
