#!/usr/bin/env bash
# A hot standby: what only reads works there and says what the primary says; predictions are made and not recorded; what writes is refused, not half done.
# Faults guarded against: a call that takes a transaction id, a lock or a temporary table; a prediction that fails because it cannot be recorded; metrics that count
# in the memory of one server; a promoted standby that goes on without recording.
# shellcheck source=tests/shell/lib.sh
source "$(dirname "$0")/lib.sh"

server_start
create_database school
sql "SELECT count(*) FROM empatia.create_warehouse(); SELECT client FROM empatia.add_client('escola')" > /dev/null
"$PG_BIN/psql" -Xq -f "$PROJECT/demo/service.sql" > /dev/null
case_of() { printf '{"pupil": "%s", "grade": "6,1", "attendance": 71, "school": "Public", "shoe size": 38}' "$1"; }
assert_sql "SELECT recorded FROM empatia.predict('lag', '$(case_of p1)')" t "the primary records"

# _pg_dir NAME is where lib.sh looks for a server
standby=$(_server_name standby)
dir=$(_pg_dir "$standby")
mkdir "$dir"
[ "$SERVER_USER" = "$(id -un)" ] || chown "$SERVER_USER" "$dir"
PG_STARTED+=("$standby")
as_server mkdir -m 700 "$dir/sock"
as_server "$PG_BIN/pg_basebackup" -h "$PGHOST" -p "$PGPORT" -U postgres -D "$dir/data" -X stream -R --no-sync --checkpoint=fast
printf "unix_socket_directories = '%s'\n" "$dir/sock" | as_server tee -a "$dir/data/postgresql.conf" > /dev/null
as_server "$PG_BIN/pg_ctl" start -s -w -t "$PG_WAIT" -D "$dir/data" -l "$dir/log" > /dev/null
on_primary() { server_use ''; }
on_standby() { server_use standby; }

# what the standby has to say: the same as the primary
declare -A asked said
asked[predicted]="SELECT p.student_id, p.risk_score, p.class, p.threshold, p.probabilities, p.top_risk_factors, p.imputed, p.unknown, p.version FROM empatia.predict('lag', '$(case_of p2)', record => false) p"
asked[rows]="SELECT count(*), md5(string_agg(r::text, ',' ORDER BY r.student_id, r::text COLLATE \"C\")) FROM empatia.predict_rows('lag', 'school.pupil', record => false) r"
asked[drift]="SELECT md5(string_agg(d::text, ',' ORDER BY d.kind, d.name)) FROM empatia.drift('lag', against => 'school.pupil') d"
asked[history]="SELECT e.model, e.risk_score, e.class FROM empatia.explain('p1', 5) e"
asked[scores]="SELECT count(*), md5(string_agg(r::text, ',')) FROM empatia.roc_curve(1) r; SELECT md5(empatia.model_card(1))"
for what in predicted rows drift history scores; do said[$what]=$(sql "${asked[$what]}"); done
metrics=$(sql "SELECT empatia.metrics()")
on_standby
assert_sql "SELECT pg_is_in_recovery()" t "the standby is one"
for what in predicted rows drift history scores; do assert_eq "$(sql "${asked[$what]}")" "${said[$what]}" "$what on the standby"; done
assert_eq "$(sql "SELECT empatia.metrics()")" "$metrics" "metrics on the standby"
assert_match "$metrics" 'empatia_info\{version=' "metrics say something"
assert_sql "SELECT count(*) > 3 FROM empatia.metric" t "and so does their view"

# predictions are made, and not recorded: neither as an error nor later
assert_sql "SELECT recorded, prediction_id IS NULL, risk_score BETWEEN 0 AND 1 FROM empatia.predict('lag', '$(case_of p3)')" "f|t|t" "predict() with recording asked for"
assert_sql "SELECT count(*) FROM empatia.predict_rows('lag', 'school.pupil')" 1200 "predict_rows() with recording asked for"
for call in "empatia.record_outcome('lag', 'p1', 'true')" "empatia.check_drift()" "empatia.maintain_predictions()" "empatia.retrain_table('lag')" "empatia.import_model(empatia.export_model(1))"; do
  assert_sql_fails "SELECT * FROM $call" "25006" "$call"
done

# what the primary writes arrives, a new version of the model with it
on_primary
assert_sql "SELECT count(*) FROM analytics.prediction" 1 "predictions of the standby in the primary"
sql "SELECT * FROM empatia.predict('lag', '$(case_of p4)');
     SELECT * FROM empatia.train_table('lag', 'school.pupil', 'lag < 0', key => '{pupil}', time_column => 'year', target_lead => 1, algorithm => 'logistic_regression', deploy => 'always')" > /dev/null
on_standby
wait_for 20 "SELECT version FROM empatia.predict('lag', '{}')" 2 "the new version on the standby"
assert_sql "SELECT string_agg(student_id, ',' ORDER BY student_id) FROM analytics.prediction" "p1,p4" "predictions of the primary on the standby"

# promoted, it records
as_server "$PG_BIN/pg_ctl" promote -s -w -t "$PG_WAIT" -D "$dir/data"
assert_sql "SELECT recorded FROM empatia.predict('lag', '$(case_of p5)')" t "the promoted standby records"
assert_sql "SELECT count(*) FROM analytics.prediction WHERE student_id = 'p5'" 1 "what it predicts"
