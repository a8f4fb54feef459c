"""
`-- store: contract-after:`: which breaks a migration may cause, once the release that runs is newer than that.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from store import gate
from store.errors import MigrationFolderError
from store.migrate._headers import release as number_of
from tests.gate_project import BREAK, LAYOUT, NOTES, Judge, judge, scratch, written

__all__ = ["judge", "scratch"]  # fixtures

WITHOUT = NOTES.replace("SELECT url, body", "SELECT body")


@pytest.mark.parametrize(
    ("header", "version", "severity", "words"),
    [
        ("", "1.9.0", "error", "`-- store: contract-after: 1.9.0`"),
        ("", None, "error", "`-- store: contract-after: VERSION`; to have the version of "),
        ("", "nightly", "error", "old named, give a tag like v1.8.0, a wheel, or a folder with its pyproject.toml"),
        ("1.8.0", "1.9.0", "warning", "allowed by `contract-after: 1.8.0`, as 1.9.0 is newer"),
        ("1.8.0", "1.8.0", "error", "waits for a release newer than 1.8.0, and 1.8.0 runs"),
        ("1.8.0", "1.7.3", "error", "waits for a release newer than 1.8.0, and 1.7.3 runs"),
        ("1.8.0", "1.10.0", "warning", "allowed"),
        ("1.8.0", None, "error", "cannot be told: give a tag like v1.8.0"),
    ],
)
def test_break_is_allowed_after_a_release(judge: Judge, header: str, version: str | None, severity: str, words: str) -> None:
    """
    The header names the last release that needs what the file takes away.
    """
    head = f"-- store: contract-after: {header}\n" if header else ""
    made = judge(WITHOUT, version=version, _0002=head + BREAK)
    (found,) = made.verdicts

    assert (found.rule, found.severity) == ("query-refused", severity)
    assert words in found.mend


def test_header_allows_no_break_of_the_new_release(judge: Judge) -> None:
    """
    What the release that runs never calls may break; the one that comes must not have it any more.
    """
    made = judge(NOTES, version="1.9.0", _0002=f"-- store: contract-after: 1.8.0\n{BREAK}")

    assert [(each.severity, each.message.partition(":")[0]) for each in made.verdicts] == [
        ("error", "notes.list_links of this release"),
        ("warning", f"notes.list_links of {made.verdicts[1].message.split(' of ')[1].partition(':')[0]}"),
    ]


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.8.0", "1.9.0"),
        ("1.9.0", "1.10"),
        ("1.9.0rc1", "1.9.0"),
        ("v1.8", "1.8.1"),
        ("1.8.0.dev3", "1.8"),
        ("1.8.0", "1.8.0.1"),
    ],
)
def test_releases_are_ordered(older: str, newer: str) -> None:
    before, after = number_of(older), number_of(newer)

    assert before is not None
    assert after is not None
    assert before < after


def test_same_release_in_other_words() -> None:
    assert number_of("v1.8") == number_of("1.8.0") == number_of("1.8.0+build.7")
    assert number_of("main") is None


def test_header_that_names_no_release_is_refused(tmp_path: Path) -> None:
    new = written(tmp_path / "new", _0002=f"-- store: contract-after: soon\n{BREAK}")
    with (
        pytest.raises(MigrationFolderError, match="`-- store: contract-after:` is a release, like 1.8.0"),
        gate.previous(str(written(tmp_path / "old")), new, new, LAYOUT) as running,
    ):
        gate.pending(running, new / "migrations")
