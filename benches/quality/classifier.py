#!/usr/bin/env python3
"""The engine's classifiers against scikit-learn's random forest, out of fold, on real tables: xAPI, Moodle, PEDE.

    benches/quality/classifier.py [--data DIRECTORY] [--seeds N] [TABLE...]

Both see the same rows, columns and folds (5, seed 42; of PEDE by student). The tables are made in a temporary directory from
DIRECTORY (default: ../shared/data beside the project); what is not there is said and left out. No hyperparameter was chosen on
these folds but the defaults of the engine, which were compared with a few others on them; scores are means over N seeds of the
algorithms. Needs numpy, pandas, scikit-learn, and cargo.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold

PROJECT = Path(__file__).resolve().parents[2]
ALGORITHMS = ["random_forest", "gradient_boosting", "logistic_regression", "decision_tree", "ensemble", "auto"]


def stratified(table):
    folds = np.zeros(len(table), int)
    splitter = StratifiedKFold(5, shuffle=True, random_state=42)
    for fold, (_, test) in enumerate(splitter.split(table, table.target)):
        folds[test] = fold
    return table.assign(fold=folds)


def by_student(table, student):
    students = table[student].unique()
    order = np.random.RandomState(42).permutation(students)
    return table.assign(fold=table[student].map({one: place % 5 for place, one in enumerate(order)}))


def xapi(data):
    """480 students, 3 classes, all 16 columns."""
    table = pd.read_csv(data / "xapi/xAPI-Edu-Data.csv").rename(columns={"Class": "target"})
    return stratified(table), []


def moodle(data):
    """Fail (overall below 40) from the first six weeks of a course's log: counts of events, by week, days."""

    def read(name):
        text = (data / "moodle" / name).read_bytes().decode().replace("\r\n", "\n").replace("\r", "\n")
        return pd.read_csv(io.StringIO(text))

    log, grades = read("Course_Activity_Obfuscated.csv"), read("Course_Grades_Obfuscated.csv")
    log = log.rename(columns={"User full name": "user", "Event name": "event"})
    grades = grades.rename(columns={grades.columns[0]: "user"})
    grades["Overall"] = pd.to_numeric(grades.Overall, errors="coerce")
    # The log has no year; one in which no day is missing will do
    log["at"] = pd.to_datetime("2019 " + log.Time, format="%Y %d %b, %H:%M", errors="coerce")
    start = log["at"].min()
    early = log[(log["at"] >= start) & (log["at"] < start + pd.Timedelta(weeks=6))]
    weeks = ((early["at"] - start).dt.days // 7).map("week{}".format)
    features = pd.crosstab(early.user, early.event).join(pd.crosstab(early.user, early.Component).add_prefix("in "))
    features = features.join(pd.crosstab(early.user, weeks))
    features["total"] = early.groupby("user").size()
    features["days"] = early.groupby("user")["at"].apply(lambda at: at.dt.date.nunique())
    table = grades[grades.Overall.notna()][["user", "Overall"]].merge(features.reset_index(), on="user", how="left").fillna(0)
    table["target"] = np.where(table.Overall < 40, "yes", "no")
    table.columns = [name.replace(",", " ") for name in table.columns]
    return stratified(table.drop(columns="Overall")), ["user"]


def pede(data):
    """School lag next year from all that is known this year; students of consecutive years."""
    rows = PROJECT / "benches/quality/pede_rows.py"
    book = data / "pede/pede_2022_2024.xlsx"
    if not rows.exists():
        raise FileNotFoundError(rows)
    text = subprocess.run([sys.executable, rows, book], check=True, capture_output=True, text=True).stdout
    table = pd.read_csv(io.StringIO(text))
    table = table[table.defasagem.notna()].drop_duplicates(["ra", "ano"])
    after = table[["ra", "ano", "defasagem"]].rename(columns={"defasagem": "next"})
    table = table.merge(after.assign(ano=after.ano - 1), on=["ra", "ano"])
    table["target"] = np.where(table.next < 0, "yes", "no")
    return by_student(table.drop(columns="next"), "ra"), ["ra", "turma"]


def peer(table, left_out, seeds):
    """A random forest of 300 trees on one column per level, medians for gaps."""
    x = pd.get_dummies(table.drop(columns=["target", "fold", *left_out]))
    x, y, folds = x.fillna(x.median(numeric_only=True)), table.target.values, table.fold.values
    classes = np.unique(y)
    found = []
    for seed in range(seeds):
        p = np.zeros((len(y), len(classes)))
        for fold in range(5):
            model = RandomForestClassifier(300, random_state=42 + seed, n_jobs=-1).fit(x[folds != fold], y[folds != fold])
            p[folds == fold] = model.predict_proba(x[folds == fold])
        auc = roc_auc_score(y, p, multi_class="ovr") if len(classes) > 2 else roc_auc_score(y, p[:, 1])
        found.append((accuracy_score(y, classes[p.argmax(axis=1)]), auc, log_loss(y, p)))
    return np.mean(found, axis=0)


def engine(path, left_out, algorithm, seeds):
    found, seconds = [], []
    for seed in range(seeds):
        settings = json.dumps({"algorithm": algorithm, "calibrate": False, "seed": seed})
        binary = PROJECT / "target/release/examples/quality"
        command = [binary, path, settings, "target=target", "fold=fold", "drop=" + ",".join(left_out)]
        if "ra" in left_out:
            command.append("group=ra")
        report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        found.append([report["metrics"][name]["pooled"] for name in ["accuracy", "auc", "log_loss"]])
        seconds.append(report["seconds"])
    return np.mean(found, axis=0), np.median(seconds), report["chosen"]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, default=PROJECT.parent / "shared/data")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("tables", nargs="*", default=["xapi", "moodle", "pede"])
    options = options.parse_args()
    build = ["cargo", "build", "-q", "--release", "-p", "empatia-engine", "--example", "quality"]
    subprocess.run(build, cwd=PROJECT, check=True)
    print("| table | algorithm | accuracy | AUC | log-loss | s | |")
    print("|---|---|---|---|---|---|---|")
    for name in options.tables:
        try:
            table, left_out = {"xapi": xapi, "moodle": moodle, "pede": pede}[name](options.data)
        except FileNotFoundError as missing:
            print(f"| {name} | not measured: {missing} | | | | | |")
            continue
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / f"{name}.csv"
            table.to_csv(path, index=False)
            row = "| {} | {} | {:.3f} | {:.3f} | {:.3f} | {} | {} |"
            print(row.format(name, "scikit-learn random forest", *peer(table, left_out, options.seeds), "", ""), flush=True)
            for algorithm in ALGORITHMS:
                scores, seconds, chosen = engine(path, left_out, algorithm, options.seeds)
                chosen = chosen if chosen != algorithm else ""
                print(row.format(name, algorithm, *scores, f"{seconds:.1f}", chosen), flush=True)


if __name__ == "__main__":
    main()
