"""Duplicates: the same delivery id on the same route is answered 2xx and acted upon once."""
import threading
import time

from apikit import Api
from harness import (TOKEN, Marker, delivery_id, expect, expect_that, github, hook, padded_push, payload, plain_hook,
                     request, secret, sign, wait_until)
from registry import test

PATH = "/hooks/team-a/webapp"


@test("the same delivery id is a duplicate on its route only, and only with the same body")
def duplicates(context):
    marker = Marker(context.folder)
    server = context.server({"secret.yaml": secret("webhook-token", TOKEN),
                             "hooks.yaml": hook("webapp", actions=marker.action) + "---\n"
                             + hook("second", actions=marker.action)}, flags=["--allow-exec"])
    one = delivery_id()
    first = server.push(delivery=one)
    expect((first.status, first.decision), (200, "accepted"), "the first")
    for i in range(3):
        again = server.push(delivery=one)
        expect((again.status, again.decision), (200, "duplicate"), "the same again")
    expect(server.push(delivery=one, path="/hooks/team-a/second").decision, "accepted", "on another route")
    expect(server.push(delivery=one, body=padded_push(2000)).decision, "accepted", "with another body")
    expect(server.push(delivery=delivery_id()).decision, "accepted", "another id")
    wait_until(lambda: len(marker.runs()) >= 4, 10, "four runs")
    time.sleep(0.5)
    expect(len(marker.runs()), 4, "runs in all")
    expect(marker.count(one), 3, "runs for the repeated id (two routes, two bodies)")


@test("without a delivery id nothing is a duplicate")
def no_id(context):
    server = context.server(plain_hook(type="hmac"))
    body = b'{"a":1}'
    statuses = []
    for value in (sign(body, TOKEN), "sha256=" + sign(body, TOKEN)):
        answers = [server.post(PATH, body, [("Content-Type", "application/json"), ("X-Signature", value)])
                   for _ in range(3)]
        statuses += [(a.status, a.decision) for a in answers if a.status == 200]
    expect(statuses, [(200, "accepted")] * 3, "three equal deliveries without an id")


@test("an ignored delivery is ignored again, not called a duplicate")
def ignored_again(context):
    server = context.server(plain_hook(events=["push"]))
    one = delivery_id()
    for _ in range(2):
        decision = server.push(delivery=one, event="issues").decision or ""
        expect_that(decision.startswith("ignored"), "decision: %r" % decision)
    expect(server.push(delivery=one, event="push").decision, "accepted", "the same id, now as push")


@test("a badly signed delivery does not use up its id")
def bad_first(context):
    server = context.server(plain_hook())
    one = delivery_id()
    expect(server.push(delivery=one, token="wrong").status, 401, "badly signed")
    expect(server.push(delivery=one).decision, "accepted", "well signed")
    expect(server.push(delivery=one).decision, "duplicate", "again")
    expect(server.push(delivery=one, token="wrong").status, 401, "badly signed again")


@test("duplicates are known after a restart and after SIGKILL")
def across_restarts(context):
    for mode in ("stop", "kill"):
        marker = Marker(context.folder)
        server = context.server(plain_hook(actions=marker.action), flags=["--allow-exec"])
        ids = [delivery_id() for _ in range(20)]
        before = len(marker.runs())
        sequences = []
        for one in ids:
            answer = server.push(delivery=one)
            expect(answer.decision, "accepted", "before " + mode)
            sequences.append(answer.sequence)
        wait_until(lambda: len(marker.runs()) >= before + 20, 20, "20 runs")
        # Outcomes ride with the next group, or within a second.
        api = Api(server)
        wait_until(lambda: all(api.get("/deliveries/%d" % s)[1]["outcome"] == "done" for s in sequences), 20,
                   "the outcomes are in the journal")
        getattr(server, mode)()
        server.start()
        for one in ids:
            expect(server.push(delivery=one).decision, "duplicate", "after " + mode)
        time.sleep(0.5)
        expect(len(marker.runs()), before + 20, "runs after %s" % mode)


@test("of many equal deliveries at the same moment exactly one is accepted")
def race(context):
    for loops in (1, 2):
        server = context.server(plain_hook(), loops=loops)
        body = payload("github-push.json")
        for _ in range(10):
            one = delivery_id()
            connections = [server.connect() for _ in range(16)]
            data = request(PATH, body, github(body, delivery=one))
            for connection in connections:
                connection.send(data[:-1])
            threads = [threading.Thread(target=c.send, args=(data[-1:],)) for c in connections]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            answers = [c.answer() for c in connections]
            expect({a.status for a in answers}, {200}, "statuses")
            expect(sorted(a.decision for a in answers), ["accepted"] + ["duplicate"] * 15,
                   "decisions with %d loops" % loops)
            for connection in connections:
                connection.close()
