-- What the deployed classifier says of every row of a part of the cube.

-- The name of a class as readers see it.
CREATE FUNCTION empatia._class_label(class text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT t.middle FROM empatia.feature_text t WHERE t.feature = '_class_' || class AND t.language = empatia._setting_value('language')), class)
$$;
COMMENT ON FUNCTION empatia._class_label(text) IS 'what a class of a classifier is called in cubo_engajamento: the text of _class_NAME in empatia.feature_text, else its name';

-- No classifier any more, or none of this extension's: nothing is said of the rows.
-- Only what differs, as with the classes themselves. Classes of classifiers are below zero, ranks of segments are not.
CREATE FUNCTION empatia._write_labels(client_id integer, level text, grain text, below_zero boolean, classes smallint[], labels text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE empatia._render('DELETE FROM {results}.cube_label l WHERE (l.client_id, l.level, l.grain) = ($1, $2, $3) AND (l.class < 0) = $4
            AND NOT EXISTS (SELECT FROM unnest($5, $6) w (class, label) WHERE (w.class, w.label) = (l.class, l.label))')
        USING client_id, level, grain, below_zero, classes, labels;
    EXECUTE empatia._render('INSERT INTO {results}.cube_label (client_id, level, grain, class, label)
            SELECT $1, $2, $3, w.class, w.label FROM unnest($4, $5) w (class, label)
            WHERE NOT EXISTS (SELECT FROM {results}.cube_label l WHERE (l.client_id, l.level, l.grain, l.class) = ($1, $2, $3, w.class))')
        USING client_id, level, grain, classes, labels;
END
$$;
COMMENT ON FUNCTION empatia._write_labels(integer, text, text, boolean, smallint[], text[]) IS 'what the classes of one level and grain of a client are called, those of a classifier or those of the segments';

CREATE FUNCTION empatia._forget_predictions(client_id integer, level text, grain text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part CONSTANT text := lower(format('_%s_%s', level, grain));
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['cube_prediction', 'cube_prediction_default'] LOOP
        EXECUTE empatia._render('DELETE FROM {results}.{leaf} p WHERE p.client_id = $1', 'leaf', quote_ident(relation || part)) USING client_id;
    END LOOP;
    FOREACH relation IN ARRAY ARRAY['cube_reason', 'cube_prediction_unit'] LOOP
        EXECUTE empatia._render('DELETE FROM {results}.{relation} p WHERE (p.client_id, p.level, p.grain) = ($1, $2, $3)', 'relation', relation) USING client_id, level, grain;
    END LOOP;
    EXECUTE empatia._render('DELETE FROM {results}.cube_label l WHERE (l.client_id, l.level, l.grain) = ($1, $2, $3) AND l.class < 0') USING client_id, level, grain;
    EXECUTE empatia._render('UPDATE {results}.cube_build b SET classifier_version = NULL WHERE (b.client_id, b.level, b.grain) = ($1, $2, $3) AND b.classifier_version IS NOT NULL')
        USING client_id, level, grain;
END
$$;
COMMENT ON FUNCTION empatia._forget_predictions(integer, text, text) IS 'deletes the predictions of one level and grain of a client';

-- trusting: predictions of the same classifier are believed where the rows that they were made from are the same.
CREATE FUNCTION empatia._predict_part(client_id integer, level text, grain text, trusting boolean, OUT version bigint, OUT written_rows bigint, OUT seconds double precision)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = error AS $$
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
    w CONSTANT empatia.warehouse := empatia._warehouse();
    bytes bytea;
    present bigint;
    found record;
    classes smallint[];
    labels text[];
BEGIN
    written_rows := 0;
    seconds := 0;
    version := empatia._classifier_for(level, grain, client_id);
    IF version IS NULL THEN
        PERFORM empatia._forget_predictions(client_id, level, grain);
        RETURN;
    END IF;
    SELECT m.encoded INTO bytes FROM empatia.model m WHERE m.version = _predict_part.version;
    EXECUTE empatia._render('SELECT b.classifier_version FROM {results}.cube_build b WHERE (b.client_id, b.level, b.grain) = ($1, $2, $3)') INTO present USING client_id, level, grain;
    SELECT * INTO found FROM empatia._classify_with(client_id, w.results_schema::text, level, grain, bytes, trusting AND coalesce(present = version, false));
    written_rows := found.written_rows;
    SELECT array_agg(-c.place), array_agg(empatia._class_label(c.class)) INTO classes, labels FROM unnest(found.classes) WITH ORDINALITY c (class, place);
    PERFORM empatia._write_labels(client_id, level, grain, true, classes, labels);
    EXECUTE empatia._render('UPDATE {results}.cube_build b SET classifier_version = $4, classified_at = clock_timestamp() WHERE (b.client_id, b.level, b.grain) = ($1, $2, $3)')
        USING client_id, level, grain, version;
    seconds := extract(epoch FROM clock_timestamp() - began);
END
$$;
COMMENT ON FUNCTION empatia._predict_part(integer, text, text, boolean) IS 'predictions of the deployed classifier for one level and grain of a client, none where there is no classifier; returns its version and the rows written';

-- As _analyze_cube(): statistics of the whole when it has doubled, of a part when it is another by a tenth.
CREATE FUNCTION empatia._analyze_predictions(parts text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = error AS $$
DECLARE
    parent text;
    part text;
    relation regclass;
    keys text;
    outgrown boolean;
BEGIN
    FOREACH parent IN ARRAY ARRAY['cube_prediction', 'cube_prediction_default'] LOOP
        keys := CASE parent WHEN 'cube_prediction' THEN '(client_id, level, grain, user_id, unit_id, period_start)'
                            ELSE '(client_id, level, grain, unit_id, period_start, assigned_exercises)' END;
        relation := to_regclass(empatia._render('{results}.') || quote_ident(parent));
        -- pages tell at once what was written; a page holds about 70 rows
        SELECT p.reltuples < 0 OR (SELECT sum(pg_relation_size(t.relid)) / 8192 * 70 FROM pg_partition_tree(relation) t WHERE t.isleaf) > 2 * p.reltuples
        INTO outgrown FROM pg_class p WHERE p.oid = relation;
        IF outgrown THEN
            EXECUTE format('ANALYZE (SKIP_LOCKED) %s %s', relation, keys);
            CONTINUE;
        END IF;
        FOREACH part IN ARRAY parts LOOP
            relation := to_regclass(empatia._render('{results}.') || quote_ident(parent || part));
            IF empatia._needs_analyze(relation, pg_relation_size(relation) / 8192 * 70) THEN
                EXECUTE format('ANALYZE (SKIP_LOCKED) %s %s', relation, keys);
            END IF;
        END LOOP;
    END LOOP;
    relation := to_regclass(empatia._render('{results}.cube_reason'));
    IF empatia._needs_analyze(relation, pg_relation_size(relation) / 8192 * 80) THEN
        EXECUTE format('ANALYZE (SKIP_LOCKED) %s', relation);
    END IF;
END
$$;
COMMENT ON FUNCTION empatia._analyze_predictions(text[]) IS 'statistics for the joins of the view cubo_engajamento, after predictions of some parts of the cube were written';
