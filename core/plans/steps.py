"""The SQL and the steps that several operations share: bounds as conditions, attaching, the DEFAULT's exclusion."""

from __future__ import annotations

from core.names import fit, ident
from core.plans.plan import Lock, Mode, Step
from core.tables.bounds import Bounds, outside
from core.tables.key import Key
from core.tables.table import PartitionedTable


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
    """VALIDATE CONSTRAINT: reads all rows under SHARE UPDATE EXCLUSIVE, so that reads and writes go on."""
    return f"ALTER TABLE {relation} VALIDATE CONSTRAINT {ident(name)}"


LEAVE_IN_DEFAULT = (
    "Leave those rows where they are: they are read and written there as anywhere else, and none is lost. This console"
    " has no safe way yet to move them, and a plain DELETE is none: it fires the ON DELETE actions of tables that refer"
    " to this one, which delete or empty their rows, and the DELETE triggers. Ask your DBA if they have to move."
)
"""What to do about rows of a DEFAULT partition that keep a range from getting its own, wherever that is told."""

EXCLUSION = "partition_desk_excludes_"
"""How the names begin of the CHECKs that keep a range out of a DEFAULT partition while it gets its own."""


def exclusion_name(label: str) -> str:
    """The name of the CHECK that keeps the range called `label` out of the DEFAULT."""
    return fit(EXCLUSION + label, "")


def exclude_from_default(table: PartitionedTable, key: Key, bounds: Bounds, label: str) -> tuple[Step, ...]:
    """Steps that prove that the DEFAULT holds none of a range, so that ATTACH need not read it under its lock."""
    default = table.default
    if default is None:
        return ()
    name = exclusion_name(label)
    present = next((check for check in default.checks if check.name == name), None)
    drop = f"ALTER TABLE {default.sql} DROP CONSTRAINT {ident(name)}"
    steps = []
    if present is None:
        steps.append(
            Step(
                f"Keep {label} out of the DEFAULT partition {default.name}",
                (add_check(default.sql, name, outside(key, bounds)),),
                (Lock(default.sql, Mode.ACCESS_EXCLUSIVE),),
                undo=(drop,),
            )
        )
    if present is None or not present.validated:
        steps.append(
            Step(
                f"Check that {default.name} holds no row of {label}",
                (validate(default.sql, name),),
                (Lock(default.sql, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False),),
            )
        )
    return tuple(steps)


def readmit_to_default(table: PartitionedTable, label: str) -> tuple[str, ...]:
    """The statement that takes the CHECK of `exclude_from_default` away again, for the attaching transaction."""
    if table.default is None:
        return ()
    return (f"ALTER TABLE {table.default.sql} DROP CONSTRAINT {ident(exclusion_name(label))}",)
