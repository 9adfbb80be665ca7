"""`grapnel uninstall`: takes away what a server wrote into its cluster, and nothing else."""
import json
import os
import threading
import time

import clustercase
from clustercase import FINALIZER, FLUX, LEASE, SOURCE, git, hook, lease, receiver, secret
from harness import expect, expect_that, free_port, wait_until
from registry import test
from watchkube import watched_cluster

KPACK = "kpack.io/v1alpha2"
OURS = ["grapnel.dev/refresh-requested-at", "grapnel.dev/refresh-image"]


def finalized(name, *finalizers, **more):
    o = receiver(name, **more)
    o["metadata"]["finalizers"] = list(finalizers)
    return o


def builder(name="builder"):
    return {"apiVersion": KPACK, "kind": "Builder",
            "metadata": {"name": name, "namespace": "team-a",
                         "annotations": {OURS[0]: "2026-01-01T00:00:00Z", OURS[1]: "r.example/base", "team": "a"}},
            "spec": {"tag": "r.example/b"}}


def uninstall(context, kube, *more, timeout=300):
    return context.command("uninstall", "--kubernetes", "kubeconfig", "--kubeconfig", kube.kubeconfig_path, *more,
                           timeout=timeout)


def ours(kube):
    """What is left of ours."""
    left = [o["metadata"]["name"] for o in kube.all("receivers") if FINALIZER in o["metadata"].get("finalizers", [])]
    for plural in ("builders", "images", "clusterbuilders"):
        left += [o["metadata"]["name"] for o in kube.all(plural)
                 if set(OURS) & set(o["metadata"].get("annotations") or {})]
    return left + [o["metadata"]["name"] for o in kube.all("leases") if o["metadata"]["name"] == "grapnel"]


def filled(context, **more):
    return watched_cluster(context, [
        secret(), git(), finalized("webapp", FINALIZER), finalized("shared", "other.example/keep", FINALIZER),
        finalized("foreign", "other.example/keep"), hook(), builder(), builder("plain-builder"),
        lease(name="grapnel", namespace="default", holder="", renewed=-60)], **more)


@test("uninstall: usage, no cluster, an API server that is away, refuses or talks nonsense")
def errors(context):
    kube = filled(context)
    expect(uninstall(context, kube).returncode, 2, "neither flag")
    expect(uninstall(context, kube, "--yes", "--dry-run").returncode, 2, "both flags")
    expect(context.command("uninstall", "--yes", "--manifests", context.folder).returncode, 1, "no cluster")
    before = json.dumps(kube.all("receivers"), sort_keys=True)
    kube.faults = [{"verb": "*", "resource": "*", "status": 403, "times": -1}]
    result = uninstall(context, kube, "--yes")
    expect_that(result.returncode == 3 and "grant it" in result.stderr, "403 everywhere: %r" % (result,))
    kube.faults = [{"verb": "get", "resource": "leases", "body": b"<html>hello</html>", "times": -1}]
    result = uninstall(context, kube, "--yes")
    expect_that(result.returncode == 3 and "cannot be read" in result.stderr, "garbage for the Lease: %r" % (result,))
    kube.faults = [{"verb": "list", "resource": "receivers", "body": b'{"items": 7}', "times": -1}]
    result = uninstall(context, kube, "--yes", "--receiver-status", "own")
    expect_that(result.returncode == 1 and "no list of objects" in result.stderr, "garbage for a list: %r" % (result,))
    expect(json.dumps(kube.all("receivers"), sort_keys=True), before, "Receivers")
    kube.faults = []
    kube.down()
    result = uninstall(context, kube, "--yes")
    expect_that(result.returncode == 3 and "cannot be reached" in result.stderr, "away: %r" % (result,))


@test("uninstall --dry-run says what it would do and writes nothing; --yes does it; again, nothing is left to do")
def removes(context):
    kube = filled(context)
    result = uninstall(context, kube, "--dry-run")
    expect(result.returncode, 0, "dry run\n" + result.stderr)
    for text in ("Receiver/team-a/webapp: finalizer", "Receiver/team-a/shared", "Builder/team-a/builder: annotations",
                 "Lease/default/grapnel", "2 finalizers", "2 kpack objects", "1 Lease"):
        expect_that(text in result.stdout, "the dry run does not say %r:\n%s" % (text, result.stdout))
    expect_that("foreign" not in result.stdout, result.stdout)
    expect(kube.writes, [], "writes of a dry run")
    result = uninstall(context, kube, "--yes")
    expect(result.returncode, 0, "exit status\n" + result.stdout + result.stderr)
    expect(ours(kube), [], "left")
    expect(kube.get(FLUX, "Receiver", "team-a", "shared")["metadata"]["finalizers"], ["other.example/keep"],
           "another's finalizer")
    expect(kube.get(KPACK, "Builder", "team-a", "builder")["metadata"]["annotations"], {"team": "a"}, "annotations")
    expect({w["resource"] for w in kube.writes}, {"receivers", "builders", "leases"}, "what was written to")
    count = len(kube.writes)
    result = uninstall(context, kube, "--yes")
    expect((result.returncode, len(kube.writes)), (0, count), "again\n" + result.stdout + result.stderr)
    expect_that("0 finalizers" in result.stdout, result.stdout)


