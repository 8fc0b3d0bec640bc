-- Incremental = from scratch. After each change at the source: the facts and dimensions of a client that has been loaded all along are those
-- of one that is loaded for the first time; the cube that build_cube() brought up to date is the cube built in full, for all 35 combinations, and
-- that of engagement(). Here: units, members and configuration; load_incremental: facts. Fault guarded against: a change that reaches the warehouse but not the cube, or neither.
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
update lms.lectures set subject_id = 1010, updated_at = '2025-03-20 17:00' where id = 5001;
select * from verify('a lecture moves to another space');
update lms.subjects set space_id = 101, updated_at = '2025-03-20 17:30' where id = 1000;
select * from verify('a subject moves to another space');
insert into lms.courses values (11, 'Física', 1, '2025-03-20 18:00');
update lms.spaces set course_id = 11, updated_at = '2025-03-20 18:00' where id = 101;
select * from verify('a space moves to another course');
insert into lms.user_space_associations values (31, 8, 100, 'member', '2025-03-20 18:30', '2025-03-20 18:30'), (32, 3, 101, 'member', '2025-03-20 18:30', '2025-03-20 18:30');
select * from verify('new enrolments: a visitor with history, a student of two spaces');
update lms.user_space_associations set deleted_at = '2025-03-20 19:00', updated_at = '2025-03-20 19:00' where id = 3;
select * from verify('an enrolment ends');
update lms.user_space_associations set role = 'teacher', updated_at = '2025-03-20 19:30' where id = 1;
select * from verify('a student becomes a teacher');
update lms.user_environment_associations set role = 'member', updated_at = '2025-03-20 20:00' where id = 1;
select * from verify('a tutor of the environment becomes a student');
update lms.users set removed = not removed, updated_at = '2025-03-20 20:30' where id in (6, 9);
select * from verify('one account is removed, another comes back');
update lms.spaces set removed = not removed, updated_at = '2025-03-20 21:00' where id in (100, 102);
select * from verify('a space is removed, another comes back');
update lms.assignments set due_at = '2025-03-07 12:00', max_grade = 30, updated_at = '2025-03-20 21:30' where id = 900;
update lms.spaces set removed = false, updated_at = '2025-03-20 21:30' where id = 100;
select * from verify('an assignment is due earlier and worth more');
update lms.lectures set deleted_at = '2025-03-20 22:00', updated_at = '2025-03-20 22:00' where id in (5000, 5010);
select * from verify('lectures are deleted');
update lms.assignments set deleted_at = '2025-03-20 22:30', updated_at = '2025-03-20 22:30' where id = 900;
select * from verify('an assignment is deleted');
delete from empatia.excluded_role where role = 'teacher';
select * from verify('configuration: teachers count as students');
update empatia.setting set value = '1' where key = 'first_day_of_week';
select * from verify('configuration: weeks begin on Monday', every_combination => true);
