-- schedule(): run_pipeline() by pg_cron, where that is installed.

CREATE FUNCTION empatia._require_cron() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') THEN
        PERFORM empatia._fail('object_not_in_prerequisite_state', 'pg_cron is not installed in this database',
            format('Install the package (Debian: apt install postgresql-%s-cron), set shared_preload_libraries = ''pg_cron'' and cron.database_name = %L in postgresql.conf, restart, and run CREATE EXTENSION pg_cron. Or call CALL empatia.run_pipeline() from any other scheduler.',
                   current_setting('server_version_num')::integer / 10000, current_database()));
    END IF;
END
$$;
COMMENT ON FUNCTION empatia._require_cron() IS 'refuses to go on without pg_cron, and says how to install it';

CREATE FUNCTION empatia.schedule(cron text DEFAULT '0 3 * * *', retrain boolean DEFAULT false, job_name text DEFAULT 'empatia')
RETURNS TABLE (job_id bigint, job text, schedule text, command text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM empatia._require_cron();
    PERFORM empatia._warehouse();
    IF cron IS NULL OR coalesce(job_name, '') = '' THEN
        PERFORM empatia._fail('null_value_not_allowed', 'schedule() needs a schedule and a job name', 'Leave them out to get their defaults.');
    END IF;
    job := job_name;
    schedule := cron;
    command := CASE WHEN retrain THEN 'CALL empatia.run_pipeline(retrain => true)' ELSE 'CALL empatia.run_pipeline()' END;
    EXECUTE 'SELECT cron.schedule($1, $2, $3)' INTO job_id USING job_name, cron, command;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION empatia.schedule(text, boolean, text) IS 'has pg_cron run the pipeline (default: daily at 3:00, the server''s time); the same job name replaces the schedule';

CREATE FUNCTION empatia.unschedule(job_name text DEFAULT 'empatia') RETURNS TABLE (job text, removed boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM empatia._require_cron();
    job := job_name;
    EXECUTE 'SELECT EXISTS (SELECT FROM cron.job j WHERE j.jobname = $1 AND j.username = CURRENT_USER)' INTO removed USING job_name;
    IF NOT removed THEN
        PERFORM empatia._fail('undefined_object', format('there is no scheduled job %s', coalesce('"' || job_name || '"', 'null')), 'SELECT * FROM cron.job lists the jobs.');
    END IF;
    EXECUTE 'SELECT cron.unschedule($1)' INTO removed USING job_name;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION empatia.unschedule(text) IS 'removes the job that schedule() made';
