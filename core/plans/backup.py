"""Back up, verify and restore: the text of a backup, and the plans that make one, prove one and bring one back."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from core.errors import BackupUnusable, NameTaken, NotAllowed, NotServed, PartitionNotFound, Refused
from core.names import comment_sql, ident, literal, qualified, split_qualified
from core.plans.manifest import FORMAT, Backup, Kept, LeftOut, Needed
from core.plans.plan import Lock, Mode, Operation, Plan, Step, basis
from core.postgres.server import Server
from core.postgres.session import PORTABLE
from core.tables.archived import Archived
from core.tables.bounds import Bounds
from core.tables.commands import partition_option, table_option
from core.tables.fingerprint import dollar_quoted, require_fingerprint_sql
from core.tables.marks import Hold, Marks, Tag
from core.tables.partition import Partition
from core.tables.table import ArchiveSchema, PartitionedTable
from core.text import human_bytes, human_rows

# --- the text of an object ----------------------------------------------------------------------------------------


def session_statements(encoding: str) -> tuple[str, ...]:
    """The statements that every object begins with."""
    wanted = {"client_encoding": encoding, **PORTABLE}
    return tuple(f"SET {name} = {literal(value)}" for name, value in wanted.items())


def make_if_missing(need: Needed) -> tuple[str, ...]:
    """The statements that make a type, and its schema, where there is none."""
    schema = () if need.schema in ("pg_catalog", "public") else (f"CREATE SCHEMA IF NOT EXISTS {ident(need.schema)}",)
    if need.kind == "extension":
        return (*schema, need.sql)
    name = literal(qualified(need.schema, need.name)).strip()
    body = f"\nBEGIN\n  IF pg_catalog.to_regtype({name}) IS NULL THEN\n    {need.sql};\n  END IF;\nEND\n"
    return (*schema, f"DO {dollar_quoted(body)}")


def general_statements(encoding: str, archive: str, needs: Iterable[Needed]) -> tuple[str, ...]:
    """What every object begins with: the session, the schema, and the types that the table needs."""
    return (
        *session_statements(encoding),
        f"CREATE SCHEMA IF NOT EXISTS {ident(archive)}",
        *(statement for need in needs for statement in make_if_missing(need)),
    )


def before_rows(backup: Backup) -> str:
    """The text of the object up to its first row; `FORMAT` says that it is this."""
    head = (
        f"-- Partition Desk backup, format {FORMAT}: {backup.id}\n"
        "-- It restores alone: zstd -dc FILE | psql -v ON_ERROR_STOP=1 DATABASE\n"
    )
    return f"{head}{_script(backup.create)}{copy_line(backup)}"


def copy_line(backup: Backup) -> str:
    """The last of the text before the first row."""
    columns = ", ".join(map(ident, backup.stored))
    return f"COPY {qualified(backup.archive, backup.name)} ({columns}) FROM stdin;\n"


def after_rows(backup: Backup) -> str:
    r"""The text of the object after its last row, from the line \. on."""
    return "\\.\n" + _script(backup.afterwards)


def _holding(table: PartitionedTable, backup: Backup) -> tuple[Partition, ...]:
    """The partitions that hold a part of a backup's range."""
    bounds = Bounds.parse(backup.bounds)
    if table.key is None or not bounds.is_of(table.key.type):
        return ()
    return tuple(p for p in table.ranges if p.bounds is not None and p.bounds.overlaps(bounds))


def _script(statements: Iterable[str]) -> str:
    return "".join(f"{statement};\n" for statement in statements)


def marks_of(backup: Backup, hold: Hold | None = None) -> Marks:
    """What the comment of the table says that is made from a backup."""
    schema, name = split_qualified(backup.parent)
    return Marks(
        Tag(
            parent=qualified(schema or backup.schema, name),
            schema=backup.schema,
            bounds=backup.bounds,
            archived_at=backup.archived_at or backup.started_at,
            made_check=backup.made_check,
        ),
        hold,
    )


