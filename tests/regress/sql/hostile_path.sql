-- A search_path that begins with look-alikes of everything changes nothing. Fault guarded against: an operator with a careless path, in a
-- database where others may create objects, runs what they made.
\set SHOW_CONTEXT never
create extension empatia;
\getenv srcdir PG_ABS_SRCDIR
\set fixture :srcdir '/fixture/small_class.sql'
\set ECHO none
\i :fixture
\set ECHO all
update empatia.pipeline set active = grain in ('WEEK', 'MONTH') and level in ('SPA', 'LEC'), k = 2;
call empatia.run_pipeline();
create table public.kept as select user_id, space_id, lecture_id, nivel_agregacao, tipo_agregacao_data, data_inicio, data_fim, posts_amount, categoria_engajamento from analytics.cubo_engajamento;
create table public.periods_kept as select g, p.* from unnest(empatia._grains()) g, empatia.periods(g, '2025-01-20', '2025-03-08') p;

\set traps :srcdir '/fixture/traps.sql'
\set ECHO none
\i :traps
\set ECHO all
-- with the query, too, in which the paths of all functions it is made of meet
update empatia.setting set value = 'sql' where key = 'builder';
-- a new session has no plans made under another path
\c -
set search_path = evil, pg_catalog, pg_temp;
-- the traps work
select 'a'::pg_catalog.text = 'b'::pg_catalog.text;
select level from empatia.build_cube(full_build => true);
select rank from empatia.kmeans_segments('SPA', 'WEEK');
select rank from empatia.segment_profile('SPA', 'WEEK');
select k from empatia.choose_k('SPA', 'WEEK', 2, 3);
select level from empatia.classify();
call empatia.run_pipeline(retrain => true);
call empatia.run_pipeline();
select client from empatia.add_client('b');
select created from empatia.create_warehouse();
create table pg_temp.d as select user_id, space_id, lecture_id, nivel_agregacao, tipo_agregacao_data, data_inicio, data_fim, posts_amount, categoria_engajamento from empatia.cubo_engajamento();
create table pg_temp.e as select user_id, posts, period_start from empatia.engagement('a', 'SPA', 'WEEK');
create table pg_temp.p as select g, p.* from pg_catalog.unnest(empatia._grains()) g, empatia.periods(g, '2025-01-20', '2025-03-08') p;
reset search_path;
select count(*) as different from ((table d except table kept) union all (table kept except table d)) x;
select count(*) as different from ((table p except table periods_kept) union all (table periods_kept except table p)) x;
select count(*), sum(posts) from e;
select status, error, count(*) from empatia.run group by 1, 2;
