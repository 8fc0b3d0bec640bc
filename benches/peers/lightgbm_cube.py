"""LightGBM on the dense rows of a level and grain of the cube: what their segment is, told by the period's measures.

    python peers/lightgbm_cube.py DATABASE LEVEL GRAIN [adbc|connectorx] [FOLDS]

Reads, fits and predicts FOLDS folds by student (none unless said), fits all rows. Prints JSON: the seconds, and of how many rows the class was right out of fold.
Imports are not counted.
"""

import json
import sys
import time

import lightgbm
import numpy as np
from pandas_sklearn import FEATURES, dense

ROUNDS, LEAVES, RATE = 100, 31, 0.1
CLASS = ", coalesce(k.class, z.class)::integer AS class"
CLASSES = """
LEFT JOIN analytics.cube_class_{part} k ON k.client_id = x.client_id AND k.user_id = x.user_id AND k.unit_id = x.unit_id AND k.period_start = x.period_start
LEFT JOIN analytics.cube_class_zero z ON z.client_id = u.client_id AND z.level = '{level}' AND z.grain = '{grain}' AND z.assigned_exercises = coalesce(a.assigned_exercises, 0)
                                     AND x.user_id IS NULL"""


def fit(table, labels, classes):
    params = {"objective": "multiclass", "num_class": classes, "num_leaves": LEAVES, "learning_rate": RATE, "verbosity": -1}
    return lightgbm.train(params, lightgbm.Dataset(table, labels), ROUNDS)


def main(database, level, grain, reader="adbc", folds="0"):
    began = time.perf_counter()
    rows = dense(database, level, grain, reader, CLASS, CLASSES.format(level=level, grain=grain, part=f"{level}_{grain}".lower()))
    table, labels = rows[FEATURES].to_numpy(dtype=np.float32), rows["class"].to_numpy()
    classes = int(labels.max()) + 1
    students, student = np.unique(rows["user_id"].to_numpy(), return_inverse=True)
    fold = (np.random.default_rng(42).permutation(len(students)) % max(int(folds), 1))[student]
    right = 0
    for tested in range(int(folds)):
        model = fit(table[fold != tested], labels[fold != tested], classes)
        right += int((model.predict(table[fold == tested]).argmax(1) == labels[fold == tested]).sum())
    fit(table, labels, classes)
    print(json.dumps({"seconds": time.perf_counter() - began, "rows": len(rows), "accuracy": right / len(rows)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
