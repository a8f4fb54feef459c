"""
`store lock` and `store check`: the contracts of the queries are written, and held.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from store.cli._output import AsForm, AsJson, Form, OtherThanScratch, counted, err, form_of, is_json, out, print_json, reported
from store.contract import check as _check
from store.contract import derive as _derive
from store.contract import grants as _grants
from store.contract import lock as _lock
from store.contract import stubs as _stubs
from store.contract.database import opened
from store.contract.findings import Finding, exit_code
from store.contract.graded import UNCHECKED
from store.contract.project import Project, foreign, own

Sql = Annotated[
    Path | None,
    typer.Option("--sql", metavar="DIR", help="A folder of .sql files of your own. Default: the store's own queries."),
]
Models = Annotated[
    str | None,
    typer.Option("--models", metavar="MODULE", help="The module with the DTOs that `-- row:` names, as in app.models."),
]
Migrations = Annotated[
    list[Path] | None,
    typer.Option("--migrations", metavar="DIR", help="A folder of migrations applied after the store's own. May be repeated."),
]
Version = Annotated[
    int | None, typer.Option("--pg", metavar="VERSION", help="The version of the scratch server: 16, or 18 (the default).")
]


def project_of(
    sql: Path | None, models: str | None = None, migrations: Sequence[Path] | None = None, callers: Path | None = None
) -> Project:
    """
    Return what the options name.
    """
    if sql is not None:
        return foreign(sql, models=models, migrations=migrations or (), callers=callers)
    if models or migrations or callers:
        raise typer.BadParameter("--models, --migrations and --callers belong to a folder of your own: name it with --sql")
    return own()


def lock(
    *,
    sql: Sql = None,
    models: Models = None,
    migrations: Migrations = None,
    stubs: Annotated[
        bool,
        typer.Option(
            "--stubs", help="Also write DIR/__init__.pyi: the folder's queries as mypy and pyright see them. Needs --sql."
        ),
    ] = False,
    dsn: OtherThanScratch = None,
    as_json: AsJson = None,
) -> None:
    """
    Write what PostgreSQL understands of every query to contracts/*.contract, for review with `git diff`.

    Asks an embedded scratch server with the migrations applied, or the server of --dsn, as the owner of the schema: PostgreSQL
    18, an empty migrated database, never production. All contracts are written or, where a query cannot be described, none.
    Nothing stays in the database.

    Exit codes: 0 written, 9 a query cannot be described, 10 no database that can do it. `store check` holds them.
    """
    json = is_json(as_json)
    with reported(as_json=json):
        if stubs and sql is None:
            raise typer.BadParameter("--stubs writes the types of a folder of your own: name it with --sql")
        project = project_of(sql, models, migrations)
        with opened(dsn, project.migrations) as connection:
            done = _lock.lock(connection, project)
        written = [*done.written, *(_write_stubs(project, done) if stubs else ())]
        findings = [*done.findings, *(_stubs.untyped(project) if stubs and done.derived is not None else ())]
    if json:
        print_json(
            {
                "command": "lock",
                "written": [str(path) for path in written],
                "deleted": [str(path) for path in done.deleted],
                "findings": [each.as_json() for each in findings],
            }
        )
    else:
        for word, paths in (("wrote", written), ("deleted", done.deleted)):
            for path in paths:
                out.print(f"{word} {path}", markup=False, soft_wrap=True)
        _print(findings, "text")
        if not (written or done.deleted or done.findings):
            out.print("nothing to do: every contract is as the database has it")
    if code := exit_code(done.findings):
        raise typer.Exit(code)


def check(
    *,
    sql: Sql = None,
    models: Models = None,
    migrations: Migrations = None,
    callers: Annotated[
        Path | None, typer.Option("--callers", metavar="DIR", help="The Python that calls the queries: none of them unused.")
    ] = None,
    db: Annotated[bool, typer.Option("--db", help="Derive every contract anew, on a scratch server or that of --dsn.")] = False,
    dsn: OtherThanScratch = None,
    version: Version = None,
    form: AsForm = None,
    as_json: AsJson = None,
) -> None:
    """
    Hold SQL, DTOs and callers to the contracts. Needs no database; with --db every fact is asked for again.

    With --db, --migrations without --sql asks whether your migrations break the store's own queries. Plans are graded where the
    tables are empty; of a server of --dsn that has rows the rest is checked, and one warning says so.

    A finding is file:line:column, the rule, and the way out. `store verify` checks the data, `store migrate status` the schema.

    Exit codes: 0 all holds, 8 a contract differs, 9 a rule is broken (the lowest counts), 10 no database that can do it.

    Example: [bold]store check --sql app/queries --models app.models --format github[/]
    """
    chosen = form_of(form, as_json)
    with reported(as_json=chosen == "json"):
        is_online = db or dsn is not None or version is not None
        # Without a folder of their own the question is whether these migrations break the store's queries.
        extending = migrations if is_online and sql is None else None
        project = project_of(sql, models, None if extending else migrations, callers)
        if extending:
            project = dataclasses.replace(project, migrations=[*project.migrations, *extending], grants=None, is_extended=True)
        if is_online:
            with opened(dsn, project.migrations, version=version, rights=project.rights) as connection:
                found = _check.online(connection, project, is_scratch=dsn is None)
        else:
            found = _check.offline(project)
        found = sorted([*found, *_check.unchecked(project)])
    code = exit_code(found)
    not_run = ["plans"] if any(each.rule == UNCHECKED for each in found) else []
    if chosen == "json":
        findings = [each.as_json() for each in found]
        print_json({"command": "check", "exit_code": code, "not_run": not_run, "findings": findings})
    else:
        _print(found, chosen)
        errors = sum(each.severity == "error" for each in found)
        words = [counted(errors, "error"), counted(len(found) - errors, "warning"), *(f"{each} not run" for each in not_run)]
        err.print(f"store check: {', '.join(words)}")
    if code:
        raise typer.Exit(code)


def grants(
    *,
    sql: Sql = None,
    migrations: Migrations = None,
    dsn: OtherThanScratch = None,
    version: Version = None,
) -> None:
    """
    Print the least that store_app must be granted to run the queries: schemas, columns, functions, sequences.

    Functions in PL/pgSQL cannot be read: they are named as not followed. `store check --db` holds sql/grants.sql to the same.

    Exit codes: 0 printed, 9 a query cannot be described, 10 no database that can do it.

    Example: [bold]store grants --sql app/queries --migrations app/migrations[/]
    """
    with reported():
        project = project_of(sql, migrations=migrations)
        with opened(dsn, project.migrations, version=version) as connection:
            derived = _derive.derive(connection, project)
            needs = _grants.needed(connection, project, derived)
    if derived.undescribed:
        _print(derived.undescribed, "text")
        raise typer.Exit(exit_code(derived.undescribed))
    typer.echo(_grants.render(needs))


def _write_stubs(project: Project, done: _lock.Locked) -> list[Path]:
    if done.derived is None:
        return []
    facts = {f"{domain}.{each.name}": each.whole for domain, stanzas in done.derived.stanzas.items() for each in stanzas}
    path, content = _stubs.path_of(project), _stubs.render(project, facts, done.derived.schema)
    if path.is_file() and path.read_text(encoding="utf-8") == content:
        return []
    _lock.replace(path, content)
    return [path]


def _print(found: Sequence[Finding], form: Form) -> None:
    for each in found:
        out.print(each.as_github() if form == "github" else str(each), markup=False, soft_wrap=True)
