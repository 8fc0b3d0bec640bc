-- A model of a table out of one registry and into another. Faults guarded against: a model that predicts otherwise after the journey, that forgets its key, aliases, threshold
-- or scores, that comes into use by itself where another one is, or takes a level that it cannot have; damaged bytes that are believed.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION empatia;
INSERT INTO empatia.setting VALUES ('language', 'en', 'of words');
SELECT count(*) > 0 AS created FROM empatia.create_warehouse();
CREATE SCHEMA school;
CREATE TABLE school.pupil AS
    SELECT 'p' || p AS pupil, g.grade, round((60 + 35 * abs(cos(p * 7.1)))::numeric) AS attendance, CASE WHEN mod(p, 3) = 0 THEN 'Private' ELSE 'Public' END AS school,
           mod(p, 2) = 0 AS scholarship, date '2010-01-01' + p AS born, g.grade + sin(p * 3.3) < 5.5 AS behind
    FROM generate_series(1, 300) p, LATERAL (SELECT round((5 + 3 * abs(sin(p * 13.7)))::numeric, 1) AS grade) g;
SELECT model_version, classes, positive FROM empatia.train_table('behind', 'school.pupil', 'behind', key => '{pupil}', algorithm => 'gradient_boosting', deploy => 'always',
    parameters => '{"rounds": 20}', options => '{"positive": "behind", "negative": "ok", "aliases": {"nota": "grade"}}');
CREATE TABLE public.said AS SELECT * FROM empatia.predict_rows('behind', 'school.pupil', record => false, factors => 3);
CREATE TABLE public.curve AS SELECT * FROM empatia.roc_curve(1);
CREATE TABLE public.known AS SELECT m.* FROM empatia.model m;
CREATE TABLE public.one AS SELECT p.risk_score, p.class, p.threshold, p.student_id, p.top_risk_factors, p.unknown FROM empatia.predict('behind', '{"Pupil": "p3", "Nota": "5,5", "SCHOOL": "public", "shoe": 1}', record => false) p;
CREATE TABLE public.bytes AS SELECT empatia.export_model(1) AS packed;
SELECT substr(packed, 1, 4) = 'EMPA' AS marked FROM public.bytes;

-- into the registry that it comes from: a version more, which is not in use
SELECT i.model_version, i.level, i.grain, i.client, i.target, i.algorithm, i.classes, i.message FROM public.bytes, empatia.import_model(packed) i;
SELECT version FROM empatia.predict('behind', '{}', record => false);
SELECT version, previous_version, action FROM empatia.deploy(2);
SELECT version FROM empatia.predict('behind', '{}', record => false);
SELECT version FROM empatia.rollback('behind');
-- what is of a table has no level
SELECT i.* FROM public.bytes, empatia.import_model(packed, 'SPA', 'WEEK') i;
SELECT i.* FROM public.bytes, empatia.import_model(packed, client => 'nobody') i;
-- bytes that were changed or cut off, and those of something else
-- (lengths and checksums are each run's own)
CREATE FUNCTION public.said_of(bytes bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM empatia.import_model(bytes);
    RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || regexp_replace(SQLERRM, '\m[0-9a-f]{5,}\M', '#', 'g');
END $$;
SELECT public.said_of(set_byte(packed, length(packed) / 2, get_byte(packed, length(packed) / 2) # 1)) FROM public.bytes;
SELECT public.said_of(substr(packed, 1, length(packed) - 1)) FROM public.bytes;
SELECT i.* FROM empatia.import_model('EMPA') i;
SELECT i.* FROM empatia.import_model(NULL) i;
SELECT empatia.export_model(99);
SELECT empatia.export_model(1, 'pickle');
SELECT count(*) AS versions FROM empatia.model;

-- into another one: nothing of the first is left but the bytes
DROP EXTENSION empatia;
DROP SCHEMA dw, analytics CASCADE;
ALTER TABLE school.pupil RENAME TO renamed;
CREATE EXTENSION empatia;
INSERT INTO empatia.setting VALUES ('language', 'en', 'of words');
SELECT model_version, message FROM public.bytes, empatia.import_model(packed);
SELECT count(*) AS rows, count(*) FILTER (WHERE (r.risk_score, r.class, r.top_risk_factors) IS DISTINCT FROM (s.risk_score, s.class, s.top_risk_factors)) AS others
FROM empatia.predict_rows('behind', 'school.renamed') r FULL JOIN public.said s USING (student_id);
SELECT count(*) AS points, count(*) FILTER (WHERE c IS DISTINCT FROM o) AS others
FROM (SELECT *, row_number() OVER () AS i FROM empatia.roc_curve(1)) c FULL JOIN (SELECT *, row_number() OVER () AS i FROM public.curve) o USING (i);
SELECT count(*) AS one, bool_and(ROW(p.risk_score, p.class, p.threshold, p.student_id, p.top_risk_factors, p.unknown) = ROW(o.*)) AS equal
FROM empatia.predict('behind', '{"Pupil": "p3", "Nota": "5,5", "SCHOOL": "public", "shoe": 1}') p, public.one o;
-- everything that the registry knew, but when and by whom it was made: that is in its parameters
SELECT e.key FROM public.known k, empatia.model m, jsonb_each(to_jsonb(m)) e WHERE e.value IS DISTINCT FROM to_jsonb(k) -> e.key ORDER BY 1;
SELECT m.parameters - 'imported' = k.parameters AS same, m.parameters #>> '{imported,created_at}' = to_jsonb(k) ->> 'created_at' AS when_made FROM public.known k, empatia.model m;
-- it was imported: its target is SQL of another place, and is not run here
SELECT * FROM empatia.retrain_table('behind');
SELECT version FROM empatia.deploy(1);
SELECT model_card ~ 'behind' AS card FROM empatia.model_card(1, 'en');
