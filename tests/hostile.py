"""Two hundred names and texts that anybody may have chosen, and what of them must not come alive in a page."""

from __future__ import annotations

import itertools
import re
from datetime import date, timedelta

from sqlalchemy import Engine

from core.console.actor import Actor, Origin
from core.names import ident, literal
from core.plans.archive import plan_archive
from core.plans.operation import Role
from core.tables.catalog.table import read_table
from tests import desks
from tests.tables import Run

ALIVE = (
    "<script>evil()</script>",
    "<img src=x onerror=evil()>",
    "<b>evil</b>",
    "<a href='//evil.test'>x</a>",
    "[evil](http://evil.test)",
    "![evil](http://evil.test/p)",
    "[evil](javascript:evil())",
    "http://evil.test/x",
    "www.evil.test",
    "evil@evil.test",
    "**evil**",
    "`evil`",
    "~~evil~~",
    "$evil$",
    ":red[evil]",
    ":material/home:",
    ":orange-badge[evil]",
    "## evil",
    "&lt;evil&gt;",
)
"""Each of them does something in a page where it stands as it is."""
_ODD = (
    "=evil()",
    "+evil|' /C calc'!A0",
    "@evil",
    "-2+3",
    "%s %(evil)s",
    "{evil} {0}",
    "\\evil\\",
    'evil"";--',
    "evil'; DROP TABLE x;--",
    "evil\r\nBcc: evil",
    "evil\tx\x1b[31mred\x07",
    "\u202eevil\u2066",
    "evil\u200b\u00ad",
    "evil \N{PILE OF POO}\N{FAMILY}",
    "$(evil) `evil` && evil",
    "../../evil",
    "evil\x7f\x85\u2028",
)
_ROUND = ("{}", "{} x", "a {} b", "({})", "{}2024", "_{}_", "'{}'")


def names(count: int = 200) -> list[str]:
    """So many different names of 63 bytes at most, each with one of what is to stay a text."""
    made = dict.fromkeys(cut(shape.replace("{}", text)) for shape, text in itertools.product(_ROUND, (*ALIVE, *_ODD)))
    return list(made)[:count]


def cut(text: str) -> str:
    """As much of a text as an identifier holds."""
    return text.encode()[:63].decode(errors="ignore")


def make(run: Run, worker: Engine, count: int) -> list[str]:
    """A table of a hostile name with as many days of hostile names and comments, two archived for hostile reasons.

    Returns the names, the table's first.
    """
    parent, *found = names(count + 1)
    table, first = ident(parent), date.today() - timedelta(days=count - 1)
    run(f"CREATE TABLE {table} (id bigint, {ident(found[3])} text, day date NOT NULL) PARTITION BY RANGE (day)")
    for number, name in enumerate(found):
        day = first + timedelta(days=number)
        run(
            f"CREATE TABLE {ident(name)} PARTITION OF {table} FOR VALUES FROM ('{day}') TO ('{day + timedelta(1)}');"
            f"COMMENT ON TABLE {ident(name)} IS {literal(name)}"
        )
    run(f"COMMENT ON TABLE {table} IS {literal(ALIVE[0])}")
    for name, reason in ((found[0], ALIVE[0]), (found[4], ALIVE[4])):
        plan = plan_archive(read_table(worker, f"public.{table}"), name, now=desks.desk(worker).now)
        desks.desk(worker).run(plan, Actor("Ada", Role.ADMIN, Origin.COMMAND_LINE), reason)
    return [parent, *found]


def alive(markdown: str) -> list[str]:
    """What of it stands in Markdown as it is, where it would come alive."""
    without_code = re.sub(r"(?s)(`{1,3})[^`].*?\1", "", markdown)
    return [text for text in ALIVE if text in (markdown if text == "`evil`" else without_code)]


def unprintable(text: str) -> str:
    """What a terminal would take for something else."""
    return "".join(sorted({letter for letter in text if not letter.isprintable() and letter != "\n"}))
