#!/usr/bin/env bash
# pg_dump and pg_restore of a database at work. Faults guarded against: configuration that comes back as its defaults, or twice; models,
# sources, cursors or the run log that stay behind; sequences that start again; a restored database that loads everything anew, or cannot go on;
# facts and results that go with the extension.
# shellcheck source=tests/shell/lib.sh
source "$(dirname "$0")/lib.sh"

server_start
create_database school
"$PG_BIN/psql" -Xq -v users=90 -v months=2 -f "$PROJECT/demo/openredu.sql" > /dev/null
sql "SELECT * FROM empatia.create_warehouse(); SELECT * FROM empatia.add_client('redu-digital', 'Redu Digital', 'America/Recife');
     SELECT * FROM empatia.add_source('redu-digital', 'redu', 'openredu')" > /dev/null
# configuration: defaults changed, deleted and added
sql "UPDATE empatia.pipeline SET active = (level, grain) IN (('SPA', 'MONTH'), ('LEC', 'ALL'), ('CRS', 'WEEK')), k = 3;
     UPDATE empatia.pipeline SET features = '{posts,accesses,submitted_exercises}' WHERE level = 'CRS';
     DELETE FROM empatia.pipeline WHERE level = 'ENV' AND grain = 'YEAR';
     UPDATE empatia.setting SET value = '1' WHERE key = 'first_day_of_week';
     DELETE FROM empatia.setting WHERE key = 'valid_to';
     UPDATE empatia.label_rank SET label = 'ótimo' WHERE rank = 1;
     DELETE FROM empatia.label_rank WHERE rank = 4;
     INSERT INTO empatia.label_rank (level, grain, rank, label) VALUES ('SPA', '*', 2, 'bom');
     DELETE FROM empatia.excluded_role WHERE role = 'tutor';
     INSERT INTO empatia.excluded_role VALUES ('guest');
     UPDATE empatia.score_weight SET weight = 3 WHERE measure = 'posts';
     INSERT INTO empatia.adapter (adapter, relation, stream, query, requires) VALUES ('mine', 'student', 'people', 'SELECT p.id AS user_id FROM {source}.people p', '{\"people\": [\"id\"]}')"
sql 'CALL empatia.run_pipeline()'
sql "CREATE SCHEMA other; CREATE TABLE other.people (id int); INSERT INTO other.people VALUES (1);
     SELECT * FROM empatia.add_client('other'); SELECT * FROM empatia.add_source('other', 'mine', 'other')" > /dev/null
sql 'CALL empatia.run_pipeline()'
# a change that the cube has not seen yet
sql "UPDATE dw.lecture SET name = 'renomeada' WHERE client_id = 1 AND lecture_id = (SELECT min(lecture_id) FROM dw.lecture WHERE client_id = 1 AND NOT removed)"

tables="warehouse setting pipeline label_rank score_weight excluded_role adapter relation_column source source_cursor model run run_step step_tally"
# state: a line per table and result, which must be the same on both sides
state() {
  local table
  for table in $tables; do
    printf '%s %s\n' "$table" "$(sql "SELECT count(*), md5(string_agg(t::text, E'\n' ORDER BY t::text)) FROM empatia.$table t")"
  done
  sql "SELECT format('SELECT %L, count(*), md5(string_agg(t::text, '','' ORDER BY t::text)) FROM %I.%I t;', c.relname, n.nspname, c.relname)
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname IN ('dw', 'analytics') AND c.relkind IN ('r', 'v') AND NOT c.relispartition ORDER BY 1" | "$PG_BIN/psql" -XAtq -v ON_ERROR_STOP=1
  sql "SELECT 'facts', count(*), md5(string_agg(f::text, ',' ORDER BY f::text)) FROM dw.fact_interaction f"
  sql "SELECT 'assignments', count(*), md5(string_agg(f::text, ',' ORDER BY f::text)) FROM dw.fact_assignment f"
  sql "SELECT 'cube', count(*), md5(string_agg(f::text, ',' ORDER BY f::text)) FROM analytics.cube f"
  sql "SELECT 'comments', md5(string_agg(d.description, ',' ORDER BY d.description)) FROM pg_description d JOIN pg_class c ON c.oid = d.objoid WHERE c.relnamespace::regnamespace::text IN ('dw', 'analytics')"
}
before=$(state)
assert_match "$before" 'cube\|[1-9]' "there is a cube to dump"
assert_sql "SELECT count(*) > 100 AND count(categoria_engajamento) = count(*) FROM analytics.cubo_engajamento" t "and it is classified"

