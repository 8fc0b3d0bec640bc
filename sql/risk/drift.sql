-- drift(): how far later inputs are from the rows that a model was trained on.

CREATE FUNCTION empatia._drift_levels() RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_build_object('look', coalesce(empatia._setting_value('drift_look'), '0.10')::double precision, 'shift', coalesce(empatia._setting_value('drift_shift'), '0.25')::double precision)
$$;
COMMENT ON FUNCTION empatia._drift_levels() IS 'indices from which drift is worth a look, and from which on it is a shift';

-- Of the classes that were called, against those called out of fold in training.
CREATE FUNCTION empatia._class_drift(version bigint, classes text[], shares double precision[]) RETURNS TABLE (psi double precision, jensen_shannon double precision)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH before AS (
        SELECT c.predicted, sum(c.rows) AS rows FROM empatia.model m, empatia._confusion(m.evaluation) c WHERE m.version = $1 GROUP BY c.predicted),
    pair AS (
        SELECT coalesce(b.rows / nullif(sum(b.rows) OVER (), 0), 0) AS p, n.share AS q
        FROM unnest(classes, shares) n (class, share) LEFT JOIN before b ON b.predicted = n.class)
    SELECT sum((greatest(q, 1e-4) - greatest(p, 1e-4)) * ln(greatest(q, 1e-4) / greatest(p, 1e-4))),
           sum((CASE WHEN p > 0 THEN p * ln(2 * p / (p + q)) ELSE 0 END + CASE WHEN q > 0 THEN q * ln(2 * q / (p + q)) ELSE 0 END) / 2) / ln(2::double precision)
    FROM pair
$$;
COMMENT ON FUNCTION empatia._class_drift(bigint, text[], double precision[]) IS 'index and divergence of called classes against those of the training';

