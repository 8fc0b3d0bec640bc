-- model_card(): what somebody who has to trust a classifier should read first (after Mitchell et al. 2019, Model Cards for Model Reporting).

CREATE FUNCTION empatia._number(value double precision, digits integer DEFAULT 3) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$ SELECT coalesce(round(value::numeric, digits)::text, '–') $$;
COMMENT ON FUNCTION empatia._number(double precision, integer) IS 'a number for readers; a dash for null';

-- as the language writes them
CREATE FUNCTION empatia._card_number(language text, value double precision, digits integer DEFAULT 3) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE language WHEN 'pt' THEN replace(empatia._number(value, digits), '.', ',') ELSE empatia._number(value, digits) END
$$;
COMMENT ON FUNCTION empatia._card_number(text, double precision, integer) IS 'a number of a model card, with the decimal mark of its language; a dash for null';

-- What a score would be without a model: everybody gets the shares of the classes. Null where that is no number, or depends on how ties are counted.
CREATE FUNCTION empatia._score_without_model(metric text, classes jsonb, positive text) RETURNS double precision
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE metric
        WHEN 'auc' THEN 0.5
        WHEN 'accuracy' THEN max(s.share)
        WHEN 'balanced_accuracy' THEN 1.0 / count(*)
        WHEN 'log_loss' THEN -sum(s.share * ln(s.share))
        WHEN 'brier' THEN CASE count(*) WHEN 2 THEN min(s.share) * max(s.share) END
        WHEN 'average_precision' THEN CASE count(*) WHEN 2 THEN max(s.share) FILTER (WHERE s.class = positive) END
        END
    FROM (SELECT c.class, c.weight / sum(c.weight) OVER () AS share FROM jsonb_to_recordset(classes) AS c (class text, weight double precision) WHERE c.weight > 0) s
$$;
COMMENT ON FUNCTION empatia._score_without_model(text, jsonb, text) IS 'the score of saying the shares of the classes of everybody; null where there is none';

