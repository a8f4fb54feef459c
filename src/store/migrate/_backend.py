"""
yoyo's record of what was applied, on one ready connection and in a schema of its own.
"""

# yoyo has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import socket
import uuid
from datetime import UTC, datetime
from typing import Any, Protocol

import psycopg
from psycopg import sql
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend

from store.errors import MigrationHistoryError
from store.migrate._report import STATE_SCHEMA, user_name

_TABLES = frozenset({"_yoyo_migration", "_yoyo_log", "_yoyo_version", "yoyo_lock"})
_YOYO_VERSION = 2
_LIST = """
    SELECT c.relname FROM pg_catalog.pg_class AS c
    WHERE c.relnamespace = (SELECT n.oid FROM pg_catalog.pg_namespace AS n WHERE n.nspname = %s) AND c.relkind IN ('r', 'p')
"""


class Known(Protocol):
    """
    What yoyo records of a migration: one of ours or of its own.
    """

    @property
    def id(self) -> str:
        """
        Its name.
        """
        ...

    @property
    def hash(self) -> str:
        """
        The hash of its name.
        """
        ...


class Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo has no types
    """
    What yoyo knows of a database, through one autocommit connection that is ready and locked.

    yoyo's own lock is a row that outlives a killed process; it is not used.
    """

    _is_locked = True

    def __init__(self, connection: psycopg.Connection[Any], schema: str = STATE_SCHEMA) -> None:
        self._ready = connection
        self.state_schema = schema
        super().__init__("a connection, not a URI", "_yoyo_migration")

    def connect(self, dburi: Any) -> psycopg.Connection[Any]:  # noqa: ARG002 (the signature is yoyo's)
        """
        Return the connection this backend was made with.
        """
        return self._ready

    def quote_identifier(self, s: str) -> str:
        """
        Return the name quoted, and qualified where it is a table of yoyo's: search_path is empty.
        """
        quoted: str = super().quote_identifier(s)
        return f"{super().quote_identifier(self.state_schema)}.{quoted}" if s in _TABLES else quoted

    def list_tables(self, **_: Any) -> list[str]:
        """
        Return the names of the state tables, whatever the role may see.
        """
        return [row[0] for row in self._ready.execute(_LIST, (self.state_schema,))]

    def get_log_data(self, migration: Known | None = None, operation: str = "apply") -> dict[str, Any]:
        """
        Return what yoyo logs, also for a user without a name, and without asking DNS while locks are held.
        """
        return {
            "id": str(uuid.uuid4()),
            "migration_id": migration.id if migration else None,
            "migration_hash": migration.hash if migration else None,
            "username": user_name(),
            "hostname": socket.gethostname(),
            "created_at_utc": datetime.now(UTC).replace(tzinfo=None),
            "operation": operation,
        }

    def create_state(self) -> None:
        """
        Create the schema and the tables of the state, where they are missing.
        """
        if (
            self._ready.execute("SELECT FROM pg_catalog.pg_namespace WHERE nspname = %s", (self.state_schema,)).fetchone()
            is None
        ):
            self._ready.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self.state_schema)))
        self.ensure_internal_schema_updated()

    def check_version(self) -> None:
        """
        Raise MigrationHistoryError for tables of a yoyo newer than the one this reads.
        """
        if "_yoyo_version" in self.list_tables():
            table = sql.Identifier(self.state_schema, "_yoyo_version")
            row = self._ready.execute(sql.SQL("SELECT max(version) FROM {}").format(table)).fetchone()
            if row is not None and (row[0] or 0) > _YOYO_VERSION:
                raise MigrationHistoryError(f"the state tables are those of a newer yoyo (version {row[0]}): nothing was done")

    def applied(self) -> list[tuple[str, datetime]]:
        """
        Return what is applied and since when, oldest first; only reads, also where nothing was ever applied.
        """
        if "_yoyo_migration" not in self.list_tables():
            return []
        table = sql.Identifier(self.state_schema, "_yoyo_migration")
        query = sql.SQL("SELECT migration_id, applied_at_utc FROM {} ORDER BY applied_at_utc, migration_id").format(table)
        return [(row[0], row[1].replace(tzinfo=UTC)) for row in self._ready.execute(query)]

    def is_row_locked(self) -> bool:
        """
        Whether yoyo's own lock is taken: a stock yoyo is at work, or was killed at it.
        """
        if "yoyo_lock" not in self.list_tables():
            return False
        table = sql.Identifier(self.state_schema, "yoyo_lock")
        return self._ready.execute(sql.SQL("SELECT FROM {}").format(table)).fetchone() is not None

    def clear_row_lock(self) -> None:
        """
        Take yoyo's own lock away.
        """
        self._ready.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(self.state_schema, "yoyo_lock")))

    def record(self, migration: Known, operation: str) -> None:
        """
        Write what yoyo itself would write: its log, and its row or none. The caller holds the transaction.
        """
        self.log_migration(migration, operation)
        if operation == "rollback":
            self.unmark_one(migration, log=False)
        else:
            self.mark_one(migration, log=False)
