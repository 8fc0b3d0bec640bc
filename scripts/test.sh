#!/usr/bin/env bash
# All tests, in order, with a summary; the last line is `N passed, M failed`, and the status is 0 if M is 0.
#   scripts/test.sh                         everything
#   ONLY=regress,shell scripts/test.sh      some kinds: fmt rooms clippy engine pgtest regress isolation shell docs
#   VERBOSE=1                               the output of passing tests too
#   JOBS=N, TEST_TIMEOUT=SECONDS            tests side by side; limit of each
# One profile (release) for clippy, the pgrx tests and the installed library: dependencies are compiled once.
set -euo pipefail
# shellcheck source=scripts/pg.sh
source "$(dirname "${BASH_SOURCE[0]}")/pg.sh"
cd "$PROJECT"

KINDS=(fmt rooms clippy engine pgtest regress isolation shell docs)
SQL_KINDS=' regress isolation shell docs '
read -r -a wanted <<< "$(printf '%s' "${ONLY:-${KINDS[*]}}" | tr ',' ' ')"
for kind in "${wanted[@]}"; do
  [[ " ${KINDS[*]} " == *" $kind "* ]] || die "ONLY=$kind: valid kinds are ${KINDS[*]}"
done
is_wanted() { [[ " ${wanted[*]} " == *" $1 "* ]]; }

command -v cargo >/dev/null || die "no cargo: run scripts/setup.sh"
features=(--no-default-features --features "pg$PG_MAJOR pg_test")
# A backtrace would be part of the messages that tests compare.
unset RUST_BACKTRACE
LOGS=$(mktemp -d)
trap 'pg_stop_started; rm -rf "$LOGS"' EXIT

# One run at a time per copy of PostgreSQL: the library there is this run's.
pg_tree
mkdir -p "$HOUSE/.run"
exec 9> "$HOUSE/.run/test.lock"
flock -n 9 || { say "another test run uses $HOUSE: waiting for it"; flock 9; }

run_fmt() { cargo fmt --all --check && say "ok - cargo fmt --check"; }
run_rooms() { scripts/rooms.sh; }
run_clippy() {
  cargo clippy --release --workspace --all-targets "${features[@]}" -- -D warnings -D clippy::undocumented_unsafe_blocks &&
    say "ok - cargo clippy -D warnings"
}
run_engine() { cargo test --profile checked -p empatia-engine -p empatia-http; }

PGRX_SERVER=pgrx-$$
PG_STARTED+=("$PGRX_SERVER") # to be stopped at the end if the harness did not
# The harness of pgrx starts its own server; as root, it does so through sudo.
run_pgtest() {
  local dir args=() status=0
  dir=$(_pg_dir "$PGRX_SERVER")
  mkdir -p "$dir"
  if [ "$(id -u)" = 0 ]; then
    command -v sudo >/dev/null || die "pgrx needs sudo to run its server as $SERVER_USER: run scripts/setup.sh"
    chown "$SERVER_USER" "$dir"
    args=(--runas "$SERVER_USER")
  fi
  cargo pgrx test --release "${features[@]}" --pgdata "$dir/data" ${args[@]+"${args[@]}"} "pg$PG_MAJOR" || status=$?
  pg_stop "$PGRX_SERVER"
  return "$status"
}

SERVER=test-$$
server() {
  [ -d "$(_pg_dir "$SERVER")" ] || pg_start "$SERVER" "max_connections = 200"
  pg_connect "$SERVER"
  export PG_CONFIG=$PG_BIN/pg_config PATH=$PG_BIN:$PATH
}
run_regress() { tests/regress/run.sh; }
run_isolation() { tests/isolation/run.sh; }
run_shell() { tests/shell/run.sh; }
run_docs() { tests/docs/run.sh; }

TABLE=()
PASSED=0
FAILED=0

# tally KIND STATUS SECONDS LOG: results are lines `ok - x`, `not ok - x`, and cargo's `test result:`; an ignored test fails.
tally() {
  local kind=$1 status=$2 seconds=$3 passed failed
  read -r passed failed < <(awk '
    /^ok - / { p++ } /^not ok - / { f++ }
    /^test result: / { for (i = 2; i <= NF; i++) { if ($i == "passed;") p += $(i-1); if ($i == "failed;" || $i == "ignored;") f += $(i-1) } }
    END { print p + 0, f + 0 }' "$4")
  if [ "$status" != 0 ] && [ "$failed" = 0 ]; then failed=1; fi # it did not even get to a result
  PASSED=$((PASSED + passed))
  FAILED=$((FAILED + failed))
  TABLE+=("$(printf '%-10s %8s %8s %8s s' "$kind" "$passed" "$failed" "$seconds")")
}

run() {
  local kind=$1 what=$2 begin=$SECONDS status=0
  is_wanted "$kind" || return 0
  printf '\n==== %s: %s ====\n' "$kind" "$what"
  "run_$kind" 2>&1 9>&- | tee -i "$LOGS/$kind" || status=$?
  tally "$kind" "$status" "$((SECONDS - begin))" "$LOGS/$kind"
}

begin=$SECONDS
run fmt "cargo fmt --check"
run rooms "house rules: engine, unsafe, scripts"
run clippy "clippy, warnings are errors"
run engine "cargo test of the engine and the service, optimised, with overflow checks"
run pgtest "cargo pgrx test: Rust inside a server"
for kind in "${wanted[@]}"; do
  [[ $SQL_KINDS == *" $kind "* ]] || continue
  printf '\n==== the extension, release, into the private PostgreSQL ====\n'
  if scripts/install.sh 9>&-; then server 9>&-; break; fi
  printf '\n0 passed, 1 failed\n'
  exit 1
done
run regress "pg_regress"
run isolation "pg_isolation_regress"
run shell "servers of their own"
run docs "the documentation's SQL"

printf '\n==== summary ====\n%-10s %8s %8s %10s\n' kind passed failed time
printf '%s\n' "${TABLE[@]}"
printf 'total time: %s s\n' "$((SECONDS - begin))"
printf '%s passed, %s failed\n' "$PASSED" "$FAILED"
[ "$FAILED" = 0 ]
