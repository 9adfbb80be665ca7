"""Actions: what a delivery causes, how often, and what happens when that fails for a while."""
import json
import os
import sys
import time

from harness import (ROOT, TOKEN, Marker, Skip, delivery_id, expect, expect_in, expect_that, hook, padded_push,
                     payload, plain_hook, secret, wait_until)
from registry import test

QUICK = "retry: {attempts: 10, backoff: 100ms, maxBackoff: 500ms}"
CONFORMANCE = os.environ.get("GRAPNEL_CONFORMANCE", os.path.join(ROOT, "..", "shared", "conformance"))


@test("an http action posts the body, and goes on until its receiver is up")
def http_action(context):
    sink = context.sink()
    server = context.server(plain_hook(actions='[{http: {url: "%s", timeout: 60s}}]' % sink.url, more=QUICK))
    body = padded_push(3000, "first")
    one = delivery_id()
    expect(server.push(body, delivery=one).decision, "accepted", "the delivery")
    wait_until(lambda: sink.seen(), 10, "the call")
    fields, came, _ = sink.seen()[0]
    expect(came, body, "the body that was posted")
    expect_that(fields.get("webhook-id"), "no webhook-id in %r" % fields)
    for name, value in fields.items():
        expect_that(TOKEN not in value, "the secret is in field %s of the call" % name)

    sink.down()
    bodies = [padded_push(3000, "while down %d" % i) for i in range(5)]
    for body in bodies:
        expect(server.push(body).status, 200, "the receiver being down")
    time.sleep(1.5)
    sink.up()
    wait_until(lambda: {b for _, b, _ in sink.seen()} >= set(bodies), 20, "the calls after the receiver came up")

    sink.status = 503
    body = padded_push(3000, "while failing")
    expect(server.push(body).status, 200, "the receiver failing")
    wait_until(lambda: len([1 for _, b, s in sink.seen() if b == body and s == 503]) >= 3, 20, "three attempts")
    sink.status = 200
    wait_until(lambda: [1 for _, b, s in sink.seen() if b == body and s == 200], 20, "the attempt that succeeds")
    time.sleep(1)
    attempts = [(f["webhook-id"], s) for f, b, s in sink.seen() if b == body]
    expect(len({i for i, _ in attempts}), 1, "webhook-ids of one delivery's attempts")
    expect([s for _, s in attempts].count(200), 1, "successes of one delivery")
    everything = [f["webhook-id"] for f, _, s in sink.seen() if s == 200]
    expect(len(set(everything)), len(everything), "each delivery has a webhook-id of its own")


@test("a call that is refused for good is not repeated, and one that is not answered is")
def http_refusals(context):
    sink = context.sink(status=422)
    server = context.server(plain_hook(actions='[{http: {url: "%s", timeout: 60s}}]' % sink.url, more=QUICK))
    body = padded_push(1000, "refused")
    server.push(body)
    wait_until(lambda: sink.seen(), 10, "the call")
    time.sleep(1.5)
    expect(len(sink.seen()), 1, "calls after a 422")
    sink.status, sink.retry_after = 429, 1
    body = padded_push(1000, "slow down")
    server.push(body)
    wait_until(lambda: len(sink.times) >= 3, 10, "the call, and the next")
    expect([b for _, b, _ in sink.seen()][1:3], [body] * 2, "the calls after that of the refused one")
    between = sink.times[2] - sink.times[1]
    expect_that(between > 0.95, "Retry-After: 1 was not honoured (%.2f s)" % between)
    sink.status, sink.retry_after = 200, None
    wait_until(lambda: [1 for _, b, s in sink.seen() if b == body and s == 200], 10, "the call that succeeds")


@test("http actions are signed as Standard Webhooks when a signing secret is named")
def http_signing(context):
    import base64
    import hashlib
    import hmac
    sink = context.sink()
    key = bytes(range(32))
    signing = "whsec_" + base64.b64encode(key).decode()
    server = context.server({
        **plain_hook(actions='\n  - http: {url: "%s", timeout: 60s, signingSecretRef: {name: signing}}' % sink.url),
        "signing.yaml": secret("signing", signing)}, tokens=[TOKEN, signing])
    body, before = padded_push(2000, "signed"), time.time()
    server.push(body)
    wait_until(lambda: sink.seen(), 10, "the call")
    fields, came, _ = sink.seen()[0]
    content = b".".join([fields["webhook-id"].encode(), fields["webhook-timestamp"].encode(), came])
    wanted = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    expect_that(wanted in fields["webhook-signature"].split(" "), "webhook-signature: %r, expected %r" % (
        fields["webhook-signature"], wanted))
    at = int(fields["webhook-timestamp"])
    expect_that(int(before) <= at <= time.time(), "webhook-timestamp %d, sent after %d" % (at, before))


