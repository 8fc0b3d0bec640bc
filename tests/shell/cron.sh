#!/usr/bin/env bash
# schedule() and schedule_drift() with the distribution's pg_cron, really firing. Faults guarded against: a job that pg_cron cannot run (a procedure that
# commits, in a background worker); a schedule that doubles; a message that does not say what is missing.
# shellcheck source=tests/shell/lib.sh
source "$(dirname "$0")/lib.sh"

server_start "shared_preload_libraries = 'pg_cron'" "cron.database_name = 'school'" "cron.use_background_workers = on" "max_worker_processes = 20" "max_connections = 30"
create_database school
assert_sql_fails "SELECT * FROM empatia.schedule()" "55000.*pg_cron is not installed in this database.*HINT.*postgresql-[0-9]+-cron.*CREATE EXTENSION pg_cron" "without pg_cron, schedule() says what to do"
assert_sql_fails "SELECT * FROM empatia.unschedule()" "55000.*HINT" "so does unschedule()"
assert_sql_fails "SELECT * FROM empatia.schedule_drift()" "55000.*pg_cron is not installed.*HINT" "and schedule_drift()"
sql "CREATE EXTENSION pg_cron"
assert_sql_fails "SELECT * FROM empatia.schedule()" "no warehouse.*create_warehouse" "nothing is scheduled before there is a warehouse"
sql "CREATE SCHEMA src; CREATE TABLE src.events (event_id int, who text, happened_at timestamp, kind text, course text);
     INSERT INTO src.events SELECT i, 'u' || i % 5, timestamp '2025-03-03' + i * interval '5 hours', 'post', 'c1' FROM generate_series(1, 40) i;
     SELECT * FROM empatia.create_warehouse(); SELECT * FROM empatia.add_client('a'); SELECT * FROM empatia.add_source('a', 'events', 'src');
     UPDATE empatia.pipeline SET active = level = 'SPA' AND grain = 'WEEK', k = 2" > /dev/null
assert_sql_fails "SELECT * FROM empatia.schedule('at noon')" "at noon" "a schedule that is none"
assert_sql_fails "SELECT * FROM empatia.schedule(NULL)" "22004.*HINT" "a schedule that is null"
assert_sql_fails "SELECT * FROM empatia.unschedule()" "42704.*no scheduled job" "there is nothing to unschedule"
assert_sql "SELECT job, schedule, command FROM empatia.schedule()" "empatia|0 3 * * *|CALL empatia.run_pipeline()" "the default is nightly"
assert_sql "SELECT schedule, command FROM empatia.schedule('* * * * *')" "* * * * *|CALL empatia.run_pipeline()" "the same name is rescheduled"
assert_sql "SELECT count(*) FROM cron.job" 1 "one job"
# a model whose inputs have shifted: predicted where bit is always 1, trained where it is half of the time
sql "CREATE TABLE src.flag AS SELECT i AS id, mod(i, 2) AS bit, sin(i * 12.9898) > 0 AS target FROM generate_series(1, 400) i;
     CREATE TABLE src.flag_now AS SELECT i AS id, 1 AS bit FROM generate_series(1, 200) i;
     SELECT * FROM empatia.train_table('the flag', 'src.flag', 'target', key => '{id}', algorithm => 'decision_tree', deploy => 'always')" > /dev/null
sql "SELECT count(*) FROM empatia.predict_rows('the flag', 'src.flag_now')" > /dev/null
assert_sql_fails "SELECT * FROM empatia.schedule_drift('no flag')" "42704.*no flag" "the drift of nothing"
assert_sql_fails "SELECT * FROM empatia.schedule_drift(since => '-1 day')" "22023.*HINT" "predictions to come"
assert_sql_fails "SELECT * FROM empatia.schedule_drift(cron => NULL)" "22004.*HINT" "no schedule"
assert_sql "SELECT job, schedule, command FROM empatia.schedule_drift()" "empatia_drift|0 6 * * 1|SELECT * FROM empatia.check_drift(since => '30 days')" "weekly, of all models"
assert_sql "SELECT command FROM empatia.schedule_drift('the flag', '* * * * *', true, '2 days')" \
  "SELECT * FROM empatia.check_drift(model => 'the flag', since => '2 days', retrain => true)" "of one, with retraining"
assert_sql "SELECT string_agg(jobname, ',' ORDER BY jobname) FROM cron.job" "empatia,empatia_drift" "two jobs"
wait_for 80 "SELECT count(*) FROM cron.job_run_details d JOIN cron.job j USING (jobid) WHERE d.status = 'succeeded' AND j.jobname = 'empatia'" 1 "pg_cron runs the job"
wait_for 80 "SELECT count(*) FROM cron.job_run_details d JOIN cron.job j USING (jobid) WHERE d.status = 'succeeded' AND j.jobname = 'empatia_drift'" 1 "and that of the drift"
assert_sql "SELECT removed FROM empatia.unschedule('empatia_drift')" t "which unschedule() removes by its name"
assert_sql "SELECT level FROM analytics.drift_history WHERE model = 'the flag' AND name = 'bit'" shift "it has written what it found"
assert_sql "SELECT max(version) FROM empatia.model WHERE name = 'the flag'" 2 "and trained again"
assert_sql "SELECT status, error FROM empatia.run WHERE run_id = 1" "done|" "the run is in the log"
assert_sql "SELECT string_agg(action || ' ' || status, ', ' ORDER BY step) FROM empatia.run_step WHERE run_id = 1" "load done, build done, segment done, classify done" "so are its steps"
assert_sql "SELECT count(*) > 0 AND count(categoria_engajamento) = count(*) FROM analytics.cubo_engajamento" t "and the cube is classified"
assert_sql "SELECT job, removed FROM empatia.unschedule()" "empatia|t" "unschedule()"
assert_sql "SELECT count(*) FROM cron.job" 0 "removes the job"
assert_sql "SELECT command FROM empatia.schedule('0 5 * * 0', retrain => true, job_name => 'weekly')" "CALL empatia.run_pipeline(retrain => true)" "a second, retraining schedule"
assert_sql_fails "SELECT * FROM empatia.unschedule('monthly')" "42704.*monthly" "an unknown job"
assert_sql "SELECT removed FROM empatia.unschedule('weekly')" t "by its name"
