-- What students hand in: classic exercise results and the newer module's assignments.

create temp table t_work on commit drop as
select 'e' as module, lectureable_id as work_id, space_id, due_day from t_lecture where type = 'Exercise'
union all
select 'a', assignment_id, space_id, due_day from t_assignment;

-- Who hands in what and when: one row per student and work handed in. Early ones work days ahead, crammers in the last
-- evening, the fading stop when they fade; work of the cancelled space after its end is not done.
create temp table t_submission on commit drop as
select w.*, case when day_late > 0 then pg_temp.instant('submits:' || name, due_day + day_late, pg_temp.hour('submits:' || name))
                 when type = 'crammer' then pg_temp.instant('submits:' || name, due_day, 18 + pg_temp.dice('submits:' || name, 6))
                 else pg_temp.instant('submits:' || name, greatest(due_day - lead, enrolled_day, 0), pg_temp.hour('submits:' || name)) end as at,
       least(greatest(skill + 1.1 * pg_temp.bell('grade:' || name) - case when day_late > 0 then 0.8 else 0 end, 0), 10) as grade
from (select w.*, m.user_id, m.type, m.enrolled_day, s.skill, n.name,
             case when pg_temp.u('late:' || n.name) < s.late then 1 + pg_temp.dice('days:' || n.name, 5) else 0 end as day_late,
             pg_temp.dice('lead:' || n.name, case m.type when 'assiduous' then 8 when 'silent' then 7 else 5 end) as lead
      from t_work w
      join t_member m using (space_id)
      join t_student s using (user_id)
      cross join lateral (select w.module || w.work_id || ':' || m.user_id as name) n
      where w.due_day >= m.enrolled_day and (m.left_day is null or w.due_day < m.left_day) and (w.space_id <> 24 or w.due_day < 39)
        and pg_temp.u('hands in:' || n.name) < s.submit * case when s.fade_day is null or w.due_day <= s.fade_day then 1
                                                              when w.due_day < s.fade_day + 21 then 0.4 else 0.02 end) w;
analyze t_submission;

-- An exercise may be tried again, be abandoned first, or be opened and never finished.
create temp table t_attempt on commit drop as
select user_id, work_id as exercise_id, name, 'finalized' as state,
       at + make_interval(hours => 20 * (try - 1) + case when try > 1 then pg_temp.dice('again:' || name, 30) else 0 end) as at,
       least(grade + (try - 1) * (0.3 + pg_temp.u('better:' || name)), 10) as grade, try
from t_submission, generate_series(1, 1 + (pg_temp.u('again2:' || name) < 0.18)::int + (pg_temp.u('again3:' || name) < 0.04)::int) try
where module = 'e'
union all
select user_id, work_id, name, 'started', at - make_interval(hours => 2 + pg_temp.dice('gives up:' || name, 20)), null, 0
from t_submission where module = 'e' and pg_temp.u('gives up:' || name) < 0.06
union all
select m.user_id, w.work_id, n.name, case when pg_temp.u('state:' || n.name) < 0.5 then 'initialized' else 'started' end,
       pg_temp.instant('opens:' || n.name, greatest(w.due_day - 1, m.enrolled_day, 0), pg_temp.hour('opens:' || n.name)), null, 0
from t_work w join t_member m using (space_id)
cross join lateral (select w.module || w.work_id || ':' || m.user_id as name) n
left join t_submission s on s.name = n.name
where w.module = 'e' and s.name is null and m.type <> 'absent' and w.due_day >= m.enrolled_day and (w.space_id <> 24 or w.due_day < 39)
  and (m.left_day is null or w.due_day < m.left_day) and pg_temp.u('peeks:' || n.name) < 0.1;

insert into results
select row_number() over (order by at, user_id, exercise_id, try), user_id, exercise_id, at, finalized_at, state,
       case when state = 'finalized' then round(grade::numeric, 2) else 0 end,
       case when state = 'finalized' then duration else 0 end, at, coalesce(deleted_at, finalized_at, at), deleted_at
from (select *, case when state = 'finalized' then at + make_interval(secs => duration) end as finalized_at,
             case when pg_temp.u('annulled:' || name || ':' || try) < 0.005 then at + interval '3 days' end as deleted_at
      from (select *, 240 + pg_temp.dice('takes:' || name || ':' || try, 3000) as duration from t_attempt) a) a
order by 1;

-- Every student of the space is assigned; work of the last days is not graded yet.
insert into user_assignments
select row_number() over (order by assigned_at, a.assignment_id, m.user_id), m.user_id, a.assignment_id,
       case when s.at is null then 'pending' when graded_at is null then 'submitted' else 'graded' end, s.at,
       case when graded_at is not null then round((s.grade / 10)::numeric * a2.max_grade, 2) end,
       assigned_at, coalesce(deleted_at, graded_at, s.at, assigned_at), deleted_at
from t_assignment a
join assignments a2 on a2.id = a.assignment_id
join t_member m on m.space_id = a.space_id and m.enrolled_day <= a.due_day
left join t_submission s on s.module = 'a' and s.work_id = a.assignment_id and s.user_id = m.user_id
cross join lateral (select 'a' || a.assignment_id || ':' || m.user_id as name) n
cross join lateral (
    select pg_temp.instant('assigned:' || a.assignment_id, greatest(coalesce(a.open_day, -5), m.enrolled_day, -5), 8) as assigned_at,
           case when s.at < timestamp :'term_start' + make_interval(days => :last_day - 9) and pg_temp.u('ungraded:' || n.name) > 0.05
                then greatest(s.at, coalesce(a2.due_at, s.at)) + make_interval(days => 1, mins => pg_temp.dice('graded:' || n.name, 7000)) end as graded_at,
           case when pg_temp.u('excused:' || n.name) < 0.006 then pg_temp.instant('excused:' || n.name, least(a.due_day + 9, :last_day), 12) end as deleted_at) d
order by 1;

-- Group grade of ten: the weighted mean over the group's graded work.
insert into gradebooks
select row_number() over (order by space_id, user_id, grade_group_id), space_id, user_id, grade_group_id, grade, at, at
from (select a.space_id, u.user_id, a.grade_group_id, round(10 * sum(u.grade / a.max_grade * a.weight) / sum(a.weight), 2) as grade, max(u.updated_at) as at
      from user_assignments u join assignments a on a.id = u.assignment_id
      where u.status = 'graded' and u.deleted_at is null
      group by 1, 2, 3) g
order by 1;
