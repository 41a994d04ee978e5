"""The metrics as Prometheus reads them: every line is parsed again, and no label says more than a table and a state."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from core.console.metrics import Readings, TableFigures, metrics_text
from core.tables.coverage import NEVER

NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)
Labels = tuple[tuple[str, str], ...]


def parsed(text: str) -> dict[tuple[str, Labels], float]:
    """The samples by name and labels, as Prometheus's own client reads them. Fails for what is not the format.

    Each name is told once, with its help and its kind, and each sample once.
    """
    found: dict[tuple[str, Labels], float] = {}
    assert text.endswith("\n")
    told = [line.split(" ")[1:3] for line in text.splitlines() if line.startswith("# ")]
    assert len(told) == len({tuple(words) for words in told})
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert family.type in ("gauge", "counter")
        assert family.documentation
        for sample in family.samples:
            assert (family.type == "counter") == sample.name.endswith("_total")
            key = (sample.name, tuple(sample.labels.items()))
            assert key not in found
            found[key] = float(sample.value)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) == len(found)
    return found


def table(**changes: object) -> TableFigures:
    healthy = TableFigures(
        table="public.kid_absences",
        runway=timedelta(days=404),
        partitions={"attached": 7, "detach_pending": 0, "archived": 3},
        bytes={"attached": 57_000_000, "archived": 18_000_000, "cold": 1_000},
        default_rows=0,
        failures=2,
        waiting=1,
        last_backup=NOW - timedelta(days=2),
        last_proof=NOW - timedelta(days=1, seconds=5),
        verdicts={"proven": 2, "damaged": 1},
    )
    return replace(healthy, **changes)  # type: ignore[arg-type]


def told(*tables: TableFigures, sample: datetime | None = None, place: bool = True) -> dict[tuple[str, Labels], float]:
    return parsed(metrics_text(Readings(tables, sample, place), now=NOW))


def test_every_figure_is_told() -> None:
    found = told(table(), sample=NOW - timedelta(hours=5))
    own: Labels = (("table", "public.kid_absences"),)
    assert found == {
        ("partition_desk_up", ()): 1,
        ("partition_desk_runway_days", own): 404,
        ("partition_desk_partitions", (*own, ("state", "attached"))): 7,
        ("partition_desk_partitions", (*own, ("state", "detach_pending"))): 0,
        ("partition_desk_partitions", (*own, ("state", "archived"))): 3,
        ("partition_desk_bytes", (*own, ("state", "attached"))): 57_000_000,
        ("partition_desk_bytes", (*own, ("state", "archived"))): 18_000_000,
        ("partition_desk_bytes", (*own, ("state", "cold"))): 1_000,
        ("partition_desk_default_rows", own): 0,
        ("partition_desk_detach_pending", own): 0,
        ("partition_desk_newest_backups", (*own, ("verdict", "proven"))): 2,
        ("partition_desk_newest_backups", (*own, ("verdict", "damaged"))): 1,
        ("partition_desk_failed_operations_total", own): 2,
        ("partition_desk_waiting_failures", own): 1,
        ("partition_desk_journal_up", ()): 1,
        ("partition_desk_backups_up", ()): 1,
        ("partition_desk_backup_age_seconds", own): 172_800,
        ("partition_desk_verification_age_seconds", own): 86_405,
        ("partition_desk_sample_age_seconds", ()): 18_000,
    }


def test_a_database_that_can_t_be_reached_is_down_and_nothing_else_is_told() -> None:
    assert parsed(metrics_text(None, now=NOW)) == {("partition_desk_up", ()): 0}


def test_what_is_not_known_is_left_out_and_never_nothing() -> None:
    bare = table(runway=None, default_rows=None, last_backup=None, last_proof=None, verdicts={})
    names = {name for name, _ in told(bare, place=False)}
    assert names == {
        "partition_desk_up",
        "partition_desk_partitions",
        "partition_desk_bytes",
        "partition_desk_detach_pending",
        "partition_desk_failed_operations_total",
        "partition_desk_waiting_failures",
        "partition_desk_journal_up",
        "partition_desk_backups_up",
    }
    assert told(bare, place=False)["partition_desk_backups_up", ()] == 0
    assert told() == {
        ("partition_desk_up", ()): 1,
        ("partition_desk_journal_up", ()): 1,
        ("partition_desk_backups_up", ()): 1,
    }
    unread = {name for name, _ in told(replace(bare, failures=None, waiting=None))}
    assert "partition_desk_waiting_failures" not in unread
    assert "partition_desk_failed_operations_total" not in unread


def test_for_ever_is_infinity() -> None:
    found = told(table(runway=NEVER))
    assert math.isinf(found["partition_desk_runway_days", (("table", "public.kid_absences"),)])


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "line\nend", "a,b={}", "öä \N{SNOWMAN}", 'x\\"'])
def test_any_name_is_a_label(name: str) -> None:
    found = told(table(table=name), table())
    assert found["partition_desk_runway_days", (("table", name),)] == 404
    assert {label for _, labels in found for label, _ in labels} == {"table", "state", "verdict"}


def test_an_age_is_never_negative() -> None:
    found = told(table(last_backup=NOW + timedelta(hours=1)))
    assert found["partition_desk_backup_age_seconds", (("table", "public.kid_absences"),)] == 0


def test_large_numbers_are_whole() -> None:
    text = metrics_text(Readings((table(bytes={"attached": 2**60}),), None, True), now=NOW)
    assert f'state="attached"}} {2**60}' in text
