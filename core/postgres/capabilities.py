"""What a server can do, asked of the server itself: a version that is not known yet answers as well as an old one."""

from __future__ import annotations

from dataclasses import dataclass

from core.names import literal
from core.postgres.session import Row


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this server can do, and what the connected role can do there."""

    concurrent_detach: bool = True
    """DETACH ... CONCURRENTLY (14), and a partition that is left detach pending by one; see `refuses_detach`."""
    narrow_publications: bool = True
    """Columns and conditions of a publication's table (15)."""
    named_not_null: bool = True
    """NOT NULL as a constraint with a name, and generated columns that are not stored (18)."""
    superuser: bool = False
    provider: str = ""
    """Who runs it, where there is no superuser to be had and no file to be reached: "Amazon RDS"."""
    citus: str = ""
    """The version of Citus in this database, where tables may be distributed over other servers."""

    @property
    def lock_budget(self) -> str:
        """What comes before SET LOCAL lock_timeout, so that it holds wherever the transaction waits.

        Citus sends SET LOCAL to its workers only where it is told to; without it a statement waits there for ever,
        with everybody behind it.
        """
        return "SET LOCAL citus.propagate_set_commands = 'local'; " if self.citus else ""


_COLUMNS = {
    "concurrent_detach": ("pg_inherits", "inhdetachpending"),
    "narrow_publications": ("pg_publication_rel", "prqual"),
    "named_not_null": ("pg_constraint", "conenforced"),
}
"""The column of the catalog that came with each."""

# By a role or function that each of them has and that nobody needs to have elsewhere: it is shown, and decides nothing.
_PROVIDERS = (
    ("Amazon Aurora", "EXISTS (SELECT 1 FROM pg_catalog.pg_proc WHERE proname = 'aurora_version')"),
    *(
        (name, f"EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = {literal(role)})")
        for name, role in (
            ("Amazon RDS", "rds_superuser"),
            ("AlloyDB", "alloydbsuperuser"),
            ("Cloud SQL", "cloudsqlsuperuser"),
            ("Azure Database", "azure_pg_admin"),
        )
    ),
)

CAPABILITIES = ",\n    ".join(
    (
        *(
            f"EXISTS (SELECT 1 FROM pg_catalog.pg_attribute WHERE attrelid = 'pg_catalog.{table}'::regclass"
            f" AND attname = '{column}') AS {name}"
            for name, (table, column) in _COLUMNS.items()
        ),
        "(SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AS superuser",
        "(SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'citus') AS citus",
        f"CASE {' '.join(f'WHEN {sign} THEN {literal(name)}' for name, sign in _PROVIDERS)} ELSE '' END AS provider",
    )
)
"""Columns of a query that tell them all."""


def capabilities_of(row: Row) -> Capabilities:
    return Capabilities(
        concurrent_detach=row.concurrent_detach,
        narrow_publications=row.narrow_publications,
        named_not_null=row.named_not_null,
        superuser=row.superuser,
        provider=row.provider,
        citus=row.citus or "",
    )
