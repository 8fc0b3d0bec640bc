-- Tables for demo/oulad_load.sh, which runs this in one transaction and sets the variable `schema`.
-- Columns as in the files' headers; an empty field is null whether quoted or not.
\set ON_ERROR_STOP on
begin;
set local client_min_messages = warning;
create schema if not exists :"schema";
drop table if exists :"schema".courses, :"schema".assessments, :"schema".studentinfo, :"schema".studentregistration,
    :"schema".vle, :"schema".studentassessment, :"schema".studentvle;
set local search_path = :"schema";

create table courses (code_module text, code_presentation text, module_presentation_length integer);
create table assessments (code_module text, code_presentation text, id_assessment integer, assessment_type text,
    date integer, weight numeric);
create table studentinfo (code_module text, code_presentation text, id_student integer, gender text, region text,
    highest_education text, imd_band text, age_band text, num_of_prev_attempts integer, studied_credits integer,
    disability text, final_result text);
create table studentregistration (code_module text, code_presentation text, id_student integer, date_registration integer,
    date_unregistration integer);
create table vle (id_site integer, code_module text, code_presentation text, activity_type text, week_from integer,
    week_to integer);
create table studentassessment (id_assessment integer, id_student integer, date_submitted integer, is_banked integer,
    score numeric);
create table studentvle (code_module text, code_presentation text, id_student integer, id_site integer, date integer,
    sum_click integer);

-- The loading script feeds each file without its header line, which it has compared with these columns.
\echo loading courses
\copy courses from program '"$OULAD_SELF" --rows courses' with (format csv, force_null (module_presentation_length))
\echo loading assessments
\copy assessments from program '"$OULAD_SELF" --rows assessments' with (format csv, force_null (date, weight))
\echo loading studentinfo
\copy studentinfo from program '"$OULAD_SELF" --rows studentInfo' with (format csv, force_null (region, highest_education, imd_band, age_band, num_of_prev_attempts, studied_credits, disability, final_result))
\echo loading studentregistration
\copy studentregistration from program '"$OULAD_SELF" --rows studentRegistration' with (format csv, force_null (date_registration, date_unregistration))
\echo loading vle
\copy vle from program '"$OULAD_SELF" --rows vle' with (format csv, force_null (activity_type, week_from, week_to))
\echo loading studentassessment
\copy studentassessment from program '"$OULAD_SELF" --rows studentAssessment' with (format csv, force_null (date_submitted, score))
\echo loading studentvle
\copy studentvle from program '"$OULAD_SELF" --rows studentVle' with (format csv, freeze)

create temp table t_expected on commit drop as
select *, 0::bigint as loaded from (values ('courses', 22), ('assessments', 206), ('studentinfo', 32593),
    ('studentregistration', 32593), ('vle', 6364), ('studentassessment', 173912), ('studentvle', 10655280)) e (table_name, expected);
update t_expected set loaded = case table_name
    when 'courses' then (select count(*) from courses) when 'assessments' then (select count(*) from assessments)
    when 'studentinfo' then (select count(*) from studentinfo) when 'studentregistration' then (select count(*) from studentregistration)
    when 'vle' then (select count(*) from vle) when 'studentassessment' then (select count(*) from studentassessment)
    else (select count(*) from studentvle) end;
select table_name, loaded, expected from t_expected order by loaded;

-- A table short of rows means a truncated file: undo everything rather than leave half a university behind.
select bool_and(loaded = expected) or :any_count as complete from t_expected \gset
\if :complete
commit;
\else
do $$ begin raise 'row counts differ from those of the complete dataset' using hint = 'Use --any-count to load a part of it.'; end $$;
\endif
