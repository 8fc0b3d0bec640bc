-- What build_cube() compares with the cube. Faults guarded against: a change of units, members or roles, by load() or by hand, that the next
-- build does not see; a build that reads all units and members anew although nothing of them changed; another client's changes that do so;
-- somebody who may write a table and cannot, because of the mark.
\set SHOW_CONTEXT never
create extension empatia;
set timezone = 'UTC';
select sum(created) > 100 as created from empatia.create_warehouse();
select client_id from empatia.add_client('a');
select client_id from empatia.add_client('b');
update empatia.pipeline set active = level in ('ENV', 'SPA', 'LEC') and grain = 'ALL';
create function fill(wanted text default null) returns void language plpgsql as $$
declare
    t text;
    q text;
begin
    for t, q in select * from (values
        ('environment', 'select c, e, ''E'' || e from generate_series(1, 2) e'), ('course', 'select c, 10 + n, 1 + n % 2, ''C'' || n from generate_series(1, 3) n'),
        ('space', 'select c, 100 + n, 11 + n % 3, ''S'' || n from generate_series(1, 5) n'), ('subject', 'select c, 1000 + n, 101 + n % 5, ''B'' || n from generate_series(1, 7) n'),
        ('lecture', 'select c, 10000 + n, 1001 + n % 7, ''L'' || n from generate_series(1, 9) n'), ('student', 'select c, n, ''P'' || n, null::jsonb, n = 1 from generate_series(1, 8) n'),
        ('enrolment', 'select c, n, 101 + n % 5, 1 + n % 8, case when n % 10 = 0 then ''teacher'' end from generate_series(1, 30) n'),
        ('environment_role', 'select c, n, n, 2, ''tutor'' from generate_series(1, 1) n')) v (t, q) where wanted is null or wanted = v.t loop
        execute format('insert into dw.%I select x.* from generate_series(1, 2) c, lateral (%s) x', t, q);
    end loop;
end $$;
select fill();
insert into dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, occurred_at, day, environment_id, course_id, space_id, subject_id, lecture_id)
select c, 1, n, 1 + n % 8, 1, timestamptz '2025-03-03 12:00Z' + n % 9 * interval '1 day', date '2025-03-03' + n % 9, k.environment_id, k.course_id, s.space_id, b.subject_id, l.lecture_id
from generate_series(1, 2) c, generate_series(1, 200) n join dw.lecture l on l.client_id = 1 and l.lecture_id = 10001 + n % 9
join dw.subject b on b.client_id = 1 and b.subject_id = l.subject_id join dw.space s on s.client_id = 1 and s.space_id = b.space_id join dw.course k on k.client_id = 1 and k.course_id = s.course_id;

-- rows of the cube that differ from engagement(), both ways
create function different() returns bigint language sql as $$
    with cube as (select cliente as c, nivel_agregacao as l, user_id, environment_id, course_id, space_id, subject_id, lecture_id, posts_amount as posts from analytics.cubo_engajamento),
    truth as (select v.c, v.l, e.user_id, e.environment_id, e.course_id, e.space_id, e.subject_id, e.lecture_id, e.posts
              from (values ('a', 'ENV'), ('a', 'SPA'), ('a', 'LEC'), ('b', 'ENV'), ('b', 'SPA'), ('b', 'LEC')) v (c, l), empatia.engagement(v.c, v.l, 'ALL') e)
    select count(*) from ((table cube except all table truth) union all (table truth except all table cube)) d $$;
select client, level, mode, dense_rows from empatia.build_cube();
select different();

-- lies in the cube: whatever compares units or members puts them right, nothing else does
create function lies(what text default 'compared') returns text language plpgsql as $$
declare
    found text;
