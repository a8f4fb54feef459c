"""
The throw-away server behind `store check --db`, `store grants` and `store migrate verify --scratch`.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from store import embedded
from store._throwaway import throwaway
from store.contract import database
from store.contract.project import own
from store.migrate import review

VERSION = int(os.environ.get("STORE_TEST_PG", "18"))


def _lent(by: str) -> AbstractContextManager[object]:
    return database.scratch(own().migrations, VERSION) if by == "contract" else review.scratch(VERSION)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server is another user, for whom a folder might be opened")
@pytest.mark.parametrize("by", ["contract", "migrate"])
def test_folder_of_the_user_stays_closed(by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A TMPDIR that only root may enter is that still while the server runs, and after.
    """
    tmp_path.chmod(0o700)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with _lent(by):
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    assert list(tmp_path.iterdir()) == []


def test_nothing_stays() -> None:
    """
    The directory and its server are gone after an error too.
    """
    seen: list[embedded.Server] = []
    with pytest.raises(ZeroDivisionError), throwaway(VERSION) as server:
        seen.append(server)
        raise ZeroDivisionError

    assert seen[0].version == VERSION
    assert not seen[0].directory.parent.exists()
    assert not embedded.status(seen[0].directory).running
