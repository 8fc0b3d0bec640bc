"""Reference scale: the ten reference models, the pandas + scikit-learn alternative, the K-Means fit alone, and what BI reads."""

import harness
from harness import HERE, connect, in_turn, peer, say

CASE = "reference"
DATABASE = "bench_reference"
MODELS = [(level, grain) for level in ("ENV", "CRS", "SPA", "SUB", "LEC") for grain in ("WEEK", "MONTH")]
# member counts of datasets/reference.sql x 105 weeks or 24 months
DENSE = {("ENV", "WEEK"): 15836 * 105, ("ENV", "MONTH"): 15836 * 24, ("CRS", "WEEK"): 33494 * 105, ("CRS", "MONTH"): 33494 * 24,
         ("SPA", "WEEK"): 147729 * 105, ("SPA", "MONTH"): 147729 * 24}
QUARTERS = {"ENV": 126688, "CRS": 267952, "SPA": 1181832}


def prepare(keep):
    if keep and harness.database_exists(DATABASE):
        return
    say("generating the reference warehouse")
    harness.create_database(DATABASE)
    harness.psql(DATABASE, HERE / "datasets" / "reference.sql")
    with connect(DATABASE) as session:
        session.execute("UPDATE empatia.pipeline SET active = grain IN ('WEEK', 'MONTH')")
        session.execute("VACUUM ANALYZE")


def check_dense(session, report):
    """The dense numbers are exact or the timings mean nothing."""
    for (level, grain), expected in DENSE.items():
        found = session.execute("SELECT dense_rows FROM analytics.cube_build WHERE (level, grain) = (%s, %s)", (level, grain)).fetchone()[0]
        sizes = session.execute("""SELECT sum(size) FROM empatia._segments((SELECT max(version) FROM empatia.model WHERE (level, grain) = (%s, %s)))""",
                                (level, grain)).fetchone()[0]
        if found != expected or sizes != expected:
            report.failed(CASE, f"{level} x {grain}: expected {expected} dense rows, build_cube says {found}, the segments add up to {sizes}")


EMPTY = "TRUNCATE analytics.cube, analytics.cube_class, analytics.cube_class_zero, analytics.cube_label, analytics.cube_build, analytics.cube_period"
STEPS = (("build", "SELECT * FROM empatia.build_cube(full_build => true)"), ("segment", "SELECT * FROM empatia.kmeans_segments()"),
         ("classify", "SELECT * FROM empatia.classify()"))


def all_models(report, repetitions):
    with connect(DATABASE) as session:
        parts = {"first": {name: [] for name, _ in STEPS}, "again": {name: [] for name, _ in STEPS}}

        def steps(turn):
            for name, command in STEPS:
                parts[turn][name].append(harness.seconds_of(lambda command=command: session.execute(command).fetchall()))
            return sum(runs[-1] for runs in parts[turn].values())

        def first():
            session.execute(EMPTY)
            return steps("first")

        cpu = []

        def again():
            before = harness.cpu_seconds(session)
            seconds = steps("again")
            cpu.append(harness.cpu_seconds(session) - before)
            return seconds

        seconds = in_turn({"first": first, "again": again}, repetitions, warm=1)
        lec_week = session.execute("SELECT dense_rows FROM analytics.cube_build WHERE (level, grain) = ('LEC', 'WEEK')").fetchone()[0]
        for turn, work in (("first", "build + segment + label + classify, all 10 reference models, warm, cube and classes empty before"),
                           ("again", "the same over the cube and classes that are there (full_build => true, models fitted again)")):
            medians = {name: harness.statistics.median(runs[1:]) for name, runs in parts[turn].items()}
            note = ", ".join(f"{name} {median:.2f} s" for name, median in medians.items())
            report.add(CASE, work, ours=seconds[turn], bar="≤ 10 s", met=harness.statistics.median(seconds[turn]) <= 10,
                       note=note + f"; LEC x WEEK stands for {lec_week:,} dense rows".replace(",", " "))
        check_dense(session, report)


