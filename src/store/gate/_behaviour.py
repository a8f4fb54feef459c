"""
What changed in a schema that no query is refused for, and that a running program may feel all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from store.contract.facts import DELETED, Facts

_LINE = re.compile(
    r"(?P<kind>aggregate|column|constraint|domain|function|index|materialized view|policy|procedure|rule|table|trigger|type"
    r"|view) (?P<name>.*?): (?P<definition>.*)"
)
_REFUSES = re.compile(r"CHECK|EXCLUDE|FOREIGN KEY|PRIMARY KEY|UNIQUE")
_INDEXED = re.compile(r"CREATE UNIQUE INDEX .*? ON (?:ONLY )?(?P<table>\S+) USING")
_FILLED = re.compile(r"(?:identity|default|generated) .*")
_FOREIGN = re.compile(r"REFERENCES (?P<table>[^\s(]+)")
_OWNERS = ("domain", "materialized view", "table", "view")
_OWN = "store.schema_version()"  # each migration of the package replaces it

Touch = Literal["writes", "reads or writes", "calls", "has the type"]
_Lines = dict[tuple[str, str], str]


class Change(NamedTuple):
    """
    What changed, and which queries feel it: those that read, write, call or have one of these names, themselves or by a
    function in SQL or a cascade.
    """

    what: str
    touch: Touch
    names: tuple[str, ...]

    @property
    def is_bound(self) -> bool:
        """
        Whether only those queries can feel it. What calls a function may be a trigger.
        """
        return self.touch in ("writes", "reads or writes")

    def concerns(self, facts: Facts) -> bool:
        """
        Whether a query with these facts feels it.
        """
        if self.touch == "calls":
            return any(each.startswith(f"{name}(") for each in facts.functions for name in self.names)
        if self.touch == "has the type":
            types = [*(each.type for each in facts.columns), *(each.type for each in facts.parameters)]
            return any(each.removesuffix("[]") in self.names for each in types)
        felt = [each for each in facts.touched() if each.verb != "reads" or self.touch == "reads or writes"]
        touched = [name + DELETED if each.verb == "deletes" else name for each in felt for name in each.names]
        return any(each == name or each.startswith(f"{name}.") for each in touched for name in self.names)


def changes(before: Sequence[str], after: Sequence[str]) -> Iterator[Change]:
    """
    Yield what two lists of fingerprint lines tell apart, of objects that belong to what was there before.
    """
    old, new = _parsed(before), _parsed(after)
    for kind, name in sorted({*old, *new}):
        was, now = old.get((kind, name)), new.get((kind, name))
        owner, _, own = name.rpartition(".")
        if was == now or name == _OWN:
            continue
        if kind == "index":
            yield from _index(own, now or "", old, new)
        elif kind in ("constraint", "policy", "rule", "trigger"):
            if any((each, owner) in old for each in _OWNERS):
                yield from _attached(kind, name, was, now, is_domain=("domain", owner) in old)
        elif was is not None and now is not None:
            yield from _replaced(kind, name, was, now)


def takes_rights(words: Sequence[str], before: Sequence[str]) -> bool:
    """
    Whether a statement takes rights from a role, on something that was there before.
    """
    if words[0] != "revoke":
        return False
    target = " ".join(words).replace(" . ", ".").partition(" on ")[2].partition("(")[0]
    named = re.findall(r"[\w$]+\.[\w$]+", target)
    known = {name.partition("(")[0] for _, name in _parsed(before)}
    return not named or not known.isdisjoint(named)


def _parsed(lines: Sequence[str]) -> _Lines:
    found = (_LINE.match(_uncommented(line) + " ") for line in lines)
    return {(each["kind"], each["name"]): each["definition"].strip() for each in found if each is not None}


def _uncommented(line: str) -> str:
    # Two dashes in the body of a function end with their line, which stands there as \\n; the comment is the last thing of all.
    head, dashes, comment = line.rpartition(" -- ")
    return head if dashes and "\\n" not in comment else line


def _index(own: str, now: str, old: _Lines, new: _Lines) -> Iterator[Change]:
    found = _INDEXED.match(now)
    if found and ("table", found["table"]) in old and ("constraint", f"{found['table']}.{own}") not in new:
        yield Change(f"{found['table']} has the unique index {own}", "writes", _plain([found["table"]]))


def _attached(kind: str, name: str, was: str | None, now: str | None, *, is_domain: bool) -> Iterator[Change]:
    owner, _, own = name.rpartition(".")
    if kind != "constraint":
        word = "is gone" if now is None else "is new" if was is None else "is another"
        touch: Touch = "writes" if kind == "trigger" else "reads or writes"
        yield Change(f"the {kind} {own} of {owner} {word}", touch, _plain([owner, _deleted(owner)]))
    # One that is NOT VALID holds for new rows already.
    elif now is not None and _REFUSES.match(now) and (was or "").removesuffix("NOT VALID").strip() != now:
        others = [_deleted(found["table"]) for found in _FOREIGN.finditer(now)]
        touch = "has the type" if is_domain else "writes"
        yield Change(f"{owner} has the rule {own}: {now}", touch, _plain([owner, *others]))


def _replaced(kind: str, name: str, was: str, now: str) -> Iterator[Change]:
    owner, _, own = name.rpartition(".")
    if kind == "table":
        if ("row security" in was) != ("row security" in now):
            has = "has" if "row security" in now else "has no"
            yield Change(f"{name} {has} row security", "reads or writes", _plain([name, _deleted(name)]))
    elif kind == "column":
        if "not null" in now and "not null" not in was:
            yield Change(f"{owner}.{own} takes no null any more", "writes", _plain([name]))
        filled = [found[0] if (found := _FILLED.search(each)) else "nothing" for each in (was, now)]
        if filled[0] != filled[1]:
            yield Change(f"{owner}.{own} is filled by {filled[1]}, and was by {filled[0]}", "writes", _plain([owner]))
    elif kind in ("view", "materialized view"):
        yield Change(f"the {kind} {name} is another", "reads or writes", _plain([name]))
    elif kind in ("domain", "type"):
        yield Change(f"the {kind} {name} is {now}, and was {was}", "has the type", _plain([name]))
    elif kind in ("aggregate", "function", "procedure"):
        yield Change(f"the {kind} {name} is another", "calls", _plain([name.partition("(")[0]]))


def _deleted(table: str) -> str:
    return table + DELETED


def _plain(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.removeprefix("store.") for name in names))
