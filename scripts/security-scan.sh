#!/usr/bin/env bash
# Looks for known vulnerabilities, secrets and open alerts; what could not run is never counted as passed.
set -uo pipefail
# shellcheck source=scripts/_setup.sh
. "$(dirname "$0")/_setup.sh"

case "${1:-}" in
    -h | --help)
        cat <<'HELP'
Usage: scripts/security-scan.sh [--require CHECK]...

  pip-audit        known vulnerabilities of every package in scripts/locks/dev.txt (the other lock is part of it)
  detect-secrets   secrets in the tree that .secrets.baseline does not know as false alarms
  gitleaks         secrets in the history, when gitleaks is installed
  code-scanning    open alerts on GitHub, when gh is installed and signed in

To accept a false alarm: .venv/bin/detect-secrets scan --baseline .secrets.baseline, and look at the diff.
Exit codes: 0 nothing found, 1 findings, 2 wrong arguments or the environment could not be made. A check that did not run is listed as not run
with its reason; it fails the scan only where --require names it (CI requires pip-audit and detect-secrets).
HELP
        exit 0
        ;;
esac

required=" "
while [ $# -gt 0 ]; do
    case "$1 ${2:-}" in
        "--require pip-audit" | "--require detect-secrets" | "--require gitleaks" | "--require code-scanning") required="$required$2 " ;;
        *) echo "security-scan: do not know $1 ${2:-}; see --help" >&2 && exit 2 ;;
    esac
    shift 2
done

setup dev || exit
cd "$root" || exit 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

table=""
findings=0
note() { table="$table$(printf '%-16s %s' "$1" "$2")"$'\n'; }
passed() { note "$1" passed; }
found() {
    note "$1" "FINDINGS: $2"
    findings=1
}
not_run() {
    note "$1" "not run: $2"
    case $required in *" $1 "*) findings=1 ;; esac
}

# pip-audit exits 0 when it asked nobody (behind a mirror) and 1 both for findings and for failures: its JSON says which.
audit_packages() {
    echo "== pip-audit"
    "$venv/bin/pip-audit" --strict --disable-pip --require-hashes --requirement scripts/locks/dev.txt --progress-spinner off \
        --format json --output "$work/audit.json" 2>"$work/audit.err"
    local status=$?
    if [ ! -s "$work/audit.json" ]; then
        tail -n 3 "$work/audit.err"
        not_run pip-audit "it ended with $status: $(tail -n 1 "$work/audit.err" | cut -c1-120)"
        return
    fi
    "$venv/bin/python" - "$work/audit.json" >"$work/audit.txt" <<'PYTHON'
import json, sys
packages = json.load(open(sys.argv[1], encoding="utf-8"))["dependencies"]
skipped = [p["name"] for p in packages if "skip_reason" in p]
holes = [(p["name"], p["version"], v["id"], ", ".join(v["fix_versions"]) or "none yet") for p in packages for v in p.get("vulns", [])]
print(len(packages) - len(skipped), len(skipped), len(holes))
for name, version, hole, fix in holes:
    print(f"{name} {version}: {hole}, mended in {fix}")
for name in skipped:
    print(f"{name}: not audited")
PYTHON
    local audited skipped holes
    read -r audited skipped holes <"$work/audit.txt"
    tail -n +2 "$work/audit.txt"
    if [ "$holes" -gt 0 ]; then
        found pip-audit "$holes in $audited packages"
    elif [ "$audited" = 0 ] || [ "$skipped" -gt 0 ]; then
        not_run pip-audit "$skipped of $((audited + skipped)) packages could not be looked up"
    elif [ "$status" != 0 ]; then
        not_run pip-audit "it ended with $status: $(tail -n 1 "$work/audit.err" | cut -c1-120)"
    else
        passed pip-audit
    fi
}

scan_tree() {
    echo "== detect-secrets"
    if ! git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        not_run detect-secrets "not a git checkout"
        return
    fi
    # On a copy, because the hook rewrites the baseline when a known false alarm has moved (and then ends with 3).
    cp .secrets.baseline "$work/baseline"
    git ls-files --cached --others --exclude-standard -z >"$work/files"
    local status=0
    "$venv/bin/python" - "$work/files" "$work/baseline" <<'PYTHON' || status=$?
import pathlib, sys
from detect_secrets.pre_commit_hook import main
files = [name for name in pathlib.Path(sys.argv[1]).read_text(encoding="utf-8").split("\0") if pathlib.Path(name).is_file()]
sys.exit(main(["--baseline", sys.argv[2], *(name for name in files if name != ".secrets.baseline")]))
PYTHON
    case $status in
        0 | 3) passed detect-secrets ;;
        1) found detect-secrets "see above" ;;
        *) not_run detect-secrets "it ended with $status" ;;
    esac
}

scan_history() {
    echo "== gitleaks"
    if ! command -v gitleaks >/dev/null; then
        not_run gitleaks "not installed"
    elif gitleaks git --no-banner --redact .; then
        passed gitleaks
    else
        found gitleaks "see above"
    fi
}

open_alerts() {
    echo "== code-scanning"
    if ! command -v gh >/dev/null; then
        not_run code-scanning "gh is not installed"
    elif ! gh auth status >/dev/null 2>&1; then
        not_run code-scanning "gh is not signed in (gh auth login)"
    elif ! gh api --paginate 'repos/{owner}/{repo}/code-scanning/alerts?state=open&per_page=100' \
        --jq '.[] | "\(.rule.id)  \(.most_recent_instance.location.path)  \(.html_url)"' >"$work/alerts" 2>"$work/alerts.err"; then
        not_run code-scanning "$(tail -n 1 "$work/alerts.err" | cut -c1-120)"
    elif [ -s "$work/alerts" ]; then
        cat "$work/alerts"
        found code-scanning "$(wc -l <"$work/alerts" | tr -d ' ') open"
    else
        passed code-scanning
    fi
}

audit_packages
scan_tree
scan_history
open_alerts
printf '\n%s' "$table"
exit "$findings"
