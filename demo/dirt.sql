-- Dirt for the demo school: a few rows of every kind of damage a landed LMS brings, and a landing table of text only.
--
--   psql -f demo/dirt.sql          after demo/openredu.sql   (-v schema=... as there, default openredu)
--
-- Ids of dirt start at 9000001, so that it never hides among the generated rows; "<schema>._dirt" (table_name, id_or_key, what)
-- lists every row, what is wrong with it in words. Rows with a null id are found by their text, state or role. The schema "<schema>_text" gets
-- `statuses` with all columns text, as a loader without types leaves it, and views of the other tables.
-- Once per school: a second run would add everything again, so it is refused.
\set ON_ERROR_STOP on
\set QUIET on
\if :{?schema} \else \set schema openredu \endif
\set text_schema :schema _text

begin;
set local client_min_messages = warning;
set local client_encoding = 'UTF8';
set local timezone = 'UTC';
set local datestyle = 'ISO, YMD';
set local search_path = :"schema", pg_temp;

create table _dirt (table_name text, id_or_key text, what text);
comment on table _dirt is 'every row that demo/dirt.sql added and what is wrong with it; no adapter reads it';

-- Sound neighbours of the damage: a student of space 1 and a lecture there, a teacher, a visitor, a removed space, an exercise
-- and an assignment that the student has.
select a.user_id as student from user_space_associations a join users u on u.id = a.user_id
where space_id = 1 and a.role = 'member' and deleted_at is null and not u.removed and a.created_at < '2025-02-03'
  and exists (select from _behaviour b where b.user_id = a.user_id) order by a.user_id limit 1 \gset
select l.id as lecture from lectures l join subjects s on s.id = l.subject_id
where s.space_id = 1 and lectureable_type <> 'Exercise' and deleted_at is null order by l.id limit 1 \gset
select lectureable_id as exercise from lectures l join subjects s on s.id = l.subject_id
where s.space_id = 1 and lectureable_type = 'Exercise' and deleted_at is null order by l.id limit 1 \gset
select user_id as teacher from user_space_associations where space_id = 1 and role = 'teacher' order by 1 limit 1 \gset
select u.id as visitor from users u
where not exists (select from user_space_associations a where a.user_id = u.id)
  and not exists (select from user_environment_associations a where a.user_id = u.id) order by 1 limit 1 \gset
select id as gone_space from spaces where removed order by 1 limit 1 \gset
select user_id as gone_student from user_space_associations where space_id = :gone_space and role = 'member' order by 1 limit 1 \gset
select a.user_id as assignee, w.id as assignment, w.max_grade, w.space_id as assignment_space
from assignments w join user_space_associations a on a.space_id = w.space_id and a.role = 'member' and a.deleted_at is null
join users u on u.id = a.user_id and not u.removed
where w.due_at is not null order by w.id, a.user_id limit 1 \gset

create temp table t_dirt (id bigint, body text, in_response_to_id bigint, created_at timestamp, user_id bigint, place_id bigint,
    place text, type text, what text) on commit drop;
