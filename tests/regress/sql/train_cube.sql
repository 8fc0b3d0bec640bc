-- Features of the cube's rows and the training of a classifier on them, on a school of 60 students in two classes over eight weeks, made by
-- arithmetic. Faults guarded against: a feature that is not what its name says; one that looks ahead; rows that are trained on twice or
-- not at all; a target that looks past the range; labels of nobody; folds that share a student.
\set SHOW_CONTEXT never
create extension empatia;
set client_min_messages = warning;
select empatia.create_warehouse() is null as warehouse \g /dev/null
select empatia.add_client('a', 'Escola A') is null as client \g /dev/null
reset client_min_messages;
insert into dw.environment values (1, 1, 'Ambiente');
insert into dw.course values (1, 1, 1, 'Curso');
insert into dw.space select 1, s, 1, 'Turma ' || s from generate_series(1, 2) s;
insert into dw.student (client_id, user_id, name, attributes) select 1, s, 'Estudante ' || s, jsonb_build_object('region', case s % 3 when 0 then 'north' when 1 then 'south' end, 'age', 18 + s % 5) from generate_series(1, 60) s;
-- students 1 to 40 are in class 1, 21 to 60 in class 2
insert into dw.enrolment (client_id, enrolment_id, space_id, user_id, role)
    select 1, 100 * p + s, p, s, 'member' from generate_series(1, 2) p, generate_series(1, 60) s where case p when 1 then s <= 40 else s > 20 end;
-- one in five never shows up, others the more often the larger s % 5; one in four leaves for good
create temp table act as
    select e.space_id, e.user_id, w, 1 + (e.user_id * w + e.space_id) % 7 as accesses, (e.user_id + w) % 6 = 0 as posts
    from dw.enrolment e, generate_series(0, 7) w
    where (e.user_id * 7 + w * 3 + e.space_id) % 5 < e.user_id % 5 and not (e.user_id % 4 = 0 and w > e.user_id % 8);
insert into dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, environment_id, course_id, space_id)
    select 1, 1, row_number() over (order by a.space_id, a.user_id, a.w, t.code), a.user_id, t.interaction_type_id, case t.code when 'post' then 1 else a.accesses end,
           d + time '12:00', d, 1, 1, a.space_id
    from act a cross join lateral (select date '2025-03-02' + 7 * a.w + (a.user_id % 6)::int) v (d) join dw.interaction_type t on t.code = 'access' or t.code = 'post' and a.posts;
-- three assignments per class, due at the end of weeks 1, 3 and 5
insert into dw.assignment (client_id, source_id, kind, assignment_id, title, space_id) select 1, 1, 'assignment', 10 * p + a, 'Tarefa', p from generate_series(1, 2) p, generate_series(0, 2) a;
insert into dw.fact_assignment (client_id, source_id, kind, assignment_id, user_id, assigned_at, due_at, submitted_at, assigned_day, due_day, submitted_day, status, grade, max_grade, environment_id, course_id, space_id)
    select 1, 1, 'assignment', 10 * e.space_id + a, e.user_id, timestamptz '2025-03-02 UTC', due + time '23:00', handed_in + time '12:00', '2025-03-02', due, handed_in, 'submitted',
           case when handed_in is not null then (e.user_id * (a + 2)) % 11 end, 10, 1, 1, e.space_id
    from dw.enrolment e, generate_series(0, 2) a
    cross join lateral (select date '2025-03-15' + 14 * a) d (due)
    cross join lateral (select case when e.user_id % 5 > 1 and (e.user_id + a) % 4 > 0 then due - 3 + 4 * ((e.user_id + a) % 3 = 0)::int end) h (handed_in)
    where (e.user_id + a) % 7 > 0;
update empatia.setting set value = '2025-03-02' where key = 'range_start';
update empatia.setting set value = '2025-04-26' where key = 'range_end';
select level, grain, dense_rows, stored_rows, left_out from empatia.build_cube('SPA', 'WEEK');

