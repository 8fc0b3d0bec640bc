"""ONNX files against their makers and onnxruntime.

    python onnx_peers.py check FOLDER     every NAME.onnx written by the engine is valid, and onnxruntime finds in it what NAME.json says
    python onnx_peers.py write FOLDER     NAME.onnx of scikit-learn, LightGBM and XGBoost, the rows, and what onnxruntime says of them (NAME.json)
    python onnx_peers.py compare FOLDER   NAME.import.json, what the engine says of these files, is the same; so is what it says of its own,
                                          or it says that ONNX holds less than it needs

Prints a line per file; the status is 1 if any differs. TOLERANCE: of probabilities, which onnxruntime computes in 32 bits.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

TOLERANCE = 1e-5
ROWS = 2_000


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def judge(name, problems, note):
    print(f"{'not ok' if problems else 'ok'} - {name}: {'; '.join(problems) or note}")
    return not problems


def difference(found, expected):
    return float(np.abs(np.asarray(found, dtype=float) - np.asarray(expected, dtype=float)).max())


def check_one(path):
    said = json.loads(path.with_suffix(".json").read_text())
    onnx.checker.check_model(str(path), full_check=True)
    run = session(path)
    feed = {}
    for wanted in run.get_inputs():
        values = said["columns"][wanted.name]
        text = wanted.type == "tensor(string)"
        feed[wanted.name] = np.array([[("" if text else np.nan) if value is None else value] for value in values], dtype=object if text else np.float32)
    outputs = {output.name: value for output, value in zip(run.get_outputs(), run.run(None, feed))}
    label = next(outputs[name] for name in outputs if name.startswith("label"))
    p = next(outputs[name] for name in outputs if name.startswith("probabilities"))
    off = difference(p, said["probabilities"])
    problems = [] if off <= TOLERANCE else [f"probabilities differ by {off:.1e}"]
    # where two classes are as good, or one is at the threshold, rounding decides
    expected, k = np.array(said["probabilities"]), len(said["classes"])
    edge = np.abs(expected - said["threshold"]).min(axis=1) if said["threshold"] is not None else np.diff(np.sort(expected, axis=1)[:, k - 2:], axis=1)[:, 0]
    wrong = sum(a != b for a, b, near in zip(label, said["labels"], edge) if near > 2 * TOLERANCE)
    problems += [f"{wrong} labels differ"] if wrong else []
    return judge(path.stem, problems, f"{len(p)} rows, largest difference {off:.1e}")


def check(folder):
    files = sorted(folder.glob("*.onnx"))
    return bool(files) and all([check_one(path) for path in files])


def rows(k, missing):
    from sklearn.datasets import make_classification
    table, labels = make_classification(ROWS, 8, n_informative=5, n_redundant=1, n_classes=k, weights=[0.3] if k == 2 else None, random_state=k)
    table[:, 6] = np.round(table[:, 6] * 2)
    table = table.astype(np.float32)
    if missing:
        table[np.random.default_rng(k).random(table.shape) < 0.06] = np.nan
    return table, labels


def peers():
    """Name, number of classes, whether values are missing, estimator, and how it becomes ONNX."""
    import lightgbm
    import onnxmltools
    import xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType
    from skl2onnx import to_onnx
    from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    def sklearn(model, table, zipmap):
        final = model.steps[-1][1] if hasattr(model, "steps") else model
        return to_onnx(model, table[:1], options=None if zipmap else {id(final): {"zipmap": False}})

    def tools(convert, **more):
        return lambda model, table, zipmap: convert(model, initial_types=[("input", FloatTensorType([None, table.shape[1]]))], **more, **({} if zipmap else {"zipmap": False}))

    def xgb(model, table, zipmap):
        return onnxmltools.convert_xgboost(model, initial_types=[("input", FloatTensorType([None, table.shape[1]]))])

    lgb = tools(onnxmltools.convert_lightgbm)
    for k in (2, 3):
        yield f"sklearn_forest{k}", k, False, RandomForestClassifier(40, random_state=0), sklearn
        yield f"sklearn_extra{k}", k, False, ExtraTreesClassifier(20, random_state=0), sklearn
        yield f"sklearn_boosting{k}", k, False, GradientBoostingClassifier(n_estimators=30, random_state=0), sklearn
        yield f"sklearn_tree{k}", k, False, DecisionTreeClassifier(max_depth=6, random_state=0), sklearn
        yield f"sklearn_logistic{k}", k, False, LogisticRegression(max_iter=500), sklearn
        yield f"sklearn_pipeline{k}", k, True, make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(max_iter=500)), sklearn
        yield f"sklearn_imputed_forest{k}", k, True, make_pipeline(SimpleImputer(strategy="median"), RandomForestClassifier(20, random_state=0)), sklearn
        yield f"lightgbm{k}", k, True, lightgbm.LGBMClassifier(n_estimators=40, verbose=-1, n_jobs=2, random_state=0), lgb
        yield f"lightgbm_complete{k}", k, False, lightgbm.LGBMClassifier(n_estimators=20, verbose=-1, n_jobs=2, random_state=0), lgb
        yield f"xgboost{k}", k, True, xgboost.XGBClassifier(n_estimators=40, n_jobs=2, random_state=0), xgb
        yield f"xgboost_complete{k}", k, False, xgboost.XGBClassifier(n_estimators=20, max_depth=3, n_jobs=2, random_state=0), xgb
    yield "lightgbm_split2", 2, True, lightgbm.LGBMClassifier(n_estimators=30, verbose=-1, n_jobs=2, random_state=0), lgb_as_regression(lgb)


def lgb_as_regression(convert):
    """The same trees as TreeEnsembleRegressor, Sigmoid and both shares, as other writers have it."""
    def to(model, table, zipmap):
        file = convert(model, table, True)
        trees = next(node for node in file.graph.node if node.op_type == "TreeEnsembleClassifier")
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in trees.attribute}
        renamed = {name.replace("class_", "target_"): value for name, value in attributes.items() if not name.startswith("classlabels")}
        renamed["post_transform"] = "NONE"
        helper = onnx.helper
        nodes = [helper.make_node("TreeEnsembleRegressor", ["input"], ["margin"], domain="ai.onnx.ml", n_targets=1, **renamed),
                 helper.make_node("Sigmoid", ["margin"], ["second"]), helper.make_node("Sub", ["one", "second"], ["first"]),
                 helper.make_node("Concat", ["first", "second"], ["probabilities"], axis=1)]
        number = onnx.TensorProto.FLOAT
        graph = helper.make_graph(nodes, "trees", [helper.make_tensor_value_info("input", number, [None, table.shape[1]])],
                                  [helper.make_tensor_value_info("probabilities", number, [None, 2])], [helper.make_tensor("one", number, [1], [1.0])])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 3)], ir_version=8)
    return to


def write(folder):
    warnings.filterwarnings("ignore")
    for number, (name, k, missing, model, convert) in enumerate(peers()):
        table, labels = rows(k, missing)
        model.fit(table[: ROWS // 2], labels[: ROWS // 2])
        test = table[ROWS // 2:]
        file = convert(model, table, number % 2 == 0)
        path = folder / f"{name}.onnx"
        path.write_bytes(file.SerializeToString())
        p = session(path).run(None, {file.graph.input[0].name: test})[-1]
        p = np.array([[row[label] for label in sorted(row)] for row in p]) if isinstance(p, list) else p
        names = [f"feature {at}" for at in range(table.shape[1])]
        columns = {name: [None if np.isnan(x) else float(x) for x in test[:, at]] for at, name in enumerate(names)}
        said = {"columns": columns, "names": names, "probabilities": p.tolist(), "maker": model.predict_proba(test).tolist()}
        if name in ("lightgbm2", "lightgbm_complete2"):
            # explained against the rows it was trained on, as LightGBM does
            said["background"] = {name: [None if np.isnan(x) else float(x) for x in table[: ROWS // 2, at]] for at, name in enumerate(names)}
            said["contributions"] = model.predict_proba(test, pred_contrib=True)[:, :-1].ravel().tolist()
        path.with_suffix(".json").write_text(json.dumps(said))
    return True


def compare_one(path):
    said, found = json.loads(path.with_suffix(".json").read_text()), json.loads(path.with_suffix(".import.json").read_text())
    ours = "maker" not in said
    if "error" in found:
        refused = ours and not path.stem.startswith("numbers_") and "cannot become a classifier" in found["error"]
        return judge(path.stem, [] if refused else [found["error"]], f"refused, {found['error']}")
    off, maker = (difference(found["probabilities"], said[key]) for key in ("probabilities", "probabilities" if ours else "maker"))
    problems = [] if off <= TOLERANCE else [f"differs from onnxruntime by {off:.1e}"]
    problems += [] if found["additivity"] <= 1e-6 else [f"contributions miss the score by {found['additivity']:.1e}"]
    problems += [] if found["explained"] > 0 else ["nothing is explained"]
    if ours and (found["classes"], found["threshold"]) != (said["classes"], said["threshold"]):
        problems.append("classes or threshold differ")
    if "contributions" in said:
        why = difference(found["contributions"], said["contributions"])
        problems += [] if why <= TOLERANCE else [f"contributions differ by {why:.1e}"]
    return judge(path.stem, problems, f"largest difference from onnxruntime {off:.1e}, from its maker {maker:.1e}")


def compare(folder):
    files = sorted(folder.glob("*.onnx"))
    return bool(files) and all([compare_one(path) for path in files])


if __name__ == "__main__":
    sys.exit(0 if {"check": check, "write": write, "compare": compare}[sys.argv[1]](Path(sys.argv[2])) else 1)
