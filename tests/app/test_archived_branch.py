"""Pages of an archived branch: it is offered what any other archived table is."""

from __future__ import annotations

import pytest
import streamlit as st

from core.cli.main import main
from tests.app.conftest import Open, texts
from tests.tables import Run
from tests.trees import plant


def test_an_archived_branch_is_offered_what_any_other_is(
    console: Open, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(run, "range-hash")
    on = ("--year", "2023", "--table", "visit")
    assert main(["archive", *on]) == 0
    app = console("archive", table="public.visit")
    assert "Back up 2023" in [button.label for button in app.button]
    assert main(["backup", *on]) == 0
    assert main(["verify", *on]) == 0
    st.cache_resource.clear()  # the list of backups is read anew every 15 seconds
    app = console("archive", table="public.visit")
    (drop,) = (button for button in app.button if button.key.endswith("act_visit_2023"))
    assert drop.label == "Review drop of 2023"
    drop.click().run()
    assert "visit_2023" in texts(app)
    assert "900" in texts(app)
    capsys.readouterr()
