"""
A plan: exactly the SQL that `up` will run, with its settings and its bookkeeping, and the hash it is sealed by.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store.migrate import _nontransactional, _runner
from store.migrate._beside import kept
from store.migrate._folder import Folder, SqlFile, SqlMigration, read
from store.migrate._report import Options, Report
from store.migrate._seal import seal
from store.migrate._session import Connect, Session, opened


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What `up` would do now: the ids in order, the SQL as text for psql, and the hash of files and database.
    """

    hash: str
    pending: tuple[dict[str, Any], ...]
    sql: str
    applied: tuple[str, ...] = ()
    """What the database has, in the order in which it was applied, without what is to be mended."""


def plan(
    connect: Connect, folder: Path, *, to: str | None = None, options: Options | None = None, report: Report | None = None
) -> Plan:
    """
    Return the plan of `up`; only reads, and takes no lock. Raises what keeps `up` from beginning.
    """
    options, report = options or Options(), report or Report("plan")
    contents = read(folder)
    with _runner.refusing(report), opened(connect, options, report, writes=False) as session:
        session.cover(contents.schemas)
        _runner.check(session, contents, to)
        report.plan_hash = seal(session, contents, to)
        todo = list(_todo(session, contents, to))
        sql = "".join([_head(session, report.plan_hash), *(text for _, text in todo)])
        report.pending = [each for each, _ in todo]
        due = {each["id"] for each in report.pending}
        applied = tuple(name for name, _ in session.backend.applied() if name not in due)
    return Plan(report.plan_hash, tuple(report.pending), sql, applied)


def _todo(session: Session, folder: Folder, to: str | None) -> Iterator[tuple[dict[str, Any], str]]:
    migrations, repeatables = _runner.todo(session, folder, to)
    for migration in migrations:
        outside = not migration.transactional or migration.up.headers.batch
        told = {"id": migration.id, "transactional": not outside, "sha256_up": migration.up.sha256}
        yield (
            told | {"sha256_down": migration.down.sha256 if migration.down else None},
            _locks(folder, migration)
            + _text(session, migration.up, migration.id, outside=outside, record=_yoyo(session, migration)),
        )
    for repeatable in repeatables:
        told = {"id": repeatable.id, "transactional": True, "sha256_up": repeatable.up.sha256}
        yield told, _text(session, repeatable.up, repeatable.id, outside=False, record="")


def _head(session: Session, hash_: str) -> str:
    path = session.options.search_path
    return (
        f"-- plan {hash_}\n"
        f"-- server {session.report.server_version}, fingerprint before {session.report.fingerprint}\n"
        f"SET search_path = {_literal(path)};\n"
        "SET client_connection_check_interval = '500ms';\n"
    )


def _locks(folder: Folder, migration: SqlMigration) -> str:
    # What the lint saw this file lock and rewrite stands beside it, where it was run.
    path = folder.path / f"{migration.id}.locks.txt"
    lines = kept(path)
    return "".join(["\n", *(f"-- {line}".rstrip() + "\n" for line in lines)]) if lines else ""


def _text(session: Session, file: SqlFile, id_: str, *, outside: bool, record: str) -> str:
    found = _nontransactional.bounds(session.options, file, local=not outside or file.headers.batch)
    body = file.text.rstrip()
    body += "" if body.endswith(";") else "\n;"
    bounds = (f"lock_timeout = '{found.lock:g}s'", f"statement_timeout = '{found.statement:g}s'")
    if outside:
        note = "-- repeated until it changes no row\n" if file.headers.batch else "-- outside a transaction\n"
        settings = "".join(f"SET {bound};\n" for bound in bounds)
        return f"\n-- {id_}\n{note}{settings}{body}\nBEGIN;\n{record}{_ledger(session, file, id_)}COMMIT;\n"
    settings = "".join(f"SET LOCAL {bound};\n" for bound in bounds)
    return f"\n-- {id_}\nBEGIN;\n{settings}{body}\n{record}{_ledger(session, file, id_)}COMMIT;\n"


def _yoyo(session: Session, migration: SqlMigration) -> str:
    log, table = (session.backend.quote_identifier(name) for name in ("_yoyo_log", "_yoyo_migration"))
    name, known = _literal(migration.id), _literal(migration.hash)
    now = "now() AT TIME ZONE 'UTC'"
    return (
        f"INSERT INTO {log} (id, migration_hash, migration_id, operation, username, hostname, created_at_utc)\n"  # noqa: S608 (quoted)
        f"VALUES (gen_random_uuid(), {known}, {name}, 'apply', {_literal(session.report.actor)}, 'plan', {now});\n"
        f"INSERT INTO {table} (migration_hash, migration_id, applied_at_utc) VALUES ({known}, {name}, {now});\n"
    )


def _ledger(session: Session, file: SqlFile, id_: str) -> str:
    operation = "repeatable" if id_.startswith("repeatable/") else "up"
    values = (id_, operation, "done", file.sha256, session.report.actor, session.report.plan_hash or "")
    return (
        f"INSERT INTO {session.options.state_schema}.store_migration\n"
        "    (run_id, migration_id, operation, outcome, sha256_up, actor, plan_hash)\n"
        f"VALUES (gen_random_uuid(), {', '.join(map(_literal, values))});\n"
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
