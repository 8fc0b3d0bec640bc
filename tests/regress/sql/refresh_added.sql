-- A refresh that is told which interactions came reads no facts but those of their days, and moves rows by the difference: the cube is the one built from
-- nothing, bit for bit. Faults guarded against: a day counted twice as active, or not at all; an interaction added twice, or taken for one that was there; one
-- of another source with the same id; periods that part the days; other changes of the same students; parts that contain different changes.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION empatia;
SELECT count(*) FROM empatia.create_warehouse() \g /dev/null
SELECT client_id FROM empatia.add_client('escola', 'Escola', 'UTC');
-- two courses, four spaces, sixteen lectures; 300 students in two spaces each, and one who is in none
INSERT INTO dw.environment VALUES (1, 1, 'A', false);
INSERT INTO dw.course SELECT 1, n, 1, 'c', false FROM generate_series(1, 2) n;
INSERT INTO dw.space SELECT 1, s, 1 + s % 2, 's', false FROM generate_series(10, 13) s;
INSERT INTO dw.subject SELECT 1, s * 10 + n, s, 'sub', false FROM generate_series(10, 13) s, generate_series(1, 2) n;
INSERT INTO dw.lecture SELECT 1, b * 10 + n, b, 'lec', NULL, false FROM (SELECT subject_id AS b FROM dw.subject) b, generate_series(1, 2) n;
INSERT INTO dw.student SELECT 1, u, 'u' || u FROM generate_series(1, 301) u;
INSERT INTO dw.enrolment SELECT 1, row_number() OVER (), s, u FROM generate_series(1, 300) u, unnest(ARRAY[10 + u % 4, 10 + (u + 1) % 4]) s;
CREATE SEQUENCE facts;
-- one click of each of some students on a day, in one of their spaces; told: what load() writes of them
CREATE FUNCTION click(who int[], d date, n int, told boolean DEFAULT true, source int DEFAULT 1) RETURNS void LANGUAGE sql AS $$
    WITH fact AS (
        INSERT INTO dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, environment_id, course_id, space_id, subject_id, lecture_id)
        SELECT 1, source, nextval('facts'), u, 1 + n % 5, 1 + (n + u) % 4, d, d, 1, 1 + s % 2, s, CASE WHEN n % 4 > 0 THEN s * 10 + 1 + n % 2 END, CASE WHEN n % 4 > 1 THEN (s * 10 + 1 + n % 2) * 10 + 1 + u % 2 END
        FROM unnest(who) u, LATERAL (SELECT 10 + (u + n % 2) % 4 AS s) x RETURNING user_id, interaction_id)
    INSERT INTO dw.change (client_id, change_id, user_id, day, only_added, source_id, added)
    SELECT 1, i.id, f.user_id, d, true, source, array_agg(f.interaction_id) FROM fact f, (SELECT nextval('dw.change_id_seq') AS id) i WHERE told GROUP BY i.id, f.user_id
$$;
CREATE FUNCTION everybody(first int, last int, step int DEFAULT 1) RETURNS int[] LANGUAGE sql AS $$ SELECT array_agg(u) FROM generate_series(first, last, step) u $$;
SELECT count(*) FROM (SELECT click(everybody(1 + i % 3, 301, 3), date '2024-01-10' + i % 120, i, false) FROM generate_series(1, 240) i) x;
INSERT INTO dw.fact_assignment (client_id, source_id, kind, assignment_id, user_id, assigned_at, due_at, submitted_at, assigned_day, due_day, submitted_day, grade, max_grade,
                                environment_id, course_id, space_id, subject_id, lecture_id)
SELECT 1, 1, 'x', a, u, d, d + 9, d + 3, d, d + 9, d + 3, (a * u % 97) / 7.0, 13, 1, 1 + s % 2, s, s * 10 + 1, (s * 10 + 1) * 10 + 1
FROM generate_series(1, 8) a, generate_series(1, 300) u, LATERAL (SELECT 10 + (u + a % 2) % 4 AS s, date '2024-01-12' + a * 13 AS d) x;
ANALYZE dw.fact_interaction;
UPDATE empatia.pipeline SET active = true;
SELECT DISTINCT mode FROM empatia.build_cube();

