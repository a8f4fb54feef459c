"""
Migrations: plain .sql files, their state in the schema store_migrations, in the format of yoyo.

Whoever stops using this runner goes on with plain yoyo: files and state tables are its own.
"""

from store.migrate._admin import Created, baseline, new, unlock
from store.migrate._connect import connector
from store.migrate._folder import forward
from store.migrate._plan import Plan, plan
from store.migrate._report import Options, Report, Step
from store.migrate._runner import MigrationStatus, down, pending, redo, status, up
from store.migrate._session import Connect

__all__ = [
    "Connect",
    "Created",
    "MigrationStatus",
    "Options",
    "Plan",
    "Report",
    "Step",
    "baseline",
    "connector",
    "down",
    "forward",
    "new",
    "pending",
    "plan",
    "redo",
    "status",
    "unlock",
    "up",
]
