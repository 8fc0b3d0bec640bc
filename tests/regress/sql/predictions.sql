-- What a classifier says of every dense row is what explain() says of that row alone: class, probability, reasons; after every kind of change,
-- without classify() being called. Faults guarded against: a row without a prediction or with another row's; one that is older than its cells;
-- one that is written although it is right; one of a member, unit or classifier that is gone; contributions that do not add up.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION empatia;
SELECT count(*) AS objects FROM empatia.create_warehouse() \g /dev/null
SELECT c.client_id, o.client_id FROM empatia.add_client('escola', 'Escola', 'UTC') c, empatia.add_client('outra', 'Outra', 'UTC') o \g /dev/null
INSERT INTO dw.environment SELECT c, 1, 'A' FROM generate_series(1, 2) c;
INSERT INTO dw.course SELECT c, n, 1, 'c' || n FROM generate_series(1, 2) c, generate_series(1, 2) n;
INSERT INTO dw.space SELECT c, 10 + n, 1 + n % 2, 's' || n FROM generate_series(1, 2) c, generate_series(0, 3) n;
INSERT INTO dw.student (client_id, user_id, name) SELECT c, u, 'u' || u FROM generate_series(1, 2) c, generate_series(1, 40 / c) u;
INSERT INTO dw.enrolment (client_id, enrolment_id, space_id, user_id)
SELECT client_id, row_number() OVER (), s, user_id FROM dw.student, unnest(CASE user_id % 3 WHEN 0 THEN '{10}'::int[] WHEN 1 THEN '{10,11}' ELSE '{12,13}' END) s;
INSERT INTO dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, environment_id, course_id, space_id)
SELECT e.client_id, e.client_id, row_number() OVER (), e.user_id, 1 + i % 5, 1 + i * i % 7, d, d, 1, 1 + e.space_id % 2, e.space_id
FROM dw.enrolment e, generate_series(1, 60) i, LATERAL (SELECT date '2024-01-01' + ((i * 7919 + e.user_id * e.user_id * 104729) % 200)::int AS d) p
WHERE e.user_id % 5 > 0 AND i % (1 + e.user_id % 7 * 2) = 0;
INSERT INTO dw.fact_assignment (client_id, source_id, kind, assignment_id, user_id, assigned_at, due_at, submitted_at, assigned_day, due_day, submitted_day, grade, max_grade,
                                environment_id, course_id, space_id)
SELECT e.client_id, e.client_id, 'x', a, e.user_id, t.at, t.at + interval '9 days', f.at, t.at::date, t.at::date + 9, f.at::date, (a + e.user_id) % 11, 10, 1, 1 + e.space_id % 2, e.space_id
FROM dw.enrolment e, generate_series(1, 12) a, LATERAL (SELECT timestamp '2024-01-05' + a * interval '15 days' AS at) t,
     LATERAL (SELECT CASE WHEN (a * e.user_id) % 3 > 0 THEN t.at + e.user_id % 14 * interval '1 day' END AS at) f
WHERE a % 4 + 10 = e.space_id AND e.user_id % 4 > 0;

