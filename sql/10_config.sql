-- Configuration: small tables that an operator changes with plain UPDATEs. They are empty after CREATE EXTENSION and
-- filled with their defaults by create_warehouse(): were they filled here, pg_restore would load the dumped rows on top
-- of the defaults and fail, or bring deleted defaults back.

CREATE TABLE empatia.warehouse (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    dw_schema name NOT NULL,
    results_schema name NOT NULL,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    created_by name NOT NULL DEFAULT CURRENT_USER
);
SELECT pg_catalog.pg_extension_config_dump('empatia.warehouse', '');
COMMENT ON TABLE empatia.warehouse IS 'where create_warehouse() put the warehouse and the results of this database';
COMMENT ON COLUMN empatia.warehouse.dw_schema IS 'schema of dimensions and facts';
COMMENT ON COLUMN empatia.warehouse.results_schema IS 'schema of the cube and of cubo_engajamento';

CREATE TABLE empatia.setting (
    key text PRIMARY KEY,
    value text,
    description text NOT NULL
);
SELECT pg_catalog.pg_extension_config_dump('empatia.setting', '');
COMMENT ON TABLE empatia.setting IS 'named settings of the warehouse; each is described in its own row and checked when it is changed';

CREATE TABLE empatia.pipeline (
    level text NOT NULL CHECK (level IN ('ENV', 'CRS', 'SPA', 'SUB', 'LEC')),
    grain text NOT NULL CHECK (grain IN ('WEEK', 'FORTNIGHT', 'MONTH', 'QUARTER', 'SEMESTER', 'YEAR', 'ALL')),
    active boolean NOT NULL DEFAULT false,
    k integer NOT NULL DEFAULT 4 CHECK (k BETWEEN 1 AND 1000),
    features text[] NOT NULL DEFAULT ARRAY['posts', 'post_replies', 'help_requests', 'help_request_replies',
                                           'assigned_exercises', 'submitted_exercises'],
    algorithm text CHECK (algorithm IN ('random_forest', 'gradient_boosting', 'logistic_regression', 'decision_tree', 'ensemble', 'auto')),
    target text CHECK (target IN ('label', 'segment', 'outcome', 'inactive_next')),
    options jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(options) = 'object'),
    retrain_after interval CHECK (retrain_after > interval '0'),
    PRIMARY KEY (level, grain)
);
SELECT pg_catalog.pg_extension_config_dump('empatia.pipeline', '');
COMMENT ON TABLE empatia.pipeline IS 'what build_cube(), kmeans_segments(), classify() and run_pipeline() work on when no level and grain are named';
COMMENT ON COLUMN empatia.pipeline.active IS 'whether the combination is built, segmented and classified';
COMMENT ON COLUMN empatia.pipeline.k IS 'number of segments';
COMMENT ON COLUMN empatia.pipeline.algorithm IS 'of the classifier that run_pipeline() trains; null: none, the segments are the classes';
COMMENT ON COLUMN empatia.pipeline.target IS 'what the classifier predicts; null: labels if there are enough, else the segments';
COMMENT ON COLUMN empatia.pipeline.options IS 'further options of train()';
COMMENT ON COLUMN empatia.pipeline.retrain_after IS 'age at which run_pipeline() trains the classifier again; null: never by itself';
COMMENT ON COLUMN empatia.pipeline.features IS 'measures that the segments are found with, each as log(1 + x), standardised over the dense cube';

CREATE TABLE empatia.label_rank (
    level text NOT NULL DEFAULT '*' CHECK (level IN ('*', 'ENV', 'CRS', 'SPA', 'SUB', 'LEC')),
    grain text NOT NULL DEFAULT '*' CHECK (grain IN ('*', 'WEEK', 'FORTNIGHT', 'MONTH', 'QUARTER', 'SEMESTER', 'YEAR', 'ALL')),
    rank integer NOT NULL CHECK (rank >= 0),
    label text NOT NULL CHECK (label <> ''),
    description text,
    PRIMARY KEY (level, grain, rank)
);
SELECT pg_catalog.pg_extension_config_dump('empatia.label_rank', '');
COMMENT ON TABLE empatia.label_rank IS 'label of the segment of each rank (1 = most engaged, 0 = the noise of DBSCAN); rows with a level or grain override the ''*'' rows';

