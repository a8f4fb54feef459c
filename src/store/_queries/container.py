"""
aiosql's container of query functions, with the same functions in both colours.
"""

from __future__ import annotations

from typing import Any, cast

from aiosql.queries import Queries
from aiosql.types import DriverAdapterProtocol, QueryDatum, QueryFn, SQLOperationType

from store._queries.choice import parameters
from store._queries.loader import Registry
from store._queries.statement import Statement
from store.errors import WrongParameters

_ANSWERS = {
    SQLOperationType.SELECT: "select",
    SQLOperationType.SELECT_ONE: "select_one",
    SQLOperationType.SELECT_VALUE: "select_value",
    SQLOperationType.INSERT_UPDATE_DELETE: "insert_update_delete",
}


class Container(Queries):
    """
    The queries of one file, each a function of a connection and keywords that carries its `.statement`.
    """

    def __init__(self, driver_adapter: Registry, kwargs_only: bool = True) -> None:  # noqa: FBT001, FBT002  # aiosql's signature
        super().__init__(cast("DriverAdapterProtocol", driver_adapter), kwargs_only)
        self._registry = driver_adapter

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name=name, obj=self)
        raise AttributeError(f"there is no query {name}: the file has {', '.join(self.available_queries)}", name=name, obj=self)

    def _create_methods(self, query_datum: QueryDatum, is_aio: bool) -> list[QueryFn]:  # noqa: FBT001  # aiosql's signature
        name, sql = query_datum.query_name, query_datum.sql
        answer = getattr(self.driver_adapter, _ANSWERS[query_datum.operation_type])
        statement = self._registry.statements[name]

        def named(given: tuple[object, ...], keywords: dict[str, object]) -> dict[str, object]:
            if given:
                raise WrongParameters(f"{statement.full_name} takes its parameters by name: {_call(statement)}")
            return keywords

        # Each on one line: a traceback then shows the line of the header in the .sql file.
        # fmt: off
        def fn(_: Any, conn: Any, /, *a: Any, **k: Any) -> Any: return answer(conn, name, sql, named(a, k))
        async def afn(_: Any, conn: Any, /, *a: Any, **k: Any) -> Any: return await answer(conn, name, sql, named(a, k))
        # fmt: on

        made = self._query_fn(
            afn if is_aio else fn,
            name,
            query_datum.doc_comments,
            sql,
            query_datum.operation_type,
            query_datum.signature,
            query_datum.floc,
            query_datum.attributes,
            query_datum.parameters,
        )
        made.__code__ = made.__code__.replace(co_name=name, co_qualname=statement.full_name)  # type: ignore[attr-defined]  # a function
        made.statement = statement  # type: ignore[attr-defined]  # aiosql's protocol has no place for it
        made.adapter = self._registry  # type: ignore[attr-defined]  # the same
        return [made]


def _call(statement: Statement) -> str:
    names = [name for names in parameters(statement) for name in names]
    return f"{statement.name}({', '.join(f'{name}=...' for name in names)})"
