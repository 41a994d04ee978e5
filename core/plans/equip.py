"""What a new partition gets beside its columns: what its siblings share, in the transaction that makes it.

It stands in no catalog but that transaction's until it has all of it: nobody reads or writes it before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from core.names import fit, ident, literal, qualified
from core.plans.plan import Lock, Mode
from core.plans.steps import validate
from core.tables.definition import Grant
from core.tables.equipment import INDEXES, Equipment, Equipped, Kind, Trait
from core.tables.rebuild import with_options
from core.tables.table import PartitionedTable
from core.text import listed


@dataclass(frozen=True, slots=True)
class Outfit:
    """The statements that make one new table with all that its siblings share."""

    create: tuple[str, ...]
    """From CREATE TABLE on, up to ATTACH."""
    late: tuple[str, ...]
    """What has to follow ATTACH."""
    locks: tuple[Lock, ...]
    """Those on other tables than the new one."""


def outfit(table: PartitionedTable, schema: str, name: str, *, split: str = "") -> Outfit:
    """The statements for the table `schema`.`name`; with `split`, as "HASH (kid_id)", for one that is partitioned."""
    traits = copied(table.equipment)
    relation = qualified(schema, name)
    names = called(traits, name, table.equipment.taken)
    owner = (f"ALTER TABLE {relation} OWNER TO {ident(table.owner)}",) if table.owner != table.server.user else ()
    belongings = [trait for trait in traits if trait.kind not in (*_CREATION, Kind.GRANT, Kind.TRIGGER_STATE)]
    others = dict.fromkeys(trait.state for trait in traits if trait.kind is Kind.FOREIGN_KEY and trait.state)
    return Outfit(
        (
            _create(table, relation, traits, split),
            *owner,
            *(sql for trait in belongings for sql in made(trait, schema, name, names)),
            *(
                f"ALTER STATISTICS {qualified(schema, names[trait])} OWNER TO {ident(table.owner)}"
                for trait in belongings
                if owner and trait.kind is Kind.STATISTICS
            ),
            *_rights(table.equipment, traits, relation),
        ),
        tuple(trait.on(relation) for trait in traits if trait.kind is Kind.TRIGGER_STATE),
        tuple(Lock(other, Mode.SHARE_ROW_EXCLUSIVE) for other in others),
    )


@dataclass(frozen=True, slots=True)
class Parted:
    """The same for a table that is filled with rows before anybody is to see it."""

    make: tuple[str, ...]
    """What it has from its beginning: columns, keys, indexes, CHECKs."""
    keys: tuple[tuple[str, str], ...]
    """(name, definition) of its own foreign keys, to be added once the rows are there."""
    opened: tuple[str, ...]
    """What it gets right before ATTACH, so that no trigger fires and no policy hides a row until then."""
    late: tuple[str, ...]
    locks: tuple[Lock, ...]


def parted(table: PartitionedTable, schema: str, name: str, final: str) -> Parted:
    """The statements for the table `schema`.`name`, which is called `final` by the time that it gets `late`."""
    traits = copied(table.equipment)
    relation = qualified(schema, name)
    names = called(traits, name, table.equipment.taken)
    owner = (f"ALTER TABLE {relation} OWNER TO {ident(table.owner)}",) if table.owner != table.server.user else ()
    first = [trait for trait in traits if trait.kind not in (*_CREATION, *_SEEN, Kind.TRIGGER_STATE)]
    return Parted(
        (
            _create(table, relation, traits),
            *owner,
            *(sql for trait in first for sql in made(trait, schema, name, names)),
            *(
                f"ALTER STATISTICS {qualified(schema, names[trait])} OWNER TO {ident(table.owner)}"
                for trait in first
                if owner and trait.kind is Kind.STATISTICS
            ),
            *closed(table.equipment, relation),
        ),
        tuple((names[trait], trait.on(relation)) for trait in traits if trait.kind is Kind.FOREIGN_KEY),
        (
            *(
                sql
                for trait in traits
                if trait.kind in _SEEN and trait.kind not in (Kind.GRANT, Kind.FOREIGN_KEY)
                for sql in made(trait, schema, name, names)
            ),
            *(trait.on(relation) for trait in traits if trait.kind is Kind.GRANT),
            *(
                ()
                if table.equipment.siblings
                else (f"GRANT {one.privilege} ON TABLE {relation} TO {_to(one)}" for one in table.equipment.by_default)
            ),
        ),
        tuple(trait.on(qualified(schema, final)) for trait in traits if trait.kind is Kind.TRIGGER_STATE),
        tuple(
            Lock(trait.state, Mode.SHARE_ROW_EXCLUSIVE)
            for trait in traits
            if trait.kind is Kind.FOREIGN_KEY and trait.state
        ),
    )


def closed(equipment: Equipment, relation: str) -> Iterator[str]:
    """What keeps a table that is being filled from everybody to whom default privileges would open it."""
    roles = dict.fromkeys(one.grantee for one in equipment.by_default)
    yield from (f"REVOKE ALL ON TABLE {relation} FROM {_role(role)}" for role in roles)


_SEEN = (
    Kind.TRIGGER,
    Kind.CONSTRAINT_TRIGGER,
    Kind.RULE,
    Kind.SECURITY,
    Kind.POLICY,
    Kind.FOREIGN_KEY,
    Kind.GRANT,
    Kind.PUBLICATION,
)
"""What a table gets once its rows are there."""
_CREATION = (Kind.UNLOGGED, Kind.ACCESS_METHOD, Kind.OPTION, Kind.TABLESPACE)
"""What stands in CREATE TABLE itself."""


def copied(equipment: Equipment) -> tuple[Trait, ...]:
    """What a new partition gets of what its siblings share."""
    return tuple(
        replace(trait, tablespace="") if trait.place_lacks else trait for trait in equipment.shared if not trait.lacks
    )


def published_like(equipment: Equipment) -> int | None:
    """The sibling whose places in publications a new partition gets, all of them; None where it gets not all."""
    if not equipment.models:
        return None
    newest = equipment.models[-1]
    places = {trait for trait in newest.traits if trait.kind is Kind.PUBLICATION}
    return newest.oid if places <= set(copied(equipment)) else None


def _create(table: PartitionedTable, relation: str, traits: tuple[Trait, ...], split: str = "") -> str:
    by_kind: dict[Kind, list[str]] = {}
    for trait in traits:
        by_kind.setdefault(trait.kind, []).append(trait.parts[0])
    method = by_kind.get(Kind.ACCESS_METHOD)
    tablespace = _tablespace(table, by_kind.get(Kind.TABLESPACE))
    # ATTACH makes the parent's indexes where they are left out: then each of the siblings' can have its name first.
    unindexed = " EXCLUDING INDEXES" if any(trait.kind in INDEXES for trait in traits) else ""
    return "".join(
        (
            f"CREATE {''.join(by_kind.get(Kind.UNLOGGED, ()))}TABLE {relation} (LIKE {table.sql} INCLUDING ALL"
            f" EXCLUDING IDENTITY EXCLUDING COMMENTS{unindexed})",
            f" PARTITION BY {split}" if split else "",
            f" USING {ident(method[0])}" if method else "",
            with_options(tuple(by_kind.get(Kind.OPTION, ()))),
            f" TABLESPACE {ident(tablespace)}" if tablespace else "",
        )
    )


def _tablespace(table: PartitionedTable, shared: list[str] | None) -> str | None:
    """That of the siblings; the parent's where they differ, or there are none."""
    if shared:
        return shared[0]
    siblings = table.equipment.siblings
    placed = any(trait.kind is Kind.TABLESPACE for one in siblings for trait in one.traits)
    return table.tablespace if placed or not siblings else None


