"""
Cuts a migration into statements, on PostgreSQL's own tokens: what is a statement is never decided by searching for words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from store._tokens import TRIVIA, Token, refuse_continued, tokenize

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
    Return the tokens of a migration. Raises QueryFileError for a quote or comment that is never closed, and for a string whose
    end PostgreSQL would see elsewhere.
    """
    tokens = tokenize(_POSITIONAL.sub("?", text), name)
    refuse_continued(tokens, name)
    return tokens


def statements(text: str, name: str) -> list[Statement]:
    """
    Return the statements of a migration, without their semicolons.

    A semicolon inside parentheses (CREATE RULE) or a body (BEGIN ATOMIC ... END) ends nothing.
    """
    return list(cut(text, tokens_of(text, name)))


def cut(text: str, tokens: list[Token]) -> Iterator[Statement]:
    """
    Yield the statements that these tokens of a text are.
    """
    at = 0
    inside: list[str] = []
    found: list[tuple[int, Token]] = []
    for token in tokens:
        if token.kind == "semicolon" and not inside:
            if found:
                yield _statement(text, found, at)
            found = []
        elif token.kind not in TRIVIA:
            _step(inside, token, found[-1][1] if found else None)
            found.append((at, token))
        at += len(token.text)
    if found:
        yield _statement(text, found, at)


def _step(inside: list[str], token: Token, last: Token | None) -> None:
    """
    Enter or leave what a semicolon does not end: parentheses, and BEGIN ATOMIC with the CASEs in it, each with its END.
    """
    word = token.text.lower() if token.kind == "word" else ""
    before = last.text.lower() if last is not None else ""
    if token.kind == "open":
        inside.append("(")
    elif token.kind == "close" and inside[-1:] == ["("]:
        inside.pop()
    elif word == "atomic" and before == "begin":
        inside.append("atomic")
    elif "atomic" in inside and before not in ("as", "."):  # behind those it is a name
        if word == "case":
            inside.append("case")
        elif word == "end" and inside[-1] != "(":
            inside.pop()


def _statement(text: str, found: list[tuple[int, Token]], end: int) -> Statement:
    start = found[0][0]
    return Statement(
        text[start:end].rstrip(),
        tuple(token for _, token in found),
        tuple(at - start for at, _ in found),
        found[0][1].line,
    )
