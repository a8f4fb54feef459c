"""
What a schema is, as lines of text: two databases with the same lines have the same schema.
"""

from __future__ import annotations

from tests.databases import Connection

_SETTINGS = "SET search_path = ''; SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'"

_LINES = """
WITH space AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'store'),
relation AS (SELECT c.* FROM pg_catalog.pg_class AS c WHERE c.relnamespace IN (SELECT oid FROM space) AND c.relkind <> 'i')
SELECT concat_ws(' ', 'schema', nspname, 'acl', nspacl, '#', obj_description(oid, 'pg_namespace'))
FROM pg_catalog.pg_namespace WHERE nspname = 'store'
UNION ALL
SELECT concat_ws(' ', 'relation', c.relname, c.relkind, c.relpersistence, 'rls', c.relrowsecurity, 'options', c.reloptions,
    'acl', c.relacl, '#', obj_description(c.oid, 'pg_class'))
FROM relation AS c
UNION ALL
SELECT concat_ws(' ', 'column', c.relname, rank() OVER (PARTITION BY c.oid ORDER BY a.attnum), a.attname,
    format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'not null' ELSE 'null' END, 'collate', l.collname,
    'identity', nullif(a.attidentity, ''), 'generated', nullif(a.attgenerated, ''), 'default', pg_get_expr(d.adbin, d.adrelid),
    'storage', a.attstorage, 'acl', a.attacl, '#', col_description(c.oid, a.attnum))
FROM relation AS c
INNER JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = a.attcollation
UNION ALL
SELECT concat_ws(' ', 'constraint', coalesce(n.conrelid::regclass::text, n.contypid::regtype::text), n.conname,
    pg_get_constraintdef(n.oid), 'validated', n.convalidated, '#', obj_description(n.oid, 'pg_constraint'))
FROM pg_catalog.pg_constraint AS n
WHERE n.connamespace IN (SELECT oid FROM space) AND n.contype <> 'n'
UNION ALL
SELECT concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid), 'valid', i.indisvalid, 'ready', i.indisready)
FROM pg_catalog.pg_index AS i
WHERE i.indrelid IN (SELECT oid FROM relation)
UNION ALL
SELECT concat_ws(' ', 'domain', t.typname, format_type(t.typbasetype, t.typtypmod), 'not null', t.typnotnull, 'default',
    t.typdefault, 'acl', t.typacl, '#', obj_description(t.oid, 'pg_type'))
FROM pg_catalog.pg_type AS t
WHERE t.typnamespace IN (SELECT oid FROM space) AND t.typtype = 'd'
UNION ALL
SELECT concat_ws(' ', 'function', pg_get_functiondef(p.oid), 'definer', p.prosecdef, p.provolatile, p.proparallel, p.proconfig,
    'acl', p.proacl, '#', obj_description(p.oid, 'pg_proc'))
FROM pg_catalog.pg_proc AS p
WHERE p.pronamespace IN (SELECT oid FROM space)
UNION ALL
SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(g.oid), g.tgenabled)
FROM pg_catalog.pg_trigger AS g
WHERE g.tgrelid IN (SELECT oid FROM relation) AND NOT g.tgisinternal
UNION ALL
SELECT concat_ws(' ', 'sequence', s.seqrelid::regclass, s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmax, s.seqcycle)
FROM pg_catalog.pg_sequence AS s
WHERE s.seqrelid IN (SELECT oid FROM relation)
UNION ALL
SELECT concat_ws(' ', 'policy', o.polname, o.polrelid::regclass, o.polcmd, o.polroles, pg_get_expr(o.polqual, o.polrelid))
FROM pg_catalog.pg_policy AS o
WHERE o.polrelid IN (SELECT oid FROM relation)
"""


def lines(connection: Connection) -> list[str]:
    """
    Return everything the schema `store` consists of, sorted; nothing where it does not exist.
    """
    connection.execute(_SETTINGS)
    return sorted(row[0] for row in connection.execute(_LINES).fetchall())
