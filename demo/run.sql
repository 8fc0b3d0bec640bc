-- The whole of Empatia on the generated school, after demo/openredu.sql in the same database:
--   psql -f demo/openredu.sql -f demo/run.sql
-- With -v keep_report=FILE it writes the HTML report there too.
\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
\pset footer off
\pset null ''
\set client redu-digital
\set level SPA
\set grain MONTH
\set month 2025-06-01
\set spaces '%'
\set drift_level ENV
\set first_month -infinity
\set last_month infinity
\set measures 'r.posts_amount AS posts, r.post_replies_amount AS respostas, r.help_requests_amount AS pedidos_ajuda, r.help_request_replies_amount AS ajudas'

\echo
\echo 1. CREATE EXTENSION empatia; a warehouse; a client, and where its data land
CREATE EXTENSION empatia;
SELECT w.schema_name, w.created AS tables_and_views FROM empatia.create_warehouse() w;
SELECT c.client, c.message FROM empatia.add_client('redu-digital', 'Redu Digital', 'America/Recife') c;
SELECT cardinality(s.streams) AS streams, s.message FROM empatia.add_source('redu-digital', 'redu', 'openredu') s;

\echo 2. SELECT * FROM empatia.load(): the rows of the platform become dimensions and facts
SELECT l.stream, l.relation, l.read, l.inserted, l.rejected, round(l.seconds::numeric, 2) AS seconds FROM empatia.load() l;

\echo 3. CALL empatia.run_pipeline(): load what is new, build the cube, find the segments, classify
CALL empatia.run_pipeline();
\echo 'What it did (empatia.run_step has every step):'
SELECT s.action, count(*) AS steps, sum(s.rows) AS rows, round(sum(s.seconds)::numeric, 1) AS seconds,
       count(*) FILTER (WHERE s.status <> 'done') AS failed
FROM empatia.run_step s
WHERE s.run_id = (SELECT max(r.run_id) FROM empatia.run r)
GROUP BY s.action ORDER BY min(s.step);
\ir show.sql

\ir drifting.sql
\echo Students drifting away: engaged in two or more earlier months, in the last segment in both of the latest
SELECT d.user_name AS aluno, d.place AS ambiente, to_char(d.last_engaged, 'MM/YYYY') AS ultimo_mes_engajado,
       round(d.actions_before, 1) AS acoes_por_mes_antes, round(d.actions_now, 1) AS agora
FROM drifting d ORDER BY d.actions_before - d.actions_now DESC, d.user_id LIMIT 10;
SELECT format('%s students in all; the query is demo/drifting.sql', count(*)) AS total FROM drifting \gset
\echo :total

\ir early_warning.sql
\if :{?keep_report}
\ir report.sql
\endif

\echo
\echo Where to look next
\echo '  SELECT * FROM analytics.cubo_engajamento WHERE nivel_agregacao = ''SPA'' AND tipo_agregacao_data = ''WEEK'' LIMIT 20;'
\echo '  SELECT * FROM empatia.choose_k(''SPA'', ''MONTH'');          how many segments?'
\echo '  SELECT * FROM empatia.engagement(''redu-digital'', ''CRS'', ''QUARTER'', by_user => false);'
\echo '  SELECT * FROM empatia.pipeline;                          what is built; change it with UPDATE'
\echo '  \\df empatia.[^_]*    \\dt dw.*    \\dv analytics.*        functions, warehouse, results'
\echo '  README.md, docs/reference.md, docs/adapters.md, docs/operations.md'
