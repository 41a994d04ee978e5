"""Rules as a file for those who keep them in git: TOML in a stable order, its JSON Schema, and where two differ."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core.errors import UsageError
from core.rules.value import MOST, PARSERS, Rules, nearest, parse_rules
from core.text import Json

_HEAD = "# Rules of tables, for: partitions rules plan | apply | check FILE\n"
_NAME = "name"


@dataclass(frozen=True, slots=True)
class TableRules:
    """The rules of one table, by its address."""

    name: str
    rules: Rules


@dataclass(frozen=True, slots=True)
class Difference:
    """One table whose rules differ: those of the database, and those of the file; None where there are none."""

    name: str
    here: Rules | None
    wanted: Rules | None

    @property
    def lines(self) -> tuple[str, ...]:
        """What goes and what comes, a line each, as in a difference of files."""
        was, becomes = (side.said() if side else {} for side in (self.here, self.wanted))
        found = []
        for key in PARSERS:
            if was.get(key) != becomes.get(key):
                found += [f"- {key} = {_value(was[key])}"] if key in was else []
                found += [f"+ {key} = {_value(becomes[key])}"] if key in becomes else []
        return tuple(found)


def written(tables: Iterable[TableRules], head: str = _HEAD) -> str:
    """The file: tables in the order of their names, each with what is on."""
    parts = [head] if head else []
    for one in sorted(tables, key=lambda one: one.name):
        lines = ["[[table]]", f"name = {_value(one.name)}"]
        lines += [f"{key} = {_value(value)}" for key, value in one.rules.said().items()]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def parse_file(text: str) -> tuple[TableRules, ...]:
    """The tables of a file, in its order. Raises UsageError, saying where."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"The file is no TOML: {error}.") from error
    for key in raw:
        if key != "table":
            raise UsageError(f"{key!r} is not known at the top of the file.", next="Tables stand as [[table]].")
    tables = raw.get("table", [])
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        raise UsageError("A table stands as [[table]], with two brackets.")
    found = tuple(_table(number, one) for number, one in enumerate(tables, 1))
    names = [one.name for one in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} stands in the file twice.", next="Say its rules once.")
    return found


def _table(number: int, raw: Mapping[str, object]) -> TableRules:
    name = raw.get(_NAME)
    if not isinstance(name, str) or not name:
        raise UsageError(f"The {number}. [[table]] has no name.", next='Write name = "schema.table".')
    said = {key: value for key, value in raw.items() if key != _NAME}
    for key in said:
        if key not in PARSERS:
            raise UsageError(f"{name}: {key!r} is no rule.", next=nearest(key, (_NAME, *PARSERS)))
    try:
        return TableRules(name, parse_rules(said))
    except UsageError as error:
        raise UsageError(f"{name}: {error.what}", next=error.next) from error


def differences(here: Iterable[TableRules], wanted: Iterable[TableRules]) -> tuple[Difference, ...]:
    """Where the database and a file differ, in the order of the tables' names."""
    of_here, of_file = ({one.name: one.rules for one in side} for side in (here, wanted))
    return tuple(
        Difference(name, of_here.get(name), of_file.get(name))
        for name in sorted({*of_here, *of_file})
        if _said(of_here.get(name)) != _said(of_file.get(name))
    )


def _said(rules: Rules | None) -> Json:
    return dict(rules.said()) if rules is not None else {}


def _value(value: str | int | bool) -> str:
    """A value in TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


_DURATION = r"^\s*\d{1,5}\s*([dwy]|(day|week|month|year)s?)\s*$"
_TOLD = {
    "every": ("How wide a new partition is; read from its partitions where left out.", r"^\s*(\d{1,5}\s*)?[a-z]+\s*$"),
    "archive_after": ("An age, a number of partitions that stay, or a size: 3 years, 24 partitions, 200 GiB.", ""),
    "verify_every": ("How long the proof of a backup holds.", _DURATION),
    "drop_after": ("How long after its archive, with a proven backup; left out: never.", _DURATION),
    "window": (
        "When anything but creation is begun: 01:00-05:00 Europe/Berlin.",
        r"^\d{1,2}:\d{2}-\d{1,2}:\d{2}\s+\S+$",
    ),
}


def schema() -> Json:
    """The JSON Schema of the file."""
    rules: Json = {_NAME: {"type": "string", "minLength": 1, "description": "schema.table"}}
    for key in PARSERS:
        if key in ("ahead", "at_most"):
            told = "Partitions after the present one." if key == "ahead" else "Acts in one window, or a day."
            rules[key] = {"type": "integer", "minimum": int(key == "at_most"), "maximum": MOST, "description": told}
        elif key == "backup":
            rules[key] = {"type": "boolean", "description": "Whether what is archived is backed up."}
        elif key == "hold":
            told = "Nothing is archived or dropped: until 2027-12-31, or until lifted."
            rules[key] = {"type": ["string", "boolean"], "description": told}
        else:
            told, pattern = _TOLD[key]
            rules[key] = {"type": "string", "description": told, **({"pattern": pattern} if pattern else {})}
    table: Json = {"type": "object", "properties": rules, "required": [_NAME], "additionalProperties": False}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rules of partitioned tables",
        "type": "object",
        "properties": {"table": {"type": "array", "items": table}},
        "additionalProperties": False,
    }
