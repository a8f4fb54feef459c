"""
From the tokens of a file to its statements: split, check, number the parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import dropwhile, pairwise
from pathlib import Path
from types import MappingProxyType

from store._queries.casts import casts
from store._queries.header import MARK, STARTS, Header, check_name, read_header
from store._queries.statement import Call, Statement
from store._queries.variants import check_switches, is_mark, read_marks
from store._tokens import TRIVIA, Token, fault, resolve, significant, tokenize

_STEERS = frozenset(
    {
        "abort",
        "begin",
        "commit",
        "deallocate",
        "declare",
        "discard",
        "end",
        "execute",
        "listen",
        "prepare",
        "release",
        "reset",
        "rollback",
        "savepoint",
        "start",
        "unlisten",
    }
)
_SESSION_LOCKS = frozenset(
    {"pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared"}
)
_WRITES = frozenset({"delete", "insert", "merge", "update"})
_WORDLIKE = re.compile(r"[0-9A-Za-z_$\x80-\U0010ffff]\Z")


def read_statements(sql: str, path: Path, prefix: str) -> list[Statement]:
    """
    Read every entry of one file.

    Raises QueryFileError, with file, line and the way out, at the first thing that PostgreSQL or a caller would stumble over.
    """
    check_name(path.stem, "the file name", 1, path)
    statements: list[Statement] = []
    lines: dict[str, int] = {}
    for tokens in _split(tokenize(sql, path), path):
        statement = _read_entry(tokens, path, prefix)
        if statement.name in lines:
            raise fault(
                path,
                statement.line,
                f"{statement.name} is already the name of the query in line {lines[statement.name]}: rename one",
            )
        lines[statement.name] = statement.line
        statements.append(statement)
    if not statements:
        raise fault(path, 1, "there is no query in this file: an entry begins with `-- name: verb_noun(a, b)`")
    return statements


def _split(tokens: Sequence[Token], path: Path) -> Iterator[list[Token]]:
    starts: list[int] = []
    for at, token in enumerate(tokens):
        if token.kind == "comment" and STARTS.match(token.text):
            before = "".join(other.text for other in tokens[max(at - 2, 0) : at])
            if before.rpartition("\n")[2].strip(" \t\f\v"):
                raise fault(path, token.line, "`-- name:` begins an entry: it stands at the start of its line")
            starts.append(at)
        elif not starts and token.kind not in TRIVIA:
            raise fault(path, token.line, "SQL before the first `-- name:`: only comments may stand there")
    for start, end in pairwise([*starts, len(tokens)]):
        yield list(tokens[start:end])


def _read_entry(tokens: list[Token], path: Path, prefix: str) -> Statement:
    begin = next((at for at, token in enumerate(tokens) if token.kind not in TRIVIA or is_mark(token)), len(tokens))
    header = read_header([token for token in tokens[:begin] if token.kind == "comment"], path)
    marked = read_marks(tokens[begin:], path)
    bodies = {choice: _read_body(marked.tokens(choice), header, path) for choice in marked.choices()}
    numbers = {choice: _numbers(body, header, path) for choice, body in bodies.items()}
    _check_used(header, numbers.values(), next(iter(bodies.values())), path)
    check_switches(marked, {choice: frozenset(number) for choice, number in numbers.items()})
    if header.kind == "copy" and len(bodies) > 1:
        raise fault(path, header.line, f"{header.name}: a COPY has one text: write a query of each sort")
    if marked.sorts and "sort" in header.parameters:
        raise fault(path, header.line, f"{header.name}: `sort` chooses among the declared sorts: rename the parameter")
    writes = any(_writes(body) for body in bodies.values())
    variants: dict[Call, Statement] = {}
    for choice, body in bodies.items():
        variants[frozenset(numbers[choice]), choice.sort] = Statement(
            domain=path.stem,
            name=header.name,
            mark=header.mark,
            parameters=tuple(numbers[choice]),
            nullable=header.nullable & numbers[choice].keys(),
            oids=casts(body),
            row=header.row,
            rows=header.rows,
            plan=header.plan,
            kind=header.kind,
            writes=writes,
            text=f"/* {prefix}:{path.stem}.{header.name} */ {_text(body, numbers[choice])}",
            doc=header.doc,
            path=path,
            line=header.line,
            first_line=body[0].line,
            filters=choice.filters,
            sort=choice.sort,
            variants=MappingProxyType(variants if len(bodies) > 1 else {}),
        )
    return next(iter(variants.values()))


def _read_body(tokens: Sequence[Token], header: Header, path: Path) -> list[Token]:
    body = _one_statement(resolve(tokens, path), header, path)
    _check_marks_above(body, header, path)
    _check_statement(body, header, path)
    return body


def _one_statement(tokens: list[Token], header: Header, path: Path) -> list[Token]:
    while tokens and (tokens[-1].kind in TRIVIA or tokens[-1].kind == "semicolon"):
        tokens.pop()
    tokens = list(dropwhile(lambda token: token.kind in TRIVIA, tokens))
    if not tokens or tokens[0].kind == "semicolon":
        raise fault(path, header.line, f"{header.name} is empty: the statement is missing")
    for token in tokens:
        if token.kind == "semicolon":
            raise fault(path, token.line, f"{header.name}: more than one statement under one name: give each its own")
    return tokens


def _check_marks_above(body: Sequence[Token], header: Header, path: Path) -> None:
    for token in body:
        if token.kind == "comment" and (mark := MARK.match(token.text)):
            raise fault(
                path,
                token.line,
                f"{header.name}: `-- {mark['key']}:` has no effect inside the statement: move it under `-- name:`",
            )


def _check_statement(body: Sequence[Token], header: Header, path: Path) -> None:
    seen = list(significant(body))
    words = [token.text.lower() for token in seen if token.kind == "word"]
    first = words[0] if words else ""
    if first in _STEERS or (first == "set" and words[1:2] != ["local"]):
        raise fault(
            path,
            body[0].line,
            f"{header.name}: {first.upper()} steers the transaction or leaves something behind on a pooled connection: "
            "use the unit of work, or SET LOCAL inside one",
        )
    if first == "create" and {"temp", "temporary"} & set(words[1:5]):
        raise fault(path, body[0].line, f"{header.name}: a temporary table stays on the pooled connection: use a CTE")
    _check_calls(seen, header, path)
    if first == "copy" or header.kind == "copy":
        _check_copy(first, words, header, body[0].line, path)
    if first in _WRITES and header.mark != "!" and "returning" not in words:
        raise fault(path, header.line, f"{header.name}: {first.upper()} returns no rows: mark it with ! or add RETURNING")


def _writes(body: Sequence[Token]) -> bool:
    words = [token.text.lower() for token in significant(body) if token.kind == "word"]
    if words[:1] == ["copy"]:
        return ("from", "stdin") in pairwise(words)
    changes = (word for before, word in pairwise(["", *words]) if word in _WRITES and before not in ("for", "key"))
    return words[:1] == ["call"] or any(changes)


def _check_calls(seen: Sequence[Token], header: Header, path: Path) -> None:
    for token, after in pairwise(seen):
        if after.text != "(":
            continue
        called = token.text.lower().strip('"')
        if called in _SESSION_LOCKS:
            raise fault(
                path,
                token.line,
                f"{header.name}: {token.text} is held until the pooled connection ends: use pg_advisory_xact_lock",
            )
        if called == "set_config" and _lasts(seen, token):
            raise fault(
                path,
                token.line,
                f"{header.name}: set_config(..., false) stays on the pooled connection: make its last argument true",
            )


def _lasts(seen: Sequence[Token], call: Token) -> bool:
    depth = 0
    last = call
    for token in seen[next(at for at, token in enumerate(seen) if token is call) + 1 :]:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 0:
            break
        last = token
    return last.text.lower() in ("false", "'f'", "'false'")


def _check_copy(first: str, words: Sequence[str], header: Header, line: int, path: Path) -> None:
    if header.kind != "copy":
        raise fault(path, line, f"{header.name}: COPY needs `-- kind: copy` in the header")
    if first != "copy":
        raise fault(path, line, f"{header.name}: `-- kind: copy` stands above a statement that is no COPY: remove it")
    if not {"stdin", "stdout"} & set(words):
        raise fault(path, line, f"{header.name}: COPY reads STDIN or writes STDOUT here, never the server's files or programs")
    if header.parameters:
        raise fault(path, header.line, f"{header.name}: PostgreSQL takes no parameters in COPY: declare none")


def _numbers(body: Sequence[Token], header: Header, path: Path) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for at, token in enumerate(body):
        if token.kind != "parameter":
            continue
        name = token.text[1:]
        if name not in header.parameters:
            raise fault(path, token.line, f"{header.name}: undeclared parameter :{name}: {_undeclared(body[at - 1])}")
        numbers.setdefault(name, len(numbers) + 1)
    return numbers


def _check_used(header: Header, numbers: Iterable[dict[str, int]], body: Sequence[Token], path: Path) -> None:
    used = {name for number in numbers for name in number}
    for name in header.parameters:
        if name not in used:
            raise fault(path, header.line, f"{header.name}: {name} is declared and not used: {_unused(name, body)}")


def _undeclared(before: Token) -> str:
    if before.kind in ("quoted", "word") or before.text in (")", "]"):
        return "declare it, or write a blank after a colon that is PostgreSQL's, as in JSON_OBJECT('k': v)"
    return "declare it in the header"


def _unused(name: str, body: Sequence[Token]) -> str:
    if any(one.kind == "colon" and two.text == name for one, two in pairwise(body)):
        return f"inside [...] a colon is PostgreSQL's, write [(:{name}):...]"
    return "use it or remove it"


def _text(body: Sequence[Token], numbers: dict[str, int]) -> str:
    parts: list[str] = []
    for token in body:
        if token.kind == "parameter":
            # SELECT:x and 1:x are two tokens in the file, SELECT$1 would be one name on the server.
            gap = " " if parts and _WORDLIKE.search(parts[-1]) else ""
            parts.append(f"{gap}${numbers[token.text[1:]]}")
        elif token.kind == "block":
            parts.append(" " + "\n" * token.text.count("\n"))
        elif token.kind != "comment":
            parts.append(token.text)
    return "".join(parts)
