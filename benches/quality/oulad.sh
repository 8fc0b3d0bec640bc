#!/usr/bin/env bash
# How well the features of the cube tell who fails or withdraws, on the complete OULAD: AUC out of fold, folds by student, seed 42. By hand, since the
# data are not ours to ship; about a quarter of an hour on four cores, 10 GB of disk.
#   benches/quality/oulad.sh [DIR]     DIR with OULAD's files; default: ../shared/data/oulad beside the project
#   LOADED=1 benches/quality/oulad.sh  the database oulad_quality of the server of the PG* variables holds the data of an earlier run
# Forum clicks are posts. OULAD does not say on which date a presentation began, only the month: all are laid on its first Saturday. A row is that of the
# last week that has ended by the 30th or 60th day, so weeks begin on the weekday that makes this day their last: Tuesday for 30 days, Thursday for 60.
# OULAD counts whole days, which are those of the university: in another zone a day's last second lies on the next day in summer.
# shellcheck source=scripts/pg.sh
source "$(dirname "$0")/../../scripts/pg.sh"
# shellcheck source=scripts/oulad.sh
source "$PROJECT/scripts/oulad.sh"
export PATH=$PG_BIN:$PATH
HERE=$PROJECT/benches/quality
DATA=${1:-$PROJECT/../shared/data/oulad}

query() { printf '%s\n' "$1" | psql -XAtq -v ON_ERROR_STOP=1; }
if [ -z "${LOADED:-}" ]; then
  oulad_start oulad_quality "$DATA"
  query "SELECT count(*) FROM empatia.create_warehouse(); SELECT empatia.add_client('ou', 'Open University', 'Europe/London');
         SELECT empatia.add_source('ou', 'oulad', 'oulad', '{\"forum_as_posts\": \"true\", \"start_weekday\": \"6\", \"time_zone\": \"Europe/London\"}')" > /dev/null
  step "load" query "SELECT count(*) FROM empatia.load('ou')"
  # put aside while clicks alone are looked at
  query "CREATE TABLE public.assignments AS TABLE dw.fact_assignment"
fi
export PGDATABASE=oulad_quality
# measure FIRST_DAY FILE: builds with weeks that begin on that day, trains, prints
measure() {
  query "UPDATE empatia.setting SET value = '$1' WHERE key = 'first_day_of_week'"
  step "build" query "SELECT stored_rows FROM empatia.build_cube('SPA', 'WEEK', client => 'ou', full_build => true)"
  psql -Xq -v ON_ERROR_STOP=1 -f "$HERE/oulad.sql" -f "$HERE/$2.sql" -f "$HERE/oulad_report.sql"
}
query "DELETE FROM dw.fact_assignment"
measure 2 oulad_clicks
query "INSERT INTO dw.fact_assignment TABLE public.assignments"
measure 2 oulad_30_days
measure 4 oulad_60_days
