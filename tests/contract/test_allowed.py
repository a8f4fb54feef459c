"""
The lists of what makes no NULL of values, tried on the values that tend to.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from store.contract import allowed
from tests.databases import Connection

NUMBERS = ["0", "1", "-1", "3"]
TEXTS = ["", "x", "%", "2026-01-01", "UTC", "hour", "UTF8", "sha256", "hex"]
TIMES = ["2026-01-01", "infinity", "-infinity"]
SAMPLES = {
    "anyarray": ["{}", "{NULL}", "{1,2}"],
    "anycompatible": NUMBERS,
    "anycompatiblearray": ["{}", "{NULL}", "{1,2}"],
    "anyelement": NUMBERS,
    "anymultirange": ["{}", "{[1,3)}"],
    "anynonarray": NUMBERS,
    "anyrange": ["empty", "(,)", "[1,3)"],
    "bigint": NUMBERS,
    "boolean": ["true", "false"],
    "box": ["(0,0),(1,1)"],
    "bytea": ["", "x"],
    "character": TEXTS,
    "character varying": TEXTS,
    "cidr": ["10.0.0.0/8"],
    "date": TIMES,
    "double precision": [*NUMBERS, "NaN", "Infinity"],
    "inet": ["10.0.0.1", "::1"],
    "integer": NUMBERS,
    "interval": ["0", "1 day", "-1 month"],
    "json": ["null", "{}", "[]", '{"a": null}'],
    "jsonb": ["null", "{}", "[]", '{"a": null}', "1"],
    "money": ["0", "1"],
    "name": TEXTS,
    "numeric": [*NUMBERS, "NaN", "Infinity"],
    "oid": ["0", "1"],
    "point": ["(0,0)", "(NaN,1)"],
    "real": [*NUMBERS, "NaN", "Infinity"],
    "record": ["(1,2)"],
    "regconfig": ["simple"],
    "smallint": NUMBERS,
    "text": TEXTS,
    "text[]": ["{}", "{NULL}", "{a,b}"],
    "time without time zone": ["00:00", "24:00"],
    "timestamp with time zone": TIMES,
    "timestamp without time zone": TIMES,
    "tsquery": ["", "a & b"],
    "tsvector": ["", "a:1"],
    "uuid": ["00000000-0000-0000-0000-000000000000"],
    "xid": ["3"],
    "xid8": ["3"],
}
SAMPLES |= {
    '"char"': ["x"],
    "aclitem": ["=r/postgres"],
    "aclitem[]": ["{}"],
    "anyenum": ["open"],
    "bit": ["1"],
    "bit varying": ["1"],
    "cid": ["1"],
    "circle": ["<(0,0),1>", "<(NaN,0),NaN>"],
    "int2vector": ["1"],
    "jsonpath": ["$.a"],
    "line": ["{1,-1,0}", "{0,1,0}"],
    "lseg": ["[(0,0),(1,1)]", "[(0,0),(0,0)]"],
    "macaddr": ["08:00:2b:01:02:03"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "name[]": ["{}"],
    "oidvector": ["1"],
    "path": ["((0,0),(1,1))", "[(0,0),(1,1)]"],
    "pg_snapshot": ["1:2:"],
    "pg_lsn": ["0/0", "1/1"],
    "polygon": ["((0,0),(1,1),(1,0))", "((0,0))"],
    "real[]": ["{}", "{0.1,0.2,0.3,0.4}", "{NULL}"],
    "regclass": ["pg_class"],
    "tid": ["(0,1)"],
    "time with time zone": ["00:00+00", "24:00-15"],
    "xml": ["<a/>"],
}
CONCRETE = {
    "anyarray": "integer[]",
    "anycompatible": "integer",
    "anycompatiblearray": "integer[]",
    "anyelement": "integer",
    "anyenum": "shop.state",
    "anymultirange": "int4multirange",
    "anynonarray": "integer",
    "anyrange": "int4range",
}
OVERLOADS = """
    SELECT p.proname, array_agg(format_type(t.oid, NULL) ORDER BY t.place), p.oid::regprocedure::text
    FROM pg_proc AS p, unnest(p.proargtypes::oid[]) WITH ORDINALITY AS t (oid, place)
    WHERE
        p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset AND p.provariadic = 0
        AND p.proname = ANY (%s)
    GROUP BY p.oid, p.proname
"""
NOTHING = {"any": "'a', NULL", "text": "'[)'"}  # what is not called with NULL alone
SIGNATURES = """
    SELECT
        p.proname, ARRAY(SELECT trim(BOTH '"' FROM format_type(t, NULL)) FROM unnest(p.proargtypes::oid[]) AS t),
        p.oid::regprocedure::text
    FROM pg_proc AS p
    WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND p.proname = ANY (%s)
