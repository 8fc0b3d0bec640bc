"""The usual alternative: read the dense rows of one level and grain into pandas, fit, write the labels back.

    python peers/pandas_sklearn.py DATABASE LEVEL GRAIN [adbc|connectorx]

The read takes only keys and features, from the built cube's own tables: leaner than the view. Prints JSON: seconds of
each part and the inertia. Imports are not counted.
"""

import json
import os
import sys
import time
from urllib.parse import quote

import numpy as np
import pandas as pd
import psycopg
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

FEATURES = ["posts", "post_replies", "help_requests", "help_request_replies", "assigned_exercises", "submitted_exercises"]
DENSE = """
SELECT m.user_id, u.unit_id, p.period_start, coalesce(x.posts, 0) AS posts, coalesce(x.post_replies, 0) AS post_replies,
       coalesce(x.help_requests, 0) AS help_requests, coalesce(x.help_request_replies, 0) AS help_request_replies,
       coalesce(a.assigned_exercises, 0) AS assigned_exercises, coalesce(x.submitted_exercises, 0)::bigint AS submitted_exercises{columns}
FROM analytics.cube_unit u
JOIN analytics.cube_member m ON m.client_id = u.client_id AND m.level = u.member_level AND m.unit_id = u.member_unit_id
JOIN analytics.cube_period p ON p.client_id = u.client_id AND p.level = '{level}' AND p.grain = '{grain}'
LEFT JOIN analytics.cube_assigned a ON a.client_id = u.client_id AND a.level = '{level}' AND a.user_id = m.user_id AND a.unit_id = u.unit_id
LEFT JOIN analytics.cube_{part} x ON x.client_id = u.client_id AND x.user_id = m.user_id AND x.unit_id = u.unit_id AND x.period_start = p.period_start{joins}
WHERE u.level = '{level}'
"""


def read(uri, query, reader):
    if reader == "connectorx":
        import connectorx
        return connectorx.read_sql(uri, query, return_type="pandas")
    from adbc_driver_postgresql import dbapi
    with dbapi.connect(uri) as session, session.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetch_arrow_table().to_pandas()


def dense(database, level, grain, reader, columns="", joins=""):
    """The dense rows, features in FEATURES."""
    host, user = os.environ.get("PGHOST", "/var/run/postgresql"), os.environ.get("PGUSER", "postgres")
    uri = f"postgresql://{user}@{quote(host, safe='')}:{os.environ.get('PGPORT', '5432')}/{database}"
    return read(uri, DENSE.format(level=level, grain=grain, part=f"{level}_{grain}".lower(), columns=columns, joins=joins), reader)


def main(database, level, grain, reader="adbc"):
    marks = [time.perf_counter()]
    rows = dense(database, level, grain, reader)
    marks.append(time.perf_counter())

    features = StandardScaler().fit_transform(np.log1p(rows[FEATURES].to_numpy(dtype=np.float64)))
    model = KMeans(n_clusters=4, n_init=10, random_state=0).fit(features)
    marks.append(time.perf_counter())

    rows["label"] = model.labels_
    csv = rows[["user_id", "unit_id", "period_start", "label"]].to_csv(index=False, header=False)
    with psycopg.connect(dbname=database) as session, session.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS peer_label")
        cursor.execute("CREATE TABLE peer_label (user_id bigint, unit_id bigint, period_start date, label integer)")
        with cursor.copy("COPY peer_label FROM STDIN (FORMAT csv)") as copy:
            copy.write(csv)
    marks.append(time.perf_counter())

    parts = [round(later - earlier, 3) for earlier, later in zip(marks, marks[1:])]
    print(json.dumps({"seconds": marks[-1] - marks[0], "read": parts[0], "fit": parts[1], "write": parts[2], "rows": len(rows),
                      "inertia": float(model.inertia_), "pandas": pd.__version__}))


if __name__ == "__main__":
    main(*sys.argv[1:])
