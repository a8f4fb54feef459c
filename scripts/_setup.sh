# shellcheck shell=bash
# Sourced by quickstart, test and check: makes .venv and installs a lock into it, only when something changed.
# Defines root (the checkout), venv, and setup.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv

# setup run|dev: have .venv hold that lock and this checkout. Returns 2 with advice when Python cannot make one.
# A .venv that holds the development lock keeps it: it is a superset of the other.
setup() {
    local lock=$1 stamp=$venv/.store-lock wanted
    [ "$lock" = run ] && [ -f "$stamp" ] && grep -q '^dev ' "$stamp" && lock=dev
    make_venv || return
    wanted="$lock $(fingerprint "$lock")" || return
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return 0

    echo "Installing scripts/locks/$lock.txt into .venv (by version and hash) ..." >&2
    rm -f "$stamp"
    "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check \
        --require-hashes --requirement "$root/scripts/locks/$lock.txt" || return 1
    "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check \
        --no-deps --no-build-isolation --editable "$root" || return 1
    echo "$wanted" >"$stamp"
}

make_venv() {
    if "$venv/bin/python" -c 'import pip' 2>/dev/null; then
        return 0
    fi
    local python
    python=$(find_python) || return 2
    echo "Making .venv with $("$python" --version) ..." >&2
    "$python" -m venv --clear "$venv"
}

# The newest Python that can make an environment; otherwise the one command that helps.
find_python() {
    local candidate broken=""
    for candidate in python3.14 python3.13 python3.12 python3.11 python3; do
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$candidate"
            return 0
        fi
        [ -n "$broken" ] || broken=$candidate
    done
    if [ -n "$broken" ]; then
        echo "$broken cannot make virtual environments (no ensurepip). This helps, then run the same command again:" >&2
        echo "    sudo apt-get install -y $("$broken" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" >&2
    elif [ "$(uname -s)" = Darwin ]; then
        echo "Python 3.11 or newer is needed. This helps, then run the same command again:" >&2
        echo "    brew install python@3.13" >&2
    else
        echo "Python 3.11 or newer is needed. This helps on Debian and Ubuntu, then run the same command again:" >&2
        echo "    sudo apt-get install -y python3 python3-venv" >&2
    fi
    return 2
}

# What the environment is made from: the lock, pyproject.toml and where the checkout lies.
fingerprint() {
    "$venv/bin/python" - "$root" "$root/scripts/locks/$1.txt" "$root/pyproject.toml" <<'PYTHON'
import hashlib, pathlib, sys
digest = hashlib.sha256(sys.argv[1].encode())
for path in sys.argv[2:]:
    digest.update(pathlib.Path(path).read_bytes())
print(digest.hexdigest())
PYTHON
}
