-- An invented school in the tables of OpenRedu (a Rails LMS on MySQL), as a landing tool copies them into Postgres.
--
--   psql -f demo/openredu.sql                                   (the defaults below)
--   psql -v seed=7 -v users=5000 -v schema=redu_b -f demo/openredu.sql
--
-- variable  default   meaning
-- seed      42        every choice is a hash of (what is decided, seed): the same seed gives the same rows on every machine
--                     and under every plan; nothing calls random() or now()
-- users     600       people, staff included (80 or more): 44 of staff, 6 visitors without enrolment, the rest students
-- schema    openredu  created here; the script refuses a schema that exists (drop it first)
-- months    6         2 to 12; the term starts on Monday 2025-02-03, ends 22 days before the months are over (6: 2025-07-12)
--
-- Instants are naive UTC timestamps; people live at UTC-3, so that evening work falls on the next UTC day.
-- As a landing tool leaves them, tables have no keys, only a plain index on id.
-- "<schema>._behaviour" says which type each student was made with. It is for judging results; no adapter reads it.
-- Needs Postgres 14 or later, CREATE and TEMP on the database. One transaction.
\set ON_ERROR_STOP on
\set QUIET on
\if :{?seed}   \else \set seed 42         \endif
\if :{?users}  \else \set users 600       \endif
\if :{?schema} \else \set schema openredu \endif
\if :{?months} \else \set months 6        \endif
\set term_start '2025-02-03'

begin;
set local client_min_messages = warning;
set local client_encoding = 'UTF8';
set local timezone = 'UTC';
set local datestyle = 'ISO, YMD';

create temp table t_parameter (
    seed bigint,
    users bigint constraint users_is_80_or_more check (users >= 80),
    months int constraint months_is_2_to_12 check (months between 2 and 12)
) on commit drop;
insert into t_parameter values (:seed, :users, :months);
select (date :'term_start' + make_interval(months => :months))::date - 22 - date :'term_start' as last_day \gset

create schema :"schema";
set local search_path = :"schema", pg_temp;

\ir openredu/chance.sql
\ir openredu/tables.sql
\ir openredu/people.sql
\ir openredu/content.sql
\ir openredu/work.sql
\ir openredu/talk.sql
\ir openredu/statuses.sql
\ir openredu/finish.sql
commit;
