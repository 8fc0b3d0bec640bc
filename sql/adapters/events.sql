-- Adapter events: flat tables of who did what, when and where, for every platform without an adapter of its own.
--   events(who, happened_at, kind, course)   required; kind: post, post_reply, help_request, help_request_reply or access
--     optional columns: event_id (else the row's content is the key), amount, environment, space, subject, lecture, updated_at, deleted_at
--   enrolments(who, course)                  optional table; columns space, role, name; without it whoever has an event in a space is
--                                            enrolled in it
--   submissions(who, course, assignment)     optional table; columns space, assigned_at, due_at, submitted_at, grade, max_grade
-- Names become ids with empatia.source_id(): a number stays itself. What is not named is the level above it: a course without spaces
-- is its own space. Option environment: the environment of rows that name none.

INSERT INTO empatia.adapter (shipped, adapter, position, relation, stream, requires, optional, mode, kind, options, query) VALUES
(true, 'events', 1, 'environment', 'event_environments', '{"events": ["who", "happened_at", "kind", "course"]}', false, 'upsert', 'assignment', '{environment}', $q$
SELECT DISTINCT p.environment AS _key, empatia.source_id(p.environment) AS environment_id, p.environment AS name
FROM {source}.events e CROSS JOIN LATERAL (SELECT coalesce({column events e environment}::text, {option environment}, 'default') AS environment) p $q$),

(true, 'events', 2, 'course', 'event_courses', '{"events": ["course"]}', false, 'upsert', 'assignment', '{environment}', $q$
SELECT DISTINCT ON (e.course) e.course::text AS _key, empatia.source_id(e.course::text) AS course_id, e.course::text AS name,
       empatia.source_id(coalesce({column events e environment}::text, {option environment}, 'default')) AS environment_id
FROM {source}.events e WHERE e.course IS NOT NULL ORDER BY e.course, environment_id $q$),

(true, 'events', 3, 'space', 'event_spaces', '{"events": ["course"]}', false, 'upsert', 'assignment', '{}', $q$
SELECT DISTINCT concat_ws('/', e.course, {column events e space}) AS _key, empatia.source_id(concat_ws('/', e.course, {column events e space})) AS space_id,
       empatia.source_id(e.course::text) AS course_id, coalesce({column events e space}::text, e.course::text) AS name
FROM {source}.events e WHERE e.course IS NOT NULL $q$),

(true, 'events', 4, 'subject', 'event_subjects', '{"events": ["course"]}', false, 'upsert', 'assignment', '{}', $q$
SELECT DISTINCT concat_ws('/', e.course, {column events e space}, {column events e subject}) AS _key,
       empatia.source_id(concat_ws('/', e.course, {column events e space}, {column events e subject})) AS subject_id,
       empatia.source_id(concat_ws('/', e.course, {column events e space})) AS space_id,
       coalesce({column events e subject}::text, {column events e space}::text, e.course::text) AS name
FROM {source}.events e WHERE e.course IS NOT NULL AND ({column events e subject} IS NOT NULL OR {column events e lecture} IS NOT NULL) $q$),

(true, 'events', 5, 'lecture', 'event_lectures', '{"events": ["course"]}', false, 'upsert', 'assignment', '{}', $q$
SELECT DISTINCT concat_ws('/', e.course, {column events e space}, {column events e subject}, {column events e lecture}) AS _key,
       empatia.source_id(concat_ws('/', e.course, {column events e space}, {column events e subject}, {column events e lecture})) AS lecture_id,
       empatia.source_id(concat_ws('/', e.course, {column events e space}, {column events e subject})) AS subject_id, {column events e lecture}::text AS name
FROM {source}.events e WHERE e.course IS NOT NULL AND {column events e lecture} IS NOT NULL $q$),

-- people and enrolments that are only known from events are added, so that they never change what a better source said of them
(true, 'events', 6, 'student', 'event_users', '{"events": ["who"]}', false, 'add', 'assignment', '{}', $q$
SELECT DISTINCT e.who::text AS _key, empatia.source_id(e.who::text) AS user_id, e.who::text AS name FROM {source}.events e WHERE e.who IS NOT NULL $q$),

(true, 'events', 7, 'student', 'enrolled_users', '{"enrolments": ["who", "course"]}', true, 'upsert', 'assignment', '{}', $q$
SELECT DISTINCT ON (n.who) n.who::text AS _key, empatia.source_id(n.who::text) AS user_id, coalesce({column enrolments n name}::text, n.who::text) AS name
FROM {source}.enrolments n WHERE n.who IS NOT NULL ORDER BY n.who, name $q$),

(true, 'events', 8, 'enrolment', 'enrolments', '{"enrolments": ["who", "course"]}', true, 'upsert', 'assignment', '{}', $q$
SELECT concat_ws('/', n.course, {column enrolments n space}) || '//' || n.who AS _key, {cursor enrolments n} AS _cursor, {deleted enrolments n} AS _deleted, to_jsonb(n) AS _row,
       empatia.source_id(concat_ws('/', n.course, {column enrolments n space}) || '//' || n.who) AS enrolment_id,
       empatia.source_id(concat_ws('/', n.course, {column enrolments n space})) AS space_id,
       empatia.source_id(n.who::text) AS user_id, {column enrolments n role} AS role
FROM {source}.enrolments n $q$),

(true, 'events', 9, 'enrolment', 'event_enrolments', '{"events": ["who", "course"]}', false, 'add', 'assignment', '{}', $q$
SELECT DISTINCT concat_ws('/', e.course, {column events e space}) || '//' || e.who AS _key,
       empatia.source_id(concat_ws('/', e.course, {column events e space}) || '//' || e.who) AS enrolment_id,
       empatia.source_id(concat_ws('/', e.course, {column events e space})) AS space_id, empatia.source_id(e.who::text) AS user_id
FROM {source}.events e
WHERE e.course IS NOT NULL AND e.who IS NOT NULL AND NOT {exists enrolments} $q$),

(true, 'events', 20, 'assignment', 'assignments', '{"submissions": ["who", "course", "assignment"]}', true, 'upsert', 'assignment', '{}', $q$
SELECT DISTINCT ON (_key) concat_ws('/', s.course, {column submissions s space}, s.assignment) AS _key,
       empatia.source_id(concat_ws('/', s.course, {column submissions s space}, s.assignment)) AS assignment_id, s.assignment::text AS title,
       {column submissions s due_at} AS due_at, {column submissions s max_grade} AS max_grade,
       empatia.source_id(concat_ws('/', s.course, {column submissions s space})) AS space_id
FROM {source}.submissions s WHERE s.assignment IS NOT NULL ORDER BY _key, due_at $q$),

(true, 'events', 21, 'fact_assignment', 'submissions', '{"submissions": ["who", "course", "assignment"]}', true, 'upsert', 'assignment', '{}', $q$
SELECT concat_ws('/', s.course, {column submissions s space}, s.assignment) || '//' || s.who AS _key, {cursor submissions s} AS _cursor,
       {deleted submissions s} AS _deleted, to_jsonb(s) AS _row,
       CASE WHEN s.assignment IS NOT NULL THEN empatia.source_id(concat_ws('/', s.course, {column submissions s space}, s.assignment)) END AS assignment_id,
       empatia.source_id(s.who::text) AS user_id,
       empatia.source_id(concat_ws('/', s.course, {column submissions s space})) AS space_id, {column submissions s assigned_at} AS assigned_at,
       {column submissions s due_at} AS due_at, {column submissions s submitted_at} AS submitted_at,
       {column submissions s grade} AS grade, {column submissions s max_grade} AS max_grade
FROM {source}.submissions s $q$),

(true, 'events', 30, 'fact_interaction', 'events', '{"events": ["who", "happened_at", "kind", "course"]}', false, 'upsert', 'assignment', '{}', $q$
SELECT coalesce({column events e event_id}::text, to_jsonb(e)::text) AS _key, {cursor events e} AS _cursor, {deleted events e} AS _deleted, to_jsonb(e) AS _row,
       empatia.source_id(coalesce({column events e event_id}::text, to_jsonb(e)::text)) AS interaction_id, empatia.source_id(e.who::text) AS user_id,
       e.kind, {column events e amount} AS amount, e.happened_at AS occurred_at,
       CASE WHEN {column events e lecture} IS NOT NULL
            THEN empatia.source_id(concat_ws('/', e.course, {column events e space}, {column events e subject}, {column events e lecture})) END AS lecture_id,
       CASE WHEN {column events e subject} IS NOT NULL
            THEN empatia.source_id(concat_ws('/', e.course, {column events e space}, {column events e subject})) END AS subject_id,
       CASE WHEN e.course IS NOT NULL THEN empatia.source_id(concat_ws('/', e.course, {column events e space})) END AS space_id
FROM {source}.events e $q$);

-- what rejected rows are said to come from
UPDATE empatia.adapter SET source_table = CASE WHEN stream LIKE 'event\_%' THEN 'events' WHEN stream = 'enrolled_users' THEN 'enrolments' ELSE 'submissions' END
WHERE adapter = 'events' AND (stream LIKE 'event\_%' OR stream IN ('enrolled_users', 'assignments'));
