-- The native classification and counting are what the queries say: every part of the cube, both bases. Faults guarded against: a class of
-- another row, basis or client; a row that is written although it is right, or left although it is wrong; a class without a cell.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION empatia;
SELECT count(*) AS objects FROM empatia.create_warehouse() \g /dev/null
SELECT c.client_id, o.client_id FROM empatia.add_client('escola', 'Escola', 'UTC') c, empatia.add_client('outra', 'Outra', 'UTC') o \g /dev/null
-- two clients with the same ids: four spaces of two courses, each student in one or two of them; the second has fewer students
INSERT INTO dw.environment SELECT c, 1, 'A' FROM generate_series(1, 2) c;
INSERT INTO dw.course SELECT c, n, 1, 'c' || n FROM generate_series(1, 2) c, generate_series(1, 2) n;
INSERT INTO dw.space SELECT c, 10 + n, 1 + n % 2, 's' || n FROM generate_series(1, 2) c, generate_series(0, 3) n;
INSERT INTO dw.subject SELECT c, s * 10 + n, s, 'sub' FROM generate_series(1, 2) c, generate_series(10, 13) s, generate_series(1, 2) n;
INSERT INTO dw.lecture SELECT b.client_id, b.subject_id * 10 + n, b.subject_id, 'lec' FROM dw.subject b, generate_series(1, 2) n;
INSERT INTO dw.student SELECT c, u, 'u' || u FROM generate_series(1, 2) c, generate_series(1, 40 / c) u;
INSERT INTO dw.enrolment (client_id, enrolment_id, space_id, user_id)
SELECT client_id, row_number() OVER (), s, user_id FROM dw.student, unnest(CASE user_id % 3 WHEN 0 THEN '{10}'::int[] WHEN 1 THEN '{10,11}' ELSE '{12,13}' END) s;
INSERT INTO dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day,
                                 environment_id, course_id, space_id, subject_id, lecture_id)
SELECT e.client_id, e.client_id, row_number() OVER (), e.user_id, 1 + i % 5, 1 + i * i % 7, d, d, 1, 1 + e.space_id % 2, e.space_id, e.space_id * 10 + 1 + i % 2,
       CASE WHEN i % 3 > 0 THEN (e.space_id * 10 + 1 + i % 2) * 10 + 1 + i % 2 END
FROM dw.enrolment e, generate_series(1, 60) i, LATERAL (SELECT date '2024-01-01' + ((i * 7919 + e.user_id * e.user_id * 104729) % 200)::int AS d) p
WHERE e.user_id % 5 > 0 AND i % (1 + e.user_id % 4) = 0;
INSERT INTO dw.fact_assignment (client_id, source_id, kind, assignment_id, user_id, assigned_at, due_at, submitted_at, assigned_day, due_day, submitted_day,
                                environment_id, course_id, space_id, subject_id, lecture_id)
SELECT e.client_id, e.client_id, 'x', a, e.user_id, t.at, t.at + interval '9 days', f.at, t.at::date, t.at::date + 9, f.at::date,
       1, 1 + e.space_id % 2, e.space_id, e.space_id * 10 + 1, (e.space_id * 10 + 1) * 10 + 1
FROM dw.enrolment e, generate_series(1, 12) a, LATERAL (SELECT timestamp '2024-01-05' + a * interval '15 days' AS at) t,
     LATERAL (SELECT CASE WHEN (a * e.user_id) % 3 > 0 THEN t.at + e.user_id % 14 * interval '1 day' END AS at) f
WHERE a % 4 + 10 = e.space_id;
UPDATE empatia.pipeline SET active = true, k = 3;
-- every feature there is, in another order than the table's; no assignments; assignments alone
UPDATE empatia.pipeline SET features = '{late_exercises,active_days,assigned_exercises,accesses,posts,post_replies,submitted_exercises,help_requests,help_request_replies}' WHERE grain = 'MONTH';
UPDATE empatia.pipeline SET features = '{posts,active_days}' WHERE grain = 'QUARTER';
UPDATE empatia.pipeline SET features = '{assigned_exercises}' WHERE grain = 'YEAR';

-- stored classes that the definition does not have, and the reverse, over all parts and clients
CREATE FUNCTION wrong(OUT parts bigint, OUT rows bigint, OUT wrong bigint, OUT missing bigint, OUT wrong_zero bigint) LANGUAGE plpgsql AS $$
DECLARE
    part record;
    m empatia.model;
