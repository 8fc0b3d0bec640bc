"""The peer of the HTTP service: FastAPI, scikit-learn, shap, for the same forest of the same rows.

    pede_service.py ROWS PORT WORKERS TREES      ROWS: CSV, one column per feature, the last one the target (t or f)

Fitted once and inherited by the workers (fork), which are as many as the cores. A case becomes a row of numbers without pandas, since a data frame of one row
would take longer than the forest's answer; columns of texts are one column per level, gaps are the median. What it leaves out: recording what it said.
"""
import asyncio
import csv
import multiprocessing
import socket
import sys

import numpy
import shap
import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from sklearn.ensemble import RandomForestClassifier

THRESHOLD = 0.35
FACTORS = 5


class Case(BaseModel):
    model: str
    input: dict


class Encoder:
    """Rows of raw values as numbers, as columns and medians of the training rows say."""

    def __init__(self, names, rows):
        self.columns = []  # name, level or None, median
        for place, name in enumerate(names):
            values = [row[place] for row in rows if row[place] != ""]
            try:
                self.columns.append((name, None, float(numpy.median([float(value) for value in values]))))
            except ValueError:
                self.columns += [(name, level, None) for level in sorted(set(values))]
        self.names = [name for name, _, _ in self.columns]

    def row(self, case):
        found = numpy.empty(len(self.columns))
        for place, (name, level, median) in enumerate(self.columns):
            value = case.get(name)
            if level is not None:
                found[place] = value == level
            else:
                found[place] = median if value in (None, "") else float(value)
        return found


def service(encoder, forest, explainer):
    app = FastAPI()

    @app.post("/predict")
    def predict(case: Case):
        if case.model != "pede":
            raise HTTPException(404, "no such model")
        row = encoder.row(case.input).reshape(1, -1)
        risk = float(forest.predict_proba(row)[0, 1])
        values = explainer.shap_values(row, check_additivity=False)
        values = values[1][0] if isinstance(values, list) else values[0, :, 1]
        sums = {}
        for name, value in zip(encoder.names, values):
            sums[name] = sums.get(name, 0.0) + float(value)
        strongest = sorted(sums.items(), key=lambda item: -abs(item[1]))[:FACTORS]
        return {
            "risk_score": risk, "class": "em risco" if risk >= THRESHOLD else "sem risco", "threshold": THRESHOLD,
            "imputed": [name for name in sums if case.input.get(name) in (None, "")],
            "top_risk_factors": [{"feature": name, "value": case.input.get(name), "contribution": value, "direction": "raises" if value > 0 else "lowers"}
                                 for name, value in strongest],
        }

    return app


def work(listener, app):
    config = uvicorn.Config(app, log_level="warning", access_log=False)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


def main():
    path, port, workers, trees = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    with open(path, newline="", encoding="utf-8") as file:
        names, *rows = csv.reader(file)
    encoder = Encoder(names[:-1], rows)
    x = numpy.array([encoder.row(dict(zip(names, row))) for row in rows])
    y = numpy.array([row[-1] == "t" for row in rows])
    forest = RandomForestClassifier(n_estimators=trees, random_state=42, n_jobs=-1).fit(x, y)
    # one case at a time: threads would cost more than they bring; the cores are the workers'
    forest.n_jobs = 1
    app = service(encoder, forest, shap.TreeExplainer(forest))
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=work, args=(listener, app)) for _ in range(workers)]
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.join()
    except KeyboardInterrupt:
        pass
    finally:
        for process in processes:
            process.terminate()


if __name__ == "__main__":
    import signal
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    main()
