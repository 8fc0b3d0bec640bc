-- Adapter moodle: Moodle's own tables (prefix mdl_), as Airbyte, dlt or a foreign schema lands them. Times are Unix seconds.
-- environment = the site; course = category; space = course; subject = section; lecture = activity (course module).
-- Teachers and managers come from role assignments in the course; suspended enrolments do not count. Log events of people are
-- interactions: a new discussion is a post, a reply in a forum a post reply, everything else an access.

INSERT INTO empatia.adapter (shipped, adapter, position, relation, stream, requires, optional, mode, kind, options, query) VALUES
(true, 'moodle', 1, 'environment', 'site', '{"mdl_course": ["id"]}', false, 'upsert', 'assignment', '{environment}', $q$
SELECT '1' AS _key, 1 AS environment_id, coalesce({option environment}, 'Moodle') AS name $q$),

(true, 'moodle', 2, 'course', 'mdl_course_categories', '{"mdl_course_categories": ["id", "name"]}', false, 'upsert', 'assignment', '{}', $q$
SELECT c.id::text AS _key, {cursor mdl_course_categories c} AS _cursor, {deleted mdl_course_categories c} AS _deleted, to_jsonb(c) AS _row,
       c.id AS course_id, 1 AS environment_id, c.name
FROM {source}.mdl_course_categories c $q$),

-- the site's front page is a course without a category
(true, 'moodle', 3, 'space', 'mdl_course', '{"mdl_course": ["id", "category", "fullname"]}', false, 'upsert', 'assignment', '{}', $q$
SELECT c.id::text AS _key, {cursor mdl_course c} AS _cursor, {deleted mdl_course c} AS _deleted, to_jsonb(c) AS _row,
       c.id AS space_id, c.category AS course_id, c.fullname AS name
FROM {source}.mdl_course c WHERE c.category <> 0 $q$),

(true, 'moodle', 4, 'subject', 'mdl_course_sections', '{"mdl_course_sections": ["id", "course", "section", "name"], "mdl_course": ["id", "category"]}', false, 'upsert', 'assignment', '{}', $q$
SELECT s.id::text AS _key, {cursor mdl_course_sections s} AS _cursor, {deleted mdl_course_sections s} AS _deleted, to_jsonb(s) AS _row,
       s.id AS subject_id, s.course AS space_id, coalesce(nullif(s.name, ''), 'Tópico ' || s.section) AS name
FROM {source}.mdl_course_sections s
WHERE NOT EXISTS (SELECT FROM {source}.mdl_course c WHERE c.id = s.course AND c.category = 0) $q$),

(true, 'moodle', 5, 'lecture', 'mdl_course_modules', '{"mdl_course_modules": ["id", "course", "module", "instance", "section"], "mdl_modules": ["id", "name"], "mdl_course": ["id", "category"]}', false, 'upsert', 'assignment', '{}', $q$
SELECT m.id::text AS _key, {cursor mdl_course_modules m} AS _cursor, {deleted mdl_course_modules m} AS _deleted, to_jsonb(m) AS _row,
       m.id AS lecture_id, m.section AS subject_id, coalesce(k.name, 'module') || ' ' || m.id AS name, k.name AS kind,
       {column mdl_course_modules m deletioninprogress} AS removed
FROM {source}.mdl_course_modules m LEFT JOIN {source}.mdl_modules k ON k.id = m.module
WHERE NOT EXISTS (SELECT FROM {source}.mdl_course c WHERE c.id = m.course AND c.category = 0) $q$),

(true, 'moodle', 6, 'student', 'mdl_user', '{"mdl_user": ["id", "firstname", "lastname", "deleted"]}', false, 'upsert', 'assignment', '{}', $q$
SELECT u.id::text AS _key, {cursor mdl_user u} AS _cursor, {deleted mdl_user u} AS _deleted,
       jsonb_build_object('id', u.id, 'firstname', u.firstname, 'lastname', u.lastname, 'deleted', u.deleted) AS _row,
       u.id AS user_id, nullif(concat_ws(' ', u.firstname, u.lastname), '') AS name, u.deleted AS removed
FROM {source}.mdl_user u $q$),

