-- A refresh of so many students of the same days that it picks their facts out of all facts of these days: the cube is the one built from nothing, bit
-- for bit, whichever way the facts were read. Faults guarded against: a fact read by both ways, or by neither; a fact of another student or day; days
-- that the planner knows nothing of, read whole.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION empatia;
SELECT count(*) FROM empatia.create_warehouse() \g /dev/null
SELECT client_id FROM empatia.add_client('escola', 'Escola', 'UTC');
-- one environment, two courses, four spaces; 900 students in two spaces each
INSERT INTO dw.environment VALUES (1, 1, 'A', false);
INSERT INTO dw.course SELECT 1, n, 1, 'c', false FROM generate_series(1, 2) n;
INSERT INTO dw.space SELECT 1, s, 1 + s % 2, 's', false FROM generate_series(10, 13) s;
INSERT INTO dw.subject SELECT 1, s * 10 + n, s, 'sub', false FROM generate_series(10, 13) s, generate_series(1, 2) n;
INSERT INTO dw.lecture SELECT 1, b * 10 + n, b, 'lec', NULL, false FROM (SELECT subject_id AS b FROM dw.subject) b, generate_series(1, 2) n;
INSERT INTO dw.student SELECT 1, u, 'u' || u FROM generate_series(1, 900) u;
INSERT INTO dw.enrolment SELECT 1, row_number() OVER (), s, u FROM generate_series(1, 900) u, unnest(ARRAY[10 + u % 4, 10 + (u + 1) % 4]) s;
CREATE SEQUENCE facts;
-- one click of each of some students on a day, in one of their spaces
CREATE FUNCTION click(who int[], d date, n int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, environment_id, course_id, space_id, subject_id, lecture_id)
    SELECT 1, 1, nextval('facts'), u, 1 + n % 5, 1 + (n + u) % 4, d, d, 1, 1 + s % 2, s, CASE WHEN n % 4 > 0 THEN s * 10 + 1 + n % 2 END, CASE WHEN n % 4 > 1 THEN (s * 10 + 1 + n % 2) * 10 + 1 + u % 2 END
    FROM unnest(who) u, LATERAL (SELECT 10 + (u + n % 2) % 4 AS s) x
$$;
CREATE FUNCTION everybody(first int, last int, step int DEFAULT 1) RETURNS int[] LANGUAGE sql AS $$ SELECT array_agg(u) FROM generate_series(first, last, step) u $$;
SELECT count(*) FROM (SELECT click(everybody(1 + i % 3, 900, 3), date '2024-01-10' + i % 120, i) FROM generate_series(1, 240) i) x;
INSERT INTO dw.fact_assignment (client_id, source_id, kind, assignment_id, user_id, assigned_at, due_at, submitted_at, assigned_day, due_day, submitted_day, grade, max_grade,
                                environment_id, course_id, space_id, subject_id, lecture_id)
SELECT 1, 1, 'x', a, u, d, d + 9, d + 3, d, d + 9, d + 3, (a * u % 97) / 7.0, 13, 1, 1 + s % 2, s, s * 10 + 1, (s * 10 + 1) * 10 + 1
FROM generate_series(1, 8) a, generate_series(1, 900) u, LATERAL (SELECT 10 + (u + a % 2) % 4 AS s, date '2024-01-12' + a * 13 AS d) x;
ANALYZE dw.fact_interaction;
UPDATE empatia.pipeline SET active = true;
SELECT DISTINCT mode FROM empatia.build_cube();
CREATE INDEX ON dw.change (client_id);

-- refresh(): brings the cube up to date; looked_up: students whose facts were looked up one by one; wrong: rows other than in a cube built whole
CREATE FUNCTION refresh(OUT modes text, OUT looked_up text, OUT wrong bigint) LANGUAGE plpgsql AS $$
DECLARE
    index CONSTANT regclass := (SELECT i.indexrelid FROM pg_index i WHERE i.indrelid = 'dw.fact_interaction_1'::regclass AND pg_get_indexdef(i.indexrelid) ~ 'user_id, day');
    before CONSTANT bigint := pg_stat_get_xact_numscans(index);
BEGIN
    SELECT string_agg(DISTINCT b.mode, ', ') INTO modes FROM empatia.build_cube() b;
    looked_up := CASE WHEN pg_stat_get_xact_numscans(index) - before < 70 THEN 'few' ELSE 'all' END;
    CREATE TEMP TABLE grown ON COMMIT DROP AS TABLE analytics.cube;
    TRUNCATE analytics.cube, analytics.cube_build;
    PERFORM empatia.build_cube();
    SELECT count(*) INTO wrong FROM ((TABLE grown EXCEPT ALL TABLE analytics.cube) UNION ALL (TABLE analytics.cube EXCEPT ALL TABLE grown)) d;
    DROP TABLE grown;
END $$;
CREATE FUNCTION told(who int[], d date, only_added boolean DEFAULT true) RETURNS void LANGUAGE sql AS $$
    INSERT INTO dw.change (client_id, change_id, user_id, day, only_added) SELECT 1, nextval('dw.change_id_seq'), u, d, only_added FROM unnest(who) u
$$;

-- most of those who did something in a week, one day of it
SELECT click(everybody(1, 800), '2024-03-14', 7), told(everybody(1, 800), '2024-03-14');
SELECT * FROM refresh();
-- something else than new interactions: a click that went
DELETE FROM dw.fact_interaction WHERE day = '2024-03-14' AND user_id % 2 = 0;
SELECT told(everybody(2, 900, 2), '2024-03-14', false), click(everybody(1, 900, 2), '2024-03-15', 9), told(everybody(1, 900, 2), '2024-03-15');
SELECT * FROM refresh();
-- a student of all days among them, so that the days are not the same; days of two months
SELECT click(everybody(1, 800), '2024-03-31', 8), told(everybody(1, 800), '2024-03-31'), told('{5}', NULL, false);
SELECT * FROM refresh();
SELECT click(everybody(1, 800), '2024-03-31', 11), click(everybody(1, 800), '2024-04-02', 12), told(everybody(1, 800), '2024-03-31'), told(everybody(1, 800), '2024-04-02');
SELECT * FROM refresh();
-- few of them; a day in which much more happened than the planner knows
SELECT click(everybody(1, 200), '2024-03-14', 13), told(everybody(1, 200), '2024-03-14');
SELECT * FROM refresh();
SELECT click(everybody(1, 900), '2024-09-02', n), told(everybody(1, 900), '2024-09-02') FROM generate_series(1, 30) n \g /dev/null
SELECT * FROM refresh();
-- without the index of the days
DO $$ BEGIN EXECUTE (SELECT format('DROP INDEX %s', pg_partition_root(i.indexrelid)) FROM pg_index i WHERE i.indrelid = 'dw.fact_interaction_1'::regclass AND pg_get_indexdef(i.indexrelid) ~ '[(]day[)]'); END $$;
ANALYZE dw.fact_interaction;
SELECT click(everybody(1, 800), '2024-03-14', 14), told(everybody(1, 800), '2024-03-14');
SELECT * FROM refresh();
