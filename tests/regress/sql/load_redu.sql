-- The numbers of a small OpenRedu, counted by hand from the rows of fixture/small_redu.sql. Faults guarded against: an Answer's
-- kind or place taken from itself and not from its thread's root; a day taken in UTC; a resubmission that counts; teachers, tutors,
-- visitors, removed people or spaces that count; a fact counted in an environment through another space.
\set VERBOSITY terse
\getenv srcdir PG_ABS_SRCDIR
\set fixture :srcdir '/fixture/small_redu.sql'
\set ECHO none
\i :fixture
\set ECHO all
create extension empatia;
select schema_name, created > 0 as created from empatia.create_warehouse();
select message from empatia.add_client('escola', 'Escola', 'America/Recife');
select cardinality(streams) as streams, skipped from empatia.add_source('escola', 'redu', 'lms');
-- 18 statuses are no Log, one of them is deleted; asked: 7 users of space 100 (Davi, Eva and Fabi are enrolled too) for exercise 7001,
-- 3 of space 101 for 7010, and the visitor: 11
select stream, read, inserted, updated, deleted, rejected, message from empatia.load('escola');
select interaction_id, user_id, k.code, f.day, environment_id, course_id, space_id, subject_id, lecture_id
from dw.fact_interaction f join dw.interaction_type k using (interaction_type_id) order by 1;

create table want (level text, grain text, unit bigint, who bigint, first_day date, posts int, replies int, helps int, help_replies int, days int, assigned int, submitted int, late int, grade float8);
insert into want values
    ('SPA', 'WEEK', 100, 1, '2025-03-02', 1, 0, 1, 0, 3, 2, 1, 0, 0.8), -- days 3, 6 and 8
    ('SPA', 'WEEK', 100, 1, '2025-03-09', 0, 0, 0, 1, 2, 2, 1, 0, 0.75), -- days 9 and 10
    ('SPA', 'WEEK', 100, 1, '2025-03-16', 0, 0, 0, 0, 0, 2, 0, 0, null),
    ('SPA', 'WEEK', 100, 2, '2025-03-02', 0, 1, 0, 0, 1, 2, 0, 0, null),
    ('SPA', 'WEEK', 100, 2, '2025-03-09', 2, 0, 0, 0, 3, 2, 2, 1, 0.55), -- 0.6 and 0.5
    ('SPA', 'WEEK', 100, 2, '2025-03-16', 1, 0, 0, 0, 1, 2, 0, 0, null),
    ('SPA', 'WEEK', 100, 3, '2025-03-02', 0, 0, 0, 0, 0, 1, 0, 0, null),
    ('SPA', 'WEEK', 100, 3, '2025-03-09', 0, 0, 0, 0, 0, 1, 0, 0, null),
    ('SPA', 'WEEK', 100, 3, '2025-03-16', 0, 0, 0, 0, 0, 1, 0, 0, null),
    ('SPA', 'WEEK', 100, 10, '2025-03-02', 0, 0, 0, 0, 0, 2, 0, 0, null),
    ('SPA', 'WEEK', 100, 10, '2025-03-09', 0, 0, 0, 1, 1, 2, 0, 0, null),
    ('SPA', 'WEEK', 100, 10, '2025-03-16', 0, 0, 0, 0, 0, 2, 0, 0, null),
    ('SPA', 'WEEK', 101, 2, '2025-03-02', 0, 0, 0, 0, 0, 1, 0, 0, null),
    ('SPA', 'WEEK', 101, 2, '2025-03-09', 0, 0, 0, 1, 2, 1, 1, 0, 1),
    ('SPA', 'WEEK', 101, 2, '2025-03-16', 0, 0, 0, 0, 0, 1, 0, 0, null),
    ('SPA', 'WEEK', 101, 9, '2025-03-02', 0, 0, 0, 0, 0, 1, 0, 0, null),
    ('SPA', 'WEEK', 101, 9, '2025-03-09', 0, 0, 1, 0, 1, 1, 0, 0, null),
    ('SPA', 'WEEK', 101, 9, '2025-03-16', 0, 0, 0, 0, 0, 1, 0, 0, null),
    ('ENV', 'MONTH', 1, 1, '2025-03-01', 1, 0, 1, 1, 5, 2, 2, 0, 0.775),
    ('ENV', 'MONTH', 1, 2, '2025-03-01', 3, 1, 0, 1, 7, 3, 3, 1, 0.7),
    ('ENV', 'MONTH', 1, 3, '2025-03-01', 0, 0, 0, 0, 0, 1, 0, 0, null),
    ('ENV', 'MONTH', 1, 9, '2025-03-01', 0, 0, 1, 0, 1, 1, 0, 0, null),
    ('ENV', 'MONTH', 1, 10, '2025-03-01', 0, 0, 0, 1, 1, 2, 0, 0, null), -- his work in space 101, where he teaches, is not here
    ('LEC', 'MONTH', 5000, 1, '2025-03-01', 1, 0, 1, 1, 3, 0, 0, 0, null),
    ('LEC', 'MONTH', 5000, 2, '2025-03-01', 2, 1, 0, 0, 3, 0, 0, 0, null), -- the post on the space is not here
    ('LEC', 'MONTH', 5000, 3, '2025-03-01', 0, 0, 0, 0, 0, 0, 0, 0, null),
    ('LEC', 'MONTH', 5000, 10, '2025-03-01', 0, 0, 0, 1, 1, 0, 0, 0, null),
    ('LEC', 'MONTH', 5001, 1, '2025-03-01', 0, 0, 0, 0, 1, 1, 1, 0, 0.8),
    ('LEC', 'MONTH', 5001, 2, '2025-03-01', 0, 0, 0, 0, 1, 1, 1, 0, 0.6),
    ('LEC', 'MONTH', 5001, 3, '2025-03-01', 0, 0, 0, 0, 0, 1, 0, 0, null),
    ('LEC', 'MONTH', 5001, 10, '2025-03-01', 0, 0, 0, 0, 0, 1, 0, 0, null),
    ('LEC', 'MONTH', 5010, 2, '2025-03-01', 0, 0, 0, 0, 1, 1, 1, 0, 1),
    ('LEC', 'MONTH', 5010, 9, '2025-03-01', 0, 0, 0, 0, 0, 1, 0, 0, null),
    ('SUB', 'FORTNIGHT', 1000, 1, '2025-03-01', 1, 0, 1, 1, 4, 1, 1, 0, 0.8), -- the assignment of the space is not here
    ('SUB', 'FORTNIGHT', 1000, 1, '2025-03-16', 0, 0, 0, 0, 0, 1, 0, 0, null),
    ('SUB', 'FORTNIGHT', 1000, 2, '2025-03-01', 1, 1, 0, 0, 3, 1, 1, 0, 0.6),
    ('SUB', 'FORTNIGHT', 1000, 2, '2025-03-16', 1, 0, 0, 0, 1, 1, 0, 0, null),
    ('SUB', 'FORTNIGHT', 1000, 3, '2025-03-01', 0, 0, 0, 0, 0, 1, 0, 0, null),
    ('SUB', 'FORTNIGHT', 1000, 3, '2025-03-16', 0, 0, 0, 0, 0, 1, 0, 0, null),
    ('SUB', 'FORTNIGHT', 1000, 10, '2025-03-01', 0, 0, 0, 1, 1, 1, 0, 0, null),
    ('SUB', 'FORTNIGHT', 1000, 10, '2025-03-16', 0, 0, 0, 0, 0, 1, 0, 0, null),
    ('SUB', 'FORTNIGHT', 1010, 2, '2025-03-01', 0, 0, 0, 0, 1, 1, 1, 0, 1),
    ('SUB', 'FORTNIGHT', 1010, 2, '2025-03-16', 0, 0, 0, 0, 0, 1, 0, 0, null),
    ('SUB', 'FORTNIGHT', 1010, 9, '2025-03-01', 0, 0, 0, 0, 0, 1, 0, 0, null),
    ('SUB', 'FORTNIGHT', 1010, 9, '2025-03-16', 0, 0, 0, 0, 0, 1, 0, 0, null);