begin
    if what = 'tell' then
        update analytics.cube_unit set environment_name = 'a lie' where level = 'ENV';
        insert into analytics.cube_member select c.client_id, 'SPA', 101, 999 from dw.client c;
        return null;
    end if;
    select string_agg(c.code || case when u.lie then '' else ' units' end || case when m.lie then '' else ' members' end, ', ' order by c.code) filter (where not (u.lie and m.lie)) into found
    from dw.client c, lateral (select coalesce(bool_or(u.environment_name = 'a lie'), false) as lie from analytics.cube_unit u where u.client_id = c.client_id) u,
         lateral (select count(*) = 1 as lie from analytics.cube_member m where m.client_id = c.client_id and m.user_id = 999) m;
    update analytics.cube_unit u set environment_name = e.name from dw.environment e where u.level = 'ENV' and (e.client_id, e.environment_id) = (u.client_id, u.unit_id);
    delete from analytics.cube_member where user_id = 999;
    return coalesce(found, 'nothing');
end $$;
-- the marks that a statement sets; what the next build compares; whether the cube is right then, and a further build has nothing to do
create function after(statement text) returns table (marks text, compared text, different bigint, then_compared text) language plpgsql as $$
begin
    execute statement;
    select string_agg(coalesce(s.client_id::text, 'all') || ' ' || s.relation, ', ' order by s.relation collate "C", s.client_id) into marks
    from dw.structure_change s where s.client_id is not null or s.mark_id > coalesce((select max(x::bigint) from analytics.cube_sync y, jsonb_array_elements_text(nullif(y.conditions::jsonb -> 'marks', 'null')) x), 0);
    perform lies('tell');
    perform empatia.build_cube();
    compared := lies();
    different := different();
    perform lies('tell');
    perform empatia.build_cube();
    then_compared := lies();
    return next;
end $$;

-- nothing changed: not a row is read or written
create table kept as select tableoid::regclass::text as t, ctid::text as place, xmin::text as written from analytics.cube_unit union all select tableoid::regclass::text, ctid::text, xmin::text from analytics.cube_member;
select distinct mode from empatia.build_cube();
select count(*) as rows, count(*) filter (where not exists (select from (select tableoid::regclass::text as t, ctid::text as place, xmin::text as written from analytics.cube_unit union all
    select tableoid::regclass::text, ctid::text, xmin::text from analytics.cube_member) n where n = kept)) as rewritten from kept;
select * from after('select 1');
select * from after('update dw.fact_interaction set amount = 1');
-- statements that change no row, or nothing of the structure
select * from after('delete from dw.enrolment where client_id = 3');
select * from after('insert into dw.lecture select * from dw.lecture limit 0');
select * from after('update dw.course set name = name');
select * from after($$ update dw.student set attributes = '{"region": "PE"}', name = 'x' $$);
select * from after($$ update dw.enrolment set outcome = 'pass', ended_at = now() $$);
select * from after($$ update dw.lecture set kind = 'Page' $$);
-- every table, every kind of statement
select * from after($$ insert into dw.environment values (1, 3, 'E3') $$);
select * from after($$ update dw.environment set name = 'E 1' where client_id = 2 and environment_id = 1 $$);
select * from after($$ delete from dw.environment where environment_id = 3 $$);
select * from after($$ insert into dw.course values (1, 20, 1, 'C20'), (2, 20, 1, 'C20') $$);
select * from after($$ update dw.course set removed = true where client_id = 1 and course_id = 11 $$);
select * from after($$ update dw.course set removed = false $$);
select * from after($$ delete from dw.course where client_id = 2 and course_id = 20 $$);
select * from after($$ insert into dw.space values (2, 120, 20, 'S20') $$);
select * from after($$ update dw.space set course_id = 20 where client_id = 1 and space_id = 105; update dw.fact_interaction set course_id = 20, environment_id = 1 where client_id = 1 and space_id = 105 $$);
select * from after($$ delete from dw.space where space_id = 120 $$);
select * from after($$ insert into dw.subject values (1, 1020, 101, 'B20') $$);
select * from after($$ update dw.subject set name = 'B 20' where subject_id = 1020 $$);
select * from after($$ delete from dw.subject where subject_id in (1020, 1007) $$);
select * from after($$ insert into dw.lecture values (2, 10020, 1001, 'L20') $$);
select * from after($$ update dw.lecture set removed = true where client_id = 1 and lecture_id = 10003 $$);
select * from after($$ delete from dw.lecture where lecture_id = 10020 $$);
select * from after($$ insert into dw.student values (1, 20, 'P20') $$);
select * from after($$ update dw.student set removed = false where user_id = 1 $$);
select * from after($$ delete from dw.student where client_id = 2 and user_id = 8 $$);
select * from after($$ insert into dw.enrolment values (2, 50, 101, 2) $$);
select * from after($$ update dw.enrolment set role = 'teacher' where client_id = 1 and enrolment_id = 7 $$);
select * from after($$ update dw.enrolment set client_id = 2, enrolment_id = 60 where client_id = 1 and enrolment_id = 8 $$);
select * from after($$ delete from dw.enrolment where client_id = 2 and enrolment_id = 60 $$);
select * from after($$ insert into dw.environment_role values (1, 2, 2, 3, 'tutor') $$);
select * from after($$ update dw.environment_role set role = 'visitor' where client_id = 1 and environment_role_id = 2 $$);
select * from after($$ delete from dw.environment_role where client_id = 2 $$);
-- other ways to write
select * from after($$ insert into dw.environment_role values (1, 2, 2, 3, 'tutor') on conflict on constraint environment_role_pkey do update set role = excluded.role $$);
select * from after($$ insert into dw.environment_role values (1, 2, 2, 3, 'tutor') on conflict do nothing $$);
select * from after($$ merge into dw.enrolment e using (values (9), (70)) v (id) on e.client_id = 2 and e.enrolment_id = v.id
    when matched then delete when not matched then insert (client_id, enrolment_id, space_id, user_id) values (2, v.id, 102, 3) $$);
