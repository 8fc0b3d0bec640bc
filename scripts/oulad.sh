# shellcheck shell=bash
# A server with the extension and OULAD's files in the schema oulad, for what compares or measures on the complete dataset.
# Sourced after scripts/pg.sh.

# oulad_start NAME DIR: starts server NAME with such a database, called after it, and connects; exits with 77 where DIR is not there.
oulad_start() {
  local name=$1 data=$2
  if [ ! -d "$data" ]; then
    warn "SKIPPED: no directory $data (OULAD: https://analyse.kmi.open.ac.uk/open_dataset)"
    exit 77
  fi
  data=$(cd "$data" && pwd -P)
  pg_start "$name" "work_mem = '256MB'" "shared_buffers = '512MB'" "maintenance_work_mem = '256MB'" "jit = off"
  pg_connect "$name"
  "$PG_BIN/createdb" "$name"
  export PGDATABASE=$name
  "$PG_BIN/psql" -XAtq -v ON_ERROR_STOP=1 -c 'CREATE EXTENSION empatia'
  step "COPY into the schema oulad" "$PROJECT/demo/oulad_load.sh" "$data"
}
