-- What BI reads: the dense, named, classified cube. A view over ordinary tables only, so that it outlives DROP EXTENSION.

-- The keys of the dense cube, with path and names: member x unit x period, one branch per level. Why not one plain join: the planner counts
-- look-ups into a relation by the smallest of the relations that the keys come from, here one unit or a few periods, and so found cells by
-- their member alone, throwing most of them away; out of a branch all keys come as one relation. The level is a constant of its branch, so that
-- the branches of other levels vanish when it is given. A condition on member_level as well would only be taken for fewer rows.
-- Assignments and students' names are looked up here, once per member and not once per period. A relation more in the branch would nearly double the
-- time of planning; the conditions of the name on unit, build and client, which hold for every row, forbid the planner to look for it before those are joined.
CREATE FUNCTION empatia._dense_keys_sql() RETURNS text
LANGUAGE sql IMMUTABLE AS $f$
    SELECT string_agg(format($q$
    SELECT b.client_id, c.code AS client, %L::text AS level, b.grain, m.user_id, u.unit_id, p.period_start, p.period_end,
           u.environment_id, u.course_id, u.space_id, u.subject_id, u.lecture_id,
           u.environment_name, u.course_name, u.space_name, u.subject_name, u.lecture_name,
           s.name AS user_name, b.assignment_basis, b.classified_at, coalesce(b.classifier_version, b.model_version) AS model_version, a.assigned_exercises
    FROM {results}.cube_build b
    JOIN {dw}.client c ON c.client_id = b.client_id
    JOIN {results}.cube_unit u ON u.client_id = b.client_id
    JOIN {results}.cube_member m ON m.client_id = u.client_id AND m.unit_id = u.member_unit_id
    JOIN {results}.cube_period p ON p.client_id = b.client_id AND p.grain = b.grain
    LEFT JOIN {results}.cube_assigned a ON a.client_id = m.client_id AND a.level = %1$L AND a.user_id = m.user_id AND a.unit_id = u.unit_id
    LEFT JOIN {dw}.student s ON s.client_id = m.client_id AND s.user_id = m.user_id AND u.client_id = b.client_id AND c.client_id = b.client_id
    WHERE b.level = %1$L AND u.level = %1$L AND p.level = %1$L AND m.level = %2$L$q$, v.level, v.member_level), ' UNION ALL ' ORDER BY v.place)
    FROM (VALUES (1, 'ENV', 'ENV'), (2, 'CRS', 'CRS'), (3, 'SPA', 'SPA'), (4, 'SUB', 'SPA'), (5, 'LEC', 'SPA')) v (place, level, member_level)
$f$;
COMMENT ON FUNCTION empatia._dense_keys_sql() IS 'query template: every member of every unit in every period, with path and names';

