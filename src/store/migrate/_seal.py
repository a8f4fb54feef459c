"""
The seal of a plan: one hash of the files and one of the database, so that a refusal can say which of the two has moved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from store.errors import Refusal
from store.migrate._folder import Folder
from store.migrate._session import Session

_HALF = 32


def seal(session: Session, folder: Folder, to: str | None) -> str:
    """
    Return the hash of a plan: 32 digits for the files and their order, 32 for what the database holds.
    """
    files: list[Any] = [to]
    files += [[each.id, each.up.sha256, each.down.sha256 if each.down else None] for each in folder.migrations]
    files += [[each.id, each.up.sha256] for each in folder.repeatables]
    recorded = session.ledger.recorded()
    database = [
        [name for name, _ in session.backend.applied()],
        [[each.id, recorded[each.id].sha256] for each in folder.repeatables if each.id in recorded],
        str(session.fingerprint()),
        session.connection.info.server_version // 10000,
        session.options.state_schema,
    ]
    return _hash(files) + _hash(database)


def check_seal(session: Session, folder: Folder, sealed: str, to: str | None) -> Iterator[Refusal]:
    """
    Yield what has changed since the plan was sealed.
    """
    found = seal(session, folder, to)
    if len(sealed) != len(found):
        yield Refusal("plan-hash", 2, "--plan takes the hash that `store migrate plan` printed: 64 digits")
    elif found[:_HALF] != sealed[:_HALF]:
        yield Refusal("plan-files", 7, "the files or their order are not those of the plan: make a new one")
    elif found != sealed:
        yield Refusal("plan-database", 8, "the database is not what it was when the plan was made: make a new one")


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:_HALF]
