"""The floors: a module imports from lower floors only, and none of its neighbours (see CONTRIBUTING.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FLOORS: tuple[tuple[str, ...], ...] = (
    ("core", "core.errors", "core.text"),
    ("core.names", "core.period", "core.growth.forecast"),
    ("core.tables.bounds", "core.tables.definition"),
    ("core.tables.model", "core.plans.manifest", "core.tables.fingerprint"),
    ("core.plans.plan",),
    ("core.plans.steps", "core.console.actor", "core.tables.rebuild"),
    (
        "core.operations",
        "core.plans.archive",
        "core.plans.ensure",
        "core.plans.backup",
        "core.plans.drop",
        "core.plans.convert",
    ),
    ("core.doctor.findings",),
    (
        "core.checks",
        "core.doctor.checks.archived",
        "core.doctor.checks.backups",
        "core.doctor.checks.coverage",
        "core.doctor.checks.server",
        "core.doctor.checks.shape",
    ),
    ("core.doctor.examine", "core.growth.outlook"),
    ("core.settings", "core.postgres.connection", "core.postgres.embedded", "core.console.locks"),
    (
        "core.tables.catalog.table",
        "core.console.journal",
        "core.tables.catalog.definition",
        "core.backups.standalone",
        "core.backups.storage",
        "core.growth.samples",
        "core.backups.streams",
        "core.postgres.programs",
    ),
    ("core.backups.backup", "core.console.execute", "core.tables.find", "core.console.prepare", "core.growth.sampling"),
    ("core.growth.daily", "core.growth.reading"),
    ("core.console.worker", "core.console.metrics", "core.migrations", "core.cli.printed"),
    ("core.absences", "core.console.cold", "core.growth.words", "core.migrations.convert"),
    ("core.demo", "core.migrations.env", "core.growth.report"),
    ("core.cli.acting",),
    ("core.cli.backups", "core.cli.growth"),
    ("core.cli.main",),
    ("core.__main__",),
)
"""From the ground up."""

FLOOR = {module: number for number, modules in enumerate(FLOORS) for module in modules}
TOP = len(FLOORS)
PURE = FLOOR["core.doctor.examine"]
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
    """Every module that a file imports, wherever in it; `from core import jobs` is core.console.worker."""
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
    "module", [name for name in DASHBOARD if name not in ("dashboard.state.session", "dashboard.__main__")]
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