CREATE TABLE empatia.score_weight (
    measure text PRIMARY KEY,
    weight double precision NOT NULL CHECK (weight BETWEEN -1e6 AND 1e6)
);
SELECT pg_catalog.pg_extension_config_dump('empatia.score_weight', '');
COMMENT ON TABLE empatia.score_weight IS 'engagement score of a segment = sum of weight x centroid in original units; measures without a row weigh nothing';

CREATE TABLE empatia.excluded_role (
    role text PRIMARY KEY CHECK (role <> '')
);
SELECT pg_catalog.pg_extension_config_dump('empatia.excluded_role', '');
COMMENT ON TABLE empatia.excluded_role IS 'a user with one of these roles in a space or in its environment is not a student of that space';

CREATE FUNCTION empatia._setting_check() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    expected text;
BEGIN
    expected := CASE NEW.key
        WHEN 'range_start' THEN 'a date, or null for the first day that has a fact'
        WHEN 'range_end' THEN 'a date, or null for the last day that has a fact'
        WHEN 'valid_from' THEN 'a date'
        WHEN 'valid_to' THEN 'a date'
        WHEN 'first_day_of_week' THEN 'an integer from 0 (Sunday) to 6 (Saturday)'
        WHEN 'assignment_basis' THEN 'universe or due'
        WHEN 'cursor_overlap' THEN 'an interval of zero or more'
        WHEN 'builder' THEN 'native or sql'
        WHEN 'language' THEN 'pt or en'
        WHEN 'prediction_retention' THEN 'an interval above zero'
        WHEN 'drift_look' THEN 'a number above zero'
        WHEN 'drift_shift' THEN 'a number above zero'
    END;
    IF expected IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('unknown setting "%s"', NEW.key),
            HINT = 'The settings are range_start, range_end, valid_from, valid_to, first_day_of_week, assignment_basis, cursor_overlap, builder, language, prediction_retention, drift_look and drift_shift.';
    END IF;
    BEGIN
        IF (CASE
            WHEN NEW.key IN ('range_start', 'range_end') THEN NEW.value IS NULL OR isfinite(NEW.value::date)
            WHEN NEW.key IN ('valid_from', 'valid_to') THEN isfinite(NEW.value::date)
            WHEN NEW.key = 'first_day_of_week' THEN NEW.value::integer BETWEEN 0 AND 6
            WHEN NEW.key = 'assignment_basis' THEN NEW.value IN ('universe', 'due')
            WHEN NEW.key = 'cursor_overlap' THEN NEW.value::interval >= interval '0'
            WHEN NEW.key = 'builder' THEN NEW.value IN ('native', 'sql')
            WHEN NEW.key = 'language' THEN NEW.value IN ('pt', 'en')
            WHEN NEW.key = 'prediction_retention' THEN NEW.value::interval > interval '0'
            WHEN NEW.key IN ('drift_look', 'drift_shift') THEN NEW.value::double precision > 0 AND NEW.value::double precision < 'Infinity'
        END) THEN
            RETURN NEW;
        END IF;
    EXCEPTION WHEN data_exception THEN
        NULL; -- reported below, in the setting's own terms
    END;
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
        MESSAGE = format('setting "%s": expected %s, found %s', NEW.key, expected, coalesce(quote_literal(NEW.value), 'null'));
END
$$;
COMMENT ON FUNCTION empatia._setting_check() IS 'refuses unknown settings and values that the setting cannot have';
CREATE TRIGGER setting_check BEFORE INSERT OR UPDATE ON empatia.setting
    FOR EACH ROW EXECUTE FUNCTION empatia._setting_check();

CREATE FUNCTION empatia._pipeline_check() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    valid CONSTANT text[] := empatia._feature_names();
    unknown text;
BEGIN
    SELECT f INTO unknown FROM unnest(NEW.features) f WHERE f IS NULL OR f <> ALL (valid) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('unknown feature %s', coalesce(quote_ident(unknown), 'null')),
            HINT = 'The features are ' || array_to_string(valid, ', ') || '.';
    END IF;
    IF cardinality(NEW.features) = 0 OR cardinality(NEW.features) <> (SELECT count(DISTINCT f) FROM unnest(NEW.features) f) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('expected one or more different features, found %s', NEW.features);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION empatia._pipeline_check() IS 'refuses features that the cube does not have';

