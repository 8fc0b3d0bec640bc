-- Small things that every function family uses.

CREATE FUNCTION empatia._fail(code text, message text, hint text DEFAULT NULL, detail text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- RAISE refuses a null option, so each combination is its own statement
    IF hint IS NULL AND detail IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message;
    ELSIF detail IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message, HINT = hint;
    ELSIF hint IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message, DETAIL = detail;
    END IF;
    RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message, HINT = hint, DETAIL = detail;
END
$$;
COMMENT ON FUNCTION empatia._fail(text, text, text, text) IS 'raises an error with SQLSTATE, message and remedy';

CREATE FUNCTION empatia._levels() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT ARRAY['ENV', 'CRS', 'SPA', 'SUB', 'LEC'] $$;
COMMENT ON FUNCTION empatia._levels() IS 'hierarchy levels, outer to inner';

CREATE FUNCTION empatia._grains() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT ARRAY['WEEK', 'FORTNIGHT', 'MONTH', 'QUARTER', 'SEMESTER', 'YEAR', 'ALL'] $$;
COMMENT ON FUNCTION empatia._grains() IS 'time grains, finest to coarsest';

CREATE FUNCTION empatia._check_combination(level text, grain text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF level IS NOT NULL AND level <> ALL (empatia._levels()) THEN
        PERFORM empatia._fail('invalid_parameter_value', format('unknown level "%s"', level),
            'The levels are ENV, CRS, SPA, SUB and LEC.');
    END IF;
    IF grain IS NOT NULL AND grain <> ALL (empatia._grains()) THEN
        PERFORM empatia._fail('invalid_parameter_value', format('unknown grain "%s"', grain),
            'The grains are WEEK, FORTNIGHT, MONTH, QUARTER, SEMESTER, YEAR and ALL.');
    END IF;
END
$$;
COMMENT ON FUNCTION empatia._check_combination(text, text) IS 'refuses a level or grain that does not exist; null is any';

CREATE FUNCTION empatia._unit_column(level text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE level WHEN 'ENV' THEN 'environment_id' WHEN 'CRS' THEN 'course_id' WHEN 'SPA' THEN 'space_id'
                      WHEN 'SUB' THEN 'subject_id' WHEN 'LEC' THEN 'lecture_id' END
$$;
COMMENT ON FUNCTION empatia._unit_column(text) IS 'column that identifies a unit of the level';

CREATE FUNCTION empatia._warehouse() RETURNS empatia.warehouse
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    w empatia.warehouse;
BEGIN
    SELECT * INTO w FROM empatia.warehouse;
    IF NOT FOUND THEN
        PERFORM empatia._fail('object_not_in_prerequisite_state', 'this database has no warehouse',
            'Run SELECT * FROM empatia.create_warehouse();');
    END IF;
    RETURN w;
END
$$;
COMMENT ON FUNCTION empatia._warehouse() IS 'the warehouse of this database, or an error that says how to create it';

-- Identifiers are the only part of a query that cannot be a parameter. Everything else is.
CREATE FUNCTION empatia._render(template text, VARIADIC parts text[] DEFAULT '{}') RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    w CONSTANT empatia.warehouse := empatia._warehouse();
BEGIN
    FOR i IN 1 .. cardinality(parts) / 2 LOOP
        template := replace(template, '{' || parts[2 * i - 1] || '}', parts[2 * i]);
    END LOOP;
    RETURN replace(replace(template, '{dw}', quote_ident(w.dw_schema)), '{results}', quote_ident(w.results_schema));
END
$$;
COMMENT ON FUNCTION empatia._render(text, text[]) IS 'a query template with its {parts} (name, text pairs) filled in, then {dw} and {results} with the schemas of the warehouse';

-- A setting whose row was deleted has its default. The body is parsed here and now, so that it can be inlined and yet means the same
-- under every search_path; so are those of the calendar below.
CREATE FUNCTION empatia._setting_value(name text) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT v.value
    FROM (SELECT s.value, 1 AS place FROM empatia.setting s WHERE s.key = name
          UNION ALL SELECT d.value, 2 FROM (VALUES ('valid_from', '1990-01-01'), ('valid_to', '2100-01-01'), ('first_day_of_week', '0'),
              ('assignment_basis', 'universe'), ('cursor_overlap', '5 minutes'), ('builder', 'native'), ('language', 'pt'),
              ('prediction_retention', '24 months'), ('drift_look', '0.10'), ('drift_shift', '0.25')) d (key, value) WHERE d.key = name) v
    ORDER BY v.place LIMIT 1;
END;
COMMENT ON FUNCTION empatia._setting_value(text) IS 'value of a setting, its default where its row was deleted';

CREATE FUNCTION empatia._client_id(client text) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id integer;
    known text;
BEGIN
    EXECUTE empatia._render('SELECT client_id FROM {dw}.client WHERE code = $1') INTO id USING client;
    IF id IS NULL THEN
        EXECUTE empatia._render($q$ SELECT string_agg(code, ', ' ORDER BY code) FROM {dw}.client $q$) INTO known;
        PERFORM empatia._fail('invalid_parameter_value', format('unknown client %s', coalesce('"' || client || '"', 'null')),
            coalesce('The clients are ' || known || '.', 'There is no client yet: run SELECT * FROM empatia.add_client(code, name, time_zone).'));
    END IF;
    RETURN id;
END
$$;
COMMENT ON FUNCTION empatia._client_id(text) IS 'id of a client code, or an error that names the clients';

CREATE FUNCTION empatia.period_start(grain text, day date, first_day_of_week integer DEFAULT 0, range_start date DEFAULT NULL)
RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE grain
        WHEN 'WEEK' THEN day - ((extract(dow FROM day)::integer - first_day_of_week + 7) % 7)
        WHEN 'FORTNIGHT' THEN date_trunc('month', day::timestamp)::date
                              + CASE WHEN extract(day FROM day) > 15 THEN 15 ELSE 0 END
        WHEN 'MONTH' THEN date_trunc('month', day::timestamp)::date
        WHEN 'QUARTER' THEN date_trunc('quarter', day::timestamp)::date
        WHEN 'SEMESTER' THEN make_date(extract(year FROM day)::integer, CASE WHEN extract(month FROM day) <= 6 THEN 1 ELSE 7 END, 1)
        WHEN 'YEAR' THEN date_trunc('year', day::timestamp)::date
        WHEN 'ALL' THEN range_start
    END;
END;
COMMENT ON FUNCTION empatia.period_start(text, date, integer, date) IS 'first day of the period of a grain that a day belongs to (WEEK: 0 = Sunday first; ALL: the first day of the range)';

CREATE FUNCTION empatia.period_end(grain text, period_start date, range_end date DEFAULT NULL)
RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE grain
        WHEN 'WEEK' THEN period_start + 6
        WHEN 'FORTNIGHT' THEN CASE WHEN extract(day FROM period_start) = 1 THEN period_start + 14
                                   ELSE (date_trunc('month', period_start::timestamp) + interval '1 month')::date - 1 END
        WHEN 'MONTH' THEN (period_start::timestamp + interval '1 month')::date - 1
        WHEN 'QUARTER' THEN (period_start::timestamp + interval '3 months')::date - 1
        WHEN 'SEMESTER' THEN (period_start::timestamp + interval '6 months')::date - 1
        WHEN 'YEAR' THEN (period_start::timestamp + interval '1 year')::date - 1
        WHEN 'ALL' THEN range_end
    END;
END;
COMMENT ON FUNCTION empatia.period_end(text, date, date) IS 'last day of the period that starts on the given day (ALL: the last day of the range)';

CREATE FUNCTION empatia._finite_range(date_from date, date_to date, OUT range_from timestamp, OUT range_to timestamp)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- as many days as the cube is built for (calendar.rs)
    IF NOT isfinite(date_from) OR NOT isfinite(date_to) OR date_to - date_from > 4194303 THEN
        PERFORM empatia._fail('datetime_field_overflow', format('expected finite dates at most 11 000 years apart, found %s and %s', date_from, date_to),
            'Give the first and the last day that you want periods of.');
    END IF;
    range_from := date_from;
    range_to := date_to;
END
$$;
COMMENT ON FUNCTION empatia._finite_range(date, date) IS 'a range of days, or an error where nobody could list them';

CREATE FUNCTION empatia.periods(grain text, date_from date, date_to date, first_day_of_week integer DEFAULT 0)
RETURNS TABLE (period_start date, period_end date) LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
    SELECT p.start, empatia.period_end(grain, p.start, date_to)
    FROM (SELECT DISTINCT empatia.period_start(grain, d::date, first_day_of_week, date_from) AS start
          FROM empatia._finite_range(date_from, date_to) r, pg_catalog.generate_series(r.range_from, r.range_to, interval '1 day') d) p
    ORDER BY p.start;
END;
COMMENT ON FUNCTION empatia.periods(text, date, date, integer) IS 'the periods of a grain that overlap the inclusive range, with their full calendar bounds';

-- The range of a call: its own arguments, else the settings, else the days that have facts.
CREATE FUNCTION empatia._range(date_from date, date_to date, OUT range_from date, OUT range_to date, OUT automatic_from boolean, OUT automatic_to boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    range_from := coalesce(date_from, empatia._setting_value('range_start')::date);
    range_to := coalesce(date_to, empatia._setting_value('range_end')::date);
    automatic_from := range_from IS NULL;
    automatic_to := range_to IS NULL;
    IF automatic_from OR automatic_to THEN
        EXECUTE empatia._render($q$
            SELECT coalesce($1, min(first_day)), coalesce($2, max(last_day)) FROM (
                SELECT min(day), max(day) FROM {dw}.fact_interaction
                UNION ALL SELECT min(submitted_day), max(submitted_day) FROM {dw}.fact_assignment) f (first_day, last_day) $q$)
        INTO range_from, range_to USING range_from, range_to;
        -- one end given beyond the other's facts: an empty range, which is no error of the caller's
        IF range_from > range_to THEN
            IF automatic_from THEN range_from := range_to; ELSE range_to := range_from; END IF;
        END IF;
    END IF;
    IF NOT isfinite(range_from) OR NOT isfinite(range_to) THEN
        PERFORM empatia._fail('invalid_parameter_value', 'expected finite dates, found infinity');
    END IF;
    IF range_from > range_to THEN
        PERFORM empatia._fail('invalid_parameter_value', format('date_from %s is after date_to %s', range_from, range_to),
            'Swap them, or change the settings range_start and range_end.');
    END IF;
    IF range_to - range_from > 366 * 100 THEN
        PERFORM empatia._fail('invalid_parameter_value',
            format('expected a range of at most 100 years, found %s to %s', range_from, range_to),
            'Give date_from and date_to, or set range_start and range_end in empatia.setting.');
    END IF;
END
$$;
COMMENT ON FUNCTION empatia._range(date, date) IS 'the inclusive range of a call; both ends null when there is neither a range nor a fact';
