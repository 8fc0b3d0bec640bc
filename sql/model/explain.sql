-- explain(): why a row of the cube has its category.

CREATE TYPE empatia.explain_row AS (feature text, value text, contribution double precision, reason text, base_value double precision, score double precision,
    scale text, probability double precision, class text, model_version bigint);
COMMENT ON TYPE empatia.explain_row IS 'what a feature contributes to the score of a row''s class; base_value and all contributions add up to the score, which is on the scale log_odds or probability and not calibrated';

CREATE FUNCTION empatia.explain(client text, user_id bigint, level text, grain text, unit_id bigint, period_start date DEFAULT NULL)
RETURNS SETOF empatia.explain_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    id CONSTANT integer := empatia._client_id(client);
    w CONSTANT empatia.warehouse := empatia._warehouse();
    part record;
BEGIN
    IF user_id IS NULL OR level IS NULL OR grain IS NULL OR unit_id IS NULL THEN
        PERFORM empatia._fail('null_value_not_allowed', 'user_id, level, grain and unit_id must not be null');
    END IF;
    EXECUTE empatia._render('SELECT coalesce(b.classifier_version, empatia._classifier_for($2, $3, $1)) AS version,
                (SELECT max(p.period_start) FROM {results}.cube_period p WHERE (p.client_id, p.level, p.grain) = ($1, $2, $3) AND ($4 IS NULL OR p.period_start <= $4)) AS day
            FROM {results}.cube_build b WHERE (b.client_id, b.level, b.grain) = ($1, $2, $3)') INTO part USING id, level, grain, period_start;
    IF part IS NULL THEN
        PERFORM empatia._require_cube(level, grain, id);
    END IF;
    IF part.version IS NULL THEN
        PERFORM empatia._fail('object_not_in_prerequisite_state', format('there is no classifier for %s x %s', level, grain),
            'Segments are not explained; train and deploy a classifier first.');
    END IF;
    IF period_start IS NOT NULL AND part.day IS DISTINCT FROM period_start THEN
        PERFORM empatia._fail('invalid_parameter_value', format('no period of %s x %s begins on %s', level, grain, period_start),
            format('The one before begins on %s; leave period_start out for the last one.', coalesce(part.day::text, 'no day')));
    END IF;
    RETURN QUERY SELECT e.feature, e.value, e.contribution, e.reason, e.base_value, e.score, e.scale, e.probability, e.class, part.version
        FROM empatia._explain_row(id, w.results_schema::text, level, grain, unit_id, user_id, part.day, part.version) e;
END
$$;
COMMENT ON FUNCTION empatia.explain(text, bigint, text, text, bigint, date) IS
    'why the classifier gives a student of a unit a category in a period (the last one where none is named): the contribution of every feature, strongest first';
