#!/usr/bin/env bash
# Every executable tests/shell/*.sh: what needs a server of its own (restart, crash, replication, pg_dump, pg_cron).
# They start and stop servers through tests/shell/lib.sh; the extension must be installed (scripts/install.sh).
#   tests/shell/run.sh [NAME...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=scripts/pool.sh
source ../../scripts/pool.sh

names=("$@")
if [ "$#" = 0 ]; then
  mapfile -t names < <(find . -maxdepth 1 -name '*.sh' ! -name run.sh ! -name lib.sh -printf '%f\n' | sed 's/\.sh$//' | LC_ALL=C sort)
fi
for name in "${names[@]}"; do
  if [ ! -e "$name.sh" ]; then pool_fail "$name" "there is no tests/shell/$name.sh"
  elif [ ! -x "$name.sh" ]; then pool_fail "$name" "tests/shell/$name.sh is not executable"
  else pool_run "$name" "./$name.sh"; fi
done
pool_wait
