"""
Name every requirement of pyproject.toml that a lock misses or holds in a version it forbids.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent.parent


def main() -> int:
    """
    Print the faults and return the exit code.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    lint = extras.pop("lint")  # for whoever writes migrations, not for whoever runs them
    groups = project["dependency-groups"]
    run = project["project"]["dependencies"] + [item for group in extras.values() for item in group] + groups["build"]
    dev = run + lint + [item for item in groups["dev"] if isinstance(item, str)]
    own = canonicalize_name(project["project"]["name"])

    faults: list[str] = []
    shared: list[dict[str, str]] = []
    for name, wanted in (("run.txt", run), ("dev.txt", dev)):
        lock = pins(ROOT / "scripts" / "locks" / name)
        shared.append(lock)
        for requirement in map(Requirement, wanted):
            package = canonicalize_name(requirement.name)
            if package == own:
                continue
            if package not in lock:
                faults.append(f"{name}: misses {package}; run scripts/lock")
            elif not requirement.specifier.contains(lock[package], prereleases=True):
                faults.append(f"{name}: {package} {lock[package]} is not {requirement.specifier}; run scripts/lock")
    first, second = shared
    faults += [
        f"dev.txt: {name} {second.get(name)} is {pin} in run.txt; run scripts/lock"
        for name, pin in first.items()
        if second.get(name) != pin
    ]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def pins(path: Path) -> dict[str, str]:
    """
    Return what a lock holds: version by canonical name.
    """
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


if __name__ == "__main__":
    sys.exit(main())