CREATE FUNCTION empatia._feature_names() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ARRAY['posts', 'post_replies', 'help_requests', 'help_request_replies', 'accesses', 'active_days',
                 'assigned_exercises', 'submitted_exercises', 'late_exercises']
$$;
COMMENT ON FUNCTION empatia._feature_names() IS 'measures that are never null and can be a K-Means feature';
CREATE TRIGGER pipeline_check BEFORE INSERT OR UPDATE ON empatia.pipeline
    FOR EACH ROW EXECUTE FUNCTION empatia._pipeline_check();

CREATE FUNCTION empatia._score_weight_check() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- a misspelt measure would weigh nothing, silently
    IF NEW.measure <> ALL (empatia._feature_names()) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('unknown measure %s', quote_ident(NEW.measure)),
            HINT = 'The measures are ' || array_to_string(empatia._feature_names(), ', ') || '.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION empatia._score_weight_check() IS 'refuses weights of measures that no segment can have';
CREATE TRIGGER score_weight_check BEFORE INSERT OR UPDATE ON empatia.score_weight
    FOR EACH ROW EXECUTE FUNCTION empatia._score_weight_check();

CREATE FUNCTION empatia._fill_configuration() RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO empatia.setting (key, value, description) VALUES
        ('range_start', NULL, 'first day of the cube; null: the first day that has a fact'),
        ('range_end', NULL, 'last day of the cube; null: the last day that has a fact'),
        ('valid_from', '1990-01-01', 'a fact before this day is rejected at load: a broken clock must not stretch the cube'),
        ('valid_to', '2100-01-01', 'a fact after this day is rejected at load'),
        ('first_day_of_week', '0', 'first day of the grain WEEK: 0 = Sunday ... 6 = Saturday'),
        ('assignment_basis', 'universe', 'universe: assigned = all the member''s assignments in the unit; due: those due in the period'),
        ('cursor_overlap', '5 minutes', 'incremental loads read this much before the last cursor again: rows that were committed late are found, re-read rows change nothing'),
        ('builder', 'native', 'native: the cells of the cube are computed in one pass over the facts; sql: with a query per level and grain, as for facts in foreign tables'),
        ('language', 'pt', 'language of the reasons in cubo_engajamento: pt or en; run classify() after a change'),
        ('prediction_retention', '24 months', 'how long predictions of models of tables are kept: maintain_predictions() drops older months'),
        ('drift_look', '0.10', 'population stability index from which drift is worth a look'),
        ('drift_shift', '0.25', 'population stability index from which drift is a shift')
    ON CONFLICT DO NOTHING;
    INSERT INTO empatia.pipeline (level, grain, active)
        SELECT l, g, g IN ('WEEK', 'MONTH')
        FROM unnest(ARRAY['ENV', 'CRS', 'SPA', 'SUB', 'LEC']) l,
             unnest(ARRAY['WEEK', 'FORTNIGHT', 'MONTH', 'QUARTER', 'SEMESTER', 'YEAR', 'ALL']) g
    ON CONFLICT DO NOTHING;
    INSERT INTO empatia.label_rank (rank, label, description) VALUES
        (1, 'engajamento excelente', 'participa e entrega muito acima dos colegas'),
        (2, 'engajamento consistente', 'participa e entrega com regularidade'),
        (3, 'desempenho crítico', 'participa ou entrega pouco: precisa de atenção'),
        (4, 'não interagem', 'sem sinais de participação no período')
    ON CONFLICT DO NOTHING;
    INSERT INTO empatia.score_weight (measure, weight) VALUES
        ('posts', 1), ('post_replies', 1), ('help_requests', 1), ('help_request_replies', 1), ('submitted_exercises', 1.5)
    ON CONFLICT DO NOTHING;
    INSERT INTO empatia.excluded_role (role) VALUES ('teacher'), ('tutor'), ('environment_admin')
    ON CONFLICT DO NOTHING;
$$;
COMMENT ON FUNCTION empatia._fill_configuration() IS 'the defaults of the configuration tables; called once, by create_warehouse()';
