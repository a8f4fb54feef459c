"""
The trial of a deploy: pending migrations are applied one by one, and PostgreSQL is asked about the queries of two releases.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from store._queries import Statement
from store._queries.entry import read_statements
from store.contract.facts import Facts
from store.contract.findings import Severity, shown
from store.contract.project import finding_of
from store.errors import QueryFileError
from store.gate import _behaviour
from store.gate._observe import Fault, Key, Seen, faults, key, observe
from store.gate._verdict import Gate, Need, Verdict
from store.migrate import _fingerprint, _headers
from store.migrate._beside import summary
from store.migrate._folder import SqlMigration
from store.migrate._lint import finish
from store.migrate._scratch import schemas
from store.migrate._trace import Effect, Refused, trace

_log = logging.getLogger("store.migrate")
_UNSAFE_ENUM = "55P04"  # a label of an enum is not to be used in the transaction that adds it
_Marks = set[tuple[str, str]]


class Release:
    """
    The texts of one release, and the files that cannot be read.
    """

    def __init__(self, name: str, version: str | None, folder: Path, *, prefix: str, place: str | None = None) -> None:
        self.name, self.version = name, version
        self.texts: list[Statement] = []
        self.unread: list[Verdict] = []
        self._place = place
        for path in sorted(folder.glob("*.sql")):
            try:
                found = read_statements(path.read_bytes().decode("utf-8-sig"), path, prefix)
            except (QueryFileError, UnicodeDecodeError) as error:
                told = error if isinstance(error, QueryFileError) else QueryFileError(f"{path}:1: not UTF-8")
                at = finding_of(told, path, "query-file")
                where = path if place is None else Path(place) / path.name
                mend = "" if place is None else f"its queries in {name} cannot be judged"
                self.unread.append(Verdict(at.rule, "error", where, at.line, at.message, mend))
            else:
                self.texts += [text for statement in found for text in statement.texts()]

    def place(self, statement: Statement) -> str:
        """
        Return file and line of a query, as its release has them.
        """
        path = shown(statement.path) if self._place is None else f"{self._place}/{statement.path.name}"
        return f"{path}:{statement.line}"


class Trial:
    """
    One database, going through the pending migrations.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], folder: Path, releases: tuple[Release, Release], made: Gate
    ) -> None:
        self._connection, self._folder, self._made = connection, folder, made
        self._old, self._new = old, new = releases
        kept = {key(each) for each in old.texts}
        self._only_new = [each for each in new.texts if key(each) not in kept]
        self._expected: dict[Key, Facts] = {}
        self._told: _Marks = set()

    def run(self, steps: Sequence[SqlMigration]) -> None:
        """
        Apply them all, up to one that PostgreSQL refuses.
        """
        seen = self._observed()
        for each in self._old.texts:
            answer = seen[key(each)]
            if isinstance(answer, Facts):
                self._expected[key(each)] = answer
            else:
                self._refused_before(each, answer)
        stages = [seen]
        for number, step in enumerate(steps, 1):
            _log.info("%s (%d of %d): %d queries of %s", step.id, number, len(steps), self._made.judged, self._old.name)
            try:
                stages.append(self._step(step))
            except Refused as error:
                message = f"PostgreSQL refuses it: {error}"
                self._made.verdicts.append(
                    Verdict("does-not-apply", "error", self._path(step), error.line, message, migration=step.id)
                )
                return
        self._made.needs += self._needs(steps, stages)

    def _observed(self) -> dict[Key, Seen]:
        return observe(self._connection, self._old.texts) | observe(self._connection, self._only_new)

    def _step(self, step: SqlMigration) -> dict[Key, Seen]:
        """
        Apply one migration and say what it does; first on trial, so that only what breaks is asked about after each statement.
        """
        text, seen = step.up.text, dict[Key, Seen]()
        if step.transactional:
            with self._connection.transaction(force_rollback=True):
                trace(self._connection, text)
                seen = self._observed()
        broken = self._broken(seen)
        suspects = list({key(each): each for each, _ in broken}.values())
        before = self._lines()

        def marks(connection: psycopg.Connection[Any]) -> _Marks:
            felt = {("", change.what) for change in _behaviour.changes(before, self._lines())}
            return felt | {_mark(each, fault) for each, fault in self._broken(observe(connection, suspects))}

        effects = trace(self._connection, text, transactional=step.transactional, faults=marks)
        finish(self._connection, step)
        if step.transactional:
            late = [each for each in self._only_new if getattr(seen[key(each)], "sqlstate", None) == _UNSAFE_ENUM]
            seen |= observe(self._connection, late)
        else:
            seen = self._observed()
            broken = self._broken(seen)
        self._breaks(step, effects, broken)
        self._changes(step, effects, before)
        return seen

    def _lines(self) -> list[str]:
        return _fingerprint.lines(self._connection, [*schemas(self._connection), "public"])

    def _broken(self, seen: Mapping[Key, Seen]) -> list[tuple[Statement, Fault]]:
        """
        Return what breaks and was not said of an earlier migration; of the texts of one query the first speaks for all.
        """
        found: dict[tuple[str, str], tuple[Statement, Fault]] = {}
        for each in self._old.texts:
            if key(each) in seen and key(each) in self._expected:
                for fault in faults(each, self._expected[key(each)], seen[key(each)]):
                    found.setdefault(_mark(each, fault), (each, fault))
        return [pair for mark, pair in found.items() if mark not in self._told]

    def _breaks(self, step: SqlMigration, effects: Sequence[Effect], broken: Iterable[tuple[Statement, Fault]]) -> None:
        for each, fault in broken:
            mark = _mark(each, fault)
            self._told.add(mark)
            effect = _blamed(effects, mark)
            severity, mend = (fault.severity, "") if fault.severity == "warning" else self._weighed(step)
            self._made.verdicts.append(
                Verdict(
                    fault.rule,
                    severity,
                    self._path(step),
                    effect.statement.line,
                    f"{each.full_name} of {self._old.name}: {fault.message}",
                    mend,
                    step.id,
                    summary(effect.statement),
                    (each.full_name,),
                    self._old.place(each),
                    fault.sqlstate,
                )
            )

    def _weighed(self, step: SqlMigration) -> tuple[Severity, str]:
        """
        Return how much a break in this migration weighs, and the way out: `contract-after` names the last release that breaks.
        """
        allowed, running = step.up.headers.contract_after, self._old.version
        now = _headers.release(running or "")
        tell = f"give a tag like v{allowed or '1.8.0'}, a wheel, or a folder with its pyproject.toml"
        if allowed is None:
            name = f"{running}`" if now else f"VERSION`; to have the version of {self._old.name} named, {tell}"
            return "error", (
                "first release code that does without, and change the schema one release later, in a file headed "
                f"`-- store: contract-after: {name}"
            )
        last = _headers.release(allowed)
        if now is None:
            return "error", f"whether {self._old.name} is newer than {allowed} cannot be told: {tell}"
        if last is not None and now > last:
            return (
                "warning",
                f"allowed by `contract-after: {allowed}`, as {running} is newer: make sure that it is never called",
            )
        return "error", f"the file waits for a release newer than {allowed}, and {running} runs: deploy that one first"

    def _changes(self, step: SqlMigration, effects: Sequence[Effect], before: Sequence[str]) -> None:
        for change in _behaviour.changes(before, self._lines()):
            feel = {
                each.full_name
                for each in self._old.texts
                if key(each) in self._expected and change.concerns(self._expected[key(each)])
            }
            if feel or not change.is_bound:
                effect = _blamed(effects, ("", change.what))
                self._felt(step, effect, change.what, sorted(feel))
        for effect in effects:
            if _behaviour.takes_rights(effect.statement.words, before):
                self._felt(step, effect, "a role has fewer rights, and the queries were not tried as that role", [])

    def _felt(self, step: SqlMigration, effect: Effect, what: str, feel: Sequence[str]) -> None:
        whose = f" (felt by {', '.join(feel[:5])}{f' and {len(feel) - 5} more' if len(feel) > 5 else ''})" if feel else ""
        path, line, ddl = self._path(step), effect.statement.line, summary(effect.statement)
        message = f"{what}{whose}"
        self._made.verdicts.append(Verdict("may-change", "warning", path, line, message, "", step.id, ddl, tuple(feel)))

    def _refused_before(self, each: Statement, answer: Seen) -> None:
        message = next(faults(each, Facts(), answer)).message
        mend = "no pending migration does it, so that nothing can be said of it"
        self._made.verdicts.append(
            Verdict(
                "refused-before",
                "error",
                Path(self._old.place(each).rpartition(":")[0]),
                each.line,
                f"{each.title} of {self._old.name} is refused by its own schema: {message}",
                mend,
                queries=(each.full_name,),
                place=self._old.place(each),
            )
        )

    def _needs(self, steps: Sequence[SqlMigration], stages: Sequence[Mapping[Key, Seen]]) -> Iterator[Need]:
        """
        Yield for each query of the new release the last migration it cannot do without.
        """
        done = {name for verdict in self._made.errors for name in verdict.queries}
        for each in self._new.texts:
            final = stages[-1][key(each)]
            if each.full_name in done:
                continue
            if not isinstance(final, Facts):
                done.add(each.full_name)
                message = f"{each.title} of this release: {next(faults(each, Facts(), final)).message}"
                place = self._new.place(each)
                self._made.verdicts.append(
                    Verdict("query-refused", "error", each.path, each.line, message, "", queries=(each.full_name,), place=place)
                )
                continue
            for step, seen in zip(reversed(steps), reversed(stages[:-1]), strict=True):
                told = [one for one in faults(each, final, seen[key(each)]) if one.severity == "error"]
                if told:
                    done.add(each.full_name)
                    yield Need(each.full_name, self._new.place(each), step.id, told[0].message)
                    break

    def _path(self, step: SqlMigration) -> Path:
        return self._folder / f"{step.id}.sql"


def _mark(statement: Statement, fault: Fault) -> tuple[str, str]:
    return statement.full_name, f"{fault.rule} {fault.message}"


def _blamed(effects: Sequence[Effect], mark: tuple[str, str]) -> Effect:
    return next((effect for effect in effects if mark in effect.faults), effects[0])
