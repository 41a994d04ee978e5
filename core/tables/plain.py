"""A plain table as one frozen value: its whole definition, and what its rows say of the column it may be cut by."""

from __future__ import annotations

import json
from dataclasses import dataclass

from core.errors import UsageError
from core.names import literal
from core.period import Width
from core.tables.definition import Definition
from core.tables.ends import End
from core.tables.key import Key


@dataclass(frozen=True, slots=True)
class Plain:
    """A table that is not partitioned, looked at for becoming so."""

    definition: Definition
    key: Key
    rows: int
    nulls: int
    """Rows that have no key."""
    lowest: End | None
    highest: End | None
    """None where no row has a key."""
    size: int
    """Bytes of its rows, indexes and TOAST."""
    heap: int
    """Bytes that are read to read every row."""
    signature: str
    """Tells this definition from any other; `signature_sql` has the server compute it again."""
    taken: frozenset[str]
    """Names of relations, types and statistics of its schema."""
    partitioned_referrers: tuple[str, ...] = ()
    """The tables that reference it and are partitioned themselves, quoted and qualified."""
    duplicates: int = 0
    """Groups of rows that are alike in what is to become unique."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A partitioned table whose rows lie in one partition, looked at for becoming plain where that stands."""

    definition: Definition
    kept: Definition
    """That partition."""
    pairs: tuple[tuple[str, str], ...]
    """(index of the partition, the index of the parent that it is a part of)."""
    filled: tuple[str, ...]
    """The partitions that hold rows, as `schema.name`."""
    others: tuple[str, ...]
    """The partitions that hold none, quoted and qualified."""
    duplicates: int
    """Groups of rows that are alike in the columns of the primary key that the plain table had."""
    signature: str
    """Of the parent, as `signature_sql` has it."""
    taken: frozenset[str]
    """Names of relations and types of its schema."""
    partitioned_referrers: tuple[str, ...] = ()


CHECK = "partition_desk_before"
"""The CHECK that says which keys the table holds, while and after it becomes a partition of itself."""
_MARK = "partition-desk-convert: "
"""How the comment on that CHECK begins, which keeps what was asked for until all rows are split by period."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a conversion was asked for, as it stands in the database while it lasts."""

    key: str
    every: Width
    without: tuple[str, ...] = ()
    """The constraints that are given up."""

    def written(self) -> str:
        """The comment that says it."""
        without = {"without": self.without} if self.without else {}
        return _MARK + json.dumps({"key": self.key, "every": str(self.every)} | without)

    @classmethod
    def read(cls, comment: str | None) -> Asked | None:
        """What `written` gave; None for anything else."""
        if not comment or not comment.startswith(_MARK):
            return None
        try:
            raw = json.loads(comment.removeprefix(_MARK))
            without = tuple(str(one) for one in raw.get("without", ()))
            return cls(str(raw["key"]), Width.parse(str(raw["every"])), without)
        except (ValueError, KeyError, TypeError, UsageError):
            return None


@dataclass(frozen=True, slots=True)
class Begun:
    """A conversion whose CHECK stands: on the table before its first use, on its first partition after."""

    oid: int
    """Of what the CHECK is on."""
    asked: Asked | None
    """None where whoever made it did not say, or the comment was changed."""


