"""Writes clusters.json: what scikit-learn's GaussianMixture and DBSCAN find on the rows repeated by their weights.

    python engine/tests/truth/clusters_fixtures.py > engine/tests/truth/clusters.json

Made with the scikit-learn version that the file names. Every number comes from the dense table, none from weights.
"""

import json
import sys

import numpy as np
import sklearn
from scipy.spatial.distance import cdist
from sklearn.cluster import DBSCAN
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

SCORE = np.array([1.0, 1.5])


def distinct(table):
    rows, weights = np.unique(table, axis=0, return_counts=True)
    return rows, weights, np.repeat(rows, weights, axis=0)


def blobs(seed, n, p, k, scale, decimals):
    rng = np.random.default_rng(seed)
    centres = rng.normal(scale=scale, size=(k, p))
    spread = rng.normal(size=(k, p, p))
    which = rng.integers(k, size=n)
    return np.round(centres[which] + np.einsum("npq,nq->np", spread[which], rng.normal(size=(n, p))), decimals)


def groups(seed, n):
    """Counts of students of three kinds: idle, busy, very busy."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, p=[0.7, 0.25, 0.05], size=n)
    return rng.poisson(np.array([0.1, 6.0, 60.0])[kind, None] * np.array([1.0, 0.7]))


def mixture(dense, k, regularisation):
    return GaussianMixture(k, n_init=20, tol=1e-11, max_iter=5000, reg_covar=regularisation, random_state=0).fit(dense)


def plain_mixture(seed, n, p, k, scale, decimals, regularisation):
    rows, weights, dense = distinct(blobs(seed, n, p, k, scale, decimals))
    model = mixture(dense, k, regularisation)
    order = np.argsort(model.means_[:, 0])
    rank = np.empty(k, dtype=int)
    rank[order] = np.arange(k)
    return {
        "k": k, "n_features": p, "rows": rows.ravel().tolist(), "weights": weights.tolist(), "regularisation": regularisation,
        "log_likelihood": model.score(dense), "bic": model.bic(dense),
        # components by their first coordinate
        "component_weights": model.weights_[order].tolist(), "means": model.means_[order].ravel().tolist(),
        "covariances": model.covariances_[order].ravel().tolist(), "labels": rank[model.predict(rows)].tolist(),
    }


def plain_dbscan(seed, n, p, k, scale, decimals, eps, min_points):
    rows, weights, dense = distinct(blobs(seed, n, p, k, scale, decimals))
    model = DBSCAN(eps=eps, min_samples=min_points, algorithm="brute").fit(dense)
    first = np.cumsum(weights) - weights
    is_core = np.zeros(len(dense), dtype=bool)
    is_core[model.core_sample_indices_] = True
    core, label = is_core[first], model.labels_[first]
    assert all(len(set(model.labels_[f:f + w])) == 1 for f, w in zip(first, weights))
    # a border row's cluster is left open by DBSCAN; ours is that of the nearest core row
    if core.any():
        distances = cdist(rows, rows[core])
        nearest = np.where(distances.min(axis=1) <= eps, label[core][distances.argmin(axis=1)], -1)
        assert ((nearest == -1) == (label == -1)).all() and (nearest[core] == label[core]).all()
        label = nearest
    return {
        "n_features": p, "rows": rows.ravel().tolist(), "weights": weights.tolist(), "eps": eps, "min_points": min_points,
        "clusters": len(set(label[core].tolist())), "core": int(core.sum()), "labels": label.tolist(),
    }


def described(rows, weights, dense, labels, noise):
    """Segments by score, best first, of labels of the dense rows; noise, where there is some, apart."""
    scaler = StandardScaler().fit(np.log1p(dense))
    standardised = scaler.transform(np.log1p(dense))
    found = []
    for label in sorted(set(labels.tolist())):
        mean = standardised[labels == label].mean(axis=0)
        centroid = np.expm1(scaler.inverse_transform(mean[None])[0])
        found.append({"label": label, "size": int((labels == label).sum()), "centroid": centroid.tolist(), "score": float(centroid @ SCORE),
                      "inertia": float(((standardised[labels == label] - mean) ** 2).sum())})
    ranked = sorted((s for s in found if s["label"] != noise), key=lambda s: -s["score"])
    rank = {s["label"]: place for place, s in enumerate(ranked, 1)} | {noise: 0}
    first = np.cumsum(weights) - weights
    return {
        "segments": ranked, "noise": next((s for s in found if s["label"] == noise), None), "inertia": sum(s["inertia"] for s in ranked),
        "rows": rows.ravel().tolist(), "weights": weights.tolist(), "ranks": [rank[label] for label in labels[first].tolist()],
    }


def segments_mixture(seed, n):
    rows, weights, dense = distinct(groups(seed, n))
    standardised = StandardScaler().fit_transform(np.log1p(dense))
    model = mixture(standardised, 3, 0.05)
    return {"regularisation": 0.05, "log_likelihood": model.score(standardised)} | described(rows, weights, dense, model.predict(standardised), None)


def segments_dbscan(seed, n, eps, min_points):
    rows, weights, dense = distinct(groups(seed, n))
    standardised = StandardScaler().fit_transform(np.log1p(dense))
    model = DBSCAN(eps=eps, min_samples=min_points, algorithm="brute").fit(standardised)
    labels = model.labels_.copy()
    core = model.core_sample_indices_
    border = np.setdiff1d(np.flatnonzero(labels >= 0), core)
    if len(border):
        labels[border] = labels[core][cdist(standardised[border], standardised[core]).argmin(axis=1)]
    return {"eps": eps, "min_points": min_points} | described(rows, weights, dense, labels, -1)


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.13g}") if isinstance(value, float) else value


if __name__ == "__main__":
    fixture = {
        "scikit_learn": sklearn.__version__,
        "mixtures": [plain_mixture(1, 600, 1, 2, 9.0, 1, 1e-6), plain_mixture(2, 800, 2, 3, 9.0, 0, 1e-6), plain_mixture(3, 900, 3, 3, 9.0, 0, 1e-2)],
        "dbscans": [plain_dbscan(4, 500, 1, 3, 9.0, 1, 0.25, 6), plain_dbscan(5, 900, 2, 4, 6.0, 0, 1.5, 12), plain_dbscan(6, 400, 3, 3, 6.0, 0, 2.0, 5),
                    plain_dbscan(7, 300, 2, 2, 3.0, 1, 0.01, 40)],
        "segments_mixture": segments_mixture(8, 3000),
        "segments_dbscan": segments_dbscan(9, 3000, 0.3, 25),
    }
    json.dump(rounded(fixture), sys.stdout, separators=(",", ":"))
    print()
