-- Clicks only: run where no assignment is in the warehouse, so that no feature knows of one.
select count(*) from dw.fact_assignment \gset assignments_
\if :assignments_count \quit \endif
select pg_temp.try('30 days, clicks', 30, ('{' || :'clicks' || '}')::jsonb, '{}', 0.725) \g /dev/null
select pg_temp.try('30 days, clicks, random forest', 30, ('{' || :'clicks' || '}')::jsonb, '{"algorithm": "random_forest"}', null) \g /dev/null
select pg_temp.try('30 days, clicks, logistic regression', 30, ('{' || :'clicks' || '}')::jsonb, '{"algorithm": "logistic_regression"}', null) \g /dev/null
select pg_temp.try('30 days, clicks, train 2013, test 2014', 30, ('{' || :'clicks' || '}')::jsonb, :'years', 0.70) \g /dev/null
