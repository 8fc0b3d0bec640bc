-- Labels, and which model classifies whom. Faults guarded against: the wrong override winning; a rank without a name; labels that change
-- before classify() was asked; a client that is classified by everybody's model although it has its own; a row without a category.
\set SHOW_CONTEXT never
create extension empatia;
\getenv srcdir PG_ABS_SRCDIR
\set fixture :srcdir '/fixture/small_class.sql'
\set ECHO none
\i :fixture
\set ECHO all
select mode from empatia.build_cube();
select rank, label from empatia.kmeans_segments(k => 3);
select written_rows from empatia.classify();
create view shown as select user_id, posts_amount, categoria_engajamento, versao_modelo from analytics.cubo_engajamento order by user_id;
select * from shown;
select count(*) filter (where data_classificacao is null) as not_classified from analytics.cubo_engajamento;
-- one label each for: anything, the grain, the level, level and grain
insert into empatia.label_rank (level, grain, rank, label) values ('*', 'WEEK', 1, 'por grão');
select empatia._label('SPA', 'WEEK', 1), empatia._label('SPA', 'MONTH', 1);
insert into empatia.label_rank (level, grain, rank, label) values ('SPA', '*', 1, 'por nível');
select empatia._label('SPA', 'WEEK', 1), empatia._label('SPA', 'MONTH', 1), empatia._label('LEC', 'WEEK', 1);
insert into empatia.label_rank (level, grain, rank, label) values ('SPA', 'WEEK', 1, 'por ambos');
select empatia._label('SPA', 'WEEK', 1), empatia._label('SPA', 'MONTH', 1), empatia._label('LEC', 'WEEK', 1), empatia._label('LEC', 'YEAR', 1);
-- a rank without a label, and one whose label was deleted
select empatia._label('SPA', 'WEEK', 5);
delete from empatia.label_rank where rank = 2;
select empatia._label('SPA', 'WEEK', 2);
-- readers keep what was written until classify() is asked; the model stays
select distinct categoria_engajamento from shown order by 1;
select written_rows, model_version from empatia.classify();
select * from shown;
insert into empatia.label_rank (level, grain, rank, label) values ('DIA', 'WEEK', 1, 'x');
insert into empatia.label_rank (rank, label) values (-1, 'x');
insert into empatia.label_rank (rank, label) values (9, '');

-- a second client, by hand as the first
select client from empatia.add_client('b');
insert into dw.environment select 2, environment_id, name from dw.environment where client_id = 1;
insert into dw.course select 2, course_id, environment_id, name from dw.course where client_id = 1;
insert into dw.space select 2, space_id, course_id, name from dw.space where client_id = 1;
insert into dw.student select 2, user_id, name from dw.student where client_id = 1;
insert into dw.enrolment (client_id, enrolment_id, space_id, user_id) select 2, enrolment_id, space_id, user_id from dw.enrolment where client_id = 1 and user_id < 3;
insert into dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, space_id) values (2, 1, 1, 1, 1, 3, '2025-03-03 12:00Z', '2025-03-03', 1);
select client, mode, dense_rows from empatia.build_cube(client => 'b');
select client, model_version, dense_rows from empatia.classify() order by 1;
select user_id, posts_amount, categoria_engajamento from analytics.cubo_engajamento where cliente = 'b' order by 1;
-- the client's own model: in its class, three posts are the most there is
select client, rank, label, size from empatia.kmeans_segments(k => 2, client => 'b');
select client, model_version from empatia.classify() order by 1;
select user_id, posts_amount, categoria_engajamento from analytics.cubo_engajamento where cliente = 'b' order by 1;
select model_version, client, count(*) from empatia.segment_profile('SPA', 'WEEK', 'b') group by 1, 2;
select model_version, client, count(*) from empatia.segment_profile('SPA', 'WEEK', 'a') group by 1, 2;
-- a newer model of all clients does not push it out
select count(*) from empatia.kmeans_segments(k => 2);
select client, model_version from empatia.classify() order by 1;
-- one client alone
select client, model_version from empatia.classify(client => 'a');
select * from empatia.classify(client => 'c');

-- after a small change the build classifies what changed, and nobody is without a category even before classify()
insert into dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, space_id) values (1, 1, 90, 1, 1, 15, '2025-03-04 12:00Z', '2025-03-04', 1);
insert into dw.change values (1, nextval('dw.change_id_seq'), 1, '2025-03-04');
select client, mode, written_rows from empatia.build_cube();
select user_id, categoria_engajamento from analytics.cubo_engajamento where cliente = 'a' and categoria_engajamento is null;
select client, written_rows from empatia.classify();
select count(*) filter (where categoria_engajamento is null) as without, count(distinct categoria_engajamento) as categories from analytics.cubo_engajamento;
select categoria_engajamento = (select x.categoria_engajamento from analytics.cubo_engajamento x where x.cliente = 'a' and x.user_id = 6) as like_student_6 from analytics.cubo_engajamento where cliente = 'a' and user_id = 1;
