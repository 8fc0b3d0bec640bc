-- What metrics() says of predictions, counted by hand. Faults guarded against: a counter that falls when retention deletes; a prediction counted twice, once in the
-- tally and once more; a row of a relation counted as a call; a bucket that is not cumulative, or out of order; the drift of an older check; an error for a role that may not read predictions.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION empatia;
CREATE FUNCTION said() RETURNS TABLE (line text) LANGUAGE sql AS $$
    SELECT l.line FROM regexp_split_to_table(empatia.metrics(), E'\n') WITH ORDINALITY l (line, place) WHERE l.line ~ 'prediction|drift' AND l.line !~ 'timestamp' ORDER BY l.place
$$;
SELECT * FROM said();
SELECT count(*) AS objects FROM empatia.create_warehouse() \g /dev/null
SELECT count(*) AS partitions FROM empatia.maintain_predictions(0) \g /dev/null
UPDATE analytics.prediction_watermark SET counted_until = '-infinity', next_until = '-infinity'; -- what follows is dated earlier
SELECT * FROM said();
-- a: today 1, 2, 2.5 and 3000 ms, and a row of a relation; 40 days ago 7 ms twice, of another class; b: one three days ago
INSERT INTO analytics.prediction (predicted_at, model, version, inputs, risk_score, class, factors, imputed, unknown, latency_ms, origin)
SELECT p.at, p.model, 1, '{}', 0.5, p.class, '[]', '{}', '{}', p.ms, CASE WHEN p.ms IS NULL THEN 'relation' ELSE 'call' END
FROM (VALUES (now(), 'a', 'yes', 1), (now(), 'a', 'yes', 2), (now(), 'a', 'yes', 2.5), (now(), 'a', 'no', 3000), (now(), 'a', 'yes', NULL),
             (now() - interval '40 days', 'a', 'no', 7), (now() - interval '40 days', 'a', 'no', 7), (now() - interval '3 days', 'b', 'say "x"', 60)) p (at, model, class, ms);
-- as predict_rows() does for its row
INSERT INTO analytics.prediction_tally VALUES ((now() AT TIME ZONE 'UTC')::date, 'a', 'yes', 7, 1, 0, 0, '{0,0,0,0,0,0,0,0,0}');
INSERT INTO analytics.drift_history (checked_at, model, version, name, kind, psi, level, rows)
VALUES (now() - interval '1 day', 'a', 1, 'grade', 'feature', 0.5, 'shift', 9), (now(), 'a', 1, 'grade', 'feature', 0.0625, 'stable', 9), (now(), 'a', 1, 'score', 'score', NULL, 'stable', 9);
CREATE TEMP TABLE before AS SELECT * FROM said();
SELECT * FROM before;
-- all are counted once no older transaction runs, be it another test's; the same is said, and also when they are deleted
CREATE PROCEDURE tally() LANGUAGE plpgsql AS $$
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
BEGIN
    FOR i IN 1 .. 3000 LOOP
        PERFORM empatia.maintain_predictions(0);
        COMMIT;
        EXIT WHEN (SELECT w.counted_until FROM analytics.prediction_watermark w) >= began;
        PERFORM pg_sleep(0.02);
    END LOOP;
END
$$;
CALL tally();
SELECT (now() AT TIME ZONE 'UTC')::date - t.day AS days_ago, t.model, t.class, t.batch, t.predictions, t.calls, t.seconds, t.within FROM analytics.prediction_tally t ORDER BY t.day, t.class;
SELECT (SELECT array_agg(b.line) FROM before b) = (SELECT array_agg(s.line) FROM said() s) AS same;
CALL tally();
DELETE FROM analytics.prediction WHERE predicted_at < now() - interval '2 days';
SELECT (SELECT array_agg(b.line) FROM before b) = (SELECT array_agg(s.line) FROM said() s) AS same;
-- what retention deletes is counted before, in a partition and in the default one
UPDATE analytics.prediction_watermark SET counted_until = '-infinity', next_until = '-infinity';
DELETE FROM analytics.prediction_tally;
DELETE FROM analytics.prediction;
CREATE TABLE analytics.prediction_2001_02 PARTITION OF analytics.prediction FOR VALUES FROM ('2001-02-01 00:00+00') TO ('2001-03-01 00:00+00');
INSERT INTO analytics.prediction (predicted_at, model, version, inputs, risk_score, class, factors, imputed, unknown, latency_ms)
SELECT at, 'c', 1, '{}', 0.5, 'yes', '[]', '{}', '{}', 4 FROM unnest('{2001-02-03,2001-02-04,1969-12-31}'::timestamptz[]) at;
SELECT partition, rows FROM empatia.maintain_predictions(0) ORDER BY 1;
SELECT s.line FROM said() s WHERE s.line ~ 'total.*"c"';
CALL tally();
SELECT s.line FROM said() s WHERE s.line ~ 'total.*"c"';
-- a failed step, a step that was done twice, and runs that were deleted; the last success is the later one
CREATE FUNCTION of_steps() RETURNS TABLE (line text) LANGUAGE sql AS $$
    SELECT l.line FROM regexp_split_to_table(empatia.metrics(), E'\n') WITH ORDINALITY l (line, place) WHERE l.line ~ '^empatia_step' ORDER BY l.place
$$;
INSERT INTO empatia.run (arguments, status) VALUES ('{}', 'done');
INSERT INTO empatia.run_step (run_id, step, action, client, status, rows, seconds, finished_at)
VALUES (1, 1, 'load', 'x', 'done', 5, 0.5, '2026-01-02 00:00+00'), (1, 2, 'load', 'x', 'failed', NULL, 9, '2026-01-03 00:00+00'), (1, 3, 'load', 'x', 'done', 7, 0.25, '2026-01-04 00:00+00'),
       (1, 4, 'load', 'y', 'cancelled', NULL, 1, '2026-01-05 00:00+00');
DO $$ BEGIN PERFORM empatia._tally_step(s) FROM (SELECT * FROM empatia.run_step ORDER BY step) s; END $$;
DELETE FROM empatia.run;
SELECT * FROM of_steps();
-- whoever may read the rest, but no prediction
CREATE ROLE regress_metrics_reader;
GRANT empatia_reader TO regress_metrics_reader;
GRANT USAGE ON SCHEMA dw, analytics TO regress_metrics_reader;
GRANT SELECT ON dw.client, dw.reject, analytics.cube_build TO regress_metrics_reader;
SET ROLE regress_metrics_reader;
SELECT count(*) > 0 AS speaks, count(*) FILTER (WHERE m.name ~ 'prediction|drift') AS of_predictions FROM empatia.metric m;
RESET ROLE;
DROP OWNED BY regress_metrics_reader;
DROP ROLE regress_metrics_reader;
