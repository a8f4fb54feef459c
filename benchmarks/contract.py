"""
How long the contract takes: the analyser a text, `store check --db` whole, and what `check=True` adds to opening a store.

Run it from the checkout, on a machine that does nothing else; it starts a server of its own, and deletes it afterwards:

    .venv/bin/python benchmarks/contract.py [18|16]

Printed are the best and the median of several runs; the CPU says more than the clock where others are at work too. The server's
is that of one connection: of a store that opens, which makes its own, it says nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from store import Settings, Store
from store.contract import check, nodes
from store.contract.analyse import analyse
from store.contract.database import connected, scratch
from store.contract.project import own


def main(version: int) -> None:
    """
    Measure on a scratch server of this version.
    """
    with scratch(own().migrations, version) as dsn, connected(dict(conninfo_to_dict(dsn))) as connection:
        texts = [text for each in own().statements if each.kind == "query" for text in each.texts()]
        print(f"PostgreSQL {connection.info.server_version // 10000}, {len(texts)} texts")
        measure("analyse", lambda: analyse(connection, texts), connection, per=len(texts))
        measure("check --db", lambda: check.online(connection, own(), is_scratch=True), connection)
        measure("check", lambda: check.offline(own()), connection)
        settings = Settings.load(database_url=f"postgresql://{url(dsn)}")
        measure("open", lambda: opened(settings, held=False), connection, runs=20)
        measure("open check=True", lambda: opened(settings, held=True), connection, runs=20)


def measure(name: str, work: Callable[[], Any], connection: psycopg.Connection[Any], *, per: int = 1, runs: int = 7) -> None:
    """
    Print what one run takes, or one text of it.
    """
    found: list[list[float]] = []
    for _ in range(runs):
        forget()
        start = now(connection)
        work()
        found.append([(after - before) * 1000 / per for before, after in zip(start, now(connection), strict=True)])
    for what, times in zip(("wall", "CPU here", "CPU of the server"), zip(*found, strict=True), strict=True):
        print(f"{name:<16} {what:<18} best {min(times):8.2f} ms   median {median(times):8.2f} ms{' a text' * (per > 1)}")


def forget() -> None:
    """
    Empty what the reader of node text keeps: a command begins without it.
    """
    for each in (nodes._steps, nodes._whole, nodes._opening, nodes._between, nodes._scalar):  # noqa: SLF001  # nobody else has to
        each.cache_clear()


def now(connection: psycopg.Connection[Any]) -> tuple[float, float, float]:
    """
    Return the clock, and the seconds that this process and the connection's have computed (0 where the system does not say).
    """
    path = Path(f"/proc/{connection.info.backend_pid}/schedstat")
    server = int(path.read_text(encoding="utf-8").split()[0]) / 1e9 if path.is_file() else 0.0
    return time.perf_counter(), time.process_time(), server


def opened(settings: Settings, *, held: bool) -> None:
    """
    Open a store and close it.
    """
    with Store.open(settings, check=held):
        pass


def url(dsn: str) -> str:
    """
    Return a conninfo as the part of a URL behind the scheme.
    """
    given = conninfo_to_dict(dsn)
    return f"{given['user']}@/{given['dbname']}?host={given['host']}&port={given['port']}"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 18)
