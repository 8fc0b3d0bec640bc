-- engagement(): the definition of the cube, dense, in plain SQL. build_cube() must agree with it cell by cell.
-- Kept pushable to distributed and foreign tables: no grouping sets, one aggregate family per SELECT, client and student
-- in every GROUP BY.

-- Students of spaces: not removed, enrolled, and with no excluded role in the space or in its environment.
CREATE FUNCTION empatia._students_sql() RETURNS text
LANGUAGE sql IMMUTABLE AS $f$ SELECT $q$
    SELECT DISTINCT e.client_id, v.environment_id, c.course_id, s.space_id, e.user_id
    FROM {dw}.enrolment e
    JOIN {dw}.student u ON u.client_id = e.client_id AND u.user_id = e.user_id AND NOT u.removed
    JOIN {dw}.space s ON s.client_id = e.client_id AND s.space_id = e.space_id AND NOT s.removed
    JOIN {dw}.course c ON c.client_id = s.client_id AND c.course_id = s.course_id AND NOT c.removed
    JOIN {dw}.environment v ON v.client_id = c.client_id AND v.environment_id = c.environment_id AND NOT v.removed
    WHERE NOT EXISTS (SELECT FROM {dw}.enrolment x JOIN empatia.excluded_role r ON r.role = x.role
                      WHERE x.client_id = e.client_id AND x.space_id = e.space_id AND x.user_id = e.user_id)
      AND NOT EXISTS (SELECT FROM {dw}.environment_role x JOIN empatia.excluded_role r ON r.role = x.role
                      WHERE x.client_id = e.client_id AND x.environment_id = v.environment_id AND x.user_id = e.user_id)
$q$ $f$;
COMMENT ON FUNCTION empatia._students_sql() IS 'query template: client_id, environment_id, course_id, space_id, user_id of every student of a space';

