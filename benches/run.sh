#!/usr/bin/env bash
# The SQL benchmark. `make bench` builds, installs and starts a private server first, then comes here.
#   CASE=reference,repeats,oulad,growth,kmeans,trees,predict,http   which cases (default: these; there is cancel, too)
#   SIZE=1,10                            growth: millions of interactions (default 1,10; 100 takes 70 GB of disk)
#   GRAINS=WEEK,MONTH                    growth: by which grains (MONTH alone takes a third of the disk)
#   RUNS=5                               repetitions of each measurement
#   DATA=DIR                             OULAD's files (default ../shared/data/oulad)
#   STEP=REGEX                           cancel: which steps
#   KEEP=1                               use the databases of an earlier run where they are still there
# Needs PGHOST, PGPORT, PGUSER of a server with the extension installed. Peers live in .run/peers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
here=$PWD

peers=${EMPATIA_HOUSE:-$here}/.run/peers
wanted=$(cksum < benches/requirements.txt)
if [ "$wanted" != "$(cat "$peers/stamp" 2>/dev/null)" ]; then
  echo "==> installing the peers into $peers"
  python3 -m venv "$peers"
  "$peers/bin/pip" install -q --disable-pip-version-check -r benches/requirements.txt
  printf '%s\n' "$wanted" > "$peers/stamp"
fi
data=${DATA:-$here/../shared/data/oulad}
# the peers get the cores that ours gets
threads=$(nproc)
export OMP_NUM_THREADS=$threads OPENBLAS_NUM_THREADS=$threads PYTHONDONTWRITEBYTECODE=1
exec "$peers/bin/python" benches/bench.py --cases "${CASE:-reference,repeats,oulad,growth,kmeans,trees,predict,http}" --sizes "${SIZE:-1,10}" \
  --repetitions "${RUNS:-5}" --data "$data" ${KEEP:+--keep}
