-- The reference warehouse's published shape, generated: 19 270 users, 736 environments, 1 664 courses, 8 032 spaces,
-- 2020-01-01 .. 2021-12-31; memberships such that the dense cube by QUARTER has 126 688 (ENV), 267 952 (CRS) and 1 181 832 (SPA) rows;
-- subjects and lectures such that LEC x WEEK has more than 300 million. Needs a database with create_warehouse() done.
--   psql -v seed=1 -f benches/datasets/reference.sql
\set ON_ERROR_STOP on
\if :{?seed} \else \set seed 1 \endif
\set first_day '2020-01-01'
\set days 731
begin;
set local client_min_messages = warning;
set local work_mem = '256MB';
\ir chance.sql

select client_id as client from empatia.add_client('redu-reference', 'Redu (reference scale)', 'America/Recife') \gset
\set source 1
update empatia.setting set value = :'first_day' where key = 'range_start';
update empatia.setting set value = (date :'first_day' + :days - 1)::text where key = 'range_end';

-- Structure. Each environment has a course and each course a space; the rest falls where there is much already (u squared).
insert into dw.environment (client_id, environment_id, name) select :client, e, 'Ambiente ' || e from generate_series(1, 736) e;
insert into dw.course (client_id, course_id, environment_id, name)
select :client, c, case when c <= 736 then c else 1 + floor(736 * pg_temp.u('course', c) ^ 2.5)::bigint end, 'Curso ' || c
from generate_series(1, 1664) c;
insert into dw.space (client_id, space_id, course_id, name)
select :client, s, case when s <= 1664 then s else 1 + floor(1664 * pg_temp.u('space', s) ^ 1.3)::bigint end, 'Disciplina ' || s
from generate_series(1, 8032) s;
insert into dw.subject (client_id, subject_id, space_id, name)
select :client, 10 * s + m, s, 'Módulo ' || m from generate_series(1, 8032) s, generate_series(1, 3 + pg_temp.dice('subjects', s, 4)) m;
insert into dw.lecture (client_id, lecture_id, subject_id, name, kind)
select :client, 10 * b.subject_id + a, b.subject_id, 'Aula ' || a,
       case when pg_temp.u('exercise', 10 * b.subject_id + a) < 0.08 then 'Exercise'
            else (array['Page', 'Seminar', 'Document'])[1 + pg_temp.dice('kind', 10 * b.subject_id + a, 3)] end
from dw.subject b, generate_series(1, 3 + pg_temp.dice('lectures', b.subject_id, 5)) a where b.client_id = :client;

-- People. 1 .. 15 000 study, 836 of them in two environments; 15 001 .. 17 400 teach; the others registered and joined nothing.
insert into dw.student (client_id, user_id, name)
select :client, u, case when u between 15001 and 17400 then 'Docente ' else 'Estudante ' end || u from generate_series(1, 19270) u;

create temp table t_environment_member on commit drop as
select n, case when n <= 15000 then n else n - 15000 end as user_id,
       case when n <= 736 then n
            when n <= 15000 then 1 + floor(736 * pg_temp.u('home', n) ^ 3)::bigint
            -- a second environment, never the first one
            else 1 + ((case when n - 15000 <= 736 then n - 15000 else 1 + floor(736 * pg_temp.u('home', n - 15000) ^ 3)::bigint end
                       + pg_temp.dice('second', n, 735)) % 736) end as environment_id
from generate_series(1, 15836) n;

-- A membership takes one unit below for certain, then the whole draws the missing number from all that are possible.
create temp table t_course_member on commit drop as
select user_id, course_id from (
    select m.user_id, c.course_id, row_number() over (partition by m.n order by pg_temp.u('in course', m.n * 10000 + c.course_id)) > 1 as extra,
           pg_temp.u('extra course', m.n * 10000 + c.course_id) as luck
    from t_environment_member m join dw.course c on c.client_id = :client and c.environment_id = m.environment_id) d
