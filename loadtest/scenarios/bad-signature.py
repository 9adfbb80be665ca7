#!/usr/bin/env python3
"""A flood of badly signed deliveries: what refusing costs, and what good deliveries feel meanwhile.

  bad-signature.py [--seconds 5] [--grapnel FILE] [--server-flag FLAG]...
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
        for name, share in (("all good", 0), ("half bad", 0.5), ("all bad", 1)):
            rows[name] = run.load("--bad", share, "--duration", options.seconds)
            scenario.show(name, rows[name])
    if options.json:
        with open(options.json, "w") as f:
            json.dump(rows, f, indent=1)
    bad = rows["all bad"]["statuses"]
    return 0 if set(bad) == {"401"} and all(r["counts"] for r in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
