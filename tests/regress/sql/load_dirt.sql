-- What bad input gets: each bad row is in dw.reject with its reason and the whole row, the rest loads, and the row is tried again until
-- its parent is there. Faults guarded against: a row lost without a word; one bad row that takes others, or the whole load, with it;
-- MySQL's zero date taken for a deletion; a row of the year 9999 that hides everything that comes after it.
\set SHOW_CONTEXT never
\getenv srcdir PG_ABS_SRCDIR
\set fixture :srcdir '/fixture/small_redu.sql'
\set ECHO none
\i :fixture
\set ECHO all
create extension empatia;
select sum(created) > 100 as created from empatia.create_warehouse();
select client from empatia.add_client('escola', 'Escola', 'America/Recife');
-- as loaders without types leave it: text
alter table lms.statuses alter id type text, alter user_id type text, alter statusable_id type text, alter in_response_to_id type text,
    alter created_at type text using to_char(created_at, 'YYYY-MM-DD HH24:MI:SS'), alter updated_at type text using to_char(updated_at, 'YYYY-MM-DD HH24:MI:SS'),
    alter deleted_at type text using to_char(deleted_at, 'YYYY-MM-DD HH24:MI:SS');
alter table lms.results alter user_id type text, alter grade type text, alter created_at type text using to_char(created_at, 'YYYY-MM-DD HH24:MI:SS');
alter table lms.user_assignments alter grade type text;
insert into lms.statuses (id, type, user_id, statusable_type, statusable_id, in_response_to_id, created_at, updated_at, deleted_at) values
    ('201', 'Activity', null, 'Lecture', '5000', null, '2025-03-05 12:00:00', '2025-03-05 12:00:00', null),
    ('202', 'Activity', '77', 'Lecture', '5000', null, '2025-03-05 12:00:00', '2025-03-05 12:00:00', null),
    ('203', 'Activity', '1', 'Lecture', '5999', null, '2025-03-05 12:00:00', '2025-03-05 12:00:00', null),
    ('204', 'Answer', '1', 'Lecture', '5000', '299', '2025-03-05 12:00:00', '2025-03-05 12:00:00', null),
    ('205', 'Answer', '1', 'Lecture', '5000', null, '2025-03-05 12:00:00', '2025-03-05 12:00:00', null),
    ('206', 'Answer', '1', 'Lecture', '5000', '207', '2025-03-05 12:00:00', '2025-03-05 12:00:00', null), -- answers each other
    ('207', 'Answer', '1', 'Lecture', '5000', '206', '2025-03-05 12:00:00', '2025-03-05 12:00:00', null),
    ('208', 'Poke', '1', 'Lecture', '5000', null, '2025-03-05 12:00:00', '2025-03-05 12:00:00', null),
    ('209', 'Activity', '1', 'Planet', '3', null, '2025-03-05 12:00:00', '2025-03-05 12:00:00', null),
    ('210', 'Activity', '1', 'Lecture', '5000', null, '0000-00-00 00:00:00', '2025-03-05 12:00:00', null),
    ('211', 'Activity', '1', 'Lecture', '5000', null, '2024-02-30', '2025-03-05 12:00:00', null),
    ('212', 'Activity', '1', 'Lecture', '5000', null, '', '2025-03-05 12:00:00', null),
    ('213', 'Activity', 'abc', 'Lecture', '5000', null, '2025-03-05 12:00:00', '2025-03-05 12:00:00', null),
    ('214', 'Activity', '1', 'Lecture', 'x', null, '2025-03-05 12:00:00', '2025-03-05 12:00:00', null),
    (null, 'Activity', '1', 'Lecture', '5000', null, '2025-03-05 12:00:00', '2025-03-05 12:00:00', null),
    ('', 'Activity', '1', 'Lecture', '5000', null, '2025-03-05 12:00:01', '2025-03-05 12:00:00', null),
    ('abc', 'Activity', '1', 'Lecture', '5000', null, '2025-03-05 12:00:00', '2025-03-05 12:00:00', null),
    ('215', 'Activity', '1', 'Lecture', '5000', null, '2025-03-05 12:00:00', '2025-03-05 12:00:00', null), -- older version
    ('215', 'Help', '1', 'Lecture', '5000', null, '2025-03-05 12:00:00', '2025-03-05 13:00:00', null),     -- loaded
    ('216', 'Activity', '1', 'Lecture', '5000', null, '9999-12-31 23:59:59', '9999-12-31 23:59:59', null),
    ('217', 'Activity', '1', 'Lecture', '5000', null, '1900-01-01 00:00:00', '2025-03-05 12:00:00', null),
    ('218.0', 'Activity', ' 3 ', 'Lecture', '5000', '', '2025-03-05T12:00:00Z', '2025-03-05 12:00:00', '0000-00-00 00:00:00'); -- sound
