"""Cancel: pg_cancel_backend() ends every long step within 100 ms, at whatever moment it comes."""

import random
import threading
import time

import psycopg

import harness
from harness import HERE, connect, say

CASE = "cancel"
BAR = 0.1
CLIENT = "growth"

# Columns with many different values, so that the fits have something to do.
FEATURES = "{accesses,active_days,posts,post_replies,help_requests,help_request_replies}"

# step -> (what comes before each attempt, committed; the statement that is cancelled). {level} x {grain}: LEC x WEEK; of more than 10 million interactions
# SUB x MONTH, since lectures would take 21 GB of disk, with their classes
FILL = f"SELECT * FROM empatia.build_cube(client => '{CLIENT}', full_build => true)"
STEPS = {
    "load a stream": ("", "SELECT * FROM empatia.load('landed')"),
    "build_cube, native, into empty parts": ("UPDATE empatia.setting SET value = 'native' WHERE key = 'builder'; TRUNCATE analytics.cube", FILL),
    "build_cube, native": ("UPDATE empatia.setting SET value = 'native' WHERE key = 'builder'", f"SELECT * FROM empatia.build_cube(client => '{CLIENT}', full_build => true)"),
    "build_cube, builder = sql": ("UPDATE empatia.setting SET value = 'sql' WHERE key = 'builder'",
                                  f"SELECT * FROM empatia.build_cube('{{level}}', '{{grain}}', client => '{CLIENT}', full_build => true)"),
    "kmeans_segments, 300 starts": ("", "SELECT * FROM empatia.kmeans_segments('{level}', '{grain}', 12, n_init => 300, tolerance => 0)"),
    "kmeans_segments, gmm": ("", "SELECT * FROM empatia.kmeans_segments('SPA', 'MONTH', 4, n_init => 8, algorithm => 'gmm', client => 'half')"),
    "kmeans_segments, dbscan": ("", "SELECT * FROM empatia.kmeans_segments('{level}', '{grain}', algorithm => 'dbscan', options => '{\"eps\": 0.3, \"min_points\": 50}')"),
    "choose_k": ("", "SELECT * FROM empatia.choose_k('{level}', '{grain}', 2, 20)"),
    "classify": ("SELECT * FROM empatia.kmeans_segments('{level}', '{grain}', 4)", "SELECT * FROM empatia.classify('{level}', '{grain}')"),
    "train, boosting": ("", "SELECT * FROM empatia.train('SPA', '{grain}', target => 'inactive_next', deploy => 'never')"),
    "train, ensemble": ("", "SELECT * FROM empatia.train('SPA', '{grain}', target => 'inactive_next', algorithm => 'ensemble', deploy => 'never')"),
    "classify, classifier": ("""SELECT empatia.deploy(max(m.version)) FROM empatia.model m WHERE m.algorithm = 'gradient_boosting'
                                HAVING max(m.version) IS DISTINCT FROM empatia._classifier_for('SPA', '{grain}', NULL);
                                SELECT empatia._forget_predictions(c.client_id, 'SPA', '{grain}') FROM dw.client c""", "SELECT * FROM empatia.classify('SPA', '{grain}')"),
}
# step -> what makes up for it
AFTER = {"build_cube, native, into empty parts": FILL}
# What a database of the case growth can do, which has no second client and no room for one; DBSCAN takes fewer different rows than it has.
LARGE = [name for name in STEPS if not any(word in name for word in ("load", "sql", "gmm", "dbscan"))]


class Victim:
    """A session that runs a statement in a thread of its own."""

    def __init__(self, database, statement):
        self.session = connect(database)
        self.pid = self.session.info.backend_pid
        self.statement, self.outcome = statement, None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            self.session.execute(self.statement).fetchall()
            self.outcome = "done"
        except psycopg.errors.QueryCanceled:
            self.outcome = "cancelled"
        except psycopg.Error as problem:
            self.outcome = str(problem)
        self.ended = time.perf_counter()

    def __enter__(self):
        self.began = time.perf_counter()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.thread.join()
        self.session.close()


def latency(witness, victim):
    """Seconds from the call of pg_cancel_backend() until the witness sees the session idle; None when it was idle already."""
    began = time.perf_counter()
    if not witness.execute("SELECT pg_cancel_backend(%s) FROM pg_stat_activity WHERE pid = %s AND state = 'active'", (victim.pid, victim.pid)).fetchone():
        return None
    while witness.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", (victim.pid,)).fetchone() == ("active",):
        pass
    return time.perf_counter() - began