CREATE FUNCTION empatia._results_ddl() RETURNS text
LANGUAGE sql IMMUTABLE AS $ddl$ SELECT replace($view$
CREATE VIEW {results}.cubo_engajamento AS
SELECT d.client AS cliente, d.user_id, d.environment_id, d.course_id, d.space_id, d.subject_id, d.lecture_id,
       d.level AS nivel_agregacao, d.grain AS tipo_agregacao_data, d.user_name,
       d.environment_name, d.course_name, d.space_name, d.subject_name, d.lecture_name,
       d.period_start AS data_inicio, d.period_end AS data_fim,
       coalesce(x.posts, 0) AS posts_amount, coalesce(x.post_replies, 0) AS post_replies_amount,
       coalesce(x.help_requests, 0) AS help_requests_amount, coalesce(x.help_request_replies, 0) AS help_request_replies_amount,
       CASE d.assignment_basis WHEN 'due' THEN coalesce(x.assigned_exercises, 0) ELSE coalesce(d.assigned_exercises, 0) END AS assigned_exercises,
       coalesce(x.submitted_exercises, 0)::bigint AS submitted_exercises,
       coalesce(x.submitted_exercises, 0)::double precision
           / nullif(CASE d.assignment_basis WHEN 'due' THEN x.assigned_exercises ELSE d.assigned_exercises END, 0) AS conclusion_percent,
       l.label AS categoria_engajamento, CASE WHEN l.label IS NOT NULL THEN d.classified_at END AS data_classificacao,
       coalesce(x.accesses, 0) AS accesses_amount, coalesce(x.active_days, 0)::bigint AS active_days,
       coalesce(x.late_exercises, 0)::bigint AS late_exercises, x.grade_sum / nullif(x.grade_count, 0) AS grade_avg,
       d.model_version AS versao_modelo,
       coalesce(y.probability, w.probability) AS probabilidade,
       CASE WHEN coalesce(y.class, w.class) IS NOT NULL THEN array_remove(ARRAY[
           (SELECT r.reason FROM {results}.cube_reason r WHERE r.client_id = d.client_id AND r.level = d.level AND r.grain = d.grain AND r.reason_id = coalesce(y.reason_1, w.reason_1)),
           (SELECT r.reason FROM {results}.cube_reason r WHERE r.client_id = d.client_id AND r.level = d.level AND r.grain = d.grain AND r.reason_id = coalesce(y.reason_2, w.reason_2)),
           (SELECT r.reason FROM {results}.cube_reason r WHERE r.client_id = d.client_id AND r.level = d.level AND r.grain = d.grain AND r.reason_id = coalesce(y.reason_3, w.reason_3))], NULL)
       END AS motivos
FROM ({keys}) d
-- numbers first: the columns that are joined are sorted in this order, and those after a text take longer to get at
LEFT JOIN {results}.cube x ON x.client_id = d.client_id AND x.user_id = d.user_id AND x.unit_id = d.unit_id AND x.period_start = d.period_start
                          AND x.level = d.level AND x.grain = d.grain
-- by the cell's key: where there is no cell nothing is looked up
LEFT JOIN {results}.cube_class k ON k.level = x.level AND k.grain = x.grain AND k.client_id = x.client_id AND k.user_id = x.user_id
                          AND k.unit_id = x.unit_id AND k.period_start = x.period_start
-- client and number in one expression: joined by the client alone, which the planner may prefer, each row would meet every class of it
LEFT JOIN {results}.cube_class_zero z ON z.level = d.level AND z.grain = d.grain
                          AND (z.client_id::bigint << 32) + z.assigned_exercises
                            = (d.client_id::bigint << 32) + CASE d.assignment_basis WHEN 'due' THEN 0 ELSE coalesce(d.assigned_exercises, 0) END
LEFT JOIN {results}.cube_prediction y ON y.level = d.level AND y.grain = d.grain AND y.client_id = d.client_id AND y.user_id = d.user_id
                          AND y.unit_id = d.unit_id AND y.period_start = d.period_start
-- only where there is no prediction of the member's own
LEFT JOIN {results}.cube_prediction_default w ON w.level = d.level AND w.grain = d.grain AND w.client_id = d.client_id
                          AND w.unit_id = CASE WHEN y.user_id IS NULL THEN d.unit_id END AND w.period_start = d.period_start
                          AND w.assigned_exercises = CASE d.assignment_basis WHEN 'due' THEN 0 ELSE coalesce(d.assigned_exercises, 0) END
LEFT JOIN {results}.cube_label l ON l.level = d.level AND l.grain = d.grain
                          -- the classifier's before the segment's; a stored row that is not classified yet has no class, it is not a row without activity
                          AND (l.client_id::bigint << 32) + l.class = (d.client_id::bigint << 32)
                            + coalesce(y.class, w.class, CASE WHEN x.user_id IS NULL THEN z.class ELSE k.class END);
COMMENT ON VIEW {results}.cubo_engajamento IS 'engagement cube, dense: one row per member, unit and period, zero activity included, with names and engagement category';
COMMENT ON COLUMN {results}.cubo_engajamento.nivel_agregacao IS 'ENV, CRS, SPA, SUB or LEC';
COMMENT ON COLUMN {results}.cubo_engajamento.tipo_agregacao_data IS 'WEEK, FORTNIGHT, MONTH, QUARTER, SEMESTER, YEAR or ALL';
COMMENT ON COLUMN {results}.cubo_engajamento.conclusion_percent IS 'submitted / assigned as a ratio from 0 to 1; null where nothing was assigned';
COMMENT ON COLUMN {results}.cubo_engajamento.categoria_engajamento IS 'label of the row''s segment or class; null until classify() has seen the row';
COMMENT ON COLUMN {results}.cubo_engajamento.grade_avg IS 'mean of grade / max_grade over the graded submissions of the period';
COMMENT ON COLUMN {results}.cubo_engajamento.versao_modelo IS 'version of the classifier, else of the segments, that gave the category';
COMMENT ON COLUMN {results}.cubo_engajamento.probabilidade IS 'probability of the category, from the classifier; null where segments gave it';
COMMENT ON COLUMN {results}.cubo_engajamento.motivos IS 'the classifier''s three strongest reasons, strongest first; one that speaks against the category says so (apesar de, despite)';
$view$, '{keys}', empatia._dense_keys_sql()) $ddl$;
COMMENT ON FUNCTION empatia._results_ddl() IS 'DDL of the view cubo_engajamento, as a template';

