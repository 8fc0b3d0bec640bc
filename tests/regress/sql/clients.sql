-- add_client(), add_source() and what they refuse. Faults guarded against: an unknown name that fails without saying which are known; a
-- missing table or column that is found by the first scheduled load, after half of it was written; a client whose time zone is reset.
\set SHOW_CONTEXT never
create extension empatia;
select * from empatia.load();
select sum(created) > 100 as created from empatia.create_warehouse();
select * from empatia.load();
select * from empatia.load('x');
select * from empatia.add_client('');
select * from empatia.add_client(null);
select * from empatia.add_client('a', 'A', 'America/Resife');
select * from empatia.add_client('a', 'A', 'america/recife');
select * from empatia.add_client('a', 'A', 'America/Recife');
select * from empatia.add_client('a', 'A', 'America/Recife');
-- the zone that a call does not name stays
select * from empatia.add_client('a');
select * from empatia.add_client('a', 'Escola A');
select code, name, time_zone from dw.client;
select * from empatia.add_client('b');
select code, name, time_zone from dw.client where code = 'b';
select * from empatia.load('c');
select * from empatia.load('a');

select * from empatia.add_source('c', 'events', 'src');
select * from empatia.add_source('a', 'blackboard', 'src');
select * from empatia.add_source('a', 'events', 'src');
select * from empatia.add_source('a', 'events', null);
create schema src;
select * from empatia.add_source('a', 'events', 'src');
create table src.events (who text, happened_at timestamp, course text);
select * from empatia.add_source('a', 'events', 'src');
alter table src.events add kind text;
select * from empatia.add_source('a', 'events', 'src', '{"enviroment": "x"}');
select * from empatia.add_source('a', 'events', 'src', '[]');
select * from empatia.add_source('a', 'events', 'src', '{"time_zone": "Mars/Base"}');
select * from empatia.add_source('a', 'events', 'src', '{"snapshot": "yes"}');
select * from empatia.add_source('a', 'events', 'src', '{"environment": "Campus"}');
select message from empatia.add_source('a', 'events', 'src', '{"environment": "Campus"}');
select message from empatia.add_source('a', 'events', 'src', '{"environment": "Campus", "time_zone": "America/Recife"}');
select count(*) from empatia.source;

-- an optional module without a column that it needs is no absent module
create table src.submissions (who text, course text);
select * from empatia.load('a');
-- nothing was changed by the load that was refused
select count(*) from dw.student;
drop table src.submissions;
-- a required table that went away: neither this source nor another of the client is loaded
insert into src.events values ('ana', '2025-03-03 12:00', 'c1', 'post');
create schema src2;
create table src2.events (who text, happened_at timestamp, course text, kind text);
select message from empatia.add_source('a', 'events', 'src2');
drop table src2.events;
select * from empatia.load('a');
select count(*) from dw.fact_interaction;
create table src2.events (who text, happened_at timestamp, course text, kind text);
select sum(inserted) > 0 as loaded from empatia.load('a');
select count(*) from dw.fact_interaction;

-- one failing client does not stop the others, and is reported
select message from empatia.add_source('b', 'events', 'src2');
drop table src2.events;
create schema src3;
create table src3.events (who text, happened_at timestamp, course text, kind text);
insert into src3.events values ('bia', '2025-03-03 12:00', 'c1', 'post');
select client from empatia.add_client('c');
select message from empatia.add_source('c', 'events', 'src3');
select client, count(*) as streams, sum(inserted) as inserted, max(message) filter (where message not like 'skipped%') as message from empatia.load() group by 1 order by 1;
select c.code, count(*) from dw.fact_interaction join dw.client c using (client_id) group by 1 order by 1;
-- all of them failing is an error
delete from empatia.source where source_schema in ('src', 'src3');
select * from empatia.load();

-- every shipped query runs on a source that has only what it requires, and with everything optional absent
create function runs(a empatia.adapter) returns text language plpgsql as $$
declare t text; c text;
begin
    set local client_min_messages = warning;
    drop schema if exists bare cascade;
    create schema bare;
    for t in select jsonb_object_keys(a.requires) loop
        execute format('create table bare.%I (%s)', t, (select string_agg(format('%I %s', x, case
            when x ~ '(^id$|_id$|^id_|^date|^sum_click$|^is_banked$|^score$|^weight$|^grade$)' then 'bigint' when x ~ '(_at$)' then 'timestamp' when x = 'removed' then 'boolean' else 'text' end), ', ')
            from jsonb_array_elements_text(a.requires -> t) x));
    end loop;
    execute empatia._render_stream('bare', a, '{}');
    return null;
exception when others then return sqlerrm;
end $$;
select adapter, stream, runs(a) as error from empatia.adapter a where runs(a) is not null;
