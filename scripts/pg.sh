#!/usr/bin/env bash
# A private, throw-away PostgreSQL: a relocated copy of the distribution's, so that installing the
# extension never touches the system's, and servers that listen on a unix socket only.
#
#   scripts/pg.sh tree                    make the private copy, print its bin directory
#   scripts/pg.sh start NAME [CONF...]    initialise and start server NAME; CONF is a line of postgresql.conf
#   scripts/pg.sh psql NAME [ARG...]      psql on it
#   scripts/pg.sh env NAME                the PGHOST=... lines of it, for eval
#   scripts/pg.sh log NAME | status       its log; the servers there are
#   scripts/pg.sh stop NAME | --all       stop and remove
#
# Sourced, it gives pg_tree, pg_start, pg_stop, pg_connect; servers so started stop when the shell exits.
# EMPATIA_DURABLE=1 keeps fsync on (a demo to keep); the default is fast and unsafe, for tests.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PG_WAIT=${PG_WAIT:-60} # seconds that a start or a stop may take
PG_STARTED=()

# The packages' versions: when they change, the copy is stale.
_pg_stamp() {
  if command -v dpkg-query >/dev/null; then
    dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\n' "postgresql-$PG_MAJOR*" "postgresql-server-dev-$PG_MAJOR" 2>/dev/null | sort -u || true
  fi
  "/usr/lib/postgresql/$PG_MAJOR/bin/postgres" --version
}

# pg_tree: make (or refresh) the private copy; PostgreSQL finds lib and share relative to its binaries.
pg_tree() {
  local source=/usr/lib/postgresql/$PG_MAJOR stamp part new
  [ -x "$source/bin/postgres" ] || die "no PostgreSQL $PG_MAJOR in $source: run scripts/setup.sh"
  [ -e "$source/lib/pgxs/src/makefiles/pgxs.mk" ] ||
    die "no development files of PostgreSQL $PG_MAJOR: run scripts/setup.sh (package postgresql-server-dev-$PG_MAJOR)"
  stamp=$(_pg_stamp)
  if [ "$stamp" != "$(cat "$PG_TREE/stamp" 2>/dev/null)" ]; then
    # Built aside and moved in place: an interrupted copy is never taken for a whole one.
    new=$PG_TREE.new.$$
    rm -rf "$PG_TREE" "$new"
    mkdir -p "$new"
    for part in "$source" "/usr/share/postgresql/$PG_MAJOR" /usr/include/postgresql; do
      [ -d "$part" ] || continue
      mkdir -p "$new${part%/*}"
      cp -R --preserve=mode,timestamps,links "$part" "$new$part"
    done
    printf '%s\n' "$stamp" > "$new/stamp"
    mv -T "$new" "$PG_TREE"
  fi
  # `cargo pgrx init` would do this and initialise a cluster; all that a build reads is this file.
  # Left alone when right: bindgen runs again whenever its time of change moves.
  local want
  want=$(printf '[configs]\npg%s = "%s"' "$PG_MAJOR" "$PG_BIN/pg_config")
  mkdir -p "$PGRX_HOME"
  [ "$want" = "$(cat "$PGRX_HOME/config.toml" 2>/dev/null)" ] || printf '%s\n' "$want" > "$PGRX_HOME/config.toml"
}

_pg_dir() { printf '%s/.run/%s' "$HOUSE" "$1"; }

# pg_connect NAME: point libpq (psql, pg_regress, pg_dump) at that server.
pg_connect() {
  export PGHOST PGPORT=5432 PGUSER=postgres PGDATABASE=${PGDATABASE:-postgres}
  PGHOST=$(_pg_dir "$1")/sock
  unset PGHOSTADDR PGSERVICE PGPASSWORD PGSSLMODE
}

_pg_running() { as_server "$PG_BIN/pg_ctl" status -s -D "$(_pg_dir "$1")/data" >/dev/null 2>&1; }

