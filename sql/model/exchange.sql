-- Models in and out: as one checksummed value with everything the registry knows.

CREATE FUNCTION empatia.export_model(version bigint, format text DEFAULT 'empatia') RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    m CONSTANT empatia.model := empatia._classifier(version);
BEGIN
    CASE export_model.format
        WHEN 'empatia' THEN
            RETURN empatia._pack_model(to_jsonb(m) - '{encoded,evaluation,version,client_id}'::text[], m.encoded, m.evaluation);
        ELSE
            PERFORM empatia._fail('invalid_parameter_value', pg_catalog.format('unknown format "%s"', export_model.format), 'The formats are empatia.');
    END CASE;
END
$$;
COMMENT ON FUNCTION empatia.export_model(bigint, text) IS 'a classifier with everything the registry knows of it, as one checksummed value for import_model()';

CREATE TYPE empatia.import_row AS (model_version bigint, level text, grain text, client text, target text, algorithm text, classes text[], message text);
COMMENT ON TYPE empatia.import_row IS 'a model that import_model() has put into the registry; it is in use once deploy() says so';

CREATE FUNCTION empatia.import_model(bytes bytea, level text DEFAULT NULL, grain text DEFAULT NULL, client text DEFAULT NULL) RETURNS empatia.import_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    id CONSTANT integer := CASE WHEN client IS NOT NULL THEN empatia._client_id(client) END;
    packed record;
    m empatia.model;
    done empatia.import_row;
BEGIN
    IF bytes IS NULL THEN
        PERFORM empatia._fail('null_value_not_allowed', 'expected the bytes of a model, found null', 'export_model() makes them.');
    END IF;
    SELECT * INTO packed FROM empatia._unpack_model(bytes);
    m := jsonb_populate_record(NULL::empatia.model, packed.registry);
    m.level := coalesce(level, m.level);
    m.grain := coalesce(grain, m.grain);
    PERFORM empatia._check_combination(m.level, m.grain);
    INSERT INTO empatia.model (level, grain, client_id, client, task, algorithm, target, features, parameters, metrics, date_from, date_to, rows, distinct_rows, seconds,
                               seed, fingerprint, extension_version, classes, positive, threshold, students, recipe, report, encoded, evaluation)
    VALUES (m.level, m.grain, id, client, 'classification', m.algorithm, m.target, m.features,
            m.parameters || jsonb_build_object('imported', jsonb_build_object('created_at', m.created_at, 'created_by', m.created_by)), m.metrics, m.date_from, m.date_to,
            m.rows, m.distinct_rows, m.seconds, m.seed, m.fingerprint, m.extension_version, packed.classes, m.positive, m.threshold, m.students, m.recipe, m.report,
            packed.encoded, packed.evaluation)
    RETURNING version INTO done.model_version;
    done.level := m.level;
    done.grain := m.grain;
    done.client := client;
    done.target := m.target;
    done.algorithm := m.algorithm;
    done.classes := packed.classes;
    done.message := format('registered: SELECT * FROM empatia.deploy(%s) puts it into use', done.model_version);
    RETURN done;
END
$$;
COMMENT ON FUNCTION empatia.import_model(bytea, text, text, text) IS
    'registers a classifier that export_model() wrote, for its own or another level, grain and client; damaged bytes are refused';
