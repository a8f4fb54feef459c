"""
How large a database is, as its planner sees it: read from one server, laid over the empty tables of another.

No value of a row goes along: most common values and histograms are left where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from psycopg import sql
from psycopg.rows import tuple_row
from pydantic import BaseModel, ConfigDict, ValidationError

from store.contract.database import WRITTEN_FROM, Connection
from store.errors import CannotAnalyse, InvalidInput

_RELATIONS = """
    SELECT c.oid::int8, n.nspname || '.' || c.relname, c.reltuples::float8, c.relpages
    FROM pg_catalog.pg_class AS c
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE
        n.nspname = ANY(%s::text[])
        AND (c.relkind IN ('r', 'm', 'i') AND c.reltuples > 0 OR c.relkind IN ('r', 'm') AND c.reltuples = 0)
    ORDER BY 2
"""
_UNSEEN = """
    SELECT n.nspname || '.' || c.relname
    FROM pg_catalog.pg_class AS c
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY(%s::text[]) AND c.relkind IN ('r', 'm') AND c.reltuples < 0
    ORDER BY 1
"""
_COLUMNS = """
    SELECT
        s.schemaname || '.' || s.tablename, s.attname, s.null_frac::float8, s.avg_width, s.n_distinct::float8,
        s.correlation::float8
    FROM pg_catalog.pg_stats AS s
    WHERE s.schemaname = ANY(%s::text[]) AND NOT s.inherited
    ORDER BY 1, 2
"""
_TABLES = """
    SELECT c.oid::int8, n.nspname, c.relname, ARRAY(
        SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attnotnull AND a.attidentity = '' AND NOT a.attisdropped
    )
    FROM pg_catalog.pg_class AS c
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND pg_relation_size(c.oid) = 0
"""
_CONSTRAINTS = """
    SELECT n.nspname, c.relname, t.typname, k.conname
    FROM pg_catalog.pg_constraint AS k
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = k.connamespace
    LEFT JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
    LEFT JOIN pg_catalog.pg_type AS t ON t.oid = k.contypid
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND k.contype IN ('c', 'p')
"""
_RESTORE = """
    SELECT pg_restore_relation_stats(
        'schemaname', n.nspname::text, 'relname', c.relname::text,
        'relpages', greatest(pg_relation_size(c.oid) / 8192, 1)::integer, 'reltuples', %s::real
    )
    FROM pg_catalog.pg_class AS c
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname || '.' || c.relname = %s
"""
_RESTORE_COLUMN = """
    SELECT pg_restore_attribute_stats(
        'schemaname', n.nspname::text, 'relname', c.relname::text, 'attname', a.attname::text, 'inherited', false,
        'null_frac', %s::real, 'avg_width', %s::integer, 'n_distinct', %s::real, 'correlation', %s::real
    )
    FROM pg_catalog.pg_class AS c
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    INNER JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND NOT a.attisdropped
    WHERE n.nspname || '.' || c.relname = %s AND a.attname = %s
