-- What came of it: outcomes of students for whom was predicted, and how right the predictions were.

CREATE FUNCTION empatia.record_outcome(model text, key text, value text, at timestamptz DEFAULT now()) RETURNS TABLE (model_name text, student_id text, class text, observed_at timestamptz, predictions bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    used CONSTANT bigint := empatia._table_model(model);
    m empatia.model;
BEGIN
    SELECT * INTO m FROM empatia.model r WHERE r.version = used;
    IF key IS NULL OR value IS NULL OR at IS NULL OR NOT isfinite(at) THEN
        PERFORM empatia._fail('null_value_not_allowed', 'key, value and a finite moment are needed');
    END IF;
    -- of a condition, true and false name its classes too
    class := CASE WHEN value = ANY (m.classes) THEN value
                  WHEN cardinality(m.classes) = 2 AND lower(value) IN ('true', 't', 'yes', 'sim', '1') THEN m.positive
                  WHEN cardinality(m.classes) = 2 AND lower(value) IN ('false', 'f', 'no', 'não', 'nao', '0') THEN (SELECT c FROM unnest(m.classes) c WHERE c <> m.positive) END;
    IF class IS NULL THEN
        PERFORM empatia._fail('invalid_parameter_value', format('unknown class "%s"', value), 'The classes are ' || array_to_string(m.classes, ', ') || '.');
    END IF;
    PERFORM empatia._ensure_predictions();
    EXECUTE empatia._render('INSERT INTO {results}.outcome AS o (model, student_id, observed_at, class) VALUES ($1, $2, $3, $4)
        ON CONFLICT (model, student_id, observed_at) DO UPDATE SET class = EXCLUDED.class, recorded_at = now(), recorded_by = CURRENT_USER WHERE o.class <> EXCLUDED.class')
        USING m.name, key, at, class;
    model_name := m.name;
    student_id := key;
    observed_at := at;
    EXECUTE empatia._render('SELECT count(*) FROM {results}.prediction p WHERE p.model = $1 AND p.student_id = $2 AND p.predicted_at < $3') INTO predictions USING m.name, key, at;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION empatia.record_outcome(text, text, text, timestamptz) IS 'records what came of a student; predictions: how many were recorded before it; the same moment again corrects it';

-- Of each outcome counts the last prediction before it.
CREATE FUNCTION empatia.live_metrics(model text, since timestamptz DEFAULT NULL)
RETURNS TABLE (version bigint, outcomes bigint, without_prediction bigint, positives bigint, recall double precision, recall_low double precision, recall_high double precision,
    "precision" double precision, precision_low double precision, precision_high double precision, brier double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    used CONSTANT bigint := empatia._table_model(model);
    m empatia.model;
BEGIN
    SELECT * INTO m FROM empatia.model r WHERE r.version = used;
    IF to_regclass(empatia._render('{results}.outcome')) IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE empatia._render($q$
        WITH pair AS (
            SELECT p.version, o.class = $3 AS positive, p.class = $3 AS called, p.risk_score
            FROM {results}.outcome o
            LEFT JOIN LATERAL (SELECT r.version, r.class, r.risk_score FROM {results}.prediction r
                               WHERE r.model = o.model AND r.student_id = o.student_id AND r.predicted_at < o.observed_at
                               ORDER BY r.predicted_at DESC, r.prediction_id DESC LIMIT 1) p ON true
            WHERE o.model = $1 AND o.observed_at >= coalesce($2, '-infinity')),
        counted AS (
            SELECT v.version, count(v.called) AS n, count(*) FILTER (WHERE v.called IS NULL) AS without, count(*) FILTER (WHERE v.positive AND v.called IS NOT NULL) AS positives,
                   count(*) FILTER (WHERE v.positive AND v.called) AS hits, count(*) FILTER (WHERE v.called) AS called, avg((v.risk_score - v.positive::integer) ^ 2) FILTER (WHERE v.risk_score BETWEEN 0 AND 1) AS brier
            FROM pair v GROUP BY v.version)
        SELECT c.version, c.n, c.without, c.positives, r.share, r.low, r.high, q.share, q.low, q.high, c.brier
        FROM counted c, empatia._wilson(c.hits, c.positives) r, empatia._wilson(c.hits, c.called) q ORDER BY c.version NULLS LAST $q$) USING m.name, since, m.positive;
END
$$;
COMMENT ON FUNCTION empatia.live_metrics(text, timestamptz) IS 'recall and precision of recorded predictions against recorded outcomes, per version, with 95 % Wilson intervals; version null: outcomes without a prediction before them';

CREATE FUNCTION empatia._wilson(hits bigint, trials bigint, OUT share double precision, OUT low double precision, OUT high double precision)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT p, CASE WHEN n > 0 THEN greatest(0, (p + z * z / (2 * n) - z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)) END,
              CASE WHEN n > 0 THEN least(1, (p + z * z / (2 * n) + z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)) END
    FROM (SELECT hits::double precision / nullif(trials, 0) AS p, nullif(trials, 0)::double precision AS n, 1.959963984540054::double precision AS z) w
$$;
COMMENT ON FUNCTION empatia._wilson(bigint, bigint) IS 'a share with its 95 % Wilson interval; nulls for no trials';
