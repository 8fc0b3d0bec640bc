#!/usr/bin/env bash
# The benchmarks on a throw-away server: build, install, start, benches/run.sh. CASE, SIZE, GRAINS, RUNS, DATA and KEEP are said there.
#   CASE=engine       only the engine's own (criterion), no server
# KEEP=1 leaves the server and its databases for the next run with KEEP=1.
set -euo pipefail
# shellcheck source=scripts/pg.sh
source "$(dirname "${BASH_SOURCE[0]}")/pg.sh"

cd "$PROJECT"
if [ "${CASE:-}" = engine ]; then
  step "cargo bench -p empatia-engine" cargo bench -p empatia-engine
  exit
fi
for program in python3 psql zstd; do
  command -v "$program" >/dev/null || [ -x "$PG_BIN/$program" ] || die "no $program: the benchmark needs it"
done
python3 -m venv --help >/dev/null 2>&1 || die "python3 has no module venv (Debian: apt install python3-venv)"

NAME=bench
step "build and install" scripts/install.sh
pg_tree
if [ -n "${KEEP:-}" ] && _pg_running "$NAME"; then
  say "==> using the server of an earlier run"
else
  # What somebody who cares gives a warehouse; the table states it. Durability is off for all contestants alike (scripts/pg.sh).
  memory_mb=$(($(getconf _PHYS_PAGES) * $(getconf PAGE_SIZE) / 1048576))
  buffers_mb=$((memory_mb / 5 < 4096 ? memory_mb / 5 : 4096))
  pg_start "$NAME" "shared_buffers = '${buffers_mb}MB'" "effective_cache_size = '$((memory_mb / 2))MB'" "work_mem = '256MB'" \
    "maintenance_work_mem = '1GB'" "random_page_cost = 1.1" "max_parallel_workers_per_gather = 4" "max_parallel_maintenance_workers = 4" \
    "max_wal_size = '4GB'" "checkpoint_timeout = '30min'" "jit = off" "autovacuum_naptime = '10min'"
fi
[ -z "${KEEP:-}" ] || pg_keep "$NAME"
pg_connect "$NAME"
export PATH=$PG_BIN:$PATH
EMPATIA_HOUSE=$HOUSE step "benches/run.sh" benches/run.sh
[ -z "${KEEP:-}" ] || say "the server stays: scripts/pg.sh stop $NAME removes it"
