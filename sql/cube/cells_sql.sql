-- The cells of the cube by a query per level and grain: for facts that are elsewhere, and as another way to the same numbers.

-- Cells of one client, level and grain from the facts. {touched}: '' or a join that restricts facts to students and periods.
-- $1 client_id, $2 and $3 range, $4 first day of week
CREATE FUNCTION empatia._cells_sql(level text, grain text, basis text, only_touched boolean) RETURNS text
LANGUAGE sql STABLE AS $f$ SELECT empatia._render($q$
    SELECT $1, {level}, {grain}, e.user_id, e.unit_id, e.period_start,
           sum(e.posts), sum(e.post_replies), sum(e.help_requests), sum(e.help_request_replies), sum(e.accesses),
           count(DISTINCT e.active_day), sum(e.due), sum(e.submitted), sum(e.late), sum(e.grade), sum(e.graded)
    FROM (
        SELECT f.user_id, f.{unit} AS unit_id, empatia.period_start({grain}, f.day, $4, $2) AS period_start, f.day AS active_day,
               CASE WHEN k.measure = 'posts' THEN f.amount ELSE 0 END AS posts,
               CASE WHEN k.measure = 'post_replies' THEN f.amount ELSE 0 END AS post_replies,
               CASE WHEN k.measure = 'help_requests' THEN f.amount ELSE 0 END AS help_requests,
               CASE WHEN k.measure = 'help_request_replies' THEN f.amount ELSE 0 END AS help_request_replies,
               CASE WHEN k.measure = 'accesses' THEN f.amount ELSE 0 END AS accesses,
               0 AS due, 0 AS submitted, 0 AS late, 0::double precision AS grade, 0 AS graded
        FROM {dw}.fact_interaction f {touched_day}
        JOIN {dw}.interaction_type k ON k.interaction_type_id = f.interaction_type_id
        WHERE f.client_id = $1 AND f.day BETWEEN $2 AND $3 AND {member}
        UNION ALL
        SELECT f.user_id, f.{unit}, empatia.period_start({grain}, f.submitted_day, $4, $2), f.submitted_day, 0, 0, 0, 0, 0, 0,
               {in_universe}, CASE WHEN f.submitted_at > f.due_at THEN {in_universe} ELSE 0 END,
               CASE WHEN f.grade / nullif(f.max_grade, 0) IS NOT NULL THEN f.grade / f.max_grade * {in_universe} ELSE 0 END,
               CASE WHEN f.grade / nullif(f.max_grade, 0) IS NOT NULL THEN {in_universe} ELSE 0 END
        FROM {dw}.fact_assignment f {touched_submitted}
        WHERE f.client_id = $1 AND f.submitted_day BETWEEN $2 AND $3 AND {member}
        {due}) e
    GROUP BY e.user_id, e.unit_id, e.period_start $q$,
    -- basis due: a second row per assignment, in the period in which it is due
    'due', CASE basis WHEN 'due' THEN $q$
        UNION ALL
        SELECT f.user_id, f.{unit}, empatia.period_start({grain}, coalesce(f.due_day, f.assigned_day), $4, $2), NULL, 0, 0, 0, 0, 0, 1,
               CASE WHEN f.submitted_day IS NOT NULL THEN 1 ELSE 0 END, CASE WHEN f.submitted_at > f.due_at THEN 1 ELSE 0 END,
               CASE WHEN f.submitted_at IS NOT NULL THEN coalesce(f.grade / nullif(f.max_grade, 0), 0) ELSE 0 END,
               CASE WHEN f.submitted_at IS NOT NULL AND f.grade / nullif(f.max_grade, 0) IS NOT NULL THEN 1 ELSE 0 END
        FROM {dw}.fact_assignment f {touched_due}
        WHERE f.client_id = $1 AND coalesce(f.due_day, f.assigned_day) BETWEEN $2 AND $3 AND {member}$q$ ELSE '' END,
    'touched_day', CASE WHEN only_touched THEN 'JOIN pg_temp._touched h ON h.user_id = f.user_id AND f.day BETWEEN h.period_start AND h.period_end' ELSE '' END,
    'touched_submitted', CASE WHEN only_touched THEN 'JOIN pg_temp._touched h ON h.user_id = f.user_id AND f.submitted_day BETWEEN h.period_start AND h.period_end' ELSE '' END,
    'touched_due', CASE WHEN only_touched THEN 'JOIN pg_temp._touched h ON h.user_id = f.user_id AND coalesce(f.due_day, f.assigned_day) BETWEEN h.period_start AND h.period_end' ELSE '' END,
    'member', $q$f.{unit} IS NOT NULL
          AND (f.space_id, f.user_id) IN (SELECT m.unit_id, m.user_id FROM {results}.cube_member m WHERE m.client_id = $1 AND m.level = 'SPA')
          AND f.{unit} IN (SELECT u.unit_id FROM {results}.cube_unit u WHERE u.client_id = $1 AND u.level = {level})$q$,
    'in_universe', CASE basis WHEN 'due' THEN '0' ELSE '1' END,
    'unit', empatia._unit_column(level), 'level', quote_literal(level), 'grain', quote_literal(grain))
$f$;
COMMENT ON FUNCTION empatia._cells_sql(text, text, text, boolean) IS 'query of the sparse cells of a client at a level and grain; $1 client_id, $2 and $3 range, $4 first day of week';

