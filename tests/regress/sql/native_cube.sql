-- The native pass and the query give the same cube, cell by cell: all 35 parts, both bases, all weeks, and the same report.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION empatia;
SELECT count(*) FROM empatia.create_warehouse();
SELECT client_id FROM empatia.add_client('escola', 'Escola', 'UTC');
SELECT client_id FROM empatia.add_client('outra', 'Outra', 'UTC');

-- two environments, three courses, four spaces (10 and 11 share students; 13 is removed), subjects and lectures of which one is removed
INSERT INTO dw.environment VALUES (1, 1, 'A', false), (1, 2, 'B', false);
INSERT INTO dw.course VALUES (1, 1, 1, 'c1', false), (1, 2, 1, 'c2', false), (1, 3, 2, 'c3', false);
INSERT INTO dw.space VALUES (1, 10, 1, 's10', false), (1, 11, 2, 's11', false), (1, 12, 3, 's12', false), (1, 13, 1, 's13', true);
INSERT INTO dw.subject SELECT 1, s * 10 + n, s, 'sub', s = 10 AND n = 3 FROM generate_series(10, 13) s, generate_series(1, 3) n;
INSERT INTO dw.lecture SELECT 1, b.subject_id * 10 + n, b.subject_id, 'lec', NULL, b.subject_id = 102 AND n = 2
FROM dw.subject b, generate_series(1, 2) n WHERE b.client_id = 1;
INSERT INTO dw.student SELECT 1, u, 'u' || u, NULL, u = 9 FROM generate_series(-3, 20) u;
-- 20 teaches in 10; 9 is a removed user; -3..0 are in no space; each other student is in one or two spaces
INSERT INTO dw.enrolment SELECT 1, row_number() OVER (), s, u, CASE WHEN u = 20 THEN 'teacher' END
FROM generate_series(1, 20) u, unnest(CASE u % 4 WHEN 0 THEN '{10}'::int[] WHEN 1 THEN '{10,11}' WHEN 2 THEN '{11,12}' ELSE '{12,13}' END) s;

-- interactions of everybody everywhere, at every depth; on own walls, outside the range, of no amount, of a kind unknown to the cube,
-- hanging on a lecture without subject, without course, without environment
INSERT INTO dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day,
                                 environment_id, course_id, space_id, subject_id, lecture_id)
SELECT 1, 1, i, (i * 5 + i / 24) % 24 - 3, CASE WHEN i % 97 = 0 THEN 99 ELSE i % 5 + 1 END, i % 4, d, d,
       CASE WHEN i % 31 > 0 THEN CASE WHEN p.space = 12 THEN 2 ELSE 1 END END,
       CASE WHEN i % 29 > 0 THEN CASE p.space WHEN 10 THEN 1 WHEN 11 THEN 2 WHEN 12 THEN 3 ELSE 1 END END,
       p.space,
       CASE WHEN p.space IS NOT NULL AND i % 3 > 0 AND i % 23 > 0 THEN p.space * 10 + 1 + i % 3 END,
       CASE WHEN p.space IS NOT NULL AND i % 3 > 0 AND i % 4 > 1 THEN (p.space * 10 + 1 + i % 3) * 10 + 1 + i % 2 END
FROM generate_series(1, 6000) i,
     LATERAL (SELECT date '2023-11-20' + (i * 7919 % 500) AS d, CASE WHEN i % 17 > 0 THEN 10 + i / 7 % 4 END AS space) p;
-- all dates there may be: handed in early, late, on the day but late, never; without due day, without any day; no grade, no maximum
INSERT INTO dw.fact_assignment (client_id, source_id, kind, assignment_id, user_id, assigned_at, due_at, submitted_at, assigned_day, due_day, submitted_day,
                                grade, max_grade, environment_id, course_id, space_id, subject_id, lecture_id)
SELECT 1, 1, 'x', a, u, f.assigned, f.due, f.submitted, f.assigned::date, f.due::date, f.submitted::date,
       CASE WHEN (a + u) % 3 > 0 THEN (a * u + 40) % 11 END, CASE (a + u) % 7 WHEN 0 THEN NULL WHEN 1 THEN 0 ELSE 8 END,
       CASE WHEN a % 10 = 2 THEN 2 ELSE 1 END, CASE a % 10 WHEN 0 THEN 1 WHEN 1 THEN 2 WHEN 2 THEN 3 ELSE 1 END,
       CASE WHEN a % 13 > 0 THEN 10 + a % 4 END,
       CASE WHEN a % 13 > 0 AND a % 3 > 0 THEN (10 + a % 4) * 10 + 1 + a % 3 END,
       CASE WHEN a % 13 > 0 AND a % 3 > 1 THEN ((10 + a % 4) * 10 + 1 + a % 3) * 10 + 1 + a % 2 END
