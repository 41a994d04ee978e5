"""What the Doctor says of the server, of the role and of its settings."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

import pytest

from core.doctor.checks.server import rights
from core.doctor.findings import AlarmsSent, Severity, spoken_period
from core.postgres.capabilities import Capabilities
from core.tables.bounds import Bounds
from core.tables.distribution import Distribution
from core.tables.ends import KeyType
from core.tables.key import Key
from core.tables.structure import ForeignKey
from tests.unit.doctor.looking import YEARS, look, only
from tests.unit.factories import (
    NOW,
    archive_schema,
    partition,
    server,
    table,
)


def test_a_role_that_only_reads_is_told_what_it_lacks_and_who_can_give_it() -> None:
    viewer = server(user="viewer", may_create_schema=False, journal=False, may_write_journal=False)
    spoiled = table(
        server=viewer, owned=False, may_create=False, archive=archive_schema(exists=False, may_create=False)
    )
    found = only("privileges", spoiled)
    assert found.severity is Severity.WARNING
    assert found.title == "The role viewer may not create partitions, archive, reattach and keep the journal"
    assert "It may: read the rows." in found.reason
    assert found.hint.splitlines()[1:] == [
        'GRANT "app" TO "viewer";',
        'GRANT USAGE, CREATE ON SCHEMA "public" TO "viewer";',
        'CREATE SCHEMA "archive" AUTHORIZATION "viewer";',
        'GRANT CREATE ON DATABASE "school" TO "viewer";',
    ]
    assert "may do everything" in only("privileges", table()).title


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({"may_read": False}, ["read the rows"]),
        ({"owned": False}, ["create partitions", "archive", "reattach"]),
        ({"may_create": False}, ["create partitions", "reattach"]),
        ({"archive": archive_schema(may_create=False)}, ["archive"]),
        ({"server": server(may_write_journal=False)}, ["keep the journal"]),
    ],
)
def test_each_right_is_needed_for_its_own_acts(changes: dict[str, Any], lost: list[str]) -> None:
    assert [right.act for right in rights(table(**changes)) if not right.possible] == lost


def test_partitions_of_another_owner_are_told() -> None:
    found = only("owners", table(partitions=(partition(2025, owner="intern"), *YEARS[1:])))
    assert found.severity is Severity.WARNING
    assert found.hint == 'ALTER TABLE "public"."kid_absences_2025" OWNER TO "app";'
    assert only("owners", table()).severity is Severity.OK


@pytest.mark.parametrize(
    ("changes", "said", "hint"),
    [
        ({"in_recovery": True}, "a standby", "primary"),
        ({"read_only": True}, "set to read-only", "default_transaction_read_only"),
    ],
)
def test_a_server_that_takes_no_changes_is_told(changes: dict[str, Any], said: str, hint: str) -> None:
    found = only("writable", table(server=server(**changes)))
    assert found.severity is Severity.WARNING
    assert said in found.title
    assert hint in found.hint
    assert only("writable", table()).severity is Severity.OK


def test_on_a_standby_no_finding_has_a_plan() -> None:
    spoiled = table(partitions=(partition(2021), partition(2025)), server=server(in_recovery=True))
    assert [f.fix for f in look(spoiled) if f.fix] == []
    assert only("current_period", spoiled).hint == "Connect to the primary server."


def test_a_server_before_14_is_told_so() -> None:
    found = only(
        "server_version",
        table(server=server(version_num=130020, version="13.20", can=Capabilities(concurrent_detach=False))),
    )
    assert found.severity is Severity.WARNING
    assert "PostgreSQL 13.20 can't detach while reads and writes go on" in found.title
    assert only("server_version", table()).severity is Severity.OK


FOREIGN_KEY = ForeignKey("kid_absences_kid_id_fkey", '"public"."kids"', "FOREIGN KEY (kid_id) REFERENCES kids(id)")


@pytest.mark.parametrize(
    ("version_num", "severity"),
    [
        (170000, Severity.WARNING),
        (170001, Severity.OK),
        (160004, Severity.WARNING),
        (160005, Severity.OK),
        (150008, Severity.WARNING),
        (150009, Severity.OK),
        (140013, Severity.WARNING),
        (140014, Severity.OK),
        (180000, Severity.OK),
        (190000, Severity.OK),
    ],
)
@pytest.mark.parametrize("side", ["references", "referenced_by"])
def test_minor_releases_that_lose_foreign_keys_are_told(version_num: int, severity: Severity, side: str) -> None:
    version = f"{version_num // 10000}.{version_num % 10000}"
    with_key = {side: (FOREIGN_KEY,)}
    found = only("server_version", table(server=server(version_num=version_num, version=version), **with_key))
    assert found.severity is severity
    assert ("foreign keys unenforced" in found.title) is (severity is Severity.WARNING)


def test_without_a_foreign_key_the_minor_release_does_not_matter() -> None:
    assert only("server_version", table(server=server(version_num=160001, version="16.1"))).severity is Severity.OK


def test_citus_is_told_apart_from_an_old_server() -> None:
    found = only("server_version", table(distribution=Distribution("kid_id", 1)))
    assert found.severity is Severity.WARNING
    assert "Citus" in found.reason


def test_time_zones_matter_to_a_key_that_is_a_moment() -> None:
    moment = table(
        key=Key("at", KeyType.TIMESTAMPTZ),
        partitions=tuple(
            partition(y, bounds=Bounds.between(Key("at", KeyType.TIMESTAMPTZ), date(y, 1, 1), date(y + 1, 1, 1)))
            for y in (2026, 2027)
        ),
        server=server(time_zone="America/New_York"),
    )
    found = only("time_zone", moment)
    assert found.severity is Severity.WARNING
    assert "the server's time zone is America/New_York, the application's UTC" in found.title
    assert "PARTITION_DESK_TIME_ZONE=America/New_York" in found.hint


def test_a_date_has_no_time_zone() -> None:
    found = only("time_zone", table(server=server(time_zone="America/New_York")))
    assert found.severity is Severity.OK
    assert found.title == "The key date is a date, which has no time zone"


@pytest.mark.parametrize(
    ("server_zone", "agree"), [("Etc/UTC", True), ("Europe/London", False), ("Nowhere/Land", False)]
)
def test_zones_are_compared_by_their_clocks(server_zone: str, agree: bool) -> None:
    found = only(
        "time_zone", table(key=Key("at", KeyType.TIMESTAMPTZ), partitions=(), server=server(time_zone=server_zone))
    )
    assert (found.severity is Severity.OK) is agree


def test_automatic_creation_switched_off_is_a_warning() -> None:
    found = only("automatic_creation", table(), automatic_creation=False)
    assert found.severity is Severity.WARNING
    assert "ENABLE_ABSENCE_PARTITIONS=true" in found.hint
    assert only("automatic_creation", table()).severity is Severity.OK


@pytest.mark.parametrize(
    ("lower", "upper", "said"),
    [
        (date(2027, 1, 1), date(2028, 1, 1), "2027"),
        (date(2027, 4, 1), date(2027, 7, 1), "quarter 2 of 2027"),
        (date(2027, 1, 1), date(2027, 2, 1), "January 2027"),
        (date(2027, 1, 4), date(2027, 1, 11), "4 January 2027 to 10 January 2027"),
        (date(2027, 1, 4), date(2027, 1, 5), "4 January 2027"),
    ],
)
def test_periods_in_words(lower: date, upper: date, said: str) -> None:
    assert spoken_period((datetime.combine(lower, time()), datetime.combine(upper, time()))) == said


def test_a_target_of_alarms_that_takes_none_and_one_that_nobody_sends_to_are_told() -> None:
    where = ("https://chat.example",)

    def said(**more: Any) -> tuple[Severity, str]:
        found = only("alarms", table(), alarms=AlarmsSent(where, **more))
        return found.severity, found.title

    assert only("alarms", table()).severity is Severity.OK
    assert said() == (Severity.OK, "People are told of what is wrong at https://chat.example: nobody has looked yet")
    assert said(looked_at=NOW - timedelta(hours=2))[0] is Severity.OK
    late = said(looked_at=NOW - timedelta(days=3))
    assert late == (Severity.WARNING, "It was last looked for alarms 3 days ago")
    failing = said(looked_at=NOW, failing=("https://chat.example took no message: it answered 500",))
    assert failing[0] is Severity.WARNING
    assert failing[1] == "Alarms don't arrive: https://chat.example took no message: it answered 500"
