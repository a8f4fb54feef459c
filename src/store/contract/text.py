"""
The contract file: one stanza a query, one fact a line, the same bytes for the same facts. Rendered and parsed here only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from store.contract.facts import Column, Facts, Parameter
from store.errors import ContractFileError

HEAD = "# Written by `store lock`: what PostgreSQL understands of each query. Review the diff; do not edit.\n"

_PLAIN = re.compile(r"[^\s\"()][^\s\"]*")
_ITEM = re.compile(r'(?:"(?:[^"]|"")*"|[^,"])+')
_QUERY = re.compile(r"query (?P<name>\S+)(?:  (?P<mark>[$^!]))?  (?P<digest>sha256:[0-9a-f]+)")
_FACT = re.compile(r"  (?P<key>[a-z]+) +(?P<value>\S.*)")
_ONE = "at most one ("


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
    line: int = field(default=1, compare=False)


def render(stanzas: Sequence[Stanza]) -> str:
    """
    Return the text of a contract file.
    """
    return "\n".join([HEAD, *("\n".join([_title(each), *lines(each), ""]) for each in stanzas)])


def lines(stanza: Stanza) -> list[str]:
    """
    Return the facts of a stanza, a line each.
    """
    pairs = list(_pairs(stanza))
    return [f"  {key:<6} {value}".rstrip() for key, value in pairs]


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
                stanzas.append(_stanza(title, body, start, path))
            title, body, start = found, [], number
        elif title is not None and (fact := _FACT.fullmatch(line)):
            body.append((number, fact["key"], fact["value"]))
        else:
            raise _fault(path, number, line)
    return stanzas


def _title(stanza: Stanza) -> str:
    return "  ".join(part for part in (f"query {stanza.name}", stanza.mark, stanza.digest) if part)


def _pairs(stanza: Stanza) -> Iterator[tuple[str, str]]:
    if stanza.row is not None:
        yield "row", stanza.row
    facts = stanza.facts
    if facts is None:
        yield "kind", "copy"
        return
    parameters = [(_name(p.name), p.type, "required" if p.is_required else "optional") for p in facts.parameters]
    yield from (("param", line) for line in _aligned(parameters))
    columns = [
        (_name(c.name), c.type, "null" if c.is_nullable else "not null", c.origin or "", f"({c.note})" if c.note else "")
        for c in facts.columns
    ]
    yield from (("out", line) for line in _aligned(columns))
    for key, names in (("reads", facts.reads), ("writes", facts.writes)):
        yield from ((key, ", ".join(group)) for _, group in groupby(names, _table))
    yield from (("funcs", each) for each in facts.functions)
    yield from (("locks", each) for each in facts.locks)
    yield "mode", facts.mode
    if facts.at_most_one is not None:
        yield "rows", f"{_ONE}{facts.at_most_one})"
    yield from (("plan", each) for each in facts.plan)


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True) if width).rstrip()


def _name(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _table(name: str) -> str:
    return name if name.endswith(" (delete)") else name.rpartition(".")[0]


def _stanza(title: re.Match[str], body: Sequence[tuple[int, str, str]], start: int, path: Path) -> Stanza:
    found: dict[str, list[str]] = {}
    parameters: list[Parameter] = []
    columns: list[Column] = []
    for number, key, value in body:
        try:
            if key == "param":
                parameters.append(_parameter(value))
            elif key == "out":
                columns.append(_column(value))
            elif key in ("funcs", "kind", "locks", "mode", "plan", "reads", "row", "rows", "writes"):
                found.setdefault(key, []).append(value)
            else:
                raise ValueError(key)
        except ValueError:
            raise _fault(path, number, f"{key} {value}") from None
    rows = found.get("rows", [None])[0]
    facts = Facts(
        parameters=tuple(parameters),
        columns=tuple(columns),
        reads=_items(found.get("reads", [])),
        writes=_items(found.get("writes", [])),
        functions=tuple(found.get("funcs", [])),
        locks=tuple(found.get("locks", [])),
        mode=found.get("mode", ["read"])[0],
        at_most_one=None if rows is None else rows.removeprefix(_ONE).removesuffix(")"),
        plan=tuple(found.get("plan", [])),
    )
    row = found.get("row", [None])[0]
    is_copy = found.get("kind") == ["copy"]
    return Stanza(title["name"], title["mark"] or "", title["digest"], row, None if is_copy else facts, start)


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
    return tuple(item.strip() for line in listed for item in _ITEM.findall(line))


def _fault(path: Path, line: int, text: str) -> ContractFileError:
    return ContractFileError(f"{path}:{line}: {text.strip()[:60]!r} is no line of a contract: write it anew with `store lock`")
