"""The command for indexes over a whole tree: index list, create, reindex, drop."""

from __future__ import annotations

from typing import Any

import click

from core.cli.acting import Given, act, put, put_json
from core.cli.options import DRY_RUN, JSON, REASON, command, plain_text
from core.errors import UsageError
from core.plans.index import CreateIndex, DropIndex, Reindex
from core.tables.indexes import TreeIndex, TreeIndexes
from core.text import Json, aligned, human_bytes, shown

_TOLD = """\
list is what is done without a word. create makes the table's index, then builds each partition's CONCURRENTLY and
attaches it; an equal one that is there is used. reindex NAME builds it anew on each, CONCURRENTLY. drop NAME takes it
away from all at once. Whatever is cut short goes on when it is asked for again."""


@command(
    "index", "list the indexes of a table and its partitions, make one on all, build it anew, drop it", epilog=_TOLD
)
@click.argument(
    "what",
    metavar="[list|create|reindex|drop]",
    default="list",
    type=click.Choice(("list", "create", "reindex", "drop")),
)
@click.argument("name", metavar="[NAME]", required=False, type=plain_text)
@click.option("--columns", metavar="'A, B'", type=plain_text, help="create: the columns, as 'kid_id, date DESC'")
@click.option("--unique", is_flag=True, help="create: no two rows are alike in them")
@click.option("--name", "own", metavar="NAME", type=plain_text, default="", help="create: what the table's is called")
@click.option("--invalid", is_flag=True, help="reindex: only where it is not valid")
@REASON
@DRY_RUN
@JSON
def index(
    given: Given,
    *,
    what: str,
    name: str | None,
    columns: str | None,
    unique: bool,
    own: str,
    invalid: bool,
    **said: Any,
) -> None:
    _require_words(what, name, columns, only_created=unique or bool(own), invalid=invalid)
    if what == "list":
        table = given.read()
        tree = given.desk.tree_indexes(table)
        if said["as_json"]:
            put_json({"table": table.address, "indexes": [_json(tree, one) for one in tree.top.indexes]})
        else:
            put(_text(tree))
    elif what == "create":
        act(given, CreateIndex(given.table, columns or "", unique, own), **said)
    elif what == "reindex":
        act(given, Reindex(given.table, name or "", invalid), **said)
    else:
        act(given, DropIndex(given.table, name or ""), **said)


def _require_words(what: str, name: str | None, columns: str | None, *, only_created: bool, invalid: bool) -> None:
    if what == "create" and not columns:
        raise UsageError("An index of which columns?", next="Say them: --columns 'kid_id, date'.")
    if what != "create" and (columns is not None or only_created):
        raise UsageError(f"--columns, --unique and --name go with create, and not with {what}.")
    if what in ("reindex", "drop") and name is None:
        raise UsageError("Which index?", next="Name it; partitions index lists them.")
    if what in ("create", "list") and name is not None:
        raise UsageError(f"{what} takes no name here.", next="A name for a new index is given with --name.")
    if invalid and what != "reindex":
        raise UsageError(f"--invalid goes with reindex, and not with {what}.")


def _json(tree: TreeIndexes, one: TreeIndex) -> Json:
    below = list(tree.below(one))
    attached = {node.oid for node, _ in below}
    return {
        "name": one.name,
        "definition": one.definition,
        "unique": one.unique,
        "constraint": one.constraint,
        "valid": one.valid,
        "partitions": len(below),
        "lacking": [node.name for node in tree.leaves if node.oid not in attached],
        "invalid": [each.name for _, each in below if not each.valid],
        "leftovers": [each.name for node in tree.leaves for each in node.indexes if each.is_leftover],
        "bytes": sum(each.bytes for _, each in below),
    }


def _text(tree: TreeIndexes) -> str:
    if not tree.top.indexes:
        return "The table has no index."
    rows = []
    for one in tree.top.indexes:
        below = list(tree.below(one))
        bad = sum(not each.valid for _, each in below)
        state = "valid" if one.valid and not bad else f"{bad} invalid" if bad else "unfinished"
        words = f"{'UNIQUE ' if one.unique else ''}{one.definition.removeprefix('USING ')}"
        rows.append(
            (
                shown(one.name),
                shown(words),
                "constraint" if one.constraint else "",
                state,
                f"{len(below)} of {len(tree.leaves)}",
                human_bytes(sum(each.bytes for _, each in below)),
            )
        )
    return "\n".join(aligned(("index", "on", "keeps", "state", "partitions", "size"), rows, numbers=2))
