"""Rules from words, and in words again: what is read, what is refused with what was meant, and the sentence."""

from __future__ import annotations

import string
import tomllib
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UsageError
from core.period import Duration, Width
from core.rules.file import TableRules, differences, parse_file, schema, written
from core.rules.value import PARSERS, Bytes, Newest, Rest, Rules, Window, parse_rule, parse_rules

DURATIONS = st.builds(Duration, st.integers(1, 99_999), st.sampled_from(("day", "week", "month", "year")))
WIDTHS = st.builds(
    Width.parse,
    st.builds(
        "{} {}".format, st.integers(1, 10_000), st.sampled_from(("second", "hour", "day", "week", "month", "year"))
    ),
)
TIMES = st.builds(time, st.integers(0, 23), st.integers(0, 59))
RULES = st.builds(
    Rules,
    every=st.none() | WIDTHS,
    ahead=st.none() | st.integers(0, 1000),
    archive_after=st.none()
    | DURATIONS
    | st.builds(Newest, st.integers(1, 99_999))
    | st.builds(Bytes, st.integers(1, 2**63 - 1)),
    backup=st.booleans(),
    verify_every=st.none() | DURATIONS,
    drop_after=st.none() | DURATIONS,
    hold=st.none() | st.builds(Rest, st.none() | st.dates(date(1000, 1, 1))),
    window=st.none()
    | st.tuples(TIMES, TIMES, st.sampled_from(("UTC", "Europe/Berlin", "Asia/Kolkata")))
    .filter(lambda found: found[0] != found[1])
    .map(lambda found: Window(*found)),
    at_most=st.none() | st.integers(1, 1000),
)
NAMES = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0") | st.sampled_from(string.punctuation), min_size=1
)


@given(RULES)
def test_words_say_the_rules_again(rules: Rules) -> None:
    assert parse_rules(rules.said()) == rules


@given(st.dictionaries(NAMES, RULES, max_size=4))
def test_a_file_says_them_again_in_a_stable_order(named: dict[str, Rules]) -> None:
    tables = tuple(TableRules(name, rules) for name, rules in named.items())
    text = written(tables)
    assert parse_file(text) == tuple(sorted(tables, key=lambda one: one.name))
    assert written(reversed(tables)) == text == written(parse_file(text))
    assert differences(tables, parse_file(text)) == ()
    tomllib.loads(text)


EXAMPLE = """
[[table]]
name = "public.kid_absences"
every = "1 year"              # read from its partitions where left out
ahead = 2
archive_after = "3 years"
backup = true
verify_every = "1 year"
drop_after = "60 days"        # after the archive, with a proven backup; left out: never
window = "01:00-05:00 Europe/Berlin"
at_most = 4
"""


