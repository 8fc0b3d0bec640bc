#!/usr/bin/env bash
# The HTTP service (http/) in front of a database of a server of scripts/pg.sh, as a role of its own, until Ctrl-C or TERM.
#   scripts/serve.sh NAME DATABASE [ADDRESS:PORT]        default: 127.0.0.1:8080; the server runs, and the database has a warehouse
set -euo pipefail
# shellcheck source=scripts/pg.sh
source "$(dirname "${BASH_SOURCE[0]}")/pg.sh"

[ "$#" -ge 2 ] || die "expected NAME DATABASE [ADDRESS:PORT]"
NAME=$1
DATABASE=$2
LISTEN=${3:-127.0.0.1:8080}
_pg_running "$NAME" || die "server $NAME does not run: scripts/pg.sh start $NAME"
pg_connect "$NAME"
PGDATABASE=$DATABASE
run() { "$PG_BIN/psql" -XAtq -v ON_ERROR_STOP=1 -c "$1" >/dev/null; }

cd "$PROJECT"
cargo build -q --release -p empatia-http
[ -n "$("$PG_BIN/psql" -XAtqc "SELECT 1 FROM pg_roles WHERE rolname = 'empatia_http'")" ] || run "CREATE ROLE empatia_http LOGIN"
run "SELECT * FROM empatia.grant_service('empatia_http')"

SERVICE=
trap '[ -z "$SERVICE" ] || { kill "$SERVICE" 2>/dev/null || true; wait "$SERVICE" 2>/dev/null || true; }; pg_stop_started' EXIT
RUST_LOG=${RUST_LOG:-warn} EMPATIA_LISTEN=$LISTEN EMPATIA_DATABASE="host=$PGHOST port=$PGPORT dbname=$DATABASE user=empatia_http" \
  "${CARGO_TARGET_DIR:-$PROJECT/target}/release/empatia-http" &
SERVICE=$!
until (exec 3<> "/dev/tcp/${LISTEN%:*}/${LISTEN##*:}") 2>/dev/null; do
  kill -0 "$SERVICE" 2>/dev/null || die "the service does not listen on $LISTEN: see above"
  sleep 0.1
done
# another program may have answered there, and ours be gone
sleep 0.2
kill -0 "$SERVICE" 2>/dev/null || die "the service does not listen on $LISTEN: see above"
say "the HTTP service:  http://$LISTEN/docs/   (try it in a browser; Ctrl-C ends it)"
say "for Prometheus:    http://$LISTEN/metrics"
wait "$SERVICE"
