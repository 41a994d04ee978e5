"""The report and the words of growth: what they say, that every name in them is only text, and what bad input meets."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from core.cli.growth import write_file
from core.cli.growth_output import growth_json, growth_text
from core.cli.main import main
from core.errors import Failed, SettingError, UsageError
from core.growth.forecast import passing
from core.growth.history import History
from core.growth.outlook import Retention
from core.growth.read import Growth
from core.growth.report import report_html
from core.growth.savings import Prices
from core.growth.series import days_of
from core.growth.words import limit_words
from core.period import Duration
from core.settings import parse_bytes, read_settings
from core.text import human_bytes
from tests.unit.growth_factories import MB, TABLE, TODAY, growth, holding

NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)
HOSTILE = 'public."<script>alert(1)</script> & ""x"""'


class Page(HTMLParser):
    """What a browser would make of a page."""

    VOID = ("meta", "link", "img", "br", "hr", "input")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def page(made: Growth) -> Page:
    found = Page(report_html(made, place="school on db:5432", made_at=NOW))
    assert found.open == []
    return found


def test_the_report_tells_what_a_meeting_asks() -> None:
    found = page(growth(limit=700 * MB, prices=Prices(0.1, 0.02)))
    for words in (
        "Storage growth: public.kid_absences",
        "school on db:5432, 20 October 2026",
        "The limit of 700 MB (668 MiB) is passed about",
        "Stored now 601 MiB",
        "0.06 EUR a month",
        "In 30 days +14 MiB +2.4% since 20 September 2026",
        "So far 76 MiB left its table for the archive, and nothing left the server.",
        "1 partition with 86 MiB is due for the archive, 3 years after the last day; 1 more will be within a year.",
        "How these figures came about",
        "Sizes over time: 400 daily samples, the last on 20 October 2026.",
        "Forecast: a robust line (Theil-Sen)",
        "Made by Partition Desk on 20 October 2026 at 09:30:00 UTC.",
    ):
        assert words in found.text
    assert found.tags.count("svg") == 4


def test_the_report_needs_nothing_beside_it_and_runs_nothing() -> None:
    made = growth(table=HOSTILE, notes=("<img src=x onerror=alert(1)>",), currency="<b>")
    made = replace(made, prices=Prices(1.0), items=(holding(2026, 5, name="<i>"), *made.items))
    html = report_html(made, place="<b>db</b>", made_at=NOW)
    found = Page(html)
    assert not {"script", "link", "img", "iframe", "object", "i", "b"} & set(found.tags) - {"b"}
    assert "<b>db</b>" not in html
    assert "<script" not in html
    assert 'alert(1)</script> & ""x""' in unescape(html)
    assert not [name for name, _ in found.attributes if name.startswith("on") or name in ("src", "href")]
    assert not re.search(r"https?://|@import|url\(", html)
    assert found.open == []


def test_every_number_of_a_drawing_is_one() -> None:
    """An SVG with a NaN in it draws nothing, and nobody is told."""
    empty = np.array([])
    bare = History(TABLE, days_of(()), *([empty] * 9))
    cases = [
        growth(),
        growth(limit=650 * MB),
        growth(limit=10**15),
        growth(limit=1),
        growth(count=3),
        growth(per_day=-0.5),
        growth(per_day=0),
        growth(items=(), attached=0, archived=0, by_period=(), savings=(), months=(), history=bare),
        growth(count=3, history=bare, last_sample=None, months=(), savings=()),
    ]
    for made in cases:
        html = report_html(made, place="school", made_at=NOW)
        assert not re.search(r"\b(nan|inf)\b", html)
        for numbers in re.findall(r' (?:x|y|x1|x2|y1|y2|width|height)="([^"]*)"', html):
            assert re.fullmatch(r"-?\d+(\.\d+)?|\d+e[+-]\d+", numbers), numbers
        assert Page(html).open == []


def test_a_limit_far_above_is_told_and_not_drawn() -> None:
    far = report_html(growth(limit=10**13), place="school", made_at=NOW)
    assert "The limit of 10 TB (9.1 TiB) lies far above." in unescape(far).replace("\xa0", " ")
    assert ">limit " not in far
    near = report_html(growth(limit=700 * MB), place="school", made_at=NOW)
    assert ">limit 700" in near


