-- Adapter moodle: Moodle's own tables (prefix mdl_), as Airbyte, dlt or a foreign schema lands them. Times are Unix seconds.
-- environment = the site; course = category; space = course; subject = section; lecture = activity (course module).
-- Teachers and managers come from role assignments in the course; suspended enrolments do not count. Log events of people are
-- interactions: a new discussion is a post, a reply in a forum a post reply, everything else an access. Keys are compared as text: some loaders
-- land them as numbers, some as text.

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
FROM {source}.mdl_course c WHERE c.category::text <> '0' $q$),

(true, 'moodle', 4, 'subject', 'mdl_course_sections', '{"mdl_course_sections": ["id", "course", "section", "name"], "mdl_course": ["id", "category"]}', false, 'upsert', 'assignment', '{}', $q$
SELECT s.id::text AS _key, {cursor mdl_course_sections s} AS _cursor, {deleted mdl_course_sections s} AS _deleted, to_jsonb(s) AS _row,
       s.id AS subject_id, s.course AS space_id, coalesce(nullif(s.name, ''), 'Tópico ' || s.section) AS name
FROM {source}.mdl_course_sections s
WHERE NOT EXISTS (SELECT FROM {source}.mdl_course c WHERE c.id::text = s.course::text AND c.category::text = '0') $q$),

(true, 'moodle', 5, 'lecture', 'mdl_course_modules', '{"mdl_course_modules": ["id", "course", "module", "instance", "section"], "mdl_modules": ["id", "name"], "mdl_course": ["id", "category"]}', false, 'upsert', 'assignment', '{}', $q$
SELECT m.id::text AS _key, {cursor mdl_course_modules m} AS _cursor, {deleted mdl_course_modules m} AS _deleted, to_jsonb(m) AS _row,
       m.id AS lecture_id, m.section AS subject_id, coalesce(k.name, 'module') || ' ' || m.id AS name, k.name AS kind,
       {column mdl_course_modules m deletioninprogress} AS removed
FROM {source}.mdl_course_modules m LEFT JOIN {source}.mdl_modules k ON k.id::text = m.module::text
WHERE NOT EXISTS (SELECT FROM {source}.mdl_course c WHERE c.id::text = m.course::text AND c.category::text = '0') $q$),

(true, 'moodle', 6, 'student', 'mdl_user', '{"mdl_user": ["id", "firstname", "lastname", "deleted"]}', false, 'upsert', 'assignment', '{}', $q$
SELECT u.id::text AS _key, {cursor mdl_user u} AS _cursor, {deleted mdl_user u} AS _deleted,
       jsonb_build_object('id', u.id, 'firstname', u.firstname, 'lastname', u.lastname, 'deleted', u.deleted) AS _row,
       u.id AS user_id, nullif(concat_ws(' ', u.firstname, u.lastname), '') AS name, u.deleted AS removed
FROM {source}.mdl_user u $q$),

-- Roles given in a course (context level 50) are enrolments of their own, so that one excluded role is enough: negative ids keep them
-- apart from those of mdl_user_enrolments. Moodle deletes an enrolment that ends, hence the snapshot.
(true, 'moodle', 7, 'enrolment', 'mdl_user_enrolments', '{"mdl_user_enrolments": ["id", "enrolid", "userid", "status", "timecreated", "timeend"], "mdl_enrol": ["id", "courseid", "status"], "mdl_role_assignments": ["id", "roleid", "contextid", "userid"], "mdl_context": ["id", "contextlevel", "instanceid"], "mdl_role": ["id", "shortname"]}', false, 'snapshot', 'assignment', '{}', $q$
SELECT e.id::text AS _key, to_jsonb(e) AS _row, {deleted mdl_user_enrolments e} OR e.status::text <> '0' OR n.status::text <> '0' AS _deleted,
       CASE WHEN n.id IS NULL THEN 'unknown enrolment method ' || coalesce(e.enrolid::text, 'null') END AS _reject,
       e.id::bigint AS enrolment_id, n.courseid::text AS space_id, e.userid::text AS user_id, NULL AS role, to_timestamp(e.timecreated::double precision) AS enrolled_at,
       CASE WHEN e.timeend::text <> '0' THEN to_timestamp(e.timeend::double precision) END AS ended_at
FROM {source}.mdl_user_enrolments e LEFT JOIN {source}.mdl_enrol n ON n.id::text = e.enrolid::text
UNION ALL
SELECT 'role ' || a.id, to_jsonb(a), {deleted mdl_role_assignments a}, NULL, -a.id::bigint, x.instanceid::text, a.userid::text,
       CASE WHEN r.shortname IN ('editingteacher', 'teacher') THEN 'teacher' ELSE 'environment_admin' END, NULL, NULL
FROM {source}.mdl_role_assignments a
JOIN {source}.mdl_context x ON x.id::text = a.contextid::text AND x.contextlevel::text = '50'
JOIN {source}.mdl_role r ON r.id::text = a.roleid::text AND r.shortname IN ('editingteacher', 'teacher', 'manager', 'coursecreator') $q$),

