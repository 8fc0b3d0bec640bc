-- The first 30 days with assessments, then with demographics.
select pg_temp.try('30 days, assessments', 30, '{"history": 8}', '{}', null) \g /dev/null
select pg_temp.try('30 days, assessments and demographics', 30, format('{"history": 8, "attributes": %s}', :'demographics')::jsonb, '{}', 0.80) \g /dev/null
