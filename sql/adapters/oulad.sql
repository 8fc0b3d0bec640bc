-- Adapter oulad: the Open University Learning Analytics Dataset (Kuzilek et al. 2017), one table per file.
-- With the option start_weekday (0 is Sunday) that is the first such day of the month, so that weeks of all presentations lie alike.
-- environment = the university; course = module; space = presentation of a module; subject = activity type within a presentation;
-- lecture = site. Days count from the presentation's start: 1 February (B) or 1 October (J) of its year.
-- A click row has no key of its own: its key is made of site, student, day and, since exact duplicates are real and their sums
-- count, its number among the rows of that site, student and day. Banked results keep the date of the earlier run.

-- one expression, so that the planner puts it in place
CREATE FUNCTION empatia._oulad_start(presentation text, weekday text) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT make_date(left(presentation, 4)::integer, CASE right(presentation, 1) WHEN 'B' THEN 2 ELSE 10 END, 1)
        + coalesce((weekday::integer - extract(dow FROM make_date(left(presentation, 4)::integer, CASE right(presentation, 1) WHEN 'B' THEN 2 ELSE 10 END, 1))::integer + 7) % 7, 0);
END;
COMMENT ON FUNCTION empatia._oulad_start(text, text) IS 'day 0 of a presentation of OULAD: the first of its month, or the first such day of the week in it';

INSERT INTO empatia.adapter (shipped, adapter, position, relation, stream, requires, mode, kind, options, query) VALUES
(true, 'oulad', 1, 'environment', 'university', '{"courses": ["code_module"]}', 'upsert', 'assignment', '{}', $q$
SELECT '1' AS _key, 1 AS environment_id, 'Open University' AS name WHERE EXISTS (SELECT FROM {source}.courses) $q$),

(true, 'oulad', 2, 'course', 'modules', '{"courses": ["code_module"]}', 'upsert', 'assignment', '{}', $q$
SELECT DISTINCT c.code_module AS _key, empatia.source_id(c.code_module) AS course_id, 1 AS environment_id, c.code_module AS name
FROM {source}.courses c $q$),

(true, 'oulad', 3, 'space', 'courses', '{"courses": ["code_module", "code_presentation"]}', 'upsert', 'assignment', '{start_weekday}', $q$
SELECT c.code_module || '/' || c.code_presentation AS _key, to_jsonb(c) AS _row,
       empatia.source_id(c.code_module || '/' || c.code_presentation) AS space_id, empatia.source_id(c.code_module) AS course_id,
       c.code_module || ' ' || c.code_presentation AS name,
       empatia._oulad_start(c.code_presentation, {option start_weekday}) AS starts_at
FROM {source}.courses c $q$),

(true, 'oulad', 4, 'subject', 'activity_types', '{"vle": ["code_module", "code_presentation", "activity_type"]}', 'upsert', 'assignment', '{}', $q$
SELECT DISTINCT concat_ws('/', v.code_module, v.code_presentation, v.activity_type) AS _key,
       empatia.source_id(concat_ws('/', v.code_module, v.code_presentation, v.activity_type)) AS subject_id,
       empatia.source_id(v.code_module || '/' || v.code_presentation) AS space_id, v.activity_type AS name
FROM {source}.vle v $q$),

(true, 'oulad', 5, 'lecture', 'vle', '{"vle": ["id_site", "code_module", "code_presentation", "activity_type"]}', 'upsert', 'assignment', '{}', $q$
SELECT v.id_site::text AS _key, to_jsonb(v) AS _row, v.id_site AS lecture_id,
       empatia.source_id(concat_ws('/', v.code_module, v.code_presentation, v.activity_type)) AS subject_id,
       v.activity_type || ' ' || v.id_site AS name, v.activity_type AS kind
FROM {source}.vle v $q$),

-- a student of several presentations is described by the last of them
(true, 'oulad', 6, 'student', 'studentinfo', '{"studentinfo": ["id_student", "code_module", "code_presentation", "gender", "region", "highest_education", "imd_band", "age_band", "disability"]}', 'upsert', 'assignment', '{}', $q$
SELECT DISTINCT ON (i.id_student) i.id_student::text AS _key, i.id_student AS user_id, 'student ' || i.id_student AS name,
       jsonb_strip_nulls(jsonb_build_object('gender', i.gender, 'region', i.region, 'highest_education', i.highest_education,
           'imd_band', i.imd_band, 'age_band', i.age_band, 'disability', i.disability)) AS attributes
FROM {source}.studentinfo i ORDER BY i.id_student, i.code_presentation DESC, i.code_module $q$),

