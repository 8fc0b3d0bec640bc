-- Guards models of tables: a leak that is trained on, a target of the wrong year, an input that is misread in silence, a prediction that is recorded where it must
-- not be (or not where it must), drift and live figures that are not those of the definition.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION empatia;
INSERT INTO empatia.setting VALUES ('language', 'en', 'of words');
CREATE SCHEMA school;
-- lag is decided by a quarrel of sines; its code, the phases whose difference it is, an index that contains the code
CREATE TABLE school.pupil AS
    SELECT 'p' || p AS pupil, y AS year, mod(p, 7) + (y - 2022) - b.behind AS phase, mod(p, 7) + (y - 2022) AS ideal_phase, -b.behind AS lag, CASE WHEN b.behind > 0 THEN 5 ELSE 10 END AS code,
           g.grade, a.attendance, CASE WHEN mod(p, 3) = 0 THEN 'Private' ELSE 'Public' END AS school, mod(p, 2) = 0 AS scholarship,
           round(0.1 * CASE WHEN b.behind > 0 THEN 5 ELSE 10 END + 0.5 * g.grade + 0.04 * a.attendance, 4) AS overall, date '2010-01-01' + p AS born, 'name ' || p AS name
    FROM generate_series(1, 200) p, generate_series(2022, 2024) y,
         LATERAL (SELECT CASE WHEN sin(p * 3.3) + 0.4 * sin(p * 17.9 + y * 5.1) > 0.35 THEN 1 ELSE 0 END AS behind) b,
         LATERAL (SELECT round((6 - 0.8 * b.behind + 3 * abs(sin(p * 13.7 + y)))::numeric, 1) AS grade) g,
         LATERAL (SELECT round((60 + 35 * abs(cos(p * 7.1 + y)) - 3 * b.behind)::numeric) AS attendance) a;

-- without a warehouse one can train and predict, and nothing is recorded
SELECT model, relation, rows, students, classes, features, excluded, split, positive, recall >= 0.97 AS enough, deployed
FROM empatia.train_table('lag now', 'school.pupil', 'lag < 0', key => '{pupil}', time_column => 'year', algorithm => 'logistic_regression', deploy => 'always', options => '{"negative": "ok", "positive": "lags", "aliases": {"nota": "grade"}}');
SELECT kind, columns, through, words FROM empatia.find_leaks('school.pupil', 'lag < 0', key => '{pupil}', time_column => 'year');
SELECT recorded, class, student_id, imputed, unknown, refused FROM empatia.predict('lag now', '{"PUPIL": "p1", "Nota": "6,5", "attendance ": "often", "School": "publíc", "shoe": 38, "lag": -1}');
SELECT * FROM empatia.create_warehouse() WHERE false;
SELECT count(*) FROM empatia.create_warehouse();

-- next year: the target is that of the following row
SELECT rows, rows = (SELECT count(*) FROM school.pupil a JOIN school.pupil b ON b.pupil = a.pupil AND b.year = a.year + 1) AS as_joined, excluded, 'lag' = ANY (features) AS lag_is_known, 'year' = ANY (features) AS year,
       auc > 0.7 AS learned
FROM empatia.train_table('lag', 'school.pupil', 'lag < 0', key => '{pupil}', time_column => 'year', target_lead => 1, algorithm => 'logistic_regression', deploy => 'always');
SELECT c.actual, sum(c.rows) AS rows, sum(c.rows) = (SELECT count(*) FROM school.pupil a JOIN school.pupil b ON b.pupil = a.pupil AND b.year = a.year + 1 WHERE (b.lag < 0) = (c.actual = 'em risco')) AS as_joined
FROM empatia.confusion_matrix(2) c GROUP BY c.actual ORDER BY 1;
-- forward in time: trained on 2022 -> 2023, tested on 2023 -> 2024
SELECT m.auc IS NOT NULL AS judged
FROM empatia.train_table('forward', 'school.pupil', 'lag < 0', key => '{pupil}', time_column => 'year', target_lead => 1, algorithm => 'logistic_regression', split => 'time', deploy => 'never') m;
SELECT sum(c.rows) AS tested FROM empatia.confusion_matrix(3) c;

