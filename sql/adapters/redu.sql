-- Adapter redu: OpenRedu's own tables, as Airbyte, dlt or a foreign schema lands them.
-- Either assignment module may be absent: the classic one (lectures of type Exercise and their results) and the newer one
-- (assignments, user_assignments, grade_groups, gradebooks).

INSERT INTO empatia.adapter (shipped, adapter, position, relation, stream, requires, optional, mode, kind, query) VALUES
(true, 'redu', 1, 'environment', 'environments', '{"environments": ["id", "name"]}', false, 'upsert', 'assignment', $q$
SELECT e.id::text AS _key, {cursor environments e} AS _cursor, {deleted environments e} AS _deleted, to_jsonb(e) AS _row,
       e.id AS environment_id, e.name
FROM {source}.environments e $q$),

(true, 'redu', 2, 'course', 'courses', '{"courses": ["id", "name", "environment_id"]}', false, 'upsert', 'assignment', $q$
SELECT c.id::text AS _key, {cursor courses c} AS _cursor, {deleted courses c} AS _deleted, to_jsonb(c) AS _row,
       c.id AS course_id, c.environment_id, c.name
FROM {source}.courses c $q$),

(true, 'redu', 3, 'space', 'spaces', '{"spaces": ["id", "name", "course_id", "removed"]}', false, 'upsert', 'assignment', $q$
SELECT s.id::text AS _key, {cursor spaces s} AS _cursor, {deleted spaces s} AS _deleted, to_jsonb(s) AS _row,
       s.id AS space_id, s.course_id, s.name, s.removed
FROM {source}.spaces s $q$),

(true, 'redu', 4, 'subject', 'subjects', '{"subjects": ["id", "name", "space_id"]}', false, 'upsert', 'assignment', $q$
SELECT b.id::text AS _key, {cursor subjects b} AS _cursor, {deleted subjects b} AS _deleted, to_jsonb(b) AS _row,
       b.id AS subject_id, b.space_id, b.name
FROM {source}.subjects b $q$),

(true, 'redu', 5, 'lecture', 'lectures', '{"lectures": ["id", "name", "subject_id", "lectureable_type"]}', false, 'upsert', 'assignment', $q$
SELECT l.id::text AS _key, {cursor lectures l} AS _cursor, {deleted lectures l} AS _deleted, to_jsonb(l) AS _row,
       l.id AS lecture_id, l.subject_id, l.name, l.lectureable_type AS kind
FROM {source}.lectures l $q$),

-- no e-mail, no login: the name is all that readers of the cube need
(true, 'redu', 6, 'student', 'users', '{"users": ["id", "first_name", "last_name", "removed"]}', false, 'upsert', 'assignment', $q$
SELECT u.id::text AS _key, {cursor users u} AS _cursor, {deleted users u} AS _deleted,
       jsonb_build_object('id', u.id, 'first_name', u.first_name, 'last_name', u.last_name, 'removed', u.removed) AS _row,
       u.id AS user_id, nullif(concat_ws(' ', u.first_name, u.last_name), '') AS name, u.removed,
       jsonb_strip_nulls(jsonb_build_object('gender', {column users u gender}, 'birthday', {column users u birthday})) AS attributes
FROM {source}.users u $q$),

(true, 'redu', 7, 'enrolment', 'user_space_associations', '{"user_space_associations": ["id", "user_id", "space_id", "role"]}', false, 'upsert', 'assignment', $q$
SELECT e.id::text AS _key, {cursor user_space_associations e} AS _cursor, {deleted user_space_associations e} AS _deleted, to_jsonb(e) AS _row,
       e.id AS enrolment_id, e.user_id, e.space_id, e.role, {column user_space_associations e created_at} AS enrolled_at
FROM {source}.user_space_associations e $q$),

(true, 'redu', 8, 'environment_role', 'user_environment_associations', '{"user_environment_associations": ["id", "user_id", "environment_id", "role"]}', true, 'upsert', 'assignment', $q$
SELECT e.id::text AS _key, {cursor user_environment_associations e} AS _cursor, {deleted user_environment_associations e} AS _deleted, to_jsonb(e) AS _row,
       e.id AS environment_role_id, e.user_id, e.environment_id, e.role
FROM {source}.user_environment_associations e $q$),

(true, 'redu', 9, 'friendship', 'friendships', '{"friendships": ["id", "user_id", "friend_id", "status"]}', true, 'upsert', 'assignment', $q$
SELECT f.id::text AS _key, {cursor friendships f} AS _cursor, {deleted friendships f} AS _deleted, to_jsonb(f) AS _row,
       f.id AS friendship_id, f.user_id, f.friend_id, f.status, {column friendships f accepted_at} AS accepted_at
FROM {source}.friendships f $q$),

