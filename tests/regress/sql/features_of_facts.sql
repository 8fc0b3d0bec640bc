-- What features of cube models know besides the cells: assignments by the end of the row's period, kinds of lectures, enrolments. Faults guarded
-- against: a feature that is not what its name says; one that knows a date, a grade or a click of later; explanations of other rows than those judged.
\set SHOW_CONTEXT never
create extension empatia;
set client_min_messages = warning;
select empatia.create_warehouse() is null as warehouse \g /dev/null
select empatia.add_client('a', 'Escola A') is null as client \g /dev/null
reset client_min_messages;
insert into dw.environment values (1, 1, 'Ambiente');
insert into dw.course values (1, 1, 1, 'Curso A'), (1, 2, 1, 'Curso B');
insert into dw.space (client_id, space_id, course_id, name, starts_at) select 1, s, s, 'Turma ' || s, '2025-03-05 UTC' from generate_series(1, 2) s;
insert into dw.subject select 1, s, s, 'Módulo' from generate_series(1, 2) s;
insert into dw.lecture (client_id, lecture_id, subject_id, name, kind) select 1, 10 * s + k, s, 'Aula', (array['quiz', 'page', 'video'])[k] from generate_series(1, 2) s, generate_series(1, 3) k;
insert into dw.student (client_id, user_id, name, attributes) select 1, s, 'Estudante ' || s, jsonb_build_object('shift', case s % 2 when 0 then 'night' else 'day' end) from generate_series(1, 60) s;
-- what the enrolment says goes before what the student says; students 1 to 40 are in class 1, 21 to 60 in class 2
insert into dw.enrolment (client_id, enrolment_id, space_id, user_id, role, enrolled_at, attributes)
    select 1, 100 * p + s, p, s, 'member', timestamptz '2025-03-05 UTC' - s * interval '1 day',
           case when s % 3 = 0 then jsonb_build_object('attempts', p + s % 2) when s % 3 = 1 then jsonb_build_object('shift', 'other') end
    from generate_series(1, 2) p, generate_series(1, 60) s where case p when 1 then s <= 40 else s > 20 end;
insert into dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, environment_id, course_id, space_id, subject_id, lecture_id)
    select 1, 1, row_number() over (order by e.enrolment_id, w, k), e.user_id, 5, 1 + (e.user_id * w + k) % 4, d + time '12:00', d, 1, e.space_id, e.space_id, e.space_id, 10 * e.space_id + k
    from dw.enrolment e, generate_series(0, 7) w, generate_series(1, 3) k
    cross join lateral (select date '2025-03-02' + 7 * w + (e.user_id % 6)::int) v (d)
    where (e.user_id * 7 + w * 3 + k) % 5 < e.user_id % 5 and not (e.user_id % 4 = 0 and w > e.user_id % 8);
-- four assignments per class: one without date, one due after the range; weights 1, 3, none and 2; some credited, some late, some not graded
insert into dw.assignment (client_id, source_id, kind, assignment_id, title, space_id, weight)
    select 1, 1, 'assignment', 10 * p + a, 'Tarefa', p, (array[1, 3, null, 2])[a + 1] from generate_series(1, 2) p, generate_series(0, 3) a;
insert into dw.fact_assignment (client_id, source_id, kind, assignment_id, user_id, assigned_at, due_at, submitted_at, assigned_day, due_day, submitted_day, status, grade, max_grade, environment_id, course_id, space_id)
    select 1, 1, 'assignment', 10 * e.space_id + a, e.user_id, timestamptz '2025-03-02 UTC', due + time '23:00', handed_in + time '12:00', '2025-03-02', due, handed_in, 'submitted',
           case when handed_in is not null and (e.user_id + a) % 5 > 0 then (e.user_id * (a + 2)) % 11 end, 10, 1, e.space_id, e.space_id
    from dw.enrolment e, generate_series(0, 3) a
    cross join lateral (select case a when 2 then null else date '2025-03-15' + 21 * a end) d (due)
    cross join lateral (select case when (e.user_id + a) % 9 = 0 then date '2025-02-20' when (e.user_id + a) % 4 > 0 then date '2025-03-12' + 14 * a + (e.user_id % 9)::int end) h (handed_in)
    where (e.user_id + a) % 7 > 0;
update empatia.setting set value = '2025-03-02' where key = 'range_start';
update empatia.setting set value = '2025-04-26' where key = 'range_end';
select level, grain, dense_rows, left_out from empatia.build_cube('SPA', 'WEEK');

