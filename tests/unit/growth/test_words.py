"""The words of growth: pages, command line and report say the same figure in the same words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest

from core.cli.growth_output import growth_text
from core.growth.history import Change
from core.growth.read import Growth
from core.growth.report import report_html
from core.growth.savings import Money, Prices
from core.growth.words import about, amount, limit_size, percent, signed, signed_percent, stands, verdict
from dashboard.charts.theme import Theme
from dashboard.growth.cards import cards, costs, further
from dashboard.growth.figures import figures
from tests.unit.growth_factories import MB, TODAY, growth

NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)
MINUS = "\N{MINUS SIGN}"


def said_by(made: Growth) -> dict[str, str]:
    """What each edge says of a growth: a terminal has plain spaces, and a hyphen for the minus."""
    drawn = figures(made, 365).values()
    page = [
        verdict(made, 365),
        *(f"{card.value} {card.note} {card.help}" for card in (*cards(made, 365), *further(made), *costs(made))),
        *(f"{figure.alt} {figure.note}" for figure in drawn),
    ]
    told = {
        "page": " ".join(page),
        "report": unescape(report_html(made, place="school", made_at=NOW)),
        "command": growth_text(made, "school").replace("-", MINUS),
    }
    return {edge: text.replace("\xa0", " ") for edge, text in told.items()}


def grown() -> Growth:
    made = growth(limit=700 * MB, prices=Prices(12_000.0, 0.02))
    return replace(made, change_365=Change(TODAY - timedelta(days=365), made.server, made.server * 1.066))


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    return said_by(grown())


@pytest.mark.parametrize(
    "figure",
    [
        "601 MiB",  # on the server
        "525 MiB",  # of it in the tables
        f"{MINUS}40 MiB",  # in a year
        "+14 MiB",  # in 30 days
        "the limit of 700 MB (668 MiB)",
        "7,560 EUR",  # a month
        "76 MiB",  # archived so far
    ],
)
def test_a_figure_reads_alike_on_every_edge(said: dict[str, str], figure: str) -> None:
    for edge, text in said.items():
        assert figure.lower() in text.lower(), edge


def test_the_forecast_reads_alike_on_every_edge(said: dict[str, str]) -> None:
    made = grown()
    kept = made.passing_kept
    assert kept is not None
    assert kept.expected is not None
    month = about(kept.expected, TODAY)
    for edge, text in said.items():
        assert month in text, edge
    rough = growth(count=60)
    assert rough.forecast.verdict.trust == "rough"
    for edge, text in said_by(rough).items():
        if edge != "page":  # in a heading of its own
            assert "The forecast is rough; 31 more days of measuring make it better." in text, edge


def test_signs_and_shares() -> None:
    assert (signed(0), signed(2048), signed(-2048)) == ("0\xa0bytes", "+2.0\xa0KiB", f"{MINUS}2.0\xa0KiB")
    shares = (0, 0.0004, 0.0314, 0.09949, 0.0996, 0.314, 1.5)
    assert [percent(share) for share in shares] == ["0%", "0%", "3.1%", "9.9%", "10%", "31%", "150%"]
    assert (signed_percent(0.02), signed_percent(-0.02), signed_percent(None)) == ("+2.0%", f"{MINUS}2.0%", "")


def test_money() -> None:
    amounts = (0, 0.004, 0.01, 12.3, 1250, -3)
    said = [amount(Money(value), "EUR").replace("\xa0", " ") for value in amounts]
    assert said == ["0.00 EUR", "under 0.01 EUR", "0.01 EUR", "12.30 EUR", "1,250 EUR", f"{MINUS}3.00 EUR"]
    assert Theme(prices=Prices(1250.0), currency="EUR").paid(10**9) == amount(Money(1250), "EUR")


def test_days_to_come_are_said_as_closely_as_they_are_known() -> None:
    assert about(TODAY + timedelta(days=119), TODAY) == "16 February 2027"
    assert about(TODAY + timedelta(days=120), TODAY) == "February 2027"


@pytest.mark.parametrize(
    ("limit", "said"),
    [(500 * 10**9, "500 GB (466 GiB)"), (2 * 2**40, "2 TiB"), (1_234_567, "1234567 bytes (1.2 MiB)")],
)
def test_a_limit_is_said_as_it_was_set(limit: int, said: str) -> None:
    assert limit_size(limit).replace("\xa0", " ") == said


def test_what_stands_is_compared_in_words() -> None:
    assert stands(grown()).replace("\xa0", " ") == "601 MiB on the server, 6.2% less than a year ago"