-- Members of the units of a level, from the students of the spaces; the columns inside the level are null.
CREATE FUNCTION empatia._members_sql(level text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT AS $f$ SELECT CASE level
    WHEN 'ENV' THEN $q$
        SELECT DISTINCT m.client_id, m.user_id, m.environment_id, NULL::bigint AS course_id, NULL::bigint AS space_id,
               NULL::bigint AS subject_id, NULL::bigint AS lecture_id
        FROM student m $q$
    WHEN 'CRS' THEN $q$
        SELECT DISTINCT m.client_id, m.user_id, m.environment_id, m.course_id, NULL::bigint AS space_id,
               NULL::bigint AS subject_id, NULL::bigint AS lecture_id
        FROM student m $q$
    WHEN 'SPA' THEN $q$
        SELECT m.client_id, m.user_id, m.environment_id, m.course_id, m.space_id, NULL::bigint AS subject_id, NULL::bigint AS lecture_id
        FROM student m $q$
    WHEN 'SUB' THEN $q$
        SELECT m.client_id, m.user_id, m.environment_id, m.course_id, m.space_id, s.subject_id, NULL::bigint AS lecture_id
        FROM student m
        JOIN {dw}.subject s ON s.client_id = m.client_id AND s.space_id = m.space_id AND NOT s.removed $q$
    WHEN 'LEC' THEN $q$
        SELECT m.client_id, m.user_id, m.environment_id, m.course_id, m.space_id, s.subject_id, l.lecture_id
        FROM student m
        JOIN {dw}.subject s ON s.client_id = m.client_id AND s.space_id = m.space_id AND NOT s.removed
        JOIN {dw}.lecture l ON l.client_id = s.client_id AND l.subject_id = s.subject_id AND NOT l.removed $q$
    END
$f$;
COMMENT ON FUNCTION empatia._members_sql(text) IS 'query template over "student": user_id and unit path of every member at the level';

-- {unit}: the level's id column; $1 client_id, $2 and $3 range, $4 grain, $5 first day of week, $7 to $9 environment, course and space or null
CREATE FUNCTION empatia._engagement_sql(level text, basis text) RETURNS text
LANGUAGE sql STABLE AS $f$ SELECT empatia._render($q$
    -- the students of the units asked for: facts and members follow from them
    WITH student AS MATERIALIZED (
        SELECT * FROM ({students}) m
        WHERE m.client_id = $1 AND ($7::bigint IS NULL OR m.environment_id = $7) AND ($8::bigint IS NULL OR m.course_id = $8)
          AND ($9::bigint IS NULL OR m.space_id = $9)),
    member AS ({member}),
    period AS (SELECT * FROM empatia.periods($4, $2, $3, $5)),
    interaction AS (
        SELECT f.client_id, f.{unit} AS unit_id, f.user_id, empatia.period_start($4, f.day, $5, $2) AS period_start,
               sum(f.amount) FILTER (WHERE t.measure = 'posts') AS posts,
               sum(f.amount) FILTER (WHERE t.measure = 'post_replies') AS post_replies,
               sum(f.amount) FILTER (WHERE t.measure = 'help_requests') AS help_requests,
               sum(f.amount) FILTER (WHERE t.measure = 'help_request_replies') AS help_request_replies,
               sum(f.amount) FILTER (WHERE t.measure = 'accesses') AS accesses
        FROM {dw}.fact_interaction f
        JOIN {dw}.interaction_type t USING (interaction_type_id)
        JOIN student m ON m.client_id = f.client_id AND m.space_id = f.space_id AND m.user_id = f.user_id
        WHERE f.client_id = $1 AND f.day BETWEEN $2 AND $3 AND f.{unit} IS NOT NULL
        GROUP BY 1, 2, 3, 4),
    active_day AS (
        SELECT f.client_id, f.{unit} AS unit_id, f.user_id, f.day
        FROM {dw}.fact_interaction f
        JOIN student m ON m.client_id = f.client_id AND m.space_id = f.space_id AND m.user_id = f.user_id
        WHERE f.client_id = $1 AND f.day BETWEEN $2 AND $3 AND f.{unit} IS NOT NULL
        UNION
        SELECT f.client_id, f.{unit}, f.user_id, f.submitted_day
        FROM {dw}.fact_assignment f
        JOIN student m ON m.client_id = f.client_id AND m.space_id = f.space_id AND m.user_id = f.user_id
        WHERE f.client_id = $1 AND f.submitted_day BETWEEN $2 AND $3 AND f.{unit} IS NOT NULL),
    active AS (
        SELECT d.client_id, d.unit_id, d.user_id, empatia.period_start($4, d.day, $5, $2) AS period_start, count(*) AS active_days
        FROM active_day d GROUP BY 1, 2, 3, 4),
    assignment AS (
        SELECT f.client_id, f.{unit} AS unit_id, f.user_id, coalesce(f.due_day, f.assigned_day) AS due_day, f.submitted_day,
               f.submitted_at > f.due_at AS late,
               CASE WHEN f.submitted_at IS NOT NULL THEN f.grade / nullif(f.max_grade, 0) END AS grade
        FROM {dw}.fact_assignment f
        JOIN student m ON m.client_id = f.client_id AND m.space_id = f.space_id AND m.user_id = f.user_id
        WHERE f.client_id = $1 AND f.{unit} IS NOT NULL),
    universe AS (
        SELECT a.client_id, a.unit_id, a.user_id, count(*) AS assigned FROM assignment a GROUP BY 1, 2, 3),
    handed_in AS (
        SELECT a.client_id, a.unit_id, a.user_id, empatia.period_start($4, a.{day}, $5, $2) AS period_start,
               count(*) AS due, count(a.submitted_day) AS submitted, count(*) FILTER (WHERE a.late) AS late,
               sum(a.grade) AS grade_sum, count(a.grade) AS grade_count
        FROM assignment a WHERE a.{day} BETWEEN $2 AND $3 GROUP BY 1, 2, 3, 4)
    SELECT m.client_id, m.user_id, m.environment_id, m.course_id, m.space_id, m.subject_id, m.lecture_id, p.period_start, p.period_end,
           coalesce(i.posts, 0)::bigint AS posts, coalesce(i.post_replies, 0)::bigint AS post_replies,
           coalesce(i.help_requests, 0)::bigint AS help_requests, coalesce(i.help_request_replies, 0)::bigint AS help_request_replies,
           coalesce(i.accesses, 0)::bigint AS accesses, coalesce(d.active_days, 0) AS active_days,
           coalesce({assigned}, 0) AS assigned_exercises, coalesce(h.submitted, 0) AS submitted_exercises,
           coalesce(h.late, 0) AS late_exercises, coalesce(h.grade_sum, 0) AS grade_sum, coalesce(h.grade_count, 0) AS grade_count
    FROM member m CROSS JOIN period p
    LEFT JOIN interaction i ON i.client_id = m.client_id AND i.unit_id = m.{unit} AND i.user_id = m.user_id AND i.period_start = p.period_start
    LEFT JOIN active d ON d.client_id = m.client_id AND d.unit_id = m.{unit} AND d.user_id = m.user_id AND d.period_start = p.period_start
    LEFT JOIN universe w ON w.client_id = m.client_id AND w.unit_id = m.{unit} AND w.user_id = m.user_id
    LEFT JOIN handed_in h ON h.client_id = m.client_id AND h.unit_id = m.{unit} AND h.user_id = m.user_id AND h.period_start = p.period_start
$q$,
    'students', empatia._students_sql(),
    'member', empatia._members_sql(level),
    'assigned', CASE basis WHEN 'due' THEN 'h.due' ELSE 'w.assigned' END,
    'day', CASE basis WHEN 'due' THEN 'due_day' ELSE 'submitted_day' END,
    'unit', empatia._unit_column(level))
$f$;
COMMENT ON FUNCTION empatia._engagement_sql(text, text) IS 'query of the dense cube of one client at a level; $1 client_id, $2 and $3 range, $4 grain, $5 first day of week, $7 to $9 environment, course and space or null';

CREATE TYPE empatia.engagement_row AS (
    client text, user_id bigint, environment_id bigint, course_id bigint, space_id bigint, subject_id bigint, lecture_id bigint,
    period_start date, period_end date, posts bigint, post_replies bigint, help_requests bigint, help_request_replies bigint,
    accesses bigint, active_days bigint, assigned_exercises bigint, submitted_exercises bigint, late_exercises bigint,
    grade_avg double precision, conclusion_percent double precision);
COMMENT ON TYPE empatia.engagement_row IS 'a row of the dense engagement cube';

CREATE FUNCTION empatia.engagement(
    client text, level text, grain text, date_from date DEFAULT NULL, date_to date DEFAULT NULL, by_user boolean DEFAULT true,
    environment_id bigint DEFAULT NULL, course_id bigint DEFAULT NULL, space_id bigint DEFAULT NULL,
    subject_id bigint DEFAULT NULL, lecture_id bigint DEFAULT NULL)
RETURNS SETOF empatia.engagement_row
-- every row of every part is joined: a nested loop, which the planner may choose over estimates of CTEs, is never right; and compiling
-- expressions over all partitions takes longer than evaluating them
LANGUAGE plpgsql STABLE ROWS 100000 SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off AS $$
DECLARE
    id integer;
    range record;
    basis CONSTANT text := empatia._setting_value('assignment_basis');
    per_user CONSTANT text := 'e.user_id, e.posts, e.post_replies, e.help_requests, e.help_request_replies, e.accesses, e.active_days,
        e.assigned_exercises, e.submitted_exercises, e.late_exercises, e.grade_sum / nullif(e.grade_count, 0) AS grade_avg';
    all_users CONSTANT text := 'NULL::bigint AS user_id, sum(e.posts)::bigint AS posts, sum(e.post_replies)::bigint AS post_replies,
        sum(e.help_requests)::bigint AS help_requests, sum(e.help_request_replies)::bigint AS help_request_replies,
        sum(e.accesses)::bigint AS accesses, sum(e.active_days)::bigint AS active_days, sum(e.assigned_exercises)::bigint AS assigned_exercises,
        sum(e.submitted_exercises)::bigint AS submitted_exercises, sum(e.late_exercises)::bigint AS late_exercises,
        sum(e.grade_sum) / nullif(sum(e.grade_count), 0) AS grade_avg';
BEGIN
    IF level IS NULL OR grain IS NULL THEN
        PERFORM empatia._fail('null_value_not_allowed', 'engagement() needs a level and a grain',
            'For example SELECT * FROM empatia.engagement(''redu-digital'', ''SPA'', ''WEEK'').');
    END IF;
    PERFORM empatia._check_combination(level, grain);
    id := empatia._client_id(client);
    range := empatia._range(date_from, date_to);
    IF range.range_from IS NULL THEN
        RETURN; -- neither a range nor a fact: no period, no row
    END IF;
    RETURN QUERY EXECUTE empatia._render($q$
        SELECT $6, c.user_id, c.environment_id, c.course_id, c.space_id, c.subject_id, c.lecture_id, c.period_start, c.period_end,
               c.posts, c.post_replies, c.help_requests, c.help_request_replies, c.accesses, c.active_days,
               c.assigned_exercises, c.submitted_exercises, c.late_exercises, c.grade_avg,
               c.submitted_exercises::float8 / nullif(c.assigned_exercises, 0)
        FROM (SELECT {measures}, e.environment_id, e.course_id, e.space_id, e.subject_id, e.lecture_id, e.period_start, e.period_end
              FROM ({engagement}) e
              WHERE ($7 IS NULL OR e.environment_id = $7) AND ($8 IS NULL OR e.course_id = $8) AND ($9 IS NULL OR e.space_id = $9)
                AND ($10 IS NULL OR e.subject_id = $10) AND ($11 IS NULL OR e.lecture_id = $11)
              {group}) c $q$,
        'engagement', empatia._engagement_sql(level, basis),
        'measures', CASE WHEN by_user THEN per_user ELSE all_users END,
        'group', CASE WHEN by_user THEN '' ELSE 'GROUP BY e.environment_id, e.course_id, e.space_id, e.subject_id, e.lecture_id, e.period_start, e.period_end' END)
    USING id, range.range_from, range.range_to, grain, empatia._setting_value('first_day_of_week')::integer, client,
          environment_id, course_id, space_id, subject_id, lecture_id;
END
$$;
COMMENT ON FUNCTION empatia.engagement(text, text, text, date, date, boolean, bigint, bigint, bigint, bigint, bigint) IS
    'the dense engagement cube of a client, computed from the facts: one row per member, unit and period, or per unit and period (by_user => false)';