(true, 'oulad', 7, 'enrolment', 'studentregistration', '{"studentregistration": ["code_module", "code_presentation", "id_student", "date_registration", "date_unregistration"], "studentinfo": ["code_module", "code_presentation", "id_student", "final_result", "gender", "region", "highest_education", "imd_band", "age_band", "disability", "num_of_prev_attempts", "studied_credits"]}', 'upsert', 'assignment', '{start_weekday}', $q$
SELECT concat_ws('/', r.code_module, r.code_presentation, r.id_student) AS _key, to_jsonb(r) AS _row,
       empatia.source_id(concat_ws('/', r.code_module, r.code_presentation, r.id_student)) AS enrolment_id,
       empatia.source_id(r.code_module || '/' || r.code_presentation) AS space_id, r.id_student AS user_id,
       s.starts + r.date_registration::integer AS enrolled_at, s.starts + r.date_unregistration::integer AS ended_at, i.final_result AS outcome,
       jsonb_strip_nulls(jsonb_build_object('gender', i.gender, 'region', i.region, 'highest_education', i.highest_education, 'imd_band', i.imd_band, 'age_band', i.age_band,
           'disability', i.disability, 'num_of_prev_attempts', i.num_of_prev_attempts::integer, 'studied_credits', i.studied_credits::integer)) AS attributes
FROM {source}.studentregistration r
CROSS JOIN LATERAL (SELECT empatia._oulad_start(r.code_presentation, {option start_weekday}) AS starts) s
LEFT JOIN {source}.studentinfo i ON (i.code_module, i.code_presentation, i.id_student) = (r.code_module, r.code_presentation, r.id_student) $q$),

(true, 'oulad', 20, 'assignment', 'assessments', '{"assessments": ["code_module", "code_presentation", "id_assessment", "assessment_type", "date", "weight"]}', 'upsert', 'assessment', '{start_weekday}', $q$
SELECT a.id_assessment::text AS _key, to_jsonb(a) AS _row, a.id_assessment AS assignment_id, a.assessment_type || ' ' || a.id_assessment AS title,
       empatia._oulad_start(a.code_presentation, {option start_weekday}) + a.date::integer AS due_at,
       100 AS max_grade, a.weight, empatia.source_id(a.code_module || '/' || a.code_presentation) AS space_id
FROM {source}.assessments a $q$),

-- one row per registered student and assessment of the presentation, handed in or not
(true, 'oulad', 21, 'fact_assignment', 'studentassessment', '{"studentassessment": ["id_assessment", "id_student", "date_submitted", "is_banked", "score"], "assessments": ["id_assessment", "code_module", "code_presentation", "date"], "studentregistration": ["code_module", "code_presentation", "id_student"]}', 'snapshot', 'assessment', '{start_weekday}', $q$
SELECT coalesce(a.id_assessment, t.id_assessment) || '/' || coalesce(r.id_student, t.id_student) AS _key,
       to_jsonb(t) AS _row, CASE WHEN r.id_student IS NULL THEN 'result of a student who is not registered' END AS _reject,
       coalesce(a.id_assessment, t.id_assessment) AS assignment_id, coalesce(r.id_student, t.id_student) AS user_id,
       empatia.source_id(r.code_module || '/' || r.code_presentation) AS space_id,
       s.starts AS assigned_at, s.starts + a.date::integer + 1 - interval '1 second' AS due_at, s.starts + t.date_submitted::integer AS submitted_at,
       CASE WHEN t.is_banked = 1 THEN 'banked' WHEN t.id_student IS NOT NULL THEN 'submitted' ELSE 'pending' END AS status,
       t.score AS grade, 100 AS max_grade
FROM {source}.studentregistration r
JOIN {source}.assessments a ON (a.code_module, a.code_presentation) = (r.code_module, r.code_presentation)
CROSS JOIN LATERAL (SELECT empatia._oulad_start(r.code_presentation, {option start_weekday}) AS starts) s
FULL JOIN {source}.studentassessment t ON t.id_assessment = a.id_assessment AND t.id_student = r.id_student $q$),

(true, 'oulad', 30, 'fact_interaction', 'studentvle', '{"studentvle": ["code_presentation", "id_student", "id_site", "date", "sum_click"], "vle": ["id_site", "activity_type"]}', 'upsert', 'assignment', '{forum_as_posts,start_weekday}', $q$
SELECT CASE WHEN c.id_site < 2097152 AND c.id_student < 4194304 AND c.date BETWEEN -512 AND 511 AND c.n < 1024 AND c.id_site >= 0 AND c.id_student >= 0
            THEN ((c.id_site::bigint << 42) | (c.id_student::bigint << 20) | ((c.date + 512)::bigint << 10) | c.n) END AS interaction_id,
       c.id_student AS user_id, c.id_site AS lecture_id, c.sum_click AS amount,
       CASE WHEN v.activity_type = 'forumng' AND {option forum_as_posts} = 'true' THEN 'post' ELSE 'access' END AS kind,
       empatia._oulad_start(c.code_presentation, {option start_weekday}) + c.date::integer AS occurred_at
FROM (SELECT s.*, row_number() OVER (PARTITION BY s.id_site, s.id_student, s.date ORDER BY s.sum_click) AS n FROM {source}.studentvle s) c
LEFT JOIN {source}.vle v ON v.id_site = c.id_site $q$);

-- what rejected rows are said to come from
UPDATE empatia.adapter SET source_table = CASE WHEN stream = 'activity_types' THEN 'vle' ELSE 'courses' END
WHERE adapter = 'oulad' AND stream IN ('university', 'modules', 'activity_types');
