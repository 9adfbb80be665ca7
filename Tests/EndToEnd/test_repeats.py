"""Builds and runs whose answer is lost: an attempt is repeated, the thing that it makes is made once."""
import threading
import time

from fakekube import cluster, settled
from harness import PATIENCE, delivery_id, expect, expect_soon, expect_that, padded_push, plain_hook, wait_until
from registry import test

QUICK = "retry: {attempts: 10, backoff: 100ms, maxBackoff: 500ms}"
LABEL = "grapnel.dev/delivery"
CONFIG = {"apiVersion": "build.openshift.io/v1", "kind": "BuildConfig",
          "metadata": {"name": "orders", "namespace": "team-a"}, "spec": {}}
# action, the resource that is posted to, what is made
CASES = [("openshiftBuild: {name: orders}", "buildconfigs", ("build.openshift.io", "builds")),
         ("s2iRun: {builderName: shop}", "s2iruns", ("devops.kubesphere.io", "s2iruns"))]


def made(kube, key):
    with kube.changed:
        return list(kube.objects.get(key, {}).values())


def posts(kube, resource):
    return [w for w in kube.writes_since() if w["resource"] == resource and w["verb"] == "create"]


def lookups(kube):
    with kube.changed:
        return [path for _, path in kube.reads if path.endswith(("/builds", "/s2iruns"))]


def start(context, action):
    kube = cluster(context, [CONFIG])
    server = context.server(plain_hook(actions="\n  - " + action, more=QUICK), flags=kube.flags)
    return kube, server


@test("without trouble a build and a run are made by one call each, without looking first")
def once(context):
    for case in CASES:
        once_one(context, *case)


def once_one(context, action, resource, key):
    kube, server = start(context, action)
    answers = [server.push(padded_push(1000, "%d" % i)) for i in range(5)]
    settled(server, answers)
    expect(len(posts(kube, resource)), 5, "calls")
    objects = made(kube, key)
    expect(len(objects), 5, "objects")
    expect(len({o["metadata"]["labels"][LABEL] for o in objects}), 5, "labels, one for each delivery")
    expect(lookups(kube), [], "look-ups")


@test("a build or run whose answer was lost is asked for again and made once")
def lost(context):
    for case in CASES:
        lost_one(context, *case)


def lost_one(context, action, resource, key):
    kube, server = start(context, action)
    kube.faults = [{"verb": "create", "resource": resource, "times": 2, "after": lambda: None}]
    answer = server.push(padded_push(1000, "lost"))
    settled(server, [answer])
    expect(len(made(kube, key)), 1, "objects after two lost answers")
    expect_soon(lambda: server.metric("grapnel_trigger_retries_total") >= 1, True, "the attempt was repeated")
    expect_soon(lambda: server.metrics()['grapnel_trigger_outcomes_total{action="%s",outcome="done"}' % (
        "openshift-build" if resource == "buildconfigs" else "s2i-run")], 1, "done")
    # The next delivery of the same commit is another: it builds.
    settled(server, [server.push(padded_push(1000, "lost"), delivery=delivery_id())])
    expect(len(made(kube, key)), 2, "objects after the next delivery")


@test("a build or run is made once although the server is killed before it knows")
def killed(context):
    for case in CASES:
        killed_one(context, *case)


def killed_one(context, action, resource, key):
    """SIGKILL between the API server's work and the outcome."""
    kube, server = start(context, action)
    reached, go_on = threading.Event(), threading.Event()

    def after():
        reached.set()
        go_on.wait(PATIENCE)
    kube.faults = [{"verb": "create", "resource": resource, "times": 1, "after": after}]
    answer = server.push(padded_push(1000, "killed"))
    expect_that(reached.wait(PATIENCE), "the call never came")
    server.kill()
    go_on.set()
    expect(len(made(kube, key)), 1, "objects when the server was killed")
    server.start()
    settled(server, [answer])
    expect(len(made(kube, key)), 1, "objects after the restart")


@test("without the right to look for builds or runs none is lost")
def unreadable(context):
    for case in CASES:
        unreadable_one(context, *case)


def unreadable_one(context, action, resource, key):
    """A look-up that is forbidden loses no build."""
    kube, server = start(context, action)
    kube.faults = [{"verb": "create", "resource": resource, "times": 1, "after": lambda: None},
                   {"verb": "list", "resource": key[1], "status": 403, "times": -1}]
    settled(server, [server.push(padded_push(1000, "forbidden"))])
    expect(len(made(kube, key)), 2, "objects")


@test("an API server that is away leaves no more in memory than is set; the journal keeps the rest, and all of it is done")
def bounded(context):
    kube = cluster(context, [CONFIG])
    server = context.server(plain_hook(actions="\n  - openshiftBuild: {name: orders}", more=QUICK),
                            flags=kube.flags + ["--max-queued-deliveries", "100"])
    kube.down()
    answers = [server.push(padded_push(500, "%d" % i)) for i in range(400)]
    expect({a.status for a in answers}, {200}, "answers")
    # A build counts for more than one: what is to be said for it waits in memory too.
    wait_until(lambda: server.metric("grapnel_trigger_owed_deliveries") >= 30, 20, "many that wait")
    for _ in range(20):
        expect_that(server.metric("grapnel_trigger_owed_deliveries") <= 100, "more in memory than the bound")
        time.sleep(0.02)
    expect(server.metric("grapnel_trigger_capacity_deliveries"), 100, "capacity")
    kube.up()
    settled(server, answers, 60)
    expect(len(made(kube, ("build.openshift.io", "builds"))), 400, "builds")
