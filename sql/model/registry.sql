-- The registry of classifiers: which one is in use where, and since when.

CREATE TYPE empatia.deploy_row AS (deployment_id bigint, level text, grain text, client text, version bigint, previous_version bigint, action text, message text);
COMMENT ON TYPE empatia.deploy_row IS 'what deploy() or rollback() put into use; version null: no classifier, the segments are the classes';

CREATE FUNCTION empatia._classifier(version bigint) RETURNS empatia.model
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    m empatia.model;
    known text;
BEGIN
    SELECT * INTO m FROM empatia.model r WHERE r.version = $1;
    IF NOT FOUND THEN
        SELECT string_agg(r.version::text, ', ' ORDER BY r.version) INTO known
        FROM (SELECT l.version FROM empatia.model l WHERE l.task = 'classification' ORDER BY l.version DESC LIMIT 20) r;
        PERFORM empatia._fail('invalid_parameter_value', format('unknown model version %s', coalesce(version::text, 'null')),
            coalesce('The newest classifiers are ' || known || '.', 'There is no classifier yet: run SELECT * FROM empatia.train(level, grain).'));
    ELSIF m.task <> 'classification' THEN
        PERFORM empatia._fail('wrong_object_type', format('model %s is a segmentation, expected a classifier', version),
            format('SELECT * FROM empatia.segment_profile(%L, %L) describes the segments in use.', m.level, m.grain));
    END IF;
    RETURN m;
END
$$;
COMMENT ON FUNCTION empatia._classifier(bigint) IS 'a classifier of the registry, or an error that names those there are';

-- The last deployment of exactly this client, or of all clients together where client_id is null.
CREATE FUNCTION empatia._deployed(level text, grain text, client_id integer) RETURNS empatia.deployment
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT d.* FROM empatia.deployment d
    WHERE d.level = $1 AND d.grain = $2 AND d.client_id IS NOT DISTINCT FROM $3 ORDER BY d.deployment_id DESC LIMIT 1
$$;
COMMENT ON FUNCTION empatia._deployed(text, text, integer) IS 'the deployment in force for a client, or for all clients together (null)';

CREATE FUNCTION empatia._classifier_for(level text, grain text, client_id integer) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT d.version FROM empatia._deployed($1, $2, $3) d WHERE $3 IS NOT NULL),
                    (SELECT d.version FROM empatia._deployed($1, $2, NULL) d))
$$;
COMMENT ON FUNCTION empatia._classifier_for(text, text, integer) IS 'classifier in use for a client at a level and grain: its own before that of all clients; null: none, the segments are the classes';

-- Held to the end of the transaction from before the present deployment is looked at: the history has an order, and nothing in it came after itself.
CREATE FUNCTION empatia._lock_deployments(name text, level text, grain text, client_id integer) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT pg_advisory_xact_lock(CASE WHEN name IS NOT NULL THEN hashtextextended('empatia.deploy/' || name, 1)
                                      ELSE hashtextextended(concat_ws('/', 'empatia.deploy', level, grain, client_id), 0) END)
$$;
COMMENT ON FUNCTION empatia._lock_deployments(text, text, text, integer) IS 'lets one session at a time change what is in use under a name, or at a level and grain of a client';

CREATE FUNCTION empatia._record_deployment(level text, grain text, client_id integer, version bigint, action text, reason text) RETURNS empatia.deploy_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    done empatia.deploy_row;
BEGIN
    PERFORM empatia._lock_deployments(NULL, level, grain, client_id);
    SELECT d.version INTO done.previous_version FROM empatia._deployed(level, grain, client_id) d;
    INSERT INTO empatia.deployment (level, grain, client_id, version, previous_version, action, reason)
        VALUES (level, grain, client_id, version, done.previous_version, action, reason) RETURNING deployment_id INTO done.deployment_id;
    done.level := level;
    done.grain := grain;
    EXECUTE empatia._render('SELECT c.code FROM {dw}.client c WHERE c.client_id = $1') INTO done.client USING client_id;
    done.version := version;
    done.action := action;
    done.message := format('in use from the next classify(%L, %L) or build on', level, grain);
    RETURN done;
END
$$;
COMMENT ON FUNCTION empatia._record_deployment(text, text, integer, bigint, text, text) IS 'writes a deployment into the history';

CREATE FUNCTION empatia.deploy(version bigint, reason text DEFAULT NULL) RETURNS empatia.deploy_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    m CONSTANT empatia.model := empatia._classifier(version);
    present empatia.deployment;
    done empatia.deploy_row;
BEGIN
    PERFORM empatia._lock_deployments(m.name, m.level, m.grain, m.client_id);
    present := empatia._in_use(m);
    IF present.version = version THEN
        done := (present.deployment_id, m.level, m.grain, m.client, version, present.previous_version, present.action, 'in use already, nothing changed');
        RETURN done;
    END IF;
    IF m.name IS NOT NULL THEN
        RETURN empatia._record_named_deployment(m.name, version, 'deploy', reason);
    END IF;
    RETURN empatia._record_deployment(m.level, m.grain, m.client_id, version, 'deploy', reason);
END
$$;
COMMENT ON FUNCTION empatia.deploy(bigint, text) IS 'puts a classifier into use for its level, grain and client; the history keeps what was in use before';

CREATE FUNCTION empatia.rollback(level text, grain text, client text DEFAULT NULL, reason text DEFAULT NULL) RETURNS empatia.deploy_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id CONSTANT integer := CASE WHEN client IS NOT NULL THEN empatia._client_id(client) END;
    present empatia.deployment;
    came record;
BEGIN
    PERFORM empatia._check_combination(level, grain);
    PERFORM empatia._lock_deployments(NULL, level, grain, id);
    present := empatia._deployed(level, grain, id);
    IF present.version IS NULL THEN
        PERFORM empatia._fail('object_not_in_prerequisite_state',
            format('no classifier is in use for %s x %s%s', coalesce(level, 'null'), coalesce(grain, 'null'), coalesce(' of client "' || client || '"', '')),
            'SELECT * FROM empatia.deployment ORDER BY deployment_id DESC shows the history.');
    END IF;
    -- what was in use before this version came into use, not before the last rollback to it
    SELECT d.previous_version INTO came FROM empatia.deployment d
    WHERE d.level = $1 AND d.grain = $2 AND d.client_id IS NOT DISTINCT FROM id AND d.version = present.version AND d.action <> 'rollback'
    ORDER BY d.deployment_id DESC LIMIT 1;
    RETURN empatia._record_deployment(level, grain, id, came.previous_version, 'rollback', reason);
END
$$;
COMMENT ON FUNCTION empatia.rollback(text, text, text, text) IS 'puts into use what was in use before the present classifier; before the first one that are the segments';
