"""
What a cursor knows about the rows it holds.
"""

from __future__ import annotations

from typing import Any

from psycopg import AsyncCursor, Cursor

from store._queries.statement import Statement
from store.errors import QueryFileError


def names(cursor: AsyncCursor[Any] | Cursor[Any], statement: Statement) -> tuple[str, ...]:
    """
    Return the names of the columns.

    Raises QueryFileError when the statement returned no rows at all, which is the header's mistake.
    """
    result = cursor.pgresult
    if result is None or result.nfields == 0:
        raise QueryFileError(f"{statement.path}:{statement.line}: {statement.name} returns no rows: mark it with !")
    # Not cursor.description: it makes an object a column, which costs as much as the round trip over a socket.
    encoding = cursor.connection.info.encoding
    return tuple(_undeclared((result.fname(i) or b"").decode(encoding)) for i in range(result.nfields))


def _undeclared(name: str) -> str:
    # AS "total!" and AS "note?" declare, for the contract, what may be null; the column is called total, and note.
    return name[:-1] if name[-1:] in ("!", "?") and len(name) > 1 else name
