"""
The contract file: one stanza a query, one fact a line, the same bytes for the same facts. Rendered and parsed here only.

Of a query with several texts the facts of the first stand there, and of each other one what differs.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from types import MappingProxyType

from store.contract import digest
from store.contract.facts import DELETED, Column, Facts, Parameter, merged
from store.errors import ContractFileError

HEAD = "# Written by `store lock`: what PostgreSQL understands of each query. Review the diff; do not edit.\n"

_PLAIN = re.compile(r"[^\s\"()][^\s\"]*")
_ITEM = re.compile(r'(?:"(?:[^"]|"")*"|[^,"])+')
_QUERY = re.compile(r"query (?P<name>\S+)(?:  (?P<mark>[$^!]))?  (?P<digest>sha256:[0-9a-f]+)(?:  facts:[0-9a-f]+)?")
_FACT = re.compile(r"  (?P<key>[a-z]+|[-+]) +(?P<value>\S.*)")
_DIFFERENCE = re.compile(r"(?P<key>[a-z]+) +(?P<value>\S.*)")
_GAP = re.compile(r" {2,}")
# As `said` writes most of them: a store that opens with check=True reads them all.
_USUAL = {
    "param": re.compile(r'[^\s"]+  [^ ](?:[^ ]| (?! ))*  (?:required|optional)'),
    "out": re.compile(r'[^\s"]+  [^ ](?:[^ ]| (?! ))*  (?:not null|null)(?:  [^ (]\S*)?(?:  \([^()]+\))?'),
}
_LABEL = re.compile(r"\[(?P<label>\S*)\]")
_KEYS = ("param", "out", "reads", "writes", "via", "funcs", "locks", "mode", "rows", "plan")
_ONE = "at most one ("

Fact = tuple[str, str]
"""What a line is about, and what it says."""


@dataclass(frozen=True, slots=True)
class Stanza:
    """
    What a contract says of one query; `facts` is None for a COPY, which PostgreSQL does not describe.
    """

    name: str
    mark: str
    digest: str
    row: str | None
    facts: Facts | None
    """Of the first text, where there are several."""
    line: int = field(default=1, compare=False)
    label: str | None = None
    """Of the first text; None where there is but one."""
    others: Mapping[str, Facts] = field(default_factory=lambda: MappingProxyType[str, Facts]({}))
    """Those of the other texts, by label."""

    @property
    def texts(self) -> dict[str, Facts]:
        """
        Return the facts of every text by its label, '' where there is but one.
        """
        return {} if self.facts is None else {self.label or "": self.facts, **self.others}

    @property
    def whole(self) -> Facts | None:
        """
        Return what holds whichever text is sent.
        """
        return None if self.facts is None else merged(list(self.texts.values()))


def render(stanzas: Sequence[Stanza]) -> str:
    """
    Return the text of a contract file.
    """
    return "\n".join([HEAD, *("\n".join([_title(each), *lines(each), ""]) for each in stanzas)])


def lines(stanza: Stanza) -> list[str]:
    """
    Return the facts of a stanza, a line each.
    """
    head = [("row", stanza.row)] if stanza.row is not None else []
    if stanza.facts is None:
        return [_line(key, value) for key, value in (*head, ("kind", "copy"))]
    head += [("text", f"[{stanza.label}]")] if stanza.label is not None else []
    found = [_line(key, value) for key, value in (*head, *_aligned(stanza.facts))]
    for label, facts in stanza.others.items():
        found.append(_line("text", f"[{label}]"))
        found += [_line(sign, f"{key:<6} {value}") for sign, (key, value) in _differences(stanza.facts, facts)]
    return found


def said(facts: Facts) -> list[Fact]:
    """
    Return what the facts of one text say, a pair a line, columns not aligned.
    """
    return [(key, "  ".join(cell for cell in cells if cell)) for key, cells in _cells(facts)]


def parse(text: str, path: Path) -> list[Stanza]:
    """
    Return the stanzas of a contract file.

    Raises ContractFileError, with file and line, for what `store lock` does not write.
    """
    stanzas: list[Stanza] = []
    body: list[tuple[int, str, str]] = []
    title: re.Match[str] | None = None
    start = 1
    for number, line in enumerate([*text.splitlines(), "query end  sha256:0"], 1):
        if not line or line.startswith("#"):
            continue
        if found := _QUERY.fullmatch(line):
            if title is not None:
                stanzas.append(_Reader(path).stanza(title, body, start))
            title, body, start = found, [], number
        elif title is not None and (fact := _FACT.fullmatch(line)):
            body.append((number, fact["key"], fact["value"]))
        else:
            raise _fault(path, number, line)
    return stanzas


def _title(stanza: Stanza) -> str:
    parts = (f"query {stanza.name}", stanza.mark, stanza.digest, digest.of_facts(lines(stanza)))
    return "  ".join(part for part in parts if part)


def _line(key: str, value: str) -> str:
    return f"  {key:<6} {value}".rstrip()


def _cells(facts: Facts) -> Iterator[tuple[str, tuple[str, ...]]]:
    for each in facts.parameters:
        yield "param", (_name(each.name), each.type, "required" if each.is_required else "optional")
    for one in facts.columns:
        null = "null" if one.is_nullable else "not null"
        yield "out", (_name(one.name), one.type, null, one.origin or "", f"({one.note})" if one.note else "")
    for key, names in (("reads", facts.reads), ("writes", facts.writes)):
        yield from ((key, (", ".join(group),)) for _, group in groupby(names, _table))
    yield from (("via", (each,)) for each in facts.via)
    yield from (("funcs", (each,)) for each in facts.functions)
    yield from (("locks", (each,)) for each in facts.locks)
    yield "mode", (facts.mode,)
    if facts.at_most_one is not None:
        yield "rows", (f"{_ONE}{facts.at_most_one})",)
    yield from (("plan", (each,)) for each in facts.plan)


def _aligned(facts: Facts) -> Iterator[Fact]:
    for key, group in groupby(_cells(facts), lambda each: each[0]):
        rows = [cells for _, cells in group]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            yield key, "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True) if width)


def _differences(first: Facts, other: Facts) -> Iterator[tuple[str, Fact]]:
    order = [each.name for each in first.parameters]
    # What is read back stands in the first text's order: an order of its own would be another text of the same contract.
    known = sorted(other.parameters, key=lambda each: order.index(each.name) if each.name in order else len(order))
    before, after = said(first), said(replace(other, parameters=tuple(known)))
    less, more = Counter(before) - Counter(after), Counter(after) - Counter(before)
    for key in _KEYS:
        for sign, facts, left in (("-", before, less), ("+", after, more)):
            for fact in facts:
                if fact[0] == key and left[fact]:
                    left[fact] -= 1
                    yield sign, fact


def _name(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _table(name: str) -> str:
    return name if name.endswith(DELETED) else name.rpartition(".")[0]


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._head: dict[str, str] = {}
        self._facts: list[Fact] = []
        self._others: dict[str, list[tuple[str, Fact]]] = {}
        self._label: str | None = None

    def stanza(self, title: re.Match[str], body: Sequence[tuple[int, str, str]], start: int) -> Stanza:
        for number, key, value in body:
            try:
                self._read(key, value)
            except ValueError:
                raise _fault(self._path, number, f"{key} {value}") from None
        if self._head.get("kind") == "copy":
            return Stanza(title["name"], title["mark"] or "", title["digest"], self._head.get("row"), None, start)
        try:
            others = {label: _facts(_changed(self._facts, differences)) for label, differences in self._others.items()}
        except ValueError:
            raise _fault(self._path, start, title[0]) from None
        first, row = _facts(self._facts), self._head.get("row")
        return Stanza(title["name"], title["mark"] or "", title["digest"], row, first, start, self._label, others)

    def _read(self, key: str, value: str) -> None:
        if key in ("+", "-") and self._others and (found := _DIFFERENCE.fullmatch(value)):
            self._others[list(self._others)[-1]].append((key, _fact(found["key"], found["value"])))
        elif key == "text" and (label := _LABEL.fullmatch(value)) and label["label"] not in {self._label, *self._others}:
            if self._label is None:
                self._label = label["label"]
            else:
                self._others[label["label"]] = []
        elif key in ("row", "kind"):
            self._head[key] = value
        elif self._others:
            raise ValueError(key)
        else:
            self._facts.append(_fact(key, value))


def _fact(key: str, value: str) -> Fact:
    if (usual := _USUAL.get(key)) and usual.fullmatch(short := _GAP.sub("  ", value)):
        return key, short
    if key == "param":
        return said(Facts(parameters=(_parameter(value),)))[0]
    if key == "out":
        return said(Facts(columns=(_column(value),)))[0]
    if key not in _KEYS:
        raise ValueError(key)
    return key, value


def _changed(first: Sequence[Fact], differences: Iterable[tuple[str, Fact]]) -> list[Fact]:
    """
    Return the facts of a text; what says something else of the same column or parameter takes its place.
    """
    found: list[Fact | None] = list(first)
    places: dict[tuple[str, str], int] = {}
    for sign, (key, value) in differences:
        about = (key, _take_name(value)[0] if key in ("param", "out") else "")
        if sign == "-":
            at = found.index((key, value))
            found[at] = None
            places.setdefault(about, at)
        elif (place := places.pop(about, None)) is not None:
            found[place] = (key, value)
        else:
            found.append((key, value))
    return [fact for fact in found if fact is not None]


def _facts(facts: Iterable[Fact]) -> Facts:
    found: dict[str, list[str]] = {}
    for key, value in facts:
        found.setdefault(key, []).append(value)
    rows = found.get("rows", [None])[0]
    return Facts(
        parameters=tuple(map(_parameter, found.get("param", []))),
        columns=tuple(map(_column, found.get("out", []))),
        reads=_items(found.get("reads", [])),
        writes=_items(found.get("writes", [])),
        via=tuple(sorted(found.get("via", []))),
        functions=tuple(sorted(found.get("funcs", []))),
        locks=tuple(sorted(found.get("locks", []))),
        mode=found.get("mode", ["read"])[0],
        at_most_one=None if rows is None else rows.removeprefix(_ONE).removesuffix(")"),
        plan=tuple(sorted(found.get("plan", []))),
    )


def _parameter(text: str) -> Parameter:
    name, rest = _take_name(text)
    kind, need = re.split(r"\s{2,}", rest)
    if need not in ("required", "optional"):
        raise ValueError(need)
    return Parameter(name, kind, need == "required")


def _column(text: str) -> Column:
    name, rest = _take_name(text)
    kind, null, *more = re.split(r"\s{2,}", rest)
    if null not in ("null", "not null") or len(more) > 2:
        raise ValueError(null)
    note = more.pop()[1:-1] if more and more[-1].startswith("(") else None
    return Column(name, kind, null == "null", more[0] if more else None, note)


def _take_name(text: str) -> tuple[str, str]:
    if text.startswith('"'):
        name, end = json.JSONDecoder().raw_decode(text)
        return str(name), text[end:].strip()
    name, _, rest = text.partition(" ")
    return name, rest.strip()


def _items(listed: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(item.strip() for line in listed for item in _ITEM.findall(line)))


def _fault(path: Path, line: int, text: str) -> ContractFileError:
    return ContractFileError(f"{path}:{line}: {text.strip()[:60]!r} is no line of a contract: write it anew with `store lock`")
