#!/usr/bin/env bash
# The cube against its definition on the complete OULAD (10.6 million clicks), and the time of each step. Takes half an hour or
# more and 15 GB of disk, and needs data that are not ours to ship: by hand, not part of `make test`.
#   tests/oulad/equality.sh [DIR]          DIR with OULAD's files; default: ../shared/data/oulad beside the project
#   LOADED=1 tests/oulad/equality.sh       the server of the PG* variables has loaded client ou and built the four parts: only compare
#   LEC_ROWS=N                             dense rows of LEC to compare per grain (default 5 million), the smallest presentations first
# Compared: SPA x WEEK and SPA x MONTH with engagement(), every dense row and measure; LEC x WEEK and LEC x MONTH in every stored cell
# with the rows of OULAD's own tables, and every dense row of the smallest presentations with engagement() (all of them: 1 460 million rows at LEC x WEEK).
# shellcheck source=scripts/pg.sh
source "$(dirname "$0")/../../scripts/pg.sh"
# shellcheck source=scripts/oulad.sh
source "$PROJECT/scripts/oulad.sh"
export PATH=$PG_BIN:$PATH

DATA=${1:-$PROJECT/../shared/data/oulad}
LEC_ROWS=${LEC_ROWS:-5000000}
FAILED=0

query() { printf '%s\n' "$1" | psql -XAtq -F ' ' -v ON_ERROR_STOP=1; }
# result NAME DIFFERENCES: a line that scripts/test.sh would count
result() {
  if [ "$2" = 0 ]; then say "ok - $1"; else say "not ok - $1: $2 differences"; FAILED=1; fi
}

if [ -z "${LOADED:-}" ]; then
  oulad_start oulad "$DATA"
  query "SELECT count(*) FROM empatia.create_warehouse(); SELECT empatia.add_client('ou', 'Open University');
         SELECT empatia.add_source('ou', 'oulad', 'oulad')" > /dev/null
  say "stream, rows read, inserted, rejected, seconds:"
  query "SELECT stream, read, inserted, rejected, round(seconds::numeric, 2) FROM empatia.load('ou')"
  say "level, grain, dense rows, stored rows, seconds:"
  for part in SPA:WEEK SPA:MONTH LEC:WEEK LEC:MONTH; do
    query "SELECT level, grain, dense_rows, stored_rows, round(seconds::numeric, 2) FROM empatia.build_cube('${part%:*}', '${part#*:}', client => 'ou')"
  done
fi
query 'DROP SCHEMA IF EXISTS truth CASCADE' 2> /dev/null
psql -Xq -v ON_ERROR_STOP=1 -f "$PROJECT/tests/truth/compare_cube.sql" -f "$PROJECT/tests/oulad/compare_source.sql"

for grain in MONTH WEEK; do
  begin=$SECONDS
  read -r rows differences grades unit_rows unit_differences engagement view < <(query "SELECT c.* FROM truth.compare_cube('ou', 'SPA', '$grain') c")
  result "SPA x $grain: $rows dense rows, $grades grades, $unit_rows rows of all users ($((SECONDS - begin)) s; engagement() $engagement s, view $view s)" \
    "$((differences + unit_differences))"
done
for grain in MONTH WEEK; do
  begin=$SECONDS
  read -r cells differences < <(query "SELECT c.* FROM truth.compare_source('ou', '$grain') c")
  result "LEC x $grain: $cells stored cells are those of the source's rows ($((SECONDS - begin)) s)" "$differences"
done
for grain in MONTH WEEK; do
  begin=$SECONDS
  total=0
  spaces=0
  wrong=0
  while read -r space name rows; do
    [ "$((total + rows))" -le "$LEC_ROWS" ] || break
    read -r found differences _ < <(query "SELECT c.* FROM truth.compare_cube('ou', 'LEC', '$grain', only_space => $space, by_unit => false) c")
    [ "$found" = "$rows" ] || { warn "LEC x $grain, $name: expected $rows dense rows, found $found"; wrong=$((wrong + 1)); }
    wrong=$((wrong + differences))
    total=$((total + rows))
    spaces=$((spaces + 1))
  done < <(query "
    SELECT s.space_id, replace(s.name, ' ', '/'), e.students * l.sites
           * (SELECT count(*) FROM analytics.cube_period p WHERE (p.level, p.grain, p.client_id) = ('LEC', '$grain', s.client_id)) AS rows
    FROM dw.space s JOIN dw.client c USING (client_id)
    JOIN (SELECT client_id, space_id, count(DISTINCT user_id) AS students FROM dw.enrolment GROUP BY 1, 2) e USING (client_id, space_id)
    JOIN (SELECT client_id, space_id, count(*) AS sites FROM dw.lecture JOIN dw.subject USING (client_id, subject_id) GROUP BY 1, 2) l USING (client_id, space_id)
    WHERE c.code = 'ou' ORDER BY 3")
  [ "$spaces" -gt 0 ] || wrong=1 # nothing compared is not equal
  result "LEC x $grain: $total dense rows of the $spaces smallest presentations ($((SECONDS - begin)) s)" "$wrong"
done
[ "$FAILED" = 0 ]
