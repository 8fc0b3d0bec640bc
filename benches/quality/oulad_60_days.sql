-- The first 60 days, as the first 30.
select pg_temp.try('60 days, assessments', 60, '{"history": 12, "lags": 8}', '{}', null) \g /dev/null
select pg_temp.try('the same, assignments, enrolment and lectures', 60, format('{"history": 12, "lags": 8, %s, "attributes": %s}', :'facts', :'enrolment')::jsonb, '{}', null) \g /dev/null
select pg_temp.try('the same, ensemble', 60, format('{"history": 12, "lags": 8, %s, "attributes": %s}', :'facts', :'enrolment')::jsonb, '{"algorithm": "ensemble"}', 0.845) \g /dev/null
