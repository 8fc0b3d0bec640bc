"""Cancel: every long step notices pg_cancel_backend() within 100 ms, at whatever moment it comes.

Two times per attempt, both seen by the victim's client, from the call of pg_cancel_backend() on: *noticed*, when the error arrives, which the server sends
before it undoes anything; *idle*, when it says that it waits for the next statement: what was done is undone, and parallel workers are gone.
"""

import os
import random
import re
import select
import statistics
import threading
import time

import psycopg

import harness
from harness import HERE, connect, say

CASE = "cancel"
BAR = 0.1
# seconds of a step that are looked at; of more than 10 million interactions fewer, but of the first build
LIMIT, LARGE_LIMIT = 70, 30
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
    "train, boosting": ("", "SELECT * FROM empatia.train('{trained}', '{grain}', target => 'inactive_next', deploy => 'never')"),
    "train, ensemble": ("", "SELECT * FROM empatia.train('{trained}', '{grain}', target => 'inactive_next', algorithm => 'ensemble', deploy => 'never')"),
    "classify, classifier": ("""SELECT empatia.deploy(max(m.version)) FROM empatia.model m WHERE m.algorithm = 'gradient_boosting'
                                HAVING max(m.version) IS DISTINCT FROM empatia._classifier_for('{trained}', '{grain}', NULL);
                                SELECT empatia._forget_predictions(c.client_id, '{trained}', '{grain}') FROM dw.client c""", "SELECT * FROM empatia.classify('{trained}', '{grain}')"),
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
        self.statement, self.outcome, self.told = statement, None, None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        wire = self.session.pgconn
        wire.send_query(self.statement.encode())
        while True:
            # without holding up the other threads of Python
            while wire.is_busy():
                select.select([wire.socket], [], [])
                wire.consume_input()
            result = wire.get_result()
            if result is None:
                break
            # libpq hands an error on as soon as it is there, and the end of the statement afterwards
            self.told = self.told or time.perf_counter()
            state = (result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) or b"").decode()
            message = result.error_message.decode().strip()
            self.outcome = self.outcome or ("cancelled" if state == "57014" else message or "done")
        self.ended = time.perf_counter()

    def __enter__(self):
        self.began = time.perf_counter()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.thread.join()
        self.session.close()


def cancel(witness, victim):
    """(noticed, idle) in seconds, or none where the victim was through by then."""
    began = time.perf_counter()
    asked = witness.execute("SELECT pg_cancel_backend(%s) FROM pg_stat_activity WHERE pid = %s AND state = 'active'", (victim.pid, victim.pid)).fetchone()
    victim.thread.join()
    return (victim.told - began, victim.ended - began) if asked and victim.outcome == "cancelled" else None


def prepare(database, millions):
    say(f"generating {millions} million interactions (40 s per 10 million on four cores)")
    harness.create_database(database)
    harness.psql(database, HERE / "datasets" / "growth.sql", millions=millions)
    with connect(database) as session:
        say("as many rows to load")
        session.execute(f"UPDATE empatia.pipeline SET features = '{FEATURES}'")
        session.execute("""
            CREATE SCHEMA landed;
            CREATE TABLE landed.events AS SELECT f.interaction_id AS event_id, f.user_id AS who, f.occurred_at AS happened_at, k.code AS kind, f.course_id AS course, f.space_id AS space
            FROM dw.fact_interaction f JOIN dw.interaction_type k USING (interaction_type_id);
            ANALYZE landed.events;
            SELECT empatia.add_client('landed', 'Landed', 'UTC');
            SELECT empatia.add_source('landed', 'events', 'landed');
            SELECT empatia.add_client('half', 'What fits a mixture', 'UTC')""")
        # as many students as the limit of gmm allows, with a fifth of their facts: what it takes is the rows, not what they were counted from
        say("what fits a mixture")
        session.execute("""
            INSERT INTO dw.environment (client_id, environment_id, name) SELECT c.client_id, 1, 'E' FROM dw.client c WHERE c.code = 'half';
            INSERT INTO dw.course (client_id, course_id, environment_id, name) SELECT c.client_id, 1, 1, 'C' FROM dw.client c WHERE c.code = 'half';
            INSERT INTO dw.space (client_id, space_id, course_id, name) SELECT c.client_id, 1, 1, 'S' FROM dw.client c WHERE c.code = 'half';
            INSERT INTO dw.student (client_id, user_id, name) SELECT c.client_id, u, 'U' FROM dw.client c, generate_series(1, 10000) u WHERE c.code = 'half';
            INSERT INTO dw.enrolment (client_id, enrolment_id, space_id, user_id, role) SELECT c.client_id, u, 1, u, 'member' FROM dw.client c, generate_series(1, 10000) u WHERE c.code = 'half';
            INSERT INTO dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, environment_id, course_id, space_id)
            SELECT c.client_id, 1, f.interaction_id, f.user_id, f.interaction_type_id, f.amount, f.occurred_at, f.day, 1, 1, 1
            FROM dw.client c, dw.fact_interaction f, dw.client g WHERE c.code = 'half' AND g.code = 'growth' AND f.client_id = g.client_id AND f.user_id <= 10000 AND f.interaction_id % 5 = 0
            ORDER BY f.interaction_id""")
        session.execute("VACUUM ANALYZE")
        for client, level, grain in (("growth", "LEC", "WEEK"), ("growth", "SPA", "WEEK"), ("half", "SPA", "MONTH")):
            say(f"building {level} x {grain} of {client}")
            session.execute("SELECT * FROM empatia.build_cube(%s, %s, client => %s)", (level, grain, client))


