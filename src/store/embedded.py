"""
The PostgreSQL that comes from PyPI: for trying the store and for its tests, never for production.

The package brings the binaries; creating, starting and stopping is done here, so that an interrupted start leaves nothing
half made, the locale is always the same and a killed server comes back. A server listens on a Unix socket only, trusts whoever
can reach it, and keeps running when the process that started it ends.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from store import _pgbin
from store.errors import SettingsError, Unavailable

DEFAULT_VERSION = 18
_MARK = "plainstore.embedded"
_SOCKET_PATH_MAX = 103  # sun_path holds 104 bytes on macOS, 108 on Linux, with the closing zero
_START_SECONDS = 60
_DYING_SECONDS = 5  # a killed server that answers no more is still a process for a moment
_STOP_SECONDS = 10  # after the 60 of pg_ctl
_PASSING = ("starting up", "not yet accepting", "shutting down", "in recovery mode")
_UNSPEAKABLE = frozenset('"$`\\\n')  # pg_ctl puts the path between double quotes of a shell command


@dataclass(frozen=True, slots=True)
class EmbeddedAddress:
    """
    What `embedded:DIR[?version=N]` names.
    """

    directory: Path
    version: int | None


@dataclass(frozen=True, slots=True)
class Server:
    """
    A running embedded server.
    """

    directory: Path
    version: int
    pid: int
    socket_dir: Path
    bin_path: Path

    def dsn(self, database: str = "store") -> str:
        """
        Return libpq keywords that connect to this database as the superuser.
        """
        return make_conninfo(host=str(self.socket_dir), port=5432, user="postgres", dbname=database)

    def url(self, database: str = "store") -> str:
        """
        Return the same as a URL.
        """
        return f"postgresql://postgres@/{quote(database, safe='')}?host={quote(str(self.socket_dir), safe='')}&port=5432"


@dataclass(frozen=True, slots=True)
class Status:
    """
    What is in a directory: no data (version is None), a stopped server, or a running one; `refusal` is why that one takes no
    connection, or None.
    """

    directory: Path
    version: int | None
    server: Server | None
    refusal: str | None = None

    @property
    def running(self) -> bool:
        """
        True while the process of the server lives, whether it takes connections or not.
        """
        return self.server is not None


def parse_url(url: str, base: Path) -> EmbeddedAddress:
    """
    Return the directory and version of an `embedded:` URL; a relative directory is relative to `base`.

    Raises SettingsError for another scheme, an empty directory or an option that does not exist.
    """
    scheme, _, rest = url.partition(":")
    name, _, query = rest.partition("?")
    if scheme != "embedded" or not name or name.startswith("//"):
        raise SettingsError("an embedded server is written embedded:DIRECTORY or embedded:DIRECTORY?version=16")
    options = dict(parse_qsl(query, keep_blank_values=True))
    version = options.pop("version", None)
    if options:
        raise SettingsError(f"embedded: knows the option version only, not {', '.join(sorted(options))}")
    if version is not None and not (version.isascii() and version.isdigit()):
        raise SettingsError("embedded: version must be a whole number, like version=16")
    directory = base / Path(unquote(name)).expanduser()
    return EmbeddedAddress(directory, None if version is None else int(version))


def default_directory(checkout: Path) -> Path:
    """
    Return where quickstart keeps its data: `.data/pg` in the checkout.

    For root it is a folder of the checkout's own under /var/tmp: the server runs as a user without rights, and every folder
    above its data has to let that user through.
    """
    if os.geteuid() != 0:
        return checkout / ".data" / "pg"
    return Path("/var/tmp") / f"plainstore-{_digest(checkout.resolve())}" / "pg"  # noqa: S108 (named after the checkout)


def start(directory: Path, version: int | None = None) -> Server:
    """
    Return the running server of this directory: created, started, and given a database `store`, where that is still to be done.

    Raises SettingsError for a version other than the data's and for a directory that cannot be used, MissingExtra without the
    package, Unavailable when PostgreSQL does not start (with the last lines of its log), or runs and refuses connections.
    """
    directory = _absolute(directory)
    with _locked(directory) as lock:
        found = _data_version(directory)
        if found is not None and version not in (None, found):
            raise SettingsError(f"{directory} holds data of PostgreSQL {found}, and version {version} was asked for")
        binaries = _pgbin.binaries(found or version or DEFAULT_VERSION)
        if found is None:
            _create(directory, binaries, lock)
        server = _answering(directory, binaries) or _start(directory, binaries)
        _create_database(server)
    return server


def status(directory: Path) -> Status:
    """
    Return what is in this directory, without changing anything.
    """
    directory = _absolute(directory)
    version = _data_version(directory)
    return Status(directory, None, None) if version is None else _look(directory, _pgbin.binaries(version))


def stop(directory: Path) -> bool:
    """
    Stop the server of this directory, also one that refuses connections; return whether it was running.

    Raises Unavailable when it does not stop.
    """
    directory = _absolute(directory)
    version = _data_version(directory)
    if version is None:
        return False
    with _locked(directory):
        return _stop(directory, _pgbin.binaries(version))


def remove(directory: Path) -> None:
    """
    Stop the server of this directory and delete its data.

    Raises SettingsError unless `start` created the directory: nobody else's cluster, and no other folder, is ever deleted.
    Raises Unavailable when the server does not stop: nothing is deleted while its process lives.
    """
    directory = _absolute(directory)
    version = _data_version(directory)
    if version is None:
        raise SettingsError(f"{directory} is not a PostgreSQL data directory: nothing was deleted")
    if not (directory / _MARK).is_file():
        raise SettingsError(f"the data in {directory} was not created by this program: nothing was deleted")
    with _locked(directory):
        _stop(directory, _pgbin.binaries(version))
        shutil.rmtree(directory)
        shutil.rmtree(_short_socket_dir(directory), ignore_errors=True)


# --- one at a time ---------------------------------------------------------------------------------------------------


@contextmanager
def _locked(directory: Path) -> Generator[int]:
    # The folder above is locked: it exists before the data does, and no lock file is left behind.
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(directory.parent, os.O_RDONLY)
    except OSError as error:
        raise _unusable(directory, error) from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(folder)


def _absolute(directory: Path) -> Path:
    directory = directory.expanduser().resolve()
    if set(str(directory)) & _UNSPEAKABLE:
        raise SettingsError(f"pg_ctl cannot handle the characters {' '.join(sorted(_UNSPEAKABLE))!r} in {str(directory)!r}")
    return directory


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def _unusable(directory: Path, error: OSError) -> SettingsError:
    return SettingsError(f"{directory} cannot be used: {os.strerror(error.errno or errno.EIO)}")


def _data_version(directory: Path) -> int | None:
    try:
        if not (directory / "global" / "pg_control").exists():
            return None
        return int((directory / "PG_VERSION").read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{directory} cannot be read as a PostgreSQL data directory") from error


# --- create and start ------------------------------------------------------------------------------------------------


def _create(directory: Path, binaries: _pgbin.Binaries, lock: int) -> None:
    # Made beside its place and renamed: whatever interrupts this, the directory holds all or nothing.
    prefix = f".{directory.name}.initdb-"
    try:
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise SettingsError(f"{directory} exists and is not a PostgreSQL data directory: choose another, or empty it")
        for leftover in directory.parent.glob(f".{_glob_safe(directory.name)}.initdb-*"):
            shutil.rmtree(leftover)
        draft = Path(tempfile.mkdtemp(prefix=prefix, dir=directory.parent))
    except OSError as error:
        raise _unusable(directory, error) from error
    try:
        binaries.give(draft)
        options = ("--auth=trust", "--encoding=UTF8", f"--locale={_pgbin.LOCALE}", "--username=postgres")
        done = binaries.run("initdb", *options, "-D", str(draft), owner=draft, lock=lock)
        if done.code != 0:
            raise Unavailable(f"initdb could not create {directory}:\n{done.tail}")
        (draft / _MARK).write_text("Created by `store`; `store embedded remove` deletes it.\n", encoding="utf-8")
        draft.rename(directory)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _glob_safe(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _start(directory: Path, binaries: _pgbin.Binaries) -> Server:
    _forget_stale_pid(directory)
    socket_dir = _socket_dir(directory, binaries)
    options = f"-p 5432 -c listen_addresses='' -k {shlex.quote(str(socket_dir))}"
    log = directory / "log"
    command = ("start", "-D", str(directory), "-l", str(log), "-o", options, "-w", "-t", str(_START_SECONDS))
    said = ""
    for _ in range(5):
        said = binaries.run("pg_ctl", *command, owner=directory).tail
        server = _answering(directory, binaries)
        if server is not None:
            return server
        # The processes of a killed server need a moment to notice; until then its shared memory is in use.
        time.sleep(1)
    raise Unavailable(f"PostgreSQL in {directory} did not start:\n{_pgbin.log_tail(log) or said}")


def _socket_dir(directory: Path, binaries: _pgbin.Binaries) -> Path:
    # A comma would make two hosts of it for libpq, and two folders for the server.
    if len(os.fsencode(directory / ".s.PGSQL.5432")) <= _SOCKET_PATH_MAX and "," not in str(directory):
        return directory
    short = _short_socket_dir(directory)
    short.mkdir(mode=0o700, exist_ok=True)
    if short.is_symlink() or short.stat().st_uid not in (os.geteuid(), directory.stat().st_uid):
        raise SettingsError(f"{short}, needed for the socket of {directory}, belongs to somebody else")
    binaries.give(short)
    return short


def _short_socket_dir(directory: Path) -> Path:
    return Path(tempfile.gettempdir()) / f"plainstore-{_digest(directory)}"


def _create_database(server: Server) -> None:
    with _connect(server) as connection:
        if connection.execute("SELECT FROM pg_catalog.pg_database WHERE datname = 'store'").fetchone() is None:
            connection.execute("CREATE DATABASE store")


# --- is it running? --------------------------------------------------------------------------------------------------


def _look(directory: Path, binaries: _pgbin.Binaries) -> Status:
    # The process decides, not its answer: a server whose connections are all taken still writes to its data.
    begin = time.monotonic()
    while (found := _alive(directory)) is not None:
        pid, socket_dir = found
        server = Server(directory, binaries.version, pid, socket_dir or directory, binaries.path)
        try:
            with _connect(server):
                return Status(directory, binaries.version, server)
        except psycopg.OperationalError as error:
            _, word, refusal = str(error).rpartition("FATAL:")
        passing = socket_dir is None or any(words in refusal for words in _PASSING)
        patience = _START_SECONDS if passing else 0 if word else _DYING_SECONDS
        if time.monotonic() - begin >= patience:
            return Status(directory, binaries.version, server, " ".join(refusal.split()))
        time.sleep(0.1)
    return Status(directory, binaries.version, None)


def _answering(directory: Path, binaries: _pgbin.Binaries) -> Server | None:
    found = _look(directory, binaries)
    if found.server is not None and found.refusal is not None:
        raise Unavailable(
            f"PostgreSQL in {directory} runs (process {found.server.pid}) and refuses connections: {found.refusal}; "
            f"close what is connected, or stop it: store embedded stop {shlex.quote(str(directory))}"
        )
    return found.server


def _stop(directory: Path, binaries: _pgbin.Binaries) -> bool:
    found = _alive(directory)
    if found is None:
        return False
    done = binaries.run("pg_ctl", "stop", "-D", str(directory), "-m", "fast", "-w", owner=directory)
    deadline = time.monotonic() + _STOP_SECONDS
    while _pgbin.serves(found[0], directory):  # its pid file goes a moment before it does
        if done.code != 0 or time.monotonic() > deadline:
            raise Unavailable(f"PostgreSQL in {directory} (process {found[0]}) did not stop:\n{done.tail}")
        time.sleep(0.01)
    return True


def _connect(server: Server) -> psycopg.Connection[TupleRow]:
    # PGOPTIONS is meant for the caller's own connections.
    return psycopg.connect(server.dsn("postgres"), autocommit=True, connect_timeout=5, options="")


def _alive(directory: Path) -> tuple[int, Path | None] | None:
    # A pid file survives a crash, and its number may be another program's by now.
    found = _read_pid_file(directory)
    return found if found is not None and _pgbin.serves(found[0], directory) else None


def _read_pid_file(directory: Path) -> tuple[int, Path | None] | None:
    try:
        lines = (directory / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        pid = abs(int(lines[0]))  # negative of a server in single-user mode
    except (FileNotFoundError, IndexError, ValueError):
        return None
    except PermissionError as error:
        raise _unusable(directory, error) from error
    # The server writes the file line by line while it comes up.
    return pid, Path(lines[4]) if len(lines) > 4 and lines[4] else None


def _forget_stale_pid(directory: Path) -> None:
    # PostgreSQL refuses to start while the number in a crashed server's pid file belongs to any process of the same user.
    if _alive(directory) is None:
        (directory / "postmaster.pid").unlink(missing_ok=True)
