"""
What the catalogue says of everything some analysed queries name: one question a kind of object, however many queries there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from psycopg import Connection
from psycopg.rows import tuple_row

from store.contract.functions import Function, load_functions
from store.contract.nodes import Node, queries_of, regclass
from store.errors import CannotAnalyse

# A column is NOT NULL when it is so in the table and in everything that inherits from it. PostgreSQL 18 also calls a column
# NOT NULL whose constraint was never validated; rows of a foreign table nobody checks, and a rule returns what it likes.
_RELATIONS = """
    WITH RECURSIVE family AS (
        SELECT r.oid AS root, r.oid AS member FROM unnest(%s::oid[]) AS r (oid)
        UNION
        SELECT f.root, i.inhrelid FROM family AS f INNER JOIN pg_catalog.pg_inherits AS i ON i.inhparent = f.member
    ), relations (oid, schema, name, spelled, kind, has_children, events, has_rules, rule) AS MATERIALIZED (
        SELECT
            c.oid, n.nspname, c.relname, c.oid::regclass::text, c.relkind::text,
            EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = c.oid),
            (
                SELECT coalesce(bit_or(g.tgtype::integer), 0)
                FROM family AS f INNER JOIN pg_catalog.pg_trigger AS g ON g.tgrelid = f.member
                WHERE f.root = c.oid AND g.tgtype::integer & 3 = 3 AND NOT g.tgisinternal
            ),
            EXISTS (SELECT FROM pg_catalog.pg_rewrite AS w WHERE w.ev_class = c.oid AND w.ev_type <> '1'),
            (
                SELECT w.ev_action::text FROM pg_catalog.pg_rewrite AS w
                WHERE w.ev_class = c.oid AND w.ev_type = '1' AND c.relkind = 'v'
            )
        FROM pg_catalog.pg_class AS c INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.oid = ANY (%s::oid[])
    )
    SELECT
        r.*,
        a.attnum, a.attname, a.attnotnull OR t.typnotnull, t.typnotnull,
        a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL,
        NOT c.relhasrules AND NOT EXISTS (
            SELECT
            FROM family AS f
            INNER JOIN pg_catalog.pg_class AS k ON k.oid = f.member
            INNER JOIN pg_catalog.pg_attribute AS m ON m.attrelid = f.member AND m.attname = a.attname
            WHERE
                f.root = c.oid
                AND (
                    NOT m.attnotnull
                    OR k.relkind = 'f'
                    OR EXISTS (
                        SELECT FROM pg_catalog.pg_constraint AS o
                        WHERE
                            o.conrelid = m.attrelid AND o.contype = 'n' AND NOT o.convalidated
                            AND m.attnum = ANY (o.conkey)
                    )
                )
        )
    FROM relations AS r
    INNER JOIN pg_catalog.pg_class AS c ON c.oid = r.oid
    INNER JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND NOT a.attisdropped
    INNER JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
"""
# What an index holds for the rows of one table alone says nothing about the tables that inherit from it. Between two types an
# equality tells all values apart only in the families named: two timestamps equal one timestamptz when the clocks are put back.
_INDEXES = """
    SELECT
        x.indrelid, c.relname, (x.indkey::int2[])[0 : x.indnkeyatts - 1], (x.indcollation::oid[])[0 : x.indnkeyatts - 1],
        ARRAY(
            SELECT pg_catalog.array_to_string(ARRAY(
                SELECT o.amopopr::text FROM pg_catalog.pg_amop AS o
                INNER JOIN pg_catalog.pg_opfamily AS m ON m.oid = o.amopfamily
                WHERE
                    o.amopfamily = f.opcfamily AND o.amopstrategy = 3 AND o.amopmethod = 403
                    AND (
                        o.amoplefttype = o.amoprighttype
                        OR (
                            m.opfnamespace = 'pg_catalog'::regnamespace
                            AND m.opfname IN ('integer_ops', 'float_ops', 'text_ops')
                        )
                    )
            ), ' ')
            FROM unnest((x.indclass::oid[])[0 : x.indnkeyatts - 1]) WITH ORDINALITY AS k (class, place)
            INNER JOIN pg_catalog.pg_opclass AS f ON f.oid = k.class
            ORDER BY k.place
        )
    FROM pg_catalog.pg_index AS x
    INNER JOIN pg_catalog.pg_class AS c ON c.oid = x.indexrelid
    INNER JOIN pg_catalog.pg_class AS r ON r.oid = x.indrelid
    WHERE
        x.indrelid = ANY (%s::oid[]) AND x.indisunique AND x.indisvalid AND x.indimmediate
        AND x.indpred IS NULL AND x.indexprs IS NULL
        AND (r.relkind = 'p' OR NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = r.oid))
    ORDER BY x.indisprimary DESC, c.relname
