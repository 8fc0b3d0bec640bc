#!/usr/bin/env bash
# run_pipeline() that is killed or cancelled in the middle, and import_file(), train() and deploy() that are killed. Faults guarded against: half a
# step that stays; a run that says running for ever; a lock that outlives its run; a cube that is wrong afterwards; a file that counts as imported and is not;
# a model or a deployment of which a part is there.
# shellcheck source=tests/shell/lib.sh
source "$(dirname "$0")/lib.sh"

# what was committed must survive: the fast settings of the other tests may lose the last commits in a crash
export EMPATIA_DURABLE=1
server_start "deadlock_timeout = 10s"
create_database school
"$PG_BIN/psql" -Xq -v users=90 -v months=2 -f "$PROJECT/demo/openredu.sql" > /dev/null
sql "SELECT * FROM empatia.create_warehouse(); SELECT * FROM empatia.add_client('redu-digital', 'Redu Digital', 'America/Recife');
     SELECT * FROM empatia.add_source('redu-digital', 'redu', 'openredu');
     UPDATE empatia.pipeline SET active = (level, grain) IN (('SPA', 'WEEK'), ('LEC', 'MONTH'), ('ENV', 'ALL'))" > /dev/null

# hold TABLE: another session locks it, so that the run stops where it first writes there
hold() {
  printf '%s\n' "BEGIN; LOCK TABLE $1 IN SHARE MODE; SELECT pg_sleep(120);" | "$PG_BIN/psql" -Xq > /dev/null 2>&1 &
  wait_for 20 "SELECT count(*) FROM pg_locks WHERE relation = '$1'::regclass AND mode = 'ShareLock' AND granted" 1 "the lock on $1"
}
release() {
  sql "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE mode = 'ShareLock' AND locktype = 'relation' AND granted" > /dev/null
  wait_for 20 "SELECT count(*) FROM pg_locks WHERE mode = 'ShareLock' AND locktype = 'relation'" 0 "the lock is gone"
}
# a run in the background, until it waits in the step ACTION; its process is in $pid, its messages in $messages
messages=$(server_dir)/messages
run_until() {
  printf '%s\n' "CALL empatia.run_pipeline();" "SELECT pg_sleep(${2:-0});" | "$PG_BIN/psql" -Xq -v VERBOSITY=verbose > "$messages" 2>&1 &
  wait_for 60 "SELECT s.action FROM empatia.run_step s JOIN empatia.run r USING (run_id) JOIN pg_stat_activity a USING (pid)
               WHERE s.status = 'running' AND a.wait_event_type = 'Lock' AND a.query LIKE '%run_pipeline%'" "$1" "the run waits in its step $1"
  pid=$(sql "SELECT pid FROM empatia.run ORDER BY run_id DESC LIMIT 1")
}
last_run() { sql "SELECT status, coalesce(error, '') FROM empatia.run ORDER BY run_id DESC LIMIT 1 OFFSET ${1:-0}"; }
# the cube is what the facts say, every row of it
assert_right() {
  local part
  for part in SPA:WEEK LEC:MONTH ENV:ALL; do
    assert_sql "WITH e AS (SELECT user_id, environment_id, course_id, space_id, subject_id, lecture_id, period_start, posts, post_replies, help_requests, help_request_replies, assigned_exercises, submitted_exercises, active_days
                           FROM empatia.engagement('redu-digital', '${part%:*}', '${part#*:}')),
                     v AS (SELECT user_id, environment_id, course_id, space_id, subject_id, lecture_id, data_inicio, posts_amount, post_replies_amount, help_requests_amount, help_request_replies_amount, assigned_exercises, submitted_exercises, active_days
                           FROM empatia.cubo_engajamento('redu-digital', '${part%:*}', '${part#*:}'))
                SELECT (SELECT count(*) > 0 FROM e), (SELECT count(*) FROM (TABLE e EXCEPT ALL TABLE v) x), (SELECT count(*) FROM (TABLE v EXCEPT ALL TABLE e) x)" "t|0|0" "$1: $part is what engagement() says"
  done
  assert_sql "SELECT count(*) FILTER (WHERE categoria_engajamento IS NULL) FROM analytics.cubo_engajamento" 0 "$1: everybody has a category"
}
more() { sql "INSERT INTO openredu.statuses SELECT (jsonb_populate_record(s, jsonb_build_object('id', s.id + $1, 'updated_at', now()))).* FROM openredu.statuses s WHERE s.type = 'Activity' ORDER BY s.id LIMIT 30"; }