@test("an exec action gets the delivery as JSON and runs once")
def exec_action(context):
    marker = Marker(context.folder)
    server = context.server(plain_hook(actions=marker.action), flags=["--allow-exec"])
    ids = [delivery_id() for _ in range(10)]
    for one in ids:
        expect(server.push(delivery=one).status, 200, "status")
    wait_until(lambda: len(marker.runs()) >= 10, 20, "ten runs")
    time.sleep(0.5)
    expect([marker.count(one) for one in ids], [1] * 10, "runs for each delivery")
    text = marker.runs()[0]
    environment, _, given = text.partition("\n\n")
    document = json.loads(given)
    expect_that(isinstance(document, dict), "standard input is no JSON object")
    expect_that("GRAPNEL_" in environment, "no key facts in the environment: %r" % environment)
    expect_that(TOKEN not in text, "the secret is given to the command")


@test("a command that fails is run again; one that hangs is ended")
def exec_failures(context):
    folder = context.folder
    script = os.path.join(folder, "flaky.sh")
    with open(script, "w") as f:
        f.write('#!/bin/sh\ncat > /dev/null\necho run >> "%s/count"\n[ $(wc -l < "%s/count") -ge 3 ]\n' % (folder, folder))
    os.chmod(script, 0o755)
    server = context.server(plain_hook(actions='\n  - exec: {command: ["%s"], timeout: 60s}' % script, more=QUICK),
                            flags=["--allow-exec"])
    server.push()
    count = lambda: open(os.path.join(folder, "count")).read().count("run") if os.path.exists(
        os.path.join(folder, "count")) else 0
    wait_until(lambda: count() >= 3, 20, "three runs")
    time.sleep(1.2)
    expect(count(), 3, "runs: two that fail, one that succeeds")

    hanging = os.path.join(folder, "hanging.sh")
    with open(hanging, "w") as f:
        f.write('#!/bin/sh\necho $$ >> "%s/pids"\nexec sleep 600\n' % folder)
    os.chmod(hanging, 0o755)
    server.write("hook2.yaml", hook("hanging", actions='\n  - exec: {command: ["%s"], timeout: 1s}' % hanging,
                                    more="retry: {attempts: 1, backoff: 100ms}"))
    wait_until(lambda: server.push(path="/hooks/team-a/hanging").status == 200, 5, "the second hook")
    pids = lambda: open(os.path.join(folder, "pids")).read().split() if os.path.exists(
        os.path.join(folder, "pids")) else []
    # One that is slow to start may be ended before it says who it is; the next one then does.
    wait_until(lambda: pids() or not server.push(path="/hooks/team-a/hanging"), 10, "the command that hangs", every=1)
    wait_until(lambda: not any(os.path.exists("/proc/" + pid) for pid in pids()), 10, "its end")


@test("exec is refused without --allow-exec, and by name")
def exec_refused(context):
    marker = Marker(context.folder)
    server = context.server({**plain_hook(), "exec.yaml": hook("runs", actions=marker.action)}, start=False)
    server.start(ready=False)
    wait_until(lambda: server.serves("/hooks/team-a/webapp"), 15, "the other route")
    answer = server.push(path="/hooks/team-a/runs")
    expect_in(answer.status, {200, 404, 503}, "the route with exec")
    time.sleep(1)
    expect(marker.runs(), [], "runs")
    expect_that("allow-exec" in server.log_text(), "the log does not name --allow-exec:\n" + server.tail())


@test("a log action writes one line for a delivery, and nothing secret")
def log_action(context):
    server = context.server(plain_hook(actions="[{log: {}}]"))
    ids = [delivery_id() for _ in range(5)]
    for one in ids:
        server.push(delivery=one)
    wait_until(lambda: all(one in server.log_text() for one in ids), 10, "a line for each delivery")
    time.sleep(0.3)
    for one in ids:
        expect(sum(one in line for line in server.log_text().splitlines()), 1, "lines that name " + one)


@test("several actions of one Hook all happen, and one that fails does not hold up the others")
def several_actions(context):
    marker = Marker(context.folder)
    good, bad = context.sink(), context.sink(status=500)
    server = context.server(plain_hook(
        actions='\n  - http: {url: "%s", timeout: 60s}\n  - http: {url: "%s", timeout: 60s}%s\n  - log: {}' % (
            bad.url, good.url, marker.action), more=QUICK), flags=["--allow-exec"])
    one = delivery_id()
    server.push(delivery=one)
    wait_until(lambda: good.seen() and marker.count(one) == 1 and one in server.log_text(), 10, "the three that work")
    wait_until(lambda: len(bad.seen()) >= 2, 10, "attempts of the one that fails")


