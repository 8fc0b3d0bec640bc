"""Compares empatia's segments with scikit-learn's, on the dense rows themselves.

    python tests/truth/kmeans_demo.py CLIENT LEVEL:GRAIN...

The server is that of the PG* environment variables; kmeans_segments(level, grain, n_init => 20, tolerance => 0) and classify() have
run there. The features come row by row from empatia.engagement(), not from the distinct vectors that the extension trains on; they are
transformed and clustered here, and every row's label is compared with its categoria_engajamento.

scikit-learn's truth is its best of 20 starts, tol=0. Where the extension's inertia is equal (relative 1e-9), the assignment must be that
of scikit-learn's model. Where it is lower, both are local optima and the extension's is the better one: scikit-learn, started from the
extension's centroids, must then stay there with the same inertia and assign every row as the extension does. That is also asked where
they are equal. Higher is a failure. One line per level and grain; exit status 1 if one fails.
"""

import csv
import io
import json
import subprocess
import sys
import time

import numpy as np
import sklearn
from sklearn.cluster import KMeans

FEATURES = ["posts", "post_replies", "help_requests", "help_request_replies", "assigned_exercises", "submitted_exercises"]
WEIGHTS = np.array([1.0, 1.0, 1.0, 1.0, 0.0, 1.5])
LABELS = ["engajamento excelente", "engajamento consistente", "desempenho crítico", "não interagem"]
UNITS = {"ENV": "environment_id", "CRS": "course_id", "SPA": "space_id", "SUB": "subject_id", "LEC": "lecture_id"}
RELATIVE = 1e-9
STARTS = 20


def query(sql):
    """Rows of a query, as lists of text."""
    command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", f"COPY ({sql}) TO STDOUT (FORMAT csv)"]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode("utf-8")
    return list(csv.reader(io.StringIO(text)))


def relative(found, expected):
    """Largest difference, relative to the expected values, or to 1 where those are smaller."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    return float(np.max(np.abs(found - expected) / np.maximum(1.0, np.abs(expected))))


def dense_rows(client, level, grain):
    """Keys (n x 3 texts) and features (n x 6) of the dense cube, and the category of each row."""
    unit = UNITS[level]
    rows = query(
        f"SELECT {unit}, user_id, period_start, {', '.join(FEATURES)} FROM empatia.engagement('{client}', '{level}', '{grain}')"
    )
    classes = query(
        f"SELECT {unit}, user_id, data_inicio, categoria_engajamento FROM analytics.cubo_engajamento "
        f"WHERE cliente = '{client}' AND nivel_agregacao = '{level}' AND tipo_agregacao_data = '{grain}'"
    )
    category = {tuple(row[:3]): row[3] for row in classes}
    keys = [tuple(row[:3]) for row in rows]
    if len(category) != len(classes) or set(category) != set(keys) or len(keys) != len(classes):
        raise SystemExit(f"{level} x {grain}: engagement() has {len(keys)} rows, cubo_engajamento {len(classes)}, or other keys")
    return np.array([row[3:] for row in rows], float), [category[key] for key in keys]


def ranked(centroids, mean, deviation):
    """Scores, best first, and the rank (0-based) of each centroid (k x p, standardised)."""
    score = np.expm1(centroids * deviation + mean) @ WEIGHTS
    order = np.argsort(-score, kind="stable")
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order))
    return score[order], rank


def compare(client, level, grain):
    """Problems found (list of texts) and a line that says what was compared."""
    began = time.monotonic()
    features, categories = dense_rows(client, level, grain)
    ours = np.array([LABELS.index(category) for category in categories])
    rows = np.log1p(features)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    deviation[deviation == 0] = 1.0
    rows = (rows - mean) / deviation

    profile = query(
        f"SELECT rank, label, size, score, standardised, inertia FROM empatia.segment_profile('{level}', '{grain}') ORDER BY rank"
    )
    inertia = float(profile[0][5])
    centroids = np.array([[json.loads(row[4])[name] for name in FEATURES] for row in profile])
    problems = []
    if [row[1] for row in profile] != LABELS:
        problems.append(f"labels {[row[1] for row in profile]}")

    best = KMeans(n_clusters=len(LABELS), n_init=STARTS, tol=0, max_iter=1000, random_state=0, algorithm="lloyd").fit(rows)
    stays = KMeans(n_clusters=len(LABELS), init=centroids, n_init=1, tol=0, max_iter=1000, algorithm="lloyd").fit(rows)
    ratio = inertia / best.inertia_ - 1
    if ratio > RELATIVE:
        problems.append(f"inertia {inertia!r}, scikit-learn's best of {STARTS} is {best.inertia_!r}")
    outcome = "equal" if abs(ratio) <= RELATIVE else "lower" if ratio < 0 else "higher"
    truths = [("scikit-learn from our centroids", stays)]
    if outcome == "equal":
        truths.insert(0, ("scikit-learn's best", best))
    for name, model in truths:
        score, rank = ranked(model.cluster_centers_, mean, deviation)
        labels = rank[model.labels_]
        moved = int(np.count_nonzero(labels != ours))
        if moved:
            problems.append(f"{name} assigns {moved} of {len(ours)} rows to another segment")
        if relative(inertia, model.inertia_) > RELATIVE:
            problems.append(f"{name}: inertia {model.inertia_!r}, ours {inertia!r}")
        if relative([float(row[3]) for row in profile], score) > RELATIVE:
            problems.append(f"{name}: scores {score.tolist()}, ours {[row[3] for row in profile]}")
        if [int(row[2]) for row in profile] != np.bincount(labels, minlength=len(LABELS)).tolist():
            problems.append(f"{name}: sizes {np.bincount(labels).tolist()}, ours {[row[2] for row in profile]}")
        if relative(centroids, model.cluster_centers_[np.argsort(rank)]) > 1e-8:
            problems.append(f"{name}: other centroids")
    line = (
        f"{level} x {grain}: {len(rows)} dense rows, inertia {inertia:.9f}, scikit-learn's best of {STARTS} {best.inertia_:.9f} "
        f"({outcome}, {ratio:+.1e}); rows compared with {' and with '.join(name for name, _ in truths)}; "
        f"{time.monotonic() - began:.1f} s"
    )
    return problems, line


def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    print(f"scikit-learn {sklearn.__version__}")
    failed = False
    for part in sys.argv[2:]:
        problems, line = compare(sys.argv[1], *part.split(":"))
        print(line, *(f"  WRONG: {problem}" for problem in problems), sep="\n", flush=True)
        failed = failed or bool(problems)
    sys.exit(failed)


if __name__ == "__main__":
    main()