"""


class ColumnStats(BaseModel):
    """
    What ANALYZE says of a column, without a value of it.
    """

    model_config = ConfigDict(extra="forbid")

    null_frac: float
    avg_width: int
    n_distinct: float
    correlation: float | None = None


class RelationStats(BaseModel):
    """
    How large a table or index is, and what its columns are like.
    """

    model_config = ConfigDict(extra="forbid")

    rows: float
    pages: int
    columns: dict[str, ColumnStats] = {}


class Stats(BaseModel):
    """
    The statistics of a database, by 'store.orders'.
    """

    model_config = ConfigDict(extra="forbid")

    server: int
    relations: dict[str, RelationStats]


def dump(connection: Connection, schemas: Sequence[str]) -> Stats:
    """
    Return the statistics of the tables and indexes of these schemas; it only reads.

    Raises InvalidInput where nothing was ever analysed.
    """
    cursor = connection.cursor(row_factory=tuple_row)
    found = {
        name: RelationStats(rows=rows, pages=pages)
        for _, name, rows, pages in cursor.execute(_RELATIONS, [list(schemas)]).fetchall()
    }
    if not found:
        raise InvalidInput(_why_none(schemas, is_there=bool(unseen(connection, schemas))))
    for relation, name, null_frac, width, distinct, correlation in cursor.execute(_COLUMNS, [list(schemas)]).fetchall():
        if relation in found:
            found[relation].columns[name] = ColumnStats(
                null_frac=null_frac, avg_width=width, n_distinct=distinct, correlation=correlation
            )
    return Stats(server=connection.info.server_version, relations=found)


def _why_none(schemas: Sequence[str], *, is_there: bool) -> str:
    names = ", ".join(schemas)
    if not is_there:
        return f"there is no table in {names}: correct the name, or run `store migrate up` first"
    return (
        f'no table of {names} was ever analysed: have their owner run ANALYZE, as in `psql "$STORE_MIGRATE_URL" -c ANALYZE`, '
        "or wait for autovacuum; the psql of an embedded server is printed by `store embedded start --no-json`"
    )


def unseen(connection: Connection, schemas: Sequence[str]) -> list[str]:
    """
    Return the tables that were never analysed, and that a dump leaves out.
    """
    return [str(name) for (name,) in connection.execute(_UNSEEN, [list(schemas)]).fetchall()]


def load(path: Path) -> Stats:
    """
    Return the statistics of a file. Raises InvalidInput for what `store stats dump` does not write.
    """
    try:
        return Stats.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else _faults(error)
        raise InvalidInput(f"{path}: no statistics can be read ({reason}): write them with `store stats dump`") from None


def _faults(error: ValidationError) -> str:
    found = [": ".join(part for part in (".".join(map(str, each["loc"])), each["msg"]) if part) for each in error.errors()]
    return "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")


def overlay(connection: Connection, stats: Stats) -> list[str]:
    """
    Let the planner of a scratch server see these sizes, and return the relations of the statistics that it does not have.

    Raises CannotAnalyse before PostgreSQL 18, which cannot be told.
    """
    version = connection.info.server_version
    if version < WRITTEN_FROM:
        raise CannotAnalyse(f"statistics can be restored from PostgreSQL 18 on, and this is {version // 10000}")
    _give_pages(connection)
    unknown: list[str] = []
    for name, relation in stats.relations.items():
        if connection.execute(_RESTORE, [relation.rows, name]).fetchone() is None:
            unknown.append(name)
            continue
        for column, each in relation.columns.items():
            given = [each.null_frac, each.avg_width, each.n_distinct, each.correlation, name, column]
            connection.execute(_RESTORE_COLUMN, given)
    return unknown


def _give_pages(connection: Connection) -> None:
    """
    Give every empty table a page. The planner scales rows by pages, and of a table without any it believes nothing.

    A row that is taken back leaves its page behind; the constraints that would refuse a row of NULLs come back with it.
    """
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL session_replication_role = replica")
        cursor = connection.cursor(row_factory=tuple_row)
        tables = cursor.execute(_TABLES).fetchall()
        for schema, table, domain, name in cursor.execute(_CONSTRAINTS).fetchall():
            kind = "TABLE" if table else "DOMAIN"
            command = "ALTER {} {} DROP CONSTRAINT IF EXISTS {} CASCADE"
            cursor.execute(
                sql.SQL(command).format(sql.SQL(kind), sql.Identifier(schema, table or domain), sql.Identifier(name))
            )
        for _, schema, table, columns in tables:
            for column in columns:
                command = "ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL"
                cursor.execute(sql.SQL(command).format(sql.Identifier(schema, table), sql.Identifier(column)))
            cursor.execute(sql.SQL("INSERT INTO {} DEFAULT VALUES").format(sql.Identifier(schema, table)))
