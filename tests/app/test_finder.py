"""Found from every page: the rows of a date; and a page, a table, a partition or an act by some of its name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from core.plans.archive import plan_archive
from core.plans.operation import Role
from core.tables.catalog.table import read_table
from dashboard import finder
from tests.app.conftest import PAGES, THIS_YEAR, Open, texts
from tests.app.test_roles import As, as_role
from tests.conftest import Act
from tests.tables import Made

__all__ = ["as_role"]


def offered(app: AppTest) -> list[str]:
    """What the dialog leads to."""
    assert not app.exception, app.exception[0].value
    return [button.label.replace("\\", "") for button in app.button if str(button.key).startswith("target_")]


def typed(app: AppTest, text: str) -> list[str]:
    app.text_input(key="go_to_text").set_value(text).run()
    return offered(app)


def second(made: Made) -> str:
    """The name of its second partition."""
    return f"kid_absences_{made.ranges[1][0].year}"


def chosen(app: AppTest, label: str) -> AppTest:
    (button,) = (one for one in app.button if one.label.replace("\\", "") == label)
    return button.click().run()


@pytest.mark.thorough
def test_a_date_typed_on_any_page_tells_where_its_rows_are(console: Open, absences: Made) -> None:
    day = absences.ranges[1][0]
    for page in PAGES:
        app = console(page)
        app.text_input(key="finding").set_value(str(day)).run()
        assert second(absences) in texts(app), page
        assert app.title[0].value.endswith("look after") or app.title[0].value == "Nothing is wrong"
        assert app.text_input(key="finding").value == ""


def test_some_of_a_name_leads_to_page_partition_and_act(
    console: Open, absences: Made, reader: Engine, act: Act, make_table: Callable[..., Made]
) -> None:
    make_table("other")
    act(plan_archive(read_table(reader, absences.address), absences.first, now=datetime.now(UTC)))
    app = console("growth")
    app.button(key="go_to").click().run()
    assert offered(app)[:7] == ["Overview", "Partitions", "Archive", "Rules", "Doctor", "Growth", "Activity"]
    assert len(offered(app)) == finder.MOST
    assert "The first 10 are shown" in texts(app)
    year = str(THIS_YEAR - 4)
    name = second(absences)
    assert typed(app, f"{year} ABSENCES") == [name, f"Archive {name}"]
    assert typed(app, absences.first) == [absences.first, f"Reattach {absences.first}", f"Drop {absences.first}"]
    assert typed(app, "nothing is called so") == []
    assert "Nothing here is called so." in texts(app)
    assert typed(app, "table other") == ["Table public.other"]
    assert typed(app, f"{year}-02-30") == []
    assert typed(app, f"{year}-02-03") == [f"Where the rows of 3 February {year} are"]

    typed(app, year)
    chosen(app, name)
    assert app.query_params["partition"] in (name, [name])
    assert name in texts(app)
    assert "go_to_text" not in [one.key for one in app.text_input]

    app.text_input(key="finding").set_value(f"archive {year}").run()
    assert offered(app) == [f"Archive {name}"]
    chosen(app, f"Archive {name}")
    assert f"{name} is detached from" in texts(app)  # planned, to be confirmed
    assert app.button(key="confirm_plan").label.replace("\\", "") == f"Archive {name}"


def test_acts_are_offered_to_who_may_do_them(console: Open, absences: Made, as_role: As) -> None:
    as_role(Role.VIEWER)
    app = console()
    app.text_input(key="finding").set_value("archive").run()
    assert offered(app) == ["Archive"]


def test_another_table_is_one_word_away(console: Open, absences: Made, make_table: Callable[..., Made]) -> None:
    make_table("other")
    app = console("partitions")
    app.text_input(key="finding").set_value("public.other").run()
    chosen(app, "Table public.other")
    assert app.selectbox(key="table_choice").value == "public.other"
