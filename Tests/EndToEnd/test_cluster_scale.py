"""A large cluster: how soon the server is ready, what it needs, and what a storm of changes costs those who deliver."""
import copy
import re
import time

from clustercase import FINALIZER, Case, Stream, flux_path, git, receiver, secret
from harness import Skip, expect, expect_that, wait_until
from registry import test

RECEIVERS, SECRETS, REPOSITORIES, CHANGES = 5_000, 100, 10_000, 10_000
RESIDENT_MAX = 150 << 20


def memory(server, field="VmRSS"):
    """Bytes."""
    with open("/proc/%d/status" % server.pid) as f:
        return int(re.search(field + r":\s+(\d+) kB", f.read()).group(1)) << 10


def token(i):
    return "scale-t0ken-%04d-0123456789abcdef" % (i % SECRETS)


def name(i):
    return "webapp-%05d" % i


def one(i, **spec):
    return receiver(name(i), token="token-%d" % (i % SECRETS), resources=[{"kind": "GitRepository", "name": name(i)}], **spec)


def judged(i):
    """As it is after the first start in this cluster."""
    path = flux_path(name(i), token(i))
    o = one(i)
    o["metadata"]["finalizers"] = [FINALIZER]
    o["status"] = {"webhookPath": path, "observedGeneration": 1, "conditions": [
        {"type": "Ready", "status": "True", "reason": "Succeeded", "observedGeneration": 1,
         "message": "Receiver initialized for path: " + path, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
    return o


def metadata(server):
    return "resident %.0f MiB, at most %.0f MiB" % (memory(server) / (1 << 20), memory(server, "VmHWM") / (1 << 20))


@test("cluster scale: 5,000 Receivers, 100 Secrets, 10,000 repositories: ready soon, small, and calm in a storm", alone=True)
def scale(context):
    if not context.long:
        raise Skip("takes a minute or two: run with --long")
    case = Case(context, [secret("token-%d" % i, token(i)) for i in range(SECRETS)])
    kube = case.kube
    for i in range(REPOSITORIES):
        kube.put(git(name(i)))
    for i in range(RECEIVERS):
        kube.put(judged(i))
    began = time.monotonic()
    server = case.server("--secret-access", "all", level="info", start=False)
    server.start(seconds=120)
    print("     scale: ready after %.1f s; %s" % (time.monotonic() - began, metadata(server)), flush=True)
    for i in (0, RECEIVERS // 2, RECEIVERS - 1):
        expect(server.probe(flux_path(name(i), token(i))), 400, "Receiver %d" % i)
    wait_until(lambda: "this replica writes status" in server.log_text(), 10, "it leads")
    resident = memory(server)

    calm = Stream(server, flux_path(name(7), token(7)), token(7))
    wait_until(lambda: len(calm.seconds) >= 300, 60, "300 deliveries in the calm")
    answers = list(calm.stop())
    storm = Stream(server, flux_path(name(7), token(7)), token(7))
    began = time.monotonic()
    for i in range(CHANGES):
        if i % 4:
            o = copy.deepcopy(git(name(i % REPOSITORIES), number=str(i)))
            o["spec"]["url"] += "?%d" % i
            kube.apply(o)
        else:
            kube.apply(one(i // 2 + 1, events=["push"]))
    changed = time.monotonic() - began
    kube.apply(one(RECEIVERS + 1))
    last = flux_path(name(RECEIVERS + 1), token(RECEIVERS + 1))
    wait_until(lambda: server.probe(last) == 400, 60, "the last change of the storm is in force")
    in_force = time.monotonic() - began - changed
    wait_until(lambda: len(storm.seconds) >= 300, 60, "300 deliveries in the storm")
    answers += storm.stop()
    print("     scale: %d changes in %.1f s, the last in force %.1f s later; %s" % (
        CHANGES, changed, in_force, metadata(server)), flush=True)
    for title, stream in (("calm", calm), ("storm", storm)):
        print("     scale: time to answer in the %s: p50 %.2f ms, p99 %.2f ms, at most %.2f ms of %d" % (
            title, stream.quantile(.5), stream.quantile(.99), stream.quantile(1), len(stream.seconds)), flush=True)
    wait_until(lambda: server.metric("grapnel_trigger_owed_deliveries") == 0, 60, "every delivery is acted on")
    behind = lambda: sum((o.get("status") or {}).get("observedGeneration") != o["metadata"]["generation"]
                         for o in kube.all("receivers"))
    began = time.monotonic()
    wait_until(lambda: behind() == 0, 120, "the status of every Receiver is right", every=0.2)
    print("     scale: status of all Receivers right %.1f s later; %s" % (time.monotonic() - began, metadata(server)),
          flush=True)
    expect_that(storm.quantile(.99) < 1_000, "a delivery took %.0f ms in the storm" % storm.quantile(.99))
    if "/release/" in context.grapnel:
        expect_that(resident < RESIDENT_MAX, "resident after the start: %d MiB" % (resident >> 20))
        expect_that(memory(server) < RESIDENT_MAX, "resident after the storm: %d MiB" % (memory(server) >> 20))
