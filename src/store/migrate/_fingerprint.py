"""
What a schema is, as lines of text and as one hash of them: two databases with the same lines have the same schema.

Everything that a migration makes is in it, with comments. Owners and grants are not, as sql/roles.sql and sql/grants.sql give
them; nor is anything that moves without a migration: rows, statistics, the value of a sequence, where a table is stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, LiteralString

import psycopg
from psycopg.pq import TransactionStatus

OURS = ("store",)

# What else could change how the catalog prints itself.
_PINNED = {
    "search_path": "",
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
    "bytea_output": "hex",
}
# The schemas are a setting too: a statement with a parameter would be planned anew each time, which takes longer than reading.
_NAMED = "store.schemas"
# Set until the transaction ends, where it is not so yet; how it was is returned.
_SET = """
    WITH setting AS MATERIALIZED (
        SELECT s.name, coalesce(pg_catalog.current_setting(s.name, true), '') AS found, s.value
        FROM ROWS FROM (
            pg_catalog.unnest(%s::pg_catalog.text[]), pg_catalog.unnest(%s::pg_catalog.text[])
        ) AS s (name, value)
    )
    SELECT name, found, pg_catalog.set_config(name, value, true) FROM setting WHERE found OPERATOR(pg_catalog.<>) value
"""

_SPACES = """
WITH space AS (
    SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname = ANY(ARRAY(SELECT jsonb_array_elements_text(current_setting('store.schemas')::jsonb)))
),
relation AS (
    SELECT c.*, c.oid::regclass::text AS name FROM pg_catalog.pg_class AS c
    WHERE c.relnamespace = ANY(ARRAY(SELECT s.oid FROM space AS s)) AND c.relkind NOT IN ('i', 'I', 't')
)
"""

_RELATIONS = """
SELECT 'schema' AS kind, quote_ident(s.nspname) AS name, NULL AS definition,
    'pg_catalog.pg_namespace'::regclass AS catalog, s.oid AS object, 0 AS part
FROM space AS s
UNION ALL
SELECT
    CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'c' THEN 'type' ELSE 'table' END, c.name,
    concat_ws(' ',
        CASE c.relkind WHEN 'c' THEN 'composite' WHEN 'p' THEN 'partitioned' WHEN 'f' THEN 'foreign' END,
        CASE c.relpersistence WHEN 'u' THEN 'unlogged' END,
        'using ' || m.amname,
        'partition by ' || pg_get_partkeydef(c.oid),
        'inherits ' || (
            SELECT string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno)
            FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = c.oid
        ),
        pg_get_expr(c.relpartbound, c.oid),
        'with ' || (SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(c.reloptions) AS o),
        CASE WHEN c.relrowsecurity THEN 'row security' END,
        CASE WHEN c.relforcerowsecurity THEN 'row security forced' END,
        'replica identity ' || CASE c.relreplident WHEN 'f' THEN 'full' WHEN 'i' THEN 'index' WHEN 'n' THEN
            CASE c.relkind WHEN 'r' THEN 'nothing' WHEN 'p' THEN 'nothing' END END,
        'as ' || CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END
    ),
    'pg_catalog.pg_class'::regclass, c.oid, 0
FROM relation AS c
LEFT JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
WHERE c.relkind <> 'S'
UNION ALL
SELECT
    'column', c.name || '.' || quote_ident(a.attname),
    concat_ws(' ',
        rank() OVER (PARTITION BY c.oid ORDER BY a.attnum),
        format_type(a.atttypid, a.atttypmod),
        'collate ' || CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END,
        CASE WHEN a.attnotnull THEN 'not null' END,
        -- A NOT NULL that is not validated is a constraint from PostgreSQL 18 on.
        CASE WHEN EXISTS (
            SELECT FROM pg_catalog.pg_constraint AS n
            WHERE n.conrelid = c.oid AND n.contype = 'n' AND n.conkey = ARRAY[a.attnum] AND NOT n.convalidated
        ) THEN 'not valid' END,
        'identity ' || nullif(a.attidentity::text, ''),
        CASE a.attgenerated WHEN '' THEN 'default' ELSE 'generated ' || a.attgenerated::text END
            || ' ' || pg_get_expr(d.adbin, d.adrelid),
        'storage ' || nullif(a.attstorage::text, t.typstorage::text),
        'compression ' || nullif(a.attcompression::text, ''),
        'statistics ' || nullif(a.attstattarget::text, '-1'),
        'with ' || array_to_string(a.attoptions, ', ')
    ),
    'pg_catalog.pg_class'::regclass, c.oid, a.attnum
