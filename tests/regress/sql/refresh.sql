-- What a refresh writes: the cube that grew is the cube built from nothing, bit for bit, over all 35 parts built at once; rows that are right are not
-- touched; rows that are wrong are repaired, and only those; readers find a category in every row. Faults guarded against: a coarse row that is
-- moved by what did not happen in its period; a sum of grades in another order of adding; a rebuild that writes what is there already.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION empatia;
SELECT count(*) FROM empatia.create_warehouse();
SELECT client_id FROM empatia.add_client('escola', 'Escola', 'UTC');
SELECT client_id FROM empatia.add_client('outra', 'Outra', 'UTC');

-- one environment, two courses, three spaces, subjects and lectures; 40 students in one or two spaces each
INSERT INTO dw.environment SELECT c, 1, 'A', false FROM generate_series(1, 2) c;
INSERT INTO dw.course SELECT c, n, 1, 'c', false FROM generate_series(1, 2) c, generate_series(1, 2) n;
INSERT INTO dw.space SELECT c, s, 1 + s % 2, 's', false FROM generate_series(1, 2) c, generate_series(10, 12) s;
INSERT INTO dw.subject SELECT c, s * 10 + n, s, 'sub', false FROM generate_series(1, 2) c, generate_series(10, 12) s, generate_series(1, 2) n;
INSERT INTO dw.lecture SELECT c, s * 100 + n * 10 + l, s * 10 + n, 'lec', NULL, false FROM generate_series(1, 2) c, generate_series(10, 12) s, generate_series(1, 2) n, generate_series(1, 3) l;
INSERT INTO dw.student SELECT c, u, 'u' || u FROM generate_series(1, 2) c, generate_series(1, 40) u;
INSERT INTO dw.enrolment SELECT c, row_number() OVER (), s, u FROM generate_series(1, 2) c, generate_series(1, 40) u, unnest(ARRAY[10 + u % 3, 10 + u / 2 % 3]) s GROUP BY c, s, u;
CREATE FUNCTION click(client int, id bigint, u int, d date, n int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, environment_id, course_id, space_id, subject_id, lecture_id)
    SELECT client, 1, id, u, 1 + n % 5, 1 + n % 4, d, d, 1, 1 + s % 2, s, CASE WHEN n % 4 > 0 THEN s * 10 + 1 + n % 2 END, CASE WHEN n % 4 > 1 THEN s * 100 + (1 + n % 2) * 10 + 1 + n % 3 END
    FROM (SELECT 10 + CASE WHEN n % 2 = 0 THEN u % 3 ELSE u / 2 % 3 END AS s) x
$$;
SELECT count(*) FROM (SELECT click(c, i, 1 + i * 7 % 40, date '2024-01-10' + i * 31 % 400, i / 3) FROM generate_series(1, 2) c, generate_series(1, 2400) i) x;
-- grades whose sums depend on the order of adding
INSERT INTO dw.fact_assignment (client_id, source_id, kind, assignment_id, user_id, assigned_at, due_at, submitted_at, assigned_day, due_day, submitted_day, grade, max_grade,
                                environment_id, course_id, space_id, subject_id, lecture_id)
SELECT c, 1, 'x', a, u, d, d + 9, d + h, d, d + 9, d + h, (a * u % 97) / 7.0, 13, 1, 1 + s % 2, s, s * 10 + 1, s * 100 + 11
FROM generate_series(1, 2) c, generate_series(1, 60) a, generate_series(1, 40) u, LATERAL (SELECT 10 + a % 3 AS s, date '2024-01-12' + a * 6 AS d, CASE WHEN (a + u) % 4 > 0 THEN (a * u) % 15 END AS h) x
WHERE s IN (10 + u % 3, 10 + u / 2 % 3);
UPDATE empatia.pipeline SET active = true;

