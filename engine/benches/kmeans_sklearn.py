"""scikit-learn on the continuous rows of benches/kmeans.rs: median of five, four OpenMP threads.

    OMP_NUM_THREADS=4 OPENBLAS_NUM_THREADS=4 python benches/kmeans_sklearn.py
"""

import statistics
import time

import numpy as np
import sklearn
from sklearn.cluster import KMeans


def fraction(index):
    """SplitMix64 of a counter, as in kmeans.rs."""
    with np.errstate(over="ignore"):
        z = (index.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) / 2.0**53 + 1e-17


def continuous(n, p):
    centres = 6.0 * fraction(np.arange(8 * p)).reshape(8, p) - 3.0
    at = 1_000_000 + np.arange(n * p, dtype=np.uint64) * np.uint64(4)
    noise = sum(fraction(at + np.uint64(u)) - 0.5 for u in range(4))
    return centres[np.arange(n) % 8] + 1.5 * np.sqrt(3.0) * noise.reshape(n, p)


def timed(name, rows, **params):
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        model = KMeans(n_clusters=8, random_state=0, **params).fit(rows)
        seconds.append(time.perf_counter() - began)
    print(f"{name}: median {statistics.median(seconds):.3f} s of {[round(s, 3) for s in seconds]}, "
          f"inertia {model.inertia_:.3f}, iterations of the best start {model.n_iter_}", flush=True)


if __name__ == "__main__":
    print("scikit-learn", sklearn.__version__, "numpy", np.__version__)
    table = continuous(1_000_000, 8)
    timed("continuous 1M x 8 k=8 n_init=4", table, n_init=4)
    timed("continuous 1M x 8 k=8, first rows as centroids", table, n_init=1, init=table[:8].copy())