CREATE FUNCTION empatia.drift(model text, since timestamptz DEFAULT NULL, against regclass DEFAULT NULL)
RETURNS TABLE (name text, kind text, psi double precision, jensen_shannon double precision, missing_before double precision, missing_now double precision, missing_change double precision,
    level text, rows bigint, version bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    used CONSTANT bigint := empatia._table_model(drift.model);
    levels CONSTANT jsonb := empatia._drift_levels();
    source record;
    spec text;
    found record;
BEGIN
    IF against IS NOT NULL THEN
        source := empatia._predict_source(used, against);
    ELSE
        spec := empatia._prediction_table_for_reading();
        IF spec IS NULL THEN
            PERFORM empatia._fail('object_not_in_prerequisite_state', 'no prediction was ever recorded', 'Name a relation: drift(model, against => ''relation'').');
        END IF;
        SELECT format('SELECT p.inputs::text FROM %s p WHERE p.model = %L AND p.predicted_at >= %L ORDER BY p.predicted_at DESC', spec, m.name, coalesce(since, '-infinity')) AS query,
               NULL::text[] AS names, NULL::text[] AS kinds INTO source FROM empatia.model m WHERE m.version = used;
    END IF;
    FOR found IN
        WITH d AS MATERIALIZED (SELECT * FROM empatia._drift(used, source.query, source.names, source.kinds, levels))
        SELECT d.name, d.kind, d.psi, d.jensen_shannon, d.missing_before, d.missing_now, d.level, d.rows FROM d WHERE d.kind <> 'class'
        UNION ALL
        SELECT 'class', 'class', c.psi, c.jensen_shannon, 0, 0,
               CASE WHEN c.psi >= (levels ->> 'shift')::double precision THEN 'shift' WHEN c.psi >= (levels ->> 'look')::double precision THEN 'look' ELSE 'stable' END, n.rows
        FROM (SELECT array_agg(d.name) AS names, array_agg(d.missing_now) AS shares, max(d.rows) AS rows FROM d WHERE d.kind = 'class') n, empatia._class_drift(used, n.names, n.shares) c
    LOOP
        name := found.name; kind := found.kind; psi := found.psi; jensen_shannon := found.jensen_shannon; missing_before := found.missing_before;
        missing_now := found.missing_now; missing_change := found.missing_now - found.missing_before; level := found.level; rows := found.rows; version := used;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION empatia.drift(text, timestamptz, regclass) IS
    'drift of each feature, of the score and of the class: recorded predictions since a moment, or the rows of a relation, against the rows of the training';

CREATE FUNCTION empatia._prediction_table_for_reading() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT to_regclass(format('%I.prediction', w.results_schema))::text FROM empatia.warehouse w
$$;
COMMENT ON FUNCTION empatia._prediction_table_for_reading() IS 'table of recorded predictions; null where it does not exist';

CREATE FUNCTION empatia.check_drift(model text DEFAULT NULL, since interval DEFAULT '30 days', retrain boolean DEFAULT false)
RETURNS TABLE (model_name text, version bigint, shifted text[], worst text, worst_psi double precision, rows bigint, retrained_version bigint, message text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    moment CONSTANT timestamptz := clock_timestamp();
    from_when CONSTANT timestamptz := moment - check_drift.since;
    any_row boolean;
    found jsonb;
BEGIN
    IF check_drift.since IS NULL THEN
        PERFORM empatia._fail('null_value_not_allowed', 'since must not be null', 'Leave it out for 30 days.');
    END IF;
    IF check_drift.model IS NOT NULL THEN
        PERFORM empatia._table_model(check_drift.model); -- an error where there is none
    END IF;
    PERFORM empatia._ensure_predictions();
    FOR model_name IN SELECT DISTINCT m.name FROM empatia.model m WHERE m.name IS NOT NULL AND (check_drift.model IS NULL OR m.name = check_drift.model) ORDER BY 1 LOOP
        version := empatia._table_model(model_name);
        retrained_version := NULL;
        EXECUTE empatia._render('SELECT EXISTS (SELECT FROM {results}.prediction p WHERE p.model = $1 AND p.predicted_at >= $2)') INTO any_row USING model_name, from_when;
        IF NOT any_row THEN
            shifted := '{}'; worst := NULL; worst_psi := NULL; rows := 0;
            message := 'no prediction since ' || from_when;
            RETURN NEXT;
            CONTINUE;
        END IF;
        BEGIN
            SELECT jsonb_agg(to_jsonb(d)) INTO found FROM empatia.drift(model_name, from_when) d;
        EXCEPTION WHEN OTHERS THEN
            -- of all models: one that is broken must not keep the others from being checked
            IF check_drift.model IS NOT NULL THEN
                RAISE;
            END IF;
            shifted := '{}'; worst := NULL; worst_psi := NULL; rows := NULL;
            message := 'failed: ' || SQLERRM;
            RAISE WARNING 'drift of model "%" could not be checked: %', model_name, SQLERRM;
            RETURN NEXT;
            CONTINUE;
        END;
        EXECUTE empatia._render('INSERT INTO {results}.drift_history (checked_at, model, version, name, kind, psi, jensen_shannon, missing_before, missing_now, level, rows, since)
            SELECT $1, $2, d.version, d.name, d.kind, d.psi, d.jensen_shannon, d.missing_before, d.missing_now, d.level, d.rows, $3
            FROM jsonb_to_recordset($4) AS d (version bigint, name text, kind text, psi double precision, jensen_shannon double precision, missing_before double precision,
                missing_now double precision, level text, rows bigint)')
            USING moment, model_name, from_when, found;
        EXECUTE empatia._render('SELECT coalesce(array_agg(h.name ORDER BY h.psi DESC NULLS FIRST) FILTER (WHERE h.level = ''shift''), ''{}''), (array_agg(h.name ORDER BY h.psi DESC NULLS LAST))[1], max(h.psi), max(h.rows)
            FROM {results}.drift_history h WHERE h.model = $1 AND h.checked_at = $2') INTO shifted, worst, worst_psi, rows USING model_name, moment;
        message := CASE WHEN shifted = '{}' THEN 'no shift' ELSE 'shift of ' || array_to_string(shifted, ', ') END;
        IF check_drift.retrain AND shifted <> '{}' THEN
            BEGIN
                SELECT r.model_version, check_drift.message || '; retrained: ' || r.message INTO retrained_version, message FROM empatia.retrain_table(model_name) r;
            EXCEPTION WHEN OTHERS THEN
                -- what was found out stays in the history
                message := message || '; not retrained: ' || SQLERRM;
                RAISE WARNING 'model "%" could not be trained again: %', model_name, SQLERRM;
            END;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION empatia.check_drift(text, interval, boolean) IS 'writes the drift of recorded predictions into drift_history, of one model of a table or of all; retrains those with a shift where asked to';

-- Target and relation are SQL of whoever made the model, and run with the rights of whoever trains it again.
CREATE FUNCTION empatia._retrain_problem(m empatia.model, OUT problem text, OUT remedy text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF m.parameters -> 'arguments' IS NULL OR m.parameters ? 'imported' THEN
        problem := 'it was imported';
    ELSIF to_regclass(m.relation) IS NULL THEN
        problem := format('relation %s is gone', m.relation);
    ELSIF NOT coalesce(pg_has_role(to_regrole(quote_ident(m.created_by))::oid, CURRENT_USER::regrole::oid, 'MEMBER'), false) THEN
        problem := format('it was made by %s, whose SQL would run with the rights of %s', quote_ident(m.created_by), quote_ident(CURRENT_USER));
        remedy := format('SET ROLE %I first, or call train_table() with a target that you have read.', m.created_by);
    END IF;
    remedy := coalesce(remedy, 'Call train_table() with the relation to learn from.');
END
$$;
COMMENT ON FUNCTION empatia._retrain_problem(empatia.model) IS 'why a model of a table cannot be trained again as it was, and what to do; null: it can';

CREATE FUNCTION empatia.retrain_table(model text) RETURNS SETOF empatia.train_table_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    used CONSTANT bigint := empatia._table_model(model);
    m empatia.model;
    a jsonb;
    found record;
BEGIN
    SELECT * INTO m FROM empatia.model r WHERE r.version = used;
    a := m.parameters -> 'arguments';
    found := empatia._retrain_problem(m);
    IF found.problem IS NOT NULL THEN
        PERFORM empatia._fail('object_not_in_prerequisite_state', format('model "%s" cannot be trained again: %s', m.name, found.problem), found.remedy);
    END IF;
    RETURN QUERY SELECT * FROM empatia.train_table(m.name, m.relation::regclass, m.target,
        ARRAY(SELECT jsonb_array_elements_text(m.recipe -> 'key')), m.recipe ->> 'time_column', (m.recipe ->> 'target_lead')::integer,
        a ->> 'algorithm', a -> 'parameters', empatia._texts(a -> 'features'), empatia._texts(a -> 'exclude'), empatia._texts(a -> 'allow_leaks'), a ->> 'split', a ->> 'search',
        interval '5 minutes', a ->> 'objective', (a ->> 'target_recall')::double precision, (a ->> 'threshold')::double precision, (a ->> 'seed')::bigint, 'auto', m.parameters -> 'options');
END
$$;
COMMENT ON FUNCTION empatia.retrain_table(text) IS 'trains a model of a table again with the arguments of the version in use, on what its relation holds now';

CREATE FUNCTION empatia._texts(list jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE jsonb_typeof(list) WHEN 'array' THEN ARRAY(SELECT jsonb_array_elements_text(list)) END
$$;
COMMENT ON FUNCTION empatia._texts(jsonb) IS 'a list of texts; null for anything else';
