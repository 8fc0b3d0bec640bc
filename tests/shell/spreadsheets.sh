#!/usr/bin/env bash
# Guards against a spreadsheet's number that is stored as another one, or lost without a word: every numeric cell of a workbook of three sheets and of a
# wide CSV, read by openpyxl and csv (tests/truth/spreadsheets.py), is stored as it is or is in the report. The files are those of
# ../shared/data/pede, else invented ones of the same headers and dirt. Then: what members of pg_read_server_files may do and others not, folders, a
# cancel, and that an import takes no more memory than it may.
# And the same sheets written as XLSX, XLS and ODS by three writers (tests/truth/sheet_formats.py) are the same rows.
# openpyxl, xlwt and odfpy come from PyPI into a virtual environment under .pg/; without them this test fails, for it has nothing to compare with.
# shellcheck source=tests/shell/lib.sh
source "$(dirname "$0")/lib.sh"

VENV=$HOUSE/.pg/spreadsheets
exec 8> "$HOUSE/.pg/spreadsheets.lock"
flock 8
if ! "$VENV/bin/python" -c 'import openpyxl, xlwt, odf' 2>/dev/null; then
  rm -rf "$VENV"
  python3 -m venv "$VENV" || fail "python3 -m venv does not work here (Debian: apt-get install python3-venv)"
  "$VENV/bin/pip" install -q --disable-pip-version-check --retries 2 --timeout 30 'openpyxl>=3.1,<4' 'xlwt>=1.3,<2' 'odfpy>=1.4,<2' ||
    fail "openpyxl, xlwt and odfpy could not be installed from PyPI into $VENV: the truth that the rows are compared with is missing"
fi
exec 8>&-

server_start
create_database app
sql 'SET client_min_messages = warning; SELECT * FROM empatia.create_warehouse()' > /dev/null

# a folder that the server's user can read
FILES=$(server_dir)/files
as_server mkdir -p "$FILES"
WORK=$(server_dir)/work
mkdir -p "$WORK"
put() { as_server tee "$FILES/$2" < "$1" > /dev/null; }

DATA=$PROJECT/../shared/data/pede
if [ -f "$DATA/pede_2022_2024.xlsx" ]; then
  echo "data: $DATA"
  cp "$DATA/pede_2022_2024.xlsx" "$WORK/workbook.xlsx"
  cp "$DATA/pede_2020_2022_wide.csv" "$WORK/wide.csv"
else
  echo "data: invented, for ../shared/data/pede is not there"
  "$VENV/bin/python" "$PROJECT/tests/truth/spreadsheets.py" generate "$WORK"
fi
put "$WORK/workbook.xlsx" workbook.xlsx
put "$WORK/wide.csv" wide.csv

sql "SELECT sheet, rows, inserted, rejected FROM empatia.import_file('pede', '$FILES/workbook.xlsx')"
sql "SELECT years, rows, inserted, rejected FROM empatia.import_file('pede', '$FILES/wide.csv')"
sql "COPY (SELECT * FROM dw.pede) TO STDOUT (FORMAT csv, HEADER)" > "$WORK/rows.csv"
sql "COPY (SELECT * FROM dw.import_report) TO STDOUT (FORMAT csv, HEADER)" > "$WORK/report.csv"
"$VENV/bin/python" "$PROJECT/tests/truth/spreadsheets.py" check "$WORK/workbook.xlsx" "$WORK/wide.csv" "$WORK/rows.csv" "$WORK/report.csv" ||
  fail "rows or report differ from what the files say"
if [ -f "$DATA/pede_2022_2024.xlsx" ]; then
  assert_eq "$(sql "SELECT count(*), count(DISTINCT \"row\") FROM dw.import_report WHERE rule = 'date_as_number' AND \"column\" = 'idade' AND sheet = 'PEDE2023'")" "399|399" "ages that were shown as dates"
  assert_eq "$(sql "SELECT count(*) FROM dw.import_report WHERE raw = 'INCLUIR' AND \"column\" = 'inde' AND result IS NULL")" 38 "INCLUIR in INDE 2024"
fi
assert_eq "$(sql "SELECT count(*) FROM dw.import_reject")" 0 "rows rejected"

# the same folder changes nothing, and a file that cannot be read does not stop the others
before=$(sql "SELECT count(*), md5(string_agg(p::text, ',' ORDER BY ra, year)) FROM dw.pede p")
head -c 3000 "$WORK/workbook.xlsx" > "$WORK/broken.xlsx"
put "$WORK/broken.xlsx" broken.xlsx
assert_eq "$(sql "SELECT file, sum(inserted + updated), bool_or(error IS NOT NULL) FROM empatia.import_folder('pede', '$FILES') GROUP BY 1 ORDER BY 1")" \
  $'broken.xlsx||t\nwide.csv|0|f\nworkbook.xlsx|0|f' "a folder a second time"