-- Facts that count for no unit, by reason.
CREATE FUNCTION empatia._left_out(client_id integer, date_from date, date_to date) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    counts jsonb;
BEGIN
    EXECUTE empatia._render($q$
        SELECT jsonb_object_agg(c.reason, c.n) FROM (
            SELECT CASE WHEN f.space_id IS NULL THEN 'hangs on no space'
                        WHEN m.user_id IS NULL THEN 'not a student of the space' ELSE 'outside the range' END AS reason, count(*) AS n
            FROM (SELECT i.space_id, i.user_id, i.day FROM {dw}.fact_interaction i WHERE i.client_id = $1
                  UNION ALL SELECT a.space_id, a.user_id, coalesce(a.submitted_day, $2) FROM {dw}.fact_assignment a WHERE a.client_id = $1) f
            LEFT JOIN {results}.cube_member m ON m.client_id = $1 AND m.level = 'SPA' AND m.unit_id = f.space_id AND m.user_id = f.user_id
            WHERE f.space_id IS NULL OR m.user_id IS NULL OR f.day NOT BETWEEN $2 AND $3
            GROUP BY 1) c $q$) INTO counts USING client_id, date_from, date_to;
    RETURN coalesce(counts, '{}');
END
$$;
COMMENT ON FUNCTION empatia._left_out(integer, date, date) IS 'number of facts of a client that count for no unit, per reason';

-- Students and periods to compute again, in pg_temp._touched.
CREATE FUNCTION empatia._stage_touched(client_id integer, since bigint, grain text, date_from date, date_to date, first_day integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
BEGIN
    DROP TABLE IF EXISTS pg_temp._touched;
    CREATE TEMP TABLE _touched (user_id bigint, period_start date, period_end date) ON COMMIT DROP;
    EXECUTE empatia._render($q$
        INSERT INTO pg_temp._touched
        SELECT DISTINCT c.user_id, p.period_start, p.period_end
        FROM (SELECT DISTINCT h.user_id, h.day FROM {dw}.change h WHERE h.client_id = $1 AND h.change_id > $2) c
        JOIN empatia.periods($3, $4, $5, $6) p ON c.day IS NULL OR c.day BETWEEN p.period_start AND p.period_end $q$)
    USING client_id, since, grain, date_from, date_to, first_day;
    ANALYZE pg_temp._touched;
END
$$;
COMMENT ON FUNCTION empatia._stage_touched(integer, bigint, text, date, date, integer) IS 'students and periods changed since, in _touched';

CREATE FUNCTION empatia._build_sql(client_id integer, part empatia.build_part) RETURNS empatia.build_part
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = error AS $$
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
    basis CONSTANT text := empatia._setting_value('assignment_basis');
    first_day CONSTANT integer := empatia._setting_value('first_day_of_week')::integer;
    cube CONSTANT text := empatia._render('{results}.') || quote_ident(lower(format('cube_%s_%s', part.level, part.grain)));
    classes CONSTANT text := empatia._render('{results}.') || quote_ident(lower(format('cube_class_%s_%s', part.level, part.grain)));
BEGIN
    IF part.mode = 'full' THEN
        EXECUTE format('DELETE FROM %s c WHERE c.client_id = $1', classes) USING client_id;
        EXECUTE empatia._render('UPDATE {results}.cube_build b SET model_version = NULL, classified_at = NULL WHERE (b.client_id, b.level, b.grain) = ($1, $2, $3)')
            USING client_id, part.level, part.grain;
        EXECUTE format('DELETE FROM %s c WHERE c.client_id = $1', cube) USING client_id;
    ELSE
        PERFORM empatia._stage_touched(client_id, part.since, part.grain, part.date_from, part.date_to, first_day);
        EXECUTE format('DELETE FROM %s c USING pg_temp._touched h WHERE c.client_id = $1 AND c.user_id = h.user_id AND c.period_start = h.period_start', classes) USING client_id;
        EXECUTE format('DELETE FROM %s c USING pg_temp._touched h WHERE c.client_id = $1 AND c.user_id = h.user_id AND c.period_start = h.period_start', cube) USING client_id;
    END IF;
    GET DIAGNOSTICS part.deleted_rows = ROW_COUNT;
    EXECUTE format('INSERT INTO %s (client_id, level, grain, user_id, unit_id, period_start, posts, post_replies, help_requests, help_request_replies, accesses, active_days, '
                   'assigned_exercises, submitted_exercises, late_exercises, grade_sum, grade_count) %s', cube, empatia._cells_sql(part.level, part.grain, basis, part.mode = 'incremental'))
        USING client_id, part.date_from, part.date_to, first_day;
    GET DIAGNOSTICS part.written_rows = ROW_COUNT;
    DROP TABLE IF EXISTS pg_temp._touched;
    part.stored_rows := CASE part.mode WHEN 'full' THEN part.written_rows ELSE part.stored_rows + part.written_rows - part.deleted_rows END;
    part.seconds := part.seconds + extract(epoch FROM clock_timestamp() - began);
    RETURN part;
END
$$;
COMMENT ON FUNCTION empatia._build_sql(integer, empatia.build_part) IS 'brings a part up to date with a query: deletes what may have changed and computes it again';
