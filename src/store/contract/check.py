"""
Holds SQL, Python and schema to the contracts: offline by hashes and DTOs, with a database by deriving everything anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path

from store._queries import Statement
from store.contract import callers, digest, files, grants, plans, schema, stubs, text
from store.contract.compare import compare
from store.contract.database import Connection
from store.contract.derive import Derived, derive
from store.contract.facts import Facts
from store.contract.files import ContractFile
from store.contract.findings import Finding
from store.contract.graded import graded
from store.contract.project import Project, finding_of
from store.contract.schema import Schema
from store.contract.text import Stanza
from store.errors import ContractFileError, QueryFileError

_LOCK = "run `store lock`, and review what changes"
_BY_HAND = f"{_LOCK}; where this database was changed by hand, `store migrate verify` says what"
_SHIPPED = "the store relies on it, and its contracts ship with it: mend the migration of yours that moves it"
_FOLDER = f"{_LOCK}; or name your own migrations with --migrations"


@dataclass(slots=True)
class _Written:
    """
    The contract files as they stand.
    """

    stanzas: dict[str, Stanza] = field(default_factory=dict[str, Stanza])
    """By 'orders.get_order'."""
    schema: Schema | None = None
    findings: list[Finding] = field(default_factory=list[Finding])


def offline(project: Project) -> list[Finding]:
    """
    Return what the files alone show: contracts that are not of this SQL or these migrations, DTOs and callers that do not fit.
    """
    try:
        statements = project.statements
    except QueryFileError as error:
        return [finding_of(error, project.queries, "query-file")]
    written = _read(project)
    facts = {name: each.whole for name, each in written.stanzas.items()}
    found = [*written.findings, *_stale(project, statements, written), *_stubs(project, facts, written.schema)]
    found += _left(statements, written)
    return sorted([*found, *_of_python(project, facts, written.schema)])


def online(connection: Connection, project: Project, *, is_scratch: bool) -> list[Finding]:
    """
    Return that and every fact in which this database differs from the contracts. Plans are graded where the tables are empty,
    and compared there from 18 on; elsewhere statistics have a say, and a warning says that nobody looked.
    """
    try:
        derived = derive(connection, project)
    except QueryFileError as error:
        return [finding_of(error, project.queries, "query-file")]
    written = _read(project)
    about_plans, is_planned = graded(connection, project, derived, written.stanzas, is_scratch=is_scratch)
    found = [*written.findings, *derived.undescribed, *about_plans]
    facts = {f"{domain}.{each.name}": each.whole for domain, stanzas in derived.stanzas.items() for each in stanzas}
    unknown = {f"{Path(each.path).stem}:{each.line}" for each in derived.undescribed}
    stale = _stale(project, project.statements, written, derived.schema.migrations)
    found += (each for each in stale if f"{each.path.stem}:{each.line}" not in unknown)
    found += _differing(project, derived, written, is_planned=is_planned)
    found += _stubs(project, facts, derived.schema)
    found += grants.findings(connection, project, derived)
    if project.is_extended or not is_scratch:
        mend = _SHIPPED if project.is_extended else _BY_HAND
        found = [replace(each, mend=mend) if each.rule == "contract-differs" else each for each in found]
    return sorted([*found, *_of_python(project, facts, derived.schema)])


def unchecked(project: Project) -> list[Finding]:
    """
    Return a warning where queries name DTOs and nobody said in which module they are.
    """
    try:
        rows = sum(each.row is not None for each in project.statements)
    except QueryFileError:
        return []
    if project.module is not None or not rows:
        return []
    message = f"{rows} {'row' if rows == 1 else 'rows'} not checked: no --models"
    return [Finding(project.queries, 1, 1, "dto-unchecked", message, "name the module with the DTOs", "warning")]


def _read(project: Project) -> _Written:
    written = _Written()
    domains = {statement.domain for statement in project.statements}
    for path in files.listed(project.contracts):
        try:
            file = files.read(path)
        except (ContractFileError, UnicodeDecodeError) as error:
            failure = error if isinstance(error, ContractFileError) else ContractFileError(f"{path}:1: not UTF-8: {_LOCK}")
            written.findings.append(finding_of(failure, path, "contract-malformed"))
            continue
        written.stanzas |= file.by_query
        written.schema = written.schema or file.schema
        if file.content != file.rendered:
            written.findings.append(_edited(file))
        if file.schema is None and path.stem not in domains:
            message = f"there is no {path.stem}.sql any more"
            written.findings.append(Finding(path, 1, 1, "contract-left", message, "run `store lock`, which deletes it"))
    return written


def _edited(file: ContractFile) -> Finding:
    """
    Return where a file begins to differ from what would be written of it: the hash of its facts is a query's first line.
    """
    both = zip_longest(file.content.splitlines(), file.rendered.splitlines())
    line = next((number for number, (one, other) in enumerate(both, 1) if one != other), 1)
    name = next((f"{file.path.stem}.{each.name}" for each in reversed(file.stanzas) if each.line <= line), file.path.name)
    return Finding(file.path, line, 1, "contract-edited", f"{name} is not as `store lock` writes it", _LOCK)


def _stale(
    project: Project, statements: Sequence[Statement], written: _Written, migrations: str | None = None
) -> Iterator[Finding]:
    """
    Yield where contracts and files part; `migrations` is the hash of those there are, where somebody knows it.
    """
    broken = {each.path for each in written.findings if each.rule == "contract-malformed"}
    names = {each.full_name for each in statements}
    for statement in statements:
        path = project.contract_of(statement.domain)
        stanza = written.stanzas.get(statement.full_name)
        name = statement.full_name
        if stanza is None and path not in broken:
            yield Finding(statement.path, statement.line, 1, "contract-missing", f"{name} has no contract", _LOCK)
        elif stanza is not None and stanza.digest != digest.of_statement(statement):
            message = f"the SQL of {name} is not the one its contract was written from"
            yield Finding(statement.path, statement.line, 1, "contract-stale", message, _LOCK)
        elif stanza is not None and not _is_of(stanza, statement):
            message = f"mark, row or parameters of {name} are not those of its contract"
            yield Finding(statement.path, statement.line, 1, "contract-stale", message, _LOCK)
    for name, stanza in written.stanzas.items():
        domain = name.partition(".")[0]
        if name not in names and any(each.domain == domain for each in statements):
            message = f"there is no query {stanza.name} in {domain}.sql any more"
            yield Finding(project.contract_of(domain), stanza.line, 1, "contract-left", message, _LOCK)
    yield from _moved(project, written, broken, migrations)


def _left(statements: Sequence[Statement], written: _Written) -> Iterator[Finding]:
    for statement in statements:
        stanza = written.stanzas.get(statement.full_name)
        # The plan of a stale contract is that of another text.
        if stanza is not None and stanza.whole is not None and stanza.digest == digest.of_statement(statement):
            yield from plans.left(statement, stanza.whole.plan)


def _is_of(stanza: Stanza, statement: Statement) -> bool:
    taken = {each.label: set(each.parameters) for each in statement.texts()}
    named = {label: {each.name for each in facts.parameters} for label, facts in stanza.texts.items()}
    is_copy = statement.kind == "copy"
    return (stanza.mark, stanza.row) == (statement.mark, statement.row) and named == ({} if is_copy else taken)


def _moved(project: Project, written: _Written, broken: set[Path], migrations: str | None) -> Iterator[Finding]:
    path = project.contracts / schema.FILE
    if written.schema is None:
        if path not in broken:
            yield Finding(path, 1, 1, "contract-missing", "the contracts do not say of which migrations they are", _LOCK)
    elif not project.is_extended and written.schema.migrations != (migrations or digest.of_migrations(project.migrations)):
        mend = _FOLDER if project.is_foreign and len(project.migrations) == 1 else _LOCK
        yield Finding(path, 1, 1, "contract-migrations", "the migrations are not those the contracts were written from", mend)


def _stubs(project: Project, facts: Mapping[str, Facts | None], known: Schema | None) -> Iterator[Finding]:
    path = stubs.path_of(project)
    content = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    if content.startswith(stubs.HEAD) and known is not None and content != stubs.render(project, facts, known):
        message = "the types are not those of the contracts"
        yield Finding(path, 1, 1, "contract-stubs", message, "run `store lock --stubs`, with the same --models")


def _differing(project: Project, derived: Derived, written: _Written, *, is_planned: bool) -> Iterator[Finding]:
    for domain, stanzas in derived.stanzas.items():
        for now in stanzas:
            then = written.stanzas.get(f"{domain}.{now.name}")
            if then is not None:
                path, name = project.contract_of(domain), f"{domain}.{now.name}"
                yield from _changes(path, name, then, now, is_planned=is_planned, is_extended=project.is_extended)
    if written.schema is not None:
        path = project.contracts / schema.FILE
        before, after = (schema.render(each).splitlines() for each in (written.schema, derived.schema))
        for line in sorted(set(before) ^ set(after)):
            if not line.startswith("migrations"):
                number = before.index(line) + 1 if line in before else 1
                message = f"{'no longer so' if line in before else 'new'}: {line}"
                yield Finding(path, number, 1, "contract-differs", message, _LOCK)


def _changes(path: Path, name: str, then: Stanza, now: Stanza, *, is_planned: bool, is_extended: bool) -> Iterator[Finding]:
    shown: set[str] = set()
    written = text.lines(then)
    for label in [each for each in then.texts if each in now.texts]:
        before, after = (_facts(each.texts[label], is_planned=is_planned) for each in (then, now))
        is_first = label == (then.label or "")
        for key in [*before, *(key for key in after if key not in before)]:
            was, become = before.get(key), after.get(key)
            fault = f"{key}: {was or 'nothing'} in the contract, {become or 'nothing'} in the database"
            if was != become and fault not in shown:
                shown.add(fault)  # what differs in one text differs in most of them
                if more := _reached(key, was, become) if is_extended else "":
                    message = f"{name} now also {more}"
                    yield Finding(path, then.line, 1, "contract-reaches", message, "see that it is meant", "warning")
                    continue
                line = _line_of(key, written) if is_first else written.index(f"  text   [{label}]") + 1
                message = f"{name}{'' if is_first else f'[{label}]'}: {fault}"
                yield Finding(path, then.line + line, 3 if line else 1, "contract-differs", message, _LOCK)


def _reached(key: str, was: str | None, become: str | None) -> str:
    """
    Return 'deletes app.notes (notes_user_id_fkey)' where that is touched as well without being named, and nothing is no more.
    """
    before, after = (set(each.split(", ")) if each else set[str]() for each in (was, become))
    if not key.startswith("via ") or not before < after:
        return ""
    by, _, verb = key.removeprefix("via ").rpartition(": ")
    return f"{verb} {', '.join(sorted(after - before))} ({by})"


def _line_of(key: str, written: Sequence[str]) -> int:
    return next((number for number, line in enumerate(written, 1) if " ".join(line.split()).startswith(key)), 0)


def _facts(facts: Facts, *, is_planned: bool) -> dict[str, str]:
    """
    Return the facts by what they are about: 'out total' -> 'numeric not null orders.total'.
    """
    found: dict[str, str] = {}
    for key, value in text.said(facts):
        words = value.split()
        if key == "plan" and not is_planned:
            continue
        about = 2 if key == "via" else 1 if key in ("param", "out") else len(words) if key in ("funcs", "locks", "plan") else 0
        named = [words[0].rstrip(",").rpartition(".")[0] or value] if key in ("reads", "writes") else words[:about]
        found[" ".join([key, *named])] = " ".join(words[about:]) or "there"
    return found


def _of_python(project: Project, facts: Mapping[str, Facts | None], known: Schema | None) -> Iterator[Finding]:
    for statement in project.statements:
        found = facts.get(statement.full_name)
        if found is not None:
            yield from _of_statement(project, statement, found, known)
    if project.callers is not None:
        try:
            yield from callers.check(project.statements, callers.uses(project.callers), facts, known or Schema(""))
        except QueryFileError as error:
            yield finding_of(error, project.callers, "caller-file")


def _of_statement(project: Project, statement: Statement, facts: Facts, known: Schema | None) -> Iterator[Finding]:
    def finding(rule: str, message: str, mend: str) -> Finding:
        return Finding(statement.path, statement.line, 1, rule, f"{statement.full_name}: {message}", mend)

    nullable = {name for each in statement.texts() for name in each.nullable}
    for name in sorted(nullable & {each.name for each in facts.parameters if each.is_required}):
        yield finding("null-parameter", f"`-- null: {name}` and PostgreSQL can never take NULL for it", "remove the mark")
    if statement.mark in ("^", "$") and facts.at_most_one is None and statement.rows is None:
        mend = "bind a unique key, or say `-- rows: at most one (why)` in the header"
        yield finding("one-row", f"{statement.mark} promises one row and nothing proves it", mend)
    if statement.mark == "$" and len(facts.columns) != 1:
        yield finding("one-value", f"$ wants one column and there are {len(facts.columns)}", "select one, or use another mark")
    if statement.row is None or project.module is None:
        return
    model = project.models.get(statement.row)
    if model is None:
        yield finding("dto-missing", project.no_dto(statement.row), "correct `-- row:`, or name its module with --models")
        return
    if known is None:  # without the domains and enums no type can be compared
        return
    for each in compare(facts.columns, model, known):
        place = finding(each.rule, each.message, each.mend)
        yield Finding(place.path, place.line, place.column, place.rule, place.message, place.mend, each.severity)