(true, 'redu', 20, 'grade_group', 'grade_groups', '{"grade_groups": ["id"]}', true, 'upsert', 'assignment', $q$
SELECT g.id::text AS _key, {cursor grade_groups g} AS _cursor, {deleted grade_groups g} AS _deleted, to_jsonb(g) AS _row,
       g.id AS grade_group_id, {column grade_groups g space_id} AS space_id, {column grade_groups g name} AS name, {column grade_groups g weight} AS weight
FROM {source}.grade_groups g $q$),

(true, 'redu', 21, 'gradebook', 'gradebooks', '{"gradebooks": ["id"]}', true, 'upsert', 'assignment', $q$
SELECT g.id::text AS _key, {cursor gradebooks g} AS _cursor, {deleted gradebooks g} AS _deleted, to_jsonb(g) AS _row,
       g.id AS gradebook_id, {column gradebooks g space_id} AS space_id, {column gradebooks g user_id} AS user_id,
       {column gradebooks g grade_group_id} AS grade_group_id, {column gradebooks g grade} AS grade
FROM {source}.gradebooks g $q$),

-- An Answer belongs to its thread: it hangs where the thread's root hangs, and is a help reply if the root is a Help. UNION (not
-- UNION ALL) ends the climb of a thread that answers itself.
(true, 'redu', 30, 'fact_interaction', 'statuses', '{"statuses": ["id", "type", "user_id", "statusable_type", "statusable_id", "in_response_to_id", "created_at"]}', false, 'upsert', 'assignment', $q$
WITH RECURSIVE climb AS (
    SELECT a.id AS answer, a.in_response_to_id AS ancestor FROM {source}.statuses a WHERE a.type = 'Answer'
    UNION
    SELECT c.answer, p.in_response_to_id FROM climb c JOIN {source}.statuses p ON p.id = c.ancestor WHERE p.type = 'Answer'),
root AS (
    SELECT DISTINCT ON (c.answer) c.answer, p.type, p.statusable_type, p.statusable_id
    FROM climb c JOIN {source}.statuses p ON p.id = c.ancestor AND p.type <> 'Answer'
    ORDER BY c.answer, p.type, p.statusable_type, p.statusable_id),
-- an answer changes when anything above it does: the root may be moved to another place
thread AS (
    SELECT c.answer, max({cursor statuses p}) AS changed FROM climb c JOIN {source}.statuses p ON p.id = c.ancestor GROUP BY c.answer)
SELECT s.id::text AS _key, CASE WHEN {cursor statuses s} IS NOT NULL THEN greatest({cursor statuses s}, t.changed) END AS _cursor, {deleted statuses s} AS _deleted, to_jsonb(s) AS _row,
       CASE WHEN s.type = 'Answer' AND r.answer IS NULL THEN
                CASE WHEN s.in_response_to_id IS NULL THEN 'answer to no status'
                     WHEN EXISTS (SELECT FROM {source}.statuses p WHERE p.id = s.in_response_to_id) THEN 'answer in a thread without a root'
                     ELSE 'answer to status ' || s.in_response_to_id || ', which does not exist' END
            WHEN p.place_type IS NULL OR p.place_type NOT IN ('Lecture', 'Subject', 'Space', 'Course', 'Environment', 'User')
                THEN 'unknown statusable_type ' || coalesce(quote_literal(p.place_type), 'null')
            WHEN p.place_id IS NULL THEN 'statusable_id is null' END AS _reject,
       s.id AS interaction_id, s.user_id, s.created_at AS occurred_at,
       CASE s.type WHEN 'Activity' THEN 'post' WHEN 'Help' THEN 'help_request'
                   WHEN 'Answer' THEN CASE r.type WHEN 'Help' THEN 'help_request_reply' ELSE 'post_reply' END
                   ELSE coalesce(s.type, 'without a type') END AS kind,
       CASE p.place_type WHEN 'Lecture' THEN p.place_id END AS lecture_id,
       CASE p.place_type WHEN 'Subject' THEN p.place_id END AS subject_id,
       CASE p.place_type WHEN 'Space' THEN p.place_id END AS space_id,
       CASE p.place_type WHEN 'Course' THEN p.place_id END AS course_id,
       CASE p.place_type WHEN 'Environment' THEN p.place_id END AS environment_id
FROM {source}.statuses s
LEFT JOIN root r ON r.answer = s.id AND s.type = 'Answer'
LEFT JOIN thread t ON t.answer = s.id AND s.type = 'Answer'
CROSS JOIN LATERAL (SELECT CASE s.type WHEN 'Answer' THEN r.statusable_type ELSE s.statusable_type END AS place_type,
                           CASE s.type WHEN 'Answer' THEN r.statusable_id ELSE s.statusable_id END AS place_id) p
WHERE s.type IS NULL OR s.type NOT IN ('Log', 'CompoundLog')
ORDER BY {cursor statuses s} $q$),

