"""Growth: ten times the interactions, at most eleven times the seconds, and memory within the budget."""

import os
import threading
import time
from pathlib import Path

import psycopg

import harness
from harness import HERE, connect, say

CASE = "growth"
BUDGETS = ("1GB", "512MB")
# fewer where the disk is small: 100 million interactions take 17 GB, their cells by WEEK and MONTH 51 more
GRAINS = [grain.strip().upper() for grain in (os.environ.get("GRAINS") or "WEEK,MONTH").split(",")]


class PeakMemory:
    """Highest private memory (RssAnon) of a backend while it works, in MB: what empatia.memory_limit has to bound, without shared buffers."""

    def __init__(self, pid):
        self.pid, self.peak, self.before = pid, 0.0, self._now(pid)

    @staticmethod
    def _now(pid):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) / 1024
        return 0.0

    def _watch(self):
        while not self.done.wait(0.02):
            self.peak = max(self.peak, self._now(self.pid))

    def __enter__(self):
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


def measure(millions, repetitions, keep, larger_follows):
    database = f"bench_growth_{millions}"
    if not (keep and harness.database_exists(database)):
        say(f"generating {millions} million interactions")
        harness.create_database(database)
        harness.psql(database, HERE / "datasets" / "growth.sql", millions=millions)
        with connect(database) as session:
            session.execute("VACUUM")
    with connect(database) as session:
        session.execute("UPDATE empatia.pipeline SET active = grain = ANY (%s)", (GRAINS,))
    found = {}
    for budget in BUDGETS:
        seconds, peaks = [], []
        for _ in range(repetitions):
            # a session each: memory that malloc keeps for the next statement must not hide the peak
            with connect(database) as session:
                session.execute(f"SET empatia.memory_limit = '{budget}'")
                pid = session.execute("SELECT pg_backend_pid()").fetchone()[0]
                session.execute("TRUNCATE analytics.cube")
                try:
                    with PeakMemory(pid) as memory:
                        began = time.perf_counter()
                        stored = session.execute("SELECT sum(stored_rows) FROM empatia.build_cube(full_build => true)").fetchone()[0]
                        seconds.append(time.perf_counter() - began)
                except psycopg.errors.OutOfMemory as problem:
                    found[budget] = {"refused": str(problem).splitlines()[0]}
                    break
                peaks.append(memory.peak)
        if seconds:
            found[budget] = {"seconds": seconds, "peak": max(peaks), "stored": int(stored)}
    # the smaller ones are generated in a minute, and the larger one needs the room
    if not keep or larger_follows:
        with connect("postgres") as admin:
            admin.execute(f'DROP DATABASE "{database}" WITH (FORCE)')
    return found


def run(report, repetitions, keep=False, sizes=(1, 10), **_):
    before = {}
    for millions in sorted(sizes):
        found = measure(millions, 1 if millions >= 100 else min(repetitions, 3), keep, millions < max(sizes))
        for budget, now in found.items():
            work = f"{millions} million interactions, build of 5 levels x {', '.join(GRAINS)}, empatia.memory_limit = {budget}"
            if "refused" in now:
                report.add(CASE, work, bar=f"peak ≤ {budget}", met=False, note="refused: " + now["refused"])
                continue
            limit = {"1GB": 1024, "512MB": 512}[budget]
            met, note = now["peak"] <= limit, f"{now['stored']:,} cells, peak memory {now['peak']:.0f} MB".replace(",", " ")
            bar = f"peak ≤ {budget}"
            median = harness.statistics.median(now["seconds"])
            if budget in before.get(millions / 10, {}):
                times = median / before[millions / 10][budget]
                met, note, bar = met and times <= 11, note + f"; {times:.1f}x the time of {millions // 10} million", bar + ", ≤ 11x the time of a tenth"
            report.add(CASE, work, ours=now["seconds"], bar=bar, met=met, note=note)
        before[millions] = {budget: harness.statistics.median(now["seconds"]) for budget, now in found.items() if "seconds" in now}