-- the rows of client 1 before a step, to the version
CREATE TABLE before (LIKE analytics.cube, part oid, place tid, version xid);
CREATE FUNCTION keep() RETURNS void LANGUAGE sql AS $$ TRUNCATE before; INSERT INTO before SELECT c.*, tableoid, ctid, xmin FROM analytics.cube c WHERE client_id = 1 $$;
-- build(): brings client 1's cube up to date. wrong: rows other than in a cube built from nothing (on the first client: the second has the same facts);
-- rewritten: rows written again although they are the same; miscounted: parts with another number of rows, or of written rows, than reported
CREATE FUNCTION build(full_build boolean DEFAULT false) RETURNS TABLE (modes text, written boolean, wrong bigint, rewritten bigint, miscounted bigint) LANGUAGE plpgsql SET jit = off SET enable_nestloop = off AS $$
BEGIN
    PERFORM keep();
    CREATE TEMP TABLE report ON COMMIT DROP AS SELECT * FROM empatia.build_cube(client => 'escola', full_build => build.full_build);
    CREATE TEMP TABLE after ON COMMIT DROP AS SELECT c.*, tableoid AS part, ctid AS place, xmin AS version FROM analytics.cube c WHERE client_id = 1;
    ANALYZE before, after;
    SELECT string_agg(DISTINCT mode, ', ' ORDER BY mode), sum(written_rows) > 0 INTO modes, written FROM report;
    SELECT count(*) INTO rewritten FROM before b JOIN after a USING (level, grain, user_id, unit_id, period_start)
        WHERE (a.posts, a.post_replies, a.help_requests, a.help_request_replies, a.accesses, a.active_days, a.assigned_exercises, a.submitted_exercises, a.late_exercises, a.grade_sum, a.grade_count)
            = (b.posts, b.post_replies, b.help_requests, b.help_request_replies, b.accesses, b.active_days, b.assigned_exercises, b.submitted_exercises, b.late_exercises, b.grade_sum, b.grade_count)
          AND (a.part, a.place, a.version) IS DISTINCT FROM (b.part, b.place, b.version);
    SELECT count(*) INTO miscounted FROM report r LEFT JOIN (
        SELECT a.level, a.grain, count(*) AS stored, count(*) FILTER (WHERE (b.place, b.version) IS DISTINCT FROM (a.place, a.version)) AS written
        FROM after a LEFT JOIN before b USING (level, grain, user_id, unit_id, period_start) GROUP BY 1, 2) c USING (level, grain)
        WHERE (r.stored_rows, r.written_rows) IS DISTINCT FROM (c.stored, c.written);
    -- from nothing: the other client takes the same facts, and its cube goes first
    DELETE FROM analytics.cube WHERE client_id = 2;
    DELETE FROM analytics.cube_build WHERE client_id = 2;
    DELETE FROM dw.fact_interaction WHERE client_id = 2; DELETE FROM dw.fact_assignment WHERE client_id = 2; DELETE FROM dw.enrolment WHERE client_id = 2;
    INSERT INTO dw.fact_interaction SELECT (jsonb_populate_record(f, '{"client_id": 2}')).* FROM dw.fact_interaction f WHERE client_id = 1;
    INSERT INTO dw.fact_assignment SELECT (jsonb_populate_record(f, '{"client_id": 2}')).* FROM dw.fact_assignment f WHERE client_id = 1;
    INSERT INTO dw.enrolment SELECT (jsonb_populate_record(f, '{"client_id": 2}')).* FROM dw.enrolment f WHERE client_id = 1;
    PERFORM empatia.build_cube(client => 'outra', full_build => true);
    CREATE TEMP TABLE x ON COMMIT DROP AS SELECT level, grain, user_id, unit_id, period_start, posts, post_replies, help_requests, help_request_replies, accesses, active_days, assigned_exercises, submitted_exercises, late_exercises, grade_sum, grade_count FROM analytics.cube WHERE client_id = 1;
    CREATE TEMP TABLE y ON COMMIT DROP AS SELECT level, grain, user_id, unit_id, period_start, posts, post_replies, help_requests, help_request_replies, accesses, active_days, assigned_exercises, submitted_exercises, late_exercises, grade_sum, grade_count FROM analytics.cube WHERE client_id = 2;
    SELECT count(*) INTO wrong FROM ((TABLE x EXCEPT ALL TABLE y) UNION ALL (TABLE y EXCEPT ALL TABLE x)) d;
    DROP TABLE report, after, x, y;
    RETURN NEXT;
