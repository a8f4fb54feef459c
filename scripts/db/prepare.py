"""
The part of setup-local.sh that speaks to PostgreSQL: wait, create the database, apply roles, migrations and grants.

Everything arrives by environment, because arguments are visible to every user of the machine.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from store import embedded, migrate

ROOT = Path(__file__).resolve().parent.parent.parent
WAIT_SECONDS = 60

# Settings of a role count for those who log in as it, not for its members: a role of the user's own gets a copy.
# (Not of search_path, which is a list: our statements qualify every name.)
COPY_SETTINGS = """
    SELECT format(
        'ALTER ROLE %%I SET %%I = %%L',
        %(role)s::text, split_part(c.setting, '=', 1), substr(c.setting, strpos(c.setting, '=') + 1)
    )
    FROM pg_catalog.pg_db_role_setting AS s
    CROSS JOIN LATERAL unnest(s.setconfig) AS c (setting)
    WHERE s.setrole = 'store_app'::regrole AND s.setdatabase = 0 AND c.setting NOT LIKE 'search_path=%%'
"""


def main() -> None:
    """
    Prepare the database and print its URL.
    """
    user, name, password = (os.environ[key] for key in ("DB_USER", "DB_NAME", "DB_PASSWORD"))
    admin, where = server()
    wait(admin)
    with psycopg.connect(admin, dbname="postgres", autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_catalog.pg_database WHERE datname = %s", [name]).fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with psycopg.connect(admin, dbname=name, autocommit=True) as connection:
        connection.execute((ROOT / "sql" / "roles.sql").read_bytes())
        create_login(connection, user, password or os.environ.get("ADMIN_PASSWORD", ""))
    applied = migrate.up(lambda: as_owner(make_conninfo(admin, dbname=name)), ROOT / "migrations")
    with psycopg.connect(admin, dbname=name, autocommit=True) as connection:
        connection.execute((ROOT / "sql" / "grants.sql").read_bytes())
    say(f"Migrations applied: {len(applied)}. The role {user} may use the database {name}.")
    secret = f":{quote(password or os.environ['ADMIN_PASSWORD'], safe='')}" if "ADMIN_PASSWORD" in os.environ else ""
    print(f"DATABASE_URL=postgresql://{quote(user, safe='')}{secret}@{where.format(name=quote(name, safe=''))}")


def server() -> tuple[str, str]:
    """
    Return how the superuser connects, and the part of the URL behind the @.
    """
    if (port := os.environ.get("ADMIN_PORT")) is not None:
        admin = make_conninfo(host="127.0.0.1", port=port, user="postgres", password=os.environ["ADMIN_PASSWORD"])
        return admin, f"127.0.0.1:{port}/{{name}}"
    directory = embedded.default_directory(ROOT).parent / os.environ["EMBEDDED_NAME"]
    running = embedded.start(directory, 16)
    say(f"Data: {running.directory}")
    return make_conninfo(
        running.dsn("postgres"), dbname=""
    ), f"/{{name}}?host={quote(str(running.socket_dir), safe='')}&port=5432"


def wait(admin: str) -> None:
    """
    Return once the server takes connections; a new container restarts once before it does.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            psycopg.connect(admin, dbname="postgres", connect_timeout=3).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                sys.exit(f"setup-local: PostgreSQL is not ready after {WAIT_SECONDS} s: {error}")
            time.sleep(0.5)
        else:
            return


def create_login(connection: psycopg.Connection, user: str, password: str) -> None:
    """
    Have the role log in with this password, with the rights and limits of store_app.
    """
    role = sql.Identifier(user)
    if connection.execute("SELECT FROM pg_catalog.pg_roles WHERE rolname = %s", [user]).fetchone() is None:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
    if user != "store_app":
        connection.execute(sql.SQL("GRANT store_app TO {}").format(role))
        for (statement,) in connection.execute(COPY_SETTINGS, {"role": user}).fetchall():
            connection.execute(statement)
    if password:
        # Hashed here, so that the password itself is in no log of the server.
        hashed = connection.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256").decode()
        row = connection.execute("SELECT format('ALTER ROLE %%I PASSWORD %%L', %s::text, %s::text)", [user, hashed]).fetchone()
        connection.execute(row[0])


def as_owner(conninfo: str) -> psycopg.Connection:
    """
    Connect as the superuser and act as store_owner, as store_migrator does: what a migration creates belongs to it.
    """
    return psycopg.connect(conninfo, options="-c role=store_owner")


def say(text: str) -> None:
    """
    Tell the person; standard output is for DATABASE_URL alone.
    """
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
