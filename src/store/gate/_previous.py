"""
The release that runs, from where it is kept: a folder, a wheel or a commit. Only .sql files are taken out of it.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import tomllib
import zipfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from store.errors import MigrationFolderError
from store.migrate._headers import release

_FILE = re.compile(r"(?:repeatable/)?[^/\\]+\.sql")
_VERSION = re.compile(rb"^Version: *([^\r\n]+)", re.MULTILINE)
_WAYS = "give a tag or branch, a .whl file, or a folder"


class Layout(NamedTuple):
    """
    Where queries and migrations stand in a release, with slashes and without one at the end.
    """

    queries: str
    migrations: str


OWN = (Layout("sql/queries", "migrations"), Layout("store/sql/queries", "store/migrations"))
"""Of a checkout or the package's own folder, and of a wheel or what it was installed into."""


@dataclass(frozen=True, slots=True)
class Previous:
    """
    The files of a release, copied to where they can be read; `layout` is where they stood in it.
    """

    ref: str
    version: str | None
    layout: Layout
    queries: Path
    migrations: Path


@contextmanager
def previous(ref: str, queries: Path, migrations: Path, layouts: Sequence[Layout]) -> Generator[Previous]:
    """
    Lend the release that REF names: a folder or a wheel where there is one of that name, else a commit.

    The commit is looked for in the repository of these two folders, at the same paths. Raises MigrationFolderError for what is
    none of the three, or holds no queries or no migrations.
    """
    if not ref.isprintable() or ref.startswith("-") or not ref.strip():
        raise MigrationFolderError(f"--previous {ref!r} names no release: {_WAYS}")
    try:
        if Path(ref).is_dir():
            version, files = _of_folder(Path(ref), layouts)
        elif Path(ref).is_file() or ref.endswith(".whl"):
            version, files = _of_wheel(Path(ref))
        else:
            layouts, version, files = _of_commit(ref, queries, migrations)
    except OSError as error:
        raise MigrationFolderError(f"{ref} cannot be read: {error.strerror or error}") from None
    layout = next((each for each in layouts if all(_below(files, folder) for folder in each)), None)
    if layout is None:
        sought = " or ".join(f"{each.queries} and {each.migrations}" for each in layouts)
        raise MigrationFolderError(f"{ref} has no .sql files in {sought}")
    with tempfile.TemporaryDirectory(prefix="store-gate-") as home:
        places = [_written(_below(files, folder), Path(home) / name) for folder, name in zip(layout, "qm", strict=True)]
        yield Previous(ref, version, layout, *places)


def _below(files: Mapping[str, bytes], folder: str) -> dict[str, bytes]:
    # What a name of an archive may hold besides (`..`, a drive, a folder) is not in the pattern, and never written.
    found = {name.removeprefix(f"{folder}/"): text for name, text in files.items() if name.startswith(f"{folder}/")}
    return {name: text for name, text in found.items() if _FILE.fullmatch(name)}


def _written(files: Mapping[str, bytes], place: Path) -> Path:
    (place / "repeatable").mkdir(parents=True)
    for name, text in files.items():
        (place / name).write_bytes(text)
    return place


