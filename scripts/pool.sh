# shellcheck shell=bash
# Runs tests side by side and reports each on a line of its own, `ok - NAME (N s)` or `not ok - NAME (N s)`,
# with the output of those that fail (of all with VERBOSE=1). Sourced by tests/*/run.sh; counted by scripts/test.sh.

POOL_JOBS=${JOBS:-$(nproc)}
POOL_LIMIT=${TEST_TIMEOUT:-600} # seconds that one test may take
POOL_DIR=$(mktemp -d)
POOL_FAILED=0
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap '_pool_end' EXIT

_pool_end() {
  local pids
  pids=$(jobs -p)
  # shellcheck disable=SC2086
  [ -z "$pids" ] || { kill $pids 2>/dev/null; wait; } || true
  rm -rf "$POOL_DIR"
}

# pool_run NAME COMMAND...: start it as soon as there is room.
pool_run() {
  while [ "$(jobs -rp | wc -l)" -ge "$POOL_JOBS" ]; do wait -n || true; done
  _pool_one "$@" < /dev/null &
}

_pool_one() {
  local name=$1 begin=$SECONDS status=0 log child=
  shift
  log=$POOL_DIR/${name//\//_}
  # timeout is in a process group of its own, which a terminal's interrupt does not reach: it gets a TERM, which it
  # passes on to the test and what that has started.
  trap 'kill "$child" 2>/dev/null; exit 143' INT TERM HUP
  timeout --kill-after=20 "$POOL_LIMIT" "$@" > "$log" 2>&1 &
  child=$!
  wait "$child" || status=$?
  if [ "$status" = 124 ]; then printf 'stopped after %s s (TEST_TIMEOUT)\n' "$POOL_LIMIT" >> "$log"; fi
  if [ "$status" = 0 ]; then
    { printf 'ok - %s (%s s)\n' "$name" "$((SECONDS - begin))"
      [ -z "${VERBOSE:-}" ] || sed 's/^/    /' "$log"; } > "$log.report"
  else
    # Indented: nothing in a test's own output is taken for a result.
    { printf 'not ok - %s (%s s)\n' "$name" "$((SECONDS - begin))"; sed 's/^/    /' "$log"; } > "$log.report"
    : > "$log.failed"
  fi
  flock "$POOL_DIR" cat "$log.report" # one report at a time
}

# pool_fail NAME WHY: a test that cannot even be run.
pool_fail() {
  printf 'not ok - %s\n    %s\n' "$1" "$2"
  POOL_FAILED=1
}

# pool_wait: until all have ended; false if one failed.
pool_wait() {
  wait
  if compgen -G "$POOL_DIR/*.failed" >/dev/null; then POOL_FAILED=1; fi
  [ "$POOL_FAILED" = 0 ]
}
