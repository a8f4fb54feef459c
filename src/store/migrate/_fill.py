"""
Rows for the tables of a throw-away database: any that their constraints accept, so that what a migration reads and moves shows.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

ROWS = 2000
_TRIES = 1000
_LITERAL = re.compile(r"'((?:[^']|'')+)'::")

_TABLES = """
    SELECT c.oid, n.nspname, c.relname,
        ARRAY(SELECT k.confrelid FROM pg_catalog.pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype = 'f') AS parents
    FROM pg_catalog.pg_class AS c INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema$|store_migrations$)'
    ORDER BY c.oid
"""
_COLUMNS = """
    SELECT a.attname, format_type(a.atttypid, a.atttypmod), b.typcategory::text, b.typname,
        ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = b.oid ORDER BY e.enumsortorder),
        ARRAY(
            SELECT pg_get_constraintdef(k.oid) FROM pg_catalog.pg_constraint AS k
            WHERE k.contype = 'c' AND (k.conrelid = a.attrelid AND a.attnum = ANY(k.conkey) OR k.contypid = a.atttypid)
        ),
        (
            SELECT k.confrelid::regclass::text || '.' || f.attname FROM pg_catalog.pg_constraint AS k
            INNER JOIN pg_catalog.pg_attribute AS f
                ON f.attrelid = k.confrelid AND f.attnum = k.confkey[array_position(k.conkey, a.attnum)]
            WHERE k.conrelid = a.attrelid AND k.contype = 'f' AND a.attnum = ANY(k.conkey) LIMIT 1
        ),
        a.attnotnull OR t.typnotnull, a.attidentity <> '', a.atthasdef
    FROM pg_catalog.pg_attribute AS a
    INNER JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    INNER JOIN pg_catalog.pg_type AS b ON b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
    WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    ORDER BY a.attnum
"""
_OF_CONSTRAINT = """
    SELECT a.attname FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = %(table)s AND a.attnum > 0 AND (
        a.attnum = ANY((SELECT k.conkey FROM pg_catalog.pg_constraint AS k
            WHERE k.conname = %(name)s AND k.conrelid = a.attrelid)::smallint[])
        OR a.attnum IN (SELECT d.refobjsubid FROM pg_catalog.pg_depend AS d
            INNER JOIN pg_catalog.pg_class AS x ON x.oid = d.objid
            WHERE x.relname = %(name)s AND x.relkind = 'i' AND d.refobjid = a.attrelid)
        OR a.atttypid = (SELECT k.contypid FROM pg_catalog.pg_constraint AS k WHERE k.conname = %(name)s AND k.contypid <> 0)
    )
"""

_ADVANCE = """
    SELECT setval(d.objid::regclass, %s) FROM pg_catalog.pg_depend AS d
    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refobjid = %s AND d.refobjsubid > 0 AND d.deptype = 'i'
