-- run_pipeline(): load, build, segment, classify. Commits after every step, so that finished work survives a failure of the next and
-- other sessions see the progress in empatia.run_step.

-- One run at a time in this database. A session lock: transactions come and go while the run goes on.
CREATE FUNCTION empatia._pipeline_key() RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$ SELECT hashtextextended('empatia.run_pipeline', 0) $$;
COMMENT ON FUNCTION empatia._pipeline_key() IS 'advisory lock of run_pipeline()';

CREATE FUNCTION empatia._begin_run(arguments jsonb) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id bigint;
    busy record;
BEGIN
    -- a run of this very session that was cancelled between two steps has left its lock behind
    WHILE EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.pid = pg_backend_pid() AND l.objsubid = 1
                  AND ((l.classid::bigint << 32) | l.objid::bigint) = empatia._pipeline_key() AND l.granted) LOOP
        PERFORM pg_advisory_unlock(empatia._pipeline_key());
    END LOOP;
    IF NOT pg_try_advisory_lock(empatia._pipeline_key()) THEN
        SELECT r.run_id, r.pid, r.started_at INTO busy FROM empatia.run r WHERE r.status = 'running' ORDER BY r.run_id DESC LIMIT 1;
        PERFORM empatia._fail('lock_not_available', 'the pipeline is running already',
            'Follow it with SELECT * FROM empatia.run_step ORDER BY run_id DESC, step.',
            format('run %s of process %s, started at %s', busy.run_id, busy.pid, busy.started_at));
    END IF;
    -- who holds the lock is alone: what still says running belongs to a session that died
    UPDATE empatia.run SET status = 'failed', finished_at = clock_timestamp(), error = 'the session ended before the run did' WHERE status = 'running';
    UPDATE empatia.run_step SET status = 'failed', finished_at = clock_timestamp(), error = 'the session ended before the step did' WHERE status = 'running';
    INSERT INTO empatia.run (arguments) VALUES (arguments) RETURNING run_id INTO id;
    RETURN id;
END
$$;
COMMENT ON FUNCTION empatia._begin_run(jsonb) IS 'takes the lock of the pipeline and starts a run';

CREATE FUNCTION empatia._do_step(action text, client text, level text, grain text, retrain boolean) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    total bigint;
BEGIN
    CASE action
        WHEN 'load' THEN
            SELECT sum(l.read) INTO total FROM empatia.load(client) l;
        WHEN 'build' THEN
            SELECT sum(b.stored_rows) INTO total FROM empatia.build_cube(client => client) b;
        WHEN 'segment' THEN
            SELECT count(*) INTO total FROM empatia.kmeans_segments(level, grain) s;
        WHEN 'classify' THEN
            SELECT sum(c.written_rows) INTO total FROM empatia.classify(level, grain) c;
    END CASE;
    RETURN total;
END
$$;
COMMENT ON FUNCTION empatia._do_step(text, text, text, text, boolean) IS 'one step of the pipeline; returns its rows';

CREATE FUNCTION empatia._plan_run(retrain boolean) RETURNS TABLE (step integer, action text, client text, level text, grain text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY EXECUTE empatia._render($q$
        SELECT row_number() OVER (ORDER BY s.place, s.client_id, s.level_place, s.grain_place, s.action DESC)::integer, s.action, s.client, s.level, s.grain
        FROM (
            SELECT 1 AS place, c.client_id, 0 AS level_place, 0 AS grain_place, 'load' AS action, c.code AS client, NULL::text AS level, NULL::text AS grain
            FROM {dw}.client c WHERE EXISTS (SELECT FROM empatia.source s WHERE s.client_id = c.client_id)
            UNION ALL
            SELECT 2, c.client_id, 0, 0, 'build', c.code, NULL, NULL FROM {dw}.client c
            UNION ALL
            SELECT 3, 0, array_position(empatia._levels(), p.level), array_position(empatia._grains(), p.grain), a.action, NULL, p.level, p.grain
            FROM empatia.pipeline p, unnest(ARRAY['segment', 'classify']) a (action)
            WHERE p.active AND (a.action = 'classify' OR $1 OR NOT EXISTS (SELECT FROM empatia.model m WHERE m.level = p.level AND m.grain = p.grain
                                                                           AND m.target = 'segment' AND m.client_id IS NULL))) s $q$)
    USING retrain;
END
$$;
COMMENT ON FUNCTION empatia._plan_run(boolean) IS 'steps of a run: load and build each client, then segment (where there is no model, or on retrain) and classify each active combination';

CREATE PROCEDURE empatia.run_pipeline(retrain boolean DEFAULT false)
LANGUAGE plpgsql AS $$
DECLARE
    id bigint;
    part record;
    began timestamptz;
    total bigint;
    failed integer := 0;
    problem text;
    state text;
    plan record;
BEGIN
    -- a procedure that commits cannot have a SET clause; a local setting ends with each transaction
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    PERFORM empatia._warehouse();
    id := empatia._begin_run(pg_catalog.jsonb_build_object('retrain', retrain));
    FOR part IN SELECT * FROM empatia._plan_run(retrain) LOOP
        COMMIT;
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        began := clock_timestamp();
        INSERT INTO empatia.run_step (run_id, step, action, client, level, grain) VALUES (id, part.step, part.action, part.client, part.level, part.grain);
        COMMIT;
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        state := NULL;
        BEGIN
            total := empatia._do_step(part.action, part.client, part.level, part.grain, retrain);
        EXCEPTION
            WHEN query_canceled THEN
                state := 'cancelled';
                problem := 'cancelled';
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT;
                state := 'failed';
                failed := failed + 1;
        END;
        UPDATE empatia.run_step s SET status = coalesce(state, 'done'), finished_at = clock_timestamp(), rows = CASE WHEN state IS NULL THEN total END,
            seconds = extract(epoch FROM clock_timestamp() - began), error = CASE WHEN state IS NOT NULL THEN problem END
        WHERE s.run_id = id AND s.step = part.step;
        EXIT WHEN state = 'cancelled';
    END LOOP;
    UPDATE empatia.run r SET finished_at = clock_timestamp(), status = CASE WHEN state = 'cancelled' THEN 'cancelled' WHEN failed > 0 THEN 'failed' ELSE 'done' END,
        error = CASE WHEN failed > 0 THEN failed || ' of the steps failed; the last said: ' || problem END
    WHERE r.run_id = id;
    PERFORM pg_catalog.pg_advisory_unlock(empatia._pipeline_key());
    COMMIT;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF state = 'cancelled' THEN
        PERFORM empatia._fail('query_canceled', 'the pipeline was cancelled; what it had committed stays');
    ELSIF failed > 0 THEN
        PERFORM empatia._fail('external_routine_exception', format('%s of the pipeline''s steps failed; the last said: %s', failed, problem),
            format('SELECT * FROM empatia.run_step WHERE run_id = %s AND status = ''failed'' shows them all; the others are done.', id));
    END IF;
END
$$;
COMMENT ON PROCEDURE empatia.run_pipeline(boolean) IS
    'load, build, segment where there is no model yet (or retrain => true), classify; commits step by step, a failing step does not stop the others';
