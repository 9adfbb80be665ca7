#!/usr/bin/env python3
"""A storm on one namespace's route, while another namespace's deliveries go to their triggers.

100,000 deliveries arrive at a Hook of team-a, whose http action is called for each of them, faster than that can be done.
Meanwhile team-b sends one delivery every 50 ms. Printed is how long those take from the first byte sent to the call of their
own trigger, in the storm and while its backlog is worked off. Fails when one takes longer than 1 s, or is missing.

With --down nothing listens at the storm's target, so that all of its deliveries (then 400,000) stay owed, more than
--max-queued-deliveries; after the storm the server is killed and started on what it owes, and team-b goes on. Printed is
the server's resident memory as well.

  storm.py [--down] [--deliveries 100000] [--rate 10000] [--grapnel FILE] [--server-flag FLAG]...
"""
import argparse
import json
import os
import statistics
import sys
import threading
import time

import scenario
from harness import Sink, TOKEN, free_port, github, hook, request, secret, wait_until

sys.path.append(os.path.join(scenario.ROOT, "loadtest"))
from crashkit.receiver import Receiver          # noqa: E402

DELAY_SECONDS_MAX = 1.0
PAUSE_SECONDS = 0.05
AFTERMATH_SECONDS = 5


class Neighbour(threading.Thread):
    """team-b: a delivery, a pause, and so on."""

    def __init__(self, server, name="neighbour"):
        super().__init__(daemon=True)
        self.server, self.name, self.sent, self.refused, self.ended = server, name, {}, 0, threading.Event()

    def run(self):
        with self.server.connect(30) as connection:
            while not self.ended.wait(PAUSE_SECONDS):
                name = "%s-%d" % (self.name, len(self.sent))
                body = json.dumps({"ref": "refs/heads/main", "marker": name}).encode()
                self.sent[name] = time.monotonic()
                answer = connection.exchange(request("/hooks/team-b/calm", body, github(body)))
                if answer.status != 200:
                    self.refused += 1
                    del self.sent[name]

    def end(self, calm):
        """Waits for all triggers; gives how long each took."""
        self.ended.set()
        self.join()
        wait_until(lambda: self.sent.keys() <= calm.at.keys(), 30, "a trigger for each delivery of team-b")
        return {name: calm.at[name] - at for name, at in self.sent.items()}


class Calls(Sink):
    """The trigger of team-b: when each delivery came to it."""

    def __init__(self):
        self.at, self.noted = {}, 0
        super().__init__()
        calls, handler = self, self.httpd.RequestHandlerClass
        inner = handler.do_POST

        def do_POST(request):
            arrived = time.monotonic()
            inner(request)
            with calls.lock:
                # Others may have come in between: whoever is here first notes all.
                for _, body, _ in calls.requests[calls.noted:]:
                    calls.at.setdefault(json.loads(body)["marker"], arrived)
                calls.noted = len(calls.requests)
        handler.do_POST = do_POST


def manifests(storm_port, calm_url):
    action = lambda url: "[{http: {url: \"%s\", timeout: 10s}}]" % url
    return {"secrets.yaml": secret("webhook-token", TOKEN) + "---\n" + secret("webhook-token", TOKEN, "team-b"),
            "hooks.yaml": hook("webapp", actions=action("http://127.0.0.1:%d/" % storm_port)) + "---\n"
            + hook("calm", actions=action(calm_url), namespace="team-b")}


def report(title, delays):
    print("%-34s %6d deliveries  min %7.1f  median %7.1f  max %7.1f ms" % (
        title, len(delays), 1e3 * min(delays), 1e3 * statistics.median(delays), 1e3 * max(delays)), flush=True)


def show_state(server, title):
    figures = server.metrics()
    row = {"resident_mib": figures["grapnel_process_resident_memory_bytes"] / 2**20,
           "owed": figures["grapnel_journal_owed_deliveries"], "held": figures["grapnel_trigger_owed_deliveries"],
           "spilled": figures["grapnel_trigger_spilled_deliveries"]}
    print("%-34s resident %6.0f MiB  owed %6d  held %6d  in the journal alone %6d" % (
        title, row["resident_mib"], row["owed"], row["held"], row["spilled"]), flush=True)
    return row


def restart(server):
    """SIGKILL, and how long the server takes until it is ready again."""
    server.kill()
    began = time.monotonic()
    server.start(seconds=120)
    print("ready again after %.1f s" % (time.monotonic() - began), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    scenario.arguments(parser)
    parser.add_argument("--down", action="store_true")
    parser.add_argument("--deliveries", type=int)
    parser.add_argument("--rate", type=int, default=10_000)
    options = parser.parse_args()
    options.deliveries = options.deliveries or (400_000 if options.down else 100_000)
    scenario.describe(options)
    storm, calm, states = None if options.down else Receiver(), Calls(), {}
    flags = ["--journal-max-bytes", "2GiB"]
    try:
        storm_port = storm.port if storm else free_port()
        with scenario.Scenario(options, flags=flags, manifests=manifests(storm_port, calm.url)) as run:
            states["before"] = show_state(run.server, "before")
            neighbour = Neighbour(run.server)
            neighbour.start()
            time.sleep(2)
            began = time.monotonic()
            row = run.load("--size", 1024, "--rate", options.rate, "--duration", options.deliveries / options.rate,
                           "--warm-up", 0, "--sign", "once")
            scenario.show("the storm", row)
            ended = time.monotonic()
            time.sleep(AFTERMATH_SECONDS)
            states["after the storm"] = show_state(run.server, "after the storm")
            delays = neighbour.end(calm)
            at = dict(neighbour.sent)
            parts = {"before": [d for n, d in delays.items() if at[n] < began],
                     "in the storm": [d for n, d in delays.items() if began <= at[n] < ended],
                     "while its backlog is worked off": [d for n, d in delays.items() if at[n] >= ended]}
            refused = neighbour.refused
            if options.down:
                restart(run.server)
                neighbour = Neighbour(run.server, "later")
                neighbour.start()
                time.sleep(AFTERMATH_SECONDS)
                states["after a restart"] = show_state(run.server, "after a restart")
                parts["after a restart"] = list(neighbour.end(calm).values())
                refused += neighbour.refused
    finally:
        if storm:
            storm.stop()
        calm.stop()
    for title, part in parts.items():
        report(title, part)
    if options.json:
        with open(options.json, "w") as f:
            json.dump(dict({k: {"min": min(v), "median": statistics.median(v), "max": max(v)} for k, v in parts.items()},
                           storm=row, states=states), f, indent=1)
    slow, stormed = max(map(max, parts.values())), sum(n for s, n in row["statuses"].items() if s.startswith("2"))
    problems = []
    if slow > DELAY_SECONDS_MAX:
        problems.append("a delivery of team-b took %.2f s to its trigger, allowed are %.1f s" % (slow, DELAY_SECONDS_MAX))
    if refused:
        problems.append("%d deliveries of team-b were refused" % refused)
    if stormed < 0.99 * options.deliveries or not row["counts"]:
        problems.append("the storm was %d deliveries of %d" % (stormed, options.deliveries))
    for problem in problems:
        print("NOT: " + problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
