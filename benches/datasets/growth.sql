-- Growth: OULAD-like facts, everything in proportion to the number of interactions, so that ten times the facts are ten times the students,
-- spaces and lectures, each as busy as before. Needs a database with create_warehouse() done.
--   psql -v millions=10 -f benches/datasets/growth.sql
-- Per million: 2 800 students, 2 spaces (of 285 lectures in 10 subjects), 1 course per 3 spaces; nine of ten interactions are accesses.
\set ON_ERROR_STOP on
\if :{?seed} \else \set seed 1 \endif
set client_min_messages = warning;
set work_mem = '256MB';
\ir chance.sql

select client_id as client from empatia.add_client('growth', 'Growth', 'UTC') \gset
update empatia.setting set value = '2024-01-01' where key = 'range_start';
update empatia.setting set value = '2024-09-26' where key = 'range_end';
-- the ten reference models' combinations: what most installations keep up to date
update empatia.pipeline set active = grain in ('WEEK', 'MONTH');

insert into dw.environment (client_id, environment_id, name) values (:client, 1, 'Universidade');
insert into dw.course (client_id, course_id, environment_id, name) select :client, c, 1, 'Curso ' || c from generate_series(0, (2 * :millions - 1) / 3) c;
insert into dw.space (client_id, space_id, course_id, name) select :client, s, s / 3, 'Disciplina ' || s from generate_series(0, 2 * :millions - 1) s;
insert into dw.subject (client_id, subject_id, space_id, name) select :client, 10 * s + m, s, 'Módulo ' || m from generate_series(0, 2 * :millions - 1) s, generate_series(0, 9) m;
insert into dw.lecture (client_id, lecture_id, subject_id, name) select :client, 1000 * s + l, 10 * s + l % 10, 'Aula ' || l from generate_series(0, 2 * :millions - 1) s, generate_series(0, 284) l;
insert into dw.student (client_id, user_id, name) select :client, u, 'Estudante ' || u from generate_series(1, 2800 * :millions) u;
-- one space each, and a second one, the next, for every fifth student
insert into dw.enrolment (client_id, enrolment_id, space_id, user_id, role)
select :client, u, pg_temp.dice('space', u, 2 * :millions), u, 'member' from generate_series(1, 2800 * :millions) u
union all
select :client, u + 1000000000, (pg_temp.dice('space', u, 2 * :millions) + 1) % (2 * :millions), u, 'member' from generate_series(1, 2800 * :millions) u where u % 5 = 0;

-- A table without indexes is filled many times faster; they are made again afterwards, in parallel.
alter table dw.fact_interaction drop constraint fact_interaction_pkey;
drop index dw.fact_interaction_user_id_day_idx, dw.fact_interaction_day_idx;
-- Few do much: the student is the square of a uniform; each comes on days of the own third of the term's days; the lecture is near the day's.
insert into dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, environment_id, course_id, space_id, subject_id, lecture_id)
select :client, 1, n, f.user_id, kind, amount, (f.day + interval '12 hours') at time zone 'UTC', f.day, 1, f.space_id / 3, f.space_id, 10 * f.space_id + f.at % 10, 1000 * f.space_id + f.at
from (select h.n, h.user_id, date '2024-01-01' + (3 * ((h.luck >> 8 & 65535) * 90 / 65536) + h.user_id % 3)::int as day,
             case when (h.luck & 255) < 230 then 5 else 1 + (h.luck & 3) end::smallint as kind, 1 + (h.luck >> 48 & 7) as amount,
             (pg_temp.dice('space', h.user_id, 2 * :millions) + case when h.user_id % 5 = 0 then h.luck >> 30 & 1 else 0 end) % (2 * :millions) as space_id,
             ((h.luck >> 8 & 65535) * 285 / 65536 + (h.luck >> 32 & 65535) * 40 / 65536) % 285 as at
      from (select n, 1 + floor(2800 * :millions * pg_temp.u('who', n) ^ 2)::bigint as user_id, hashint8extended(n, :seed) & 9223372036854775807 as luck
            from generate_series(1, 1000000::bigint * :millions) n) h) f;
alter table dw.fact_interaction add constraint fact_interaction_pkey primary key (client_id, source_id, interaction_id);
create index on dw.fact_interaction (user_id, day);
create index on dw.fact_interaction (day);
analyze dw.environment, dw.course, dw.space, dw.subject, dw.lecture, dw.student, dw.enrolment, dw.fact_interaction;
