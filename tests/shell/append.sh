#!/usr/bin/env bash
# The first build appends whole pages and builds the indexes afterwards. Faults guarded against: pages or indexes that PostgreSQL finds damaged; rows
# that a crash or a standby does not get; a build that waits for readers, or that others read half; rows of a build that was undone.
# shellcheck source=tests/shell/lib.sh
source "$(dirname "$0")/lib.sh"

# nothing is lost when processes crash; that the machine does is not tried
server_start "synchronous_commit = on" "full_page_writes = on" "wal_level = replica" "max_wal_senders = 4"
if [ "$(as_server "$PG_BIN/pg_checksums" --version | wc -l)" = 1 ]; then
  as_server "$PG_BIN/pg_ctl" stop -s -w -D "$(server_dir)/data"
  as_server "$PG_BIN/pg_checksums" --enable -D "$(server_dir)/data" > /dev/null
  as_server "$PG_BIN/pg_ctl" start -s -w -D "$(server_dir)/data" -l "$(server_dir)/log" > /dev/null
fi
create_database school
sql "CREATE EXTENSION amcheck"
"$PG_BIN/psql" -Xq -v users=120 -v months=3 -f "$PROJECT/demo/openredu.sql" > /dev/null
sql "SELECT * FROM empatia.create_warehouse(); SELECT * FROM empatia.add_client('redu-digital', 'Redu Digital', 'America/Recife');
     SELECT * FROM empatia.add_source('redu-digital', 'redu', 'openredu'); SELECT * FROM empatia.load();
     UPDATE empatia.pipeline SET active = true" > /dev/null

build() { sql "SET client_min_messages = debug1; SELECT count(*) FROM empatia.build_cube(${1:-})" 2>&1 | sed -nE 's/.* ([0-9]+) of ([0-9]+) combinations appended.*/\1 of \2/p'; }
contents() { sql "SELECT count(*), sum(hashtextextended(c::text, 0)) FROM analytics.cube c"; }
# check_storage WHEN [CHECK]: the index's pages with those above them, which a standby does not allow
check_storage() {
  assert_sql "SELECT count(*) FROM pg_partition_tree('analytics.cube') t, LATERAL verify_heapam(t.relid) WHERE t.isleaf" 0 "$1: pages"
  # every row has its entry in the primary key, and every entry its row
  sql "SELECT ${2:-bt_index_parent_check(i.indexrelid, true, true)} FROM pg_index i JOIN pg_partition_tree('analytics.cube') t ON t.relid = i.indrelid AND t.isleaf" > /dev/null
}

# --- a build that is undone leaves nothing to see, and pages that the next one has to write beside
assert_sql "BEGIN; SELECT count(*) FROM empatia.build_cube('ENV', 'ALL'); SELECT count(*) > 0 FROM analytics.cube; ROLLBACK; SELECT count(*) FROM analytics.cube" $'1\nt\n0' "a build that is undone"
assert_eq "$(build "'ENV', 'ALL'")" "0 of 1" "a part with pages is not appended to"
assert_sql "SELECT count(*) > 0 FROM analytics.cube_env_all" t "but built"
# --- a reader whose transaction goes on is not waited for: its part is written row by row
printf '%s\n' "BEGIN; SELECT count(*) FROM analytics.cube_spa_week c WHERE c.client_id = 1 AND c.user_id = 1; SELECT pg_sleep(120);" | "$PG_BIN/psql" -Xq > /dev/null 2>&1 &
reader=$!
wait_for 20 "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'analytics.cube_spa_week_pkey'::regclass" t "a reader holds the index"
assert_eq "$(build)" "33 of 34" "all parts but the reader's and the one with pages are appended"
sql "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = 'analytics.cube_spa_week_pkey'::regclass" > /dev/null
wait "$reader" 2> /dev/null || true
check_storage "after the first build"
before=$(contents)
# --- what was committed is there after a crash, from the log and from the files
server_restart immediate
assert_eq "$(contents)" "$before" "the cube after a crash"
check_storage "after a crash"
# --- and from the log alone: the same rows as those that are written one by one
sql "CREATE TEMP TABLE t AS SELECT 1; TRUNCATE analytics.cube; SELECT count(*) FROM empatia.build_cube(full_build => true)" > /dev/null
assert_eq "$(contents)" "$before" "the cube built again into empty parts"

# --- a standby has the same rows, and its indexes find them
standby=$(server_dir)/standby
as_server "$PG_BIN/pg_basebackup" -h "$PGHOST" -U postgres -D "$standby" -R -X stream -c fast > /dev/null
as_server "$PG_BIN/pg_ctl" start -s -w -t "$PG_WAIT" -D "$standby" -l "$(server_dir)/standby.log" -o "-p 5433 -k $PGHOST" > /dev/null
trap 'as_server "$PG_BIN/pg_ctl" stop -s -m immediate -D "$standby" || true; pg_stop_started' EXIT
sql "TRUNCATE analytics.cube; SELECT count(*) FROM empatia.build_cube(full_build => true)" > /dev/null
target=$(sql "SELECT pg_current_wal_lsn()")
end=$((SECONDS + 60))
until [ "$(PGPORT=5433 sql "SELECT pg_last_wal_replay_lsn() >= '$target'")" = t ]; do
  [ "$SECONDS" -le "$end" ] || fail "the standby does not catch up"
  sleep 0.1
done
assert_eq "$(PGPORT=5433 contents)" "$before" "the cube on a standby"
PGPORT=5433 check_storage "on a standby" "bt_index_check(i.indexrelid, true)"
