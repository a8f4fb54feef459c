"""
Bounded dynamic SQL: every text that one entry can send, from marks that are comments to psql.

    WHERE o.user_id = :user_id::bigint /*? status */ AND o.status = :status::text /*?*/
    ORDER BY /*: newest */ o.id DESC /*| oldest o.id ASC */

A filter stands between `/*? name */` and `/*?*/`, at one place or at several. A sort is chosen of a closed list: the text
behind `/*: first */` or one of those in the `/*| second ... | third ... */` that ends it; a statement may choose at several
places, each with the same names. As it stands the file has all filters on and the first sort.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import NamedTuple

from store._queries.header import NAME
from store._tokens import TRIVIA, Token, fault, tokenize
from store.errors import QueryFileError

MOST = 64
"""How many texts one entry may have: each is prepared, checked and planned by itself."""

_NAMED = re.compile(rf"/\*[?:]\s*(?P<name>{NAME.pattern})\s*\*/")
_OPERATOR = frozenset("+-*/<>=~!@#%^&|`?")


class Choice(NamedTuple):
    """
    One text of an entry: the filters that are on, and the sort.
    """

    filters: tuple[str, ...]
    sort: str | None


class Piece(NamedTuple):
    """
    A token, and the filter and the sort that it belongs to.
    """

    token: Token
    filter: str | None = None
    sort: str | None = None


@dataclass(slots=True)
class Marked:
    """
    The tokens of an entry with its marks read.
    """

    path: object
    pieces: list[Piece] = field(default_factory=list[Piece])
    filters: dict[str, int] = field(default_factory=dict[str, int])
    """The filters, each with the line of its first place."""
    sorts: dict[str, int] = field(default_factory=dict[str, int])
    """The sorts, the file's own first, each with the line of its first place."""

    def choices(self) -> Iterator[Choice]:
        """
        Yield every choice there is, first the file's own: all filters on, first sort.
        """
        for sort in self.sorts or (None,):
            for switches in product((True, False), repeat=len(self.filters)):
                yield Choice(tuple(name for name, is_on in zip(self.filters, switches, strict=True) if is_on), sort)

    def tokens(self, choice: Choice) -> list[Token]:
        """
        Return the tokens of one text. What is left out leaves its line breaks, so that the lines of the file stay true.
        """
        chosen: list[Token] = []
        for token, name, sort in self.pieces:
            if (name is None or name in choice.filters) and sort in (None, choice.sort):
                chosen.append(token)
            elif breaks := token.text.count("\n"):
                chosen.append(Token("blank", "\n" * breaks, token.line))
        return chosen


def is_mark(token: Token) -> bool:
    """
    Say whether this comment is one of ours.
    """
    return token.kind == "block" and token.text[2] in "?:|"


def read_marks(tokens: Sequence[Token], path: object) -> Marked:
    """
    Read the marks of one entry. Raises QueryFileError for one that is out of place, and for more texts than an entry may have.
    """
    if not any(is_mark(token) for token in tokens):
        return Marked(path, [Piece(token) for token in tokens])
    reader = _Reader(path)
    for token in tokens:
        reader.read(token)
    reader.end()
    marked = reader.marked
    filters, sorts = len(marked.filters), max(len(marked.sorts), 1)
    if (number := 2**filters * sorts) > MOST:
        line = next(iter([*marked.filters.values(), *marked.sorts.values()]))
        raise fault(
            path,
            line,
            f"2^{filters} filters x {sorts} sorts are {number} texts, and {MOST} are the most: make one filter of those that "
            "go together, or a query of each sort",
        )
    return marked


def check_switches(marked: Marked, parameters: Mapping[Choice, frozenset[str]]) -> None:
    """
    Refuse a filter that no parameter switches on, and a parameter that would switch two of them.
    """
    for sort in marked.sorts or (None,):
        required = parameters[Choice((), sort)]
        switches = {name: parameters[Choice((name,), sort)] - required for name in marked.filters}
        for name, own in switches.items():
            if not own:
                where = f" in the sort {sort}" if sort else ""
                raise fault(
                    marked.path,
                    marked.filters[name],
                    f"the filter {name} has no parameter of its own{where}: a filter is on when its parameters are passed, "
                    "those that stand nowhere else",
                )
        for one, other in combinations(switches, 2):
            if both := sorted(switches[one] & switches[other]):
                raise fault(
                    marked.path,
                    marked.filters[other],
                    f"{both[0]} would switch two filters, {one} and {other}: give each its own parameter, or join them",
                )


class _Open(NamedTuple):
    """
    A filter or the first text of a sort that is open: its name, its line and where its pieces begin.
    """

    name: str
    line: int
    start: int


