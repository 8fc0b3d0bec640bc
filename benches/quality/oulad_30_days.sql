-- The first 30 days with assessments; with what was due and how early it came; with demographics and what the enrolment says; with lectures.
select pg_temp.try('30 days, assessments', 30, '{"history": 8}', '{}', null) \g /dev/null
select pg_temp.try('the same, assignments', 30, '{"history": 8, "assignments": true}', '{}', null) \g /dev/null
select pg_temp.try('the same, demographics and enrolment', 30, format('{"history": 8, "assignments": true, "attributes": %s}', :'enrolment')::jsonb, '{}', null) \g /dev/null
select pg_temp.try('the same, lectures', 30, format('{"history": 8, %s, "attributes": %s}', :'facts', :'enrolment')::jsonb, '{}', null) \g /dev/null
select pg_temp.try('the same, ensemble', 30, format('{"history": 8, %s, "attributes": %s}', :'facts', :'enrolment')::jsonb, '{"algorithm": "ensemble"}', 0.80) \g /dev/null
select pg_temp.try('the same, ensemble, small steps', 30, format('{"history": 8, %s, "attributes": %s}', :'facts', :'enrolment')::jsonb, :'small_steps', 0.80) \g /dev/null
