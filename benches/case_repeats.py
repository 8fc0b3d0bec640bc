"""Boosting on rows of the cube, most of which are equal to others: ours on distinct rows with weights, LightGBM on the dense ones."""

import case_reference
import harness
from harness import connect, peer

CASE = "repeats"
PART = ("SPA", "MONTH")


def prepare(keep):
    # the database of the case reference, where the same run has made it already
    case_reference.prepare(keep or harness.database_exists(case_reference.DATABASE))
    with connect(case_reference.DATABASE) as session:
        session.execute("SELECT * FROM empatia.build_cube(%s, %s)", PART)
        session.execute("SELECT * FROM empatia.kmeans_segments(%s, %s)", PART)
        session.execute("SELECT * FROM empatia.classify(%s, %s)", PART)
        session.execute("VACUUM ANALYZE")


def run(report, repetitions, keep=False, **_):
    prepare(keep)
    found = {}
    with connect(case_reference.DATABASE) as session:
        features = session.execute("SELECT features FROM empatia.pipeline WHERE (level, grain) = (%s, %s)", PART).fetchone()[0]
        recipe = harness.json.dumps({"measures": features, "history": 0, "trend": False, "rank": False, "context": False})
        parameters = harness.json.dumps({"rounds": 100, "max_leaves": 31, "learning_rate": 0.1})

        def ours():
            found["ours"] = session.execute("""SELECT rows, distinct_rows, agreement_with_segments FROM empatia.train(%s, %s, target => 'segment', algorithm => 'gradient_boosting',
                                               features => %s, parameters => %s, deploy => 'never')""", (*PART, recipe, parameters)).fetchone()

        def theirs(folds=0):
            found["theirs"] = peer("lightgbm_cube.py", case_reference.DATABASE, *PART, "adbc", folds)
            return found["theirs"]["seconds"]

        seconds = harness.in_turn({"ours": ours, "theirs": theirs}, min(repetitions, 3), warm=1)
        # once: it takes minutes
        with_folds = theirs(5)
    rows, distinct, agreement = found["ours"]
    last = found["theirs"]
    if rows != last["rows"]:
        report.failed(CASE, f"{rows} rows here, {last['rows']} there")
    same = agreement >= last["accuracy"] - 0.001
    note = f"{rows} dense rows, {distinct} distinct; right out of fold: ours {agreement:.5f}, theirs {last['accuracy']:.5f}"
    for work, runs in (("train() of the segments of SPA x MONTH: five folds by student, scores and the final fit, registered; theirs reads the dense rows and fits once, no folds", seconds["theirs"]),
                       ("the same; theirs judges five folds by student, too", [with_folds])):
        row = report.add(CASE, work, seconds["ours"], runs, "LightGBM", "ours ≤ 0.05x, as many right", note=note)
        row["met"] = bool(row["ratio"] >= 20 and same)
