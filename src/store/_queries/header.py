"""
The comments that open an entry: `-- name: get_user(id)^`, its purpose and its marks.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass

from aiosql.queries import Queries

from store._queries.statement import Kind, Mark
from store._tokens import Token, fault

NAME = re.compile(r"[a-z][a-z0-9_]*")
STARTS = re.compile(r"--\s*name\s*:\s*(?P<spec>.*)")
MARK = re.compile(r"--\s*(?P<key>kind|null|plan|record_class|row|rows)\s*:\s*(?P<value>.*)")

_WORD = re.compile(r"--\s*(?P<key>\w+)\s*:(?P<value>.*)")
_WORDS = ("name", "row", "rows", "null", "plan", "kind", "record_class", "Locks")
_SPEC = re.compile(r"(?P<name>[^\s(]*)\s*(?:\((?P<parameters>[^()]*)\))?\s*(?P<mark>\S*)")
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MARKS: dict[str, Mark] = {"": "", "^": "^", "$": "$", "!": "!"}
_UNUSED = {
    "<!": "use ^ with RETURNING",
    "*!": "use ! and one statement over unnest(:ids::bigint[])",
    "#": "use one entry for each statement",
}
_METHODS = frozenset({name for name in dir(Queries) if not name.startswith("_")} | {"driver_adapter", "is_aio"})


@dataclass(slots=True)
class Header:
    """
    What the comments above one statement say.
    """

    name: str
    parameters: tuple[str, ...]
    mark: Mark
    line: int
    doc: str = ""
    row: str | None = None
    rows: str | None = None
    plan: tuple[str, ...] = ()
    kind: Kind = "query"
    nullable: frozenset[str] = frozenset()


def check_name(name: str, what: str, line: int, path: object) -> None:
    """
    Refuse a name that cannot be an attribute or that grep would not find.
    """
    if not NAME.fullmatch(name):
        raise fault(path, line, f"{what} {name!r}: lower-case letters, digits and underscores only, a letter first")
    if keyword.iskeyword(name):
        raise fault(path, line, f"{what} {name!r} is a word of Python's own: choose another")
    if name in _METHODS:
        raise fault(path, line, f"{what} {name!r} is a method of aiosql's: choose another")


def read_header(comments: Sequence[Token], path: object) -> Header:
    """
    Read the comments of one entry, the `-- name:` line first.
    """
    first, *rest = comments
    header = _read_spec(first, path)
    doc: list[str] = []
    seen: set[str] = set()
    for comment in rest:
        mark = MARK.fullmatch(comment.text.strip())
        if mark is None:
            _refuse_slip(comment, header.name, path)
            doc.append(comment.text[2:].strip())
            continue
        if mark["key"] in seen and mark["key"] != "plan":
            raise fault(path, comment.line, f"`-- {mark['key']}:` stands twice: keep one")
        seen.add(mark["key"])
        _apply(header, mark["key"], mark["value"].strip(), comment.line, path)
    header.doc = "\n".join(doc).strip()
    return header


def _refuse_slip(comment: Token, name: str, path: object) -> None:
    """
    Refuse what is a mark but for one letter, and would otherwise be prose.
    """
    found = _WORD.fullmatch(comment.text.strip())
    for known in _WORDS if found else ():
        # So short a word has many neighbours; a row is the name of a class, and prose is not.
        if found and _is_slip(found["key"], known) and (known != "row" or found["value"].strip().isidentifier()):
            raise fault(
                path, comment.line, f"{name}: `-- {found['key']}:` is no mark: is it `-- {known}:`? Prose puts it otherwise"
            )


def _is_slip(word: str, known: str) -> bool:
    """
    Whether one letter is missing, too many or another, or two are swapped; the first one is right or swapped.
    """
    if len(word) == len(known):
        wrong = [at for at, (one, two) in enumerate(zip(word, known, strict=True)) if one != two]
        is_swapped = len(wrong) == 2 and wrong[1] - wrong[0] == 1 and sorted(word) == sorted(known)
        return is_swapped or (len(wrong) == 1 and wrong != [0])
    short, long = sorted((word, known), key=len)
    return any(long[:at] + long[at + 1 :] == short for at in range(1, len(long)))


def _read_spec(comment: Token, path: object) -> Header:
    found = STARTS.fullmatch(comment.text.strip())
    spec = _SPEC.fullmatch(found["spec"].strip()) if found else None
    if spec is None:
        raise fault(path, comment.line, "the header is not of the form `-- name: verb_noun(a, b)^`")
    name, mark = spec["name"], spec["mark"]
    for unused, instead in _UNUSED.items():
        if unused in (mark, name[-len(unused) :]):
            raise fault(path, comment.line, f"{name}: the mark {unused} is not used here: {instead}")
    check_name(name.rstrip("^$!"), "the query name", comment.line, path)
    if spec["parameters"] is None:
        raise fault(
            path, comment.line, f"{name}: the parameter list is missing: write {name.rstrip('^$!')}() when there are none"
        )
    if mark not in _MARKS:
        raise fault(
            path, comment.line, f"{name}: unknown mark {mark!r}: none (rows), ^ (one row), $ (one value) or ! (a count)"
        )
    return Header(name, _parameters(spec["parameters"], name, comment.line, path), _MARKS[mark], comment.line)


def _parameters(text: str, name: str, line: int, path: object) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",")) if text.strip() else ()
    for at, parameter in enumerate(names):
        if not _PARAMETER.fullmatch(parameter):
            raise fault(path, line, f"{name}: {parameter!r} is no parameter name: letters, digits, underscores, nothing else")
        if parameter in ("self", "conn") or keyword.iskeyword(parameter):
            raise fault(path, line, f"{name}: a parameter cannot be called {parameter}: Python needs the word, choose another")
        if parameter in names[:at]:
            raise fault(path, line, f"{name}: the parameter {parameter} is declared twice: keep one")
    return names


def _apply(header: Header, key: str, value: str, line: int, path: object) -> None:
    if key == "record_class":
        raise fault(path, line, f"{header.name}: record_class has no effect: name the row with `-- row:`")
    if not value:
        raise fault(path, line, f"{header.name}: `-- {key}:` says nothing: fill it in or remove it")
    if key == "row":
        if not value.isidentifier():
            raise fault(path, line, f"{header.name}: `-- row: {value}`: the name of one class is wanted, `-- row: Order`")
        header.row = value
    elif key == "rows":
        header.rows = value
    elif key == "plan":
        header.plan += (value,)
    elif key == "kind":
        if value != "copy":
            raise fault(path, line, f"{header.name}: `-- kind: {value}`: only `-- kind: copy` has a meaning")
        header.kind = "copy"
    else:
        header.nullable = frozenset(_parameters(value, header.name, line, path))
        if strangers := sorted(header.nullable - set(header.parameters)):
            raise fault(
                path, line, f"{header.name}: `-- null:` names {', '.join(strangers)}, which the header does not declare"
            )
