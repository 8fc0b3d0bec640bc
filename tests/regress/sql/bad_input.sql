-- What an operator does wrong, and what he is told. Faults guarded against: an error that does not name the valid values; a crash or an
-- empty answer where an argument is null; a range that ends before it begins.
\set SHOW_CONTEXT never
create extension empatia;
-- without a warehouse every entry point says how to make one
select * from empatia.add_client('x');
select * from empatia.add_source('x', 'redu', 'public');
select * from empatia.load();
select * from empatia.build_cube();
select * from empatia.engagement('x', 'SPA', 'WEEK');
select * from empatia.kmeans_segments();
select * from empatia.segment_profile('SPA', 'WEEK');
select * from empatia.choose_k('SPA', 'WEEK');
select * from empatia.classify();
select * from empatia.cubo_engajamento();
call empatia.run_pipeline();
select * from empatia.schedule();
select * from empatia.unschedule();
-- a warehouse without clients
set client_min_messages = warning;
select count(*) from empatia.create_warehouse();
reset client_min_messages;
select * from empatia.build_cube(client => 'x');
select * from empatia.build_cube();
select * from empatia.kmeans_segments();
select * from empatia.cubo_engajamento();
-- a client without data
select client from empatia.add_client('a');
select * from empatia.build_cube();
select * from empatia.engagement('a', 'SPA', 'WEEK');
select * from empatia.kmeans_segments('SPA', 'WEEK');
select * from empatia.classify('SPA', 'WEEK');
-- a range without data: an empty, valid cube
select level, grain, dense_rows, stored_rows from empatia.build_cube('SPA', 'WEEK', '2025-01-01', '2025-01-31');
select count(*) from empatia.engagement('a', 'SPA', 'WEEK', '2025-01-01', '2025-01-31');

-- levels, grains, clients, ranges
select * from empatia.build_cube('spa');
select * from empatia.build_cube('SPA', 'DAY');
select * from empatia.build_cube('', '');
select * from empatia.engagement('a', 'XXX', 'WEEK');
select * from empatia.engagement('a', 'SPA', 'week');
select * from empatia.engagement('b', 'SPA', 'WEEK');
select * from empatia.classify('XXX', 'WEEK');
select * from empatia.segment_profile('SPA', 'XXX');
select * from empatia.choose_k('XXX', 'WEEK');
select * from empatia.classify('SPA', 'WEEK', client => 'b');
set datestyle = 'ISO, YMD';
select * from empatia.build_cube('SPA', 'WEEK', '2025-02-01', '2025-01-31');
select * from empatia.engagement('a', 'SPA', 'WEEK', '2025-02-01', '2025-01-31');
select * from empatia.build_cube('SPA', 'WEEK', '-infinity', '2025-01-31');
select * from empatia.build_cube('SPA', 'WEEK', '1025-02-01', '2025-01-31');
update empatia.setting set value = '2025-02-01' where key = 'range_start';
update empatia.setting set value = '2025-01-01' where key = 'range_end';
select * from empatia.build_cube('SPA', 'WEEK');
update empatia.setting set value = null where key in ('range_start', 'range_end');

-- configuration
update empatia.setting set value = '2025-02-30' where key = 'range_start';
update empatia.setting set value = '7' where key = 'first_day_of_week';
update empatia.setting set value = 'dues' where key = 'assignment_basis';
insert into empatia.setting values ('colour', 'red', 'x');
update empatia.pipeline set features = '{post}';
update empatia.pipeline set features = '{}';
update empatia.pipeline set features = '{posts,posts}';
update empatia.pipeline set features = '{posts,null}';
update empatia.pipeline set k = 0;
insert into empatia.score_weight values ('posts_', 1);
insert into empatia.score_weight values ('accesses', 'NaN');
update empatia.pipeline set active = false;
select * from empatia.build_cube();
select * from empatia.kmeans_segments();
select * from empatia.classify();
call empatia.run_pipeline();
select count(*) as runs from empatia.run;
update empatia.pipeline set active = true where (level, grain) = ('SPA', 'WEEK');
-- a setting that was deleted has its default
create temp table kept as select key, value from empatia.setting;
delete from empatia.setting;
select key, value from kept where value is distinct from empatia._setting_value(key);
select mode, dense_rows from empatia.build_cube('SPA', 'WEEK', '2025-01-01', '2025-01-31', full_build => true);
select count(*) from empatia.engagement('a', 'SPA', 'WEEK', '2025-01-01', '2025-01-31');

-- null for every argument of every function that users call
create function with_nulls(f regprocedure) returns text language plpgsql as $$
declare
    said text;
    hint text;
    n bigint;
    args text;
begin
    select string_agg('NULL::' || format_type(t, null), ', ' order by i) into args
    from pg_proc p, unnest(p.proargtypes) with ordinality u (t, i) where p.oid = f;
    execute format('SELECT count(*) FROM empatia.%I(%s)', (select proname from pg_proc where oid = f), args) into n;
    return n || ' rows';
exception when others then
    get stacked diagnostics hint = pg_exception_hint;
    return sqlstate || ' ' || sqlerrm || case when hint <> '' then ' / ' || hint else '' end;
end $$;
select p.proname, with_nulls(p.oid) from pg_proc p
where p.pronamespace = 'empatia'::regnamespace and p.prokind = 'f' and p.prorettype <> 'trigger'::regtype and p.proname !~ '^_'
order by 1;
call empatia.run_pipeline(null);
-- inside a transaction it cannot commit its steps: an error, and neither a run nor a lock is left
select count(*) as runs from empatia.run \gset
begin;
call empatia.run_pipeline();
rollback;
begin;
do $$ begin call empatia.run_pipeline(); end $$;
rollback;
select count(*) - :runs as new_runs from empatia.run;
select count(*) as locks from pg_locks where locktype = 'advisory' and pid = pg_backend_pid();
-- internal functions too: any answer, no crash
select count(with_nulls(p.oid)) = count(*) as all_answered from pg_proc p
where p.pronamespace = 'empatia'::regnamespace and p.prokind = 'f' and p.prorettype <> 'trigger'::regtype and p.proname ~ '^_';
select empatia.version() = extversion from pg_extension where extname = 'empatia';
