"""A role that may not read the console's own tables is told that it doesn't know, never that there is nothing."""

from __future__ import annotations

from collections.abc import Callable

from core.names import ident
from tests.road import Road
from tests.tables import Made, Run


def test_what_was_done_and_sampled_is_unknown(
    road: Road, make_table: Callable[..., Made], make_role: Callable[..., tuple[str, str]], run: Run
) -> None:
    made = make_table()
    road.done("archive", "--year", "2022")
    road.done("sample")
    role, url = make_role()
    hidden = f"The role {role} may not read the console's own tables"
    ended = road("history", url=url)
    assert (ended.code, ended.out) == (1, "")
    assert ended.message.startswith(hidden)
    told = road.done("growth", "--table", made.address, url=url).out
    assert hidden in told
    assert "Nothing was sampled yet" not in told
    figures = road.done("metrics", url=url).out
    assert "partition_desk_journal_up 0\n" in figures
    assert "failed_operations_total" not in figures
    assert 'partition_desk_partitions{table="public.kid_absences",state="archived"} 1\n' in figures

    run(f"GRANT USAGE ON SCHEMA partition_desk TO {ident(role)}")
    run(f"GRANT SELECT ON ALL TABLES IN SCHEMA partition_desk TO {ident(role)}")
    assert "archive" in road.done("history", url=url).out
    figures = road.done("metrics", url=url).out
    assert "partition_desk_journal_up 1\n" in figures
    assert 'partition_desk_failed_operations_total{table="public.kid_absences"} 0\n' in figures


def test_where_nothing_was_done_that_is_told(
    road: Road, make_table: Callable[..., Made], make_role: Callable[..., tuple[str, str]]
) -> None:
    make_table()
    _, url = make_role()
    assert "Nothing was done here yet." in road.done("history", url=url).out
    assert "partition_desk_journal_up 1\n" in road.done("metrics", url=url).out
