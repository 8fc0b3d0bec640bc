-- Models in hostile hands. Faults guarded against: rows of students shown by what a session remembers to a role that may not read them; SQL that is kept with a
-- model and runs with the rights of whoever trains it again; a model that was tampered with; documents, dates and nulls that end in an internal error or in silence.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION empatia;
SELECT count(*) AS objects FROM empatia.create_warehouse() \g /dev/null
UPDATE empatia.setting SET value = 'en' WHERE key = 'language';
SELECT client_id FROM empatia.add_client('escola', 'Escola', 'UTC') \g /dev/null
INSERT INTO dw.environment VALUES (1, 1, 'A');
INSERT INTO dw.course VALUES (1, 1, 1, 'c');
INSERT INTO dw.space VALUES (1, 10, 1, 's');
INSERT INTO dw.student (client_id, user_id, name) SELECT 1, u, 'u' || u FROM generate_series(1, 30) u;
INSERT INTO dw.enrolment (client_id, enrolment_id, space_id, user_id) SELECT 1, u, 10, u FROM generate_series(1, 30) u;
INSERT INTO dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, environment_id, course_id, space_id)
SELECT 1, 1, u * 1000 + i, u, 1, 1, d, d, 1, 1, 10 FROM generate_series(1, 30) u, generate_series(1, 60) i, LATERAL (SELECT date '2024-01-01' + ((i * 7919 + u * u * 104729) % 180)::int AS d) p
WHERE i % (1 + u % 7 * 4) = 0;
-- a null is the default of build_cube(), not an internal query without a text
SELECT level, grain, mode FROM empatia.build_cube('SPA', 'MONTH', full_build => NULL);
SELECT target, algorithm FROM empatia.train('SPA', 'MONTH', target => 'inactive_next', algorithm => 'decision_tree', split => 'student', deploy => 'always', options => '{"min_rows": 2}');
CREATE TABLE public.pupil AS SELECT i AS id, i % 3 AS a, sin(i) AS b, sin(i * 3) > 0 AS y FROM generate_series(1, 120) i;
SELECT model, deployed FROM empatia.train_table('risk', 'public.pupil', 'y', key => '{id}', algorithm => 'decision_tree', deploy => 'always');
SELECT model, deployed FROM empatia.train_table('a', 'public.pupil', 'a = 1', key => '{id}', algorithm => 'decision_tree', features => '{b}', deploy => 'always');

-- A session keeps a unit of the cube: not for another role, nor past row security, also where that goes by a setting
CREATE ROLE regress_hm_teacher;
GRANT empatia_reader TO regress_hm_teacher;
GRANT USAGE ON SCHEMA dw, analytics TO regress_hm_teacher;
GRANT SELECT ON dw.client, analytics.cube_build, analytics.cube_period, analytics.cube_unit, analytics.cube_member, analytics.cube_assigned TO regress_hm_teacher;
SELECT count(*) > 5 AS all_of_it FROM empatia.explain('escola', 3, 'SPA', 'MONTH', 10);
SET ROLE regress_hm_teacher;
SELECT * FROM empatia.explain('escola', 3, 'SPA', 'MONTH', 10);
RESET ROLE;
GRANT SELECT ON analytics.cube_spa_month TO regress_hm_teacher;
ALTER TABLE analytics.cube_member ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON analytics.cube_member TO regress_hm_teacher USING (user_id = current_setting('regress.me')::bigint);
SELECT count(*) > 5 AS all_of_it FROM empatia.explain('escola', 3, 'SPA', 'MONTH', 10);
SET ROLE regress_hm_teacher;
SET regress.me = '7';
SELECT * FROM empatia.explain('escola', 3, 'SPA', 'MONTH', 10);
SELECT count(*) > 5 AS own FROM empatia.explain('escola', 7, 'SPA', 'MONTH', 10);
SET regress.me = '3';
SELECT * FROM empatia.explain('escola', 7, 'SPA', 'MONTH', 10);
SELECT count(*) > 5 AS own FROM empatia.explain('escola', 3, 'SPA', 'MONTH', 10);
RESET ROLE;