\set recipe '{"assignments": true, "coverage": true, "kinds": ["quiz", "page"], "attributes": ["shift", "attempts", "course", "enrolled_days"]}'
create table native as select f.user_id, f.unit_id, f.period_start, v.key as feature, v.value from empatia._cube_features('analytics', 'SPA', 'WEEK', 1, :'recipe') f, jsonb_each(f.features) v;
create view by_sql as
select e.user_id, e.space_id as unit_id, p.period_start, v.feature, v.value
from dw.enrolment e
join dw.student s using (client_id, user_id)
join dw.course c on c.course_id = e.space_id
cross join (select period_start, period_end from analytics.cube_period where level = 'SPA') p
cross join lateral (
    select count(*) filter (where k.due) as due, count(*) filter (where k.due and not k.done) as missing, count(*) filter (where k.done and k.credited) as credited,
           avg(k.due_day - k.submitted_day) filter (where k.due and k.done and not k.credited) as early,
           (array_agg(k.due_day - k.submitted_day order by k.submitted_day desc) filter (where k.due and k.done and not k.credited))[1] as last_early,
           sum(k.weight * case when k.done then k.grade / 10 else 0 end) filter (where k.due and (not k.done or k.grade is not null))
               / nullif(sum(k.weight) filter (where k.due and (not k.done or k.grade is not null)), 0) as due_grade,
           (array_agg(k.grade / 10 order by k.submitted_day desc) filter (where k.done and not k.credited and k.grade is not null))[1] as last_grade,
           min(k.grade / 10) filter (where k.done and not k.credited) as lowest
    from (select a.*, coalesce(w.weight, 1) as weight, coalesce(a.due_day <= p.period_end, false) as due, coalesce(a.submitted_day <= p.period_end, false) as done,
                 a.submitted_day < a.assigned_day as credited
          from dw.fact_assignment a join dw.assignment w using (client_id, source_id, kind, assignment_id) where (a.user_id, a.space_id) = (e.user_id, e.space_id)) k) a
cross join lateral (
    select coalesce(sum(i.amount) filter (where l.kind = 'quiz'), 0) as quiz, coalesce(sum(i.amount) filter (where l.kind = 'page'), 0) as page
    from dw.fact_interaction i join dw.lecture l using (client_id, lecture_id)
    where (i.user_id, i.space_id) = (e.user_id, e.space_id) and i.day between p.period_start - 28 and p.period_end) i
cross join lateral (
    select count(*) filter (where u.own) as used, count(*) filter (where u.own and 4 * u.users >= 40) / nullif(count(*) filter (where 4 * u.users >= 40), 0)::float8 as covered
    from (select i.lecture_id, count(distinct i.user_id) as users, bool_or(i.user_id = e.user_id) as own
          from dw.fact_interaction i where i.space_id = e.space_id and i.day between '2025-03-02' and p.period_end group by 1) u) u
cross join lateral (values
    ('lectures_used', to_jsonb(u.used)), ('lecture_coverage', to_jsonb(u.covered)),
    ('due_exercises', to_jsonb(a.due)), ('missing_exercises', to_jsonb(a.missing)), ('credited_exercises', to_jsonb(a.credited)), ('days_early', to_jsonb(a.early)),
    ('last_days_early', to_jsonb(a.last_early)), ('due_grade', to_jsonb(a.due_grade)), ('last_grade', to_jsonb(a.last_grade)), ('lowest_grade', to_jsonb(a.lowest)),
    ('activity_in_quiz', to_jsonb(i.quiz)), ('activity_in_page', to_jsonb(i.page)),
    ('shift', to_jsonb(coalesce(e.attributes ->> 'shift', s.attributes ->> 'shift'))), ('attempts', e.attributes -> 'attempts'), ('course', to_jsonb(c.name)), ('enrolled_days', to_jsonb(s.user_id))) v (feature, value);
select s.feature, count(*) as rows, count(s.value) as known, count(distinct s.value) as values, count(*) filter (where case
           when jsonb_typeof(s.value) = 'number' and jsonb_typeof(n.value) = 'number' then abs(s.value::text::float8 - n.value::text::float8) > 1e-9
           else s.value is distinct from nullif(n.value, 'null') end) as different
from by_sql s join native n using (user_id, unit_id, period_start, feature) group by 1 order by 1;

-- dates, grades and clicks from week 5 on are others: nothing before changes
create table before as table native;
update dw.fact_assignment set due_day = due_day + 3, due_at = due_at + interval '3 days' where due_day >= '2025-03-30';
update dw.fact_assignment set submitted_day = '2025-04-01', submitted_at = '2025-04-01 12:00', grade = 3 where submitted_day is null or submitted_day >= '2025-03-30';
delete from dw.fact_interaction where day >= '2025-03-30' and user_id % 3 = 0;
update dw.fact_interaction set amount = amount + 1 where day >= '2025-03-30';
select count(*) > 0 as built from empatia.build_cube('SPA', 'WEEK', full_build => true);
create table after as select f.user_id, f.unit_id, f.period_start, v.key as feature, v.value from empatia._cube_features('analytics', 'SPA', 'WEEK', 1, :'recipe') f, jsonb_each(f.features) v;
select b.period_start, count(*) as values, count(*) filter (where a.value is distinct from b.value) > 0 as changed from before b full join after a using (user_id, unit_id, period_start, feature) group by 1 order by 1;

