-- What there is to study: environments, courses, spaces, subjects, lectures, exercises and the newer module's assignments.
-- Space 24 was cancelled on day 39 (removed); space 23 has people and talk but no content.

insert into environments values
    (1, 'Escola Técnica Aurora do Agreste', 'aurora-do-agreste', 'ETAA', 1, true, '2023-05-02 13:00:00', '2024-11-20 13:00:00', false, false),
    (2, 'Instituto Maré Alta', 'mare-alta', 'IMA', 3, true, '2023-08-14 13:00:00', '2024-11-21 13:00:00', false, false);

insert into courses
select id, name, path, case when id <= 5 then 1 else 2 end, workload, 3 + 2 * id, true,
       timestamp '2024-12-02 13:00:00' + make_interval(hours => id), timestamp '2025-01-10 13:00:00', false, false
from (values (1, 'Técnico em Informática', 'tecnico-informatica', 1200), (2, 'Técnico em Enfermagem', 'tecnico-enfermagem', 1800),
             (3, 'Técnico em Logística', 'tecnico-logistica', 960), (4, 'Ensino Médio Integrado', 'medio-integrado', 3000),
             (5, 'Formação de Educadores', 'formacao-educadores', 400), (6, 'Matemática do Zero', 'matematica-do-zero', 120),
             (7, 'Redação e Leitura', 'redacao-leitura', 160), (8, 'Ciências da Natureza', 'ciencias-natureza', 200)) c (id, name, path, workload);

insert into spaces
select id, name, 'Turma de ' || name || ', período 2025.1', 3 + 2 * ((id + 2) / 3), (id + 2) / 3, id = 24, true,
       (select count(*) from user_space_associations a where a.space_id = n.id and a.deleted_at is null),
       timestamp '2025-01-13 13:00:00' + make_interval(hours => id),
       case when id = 24 then pg_temp.instant('cancelled', 39, 10) else timestamp '2025-01-20 13:00:00' end
from (values (1, 'Lógica de Programação'), (2, 'Banco de Dados'), (3, 'Redes de Computadores'),
             (4, 'Anatomia Humana'), (5, 'Primeiros Socorros'), (6, 'Saúde Coletiva'),
             (7, 'Gestão de Estoques'), (8, 'Transporte e Distribuição'), (9, 'Planilhas para Logística'),
             (10, 'História do Nordeste'), (11, 'Álgebra e Funções'), (12, 'Física: Mecânica'),
             (13, 'Didática Digital'), (14, 'Avaliação da Aprendizagem'), (15, 'Educação Inclusiva'),
             (16, 'Frações e Proporções'), (17, 'Geometria do Dia a Dia'), (18, 'Estatística Básica'),
             (19, 'Oficina de Redação'), (20, 'Gêneros Textuais'), (21, 'Literatura de Cordel'),
             (22, 'Química dos Alimentos'), (23, 'Clube de Ciências'), (24, 'Astronomia Observacional')) n (id, name);

-- Subjects share the term evenly: subject k of n opens with its share and its exercises fall due at the share's end.
create temp table t_subject on commit drop as
select row_number() over (order by space_id, k) as subject_id, space_id, k, n, ((k - 1) * (:last_day - 10) / n)::int as first_day,
       (k * (:last_day - 10) / n)::int as end_day
from (select space_id, 3 + floor(pg_temp.u('subjects:' || space_id) * 2.8)::int as n from t_space where space_id <> 23) s,
     generate_series(1, n) k;

insert into subjects
select subject_id, 'Módulo ' || k || ': ' || (array['Ponto de partida', 'Fundamentos', 'Mãos à obra', 'Aprofundamento', 'Projeto e revisão'])[k],
       'Conteúdo do módulo ' || k || ' de ' || s.name, s.user_id, s.id, true, true,
       s.created_at + make_interval(days => k), s.created_at + make_interval(days => k)
from t_subject t join spaces s on s.id = t.space_id
order by subject_id;

-- Lectures: the last of a subject is always an exercise, the middle one now and then.
create temp table t_lecture on commit drop as
select row_number() over (order by subject_id, position) as lecture_id, l.*,
       row_number() over (partition by space_id order by subject_id, position)::int as nth,
       row_number() over (partition by type order by subject_id, position) as lectureable_id,
       first_day + ((end_day - first_day) * (position - 1) * 0.7 / lectures)::int as open_day,
       -- work is due on one weekday per space: Wednesday, Friday or Sunday
       least(end_day + (2 + 2 * (space_id % 3) - end_day % 7 + 7) % 7, :last_day - 1) as due_day
