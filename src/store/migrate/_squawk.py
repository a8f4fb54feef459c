"""
squawk, the linter of PostgreSQL migrations: what its rules mean here, and how it is run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from store._distribution import missing_extra
from store.errors import StoreError
from store.migrate._rules import Breach, Severity

# What is off, and why: the runner sets the timeouts; a file is whole or not at all, and IF NOT EXISTS hides what is there;
# a quantity may be an integer (int-key watches the keys); a new domain has no rows yet (ALTER DOMAIN is watched).
_OFF = (
    "ban-create-domain-with-constraint",
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-robust-stmts",
    "require-lock-timeout",
    "require-statement-timeout",
)
_ON = ("ban-alter-row-level-security", "ban-disable-trigger", "ban-replica-identity")

_EXPAND = "expand, deploy, contract: a release that does not use it any more comes first"
_VALIDATE = "NOT VALID here, VALIDATE CONSTRAINT in a later file"
_CONCURRENTLY = "CONCURRENTLY, alone in a file with `-- transactional: false`"
RULES: dict[str, tuple[Severity, str]] = {
    "adding-field-with-default": ("error", "add the column without it, set the default, fill it in batches"),
    "adding-foreign-key-constraint": ("error", _VALIDATE),
    "adding-not-nullable-field": ("error", "CHECK (… IS NOT NULL) NOT VALID, VALIDATE in a later file, then SET NOT NULL"),
    "adding-required-field": ("error", "a constant DEFAULT, or nullable first"),
    "adding-serial-primary-key-field": ("error", "a unique index CONCURRENTLY, then ADD PRIMARY KEY USING INDEX"),
    "ban-alter-domain-with-add-constraint": ("error", _VALIDATE),
    "ban-alter-row-level-security": ("warning", "the policies first, tried as the application's role"),
    "ban-char-field": ("error", "text with a CHECK on its length"),
    "ban-concurrent-index-creation-in-transaction": ("error", _CONCURRENTLY),
    "ban-disable-trigger": ("error", "let them fire, or change the rows in another way"),
    "ban-drop-column": ("error", _EXPAND),
    "ban-drop-database": ("error", "by hand"),
    "ban-drop-schema": ("error", _EXPAND),
    "ban-drop-table": ("error", _EXPAND),
    "ban-replica-identity": ("warning", "a primary key: it is the identity unless another is named"),
    "ban-set-schema": ("error", _EXPAND),
    "ban-truncate-cascade": ("error", "name every table that is to be emptied"),
    "changing-column-type": ("error", "a new column, filled in batches, then switched"),
    "constraint-missing-not-valid": ("error", _VALIDATE),
    "disallowed-unique-constraint": ("error", "a unique index CONCURRENTLY, then ADD CONSTRAINT … USING INDEX"),
    "prefer-repack": ("error", "an online tool, outside migrations"),
    "prefer-timestamp-tz": ("error", "timestamptz"),
    "prefer-identity": ("error", "bigint GENERATED ALWAYS AS IDENTITY"),
    "renaming-column": ("error", _EXPAND),
    "renaming-object": ("error", _EXPAND),
    "renaming-table": ("error", _EXPAND),
    "require-concurrent-index-creation": ("error", _CONCURRENTLY),
    "require-concurrent-index-deletion": ("error", _CONCURRENTLY),
    "require-concurrent-partition-detach": ("error", _CONCURRENTLY),
    "require-concurrent-reindex": ("error", _CONCURRENTLY),
    "syntax-error": ("error", "mend it"),
    "transaction-nesting": ("error", "the runner begins and ends the transaction"),
}

SEEN_BY_TRACE = frozenset({"adding-field-with-default", "adding-not-nullable-field"})
"""Rules about work that the trace sees done, or not done."""


def findings(file: str, text: str, *, transactional: bool = True) -> Iterator[Breach]:
    """
    Yield what squawk says about a file, in our severities; no configuration of its own is read.

    Raises MissingExtra without squawk.
    """
    command: list[str | Path] = [_program(), "--config", os.devnull, "--reporter", "json", "--pg-version", "16"]
    command += ["--stdin-filepath", file, *(f"--exclude={rule}" for rule in _OFF), *(f"--include={rule}" for rule in _ON)]
    command += ["--assume-in-transaction"] if transactional else []
    done = subprocess.run(command, input=text, capture_output=True, encoding="utf-8", check=False)
    try:
        said = json.loads(done.stdout)
    except ValueError:
        raise StoreError(f"squawk failed on {file}: {done.stderr.strip()[:500] or done.returncode}") from None
    for each in said:
        rule = each["rule_name"]
        severity, safe = RULES.get(rule, ("warning", each["help"] or _EXPAND))
        yield Breach(file, each["line"] + 1, rule, severity, each["message"], safe)


def _program() -> Path:
    name = shutil.which("squawk", path=os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath))))
    if name is None:
        raise missing_extra("lint", "squawk")
    return Path(name)
