"""LightGBM on the dense rows of a level and grain of the cube: what their segment is, told by the period's measures.

    python peers/lightgbm_cube.py DATABASE LEVEL GRAIN [adbc|connectorx]

Prints JSON: seconds of reading, of five folds by student (fit and predict), of the fit on all rows, and the accuracy out of fold. Imports are not counted.
"""

import json
import sys
import time

import lightgbm
import numpy as np
from pandas_sklearn import FEATURES, dense

ROUNDS, LEAVES, RATE, FOLDS = 100, 31, 0.1, 5
CLASS = ", coalesce(k.class, z.class)::integer AS class"
CLASSES = """
LEFT JOIN analytics.cube_class_{part} k ON k.client_id = x.client_id AND k.user_id = x.user_id AND k.unit_id = x.unit_id AND k.period_start = x.period_start
LEFT JOIN analytics.cube_class_zero z ON z.client_id = u.client_id AND z.level = '{level}' AND z.grain = '{grain}' AND z.assigned_exercises = coalesce(a.assigned_exercises, 0)
                                     AND x.user_id IS NULL"""


def fit(table, labels, classes):
    params = {"objective": "multiclass", "num_class": classes, "num_leaves": LEAVES, "learning_rate": RATE, "verbosity": -1}
    return lightgbm.train(params, lightgbm.Dataset(table, labels), ROUNDS)


def main(database, level, grain, reader="adbc"):
    marks = [time.perf_counter()]
    rows = dense(database, level, grain, reader, CLASS, CLASSES.format(level=level, grain=grain, part=f"{level}_{grain}".lower()))
    table, labels = rows[FEATURES].to_numpy(dtype=np.float32), rows["class"].to_numpy()
    classes = int(labels.max()) + 1
    marks.append(time.perf_counter())

    students, student = np.unique(rows["user_id"].to_numpy(), return_inverse=True)
    fold = (np.random.default_rng(42).permutation(len(students)) % FOLDS)[student]
    right = 0
    for tested in range(FOLDS):
        model = fit(table[fold != tested], labels[fold != tested], classes)
        right += int((model.predict(table[fold == tested]).argmax(1) == labels[fold == tested]).sum())
    marks.append(time.perf_counter())

    fit(table, labels, classes)
    marks.append(time.perf_counter())
    parts = [later - earlier for earlier, later in zip(marks, marks[1:])]
    print(json.dumps({"read": parts[0], "folds": parts[1], "fit": parts[2], "rows": len(rows), "accuracy": right / len(rows)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