-- models by hand, and which of them is deployed
CREATE TABLE deployed (level text, grain text, version bigint);
CREATE OR REPLACE FUNCTION empatia._classifier_for(level text, grain text, client_id integer) RETURNS bigint LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS
$$ SELECT d.version FROM public.deployed d WHERE (d.level, d.grain) = ($1, $2) $$;
CREATE FUNCTION train_by_hand(level text, grain text, training jsonb, recipe jsonb DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
    DELETE FROM deployed d WHERE (d.level, d.grain) = ($1, $2);
    WITH t AS (SELECT * FROM empatia._train_cube('analytics', $1, $2, NULL, $4, $3 || '{"split": {"group": {"folds": 2}}, "min_rows": 2}', '{"kind": "inactive_next", "horizon": 1}')),
    m AS (INSERT INTO empatia.model (level, grain, algorithm, target, features, parameters, metrics, rows, distinct_rows, seconds, seed, fingerprint, extension_version, encoded, task, classes)
          SELECT $1, $2, $3 ->> 'algorithm', 'inactive_next', t.features, '{}', '{}', t.rows, t.distinct_rows, 0, 42, t.fingerprint, empatia.version(), t.encoded, 'classification', t.classes FROM t RETURNING version)
    INSERT INTO deployed SELECT $1, $2, version FROM m RETURNING version
$$;
-- rows of the view of a part, and how many say something else than explain() of each of them
CREATE FUNCTION wrong(level text, grain text, OUT dense bigint, OUT own bigint, OUT wrong bigint, OUT unexplained bigint) LANGUAGE plpgsql AS $$
DECLARE
    v analytics.cubo_engajamento;
    e record;
BEGIN
    EXECUTE format('SELECT count(*) FROM analytics.cube_prediction_%s_%s', level, grain) INTO own;
    dense := 0; wrong := 0; unexplained := 0;
    FOR v IN SELECT c.* FROM analytics.cubo_engajamento c WHERE (c.nivel_agregacao, c.tipo_agregacao_data) = (level, grain) LOOP
        dense := dense + 1;
        SELECT CASE WHEN min(x.class) = max(x.class) THEN empatia._class_label(min(x.class)) END AS class, min(x.probability) AS probability, min(x.model_version) AS version,
               (array_agg(x.reason ORDER BY x.place) FILTER (WHERE x.contribution <> 0))[:3] AS reasons,
               abs(min(x.base_value) + sum(x.contribution) - min(x.score)) AS rest
        INTO e FROM (SELECT x.*, row_number() OVER () AS place
                     FROM empatia.explain(v.cliente, v.user_id, level, grain, CASE level WHEN 'SPA' THEN v.space_id WHEN 'CRS' THEN v.course_id ELSE v.environment_id END, v.data_inicio) x) x;
        wrong := wrong + ((v.categoria_engajamento, v.probabilidade, v.motivos, v.versao_modelo) IS DISTINCT FROM (e.class, e.probability, coalesce(e.reasons, '{}'), e.version))::integer;
        unexplained := unexplained + (e.rest < 1e-6 IS NOT TRUE)::integer;
    END LOOP;
END
$$;
CREATE VIEW places AS
    SELECT 'own' AS kind, tableoid::regclass || ' ' || ctid || ' ' || xmin AS place, client_id, unit_id, user_id FROM analytics.cube_prediction
    UNION ALL SELECT 'default', tableoid::regclass || ' ' || ctid || ' ' || xmin, client_id, unit_id, NULL FROM analytics.cube_prediction_default
    UNION ALL SELECT 'reason', ctid || ' ' || xmin, client_id, NULL, NULL FROM analytics.cube_reason
    UNION ALL SELECT 'unit', ctid || ' ' || xmin, client_id, unit_id, NULL FROM analytics.cube_prediction_unit
    UNION ALL SELECT 'label', ctid || ' ' || xmin, client_id, class, NULL FROM analytics.cube_label;

UPDATE empatia.pipeline SET active = (level, grain) IN (('SPA', 'FORTNIGHT'), ('CRS', 'MONTH'));
SELECT count(*) AS parts FROM empatia.build_cube();
SELECT * FROM empatia.explain('escola', 1, 'SPA', 'FORTNIGHT', 10);
SELECT * FROM empatia.classify();

-- each algorithm; segments are not needed
SELECT train_by_hand('CRS', 'MONTH', '{"algorithm": "logistic_regression"}') > 0 AS trained;
SELECT train_by_hand('SPA', 'FORTNIGHT', '{"algorithm": "gradient_boosting"}') > 0 AS trained;
SELECT client, level, grain, model_version = (SELECT max(version) FROM empatia.model m WHERE (m.level, m.grain) = (c.level, c.grain)) AS newest, dense_rows, written_rows > 0 AS written FROM empatia.classify() c;
SELECT * FROM wrong('SPA', 'FORTNIGHT');
SELECT * FROM wrong('CRS', 'MONTH');
SELECT count(*) FILTER (WHERE motivos IS NULL OR cardinality(motivos) NOT BETWEEN 1 AND 3) AS without_reason, count(DISTINCT categoria_engajamento) AS categories FROM analytics.cubo_engajamento;
SELECT train_by_hand('SPA', 'FORTNIGHT', '{"algorithm": "random_forest", "parameters": {"trees": 20}}', '{"history": 2, "lags": 1}') > 0 AS trained;
SELECT sum(written_rows) > 0 AS written FROM empatia.classify('SPA', 'FORTNIGHT');
SELECT * FROM wrong('SPA', 'FORTNIGHT');
SELECT train_by_hand('SPA', 'FORTNIGHT', '{"algorithm": "decision_tree"}', '{"measures": ["posts", "accesses"], "history": 0, "context": false}') > 0 AS trained;
SELECT sum(written_rows) > 0 AS written FROM empatia.classify('SPA', 'FORTNIGHT');
SELECT * FROM wrong('SPA', 'FORTNIGHT');
SELECT train_by_hand('SPA', 'FORTNIGHT', '{"algorithm": "ensemble", "calibrate": false}', '{"history": 1}') > 0 AS trained;
SELECT sum(written_rows) > 0 AS written FROM empatia.classify('SPA', 'FORTNIGHT');
SELECT * FROM wrong('SPA', 'FORTNIGHT');
SELECT train_by_hand('SPA', 'FORTNIGHT', '{"algorithm": "gradient_boosting"}') > 0 AS trained;
SELECT sum(written_rows) > 0 AS written FROM empatia.classify('SPA', 'FORTNIGHT');

-- again: not a row is written
CREATE TABLE before AS TABLE places;
SELECT sum(written_rows) AS written FROM empatia.classify();
SELECT count(*) AS differing FROM ((TABLE places EXCEPT ALL TABLE before) UNION ALL (TABLE before EXCEPT ALL TABLE places)) d;
-- damage is repaired
DELETE FROM analytics.cube_prediction WHERE user_id = 7;
UPDATE analytics.cube_prediction_default SET probability = 0.5 WHERE unit_id = 12;
INSERT INTO analytics.cube_prediction SELECT client_id, level, grain, 999, unit_id, period_start, class, probability, 0, 0, 0 FROM analytics.cube_prediction WHERE user_id = 8;
DELETE FROM analytics.cube_reason WHERE hashint8(reason_id) % 2 = 0;
SELECT sum(written_rows) > 0 AS written FROM empatia.classify();
SELECT * FROM wrong('SPA', 'FORTNIGHT');
SELECT count(*) AS nobodys FROM analytics.cube_prediction WHERE user_id = 999;

-- new facts of a student: predictions follow in the build's transaction, those of other units stay where they are
DROP TABLE before;
CREATE TABLE before AS TABLE places;
INSERT INTO dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, environment_id, course_id, space_id)
SELECT 1, 1, 100000 + i, 3, 1, 1, date '2024-03-05' + i, date '2024-03-05' + i, 1, 1, 10 FROM generate_series(0, 4) i;
INSERT INTO dw.change (client_id, change_id, user_id, day) SELECT 1, n.id, 3, date '2024-03-05' + i FROM generate_series(0, 4) i, (SELECT nextval('dw.change_id_seq') AS id) n;
SELECT client, level, grain, mode FROM empatia.build_cube();
SELECT * FROM wrong('SPA', 'FORTNIGHT');
SELECT * FROM wrong('CRS', 'MONTH');
SELECT kind, unit_id, count(*) > 0 AS moved FROM (SELECT * FROM before EXCEPT ALL SELECT * FROM places) d WHERE kind IN ('own', 'default') GROUP BY 1, 2 ORDER BY 1, 2;
SELECT sum(written_rows) AS written FROM empatia.classify();

