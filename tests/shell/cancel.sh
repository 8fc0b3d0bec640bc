#!/usr/bin/env bash
# Every long step, cancelled at random moments by a second session, which also watches how long it takes. Faults guarded against: a step
# that cannot be cancelled until it is through; a half-written part, a lock, a temporary table that stay; a step that works no more
# afterwards; a step that says nothing of what it is at; files, workers and threads that outlive it. Two times are printed, from the cancel on: until it is noticed, which is when the server
# writes the error down, before it undoes anything, and until the session is idle. The bar of 100 ms is benches/case_cancel.py's, on a quiet machine.
# shellcheck source=tests/shell/lib.sh
source "$(dirname "$0")/lib.sh"
TIMES=${TIMES:-2} # cancels per step
STEPS=${STEPS:-.} # which: a regular expression
# only what cannot be cancelled takes as long: not a bar, a guard
UNCANCELLABLE_MS=3000

server_start "max_wal_size = '4GB'" "jit = off"
create_database school
sql "SELECT * FROM empatia.create_warehouse()" > /dev/null
"$PG_BIN/psql" -Xq -v ON_ERROR_STOP=1 -v millions=1 -f "$PROJECT/benches/datasets/growth.sql" > /dev/null
# a folder of files
FILES=$(server_dir)/files
as_server mkdir -p "$FILES"
sql "SELECT * FROM empatia.define_dataset('mark', '[{\"name\": \"ra\", \"type\": \"text\", \"role\": \"key\"}, {\"name\": \"grade\", \"type\": \"number\"}, {\"name\": \"note\", \"type\": \"text\"}]')" > /dev/null
for file in 1 2 3; do
  sql "COPY (SELECT 'r' || $file * 1000000 + i AS ra, replace((i % 97 / 9.7)::text, '.', ',') AS grade, md5(i::text) AS note FROM generate_series(1, 60000) i) TO '$FILES/$file.csv' (FORMAT csv, HEADER, DELIMITER ';')"
done
# rows to load; what the fits see of the cube: columns of many values
sql "UPDATE empatia.pipeline SET features = '{accesses,active_days,posts,post_replies,help_requests,help_request_replies}';
     CREATE SCHEMA landed;
     CREATE TABLE landed.events AS SELECT f.interaction_id AS event_id, f.user_id AS who, f.occurred_at AS happened_at, k.code AS kind, f.course_id AS course, f.space_id AS space
         FROM dw.fact_interaction f JOIN dw.interaction_type k USING (interaction_type_id) WHERE f.interaction_id % 5 = 0;
     ANALYZE landed.events;
     SELECT empatia.add_client('landed', 'Landed', 'UTC'); SELECT empatia.add_source('landed', 'events', 'landed')" > /dev/null
# the witness: waits, looks, cancels, watches; ms is null where the step was through by then
sql "CREATE FUNCTION public.cancel_after(victim integer, wait double precision, OUT ms numeric, OUT asked bigint, OUT seen text) LANGUAGE plpgsql AS \$\$
     DECLARE began timestamptz;
     BEGIN
         PERFORM pg_sleep(wait);
         SELECT substring(a.query FROM '^/\* empatia: (.*) \*/') INTO seen FROM pg_stat_activity a WHERE a.pid = victim;
         began := clock_timestamp();
         PERFORM pg_stat_clear_snapshot();
         IF NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = victim AND a.state = 'active') THEN
             RETURN;
         END IF;
         asked := floor(1000 * extract(epoch FROM clock_timestamp()));
         PERFORM pg_cancel_backend(victim);
         WHILE EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = victim AND a.state = 'active') AND clock_timestamp() < began + interval '60 s' LOOP
             PERFORM pg_sleep(0.001), pg_stat_clear_snapshot();
         END LOOP;
         ms := round((1000 * extract(epoch FROM clock_timestamp() - began))::numeric, 1);
     END \$\$"

