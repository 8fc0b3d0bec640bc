-- Incremental = from scratch. After each change at the source: the facts and dimensions of a client that has been loaded all along are those
-- of one that is loaded for the first time; the cube that build_cube() brought up to date is the cube built in full, for all 35 combinations, and
-- that of engagement(). Here: facts; load_structure: units, members and configuration. Fault guarded against: a change that reaches the warehouse but not the cube, or neither.
\set SHOW_CONTEXT never
\getenv srcdir PG_ABS_SRCDIR
\set fixture :srcdir '/fixture/small_redu.sql'
\set ECHO none
\i :fixture
\set verify :srcdir '/fixture/verify.sql'
\set ECHO all
create extension empatia;
select sum(created) > 100 as created from empatia.create_warehouse();
\set ECHO none
\i :verify
\set ECHO all
select message from empatia.add_client('escola', 'Escola', 'America/Recife');
select message from empatia.add_source('escola', 'redu', 'lms');

\x on
select * from verify('first load', every_combination => true);
select * from verify('nothing');
insert into lms.statuses values (31, 'Activity', 3, 'Lecture', 5000, null, '2025-03-04 12:00', '2025-03-20 12:00'), (32, 'Answer', 9, 'Space', 101, 15, '2025-03-12 12:00', '2025-03-20 12:00');
insert into lms.results values (31, 3, 7001, 'finalized', 7, '2025-03-05 12:00', '2025-03-20 12:00');
insert into lms.user_assignments values (31, 3, 900, 'graded', '2025-03-09 13:00', 12, '2025-03-02', '2025-03-20 12:00');
select * from verify('late rows of earlier weeks');
update lms.statuses set created_at = '2025-03-18 12:00', updated_at = '2025-03-20 13:00' where id = 31;
update lms.statuses set user_id = 9, updated_at = '2025-03-20 13:00' where id = 16;
update lms.results set grade = 9, updated_at = '2025-03-20 13:00' where id = 2;
update lms.user_assignments set submitted_at = '2025-03-11 13:00', updated_at = '2025-03-20 13:00' where id = 1;
select * from verify('changed rows: another day, another author, another grade, handed in later');
update lms.statuses set deleted_at = '2025-03-20 14:00', updated_at = '2025-03-20 14:00' where id in (1, 6);
update lms.results set deleted_at = '2025-03-20 14:00', updated_at = '2025-03-20 14:00' where id = 2;
update lms.user_assignments set deleted_at = '2025-03-20 14:00', updated_at = '2025-03-20 14:00' where id = 2;
select * from verify('deleted rows: a root keeps its answers, the second result becomes the first');
update lms.statuses set deleted_at = null, updated_at = '2025-03-20 15:00' where id = 6;
select * from verify('a deletion taken back');
insert into lms.statuses values (33, 'Activity', 1, 'Lecture', 5000, null, '2025-02-10 12:00', '2025-03-20 15:30'), (34, 'Activity', 1, 'Lecture', 5000, null, '2025-04-10 12:00', '2025-03-20 15:30');
select * from verify('the range grows at both ends');
update lms.statuses set deleted_at = '2025-03-20 15:40', updated_at = '2025-03-20 15:40' where id in (33, 34);
select * from verify('the range shrinks again');
update lms.statuses set statusable_type = 'Space', statusable_id = 100, updated_at = '2025-03-20 16:00' where id = 3;
select * from verify('a root is moved to the space: its answers follow');
update lms.statuses set type = 'Activity', updated_at = '2025-03-20 16:30' where id = 15;
select * from verify('a help request becomes a post: its replies follow');
update empatia.setting set value = 'due' where key = 'assignment_basis';
select * from verify('configuration: basis due');
update lms.assignments set deleted_at = null, due_at = '2025-03-14 12:00', updated_at = '2025-03-20 23:00' where id = 900;
update lms.user_assignments set submitted_at = null, status = 'pending', updated_at = '2025-03-20 23:00' where id = 31;
select * from verify('basis due: another due date, a submission taken back', every_combination => true);
select client, message from empatia.add_client('escola', null, 'Asia/Tokyo');
\x off
-- another time zone: the days of all facts, without a load
select distinct mode from empatia.build_cube('SPA', 'WEEK', client => 'escola');
select count(*) from ((select * from cube_rows('SPA', 'WEEK') except all select * from engagement_rows('SPA', 'WEEK')) union all (select * from engagement_rows('SPA', 'WEEK') except all select * from cube_rows('SPA', 'WEEK'))) d;
select count(*) from dw.fact_interaction where client_id = 1 and day <> (occurred_at at time zone 'Asia/Tokyo')::date;
