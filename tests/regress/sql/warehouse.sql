-- create_warehouse(). Faults guarded against: a second call that changes or fails; a second warehouse beside the first; tables that
-- DROP EXTENSION takes away; an object that nobody explained.
\set SHOW_CONTEXT never
create extension empatia;
select empatia.add_client('x');
select * from empatia.create_warehouse('dw', 'dw');
select * from empatia.create_warehouse('', 'analytics');
select * from empatia.create_warehouse('dw', null);
select * from empatia.create_warehouse('empatia', 'analytics');
select * from empatia.create_warehouse('pg_dw', 'analytics');
-- a name that must be quoted is a name like any other
begin;
select schema_name, message from empatia.create_warehouse('Meu "DW"', 'saída');
select client, message from empatia.add_client('a');
select count(*) from empatia.engagement('a', 'SPA', 'WEEK');
select count(*) from empatia.build_cube();
select count(*) from "saída".cubo_engajamento;
rollback;
select schema_name, existing, message from empatia.create_warehouse();
select table_schema, table_name from information_schema.tables where table_schema in ('dw', 'analytics') and table_name !~ '^cube_(class_)?(env|crs|spa|sub|lec)' order by 1, 2;
create function state() returns text language sql as $$
    select md5(string_agg(c.oid || c.relname || c.relnatts, ',' order by c.oid)) from pg_class c where c.relnamespace::regnamespace::text in ('dw', 'analytics') $$;
select state() as before \gset
update empatia.setting set value = '1' where key = 'first_day_of_week';
delete from empatia.excluded_role where role = 'tutor';
select schema_name, created, existing > 0 as existing, message from empatia.create_warehouse();
-- the same tables, and a configuration that an operator changed stays changed
select state() = :'before' as unchanged;
select value from empatia.setting where key = 'first_day_of_week';
select role from empatia.excluded_role order by 1;
select * from empatia.create_warehouse('dw2', 'analytics2');
select * from empatia.create_warehouse('dw', 'analytics2');
-- a partition per level x grain, each with its primary key
select count(*) filter (where i.indisprimary) as with_key, count(*) as leaves
from pg_partition_tree('analytics.cube') t left join pg_index i on i.indrelid = t.relid where t.isleaf;

-- objects without a comment: none
select client from empatia.add_client('a');
select 'relation' as what, c.oid::regclass::text as name from pg_class c
where c.relnamespace::regnamespace::text in ('empatia', 'dw', 'analytics') and c.relkind in ('r', 'p', 'v', 'm', 'f') and obj_description(c.oid, 'pg_class') is null
union all select 'function', p.oid::regprocedure::text from pg_proc p where p.pronamespace::regnamespace::text in ('empatia', 'dw', 'analytics') and obj_description(p.oid, 'pg_proc') is null
union all select 'type', t.oid::regtype::text from pg_type t left join pg_class c on c.oid = t.typrelid
    where t.typnamespace::regnamespace::text in ('empatia', 'dw', 'analytics') and (c.relkind = 'c' or t.typtype in ('e', 'd', 'r')) and obj_description(t.oid, 'pg_type') is null and obj_description(c.oid, 'pg_class') is null
union all select 'schema', n.nspname from pg_namespace n where n.nspname in ('empatia', 'dw', 'analytics') and obj_description(n.oid, 'pg_namespace') is null
union all select 'role', r.rolname from pg_roles r where r.rolname like 'empatia\_%' and shobj_description(r.oid, 'pg_authid') is null
order by 1, 2;
-- tables without a primary key: only the change log, which nothing looks up by key
select c.relname from pg_class c where c.relnamespace = 'dw'::regnamespace and c.relkind in ('r', 'p')
  and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary) order by 1;

-- the facts outlive the extension; a new one finds them in the way and says so
drop extension empatia;
select count(*) from dw.client;
select count(*) from analytics.cubo_engajamento;