create function found() returns setof want language sql as $$
    select c.level, c.grain, coalesce(e.lecture_id, e.subject_id, e.space_id, e.course_id, e.environment_id), e.user_id, e.period_start, e.posts::int, e.post_replies::int, e.help_requests::int,
           e.help_request_replies::int, e.active_days::int, e.assigned_exercises::int, e.submitted_exercises::int, e.late_exercises::int, round(e.grade_avg::numeric, 12)::float8
    from (select distinct level, grain from want) c, empatia.engagement('escola', c.level, c.grain, '2025-03-02', '2025-03-22') e $$;
-- no difference in either direction
(table want except all select * from found()) union all (select * from found() except all table want);
-- conclusion: submitted / assigned, null where nothing was assigned
select user_id, lecture_id, conclusion_percent from empatia.engagement('escola', 'LEC', 'MONTH', '2025-03-02', '2025-03-22') where user_id in (2, 3) order by 1, 2;
-- all users of space 100: grade (0.8 + 0.75 + 0.6 + 0.5) / 4, conclusion 4 / 7
select posts, post_replies, help_requests, help_request_replies, active_days, assigned_exercises, submitted_exercises, late_exercises, round(grade_avg::numeric, 6) as grade, round(conclusion_percent::numeric, 6) as conclusion
from empatia.engagement('escola', 'SPA', 'MONTH', '2025-03-02', '2025-03-22', by_user => false, space_id => 100);

-- the cube that is built has the same numbers, and tells what it left out: the wall's two (and no others) hang on no space; statuses 9, 10,
-- 11, 14 and 17 and the assignments of Davi, Eva and Fabi, of the visitor and of Joca the teacher are not a student's
select level, grain, dense_rows, stored_rows, left_out from empatia.build_cube('SPA', 'WEEK', '2025-03-02', '2025-03-22');
select sum(posts_amount) as posts, sum(post_replies_amount) as replies, sum(help_requests_amount) as helps, sum(help_request_replies_amount) as help_replies,
       sum(submitted_exercises) as submitted, count(*) as rows from analytics.cubo_engajamento;

-- basis due: exercise 7001 has no due date and was assigned on 2 March, the assignment is due on 9 March in Recife
update empatia.setting set value = 'due' where key = 'assignment_basis';
select user_id, period_start, assigned_exercises, submitted_exercises, late_exercises, grade_avg from empatia.engagement('escola', 'SPA', 'WEEK', '2025-03-02', '2025-03-22', space_id => 100)
where assigned_exercises > 0 order by 1, 2;
