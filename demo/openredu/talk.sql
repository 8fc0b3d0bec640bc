-- Who starts a conversation, where and when; who answers, and who answers the answer.

-- Days on which a crammer wakes up: something of hers is due on the day or the next.
create temp table t_crunch on commit drop as
select distinct m.user_id, w.due_day - ahead as day
from t_work w join t_member m using (space_id), generate_series(0, 1) ahead
where m.type = 'crammer' and w.due_day - ahead >= 0;

-- Sessions of students: pace x weekday x what the type does with the term.
create temp table t_session on commit drop as
select s.user_id, s.type, d.day, n.name
from t_student s
cross join t_day d
left join t_crunch c on c.user_id = s.user_id and c.day = d.day
cross join lateral (select s.user_id || ':' || d.day as name) n
where pg_temp.u('session:' || n.name) < s.base * s.pace * d.weight * case
    when s.type = 'crammer' then case when c.day is null then 0.15 else 3.2 end
    when d.day > s.fade_day then greatest(1 - (d.day - s.fade_day) / 21.0, 0)
    else 1 end;

-- Roots. `place` is where the status hangs: a lecture already open, the space, or the author's own wall.
create temp table t_root on commit drop as
select r.name, r.user_id, r.space_id, r.kind,
       case when r.wall then 'User' when l.lecture_id is null then 'Space' else 'Lecture' end as place,
       case when r.wall then r.user_id when l.lecture_id is null then r.space_id else l.lecture_id end as place_id,
       pg_temp.instant('at:' || r.name, r.day, pg_temp.hour('at:' || r.name)) as at
from (select a.*, m.space_id,
             case when pg_temp.u('help:' || a.name) < case a.type when 'assiduous' then 0.2 when 'crammer' then 0.55 else 0.32 end
                  then 'Help' else 'Activity' end as kind,
             pg_temp.u('wall:' || a.name) < 0.06 as wall
      from (select user_id, type, day, name || ':' || i as name
            from t_session, generate_series(1, 1 + (pg_temp.u('more:' || name) < 0.3)::int + (pg_temp.u('more2:' || name) < 0.1)::int) i) a
      join lateral (select spaces from t_member where user_id = a.user_id limit 1) c on true
      join t_member m on m.user_id = a.user_id and m.nth = 1 + pg_temp.dice('space:' || a.name, c.spaces)
      where a.day >= m.enrolled_day and (m.left_day is null or a.day < m.left_day) and (m.space_id <> 24 or a.day < 39)
      union all
      -- teachers open the week, tutors call on Thursdays
      select f.user_id, f.role, d.day, n.name, f.space_id, 'Activity', false
      from t_staff f cross join t_day d cross join lateral (select 'staff:' || f.user_id || ':' || f.space_id || ':' || d.day as name) n
      where (f.space_id <> 24 or d.day < 39)
        and ((f.role = 'teacher' and d.day % 7 = 0 and pg_temp.u('calls:' || n.name) < 0.55 * d.weight)
             or (f.role = 'tutor' and d.day % 7 = 3 and pg_temp.u('calls:' || n.name) < 0.35 * d.weight))) r
cross join lateral (
    -- the newer lectures of the space are talked about most
    select case when pg_temp.u('lecture:' || name) < case kind when 'Help' then 0.85 else 0.6 end
                then greatest(o.n - floor(pg_temp.u('which:' || name) * pg_temp.u('which2:' || name) * o.n)::int, 1) end as nth
    from (select count(*)::int as n from t_lecture l where l.space_id = r.space_id and l.open_day <= r.day) o where o.n > 0
    union all
    select null where not exists (select from t_lecture l where l.space_id = r.space_id and l.open_day <= r.day)) o
left join t_lecture l on l.space_id = r.space_id and l.nth = o.nth;
analyze t_root;

-- Who answers in a space: each voice holds a stretch of [0, 1) as long as its share of the space's weight, from `low`
-- to the next one's.
create temp table t_voice on commit drop as
select space_id, user_id, fade_day, left_day, enrolled_day,
       (sum(weight) over w - weight) / sum(weight) over (w rows between unbounded preceding and unbounded following) as low
from (select m.space_id, m.user_id, s.fade_day, m.left_day, m.enrolled_day, s.voice * s.pace as weight
      from t_member m join t_student s using (user_id) where s.voice > 0
      union all
      -- a tutor answers a fifth of what a class of a hundred says, a teacher less
      select f.space_id, f.user_id, null, null, -30, (case f.role when 'tutor' then 0.3 else 0.06 end) * greatest(c.voices, 5)
      from t_staff f join (select space_id, sum(s.voice order by user_id) as voices from t_member m join t_student s using (user_id) group by 1) c using (space_id)
      where f.role in ('tutor', 'teacher')) v
window w as (partition by space_id order by user_id);
create index on t_voice (space_id, low);
analyze t_voice;

-- Threads, four answers deep at most. Answers to answers come mostly from the one who asked. `offset 0` keeps the planner
-- from copying an expression into each of its uses.
create temp table t_thread on commit drop as
with recursive thread as (
    select name, null::text as parent, name as root, user_id as asker, space_id, kind, place, place_id, user_id, at, 0 as depth from t_root
    union all
    select r.name, t.name, t.root, t.asker, t.space_id, t.kind, t.place, t.place_id, r.user_id, r.at, t.depth + 1
    from thread t
    cross join lateral generate_series(1, case
        when t.depth > 0 then (pg_temp.u('replies:' || t.name) < 0.34)::int
        when t.kind = 'Help' then (pg_temp.u('replies:' || t.name) < 0.88)::int + (pg_temp.u('replies2:' || t.name) < 0.5)::int + (pg_temp.u('replies3:' || t.name) < 0.15)::int
        else (pg_temp.u('replies:' || t.name) < 0.42)::int + (pg_temp.u('replies2:' || t.name) < 0.14)::int end) i
    cross join lateral (select t.name || '/' || i as name) n
    cross join lateral (
        select n.name, v.user_id, l.at, v.enrolled_day, v.left_day, v.fade_day
        from (select case when extract(hour from soon) between 3 and 9 then soon + interval '7 hours' else soon end as at
              from (select t.at + make_interval(mins => 4 + floor(pg_temp.u('delay:' || n.name) * pg_temp.u('delay2:' || n.name) * 2800)::int,
                                                secs => pg_temp.dice('delay3:' || n.name, 60)) as soon offset 0) s) l
        cross join lateral (
            select * from t_voice v
            where v.space_id = t.space_id and v.low <= pg_temp.u('who:' || n.name)
            order by v.low desc limit 1) v0
        cross join lateral (
            select case when asks_back then t.asker else v0.user_id end as user_id, case when not asks_back then v0.enrolled_day end as enrolled_day,
                   case when not asks_back then v0.left_day end as left_day, case when not asks_back then v0.fade_day end as fade_day
            from (select t.depth % 2 = 1 and pg_temp.u('asks back:' || n.name) < 0.6 as asks_back) b) v) r
    where t.depth < 4
      and r.at < timestamp :'term_start' + make_interval(days => :last_day + 1)
      and (t.space_id <> 24 or r.at < timestamp :'term_start' + interval '39 days')
      -- those not there yet, gone, or faded do not answer
      and (r.enrolled_day is null or r.at >= timestamp :'term_start' + make_interval(days => r.enrolled_day + 1))
      and (r.left_day is null or r.at < timestamp :'term_start' + make_interval(days => r.left_day))
      and (r.fade_day is null or r.at < timestamp :'term_start' + make_interval(days => r.fade_day + 7)))
select * from thread;
analyze t_thread;
