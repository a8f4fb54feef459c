"""
Folders of migrations for tests, and what stands in the database after them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from store.migrate import Connect


def write(folder: Path, name: str, up: str, down: str = "SELECT 1;") -> Path:
    """
    Write a migration and its rollback into a folder, which is returned.
    """
    (folder / f"{name}.sql").write_text(up, encoding="utf-8")
    (folder / f"{name}.rollback.sql").write_text(down, encoding="utf-8")
    return folder


def rows(connect: Connect, query: str) -> list[tuple[Any, ...]]:
    """
    Return what a query answers on a connection of its own.
    """
    with connect() as connection:
        return connection.execute(query.encode()).fetchall()
