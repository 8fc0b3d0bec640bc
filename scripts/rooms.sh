#!/usr/bin/env bash
# Who may do what, where (docs of each room say why): one line `ok - ...` or `not ok - ...` per rule.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
FAILED=0

# rule NAME OFFENCES: it holds where there are none
rule() {
  if [ -z "$2" ]; then printf 'ok - %s\n' "$1"; return; fi
  printf 'not ok - %s\n%s\n' "$1" "$(printf '%s\n' "$2" | sed 's/^/    /')"
  FAILED=1
}

# code FILE...: FILE:LINE:CODE, without // comments
code() { awk '{ sub(/\/\/.*/, ""); if ($0 ~ /[^ \t]/) print FILENAME ":" FNR ":" $0 }' "$@" /dev/null; }

mapfile -t engine < <(find engine -name '*.rs' -not -path '*/target/*')
mapfile -t outside < <(find src build.rs -name '*.rs' -not -path 'src/pg/*')
mapfile -t scripts < <(git ls-files -co --exclude-standard -- '*.sh' .ci/run)

rule "engine does not name pgrx" "$(grep -nw pgrx "${engine[@]}" engine/Cargo.toml || true)"
rule "engine does not depend on pgrx" "$(cargo tree -q -p empatia-engine --prefix none -e normal,build,dev | grep -i '^pgrx' || true)"
rule "engine forbids unsafe code" "$(grep -q '^#!\[forbid(unsafe_code)\]' engine/src/lib.rs || echo 'engine/src/lib.rs: no #![forbid(unsafe_code)]')"
rule "unsafe only under src/pg" "$(code "${outside[@]}" | grep -w unsafe || true)"
rule "no test is ignored" "$(code "${engine[@]}" "${outside[@]}" | grep -E '#\[ignore' || true)"
if command -v shellcheck >/dev/null; then
  rule "scripts pass shellcheck" "$(shellcheck -S warning -x -P . "${scripts[@]}" 2>&1 || true)"
else
  rule "scripts pass shellcheck" "no shellcheck on this machine: run scripts/setup.sh"
fi
[ "$FAILED" = 0 ]
