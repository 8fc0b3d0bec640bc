# shellcheck shell=bash
# For the tests of this directory: throw-away servers and assertions.
#   source "$(dirname "$0")/lib.sh"
#   server_start "shared_preload_libraries = 'pg_cron'"       # any lines of postgresql.conf
#   create_database app
#   assert_eq "$(sql 'SELECT 1')" 1 "the server answers"
# The server stops, and its files go, when the test ends, however it ends.
set -euo pipefail
# shellcheck source=scripts/pg.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/pg.sh"
export PATH=$PG_BIN:$PATH

TEST_NAME=$(basename "$0" .sh)
SERVER=

# _server_name [SUFFIX]: short (sockets' paths are), and of this process only.
_server_name() { printf '%.12s-%s%s' "$TEST_NAME" "$$" "${1:+-$1}"; }

# server_start [CONF...]: a server, which psql and sql() then talk to.
# shellcheck disable=SC2120
server_start() {
  SERVER=$(_server_name)
  pg_start "$SERVER" "$@"
  pg_connect "$SERVER"
}

# server_start_also SUFFIX [CONF...]: one more; server_use says which of them is talked to ('' is the first).
server_start_also() {
  local suffix=$1
  shift
  pg_start "$(_server_name "$suffix")" "$@"
}
server_use() { SERVER=$(_server_name "$1"); pg_connect "$SERVER"; }

server_dir() { _pg_dir "$SERVER"; }
server_log() { cat "$(server_dir)/log"; }

# server_restart [MODE]: MODE is fast (default), smart, or immediate, which is a crash.
server_restart() {
  local dir
  dir=$(server_dir)
  as_server "$PG_BIN/pg_ctl" restart -s -w -t "$PG_WAIT" -m "${1:-fast}" -D "$dir/data" -l "$dir/log" >/dev/null
}

# create_database NAME: with the extension in it; the later calls of sql() go there.
create_database() {
  "$PG_BIN/createdb" "$1"
  export PGDATABASE=$1
  sql 'CREATE EXTENSION empatia'
}

# sql "QUERY" [PSQL-ARG...]: rows, unaligned, columns separated by |; stops at the first error.
sql() {
  local query=$1
  shift
  printf '%s\n' "$query" | "$PG_BIN/psql" -XAtq -v ON_ERROR_STOP=1 "$@"
}

fail() { printf 'FAIL: %s\n' "$*" >&2; exit 1; }

# assert_eq FOUND EXPECTED WHAT
assert_eq() { [ "$1" = "$2" ] || fail "$3: expected '$2', found '$1'"; }

# assert_match FOUND REGEX WHAT
assert_match() { [[ $1 =~ $2 ]] || fail "$3: expected to match '$2', found '$1'"; }

# assert_between FOUND LOW HIGH WHAT: numbers, bounds included
assert_between() {
  awk -v f="$1" -v l="$2" -v h="$3" 'BEGIN { exit !(f ~ /^-?[0-9.]+(e[-+]?[0-9]+)?$/ && f+0 >= l+0 && f+0 <= h+0) }' ||
    fail "$4: expected $2 to $3, found '$1'"
}

# assert_sql "QUERY" EXPECTED WHAT
assert_sql() {
  local found
  found=$(sql "$1") || fail "$3: the query failed: $1"
  assert_eq "$found" "$2" "$3"
}

# assert_sql_fails "QUERY" REGEX WHAT: it must fail, and its message (SQLSTATE, HINT and DETAIL included) match.
assert_sql_fails() {
  local message
  if message=$(sql "$1" -v VERBOSITY=verbose 2>&1); then fail "$3: expected an error, but it worked: $1"; fi
  assert_match "$message" "$2" "$3"
}

# wait_for SECONDS "QUERY" EXPECTED WHAT: until the query gives that
wait_for() {
  local end=$((SECONDS + $1)) found=
  while [ "$SECONDS" -le "$end" ]; do
    found=$(sql "$2" 2>&1 || true)
    [ "$found" != "$3" ] || return 0
    sleep 0.1
  done
  fail "$4: expected '$3' within $1 s, found '$found'"
}
