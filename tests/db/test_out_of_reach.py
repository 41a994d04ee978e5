"""A collation that the role may not use."""

from __future__ import annotations

from collections.abc import Callable

from tests.road import Road
from tests.tables import Run


def test_a_collation_out_of_reach_is_told_for_its_table_alone(
    road: Road, run: Run, make_role: Callable[..., tuple[str, str]]
) -> None:
    role, url = make_role()
    run("CREATE SCHEMA hidden; CREATE COLLATION hidden.words (provider = libc, locale = 'C')")
    run("CREATE TABLE words (k text COLLATE hidden.words, note text COLLATE hidden.words) PARTITION BY RANGE (k)")
    run("CREATE TABLE days (day date, note text COLLATE hidden.words) PARTITION BY RANGE (day)")
    for table, lower, middle, upper in (("words", "a", "k", "z"), ("days", "2024-01-01", "2025-01-01", "2026-01-01")):
        run(f"CREATE TABLE {table}_1 PARTITION OF {table} FOR VALUES FROM ('{lower}') TO ('{middle}')")
        run(f"CREATE TABLE {table}_2 PARTITION OF {table} FOR VALUES FROM ('{middle}') TO ('{upper}')")
        run(f"GRANT SELECT ON {table}, {table}_1, {table}_2 TO {role}")
    told = road.done("status", "--table=words", url=url).out
    assert (
        "public.words is only shown here: its key is ordered by the collation words of the schema hidden, which this"
        ' role may not use (GRANT USAGE ON SCHEMA "hidden" would let it).'
    ) in told
    assert "words_2" in told
    refused = road("backup", "--partition=words_1", "--table=words", url=url)
    assert (refused.code, "may not use" in refused.err) == (1, True)
    assert "only shown" not in road.done("status", "--table=days", url=url).out
    for words in (("growth", "--table=days"), ("metrics",), ("find", "--date", "2024-05-01", "--table=days")):
        road.done(*words, url=url)
    findings = road("doctor", "--table=days", "--json", url=url).json["findings"]
    assert not [one for one in findings if "hidden" in one["reason"]]
    run(f"GRANT USAGE ON SCHEMA hidden TO {role}")
    assert "only shown" not in road.done("status", "--table=words", url=url).out