FROM generate_series(1, 60) a, generate_series(-3, 20) u,
     LATERAL (SELECT timestamp '2024-01-01' + a * interval '5 days 5 hours' AS start) t,
     LATERAL (SELECT CASE WHEN a % 5 > 0 THEN t.start END AS assigned,
                     CASE WHEN a % 4 > 0 THEN t.start + interval '10 days' END AS due,
                     CASE WHEN (a + u) % 3 > 0 THEN t.start + make_interval(hours => 24 * (u + 3) + 230 - a % 24) END AS submitted) f;
-- the other client's facts are not this one's
INSERT INTO dw.environment VALUES (2, 1, 'Z', false);
INSERT INTO dw.course VALUES (2, 1, 1, 'z', false);
INSERT INTO dw.space VALUES (2, 10, 1, 'z', false);
INSERT INTO dw.student VALUES (2, 1, 'z'), (2, 2, 'y');
INSERT INTO dw.enrolment VALUES (2, 1, 10, 1, NULL), (2, 2, 10, 2, NULL);
INSERT INTO dw.fact_interaction VALUES (2, 2, 1, 1, 1, 5, '2024-02-01', '2024-02-01', 1, 1, 10, NULL, NULL);
UPDATE empatia.pipeline SET active = true;

CREATE TABLE by_query (LIKE analytics.cube);
CREATE TABLE report_of_query AS SELECT * FROM empatia.build_cube() LIMIT 0;

CREATE FUNCTION compare(basis text, first_day text, range_from date, range_to date)
RETURNS TABLE (parts bigint, cells bigint, missing bigint, extra bigint, differing_reports bigint) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE empatia.setting s SET value = v.value FROM (VALUES ('assignment_basis', basis), ('first_day_of_week', first_day), ('builder', 'sql')) v (key, value) WHERE v.key = s.key;
    DELETE FROM by_query;
    DELETE FROM report_of_query;
    INSERT INTO report_of_query SELECT * FROM empatia.build_cube(date_from => range_from, date_to => range_to, full_build => true);
    INSERT INTO by_query SELECT * FROM analytics.cube;
    UPDATE empatia.setting s SET value = 'native' WHERE s.key = 'builder';
    CREATE TEMP TABLE report ON COMMIT DROP AS SELECT * FROM empatia.build_cube(date_from => range_from, date_to => range_to, full_build => true);
    -- grades are added in another order, so their sums may differ in the last bits
    CREATE TEMP TABLE a ON COMMIT DROP AS SELECT to_jsonb(c) - 'grade_sum' || jsonb_build_object('grade_sum', round(c.grade_sum::numeric, 9)) AS cell FROM by_query c;
    CREATE TEMP TABLE b ON COMMIT DROP AS SELECT to_jsonb(c) - 'grade_sum' || jsonb_build_object('grade_sum', round(c.grade_sum::numeric, 9)) AS cell FROM analytics.cube c;
    CREATE TEMP TABLE x ON COMMIT DROP AS SELECT to_jsonb(r) - '{seconds,written_rows}'::text[] AS line FROM report_of_query r;
    CREATE TEMP TABLE y ON COMMIT DROP AS SELECT to_jsonb(r) - '{seconds,written_rows}'::text[] AS line FROM report r;
    RETURN QUERY SELECT (SELECT count(DISTINCT (c.level, c.grain)) FROM analytics.cube c), (SELECT count(*) FROM b),
        (SELECT count(*) FROM (TABLE a EXCEPT ALL TABLE b) d), (SELECT count(*) FROM (TABLE b EXCEPT ALL TABLE a) d),
        (SELECT count(*) FROM ((TABLE x EXCEPT ALL TABLE y) UNION ALL (TABLE y EXCEPT ALL TABLE x)) d);
END
$$;
SELECT * FROM compare('universe', '0', NULL, NULL);
SELECT * FROM compare('due', '0', NULL, NULL);
SELECT * FROM compare('universe', '1', '2024-01-17', '2024-09-02');
SELECT * FROM compare('due', '4', '2024-01-17', '2024-09-02');
SELECT * FROM compare('universe', '0', '1990-01-01', '1990-01-01');

