"""
The lint: no hazard passes in silence, and what is safe does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from store import _files
from store.errors import MigrationFolderError, MissingExtra, StoreError
from store.migrate import _squawk, review
from store.migrate._fill import ROWS, Filler
from store.migrate._folder import SqlMigration
from store.migrate._lint import examine, readable
from store.migrate._rules import OURS, Breach
from tests.databases import Connection, TestServer

BASE = """
CREATE SCHEMA shop;
CREATE TABLE shop.users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL CHECK (email LIKE '%@%'), age integer, note text
);
CREATE TABLE shop.orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id bigint NOT NULL, total numeric(12, 2) NOT NULL DEFAULT 0,
    placed_at timestamptz NOT NULL DEFAULT now(), number integer NOT NULL, code text
);
CREATE INDEX orders_user_id_idx ON shop.orders (user_id);
CREATE INDEX orders_placed_at_idx ON shop.orders (placed_at);
CREATE TABLE shop.refunds (order_id bigint PRIMARY KEY REFERENCES shop.orders (id), amount numeric NOT NULL CHECK (amount > 0));
CREATE UNLOGGED TABLE shop.imports (id bigint PRIMARY KEY, line text);
CREATE TABLE shop.events (at date NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE shop.events_1 PARTITION OF shop.events FOR VALUES FROM ('2026-01-01') TO ('2026-01-02');
CREATE TABLE shop.events_2 (at date NOT NULL CHECK (at <> '2026-01-01'), what text);
CREATE TABLE shop.events_3 (at date NOT NULL CHECK (at >= '2026-01-02' AND at < '2026-01-03'), what text);
CREATE TABLE shop.log (at timestamptz NOT NULL, what text);
ALTER TABLE shop.users ADD CONSTRAINT users_note_there CHECK (note IS NOT NULL);
ALTER TABLE shop.users ADD CONSTRAINT users_age_positive CHECK (age > 0) NOT VALID;
CREATE DOMAIN shop.sku AS text;
CREATE TYPE shop.colour AS ENUM ('red', 'green');
CREATE MATERIALIZED VIEW shop.totals AS SELECT user_id, sum(total) AS total FROM shop.orders GROUP BY user_id;
CREATE VIEW shop.recent AS SELECT id FROM shop.orders;
CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE FUNCTION shop.one() RETURNS integer LANGUAGE sql RETURN 1;
CREATE TRIGGER touched BEFORE UPDATE ON shop.users FOR EACH ROW EXECUTE FUNCTION shop.touch();
CREATE SEQUENCE shop.numbers;
"""

# A migration, the rules of squawk that name it, and ours. What only ours name, squawk passes in silence.
HAZARDS: dict[str, tuple[str, str]] = {
    "UPDATE shop.users SET note = 'y'": ("", "changes-rows"),
    "DELETE FROM shop.log WHERE what <> 'z'": ("", "changes-rows"),
    "-- transactional: false\nVACUUM FULL shop.orders": ("", "rewrites-table"),
    "VACUUM FULL shop.orders": ("", "does-not-apply"),
    "CLUSTER shop.users USING users_pkey": ("", "rewrites-table"),
    "REFRESH MATERIALIZED VIEW shop.totals": ("", "changes-rows rewrites-table"),
    "TRUNCATE shop.imports": ("", "empties-table"),
    "TRUNCATE shop.orders CASCADE": ("ban-truncate-cascade", "empties-table locks-while-exclusive"),
    "ALTER TABLE shop.users ADD COLUMN extra json": ("", "json-column"),
    "CREATE TRIGGER t BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.touch()": ("", "blocks-writes"),
    "ALTER TABLE shop.users ADD COLUMN a text; ALTER TABLE shop.orders ADD COLUMN a text": ("", "locks-while-exclusive"),
    "ALTER TABLE shop.events ATTACH PARTITION shop.events_2 FOR VALUES FROM ('2026-01-02') TO ('2026-01-03')": (
        "",
        "scans-under-lock",
    ),
    "CREATE TABLE shop.notes (id bigint PRIMARY KEY REFERENCES shop.users (id))": ("", "blocks-writes"),
    "ALTER TABLE shop.imports SET LOGGED": ("", "rewrites-table"),
    "ALTER TABLE shop.users SET TABLESPACE pg_default": ("", "moves-tablespace"),
    "LOCK TABLE shop.users IN ACCESS EXCLUSIVE MODE": ("", "lock-table"),
    "CREATE FUNCTION shop.f() RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'": ("", "definer-without-path"),
    "CREATE TABLE shop.prices (id bigint PRIMARY KEY, price double precision)": ("", "float-money"),
    "CREATE TABLE shop.prices (id bigint PRIMARY KEY, price money)": ("", "float-money"),
    "GRANT ALL ON shop.users TO public": ("", "grants-to-public"),
    "DO $$ BEGIN EXECUTE 'ALTER TABLE shop.users ADD COLUMN a text'; END $$": ("", "dynamic-sql"),
    "ALTER TABLE shop.users DISABLE TRIGGER touched": ("ban-disable-trigger", "blocks-writes"),
    "ALTER TABLE shop.users ENABLE ROW LEVEL SECURITY": ("ban-alter-row-level-security", ""),
    "CREATE INDEX users_email_idx ON shop.users (email)": (
        "require-concurrent-index-creation",
        "blocks-writes scans-under-lock",
    ),
    "CREATE UNIQUE INDEX users_email_key ON shop.users (email)": (
        "require-concurrent-index-creation",
        "blocks-writes scans-under-lock",
    ),
    "CREATE INDEX CONCURRENTLY users_email_idx ON shop.users (email)": ("", "does-not-apply"),
    "DROP INDEX shop.orders_placed_at_idx": ("require-concurrent-index-deletion", ""),
    "REINDEX TABLE shop.users": ("require-concurrent-reindex", "blocks-writes rewrites-table"),
    "REINDEX INDEX shop.users_pkey": ("require-concurrent-reindex", "blocks-writes rewrites-table"),
    "ALTER TABLE shop.orders ADD CONSTRAINT orders_user_id_fkey FOREIGN KEY (user_id) REFERENCES shop.users (id)": (
        "adding-foreign-key-constraint constraint-missing-not-valid",
        "blocks-writes locks-two-tables scans-under-lock",
    ),
    "ALTER TABLE shop.orders ADD CONSTRAINT orders_user_id_fkey FOREIGN KEY (user_id) REFERENCES shop.users (id) NOT VALID": (
        "",
        "blocks-writes locks-two-tables",
    ),
    "ALTER TABLE shop.orders ADD CONSTRAINT orders_total_there CHECK (total >= 0)": (
        "constraint-missing-not-valid",
        "scans-under-lock",
    ),
    "ALTER TABLE shop.orders ADD CONSTRAINT c CHECK (total >= 0) NOT VALID; ALTER TABLE shop.orders VALIDATE CONSTRAINT c": (
        "constraint-missing-not-valid",
        "work-while-locked",
    ),
    "ALTER TABLE shop.orders ADD CONSTRAINT orders_code_key UNIQUE (number)": (
        "constraint-missing-not-valid disallowed-unique-constraint",
        "scans-under-lock",
    ),
    "ALTER TABLE shop.orders ADD CONSTRAINT k UNIQUE (id, number)": (
        "constraint-missing-not-valid disallowed-unique-constraint",
        "scans-under-lock",
    ),
    "ALTER TABLE shop.log ADD COLUMN id bigserial PRIMARY KEY": (
        "adding-serial-primary-key-field prefer-identity",
        "rewrites-table",
    ),
    "ALTER TABLE shop.log ADD COLUMN id integer GENERATED ALWAYS AS IDENTITY": (
        "adding-field-with-default",
        "int-key rewrites-table",
    ),
    "ALTER TABLE shop.orders ALTER COLUMN code SET NOT NULL": ("adding-not-nullable-field", "scans-under-lock"),
    "ALTER TABLE shop.users ADD COLUMN a text NOT NULL": ("adding-required-field", "does-not-apply"),
    "ALTER TABLE shop.users ADD COLUMN a uuid DEFAULT gen_random_uuid()": ("adding-field-with-default", "rewrites-table"),
    "ALTER TABLE shop.users ADD COLUMN a text GENERATED ALWAYS AS (lower(email)) STORED": (
        "adding-field-with-default",
        "rewrites-table",
    ),
    "ALTER TABLE shop.users ALTER COLUMN age TYPE bigint": ("changing-column-type", "rewrites-table"),
    "ALTER TABLE shop.users ALTER COLUMN email TYPE varchar(100)": ("changing-column-type prefer-text-field", "rewrites-table"),
    "ALTER TABLE shop.users RENAME COLUMN email TO mail": ("renaming-column", ""),
    "ALTER TABLE shop.users RENAME TO people": ("renaming-table", ""),
    "ALTER INDEX shop.users_pkey RENAME TO pk": ("renaming-object", ""),
    "ALTER TABLE shop.users DROP COLUMN age": ("ban-drop-column", ""),
    "ALTER TABLE shop.users ALTER COLUMN email DROP NOT NULL": ("ban-drop-not-null", ""),
    "ALTER TABLE shop.orders ALTER COLUMN total DROP DEFAULT": ("ban-drop-default", ""),
    "ALTER TABLE shop.users DROP CONSTRAINT users_note_there": ("ban-drop-constraint", ""),
    "DROP TABLE shop.log": ("ban-drop-table", ""),
    "DROP TABLE shop.users, shop.orders CASCADE": ("ban-drop-table", "locks-while-exclusive"),
    "DROP SCHEMA shop CASCADE": ("ban-drop-schema", "locks-while-exclusive"),
    "DROP VIEW shop.recent": ("ban-drop-view", ""),
    "DROP FUNCTION shop.one()": ("ban-drop-function", ""),
    "DROP TYPE shop.colour": ("ban-drop-type", ""),
    "DROP SEQUENCE shop.numbers": ("ban-drop-sequence", ""),
    "ALTER DOMAIN shop.sku ADD CONSTRAINT sku_there CHECK (value <> '')": ("ban-alter-domain-with-add-constraint", ""),
    "CREATE TABLE shop.t (id serial PRIMARY KEY)": ("prefer-identity", "int-key"),
    "CREATE TABLE shop.t (id integer PRIMARY KEY)": ("", "int-key"),
    "CREATE TABLE shop.t (id bigint PRIMARY KEY, at timestamp)": ("prefer-timestamp-tz", ""),
    "CREATE TABLE shop.t (id bigint PRIMARY KEY, code char(3))": ("ban-char-field", ""),
    "CREATE TABLE shop.t (id bigint PRIMARY KEY, code varchar(3))": ("prefer-text-field", ""),
    "CREATE TABLE shop.t (id bigint PRIMARY KEY, user_id bigint REFERENCES shop.users (id))": (
        "",
        "blocks-writes unindexed-foreign-key",
    ),
    "ALTER TABLE shop.events DETACH PARTITION shop.events_1": ("require-concurrent-partition-detach", "locks-while-exclusive"),
    "ALTER TABLE shop.users SET SCHEMA public": ("ban-set-schema", ""),
    "ALTER TYPE shop.colour RENAME VALUE 'red' TO 'rot'": ("renaming-object", ""),
    "INSERT INTO shop.log SELECT placed_at, 'x' FROM shop.orders": ("", "changes-rows"),
    "WITH gone AS (DELETE FROM shop.log RETURNING at) SELECT count(*) FROM gone": ("", "changes-rows"),
    "MERGE INTO shop.users AS u USING shop.orders AS o ON u.id = o.user_id WHEN MATCHED THEN UPDATE SET note = o.code": (
        "",
        "changes-rows",
    ),
    "ALTER TABLE shop.users ADD COLUMN a text; UPDATE shop.orders SET code = 'z'": ("", "changes-rows work-while-locked"),
    "ALTER TABLE shop.users REPLICA IDENTITY FULL": ("ban-replica-identity", ""),
    "ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO PUBLIC": ("", "grants-to-public"),
    "CREATE RULE r AS ON DELETE TO shop.users DO INSTEAD NOTHING": ("", "creates-rule"),
    "ALTER TABLE shop.users ADD CONSTRAINT x EXCLUDE USING btree (id WITH =)": (
        "constraint-missing-not-valid",
        "scans-under-lock",
    ),
    "ALTER TABLE shop.nowhere ADD COLUMN a text": ("", "does-not-apply"),
    "ALTER TABLE shop.refunds ALTER COLUMN amount TYPE numeric(19, 4)": ("changing-column-type", "rewrites-table"),
    "ALTER TYPE shop.colour ADD VALUE 'blue'": ("require-enum-value-ordering", ""),
    "-- transactional: false\nALTER SYSTEM SET work_mem = '8MB'": ("", "unknown-lock"),
}

SAFE = (
    "ALTER TABLE shop.events ATTACH PARTITION shop.events_3 FOR VALUES FROM ('2026-01-02') TO ('2026-01-03')",
    "ALTER TABLE shop.users SET (fillfactor = 70)",
    "COMMENT ON TABLE shop.users IS 'x'",
    "ALTER TABLE shop.users ADD COLUMN a text",
    "ALTER TABLE shop.users ADD COLUMN a text NOT NULL DEFAULT 'x'",
    "ALTER TABLE shop.users ALTER COLUMN note SET NOT NULL",
    "ALTER TABLE shop.users VALIDATE CONSTRAINT users_age_positive",
    "ALTER TABLE shop.orders ADD CONSTRAINT c CHECK (total >= 0) NOT VALID",
    "ALTER TABLE shop.users ALTER COLUMN age SET DEFAULT 1",
    "UPDATE shop.users SET note = 'x' WHERE id = 5",
    "DELETE FROM shop.refunds WHERE order_id IN (1, 2, 3)",
    "CREATE TABLE shop.t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, data jsonb, at timestamptz, price numeric)",
    "CREATE FUNCTION shop.f() RETURNS integer LANGUAGE sql SECURITY DEFINER SET search_path = '' AS 'SELECT 1'",
    "GRANT SELECT ON shop.users TO store_readonly",
    "CREATE OR REPLACE FUNCTION shop.one() RETURNS integer LANGUAGE sql RETURN 2",
    "-- store: batch\nUPDATE shop.users SET note = 'b' WHERE id IN (SELECT id FROM shop.users WHERE note <> 'b' ORDER BY id LIMIT 1000)",
)


@dataclass(frozen=True)
class Shop:
    """
    A database with the tables of BASE and rows in them.
    """

    connection: Connection
    folder: Path

    def lint(self, text: str) -> list[Breach]:
        """
        Return what is found in this migration, and take it back.
        """
        migration = self.migration(text)
        if not migration.transactional:
            return examine(self.connection, migration)[0]
        with self.connection.transaction(force_rollback=True):
            return examine(self.connection, migration)[0]

    def migration(self, text: str) -> SqlMigration:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "0001_x.sql").write_text(text, encoding="utf-8")
        (self.folder / "0001_x.rollback.sql").write_text("SELECT 1;", encoding="utf-8")
        return readable(self.folder).migrations[0]


@pytest.fixture(scope="module")
def scratch(server: TestServer) -> review.Scratch:
    return review.Scratch(server.dsn)


@pytest.fixture(scope="module")
def filled(scratch: review.Scratch) -> Iterator[Connection]:
    with scratch.database() as connection:
        connection.execute(BASE)
        filler = Filler(connection)

        assert filler.fill() == []

        yield connection


@pytest.fixture
def shop(filled: Connection, tmp_path: Path) -> Shop:
    return Shop(filled, tmp_path / "migrations")


def rules(found: list[Breach]) -> tuple[str, str]:
    """
    Return the names of the rules: squawk's, and ours.
    """
    names = sorted({finding.rule for finding in found})
    return " ".join(name for name in names if name not in OURS), " ".join(name for name in names if name in OURS)


@pytest.mark.parametrize(("text", "named"), HAZARDS.items())
def test_hazard_is_named(shop: Shop, text: str, named: tuple[str, str]) -> None:
    """
    By squawk, by the trace or by the catalog; with a reason and a way out, on the line on which it stands.
    """
    found = shop.lint(text)

    assert rules(found) == named
    assert all(finding.why and finding.safe and finding.file == "0001_x.sql" for finding in found)
    assert {finding.line for finding in found} == {text.count("\n") + 1}


def test_one_statement_hazards_are_many() -> None:
    """
    What squawk misses of them is named by ours, and no rule of ours is without its hazard.
    """
    single = [text for text in HAZARDS if ";" not in text.replace("; END", "")]

    assert len(single) >= 56
    assert len([text for text in single if not HAZARDS[text][0]]) >= 20
    assert {rule for _, ours in HAZARDS.values() for rule in ours.split()} == set(OURS) - {
        "allow-unused",
        "allow-without-reason",
    }


TABLE = "CREATE TABLE shop.t (a bigint REFERENCES shop.users, b bigint REFERENCES shop.orders"
COLUMN = "ALTER TABLE shop.users ADD COLUMN a bigint"
KEY = "ALTER TABLE shop.orders ADD CONSTRAINT k FOREIGN KEY (user_id) REFERENCES shop.users NOT VALID"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        (
            f"{TABLE});",
            "without REFERENCES here; then each foreign key NOT VALID in a file of its own, and VALIDATE in a later",
        ),
        (f"{COLUMN} REFERENCES shop.orders;", "without REFERENCES here; then each foreign key NOT VALID"),
        (
            f"{KEY};",
            "NOT VALID, one foreign key a file, when no long transaction runs, and VALIDATE in a later one: it locks both",
        ),
        (f"{COLUMN}; ALTER TABLE shop.orders ADD COLUMN b bigint;", "a file for each table"),
    ],
)
def test_the_safe_form_of_two_locks_fits_the_statement(shop: Shop, text: str, safe: str) -> None:
    """
    Foreign keys lock both their tables in one statement, which no file of its own takes apart.
    """
    found = [each for each in shop.lint(text) if each.rule.startswith("locks-")]

    assert [each.safe.startswith(safe) for each in found] == [True], found


@pytest.mark.parametrize("text", SAFE)
def test_safe_form_is_silent(shop: Shop, text: str) -> None:
    assert [(finding.rule, finding.why) for finding in shop.lint(text)] == []


def test_outside_a_transaction(shop: Shop) -> None:
    """
    What runs concurrently is silent, its locks are declared, and what it made is there for the next file.
    """
    seen: list[tuple[tuple[str, str], ...]] = []
    for text in (
        "CREATE UNIQUE INDEX CONCURRENTLY orders_number_key ON shop.orders (number)",
        "REINDEX INDEX CONCURRENTLY shop.orders_number_key",
        "REINDEX TABLE CONCURRENTLY shop.orders",
        "DROP INDEX CONCURRENTLY shop.orders_number_key",
        "VACUUM (ANALYZE) shop.orders",
        "VACUUM shop.orders",
        "ALTER TABLE shop.events DETACH PARTITION shop.events_1 CONCURRENTLY",
    ):
        found, effects = examine(shop.connection, shop.migration(f"-- transactional: false\n{text}"))
        seen += [effect.locks for effect in effects or ()]

        assert found == []

    weak = "SHARE UPDATE EXCLUSIVE"

    assert seen == [(("shop.orders", weak),)] * 6 + [(("shop.events", weak),)]

    found, _ = examine(shop.connection, shop.migration("-- transactional: false\nVACUUM (FULL, ANALYZE) shop.log"))

    assert [finding.rule for finding in found] == ["rewrites-table"]

    shop.connection.execute(
        "ALTER TABLE shop.events ATTACH PARTITION shop.events_1 FOR VALUES FROM ('2026-01-01') TO ('2026-01-02')"
    )


def test_line_of_each_statement(shop: Shop) -> None:
    """
    Each finding stands at its own statement, whatever is a comment, a body or a string above it.
    """
    text = """-- why; not a statement
    CREATE FUNCTION shop.f(a bigint) RETURNS bigint LANGUAGE sql BEGIN ATOMIC
        SELECT $1; SELECT CASE WHEN a > 0 THEN a END;
    END;
    /* LOCK TABLE shop.users; */
    COMMENT ON TABLE shop.users IS 'LOCK TABLE shop.users;';
    LOCK TABLE
        shop.users;
    UPDATE shop.orders SET code = 'y';
    """
    found = {(finding.line, finding.rule) for finding in shop.lint(text)}

    assert {line for line, rule in found if rule == "lock-table"} == {7}
    assert {line for line, rule in found if rule == "changes-rows"} == {9}
    assert {line for line, rule in found if rule == "work-while-locked"} == {9}


def test_refusal_names_the_line(shop: Shop) -> None:
    (found,) = [each for each in shop.lint("SELECT 1;\n\nSELECT\n  nonsense;") if each.rule == "does-not-apply"]

    assert found.line == 4
    assert found.why.startswith('column "nonsense" does not exist (SQLSTATE 42703)')


def test_allowing_needs_a_reason(shop: Shop) -> None:
    """
    One rule of one file, with a sentence; without one, or for nothing, it is an error itself.
    """
    hazard = "ALTER TABLE shop.users DROP COLUMN age"

    def named(header: str) -> list[tuple[int, str]]:
        return [(finding.line, finding.rule) for finding in shop.lint(f"{header}\n{hazard}")]

    assert named("-- unread since 1.8") == [(2, "ban-drop-column")]
    assert named("-- store: allow: ban-drop-column: unread since 1.8.0") == []
    assert named("-- store: allow: ban-drop-column") == [(1, "allow-without-reason"), (2, "ban-drop-column")]
    assert named("-- store: allow: ban-drop-table: who knows") == [(1, "allow-unused"), (2, "ban-drop-column")]
    assert named("-- squawk-ignore ban-drop-column")[0] == (1, "allow-without-reason")


def test_squawk_reads_no_configuration(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A file in the working directory, whatever is in it, changes nothing.
    """
    (tmp_path / ".squawk.toml").write_text('excluded_rules = ["ban-drop-column"', encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    assert rules(shop.lint("ALTER TABLE shop.users DROP COLUMN age"))[0] == "ban-drop-column"


def test_without_squawk(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_squawk.sysconfig, "get_path", lambda _: "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingExtra, match=r"squawk needs the extra `lint`"):
        shop.lint("SELECT 1")


def test_broken_squawk_is_told(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A program that says nothing readable is an error, not an empty review.
    """
    program = tmp_path / "squawk"
    program.write_text("#!/bin/sh\necho broken >&2; exit 3\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(_squawk.sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(StoreError, match=r"squawk failed on 0001_x.sql: broken"):
        shop.lint("SELECT 1")


def test_rows_fit_every_table_of_ours(server: TestServer, empty_database: str) -> None:
    """
    The tables that the lint tries our migrations on are full: nothing that happens to rows goes unseen.
    """
    with server.connect(empty_database) as connection:
        for path in sorted((_files.folder("sql") / "schema").glob("*.sql")):
            connection.execute(path.read_bytes())

        assert Filler(connection).fill() == []

        counts = connection.execute(
            "SELECT c.relname, c.reltuples::bigint FROM pg_catalog.pg_class AS c"
            " WHERE c.relnamespace = 'store'::regnamespace AND c.relkind = 'r'"
        ).fetchall()

    assert {name for name, count in counts if count != ROWS} == {"order_transitions"}


def test_table_without_a_fitting_row_is_named(scratch: review.Scratch) -> None:
    with scratch.database() as connection:
        connection.execute("CREATE TABLE public.never (a bigint NOT NULL CHECK (a > 5 AND a < 5), b text)")
        connection.execute("CREATE TABLE public.nothing ()")

        assert Filler(connection).fill() == ["public.never"]


# --- the folder ------------------------------------------------------------------------------------------------------


def test_our_migrations_are_reviewed(scratch: review.Scratch) -> None:
    """
    Nothing is found that is not allowed for a reason, and what stands beside them is what they do on this PostgreSQL.
    """
    folder = _files.folder("migrations")
    made = review.review(scratch, folder)

    assert made.findings == []
    assert made.unfilled == []
    assert review.stale(folder, made) == []
    assert len(made.manifest) == len(list(folder.glob("*.rollback.sql")))


def write(folder: Path, **texts: str) -> Path:
    """
    Write migrations into a folder, by number; a rollback drops the schema `mine`.
    """
    folder.mkdir(exist_ok=True)
    for number, text in texts.items():
        (folder / f"{number[1:]}_x.sql").write_text(text, encoding="utf-8")
        (folder / f"{number[1:]}_x.rollback.sql").write_text("DROP SCHEMA mine CASCADE;", encoding="utf-8")
    return folder


LEDGER = """What 0002_x.sql does to what was there before it, on every supported PostgreSQL.
Made by `store migrate lint --write`: read it, do not edit it.

transactional: yes
reversible: yes, by 0002_x.rollback.sql

line 1: ALTER TABLE mine.a ADD COLUMN b text DEFAULT gen_random_uuid()
    lock     ACCESS EXCLUSIVE on mine.a
    lock     ACCESS EXCLUSIVE on index mine.a_pkey
    rewrite  mine.a
    rewrite  index mine.a_pkey
    scan     mine.a

Not listed are 1 of 2 statements: they lock, rewrite, scan and change nothing that was there.

-- rollback: 0002_x.rollback.sql

line 1: DROP SCHEMA mine CASCADE
    lock     ACCESS EXCLUSIVE on mine.a
    lock     ACCESS EXCLUSIVE on mine.b
    lock     ACCESS EXCLUSIVE on store.orders

Every statement is listed.
"""


def test_ledger_of_a_folder(scratch: review.Scratch, tmp_path: Path) -> None:
    """
    A team's own folder is tried on top of ours; its ledger says what each file locks, and goes stale with the file.
    """
    folder = write(
        tmp_path / "migrations",
        _0001="CREATE SCHEMA mine; CREATE TABLE mine.a (id bigint PRIMARY KEY REFERENCES store.orders (id));",
        _0002="ALTER TABLE mine.a -- why\n    ADD COLUMN b text DEFAULT gen_random_uuid(); CREATE TABLE mine.b (id bigint);",
    )
    made = review.review(scratch, folder)

    assert [(finding.file, finding.rule) for finding in made.errors] == [
        ("0002_x.sql", "rewrites-table"),
        ("0002_x.sql", "adding-field-with-default"),
    ]
    assert review.stale(folder, made) == ["0001_x.locks.txt", "0002_x.locks.txt", "MANIFEST"]
    assert review.write(folder, made) == ["0001_x.locks.txt", "0002_x.locks.txt", "MANIFEST"]
    assert (folder / "0002_x.locks.txt").read_text(encoding="utf-8") == LEDGER
    assert review.write(folder, made) == review.stale(folder, made) == []

    write(folder, _0002="ALTER TABLE mine.a ADD COLUMN b text;", _0003="DROP TABLE mine.a;")
    (folder / "0009_gone.locks.txt").write_text("old", encoding="utf-8")
    again = review.review(scratch, folder)

    assert review.stale(folder, again) == ["0002_x.locks.txt", "0003_x.locks.txt", "0009_gone.locks.txt", "MANIFEST"]


def test_a_rollback_outside_a_transaction_is_seen_too(scratch: review.Scratch, tmp_path: Path) -> None:
    """
    And is taken back: the next file stands on what it took away.
    """
    folder = write(
        tmp_path / "migrations",
        _0001="CREATE SCHEMA mine; CREATE TABLE mine.a (id bigint);",
        _0002="-- transactional: false\nCREATE INDEX CONCURRENTLY a_idx ON mine.a (id);",
        _0003="COMMENT ON INDEX mine.a_idx IS 'still there';",
    )
    (folder / "0002_x.rollback.sql").write_text("DROP INDEX CONCURRENTLY mine.a_idx;", encoding="utf-8")
    made = review.review(scratch, folder)

    assert made.findings == []
    assert made.ledgers["0002_x.locks.txt"].partition("-- rollback")[2].splitlines()[2:4] == [
        "line 1: DROP INDEX CONCURRENTLY mine.a_idx",
        "    lock     SHARE UPDATE EXCLUSIVE on mine.a",
    ]


def test_a_rollback_that_is_refused_is_an_error(scratch: review.Scratch, tmp_path: Path) -> None:
    folder = write(tmp_path / "migrations", _0001="CREATE SCHEMA mine;", _0002="CREATE TABLE mine.a (id bigint);")
    (folder / "0001_x.rollback.sql").write_text("-- gone\nDROP SCHEMA nowhere;", encoding="utf-8")
    made = review.review(scratch, folder)

    assert [(each.file, each.line, each.rule) for each in made.errors] == [("0001_x.rollback.sql", 2, "does-not-apply")]
    assert "line 2: PostgreSQL refuses it" in made.ledgers["0001_x.locks.txt"].splitlines()
    assert list(made.ledgers) == ["0001_x.locks.txt", "0002_x.locks.txt"]


def test_refused_file_ends_the_review(scratch: review.Scratch, tmp_path: Path) -> None:
    """
    What comes behind a file that PostgreSQL refuses cannot be tried, and has no ledger.
    """
    folder = write(tmp_path / "migrations", _0001="CREATE SCHEMA mine;", _0002="SELECT nonsense;", _0003="SELECT 1;")
    made = review.review(scratch, folder)

    assert [finding.rule for finding in made.errors] == ["does-not-apply"]
    assert list(made.ledgers) == ["0001_x.locks.txt"]


def test_batch_is_finished_before_the_next_file(scratch: review.Scratch, tmp_path: Path) -> None:
    """
    What comes behind a batch meets rows that are done, all of them.
    """
    folder = write(
        tmp_path / "migrations",
        _0001="CREATE SCHEMA mine; CREATE TABLE mine.a (id bigint PRIMARY KEY, old bigint NOT NULL);",
        _0002="ALTER TABLE mine.a ADD COLUMN new bigint;",
        _0003="-- store: batch\nUPDATE mine.a SET new = old WHERE id IN (SELECT id FROM mine.a WHERE new IS NULL LIMIT 300);",
        _0004="ALTER TABLE mine.a ADD CONSTRAINT there CHECK (new IS NOT NULL) NOT VALID;",
        _0005="ALTER TABLE mine.a VALIDATE CONSTRAINT there;",
        _0006="ALTER TABLE mine.a ALTER COLUMN new SET NOT NULL;",
    )
    made = review.review(scratch, folder)

    assert made.findings == []
    assert "\n\nbatch: a transaction a round\nreversible: " in made.ledgers["0003_x.locks.txt"]
    assert made.ledgers["0003_x.locks.txt"].endswith("\n\nEvery statement is listed.\n")


def test_repeatables_are_reviewed(scratch: review.Scratch, tmp_path: Path) -> None:
    folder = write(tmp_path / "migrations", _0001="CREATE SCHEMA mine;")
    (folder / "repeatable").mkdir()
    text = "CREATE OR REPLACE FUNCTION mine.f() RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';"
    (folder / "repeatable" / "f.sql").write_text(text, encoding="utf-8")
    (found,) = review.review(scratch, folder).findings

    assert (found.file, found.rule) == ("f.sql", "definer-without-path")


def test_irreversible_is_said(scratch: review.Scratch, tmp_path: Path) -> None:
    folder = write(tmp_path / "migrations", _0001="-- store: irreversible: what is gone is gone\nCREATE SCHEMA mine;")
    (folder / "0001_x.rollback.sql").unlink()
    made = review.review(scratch, folder)

    assert "reversible: no, what is gone is gone" in made.ledgers["0001_x.locks.txt"].splitlines()
    assert " down - " in made.manifest[0]


def test_broken_folder_is_refused(scratch: review.Scratch, tmp_path: Path) -> None:
    with pytest.raises(MigrationFolderError):
        review.review(scratch, write(tmp_path / "migrations", _0001="COMMIT;"))


# --- the page --------------------------------------------------------------------------------------------------------


def table() -> list[str]:
    """
    Return the tables of docs/migration-hazards.md: what is found by whom, and the rules.
    """
    found = ["| migration | squawk | the trace and the catalog |", "|---|---|---|"]
    for text, (squawk, ours) in HAZARDS.items():
        code = " ".join(f"`{line}`" for line in text.splitlines())
        found.append(f"| {code} | {squawk.replace(' ', ', ') or '-'} | {ours.replace(' ', ', ') or '-'} |")
    found += ["| rule | severity | why | instead |", "|---|---|---|---|"]
    found += [f"| `{name}` | {rule.severity} | {rule.why} | {rule.safe} |" for name, rule in sorted(OURS.items())]
    found += ["| rule of squawk | severity | instead |", "|---|---|---|"]
    return found + [f"| `{name}` | {severity} | {safe} |" for name, (severity, safe) in sorted(_squawk.RULES.items())]


@pytest.mark.serverless
def test_page_tells_what_is_tested() -> None:
    page = Path(__file__).resolve().parents[1] / "docs" / "migration-hazards.md"

    assert [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|")] == table()
