#!/usr/bin/env bash
# Guards the demo school: equal seeds give equal schools under any plan, other seeds others, and the behaviour types can be
# told apart by what their students do. Needs a server (PG* environment variables) and the right to create a database.
# --print adds row counts and the averages per type.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
db=demo_generator_$$
maintenance=${PGDATABASE-postgres}
failures=0

psql -Xqd "$maintenance" -v ON_ERROR_STOP=1 -c "create database $db encoding 'UTF8' template template0"
trap 'psql -Xqd "$maintenance" -c "drop database if exists $db"' EXIT
export PGDATABASE=$db

run() { psql -XAtq -v ON_ERROR_STOP=1 "$@"; }
check() { # what, expected, found
    if [ "$2" = "$3" ]; then echo "ok    $1"; else echo "FAIL  $1: expected $2, found $3"; failures=$((failures + 1)); fi
}

# One md5 over all rows of all tables of a schema, in physical order: dumps must be equal too.
digest() {
    run -v schema="$1" <<'SQL' | md5sum
select format('select %L, count(*), md5(string_agg(t::text, E''\n'' order by ctid)) from %I.%I t', table_name, :'schema', table_name)
from information_schema.tables where table_schema = :'schema' and table_type = 'BASE TABLE' order by table_name collate "C" \gexec
SQL
}

run -v schema=a -f "$root/demo/openredu.sql" > /dev/null
PGOPTIONS='-c enable_hashjoin=off -c enable_hashagg=off -c max_parallel_workers_per_gather=4 -c parallel_setup_cost=0 -c parallel_tuple_cost=0 -c min_parallel_table_scan_size=0 -c work_mem=64kB -c datestyle=German -c timezone=Asia/Tokyo -c jit=off' \
    run -v schema=b -f "$root/demo/openredu.sql" > /dev/null
run -v schema=c -v seed=43 -f "$root/demo/openredu.sql" > /dev/null
a=$(digest a) b=$(digest b) c=$(digest c)
check 'same seed under another plan and other settings: same rows' "$a" "$b"
check 'other seed: other rows' different "$([ "$a" = "$c" ] && echo equal || echo different)"

# Sizes the documentation promises; a broken join shows here first.
check 'users' 600 "$(run -c 'select count(*) from a.users')"
check 'spaces, removed ones' '24|1' "$(run -c 'select count(*), count(*) filter (where removed) from a.spaces')"
check 'every table has rows' 0 "$(run <<'SQL' | grep -c '|0$' || true
select format('select %L, count(*) from a.%I', table_name, table_name) from information_schema.tables where table_schema = 'a' \gexec
SQL
)"
check 'exercises are a third of the lectures' t "$(run -c "select avg((lectureable_type = 'Exercise')::int) between 0.25 and 0.4 from a.lectures")"

# Ids are unique and follow the clock; an answer is younger than its parent, which exists; threads end at depth four.
check 'unique status ids in order of time' 0 "$(run -c 'select count(*) from (select id - row_number() over (order by created_at, id) as d from a.statuses) x where d <> 0')"
check 'answers without parent or older than it' 0 "$(run -c "select count(*) from a.statuses s left join a.statuses p on p.id = s.in_response_to_id where s.type = 'Answer' and (p.id is null or p.created_at >= s.created_at)")"
check 'deepest answer' 4 "$(run -c "with recursive t as (select id, 0 as depth from a.statuses where type in ('Help', 'Activity') union all select s.id, depth + 1 from a.statuses s join t on s.in_response_to_id = t.id) select max(depth) from t")"
check 'statuses hang on lectures and spaces that exist' 0 "$(run -c "select count(*) from a.statuses s where statusable_type not in ('Lecture', 'Space', 'User') or statusable_type = 'Lecture' and statusable_id not in (select id from a.lectures) or statusable_type = 'Space' and statusable_id not in (select id from a.spaces)")"
check 'one row per student and assignment' 0 "$(run -c 'select count(*) from (select from a.user_assignments group by user_id, assignment_id having count(*) > 1) x')"

