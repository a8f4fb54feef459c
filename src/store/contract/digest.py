"""
The hashes that tell, without a database, whether a contract was written from this SQL and these migrations, and edited since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from store._queries import Statement
from store._tokens import fold

_LENGTH = 16
"""Hexadecimal digits: it tells changes apart, it keeps nobody out."""
_SHORT = 8


def of_statement(statement: Statement) -> str:
    """
    Return the hash of what PostgreSQL reads, every text of an entry, and of the marks that steer the contract; comments and
    blanks do not count.
    """
    texts = (
        [f"[{text.label}] {_folded(text.text)}" for text in statement.texts()]
        if statement.variants
        else [_folded(statement.text)]
    )
    marks = [f"-- null: {name}" for name in sorted({name for text in statement.texts() for name in text.nullable})]
    marks += [f"-- rows: {statement.rows}"] if statement.rows else []
    marks += [f"-- plan: {plan}" for plan in statement.plan]
    return _of("\n".join([*texts, *marks]).encode())


def of_migrations(folders: Iterable[Path]) -> str:
    """
    Return the hash of the migrations' names and texts, in the order in which they apply. Raises MigrationFolderError.
    """
    from store.migrate import forward  # and yoyo with it, which an application does without

    return _of("\0".join(f"{each.name}\n{each.text}" for folder in folders for each in forward(folder)).encode())


def of_facts(lines: Iterable[str]) -> str:
    """
    Return the hash that stands beside facts, so that a hand in them is seen. Each query has its own: branches that change
    different queries merge.
    """
    return "facts:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()[:_SHORT]


_folded = lru_cache(maxsize=1024)(fold)  # a check hashes every text twice


def _of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()[:_LENGTH]}"
