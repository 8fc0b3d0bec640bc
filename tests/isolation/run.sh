#!/usr/bin/env bash
# pg_isolation_regress on the server of PGHOST, PGPORT, PGUSER: interleaved sessions. Every specs/NAME.spec runs in a fresh
# database of its own and must give expected/NAME.out.
#   tests/isolation/run.sh [NAME...]   PG_CONFIG as for tests/regress/run.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=scripts/pool.sh
source ../../scripts/pool.sh

PG_CONFIG=${PG_CONFIG:-pg_config}
bin=$("$PG_CONFIG" --bindir)
tester=$(dirname "$("$PG_CONFIG" --pgxs)")/../test/isolation/pg_isolation_regress
[ -x "$tester" ] || { echo "no pg_isolation_regress in $tester (package postgresql-server-dev)" >&2; exit 1; }
host=(${PGHOST:+"--host=$PGHOST"} ${PGPORT:+"--port=$PGPORT"} ${PGUSER:+"--user=$PGUSER"})

names=("$@")
if [ "$#" = 0 ]; then
  mapfile -t names < <(find specs -name '*.spec' -printf '%f\n' | sed 's/\.spec$//' | LC_ALL=C sort)
  while read -r name; do
    [ -e "specs/$name.spec" ] || pool_fail "$name" "expected/$name.out has no specs/$name.spec"
  done < <(find expected -name '*.out' -printf '%f\n' | sed -E 's/(_[0-9])?\.out$//' | LC_ALL=C sort -u)
fi

one() {
  local out=$PWD/results/$1 status=0
  rm -rf "$out" && mkdir -p "$out"
  "$tester" --inputdir="$PWD" --outputdir="$out" --bindir="$bin" "${host[@]}" \
    --dbname="isolation_$1" --no-locale --encoding=UTF8 "$1" || status=$?
  if [ "$status" != 0 ]; then cat "$out"/*.diffs 2>/dev/null || true; return "$status"; fi
  "$bin/dropdb" --if-exists "isolation_$1"
}
export -f one
export tester bin

for name in "${names[@]}"; do
  if [ ! -e "specs/$name.spec" ]; then pool_fail "$name" "there is no specs/$name.spec"
  elif [ ! -e "expected/$name.out" ]; then pool_fail "$name" "specs/$name.spec has no expected/$name.out"
  else pool_run "$name" bash -c "host=(${host[*]@Q}); set -euo pipefail; one \"\$1\"" _ "$name"; fi
done
pool_wait
