"""Reads what partitions have of their own, beyond what LIKE their parent and ATTACH give: all in one query.

The session must print qualified names (search_path = pg_catalog). Printing opens the tables that are asked about, so
that none may be asked about that somebody holds locked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from sqlalchemy import Connection

from core.names import comment_sql, ident, literal
from core.postgres.server import Server
from core.postgres.session import Row, rows_of
from core.tables.definition import COLUMN_OPTIONS
from core.tables.equipment import Equipped, Kind, Trait
from core.tables.key import Key
from core.tables.marks import Marks
from core.tables.plain import CHECK as OPEN_BOUNDS
from core.tables.structure import Check

# Each part names what it tells of in `kind`, and gives in `what` a list that `_READ` turns into traits. The parent's
# own rules, policies, grants and publications are its own; its keys, CHECKs, triggers and defaults come by themselves.
_TRAITS = """
WITH rel AS MATERIALIZED (
    SELECT c.*, n.nspname, pg_catalog.format('%I.%I', n.nspname, c.relname) AS sql
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ({oids})
)
SELECT r.oid, 'table' AS kind, r.relname::text AS name, json_build_array(r.relpersistence, am.amname, ts.spcname,
        coalesce(pg_catalog.has_tablespace_privilege(ts.oid, 'CREATE'), true), r.relrowsecurity,
        r.relforcerowsecurity, r.relreplident, r.reloptions::text[],
        (SELECT o.reloptions::text[] FROM pg_catalog.pg_class o WHERE o.oid = r.reltoastrelid), r.nspname) AS what
    FROM rel r LEFT JOIN pg_catalog.pg_am am ON am.oid = r.relam
    LEFT JOIN pg_catalog.pg_tablespace ts ON ts.oid = r.reltablespace
UNION ALL
SELECT r.oid, 'column', a.attname::text, json_build_array(a.attgenerated,
        CASE WHEN a.attgenerated = '' AND a.attidentity = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
        a.attgenerated = '' AND a.attidentity = '' AND pg_catalog.pg_get_expr(d.adbin, d.adrelid)
            IS DISTINCT FROM pg_catalog.pg_get_expr(pd.adbin, pd.adrelid),
        a.attgenerated <> '' AND pg_catalog.pg_get_expr(d.adbin, d.adrelid)
            IS DISTINCT FROM pg_catalog.pg_get_expr(pd.adbin, pd.adrelid),
        a.attnotnull AND NOT pa.attnotnull,
        CASE WHEN a.attstorage <> pa.attstorage THEN a.attstorage END,
        CASE WHEN a.attcompression <> pa.attcompression THEN a.attcompression END,
        nullif(a.attstattarget, -1), a.attoptions::text[])
    FROM rel r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_catalog.pg_attribute pa ON pa.attrelid = {parent} AND pa.attname = a.attname
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    LEFT JOIN pg_catalog.pg_attrdef pd ON pd.adrelid = pa.attrelid AND pd.adnum = pa.attnum
    WHERE d.adbin::text IS DISTINCT FROM pd.adbin::text OR a.attnotnull <> pa.attnotnull
        OR a.attstorage <> pa.attstorage OR a.attcompression <> pa.attcompression OR a.attstattarget <> -1
        OR a.attoptions IS NOT NULL
UNION ALL
SELECT r.oid, 'index', ic.relname::text, json_build_array(x.indisunique, x.indisreplident, x.indisclustered,
        h.inhrelid IS NOT NULL, pg_catalog.pg_get_constraintdef(k.oid), ts.spcname,
        coalesce(pg_catalog.has_tablespace_privilege(ts.oid, 'CREATE'), true), ic.reloptions::text[],
        pg_catalog.pg_get_indexdef(ic.oid), pg_catalog.format('CREATE %sINDEX %I ON %s ',
            CASE WHEN x.indisunique THEN 'UNIQUE ' END, ic.relname,
            CASE WHEN r.relkind = 'p' THEN 'ONLY ' ELSE '' END || r.sql))
    FROM rel r JOIN pg_catalog.pg_index x ON x.indrelid = r.oid
    JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid
    LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = ic.oid AND k.conrelid = r.oid AND k.contype IN ('p', 'u', 'x')
    LEFT JOIN pg_catalog.pg_inherits h ON h.inhrelid = ic.oid
    LEFT JOIN pg_catalog.pg_class pc ON pc.oid = h.inhparent
    LEFT JOIN pg_catalog.pg_tablespace ts ON ts.oid = ic.reltablespace
    WHERE x.indisvalid AND (h.inhrelid IS NULL OR x.indisreplident OR x.indisclustered
        OR ic.reltablespace <> pc.reltablespace OR ic.reloptions IS DISTINCT FROM pc.reloptions)