@test("uninstall refuses while a replica renews the Lease, and says which; a holder that is gone is no obstacle")
def running_replica(context):
    kube = filled(context)
    held = lease(name="grapnel", namespace="default", holder="grapnel-0_abc", renewed=0)
    held["spec"]["leaseDurationSeconds"] = 10
    kube.put(held)
    ending = threading.Event()

    def renew():
        count = 0
        while not ending.wait(0.5):
            count += 1
            o = json.loads(json.dumps(held))
            o["spec"]["renewTime"] = "2026-01-01T00:00:%02d.000000Z" % (count % 60)
            kube.put(o)

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        for flag in ("--yes", "--dry-run"):
            result = uninstall(context, kube, flag)
            expect_that(result.returncode == 1 and "grapnel-0_abc" in result.stderr and "Scale" in result.stderr,
                        "a running replica: %r" % (result,))
    finally:
        ending.set()
        thread.join()
    expect(kube.writes, [], "writes")
    expect(uninstall(context, kube, "--yes").returncode, 0, "after it ended")
    expect(ours(kube), [], "left")


@test("uninstall beside a live notification-controller refuses; given leaves Receivers alone; own takes the finalizer")
def beside_flux(context):
    kube = filled(context)
    kube.put(lease(renewed=time.time()))
    result = uninstall(context, kube, "--yes")
    expect_that(result.returncode == 1 and "notification-controller runs" in result.stderr, "live: %r" % (result,))
    expect(kube.writes, [], "writes")
    result = uninstall(context, kube, "--yes", "--receiver-status", "given")
    expect(result.returncode, 0, "given\n" + result.stderr)
    expect(sorted(ours(kube)), ["shared", "webapp"], "left")
    expect(uninstall(context, kube, "--yes", "--receiver-status", "own").returncode, 0, "own")
    expect(ours(kube), [], "left")


@test("uninstall goes on after single failures and lists them; on conflicts it looks again; repeated, it does the rest")
def failures(context):
    kube = watched_cluster(context, [finalized("r%03d" % i, FINALIZER) for i in range(700)] + [builder()])
    kube.faults = [{"verb": "patch", "resource": "receivers", "name": "r007", "status": 500, "times": -1},
                   {"verb": "patch", "resource": "receivers", "name": "r008", "status": 403, "times": -1},
                   {"verb": "patch", "resource": "receivers", "name": "r009", "status": 409, "times": 2},
                   {"verb": "list", "resource": "images", "status": 403, "times": -1}]
    result = uninstall(context, kube, "--yes")
    expect(result.returncode, 1, "exit status\n" + result.stdout + result.stderr)
    for text in ("Receiver/team-a/r007", "Receiver/team-a/r008", "images", "4 of "):
        expect_that(text in result.stderr, "the errors do not say %r:\n%s" % (text, result.stderr))
    expect(sorted(ours(kube)), ["r007", "r008"], "left")
    kube.faults = []
    expect(uninstall(context, kube, "--yes").returncode, 0, "again")
    expect(ours(kube), [], "left")
    kube.put(finalized("inside", FINALIZER))
    kube.put(finalized("outside", FINALIZER, namespace="team-b"))
    expect(uninstall(context, kube, "--yes", "--watch-namespace", "team-a").returncode, 0, "one namespace")
    expect(ours(kube), ["outside"], "left outside of the namespaces that are watched")


@test("what a server wrote is what uninstall takes away")
def after_a_server(context):
    kube = watched_cluster(context, [secret(), git(), receiver(), hook()])
    server = context.server(start=False, flags=["--kubernetes", "kubeconfig", "--kubeconfig", kube.kubeconfig_path,
                                                "--catalog", "both", "--receiver-status", "own"],
                            tokens=(clustercase.TOKEN,))
    server.start()
    wait_until(lambda: ours(kube) and kube.get(FLUX, "Receiver", "team-a", "webapp").get("status"), 15, "writes")
    result = uninstall(context, kube, "--yes", "--receiver-status", "own")
    expect_that(result.returncode == 1 and "a replica runs" in result.stderr, "beside the server: %r" % (result,))
    server.stop()
    expect(uninstall(context, kube, "--yes", "--receiver-status", "own").returncode, 0, "after the server")
    expect(ours(kube), [], "left")
    kube.remove(FLUX, "Receiver", "team-a", "webapp")
    expect(kube.get(FLUX, "Receiver", "team-a", "webapp"), None, "a Receiver can be deleted")