for format in plain custom; do
  "$PG_BIN/pg_dump" --format="$format" -f "$(server_dir)/sock/dump" school
  "$PG_BIN/createdb" "restored_$format"
  export PGDATABASE=restored_$format
  if [ "$format" = plain ]; then "$PG_BIN/psql" -Xq -v ON_ERROR_STOP=1 -f "$(server_dir)/sock/dump" > /dev/null
  else "$PG_BIN/pg_restore" --exit-on-error -d "$PGDATABASE" "$(server_dir)/sock/dump"; fi
  assert_eq "$(state)" "$before" "$format: everything is there, and equal"
  assert_sql "SELECT label FROM empatia.label_rank WHERE rank = 4" "" "$format: a deleted default stays deleted"
  export PGDATABASE=school
done

# the restored database goes on where the other one was
export PGDATABASE=restored_custom
assert_sql "SELECT count(*) FROM empatia.load() l WHERE l.inserted + l.updated + l.deleted > 0" 0 "a load changes nothing"
assert_sql "SELECT string_agg(DISTINCT mode, ',') FROM empatia.build_cube(client => 'redu-digital')" unchanged "a build finds nothing to do"
assert_sql "SELECT count(*) > 0 FROM analytics.cube_unit WHERE lecture_name = 'renomeada'" t "but what changed before the dump"
sql "UPDATE dw.enrolment SET role = 'teacher' WHERE client_id = 1 AND enrolment_id = (SELECT max(e.enrolment_id) FROM dw.enrolment e JOIN analytics.cube_member m ON (m.client_id, m.level, m.unit_id, m.user_id) = (e.client_id, 'SPA', e.space_id, e.user_id) WHERE e.client_id = 1)"
assert_sql "SELECT string_agg(DISTINCT mode, ',') FROM empatia.build_cube(client => 'redu-digital')" incremental "changes are noticed as before"
sql "UPDATE dw.enrolment SET role = 'member' WHERE client_id = 1 AND enrolment_id = (SELECT max(enrolment_id) FROM dw.enrolment WHERE client_id = 1 AND role = 'teacher')"
assert_sql "SELECT string_agg(DISTINCT mode, ',') FROM empatia.build_cube(client => 'redu-digital')" incremental "and back"
assert_sql "SELECT count(*) > 0 AND sum(written_rows) = 0 FROM empatia.classify()" t "nothing is left to classify"
models=$(sql "SELECT count(*), max(version) FROM empatia.model")
sql 'CALL empatia.run_pipeline()'
assert_sql "SELECT count(*), max(version) FROM empatia.model" "$models" "the restored models are used"
assert_sql "SELECT max(run_id), count(*), min(status) FROM empatia.run" "3|3|done" "runs are numbered on"
# the model itself works, not only its row: a full build is classified by it as before
view="SELECT md5(string_agg((v.cliente, v.user_id, v.space_id, v.lecture_id, v.data_inicio, v.posts_amount, v.categoria_engajamento, v.versao_modelo)::text, ',' ORDER BY v::text COLLATE \"C\")) FROM (SELECT cliente, user_id, environment_id, course_id, space_id, lecture_id, nivel_agregacao, data_inicio, posts_amount, categoria_engajamento, versao_modelo FROM analytics.cubo_engajamento) v"
was=$(sql "$view")
sql "SELECT count(*) FROM empatia.build_cube(full_build => true)" > /dev/null
sql "SELECT count(*) FROM empatia.classify()" > /dev/null
assert_sql "$view" "$was" "a full build, classified by the restored model, is the same"
sql "SELECT count(*) FROM empatia.kmeans_segments('SPA', 'MONTH')" > /dev/null
assert_sql "SELECT max(version) = ${models#*|} + 1 FROM empatia.model" t "models are numbered on"
sql "SELECT * FROM empatia.add_client('third')" > /dev/null
assert_sql "SELECT client_id FROM dw.client WHERE code = 'third'" 3 "clients are numbered on"
assert_sql "SELECT to_regclass('dw.fact_interaction_3') IS NOT NULL" t "and have their partitions"
sql "SELECT * FROM empatia.add_source('third', 'redu', 'openredu')" > /dev/null
assert_sql "SELECT max(source_id) FROM empatia.source" 3 "sources are numbered on"
assert_sql "SELECT message FROM empatia.create_warehouse() LIMIT 1" "exists already, nothing changed" "the warehouse is known"

# without the extension: facts and results stay readable
sql "DROP EXTENSION empatia"
assert_sql "SELECT count(*) > 0 FROM dw.fact_interaction" t "facts outlive the extension"
assert_sql "SELECT count(*) > 100 AND count(categoria_engajamento) = count(*) FROM analytics.cubo_engajamento WHERE cliente = 'redu-digital'" t "the view outlives the extension"
