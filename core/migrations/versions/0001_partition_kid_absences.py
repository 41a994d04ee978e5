"""kid_absences, plain, becomes partitioned by years of its date, and goes back.

`alembic -x key=COLUMN upgrade head` partitions a table (PARTITION_DESK_TABLE) by another column.
"""

from __future__ import annotations

from collections.abc import Iterable

from alembic import context, op

from core.absences import PARTITIONED
from core.migrations.convert import Migration, partition, unpartition
from core.plans.convertible import Target

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _migration() -> Migration:
    migration: Migration = op.get_context().opts["migration"]  # env.py of this project put it there
    return migration


def _tell(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        context.config.print_stdout("%s", sentence)


def upgrade() -> None:
    """Makes the table partitioned, with all its rows."""
    key = context.get_x_argument(as_dictionary=True).get("key")
    other = isinstance(key, str) and key != PARTITIONED.key
    _tell(partition(_migration(), Target(str(key), indexed=True) if other else PARTITIONED))


def downgrade() -> None:
    """Makes the table plain, with the rows of all its partitions; archived ones are left where they are."""
    _tell(unpartition(_migration()))
