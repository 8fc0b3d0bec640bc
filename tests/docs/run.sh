#!/usr/bin/env bash
# Executes the documentation: every ```sql block of the README files and of docs/*.md, in order, one session and one fresh
# database per file, on the server of PGHOST, PGPORT, PGUSER. It stops at the first error, which names the line of the document.
#   ```sql        is run        ```sql skip   is not
#   ```sql demo   is run where the demo has run (demo/openredu.sql, demo/run.sql): a second database per file
# Without arguments it also compares docs/reference.md with the catalogue (tests/docs/reference.sh).
#   tests/docs/run.sh [FILE...]        PG_CONFIG says whose psql (default: the first on the PATH)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/pool.sh
source scripts/pool.sh

bin=$("${PG_CONFIG:-pg_config}" --bindir)
export bin

# blocks MARK FILE: the document with everything but those blocks made empty lines, so that line numbers stay right.
blocks() {
  awk -v mark="$1" '
    /^[ \t]*```/ {
      if (inside) { inside = 0; print ""; next }
      if (other) { other = 0; print ""; next }
      line = $0; sub(/^[ \t]*```[ \t]*/, "", line); sub(/[ \t]+$/, "", line)
      if (line == (mark == "" ? "sql" : "sql " mark)) inside = 1; else other = 1
      print ""; next
    }
    { print inside ? $0 : "" }' "$2"
}

has_blocks() { blocks "$1" "$2" | grep -q '[^[:space:]]'; }

one() { # NAME MARK FILE DATABASE TEMPLATE
  "$bin/dropdb" --if-exists --force "$4"
  "$bin/createdb" -T "$5" "$4"
  blocks "$2" "$3" > "$POOL_DIR/$4.sql"
  # By that name psql reports errors.
  mkdir -p "$POOL_DIR/$4/$(dirname "$3")"
  mv "$POOL_DIR/$4.sql" "$POOL_DIR/$4/$3"
  (cd "$POOL_DIR/$4" && "$bin/psql" -X -q -v ON_ERROR_STOP=1 -d "$4" -f "$3")
  "$bin/dropdb" "$4"
}
export -f one blocks
export POOL_DIR

files=("$@")
if [ "$#" = 0 ]; then
  pool_run "docs/reference.md against the catalogue" tests/docs/reference.sh
  mapfile -t files < <(find . -maxdepth 1 -name 'README*.md' -printf '%f\n' | sort; find docs -maxdepth 1 -name '*.md' 2>/dev/null | sort)
fi

template=
for file in "${files[@]}"; do
  unknown=$(grep -nE '^[[:space:]]*```[[:space:]]*sql' "$file" | grep -vE '```[[:space:]]*sql([[:space:]]+(skip|demo))?[[:space:]]*$' || true)
  [ -z "$unknown" ] || pool_fail "$file" "unknown mark, expected none, skip or demo: $unknown"
  database=docs_$(printf '%s' "$file" | tr -c 'A-Za-z0-9' '_' | tr '[:upper:]' '[:lower:]')
  if has_blocks '' "$file"; then
    pool_run "$file" bash -c 'set -euo pipefail; one "$@"' _ "$file" '' "$file" "$database" template0
  fi
  if has_blocks demo "$file"; then
    if [ -z "$template" ]; then
      template=docs_demo_template
      if [ ! -e demo/openredu.sql ] || [ ! -e demo/run.sql ]; then
        pool_fail "$file (demo)" "demo/openredu.sql or demo/run.sql does not exist"; template=none
      elif ! { "$bin/dropdb" --if-exists "$template" && "$bin/createdb" -T template0 "$template" &&
        "$bin/psql" -X -q -v ON_ERROR_STOP=1 -d "$template" -f demo/openredu.sql -f demo/run.sql; } > "$POOL_DIR/demo" 2>&1; then
        tail -n 30 "$POOL_DIR/demo" | sed 's/^/    /'
        pool_fail "$file (demo)" "the demo failed"; template=none
      fi
    elif [ "$template" = none ]; then pool_fail "$file (demo)" "the demo failed"
    fi
    [ "$template" = none ] || pool_run "$file (demo)" bash -c 'set -euo pipefail; one "$@"' _ "$file" demo "$file" "${database}_demo" "$template"
  fi
done
pool_wait
