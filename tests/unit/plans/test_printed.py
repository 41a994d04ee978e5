"""No SQL is printed for somebody to run that no test has run in the situation that it is printed for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from core import errors
from tests.printed import SITUATIONS
from tests.unit.test_layers import CORE, parsed

ELSEWHERE = {
    "inplace._too_far",  # in tests/db/test_convert.py
    "inplace._require_convertible",  # these two in tests/db/plans/test_printed.py
    "inplace._require_unique",
    "obstacles.__str__",  # each obstacle, in tests/db/plans/test_obstacles.py
    "restore.type_differs",  # these three in tests/db/plans/test_printed.py
    "restore._require_rights",
    "own_tables._make",  # in tests/db/console/test_journal.py
}
ERRORS = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, errors.DeskError)}
SQL = re.compile(
    r"\b(?:ALTER|DROP|CREATE|GRANT|REVOKE|COMMENT|REINDEX|TRUNCATE|UPDATE|DELETE|INSERT|VALIDATE|LOCK|SET|SELECT|ANALYZE)"
    r" (?:[A-Z]{2,}\b|\"|\{|\.\.\.)"
)
IN_A_SENTENCE = re.compile(rf"[a-z][.:,;]? {SQL.pattern}")
DOCTOR = "core.doctor."
"""What its checks print is run by a test of its own, which tells a check without one."""
SENTENCES_OF_OUR_OWN = {
    "core.demo",  # runs them itself
    "core.postgres.embedded",  # of a file's head
    "core.postgres.session",
    "core.tables.definition",
}


def text_of(node: ast.expr) -> str:
    """A literal's text, with {} for what is put into it."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)
    return str(node.value) if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def name_of(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    yield from ((node.name, node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def said(node: ast.AST) -> Iterator[ast.expr]:
    """The literals below a node, but for those that `to_run` is given, and those that go to the server."""
    if isinstance(node, ast.Call) and name_of(node) in ("to_run", "exec_driver_sql"):
        return
    if isinstance(node, ast.JoinedStr | ast.Constant):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from said(child)


def is_docstring(tree: ast.Module, literal: ast.expr) -> bool:
    return any(isinstance(node, ast.Expr) and node.value is literal for node in ast.walk(tree))


def test_every_statement_in_a_message_has_its_situation() -> None:
    sites = {
        f"{module.rpartition('.')[2]}.{name}"
        for module, path in CORE.items()
        for name, function in functions(parsed(path))
        if any(isinstance(node, ast.Call) and name_of(node) == "to_run" for node in ast.walk(function))
    }
    assert sites == {situation.site for situation in SITUATIONS.values()} | ELSEWHERE


def test_no_error_holds_sql_in_another_way() -> None:
    found = [
        (module, text_of(literal))
        for module, path in CORE.items()
        for call in ast.walk(parsed(path))
        if isinstance(call, ast.Call) and name_of(call) in ERRORS
        for literal in said(call)
        if SQL.search(text_of(literal))
    ]
    assert found == []


def test_no_sentence_holds_sql_in_another_way() -> None:
    found = [
        (module, text_of(literal))
        for module, path in CORE.items()
        if not module.startswith(DOCTOR) and module not in SENTENCES_OF_OUR_OWN
        for literal in said(parsed(path))
        if IN_A_SENTENCE.search(text_of(literal))
        and not SQL.match(text_of(literal).lstrip())
        and not is_docstring(parsed(path), literal)
    ]
    assert found == []