# --- back up ------------------------------------------------------------------------------------------------------


def require_backed_up(table: PartitionedTable, name: str) -> Partition | Archived:
    """The attached or archived partition `name`, where it can be backed up. Raises Refused."""
    if table.not_served is not None or table.key is None:
        raise NotServed(f"{table.label} is only shown here: {table.not_served}.")
    found = table.find(name) or table.find_archived(name)
    if found is None:
        known = ", ".join(table.calls().values()) or "none"
        raise PartitionNotFound(f"{table.label} has no partition {name}.", next=f"There are: {known}.")
    if isinstance(found, Partition) and not found.leaf:
        raise Refused(f"{name} is partitioned itself or a foreign table; the console only shows it.")
    if found.bounds is None:
        raise Refused(
            f"The bounds of {name} are not known just now, and a backup without them could not be brought back.",
            next="Try again in a moment; a table archived by hand needs a CHECK of its range, or its year in its name.",
        )
    if found.bounds.is_default:
        raise Refused(f"{name} is the DEFAULT partition: it has no bounds that it could come back to.")
    return found


def plan_backup(table: PartitionedTable, name: str, *, id: str, place_label: str, tool: str) -> Plan:
    """A plan that writes the rows and the definition of a partition to the place, under the path `id`.

    `tool` is the pg_dump that reads the rows, as "pg_dump 18.4". Raises Refused for what can't be backed up.
    """
    found = require_backed_up(table, name)
    name = table.called(found)
    target = f"{place_label.rstrip('/')}/{id}.sql.zst"
    dump = f"pg_dump --dbname={shlex.quote(table.server.database)} --table={shlex.quote(found.sql)}"
    rows = f" {human_rows(found.rows)} rows" if found.rows is not None else " every row"
    return Plan(
        operation=Operation.BACKUP,
        table=table.address,
        subject=name,
        basis=basis(table, found.oid),
        steps=(
            Step(
                f"Write {name} to {place_label}",
                (f"{dump} | zstd -3 > {shlex.quote(target)}",),
                (Lock(found.sql, Mode.ACCESS_SHARE, brief=False),),
                transactional=False,
            ),
        ),
        effects=(
            f"{tool} reads{rows} of {found.schema}.{name} as of one moment; others read and write it meanwhile.",
            f"It is compressed on its way to {place_label}; what it takes to make the table anywhere is in it.",
            "Its manifest, with the number of rows and their fingerprint, is written last: until then it is no backup.",
        ),
        way_back="Nothing on the server is changed.",
        command=f"partitions backup{partition_option(name)}{table_option(table)}",
        backup=id,
        oid=found.oid,
    )


def plan_verify(backup: Backup, place_label: str) -> Plan:
    """A plan that fetches a backup and restores it into a PostgreSQL of its own, which is thrown away afterwards."""
    source = shlex.quote(f"{place_label.rstrip('/')}/{backup.object}")
    return Plan(
        operation=Operation.VERIFY,
        table=backup.parent,
        subject=backup.name,
        basis=(),
        steps=(
            Step(
                f"Restore the backup of {backup.name} elsewhere and compare it",
                (
                    f"sha256sum {source}  # {backup.sha256}",
                    f"zstd -dc {source} | psql -v ON_ERROR_STOP=1 throwaway",
                ),
                transactional=False,
            ),
        ),
        effects=(
            f"{human_bytes(backup.bytes)} are fetched from {place_label} and their checksum is compared.",
            "They are restored into a PostgreSQL of its own, which is removed afterwards; the server is not touched.",
            f"Its {human_rows(backup.rows)} rows, their fingerprint, the columns and the bounds have to be those of the"
            " manifest. What was found is written beside the backup.",
        ),
        way_back="Nothing on the server is changed.",
        command=f"partitions verify {shlex.quote(backup.id)}",
        backup=backup.id,
    )


