"""Writes tree.json: what scikit-learn, LightGBM and shap find on small tables.

    python engine/tests/truth/tree_fixtures.py > engine/tests/truth/tree.json

Made with the versions that the file names. Weighted rows are repeated before anybody sees them; every feature has few
distinct values, so that all three cut between the same ones.
"""

import json
import sys

import lightgbm
import numpy as np
import shap
import sklearn
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier


def table(seed, n, p, classes, missing):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 12, (n, p)).astype(float)
    signal = rows[:, 0] + 2 * (rows[:, 1] > 5) * (rows[:, 2] < 4) - 0.5 * rows[:, 2] + rng.normal(0, 2.5, n)
    labels = np.searchsorted(np.quantile(signal, np.arange(1, classes) / classes), signal)
    rows[rng.random((n, p)) < missing] = np.nan
    return rows, labels, rng.integers(1, 4, n)


def plain(rows):
    """JSON has no NaN."""
    return [None if np.isnan(x) else int(x) for x in np.ravel(rows)]


def common(seed, n, p, classes, missing):
    rows, labels, weights = table(seed, n, p, classes, missing)
    return rows, labels, weights, {
        "seed": seed, "n_features": p, "n_classes": classes, "rows": plain(rows), "labels": labels.tolist(),
        "weights": weights.tolist(),
    }


def single(seed, n, p, classes, missing, **options):
    """A tree of scikit-learn without equally good splits, which it would choose between at random: the next seed that has one."""
    while True:
        rows, labels, weights, case = common(seed, n, p, classes, missing)
        repeated, repeated_labels = np.repeat(rows, weights, axis=0), np.repeat(labels, weights)
        models = [DecisionTreeClassifier(random_state=state, **options).fit(repeated, repeated_labels) for state in range(12)]
        model, found = models[0], [model.predict_proba(rows).tobytes() for model in models]
        if len(set(found)) == 1:
            break
        seed += 100
    names = {"max_depth": "max_depth", "min_samples_leaf": "min_leaf", "min_impurity_decrease": "min_gain"}
    return case | {
        "options": {names[name]: value for name, value in options.items()},
        "leaves": int(model.get_n_leaves()), "probabilities": model.predict_proba(rows).ravel().tolist(),
        "importances": model.feature_importances_.tolist(),
    }


def boosted(seed, n, p, classes, missing, **options):
    """LightGBM: raw margins of the training rows, after few enough rounds for its f32 derivatives to stay near."""
    rows, labels, weights, case = common(seed, n, p, classes, missing)
    repeated, repeated_labels = np.repeat(rows, weights, axis=0), np.repeat(labels, weights)
    params = {"objective": "binary" if classes == 2 else "multiclass", "num_leaves": 8, "learning_rate": 0.2, "min_data_in_leaf": 0,
              "min_sum_hessian_in_leaf": 4.0, "min_data_in_bin": 1, "verbosity": -1, "deterministic": True, "num_threads": 1, **options}
    if classes > 2:
        params["num_class"] = classes
    model = lightgbm.train(params, lightgbm.Dataset(repeated, repeated_labels), 10)
    ours = {"rounds": 10, "max_leaves": 8, "learning_rate": 0.2, "min_leaf": 0.0, "min_child_weight": 4.0, "l2": options.get("lambda_l2", 0.0)}
    margins = model.predict(rows, raw_score=True)
    return case | {"options": ours, "margins": np.ravel(margins).tolist(), "splits": model.feature_importance("split").tolist(),
                   "gains": model.feature_importance("gain").tolist()}


def children(tree, classes):
    """The nodes of a scikit-learn tree as the engine's importer takes them."""
    nodes = []
    for i in range(tree.node_count):
        cover = float(tree.weighted_n_node_samples[i])
        if tree.children_left[i] < 0:
            shares = tree.value[i][0] / tree.value[i][0].sum()
            nodes.append({"values": shares.tolist(), "cover": cover})
        else:
            nodes.append({"feature": int(tree.feature[i]), "threshold": float(tree.threshold[i]),
                          "missing_left": bool(tree.missing_go_to_left[i]), "left": int(tree.children_left[i]),
                          "right": int(tree.children_right[i]), "cover": cover})
    return nodes


def explained(seed, n, p, classes, depth):
    """SHAP values of a forest, from shap's own C++, path-dependent."""
    rows, labels, weights, case = common(seed, n, p, classes, 0.0)
    model = RandomForestClassifier(4, max_depth=depth, random_state=seed).fit(rows, labels, weights)
    explainer = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent")
    some = rows[:10]
    values = explainer.shap_values(some, check_additivity=True)
    return {
        "n_features": p, "n_classes": classes, "rows": plain(some), "trees": [children(e.tree_, classes) for e in model.estimators_],
        "probabilities": model.predict_proba(some).ravel().tolist(), "base": np.ravel(explainer.expected_value).tolist(),
        # rows x classes x features
        "values": np.transpose(values, (0, 2, 1)).ravel().tolist(),
    }


def main():
    json.dump({
        "versions": {"scikit-learn": sklearn.__version__, "lightgbm": lightgbm.__version__, "shap": shap.__version__},
        "single": [
            single(1, 150, 4, 2, 0.0, min_samples_leaf=12), single(2, 200, 4, 2, 0.1, max_depth=4, min_samples_leaf=10), single(3, 250, 5, 3, 0.0, max_depth=5, min_samples_leaf=20),
            single(4, 200, 4, 2, 0.0, min_impurity_decrease=0.004), single(5, 250, 5, 5, 0.0, max_depth=6, min_samples_leaf=15),
        ],
        "boosted": [boosted(11, 250, 4, 2, 0.0), boosted(12, 300, 4, 2, 0.1, lambda_l2=1.5), boosted(13, 250, 5, 3, 0.0)],
        "explained": [explained(21, 200, 4, 2, 3), explained(22, 60, 8, 3, None), explained(23, 90, 20, 2, None)],
    }, sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
