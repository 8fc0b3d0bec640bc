#!/usr/bin/env bash
# The numbers of PEDE from its workbook, imported as anybody would: next year from this year, forward in time, the same year without leaks, drift. Exits with 1 where a bar is missed.
#   benches/quality/pede.sh [ALGORITHM] [WORKBOOK]      default: gradient_boosting, ../shared/data/pede/pede_2022_2024.xlsx
# The extension must be installed (scripts/install.sh); the server is one of its own and is stopped afterwards.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/pg.sh"
here=$PROJECT/benches/quality
algorithm=${1:-gradient_boosting}
workbook=${2:-$PROJECT/../shared/data/pede/pede_2022_2024.xlsx}
[ -r "$workbook" ] || die "no workbook $workbook: this measurement needs the data of PEDE"
name=quality-pede-$$
pg_start "$name" >/dev/null
trap 'pg_stop "$name" >/dev/null' EXIT
pg_connect "$name"
"$PG_BIN/createdb" quality
WORKBOOK=$workbook "$PG_BIN/psql" -X -q -d quality -v algorithm="$algorithm" -c 'CREATE EXTENSION empatia' -f "$here/pede.sql" |
  tee "${TMPDIR:-/tmp}/$name.txt"
! grep -q MISSED "${TMPDIR:-/tmp}/$name.txt"
