"""
What a schema is, with who may do what: two databases with the same lines have the same schema and the same grants.
"""

from __future__ import annotations

from store.migrate import _fingerprint
from tests.databases import Connection

_GRANTS = """
WITH space AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'store')
SELECT concat_ws(' ', 'grants schema', nspname, nspacl) FROM pg_catalog.pg_namespace WHERE nspname = 'store'
UNION ALL
SELECT concat_ws(' ', 'grants relation', c.relname, c.relacl) FROM pg_catalog.pg_class AS c
WHERE c.relnamespace IN (SELECT oid FROM space) AND c.relkind <> 'i'
UNION ALL
SELECT concat_ws(' ', 'grants column', a.attrelid::regclass, a.attname, a.attacl)
FROM pg_catalog.pg_attribute AS a INNER JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
WHERE c.relnamespace IN (SELECT oid FROM space) AND a.attacl IS NOT NULL
UNION ALL
SELECT concat_ws(' ', 'grants domain', t.typname, t.typacl) FROM pg_catalog.pg_type AS t
WHERE t.typnamespace IN (SELECT oid FROM space) AND t.typtype = 'd'
UNION ALL
SELECT concat_ws(' ', 'grants function', p.oid::regprocedure, p.proacl) FROM pg_catalog.pg_proc AS p
WHERE p.pronamespace IN (SELECT oid FROM space)
"""


def lines(connection: Connection) -> list[str]:
    """
    Return everything the schema `store` consists of, sorted; nothing where it does not exist.
    """
    return _fingerprint.lines(connection) + sorted(row[0] for row in connection.execute(_GRANTS).fetchall())
