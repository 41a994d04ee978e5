"""What pages let people take away as a table holds nothing that a spreadsheet takes for a formula."""

from __future__ import annotations

import csv
import io
from typing import Any

import pandas as pd
import pytest
import streamlit as st

from dashboard import selection
from dashboard.growth.tables import as_csv

FORMULAS = (
    "=1+1",
    '=HYPERLINK("http://x")',
    "+1",
    "-1+1|cmd",
    "@SUM(A1)",
    "  =1",
    "\t=1",
    "\r=1",
    "\n=1",
    "|calc",
    "%0",
)


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_a_text_in_a_file(text: str) -> None:
    said = as_csv((("name", "bytes"), [(text, -5)])).decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(said, newline="")))[1] == [f"'{text}", "-5"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_a_text_in_a_table_of_a_page(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[pd.DataFrame] = []
    monkeypatch.setattr(st, "dataframe", lambda frame, **_: drawn.append(frame))
    frame = pd.DataFrame({"Reason": [text], "Took": [-1.5]})
    options: dict[str, Any] = {"parameter": "operation", "alt": "", "columns": {}}
    selection.table(frame, ["1"], None, **options)
    assert drawn[0].to_dict("records") == [{"Reason": f"'{text}", "Took": -1.5}]
