-- Who may do what. Faults guarded against: a configuration that everybody can change; an operator who needs a superuser; a reader of the
-- results who must be let into the warehouse.
\set SHOW_CONTEXT never
create extension empatia;
set client_min_messages = warning;
create role regress_empatia_op in role empatia_operator;
create role regress_empatia_bi;
create role regress_empatia_nobody;
reset client_min_messages;
grant create, temporary on database regress_roles to regress_empatia_op;
-- the school's data belong to somebody else
create schema school;
create table school.events (event_id int, who text, happened_at timestamp, kind text, course text);
insert into school.events select i, 'u' || i % 7, timestamp '2025-03-03' + i * interval '5 hours', case i % 3 when 0 then 'post' when 1 then 'access' else 'help_request' end, 'c' || i % 2 from generate_series(1, 60) i;
grant usage on schema school to regress_empatia_op;
grant select on school.events to regress_empatia_op;

set role regress_empatia_nobody;
select count(*) from empatia.pipeline;
update empatia.pipeline set k = 1;
insert into empatia.excluded_role values ('x');
delete from empatia.label_rank;
truncate empatia.setting;
insert into empatia.adapter (adapter, relation, stream, query) values ('x', 'student', 'x', 'select 1');
select * from empatia.model;
select * from empatia.run;
select * from empatia.source;
create table empatia.mine ();
select * from empatia.create_warehouse();
reset role;

set role regress_empatia_op;
select sum(created) > 100 as created from empatia.create_warehouse();
select client from empatia.add_client('a', 'Escola A', 'America/Recife');
select message from empatia.add_source('a', 'events', 'school');
select sum(inserted) > 60 as loaded, sum(rejected) as rejected from empatia.load();
update empatia.pipeline set active = grain = 'WEEK' and level in ('SPA', 'CRS'), k = 2;
insert into empatia.label_rank (level, grain, rank, label) values ('SPA', '*', 1, 'melhor');
insert into empatia.excluded_role values ('guest');
delete from empatia.score_weight where measure = 'posts';
insert into empatia.score_weight values ('accesses', 0.5);
insert into empatia.adapter (adapter, relation, stream, query) values ('mine', 'student', 'people', 'select 1 as user_id');
select count(*) as parts from empatia.build_cube();
select count(*) as segments from empatia.kmeans_segments();
select count(*) as segments from empatia.segment_profile('SPA', 'WEEK');
select count(*) as candidates from empatia.choose_k('SPA', 'WEEK', 2, 3);
select count(*) as classified from empatia.classify();
call empatia.run_pipeline();
call empatia.run_pipeline(retrain => true);
select run_id, status, error, started_by from empatia.run order by 1;
select action, status, error from empatia.run_step where run_id = 2 order by step;
select count(*) > 0 as rows, count(categoria_engajamento) = count(*) as all_classified from empatia.cubo_engajamento('a', 'SPA');
-- he does not own the extension
drop table empatia.model;
alter table empatia.pipeline add x int;
create function empatia.mine() returns int language sql as 'select 1';
reset role;

-- BI: the results and nothing else
grant usage on schema analytics to regress_empatia_bi;
grant select on all tables in schema analytics to regress_empatia_bi;
set role regress_empatia_bi;
select count(*) > 0 as rows, count(user_name) = count(*) as named from analytics.cubo_engajamento;
select count(*) > 0 as rows from empatia.cubo_engajamento(nivel => 'SPA', tipo_agregacao_data => 'WEEK');
select count(*) > 0 as rows from empatia.cubo_engajamento('a', 'SPA', 'WEEK');
select count(*) from empatia.cubo_engajamento('z');
select count(*) from dw.student;
select count(*) from dw.fact_interaction;
delete from analytics.cube;
select * from empatia.build_cube();
select * from empatia.classify();
call empatia.run_pipeline();
reset role;
-- membership shows the log, not the right to write it
grant empatia_reader to regress_empatia_bi;
set role regress_empatia_bi;
select count(*) as runs from empatia.run;
delete from empatia.run;
reset role;
drop owned by regress_empatia_op, regress_empatia_bi cascade;
drop role regress_empatia_op, regress_empatia_bi, regress_empatia_nobody;