-- the same of the facts, which say what lectures a class uses: one fact of each member for the owner, none of others for the teacher
ALTER TABLE analytics.cube_member DISABLE ROW LEVEL SECURITY;
INSERT INTO dw.subject VALUES (1, 10, 10, 'Módulo');
INSERT INTO dw.lecture (client_id, lecture_id, subject_id, name) SELECT 1, 100 + l, 10, 'Aula' FROM generate_series(0, 1) l;
UPDATE dw.fact_interaction SET subject_id = 10, lecture_id = 100 + user_id % 2;
SELECT target, algorithm FROM empatia.train('SPA', 'MONTH', target => 'inactive_next', algorithm => 'logistic_regression', split => 'student', deploy => 'always', features => '{"coverage": true}', options => '{"min_rows": 2}');
SELECT feature, value FROM empatia.explain('escola', 3, 'SPA', 'MONTH', 10) WHERE feature ~ '^lecture' ORDER BY 1;
SET ROLE regress_hm_teacher;
SELECT * FROM empatia.explain('escola', 3, 'SPA', 'MONTH', 10);
RESET ROLE;
GRANT SELECT ON dw.fact_interaction TO regress_hm_teacher;
ALTER TABLE dw.fact_interaction ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON dw.fact_interaction TO regress_hm_teacher USING (user_id = current_setting('regress.me')::bigint);
SELECT feature, value FROM empatia.explain('escola', 3, 'SPA', 'MONTH', 10) WHERE feature ~ '^lecture' ORDER BY 1;
SET ROLE regress_hm_teacher;
SELECT feature, value FROM empatia.explain('escola', 3, 'SPA', 'MONTH', 10) WHERE feature ~ '^lecture' ORDER BY 1;
RESET ROLE;
ALTER TABLE dw.fact_interaction DISABLE ROW LEVEL SECURITY;
UPDATE dw.fact_interaction SET subject_id = NULL, lecture_id = NULL;
SELECT version > 0 AS back FROM empatia.rollback('SPA', 'MONTH');

-- The target of a model is SQL of whoever made it
CREATE ROLE regress_hm_op IN ROLE empatia_operator;
CREATE SCHEMA theirs AUTHORIZATION regress_hm_op;
GRANT SELECT ON public.pupil TO regress_hm_op;
GRANT USAGE ON SCHEMA dw, analytics TO regress_hm_op;
SET ROLE regress_hm_op;
CREATE FUNCTION theirs.who() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN IF CURRENT_USER <> 'regress_hm_op' THEN RAISE 'this runs as somebody else'; END IF; RETURN true; END $$;
SELECT model, deployed FROM empatia.train_table('theirs', 'public.pupil', 'y AND theirs.who()', key => '{id}', algorithm => 'decision_tree', deploy => 'always');
SELECT model FROM empatia.retrain_table('theirs');
INSERT INTO empatia.model (name, created_by) VALUES ('theirs', 'postgres');
UPDATE empatia.model SET created_by = 'postgres';
RESET ROLE;
SELECT * FROM empatia.retrain_table('theirs');
INSERT INTO analytics.prediction (model, version, inputs, risk_score, class, factors, imputed, unknown) SELECT 'theirs', 0, '{"b": 7}', 0, 'em risco', '[]', '{}', '{}' FROM generate_series(1, 50);
SELECT model_name, retrained_version, message LIKE 'shift of %b%; not retrained: model "theirs" cannot be trained again: it was made by regress_hm_op, whose SQL would run with the rights of postgres' AS refused FROM empatia.check_drift('theirs', retrain => true);
INSERT INTO analytics.prediction (model, version, inputs, risk_score, class, factors, imputed, unknown) SELECT 'risk', 0, '{"b": 7}', 0, 'em risco', '[]', '{}', '{}' FROM generate_series(1, 50);
SELECT model_name, retrained_version IS NOT NULL AS retrained, message LIKE 'shift of %; retrained: not deployed: %' AS said FROM empatia.check_drift('risk', retrain => true);

