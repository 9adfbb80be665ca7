#!/usr/bin/env python3
"""A cluster, unattended: `make demo-cluster`.

Starts a fake Kubernetes API server with the objects of the guides: Flux's Receivers (one that reconciles two sources, one
of type generic), a BuildConfig with a GitHub trigger, an S2iBuilder, kpack's ClusterStack and a legacy Builder behind
the registry's endpoint, and a Hook. Starts the server with nothing but a kubeconfig, sends one delivery of each, and
prints what was written to the API server, status and all. Exit status 0 only if each led to what its guide promises.

  demo_cluster.py --grapnel FILE
"""
import argparse
import json
import os
import shutil
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from clustercase import Case, PUSH, TOKEN, flux_path, git, hook, hook_path, receiver, secret            # noqa: E402
from harness import Context, Failure, delivery_id, expect_that, github, wait_until                     # noqa: E402

JSON = ("Content-Type", "application/json")
REGISTRY_TOKEN = "registry-t0ken-7d41"


def objects():
    return [
        secret(), git("webapp"), git("frontend"),
        receiver("webapp", events=["ping", "push"],
                 resources=[{"kind": "GitRepository", "name": "webapp"}, {"kind": "GitRepository", "name": "frontend"}]),
        receiver("generic", type="generic", resources=[{"kind": "GitRepository", "name": "webapp"}]),
        {"apiVersion": "build.openshift.io/v1", "kind": "BuildConfig",
         "metadata": {"name": "orders", "namespace": "team-a"},
         "spec": {"source": {"git": {"uri": "https://github.com/Codertocat/Hello-World.git", "ref": "master"}},
                  "triggers": [{"type": "Generic", "generic": {"secretReference": {"name": "webhook-secret"}}}]}},
        secret("webhook-secret", "openshift-s3cret-11aa", key="WebHookSecretKey"),
        {"apiVersion": "devops.kubesphere.io/v1alpha1", "kind": "S2iBuilder",
         "metadata": {"name": "shop", "namespace": "team-a"},
         "spec": {"config": {"sourceUrl": "https://github.com/example/shop.git", "secretCode": "kubesphere-c0de-9"}}},
        {"apiVersion": "kpack.io/v1alpha2", "kind": "ClusterStack", "metadata": {"name": "base"},
         "spec": {"id": "io.example", "buildImage": {"image": "registry.example.com/stack:build"},
                  "runImage": {"image": "registry.example.com/stack:run"}}},
        hook("hooked"), git("hooked"),
    ]


def notification():
    return json.dumps({"events": [{
        "id": delivery_id(), "timestamp": "2026-05-01T12:00:00Z", "action": "push",
        "target": {"mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                   "digest": "sha256:" + "ab" * 32, "repository": "stack", "tag": "build",
                   "url": "https://registry.example.com/v2/stack/manifests/sha256:" + "ab" * 32},
        "request": {"host": "registry.example.com", "method": "PUT"}}]}).encode()


DELIVERIES = [
    ("Flux, GitHub push", flux_path("webapp"), PUSH, lambda: github(PUSH, TOKEN), ["team-a/frontend", "team-a/webapp"]),
    ("Flux, generic", flux_path("generic"), b"{}", lambda: [JSON], ["team-a/webapp"]),
    ("OpenShift, generic URL",
     "/apis/build.openshift.io/v1/namespaces/team-a/buildconfigs/orders/webhooks/openshift-s3cret-11aa/generic", b"",
     lambda: [], ["team-a/orders"]),
    ("KubeSphere, general trigger",
     "/s2itrigger/v1alpha1/general/namespaces/team-a/s2ibuilders/shop?secretCode=kubesphere-c0de-9", b"{}",
     lambda: [JSON], ["team-a/s2iruns"]),
    ("Build Service, registry push", "/v1/docker/notification", None,
     lambda: [("Content-Type", "application/vnd.docker.distribution.events.v1+json"),
              ("Authorization", "Bearer " + REGISTRY_TOKEN)], ["/base"]),
    ("Hook, GitHub push", hook_path("hooked"), PUSH, lambda: github(PUSH, TOKEN), ["team-a/hooked"]),
]


def demonstrate(context):
    settings = {"buildService": {"auth": {"notification": {"type": "bearer", "token": REGISTRY_TOKEN}}}}
    case = Case(context, objects())
    server = case.server(config=json.dumps(settings))
    kube = case.kube
    print("the server is ready: it reads everything from the API server\n")
    agree = True
    for title, path, body, fields, wanted in DELIVERIES:
        before = len(kube.writes_since())
        answer = server.post(path, notification() if body is None else body, fields())
        expect_that(answer.status in (200, 201, 202), "%s: status %d" % (title, answer.status))
        try:
            wait_until(lambda: len(case.triggered(before)) >= len(wanted), 10, title)
        except Failure:
            pass
        time.sleep(0.3)         # one too many would come now
        came = case.triggered(before)
        agree = agree and came == wanted
        print("%-30s %d %-10s -> %s%s" % (title, answer.status, answer.decision or "", ", ".join(came),
                                         "" if came == wanted else "   NOT " + ", ".join(wanted)))
    print("\nwritten to the API server:")
    for write in kube.writes_since():
        place = "/".join(p for p in (write["resource"], write["namespace"], write["name"]) if p)
        print("  %-7s %-45s %s" % (write["verb"], place, json.dumps(write.get("body"))[:160]))
    server.stop()
    return agree


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grapnel", required=True, metavar="FILE")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="grapnel-demo-cluster-")
    context = Context(os.path.abspath(options.grapnel), folder)
    agree, problem = False, None
    try:
        agree = demonstrate(context)
        context.finish()
    except Failure as failure:
        problem = str(failure)
    finally:
        context.abandon()
        for server in context.servers:
            if problem:
                print(server.tail())
        shutil.rmtree(folder, ignore_errors=True)
    if problem:
        print("stopped: " + problem)
    print("demo-cluster: %s" % ("all agree" if agree and not problem else "NOT as expected"))
    return 0 if agree and not problem else 1


if __name__ == "__main__":
    sys.exit(main())
