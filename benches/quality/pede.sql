-- The tasks of PEDE, from the workbook $WORKBOOK. Out of fold; folds by student, seed 42. Each row of pg_temp.quality is a number and its bar.
\set ON_ERROR_STOP on
\pset format aligned
SET client_min_messages = warning;
SELECT count(*) AS objects FROM empatia.create_warehouse() \g /dev/null
\set content `base64 -w 0 "$WORKBOOK"`
SELECT sheet, rows, changed_cells, rejected FROM empatia.import_file('pede', decode(:'content', 'base64'), file_name => 'pede_2022_2024.xlsx');
CREATE TEMPORARY TABLE quality (task text, measure text, value double precision, low double precision, high double precision);

-- next year from this year: 1 365 pairs
CREATE TEMPORARY TABLE next_year AS
    SELECT * FROM empatia.train_table('pede_next_year', 'dw.pede', 'defasagem < 0', target_lead => 1, algorithm => :'algorithm', deploy => 'always');
INSERT INTO quality SELECT 'next year', 'pairs', rows, 1365, 1365 FROM next_year UNION ALL SELECT 'next year', 'AUC', auc, 0.905, 1 FROM next_year;

-- the same, trained on 22 -> 23, tested on 23 -> 24. Half of the columns of 2022 were not collected in 2023 and what is missing is missing for other reasons: the
-- columns are those that both years have (phase, age, the index and its indicators), and a missing number is the median, so that its being missing says nothing.
CREATE TEMPORARY TABLE forward AS
    SELECT * FROM empatia.train_table('pede_forward', 'dw.pede', 'defasagem < 0', target_lead => 1, algorithm => 'random_forest', split => 'time', deploy => 'always',
        features => '{fase,fase_ideal,idade,defasagem,ian,inde,iaa,ieg,ips,ida,ipv}', options => '{"impute": "median"}',
        parameters => '{"trees": 1000, "min_leaf": 8}');
INSERT INTO quality SELECT 'train 22->23, test 23->24', 'rows tested', sum(c.rows), 765, 765 FROM forward f, empatia.confusion_matrix(f.model_version) c
    UNION ALL SELECT 'train 22->23, test 23->24', 'AUC', auc, 0.880, 1 FROM forward
    UNION ALL SELECT 'train 22->23, test 23->24', 'recall', recall, 0.97, 1 FROM forward
    UNION ALL SELECT 'train 22->23, test 23->24', 'precision', "precision", 0.55, 1 FROM forward;

-- the same year: the guard leaves out what gives the lag away
CREATE TEMPORARY TABLE same_year AS
    SELECT * FROM empatia.train_table('pede_same_year', 'dw.pede', 'defasagem < 0', algorithm => :'algorithm', deploy => 'always');
INSERT INTO quality SELECT 'same year', 'AUC', auc, 0.78, 1 FROM same_year
    UNION ALL SELECT 'same year', 'leaks among the features', cardinality(ARRAY(SELECT unnest(features) INTERSECT SELECT unnest(ARRAY['defasagem', 'ian', 'inde', 'fase', 'fase_ideal']))), 0, 0 FROM same_year
    UNION ALL SELECT 'same year', 'leaks found of ian, fase_ideal with fase, inde through ian', (SELECT count(*) FROM empatia.model m, jsonb_to_recordset(m.report #> '{leaks,leaks}') l (kind text, columns text[], through text)
        WHERE m.version = s.model_version AND (l.columns = '{ian}' OR l.columns @> '{fase,fase_ideal}' OR (l.columns = '{inde}' AND l.through = 'ian'))), 3, 3 FROM same_year s;

-- drift of IPS from 2022 to 2023
CREATE TEMPORARY TABLE pede_2022 AS SELECT * FROM dw.pede WHERE year = 2022;
CREATE TEMPORARY TABLE pede_2023 AS SELECT * FROM dw.pede WHERE year = 2023;
SELECT count(*) AS trained FROM empatia.train_table('pede_2022', 'pede_2022', 'defasagem < 0', key => '{ra}', exclude => '{import_id,file,sheet,row,year}', algorithm => 'logistic_regression', deploy => 'always');
INSERT INTO quality SELECT 'drift 2022 -> 2023', 'PSI of ips', psi, 1.7, 2.0 FROM empatia.drift('pede_2022', against => 'pede_2023') WHERE name = 'ips' AND kind = 'feature';

SELECT unnest(leaks) AS "what the leak guard says" FROM same_year;
SELECT task, measure, round(value::numeric, 4) AS value, low, high, CASE WHEN value BETWEEN low AND high THEN 'reached' ELSE 'MISSED' END AS bar FROM quality;