-- refresh(): brings the cube up to date; wrong: rows other than in a cube built whole
CREATE FUNCTION refresh(OUT modes text, OUT written numeric, OUT wrong bigint) LANGUAGE plpgsql AS $$
BEGIN
    SELECT string_agg(DISTINCT b.mode, ', '), sum(b.written_rows) INTO modes, written FROM empatia.build_cube() b;
    CREATE TEMP TABLE grown ON COMMIT DROP AS TABLE analytics.cube;
    CREATE TEMP TABLE built ON COMMIT DROP AS TABLE analytics.cube_build;
    TRUNCATE analytics.cube, analytics.cube_build;
    PERFORM empatia.build_cube();
    SELECT count(*) INTO wrong FROM ((TABLE grown EXCEPT ALL TABLE analytics.cube) UNION ALL (TABLE analytics.cube EXCEPT ALL TABLE grown)) d;
    TRUNCATE analytics.cube_build;
    INSERT INTO analytics.cube_build TABLE built;
    DROP TABLE grown, built;
END $$;

-- few students: on a day on which they did something in the unit already, and again; on one on which they did nothing; in a week that was empty
SELECT click('{1,4,7}', '2024-03-14', 64), click('{1,4,7}', '2024-03-14', 64);
SELECT * FROM refresh();
SELECT click('{1,4,7}', '2024-03-14', 64), click('{2,3}', '2024-03-15', 7), click('{5,301}', '2024-01-03', 6);
SELECT * FROM refresh();
-- nothing more to do
SELECT * FROM refresh();
-- on a day on which something was handed in and nothing else happened; on the day after
SELECT click(everybody(1, 300), '2024-05-06', 3, false);
SELECT count(*) FROM empatia.build_cube(full_build => true);
INSERT INTO dw.fact_assignment (client_id, source_id, kind, assignment_id, user_id, submitted_at, submitted_day, environment_id, course_id, space_id)
SELECT 1, 1, 'y', 1, u, '2024-05-10', '2024-05-10', 1, 1 + s % 2, s FROM generate_series(1, 50) u, LATERAL (SELECT 10 + u % 4 AS s) x;
INSERT INTO dw.change (client_id, change_id, user_id, day) SELECT 1, nextval('dw.change_id_seq'), u, d FROM generate_series(1, 50) u, unnest('{2024-05-10,-infinity}'::date[]) d;
SELECT * FROM refresh();
SELECT click(everybody(1, 50), '2024-05-10', 4), click(everybody(30, 60), '2024-05-11', 4);
SELECT * FROM refresh();
-- days of one week in two months, of two years; many students, days that are not the same
SELECT click(everybody(1, 300), '2024-03-31', 8), click(everybody(1, 300), '2024-04-01', 11), click(everybody(1, 40), '2024-12-31', 12), click(everybody(20, 60), '2025-01-01', 13);
SELECT * FROM refresh();
-- interactions of another source with the ids of old ones, on the days of those
INSERT INTO dw.fact_interaction SELECT client_id, 2, interaction_id, user_id, interaction_type_id, 100, occurred_at, day, environment_id, course_id, space_id, subject_id, lecture_id
FROM dw.fact_interaction WHERE day = '2024-02-08';
INSERT INTO dw.change (client_id, change_id, user_id, day, only_added, source_id, added)
SELECT 1, i.id, f.user_id, f.day, true, 2, array_agg(f.interaction_id) FROM dw.fact_interaction f, (SELECT nextval('dw.change_id_seq') AS id) i WHERE f.source_id = 2 GROUP BY i.id, f.user_id, f.day;
SELECT * FROM refresh();
-- other changes of some of the students: a click that went, one that is another, a new one of which nobody says which
SELECT click(everybody(1, 100), '2024-03-20', 7);
DELETE FROM dw.fact_interaction WHERE day = '2024-03-18' AND user_id BETWEEN 1 AND 10;
UPDATE dw.fact_interaction SET amount = amount + 5 WHERE day = '2024-03-20' AND user_id BETWEEN 11 AND 20;
SELECT click(everybody(21, 30), '2024-03-20', 8, false);
INSERT INTO dw.change (client_id, change_id, user_id, day, only_added)
SELECT 1, nextval('dw.change_id_seq'), u, CASE WHEN u <= 10 THEN '2024-03-18' ELSE '2024-03-20' END::date, u > 20 FROM generate_series(1, 30) u;
SELECT * FROM refresh();
-- one that came and went, one that came and went to another day
SELECT click('{1,2}', '2024-03-21', 9);
DELETE FROM dw.fact_interaction WHERE interaction_id = currval('facts') - 1;
UPDATE dw.fact_interaction SET day = '2024-03-29' WHERE interaction_id = currval('facts');
INSERT INTO dw.change (client_id, change_id, user_id, day) VALUES (1, nextval('dw.change_id_seq'), 1, '2024-03-21'), (1, currval('dw.change_id_seq'), 2, '2024-03-21'), (1, currval('dw.change_id_seq'), 2, '2024-03-29');
SELECT * FROM refresh();
-- told by hand: no id at all, or nothing but nulls, or no source, is not to say that nothing came; ids that nobody has, twice, in two dimensions
SELECT click('{3,4,5,6,7}', '2024-03-22', 9);
UPDATE dw.change h SET added = CASE h.user_id WHEN 3 THEN '{}' WHEN 4 THEN '{NULL}' WHEN 6 THEN h.added || NULL || h.added || -1::bigint WHEN 7 THEN ARRAY[h.added, h.added] ELSE h.added END,
       source_id = nullif(h.user_id, 5) * 0 + 1 WHERE h.day = '2024-03-22' AND h.user_id BETWEEN 3 AND 7;