END $$;
CREATE FUNCTION tell(u int, VARIADIC days date[]) RETURNS void LANGUAGE sql AS $$ INSERT INTO dw.change SELECT 1, nextval('dw.change_id_seq'), u, d FROM unnest(days) d $$;
CREATE FUNCTION added(u int, day date) RETURNS void LANGUAGE sql AS $$ INSERT INTO dw.change SELECT 1, nextval('dw.change_id_seq'), u, day, true $$;

SELECT * FROM build();
-- nothing changed: nothing is written, whether it looks at the change log or at every cell
SELECT * FROM build();
SELECT * FROM build(full_build => true);

-- one day; one day where nothing was before; days of one week in two months; in two years; days all over
SELECT click(1, 10001, 5, '2024-03-13', 1), click(1, 10002, 5, '2024-03-13', 2), tell(5, '2024-03-13');
SELECT * FROM build();
SELECT click(1, 10003, 6, '2024-07-31', 3), click(1, 10004, 6, '2024-08-01', 3), tell(6, '2024-07-31', '2024-08-01');
SELECT * FROM build();
SELECT click(1, 10005, 7, '2024-12-30', 3), click(1, 10006, 7, '2025-01-02', 3), click(1, 10007, 8, '2024-12-31', 3), tell(7, '2024-12-30', '2025-01-02'), tell(8, '2024-12-31');
SELECT * FROM build();
SELECT count(*) FROM (SELECT click(1, 10100 + i, 1 + i % 40, date '2024-01-20' + i * 17 % 380, i), tell(1 + i % 40, date '2024-01-20' + i * 17 % 380) FROM generate_series(1, 25) i) x;
SELECT * FROM build();
-- what is told but did not happen writes nothing
SELECT tell(9, '2024-05-05'), tell(10, '2024-12-31', '2025-01-01');
SELECT * FROM build();
-- where the log says that interactions came and nothing else, stored rows are looked up by the computed cells: of students with grades, too, and in a week
-- in which there was nothing; not of one to whom something else happened as well
SELECT count(*) FROM (SELECT click(1, 10130 + i, 1 + i % 40, date '2024-01-22' + i * 23 % 380, i), added(1 + i % 40, date '2024-01-22' + i * 23 % 380) FROM generate_series(1, 25) i) x;
SELECT click(1, 10160 + i, 12, '2024-05-01', i), added(12, '2024-05-01'), click(1, 10163 + i, 13, '2025-03-30', i), added(13, '2025-03-30') FROM generate_series(1, 3) i;
SELECT * FROM build();
DELETE FROM dw.fact_interaction WHERE client_id = 1 AND interaction_id = 10007;
SELECT click(1, 10170, 8, '2024-12-30', 2), added(8, '2024-12-30'), tell(8, '2024-12-31');
SELECT * FROM build();
-- facts go: the last of a cell, all of a student's; and move: to another day, another student, another lecture
SELECT tell(f.user_id::int, VARIADIC array_agg(DISTINCT f.day)) FROM dw.fact_interaction f WHERE client_id = 1 AND interaction_id IN (10003, 10005, 11, 12, 13) GROUP BY f.user_id;
DELETE FROM dw.fact_interaction WHERE client_id = 1 AND interaction_id IN (10003, 10005, 11, 12, 13);
SELECT * FROM build();
SELECT count(*) FROM (SELECT tell(11, f.day) FROM dw.fact_interaction f WHERE client_id = 1 AND user_id = 11) x;
DELETE FROM dw.fact_interaction WHERE client_id = 1 AND user_id = 11;
SELECT * FROM build();
SELECT tell(f.user_id::int, f.day, f.day + 1) FROM dw.fact_interaction f WHERE client_id = 1 AND interaction_id = 100;
SELECT tell(f.user_id::int, f.day), tell(40, f.day) FROM dw.fact_interaction f WHERE client_id = 1 AND interaction_id = 101;
UPDATE dw.fact_interaction SET day = day + 1 WHERE client_id = 1 AND interaction_id = 100;
UPDATE dw.fact_interaction SET user_id = 40 WHERE client_id = 1 AND interaction_id = 101;
SELECT * FROM build();
-- grades: another one; one taken back; not handed in after all
SELECT count(*) FROM (SELECT tell(f.user_id::int, f.submitted_day) FROM dw.fact_assignment f WHERE client_id = 1 AND user_id IN (12, 13, 14) AND assignment_id BETWEEN 20 AND 26 AND submitted_day IS NOT NULL) x;
UPDATE dw.fact_assignment SET grade = 0.1 + grade / 3 WHERE client_id = 1 AND user_id = 12 AND assignment_id BETWEEN 20 AND 26;
UPDATE dw.fact_assignment SET grade = NULL WHERE client_id = 1 AND user_id = 13 AND assignment_id BETWEEN 20 AND 26;
UPDATE dw.fact_assignment SET submitted_at = NULL, submitted_day = NULL WHERE client_id = 1 AND user_id = 14 AND assignment_id BETWEEN 20 AND 26;
SELECT * FROM build();
INSERT INTO dw.fact_assignment (client_id, source_id, kind, assignment_id, user_id, submitted_at, submitted_day, due_day, grade, max_grade, environment_id, course_id, space_id)
SELECT 1, 1, 'y', a, 15, d, d, '2024-09-20', g, 1, 1, 1, 10 FROM (VALUES (1, date '2024-09-09', 0.1), (2, '2024-09-10', 0.2), (3, '2024-09-12', 0.3), (4, '2024-08-20', 0.6)) v (a, d, g);
SELECT tell(15, '2024-09-09', '2024-09-10', '2024-09-12', '2024-08-20', '2024-09-20');
SELECT * FROM build();
-- handed in on another day of the same week, so that the sum is of the same grades in another order
UPDATE dw.fact_assignment SET submitted_day = CASE assignment_id WHEN 1 THEN date '2024-09-12' WHEN 3 THEN '2024-09-09' ELSE submitted_day END WHERE client_id = 1 AND kind = 'y';
SELECT tell(15, '2024-09-09', '2024-09-12');
SELECT * FROM build();
-- a student joins spaces that facts of the student hang on already, and another leaves one
SELECT count(*) FROM (SELECT click(1, 10180 + i, 16 + i % 3, date '2024-04-01' + i * 40, i) FROM generate_series(1, 12) i) x;
UPDATE dw.fact_interaction SET user_id = 16 WHERE client_id = 1 AND interaction_id BETWEEN 10181 AND 10192;
INSERT INTO dw.enrolment SELECT 1, 9000 + s, s, 16 FROM unnest(ARRAY[10, 11, 12]) s WHERE s NOT IN (10 + 16 % 3, 10 + 16 / 2 % 3);
DELETE FROM dw.enrolment WHERE client_id = 1 AND user_id = 17 AND space_id = 10 + 17 % 3;
SELECT * FROM build();
-- the range grows at its end, without the change log in the middle
SELECT click(1, 10200, 18, '2025-06-01', 1), tell(18, '2025-06-01');
SELECT * FROM build();

