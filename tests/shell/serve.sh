#!/usr/bin/env bash
# scripts/serve.sh, with which `make demo HTTP=1` ends, and the image's docker/initdb/20-service.sh. Faults guarded against: a service that outlives the script,
# an address that is printed before anybody listens there, or that is another program's; a role that the service lacks, or that may read students.
# shellcheck source=tests/shell/lib.sh
source "$(dirname "$0")/lib.sh"

server_start
create_database app
sql "SELECT count(*) FROM empatia.create_warehouse()" > /dev/null
"$PG_BIN/psql" -Xq -f "$PROJECT/demo/service.sql" > /dev/null

port=$((20000 + ($$ + 7) % 20000))
work=$(mktemp -d)
# the shell of this test is not the script's: a TERM reaches the script alone, as one of `make` would
"$PROJECT/scripts/serve.sh" "$SERVER" app "127.0.0.1:$port" > "$work/log" 2>&1 &
serving=$!
trap 'kill "$serving" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"; pg_stop_started' EXIT
end=$((SECONDS + 300)) # it may have to be compiled
until grep -q 'the HTTP service:  http' "$work/log"; do
  kill -0 "$serving" 2>/dev/null || fail "scripts/serve.sh ended: $(cat "$work/log")"
  [ "$SECONDS" -lt "$end" ] || fail "no address within 300 s: $(cat "$work/log")"
  sleep 0.2
done
answer=$(curl -sf --noproxy '*' -H 'Content-Type: application/json' -d '{"model": "lag", "input": {"pupil": "p7", "grade": "6,1", "attendance": 71}}' "http://127.0.0.1:$port/predict")
assert_eq "$(jq -rc '[.model, .student_id, .recorded, (.risk_score > 0), (.top_risk_factors | length > 0)]' <<< "$answer")" '["lag","p7",true,true,true]' "a prediction"
assert_sql "SELECT predicted_by, student_id FROM analytics.prediction" "empatia_http|p7" "which is recorded"
assert_eq "$(curl -s --noproxy '*' -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/docs/")" 200 "the address that is printed"
assert_sql "SELECT has_table_privilege('empatia_http', 'school.pupil', 'SELECT') OR has_table_privilege('empatia_http', 'dw.student', 'SELECT')" f "its role reads students"

# a port that is taken is an error, not a wait
if "$PROJECT/scripts/serve.sh" "$SERVER" app "127.0.0.1:$port" > "$work/second" 2>&1; then fail "a second service on the same port"; fi
assert_match "$(cat "$work/second")" "does not listen on 127.0.0.1:$port" "the second one says so"

kill "$serving"
wait "$serving" || true
assert_eq "$(curl -s --noproxy '*' -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/health" || true)" 000 "nothing listens after the script's end"
wait_for 10 "SELECT count(*) FROM pg_stat_activity WHERE usename = 'empatia_http'" 0 "connections of the service"

# what the entry point of the image runs in a new volume
sql "REVOKE ALL ON ALL TABLES IN SCHEMA analytics FROM empatia_http; REVOKE ALL ON ALL TABLES IN SCHEMA dw FROM empatia_http; REVOKE USAGE ON SCHEMA dw, analytics FROM empatia_http; DROP ROLE empatia_http"
"$PG_BIN/createdb" fresh
"$PG_BIN/psql" -Xq -d fresh -f "$PROJECT/docker/initdb/10-empatia.sql"
POSTGRES_USER=postgres POSTGRES_DB=fresh EMPATIA_HTTP_PASSWORD="it's secret" bash "$PROJECT/docker/initdb/20-service.sh" > /dev/null
PGDATABASE=fresh assert_sql "SET ROLE empatia_http; SELECT empatia.metrics() ~ 'empatia_info'" t "the role may call what the service calls"
