"""Pages of tables whose partitions are partitioned themselves: true figures, and the acts on a branch."""

from __future__ import annotations

from core.text import human_bytes
from tests.app.conftest import Open, texts
from tests.tables import Run
from tests.trees import on_disk, plant, plant_foreign


def test_a_branch_is_shown_with_its_sum_and_how_it_is_split(console: Open, run: Run) -> None:
    plant(run, "range-hash")
    app = console("partitions", table="public.visit", partition="visit_2024")
    said = texts(app)
    assert "0 bytes" not in said
    assert any(button.key == "archive_one" for button in app.button)
    state = app.table[0].value.to_string()
    assert human_bytes(on_disk(run, "visit_2024")).replace("\N{NO-BREAK SPACE}", " ") in state.replace(
        "\N{NO-BREAK SPACE}", " "
    )
    assert "2 partitions; figures are sums over them" in state
    assert "partitioned again, by HASH (kid_id)" in said


def test_a_foreign_partition_says_where_its_rows_are(console: Open, run: Run) -> None:
    plant(run, "range-list")
    plant_foreign(run, "visit", "FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')", "visit_2020")
    app = console("partitions", table="public.visit", partition="visit_2020")
    assert "on another server" in app.table[0].value.to_string()
    assert not any(button.key == "archive_one" for button in app.button)


def test_a_table_that_is_only_shown_is_not_said_to_be_right(console: Open, run: Run) -> None:
    run("CREATE TABLE visit (kind text) PARTITION BY LIST (kind)")
    run("CREATE TABLE visit_a PARTITION OF visit FOR VALUES IN ('a')")
    assert "Not checked: this table is only shown here" in texts(console(table="public.visit"))
    app = console("doctor", table="public.visit")
    assert app.title[0].value == "Not checked"


def test_a_table_by_list_names_its_branches(console: Open, run: Run) -> None:
    plant(run, "list-range")
    app = console(table="public.visit")
    assert "tables of their own, and served as such: public.visit_a and public.visit_bc" in texts(app)
    assert any(o.startswith("public.visit_a, a branch of public.visit · ") for o in app.selectbox[0].options)
    assert "visit_a_2023" in texts(console("archive", table="public.visit_a"))
