"""
Holds a DTO to the columns of its query, without a database: names, nulls, types, precision, closed sets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

from store.contract import pytypes
from store.contract.facts import Column
from store.contract.findings import Severity
from store.contract.schema import Schema, base_type

_NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")
_BELOW = re.compile(r"VALUE < '?\(?(\d+)")
_SCALE = re.compile(r"scale\(VALUE\) <= (\d+)")

Rule = Literal[
    "dto-closed-set",
    "dto-column",
    "dto-field",
    "dto-float",
    "dto-null",
    "dto-optional",
    "dto-precision",
    "dto-type",
]


class Mismatch(NamedTuple):
    """
    One disagreement of a DTO with the columns it is filled from.
    """

    rule: Rule
    message: str
    mend: str
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class _Place:
    model: str
    name: str
    column: Column
    field: FieldInfo


def compare(columns: Sequence[Column], model: type[BaseModel], schema: Schema) -> Iterator[Mismatch]:
    """
    Yield what keeps these columns from becoming this DTO, and, as warnings, what the DTO promises less than the columns do.
    """
    names = [column.name for column in columns]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Mismatch("dto-column", f"two columns are called {name}", "give one another name with AS")
    fields = {alias: (name, each) for name, each in model.model_fields.items() for alias in _aliases(name, each)}
    for name, each in model.model_fields.items():
        if each.is_required() and not set(_aliases(name, each)) & set(names):
            yield Mismatch("dto-field", f"{model.__name__}.{name} has no column", "select it, or give the field a default")
    for column in columns:
        if column.name not in fields:
            yield Mismatch(
                "dto-column", f"the column {column.name} has no field in {model.__name__}", "add the field, or do not select it"
            )
            continue
        name, each = fields[column.name]
        yield from _field(_Place(model.__name__, name, column, each), schema)


def _aliases(name: str, field: FieldInfo) -> list[str]:
    alias = field.validation_alias or field.alias or name
    if isinstance(alias, AliasChoices):
        return [choice for choice in alias.choices if isinstance(choice, str)]
    return [alias] if isinstance(alias, str) else [name]


def _field(place: _Place, schema: Schema) -> Iterator[Mismatch]:
    column, label = place.column, f"{place.model}.{place.name}"
    spelled = pytypes.spell(place.field.annotation)
    is_optional, choices = pytypes.alternatives(place.field.annotation)
    base = base_type(column.type, schema)
    verdict = pytypes.fits(base, choices)
    if column.is_nullable and not (is_optional or pytypes.takes_all(choices)):
        exact = "Decimal" if verdict == "float" else spelled
        yield Mismatch(
            "dto-null", f"{column.name} can be null and {label} is {spelled}", f"make it {exact} | None, or coalesce in SQL"
        )
    if is_optional and not column.is_nullable:
        yield Mismatch(
            "dto-optional", f"{column.name} is never null and {label} is {spelled}", "leave out None", severity="warning"
        )
    if column.may_hold_null and not (pytypes.takes_null_elements(choices) or pytypes.takes_all(choices)):
        message = f"an element of {column.name} can be null and {label} is {spelled}"
        yield Mismatch("dto-null", message, "let its elements be None, or select array_remove(..., NULL)")
    if verdict == "float":
        yield Mismatch(
            "dto-float",
            f"{column.name} is {column.type} and {label} is {spelled}",
            f"money is exact: make it Decimal{' | None' * (is_optional or column.is_nullable)}",
        )
    elif verdict == "unknown":
        yield Mismatch("dto-type", f"{column.name} is {column.type}, which no field type stands for", "cast it in SQL")
    elif verdict == "no":
        yield Mismatch(
            "dto-type", f"{column.name} is {column.type} and {label} is {spelled}", f"it takes {pytypes.wanted(base)}"
        )
    else:
        yield from _precision(place, schema)
        yield from _closed_set(place, choices, schema)


def _precision(place: _Place, schema: Schema) -> Iterator[Mismatch]:
    digits, decimals = _numeric(place.column.type, schema)
    held: dict[str, int] = {}
    for fact in pytypes.metadata(place.field):
        held |= {key: value for key in ("max_digits", "decimal_places") if isinstance(value := getattr(fact, key, None), int)}
    if digits is not None and held.get("max_digits", digits) < digits:
        yield _narrow(place, f"{digits} digits", f"max_digits={held['max_digits']}")
    if decimals is not None and held.get("decimal_places", decimals) < decimals:
        yield _narrow(place, f"{decimals} decimals", f"decimal_places={held['decimal_places']}")


def _narrow(place: _Place, has: str, says: str) -> Mismatch:
    return Mismatch(
        "dto-precision",
        f"{place.column.name} ({place.column.type}) can have {has} and {place.model}.{place.name} says {says}",
        "widen the field, or narrow the column",
    )


def _numeric(name: str, schema: Schema) -> tuple[int | None, int | None]:
    """
    Return how many digits a number of this type can have, and how many behind the point; a domain's CHECK counts.
    """
    if found := _NUMERIC.fullmatch(base_type(name, schema)):
        return int(found[1]), int(found[2])
    named = schema.types.get(name)
    below, scale = (_BELOW.search(named.checks), _SCALE.search(named.checks)) if named else (None, None)
    decimals = int(scale[1]) if scale else None
    return (len(str(int(below[1]) - 1)) + (decimals or 0) if below else None), decimals


def _closed_set(place: _Place, choices: Sequence[object], schema: Schema) -> Iterator[Mismatch]:
    words = pytypes.words(choices)
    named = schema.types.get(place.column.type)
    held = named.labels if named and named.labels else schema.values.get(place.column.origin or "")
    if words is None or not held or set(held) == words:
        return
    more, less = sorted(words - set(held)), sorted(set(held) - words)
    faults = [f"{what} {', '.join(each)}" for what, each in (("only the field has", more), ("the field lacks", less)) if each]
    yield Mismatch(
        "dto-closed-set",
        f"{place.column.name} and {place.model}.{place.name} are different sets: {'; '.join(faults)}",
        "make them equal",
    )