# --- names --------------------------------------------------------------------------------------------------------


def called(traits: Iterable[Trait], name: str, known: Iterable[str] = ()) -> dict[Trait, str]:
    """What is called how on the table `name`; an index that is not among them is named by PostgreSQL.

    `known` are names that are taken in its schema.
    """
    traits = tuple(traits)
    wanted = {trait.index for trait in traits if trait.index is not None}
    names: dict[Trait, str] = {}
    taken = set(known)
    for trait in traits:
        if not trait.name:
            continue
        alike = trait.name.startswith(trait.of)
        new = fit(name, trait.name[len(trait.of) :]) if alike else trait.name
        if trait.kind in (*INDEXES, Kind.STATISTICS):  # their names are the schema's
            new = new if alike else ""
            if trait in wanted or trait.kind is Kind.STATISTICS:
                new = _free(new or fit(name, "_stat" if trait.kind is Kind.STATISTICS else "_idx"), taken)
            if not new or new in taken:
                continue
            taken.add(new)
        names[trait] = new
    return names


def _free(name: str, taken: set[str]) -> str:
    tries = (name, *(fit(name, f"{number}") for number in range(1, len(taken) + 2)))
    return next(one for one in tries if one not in taken)


# --- statements ---------------------------------------------------------------------------------------------------


