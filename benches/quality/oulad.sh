#!/usr/bin/env bash
# How well the features of the cube tell who fails or withdraws, on the complete OULAD: AUC out of fold, folds by student, seed 42. By hand, since the
# data are not ours to ship; about a quarter of an hour on four cores, 10 GB of disk.
#   benches/quality/oulad.sh [DIR]     DIR with OULAD's files; default: ../shared/data/oulad beside the project
#   LOADED=1 benches/quality/oulad.sh  the database oulad_quality of the server of the PG* variables holds the data of an earlier run
# Forum clicks are posts and weeks begin on Friday, so that those of October's presentations end 29 or 30 days after their start.
# shellcheck source=scripts/pg.sh
source "$(dirname "$0")/../../scripts/pg.sh"
export PATH=$PG_BIN:$PATH
HERE=$PROJECT/benches/quality
DATA=${1:-$PROJECT/../shared/data/oulad}

query() { printf '%s\n' "$1" | psql -XAtq -v ON_ERROR_STOP=1; }
if [ -z "${LOADED:-}" ]; then
  if [ ! -d "$DATA" ]; then
    warn "SKIPPED, nothing was measured: no directory $DATA (OULAD: https://analyse.kmi.open.ac.uk/open_dataset)"
    exit 77
  fi
  DATA=$(cd "$DATA" && pwd -P)
  pg_start quality "work_mem = '256MB'" "shared_buffers = '512MB'" "maintenance_work_mem = '256MB'" "jit = off"
  pg_connect quality
  createdb oulad_quality
  export PGDATABASE=oulad_quality
  query 'CREATE EXTENSION empatia'
  step "COPY into the schema oulad" "$PROJECT/demo/oulad_load.sh" "$DATA"
  query "SELECT count(*) FROM empatia.create_warehouse(); SELECT empatia.add_client('ou', 'Open University', 'Europe/London');
         SELECT empatia.add_source('ou', 'oulad', 'oulad', '{\"forum_as_posts\": \"true\"}');
         UPDATE empatia.setting SET value = '5' WHERE key = 'first_day_of_week'" > /dev/null
  step "load" query "SELECT count(*) FROM empatia.load('ou')"
  # put aside while clicks alone are looked at
  query "CREATE TABLE public.assignments AS TABLE dw.fact_assignment"
fi
export PGDATABASE=oulad_quality
build="SELECT count(*) FROM empatia.build_cube('SPA', 'WEEK', client => 'ou', full_build => true)"
query "DELETE FROM dw.fact_assignment" && step "build without assessments" query "$build"
psql -Xq -v ON_ERROR_STOP=1 -f "$HERE/oulad.sql" -f "$HERE/oulad_clicks.sql" -f "$HERE/oulad_report.sql"
query "INSERT INTO dw.fact_assignment TABLE public.assignments" && step "build with assessments" query "$build"
psql -Xq -v ON_ERROR_STOP=1 -f "$HERE/oulad.sql" -f "$HERE/oulad_assessments.sql" -f "$HERE/oulad_report.sql"
