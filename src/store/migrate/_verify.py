"""
Is the database what the migrations say, and do the migrations say what sql/schema does?

Nothing is repaired here, and nothing is written into the database in use.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from store.errors import MigrationError, Refusal, SettingsError
from store.migrate import _fingerprint
from store.migrate._folder import Folder, read
from store.migrate._lint import apply, foundation, readable
from store.migrate._report import Options, Report
from store.migrate._runner import drifted, status
from store.migrate._scratch import Scratch, schemas
from store.migrate._session import Connect, Session, opened, translated

_INVALID = """
    SELECT i.indexrelid::regclass::text FROM pg_catalog.pg_index AS i
    INNER JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY(%s::text[]) AND NOT (i.indisvalid AND i.indisready) ORDER BY 1
"""
# What is NOT ENFORCED, from PostgreSQL 18 on, is not validated either, and was meant so.
_NOT_VALID = """
    SELECT coalesce(nullif(k.conrelid, 0)::regclass::text, k.contypid::regtype::text) || '.' || quote_ident(k.conname)
    FROM pg_catalog.pg_constraint AS k INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = k.connamespace
    WHERE n.nspname = ANY(%s::text[]) AND NOT k.convalidated AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
    ORDER BY 1
"""


_ABSENT = """
    SELECT t.name FROM unnest(%s::text[]) AS t (name)
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_namespace AS n WHERE n.nspname = t.name) ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Verified:
    """
    What the database in use is, and what is wrong with it.
    """

    applied: list[str]
    pending: list[str]
    lines: list[str]
    """Of these schemas, in every database."""
    schemas: tuple[str, ...]
    expected: str | None
    faults: list[Refusal]

    @property
    def drifted(self) -> bool:
        """
        Whether the schema is not what the last migration left.
        """
        return self.expected is not None and self.expected != _fingerprint.digest(self.lines)


def live_lines(connect: Connect, schemas: Sequence[str] = _fingerprint.OURS) -> list[str]:
    """
    Return the lines of the schemas in use.
    """
    with translated(), connect() as connection:
        return _fingerprint.lines(connection, schemas)


def verify_live(connect: Connect, folder: Path, options: Options | None = None) -> Verified:
    """
    Compare files with the record and the schema with the fingerprint the last migration left; find what was left half done.

    Only reads, takes no lock, and needs no right but to see the state tables. Raises SettingsError where the options name a
    schema that neither the files make nor the database has.
    """
    options, report = options or Options(), Report("verify")
    found = status(connect, folder, options=options, report=report)
    faults = [refusal for refusal in report.refusals if refusal.exit_code != 9]
    pending = [each.id for each in found if each.state == "pending"]
    with opened(connect, options, report, writes=False) as session:
        made, expected = read(folder).schemas, session.ledger.fingerprint()
        _refuse_unknown(session, {*made, *(expected.schemas if expected else ())})
        session.cover(made)
        schemas = session.schemas if expected is None else expected.schemas
        lines = _fingerprint.lines(session.connection, schemas)
        faults += _half_done(session.connection, session.schemas, pending)
    applied = [each.id for each in found if each.state == "applied"]
    verified = Verified(applied, pending, lines, schemas, expected.hash if expected else None, faults)
    if expected is not None and verified.drifted:
        faults.append(Refusal("drift", 8, drifted(expected, _fingerprint.digest(lines))))
    return verified


def _refuse_unknown(session: Session, known: set[str]) -> None:
    named = [name for name in session.options.schemas if name not in known]
    if absent := [row[0] for row in session.connection.execute(_ABSENT, (named,))]:
        made = f"what they make is {', '.join(sorted(known))}" if known else "they make none"
        raise SettingsError(f"--schema: there is no schema {', '.join(absent)} here, and no file makes it: {made}")


def _half_done(connection: psycopg.Connection[Any], schemas: Sequence[str], pending: Iterable[str]) -> Iterator[Refusal]:
    spaces = (list(schemas),)
    for row in connection.execute(_INVALID, spaces):
        message = f"the index {row[0]} is INVALID: no query uses it; if nobody builds it just now, drop it and build it again"
        yield Refusal("invalid-index", 8, message)
    # A file that is still to come may be the one that validates it.
    for row in () if list(pending) else connection.execute(_NOT_VALID, spaces):
        yield Refusal("not-valid", 8, f"the constraint {row[0]} is NOT VALID still: old rows may break it; VALIDATE CONSTRAINT")


# --- on a throw-away server ------------------------------------------------------------------------------------------


def verify_scratch(scratch: Scratch, folder: Path, live: Verified | None = None) -> list[Refusal]:
    """
    Try every migration up, down and up again, compare the end with the files of sql/schema beside the folder, and, where the
    schema in use has drifted, name the objects that did.
    """
    contents, faults = readable(folder), list[Refusal]()
    with scratch.database() as connection:
        try:
            standing = foundation(connection, contents)
            compared = _fingerprint.OURS if live is None else live.schemas
            after = dict(_up_down_up(connection, contents, compared, faults))
            for each in contents.repeatables:
                apply(connection, each.as_migration())
        except MigrationError as error:
            return [*faults, Refusal("does-not-apply", 9, str(error))]
        moved = _own(connection, standing)
        after[contents.migrations[-1].id] = _fingerprint.lines(connection, compared)
    if live is not None and live.drifted:
        last = max(set(live.applied) & set(after), default="")
        told = _fingerprint.difference(after.get(last, []), live.lines)
        faults += [Refusal("drift", 8, f"{each} (after {last})", last) for each in told]
    return [*faults, *_schema_files(scratch, contents, moved)]


def _up_down_up(
    connection: psycopg.Connection[Any], folder: Folder, compared: Sequence[str], faults: list[Refusal]
) -> Iterator[tuple[str, list[str]]]:
    before = _fingerprint.lines(connection, schemas(connection))
    for migration in folder.migrations:
        apply(connection, migration)
        after = _fingerprint.lines(connection, schemas(connection))
        if migration.down is not None:
            apply(connection, migration, back=True)
            back = _fingerprint.lines(connection, schemas(connection))
            faults += _faults("rollback-incomplete", f"{migration.down.name} does not take all back", before, back)
            apply(connection, migration)
            again = _fingerprint.lines(connection, schemas(connection))
            faults += _faults("not-repeatable", f"{migration.id}.sql makes something else the second time", after, again)
        before = after
        yield migration.id, _fingerprint.lines(connection, compared)


def _schema_files(scratch: Scratch, folder: Folder, moved: list[str]) -> Iterator[Refusal]:
    place = folder.path.parent / "sql" / "schema"
    if not place.is_dir():
        return
    with scratch.database() as connection:
        standing = foundation(connection, folder)
        for path in sorted(place.glob("*.sql")):
            try:
                connection.execute(path.read_bytes())
            except psycopg.Error as error:
                yield Refusal("schema-files", 9, f"sql/schema/{path.name}: {error.diag.message_primary}")
                return
        read = _own(connection, standing)
    yield from _faults("schema-files", "sql/schema is not what the migrations make", moved, read)


def _own(connection: psycopg.Connection[Any], standing: set[str]) -> list[str]:
    return _fingerprint.lines(connection, [name for name in schemas(connection) if name not in standing])


def _faults(rule: str, what: str, expected: list[str], found: list[str]) -> list[Refusal]:
    return [Refusal(rule, 9, f"{what}: {each}") for each in _fingerprint.difference(expected, found)]
