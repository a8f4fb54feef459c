"""
Arguments of verbs, held against the same types as the fields of the DTOs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from store.errors import InvalidInput, NotFound
from store.models import MAX_MANY

T = TypeVar("T")

# Where pydantic's own words would quote the value.
_RULES = {"extra_forbidden": "unknown field", "uuid_parsing": "must be a UUID"}


@lru_cache(maxsize=64)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def checked(field: str, kind: Any, value: Any) -> Any:
    """
    Return the value as this kind takes it, or raise InvalidInput that names the field and the rule.
    """
    try:
        return _adapter(kind).validate_python(value)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
    # The name of a field that does not exist is the caller's text, as a value is: neither is quoted.
    known = fault["loc"][:-1] if fault["type"] == "extra_forbidden" else fault["loc"]
    where = ".".join(str(part) for part in known if isinstance(part, str) and part.isidentifier()) or field
    rule = _RULES.get(fault["type"], fault["msg"].removeprefix("Value error, "))
    message = f"{where}: {rule}"
    raise InvalidInput(message, field=where)


def changes(kind: type[BaseModel], update: object) -> dict[str, Any]:
    """
    Return the fields that were set, validated anew: no subclass and no unvalidated instance brings another one in.
    """
    if not isinstance(update, kind):
        message = f"update: must be a {kind.__name__}"
        raise InvalidInput(message, field="update")
    given = {name: vars(update).get(name) for name in update.model_fields_set}
    validated: BaseModel = checked("update", kind, given)
    return validated.model_dump(exclude_unset=True)


def several(field: str, kind: Any, values: Any) -> list[Any]:
    """
    Return a list of checked values, at most 10,000.
    """
    if not hasattr(values, "__iter__"):
        message = f"{field}: must be several, as in a list"
        raise InvalidInput(message, field=field)
    given: list[Any] = list(islice(values, MAX_MANY + 1))
    if len(given) > MAX_MANY:
        message = f"{field}: at most {MAX_MANY} at a time"
        raise InvalidInput(message, field=field)
    return [checked(field, kind, value) for value in given]


def existing(what: str, row: T | None, *ids: int) -> T:
    """
    Return the row. Raises NotFound when there is none, with the ids that asked for it.
    """
    if row is None:
        raise NotFound.of(what, *ids)
    return row


def in_order(what: str, ids: Sequence[int], rows: Iterable[T], key: str = "id") -> tuple[T, ...]:
    """
    Return the rows in the order of the ids that asked for them. Raises NotFound for ids without a row.
    """
    rows_by_id = {getattr(row, key): row for row in rows}
    missing = sorted(set(ids) - rows_by_id.keys())
    if missing:
        raise NotFound.of(what, *missing)
    return tuple(rows_by_id[i] for i in ids)
