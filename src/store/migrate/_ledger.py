"""
The ledger beside yoyo's tables: what ran, when, how long, by whom, with which content, and what failed.

A success is written in the transaction of the file itself, a failure after its rollback. yoyo's tables say what is applied; the
ledger says what it was.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from store.errors import MigrationHistoryError
from store.migrate._fingerprint import OURS
from store.migrate._report import Report, Step

TABLE = "store_migration"
_MARK = "plainstore ledger"
_VERSION = "1"
_COMMENT: LiteralString = f"COMMENT ON TABLE {{table}} IS '{_MARK} {_VERSION}'"
_CREATE = """
CREATE TABLE {table} (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id uuid NOT NULL,
    migration_id text NOT NULL,
    operation text NOT NULL CHECK (operation IN ('up', 'down', 'repeatable', 'adopt', 'baseline')),
    outcome text NOT NULL CHECK (outcome IN ('started', 'done', 'failed', 'interrupted')),
    sha256_up text,
    sha256_down text,
    out_of_order boolean NOT NULL DEFAULT false,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    duration_ms bigint,
    lock_wait_ms bigint,
    attempts integer,
    role text NOT NULL DEFAULT current_user,
    db_user text NOT NULL DEFAULT session_user,
    actor text NOT NULL,
    git_sha text,
    app_version text,
    server_version text NOT NULL DEFAULT current_setting('server_version'),
    plan_hash text,
    fingerprint_before text,
    fingerprint_after text,
    sqlstate text,
    message text
)
"""
_INSERT = """
INSERT INTO {table} (
    run_id, migration_id, operation, outcome, sha256_up, sha256_down, out_of_order, duration_ms, lock_wait_ms, attempts,
    actor, git_sha, app_version, plan_hash, fingerprint_before, fingerprint_after, sqlstate, message
) VALUES (
    %(run_id)s, %(id)s, %(operation)s, %(outcome)s, %(up)s, %(down)s, %(out_of_order)s, %(duration_ms)s, %(lock_wait_ms)s,
    %(attempts)s, %(actor)s, %(git_sha)s, %(app_version)s, %(plan_hash)s, %(before)s, %(after)s, %(sqlstate)s, %(message)s
)
"""
_LATEST = """
SELECT DISTINCT ON (migration_id) migration_id, operation, outcome, sha256_up, sha256_down
FROM {table}
WHERE {condition}
ORDER BY migration_id, seq DESC
"""
_FINGERPRINT = "SELECT fingerprint_after FROM {table} WHERE outcome = 'done' ORDER BY seq DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Entry:
    """
    What the ledger gets to know about one file.
    """

    id: str
    operation: str
    up: str | None = None
    down: str | None = None
    out_of_order: bool = False
    before: Fingerprint | None = None
    after: Fingerprint | None = None
    sqlstate: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """
    A recorded fingerprint, and of which schemas it is.

    The ledger keeps the hash, and behind it the schemas as JSON; a hash alone is of `store`.
    """

    hash: str
    schemas: tuple[str, ...] = OURS

    @classmethod
    def parse(cls, text: str) -> Fingerprint:
        """
        Return what `str()` made a text of.
        """
        hash_, _, names = text.partition(" ")
        return cls(hash_, tuple(json.loads(names)) if names else OURS)

    def __str__(self) -> str:
        return self.hash if self.schemas == OURS else f"{self.hash} {json.dumps(self.schemas)}"


@dataclass(frozen=True, slots=True)
class Last:
    """
    The newest entry of a migration.
    """

    operation: str
    outcome: str
    sha256: str | None
    sha256_down: str | None


class Ledger:
    """
    The ledger of one state schema.
    """

    def __init__(self, connection: psycopg.Connection[Any], schema: str, report: Report) -> None:
        self._connection = connection
        self._schema = schema
        self._table = sql.Identifier(schema, TABLE)
        self._report = report
        self._version: int | None = None

    def version(self) -> int | None:
        """
        Return the version of the table, or None where there is none. Raises MigrationHistoryError for one newer than this code.
        """
        if self._version is not None:
            return self._version
        row = self._connection.execute(
            "SELECT obj_description(c.oid, 'pg_class') FROM pg_catalog.pg_class AS c"
            " INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s",
            (self._schema, TABLE),
        ).fetchone()
        if row is None:
            return None
        number = str(row[0] or "").removeprefix(_MARK).strip()
        if not number.isdecimal() or int(number) > int(_VERSION):
            raise MigrationHistoryError(
                f"{self._schema}.{TABLE} was written by a newer version of this program: use that one, nothing was done"
            )
        self._version = int(number)
        return self._version

    def create(self) -> None:
        """
        Create the table where it is missing.
        """
        if self.version() is None:
            with self._connection.transaction():
                self._connection.execute(sql.SQL(_CREATE).format(table=self._table))
                self._connection.execute(sql.SQL(_COMMENT).format(table=self._table))

    def write(self, entry: Entry, outcome: str, step: Step | None = None) -> None:
        """
        Add an entry; in a success the caller holds the transaction of the file.
        """
        report = self._report
        values = {
            "run_id": report.run_id,
            "id": entry.id,
            "operation": entry.operation,
            "outcome": outcome,
            "up": entry.up,
            "down": entry.down,
            "out_of_order": entry.out_of_order,
            "duration_ms": step and step.duration_ms,
            "lock_wait_ms": step and step.lock_wait_ms,
            "attempts": step and step.attempts,
            "actor": report.actor,
            "git_sha": report.git_sha,
            "app_version": report.app_version,
            "plan_hash": report.plan_hash,
            "before": entry.before and str(entry.before),
            "after": entry.after and str(entry.after),
            "sqlstate": entry.sqlstate,
            "message": entry.message,
        }
        self._connection.execute(sql.SQL(_INSERT).format(table=self._table), values)

    def recorded(self) -> dict[str, Last]:
        """
        Return the newest success of each migration.
        """
        return self._latest("outcome = 'done'")

    def newest(self) -> dict[str, Last]:
        """
        Return the newest entry of each migration, whatever came of it.
        """
        return self._latest("true")

    def fingerprint(self) -> Fingerprint | None:
        """
        Return the fingerprint after the newest success.
        """
        if self.version() is None:
            return None
        row = self._connection.execute(sql.SQL(_FINGERPRINT).format(table=self._table)).fetchone()
        return None if row is None or row[0] is None else Fingerprint.parse(row[0])

    def _latest(self, condition: LiteralString) -> dict[str, Last]:
        if self.version() is None:
            return {}
        query = sql.SQL(_LATEST).format(table=self._table, condition=sql.SQL(condition))
        return {row[0]: Last(*row[1:]) for row in self._connection.execute(query)}