(true, 'moodle', 20, 'assignment', 'mdl_assign', '{"mdl_assign": ["id", "course", "name", "allowsubmissionsfromdate", "duedate", "grade"], "mdl_course_modules": ["id", "module", "instance"], "mdl_modules": ["id", "name"]}', true, 'upsert', 'assign', '{}', $q$
SELECT a.id::text AS _key, {cursor mdl_assign a} AS _cursor, {deleted mdl_assign a} AS _deleted, to_jsonb(a) AS _row,
       a.id AS assignment_id, a.name AS title, CASE WHEN a.allowsubmissionsfromdate::text <> '0' THEN to_timestamp(a.allowsubmissionsfromdate::double precision) END AS opens_at,
       CASE WHEN a.duedate::text <> '0' THEN to_timestamp(a.duedate::double precision) END AS due_at, CASE WHEN a.grade::double precision > 0 THEN a.grade END AS max_grade,
       m.id AS lecture_id, a.course AS space_id
FROM {source}.mdl_assign a
LEFT JOIN {source}.mdl_modules k ON k.name = 'assign'
LEFT JOIN {source}.mdl_course_modules m ON m.module::text = k.id::text AND m.instance::text = a.id::text $q$),

-- One row per enrolled user and assignment; submitted at the first submission. The grade is the gradebook's.
(true, 'moodle', 21, 'fact_assignment', 'mdl_assign_submission', '{"mdl_assign_submission": ["id", "assignment", "userid", "status", "timemodified"], "mdl_assign": ["id", "course", "name", "allowsubmissionsfromdate", "duedate", "grade"], "mdl_course_modules": ["id", "module", "instance"], "mdl_modules": ["id", "name"], "mdl_user_enrolments": ["enrolid", "userid", "status"], "mdl_enrol": ["id", "courseid", "status"], "mdl_grade_items": ["id", "itemmodule", "iteminstance", "grademax"], "mdl_grade_grades": ["itemid", "userid", "finalgrade"]}', true, 'snapshot', 'assign', '{}', $q$
WITH first_submission AS (
    SELECT DISTINCT ON (s.assignment, s.userid) s.* FROM {source}.mdl_assign_submission s
    WHERE s.status = 'submitted' AND s.userid::text <> '0' AND NOT {deleted mdl_assign_submission s}
    ORDER BY s.assignment, s.userid, s.timemodified::double precision, s.id),
asked AS (
    SELECT a.id::text AS assignment, e.userid::text AS userid FROM {source}.mdl_assign a
    JOIN {source}.mdl_enrol n ON n.courseid::text = a.course::text AND n.status::text = '0'
    JOIN {source}.mdl_user_enrolments e ON e.enrolid::text = n.id::text AND e.status::text = '0'
    UNION
    SELECT s.assignment::text, s.userid::text FROM first_submission s)
SELECT q.assignment || '/' || q.userid AS _key, coalesce(to_jsonb(s), to_jsonb(q)) AS _row,
       CASE WHEN a.id IS NULL THEN 'unknown assignment ' || q.assignment END AS _reject, coalesce({deleted mdl_assign a}, false) AS _deleted,
       q.assignment AS assignment_id, q.userid AS user_id, m.id AS lecture_id, a.course AS space_id,
       CASE WHEN a.allowsubmissionsfromdate::text <> '0' THEN to_timestamp(a.allowsubmissionsfromdate::double precision) END AS assigned_at,
       CASE WHEN a.duedate::text <> '0' THEN to_timestamp(a.duedate::double precision) END AS due_at, to_timestamp(s.timemodified::double precision) AS submitted_at,
       coalesce(s.status, 'pending') AS status, g.finalgrade AS grade, CASE WHEN i.grademax::double precision > 0 THEN i.grademax END AS max_grade
FROM asked q
LEFT JOIN first_submission s ON s.assignment::text = q.assignment AND s.userid::text = q.userid
LEFT JOIN {source}.mdl_assign a ON a.id::text = q.assignment
LEFT JOIN {source}.mdl_modules k ON k.name = 'assign'
LEFT JOIN {source}.mdl_course_modules m ON m.module::text = k.id::text AND m.instance::text = a.id::text
LEFT JOIN {source}.mdl_grade_items i ON i.itemmodule = 'assign' AND i.iteminstance::text = a.id::text
LEFT JOIN {source}.mdl_grade_grades g ON g.itemid::text = i.id::text AND g.userid::text = q.userid $q$),

-- the log has no updated_at: its own time is the cursor, a log is only ever added to
(true, 'moodle', 30, 'fact_interaction', 'mdl_logstore_standard_log', '{"mdl_logstore_standard_log": ["id", "eventname", "contextlevel", "contextinstanceid", "userid", "courseid", "timecreated"], "mdl_course": ["id", "category"]}', false, 'upsert', 'assignment', '{}', $q$
SELECT l.id::text AS _key, to_timestamp(l.timecreated::double precision) AS _cursor, {deleted mdl_logstore_standard_log l} AS _deleted, to_jsonb(l) AS _row,
       l.id AS interaction_id, l.userid AS user_id, to_timestamp(l.timecreated::double precision) AS occurred_at,
       CASE l.eventname WHEN '\mod_forum\event\discussion_created' THEN 'post' WHEN '\mod_forum\event\post_created' THEN 'post_reply' ELSE 'access' END AS kind,
       CASE WHEN l.contextlevel::text = '70' AND c.id IS NULL THEN l.contextinstanceid END AS lecture_id,
       CASE WHEN l.contextlevel::text <> '70' AND l.courseid::text <> '0' AND c.id IS NULL THEN l.courseid END AS space_id
FROM {source}.mdl_logstore_standard_log l
LEFT JOIN {source}.mdl_course c ON c.id::text = l.courseid::text AND c.category::text = '0'
-- the system and guests that did not log in act as user 0 or below
WHERE l.userid::bigint > 0 $q$);
