#!/usr/bin/env python3
"""Runs the end-to-end tests against a grapnel binary: `ok`, `FAIL` or `skip` and the name of each, then the totals.

  run.py --grapnel FILE [--only REGEX] [--jobs N] [--json FILE] [--long] [-v]

A test is a function in a test_*.py beside this file, marked with `@test("what holds")`. Tests run side by side, each
with servers, ports and folders of its own; those marked `alone=True` (timing, tracing, counting) run by themselves.
"""
import argparse
import concurrent.futures
import importlib
import json
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from harness import Closed, Context, Failure, Skip      # noqa: E402
import registry                                 # noqa: E402

_print_lock = threading.Lock()


def perform(test, options):
    """Runs one test; a dictionary with its verdict."""
    folder = tempfile.mkdtemp(prefix="grapnel-e2e-")
    context = Context(options.grapnel, folder, options.long, options.server_flag)
    began, state, reason = time.monotonic(), "pass", ""
    try:
        test.function(context)
        context.finish()
    except Skip as skip:
        state, reason = "skip", str(skip)
    except (Failure, Closed) as failure:
        state, reason = "fail", str(failure)
        frames = [f for f in traceback.extract_tb(failure.__traceback__) if os.path.basename(f.filename) != "harness.py"
                  and os.path.basename(f.filename) != "run.py"]
        if frames:
            reason += " (%s:%d)" % (os.path.basename(frames[-1].filename), frames[-1].lineno)
    except Exception:
        state, reason = "fail", traceback.format_exc().strip()
    finally:
        context.abandon()
    seconds = time.monotonic() - began
    with _print_lock:
        print("%-4s %s%s%s" % ({"pass": "ok", "fail": "FAIL", "skip": "skip"}[state], test.name,
                               " (%.1f s)" % seconds if seconds >= 1 or options.verbose else "",
                               ": " + reason if reason else ""), flush=True)
        if state == "fail" and "    | " not in reason:
            for server in context.servers:
                if server.log_text():
                    print(server.tail(), flush=True)
    if state == "fail" and options.keep:
        shutil.copytree(folder, os.path.join(options.keep, re.sub(r"\W+", "-", test.name)), dirs_exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    return {"name": test.name, "state": state, "reason": reason, "seconds": round(seconds, 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grapnel", required=True, metavar="FILE", help="the binary under test")
    parser.add_argument("--only", metavar="REGEX", help="searched in `module: name`")
    parser.add_argument("--jobs", type=int, default=4, metavar="N")
    parser.add_argument("--json", metavar="FILE", help="all verdicts")
    parser.add_argument("--server-flag", action="append", default=[], metavar="FLAG",
                        help="one more argument for each `grapnel serve`; repeatable")
    parser.add_argument("--keep", metavar="DIR", help="keep the folders of failed tests there")
    parser.add_argument("--long", action="store_true", help="more rounds where a test has rounds")
    parser.add_argument("--list", action="store_true", help="only list the tests")
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    options.grapnel = os.path.abspath(options.grapnel)
    if not options.list and not os.access(options.grapnel, os.X_OK):
        sys.exit("%s is not an executable file; `make build` makes it" % options.grapnel)

    for name in sorted(os.listdir(HERE)):
        if re.fullmatch(r"test_\w+\.py", name):
            importlib.import_module(name[:-3])
    chosen = [t for t in registry.tests if not options.only or re.search(options.only, t.module + ": " + t.name)]
    if options.list:
        for test in chosen:
            print("%s: %s%s" % (test.module, test.name, " (alone)" if test.alone else ""))
        return 0

    together = [t for t in chosen if not t.alone]
    verdicts = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        verdicts += pool.map(lambda t: perform(t, options), together)
    for test in chosen:
        if test.alone:
            verdicts.append(perform(test, options))
    if options.json:
        with open(options.json, "w") as f:
            json.dump(verdicts, f, indent=1)
    count = lambda state: sum(v["state"] == state for v in verdicts)
    print("%d passed, %d failed, %d skipped" % (count("pass"), count("fail"), count("skip")))
    return 1 if count("fail") or not count("pass") else 0


if __name__ == "__main__":
    sys.exit(main())
