-- predict(): one case as JSON, or the rows of a relation; recorded unless told otherwise.

CREATE TYPE empatia.predict_row AS (prediction_id bigint, model text, version bigint, student_id text, risk_score double precision, class text, threshold double precision,
    probabilities jsonb, top_risk_factors jsonb, imputed text[], unknown text[], refused jsonb, recorded boolean, predicted_at timestamptz);
COMMENT ON TYPE empatia.predict_row IS 'a prediction: risk_score is the probability of the positive class, top_risk_factors signed, refused what could not be read and counts as missing';

-- Where predictions can be recorded: null on a standby, in a read-only transaction, without a warehouse.
CREATE FUNCTION empatia._prediction_table() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT to_regclass(format('%I.prediction', w.results_schema))::text FROM empatia.warehouse w
    WHERE NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'
$$;
COMMENT ON FUNCTION empatia._prediction_table() IS 'table that predictions are recorded in; null where nothing can be written or it does not exist';

CREATE FUNCTION empatia.predict(model text, input jsonb, record boolean DEFAULT true, factors integer DEFAULT 5, language text DEFAULT NULL) RETURNS empatia.predict_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- as _prediction_table() has it
    recorded CONSTANT boolean := record AND NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off';
    -- its number before its time: see _tally_predictions()
    own CONSTANT xid8 := CASE WHEN recorded THEN pg_current_xact_id() END;
    began CONSTANT timestamptz := clock_timestamp();
    used CONSTANT bigint := empatia._table_model(model);
    name text;
    spoken text := language;
    place text;
    month boolean;
    found record;
    done empatia.predict_row;
