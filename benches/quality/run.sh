#!/usr/bin/env bash
# How well the classifiers do on real data; `make quality` comes here. What is not in DATA is said and left out.
#   ONLY=tables,pede,oulad   which (default: these, half an hour on four cores, most of it OULAD with demographics)
#   DATA=DIR                 what holds the folders oulad, pede, xapi, moodle (default ../shared/data)
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

cd "$PROJECT"
data=${DATA:-$PROJECT/../shared/data}
only=${ONLY:-tables,pede,oulad}
for one in ${only//,/ }; do
  case $one in tables | pede | oulad) ;; *) die "unknown ONLY '$one': tables, pede, oulad" ;; esac
done
missed=0
asked() { [[ ,$only, == *",$1,"* ]]; }
there() { [ -d "$data/$1" ] || { warn "left out: no folder $data/$1"; return 1; }; }
# score NAME COMMAND...: one that misses a bar does not keep the others from being measured
score() { step "$@" || missed=1; }

if asked tables; then
  environment=$HOUSE/.run/quality
  if [ ! -e "$environment/ready" ]; then
    mkdir -p "${environment%/*}"
    step "scikit-learn into $environment" python3 -m venv --clear "$environment"
    "$environment/bin/pip" install -q --disable-pip-version-check numpy pandas scikit-learn
    touch "$environment/ready"
  fi
  score "xAPI, Moodle, PEDE: the engine beside scikit-learn" "$environment/bin/python" benches/quality/classifier.py --data "$data"
fi
if asked pede || asked oulad; then step "build and install" scripts/install.sh; fi
if asked pede && there pede; then score "PEDE through SQL" benches/quality/pede.sh gradient_boosting "$data/pede/pede_2022_2024.xlsx"; fi
if asked oulad && there oulad; then score "OULAD through SQL" benches/quality/oulad.sh "$data/oulad"; fi
exit "$missed"
