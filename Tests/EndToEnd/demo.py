#!/usr/bin/env python3
"""The main job, unattended: `make demo`.

Starts the server on free ports with a data directory of its own; sends a good, a badly signed, a duplicate and an
uninteresting delivery; checks each answer and that the action ran exactly as often as it must; then sends one more,
kills the server with SIGKILL the moment its answer is there, starts it again and shows that the action ran. Prints what
was expected and what happened; exit status 0 only if all agree.

  demo.py --grapnel FILE
"""
import argparse
import os
import shutil
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from apikit import Api     # noqa: E402
from harness import (Context, Failure, Marker, TOKEN, delivery_id, payload, plain_hook, wait_until)     # noqa: E402

rows = []


def row(step, expected, happened):
    rows.append((step, str(expected), str(happened), "yes" if expected == happened else "NO"))


def outcome(answer):
    """An answer in a word: status, decision (what stands behind a semicolon is detail), whether it has a sequence."""
    decision = (answer.decision or "").partition(";")[0]
    return "%d%s%s" % (answer.status, " " + decision if decision else "", " #" if answer.sequence is not None else "")


def settled(marker, wanted):
    """How often the action ran, after it had the time to run once too often."""
    try:
        wait_until(lambda: len(marker.runs()) >= wanted, 10, "")
    except Failure:
        pass
    time.sleep(0.5)
    return len(marker.runs())


def demonstrate(context):
    marker = Marker(context.folder)
    server = context.server(plain_hook(events=["ping", "push"], actions=marker.action + "\n  - log: {}"),
                            flags=["--allow-exec"])
    row("the server starts", "ready", "ready" if server.is_ready() else "not ready")

    api = Api(server)
    first = delivery_id()
    good = server.push(delivery=first)
    row("a good delivery", "200 accepted #", outcome(good))
    row("a badly signed one", "401", outcome(server.push(token="not-the-secret")))
    row("an unsigned one", "401", outcome(server.post("/hooks/team-a/webapp", payload("github-push.json"), [
        ("Content-Type", "application/json"), ("X-GitHub-Event", "push"), ("X-GitHub-Delivery", delivery_id())])))
    row("the good one again", "200 duplicate", outcome(server.push(delivery=first)).replace(" #", ""))
    row("an event that is not listed", "200 ignored", outcome(server.push(event="issues")).replace(" #", ""))
    row("a path that leads nowhere", "404", outcome(server.push(path="/hooks/team-a/absent")))
    row("runs of the action so far", 1, settled(marker, 1))
    # Only what the journal knows to be done is not done again after the kill below.
    wait_until(lambda: api.get("/deliveries/%d" % good.sequence)[1]["outcome"] == "done", 10, "the outcome in the journal")
    row("runs for the good delivery", 1, marker.count(first))
    row("lines of the log action", 1, sum(first in line for line in server.log_text().splitlines()))

    last = delivery_id()
    answer = server.push(delivery=last)
    server.kill()
    row("one more, then SIGKILL at once", "200 accepted #", outcome(answer))
    before = marker.count(last)
    server.start()
    row("the server starts again", "ready", "ready" if server.is_ready() else "not ready")
    try:
        wait_until(lambda: marker.count(last), 10, "")
    except Failure:
        pass
    # The kill may have come between the run and the note that it was done: then it runs again, by design.
    row("its action ran", "yes", "yes" if marker.count(last) >= 1 else "no")
    row("the first one's did not run again", 1, marker.count(first))
    row("the killed one again", "200 duplicate", outcome(server.push(delivery=last)).replace(" #", ""))
    server.stop()
    row("SIGTERM", "exit 0", "exit 0")
    return "before the kill" if before else "after the restart"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grapnel", required=True, metavar="FILE")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="grapnel-demo-")
    context = Context(os.path.abspath(options.grapnel), folder)
    problem, when = None, None
    try:
        when = demonstrate(context)
        context.finish()
    except Failure as failure:
        problem = str(failure)
    finally:
        context.abandon()
        for server in context.servers:
            if problem and "    | " not in problem:
                problem += "\n" + server.tail()
        shutil.rmtree(folder, ignore_errors=True)
    widths = [max(len(r[i]) for r in rows + [("step", "expected", "happened", "agree")]) for i in range(4)]
    line = "  ".join("%%-%ds" % w for w in widths)
    print(line % ("step", "expected", "happened", "agree"))
    print(line % tuple("-" * w for w in widths))
    for r in rows:
        print(line % r)
    if when:
        print("(# = the answer names the delivery's sequence; the last action ran %s)" % when)
    if problem:
        print("stopped: " + problem)
    agree = problem is None and all(r[3] == "yes" for r in rows)
    print("demo: %s" % ("all agree" if agree else "NOT as expected"))
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