order by extra, luck, user_id, course_id limit 33494;

create temp table t_space_member on commit drop as
select row_number() over (order by pg_temp.u('activity', user_id), space_id) as n, user_id, space_id from (
    select m.user_id, s.space_id, row_number() over (partition by m.user_id, m.course_id order by pg_temp.u('in space', m.user_id * 10000 + s.space_id)) > 1 as extra,
           pg_temp.u('extra space', m.user_id * 10000 + s.space_id) as luck
    from t_course_member m join dw.space s on s.client_id = :client and s.course_id = m.course_id
    order by extra, luck, user_id, space_id limit 147729) d;

insert into dw.enrolment (client_id, enrolment_id, space_id, user_id, role, enrolled_at)
select :client, n, space_id, user_id, 'member', timestamptz '2020-01-01 03:00+00' from t_space_member
union all
select :client, 1000000 + s, s, 15001 + pg_temp.dice('teacher', s, 2400), 'teacher', timestamptz '2020-01-01 03:00+00' from generate_series(1, 8032) s;

-- Where a fact may hang: the spaces with their path, and the lectures of each by number.
create temp table t_path on commit drop as
select s.space_id, c.course_id, c.environment_id, array_agg(l.lecture_id order by l.lecture_id) as lectures
from dw.space s join dw.course c using (client_id, course_id) join dw.subject b using (client_id, space_id) join dw.lecture l using (client_id, subject_id)
where s.client_id = :client group by 1, 2, 3;
analyze t_space_member, t_path;

-- Conversations: few talk much (u cubed over memberships ordered by their user's activity), one in thirty is a teacher's; half hang on a lecture.
insert into dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, occurred_at, day,
                                 environment_id, course_id, space_id, subject_id, lecture_id)
select :client, :source, f.n, f.user_id, f.kind, (f.day + make_interval(hours => f.hour, mins => f.n % 60)) at time zone 'America/Recife', f.day,
       p.environment_id, p.course_id, f.space_id, f.lecture_id / 10, f.lecture_id
from (select i.n, i.kind, date :'first_day' + pg_temp.dice('day', i.n, :days)::int as day, 7 + pg_temp.dice('hour', i.n, 16)::int as hour, m.space_id,
             case when pg_temp.u('by teacher', i.n) < 0.03 then 15001 + pg_temp.dice('teacher', m.space_id, 2400) else m.user_id end as user_id,
             case when pg_temp.u('on lecture', i.n) < 0.5 then p.lectures[1 + pg_temp.dice('lecture', i.n, cardinality(p.lectures))] end as lecture_id
      from (select g as n, case when g <= 19000 then 1 when g <= 21100 then 2 when g <= 21245 then 3 else 4 end::smallint as kind
            from generate_series(1, 21545) g) i
      join t_space_member m on m.n = 1 + floor(147729 * pg_temp.u('who', i.n) ^ 3)::bigint
      join t_path p on p.space_id = m.space_id) f
join t_path p on p.space_id = f.space_id;

-- Exercises: one assignment per student and exercise; a third of the students hands in, each according to habit, a tenth of that late.
insert into dw.assignment (client_id, source_id, kind, assignment_id, title, opens_at, due_at, max_grade, environment_id, course_id, space_id, subject_id, lecture_id)
select :client, :source, 'result', x.lecture_id, 'Exercício ' || x.lecture_id, (x.opens)::timestamp at time zone 'America/Recife',
       (x.opens + 22 - interval '1 second') at time zone 'America/Recife', 10, p.environment_id, p.course_id, p.space_id, x.subject_id, x.lecture_id
from (select l.lecture_id, l.subject_id, date :'first_day' + 20 + pg_temp.dice('opens', l.lecture_id, :days - 80)::int as opens
      from dw.lecture l where l.client_id = :client and l.kind = 'Exercise') x
