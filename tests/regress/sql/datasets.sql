-- Datasets and imports. Faults guarded against: a cell that becomes another number or a null unseen; a header that drifts and is lost; a row that
-- vanishes; the same file twice that writes; a newer file that wipes columns it does not have; a path read by who may not.
\set SHOW_CONTEXT never
\pset null '(null)'
create extension empatia;
select * from empatia.import_file('pede', ''::bytea);
set client_min_messages = warning;
select count(*) from empatia.create_warehouse();
reset client_min_messages;

-- definitions that contradict themselves
select empatia.define_dataset('Grades', '[]');
select empatia.define_dataset('grades', '{}');
select empatia.define_dataset('grades', '[{"name": "grade", "type": "number"}]');
select empatia.define_dataset('grades', '[{"name": "ra", "type": "text", "role": "key"}, {"name": "row", "type": "number"}]');
select empatia.define_dataset('grades', '[{"name": "ra", "type": "varchar", "role": "key"}]');
select empatia.define_dataset('grades', '[{"name": "ra", "type": "text", "role": "key", "alias": ["x"]}]');
select empatia.define_dataset('grades', '[{"name": "ra", "type": "text", "role": "key"}, {"name": "g", "type": "number", "min": 3, "max": 2}]');
select empatia.define_dataset('grades', '[{"name": "ra", "type": "text", "role": "key"}, {"name": "g", "type": "category", "categories": {"a": ["X"], "b": ["x"]}}]');
select empatia.define_dataset('student', '[{"name": "ra", "type": "text", "role": "key"}]');
select * from empatia.import_file('nothing', 'a;b'::bytea);

-- every kind of column
select * from empatia.define_dataset('grades', '[
    {"name": "ra", "type": "text", "role": "key", "case": "upper", "aliases": ["Registro do Aluno"]},
    {"name": "phase", "type": "integer", "aliases": ["Fase", "Fase turma"], "words": {"ALFA": 0}, "extract": true, "min": 0, "max": 9},
    {"name": "class", "type": "text", "aliases": ["Turma", "Fase turma"]},
    {"name": "age", "type": "integer", "aliases": ["Idade"], "min": 4, "max": 99, "description": "in years"},
    {"name": "grade", "type": "number", "aliases": ["Nota"], "min": 0, "max": 10000},
    {"name": "gender", "type": "category", "aliases": ["Gênero"], "categories": {"female": ["Menina", "F"], "male": ["Menino", "M"]}},
    {"name": "active", "type": "boolean", "aliases": ["Ativo?"]},
    {"name": "born", "type": "date", "aliases": ["Nascimento"]},
    {"name": "lag", "type": "integer", "role": "target", "aliases": ["Defas", "Defasagem"]},
    {"name": "secret", "type": "text", "role": "ignore", "aliases": ["Nome"]}]', 'grades of a school', missing => '{INCLUIR}');
select a.attname, format_type(a.atttypid, null), a.attnotnull, col_description(a.attrelid, a.attnum)
from pg_attribute a where a.attrelid = 'dw.grades'::regclass and a.attnum > 0 order by a.attnum;

-- a title above the header, Latin-1, semicolons, decimal commas, CR line ends; a column nobody named, one nobody knows
create table file (name text primary key, content bytea);
insert into file values ('a.csv', convert_to(replace($f$Planilha de notas
REGISTRO DO ALUNO;FASE ;Turma;Idade;Nota 2024;Gênero;Ativo?;Nascimento;Defas;Nome;Cor
a1;7;B;11;7,5;Menina;Sim;06/05/2010;-1;Ana;azul
 A2 ;FASE 7;B;1900-01-11;1.234,5;FEMALE;não;2010-05-06;0,0;Bia;
A3;7E;#N/D;12/02/2015;INCLUIR;M;talvez;31/02/2010;x;Caio;
A4;ALFA;;9,5;-;Outro;;;1.234;Duda;;perdido
A5;D108;C;150;85%;menino;;;2;;
;1;C;11;9;F;;;;sem chave;
A1;2;C;12;3;F;;;;;

A6;;;;;;;;;;
$f$, E'\n', E'\r'), 'LATIN1'));
select * from empatia.import_file('grades', (select content from file), 'a.csv', year => 2024) \gx
select "row", year, ra, phase, class, age, grade, gender, active, born, lag from dw.grades order by "row";
select "row", "column", header, raw, result, rule from dw.import_report order by "row", "column" collate "C", rule collate "C";
select "row", rule, content from dw.import_reject order by 1;
select format, encoding, delimiter, bytes, rows, inserted, rejected, changed_cells, encode(sha256, 'hex') = encode(sha256((select content from file)), 'hex') as hash, imported_by = current_user as me
from dw.import;

-- the same again changes nothing; read again, nothing either
select xmin as before from dw.grades where ra = 'A1' \gset
select rows, inserted, updated, unchanged, message ~ '^imported already at .*: nothing changed$' as known from empatia.import_file('grades', (select content from file), 'a.csv', year => 2024);
select rows, inserted, updated, unchanged, message from empatia.import_file('grades', (select content from file), 'a.csv', year => 2024, again => true);
select xmin = :'before' as untouched, count(*) over () from dw.grades where ra = 'A1';
-- another year is another row
select rows, inserted, updated, unchanged from empatia.import_file('grades', (select content from file), 'a.csv', year => 2023);