-- the same with the other basis and other weeks: first everything, then what changed
UPDATE empatia.setting SET value = 'due' WHERE key = 'assignment_basis';
UPDATE empatia.setting SET value = '1' WHERE key = 'first_day_of_week';
SELECT * FROM build();
SELECT click(1, 10300 + i, 20 + i, '2024-09-02', i), tell(20 + i, '2024-09-02') FROM generate_series(1, 3) i;
SELECT * FROM build();
SELECT count(*) FROM (SELECT tell(f.user_id::int, f.due_day, f.due_day + 3, f.submitted_day) FROM dw.fact_assignment f WHERE client_id = 1 AND user_id IN (24, 25) AND assignment_id BETWEEN 30 AND 33 AND submitted_day IS NOT NULL) x;
UPDATE dw.fact_assignment SET due_at = due_at + interval '3 days', due_day = due_day + 3 WHERE client_id = 1 AND user_id IN (24, 25) AND assignment_id BETWEEN 30 AND 33 AND submitted_day IS NOT NULL;
SELECT * FROM build();
UPDATE empatia.setting SET value = CASE key WHEN 'assignment_basis' THEN 'universe' ELSE '0' END WHERE key IN ('assignment_basis', 'first_day_of_week');

-- parts that contain different changes, and some that are not there
SELECT * FROM build();
DELETE FROM analytics.cube_build WHERE client_id = 1 AND (level, grain) IN (('LEC', 'WEEK'), ('SPA', 'ALL'), ('SUB', 'MONTH'));
DELETE FROM analytics.cube WHERE client_id = 1 AND (level, grain) = ('SPA', 'ALL');
SELECT click(1, 10400, 27, '2024-10-10', 3), tell(27, '2024-10-10');
SELECT count(*) FROM empatia.build_cube(grain => 'QUARTER', client => 'escola');
SELECT click(1, 10401, 28, '2024-10-11', 3), tell(28, '2024-10-11');
SELECT * FROM build();

