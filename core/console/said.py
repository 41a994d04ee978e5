"""What a provider of OpenID Connect said of somebody's groups when they signed in, as far as the settings name them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

MOST = 254
"""Characters of one value; a longer one is none."""
_TEXT = re.compile(r"(?s).*?; by (\[.*\]) until (\S+)")


@dataclass(frozen=True, slots=True)
class Said:
    """Values of the claim that gives roles, each as the lists name it: groups=desk-admins."""

    values: tuple[str, ...]
    until: float
    """When the sign-in ends by itself, in seconds since 1970; what it said counts for no longer."""

    @property
    def is_over(self) -> bool:
        """Whether that sign-in has ended by its age."""
        return time.time() >= self.until

    def __str__(self) -> str:
        """For a row of the journal, behind how it is known who that was."""
        until = datetime.fromtimestamp(int(self.until), UTC).isoformat()
        return f"; by {json.dumps(self.values, ensure_ascii=False)} until {until}"


def parse(text: str) -> Said | None:
    """What `str` wrote behind other words; None where there is none."""
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    try:
        values, until = json.loads(match[1]), datetime.fromisoformat(match[2])
    except ValueError:
        return None
    if not all(isinstance(one, str) for one in values):
        return None
    return Said(tuple(values), until.timestamp())


def said_in(claims: Mapping[str, object], claim: str, until: float) -> Said:
    """The values of a claim: one text or a list of them, under its whole name or along its dots."""
    found = claims.get(claim) if claim in claims else _along(claims, claim.split("."))
    listed = found if isinstance(found, list) else [found]
    texts = [one.strip() for one in listed if isinstance(one, str)]
    return Said(tuple(f"{claim}={one}" for one in texts if one and one.isprintable() and len(one) <= MOST), until)


def _along(claims: Mapping[str, object], names: list[str]) -> object:
    found: object = claims
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
