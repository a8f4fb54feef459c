"""
From rows to DTOs: one validation call a result.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from store.errors import RowMismatch

M = TypeVar("M", bound=BaseModel)


@lru_cache(maxsize=256)
def _list_of(model: type[M]) -> TypeAdapter[list[M]]:
    return TypeAdapter(list[model])  # type: ignore[valid-type]  # the model is a value here


def as_models(model: type[M], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[M]:
    """
    Return the rows as this DTO. Raises RowMismatch when columns and fields disagree.
    """
    try:
        return _list_of(model).validate_python([dict(zip(names, row, strict=True)) for row in rows])
    except ValidationError as error:
        faults = {f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors(include_input=False, include_url=False)}
    message = f"a row does not fit {model.__name__}: {'; '.join(sorted(faults)[:5])}"
    raise RowMismatch(message)


def as_tuples(name: str, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Any]:
    """
    Return the rows as named tuples of a type made for this query.
    """
    make = _tuple_type(name, tuple(names))._make
    return [make(row) for row in rows]


@lru_cache(maxsize=1024)
def _tuple_type(name: str, names: tuple[str, ...]) -> Any:
    title = "".join(part.title() for part in name.split("_")) + "Row"
    return namedtuple(title, names, rename=True)  # noqa: PYI024  # pyright: ignore[reportUntypedNamedTuple]  # known at run time only
