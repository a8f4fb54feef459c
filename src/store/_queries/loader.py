"""
aiosql's loader, with our reader of SQL in the place of its regular expressions.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from aiosql.query_loader import QueryLoader
from aiosql.types import DriverAdapterProtocol, QueryDatum, SQLOperationType

from store._queries.choice import parameters, sorts
from store._queries.entry import read_statements
from store._queries.statement import Mark, Statement
from store.errors import QueryFileError

_OPERATIONS: dict[Mark, SQLOperationType] = {
    "": SQLOperationType.SELECT,
    "^": SQLOperationType.SELECT_ONE,
    "$": SQLOperationType.SELECT_VALUE,
    "!": SQLOperationType.INSERT_UPDATE_DELETE,
}


class Registry(Protocol):
    """
    What the loader needs of an adapter: the place where it finds its statements.
    """

    statements: dict[str, Statement]


class Loader(QueryLoader):
    """
    Loads one .sql file: each entry becomes a QueryDatum for aiosql and a Statement for the adapter.
    """

    def __init__(
        self,
        driver_adapter: Registry,
        record_classes: dict[str, Any] | None = None,
        attribute: str | None = None,
        mandatory_parameters: bool = True,  # noqa: FBT001, FBT002  # aiosql's signature
        *,
        prefix: str = "app",
    ) -> None:
        super().__init__(cast("DriverAdapterProtocol", driver_adapter), record_classes, attribute, mandatory_parameters)
        self._registry = driver_adapter
        self._prefix = prefix

    def load_query_data_from_sql(
        self,
        sql: str,
        ns_parts: list[str],  # noqa: ARG002  # aiosql's signature; a file is the only namespace
        fname: Path | str = "unknown.sql",
    ) -> list[QueryDatum]:
        """
        Load the entries of a text; `fname` gives the name of the domain.
        """
        return [self._datum(statement) for statement in _read(sql, Path(fname), self._prefix)]

    def load_query_data_from_file(
        self,
        path: Path,
        ns_parts: list[str] | None = None,
        encoding: str | None = None,  # noqa: ARG002  # aiosql's signature
    ) -> list[QueryDatum]:
        """
        Load one file, which is UTF-8 whatever the caller's locale says.
        """
        try:
            sql = path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise QueryFileError(f"{path}:{line}: not UTF-8: save the file in that encoding") from None
        return self.load_query_data_from_sql(sql, ns_parts or [], path)

    def load_query_data_from_dir_path(
        self,
        dir_path: Path,
        ext: Sequence[str] = (".sql",),  # noqa: ARG002  # aiosql's signature
        encoding: str | None = None,  # noqa: ARG002  # aiosql's signature
    ) -> dict[str, Any]:
        """
        Refuse: aiosql would merge the files of a folder into one namespace and let the last of two equal names win.
        """
        raise QueryFileError(f"{dir_path}: load the folder file by file, a file is a namespace")

    def _datum(self, statement: Statement) -> QueryDatum:
        self._registry.statements[statement.name] = statement
        return QueryDatum(
            query_name=statement.name,
            doc_comments=statement.doc,
            operation_type=_OPERATIONS[statement.mark],
            sql=statement.text,
            record_class=None,
            signature=_signature(statement),
            floc=(statement.path, statement.line),
            attributes=None,
            parameters=[name for names in parameters(statement) for name in names],
        )


@lru_cache(maxsize=256)
def _read(sql: str, path: Path, prefix: str) -> tuple[Statement, ...]:
    # Both colours load the same files; reading takes most of the time, and a Statement never changes.
    return tuple(read_statements(sql, path, prefix))


def _signature(statement: Statement) -> inspect.Signature:
    given = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in ("self", "conn")]
    required, optional = parameters(statement)
    given += [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in required]
    given += [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=...) for name in optional]
    if declared := sorts(statement):
        given.append(
            inspect.Parameter("sort", inspect.Parameter.KEYWORD_ONLY, default=declared[0], annotation=Literal[declared])
        )
    return inspect.Signature(given)