"""
OPERATORS = """
    SELECT o.oprname, array_remove(ARRAY[format_type(nullif(o.oprleft, 0), NULL), format_type(o.oprright, NULL)], NULL)
    FROM pg_operator AS o
    WHERE
        o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprname = ANY (%s)
        AND o.oprcode::regproc::text <> ALL (%s)
"""
TRIED = """
    CREATE FUNCTION pg_temp.is_null(expression text) RETURNS boolean LANGUAGE plpgsql AS $$
        DECLARE answer boolean;
        BEGIN
            EXECUTE 'SELECT (' || expression || ') IS NOT DISTINCT FROM NULL' INTO answer;
            RETURN answer;
        EXCEPTION WHEN OTHERS THEN RETURN NULL;
        END
    $$
"""


def calls(types: list[str]) -> Iterator[list[str]]:
    """
    Every combination of samples, at most a hundred.
    """
    values = [[f"'{one}'::{CONCRETE.get(kind, kind)}" for one in SAMPLES.get(kind, [])] for kind in types]
    values = [
        ["(SELECT r FROM (SELECT 1, NULL::integer) AS r)"] if kind == "record" else one
        for kind, one in zip(types, values, strict=True)
    ]
    return (list(one) for one in itertools.islice(itertools.product(*values), 100))


def tried(connection: Connection, expressions: list[str]) -> tuple[int, list[str]]:
    """
    Return how many expressions have a value or are NULL, and those that are NULL; what is refused does not count.
    """
    connection.execute(TRIED)
    found = connection.execute("SELECT e, pg_temp.is_null(e) FROM unnest(%s::text[]) AS e ORDER BY e", [expressions]).fetchall()
    return sum(is_null is not None for _, is_null in found), [one for one, is_null in found if is_null]


def test_functions(corpus: Connection) -> None:
    """
    A function on the list has a value for every combination of values that it does not refuse.
    """
    names = {one.partition("(")[0] for one in allowed.SIGNATURES}
    expressions: list[str] = []
    unknown: set[str] = set()
    for name, types, signature in corpus.execute(OVERLOADS, [sorted(allowed.FUNCTIONS | allowed.FIRST | names)]).fetchall():
        is_by_signature = name in names and signature.replace('"', "") not in allowed.SIGNATURES
        is_cast_of_json = any("json" in one for one in types) and not name.startswith(("json", "to_json"))
        if not is_by_signature and not is_cast_of_json:
            unknown |= {one for one in types if one not in SAMPLES}
            expressions += [f'pg_catalog."{name}"({", ".join(one)})' for one in calls(types)]
    count, nulls = tried(corpus, expressions)

    assert [] == nulls
    assert count > 1000
    assert not unknown


def test_what_is_always_there(corpus: Connection) -> None:
    """
    A function of the first list has a value even for NULL; of its namesakes, only those of this signature are on it.
    """
    names = sorted({one.partition("(")[0] for one in allowed.ALWAYS})
    expressions: list[str] = []
    known: set[str] = set()
    for name, types, signature in corpus.execute(SIGNATURES, [names]).fetchall():
        if (plain := signature.replace('"', "")) in allowed.ALWAYS:
            known.add(plain)
            expressions.append(f"pg_catalog.{name}({', '.join(NOTHING.get(one, f'NULL::{one}') for one in types)})")
    count, nulls = tried(corpus, expressions)

    assert [] == nulls
    assert len(expressions) == count
    assert allowed.ALWAYS - known <= {"uuidv4()", "uuidv7()"}  # since 18


def test_operators(corpus: Connection) -> None:
    """
    The same for operators.
    """
    expressions: list[str] = []
    asked = [sorted(allowed.OPERATORS), sorted(allowed.EXCEPTIONS)]
    unknown: set[str] = set()
    for name, types in corpus.execute(OPERATORS, asked).fetchall():
        unknown |= {one for one in types if one not in SAMPLES}
        expressions += [
            f"{left} OPERATOR(pg_catalog.{name}) {right}" for left, right in (["", *one][-2:] for one in calls(types))
        ]
    count, nulls = tried(corpus, expressions)

    assert [] == nulls
    assert count > 1000
    assert not unknown


@pytest.mark.parametrize(
    "expression",
    [
        "to_char('infinity'::timestamp, 'YYYY')",
        "extract(hour FROM 'infinity'::timestamp)",
        "'infinity'::timestamp::time",
        "scale('NaN'::numeric)",
        "upper('[1,)'::int4range)",
        "array_length('{}'::integer[], 1)",
        "substring('a' FROM 'b')",
        "concat(VARIADIC NULL::text[])",
        "'((0,0),(1,1))'::path + '((0,0),(1,1))'::path",
    ],
)
def test_what_is_left_out_has_its_reason(corpus: Connection, expression: str) -> None:
    """
    Values in, NULL out.
    """
    assert (1, [expression]) == tried(corpus, [expression])