def signature_sql(oid: int, ours: tuple[str, ...]) -> str:
    """An expression: the definition of a table and all that hangs on it as one text, without what is called as `ours`.

    It changes with whatever has to be made again elsewhere when the table becomes a partition.
    """
    left_out = ", ".join(literal(name).strip() for name in (CHECK, *ours))
    each = (
        f"SELECT ROW(c.relname, c.relnamespace, c.relowner, c.relacl, c.reloptions, c.relrowsecurity,"
        f" c.relforcerowsecurity, c.relreplident, c.reltablespace, c.relpersistence, c.relkind)::text"
        f" FROM pg_catalog.pg_class c WHERE c.oid = {oid}",
        f"SELECT ROW(a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attidentity, a.attgenerated,"
        f" a.attacl, a.attoptions, a.attstattarget, a.attcollation, pg_catalog.pg_get_expr(d.adbin, d.adrelid))::text"
        f" FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid"
        f" AND d.adnum = a.attnum WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped",
        f"SELECT ROW(k.oid, k.conname, k.convalidated, pg_catalog.pg_get_constraintdef(k.oid))::text"
        f" FROM pg_catalog.pg_constraint k WHERE {oid} IN (k.conrelid, k.confrelid) AND k.conname NOT IN ({left_out})",
        f"SELECT ROW(x.indexrelid, i.relname, x.indisvalid, x.indisclustered)::text FROM pg_catalog.pg_index x"
        f" JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid"
        f" WHERE x.indrelid = {oid} AND i.relname NOT IN ({left_out})",
        f"SELECT ROW(t.oid, t.tgenabled, pg_catalog.pg_get_triggerdef(t.oid))::text"
        f" FROM pg_catalog.pg_trigger t WHERE t.tgrelid = {oid} AND NOT t.tgisinternal",
        f"SELECT ROW(p.oid, p.polname, p.polcmd, p.polroles, pg_catalog.pg_get_expr(p.polqual, p.polrelid),"
        f" pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid))::text"
        f" FROM pg_catalog.pg_policy p WHERE p.polrelid = {oid}",
        f"SELECT ROW(b.oid, b.prpubid)::text FROM pg_catalog.pg_publication_rel b WHERE b.prrelid = {oid}",
        f"SELECT ROW(s.oid, s.stxname)::text FROM pg_catalog.pg_statistic_ext s WHERE s.stxrelid = {oid}",
        f"SELECT ROW(i.inhrelid, i.inhparent)::text FROM pg_catalog.pg_inherits i"
        f" WHERE {oid} IN (i.inhrelid, i.inhparent)",
        f"SELECT ROW(d.classid, d.objid, d.objsubid)::text FROM pg_catalog.pg_depend d"
        f" WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = {oid} AND d.deptype = 'n'"
        f" AND d.classid <> 'pg_catalog.pg_constraint'::regclass",
        f"SELECT ROW(r.oid, pg_catalog.pg_get_ruledef(r.oid), v.relowner, v.reloptions)::text"
        f" FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class v ON v.oid = r.ev_class"
        f" WHERE r.oid IN ({_tied_to(oid, 'pg_rewrite')})",
        f"SELECT ROW(f.oid, f.proowner, pg_catalog.pg_get_functiondef(f.oid))::text FROM pg_catalog.pg_proc f"
        f" WHERE f.prokind IN ('f', 'p') AND f.oid IN ({_tied_to(oid, 'pg_proc')})",
        f"SELECT ROW(p.oid, p.polqual, p.polwithcheck)::text FROM pg_catalog.pg_policy p"
        f" WHERE p.oid IN ({_tied_to(oid, 'pg_policy')})",
        f"SELECT ROW(o.objsubid, o.description)::text FROM pg_catalog.pg_description o"
        f" WHERE o.classoid = 'pg_catalog.pg_class'::regclass AND o.objoid = {oid}",
        f"SELECT ROW(q.oid, q.relname, q.relacl)::text FROM pg_catalog.pg_class q JOIN pg_catalog.pg_depend d"
        f" ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = q.oid AND d.refobjid = {oid}"
        f" AND d.deptype IN ('a', 'i') WHERE q.relkind = 'S'",
    )
    rows = " UNION ALL ".join(f"SELECT {number} AS n, r AS what FROM ({one}) s(r)" for number, one in enumerate(each))
    return f"(SELECT pg_catalog.md5(pg_catalog.string_agg(what, E'\\n' ORDER BY n, what)) FROM ({rows}) facts)"


def _tied_to(oid: int, catalog: str) -> str:
    return (
        f"SELECT d.objid FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.{catalog}'::regclass"
        f" AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = {oid}"
    )
