-- Who there is, where they belong and how each student behaves.
-- Users 1-4 administer the environments (two each), 5-20 teach (two per course), 21-44 tutor (one per space), the last six
-- are visitors enrolled nowhere, all others are students. Spaces 3c-2 .. 3c belong to course c, courses 1-5 to
-- environment 1 and 6-8 to environment 2.

create temp table t_space on commit drop as
select space_id, (space_id + 2) / 3 as course_id, case when space_id <= 15 then 1 else 2 end as environment_id
from generate_series(1, 24) space_id;

-- part: admin, teacher, tutor, student, visitor
create temp table t_person on commit drop as
select user_id::bigint, part, case part when 'admin' then 1 + (user_id - 1) / 2
              when 'teacher' then case when user_id < 15 then 1 else 2 end
              when 'tutor' then case when user_id < 36 then 1 else 2 end
              else case when pg_temp.u('environment:' || user_id) < 0.6 then 1 else 2 end end as environment_id
from (select user_id, case when user_id <= 4 then 'admin' when user_id <= 20 then 'teacher' when user_id <= 44 then 'tutor'
                           when user_id > :users - 6 then 'visitor' else 'student' end as part
      from generate_series(1, :users) user_id) p;

-- Types and what they do. `share` is in percent, `base` is the chance of a session on an ordinary day, `submit` of handing in, `late` of being late
-- when handing in, `mean` the usual grade of ten, `voice` how readily the student answers others.
create temp table t_type (type text, share int, base float8, submit float8, late float8, mean float8, voice float8)
on commit drop;
insert into t_type values
    ('assiduous',  15, 0.30, 0.97, 0.02, 8.7, 4.0),
    ('consistent', 25, 0.12, 0.89, 0.07, 7.6, 1.2),
    ('crammer',    20, 0.08, 0.80, 0.24, 6.3, 0.4),
    ('fading',     15, 0.22, 0.92, 0.12, 6.0, 1.0),
    ('silent',     12, 0.00, 0.94, 0.05, 7.5, 0.0),
    ('absent',     13, 0.0015, 0.04, 0.50, 3.4, 0.0);

-- `pace` spreads people of one type; `fade_day` is when the fading start to go.
create temp table t_student on commit drop as
select s.*, t.base, t.submit, t.late, t.voice, 0.6 + 0.8 * pg_temp.u('pace:' || user_id) as pace,
       least(greatest(t.mean + 0.8 * pg_temp.bell('skill:' || user_id), 0.5), 9.8) as skill,
       case when type = 'fading' then (:last_day * (0.2 + 0.35 * pg_temp.u('fade:' || user_id)))::int end as fade_day
from (select p.user_id, p.environment_id, t.type
      from t_person p
      join (select type, sum(share) over (order by share, type collate "C") - share as lo,
                   sum(share) over (order by share, type collate "C") as hi from t_type) t
        on pg_temp.dice('type:' || p.user_id, 100) >= t.lo and pg_temp.dice('type:' || p.user_id, 100) < t.hi
      where p.part = 'student'
      union all
      -- Monitors: tutors of one space who study in the next, so that a role holds for its space only.
      select user_id, environment_id, 'assiduous' from t_person where user_id in (25, 33, 41)) s
join t_type t using (type);
insert into _behaviour select user_id, type from t_student order by user_id;

-- One course, for three in ten a second one, for one in a hundred one of the other environment.
create temp table t_studies on commit drop as
with main as (
    select user_id, environment_id, case environment_id when 1 then 1 + pg_temp.dice('course:' || user_id, 5)
                                            else 6 + pg_temp.dice('course:' || user_id, 3) end as course_id
    from t_person where part = 'student')
select user_id, course_id from main
union
select user_id, case environment_id when 1 then 1 + (course_id + pg_temp.dice('second:' || user_id, 4)) % 5
                                    else 6 + (course_id - 5 + pg_temp.dice('second:' || user_id, 2)) % 3 end
from main where pg_temp.u('two:' || user_id) < 0.3
union
select user_id, case environment_id when 1 then 7 else 2 end from main where pg_temp.u('both:' || user_id) < 0.01;

