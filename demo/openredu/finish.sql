-- The plain indexes a landing tool leaves, statistics, and a count of what there is.
create index on users (id);
create index on environments (id);
create index on courses (id);
create index on spaces (id);
create index on subjects (id);
create index on lectures (id);
create index on exercises (id);
create index on results (id);
create index on statuses (id);
create index on user_space_associations (id);
create index on user_environment_associations (id);
create index on friendships (id);
create index on grade_groups (id);
create index on gradebooks (id);
create index on assignments (id);
create index on user_assignments (id);
analyze users, environments, courses, spaces, subjects, lectures, exercises, results, statuses, user_space_associations,
    user_environment_associations, friendships, grade_groups, gradebooks, assignments, user_assignments, _behaviour;

select :'schema' as schema, (select count(*) from users) as users, (select count(*) from spaces) as spaces,
       (select count(*) from subjects) as subjects, (select count(*) from lectures) as lectures,
       (select count(*) from user_space_associations) as enrolments, (select count(*) from statuses) as statuses,
       (select count(*) from results) as results, (select count(*) from user_assignments) as user_assignments;
