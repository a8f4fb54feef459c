"""
`store doctor`: is everything well between here and the data?
"""

from __future__ import annotations

import typer

from store import doctor as _doctor
from store.cli._output import AsJson, Dsn, is_json, out, print_json, reported

_MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "wrong": "[red]WRONG[/]", "unreachable": "[red]UNREACHABLE[/]"}


def doctor(
    *,
    dsn: Dsn = None,
    as_json: AsJson = None,
) -> None:
    """
    Look at versions, settings, server, transport, role, migrations and statements; change nothing.

    Exit codes: 0 all is well (warnings included), 9 something is wrong, 10 the server cannot be reached.
    """
    json = is_json(as_json)
    findings: list[_doctor.Examined] = []
    with reported(as_json=json):
        for finding in _doctor.examine(dsn):
            findings.append(finding)
            if not json:
                out.print(f"{_MARKS[finding.outcome]:>9}  [bold]{finding.what}[/]  ", end="")
                out.print(finding.detail, markup=False, soft_wrap=True)
    if json:
        print_json(_doctor.as_json(findings))
    if code := _doctor.exit_code(findings):
        raise typer.Exit(code)
