"""
The analyser's door, its refusals, and its facts of the project's own queries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from store._sync.queries import queries
from store.contract.analyse import analyse
from store.contract.facts import Facts, Rejection
from store.contract.nodes import Node, read
from store.errors import CannotAnalyse
from tests.databases import Connection

LEFT_BEHIND = """
    SELECT
        (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_depend),
        (SELECT count(*) FROM pg_namespace), (SELECT count(*) FROM pg_type), (SELECT count(*) FROM pg_prepared_statements),
        current_setting('search_path'), current_setting('TimeZone'), current_setting('DateStyle')
"""


@dataclass(frozen=True)
class Query:
    """
    A statement of a test.
    """

    text: str
    parameters: Sequence[str] = ()
    kind: str = "query"
    title: str = "test.query"


def facts_of(connection: Connection, text: str, *parameters: str, search_path: str = "") -> Facts:
    found = analyse(connection, [Query(text, parameters)], search_path=search_path)["test.query"]
    assert isinstance(found, Facts), found
    return found


def finding_of(connection: Connection, text: str, *parameters: str) -> Rejection:
    found = analyse(connection, [Query(text, parameters)])["test.query"]
    assert isinstance(found, Rejection)
    return found


# --- the project's own queries ---------------------------------------------------------------------------------------


@pytest.fixture
def own(connect_admin: Connection) -> dict[str, Any]:
    """
    What the analyser says of sql/queries on the migrated schema.
    """
    return analyse(connect_admin, queries.texts)


def test_own_queries_have_facts(own: dict[str, Any]) -> None:
    """
    PostgreSQL has nothing against any of them, and what may be None by their headers is optional.
    """
    assert [one.title for one in queries.texts] == list(own)
    assert [] == [name for name, one in own.items() if isinstance(one, Rejection)]
    for one in queries.texts:
        required = {parameter.name for parameter in own[one.title].parameters if parameter.is_required}
        assert not required & one.nullable, one.title


def test_orders_place(own: dict[str, Any]) -> None:
    """
    Placing takes its holds and its stock, and answers with one verdict.
    """
    facts = own["orders.place_order"]

    assert ("inventory FOR NO KEY UPDATE", "reservations FOR UPDATE") == facts.locks
    assert {"inventory.on_hand", "orders.id", "orders.total", "outbox.payload", "reservations (delete)"} <= set(facts.writes)
    assert {"cart_items.quantity", "inventory.reserved", "products.price", "users.email"} <= set(facts.reads)
    assert "users.password_hash" not in facts.reads
    assert facts.mode == "write"
    assert facts.at_most_one is not None
    assert {"lines": False, "placed": True}.items() <= {one.name: one.is_nullable for one in facts.columns}.items()


def test_carts_add_item(own: dict[str, Any]) -> None:
    """
    Adding a line needs a cart; what became of a product that is not there, it answers.
    """
    facts = own["carts.add_cart_item"]
    columns = {one.name: (one.type, one.is_nullable, one.origin, one.note) for one in facts.columns}

    assert {"cart_id"} == {one.name for one in facts.parameters if one.is_required}
    assert columns["cart_status"] == ("text", False, "carts.status", None)
    assert columns["product_id"] == ("bigint", True, "products.id", "left join")
    assert facts.locks == ("carts FOR NO KEY UPDATE",)
    assert "cart_items.quantity" in facts.writes
    assert "in_scope(...) immutable" in facts.functions
    assert "now() stable" in facts.functions


def test_inventory_reserve(own: dict[str, Any]) -> None:
    """
    Reserving locks stock, and writes holds and counters.
    """
    facts = own["inventory.reserve_stock"]

    assert "inventory FOR NO KEY UPDATE" in facts.locks
    assert {"inventory.reserved", "reservations.quantity"} <= set(facts.writes)
    assert facts.mode == "write"


def test_domains_are_recovered(own: dict[str, Any]) -> None:
    """
    The protocol says numeric, the contract says amount.
    """
    types = {one.name: one.type for one in own["orders.get_orders"].columns}

    assert types["total"] == "amount"
    assert types["placed_at"] == "timestamp with time zone"


def test_copy_has_a_mode_only(own: dict[str, Any]) -> None:
    """
    PostgreSQL analyses a COPY when it runs.
    """
    assert Facts(mode="write") == own["imports.copy_products_in"]
    assert Facts(mode="read") == own["imports.copy_products_out"]


# --- the door --------------------------------------------------------------------------------------------------------


def test_nothing_is_left_behind(corpus: Connection) -> None:
    """
    No object, no setting, no prepared statement: whatever was refused in between.
    """
    before = corpus.execute(LEFT_BEHIND).fetchone()
    statements = [
        Query("INSERT INTO shop.users (email) VALUES ($1)", ["email"], title="a"),
        Query("SELEC", title="b"),
        Query("LOCK TABLE shop.users", title="c"),
        Query("SELECT u.id FROM shop.users AS u FOR UPDATE", title="d"),
    ]
    found = analyse(corpus, statements)

    assert ["a", "b", "c", "d"] == list(found)
    assert [Facts, Rejection, Rejection, Facts] == [type(one) for one in found.values()]
    assert before == corpus.execute(LEFT_BEHIND).fetchone()
    assert psycopg.pq.TransactionStatus.IDLE == corpus.info.transaction_status
    assert corpus.execute("SELECT count(*) FROM pg_locks WHERE relation = 'shop.users'::regclass").fetchone() == (0,)
    assert corpus.execute("SELECT count(*) FROM shop.users").fetchone() == (0,)


def test_without_autocommit(corpus: Connection) -> None:
    """
    A connection that opens transactions by itself serves as well.
    """
    corpus.set_autocommit(False)

    assert facts_of(corpus, "SELECT u.id FROM shop.users AS u").columns[0].origin == "shop.users.id"
    assert psycopg.pq.TransactionStatus.IDLE == corpus.info.transaction_status


def test_inside_a_transaction_it_is_refused(corpus: Connection) -> None:
    """
    What the caller has done so far would be rolled back.
    """
    with corpus.transaction():
        corpus.execute("CREATE TABLE kept ()")
        with pytest.raises(CannotAnalyse, match="inside a transaction"):
            analyse(corpus, [Query("SELECT 1")])

    assert corpus.execute("SELECT 'kept'::regclass").fetchone() is not None


def test_read_only_is_refused(corpus: Connection) -> None:
    """
    A standby, or a session that may not write, cannot hold the query for a moment.
    """
    corpus.execute("SET default_transaction_read_only = on")
    with pytest.raises(CannotAnalyse, match="read-only") as refused:
        analyse(corpus, [Query("SELECT 1")])

    assert refused.value.sqlstate == "25006"
    assert psycopg.pq.TransactionStatus.IDLE == corpus.info.transaction_status


def test_a_role_without_temporary_is_refused(connect_admin: Connection, connect_as: Callable[[str], Connection]) -> None:
    """
    The message says which right is missing.
    """
    connect_admin.execute(
        "DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$"
    )
    with pytest.raises(CannotAnalyse, match="GRANT TEMPORARY") as refused:
        analyse(connect_as("store_app"), [Query("SELECT 1")])

    assert refused.value.sqlstate == "42501"


def test_rights_on_tables_are_not_needed(connect_admin: Connection, connect_as: Callable[[str], Connection]) -> None:
    """
    What a role could not run it can still have analysed.
    """
    connect_admin.execute(
        "DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO store_app', current_database()); END $$"
    )
    role = connect_as("store_app")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        role.execute("SELECT password_hash FROM store.users")

    assert facts_of(role, "SELECT u.password_hash FROM store.users AS u").reads == ("users.password_hash",)


# --- findings --------------------------------------------------------------------------------------------------------

FINDINGS = {
    "SELECT 1; SELECT 2": ("42601", None),
    "SELECT 'é', nothing": ("42703", 13),
    "SELECT u.id FROM users AS u": ("42P01", 18),
    "SELECT $1 IS NULL": ("42P18", None),
    "LOCK TABLE shop.users": ("0A000", None),
    "SET work_mem = '1MB'": ("0A000", None),
    "TRUNCATE shop.users": ("0A000", None),
    "INSERT INTO shop.users (name) VALUES ('x')": ("23502", None),
    "INSERT INTO shop.users (email) VALUES (DEFAULT)": ("23502", None),
    "INSERT INTO shop.users DEFAULT VALUES": ("23502", None),
    "WITH c AS (INSERT INTO shop.users (name) SELECT 'x' RETURNING id) SELECT c.id FROM c": ("23502", None),
    "MERGE INTO shop.users AS u USING shop.orders AS o ON o.id = u.id WHEN NOT MATCHED THEN INSERT (name) VALUES ('x')": (
        "23502",
        None,
    ),
}


@pytest.mark.parametrize("text", FINDINGS)
def test_findings(corpus: Connection, text: str) -> None:
    """
    What PostgreSQL refuses, and what it would refuse at run time, by SQLSTATE and place; the place counts characters.
    """
    sqlstate, position = FINDINGS[text]
    found = finding_of(corpus, text, *(["p"] if "$1" in text else []))

    assert sqlstate == found.sqlstate
    if position is not None:
        assert position == found.position


def test_a_finding_says_what_to_do(corpus: Connection) -> None:
    """
    The parameter nobody types, and the column nobody fills.
    """
    assert "`:name::text`" in finding_of(corpus, "SELECT $1 IS NULL", "p").message
    assert "shop.users.email" in finding_of(corpus, "INSERT INTO shop.users (name) VALUES ('x')").message


def test_a_trigger_may_fill_the_column(corpus: Connection) -> None:
    """
    NOT NULL is checked behind BEFORE triggers.
    """
    corpus.execute(
        "CREATE FUNCTION shop.fill() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.email := now()::text; RETURN NEW; END'"
    )
    corpus.execute("CREATE TRIGGER filled BEFORE INSERT ON shop.users FOR EACH ROW EXECUTE FUNCTION shop.fill()")

    assert facts_of(corpus, "INSERT INTO shop.users (name) VALUES ('x')").writes == ("shop.users.name",)


def test_a_comment_may_end_the_text(corpus: Connection) -> None:
    """
    Neither a comment nor a semicolon swallows what the analyser puts behind it.
    """
    assert facts_of(corpus, "SELECT 1 AS a; -- done").columns[0].name == "a"


def test_the_path_is_the_callers(corpus: Connection) -> None:
    """
    Names of a schema that is not qualified are found where the caller says, and only there.
    """
    assert facts_of(corpus, "SELECT id FROM users", search_path="shop").reads == ("shop.users.id",)


# --- facts -----------------------------------------------------------------------------------------------------------

ONE = {
    "SELECT u.id FROM shop.users AS u WHERE u.id = $1": "users_pkey",
    "SELECT u.id FROM shop.users AS u WHERE $1 = u.email": "users_email_key",
    "SELECT u.id FROM shop.users AS u WHERE u.id = $1::integer": "users_pkey",
    "SELECT o.id FROM shop.orders AS o LEFT JOIN shop.users AS u ON u.id = o.user_id WHERE o.id = $1": "orders_pkey, users_pkey",
    "SELECT o.id FROM shop.users AS u RIGHT JOIN shop.orders AS o ON u.id = o.user_id WHERE o.id = $1": "users_pkey, orders_pkey",
    "SELECT i.sku FROM shop.items AS i WHERE i.order_id = $1 AND i.line_no = 1": "items_pkey",
    "SELECT c.id FROM shop.codes AS c WHERE c.label = $1": "codes_label_key",
    "SELECT e.body FROM shop.events AS e WHERE e.id = $1 AND e.at = now()": "events_pkey",
    "SELECT u.id FROM shop.users AS u LIMIT 1": "limit 1",
    "SELECT count(*) FROM shop.users AS u WHERE u.age > $1": "aggregate",
    "SELECT 1 WHERE $1 > 2": "single values",
    "SELECT a.id FROM shop.active_users AS a": None,
    "WITH w AS (SELECT $1::bigint AS id) SELECT u.id FROM w INNER JOIN shop.users AS u ON u.id = w.id": "users_pkey",
    "UPDATE shop.users SET name = 'x' WHERE id = $1 RETURNING id": "users_pkey",
    "DELETE FROM shop.orders AS o USING shop.items AS i WHERE o.id = $1 AND i.order_id = o.id RETURNING o.id": "orders_pkey",
    "INSERT INTO shop.users (email) VALUES ($1) RETURNING id": "single values",
    "INSERT INTO shop.users (email) VALUES ($1), ('x') RETURNING id": None,
    "INSERT INTO shop.users (email) SELECT u.email FROM shop.users AS u RETURNING id": None,
    "UPDATE shop.users SET name = 'x' WHERE id = $1": None,
    "SELECT u.id FROM shop.users AS u": None,
    "SELECT u.id FROM shop.users AS u WHERE u.id > $1": None,
    "SELECT u.id FROM shop.users AS u WHERE u.id = $1 OR u.is_active": None,
    "SELECT u.id FROM shop.users AS u WHERE u.id = u.referrer_id": None,
    "SELECT u.id FROM shop.users AS u WHERE u.id = random()::bigint": None,
    "SELECT u.id FROM shop.users AS u LIMIT 2": None,
    "SELECT u.id FROM shop.users AS u ORDER BY u.is_active FETCH FIRST 1 ROW WITH TIES": None,
    "SELECT count(*) FROM shop.users AS u GROUP BY u.is_active": None,
    "SELECT i.sku FROM shop.items AS i WHERE i.order_id = $1": None,
    "SELECT o.id FROM shop.orders AS o WHERE o.note = $1": None,
    "SELECT o.id FROM shop.orders AS o LEFT JOIN shop.users AS u ON o.id = $1": None,
    "SELECT u.id FROM shop.users AS u FULL JOIN shop.orders AS o ON u.id = $1 AND o.id = 1": None,
    "SELECT u.id, generate_series(1, 2) FROM shop.users AS u WHERE u.id = $1": None,
    "SELECT u.id FROM shop.users AS u WHERE u.id = $1 UNION ALL SELECT 1": None,
    "SELECT o.id FROM shop.orders AS o INNER JOIN shop.users AS u ON u.id = o.user_id WHERE u.id = $1": None,
    "SELECT u.id FROM shop.users AS u CROSS JOIN LATERAL (SELECT u.id AS id) AS l WHERE u.id = l.id": None,
    "SELECT u.id FROM shop.users AS u CROSS JOIN generate_series(1, $1) AS n WHERE u.id = 1": None,
    "SELECT p.id FROM shop.parents AS p WHERE p.id = $1": None,
    "SELECT u.id FROM shop.users AS u LIMIT 1::bigint": "limit 1",
    # What is filled up with NULL would be a second value of b, and there may be a row for each.
    "SELECT a.id FROM shop.users AS a LEFT JOIN shop.users AS b ON b.id = 5 AND a.is_active "
    "WHERE a.id = coalesce(b.referrer_id, $1)": None,
}


@pytest.mark.parametrize("text", ONE)
def test_at_most_one_row(corpus: Connection, text: str) -> None:
    """
    The proof names its indexes; without one there is none.
    """
    corpus.execute("ALTER TABLE shop.parents ADD PRIMARY KEY (id)")  # says nothing about the rows of children

    assert ONE[text] == facts_of(corpus, text, *(["p"] if "$1" in text else [])).at_most_one


CLOCKS = """
    CREATE TABLE shop.clocks (at timestamp PRIMARY KEY, day date NOT NULL UNIQUE);
    INSERT INTO shop.clocks VALUES ('2024-03-10 02:30', '2011-12-30'), ('2024-03-10 03:30', '2011-12-31');
    CREATE TABLE shop.kept (id integer PRIMARY KEY, x integer);
    INSERT INTO shop.kept VALUES (1, 1), (2, 2), (3, 3);
    CREATE RULE kept AS ON DELETE TO shop.kept DO INSTEAD UPDATE shop.kept SET x = NULL RETURNING kept.*;
    CREATE RULE more AS ON INSERT TO shop.ruled DO INSTEAD
    INSERT INTO shop.codes (id, code) SELECT n, 'x' FROM generate_series(1, 3) AS n RETURNING id;
    CREATE VIEW shop.kept_too AS SELECT k.id FROM shop.kept AS k;