def test_the_example_reads_as_one_sentence() -> None:
    (one,) = parse_file(EXAMPLE)
    assert one.rules.sentence() == (
        "years, 2 ahead; archive after 3 years; back up and verify every year; drop 60 days after; at most 4 acts a"
        " night between 01:00 and 05:00 Europe/Berlin"
    )


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({}, "nothing made ahead"),
        ({"ahead": 3}, "months, 3 ahead"),
        ({"ahead": 1, "every": "10 days"}, "partitions of 10 days, 1 ahead"),
        (
            {"archive_after": "24 partitions"},
            "nothing made ahead; archive all but the newest 24 partitions that are over",
        ),
        ({"archive_after": "200 GiB"}, "nothing made ahead; archive what is over beyond 200 GiB"),
        ({"backup": True, "at_most": 1}, "nothing made ahead; back up; at most 1 act a day"),
        ({"verify_every": "90d"}, "nothing made ahead; verify every 90 days"),
        ({"hold": "2027-12-31"}, "nothing made ahead; nothing archived or dropped through 31 December 2027"),
        ({"hold": True}, "nothing made ahead; nothing archived or dropped until that is lifted"),
        ({"window": "22:00-4:30 UTC"}, "nothing made ahead; between 22:00 and 04:30 UTC"),
    ],
)
def test_each_rule_is_said_in_plain_words(said: dict[str, Any], sentence: str) -> None:
    assert parse_rules(said).sentence(Width(months=1)) == sentence


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("archive_after", 24, "archive_after: 24 of what? A unit is required. * 24 months, 24 partitions or 24 GiB."),
        ("archive_after", "24", "archive_after: 24 of what? *"),
        ("archive_after", 1.5, "archive_after: 1.5 of what? *"),
        ("drop_after", 60, "drop_after: 60 of what? * 60 days, 60 months or 1 year."),
        ("verify_every", "1", "verify_every: 1 of what? *"),
        ("every", 1, "every: 1 of what? *"),
        (
            "archive_after",
            "a while",
            "*'a while' is no age, number of partitions or size. * 3 years, 24 partitions or*",
        ),
        ("archive_after", "0 partitions", "*is no age*"),
        ("archive_after", True, "*True is not what is wanted here.*"),
        ("ahead", "2 months", "ahead: '2 months' is no number of partitions ahead.*"),
        ("ahead", True, "*True is no number*"),
        ("ahead", -1, "*from 0 to 1000.*"),
        ("at_most", 0, "*from 1 to 1000.*"),
        ("backup", "perhaps", "*neither true nor false.*"),
        ("hold", "soon", "*'soon' says no end of a hold. * Write until 2027-12-31, or until lifted."),
        ("hold", "2027-02-30", "*says no end of a hold.*"),
        ("window", "01:00-05:00", "*no window with its time zone. * Write it as 01:00-05:00 Europe/Berlin."),
        ("window", "01:00-05:00 Mars/Olympus", "*that is none.*"),
        ("window", "25:00-05:00 UTC", "*that is none.*"),
        ("window", "05:00-05:00 UTC", "*ends when it begins.*"),
    ],
)
def test_what_is_no_rule_is_refused_with_what_was_meant(key: str, value: object, told: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_rule(key, value)
    parts, said = told.split("*"), str(error.value)
    for part in parts:
        assert part.strip() in said


@pytest.mark.parametrize("word", ["off", "never", "none", "", "No"])
def test_a_rule_can_be_switched_off(word: str) -> None:
    assert parse_rules(dict.fromkeys(PARSERS, word)) == Rules()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            '[[table]]\nname = "a.b"\narchiv_after = "1 year"',
            "a.b: 'archiv_after' is no rule. * Did you mean archive_after?",
        ),
        ('[[table]]\nname = "a.b"\nnmae = "1 year"', "Did you mean name?"),
        ('[[table]]\nname = "a.b"\nzzz = 1', "There are: name, every, ahead,"),
        ('[[table]]\nname = "a.b"\nahead = "x"', "a.b: ahead: 'x' is no number"),
        ("[[table]]\nahead = 1", "The 1. [[table]] has no name."),
        ('[table]\nname = "a.b"', "with two brackets"),
        ('[[tables]]\nname = "a.b"', "'tables' is not known at the top of the file."),
        ('[[table]]\nname = "a.b"\n[[table]]\nname = "a.b"', "a.b stands in the file twice."),
        ("[[table]", "The file is no TOML"),
    ],
)
def test_a_file_is_refused_with_the_place_and_what_was_meant(text: str, told: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_file(text)
    for part in told.split("*"):
        assert part.strip() in str(error.value)


def test_a_difference_tells_what_goes_and_what_comes() -> None:
    here = parse_file('[[table]]\nname = "a.b"\nahead = 1\nbackup = true\n[[table]]\nname = "a.c"\nahead = 1')
    wanted = parse_file(
        '[[table]]\nname = "a.b"\nahead = 2\nbackup = true\n[[table]]\nname = "a.d"\nwindow = "1:00-2:00 UTC"'
    )
    assert [(one.name, one.lines) for one in differences(here, wanted)] == [
        ("a.b", ("- ahead = 1", "+ ahead = 2")),
        ("a.c", ("- ahead = 1",)),
        ("a.d", ('+ window = "01:00-02:00 UTC"',)),
    ]


def test_the_schema_knows_every_key_and_no_other() -> None:
    table: Any = schema()["properties"]
    items = table["table"]["items"]
    assert list(items["properties"]) == ["name", *PARSERS]
    assert items["additionalProperties"] is False


BERLIN = Window(time(1), time(5), "Europe/Berlin")


@pytest.mark.parametrize(
    ("window", "at", "is_open"),
    [
        (BERLIN, datetime(2026, 7, 1, 0, 0, tzinfo=UTC), True),
        (BERLIN, datetime(2026, 7, 1, 3, 0, tzinfo=UTC), False),
        (BERLIN, datetime(2026, 1, 1, 3, 59, tzinfo=UTC), True),
        (Window(time(22), time(4), "UTC"), datetime(2026, 1, 1, 23, 0, tzinfo=UTC), True),
        (Window(time(22), time(4), "UTC"), datetime(2026, 1, 1, 4, 0, tzinfo=UTC), False),
    ],
)
def test_a_window_is_open_by_the_clock_of_its_zone(window: Window, at: datetime, *, is_open: bool) -> None:
    assert window.is_open(at) is is_open
    assert window.opened(at) <= at < window.opens(at)
    assert window.is_open(window.opens(at))


def test_a_night_past_midnight_is_one() -> None:
    night = Window(time(22), time(4), "UTC")
    assert night.opened(datetime(2026, 1, 2, 1, tzinfo=UTC)) == datetime(2026, 1, 1, 22, tzinfo=UTC)
