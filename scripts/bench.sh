#!/usr/bin/env bash
# The benchmarks: the engine's (criterion) and, where there are any, the SQL ones (benches/run.sh) on a throw-away server.
set -euo pipefail
# shellcheck source=scripts/pg.sh
source "$(dirname "${BASH_SOURCE[0]}")/pg.sh"

cd "$PROJECT"
step "cargo bench -p empatia-engine" cargo bench -p empatia-engine
if [ -x benches/run.sh ]; then
  step "build and install" scripts/install.sh
  pg_start "bench-$$" "shared_buffers = '512MB'" "work_mem = '64MB'" "maintenance_work_mem = '512MB'"
  pg_connect "bench-$$"
  export PATH=$PG_BIN:$PATH
  step "benches/run.sh" benches/run.sh
fi
