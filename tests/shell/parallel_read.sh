#!/usr/bin/env bash
# Facts read by parallel workers. Guards against: cells that differ from those of a reading in one process, whatever the facts hang on
# and whoever they are from; facts that the transaction itself wrote and that workers miss, or those of others that they see too early;
# a build that needs workers where there are none; workers that stay after a cancel; rights that workers do not ask for.
# shellcheck source=tests/shell/lib.sh
source "$(dirname "$0")/lib.sh"

server_start "min_parallel_table_scan_size = 0" "max_parallel_workers_per_gather = 3" "jit = off" "log_line_prefix = '%b '"
create_database school
sql "SELECT * FROM empatia.create_warehouse()" > /dev/null
"$PG_BIN/psql" -Xq -v ON_ERROR_STOP=1 -v millions=1 -f "$PROJECT/benches/datasets/growth.sql" > /dev/null
# facts that count nowhere, or not everywhere: no unit, no lecture, another's space, outside the range
sql "INSERT INTO dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, environment_id, course_id, space_id, subject_id, lecture_id)
     SELECT f.client_id, 2, f.interaction_id, f.user_id, f.interaction_type_id, f.amount, f.occurred_at, f.day - CASE WHEN f.interaction_id % 4 = 3 THEN 400 ELSE 0 END,
            CASE WHEN f.interaction_id % 4 <> 0 THEN f.environment_id END, CASE WHEN f.interaction_id % 4 <> 0 THEN f.course_id END,
            CASE f.interaction_id % 4 WHEN 1 THEN 1 - f.space_id WHEN 0 THEN NULL ELSE f.space_id END, NULL, NULL
     FROM dw.fact_interaction f WHERE f.interaction_id <= 20000" > /dev/null

workers() { grep -oE 'read by [0-9]+ parallel' <<< "$1" | grep -oE '[0-9]+' | sort -u | tr '\n' ' '; }
# build SETTINGS...: what build_cube() says
build() {
  local settings=''
  for setting in "$@"; do settings+="SET $setting; "; done
  sql "$settings SET client_min_messages = debug1; SELECT sum(stored_rows) || ' cells, left out: ' || max(left_out::text) FROM empatia.build_cube(full_build => true)" 2>&1
}
cells() { sql "SELECT count(*) || '|' || sum(hashtextextended(c::text, 0)) FROM analytics.cube c"; }
left_out() { grep -o 'left out: .*' <<< "$1"; }

one=$(build 'max_parallel_workers_per_gather = 0')
alone=$(cells)
assert_eq "$(workers "$one")" '' 'workers where there may be none'
assert_match "$(left_out "$one")" 'no space": 5000.*' 'facts on no space'
sql 'TRUNCATE analytics.cube'
several=$(build)
assert_match "$(workers "$several")" '^[1-3] $' 'workers that read'
assert_eq "$(cells)" "$alone" 'cells'
assert_eq "$(left_out "$several")" "$(left_out "$one")" 'facts left out'

# facts that do not fit into memory are set aside, not read again
sql 'TRUNCATE analytics.cube'
aside=$(build "empatia.memory_limit = '64MB'")
assert_match "$aside" '[1-9][0-9]{6,} bytes of facts set aside in ([2-9]|1[0-9]) round' 'facts set aside'
assert_match "$(workers "$aside")" '^[1-3] $' 'workers that read, once'
assert_eq "$(cells)" "$alone" 'cells of facts that were set aside'
assert_sql "SELECT count(*) FROM pg_ls_tmpdir()" 0 'files that stay'
# and beyond temp_file_limit nothing is built, and nothing stays
sql 'TRUNCATE analytics.cube'
assert_sql_fails "SET temp_file_limit = '1MB'; SET empatia.memory_limit = '64MB'; SELECT count(*) FROM empatia.build_cube(full_build => true)" '53400: temporary file size exceeds' 'facts beyond temp_file_limit'
assert_sql "SELECT (SELECT count(*) FROM analytics.cube), (SELECT count(*) FROM pg_ls_tmpdir())" '0|0' 'files and cells after an error'

# no worker to be had
sql 'TRUNCATE analytics.cube'
assert_match "$(workers "$(build 'max_parallel_workers = 0')")" '^0 $' 'workers where all are taken'
assert_eq "$(cells)" "$alone" 'cells built without a worker'

