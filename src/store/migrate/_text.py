"""
Cuts a migration into statements, on PostgreSQL's own tokens: what is a statement is never decided by searching for words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from store._queries.tokens import TRIVIA, Token, tokenize

_POSITIONAL = re.compile(r"(?<![\w$])\$(?=[0-9])")  # $1 of a function body; the tokenizer wants names in queries


@dataclass(frozen=True, slots=True)
class Statement:
    """
    One statement: its text, its tokens without comments, where each begins in the text, and its line in the file.
    """

    text: str
    tokens: tuple[Token, ...]
    offsets: tuple[int, ...]
    line: int

    @property
    def words(self) -> tuple[str, ...]:
        """
        The tokens in lower case; a quoted name keeps its quotes.
        """
        return tuple(token.text if token.kind == "quoted" else token.text.lower() for token in self.tokens)

    def begins(self, *words: str) -> bool:
        """
        Whether these are the first words.
        """
        return self.words[: len(words)] == words


def tokens_of(text: str, name: str) -> list[Token]:
    """
    Return the tokens of a migration. Raises QueryFileError for a quote or comment that is never closed.
    """
    return tokenize(_POSITIONAL.sub("?", text), name)


def statements(text: str, name: str) -> list[Statement]:
    """
    Return the statements of a migration, without their semicolons.

    A semicolon inside parentheses (CREATE RULE) or a body (BEGIN ATOMIC ... END) ends nothing.
    """
    return list(_cut(text, tokens_of(text, name)))


def _cut(text: str, tokens: list[Token]) -> Iterator[Statement]:
    at, depth = 0, 0
    found: list[tuple[int, Token]] = []
    for token in tokens:
        if token.kind == "semicolon" and depth == 0:
            if found:
                yield _statement(text, found, at)
            found = []
        elif token.kind not in TRIVIA:
            depth = max(0, depth + _step(token, found[-1][1] if found else None, depth))
            found.append((at, token))
        at += len(token.text)
    if found:
        yield _statement(text, found, at)


def _step(token: Token, last: Token | None, depth: int) -> int:
    if token.kind in ("open", "close"):
        return 1 if token.kind == "open" else -1
    word = token.text.lower() if token.kind == "word" else ""
    if word == "atomic" and last is not None and last.text.lower() == "begin":
        return 1
    if depth and word in ("case", "end"):
        return 1 if word == "case" else -1
    return 0


def _statement(text: str, found: list[tuple[int, Token]], end: int) -> Statement:
    start = found[0][0]
    return Statement(
        text[start:end].rstrip(),
        tuple(token for _, token in found),
        tuple(at - start for at, _ in found),
        found[0][1].line,
    )