-- every feature of every row, by SQL over the dense cube
create view dense as
    select e.*, e.posts + e.post_replies + e.help_requests + e.help_request_replies + e.accesses + e.submitted_exercises as activity,
           x.grade_sum, x.grade_count, row_number() over (partition by e.space_id, e.user_id order by e.period_start) as n
    from empatia.engagement('a', 'SPA', 'WEEK') e
    left join analytics.cube x on (x.level, x.grain, x.user_id, x.unit_id, x.period_start) = ('SPA', 'WEEK', e.user_id, e.space_id, e.period_start);
create view by_sql as
with windowed as (
    select d.*, sum(d.activity) over w as activity_sum, sum(d.grade_sum) over w as grades, sum(d.grade_count) over w as graded, count(*) over w as periods,
           count(*) filter (where d.activity > 0) over w as active, max(d.n) filter (where d.activity > 0) over w as last, regr_slope(d.activity, d.n) over w as slope,
           sum(d.posts) over w as posts_sum, sum(d.accesses) over w as accesses_sum, sum(d.active_days) over w as active_days_sum,
           sum(d.submitted_exercises) over w as submitted_sum, sum(d.late_exercises) over w as late_sum,
           lag(d.posts, 1) over h as posts_1, lag(d.posts, 4) over h as posts_4, lag(d.accesses, 1) over h as accesses_1, lag(d.accesses, 3) over h as accesses_3,
           lag(d.submitted_exercises, 2) over h as submitted_2, lag(d.late_exercises, 1) over h as late_1, lag(d.active_days, 4) over h as active_days_4
    from dense d
    window h as (partition by d.space_id, d.user_id order by d.n), w as (partition by d.space_id, d.user_id order by d.n rows between 4 preceding and current row))
select f.user_id, f.space_id as unit_id, f.period_start, v.feature, v.value
from (select x.*, min(x.n) filter (where x.activity > 0) over (partition by x.space_id) as began, count(*) over u as members,
             (rank() over (partition by x.space_id, x.n order by x.activity) - 1 + count(*) over (partition by x.space_id, x.n, x.activity) / 2.0) / count(*) over u as activity_rank,
             (rank() over (partition by x.space_id, x.n order by x.activity_sum) - 1 + count(*) over (partition by x.space_id, x.n, x.activity_sum) / 2.0) / count(*) over u as sum_rank,
             avg(x.activity) over u as mean_activity, avg((x.activity > 0)::int) over u as active_members
      from windowed x window u as (partition by x.space_id, x.n)) f
cross join lateral (values
    ('posts', f.posts::float8), ('post_replies', f.post_replies), ('help_requests', f.help_requests), ('help_request_replies', f.help_request_replies), ('accesses', f.accesses),
    ('active_days', f.active_days), ('assigned_exercises', f.assigned_exercises), ('submitted_exercises', f.submitted_exercises), ('late_exercises', f.late_exercises),
    ('posts_sum', f.posts_sum), ('accesses_sum', f.accesses_sum), ('active_days_sum', f.active_days_sum), ('submitted_exercises_sum', f.submitted_sum), ('late_exercises_sum', f.late_sum),
    ('posts_lag1', f.posts_1), ('posts_lag4', f.posts_4), ('accesses_lag1', f.accesses_1), ('accesses_lag3', f.accesses_3), ('submitted_exercises_lag2', f.submitted_2),
    ('late_exercises_lag1', f.late_1), ('active_days_lag4', f.active_days_4),
    ('conclusion', f.submitted_sum / nullif(f.assigned_exercises, 0)::float8), ('late_share', f.late_sum / nullif(f.submitted_sum, 0)::float8), ('grade_avg', f.grades / nullif(f.graded, 0)),
    ('active_share', f.active / f.periods::float8), ('periods_since_active', coalesce(f.n - f.last, 5)), ('activity_slope', f.slope), ('activity_rank', f.activity_rank), ('sum_rank', f.sum_rank),
    ('unit_size', f.members), ('unit_mean_activity', f.mean_activity), ('unit_active_share', f.active_members),
    ('unit_age', case when f.n >= f.began then f.n - f.began end)) v (feature, value);