insert into t_dirt values
    (9000001, 'sujeira: sem autor',          null, '2025-03-10 14:00', null,          :lecture, 'Lecture', 'Activity', 'status without user (null)'),
    (9000002, 'sujeira: autor desconhecido', null, '2025-03-10 14:05', 990001,        :lecture, 'Lecture', 'Help',     'status of an unknown user'),
    (9000003, 'sujeira: resposta órfã',      990002, '2025-03-10 14:10', :student,    :lecture, 'Lecture', 'Answer',   'answer whose parent does not exist'),
    (9000004, 'sujeira: resposta sem pai',   null, '2025-03-10 14:15', :student,      :lecture, 'Lecture', 'Answer',   'answer without parent (in_response_to_id null)'),
    (9000005, 'sujeira: neta da órfã',    9000003, '2025-03-10 14:20', :student,      :lecture, 'Lecture', 'Answer',   'answer to an answer whose parent does not exist'),
    (9000010, 'sujeira: ciclo A',         9000011, '2025-03-11 14:00', :student,      :lecture, 'Lecture', 'Answer',   'answer cycle: 9000010 answers 9000011'),
    (9000011, 'sujeira: ciclo B',         9000010, '2025-03-11 14:01', :student,      :lecture, 'Lecture', 'Answer',   'answer cycle: 9000011 answers 9000010'),
    (9000012, 'sujeira: responde a si',   9000012, '2025-03-11 14:02', :student,      :lecture, 'Lecture', 'Answer',   'answer cycle: answers itself'),
    (9000013, 'sujeira: pendura no ciclo',9000010, '2025-03-11 14:03', :student,      :lecture, 'Lecture', 'Answer',   'answer into an answer cycle'),
    (9000020, 'sujeira: tipo estranho',      null, '2025-03-12 14:00', :student,      :lecture, 'Lecture', 'Poke',     'unknown type'),
    (9000021, 'sujeira: sem tipo',           null, '2025-03-12 14:01', :student,      :lecture, 'Lecture', null,       'type null'),
    (9000030, 'sujeira: repetida',           null, '2025-03-13 14:00', :student,      :lecture, 'Lecture', 'Activity', 'duplicated id, both rows alike (1 of 2)'),
    (9000030, 'sujeira: repetida',           null, '2025-03-13 14:00', :student,      :lecture, 'Lecture', 'Activity', 'duplicated id, both rows alike (2 of 2)'),
    (9000031, 'sujeira: versão antiga',      null, '2025-03-13 14:05', :student,      :lecture, 'Lecture', 'Activity', 'duplicated id, older version (1 of 2)'),
    (9000031, 'sujeira: versão nova',        null, '2025-03-13 14:05', :student,      :lecture, 'Lecture', 'Help',     'duplicated id, newer version by updated_at (2 of 2)'),
    (null,    'sujeira: sem id',             null, '2025-03-13 14:10', :student,      :lecture, 'Lecture', 'Activity', 'null id'),
    (9000040, 'sujeira: aula desconhecida',  null, '2025-03-14 14:00', :student,      990003,   'Lecture', 'Activity', 'statusable is an unknown lecture'),
    (9000041, 'sujeira: turma desconhecida', null, '2025-03-14 14:01', :student,      990004,   'Space',   'Help',     'statusable is an unknown space'),
    (9000042, 'sujeira: lugar de outro tipo',null, '2025-03-14 14:02', :student,      1,        'Planet',  'Activity', 'unknown statusable_type'),
    (9000043, 'sujeira: sem lugar',          null, '2025-03-14 14:03', :student,      null,     null,      'Activity', 'statusable null'),
    (9000044, 'sujeira: responde à perdida',9000040, '2025-03-14 14:04', :student,    990003,   'Lecture', 'Answer',   'answer to a status on an unknown lecture'),
    (9000050, 'sujeira: da professora',      null, '2025-03-17 14:00', :teacher,      :lecture, 'Lecture', 'Activity', 'post of a teacher of the space (sound row, never counted)'),
    (9000051, 'sujeira: da professora',      null, '2025-03-17 14:01', :teacher,      1,        'Space',   'Help',     'help request of a teacher of the space (sound row, never counted)'),
    (9000052, 'sujeira: de visita',          null, '2025-03-17 14:02', :visitor,      :lecture, 'Lecture', 'Activity', 'post of a visitor enrolled nowhere (sound row, never counted)'),
    (9000053, 'sujeira: visita responde', 9000052, '2025-03-17 14:03', :visitor,      :lecture, 'Lecture', 'Answer',   'answer of a visitor enrolled nowhere (sound row, never counted)'),
    (9000054, 'sujeira: turma removida',     null, '2025-04-02 14:00', :gone_student, :gone_space, 'Space','Activity', 'post in the removed space (sound row, never counted)'),
    (9000055, 'sujeira: turma removida',  9000054, '2025-04-02 14:01', :gone_student, :gone_space, 'Space','Answer',   'answer in the removed space (sound row, never counted)'),
    (9000060, 'sujeira: ano 1900',           null, '1900-01-01 00:00', :student,      :lecture, 'Lecture', 'Activity', 'created in the year 1900'),
    (9000061, 'sujeira: ano 9999',           null, '9999-12-31 23:59', :student,      :lecture, 'Lecture', 'Activity', 'created in the year 9999'),
    (9000062, 'sujeira: sem data',           null, null,               :student,      :lecture, 'Lecture', 'Activity', 'created_at and updated_at null'),
    (9000063, 'sujeira: antes da pergunta', 9000061, '2025-03-18 14:00', :student,    :lecture, 'Lecture', 'Answer',   'answer older than what it answers');

insert into statuses (id, text, in_response_to_id, in_response_to_type, created_at, updated_at, user_id, statusable_id, statusable_type, type, compound)
select id, body, in_response_to_id, case when type = 'Answer' and in_response_to_id is not null then 'Status' end, created_at,
       created_at + case when what like '%newer version%' then interval '1 hour' else interval '0' end, user_id, place_id, place, type, false
from t_dirt;
insert into _dirt select 'statuses', coalesce(id::text, 'text=' || body), what from t_dirt;

