"""POST /predict over HTTP, explanation included: ours, each prediction recorded, against FastAPI with scikit-learn and shap (peers/pede_service.py)."""

import csv
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from harness import HERE, PROJECT, connect, create_database, say, seconds_of

DATABASE = "bench_http"
TREES = 300
CLIENTS = 16
SECONDS = 6
WARM = 2
SCRAPES, WARM_SCRAPES = 21, 3
OURS, THEIRS = 18471, 18472


def tables(session):
    """The workbook's rows, the model, and what the peer is given: the same rows and columns, as CSV."""
    workbook = PROJECT.parent / "shared" / "data" / "pede" / "pede_2022_2024.xlsx"
    if not workbook.is_file():
        raise FileNotFoundError(f"no workbook {workbook}: this case needs the data of PEDE")
    sys.path.insert(0, str(HERE / "quality"))
    from pede_rows import COLUMNS, NUMBERS, rows
    session.execute("CREATE TABLE pede (%s)" % ", ".join(
        f"{name} {'integer' if name == 'ano' else 'double precision' if name in NUMBERS else 'text'}" for name in COLUMNS))
    with session.cursor().copy("COPY pede FROM STDIN") as copy:
        for row in rows(workbook):
            copy.write_row([row.get(name) or None for name in COLUMNS])
    session.execute("ANALYZE pede")
    session.execute("""SELECT * FROM empatia.train_table('pede', 'pede', 'defasagem < 0', key => '{ra}', time_column => 'ano', target_lead => 1, algorithm => 'random_forest',
                           parameters => %s, threshold => 0.35, deploy => 'always')""", (json.dumps({"trees": TREES}),))
    features = session.execute("SELECT m.features FROM empatia.model m WHERE m.name = 'pede' ORDER BY m.version DESC LIMIT 1").fetchone()[0]
    columns = ", ".join(f'a."{name}"' for name in features)
    found = session.execute(f"""SELECT a.ra, {columns}, CASE WHEN b.defasagem < 0 THEN 't' ELSE 'f' END
                                FROM pede a JOIN pede b ON b.ra = a.ra AND b.ano = a.ano + 1 WHERE b.defasagem IS NOT NULL ORDER BY a.ra, a.ano""").fetchall()
    return features, found


