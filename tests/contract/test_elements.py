"""
Arrays that are said to hold no NULL, and those of which nothing is said.
"""

from __future__ import annotations

import pytest

from store.contract.analyse import analyse
from store.contract.facts import Facts
from tests.contract.test_analyse import Query
from tests.databases import Connection

FULL = [
    "SELECT array_agg(u.email) AS a FROM shop.users AS u",
    "SELECT coalesce(array_agg(u.email ORDER BY u.id), '{}') AS a FROM shop.users AS u",
    "SELECT array_agg(u.name) FILTER (WHERE u.name IS NOT NULL AND u.is_active) AS a FROM shop.users AS u",
    "SELECT ARRAY(SELECT u.email FROM shop.users AS u) AS a",
    "SELECT (SELECT array_agg(u.id) FROM shop.users AS u) AS a",
    "SELECT ARRAY(SELECT u.name FROM shop.users AS u WHERE u.name IS NOT NULL) AS a",
    "SELECT ARRAY[u.id, 1] AS a FROM shop.users AS u",
    "SELECT '{a,b}'::text[] AS a",
    "SELECT NULL::text[] AS a",
    "SELECT array_remove(u.tags, NULL) AS a FROM shop.users AS u",
    "SELECT string_to_array(u.email, '@') AS a FROM shop.users AS u",
    "SELECT CASE WHEN u.is_active THEN ARRAY[u.id] ELSE '{}' END AS a FROM shop.users AS u",
    "WITH t AS (SELECT array_agg(u.id) AS ids FROM shop.users AS u) SELECT t.ids AS a FROM t",
    (
        "SELECT t.ids AS a FROM shop.users AS u LEFT JOIN (SELECT i.order_id, array_agg(i.sku) AS ids FROM shop.items AS i"
        " GROUP BY i.order_id) AS t ON t.order_id = u.id"
    ),
]
OPEN = [
    "SELECT u.tags AS a FROM shop.users AS u",
    "SELECT array_agg(u.name) AS a FROM shop.users AS u",
    "SELECT array_agg(u.name) FILTER (WHERE u.email IS NOT NULL) AS a FROM shop.users AS u",
    "SELECT array_agg(u.name) FILTER (WHERE u.name IS NULL) AS a FROM shop.users AS u",
    "SELECT array_agg(o.id) AS a FROM shop.users AS u LEFT JOIN shop.orders AS o ON o.user_id = u.id",
    "SELECT array_agg(u.tags) AS a FROM shop.users AS u",  # of arrays, whose elements are its own
    "SELECT ARRAY(SELECT u.tags FROM shop.users AS u) AS a",
    "SELECT ARRAY(SELECT ARRAY(SELECT u.name FROM shop.users AS u)) AS a",
    "SELECT ARRAY(SELECT u.name FROM shop.users AS u) AS a",
    "SELECT ARRAY[u.id, u.age] AS a FROM shop.users AS u",
    "SELECT ARRAY[u.tags, u.tags] AS a FROM shop.users AS u",
    "SELECT '{a,NULL}'::text[] AS a",
    "SELECT coalesce(array_agg(u.email), ARRAY[NULL]) AS a FROM shop.users AS u",
    "SELECT array_remove(u.tags, 'x') AS a FROM shop.users AS u",
    "SELECT string_to_array(u.email, '@', 'x') AS a FROM shop.users AS u",
    "SELECT array_agg(u.email) AS a FROM shop.users AS u UNION ALL SELECT ARRAY[NULL]",
    "SELECT :a::text[] AS a",
]


@pytest.mark.parametrize("full", [True, False])
def test_which_arrays_hold_no_null(corpus: Connection, full):
    texts = FULL if full else OPEN
    named = {text: Query(text.replace(":a", "$1"), ("a",) if ":a" in text else (), title=text) for text in texts}
    found = analyse(corpus, named.values())

    for text, facts in found.items():
        assert isinstance(facts, Facts), (text, facts)
        assert facts.columns[0].type.endswith("[]"), text
        assert facts.columns[0].may_hold_null is not full, text


def test_why_it_may_be_null_stands_beside(corpus: Connection):
    (facts,) = analyse(corpus, [Query('SELECT array_agg(u.id) AS "a!" FROM shop.users AS u')]).values()

    assert isinstance(facts, Facts)
    assert (False, "declared, no null elements") == (facts.columns[0].is_nullable, facts.columns[0].note)
