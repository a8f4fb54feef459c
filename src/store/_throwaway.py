"""
Throw-away servers: an embedded PostgreSQL in a directory of its own, of which nothing stays.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from store import embedded
from store.errors import SettingsError


@contextmanager
def throwaway(version: int | None = None) -> Generator[embedded.Server]:
    """
    Lend an embedded server of this version (the newest there is, unless named); it is stopped and deleted afterwards.

    Raises MissingExtra without the extra `embedded`, Unavailable when it does not start.
    """
    # Root's server is another user, whom every folder above has to let through: the user's own TMPDIR is not opened for that.
    where = "/var/tmp" if os.geteuid() == 0 else None  # noqa: S108 (a directory of its own is made in it)
    with tempfile.TemporaryDirectory(prefix="plainstore-scratch-", dir=where) as folder:
        directory = Path(folder) / "pg"
        try:
            server = embedded.start(directory, version)
            with psycopg.connect(server.dsn("postgres"), autocommit=True, options="") as connection:
                connection.execute("ALTER SYSTEM SET fsync = off")
                connection.execute("SELECT pg_reload_conf()")
            yield server
        finally:
            with suppress(SettingsError):  # ended before there was a server: the folder goes all the same
                embedded.remove(directory)