def made(trait: Trait, schema: str, name: str, names: dict[Trait, str]) -> Iterator[str]:
    """What gives the table `schema`.`name` a trait that is not made by CREATE TABLE itself."""
    relation = qualified(schema, name)
    own = ident(names[trait]) if trait in names else ""
    if trait.kind in INDEXES:
        yield from _placed(_index(trait, relation, own), trait.tablespace)
        if trait.kind is Kind.KEY and trait.state and own:
            yield f"ALTER INDEX {qualified(schema, names[trait])} SET ({trait.state})"
    elif trait.kind in (Kind.CHECK, Kind.FOREIGN_KEY):
        yield f"ALTER TABLE {relation} ADD CONSTRAINT {own} {trait.on(relation)}"
    elif trait.index is not None:
        yield f"{trait.on(relation)}{ident(names[trait.index])}"
    elif trait.kind is Kind.STATISTICS:
        statistics = qualified(schema, names[trait])
        yield f"CREATE STATISTICS {statistics} {trait.on(relation)}"
        if trait.state:
            yield f"ALTER STATISTICS {statistics} SET STATISTICS {trait.state}"
    elif trait.kind in _VERBS:
        yield f"CREATE {_VERBS[trait.kind]} {own} {trait.on(relation)}"
        if trait.state:
            noun = "RULE" if trait.kind is Kind.RULE else "TRIGGER"
            yield f"ALTER TABLE {relation} {trait.state} {noun} {own}"
    else:
        yield trait.on(relation)


_VERBS = {
    Kind.TRIGGER: "TRIGGER",
    Kind.CONSTRAINT_TRIGGER: "CONSTRAINT TRIGGER",
    Kind.RULE: "RULE",
    Kind.POLICY: "POLICY",
}


def _index(trait: Trait, relation: str, own: str) -> str:
    if trait.kind is Kind.KEY:
        constraint = f"CONSTRAINT {own} " if own else ""
        return f"ALTER TABLE {relation} ADD {constraint}{trait.on(relation)}"
    unique = "UNIQUE " if trait.kind is Kind.UNIQUE_INDEX else ""
    return f"CREATE {unique}INDEX {f'{own} ' if own else ''}{trait.on(relation)}"


def _placed(statement: str, tablespace: str) -> Iterator[str]:
    """The statement with its index in a tablespace, which no printed definition names."""
    if tablespace:
        yield f"SET LOCAL default_tablespace = {literal(ident(tablespace)).strip()}"
    yield statement
    if tablespace:
        yield "SET LOCAL default_tablespace = ''"


def _rights(equipment: Equipment, traits: Iterable[Trait], relation: str) -> Iterator[str]:
    """Takes from each role what it has by default privileges and the siblings do not give it, then grants theirs."""
    grants = [trait for trait in traits if trait.kind is Kind.GRANT]
    for role in excess(equipment, grants):
        yield f"REVOKE ALL ON TABLE {relation} FROM {_role(role)}"
    yield from (trait.on(relation) for trait in grants)


def _role(name: str) -> str:
    return ident(name) if name else "PUBLIC"


def excess(equipment: Equipment, grants: Iterable[Trait]) -> tuple[str, ...]:
    """The roles that default privileges give more on a new table than `grants` do; empty for PUBLIC.

    Without a sibling there is nothing to measure by: the defaults are what was wished.
    """
    if not equipment.siblings:
        return ()
    given = {trait.on("") for trait in grants}
    return tuple(dict.fromkeys(one.grantee for one in equipment.by_default if _granted(one) not in given))


def _granted(one: Grant) -> str:
    return f"GRANT {one.privilege} ON TABLE  TO {_to(one)}"


def _to(one: Grant) -> str:
    return f"{_role(one.grantee)}{' WITH GRANT OPTION' if one.grantable else ''}"


# --- on a partition that has rows -----------------------------------------------------------------------------------