"""
# What goes or changes with the rows of a table that are deleted, down through every foreign key.
_CASCADES = """
    WITH RECURSIVE cascades AS (
        SELECT r.oid AS root, k.*
        FROM unnest(%s::oid[]) AS r (oid) INNER JOIN pg_catalog.pg_constraint AS k ON k.confrelid = r.oid
        WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confdeltype IN ('c', 'n', 'd')
        UNION
        SELECT c.root, k.*
        FROM cascades AS c INNER JOIN pg_catalog.pg_constraint AS k ON k.confrelid = c.conrelid
        WHERE c.confdeltype = 'c' AND k.contype = 'f' AND k.conparentid = 0 AND k.confdeltype IN ('c', 'n', 'd')
    )
    SELECT c.root, c.conname, n.nspname || '.' || r.relname, c.confdeltype = 'c', ARRAY(
        SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = c.conrelid AND a.attnum = ANY (coalesce(c.confdelsetcols, c.conkey))
    )
    FROM cascades AS c
    INNER JOIN pg_catalog.pg_class AS r ON r.oid = c.conrelid
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace
"""
# Functions and sequences that a row needs which is written: of CHECKs, defaults, generated columns and indexes, by column or 0.
_EXPRESSIONS = """
    WITH dependents (relation, spot, classid, objid) AS (
        SELECT f.adrelid, f.adnum::integer, 'pg_catalog.pg_attrdef'::regclass, f.oid
        FROM pg_catalog.pg_attrdef AS f WHERE f.adrelid = ANY (%s::oid[])
        UNION ALL
        SELECT o.conrelid, 0, 'pg_catalog.pg_constraint'::regclass, o.oid
        FROM pg_catalog.pg_constraint AS o WHERE o.contype = 'c' AND o.conrelid = ANY (%s::oid[])
        UNION ALL
        SELECT a.attrelid, 0, 'pg_catalog.pg_constraint'::regclass, o.oid
        FROM pg_catalog.pg_attribute AS a INNER JOIN pg_catalog.pg_constraint AS o ON o.contypid = a.atttypid
        WHERE a.attrelid = ANY (%s::oid[]) AND a.attnum > 0
        UNION ALL
        SELECT i.indrelid, 0, 'pg_catalog.pg_class'::regclass, i.indexrelid
        FROM pg_catalog.pg_index AS i WHERE i.indrelid = ANY (%s::oid[])
    )
    SELECT p.relation, p.spot, d.refclassid = 'pg_catalog.pg_class'::regclass, d.refobjid
    FROM dependents AS p
    INNER JOIN pg_catalog.pg_depend AS d ON d.classid = p.classid AND d.objid = p.objid
    LEFT JOIN pg_catalog.pg_sequence AS s ON s.seqrelid = d.refobjid AND d.refclassid = 'pg_catalog.pg_class'::regclass
    WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass OR (s.seqrelid IS NOT NULL AND p.spot > 0)
"""
_TRIGGERS = """
    SELECT g.tgrelid, g.tgfoid FROM pg_catalog.pg_trigger AS g WHERE g.tgrelid = ANY (%s::oid[]) AND NOT g.tgisinternal
"""
_OPERATORS = """
    SELECT o.oid, n.nspname, o.oprname
    FROM pg_catalog.pg_operator AS o INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace
    WHERE o.oid = ANY (%s::oid[])
"""
_TYPES = """
    SELECT k.oid, k.modifier, pg_catalog.format_type(k.oid, k.modifier), t.typtype = 'd'
    FROM unnest(%s::oid[], %s::integer[]) AS k (oid, modifier) INNER JOIN pg_catalog.pg_type AS t ON t.oid = k.oid