insert into lms.results values
    (21, '1', 7999, 'finalized', '7', '2025-03-05 12:00', '2025-03-05 12:00'), (22, '1', null, 'finalized', '7', '2025-03-05 12:00', '2025-03-05 12:00'),
    (23, '77', 7001, 'finalized', '7', '2025-03-05 12:00', '2025-03-05 12:00'), (24, null, 7001, 'finalized', '7', '2025-03-05 12:00', '2025-03-05 12:00'),
    -- Caio's and Joca's only, and Iara's first: Iara's second is sound, so it is the one that counts
    (25, '3', 7001, 'finalized', '10.5', '2025-03-05 12:00', '2025-03-05 12:00'), (26, '10', 7001, 'finalized', 'dez', '2025-03-05 12:00', '2025-03-05 12:00'),
    (27, '9', 7010, 'finalized', '9', '0000-00-00 00:00:00', '2025-03-05 12:00'), (28, '9', 7010, 'finalized', '9', '2025-03-06 12:00', '2025-03-06 12:00'),
    (28, '9', 7010, 'finalized', '9', '2025-03-06 12:00', '2025-03-06 12:00'), (null, '3', 7001, 'finalized', '7', '2025-03-05 12:00', '2025-03-05 12:00');
insert into lms.assignments values (901, 'Sem aula', null, 5999, null, 20, '2025-03-01'), (902, 'Prova', 100, null, null, 20, '2025-03-01');
insert into lms.user_assignments values
    (21, 1, 999, 'graded', '2025-03-09 20:00', '7', '2025-03-02', '2025-03-09 20:00'), (22, 1, 901, 'graded', '2025-03-09 20:00', '7', '2025-03-02', '2025-03-09 20:00'),
    (23, 1, 902, 'graded', '2025-03-09 20:00', '20.5', '2025-03-02', '2025-03-09 20:00'), (24, 2, 902, 'graded', '2025-03-09 20:00', '-1', '2025-03-02', '2025-03-09 20:00'),
    (25, 3, 902, 'graded', '2025-03-09 20:00', 'NaN', '2025-03-02', '2025-03-09 20:00'), (26, 77, 902, 'graded', '2025-03-09 20:00', '7', '2025-03-02', '2025-03-09 20:00'),
    (27, 10, 902, 'pending', null, null, '2025-03-02', '2025-03-03'), (28, 10, 902, 'graded', '2025-03-09 20:00', '20', '2025-03-02', '2025-03-09 20:00'); -- a pair twice: 28 is newer