def against_pandas(report, repetitions):
    readers = {}
    for reader in ("adbc", "connectorx"):
        try:
            readers[reader] = peer("pandas_sklearn.py", DATABASE, "CRS", "MONTH", reader)["read"]
        except Exception as problem:  # a reader that this machine cannot run is no reason to stop
            say(f"  reader {reader} does not work here: {problem}")
    reader = min(readers, key=readers.get)
    say(f"  seconds to read CRS x MONTH: {readers}; using {reader}")
    levels = ("ENV", "CRS", "SPA")
    last = {}
    with connect(DATABASE) as session:
        def models():
            for level in levels:
                session.execute("SELECT * FROM empatia.kmeans_segments(%s, 'MONTH')", (level,)).fetchall()
                session.execute("SELECT * FROM empatia.classify(%s, 'MONTH')", (level,)).fetchall()

        def ours():
            # theirs writes every row; so does ours, where there is none
            for level in levels:
                session.execute(f"TRUNCATE analytics.cube_class_{level.lower()}_month")
                session.execute("UPDATE analytics.cube_build SET model_version = NULL WHERE (level, grain) = (%s, 'MONTH')", (level,))
            return harness.seconds_of(models)

        def build():
            for level in levels:
                session.execute(f"TRUNCATE analytics.cube_{level.lower()}_month, analytics.cube_class_{level.lower()}_month")
                session.execute("DELETE FROM analytics.cube_build WHERE (level, grain) = (%s, 'MONTH')", (level,))
            return harness.seconds_of(lambda: [session.execute("SELECT * FROM empatia.build_cube(%s, 'MONTH')", (level,)).fetchall() for level in levels])

        def theirs():
            total = 0.0
            for level in levels:
                last[level] = peer("pandas_sklearn.py", DATABASE, level, "MONTH", reader)
                total += last[level]["seconds"]
            return total

        seconds = in_turn({"build": build, "ours": ours, "again": lambda: harness.seconds_of(models), "theirs": theirs}, repetitions)
    note = f"theirs: reads by {reader}, " + "; ".join(f"{level} {last[level]['rows']} rows, read {last[level]['read']:.1f} s, fit {last[level]['fit']:.1f} s, write {last[level]['write']:.1f} s"
                                                   for level in levels)
    peer_name = "pandas + scikit-learn"
    row = report.add(CASE, "segment + label + classify ENV, CRS, SPA x MONTH from the built cube", seconds["ours"], seconds["theirs"], peer_name, "≥ 50x", note=note)
    row["met"] = row["ratio"] >= 50
    report.add(CASE, "the same over classes that are there: the models are fitted again and give the same classes", seconds["again"], seconds["theirs"], peer_name)
    whole = [one + two for one, two in zip(seconds["build"], seconds["ours"])]
    row = report.add(CASE, "the same, and the build of the three levels from the facts counted for ours only", whole, seconds["theirs"], peer_name, "≥ 50x")
    row["met"] = row["ratio"] >= 50


