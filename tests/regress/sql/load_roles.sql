-- Who may load. Faults guarded against: a warehouse that only a superuser can fill; a reader, or anybody, who can change the configuration or
-- read the warehouse of somebody else.
\set SHOW_CONTEXT never
\getenv srcdir PG_ABS_SRCDIR
\set fixture :srcdir '/fixture/small_redu.sql'
\set ECHO none
\i :fixture
\set ECHO all
create extension empatia;
create role regress_load_operator in role empatia_operator;
create role regress_load_reader in role empatia_reader;
create role regress_load_nobody;
select format('grant create on database %I to regress_load_operator', current_database()) \gexec
grant usage on schema lms to regress_load_operator;
grant select on all tables in schema lms to regress_load_operator;
set role regress_load_operator;
select sum(created) > 100 as created from empatia.create_warehouse();
select message from empatia.add_client('escola', 'Escola', 'America/Recife');
select message from empatia.add_source('escola', 'redu', 'lms');
select sum(inserted) as inserted, sum(rejected) as rejected from empatia.load();
select sum(inserted + updated + deleted) as changed from empatia.load();
select level, grain, mode, stored_rows from empatia.build_cube('SPA', 'WEEK');
select count(*) from empatia.engagement('escola', 'SPA', 'WEEK');
select count(*) from analytics.cubo_engajamento;
update empatia.setting set value = '1' where key = 'first_day_of_week';
insert into empatia.adapter (adapter, relation, stream, query) values ('own', 'environment', 'root', 'SELECT 1 AS environment_id');
-- a source that the operator may not read is an error of that table
reset role;
create table lms.friendships (id bigint, user_id bigint, friend_id bigint, status text);
set role regress_load_operator;
select * from empatia.load('escola');
-- everything belongs to the caller
select distinct tableowner from pg_tables where schemaname in ('dw', 'analytics');

set role regress_load_reader;
select client_id, adapter from empatia.source;
select level, k from empatia.pipeline limit 0;
update empatia.setting set value = '0' where key = 'first_day_of_week';
select * from empatia.add_client('b');
select count(*) from dw.student;
set role regress_load_nobody;
select count(*) from empatia.source;
select * from empatia.load();
select * from empatia.create_warehouse('dw2', 'analytics2');
reset role;
drop owned by regress_load_operator cascade;
drop role regress_load_operator, regress_load_reader, regress_load_nobody;
