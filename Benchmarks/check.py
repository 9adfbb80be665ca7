#!/usr/bin/env python3
"""Holds the output of `room-allocations` against thresholds.json.

  check.py FILE            fails when an operation exceeds its bounds, is not listed, or is listed and missing
  check.py FILE --write    makes a new thresholds.json: the allocations found, and twenty times the time
"""
import json
import math
import os
import sys

THRESHOLDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "thresholds.json")


def read(path):
    rows = {}
    with open(path) as f:
        for line in f:
            parts = line.rstrip("\n").split("\t")
            if len(parts) == 4:
                rows[parts[0]] = (int(parts[1]) / int(parts[2]), int(parts[3]))
    return rows


def main():
    rows = read(sys.argv[1])
    with open(THRESHOLDS) as f:
        document = json.load(f)
    if "--write" in sys.argv:
        document["operations"] = {
            name: {"allocations": 0 if allocations == 0 else math.ceil(allocations * 200) / 100,
                   "nanoseconds": max(100, 20 * time)} for name, (allocations, time) in rows.items()}
        with open(THRESHOLDS, "w") as f:
            json.dump(document, f, indent=2)
            f.write("\n")
        return 0
    bounds, problems = document["operations"], []
    print("%-58s %12s %14s" % ("operation", "allocations", "nanoseconds"))
    for name, (allocations, time) in rows.items():
        mark = ""
        if name not in bounds:
            problems.append("%s is not in thresholds.json" % name)
            mark = "  not listed"
        elif allocations > bounds[name]["allocations"]:
            problems.append("%s: %g allocations, allowed are %g" % (name, allocations, bounds[name]["allocations"]))
            mark = "  TOO MANY"
        elif time > bounds[name]["nanoseconds"]:
            problems.append("%s: %d ns, allowed are %d" % (name, time, bounds[name]["nanoseconds"]))
            mark = "  TOO SLOW"
        print("%-58s %12g %14d%s" % (name, allocations, time, mark))
    problems += ["%s was not measured" % name for name in bounds if name not in rows]
    for problem in problems:
        print("FAIL " + problem)
    print("%d operations, %d problems" % (len(rows), len(problems)))
    return 1 if problems or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