# --- restore ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What there is on the server that a backup is to be restored on, of all that it asks for."""

    server: Server
    archive: ArchiveSchema
    """Its `taken` holds every name of a relation or type in the schema."""
    encoding: str
    schemas: frozenset[str] = frozenset()
    present: frozenset[str] = frozenset()
    """Of the `needs` of what was left out, those that exist."""
    types: frozenset[str] = frozenset()
    """Of the needed types those that exist, quoted and qualified; of the extensions, their names quoted."""
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The labels of the enums among them."""
    available: frozenset[str] = frozenset()
    """Of the needed extensions, those that could be made."""
    may_own: frozenset[str] = frozenset()
    """Roles that the connected one may give a table to."""


def plan_restore(
    table: PartitionedTable | None,
    kept: Kept,
    *,
    there: Surroundings,
    hold: Hold | None = None,
    place_label: str = "",
) -> Plan:
    """A plan that makes the backed up table anew in the archive schema, in one transaction, under `hold`.

    `table` is its parent, None where there is none here. Raises BackupUnusable with every reason at once, NameTaken,
    and NotAllowed where the role may not make what is missing.
    """
    backup = kept.backup
    parts = _Parts(backup, there.archive.name)
    _require_usable(backup, there)
    _require_rights(backup, there)
    clash = sorted({backup.name, *parts.names} & there.archive.taken)
    if clash:
        raise NameTaken(
            f"{there.archive.name} already holds {', '.join(clash)}; tables and indexes share one set of names there.",
            next=f"Rename what stands there: ALTER TABLE (or INDEX) {qualified(there.archive.name, clash[0])}"
            " RENAME TO ...",
        )
    back, stays = _put_back(backup, parts, there)
    warnings = _restore_warnings(table, kept, there, stays)
    return Plan(
        operation=Operation.RESTORE,
        table=table.address if table else backup.parent,
        subject=backup.name,
        basis=basis(table) if table else (),
        steps=(
            Step(
                f"Make {there.archive.name}.{backup.name} from its backup and compare every row",
                tuple(_restore_statements(backup, parts, there, back, hold)),
            ),
        ),
        effects=(
            f"{human_bytes(backup.bytes)} are fetched{f' from {place_label}' if place_label else ''}, and"
            f" {human_rows(backup.rows)} rows become the table {there.archive.name}.{backup.name}.",
            "Its rows are compared with the backup's fingerprint before anything is committed.",
            f"Afterwards it is an archived partition of {backup.parent}, which can be reattached.",
            *([f"It is held{f' until {hold.until}' if hold.until else ''}: {hold.reason}"] if hold else []),
        ),
        way_back="Drop it again; its backup stays.",
        command=f"partitions restore {shlex.quote(backup.id)}",
        warnings=warnings,
        backup=backup.id,
    )


def copy_statement(backup: Backup, archive_schema: str) -> str:
    """The statement of a restore that the rows follow."""
    columns = ", ".join(map(ident, backup.stored))
    encoding = literal(backup.encoding).strip()
    return f"COPY {qualified(archive_schema, backup.name)} ({columns}) FROM STDIN WITH (ENCODING {encoding})"


def _restore_statements(
    backup: Backup, parts: _Parts, there: Surroundings, back: tuple[LeftOut, ...], hold: Hold | None
) -> Iterator[str]:
    relation = qualified(there.archive.name, backup.name)
    archive = ident(there.archive.name)
    yield from (f"SET LOCAL {name} = {literal(value)}" for name, value in PORTABLE.items())
    if not there.archive.exists:
        yield f"CREATE SCHEMA {archive}"
        yield f"REVOKE ALL ON SCHEMA {archive} FROM PUBLIC"
    for schema in _missing_schemas(backup, there):
        yield f"CREATE SCHEMA {ident(schema)}"
    yield from (need.sql for need in _missing(backup, there))
    yield from parts.create
    yield from (parts.checked(one.sql) for one in back if one.back == "columns")
    yield copy_statement(backup, there.archive.name)
    yield from parts.afterwards
    late = [one for one in back if one.back == "restore"]
    yield from (parts.checked(one.sql) for one in late if not _of_rights(one))
    changed = f"The rows of {relation} are not those of the backup {backup.id}."
    yield require_fingerprint_sql(relation, [column.name for column in backup.columns], backup.fingerprint, changed)
    yield comment_sql(relation, marks_of(backup, hold).beside(backup.comment))
    yield from (parts.checked(one.sql) for one in late if _of_rights(one))


def _of_rights(one: LeftOut) -> bool:
    return any(need.startswith("role ") for need in one.needs) or one.what == "rights"


def _missing(backup: Backup, there: Surroundings) -> tuple[Needed, ...]:
    return tuple(need for need in backup.needs if _type_name(need) not in there.types)


def _missing_schemas(backup: Backup, there: Surroundings) -> tuple[str, ...]:
    wanted = dict.fromkeys(need.schema for need in _missing(backup, there))
    have = {*there.schemas, there.archive.name, "pg_catalog"}
    return tuple(schema for schema in wanted if schema not in have)


def _type_name(need: Needed) -> str:
    return ident(need.name) if need.kind == "extension" else qualified(need.schema, need.name)


def _require_usable(backup: Backup, there: Surroundings) -> None:
    reasons: list[str] = []
    if there.encoding != backup.encoding:
        reasons.append(f"Its texts are in {backup.encoding}, the database's in {there.encoding}.")
    if there.server.in_recovery or there.server.read_only:
        reasons.append("This server takes no changes.")
    for need in backup.needs:
        name = _type_name(need)
        known = there.labels.get(name)
        lacking = [label for label in need.labels if known is not None and label not in known]
        if lacking:
            reasons.append(f"The type {name} here lacks {', '.join(lacking)}: ALTER TYPE {name} ADD VALUE ...")
        if need.kind == "extension" and name not in there.types and name not in there.available:
            reasons.append(f"It needs the extension {need.name}, which is not installed on this server.")
    if there.server.version_num < 180000 and any(column.generated == "v" for column in backup.columns):
        reasons.append("It has a virtual generated column, which came with PostgreSQL 18.")
    if there.server.version_num < 180000 and any(_is_not_null(statement) for statement in backup.afterwards):
        reasons.append("It has a NOT NULL that was not validated, which came with PostgreSQL 18.")
    if reasons:
        raise BackupUnusable(f"The backup of {backup.name} can't be restored here.", tuple(reasons))


def _is_not_null(statement: str) -> bool:
    return re.search(r' ADD CONSTRAINT "(?:[^"]|"")+" NOT NULL ', statement) is not None


def _require_rights(backup: Backup, there: Surroundings) -> None:
    archive = there.archive
    user = there.server.user
    missing = [*([] if archive.exists else [archive.name]), *_missing_schemas(backup, there)]
    if missing and not there.server.may_create_schema:
        raise NotAllowed(
            f"The schema {missing[0]} does not exist and the role {user} may not create it.",
            next=f"Run once as an administrator: CREATE SCHEMA {ident(missing[0])} AUTHORIZATION {ident(user)}.",
        )
    if archive.exists and not archive.may_create:
        raise NotAllowed(
            f"The role {user} may not create tables in the schema {archive.name}.",
            next=f"Run as its owner: GRANT USAGE, CREATE ON SCHEMA {ident(archive.name)} TO {ident(user)}.",
        )


def _put_back(
    backup: Backup, parts: _Parts, there: Surroundings
) -> tuple[tuple[LeftOut, ...], tuple[tuple[LeftOut, str], ...]]:
    """What was left out and can be put back here, and what can't, with the reason."""
    back: list[LeftOut] = []
    stays: list[tuple[LeftOut, str]] = []
    for one in backup.left_out:
        lacking = [need for need in one.needs if need not in there.present]
        if one.back not in ("columns", "restore"):
            continue
        if one.sql.startswith(f"ALTER TABLE {parts.relation} OWNER TO "):
            if backup.owner == there.server.user:
                continue
            if not lacking and backup.owner not in there.may_own:
                stays.append((one, f"the role {there.server.user} may not give tables to it"))
                continue
        if lacking:
            stays.append((one, f"there is no {', '.join(_said(need) for need in lacking)} here"))
        else:
            back.append(one)
    return tuple(back), tuple(stays)


