-- A search_path that begins with look-alikes of everything (fixture/traps.sql) changes no answer of what concerns models, tables and files.
-- Fault guarded against: an operator with a careless path, in a database where others may create objects, runs what they made.
\set SHOW_CONTEXT never
set client_min_messages = warning;
create extension empatia;
select count(*) > 0 as created from empatia.create_warehouse();
select empatia.add_client('a', 'Escola A', 'UTC') is null as client \g /dev/null
insert into dw.environment values (1, 1, 'Ambiente');
insert into dw.course values (1, 1, 1, 'Curso');
insert into dw.space values (1, 1, 1, 'Turma');
insert into dw.student (client_id, user_id, name, attributes) select 1, s, 'Estudante ' || s, jsonb_build_object('region', case s % 3 when 0 then 'north' when 1 then 'south' end) from generate_series(1, 60) s;
insert into dw.enrolment (client_id, enrolment_id, space_id, user_id, role) select 1, s, 1, s, 'member' from generate_series(1, 60) s;
insert into dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, environment_id, course_id, space_id)
    select 1, 1, s * 100 + w, s, t.interaction_type_id, 1 + s * w % 7, d + time '12:00', d, 1, 1, 1
    from generate_series(1, 60) s, generate_series(0, 7) w, lateral (select date '2025-03-02' + 7 * w) v (d), dw.interaction_type t where t.code = 'access' and (s * 7 + w * 3) % 5 < s % 5;
-- what recipes may ask of facts and enrolments
insert into dw.subject values (1, 1, 1, 'Módulo');
insert into dw.lecture (client_id, lecture_id, subject_id, name, kind) select 1, l, 1, 'Aula', case l when 1 then 'quiz' else 'page' end from generate_series(1, 3) l;
update dw.fact_interaction set subject_id = 1, lecture_id = 1 + interaction_id % 3;
update dw.enrolment set enrolled_at = timestamptz '2025-03-01 UTC' - user_id * interval '1 day', attributes = case when user_id % 2 = 0 then jsonb_build_object('attempts', user_id % 4) end;
update dw.space set starts_at = '2025-03-02 UTC';
insert into dw.assignment (client_id, source_id, kind, assignment_id, title, space_id, weight) select 1, 1, 'assignment', a, 'Tarefa', 1, nullif(a, 2) from generate_series(1, 3) a;
insert into dw.fact_assignment (client_id, source_id, kind, assignment_id, user_id, assigned_day, due_day, submitted_day, grade, max_grade, environment_id, course_id, space_id)
    select 1, 1, 'assignment', a, s, '2025-03-02', date '2025-03-08' + 7 * a, case when (s + a) % 3 > 0 then date '2025-03-06' + 7 * a + s % 5 end, (s * a) % 11, 10, 1, 1, 1 from generate_series(1, 60) s, generate_series(1, 3) a;
create table public.flag as select i as id, mod(i, 2) as bit, mod(i * 7, 13) as other, sin(i * 12.9898) > mod(i, 2) - 0.5 as target from generate_series(1, 200) i;
update empatia.pipeline set active = (level, grain) = ('SPA', 'WEEK'), k = 2;
call empatia.run_pipeline();
\getenv srcdir PG_ABS_SRCDIR
\set traps :srcdir '/fixture/traps.sql'
\set calls :srcdir '/fixture/model_calls.sql'
\set answers kept
\set ECHO none
\i :calls
\i :traps
\set ECHO all
-- a new session has no plans made under another path
\c -
\set SHOW_CONTEXT never
set client_min_messages = warning;
set search_path = evil, pg_catalog, pg_temp;
-- the traps work
select 'a'::pg_catalog.text = 'b'::pg_catalog.text;
\set answers found
\set ECHO none
\i :calls
\set ECHO all
reset search_path;
select what, count(*) from kept group by what order by what;
(select 'only before' as found, * from (table kept except all table found) x) union all (select 'only after', * from (table found except all table kept) x) order by 1, 2, 3;
