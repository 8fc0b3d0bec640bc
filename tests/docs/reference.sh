#!/usr/bin/env bash
# Guards docs/reference.md against the catalogue: every public function with its present arguments and columns, and every table of
# the extension, stands there; and it names no function that is gone. On the server of PGHOST, PGPORT, PGUSER.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bin=$("${PG_CONFIG:-pg_config}" --bindir)
page=docs/reference.md
database=docs_reference_check
run() { "$bin/psql" -X -q -A -t -v ON_ERROR_STOP=1 -d "$database" "$@"; }

"$bin/dropdb" --if-exists --force "$database" 2>/dev/null
"$bin/createdb" -T template0 "$database"
trap '"$bin/dropdb" --force "$database"' EXIT
run -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION empatia'
failures=0
missing() { printf '%s: %s\n' "$page" "$*"; failures=$((failures + 1)); }

while IFS= read -r line; do
  grep -qF -- "\`$line\`" "$page" || missing "lacks  $line"
done < <(run -f tests/docs/signatures.sql)
while IFS= read -r line; do
  grep -qF -- "\`$line\`" "$page" || missing "lacks table  $line"
done < <(run -c "SELECT 'empatia.' || tablename FROM pg_tables WHERE schemaname = 'empatia' ORDER BY 1")
# the first line of a section is a signature
while IFS= read -r name; do
  [ "$(run -v name="$name" <<< "SELECT count(*) > 0 FROM pg_proc WHERE pronamespace = 'empatia'::regnamespace AND proname = :'name'")" = t ] ||
    missing "describes $name(), which does not exist"
done < <(sed -nE 's/^`(CALL )?([a-z_]+)\(.*\)`$/\2/p' "$page" | sort -u)
[ "$failures" = 0 ]
