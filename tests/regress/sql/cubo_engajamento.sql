-- The view and the function that BI reads. Faults guarded against: a column that moved (dashboards read by position); a filter that
-- filters something else; the silent student who is missing.
\set SHOW_CONTEXT never
create extension empatia;
\getenv srcdir PG_ABS_SRCDIR
\set fixture :srcdir '/fixture/small_class.sql'
\set ECHO none
\i :fixture
\set ECHO all
update empatia.pipeline set active = grain in ('WEEK', 'MONTH') and level in ('SPA', 'LEC');
update empatia.setting set value = '2025-03-15' where key = 'range_end';
-- the first 26 are the contract
select attnum, attname, format_type(atttypid, null) as type from pg_attribute where attrelid = 'analytics.cubo_engajamento'::regclass and attnum > 0 order by attnum;
-- the function returns the same
select count(*) = 0 as same from (
    select attnum, attname, atttypid from pg_attribute where attrelid = 'analytics.cubo_engajamento'::regclass and attnum > 0
    except select attnum, attname, atttypid from pg_attribute where attrelid = (select typrelid from pg_type where oid = 'empatia.cubo_engajamento_row'::regtype) and attnum > 0) d;
select count(*) from empatia.cubo_engajamento();
select level, grain, mode, dense_rows, stored_rows from empatia.build_cube();
-- built, not classified: the rows are there
select nivel_agregacao, tipo_agregacao_data, count(*), count(categoria_engajamento) as classified, sum(posts_amount) as posts from analytics.cubo_engajamento group by 1, 2 order by 1, 2;
select count(*) > 0 as fitted from empatia.kmeans_segments();
select level, grain, written_rows from empatia.classify();
select user_id, space_id, subject_id, lecture_id, space_name, lecture_name, data_inicio, data_fim, posts_amount, assigned_exercises, conclusion_percent, active_days, categoria_engajamento
from empatia.cubo_engajamento('a', 'SPA', 'WEEK') order by data_inicio, user_id;
select count(*), count(distinct nivel_agregacao), count(lecture_id) from empatia.cubo_engajamento(nivel => 'LEC');
select count(*), min(tipo_agregacao_data), max(tipo_agregacao_data) from empatia.cubo_engajamento(tipo_agregacao_data => 'MONTH');
select count(*) from empatia.cubo_engajamento(environment_id => 1, course_id => 1, space_id => 1, subject_id => 1, lecture_id => 1);
select count(*) from empatia.cubo_engajamento(environment_id => 2);
select count(*) from empatia.cubo_engajamento(course_id => 2);
select count(*) from empatia.cubo_engajamento(space_id => 2);
select count(*) from empatia.cubo_engajamento(lecture_id => 2);
select distinct data_inicio, data_fim from empatia.cubo_engajamento(data_inicio => '2025-03-09');
select distinct data_inicio, data_fim from empatia.cubo_engajamento(data_fim => '2025-03-08');
select count(*) from empatia.cubo_engajamento(data_inicio => '2025-04-01', data_fim => '2025-03-01');
select * from empatia.cubo_engajamento('z');
select * from empatia.cubo_engajamento(nivel => 'spa');
select * from empatia.cubo_engajamento(tipo_agregacao_data => 'DAY');
-- a label with a quote, a name with a backslash: data are data
update dw.student set name = E'D''Ávila \\ "x"' where user_id = 1;
select user_name from empatia.cubo_engajamento('a', 'SPA', 'MONTH') where user_id = 1;