UNION ALL
SELECT r.oid, 'constraint', k.conname::text, json_build_array(k.contype, pg_catalog.pg_get_constraintdef(k.oid),
        k.convalidated, k.confrelid = k.conrelid, r.sql,
        (SELECT json_agg(a.attname) FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = r.oid AND a.attnum = ANY (k.conkey)),
        pg_catalog.quote_ident(fn.nspname) || '.' || pg_catalog.quote_ident(f.relname),
        coalesce(pg_catalog.has_any_column_privilege(f.oid, 'REFERENCES'), true))
    FROM rel r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid AND k.contype IN ('c', 'f')
    LEFT JOIN pg_catalog.pg_class f ON f.oid = k.confrelid
    LEFT JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
    WHERE k.conparentid = 0 AND k.coninhcount = 0
UNION ALL
SELECT r.oid, 'trigger', t.tgname::text, json_build_array(t.tgconstraint <> 0, t.tgenabled,
        pg_catalog.pg_get_triggerdef(t.oid), pg_catalog.format('CREATE %sTRIGGER %I ',
            CASE WHEN t.tgconstraint <> 0 THEN 'CONSTRAINT ' END, t.tgname),
        pg_catalog.format('%s %s ON ', CASE WHEN t.tgtype & 2 <> 0 THEN 'BEFORE' ELSE 'AFTER' END,
            pg_catalog.concat_ws(' OR ', CASE WHEN t.tgtype & 4 <> 0 THEN 'INSERT' END,
                CASE WHEN t.tgtype & 8 <> 0 THEN 'DELETE' END,
                CASE WHEN t.tgtype & 16 <> 0 THEN 'UPDATE' || coalesce(' OF ' || (
                    SELECT string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY u.n)
                    FROM unnest(t.tgattr) WITH ORDINALITY u(num, n)
                    JOIN pg_catalog.pg_attribute a ON a.attrelid = t.tgrelid AND a.attnum = u.num), '') END,
                CASE WHEN t.tgtype & 32 <> 0 THEN 'TRUNCATE' END)),
        r.sql, pg_catalog.has_function_privilege(t.tgfoid, 'EXECUTE'), t.tgfoid::regprocedure::text)
    FROM rel r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal AND t.tgparentid = 0
UNION ALL
SELECT r.oid, 'trigger state', t.tgname::text, json_build_array(t.tgenabled)
    FROM rel r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid AND t.tgparentid <> 0
    JOIN pg_catalog.pg_trigger pt ON pt.oid = t.tgparentid AND pt.tgenabled <> t.tgenabled AND NOT pt.tgisinternal
UNION ALL
SELECT r.oid, 'policy', p.polname::text, json_build_array(
        pg_catalog.format(' AS %s FOR %s TO %s', CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
            CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE'
                ELSE 'ALL' END,
            (SELECT string_agg(coalesce(pg_catalog.quote_ident(g.rolname), 'PUBLIC'), ', ' ORDER BY g.rolname)
                FROM unnest(p.polroles) u(role) LEFT JOIN pg_catalog.pg_roles g ON g.oid = u.role))
        || coalesce(' USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')', '')
        || coalesce(' WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')', ''))
    FROM rel r JOIN pg_catalog.pg_policy p ON p.polrelid = r.oid
UNION ALL
SELECT r.oid, 'statistics', s.stxname::text, json_build_array(nullif(s.stxstattarget, -1), s.stxkind::text[],
        pg_catalog.pg_get_statisticsobjdef_columns(s.oid))
    FROM rel r JOIN pg_catalog.pg_statistic_ext s ON s.stxrelid = r.oid
    WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_statistic_ext ps WHERE ps.stxrelid = {parent}
        AND ps.stxkind = s.stxkind
        AND pg_catalog.pg_get_statisticsobjdef_columns(ps.oid) = pg_catalog.pg_get_statisticsobjdef_columns(s.oid))
