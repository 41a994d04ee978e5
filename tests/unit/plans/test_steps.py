"""The fragments that operations share."""

from __future__ import annotations

import pytest

from core.plans.steps import add_check, attach, exclude_from_default, readmit_to_default, validate
from core.tables.bounds import Bounds, outside, within
from core.tables.ends import KeyType
from core.tables.key import Key
from core.tables.structure import Check
from tests.unit.factories import KEY, bounds, default_partition, partition, table

OPEN_BELOW = Bounds.parse("FOR VALUES FROM (MINVALUE) TO ('2024-01-01')")
OPEN_ABOVE = Bounds.parse("FOR VALUES FROM ('2024-01-01') TO (MAXVALUE)")
ZONED = Key('The "Day"', KeyType.TIMESTAMPTZ)


@pytest.mark.parametrize(
    ("key", "of", "inside", "beyond"),
    [
        (
            KEY,
            bounds(2024, 2025),
            '"date" IS NOT NULL AND "date" >= \'2024-01-01\'::date AND "date" < \'2025-01-01\'::date',
            '"date" IS NULL OR "date" < \'2024-01-01\'::date OR "date" >= \'2025-01-01\'::date',
        ),
        (
            KEY,
            OPEN_BELOW,
            '"date" IS NOT NULL AND "date" < \'2024-01-01\'::date',
            '"date" IS NULL OR "date" >= \'2024-01-01\'::date',
        ),
        (
            KEY,
            OPEN_ABOVE,
            '"date" IS NOT NULL AND "date" >= \'2024-01-01\'::date',
            '"date" IS NULL OR "date" < \'2024-01-01\'::date',
        ),
        (
            ZONED,
            OPEN_ABOVE,
            '"The ""Day""" IS NOT NULL AND "The ""Day""" >= \'2024-01-01\'::timestamp with time zone',
            '"The ""Day""" IS NULL OR "The ""Day""" < \'2024-01-01\'::timestamp with time zone',
        ),
    ],
)
def test_within_and_outside(key: Key, of: Bounds, inside: str, beyond: str) -> None:
    assert within(key, of) == inside
    assert outside(key, of) == beyond


def test_statements() -> None:
    assert attach(table(), '"public"."new"', OPEN_BELOW) == (
        'ALTER TABLE "public"."kid_absences" ATTACH PARTITION "public"."new"'
        " FOR VALUES FROM (MINVALUE) TO ('2024-01-01')"
    )
    assert add_check('"t"', 'a "b"', "true") == 'ALTER TABLE "t" ADD CONSTRAINT "a ""b""" CHECK (true) NOT VALID'
    assert validate('"t"', "c") == 'ALTER TABLE "t" VALIDATE CONSTRAINT "c"'


def test_without_a_default_there_is_nothing_to_exclude() -> None:
    assert exclude_from_default(table(), KEY, bounds(2028, 2029), "2028") == ()
    assert readmit_to_default(table(), "2028") == ()


def test_an_exclusion_of_another_range_does_not_count() -> None:
    check = Check("partition_desk_excludes_2027", "CHECK (...)", validated=True)
    found = table(partitions=(partition(2025), default_partition(checks=(check,))))
    assert len(exclude_from_default(found, KEY, bounds(2028, 2029), "2028")) == 2
