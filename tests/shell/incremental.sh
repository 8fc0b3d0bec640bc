#!/usr/bin/env bash
# Incremental = from scratch, on the demo school with its dirt. One client loads it at once; another in three random parts, children before their
# parents, some rows first in a wrong version and some that are deleted later, with build_cube() after each part. At the end warehouse, rejects and
# cube (all 35 combinations, the stored cells and what makes them dense) must be the same. Faults guarded against: a result that depends on the
# order of arrival; a late, changed or deleted row that never reaches the cube.
# shellcheck source=tests/shell/lib.sh
source "$(dirname "$0")/lib.sh"
SEED=${SEED:-1} # which parts; any number must pass

server_start
create_database app
psql -Xq -v users=200 -f "$PROJECT/demo/openredu.sql" >/dev/null
psql -Xqf "$PROJECT/demo/dirt.sql" >/dev/null
sql "SELECT empatia.create_warehouse(); SELECT empatia.add_client('at_once', null, 'America/Recife'); SELECT empatia.add_client('in_parts', null, 'America/Recife');
     UPDATE empatia.pipeline SET active = true;
     CREATE SCHEMA part;
     SELECT format('CREATE TABLE part.%I (LIKE openredu.%I)', table_name, table_name) FROM information_schema.tables
     WHERE table_schema = 'openredu' AND table_name NOT LIKE '\_%' \\gexec
     SELECT empatia.add_source('at_once', 'redu', 'openredu'); SELECT empatia.add_source('in_parts', 'redu', 'part')" >/dev/null
sql "SELECT count(*) FROM empatia.load('at_once')" >/dev/null

# part R of a table: its rows, with a time of change after every earlier part's (scaled, so that the order of versions stays)
insert_part() {
  sql "SELECT format('INSERT INTO part.%1\$I (%2\$s) SELECT %3\$s FROM openredu.%1\$I t WHERE abs(hashtextextended(coalesce(t.id::text, %4\$L), $SEED)) %% 3 = $1', table_name,
           string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position),
           string_agg(CASE column_name WHEN 'updated_at' THEN 'timestamp ''2026-01-01'' + interval ''10 days'' * $1
                          + (least(greatest(t.updated_at, ''2024-11-01''), ''2025-12-31'') - timestamp ''2025-01-01'') / 1000'
                      ELSE 't.' || quote_ident(column_name) END, ', ' ORDER BY ordinal_position), '')
       FROM information_schema.columns WHERE table_schema = 'openredu' AND table_name NOT LIKE '\_%' GROUP BY table_name \\gexec"
}
load_and_build() {
  sql "SELECT count(*) FROM empatia.load('in_parts')" >/dev/null
  sql "SELECT string_agg(DISTINCT mode, ',' ORDER BY mode) FROM empatia.build_cube(client => 'in_parts')"
}

insert_part 0
# wrong versions, and rows that the school will delete
sql "UPDATE part.statuses SET created_at = created_at + interval '9 days', user_id = user_id + 1 WHERE id % 20 = 0 AND id < 4000000;
     UPDATE part.user_assignments SET grade = grade / 2, submitted_at = null WHERE id % 20 = 0 AND id < 4000000;
     UPDATE part.results SET state = 'started' WHERE id % 20 = 0 AND id < 4000000;
     UPDATE part.lectures SET subject_id = (SELECT min(id) FROM openredu.subjects) WHERE id % 20 = 0 AND id < 4000000;
     UPDATE part.user_space_associations SET role = CASE role WHEN 'member' THEN 'teacher' ELSE 'member' END WHERE id % 20 = 0 AND id < 4000000;
     UPDATE part.users SET removed = NOT removed WHERE id % 20 = 0 AND id < 4000000;
     INSERT INTO part.statuses (id, type, user_id, statusable_type, statusable_id, created_at, updated_at)
         SELECT id + 5000000, 'Activity', user_id, statusable_type, statusable_id, created_at, updated_at FROM part.statuses WHERE type = 'Help' AND id < 4000000;
     INSERT INTO part.user_space_associations (id, user_id, space_id, role, created_at, updated_at)
         SELECT id + 5000000, user_id + 1, space_id, 'member', created_at, updated_at FROM part.user_space_associations WHERE id % 10 = 1 AND id < 4000000"
