"""A plain table is partitioned where it stands: everything that hung on it hangs on its parent, and nobody is held up."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import pytest

from core.names import ident
from tests.db.cli.test_commands import Partitions, partitions  # noqa: F401 a fixture
from tests.db.converted import EVERYTHING, HANGING_ON_IT, fill
from tests.tables import Run

MakeRole = Callable[..., tuple[str, str]]


@pytest.mark.every_version
def test_everything_hangs_on_the_parent(
    partitions: Partitions, run: Run, dump: Callable[[], str], make_role: MakeRole
) -> None:
    owner, granted = make_role(f"owner%{os.getpid()}")[0], make_role(f"reader {os.getpid()}")[0]
    run(f"GRANT CREATE ON SCHEMA public TO {ident(owner)}")
    run(EVERYTHING)
    fill(run)
    run(HANGING_ON_IT.format(owner=ident(owner), reader=ident(granted)))
    run("INSERT INTO excuses SELECT kid_id, date FROM kid_absences LIMIT 40")
    before, rows = dump(), run("SELECT * FROM kid_absences ORDER BY id")
    position = run("SELECT last_value, is_called FROM kid_absences_id_seq")
    done = partitions("convert", "--key", "date", "--every", "1 year", "--table", "kid_absences")
    assert done.code == 0, done.err
    print(done.out, done.err)
    assert run("SELECT * FROM kid_absences ORDER BY id") == rows
    assert run("SELECT last_value, is_called FROM kid_absences_id_seq") == position
    after = dump()
    kept = re.compile(r"(GRANT|CREATE (TRIGGER|POLICY|STATISTICS)|ALTER PUBLICATION|COMMENT ON|.* OWNER TO).*")
    lost = {line for line in before.splitlines() if kept.fullmatch(line)} - set(after.splitlines())
    assert lost == {"COMMENT ON CONSTRAINT kid_absences_pkey ON public.kid_absences IS 'ids';"}  # has a second line
