#!/usr/bin/env bash
# The same few rows of each page changed by one refresh after the other: new versions take the place of old ones that nobody sees any more, so that
# neither parts nor their indexes grow. Fault guarded against: old versions that stay although there is no room, since a refresh frees them only then.
# shellcheck source=tests/shell/lib.sh
source "$(dirname "$0")/lib.sh"

server_start "autovacuum = off" # nothing else frees them, and nobody else's snapshot keeps them
create_database app
sql "SELECT empatia.create_warehouse(); SELECT empatia.add_client('escola', null, 'UTC'); UPDATE empatia.pipeline SET active = true;
     INSERT INTO dw.environment VALUES (1, 1, 'A', false); INSERT INTO dw.course VALUES (1, 1, 1, 'c', false); INSERT INTO dw.space VALUES (1, 1, 1, 's', false);
     INSERT INTO dw.student SELECT 1, u, 'u' || u FROM generate_series(1, 2000) u;
     INSERT INTO dw.enrolment SELECT 1, u, 1, u FROM generate_series(1, 2000) u;
     CREATE SEQUENCE facts;
     CREATE FUNCTION click(step int, d date) RETURNS void LANGUAGE sql AS \$\$
         INSERT INTO dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, environment_id, course_id, space_id)
         SELECT 1, 1, nextval('facts'), u, 5, 1, d, d, 1, 1, 1 FROM generate_series(1, 2000, step) u;
         INSERT INTO dw.change (client_id, change_id, user_id, day, only_added) SELECT 1, nextval('dw.change_id_seq'), u, d, true FROM generate_series(1, 2000, step) u \$\$;
     SELECT click(1, date '2024-01-01' + i * 20) FROM generate_series(1, 9) i" >/dev/null
sql "SELECT count(*) FROM empatia.build_cube()" >/dev/null
pages() { sql "SELECT sum(pg_relation_size(c.oid)) / 8192 FROM pg_class c WHERE c.relnamespace = 'analytics'::regnamespace AND c.relkind IN ('r', 'i') AND c.relname ~ '^cube_(env|crs|spa)_'" | cut -d. -f1; }
before=$(pages)
for _ in $(seq 12); do
  sql "SELECT click(40, '2024-03-01'); SELECT count(*) FROM empatia.build_cube()" >/dev/null
done
after=$(pages)
# a tenth of a page is room for six versions of its fifty rows: without making room each page of those rows would have got another one
assert_between "$((after - before))" 0 5 "pages more after twelve refreshes, of $before"
assert_sql "SELECT min(accesses), max(accesses) FROM analytics.cube_spa_all" "9|21" "accesses of students"
echo "$before pages, $after after twelve refreshes"
