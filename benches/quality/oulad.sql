-- Who fails or withdraws: labels of OULAD, and one trained classifier per line. Needs client ou loaded and SPA x WEEK built.
\set ON_ERROR_STOP on
set client_min_messages = warning;

-- Every enrolment that still runs `days` days after its presentation's start, in the last week that has ended by then.
create function pg_temp.at_risk(days integer)
returns table (client_id integer, user_id bigint, unit_id bigint, period_start date, class text)
language sql stable as $$
    select e.client_id, e.user_id, e.space_id, p.period_start, case when e.outcome in ('Fail', 'Withdrawn') then 'at_risk' else 'on_track' end
    from dw.client c
    join dw.enrolment e using (client_id)
    join dw.space s using (client_id, space_id)
    cross join lateral (select (s.starts_at at time zone c.time_zone)::date as starts) b
    cross join lateral (select max(p.period_start) as period_start from analytics.cube_period p
                        where (p.client_id, p.level, p.grain) = (e.client_id, 'SPA', 'WEEK') and p.period_end <= b.starts + days) p
    where c.code = 'ou' and e.outcome is not null
      and (e.ended_at is null or (e.ended_at at time zone c.time_zone)::date > b.starts + days)
$$;

create temp table tried (place serial, name text, days integer, recipe jsonb, training jsonb, bar double precision, rows bigint, features integer,
                         pooled double precision, mean double precision, sd double precision, brier double precision, seconds double precision);

-- Not calibrated, as the figures to compare with are not: calibration by steps makes ties, which AUC counts half.
create function pg_temp.try(name text, days integer, recipe jsonb, training jsonb, bar double precision) returns void
language plpgsql as $$
declare
    began constant timestamptz := clock_timestamp();
begin
    insert into tried (name, days, recipe, training, bar, rows, features, pooled, mean, sd, brier)
    select try.name, try.days, try.recipe, try.training, try.bar, t.rows, cardinality(t.features), (t.report #>> '{metrics,auc,pooled}')::float8,
           (t.report #>> '{metrics,auc,mean}')::float8, (t.report #>> '{metrics,auc,sd}')::float8, (t.report #>> '{metrics,brier,pooled}')::float8
    from empatia._train_cube((select w.results_schema::text from empatia.warehouse w), 'SPA', 'WEEK', (select c.client_id from dw.client c where c.code = 'ou'),
                             try.recipe, '{"seed": 42, "positive": "at_risk", "calibrate": false}'::jsonb || try.training,
                             jsonb_build_object('kind', 'labels', 'query', format('select * from pg_temp.at_risk(%s)', try.days))) t;
    update tried t set seconds = extract(epoch from clock_timestamp() - began) where t.place = (select max(l.place) from tried l);
end
$$;

-- known when the enrolment begins
\set enrolment '["gender", "region", "highest_education", "imd_band", "age_band", "disability", "num_of_prev_attempts", "studied_credits", "course", "enrolled_days"]'
-- all kinds that there are
\set facts '"assignments": true, "coverage": true, "kinds": ["dataplus", "dualpane", "externalquiz", "folder", "forumng", "glossary", "homepage", "htmlactivity", "oucollaborate", "oucontent", "ouelluminate", "ouwiki", "page", "questionnaire", "quiz", "repeatactivity", "resource", "sharedsubpage", "subpage", "url"]'
\set clicks '"measures": ["posts", "accesses", "active_days"], "history": 8'
-- the first 2014 presentation is looked at 36 weeks before the last, 2013's all before them
\set years '{"split": {"time": {"horizon": 36, "windows": 1, "gap": 0}}}'
\set small_steps '{"algorithm": "ensemble", "parameters": {"gradient_boosting": {"rounds": 1000, "learning_rate": 0.02, "early_stopping": 60, "max_leaves": 15, "min_leaf": 50, "column_fraction": 0.2, "l2": 5}}}'
\pset footer off
