-- The role of the HTTP service: enough for its five calls, nothing else.

CREATE FUNCTION empatia.grant_service(role_name name) RETURNS TABLE (granted text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    w CONSTANT empatia.warehouse := empatia._warehouse();
BEGIN
    IF role_name IS NULL OR to_regrole(quote_ident(role_name)) IS NULL THEN
        PERFORM empatia._fail('undefined_object', format('role %s does not exist', coalesce(quote_ident(role_name), 'null')), 'CREATE ROLE empatia_http LOGIN.');
    END IF;
    FOREACH granted IN ARRAY ARRAY[
        'empatia_reader',
        format('USAGE ON SCHEMA %I, %I', w.dw_schema, w.results_schema),
        format('SELECT ON %1$I.client, %1$I.reject, %2$I.cube_build, %2$I.drift_history', w.dw_schema, w.results_schema),
        format('SELECT, INSERT ON %I.prediction', w.results_schema),
        -- a call in a thousand counts the others
        format('SELECT, INSERT, UPDATE ON %I.prediction_tally', w.results_schema),
        format('SELECT, UPDATE ON %I.prediction_watermark', w.results_schema)] LOOP
        EXECUTE format('GRANT %s TO %I', granted, role_name);
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION empatia.grant_service(name) IS 'grants a role what the HTTP service needs: to read the registry and the state of the cube, to predict and to record predictions; no student''s row';
