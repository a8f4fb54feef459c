"""
Whatever ends a run, the next one converges without a person: nothing twice, nothing unrecorded, no orphan, no lock.

Each fault hits each kind of file in its middle. The long form runs the same over plain yoyo and compares the table in
docs/migrations.md with what it saw (STORE_TEST_WRITE=1 writes it).
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from store import embedded
from tests.migrate_faults import FILES, PATIENT, Stage
from tests.waiting import until

DOCS = Path(__file__).resolve().parents[1] / "docs" / "migrations.md"
KINDS = tuple(kind for kind in FILES if kind != "down")
_numbers = itertools.count(1)

Codes = list[int]


@pytest.fixture(scope="module")
def own_server(server_directory: Path) -> Iterator[embedded.Server]:
    """
    A server that may be killed.
    """
    directory = server_directory / "killed"
    started = embedded.start(directory, int(os.environ.get("STORE_TEST_PG", "18")))
    yield started
    embedded.remove(directory)


@pytest.fixture
def stage(own_server: embedded.Server, tmp_path: Path) -> Callable[..., Stage]:
    def make(kind: str, *, stock: bool = False) -> Stage:
        made = Stage(own_server, f"store_test_kill_{next(_numbers)}", tmp_path / f"m{next(_numbers)}", kind, stock)
        made.prepare()
        return made

    return make


# --- the faults: each returns the exit codes of the runs it hit ------------------------------------------------------


def _signalled(number: signal.Signals) -> Callable[[Stage], Codes]:
    def hit(stage: Stage) -> Codes:
        process = stage.start(*PATIENT)
        stage.wait_until_braked(process)
        process.send_signal(number)
        process.communicate(timeout=60)
        if not stage.stock:
            until(lambda: not stage.backends(), "the server to end what its runner left")
        stage.release()
        return [process.returncode]

    return hit


def _server_killed(stage: Stage) -> Codes:
    process = stage.start(*PATIENT)
    stage.wait_until_braked(process)
    data = stage.server.directory
    pid = int((data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
    os.kill(pid, signal.SIGQUIT)  # what pg_ctl stop -m immediate sends
    process.communicate(timeout=60)
    while _is_alive(pid):
        time.sleep(0.02)
    if stage.writer is not None:
        stage.writer.close()
        stage.writer = None
    embedded.start(data)
    stage.release()
    return [process.returncode]


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _backend_killed(stage: Stage) -> Codes:
    """
    The kernel takes one process of the server (out of memory): the server ends all others and recovers.
    """
    process = stage.start(*PATIENT)
    stage.wait_until_braked(process)
    pid, *_ = stage.backends()
    os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=60)
    if stage.writer is not None:
        stage.writer.close()
        stage.writer = None

    def is_back() -> bool:
        try:
            stage.release()
        except psycopg.OperationalError:
            return False
        return True

    until(is_back, "the server to have recovered")
    return [process.returncode]


def _connection_cut(stage: Stage) -> Codes:
    process = stage.start(*PATIENT)
    stage.wait_until_braked(process)
    for pid in stage.backends():
        stage.query(f"SELECT pg_terminate_backend({pid}, 5000)")
    process.communicate(timeout=60)
    stage.release()
    return [process.returncode]


def _together(count: int) -> Callable[[Stage], Codes]:
    def hit(stage: Stage) -> Codes:
        runners = [stage.start(*PATIENT) for _ in range(count)]
        stage.wait_until_braked(*runners)
        time.sleep(0.5)
        stage.release()
        for each in runners:
            each.communicate(timeout=120)
        return [each.returncode for each in runners]

    return hit


NAMELESS = """
import getpass, runpy, sys
def nameless():
    raise KeyError("getpwuid(): uid not found: 12345")
getpass.getuser = nameless
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""


def _without_a_name(stage: Stage) -> Codes:
    # As in a container whose number has no entry in /etc/passwd; a real number wants every folder above to let it in.
    stage.release()
    process = stage.start(*PATIENT, script=NAMELESS.format(module="yoyo" if stage.stock else "store"))
    process.communicate(timeout=60)
    return [process.returncode]


