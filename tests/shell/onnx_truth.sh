#!/usr/bin/env bash
# Guards against files that others read differently: every kind of classifier that the engine writes as ONNX is valid, and onnxruntime finds
# the same probabilities and labels in it; of what scikit-learn, LightGBM and XGBoost write, the engine says what onnxruntime says, and
# explains LightGBM's trees as LightGBM does (tests/truth/onnx_peers.py says what is compared and how). No server takes part.
# The peers come from PyPI into a virtual environment under .pg/; without them this test fails, for it has nothing to compare with.
# shellcheck source=tests/shell/lib.sh
source "$(dirname "$0")/lib.sh"

VENV=$HOUSE/.pg/onnx
FOLDER=$(mktemp -d)
trap 'rm -rf "$FOLDER"' EXIT

venv() {
  exec 8> "$HOUSE/.pg/onnx.lock"
  flock 8
  if ! "$VENV/bin/python" -c 'import lightgbm, onnxmltools, onnxruntime, skl2onnx, xgboost' 2>/dev/null; then
    rm -rf "$VENV"
    python3 -m venv "$VENV" || fail "python3 -m venv does not work here (Debian: apt-get install python3-venv)"
    "$VENV/bin/pip" install -q --disable-pip-version-check --retries 2 --timeout 60 \
      'scikit-learn>=1.6,<2' 'skl2onnx>=1.18' 'onnx>=1.17' 'onnxruntime>=1.20' 'onnxmltools>=1.13' 'lightgbm>=4.5,<5' 'xgboost>=3,<4' ||
      fail "onnxruntime and the libraries that write ONNX could not be installed from PyPI into $VENV: the truth is missing"
  fi
  exec 8>&-
}
engine() { (cd "$PROJECT" && cargo run -q --release -p empatia-engine --example onnx -- "$@"); }
peers() { OMP_NUM_THREADS=2 "$VENV/bin/python" "$PROJECT/tests/truth/onnx_peers.py" "$@"; }

command -v python3 > /dev/null || fail "no python3: the truth that the files are compared with is computed by onnxruntime"
venv
mkdir "$FOLDER/ours" "$FOLDER/theirs"
engine export "$FOLDER/ours" || fail "the engine could not write its files"
peers check "$FOLDER/ours" || fail "onnxruntime says something else of the engine's files"
peers write "$FOLDER/theirs" || fail "the peers could not write their files"
for from in ours theirs; do
  engine import "$FOLDER/$from" || fail "the engine could not read the files"
  peers compare "$FOLDER/$from" || fail "the engine says something else of the files"
done

# a comparison that cannot see a wrong number would be worth nothing
sed -i 's/"probabilities":\[\[[0-9.e-]*/"probabilities":[[0.123/' "$FOLDER/theirs/xgboost2.import.json"
if found=$(peers compare "$FOLDER/theirs"); then fail "one wrong probability was not noticed: $found"; fi
assert_match "$found" 'not ok - xgboost2: differs from onnxruntime by' 'one wrong probability'
