#!/usr/bin/env bash
# Loads a course log exported from Moodle ("Affected user,Time,User full name,Event context,...") as flat events.
#
#   demo/moodle_log.sh FILE YEAR [SCHEMA] [COURSE]      SCHEMA: default moodle_log, its table `events` is replaced
#                                                       COURSE: default the file's commonest "Course: ..." context
#
# events: event_id (line number in the file, header = 1), who, happened_at (naive, the exporting site's local time), kind,
# course, lecture (the event context; null where that is the course itself), component, event_name.
# kind is post for "Discussion created", post_reply for "Post created", access for everything else, submissions too.
#
# Times have no year ("11 May, 09:44"). YEAR is that of each person's newest event. The export lists one person after the
# other, newest first; where the month of one person's next line is later than the month before it (4 Sep below 6 Feb), that
# line and those below it are a year older. A gap of more than a year cannot be seen. A 29 Feb needs a leap year.
# Line ends may be CR alone (classic Mac), CRLF or LF. Connection: the PG* environment variables. One transaction.
set -euo pipefail

die() { echo "moodle_log: $*" >&2; exit 1; }
[ $# -ge 2 ] && [ $# -le 4 ] || die "usage: demo/moodle_log.sh FILE YEAR [SCHEMA] [COURSE]"
file=$1 year=$2 schema=${3-moodle_log}
[ -r "$file" ] || die "cannot read $file"
[[ $year =~ ^[12][0-9]{3}$ ]] || die "YEAR must have four digits, not $year"

# A quoted field never spans lines in these exports, so lines may be cut without reading the CSV.
lines() {
    if [ "$(head -c 100000 -- "$file" | tr -dc '\n' | wc -c)" -gt 0 ]; then sed 's/\r$//' -- "$file"; else tr '\r' '\n' < "$file"; fi
}

head_line=$(lines | head -n 1 || true)
case $head_line in
    *"Affected user,Time,User full name,Event context,Component,Event name,Description,IP address,Origin") ;;
    *) die "not a Moodle course log: the first line is $(printf %.80s "$head_line")" ;;
esac
course=${4-$(lines | grep -o 'Course: [^",]*' | sort | uniq -c | sort -rn | sed -n '1s/^ *[0-9]* Course: //p' || true)}
[ -n "$course" ] || die "no \"Course: ...\" context in the file: name the course as the fourth argument"

here=$(cd "$(dirname "$0")" && pwd)
lines | psql -Xq -v ON_ERROR_STOP=1 -v schema="$schema" -v year="$year" -v course="$course" -f "$here/moodle_log.sql"
