-- train_table(): a classifier of the rows of any table or view.

CREATE TYPE empatia.train_table_row AS (model_version bigint, model text, relation text, target text, algorithm text, rows bigint, students bigint, features text[], classes text[],
    split text, log_loss double precision, brier double precision, auc double precision, auc_sd double precision, average_precision double precision, accuracy double precision,
    positive text, threshold double precision, recall double precision, "precision" double precision, excluded text[], leaks text[], deployed boolean, message text, seconds double precision);
COMMENT ON TYPE empatia.train_table_row IS 'a trained model of a table; every score is out of fold; leaks: what the leak guard found, in words';

CREATE FUNCTION empatia._check_train_table(name text, relation regclass, target text, key text[], time_column text, target_lead integer, options jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF name IS NULL OR relation IS NULL OR target IS NULL OR target_lead IS NULL THEN
        PERFORM empatia._fail('null_value_not_allowed', 'name, relation, target and target_lead must not be null');
    ELSIF name !~ '^[[:alpha:]_][[:alnum:]_ .-]{0,62}$' THEN
        PERFORM empatia._fail('invalid_parameter_value', format('expected a name of 1 to 63 letters, digits and _ . -, beginning with a letter, found %L', name));
    ELSIF target_lead NOT BETWEEN 0 AND 1000 THEN
        PERFORM empatia._fail('invalid_parameter_value', format('target_lead must be from 0 to 1000, not %s', target_lead));
    ELSIF target_lead > 0 AND (time_column IS NULL OR coalesce(key, '{}') = '{}') THEN
        PERFORM empatia._fail('invalid_parameter_value', 'target_lead needs key and time_column: they say which row is the next of the same student',
            'Say key => ''{student_id}'', time_column => ''year''.');
    END IF;
    PERFORM empatia._check_options('options', options, ARRAY['folds', 'min_rows', 'calibrate', 'class_weight', 'metric', 'positive', 'negative', 'test_periods', 'windows', 'gap',
        'candidates', 'space', 'costs', 'impute', 'leak_guard', 'aliases', 'lead_step']);
    -- predict() reads them, long after
    IF jsonb_typeof(options -> 'aliases') <> 'object' OR jsonb_path_exists(options, 'strict $.aliases.* ? (@.type() != "string")', silent => true) THEN
        PERFORM empatia._fail('invalid_parameter_value', format('option "aliases": expected an object of names and columns, found %s', options -> 'aliases'), 'For example {"aliases": {"nota": "grade"}}.');
    END IF;
    PERFORM empatia._check_columns('key', relation, key);
    PERFORM empatia._check_columns('time_column', relation, CASE WHEN time_column IS NOT NULL THEN ARRAY[time_column] END);
END
$$;
COMMENT ON FUNCTION empatia._check_train_table(text, regclass, text, text[], text, integer, jsonb) IS 'refuses arguments of train_table() that cannot be';

-- The columns to learn from: those asked for, else all but key and time.
CREATE FUNCTION empatia._table_features(relation regclass, features text[], exclude text[], key text[], time_column text, OUT names text[], OUT kinds text[], OUT expressions text[], OUT others text[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    unused CONSTANT text[] := coalesce((SELECT d.unused FROM empatia._dataset_of(relation) d), '{}');
BEGIN
    PERFORM empatia._check_columns('features', relation, features);
    PERFORM empatia._check_columns('exclude', relation, exclude);
    SELECT array_agg(c.name ORDER BY c.place), array_agg(c.kind ORDER BY c.place), array_agg(c.expression ORDER BY c.place) INTO names, kinds, expressions
    FROM empatia._table_columns(relation) c
    WHERE CASE WHEN features IS NOT NULL THEN c.name = ANY (features)
               ELSE c.name <> ALL (coalesce(key, '{}')) AND c.name IS DISTINCT FROM time_column AND c.name <> ALL (unused) END
      AND c.name <> ALL (coalesce(exclude, '{}'));
    IF names IS NULL THEN
        PERFORM empatia._fail('invalid_parameter_value', format('relation %s has no column to learn from', relation), 'Numbers, booleans, texts and dates are taken, but not key and time_column.');
    END IF;
    SELECT coalesce(array_agg(a.attname::text), '{}') INTO others FROM pg_attribute a WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> ALL (names);
END
$$;
COMMENT ON FUNCTION empatia._table_features(regclass, text[], text[], text[], text) IS 'columns to learn from, with the expressions that read them, and the others of the relation';

CREATE FUNCTION empatia._with_declared_leaks(found jsonb, declared text[], features text[]) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN l.leaks IS NULL THEN found ELSE coalesce(found, '{}') || jsonb_build_object('excluded', coalesce(found -> 'excluded', '[]') || l.names, 'leaks', coalesce(found -> 'leaks', '[]') || l.leaks) END
    FROM (SELECT jsonb_agg(d) AS names, jsonb_agg(jsonb_build_object('kind', 'declared', 'columns', jsonb_build_array(d), 'allowed', false,
                     'pt', d || ' entrega o alvo, segundo a definição do conjunto de dados', 'en', d || ' gives the target away, as the definition of the dataset says')) AS leaks
          FROM unnest(declared) d WHERE d <> ALL (features)) l
$$;
COMMENT ON FUNCTION empatia._with_declared_leaks(jsonb, text[], text[]) IS 'what the leak guard found, and the columns that a dataset''s definition calls leaks';

CREATE FUNCTION empatia._table_split(split text, key text[], target_lead integer, options jsonb, OUT name text, OUT value jsonb)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked CONSTANT record := empatia._split(coalesce(split, CASE WHEN coalesce(key, '{}') = '{}' THEN 'stratified' ELSE 'student' END), 'table', options);
BEGIN
    name := asked.name;
    value := asked.value;
    IF name = 'time' THEN
        -- the target of the last rows trained on is known when the first ones tested begin
        value := jsonb_set(value, '{time,gap}', to_jsonb(empatia._option_number(options, 'gap', 0, 1000, greatest(target_lead - 1, 0))::integer));
        value := jsonb_set(value, '{time,windows}', to_jsonb(empatia._option_number(options, 'windows', 1, 100, 1)::integer));
    END IF;
END
$$;
COMMENT ON FUNCTION empatia._table_split(text, text[], integer, jsonb) IS 'how the rows of a table are split: by key where there is one';

CREATE FUNCTION empatia._train_table_row(version bigint, deployed boolean, message text) RETURNS empatia.train_table_row
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    m CONSTANT empatia.model := empatia._classifier(version);
    l CONSTANT text := coalesce(empatia._setting_value('language'), 'pt');
    done empatia.train_table_row;
BEGIN
    done := (m.version, m.name, m.relation, m.target, m.algorithm, m.rows, m.students, m.features, m.classes, m.parameters ->> 'split',
        (m.metrics #>> '{log_loss,pooled}')::double precision, (m.metrics #>> '{brier,pooled}')::double precision, (m.metrics #>> '{auc,pooled}')::double precision,
        (m.metrics #>> '{auc,sd}')::double precision, (m.metrics #>> '{average_precision,pooled}')::double precision, (m.metrics #>> '{accuracy,pooled}')::double precision,
        m.positive, m.threshold, (m.report #>> '{threshold,recall}')::double precision, (m.report #>> '{threshold,precision}')::double precision,
        ARRAY(SELECT jsonb_array_elements_text(coalesce(m.report #> '{leaks,excluded}', '[]'))),
        ARRAY(SELECT e ->> CASE l WHEN 'en' THEN 'en' ELSE 'pt' END FROM jsonb_array_elements(coalesce(m.report #> '{leaks,leaks}', '[]')) e), deployed, message, m.seconds);
    RETURN done;
END
$$;
COMMENT ON FUNCTION empatia._train_table_row(bigint, boolean, text) IS 'what train_table() returns of a registered model';

CREATE FUNCTION empatia.train_table(name text, relation regclass, target text, key text[] DEFAULT NULL, time_column text DEFAULT NULL, target_lead integer DEFAULT 0,
    algorithm text DEFAULT 'gradient_boosting', parameters jsonb DEFAULT '{}', features text[] DEFAULT NULL, exclude text[] DEFAULT NULL, allow_leaks text[] DEFAULT NULL,
    split text DEFAULT NULL, search text DEFAULT NULL, time_budget interval DEFAULT '5 minutes', objective text DEFAULT NULL, target_recall double precision DEFAULT NULL,
    threshold double precision DEFAULT NULL, seed bigint DEFAULT 42, deploy text DEFAULT 'auto', options jsonb DEFAULT '{}')
RETURNS SETOF empatia.train_table_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_variable
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
    of_target record;
    columns record;
    how record;
    names text[];
    training jsonb;
    fitted record;
    new_version bigint;
    result record;
    is_condition boolean;
    dataset record;
BEGIN
    SELECT * INTO dataset FROM empatia._dataset_of(relation);
    key := coalesce(key, dataset.key);
    time_column := coalesce(time_column, dataset.time_column);
    PERFORM empatia._check_train_table(name, relation, target, key, time_column, target_lead, options);
    PERFORM empatia._check_training(algorithm, search, time_budget, seed, deploy);
    IF target_lead > 0 THEN
        PERFORM empatia._check_key(relation, key, time_column);
    END IF;
    columns := empatia._table_features(relation, features, exclude, key, time_column);
    PERFORM empatia._check_columns('allow_leaks', relation, allow_leaks);
    of_target := empatia._inspect_target(relation, target);
    is_condition := of_target.type = 'boolean'::regtype;
    IF is_condition THEN
        names := ARRAY[coalesce(options ->> 'negative', 'sem risco'), coalesce(options ->> 'positive', 'em risco')];
    END IF;
    how := empatia._table_split(split, key, target_lead, options);
    training := jsonb_strip_nulls(jsonb_build_object('algorithm', algorithm, 'parameters', parameters, 'split', how.value,
        'min_rows', empatia._option_number(options, 'min_rows', 1, 1e9, 10)::bigint, 'seed', seed,
        -- a student at risk who is not found costs more than one who is looked at in vain
        'objective', empatia._objective(coalesce(objective, CASE WHEN threshold IS NULL AND is_condition THEN 'recall' END), target_recall, threshold, options -> 'costs'),
        'positive', coalesce(options ->> 'positive', names[2]), 'calibrate', options -> 'calibrate', 'class_weight', options -> 'class_weight', 'metric', options -> 'metric', 'impute', options -> 'impute',
        'search', CASE WHEN search IS NOT NULL THEN jsonb_strip_nulls(jsonb_build_object('kind', search, 'candidates', options -> 'candidates', 'space', options -> 'space')) END));
    PERFORM empatia._doing(format('training %s', name));
    SELECT * INTO fitted FROM empatia._train_table(
        empatia._table_query(relation, columns.expressions, CASE WHEN is_condition THEN format('CASE %s WHEN true THEN %L WHEN false THEN %L END', '(' || of_target.expression || ')', names[2], names[1])
                                                                 ELSE of_target.expression END,
            key, time_column, target_lead, coalesce((options ->> 'lead_step')::interval, '1 year')),
        columns.names, columns.kinds, names, training, CASE WHEN options -> 'leak_guard' = 'false' THEN NULL ELSE coalesce(nullif(options -> 'leak_guard', 'true'), '{}') END,
        CASE WHEN target_lead = 0 THEN of_target.columns ELSE '{}' END, coalesce(allow_leaks, '{}'), extract(epoch FROM time_budget)::double precision);
    PERFORM empatia._doing(NULL);
    INSERT INTO empatia.model (name, relation, task, algorithm, target, features, parameters, metrics, rows, distinct_rows, seconds, seed, fingerprint, extension_version,
                               classes, positive, threshold, students, recipe, report, encoded, evaluation)
    VALUES (name, relation::text, 'classification', coalesce(fitted.report ->> 'chosen', algorithm), of_target.expression, fitted.features,
            training || jsonb_build_object('split', how.name, 'split_parameters', how.value, 'options', options, 'target_lead', target_lead, 'arguments', jsonb_build_object(
                'algorithm', algorithm, 'parameters', parameters, 'features', features, 'exclude', exclude, 'allow_leaks', allow_leaks, 'split', split, 'search', search,
                'objective', objective, 'target_recall', target_recall, 'threshold', threshold, 'seed', seed)),
            fitted.report -> 'metrics', fitted.rows, fitted.rows, extract(epoch FROM clock_timestamp() - began), seed, fitted.fingerprint, empatia.version(),
            fitted.classes, fitted.report ->> 'positive', (fitted.report #>> '{threshold,threshold}')::double precision, fitted.groups,
            jsonb_build_object('columns', (SELECT jsonb_agg(jsonb_build_object('name', c.name, 'kind', c.kind) ORDER BY c.i)
                                           FROM unnest(columns.names, columns.kinds) WITH ORDINALITY c (name, kind, i) WHERE c.name = ANY (fitted.features)),
                'key', coalesce(key, '{}'), 'time_column', time_column, 'target_lead', target_lead, 'dataset', dataset.definition,
                'others', to_jsonb(columns.others || ARRAY(SELECT n FROM unnest(columns.names) n WHERE n <> ALL (fitted.features))), 'aliases', coalesce(options -> 'aliases', '{}')),
            fitted.report || jsonb_build_object('leaks', empatia._with_declared_leaks(fitted.leaks, dataset.leaks, columns.names), 'ignored', fitted.ignored), fitted.encoded, fitted.evaluation)
    RETURNING version INTO new_version;
    PERFORM empatia._ensure_predictions();
    CASE deploy
        WHEN 'never' THEN
            result := ROW(false, 'not deployed: deploy => ''never'''::text);
        WHEN 'always' THEN
            PERFORM empatia._record_named_deployment(name, new_version, 'deploy', 'train_table(deploy => ''always'')');
            result := ROW(true, 'deployed'::text);
        ELSE
            SELECT d.deployed AS f1, d.message AS f2 INTO result FROM empatia._deploy_if_better(new_version) d;
    END CASE;
    RETURN NEXT empatia._train_table_row(new_version, result.f1, result.f2);
END
$$;
COMMENT ON FUNCTION empatia.train_table(text, regclass, text, text[], text, integer, text, jsonb, text[], text[], text[], text, text, interval, text, double precision, double precision, bigint, text, jsonb) IS
    'trains and registers a classifier of the rows of a table or view: target is an expression of its columns, of the same row or (target_lead) of a later one of the same key; columns that give the target away are left out';

CREATE FUNCTION empatia.find_leaks(relation regclass, target text, key text[] DEFAULT NULL, time_column text DEFAULT NULL, target_lead integer DEFAULT 0, allow_leaks text[] DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS TABLE (kind text, columns text[], auc double precision, auc_without double precision, through text, allowed boolean, words text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    of_target record;
    chosen record;
    l CONSTANT text := coalesce(empatia._setting_value('language'), 'pt');
    report jsonb;
    dataset record;
BEGIN
    SELECT * INTO dataset FROM empatia._dataset_of(relation);
    key := coalesce(key, dataset.key);
    time_column := coalesce(time_column, dataset.time_column);
    PERFORM empatia._check_train_table('find_leaks', relation, target, key, time_column, target_lead, '{}');
    PERFORM empatia._check_options('options', options, ARRAY['limit', 'max_rows', 'max_pairs', 'max_terms']);
    PERFORM empatia._check_columns('allow_leaks', relation, allow_leaks);
    chosen := empatia._table_features(relation, NULL, NULL, key, time_column);
    of_target := empatia._inspect_target(relation, target);
    report := empatia._find_leaks(empatia._table_query(relation, chosen.expressions, of_target.expression, key, time_column, target_lead, '1 year'),
        chosen.names, chosen.kinds, options, CASE WHEN target_lead = 0 THEN of_target.columns ELSE '{}' END, coalesce(allow_leaks, '{}'));
    RETURN QUERY SELECT e ->> 'kind', ARRAY(SELECT jsonb_array_elements_text(e -> 'columns')), (e ->> 'auc')::double precision, (e ->> 'auc_without')::double precision,
            e ->> 'through', (e ->> 'allowed')::boolean, e ->> CASE l WHEN 'en' THEN 'en' ELSE 'pt' END
        FROM jsonb_array_elements(empatia._with_declared_leaks(report, dataset.leaks, chosen.names) -> 'leaks') e;
END
$$;
COMMENT ON FUNCTION empatia.find_leaks(regclass, text, text[], text, integer, text[], jsonb) IS 'what train_table() would leave out of a relation and why: columns that give the target away alone, with another, through another, or as a code of one that does';