-- Exercises of their own for damaged results: only a student's first finalized result counts, a second would hide the damage.
insert into lectures (id, name, user_id, subject_id, lectureable_type, lectureable_id, position, view_count, created_at, updated_at)
select 9000510 + n, 'sujeira: exercício ' || n, :teacher, (select subject_id from lectures where id = :lecture), 'Exercise', 9000610 + n,
       100 + n, 0, timestamp '2025-02-01 12:00', timestamp '2025-02-01 12:00' from generate_series(1, 6) n;
insert into exercises select 9000610 + n, 10, timestamp '2025-02-01 12:00', timestamp '2025-02-01 12:00' from generate_series(1, 6) n;
insert into _dirt select 'lectures', (9000510 + n)::text, 'sound row: exercise of a damaged result' from generate_series(1, 6) n;
insert into _dirt select 'exercises', (9000610 + n)::text, 'sound row: exercise of a damaged result' from generate_series(1, 6) n;

insert into results (id, user_id, exercise_id, started_at, finalized_at, state, grade, duration, created_at, updated_at)
select id, user_id, exercise_id, at, at + interval '20 minutes', state, grade, 1200, at, at + interval '20 minutes'
from (values (9000101::bigint, :student::bigint, 990101::bigint, timestamp '2025-03-20 15:00', 'finalized', 7.5),
             (9000102, :student, null,      '2025-03-20 15:10', 'finalized', 6),
             (9000103, 990001,   :exercise, '2025-03-20 15:20', 'finalized', 6),
             (9000104, null,     :exercise, '2025-03-20 15:30', 'finalized', 6),
             (9000105, :student, 9000611, '2025-07-01 15:00', 'finalized', 12.5),
             (9000106, :student, 9000612, '2025-07-01 15:30', 'finalized', -1),
             (9000107, :student, 9000613, '2025-07-02 15:00', 'paused', 5),
             (9000108, :student, 9000614, '2025-07-02 15:30', 'finalized', null),
             (9000109, :visitor, :exercise, '2025-03-20 15:40', 'finalized', 8),
             (9000110, :student, 9000615, '2025-07-03 15:00', 'finalized', 8),
             (9000110, :student, 9000615, '2025-07-03 15:00', 'finalized', 8),
             (null,      :student, 9000616, '2025-07-03 15:10', 'finalized', 8)) r (id, user_id, exercise_id, at, state, grade);
insert into _dirt values
    ('results', '9000101', 'unknown exercise'), ('results', '9000102', 'exercise null'), ('results', '9000103', 'unknown user'),
    ('results', '9000104', 'user null'), ('results', '9000105', 'grade above the maximum of 10'), ('results', '9000106', 'negative grade'),
    ('results', '9000107', 'unknown state'), ('results', '9000108', 'finalized without grade'),
    ('results', '9000109', 'result of a visitor enrolled nowhere (sound row, never counted)'),
    ('results', '9000110', 'duplicated id, both rows alike (1 of 2)'), ('results', '9000110', 'duplicated id, both rows alike (2 of 2)'),
    ('results', 'created_at=2025-07-03 15:10:00', 'null id');

-- Assignments of their own for the damaged grades, so that no sound pair (student, assignment) is there twice.
insert into assignments
select 9000200 + n, 'sujeira: entrega ' || n, null, null, :assignment_space, null, timestamp '2025-04-01 11:00',
       timestamp '2025-04-10 02:59', 10, 1, timestamp '2025-03-30 11:00', timestamp '2025-03-30 11:00' from generate_series(1, 6) n;
insert into assignments values
    (9000210, 'sujeira: turma desconhecida', null, null, 990201, null, '2025-04-01 11:00', '2025-04-10 02:59', 10, 1, '2025-03-30 11:00', '2025-03-30 11:00'),
    (9000211, 'sujeira: aula desconhecida', null, 990202, :assignment_space, null, '2025-04-01 11:00', '2025-04-10 02:59', 10, 1, '2025-03-30 11:00', '2025-03-30 11:00'),
    (9000212, 'sujeira: abre depois do prazo', null, null, :assignment_space, null, '2025-04-20 11:00', '2025-04-10 02:59', 10, 1, '2025-03-30 11:00', '2025-03-30 11:00'),
    (9000213, 'sujeira: nota máxima zero', null, null, :assignment_space, null, '2025-04-01 11:00', '2025-04-10 02:59', 0, 1, '2025-03-30 11:00', '2025-03-30 11:00');
insert into _dirt
select 'assignments', (9000200 + n)::text, 'sound row that carries a damaged user_assignment' from generate_series(1, 6) n;
insert into _dirt values ('assignments', '9000210', 'unknown space'), ('assignments', '9000211', 'unknown lecture'),
    ('assignments', '9000212', 'opens after it is due'), ('assignments', '9000213', 'max_grade 0, with a grade of 0');

