"""LightGBM, XGBoost, scikit-learn and shap on the rows of a file that engine/examples/trees.rs reads too.

    python peers/trees_peers.py write T1|T2 FILE                   make_classification 200k x 20, or 1M x 6 counts; and as many test rows as a quarter or a fifth
    python peers/trees_peers.py fit FILE PEER [RUNS] [THREADS]     PEER: lightgbm, xgboost, forest, shap, contributions

Prints JSON: seconds of every fit and of every prediction (`shap`, `contributions`: explanation of 10 000 rows, by shap's C++ and by LightGBM), and the AUC on the test rows.
"""

import json
import sys
import time

import numpy as np

ROUNDS, LEAVES, RATE, TREES = 100, 31, 0.1, 100


def generate(name):
    if name == "T1":
        from sklearn.datasets import make_classification
        table, labels = make_classification(250_000, 20, n_informative=10, n_redundant=5, n_clusters_per_class=4, weights=[0.8], flip_y=0.05, random_state=0)
        return table, labels, 200_000
    rng, n = np.random.default_rng(1), 1_200_000
    activity = rng.gamma(0.8, 1.5, n)
    table = rng.poisson(activity[:, None] * np.array([4, 2.5, 1.5, 1, 3, 2]) * rng.gamma(2, 0.5, (n, 6))).astype(float)
    logit = (1.2 - 0.5 * np.log1p(table[:, 0]) - 0.5 * (table[:, 1] > 2) - 0.6 * np.log1p(table[:, 4])
             + 0.5 * (table[:, 2] > table[:, 3]) + 0.3 * np.sin(table[:, 5]))
    return table, (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(int), 1_000_000


def write(name, path):
    table, labels, n = generate(name)
    with open(path, "wb") as file:
        np.array([n, len(table) - n, table.shape[1]], dtype="<u8").tofile(file)
        for part in (slice(None, n), slice(n, None)):
            np.ascontiguousarray(table[part].T, dtype="<f8").tofile(file)
            labels[part].astype("<f8").tofile(file)


def read(path):
    with open(path, "rb") as file:
        train, test, p = np.fromfile(file, "<u8", 3).astype(int)
        parts = []
        for n in (train, test):
            table = np.ascontiguousarray(np.fromfile(file, "<f8", n * p).reshape(p, n).T)
            parts += [table, np.fromfile(file, "<f8", n).astype(int)]
    return parts


def boosted(peer, table, labels, threads):
    if peer == "lightgbm":
        import lightgbm
        params = {"objective": "binary", "num_leaves": LEAVES, "learning_rate": RATE, "num_threads": threads, "verbosity": -1}
        model = lightgbm.train(params, lightgbm.Dataset(table, labels), ROUNDS)
        return model, lambda rows: model.predict(rows, num_threads=threads)
    import xgboost
    params = {"objective": "binary:logistic", "tree_method": "hist", "grow_policy": "lossguide", "max_leaves": LEAVES, "max_depth": 0, "eta": RATE,
              "nthread": threads}
    model = xgboost.train(params, xgboost.DMatrix(table, labels, nthread=threads), ROUNDS)
    return model, lambda rows: model.predict(xgboost.DMatrix(rows))


def main(what, *arguments):
    if what == "write":
        return write(*arguments)
    path, peer, runs, threads = arguments[0], arguments[1], int((arguments[2:3] or ["3"])[0]), int((arguments[3:4] or ["4"])[0])
    from sklearn.metrics import roc_auc_score
    table, labels, test, test_labels = read(path)
    seconds, then = [], []
    for _ in range(runs):
        began = time.perf_counter()
        if peer == "forest":
            from sklearn.ensemble import RandomForestClassifier
            model = RandomForestClassifier(TREES, n_jobs=threads, random_state=0).fit(table, labels)
            predict = lambda rows: model.predict_proba(rows)[:, 1]  # noqa: E731
        else:
            model, predict = boosted("lightgbm" if peer in ("shap", "contributions") else peer, table, labels, threads)
        seconds.append(time.perf_counter() - began)
        if peer in ("shap", "contributions"):
            import shap
            explainer = shap.TreeExplainer(model)
            if peer == "shap":
                # otherwise it would ask LightGBM, which computes the same on all threads
                explainer.model.model_type = "internal"
            began = time.perf_counter()
            explainer.shap_values(test[:10_000], check_additivity=False)
            then.append(time.perf_counter() - began)
            continue
        began = time.perf_counter()
        scores = predict(test)
        then.append(time.perf_counter() - began)
    auc = None if peer in ("shap", "contributions") else float(roc_auc_score(test_labels, scores))
    print(json.dumps({"seconds": seconds, "then": then, "auc": auc}))


if __name__ == "__main__":
    main(*sys.argv[1:])