"""
_NUMERICS = """
    WITH RECURSIVE parts (part, whole) AS MATERIALIZED (
        SELECT t.typelem, t.oid FROM pg_catalog.pg_type AS t WHERE t.typelem <> 0
        UNION ALL
        SELECT t.typbasetype, t.oid FROM pg_catalog.pg_type AS t WHERE t.typbasetype <> 0
        UNION ALL
        SELECT a.atttypid, c.reltype
        FROM pg_catalog.pg_class AS c
        INNER JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.reltype <> 0
    ), exact (oid) AS (
        SELECT 'pg_catalog.numeric'::regtype::oid
        UNION
        SELECT p.whole FROM exact AS e INNER JOIN parts AS p ON p.part = e.oid
    )
    SELECT e.oid FROM exact AS e
"""
_ARRAYS = "SELECT t.oid FROM pg_catalog.pg_type AS t WHERE t.typcategory = 'A'"
_COLLATIONS = "SELECT c.oid FROM pg_catalog.pg_collation AS c WHERE NOT c.collisdeterministic"
ON_INSERT, ON_UPDATE = 4, 16  # of pg_trigger.tgtype


@dataclass(frozen=True, slots=True)
class Attribute:
    """
    A column of a table or view.
    """

    name: str
    demands: bool
    """Whether a NULL is refused when a row is written."""
    is_demanding_type: bool
    """Whether its type takes no NULL, which is asked where a value becomes one of the type, and not where it is stored."""
    has_default: bool
    is_not_null: bool
    """Whether no NULL is ever read. A NOT NULL domain is no proof: an empty scalar subquery gets past it into a column."""


@dataclass(frozen=True, slots=True)
class UniqueIndex:
    """
    A unique index on plain columns, without a condition.
    """

    name: str
    keys: tuple[int, ...]
    collations: tuple[int, ...]
    equalities: tuple[frozenset[int], ...]
    """The operators that are its equality, a set a key."""


class Cascade(NamedTuple):
    """
    What a foreign key does when the row it points to is deleted: 'deletes' rows, or 'writes' columns.
    """

    constraint: str
    verb: str
    items: tuple[str, ...]


@dataclass(slots=True)
class Relation:
    """
    A table or view.
    """

    name: str
    """Without the schema where that is `store`."""
    spelled: str
    """As SQL writes it, schema and quotes included."""
    kind: str
    has_children: bool
    events: int
    """On what triggers see a row before its NOT NULL columns are checked: the bits of pg_trigger.tgtype."""
    has_rules: bool
    """Whether something is done instead of, or besides, what a statement that writes it says."""
    view: Node | None
    cascades: list[Cascade] = field(default_factory=list["Cascade"])
    """What a DELETE of its rows does elsewhere."""
    functions: set[int] = field(default_factory=set[int])
    """Those that PostgreSQL calls when a row is written, with the rights of who writes it: of CHECKs, defaults and indexes."""
    triggers: set[int] = field(default_factory=set[int])
    """The functions of its triggers, which nobody needs a right to call."""
    sequences: dict[int, int] = field(default_factory=dict[int, int])
    """The sequence that a column takes its default from. Of an identity column nobody needs a right on it."""
    attributes: dict[int, Attribute] = field(default_factory=dict[int, Attribute])
    indexes: list[UniqueIndex] = field(default_factory=list[UniqueIndex])

    def fills(self, event: int) -> bool:
        """
        Whether a trigger may put a value into a column that takes no NULL, on INSERT or UPDATE.
        """
        return bool(self.events & event)


@dataclass(frozen=True, slots=True)
class Operator:
    """
    An operator by its name.
    """

    name: str
    is_built_in: bool


@dataclass(frozen=True, slots=True)
class Type:
    """
    A type with its modifier, as format_type writes it.
    """

    name: str
    is_domain: bool


@dataclass(slots=True)
class Catalog:
    """
    The objects that some queries name, by OID.
    """

    relations: dict[int, Relation] = field(default_factory=dict[int, Relation])
    functions: dict[int, Function] = field(default_factory=dict[int, Function])
    operators: dict[int, Operator] = field(default_factory=dict[int, Operator])
    types: dict[tuple[int, int], Type] = field(default_factory=dict[tuple[int, int], Type])
    loose_collations: frozenset[int] = frozenset()
    """Those under which different texts are equal."""
    arrays: frozenset[int] = frozenset()
    numerics: frozenset[int] = frozenset()
    """The type numeric, its domains, and the arrays and rows that hold one at any depth."""


def load(connection: Connection[Any], queries: Iterable[Node], catalog: Catalog) -> None:
    """
    Fill the catalogue with what these queries name, down through every view and every SQL function.
    """
    waiting = list(queries)
    functions: set[int] = set()
    operators: set[int] = set()
    while waiting:
        relations: set[int] = {each for one in catalog.relations.values() for each in one.sequences.values()}
        functions.update(*(query.called for query in waiting))
        for node in (node for query in waiting for node in query.below):
            if node.tag == "CONST":
                relations.add(regclass(node))
            elif "relid" in node:
                relations.add(node["relid"])
            elif "opno" in node:
                operators.add(node["opno"])
        added = _load_relations(connection, sorted(relations - catalog.relations.keys() - {0}), catalog)
        functions |= {each for relation in added for each in relation.functions | relation.triggers}
        waiting = [relation.view for relation in added if relation.view is not None]
        called = load_functions(connection, sorted(functions - catalog.functions.keys()))
        catalog.functions |= called
        waiting += [body for function in called.values() for body in function.bodies or ()]
    for oid, schema, name in _ask(connection, _OPERATORS, [sorted(operators)]):
        catalog.operators[oid] = Operator(name, schema == "pg_catalog")
    catalog.loose_collations = frozenset(oid for (oid,) in _ask(connection, _COLLATIONS, []))
    catalog.arrays = frozenset(oid for (oid,) in _ask(connection, _ARRAYS, []))
    catalog.numerics = frozenset(oid for (oid,) in _ask(connection, _NUMERICS, []))


def load_types(connection: Connection[Any], types: Iterable[tuple[int, int]], catalog: Catalog) -> None:
    """
    Name these types, each with its modifier.
    """
    wanted = sorted(set(types) - catalog.types.keys())
    if wanted:
        arguments = [[oid for oid, _ in wanted], [modifier for _, modifier in wanted]]
        for oid, modifier, name, is_domain in _ask(connection, _TYPES, arguments):
            catalog.types[oid, modifier] = Type(name, is_domain)


def plain(name: str) -> str:
    """
    Return a qualified name without the schema `store`.
    """
    return name.removeprefix("store.")


def _load_relations(connection: Connection[Any], oids: list[int], catalog: Catalog) -> list[Relation]:
    if not oids:
        return []
    for oid, schema, name, spelled, kind, has_children, events, has_rules, rule, number, *column in _ask(
        connection, _RELATIONS, [oids, oids]
    ):
        if oid not in catalog.relations:
            view = _view(f"{schema}.{name}", rule) if rule is not None else None
            catalog.relations[oid] = Relation(plain(f"{schema}.{name}"), spelled, kind, has_children, events, has_rules, view)
        catalog.relations[oid].attributes[number] = Attribute(*column)
    for oid, name, keys, collations, equalities in _ask(connection, _INDEXES, [oids]):
        operators = tuple(frozenset(map(int, found.split())) for found in equalities)
        catalog.relations[oid].indexes.append(UniqueIndex(name, tuple(keys), tuple(collations), operators))
    for oid, constraint, name, deletes, columns in _ask(connection, _CASCADES, [oids]):
        shown = plain(name)
        made = Cascade(constraint, "deletes", (shown,)) if deletes else None
        catalog.relations[oid].cascades.append(
            made or Cascade(constraint, "writes", tuple(f"{shown}.{each}" for each in columns))
        )
    for oid, column, is_sequence, used in _ask(connection, _EXPRESSIONS, [oids] * 4):
        if is_sequence:
            catalog.relations[oid].sequences[column] = used
        else:
            catalog.relations[oid].functions.add(used)
    for oid, called in _ask(connection, _TRIGGERS, [oids]):
        catalog.relations[oid].triggers.add(called)
    return [catalog.relations[oid] for oid in oids if oid in catalog.relations]


def _view(name: str, rule: str) -> Node:
    try:
        return queries_of(rule)[0]
    except RecursionError:
        raise CannotAnalyse(f"the view {name} is nested too deeply to be analysed: break it up") from None


def _ask(connection: Connection[Any], question: str, arguments: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(question.encode(), arguments, prepare=False).fetchall()