counts() {
  sql "SELECT 'cube', count(*), coalesce(sum(hashtextextended(c::text, 0)), 0) FROM analytics.cube c UNION ALL SELECT 'class', count(*), coalesce(sum(hashtextextended(c::text, 0)), 0) FROM analytics.cube_class c
       UNION ALL SELECT 'part', count(*), coalesce(sum(hashtextextended(b::text, 0)), 0) FROM analytics.cube_build b
       UNION ALL SELECT 'prediction', count(*), coalesce(sum(hashtextextended(p::text, 0)), 0) FROM analytics.cube_prediction p
       UNION ALL SELECT 'default', count(*), coalesce(sum(hashtextextended(p::text, 0)), 0) FROM analytics.cube_prediction_default p UNION ALL SELECT 'reason', count(*), 0 FROM analytics.cube_reason
       UNION ALL SELECT 'label', count(*), coalesce(sum(hashtextextended(l::text, 0)), 0) FROM analytics.cube_label l
       UNION ALL SELECT 'fact', count(*), 0 FROM dw.fact_interaction UNION ALL SELECT 'student', count(*), 0 FROM dw.student
       UNION ALL SELECT 'change', count(*), 0 FROM dw.change UNION ALL SELECT 'reject', count(*), 0 FROM dw.reject
       UNION ALL SELECT 'imported', count(*), 0 FROM dw.import UNION ALL SELECT 'report', count(*), 0 FROM dw.import_report UNION ALL SELECT 'row of a file', count(*), 0 FROM dw.mark
       UNION ALL SELECT 'cursor', count(*), 0 FROM empatia.source_cursor UNION ALL SELECT 'model', count(*), 0 FROM empatia.model"
}
now_ms() { date +%s%3N; }

# noticed PID ASKED: milliseconds from ASKED (since 1970) until the server wrote the error of that process down
noticed() {
  local at
  at=$(awk -v pid="[$1]" '$4 == pid && /ERROR:  canceling statement due to user request/ { found = $1 " " $2 " " $3 } END { print found }' "$(server_dir)/log")
  [ -n "$at" ] || fail "the server's log does not say that $1 was cancelled"
  echo $(($(date -d "$at" +%s%3N) - $2))
}

# threads_of PID: of a process, all of its threads
threads_of() { find "/proc/$1/task" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l; }

