#!/usr/bin/env bash
# Where the time of a statement goes: a flame graph of its backend, threads included, workers of parallel queries not.
#   benches/flame.sh DATABASE NAME SQL [SETUP]    on the server of PGHOST, PGPORT, PGUSER; writes benches/results/flame/NAME.svg,
#                                                 and prints what share of the samples lies in or below each function of ours (2 % and more)
# SETUP runs before in the same session, not sampled. Needs perf (Debian: linux-perf), and the right to use it; inferno, which draws, is installed
# into .run/inferno. The release profile keeps line tables, so inlined functions have their names.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

[ "$#" -ge 3 ] || die "usage: benches/flame.sh DATABASE NAME SQL [SETUP]"
database=$1 name=$2 sql=$3 setup=${4:-SELECT}
command -v perf >/dev/null || die "no perf: apt install linux-perf"
tools=$HOUSE/.run/inferno
[ -x "$tools/bin/inferno-flamegraph" ] || step "inferno into $tools" cargo install -q --locked --root "$tools" inferno
out=$PROJECT/benches/results/flame
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

coproc SESSION { exec "${PG_BIN}/psql" -XAtq -v ON_ERROR_STOP=1 -d "$database"; }
# shellcheck disable=SC2154 # coproc sets it
psql_pid=$SESSION_PID
ask() { printf '%s;\n\\echo ended\n' "$1" >&"${SESSION[1]}"; }
answered() {
  local line last=''
  while read -r line <&"${SESSION[0]}"; do
    [ "$line" != ended ] || { printf '%s' "$last"; return; }
    last=$line
  done
  die "psql ended"
}
ask "$setup"
answered > "$work/setup"
ask "SELECT pg_backend_pid()"
backend=$(answered)
perf record -q -F 499 --call-graph dwarf,16384 -p "$backend" -o "$work/samples" 2> "$work/perf" &
perf=$!
sleep 1
began=$(date +%s%N)
ask "$sql"
answered > "$work/answer"
say "$name: $((($(date +%s%N) - began) / 1000000)) ms; last row: $(cat "$work/answer")"
kill -INT "$perf"
wait "$perf" || true
printf '\\q\n' >&"${SESSION[1]}"
wait "$psql_pid" 2>/dev/null || true

perf script -i "$work/samples" 2>/dev/null | "$tools/bin/inferno-collapse-perf" > "$work/folded" 2>/dev/null
"$tools/bin/inferno-flamegraph" --title "$name" "$work/folded" > "$out/$name.svg"
# a function that calls itself counts once per sample
awk '{
  samples = $NF; sub(/ [0-9]+$/, ""); total += samples; split("", seen); n = split($0, frames, ";")
  for (i = 1; i <= n; i++) if (!(frames[i] in seen)) { seen[frames[i]]; share[frames[i]] += samples }
} END { for (frame in share) if (share[frame] >= total / 50) printf "%5.1f %%  %s\n", 100 * share[frame] / total, frame }' "$work/folded" |
  grep -E 'empatia|^ *[0-9.]+ %  (heap|_bt|index|tuplesort|Exec|XLog|log_newpage|smgr|FileWrite|FileRead|ReadBuffer)' | grep -v 'closure\|pgrx\|{{\|core::\|rayon\|_wrapper' | sort -rn | head -"${TOP:-40}"
say "$out/$name.svg"
