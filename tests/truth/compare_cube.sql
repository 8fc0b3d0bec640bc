-- Compares the two definitions of the cube: engagement(), computed from the facts, and cubo_engajamento, what build_cube() stored,
-- made dense again by the view. truth.compare_cube() takes every row and every measure of one level and grain. Ids, periods, counts and
-- conclusion_percent must be equal; grade_avg, a mean of fractions summed in any order, to 1e-12 of its value.
CREATE SCHEMA truth;

-- rows: of the side of engagement(); differences: rows that one side has and the other has not, both ways, plus rows whose grade_avg
-- differs; grades: values of grade_avg compared; unit_rows, unit_differences: the same of the sums over all users (by_user => false)
CREATE TYPE truth.comparison AS (rows bigint, differences bigint, grades bigint, unit_rows bigint, unit_differences bigint,
    engagement_seconds double precision, view_seconds double precision);

-- Rows that two temporary tables do not share; columns: those that must be equal, key: those that identify a row.
CREATE FUNCTION truth.differences(key text, columns text, OUT total bigint, OUT grades bigint)
LANGUAGE plpgsql AS $$
DECLARE
    wrong bigint;
BEGIN
    -- what EXCEPT ALL both ways would leave, in one pass
    EXECUTE format($q$
        SELECT coalesce(sum(abs(x.surplus)), 0)
        FROM (SELECT sum(u.side) AS surplus
              FROM (SELECT 1 AS side, %1$s FROM pg_temp.defined UNION ALL SELECT -1, %1$s FROM pg_temp.built) u
              GROUP BY %1$s HAVING sum(u.side) <> 0) x $q$, columns) INTO total;
    -- a grade that only one side has has no partner here, or a partner without a grade
    EXECUTE format($q$
        SELECT count(*), count(*) FILTER (WHERE (abs(d.grade_avg - b.grade_avg) <= 1e-12 * abs(b.grade_avg)) IS NOT TRUE)
        FROM (SELECT * FROM pg_temp.defined WHERE grade_avg IS NOT NULL) d
        FULL JOIN (SELECT * FROM pg_temp.built WHERE grade_avg IS NOT NULL) b USING (%s) $q$, key) INTO grades, wrong;
    total := total + wrong;
END
$$;

-- only_space: a space that the comparison is restricted to; null: all. by_unit: compare the sums over all users too.
CREATE FUNCTION truth.compare_cube(client text, level text, grain text, only_space bigint DEFAULT NULL, by_unit boolean DEFAULT true)
RETURNS truth.comparison
LANGUAGE plpgsql SET client_min_messages = error AS $$
DECLARE
    units CONSTANT text[] := (ARRAY['environment_id', 'course_id', 'space_id', 'subject_id', 'lecture_id'])
                             [:array_position(ARRAY['ENV', 'CRS', 'SPA', 'SUB', 'LEC'], level)];
    unit CONSTANT text := units[cardinality(units)];
    counts CONSTANT text := 'posts, post_replies, help_requests, help_request_replies, accesses, active_days, assigned_exercises,
                             submitted_exercises, late_exercises';
    columns CONSTANT text := 'environment_id, course_id, space_id, subject_id, lecture_id, period_start, period_end, conclusion_percent, ' || counts;
    sums CONSTANT text := (SELECT string_agg(format('sum(b.%1$s)::bigint AS %1$s', trim(c, E' \n')), ', ') FROM string_to_table(counts, ',') c);
    began timestamptz := clock_timestamp();
    found truth.comparison;
    step record;
BEGIN
    DROP TABLE IF EXISTS pg_temp.defined, pg_temp.built;
    CREATE TEMP TABLE defined AS SELECT e.* FROM empatia.engagement(client, level, grain, space_id => only_space) e;
    GET DIAGNOSTICS found.rows = ROW_COUNT;
    found.engagement_seconds := extract(epoch FROM clock_timestamp() - began);
    began := clock_timestamp();
    -- constants, so that the planner sees which part of the cube is read
    EXECUTE format($q$
        CREATE TEMP TABLE built AS
        SELECT v.user_id, v.environment_id, v.course_id, v.space_id, v.subject_id, v.lecture_id, v.data_inicio AS period_start,
               v.data_fim AS period_end, v.posts_amount AS posts, v.post_replies_amount AS post_replies,
               v.help_requests_amount AS help_requests, v.help_request_replies_amount AS help_request_replies,
               v.accesses_amount AS accesses, v.active_days, v.assigned_exercises, v.submitted_exercises, v.late_exercises,
               v.grade_avg, v.conclusion_percent
        FROM analytics.cubo_engajamento v
        WHERE v.cliente = %L AND v.nivel_agregacao = %L AND v.tipo_agregacao_data = %L %s $q$,
        client, level, grain, CASE WHEN only_space IS NULL THEN '' ELSE format('AND v.space_id = %s', only_space) END);
    found.view_seconds := extract(epoch FROM clock_timestamp() - began);
    ANALYZE pg_temp.defined, pg_temp.built;
    SELECT * INTO step FROM truth.differences(format('user_id, %s, period_start', unit), 'user_id, ' || columns);
    found.differences := step.total;
    found.grades := step.grades;
    IF NOT by_unit THEN
        RETURN found;
    END IF;

    ALTER TABLE pg_temp.built RENAME TO built_user;
    DROP TABLE pg_temp.defined;
    CREATE TEMP TABLE defined AS SELECT e.* FROM empatia.engagement(client, level, grain, by_user => false, space_id => only_space) e;
    GET DIAGNOSTICS found.unit_rows = ROW_COUNT;
    -- the mean over all graded submissions is that of the stored sums, not of the members' means
    EXECUTE format($q$
        CREATE TEMP TABLE built AS
        WITH graded AS (
            SELECT x.unit_id, x.period_start, sum(x.grade_sum) / nullif(sum(x.grade_count), 0) AS grade_avg
            FROM analytics.cube x JOIN dw.client c USING (client_id)
            WHERE c.code = %1$L AND x.level = %2$L AND x.grain = %3$L GROUP BY 1, 2)
        SELECT s.*, g.grade_avg, s.submitted_exercises::double precision / nullif(s.assigned_exercises, 0) AS conclusion_percent
        FROM (SELECT b.environment_id, b.course_id, b.space_id, b.subject_id, b.lecture_id, b.period_start, b.period_end, %4$s
              FROM pg_temp.built_user b GROUP BY 1, 2, 3, 4, 5, 6, 7) s
        LEFT JOIN graded g ON g.unit_id = s.%5$s AND g.period_start = s.period_start $q$, client, level, grain, sums, unit);
    DROP TABLE pg_temp.built_user;
    ANALYZE pg_temp.defined, pg_temp.built;
    SELECT * INTO step FROM truth.differences(format('%s, period_start', unit), columns);
    found.unit_differences := step.total;
    found.grades := found.grades + step.grades;
    RETURN found;
END
$$;
