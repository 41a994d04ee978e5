"""The layers: a package imports from itself and from those before it.

ground -> postgres -> tables -> plans -> rules -> backups, doctor -> growth -> console -> cli, dashboard
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LAYERS = ("ground", "postgres", "tables", "plans", "rules", "backups", "doctor", "growth", "console", "edges")
GROUND = ("errors", "names", "period", "seal", "settings", "targets", "text")
"""The modules that stand beside the packages, at the bottom."""
EDGES = ("absences", "cli", "database", "demo", "migrations", "school", "__main__")
"""What programs and people meet: nothing in core but themselves imports them."""
PURE = ("ground", "plans", "rules", "doctor")
"""Layers of the standard library alone, besides core itself."""
PAGES_MAY = ("errors", "names", "period", "text", "tables", "plans", "rules", "doctor", "growth", "console.journal")
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
INNER = [name for name in CORE if name != "core"]
"""All but core itself, which is empty."""


def layer(module: str) -> str:
    """The layer of a module of core."""
    noun = module.split(".")[1]
    return "ground" if noun in GROUND else "edges" if noun in EDGES else noun


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Every module that a file imports, wherever in it; `from core.console import worker` is core.console.worker."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name for name in inner if name in known)
            if not all(name in known for name in inner):
                yield node.module


def named(names: Iterator[str], *packages: str) -> list[str]:
    return sorted({name for name in names if name.split(".")[0] in packages})


def test_every_module_has_its_layer() -> None:
    assert [name for name in INNER if layer(name) not in LAYERS] == []


@pytest.mark.parametrize("module", INNER)
def test_a_package_imports_from_itself_and_from_those_before_it(module: str) -> None:
    mine = LAYERS.index(layer(module))
    inner = [name for name in named(imports(CORE[module], CORE), "core") if name != "core"]
    assert [name for name in inner if LAYERS.index(layer(name)) > mine] == []


@pytest.mark.parametrize("module", [name for name in INNER if layer(name) in PURE])
def test_the_pure_layers_know_the_standard_library_alone(module: str) -> None:
    foreign = named(imports(CORE[module], CORE), *ENGINES, "streamlit", "pandas", "altair", "alembic", "psutil")
    assert foreign == []


@pytest.mark.parametrize("module", list(CORE))
def test_core_knows_no_page(module: str) -> None:
    assert named(imports(CORE[module], CORE), "streamlit", "dashboard", "tests") == []


@pytest.mark.parametrize(
    "module", [name for name in DASHBOARD if not name.startswith("dashboard.state") and name != "dashboard.__main__"]
)
def test_only_the_state_touches_a_database(module: str) -> None:
    assert named(imports(DASHBOARD[module], DASHBOARD), *ENGINES) == []


@pytest.mark.parametrize("module", [name for name in DASHBOARD if name.startswith("dashboard.app_pages")])
def test_pages_read_through_the_session_and_act_through_the_dialog(module: str) -> None:
    core = named(imports(DASHBOARD[module], CORE | DASHBOARD), "core")
    allowed = tuple(f"core.{noun}" for noun in PAGES_MAY)
    assert [name for name in core if not any(f"{name}.".startswith(f"{noun}.") for noun in allowed)] == []


@pytest.mark.parametrize("module", [name for name in DASHBOARD if name.startswith("dashboard.app_pages")])
def test_pages_know_no_other_page(module: str) -> None:
    others = named(imports(DASHBOARD[module], CORE | DASHBOARD), "dashboard")
    assert [name for name in others if name.startswith("dashboard.app_pages.")] == []


@pytest.mark.parametrize("module", list(CORE | DASHBOARD))
def test_every_module_says_in_a_sentence_what_it_is_for(module: str) -> None:
    sentence = ast.get_docstring(parsed((CORE | DASHBOARD)[module]))
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
