"""
yoyo's record of what was applied, on one ready connection and in a schema of its own.
"""

# yoyo has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import getpass
import os
import socket
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend

from store.errors import MigrationError
from store.migrate._folder import SqlMigration

_SCHEMA = "store_migrations"
_TABLES = frozenset({"_yoyo_migration", "_yoyo_log", "_yoyo_version"})


class Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo has no types
    """
    What yoyo knows of a database, through one autocommit connection that the caller opened and locked.

    A file and its record are one transaction. yoyo's own lock is a row that outlives a killed process; it is not used.
    """

    _is_locked = True

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._ready = connection
        super().__init__("a connection, not a URI", "_yoyo_migration")

    def connect(self, dburi: str) -> psycopg.Connection[Any]:  # noqa: ARG002 (the signature is yoyo's)
        """
        Return the connection this backend was made with.
        """
        return self._ready

    def quote_identifier(self, s: str) -> str:
        """
        Return the name quoted, and qualified where it is a table of yoyo's: search_path is empty.
        """
        quoted: str = super().quote_identifier(s)
        return f'"{_SCHEMA}".{quoted}' if s in _TABLES else quoted

    def list_tables(self, **_: Any) -> list[str]:
        """
        Return the names of the state tables, whatever the role may see.
        """
        rows = self._ready.execute("SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = %s", (_SCHEMA,))
        return [row[0] for row in rows]

    def get_log_data(self, migration: SqlMigration | None = None, operation: str = "apply") -> dict[str, Any]:
        """
        Return what yoyo logs, also for a user without a name, and without asking DNS while locks are held.
        """
        try:
            username = getpass.getuser()
        except (KeyError, OSError):
            username = str(os.getuid())
        return {
            "id": str(uuid.uuid4()),
            "migration_id": migration.id if migration else None,
            "migration_hash": migration.hash if migration else None,
            "username": username,
            "hostname": socket.gethostname(),
            "created_at_utc": datetime.now(UTC).replace(tzinfo=None),
            "operation": operation,
        }

    def create_state(self) -> None:
        """
        Create the schema and the tables of the state, where they are missing.
        """
        if self._ready.execute("SELECT FROM pg_catalog.pg_namespace WHERE nspname = %s", (_SCHEMA,)).fetchone() is None:
            self._ready.execute("CREATE SCHEMA store_migrations")
        self.ensure_internal_schema_updated()

    def applied(self) -> list[tuple[str, datetime]]:
        """
        Return what is applied and since when, oldest first; only reads, also where nothing was ever applied.
        """
        if self.migration_table not in self.list_tables():
            return []
        rows = self._ready.execute(
            "SELECT migration_id, applied_at_utc FROM store_migrations._yoyo_migration ORDER BY applied_at_utc, migration_id"
        )
        return [(row[0], row[1].replace(tzinfo=UTC)) for row in rows]

    def apply(self, migration: SqlMigration) -> None:
        """
        Apply one migration and record it, both or neither.
        """
        self._run(migration, migration.apply_text, "apply", lambda: self.mark_one(migration, log=False))

    def take_back(self, migration: SqlMigration) -> None:
        """
        Take one migration back and forget it, both or neither.
        """
        self._run(migration, migration.rollback_text, "rollback", lambda: self.unmark_one(migration, log=False))

    def _run(self, migration: SqlMigration, text: str, operation: str, record: Callable[[], None]) -> None:
        if not migration.use_transactions:
            self._send(text)
        with self._ready.transaction():
            if migration.use_transactions:
                self._send(text)
                if self._ready.info.transaction_status != TransactionStatus.INTRANS:
                    raise MigrationError("the file ended the transaction itself: what it did is stored, and not recorded")
            self.log_migration(migration, operation)
            record()

    def _send(self, text: str) -> None:
        # The whole file in one message, unprepared: nobody has to know where a statement ends. Its rows are of no interest.
        self._ready.execute(text.encode(), prepare=False)
