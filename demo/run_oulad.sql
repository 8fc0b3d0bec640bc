-- The whole of Empatia on the complete Open University dataset, after demo/oulad_load.sh in the same database:
--   make demo DATA=../shared/data/oulad
-- The steps of run_pipeline() one by one, each followed by psql's timing; peak memory is what the system says of this session's
-- process, shared buffers that it touched included. With -v keep_report=FILE it writes the HTML report there too.
\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
\pset footer off
\pset null ''
\set client ou
\set level SPA
\set grain MONTH
-- presentations follow each other; of the last ones, which begin in October 2014, a month when all of them are running
\set month 2015-02-01
\set spaces '%2014J'
\set drift_level SPA
\set first_month 2014-10-01
\set last_month 2015-04-01
\set measures 'r.accesses_amount AS acessos, r.active_days AS dias_ativos, r.posts_amount AS forum'
\set peak 'SELECT pg_catalog.pg_size_pretty(1024 * substring(pg_catalog.pg_read_file(''/proc/self/status'') from ''VmHWM:\\s+(\\d+)'')::bigint) AS peak_memory_of_the_session'

\echo
\echo 1. CREATE EXTENSION empatia; a warehouse; a client, and where its data land
CREATE EXTENSION empatia;
SELECT w.schema_name, w.created AS tables_and_views FROM empatia.create_warehouse() w;
SELECT c.client, c.message FROM empatia.add_client('ou', 'Open University', 'Europe/London') c;
SELECT cardinality(s.streams) AS streams, s.message FROM empatia.add_source('ou', 'oulad', 'oulad', '{"forum_as_posts": true}') s;

-- This platform logs clicks: K-Means shall see them and the days with any. The configuration is plain rows.
UPDATE empatia.pipeline SET features = '{posts, accesses, active_days, submitted_exercises}';
INSERT INTO empatia.score_weight (measure, weight) VALUES ('accesses', 0.05), ('active_days', 1);

\echo 2. SELECT * FROM empatia.load(): 10.7 million rows of clicks, and the rest
\timing on
SELECT l.stream, l.relation, l.read, l.inserted, l.rejected, round(l.seconds::numeric, 1) AS seconds FROM empatia.load() l;
\timing off
:peak;

\echo 3. SELECT * FROM empatia.build_cube(): every active combination
\timing on
SELECT b.level, b.grain, b.mode, b.dense_rows, b.stored_rows, round(b.seconds::numeric, 1) AS seconds FROM empatia.build_cube() b;
\timing off
:peak;

\echo 4. SELECT * FROM empatia.kmeans_segments(): a model for each of them
\timing on
SELECT s.level, s.grain, count(*) AS segments, sum(s.size) AS rows_of_the_dense_cube FROM empatia.kmeans_segments() s GROUP BY s.level, s.grain ORDER BY 4;
\timing off
:peak;

\echo 5. SELECT * FROM empatia.classify(): a category for every row
\timing on
SELECT c.level, c.grain, c.model_version, c.dense_rows, c.written_rows, round(c.seconds::numeric, 1) AS seconds FROM empatia.classify() c;
\timing off
:peak;
\ir show.sql

\ir drifting.sql
\echo Students drifting away: engaged in two or more earlier months, in the last segment in both of the latest
SELECT d.user_name AS aluno, d.place AS turma, to_char(d.last_engaged, 'MM/YYYY') AS ultimo_mes_engajado,
       round(d.actions_before, 1) AS acoes_por_mes_antes, round(d.actions_now, 1) AS agora
FROM drifting d ORDER BY d.actions_before - d.actions_now DESC, d.user_id LIMIT 10;
SELECT format('%s students in all; the query is demo/drifting.sql', count(*)) AS total FROM drifting \gset
\echo :total
\if :{?keep_report}
\ir report.sql
\endif
