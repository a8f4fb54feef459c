"""
The nullability of columns as a walk of the plan sees it: the rule that sqlx 0.8 and 0.9 go by, told again in Python.

A column of a table is as its attnotnull says, an expression is unknown, which callers take for nullable. Then EXPLAIN is asked,
and below the top, through left and right joins only, what an inner child or a full join puts out is nullable if the top puts out
the same text. On an empty schema, as CI has it; GENERIC_PLAN where sqlx binds NULLs, which would only fold more of the plan away.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from store.contract.describe import Description, describe
from tests.databases import Connection


def not_null_columns(connection: Connection, text: str) -> list[bool | None]:
    """
    Return for each column whether it is taken for NOT NULL, None for an expression.
    """
    described = describe(connection, text)
    assert isinstance(described, Description)
    columns = [(column.table, column.attribute) for column in described.columns]
    found = connection.execute(
        """
        SELECT a.attnotnull
        FROM unnest(%s::oid[], %s::int2[]) WITH ORDINALITY AS k (rel, att, place)
        LEFT JOIN pg_attribute AS a ON (a.attrelid, a.attnum) = (k.rel, k.att) ORDER BY k.place
        """,
        [[table for table, _ in columns], [attribute for _, attribute in columns]],
    ).fetchall()
    explained = connection.execute(f"EXPLAIN (GENERIC_PLAN, VERBOSE, FORMAT JSON) {text}".encode()).fetchone()
    top = explained[0][0]["Plan"]
    shown = top.get("Output", [])
    filled_up = {shown.index(one) for one in _filled_up(top) if one in shown}
    return [False if place in filled_up else is_not_null for place, (is_not_null,) in enumerate(found)]


def _filled_up(plan: dict[str, Any]) -> Iterator[str]:
    if plan.get("Join Type") == "Full" or plan.get("Parent Relationship") == "Inner":
        yield from plan.get("Output", [])
    if plan.get("Join Type") in {"Left", "Right"}:
        for child in plan.get("Plans", []):
            yield from _filled_up(child)
