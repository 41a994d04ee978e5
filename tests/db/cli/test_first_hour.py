"""README's first hour as it stands there, by a role that may connect and nothing else; the database stays as it was."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

from tests.road import Road
from tests.tables import Made, Run

README = Path(__file__).parents[3] / "README.md"


def catalog(run: Run) -> object:
    return run("SELECT nspname, relname, relacl::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
               " WHERE nspname !~ '^pg_' ORDER BY 1, 2")  # fmt: skip


def test_every_command_of_it_runs(
    road: Road, make_table: Callable[..., Made], make_role: Callable[..., tuple[str, str]], run: Run, tmp_path: Path
) -> None:
    make_table()
    _, url = make_role()
    before = catalog(run)
    (block,) = re.findall(r"(?s)## Your first hour.*?```\n(.*?)```", README.read_text())
    lines = [shlex.split(line, comments=True) for line in block.splitlines() if line.startswith("partitions ")]
    assert len(lines) == 7
    for _, *words in lines:
        asked = [str(tmp_path / word) if word == "growth.html" else word for word in words]
        asked = asked[: asked.index(">")] if ">" in asked else asked
        ended = road(*asked, url=url)
        assert (ended.code, bool(ended.out)) == (0, True), (words, ended)
    assert (tmp_path / "growth.html").exists()
    assert catalog(run) == before