def _of_folder(root: Path, layouts: Sequence[Layout]) -> tuple[str | None, dict[str, bytes]]:
    folders = {folder for layout in layouts for folder in layout}
    paths = [path for folder in folders for where in (folder, f"{folder}/repeatable") for path in (root / where).glob("*.sql")]
    beside = [*root.glob("plainstore-*.dist-info/METADATA"), *root.parent.glob("plainstore-*.dist-info/METADATA")]
    version = _of_project(_bytes(root / "pyproject.toml")) or next((_of_metadata(_bytes(path)) for path in beside), None)
    return version, {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def _of_wheel(path: Path) -> tuple[str | None, dict[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            files = {name: archive.read(name) for name in names if name.endswith(".sql")}
            metadata = next((archive.read(name) for name in names if name.endswith(".dist-info/METADATA")), b"")
    except FileNotFoundError:
        raise MigrationFolderError(f"there is no wheel at {path}") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise MigrationFolderError(f"{path} is no wheel: {error}") from None
    return _of_metadata(metadata), files


def _of_metadata(text: bytes) -> str | None:
    found = _VERSION.search(text)
    return found[1].decode("utf-8", "replace").strip() if found else None


def _of_project(text: bytes) -> str | None:
    try:
        found = tomllib.loads(text.decode()).get("project", {}).get("version")
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError):
        return None
    return found if isinstance(found, str) else None


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


# --- git -------------------------------------------------------------------------------------------------------------


class _GitRefused(Exception):
    """
    What git said, on one line.
    """


def _of_commit(ref: str, queries: Path, migrations: Path) -> tuple[tuple[Layout], str | None, dict[str, bytes]]:
    at = migrations.resolve()
    try:
        top = Path(os.fsdecode(_git(at, "rev-parse", "--show-toplevel")).rstrip("\n")).resolve()
    except _GitRefused as error:
        message = f"{ref} is no folder and no wheel, and for a commit {migrations} is in no repository ({error}): {_WAYS}"
        raise MigrationFolderError(message) from None
    try:
        commit = _git(top, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}").decode().strip()
    except _GitRefused:
        message = f"{ref} is no folder, no wheel, and no commit of {top}: {_WAYS}; a shallow clone must fetch it first"
        raise MigrationFolderError(message) from None
    layout = Layout(*(_relative(each, top) for each in (queries, migrations)))
    above = [parent.as_posix() for parent in Path(layout.migrations).parents]
    projects = [f"{parent}/pyproject.toml".removeprefix("./") for parent in above]
    try:
        files = _blobs(top, commit, [*(f"{folder}/" for folder in layout), *projects])
    except _GitRefused as error:
        raise MigrationFolderError(f"{ref} cannot be read: {error}") from None
    version = next((found for name in projects if (found := _of_project(files.get(name, b"")))), None)
    tag = ref.rpartition("/")[2]
    return (layout,), version or (tag if release(tag) else None), files


def _relative(folder: Path, top: Path) -> str:
    found = folder.resolve()
    if not found.is_relative_to(top):
        raise MigrationFolderError(f"{folder} is not in the repository of the migrations, {top}: give a wheel or a folder")
    return found.relative_to(top).as_posix()


def _blobs(top: Path, commit: str, paths: Sequence[str]) -> dict[str, bytes]:
    # The blobs themselves: `git archive` would leave out, or rewrite, what .gitattributes says.
    listed = _git(top, "--literal-pathspecs", "ls-tree", "-r", "-z", "--full-tree", commit, "--", *paths)
    found: dict[str, str] = {}
    for entry in filter(None, listed.split(b"\0")):
        about, _, name = entry.partition(b"\t")
        _, kind, blob = about.decode().split()
        if kind == "blob":
            found[os.fsdecode(name)] = blob
    content = _git(top, "cat-file", "--batch", given="".join(f"{blob}\n" for blob in found.values()).encode())
    files: dict[str, bytes] = {}
    for path in found:
        head, _, content = content.partition(b"\n")
        if head.endswith(b" missing"):
            raise _GitRefused(f"{path} is not in this clone")
        size = int(head.split()[-1])
        files[path], content = content[:size], content[size + 1 :]
    return files


def _git(at: Path, *words: str, given: bytes = b"") -> bytes:
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(["git", "-C", str(at), *words], input=given, capture_output=True, check=False, env=environment)  # noqa: S607 (the user's own git)
    except FileNotFoundError:
        raise MigrationFolderError(f"a commit is read by git, which is not installed: {_WAYS}") from None
    if done.returncode:
        raise _GitRefused((os.fsdecode(done.stderr).strip() or "git refuses it").splitlines()[0].removeprefix("fatal: "))
    return done.stdout
