"""Writes classify.json: what scikit-learn and SciPy find on the rows repeated by their weights.

    python engine/tests/truth/classify_fixtures.py > engine/tests/truth/classify.json

Made with the versions that the file names. No weight reaches a library: every number comes from the dense table. What no
library has (DeLong's variance, Obuchowski's) is computed here from its definition, pair by pair.
"""

import json
import sys

import numpy as np
import scipy
import sklearn
from scipy.optimize import minimize
from scipy.stats import binomtest, norm
from sklearn import metrics
from sklearn.calibration import _SigmoidCalibration, calibration_curve
from sklearn.impute import SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler


def logistic(seed, n, p, classes, l2, scale, signal, balanced=False):
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=(n, p)) * scale + np.arange(p), 2)
    margins = ((x - np.arange(p)) / scale) @ rng.normal(size=(p, classes)) * signal
    y = np.argmax(margins + rng.gumbel(size=(n, classes)), axis=1)
    weights = rng.integers(1, 5, size=n)
    dense_x, dense_y = np.repeat(x, weights, axis=0), np.repeat(y, weights)
    scaler = StandardScaler().fit(dense_x)
    # The penalty is on the columns as they are where they have one scale; else on the standardised ones
    unit = np.ones(p) if np.isscalar(scale) else scaler.scale_
    centre = np.zeros(p) if np.isscalar(scale) else scaler.mean_
    found = {}
    for solver in ["newton-cholesky", "lbfgs"]:
        model = LogisticRegression(
            C=1 / l2, solver=solver, tol=1e-13, max_iter=1_000_000, class_weight="balanced" if balanced else None
        )
        with np.errstate(all="ignore"):
            model.fit((dense_x - centre) / unit, dense_y)
        found[solver] = model
    model = found["newton-cholesky"]
    assert np.allclose(model.coef_, found["lbfgs"].coef_, rtol=1e-4, atol=1e-4)
    return {
        "seed": seed, "l2": l2, "classes": classes, "p": p, "balanced": balanced,
        "x": ((x - centre) / unit).ravel().tolist(), "y": y.tolist(), "weights": weights.tolist(),
        "coefficients": model.coef_.ravel().tolist(), "intercepts": (model.intercept_ - (
            model.intercept_.mean() if classes > 2 else 0)).tolist(),
        "probabilities": model.predict_proba((x[:20] - centre) / unit).ravel().tolist(),
    }


def separable():
    x, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])
    model = LogisticRegression(C=1e4, solver="newton-cholesky", tol=1e-13, max_iter=100_000).fit(x, y)
    return {
        "seed": 0, "l2": 1e-4, "classes": 2, "p": 1, "balanced": False, "x": x.ravel().tolist(), "y": y.tolist(),
        "weights": [1, 1, 1, 1], "coefficients": model.coef_.ravel().tolist(), "intercepts": model.intercept_.tolist(),
        "probabilities": model.predict_proba(x).ravel().tolist(),
    }


