-- Models in and out: as one checksummed value with everything the registry knows, or as ONNX files.

CREATE FUNCTION empatia.export_model(version bigint, format text DEFAULT 'empatia') RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    m CONSTANT empatia.model := empatia._classifier(version);
BEGIN
    CASE export_model.format
        WHEN 'empatia' THEN
            RETURN empatia._pack_model(to_jsonb(m) - '{encoded,evaluation,version,client_id}'::text[], m.encoded, m.evaluation);
        WHEN 'onnx' THEN
            RETURN empatia._to_onnx(m.encoded);
        ELSE
            PERFORM empatia._fail('invalid_parameter_value', pg_catalog.format('unknown format "%s"', export_model.format), 'The formats are empatia and onnx.');
    END CASE;
END
$$;
COMMENT ON FUNCTION empatia.export_model(bigint, text) IS
    'a classifier as bytes. empatia: with its evaluation and everything the registry knows, for import_model(); onnx: for other programs, one input per feature';

CREATE TYPE empatia.import_row AS (model_version bigint, level text, grain text, client text, target text, algorithm text, classes text[], message text);
COMMENT ON TYPE empatia.import_row IS 'a model that import_model() has put into the registry; it is in use once deploy() says so';

CREATE FUNCTION empatia._import_onnx(bytes bytea, level text, grain text, client text, features jsonb, columns text[], classes text[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id CONSTANT integer := CASE WHEN client IS NOT NULL THEN empatia._client_id(client) END;
    new_version bigint;
BEGIN
    IF level IS NULL OR grain IS NULL THEN
        PERFORM empatia._fail('null_value_not_allowed', 'an ONNX file does not say what it is for: expected a level and a grain, found null',
            'For example import_model(bytes, ''SPA'', ''WEEK'').');
    END IF;
    PERFORM empatia._check_combination(level, grain);
    INSERT INTO empatia.model (level, grain, client_id, client, task, algorithm, target, features, parameters, metrics, rows, distinct_rows, seconds, seed, fingerprint,
                               extension_version, classes, recipe, report, encoded)
    SELECT level, grain, id, client, 'classification', o.algorithm, 'imported', o.features, jsonb_build_object('imported', 'onnx'), '{}', 0, 0, 0, 0, md5(bytes),
           empatia.version(), o.classes, _import_onnx.features, '{}', o.encoded
    FROM empatia._from_onnx(bytes, _import_onnx.features, columns, _import_onnx.classes) o
    RETURNING version INTO new_version;
    RETURN new_version;
END
$$;
COMMENT ON FUNCTION empatia._import_onnx(bytea, text, text, text, jsonb, text[], text[]) IS 'registers a classifier in an ONNX file; returns its version';

CREATE FUNCTION empatia._import_packed(bytes bytea, level text, grain text, client text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id CONSTANT integer := CASE WHEN client IS NOT NULL THEN empatia._client_id(client) END;
    packed record;
    m empatia.model;
    new_version bigint;
BEGIN
    SELECT * INTO packed FROM empatia._unpack_model(bytes);
    IF jsonb_typeof(packed.registry) = 'object' THEN
        m := jsonb_populate_record(NULL::empatia.model, packed.registry);
    END IF;
    -- the checksum says that it arrived as it was sent, not that it is what export_model() writes
    IF num_nulls(m.algorithm, m.target, m.features, m.parameters, m.metrics, m.rows, m.distinct_rows, m.seconds, m.seed, m.fingerprint, m.extension_version) > 0
       OR jsonb_typeof(m.parameters) <> 'object' OR jsonb_typeof(m.metrics) <> 'object' OR jsonb_typeof(m.report) <> 'object'
       OR jsonb_path_exists(m.metrics, '$.*.pooled ? (@.type() != "number" && @.type() != "null")')
       -- a model of a table is a classifier without a recipe of the cube
       OR (m.name IS NOT NULL) <> (substr(packed.encoded, 7, 4) = 'CLSF'::bytea) THEN
        PERFORM empatia._fail('data_corrupted', 'the packed model contradicts its entry in the registry, or the entry is not whole', 'export_model() makes models that can be imported.');
    END IF;
    IF m.name IS NOT NULL AND (level IS NOT NULL OR grain IS NOT NULL OR client IS NOT NULL) THEN
        PERFORM empatia._fail('invalid_parameter_value', format('model "%s" is one of a table: it has no level, grain or client', m.name), 'Leave them out: import_model(bytes).');
    END IF;
    IF m.name IS NULL THEN
        m.level := coalesce(level, m.level);
        m.grain := coalesce(grain, m.grain);
        PERFORM empatia._check_combination(m.level, m.grain);
    END IF;
    INSERT INTO empatia.model (level, grain, client_id, client, name, relation, task, algorithm, target, features, parameters, metrics, date_from, date_to, rows, distinct_rows, seconds,
                               seed, fingerprint, extension_version, classes, positive, threshold, students, recipe, report, encoded, evaluation)
    VALUES (m.level, m.grain, id, client, m.name, m.relation, 'classification', m.algorithm, m.target, m.features,
            m.parameters || jsonb_build_object('imported', jsonb_build_object('created_at', m.created_at, 'created_by', m.created_by)), m.metrics, m.date_from, m.date_to,
            m.rows, m.distinct_rows, m.seconds, m.seed, m.fingerprint, m.extension_version, packed.classes, m.positive, m.threshold, m.students, m.recipe, m.report,
            packed.encoded, packed.evaluation)
    RETURNING version INTO new_version;
    IF m.name IS NOT NULL THEN
        -- its recipe is read only now
        PERFORM FROM empatia._predict(new_version, '{}', 0, 'pt');
    END IF;
    RETURN new_version;
END
$$;
COMMENT ON FUNCTION empatia._import_packed(bytea, text, text, text) IS 'registers a classifier that export_model() wrote; returns its version';

CREATE FUNCTION empatia.import_model(bytes bytea, level text DEFAULT NULL, grain text DEFAULT NULL, client text DEFAULT NULL,
    features jsonb DEFAULT '{}', columns text[] DEFAULT NULL, classes text[] DEFAULT NULL) RETURNS empatia.import_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    m empatia.model;
    done empatia.import_row;
BEGIN
    IF bytes IS NULL OR features IS NULL THEN
        PERFORM empatia._fail('null_value_not_allowed', 'expected the bytes of a model, found null', 'export_model() makes them; an ONNX file serves too.');
    END IF;
    -- what begins otherwise than our own models is taken for ONNX, which has no mark of its own
    done.model_version := CASE WHEN substr(bytes, 1, 4) = 'EMPA'::bytea THEN empatia._import_packed(bytes, level, grain, client)
                               ELSE empatia._import_onnx(bytes, level, grain, client, features, columns, classes) END;
    m := empatia._classifier(done.model_version);
    done.level := m.level;
    done.grain := m.grain;
    done.client := m.client;
    done.target := m.target;
    done.algorithm := m.algorithm;
    done.classes := m.classes;
    done.message := format('registered: SELECT * FROM empatia.deploy(%s) puts it into use', m.version);
    RETURN done;
END
$$;
COMMENT ON FUNCTION empatia.import_model(bytea, text, text, text, jsonb, text[], text[]) IS
    'registers a classifier: what export_model() wrote, for its own or another level, grain and client, or an ONNX file (trees of scikit-learn, LightGBM, XGBoost; logistic regressions) with the recipe of its features';