-- damage: a wrong measure, a wrong bit of a grade, a row that is missing, one too many before, between and after; a full build repairs these rows and no other
SELECT keep();
UPDATE analytics.cube SET posts = posts + 1 WHERE client_id = 1 AND (level, grain, user_id) = ('LEC', 'MONTH', 3);
UPDATE analytics.cube SET grade_sum = grade_sum * (1 + 2.3e-16) WHERE client_id = 1 AND (level, grain, user_id) = ('ENV', 'ALL', 4) AND grade_sum > 0;
DELETE FROM analytics.cube WHERE client_id = 1 AND (level, grain, user_id) = ('SPA', 'WEEK', 5);
INSERT INTO analytics.cube SELECT 1, 'CRS', 'YEAR', u, 1, date '2024-01-01', 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 FROM unnest(ARRAY[-7, 1000]) u;
INSERT INTO analytics.cube SELECT 1, 'CRS', 'YEAR', 6, 99, '2024-01-01', 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1;
CREATE TEMP TABLE wrong AS SELECT level, grain, count(*) FROM (
    SELECT level, grain, user_id, unit_id, period_start FROM before b FULL JOIN (SELECT * FROM analytics.cube WHERE client_id = 1) c USING (level, grain, user_id, unit_id, period_start)
    WHERE to_jsonb(b) - '{part,place,version}'::text[] IS DISTINCT FROM to_jsonb(c)) d GROUP BY 1, 2;
SELECT count(*), sum(count) > 10 AS some FROM wrong;
CREATE TEMP TABLE damaged AS SELECT level, grain, count(*) AS rows FROM analytics.cube WHERE client_id = 1 GROUP BY 1, 2;
CREATE TEMP TABLE repaired AS SELECT level, grain, written_rows, stored_rows FROM empatia.build_cube(client => 'escola', full_build => true);
-- rows that are one too many are not written, they go
SELECT level, grain, written_rows, stored_rows - rows AS more_rows, count AS were_wrong FROM repaired FULL JOIN wrong USING (level, grain) FULL JOIN damaged USING (level, grain)
WHERE written_rows > 0 OR stored_rows <> rows OR count > 0 ORDER BY 1, 2;
SELECT * FROM build(full_build => true);
-- a refresh that meets a row which no build wrote computes the student anew, all units of the periods that changed
UPDATE analytics.cube SET accesses = accesses + 1, active_days = 0 WHERE client_id = 1 AND grain = 'YEAR' AND period_start = '2024-01-01' AND user_id = 30;
SELECT count(*) AS damaged FROM analytics.cube WHERE client_id = 1 AND active_days = 0;
SELECT tell(30, min(day)) FROM dw.fact_interaction WHERE client_id = 1 AND user_id = 30;
DELETE FROM dw.fact_interaction WHERE client_id = 1 AND user_id = 30 AND day = (SELECT min(day) FROM dw.fact_interaction WHERE client_id = 1 AND user_id = 30);
SELECT * FROM build();

-- without its primary key a part cannot be refreshed, and says so
ALTER TABLE analytics.cube_spa_week DROP CONSTRAINT cube_spa_week_pkey;
SELECT click(1, 10500, 31, '2024-10-10', 3), tell(31, '2024-10-10');
SELECT count(*) FROM empatia.build_cube(client => 'escola');
ALTER TABLE analytics.cube_spa_week ADD PRIMARY KEY (client_id, user_id, unit_id, period_start);
SELECT wrong FROM build();

