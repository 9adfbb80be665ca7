"""What the tests of servers that read their routes from a cluster share: the objects, the server, what is waited for.

    case = Case(context, [objects])          a fake API server with these objects, and at the end a look for secrets in
    server = case.server()                   everything that came out: log, pages of the admin listener, all writes
"""
import base64
import hashlib
import json
import os
import threading
import time
import urllib.parse

import harness
from fakekube import settled
from harness import PATIENCE, Closed, Failure, expect, expect_that, github, payload, request, wait_until
from watchkube import watched_cluster

TOKEN = "cluster-t0ken-5f2d9c0b7e3a4418"
REQUESTED = "reconcile.fluxcd.io/requestedAt"
GRACE = "grapnel.dev/path-grace"
FINALIZER = "finalizers.fluxcd.io"
FLUX = "notification.toolkit.fluxcd.io/v1"
HOOK = "grapnel.dev/v1alpha1"
SOURCE = "source.toolkit.fluxcd.io/v1"
LEASE = "coordination.k8s.io/v1"
FORCE = 3                   # seconds: a change is in force within one where nothing else is done
PUSH = payload("github-push.json")


# - Objects

def secret(name="webhook-token", token=TOKEN, namespace="team-a", key="token", labels=None, **more):
    data = {key: token, **more}
    meta = {"name": name, "namespace": namespace, **({"labels": labels} if labels else {})}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta,
            "data": {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}}


def git(name="webapp", namespace="team-a", version="v1", **annotations):
    return {"apiVersion": "source.toolkit.fluxcd.io/" + version, "kind": "GitRepository",
            "metadata": {"name": name, "namespace": namespace, **({"annotations": annotations} if annotations else {})},
            "spec": {"url": "https://git.example.com/%s/%s.git" % (namespace, name), "interval": "1h"}}


def receiver(name="webapp", namespace="team-a", token="webhook-token", type="github", resources=None, api=FLUX,
             annotations=None, created="2026-01-01T00:00:00Z", status=None, **spec):
    meta = {"name": name, "namespace": namespace, "creationTimestamp": created,
            **({"annotations": annotations} if annotations else {})}
    return {"apiVersion": api, "kind": "Receiver", "metadata": meta,
            "spec": {"type": type, "secretRef": {"name": token},
                     "resources": [{"kind": "GitRepository", "name": name}] if resources is None else resources, **spec},
            **({"status": status} if status is not None else {})}


def hook(name="hooked", namespace="team-a", token="webhook-token", actions=None, created="2026-01-01T00:00:00Z",
         type="github", **spec):
    return {"apiVersion": HOOK, "kind": "Hook",
            "metadata": {"name": name, "namespace": namespace, "creationTimestamp": created},
            "spec": {"type": type, "secretRefs": [{"name": token}],
                     "actions": [{"reconcile": {"kind": "GitRepository", "name": name}}] if actions is None else actions,
                     **spec}}


def flux_path(name="webapp", token=TOKEN, namespace="team-a"):
    return "/hook/" + hashlib.sha256((token + name + namespace).encode()).hexdigest()


def hook_path(name="hooked", namespace="team-a"):
    return "/hooks/%s/%s" % (namespace, name)


