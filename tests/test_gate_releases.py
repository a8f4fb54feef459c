"""
Where the release that runs is kept: a folder, a wheel, a commit; and what of its migrations is pending here.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from store import gate
from store.errors import MigrationFolderError, MigrationHistoryError
from store.migrate import review
from tests.gate_project import BREAK, LAYOUT, Judge, gated, git, judge, repository, scratch, wheel, written

__all__ = ["judge", "repository", "scratch"]  # fixtures


def pending(ref: str, new: Path, layouts: Sequence[gate.Layout] = gate.OWN) -> tuple[str | None, list[str]]:
    """
    Return the version of a release and the ids it has not.
    """
    with gate.previous(ref, new / "sql/queries", new / "migrations", layouts) as running:
        return running.version, [each.id for each in gate.pending(running, new / "migrations")]


def test_repeatable_file_of_a_commit(repository: Path) -> None:
    """
    What the release has in the subfolder too is not pending, until it changes.
    """
    (repository / "migrations" / "repeatable").mkdir()
    (repository / "migrations" / "repeatable" / "views.sql").write_text("SELECT 1;", encoding="utf-8")
    git(repository, "add", "-A")
    git(repository, "commit", "--quiet", "-m", "two")

    assert pending("HEAD", repository) == ("1.8.0", [])

    (repository / "migrations" / "repeatable" / "views.sql").write_text("SELECT 2;", encoding="utf-8")

    assert pending("HEAD", repository) == ("1.8.0", ["repeatable/views"])


@pytest.mark.parametrize("ref", ["v1.8.0", "main", "HEAD", "HEAD~0", "refs/tags/v1.8.0"])
def test_commit_of_the_repository_of_the_migrations(repository: Path, ref: str) -> None:
    """
    Whatever the working directory, what is committed counts, and what git would leave out of an archive too.
    """
    assert pending(ref, repository) == ("1.8.0", ["0002_x"])


def test_tag_tells_the_version_where_the_project_does_not(repository: Path) -> None:
    git(repository, "rm", "--quiet", "pyproject.toml")
    git(repository, "commit", "--quiet", "-m", "two")
    git(repository, "tag", "release-next")
    git(repository, "tag", "rel/v1.9.2")

    assert pending("rel/v1.9.2", repository)[0] == "v1.9.2"
    assert pending("release-next", repository)[0] is None


def test_project_below_the_top_of_a_repository(tmp_path: Path) -> None:
    """
    The same paths are looked for in the commit, and the version in the nearest project above them.
    """
    root = written(tmp_path / "all" / "shop", version="2.0")
    git(tmp_path / "all", "init", "--quiet", "--initial-branch=main")
    git(tmp_path / "all", "add", "-A")
    git(tmp_path / "all", "commit", "--quiet", "-m", "one")
    (root / "migrations" / "0002_x.sql").write_text(BREAK, encoding="utf-8")
    (root / "migrations" / "0002_x.rollback.sql").write_text("SELECT 1;", encoding="utf-8")

    assert pending("main", root) == ("2.0", ["0002_x"])


def test_wheel(tmp_path: Path) -> None:
    new = written(tmp_path / "new", _0002=BREAK)
    path = wheel(tmp_path / "plainstore-1.7.0-py3-none-any.whl", written(tmp_path / "old"))

    assert pending(str(path), new) == ("1.7.0", ["0002_x"])


def test_wheel_writes_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A name that leads out of the folder is no file of a release.
    """
    new = written(tmp_path / "new", _0002=BREAK)
    outside = {"store/migrations/../../../0009_x.sql": "SELECT 1;", "store/migrations/repeatable/../../x.sql": "SELECT 1;"}
    path = wheel(tmp_path / "evil.whl", written(tmp_path / "old"), **outside)
    (home := tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(home))

    assert pending(str(path), new) == ("1.7.0", ["0002_x"])
    assert list(tmp_path.rglob("0009_x.sql")) == []