-- Students in spaces, numbered per student. enrolled_day < 0 is before the term; left_day is when some of the fading unenrol.
create temp table t_member on commit drop as
select m.*, row_number() over (partition by user_id order by space_id)::int as nth, count(*) over (partition by user_id) as spaces
from (select s.user_id, p.space_id, s.type, s.environment_id,
             case when pg_temp.u('latecomer:' || s.user_id || ':' || p.space_id) < 0.06
                  then 1 + pg_temp.dice('enrolled:' || s.user_id || ':' || p.space_id, 30)
                  else -1 - pg_temp.dice('enrolled:' || s.user_id || ':' || p.space_id, 8) end as enrolled_day,
             case when s.fade_day is not null and pg_temp.u('leaves:' || s.user_id) < 0.12 then least(s.fade_day + 30, :last_day) end as left_day
      from t_student s
      left join t_studies c using (user_id)
      join t_space p on (p.course_id = c.course_id
                         and (pg_temp.u('takes:' || s.user_id || ':' || p.space_id) < 0.8
                              or p.space_id % 3 = pg_temp.dice('takes:' || s.user_id || ':' || p.course_id, 3)))
                     or (c.course_id is null and p.space_id = s.user_id - 19)) m;
create index on t_member (user_id, nth);
analyze t_member;

create temp table t_staff on commit drop as
-- the first administrator of an environment is in all its spaces; the second sits in one as a plain member
select p.user_id, s.space_id, case when p.user_id % 2 = 1 then 'environment_admin' else 'member' end as role
from t_person p join t_space s using (environment_id)
where part = 'admin' and (p.user_id % 2 = 1 or s.space_id in (1, 16))
union all
-- of the two teachers of a course the first has its spaces 1 and 2, the second 2 and 3
select p.user_id, s.space_id, 'teacher'
from t_person p join t_space s on s.course_id = (p.user_id - 3) / 2
where part = 'teacher' and (s.space_id % 3 = 2 or s.space_id % 3 = case p.user_id % 2 when 1 then 1 else 0 end)
union all
select user_id, user_id - 20, 'tutor' from t_person where part = 'tutor';

insert into user_space_associations
select row_number() over (order by created_at, user_id, space_id), user_id, space_id, role, created_at,
       coalesce(deleted_at, created_at), deleted_at
from (select user_id, space_id, role, timestamp '2025-01-20 12:00:00' + make_interval(mins => (user_id * 7 + space_id)::int) as created_at,
             null::timestamp as deleted_at
      from t_staff
      union all
      -- one in two hundred has no role recorded
      select user_id, space_id, case when pg_temp.u('norole:' || user_id || ':' || space_id) < 0.005 then null else 'member' end,
             pg_temp.instant('enrols:' || user_id || ':' || space_id, enrolled_day, pg_temp.hour('enrols:' || user_id)),
             pg_temp.instant('leaves:' || user_id, left_day, pg_temp.hour('leaves:' || user_id))
      from t_member) a
order by 1;

-- Monitors and one teacher (user 6) are plain members of the environment; some students have no row or no role there.
insert into user_environment_associations
select row_number() over (order by created_at, user_id, environment_id), user_id, environment_id, role, created_at, created_at
from (select p.user_id, p.environment_id,
             case when part = 'admin' then 'environment_admin' when user_id = 6 then 'member'
                  when part = 'tutor' and user_id in (25, 33, 41) then 'member' else part end as role,
             timestamp '2025-01-15 12:00:00' + make_interval(mins => user_id::int) as created_at
      from t_person p where part in ('admin', 'teacher', 'tutor')
      union all
      select user_id, s.environment_id, case when pg_temp.u('noenvrole:' || user_id) < 0.01 then null else 'member' end,
             pg_temp.instant('joins:' || user_id, min(enrolled_day), 0)
      from t_member m join t_space s using (space_id)
      where user_id > 44 and pg_temp.u('noenv:' || user_id) >= 0.02
      group by user_id, s.environment_id) a
order by 1;

