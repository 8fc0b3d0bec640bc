-- The landing tables: names and columns of the source, MySQL types as landing tools map them, no constraint of any kind.

create table users (id bigint, login text, email text, first_name text, last_name text, role text,
    removed boolean default false, birthday timestamp, gender text, created_at timestamp, updated_at timestamp);
create table environments (id bigint, name text, path text, initials text, user_id bigint, published boolean,
    created_at timestamp, updated_at timestamp, destroy_soon boolean, blocked boolean);
create table courses (id bigint, name text, path text, environment_id bigint, workload bigint, user_id bigint,
    published boolean, created_at timestamp, updated_at timestamp, destroy_soon boolean, blocked boolean);
create table spaces (id bigint, name text, description text, user_id bigint, course_id bigint,
    removed boolean default false, published boolean, members_count bigint, created_at timestamp, updated_at timestamp);
create table subjects (id bigint, name text, description text, user_id bigint, space_id bigint, visible boolean,
    finalized boolean, created_at timestamp, updated_at timestamp);
create table lectures (id bigint, name text, user_id bigint, subject_id bigint, lectureable_type text,
    lectureable_id bigint, position bigint, view_count bigint, created_at timestamp, updated_at timestamp,
    deleted_at timestamp);
create table exercises (id bigint, maximum_grade numeric default 10, created_at timestamp, updated_at timestamp);
create table results (id bigint, user_id bigint, exercise_id bigint, started_at timestamp, finalized_at timestamp,
    state text, grade numeric(4,2), duration bigint, created_at timestamp, updated_at timestamp, deleted_at timestamp);
create table statuses (id bigint, text text, in_response_to_id bigint, in_response_to_type text, created_at timestamp,
    updated_at timestamp, user_id bigint, statusable_id bigint, statusable_type text, logeable_type text,
    logeable_id bigint, action text, type text, compound boolean, compound_log_id bigint, deleted_at timestamp);
create table user_space_associations (id bigint, user_id bigint, space_id bigint, role text, created_at timestamp,
    updated_at timestamp, deleted_at timestamp);
create table user_environment_associations (id bigint, user_id bigint, environment_id bigint, role text,
    created_at timestamp, updated_at timestamp);
create table friendships (id bigint, user_id bigint, friend_id bigint, requested_at timestamp, accepted_at timestamp,
    status text);

-- The newer assignment module.
create table grade_groups (id bigint, space_id bigint, name text, weight numeric, created_at timestamp,
    updated_at timestamp);
create table gradebooks (id bigint, space_id bigint, user_id bigint, grade_group_id bigint, grade numeric,
    created_at timestamp, updated_at timestamp);
create table assignments (id bigint, title text, description text, lecture_id bigint, space_id bigint,
    grade_group_id bigint, opens_at timestamp, due_at timestamp, max_grade numeric, weight numeric,
    created_at timestamp, updated_at timestamp);
create table user_assignments (id bigint, user_id bigint, assignment_id bigint, status text, submitted_at timestamp,
    grade numeric, created_at timestamp, updated_at timestamp, deleted_at timestamp);

create table _behaviour (user_id bigint, type text);
comment on table _behaviour is 'type each student was generated with; for judging results only, no adapter reads it';
