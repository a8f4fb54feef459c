"""
Indexes built without a transaction: an INVALID one is never left behind, never taken for a finished one, never built twice.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import psycopg
from psycopg import sql

from store.errors import MigrationHistoryError, MigrationResumable
from store.migrate._text import Statement

_FOLDED = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_CLEANING = "5s"
_PROBE = "_index_probe"
_FIND = """
    SELECT n.nspname, coalesce(i.indisvalid AND i.indisready, true), i.indrelid = t.oid, pg_get_indexdef(i.indexrelid)
    FROM pg_catalog.pg_class AS t
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
    INNER JOIN pg_catalog.pg_class AS c ON c.relnamespace = t.relnamespace AND c.relname = %s
    LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid
    WHERE t.oid = to_regclass(%s)
"""
_LEFTOVERS = r"""
    SELECT n.nspname, c.relname
    FROM pg_catalog.pg_index AS i
    INNER JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$' AND n.nspname !~ '^pg_'
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index AS p WHERE p.relid = i.indrelid)
"""


@dataclass(frozen=True, slots=True)
class Build:
    """
    One CREATE INDEX CONCURRENTLY, taken apart: where the word stands, the index, the table, where its name stands, and where it
    stands again before a column.
    """

    text: str
    concurrently: int
    index: str
    table: str
    table_at: int
    qualifiers: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, statement: Statement) -> Self | None:
        """
        Return the build that this statement is, or None; what cannot be taken apart is left to PostgreSQL to refuse.
        """
        if statement.words[0] != "create" or "concurrently" not in statement.words[:4]:
            return None
        try:
            return cls._of(statement)
        except (IndexError, ValueError):
            return None

    @classmethod
    def _of(cls, statement: Statement) -> Self:
        words, tokens, offsets = statement.words, statement.tokens, statement.offsets
        at = words.index("concurrently")
        first = words.index("on", at) + 1
        first += words[first] == "only"
        last = first + (3 if words[first + 1] == "." else 1)
        end = offsets[last - 1] + len(tokens[last - 1].text)
        return cls(
            statement.text,
            offsets[at],
            _unquoted(tokens[at + 1].text),
            statement.text[offsets[first] : end],
            offsets[first],
            tuple(_qualifiers(statement, first, last)),
        )

    def run(self, connection: psycopg.Connection[Any], state_schema: str) -> None:
        """
        See to it that the index is there and valid. Raises MigrationHistoryError for another one of that name.
        """
        found = connection.execute(_FIND, (self.index, self.table)).fetchone()
        if found is not None and found[1]:
            if not found[2] or found[3] != self._definition(connection, state_schema):
                raise MigrationHistoryError(
                    f"there is already another {self.index} in {found[0]}: this migration would not make what its file says"
                )
            return  # built by a run that was ended before it could record it
        if found is not None:
            _drop(connection, found[0], self.index)
        try:
            connection.execute(self.text.encode(), prepare=False)
        except BaseException:
            self._clean(connection)
            raise
        found = connection.execute(_FIND, (self.index, self.table)).fetchone()
        if found is None or not found[1]:
            raise MigrationResumable(f"{self.index} was built, but is not valid: run it again")

    def _clean(self, connection: psycopg.Connection[Any]) -> None:
        """
        Drop what a build left that failed or was interrupted: an INVALID unique index goes on refusing writes.

        It has to wait for every transaction on the table, and somebody waits for this process to end: what is not done in a few
        seconds is left to the next run.
        """
        with suppress(psycopg.Error):
            connection.execute("SELECT set_config('statement_timeout', %s, false)", (_CLEANING,))
            self._drop_invalid(connection)

    def _drop_invalid(self, connection: psycopg.Connection[Any]) -> None:
        found = connection.execute(_FIND, (self.index, self.table)).fetchone()
        if found is not None and not found[1]:
            _drop(connection, found[0], self.index)

    def _definition(self, connection: psycopg.Connection[Any], state_schema: str) -> str:
        """
        Return how PostgreSQL would write this index down, asked with an empty copy of the table that nobody gets to see.
        """
        probe = sql.Identifier(state_schema, _PROBE).as_string(connection)
        text, end = self.text, self.table_at + len(self.table)
        for start, stop in reversed(self.qualifiers):
            text = text[:start] + text[stop:]
        text = text[: self.table_at] + probe + text[end:]
        text = text[: self.concurrently] + text[self.concurrently + len("concurrently") :]
        with connection.transaction(force_rollback=True):
            connection.execute(f"CREATE TABLE {probe} (LIKE {self.table})".encode())
            connection.execute(text.encode())
            row = connection.execute(_FIND, (self.index, probe)).fetchone()
            name = connection.execute("SELECT %s::regclass::text, to_regclass(%s)::text", (probe, self.table)).fetchone()
        assert row is not None  # noqa: S101 (made two lines above)
        assert name is not None  # noqa: S101 (a SELECT without FROM has a row)
        return str(row[3]).replace(f" ON {name[0]} ", f" ON {name[1]} ", 1)


def drop(connection: psycopg.Connection[Any], statement: Statement, *, resumed: bool) -> None:
    """
    Run a DROP INDEX CONCURRENTLY; one that was ended after the index was gone has nothing left to do.
    """
    first = 5 if statement.words[3:5] == ("if", "exists") else 3
    name = statement.text[statement.offsets[first] :]
    if resumed and connection.execute("SELECT to_regclass(%s)", (name,)).fetchone() == (None,):
        return
    connection.execute(statement.text.encode(), prepare=False)


def sweep(connection: psycopg.Connection[Any]) -> None:
    """
    Drop what a REINDEX CONCURRENTLY that was ended left behind.
    """
    for schema, name in connection.execute(_LEFTOVERS).fetchall():
        _drop(connection, schema, name)


def _drop(connection: psycopg.Connection[Any], schema: str, name: str) -> None:
    connection.execute(sql.SQL("DROP INDEX CONCURRENTLY {}").format(sql.Identifier(schema, name)))


def _qualifiers(statement: Statement, first: int, last: int) -> Iterator[tuple[int, int]]:
    """
    Yield where the table is named again in front of a column, as in `WHERE store.carts.user_id > 0`.
    """
    words, offsets = statement.words, statement.offsets
    names = (words[first:last], words[last - 1 : last])
    for at in range(last, len(words)):
        for name in names:
            after = at + len(name)
            if words[at : after + 1] == (*name, ".") and words[at - 1] != "." and words[after + 2 : after + 3] != ("(",):
                yield offsets[at], offsets[after] + 1
                break


def _unquoted(name: str) -> str:
    """
    Return a name as PostgreSQL stores it: it folds the letters of ASCII, and cuts at 63 bytes.
    """
    plain = name[1:-1].replace('""', '"') if name.startswith('"') else name.translate(_FOLDED)
    return plain.encode()[:63].decode(errors="ignore")