CREATE FUNCTION empatia._card_text(language text, key text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE language WHEN 'pt' THEN t.pt ELSE t.en END FROM (VALUES
        ('title', 'Ficha do modelo', 'Model card'),
        ('what', 'O que prevê', 'What it predicts'),
        ('label', 'a classe que pessoas deram a alunos', 'the class that people gave to students'),
        ('segment', 'o segmento (K-Means) da linha do cubo: concordar com ele não é acertar', 'the segment (K-Means) of the cube''s row: to agree with it is not to be right'),
        ('outcome', 'o resultado final da matrícula, a partir de uma janela inicial', 'the final result of the enrolment, from an early window'),
        ('inactive_next', 'se o aluno fica sem nenhuma atividade nos próximos períodos', 'whether the student will do nothing in the coming periods'),
        ('imported', 'o que diz um modelo feito noutro lugar; dos seus dados nada se sabe aqui', 'what a model made elsewhere says; nothing is known here of its data'),
        ('classes', 'Classes', 'Classes'), ('data', 'Dados', 'Data'), ('rows', 'linhas do cubo', 'rows of the cube'), ('distinct', 'distintas', 'distinct'),
        ('students', 'alunos', 'students'), ('periods', 'períodos', 'periods'), ('client', 'cliente', 'client'), ('all', 'todos', 'all'),
        ('scores', 'Qualidade, em linhas que o modelo não viu', 'Quality, on rows that the model has not seen'),
        ('split', 'divisão', 'split'), ('metric', 'medida', 'metric'), ('pooled', 'valor', 'value'), ('sd', 'desvio entre partes', 'sd over folds'),
        ('without', 'sem modelo', 'without a model'), ('without_note', 'Sem modelo: todos com as proporções das classes.', 'Without a model: everybody with the shares of the classes.'),
        ('folds', 'partes', 'folds'), ('settings', 'Definição', 'Settings'), ('calls', 'chama', 'calls'), ('of_all', 'de todas as linhas', 'of all rows'),
        ('threshold', 'Limiar', 'Threshold'), ('called', 'chamado de', 'called'), ('from', 'a partir de', 'from'),
        ('recall', 'encontra', 'finds'), ('of_them', 'dos casos', 'of the cases'), ('precision', 'dos chamados, são mesmo', 'of those called, really are'),
        ('features', 'O que mais pesa', 'What weighs most'), ('importance', 'SHAP médio, sem sinal', 'mean absolute SHAP'), ('permutation', 'perda ao embaralhar', 'loss when shuffled'),
        ('feature', 'atributo', 'feature'), ('of_features', 'atributos no total; os mais fortes', 'features in all; the strongest'),
        ('personal', 'Usa o que a pessoa é ou declarou, além do que fez: %s. Isso pode repetir desigualdades; compare os grupos.', 'Uses what people are or have declared, besides what they did: %s. That may repeat inequalities; compare the groups.'),
        ('ahead', 'Conta também o que acontece depois do período: %s.', 'Counts what happens after the period, too: %s.'),
        ('calibration', 'Probabilidades', 'Probabilities'), ('calibrated', 'calibradas por', 'calibrated by'), ('as_is', 'não calibradas: calibrar não diminuiu o Brier', 'as the algorithm gives them: calibrating did not lower the Brier score'),
        ('limits', 'Limites', 'Limits'),
        ('limit1', 'Uma previsão é um convite a olhar, não um veredito: decida com quem conhece o aluno.', 'A prediction is an invitation to look, not a verdict: decide with those who know the student.'),
        ('limit2', 'Vale para alunos e períodos parecidos com os do treino; quando a plataforma ou o calendário mudam, treine de novo.', 'It holds for students and periods like those of the training; when the platform or the calendar changes, train again.'),
        ('limit3', 'Antes de usar, compare grupos com `empatia.fairness(%s, atributo)`.', 'Before use, compare groups with `empatia.fairness(%s, attribute)`.'),
        ('limit4', 'As classes são os segmentos: os números dizem o quanto o modelo os imita, não se estão certos.', 'The classes are the segments: the numbers say how well the model imitates them, not whether they are right.'),
        ('made', 'Como foi feito', 'How it was made')) t (key, pt, en)
    WHERE t.key = $2
$$;
COMMENT ON FUNCTION empatia._card_text(text, text) IS 'the words of a model card';

CREATE FUNCTION empatia.model_card(version bigint, language text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    m CONSTANT empatia.model := empatia._classifier(version);
    l CONSTANT text := coalesce(language, empatia._setting_value('language'), 'pt');
    lines text[];
    method CONSTANT text := m.report #>> '{calibration,method}';
    -- what a course is, and when somebody enrolled, is not the person
    personal CONSTANT text[] := ARRAY(SELECT a FROM jsonb_array_elements_text(coalesce(m.report #> '{recipe,attributes}', '[]')) a WHERE a <> ALL (ARRAY['course', 'enrolled_days']));
    ahead CONSTANT text[] := ARRAY(SELECT jsonb_array_elements_text(coalesce(m.report #> '{cube,looking_ahead}', '[]')));
BEGIN
    IF l <> ALL (ARRAY['pt', 'en']) THEN
        PERFORM empatia._fail('invalid_parameter_value', format('unknown language "%s"', l), 'The languages are pt and en.');
    END IF;
    lines := ARRAY[
        format('# %s %s: %s', empatia._card_text(l, 'title'), m.version, coalesce(m.name, m.level || ' x ' || m.grain)), '',
        format('**%s**: %s.', empatia._card_text(l, 'what'), coalesce(empatia._card_text(l, m.target), '`' || m.target || '`')),
        format('**%s**: %s.', empatia._card_text(l, 'classes'), coalesce(
            (SELECT string_agg(format('%s (%s, %s %%)', c.class, c.weight, empatia._card_number(l, 100 * c.weight / t.weight, 1)), ', ' ORDER BY c.place)
             FROM (SELECT sum(a.weight) AS weight FROM jsonb_to_recordset(m.report -> 'classes') AS a (weight double precision)) t,
                  ROWS FROM (jsonb_to_recordset(m.report -> 'classes') AS (class text, weight double precision)) WITH ORDINALITY c (class, weight, place)), array_to_string(m.classes, ', '))), '',
        format('## %s', empatia._card_text(l, 'data')),
        format('* %s: %s', empatia._card_text(l, 'client'), coalesce(m.client, empatia._card_text(l, 'all'))),
        format('* %s: %s – %s', empatia._card_text(l, 'periods'), coalesce(m.date_from::text, '?'), coalesce(m.date_to::text, '?')),
        format('* %s %s (%s %s), %s %s', m.rows, empatia._card_text(l, 'rows'), m.distinct_rows, empatia._card_text(l, 'distinct'), coalesce(m.students::text, '?'), empatia._card_text(l, 'students')), '',
        format('## %s', empatia._card_text(l, 'scores')),
        format('%s: %s%s', empatia._card_text(l, 'split'), m.parameters ->> 'split', coalesce(format(', %s %s', jsonb_array_length(m.report -> 'folds'), empatia._card_text(l, 'folds')), '')), '',
        format('| %s | %s | %s | %s |', empatia._card_text(l, 'metric'), empatia._card_text(l, 'pooled'), empatia._card_text(l, 'sd'), empatia._card_text(l, 'without')), '|---|---|---|---|'];
    lines := lines || ARRAY(SELECT format('| %s | %s | %s | %s |', e.metric, empatia._card_number(l, e.value), empatia._card_number(l, e.fold_sd),
            empatia._card_number(l, empatia._score_without_model(e.metric, m.report -> 'classes', m.positive))) FROM empatia.evaluate(version) e)
        || ARRAY['', empatia._card_text(l, 'without_note')];
    IF m.threshold IS NOT NULL THEN
        lines := lines || ARRAY['', format('**%s**: %s *%s* %s %s; %s %s %% %s; %s %s %%; %s %s %% %s.', empatia._card_text(l, 'threshold'), empatia._card_text(l, 'called'), m.positive,
            empatia._card_text(l, 'from'), empatia._card_number(l, m.threshold), empatia._card_text(l, 'recall'), empatia._card_number(l, 100 * (m.report #>> '{threshold,recall}')::double precision, 1),
            empatia._card_text(l, 'of_them'), empatia._card_text(l, 'precision'), empatia._card_number(l, 100 * (m.report #>> '{threshold,precision}')::double precision, 1),
            empatia._card_text(l, 'calls'), empatia._card_number(l, 100 * (m.report #>> '{threshold,selection_rate}')::double precision, 1), empatia._card_text(l, 'of_all'))];
    END IF;
    lines := lines || ARRAY['', format('**%s**: %s.', empatia._card_text(l, 'calibration'),
            CASE WHEN method IS NULL THEN empatia._card_text(l, 'as_is') ELSE empatia._card_text(l, 'calibrated') || ' ' || method END), '',
        format('## %s', empatia._card_text(l, 'features')), format('%s %s:', cardinality(m.features), empatia._card_text(l, 'of_features')), '',
        format('| %s | %s | %s |', empatia._card_text(l, 'feature'), empatia._card_text(l, 'importance'), empatia._card_text(l, 'permutation')), '|---|---|---|'];
    lines := lines || ARRAY(SELECT format('| %s | %s | %s |', i.feature, empatia._card_number(l, i.mean_abs_shap, 4), empatia._card_number(l, i.permutation, 4)) FROM empatia.feature_importance(version) i LIMIT 10);
    lines := lines || ARRAY['', format('## %s', empatia._card_text(l, 'limits')), '* ' || empatia._card_text(l, 'limit1'), '* ' || empatia._card_text(l, 'limit2'),
            '* ' || format(empatia._card_text(l, 'limit3'), version)]
        || CASE WHEN cardinality(personal) > 0 THEN ARRAY['* ' || format(empatia._card_text(l, 'personal'), array_to_string(personal, ', '))] ELSE '{}' END
        || CASE WHEN cardinality(ahead) > 0 THEN ARRAY['* ' || format(empatia._card_text(l, 'ahead'), array_to_string(ahead, ', '))] ELSE '{}' END
        || CASE WHEN m.target = 'segment' THEN ARRAY['* ' || empatia._card_text(l, 'limit4')] ELSE '{}' END
        || ARRAY['', format('## %s', empatia._card_text(l, 'made')), format('%s, seed %s, %s s, Empatia %s, %s, %s, md5 %s', m.algorithm, m.seed, empatia._card_number(l, m.seconds, 1),
            m.extension_version, m.created_by, to_char(m.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), m.fingerprint)]
        || CASE WHEN m.parameters -> 'options' <> '{}' THEN ARRAY['', format('%s: `%s`', empatia._card_text(l, 'settings'), m.parameters -> 'options')] ELSE '{}' END
        || ARRAY(SELECT E'\n' || format('%s: `%s`', p.key, p.value - 'seed') FROM jsonb_each(m.report -> 'parameters') p WHERE jsonb_typeof(p.value) = 'object') || ARRAY[''];
    RETURN array_to_string(lines, E'\n');
END
$$;
COMMENT ON FUNCTION empatia.model_card(bigint, text) IS 'a classifier described for people, in Markdown: what it predicts, data, quality, threshold, strongest features, limits; language pt or en, null: the setting';