-- one case: any order and spelling; the probability is that of the same row read from a table
CREATE TABLE school.one AS SELECT * FROM school.pupil WHERE pupil = 'p7' AND year = 2024;
SELECT p.student_id, abs(p.risk_score - r.risk_score) < 1e-12 AS equal, p.class = r.class AS same_class, p.imputed, p.unknown, p.recorded, p.threshold = m.threshold AS threshold
FROM school.one o, empatia.predict('lag', to_jsonb(o)) p, empatia.predict_rows('lag', 'school.one', record => false) r, empatia.model m WHERE m.version = 2;
-- 1 / (1 + e^-(base + all contributions)) is the probability, unless calibrated
SELECT count(*) AS factors, bool_and((f ->> 'direction' = 'raises') = ((f ->> 'contribution')::float8 > 0)) AS signs
FROM empatia.predict('lag', '{"pupil": "p8", "grade": 5, "attendance": 60, "born": "2010-02-01", "scholarship": "sim", "school": "PRIVATE"}', factors => 100) p, jsonb_array_elements(p.top_risk_factors) f;
SELECT f ->> 'text' AS words FROM empatia.predict('lag', '{"grade": "9,25", "school": "PRIVATE", "scholarship": "sim", "born": "2010-02-01"}', record => false, factors => 100, language => 'pt') p, jsonb_array_elements(p.top_risk_factors) f
WHERE f ->> 'feature' IN ('grade', 'school', 'scholarship', 'born', 'attendance') ORDER BY f ->> 'feature';
SELECT count(*) FROM empatia.predict_rows('lag', 'school.pupil');
SELECT model, origin, count(*), count(DISTINCT student_id) AS students, count(latency_ms) AS timed FROM analytics.prediction GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) AS in_the_partition_of_the_month FROM analytics.prediction WHERE tableoid::regclass::text = 'analytics.prediction_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM');
-- not where nothing may be written, and not when told so
BEGIN TRANSACTION READ ONLY;
SELECT recorded, risk_score BETWEEN 0 AND 1 AS predicted FROM empatia.predict('lag', '{"grade": 5}');
COMMIT;
SELECT count(*) FROM empatia.predict('lag', '{"grade": 5}', record => false);
SELECT count(*) FROM analytics.prediction WHERE student_id IS NULL;

-- history: what changed since the one before
SELECT count(*) FROM empatia.predict('lag', '{"pupil": "new", "grade": 5, "school": "Public"}');
SELECT count(*) FROM empatia.predict('lag', '{"pupil": "new", "grade": 7, "attendance": 90, "school": "Public"}');
SELECT model, changed, score_change IS NOT NULL AS compared FROM empatia.explain('new', 5);
SELECT count(*) FROM empatia.explain('new', 1);
SELECT count(*) FROM empatia.explain('nobody');

-- outcomes: 2 of 3 positives were called, 2 of 4 calls were right
DELETE FROM analytics.prediction;
INSERT INTO analytics.prediction (predicted_at, model, version, student_id, inputs, risk_score, class, factors, imputed, unknown)
    SELECT '2026-01-10', 'lag', 2, 's' || i, '{}', s, CASE WHEN s >= 0.5 THEN 'em risco' ELSE 'sem risco' END, '[]', '{}', '{}' FROM unnest(ARRAY[0.9, 0.8, 0.2, 0.7, 0.6, 0.1]) WITH ORDINALITY u (s, i);
-- an older prediction of the other class does not count
INSERT INTO analytics.prediction (predicted_at, model, version, student_id, inputs, risk_score, class, factors, imputed, unknown) VALUES ('2026-01-01', 'lag', 2, 's1', '{}', 0, 'sem risco', '[]', '{}', '{}');
SELECT count(*) FROM unnest(ARRAY['true', 'sim', 'em risco', 'false', 'sem risco', 'não']) WITH ORDINALITY u (v, i), empatia.record_outcome('lag', 's' || i, v, '2026-02-01');
SELECT * FROM empatia.record_outcome('lag', 'unforeseen', 'true', '2026-02-01');
SELECT version, outcomes, without_prediction, positives, round(recall::numeric, 4) AS recall, round(recall_low::numeric, 4) AS low, round(recall_high::numeric, 4) AS high, round("precision"::numeric, 4) AS precision,
       round(brier::numeric, 4) AS brier FROM empatia.live_metrics('lag');
-- ((0.9-1)^2 + (0.8-1)^2 + (0.2-1)^2 + 0.7^2 + 0.6^2 + 0.1^2) / 6, and Wilson's interval of 2 of 3
SELECT round((0.01 + 0.04 + 0.64 + 0.49 + 0.36 + 0.01) / 6, 4) AS brier;

-- drift: shares (1/2, 1/2) before, (1/4, 3/4) now: (1/4) ln 3; and a column that nobody sends any more
CREATE TABLE school.flag AS SELECT i AS id, mod(i, 2) AS bit, i / 10.0 AS other, sin(i * 12.9898) > 0 AS target FROM generate_series(1, 400) i;
SELECT count(*) FROM empatia.train_table('flag', 'school.flag', 'target', key => '{id}', algorithm => 'decision_tree', deploy => 'always');
CREATE TABLE school.flag_now AS SELECT i AS id, CASE WHEN mod(i, 4) = 0 THEN 0 ELSE 1 END AS bit FROM generate_series(1, 400) i;
SELECT name, kind, round(psi::numeric, 6) AS psi, missing_before, missing_now, level FROM empatia.drift('flag', against => 'school.flag_now') WHERE kind = 'feature' ORDER BY 1;
SELECT round(0.25 * ln(3::numeric), 6) AS by_hand;
SELECT count(*) FROM empatia.predict_rows('flag', 'school.flag_now', factors => 0);
SELECT model_name, shifted, rows, retrained_version FROM empatia.check_drift('flag');
SELECT name, level FROM analytics.drift_history WHERE kind = 'feature' ORDER BY 1;
UPDATE empatia.setting SET value = '0.3' WHERE key = 'drift_shift';
SELECT name, level FROM empatia.drift('flag', against => 'school.flag_now') WHERE name = 'bit';

