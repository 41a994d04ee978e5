"""The SQL and the steps that several operations share: bounds as conditions, attaching, the DEFAULT's exclusion."""

from __future__ import annotations

from core.names import fit, ident
from core.plans.plan import Lock, Mode, Step
from core.tables.bounds import Bounds, outside
from core.tables.commands import twin
from core.tables.key import Key
from core.tables.table import PartitionedTable
from core.text import human_bytes, plural


def attach(table: PartitionedTable, relation: str, bounds: Bounds) -> str:
    """ALTER TABLE ... ATTACH PARTITION with the bounds."""
    return f"ALTER TABLE {table.sql} ATTACH PARTITION {relation} {bounds.sql}"


def attach_locks(table: PartitionedTable, relation: str) -> tuple[Lock, ...]:
    """What ATTACH takes: weak on the parent, strong on the table, the DEFAULT and what foreign keys join it to."""
    locks = [Lock(table.sql, Mode.SHARE_UPDATE_EXCLUSIVE), Lock(relation, Mode.ACCESS_EXCLUSIVE)]
    if table.default is not None:
        locks.append(Lock(table.default.sql, Mode.ACCESS_EXCLUSIVE))
    others = dict.fromkeys(fk.other for fk in (*table.references, *table.referenced_by))
    return (*locks, *(Lock(other, Mode.SHARE_ROW_EXCLUSIVE) for other in others))


def add_check(relation: str, name: str, condition: str) -> str:
    """ADD CONSTRAINT ... CHECK ... NOT VALID: binds new rows at once and reads no old one."""
    return f"ALTER TABLE {relation} ADD CONSTRAINT {ident(name)} CHECK ({condition}) NOT VALID"


def validate(relation: str, name: str) -> str:
    """VALIDATE CONSTRAINT: reads all rows under SHARE UPDATE EXCLUSIVE; only what the constraint forbids is refused."""
    return f"ALTER TABLE {relation} VALIDATE CONSTRAINT {ident(name)}"


def out_of_default(table: PartitionedTable) -> str:
    """What to do about rows of a DEFAULT partition that keep a range from getting its own, wherever that is told."""
    return (
        f"Move them into partitions of their own, while everybody works: {twin('drain', table)}. Or leave them where"
        " they are: they are read and written there as anywhere else, and none is lost. A plain DELETE is no way: it"
        " fires the ON DELETE actions of tables that refer to this one, which delete or empty their rows, and the"
        " DELETE triggers."
    )


EXCLUSION = "partition_desk_excludes_"
"""How the names begin of the CHECKs that keep a range out of a DEFAULT partition while it gets its own."""


def exclusion_name(label: str) -> str:
    """The name of the CHECK that keeps the range called `label` out of the DEFAULT."""
    return fit(EXCLUSION + label, "")


READ_UNDER_LOCK = 8 * 1024 * 1024
"""How many bytes of a DEFAULT partition ATTACH may read under its lock: some 10 ms, and 80 from a slow disk."""
READ_A_SECOND = 200 * 1024 * 1024
"""How many bytes of a table a server surely reads in a second."""


def is_excluded(table: PartitionedTable, label: str) -> bool:
    """Whether a CHECK keeps the range called `label` out of the DEFAULT while it is attached.

    Without one ATTACH reads the DEFAULT under its lock, which holds everybody up; with one the rows of the range that
    others write meanwhile fail. So a small DEFAULT is read under the lock, a large one proven before.
    """
    default = table.default
    if default is None:
        return False
    left = any(check.name == exclusion_name(label) for check in default.checks)
    return left or default.read_through is None or default.read_through > READ_UNDER_LOCK


def exclude_from_default(table: PartitionedTable, key: Key, bounds: Bounds, label: str) -> tuple[Step, ...]:
    """Steps that prove that a large DEFAULT holds none of a range, so that ATTACH need not read it under its lock."""
    default = table.default
    if default is None or not is_excluded(table, label):
        return ()
    name = exclusion_name(label)
    present = next((check for check in default.checks if check.name == name), None)
    drop = f"ALTER TABLE {default.sql} DROP CONSTRAINT {ident(name)}"
    if present is not None and present.validated:
        return ()
    again = () if present is None else (drop,)  # so that it is this plan's to take back
    return (
        Step(
            f"Refuse new rows of {label} in the DEFAULT partition {default.name} while it is read through",
            (*again, add_check(default.sql, name, outside(key, bounds))),
            (Lock(default.sql, Mode.ACCESS_EXCLUSIVE),),
            undo=(drop,),
        ),
        Step(
            f"Check that {default.name} holds no row of {label}",
            (validate(default.sql, name),),
            (Lock(default.sql, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False),),
            refuses=True,
        ),
    )


def readmit_to_default(table: PartitionedTable, label: str) -> tuple[str, ...]:
    """The statement that takes the CHECK of `exclude_from_default` away again, for the attaching transaction."""
    if table.default is None or not is_excluded(table, label):
        return ()
    return (f"ALTER TABLE {table.default.sql} DROP CONSTRAINT {ident(exclusion_name(label))}",)


def default_meanwhile(table: PartitionedTable, *labels: str) -> tuple[str, ...]:
    """What becomes of rows of these ranges while the DEFAULT is read for each, and for how long."""
    default = table.default
    refused = [label for label in labels if is_excluded(table, label)]
    if default is None or not refused:
        return ()
    rows = "" if default.rows is None else f", about {plural(default.rows, 'row')}"
    size = "" if default.read_through is None else f" ({human_bytes(default.read_through)}{rows})"
    seconds = max(1, round((default.read_through or 0) / READ_A_SECOND))
    long = f"for about {plural(seconds, 'second')}" if default.read_through else "for as long as that takes"
    each = "" if len(refused) == 1 else ", each in its turn"
    return (
        f"While {default.name}{size} is read through, {long}{each}, new rows of {', '.join(refused)} fail; they go to"
        f" {default.name} now. Other reads and writes go on. If it gives up they are let in again; if it is killed, the"
        " Doctor tells what still keeps them out, and asking again finishes it.",
    )


def prove_bounds(relation: str, name: str, below: tuple[Lock, ...] = ()) -> Step:
    """VALIDATE of the CHECK that says the bounds, of a branch on all `below` it."""
    return Step(
        "Prove the bounds, so that reattaching reads no row",
        (validate(relation, name),),
        (Lock(relation, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False), *below),
    )


def check_name(table_name: str, key: Key, taken: tuple[str, ...]) -> str:
    """The name of a new CHECK of the bounds, that none of `taken` is."""
    stem = f"{table_name}_{key.column or 'key'}"
    names = (fit(stem, f"_check{number or ''}") for number in range(len(taken) + 1))
    return next(name for name in names if name not in taken)