FROM relation AS c
-- OFFSET 0: by index for each relation, whatever the statistics; most of either table is of others.
CROSS JOIN LATERAL (
    SELECT b.* FROM pg_catalog.pg_attribute AS b WHERE b.attrelid = c.oid AND b.attnum > 0 AND NOT b.attisdropped OFFSET 0
) AS a
CROSS JOIN LATERAL (
    SELECT y.typcollation, y.typstorage FROM pg_catalog.pg_type AS y WHERE y.oid = a.atttypid OFFSET 0
) AS t
LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind <> 'S'
UNION ALL
SELECT
    'sequence', c.name,
    concat_ws(' ',
        format_type(q.seqtypid, NULL), 'start', q.seqstart, 'by', q.seqincrement, 'from', q.seqmin, 'to', q.seqmax,
        'cache', q.seqcache, CASE WHEN q.seqcycle THEN 'cycle' END,
        (
            SELECT 'of ' || d.refobjid::regclass::text || '.' || quote_ident(a.attname)
            FROM pg_catalog.pg_depend AS d
            INNER JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
            WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
                AND d.refobjsubid > 0
        )
    ),
    'pg_catalog.pg_class'::regclass, c.oid, 0
FROM relation AS c
INNER JOIN pg_catalog.pg_sequence AS q ON q.seqrelid = c.oid
"""

_RULES = """
-- NOT NULL is told with the column: PostgreSQL 18 keeps it as a constraint, 16 does not.
SELECT
    'constraint', coalesce(c.name, n.contypid::regtype::text) || '.' || quote_ident(n.conname),
    concat_ws(' ', pg_get_constraintdef(n.oid), 'enforced by triggers ' || g.enabled),
    'pg_catalog.pg_constraint'::regclass, n.oid, 0
FROM pg_catalog.pg_constraint AS n
INNER JOIN space AS s ON s.oid = n.connamespace
LEFT JOIN relation AS c ON c.oid = n.conrelid
LEFT JOIN (
    SELECT tgconstraint, string_agg(DISTINCT tgenabled::text, '') AS enabled FROM pg_catalog.pg_trigger
    WHERE tgisinternal AND tgenabled <> 'O' GROUP BY tgconstraint
) AS g ON g.tgconstraint = n.oid
WHERE n.contype <> 'n'
UNION ALL
SELECT
    'index', i.indexrelid::regclass::text,
    concat_ws(' ', pg_get_indexdef(i.indexrelid), CASE WHEN NOT i.indisvalid THEN 'INVALID' END,
        CASE WHEN NOT i.indisready THEN 'not ready' END, CASE WHEN i.indisclustered THEN 'clustered' END,
        CASE WHEN i.indisreplident THEN 'replica identity' END),
    'pg_catalog.pg_class'::regclass, i.indexrelid, 0
FROM pg_catalog.pg_index AS i
INNER JOIN relation AS c ON c.oid = i.indrelid
UNION ALL
SELECT
    'trigger', c.name || '.' || quote_ident(g.tgname),
    concat_ws(' ', pg_get_triggerdef(g.oid), 'enabled ' || nullif(g.tgenabled::text, 'O')),
    'pg_catalog.pg_trigger'::regclass, g.oid, 0
