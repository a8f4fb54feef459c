"""
Which text of an entry a call asks for.
"""

from __future__ import annotations

from collections.abc import Mapping

from store._queries.statement import Statement
from store.errors import WrongParameters


def choose(statement: Statement, arguments: Mapping[str, object]) -> tuple[Statement, Mapping[str, object]]:
    """
    Return the text that these arguments ask for, and the parameters among them: filters are on when their parameters are
    passed, the sort is the one named in `sort`, or else the first.

    Raises WrongParameters, before anything is sent, for a sort that is not declared and for names that fit no text.
    """
    sort: object = statement.sort
    if statement.sort is not None and "sort" in arguments:
        arguments = dict(arguments)
        sort = arguments.pop("sort")
    found = statement.variants.get((frozenset(arguments), sort)) if sort is None or isinstance(sort, str) else None
    if found is None:
        raise _wrong(statement, arguments, sort)
    return found, arguments


def parameters(statement: Statement) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """
    Return what every text of the entry takes, and what only some of them take.
    """
    texts = [text.parameters for text in statement.texts()]
    every = dict.fromkeys(name for names in texts for name in names)
    required = tuple(name for name in every if all(name in names for names in texts))
    return required, tuple(name for name in every if name not in required)


def sorts(statement: Statement) -> tuple[str, ...]:
    """
    Return the sorts that the entry declares, the file's own first.
    """
    return tuple(dict.fromkeys(text.sort for text in statement.texts() if text.sort is not None))


def _wrong(statement: Statement, arguments: Mapping[str, object], sort: object) -> WrongParameters:
    required, optional = parameters(statement)
    takes = f"it takes {', '.join(required) or 'nothing'}"
    takes += f"; optional {', '.join(optional)}" if optional else ""
    takes += f"; sort {', '.join(sorts(statement))}" if sorts(statement) else ""
    return WrongParameters(f"{statement.full_name}: {'; '.join(_faults(statement, arguments, sort))} ({takes})")


def _faults(statement: Statement, arguments: Mapping[str, object], sort: object) -> list[str]:
    texts = [text for text in statement.texts() if text.sort == sort]
    if not texts:
        return [f"there is no sort {sort!r:.60}"]
    where = f" in the sort {sort}" if sort else ""
    bare = next(text for text in texts if not text.filters)
    known = {name for text in texts for name in text.parameters}
    faults = [("missing", [name for name in bare.parameters if name not in arguments])]
    faults += [("unknown", sorted(set(arguments) - known))]
    for text in texts:
        own = [name for name in text.parameters if name not in bare.parameters]
        if len(text.filters) == 1 and any(name in arguments for name in own):
            faults.append((f"{' and '.join(own)} go together: missing", [name for name in own if name not in arguments]))
    return [f"{what} {', '.join(names)}{where}" for what, names in faults if names]
