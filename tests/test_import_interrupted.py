"""
Imports that do not come to their end leave nothing, and their memory does not grow with the file.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from store import Store
from store.bulk import import_products
from store.errors import StoreError, Unavailable
from tests import samples
from tests.databases import Connection
from tests.waiting import until

HELPER = Path(__file__).with_name("bulk_process.py")
HEADER = b"sku,name,price,on_hand\n"
LIMIT = 120 * 1024 * 1024


@pytest.fixture
def shop(dsn: str) -> Iterator[Store]:
    with Store.open(samples.settings(dsn)) as store:
        yield store


def rows(count: int) -> bytes:
    return b"".join(b"P-%07d,Product %d,%d.50,1\n" % (number, number, number % 900 + 1) for number in range(count))


def is_empty(connection: Connection) -> bool:
    found = connection.execute(
        "SELECT (SELECT count(*) FROM store.products) + (SELECT count(*) FROM store.inventory)"
        " + (SELECT count(*) FROM store.product_imports)"
    ).fetchone()
    return found == (0,)


def end_backends(connection: Connection) -> int:
    return len(
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'store_app' AND datname = current_database()"
        ).fetchall()
    )


class Hooked(io.BytesIO):
    """
    A file during whose reading something happens.
    """

    def __init__(self, data: bytes, at: int, hook: Callable[[], object]) -> None:
        super().__init__(data)
        self._at = at
        self._hook: Callable[[], object] | None = hook

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        if self._hook is not None and self.tell() > self._at:
            hook, self._hook = self._hook, None
            hook()
        return found


def test_a_connection_lost_while_reading_leaves_nothing(shop: Store, connect_admin: Connection, tmp_path: Path) -> None:
    rejects = tmp_path / "rejects.csv"
    rejects.write_text("of an earlier import")
    data = HEADER + b"bad,,x,1\n" + rows(60_000)
    with pytest.raises(Unavailable):
        import_products(shop, Hooked(data, len(data) // 2, lambda: end_backends(connect_admin)), rejects=rejects)

    assert is_empty(connect_admin)
    assert "of an earlier import" == rejects.read_text()
    assert [rejects] == list(tmp_path.iterdir())
    assert import_products(shop, io.BytesIO(data)).inserted == 60_000


@pytest.mark.parametrize("step", ["checking", "merging"])
def test_a_connection_lost_later_leaves_nothing(shop: Store, connect_admin: Connection, step: str) -> None:
    def end(tick: Any) -> None:
        if tick.step == step:
            end_backends(connect_admin)

    with pytest.raises(Unavailable):
        import_products(shop, io.BytesIO(HEADER + rows(100)), progress=end)

    assert is_empty(connect_admin)
    assert import_products(shop, io.BytesIO(HEADER + rows(100))).inserted == 100


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, MemoryError])
def test_whatever_ends_the_reading_leaves_nothing(shop: Store, connect_admin: Connection, kind: type[BaseException]) -> None:
    def stop() -> None:
        raise kind

    data = HEADER + rows(60_000)
    with pytest.raises(kind):
        import_products(shop, Hooked(data, len(data) // 2, stop))

    assert is_empty(connect_admin)
    assert import_products(shop, io.BytesIO(data)).inserted == 60_000


def test_a_file_that_is_damaged_in_the_middle_leaves_nothing(shop: Store, connect_admin: Connection, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(HEADER + rows(60_000))
    subprocess.run(["gzip", path], check=True)
    packed = path.with_name("in.csv.gz")
    packed.write_bytes(packed.read_bytes()[:-1000])
    with pytest.raises(StoreError, match="cannot be read"):
        import_products(shop, packed)

    assert is_empty(connect_admin)


@pytest.fixture
def importing(dsn: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """
    `store import products -` with its standard input open.
    """
    environment = {**os.environ, "DATABASE_URL": dsn}
    command = [sys.executable, "-m", "store", "import", "products", "-", "--rejects", str(tmp_path / "rejects.csv")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        yield process
        process.kill()


def test_ctrl_c_while_reading_leaves_nothing(
    importing: subprocess.Popen[bytes], connect_admin: Connection, tmp_path: Path
) -> None:
    assert importing.stdin is not None
    importing.stdin.write(HEADER + b"bad,,x,1\n" + rows(60_000))
    importing.stdin.flush()
    until(
        lambda: connect_admin.execute("SELECT FROM pg_stat_progress_copy WHERE tuples_processed > 1000").fetchone() is not None,
        "rows to arrive",
    )
    importing.send_signal(signal.SIGINT)
    output, errors = importing.communicate(timeout=30)

    assert (5, "interrupted") == (importing.returncode, json.loads(output)["outcome"]), errors
    assert b"interrupted" in errors
    assert b"Traceback" not in errors
    assert is_empty(connect_admin)
    assert [] == list(tmp_path.iterdir())


def test_ctrl_c_while_merging_leaves_nothing(
    importing: subprocess.Popen[bytes], connect_admin: Connection, admin_dsn: str
) -> None:
    """
    The merge waits for a product that somebody else has locked, and is interrupted there.
    """
    assert importing.stdin is not None
    connect_admin.execute("INSERT INTO store.products (sku, name, price, currency) VALUES ('P-0000050', 'Mine', 1, 'EUR')")
    with psycopg.connect(admin_dsn) as other:
        other.execute("SELECT FROM store.products FOR UPDATE")
        importing.stdin.write(HEADER + rows(100))
        importing.stdin.close()
        importing.stdin = None
        until(
            lambda: (
                connect_admin.execute(
                    "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%merge_products%'"
                    " AND pid <> pg_backend_pid()"
                ).fetchone()
                is not None
            ),
            "the merge to wait",
        )
        importing.send_signal(signal.SIGINT)
        _, errors = importing.communicate(timeout=30)

    assert 5 == importing.returncode, errors
    assert connect_admin.execute("SELECT sku, name FROM store.products").fetchall() == [("P-0000050", "Mine")]
    assert connect_admin.execute("SELECT count(*) FROM store.product_imports").fetchone() == (0,)


# --- memory ----------------------------------------------------------------------------------------------------------


def weigh(dsn: str, *arguments: str) -> int:
    done = subprocess.run(
        [sys.executable, HELPER, *arguments],
        env={**os.environ, "STORE_TEST_BULK_DSN": dsn},
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    assert str(found["rows"]) == (arguments[1] if len(arguments) > 1 else "20000")
    return found["peak"]


@pytest.mark.one_version
def test_copy_memory_is_bounded(dsn: str, connect_admin: Connection) -> None:
    """
    20 MB of rows need no more memory than a handful, going in and coming out.
    """
    few, many = weigh(dsn, "import", "500", "600"), weigh(dsn, "import", "30000", "600")

    assert many < LIMIT
    assert many - few < 8 * 1024 * 1024
    connect_admin.execute(
        "INSERT INTO store.products (sku, name, description, price, currency)"
        " SELECT 'P-' || n, 'Product', repeat('A description. ', 60), 1, 'EUR' FROM generate_series(1, 20000) AS n"
    )
    assert weigh(dsn, "export") - few < 8 * 1024 * 1024


@pytest.mark.long
def test_a_million_rows_stay_below_120_mb(dsn: str) -> None:
    assert weigh(dsn, "import", "1000000", "30") < LIMIT
