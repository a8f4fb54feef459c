"""
PostgreSQL's node text (`prosqlbody::text`, `ev_action::text`) as a tree of Python values.

The text is no stable interface. It is read by its punctuation alone: a field that one version has and another has not is None,
a node nobody knows is a Node like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeGuard

# A blank or a bracket inside a name carries a backslash; the bytes of a constant stand in square brackets behind their number.
_WORD = r"(?:[^\s(){}\\]++|\\.)++"
_NUMBERS = r"\([bixo][ \d-]*\)"  # bitmapset; lists of integers, of transaction ids and of OIDs
_FIELD = rf":{_WORD} (?:{_NUMBERS}|{_WORD}(?: \[[ \d-]*\])?)"
# One piece is a name with all the plain values behind it, closed where nothing else follows: most come back again and again.
_PIECE = re.compile(rf"\{{{_WORD}(?: {_FIELD})*+\}}?|{_FIELD}(?: {_FIELD})*+|{_NUMBERS}|{_WORD}|[()}}]", re.DOTALL)
_FIELDS = re.compile(_FIELD, re.DOTALL)
# Left out before it is read: other names for tables and columns, and, so that what is alike looks alike, places in the text.
_ALIASES = re.compile(r"\{ALIAS (?:[^\\}]++|\\.)*+\}", re.DOTALL)
_PLACES = re.compile(r"location \d+")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_INTEGER = re.compile(r"-?\d+")
_REGCLASS = 2205
_WORDS = {"<>": None, "true": True, "false": False}


class Node(dict[str, Any]):
    """
    One node: its fields by name, None for those it has not.
    """

    __slots__ = ("_below", "children", "function", "tag")

    def __init__(self, tag: str, fields: Mapping[str, Any] | None = None) -> None:
        super().__init__(fields or {})
        self.tag = tag
        self.function = self.called()
        """The OID of the function, operator's function, aggregate or window function that it calls; 0 where it calls none."""
        self.children: list[Node] = []
        """The nodes directly below, through any lists."""
        self._below: list[Node] = []

    @property
    def below(self) -> list[Node]:
        """
        The node and everything below it, in no order that means anything.
        """
        if not self._below:
            found: list[Node] = [self]
            for one in found:
                found.extend(one.children)
            self._below = found
        return self._below

    def called(self) -> int:
        """
        Return what `function` is by its fields.
        """
        return self["funcid"] or self["opfuncid"] or self["aggfnoid"] or self["winfnoid"] or 0

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
    """
    pieces = iter(_PIECE.findall(_ALIASES.sub("<>", _PLACES.sub("location -1", text))))
    return _value(next(pieces), pieces)


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


def _value(piece: str, pieces: Iterator[str]) -> Any:
    if piece == "(":
        return _list(pieces)
    if piece[0] != "{":
        return _scalar(piece)
    return _whole(piece) if piece[-1] == "}" else _node(piece, pieces)


def _node(head: str, pieces: Iterator[str]) -> Node:
    tag, _, fields = head[1:].partition(" ")
    node = Node(tag, _fields(fields))
    for piece in pieces:
        if piece == "}":
            node.function = node.called()
            return node
        if " " in piece:
            node.update(_fields(piece))
        else:
            node[piece[1:]] = value = _value(next(pieces), pieces)
            _adopt(node, value)
    raise ValueError("the node text ends inside a node")


def _list(pieces: Iterator[str]) -> list[Any]:
    found: list[Any] = []
    for piece in pieces:
        if piece == ")":
            return found
        found.append(_value(piece, pieces))
    raise ValueError("the node text ends inside a list")


@lru_cache(maxsize=10_000)
def _whole(piece: str) -> Node:
    """
    Return a node that has no nodes in it.
    """
    tag, _, fields = piece[1:-1].partition(" ")
    return Node(tag, _fields(fields))


@lru_cache(maxsize=10_000)
def _fields(piece: str) -> dict[str, Any]:
    pairs = (field[1:].split(" ", 1) for field in _FIELDS.findall(piece))
    return {name: _scalar(value) for name, value in pairs}


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
    return _ESCAPE.sub(r"\1", piece)


def _adopt(node: Node, value: Any) -> None:
    if isinstance(value, Node):
        node.children.append(value)
    elif _is_list(value):
        for one in value:
            _adopt(node, one)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