def test_only_so_many_remarks_have_room() -> None:
    made = growth(notes=tuple(f"Remark {n}." for n in range(20)))
    text = page(made).text
    assert "Remark 5." in text
    assert "Remark 6." not in text
    rest = 14 + len(made.forecast.verdict.notes)
    assert f"{rest} more remarks: partitions growth tells." in text


# --- words ----------------------------------------------------------------------------------------------------------


def test_when_a_limit_is_passed_in_words() -> None:
    assert limit_words(growth()) == ""
    plain = {limit: limit_words(growth(limit=limit)).replace("\xa0", " ") for limit in (600 * MB, 650 * MB, 10**12)}
    assert plain[600 * MB] == "The limit of 600 MB (572 MiB) is passed already."
    assert re.fullmatch(
        r"The limit of 650 MB \(620 MiB\) is passed about \d+ \w+ 2026\.",
        plain[650 * MB],
    )
    rough = growth(limit=650 * MB)
    assert rough.passing_kept is not None
    early, late = (replace(rough.passing_kept, earliest=TODAY, latest=day) for day in (TODAY + timedelta(300), None))
    assert "between 20 October 2026 and August 2027" in limit_words(
        replace(rough, passing_kept=early, passing_planned=early)
    )
    assert "between 20 October 2026 and some day after 20 October 2027." in limit_words(
        replace(rough, passing_kept=late, passing_planned=late)
    )
    assert plain[10**12] == "The limit of 1 TB (931 GiB) is not passed by 20 October 2027."
    unknown = growth(count=3, limit=10**12)
    assert limit_words(unknown).endswith("is not passed yet; when it will be is unknown.")
    assert limit_words(growth(limit=2**30)).startswith("The limit of 1\xa0GiB is")


def test_a_plan_that_frees_is_told_beside_what_comes_without_it() -> None:
    made = growth(limit=700 * MB)
    planned = replace(
        made.outlook,
        planned=replace(made.outlook.planned, low=made.outlook.kept.low / 2, expected=made.outlook.kept.expected / 2,
                        high=made.outlook.kept.high / 2),
    )  # fmt: skip
    both = replace(made, outlook=planned, passing_planned=passing(planned.days, planned.planned, 700 * MB))
    assert "if everything stays; if old data is removed it is not passed by" in limit_words(both)
    dropping = replace(both, retention=Retention(Duration(3, "year"), Duration(90, "day")))
    said = page(dropping).text.replace("\xa0", " ")
    stays, removed = (
        human_bytes(round(float(band.expected[-1]))).replace("\xa0", " ")
        for band in (dropping.outlook.kept, dropping.outlook.planned)
    )
    assert stays != removed
    assert f"the server will hold about {stays} if everything stays" in said  # nothing is removed by itself
    assert f"about {removed} if old data is removed" in said
    assert "Ahead: expected, if everything stays; the band" in said
    assert "Dashed: if old data is removed." in said


def test_growth_as_text() -> None:
    text = growth_text(growth(limit=700 * MB, prices=Prices(0.1, 0.02)), "school on db:5432").replace("\xa0", " ")
    lines = text.splitlines()
    assert lines[0] == "public.kid_absences in school on db:5432, 20 October 2026 at 09:30:00 UTC."
    assert lines[1] == (
        "601 MiB on the server: 525 MiB in the tables and 76 MiB archived beside them."
        " All of it costs 0.06 EUR a month."
    )
    assert lines[2] == "30 days: +14 MiB (+2.4%) since 20 September 2026."
    assert any(re.fullmatch(r"September 2026 +\+14 MiB", line) for line in lines)
    assert any(re.fullmatch(r"October 2026 +\+9.5 MiB  not whole", line) for line in lines)
    assert any(re.fullmatch(r"2026 Q3 +76 MiB +0 bytes +0 bytes", line) for line in lines)
    assert "\x1b" not in growth_text(growth(table="public.\x1b[2J"), "school")