from (select subject_id, space_id, position, lectures, first_day, end_day,
             case when position = lectures or (position = lectures - 2 and pg_temp.u('quiz:' || subject_id) < 0.5) then 'Exercise'
                  else pg_temp.pick('media:' || subject_id || ':' || position, array['Page', 'Seminar', 'Document', 'Page', 'Seminar']) end as type
      from (select *, 3 + pg_temp.dice('lectures:' || subject_id, 4) as lectures from t_subject) s, generate_series(1, lectures) position) l;
create index on t_lecture (space_id, nth);
analyze t_lecture;

insert into lectures
select lecture_id, case type when 'Exercise' then 'Exercício: ' when 'Seminar' then 'Videoaula: ' when 'Document' then 'Apostila: ' else 'Leitura: ' end
           || s.name || ' ' || k.k || '.' || position,
       s.user_id, l.subject_id, type, lectureable_id, position, pg_temp.dice('views:' || lecture_id, 400),
       l.created_at, coalesce(l.deleted_at, l.created_at), l.deleted_at
from (select *, pg_temp.instant('publishes:' || lecture_id, open_day - 3 - pg_temp.dice('publishes:' || lecture_id, 12), 14) as created_at,
             -- about one in a hundred was withdrawn afterwards
             case when pg_temp.u('withdrawn:' || lecture_id) < 0.01 then pg_temp.instant('withdrawn:' || lecture_id, least(due_day + 20, :last_day), 11) end as deleted_at
      from t_lecture) l
join spaces s on s.id = l.space_id join t_subject k on k.subject_id = l.subject_id
order by lecture_id;

insert into exercises
select lectureable_id, 10, l.created_at, l.created_at from lectures l where lectureable_type = 'Exercise' order by 1;

-- The newer module, in every third space.
insert into grade_groups
select row_number() over (order by space_id, g), space_id, (array['Atividades', 'Provas', 'Projeto'])[g], (array[4, 5, 1])[g],
       timestamp '2025-01-22 13:00:00', timestamp '2025-01-22 13:00:00'
from t_space, generate_series(1, 3) g where space_id % 3 = 0 order by 1;

-- One in twelve has no due date, one in twelve no opening; a quarter hangs on the space, the rest on a lecture of it.
create temp table t_assignment on commit drop as
select row_number() over (order by space_id, i) as assignment_id, a.*,
       case when pg_temp.u('opens:' || space_id || ':' || i) < 0.083 then null else greatest(due_day - 10 - pg_temp.dice('opens:' || space_id || ':' || i, 9), 0) end as open_day
from (select space_id, i, n, least((i * :last_day / (n + 1))::int / 7 * 7 + 2 + 2 * (space_id % 3), :last_day - 1) as due_day,
             pg_temp.u('nodue:' || space_id || ':' || i) < 0.083 as undated
      from (select space_id, 6 + pg_temp.dice('assignments:' || space_id, 3) as n from t_space where space_id % 3 = 0) s,
           generate_series(1, n) i) a;

insert into assignments
select assignment_id, case g when 2 then 'Prova ' when 3 then 'Projeto ' else 'Atividade ' end || i || ' de ' || s.name,
       'Entregue até o prazo. Dúvidas: use o pedido de ajuda.',
       case when pg_temp.u('hangs:' || assignment_id) < 0.75
            then (select lecture_id from t_lecture l where l.space_id = a.space_id and type <> 'Exercise'
                  order by abs(l.open_day - a.due_day + 10), lecture_id limit 1) end,
       a.space_id, (a.space_id / 3 - 1) * 3 + g, pg_temp.instant('opens:' || assignment_id, open_day, 8),
       -- due one minute before local midnight, which is the next day in UTC
       case when not undated then timestamp :'term_start' + make_interval(days => due_day, hours => 26, mins => 59) end,
       (array[10, 10, 100, 5])[1 + pg_temp.dice('max:' || assignment_id, 4)], 1 + g % 2,
       timestamp '2025-01-24 13:00:00', timestamp '2025-01-24 13:00:00'
from (select *, case when i = n then 3 when i % 3 = 0 then 2 else 1 end as g from t_assignment) a
join spaces s on s.id = a.space_id
order by assignment_id;
