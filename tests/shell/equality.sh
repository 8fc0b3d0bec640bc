#!/usr/bin/env bash
# Guards against a cube that differs from its definition: on the demo school, what build_cube() stored (read through the dense view) is
# engagement(), row by row and measure by measure, for all 35 combinations of level and grain, both bases of assignments, weeks from
# Sunday and from Monday, per student and summed over all users. A comparison that cannot see a wrong cell is guarded against, too.
# shellcheck source=tests/shell/lib.sh
source "$(dirname "$0")/lib.sh"

server_start "work_mem = '128MB'" "shared_buffers = '256MB'" "jit = off"
create_database app
sql 'SELECT count(*) FROM empatia.create_warehouse()' > /dev/null
"$PG_BIN/psql" -Xq -v ON_ERROR_STOP=1 -f "$PROJECT/demo/openredu.sql" > /dev/null
sql "SELECT empatia.add_client('redu-digital', 'Redu Digital', 'America/Recife');
     SELECT empatia.add_source('redu-digital', 'redu', 'openredu');
     SELECT count(*) FROM empatia.load();
     UPDATE empatia.pipeline SET active = true" > /dev/null
"$PG_BIN/psql" -Xq -v ON_ERROR_STOP=1 -f "$PROJECT/tests/truth/compare_cube.sql"
sql 'CREATE TABLE truth.found (basis text, first_day int, level text, grain text, dense_rows bigint, c truth.comparison)'

# compare BASIS FIRST_DAY CONDITION: the parts of the pipeline that meet the condition, in three sessions of about equal work
compare() {
  local basis=$1 first_day=$2 condition=$3 parts pids=() pid
  sql "UPDATE empatia.setting SET value = '$basis' WHERE key = 'assignment_basis';
       UPDATE empatia.setting SET value = '$first_day' WHERE key = 'first_day_of_week';
       UPDATE empatia.pipeline SET active = $condition;
       CREATE TABLE truth.part_${basis}_$first_day AS SELECT b.level, b.grain, b.dense_rows FROM empatia.build_cube() b"
  for parts in "level = 'LEC' AND grain = 'WEEK'" "level = 'LEC' AND grain <> 'WEEK'" "level <> 'LEC'"; do
    sql "INSERT INTO truth.found SELECT '$basis', $first_day, p.level, p.grain, p.dense_rows, c
         FROM truth.part_${basis}_$first_day p, truth.compare_cube('redu-digital', p.level, p.grain) c WHERE $parts" &
    pids+=("$!")
  done
  for pid in "${pids[@]}"; do wait "$pid" || fail "the comparison with basis $basis, first day $first_day did not finish"; done
}

begin=$SECONDS
compare universe 0 true
compare due 0 true
compare due 1 "grain = 'WEEK'"
compare universe 1 "grain = 'WEEK'"

assert_sql "SELECT string_agg(format('%s %s x %s, first day %s: %s and %s differences', basis, level, grain, first_day,
                              (f.c).differences, (f.c).unit_differences), '; ')
            FROM truth.found f WHERE ((f.c).differences + (f.c).unit_differences) IS DISTINCT FROM 0" '' 'parts that differ from their definition'
assert_sql "SELECT basis, first_day, count(*) FROM truth.found GROUP BY 1, 2 ORDER BY 1, 2" $'due|0|35\ndue|1|5\nuniverse|0|35\nuniverse|1|5' 'parts compared'
assert_sql "SELECT count(*) FROM truth.found f WHERE (f.c).rows IS DISTINCT FROM f.dense_rows" 0 'parts with another number of rows than build_cube() reports'
rows=$(sql "SELECT sum((f.c).rows) FROM truth.found f")
grades=$(sql "SELECT sum((f.c).grades) FROM truth.found f")
assert_between "$rows" 3000000 1000000000 'dense rows compared'
assert_between "$grades" 100000 1000000000 'grades compared'

# the basis that was built last: universe, weeks from Monday. seen CHANGE: differences after it, in a transaction that is undone
seen() {
  sql "BEGIN; UPDATE analytics.cube x SET $1 FROM (SELECT tableoid, ctid FROM analytics.cube WHERE level = 'SPA' AND grain = 'WEEK' AND $2
           ORDER BY user_id, unit_id, period_start LIMIT 1) one WHERE (x.tableoid, x.ctid) = (one.tableoid, one.ctid);
       SELECT differences || '|' || unit_differences FROM truth.compare_cube('redu-digital', 'SPA', 'WEEK'); ROLLBACK"
}
assert_eq "$(seen 'posts = posts + 1' true)" '2|2' 'one post more in one cell'
assert_eq "$(seen 'active_days = active_days - 1' 'active_days > 0')" '2|2' 'one active day less in one cell'
assert_match "$(seen 'grade_sum = grade_sum * (1 + 1e-9)' 'grade_sum > 0')" '^1\|' 'a grade that is off by 1e-9'

printf 'compared %s dense rows and %s grades of 80 parts in %s s: equal\n' "$rows" "$grades" "$((SECONDS - begin))"