create table native as select f.user_id, f.unit_id, f.period_start, v.key as feature, v.value from empatia._cube_features('analytics', 'SPA', 'WEEK', 1, '{"age": true}') f, jsonb_each(f.features) v;
select count(distinct feature) as features, count(*) / count(distinct feature) as rows, count(*) filter (where jsonb_typeof(value) = 'null') > 0 as some_missing from native;
select s.feature, count(*) as rows, count(s.value) as known, count(*) filter (where coalesce(abs(s.value - n.number::text::float8) > 1e-9, (s.value is null) <> (n.number is null))) as different
from by_sql s join (select n.*, nullif(n.value, 'null') as number from native n) n using (user_id, unit_id, period_start, feature) group by 1 order by 1;
-- names of the others
select string_agg(distinct feature, ' ' order by feature) from native where feature not in (select feature from by_sql);

-- what comes after a row changes nothing of it: everything from week 6 on is another
create table before as table native;
insert into dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, environment_id, course_id, space_id)
    select 1, 1, 100000 + row_number() over (), e.user_id, 1, 3 + e.user_id % 4, date '2025-04-14' + time '12:00', '2025-04-14', 1, 1, e.space_id from dw.enrolment e where e.user_id % 2 = 0;
delete from dw.fact_interaction where day >= '2025-04-13' and interaction_id < 100000 and user_id % 3 = 0;
update dw.fact_assignment set submitted_at = date '2025-04-15' + time '12:00', submitted_day = '2025-04-15', grade = 10 where submitted_day is null;
select count(*) > 0 as built from empatia.build_cube('SPA', 'WEEK', full_build => true);
create table after as select f.user_id, f.unit_id, f.period_start, v.key as feature, v.value from empatia._cube_features('analytics', 'SPA', 'WEEK', 1, '{"age": true}') f, jsonb_each(f.features) v;
select b.period_start, count(*) as values, count(*) filter (where a.value is distinct from b.value) > 0 as changed from before b full join after a using (user_id, unit_id, period_start, feature) group by 1 order by 1;

-- inactive in the next two weeks: rows, classes, students and span as SQL counts them
create view expected as
    select d.*, sum(d.activity) over (partition by d.space_id, d.user_id order by d.n rows between 4 preceding and current row) > 0 as takes_part,
           sum(d.activity) over (partition by d.space_id, d.user_id order by d.n rows between 1 following and 2 following) > 0 as next
    from dense d;
create table trained as select 'rows' as how, t.* from empatia._train_cube('analytics', 'SPA', 'WEEK', 1, '{}', '{"seed": 1}', '{"kind": "inactive_next", "horizon": 2}') t;
select rows, distinct_rows, students, first_period, last_period, classes, report -> 'classes' as weights, report -> 'cube' as cube, cardinality(features) as features from trained;
select count(*) as rows, count(distinct user_id) as students, min(period_start), max(period_start), count(*) filter (where next) as active, count(*) filter (where not next) as inactive
from expected where takes_part and n <= 6;
-- the whole population, rows that are alike merged; fewer features, so that more are
select t.rows, t.distinct_rows < t.rows as merged, t.students, t.report -> 'classes' as weights, t.report -> 'cube' as cube
from empatia._train_cube('analytics', 'SPA', 'WEEK', 1, '{"measures": ["accesses"], "history": 1, "context": false, "rank": false}', '{"seed": 1}', '{"kind": "inactive_next", "horizon": 2, "population": "all"}') t;
select count(*) as rows, count(distinct user_id) as students, count(*) filter (where next) as active, count(*) filter (where not next) as inactive from expected where n <= 6;
-- split by time: the periods that the target looks at lie between those trained on and those tested
select t.report -> 'training' -> 'split' as split, jsonb_array_length(t.report -> 'folds') as folds, t.report -> 'folds' -> 1 as last
from empatia._train_cube('analytics', 'SPA', 'WEEK', 1, '{"history": 1}', '{"split": {"time": {"horizon": 1, "windows": 2, "gap": 0}}, "min_rows": 1}', '{"kind": "inactive_next", "horizon": 2}') t;
select count(*) filter (where n <= 3) as train, count(*) filter (where n = 6) as test
from (select e.n, e.activity + lag(e.activity) over (partition by e.space_id, e.user_id order by e.n) > 0 or e.n = 1 and e.activity > 0 as takes_part from expected e) e where takes_part;
-- no student on both sides: the same rows by fold, merged or not
select t.rows, t.distinct_rows < t.rows as merged, jsonb_array_length(t.report -> 'folds') as folds from empatia._train_cube('analytics', 'SPA', 'WEEK', null, null, '{"seed": 1, "split": {"hold_out": {"share": 0.2}}}', '{"kind": "inactive_next", "horizon": 2, "population": "all"}') t;
-- the same again: the same model
select t.encoded = o.encoded as model, t.fingerprint = o.fingerprint as fingerprint
from trained o, empatia._train_cube('analytics', 'SPA', 'WEEK', 1, '{}', '{"seed": 1}', '{"kind": "inactive_next", "horizon": 2}') t;