-- all are counted, by the call in a thousand that counts the others, too
SELECT count(p.prediction_id) AS recorded FROM generate_series(1, 1100) n, empatia.predict('flag', jsonb_build_object('bit', n % 2), factors => 0) p;
SELECT p.model, count(*) AS predictions, count(p.latency_ms) AS calls FROM analytics.prediction p WHERE p.model = 'flag' GROUP BY p.model
EXCEPT
SELECT m.labels ->> 'model', sum(m.value) FILTER (WHERE m.name = 'empatia_predictions_total'), coalesce(sum(m.value) FILTER (WHERE m.name = 'empatia_prediction_duration_seconds_count'), 0) FROM empatia.metric m GROUP BY 1;
SELECT sum(t.predictions) AS of_relations FROM analytics.prediction_tally t WHERE t.model = 'flag' AND t.calls = 0;

-- retention
SELECT count(*) FROM empatia.maintain_predictions();
INSERT INTO analytics.prediction (predicted_at, model, version, inputs, risk_score, class, factors, imputed, unknown) VALUES ('2001-02-03', 'lag', 2, '{}', 0, 'sem risco', '[]', '{}', '{}');
SELECT partition, action, rows FROM empatia.maintain_predictions() WHERE partition = 'prediction_2001_02';
SELECT count(*) FROM analytics.prediction WHERE predicted_at < '2002-01-01';

-- versions: a second one, back to the first
SELECT model_version, deployed FROM empatia.retrain_table('flag');
SELECT version > 4 AS newer FROM empatia.deploy((SELECT max(version) FROM empatia.model));
SELECT version, previous_version FROM empatia.rollback('flag');
SELECT version FROM empatia.predict('flag', '{"bit": 1}', record => false);
SELECT line FROM regexp_split_to_table(empatia.model_card(2, 'en'), E'\n') line LIMIT 4;

-- what cannot be
SELECT * FROM empatia.train_table('x', 'school.pupil', 'lag < 0; DROP TABLE school.pupil');
SELECT * FROM empatia.train_table('x', 'school.pupil', 'lag < 0) FROM school.pupil --');
SELECT * FROM empatia.train_table('x', 'school.pupil', 'later < 0');
SELECT * FROM empatia.train_table('x', 'school.pupil', '1 = 1');
SELECT * FROM empatia.train_table('x', 'school.pupil', 'lag < 0', target_lead => 1);
SELECT * FROM empatia.train_table('x', 'school.pupil', 'lag < 0', key => '{school}', time_column => 'year', target_lead => 1);
SELECT * FROM empatia.train_table('x', 'school.pupil', 'lag < 0', key => '{pupil}', time_column => 'name', target_lead => 1);
SELECT * FROM empatia.train_table('x', 'school.pupil', 'lag < 0', key => '{nobody}');
SELECT * FROM empatia.train_table('x', 'school.pupil', 'lag < 0', options => '{"fold": 5}');
SELECT * FROM empatia.train_table('x', 'school.pupil', 'lag < 0', algorithm => 'oracle');
SELECT * FROM empatia.train_table('x', 'school.pupil', 'lag < -5');
SELECT * FROM empatia.train_table('x', 'school.pupil', 'pupil');
SELECT * FROM empatia.predict('x', '{}');
SELECT * FROM empatia.predict('lag', '[1]');
SELECT * FROM empatia.predict('lag', '{}', language => 'fr');
SELECT * FROM empatia.record_outcome('lag', 's1', 'maybe');
CREATE TABLE school.infinite AS SELECT i AS id, CASE WHEN i = 3 THEN 'Infinity'::float8 ELSE i END AS x, sin(i) > 0 AS y FROM generate_series(1, 60) i;
SELECT * FROM empatia.train_table('x', 'school.infinite', 'y', key => '{id}');
-- the caller's rights, not the extension's
CREATE ROLE regress_nosy;
GRANT USAGE ON SCHEMA school TO regress_nosy;
SET ROLE regress_nosy;
SELECT * FROM empatia.find_leaks('school.pupil', 'lag < 0');
RESET ROLE;
REVOKE USAGE ON SCHEMA school FROM regress_nosy;
DROP ROLE regress_nosy;
