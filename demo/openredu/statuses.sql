-- One timeline of threads and of the Log/CompoundLog rows the platform writes by itself; ids follow the clock.

create temp table t_log on commit drop as
-- a lecture was published
select 'log:lecture:' || l.id as name, null::text as compound, 'Log' as type, l.user_id, 'Space' as place, s.space_id as place_id,
       'Lecture' as about, l.id as about_id, l.created_at as at
from lectures l join subjects s on s.id = l.subject_id
union all
-- someone enrolled: one log each, folded into a compound log per space and day
select 'log:enrols:' || id, 'log:compound:' || space_id || ':' || (created_at::date - date '2025-01-01'), 'Log', user_id,
       'Space', space_id, 'UserSpaceAssociation', id, created_at
from user_space_associations where role = 'member'
union all
select 'log:compound:' || space_id || ':' || (created_at::date - date '2025-01-01'), null, 'CompoundLog', min(user_id),
       'Space', space_id, 'Space', space_id, max(created_at) + interval '1 minute'
from user_space_associations where role = 'member' group by space_id, created_at::date
union all
select 'log:friends:' || id, null, 'Log', user_id, 'User', user_id, 'Friendship', id, accepted_at
from friendships where accepted_at is not null;

create temp table t_line on commit drop as
select row_number() over (order by at, hashtextextended(name, 0), name collate "C") as id, l.*
from (select name, parent, null::text as compound, case depth when 0 then kind else 'Answer' end as type, kind, user_id, place, place_id,
             null::text as about, null::bigint as about_id, at, depth, space_id from t_thread
      union all
      select name, null, compound, type, null, user_id, place, place_id, about, about_id, at, 0, null from t_log) l;
create index on t_line (name);
analyze t_line;

insert into statuses
select l.id,
       case when l.about is not null then null
            else replace(case
                when l.depth = 0 and l.kind = 'Help' then pg_temp.pick('text:' || l.name, array[
                    'Alguém pode me ajudar com {tema}? Travei na segunda questão.', 'Não entendi a explicação sobre {tema} :(',
                    'Como se resolve o exercício de {tema}?', 'Professor, o que cai na prova de {tema}?',
                    'O arquivo de {tema} não abre no meu celular, o que eu faço?', 'Qual é a diferença entre os dois exemplos da aula?',
                    'Dúvida: o prazo é até meia-noite de Brasília?', 'Meu resultado deu 3,5 e o gabarito diz 5,3. Onde errei?',
                    'Socorro! "Erro na linha 12" e não sei o que é', E'Dúvidas:\n1) de onde vem o fator 2?\n2) por que não dá zero?'])
                when l.depth = 0 then pg_temp.pick('text:' || l.name, array[
                    'Gostei muito da aula de hoje sobre {tema}!', 'Compartilho um resumo que fiz de {tema}.',
                    'Quem topa um grupo de estudos no sábado?', 'Achei um vídeo ótimo sobre {tema}, vale a pena.',
                    'Terminei o módulo, ufa!', 'Bom dia, turma! Semana cheia de {tema}.', 'Lembrete: entrega na próxima semana.',
                    'A questão 4 me lembrou a feira do bairro kkk', 'Minhas anotações: 50% teoria, 50% prática; ver C:\aulas\notas',
                    'Alguém mais achou essa leitura longa?', 'Hoje consegui fazer tudo sozinho!', E'Pauta:\t1. revisão\t2. projeto'])
                when l.depth % 2 = 0 or l.user_id = r.user_id then pg_temp.pick('text:' || l.name, array[
                    'Obrigado, agora entendi!', 'Valeu demais!', 'Ainda não deu certo, tentei de novo e nada.', 'Ah, era isso...',
                    'Perfeito, obrigada pela paciência.', 'E se o valor for negativo?'])
                when l.kind = 'Help' then pg_temp.pick('text:' || l.name, array[
                    'Tenta refazer o passo 2 com calma, o sinal está trocado.', 'Dá uma olhada na apostila, página 14.',
                    'No meu deu certo assim: primeiro isola o x, depois substitui.', 'O prazo é o horário local, pode ficar tranquilo.',
                    'Veja o exemplo do módulo anterior, é igualzinho.', 'Expliquei no encontro de ontem; a gravação está no mural.',
                    'Boa pergunta! A diferença está na definição.', 'Atualiza o aplicativo que abre.'])
                else pg_temp.pick('text:' || l.name, array[
                    'Concordo!', 'Muito bom, parabéns!', 'Eu topo!', 'Também achei.', 'Que legal, manda o link?', 'kkkkk verdade',
                    'Ótimo resumo, vou usar.', 'Não sei se concordo, a leitura diz outra coisa.'])
            end, '{tema}', coalesce(s.name, 'hoje')) end,
       p.id, case when p.id is not null then 'Status' end, l.at, coalesce(deleted_at, l.at), l.user_id,
       -- before day 28 an answer was filed under its author's wall, later under the place of its thread
       case when p.id is not null and old then l.user_id else l.place_id end,
       case when p.id is not null and old then 'User' else l.place end,
       l.about, l.about_id, case when l.about is not null then 'create' end, l.type, l.compound is not null, c.id, deleted_at
from t_line l
left join t_line p on p.name = l.parent
left join t_line r on r.name = split_part(l.name, '/', 1) and l.depth > 0
left join t_line c on c.name = l.compound
left join spaces s on s.id = l.space_id
cross join lateral (
    select l.at < timestamp :'term_start' + interval '28 days' as old,
           -- one in a hundred is deleted later; answers to it stay
           case when l.about is null and pg_temp.u('deleted:' || l.name) < 0.01 then l.at + make_interval(hours => 1 + pg_temp.dice('deleted:' || l.name, 70)) end as deleted_at) d
order by l.id;