-- Roles given in a course (context level 50) are enrolments of their own, so that one excluded role is enough: negative ids keep them
-- apart from those of mdl_user_enrolments. Moodle deletes an enrolment that ends, hence the snapshot.
(true, 'moodle', 7, 'enrolment', 'mdl_user_enrolments', '{"mdl_user_enrolments": ["id", "enrolid", "userid", "status", "timecreated", "timeend"], "mdl_enrol": ["id", "courseid", "status"], "mdl_role_assignments": ["id", "roleid", "contextid", "userid"], "mdl_context": ["id", "contextlevel", "instanceid"], "mdl_role": ["id", "shortname"]}', false, 'snapshot', 'assignment', '{}', $q$
SELECT e.id::text AS _key, to_jsonb(e) AS _row, {deleted mdl_user_enrolments e} OR e.status <> 0 OR coalesce(n.status, 0) <> 0 AS _deleted,
       CASE WHEN n.id IS NULL THEN 'unknown enrolment method ' || coalesce(e.enrolid::text, 'null') END AS _reject,
       e.id AS enrolment_id, n.courseid AS space_id, e.userid AS user_id, NULL AS role, to_timestamp(e.timecreated) AS enrolled_at,
       CASE WHEN e.timeend > 0 THEN to_timestamp(e.timeend) END AS ended_at
FROM {source}.mdl_user_enrolments e LEFT JOIN {source}.mdl_enrol n ON n.id = e.enrolid
UNION ALL
SELECT 'role ' || a.id, to_jsonb(a), {deleted mdl_role_assignments a}, NULL, -a.id, x.instanceid, a.userid,
       CASE WHEN r.shortname IN ('editingteacher', 'teacher') THEN 'teacher' ELSE 'environment_admin' END, NULL, NULL
FROM {source}.mdl_role_assignments a
JOIN {source}.mdl_context x ON x.id = a.contextid AND x.contextlevel = 50
JOIN {source}.mdl_role r ON r.id = a.roleid AND r.shortname IN ('editingteacher', 'teacher', 'manager', 'coursecreator') $q$),

(true, 'moodle', 20, 'assignment', 'mdl_assign', '{"mdl_assign": ["id", "course", "name", "allowsubmissionsfromdate", "duedate", "grade"], "mdl_course_modules": ["id", "module", "instance"], "mdl_modules": ["id", "name"]}', true, 'upsert', 'assign', '{}', $q$
SELECT a.id::text AS _key, {cursor mdl_assign a} AS _cursor, {deleted mdl_assign a} AS _deleted, to_jsonb(a) AS _row,
       a.id AS assignment_id, a.name AS title, CASE WHEN a.allowsubmissionsfromdate > 0 THEN to_timestamp(a.allowsubmissionsfromdate) END AS opens_at,
       CASE WHEN a.duedate > 0 THEN to_timestamp(a.duedate) END AS due_at, CASE WHEN a.grade > 0 THEN a.grade END AS max_grade,
       m.id AS lecture_id, a.course AS space_id
FROM {source}.mdl_assign a
LEFT JOIN {source}.mdl_modules k ON k.name = 'assign'
LEFT JOIN {source}.mdl_course_modules m ON m.module = k.id AND m.instance = a.id $q$),