_KINDS = {"regclass": "relation", "regprocedure": "function", "regtype": "type", "regoperator": "operator"}


def _said(need: str) -> str:
    kind, _, name = need.partition(" ")
    return f"{_KINDS.get(kind, kind)} {name}".strip()


def _restore_warnings(
    table: PartitionedTable | None, kept: Kept, there: Surroundings, stays: tuple[tuple[LeftOut, str], ...]
) -> tuple[str, ...]:
    backup = kept.backup
    found: list[str] = []
    if kept.proven is None:
        found.append("This backup has no good proof: it was not verified, or its last verification failed.")
    if table is None:
        found.append(f"The table {backup.parent} is not in this database; there is nothing to reattach to.")
    else:
        needs = _reattach_needs(table, backup)
        if needs:
            found.append(f"Before it can be reattached: {' '.join(needs)}")
        holding = [p.name for p in _holding(table, backup)]
        if holding:
            found.append(f"{', '.join(holding)} holds a part of its range; it can't be reattached beside it.")
    created = [_type_name(need) for need in _missing(backup, there)]
    if created:
        found.append(f"It is made along with what it needs: {', '.join(created)}.")
    found += [f"Not put back, because {why}: {one.what}." for one, why in stays]
    own = [one.what for one in backup.left_out if not one.back and one.sql]
    if own:
        found.append(f"Not put back by itself, its SQL is in the manifest: {', '.join(own)}.")
    if there.archive.exists and there.archive.open_to_public:
        found.append(f"The schema {there.archive.name} is open to every role of the database.")
    return tuple(found)