def kmeans_fit(report, repetitions):
    with connect(DATABASE) as session:
        for level, expected in QUARTERS.items():
            built = session.execute("SELECT dense_rows FROM empatia.build_cube(%s, 'QUARTER')", (level,)).fetchone()[0]
            if built != expected:
                report.failed(CASE, f"{level} x QUARTER: expected {expected} dense rows, found {built}")
        session.execute("DROP TABLE IF EXISTS bench_vector")
        features = session.execute("SELECT features FROM empatia.pipeline WHERE (level, grain) = ('SPA', 'QUARTER')").fetchone()[0]
        query = session.execute("SELECT empatia._vectors_sql('SPA', 'QUARTER', %s)", (features,)).fetchone()[0]
        session.execute("CREATE TABLE bench_vector AS " + query.replace("$1", "NULL::integer"))
        distinct = session.execute("SELECT count(*) FROM bench_vector").fetchone()[0]
        fit = ("SELECT inertia FROM empatia._fit_segments('SELECT * FROM public.bench_vector WHERE $1::integer IS NULL', NULL, %s, %s, 4, 42, 10, 300, 1e-4)",
               (features, [1.0] * len(features)))
        inertia = {}

        def ours():
            inertia["ours"] = session.execute(*fit).fetchone()[0]

        def complete():
            session.execute("SELECT * FROM empatia.kmeans_segments('SPA', 'QUARTER', n_init => 10)").fetchall()

        theirs = peer("sklearn_kmeans.py", "dense", DATABASE, "SPA", "QUARTER", repetitions)
        seconds = in_turn({"ours": ours, "complete": complete}, max(5, repetitions), warm=1)
    same = inertia["ours"] <= theirs["inertia"] * (1 + 1e-9)
    note = f"{theirs['rows']} rows, {distinct} distinct; inertia ours {inertia['ours']:.6f}, theirs {theirs['inertia']:.6f}"
    row = report.add(CASE, "K-Means fit alone, SPA x QUARTER, k = 4, n_init = 10: ours on distinct rows with weights, theirs on the dense matrix in memory",
                     seconds["ours"], theirs["seconds"], "scikit-learn", "≥ 100x, same or lower inertia", note=note)
    row["met"] = bool(row["ratio"] >= 100 and same)
    report.add(CASE, "the same, ours from the cube in the database to the registered model: kmeans_segments('SPA', 'QUARTER')",
               seconds["complete"], theirs["seconds"], "scikit-learn")


def bi_reads(report, repetitions):
    view, part = "analytics.cubo_engajamento", "cliente = 'redu-reference' AND nivel_agregacao = '{}' AND tipo_agregacao_data = 'MONTH'"
    with connect(DATABASE) as session:
        course, members = session.execute("SELECT unit_id, count(*) FROM analytics.cube_member WHERE level = 'CRS' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1").fetchone()
        student = session.execute("SELECT user_id FROM analytics.cube_member WHERE level = 'SPA' GROUP BY 1 ORDER BY abs(count(*) - 10), 1 LIMIT 1").fetchone()[0]
        busiest, spaces = session.execute("SELECT user_id, count(*) FROM analytics.cube_member WHERE level = 'SPA' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1").fetchone()
        reads = [
            (f"one course x MONTH, dense with names (the largest: {members} members)", f"SELECT * FROM {view} WHERE {part.format('CRS')} AND course_id = {course}", 50),
            ("counts by category per course for a month", f"SELECT course_id, course_name, categoria_engajamento, count(*) FROM {view} WHERE {part.format('CRS')} "
             "AND data_inicio = '2021-03-01' GROUP BY 1, 2, 3", 300),
            ("one student's history, SPA x MONTH (a student of 10 spaces)", f"SELECT * FROM {view} WHERE {part.format('SPA')} AND user_id = {student} ORDER BY space_id, data_inicio", 10),
            (f"one student's history, SPA x MONTH (the student of most spaces, {spaces})",
             f"SELECT * FROM {view} WHERE {part.format('SPA')} AND user_id = {busiest} ORDER BY space_id, data_inicio", None),
            ("all of SPA x MONTH, 3.5 million rows counted by category", f"SELECT categoria_engajamento, count(*) FROM {view} WHERE {part.format('SPA')} GROUP BY 1", None),
        ]
        for work, query, bar in reads:
            rows = []

            def read(query=query):
                rows.append(len(session.execute(query).fetchall()))

            times, warm = (3, 1) if bar is None else (max(11, repetitions), 3)
            for _ in range(warm):
                read()
            before = harness.cpu_seconds(session)
            seconds = in_turn({"ours": read}, times)["ours"]
            cpu = (harness.cpu_seconds(session) - before) / times
            median = harness.statistics.median(seconds)
            report.add(CASE, f"BI read, warm: {work}", ours=seconds, bar=f"≤ {bar} ms" if bar else None, met=median * 1000 <= bar if bar else None,
                       note=f"{rows[-1]} rows, planning and transfer to the client counted; CPU of the backend {cpu * 1000:.0f} ms")


def run(report, repetitions, keep=False, **_):
    prepare(keep)
    all_models(report, repetitions)
    bi_reads(report, repetitions)
    against_pandas(report, min(repetitions, 3))
    kmeans_fit(report, repetitions)