def test_growth_as_json_has_every_figure_and_nothing_that_json_lacks() -> None:
    found = json.loads(json.dumps(growth_json(growth(limit=700 * MB, prices=Prices(0.1))), allow_nan=False))
    assert found["server_bytes"] == found["attached_bytes"] + found["archived_bytes"]
    assert (found["table"], found["derived"], found["today"]) == (TABLE, False, "2026-10-20")
    assert len(found["history"]["date"]) == len(found["history"]["attached_bytes"]) == 400
    assert [point["date"] for point in found["forecast"]["points"]][-1] == "2027-10-20"
    assert found["forecast"]["points"][0]["as_planned_bytes"].keys() == {"low", "expected", "high"}
    assert found["limit_passed_if_kept"]["expected"] is not None
    assert found["money"]["server_month"] == pytest.approx(0.063)
    assert found["leaving"][0] == {
        "table": TABLE,
        "name": "kid_absences_2022",
        "state": "attached",
        "date": "2026-10-20",
        "due": True,
        "bytes": 90 * MB,
        "leaves_server": None,
    }
    bare = json.loads(json.dumps(growth_json(growth(count=3, table="")), allow_nan=False))
    assert (bare["table"], bare["forecast"]["trust"], bare["forecast"]["points"]) == (None, "none", [])


# --- settings and files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500 GB", 500 * 10**9),
        ("2TiB", 2 * 2**40),
        ("1.5 gb", 1_500_000_000),
        (" 10 kB ", 10_000),
        ("1 byte", 1),
        ("1000000 bytes", 1_000_000),
        ("1 PiB", 2**50),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "500", "GB", "-1 GB", "0 GB", "1e3 GB", "1 XB", "1 G", "٥ GB", "9999999999 PB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PARTITION_DESK_STORAGE_LIMIT", "500"),
        ("PARTITION_DESK_PRICE_HOT", "cheap"),
        ("PARTITION_DESK_PRICE_COLD", "-1"),
        ("PARTITION_DESK_PRICE_COLD", "nan"),
        ("PARTITION_DESK_CURRENCY", "a whole sentence"),
        ("PARTITION_DESK_CURRENCY", "\x1b"),
        ("PARTITION_DESK_SAMPLE", "daily"),
        ("PARTITION_DESK_KEEP_SAMPLES", "2"),
        ("PARTITION_DESK_WEEKLY_AFTER", "0 days"),
    ],
)
def test_a_setting_that_can_t_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=name):
        read_settings({name: value})


def test_the_settings_of_growth() -> None:
    bare = read_settings({})
    assert (bare.storage_limit, bare.price_hot, bare.price_cold, bare.currency) == (None, None, None, "EUR")
    assert (bare.sample_daily, bare.keep_samples, bare.weekly_after) == (True, None, None)
    made = read_settings(
        {
            "PARTITION_DESK_STORAGE_LIMIT": "2 TB",
            "PARTITION_DESK_PRICE_HOT": "0.11",
            "PARTITION_DESK_PRICE_COLD": "0",
            "PARTITION_DESK_CURRENCY": "$",
            "PARTITION_DESK_SAMPLE": "no",
            "PARTITION_DESK_KEEP_SAMPLES": "5 years",
            "PARTITION_DESK_WEEKLY_AFTER": "1y",
        }
    )
    assert (made.storage_limit, made.price_hot, made.price_cold, made.currency) == (2 * 10**12, 0.11, 0.0, "$")
    assert (made.sample_daily, made.keep_samples, made.weekly_after) == (
        False,
        Duration(5, "year"),
        Duration(1, "year"),
    )


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "desk.prom"
    path.write_text("old")
    before = path.stat().st_ino
    write_file(str(path), "new\n")
    assert path.read_text() == "new\n"
    assert path.stat().st_ino != before
    assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == ["desk.prom"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nowhere/at/all.html", "No such file or directory"),
        (".", "directory"),
        ("a" * 300, "File name too long"),
        ("a\0b", "is no name of a file"),
    ],
)
def test_a_file_that_can_t_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Failed, match=why):
        write_file(name, "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("growth --limit-bytes 500", "'500' is not a size. Nothing was changed. Write a number and a unit"),
        ("growth --drop-after 90", "'90' is not a duration."),
        ("report --html x.html --limit-bytes much", "'much' is not a size."),
        ("growth --table a.b.c", "has more than a schema and a name."),
        ("metrics --file \udcff", r"\udcff is not text in UTF-8."),
    ],
)
def test_wrong_usage_is_one_line_and_2(
    words: str, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://anna:hush-hush@127.0.0.1:9/school")
    assert main(words.split(" ")) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert told in err


def test_history_before_today_alone_is_drawn() -> None:
    made = growth()
    late = days_of([*(day.item() for day in made.history.days[:-1]), TODAY + timedelta(days=900)])
    html = report_html(replace(made, history=replace(made.history, days=late)), place="school", made_at=NOW)
    assert "2029" not in html