def leftovers(witness, victim):
    """What a cancelled statement must not leave: locks of its session, temporary tables, temporary files, parallel workers."""
    return witness.execute("SELECT (SELECT count(*) FROM pg_locks l WHERE l.pid = %s), (SELECT count(*) FROM pg_class c WHERE c.relpersistence = 't'), "
                           "(SELECT count(*) FROM pg_ls_tmpdir()), (SELECT count(*) FROM pg_stat_activity a WHERE a.leader_pid = %s)", (victim.pid, victim.pid)).fetchone()


def measure(database, name, grain, most, chance, limit):
    """(duration, [(noticed, idle)]) of a step that is cancelled up to `most` times, at moments spread over it; of what takes longer than `limit` seconds, over these."""
    level = "LEC" if grain == "WEEK" else "SUB"
    # nobody is a whole month away from a space, so there is nothing to learn of it
    trained = "SPA" if grain == "WEEK" else "SUB"
    before, statement = (text.replace("{grain}", grain).replace("{level}", level).replace("{trained}", trained) for text in STEPS[name])

    def undo():
        if name == "load a stream":
            unload(witness)

    found = []

    def attempt(wait):
        """False where the step was through by then."""
        with Victim(database, statement) as victim:
            victim.thread.join(wait)
            times = cancel(witness, victim)
            left = leftovers(witness, victim)
        if victim.outcome not in ("cancelled", "done") or (times and any(left)):
            raise RuntimeError(f"{name}: {victim.outcome}, left {left}")
        if times:
            found.append(times)
        return times is not None

    with connect(database) as witness:
        if before:
            witness.execute(before)
        # whole, to know how long it takes; what takes longer than the limit is cancelled then, the first time
        began = time.perf_counter()
        ready = attempt(limit)
        duration = time.perf_counter() - began
        # fewer of those that take long: two minutes in all
        count = max(3, min(most, int(240 / duration)))
        for turn in range(4 * count):
            if len(found) >= count:
                break
            if not ready:
                undo()
                if before:
                    witness.execute(before)
            ready = attempt(duration * (0.02 + 0.93 * (turn % count + chance.random()) / count))
        if len(found) < count:
            raise RuntimeError(f"{name}: ends before it can be cancelled")
        if not ready:
            undo()
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
        if not re.search(os.environ.get("STEP", ""), name):
            continue
        limit = LARGE_LIMIT if large and name not in AFTER else LIMIT
        try:
            duration, found = measure(database, name, grain, 6 if large else 2 + 2 * repetitions, chance, limit)
        except RuntimeError as problem:  # the other steps still say something
            report.failed(CASE, str(problem).splitlines()[0])
            continue
        noticed, idle = (sorted(column) for column in zip(*found))
        note = (f"{len(found)} cancels, spread over {'the first ' if duration >= limit else ''}{duration:.1f} s: noticed {_both(noticed)}; idle, all undone, {_both(idle)}; nothing left behind")
        report.add(CASE, f"{name}, {millions} million interactions: from pg_cancel_backend() until it is noticed, the longest", ours=[noticed[-1]], bar="≤ 100 ms", met=noticed[-1] <= BAR, note=note)
    if not keep:
        with connect("postgres") as admin:
            admin.execute(f'DROP DATABASE "{database}" WITH (FORCE)')


def _both(seconds):
    return f"median {statistics.median(seconds) * 1000:.0f} ms, highest {seconds[-1] * 1000:.0f} ms"
