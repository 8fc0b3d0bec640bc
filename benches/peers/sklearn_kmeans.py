"""scikit-learn's KMeans alone, on a matrix that is in memory already.

    python peers/sklearn_kmeans.py dense DATABASE LEVEL GRAIN [RUNS]     the dense rows of the cube, log1p, standardised; k = 4, n_init = 10
    python peers/sklearn_kmeans.py continuous [RUNS]                     1 M x 8 without repeats; k = 8, n_init = 4

Prints JSON: seconds of every fit, best inertia. The rows of `continuous` are those of engine/benches/kmeans.rs, bit for bit.
"""

import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

sys.path.append(str(Path(__file__).resolve().parents[2] / "engine" / "benches"))


def dense(database, level, grain):
    import pandas_sklearn
    host, user = os.environ.get("PGHOST", "/var/run/postgresql"), os.environ.get("PGUSER", "postgres")
    uri = f"postgresql://{user}@{quote(host, safe='')}:{os.environ.get('PGPORT', '5432')}/{database}"
    rows = pandas_sklearn.read(uri, pandas_sklearn.DENSE.format(level=level, grain=grain, part=f"{level}_{grain}".lower(), columns="", joins=""), "adbc")
    return StandardScaler().fit_transform(np.log1p(rows[pandas_sklearn.FEATURES].to_numpy(dtype=np.float64)))


def main(what, *arguments):
    if what == "dense":
        table, params, runs = dense(*arguments[:3]), {"n_clusters": 4, "n_init": 10}, arguments[3:]
    elif what == "continuous":
        from kmeans_sklearn import continuous
        table, params, runs = continuous(1_000_000, 8), {"n_clusters": 8, "n_init": 4}, arguments
    else:
        raise SystemExit(f"unknown data set {what!r}: dense or continuous")
    seconds, inertia = [], []
    for seed in range(int(runs[0]) if runs else 3):
        began = time.perf_counter()
        model = KMeans(random_state=seed, **params).fit(table)
        seconds.append(time.perf_counter() - began)
        inertia.append(float(model.inertia_))
    print(json.dumps({"seconds": seconds, "inertia": min(inertia), "rows": int(table.shape[0]), "distinct": int(len(np.unique(table, axis=0)))
                      if what == "dense" else int(table.shape[0])}))


if __name__ == "__main__":
    main(*sys.argv[1:])