# cancelled NAME STEP UNDO [SAYS]: the step whole, to know how long it takes; undone; then cancelled TIMES times; then whole again.
# SAYS: what pg_stat_activity has to show of it, at least once
cancelled() {
  local name=$1 step=$2 undo=$3 says=${4:-} began took before wait pid found asked seen latencies=() told=() said='' tries=0 messages
  [[ $name =~ $STEPS ]] || return 0
  messages=$(server_dir)/messages
  # without anything to undo the step is repeated over what it has left, which is quicker than the first time
  [ -n "$undo" ] || sql "$step" > /dev/null
  began=$(now_ms)
  sql "$step" > /dev/null
  took=$(($(now_ms) - began))
  [ -z "$undo" ] || sql "$undo" > /dev/null
  before=$(counts)
  while [ "${#latencies[@]}" -lt "$TIMES" ]; do
    tries=$((tries + 1))
    [ "$tries" -le $((12 * TIMES)) ] || fail "$name: it ends before it can be cancelled"
    { printf '%s\n' "$step;"; sleep 300; } | PGAPPNAME=victim "$PG_BIN/psql" -Xq -v VERBOSITY=verbose > "$messages" 2>&1 &
    wait_for 20 "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'victim' AND backend_type = 'client backend' AND state <> 'disabled' AND query LIKE '%empatia%'" 1 "$name: it runs"
    pid=$(sql "SELECT pid FROM pg_stat_activity WHERE application_name = 'victim' AND backend_type = 'client backend'")
    wait=$(awk -v took="$took" -v r="$RANDOM" 'BEGIN { printf "%.3f", took / 1000 * (0.02 + 0.6 * r / 32768) }')
    found=$(sql "SELECT ms, asked, seen FROM public.cancel_after($pid, $wait)")
    IFS='|' read -r found asked seen <<< "$found"
    [ -z "$seen" ] || said=$seen
    if [ -n "$found" ]; then
      # the session is idle before psql, on a busy machine, has written what it was told
      for _ in {1..100}; do [ ! -s "$messages" ] || break; sleep 0.05; done
      assert_match "$(cat "$messages")" "ERROR:  57014: canceling statement due to user request" "$name: cancelled after $wait of $took ms"
      assert_sql "SELECT count(*) FROM pg_locks WHERE pid = $pid" 0 "$name: locks of the session"
      assert_sql "SELECT count(*) FROM pg_class WHERE relpersistence = 't'" 0 "$name: temporary tables"
      assert_sql "SELECT count(*) FROM pg_ls_tmpdir()" 0 "$name: temporary files"
      assert_sql "SELECT count(*) FROM pg_stat_activity WHERE leader_pid = $pid" 0 "$name: parallel workers"
      assert_eq "$(counts)" "$before" "$name: nothing changed"
      # threads that free what it held end by themselves
      for _ in {1..100}; do [ "$(threads_of "$pid")" -gt 1 ] || break; sleep 0.05; done
      assert_eq "$(threads_of "$pid")" 1 "$name: threads of the session"
      told+=("$(noticed "$pid" "$asked")")
      assert_between "${told[-1]}" 0 "$UNCANCELLABLE_MS" "$name: from the cancel until it is noticed, in ms"
      assert_between "$found" 0 "$UNCANCELLABLE_MS" "$name: from the cancel to the idle session, in ms"
      latencies+=("$found")
    else # it was through: other times of building, for example
      [ -z "$undo" ] || sql "$undo" > /dev/null
      before=$(counts)
    fi
    sql "SELECT pg_terminate_backend($pid)" > /dev/null
    wait_for 20 "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'victim' AND backend_type = 'client backend'" 0 "$name: the session is gone"
  done
  sql "$step" > /dev/null
  [ -z "$says" ] || assert_match "$said" "$says" "$name: what other sessions see of it"
  printf '%s\n' "${latencies[@]}" | sort -n | awk -v name="$name" -v took="$took" -v said="$said" -v told="$(printf '%s\n' "${told[@]}" | sort -n | tr '\n' ' ')" '{ v[NR] = $1 }
    END { split(told, t, " "); printf "%-32s %6d ms; cancelled %d times: noticed after %d ms (median), %d at most; idle after %.0f, %.0f at most; \"%s\"\n", name, took, NR, t[int((NR + 1) / 2)], t[NR], v[int((NR + 1) / 2)], v[NR], said }'
}

cancelled "load" "SELECT * FROM empatia.load('landed')" \
  "DELETE FROM empatia.source_cursor; DELETE FROM dw.change; DELETE FROM dw.fact_interaction f USING dw.client c WHERE c.client_id = f.client_id AND c.code = 'landed';
   DELETE FROM dw.enrolment f USING dw.client c WHERE c.client_id = f.client_id AND c.code = 'landed'; DELETE FROM dw.student f USING dw.client c WHERE c.client_id = f.client_id AND c.code = 'landed'" \
  "^load landed, [a-z]+ "
