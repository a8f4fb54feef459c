"""
How long 50 migrations take on an empty database: `store migrate up` against plain yoyo, the same files, the same server.

    python benchmarks/migrations.py [--rounds 9] [--files 50]

The runs alternate, each on a database of its own; what counts is the ratio of the medians, below 1 where ours is faster. Both
are measured twice: through their Python API, and as commands, with the start of Python and the imports. The server is the
embedded one with the settings it comes with.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import psycopg
import yoyo

from store import embedded, migrate

TABLE = """-- Table {n} of a benchmark.
CREATE TABLE store.bench_{n} (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT bench_{n}_pkey PRIMARY KEY,
    name text NOT NULL CONSTRAINT bench_{n}_name_length CHECK (length(name) <= 200),
    made_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX bench_{n}_name_idx ON store.bench_{n} (name);
"""


def write(folder: Path, count: int) -> Path:
    folder.mkdir()
    for n in range(1, count + 1):
        up = "CREATE SCHEMA store;\n" * (n == 1) + TABLE.format(n=n)
        down = f"DROP TABLE store.bench_{n};\n" + "DROP SCHEMA store;\n" * (n == 1)
        (folder / f"{n:04}_bench.sql").write_text(up, encoding="utf-8")
        (folder / f"{n:04}_bench.rollback.sql").write_text(down, encoding="utf-8")
    return folder


def url(server: embedded.Server, database: str) -> str:
    where = psycopg.conninfo.conninfo_to_dict(server.dsn(database))
    return (
        f"postgresql+psycopg:///{database}?host={quote(str(where['host']), safe='')}&port={where['port']}&user={where['user']}"
    )


def ours(server: embedded.Server, database: str, folder: Path) -> None:
    migrate.up(lambda: psycopg.connect(server.dsn(database)), folder)


def theirs(server: embedded.Server, database: str, folder: Path) -> None:
    backend = yoyo.get_backend(url(server, database))
    migrations = yoyo.read_migrations(str(folder))
    with backend.lock():
        backend.apply_migrations(backend.to_apply(migrations))
    backend.connection.close()


def _run(command: list[str], **environment: str) -> None:
    subprocess.run([sys.executable, "-m", *command], env=os.environ | environment, check=True, capture_output=True)


def our_command(server: embedded.Server, database: str, folder: Path) -> None:
    _run(["store", "migrate", "up", "--json", "--folder", str(folder)], DATABASE_URL=server.dsn(database))


def their_command(server: embedded.Server, database: str, folder: Path) -> None:
    _run(["yoyo", "apply", "--batch", "--no-config-file", "-d", url(server, database), str(folder)])


def timed(
    server: embedded.Server, database: str, folder: Path, count: int, run: Callable[[embedded.Server, str, Path], None]
) -> float:
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {database} TEMPLATE template0".encode())
        began = time.perf_counter()
        run(server, database, folder)
        took = time.perf_counter() - began
        with psycopg.connect(server.dsn(database)) as connection:
            made = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'store'").fetchone()
        if made != (count,):
            sys.exit(f"{run.__name__} made {made} tables, not {count}")
        admin.execute(f"DROP DATABASE {database} WITH (FORCE)".encode())
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--files", type=int, default=50)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    # Root's server is another user, which every folder above has to let through.
    where = "/var/tmp" if os.geteuid() == 0 else None  # noqa: S108 (a directory of its own is made in it)
    with tempfile.TemporaryDirectory(prefix="plainstore-bench-", dir=where) as place:
        folder = write(Path(place) / "migrations", arguments.files)
        server = embedded.start(Path(place) / "pg")
        try:
            for name, pair in (("Python API", (ours, theirs)), ("command", (our_command, their_command))):
                found: dict[str, list[float]] = {run.__name__: [] for run in pair}
                for round_ in range(arguments.rounds + 1):
                    for run in pair if round_ % 2 else pair[::-1]:
                        took = timed(server, f"bench_{run.__name__}", folder, arguments.files, run)
                        found[run.__name__] += [took] if round_ else []  # the first round warms up
                mine, other = (statistics.median(found[run.__name__]) for run in pair)
                print(f"{name}: ours {mine:.3f} s, yoyo {other:.3f} s, ratio {mine / other:.2f} ({arguments.rounds} rounds)")
        finally:
            embedded.remove(Path(place) / "pg")


if __name__ == "__main__":
    main()