def _with(setting: str, value: str, wait: float, options: tuple[str, ...] = PATIENT) -> Callable[[Stage], Codes]:
    def hit(stage: Stage) -> Codes:
        with psycopg.connect(stage.server.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {stage.database} SET {setting} = '{value}'".encode())
        process = stage.start(*options)
        timer = threading.Timer(wait, stage.release)
        timer.start()
        process.communicate(timeout=120)
        timer.join()
        with psycopg.connect(stage.server.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {stage.database} RESET ALL".encode())
        return [process.returncode]

    return hit


def _lock_taken(stage: Stage) -> Codes:
    """
    Somebody has the table in a transaction that stays open for a while.
    """
    stage.release()
    with psycopg.connect(stage.server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {stage.database} SET lock_timeout = '500ms'".encode())
    with psycopg.connect(stage.dsn) as holder:
        holder.execute("LOCK TABLE t.a IN ACCESS EXCLUSIVE MODE")
        process = stage.start(*PATIENT, "--lock-timeout", "500ms")
        timer = threading.Timer(4, holder.rollback)
        timer.start()
        process.communicate(timeout=120)
        timer.join()
    with psycopg.connect(stage.server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {stage.database} RESET ALL".encode())
    return [process.returncode]


FAULTS: dict[str, Callable[[Stage], Codes]] = {
    "SIGTERM": _signalled(signal.SIGTERM),
    "SIGINT": _signalled(signal.SIGINT),
    "SIGKILL": _signalled(signal.SIGKILL),
    "server killed": _server_killed,
    "backend killed": _backend_killed,
    "connection cut": _connection_cut,
    "two runners": _together(2),
    "three runners": _together(3),
    "user without a name": _without_a_name,
    "idle timeout": _with("idle_session_timeout", "1s", 5),
    "lock taken": _lock_taken,
    "statement timeout": _with("statement_timeout", "1s", 5, ("--statement-timeout", "1s", "--long-timeout", "1s")),
}
# What the run that was hit ends with; outside a transaction 6 stands for 5.
EXPECTED = {
    "SIGTERM": [5],
    "SIGINT": [5],
    "SIGKILL": [-9],
    "server killed": [5],
    "backend killed": [5],
    "connection cut": [5],
    "two runners": [0, 0],
    "three runners": [0, 0, 0],
    "user without a name": [0],
    "idle timeout": [0],
    "lock taken": [0],
    "statement timeout": [5],
}
SMALL = [
    ("SIGTERM", "concurrent index"),
    ("SIGKILL", "transactional"),
    ("two runners", "transactional"),
    ("server killed", "transactional"),
    ("SIGKILL", "down"),
]


def converges(stage: Stage, fault: str) -> None:
    codes = FAULTS[fault](stage)
    outside = stage.kind in ("concurrent index", "batch")
    expected = [6 if outside and code == 5 else code for code in EXPECTED[fault]]
    again = stage.run(*PATIENT)

    assert expected == codes
    assert (0, []) == (again.returncode, stage.what_is_wrong()), again.stdout + again.stderr


@pytest.mark.parametrize(("fault", "kind"), SMALL)
def test_the_next_run_converges(stage: Callable[..., Stage], fault: str, kind: str) -> None:
    converges(stage(kind), fault)


# A number that no entry of /etc/passwd has, really: as in many containers. It may read everything, for Python and the
# socket of the server may be in places of root's own.
UID = "12345"
_CAN = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
AS_NOBODY = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", *_CAN)


def _cannot_be_nameless() -> str | None:
    if os.geteuid() != 0:
        return "only root can become a user without an entry in /etc/passwd"
    if shutil.which("setpriv") is None:
        return "setpriv (util-linux) is not installed"
    if subprocess.run([*AS_NOBODY, "true"], check=False, capture_output=True).returncode:
        return "this root may not give a process its capabilities"
    return None


@pytest.mark.skipif(_cannot_be_nameless() is not None, reason=str(_cannot_be_nameless()))
@pytest.mark.parametrize("kind", [KINDS[0], *(pytest.param(kind, marks=pytest.mark.long) for kind in KINDS[1:])])
def test_a_number_without_a_name_applies(stage: Callable[..., Stage], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Recorded under its number, in yoyo's log and in the ledger.
    """
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    made = stage(kind)
    made.release()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:  # pytest's own folders are for their owner alone
        Path(name).chmod(0o755)
        made.folder = Path(shutil.copytree(made.folder, Path(name) / "migrations"))
        process = made.start(*PATIENT, prefix=AS_NOBODY)
        output, errors = process.communicate(timeout=60)

    assert (0, []) == (process.returncode, made.what_is_wrong()), output + errors
    assert {(UID,)} == set(
        made.query("SELECT actor FROM store_migrations.store_migration WHERE migration_id <> '0001_base'")
        + made.query("SELECT username FROM store_migrations._yoyo_log WHERE migration_id = '0002_more'")
    )


# --- the whole matrix, and plain yoyo beside it ----------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_next_run_converges_always(stage: Callable[..., Stage], fault: str, kind: str) -> None:
    converges(stage(kind), fault)


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_the_published_table_is_what_happens(stage: Callable[..., Stage], fault: str) -> None:
    """
    Ours and plain yoyo, this fault on every kind of file, as docs/migrations.md says it.
    """
    rows = ""
    for kind in KINDS:
        ours = outcome(stage(kind), fault)
        theirs = "not offered" if kind == "batch" else outcome(stage(kind, stock=True), fault)
        rows += f"| {fault} | {kind} | {ours} | {theirs} |\n"
    text = DOCS.read_text(encoding="utf-8")
    if os.environ.get("STORE_TEST_WRITE"):
        kept = re.sub(rf"^\| {fault} \|.*\n", "", text, flags=re.MULTILINE)
        text = kept.replace("<!-- end -->", rows + "<!-- end -->")
        DOCS.write_text(text, encoding="utf-8")

    assert rows in text


def outcome(stage: Stage, fault: str) -> str:
    """
    Return what a person finds after the next run.
    """
    FAULTS[fault](stage)
    again: subprocess.CompletedProcess[str] = stage.run(*([] if stage.stock else PATIENT))
    wrong = stage.what_is_wrong()
    if again.returncode == 0 and not wrong:
        return "converged"
    words = re.findall(r"(LockTimeout|Duplicate\w+|already exists|\w+Error)", again.stderr)
    failed = f"next run fails ({words[-1]})" if words else "next run fails"
    return ", ".join(([failed] if again.returncode else []) + wrong)
