-- Writes the report: segments, their profile, the months, the classes and the students drifting away, as one HTML file without anything
-- from outside. After demo/drifting.sql. psql variables: those of demo/drifting.sql; level and grain of
-- the segments; keep_report, the file.
-- Every text from the data goes through pg_temp.h().

CREATE FUNCTION pg_temp.h(value text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT replace(replace(replace(replace(coalesce(value, ''), '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;')
$$;
CREATE FUNCTION pg_temp.n(value numeric, digits integer DEFAULT 0) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT translate(to_char(round(value, digits), 'FM999,999,999,990' || CASE WHEN digits > 0 THEN '.' || repeat('0', digits) ELSE '' END), ',.', '.,')
$$;
CREATE FUNCTION pg_temp.month_name(day date) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT (ARRAY['jan', 'fev', 'mar', 'abr', 'mai', 'jun', 'jul', 'ago', 'set', 'out', 'nov', 'dez'])[extract(month FROM day)::integer]
           || '/' || to_char(day, 'YY')
$$;
CREATE FUNCTION pg_temp.colour(rank integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce((ARRAY['#12715b', '#58a897', '#e2a33b', '#b8bec9'])[rank], '#8a93a3')
$$;
-- One stacked bar of 100 units: parts are the shares of the ranks 1, 2, ...
CREATE FUNCTION pg_temp.stacked(shares numeric[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img">' || string_agg(
        format('<rect x="%s" y="0" width="%s" height="8" fill="%s"><title>%s%%</title></rect>', round(begins, 2), round(share, 2), pg_temp.colour(i::integer), pg_temp.n(share, 1)),
        '' ORDER BY i) || '</svg>'
    FROM (SELECT share, i, sum(share) OVER (ORDER BY i) - share AS begins FROM unnest(shares) WITH ORDINALITY u (share, i)) s
$$;
CREATE FUNCTION pg_temp.spark(numbers bigint[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format('<svg class="spark" viewBox="0 0 %s 20" role="img"><title>%s</title>', 10 * cardinality(numbers), array_to_string(numbers, ', ')) || string_agg(
        format('<rect x="%s" y="%s" width="7" height="%s" fill="%s"/>', 10 * (i - 1), round(19 - 18.0 * n / greatest(most, 1), 1),
               round(1 + 18.0 * n / greatest(most, 1), 1), CASE WHEN i > cardinality(numbers) - 2 THEN '#c0392b' ELSE '#58a897' END), '' ORDER BY i) || '</svg>'
    FROM (SELECT n, i, max(n) OVER () AS most FROM unnest(numbers) WITH ORDINALITY u (n, i)) s
$$;

CREATE TEMP TABLE report_segment AS
SELECT p.* FROM empatia.segment_profile(:'level', :'grain') p;
CREATE TEMP TABLE report_row AS
SELECT v.space_id, v.space_name, v.course_name, v.data_inicio, l.class AS rank, count(*) AS n
FROM analytics.cubo_engajamento v
JOIN dw.client c ON c.code = v.cliente
JOIN analytics.cube_label l ON l.client_id = c.client_id AND l.level = 'SPA' AND l.grain = 'MONTH' AND l.label = v.categoria_engajamento
WHERE v.cliente = :'client' AND v.nivel_agregacao = 'SPA' AND v.tipo_agregacao_data = 'MONTH'
  AND v.data_inicio BETWEEN :'first_month' AND :'last_month' AND v.space_name LIKE :'spaces'
GROUP BY v.space_id, v.space_name, v.course_name, v.data_inicio, l.class;

\pset format unaligned
\pset tuples_only on
\o :keep_report
\qecho '<!DOCTYPE html>'
\qecho '<html lang="pt-BR"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
\qecho '<title>Empatia: engajamento</title><style>'
\qecho 'body{font:16px/1.5 system-ui,"Segoe UI",Roboto,sans-serif;color:#1d2530;background:#f5f6f8;margin:0}'
\qecho 'main{max-width:64rem;margin:0 auto;padding:2rem 1.25rem 4rem}h1{font-size:1.9rem;margin:0}h2{font-size:1.25rem;margin:2.5rem 0 .25rem}'
\qecho 'p{margin:.25rem 0 1rem;color:#566170;max-width:48rem}section.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:1rem}'
\qecho '.card{background:#fff;border-radius:.6rem;padding:1rem 1.1rem;border-top:.35rem solid;box-shadow:0 1px 3px #0002}'
\qecho '.card b{font-size:1.7rem;display:block;line-height:1.2}.card small{color:#566170}.card dl{display:grid;grid-template-columns:1fr auto;gap:.1rem .5rem;margin:.7rem 0 0;font-size:.9rem}.card dd{margin:0;font-variant-numeric:tabular-nums}'
\qecho 'table{border-collapse:collapse;width:100%;background:#fff;border-radius:.6rem;overflow:hidden;box-shadow:0 1px 3px #0002;font-size:.92rem}'
\qecho 'th,td{text-align:left;padding:.45rem .8rem;border-bottom:1px solid #e7eaee}th{background:#eef1f4;font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}'
\qecho '.bar{width:100%;height:1rem;display:block;border-radius:.2rem}.spark{height:1.4rem}td.wide{width:45%}'
\qecho '.key span{display:inline-block;margin:0 1.2rem .6rem 0}.key i{display:inline-block;width:.8rem;height:.8rem;border-radius:.2rem;margin-right:.4rem;vertical-align:-.05rem}'
\qecho '</style></head><body><main>'

SELECT format('<h1>Engajamento: %s</h1><p>%s a %s. %s estudantes, %s turmas, %s interações e %s entregas.</p>',
    pg_temp.h(c.name), to_char(b.date_from, 'DD/MM/YYYY'), to_char(b.date_to, 'DD/MM/YYYY'),
    pg_temp.n((SELECT count(DISTINCT m.user_id) FROM analytics.cube_member m WHERE m.client_id = c.client_id AND m.level = 'SPA')),
    pg_temp.n((SELECT count(*) FROM analytics.cube_unit u WHERE u.client_id = c.client_id AND u.level = 'SPA')),
    pg_temp.n((SELECT count(*) FROM dw.fact_interaction f WHERE f.client_id = c.client_id)),
    pg_temp.n((SELECT count(*) FROM dw.fact_assignment f WHERE f.client_id = c.client_id AND f.submitted_at IS NOT NULL)))
FROM dw.client c JOIN analytics.cube_build b ON b.client_id = c.client_id AND b.level = :'level' AND b.grain = :'grain' WHERE c.code = :'client';

SELECT format('<h2>Os segmentos</h2><p>Cada estudante, em cada turma e em cada mês, pertence a um segmento. Médias por estudante, turma e mês; modelo %s, silhueta %s.</p><section class="cards">',
    min(s.model_version), coalesce(pg_temp.n(min(s.silhouette)::numeric, 2), 'sem valor')) FROM report_segment s;
SELECT string_agg(format('<div class="card" style="border-color:%s"><small>%s</small><b>%s%%</b><small>%s linhas, escore %s</small><dl>%s</dl></div>',
    pg_temp.colour(s.rank), pg_temp.h(s.label), pg_temp.n(100 * s.share::numeric, 1), pg_temp.n(s.size), pg_temp.n(s.score::numeric, 2), m.list), '' ORDER BY s.rank)
FROM report_segment s, LATERAL (
    SELECT string_agg(format('<dt>%s</dt><dd>%s</dd>', pg_temp.h(n.name), pg_temp.n((s.centroid ->> n.feature)::numeric, 2)), '' ORDER BY n.place) AS list
    FROM (VALUES (1, 'posts', 'posts'), (2, 'post_replies', 'respostas'), (3, 'help_requests', 'pedidos de ajuda'),
                 (4, 'help_request_replies', 'ajudas dadas'), (5, 'submitted_exercises', 'entregas'), (6, 'assigned_exercises', 'atividades atribuídas'),
                 (7, 'accesses', 'acessos'), (8, 'active_days', 'dias ativos'), (9, 'late_exercises', 'entregas atrasadas')) n (place, feature, name)
    WHERE s.centroid ? n.feature) m;
\qecho '</section>'

\qecho '<h2>Mês a mês</h2><p>Parte dos estudantes em cada segmento. O primeiro e o último mês podem estar incompletos.</p>'
SELECT '<div class="key">' || string_agg(format('<span><i style="background:%s"></i>%s</span>', pg_temp.colour(s.rank), pg_temp.h(s.label)), '' ORDER BY s.rank) || '</div>' FROM report_segment s;
WITH share AS (
    SELECT m.data_inicio, s.rank, 100.0 * coalesce(r.n, 0) / sum(coalesce(r.n, 0)) OVER (PARTITION BY m.data_inicio) AS share
    FROM (SELECT DISTINCT data_inicio FROM report_row) m CROSS JOIN report_segment s
    LEFT JOIN (SELECT data_inicio, rank, sum(n) AS n FROM report_row GROUP BY 1, 2) r USING (data_inicio, rank))
SELECT '<table>' || string_agg(format('<tr><td>%s</td><td class="wide" style="width:85%%">%s</td></tr>', pg_temp.month_name(x.data_inicio), pg_temp.stacked(x.shares)), '' ORDER BY x.data_inicio) || '</table>'
FROM (SELECT data_inicio, array_agg(share ORDER BY rank) AS shares FROM share GROUP BY data_inicio) x;

SELECT format('<h2>Turmas que pedem atenção</h2><p>As dez turmas com a maior parte no último segmento, nos dois meses mais recentes.</p><table><tr><th>turma</th><th>curso</th><th class="n">%s</th><th>segmentos</th></tr>', pg_temp.h(s.label))
FROM report_segment s ORDER BY s.rank DESC LIMIT 1;
WITH part AS (
    SELECT p.space_id, p.space_name, p.course_name, s.rank, coalesce(sum(r.n), 0) AS n
    FROM (SELECT DISTINCT space_id, space_name, course_name FROM report_row) p CROSS JOIN report_segment s
    LEFT JOIN report_row r ON r.space_id = p.space_id AND r.rank = s.rank AND r.data_inicio > (SELECT max(data_inicio) - interval '2 months' FROM report_row)
    GROUP BY 1, 2, 3, 4),
space AS (SELECT space_id, space_name, course_name, array_agg(100.0 * n / all_rows ORDER BY rank) AS shares
          FROM (SELECT *, sum(n) OVER (PARTITION BY space_id) AS all_rows FROM part) q WHERE all_rows > 0 GROUP BY 1, 2, 3)
SELECT string_agg(format('<tr><td>%s</td><td>%s</td><td class="n">%s%%</td><td class="wide">%s</td></tr>', pg_temp.h(x.space_name), pg_temp.h(x.course_name),
    pg_temp.n(x.shares[cardinality(x.shares)], 0), pg_temp.stacked(x.shares)), '' ORDER BY x.shares[cardinality(x.shares)] DESC)
FROM (SELECT * FROM space ORDER BY shares[cardinality(shares)] DESC, space_id LIMIT 10) x;
\qecho '</table>'

SELECT format('<h2>Estudantes se afastando</h2><p>%s casos: estudantes que estiveram em um dos dois melhores segmentos em pelo menos dois meses anteriores e estão, nos dois meses mais recentes, no último. Os 40 que mais caíram; as barras são as ações de cada mês.</p>', pg_temp.n(count(*))) FROM drifting;
\qecho '<table><tr><th>estudante</th><th>onde</th><th>último mês engajado</th><th class="n">ações por mês antes</th><th class="n">agora</th><th>ações</th></tr>'
SELECT string_agg(format('<tr><td>%s</td><td>%s</td><td>%s</td><td class="n">%s</td><td class="n">%s</td><td>%s</td></tr>', pg_temp.h(d.user_name), pg_temp.h(d.place),
    pg_temp.month_name(d.last_engaged), pg_temp.n(d.actions_before, 1), pg_temp.n(d.actions_now, 1), pg_temp.spark(d.actions::bigint[])), '' ORDER BY d.actions_before - d.actions_now DESC, d.user_id)
FROM (SELECT * FROM drifting ORDER BY actions_before - actions_now DESC, user_id LIMIT 40) d;
\qecho '</table>'
\if :{?early_warning}
SELECT format('<h2>Estudantes em risco de parar</h2><p>%s estudantes que fizeram algo nas últimas cinco semanas e, segundo o classificador (modelo %s, AUC %s fora da amostra), provavelmente nada farão nas próximas duas. Os 40 mais prováveis, com os três motivos mais fortes; um que fala contra diz "apesar de".</p>',
    pg_temp.n((SELECT count(*) FROM at_risk)), m.version, pg_temp.n((m.metrics #>> '{auc,pooled}')::numeric, 2))
FROM empatia.model m WHERE m.version = :early_warning;
\qecho '<table><tr><th>estudante</th><th>turma</th><th class="n">ações em cinco semanas</th><th class="n">probabilidade</th><th>motivos</th></tr>'
SELECT string_agg(format('<tr><td>%s</td><td>%s</td><td class="n">%s</td><td class="n">%s%%</td><td>%s</td></tr>', pg_temp.h(r.user_name), pg_temp.h(r.space_name), pg_temp.n(r.actions),
    pg_temp.n(100 * r.probabilidade::numeric), pg_temp.h(array_to_string(r.motivos, '; '))), '' ORDER BY r.probabilidade DESC, r.actions DESC, r.user_id)
FROM (SELECT * FROM at_risk ORDER BY probabilidade DESC, actions DESC, user_id LIMIT 40) r;
\qecho '</table>'
\endif
SELECT format('<p style="margin-top:2rem">Gerado por empatia %s a partir de analytics.cubo_engajamento (demo/report.sql).</p>', empatia.version());
\qecho '</main></body></html>'
\o
\pset tuples_only off
\pset format aligned
\pset footer off