-- What claims to be a model that was exported
CREATE FUNCTION tampered(version bigint, change jsonb) RETURNS bytea LANGUAGE sql AS $$
    SELECT empatia._pack_model(CASE jsonb_typeof(change) WHEN 'object' THEN u.registry || change ELSE change END, u.encoded, u.evaluation) FROM empatia._unpack_model(empatia.export_model(version)) u $$;
SELECT (SELECT min(version) FROM empatia.model WHERE level = 'SPA') AS cube, (SELECT min(version) FROM empatia.model WHERE name = 'risk') AS risk \gset
SELECT level, target, message LIKE 'registered%' AS registered FROM empatia.import_model(tampered(:risk, '{"target": "pg_sleep(0) IS NOT NULL"}'));
SELECT (empatia.deploy((SELECT max(version) FROM empatia.model))).version IS NOT NULL AS deployed;
SELECT * FROM empatia.retrain_table('risk');
SELECT version IS NOT NULL AS back FROM empatia.rollback('risk');
SELECT * FROM empatia.import_model(tampered(:risk, '{"name": null, "level": "SPA", "grain": "MONTH"}'));
SELECT * FROM empatia.import_model(tampered(:cube, '{"name": "x", "level": null, "grain": null}'));
SELECT * FROM empatia.import_model(tampered(:risk, '{"metrics": 5}'));
SELECT * FROM empatia.import_model(tampered(:risk, '{"metrics": {"auc": {"pooled": "high"}}}'));
SELECT * FROM empatia.import_model(tampered(:risk, '{"rows": null}'));
SELECT * FROM empatia.import_model(tampered(:risk, '[]'));
SELECT * FROM empatia.import_model(tampered(:risk, '{"recipe": {}}'));
SELECT * FROM empatia.import_model(tampered(:risk, '{"recipe": null}'));
-- what was in use is, each by its name
SELECT substring(line FROM 'model="[a-z]+"') AS of, substring(line FROM 'target="[^"]*"') AS target FROM regexp_split_to_table(empatia.metrics(), E'\n') line WHERE line LIKE 'empatia_model_created_%model=%' ORDER BY 1;
SELECT count(*) AS scores FROM regexp_split_to_table(empatia.metrics(), E'\n') line WHERE line LIKE 'empatia_model_score{%metric="auc",model=%';

-- Documents that PostgreSQL takes and a double, or a stack, does not
SELECT * FROM empatia.predict('risk', '{"b": 1e400}');
SELECT * FROM empatia.predict('risk', (repeat('[', 3000) || repeat(']', 3000))::jsonb);
SELECT * FROM empatia.train('SPA', 'MONTH', target => 'inactive_next', split => 'student', parameters => '{"max_depth": 1e400}');
SELECT * FROM empatia.train('SPA', 'MONTH', target => 'inactive_next', split => 'student', parameters => '[]');
SELECT * FROM empatia.kmeans_segments('SPA', 'MONTH', options => '{"x": 1e400}');
INSERT INTO analytics.prediction (model, version, inputs, risk_score, class, factors, imputed, unknown) VALUES ('a', 0, '{"b": 1e400}', 0, 'x', '[]', '{}', '{}');
SELECT * FROM empatia.drift('a');
-- rows that a service may write itself: what no input can be is left out and told, the others are compared
INSERT INTO analytics.prediction (model, version, student_id, inputs, risk_score, class, factors, imputed, unknown)
SELECT 'a', 0, 's', i, s, 'x', f, '{}', '{}' FROM (VALUES (1, '[]'::jsonb, 0, '[]'::jsonb), (2, 'null', 0, 'null'), (3, '7', 0, '{}'), (4, '{"b": 1e300}', 0, '[]'), (5, '{"b": 0.5}', 'NaN', 'null'),
    (6, '{"b": 0.25}', 1e308, '[]'), (7, '{"b": "x"}', 0.25, 'null'), (8, '{"b": {"c": [1e400]}}', 0.5, '7')) v (n, i, s, f) ORDER BY n;
