"""
Are the books right? What every race ends with.
"""

from __future__ import annotations

from store import _files
from store._queries import load
from tests.databases import Connection

CHECKS = load(_files.folder("sql") / "checks", prefix="store", colour="sync")


def faults(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    """
    Return the rows of every invariant that is broken.
    """
    found = {s.name: connection.execute(s.text.encode()).fetchall() for s in CHECKS.statements}
    return {name: rows for name, rows in found.items() if rows}
