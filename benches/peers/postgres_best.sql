-- Postgres's best hand-written SQL for five of the LEC combinations of OULAD's cube: the day once (active days need it), then each grain from the
-- days; every statement a parallel CREATE TABLE AS into an unlogged table without an index. No assignment of OULAD hangs on a lecture.
-- {client}: the client's id. One statement per paragraph.

SET max_parallel_workers_per_gather = 4;

SET work_mem = '1GB';

SET hash_mem_multiplier = 2;

SET jit = off;

DROP TABLE IF EXISTS best_day, best_week, best_fortnight, best_month, best_quarter, best_semester;

CREATE UNLOGGED TABLE best_day AS
SELECT f.user_id, f.lecture_id, f.day,
       sum(CASE WHEN f.interaction_type_id = 1 THEN f.amount ELSE 0 END) AS posts, sum(CASE WHEN f.interaction_type_id = 2 THEN f.amount ELSE 0 END) AS post_replies,
       sum(CASE WHEN f.interaction_type_id = 3 THEN f.amount ELSE 0 END) AS help_requests, sum(CASE WHEN f.interaction_type_id = 4 THEN f.amount ELSE 0 END) AS help_request_replies,
       sum(CASE WHEN f.interaction_type_id = 5 THEN f.amount ELSE 0 END) AS accesses
FROM dw.fact_interaction_{client} f JOIN analytics.cube_member m ON m.client_id = {client} AND m.level = 'SPA' AND m.unit_id = f.space_id AND m.user_id = f.user_id
WHERE f.lecture_id IS NOT NULL GROUP BY 1, 2, 3;

CREATE UNLOGGED TABLE best_week AS
SELECT user_id, lecture_id, day - extract(dow FROM day)::integer AS period_start, sum(posts) AS posts, sum(post_replies) AS post_replies, sum(help_requests) AS help_requests,
       sum(help_request_replies) AS help_request_replies, sum(accesses) AS accesses, count(*) AS active_days FROM best_day GROUP BY 1, 2, 3;

CREATE UNLOGGED TABLE best_fortnight AS
SELECT user_id, lecture_id, date_trunc('month', day::timestamp)::date + CASE WHEN extract(day FROM day) > 15 THEN 15 ELSE 0 END AS period_start, sum(posts) AS posts,
       sum(post_replies) AS post_replies, sum(help_requests) AS help_requests, sum(help_request_replies) AS help_request_replies, sum(accesses) AS accesses, count(*) AS active_days
FROM best_day GROUP BY 1, 2, 3;

CREATE UNLOGGED TABLE best_month AS
SELECT user_id, lecture_id, date_trunc('month', day::timestamp)::date AS period_start, sum(posts) AS posts, sum(post_replies) AS post_replies, sum(help_requests) AS help_requests,
       sum(help_request_replies) AS help_request_replies, sum(accesses) AS accesses, count(*) AS active_days FROM best_day GROUP BY 1, 2, 3;

-- from here on the months are fewer rows than the days
CREATE UNLOGGED TABLE best_quarter AS
SELECT user_id, lecture_id, date_trunc('quarter', period_start::timestamp)::date AS period_start, sum(posts) AS posts, sum(post_replies) AS post_replies, sum(help_requests) AS help_requests,
       sum(help_request_replies) AS help_request_replies, sum(accesses) AS accesses, sum(active_days) AS active_days FROM best_month GROUP BY 1, 2, 3;

CREATE UNLOGGED TABLE best_semester AS
SELECT user_id, lecture_id, make_date(extract(year FROM period_start)::integer, CASE WHEN extract(month FROM period_start) <= 6 THEN 1 ELSE 7 END, 1) AS period_start, sum(posts) AS posts,
       sum(post_replies) AS post_replies, sum(help_requests) AS help_requests, sum(help_request_replies) AS help_request_replies, sum(accesses) AS accesses, sum(active_days) AS active_days
FROM best_quarter GROUP BY 1, 2, 3;
