-- Models of tables in the registry: they have a name where those of the cube have a level and a grain.

CREATE FUNCTION empatia._deployed_named(name text) RETURNS empatia.deployment
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT d.* FROM empatia.deployment d WHERE d.name = $1 ORDER BY d.deployment_id DESC LIMIT 1
$$;
COMMENT ON FUNCTION empatia._deployed_named(text) IS 'the deployment in force for a model of a table';

CREATE FUNCTION empatia._in_use(model empatia.model) RETURNS empatia.deployment
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF model.name IS NOT NULL THEN
        RETURN empatia._deployed_named(model.name);
    END IF;
    RETURN empatia._deployed(model.level, model.grain, model.client_id);
END
$$;
COMMENT ON FUNCTION empatia._in_use(empatia.model) IS 'the deployment in force where a model would be used';

CREATE FUNCTION empatia._record_named_deployment(name text, version bigint, action text, reason text) RETURNS empatia.deploy_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    done empatia.deploy_row;
BEGIN
    PERFORM empatia._lock_deployments(name, NULL, NULL, NULL);
    SELECT d.version INTO done.previous_version FROM empatia._deployed_named(name) d;
    INSERT INTO empatia.deployment (name, version, previous_version, action, reason)
        VALUES (name, version, done.previous_version, action, reason) RETURNING deployment_id INTO done.deployment_id;
    done.version := version;
    done.action := action;
    done.message := format('in use from the next predict(%L, ...) on', name);
    RETURN done;
END
$$;
COMMENT ON FUNCTION empatia._record_named_deployment(text, bigint, text, text) IS 'writes a deployment of a model of a table into the history';

CREATE FUNCTION empatia.rollback(model text) RETURNS empatia.deploy_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    present empatia.deployment;
    came bigint;
BEGIN
    PERFORM empatia._lock_deployments(model, NULL, NULL, NULL);
    present := empatia._deployed_named(model);
    IF present.version IS NULL THEN
        PERFORM empatia._fail('object_not_in_prerequisite_state', format('no model "%s" is in use', coalesce(model, 'null')),
            'SELECT * FROM empatia.deployment ORDER BY deployment_id DESC shows the history.');
    END IF;
    -- what was in use before this version came into use, not before the last rollback to it
    SELECT d.previous_version INTO came FROM empatia.deployment d
    WHERE d.name = model AND d.version = present.version AND d.action <> 'rollback' ORDER BY d.deployment_id DESC LIMIT 1;
    IF came IS NULL THEN
        PERFORM empatia._fail('object_not_in_prerequisite_state', format('version %s of model "%s" was the first in use', present.version, model), 'deploy(version) puts another one into use.');
    END IF;
    RETURN empatia._record_named_deployment(model, came, 'rollback', NULL);
END
$$;
COMMENT ON FUNCTION empatia.rollback(text) IS 'puts into use the version of a model of a table that was in use before the present one';

-- A name, or a version as text; of a name the version in use, else the newest.
CREATE FUNCTION empatia._table_model(model text) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found bigint;
    known text;
BEGIN
    -- as _deployed_named() has it, in a statement whose plan is kept: every prediction comes by here
    SELECT d.version INTO found FROM empatia.deployment d WHERE d.name = model ORDER BY d.deployment_id DESC LIMIT 1;
    IF found IS NULL THEN
        SELECT m.version INTO found FROM empatia.model m WHERE m.name = model ORDER BY m.version DESC LIMIT 1;
    END IF;
    IF found IS NULL AND model ~ '^\d{1,18}$' THEN
        SELECT m.version INTO found FROM empatia.model m WHERE m.version = model::bigint AND m.name IS NOT NULL;
    END IF;
    IF found IS NULL THEN
        SELECT string_agg(DISTINCT m.name, ', ') INTO known FROM empatia.model m WHERE m.name IS NOT NULL;
        PERFORM empatia._fail('undefined_object', format('model %s does not exist', coalesce('"' || model || '"', 'null')),
            coalesce('The models of tables are ' || known || '.', 'There is none yet: run SELECT * FROM empatia.train_table(name, relation, target).'));
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION empatia._table_model(text) IS 'version of a model of a table: the one in use of that name, else its newest, else the version named; or an error that names those there are';