-- classified parts: after a refresh every row has the category that classify() would give it, and only changed rows were classified
UPDATE empatia.pipeline SET active = (level, grain) IN (('SPA', 'WEEK'), ('ENV', 'ALL')), k = 3, features = ARRAY['accesses', 'assigned_exercises'];
-- some have three times as many assignments as the others, so that their number decides the class
INSERT INTO dw.fact_assignment (client_id, source_id, kind, assignment_id, user_id, environment_id, course_id, space_id) SELECT 1, 1, 'w', a, u, 1, 1 + s % 2, s
FROM generate_series(1, 40) a, generate_series(1, 12) u, LATERAL (SELECT 10 + u % 3 AS s) x;
SELECT count(*) FROM (SELECT tell(u, '-infinity') FROM generate_series(1, 12) u) x;
SELECT count(*) FROM empatia.build_cube(client => 'escola');
SELECT count(*) > 0 FROM empatia.kmeans_segments(client => 'escola');
SELECT count(*) FROM empatia.classify(client => 'escola');
CREATE FUNCTION classes() RETURNS TABLE (unclassified bigint, orphans bigint, other_class boolean, untouched boolean, misclassified bigint) LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMP TABLE old ON COMMIT DROP AS SELECT k.*, k.xmin AS version FROM analytics.cube_class k WHERE client_id = 1;
    PERFORM empatia.build_cube(client => 'escola');
    CREATE TEMP TABLE new ON COMMIT DROP AS SELECT k.*, k.xmin AS version FROM analytics.cube_class k WHERE client_id = 1;
    ANALYZE old, new;
    SELECT count(*) INTO unclassified FROM analytics.cube c JOIN analytics.cube_build b USING (client_id, level, grain) LEFT JOIN new USING (client_id, level, grain, user_id, unit_id, period_start)
        WHERE c.client_id = 1 AND b.model_version IS NOT NULL AND new.class IS NULL;
    SELECT count(*) INTO orphans FROM new LEFT JOIN analytics.cube c USING (client_id, level, grain, user_id, unit_id, period_start) WHERE c.client_id IS NULL;
    SELECT count(*) FILTER (WHERE old.class IS DISTINCT FROM new.class) > 0, count(*) FILTER (WHERE old.version = new.version) > 0 INTO other_class, untouched
        FROM new LEFT JOIN old USING (client_id, level, grain, user_id, unit_id, period_start);
    -- by a model that everything has to be classified with anew
    UPDATE analytics.cube_build SET model_version = -1 WHERE client_id = 1 AND model_version IS NOT NULL;
    PERFORM empatia.classify(client => 'escola');
    SELECT count(*) INTO misclassified FROM new n FULL JOIN (SELECT * FROM analytics.cube_class WHERE client_id = 1) k USING (client_id, level, grain, user_id, unit_id, period_start) WHERE n.class IS DISTINCT FROM k.class;
    DROP TABLE old, new;
    RETURN NEXT;
END $$;
-- accesses
SELECT count(*) FROM (SELECT click(1, 10600 + i, 32, '2024-10-10', 4) FROM generate_series(1, 100) i) x;
SELECT tell(32, '2024-10-10');
SELECT * FROM classes();
DELETE FROM dw.fact_interaction WHERE client_id = 1 AND interaction_id BETWEEN 10601 AND 10700;
SELECT tell(32, '2024-10-10');
SELECT * FROM classes();
-- more assignments that were never handed in: no cell is another, but the class of each is
INSERT INTO dw.fact_assignment (client_id, source_id, kind, assignment_id, user_id, environment_id, course_id, space_id) SELECT 1, 1, 'z', a, 34, 1, 1 + s % 2, s
FROM generate_series(1, 300) a, LATERAL (SELECT 10 + 34 % 3 AS s) x;
SELECT tell(34, '-infinity', '2024-10-11');
SELECT * FROM classes();
-- and fewer, of which no day is told
DELETE FROM dw.fact_assignment WHERE client_id = 1 AND kind = 'w' AND user_id = 3;
SELECT tell(3, '-infinity');
SELECT * FROM classes();
-- a number that nobody had before, seen first by the build of another part
DELETE FROM dw.fact_assignment WHERE client_id = 1 AND kind = 'w' AND user_id = 4 AND assignment_id % 8 > 0;
SELECT tell(4, '-infinity');
SELECT mode FROM empatia.build_cube('ENV', 'ALL', client => 'escola');
SELECT count(*) AS empty_without_class FROM empatia.cubo_engajamento('escola', 'SPA', 'WEEK') WHERE categoria_engajamento IS NULL;
SELECT * FROM classes();
SELECT tell(35, '2024-10-10');
SELECT * FROM classes();
