-- run_pipeline(): load, build, segment, train, classify. Commits after every step, so that finished work survives a failure of the next and
-- other sessions see the progress in empatia.run_step.

-- One run at a time in this database. A session lock: transactions come and go while the run goes on.
CREATE FUNCTION empatia._pipeline_key() RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$ SELECT hashtextextended('empatia.run_pipeline', 0) $$;
COMMENT ON FUNCTION empatia._pipeline_key() IS 'advisory lock of run_pipeline()';

-- Whoever holds the lock of the pipeline is alone, so nobody waits for a row of another one.
CREATE FUNCTION empatia._tally_step(ended empatia.run_step) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO empatia.step_tally AS t (action, client, level, grain, done, failed, cancelled, rows, last_success, last_seconds)
    SELECT ended.action, ended.client, ended.level, ended.grain, (ended.status = 'done')::integer, (ended.status = 'failed')::integer, (ended.status = 'cancelled')::integer,
           coalesce(ended.rows, 0), s.finished_at, s.seconds
    FROM (SELECT) one LEFT JOIN (SELECT ended.finished_at, ended.seconds WHERE ended.status = 'done') s ON true
    ON CONFLICT (action, coalesce(client, ''), coalesce(level, ''), coalesce(grain, '')) DO UPDATE
    SET done = t.done + excluded.done, failed = t.failed + excluded.failed, cancelled = t.cancelled + excluded.cancelled, rows = t.rows + excluded.rows,
        last_success = coalesce(excluded.last_success, t.last_success), last_seconds = coalesce(excluded.last_seconds, t.last_seconds)
$$;
COMMENT ON FUNCTION empatia._tally_step(empatia.run_step) IS 'adds a step that ended to step_tally';

CREATE FUNCTION empatia._begin_run(arguments jsonb) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id bigint;
    busy record;
    died empatia.run_step;
BEGIN
    -- a run of this very session that was cancelled between two steps has left its lock behind
    WHILE EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.pid = pg_backend_pid() AND l.objsubid = 1
                  AND ((l.classid::bigint << 32) | l.objid::bigint) = empatia._pipeline_key() AND l.granted) LOOP
        PERFORM pg_advisory_unlock(empatia._pipeline_key());
    END LOOP;
    IF NOT pg_try_advisory_lock(empatia._pipeline_key()) THEN
        SELECT r.run_id, l.pid, r.started_at, a.state INTO busy
        FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid LEFT JOIN empatia.run r ON r.pid = l.pid AND r.status = 'running'
        WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
          AND ((l.classid::bigint << 32) | l.objid::bigint) = empatia._pipeline_key() AND l.granted
        ORDER BY r.run_id DESC LIMIT 1;
        IF busy.state LIKE 'idle%' THEN
            -- cancelled between two steps, where a procedure that commits cannot catch it
            PERFORM empatia._fail('lock_not_available', 'the pipeline is taken by a session in which it was interrupted',
                format('End that session: SELECT pg_terminate_backend(%s).', busy.pid), format('process %s is %s', busy.pid, busy.state));
        END IF;
        PERFORM empatia._fail('lock_not_available', 'the pipeline is running already',
            'Follow it with SELECT * FROM empatia.run_step ORDER BY run_id DESC, step.',
            format('run %s of process %s, started at %s', busy.run_id, busy.pid, busy.started_at));
    END IF;
    -- who holds the lock is alone: what still says running belongs to a session that died
    UPDATE empatia.run SET status = 'failed', finished_at = clock_timestamp(), error = 'the session ended before the run did' WHERE status = 'running';
    FOR died IN UPDATE empatia.run_step SET status = 'failed', finished_at = clock_timestamp(), error = 'the session ended before the step did' WHERE status = 'running' RETURNING * LOOP
        PERFORM empatia._tally_step(died);
    END LOOP;
    INSERT INTO empatia.run (arguments) VALUES (arguments) RETURNING run_id INTO id;
    RETURN id;
END
$$;
COMMENT ON FUNCTION empatia._begin_run(jsonb) IS 'takes the lock of the pipeline and starts a run';

