#!/usr/bin/env python3
"""How many writes to the API server a burst of deliveries leads to, and how many the coalescing rules allow.

    burst     a registry tells of 34 image repositories, each with five tags in a row: 170 notifications as fast as they go
    pushes    1,000 pushes to one git repository within 10 s
    window    the same with `coalesce: {by: target, window: 1s}`

The rules: one write of a target runs, at most one waits, and with a window none starts before it is over. A write that takes
20 ms can thus follow another at the earliest after 20 ms. Fails when there are more writes than that, when the last delivery
of a target has no write behind it, or when something is still owed.

  coalescing.py [--pushes 1000] [--seconds 10] [--grapnel FILE] [--server-flag FLAG]...
"""
import argparse
import json
import math
import os
import sys
import time

import scenario                 # first: it says where the others are
import fakekube
from fakekube import FakeKube, make_pki
from harness import TOKEN, delivery_id, free_port, github, hook, request, secret, sign, wait_until

WRITE_SECONDS = 0.02
SETTLE_SECONDS = 2              # the figures of what is owed are renewed every second
REPOSITORIES, TAGS = 34, 5
SOURCES = "source.toolkit.fluxcd.io/v1"
IMAGES = "image.toolkit.fluxcd.io/v1"


class Kube(FakeKube):
    """Notes when each PATCH came."""

    def __init__(self, pki, port):
        self.patched = {}                   # (plural, name) -> [when it arrived]
        super().__init__(pki, port)

    def _listen(self, port):
        return fakekube._Server(("127.0.0.1", port), _Handler, self)


class _Handler(fakekube._Handler):
    def _write(self, kube, verb, r, namespace, name, subresource, body):
        arrived = time.monotonic()
        time.sleep(WRITE_SECONDS)
        result = super()._write(kube, verb, r, namespace, name, subresource, body)
        with kube.changed:
            kube.patched.setdefault((r.plural, name), []).append(arrived)
        return result

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = fakekube._Handler._any


def image(number):
    return {"apiVersion": IMAGES, "kind": "ImageRepository", "metadata": {"name": "image-%02d" % number, "namespace": "team-a"},
            "spec": {"image": "registry.example.com/team-a/image-%02d" % number}}


def git(name):
    return {"apiVersion": SOURCES, "kind": "GitRepository", "metadata": {"name": name, "namespace": "team-a"},
            "spec": {"url": "https://git.example.com/%s.git" % name, "ref": {"branch": "main"}}}


def manifests():
    reconcile = "[{reconcile: {apiVersion: %s, kind: GitRepository, name: %%s}}]" % SOURCES
    match = "[{reconcile: {matchRepository: true, kinds: [ImageRepository]}}]"
    return {"secret.yaml": secret("webhook-token", TOKEN),
            "objects.json": json.dumps({"apiVersion": "v1", "kind": "List", "items": [image(i) for i in range(REPOSITORIES)]}),
            "hooks.yaml": "---\n".join([
                hook("registry", type="docker-registry", actions=match),
                hook("pushes", actions=reconcile % "pushes"),
                hook("window", actions=reconcile % "window", more="coalesce: {by: target, window: 1s}")])}


def notification(number, tag):
    return json.dumps({"events": [{
        "id": delivery_id(), "timestamp": "2026-05-01T12:00:00Z", "action": "push",
        "target": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "repository": "team-a/image-%02d" % number,
                   "tag": "v%d" % tag, "digest": "sha256:" + sign(b"%d" % number, str(tag))},
        "request": {"host": "registry.example.com", "method": "PUT"}}]}).encode()


def send(server, rows, seconds):
    """Sends (path, body, fields) evenly over these seconds; {target: [when it was sent]}."""
    sent, began = {}, time.monotonic()
    with server.connect(30) as connection:
        for index, (target, path, body, fields) in enumerate(rows):
            time.sleep(max(0, began + seconds * index / len(rows) - time.monotonic()))
            sent.setdefault(target, []).append(time.monotonic())
            answer = connection.exchange(request(path, body, fields))
            if answer.status != 200:
                sys.exit("a delivery was answered %d" % answer.status)
    return sent


def allowed(sent, window):
    """The most writes of one target: one as soon as a delivery came, then one after the other while deliveries come, and
    one for those that waited for the last of them."""
    pause = max(WRITE_SECONDS, window)
    return min(len(sent), math.floor((sent[-1] - sent[0]) / pause) + 2)


def judge(title, kube, sent, window, problems):
    writes = {target: list(kube.patched.get(target, [])) for target in sent}
    made, most = sum(map(len, writes.values())), sum(allowed(times, window) for times in sent.values())
    print("%-46s %5d deliveries, %3d targets: %4d writes, allowed %4d, needed %3d" % (
        title, sum(map(len, sent.values())), len(sent), made, most, len(sent)), flush=True)
    for target, times in sent.items():
        if not writes[target] or max(writes[target]) < times[-1]:
            problems.append("%s: nothing was written after the last delivery of %s" % (title, target[1]))
        if len(writes[target]) > allowed(times, window):
            problems.append("%s: %d writes of %s, allowed are %d" % (title, len(writes[target]), target[1],
                                                                     allowed(times, window)))
    return {"deliveries": sum(map(len, sent.values())), "targets": len(sent), "writes": made, "allowed": most}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    scenario.arguments(parser)
    parser.add_argument("--pushes", type=int, default=1000)
    parser.set_defaults(seconds=10)
    options = parser.parse_args()
    scenario.describe(options)
    rows, problems, run = {}, [], scenario.Scenario(options, manifests=manifests())
    run.needs_generator = False
    folder = run.make_folder()
    kube = Kube(make_pki(folder), free_port())
    for o in [image(i) for i in range(REPOSITORIES)] + [git("pushes"), git("window")]:
        kube.put(o)
    kube.start()
    path = os.path.join(folder, "kubeconfig")
    with open(path, "w") as f:
        json.dump(kube.kubeconfig(), f)
    run.flags = ["--kubernetes", "kubeconfig", "--kubeconfig", path, "--catalog", "manifests"]
    media = "application/vnd.docker.distribution.events.v1+json"
    fields = [("Content-Type", media), ("Authorization", "Bearer " + TOKEN)]
    body = b'{"ref": "refs/heads/main"}'
    push = lambda name: (("gitrepositories", name), "/hooks/team-a/" + name, body, github(body))
    bursts = [("34 image repositories, five tags each", 0, 0, [
                  (("imagerepositories", "image-%02d" % i), "/hooks/team-a/registry", notification(i, tag), fields)
                  for i in range(REPOSITORIES) for tag in range(TAGS)]),
              ("%d pushes to one repository in %g s" % (options.pushes, options.seconds), options.seconds, 0,
               [push("pushes") for _ in range(options.pushes)]),
              ("the same with a window of 1 s", options.seconds, 1, [push("window") for _ in range(options.pushes)])]
    try:
        with run:
            for title, seconds, window, deliveries in bursts:
                sent = send(run.server, deliveries, seconds)
                time.sleep(SETTLE_SECONDS)
                wait_until(lambda: fakekube.idle(run.server), 60, "nothing is owed any more")
                rows[title] = judge(title, kube, sent, window, problems)
    finally:
        kube.stop()
    if options.json:
        with open(options.json, "w") as f:
            json.dump(rows, f, indent=1)
    for problem in problems:
        print("NOT: " + problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