FROM pg_catalog.pg_trigger AS g
INNER JOIN relation AS c ON c.oid = g.tgrelid
WHERE NOT g.tgisinternal
UNION ALL
SELECT
    'rule', c.name || '.' || quote_ident(w.rulename),
    concat_ws(' ', pg_get_ruledef(w.oid), 'enabled ' || nullif(w.ev_enabled::text, 'O')),
    'pg_catalog.pg_rewrite'::regclass, w.oid, 0
FROM pg_catalog.pg_rewrite AS w
INNER JOIN relation AS c ON c.oid = w.ev_class
WHERE w.rulename <> '_RETURN'
UNION ALL
SELECT
    'policy', c.name || '.' || quote_ident(o.polname),
    concat_ws(' ', CASE WHEN o.polpermissive THEN 'permissive' ELSE 'restrictive' END, 'for', o.polcmd, 'to', (
        SELECT string_agg(CASE r WHEN 0 THEN 'public' ELSE r::regrole::text END, ', ' ORDER BY r::regrole::text COLLATE "C")
        FROM unnest(o.polroles) AS r
    ), 'using ' || pg_get_expr(o.polqual, o.polrelid), 'check ' || pg_get_expr(o.polwithcheck, o.polrelid)),
    'pg_catalog.pg_policy'::regclass, o.oid, 0
FROM pg_catalog.pg_policy AS o
INNER JOIN relation AS c ON c.oid = o.polrelid
UNION ALL
SELECT
    'statistics', quote_ident(s.nspname) || '.' || quote_ident(x.stxname),
    concat_ws(' ', pg_get_statisticsobjdef(x.oid), 'target ' || nullif(x.stxstattarget::text, '-1')),
    'pg_catalog.pg_statistic_ext'::regclass, x.oid, 0
FROM pg_catalog.pg_statistic_ext AS x
INNER JOIN space AS s ON s.oid = x.stxnamespace
"""

_TYPES = """
SELECT
    CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END, t.oid::regtype::text,
    CASE t.typtype
        WHEN 'd' THEN concat_ws(' ', format_type(t.typbasetype, t.typtypmod),
            'collate ' || CASE WHEN t.typcollation <> b.typcollation THEN t.typcollation::regcollation::text END,
            CASE WHEN t.typnotnull THEN 'not null' END, 'default ' || t.typdefault)
        WHEN 'e' THEN 'enum ' || coalesce((
            SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
            FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid
        ), '')
        WHEN 'r' THEN (
            SELECT concat_ws(' ', 'range of', format_type(r.rngsubtype, NULL), nullif(r.rngcollation, 0)::regcollation,
                nullif(r.rngcanonical::oid, 0)::regproc, nullif(r.rngsubdiff::oid, 0)::regproc)
            FROM pg_catalog.pg_range AS r WHERE r.rngtypid = t.oid
        )
        ELSE concat_ws(' ', 'base', t.typinput, t.typoutput)
    END,
    'pg_catalog.pg_type'::regclass, t.oid, 0
FROM pg_catalog.pg_type AS t
LEFT JOIN pg_catalog.pg_type AS b ON b.oid = t.typbasetype
WHERE t.typnamespace = ANY(ARRAY(SELECT s.oid FROM space AS s)) AND t.typtype IN ('d', 'e', 'r', 'b') AND t.typelem = 0
UNION ALL
SELECT
    CASE p.prokind WHEN 'a' THEN 'aggregate' WHEN 'p' THEN 'procedure' ELSE 'function' END, p.oid::regprocedure::text,
    CASE p.prokind
        WHEN 'a' THEN (
            SELECT concat_ws(' ', format_type(p.prorettype, NULL), g.aggtransfn, format_type(g.aggtranstype, NULL),
                nullif(g.aggfinalfn::oid, 0)::regproc, nullif(g.aggcombinefn::oid, 0)::regproc, g.agginitval, p.proparallel)
            FROM pg_catalog.pg_aggregate AS g WHERE g.aggfnoid = p.oid
        )
        ELSE pg_get_functiondef(p.oid)
    END,
    'pg_catalog.pg_proc'::regclass, p.oid, 0
