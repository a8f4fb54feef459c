"""
PostgreSQL's node text (`prosqlbody::text`, `ev_action::text`) as a tree of Python values.

The text is no stable interface. It is read by its punctuation alone: a field that one version has and another has not is None,
a node nobody knows is a Node like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeGuard

# A blank or a bracket inside a name carries a backslash; the bytes of a constant stand in square brackets.
_PIECE = re.compile(r"[(){}]|\[(?: -?\d+)* \]|(?:\\.|[^\s(){}\\])+", re.DOTALL)
# What nobody asks for is half of the text, and cheaper left out before it is read.
_NOISE = re.compile(
    r" :(?:(?:stmt_)?location|var(?:typmod|collid|nosyn|attnosyn)|param(?:typmod|collid)|const(?:typmod|collid|len)"
    r"|(?:op|func)collid|resorig(?:tbl|col)) -?\d+"
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_INTEGER = re.compile(r"-?\d+")
_WORDS = {"<>": None, "true": True, "false": False}
_OPENING = {"{", "("}
_NUMBERS = {"b", "i", "o", "x"}  # bitmapset; lists of integers, of OIDs and of transaction ids


class Node(dict[str, Any]):
    """
    One node: its fields by name, None for those it has not.
    """

    __slots__ = ("children", "tag")

    def __init__(self, tag: str) -> None:
        super().__init__()
        self.tag = tag
        self.children: list[Node] = []
        """The nodes directly below, through any lists."""

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
    Return the tree: Nodes, lists, numbers, truth values, words and None.
    """
    pieces = iter(_PIECE.findall(_NOISE.sub("", text)))
    return _value(next(pieces), pieces, _Scalars(_WORDS))


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


def walk(node: Node) -> list[Node]:
    """
    Return the node and everything below it, in no order that means anything.
    """
    found = [node]
    for one in found:
        found.extend(one.children)
    return found


class _Scalars(dict[str, Any]):
    """
    What a piece means; most come back again and again.
    """

    def __missing__(self, piece: str) -> Any:
        self[piece] = value = int(piece) if _INTEGER.fullmatch(piece) else _word(piece)
        return value


def _word(piece: str) -> Any:
    if piece.startswith("["):
        return bytes(int(number) & 255 for number in piece[1:-1].split())
    if piece.startswith('"') and piece.endswith('"') and len(piece) > 1:
        piece = piece[1:-1]
    return _ESCAPE.sub(r"\1", piece)


def _value(piece: str, pieces: Iterator[str], scalars: _Scalars) -> Any:
    if piece == "{":
        return _node(pieces, scalars)
    return _list(pieces, scalars) if piece == "(" else scalars[piece]


def _node(pieces: Iterator[str], scalars: _Scalars) -> Node:
    node = Node(next(pieces))
    field = ""
    for piece in pieces:
        if piece == "}":
            return node
        if piece[0] == "[":
            node[field] = scalars[piece]  # the bytes of a constant, behind their number
            continue
        field = piece[1:]
        value = next(pieces)
        if value not in _OPENING:
            node[field] = scalars[value]
        else:
            node[field] = _value(value, pieces, scalars)
            _adopt(node, node[field])
    raise ValueError("the node text ends inside a node")


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _adopt(node: Node, value: Any) -> None:
    if isinstance(value, Node):
        node.children.append(value)
    elif _is_list(value):
        for one in value:
            _adopt(node, one)


def _list(pieces: Iterator[str], scalars: _Scalars) -> list[Any]:
    found: list[Any] = []
    for piece in pieces:
        if piece == ")":
            return found
        if found or piece not in _NUMBERS:
            found.append(_value(piece, pieces, scalars))
        else:
            return [int(number) for number in iter(lambda: next(pieces), ")")]
    raise ValueError("the node text ends inside a list")
