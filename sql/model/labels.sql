-- Labels: what people say of students, and outcomes of enrolments; the rows of the cube that they are for.

CREATE TYPE empatia.set_label_row AS (label_id bigint, client text, level text, grain text, unit_id bigint, user_id bigint, period_start date, label text, previous text);
COMMENT ON TYPE empatia.set_label_row IS 'a label as set_label() left it; label_id null: it was withdrawn; previous: the label before';

CREATE FUNCTION empatia.set_label(client text, user_id bigint, level text, grain text, unit_id bigint, day date, label text)
RETURNS empatia.set_label_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    id CONSTANT integer := empatia._client_id(client);
    done empatia.set_label_row;
    member boolean;
BEGIN
    PERFORM empatia._require_cube(level, grain, id);
    IF user_id IS NULL OR unit_id IS NULL OR day IS NULL OR label = '' THEN
        PERFORM empatia._fail('invalid_parameter_value', 'expected a student, a unit, a day and a label, found nothing for one of them',
            'A label of null withdraws the label that is there.');
    END IF;
    EXECUTE empatia._render('SELECT p.period_start FROM {results}.cube_period p WHERE (p.client_id, p.level, p.grain) = ($1, $2, $3) AND $4 BETWEEN p.period_start AND p.period_end')
        INTO done.period_start USING id, level, grain, day;
    IF done.period_start IS NULL THEN
        PERFORM empatia._fail('invalid_parameter_value', format('the cube has no period of grain %s with %s in it', grain, day),
            'empatia.setting range_start and range_end say from when to when the cube is built.');
    END IF;
    EXECUTE empatia._render('SELECT EXISTS (SELECT FROM {results}.cube_unit u
            JOIN {results}.cube_member m ON (m.client_id, m.level, m.unit_id) = (u.client_id, u.member_level, u.member_unit_id)
            WHERE (u.client_id, u.level, u.unit_id, m.user_id) = ($1, $2, $3, $4))')
        INTO member USING id, level, unit_id, user_id;
    IF NOT member THEN
        PERFORM empatia._fail('invalid_parameter_value', format('user %s is no student of unit %s at level %s', user_id, unit_id, level),
            'Students are who is enrolled in a space without a role in empatia.excluded_role, as of the last build_cube().');
    END IF;
    -- two people at once: the second replaces the label of the first
    PERFORM pg_advisory_xact_lock(hashtextextended(concat_ws('/', 'empatia.label', id, level, grain, unit_id, user_id, done.period_start), 0));
    EXECUTE empatia._render('UPDATE {dw}.student_label l SET replaced_at = clock_timestamp()
            WHERE (l.client_id, l.level, l.grain, l.unit_id, l.user_id, l.period_start) = ($1, $2, $3, $4, $5, $6) AND l.replaced_at IS NULL RETURNING l.label')
        INTO done.previous USING id, level, grain, unit_id, user_id, done.period_start;
    IF label IS NOT NULL THEN
        EXECUTE empatia._render('INSERT INTO {dw}.student_label (client_id, level, grain, unit_id, user_id, period_start, label) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING label_id')
            INTO done.label_id USING id, level, grain, unit_id, user_id, done.period_start, label;
    END IF;
    done.client := client;
    done.level := level;
    done.grain := grain;
    done.unit_id := unit_id;
    done.user_id := user_id;
    done.label := label;
    RETURN done;
END
$$;
COMMENT ON FUNCTION empatia.set_label(text, bigint, text, text, bigint, date, text) IS
    'says what a student was like in a unit in the period that a day belongs to; the label before stays on record; null withdraws it';

-- Rows (client_id, user_id, unit_id, period_start, class) of the labels that people gave.
CREATE FUNCTION empatia._labels_sql(level text, grain text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $f$ SELECT empatia._render($q$
    SELECT l.client_id, l.user_id, l.unit_id, l.period_start, l.label AS class
    FROM {dw}.student_label l WHERE l.level = {level} AND l.grain = {grain} AND l.replaced_at IS NULL $q$,
    'level', quote_literal(level), 'grain', quote_literal(grain))
$f$;
COMMENT ON FUNCTION empatia._labels_sql(text, text) IS 'query of the labels given to the rows of a level and grain';

-- One row per enrolment that has an outcome: the last period that ends within `days` of the space's start. Who had left by then takes no
-- part: there is nothing left to foresee. Where the source does not know when a space starts, its first active period does.
CREATE FUNCTION empatia._outcomes_sql(grain text, days integer, at_risk text[], risk_class text, other_class text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $f$ SELECT empatia._render($q$
    SELECT DISTINCT ON (e.client_id, e.space_id, e.user_id) e.client_id, e.user_id, e.space_id AS unit_id, p.period_start, {class} AS class
    FROM {dw}.enrolment e
    JOIN {dw}.space s ON (s.client_id, s.space_id) = (e.client_id, e.space_id)
    JOIN {dw}.client c ON c.client_id = e.client_id
    JOIN LATERAL (
        SELECT coalesce((s.starts_at AT TIME ZONE c.time_zone)::date,
                        (SELECT min(x.period_start) FROM {results}.{cube} x WHERE x.client_id = s.client_id AND x.unit_id = s.space_id)) + {days} AS cut
        OFFSET 0) w ON true
    JOIN LATERAL (SELECT q.period_start, q.period_end FROM {results}.cube_period q
                  WHERE (q.client_id, q.level, q.grain) = (e.client_id, 'SPA', {grain}) AND q.period_end < w.cut
                  ORDER BY q.period_start DESC LIMIT 1) p ON true
    WHERE e.outcome IS NOT NULL AND (e.ended_at IS NULL OR (e.ended_at AT TIME ZONE c.time_zone)::date >= w.cut)
    ORDER BY e.client_id, e.space_id, e.user_id, e.enrolled_at DESC NULLS LAST, e.enrolment_id $q$,
    'cube', lower('cube_SPA_' || grain), 'grain', quote_literal(grain), 'days', days::text,
    'class', CASE WHEN at_risk IS NULL THEN 'e.outcome'
                  ELSE format('CASE WHEN e.outcome = ANY (%L::text[]) THEN %L ELSE %L END', at_risk, risk_class, other_class) END)
$f$;
COMMENT ON FUNCTION empatia._outcomes_sql(text, integer, text[], text, text) IS 'query of the outcomes of enrolments, each at the period in which it is to be foreseen';
