"""A large cluster: how soon the server is ready, what it needs, and what a storm of changes costs those who deliver.

The fake API server and those who deliver are processes of their own (clusterload.py): in one with the test, Python's lock would be
most of what is measured. An API server is another machine, so here it gets another core than the server, with those who deliver, who
go first there. What is left of it is measured by a second storm, before a server that does not watch while a program of few lines
reads the same watches: what that pays is the machine's.
"""
import contextlib
import os
import re
import time

from clusterload import Part, name, token
from clustercase import ClusterServer, flux_path, receiver, secret
from harness import Skip, expect, expect_that, wait_until
from registry import test

CHANGES, ROUNDS = 10_000, 5
READY_SECONDS_MAX = 5
RESIDENT_MAX = 150_000_000
DELIVERED = 7                           # the Receiver whose sender is watched


def memory(server, field="VmRSS"):
    """Bytes."""
    with open("/proc/%d/status" % server.pid) as f:
        return int(re.search(field + r":\s+(\d+) kB", f.read()).group(1)) << 10


def halves():
    """The cores of the server, and those of all others; None and None on a machine of one."""
    cores = sorted(os.sched_getaffinity(0))
    return (set(cores[:-1]), {cores[-1]}) if len(cores) > 1 else (None, None)


@contextlib.contextmanager
def on(cores):
    """What is started in here runs on these cores."""
    before = os.sched_getaffinity(0)
    if cores:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def metadata(server):
    return "resident %.0f MiB, at most %.0f MiB" % (memory(server) / (1 << 20), memory(server, "VmHWM") / (1 << 20))


def spent(server):
    """Seconds of processor by kind of thread."""
    kinds = {}
    for tid, thread in server.threads().items():
        try:
            with open("/proc/%d/task/%d/stat" % (server.pid, tid)) as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        kind = re.sub(r"[-#]?\d+$", "", thread)
        kinds[kind] = kinds.get(kind, 0) + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return kinds


def since(server, before):
    now = spent(server)
    parts = {kind: now[kind] - before.get(kind, 0) for kind in now}
    return "%.2f s of processor (%s)" % (sum(parts.values()), ", ".join(
        "%s %.2f" % (kind, parts[kind]) for kind in sorted(parts, key=parts.get, reverse=True) if parts[kind] >= 0.01))


class Times:
    """What deliveries took, in milliseconds."""

    def __init__(self):
        self.all = []

    def add(self, sender, start=0, end=float("inf")):
        said = sender.ask({})
        expect(said["trouble"], [], "the connection of the deliveries")
        expect({status for _, _, status in said["times"]} - {200}, set(), "answers")
        self.all += [1e3 * seconds for began, seconds, _ in said["times"] if start <= began + seconds and began <= end]

    def quantile(self, share):
        values = sorted(self.all)
        return values[min(len(values) - 1, int(share * len(values)))]

    def report(self, title):
        print("     scale: time to answer %s: p50 %.2f ms, p99 %.2f ms, at most %.2f ms of %d" % (
            title, self.quantile(.5), self.quantile(.99), self.quantile(1), len(self.all)), flush=True)


def calm(sender, count=1_000):
    times = Times()
    sender.ask({})
    while len(times.all) < count:
        time.sleep(0.2)
        times.add(sender)
    return times