CREATE FUNCTION empatia._do_step(action text, client text, level text, grain text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    total bigint;
BEGIN
    CASE action
        WHEN 'load' THEN
            SELECT sum(l.read) INTO total FROM empatia.load(client) l;
        WHEN 'build' THEN
            SELECT sum(b.stored_rows) INTO total FROM empatia.build_cube(level, grain, client => client) b;
        WHEN 'segment' THEN
            SELECT count(*) INTO total FROM empatia.kmeans_segments(level, grain) s;
        WHEN 'train' THEN
            SELECT sum(t.rows) INTO total FROM empatia.pipeline p, empatia.train(p.level, p.grain, target => p.target, algorithm => p.algorithm, options => p.options) t
            WHERE (p.level, p.grain) = (_do_step.level, _do_step.grain);
        WHEN 'classify' THEN
            SELECT sum(c.written_rows) INTO total FROM empatia.classify(level, grain) c;
    END CASE;
    RETURN total;
END
$$;
COMMENT ON FUNCTION empatia._do_step(text, text, text, text) IS 'the work of one step of the pipeline; returns its rows';

CREATE FUNCTION empatia._plan_run(retrain boolean) RETURNS TABLE (action text, client text, level text, grain text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY EXECUTE empatia._render($q$
        SELECT s.action, s.client, s.level, s.grain
        FROM (
            SELECT 1 AS place, c.client_id, 0 AS level_place, 0 AS grain_place, 'load' AS action, c.code AS client, NULL::text AS level, NULL::text AS grain
            FROM {dw}.client c WHERE EXISTS (SELECT FROM empatia.source s WHERE s.client_id = c.client_id)
            UNION ALL
            SELECT 2, c.client_id, 0, 0, 'build', c.code, NULL, NULL FROM {dw}.client c
            UNION ALL
            SELECT 3, 0, array_position(empatia._levels(), p.level), array_position(empatia._grains(), p.grain), a.action, NULL, p.level, p.grain
            FROM empatia.pipeline p, unnest(ARRAY['segment', 'train', 'classify']) a (action)
            WHERE p.active AND CASE a.action
                WHEN 'classify' THEN true
                WHEN 'segment' THEN $1 OR NOT EXISTS (SELECT FROM empatia.model m WHERE m.level = p.level AND m.grain = p.grain AND m.task = 'segmentation' AND m.client_id IS NULL)
                ELSE p.algorithm IS NOT NULL AND ($1 OR NOT EXISTS (SELECT FROM empatia.model m WHERE m.level = p.level AND m.grain = p.grain AND m.task = 'classification'
                    AND m.client_id IS NULL AND (p.target IS NULL OR m.target = p.target) AND (p.retrain_after IS NULL OR m.created_at > clock_timestamp() - p.retrain_after))) END) s
        ORDER BY s.place, s.client_id, s.level_place, s.grain_place, array_position(ARRAY['load', 'build', 'segment', 'train', 'classify'], s.action) $q$)
    USING retrain;
END
$$;
COMMENT ON FUNCTION empatia._plan_run(boolean) IS 'steps of a run, in order: load and build each client, then segment (where there is no model, or on retrain), train (where configured and due) and classify each active combination';

CREATE PROCEDURE empatia._run_step(run bigint, action text, client text, level text, grain text, INOUT state text)
LANGUAGE plpgsql AS $$
DECLARE
    -- the caller's search_path rules until the first statement: types are qualified
    began CONSTANT pg_catalog.timestamptz := pg_catalog.clock_timestamp();
    this integer;
    total bigint;
    problem pg_catalog.text;
BEGIN
    -- a procedure that commits cannot have a SET clause; a local setting ends with each transaction
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    SELECT coalesce(max(s.step), 0) + 1 INTO this FROM empatia.run_step s WHERE s.run_id = run;
    INSERT INTO empatia.run_step (run_id, step, action, client, level, grain) VALUES (run, this, action, client, level, grain);
    COMMIT;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    state := 'done';
    BEGIN
        total := empatia._do_step(action, client, level, grain);
    EXCEPTION
        WHEN query_canceled THEN
            state := 'cancelled';
            problem := 'cancelled';
        WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT;
            state := 'failed';
    END;
    UPDATE empatia.run_step s SET status = state, finished_at = clock_timestamp(), rows = CASE WHEN state = 'done' THEN total END,
        seconds = extract(epoch FROM clock_timestamp() - began), error = problem
    WHERE s.run_id = run AND s.step = this;
    PERFORM empatia._tally_step(s) FROM empatia.run_step s WHERE s.run_id = run AND s.step = this;
    COMMIT;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true); -- the caller's next expressions are ours, too
END
$$;
COMMENT ON PROCEDURE empatia._run_step(bigint, text, text, text, text, text) IS 'records, does and commits one step of a run; its state is done, failed or cancelled';

CREATE FUNCTION empatia._end_run(run bigint, cancelled boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    failed bigint;
    problem text;
BEGIN
    SELECT count(*), (array_agg(s.error ORDER BY s.step))[1] INTO failed, problem FROM empatia.run_step s WHERE s.run_id = run AND s.status = 'failed';
    UPDATE empatia.run r SET finished_at = clock_timestamp(),
        status = CASE WHEN cancelled THEN 'cancelled' WHEN failed > 0 THEN 'failed' ELSE 'done' END,
        error = CASE WHEN failed > 0 THEN format('%s steps failed, the first with: %s', failed, problem) END
    WHERE r.run_id = run;
    PERFORM pg_advisory_unlock(empatia._pipeline_key());
END
$$;
COMMENT ON FUNCTION empatia._end_run(bigint, boolean) IS 'writes how a run ended and gives the pipeline free';

CREATE PROCEDURE empatia.run_pipeline(retrain boolean DEFAULT false)
LANGUAGE plpgsql AS $$
DECLARE
    id bigint;
    part record;
    piece record;
    state pg_catalog.text := 'done';
    ended record;
BEGIN
    -- inside a transaction block this fails, before there is a lock that would outlive the transaction
    COMMIT;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    -- what would fail every step is an error before there is a run
    PERFORM empatia._combinations(NULL, NULL);
    id := empatia._begin_run(jsonb_build_object('retrain', retrain));
    COMMIT;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    FOR part IN SELECT * FROM empatia._plan_run(coalesce(retrain, false)) LOOP
        CALL empatia._run_step(id, part.action, part.client, part.level, part.grain, state);
        -- all combinations are built in one pass over the facts; where that fails, one by one, so that one does not stop the others
        IF part.action = 'build' AND state = 'failed' THEN
            FOR piece IN SELECT p.level AS combination_level, p.grain AS combination_grain FROM empatia.pipeline p WHERE p.active ORDER BY 1, 2 LOOP
                CALL empatia._run_step(id, 'build', part.client, piece.combination_level, piece.combination_grain, state);
                EXIT WHEN state = 'cancelled';
            END LOOP;
        END IF;
        EXIT WHEN state = 'cancelled';
    END LOOP;
    PERFORM empatia._end_run(id, state = 'cancelled');
    COMMIT;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    SELECT r.status, r.error INTO ended FROM empatia.run r WHERE r.run_id = id;
    IF ended.status = 'cancelled' THEN
        PERFORM empatia._fail('query_canceled', 'the pipeline was cancelled; the steps it had finished stay');
    ELSIF ended.status = 'failed' THEN
        PERFORM empatia._fail('external_routine_exception', 'run ' || id || ' of the pipeline: ' || ended.error,
            format('SELECT * FROM empatia.run_step WHERE run_id = %s AND status = ''failed'' shows them; the other steps are done.', id));
    END IF;
END
$$;
COMMENT ON PROCEDURE empatia.run_pipeline(boolean) IS
    'load, build, segment where there is no model yet (or retrain => true), train where empatia.pipeline says so and it is due, classify; commits step by step (so it cannot be called inside a transaction), a failing step does not stop the others';
