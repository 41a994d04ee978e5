"""The floors: a module imports from lower floors only, and none of its neighbours (see CONTRIBUTING.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FLOORS: tuple[tuple[str, ...], ...] = (
    ("core", "core.errors", "core.text"),
    ("core.names", "core.period", "core.trend"),
    ("core.bounds", "core.anatomy"),
    ("core.model", "core.manifest", "core.fingerprint"),
    ("core.plan",),
    ("core.ddl", "core.actor", "core.rebuild"),
    (
        "core.operations",
        "core.operations.archive",
        "core.operations.ensure",
        "core.operations.cold",
        "core.operations.drop",
        "core.operations.migrate",
    ),
    ("core.findings",),
    (
        "core.checks",
        "core.checks.archived",
        "core.checks.backups",
        "core.checks.coverage",
        "core.checks.server",
        "core.checks.shape",
    ),
    ("core.doctor", "core.growth"),
    ("core.settings", "core.database", "core.embedded", "core.locks"),
    (
        "core.catalog",
        "core.journal",
        "core.definition",
        "core.lone",
        "core.place",
        "core.samples",
        "core.streams",
        "core.tools",
    ),
    ("core.backup", "core.execute", "core.find", "core.prepare", "core.sampling"),
    ("core.daily", "core.growing"),
    ("core.jobs", "core.metrics", "core.migrations", "core.printed"),
    ("core.absences", "core.cold", "core.growth_printed", "core.migrations.convert"),
    ("core.demo", "core.migrations.env", "core.report"),
    ("core.desk",),
    ("core.cold_commands", "core.growth_commands"),
    ("core.cli",),
    ("core.__main__",),
)
"""From the ground up."""

FLOOR = {module: number for number, modules in enumerate(FLOORS) for module in modules}
TOP = len(FLOORS)
PURE = FLOOR["core.doctor"]
"""Up to here the standard library alone, besides core itself."""
PAGES_MAY = (
    "bounds", "errors", "find", "findings", "growing", "growth", "journal", "manifest", "model", "operations", "period",
    "plan", "text", "trend",
)  # fmt: skip
"""What of core a page may name: values and pure functions, and the values that find and journal give."""
ENGINES = ("sqlalchemy", "psycopg2")


def modules(package: str) -> dict[str, Path]:
    """The modules below a package by name, without Alembic's revisions, which nobody imports."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if "versions" not in parts:
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


CORE, DASHBOARD = modules("core"), modules("dashboard")


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Every module that a file imports, wherever in it; `from core import jobs` is core.jobs."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name for name in inner if name in known)
            if not all(name in known for name in inner):
                yield node.module


def named(names: Iterator[str], *packages: str) -> list[str]:
    return sorted({name for name in names if name.split(".")[0] in packages})


def test_every_module_has_its_floor() -> None:
    assert sorted(FLOOR) == sorted(CORE)


@pytest.mark.parametrize("module", list(CORE))
def test_only_lower_floors_are_imported(module: str) -> None:
    upward = [
        name for name in named(imports(CORE[module], CORE), "core") if FLOOR.get(name, TOP) >= FLOOR.get(module, TOP)
    ]
    assert upward == []


@pytest.mark.parametrize("module", [name for name in CORE if FLOOR.get(name, TOP) <= PURE])
def test_the_pure_floors_know_the_standard_library_alone(module: str) -> None:
    foreign = named(imports(CORE[module], CORE), *ENGINES, "streamlit", "pandas", "altair", "alembic", "psutil")
    assert foreign == []


@pytest.mark.parametrize("module", list(CORE))
def test_core_knows_no_page(module: str) -> None:
    assert named(imports(CORE[module], CORE), "streamlit", "dashboard", "altair", "pandas", "tests") == []


@pytest.mark.parametrize(
    "module", [name for name in DASHBOARD if name not in ("dashboard.session", "dashboard.__main__")]
)
def test_only_the_session_touches_a_database(module: str) -> None:
    assert named(imports(DASHBOARD[module], DASHBOARD), *ENGINES) == []


@pytest.mark.parametrize("module", [name for name in DASHBOARD if name.startswith("dashboard.app_pages")])
def test_pages_read_through_the_session_and_act_through_the_dialog(module: str) -> None:
    core = named(imports(DASHBOARD[module], CORE | DASHBOARD), "core")
    assert [name for name in core if name.split(".")[1] not in PAGES_MAY] == []


@pytest.mark.parametrize("module", [name for name in DASHBOARD if name.startswith("dashboard.app_pages")])
def test_pages_know_no_other_page(module: str) -> None:
    others = named(imports(DASHBOARD[module], CORE | DASHBOARD), "dashboard")
    assert [name for name in others if name.startswith("dashboard.app_pages.")] == []


@pytest.mark.parametrize("module", list(CORE | DASHBOARD))
def test_every_module_says_in_a_sentence_what_it_is_for(module: str) -> None:
    sentence = ast.get_docstring(ast.parse((CORE | DASHBOARD)[module].read_text()))
    assert sentence
    assert sentence.split("\n\n")[0].rstrip().endswith((".", ":")) or len(sentence) > 40


FORBIDDEN = {
    "except Exception": "name what can be raised",
    "unsafe_allow_html": "names in a database are not ours",
    "import pickle": "a file of somebody's",
    "CASCADE": "destroys what nobody named",
}


@pytest.mark.parametrize("words", list(FORBIDDEN))
def test_what_is_never_written(words: str) -> None:
    assert [name for name, path in (CORE | DASHBOARD).items() if words in path.read_text()] == [], FORBIDDEN[words]
