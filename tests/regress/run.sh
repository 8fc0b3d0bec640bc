#!/usr/bin/env bash
# pg_regress on the server of PGHOST, PGPORT, PGUSER. Every sql/NAME.sql runs in a fresh database of its own and must give
# expected/NAME.out, HINT and DETAIL included.
#   tests/regress/run.sh [NAME...]     PG_CONFIG says whose pg_regress and psql (default: the first on the PATH)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=scripts/pool.sh
source ../../scripts/pool.sh

PG_CONFIG=${PG_CONFIG:-pg_config}
bin=$("$PG_CONFIG" --bindir)
pg_regress=$(dirname "$("$PG_CONFIG" --pgxs)")/../test/regress/pg_regress
[ -x "$pg_regress" ] || { echo "no pg_regress in $pg_regress (package postgresql-server-dev)" >&2; exit 1; }
host=(${PGHOST:+"--host=$PGHOST"} ${PGPORT:+"--port=$PGPORT"} ${PGUSER:+"--user=$PGUSER"})

names=("$@")
if [ "$#" = 0 ]; then
  mapfile -t names < <(find sql -name '*.sql' -printf '%f\n' | sed 's/\.sql$//' | LC_ALL=C sort)
  while read -r name; do # an answer without a question is a test that somebody lost
    [ -e "sql/$name.sql" ] || pool_fail "$name" "expected/$name.out has no sql/$name.sql"
  done < <(find expected -name '*.out' -printf '%f\n' | sed -E 's/(_[0-9])?\.out$//' | LC_ALL=C sort -u)
fi

one() {
  local out=$PWD/results/$1 status=0
  rm -rf "$out" && mkdir -p "$out"
  "$pg_regress" --inputdir="$PWD" --outputdir="$out" --bindir="$bin" "${host[@]}" \
    --dbname="regress_$1" --no-locale --encoding=UTF8 "$1" || status=$?
  if [ "$status" != 0 ]; then cat "$out/regression.diffs" 2>/dev/null || true; return "$status"; fi
  "$bin/dropdb" --if-exists "regress_$1"
}
export -f one
export pg_regress bin

for name in "${names[@]}"; do
  if [ ! -e "sql/$name.sql" ]; then pool_fail "$name" "there is no sql/$name.sql"
  elif [ ! -e "expected/$name.out" ]; then
    pool_fail "$name" "sql/$name.sql has no expected/$name.out (write it by hand, or check results/$name/results/$name.out and copy it)"
  else pool_run "$name" bash -c "host=(${host[*]@Q}); set -euo pipefail; one \"\$1\"" _ "$name"; fi
done
pool_wait
