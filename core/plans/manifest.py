"""What is written beside a backup: all that is known of it, and what it takes to make the table again."""

from __future__ import annotations

import hashlib
import json
import re
import types
import typing
from dataclasses import MISSING, asdict, dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import quote

from core.errors import BackupDamaged, BackupUnusable
from core.names import literal
from core.tables.bounds import Bounds
from core.tables.ends import KeyType
from core.tables.fingerprint import together
from core.tables.key import Key

FORMAT = 2
"""The newest format that is known; a console that knows no later one refuses it. The first has plain tables alone."""

OBJECT = ".sql.zst"
MANIFEST = ".json"
T = TypeVar("T")

_SEAL = "seal"
_SEGMENT_BYTES = 200


STORED = "stored"


@dataclass(frozen=True, slots=True)
class BackupColumn:
    """A column as it was; `generated` is empty, s (stored) or v (virtual)."""

    name: str
    type: str
    not_null: bool
    generated: str
    collation: str
    """Quoted and qualified; empty for the type's own."""


@dataclass(frozen=True, slots=True)
class Needed:
    """What has to be there before the table is made: a type of the user's, or an extension."""

    kind: str
    """type or extension."""
    schema: str
    name: str
    sql: str
    """The statement that makes it."""
    labels: tuple[str, ...] = ()
    """The labels of an enum, in their order."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a server that holds nothing else can't have, and so is not in the backup's own SQL."""

    what: str
    """For people: "default of id"."""
    sql: str
    """The statement that puts it back; empty where there is none."""
    needs: tuple[str, ...] = ()
    """What has to exist for it, each as "regclass x", "regprocedure x", "regtype x", "collation x" or "role x"."""
    back: str = ""
    """When it is put back: "columns" (before the rows), "restore", "reattach", or never by itself."""


@dataclass(frozen=True, slots=True)
class BackupKey:
    """A column or an expression of the key."""

    column: str
    """Empty for an expression."""
    expression: str
    """As PostgreSQL prints it; compared with CHECKs, and never run."""
    type: str


@dataclass(frozen=True, slots=True)
class Level:
    """One table of a backup: a leaf, whose rows are in the object, or a branch, which has none of its own."""

    name: str
    schema: str
    """The schema that it stood in; the backup's own SQL makes all of them in one."""
    parent: str
    """The name of the table that it hangs on; empty for the one that was backed up."""
    bounds: str
    """PostgreSQL's text of them below that."""
    split: str
    """How it is partitioned itself, in PostgreSQL's words; empty for a leaf."""
    columns: tuple[BackupColumn, ...]
    rows: int
    fingerprint: str
    """Both of its own rows; 0 and empty for a branch."""
    raw_bytes: int
    """Of its rows' text; 0 where nothing tells it apart from what stands around it."""
    generated: str = ""
    """The fingerprint of its generated columns, which are computed anew wherever it is restored; empty without any."""

    @property
    def stored(self) -> tuple[str, ...]:
        """The names of the columns whose values are in the object: all but generated ones."""
        return tuple(column.name for column in self.columns if not column.generated)

    @property
    def computed(self) -> tuple[str, ...]:
        """The names of the generated ones."""
        return tuple(column.name for column in self.columns if column.generated)


