#!/usr/bin/env bash
# The whole of Empatia on a throw-away server: build, install, generate (or load) data, run the pipeline.
#   scripts/demo.sh                  the generated OpenRedu platform: demo/openredu.sql, then demo/run.sql
#   DATA=DIR scripts/demo.sh         OULAD's files in DIR: demo/oulad_load.sh, then demo/run_oulad.sql
#   KEEP=1 scripts/demo.sh           leave the server running, and say how to reach and how to stop it
#   HTTP=1 scripts/demo.sh           then the HTTP service in front of it, on port 8080, until Ctrl-C; HTTP=9000: on that port
set -euo pipefail
# shellcheck source=scripts/pg.sh
source "$(dirname "${BASH_SOURCE[0]}")/pg.sh"

NAME=demo
DATABASE=empatia

start() {
  local conf=("shared_buffers = '256MB'" "work_mem = '32MB'" "maintenance_work_mem = '256MB'")
  if [ -e "$PG_TREE/usr/lib/postgresql/$PG_MAJOR/lib/pg_cron.so" ]; then
    conf+=("shared_preload_libraries = 'pg_cron'" "cron.database_name = '$DATABASE'")
  fi
  # A demo that is kept deserves a server that survives a power cut.
  if [ -n "${KEEP:-}" ]; then export EMPATIA_DURABLE=1; fi
  pg_start "$NAME" "${conf[@]}"
  pg_connect "$NAME"
  "$PG_BIN/createdb" "$DATABASE"
  export PGDATABASE=$DATABASE
}

# Outside the server's own directory, which goes with the server.
REPORT=$HOUSE/.run/report.html
run_sql() { "$PG_BIN/psql" -X -q -v ON_ERROR_STOP=1 -v keep_report="$REPORT" -f "$1"; }

if [ -n "${DATA:-}" ]; then
  [ -d "$DATA" ] || die "DATA=$DATA is not a directory"
  DATA=$(cd "$DATA" && pwd -P)
  export DATA
  steps=(demo/oulad_load.sh demo/run_oulad.sql)
else
  steps=(demo/openredu.sql demo/run.sql)
fi
case ${HTTP:-} in
  '') ;;
  1) PORT=8080 ;;
  *[!0-9]* | ??????* | ?) die "HTTP=$HTTP: expected 1 (port 8080) or a port" ;;
  *) PORT=$HTTP ;;
esac
[ -z "${HTTP:-}" ] || steps+=(demo/service.sql)
cd "$PROJECT"
for file in "${steps[@]}"; do [ -e "$file" ] || die "$file does not exist"; done

begin=$SECONDS
rm -f "$REPORT"
step "build and install into a private copy of PostgreSQL $PG_MAJOR" scripts/install.sh
pg_tree
step "start a throw-away server" start
export PATH=$PG_BIN:$PATH
for file in "${steps[@]}"; do
  case $file in
    *.sql) step "$file" run_sql "$file" ;;
    *) step "$file" bash "$file" "$DATA" ;;
  esac
done
say "demo finished in $((SECONDS - begin)) s"
say "the report:        $REPORT   (open it in a browser)"
if [ -n "${KEEP:-}" ]; then
  pg_keep "$NAME"
  say "the server stays:  $PG_BIN/psql -h $PGHOST -U postgres $DATABASE"
  say "stop and remove:   scripts/pg.sh stop $NAME"
fi
if [ -n "${HTTP:-}" ]; then
  # In the background, so that a TERM of this script reaches it; its end, or ours, ends both.
  scripts/serve.sh "$NAME" "$DATABASE" "127.0.0.1:$PORT" &
  SERVE=$!
  trap 'kill "$SERVE" 2>/dev/null || true; wait "$SERVE" 2>/dev/null || true; pg_stop_started' EXIT
  say "predict:           curl -H 'Content-Type: application/json' -d '{\"model\": \"lag\", \"input\": {\"pupil\": \"p7\", \"grade\": \"6,1\", \"attendance\": 71}}' http://127.0.0.1:$PORT/predict"
  wait "$SERVE"
fi