-- One row per enrolled user and assignment; submitted at the first submission. The grade is the gradebook's.
(true, 'moodle', 21, 'fact_assignment', 'mdl_assign_submission', '{"mdl_assign_submission": ["id", "assignment", "userid", "status", "timemodified"], "mdl_assign": ["id", "course", "name", "allowsubmissionsfromdate", "duedate", "grade"], "mdl_course_modules": ["id", "module", "instance"], "mdl_modules": ["id", "name"], "mdl_user_enrolments": ["enrolid", "userid", "status"], "mdl_enrol": ["id", "courseid", "status"], "mdl_grade_items": ["id", "itemmodule", "iteminstance", "grademax"], "mdl_grade_grades": ["itemid", "userid", "finalgrade"]}', true, 'snapshot', 'assign', '{}', $q$
WITH first_submission AS (
    SELECT DISTINCT ON (s.assignment, s.userid) s.* FROM {source}.mdl_assign_submission s
    WHERE s.status = 'submitted' AND s.userid > 0 AND NOT {deleted mdl_assign_submission s}
    ORDER BY s.assignment, s.userid, s.timemodified, s.id),
asked AS (
    SELECT a.id AS assignment, e.userid FROM {source}.mdl_assign a
    JOIN {source}.mdl_enrol n ON n.courseid = a.course AND n.status = 0
    JOIN {source}.mdl_user_enrolments e ON e.enrolid = n.id AND e.status = 0
    UNION
    SELECT s.assignment, s.userid FROM first_submission s)
SELECT q.assignment || '/' || q.userid AS _key, coalesce(to_jsonb(s), to_jsonb(q)) AS _row,
       CASE WHEN a.id IS NULL THEN 'unknown assignment ' || q.assignment END AS _reject, coalesce({deleted mdl_assign a}, false) AS _deleted,
       q.assignment AS assignment_id, q.userid AS user_id, m.id AS lecture_id, a.course AS space_id,
       CASE WHEN a.allowsubmissionsfromdate > 0 THEN to_timestamp(a.allowsubmissionsfromdate) END AS assigned_at,
       CASE WHEN a.duedate > 0 THEN to_timestamp(a.duedate) END AS due_at, to_timestamp(s.timemodified) AS submitted_at,
       coalesce(s.status, 'pending') AS status, g.finalgrade AS grade, CASE WHEN i.grademax > 0 THEN i.grademax END AS max_grade
FROM asked q
LEFT JOIN first_submission s ON s.assignment = q.assignment AND s.userid = q.userid
LEFT JOIN {source}.mdl_assign a ON a.id = q.assignment
LEFT JOIN {source}.mdl_modules k ON k.name = 'assign'
LEFT JOIN {source}.mdl_course_modules m ON m.module = k.id AND m.instance = a.id
LEFT JOIN {source}.mdl_grade_items i ON i.itemmodule = 'assign' AND i.iteminstance = a.id
LEFT JOIN {source}.mdl_grade_grades g ON g.itemid = i.id AND g.userid = q.userid $q$),

-- the log has no updated_at: its own time is the cursor, a log is only ever added to
(true, 'moodle', 30, 'fact_interaction', 'mdl_logstore_standard_log', '{"mdl_logstore_standard_log": ["id", "eventname", "contextlevel", "contextinstanceid", "userid", "courseid", "timecreated"], "mdl_course": ["id", "category"]}', false, 'upsert', 'assignment', '{}', $q$
SELECT l.id::text AS _key, to_timestamp(l.timecreated) AS _cursor, {deleted mdl_logstore_standard_log l} AS _deleted, to_jsonb(l) AS _row,
       l.id AS interaction_id, l.userid AS user_id, to_timestamp(l.timecreated) AS occurred_at,
       CASE l.eventname WHEN '\mod_forum\event\discussion_created' THEN 'post' WHEN '\mod_forum\event\post_created' THEN 'post_reply' ELSE 'access' END AS kind,
       CASE WHEN l.contextlevel = 70 AND c.id IS NULL THEN l.contextinstanceid END AS lecture_id,
       CASE WHEN l.contextlevel <> 70 AND l.courseid > 0 AND c.id IS NULL THEN l.courseid END AS space_id
FROM {source}.mdl_logstore_standard_log l
LEFT JOIN {source}.mdl_course c ON c.id = l.courseid AND c.category = 0
-- the system and guests that did not log in act as user 0 or below
WHERE l.userid > 0 $q$);