BEGIN
    CREATE TEMP TABLE defined (LIKE analytics.cube_class) ON COMMIT DROP;
    CREATE TEMP TABLE defined_zero (LIKE analytics.cube_class_zero) ON COMMIT DROP;
    FOR part IN SELECT * FROM analytics.cube_build LOOP
        SELECT * INTO m FROM empatia.model WHERE version = empatia._model_for(part.level, part.grain, part.client_id);
        EXECUTE 'INSERT INTO pg_temp.defined ' || empatia._classes_sql(part.level, part.grain, m.features) USING part.client_id, m.encoded;
        INSERT INTO pg_temp.defined_zero
        SELECT part.client_id, part.level, part.grain, z.n,
               empatia._segment_rank(m.encoded, ARRAY(SELECT CASE f WHEN 'assigned_exercises' THEN z.n ELSE 0 END::float8 FROM unnest(m.features) f))
        FROM (SELECT 0 AS n UNION SELECT a.assigned_exercises FROM analytics.cube_assigned a
              WHERE a.client_id = part.client_id AND a.level = part.level AND part.assignment_basis = 'universe') z;
    END LOOP;
    SELECT count(DISTINCT (k.level, k.grain)), count(*) INTO parts, rows FROM analytics.cube_class k;
    SELECT count(*) INTO wrong FROM (TABLE analytics.cube_class EXCEPT ALL TABLE pg_temp.defined) d;
    SELECT count(*) INTO missing FROM (TABLE pg_temp.defined EXCEPT ALL TABLE analytics.cube_class) d;
    SELECT count(*) INTO wrong_zero FROM ((TABLE analytics.cube_class_zero EXCEPT ALL TABLE pg_temp.defined_zero) UNION ALL (TABLE pg_temp.defined_zero EXCEPT ALL TABLE analytics.cube_class_zero)) d;
    DROP TABLE pg_temp.defined, pg_temp.defined_zero;
END
$$;
-- models fitted on the vectors of the query and on those counted natively, of all clients, of each, and of one that does not exist
CREATE FUNCTION fits() RETURNS TABLE (models bigint, equal bigint, counted double precision) LANGUAGE sql AS $$
    SELECT count(*), count(*) FILTER (WHERE q IS NOT DISTINCT FROM n), sum((n).total_rows)
    FROM empatia.pipeline p, (VALUES (NULL), (1), (2)) c (client_id),
         empatia._fit_segments(empatia._vectors_sql(p.level, p.grain, p.features), c.client_id, p.features, array_fill(1.0::float8, ARRAY[cardinality(p.features)]), 4, 42, NULL, 300, 1e-4) q,
         empatia._fit_segments('', c.client_id, p.features, array_fill(1.0::float8, ARRAY[cardinality(p.features)]), 4, 42, NULL, 300, 1e-4, 'kmeans', NULL, 'analytics', p.level, p.grain) n
$$;

SELECT count(*) AS parts FROM empatia.build_cube();
SELECT * FROM fits();
SELECT count(*) AS segments FROM empatia.kmeans_segments();
SELECT count(*) AS parts, sum(written_rows) = (SELECT count(*) FROM analytics.cube) AS all_written FROM empatia.classify();
SELECT * FROM wrong();
SELECT count(*) > 10 AS some, array_agg(DISTINCT assigned_exercises) AS numbers FROM analytics.cube_class_zero WHERE level = 'ENV';

-- the same model again, and a new one that is the same but for its version: not a row is written
CREATE VIEW places AS
    SELECT 'class' AS kind, tableoid::regclass || ' ' || ctid || ' ' || xmin AS place, client_id, level, grain, user_id, unit_id, period_start, class::text FROM analytics.cube_class
    UNION ALL SELECT 'zero', ctid || ' ' || xmin, client_id, level, grain, assigned_exercises, NULL, NULL, class::text FROM analytics.cube_class_zero
    UNION ALL SELECT 'label', ctid || ' ' || xmin, client_id, level, grain, class, NULL, NULL, label FROM analytics.cube_label;
