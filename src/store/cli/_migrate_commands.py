"""
`store migrate`: the list of its commands.
"""

from __future__ import annotations

import typer

from store.cli._later import listed

_COMMANDS = {
    "up": ("migrate:up", "Apply every pending migration, in order."),
    "down": ("migrate:down", "Take the latest migration back by its .rollback.sql file."),
    "redo": (
        "migrate:redo",
        "Take the latest migration back and apply it again, under one lock; 8 when the schema is not what it was.",
    ),
    "status": ("migrate:status", "Say which migrations are applied and which are pending."),
    "plan": ("_migrate_admin:plan", "Print exactly the SQL that `up` will run, and a hash for `up --plan`."),
    "verify": ("migrate_review:verify", "Is the schema what the migrations made?"),
    "gate": ("_migrate_gate:gate", "Will the release that runs survive the pending migrations?"),
    "new": (
        "_migrate_admin:new",
        "Write the two files of the next migration, or of the first one; a folder that is missing is made.",
    ),
    "baseline": (
        "_migrate_admin:baseline",
        "Record an existing schema as migrated up to ID, when its fingerprint is the one MANIFEST keeps for it.",
    ),
    "lint": (
        "migrate_review:lint",
        (
            "Review migrations before anybody runs them: by their text (squawk), and by "
            "what they lock, rewrite, read and change on a throw-away server that is made for it."
        ),
    ),
    "unlock": ("_migrate_admin:unlock", "Show who holds the lock (exit code 4), and take a stale row of yoyo's own lock away."),
    "fingerprint": (
        "migrate_review:fingerprint",
        "Print the hash of the schema in use: the same on every PostgreSQL, and moved by every change of an object.",
    ),
}

app = typer.Typer(
    cls=listed("store.cli", _COMMANDS),
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Move the schema: plain .sql files, one transaction each, recorded in the schema store_migrations.\n\n"
    "Connects by STORE_MIGRATE_URL, else by DATABASE_URL. Exit codes: 0 done, 2 usage, folder or header, 3 pending, 4 a lock "
    "did not come, try later, 5 failed or interrupted, nothing of that file is stored, 6 a step outside a transaction failed, "
    "run again, 7 files and record disagree, 8 the schema drifted, 9 refused by a rule, 10 no database, or not a writable one.",
)