first=$(load_and_build)
insert_part 1
second=$(load_and_build)
insert_part 2
# what was wrong is put right, with the last part's time
for table in statuses user_assignments results lectures user_space_associations users; do
  sql "SELECT format('UPDATE part.%1\$I p SET (%2\$s) = (SELECT %2\$s FROM openredu.%1\$I o WHERE o.id = p.id), updated_at = ''2026-01-22'' WHERE p.id %% 20 = 0 AND p.id < 4000000', '$table', string_agg(quote_ident(column_name), ', '))
       FROM information_schema.columns WHERE table_schema = 'openredu' AND table_name = '$table' AND column_name NOT IN ('id', 'updated_at') \\gexec"
done
sql "UPDATE part.statuses SET deleted_at = '2026-01-22', updated_at = '2026-01-22' WHERE id BETWEEN 5000000 AND 8999999;
     UPDATE part.user_space_associations SET deleted_at = '2026-01-22', updated_at = '2026-01-22' WHERE id BETWEEN 5000000 AND 8999999"
third=$(load_and_build)
assert_eq "$first" full "the first build"
# the dense cube of the parts is compared at the end; that most of it came about incrementally is what makes this a test
assert_match "$second $third" incremental "the later builds"
assert_eq "$(sql "SELECT sum(inserted), sum(updated), sum(deleted) FROM empatia.load('in_parts')")" "0|0|0" "one more load"
sql "SELECT count(*) FROM empatia.build_cube(client => 'at_once', full_build => true); SELECT count(*) FROM empatia.build_cube(client => 'in_parts')" >/dev/null

# same TABLE COLUMNS-TO-IGNORE: rows of one client that the other does not have
same() {
  assert_sql "WITH a AS (SELECT to_jsonb(t) - '{client_id,source_id,change_id,reject_id,first_seen_at,last_seen_at,built_at,synced_at,source_table,row}'::text[] - 'grade_sum' ||
                         coalesce(jsonb_build_object('grade', round((to_jsonb(t) ->> 'grade_sum')::numeric, 9)), '{}') AS r, client_id FROM $1 t)
    SELECT count(*) FROM ((SELECT r FROM a WHERE client_id = 1 EXCEPT ALL SELECT r FROM a WHERE client_id = 2) UNION ALL
                          (SELECT r FROM a WHERE client_id = 2 EXCEPT ALL SELECT r FROM a WHERE client_id = 1)) d" 0 "$1: rows that differ between at once and in parts"
  assert_sql "SELECT count(*) > 0 FROM $1 WHERE client_id = 1" t "$1 has rows to compare"
}
for table in environment course space subject lecture student enrolment environment_role friendship grade_group gradebook assignment fact_interaction fact_assignment reject; do same "dw.$table"; done
for table in cube_unit cube_member cube_assigned cube_period cube; do same "analytics.$table"; done
assert_sql "SELECT count(DISTINCT (level, grain)) FROM analytics.cube WHERE client_id = 2" 35 "combinations compared"
# and the cube that grew is the one that is built in full
sql "CREATE TABLE kept AS SELECT * FROM analytics.cube WHERE client_id = 2; SELECT count(*) FROM empatia.build_cube(client => 'in_parts', full_build => true)" >/dev/null
assert_sql "WITH n AS (SELECT level, grain, user_id, unit_id, period_start, posts, post_replies, help_requests, help_request_replies, accesses, active_days, assigned_exercises,
                              submitted_exercises, late_exercises, round(grade_sum::numeric, 9), grade_count FROM analytics.cube WHERE client_id = 2),
                 o AS (SELECT level, grain, user_id, unit_id, period_start, posts, post_replies, help_requests, help_request_replies, accesses, active_days, assigned_exercises,
                              submitted_exercises, late_exercises, round(grade_sum::numeric, 9), grade_count FROM kept)
            SELECT count(*) FROM ((TABLE n EXCEPT ALL TABLE o) UNION ALL (TABLE o EXCEPT ALL TABLE n)) d" 0 "cells that differ between the cube that grew and a full build"
echo "builds: $first, then $second, then $third; $(sql 'SELECT count(*) FROM kept') cells of 35 combinations are the same"