# --- the backend is killed while the cells of the first build are written, and not committed
hold analytics.cube_build
run_until build
assert_sql "SELECT string_agg(action || ' ' || status, ', ' ORDER BY step) FROM empatia.run_step" "load done, build running" "the progress is seen while it runs"
kill -9 "$pid"
wait_for 60 "SELECT 1" 1 "the server recovers"
wait_for 30 "SELECT count(*) FROM pg_stat_activity WHERE pid = $pid" 0 "the process is gone"
assert_sql "SELECT (SELECT count(*) FROM analytics.cube), (SELECT count(*) FROM analytics.cube_build), (SELECT count(*) FROM analytics.cube_unit)" "0|0|0" "nothing of the build is there"
assert_sql "SELECT count(*) > 0 FROM dw.fact_interaction" t "the load, a finished step, is"
assert_eq "$(last_run)" "running|" "nobody could tell that the run died"
sql 'CALL empatia.run_pipeline()'
assert_eq "$(last_run 1)" "failed|the session ended before the run did" "the next run marks it"
assert_sql "SELECT status, error FROM empatia.run_step WHERE run_id = 1 AND action = 'build'" "failed|the session ended before the step did" "and its step"
assert_eq "$(last_run)" "done|" "and completes"
assert_right "after the backend was killed"

# --- the postmaster is killed in the middle of classifying a refreshed cube
more 10000000
hold analytics.cube_label
classes=$(sql "SELECT count(*), md5(string_agg(l::text, ',' ORDER BY l::text)) FROM analytics.cube_label l")
run_until build # which classifies what was classified before
kill -9 "$(head -n 1 "$(server_dir)/data/postmaster.pid")"
sleep 1
for _ in 1 2 3 4 5 6 7 8; do
  if as_server "$PG_BIN/pg_ctl" start -s -w -t 30 -D "$(server_dir)/data" -l "$(server_dir)/log" > /dev/null 2>&1; then break; fi
  sleep 1 # the old backends must have noticed
done
assert_sql "SELECT count(*), md5(string_agg(l::text, ',' ORDER BY l::text)) FROM analytics.cube_label l" "$classes" "the old categories are there"
sql 'CALL empatia.run_pipeline()'
assert_eq "$(last_run 1)" "failed|the session ended before the run did" "the dead run is marked"
assert_right "after the postmaster was killed"

# --- cancelled: an error, what was finished stays, the lock is free although the session lives on
more 20000000
hold analytics.cube_build
run_until build 60
sql "SELECT pg_cancel_backend($pid)" > /dev/null
wait_for 20 "SELECT status FROM empatia.run ORDER BY run_id DESC LIMIT 1" cancelled "the run is cancelled"
assert_sql "SELECT action, status FROM empatia.run_step WHERE run_id = (SELECT max(run_id) FROM empatia.run) ORDER BY step DESC LIMIT 1" "build|cancelled" "so is its step"
wait_for 10 "SELECT state FROM pg_stat_activity WHERE pid = $pid AND query LIKE '%pg_sleep%'" active "the session goes on"
assert_match "$(cat "$messages")" "ERROR:  57014: the pipeline was cancelled" "it was told"
assert_sql "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'" 0 "no lock is left"
release
sql 'CALL empatia.run_pipeline()'
assert_eq "$(last_run)" "done|" "the next run works at once"
assert_right "after it was cancelled"