UNION ALL
SELECT r.oid, 'rule', w.rulename::text, json_build_array(pg_catalog.pg_get_ruledef(w.oid),
        pg_catalog.format('CREATE RULE %I ', w.rulename), pg_catalog.format('AS\n    ON %s TO ',
            CASE w.ev_type WHEN '2' THEN 'UPDATE' WHEN '3' THEN 'INSERT' WHEN '4' THEN 'DELETE' ELSE 'SELECT' END),
        r.sql, w.ev_enabled)
    FROM rel r JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid
UNION ALL
SELECT r.oid, 'grant', coalesce(g.rolname, '')::text, json_build_array(x.privilege_type, x.is_grantable, '')
    FROM rel r CROSS JOIN LATERAL pg_catalog.aclexplode(r.relacl) x
    LEFT JOIN pg_catalog.pg_roles g ON g.oid = x.grantee WHERE x.grantee <> r.relowner
UNION ALL
SELECT r.oid, 'grant', coalesce(g.rolname, '')::text, json_build_array(x.privilege_type, x.is_grantable, a.attname)
    FROM rel r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped
    CROSS JOIN LATERAL pg_catalog.aclexplode(a.attacl) x
    LEFT JOIN pg_catalog.pg_roles g ON g.oid = x.grantee WHERE x.grantee <> r.relowner
UNION ALL
SELECT r.oid, 'given up', pg_catalog.pg_get_userbyid(r.relowner)::text, json_build_array(d.privilege_type)
    FROM rel r CROSS JOIN LATERAL pg_catalog.aclexplode(pg_catalog.acldefault('r', r.relowner)) d
    WHERE r.relacl IS NOT NULL AND d.grantee = r.relowner AND NOT EXISTS (
        SELECT 1 FROM pg_catalog.aclexplode(r.relacl) x
        WHERE x.grantee = r.relowner AND x.privilege_type = d.privilege_type)
UNION ALL
SELECT r.oid, 'comment', coalesce(a.attname, '')::text, json_build_array(d.description)
    FROM rel r JOIN pg_catalog.pg_description d ON d.objoid = r.oid AND d.classoid = 'pg_catalog.pg_class'::regclass
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum = d.objsubid AND d.objsubid > 0
UNION ALL
SELECT r.oid, 'label', l.provider::text, json_build_array(l.label)
    FROM rel r JOIN pg_catalog.pg_seclabel l ON l.objoid = r.oid AND l.classoid = 'pg_catalog.pg_class'::regclass
UNION ALL
SELECT r.oid, 'publication', p.pubname::text, json_build_array({columns}, {condition},
        pg_catalog.pg_has_role(p.pubowner, 'USAGE'), pg_catalog.pg_get_userbyid(p.pubowner))
    FROM rel r JOIN pg_catalog.pg_publication_rel e ON e.prrelid = r.oid
    JOIN pg_catalog.pg_publication p ON p.oid = e.prpubid
