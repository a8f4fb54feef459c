"""
The one reader of PostgreSQL's SQL: what is text, comment, name, number, parameter.

It follows PostgreSQL's own scanner (scan.l, standard_conforming_strings on) and knows nothing of grammar. Everything else about
.sql files is decided on its tokens, never on lines or by searching.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, cast

from store.errors import QueryFileError

Kind = Literal[
    "assign",
    "blank",
    "block",
    "cast",
    "close",
    "colon",
    "comment",
    "dollar",
    "escape",
    "number",
    "open",
    "other",
    "parameter",
    "quoted",
    "semicolon",
    "string",
    "word",
]

TRIVIA: frozenset[Kind] = frozenset({"blank", "block", "comment"})

_START = r"A-Za-z_\x80-\U0010ffff"
_TOKEN = re.compile(
    rf"""
      (?P<blank>[ \t\n\r\f\v]+)
    | (?P<comment>--[^\n\r]*)
    | (?P<block>/\*)
    | (?P<escape>[eE]'(?:[^'\\]|\\.|'')*+')
    | (?P<string>(?:[bBnNxX]|[uU]&)?'(?:[^']|'')*+')
    | (?P<quoted>(?:[uU]&)?"(?:[^"]|"")*+")
    | (?P<dollar>(?P<tag>\$(?:[{_START}][0-9{_START}]*)?\$).*?(?P=tag))
    | (?P<broken>[eE]?'|"|\$(?:[{_START}][0-9{_START}]*)?\$)
    | (?P<number>[0-9][0-9A-Za-z_]*(?:\.[0-9][0-9A-Za-z_]*)?)
    | (?P<word>[{_START}][0-9${_START}]*)
    | (?P<cast>::)
    | (?P<assign>:=)
    | (?P<parameter>:[{_START}][0-9${_START}]*)
    | (?P<colon>:)
    | (?P<open>[\[(])
    | (?P<close>[\])])
    | (?P<semicolon>;)
    | (?P<positional>\$[0-9]+)
    | (?P<other>.)
    """,
    re.DOTALL | re.VERBOSE,
)
_BLOCK = re.compile(r"/\*|\*/")
_BROKEN = {"'": "string", '"': "quoted identifier", "$": "dollar quote"}


class Token(NamedTuple):
    """
    A piece of SQL text as it stands in the file, and the line on which it begins.
    """

    kind: Kind
    text: str
    line: int


def fault(path: object, line: int, message: str) -> QueryFileError:
    """
    Return the error that names the file, the line and the way out.
    """
    return QueryFileError(f"{path}:{line}: {message}")


def tokenize(sql: str, path: object = "<sql>", *, line: int = 1) -> list[Token]:
    """
    Cut the text into tokens; put together again they are the text. `line` is where the text begins.

    Raises QueryFileError for what is opened and never closed, for a hand-written $1 and for a zero byte.
    """
    tokens: list[Token] = []
    if (zero := sql.find("\0")) >= 0:
        raise fault(path, line + sql.count("\n", 0, zero), "a zero byte: PostgreSQL ends the statement there, remove it")
    at = 0
    while found := _TOKEN.match(sql, at):
        kind, text = found.lastgroup, found.group()
        if kind == "positional":
            raise fault(path, line, f"{text} is written by hand: name the parameter (:order_id), the loader numbers it")
        if kind == "broken":
            raise fault(path, line, f"this {_BROKEN[text[-1]]} is never closed: {text}")
        if kind == "block":
            text = sql[at : _end_of_block(sql, at, line, path)]
        tokens.append(Token(cast("Kind", kind), text, line))
        at += len(text)
        line += text.count("\n")
    return tokens


def significant(tokens: Iterable[Token]) -> Iterator[Token]:
    """
    Yield the tokens that PostgreSQL's grammar sees.
    """
    return (token for token in tokens if token.kind not in TRIVIA)


def fold(sql: str) -> str:
    """
    Return the text as PostgreSQL's grammar sees it: no comments, one blank where there were several, strings as they stand.

    Takes what the loader made, with $1 and $2 in it.
    """
    parts: list[str] = []
    at = 0
    while found := _TOKEN.match(sql, at):
        at = found.end()
        if found.lastgroup == "block":
            at = _end_of_block(sql, found.start(), 1, "<sql>")
        is_trivia = found.lastgroup in TRIVIA
        if not is_trivia:
            parts.append(found.group())
        elif parts and parts[-1] != " ":
            parts.append(" ")
    return "".join(parts).strip()


def resolve(tokens: Iterable[Token], path: object = "<sql>") -> list[Token]:
    """
    Decide for one statement which `:name` is a parameter and which colon is PostgreSQL's: a slice is left as two tokens.

    Raises QueryFileError for psql-only notations and for what PostgreSQL or psql would read in another way than we do.
    """
    resolved: list[Token] = []
    brackets: list[str] = []
    gap = ""
    last: Token | None = None
    for token in tokens:
        if token.kind in TRIVIA:
            gap += token.text
            resolved.append(token)
            continue
        sliced = bool(brackets) and brackets[-1] == "subscript"
        if last is not None and not sliced:
            _refuse_pair(last, token, gap, path)
        if token.kind == "open":
            brackets.append(_opened(token, last, brackets))
        elif token.kind == "close" and brackets:
            brackets.pop()
        if token.kind == "parameter" and sliced:
            resolved += [Token("colon", ":", token.line), Token("word", token.text[1:], token.line)]
        else:
            resolved.append(token)
        last, gap = token, ""
    return resolved


def refuse_continued(tokens: Iterable[Token], path: object) -> None:
    """
    Raise QueryFileError for an E'' string that goes on in the next line, where PostgreSQL reads backslashes on.
    """
    gap = ""
    last: Token | None = None
    for token in tokens:
        if token.kind in TRIVIA:
            gap += token.text
            continue
        if last is not None:
            _refuse_continuation(last, token, gap, path)
        last, gap = token, ""


def _refuse_continuation(last: Token, token: Token, gap: str, path: object) -> None:
    if last.kind == "escape" and token.text.startswith("'") and ("\n" in gap or "\r" in gap):
        raise fault(path, token.line, "an E'' string continued on the next line: close it and join the two with ||")


def _end_of_block(sql: str, start: int, line: int, path: object) -> int:
    depth = 0
    for mark in _BLOCK.finditer(sql, start):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return mark.end()
    raise fault(path, line, "this block comment is never closed (they nest: each /* wants its */)")


def _opened(token: Token, last: Token | None, brackets: list[str]) -> str:
    if token.text == "(":
        return "parenthesis"
    if last is not None and last.kind == "word" and last.text.lower() == "array":
        return "array"
    nested = bool(brackets) and brackets[-1] == "array" and last is not None and last.text in ("[", ",")
    return "array" if nested else "subscript"


def _refuse_pair(last: Token, token: Token, gap: str, path: object) -> None:
    _refuse_continuation(last, token, gap, path)
    if last.kind == "colon" and not gap and token.text[0] in "'\"{":
        raise fault(
            path, last.line, f":{token.text[:1]} is psql's own notation: write :name, or a blank after a colon of PostgreSQL"
        )
    if token.kind == "parameter" and last.kind in ("dollar", "escape", "number", "parameter", "string"):
        raise fault(
            path,
            token.line,
            f"{token.text} reads as a parameter behind a value: as in JSON_OBJECT('k': v), a colon of PostgreSQL wants a blank "
            "after it",
        )