SELECT name, rows FROM empatia.drift('a');
SELECT count(*) AS checked FROM empatia.check_drift('a') WHERE rows = 3;
SELECT left(changed::text, 30) AS changed, score_change FROM empatia.explain('s');
INSERT INTO analytics.prediction (model, version, student_id, inputs, risk_score, class, factors, imputed, unknown, latency_ms)
SELECT 'a', 0, 's', '{"b": 0.5}', 1e308, 'x', '[]', '{}', '{}', x FROM unnest('{1e308,1e308,NaN,-1}'::double precision[]) x;
SELECT predictions FROM empatia.record_outcome('a', 's', 'true');
SELECT outcomes, recall, brier FROM empatia.live_metrics('a');
SELECT empatia.metrics() LIKE '%empatia_predictions_total%' AS metrics;

-- Moments that no calendar has, in a table and in predictions
CREATE TABLE public.forever AS SELECT i AS id, CASE WHEN i = 3 THEN 'infinity' ELSE date '2020-01-01' + i END AS until, sin(i) > 0 AS y FROM generate_series(1, 60) i;
SELECT * FROM empatia.train_table('x', 'public.forever', 'y', key => '{id}');
INSERT INTO analytics.prediction (predicted_at, model, version, inputs, risk_score, class, factors, imputed, unknown)
    SELECT at, 'a', 0, '{}', 0, 'x', '[]', '{}', '{}' FROM unnest('{infinity,-infinity,0044-03-15 BC,12000-01-01,2001-02-03}'::timestamptz[]) at;
SELECT partition, action, rows FROM empatia.maintain_predictions(0);
SELECT predicted_at FROM analytics.prediction_other ORDER BY 1;

SELECT * FROM empatia.periods('WEEK', '-infinity', '2024-01-01');
SELECT * FROM empatia.periods('MONTH', '2024-01-01', 'infinity');
SELECT * FROM empatia.periods('YEAR', '4713-01-01 BC', '2024-01-01', 1) LIMIT 1;
SELECT * FROM empatia.periods('ALL', '4713-01-01 BC', '9000-01-01');
SELECT count(*) AS none FROM empatia.periods('WEEK', NULL, '2024-01-01');

-- What looks at a target makes a view for that
BEGIN READ ONLY;
SELECT * FROM empatia.find_leaks('public.pupil', 'y');
ROLLBACK;

-- An expression in its parentheses, names with dollars included
SELECT * FROM empatia.train_table('x', 'public.pupil', 'a$x$ ) , pg_sleep(1), ( b$x$');

-- Nulls, and options that are read long after
SELECT * FROM empatia.predict_rows('risk', 'public.pupil', factors => NULL);
SELECT * FROM empatia.predict_rows('risk', NULL);
SELECT * FROM empatia.check_drift(since => NULL);
SELECT * FROM empatia.check_drift('nothing');
SELECT * FROM empatia.import_folder('pede', NULL);
SELECT * FROM empatia.find_leaks('public.pupil', 'y', allow_leaks => '{NULL}');
SELECT * FROM empatia.train_table('x', 'public.pupil', 'y', seed => NULL);
SELECT * FROM empatia.train_table('x', 'public.pupil', 'y', time_budget => '-1 day');
SELECT * FROM empatia.train_table('x', 'public.pupil', 'y', options => '{"aliases": 5}');
SELECT * FROM empatia.train_table('x', 'public.pupil', 'y', options => '{"aliases": {"x": 7}}');

DROP OWNED BY regress_hm_op, regress_hm_teacher CASCADE;
DROP ROLE regress_hm_op, regress_hm_teacher;