-- who leaves has no prediction any more, who joins has one at once; the unit's others see another class
DELETE FROM dw.enrolment WHERE client_id = 1 AND user_id = 4;
INSERT INTO dw.enrolment (client_id, enrolment_id, space_id, user_id) VALUES (1, 5000, 13, 3);
SELECT client, level, grain, mode <> 'unchanged' AS changed FROM empatia.build_cube();
SELECT * FROM wrong('SPA', 'FORTNIGHT');
SELECT count(*) AS of_the_gone FROM analytics.cube_prediction WHERE (client_id, user_id) = (1, 4);
SELECT sum(written_rows) AS written FROM empatia.classify();
-- a space that is gone, with all of its students
UPDATE dw.space SET removed = true WHERE (client_id, space_id) = (2, 13);
SELECT count(*) AS parts FROM empatia.build_cube();
SELECT * FROM wrong('SPA', 'FORTNIGHT');
SELECT (SELECT count(*) FROM analytics.cube_prediction WHERE (client_id, unit_id) = (2, 13)) AS own, (SELECT count(*) FROM analytics.cube_prediction_default WHERE (client_id, unit_id) = (2, 13)) AS shared,
       (SELECT count(*) FROM analytics.cube_prediction_unit WHERE (client_id, unit_id) = (2, 13)) AS marks;
SELECT sum(written_rows) AS written FROM empatia.classify();

-- a client's fact beyond the range adds periods for all clients, also for the one where nothing changed
INSERT INTO dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, environment_id, course_id, space_id)
VALUES (1, 1, 200000, 3, 1, 1, '2024-09-20', '2024-09-20', 1, 1, 10);
INSERT INTO dw.change (client_id, change_id, user_id, day) SELECT 1, nextval('dw.change_id_seq'), 3, '2024-09-20';
SELECT client, level, grain, mode FROM empatia.build_cube();
SELECT * FROM wrong('SPA', 'FORTNIGHT');
SELECT sum(written_rows) AS written FROM empatia.classify();