assert_eq "$(sql "SELECT file FROM empatia.import_folder('pede', '$FILES', '*.CSV')")" wide.csv "a pattern"
assert_eq "$(sql "SELECT count(*), md5(string_agg(p::text, ',' ORDER BY ra, year)) FROM dw.pede p")" "$before" "rows after that"

# three formats by three writers say the same: dates that are numbers, cells that are errors, texts over the seams of records, repeated empty cells
"$VENV/bin/python" "$PROJECT/tests/truth/sheet_formats.py" "$WORK"
for format in xlsx xls ods; do
  put "$WORK/sheet.$format" "sheet.$format"
  sql "SELECT count(*) FROM empatia.define_dataset('as_$format', '[{\"name\": \"ra\", \"type\": \"text\", \"role\": \"key\"},
       {\"name\": \"fase\", \"type\": \"integer\", \"extract\": true, \"words\": {\"ALFA\": 0}, \"min\": 0, \"max\": 9}, {\"name\": \"nota\", \"type\": \"number\"},
       {\"name\": \"idade\", \"type\": \"integer\", \"min\": 4, \"max\": 99}, {\"name\": \"nascimento\", \"type\": \"date\"}, {\"name\": \"ativo\", \"type\": \"boolean\"},
       {\"name\": \"erro\", \"type\": \"text\"}]')" > /dev/null
  assert_eq "$(sql "SELECT sheet, rows, inserted, rejected FROM empatia.import_file('as_$format', '$FILES/sheet.$format') ORDER BY 1")" \
    $'2023|4|4|1\n2024|700|700|0\nnotas|0|0|0' "$format: what each sheet gives"
  sql "SET datestyle = ISO; SELECT \"row\", year, ra, fase, nota, idade, nascimento, ativo, erro FROM dw.as_$format ORDER BY year, \"row\"" > "$WORK/$format.txt"
  diff "$WORK/expected.txt" "$WORK/$format.txt" || fail "$format: rows (<) that are others (>)"
  assert_eq "$(sql "SELECT string_agg(rule || ' ' || n, ', ' ORDER BY rule) FROM (SELECT r.rule, count(*) AS n FROM dw.import_report r JOIN dw.import i USING (import_id)
    WHERE i.dataset = 'as_$format' AND r.rule IN ('date_as_number', 'spreadsheet_error', 'decimal_comma', 'word_as_number') GROUP BY 1) c")" \
    "date_as_number 2, decimal_comma 1, spreadsheet_error 2, word_as_number 1" "$format: cells in the report"
  assert_eq "$(sql "SELECT r.\"row\" FROM dw.import_reject r JOIN dw.import i USING (import_id) WHERE i.dataset = 'as_$format'")" 6 "$format: the row without a key"
done

# paths: members of pg_read_server_files; a pipe does not hang
sql "CREATE ROLE importer LOGIN; GRANT empatia_operator TO importer; GRANT ALL ON SCHEMA dw TO importer; GRANT ALL ON ALL TABLES IN SCHEMA dw TO importer"
assert_sql_fails "SET ROLE importer; SELECT * FROM empatia.import_file('pede', '$FILES/wide.csv')" 42501 "a path for who may not"
assert_sql_fails "SET ROLE importer; SELECT * FROM empatia.import_folder('pede', '$FILES')" 42501 "a folder for who may not"
sql "ALTER TABLE dw.pede OWNER TO importer"
assert_sql "SET ROLE importer; SELECT rows, inserted FROM empatia.import_file('pede', convert_to(E'RA;Idade\nZ-1;11\n', 'UTF8'), year => 2024)" "1|1" "content needs no such privilege"
sql "GRANT pg_read_server_files TO importer"
assert_sql "SET ROLE importer; SELECT rows > 0 FROM empatia.import_file('pede', '$FILES/wide.csv')" t "a member"
as_server mkfifo "$FILES/pipe.csv"
assert_sql_fails "SELECT * FROM empatia.import_file('pede', '$FILES/pipe.csv')" 42809 "a pipe"

# a large file: within its memory, and cancelled in the middle
sql "SELECT * FROM empatia.define_dataset('big', '[{\"name\": \"id\", \"type\": \"text\", \"role\": \"key\"}, {\"name\": \"x\", \"type\": \"number\"}, {\"name\": \"y\", \"type\": \"number\"}]')" > /dev/null
awk 'BEGIN { print "id;x;y"; for (i = 0; i < 1000000; i++) print "S" i ";" i / 8 ";7,5" }' > "$WORK/big.csv"
put "$WORK/big.csv" big.csv
assert_sql_fails "SET empatia.memory_limit = '64MB'; SELECT * FROM empatia.import_file('big', '$FILES/big.csv', year => 2024)" 53200 "a file beyond memory_limit"
assert_sql_fails "SET statement_timeout = '300ms'; SELECT * FROM empatia.import_file('big', '$FILES/big.csv', year => 2024)" 57014 "a timeout"
assert_eq "$(sql "SELECT count(*) FROM dw.big")" 0 "rows of imports that failed"
echo "ok"
