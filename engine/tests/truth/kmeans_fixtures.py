"""Writes kmeans.json: what scikit-learn finds on the rows repeated by their weights.

    python engine/tests/truth/kmeans_fixtures.py > engine/tests/truth/kmeans.json

Made with the scikit-learn version that the file names. Every number comes from the dense table, none from weights.
"""

import json
import sys

import numpy as np
import sklearn
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score
from sklearn.preprocessing import StandardScaler

NAMES = ["posts", "post_replies", "help_requests", "help_request_replies", "assigned_exercises", "submitted_exercises"]
SCORE = np.array([1.0, 1.0, 1.0, 1.0, 0.0, 1.5])


def distinct(table):
    rows, weights = np.unique(table, axis=0, return_counts=True)
    return rows, weights


def best_of_20(dense, k):
    return KMeans(n_clusters=k, n_init=20, tol=0, max_iter=1000, random_state=0).fit(dense)


def indices(dense, labels):
    return {
        # scikit-learn's own Euclidean distances cancel: copies of a row end up 1e-8 apart.
        "silhouette": silhouette_score(cdist(dense, dense), labels, metric="precomputed"),
        "davies_bouldin": davies_bouldin_score(dense, labels),
        "calinski_harabasz": calinski_harabasz_score(dense, labels),
    }


def plain(seed, n, p, k, scale, decimals):
    """Rounded Gaussian blobs: rows as they are, no recipe."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(scale=scale, size=(k, p))
    table = np.round(centres[rng.integers(k, size=n)] + rng.normal(size=(n, p)), decimals)
    rows, weights = distinct(table)
    dense = np.repeat(rows, weights, axis=0)
    model = best_of_20(dense, k)
    # Arbitrary labels too: the indices must agree also where the clusters are bad.
    bad = np.arange(len(rows)) % k
    return {
        "seed": seed, "k": k, "n_features": p, "rows": rows.ravel().tolist(), "weights": weights.tolist(),
        "inertia": model.inertia_, "indices": indices(dense, model.labels_),
        "indices_of_row_number_modulo_k": indices(dense, np.repeat(bad, weights)),
    }


def segments(seed, n, k):
    """Engagement counts, most rows zero, through the default recipe; segments ranked by score."""
    rng = np.random.default_rng(seed)
    activity = rng.gamma(0.7, 1.5, size=n) * (rng.random(n) < 0.4)
    posts = rng.poisson(activity[:, None] * np.array([1.0, 0.6, 0.3, 0.2]))
    assigned = rng.choice([0, 2, 3], size=n)
    submitted = rng.binomial(assigned, 1 - np.exp(-activity))
    rows, weights = distinct(np.column_stack([posts, assigned, submitted]))
    dense = np.repeat(rows, weights, axis=0)
    scaler = StandardScaler().fit(np.log1p(dense))
    standardised = scaler.transform(np.log1p(dense))
    model = best_of_20(standardised, k)
    original = np.expm1(scaler.inverse_transform(model.cluster_centers_))
    scores = original @ SCORE
    rank_of_cluster = np.empty(k, dtype=int)
    rank_of_cluster[np.argsort(-scores)] = np.arange(1, k + 1)
    first_copy = np.cumsum(weights) - weights
    order = np.argsort(-scores)
    return {
        "seed": seed, "k": k, "features": NAMES, "rows": rows.ravel().tolist(), "weights": weights.tolist(),
        "mean": scaler.mean_.tolist(), "sd": scaler.scale_.tolist(), "inertia": model.inertia_,
        "scores": scores[order].tolist(), "centroids": original[order].tolist(),
        "sizes": np.bincount(model.labels_, minlength=k)[order].tolist(),
        "ranks": rank_of_cluster[model.labels_[first_copy]].tolist(),
        "indices": indices(standardised, model.labels_),
    }


if __name__ == "__main__":
    fixture = {
        "scikit_learn": sklearn.__version__,
        "plain": [plain(1, 400, 1, 3, 6.0, 1), plain(2, 500, 2, 4, 3.0, 0), plain(3, 150, 4, 5, 2.0, 1)],
        "segments": [segments(4, 1500, 4), segments(5, 700, 3)],
    }
    json.dump(fixture, sys.stdout, separators=(",", ":"))
    print()
