"""Boosting, forests and SHAP values: the engine alone, on the rows that LightGBM, XGBoost, scikit-learn and shap get."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import PROJECT, peer

THREADS = "4"


def ours(path, what, repetitions):
    """Runs engine/examples/trees.rs; its last line is its result as JSON."""
    done = subprocess.run(["cargo", "run", "-q", "--release", "-p", "empatia-engine", "--example", "trees", "--", path, what, str(repetitions), THREADS],
                          cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def theirs(path, name, repetitions):
    """One run more than counted: LightGBM's first in a process may wait for its threads."""
    found = peer("trees_peers.py", "fit", path, name, repetitions + 1, THREADS)
    return {"seconds": found["seconds"][1:], "then": found["then"][1:], "auc": found["auc"]}


def run(report, repetitions, **_):
    with tempfile.TemporaryDirectory() as folder:
        for name, shape in (("T1", "200 k x 20, continuous"), ("T2", "1 M x 6, counts")):
            path = str(Path(folder) / f"{name}.bin")
            subprocess.run([sys.executable, str(PROJECT / "benches" / "peers" / "trees_peers.py"), "write", name, path], check=True)
            boosted = ours(path, "boosting", repetitions)
            rivals = {rival: theirs(path, rival, repetitions) for rival in ("lightgbm", "xgboost")}
            fastest = min(rivals, key=lambda rival: min(rivals[rival]["seconds"]))
            note = f"AUC ours {boosted['auc']:.5f}, LightGBM {rivals['lightgbm']['auc']:.5f}, XGBoost {rivals['xgboost']['auc']:.5f}"
            row = report.add("trees", f"gradient boosting, 100 rounds, 31 leaves, {shape} (the engine alone)", boosted["seconds"], rivals[fastest]["seconds"],
                             fastest, "≥ 1x", note=note)
            row["met"] = row["ratio"] >= 1 and boosted["auc"] >= rivals["lightgbm"]["auc"] - 0.002
            grown = ours(path, "forest", repetitions)
            forest = peer("trees_peers.py", "fit", path, "forest", 1, THREADS)
            row = report.add("trees", f"random forest, 100 trees of full depth, {shape} (the engine alone)", grown["seconds"], forest["seconds"],
                             "scikit-learn", "≥ 10x", note=f"AUC ours {grown['auc']:.5f}, theirs {forest['auc']:.5f}")
            row["met"] = row["ratio"] >= 10 and grown["auc"] >= forest["auc"] - 0.003
            explained, shap = ours(path, "shap", repetitions), peer("trees_peers.py", "fit", path, "shap", repetitions, THREADS)
            row = report.add("trees", f"SHAP values of 10 000 rows, 100 boosted trees, {shape}", explained["then"], shap["then"], "shap", "≥ 1x",
                             note="shap's own C++ works on one thread")
            row["met"] = row["ratio"] >= 1