BEGIN
    IF input IS NULL OR factors IS NULL THEN
        PERFORM empatia._fail('null_value_not_allowed', 'input and factors must not be null', 'input is an object of the columns of the model; factors => 0 leaves the reasons out.');
    END IF;
    -- What is asked of every call is asked here, in statements whose plans are kept: _setting_value() and its like are planned each time.
    SELECT m.name INTO name FROM empatia.model m WHERE m.version = used;
    IF spoken IS NULL THEN
        SELECT s.value INTO spoken FROM empatia.setting s WHERE s.key = 'language';
    END IF;
    SELECT * INTO found FROM empatia._predict(used, input, factors, coalesce(spoken, 'pt'));
    done := (NULL, name, used, found.student_id, found.risk_score, found.class, found.threshold, found.probabilities, found.factors, found.imputed, found.unknown, found.refused, false, began);
    IF recorded THEN
        SELECT to_regclass(format('%I.prediction', w.results_schema))::text,
               to_regclass(format('%I.%I', w.results_schema, 'prediction_' || to_char(began AT TIME ZONE 'UTC', 'YYYY_MM'))) IS NOT NULL
        INTO place, month FROM empatia.warehouse w;
    END IF;
    IF place IS NOT NULL THEN
        IF NOT month THEN
            PERFORM empatia._ensure_month(began);
        END IF;
        EXECUTE format('INSERT INTO %s (predicted_at, model, version, student_id, inputs, risk_score, class, threshold, factors, imputed, unknown, latency_ms)
                        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING prediction_id', place)
            INTO done.prediction_id
            USING began, name, used, found.student_id, found.inputs, found.risk_score, found.class, found.threshold, found.factors, found.imputed, found.unknown,
                  extract(epoch FROM clock_timestamp() - began)::double precision * 1000;
        done.recorded := true;
        IF done.prediction_id % 1024 = 0 AND empatia._may_tally() THEN
            PERFORM empatia._tally_predictions();
        END IF;
    END IF;
    RETURN done;
END
$$;
COMMENT ON FUNCTION empatia.predict(text, jsonb, boolean, integer, text) IS
    'predicts one case with a model of a table: input has its columns by any name that they go by, in any order; what is missing is imputed and listed';

CREATE FUNCTION empatia._predict_source(version bigint, relation regclass, OUT query text, OUT names text[], OUT kinds text[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    recipe CONSTANT jsonb := (SELECT m.recipe FROM empatia.model m WHERE m.version = $1);
    key CONSTANT text[] := ARRAY(SELECT jsonb_array_elements_text(recipe -> 'key'));
    expressions text[];
    other text;
BEGIN
    IF relation IS NULL THEN
        PERFORM empatia._fail('null_value_not_allowed', 'expected a relation, found null');
    END IF;
    SELECT array_agg(c.name ORDER BY c.place), array_agg(c.kind ORDER BY c.place), array_agg(c.expression ORDER BY c.place),
           string_agg(format('%s is %s, expected %s', c.name, c.kind, w.kind), '; ') FILTER (WHERE (c.kind = 'text') <> (w.kind = 'text'))
    INTO names, kinds, expressions, other
    FROM empatia._table_columns(relation) c JOIN jsonb_to_recordset(recipe -> 'columns') AS w (name text, kind text) ON w.name = c.name;
    IF names IS NULL THEN
        PERFORM empatia._fail('undefined_column', format('relation %s has no column of the model', relation),
            'Its columns are ' || (SELECT string_agg(w.name, ', ') FROM jsonb_to_recordset(recipe -> 'columns') AS w (name text)) || '.');
    ELSIF other IS NOT NULL THEN
        PERFORM empatia._fail('datatype_mismatch', format('relation %s does not have the types of the model: %s', relation, other), 'Make a view that casts them.');
    END IF;
    query := format('SELECT %s, %s FROM %s', array_to_string(expressions, ', '),
        CASE WHEN NOT EXISTS (SELECT FROM unnest(key) k WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = k AND a.attnum > 0))
             THEN empatia._key_sql(key) ELSE 'NULL::text' END, relation);
END
$$;
COMMENT ON FUNCTION empatia._predict_source(bigint, regclass) IS 'query of the columns of a model that a relation has';

CREATE FUNCTION empatia.predict_rows(model text, relation regclass, record boolean DEFAULT true, factors integer DEFAULT 3, language text DEFAULT NULL)
RETURNS TABLE (student_id text, risk_score double precision, class text, top_risk_factors jsonb, imputed text[], version bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
    used CONSTANT bigint := empatia._table_model(predict_rows.model);
    source CONSTANT record := empatia._predict_source(used, relation);
    spoken CONSTANT text := coalesce(predict_rows.language, empatia._setting_value('language'), 'pt');
    place CONSTANT text := CASE WHEN record THEN empatia._prediction_table() END;
BEGIN
    IF predict_rows.factors IS NULL THEN
        PERFORM empatia._fail('null_value_not_allowed', 'factors must not be null', 'factors => 0 leaves the reasons out.');
    END IF;
    IF place IS NULL THEN
        RETURN QUERY SELECT p.student_id, p.risk_score, p.class, p.factors, p.imputed, used FROM empatia._predict_rows(used, source.query, source.names, source.kinds, predict_rows.factors, spoken) p;
        RETURN;
    END IF;
    PERFORM empatia._ensure_month(began);
    RETURN QUERY EXECUTE format($q$
        WITH p AS MATERIALIZED (SELECT * FROM empatia._predict_rows($1, $2, $3, $4, $5, $6)),
        written AS (INSERT INTO %1$s (predicted_at, model, version, student_id, inputs, risk_score, class, threshold, factors, imputed, unknown, origin)
                    SELECT $7, m.name, m.version, p.student_id, p.inputs, p.risk_score, p.class, m.threshold, p.factors, p.imputed, '{}', 'relation' FROM p, empatia.model m WHERE m.version = $1
                    RETURNING model, class),
        tallied AS (%2$s)
        SELECT p.student_id, p.risk_score, p.class, p.factors, p.imputed, $1 FROM p $q$, place, empatia._render(empatia._add_tally(
            $q$ SELECT ($7 AT TIME ZONE 'UTC')::date AS day, w.model, w.class, count(*) AS predictions, 0 AS calls, 0.0 AS seconds, array_fill(0, ARRAY[9]) AS "within" FROM written w GROUP BY w.model, w.class $q$,
            pg_current_xact_id()::text::bigint)))
        USING used, source.query, source.names, source.kinds, predict_rows.factors, spoken, began;
    IF empatia._may_tally() THEN
        PERFORM empatia._tally_predictions();
    END IF;
END
$$;
COMMENT ON FUNCTION empatia.predict_rows(text, regclass, boolean, integer, text) IS 'predicts every row of a relation with a model of a table; columns that the relation lacks are imputed';

CREATE FUNCTION empatia.explain(student_id text, "limit" integer DEFAULT 10)
RETURNS TABLE (predicted_at timestamptz, model text, version bigint, risk_score double precision, class text, top_risk_factors jsonb, changed jsonb, score_change double precision, prediction_id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- who may record predictions may have written anything
    readable CONSTANT text := 'coalesce(jsonb_typeof(r.inputs) = ''object'' AND r.risk_score BETWEEN 0 AND 1, false)';
    others bigint;
BEGIN
    IF $1 IS NULL OR $2 IS NULL OR $2 < 0 THEN
        PERFORM empatia._fail('invalid_parameter_value', 'expected a student and a limit of zero or more');
    END IF;
    IF to_regclass(empatia._render('{results}.prediction')) IS NULL THEN
        RETURN;
    END IF;
    EXECUTE empatia._render('SELECT count(*) FROM {results}.prediction r WHERE r.student_id = $1 AND NOT {readable}', 'readable', readable) INTO others USING $1;
    IF others > 0 THEN
        RAISE WARNING 'left out of the recorded predictions: %, whose inputs are no object, or whose score is no probability', others;
    END IF;
    -- one more than asked for: what the last one changed from; what changed, by column: before and now
    RETURN QUERY EXECUTE empatia._render($q$
        WITH p AS (
            SELECT r.*, lag(r.inputs) OVER w AS before, lag(r.risk_score) OVER w AS score_before
            FROM (SELECT * FROM {results}.prediction r WHERE r.student_id = $1 AND {readable} ORDER BY r.predicted_at DESC, r.prediction_id DESC LIMIT $2::bigint * 2 + 100) r
            WINDOW w AS (PARTITION BY r.model ORDER BY r.predicted_at, r.prediction_id))
        SELECT p.predicted_at, p.model, p.version, p.risk_score, p.class, p.factors,
               CASE WHEN p.before IS NOT NULL THEN
                   coalesce((SELECT jsonb_object_agg(k.key, jsonb_build_object('before', p.before -> k.key, 'now', p.inputs -> k.key))
                             FROM (SELECT jsonb_object_keys(p.before) UNION SELECT jsonb_object_keys(p.inputs)) k (key)
                             WHERE p.before -> k.key IS DISTINCT FROM p.inputs -> k.key), '{}') END,
               p.risk_score - p.score_before, p.prediction_id
        FROM p ORDER BY p.predicted_at DESC, p.prediction_id DESC LIMIT $2 $q$, 'readable', readable) USING $1, $2;
END
$$;
COMMENT ON FUNCTION empatia.explain(text, integer) IS 'recorded predictions of a student, newest first, with their reasons and what had changed since the one before of the same model';