def write(folder, features, found):
    """The training rows for the peer; a question per row for both."""
    with open(folder / "rows.csv", "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow([*features, "target"])
        out.writerows(row[1:] for row in found)
    with open(folder / "bodies.txt", "w", encoding="utf-8") as file:
        for row in found:
            given = {name: value for name, value in zip(features, row[1:]) if value is not None}
            file.write(json.dumps({"model": "pede", "input": {"ra": row[0], **given}}) + "\n")


def answer(port, body):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", body.encode(), {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as found:
        return json.load(found)


def until_it_answers(process, port, body):
    end = time.monotonic() + 120
    while True:
        try:
            return answer(port, body)
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the service on port {port} does not answer") from None
            time.sleep(0.2)


def load(program, port, bodies):
    done = subprocess.run([program, f"127.0.0.1:{port}", "/predict", str(bodies), str(CLIENTS), str(SECONDS), str(WARM)], check=True, stdout=subprocess.PIPE, text=True,
                          timeout=SECONDS + WARM + 60)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    if found["failed"] or not found["requests"]:
        raise RuntimeError(f"port {port}: {found['failed']} of {found['requests'] + found['failed']} requests failed")
    say(f"    port {port}: {found['requests'] / SECONDS:.0f} a second, p50 {found['p50']:.2f} ms, p99 {found['p99']:.2f} ms")
    return found


def run(report, repetitions, **_):
    subprocess.run(["cargo", "build", "-q", "--release", "-p", "empatia-http", "--bins", "--examples"], cwd=PROJECT, check=True)
    built = Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target")) / "release"
    create_database(DATABASE)
    with connect(DATABASE) as session, tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        features, found = tables(session)
        write(folder, features, found)
        session.execute("DROP ROLE IF EXISTS empatia_bench")
        session.execute("CREATE ROLE empatia_bench LOGIN")
        session.execute("SELECT empatia.grant_service('empatia_bench')")
        cores = str(len(os.sched_getaffinity(0)))
        first = (folder / "bodies.txt").read_text().splitlines()[0]
        address = f"host={os.environ['PGHOST']} port={os.environ.get('PGPORT', '5432')} dbname={DATABASE} user=empatia_bench"
        services = [subprocess.Popen([built / "empatia-http"], env={**os.environ, "EMPATIA_DATABASE": address, "EMPATIA_LISTEN": f"127.0.0.1:{OURS}", "RUST_LOG": "warn"}),
                    subprocess.Popen([sys.executable, str(HERE / "peers" / "pede_service.py"), str(folder / "rows.csv"), str(THEIRS), cores, str(TREES)],
                                     env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})]
        try:
            for process, port in zip(services, (OURS, THEIRS)):
                until_it_answers(process, port, first)
            bodies = (folder / "bodies.txt").read_text().splitlines()[:200]
            pairs = [(answer(OURS, body)["risk_score"], answer(THEIRS, body)["risk_score"]) for body in bodies]
            apart = statistics.mean(abs(ours - theirs) for ours, theirs in pairs)
            runs = {OURS: [], THEIRS: []}
            for _ in range(repetitions):
                for port in runs:
                    runs[port].append(load(str(built / "examples" / "load"), port, folder / "bodies.txt"))
        finally:
            for process in services:
                process.send_signal(signal.SIGTERM)
            for process in services:
                process.wait(timeout=30)
        recorded = session.execute("SELECT count(*) FROM analytics.prediction").fetchone()[0]
        session.execute("SET ROLE empatia_bench")
        scrapes = [seconds_of(lambda: session.execute("SELECT empatia.metrics()").fetchone()) for _ in range(WARM_SCRAPES + SCRAPES)][WARM_SCRAPES:]
        said = session.execute("SELECT sum(value) FROM empatia.metric WHERE name = 'empatia_predictions_total'").fetchone()[0]
        session.execute("RESET ROLE")
        if said != recorded:
            raise RuntimeError(f"metrics() says {said} predictions, {recorded} are recorded")
        session.execute("DROP OWNED BY empatia_bench; DROP ROLE empatia_bench")
    rate = {port: statistics.median(found["requests"] for found in runs[port]) / SECONDS for port in runs}
    p99 = {port: statistics.median(found["p99"] for found in runs[port]) for port in runs}
    p50 = {port: statistics.median(found["p50"] for found in runs[port]) for port in runs}
    answered = sum(found["requests"] for found in runs[OURS])
    if recorded < answered:
        raise RuntimeError(f"{recorded} predictions recorded of at least {answered} that were answered")
    row = report.add("http", f"POST /predict with its five strongest reasons, forest of {TREES} trees on PEDE ({len(features)} columns), {CLIENTS} clients, loopback: time per answer",
                     [SECONDS / found["requests"] for found in runs[OURS]], [SECONDS / found["requests"] for found in runs[THEIRS]],
                     f"FastAPI, {cores} workers", "≥ 10x", note=f"{rate[OURS]:.0f} answers a second, theirs {rate[THEIRS]:.0f}; ours are recorded ({recorded} rows), theirs not; "
                                                                f"mean difference of the risk {apart:.3f} (ours is calibrated)")
    row["met"] = row["ratio"] >= 10
    row = report.add("http", "the same: 99th percentile of the time to the whole answer", [found["p99"] / 1000 for found in runs[OURS]], [found["p99"] / 1000 for found in runs[THEIRS]],
                     f"FastAPI, {cores} workers", "≤ 1/5", note=f"median {p50[OURS]:.2f} ms, theirs {p50[THEIRS]:.2f} ms")
    row["met"] = p99[OURS] <= p99[THEIRS] / 5
    row = report.add("http", "metrics() right after that load, as the service's role", scrapes, bar="≤ 20 ms", note=f"{recorded} predictions of the day; the same number in the metric")
    row["met"] = statistics.median(scrapes) <= 0.02
