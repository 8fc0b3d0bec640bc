-- Guards check_drift(), which is what pg_cron runs. Faults: a model that cannot be trained again, or not even be checked, which takes what was found
-- of the others with it; retraining where nothing has shifted, or none where something has; a level that ignores the setting.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION empatia;
SELECT count(*) > 0 AS created FROM empatia.create_warehouse();
CREATE SCHEMA school;
CREATE TABLE school.flag AS SELECT i AS id, mod(i, 2) AS bit, sin(i * 12.9898) > 0 AS target FROM generate_series(1, 400) i;
CREATE TABLE school.gone AS TABLE school.flag;
SELECT model, model_version FROM empatia.train_table('flag', 'school.flag', 'target', key => '{id}', algorithm => 'decision_tree', deploy => 'always');
SELECT model, model_version FROM empatia.train_table('gone', 'school.gone', 'target', key => '{id}', algorithm => 'decision_tree', deploy => 'always');
SELECT model, model_version FROM empatia.train_table('broken', 'school.flag', 'target', key => '{id}', algorithm => 'decision_tree', deploy => 'always');
SELECT model, model_version FROM empatia.train_table('silent', 'school.flag', 'target', key => '{id}', algorithm => 'decision_tree', deploy => 'always');

-- what comes in is what was trained on: no column has moved (scores have: these rows' are not out of fold)
SELECT count(*) FROM empatia.predict_rows('flag', 'school.flag', factors => 0);
SELECT model_name, version, 'bit' = ANY (shifted) AS bit, rows, retrained_version FROM empatia.check_drift('flag');

-- shares (1/2, 1/2) before, (400 + 200) x (1/2, 1/2) and 400 x (0, 1) now: 0.3 and 0.7
CREATE TABLE school.flag_now AS SELECT i AS id, CASE WHEN i <= 200 THEN mod(i, 2) ELSE 1 END AS bit FROM generate_series(1, 600) i;
SELECT count(*) FROM empatia.predict_rows('flag', 'school.flag_now', factors => 0);
SELECT count(*) FROM empatia.predict_rows('gone', 'school.flag_now', factors => 0);
SELECT count(*) FROM empatia.predict_rows('broken', 'school.flag_now', factors => 0);
SELECT round((0.2 * ln(0.7 / 0.5) - 0.2 * ln(0.3 / 0.5))::numeric, 6) AS by_hand;
-- a level above everything: no shift, and so nothing to train
UPDATE empatia.setting SET value = '100' WHERE key = 'drift_shift';
SELECT shifted, rows, retrained_version, message FROM empatia.check_drift('flag', retrain => true);
-- a level below it
UPDATE empatia.setting SET value = '0.15' WHERE key = 'drift_shift';
DROP TABLE school.gone;
UPDATE empatia.model SET encoded = substr(encoded, 1, 20) WHERE name = 'broken';
-- a session that does not hold the model
\c
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT model_name, version, 'bit' = ANY (shifted) AS bit, rows, retrained_version, regexp_replace(message, ' since .*', '') AS message FROM empatia.check_drift(retrain => true);
SELECT model, version, round(psi::numeric, 6) AS psi, level, rows FROM analytics.drift_history WHERE name = 'bit' ORDER BY checked_at, model;
SELECT count(*) AS trained FROM empatia.model WHERE name = 'flag';
-- of one that is named, what fails is an error
SELECT * FROM empatia.check_drift('broken');
SELECT * FROM empatia.check_drift('nobody');