-- a newer file with fewer columns: what it does not have stays; commas and quotes
select rows, inserted, updated, unchanged, missing_columns from empatia.import_file('grades', E'"ra","grade"\n"A1","8.5"\n"A2","1,234.5"\n"A9","1"\n'::bytea, 'notas 2024.csv');
select ra, phase, age, grade, file from dw.grades where year = 2024 order by ra;

-- years in the headers: one row per year that is said; one column named twice
select rows, inserted, years, unknown_headers from empatia.import_file('grades',
    E'RA;NOTA_2020;NOTA_2021;IDADE_2021;FASE_TURMA_2020;Nota\nB1;7.5;8;11;2H;\nB2;;;12;;\nB3;1;;;;3\n'::bytea, 'wide_2020_2021.csv');
select ra, year, phase, class, age, grade from dw.grades where ra like 'B%' order by ra, year;
select "row", "column", header, raw, result, rule from dw.import_report r join dw.import i using (import_id) where i.file = 'wide_2020_2021.csv' order by "row", header collate "C", "column" collate "C", rule collate "C";

-- no year anywhere, no key, nothing to read, too many rows
select * from empatia.import_file('grades', E'RA;Nota\nA1;3\n'::bytea);
select * from empatia.import_file('grades', E'Nome;Nota\nA1;3\n'::bytea, year => 2024);
select * from empatia.import_file('grades', ''::bytea, year => 2024);
select * from empatia.import_file('grades', '\x504b0304'::bytea, year => 2024);
select * from empatia.import_file('grades', null::bytea, year => 2024);
select * from empatia.import_file('grades', E'RA;Nota\nA1;3\nA2;3\n'::bytea, year => 2024, max_rows => 2);
select * from empatia.import_file('grades', E'RA;Nota\nA1;3\n'::bytea, sheet => 'Plan1', year => 2024);
select count(*) from dw.import;

-- a definition may grow; type and key of what is stored may not change
select columns, message from empatia.define_dataset('grades', '[{"name": "ra", "type": "text", "role": "key"}, {"name": "grade", "type": "number"}, {"name": "extra", "type": "integer"}]');
select attname from pg_attribute where attrelid = 'dw.grades'::regclass and attnum > 0 and attname in ('extra', 'phase') order by 1;
select empatia.define_dataset('grades', '[{"name": "ra", "type": "text", "role": "key"}, {"name": "grade", "type": "text"}]');
select empatia.define_dataset('grades', '[{"name": "ra", "type": "text", "role": "key"}, {"name": "age", "type": "integer", "role": "key"}]');
-- without years
select message from empatia.define_dataset('room', '[{"name": "room", "type": "integer", "role": "key"}, {"name": "seats", "type": "integer"}]', yearly => false);
select rows, inserted, years from empatia.import_file('room', E'room,seats\n1,30\n2,40\n2,41\n'::bytea, 'rooms 2024.csv');
select room, seats, year from dw.room order by room;
-- a table that was dropped or emptied: its files are not there any more, and import again; also after another file
select message ~ '^imported already' as known from empatia.import_file('room', E'room,seats\n1,30\n2,40\n2,41\n'::bytea, 'rooms 2024.csv');
drop table dw.room;
select rows, inserted, message from empatia.import_file('room', E'room,seats\n3,7\n'::bytea, 'rooms 2025.csv');
select rows, inserted, message from empatia.import_file('room', E'room,seats\n1,30\n2,40\n2,41\n'::bytea, 'rooms 2024.csv');
select message ~ '^imported already' as known from empatia.import_file('room', E'room,seats\n1,30\n2,40\n2,41\n'::bytea, 'rooms 2024.csv');
truncate dw.room;
select rows, inserted, message from empatia.import_file('room', E'room,seats\n1,30\n2,40\n2,41\n'::bytea, 'rooms 2024.csv');
select room, seats, file from dw.room order by room;
select file, gone from dw.import where dataset = 'room' order by import_id;
-- a file without a row that could be taken leaves an empty table, and is known all the same
delete from dw.room;
select rows, rejected, message ~ '^imported already' as known from empatia.import_file('room', E'room,seats\nx,1\n'::bytea, 'x.csv');
select rows, rejected, message ~ '^imported already' as known from empatia.import_file('room', E'room,seats\nx,1\n'::bytea, 'x.csv');

-- pede ships: its headers of three years are one column each
select name, shipped, jsonb_array_length(definition -> 'columns') > 40 as columns from empatia.dataset where name = 'pede';
select rows, unknown_headers from empatia.import_file('pede', E'RA;Fase;INDE 22;Pedra 22;Pedra 23;Matem;Fase ideal;Defas;Nº Av\nRA-1;FASE 7;7,5;agata;Quartzo;8;Fase 8 (Universitários);-1;3\n'::bytea, 'PEDE2022.csv');
select ra, year, fase, inde, pedra, pedra_2022, pedra_2023, matematica, fase_ideal, defasagem, n_av from dw.pede;

-- files of the server are for members of pg_read_server_files
select * from empatia.import_file('grades', 'notas.csv');
select * from empatia.import_file('grades', '/nonexistent/notas.csv');
select * from empatia.import_folder('grades', '/nonexistent');
create role regress_empatia_importer;
grant usage on schema dw to regress_empatia_importer;
set role regress_empatia_importer;
select * from empatia.import_file('grades', '/etc/passwd');
select * from empatia.import_folder('grades', '/etc');
select empatia._read_server_file('/etc/passwd');
reset role;
drop owned by regress_empatia_importer;
drop role regress_empatia_importer;