def test_installed_package(tmp_path: Path) -> None:
    """
    The folder of the package, and the one it was installed into.
    """
    new = written(tmp_path / "new", _0002=BREAK)
    with zipfile.ZipFile(wheel(tmp_path / "a.whl", written(tmp_path / "old"))) as archive:
        archive.extractall(tmp_path / "site-packages")

    assert pending(str(tmp_path / "site-packages" / "store"), new) == ("1.7.0", ["0002_x"])
    assert pending(str(tmp_path / "site-packages"), new) == ("1.7.0", ["0002_x"])


def test_folders_of_a_team(tmp_path: Path) -> None:
    """
    At the paths they have in the working tree; a wheel leaves `src` out.
    """
    old, new = written(tmp_path / "old"), written(tmp_path / "new", _0002=BREAK)
    (old / "app").mkdir()
    shutil.move(old / "sql", old / "app" / "sql")
    layouts = [gate.Layout("src/app/sql/queries", "migrations"), gate.Layout("app/sql/queries", "migrations")]

    assert pending(str(old), new, layouts) == (None, ["0002_x"])


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("v9.9.9", "no commit of"),
        ("a b\n", "names no release"),
        ("--output=/tmp/x", "names no release"),
        ("-n", "names no release"),
        ("", "names no release"),
        ("HEAD:migrations", "no commit of"),
        ("main..v1.8.0", "no commit of"),
        ("absent.whl", "there is no wheel at absent.whl"),
        ("file.txt", "is no wheel"),
        ("empty.whl", "has no .sql files in sql/queries and migrations or store/sql/queries and store/migrations"),
        ("empty", "has no .sql files in sql/queries and migrations"),
    ],
)
def test_what_names_no_release(repository: Path, ref: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    (repository / "empty").mkdir()
    (repository / "file.txt").write_text("text", encoding="utf-8")
    with zipfile.ZipFile(repository / "empty.whl", "w") as archive:
        archive.writestr("store/__init__.py", "")
    with pytest.raises(MigrationFolderError, match=words):
        pending(ref, repository)


def test_no_repository(tmp_path: Path) -> None:
    with pytest.raises(MigrationFolderError, match="v1 is no folder and no wheel, and for a commit .* is in no repository"):
        pending("v1", written(tmp_path / "new"))


def test_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MigrationFolderError, match="git, which is not installed"):
        pending("v1", written(tmp_path / "new"))


def test_release_that_does_not_apply(judge: Judge, tmp_path: Path, scratch: review.Scratch) -> None:
    old, new = (
        written(tmp_path / "old", _0002="SELECT absent;"),
        written(tmp_path / "new", _0002="SELECT absent;", _0003="SELECT 1;"),
    )
    with (
        pytest.raises(MigrationFolderError, match=r"the migrations of .*old do not apply: 0002_x.sql:1: "),
        gate.previous(str(old), new / "sql/queries", new / "migrations", LAYOUT) as running,
    ):
        gated(scratch, running, new)


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ({"_0002": "SELECT 1;"}, {"_0002": "SELECT 2;"}, "edited"),
        ({"_0002": "SELECT 1;"}, {"_0003": "SELECT 1;"}, "renamed"),
        ({"_0002": "SELECT 1;"}, {"_0003": "SELECT 2;"}, "missing"),
        ({"_0002": "SELECT 1;"}, {}, "newer-database"),
    ],
)
def test_history_that_differs_is_refused(tmp_path: Path, old: dict[str, str], new: dict[str, str], rule: str) -> None:
    """
    With the rule and the code of `up`, which would refuse it too.
    """
    here = written(tmp_path / "new", **new)
    with pytest.raises(MigrationHistoryError) as caught:
        pending(str(written(tmp_path / "old", **old)), here)

    assert [(each.rule, each.exit_code) for each in caught.value.refusals] == [(rule, 7)]
    assert "0002_x" in str(caught.value)
