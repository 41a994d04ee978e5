"""Did something that was cut short leave anything behind?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from core.doctor.findings import (
    Case,
    Finding,
    Severity,
    gently,
    script,
)
from core.names import comment_sql, ident
from core.plans.steps import EXCLUSION
from core.plans.under_way import goes_on
from core.tables.marks import Marks
from core.text import listed


def leftovers(case: Case) -> Iterator[Finding]:
    """WARNING for a CHECK that an interrupted operation left on the DEFAULT; NOTE for a tag left on a partition."""
    found = [*_left_moves(case), *_left_checks(case), *_left_tags(case)]
    yield from found
    if not found:
        yield Finding("leftovers", Severity.OK, "No interrupted operation has left anything on the partitions")


def _left_moves(case: Case) -> Iterator[Finding]:
    if case.move is None:
        return
    course, paused = case.move.course, case.move.paused
    names = listed(one.name for one in course.leaving)
    back = "" if case.move.switched else f"\n# Or take it back:\n{goes_on(case.table, course, '--abandon')}"
    yield Finding(
        "leftovers",
        Severity.WARNING,
        f"The rows of {names} are being moved, and that is {'paused' if paused else 'not finished'}",
        "As long as it is not, every write to it is carried over, which makes it slower, and the copy takes its place"
        " on disk. All rows are where they were, or in their new partitions: none is lost.",
        hint=f"# Unless it runs just now, go on with it:\n{goes_on(case.table, course)}{back}",
    )


def _left_checks(case: Case) -> Iterator[Finding]:
    default = case.table.default
    for check in default.checks if default else ():
        if default and check.name.startswith(EXCLUSION):
            range_name = check.name.removeprefix(EXCLUSION)
            yield Finding(
                "leftovers",
                Severity.WARNING,
                f"{default.name} still refuses the rows of {range_name}",
                "An operation that was interrupted left a CHECK constraint on it: until that is gone, rows of that"
                " range fail where they have no partition. It belongs there only while an operation runs.",
                hint="-- Unless an operation runs just now:\n"
                + gently(f"ALTER TABLE {default.sql} DROP CONSTRAINT {ident(check.name)}"),
                subject=case.called(default),
            )


def _left_tags(case: Case) -> Iterator[Finding]:
    for partition in case.table.partitions:
        comment, marks = Marks.split(partition.comment)
        if marks.tag is not None and not partition.pending:
            yield Finding(
                "leftovers",
                Severity.NOTE,
                f"{partition.name} is attached, and its comment says that it was archived",
                "An archive began and did not get as far as the detach. It harms nothing; archiving it again"
                " writes the comment anew.",
                hint=script(comment_sql(partition.sql, replace(marks, tag=None).beside(comment))),
                subject=case.called(partition),
            )
