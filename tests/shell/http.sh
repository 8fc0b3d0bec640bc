#!/usr/bin/env bash
# Guards the HTTP service: each route says what its SQL function says; a role without rights to students' rows is enough; tokens, broken bodies,
# bodies too large, unknown models and a database that is gone get their statuses; a real Prometheus scrapes what promtool finds valid.
# shellcheck source=tests/shell/lib.sh
source "$(dirname "$0")/lib.sh"

server_start
create_database app
sql "SELECT count(*) FROM empatia.create_warehouse()" >/dev/null
sql "SELECT client FROM empatia.add_client('escola \"A\"\\B')" >/dev/null
sql "CREATE ROLE empatia_http LOGIN; SELECT count(*) FROM empatia.grant_service('empatia_http')" >/dev/null
assert_sql "SELECT has_table_privilege('empatia_http', 'dw.student', 'SELECT') OR has_table_privilege('empatia_http', 'dw.fact_interaction', 'SELECT')" f \
  "the service's role reads students"

cargo build -q --release -p empatia-http --manifest-path "$PROJECT/Cargo.toml"
port=$((20000 + $$ % 20000))
base=http://127.0.0.1:$port
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"; pg_stop_started' EXIT
# until_true WHAT COMMAND...
until_true() {
  local what=$1 end=$((SECONDS + 20))
  shift
  until "$@"; do [ "$SECONDS" -lt "$end" ] || fail "$what within 20 s"; sleep 0.1; done
}
serve() { # NAME=VALUE...
  env EMPATIA_DATABASE="host=$PGHOST port=$PGPORT dbname=app user=empatia_http" EMPATIA_LISTEN="127.0.0.1:$port" EMPATIA_TIMEOUT=2 "$@" \
    "${CARGO_TARGET_DIR:-$PROJECT/target}/release/empatia-http" > "$work/log" 2>&1 &
  SERVICE=$!
  until_true "the service answers" curl -sf --noproxy '*' -o "$work/health" "$base/health"
}
stop() { kill "$SERVICE"; wait "$SERVICE" || fail "the service did not stop of itself: $(cat "$work/log")"; }
# status ARG...: the status; the body is in $work/body
status() { curl -s --noproxy '*' -o "$work/body" -w '%{http_code}' "$@"; }

serve EMPATIA_TOKEN=secret EMPATIA_BODY_LIMIT=1000
assert_eq "$(status "$base/health")" 200 "health needs no token"
assert_eq "$(jq -r .version "$work/body")" "$(sql 'SELECT empatia.version()')" "version"
assert_eq "$(status "$base/metrics")" 401 "no token"
assert_eq "$(status -H 'Authorization: Bearer secre' "$base/metrics")" 401 "half a token"
assert_eq "$(status "$base/docs/")" 200 "the documentation"
assert_eq "$(status "$base/openapi.json")" 200 "the description"
assert_eq "$(jq -rc '.paths | keys' "$work/body")" '["/drift","/explain","/health","/metrics","/predict"]' "what the description has"
token='Authorization: Bearer secret'
assert_eq "$(status -H "$token" "$base/metrics")" 200 "metrics"
cp "$work/body" "$work/metrics"
assert_eq "$(grep -c '^empatia_rejected_rows{client="escola \\"A\\"\\\\B"} 0$' "$work/metrics")" 1 "an escaped label"
assert_eq "$(status -H "$token" -d '{"model": "x"' -H 'Content-Type: application/json' "$base/predict")" 400 "half a body"
assert_eq "$(status -H "$token" -d '{"model": "x", "inputs": {}}' -H 'Content-Type: application/json' "$base/predict")" 422 "an unknown key"
assert_eq "$(status -H "$token" -d "{\"model\": \"$(printf '%02000d' 0)\", \"input\": {}}" -H 'Content-Type: application/json' "$base/predict")" 413 "a large body"
assert_eq "$(status -H "$token" "$base/predict")" 405 "GET of predict"
assert_eq "$(status -H "$token" "$base/explain")" 400 "explain of nobody"
assert_eq "$(status -H "$token" "$base/elsewhere")" 404 "an unknown route"

# Debian's own, unpacked and not installed
download() { apt-get download -q prometheus > "$work/apt" 2>&1; }
(cd "$work" && { download || { apt-get update -q > /dev/null 2>&1 && download; } || fail "apt-get download prometheus: $(cat apt)"; } &&
  dpkg-deb -x prometheus_*.deb prometheus)
"$work/prometheus/usr/bin/promtool" check metrics < "$work/metrics" || fail "promtool"
"$work/prometheus/usr/bin/promtool" check config --syntax-only "$PROJECT/docker/prometheus.yml" || fail "promtool of docker/prometheus.yml"
cat > "$work/prometheus.yml" <<YML
scrape_configs:
  - job_name: empatia
    scrape_interval: 1s
    authorization: {credentials: secret}
    static_configs: [{targets: ['127.0.0.1:$port']}]
YML
web=127.0.0.1:$((port + 1))
"$work/prometheus/usr/bin/prometheus" --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" --web.listen-address="$web" > "$work/prometheus.log" 2>&1 &
scraped() { curl -s --noproxy '*' "http://$web/api/v1/query?query=empatia_info" | jq -e '.data.result[0].value[1] == "1"' >/dev/null; }
until_true "Prometheus has scraped the service" scraped

# the database goes and comes back, and so does the service
server_restart immediate
answers() { [ "$(status -H "$token" "$base/metrics")" = 200 ]; }
until_true "the service answers after a crash of the database" answers
stop

serve
assert_eq "$(status "$base/metrics")" 200 "without a token set nobody needs one"
stop