# pg_start NAME [CONF...]: a fresh server; an old one of that name is stopped and removed.
pg_start() {
  local name=$1 dir
  shift
  [[ $name =~ ^[A-Za-z0-9_.-]{1,32}$ ]] || die "server name '$name': 1 to 32 letters, digits, '_', '-' or '.'"
  pg_tree
  dir=$(_pg_dir "$name")
  [ "${#dir}" -le 88 ] || die "$dir is too long for a socket: set EMPATIA_HOUSE to a shorter directory"
  pg_stop "$name"
  mkdir -p "$HOUSE/.run"
  mkdir "$dir"
  [ "$SERVER_USER" = "$(id -un)" ] || chown "$SERVER_USER" "$dir"
  PG_STARTED+=("$name")
  as_server mkdir -m 700 "$dir/sock"
  as_server "$PG_BIN/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 \
    --no-sync --no-instructions > "$dir/initdb.log" 2>&1 ||
    { tail -n 20 "$dir/initdb.log" >&2; die "initdb failed for server $name"; }
  {
    printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$dir/sock'" "port = 5432" \
      "timezone = 'UTC'" "log_timezone = 'UTC'" "lc_messages = 'C'" "max_wal_size = '2GB'" \
      "log_line_prefix = '%m [%p] %q%u@%d '"
    [ -n "${EMPATIA_DURABLE:-}" ] ||
      printf '%s\n' "fsync = off" "synchronous_commit = off" "full_page_writes = off"
    [ "$#" = 0 ] || printf '%s\n' "$@"
  } | as_server tee -a "$dir/data/postgresql.conf" >/dev/null
  if ! as_server "$PG_BIN/pg_ctl" start -s -w -t "$PG_WAIT" -D "$dir/data" -l "$dir/log" >/dev/null 2>&1; then
    warn "server $name did not start (limit: $PG_WAIT s); the end of its log:"
    tail -n 30 "$dir/log" >&2 2>/dev/null || true
    return 1
  fi
}

# pg_stop NAME: stop it (fast, then immediate) and remove its files. Nothing there: nothing done.
pg_stop() {
  local dir
  dir=$(_pg_dir "$1")
  [ -d "$dir" ] || return 0
  if _pg_running "$1"; then
    as_server "$PG_BIN/pg_ctl" stop -s -m fast -w -t "$PG_WAIT" -D "$dir/data" ||
      as_server "$PG_BIN/pg_ctl" stop -s -m immediate -w -t "$PG_WAIT" -D "$dir/data" ||
      { warn "server $1 does not stop; its files stay in $dir"; return 1; }
  fi
  rm -rf "$dir"
}

pg_stop_started() {
  local name
  for name in ${PG_STARTED[@]+"${PG_STARTED[@]}"}; do pg_stop "$name" || true; done
  PG_STARTED=()
}

# pg_keep NAME: it shall outlive this shell.
pg_keep() {
  local name rest=()
  for name in ${PG_STARTED[@]+"${PG_STARTED[@]}"}; do [ "$name" = "$1" ] || rest+=("$name"); done
  PG_STARTED=(${rest[@]+"${rest[@]}"})
}

_pg_names() { find "$HOUSE/.run" -mindepth 2 -maxdepth 2 -name data -printf '%h\n' 2>/dev/null | sed 's|.*/||' | sort; }

# An interrupt ends the script, and its end stops the servers.
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap pg_stop_started EXIT

_pg_main() {
  local verb=${1:-help} name
  [ "$#" = 0 ] || shift
  case $verb in
    tree) pg_tree; say "$PG_BIN" ;;
    start) [ "$#" -ge 1 ] || die "start: which NAME?"
      pg_start "$@"; pg_keep "$1"; pg_connect "$1"; say "psql -h $PGHOST -U postgres" ;;
    stop) [ "$#" = 1 ] || die "stop: which NAME, or --all?"
      if [ "$1" = --all ]; then for name in $(_pg_names); do pg_stop "$name"; done; else pg_stop "$1"; fi ;;
    psql) [ "$#" -ge 1 ] || die "psql: which NAME?"
      name=$1; shift; pg_connect "$name"; "$PG_BIN/psql" "$@" ;;
    env) [ "$#" = 1 ] || die "env: which NAME?"
      pg_connect "$1"; say "export PGHOST='$PGHOST' PGPORT=$PGPORT PGUSER=$PGUSER PATH='$PG_BIN':\"\$PATH\"" ;;
    log) [ "$#" = 1 ] || die "log: which NAME?"
      cat "$(_pg_dir "$1")/log" ;;
    status) for name in $(_pg_names); do
        if _pg_running "$name"; then say "$name running"; else say "$name stopped"; fi; done ;;
    *) sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      [ "$verb" = help ] || exit 2 ;;
  esac
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then _pg_main "$@"; fi
