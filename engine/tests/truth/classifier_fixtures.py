"""Writes classifier.json: a logistic regression with its whole recipe, cross-validated by scikit-learn on the rows repeated by
their weights, and SHAP values of its margins.

    python engine/tests/truth/classifier_fixtures.py > engine/tests/truth/classifier.json

Everything is fitted on the training rows of a fold alone: medians, moments, the levels that are frequent enough.
"""

import json
import sys

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score


def table(seed, n, classes):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, size=n)
    signal = np.round(y + rng.normal(size=n), 3)
    signal[rng.random(n) < 0.15] = np.nan
    count = rng.poisson(8 + 10 * y).astype(float)
    level = np.array([f"l{c}" for c in (y + rng.integers(0, 3, size=n)) % (classes + 2)], dtype=object)
    level[rng.random(n) < 0.03] = "rare"
    level[rng.random(n) < 0.1] = None
    return {"signal": signal, "count": count, "level": level}, y, rng.integers(1, 4, size=n), rng.integers(0, 4, size=n)


class Recipe:
    """Median and indicator, log(1 + x) of counts, mean 0 and sd 1; a column per level of at least 5 rows, other, missing."""

    def fit(self, columns, weights):
        dense = {name: np.repeat(values, weights) for name, values in columns.items()}
        self.numbers, self.levels = {}, {}
        for name in ["signal", "count"]:
            values = dense[name]
            gaps = np.isnan(values)
            fill = np.median(values[~gaps])
            full = np.where(gaps, fill, values)
            full = np.log1p(full) if name == "count" else full
            self.numbers[name] = (fill, full.mean(), full.std(), gaps.any())
        known = [level for level in dense["level"] if level is not None]
        names, counts = np.unique(known, return_counts=True)
        kept = [str(name) for name, count in zip(names, counts) if count >= 5]
        self.levels = (kept, len(kept) < len(names), len(known) < len(dense["level"]))
        return self

    def transform(self, columns):
        out, source = [], []
        for index, name in enumerate(["signal", "count"]):
            fill, mean, sd, indicator = self.numbers[name]
            gaps = np.isnan(columns[name])
            full = np.where(gaps, fill, columns[name])
            full = np.log1p(full) if name == "count" else full
            out.append((full - mean) / sd)
            source.append(index)
            if indicator:
                out.append(gaps.astype(float))
                source.append(index)
        kept, other, missing = self.levels
        is_missing = np.array([level is None for level in columns["level"]])
        for name in kept:
            out.append((columns["level"] == name).astype(float))
        if other:
            out.append((~is_missing & ~np.isin(columns["level"].astype(str), kept)).astype(float))
        if missing:
            out.append(is_missing.astype(float))
        source += [2] * (len(out) - len(source))
        return np.column_stack(out), np.array(source)


def select(columns, rows):
    return {name: values[rows] for name, values in columns.items()}


def fit(columns, y, weights):
    recipe = Recipe().fit(columns, weights)
    x, source = recipe.transform(columns)
    model = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-13, max_iter=100_000)
    model.fit(np.repeat(x, weights, axis=0), np.repeat(y, weights))
    return recipe, model, source


def case(seed, n, classes):
    columns, y, weights, folds = table(seed, n, classes)
    predicted = np.zeros((n, classes))
    for fold in range(4):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        recipe, model, _ = fit(select(columns, train), y[train], weights[train])
        predicted[test] = model.predict_proba(recipe.transform(select(columns, test))[0])
    recipe, model, source = fit(columns, y, weights)
    x, _ = recipe.transform(columns)
    centre = np.repeat(x, weights, axis=0).mean(axis=0)
    # Only differences of margins count where there are several: centred, they add up to 0
    coefficients = model.coef_ - (model.coef_.mean(axis=0) if classes > 2 else 0)
    why = [[[(own * (x[row] - centre))[source == column].sum() for column in range(3)] for own in coefficients] for row in range(5)]
    dense_y, dense_p = np.repeat(y, weights), np.repeat(predicted, weights, axis=0)
    binary = classes == 2
    return {
        "classes": classes,
        "signal": [None if np.isnan(v) else v for v in columns["signal"]],
        "count": columns["count"].tolist(),
        "level": columns["level"].tolist(),
        "y": y.tolist(), "weights": weights.tolist(), "folds": folds.tolist(),
        "out_of_fold": predicted.ravel().tolist(),
        "final": model.predict_proba(x).ravel().tolist(),
        "contributions": why,
        "log_loss": log_loss(dense_y, dense_p),
        "accuracy": accuracy_score(dense_y, dense_p.argmax(axis=1)),
        "auc": roc_auc_score(dense_y, dense_p[:, 1] if binary else dense_p, multi_class="ovr"),
        "brier": brier_score_loss(dense_y, dense_p[:, 1]) if binary else float(
            ((dense_p - np.eye(classes)[dense_y]) ** 2).sum(axis=1).mean()),
    }


json.dump(
    {"scikit_learn": sklearn.__version__, "numpy": np.__version__, "cases": [case(1, 240, 2), case(2, 300, 3)]}, sys.stdout
)
print()