"""

# By category of pg_type; {n} is the number of the row, {n12} the same with twelve digits.
_BY_CATEGORY: dict[str, tuple[str, ...]] = {
    "N": ("{n}", "1", "0", "-1"),
    "B": ("true", "false"),
    "D": ("2026-01-01 00:00:00+00", "2026-01-02 00:00:00+00"),
    "T": ("1 hour",),
    "S": ("x{n}", "x{n12}", "X{n12}", "x{n}@example.org", "$2b$" + "x" * 40 + "{n}", "EUR", "DE"),
}
_BY_NAME = {"uuid": ("00000000-0000-4000-8000-{n12}",), "json": ("{}", "[]"), "jsonb": ("{}", "[]"), "bytea": (r"\x00",)}


@dataclass(slots=True)
class _Column:
    name: str
    type: str
    candidates: list[str | None]
    now: int = 0

    @property
    def value(self) -> str | None:
        return self.candidates[self.now]


@dataclass(slots=True)
class Filler:
    """
    Fills tables, parents first; remembers what it wrote into which column, so that children find their parents.
    """

    connection: psycopg.Connection[Any]
    _written: dict[str, str] = field(default_factory=dict[str, str])
    _tried: dict[int, str | None] = field(default_factory=dict[int, str | None])
    _random: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 (the same rows every time)

    def fill(self) -> list[str]:
        """
        Put rows into every empty table, and return the names of those for which none was found.
        """
        todo = {row[0]: row for row in self.connection.execute(_TABLES).fetchall()}
        while todo:
            ready = [oid for oid, row in todo.items() if not (set(row[3]) - {oid}) & set(todo)] or [next(iter(todo))]
            for oid in ready:
                _, schema, name, _ = todo.pop(oid)
                table = sql.Identifier(schema, name)
                if oid in self._tried:
                    continue
                used = self.connection.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(table)).fetchone() is not None
                self._tried[oid] = None if used or self._table(oid, table) else f"{schema}.{name}"
                self.connection.execute(sql.SQL("ANALYZE {}").format(table))
        return sorted(name for name in self._tried.values() if name is not None)

    def _table(self, oid: int, table: sql.Identifier) -> bool:
        made = [self._column(row) for row in self.connection.execute(_COLUMNS, (oid,)).fetchall()]
        columns = {column.name: column for column in made if column is not None}
        for _ in range(_TRIES):
            refused = self._insert(table, list(columns.values()), (1, 2, ROWS))
            if refused is None:
                break
            if not self._change(oid, columns, refused):
                return False
        if self._insert(table, list(columns.values()), range(1, ROWS + 1), keep=True) is not None:
            return False
        relation = self.connection.execute("SELECT %s::regclass::text", (oid,)).fetchone()
        self.connection.execute(_ADVANCE, (ROWS, oid))
        for name, value in [(column.name, column.value) for column in columns.values()]:
            if relation is not None and value is not None:
                self._written[f"{relation[0]}.{name}"] = value
        return True

    def _insert(
        self, table: sql.Identifier, columns: Sequence[_Column], numbers: Sequence[int], *, keep: bool = False
    ) -> psycopg.Error | None:
        values = [
            sql.SQL("replace(replace(%s, '{{n12}}', lpad(g::text, 12, '0')), '{{n}}', g::text)::{}").format(
                _from_catalog(column.type)
            )
            for column in columns
        ]
        names = [sql.Identifier(column.name) for column in columns]
        statement = (
            sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM unnest(%s::bigint[]) AS g").format(
                table, sql.SQL(", ").join(names), sql.SQL(", ").join(values)
            )
            if columns
            else sql.SQL("INSERT INTO {} SELECT FROM unnest(%s::bigint[]) AS g").format(table)
        )
        try:
            with self.connection.transaction(force_rollback=not keep):
                self.connection.execute(statement, [*(column.value for column in columns), list(numbers)])
                self.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except psycopg.Error as error:
            return error
        return None

    def _column(self, row: Sequence[Any]) -> _Column | None:
        name, kind, category, base, labels, checks, parent, required, identity, has_default = row
        if identity:
            return _Column(name, kind, ["{n}"])
        literals = [text.replace("''", "'") for check in checks for text in _LITERAL.findall(check)]
        candidates: list[str | None] = [*labels, *_BY_NAME.get(base, ()), *_BY_CATEGORY.get(category, ())]
        candidates += [text for text in literals if category in {"S", "E"}]
        if parent is not None:
            table, _, column = parent.rpartition(".")
            known = [self._written[parent]] if parent in self._written else self._some(table, column)
            candidates = [*known, *([] if known else ["{n}"]), *literals]
        if not candidates and has_default:
            return None
        if not required or not candidates:
            candidates.append(None)
        return _Column(name, kind, list(dict.fromkeys(candidates)))

    def _some(self, table: str, column: str) -> list[str]:
        query = sql.SQL("SELECT DISTINCT {}::text FROM {} LIMIT 8").format(sql.Identifier(column), _from_catalog(table))
        found = [row[0] for row in self.connection.execute(query)]
        return ["{n}"] if len(found) > 7 else found

    def _change(self, oid: int, columns: dict[str, _Column], refused: psycopg.Error) -> bool:
        # A value that its own rule refuses is never tried again; rules on several columns are met by trying combinations.
        diagnosis = refused.diag
        names = [diagnosis.column_name] if diagnosis.column_name else []
        if diagnosis.constraint_name:
            found = self.connection.execute(_OF_CONSTRAINT, {"table": oid, "name": diagnosis.constraint_name})
            names = [row[0] for row in found]
        concerned = [columns[name] for name in names if name in columns]
        if not concerned:
            return False
        if len(concerned) == 1 and not isinstance(refused, psycopg.errors.ForeignKeyViolation):
            (column,) = concerned
            del column.candidates[column.now]
            column.now = 0
            return bool(column.candidates)
        for column in concerned:
            column.now = self._random.randrange(len(column.candidates))
        return any(len(column.candidates) > 1 for column in concerned)


def _from_catalog(name: str) -> sql.SQL:
    # What format_type() and regclass print is quoted, and nothing else comes here.
    return sql.SQL(name)  # pyright: ignore[reportArgumentType] # no LiteralString, as it comes from the server
