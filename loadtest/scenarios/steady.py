#!/usr/bin/env python3
"""Closed loop at saturation for three sizes, then open loop at half of what 8 KiB reached.

  steady.py [--seconds 5] [--grapnel FILE] [--server-flag FLAG]...
"""
import argparse
import json
import sys

import scenario


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    scenario.arguments(parser)
    options = parser.parse_args()
    scenario.describe(options)
    rows = {}
    with scenario.Scenario(options, flags=["--journal-max-bytes", "512MiB"]) as run:
        for size in (1024, 8192, 65_536):
            name = "closed, %d bytes" % size
            rows[name] = run.load("--size", size, "--duration", options.seconds, "--sign", "once")
            scenario.show(name, rows[name])
        half = max(1, int(rows["closed, 8192 bytes"]["answered_per_second"] / 2))
        for arrivals in ("fixed", "poisson"):
            name = "open %s, half, 8192 bytes" % arrivals
            rows[name] = run.load("--size", 8192, "--duration", options.seconds, "--sign", "once", "--rate", half,
                                  "--arrivals", arrivals)
            scenario.show(name, rows[name])
        rows["one connection"] = run.load("--connections", 1, "--duration", options.seconds)
        scenario.show("one connection", rows["one connection"])
    if options.json:
        with open(options.json, "w") as f:
            json.dump(rows, f, indent=1)
    return 0 if all(r["counts"] and not sum(r["errors"].values()) for r in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
