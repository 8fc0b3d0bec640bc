-- Labels and deployments. Faults guarded against: a label of nobody's or of no period; a label that vanishes when another takes its place;
-- a rollback that goes to the wrong version, or round in circles; a deployment of another client or of a segmentation.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET datestyle = ISO;
CREATE EXTENSION empatia;
SELECT count(*) AS objects FROM empatia.create_warehouse() \g /dev/null
SELECT c.client_id, o.client_id FROM empatia.add_client('escola') c, empatia.add_client('outra') o \g /dev/null
INSERT INTO dw.environment SELECT 1, 1, 'A';
INSERT INTO dw.course VALUES (1, 1, 1, 'c');
INSERT INTO dw.space (client_id, space_id, course_id, name, starts_at) VALUES (1, 10, 1, 's', '2024-03-04'), (1, 11, 1, 't', NULL);
INSERT INTO dw.student SELECT 1, u, 'u' || u FROM generate_series(1, 4) u;
INSERT INTO dw.enrolment (client_id, enrolment_id, space_id, user_id, role, ended_at, outcome) VALUES
    (1, 1, 10, 1, NULL, NULL, 'Pass'), (1, 2, 10, 2, NULL, '2024-03-20', 'Withdrawn'), (1, 3, 10, 3, NULL, '2024-05-01', 'Withdrawn'), (1, 4, 10, 4, 'teacher', NULL, NULL),
    (1, 5, 11, 1, NULL, NULL, 'Fail'), (1, 6, 11, 2, NULL, NULL, NULL);
INSERT INTO dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, environment_id, course_id, space_id)
SELECT 1, 1, i, 1 + i % 3, 1, 1, date '2024-03-01' + i * 3, date '2024-03-01' + i * 3, 1, 1, 10 FROM generate_series(1, 30) i
UNION ALL SELECT 1, 1, 100 + i, 1, 1, 1, date '2024-04-15' + i, date '2024-04-15' + i, 1, 1, 11 FROM generate_series(1, 9) i;
SELECT level, grain, stored_rows FROM empatia.build_cube('SPA', 'WEEK', client => 'escola');

-- the label of a period, by any of its days; the one before stays on record
SELECT * FROM empatia.set_label('escola', 1, 'SPA', 'WEEK', 10, '2024-03-13', 'vai bem');
SELECT * FROM empatia.set_label('escola', 1, 'SPA', 'WEEK', 10, '2024-03-10', 'precisa de ajuda');
SELECT user_id, period_start, label, given_by = current_user AS by_me, replaced_at IS NULL AS holds FROM dw.student_label ORDER BY label_id;
SELECT * FROM empatia.set_label('escola', 1, 'SPA', 'WEEK', 10, '2024-03-16', NULL);
SELECT label, replaced_at IS NULL AS holds FROM dw.student_label ORDER BY label_id;
-- in bulk; a second label of one row is refused
INSERT INTO dw.student_label (client_id, level, grain, unit_id, user_id, period_start, label) SELECT 1, 'SPA', 'WEEK', 10, u, '2024-03-10', 'x' FROM generate_series(1, 2) u;
INSERT INTO dw.student_label (client_id, level, grain, unit_id, user_id, period_start, label) VALUES (1, 'SPA', 'WEEK', 10, 1, '2024-03-10', 'y');
\set VERBOSITY terse
INSERT INTO dw.student_label (client_id, level, grain, unit_id, user_id, period_start, label) VALUES (1, 'SPA', 'DAY', 10, 1, '2024-03-10', 'y');
\set VERBOSITY default
-- a teacher, a student of another space, an unknown unit, a day outside, nothing
SELECT * FROM empatia.set_label('escola', 4, 'SPA', 'WEEK', 10, '2024-03-13', 'x');
SELECT * FROM empatia.set_label('escola', 3, 'SPA', 'WEEK', 11, '2024-03-13', 'x');
SELECT * FROM empatia.set_label('escola', 1, 'SPA', 'WEEK', 99, '2024-03-13', 'x');
SELECT * FROM empatia.set_label('escola', 1, 'SPA', 'WEEK', 10, '2020-03-13', 'x');
SELECT * FROM empatia.set_label('escola', 1, 'SPA', 'WEEK', 10, '2024-03-13', '');
SELECT * FROM empatia.set_label('escola', 1, 'SPA', 'MONTH', 10, '2024-03-13', 'x');
SELECT * FROM empatia.set_label('nobody', 1, 'SPA', 'WEEK', 10, '2024-03-13', 'x');

