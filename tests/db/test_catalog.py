"""core.catalog against real servers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from core.catalog import read_table
from tests.tables import Made

pytestmark = pytest.mark.every_version


def test_table(reader: Engine, make_table: Callable[..., Made]) -> None:
    made = make_table(default=True)
    table = read_table(reader, made.address)
    assert [p.name for p in table.partitions] == [
        "kid_absences_2022",
        "kid_absences_2023",
        "kid_absences_2024",
        "kid_absences_default",
    ]
