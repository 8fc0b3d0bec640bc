"""Runs the cases and writes the table. Called by run.sh, which says what the options mean."""

import argparse
import os
import sys
import traceback
from pathlib import Path

import case_cancel
import case_growth
import case_http
import case_kmeans
import case_oulad
import case_predict
import case_reference
import case_repeats
import case_trees
import harness

CASES = {"reference": case_reference, "repeats": case_repeats, "oulad": case_oulad, "growth": case_growth, "kmeans": case_kmeans, "trees": case_trees, "predict": case_predict, "http": case_http, "cancel": case_cancel}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--sizes", default="1,10")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    names = [name for name in options.cases.split(",") if name]
    unknown = [name for name in names if name not in CASES]
    if unknown or not names:
        parser.error(f"unknown case {unknown}; the cases are {', '.join(CASES)}")
    try:
        sizes = [int(size) for size in options.sizes.split(",")]
    except ValueError:
        parser.error(f"sizes are whole millions, such as 1,10; found {options.sizes!r}")

    given = [f"{name}={os.environ[name]}" for name in ("CASE", "SIZE", "GRAINS", "RUNS") if os.environ.get(name)]
    about = harness.description(" ".join(["make bench", *given]))
    report = harness.Report()
    for name in names:
        harness.say(f"case {name}")
        try:
            CASES[name].run(report, options.repetitions, keep=options.keep, sizes=sizes, data=options.data)
        except Exception as problem:  # the other cases still say something; the table says what is missing
            traceback.print_exc()
            report.failed(name, str(problem).splitlines()[0])
        harness.publish(about, report, list(CASES))
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
