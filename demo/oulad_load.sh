#!/usr/bin/env bash
# Loads the Open University Learning Analytics Dataset into Postgres.
#
#   demo/oulad_load.sh [--any-count] DIR [SCHEMA]      SCHEMA: default oulad; its seven tables are replaced
#
# DIR holds courses, assessments, studentInfo, studentRegistration, vle, studentAssessment and studentVle, each as .csv,
# .csv.gz or .csv.zst. Connection: the PG* environment variables. One transaction: all tables or none.
# Row counts must be those of the complete dataset (10 655 280 rows of clicks, 173 912 results, 32 593 enrolments) unless
# --any-count is given. Needs Postgres 14 or later, and gzip or zstd for packed files.
set -euo pipefail

die() { echo "oulad_load: $*" >&2; exit 1; }

header_of() {
    case $1 in
        courses) echo code_module,code_presentation,module_presentation_length ;;
        assessments) echo code_module,code_presentation,id_assessment,assessment_type,date,weight ;;
        studentInfo) echo code_module,code_presentation,id_student,gender,region,highest_education,imd_band,age_band,num_of_prev_attempts,studied_credits,disability,final_result ;;
        studentRegistration) echo code_module,code_presentation,id_student,date_registration,date_unregistration ;;
        vle) echo id_site,code_module,code_presentation,activity_type,week_from,week_to ;;
        studentAssessment) echo id_assessment,id_student,date_submitted,is_banked,score ;;
        studentVle) echo code_module,code_presentation,id_student,id_site,date,sum_click ;;
        *) die "no such table: $1" ;;
    esac
}

unpack() {
    local base=$OULAD_DIR/$1
    if [ -e "$base.csv" ]; then cat -- "$base.csv"
    elif [ -e "$base.csv.gz" ]; then gzip -dc -- "$base.csv.gz"
    elif [ -e "$base.csv.zst" ]; then zstd -dcq -- "$base.csv.zst"
    else die "neither $1.csv nor .gz nor .zst in $OULAD_DIR"; fi
}

# The file of one table without its header line, once the header says what the table expects. Called by psql's \copy.
rows() {
    unpack "$1" | {
        IFS= read -r header || die "$1 is empty"
        plain=$(printf %s "$header" | tr -d '"\r' | sed '1s/^\xef\xbb\xbf//')
        [ "$plain" = "$(header_of "$1")" ] || die "columns of $1: expected $(header_of "$1"), found $plain"
        cat
    }
}

if [ "${1-}" = --rows ]; then rows "$2"; exit; fi

any_count=false
if [ "${1-}" = --any-count ]; then any_count=true; shift; fi
[ $# -ge 1 ] && [ $# -le 2 ] || die "usage: demo/oulad_load.sh [--any-count] DIR [SCHEMA]"
[ -d "$1" ] || die "no directory $1"
for table in courses assessments studentInfo studentRegistration vle studentAssessment studentVle; do
    compgen -G "$1/$table.csv*" > /dev/null || die "neither $table.csv nor .gz nor .zst in $1"
done
here=$(cd "$(dirname "$0")" && pwd)
OULAD_DIR=$(cd "$1" && pwd)
OULAD_SELF=$here/$(basename "$0")
export OULAD_DIR OULAD_SELF PGAPPNAME=oulad_load

# What COPY has done so far, every few seconds, while psql works.
report() {
    while sleep 5; do
        psql -XAtq -F ' ' -c "select 'oulad_load:', tuples_processed, 'rows of this table' from pg_stat_progress_copy
            where datname = current_database() and pid in (select pid from pg_stat_activity where application_name = 'oulad_load')" >&2 || return 0
    done
}
report &
reporter=$!
trap 'kill "$reporter" 2>/dev/null || true' EXIT

started=$SECONDS
psql -Xq -v ON_ERROR_STOP=1 -v schema="${2-oulad}" -v any_count="$any_count" -f "$here/oulad.sql"
psql -Xq -v ON_ERROR_STOP=1 -v schema="${2-oulad}" <<'SQL'
analyze :"schema".courses, :"schema".assessments, :"schema".studentinfo, :"schema".studentregistration, :"schema".vle,
    :"schema".studentassessment, :"schema".studentvle;
SQL
echo "oulad_load: done in $((SECONDS - started)) s"
