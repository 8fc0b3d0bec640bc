"""Classifiers: why a row has its class, asked for one student after the other; and a category with reasons for a million rows."""

import random
import statistics
import time

import harness
from harness import HERE, connect, say

CASE = "predict"
MILLIONS = 10
PART = ("SPA", "WEEK")
STUDENTS = 400


def prepare(database):
    say(f"generating {MILLIONS} million interactions")
    harness.create_database(database)
    harness.psql(database, HERE / "datasets" / "growth.sql", millions=MILLIONS)
    with connect(database) as session:
        session.execute("UPDATE empatia.pipeline SET active = (level, grain) = (%s, %s)", PART)
        session.execute("SELECT * FROM empatia.build_cube(client => 'growth')")
        say("training")
        row = session.execute("""SELECT model_version, algorithm, distinct_rows, auc, seconds, deployed
                                 FROM empatia.train(%s, %s, target => 'inactive_next', algorithm => 'gradient_boosting')""", PART).fetchone()
        say(f"  version {row[0]}, {row[1]}, {row[2]} distinct rows, AUC {row[3]:.4f}, {row[4]:.1f} s, deployed: {row[5]}")
        session.execute("SELECT empatia.deploy(%s)", (row[0],))
        session.execute("VACUUM ANALYZE")


def explained(session, students):
    """Milliseconds of explain() for each of some rows."""
    found = []
    for user, unit, day in students:
        began = time.perf_counter()
        rows = session.execute("SELECT * FROM empatia.explain('growth', %s, 'SPA', 'WEEK', %s, %s)", (user, unit, day)).fetchall()
        found.append(time.perf_counter() - began)
        if abs(rows[0][4] + sum(row[2] for row in rows) - rows[0][5]) > 1e-6:
            raise RuntimeError(f"contributions to {user}, {unit}, {day} do not add up")
    return found


def explain(report, database, chance):
    with connect(database) as session:
        members = session.execute("SELECT user_id, unit_id FROM analytics.cube_member WHERE level = 'SPA' ORDER BY 1, 2").fetchall()
        periods = [row[0] for row in session.execute("SELECT period_start FROM analytics.cube_period WHERE (level, grain) = (%s, %s) ORDER BY 1", PART)]
    draw = lambda: [(*chance.choice(members), chance.choice(periods)) for _ in range(STUDENTS)]  # noqa: E731
    units = len({unit for _, unit in members})
    with connect(database) as session:
        began = time.perf_counter()
        explained(session, draw()[:1])
        first = time.perf_counter() - began
        warming = explained(session, draw())
        seconds = explained(session, draw())
    high = statistics.quantiles(seconds, n=100)[94]
    note = (f"{STUDENTS} rows by chance of {len(members)} members of {units} units after as many others; 95 of 100 within {high * 1000:.1f} ms; "
            f"while the session meets the units for the first time: median {statistics.median(warming) * 1000:.1f} ms, longest {max(warming) * 1000:.0f} ms; the first of the session {first * 1000:.0f} ms")
    report.add(CASE, "explain() of one row through SQL, warm, the median", ours=seconds, bar="≤ 2 ms", met=statistics.median(seconds) <= 0.002, note=note)


def classify(report, database, repetitions):
    empty, again = [], []
    with connect(database) as session:
        version = session.execute("SELECT empatia._classifier_for(%s, %s, NULL)", PART).fetchone()[0]
        for _ in range(repetitions):
            session.execute("SELECT empatia._forget_predictions(c.client_id, %s, %s) FROM dw.client c", PART)
            session.execute("TRUNCATE analytics.cube_prediction, analytics.cube_prediction_default")
            for seconds in (empty, again):
                began = time.perf_counter()
                written = session.execute("SELECT sum(written_rows) FROM empatia.classify(%s, %s)", PART).fetchone()[0]
                seconds.append(time.perf_counter() - began)
                if (written > 0) != (seconds is empty):
                    raise RuntimeError(f"{written} rows were written")
        dense, own, shared, reasons = session.execute("""
            SELECT (SELECT sum(dense_rows) FROM analytics.cube_build WHERE classifier_version = %s), (SELECT count(*) FROM analytics.cube_prediction),
                   (SELECT count(*) FROM analytics.cube_prediction_default), (SELECT count(*) FROM analytics.cube_reason)""", (version,)).fetchone()
        distinct = session.execute("SELECT count(*) FROM (SELECT DISTINCT probability, reason_1, reason_2, reason_3 FROM analytics.cube_prediction) p").fetchone()[0]
        trees = session.execute("SELECT round(octet_length(encoded) / 1024.0) FROM empatia.model WHERE version = %s", (version,)).fetchone()[0]
    note = (f"{dense} dense rows, {own} of them with activity in their window ({distinct} different answers), {shared} for all others; {reasons} reasons in words; model of {trees} kB; "
            f"{statistics.median(empty) / own * 1e6:.1f} µs per row with activity")
    report.add(CASE, "classify() with a deployed classifier, class, probability and three reasons, nothing stored before", ours=empty, bar="≤ 10 s",
               met=statistics.median(empty) <= 10, note=note)
    report.add(CASE, "the same over what is there: all computed and compared, nothing written", ours=again, bar="≤ 10 s", met=statistics.median(again) <= 10)


def run(report, repetitions, keep=False, **_):
    database = "bench_predict"
    if not (keep and harness.database_exists(database)):
        prepare(database)
    classify(report, database, min(repetitions, 3))
    explain(report, database, random.Random(1))
    if not keep:
        with connect("postgres") as admin:
            admin.execute(f'DROP DATABASE "{database}" WITH (FORCE)')
