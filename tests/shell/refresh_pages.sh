#!/usr/bin/env bash
# A refresh puts a new version of a row beside the old one by itself, with PostgreSQL's record of the log. Faults guarded against: a page or a log
# that is not what PostgreSQL's own update makes of the same rows; changes that a crash loses or replays otherwise; rows that somebody has locked, that the same transaction
# changed before, or whose last change was undone, taken for rows that nobody else looks at; versions that an older query of the same
# transaction does not see any more; rows of an asynchronous commit, which do not say yet
# that it happened, left to PostgreSQL's update.
# shellcheck source=tests/shell/lib.sh
source "$(dirname "$0")/lib.sh"
if [ "$PG_MAJOR" != 15 ]; then
  echo "PostgreSQL $PG_MAJOR changes the rows itself"
  exit
fi

# replaying compares every page with what it was when it was logged
server_start "synchronous_commit = on" "autovacuum = off" "wal_consistency_checking = 'heap,heap2,btree'" "wal_writer_delay = '10s'" "wal_writer_flush_after = '1GB'"
create_database app
sql "CREATE EXTENSION amcheck; CREATE EXTENSION pageinspect; CREATE EXTENSION pg_walinspect; CREATE EXTENSION pg_visibility;
     SELECT empatia.create_warehouse(); SELECT empatia.add_client('escola', null, 'UTC'); UPDATE empatia.pipeline SET active = true;
     INSERT INTO dw.environment VALUES (1, 1, 'A', false); INSERT INTO dw.course VALUES (1, 1, 1, 'c', false); INSERT INTO dw.space VALUES (1, 1, 1, 's', false);
     INSERT INTO dw.student SELECT 1, u, 'u' || u FROM generate_series(1, 2000) u;
     INSERT INTO dw.enrolment SELECT 1, u, 1, u FROM generate_series(1, 2000) u;
     CREATE SEQUENCE facts;
     CREATE FUNCTION click(step int, d date, kind int) RETURNS void LANGUAGE sql AS \$\$
         INSERT INTO dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, environment_id, course_id, space_id)
         SELECT 1, 1, nextval('facts'), u, kind, u, d, d, 1, 1, 1 FROM generate_series(1, 2000, step) u;
         INSERT INTO dw.change (client_id, change_id, user_id, day, only_added) SELECT 1, nextval('dw.change_id_seq'), u, d, true FROM generate_series(1, 2000, step) u \$\$;
     CREATE FUNCTION items() RETURNS TABLE (part text, block int, item int, line text, header text, next text, content bytea) LANGUAGE sql AS \$\$
         SELECT c.relname, b, i.lp, (i.lp_off, i.lp_flags, i.lp_len)::text, (i.t_infomask, i.t_infomask2, i.t_hoff, i.t_bits, i.t_field3)::text, i.t_ctid::text, i.t_data
         FROM pg_class c, generate_series(0, pg_relation_size(c.oid)::int / 8192 - 1) b, heap_page_items(get_raw_page(c.oid::regclass::text, b)) i
         WHERE c.oid IN (SELECT t.relid FROM pg_partition_tree('analytics.cube') t WHERE t.isleaf) \$\$;
     SELECT click(1, date '2024-01-01' + i * 20, 5) FROM generate_series(1, 9) i" >/dev/null
sql "SELECT count(*) FROM empatia.build_cube()" >/dev/null
contents() { sql "SELECT count(*), sum(hashtextextended(c::text, 0)) FROM analytics.cube c"; }
check_storage() {
  assert_sql "SELECT count(*) FROM pg_partition_tree('analytics.cube') t, LATERAL verify_heapam(t.relid) WHERE t.isleaf" 0 "$1: pages"
  assert_sql "SELECT count(*) FROM pg_partition_tree('analytics.cube') t, LATERAL pg_check_visible(t.relid) WHERE t.isleaf" 0 "$1: rows that the map calls visible for all"
  sql "SELECT bt_index_check(i.indexrelid, true) FROM pg_index i JOIN pg_partition_tree('analytics.cube') t ON t.relid = i.indrelid AND t.isleaf" > /dev/null
}
# the cube is what a build of everything computes
check_cube() {
  assert_sql "SELECT coalesce(sum(written_rows), 0) FROM empatia.build_cube(full_build => true)" 0 "$1: rows that a full build would write"
}
refresh() { sql "SET client_min_messages = debug2; SELECT count(*) FROM empatia.build_cube()" 2>&1; }
# of all parts: rows changed here, and rows changed
by_itself() { sed -nE 's/.*DEBUG: +([0-9]+) of ([0-9]+) rows of .* changed on their pages.*/\1 \2/p' | awk '{ a += $1; b += $2 } END { print a + 0, b + 0 }'; }