insert into users
select user_id, login, login || case environment_id when 1 then '@aurora.example' else '@marealta.example' end,
       first_name, last_name, case when part = 'admin' then 'admin' else 'member' end, removed, birthday, gender, created_at,
       case when removed then timestamp :'term_start' + make_interval(days => :last_day - 7) else created_at end
from (select *, translate(lower(first_name || '.' || split_part(last_name, ' ', 1)), 'áâãàéêíóôõúçÁÂÉÍÓÚ', 'aaaaeeioooucaaeiou') || '.' || user_id as login
      from (select p.*,
                   pg_temp.pick('first:' || user_id, case gender
                       when 'F' then array['Ana', 'Beatriz', 'Camila', 'Débora', 'Eduarda', 'Fernanda', 'Gabriela', 'Helena',
                           'Isabela', 'Jéssica', 'Karina', 'Larissa', 'Mariana', 'Natália', 'Olívia', 'Patrícia', 'Rafaela',
                           'Sílvia', 'Tainá', 'Vitória', 'Yasmin', 'Conceição', 'Luíza', 'Rosângela']
                       else array['André', 'Bruno', 'Caio', 'Diego', 'Eduardo', 'Felipe', 'Gustavo', 'Henrique', 'Igor', 'João',
                           'Kauã', 'Lucas', 'Mateus', 'Nicolas', 'Otávio', 'Paulo', 'Rafael', 'Sérgio', 'Thiago', 'Vinícius',
                           'Wellington', 'Antônio', 'José', 'Raimundo'] end) as first_name,
                   pg_temp.pick('last:' || user_id, array['Silva', 'Santos', 'Oliveira', 'Souza', 'Lima', 'Araújo', 'Ferreira',
                       'Cavalcanti', 'Gonçalves', 'Barbosa', 'Rocha', 'Nóbrega', 'Melo', 'Conceição', 'Pereira', 'Queiroz',
                       'Brandão', 'Tavares', 'Vasconcelos', 'Assunção', 'Ramos', 'Falcão', 'Bezerra', 'Alencar'])
                   || ' ' || pg_temp.pick('last2:' || user_id, array['da Silva', 'dos Santos', 'Correia', 'Moraes', 'de Lima',
                       'Monteiro', 'Guimarães', 'Teixeira', 'Azevedo', 'do Nascimento', 'Leão', 'Xavier', 'Freitas', 'Pontes']) as last_name,
                   part = 'student' and pg_temp.u('removed:' || user_id) < 0.008 as removed,
                   date '1999-01-01' + pg_temp.dice('born:' || user_id, 3650) - case when part in ('student', 'visitor') then 0 else 7300 end as birthday,
                   timestamp '2024-03-01 12:00:00' + make_interval(days => pg_temp.dice('since:' || user_id, 320), mins => pg_temp.dice('since2:' || user_id, 600)) as created_at
            from (select *, case when pg_temp.u('gender:' || user_id) < 0.54 then 'F' else 'M' end as gender from t_person) p) n) l
order by user_id;

-- Friends within an environment: two rows once accepted, a pending and a requested one before.
insert into friendships
select row_number() over (order by requested_at, user_id, friend_id), user_id, friend_id, requested_at,
       case when accepted then requested_at + interval '9 hours' end,
       case when accepted then 'accepted' when asks then 'pending' else 'requested' end
from (select case when side = 1 then a.user_id else b.user_id end as user_id, case when side = 1 then b.user_id else a.user_id end as friend_id,
             side = 1 as asks, pg_temp.u('accepts:' || a.user_id || ':' || b.user_id) < 0.85 as accepted,
             pg_temp.instant('asks:' || a.user_id || ':' || b.user_id, pg_temp.dice('asks:' || a.user_id || ':' || b.user_id, :last_day), pg_temp.hour('asks:' || b.user_id)) as requested_at
      from (select distinct a.user_id, a.user_id + 1 + pg_temp.dice('friend:' || a.user_id || ':' || n, 25) as friend_id, a.environment_id
            from t_student a, generate_series(1, 3) n where a.type <> 'absent') a
      join t_student b on b.user_id = a.friend_id and b.environment_id = a.environment_id
      cross join generate_series(1, 2) side) f
order by 1;