insert into lms.user_space_associations values (21, 77, 100, 'member', '2025-03-01', '2025-03-01'), (22, 3, 199, 'member', '2025-03-01', '2025-03-01'), (null, 3, 101, 'member', '2025-03-01', '2025-03-01');
insert into lms.lectures values (5099, 'Órfã', 1999, 'Page', 9, '2025-03-02', '2025-03-02');
insert into lms.users values (null, 'Sem', 'Id', false, '2025-03-01'), (3, 'Caio', 'Duplicado', false, '2025-02-01');
select message from empatia.add_source('escola', 'redu', 'lms');
select stream, read, inserted, updated, deleted, rejected from empatia.load('escola') where rejected > 0 or stream in ('statuses', 'results', 'user_assignments');
select source_table, source_key, reason from dw.reject order by source_table, source_key nulls last, reason;
-- the whole row
select source_table, "row" from dw.reject where source_key in ('213', 'result 26', '23') order by 1;
-- nothing is lost: what a stream read was loaded, rejected or deleted at the source (status 13)
select (select count(*) from lms.statuses where type not like '%Log' or type is null) as rows, (select count(*) from dw.fact_interaction) as loaded,
       (select count(*) from dw.reject where stream = 'statuses') as rejected;
-- the sound rows beside the damaged ones
select interaction_id, user_id, k.code, day from dw.fact_interaction f join dw.interaction_type k using (interaction_type_id) where interaction_id > 200 order by 1;
select assignment_id, user_id, submitted_day, grade from dw.fact_assignment where kind = 'exercise' and user_id in (3, 9, 10) order by 1, 2;
select assignment_id, user_id, status, grade from dw.fact_assignment where assignment_id > 900 and kind = 'assignment' order by 1, 2;
select name from dw.student where user_id = 3;

-- a second load finds the same, from whatever session: the same rejects (same ids), no row twice
select max(reject_id) as last, count(*) as rejects from dw.reject \gset
set timezone = 'Asia/Tokyo';
set datestyle = 'SQL, DMY';
select sum(inserted) as inserted, sum(updated) as updated, sum(deleted) as deleted from empatia.load('escola');
select count(*) = :rejects and max(reject_id) = :last as same, bool_and(last_seen_at > first_seen_at) filter (where source_key is not null and reason not like 'duplicate%') as tried_again from dw.reject;

-- parents arrive (with a date before the cursor): their children leave the rejects and load
insert into lms.users values (77, 'Zeca', 'Tardio', false, '2025-03-02');
insert into lms.subjects values (1999, 'Tardio', 100, '2025-03-02');
insert into lms.lectures values (5999, 'Tardia', 1000, 'Exercise', 7999, '2025-03-02', '2025-03-02');
insert into lms.statuses (id, type, user_id, statusable_type, statusable_id, created_at, updated_at) values ('299', 'Help', '2', 'Space', '100', '2025-03-05 10:00:00', '2025-03-05 10:00:00');
update lms.users set updated_at = '2025-03-20' where id = 77;
update lms.subjects set updated_at = '2025-03-20' where id = 1999;
update lms.lectures set updated_at = '2025-03-20' where id = 5999;
update lms.statuses set updated_at = '2025-03-20 00:00:00' where id = '299';
update lms.statuses set user_id = '1', updated_at = '2025-03-20 00:00:00' where id = '213';
select stream, inserted, rejected from empatia.load('escola') where inserted > 0 order by 1;
select source_table, source_key, reason from dw.reject where source_key in ('202', '203', '204', '213', '5099', '21', '22', '26', 'result 21', 'result 23') order by 1, 2;
select interaction_id, user_id, k.code, lecture_id, space_id from dw.fact_interaction f join dw.interaction_type k using (interaction_type_id) where interaction_id in (202, 203, 204, 213) order by 1;

-- a fact whose new version cannot be loaded is no longer what the source says: it leaves the warehouse, and comes back when it is mended
update lms.statuses set user_id = '88', updated_at = '2025-03-21 00:00:00' where id = '1';
select deleted, rejected > 0 as rejected from empatia.load('escola') where stream = 'statuses';
select count(*) from dw.fact_interaction where interaction_id = 1;
update lms.statuses set user_id = '1', updated_at = '2025-03-21 00:01:00' where id = '1';
select inserted from empatia.load('escola') where stream = 'statuses';
select count(*) from dw.fact_interaction where interaction_id = 1;