def _reattach_needs(table: PartitionedTable, backup: Backup) -> list[str]:
    """What of the columns keeps the table from its parent as it is now, with what puts it right."""
    alter = f"ALTER TABLE {qualified(table.archive.name, backup.name)}"
    theirs = {column.name: column for column in backup.columns}
    needs: list[str] = []
    for column in table.columns:
        own = theirs.pop(column.name, None)
        if own is None:
            needs.append(f"{alter} ADD COLUMN {ident(column.name)} {column.type};")
        elif own.type != column.type:
            needs.append(f"{alter} ALTER COLUMN {ident(column.name)} TYPE {column.type};")
        elif column.not_null and not own.not_null:
            needs.append(f"{alter} ALTER COLUMN {ident(column.name)} SET NOT NULL;")
    return needs + [f"{alter} DROP COLUMN {ident(name)};" for name in theirs]


_IDENT = r'"(?:[^"]|"")+"'
_TOKEN = re.compile(
    r"""(?P<text>[eE]'(?:[^'\\]|\\.|'')*+'|'(?:[^']|'')*+')
    |(?P<name>"(?:[^"]|"")++")
    |(?P<word>(?![eE]')[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*)
    |(?P<other>.)""",
    re.DOTALL | re.VERBOSE,
)
"""As PostgreSQL's scanner cuts: every letter beyond ASCII is one of a word, and E'...' ends elsewhere than '...'."""
_OTHER = frozenset("0123456789 \n\t()[]{},.:=<>+-*/%^|&~!@#?`")
_STRANGE = re.compile(r";|--|/\*|\x04\s*\x01")
"""Also two texts side by side: PostgreSQL reads them as one, and the second by the rules of the first."""
_TEXT = re.compile(r"\x01\x03*\x04|NULL")
_OPTION = (
    r"(?:toast\.)?(?:fillfactor|toast_tuple_target|parallel_workers|user_catalog_table|(?:auto)?vacuum_\w+"
    r"|log_auto\w+)='[\w.-]*'"
)
_TAIL = re.compile(rf"(?: WITH \({_OPTION}(?:, {_OPTION})*\))?", re.ASCII)
_ELSEWHERE = re.compile(r"\b(?:REFERENCES|AS\s+IDENTITY)\b", re.IGNORECASE)


