-- What the HTTP service of the demo predicts with: three years of an invented school's pupils, and who of them will lag next year (docs/risk.md).
\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
\pset footer off
CREATE SCHEMA school;
CREATE TABLE school.pupil AS
    SELECT 'p' || p AS pupil, y AS year, mod(p, 7) + (y - 2022) - b.behind AS phase, mod(p, 7) + (y - 2022) AS ideal_phase, -b.behind AS lag,
           CASE WHEN b.behind > 0 THEN 5 ELSE 10 END AS lag_code,
           round((7.5 - 1.2 * b.behind + 3 * abs(sin(p * 13.7 + y)))::numeric, 1) AS grade, round((60 + 35 * abs(cos(p * 7.1 + y)) - 8 * b.behind)::numeric) AS attendance,
           CASE WHEN mod(p, 3) = 0 THEN 'private' ELSE 'public' END AS school
    FROM generate_series(1, 400) p, generate_series(2022, 2024) y,
         LATERAL (SELECT CASE WHEN sin(p * 3.3) + 0.4 * sin(p * 17.9 + y * 5.1) > 0.35 THEN 1 ELSE 0 END AS behind) b;
\echo
\echo 'A model of a table, for POST /predict: SELECT * FROM empatia.train_table(''lag'', ''school.pupil'', ''lag < 0'', ...)'
SELECT t.model_version, t.rows, round(t.auc::numeric, 2) AS auc, t.excluded, t.deployed
FROM empatia.train_table('lag', 'school.pupil', 'lag < 0', key => '{pupil}', time_column => 'year', target_lead => 1, algorithm => 'gradient_boosting', deploy => 'always') t;