-- assignments where they are due; cells by queries; from scratch
UPDATE empatia.setting SET value = 'due' WHERE key = 'assignment_basis';
SELECT count(*) AS parts FROM empatia.build_cube();
SELECT * FROM wrong('SPA', 'FORTNIGHT');
UPDATE empatia.setting SET value = 'sql' WHERE key = 'builder';
SELECT count(*) AS parts FROM empatia.build_cube(full_build => true);
SELECT * FROM wrong('SPA', 'FORTNIGHT');
SELECT sum(written_rows) AS written FROM empatia.classify();
UPDATE empatia.setting SET value = 'native' WHERE key = 'builder';

-- other words
SELECT count(*) FILTER (WHERE reason LIKE 'apesar de %') > 0 AS portuguese, count(*) FILTER (WHERE reason LIKE 'despite %') > 0 AS english FROM analytics.cube_reason;
UPDATE empatia.setting SET value = 'en' WHERE key = 'language';
SELECT sum(written_rows) > 0 AS written FROM empatia.classify();
SELECT count(*) FILTER (WHERE reason LIKE 'apesar de %') > 0 AS portuguese, count(*) FILTER (WHERE reason LIKE 'despite %') > 0 AS english FROM analytics.cube_reason;
SELECT DISTINCT categoria_engajamento FROM analytics.cubo_engajamento ORDER BY 1;
SELECT * FROM wrong('SPA', 'FORTNIGHT');
UPDATE empatia.setting SET value = 'fr' WHERE key = 'language';

-- segments beside the classifier, seen once it is gone
SELECT count(*) > 0 AS segments FROM empatia.kmeans_segments();
SELECT count(*) AS parts FROM empatia.classify();
SELECT count(DISTINCT categoria_engajamento) AS categories, count(probabilidade) = count(*) AS foretold FROM analytics.cubo_engajamento;
TRUNCATE deployed;
SELECT sum(written_rows) AS written FROM empatia.classify();
SELECT count(*) FILTER (WHERE categoria_engajamento IS NULL) AS without, count(probabilidade) + count(motivos) AS foretold, count(DISTINCT versao_modelo) AS models FROM analytics.cubo_engajamento;
SELECT (SELECT count(*) FROM analytics.cube_prediction) + (SELECT count(*) FROM analytics.cube_prediction_default) + (SELECT count(*) FROM analytics.cube_reason)
     + (SELECT count(*) FROM analytics.cube_prediction_unit) + (SELECT count(*) FROM analytics.cube_label WHERE class < 0) AS left_over;

-- what explain() refuses
INSERT INTO deployed SELECT level, grain, max(version) FROM empatia.model WHERE target <> 'segment' GROUP BY 1, 2;
SELECT count(*) > 0 AS without_classify FROM empatia.explain('escola', 1, 'SPA', 'FORTNIGHT', 10);
SELECT * FROM empatia.explain('nobody', 1, 'SPA', 'FORTNIGHT', 10);
SELECT * FROM empatia.explain('escola', 1, 'SPA', 'DAY', 10);
SELECT * FROM empatia.explain('escola', 1, 'SPA', 'WEEK', 10);
SELECT * FROM empatia.explain('escola', 1, 'SPA', 'FORTNIGHT', 12);
SELECT * FROM empatia.explain('escola', 1, 'SPA', 'FORTNIGHT', 99);
SELECT * FROM empatia.explain('escola', 1, 'SPA', 'FORTNIGHT', 10, '2024-03-05');
SELECT * FROM empatia.explain('escola', NULL, 'SPA', 'FORTNIGHT', 10);
SELECT * FROM empatia._classify_with(1, 'analytics', 'SPA', 'FORTNIGHT', '\x00', false);

-- more than the memory that is allowed: refused before it is taken, and nothing has changed
SELECT train_by_hand('SPA', 'FORTNIGHT', '{"algorithm": "decision_tree"}', '{"history": 104, "lags": 104}') > 0 AS trained;
UPDATE empatia.setting SET value = 'pt' WHERE key = 'language';
DROP TABLE before;
CREATE TABLE before AS TABLE places;
SET empatia.memory_limit = '16MB';
DO $$
BEGIN
    PERFORM empatia.classify('SPA', 'FORTNIGHT');
    RAISE WARNING 'classified with 16 MB';
EXCEPTION WHEN out_of_memory THEN
    RAISE WARNING '%: %', SQLSTATE, regexp_replace(SQLERRM, '[0-9]+', 'N', 'g');
END
$$;
SELECT count(*) AS differing FROM ((TABLE places EXCEPT ALL TABLE before) UNION ALL (TABLE before EXCEPT ALL TABLE places)) d;
RESET empatia.memory_limit;
SELECT sum(written_rows) > 0 AS written FROM empatia.classify('SPA', 'FORTNIGHT');
