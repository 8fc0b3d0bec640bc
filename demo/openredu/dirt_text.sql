-- The school again as a loader without types leaves it: `statuses` all text, the other tables as views of the typed ones.
-- Included by dirt.sql, whose variables it uses.

create schema :"text_schema";
create table :"text_schema".statuses (id text, text text, in_response_to_id text, in_response_to_type text, created_at text,
    updated_at text, user_id text, statusable_id text, statusable_type text, logeable_type text, logeable_id text,
    action text, type text, compound text, compound_log_id text, deleted_at text);

create temp table t_text (id text, body text, in_response_to_id text, created_at text, updated_at text, user_id text,
    place_id text, place text, type text, deleted_at text, what text) on commit drop;
insert into t_text values
    ('1', 'boa: publicação',     null, '2025-03-10 14:00:00', '2025-03-10 14:00:00', :'student', :'lecture', 'Lecture', 'Activity', null, null),
    ('2', 'boa: pedido de ajuda','',   '2025-03-10 15:00:00', '2025-03-10 15:00:00', :'student', '1', 'Space', 'Help', '', null),
    ('3', 'boa: resposta à 2',   '2',  '2025-03-10 16:00:00', '2025-03-10 16:00:00', :'student', '1', 'Space', 'Answer', null, null),
    ('4', 'boa: fração de segundo', null, '2025-03-10 17:00:00.123456', '2025-03-10T17:00:00', :'student', :'lecture', 'Lecture', 'Activity', null, null),
    ('5', 'boa: espaços em volta', null, ' 2025-03-10 18:00:00 ', '2025-03-10 18:00:00', ' ' || :'student' || ' ', :'lecture', 'Lecture', 'Activity', null, null),
    ('10', 'data zero',          null, '0000-00-00 00:00:00', '2025-03-11 14:00:00', :'student', :'lecture', 'Lecture', 'Activity', null, 'created_at is MySQL''s zero date'),
    ('11', '30 de fevereiro',    null, '2024-02-30', '2025-03-11 14:01:00', :'student', :'lecture', 'Lecture', 'Activity', null, 'created_at is a day that does not exist'),
    ('12', 'mês zero',           null, '2025-00-10 10:00:00', '2025-03-11 14:02:00', :'student', :'lecture', 'Lecture', 'Activity', null, 'created_at has month 0'),
    ('13', 'data vazia',         null, '', '', :'student', :'lecture', 'Lecture', 'Activity', null, 'created_at and updated_at are empty strings'),
    ('14', 'data por extenso',   null, 'ontem', '2025-03-11 14:04:00', :'student', :'lecture', 'Lecture', 'Activity', null, 'created_at is a word'),
    ('15', 'excluída na data zero', null, '2025-03-11 14:05:00', '2025-03-11 14:05:00', :'student', :'lecture', 'Lecture', 'Activity', '0000-00-00 00:00:00', 'deleted_at is MySQL''s zero date, which means not deleted'),
    ('abc', 'id de letras',      null, '2025-03-12 14:00:00', '2025-03-12 14:00:00', :'student', :'lecture', 'Lecture', 'Activity', null, 'id is no number'),
    ('', 'id vazio',             null, '2025-03-12 14:01:00', '2025-03-12 14:01:00', :'student', :'lecture', 'Lecture', 'Activity', null, 'id is an empty string'),
    (null, 'id nulo',            null, '2025-03-12 14:02:00', '2025-03-12 14:02:00', :'student', :'lecture', 'Lecture', 'Activity', null, 'null id'),
    ('20', 'autor de letras',    null, '2025-03-12 14:03:00', '2025-03-12 14:03:00', 'abc', :'lecture', 'Lecture', 'Activity', null, 'user_id is no number'),
    ('21', 'autor vazio',        null, '2025-03-12 14:04:00', '2025-03-12 14:04:00', '', :'lecture', 'Lecture', 'Help', null, 'user_id is an empty string'),
    ('22', 'aula de letras',     null, '2025-03-12 14:05:00', '2025-03-12 14:05:00', :'student', 'abc', 'Lecture', 'Activity', null, 'statusable_id is no number'),
    ('23', 'pai de letras',      'abc', '2025-03-12 14:06:00', '2025-03-12 14:06:00', :'student', :'lecture', 'Lecture', 'Answer', null, 'in_response_to_id is no number'),
    ('24', 'autor com vírgula',  null, '2025-03-12 14:07:00', '2025-03-12 14:07:00', '1,5', :'lecture', 'Lecture', 'Activity', null, 'user_id is no whole number'),
    ('99999999999999999999', 'id grande demais', null, '2025-03-12 14:08:00', '2025-03-12 14:08:00', :'student', :'lecture', 'Lecture', 'Activity', null, 'id does not fit bigint'),
    ('25', 'autor grande demais', null, '2025-03-12 14:09:00', '2025-03-12 14:09:00', '99999999999999999999', :'lecture', 'Lecture', 'Activity', null, 'user_id does not fit bigint'),
    ('26', 'tipo vazio',         null, '2025-03-12 14:10:00', '2025-03-12 14:10:00', :'student', :'lecture', 'Lecture', '', null, 'type is an empty string');

insert into :"text_schema".statuses (id, text, in_response_to_id, in_response_to_type, created_at, updated_at, user_id,
    statusable_id, statusable_type, type, compound, deleted_at)
select id, body, in_response_to_id, case when type = 'Answer' then 'Status' end, created_at, updated_at, user_id, place_id, place,
       type, '0', deleted_at from t_text;
create index on :"text_schema".statuses (id);
insert into _dirt
select :'text_schema' || '.statuses', coalesce(nullif(id, ''), 'text=' || body), what from t_text where what is not null;

select format('create view %I.%I as select * from %I.%I', :'text_schema', table_name, :'schema', table_name)
from information_schema.tables
where table_schema = :'schema' and table_type = 'BASE TABLE' and table_name not in ('statuses', '_dirt', '_behaviour')
order by table_name \gexec
