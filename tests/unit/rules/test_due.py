"""What rules want done at a moment, and over a year: creation first, nothing early, what is held back with its why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from core.errors import Refused
from core.period import Width
from core.rules.calendar import acted, ahead
from core.rules.due import Copy, Moment, copies_of, counted_since, due
from core.rules.run import Done, Run, Upkeep, begun_since, late_after
from core.rules.setting import plan_rules
from core.rules.value import Rules, parse_rules
from core.tables.ends import KeyType
from core.tables.key import Key
from core.tables.marks import Hold, PlannedDrop
from core.tables.size import Size
from core.tables.table import PartitionedTable
from tests.unit.factories import NOW, archived, bounds, kept, partition, server, table

AT = Moment(NOW)
SHOP: dict[str, Any] = {
    "ahead": 1,
    "archive_after": "3 years",
    "backup": True,
    "verify_every": "1 year",
    "drop_after": "60 days",
}


def rules(**said: Any) -> Rules:
    return parse_rules(said)


def years(first: int, last: int = 2027, **changes: Any) -> PartitionedTable:
    return table(partitions=tuple(partition(year) for year in range(first, last + 1)), **changes)


def acts(of: Rules, on: PartitionedTable, at: Moment = AT) -> list[str]:
    return [f"{act.operation} {act.subject}" for act in due(of, on, at).acts]


def held(of: Rules, on: PartitionedTable, at: Moment = AT) -> list[str]:
    return [f"{one.operation} {one.subject}: {one.why}" for one in due(of, on, at).held]


def test_no_rule_wants_anything() -> None:
    assert due(Rules(), years(2010), AT).acts == ()
    assert due(Rules(), years(2010), AT).held == ()


@pytest.mark.parametrize(("ahead", "made"), [(0, []), (1, []), (2, ["ensure 2028"]), (4, ["ensure 2028, 2029, 2030"])])
def test_so_many_are_there_ahead(ahead: int, made: list[str]) -> None:
    assert acts(rules(ahead=ahead), years(2025)) == made


def test_an_age_archives_what_is_wholly_older_and_not_a_day_before() -> None:
    three = rules(archive_after="3 years")
    assert acts(three, years(2021)) == ["archive kid_absences_2021", "archive kid_absences_2022"]
    of_2023 = ["archive kid_absences_2023"]
    eve = replace(AT, now=datetime(2026, 12, 31, 23, 59, tzinfo=UTC))
    assert acts(three, years(2023), eve) == []
    assert acts(three, years(2023), replace(AT, now=datetime(2027, 1, 1, tzinfo=UTC))) == of_2023
    assert acts(three, years(2023), replace(eve, zone="Europe/Berlin")) == of_2023


def test_a_number_keeps_the_newest_that_are_over() -> None:
    assert acts(rules(archive_after="2 partitions"), years(2022)) == [
        "archive kid_absences_2022",
        "archive kid_absences_2023",
    ]
    assert acts(rules(archive_after="4 partitions"), years(2022)) == []


def test_a_size_archives_the_oldest_until_it_fits_and_never_what_is_not_over() -> None:
    assert acts(rules(archive_after="45 MiB"), years(2022)) == [
        "archive kid_absences_2022",
        "archive kid_absences_2023",
    ]
    assert acts(rules(archive_after="1 MiB"), years(2024)) == ["archive kid_absences_2024", "archive kid_absences_2025"]
    unknown = table(partitions=(partition(2024, size=None, busy=True), partition(2026)))
    assert held(rules(archive_after="1 MiB"), unknown) == [
        "archive public.kid_absences: the size of kid_absences_2024 is not known just now"
    ]


def test_a_key_of_ids_is_archived_by_number_and_size_and_never_by_age() -> None:
    key = Key("id", KeyType.BIGINT)
    ranges = [
        replace(partition(2020), name=f"t_{n}", oid=n, bounds=_ids(key, n), size=Size(8192, 0, 0)) for n in range(5)
    ]
    of_ids = table(key=key, partitions=tuple(ranges))
    assert acts(rules(archive_after="3 partitions"), of_ids) == ["archive t_0"]
    assert acts(rules(archive_after="1 day"), of_ids) == []
    with pytest.raises(Refused, match="tells no time, so that ahead and archive_after can't be kept"):
        plan_rules(of_ids, rules(ahead=1, archive_after="1 day"))


def _ids(key: Key, number: int) -> Any:
    from core.tables.bounds import Bounds

    return Bounds.parse(f"FOR VALUES FROM ('{number * 100}') TO ('{(number + 1) * 100}')", key)


def test_holds_keep_a_partition_and_a_whole_table() -> None:
    hold = partition(2021, comment='partition-desk hold: {"until": "2027-01-31", "reason": "audit", "by": "ada"}')
    one = table(partitions=(hold, partition(2022), partition(2026), partition(2027)))
    of = rules(archive_after="3 years")
    assert acts(of, one) == ["archive kid_absences_2022"]
    assert held(of, one) == ["archive kid_absences_2021: ada holds it: audit"]
    all_held = rules(archive_after="3 years", hold="until 2026-10-20")
    assert held(all_held, years(2022)) == ["archive kid_absences_2022: the table is held until 2026-10-20"]
    assert acts(all_held, years(2022), replace(AT, now=NOW + timedelta(days=1))) == ["archive kid_absences_2022"]


def test_what_was_cut_short_is_finished_first() -> None:
    pending = table(partitions=(partition(2021), partition(2022, pending=True), partition(2026), partition(2027)))
    assert acts(rules(archive_after="3 years"), pending) == ["archive kid_absences_2022", "archive kid_absences_2021"]
    moved = table(archived=(archived(2020, schema="public"),))
    assert acts(rules(archive_after="9 years", drop_after="1 day", backup=True), moved) == ["archive kid_absences_2020"]


def test_what_is_archived_is_backed_up_proven_and_dropped_in_that_order() -> None:
    of = rules(**SHOP)
    one = years(2025, archived=(archived(2020),))
    assert acts(of, one) == ["backup kid_absences_2020"]
    assert held(of, one) == ["drop kid_absences_2020: it has no backup"]
    copy = Copy("b", "kid_absences_2020", 12_020)
    assert acts(of, one, replace(AT, copies=(copy,))) == ["verify kid_absences_2020"]
    assert held(of, one, replace(AT, copies=(copy,))) == ["drop kid_absences_2020: its backup is not proven"]
    proven = replace(copy, proven=NOW, tried=NOW)
    assert acts(of, one, replace(AT, copies=(proven,))) == ["drop kid_absences_2020"]
    damaged = replace(copy, damaged=True, tried=NOW)
    assert acts(of, one, replace(AT, copies=(damaged,))) == ["backup kid_absences_2020"]


@pytest.mark.parametrize(
    ("changes", "at", "why"),
    [
        ({"hold": Hold("", "the audit", "ada")}, {}, "ada holds it: the audit"),
        (
            {"drop": PlannedDrop("public.x", "2027-01-01T00:00:00+00:00", "b", "f", "ada")},
            {},
            "ada has planned its drop",
        ),
        ({}, {"may_drop": False}, "dropping is switched off here"),
        ({}, {"copies": None}, "the place of the backups can't be read just now"),
    ],
)
def test_a_drop_is_held_back_with_the_reason(changes: dict[str, Any], at: dict[str, Any], why: str) -> None:
    one = years(2025, archived=(archived(2020, **changes),))
    proven = Copy("b", "kid_absences_2020", 12_020, NOW, NOW)
    found = due(rules(drop_after="60 days"), one, replace(AT, **{"copies": (proven,), **at}))
    assert found.acts == ()
    assert why in found.held[0].why


def test_nothing_is_dropped_a_day_early_or_without_the_rule() -> None:
    one = years(2025, archived=(archived(2020),))  # archived on 5 January 2026
    at = replace(AT, copies=(Copy("b", "kid_absences_2020", 12_020, NOW, NOW),))
    assert acts(rules(backup=True), one, at) == []
    of = rules(drop_after="60 days")
    assert acts(of, one, replace(at, now=datetime(2026, 3, 5, 23, tzinfo=UTC))) == []
    assert acts(of, one, replace(at, now=datetime(2026, 3, 6, tzinfo=UTC))) == ["drop kid_absences_2020"]


def test_a_proof_is_made_again_in_time_and_one_that_fails_is_told_of() -> None:
    of = rules(verify_every="1 year")
    old = Copy("b", "kid_absences_2019", None, NOW - timedelta(days=366), NOW - timedelta(days=366))
    assert acts(of, years(2025), replace(AT, copies=(old,))) == ["verify kid_absences_2019"]
    young = replace(old, proven=NOW - timedelta(days=360), tried=NOW - timedelta(days=360))
    assert acts(of, years(2025), replace(AT, copies=(young,))) == []
    tried = replace(old, tried=NOW - timedelta(hours=2))
    assert "could not be proven on 20 October 2026" in held(of, years(2025), replace(AT, copies=(tried,)))[0]


def test_backups_are_told_apart_by_what_they_are_of() -> None:
    one = years(2025, archived=(archived(2020),), server=server(cluster="7000000000000000001"))
    found = {copy.name: copy for copy in copies_of(one, (kept(2020), kept(2019), kept(2025)))}
    assert (found["kid_absences_2020"].of, found["kid_absences_2019"].of) == (12_020, None)
    assert set(found) == {"kid_absences_2020", "kid_absences_2019"}
    assert found["kid_absences_2020"].proven is not None


# When -------------------------------------------------------------------------------------------------------------

NIGHT = "01:00-05:00 Europe/Berlin"


def test_outside_of_its_window_only_creation_is_done() -> None:
    of = rules(ahead=3, archive_after="3 years", window=NIGHT)
    assert acts(of, years(2022)) == ["ensure 2028, 2029"]
    assert held(of, years(2022)) == [f"archive kid_absences_2022: outside of its window, {NIGHT}"]
    night = replace(AT, now=datetime(2026, 10, 20, 0, 30, tzinfo=UTC))
    assert acts(of, years(2022), night) == ["ensure 2028, 2029", "archive kid_absences_2022"]
    assert acts(of, years(2022), replace(AT, outside=True)) == ["ensure 2028, 2029", "archive kid_absences_2022"]


def test_at_most_so_much_is_done_and_creation_is_not_counted() -> None:
    of = rules(ahead=2, archive_after="3 years", at_most=1)
    assert acts(of, years(2021)) == ["ensure 2028", "archive kid_absences_2021"]
    assert held(of, years(2021)) == ["archive kid_absences_2022: 1 act a day at most"]
    assert acts(of, years(2021), replace(AT, done=1)) == ["ensure 2028"]
    assert acts(of, years(2021), replace(AT, failed=frozenset({("archive", "2021")}))) == [
        "ensure 2028",
        "archive kid_absences_2022",
    ]


def test_acts_are_counted_from_when_the_window_opened() -> None:
    of = rules(window=NIGHT)
    night = datetime(2026, 10, 20, 0, 30, tzinfo=UTC)
    since = counted_since(of, replace(AT, now=night))
    assert since == datetime(2026, 10, 19, 23, tzinfo=UTC)
    early, late = since - timedelta(minutes=1), since + timedelta(minutes=1)
    did = (
        Done("a", "archive", "x", late.isoformat(), ended=True),
        Done("a", "backup", "x", late.isoformat()),
        Done("a", "archive", "y", late.isoformat(), ended=True, error="no"),
        Done("a", "archive", "z", early.isoformat(), ended=True),
        Done("a", "ensure", "z", late.isoformat(), ended=True),
        Done("b", "archive", "z", late.isoformat(), ended=True),
    )
    assert begun_since((Run(late, None, "h", did),), "a", since) == 2
    assert Run.read(Run(late, late, "h", did).said()).did == did


def test_a_width_that_can_t_be_read_is_told_of() -> None:
    empty = table(partitions=())
    found = due(rules(ahead=1), empty, AT)
    assert (found.acts, found.held[0].wrong) == ((), True)
    assert "how wide" in found.held[0].why
    assert acts(rules(ahead=1, every="1 month"), empty) == ["ensure 2026_10, 2026_11"]


# A year -----------------------------------------------------------------------------------------------------------


def said(of: Rules, on: PartitionedTable, at: Moment = AT) -> list[str]:
    return [f"{one.day} {one.act.operation} {one.act.subject}" for one in ahead(of, on, at)]


def test_a_year_ahead_is_what_each_day_would_do() -> None:
    assert said(rules(**SHOP), years(2023)) == [
        "2027-01-01 ensure 2028",
        "2027-01-01 archive kid_absences_2023",
        "2027-01-01 backup kid_absences_2023",
        "2027-01-01 verify kid_absences_2023",
        "2027-03-02 drop kid_absences_2023",
    ]


def test_a_year_ahead_keeps_to_the_window_and_to_its_bound() -> None:
    assert said(rules(**SHOP, at_most=1, window=NIGHT), years(2022)) == [
        "2026-10-20 archive kid_absences_2022",
        "2026-10-21 backup kid_absences_2022",
        "2026-10-22 verify kid_absences_2022",
        "2026-12-19 drop kid_absences_2022",
        "2027-01-01 ensure 2028",
        "2027-01-01 archive kid_absences_2023",
        "2027-01-02 backup kid_absences_2023",
        "2027-01-03 verify kid_absences_2023",
        "2027-03-02 drop kid_absences_2023",
    ]


def test_a_day_s_run_is_one_act_after_the_other() -> None:
    found = acted(rules(**SHOP), years(2022), AT)
    assert [str(act.operation) for act in found.acts] == ["archive", "backup", "verify"]
    assert sum(act.moves for act in found.acts) == 10 * 1024**2


def test_a_run_is_late_after_a_day_or_sooner_for_narrow_partitions() -> None:
    assert late_after([]) == timedelta(hours=26)
    assert late_after([(Width(months=1), 3), (None, 2)]) == timedelta(hours=26)
    assert late_after([(Width(seconds=3600), 4)]) == timedelta(hours=4)
    assert late_after([(Width(days=1), 0)]) == timedelta(days=1)
    day = timedelta(hours=26)
    assert not Upkeep((), None, day).is_late(NOW)
    assert Upkeep(("a",), None, day).is_late(NOW)
    assert Upkeep(("a",), Run(NOW, NOW - timedelta(hours=27), "h"), day).is_late(NOW)
    assert not Upkeep(("a",), Run(NOW, NOW - timedelta(hours=25), "h"), day).is_late(NOW)


def test_the_ends_are_dates() -> None:
    assert bounds(2020, 2021).upper == date(2021, 1, 1)
