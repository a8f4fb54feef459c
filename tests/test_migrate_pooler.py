"""
A real PgBouncer between a runner and its server is noticed and refused, where there is one to be started.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from store import migrate
from store.errors import SettingsError
from tests.databases import TestServer
from tests.waiting import until

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")

pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed")


@pytest.fixture(params=["transaction", "session"])
def pooled(request: pytest.FixtureRequest, server: TestServer, empty_database: str) -> Iterator[str]:
    """
    The empty database through PgBouncer, which goes by itself when its first server connection stands.
    """
    where = conninfo_to_dict(server.dsn(empty_database))
    parts = " ".join(f"{key}={where[key]}" for key in ("host", "port", "user") if where.get(key))
    with tempfile.TemporaryDirectory(prefix="store-test-bouncer-", dir="/var/tmp") as name:
        place = Path(name)
        place.chmod(0o777)
        (place / "pgbouncer.ini").write_text(
            f"[databases]\n{empty_database} = {parts}\n[pgbouncer]\npool_mode = {request.param}\nauth_type = any\n"
            f"listen_addr =\nlisten_port = 6432\nunix_socket_dir = {place}\n"
        )
        # Root's server is another user, whose directory holds the socket; PgBouncer itself refuses to be root.
        host = Path(str(where["host"]))
        other = ["-u", host.owner() if host.is_dir() else "nobody"] if os.geteuid() == 0 else []
        command = [str(PGBOUNCER), *other, str(place / "pgbouncer.ini")]
        with (place / "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        dsn = make_conninfo(host=name, port=6432, user="anybody", dbname=empty_database)

        def is_up() -> bool:
            assert process.poll() is None, (place / "log").read_text()
            with socket.socket(socket.AF_UNIX) as door:  # the file is there before anybody listens at it
                return door.connect_ex(f"{place}/.s.PGSQL.6432") == 0

        try:
            until(is_up, "PgBouncer to listen")
            yield dsn
        finally:
            process.terminate()
            process.wait(20)


def test_pgbouncer_is_refused(pooled: str, server: TestServer, empty_database: str) -> None:
    """
    Also one that reads: what it would see of locks and sessions is somebody else's. Nothing is made.
    """
    with psycopg.connect(pooled) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == (empty_database,)

    folder = Path(__file__).resolve().parents[1] / "migrations"
    for run in (migrate.up, migrate.status, migrate.down):
        with pytest.raises(SettingsError, match="not to a pooler: set STORE_MIGRATE_URL"):
            run(lambda: psycopg.connect(pooled, autocommit=True), folder)
    with server.connect(empty_database) as connection:
        assert connection.execute("SELECT to_regnamespace('store_migrations')").fetchone() == (None,)