\copy dw.enrolment (client_id, enrolment_id, space_id, user_id) from stdin
1	80	103	6
\.
select * from after('select 1');
select * from after($$ set session_replication_role = replica; delete from dw.enrolment where enrolment_id = 80; reset session_replication_role $$);
-- TRUNCATE says nothing about clients: all of them compare, each once (without an environment there is none to lie about)
select * from after('truncate dw.environment');
select * from after('select fill(''environment'')');
select * from after('truncate dw.environment; select fill(''environment'')');
select * from after('truncate dw.course; select fill(''course'')');
select * from after('truncate dw.space; select fill(''space'')');
select * from after('truncate dw.subject; select fill(''subject'')');
select * from after('truncate dw.lecture; select fill(''lecture'')');
select * from after('truncate dw.student; select fill(''student'')');
select * from after('truncate dw.enrolment');
select * from after('truncate dw.environment_role');
select * from after('select fill(''enrolment''), fill(''environment_role'')');
select relation, count(*) from dw.structure_change where client_id is null group by relation order by relation collate "C";
-- one client is built, the other's marks wait for its own build
truncate dw.lecture;
select fill('lecture');
select lies('tell');
select count(*) from empatia.build_cube(client => 'a');
select lies();
select * from after('select 1');
-- a build that fails has seen nothing
delete from dw.enrolment where client_id = 1 and enrolment_id = 11;
begin;
select mode from empatia.build_cube('SPA', client => 'a');
rollback;
select * from after('select 1');
-- in one transaction, after a build and in a savepoint that stays
begin;
savepoint s;
update dw.enrolment set role = 'teacher' where client_id = 1 and enrolment_id = 12;
release s;
select mode from empatia.build_cube('SPA', client => 'a');
update dw.enrolment set role = null where client_id = 1 and enrolment_id = 12;
truncate dw.environment_role;
select mode from empatia.build_cube('SPA', client => 'a');
insert into dw.environment_role values (2, 1, 1, 2, 'tutor');
truncate dw.environment_role;
commit;
select * from after('select 1');
-- roles that are excluded
select * from after($$ insert into empatia.excluded_role values ('visitor'), ('guest') $$);
select * from after($$ delete from empatia.excluded_role where role = 'teacher' $$);
select * from after($$ update empatia.excluded_role set role = 'teacher' where role = 'guest' $$);
select * from after($$ truncate empatia.excluded_role $$);
select * from after($$ insert into empatia.excluded_role values ('teacher'), ('tutor') $$);

