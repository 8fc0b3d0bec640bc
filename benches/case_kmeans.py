"""K-Means on continuous features without repeats: nothing to compress, so only the fit itself can be fast."""

import json
import re
import subprocess

import harness
from harness import PROJECT, peer

NAME = "continuous 1M x 8 k=8 n_init=4"


def criterion():
    """Runs engine/benches/kmeans.rs on the same rows; criterion's samples in seconds, and its inertia from the output."""
    done = subprocess.run(["cargo", "bench", "-q", "-p", "empatia-engine", "--bench", "kmeans", "--", NAME], cwd=PROJECT,
                          check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found = sorted(PROJECT.glob("target/criterion/**/new/sample.json"), key=lambda path: path.stat().st_mtime)
    found = [path for path in found if "1M x 8" in str(path) and "n_init" in str(path)]
    if not found:
        raise RuntimeError(f"criterion left no samples; it said: {done.stdout[-500:]}")
    sample = json.loads(found[-1].read_text())
    seconds = [time / iterations / 1e9 for time, iterations in zip(sample["times"], sample["iters"])]
    # the file fits its other data sets, too, and says their inertia before
    inertia = re.search(re.escape(NAME) + r": .*?inertia ([0-9.eE+]+)", done.stdout)
    if not inertia:
        raise RuntimeError(f"no inertia of {NAME!r} in what criterion's bench said: {done.stdout[-500:]}")
    return seconds, float(inertia.group(1))


def run(report, repetitions, **_):
    # in halves, so that ours stands between two runs of theirs
    before = peer("sklearn_kmeans.py", "continuous", (repetitions + 1) // 2)
    seconds, inertia = criterion()
    after = peer("sklearn_kmeans.py", "continuous", (repetitions + 1) // 2)
    best = min(before["inertia"], after["inertia"])
    note = f"inertia ours {inertia:.3f}, theirs {best:.3f} (the best of all their fits); same rows, bit for bit"
    row = report.add("kmeans", "K-Means, continuous, 1 M x 8, k = 8, n_init = 4 (the engine alone, no server)", seconds, before["seconds"] + after["seconds"],
                     "scikit-learn", "≥ 1x", note=note)
    row["met"] = row["ratio"] >= 1
    # both stop where their centroids hardly move, so neither is at the very bottom
    if abs(inertia / best - 1) > 1e-4:
        report.failed("kmeans", f"inertia: ours {inertia:.3f}, scikit-learn {best:.3f}: times of different optima")