def lease(renewed=None, namespace="flux-system", name="notification-controller-leader-election", holder="flux"):
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 35, "leaseTransitions": 1}
    if renewed is not None:
        spec["acquireTime"] = spec["renewTime"] = micro_time(renewed)
    return {"apiVersion": LEASE, "kind": "Lease", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def micro_time(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + ".%06dZ" % (seconds % 1 * 1e6)


def written_by(o, manager, at="2026-01-01T00:00:00Z"):
    """The object with a status that this field manager wrote."""
    o["metadata"]["managedFields"] = [
        {"manager": manager, "operation": "Update", "apiVersion": o["apiVersion"], "time": at, "fieldsType": "FieldsV1",
         "fieldsV1": {"f:status": {"f:conditions": {}, "f:webhookPath": {}}}, "subresource": "status"}]
    return o


def conditions(o):
    """{type: condition} of an object; {} without an object or a status."""
    return {c["type"]: c for c in ((o or {}).get("status") or {}).get("conditions") or []}


# - The server

class ClusterServer(harness.Server):
    """A server whose routes come from a cluster. Keeps what its admin listener said, for the look for secrets."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.pages = []

    def command(self):
        command = super().command()
        if not os.listdir(self.manifests):
            at = command.index("--manifests")
            del command[at:at + 2]
        return command

    def admin(self, path, timeout=PATIENCE):
        status, body = super().admin(path, timeout)
        self.pages.append((path, body))
        del self.pages[:-200]
        return status, body

    def stop(self, seconds=PATIENCE):
        if self.process is not None and self.process.poll() is None:
            for path in ("/metrics", "/readyz"):
                self.admin(path)
        super().stop(seconds)

    def probe(self, path, token="not-the-token"):
        """The status of a push with a wrong signature: who is known says so, and nothing happens."""
        try:
            return self.push(PUSH, path, token).status
        except (OSError, Closed):
            return 0


class Case:
    def __init__(self, context, objects=(), **more):
        self.context, self.servers, self.times = context, [], []
        self.kube = watched_cluster(context, objects, **more)
        context.closers.append(self.find_secrets)

    def server(self, *flags, start=True, status="own", level="debug", manifests=None, **more):
        folder = os.path.join(self.context.folder, "server-%d" % len(self.context.servers))
        given = ["--kubernetes", "kubeconfig", "--kubeconfig", self.kube.kubeconfig_path, "--log-level", level]
        if status:
            given += ["--receiver-status", status]
        server = ClusterServer(self.context.grapnel, folder, manifests, flags=given + self.context.flags + list(flags),
                               **more)
        self.context.servers.append(server)
        self.servers.append(server)
        return server.start() if start else server

    # - what came of it

    def push(self, server, path, token=TOKEN, status=200, decision="accepted", **more):
        answer = server.push(PUSH, path, token, **more)
        expect((answer.status, answer.decision), (status, decision), "a push to %s" % path[:24])
        return answer

    def push_status(self, server, path, token=TOKEN):
        return server.push(PUSH, path, token).status

    def accepted(self, server, path, token=TOKEN):
        """The answer to a push; None when it was not accepted."""
        answer = server.push(PUSH, path, token)
        return answer if answer.decision == "accepted" else None

    def deliver(self, server, path, writes, token=TOKEN, what="the writes that followed", **more):
        """One delivery, and exactly these writes of it: (verb, path or namespace/name)."""
        before = len(self.kube.writes_since())
        answer = self.push(server, path, token, **more)
        settled(server, [answer])
        expect(self.triggered(before), sorted(writes), what)
        return answer

    def triggered(self, before=0):
        return sorted("%s/%s" % (w["namespace"], w["name"] or w["resource"]) for w in self.kube.acts(before))

    def within(self, condition, what, seconds=FORCE):
        """Waits for it, and keeps how long that took."""
        began = time.monotonic()
        value = wait_until(condition, seconds, what, every=0.01)
        self.times.append((what, time.monotonic() - began))
        return value

    def status_becomes(self, server, path, status, what, seconds=FORCE):
        seen = []

        def now():
            seen.append(server.probe(path))
            return seen[-1] == status
        try:
            return self.within(now, what, seconds)
        except Failure as failure:
            raise Failure("%s: the status was %r, expected %d" % (failure, seen[-1], status))

    def receiver(self, name="webapp", namespace="team-a", api=FLUX):
        return self.kube.get(api, "Receiver", namespace, name)

    def hook(self, name="hooked", namespace="team-a"):
        return self.kube.get(HOOK, "Hook", namespace, name)

    def ready(self, name="webapp", namespace="team-a", path=None, seconds=10, api=FLUX, kube=None):
        """Waits until the Receiver says that it is ready on its path."""
        path = path or flux_path(name, namespace=namespace)

        def is_so():
            o = (kube or self.kube).get(api, "Receiver", namespace, name)
            return conditions(o).get("Ready", {}).get("status") == "True" and o["status"].get("webhookPath") == path \
                and o["status"].get("observedGeneration") == o["metadata"]["generation"]
        wait_until(is_so, seconds, "Receiver %s/%s is ready" % (namespace, name))
        return self.receiver(name, namespace, api)

    def condition(self, get, type, status, reason, seconds=FORCE):
        """Waits for a condition of an object; returns the object."""
        wanted = (status, reason)
        have = lambda: (lambda c: (c.get("status"), c.get("reason")))(conditions(get()).get(type, {}))
        try:
            wait_until(lambda: have() == wanted, seconds, "condition %s" % type)
        except Failure as failure:
            raise Failure("%s: expected %r, status is %r" % (failure, wanted, (get() or {}).get("status")))
        return get()

    def writes_to(self, plural, start=0):
        return [w for w in self.kube.writes_since(start) if w["resource"] == plural]

    def written(self, plural, start=0, name=None):
        """(part, status) of each write. One by what the watch had not told yet is refused, writes nothing, and is made again."""
        return sorted((w["subresource"], w["status"]) for w in self.writes_to(plural, start)
                      if w["status"] != 409 and name in (None, w["name"]))

    def report(self, title):
        slowest = max(self.times, key=lambda t: t[1])
        print("     %s: %d changes in force after %.0f ms in the middle, %.0f ms at most (%s)" % (
            title, len(self.times), 1e3 * sorted(t for _, t in self.times)[len(self.times) // 2], 1e3 * slowest[1],
            slowest[0]), flush=True)

    def find_secrets(self):
        """Fails when a value of any Secret that there ever was is in anything that came out."""
        texts = [("a write", json.dumps([w["body"] for w in self.kube.writes]))]
        for server in self.servers:
            texts.append(("the log", server.log_text()))
            texts += [(path, body.decode("utf-8", "replace")) for path, body in server.pages]
        for value in self.kube.secret_values | {self.kube.token}:
            if len(value) < 8:
                continue
            forms = {value, urllib.parse.quote(value, safe=""), base64.b64encode(value.encode()).decode(),
                     value.encode().hex()}
            for place, text in texts:
                for form in forms:
                    at = text.find(form)
                    if at >= 0:
                        raise Failure("the secret %s... is in %s: %r" % (value[:4], place, text[max(0, at - 150):at + 6]))


class Renewing:
    """A thread that renews a Lease, as a living controller does."""

    def __init__(self, kube, **more):
        self.kube, self.more, self.ended = kube, more, threading.Event()
        self.renew()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def renew(self):
        self.kube.put(lease(time.time(), **self.more))

    def run(self):
        while not self.ended.wait(0.5):
            self.renew()

    def stop(self):
        self.ended.set()
        self.thread.join()


class Stream:
    """Deliveries on one connection after another, with what they took and what they were answered."""

    def __init__(self, server, path, token=TOKEN, pause=0.005):
        self.server, self.path, self.token, self.pause = server, path, token, pause
        self.seconds, self.answers, self.trouble, self.ended = [], [], [], threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            with self.server.connect() as connection:
                while not self.ended.wait(self.pause):
                    began = time.monotonic()
                    answer = connection.exchange(request(self.path, PUSH, github(PUSH, self.token)))
                    self.seconds.append(time.monotonic() - began)
                    self.answers.append(answer)
        except (OSError, Closed) as error:
            self.trouble.append(repr(error))

    def stop(self):
        self.ended.set()
        self.thread.join()
        expect(self.trouble, [], "the connection of the deliveries")
        expect({a.status for a in self.answers}, {200}, "answers")
        return self.answers

    def quantile(self, share, start=0, end=None):
        values = sorted(self.seconds[start:end])
        expect_that(values, "no deliveries were made")
        return 1e3 * values[min(len(values) - 1, int(share * len(values)))]