@test("cluster scale: 5,000 Receivers, 100 Secrets, 10,000 repositories: ready soon, small, and calm in a storm", alone=True)
def scale(context):
    if not context.long:
        raise Skip("takes a minute or two: run with --long")
    here, there = halves()
    kube = Part(context, "kube", context.folder, nice=10, cores=there)
    path = flux_path(name(DELIVERED), token(DELIVERED))

    def server(folder, *flags, manifests=None):
        server = ClusterServer(context.grapnel, os.path.join(context.folder, folder), manifests, list(flags) + context.flags)
        context.servers.append(server)
        return server

    watching = server("watching", "--kubernetes", "kubeconfig", "--kubeconfig", kube.first["kubeconfig"],
                      "--receiver-status", "own", "--secret-access", "all", "--log-level", "info")
    began = time.monotonic()
    with on(here):
        watching.start(seconds=120)
    ready = time.monotonic() - began
    print("     scale: ready after %.1f s; %s; %s" % (ready, metadata(watching), since(watching, {})), flush=True)
    for i in (0, 2_500, 4_999):
        expect(watching.probe(flux_path(name(i), token(i))), 400, "Receiver %d" % i)
    wait_until(lambda: "this replica writes status" in watching.log_text(), 30, "it leads")
    resident = memory(watching)

    sender = Part(context, "deliver", watching.port, path, token(DELIVERED), cores=there)
    quiet = calm(sender)
    quiet.report("in the calm")
    stormy = Times()
    added = 5_000
    for round in range(ROUNDS):
        before = spent(watching)
        sender.ask({})
        made = kube.ask({"do": "storm", "count": CHANGES, "round": round})
        added += 1
        kube.ask({"do": "add", "index": added})
        last = flux_path(name(added), token(added))
        wait_until(lambda: watching.probe(last) == 400, 60, "the last change of the storm is in force")
        end = time.monotonic()
        stormy.add(sender, made["began"], end)
        print("     scale: %d changes in %.1f s, the last in force %.2f s later; %s; %s" % (
            CHANGES, made["seconds"], end - made["began"] - made["seconds"], metadata(watching), since(watching, before)),
            flush=True)
        resident = max(resident, memory(watching))
        if round + 1 < ROUNDS:
            time.sleep(1)
    stormy.report("in the storm")
    began = time.monotonic()
    wait_until(lambda: kube.ask({"do": "behind"})["behind"] == 0, 300, "the status of every Receiver is right", every=0.5)
    print("     scale: status of all Receivers right %.1f s later; %s" % (time.monotonic() - began, metadata(watching)),
          flush=True)
    before = spent(watching)
    made = kube.ask({"do": "heartbeats", "count": CHANGES, "round": 1})
    time.sleep(3)
    print("     scale: %d changes of status alone in %.1f s: %s; %s" % (
        CHANGES, made["seconds"], since(watching, before), metadata(watching)), flush=True)
    kube.ask({"do": "remove", "index": 4_000})
    gone = flux_path(name(4_000), token(4_000))
    wait_until(lambda: watching.probe(gone) == 404, 3, "a Receiver that is deleted has no route")
    sender.stop()
    wait_until(lambda: watching.metric("grapnel_trigger_owed_deliveries") == 0, 60, "every delivery is acted on")
    time.sleep(2)
    settled = memory(watching)
    print("     scale: settled; %s" % metadata(watching), flush=True)
    watching.stop()

    # The same again with a server that does not watch.
    plain = server("plain", "--log-level", "info", manifests={"all.yaml": manifests()})
    with on(here):
        plain.start()
    sink = Part(context, "sink", kube.first["kubeconfig"], cores=here)
    sender = Part(context, "deliver", plain.port, path, token(DELIVERED), cores=there)
    wait_until(lambda: kube.ask({"do": "behind"})["watches"] >= 2, 20, "the sink watches")
    calm(sender).report("by a server that does not watch, in the calm")
    machine = Times()
    for round in range(ROUNDS):
        sender.ask({})
        before = sink.ask({})["bytes"]
        made = kube.ask({"do": "storm", "count": CHANGES, "round": ROUNDS + round})
        seen = [before, time.monotonic()]

        def quiet_again():
            now = sink.ask({})["bytes"]
            if now != seen[0]:
                seen[:] = [now, time.monotonic()]
            return now > before and time.monotonic() - seen[1] > 0.3
        wait_until(quiet_again, 60, "the sink has read the storm")
        machine.add(sender, made["began"], seen[1])
        time.sleep(1)
    machine.report("by a server that does not watch, in the storm")
    print("     scale: p99 in the storm %.1f times that in the calm, %.1f times that of a server that does not watch" % (
        stormy.quantile(.99) / quiet.quantile(.99), stormy.quantile(.99) / machine.quantile(.99)), flush=True)

    expect_that(stormy.quantile(.99) < 1_000, "a delivery took %.0f ms in the storm" % stormy.quantile(.99))
    if "/release/" in context.grapnel:
        expect_that(ready < READY_SECONDS_MAX, "ready after %.1f s" % ready)
        expect_that(resident < RESIDENT_MAX, "resident: %d MB" % (resident // 1_000_000))
        expect_that(settled < RESIDENT_MAX, "resident after all: %d MB" % (settled // 1_000_000))


def manifests():
    """The one Receiver that is delivered to."""
    import json
    objects = [secret("token-%d" % DELIVERED, token(DELIVERED)),
               receiver(name(DELIVERED), token="token-%d" % DELIVERED, resources=[
                   {"kind": "GitRepository", "name": name(DELIVERED)}])]
    return "\n---\n".join(json.dumps(o) for o in objects)
