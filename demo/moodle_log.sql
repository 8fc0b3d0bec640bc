-- Table and transformation for demo/moodle_log.sh. The log's lines come on standard input; variables: schema, year, course.
\set ON_ERROR_STOP on
begin;
set local client_min_messages = warning;
create temp table t_line (line bigint generated always as identity, affected text, time text, who text, context text,
    component text, event text, description text, ip text, origin text) on commit drop;
\copy t_line (affected, time, who, context, component, event, description, ip, origin) from pstdin with (format csv)
delete from t_line where line = 1;

create temp table t_when on commit drop as
select line, coalesce(who, '') as who, t.part[1]::int as day, extract(month from to_date(t.part[2], 'Mon'))::int as month,
       t.part[3]::int as hour, t.part[4]::int as minute
from t_line l cross join lateral (select regexp_match(l.time, '^ *(\d{1,2}) ([A-Z][a-z]{2}), (\d{1,2}):(\d{2}) *$') as part) t;
select count(*) filter (where day is null) as unread, min(line) filter (where day is null) as first_unread from t_when \gset
select :unread > 0 as any_unread \gset
\if :any_unread
\warn 'times not of the form "11 May, 09:44":' :unread 'lines, the first is line' :first_unread
do $$ begin raise 'unreadable times in the log'; end $$;
\endif

create schema if not exists :"schema";
drop table if exists :"schema".events;
create table :"schema".events (event_id bigint, who text, happened_at timestamp, kind text, course text, lecture text,
    component text, event_name text);
insert into :"schema".events
select l.line, nullif(nullif(l.who, ''), '-'),
       make_timestamp(:year - w.years_back::int, w.month, w.day, w.hour, w.minute, 0),
       case rtrim(l.event, '. ') when 'Discussion created' then 'post' when 'Post created' then 'post_reply' else 'access' end,
       :'course', case when l.context like 'Course: %' then null else l.context end, l.component, l.event
from t_line l
join (select *, sum((month > previous)::int) over (partition by who order by line) as years_back
      from (select *, lag(month, 1, month) over (partition by who order by line) as previous from t_when) m) w using (line)
order by l.line;
comment on table :"schema".events is 'course log, one row per line of the file; event_id is the line number';

select kind, count(*) as events, count(distinct who) as people, min(happened_at) as first, max(happened_at) as last
from :"schema".events group by kind order by kind;
commit;