"""
ONE_IN_TWO = "(SELECT k.id FROM shop.kept AS k WHERE k.id = {}) AS {}"
SEVERAL = {
    "both sides of a full join": f"SELECT * FROM {ONE_IN_TWO.format(1, 'p')} FULL JOIN {ONE_IN_TWO.format(2, 'q')} USING (id)",
    "three of them": f"SELECT * FROM {ONE_IN_TWO.format(1, 'p')} FULL JOIN {ONE_IN_TWO.format(2, 'q')} USING (id) "
    f"FULL JOIN {ONE_IN_TWO.format(3, 'r')} USING (id)",
    "below a left join": f"SELECT * FROM {ONE_IN_TWO.format(1, 'p')} LEFT JOIN "
    f"({ONE_IN_TWO.format(2, 'q')} FULL JOIN {ONE_IN_TWO.format(3, 'r')} USING (id)) ON true",
    "counted": "SELECT n FROM (SELECT count(*) AS n FROM shop.kept) AS p FULL JOIN (SELECT count(*) AS n FROM shop.codes) AS q USING (n)",
    "cut off": "SELECT * FROM (SELECT 1 AS n LIMIT 1) AS p FULL JOIN (SELECT 2 AS n LIMIT 1) AS q USING (n)",
    "written out": "SELECT * FROM (VALUES (1)) AS p (n) FULL JOIN (VALUES (2)) AS q (n) USING (n)",
    "stored": "INSERT INTO shop.kept (id) SELECT n FROM (VALUES (4)) AS p (n) FULL JOIN (VALUES (5)) AS q (n) USING (n) RETURNING id",
    "deleted by a rule": "DELETE FROM shop.kept WHERE id = 1 RETURNING id",
    "deleted by a rule of the table below a view": "DELETE FROM shop.kept_too WHERE id = 1 RETURNING id",
    "inserted by a rule": "INSERT INTO shop.ruled (id) VALUES (1) RETURNING id",
    "a limit that is computed": "SELECT k.id FROM shop.kept AS k LIMIT shop.twice(1)",
    "a first that is computed": "SELECT k.id FROM shop.kept AS k FETCH FIRST (shop.twice(1)) ROWS ONLY",
    "an hour that was left out": "SET TimeZone = 'America/New_York'; "
    "SELECT c.at FROM shop.clocks AS c WHERE c.at = '2024-03-10 07:30+00'::timestamptz",
    "a day that was left out": "SET TimeZone = 'Pacific/Apia'; "
    "SELECT c.day FROM shop.clocks AS c WHERE c.day = '2011-12-30 10:00+00'::timestamptz",
}


@pytest.mark.parametrize("name", SEVERAL)
def test_more_rows_than_one(corpus: Connection, name: str) -> None:
    """
    What looks like one row and is not: the statement is run, and its answer has several.
    """
    setting, _, text = SEVERAL[name].rpartition("; ")
    corpus.execute("DROP RULE ruled ON shop.ruled")
    corpus.execute(CLOCKS)
    corpus.execute(setting.encode())

    assert facts_of(corpus, text).at_most_one is None
    assert len(corpus.execute(text.encode()).fetchall()) > 1


def test_an_index_under_another_collation_proves_nothing(corpus: Connection) -> None:
    """
    Two texts that differ may be equal where the query says so.
    """
    corpus.execute("CREATE COLLATION shop.loose (locale = 'C')")
    # Not every build has ICU, which alone makes such collations; nothing is compared here.
    corpus.execute("UPDATE pg_collation SET collisdeterministic = false WHERE collname = 'loose'")
    text = "SELECT u.id FROM shop.users AS u WHERE u.email = $1"

    assert facts_of(corpus, text, "p").at_most_one == "users_email_key"
    assert facts_of(corpus, f"{text} COLLATE shop.loose", "p").at_most_one is None


def test_reads_and_writes(corpus: Connection) -> None:
    """
    Column by column; a table of which only the rows count by its name.
    """
    upsert = facts_of(
        corpus,
        "INSERT INTO shop.users AS u (email, age) VALUES ($1, 1) ON CONFLICT (email) DO UPDATE SET name = u.name || excluded.email",
        "email",
    )
    merge = facts_of(
        corpus,
        "MERGE INTO shop.users AS u USING shop.orders AS o ON o.user_id = u.id WHEN MATCHED AND o.note = 'x' THEN DELETE "
        "WHEN NOT MATCHED THEN INSERT (email) VALUES (o.note)",
    )

    assert facts_of(corpus, "SELECT count(*) FROM shop.users AS u").reads == ("shop.users",)
    assert facts_of(corpus, "SELECT c FROM shop.codes AS c").reads == ("shop.codes.code", "shop.codes.id", "shop.codes.label")
    assert facts_of(corpus, "SELECT a.id FROM shop.active_users AS a").reads == ("shop.active_users.id",)
    assert upsert.reads == ("shop.users.email", "shop.users.name")
    assert upsert.writes == ("shop.users.age", "shop.users.email", "shop.users.name")
    assert merge.reads == ("shop.orders.note", "shop.orders.user_id", "shop.users.id")
    assert merge.writes == ("shop.users (delete)", "shop.users.email")


MODES = {
    "SELECT u.id FROM shop.users AS u": ("read", (), ()),
    "SELECT now(), lower('X')": ("read", (), ("now() stable",)),
    "SELECT current_date": ("read", (), ("current_date stable",)),
    "SELECT random()": ("read", (), ("random() volatile",)),
    "SELECT shop.shout('x'), shop.twice(1)": ("write", (), ("shop.shout(...) volatile", "shop.twice(...) immutable")),
    "SELECT nextval('shop.users_id_seq')": ("write", (), ("nextval(...) volatile",)),
    "SELECT u.id FROM shop.users AS u FOR SHARE": ("write (row lock)", ("shop.users FOR SHARE",), ()),
    "SELECT u.id FROM shop.users AS u FOR NO KEY UPDATE NOWAIT": (
        "write (row lock)",
        ("shop.users FOR NO KEY UPDATE NOWAIT",),
        (),
    ),
    "SELECT s.id FROM (SELECT u.id FROM shop.users AS u FOR UPDATE SKIP LOCKED) AS s": (
        "write (row lock)",
        ("shop.users FOR UPDATE SKIP LOCKED",),
        (),
    ),
    "SELECT u.id FROM shop.users AS u, shop.orders AS o FOR UPDATE OF o FOR KEY SHARE OF u": (
        "write (row lock)",
        ("shop.orders FOR UPDATE", "shop.users FOR KEY SHARE"),
        (),
    ),
    "WITH d AS (DELETE FROM shop.items) SELECT 1": ("write", (), ()),
    "UPDATE shop.users SET name = 'x'": ("write", (), ()),
}


@pytest.mark.parametrize("text", MODES)
def test_mode_locks_and_functions(corpus: Connection, text: str) -> None:
    """
    A statement that locks or calls what may write is no read.
    """
    found = facts_of(corpus, text)

    assert MODES[text] == (found.mode, found.locks, found.functions)


def test_a_view_may_write(corpus: Connection) -> None:
    """
    What stands in a view is done by whoever reads it, also through another view.
    """
    corpus.execute("CREATE VIEW shop.numbers AS SELECT nextval('shop.users_id_seq') AS n, 1 AS one")
    corpus.execute("CREATE VIEW shop.firsts AS SELECT n.one FROM shop.numbers AS n")
    corpus.execute("CREATE VIEW shop.locked AS SELECT u.id FROM shop.users AS u FOR UPDATE")

    assert "write" == facts_of(corpus, "SELECT f.one FROM shop.firsts AS f").mode
    assert "write (row lock)" == facts_of(corpus, "SELECT l.id FROM shop.locked AS l").mode


def test_what_is_refused_among_many(corpus: Connection) -> None:
    """
    Statements are stored some at once: only the one that PostgreSQL refuses is, and the others are what they are alone.
    """
    asked = {
        f"test.q{n}": Query(f"SELECT {n} AS n{n} FROM shop.users AS u WHERE u.id = $1", ("id",), title=f"test.q{n}")
        for n in range(40)
    }
    for n in (0, 17, 39):
        asked[f"test.q{n}"] = Query("TRUNCATE shop.users", title=f"test.q{n}")
    found = analyse(corpus, asked.values())

    assert list(found) == list(asked)
    assert [n for n in range(40) if isinstance(found[f"test.q{n}"], Rejection)] == [0, 17, 39]
    assert [found[f"test.q{n}"] for n in range(40)] == [analyse(corpus, [one])[one.title] for one in asked.values()]


DEEP = {
    "sum": f"SELECT 1::integer{' + 1' * 300}",
    "text": "SELECT 'a'" + " || 'b'" * 400,
    "condition": f"SELECT 1 WHERE {'NOT (' * 300}true{')' * 300}",
    "set": "SELECT 1" + " UNION ALL SELECT 1" * 1000,
}


@pytest.mark.parametrize("name", DEEP)
def test_what_is_nested_too_deeply(corpus: Connection, name: str) -> None:
    """
    That is a finding, and those beside it are analysed.
    """
    found = analyse(corpus, [Query(DEEP[name]), Query("SELECT 1", title="test.other")])

    assert isinstance(found["test.query"], Rejection)
    assert ("54001", True) == (found["test.query"].sqlstate, "break it up" in found["test.query"].message)
    assert isinstance(found["test.other"], Facts)


def test_a_view_that_is_nested_too_deeply(corpus: Connection) -> None:
    """
    It is named.
    """
    corpus.execute(f"CREATE VIEW shop.deep AS {DEEP['sum']} AS n".encode())
    with pytest.raises(CannotAnalyse, match=r"view shop\.deep is nested too deeply"):
        facts_of(corpus, "SELECT d.n FROM shop.deep AS d")


def test_what_is_used_twice_is_looked_at_once(corpus: Connection) -> None:
    """
    A chain of WITH, each twice in the next, is as much work as it is long; looked at anew it would take hours.
    """
    chain = ", ".join(f"c{n} AS (SELECT l.id, l.name FROM c{n - 1} AS l, c{n - 1} AS r WHERE l.id = $1)" for n in range(1, 40))
    found = facts_of(corpus, f"WITH c0 AS (SELECT u.id, u.name FROM shop.users AS u), {chain} SELECT c39.* FROM c39", "p")

    assert [False, True] == [one.is_nullable for one in found.columns]
    assert [True] == [one.is_required for one in found.parameters]
    assert found.at_most_one is None


def test_types_and_names(corpus: Connection) -> None:
    """
    Domains and precision, parameters in their order, what the author declares without its mark.
    """
    found = facts_of(
        corpus,
        'SELECT o.total, sum(o.total) AS "sum!", c.label, o.total::numeric(5, 1) AS short, $2::shop.state AS "state?" '
        "FROM shop.orders AS o CROSS JOIN shop.codes AS c WHERE o.id = $1 GROUP BY o.total, c.label",
        "id",
        "state",
    )

    assert [("id", "bigint", True), ("state", "shop.state", False)] == [
        (p.name, p.type, p.is_required) for p in found.parameters
    ]
    assert [
        ("total", "shop.amount", False, "shop.orders.total", None),
        ("sum", "numeric", False, None, "declared"),
        ("label", "character varying(20)", True, "shop.codes.label", None),
        ("short", "numeric(5,1)", False, None, None),
        ("state", "shop.state", True, None, "declared"),
    ] == [(c.name, c.type, c.is_nullable, c.origin, c.note) for c in found.columns]


# --- the reader of node text -----------------------------------------------------------------------------------------


def test_names_may_hold_anything(corpus: Connection) -> None:
    """
    Brackets, blanks, quotes, colons and backslashes in names are no punctuation.
    """
    odd = r":a {b} (c) [d] \e <> 1"
    corpus.execute(f'CREATE TABLE shop."{odd}" ("{odd}" integer NOT NULL, "true" text, "b" text, ":location 5" text)')
    found = facts_of(corpus, f'WITH "({odd}" AS (SELECT t.* FROM shop."{odd}" AS t) SELECT w.*, 1 AS "{{" FROM "({odd}" AS w')

    assert [False, True, True, True, False] == [one.is_nullable for one in found.columns]


@pytest.mark.serverless
def test_node_text() -> None:
    """
    Fields a version does not know are None; numbers, lists, bitmaps and constants come as Python's.
    """
    found = read(
        r'{VAR :varno 1 :names ("a" "b\ c") :rels (b 3 5) :none <> :yes true :constvalue 4 [ 1 0 0 -1 ] :sub {X} :l ({Y} {Z})}'
    )

    assert isinstance(found, Node)
    assert (found.tag, found["varno"], found["names"], found["rels"]) == ("VAR", 1, ["a", "b c"], [3, 5])
    assert (found["none"], found["yes"], found["constvalue"], found["never heard of"]) == (
        None,
        True,
        b"\x01\x00\x00\xff",
        None,
    )
    assert [one.tag for one in found.children] == ["X", "Y", "Z"]


@pytest.mark.serverless
@pytest.mark.parametrize("text", ["{VAR :varno 1", "(1 2"])
def test_node_text_that_ends(text: str) -> None:
    """
    Half a text is an error, not half a tree.
    """
    with pytest.raises(ValueError, match="ends inside"):
        read(text)