def mended(traits: Iterable[Trait], one: Equipped) -> Iterator[str]:
    """What gives a partition in use the traits, as far as that is one statement after the other outside transactions.

    Keys are built while reads and writes go on, and rows are checked so.
    """
    traits = tuple(traits)
    own = {trait: trait.name for trait in one.traits if trait.kind in INDEXES}
    names = {**own, **called(traits, one.name)}
    relation = qualified(one.schema, one.name)
    for trait in traits:
        if trait.kind in (Kind.KEY, Kind.UNIQUE_INDEX):
            yield from _built(trait, relation, ident(names.get(trait) or fit(one.name, "_key")))
        elif trait.kind in (Kind.CHECK, Kind.FOREIGN_KEY) and not trait.parts[-1].endswith(" NOT ENFORCED"):
            yield from (f"{add} NOT VALID" for add in made(trait, one.schema, one.name, names))
            yield validate(relation, names[trait])
        elif trait.index is None or trait.index in names:
            yield from made(trait, one.schema, one.name, names)


def _built(trait: Trait, relation: str, own: str) -> Iterator[str]:
    if trait.kind is Kind.UNIQUE_INDEX:
        yield f"CREATE UNIQUE INDEX CONCURRENTLY {own} {trait.on(relation)}"
    elif not trait.under:
        yield _index(trait, relation, own)
    else:
        kind = "PRIMARY KEY" if trait.parts[0].startswith("PRIMARY KEY") else "UNIQUE"
        later = re.search(r"( DEFERRABLE)?( INITIALLY DEFERRED)?$", trait.parts[0])
        yield f"CREATE UNIQUE INDEX CONCURRENTLY {own} ON {relation} {trait.under}"
        yield f"ALTER TABLE {relation} ADD CONSTRAINT {own} {kind} USING INDEX {own}{later[0] if later else ''}"


def taken_back(traits: Iterable[Trait], one: Equipped) -> Iterator[str]:
    """What takes rights away from a partition that others of its table do not give."""
    for trait in traits:
        words, to = trait.parts
        verb, _, what = words.partition(" ")
        role = to.removeprefix(" TO ").removeprefix(" FROM ")
        relation = qualified(one.schema, one.name)
        if verb == "REVOKE":
            yield f"GRANT {what}{relation} TO {role}"
        elif role.endswith(" WITH GRANT OPTION"):
            yield f"REVOKE GRANT OPTION FOR {what}{relation} FROM {role.removesuffix(' WITH GRANT OPTION')}"
        else:
            yield f"REVOKE {what}{relation} FROM {role}"


# --- words --------------------------------------------------------------------------------------------------------


def told_copied(equipment: Equipment) -> Iterator[str]:
    """What a new partition gets beside the parent's, a sentence each."""
    like = listed(one.name for one in equipment.models)
    have = "have" if len(equipment.models) > 1 else "has"
    for trait in copied(equipment):
        if not trait.inherited or trait.tablespace:
            yield f"It gets {trait.said}, as {like} {have}."
    for role in excess(equipment, [trait for trait in copied(equipment) if trait.kind is Kind.GRANT]):
        yield (
            f"Default privileges would give {role or 'PUBLIC'} more of it than it has of {like}:"
            " that is taken back before anybody can use it."
        )


def told_apart(equipment: Equipment) -> Iterator[str]:
    """What a new partition does not get although siblings have it, a sentence each."""
    for one in equipment.apart:
        verb, lack = "has" if len(one.having) == 1 else "have", "hasn't" if len(one.lacking) == 1 else "haven't"
        yield (
            f"{listed(one.having)} {verb} {one.trait.said}, {listed(one.lacking)} {lack}: a new partition gets none."
        )
    for trait in equipment.shared:
        if trait.lacks:
            yield f"A new partition does not get {trait.said}: {trait.lacks}."
        elif trait.place_lacks:
            yield f"A new partition gets {trait.said} in another place: {trait.place_lacks}."
    if not equipment.siblings and equipment.by_default:
        roles = listed(dict.fromkeys(one.grantee or "PUBLIC" for one in equipment.by_default))
        yield f"Default privileges open a new partition itself to {roles}, and there is no other to compare with."
    if not equipment.siblings and equipment.foreign_owned:
        yield (
            "The partitions belong to other roles than the table does: nothing is copied from them but what the table"
            " itself has."
        )