(true, 'redu', 40, 'assignment', 'exercises', '{"lectures": ["id", "name", "lectureable_type", "lectureable_id"], "results": ["id"]}', true, 'snapshot', 'exercise', $q$
SELECT l.id::text AS _key, {deleted lectures l} AS _deleted, to_jsonb(l) AS _row,
       l.id AS assignment_id, l.name AS title, {column lectures l created_at} AS opens_at, 10 AS max_grade, l.id AS lecture_id
FROM {source}.lectures l WHERE l.lectureable_type = 'Exercise' $q$),

-- One row per enrolled user and exercise, submitted at the first finalized result; later results do not count. A result that cannot be
-- loaded is rejected by itself: the exercise stays assigned, and the next sound result counts. Results without an enrolment (a
-- visitor's) are kept too: they count for no unit, and build_cube() reports them. Ids are compared as text, since loaders differ in types.
(true, 'redu', 41, 'fact_assignment', 'results', '{"results": ["id", "user_id", "exercise_id", "state", "grade", "created_at"], "lectures": ["id", "subject_id", "lectureable_type", "lectureable_id", "created_at"], "subjects": ["id", "space_id"], "users": ["id"], "user_space_associations": ["id", "user_id", "space_id"]}', true, 'snapshot', 'exercise', $q$
WITH exercise AS (
    SELECT l.id AS lecture_id, l.lectureable_id::text AS exercise_id, l.created_at, b.space_id::text AS space_id, {deleted lectures l} OR {deleted subjects b} AS gone
    FROM {source}.lectures l JOIN {source}.subjects b ON b.id::text = l.subject_id::text
    WHERE l.lectureable_type = 'Exercise'),
result AS (
    SELECT r.id::text AS id, r.user_id::text AS user_id, r.exercise_id::text AS exercise_id, r.state::text AS state, r.grade::text AS grade, r.created_at::text AS created_at,
           empatia._to_bigint(r.id::text) AS number, empatia._to_bigint(r.user_id::text) AS who, empatia._to_double(r.grade::text) AS points,
           empatia._to_timestamp(r.created_at::text, coalesce({option time_zone}, 'UTC')) AS at,
           row_number() OVER (PARTITION BY r.id ORDER BY {cursor results r} DESC NULLS LAST) AS version, to_jsonb(r) AS _row
    FROM {source}.results r WHERE r.state = 'finalized' AND NOT {deleted results r}),
judged AS (
    SELECT r.*, CASE
        WHEN nullif(r.id, '') IS NULL THEN 'id is null'
        WHEN r.number IS NULL THEN 'column id: expected bigint, found ' || quote_literal(r.id)
        WHEN r.version > 1 THEN 'duplicate key: another row with this key is loaded'
        WHEN nullif(r.user_id, '') IS NULL THEN 'user_id is null'
        WHEN r.who IS NULL THEN 'column user_id: expected bigint, found ' || quote_literal(r.user_id)
        WHEN NOT EXISTS (SELECT FROM exercise x WHERE x.exercise_id = r.exercise_id) THEN 'unknown exercise ' || coalesce(r.exercise_id, 'null')
        WHEN nullif(r.created_at, '') IS NULL THEN 'created_at is null'
        WHEN r.at IS NULL THEN 'column created_at: expected timestamptz, found ' || quote_literal(r.created_at)
        WHEN r.at < empatia._setting_value('valid_from')::date OR r.at > empatia._setting_value('valid_to')::date THEN 'created_at is outside valid_from..valid_to: ' || r.created_at
        WHEN nullif(r.grade, '') IS NOT NULL AND r.points IS NULL THEN 'column grade: expected double precision, found ' || quote_literal(r.grade)
        WHEN r.points < 0 THEN 'grade ' || r.grade || ' is negative'
        WHEN r.points > 10 THEN 'grade ' || r.grade || ' is above max_grade 10' END AS problem
    FROM result r),
first_result AS (
    SELECT DISTINCT ON (r.who, r.exercise_id) r.* FROM judged r WHERE r.problem IS NULL ORDER BY r.who, r.exercise_id, r.at, r.number),
asked AS (
    SELECT empatia._to_bigint(e.user_id::text) AS who, x.lecture_id, x.exercise_id, x.created_at, x.gone FROM exercise x
    JOIN {source}.user_space_associations e ON e.space_id::text = x.space_id
    -- an enrolment that is rejected asks nobody for anything
    WHERE NOT {deleted user_space_associations e} AND empatia._to_bigint(e.id::text) IS NOT NULL
      AND EXISTS (SELECT FROM {source}.users u WHERE u.id::text = e.user_id::text)
    UNION
    SELECT f.who, x.lecture_id, x.exercise_id, x.created_at, x.gone FROM first_result f JOIN exercise x ON x.exercise_id = f.exercise_id)
SELECT 'result ' || f.id AS _key, a.gone AS _deleted, f._row, NULL AS _reject, a.lecture_id AS assignment_id, a.who AS user_id, a.lecture_id,
       a.created_at AS assigned_at, f.at AS submitted_at, coalesce(f.state, 'pending') AS status, f.points AS grade, 10 AS max_grade
FROM asked a LEFT JOIN first_result f ON f.who = a.who AND f.exercise_id = a.exercise_id
UNION ALL
SELECT 'result ' || r.id, false, r._row, r.problem, NULL, r.who, NULL, NULL, r.at, r.state, r.points, 10 FROM judged r WHERE r.problem IS NOT NULL $q$),

(true, 'redu', 50, 'assignment', 'assignments', '{"assignments": ["id"]}', true, 'upsert', 'assignment', $q$
SELECT a.id::text AS _key, {cursor assignments a} AS _cursor, {deleted assignments a} AS _deleted, to_jsonb(a) AS _row,
       a.id AS assignment_id, {column assignments a title} AS title, {column assignments a opens_at} AS opens_at,
       {column assignments a due_at} AS due_at, {column assignments a max_grade} AS max_grade, {column assignments a weight} AS weight,
       {column assignments a grade_group_id} AS grade_group_id, {column assignments a lecture_id} AS lecture_id,
       {column assignments a subject_id} AS subject_id, {column assignments a space_id} AS space_id
FROM {source}.assignments a $q$),

-- Rows of one student and assignment are read together, so that which of them counts does not depend on when each arrived: a live row
-- before a deleted one, then the newest.
(true, 'redu', 51, 'fact_assignment', 'user_assignments', '{"user_assignments": ["id", "user_id", "assignment_id"], "assignments": ["id"]}', true, 'upsert', 'assignment', $q$
SELECT w._key, CASE WHEN bool_and(w.changed IS NOT NULL) OVER pair THEN max(w.changed) OVER pair END AS _cursor, w._deleted, w._row, w._reject,
       w.assignment_id, w.user_id, w.lecture_id, w.subject_id, w.space_id, w.assigned_at, w.due_at, w.submitted_at, w.status, w.grade, w.max_grade
FROM (
    SELECT u.id::text AS _key, u.id,
           -- without a cursor on either side everything is read every time
           CASE WHEN {cursor user_assignments u} IS NOT NULL AND (a.id IS NULL OR {cursor assignments a} IS NOT NULL)
                THEN greatest({cursor user_assignments u}, {cursor assignments a}) END AS changed,
           {deleted user_assignments u} OR a.id IS NOT NULL AND {deleted assignments a} AS _deleted, to_jsonb(u) AS _row,
           CASE WHEN nullif(u.id::text, '') IS NULL THEN 'id is null'
                WHEN a.id IS NULL THEN 'unknown assignment ' || coalesce(u.assignment_id::text, 'null') END AS _reject,
           u.assignment_id, u.user_id, {column assignments a lecture_id} AS lecture_id, {column assignments a subject_id} AS subject_id,
           {column assignments a space_id} AS space_id, {column user_assignments u created_at} AS assigned_at,
           {column assignments a due_at} AS due_at, {column user_assignments u submitted_at} AS submitted_at,
           {column user_assignments u status} AS status, {column user_assignments u grade} AS grade, {column assignments a max_grade} AS max_grade
    FROM {source}.user_assignments u LEFT JOIN {source}.assignments a ON a.id::text = u.assignment_id::text) w
WINDOW pair AS (PARTITION BY w.assignment_id::text, w.user_id::text)
ORDER BY w._deleted DESC, w.changed NULLS FIRST, w.id $q$);

-- what rejected rows are said to come from: exercises are lectures
UPDATE empatia.adapter SET source_table = 'lectures' WHERE adapter = 'redu' AND stream = 'exercises';