-- segments: every row of the dense cube, as classify() calls it
select count(*) > 0 as segments from empatia.kmeans_segments('SPA', 'WEEK');
select count(*) > 0 as classified from empatia.classify('SPA', 'WEEK');
create view segment_target as select jsonb_build_object('kind', 'segment', 'encoded', encoded, 'labels', jsonb_build_object('1', 'engajamento excelente')) as target from empatia.model where level = 'SPA' order by version desc limit 1;
select t.rows, t.students, t.classes, t.report -> 'classes' as weights, (t.report #>> '{metrics,accuracy,pooled}')::float8 > 0.95 as agreement
from segment_target s, empatia._train_cube('analytics', 'SPA', 'WEEK', 1, null, '{"algorithm": "decision_tree", "split": {"stratified": {"folds": 3}}, "min_rows": 1}', s.target) t;
select categoria_engajamento, count(*) from analytics.cubo_engajamento where nivel_agregacao = 'SPA' and tipo_agregacao_data = 'WEEK' group by 1 order by 2 desc, 1;

-- labels: of rows that are there, of nobody, of no period, said twice
create table label as
    select 1 as client_id, user_id, space_id as unit_id, period_start, case when next then 'segue' else 'para' end as class from expected where n = 4 and takes_part
    union all values (1, 777, 1, date '2025-03-23', 'para'), (1, 1, 9, '2025-03-23', 'para'), (1, 1, 1, '2025-03-24', 'segue'), (2, 1, 1, '2025-03-23', 'segue'), (1, null, 1, '2025-03-23', 'segue');
insert into label select client_id, user_id, unit_id, period_start, class from label where user_id in (1, 2) and unit_id = 1 and period_start = '2025-03-23';
select t.rows, t.distinct_rows, t.students, t.first_period, t.last_period, t.classes, t.report -> 'classes' as weights, t.report #> '{cube,labels}' as labels, t.features[58:]
from empatia._train_cube('analytics', 'SPA', 'WEEK', 1, '{"attributes": ["region", "age"]}', '{"positive": "para", "min_rows": 5}', '{"kind": "labels", "query": "select * from label"}') t;
select count(*) as rows, count(distinct user_id) as students, count(*) filter (where next) as segue from expected where n = 4 and takes_part;
select f.user_id, f.features ->> 'region' as region, f.features -> 'age' as age from empatia._cube_features('analytics', 'SPA', 'WEEK', 1, '{"measures": [], "history": 0, "rank": false, "context": true, "attributes": ["region", "age"]}', 1) f where f.period_start = '2025-03-02' and f.user_id < 4;

-- what is refused, and how
select from empatia._train_cube('analytics', 'SPA', 'WEEK', 1, '{"measures": ["clicks"]}', null, '{"kind": "inactive_next", "horizon": 2}');
select from empatia._train_cube('analytics', 'SPA', 'WEEK', 1, '{"histroy": 4}', null, '{"kind": "inactive_next", "horizon": 2}');
select from empatia._train_cube('analytics', 'SPA', 'WEEK', 1, null, null, '{"kind": "inactive_next", "horizon": 0}');
select from empatia._train_cube('analytics', 'SPA', 'WEEK', 1, null, null, '{"kind": "grades"}');
\set VERBOSITY sqlstate
select from empatia._train_cube('analytics', 'SPA', 'WEEK', 1, null, null, null);
\set VERBOSITY default
select from empatia._train_cube('analytics', 'SPA', 'WEEK', 1, null, null, null);
select from empatia._train_cube('analytics', 'SPA', 'WEEK', 1, null, null, '{"kind": "segment", "encoded": "\\x00zz"}');
select from empatia._train_cube('analytics', 'SPA', 'WEEK', 1, null, null, '{"kind": "inactive_next", "horizon": 2, "max_rows": 3}');
select from empatia._train_cube('analytics', 'CRS', 'MONTH', 1, null, null, '{"kind": "inactive_next", "horizon": 2}');
select from empatia._train_cube('analytics', 'SPA', 'WEEK', 1, null, null, '{"kind": "labels", "query": "select * from label where user_id = 777"}');
select from empatia._train_cube('analytics', 'SPA', 'WEEK', 1, null, null, '{"kind": "labels", "query": "select 1"}');
select from empatia._train_cube('analytics', 'SPA', 'WEEK', 1, null, null, '{"kind": "inactive_next", "horizon": 2}', -1);
-- too few of a class, or none but one: it is called by its name
select from empatia._train_cube('analytics', 'SPA', 'WEEK', 1, null, null, '{"kind": "labels", "query": "select client_id, user_id, unit_id, period_start, ''para''::text from label where client_id = 1 and user_id < 700"}');
select from empatia._train_cube('analytics', 'SPA', 'WEEK', 1, null, '{"min_rows": 36}', '{"kind": "inactive_next", "horizon": 2}');
select from empatia._train_cube('analytics', 'SPA', 'WEEK', 1, null, '{"min_rows": 200}', '{"kind": "inactive_next", "horizon": 2, "population": "all"}');
-- a target that lies beyond the range leaves no row
select from empatia._train_cube('analytics', 'SPA', 'WEEK', 1, null, null, '{"kind": "inactive_next", "horizon": 8}');
-- more rows than asked for: a part of the students, which the report says
select t.distinct_rows <= 100 as few, t.report #> '{cube,student_share}' as share from empatia._train_cube('analytics', 'SPA', 'WEEK', 1, null, '{"min_rows": 1}', '{"kind": "inactive_next", "horizon": 2, "max_rows": 100}') t;

-- basis due: assignments are counted in the cell, so they have a past too
update empatia.setting set value = 'due' where key = 'assignment_basis';
select count(*) > 0 as built from empatia.build_cube('SPA', 'WEEK', full_build => true);
with by_sql as (
    select d.user_id, d.space_id, d.period_start, v.feature, v.value::float8
    from (select e.*, sum(e.assigned_exercises) over w as assigned_sum, sum(e.submitted_exercises) over w as submitted_sum, lag(e.assigned_exercises) over h as assigned_1
          from empatia.engagement('a', 'SPA', 'WEEK') e
          window h as (partition by e.space_id, e.user_id order by e.period_start), w as (partition by e.space_id, e.user_id order by e.period_start rows between 2 preceding and current row)) d
    cross join lateral (values ('assigned_exercises', d.assigned_exercises::float8), ('assigned_exercises_lag1', d.assigned_1), ('assigned_exercises_sum', d.assigned_sum),
                               ('conclusion', d.submitted_sum / nullif(d.assigned_sum, 0)::float8)) v (feature, value))
select s.feature, count(*) as rows, count(s.value) as known, sum(s.value) > 0 as some, count(*) filter (where s.value is distinct from (f.features ->> s.feature)::float8) as different
from by_sql s join empatia._cube_features('analytics', 'SPA', 'WEEK', 1, '{"history": 2}') f on (f.user_id, f.unit_id, f.period_start) = (s.user_id, s.space_id, s.period_start) group by 1 order by 1;
-- a second school of other bases cannot be trained on together; alone it can be looked at
select empatia.add_client('b', 'Escola B') is null as client \g /dev/null
insert into analytics.cube_build select 2, level, grain, date_from, date_to, automatic_from, automatic_to, 'universe', first_day_of_week, 0, 0, 0, built_at from analytics.cube_build where grain = 'WEEK';
select from empatia._train_cube('analytics', 'SPA', 'WEEK', null, null, null, '{"kind": "inactive_next", "horizon": 2}');
select count(*) from empatia._cube_features('analytics', 'SPA', 'WEEK', 2, '{}');
