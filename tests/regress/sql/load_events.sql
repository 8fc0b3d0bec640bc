-- Flat events, snapshots, several sources of a client. Expected numbers are counted by hand from the rows below. Faults guarded against: the
-- same event twice because another session loaded it (its key depended on the session's time zone); a name that gets two ids; a source that
-- deletes what another source of the client brought.
\set SHOW_CONTEXT never
create extension empatia;
select sum(created) > 100 as created from empatia.create_warehouse();
select message from empatia.add_client('uni', 'Universidade', 'America/Recife');
create schema log;
create table log.events (who text, happened_at timestamptz, kind text, course text, subject text, lecture text, amount text);
set timezone = 'UTC';
insert into log.events values
    ('ana', '2025-03-03 12:00+00', 'access', 'C1', 'S1', 'L1', '3'),
    ('ana', '2025-03-04 02:00+00', 'access', 'C1', 'S1', 'L1', null),   -- still 3 March in Recife; no amount = 1
    ('ana', '2025-03-04 12:00+00', 'post', 'C1', 'S1', 'L2', ''),
    ('bia', '2025-03-04 12:00+00', 'post_reply', 'C1', 'S2', null, '1.0'), -- on the subject
    ('bia', '2025-03-05 12:00+00', 'help_request', 'C1', null, null, '1'), -- on the space, which is the course
    ('7', '2025-03-05 12:00+00', 'help_request_reply', 'C2', null, 'L1', '1'), -- another course's L1
    -- damaged
    ('ana', '2025-03-05 12:00+00', 'click', 'C1', null, null, '1'), ('ana', null, 'access', 'C1', null, null, '1'), (null, '2025-03-05 12:00+00', 'access', 'C1', null, null, '1'),
    ('ana', '2025-03-05 12:00+00', 'access', 'C1', null, null, '-1'), ('ana', '2025-03-05 12:00+00', 'access', 'C1', null, null, 'muitos'),
    ('ana', '2025-03-03 12:00+00', 'access', 'C1', 'S1', 'L1', '3'); -- the first row again
select cardinality(streams), skipped from empatia.add_source('uni', 'events', 'log', '{"environment": "Campus"}');
select stream, read, inserted, rejected from empatia.load('uni') where read > 0;
select source_table, reason, "row" ->> 'kind' as kind from dw.reject order by 2;
select user_id = empatia.source_id(s.name) as id, s.name, k.code, amount, day, v.name, c.name, p.name, b.name, l.name
from dw.fact_interaction f join dw.interaction_type k using (interaction_type_id) join dw.student s using (client_id, user_id)
left join dw.environment v using (client_id, environment_id) left join dw.course c using (client_id, course_id) left join dw.space p using (client_id, space_id)
left join dw.subject b using (client_id, subject_id) left join dw.lecture l using (client_id, lecture_id) order by s.name collate "C", f.occurred_at, k.code;
-- from another session: nothing new
set timezone = 'Asia/Tokyo';
set datestyle = 'SQL, DMY';
select sum(inserted) as inserted, sum(updated) as updated, sum(deleted) as deleted from empatia.load('uni');
reset datestyle;
-- who has an event in a space is enrolled in it: ana and bia in C1, 7 in C2
select s.name as space, u.name as who, e.accesses, e.posts, e.post_replies, e.help_requests, e.help_request_replies, e.active_days
from empatia.engagement('uni', 'SPA', 'YEAR') e join dw.space s using (space_id) join dw.student u using (user_id) order by s.name, u.name collate "C";

-- enrolments and submissions arrive: caio, who never shows up, is a student too, 7 is a teacher; who was enrolled by an event stays
create table log.enrolments (who text, course text, role text, name text);
insert into log.enrolments values ('bia', 'C1', null, 'Beatriz'), ('caio', 'C1', null, 'Caio'), ('7', 'C2', 'teacher', null);
create table log.submissions (who text, course text, assignment text, due_at text, submitted_at text, grade text, max_grade numeric);
insert into log.submissions values ('bia', 'C1', 'Prova', '2025-03-10T02:59:59Z', '2025-03-10T03:00:00Z', '7.5', 10), ('caio', 'C1', 'Prova', '2025-03-10T02:59:59Z', null, null, 10),
    ('ana', 'C1', 'Prova', '2025-03-10T02:59:59Z', '2024-02-30', '7', 10), ('bia', 'C1', null, null, '2025-03-10T03:00:00Z', '7', 10);
select stream, inserted, updated, deleted, rejected from empatia.load('uni') where inserted + updated + deleted > 0 or stream = 'submissions';
select source_table, source_key, reason from dw.reject where stream = 'submissions' order by 2;
select u.name, e.assigned_exercises, e.submitted_exercises, e.late_exercises, e.grade_avg from empatia.engagement('uni', 'CRS', 'YEAR') e join dw.student u using (user_id) join dw.course c using (course_id) where c.name = 'C1' order by 1;

-- a second source of the client shares its people; a snapshot of one does not delete what the other brought
create schema forum;
create table forum.events (event_id int, who text, happened_at timestamp, kind text, course text);
insert into forum.events values (1, 'ana', '2025-03-06 12:00', 'post', 'C1'), (2, 'bia', '2025-03-06 12:00', 'post', 'C1');
select message from empatia.add_source('uni', 'events', 'forum', '{"environment": "Campus", "snapshot": true, "time_zone": "America/Recife"}');
select source_id, stream, inserted, updated, deleted from empatia.load('uni') where inserted + updated + deleted > 0;
select occurred_at at time zone 'UTC' as utc, day from dw.fact_interaction where source_id = 2 order by interaction_id;
delete from forum.events where event_id = 1;
update forum.events set happened_at = '2025-03-07 12:00';
-- names and roles that the first source knows stay: the forum only adds people
select source_id, stream, inserted, updated, deleted from empatia.load('uni') where inserted + updated + deleted > 0;
select source_id, count(*) from dw.fact_interaction group by 1 order by 1;
select name, removed from dw.student order by name collate "C";
select role from dw.enrolment where user_id = 7;
-- a snapshot of the only source: who is in one of its tables, and not in the other, is still there
select message from empatia.add_client('so', null, 'America/Recife');
select message from empatia.add_source('so', 'events', 'log', '{"snapshot": true}');
select sum(inserted) > 0 as loaded from empatia.load('so');
select sum(inserted) as inserted, sum(updated) as updated, sum(deleted) as deleted from empatia.load('so');
select s.name, s.removed, count(e.enrolment_id) as enrolments from dw.student s left join dw.enrolment e using (client_id, user_id) where client_id = 2 group by 1, 2 order by s.name collate "C";
