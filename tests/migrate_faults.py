"""
A stage on which migrations are hit: a server of its own, a brake to stop a file in the middle, and the question what is left.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from store import embedded
from tests.databases import Connection
from tests.waiting import until

# A file that calls it stops there until the test lets it go on; every look is a new snapshot.
BRAKE = """
CREATE SCHEMA control;
CREATE TABLE control.hold (id bigint);
CREATE FUNCTION control.brake(bigint) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    WHILE EXISTS (SELECT FROM control.hold WHERE id = $1) LOOP
        PERFORM pg_sleep(0.02);
    END LOOP;
    RETURN true;
END $$;
GRANT USAGE ON SCHEMA control TO PUBLIC;
GRANT SELECT ON control.hold TO PUBLIC;
INSERT INTO control.hold VALUES (700);
"""
BASE = "CREATE SCHEMA t;\nCREATE TABLE t.a (id bigint PRIMARY KEY, times integer NOT NULL DEFAULT 0);\nINSERT INTO t.a SELECT n FROM generate_series(1, 1000) AS n;\n"
FILES = {
    "transactional": (
        "CREATE TABLE t.b (id bigint);\nALTER TABLE t.a ADD COLUMN more text;\nSELECT control.brake(700);\n",
        "DROP TABLE t.b;\n",
    ),
    "concurrent index": (
        "-- transactional: false\nCREATE UNIQUE INDEX CONCURRENTLY a_idx ON t.a (id, times);\n",
        "DROP INDEX CONCURRENTLY t.a_idx;\n",
    ),
    "batch": (
        """-- store: batch
        UPDATE t.a SET times = times + 1
        WHERE control.brake(id) AND id IN (SELECT id FROM t.a WHERE times = 0 ORDER BY id LIMIT 150);
        """,
        "SELECT 1;\n",
    ),
    "repeatable": ("SELECT 1;\n", "SELECT 1;\n"),
    "down": ("CREATE TABLE t.b (id bigint);\n", "DROP TABLE t.b;\nSELECT control.brake(700);\n"),
}
VIEW = "CREATE OR REPLACE VIEW t.v AS SELECT id FROM t.a;\nSELECT control.brake(700);\n"
MADE = {
    "transactional": "SELECT to_regclass('t.b') IS NOT NULL",
    "concurrent index": "SELECT coalesce((SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('t.a_idx')), false)",
    "batch": "SELECT bool_and(times = 1) FROM t.a",
    "repeatable": "SELECT to_regclass('t.v') IS NOT NULL",
    "down": "SELECT to_regclass('t.b') IS NULL",
}
PATIENT = ("--statement-timeout", "10min")


@dataclass
class Stage:
    """
    One database, one folder with a base that is applied and a second file of one kind that is pending.
    """

    server: embedded.Server
    database: str
    folder: Path
    kind: str
    stock: bool = False
    command: tuple[str, ...] = ("up",)
    writer: Connection | None = field(default=None)

    @property
    def dsn(self) -> str:
        return self.server.dsn(self.database)

    def connect(self) -> Connection:
        return psycopg.connect(self.dsn, autocommit=True)

    def query(self, text: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            return connection.execute(text.encode()).fetchall()

    def prepare(self) -> None:
        """
        Apply the base, write the second file, and put the brake on.
        """
        with psycopg.connect(self.server.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {self.database}".encode())
        with self.connect() as connection:
            connection.execute(BRAKE)
        self.folder.mkdir(parents=True)
        self._write("0001_base", BASE, "DROP SCHEMA t CASCADE;\n")
        first = self.run()
        assert first.returncode == 0, first.stdout + first.stderr
        self._write("0002_more", *FILES[self.kind])
        if self.kind == "down":
            second = self.run()
            assert second.returncode == 0, second.stdout + second.stderr
            self.command = ("down", "--to", "0001_base", "--allow-down")
        if self.kind == "repeatable":
            (self.folder / "repeatable").mkdir()
            place = self.folder / ("post-apply.sql" if self.stock else "repeatable/views.sql")
            place.write_text(VIEW, encoding="utf-8")
        if self.kind == "concurrent index":
            # It waits for whoever has written, with the index already in the catalog.
            self.writer = psycopg.connect(self.dsn)
            self.writer.execute("UPDATE t.a SET times = 0 WHERE id = 1")

    def release(self) -> None:
        """
        Take the brake off.
        """
        if self.writer is not None:
            self.writer.close()
            self.writer = None
        self.query("WITH gone AS (DELETE FROM control.hold) SELECT 1")

    def start(self, *options: str, **how: Any) -> subprocess.Popen[str]:
        """
        Start the runner: `store migrate up`, or stock yoyo.
        """
        where = conninfo_to_dict(self.dsn)
        url = f"postgresql+psycopg:///{self.database}?host={where['host']}&port={where['port']}&user={where['user']}"
        ours = ["store", "migrate", *self.command, "--json", "--folder", str(self.folder), *options]
        theirs = ["yoyo", "apply", "--batch", "--no-config-file", "-d", url, str(self.folder)]
        script, prefix = how.pop("script", None), how.pop("prefix", ())
        command = theirs if self.stock else ours
        begin = ["-c", script, *command[1:]] if script else ["-m", *command]
        environment = os.environ | {"DATABASE_URL": self.dsn, "PYTHONWARNINGS": "ignore"} | how.pop("env", {})
        return subprocess.Popen(
            [*prefix, sys.executable, *begin], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how
        )

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """
        Run it to its end.
        """
        process = self.start(*options)
        output, errors = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def wait_until_braked(self, *processes: subprocess.Popen[str]) -> None:
        """
        Wait until the file is in the middle.
        """
        asked = (
            "SELECT FROM pg_stat_activity WHERE query ILIKE '%concurrently%' AND wait_event_type = 'Lock'"
            if self.kind == "concurrent index"
            else "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        )
        asked += " AND datname = current_database()"

        def is_there() -> bool:
            assert any(process.poll() is None for process in processes), [each.communicate() for each in processes]
            return bool(self.query(asked))

        until(is_there, f"{self.kind} to be in the middle")

    def backends(self) -> list[int]:
        """
        Return the server processes that are not the test's.
        """
        mine = [self.writer.info.backend_pid] if self.writer else []
        found = self.query(
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return [pid for (pid,) in found if pid not in mine]

    def what_is_wrong(self) -> list[str]:
        """
        Return everything that is not as after one undisturbed run.
        """
        deadline = time.monotonic() + 15
        while (orphans := self.backends()) and time.monotonic() < deadline:
            time.sleep(0.02)  # the process has ended; the server has yet to notice, also of the questions asked here
        wrong = []
        state = "public" if self.stock else "store_migrations"
        applied = [name for (name,) in self.query(f"SELECT migration_id FROM {state}._yoyo_migration ORDER BY 1")]
        if applied != ["0001_base", "0002_more"][: 1 if self.kind == "down" else 2]:
            wrong.append("not recorded")
        if self.query(MADE[self.kind]) != [(True,)]:
            wrong.append("not made")
        if self.query("SELECT FROM pg_index WHERE NOT indisvalid"):
            wrong.append("INVALID index left")
        if self.query("SELECT FROM pg_locks WHERE locktype = 'advisory'"):
            wrong.append("advisory lock left")
        if orphans:
            wrong.append("orphan left")
        if self.stock and self.query("SELECT FROM yoyo_lock"):
            wrong.append("lock row left")
        if not self.stock:
            done = self.query(
                "SELECT count(*) FROM store_migrations.store_migration WHERE outcome = 'done' GROUP BY migration_id, operation"
            )
            if len(done) != 2 + (self.kind in ("repeatable", "down")) or {count for (count,) in done} != {1}:
                wrong.append("the ledger does not say each once")
        return wrong

    def _write(self, name: str, up: str, down: str) -> None:
        (self.folder / f"{name}.sql").write_text(up, encoding="utf-8")
        (self.folder / f"{name}.rollback.sql").write_text(down, encoding="utf-8")
