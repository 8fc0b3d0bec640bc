-- schedule_drift(): check_drift() by pg_cron, where that is installed.

CREATE FUNCTION empatia.schedule_drift(model text DEFAULT NULL, cron text DEFAULT '0 6 * * 1', retrain boolean DEFAULT false, since interval DEFAULT '30 days', job_name text DEFAULT 'empatia_drift')
RETURNS TABLE (job_id bigint, job text, schedule text, command text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET intervalstyle = postgres AS $$
BEGIN
    PERFORM empatia._require_cron();
    PERFORM empatia._warehouse();
    IF cron IS NULL OR retrain IS NULL OR since IS NULL OR coalesce(job_name, '') = '' THEN
        PERFORM empatia._fail('null_value_not_allowed', 'schedule_drift() needs a schedule, a yes or no to retraining, a range of time and a job name', 'Leave them out to get their defaults.');
    ELSIF since <= interval '0' THEN
        PERFORM empatia._fail('invalid_parameter_value', format('since must be more than nothing, not %s', since), 'It says how far back recorded predictions are compared, for example interval ''30 days''.');
    ELSIF model IS NOT NULL THEN
        PERFORM empatia._table_model(model); -- a name that is unknown tonight would fail tonight
    END IF;
    job := job_name;
    schedule := cron;
    command := format('SELECT * FROM empatia.check_drift(%s)', concat_ws(', ', 'model => ' || quote_literal(model), 'since => ' || quote_literal(since), CASE WHEN retrain THEN 'retrain => true' END));
    EXECUTE 'SELECT cron.schedule($1, $2, $3)' INTO job_id USING job_name, cron, command;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION empatia.schedule_drift(text, text, boolean, interval, text) IS
    'has pg_cron write the drift of a model of a table, or of all, into drift_history and retrain what has shifted where asked to (default: Mondays at 6:00, the server''s time); unschedule(job_name) removes it';
