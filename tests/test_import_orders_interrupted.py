"""
Imports of orders that do not come to their end leave nothing, and their memory does not grow with the file.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.bulk import import_orders
from store.errors import Unavailable
from tests import samples
from tests.bulk_process import Invoices
from tests.databases import Connection
from tests.faults import faults
from tests.test_import_interrupted import LIMIT, Hooked, end_backends, weigh
from tests.test_import_orders import everything
from tests.waiting import until


@pytest.fixture
def shop(dsn: str) -> Iterator[Store]:
    with Store.open(samples.settings(dsn)) as store:
        yield store


def invoices(count: int) -> bytes:
    return Invoices(count, 30).read(1 << 30)


@pytest.mark.parametrize("step", ["checking", "merging"])
def test_a_connection_lost_leaves_nothing(shop: Store, connect_admin: Connection, step: str) -> None:
    def end(tick: Any) -> None:
        if tick.step == step:
            end_backends(connect_admin)

    before = everything(connect_admin)
    with pytest.raises(Unavailable):
        import_orders(shop, io.BytesIO(invoices(400)), progress=end)

    assert before == everything(connect_admin)
    assert import_orders(shop, io.BytesIO(invoices(400))).inserted == 400
    assert {} == faults(connect_admin)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, MemoryError])
def test_whatever_ends_the_reading_leaves_nothing(
    shop: Store, connect_admin: Connection, tmp_path: Path, kind: type[BaseException]
) -> None:
    def stop() -> None:
        raise kind

    data = invoices(20_000)
    before = everything(connect_admin)
    with pytest.raises(kind):
        import_orders(shop, Hooked(data, len(data) // 2, stop), rejects=tmp_path / "rejects.csv")

    assert before == everything(connect_admin)
    assert [] == list(tmp_path.iterdir())
    assert import_orders(shop, io.BytesIO(invoices(400))).inserted == 400


def test_ctrl_c_leaves_nothing(dsn: str, connect_admin: Connection, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "store", "import", "orders", "-", "--rejects", str(tmp_path / "rejects.csv")]
    before = everything(connect_admin)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "DATABASE_URL": dsn}
    ) as process:
        assert process.stdin is not None
        process.stdin.write(invoices(20_000))
        process.stdin.flush()
        until(
            lambda: (
                connect_admin.execute("SELECT FROM pg_stat_progress_copy WHERE tuples_processed > 1000").fetchone() is not None
            ),
            "lines to arrive",
        )
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)

    assert (5, "interrupted") == (process.returncode, json.loads(output)["outcome"]), errors
    assert b"interrupted" in errors
    assert b"Traceback" not in errors
    assert before == everything(connect_admin)
    assert [] == list(tmp_path.iterdir())


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.one_version
def test_memory_is_bounded(dsn: str) -> None:
    """
    12 MB of lines need no more memory than a handful.
    """
    few, many = weigh(dsn, "orders", "500", "600"), weigh(dsn, "orders", "20000", "600")

    assert many < LIMIT
    assert many - few < 8 * 1024 * 1024


@pytest.mark.long
def test_a_million_lines_stay_below_120_mb(dsn: str) -> None:
    assert weigh(dsn, "orders", "1000000", "30") < LIMIT
