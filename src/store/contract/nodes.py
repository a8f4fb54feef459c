"""
PostgreSQL's node text (`prosqlbody::text`, `ev_action::text`) as a tree of Python values.

The text is no stable interface. It is read by its punctuation alone: a field that one version has and another has not is None,
a node nobody knows is a Node like any other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any, Literal, TypeGuard

_WORD = r"[^ (){}]++"
_NUMBERS = r"\([bixo][ \d-]*\)"  # bitmapset; lists of integers, of transaction ids and of OIDs
_BYTES = r" \[[ \d-]*\]"  # those of a constant stand behind their number
# Between two nodes stand fields with plain values, the name of the field that the next node belongs to, lists, and ends.
_STEP = re.compile(rf":([^ ]++) ({_WORD}(?:{_BYTES})?|{_NUMBERS})|({_WORD}|{_NUMBERS}|[()}}])")
# A blank or a bracket inside a name carries a backslash. Until all is read it is half a surrogate, which no text has in it.
_ESCAPED = re.compile(r"\\([\x00-\x7f])")
_HIDDEN = {code: 0xDC00 + code for code in range(128)}
_SHOWN = {hidden: code for code, hidden in _HIDDEN.items()}
# Left out before it is read: other names for tables and columns, and, so that what is alike looks alike, places in the text.
_ALIASES = re.compile(r"\{ALIAS [^}]*\}")
_PLACES = re.compile(r"location \d+")
_INTEGER = re.compile(r"-?\d+")
_REGCLASS = 2205
_DEEPEST = 500  # nodes and lists
_WORDS = {"<>": None, "true": True, "false": False}

_Step = tuple[Literal["open", "close", "value", "name", "fields"], Any]
"""What is read next: the start of a node or a list, and who makes it; an end; a value; a name whose value follows; fields."""


class Node(dict[str, Any]):
    """
    One node: its fields by name, None for those it has not.
    """

    __slots__ = ("_below", "_called", "children", "function", "tag")

    def __init__(self, tag: str, fields: Mapping[str, Any] | None = None) -> None:
        super().__init__(fields or {})
        self.tag = tag
        calls: int | None = self.get("funcid") or self.get("opfuncid") or self.get("aggfnoid") or self.get("winfnoid")
        self.function = calls or 0
        """The OID of the function, operator's function, aggregate or window function that it calls; 0 where it calls none."""
        self.children: list[Node] = []
        """The nodes directly below, through any lists."""
        self._below: list[Node] | None = None
        self._called: frozenset[int] | None = None

    @property
    def below(self) -> list[Node]:
        """
        The node and everything below it, in no order that means anything.
        """
        if self._below is None:
            found: list[Node] = [self]
            for one in found:
                found.extend(one.children)
            self._below = found
        return self._below

    @property
    def called(self) -> frozenset[int]:
        """
        The functions that these call, by OID.
        """
        if self._called is None:
            self._called = frozenset(one.function for one in self.below if one.function)
        return self._called

    def __missing__(self, field: str) -> None:
        return None

    def many(self, field: str) -> list[Any]:
        """
        Return the list in a field, empty where there is none.
        """
        value: Any = self.get(field)
        return value if _is_list(value) else []


def read(text: str) -> Any:
    """
    Return the tree: Nodes, lists, numbers, truth values, words and None. Nobody changes it: what is alike in it is one object.

    Raises RecursionError where it is so deep that who walks it by recursion would.
    """
    top = node = Node("")
    values: list[Any] | None = None  # the innermost list that is open in the node
    name = "all"
    around: list[tuple[Node, list[Any] | None]] = []
    start, *pieces = _prepared(text).split("{")  # and not by an expression: it is megabytes
    for steps in (_between(start), *map(_steps, pieces)):
        for kind, value in steps:
            if kind == "fields":
                node.update(value)
            elif kind == "name":
                name = value
            elif kind == "close":
                node, values = around.pop()
            elif kind == "value":
                _put(value, node, name, values)
            else:
                made: Node | list[Any] = value()
                _put(made, node, name, values)
                around.append((node, values))
                node, values = (made, None) if isinstance(made, Node) else (node, made)
        if len(around) > _DEEPEST:
            raise RecursionError
    if around:
        raise ValueError("the node text ends inside a node or a list")
    return top["all"]


def queries_of(text: str) -> list[Node]:
    """
    Return the analysed queries in a stored function body or rule.
    """
    found: list[Node] = []
    waiting = [read(text)]
    while waiting:
        value = waiting.pop(0)
        if isinstance(value, list):
            waiting[:0] = value
        elif isinstance(value, Node) and value.tag == "QUERY":
            found.append(value)
    return found


def regclass(node: Node) -> int:
    """
    Return the OID of the relation that a constant names, as in nextval('carts_id_seq'); 0 for any other node.
    """
    if node.tag != "CONST" or node["consttype"] != _REGCLASS or node["constisnull"]:
        return 0
    return int.from_bytes(node["constvalue"][:4], "little")


def _put(value: Any, node: Node, name: str, values: list[Any] | None) -> None:
    if values is None:
        node[name] = value
    else:
        values.append(value)
    if isinstance(value, Node):
        node.children.append(value)


def _prepared(text: str) -> str:
    if "\\" in text:
        text = _ESCAPED.sub(lambda found: found[1].translate(_HIDDEN), text)
    return _ALIASES.sub("<>", _PLACES.sub("location -1", text))


@lru_cache(maxsize=10_000)
def _steps(piece: str) -> tuple[_Step, ...]:
    """
    Return what stands between the bracket that opens a node and the next one: the same pieces come back again and again.
    """
    head, is_closed, rest = piece.partition("}")
    if not is_closed:
        return _opening(head)
    return (*_whole(head), *_between(rest))


@lru_cache(maxsize=10_000)
def _whole(head: str) -> tuple[_Step, ...]:
    """
    Return a node that has no nodes in it.
    """
    (kind, make), *more = _opening(head)
    return ((kind, make), *more, ("close", None)) if more else (("value", make()),)


@lru_cache(maxsize=10_000)
def _opening(head: str) -> tuple[_Step, ...]:
    tag, _, rest = head.partition(" ")
    steps = _between(rest)
    if steps and steps[0][0] == "fields":
        return (("open", partial(Node, tag, steps[0][1])), *steps[1:])
    return (("open", partial(Node, tag)), *steps)


@lru_cache(maxsize=10_000)
def _between(text: str) -> tuple[_Step, ...]:
    found: list[_Step] = []
    fields: dict[str, Any] = {}
    for name, value, other in _STEP.findall(text):
        if name:
            if not fields:
                found.append(("fields", fields))
            fields[name] = _scalar(value)
            continue
        fields = {}
        if other == "(":
            found.append(("open", list))
        elif other in {")", "}"}:
            found.append(("close", None))
        else:
            found.append(("name", other[1:]) if other[0] == ":" else ("value", _scalar(other)))
    return tuple(found)


@lru_cache(maxsize=10_000)
def _scalar(piece: str) -> Any:
    if piece in _WORDS:
        return _WORDS[piece]
    if piece[0] == "(":
        return [int(number) for number in piece[2:-1].split()]
    if piece[-1] == "]" and " [" in piece:
        return bytes(int(number) & 255 for number in piece[piece.index("[") + 1 : -1].split())
    if _INTEGER.fullmatch(piece):
        return int(piece)
    if piece.startswith('"') and piece.endswith('"') and len(piece) > 1:
        piece = piece[1:-1]
    return piece.translate(_SHOWN)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