SELECT * FROM refresh();
-- parts that contain other changes than the others
SELECT click(everybody(1, 100, 3), '2024-03-14', 15);
SELECT count(*) FROM empatia.build_cube('LEC', 'WEEK');
SELECT click(everybody(1, 100, 2), '2024-03-14', 16);
SELECT * FROM refresh();
-- some grains only, none of them the finest; assignments by their due day
UPDATE empatia.pipeline SET active = grain IN ('MONTH', 'ALL') AND level IN ('ENV', 'LEC');
UPDATE empatia.setting SET value = 'due' WHERE key = 'assignment_basis';
TRUNCATE analytics.cube, analytics.cube_build;
SELECT DISTINCT mode FROM empatia.build_cube();
SELECT click(everybody(1, 60), '2024-01-28', 2), click(everybody(50, 100), '2024-01-30', 3), click(everybody(1, 60), '2024-02-01', 3);
SELECT * FROM refresh();

-- No fact of another day is read: one of the same week that went, of which nobody told, is counted still.
SELECT user_id, accesses FROM analytics.cube WHERE level = 'ENV' AND grain = 'MONTH' AND period_start = '2024-03-01' AND user_id IN (8, 11) ORDER BY 1;
DELETE FROM dw.fact_interaction WHERE day = '2024-03-13' AND user_id IN (8, 11);
SELECT click('{8,11}', '2024-03-14', 24);
SELECT count(*) FROM empatia.build_cube();
SELECT user_id, accesses FROM analytics.cube WHERE level = 'ENV' AND grain = 'MONTH' AND period_start = '2024-03-01' AND user_id IN (8, 11) ORDER BY 1;
-- A change that was committed while the cube was built may be in it already, though the next build looks at it again: it is not added twice. Here it is
-- told twice with the same number, the second time to parts that do not know for certain that they contain it.
SELECT click('{8,11}', '2024-06-01', 24);
CREATE TEMP TABLE late AS SELECT * FROM dw.change WHERE day = '2024-06-01';
SELECT count(*) FROM empatia.build_cube();
INSERT INTO dw.change TABLE late;
UPDATE analytics.cube_build SET change_id = change_id - 1;
SELECT bool_and(seen_change_id = change_id + 1) AS seen FROM analytics.cube_build WHERE (level, grain) IN (('ENV', 'MONTH'), ('ENV', 'ALL'), ('LEC', 'MONTH'), ('LEC', 'ALL'));
SELECT sum(written_rows) FROM empatia.build_cube();