def binary(seed, n, decimals):
    """Scores with ties, in both classes; a second model for the difference; groups of rows."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, size=n)
    groups = rng.integers(0, n // 3, size=n)
    latent = rng.normal(size=n) + 0.8 * y + 0.5 * rng.normal(size=n // 3)[groups]
    scores = np.round(1 / (1 + np.exp(-latent)), decimals)
    other = np.round(1 / (1 + np.exp(-(latent + rng.normal(size=n)))), decimals)
    weights = rng.integers(1, 4, size=n)
    s, t, o = np.repeat(scores, weights), np.repeat(y, weights), np.repeat(other, weights)
    g = np.repeat(groups, weights)
    fpr, tpr, thresholds = metrics.roc_curve(t, s, drop_intermediate=False)
    precision, recall, pr_thresholds = metrics.precision_recall_curve(t, s)
    called = (s > 0.5).astype(int)
    observed, predicted = calibration_curve(t, s, n_bins=10)
    bins = np.searchsorted(np.linspace(0, 1, 11)[1:-1], s)
    ece = sum((bins == b).mean() * abs(s[bins == b].mean() - t[bins == b].mean()) for b in np.unique(bins))
    return {
        "seed": seed, "scores": scores.tolist(), "other": other.tolist(), "y": y.tolist(), "weights": weights.tolist(),
        "groups": groups.tolist(),
        "auc": metrics.roc_auc_score(t, s), "average_precision": metrics.average_precision_score(t, s),
        "roc": [fpr[1:].tolist(), tpr[1:].tolist(), thresholds[1:].tolist()],
        "pr": [precision[:-1][::-1].tolist(), recall[:-1][::-1].tolist(), pr_thresholds[::-1].tolist()],
        "log_loss": metrics.log_loss(t, s), "brier": metrics.brier_score_loss(t, s),
        "confusion": metrics.confusion_matrix(t, called).ravel().tolist(),
        "accuracy": metrics.accuracy_score(t, called), "balanced": metrics.balanced_accuracy_score(t, called),
        "f1": metrics.f1_score(t, called), "precision": metrics.precision_score(t, called),
        "recall": metrics.recall_score(t, called), "macro_f1": metrics.f1_score(t, called, average="macro"),
        "reliability": [observed.tolist(), predicted.tolist()], "expected_calibration_error": ece,
        "delong": delong(s, o, t, np.arange(len(s))), "obuchowski": delong(s, o, t, g),
        "isotonic": isotonic(s, t), "platt": platt(s, t),
    }


def delong(a, b, y, clusters):
    """Difference of two areas and its standard error, clusters being what is independent (Obuchowski 1997)."""
    def parts(scores):
        diff = scores[y == 1][:, None] - scores[y == 0][None, :]
        right = (diff > 0) + 0.5 * (diff == 0)
        return right.mean(), right.mean(axis=1), right.mean(axis=0)

    (area_a, v10_a, v01_a), (area_b, v10_b, v01_b) = parts(a), parts(b)
    theta, v10, v01 = area_a - area_b, v10_a - v10_b, v01_a - v01_b
    m, n = len(v10), len(v01)
    names = np.unique(clusters)
    x = np.array([(v10 - theta)[clusters[y == 1] == c].sum() for c in names])
    z = np.array([(v01 - theta)[clusters[y == 0] == c].sum() for c in names])
    i10 = len(np.unique(clusters[y == 1]))
    i01 = len(np.unique(clusters[y == 0]))
    i = len(names)
    variance = (x @ x * i10 / (i10 - 1) / m**2 + z @ z * i01 / (i01 - 1) / n**2
                + 2 * (x @ z) * i / (i - 1) / (m * n))
    error = np.sqrt(variance)
    return {"a": area_a, "b": area_b, "difference": theta, "standard_error": error, "p": 2 * norm.sf(abs(theta / error))}


def isotonic(scores, y):
    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, y)
    grid = np.linspace(0, 1, 41)
    return {"at": grid.tolist(), "values": model.predict(grid).tolist()}


def platt(scores, y):
    odds = np.log(np.clip(scores, 1e-6, 1 - 1e-6) / (1 - np.clip(scores, 1e-6, 1 - 1e-6)))
    model = _SigmoidCalibration().fit(odds, y)
    # scikit-learn's optimiser stops early: polished on the same objective
    hi, lo = ((y == 1).sum() + 1) / ((y == 1).sum() + 2), 1 / ((y == 0).sum() + 2)
    target = np.where(y == 1, hi, lo)

    def loss(ab):
        u = ab[0] * odds + ab[1]
        return (np.logaddexp(0, u) - (1 - target) * u).mean()

    best = minimize(loss, [model.a_, model.b_], method="Nelder-Mead", options={"xatol": 1e-11, "fatol": 1e-16, "maxiter": 9999})
    assert np.allclose(best.x, [model.a_, model.b_], atol=2e-3), (best.x, model.a_, model.b_)
    return {"slope": -best.x[0], "intercept": -best.x[1]}


def multiclass(seed, n, classes):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, size=n)
    y[:classes] = np.arange(classes)
    raw = np.round(rng.gamma(1 + 2 * (y[:, None] == np.arange(classes)), 1.0), 1) + 0.1
    p = np.round(raw / raw.sum(axis=1, keepdims=True), 3)
    p[:, 0] = np.round(1 - p[:, 1:].sum(axis=1), 3)  # the same bits here and in the file: ties stay ties
    weights = rng.integers(1, 4, size=n)
    t, q = np.repeat(y, weights), np.repeat(p, weights, axis=0)
    called = q.argmax(axis=1)
    return {
        "seed": seed, "classes": classes, "probabilities": p.ravel().tolist(), "y": y.tolist(), "weights": weights.tolist(),
        "auc": metrics.roc_auc_score(t, q, multi_class="ovr", average="macro"),
        "log_loss": metrics.log_loss(t, q), "brier": metrics.brier_score_loss(t, q),
        "average_precision": np.mean([metrics.average_precision_score(t == c, q[:, c]) for c in range(classes)]),
        "confusion": metrics.confusion_matrix(t, called).ravel().tolist(),
        "accuracy": metrics.accuracy_score(t, called), "balanced": metrics.balanced_accuracy_score(t, called),
        "macro_f1": metrics.f1_score(t, called, average="macro"),
        "micro_f1": metrics.f1_score(t, called, average="micro"),
        "macro_precision": metrics.precision_score(t, called, average="macro", zero_division=0),
        "macro_recall": metrics.recall_score(t, called, average="macro"),
    }


def vote(seed, n, members, classes):
    """Weights of the mixture with the least log-loss, by a general optimiser."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, size=n)
    raw = [rng.gamma(1 + rng.uniform(0, 2) * (y[:, None] == np.arange(classes)), 1.0) + 0.05 for _ in range(members)]
    p = [np.round(r / r.sum(axis=1, keepdims=True), 6) for r in raw]
    for q in p:
        q[:, 0] += 1 - q.sum(axis=1)
    weights = rng.integers(1, 4, size=n)
    truth = np.stack([q[np.arange(n), y] for q in p], axis=1)

    def loss(w):
        return -(weights * np.log(truth @ w)).sum() / weights.sum()

    best = minimize(loss, np.full(members, 1 / members), method="SLSQP", bounds=[(0, 1)] * members,
                    constraints={"type": "eq", "fun": lambda w: w.sum() - 1}, options={"ftol": 1e-15, "maxiter": 1000})
    return {
        "seed": seed, "classes": classes, "members": [q.ravel().tolist() for q in p], "y": y.tolist(),
        "weights": weights.tolist(), "vote": best.x.tolist(), "log_loss": best.fun,
    }


