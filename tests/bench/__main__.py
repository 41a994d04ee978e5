"""Measures, in one run on real servers, what README.md claims: Partition Desk against the procedure's own SQL.

python -m tests.bench [--quick] [--only NAME ...] [--markdown]
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import time
from collections.abc import Callable
from datetime import date
from types import FrameType

from tests.bench import backup, catalog, convert, moves, page, partsmith, reattach, scale, stalls, startup
from tests.bench.report import Table
from tests.bench.server import SETTINGS, bench_server
from tests.servers import connect
from tests.tables import runner

NAMES = ("archive", "ensure", "reattach", "moves", "backup", "catalog", "page", "startup", "convert", "scale")
LIMIT_S = 25 * 60
"""When the whole of it ends by itself, whatever it waits for."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one run each, small tables: to see that it works")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--markdown", action="store_true", help="tables for README.md")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGALRM, _stop)
    signal.alarm(LIMIT_S)
    begun = time.monotonic()
    tables: list[Table] = []
    with bench_server() as server:
        where = _where(server)
        for case in _cases(set(options.only), options.quick):
            tables += case(server)
    print(f"{where}\n")
    for table in tables:
        print(f"{table.markdown() if options.markdown else table.plain()}\n")
    missed = sum(not target.reached for table in tables for target in table.targets)
    reached = sum(target.reached for table in tables for target in table.targets)
    print(f"{reached} targets reached, {missed} not reached, in {time.monotonic() - begun:.0f} s.")
    if options.quick:
        print("A quick run shows that it works; its figures are of small tables and single runs.")
    print("To repeat: make bench, or a part of it: .venv/bin/python -m tests.bench --only archive ensure")


def _stop(number: int, frame: FrameType | None) -> None:
    """Ends through every `with`, so that servers stop and folders go."""
    raise SystemExit(f"stopped by {signal.Signals(number).name}")


def _cases(names: set[str], quick: bool) -> list[Callable[[str], tuple[Table, ...]]]:
    cases: list[Callable[[str], tuple[Table, ...]]] = []
    if names & {"archive", "ensure"}:
        cases.append(lambda server: _stalls(server, 1 if quick else 5, names))
    if "reattach" in names:
        sizes = (10_000, 100_000) if quick else (100_000, 1_000_000, 5_000_000)
        cases.append(lambda server: reattach.measure_reattach(server, 1 if quick else 5, sizes, sizes[-1] * 2 // 5))
    if "moves" in names:
        cases.append(lambda server: moves.measure_moves(server, 50_000 if quick else 1_000_000))
    if "backup" in names:
        cases.append(lambda server: backup.measure_backup(server, 1 if quick else 3, 100_000 if quick else 5_000_000))
    if "catalog" in names:
        cases.append(lambda server: catalog.measure_catalog(server, (4,) if quick else (20, 200), 3 if quick else 9))
    if "page" in names:
        cases.append(lambda server: page.measure_page(server, 4 if quick else 200, 3 if quick else 9))
    if "startup" in names:
        cases.append(lambda server: startup.measure_startup(server, 100 if quick else 300))
    if "convert" in names:
        cases.append(lambda server: convert.measure_convert(server, 100_000 if quick else 5_000_000))
    if "scale" in names:
        sizes = (200, 500, 4, 50) if quick else (10_000, 50_000, 40, 650)
        cases.append(lambda _: scale.measure_scale(*sizes))
    return cases


def _stalls(server: str, runs: int, names: set[str]) -> tuple[Table, ...]:
    with partsmith.installed() as theirs:
        return stalls.measure_stalls(server, runs, names, theirs)


def _where(server: str) -> str:
    connection = connect(server)
    version = runner(connection)("SHOW server_version")[0][0]
    connection.close()
    return (
        f"{date.today()}, {platform.system()} {platform.machine()}, {os.cpu_count()} processors, Python"
        f" {platform.python_version()}, PostgreSQL {version} ({SETTINGS})"
    )


if __name__ == "__main__":
    main()