# what the transaction wrote, in each isolation; its posts count, and are gone with it
posts() { sql "SELECT sum(posts) FROM analytics.cube_env_week"; }
before=$(posts)
for isolation in 'READ COMMITTED' 'REPEATABLE READ' SERIALIZABLE; do
  said=$(sql "SET client_min_messages = debug1; BEGIN ISOLATION LEVEL $isolation;
    UPDATE dw.fact_interaction SET amount = amount + 1 WHERE interaction_type_id = 1 AND source_id = 1;
    SAVEPOINT s; UPDATE dw.fact_interaction SET amount = amount + 1 WHERE interaction_type_id = 1 AND source_id = 1; ROLLBACK TO s;
    SELECT count(*) FROM empatia.build_cube(full_build => true);
    SELECT 'posts ' || sum(posts) FROM analytics.cube_env_week; ROLLBACK" 2>&1)
  assert_match "$(workers "$said")" '[1-3] $' "workers, $isolation"
  found=$(grep -oE '^posts [0-9]+' <<< "$said")
  added=$(sql "SELECT count(*) FROM dw.fact_interaction WHERE interaction_type_id = 1 AND source_id = 1")
  assert_eq "$found" "posts $((before + added))" "posts that the transaction wrote, $isolation"
done
assert_eq "$(posts)" "$before" 'posts after it'

# what others committed since the snapshot is not seen
said=$({ printf '%s\n' "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM dw.client;"; sleep 1
  sql "UPDATE dw.fact_interaction SET amount = amount + 1 WHERE interaction_type_id = 1" > /dev/null
  printf '%s\n' "SELECT count(*) FROM empatia.build_cube(full_build => true); SELECT 'posts ' || sum(posts) FROM analytics.cube_env_week; COMMIT;"; } |
  "$PG_BIN/psql" -XAtq -v ON_ERROR_STOP=1)
assert_match "$said" "posts $before\$" 'posts that others committed meanwhile'

# the executor asks for rights in a worker, too
denied=$(sql "CREATE ROLE builder; GRANT USAGE ON SCHEMA empatia TO builder; GRANT USAGE ON SCHEMA dw TO builder; GRANT USAGE ON SCHEMA analytics TO builder; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA empatia TO builder;
  GRANT SELECT ON ALL TABLES IN SCHEMA analytics, empatia TO builder; GRANT SELECT ON dw.interaction_type, dw.client TO builder;
  SET ROLE builder; SELECT * FROM empatia._build_cells((SELECT min(client_id) FROM dw.client), 'dw', 'analytics', '{LEC}', '{WEEK}', '{NULL}', '{0}', '2024-01-01', '2024-09-26', 0, 'universe')" 2>&1 || true)
assert_match "$denied" 'permission denied for table fact_interaction' 'a role without rights on the facts'
assert_match "$(server_log)" 'parallel worker ERROR:  permission denied for table fact_interaction' 'who found that out'

# cancelled while workers read: nobody stays
"$PG_BIN/psql" -Xq -c "SET statement_timeout = '60ms'; SELECT count(*) FROM empatia.build_cube(full_build => true)" > /dev/null 2>&1 && fail 'a timeout that came to nothing'
assert_sql "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'" 0 'workers after a cancel'
sql "UPDATE dw.fact_interaction SET amount = amount - 1 WHERE interaction_type_id = 1" > /dev/null
build > /dev/null
assert_eq "$(cells)" "$alone" 'cells after all that'

# facts that take more than a quarter of shared buffers go through rings of them, 32 pages for each of 48 chunks, as when all of a large table is scanned: what others use stays
sql "CREATE EXTENSION pg_buffercache; TRUNCATE analytics.cube"
server_restart
build > /dev/null
assert_eq "$(cells)" "$alone" 'cells of facts read through rings'
pages=$(sql "SELECT sum(pg_relation_size(t.relid)) / 8192 FROM pg_partition_tree('dw.fact_interaction') t WHERE t.isleaf" | cut -d. -f1)
kept=$(sql "SELECT count(*) FROM pg_buffercache b JOIN pg_partition_tree('dw.fact_interaction') t ON t.isleaf AND b.relfilenode = pg_relation_filenode(t.relid) AND b.relforknumber = 0
            WHERE b.reldatabase = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())")
assert_between "$pages" 5000 50000 'pages of facts, of 16384 in shared buffers'
assert_between "$kept" 1 2000 "pages of facts left in shared buffers, of $pages"
echo "$kept of $pages pages of facts left in shared buffers"
