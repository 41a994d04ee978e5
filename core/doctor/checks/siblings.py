"""Whether the partitions are alike in what stands on each of them: what guards their rows, sends and keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from core.doctor.findings import Case, Finding, Severity, script
from core.names import qualified
from core.plans.equip import mended, taken_back
from core.tables.equipment import GUARDS, Equipped, Kind, Trait, in_order
from core.text import listed, plural

Mend = Callable[[tuple[Trait, ...], Equipped], Iterator[str]]

MOST_STATEMENTS = 20
"""For how many partitions a finding prints what puts them right."""

_WHY = {
    Kind.SECURITY: "Whoever may read such a partition itself sees every row of it.",
    Kind.POLICY: "Other rows are seen in it than in the rest.",
    Kind.KEY: "The same key can be written there twice.",
    Kind.UNIQUE_INDEX: "The same key can be written there twice.",
    Kind.FOREIGN_KEY: "Rows can be written there that refer to nothing.",
    Kind.CHECK: "Rows can be written there that are refused elsewhere.",
    Kind.NOT_NULL: "Rows can be written there that are refused elsewhere.",
    Kind.TRIGGER: "What the trigger does is not done for its rows.",
    Kind.CONSTRAINT_TRIGGER: "What the trigger does is not done for its rows.",
    Kind.TRIGGER_STATE: "A trigger of the table does not fire there as elsewhere.",
    Kind.IDENTITY: "Its updates and deletes are sent otherwise than those of the rest, or fail where it is published.",
    Kind.GRANT: "Whoever names it itself may do less, or more, than with the rest.",
    Kind.PUBLICATION: "Its changes do not reach the subscribers as those of the rest do.",
}


def siblings(case: Case) -> Iterator[Finding]:
    """WARNING where some lack what at least half of them have, or are UNLOGGED; NOTE for what the newest differ in.

    What guards rows is compared over the newest thousand of them. Places, storage and other indexes may change with
    age, so that these are compared of the newest alone.
    """
    if case.equipped is None:
        title = "The partitions could not be compared just now: somebody holds one of them locked"
        yield Finding("siblings", Severity.NOTE, title)
        return
    found = [*_drift(case), *_unlogged(case), *_odd(case)]
    if not found:
        number = plural(len(case.equipped), "partition")
        title = f"The newest {number} are alike in row security, keys, triggers, rights and the like"
        found.append(Finding("siblings", Severity.OK, title))
    yield from found


def _drift(case: Case) -> Iterator[Finding]:
    every = case.equipped or ()
    lacking: dict[tuple[Equipped, ...], list[Trait]] = {}
    surplus: dict[tuple[Equipped, ...], list[Trait]] = {}
    for trait, holders in _holders(every):
        others = tuple(one for one in every if one.oid not in holders)
        if others and len(holders) >= len(others):
            lacking.setdefault(others, []).append(trait)
        elif others and trait.kind is Kind.GRANT:
            surplus.setdefault(tuple(one for one in every if one.oid in holders), []).append(trait)
    for some, traits in lacking.items():
        verb = "lacks" if len(some) == 1 else "lack"
        yield _differing(case, some, traits, f"{verb} what others have", mended)
    for some, traits in surplus.items():
        verb = "gives" if len(some) == 1 else "give"
        yield _differing(case, some, traits, f"{verb} what most of the others don't", taken_back)


def _holders(every: Iterable[Equipped]) -> Iterator[tuple[Trait, frozenset[int]]]:
    """Whatever guards rows, and the oids of the partitions that have it."""
    having: dict[Trait, set[int]] = {}
    for one in every:
        for trait in one.traits:
            if trait.kind in GUARDS and not trait.inherited and not (trait.kind is Kind.CHECK and trait.lacks):
                having.setdefault(trait, set()).add(one.oid)
    yield from ((trait, frozenset(holders)) for trait, holders in having.items())


def _differing(case: Case, some: tuple[Equipped, ...], traits: list[Trait], verb: str, mend: Mend) -> Finding:
    ordered = in_order(traits)
    lines = [line for one in some[:MOST_STATEMENTS] for line in mend(ordered, one)]
    more = len(some) - MOST_STATEMENTS
    rest = (f"-- and the same for {more:,} more",) if lines and more > 0 else ()
    return Finding(
        "siblings",
        Severity.WARNING,
        f"{listed(one.name for one in some)} {verb}: {listed((trait.said for trait in ordered), most=10)}",
        " ".join(dict.fromkeys(_WHY[trait.kind] for trait in ordered if trait.kind in _WHY)),
        hint="\n".join((script(*lines), *rest)) if lines else "",
        subject=_subject(case, some),
    )


def _unlogged(case: Case) -> Iterator[Finding]:
    some = tuple(one for one in case.equipped or () if any(trait.kind is Kind.UNLOGGED for trait in one.traits))
    if some:
        are = "is" if len(some) == 1 else "are"
        yield Finding(
            "siblings",
            Severity.WARNING,
            f"{listed(one.name for one in some)} {are} UNLOGGED: the rows are gone after a crash",
            "A standby has none of them, and neither has a backup of the server's files. SET LOGGED writes the whole"
            " table anew, while its reads and writes wait.",
            hint=script(
                *(f"ALTER TABLE {qualified(one.schema, one.name)} SET LOGGED" for one in some[:MOST_STATEMENTS])
            ),
            subject=_subject(case, some),
        )


def _odd(case: Case) -> Iterator[Finding]:
    """What the newest partitions differ in and nothing above tells of."""
    apart = [
        f"{listed(one.having)}: {one.trait.said}"
        for one in case.table.equipment.apart
        if one.trait.kind not in (*GUARDS, Kind.UNLOGGED, Kind.COMMENT)
    ]
    if apart:
        yield Finding(
            "siblings",
            Severity.NOTE,
            f"The newest partitions differ: {listed(apart)}",
            "A new partition gets only what the newest two share.",
        )


def _subject(case: Case, some: tuple[Equipped, ...]) -> str:
    one = case.table.by_oid(some[0].oid) if len(some) == 1 else None
    return case.table.called(one) if one is not None else ""