def preparation(seed, n):
    """Median imputation, then log(1 + x), then scaling, of repeated rows with gaps."""
    rng = np.random.default_rng(seed)
    x = rng.poisson(3.0, size=n).astype(float)
    x[rng.random(n) < 0.2] = np.nan
    weights = rng.integers(1, 4, size=n)
    dense = np.repeat(x, weights)[:, None]
    imputer = SimpleImputer(strategy="median").fit(dense)
    logs = np.log1p(imputer.transform(dense))
    scaler = StandardScaler().fit(logs)
    return {
        "seed": seed, "x": [None if np.isnan(v) else v for v in x], "weights": weights.tolist(),
        "median": imputer.statistics_[0], "mean": scaler.mean_[0], "sd": scaler.scale_[0],
        "out": scaler.transform(np.log1p(imputer.transform(x[:, None]))).ravel().tolist(),
    }


def intervals():
    def ci(hits, trials, level):
        found = binomtest(hits, trials).proportion_ci(level, method="wilson")
        return [hits, trials, level, found.low, found.high]

    return {
        "wilson": [ci(7, 10, 0.95), ci(0, 5, 0.95), ci(5, 5, 0.95), ci(300, 1000, 0.99), ci(1, 3, 0.8)],
        "quantiles": [[p, norm.ppf(p)] for p in [1e-12, 0.001, 0.025, 0.3, 0.5, 0.9, 0.975, 0.9999]],
        "tails": [[z, 2 * norm.sf(abs(z))] for z in [0.0, 0.3, -1.96, 2.0, 2.9, -4.0, 9.0, 30.0]],
    }


def rounded(value):
    """13 significant digits: the last ones depend on the libraries' threads."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return float(f"{value:.13g}") if isinstance(value, float) else value


if __name__ == "__main__":
    fixture = {
        "scikit_learn": sklearn.__version__, "scipy": scipy.__version__,
        "logistic": [
            logistic(1, 80, 3, 2, 1.0, 1.0, 1.0), logistic(2, 90, 4, 3, 0.5, 1.0, 1.5), logistic(3, 60, 2, 4, 10.0, 2.0, 1.0),
            logistic(4, 70, 3, 2, 0.01, np.array([1.0, 1000.0, 0.01]), 2.0),
            logistic(5, 90, 2, 3, 1.0, 1.0, 1.0, balanced=True), separable(),
        ],
        "binary": [binary(11, 60, 1), binary(12, 90, 2)],
        "multiclass": [multiclass(21, 60, 3), multiclass(22, 80, 5)],
        "vote": [vote(31, 80, 3, 2), vote(32, 60, 4, 3)],
        "preparation": [preparation(41, 40), preparation(42, 41)],
        "intervals": intervals(),
    }
    json.dump(rounded(fixture), sys.stdout, separators=(",", ":"))
    print()