join dw.subject b on b.client_id = :client and b.subject_id = x.subject_id join t_path p on p.space_id = b.space_id;
insert into dw.fact_assignment (client_id, source_id, kind, assignment_id, user_id, assigned_at, due_at, submitted_at,
                                assigned_day, due_day, submitted_day, status, grade, max_grade, environment_id, course_id, space_id, subject_id, lecture_id)
select :client, :source, 'result', f.assignment_id, f.user_id, f.opens_at, f.due_at, f.at, (f.opens_at at time zone 'America/Recife')::date,
       (f.due_at at time zone 'America/Recife')::date, (f.at at time zone 'America/Recife')::date, case when f.at is null then 'pending' else 'submitted' end,
       case when f.at is not null then round((10 * (1 - pg_temp.u('grade', f.key) ^ 2))::numeric, 1) end, 10, f.environment_id, f.course_id, f.space_id, f.subject_id, f.lecture_id
from (select a.*, m.user_id, a.assignment_id * 20000 + m.user_id as key,
             case when pg_temp.u('hands in', a.assignment_id * 20000 + m.user_id) < pg_temp.u('habit', m.user_id) ^ 2
                  then a.opens_at + 24 * pg_temp.u('after', a.assignment_id * 20000 + m.user_id) * interval '1 day' end as at
      from dw.assignment a join t_space_member m on m.space_id = a.space_id where a.client_id = :client) f;
commit;
analyze dw.environment, dw.course, dw.space, dw.subject, dw.lecture, dw.student, dw.enrolment, dw.fact_interaction, dw.fact_assignment, dw.assignment;

-- The shape is the data set's whole point: verified, not assumed.
create temp table t_shape as
with member as (
    select distinct s.course_id, c.environment_id, e.space_id, e.user_id
    from dw.enrolment e join dw.space s using (client_id, space_id) join dw.course c using (client_id, course_id)
    where e.client_id = :client and e.role = 'member'),
lectures as (select b.space_id, count(*) as n from dw.subject b join dw.lecture l using (client_id, subject_id) where b.client_id = :client group by 1)
select v.* from (values
    ('users', (select count(*) from dw.student where client_id = :client), 19270, 19270),
    ('environments', (select count(*) from dw.environment where client_id = :client), 736, 736),
    ('courses', (select count(*) from dw.course where client_id = :client), 1664, 1664),
    ('spaces', (select count(*) from dw.space where client_id = :client), 8032, 8032),
    ('dense ENV x QUARTER', (select 8 * count(*) from (select distinct environment_id, user_id from member) d), 126688, 126688),
    ('dense CRS x QUARTER', (select 8 * count(*) from (select distinct course_id, user_id from member) d), 267952, 267952),
    ('dense SPA x QUARTER', (select 8 * count(*) from member), 1181832, 1181832),
    ('dense LEC x WEEK', (select 105 * sum(l.n)::bigint from member join lectures l using (space_id)), 300000001, 500000000),
    ('posts', (select count(*) from dw.fact_interaction where client_id = :client and interaction_type_id = 1), 19000, 19000),
    ('post replies', (select count(*) from dw.fact_interaction where client_id = :client and interaction_type_id = 2), 2100, 2100),
    ('help requests', (select count(*) from dw.fact_interaction where client_id = :client and interaction_type_id = 3), 145, 145),
    ('help request replies', (select count(*) from dw.fact_interaction where client_id = :client and interaction_type_id = 4), 300, 300)
) v (what, found, lowest, highest);
do $$
declare
    wrong text;
begin
    select string_agg(format('%s: found %s, expected %s', s.what, s.found, case when lowest = highest then lowest::text else lowest || ' to ' || highest end), '; ')
    into wrong from t_shape s where s.found is null or s.found not between lowest and highest;
    if wrong is not null then
        raise exception 'the reference data set has not the published shape: %', wrong;
    end if;
end
$$;
select what, found from t_shape;
