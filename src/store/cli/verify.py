"""
`store verify` and `store sweep`: are the books right, and is the house clean?
"""

from __future__ import annotations

import dataclasses

import typer
from rich.markup import escape

from store import sweep as _sweep
from store import verify as _verify
from store._sync.store import Store
from store.cli._output import AsJson, is_json, out, print_json, reported
from store.settings import Settings

_SHOWN = 20
_BROKEN = 8
_NOT_RUN = 10


def verify(*, as_json: AsJson = None) -> None:
    """
    Check the sums of the shop: stock, holds, totals, payments, steps. A row for each fault; only reads, also beside traffic.

    `store migrate status` says whether the schema is the right one, `store doctor` whether everything is well on the way to it.
    Takes the role store_app: store_readonly may not see what some of it adds up.

    Exit codes: 0 every invariant holds, 8 one does not, 10 no connection, or none is known to be broken and one could not be
    looked at.
    """
    json = is_json(as_json)
    found: list[_verify.Checked] = []
    with reported(as_json=json), Store.open(Settings.load(), read_only=True) as shop:
        for checked in _verify.verify(shop):
            found.append(checked)
            if not json:
                _print(checked)
    code = _BROKEN if any(each.faults for each in found) else _NOT_RUN if any(each.failure for each in found) else 0
    if json:
        rows = [
            {"name": c.name, "promise": c.promise, "failure": c.failure, "faults": [f.model_dump() for f in c.faults]}
            for c in found
        ]
        print_json({"command": "verify", "exit_code": code, "invariants": rows, "not_applicable": _verify.NOT_APPLICABLE})
    else:
        for name, why in _verify.NOT_APPLICABLE.items():
            out.print(f"[dim]skipped[/]  {name}: {why}")
    if code:
        raise typer.Exit(code)


def sweep(*, as_json: AsJson = None) -> None:
    """
    Give back expired holds, mark carts that nobody touched as abandoned, delete old acknowledged events. For cron; nothing
    depends on it.

    Exit codes: 0 done, 10 the server cannot be reached, or the role may not do it: store_app may.
    """
    json = is_json(as_json)
    with reported(as_json=json), Store.open(Settings.load()) as shop:
        done = _sweep.sweep(shop)
    if json:
        print_json({"command": "sweep", **dataclasses.asdict(done)})
    else:
        out.print(f"{done.holds} holds given back, {done.carts} carts abandoned, {done.events} events deleted")


def _print(checked: _verify.Checked) -> None:
    verdict = "[red]NOT RUN[/]" if checked.failure else "[red]BROKEN[/]" if checked.faults else "[green]ok[/]"
    out.print(f"{verdict}  [bold]{checked.name}[/]  {escape(checked.failure or checked.promise)}", soft_wrap=True)
    for fault in checked.faults[:_SHOWN]:
        out.print(f"   {fault.subject}: {fault.fault}", markup=False, soft_wrap=True)
    if len(checked.faults) > _SHOWN:
        out.print(f"   and {len(checked.faults) - _SHOWN} more: --json shows all")