-- the removed subject and lecture have no cells, their space has
UPDATE empatia.setting SET value = 'universe' WHERE key = 'assignment_basis';
SELECT count(*) FROM empatia.build_cube(full_build => true);
SELECT count(*) FILTER (WHERE level = 'SUB' AND unit_id = 102) AS kept_subject, count(*) FILTER (WHERE level = 'SUB' AND unit_id = 103) AS removed_subject,
       count(*) FILTER (WHERE level = 'LEC' AND unit_id = 1021) AS kept_lecture, count(*) FILTER (WHERE level = 'LEC' AND unit_id = 1022) AS removed_lecture,
       count(*) FILTER (WHERE level = 'SPA' AND unit_id = 13) AS removed_space, count(*) FILTER (WHERE user_id IN (-3, 9)) AS of_no_student,
       count(*) FILTER (WHERE user_id = 20) AS of_the_teacher
FROM analytics.cube WHERE client_id = 1 AND grain = 'ALL';
SELECT (SELECT count(*) FROM dw.fact_interaction WHERE subject_id = 103) > 0 AS facts_in_removed_subject,
       (SELECT count(*) FROM dw.fact_interaction WHERE lecture_id = 1022) > 0 AS facts_in_removed_lecture;
SELECT DISTINCT client, mode, left_out FROM empatia.build_cube(full_build => true) ORDER BY client;
SELECT grain, user_id, unit_id, period_start, posts, active_days FROM analytics.cube WHERE client_id = 2 AND level = 'SPA' ORDER BY period_start, grain;

-- a mixture: one part is whole, one is brought up to date, one is left alone
DELETE FROM analytics.cube_build WHERE client_id = 1 AND (level, grain) = ('LEC', 'MONTH');
INSERT INTO dw.change SELECT 1, nextval('dw.change_id_seq'), 4, '2024-03-05';
INSERT INTO dw.fact_interaction SELECT 1, 1, 100000, 4, 1, 7, '2024-03-05', '2024-03-05', 1, 1, 10, NULL, NULL;
UPDATE analytics.cube_build SET change_id = (SELECT max(change_id) FROM dw.change) WHERE client_id = 1 AND (level, grain) = ('ENV', 'YEAR');
SELECT level, grain, mode, stored_rows = (SELECT count(*) FROM analytics.cube c WHERE c.client_id = 1 AND c.level = b.level AND c.grain = b.grain) AS counted,
       left_out IS NOT NULL AS reported, seconds >= 0 AS timed
FROM empatia.build_cube(client => 'escola') b WHERE level IN ('ENV', 'LEC') AND grain IN ('YEAR', 'MONTH') ORDER BY level, grain;

-- what the function refuses
SELECT * FROM empatia._build_cells(1, 'dw', 'analytics', '{ENV}', '{}', '{null}', '{0}', '2024-01-01', '2024-12-31', 0, 'universe');
SELECT * FROM empatia._build_cells(1, 'dw', 'analytics', '{ENV,ENV}', '{ALL,ALL}', '{null,null}', '{0,0}', '2024-01-01', '2024-12-31', 0, 'universe');
SELECT * FROM empatia._build_cells(1, 'dw', 'analytics', '{ENV}', '{DAY}', '{null}', '{0}', '2024-01-01', '2024-12-31', 0, 'universe');
SELECT * FROM empatia._build_cells(1, 'dw', 'analytics', '{ENV}', '{ALL}', '{null}', '{0}', '2024-12-31', '2024-01-01', 0, 'universe');
SELECT * FROM empatia._build_cells(1, 'dw', 'analytics', '{ENV}', '{ALL}', '{null}', '{0}', '2024-01-01', '2024-12-31', 7, 'universe');
SELECT * FROM empatia._build_cells(1, 'dw', 'analytics', '{ENV}', '{ALL}', '{null}', '{0}', '2024-01-01', '2024-12-31', 0, 'dues');
UPDATE empatia.setting SET value = 'rust' WHERE key = 'builder';

-- facts in a foreign table stay where they are
CREATE EXTENSION postgres_fdw;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw;
SELECT empatia._is_native(1) AS here, empatia._is_native(2) AS also_here;
ALTER TABLE dw.fact_interaction DROP CONSTRAINT fact_interaction_pkey; -- Postgres has no unique index over foreign partitions
ALTER TABLE dw.fact_interaction DETACH PARTITION dw.fact_interaction_2;
CREATE FOREIGN TABLE dw.far PARTITION OF dw.fact_interaction FOR VALUES IN (2) SERVER elsewhere;
SELECT empatia._is_native(1) AS here, empatia._is_native(2) AS far;
