-- What demo/run.sql and demo/run_oulad.sql print once the pipeline has run.
-- psql variables: client (its code), level and grain of the segments; of the ten rows, measures (columns of the view),
-- month (its first day) and spaces (a LIKE pattern of names).

\echo The cube (analytics.cube_build): every row that a reader sees, and the part of them that is stored
SELECT b.level, b.grain, b.date_from, b.date_to, b.dense_rows, b.stored_rows,
       round(100.0 * b.stored_rows / nullif(b.dense_rows, 0), 1) AS stored_percent
FROM analytics.cube_build b JOIN dw.client c USING (client_id)
WHERE c.code = :'client'
ORDER BY b.dense_rows;

-- one column per feature of the configuration, under a shorter name
SELECT string_agg(format('round((p.centroid ->> %L)::numeric, 2) AS %I', f, replace(replace(f, '_exercises', ''), '_request_', '_')), ', ' ORDER BY i) AS centroid
FROM empatia.pipeline l, unnest(l.features) WITH ORDINALITY u (f, i) WHERE l.level = :'level' AND l.grain = :'grain' \gset
\echo Segments of :level x :grain (empatia.segment_profile): averages per student and period
SELECT p.rank, p.label, p.size, round(100 * p.share::numeric, 1) AS share_percent, round(p.score::numeric, 2) AS score, :centroid
FROM empatia.segment_profile(:'level', :'grain') p;

\echo Ten classified rows (analytics.cubo_engajamento)
SELECT r.user_name AS aluno, r.space_name AS turma, r.data_inicio, r.data_fim, :measures,
       r.submitted_exercises || '/' || r.assigned_exercises AS entregas, r.categoria_engajamento
FROM (SELECT v.*, row_number() OVER (PARTITION BY v.categoria_engajamento ORDER BY md5(v.user_id::text || v.space_id)) AS place
      FROM analytics.cubo_engajamento v
      WHERE v.cliente = :'client' AND v.nivel_agregacao = 'SPA' AND v.tipo_agregacao_data = 'MONTH'
        AND v.data_inicio = :'month' AND v.space_name LIKE :'spaces') r
ORDER BY r.place, r.submitted_exercises DESC, r.user_id LIMIT 10;
