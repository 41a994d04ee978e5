"""What goes with a period: the partitions of the same range in the tables that foreign keys bind to this one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

import streamlit as st

from core.errors import DeskError
from core.tables.archived import Archived
from core.tables.bonds import of_range
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.text import listed
from dashboard.format import plain
from dashboard.state import current, database


def partners(table: PartitionedTable) -> Mapping[str, tuple[str, ...]]:
    """By the bounds of a period, what has them in the bound tables; empty where it is bound to none."""
    if not (table.references or table.referenced_by):
        return {}
    return _partners(database.url(), (table.oid, table.as_of), table)


@st.cache_resource(ttl=current.LONGEST_S, show_spinner=False, max_entries=20)
def _partners(url: str, of: tuple[int, datetime], _table: PartitionedTable) -> Mapping[str, tuple[str, ...]]:
    """Cached for as long as the reading is that it is of."""
    found: dict[str, tuple[str, ...]] = {}
    with suppress(DeskError):  # one of them is held exclusively, or gone: the dialog tells
        desk = database.open_url(url).desk
        bonds = desk.bonds(_table)
        names = dict.fromkeys(name for bond in bonds for name in (bond.referring, bond.referred))
        others = [current.read_table(url, name).table for name in names if name != _table.address]
        for one in _table.everything:
            if one.bounds is not None and not one.bounds.is_default:
                with suppress(ValueError):  # cut elsewhere: it does not go with this
                    there = ((other, of_range(other, one.bounds)) for other in others)
                    found[one.bounds.text] = tuple(other.called(each) for other, each in there if each is not None)
    return found


def of(one: Partition | Archived | None) -> tuple[str, ...]:
    """What goes with a partition of the current table, or with what was one."""
    return () if one is None or one.bounds is None else partners(current.table()).get(one.bounds.text, ())


def badge(one: Partition | Archived | None) -> str:
    """That others go with it, as a Markdown badge; empty where it goes alone."""
    names = of(one)
    return f":gray-badge[:material/link: as one with {plain(listed(names))}]" if names else ""
