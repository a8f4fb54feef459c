"""
Reads the headers of a migration, `-- name: value` above the first statement, and takes none in silence that would mean nothing.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from store._tokens import Token

_HEADER = re.compile(r"--\s*([A-Za-z][A-Za-z_-]*)\s*:\s*(.*?)\s*$")
_NAMES = ("depends", "store", "transactional")
_DURATION = re.compile(r"([0-9]{1,6})\s*(ms|s|min|h)")
_RELEASE = re.compile(r"v?([0-9]{1,9}(?:\.[0-9]{1,9}){0,3})(?P<pre>[-.]?(?:a|b|rc|dev)[0-9.]*)?(?:[-.+].*)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
# What `-- store:` takes, and whether a reason or value follows. `allow` is read by the lint.
_DIRECTIVES = {"batch": False, "irreversible": True, "timeout": True, "contract-after": True, "allow": True}


@dataclass(slots=True)
class Headers:
    """
    What the headers of one file say.
    """

    depends: frozenset[str] = frozenset()
    transactional: bool = True
    batch: bool = False
    irreversible: str | None = None
    timeout: float | None = None
    contract_after: str | None = None


def release(text: str) -> tuple[tuple[int, ...], bool] | None:
    """
    Return what orders releases: 1.8 and v1.8.0 are the same, 1.9.0rc1 comes before 1.9.0. None for what is no number of one.
    """
    found = _RELEASE.fullmatch(text.strip())
    if found is None:
        return None
    numbers = [int(part) for part in found[1].split(".")]
    while numbers[1:] and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers), found["pre"] is None


def parse(tokens: list[Token]) -> tuple[Headers, list[str]]:
    """
    Return the headers, and a sentence for each one that is unknown, misplaced, doubled or malformed.
    """
    headers, faults = Headers(), list[str]()
    seen: set[str] = set()
    for name, value, leads in _lines(tokens):
        if name.lower() not in _NAMES:
            faults += _misspelt(name) if leads else []
        elif not leads or not name.islower():
            faults.append(f"`-- {name.lower()}:` leads the file, in lower case")
        elif name in seen and name != "store":
            faults.append(f"`-- {name}:` stands twice")
        else:
            faults += _take(headers, name, value)
        seen.add(name)
    return headers, faults


def _lines(tokens: list[Token]) -> Iterator[tuple[str, str, bool]]:
    leads = True
    for token in tokens:
        if token.kind == "comment" and (found := _HEADER.match(token.text)):
            yield found[1], found[2], leads
        leads = leads and token.kind in ("blank", "comment")


def _misspelt(name: str) -> list[str]:
    # Prose may have a colon behind its first word; only what looks like a header is taken for one.
    near = difflib.get_close_matches(name.lower(), _NAMES, n=1, cutoff=0.75)
    return [f"unknown header `-- {name}:`: is `-- {near[0]}:` meant?"] if near else []


def _take(headers: Headers, name: str, value: str) -> list[str]:
    if name == "depends":
        headers.depends = frozenset(value.split())
        return []
    if name == "transactional":
        headers.transactional = value != "false"
        return [] if value in ("true", "false") else ["`-- transactional:` is true or false, in lower case"]
    return _directive(headers, value)


def _directive(headers: Headers, text: str) -> list[str]:
    word, colon, value = (part.strip() for part in text.partition(":"))
    if word not in _DIRECTIVES:
        return [f"unknown header `-- store: {word}`: there are {', '.join(sorted(_DIRECTIVES))}"]
    if _DIRECTIVES[word] != bool(colon and value):
        return [f"`-- store: {word}` takes {'a value: `-- store: ' + word + ': ...`' if _DIRECTIVES[word] else 'no value'}"]
    if word == "batch":
        headers.batch = True
    elif word == "irreversible":
        headers.irreversible = value
    elif word == "contract-after":
        headers.contract_after = value
        return [] if release(value) else ["`-- store: contract-after:` is a release, like 1.8.0"]
    elif word == "timeout":
        found = _DURATION.fullmatch(value)
        if found is None:
            return ["`-- store: timeout:` is a number and ms, s, min or h, like 15min"]
        headers.timeout = int(found[1]) * _SECONDS[found[2]]
    return []
