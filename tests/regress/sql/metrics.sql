-- What metrics() says of predictions, counted by hand. Faults guarded against: a counter that falls when retention deletes; a prediction counted twice, once by its
-- day and once more; a bucket that is not cumulative, or out of order; the drift of an older check; an error for a role that may not read predictions.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION empatia;
CREATE FUNCTION said() RETURNS TABLE (line text) LANGUAGE sql AS $$
    SELECT l.line FROM regexp_split_to_table(empatia.metrics(), E'\n') WITH ORDINALITY l (line, place) WHERE l.line ~ 'prediction|drift' AND l.line !~ 'timestamp' ORDER BY l.place
$$;
SELECT * FROM said();
SELECT count(*) AS objects FROM empatia.create_warehouse() \g /dev/null
SELECT count(*) AS partitions FROM empatia.maintain_predictions(0) \g /dev/null
SELECT * FROM said();
-- a: today 1, 2, 2.5 and 3000 ms, and a row of a relation; 40 days ago 7 ms twice, of another class; b: one three days ago
INSERT INTO analytics.prediction (predicted_at, model, version, inputs, risk_score, class, factors, imputed, unknown, latency_ms, origin)
SELECT p.at, p.model, 1, '{}', 0.5, p.class, '[]', '{}', '{}', p.ms, CASE WHEN p.ms IS NULL THEN 'relation' ELSE 'call' END
FROM (VALUES (now(), 'a', 'yes', 1), (now(), 'a', 'yes', 2), (now(), 'a', 'yes', 2.5), (now(), 'a', 'no', 3000), (now(), 'a', 'yes', NULL),
             (now() - interval '40 days', 'a', 'no', 7), (now() - interval '40 days', 'a', 'no', 7), (now() - interval '3 days', 'b', 'say "x"', 60)) p (at, model, class, ms);
INSERT INTO analytics.drift_history (checked_at, model, version, name, kind, psi, level, rows)
VALUES (now() - interval '1 day', 'a', 1, 'grade', 'feature', 0.5, 'shift', 9), (now(), 'a', 1, 'grade', 'feature', 0.0625, 'stable', 9), (now(), 'a', 1, 'score', 'score', NULL, 'stable', 9);
CREATE TEMP TABLE before AS SELECT * FROM said();
SELECT * FROM before;
-- the days that are over are counted; the same is said, also by the rows that are left, and when the old ones are deleted
SELECT count(*) > 0 AS maintained FROM empatia.maintain_predictions(0);
SELECT (now() AT TIME ZONE 'UTC')::date - t.day AS days_ago, t.model, t.class, t.predictions, t.calls, t.seconds, t.within FROM analytics.prediction_tally t ORDER BY t.day;
SELECT (SELECT array_agg(b.line) FROM before b) = (SELECT array_agg(s.line) FROM said() s) AS same;
SELECT count(*) > 0 AS maintained FROM empatia.maintain_predictions(0);
DELETE FROM analytics.prediction WHERE predicted_at < now() - interval '2 days';
SELECT (SELECT array_agg(b.line) FROM before b) = (SELECT array_agg(s.line) FROM said() s) AS same;
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