# --- the same refresh by PostgreSQL's own update: a constraint that holds makes it necessary
sql "SELECT sum(accesses) FROM analytics.cube" > /dev/null # everybody knows by now that the build was committed
# one half of the parts has pages that the visibility map knows
sql "VACUUM analytics.cube_env_all, analytics.cube_env_month, analytics.cube_env_week, analytics.cube_spa_year, analytics.cube_spa_month, analytics.cube_crs_quarter, analytics.cube_crs_all"
sql "SELECT click(7, '2024-03-01', 5); CHECKPOINT" > /dev/null
PGDATABASE=postgres sql "CREATE DATABASE other TEMPLATE app" > /dev/null
PGDATABASE=other sql "SELECT format('ALTER TABLE analytics.%I ADD CHECK (posts >= 0) NOT VALID', c.relname) FROM pg_class c WHERE c.oid IN (SELECT t.relid FROM pg_partition_tree('analytics.cube') t WHERE t.isleaf) \\gexec" > /dev/null
logged() { sql "SELECT count, record_size, combined_size > 0 FROM pg_get_wal_stats('$1', '$2', true) WHERE \"resource_manager/record_type\" = 'Heap/HOT_UPDATE'"; }
declare -A changed records
begin=$(sql "SELECT pg_current_wal_insert_lsn()")
for database in app other; do
  export PGDATABASE=$database
  from=$(sql "SELECT pg_current_wal_insert_lsn()")
  changed[$database]=$(refresh | by_itself)
  records[$database]=$(logged "$from" "$(sql "SELECT pg_current_wal_flush_lsn()")")
done
export PGDATABASE=app
read -r here all <<< "${changed[app]}"
assert_between "$all" 2000 9000 "rows changed"
assert_between "$here" "$((all * 9 / 10))" "$all" "of them without PostgreSQL's update"
assert_eq "${changed[other]}" "0 0" "with the constraint"
assert_eq "${records[app]}" "${records[other]}" "number and size of the records of the log"
items="SELECT count(*), md5(string_agg(i::text, E'\n' ORDER BY i.part, i.block, i.item)) FROM items() i"
assert_eq "$(sql "$items")" "$(PGDATABASE=other sql "$items")" "pages, but for the transactions"

# a page that is not said to be as new as its record of the log could reach the disk before that
assert_sql "SELECT count(*) FROM pg_class c, generate_series(0, pg_relation_size(c.oid)::int / 8192 - 1) b, LATERAL get_raw_page(c.oid::regclass::text, b) p
            WHERE c.oid IN (SELECT t.relid FROM pg_partition_tree('analytics.cube') t WHERE t.isleaf) AND (page_header(p)).lsn < '$begin'
            AND (SELECT max(i.t_xmin::text::bigint) FROM heap_page_items(p) i) = (SELECT max(c.xmin::text::bigint) FROM analytics.cube c)" 0 "changed pages with an old place in the log"
map="SELECT sum(all_visible), sum(all_frozen) FROM pg_partition_tree('analytics.cube') t, LATERAL pg_visibility_map_summary(t.relid) WHERE t.isleaf"
assert_eq "$(sql "$map")" "$(PGDATABASE=other sql "$map")" "the visibility map"

# --- a crash: what was committed comes from the log
before=$(contents)
server_restart immediate
assert_eq "$(contents)" "$before" "the cube after a crash"
check_storage "after a crash"
check_cube "after a crash"