def _masked(statement: str) -> str:
    """The statement, as long as it was, without what stands in quotes; a ; for whatever no statement of ours has."""

    def mask(match: re.Match[str]) -> str:
        found = match.group()
        if match.lastgroup == "text":
            return "\x01" + "\x03" * (len(found) - 2) + "\x04"
        if match.lastgroup == "name":
            return "\x02" * len(found)
        return found if match.lastgroup == "word" or found in _OTHER else ";"

    return _TOKEN.sub(mask, statement)


def _split(masked: str) -> tuple[list[str], str] | None:
    """(what the commas outside of brackets part, what follows a bracket that was not opened); None where unbalanced."""
    depth, begin = 0, 0
    parts: list[str] = []
    for place, letter in enumerate(masked):
        if letter in "([":
            depth += 1
        elif letter in ")]" and depth:
            depth -= 1
        elif letter in ",)]" and not depth:
            parts.append(masked[begin:place])
            begin = place + 1
            if letter != ",":
                return parts, masked[begin:]
    return None if depth else ([*parts, masked[begin:]], "")


def require_its_own(backup: Backup) -> None:
    """Checks everything that a verification runs of a backup, as a restore does. Raises BackupUnusable."""
    parts = _Parts(backup, backup.archive)
    general = general_statements(backup.encoding, backup.archive, backup.needs)
    for place, expected in enumerate(general):
        found = backup.create[place] if place < len(backup.create) else ""
        if found != expected:
            raise parts.refused(found)
    for statement in (*backup.create[len(general) :], *backup.afterwards):
        parts.checked(statement)