class _Reader:
    """
    Reads tokens one by one and knows which filter and which sort is open.
    """

    def __init__(self, path: object) -> None:
        self.marked = Marked(path)
        self._filter: _Open | None = None
        self._sort: _Open | None = None

    def read(self, token: Token) -> None:
        """
        Take the next token.
        """
        if not is_mark(token):
            self._keep(token)
            return
        if token.text[2] == "|":
            self._read_others(token)
            return
        self.marked.pieces.append(Piece(_blank(token)))
        if token.text[2] == "?":
            self._read_filter(token)
        elif self._sort:
            raise self._fault(token, f"the sort {self._sort.name} is still open: /*| other ... */ behind its text ends it")
        else:
            self._sort = self._open(token)

    def end(self) -> None:
        """
        Refuse what is still open.
        """
        if self._filter:
            raise fault(self.marked.path, self._filter.line, f"the filter {self._filter.name} is never closed: /*?*/ ends it")
        if self._sort:
            raise fault(
                self.marked.path,
                self._sort.line,
                f"the sort {self._sort.name} stands alone: /*| other ... */ behind its text declares the others",
            )

    def _keep(self, token: Token, sort: str | None = None) -> None:
        of_filter = self._filter.name if self._filter else None
        self.marked.pieces.append(Piece(token, of_filter, sort or (self._sort.name if self._sort else None)))

    def _read_filter(self, mark: Token) -> None:
        if self._sort:
            raise self._fault(
                mark, f"a filter begins or ends inside the sort {self._sort.name}: put it around the whole choice"
            )
        if mark.text == "/*?*/":
            if not self._filter:
                raise self._fault(mark, "/*?*/ ends a filter and none is open: /*? name */ begins one")
            self._refuse_empty("filter", self._filter, self.marked.pieces[self._filter.start :])
            self._filter = None
        elif self._filter:
            raise self._fault(mark, f"filters do not nest: end {self._filter.name} first, with /*?*/")
        else:
            self._filter = self._open(mark)
            self.marked.filters.setdefault(self._filter.name, mark.line)

    def _read_others(self, mark: Token) -> None:
        first, self._sort = self._sort, None
        if first is None:
            raise self._fault(mark, "/*| declares other sorts than a first one: /*: name */ begins that")
        self._refuse_empty("sort", first, self.marked.pieces[first.start :])
        sorts = {first.name: first.line}
        name: str | None = None
        for token, is_name in _alternatives(mark, self.marked.path):
            if is_name:
                if token.text in sorts:
                    raise self._fault(token, f"the sort {token.text} is declared twice: keep one")
                name, sorts[token.text] = token.text, token.line
            if is_name or name is None:
                self.marked.pieces.append(Piece(_blank(token)))
            else:
                self._keep(token, name)
        self.marked.pieces.append(Piece(Token("blank", " ", mark.line)))
        for other, line in sorts.items():
            pieces = [piece for piece in self.marked.pieces[first.start :] if piece.sort == other]
            self._refuse_empty("sort", _Open(other, line, 0), pieces)
        self._declare(sorts)

    def _declare(self, sorts: dict[str, int]) -> None:
        known = self.marked.sorts or sorts
        if list(known) != list(sorts):
            raise fault(
                self.marked.path,
                next(iter(sorts.values())),
                f"the sorts are {', '.join(sorts)} here and {', '.join(known)} in line {next(iter(known.values()))}: the same "
                "names in the same order, wherever the sort makes a difference",
            )
        self.marked.sorts = known

    def _open(self, mark: Token) -> _Open:
        found = _NAMED.fullmatch(mark.text)
        if found is None:
            raise self._fault(
                mark,
                f"{mark.text[:40]!r} is no mark: /*? name */ and /*: name */ hold one lower-case name, and a plain comment has "
                "a blank behind /*",
            )
        return _Open(found["name"], mark.line, len(self.marked.pieces))

    def _refuse_empty(self, what: str, open_: _Open, pieces: Sequence[Piece]) -> None:
        if all(piece.token.kind in TRIVIA for piece in pieces):
            raise fault(self.marked.path, open_.line, f"the {what} {open_.name} is empty: give it its SQL or remove it")

    def _fault(self, token: Token, message: str) -> QueryFileError:
        return fault(self.marked.path, token.line, message)


def _alternatives(mark: Token, path: object) -> Iterator[tuple[Token, bool]]:
    """
    Yield the tokens of `/*| one ... | two ... */`, with True for those that name a sort.
    """
    inner = tokenize(mark.text[2:-2], path, line=mark.line)
    is_awaited, depth = False, 0
    for at, token in enumerate(inner):
        if is_mark(token):
            raise fault(path, token.line, "marks do not nest: a choice of sorts holds no other mark")
        depth += {"open": 1, "close": -1}.get(token.kind, 0)
        is_separator = depth == 0 and _separates(inner, at)
        is_name = is_awaited and bool(NAME.fullmatch(token.text))
        if (is_awaited and not is_name and token.kind != "blank") or (at == 0 and not is_separator):
            break
        is_awaited = is_separator or (is_awaited and not is_name)
        yield (_blank(token), False) if is_separator else (token, is_name)
    else:
        if not is_awaited:
            return
    raise fault(
        path,
        mark.line,
        "not of the form /*| name text | name text */ (a plain comment has a blank behind /*, an operator | wants parentheses)",
    )


def _separates(tokens: Sequence[Token], at: int) -> bool:
    beside = (tokens[near].text for near in (at - 1, at + 1) if 0 <= near < len(tokens))
    return tokens[at].text == "|" and not any(text in _OPERATOR for text in beside)


def _blank(token: Token) -> Token:
    return Token("blank", " " + "\n" * token.text.count("\n"), token.line)