insert into user_assignments (id, user_id, assignment_id, status, submitted_at, grade, created_at, updated_at)
select id, user_id, assignment_id, status, submitted_at, grade, timestamp '2025-04-01 11:00', coalesce(submitted_at, timestamp '2025-04-01 11:00')
from (values (9000301::bigint, :assignee::bigint, 990301::bigint, 'graded', timestamp '2025-04-05 15:00', 7),
             (9000302, :assignee, null,    'graded',   '2025-04-05 15:00', 7),
             (9000303, :assignee, 9000201, 'graded',   '2025-04-05 15:00', 15),
             (9000304, :assignee, 9000202, 'graded',   '2025-04-05 15:00', -2),
             (9000305, :assignee, 9000203, 'lost',     '2025-04-05 15:00', null),
             (9000306, :assignee, 9000204, 'submitted', null,              null),
             (9000307, :assignee, 9000205, 'graded',   '1900-01-01 00:00', 5),
             (9000308, :assignee, 9000205, 'graded',   '2025-04-05 15:00', 8),
             (9000309, :visitor,  9000206, 'graded',   '2025-04-05 15:00', 9),
             (9000310, 990001,    9000206, 'graded',   '2025-04-05 15:00', 9),
             (9000311, :assignee, 9000213, 'graded',   '2025-04-05 15:00', 0),
             (9000312, :assignee, 9000210, 'graded',   '2025-04-05 15:00', 6)) u (id, user_id, assignment_id, status, submitted_at, grade);
insert into _dirt values
    ('user_assignments', '9000301', 'unknown assignment'), ('user_assignments', '9000302', 'assignment null'),
    ('user_assignments', '9000303', 'grade above max_grade'), ('user_assignments', '9000304', 'negative grade'),
    ('user_assignments', '9000305', 'unknown status'), ('user_assignments', '9000306', 'submitted without submitted_at'),
    ('user_assignments', '9000307', 'submitted in the year 1900'),
    ('user_assignments', '9000308', 'second row of the same student and assignment (see 9000307)'),
    ('user_assignments', '9000309', 'assigned to a visitor enrolled nowhere (sound row, never counted)'),
    ('user_assignments', '9000310', 'unknown user'), ('user_assignments', '9000311', 'grade 0 of max_grade 0'),
    ('user_assignments', '9000312', 'assignment of an unknown space');

-- The hierarchy and the enrolments are damaged too.
insert into user_space_associations (id, user_id, space_id, role, created_at, updated_at) values
    (9000401, 990001, 1, 'member', '2025-02-01 12:00', '2025-02-01 12:00'),
    (9000402, :student, 990402, 'member', '2025-02-01 12:00', '2025-02-01 12:00'),
    (9000403, :student, 1, 'member', '2025-02-01 12:00', '2025-02-01 12:00'),
    (null, :student, 1, 'member', '2025-02-01 12:00', '2025-02-01 12:00');
insert into _dirt values ('user_space_associations', '9000401', 'unknown user'), ('user_space_associations', '9000402', 'unknown space'),
    ('user_space_associations', '9000403', 'second row of the same student and space'),
    ('user_space_associations', 'id is null', 'null id');
insert into lectures (id, name, user_id, subject_id, lectureable_type, lectureable_id, position, view_count, created_at, updated_at) values
    (9000501, 'sujeira: módulo desconhecido', :teacher, 990501, 'Page', 990502, 1, 0, '2025-02-01 12:00', '2025-02-01 12:00'),
    (9000502, 'sujeira: exercício desconhecido', :teacher, (select subject_id from lectures where id = :lecture), 'Exercise', 990503, 99, 0, '2025-02-01 12:00', '2025-02-01 12:00');
insert into _dirt values ('lectures', '9000501', 'unknown subject'),
    ('lectures', '9000502', 'exercise lecture without a row in exercises');
insert into subjects (id, name, space_id, visible, finalized, created_at, updated_at) values
    (9000511, 'sujeira: turma desconhecida', 990511, true, true, '2025-02-01 12:00', '2025-02-01 12:00');
insert into _dirt values ('subjects', '9000511', 'unknown space');
insert into users (id, login, first_name, last_name, created_at, updated_at) values
    (null, 'sem.id', 'Sem', 'Id', '2025-02-01 12:00', '2025-02-01 12:00');
insert into _dirt values ('users', 'login=sem.id', 'null id');

\ir openredu/dirt_text.sql

select table_name, count(*) as rows from _dirt group by 1 order by 1;
commit;
