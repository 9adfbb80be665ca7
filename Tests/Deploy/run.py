#!/usr/bin/env python3
"""Tests of deploy/: what is rendered, whether it fits together, and whether the machine's files are right. No cluster, no network.

  run.py [--only REGEX] [--grapnel FILE] [-v]

Prints `ok`, `FAIL` or `skip` and the name of each test, then `N passed, N failed, N skipped`; exit status 1 when something failed or
nothing ran. What is not installed is skipped with its name: Debian's packages are listed in Tests/Support/deps.sh.
"""
import argparse
import importlib
import os
import re
import sys
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

try:
    import yaml                                 # noqa: F401
except ImportError:
    # A python3 that is not Debian's does not see Debian's packages.
    if sys.executable != "/usr/bin/python3" and os.access("/usr/bin/python3", os.X_OK):
        os.execv("/usr/bin/python3", ["/usr/bin/python3"] + sys.argv)
    sys.exit("PyYAML is missing; `make deps` installs python3-yaml")

import support                                  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="REGEX", help="searched in `module: name`")
    parser.add_argument("--grapnel", metavar="FILE", default=os.path.join(support.ROOT, ".build", "release", "grapnel"),
                        help="the binary that is asked for its flags (default: .build/release/grapnel)")
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    support.grapnel = options.grapnel if os.access(options.grapnel, os.X_OK) else None

    for name in sorted(os.listdir(HERE)):
        if re.fullmatch(r"test_\w+\.py", name):
            importlib.import_module(name[:-3])
    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    for module, name, function in support.tests:
        if options.only and not re.search(options.only, module + ": " + name):
            continue
        began, reason = time.monotonic(), ""
        try:
            function()
            state = "ok"
        except support.Skip as skip:
            state, reason = "skip", str(skip)
        except AssertionError as failure:
            state, reason = "FAIL", str(failure) or traceback.format_exc().strip()
        except Exception:
            state, reason = "FAIL", traceback.format_exc().strip()
        counts[state] += 1
        seconds = time.monotonic() - began
        print("%-4s %s: %s%s%s" % (state, module[5:], name, " (%.1f s)" % seconds if seconds >= 1 or options.verbose else "",
                                   ": " + reason if reason else ""), flush=True)
    print("%d passed, %d failed, %d skipped" % (counts["ok"], counts["FAIL"], counts["skip"]))
    return 1 if counts["FAIL"] or not counts["ok"] else 0


if __name__ == "__main__":
    sys.exit(main())
