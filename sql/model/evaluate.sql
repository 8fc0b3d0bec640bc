-- What a classifier is worth: rows computed from its stored out-of-fold predictions, never from rows that it was fitted on.

CREATE FUNCTION empatia._evaluation(version bigint) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    m CONSTANT empatia.model := empatia._classifier(version);
BEGIN
    IF m.evaluation IS NULL THEN
        PERFORM empatia._fail('object_not_in_prerequisite_state', format('model %s has no out-of-fold predictions: it was not trained here', version),
            'Train a model of the same rows to compare with: SELECT * FROM empatia.train(level, grain).');
    END IF;
    RETURN m.evaluation;
END
$$;
COMMENT ON FUNCTION empatia._evaluation(bigint) IS 'out-of-fold predictions of a classifier, or an error where it was imported without';

CREATE FUNCTION empatia.evaluate(version bigint) RETURNS TABLE (metric text, value double precision, fold_mean double precision, fold_sd double precision, folds integer)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    m CONSTANT empatia.model := empatia._classifier(version);
BEGIN
    RETURN QUERY
        SELECT CASE WHEN m.target = 'segment' AND e.key IN ('accuracy', 'balanced_accuracy', 'macro_f1') THEN e.key || '_of_agreement_with_segments' ELSE e.key END,
               (e.value ->> 'pooled')::double precision, (e.value ->> 'mean')::double precision, (e.value ->> 'sd')::double precision, (e.value ->> 'folds')::integer
        FROM jsonb_each(m.metrics) WITH ORDINALITY e (key, value, place)
        UNION ALL
        SELECT t.key || '_at_threshold', (m.report -> 'threshold' ->> t.key)::double precision, NULL, NULL, NULL
        FROM unnest(ARRAY['recall', 'precision', 'f1', 'false_positive_rate', 'selection_rate']) t (key) WHERE m.threshold IS NOT NULL;
END
$$;
COMMENT ON FUNCTION empatia.evaluate(bigint) IS 'scores of a classifier, out of fold: over all rows, and mean and standard deviation over the folds';