# --- a second run while one runs: 55P03 at once, and it names the first
hold dw.fact_interaction
more 30000000
run_until load
assert_sql_fails "CALL empatia.run_pipeline()" "55P03: the pipeline is running already.*run [0-9]+ of process $pid.*HINT.*run_step" "a second run"
# --- terminated: the next run works at once
sql "SELECT pg_terminate_backend($pid)" > /dev/null
wait_for 20 "SELECT count(*) FROM pg_stat_activity WHERE pid = $pid" 0 "the session ends"
release
sql 'CALL empatia.run_pipeline()'
assert_eq "$(last_run 1)" "failed|the session ended before the run did" "the terminated run is marked"
assert_right "after it was terminated"
# --- interrupted between two steps: the lock is the session's until it ends, and others are told which session
{ printf '%s\n' "SELECT pg_advisory_lock(empatia._pipeline_key());"; sleep 60; } | "$PG_BIN/psql" -Xq > /dev/null 2>&1 &
wait_for 20 "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'" 1 "the lock of an idle session"
wait_for 20 "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle' AND query LIKE '%_pipeline_key%'" 1 "which is idle"
assert_sql_fails "CALL empatia.run_pipeline()" "55P03: .*taken by a session in which it was interrupted.*HINT.*pg_terminate_backend" "a lock that was left"
sql "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'" > /dev/null
wait_for 20 "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'" 0 "the idle session ends"
# --- and one that fails: the other combinations are done, the error names the step
sql "UPDATE empatia.pipeline SET k = 5; ALTER TABLE analytics.cube_class_lec_month ADD CONSTRAINT broken CHECK (false) NOT VALID"
assert_sql_fails "CALL empatia.run_pipeline(retrain => true)" "38000: run [0-9]+ of the pipeline: 1 steps failed.*broken.*HINT.*run_step" "a failing combination"
assert_sql "SELECT string_agg(level || ' ' || grain || ' ' || action || ' ' || status, ', ' ORDER BY step) FROM empatia.run_step WHERE run_id = (SELECT max(run_id) FROM empatia.run) AND level IS NOT NULL" \
  "ENV ALL segment done, ENV ALL classify done, SPA WEEK segment done, SPA WEEK classify done, LEC MONTH segment done, LEC MONTH classify failed" "the others are done"
sql "ALTER TABLE analytics.cube_class_lec_month DROP CONSTRAINT broken"
sql 'CALL empatia.run_pipeline()'
assert_right "after the failure was mended"

# --- import_file(), train() and deploy(), killed where they have written something and not all
# killed TABLE STEP WHAT: the step's backend dies while it waits to write to the table; WHAT, a query, says the same before and after, and the step works then
killed() {
  local before
  before=$(sql "$3")
  hold "$1"
  printf '%s\n' "$2;" | PGAPPNAME=victim "$PG_BIN/psql" -Xq > "$messages" 2>&1 &
  wait_for 60 "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.relation = '$1'::regclass AND NOT l.granted AND a.application_name = 'victim'" 1 "$2 waits for $1"
  pid=$(sql "SELECT pid FROM pg_stat_activity WHERE application_name = 'victim'")
  kill -9 "$pid"
  wait_for 60 "SELECT 1" 1 "the server recovers"
  wait_for 30 "SELECT count(*) FROM pg_locks WHERE mode = 'ShareLock' AND locktype = 'relation'" 0 "the lock is gone"
  assert_eq "$(sql "$3")" "$before" "after $2 was killed"
  sql "$2" > /dev/null
  [ "$(sql "$3")" != "$before" ] || fail "$2 changes nothing after it was killed"
}
sql "SELECT * FROM empatia.define_dataset('mark', '[{\"name\": \"ra\", \"type\": \"text\", \"role\": \"key\"}, {\"name\": \"grade\", \"type\": \"number\"}]', yearly => false);
     SELECT * FROM empatia.import_file('mark', E'ra,grade\na,1\nb,x\n'::bytea, 'first.csv')" > /dev/null
files="SELECT (SELECT string_agg(m::text, ' ' ORDER BY ra) FROM dw.mark m), (SELECT count(*) FROM dw.import), (SELECT count(*) FROM dw.import_report), (SELECT count(*) FROM dw.import_reject)"
killed dw.mark "SELECT * FROM empatia.import_file('mark', E'ra,grade\na,7\nc,y\n,3\n'::bytea, 'second.csv')" "$files"
assert_sql "SELECT string_agg(concat_ws(' ', ra, grade, file), ', ' ORDER BY ra) FROM dw.mark" "a 7 second.csv, b first.csv, c second.csv" "the file was not taken for imported"
models="SELECT (SELECT string_agg(concat_ws(' ', version, octet_length(encoded), octet_length(evaluation)), ', ' ORDER BY version) FROM empatia.model), (SELECT string_agg(d::text, ', ' ORDER BY d::text) FROM empatia.deployment d)"
train="SELECT * FROM empatia.train('SPA', 'WEEK', target => 'inactive_next', split => 'student', algorithm => 'decision_tree', options => '{\"min_rows\": 20}', deploy =>"
killed empatia.model "$train 'never')" "$models"
killed empatia.deployment "$train 'always')" "$models"
killed empatia.deployment "SELECT * FROM empatia.deploy((SELECT min(version) FROM empatia.model WHERE task = 'classification'))" "$models"
assert_sql "SELECT count(*) FROM analytics.cube_prediction WHERE class IS NULL" 0 "predictions are whole"
