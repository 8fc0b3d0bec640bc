#!/usr/bin/env python3
"""Population stability index and Jensen-Shannon divergence of made columns, by numpy and scipy -> drift.json.

    pip install numpy==2.4.6 scipy==1.17.1
    python engine/tests/truth/drift_fixtures.py

Bins are those of numpy.histogram over the distinct twentieths of what was before, over its tenths where the twentieths leave more than ten bins;
what lies outside counts in the outermost bin. Shares are at least one ten-thousandth in the index.
"""
import json
from pathlib import Path

import numpy as np
from scipy.spatial.distance import jensenshannon


def edges(before):
    found = np.unique(np.quantile(before, np.linspace(0, 1, 21)))
    if len(found) - 1 > 10:
        found = np.unique(np.quantile(before, np.linspace(0, 1, 11)))
    return found


def case(name, before, now):
    before, now = np.round(before, 4), np.round(now, 4)
    known = [np.asarray(values)[~np.isnan(values)] for values in (before, now)]
    bins = edges(known[0])
    p, q = (np.histogram(np.clip(values, bins[0], bins[-1]), bins)[0] / len(values) for values in known)
    a, b = np.maximum(p, 1e-4), np.maximum(q, 1e-4)
    return {"name": name, "before": [None if np.isnan(x) else float(x) for x in before], "now": [None if np.isnan(x) else float(x) for x in now],
            "psi": float(np.sum((b - a) * np.log(b / a))), "jensen_shannon": float(jensenshannon(p, q, base=2) ** 2)}


def main():
    chance = np.random.default_rng(42)
    # n - 1 is no multiple of 2 or 5: where a quantile is exactly a value, numpy's rounding of k * 0.05 may put it beside it
    steps = [2.5, 4.4, 5.0, 5.6, 6.3, 6.9, 7.5, 8.1, 8.8]
    finer = [2.52, 4.38, 5.02, 5.63, 6.27, 6.89, 7.52, 8.14, 8.76]
    even = chance.lognormal(size=864)
    holes = chance.normal(size=434)
    holes[::7] = np.nan
    cases = [
        # few values, one of them more than half, later measured more finely: 6.27 is before 6.3, 6.89 before 6.9
        case("steps", chance.choice(steps, 858, p=[.01, .02, .10, .12, .06, .06, .57, .04, .02]),
             chance.choice(finer, 942, p=[.27, .04, .13, .03, .07, .04, .33, .05, .04])),
        case("continuous", even, chance.lognormal(0.3, 1.2, 600)),
        case("the same rows", even, even),
        case("missing values", holes, chance.normal(0.5, 1, 300)),
        # many distinct values, a third of them zero: more than ten bins of twentieths, ties among the tenths
        case("zeros and others", np.where(chance.random(780) < 0.33, 0, chance.gamma(2, 3, 780)), np.where(chance.random(500) < 0.5, 0, chance.gamma(2, 4, 500))),
        case("beyond both ends", chance.uniform(-1, 1, 238), chance.uniform(-3, 3, 238)),
    ]
    Path(__file__).with_name("drift.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
