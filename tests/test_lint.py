"""
The lint: no hazard passes in silence, and what is safe does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from store import _files
from store.migrate import review
from store.migrate._fill import ROWS, Filler
from store.migrate._folder import SqlMigration
from store.migrate._lint import examine, readable
from store.migrate._rules import OURS, Finding
from store.migrate._squawk import RULES
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

# A statement, and the rules that name it: squawk's, and ours. What only ours name, squawk passes in silence.
HAZARDS: dict[str, tuple[set[str], set[str]]] = {
    "SELECT 1": (set(), set()),
}


@dataclass(frozen=True)
class Shop:
    """
    A database with the tables of BASE and rows in them.
    """

    connection: Connection
    folder: Path

    def lint(self, text: str) -> list[Finding]:
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