FROM pg_catalog.pg_proc AS p
WHERE p.pronamespace = ANY(ARRAY(SELECT s.oid FROM space AS s))
UNION ALL
-- What a schema of ours has no use for so far: collations, operators, text search, extensions. Their coming and going shows.
SELECT i.type, i.identity, NULL, d.classid, d.objid, 0
FROM pg_catalog.pg_depend AS d
INNER JOIN space AS s ON s.oid = d.refobjid AND d.refclassid = 'pg_catalog.pg_namespace'::regclass
CROSS JOIN pg_identify_object(d.classid, d.objid, 0) AS i
WHERE d.classid NOT IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_type'::regclass,
    'pg_catalog.pg_constraint'::regclass, 'pg_catalog.pg_statistic_ext'::regclass, 'pg_catalog.pg_default_acl'::regclass)
"""

_LINES: LiteralString = f"""
{_SPACES}
SELECT l.kind, l.name, l.definition, (
    SELECT d.description FROM pg_catalog.pg_description AS d
    WHERE d.classoid = l.catalog AND d.objoid = l.object AND d.objsubid = l.part
)
FROM ({_RELATIONS} UNION ALL {_RULES} UNION ALL {_TYPES}) AS l
"""  # noqa: S608 (of the texts above)


def lines(connection: psycopg.Connection[Any], schemas: Sequence[str] = OURS) -> list[str]:
    """
    Return every object of these schemas as one line, sorted; nothing where they do not exist.

    The same on every supported version of PostgreSQL, whatever the settings of the session, which are left as they were. Only
    reads; inside a transaction it sees what the transaction did.
    """
    if connection.info.transaction_status == TransactionStatus.IDLE:
        with connection.transaction():
            return _read(connection, schemas)
    return _read(connection, schemas)


def fingerprint(connection: psycopg.Connection[Any], schemas: Sequence[str] = OURS) -> str:
    """
    Return the sha256 of these lines, in hexadecimal.
    """
    return digest(lines(connection, schemas))


def digest(found: Sequence[str]) -> str:
    """
    Return the hash of lines that were read before.
    """
    return hashlib.sha256("".join(line + "\n" for line in found).encode()).hexdigest()


def difference(expected: Sequence[str], found: Sequence[str]) -> list[str]:
    """
    Return, for each object that differs, a sentence that names it: missing, unexpected, or how it differs.
    """
    wanted, there = _by_name(expected), _by_name(found)
    told: list[str] = []
    for name in sorted({*wanted, *there}):
        if name not in there:
            told.append(f"{name} is missing")
        elif name not in wanted:
            told.append(f"{name} is unexpected")
        elif wanted[name] != there[name]:
            told.append(f"{name} differs: expected {wanted[name]!r}, found {there[name]!r}")
    return told


def _read(connection: psycopg.Connection[Any], schemas: Sequence[str]) -> list[str]:
    # Set and set back instead of a savepoint: who reads within a transaction leaves no subtransaction behind.
    wanted = _PINNED | {_NAMED: json.dumps(list(schemas))}
    changed = connection.execute(_SET, (list(wanted), list(wanted.values()))).fetchall()
    found = connection.execute(_LINES, prepare=True).fetchall()
    if before := {name: value for name, value, _ in changed if value or name != _NAMED}:
        connection.execute(_SET, (list(before), list(before.values())))
    return sorted(_line(*row) for row in found)


def _line(kind: str, name: str, definition: str | None, comment: str | None) -> str:
    # A body has line breaks, a line has none.
    text = f"{kind} {name}: {definition or ''}" + (f" -- {comment}" if comment else "")
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").rstrip()


def _by_name(found: Sequence[str]) -> dict[str, str]:
    parts = (line.partition(": ") for line in found)
    return {name.removesuffix(":"): definition for name, _, definition in parts}
