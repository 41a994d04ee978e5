"""The form of a table's rules: each read as it is typed, and refused below it with what was meant."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.errors import UsageError
from core.period import Width
from core.rules.value import Rules, parse_rule
from dashboard.format import plain

_FIELDS = {
    "ahead": ("Partitions ahead", "2", "So many after the present one are always there."),
    "every": ("How wide a new one is", "", "Left empty: as its own partitions are."),
    "archive_after": (
        "Archive after",
        "3 years",
        "An age, as 3 years; a number of partitions that stay, as 24 partitions; or what all may take, as 200 GiB.",
    ),
    "verify_every": (
        "Verify again every",
        "1 year",
        "A backup is proven soon after it was made, and again after so long.",
    ),
    "drop_after": ("Drop after", "60 days", "So long after the archive, with a proven backup. Left empty: never."),
    "hold": ("Hold all", "until 2027-12-31", "Nothing is archived or dropped until then, or until lifted."),
    "window": ("Window", "01:00-05:00 Europe/Berlin", "When anything but creation is begun."),
    "at_most": ("At most", "4", "So many acts in one window, or a day. Creation is not counted."),
}


def draw(rules: Rules, width: Width | None, *, mark: str) -> Rules | None:
    """Draws it filled with these rules, and gives what it says by now; None where that is no rule.

    `mark` changes with the rules in force, so that the form is filled anew with others.
    """
    said = rules.said()
    typed: dict[str, object] = {}
    fields = list(_FIELDS.items())
    rows = (fields[at : at + 2] for at in range(0, len(fields), 2))
    for row in rows:  # on a telephone they stand one below the other
        for column, (key, (label, example, told)) in zip(st.columns(2), row, strict=True):
            with column:
                hint = f"off; such as {example}" if example else f"as its own: {width or 'unknown'}"
                _field(key, label, hint, told, said, typed, mark)
    typed["backup"] = st.toggle(
        "Back up what is archived", value=rules.backup, key=f"rule_backup_{mark}", help="Once it is archived."
    )
    values = {key: _value(key, value) for key, value in typed.items()}
    if any(isinstance(value, UsageError) for value in values.values()):
        return None
    return Rules(**values)


def _field(
    key: str, label: str, hint: str, told: str, said: dict[str, Any], typed: dict[str, object], mark: str
) -> None:
    typed[key] = st.text_input(label, str(said.get(key, "")), key=f"rule_{key}_{mark}", placeholder=hint, help=told)
    wrong = _value(key, typed[key])
    if isinstance(wrong, UsageError):
        what = wrong.what.removeprefix(f"{key}: ")
        st.caption(f":red[:material/error: {plain(what)} {plain(wrong.next)}]")


def _value(key: str, value: object) -> Any:
    try:
        return parse_rule(key, value)
    except UsageError as error:
        return error