-- who may write a table sets marks, and can neither read them, take them away nor call what sets them
create role regress_structure_writer;
grant usage on schema dw to regress_structure_writer;
grant select, insert, update, delete, truncate on dw.enrolment to regress_structure_writer;
set role regress_structure_writer;
insert into dw.enrolment (client_id, enrolment_id, space_id, user_id) values (2, 90, 105, 4);
select count(*) from dw.structure_change;
delete from dw.structure_change;
create temp table enrolment (client_id integer);
create trigger mine after insert on enrolment for each statement execute function dw.mark_structure_change('client_id');
reset role;
select * from after('select 1');
set role regress_structure_writer;
update dw.enrolment set role = 'teacher' where client_id = 2 and enrolment_id = 90;
reset role;
select * from after('select 1');
set role regress_structure_writer;
truncate dw.enrolment;
reset role;
select * from after('select fill(''enrolment'')');
drop owned by regress_structure_writer;
drop role regress_structure_writer;
select p.proname, p.prosecdef, p.proconfig, has_function_privilege('public', p.oid, 'execute') as public_executes from pg_proc p where p.pronamespace = 'dw'::regnamespace;
select t.tgrelid::regclass::text collate "C" as relation, count(*) as triggers, string_agg(distinct t.tgenabled::text, '') as enabled, bool_and(obj_description(t.tgfoid, 'pg_proc') is not null) as explained
from pg_trigger t where t.tgname like 'structure%' group by 1 order by 1;

-- where nothing watches a table every build compares, and says so; what was switched off in between is not trusted
alter table dw.enrolment disable trigger structure_update;
drop trigger structure_truncate on dw.course;
select * from after($$ update dw.enrolment set role = 'teacher' where enrolment_id = 21 $$);
alter table dw.enrolment enable trigger structure_update;
select * from after('select 1');
alter table dw.enrolment disable trigger structure_update;
-- what changed in the meantime is not forgotten when the triggers are back
update dw.enrolment set role = null where enrolment_id = 21;
select * from empatia.create_warehouse();
select * from after('select 1');
select * from empatia.create_warehouse();
select * from after($$ update dw.enrolment set role = 'teacher' where enrolment_id = 21 $$);

-- without the extension marks are still set; a new one finds its own excluded roles
drop extension empatia;
update dw.enrolment set role = 'teacher' where client_id = 1 and enrolment_id = 22;
create extension empatia;
select message from empatia.create_warehouse();
update empatia.pipeline set active = level in ('ENV', 'SPA', 'LEC') and grain = 'ALL';
select * from after('delete from dw.enrolment where client_id = 2 and enrolment_id = 22');
select * from after($$ update empatia.excluded_role set role = 'guest' where role = 'teacher' $$);

-- load(): facts alone, and an idle load, are no change of structure; what is one is the client's alone
create schema src;
create table src.events (event_id int, who text, happened_at timestamp, kind text, course text);
insert into src.events select n, 'u' || n % 4, timestamp '2025-03-03' + n * interval '5 hours', 'post', 'c' || n % 2 from generate_series(1, 30) n;
select client_id from empatia.add_client('c');
select message from empatia.add_source('c', 'events', 'src');
select sum(inserted) as inserted from empatia.load('c');
select client_id, relation from dw.structure_change where client_id = 3 order by mark_id;
select * from after('select 1');
select * from after('select empatia.load(''c'')');
insert into src.events select 100 + n, 'u' || n % 4, timestamp '2025-03-04' + n * interval '3 hours', 'post', 'c' || n % 2 from generate_series(1, 30) n;
select * from after('select empatia.load(''c'')');
insert into src.events values (200, 'u9', '2025-03-05', 'post', 'c1');
select * from after('select empatia.load(''c'')');
select count(*) as different from ((select user_id, space_id, posts_amount from analytics.cubo_engajamento where cliente = 'c' and nivel_agregacao = 'SPA' except all select user_id, space_id, posts from empatia.engagement('c', 'SPA', 'ALL'))
    union all (select user_id, space_id, posts from empatia.engagement('c', 'SPA', 'ALL') except all select user_id, space_id, posts_amount from analytics.cubo_engajamento where cliente = 'c' and nivel_agregacao = 'SPA')) d;