# --- undone, and then done; twice in a transaction; undone in part
refreshed="SELECT count(*) FROM empatia.build_cube()"
sql "SELECT click(11, '2024-03-02', 5)" > /dev/null
before=$(contents)
sql "BEGIN; $refreshed; ROLLBACK" > /dev/null
assert_eq "$(contents)" "$before" "a refresh that was undone"
refresh > /dev/null
check_cube "after one that was undone"
sql "BEGIN; SELECT click(13, '2024-03-03', 5); $refreshed; SELECT click(13, '2024-03-03', 5); $refreshed; SAVEPOINT s; SELECT click(5, '2024-03-03', 5); $refreshed; ROLLBACK TO s;
     SELECT click(17, '2024-03-04', 5); $refreshed; COMMIT" > /dev/null
check_cube "several in a transaction"
# a query that began between two of them sees what there was then
totals="SELECT count(*), sum(accesses) FROM analytics.cube"
fetched=$(sql "BEGIN; SELECT click(31, '2024-03-04', 5); $refreshed; $totals; DECLARE c CURSOR FOR $totals; SELECT click(31, '2024-03-04', 5); $refreshed; FETCH c; $totals; COMMIT" | grep '|')
assert_eq "$(sed -n 2p <<< "$fetched")" "$(sed -n 1p <<< "$fetched")" "what a cursor sees that is older than the last refresh"
[ "$(sed -n 3p <<< "$fetched")" != "$(sed -n 1p <<< "$fetched")" ] || fail "the last refresh changed nothing"
check_cube "with a cursor"

# --- right after an asynchronous commit, whose log is not on disk
sql "SET synchronous_commit = off; SELECT click(31, '2024-03-04', 5); $refreshed" > /dev/null
read -r here all <<< "$(sql "SET synchronous_commit = off; SELECT click(31, '2024-03-04', 5); SET client_min_messages = debug2; $refreshed" 2>&1 | by_itself)"
assert_between "$here" "$((all * 9 / 10))" "$all" "of rows of an asynchronous commit those changed without PostgreSQL's update"
check_cube "after an asynchronous commit"

# --- rows that somebody has locked: who only forbids to change the key is not waited for, and keeps the lock
printf '%s\n' "BEGIN; SELECT count(*) FROM (SELECT 1 FROM analytics.cube c WHERE c.user_id <= 1000 FOR KEY SHARE) x; SELECT pg_sleep(120);" | "$PG_BIN/psql" -Xq > /dev/null 2>&1 &
locker=$!
wait_for 20 "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'" t "rows are locked"
sql "SELECT click(3, '2024-03-05', 5)" > /dev/null
read -r here all <<< "$(refresh | by_itself)"
assert_between "$here" "$((all * 3 / 10))" "$((all * 55 / 100))" "of $all rows those that nobody has locked"
assert_sql_fails "SET lock_timeout = '100ms'; DELETE FROM analytics.cube_env_all c WHERE c.user_id = 1" "lock timeout" "the key of a locked row"
sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'" > /dev/null
wait "$locker" 2> /dev/null || true
check_cube "with locked rows"
# who means to delete rows is waited for
printf '%s\n' "BEGIN; SELECT count(*) FROM (SELECT 1 FROM analytics.cube_env_all c FOR UPDATE) x; SELECT pg_sleep(120);" | "$PG_BIN/psql" -Xq > /dev/null 2>&1 &
locker=$!
wait_for 20 "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'" t "rows are locked"
sql "SELECT click(3, '2024-03-06', 5)" > /dev/null
assert_sql_fails "SET lock_timeout = '100ms'; $refreshed" "lock timeout" "a refresh of rows that are locked"
sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'" > /dev/null
wait "$locker" 2> /dev/null || true
refresh > /dev/null
check_cube "after the lock"
check_storage "at the end"
sql "VACUUM analytics.cube_env_all, analytics.cube_env_week; SELECT click(9, '2024-03-07', 5)" > /dev/null
refresh > /dev/null
check_cube "pages that all transactions saw"
# the marks of such pages were taken back
assert_sql "SELECT count(*) FROM analytics.cube c WHERE c.grain = 'ALL'" 6000 "rows at the end"
check_storage "after a vacuum"
echo "${changed[app]} rows changed on their pages, ${records[app]} records and bytes"