ORDER BY 1, 2, 3
"""

_PUBLISHED = """(SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = r.oid AND a.attnum = ANY (e.prattrs::int2[]))"""


def read_equipped(
    connection: Connection, parent: int, oids: Iterable[int], key: Key, server: Server
) -> tuple[Equipped, ...]:
    """What each of the partitions of `parent` has of its own, in the order given."""
    wanted = tuple(oids)
    if not wanted:
        return ()
    narrow = server.can.narrow_publications
    sql = _TRAITS.format(
        oids=f"ARRAY[{', '.join(map(str, wanted))}]::oid[]",
        parent=parent,
        columns=_PUBLISHED if narrow else "NULL::json",
        condition="pg_catalog.pg_get_expr(e.prqual, e.prrelid)" if narrow else "NULL::text",
    )
    rows: dict[int, list[Row]] = {}
    for row in rows_of(connection, sql):
        rows.setdefault(row.oid, []).append(row)
    return tuple(_equipped(oid, rows[oid], key, server.user) for oid in wanted if oid in rows)


def _equipped(oid: int, rows: list[Row], key: Key, user: str) -> Equipped:
    table = next(row for row in rows if row.kind == "table")
    marked = {
        mark: trait
        for row in rows
        if row.kind == "index" and (trait := _index(row, user)) is not None
        for mark, is_marked in (("replica", row.what[1]), ("cluster", row.what[2]))
        if is_marked
    }
    traits = [trait for row in rows if row.kind not in ("table", "constraint") for trait in _READ[row.kind](row, user)]
    traits += [trait for row in rows if row.kind == "constraint" for trait in _constraint(row, key, user)]
    traits += _table(table, marked, user)
    return Equipped(oid, table.what[9], table.name, tuple(replace(trait, of=table.name) for trait in traits))


def _trait(kind: Kind, said: str, *parts: str) -> Trait:
    return Trait(kind, parts, said)


def _altered(kind: Kind, said: str, action: str) -> Trait:
    return _trait(kind, said, "ALTER TABLE ", f" {action}")


def _table(row: Row, marked: dict[str, Trait], user: str) -> Iterator[Trait]:
    persistence, method, tablespace, may_place, secured, forced, identity, options, toast, _ = row.what
    if persistence == "u":
        yield _trait(Kind.UNLOGGED, "no log (UNLOGGED), so that its rows are gone after a crash", "UNLOGGED ")
    if method not in (None, "heap"):
        yield _trait(Kind.ACCESS_METHOD, f"the access method {method}", method)
    for option in (*(options or ()), *(f"toast.{one}" for one in toast or ())):
        yield _trait(Kind.OPTION, option, option)
    if tablespace:
        lacks = "" if may_place else _may_not_place(user, tablespace)
        yield replace(_trait(Kind.TABLESPACE, f"the tablespace {tablespace}", tablespace), lacks=lacks)
    if secured:
        yield _altered(Kind.SECURITY, "row security", "ENABLE ROW LEVEL SECURITY")
    if forced:
        yield _altered(Kind.SECURITY, "row security for its owner, too", "FORCE ROW LEVEL SECURITY")
    words = {"f": "FULL", "n": "NOTHING"}.get(identity)
    if words:
        yield _altered(Kind.IDENTITY, f"the replica identity {words}", f"REPLICA IDENTITY {words}")
    if identity == "i" and "replica" in marked:
        index = marked["replica"]
        said = f"the replica identity by its {index.said.partition(' ')[2]}"
        yield replace(_altered(Kind.IDENTITY, said, "REPLICA IDENTITY USING INDEX "), index=index)
    if "cluster" in marked:
        index = marked["cluster"]
        said = f"the mark of CLUSTER on its {index.said.partition(' ')[2]}"
        yield replace(_altered(Kind.CLUSTER, said, "CLUSTER ON "), index=index)


def _may_not_place(user: str, tablespace: str) -> str:
    return f"the role {user} may not use the tablespace {tablespace}"


_STORAGE = {"p": "PLAIN", "e": "EXTERNAL", "m": "MAIN", "x": "EXTENDED"}
_COMPRESSION = {"p": "pglz", "l": "lz4", "": "default"}


def _column(row: Row, _: str) -> Iterator[Trait]:
    _generated, default, other, otherwise, not_null, storage, compression, target, options = row.what
    name, alter = row.name, f"ALTER COLUMN {ident(row.name)}"
    if other:
        said = f"the default {default} of {name}" if default else f"no default of {name}"
        words = f"SET DEFAULT {default}" if default else "DROP DEFAULT"
        yield _altered(Kind.COLUMN, said, f"{alter} {words}")
    if otherwise:
        said = f"an expression of its own in the generated column {name}"
        yield replace(_trait(Kind.COLUMN, said, name), lacks="a new partition computes it as the table does")
    if not_null:
        yield _altered(Kind.NOT_NULL, f"NOT NULL on {name}", f"{alter} SET NOT NULL")
    if storage:
        yield _altered(
            Kind.COLUMN, f"the storage {_STORAGE[storage]} of {name}", f"{alter} SET STORAGE {_STORAGE[storage]}"
        )
    if compression is not None:
        words = _COMPRESSION[compression]
        yield _altered(Kind.COLUMN, f"the compression {words} of {name}", f"{alter} SET COMPRESSION {words}")
    if target is not None:
        yield _altered(Kind.COLUMN, f"the statistics target {target} of {name}", f"{alter} SET STATISTICS {target}")
    for option in options or ():
        if option.partition("=")[0] in COLUMN_OPTIONS:
            yield _altered(Kind.COLUMN, f"{option} of {name}", f"{alter} SET ({option})")


def _index(row: Row, user: str) -> Trait | None:
    """The index, or the key that stands on it; None for a form that is not known here."""
    unique, _, _, inherited, key, tablespace, may_place, options, definition, head = row.what
    place_lacks = "" if may_place else _may_not_place(user, tablespace)
    settings = ", ".join(options or ())
    in_place = f" in the tablespace {tablespace}" if tablespace else ""
    tail = definition[len(head) :] if definition.startswith(head) else ""
    if key is not None:
        under = "" if key.startswith("EXCLUDE ") or " WITHOUT OVERLAPS" in key else tail
        trait = Trait(Kind.KEY, (key,), f"the key {key}{in_place}", row.name, under=under, state=settings)
    elif tail:
        kind = Kind.UNIQUE_INDEX if unique else Kind.INDEX
        trait = Trait(kind, ("ON ", f" {tail}"), f"the {kind} {tail}{in_place}", row.name)
    else:
        return None
    return replace(trait, tablespace=tablespace or "", inherited=inherited, place_lacks=place_lacks)


def _indexes(row: Row, user: str) -> Iterator[Trait]:
    trait = _index(row, user)
    yield trait or _unknown(Kind.INDEX, f"the index {row.name}", row.what[8])


def _unknown(kind: Kind, said: str, definition: str) -> Trait:
    return replace(_trait(kind, said, definition), lacks="its definition has a form that is not known here")


def _constraint(row: Row, key: Key, user: str) -> Iterator[Trait]:
    kind, definition, validated, to_itself, relation, columns, other, may_refer = row.what
    if not validated:
        definition = definition.removesuffix(" NOT VALID")
    if kind == "f":
        parts: tuple[str, ...] = (definition,)
        if to_itself:
            head, references, tail = definition.rpartition(f" REFERENCES {relation}(")
            parts = (f"{head} REFERENCES ", f"({tail}") if references else parts
        lacks = "" if may_refer else f"the role {user} may not refer to {other}"
        said = f"the {'itself '.join(parts)}"
        yield Trait(Kind.FOREIGN_KEY, parts, said, row.name, state="" if to_itself else other, lacks=lacks)
        return
    found = Check(row.name, definition, True).range_on(key)
    if (found is not None and found.lower is not None and found.upper is not None) or row.name == OPEN_BOUNDS:
        return  # its own bounds, which a partition keeps that was attached
    lacks = ""
    if set(columns) <= set(key.columns) and re.search(r"['\d]", definition):
        lacks = "it limits the key, of which the new one holds other values"
    yield Trait(Kind.CHECK, (definition,), f"the {definition}", row.name, lacks=lacks)


FIRES = {"D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS", "O": "ENABLE"}


def _trigger(row: Row, user: str) -> Iterator[Trait]:
    constraint, enabled, definition, head, events, relation, may_execute, function = row.what
    kind = Kind.CONSTRAINT_TRIGGER if constraint else Kind.TRIGGER
    state = "" if enabled == "O" else FIRES[enabled]
    said = f"the {kind} {row.name}{f' ({state})' if state else ''}"
    start = f"{head}{events}{relation} "
    if not definition.startswith(start):
        yield _unknown(kind, said, definition)
        return
    lacks = "" if may_execute else f"the role {user} may not execute {function}"
    yield Trait(kind, (events, f" {definition[len(start) :]}"), said, row.name, state=state, lacks=lacks)


def _trigger_state(row: Row, _: str) -> Iterator[Trait]:
    words = f"{FIRES[row.what[0]]} TRIGGER {ident(row.name)}"
    yield _altered(Kind.TRIGGER_STATE, f"the table's trigger {row.name} set to {FIRES[row.what[0]]}", words)


def _policy(row: Row, _: str) -> Iterator[Trait]:
    yield Trait(Kind.POLICY, ("ON ", row.what[0]), f"the policy {row.name}", row.name)


_KINDS = {"d": "ndistinct", "f": "dependencies", "m": "mcv"}


def _statistics(row: Row, _: str) -> Iterator[Trait]:
    target, letters, columns = row.what
    kinds = ", ".join(_KINDS[letter] for letter in letters if letter in _KINDS)
    head = f"({kinds}) ON {columns} FROM " if kinds else f"ON {columns} FROM "
    state = "" if target is None else str(target)
    yield Trait(Kind.STATISTICS, (head, ""), f"the statistics on {columns}", row.name, state=state)


def _rule(row: Row, _: str) -> Iterator[Trait]:
    definition, head, event, relation, enabled = row.what
    state = "" if enabled == "O" else FIRES[enabled]
    start = f"{head}{event}{relation}"
    if not definition.startswith(start) or definition[len(start)] not in " \n":
        yield _unknown(Kind.RULE, f"the rule {row.name}", definition)
        return
    tail = definition[len(start) :].rstrip().removesuffix(";")
    yield Trait(Kind.RULE, (event, tail), f"the rule {row.name}", row.name, state=state)


def _grant(row: Row, _: str) -> Iterator[Trait]:
    privilege, grantable, column = row.what
    role = ident(row.name) if row.name else "PUBLIC"
    columns = f" ({ident(column)})" if column else ""
    option = " WITH GRANT OPTION" if grantable else ""
    said = f"{privilege}{f' of {column}' if column else ''} for {row.name or 'PUBLIC'}{option.lower()}"
    yield _trait(Kind.GRANT, said, f"GRANT {privilege}{columns} ON TABLE ", f" TO {role}{option}")


def _given_up(row: Row, _: str) -> Iterator[Trait]:
    said = f"no {row.what[0]} for its owner {row.name}"
    yield _trait(Kind.GRANT, said, f"REVOKE {row.what[0]} ON TABLE ", f" FROM {ident(row.name)}")


def _comment(row: Row, _: str) -> Iterator[Trait]:
    if row.name:
        text = f" IS {literal(row.what[0]).strip()}"
        yield _trait(Kind.COMMENT, f"a comment on {row.name}", "COMMENT ON COLUMN ", f".{ident(row.name)}{text}")
        return
    own, _marks = Marks.split(row.what[0])
    if own:
        yield _trait(
            Kind.COMMENT, "a comment", "COMMENT ON TABLE ", comment_sql("", own).removeprefix("COMMENT ON TABLE ")
        )


def _label(row: Row, _: str) -> Iterator[Trait]:
    said = f"the security label {row.what[0]} of {row.name}"
    yield replace(_trait(Kind.LABEL, said, row.name, row.what[0]), lacks="security labels are not copied here")


def _publication(row: Row, user: str) -> Iterator[Trait]:
    columns, condition, owned, owner = row.what
    listed = f" ({', '.join(map(ident, columns))})" if columns else ""
    where = f" WHERE ({condition})" if condition else ""
    add = _trait(
        Kind.PUBLICATION,
        f"a place in the publication {row.name}",
        f"ALTER PUBLICATION {ident(row.name)} ADD TABLE ",
        f"{listed}{where}",
    )
    yield add if owned else replace(add, lacks=f"only {owner} may add to it, and {user} is no member of that role")


_READ = {
    "column": _column,
    "index": _indexes,
    "trigger": _trigger,
    "trigger state": _trigger_state,
    "policy": _policy,
    "statistics": _statistics,
    "rule": _rule,
    "grant": _grant,
    "given up": _given_up,
    "comment": _comment,
    "label": _label,
    "publication": _publication,
}