# Types: averages per student, in the order a judge expects.
run <<'SQL'
create view per_type as
select type, count(*) as students, avg(talk) as talk, avg(answers) as answers, avg(late_talk) as late_talk,
       sum(done) / nullif(sum(set), 0) as handed_in, avg(grade) as grade
from a._behaviour b
cross join lateral (select count(*) as talk, count(*) filter (where s.type = 'Answer') as answers, count(*) filter (where s.created_at >= '2025-05-20') as late_talk
                    from a.statuses s where s.user_id = b.user_id and s.type in ('Activity', 'Help', 'Answer')) t
cross join lateral (select count(distinct exercise_id) as done, avg(r.grade) as grade from a.results r where r.user_id = b.user_id and state = 'finalized') r
cross join lateral (select count(*) as set from a.user_space_associations u join a.subjects j on j.space_id = u.space_id
                    join a.lectures l on l.subject_id = j.id and lectureable_type = 'Exercise' where u.user_id = b.user_id and u.role = 'member') e
group by type;
SQL
value() { run -c "select $1 from per_type where type = '$2'"; }
check 'assiduous talk most, then consistent, then crammers' 'assiduous,consistent,crammer' "$(run -c "select string_agg(type, ',' order by talk desc) from per_type where type in ('assiduous', 'consistent', 'crammer')")"
check 'silent students never speak' 0 "$(value 'talk::int' silent)"
check 'silent students hand in' t "$(value 'handed_in > 0.8' silent)"
check 'absent students do next to nothing' t "$(value 'talk < 1 and handed_in < 0.1' absent)"
check 'the fading have gone by 20 May' t "$(value 'late_talk < talk * 0.02' fading)"
check 'grades follow the type' 'assiduous,consistent,crammer,absent' "$(run -c "select string_agg(type, ',' order by grade desc) from per_type where type in ('assiduous', 'consistent', 'crammer', 'absent')")"

# Small, short and long schools work too; wrong sizes are refused.
run -v schema=small -v users=80 -v months=2 -f "$root/demo/openredu.sql" > /dev/null
run -v schema=long -v users=80 -v months=12 -f "$root/demo/openredu.sql" > /dev/null
check 'small school has users' 80 "$(run -c 'select count(*) from small.users')"
check 'too few users' refused "$(run -v schema=none -v users=79 -f "$root/demo/openredu.sql" > /dev/null 2>&1 && echo accepted || echo refused)"
check 'existing schema' refused "$(run -v schema=a -f "$root/demo/openredu.sql" > /dev/null 2>&1 && echo accepted || echo refused)"

# Dirt: listed rows exist, and the generated rows are untouched.
before=$(run -c 'select count(*) from c.statuses')
run -v schema=c -f "$root/demo/dirt.sql" > /dev/null
check 'listed dirty statuses' "$(run -c "select count(*) from c._dirt where table_name = 'statuses'")" "$(run -c "select count(*) - $before from c.statuses")"
check 'all dirt is listed' "$(run -c "select count(*) from c._dirt where table_name in ('results', 'user_assignments')")" \
      "$(run -c 'select (select count(*) from c.results where coalesce(id, 9000001) > 9000000) + (select count(*) from c.user_assignments where id > 9000000)')"
check 'text landing table' 22 "$(run -c 'select count(*) from c_text.statuses')"
check 'dirt twice' refused "$(run -v schema=c -f "$root/demo/dirt.sql" > /dev/null 2>&1 && echo accepted || echo refused)"

if [ "${1-}" = --print ]; then
    psql -X -c 'select type, students, round(talk, 1) as talk, round(answers, 1) as answers, round(late_talk, 1) as late_talk, round(handed_in, 2) as handed_in, round(grade, 2) as grade from per_type order by talk desc'
fi
[ "$failures" = 0 ] || { echo "$failures failures"; exit 1; }