def prepare(database, millions):
    say(f"generating {millions} million interactions, and as many rows to load")
    harness.create_database(database)
    harness.psql(database, HERE / "datasets" / "growth.sql", millions=millions)
    with connect(database) as session:
        session.execute(f"UPDATE empatia.pipeline SET features = '{FEATURES}'")
        session.execute("""
            CREATE SCHEMA landed;
            CREATE TABLE landed.events AS SELECT f.interaction_id AS event_id, f.user_id AS who, f.occurred_at AS happened_at, k.code AS kind, f.course_id AS course, f.space_id AS space
            FROM dw.fact_interaction f JOIN dw.interaction_type k USING (interaction_type_id);
            ANALYZE landed.events;
            SELECT empatia.add_client('landed', 'Landed', 'UTC');
            SELECT empatia.add_source('landed', 'events', 'landed');
            SELECT empatia.add_client('half', 'What fits a mixture', 'UTC')""")
        # as many students as the limit of gmm allows
        session.execute("""
            INSERT INTO dw.environment (client_id, environment_id, name) SELECT c.client_id, 1, 'E' FROM dw.client c WHERE c.code = 'half';
            INSERT INTO dw.course (client_id, course_id, environment_id, name) SELECT c.client_id, 1, 1, 'C' FROM dw.client c WHERE c.code = 'half';
            INSERT INTO dw.space (client_id, space_id, course_id, name) SELECT c.client_id, 1, 1, 'S' FROM dw.client c WHERE c.code = 'half';
            INSERT INTO dw.student (client_id, user_id, name) SELECT c.client_id, u, 'U' FROM dw.client c, generate_series(1, 10000) u WHERE c.code = 'half';
            INSERT INTO dw.enrolment (client_id, enrolment_id, space_id, user_id, role) SELECT c.client_id, u, 1, u, 'member' FROM dw.client c, generate_series(1, 10000) u WHERE c.code = 'half';
            INSERT INTO dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, environment_id, course_id, space_id)
            SELECT c.client_id, 1, f.interaction_id, f.user_id, f.interaction_type_id, f.amount, f.occurred_at, f.day, 1, 1, 1
            FROM dw.client c, dw.fact_interaction f, dw.client g WHERE c.code = 'half' AND g.code = 'growth' AND f.client_id = g.client_id AND f.user_id <= 10000""")
        session.execute("VACUUM ANALYZE")
        for client, level, grain in (("growth", "LEC", "WEEK"), ("growth", "SPA", "WEEK"), ("half", "SPA", "MONTH")):
            session.execute("SELECT * FROM empatia.build_cube(%s, %s, client => %s)", (level, grain, client))


def leftovers(witness, victim):
    """What a cancelled statement must not leave: locks of its session, temporary tables."""
    return witness.execute("SELECT (SELECT count(*) FROM pg_locks l WHERE l.pid = %s), (SELECT count(*) FROM pg_class c WHERE c.relpersistence = 't')",
                           (victim.pid,)).fetchone()


def attempts(database, name, grain, count, chance):
    level = "LEC" if grain == "WEEK" else "SUB"
    before, statement = (text.replace("{grain}", grain).replace("{level}", level) for text in STEPS[name])
    with connect(database) as witness:
        if before:
            witness.execute(before)
        with Victim(database, statement) as whole:
            pass
        if whole.outcome != "done":
            raise RuntimeError(f"{name}: {whole.outcome}")
        duration = whole.ended - whole.began
        if name == "load a stream":
            unload(witness)
        found = []
        tries = 0
        while len(found) < count:
            tries += 1
            if tries > 4 * count:
                raise RuntimeError(f"{name}: ends before it can be cancelled")
            if before:
                witness.execute(before)
            with Victim(database, statement) as victim:
                time.sleep(duration * chance.uniform(0.02, 0.95))
                seconds = latency(witness, victim)
                victim.thread.join()
                left = leftovers(witness, victim)
            if victim.outcome == "done":
                if name == "load a stream":
                    unload(witness)
                continue
            if victim.outcome != "cancelled" or left != (0, 0):
                raise RuntimeError(f"{name}: {victim.outcome}, left {left}")
            found.append(seconds)
        if name in AFTER:
            witness.execute(AFTER[name])
    return duration, found


def unload(session):
    """The next load reads everything again."""
    session.execute("DELETE FROM empatia.source_cursor; TRUNCATE dw.change")
    for table in ("fact_interaction", "enrolment", "student", "space", "course", "environment"):
        session.execute(f"DELETE FROM dw.{table} WHERE client_id = (SELECT client_id FROM dw.client WHERE code = 'landed')")
    session.execute("VACUUM dw.fact_interaction")


def run(report, repetitions, keep=False, sizes=(1, 10), **_):
    millions = max(sizes)
    large = millions > 10
    database, grain = (f"bench_growth_{millions}", "MONTH") if large else (f"bench_cancel_{millions}", "WEEK")
    if large and not harness.database_exists(database):
        return report.failed(CASE, f"no database {database}: make bench CASE=growth,cancel SIZE=10,{millions} GRAINS=MONTH KEEP=1")
    if not large and not (keep and harness.database_exists(database)):
        prepare(database, millions)
    if large:
        with connect(database) as session:
            session.execute("UPDATE empatia.pipeline SET active = level <> 'LEC' AND grain = 'MONTH'")
    chance = random.Random(1)
    for name in LARGE if large else STEPS:
        duration, found = attempts(database, name, grain, 5 if large else 2 * repetitions, chance)
        found.sort()
        note = f"{len(found)} cancels at random moments of {duration:.1f} s; median {found[len(found) // 2] * 1000:.0f} ms, highest {found[-1] * 1000:.0f} ms; nothing left behind"
        report.add(CASE, f"{name}, {millions} million interactions: from pg_cancel_backend() to idle, the longest", ours=[found[-1]], bar="≤ 100 ms", met=found[-1] <= BAR, note=note)
    if not keep:
        with connect("postgres") as admin:
            admin.execute(f'DROP DATABASE "{database}" WITH (FORCE)')
