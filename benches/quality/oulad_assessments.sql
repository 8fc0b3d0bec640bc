-- With assessments and demographics.
select pg_temp.try('30 days, assessments', 30, '{"history": 8}', '{}', null) \g /dev/null
select pg_temp.try('30 days, assessments and demographics', 30, format('{"history": 8, "attributes": %s}', :'demographics')::jsonb, '{}', 0.80) \g /dev/null
select pg_temp.try('60 days, assessments', 60, '{"history": 12, "lags": 8}', '{}', null) \g /dev/null
select pg_temp.try('60 days, assessments and demographics', 60, format('{"history": 12, "lags": 8, "attributes": %s}', :'demographics')::jsonb, '{}', 0.845) \g /dev/null
