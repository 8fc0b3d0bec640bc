-- The words of reasons, read as a teacher reads them: number and gender agree, nothing is called the opposite of what it is, no hole is left open.
CREATE EXTENSION empatia;
SELECT empatia._fill_feature_text();
\pset tuples_only
\pset format unaligned
CREATE FUNCTION say(language text) RETURNS TABLE (words text) LANGUAGE sql AS $$
    SELECT empatia._reason_words($1, f.feature, f.value, true, 4, f.typical, '{assigned_exercises,submitted_exercises}', '{7,2}') || '   |   '
        || empatia._reason_words($1, f.feature, f.value, false, 4, f.typical, '{assigned_exercises,submitted_exercises}', '{7,2}')
    FROM (SELECT 1 AS place, m.feature, v.value, '{2,5}'::float8[] AS typical
          FROM unnest('{posts,post_replies,help_requests,help_request_replies,accesses,active_days,assigned_exercises,late_exercises,unit_size,unit_age}'::text[]) WITH ORDINALITY m (feature, i), unnest('{0,1,4,6}'::float8[]) v (value)
          UNION ALL SELECT 2, 'submitted_exercises', v.value, '{0,2}' FROM unnest('{0,1,2,3,7}'::float8[]) v (value)
          UNION ALL SELECT 3, m.feature, v.value, '{0.4,0.8}' FROM unnest('{grade_avg,conclusion,late_share,active_share,unit_active_share}'::text[]) m (feature), unnest('{0,0.125,0.5,0.95,1,NULL}'::float8[]) v (value)
          UNION ALL SELECT 4, 'periods_since_active', v.value, '{1,3}' FROM unnest('{0,1,3,5}'::float8[]) v (value)
          UNION ALL SELECT 5, 'activity_slope', v.value, '{}' FROM unnest('{-4,-0.5,0,0.002,2.25,NULL}'::float8[]) v (value)
          UNION ALL SELECT 6, m.feature, v.value, '{}' FROM unnest('{activity_rank,sum_rank}'::text[]) m (feature), unnest('{0.1,0.5,0.9}'::float8[]) v (value)
          UNION ALL SELECT 7, 'unit_mean_activity', v.value, '{0.5,3}' FROM unnest('{0,0.25,1,12.5}'::float8[]) v (value)
          UNION ALL SELECT 8, 'unit_age', NULL, '{}'
          UNION ALL SELECT 9, m.feature, v.value, '{1,5}' FROM unnest('{posts_lag1,posts_lag3,posts_sum,submitted_exercises_lag1,submitted_exercises_sum,late_exercises_lag2}'::text[]) m (feature), unnest('{0,1,6,NULL}'::float8[]) v (value)
          UNION ALL SELECT 10, 'renda', v.value, '{}' FROM unnest('{1.5,NULL}'::float8[]) v (value)) f
    ORDER BY f.place, f.feature, f.value NULLS LAST
$$;
SELECT * FROM say('pt');
SELECT * FROM say('en');
SELECT count(*) FROM say('pt') WHERE words ~ '[{}<>|?\[\]] ?[^ ]' AND words !~ '   \|   ';
-- both languages know the same features, in the same formats
SELECT p.feature FROM empatia.feature_text p FULL JOIN empatia.feature_text e ON e.feature = p.feature AND e.language = 'en' AND e.format = p.format
WHERE p.language = 'pt' AND (e.feature IS NULL OR (p.zero IS NULL, p.low IS NULL, p.high IS NULL, p.missing IS NULL, p.name IS NULL) <> (e.zero IS NULL, e.low IS NULL, e.high IS NULL, e.missing IS NULL, e.name IS NULL));
-- a school's own words; another language
UPDATE empatia.feature_text SET zero = 'não acessou a turma' WHERE (feature, language) = ('accesses', 'pt');
SELECT empatia._reason_words('pt', 'accesses', 0, true, 4);
SELECT empatia._reason_words('fr', 'accesses', 0, true, 4);
INSERT INTO empatia.feature_text (feature, language, middle, format) VALUES ('x', 'pt', 'x', 'number');
