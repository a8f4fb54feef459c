#!/usr/bin/env bash
# A local database for development: server, roles, migrations, grants. Prints one line, DATABASE_URL=..., on standard output.
set -euo pipefail
# shellcheck source=scripts/_setup.sh
. "$(dirname "$0")/../_setup.sh"

case "${1:-}" in
    -h | --help)
        cat <<'HELP'
Usage: scripts/db/setup-local.sh
       scripts/db/setup-local.sh >>.env

Starts a PostgreSQL 16 (a postgres:16-alpine container where Docker answers, else the embedded server from PyPI), waits until
it is ready, applies sql/roles.sql, migrates, applies sql/grants.sql, and prints the DATABASE_URL to use. Safe to run again:
it starts what is stopped and applies what is missing; data stay.

  DB_USER             the role the application logs in as (store_app; another one becomes a member of store_app)
  DB_PASSWORD         its password (one is made up and kept by the container; the embedded server asks for none)
  DB_NAME             the database (store)
  DB_PORT             the port on 127.0.0.1 (54320); the embedded server has a Unix socket only
  DB_CONTAINER_NAME   the container, or the folder of the embedded server's data (store-postgres)

To remove it: docker rm --force --volumes NAME, or .venv/bin/store embedded remove DIR (the folder is printed).
Exit codes: 0 ready, 1 failed, 2 wrong parameter or no environment.
HELP
        exit 0
        ;;
esac

export DB_USER=${DB_USER:-store_app} DB_NAME=${DB_NAME:-store} DB_PASSWORD=${DB_PASSWORD:-}
container=${DB_CONTAINER_NAME:-store-postgres}
port=${DB_PORT:-54320}
label=plainstore.setup-local

refuse() {
    echo "setup-local: $1" >&2
    exit 2
}
case $container in *[!A-Za-z0-9_.-]* | [!A-Za-z0-9]*) refuse "DB_CONTAINER_NAME may hold letters, digits, _ . - only" ;; esac
case $port in *[!0-9]* | "") refuse "DB_PORT must be a number" ;; esac
case $DB_PASSWORD in *[[:cntrl:]]*) refuse "DB_PASSWORD holds a control character" ;; esac

setup run
umask 077 # what is written here holds a password
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The container, and how its superuser gets in: by password over loopback. The password is handed over in a file that only
# this user can read, never as an argument that everybody sees in the process list.
start_container() {
    if docker container inspect "$container" >/dev/null 2>&1; then
        [ "$(docker container inspect --format "{{index .Config.Labels \"$label\"}}" "$container")" = 1 ] ||
            refuse "the container $container was not made by this script; choose another DB_CONTAINER_NAME"
        docker start "$container" >/dev/null
    else
        local password=$DB_PASSWORD
        [ -n "$password" ] || password=$("$venv/bin/python" -c 'import secrets; print(secrets.token_urlsafe(24))')
        printf 'POSTGRES_PASSWORD=%s\n' "$password" >"$work/env"
        echo "Starting postgres:16-alpine as the container $container ..." >&2
        docker run --detach --name "$container" --label "$label=1" --env-file "$work/env" \
            --publish "127.0.0.1:$port:5432" postgres:16-alpine >/dev/null
        rm -f "$work/env"
    fi
    ADMIN_PASSWORD=$(docker container inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$container" |
        sed -n 's/^POSTGRES_PASSWORD=//p')
    ADMIN_PORT=$(docker port "$container" 5432/tcp | sed -n 's/^127\.0\.0\.1://p')
    [ -z "${DB_PORT:-}" ] || [ "$ADMIN_PORT" = "$port" ] ||
        refuse "the container $container has the port $ADMIN_PORT; remove it to change that"
    export ADMIN_PASSWORD ADMIN_PORT
}

if docker info >/dev/null 2>&1; then
    start_container
else
    echo "No Docker engine answers: the embedded PostgreSQL 16 is used instead." >&2
    export EMBEDDED_NAME=$container
fi
cd "$root"
"$venv/bin/python" scripts/db/prepare.py