@dataclass(frozen=True, slots=True)
class Locale:
    """How the database orders its texts, as pg_database has it; nothing in the oldest manifests."""

    provider: str = ""
    """c (libc), i (ICU), or b (the server's own)."""
    collate: str = ""
    ctype: str = ""
    name: str = ""
    """ICU's, or the server's own."""
    rules: str = ""

    @property
    def said(self) -> str:
        """For people."""
        if self.provider == "i":
            return f"ICU locale {self.name}"
        return f"locale {self.name or self.collate}" if self.provider else "its locale is not known"

    def clauses(self, major: int) -> tuple[str, ...]:
        """What CREATE DATABASE takes for the same order on a server of that version, the best first."""
        libc = " LOCALE_PROVIDER libc" if major >= 15 else ""
        plain = f"LC_COLLATE 'C' LC_CTYPE 'C'{libc}"
        own = f"LC_COLLATE {literal(self.collate)} LC_CTYPE {literal(self.ctype)}"
        if self.provider == "c":
            by_code = self.collate.upper().replace("UTF-8", "UTF8") in ("C", "POSIX", "C.UTF8")
            return (f"{own}{libc}", *((plain,) if by_code else ()))
        if self.provider == "b":  # all of them compare by code
            return (f"LOCALE_PROVIDER builtin BUILTIN_LOCALE {literal(self.name)}", plain) if major >= 17 else (plain,)
        if self.provider == "i" and major >= 15:
            rules = f" ICU_RULES {literal(self.rules)}" if self.rules else ""
            icu = f"LOCALE_PROVIDER icu ICU_LOCALE {literal(self.name)}{rules}"
            return f"{icu} {own}", f"{icu} LC_COLLATE 'C' LC_CTYPE 'C'"
        return ()


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup of one partition with all below it. Its object is the text of `create`, the rows of each leaf in turn,
    and `afterwards`, through zstd."""

    id: str
    """The path in its place, without the suffixes."""
    database: str
    cluster: str
    """The system identifier of the server, which tells two with databases of one name apart; empty where it may not be
    read."""
    server_version: str
    server_version_num: int
    encoding: str
    """PostgreSQL's name of the database's encoding, which the object has, too."""
    parent: str
    """The table that it was a partition of, as `split_qualified` reads it."""
    schema: str
    """The schema in which it was a partition."""
    name: str
    archive: str
    """The schema that the backup's own SQL makes the table in."""
    bounds: str
    """PostgreSQL's text of the bounds; read from a manifest, it is one of a range of the key's type."""
    bounded: bool
    """Whether a CHECK of exactly the bounds is in it."""
    made_check: bool
    """Whether that CHECK is the console's, so that reattaching takes it away."""
    key_column: str
    key_type: str
    columns: tuple[BackupColumn, ...]
    rows: int
    fingerprint: str
    """Both of all leaves together."""
    raw_bytes: int
    """Of the text before it was compressed."""
    bytes: int
    """Of the object."""
    sha256: str
    """Of the object."""
    tool: str
    console: str
    """The version of Partition Desk that wrote it."""
    archived_at: str
    """ISO 8601, UTC; empty for a partition that was attached."""
    started_at: str
    finished_at: str
    """Both ISO 8601, UTC."""
    actor: str
    reason: str
    needs: tuple[Needed, ...]
    create: tuple[str, ...]
    """Every statement before the rows, as it stands in the object."""
    afterwards: tuple[str, ...]
    """Every statement after the rows, as it stands in the object."""
    left_out: tuple[LeftOut, ...]
    owner: str
    comment: str | None
    """The user's own."""
    time_zone: str = ""
    """The database's, in which CHECKs that depend on it hold; empty in the oldest manifests."""
    compared: str = ""
    """What the fingerprint is of: the values that are "stored"; where it is empty, generated columns as well."""
    generated: str = ""
    """The fingerprint of the generated columns of all leaves; empty without any."""
    locale: Locale = Locale()
    """The database's, in which CHECKs and unique constraints on texts hold."""
    key_parts: tuple[BackupKey, ...] = ()
    """What the key is made of, where that is more than one column."""
    key_above: str = ""
    """What the tables above its own demanded of every row, as PostgreSQL prints it; compared with CHECKs, never run."""
    split: str = ""
    """How it was partitioned itself, in PostgreSQL's words; empty for a plain table."""
    below: tuple[Level, ...] = ()
    """All that hung below it, parents before their partitions."""

    @property
    def itself(self) -> Level:
        """The table that was backed up as one of its levels."""
        own = (0, "", 0, "") if self.split else (self.rows, self.fingerprint, 0, self.generated)
        return Level(self.name, self.schema, "", self.bounds, self.split, self.columns, *own)

    @property
    def levels(self) -> tuple[Level, ...]:
        """It and all below it, parents before their partitions."""
        return (self.itself, *self.below)

    @property
    def leaves(self) -> tuple[Level, ...]:
        """Those whose rows are in the object, in that order."""
        return tuple(one for one in self.levels if not one.split)

    def fingerprinted(self, leaf: Level) -> tuple[str, ...]:
        """The names of the columns that the fingerprint of a leaf is of."""
        return leaf.stored if self.compared == STORED else tuple(column.name for column in leaf.columns)

    @property
    def format(self) -> int:
        """The oldest format that says all of it, so that consoles of before read what they know."""
        return 2 if self.split or self.locale.provider else 1

    @property
    def extensions(self) -> tuple[str, ...]:
        """The extensions that its types come from."""
        return tuple(need.name for need in self.needs if need.kind == "extension")

    @property
    def key(self) -> Key:
        """The key, as far as it tells bounds from each other. Raises ValueError for a type without a known order."""
        parts = self.key_parts or (BackupKey(self.key_column, "", self.key_type),)
        declared = {column.name: column.type for column in self.columns}
        first, *rest = (
            Key(one.column, KeyType(one.type), expression=one.expression, declared=declared.get(one.column, ""))
            for one in parts
        )
        return replace(first, rest=tuple(rest), above=self.key_above)

    @property
    def range(self) -> Bounds:
        """The bounds, whose ends compare with those of a key of its type. Raises ValueError for none of that."""
        return Bounds.parse(self.bounds, self.key)

    def is_from(self, database: str, cluster: str) -> bool:
        """Whether it was made of this database; by its name alone where one of the servers hides which it is."""
        return self.database == database and (not self.cluster or not cluster or self.cluster == cluster)

    def whence(self, database: str) -> str:
        """For people: the database that it was made of, seen from one of the name `database` that it `is_from` not."""
        return f"the database {self.database}" + (" on another server" if self.database == database else "")

    @property
    def object(self) -> str:
        """The path of the object."""
        return self.id + OBJECT

    @property
    def manifest(self) -> str:
        """The path of the manifest."""
        return self.id + MANIFEST

    @property
    def stored(self) -> tuple[str, ...]:
        """The names of the columns whose values are in the object: all but generated ones."""
        return tuple(column.name for column in self.columns if not column.generated)

    def to_json(self) -> str:
        """The manifest as text, sealed against accidents by a checksum of itself."""
        raw = {"format": self.format, **asdict(self)}
        for name in _SPARED:
            if not raw[name]:
                del raw[name]
        return json.dumps({**raw, _SEAL: _sealed(raw)}, ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Backup:
        """What `to_json` wrote. Raises BackupUnusable for a later format, BackupDamaged for anything else."""
        raw = _object(text)
        if isinstance(raw.get("format"), int) and raw["format"] > FORMAT:
            raise BackupUnusable(
                f"The backup was written in format {raw['format']}; this console knows formats up to {FORMAT}.",
                next="Use the newer Partition Desk that wrote it.",
            )
        written = raw.pop("format", None)
        if type(written) is not int or written < 1:
            raise BackupDamaged("The manifest is not one of a backup.", next=ANOTHER)
        seal = raw.pop(_SEAL, None)
        found = read_fields(cls, raw, "manifest")
        if seal != _sealed({"format": written, **raw}):
            raise BackupDamaged("The manifest was changed: it differs from its own checksum.", next=ANOTHER)
        found._require_bounds()
        found._require_levels(written)
        found._require_figures()
        return found

    def _require_figures(self) -> None:
        """Raises BackupDamaged: moments are moments with a zone, and nothing is less than nothing."""
        try:
            moments = [datetime.fromisoformat(text) for text in (self.started_at, self.finished_at)]
            moments += [datetime.fromisoformat(self.archived_at)] if self.archived_at else []
            if all(moment.tzinfo for moment in moments) and min(self.rows, self.bytes, self.raw_bytes) >= 0:
                return
        except ValueError:
            pass
        raise BackupDamaged("The manifest's moments or figures can't be.", next=ANOTHER)

    def _require_bounds(self) -> None:
        """Raises BackupDamaged: whoever wrote the manifest, nothing but a range of the key's type goes on from here."""
        try:
            if not self.range.is_default:
                return
        except ValueError:
            pass
        said = f"The manifest's bounds are {self.bounds!r}, which is no range of {self.key_type!r}."
        raise BackupDamaged(said[:300], next=ANOTHER)

    def _require_levels(self, written: int) -> None:
        """Raises BackupDamaged for what is no tree of this format, or whose leaves don't make up the whole."""
        branches, names = {self.name} if self.split else set(), {self.name}
        known = written == self.format
        for one in self.below:
            known = known and one.parent in branches and one.name not in names and one.raw_bytes >= 0
            names.add(one.name)
            branches |= {one.name} if one.split else set()
        try:
            known = known and self.fingerprint == together(one.fingerprint for one in self.leaves)
        except ValueError:
            known = False
        if not known:
            raise BackupDamaged("The manifest's tables are no tree, or not the whole of one.", next=ANOTHER)


ANOTHER = "Use another backup of the same table; while the table itself is there, back it up again."


def backup_id(database: str, parent_address: str, name: str, at: datetime, token: str) -> str:
    """The path of a new backup: database/parent/name/time-token, safe in a URL, under 900 bytes.

    `token` tells two of one second apart.
    """
    folders = "/".join(_segment(part) for part in (database, parent_address, name))
    return f"{folders}/{at:%Y%m%dT%H%M%SZ}-{_segment(token)}"


_ID = re.compile(r"(?:[A-Za-z0-9_~%-][A-Za-z0-9_.~%-]*/){3}\d{8}T\d{6}Z-[A-Za-z0-9_.~%-]+", re.ASCII)


def is_backup_id(text: str) -> bool:
    """Whether a text is such a path, and leads nowhere else."""
    return _ID.fullmatch(text) is not None


def may_be_of(path: str, parent_address: str) -> bool:
    """Whether a path can be that of a backup of this parent, so that its manifest is worth reading."""
    return path.split("/")[1:2] == [_segment(parent_address)]


def _segment(text: str) -> str:
    """One folder's name; what is too long is cut and told apart by six hex digits of a hash."""
    safe = quote(text, safe="")
    if safe.startswith("."):
        safe = f"%2E{safe[1:]}"
    if len(safe) <= _SEGMENT_BYTES:
        return safe
    cut = safe[: _SEGMENT_BYTES - 7]
    if "%" in cut[-2:]:
        cut = cut[: cut.rindex("%")]
    return f"{cut}_{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _sealed(raw: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(raw, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def _object(text: str) -> dict[str, Any]:
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BackupDamaged("The manifest is not JSON.", next=ANOTHER) from error
    if not isinstance(raw, dict):
        raise BackupDamaged("The manifest is not one of a backup.", next=ANOTHER)
    return raw


_SPARED = ("key_parts", "key_above", "split", "below", "compared", "generated")
"""Fields that are left out where they are empty, so that consoles of before read the rest."""


@lru_cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def read_fields(kind: type[T], raw: object, where: str) -> T:
    """A dataclass from what `asdict` and JSON made of it. Raises BackupDamaged where anything is missing or strange."""
    if not isinstance(raw, dict):
        raise BackupDamaged(f"The {where} holds {type(raw).__name__} where fields are expected.", next=ANOTHER)
    hints = _hints(typing.cast(Any, kind))
    every = fields(typing.cast(Any, kind))
    names = [field.name for field in every]
    needed = [field.name for field in every if field.default is MISSING]  # the others are of later versions
    missing = [name for name in needed if name not in raw]
    unknown = [str(name) for name in raw if name not in names]
    if missing or unknown:
        said = [f"lacks {', '.join(missing)}"] if missing else []
        said += [f"has {', '.join(unknown)} besides"] if unknown else []
        raise BackupDamaged(f"The {where} {' and '.join(said)}.", next=ANOTHER)
    return kind(**{name: _value(hints[name], raw[name], f"{where}'s {name}") for name in names if name in raw})


def _value(hint: Any, raw: object, where: str) -> Any:
    if typing.get_origin(hint) is tuple:
        if not isinstance(raw, list):
            raise BackupDamaged(f"The {where} is not a list.", next=ANOTHER)
        inner = typing.get_args(hint)[0]
        return tuple(_value(inner, one, where) for one in raw)
    if hasattr(hint, "__dataclass_fields__"):
        return read_fields(hint, raw, where)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        if not isinstance(raw, str) or raw not in list(hint):
            raise BackupDamaged(f"The {where} is {raw!r}."[:200], next=ANOTHER)
        return hint(raw)
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if float in allowed and type(raw) is int:
        return float(raw)
    if type(raw) not in allowed:
        raise BackupDamaged(f"The {where} is {raw!r}."[:200], next=ANOTHER)
    return raw
