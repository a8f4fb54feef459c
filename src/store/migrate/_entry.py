"""
`postgresql+store://` for yoyo's own command line and API: our lock, our transactions and our ledger under its interface.
"""

# yoyo has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

import logging
import re
from collections.abc import Generator, Iterable
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import psycopg
from psycopg.pq import Conninfo

from store.errors import MigrationFolderError, MigrationRefused, SettingsError
from store.migrate import _apply, _preflight, _runner
from store.migrate._backend import Backend, Known
from store.migrate._folder import Folder, SqlMigration, read
from store.migrate._report import STATE_SCHEMA, Options, Report
from store.migrate._session import Session, prepare, translated

_log = logging.getLogger("store.migrate")
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_SECONDS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,3})?")


def _options(arguments: dict[str, str]) -> Options:
    """
    Take ours out of the options of a URI. Raises SettingsError for one that is no option, or does not say what it should.
    """
    schema, wait = arguments.pop("schema", STATE_SCHEMA), arguments.pop("lock_wait", None)
    if not _SCHEMA.fullmatch(schema):
        raise SettingsError(f"?schema={schema} is no name of a schema: letters in lower case, digits, underscores")
    if wait is not None and not _SECONDS.fullmatch(wait):
        raise SettingsError(f"?lock_wait={wait} is no number of seconds: ?lock_wait=60")
    known = {each.keyword.decode() for each in Conninfo.get_defaults()}
    if unknown := sorted(set(arguments) - known):
        names = ", ".join(f"?{name}=" for name in unknown)
        raise SettingsError(f"{names}: neither ours (schema, lock_wait) nor an option of libpq (sslmode, options, ...)")
    return Options(state_schema=schema) if wait is None else Options(lock_wait=float(wait), state_schema=schema)


class StoreBackend(Backend):
    """
    What yoyo gets for `postgresql+store://`. `?schema=` names the schema of the state, `?lock_wait=` the seconds of patience.
    """

    _is_locked = False

    def __init__(self, dburi: Any, migration_table: str) -> None:
        if migration_table != "_yoyo_migration":
            raise SettingsError("the table of migrations is called _yoyo_migration: leave --migration-table out")
        arguments = dict(dburi.args)
        options = _options(arguments)
        parts = {"user": dburi.username, "password": dburi.password, "host": dburi.hostname, "port": dburi.port}
        given = {key: value for key, value in parts.items() if value is not None} | arguments

        def connect() -> psycopg.Connection[Any]:
            return psycopg.connect(**given, dbname=dburi.database, autocommit=True)

        with translated():
            connection = connect()
            prepare(connection, options, writes=True)
        super().__init__(connection, options.state_schema)
        self.uri = dburi
        self._session = Session(connection, connect, self, options, Report("yoyo"))
        self._folders: dict[Path, Folder] = {}

    def init_database(self) -> None:
        """
        Create nothing: the state is made under the lock.
        """

    @contextmanager
    def lock(self, timeout: float = 10) -> Generator[None]:  # noqa: ARG002 (the signature is yoyo's)
        """
        Hold the advisory lock, which ends with the connection.
        """
        if not self._is_locked:
            self._is_locked = True
            self._session.lock()
            self._session.create_state()
        yield

    def transaction(self, rollback_on_exit: bool = False) -> Any:  # noqa: FBT001, FBT002 (the signature is yoyo's)
        """
        Return a transaction, or nothing inside one: no savepoints.
        """
        return nullcontext() if self._in_transaction else super().transaction(rollback_on_exit=rollback_on_exit)

    def break_lock(self) -> None:
        """
        Refuse: whoever holds the lock is at work.
        """
        raise MigrationRefused("the lock ends with its holder: `store migrate unlock` shows who that is")

    def apply_migrations(self, migrations: Any, force: bool = False) -> None:  # noqa: FBT001, FBT002 (the signature is yoyo's)
        """
        Apply these after the same checks as `store migrate up`.
        """
        if getattr(migrations, "post_apply", None):
            raise MigrationFolderError("post-apply files are never retried: put them into repeatable/ (`store migrate up`)")
        for folder in self._read(migrations):
            _runner.check(self._session, folder)
            _runner.adopt(self._session, folder)
        super().apply_migrations_only(migrations, force=force)

    def apply_one(self, migration: Known, force: bool = False, mark: bool = True) -> None:  # noqa: FBT001, FBT002
        """
        Apply one migration and record it, both or neither.
        """
        if force or not mark:
            raise MigrationRefused("--force would mark what failed as applied")
        _log.info("applying %s", migration.id)
        _apply.apply(self._session, self._ours(migration))

    def rollback_one(self, migration: Known, force: bool = False) -> None:  # noqa: FBT001, FBT002 (the signature is yoyo's)
        """
        Take one migration back and forget it, both or neither.
        """
        if force:
            raise MigrationRefused("--force would forget what is still there")
        ours = self._ours(migration)
        if ours.down is None or ours.up.headers.irreversible is not None:
            raise MigrationRefused(f"{ours.id} cannot be taken back: {ours.up.headers.irreversible or 'no rollback file'}")
        _preflight.refuse(_preflight.edited(ours, self._session.ledger.recorded().get(ours.id)))
        _log.info("taking %s back", migration.id)
        _apply.take_back(self._session, ours)

    def _read(self, migrations: Iterable[Any]) -> list[Folder]:
        for path in {Path(each.path).parent for each in migrations}:
            self._folders.setdefault(path, read(path))
        return list(self._folders.values())

    def _ours(self, migration: Any) -> SqlMigration:
        self._read([migration])
        folder = self._folders[Path(migration.path).parent]
        found = next((each for each in folder.migrations if each.id == migration.id), None)
        if found is None:
            raise MigrationFolderError("\n".join(refusal.message for refusal in folder.refusals))
        return found
