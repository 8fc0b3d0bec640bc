-- classify(): a class for every cube row. Stored rows are classified one by one; rows in which nothing happened by their number of
-- assignments, which is all that tells them apart.

CREATE TYPE empatia.classify_row AS (client text, level text, grain text, model_version bigint, dense_rows bigint, written_rows bigint, seconds double precision);
COMMENT ON TYPE empatia.classify_row IS 'what classify() did with one part of the cube; model_version: what gave the category, the classifier or else the segments; written_rows: stored rows that got a class or a prediction, or another one than before';

CREATE FUNCTION empatia._feature_expressions(features text[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'ARRAY[' || string_agg(format('(%s)::double precision', CASE f WHEN 'assigned_exercises' THEN empatia._assigned_sql() ELSE 'x.' || quote_ident(f) END), ', ' ORDER BY i) || ']'
    FROM unnest(features) WITH ORDINALITY u (f, i)
$$;
COMMENT ON FUNCTION empatia._feature_expressions(text[]) IS 'array expression of the features of a stored cube row';

-- $1 client_id, $2 the encoded model. What _classify_cells() computes is what this query says.
CREATE FUNCTION empatia._classes_sql(level text, grain text, features text[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $f$ SELECT empatia._render($q$
    SELECT x.client_id, x.level, x.grain, x.user_id, x.unit_id, x.period_start, empatia._segment_rank($2, {features}) AS class
    FROM {results}.{cube} x
    JOIN {results}.cube_build b ON b.client_id = x.client_id AND b.level = {level} AND b.grain = {grain}
    LEFT JOIN {results}.cube_assigned a ON a.client_id = x.client_id AND a.level = {level} AND a.user_id = x.user_id AND a.unit_id = x.unit_id
    WHERE x.client_id = $1 $q$,
    'cube', lower(format('cube_%s_%s', level, grain)), 'features', empatia._feature_expressions(features), 'level', quote_literal(level), 'grain', quote_literal(grain))
$f$;
COMMENT ON FUNCTION empatia._classes_sql(text, text, text[]) IS 'query of the class of each stored row of a part of the cube; $1 client_id, $2 encoded model';

-- What _classify_cells() does, by queries: for parts that this process does not read and write itself.
CREATE FUNCTION empatia._classify_sql(client_id integer, level text, grain text, features text[], encoded bytea,
    OUT written_rows bigint, OUT zero_assigned bigint[], OUT zero_classes smallint[])
-- a nested loop over the classes, which the planner takes for empty, would read again and again what this very statement adds
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
DECLARE
    wanted CONSTANT text := empatia._classes_sql(level, grain, features);
    classes CONSTANT text := lower(format('cube_class_%s_%s', level, grain));
BEGIN
    -- a new value, no longer compressed: else it would be decompressed again for every row
    encoded := encoded || ''::bytea;
    EXECUTE empatia._render('DELETE FROM {results}.{classes} k WHERE k.client_id = $1 AND NOT EXISTS (SELECT FROM ({wanted}) w
        WHERE (w.user_id, w.unit_id, w.period_start, w.class) = (k.user_id, k.unit_id, k.period_start, k.class))', 'classes', classes, 'wanted', wanted) USING client_id, encoded;
    EXECUTE empatia._render('INSERT INTO {results}.{classes} (client_id, level, grain, user_id, unit_id, period_start, class)
        SELECT w.* FROM ({wanted}) w WHERE NOT EXISTS (SELECT FROM {results}.{classes} k
            WHERE (k.client_id, k.user_id, k.unit_id, k.period_start) = (w.client_id, w.user_id, w.unit_id, w.period_start))', 'classes', classes, 'wanted', wanted) USING client_id, encoded;
    GET DIAGNOSTICS written_rows = ROW_COUNT;
    EXECUTE empatia._render($q$
        SELECT array_agg(z.n), array_agg(empatia._segment_rank($5, (SELECT array_agg(CASE f WHEN 'assigned_exercises' THEN z.n ELSE 0 END::double precision ORDER BY i)
                                                                   FROM unnest($4) WITH ORDINALITY u (f, i))))
        FROM (SELECT 0::bigint AS n
              UNION SELECT a.assigned_exercises FROM {results}.cube_build b JOIN {results}.cube_assigned a ON a.client_id = b.client_id AND a.level = b.level
                    WHERE (b.client_id, b.level, b.grain) = ($1, $2, $3) AND b.assignment_basis = 'universe') z $q$)
        INTO zero_assigned, zero_classes USING client_id, level, grain, features, encoded;
END
$$;
COMMENT ON FUNCTION empatia._classify_sql(integer, text, text, text[], bytea) IS 'brings the classes of a part of the cube up to date by queries; returns the rows written and the class of the rows without activity per number of assignments';

CREATE FUNCTION empatia._classify_part(client_id integer, level text, grain text) RETURNS empatia.classify_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = error SET enable_nestloop = off AS $$
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
    results CONSTANT text := empatia._native_results(level, grain);
    applies CONSTANT bigint := empatia._require_model(level, grain, client_id);
    m empatia.model;
    build record;
    found record;
    ranks smallint[];
    labels text[];
    done empatia.classify_row;
BEGIN
    SELECT * INTO m FROM empatia.model r WHERE r.version = applies;
    EXECUTE empatia._render('SELECT b.* FROM {results}.cube_build b WHERE (b.client_id, b.level, b.grain) = ($1, $2, $3)') INTO build USING client_id, level, grain;
    IF results IS NULL THEN
        SELECT * INTO found FROM empatia._classify_sql(client_id, level, grain, m.features, m.encoded);
    ELSE
        SELECT * INTO found FROM empatia._classify_cells(client_id, results, level, grain, build.assignment_basis = 'universe', m.features, m.encoded);
    END IF;
    done.written_rows := found.written_rows;
    -- only what differs, here and below: a part that is classified again with the same result writes nothing
    EXECUTE empatia._render('DELETE FROM {results}.cube_class_zero z WHERE (z.client_id, z.level, z.grain) = ($1, $2, $3)
            AND NOT EXISTS (SELECT FROM unnest($4, $5) w (n, class) WHERE (w.n, w.class) = (z.assigned_exercises, z.class))')
        USING client_id, level, grain, found.zero_assigned, found.zero_classes;
    EXECUTE empatia._render('INSERT INTO {results}.cube_class_zero (client_id, level, grain, assigned_exercises, class)
            SELECT $1, $2, $3, w.n, w.class FROM unnest($4, $5) w (n, class)
            WHERE NOT EXISTS (SELECT FROM {results}.cube_class_zero z WHERE (z.client_id, z.level, z.grain, z.assigned_exercises) = ($1, $2, $3, w.n))')
        USING client_id, level, grain, found.zero_assigned, found.zero_classes;
    SELECT array_agg(s.rank), array_agg(empatia._label(level, grain, s.rank)) INTO ranks, labels FROM empatia._describe_segments(m.encoded) s;
    PERFORM empatia._write_labels(client_id, level, grain, false, ranks, labels);
    EXECUTE empatia._render('UPDATE {results}.cube_build b SET model_version = $4, classified_at = clock_timestamp() WHERE (b.client_id, b.level, b.grain) = ($1, $2, $3)')
        USING client_id, level, grain, m.version;
    done.level := level;
    done.grain := grain;
    done.model_version := m.version;
    done.dense_rows := build.dense_rows;
    done.seconds := extract(epoch FROM clock_timestamp() - began);
    RETURN done;
END
$$;
COMMENT ON FUNCTION empatia._classify_part(integer, text, text) IS 'gives one level and grain of a client its segments';

CREATE FUNCTION empatia.classify(level text DEFAULT NULL, grain text DEFAULT NULL, client text DEFAULT NULL) RETURNS SETOF empatia.classify_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    part record;
    who record;
    done empatia.classify_row;
    predicted record;
    written text[] := '{}';
    foretold text[] := '{}';
    named CONSTANT integer := CASE WHEN client IS NOT NULL THEN empatia._client_id(client) END;
BEGIN
    FOR part IN SELECT * FROM empatia._combinations(level, grain) LOOP
        PERFORM empatia._require_cube(part.combination_level, part.combination_grain, named);
        FOR who IN EXECUTE empatia._render('SELECT b.client_id, c.code, b.dense_rows FROM {results}.cube_build b JOIN {dw}.client c USING (client_id)
                WHERE b.level = $1 AND b.grain = $2 AND ($3 IS NULL OR b.client_id = $3) ORDER BY b.client_id')
                USING part.combination_level, part.combination_grain, named LOOP
            IF NOT pg_try_advisory_xact_lock(hashtextextended('empatia.build', who.client_id)) THEN
                PERFORM empatia._fail('lock_not_available', format('another session is building or classifying the cube of client "%s"', who.code), 'Wait until it is done.');
            END IF;
            done := (who.code, part.combination_level, part.combination_grain, NULL, who.dense_rows, 0, 0);
            SELECT * INTO predicted FROM empatia._predict_part(who.client_id, done.level, done.grain, false);
            -- where there is a classifier segments are not required, but kept up to date for the day on which there is none
            IF who.dense_rows > 0 AND (predicted.version IS NULL OR empatia._model_for(done.level, done.grain, who.client_id) IS NOT NULL) THEN
                done := empatia._classify_part(who.client_id, done.level, done.grain);
                IF done.written_rows > 1000 THEN
                    written := written || lower(format('cube_class_%s_%s', done.level, done.grain));
                END IF;
            END IF;
            IF predicted.written_rows > 1000 THEN
                foretold := foretold || lower(format('_%s_%s', done.level, done.grain));
            END IF;
            done.client := who.code;
            done.model_version := coalesce(predicted.version, done.model_version);
            done.written_rows := done.written_rows + predicted.written_rows;
            done.seconds := done.seconds + predicted.seconds;
            RETURN NEXT done;
        END LOOP;
    END LOOP;
    IF written <> '{}' THEN
        PERFORM empatia._analyze_cube('cube_class', written);
    END IF;
    IF foretold <> '{}' THEN
        PERFORM empatia._analyze_predictions(foretold);
    END IF;
END
$$;
COMMENT ON FUNCTION empatia.classify(text, text, text) IS
    'writes the engagement category of every cube row of a level and grain, or of every active combination; readers see the old or the new categories';
