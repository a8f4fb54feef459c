#!/usr/bin/env bash
# Pushes this branch and opens its pull request.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    cat <<'HELP'
Usage: scripts/open-pr.sh TITLE [-l LABEL]... [-b FILE] [-B BASE] [-d]

Pushes the current branch and opens a pull request with gh.

  TITLE             its title, for example "fix: refuse a quantity of zero"
  -l, --label L     a label; may be given more than once
  -b, --body FILE   its text; without it the template of .github/PULL_REQUEST_TEMPLATE.md, to be filled in on GitHub
  -B, --base B      the branch to merge into (default: main)
  -d, --draft       open it as a draft
  -h, --help        this text

Refused on the base branch and with uncommitted changes. Exit codes: 0 opened, 1 refused or failed, 2 wrong arguments.
HELP
}
refuse() {
    echo "open-pr: $1" >&2
    exit "${2:-1}"
}

title="" body=.github/PULL_REQUEST_TEMPLATE.md base=main
options=()
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage && exit 0 ;;
        -d | --draft) options+=(--draft) ;;
        -l | --label | -b | --body | -B | --base)
            [ $# -ge 2 ] || refuse "$1 needs a value; see --help" 2
            case $1 in
                -l | --label) options+=(--label "$2") ;;
                -b | --body) body=$2 ;;
                *) base=$2 ;;
            esac
            shift
            ;;
        -*) refuse "unknown option $1; see --help" 2 ;;
        *)
            [ -z "$title" ] || refuse "one title, please: put it in quotes" 2
            title=$1
            ;;
    esac
    shift
done
[ -n "$title" ] || refuse "a title is missing; see --help" 2
[ -f "$body" ] || refuse "there is no file $body" 2

branch=$(git symbolic-ref --quiet --short HEAD) || refuse "no branch is checked out; git switch -c NAME first"
[ "$branch" != "$base" ] || refuse "this is $base itself; git switch -c NAME first"
[ -z "$(git status --porcelain)" ] || refuse "there are uncommitted changes; commit or stash them first"
git remote get-url origin >/dev/null 2>&1 || refuse "there is no remote called origin"
command -v gh >/dev/null || refuse "gh is not installed: https://cli.github.com"
gh auth status >/dev/null 2>&1 || refuse "gh is not signed in: gh auth login"

git push --set-upstream origin "$branch"
gh pr create --base "$base" --head "$branch" --title "$title" --body-file "$body" ${options[@]+"${options[@]}"}
