-- OULAD into the warehouse by its adapter, from the schema oulad that demo/oulad_load.sh filled. All 35 combinations become active.
\set ON_ERROR_STOP on
set work_mem = '512MB';
select * from empatia.add_client('ou', 'Open University', 'Europe/London');
select * from empatia.add_source('ou', 'oulad', 'oulad');
select relation, read, inserted, rejected, round(seconds::numeric, 1) as seconds from empatia.load('ou');
update empatia.pipeline set active = true;
