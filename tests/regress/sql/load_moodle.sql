-- Adapter moodle on a hand-made site: two courses, Ana and Bia enrolled in course 10 (Bia suspended in 11), Teo teaches.
-- Faults guarded: teachers counted as students, suspended enrolments, the front page taken for a course, resubmissions, events of
-- nobody, forum events taken for accesses.
SET client_min_messages = warning;
CREATE EXTENSION empatia;
SELECT count(*) AS schemas FROM empatia.create_warehouse();
CREATE SCHEMA moodle;
SET search_path = moodle;
CREATE TABLE mdl_course_categories (id bigint, name text);
CREATE TABLE mdl_course (id bigint, category bigint, fullname text);
CREATE TABLE mdl_course_sections (id bigint, course bigint, section bigint, name text);
CREATE TABLE mdl_modules (id bigint, name text);
CREATE TABLE mdl_course_modules (id bigint, course bigint, module bigint, instance bigint, section bigint, deletioninprogress smallint);
CREATE TABLE mdl_user (id bigint, firstname text, lastname text, deleted smallint);
CREATE TABLE mdl_enrol (id bigint, courseid bigint, status bigint);
CREATE TABLE mdl_user_enrolments (id bigint, enrolid bigint, userid bigint, status bigint, timecreated bigint, timeend bigint);
CREATE TABLE mdl_context (id bigint, contextlevel bigint, instanceid bigint);
CREATE TABLE mdl_role (id bigint, shortname text);
CREATE TABLE mdl_role_assignments (id bigint, roleid bigint, contextid bigint, userid bigint);
CREATE TABLE mdl_assign (id bigint, course bigint, name text, allowsubmissionsfromdate bigint, duedate bigint, grade bigint);
CREATE TABLE mdl_assign_submission (id bigint, assignment bigint, userid bigint, status text, timemodified bigint);
CREATE TABLE mdl_grade_items (id bigint, itemmodule text, iteminstance bigint, grademax numeric);
CREATE TABLE mdl_grade_grades (id bigint, itemid bigint, userid bigint, finalgrade numeric);
CREATE TABLE mdl_logstore_standard_log (id bigint, eventname text, contextlevel bigint, contextinstanceid bigint, userid bigint, courseid bigint, timecreated bigint);

INSERT INTO mdl_course_categories VALUES (1, 'Ciências');
INSERT INTO mdl_course VALUES (1, 0, 'Front page'), (10, 1, 'Biologia'), (11, 1, 'Química');
INSERT INTO mdl_course_sections VALUES (100, 10, 0, NULL), (101, 11, 1, 'Ácidos'), (102, 1, 0, 'news of the front page');
INSERT INTO mdl_modules VALUES (1, 'assign'), (2, 'forum');
INSERT INTO mdl_course_modules VALUES (1000, 10, 1, 500, 100, 0), (1001, 10, 2, 600, 100, 0), (1002, 1, 2, 601, 102, 0);
INSERT INTO mdl_user VALUES (2, 'Ana', 'Lima', 0), (3, 'Bia', 'Melo', 0), (4, 'Teo', 'Reis', 0), (5, 'Ivo', 'Gone', 1);
INSERT INTO mdl_enrol VALUES (20, 10, 0), (21, 11, 0);
INSERT INTO mdl_user_enrolments VALUES (1, 20, 2, 0, 1740787200, 0), (2, 20, 3, 0, 1740787200, 0), (3, 21, 3, 1, 1740787200, 0),
    (4, 20, 4, 0, 1740787200, 0), (5, 20, 5, 0, 1740787200, 0), (6, 99, 2, 0, 1740787200, 0);
INSERT INTO mdl_context VALUES (900, 50, 10), (901, 10, 0);
INSERT INTO mdl_role VALUES (3, 'editingteacher'), (5, 'student');
INSERT INTO mdl_role_assignments VALUES (1, 3, 900, 4), (2, 5, 900, 2), (3, 5, 900, 3);
-- 2025-03-03 is a Monday; the assignment is due on 2025-03-10 12:00 UTC
INSERT INTO mdl_assign VALUES (500, 10, 'Célula', 1740960000, 1741608000, 100);
INSERT INTO mdl_assign_submission VALUES (1, 500, 2, 'submitted', 1741604400), (2, 500, 2, 'submitted', 1741700000),
    (3, 500, 3, 'draft', 1741604400), (4, 777, 3, 'submitted', 1741604400);
INSERT INTO mdl_grade_items VALUES (50, 'assign', 500, 100);
INSERT INTO mdl_grade_grades VALUES (1, 50, 2, 85);
INSERT INTO mdl_logstore_standard_log VALUES
    (1, '\core\event\course_viewed', 50, 10, 2, 10, 1741003200),            -- Ana sees the course
    (2, '\mod_forum\event\discussion_created', 70, 1001, 2, 10, 1741003300), -- and opens a discussion
    (3, '\mod_forum\event\post_created', 70, 1001, 3, 10, 1741089600),       -- Bia answers the day after
    (4, '\mod_forum\event\post_created', 70, 1001, 4, 10, 1741089700),       -- so does Teo, who teaches
    (5, '\core\event\user_loggedin', 10, 0, 2, 0, 1741003100),               -- a log-in hangs on no course
    (6, '\mod_forum\event\discussion_viewed', 70, 1002, 3, 1, 1741003100),   -- the front page is no course
    (7, '\core\event\course_viewed', 50, 10, 0, 10, 1741003200),             -- a guest
    (8, '\core\event\course_viewed', 50, 12, 2, 12, 1741003200);             -- a course that does not exist
RESET search_path;

SELECT client, message FROM empatia.add_client('escola');
SELECT message FROM empatia.add_source('escola', 'moodle', 'moodle', '{"environment": "Escola"}');
SELECT stream, relation, read, inserted, rejected FROM empatia.load('escola');
SELECT stream, source_key, reason FROM dw.reject ORDER BY stream, source_key;

-- Biologia, the week of Sunday 2 March and the week after: Ana 1 post, 1 access; Bia 1 reply; Ana's first submission is on 10 March,
-- one hour before it is due. Teo, Ivo and the guest are no students; Bia is suspended in Química.
SELECT user_id, space_id, period_start, posts, post_replies, accesses, active_days, assigned_exercises, submitted_exercises, late_exercises, grade_avg, conclusion_percent
FROM empatia.engagement('escola', 'SPA', 'WEEK', '2025-03-02', '2025-03-15') ORDER BY user_id, period_start;
SELECT user_id, lecture_id, posts, post_replies, accesses, submitted_exercises
FROM empatia.engagement('escola', 'LEC', 'ALL', '2025-03-02', '2025-03-15') ORDER BY user_id, lecture_id;

-- nothing new: nothing changes
SELECT sum(inserted) AS inserted, sum(updated) AS updated, sum(deleted) AS deleted FROM empatia.load('escola');
