-- Models of an imported dataset. Faults guarded against: what the import writes beside the data (the row of the file is the order in which somebody typed it) is learnt
-- from; a column that its definition calls a leak or a name is learnt from; a case that is named and written as in the files is not understood, or otherwise than a file is.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION empatia;
SELECT count(*) AS objects FROM empatia.create_warehouse() \g /dev/null
SELECT * FROM empatia.define_dataset('pupil', '[
    {"name": "ra", "type": "text", "role": "key", "case": "upper", "aliases": ["Aluno"]},
    {"name": "nome", "type": "text", "role": "info"},
    {"name": "fase", "type": "integer", "min": 0, "max": 9, "words": {"ALFA": 0}, "extract": true, "aliases": ["Fase turma"]},
    {"name": "turma", "type": "text", "case": "upper", "aliases": ["Fase turma"]},
    {"name": "genero", "type": "category", "categories": {"Feminino": ["Menina"], "Masculino": ["Menino"]}, "aliases": ["Sexo"]},
    {"name": "nota", "type": "number", "min": 0, "max": 10, "missing": ["INCLUIR"]},
    {"name": "bolsista", "type": "boolean"},
    {"name": "desde", "type": "date", "aliases": ["Ingresso"]},
    {"name": "conselho", "type": "category", "role": "leak"},
    {"name": "defasagem", "type": "integer", "role": "target", "min": -9, "max": 9, "aliases": ["Defas"]}]');
-- invented: who lags has lower grades; the council says so afterwards; the file is sorted by lag
CREATE FUNCTION file_of(y integer) RETURNS bytea LANGUAGE sql AS $$
    SELECT convert_to(E'Aluno;Nome;Fase turma;Sexo;Nota;Bolsista;Ingresso;Conselho;Defas\n' || string_agg(concat_ws(';', 'p' || p, 'Nome ' || p, CASE p % 4 WHEN 0 THEN 'ALFA' ELSE 'FASE ' || p % 4 || chr(65 + p % 2) END,
        (ARRAY['Menina', 'Menino'])[1 + p % 2], replace((6 + lag * 2 + abs(sin(p * 13 + y)) * 3)::numeric(4, 1)::text, '.', ','), (ARRAY['sim', 'não'])[1 + p % 2],
        to_char(date '2019-02-01' + p % 900, 'DD/MM/YYYY'), CASE WHEN lag < 0 THEN 'sim' ELSE 'não' END, lag), E'\n' ORDER BY lag, p), 'UTF8')
    FROM generate_series(1, 150) p, LATERAL (SELECT -(sin(p * 3.3) + 0.4 * sin(p * 17.9 + y) > 0.35)::int AS lag) l
$$;
SELECT i.years, i.rows, i.inserted, i.rejected FROM (VALUES (2023), (2024)) v (y), empatia.import_file('pupil', file_of(y), file_name => y || '.csv', year => y) i ORDER BY y;
SELECT ra, year, fase, turma, genero, nota, bolsista, desde FROM dw.pupil WHERE ra IN ('P4', 'P5') ORDER BY 1, 2;

-- key and time are the dataset's
SELECT rows, students, split, features, excluded, leaks FROM empatia.train_table('next', 'dw.pupil', 'defasagem < 0', target_lead => 1, algorithm => 'logistic_regression', deploy => 'always');
SELECT rows, students, features, excluded, leaks FROM empatia.train_table('same', 'dw.pupil', 'defasagem < 0', algorithm => 'logistic_regression', deploy => 'never');
SELECT kind, columns, words FROM empatia.find_leaks('dw.pupil', 'defasagem < 0');
-- what is named is taken
SELECT features, excluded FROM empatia.train_table('named', 'dw.pupil', 'defasagem < 0', key => '{ra}', features => '{row,conselho,nota}', allow_leaks => '{conselho,row}', algorithm => 'logistic_regression', deploy => 'never');
-- a view is not the table: it has the columns that somebody chose
CREATE VIEW chosen AS SELECT ra, year, nota, nome FROM dw.pupil;
SELECT * FROM empatia._dataset_of('chosen');

-- the case of a file's row, in its words, is the row as it was imported
SELECT p.student_id, p.imputed, p.unknown, p.refused, p.risk_score = r.risk_score AS as_the_row
FROM empatia.predict('next', '{"Aluno": "p5", "Nome": "x", "FASE TURMA": "FASE 1B", "sexo": "menino", "Nota 2024": "5,5", "Bolsista": "Não", "Ingresso": "06/02/2019", "Conselho": "sim", "Defas": "-1"}', record => false) p,
     (SELECT 'P5' AS ra, 1 AS fase, 'FASE 1B' AS turma, 'Masculino' AS genero, 5.5 AS nota, false AS bolsista, date '2019-02-06' AS desde, -1 AS defasagem) c,
     empatia.predict('next', to_jsonb(c), record => false) r;
SELECT inputs FROM empatia._predict((SELECT max(version) FROM empatia.model WHERE name = 'next'), '{"Aluno": "p4", "Fase turma": "alfa", "Sexo": "Menina", "Nota": "INCLUIR"}', 0, 'pt');
SELECT p.imputed, p.unknown, p.refused FROM empatia.predict('next', '{"aluno": "p4", "fase": "12", "genero": "?", "nota": [5], "bolsista": "talvez", "desde": "ontem", "sapato": 38}', record => false) p;
-- a definition that changed since does not change what the model was trained on; one that nobody can read is refused
UPDATE empatia.dataset SET definition = jsonb_set(definition, '{columns,4,categories}', '{"f": ["Menina"]}') WHERE name = 'pupil';
SELECT inputs ->> 'genero' AS genero FROM empatia._predict((SELECT max(version) FROM empatia.model WHERE name = 'next'), '{"sexo": "menina"}', 0, 'pt');
UPDATE empatia.model SET recipe = jsonb_set(recipe, '{dataset,columns}', '7') WHERE name = 'next';
SELECT * FROM empatia.predict('next', '{"sexo": "menina"}');
