"""DuckDB on its own storage: one combination of the cube, read and aggregated, not written.

    python peers/duckdb_cube.py import FILE FACTS.csv MEMBERS.csv      makes FILE, once; not counted
    python peers/duckdb_cube.py query FILE [RUNS]                      LEC x WEEK, 4 threads

The query computes the cells of build_cube() that OULAD's interactions fill: the five sums by kind and the active days,
counted where the student is a member of the space. Prints JSON: seconds of every run (the first one, cold, apart), cells.
"""

import json
import os
import sys
import time

import duckdb

THREADS = min(4, os.cpu_count() or 4)
# week of the Sunday on or before; the day of 2000-01-02 was a Sunday
QUERY = """
SELECT count(*), sum(accesses), sum(active_days) FROM (
    SELECT user_id, lecture_id, week, sum(posts) AS posts, sum(post_replies) AS post_replies, sum(help_requests) AS help_requests,
           sum(help_request_replies) AS help_request_replies, sum(accesses) AS accesses, count(*) AS active_days
    FROM (SELECT f.user_id, f.lecture_id, f.day, (f.day - DATE '2000-01-02') // 7 AS week,
                 sum(CASE WHEN f.kind = 1 THEN f.amount ELSE 0 END) AS posts, sum(CASE WHEN f.kind = 2 THEN f.amount ELSE 0 END) AS post_replies,
                 sum(CASE WHEN f.kind = 3 THEN f.amount ELSE 0 END) AS help_requests, sum(CASE WHEN f.kind = 4 THEN f.amount ELSE 0 END) AS help_request_replies,
                 sum(CASE WHEN f.kind = 5 THEN f.amount ELSE 0 END) AS accesses
          FROM fact f SEMI JOIN member m ON m.space_id = f.space_id AND m.user_id = f.user_id
          WHERE f.lecture_id IS NOT NULL
          GROUP BY ALL) d
    GROUP BY user_id, lecture_id, week) c
"""


def load(file, facts, members):
    with duckdb.connect(file, config={"threads": THREADS}) as database:
        database.execute("CREATE OR REPLACE TABLE fact AS SELECT * FROM read_csv(?, header = false, columns = {'user_id': 'BIGINT', 'kind': 'SMALLINT', "
                         "'amount': 'BIGINT', 'day': 'DATE', 'space_id': 'BIGINT', 'lecture_id': 'BIGINT'})", [facts])
        database.execute("CREATE OR REPLACE TABLE member AS SELECT * FROM read_csv(?, header = false, columns = {'space_id': 'BIGINT', 'user_id': 'BIGINT'})", [members])
        rows = database.execute("SELECT count(*) FROM fact").fetchone()[0]
    print(json.dumps({"rows": rows, "bytes": os.path.getsize(file)}))


def query(file, runs=5):
    seconds = []
    with duckdb.connect(file, read_only=True, config={"threads": THREADS}) as database:
        for _ in range(int(runs) + 1):
            began = time.perf_counter()
            cells, accesses, active_days = database.execute(QUERY).fetchone()
            seconds.append(time.perf_counter() - began)
    print(json.dumps({"cold": seconds[0], "seconds": seconds[1:], "cells": cells, "accesses": int(accesses or 0), "active_days": int(active_days or 0), "threads": THREADS}))


if __name__ == "__main__":
    {"import": load, "query": query}[sys.argv[1]](*sys.argv[2:])
