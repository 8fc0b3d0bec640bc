#!/usr/bin/env bash
# Guards against segments that are not those of the dense rows: on the demo school, inertia, scores, sizes and every row's category are
# those of scikit-learn, which sees each dense row of engagement() (tests/truth/kmeans_demo.py says what is compared and how).
# scikit-learn comes from PyPI into a virtual environment under .pg/; without it this test fails, for it has nothing to compare with.
# shellcheck source=tests/shell/lib.sh
source "$(dirname "$0")/lib.sh"

VENV=$HOUSE/.pg/scikit-learn
PARTS=(SPA:WEEK SPA:MONTH CRS:MONTH ENV:WEEK LEC:MONTH)
# Best of 20 starts is a matter of luck on these rows: their local optima lie within 1e-5 of each other, and either side finds one that the
# other does not. A start costs a thousandth of scikit-learn's here, so the extension makes enough of them not to be the worse one.
STARTS=200

venv() {
  exec 8> "$HOUSE/.pg/scikit-learn.lock"
  flock 8
  if ! "$VENV/bin/python" -c 'import sklearn' 2>/dev/null; then
    rm -rf "$VENV"
    python3 -m venv "$VENV" || fail "python3 -m venv does not work here (Debian: apt-get install python3-venv)"
    "$VENV/bin/pip" install -q --disable-pip-version-check --retries 2 --timeout 30 'scikit-learn>=1.3,<2' ||
      fail "scikit-learn could not be installed from PyPI into $VENV: the truth that the segments are compared with is missing"
  fi
  exec 8>&-
}
truth() { OMP_NUM_THREADS=${OMP_NUM_THREADS:-2} "$VENV/bin/python" "$PROJECT/tests/truth/kmeans_demo.py" redu-digital "$@"; }

command -v python3 > /dev/null || fail "no python3: the truth that the segments are compared with is computed by scikit-learn"
venv
server_start "work_mem = '64MB'" "shared_buffers = '256MB'" "jit = off"
create_database app
sql 'SELECT count(*) FROM empatia.create_warehouse()' > /dev/null
"$PG_BIN/psql" -Xq -v ON_ERROR_STOP=1 -f "$PROJECT/demo/openredu.sql" > /dev/null
sql "SELECT empatia.add_client('redu-digital', 'Redu Digital', 'America/Recife');
     SELECT empatia.add_source('redu-digital', 'redu', 'openredu');
     SELECT count(*) FROM empatia.load()" > /dev/null
for part in "${PARTS[@]}"; do
  sql "SELECT count(*) FROM empatia.build_cube('${part%:*}', '${part#*:}');
       SELECT count(*) FROM empatia.kmeans_segments('${part%:*}', '${part#*:}', n_init => $STARTS, tolerance => 0);
       SELECT count(*) FROM empatia.classify('${part%:*}', '${part#*:}')" > /dev/null
done
truth "${PARTS[@]}" || fail "the segments differ from scikit-learn's"

# a comparison that cannot see a wrong row would be worth nothing
sql "UPDATE analytics.cube_class k SET class = 5 - class FROM (SELECT tableoid, ctid FROM analytics.cube_class
         WHERE level = 'CRS' AND grain = 'MONTH' ORDER BY user_id, unit_id, period_start LIMIT 1) one
     WHERE (k.tableoid, k.ctid) = (one.tableoid, one.ctid)"
if found=$(truth CRS:MONTH); then fail "one row with another category was not noticed: $found"; fi
assert_match "$found" 'assigns 1 of [0-9]+ rows to another segment' 'one row with another category'
