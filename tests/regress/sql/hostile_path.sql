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

create schema evil;
create table evil.traps (what text);
create table evil.client (client_id int, code text);
create table evil.student (x int);
create table evil.pipeline (level text, grain text, active boolean);
create table evil.warehouse (dw_schema name, results_schema name);
create table evil.setting (key text, value text);
create table evil.model (version int);
create temp table client (client_id int, code text);
create temp table setting (key text, value text);
-- each reports that it was called, by failing
create function evil.trap(a anyelement) returns boolean language plpgsql as $$ begin raise exception 'trapped'; end $$;
do $$
declare
    t pg_catalog.text;
    o pg_catalog.text;
begin
    foreach t in array array['text', 'bigint', 'integer', 'date', 'double precision', 'boolean', 'name'] loop
        execute format('create function evil.trap(a %1$s, b %1$s) returns boolean language plpgsql as $f$ begin raise exception ''trapped''; end $f$', t);
        foreach o in array array['=', '<>', '<', '>', '<=', '>='] loop
            execute format('create operator evil.%s (leftarg = %s, rightarg = %2$s, function = evil.trap)', o, t);
        end loop;
        execute format('create function evil.trap_%2$s(a %1$s, b %1$s) returns %1$s language plpgsql as $f$ begin raise exception ''trapped''; end $f$', t, replace(t, ' ', '_'));
        foreach o in array array['+', '-', '*', '/', '||'] loop
            execute format('create operator evil.%s (leftarg = %s, rightarg = %2$s, function = evil.trap_%3$s)', o, t, replace(t, ' ', '_'));
        end loop;
    end loop;
    foreach t in array array['lower(text)', 'replace(text, text, text)', 'quote_ident(text)', 'quote_literal(text)', 'date_trunc(text, timestamp)', 'hashtextextended(text, bigint)',
                             'pg_try_advisory_lock(bigint)', 'to_regclass(text)', 'clock_timestamp()', 'now()', 'set_config(text, text, boolean)', 'jsonb_build_object(text, boolean)',
                             'generate_series(timestamp, timestamp, interval)', 'greatest(bigint, bigint)', 'array_position(text[], text)', 'isfinite(date)', 'extract(text, date)'] loop
        execute format('create function evil.%s returns text language plpgsql as $f$ begin raise exception ''trapped''; end $f$', regexp_replace(t, '^greatest', '"greatest"'));
    end loop;
end $$;
create function evil.trap_di(a date, b integer) returns date language plpgsql as $$ begin raise exception 'trapped'; end $$;
create operator evil.- (leftarg = date, rightarg = integer, function = evil.trap_di);
create operator evil.+ (leftarg = date, rightarg = integer, function = evil.trap_di);
create domain evil.text as pg_catalog.int4;
create domain evil.timestamptz as pg_catalog.int4;
create domain evil.date as pg_catalog.int4;
create domain evil.jsonb as pg_catalog.int4;
create domain evil.name as pg_catalog.int4;
create domain evil.regclass as pg_catalog.int4;
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
