-- train(): a classifier for a level and grain of the cube, validated on students or periods that it has not seen.

CREATE TYPE empatia.train_row AS (model_version bigint, client text, level text, grain text, target text, algorithm text,
    rows bigint, distinct_rows bigint, students bigint, classes text[], split text,
    log_loss double precision, brier double precision, auc double precision, auc_sd double precision, average_precision double precision,
    accuracy double precision, balanced_accuracy double precision, macro_f1 double precision, agreement_with_segments double precision,
    positive text, threshold double precision, recall double precision, "precision" double precision,
    deployed boolean, message text, seconds double precision);
COMMENT ON TYPE empatia.train_row IS 'a trained classifier; every score is out of fold; agreement_with_segments: accuracy of a model whose classes are the segments, which says nothing of the world';

CREATE FUNCTION empatia._check_options(what text, options jsonb, valid text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    unknown text;
BEGIN
    IF options IS NULL OR jsonb_typeof(options) <> 'object' THEN
        PERFORM empatia._fail('invalid_parameter_value', format('expected %s to be a JSON object, found %s', what, coalesce(jsonb_typeof(options), 'null')));
    END IF;
    SELECT k INTO unknown FROM jsonb_object_keys(options) k WHERE k <> ALL (valid) LIMIT 1;
    IF FOUND THEN
        PERFORM empatia._fail('invalid_parameter_value', format('unknown key "%s" in %s', unknown, what), 'The keys are ' || array_to_string(valid, ', ') || '.');
    END IF;
END
$$;
COMMENT ON FUNCTION empatia._check_options(text, jsonb, text[]) IS 'refuses keys that are not among the valid ones';

CREATE FUNCTION empatia._option_number(options jsonb, key text, low double precision, high double precision, fallback double precision) RETURNS double precision
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found CONSTANT jsonb := options -> key;
BEGIN
    IF found IS NULL OR found = 'null' THEN
        RETURN fallback;
    ELSIF jsonb_typeof(found) = 'number' AND (found::text)::numeric BETWEEN low::numeric AND high::numeric THEN
        RETURN found::text::double precision;
    END IF;
    PERFORM empatia._fail('invalid_parameter_value', format('option "%s": expected a number from %s to %s, found %s', key, low, high, found));
END
$$;
COMMENT ON FUNCTION empatia._option_number(jsonb, text, double precision, double precision, double precision) IS 'a number among the options, its domain checked';

-- The class labels of the targets that have classes of their own.
CREATE FUNCTION empatia._class_names(target text, options jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE target WHEN 'inactive_next' THEN ARRAY[coalesce(options ->> 'negative', 'segue ativo'), coalesce(options ->> 'positive', 'em risco de afastamento')]
                       WHEN 'outcome' THEN ARRAY[coalesce(options ->> 'negative', 'sem risco'), coalesce(options ->> 'positive', 'em risco')] END
$$;
COMMENT ON FUNCTION empatia._class_names(text, jsonb) IS 'negative and positive class of a target that has them; null for others';

-- Labels where there are enough to learn from, else the segments.
CREATE FUNCTION empatia._choose_target(level text, grain text, client_id integer, min_rows integer) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    enough boolean;
BEGIN
    EXECUTE format('SELECT count(*) >= 2 AND bool_and(n >= $2) FROM (SELECT count(*) AS n FROM (%s) l WHERE $1 IS NULL OR l.client_id = $1 GROUP BY l.class) c',
        empatia._labels_sql(level, grain)) INTO enough USING client_id, min_rows;
    RETURN CASE WHEN enough THEN 'label' ELSE 'segment' END;
END
$$;
COMMENT ON FUNCTION empatia._choose_target(text, text, integer, integer) IS 'label where every class given by people has enough rows, else segment';

CREATE FUNCTION empatia._target(target text, level text, grain text, client_id integer, options jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    names CONSTANT text[] := empatia._class_names(target, options);
    horizon CONSTANT integer := empatia._option_number(options, 'horizon', 1, 100, 2);
    days CONSTANT integer := empatia._option_number(options, 'window_days', 1, 10000, 30);
    at_risk text[];
    applies bigint;
    any_outcome boolean;
BEGIN
    CASE target
        WHEN 'label' THEN
            RETURN jsonb_build_object('kind', 'labels', 'query', empatia._labels_sql(level, grain));
        WHEN 'segment' THEN
            applies := empatia._require_model(level, grain, client_id);
            RETURN (SELECT jsonb_build_object('kind', 'segment', 'encoded', m.encoded::text,
                        'labels', (SELECT jsonb_object_agg(s.rank, empatia._label(m.level, m.grain, s.rank)) FROM empatia._describe_segments(m.encoded) s))
                    FROM empatia.model m WHERE m.version = applies);
        WHEN 'inactive_next' THEN
            RETURN jsonb_build_object('kind', 'inactive_next', 'horizon', horizon, 'population', coalesce(options ->> 'population', 'active'), 'names', names);
        WHEN 'outcome' THEN
            IF level <> 'SPA' THEN
                PERFORM empatia._fail('invalid_parameter_value', format('outcomes are those of enrolments, in spaces; expected level SPA, found %s', level),
                    format('SELECT * FROM empatia.train(''SPA'', %L, target => ''outcome'').', grain));
            END IF;
            EXECUTE empatia._render('SELECT EXISTS (SELECT FROM {dw}.enrolment e WHERE e.outcome IS NOT NULL AND ($1 IS NULL OR e.client_id = $1))') INTO any_outcome USING client_id;
            IF NOT any_outcome THEN
                PERFORM empatia._fail('object_not_in_prerequisite_state', 'no enrolment has an outcome', 'The column outcome of the table enrolment holds them; adapters fill it where the source has final results.');
            END IF;
            SELECT array_agg(o ORDER BY o) INTO at_risk FROM jsonb_array_elements_text(CASE jsonb_typeof(options -> 'at_risk') WHEN 'array' THEN options -> 'at_risk' ELSE '[]' END) o;
            RETURN jsonb_build_object('kind', 'labels', 'query', empatia._outcomes_sql(grain, days, at_risk, names[2], names[1]));
        ELSE
            PERFORM empatia._fail('invalid_parameter_value', format('unknown target "%s"', target), 'The targets are label, segment, outcome and inactive_next.');
    END CASE;
END
$$;
COMMENT ON FUNCTION empatia._target(text, text, text, integer, jsonb) IS 'what _train_cube() is told of a target';

CREATE FUNCTION empatia._objective(objective text, target_recall double precision, threshold double precision, costs jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF threshold IS NOT NULL AND (objective IS NOT NULL AND objective <> 'fixed') THEN
        PERFORM empatia._fail('invalid_parameter_value', format('a threshold is given and the objective "%s" would choose another', objective), 'Leave one of them out.');
    ELSIF target_recall IS NOT NULL AND objective IS DISTINCT FROM 'recall' THEN
        PERFORM empatia._fail('invalid_parameter_value', format('target_recall belongs to the objective recall, found %s', coalesce('"' || objective || '"', 'none')), 'Say objective => ''recall''.');
    ELSIF costs IS NOT NULL AND objective IS DISTINCT FROM 'cost' THEN
        PERFORM empatia._fail('invalid_parameter_value', format('costs belong to the objective cost, found %s', coalesce('"' || objective || '"', 'none')), 'Say objective => ''cost''.');
    END IF;
    CASE
        WHEN threshold IS NOT NULL THEN RETURN jsonb_build_object('objective', 'fixed', 'threshold', threshold);
        WHEN objective IS NULL OR objective = 'none' THEN RETURN NULL;
        WHEN objective = 'recall' THEN RETURN jsonb_build_object('objective', 'recall', 'target_recall', coalesce(target_recall, 0.97));
        WHEN objective IN ('f1', 'youden') THEN RETURN jsonb_build_object('objective', objective);
        WHEN objective = 'cost' AND costs IS NOT NULL THEN RETURN jsonb_build_object('objective', 'cost', 'costs', costs);
        WHEN objective = 'cost' THEN
            PERFORM empatia._fail('invalid_parameter_value', 'the objective cost needs options => ''{"costs": {"false_positive": 1, "false_negative": 5}}''');
        ELSE
            PERFORM empatia._fail('invalid_parameter_value', format('unknown objective "%s"', objective), 'The objectives are recall, f1, cost, youden and none (the most probable class); or give a threshold.');
    END CASE;
END
$$;
COMMENT ON FUNCTION empatia._objective(text, double precision, double precision, jsonb) IS 'what the threshold is chosen for; null: the most probable class';

CREATE FUNCTION empatia._split(split text, target text, options jsonb, OUT name text, OUT value jsonb)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    folds CONSTANT integer := empatia._option_number(options, 'folds', 2, 100, 5);
    horizon CONSTANT integer := empatia._option_number(options, 'horizon', 1, 100, 2);
BEGIN
    name := coalesce(split, CASE target WHEN 'inactive_next' THEN 'time' ELSE 'student' END);
    CASE name
        WHEN 'student' THEN value := jsonb_build_object('group', jsonb_build_object('folds', folds));
        WHEN 'stratified' THEN value := jsonb_build_object('stratified', jsonb_build_object('folds', folds));
        WHEN 'time' THEN
            -- what a target looks ahead must have happened before the tested periods begin
            value := jsonb_build_object('time', jsonb_build_object(
                'horizon', empatia._option_number(options, 'test_periods', 1, 1000, 1)::integer, 'windows', empatia._option_number(options, 'windows', 1, 100, 3)::integer,
                'gap', CASE target WHEN 'inactive_next' THEN horizon ELSE 0 END));
        ELSE
            PERFORM empatia._fail('invalid_parameter_value', format('unknown split "%s"', name), 'The splits are student, time and stratified.');
    END CASE;
END
$$;
COMMENT ON FUNCTION empatia._split(text, text, jsonb) IS 'how rows are split into those to train on and those to test on';

-- Whether a new classifier is better than what is in use by more than the noise, on the same rows.
CREATE FUNCTION empatia._deploy_if_better(version bigint) RETURNS TABLE (deployed boolean, message text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    m CONSTANT empatia.model := empatia._classifier(version);
    present empatia.deployment;
    old bytea;
    found record;
BEGIN
    PERFORM empatia._lock_deployments(m.name, m.level, m.grain, m.client_id);
    present := empatia._in_use(m);
    SELECT r.evaluation INTO old FROM empatia.model r WHERE r.version = present.version;
    SELECT * INTO found FROM empatia._compare_evaluations(m.evaluation, old);
    deployed := found.comparable AND found.difference > 2 * found.standard_error;
    message := CASE
        WHEN NOT found.comparable AND old IS NULL THEN format('not deployed: rows of one student tell nothing of others; deploy(%s) decides', version)
        WHEN NOT found.comparable THEN format('not deployed: its rows are not those of model %s in use, so that the two cannot be compared; deploy(%s) decides', present.version, version)
        ELSE format('%s: log loss %s that of %s by %s +- %s (standard error)', CASE WHEN deployed THEN 'deployed' ELSE 'not deployed' END,
            CASE WHEN found.difference >= 0 THEN 'below' ELSE 'above' END,
            CASE WHEN old IS NULL THEN 'always saying the shares of the classes' ELSE 'model ' || present.version END,
            round(abs(found.difference)::numeric, 5), round(found.standard_error::numeric, 5)) END;
    IF deployed AND m.name IS NOT NULL THEN
        PERFORM empatia._record_named_deployment(m.name, version, 'automatic', message);
    ELSIF deployed THEN
        PERFORM empatia._record_deployment(m.level, m.grain, m.client_id, version, 'automatic', message);
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION empatia._deploy_if_better(bigint) IS 'deploys a classifier whose out-of-fold log loss is below that of the one in use, on the same students'' rows, by more than twice its standard error';

CREATE FUNCTION empatia._train_row(version bigint, deployed boolean, message text) RETURNS empatia.train_row
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    m CONSTANT empatia.model := empatia._classifier(version);
    done empatia.train_row;
    agrees CONSTANT boolean := m.target = 'segment';
BEGIN
    done := (m.version, m.client, m.level, m.grain, m.target, m.algorithm, m.rows, m.distinct_rows, m.students, m.classes, m.parameters ->> 'split',
        (m.metrics #>> '{log_loss,pooled}')::double precision, (m.metrics #>> '{brier,pooled}')::double precision,
        (m.metrics #>> '{auc,pooled}')::double precision, (m.metrics #>> '{auc,sd}')::double precision, (m.metrics #>> '{average_precision,pooled}')::double precision,
        CASE WHEN NOT agrees THEN (m.metrics #>> '{accuracy,pooled}')::double precision END,
        CASE WHEN NOT agrees THEN (m.metrics #>> '{balanced_accuracy,pooled}')::double precision END,
        CASE WHEN NOT agrees THEN (m.metrics #>> '{macro_f1,pooled}')::double precision END,
        CASE WHEN agrees THEN (m.metrics #>> '{accuracy,pooled}')::double precision END,
        m.positive, m.threshold, (m.report #>> '{threshold,recall}')::double precision, (m.report #>> '{threshold,precision}')::double precision,
        deployed, message, m.seconds);
    RETURN done;
END
$$;
COMMENT ON FUNCTION empatia._train_row(bigint, boolean, text) IS 'what train() returns of a registered classifier';

CREATE FUNCTION empatia._check_training(algorithm text, search text, time_budget interval, seed bigint, deploy text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF algorithm IS NULL OR time_budget IS NULL OR seed IS NULL OR deploy IS NULL THEN
        PERFORM empatia._fail('null_value_not_allowed', 'algorithm, time_budget, seed and deploy must not be null', 'Leave them out to get their defaults.');
    ELSIF algorithm <> ALL (ARRAY['random_forest', 'gradient_boosting', 'logistic_regression', 'decision_tree', 'ensemble', 'auto']) THEN
        PERFORM empatia._fail('invalid_parameter_value', format('unknown algorithm "%s"', algorithm),
            'The algorithms are random_forest, gradient_boosting, logistic_regression, decision_tree, ensemble and auto.');
    ELSIF search <> ALL (ARRAY['random', 'grid']) THEN
        PERFORM empatia._fail('invalid_parameter_value', format('unknown search "%s"', search), 'The searches are random and grid; null: none.');
    ELSIF deploy <> ALL (ARRAY['auto', 'always', 'never']) THEN
        PERFORM empatia._fail('invalid_parameter_value', format('deploy must be auto, always or never, not "%s"', deploy));
    ELSIF time_budget <= interval '0' THEN
        PERFORM empatia._fail('invalid_parameter_value', format('expected a time budget above zero, found %s', time_budget));
    END IF;
END
$$;
COMMENT ON FUNCTION empatia._check_training(text, text, interval, bigint, text) IS 'refuses how to train, of train() and train_table(), where it cannot be';

CREATE FUNCTION empatia.train(level text, grain text, client text DEFAULT NULL, target text DEFAULT NULL, algorithm text DEFAULT 'gradient_boosting',
    parameters jsonb DEFAULT '{}', features jsonb DEFAULT '{}', split text DEFAULT NULL, search text DEFAULT NULL, time_budget interval DEFAULT '5 minutes',
    objective text DEFAULT NULL, target_recall double precision DEFAULT NULL, threshold double precision DEFAULT NULL,
    seed bigint DEFAULT 42, deploy text DEFAULT 'auto', options jsonb DEFAULT '{}')
RETURNS SETOF empatia.train_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_variable
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
    id CONSTANT integer := CASE WHEN client IS NOT NULL THEN empatia._client_id(client) END;
    min_rows integer;
    wanted text := target;
    how record;
    training jsonb;
    fitted record;
    new_version bigint;
    is_deployed boolean;
    extra text[];
    notes text[] := '{}';
BEGIN
    PERFORM empatia._require_cube(level, grain, id);
    PERFORM empatia._check_training(algorithm, search, time_budget, seed, deploy);
    PERFORM empatia._check_options('options', options, ARRAY['folds', 'min_rows', 'calibrate', 'class_weight', 'metric', 'positive', 'negative', 'horizon', 'population',
        'window_days', 'at_risk', 'test_periods', 'windows', 'candidates', 'space', 'costs', 'max_rows']);
    PERFORM empatia._check_options('parameters', parameters, ARRAY(SELECT jsonb_object_keys(CASE jsonb_typeof(parameters) WHEN 'object' THEN parameters END)));
    min_rows := empatia._option_number(options, 'min_rows', 1, 1e9, 10);
    IF wanted IS NULL THEN
        wanted := empatia._choose_target(level, grain, id, min_rows);
        notes := notes || CASE wanted WHEN 'label' THEN 'target: labels, of which there are enough'
                                      ELSE format('target: segments, for there are not %s labels of each of two classes', min_rows) END;
    END IF;
    how := empatia._split(split, wanted, options);
    training := jsonb_strip_nulls(jsonb_build_object('algorithm', algorithm, 'parameters', parameters, 'split', how.value, 'min_rows', min_rows, 'seed', seed,
        'objective', empatia._objective(coalesce(objective, CASE
            WHEN threshold IS NOT NULL THEN NULL
            -- a student at risk who is not found costs more than one who is looked at in vain
            WHEN wanted = 'outcome' AND options ? 'at_risk' THEN 'recall'
            WHEN wanted = 'inactive_next' THEN 'f1' END), target_recall, threshold, options -> 'costs'),
        'positive', coalesce(options ->> 'positive', (empatia._class_names(wanted, options))[2]),
        'calibrate', options -> 'calibrate', 'class_weight', options -> 'class_weight', 'metric', options -> 'metric',
        'search', CASE WHEN search IS NOT NULL THEN jsonb_strip_nulls(jsonb_build_object('kind', search, 'candidates', options -> 'candidates', 'space', options -> 'space')) END));
    IF wanted = 'outcome' AND NOT options ? 'at_risk' THEN
        training := training - 'positive' || jsonb_strip_nulls(jsonb_build_object('positive', options -> 'positive'));
    END IF;
    PERFORM empatia._doing(format('training %s x %s', level, grain));
    SELECT * INTO fitted FROM empatia._train_cube((empatia._warehouse()).results_schema::text, level, grain, id, nullif(features, '{}'), training,
        empatia._target(wanted, level, grain, id, options) || jsonb_strip_nulls(jsonb_build_object('max_rows', options -> 'max_rows')), extract(epoch FROM time_budget)::double precision);
    PERFORM empatia._doing(NULL);
    SELECT array_append(notes, format('left out: %s labels of nobody in the unit, %s of no period, %s given twice', l.without_member, l.without_period, l.repeated)) INTO extra
    FROM jsonb_to_record(fitted.report #> '{cube,labels}') AS l (without_member bigint, without_period bigint, repeated bigint)
    WHERE l.without_member + l.without_period + l.repeated > 0;
    notes := coalesce(extra, notes);
    IF wanted <> 'segment' AND fitted.report #> '{cube,looking_ahead}' <> '[]' THEN
        notes := notes || format('features that count what lies in later periods, too (setting assignment_basis): %s',
            (SELECT string_agg(a.name, ', ') FROM jsonb_array_elements_text(fitted.report #> '{cube,looking_ahead}') a (name)));
    END IF;
    INSERT INTO empatia.model (level, grain, client_id, client, task, algorithm, target, features, parameters, metrics, date_from, date_to, rows, distinct_rows, seconds,
                               seed, fingerprint, extension_version, classes, positive, threshold, students, recipe, report, encoded, evaluation)
    VALUES (level, grain, id, client, 'classification', coalesce(fitted.report ->> 'algorithm', algorithm), wanted, fitted.features,
            training || jsonb_build_object('split', how.name, 'split_parameters', how.value, 'options', options), fitted.report -> 'metrics', fitted.first_period, fitted.last_period,
            fitted.rows, fitted.distinct_rows, extract(epoch FROM clock_timestamp() - began), seed, fitted.fingerprint, empatia.version(),
            fitted.classes, fitted.report ->> 'positive', (fitted.report #>> '{threshold,threshold}')::double precision, fitted.students, features, fitted.report,
            fitted.encoded, fitted.evaluation)
    RETURNING version INTO new_version;
    CASE deploy
        WHEN 'never' THEN
            is_deployed := false;
            notes := notes || 'not deployed: deploy => ''never'''::text;
        WHEN 'always' THEN
            PERFORM empatia._record_deployment(level, grain, id, new_version, 'deploy', 'train(deploy => ''always'')');
            is_deployed := true;
            notes := notes || 'deployed'::text;
        ELSE
            SELECT d.deployed, notes || d.message INTO is_deployed, notes FROM empatia._deploy_if_better(new_version) d;
    END CASE;
    RETURN NEXT empatia._train_row(new_version, is_deployed, array_to_string(notes, '; '));
END
$$;
COMMENT ON FUNCTION empatia.train(text, text, text, text, text, jsonb, jsonb, text, text, interval, text, double precision, double precision, bigint, text, jsonb) IS
    'trains and registers a classifier for a level and grain: target label, segment, outcome or inactive_next (null: label if there are enough, else segment); every score is out of fold, the final model is fitted on all rows';
