#!/usr/bin/env bash
# A real Moodle log loads through the adapter events, and every count of the cube is that of the file, counted by awk. Faults guarded against: a
# line lost or doubled on the way; an event on the wrong day; a person under two ids; a second load that changes something.
# shellcheck source=tests/shell/lib.sh
source "$(dirname "$0")/lib.sh"
DATA=${EMPATIA_DATA:-$PROJECT/../shared/data}
for file in "$DATA/moodle/Course_Activity_Obfuscated.csv" "$PROJECT/../../shared/data/moodle/Course_Activity_Obfuscated.csv" ''; do [ ! -r "$file" ] || break; done

server_start
create_database app
if [ -z "$file" ]; then
  echo "the real Moodle log is not on this machine ($DATA/moodle): the same checks run on a generated log"
  file=$(mktemp)
  trap 'rm -f "$file"; pg_stop_started' EXIT
  awk 'BEGIN {
    print "Affected user,Time,User full name,Event context,Component,Event name,Description,IP address,Origin"
    split("Course viewed.,Course module viewed.,Discussion created.,Post created.,A submission has been submitted.", e, ",")
    for (p = 1; p <= 9; p++) for (d = 28; d >= 1; d -= 3)
      printf "-,\"%d %s, %02d:%02d\",pessoa %d,%s,System,%s,x,127.0.0.1,web\n", d, (d > 14 ? "Mar" : "Mar"), (d * p) % 24, d, p, (d % 2 ? "Course: c" : "File: f" d % 5), e[1 + (d + p) % 5]
  }' > "$file"
fi

# The file as lines with a | between fields; independent of the loader's CSV reading: only the time is a quoted field that holds a comma.
lines() {
  if [ "$(head -c 100000 -- "$file" | tr -dc '\n' | wc -c)" -gt 0 ]; then sed 's/\r$//' -- "$file"; else tr '\r' '\n' < "$file"; fi |
    awk 'NR > 1 && NF' | sed -E 's/^([^,]*),"([0-9]+ [A-Z][a-z][a-z]), ([0-9:]+)",/\1|\2|\3|/' | awk -F'|' '{ n = $1 "|" $2 "|" $3; split($4, f, ","); print n "|" f[1] "|" $4 }'
}
# awk's view: fields 2 day, 4 who, 5 the rest of the line
kind='function kind(s) { return s ~ /,Discussion created\.?,/ ? "post" : s ~ /,Post created\.?,/ ? "post_reply" : "access" }'

"$PROJECT/demo/moodle_log.sh" "$file" 2021 moodle_log >/dev/null
sql "SELECT empatia.create_warehouse(); SELECT empatia.add_client('tud', 'TU Dublin', 'Europe/Dublin');
     SELECT empatia.add_source('tud', 'events', 'moodle_log', '{\"time_zone\": \"Europe/Dublin\"}')" >/dev/null
loaded=$(sql "SELECT sum(read), sum(inserted), sum(rejected) FROM empatia.load('tud') WHERE stream = 'events'")
nameless=$(lines | awk -F'|' '$4 == "" || $4 == "-"' | wc -l)
rows=$(lines | wc -l)
assert_eq "$loaded" "$rows|$((rows - nameless))|$nameless" "rows read, loaded and rejected"
assert_eq "$(sql 'SELECT count(*) FROM dw.student')" "$(lines | awk -F'|' '$4 != "" && $4 != "-" { print $4 }' | sort -u | wc -l)" "people"

# day and kind, and person and kind: the whole distribution, not only its sum
assert_eq "$(sql "SELECT to_char(day, 'FMDD Mon'), k.code, count(*) FROM dw.fact_interaction f JOIN dw.interaction_type k USING (interaction_type_id) GROUP BY 1, 2" | LC_ALL=C sort | md5sum)" \
  "$(lines | awk -F'|' "$kind"' $4 != "" && $4 != "-" { n[$2 "|" kind($5)]++ } END { for (i in n) print i "|" n[i] }' | LC_ALL=C sort | md5sum)" "events per day and kind"
assert_eq "$(sql "SELECT s.name, e.accesses, e.posts, e.post_replies, e.active_days FROM empatia.engagement('tud', 'CRS', 'ALL') e JOIN dw.student s USING (user_id)" | LC_ALL=C sort | md5sum)" \
  "$(lines | awk -F'|' "$kind"' $4 != "" && $4 != "-" { w[$4]; n[$4, kind($5)]++; if (!(($4, $2) in d)) { d[$4, $2]; days[$4]++ } }
      END { for (i in w) print i "|" n[i, "access"] + 0 "|" n[i, "post"] + 0 "|" n[i, "post_reply"] + 0 "|" days[i] }' | LC_ALL=C sort | md5sum)" "engagement per person over the whole log"

assert_eq "$(sql "SELECT sum(inserted), sum(updated), sum(deleted) FROM empatia.load('tud')")" "0|0|0" "a second load"
sql "SELECT empatia.build_cube('SPA', 'WEEK'); SELECT empatia.build_cube('LEC', 'MONTH')" >/dev/null
for part in SPA,WEEK LEC,MONTH; do
  assert_eq "$(sql "SELECT sum(posts_amount), sum(post_replies_amount), sum(accesses_amount) FROM empatia.cubo_engajamento('tud', '${part%,*}', '${part#*,}')")" \
    "$(sql "SELECT sum(posts), sum(post_replies), sum(accesses) FROM empatia.engagement('tud', '${part%,*}', '${part#*,}')")" "sums of $part in the cube and in engagement()"
done
echo "$rows events, $(sql 'SELECT count(*) FROM dw.student') people: every count is the file's"
