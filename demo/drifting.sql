-- Students drifting away: in one of the two best segments in at least two earlier months, in the last one in each of the two latest.
-- A temporary view, so that demo/run.sql and demo/report.sql ask the same question. psql variables: client; drift_level, ENV (a row per
-- student and environment) or SPA (and space); first_month and last_month, between which to look; spaces, a LIKE pattern of names.
-- The labels are those of the run (analytics.cube_label), so that the question survives other labels.
CREATE TEMP VIEW drifting AS
WITH month AS (
    SELECT v.user_id, v.user_name, coalesce(v.space_id, v.environment_id) AS place_id, coalesce(v.space_name, v.environment_name) AS place,
           v.data_inicio, v.categoria_engajamento,
           v.posts_amount + v.post_replies_amount + v.help_requests_amount + v.help_request_replies_amount 
               + v.accesses_amount + v.submitted_exercises AS actions,
           dense_rank() OVER (ORDER BY v.data_inicio DESC) AS months_ago
    FROM analytics.cubo_engajamento v
    WHERE v.cliente = :'client' AND v.nivel_agregacao = :'drift_level' AND v.tipo_agregacao_data = 'MONTH'
      AND v.data_inicio BETWEEN :'first_month' AND :'last_month' AND coalesce(v.space_name, '') LIKE :'spaces'),
label AS (
    SELECT l.label, l.class <= 2 AS engaged, l.class = max(l.class) OVER () AS idle
    FROM analytics.cube_label l JOIN dw.client c USING (client_id)
    WHERE c.code = :'client' AND l.level = :'drift_level' AND l.grain = 'MONTH')
SELECT m.user_id, m.user_name, m.place,
       count(*) FILTER (WHERE m.months_ago > 2 AND l.engaged) AS engaged_months,
       max(m.data_inicio) FILTER (WHERE l.engaged) AS last_engaged,
       avg(m.actions) FILTER (WHERE m.months_ago > 2) AS actions_before,
       avg(m.actions) FILTER (WHERE m.months_ago <= 2) AS actions_now,
       string_agg(m.categoria_engajamento, ' > ' ORDER BY m.data_inicio) AS path,
       array_agg(m.actions ORDER BY m.data_inicio) AS actions
FROM month m JOIN label l ON l.label = m.categoria_engajamento
GROUP BY m.user_id, m.user_name, m.place_id, m.place
HAVING count(*) FILTER (WHERE m.months_ago > 2 AND l.engaged) >= 2 AND bool_and(l.idle) FILTER (WHERE m.months_ago <= 2);
