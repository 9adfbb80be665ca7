#!/usr/bin/env python3
"""A storm on one namespace's route, while another namespace's deliveries go to their triggers.

100,000 deliveries arrive at a Hook of team-a, whose http action is called for each of them, faster than that can be done.
Meanwhile team-b sends one delivery every 50 ms. Printed is how long those take from the first byte sent to the call of their
own trigger, in the storm and while its backlog is worked off. Fails when one takes longer than 1 s, or is missing.

  storm.py [--deliveries 100000] [--rate 10000] [--grapnel FILE] [--server-flag FLAG]...
"""
import argparse
import json
import os
import statistics
import sys
import threading
import time

import scenario
from harness import Sink, TOKEN, github, hook, request, secret, wait_until

sys.path.append(os.path.join(scenario.ROOT, "loadtest"))
from crashkit.receiver import Receiver          # noqa: E402

DELAY_SECONDS_MAX = 1.0
PAUSE_SECONDS = 0.05
AFTERMATH_SECONDS = 5


class Neighbour(threading.Thread):
    """team-b: a delivery, a pause, and so on."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.sent, self.refused, self.ended = server, {}, 0, threading.Event()

    def run(self):
        with self.server.connect(30) as connection:
            while not self.ended.wait(PAUSE_SECONDS):
                name = "neighbour-%d" % len(self.sent)
                body = json.dumps({"ref": "refs/heads/main", "marker": name}).encode()
                self.sent[name] = time.monotonic()
                answer = connection.exchange(request("/hooks/team-b/calm", body, github(body)))
                self.refused += answer.status != 200


class Calls(Sink):
    """The trigger of team-b: when each delivery came to it."""

    def __init__(self):
        self.at = {}
        super().__init__()
        calls, handler = self, self.httpd.RequestHandlerClass
        inner = handler.do_POST

        def do_POST(request):
            arrived = time.monotonic()
            inner(request)
            with calls.lock:
                name = json.loads(calls.requests[-1][1])["marker"]
                calls.at.setdefault(name, arrived)
        handler.do_POST = do_POST


def manifests(storm_port, calm_url):
    action = lambda url: "[{http: {url: \"%s\", timeout: 10s}}]" % url
    return {"secrets.yaml": secret("webhook-token", TOKEN) + "---\n" + secret("webhook-token", TOKEN, "team-b"),
            "hooks.yaml": hook("webapp", actions=action("http://127.0.0.1:%d/" % storm_port)) + "---\n"
            + hook("calm", actions=action(calm_url), namespace="team-b")}


def report(title, delays):
    print("%-34s %6d deliveries  min %7.1f  median %7.1f  max %7.1f ms" % (
        title, len(delays), 1e3 * min(delays), 1e3 * statistics.median(delays), 1e3 * max(delays)), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    scenario.arguments(parser)
    parser.add_argument("--deliveries", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=10_000)
    options = parser.parse_args()
    scenario.describe(options)
    storm, calm = Receiver(), Calls()
    flags = ["--journal-max-bytes", "2GiB"]
    try:
        with scenario.Scenario(options, flags=flags, manifests=manifests(storm.port, calm.url)) as run:
            neighbour = Neighbour(run.server)
            neighbour.start()
            time.sleep(2)
            began = time.monotonic()
            row = run.load("--size", 1024, "--rate", options.rate, "--duration", options.deliveries / options.rate,
                           "--warm-up", 0, "--sign", "once")
            scenario.show("the storm", row)
            ended = time.monotonic()
            owed = run.server.metric("grapnel_journal_owed_deliveries")
            time.sleep(AFTERMATH_SECONDS)
            neighbour.ended.set()
            neighbour.join()
            wait_until(lambda: neighbour.sent.keys() <= calm.at.keys(), 30, "a trigger for each delivery of team-b")
            print("owed when the storm ended: %d" % owed)
    finally:
        storm.stop()
        calm.stop()
    delays = {name: calm.at[name] - at for name, at in neighbour.sent.items()}
    parts = {"before": [d for n, d in delays.items() if neighbour.sent[n] < began],
             "in the storm": [d for n, d in delays.items() if began <= neighbour.sent[n] < ended],
             "while its backlog is worked off": [d for n, d in delays.items() if neighbour.sent[n] >= ended]}
    for title, part in parts.items():
        report(title, part)
    if options.json:
        with open(options.json, "w") as f:
            json.dump(dict({k: {"min": min(v), "median": statistics.median(v), "max": max(v)} for k, v in parts.items()},
                           storm=row), f, indent=1)
    slow, stormed = max(delays.values()), sum(n for s, n in row["statuses"].items() if s.startswith("2"))
    problems = []
    if slow > DELAY_SECONDS_MAX:
        problems.append("a delivery of team-b took %.2f s to its trigger, allowed are %.1f s" % (slow, DELAY_SECONDS_MAX))
    if neighbour.refused:
        problems.append("%d deliveries of team-b were refused" % neighbour.refused)
    if stormed < 0.99 * options.deliveries or not row["counts"]:
        problems.append("the storm was %d deliveries of %d" % (stormed, options.deliveries))
    for problem in problems:
        print("NOT: " + problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