cancelled "build_cube, native" "SELECT * FROM empatia.build_cube(client => 'growth', full_build => true)" "" "^build_cube"
# most facts wait in a temporary file, which is written in the middle of reading
cancelled "build_cube, facts set aside" "SET empatia.memory_limit = '32MB'; SELECT * FROM empatia.build_cube(client => 'growth', full_build => true)" "" "^build_cube"
sql "SELECT * FROM empatia.build_cube(client => 'growth')" > /dev/null # where STEPS left it out
cancelled "kmeans_segments, 1000 starts" "SELECT * FROM empatia.kmeans_segments('LEC', 'WEEK', 12, n_init => 1000, tolerance => 0)" "DELETE FROM empatia.model" "^segments of LEC x WEEK"
cancelled "kmeans_segments, gmm" "SELECT * FROM empatia.kmeans_segments('SPA', 'MONTH', 4, n_init => 8, algorithm => 'gmm')" "DELETE FROM empatia.model"
cancelled "kmeans_segments, dbscan" "SELECT * FROM empatia.kmeans_segments('LEC', 'WEEK', algorithm => 'dbscan', options => '{\"eps\": 0.3, \"min_points\": 50}')" "DELETE FROM empatia.model"
cancelled "choose_k" "SELECT * FROM empatia.choose_k('LEC', 'WEEK', 2, 24, n_init => 40)" "" "^choose_k of LEC x WEEK"
sql "DELETE FROM empatia.model; SELECT * FROM empatia.kmeans_segments('LEC', 'WEEK', 4); SELECT * FROM empatia.kmeans_segments('SUB', 'WEEK', 4)" > /dev/null
cancelled "classify" "SELECT * FROM empatia.classify('LEC', 'WEEK') a, empatia.classify('SUB', 'WEEK') b" "DELETE FROM analytics.cube_class; UPDATE analytics.cube_build SET model_version = NULL"
sql "UPDATE empatia.setting SET value = 'sql' WHERE key = 'builder'"
cancelled "build_cube, builder = sql" "SELECT * FROM empatia.build_cube('LEC', 'WEEK', client => 'growth', full_build => true)" "" "^build_cube"
sql "UPDATE empatia.setting SET value = 'native' WHERE key = 'builder'; SELECT * FROM empatia.build_cube('SUB', 'WEEK', client => 'growth');
     SELECT * FROM empatia.train('SUB', 'WEEK', target => 'inactive_next', options => '{\"max_rows\": 20000}', deploy => 'never');
     SELECT empatia.deploy(max(version)) FROM empatia.model WHERE task = 'classification'" > /dev/null
cancelled "classify, classifier" "SELECT * FROM empatia.classify('SUB', 'WEEK')" "SELECT empatia._forget_predictions(c.client_id, 'SUB', 'WEEK') FROM dw.client c"
for algorithm in gradient_boosting random_forest ensemble; do
  cancelled "train, $algorithm" "SELECT * FROM empatia.train('SUB', 'WEEK', target => 'inactive_next', algorithm => '$algorithm', options => '{\"max_rows\": 20000}', deploy => 'never')" \
    "DELETE FROM empatia.model m WHERE m.task = 'classification' AND NOT EXISTS (SELECT FROM empatia.deployment d WHERE d.version = m.version)" "^training SUB x WEEK"
done
cancelled "import_folder" "SELECT * FROM empatia.import_folder('mark', '$FILES', year => 2024)" "TRUNCATE dw.mark; DELETE FROM dw.import"
sql "SELECT * FROM empatia.train('SUB', 'WEEK', target => 'inactive_next', split => 'student', algorithm => 'random_forest', parameters => '{\"trees\": 300, \"min_leaf\": 1}',
       options => '{\"max_rows\": 10000, \"folds\": 2, \"calibrate\": false}', deploy => 'never')" > /dev/null
sql "CREATE TABLE public.onnx AS SELECT empatia.export_model(max(version), 'onnx') AS content FROM empatia.model WHERE algorithm = 'random_forest'"
cancelled "import_model, ONNX of $(sql "SELECT pg_size_pretty(length(content)::bigint) FROM public.onnx")" "SELECT * FROM empatia.import_model((SELECT content FROM public.onnx), 'SUB', 'WEEK')" \
  "DELETE FROM empatia.model WHERE target = 'imported'"