-- outcomes: 30 days from the start of space 10 end on 2 April, so the last whole week begins on 24 March; who left before takes no part. Space 11 has no
-- start: its first active week does, 14 April.
SELECT empatia._outcomes_sql('WEEK', 30, NULL, NULL, NULL) AS outcomes \gset
:outcomes;
SELECT empatia._outcomes_sql('WEEK', 30, '{Fail,Withdrawn}', 'em risco', 'sem risco') AS outcomes \gset
:outcomes;

-- classifiers of the registry, made by hand
INSERT INTO empatia.model (level, grain, client_id, client, task, algorithm, target, features, parameters, metrics, rows, distinct_rows, seconds, seed, fingerprint, extension_version, classes, encoded)
SELECT 'SPA', 'WEEK', c, CASE c WHEN 1 THEN 'escola' END, t, 'decision_tree', 'label', '{posts}', '{}', '{}', 1, 1, 0, 1, '', '', CASE t WHEN 'classification' THEN '{a,b}'::text[] END, ''
FROM (VALUES (NULL::int, 'classification'), (NULL, 'classification'), (NULL, 'classification'), (1, 'classification'), (NULL, 'segmentation')) v (c, t);
SELECT * FROM empatia.rollback('SPA', 'WEEK');
SELECT * FROM empatia.deploy(1);
SELECT * FROM empatia.deploy(1);
SELECT version, previous_version, action, message FROM empatia.deploy(2, 'better');
SELECT version, previous_version, action FROM empatia.deploy(3);
SELECT client, version, previous_version, action FROM empatia.deploy(4);
SELECT empatia._classifier_for('SPA', 'WEEK', 1) AS of_escola, empatia._classifier_for('SPA', 'WEEK', 2) AS of_outra, empatia._classifier_for('SPA', 'MONTH', 1) AS of_month;
-- back to 2, to 1, to none, and no further; the client's own is not touched
SELECT version, previous_version, action FROM empatia.rollback('SPA', 'WEEK', reason => 'worse');
SELECT version, previous_version, action FROM empatia.rollback('SPA', 'WEEK');
SELECT version, previous_version, action FROM empatia.rollback('SPA', 'WEEK');
SELECT version, previous_version, action FROM empatia.rollback('SPA', 'WEEK');
SELECT empatia._classifier_for('SPA', 'WEEK', 1) AS of_escola, empatia._classifier_for('SPA', 'WEEK', 2) AS of_outra;
SELECT version, previous_version, action FROM empatia.deploy(2);
SELECT version, previous_version, action FROM empatia.rollback('SPA', 'WEEK', 'escola');
-- without one of its own the client has that of all
SELECT empatia._classifier_for('SPA', 'WEEK', 1) AS of_escola;
SELECT deployment_id, client_id, version, previous_version, action, reason FROM empatia.deployment ORDER BY 1;
-- not a classifier, not there, in use
SELECT * FROM empatia.deploy(5);
SELECT * FROM empatia.deploy(77);
SELECT * FROM empatia.deploy(NULL);
DELETE FROM empatia.model WHERE version = 2;
-- arguments of train() that are refused before anything is read
SELECT * FROM empatia.train('SPA', 'MONTH');
SELECT * FROM empatia.train('SPA', 'WEEK', algorithm => 'svm');
SELECT * FROM empatia.train('SPA', 'WEEK', target => 'grade');
SELECT * FROM empatia.train('SPA', 'WEEK', split => 'row');
SELECT * FROM empatia.train('SPA', 'WEEK', search => 'wide');
SELECT * FROM empatia.train('SPA', 'WEEK', objective => 'profit');
SELECT * FROM empatia.train('SPA', 'WEEK', objective => 'f1', threshold => 0.3);
SELECT * FROM empatia.train('SPA', 'WEEK', target_recall => 0.9);
SELECT * FROM empatia.train('SPA', 'WEEK', objective => 'cost');
SELECT * FROM empatia.train('SPA', 'WEEK', options => '{"fold": 3}');
SELECT * FROM empatia.train('SPA', 'WEEK', options => '{"folds": 1}');
SELECT * FROM empatia.train('SPA', 'WEEK', options => '{"min_rows": "many"}');
SELECT * FROM empatia.train('SPA', 'WEEK', options => '[]');
SELECT * FROM empatia.train('SPA', 'WEEK', deploy => 'maybe');
SELECT * FROM empatia.train('SPA', 'WEEK', time_budget => '0');
SELECT * FROM empatia.train('SPA', 'WEEK', algorithm => NULL);
-- without labels the segments are learnt, of which there are none yet
DELETE FROM empatia.model WHERE version = 5;
SELECT * FROM empatia.train('SPA', 'WEEK');