CREATE FUNCTION empatia.confusion_matrix(version bigint) RETURNS TABLE (actual text, predicted text, rows double precision, share_of_actual double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT c.actual, c.predicted, c.rows, c.rows / nullif(sum(c.rows) OVER (PARTITION BY c.actual), 0)
        FROM empatia._confusion(empatia._evaluation(version)) c;
END
$$;
COMMENT ON FUNCTION empatia.confusion_matrix(bigint) IS 'how many rows of each class were predicted to be of which, out of fold, at the model''s threshold';

CREATE FUNCTION empatia.roc_curve(version bigint, class text DEFAULT NULL)
RETURNS TABLE (threshold double precision, false_positive_rate double precision, true_positive_rate double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT * FROM empatia._roc_curve(empatia._evaluation(version), class);
END
$$;
COMMENT ON FUNCTION empatia.roc_curve(bigint, text) IS 'points of the ROC curve of a class against all others, out of fold; null: the positive class';

CREATE FUNCTION empatia.pr_curve(version bigint, class text DEFAULT NULL)
RETURNS TABLE (threshold double precision, recall double precision, "precision" double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT * FROM empatia._pr_curve(empatia._evaluation(version), class);
END
$$;
COMMENT ON FUNCTION empatia.pr_curve(bigint, text) IS 'points of the precision-recall curve of a class against all others, out of fold; null: the positive class';

CREATE FUNCTION empatia.calibration(version bigint, class text DEFAULT NULL, bins integer DEFAULT 10)
RETURNS TABLE (bin integer, rows double precision, mean_probability double precision, observed_share double precision, low double precision, high double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT * FROM empatia._calibration(empatia._evaluation(version), class, bins);
END
$$;
COMMENT ON FUNCTION empatia.calibration(bigint, text, integer) IS 'predicted probability against observed share, in bins of equally many rows, with 95 % Wilson intervals of the share';

CREATE FUNCTION empatia.feature_importance(version bigint)
RETURNS TABLE (feature text, mean_abs_shap double precision, permutation double precision, permutation_sd double precision, gain double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT i.feature, i.mean_abs_shap, i.permutation, i.permutation_sd, i.gain
        FROM jsonb_to_recordset((empatia._classifier(version)).report -> 'importance')
             AS i (feature text, mean_abs_shap double precision, permutation double precision, permutation_sd double precision, gain double precision)
        ORDER BY i.mean_abs_shap DESC NULLS LAST, i.permutation DESC NULLS LAST, i.feature;
END
$$;
COMMENT ON FUNCTION empatia.feature_importance(bigint) IS 'features, most important first: mean |SHAP| and permutation out of fold (by how much the metric worsens), share of the gain of the splits';

-- A student is in one group. Who has one value in one enrolment (or row of the table) and another in the next is in the group of both.
CREATE FUNCTION empatia._groups_sql(m empatia.model, attribute text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF m.relation IS NULL THEN
        RETURN empatia._render('SELECT empatia._student_key(v.client_id, v.user_id), v.value FROM (
                SELECT s.client_id, s.user_id, coalesce(e.attributes ->> $2, s.attributes ->> $2) AS value
                FROM {dw}.student s LEFT JOIN {dw}.enrolment e ON (e.client_id, e.user_id) = (s.client_id, s.user_id)
                WHERE $1 IS NULL OR s.client_id = $1) v');
    ELSIF coalesce(m.recipe -> 'key', '[]') = '[]' THEN
        PERFORM empatia._fail('object_not_in_prerequisite_state', format('model %s was trained without a key, so its rows cannot be told apart', m.version),
            'Train with key => ''{column}'', the columns that say which student a row is of.');
    ELSIF to_regclass(m.relation) IS NULL THEN
        PERFORM empatia._fail('undefined_table', format('the relation %s that model %s was trained on is not there', m.relation, m.version));
    END IF;
    PERFORM empatia._check_columns('attribute', m.relation::regclass, ARRAY[attribute]);
    PERFORM empatia._check_columns('key', m.relation::regclass, ARRAY(SELECT jsonb_array_elements_text(m.recipe -> 'key')));
    RETURN format('SELECT empatia._table_key(%s), %I::text FROM %s WHERE $1 IS NULL AND $2 IS NOT NULL',
        empatia._key_sql(ARRAY(SELECT jsonb_array_elements_text(m.recipe -> 'key'))), attribute, m.relation::regclass);
END
$$;
COMMENT ON FUNCTION empatia._groups_sql(empatia.model, text) IS 'query of the key of each student of a model and a value of an attribute, maybe several; $1 is the client, $2 the attribute';

CREATE FUNCTION empatia.fairness(version bigint, attribute text)
RETURNS TABLE (attribute_value text, students bigint, rows double precision, recall double precision, recall_low double precision, recall_high double precision,
    "precision" double precision, precision_low double precision, precision_high double precision,
    selection_rate double precision, selection_low double precision, selection_high double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    m CONSTANT empatia.model := empatia._classifier(version);
    known record;
BEGIN
    IF attribute IS NULL OR attribute = '' THEN
        PERFORM empatia._fail('null_value_not_allowed', 'expected the name of an attribute of students, found nothing');
    END IF;
    EXECUTE format('SELECT array_agg(g.student) AS students, array_agg(g.value) AS groups FROM (
            SELECT v.student, string_agg(DISTINCT v.value, '', '') AS value FROM (%s) v (student, value) WHERE v.student IS NOT NULL AND v.value IS NOT NULL GROUP BY 1) g',
            empatia._groups_sql(m, attribute)) INTO known USING m.client_id, attribute;
    IF known.students IS NULL THEN
        PERFORM empatia._fail('invalid_parameter_value', format('no student has an attribute "%s"', attribute), CASE WHEN m.relation IS NULL THEN
            'The attributes are the keys of the column attributes of the tables student and enrolment.' ELSE 'The column is empty.' END);
    END IF;
    RETURN QUERY SELECT * FROM empatia._fairness(empatia._evaluation(version), known.students, known.groups);
END
$$;
COMMENT ON FUNCTION empatia.fairness(bigint, text) IS 'recall, precision and share called positive per group of an attribute of students or enrolments, or of a column of the table, out of fold, with 95 % Wilson intervals; students without it are left out';