CREATE TABLE before AS TABLE places;
SELECT sum(written_rows) AS written FROM empatia.classify();
SELECT count(*) AS differing FROM (TABLE places EXCEPT ALL TABLE before) d;
SELECT count(*) AS segments FROM empatia.kmeans_segments();
SELECT sum(written_rows) AS written FROM empatia.classify();
SELECT count(*) AS differing FROM (TABLE places EXCEPT ALL TABLE before) d;
SELECT count(*) AS parts, count(*) FILTER (WHERE b.model_version = (SELECT max(version) FROM empatia.model m WHERE (m.level, m.grain) = (b.level, b.grain))) AS newest FROM analytics.cube_build b;

-- another model: exactly the rows that differ are written, whatever they are
SELECT count(*) AS segments FROM empatia.kmeans_segments(k => 4);
CREATE TABLE written AS SELECT client, level, grain, written_rows FROM empatia.classify();
SELECT * FROM wrong();
SELECT kind, count(*) > 0 AS some, count(*) FILTER (WHERE o.class <> n.class) > 0 AS some_differ, count(*) FILTER (WHERE o.class = n.class) > 0 AS some_equal,
       count(*) FILTER (WHERE (o.class = n.class) <> (o.place = n.place)) AS wrongly_written_or_left
FROM before o JOIN places n USING (kind, client_id, level, grain, user_id) WHERE (o.unit_id, o.period_start) IS NOT DISTINCT FROM (n.unit_id, n.period_start) GROUP BY kind ORDER BY kind;
SELECT (SELECT sum(written_rows) FROM written) = count(*) AS reported
FROM before o JOIN places n USING (kind, client_id, level, grain, user_id, unit_id, period_start) WHERE kind = 'class' AND o.class <> n.class;

-- cells that are gone lose their class, cells without one get it; other rows stay where they are
DROP TABLE before;
CREATE TABLE before AS TABLE places;
DELETE FROM analytics.cube WHERE user_id IN (4, 7);
DELETE FROM analytics.cube_class WHERE user_id IN (8, 31);
SELECT count(*) > 0 AS some FROM analytics.cube_class WHERE user_id IN (4, 7);
SELECT sum(written_rows) = (SELECT count(*) FROM analytics.cube WHERE user_id IN (8, 31)) AS as_many_as_missing FROM empatia.classify();
SELECT * FROM wrong();
SELECT count(*) FILTER (WHERE user_id IN (4, 7)) AS of_the_gone, count(*) FILTER (WHERE user_id IN (8, 31)) > 0 AS of_the_missing,
       count(*) FILTER (WHERE user_id NOT IN (8, 31) AND p.place NOT IN (SELECT b.place FROM before b)) AS moved
FROM places p WHERE kind = 'class';

-- Numbers of assignments that somebody spoiled: a whole build counts them again, in this process and by query, writes those that differ and no
-- others, and classifies the cells of their members again.
CREATE VIEW counted AS SELECT f.client_id, v.level, f.user_id, v.unit_id, count(*) AS assigned_exercises
FROM dw.fact_assignment f JOIN dw.enrolment e USING (client_id, space_id, user_id),
     LATERAL (VALUES ('ENV', f.environment_id), ('CRS', f.course_id), ('SPA', f.space_id), ('SUB', f.subject_id), ('LEC', f.lecture_id)) v (level, unit_id)
GROUP BY 1, 2, 3, 4;
CREATE FUNCTION spoil(by text, OUT spoiled bigint, OUT wrong_counts bigint, OUT written bigint) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE empatia.setting SET value = by WHERE key = 'builder';
    DELETE FROM analytics.cube_assigned WHERE user_id % 7 = 1;
    UPDATE analytics.cube_assigned SET assigned_exercises = assigned_exercises + user_id % 3 WHERE user_id % 7 = 2;
    INSERT INTO analytics.cube_assigned SELECT client_id, l, user_id, 990 + i, 1 FROM dw.student, unnest('{ENV,LEC}'::text[]) l, generate_series(1, 2) i WHERE user_id % 7 = 3;
    SELECT count(*) INTO spoiled FROM ((TABLE analytics.cube_assigned EXCEPT ALL TABLE counted) UNION ALL (TABLE counted EXCEPT ALL TABLE analytics.cube_assigned)) d;
    CREATE TEMP TABLE places AS SELECT a.ctid AS place, a.* FROM analytics.cube_assigned a;
    PERFORM empatia.build_cube(full_build => true);
    SELECT count(*) INTO wrong_counts FROM ((TABLE analytics.cube_assigned EXCEPT ALL TABLE counted) UNION ALL (TABLE counted EXCEPT ALL TABLE analytics.cube_assigned)) d;
    SELECT count(*) INTO written FROM analytics.cube_assigned a WHERE NOT EXISTS (SELECT FROM pg_temp.places p WHERE p.place = a.ctid AND (p.client_id, p.level, p.user_id, p.unit_id) = (a.client_id, a.level, a.user_id, a.unit_id));
    DROP TABLE pg_temp.places;
