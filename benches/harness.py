"""What every case shares: connections, timing in turn, the machine's description, and the table at the end."""

import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import psycopg

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
BEGIN, END = "<!-- last table: begin -->", "<!-- last table: end -->"


def say(text):
    print(f"{datetime.datetime.now():%H:%M:%S} {text}", flush=True)


def connect(database):
    """A session of its own, autocommit; PGHOST, PGPORT and PGUSER say where. What takes a quarter of an hour is a result: a failed case."""
    return psycopg.connect(dbname=database, autocommit=True, options="-c statement_timeout=15min")


def psql(database, file, **variables):
    """Runs a file of benches/ or demo/ with psql, whose variables make data sets reproducible."""
    command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", str(file)]
    for name, value in variables.items():
        command += ["-v", f"{name}={value}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def create_database(name):
    with connect("postgres") as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        admin.execute(f'CREATE DATABASE "{name}"')
    with connect(name) as session:
        session.execute("CREATE EXTENSION empatia")
        session.execute("SELECT * FROM empatia.create_warehouse()")


def database_exists(name):
    with connect("postgres") as admin:
        return admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None


def has_function(session, name):
    return session.execute("SELECT to_regproc(%s) IS NOT NULL", (f"empatia.{name}",)).fetchone()[0]


def seconds_of(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turn(contestants, repetitions, warm=0):
    """{name: seconds of each run}: one run of each in turn, so that a slow minute of the machine hits all of them.

    A contestant is a function; one that returns a number has timed itself (a peer in a process of its own).
    `warm` runs come first and are not counted.
    """
    seconds = {name: [] for name in contestants}
    for turn in range(warm + repetitions):
        for name, work in contestants.items():
            began = time.perf_counter()
            own = work()
            took = own if isinstance(own, float) else time.perf_counter() - began
            if turn >= warm:
                seconds[name].append(took)
    return seconds


def peer(script, *arguments, timeout=1800):
    """Runs a peer's script in a process of its own; the last line that it prints is its result as JSON.

    Starting Python and importing libraries is not counted: the script takes the time itself.
    """
    done = subprocess.run([sys.executable, str(HERE / "peers" / script), *map(str, arguments)],
                          check=True, stdout=subprocess.PIPE, text=True, timeout=timeout)
    return json.loads(done.stdout.strip().splitlines()[-1])


def cpu_seconds(session):
    """CPU seconds of a session's backend so far (Linux; parallel workers not included): on a busy machine, what the wall clock hides."""
    fields = Path(f"/proc/{session.info.backend_pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Report:
    """Rows of the table: the work, ours, theirs, the ratio, the bar."""

    def __init__(self):
        self.rows = []
        self.failures = []

    def add(self, case, work, ours=None, theirs=None, peer_name=None, bar=None, met=None, note=None, ratio=None):
        """`ours` and `theirs` are lists of seconds. `ratio` defaults to theirs / ours of the medians; `met` is None where there is no bar."""
        row = {"case": case, "work": work, "bar": bar, "met": met, "note": note, "peer": peer_name, "ratio": ratio}
        for name, runs in (("ours", ours), ("theirs", theirs)):
            if runs:
                row[f"{name}_seconds"] = statistics.median(runs)
                row[f"{name}_runs"] = [round(run, 4) for run in runs]
        if ratio is None and ours and theirs:
            row["ratio"] = row["theirs_seconds"] / row["ours_seconds"]
        self.rows.append(row)
        say(f"  {work}: ours {_time(row.get('ours_seconds'))}, theirs {_time(row.get('theirs_seconds'))}, "
            f"ratio {_ratio(row['ratio'])}{'' if met is None else ', bar ' + ('met' if met else 'MISSED')}{'; ' + note if note else ''}")
        return row

    def failed(self, case, problem):
        self.failures.append({"case": case, "problem": problem})
        say(f"  FAILED {case}: {problem}")


def _time(seconds):
    if seconds is None:
        return "–"
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _ratio(ratio):
    if ratio is None:
        return "–"
    return f"{ratio:.0f}x" if ratio >= 100 else f"{ratio:.3g}x"


def _cpu():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _package(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git(*arguments):
    done = subprocess.run(["git", "-C", str(PROJECT), *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip() or None


def description(command):
    """Machine, versions, settings, date and command: what a number is worth nothing without."""
    with connect("postgres") as session:
        server = session.execute("SHOW server_version").fetchone()[0]
        names = ("shared_buffers", "work_mem", "maintenance_work_mem", "max_parallel_workers_per_gather", "max_parallel_workers",
                 "jit", "fsync", "effective_cache_size", "random_page_cost")
        settings = {name: session.execute(f"SHOW {name}").fetchone()[0] for name in names}
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    packages = ("scikit-learn", "numpy", "pandas", "duckdb", "psycopg", "connectorx", "adbc-driver-postgresql", "pyarrow")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="minutes"),
        "command": command,
        "commit": _git("describe", "--always", "--dirty"),
        "cpu": _cpu(), "cores": os.cpu_count(), "memory_gib": round(memory, 1), "kernel": platform.release(),
        "load_before": [round(load, 2) for load in os.getloadavg()],
        "postgres": server, "settings": settings,
        "python": platform.python_version(), "packages": {name: _package(name) for name in packages},
    }


def markdown(about, rows, failures):
    lines = [
        f"Last run {about['date']}, commit `{about['commit']}`, by `{about['command']}`; rows of other cases are of the run that their last column names, on the same machine.",
        f"Machine: {about['cpu']}, {about['cores']} cores, {about['memory_gib']} GiB, Linux {about['kernel']}; "
        f"load average before the run {about['load_before'][0]}, after it {about.get('load_after', ['?'])[0]}.",
        f"PostgreSQL {about['postgres']} ({', '.join(f'{k} = {v}' for k, v in about['settings'].items())}); Python {about['python']}, "
        + ", ".join(f"{k} {v}" for k, v in about["packages"].items() if v) + ".",
        "",
        "| case | work | ours | theirs | theirs / ours | bar | | measured |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        verdict = {True: "met", False: "**missed**", None: ""}[row["met"]]
        theirs = _time(row.get("theirs_seconds")) + (f" ({row['peer']})" if row["peer"] else "")
        work = row["work"] + (f"<br>{row['note']}" if row["note"] else "")
        lines.append(f"| {row['case']} | {work} | {_time(row.get('ours_seconds'))} | {theirs} | {_ratio(row['ratio'])} | {row['bar'] or ''} | {verdict} | {row['date'][:16]}, `{row['commit']}` |")
    if failures:
        lines += ["", "Not measured:"] + [f"* {failure['case']}: {failure['problem']}" for failure in failures]
    return "\n".join(lines)


def _about(row):
    """The case of a row, and of how many million interactions it is, where it says that."""
    millions = re.search(r"\b\d+ million", row["work"])
    return row["case"], millions and millions.group()


def _kept(about, report, file):
    """Rows of cases, or of sizes of a case, that this run did not look at, as an earlier one on such a machine measured them."""
    if not file.exists():
        return []
    before = json.loads(file.read_text())
    if any(before["about"][name] != about[name] for name in ("cpu", "cores")):
        return []
    looked_at = {_about(row) for row in report.rows}
    failed = {failure["case"] for failure in report.failures}
    origin = {name: before["about"][name] for name in ("date", "commit")}
    return [{**origin, **row} for row in before["rows"] if row["case"] not in failed and _about(row) not in looked_at]


def publish(about, report, order):
    """Writes benches/results/last.json and .md, and the table between the marks of benches/README.md; `order` of the cases."""
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    about["load_after"] = [round(load, 2) for load in os.getloadavg()]
    fresh = [{**row, "date": about["date"], "commit": about["commit"]} for row in report.rows]
    rows = sorted(_kept(about, report, results / "last.json") + fresh, key=lambda row: order.index(row["case"]))
    (results / "last.json").write_text(json.dumps({"about": about, "rows": rows, "failures": report.failures}, indent=1, ensure_ascii=False) + "\n")
    table = markdown(about, rows, report.failures)
    (results / "last.md").write_text(table + "\n")
    readme = HERE / "README.md"
    text = readme.read_text()
    if BEGIN in text and END in text:
        head, tail = text.split(BEGIN)[0], text.split(END)[1]
        readme.write_text(head + BEGIN + "\n" + table + "\n" + END + tail)
    print("\n" + table, flush=True)
