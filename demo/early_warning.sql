-- Who will do nothing in the next two weeks: a classifier of the students' weeks, judged on weeks that it has not seen, then every row's class with
-- its probability and reasons. psql variable: client.
-- Sets early_warning, the model's version. The view at_risk: students of the latest week who did something in its window of five weeks, so that there is somebody to lose.
\echo '4. SELECT * FROM empatia.train(''SPA'', ''WEEK'', target => ''inactive_next''): who will do nothing in the next two weeks?'
\echo '   SELECT * FROM empatia.classify(''SPA'', ''WEEK''): the answer for every row'
CREATE TEMP TABLE trained AS
SELECT * FROM empatia.train('SPA', 'WEEK', client => :'client', target => 'inactive_next');
SELECT t.model_version, t.algorithm, t.rows, t.students, round(t.auc::numeric, 3) AS auc, round(t.recall::numeric, 2) AS recall, round(t."precision"::numeric, 2) AS "precision", t.deployed,
       round(t.seconds::numeric, 1) AS seconds
FROM trained t;
SELECT t.model_version AS early_warning FROM trained t \gset
SELECT c.level, c.grain, c.model_version, c.dense_rows, c.written_rows, round(c.seconds::numeric, 1) AS seconds FROM empatia.classify('SPA', 'WEEK') c;

CREATE TEMP VIEW at_risk AS
WITH week AS (
    SELECT v.*, v.posts_amount + v.post_replies_amount + v.help_requests_amount + v.help_request_replies_amount + v.accesses_amount + v.submitted_exercises AS actions,
           dense_rank() OVER (ORDER BY v.data_inicio DESC) AS weeks_ago
    FROM analytics.cubo_engajamento v
    WHERE v.cliente = :'client' AND v.nivel_agregacao = 'SPA' AND v.tipo_agregacao_data = 'WEEK'),
active AS (SELECT w.user_id, w.space_id, sum(w.actions) AS actions FROM week w WHERE w.weeks_ago <= 5 GROUP BY w.user_id, w.space_id)
SELECT w.user_id, w.user_name, w.space_id, w.space_name, w.data_fim, w.probabilidade, w.motivos, a.actions
FROM week w JOIN active a USING (user_id, space_id)
WHERE w.weeks_ago = 1 AND a.actions > 0 AND w.categoria_engajamento = 'em risco de afastamento';

\echo Active students who will probably stop, with the three strongest reasons (analytics.cubo_engajamento)
SELECT r.user_name AS aluno, r.space_name AS turma, r.actions AS acoes_5_semanas, round(r.probabilidade::numeric, 2) AS probabilidade, array_to_string(r.motivos, '; ') AS motivos
FROM at_risk r ORDER BY r.probabilidade DESC, r.actions DESC, r.user_id LIMIT 10;
