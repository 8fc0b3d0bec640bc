-- An adapter for a new platform, registered with plain SQL at run time. Faults guarded against: an adapter that works only with the types that
-- the shipped ones happen to return; a misspelt column that loads as nulls; rejected rows that are never tried again; a search_path full of
-- traps that changes what is read.
\set SHOW_CONTEXT never
create extension empatia;
select sum(created) > 100 as created from empatia.create_warehouse();
select message from empatia.add_client('faculdade', 'Faculdade', 'America/Recife');
create schema canvas;
create table canvas.course (id int, title text, changed timestamp);
create table canvas.person (id int, full_name text, changed timestamp);
create table canvas.seat (id int, course_id int, person_id int, changed timestamp, gone boolean);
create table canvas.message (id int, course_id int, person_id int, is_question boolean, at timestamp, changed timestamp, gone boolean);
insert into empatia.adapter (adapter, relation, stream, query) values ('canvas', 'fact_click', 'message', 'SELECT 1');
insert into empatia.adapter (adapter, position, relation, stream, requires, query) values
    ('canvas', 1, 'environment', 'root', '{}', 'SELECT 1 AS environment_id, ''Canvas'' AS name'),
    ('canvas', 2, 'course', 'course', '{"course": ["id", "title"]}', 'SELECT c.id AS course_id, 1 AS environment_id, c.title AS name, c.changed AS _cursor FROM {source}.course c'),
    ('canvas', 3, 'space', 'rooms', '{"course": ["id"]}', 'SELECT c.id AS space_id, c.id AS course_id, c.title AS name, c.changed AS _cursor FROM {source}.course c'),
    ('canvas', 4, 'student', 'person', '{"person": ["id"]}', 'SELECT p.id AS user_id, p.full_name AS name, p.changed AS _cursor FROM {source}.person p'),
    ('canvas', 5, 'enrolment', 'seat', '{"seat": ["id"]}', 'SELECT s.id AS enrolment_id, s.course_id AS space_id, s.person_id AS user_id, s.changed AS _cursor, s.gone AS _deleted FROM {source}.seat s'),
    -- a key that is a number, a cursor without a zone, no row: what a newcomer writes
    ('canvas', 6, 'fact_interaction', 'message', '{"message": ["id", "is_question", "at"]}', 'SELECT m.id AS _key, m.id AS interaction_id, m.course_id AS space_id, m.person_id AS user_id, CASE WHEN m.is_question THEN ''help_request'' ELSE ''post'' END AS kind, m.at AS occured_at, m.changed AS _cursor, m.gone AS _deleted FROM {source}.message m');
insert into canvas.course values (1, 'Lógica', '2025-03-01');
insert into canvas.person values (1, 'Ana', '2025-03-01'), (2, 'Bia', '2025-03-01');
insert into canvas.seat values (1, 1, 1, '2025-03-01', null), (2, 1, 2, '2025-03-01', false), (3, 1, 3, '2025-03-01', false);
insert into canvas.message values (1, 1, 1, true, '2025-03-03 12:00', '2025-03-03 12:00', null), (2, 1, 2, false, '2025-03-04 12:00', '2025-03-04 12:00', false), (3, 1, 3, false, '2025-03-04 12:00', '2025-03-04 12:00', false);
select cardinality(streams) from empatia.add_source('faculdade', 'canvas', 'canvas');
select * from empatia.load('faculdade');
update empatia.adapter set query = replace(query, 'm.at AS occured_at, ', '') where stream = 'message';
select * from empatia.load('faculdade');
select count(*) from dw.student;
update empatia.adapter set query = replace(query, 'm.changed AS _cursor', 'm.at AS occurred_at, m.changed AS _cursor') where stream = 'message';
select stream, read, inserted, rejected from empatia.load('faculdade');
select source_table, source_key, reason, "row" from dw.reject order by 1;
select stream, read, inserted, updated, deleted, rejected from empatia.load('faculdade');
-- the missing person arrives, a message and a seat go
insert into canvas.person values (3, 'Caio', '2025-03-10');
update canvas.message set gone = true, changed = '2025-03-10' where id = 1;
update canvas.seat set gone = true, changed = '2025-03-10' where id = 2;
select stream, inserted, updated, deleted, rejected from empatia.load('faculdade') where inserted + updated + deleted > 0;
select count(*) from dw.reject;
select u.name, posts, help_requests from empatia.engagement('faculdade', 'SPA', 'ALL') join dw.student u using (user_id) order by 1;
update empatia.adapter set query = 'SELECT id FROM nowhere' where stream = 'message';
select * from empatia.load('faculdade');

-- traps: tables, functions and operators of the same names, before pg_catalog in the caller's search_path
update empatia.adapter set query = 'SELECT m.id AS _key, m.id AS interaction_id, m.course_id AS space_id, m.person_id AS user_id, ''post'' AS kind, m.at AS occurred_at, m.changed AS _cursor FROM {source}.message m' where stream = 'message';
create schema trap;
create table trap.client (client_id int, code text, time_zone text);
create table trap.setting (key text, value text);
create table trap.pg_class (oid oid, relname text);
create table trap.lecture (lecture_id int);
create function trap.date_trunc(text, timestamp) returns timestamp language sql immutable as $$ select timestamp '1970-01-01' $$;
create function trap.format(text, variadic text[]) returns text language sql immutable as $$ select 'trap'::text $$;
create function trap.isfinite(timestamp) returns boolean language sql immutable as $$ select false $$;
create function trap.never(text, text) returns boolean language sql immutable as $$ select false $$;
create operator trap.= (leftarg = text, rightarg = text, function = trap.never);
create function trap.never(bigint, bigint) returns boolean language sql immutable as $$ select false $$;
create operator trap.= (leftarg = bigint, rightarg = bigint, function = trap.never);
insert into canvas.message values (9, 1, 3, false, '2025-03-11 12:00', '2025-03-11 12:00', false);
set search_path = trap, pg_catalog, public;
select stream, inserted, rejected from empatia.load('faculdade') where inserted > 0;
select grain, stored_rows, dense_rows from empatia.build_cube('SPA', 'MONTH');
select user_id, posts, period_start::text from empatia.engagement('faculdade', 'SPA', 'MONTH') order by 1;
select user_id, posts_amount from empatia.cubo_engajamento('faculdade') order by 1;
reset search_path;