CREATE TYPE empatia.cubo_engajamento_row AS (
    cliente text, user_id bigint, environment_id bigint, course_id bigint, space_id bigint, subject_id bigint, lecture_id bigint,
    nivel_agregacao text, tipo_agregacao_data text, user_name text, environment_name text, course_name text, space_name text,
    subject_name text, lecture_name text, data_inicio date, data_fim date, posts_amount bigint, post_replies_amount bigint,
    help_requests_amount bigint, help_request_replies_amount bigint, assigned_exercises bigint, submitted_exercises bigint,
    conclusion_percent double precision, categoria_engajamento text, data_classificacao timestamptz,
    accesses_amount bigint, active_days bigint, late_exercises bigint, grade_avg double precision, versao_modelo bigint,
    probabilidade double precision, motivos text[]);
COMMENT ON TYPE empatia.cubo_engajamento_row IS 'a row of the view cubo_engajamento';

CREATE FUNCTION empatia.cubo_engajamento(
    cliente text DEFAULT NULL, nivel text DEFAULT NULL, tipo_agregacao_data text DEFAULT NULL,
    environment_id bigint DEFAULT NULL, course_id bigint DEFAULT NULL, space_id bigint DEFAULT NULL, subject_id bigint DEFAULT NULL,
    lecture_id bigint DEFAULT NULL, data_inicio date DEFAULT NULL, data_fim date DEFAULT NULL)
RETURNS SETOF empatia.cubo_engajamento_row
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    w CONSTANT empatia.warehouse := empatia._warehouse();
BEGIN
    PERFORM empatia._check_combination(nivel, tipo_agregacao_data);
    -- who may read the results and not the warehouse gets no row for an unknown client, and no list of the others
    IF cliente IS NOT NULL AND (CASE WHEN has_schema_privilege(w.dw_schema, 'USAGE')
                                     THEN has_table_privilege(format('%I.client', w.dw_schema), 'SELECT') END) THEN
        PERFORM empatia._client_id(cliente);
    END IF;
    -- only the filters that were given, so that the planner sees the partition
    RETURN QUERY EXECUTE empatia._render('SELECT v.* FROM {results}.cubo_engajamento v WHERE true')
        || CASE WHEN cliente IS NULL THEN '' ELSE ' AND v.cliente = $1' END
        || CASE WHEN nivel IS NULL THEN '' ELSE format(' AND v.nivel_agregacao = %L', nivel) END
        || CASE WHEN tipo_agregacao_data IS NULL THEN '' ELSE format(' AND v.tipo_agregacao_data = %L', tipo_agregacao_data) END
        || CASE WHEN environment_id IS NULL THEN '' ELSE ' AND v.environment_id = $2' END
        || CASE WHEN course_id IS NULL THEN '' ELSE ' AND v.course_id = $3' END
        || CASE WHEN space_id IS NULL THEN '' ELSE ' AND v.space_id = $4' END
        || CASE WHEN subject_id IS NULL THEN '' ELSE ' AND v.subject_id = $5' END
        || CASE WHEN lecture_id IS NULL THEN '' ELSE ' AND v.lecture_id = $6' END
        || CASE WHEN data_inicio IS NULL THEN '' ELSE ' AND v.data_inicio >= $7' END
        || CASE WHEN data_fim IS NULL THEN '' ELSE ' AND v.data_fim <= $8' END
    USING cliente, environment_id, course_id, space_id, subject_id, lecture_id, data_inicio, data_fim;
END
$$;
COMMENT ON FUNCTION empatia.cubo_engajamento(text, text, text, bigint, bigint, bigint, bigint, bigint, date, date) IS
    'rows of the classified cube, filtered; null means any. Periods that lie within data_inicio..data_fim';
