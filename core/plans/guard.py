"""What a restore may run: a backup's statements are refused unless each only makes the backup's own table."""

from __future__ import annotations

import re

from core.errors import BackupUnusable
from core.names import ident, qualified
from core.plans.manifest import Backup, Needed
from core.plans.script import attach_below, general_statements

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
_RELATION = rf"{_IDENT}\.{_IDENT}"
_VALUE = r"(?:\x01\x03*\x04|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|NULL|true|false|MINVALUE|MAXVALUE)"
_VALUES = rf"\({_VALUE}(?:, {_VALUE})*\)"
_BOUNDS = re.compile(
    rf"DEFAULT|FOR VALUES (?:FROM {_VALUES} TO {_VALUES}|IN {_VALUES}|WITH \(modulus \d+, remainder \d+\))", re.ASCII
)
_SPLIT = re.compile(r"(?:RANGE|LIST|HASH) \(")
_TABLESPACE = re.compile(r"\bTABLESPACE\s+[\x02\w]", re.IGNORECASE)
_ELSEWHERE = re.compile(r"\b(?:REFERENCES|AS\s+IDENTITY)\b", re.IGNORECASE)


def require_its_own(backup: Backup) -> None:
    """Checks everything that a verification runs of a backup, as a restore does. Raises BackupUnusable."""
    parts = OwnStatements(backup, backup.archive)
    general = general_statements(backup.encoding, backup.archive, backup.needs, backup.time_zone)
    for position, expected in enumerate(general):
        found = backup.create[position] if position < len(backup.create) else ""
        if found != expected:
            raise parts.refused(found)
    for statement in (*backup.create[len(general) :], *backup.afterwards):
        parts.checked(statement)


class OwnStatements:
    """The statements of a backup for another archive schema; each is of a shape that only makes its own tables.

    A manifest can be written by whoever may write to the place, and its statements are run with the rights of who
    restores: any other statement is refused, and so is one that ties the table to another. Expressions (defaults,
    generated columns, CHECKs, indexes) are not looked into: they can call every function that who restores may call.
    """

    def __init__(self, backup: Backup, archive_schema: str) -> None:
        self._backup = backup
        self._levels = {qualified(backup.archive, one.name): one for one in backup.levels}
        self._schemas = ident(backup.archive), ident(archive_schema)
        relation = f"(?P<relation>{_RELATION})"
        schema = f"(?P<schema>{re.escape(self._schemas[0])})"
        shapes = (
            rf"CREATE TABLE {relation} \(",
            rf"ALTER TABLE {relation} (?:ALTER COLUMN {_IDENT} SET |REPLICA IDENTITY |CLUSTER ON |OWNER TO )",
            rf"ALTER TABLE {relation} ADD CONSTRAINT (?P<name>{_IDENT}) (?:PRIMARY KEY|UNIQUE|EXCLUDE)\b",
            rf"ALTER TABLE {relation} ADD CONSTRAINT {_IDENT} (?:CHECK|NOT NULL)\b",
            rf"ALTER TABLE {relation} ATTACH PARTITION (?P<below>{_RELATION}) ",
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
        tag = f"COMMENT ON TABLE {qualified(backup.archive, backup.name)} IS "
        attached = [attach_below(backup.archive, one) for one in backup.below]
        if sorted(one for one in backup.afterwards if one in attached) != sorted(attached):
            raise self.refused(next(iter(attached)))
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
            if match is not None and self._is_own(statement, masked, match):
                found = match.groupdict()
                if found.get("name"):
                    self.names.append(found["name"][1:-1].replace('""', '"'))
                return self._moved(statement, match)
        raise self.refused(statement)

    def _is_own(self, statement: str, masked: str, match: re.Match[str]) -> bool:
        """Whether the statement is of tables of the backup, as the manifest has them, and of no others."""
        found = match.groupdict()
        level = self._levels.get(found["relation"]) if "relation" in found else None
        if "relation" in found and level is None:
            return False
        if found.get("below"):
            below = self._levels.get(found["below"])
            known = below is not None and statement == attach_below(self._backup.archive, below)
            return known and _BOUNDS.fullmatch(masked, match.end()) is not None
        if level is not None and level.split and statement.startswith("CREATE TABLE "):
            clause = f" PARTITION BY {level.split}"
            if not statement.endswith(clause) or _masked(clause) != masked[-len(clause) :] or not _is_cut(level.split):
                return False
            statement, masked = statement[: -len(clause)], masked[: -len(clause)]
        return _is_alone(statement, masked, match.end())

    def _moved(self, statement: str, match: re.Match[str]) -> str:
        """Puts the new names in place of the old, the later one first."""
        found = match.groupdict()
        new = {"schema": self._schemas[1]}
        for group in ("relation", "below"):
            if found.get(group):
                new[group] = f"{self._schemas[1]}.{ident(self._levels[found[group]].name)}"
        spans = [(match.span(group), text) for group, text in new.items() if found.get(group)]
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


def _is_cut(split: str) -> bool:
    """Whether this is how a table is partitioned, and nothing beside it."""
    masked = _masked(split)
    match = _SPLIT.match(masked)
    parts = _split(masked[match.end() :]) if match is not None else None
    return parts is not None and len(",".join(parts[0])) + 1 == len(masked) - (match.end() if match else 0)


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
    if tail or _TABLESPACE.search(_outside(masked[begun:])):
        return False
    return len(parts) == 1 or not statement.startswith("ALTER TABLE ")


def _outside(masked: str) -> str:
    """What stands outside of every bracket."""
    depth = 0
    found = []
    for letter in masked:
        depth -= letter in ")]"
        if not depth:
            found.append(letter)
        depth += letter in "(["
    return "".join(found)


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
    for position, letter in enumerate(masked):
        if letter in "([":
            depth += 1
        elif letter in ")]" and depth:
            depth -= 1
        elif letter in ",)]" and not depth:
            parts.append(masked[begin:position])
            begin = position + 1
            if letter != ",":
                return parts, masked[begin:]
    return None if depth else ([*parts, masked[begin:]], "")