@test("a storm on one namespace does not delay another's actions")
def fairness(context):
    slow, quick = context.sink(), context.sink()
    marker = "storm"
    slow.answers.clear()            # none of the storm's actions ends before the other namespace's has begun
    server = context.server({
        "a.yaml": secret("webhook-token", TOKEN, "team-a")
        + "---\n" + hook("webapp", actions='[{http: {url: "%s", timeout: 5m}}]' % slow.url, namespace="team-a"),
        "b.yaml": secret("webhook-token", TOKEN, "team-b")
        + "---\n" + hook("webapp", actions='[{http: {url: "%s", timeout: 5m}}]' % quick.url, namespace="team-b")})
    from harness import github, request
    with server.connect() as connection:
        for i in range(2000):
            body = padded_push(600, "%s %d" % (marker, i))
            expect(connection.exchange(request("/hooks/team-a/webapp", body, github(body))).status, 200, "the storm")
    wait_until(lambda: slow.seen(), 10, "the storm's first calls")
    server.push(path="/hooks/team-b/webapp")
    wait_until(lambda: quick.seen(), 10, "the other namespace's call")
    expect_that(len(slow.seen()) < 2000, "all of the storm's actions run at once")
    slow.answers.set()
    wait_until(lambda: len(slow.seen()) >= 2000, 60, "all calls of the storm")


@test("a reconcile action annotates its object, and waits while the API server is away")
def reconcile(context):
    if not os.path.exists(os.path.join(CONFORMANCE, "fakekube.py")):
        raise Skip("the fake API server is not beside this checkout (GRAPNEL_CONFORMANCE names its folder)")
    if CONFORMANCE not in sys.path:
        sys.path.append(CONFORMANCE)
    from fakekube import FakeKube, make_pki
    pki = make_pki(os.path.join(context.folder))
    kube = FakeKube(pki)
    kube.put({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
              "metadata": {"name": "webapp", "namespace": "team-a"},
              "spec": {"url": "https://example.org/webapp", "interval": "1h"}})
    kube.start()
    context.closers.append(kube.stop)
    kubeconfig = os.path.join(context.folder, "kubeconfig")
    with open(kubeconfig, "w") as f:
        json.dump(kube.kubeconfig(), f)
    server = context.server(plain_hook(
        actions="\n  - reconcile: {apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, name: webapp}",
        more=QUICK), flags=["--kubernetes", "kubeconfig", "--kubeconfig", kubeconfig, "--catalog", "manifests"])
    patches = lambda status=200: [w for w in kube.writes_since(0)
                                  if w["resource"] == "gitrepositories" and w["status"] == status]
    expect(server.push().decision, "accepted", "the delivery")
    wait_until(patches, 10, "the patch")
    expect(patches()[0]["verb"], "patch", "verb")
    annotations = patches()[0]["body"]["metadata"]["annotations"]
    expect(list(annotations), ["reconcile.fluxcd.io/requestedAt"], "annotations in the patch")
    time.sleep(0.5)
    expect(len(patches()), 1, "patches for one delivery")

    kube.faults = [{"verb": "patch", "resource": "gitrepositories", "status": 503, "times": 3}]
    expect(server.push().status, 200, "with a failing API server")
    wait_until(lambda: len(patches()) >= 2, 20, "the patch after three failures")
    expect(len(patches(503)), 3, "failed attempts")


@test("deliveries for one target that waits are merged, and the newest is carried out")
def coalescing(context):
    if not os.path.exists(os.path.join(CONFORMANCE, "fakekube.py")):
        raise Skip("the fake API server is not beside this checkout (GRAPNEL_CONFORMANCE names its folder)")
    if CONFORMANCE not in sys.path:
        sys.path.append(CONFORMANCE)
    from fakekube import FakeKube, make_pki
    kube = FakeKube(make_pki(context.folder))
    kube.put({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
              "metadata": {"name": "webapp", "namespace": "team-a"}, "spec": {}})
    kube.faults = [{"verb": "patch", "resource": "gitrepositories", "status": 503, "times": -1}]
    kube.start()
    context.closers.append(kube.stop)
    kubeconfig = os.path.join(context.folder, "kubeconfig")
    with open(kubeconfig, "w") as f:
        json.dump(kube.kubeconfig(), f)
    server = context.server(plain_hook(
        actions="\n  - reconcile: {apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, name: webapp}",
        more="retry: {attempts: 10, backoff: 1s, maxBackoff: 1s}"),
        flags=["--kubernetes", "kubeconfig", "--kubeconfig", kubeconfig, "--catalog", "manifests"])
    for _ in range(50):
        expect(server.push().status, 200, "status")
    done = lambda: [w for w in kube.writes_since(0) if w["resource"] == "gitrepositories" and w["status"] == 200]
    kube.faults = []
    wait_until(done, 20, "a patch that succeeds")
    # One was under way, and one waits for all that came behind it.
    wait_until(lambda: server.metric("grapnel_trigger_owed_deliveries") == 0, 20, "nothing is owed")
    expect_that(1 <= len(done()) <= 2, "%d patches for 50 deliveries while the API server failed" % len(done()))
    merged = server.metrics()['grapnel_trigger_outcomes_total{action="reconcile",outcome="merged"}']
    expect(merged + len(done()), 50, "outcomes")