class _Parts:
    """The statements of a backup for another archive schema; each is of a shape that only makes its own table.

    A manifest can be written by whoever may write to the place, and its statements are run with the rights of who
    restores: any other statement is refused, and so is one that ties the table to another. Expressions (defaults,
    generated columns, CHECKs, indexes) are not looked into: they can call every function that who restores may call.
    """

    def __init__(self, backup: Backup, archive_schema: str) -> None:
        self.relation = qualified(backup.archive, backup.name)
        self._to = qualified(archive_schema, backup.name)
        self._schemas = ident(backup.archive), ident(archive_schema)
        relation = f"(?P<relation>{re.escape(self.relation)})"
        schema = f"(?P<schema>{re.escape(self._schemas[0])})"
        shapes = (
            rf"CREATE TABLE {relation} \(",
            rf"ALTER TABLE {relation} (?:ALTER COLUMN {_IDENT} SET |REPLICA IDENTITY |CLUSTER ON |OWNER TO )",
            rf"ALTER TABLE {relation} ADD CONSTRAINT (?P<name>{_IDENT}) (?:PRIMARY KEY|UNIQUE|EXCLUDE)\b",
            rf"ALTER TABLE {relation} ADD CONSTRAINT {_IDENT} (?:CHECK|NOT NULL)\b",
            rf"CREATE (?:UNIQUE )?INDEX (?P<name>{_IDENT}) ON {relation} USING ",
            rf"CREATE STATISTICS {schema}\.{_IDENT}.* FROM {relation}$",
            rf"COMMENT ON TABLE {relation} IS ",
            rf"COMMENT ON COLUMN {relation}\.{_IDENT} IS ",
            rf"COMMENT ON CONSTRAINT {_IDENT} ON {relation} IS ",
            rf"COMMENT ON (?:INDEX|STATISTICS) {schema}\.{_IDENT} IS ",
            rf"GRANT [A-Z, ]+(?: \({_IDENT}\)[A-Z, ]*)* ON TABLE {relation} TO ",
            rf"REVOKE ALL ON TABLE {relation} FROM ",
        )
        self._shapes = [re.compile(shape, re.DOTALL) for shape in shapes]
        self.names: list[str] = []
        """Of the indexes that are made."""
        tag = f"COMMENT ON TABLE {self.relation} IS "
        self.create = tuple(self.checked(one) for one in backup.create if not _is_general(one))
        self.afterwards = tuple(self.checked(one) for one in backup.afterwards if not one.startswith(tag))
        for need in backup.needs:
            if not _makes(need):
                raise self.refused(need.sql)

    def checked(self, statement: str) -> str:
        """The statement with the schema that the table is made in. Raises BackupUnusable for any other."""
        masked = _masked(statement)
        if _STRANGE.search(masked):
            raise self.refused(statement)
        for shape in self._shapes:
            match = shape.match(statement)
            if match is not None and _is_alone(statement, masked, match.end()):
                found = match.groupdict()
                if found.get("name"):
                    self.names.append(found["name"][1:-1].replace('""', '"'))
                return self._moved(statement, match)
        raise self.refused(statement)

    def _moved(self, statement: str, match: re.Match[str]) -> str:
        """Puts the new names in place of the old, the later one first."""
        new = {"relation": self._to, "schema": self._schemas[1]}
        spans = [(match.span(group), text) for group, text in new.items() if match.groupdict().get(group)]
        for (begin, end), text in sorted(spans, reverse=True):
            statement = statement[:begin] + text + statement[end:]
        return statement

    def refused(self, statement: str) -> BackupUnusable:
        """The error that tells of the statement."""
        return BackupUnusable(
            "The manifest holds a statement that making this one table does not need, and that is not run:",
            (" ".join(statement.split())[:200],),
            next="Look at who can write to the place of the backups.",
        )


def _is_general(statement: str) -> bool:
    """Whether it concerns the session, a schema or a type, for which a restore has statements of its own."""
    return statement.startswith(("SET ", "CREATE SCHEMA IF NOT EXISTS ", "CREATE EXTENSION IF NOT EXISTS ", "DO "))


def _makes(need: Needed) -> bool:
    """Whether its statement makes this type or extension and nothing else."""
    if need.kind == "extension":
        made = f"CREATE EXTENSION IF NOT EXISTS {ident(need.name)}"
        return need.sql in (made, f"{made} WITH SCHEMA {ident(need.schema)}")
    name = re.escape(qualified(need.schema, need.name))
    made = rf"CREATE (?:TYPE {name} AS (?:ENUM |RANGE )?\(|DOMAIN {name} AS )"
    return need.kind == "type" and bool(re.match(made, need.sql)) and not _STRANGE.search(_masked(need.sql))


def _is_alone(statement: str, masked: str, begun: int) -> bool:
    """Whether what follows the beginning of a statement concerns no other table."""
    if statement.startswith("COMMENT "):
        return _TEXT.fullmatch(masked, begun) is not None
    split = _split(masked[begun:])
    if split is None:
        return False
    parts, tail = split
    if statement.startswith("CREATE TABLE "):
        columns = all(part.strip().startswith("\x02") and not _ELSEWHERE.search(part) for part in parts)
        closed = len(",".join(parts)) + 1 + len(tail) == len(masked) - begun  # it has its closing parenthesis
        return columns and closed and _TAIL.fullmatch(statement[len(statement) - len(tail) :]) is not None
    return not tail and (len(parts) == 1 or not statement.startswith("ALTER TABLE "))