END
$$;
SELECT * FROM spoil('native');
SELECT * FROM wrong();
SELECT * FROM spoil('sql');
SELECT * FROM wrong();
-- those that do not fit into the memory there is are left to the query
BEGIN;
INSERT INTO dw.fact_assignment (client_id, source_id, kind, assignment_id, user_id, environment_id, course_id, space_id, subject_id, lecture_id)
SELECT f.client_id, f.source_id, 'y', i, f.user_id, f.environment_id, f.course_id, f.space_id, f.subject_id, f.lecture_id
FROM generate_series(1, 300000) i, (SELECT * FROM dw.fact_assignment WHERE client_id = 1 ORDER BY user_id, assignment_id LIMIT 1) f;
SET LOCAL empatia.memory_limit = '16MB';
UPDATE empatia.setting SET value = 'native' WHERE key = 'builder';
SELECT empatia._count_assigned(1, 'dw', 'analytics', false) IS NULL AS too_many;
SELECT empatia._write_assigned(1, NULL);
SELECT level, count(*) FROM (TABLE counted EXCEPT ALL TABLE analytics.cube_assigned) d GROUP BY 1;
ROLLBACK;
UPDATE empatia.setting SET value = 'native' WHERE key = 'builder';

-- assignments where they are due; then by queries, which find nothing to do and do it alike from scratch
UPDATE empatia.setting SET value = 'due' WHERE key = 'assignment_basis';
SELECT count(*) AS parts FROM empatia.build_cube(full_build => true);
SELECT * FROM fits();
SELECT count(*) AS segments FROM empatia.kmeans_segments(k => 4);
SELECT count(*) AS parts FROM empatia.classify();
SELECT * FROM wrong();
UPDATE empatia.setting SET value = 'sql' WHERE key = 'builder';
SELECT empatia._native_results('SPA', 'WEEK') IS NULL AS by_queries;
SELECT sum(written_rows) AS written FROM empatia.classify();
SELECT * FROM wrong();
DELETE FROM analytics.cube_class WHERE level IN ('SPA', 'LEC');
UPDATE analytics.cube_class SET class = 5 - class WHERE user_id = 9;
DELETE FROM analytics.cube WHERE user_id = 10;
SELECT count(*) AS parts FROM empatia.classify();
SELECT * FROM wrong();
UPDATE empatia.setting SET value = 'native' WHERE key = 'builder';
SELECT sum(written_rows) AS written FROM empatia.classify();
-- policies that would filter what is written make it a matter of queries, too
CREATE ROLE regress_empatia_filtered;
ALTER TABLE analytics.cube_class_spa_week ENABLE ROW LEVEL SECURITY;
GRANT USAGE ON SCHEMA analytics TO regress_empatia_filtered;
SELECT empatia._native_results('SPA', 'WEEK') AS of_the_owner;
SET ROLE regress_empatia_filtered;
SELECT empatia._native_results('SPA', 'WEEK') IS NULL AS by_queries, empatia._native_results('SPA', 'MONTH') AS native;
RESET ROLE;
DROP OWNED BY regress_empatia_filtered;
DROP ROLE regress_empatia_filtered;

-- what the function refuses
SELECT * FROM empatia._classify_cells(1, 'analytics', 'SPA', 'WEEK', true, '{likes}', (SELECT encoded FROM empatia.model LIMIT 1));
SELECT * FROM empatia._classify_cells(1, 'analytics', 'SPA', 'WEEK', true, '{posts}', '\x00');
SELECT * FROM empatia._classify_cells(1, 'analytics', 'SPA', 'WEEK', true, '{posts}', (SELECT encoded FROM empatia.model WHERE cardinality(features) = 9 LIMIT 1));
