-- What the extension promises about all its objects at once. Faults guarded against: a function that looks names up in the caller's
-- search_path; one that runs with its owner's rights; a writing function that the planner may run in parallel or twice; an object
-- without an explanation; a configuration table that pg_dump forgets.
create extension empatia;
set search_path = pg_catalog;
create temp view f as select p.*, p.oid::regprocedure::text as signature from pg_proc p where p.pronamespace = 'empatia'::regnamespace;
select signature as security_definer from f where prosecdef;
-- a SET clause would forbid a procedure to commit: it sets its path itself
select signature as plpgsql_without_path from f join pg_language l on l.oid = f.prolang
where l.lanname = 'plpgsql' and not coalesce('search_path=pg_catalog, pg_temp' = any (proconfig), false) order by 1;
-- SQL functions without a pinned path are inlined; those that look up tables, functions or operators by name have parsed bodies
select signature as unpinned from f join pg_language l on l.oid = f.prolang
where l.lanname = 'sql' and proconfig is null and prosqlbody is null and prosrc ~* '(\mfrom\M|[-+*/<>=])'
  and proname !~ '_(sql|ddl)$' /* templates: text, for functions with a path */ order by 1;
-- whatever writes is volatile and unsafe for parallel workers
select signature as too_optimistic from f where prosrc ~* '(insert into|delete from|update empatia|create temp|execute)' and proparallel = 's'
union all select signature from f where prosrc ~* '(insert into |delete from |update empatia[^;]* set [^;]*;)' and prosrc !~ 'Activate one' and provolatile <> 'v' and proname !~ '_(sql|ddl)$'
union all select signature from f where provolatile = 'i' and prosrc ~* 'from empatia\.' order by 1;
-- every object is explained
select 'function' as what, signature as name from f where obj_description(oid, 'pg_proc') is null
union all select 'relation', c.oid::regclass::text from pg_class c where c.relnamespace = 'empatia'::regnamespace and c.relkind in ('r', 'v', 'p', 'm') and obj_description(c.oid, 'pg_class') is null
union all select 'type', t.oid::regtype::text from pg_type t join pg_class c on c.oid = t.typrelid where t.typnamespace = 'empatia'::regnamespace and c.relkind = 'c'
    and obj_description(t.oid, 'pg_type') is null and obj_description(c.oid, 'pg_class') is null
order by 1, 2;
-- every table is dumped, but those that the extension fills itself; identities with their sequences
select c.oid::regclass as not_dumped from pg_class c, pg_extension e
where e.extname = 'empatia' and c.relnamespace = 'empatia'::regnamespace and c.relkind in ('r', 'S') and c.oid <> all (e.extconfig) order by 1;
-- nobody but the owner creates objects beside the extension's, and PUBLIC writes nothing
select has_schema_privilege('empatia_operator', 'empatia', 'CREATE') as operator_creates, has_schema_privilege('public', 'empatia', 'USAGE') as public_uses;
select c.oid::regclass as public_writes from pg_class c where c.relnamespace = 'empatia'::regnamespace and c.relkind = 'r'
  and (has_table_privilege('public', c.oid, 'INSERT') or has_table_privilege('public', c.oid, 'UPDATE') or has_table_privilege('public', c.oid, 'DELETE') or has_table_privilege('public', c.oid, 'TRUNCATE'));
select c.oid::regclass as public_reads from pg_class c where c.relnamespace = 'empatia'::regnamespace and c.relkind = 'r' and has_table_privilege('public', c.oid, 'SELECT') order by 1;
-- defaults in every function that a whole command can be made of
select proname, pg_get_function_arguments(oid) from f where proname in ('build_cube', 'kmeans_segments', 'classify', 'load', 'run_pipeline', 'create_warehouse', 'schedule', 'unschedule') order by 1;
select proname as returns_nothing from f where prokind = 'f' and prorettype = 'void'::regtype and proname !~ '^_';
