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
    return tuple((result.fname(i) or b"").decode(encoding) for i in range(result.nfields))