-- trained, stored and explained alike
select t.rows, t.classes, t.deployed
from empatia.train('SPA', 'WEEK', target => 'inactive_next', features => '{"measures": ["accesses"], "history": 2, "assignments": true, "coverage": true, "kinds": ["quiz"], "attributes": ["course", "shift"]}', deploy => 'always') t;
select count(*) > 0 as classified from empatia.classify('SPA', 'WEEK');
select count(*) as rows, count(*) filter (where x.probability is distinct from c.probabilidade) as different, count(distinct c.probabilidade) > 3 as several
from analytics.cubo_engajamento c
cross join lateral (select distinct e.probability from empatia.explain('a', c.user_id, 'SPA', 'WEEK', c.space_id, c.data_inicio) e) x
where c.nivel_agregacao = 'SPA' and c.tipo_agregacao_data = 'WEEK' and c.user_id % 7 = 0;
-- in words
select distinct on (e.feature) e.feature, e.value, e.reason from empatia.explain('a', 22, 'SPA', 'WEEK', 2, '2025-04-06') e
where e.feature in ('due_exercises', 'missing_exercises', 'credited_exercises', 'days_early', 'last_days_early', 'due_grade', 'last_grade', 'lowest_grade', 'activity_in_quiz', 'lectures_used', 'lecture_coverage') order by 1;
select empatia._reason_words('pt', f.feature, f.value, f.value is not null, 4, '{2,5}') as words
from (select v.feature, n.value from (values ('due_exercises'), ('missing_exercises'), ('credited_exercises'), ('activity_in_quiz'), ('lectures_used'), ('days_early'), ('last_days_early'), ('enrolled_days')) v (feature), (values (0.0::float8), (1), (6), (-2.5), (null)) n (value)
      union all select v.feature, n.value from (values ('due_grade'), ('last_grade'), ('lowest_grade'), ('lecture_coverage')) v (feature), (values (0.0::float8), (0.5), (null)) n (value)) f order by f.feature, f.value;
select from empatia._cube_features('analytics', 'SPA', 'WEEK', 1, '{"kinds": ["quiz", "quiz"]}');

-- what no feature can be made of is missing, and stops nobody: moments and numbers that are not finite, attributes that are no object or no number, sums beyond bigint
update dw.enrolment set attributes = v.attributes::jsonb
from (values (3, '{"attempts": 1e400}'), (6, '[1, 2]'), (9, '"x"'), (12, 'null'), (15, '{"attempts": {"a": [1]}}'), (18, '{"attempts": "NaN"}'), (21, '{"attempts": true, "shift": ""}')) v (user_id, attributes)
where enrolment.user_id = v.user_id;
update dw.enrolment set enrolled_at = case user_id % 3 when 0 then '-infinity' when 1 then 'infinity' end::timestamptz where user_id between 22 and 24;
update dw.space set starts_at = 'infinity' where space_id = 2;
update dw.fact_assignment set due_day = 'infinity' where user_id = 25;
update dw.fact_assignment set submitted_day = '-infinity' where user_id = 26;
update dw.fact_assignment set grade = 'NaN' where user_id = 27;
update dw.fact_assignment set grade = 1e300, max_grade = 1e-300 where user_id = 28;
update dw.fact_assignment set max_grade = 0 where user_id = 29;
update dw.assignment set weight = (array['NaN', '-5', '1e308', 'Infinity'])[assignment_id % 10 + 1]::float8 where assignment_id < 20;
update dw.fact_interaction set amount = 9223372036854775807 where user_id = 31;
select distinct on (f.user_id) f.user_id, left(f.features ->> 'attempts', 20) as attempts, f.features -> 'shift' as shift, f.features -> 'enrolled_days' as enrolled_days, f.features -> 'due_grade' as due_grade,
       f.features -> 'last_grade' as last_grade, f.features -> 'due_exercises' as due, f.features -> 'activity_in_quiz' as in_quiz
from empatia._cube_features('analytics', 'SPA', 'WEEK', 1, :'recipe') f where f.unit_id = 1 and f.user_id in (3, 6, 9, 12, 15, 18, 21, 22, 23, 24, 25, 26, 27, 28, 29, 31) order by f.user_id, f.period_start desc;
