"""What must hold against an API server: one server, its routes read from the cluster, one signed delivery of each system.

The checks run in the order in which they stand here and share one server: `Scene` holds it. A check that cannot run on
this cluster raises Skip with the reason.
"""
import base64
import hashlib
import json
import os
import secrets
import time

from api import Refused
from clustercase import ClusterServer, conditions
from harness import PAYLOADS, Skip, delivery_id, expect, expect_in, expect_that, github, payload, wait_until

PATIENCE = 60               # seconds for whatever must come about: API servers of test clusters can be slow
REQUESTED = "reconcile.fluxcd.io/requestedAt"
REFRESHED = "grapnel.dev/refresh-requested-at"
FINALIZER = "finalizers.fluxcd.io"
GRACE = "grapnel.dev/path-grace"
FLUX_LEASE = "/apis/coordination.k8s.io/v1/namespaces/flux-system/leases/notification-controller-leader-election"
IMAGE = "registry.example.com/grapnel-test/base"
PUSH = payload("github-push.json")

checks = []


def check(name):
    def add(function):
        checks.append((name, function))
        return function
    return add


class Scene:
    """The estate, the kubeconfig of the server under test, its Secrets and the server itself."""

    def __init__(self, context, client, estate):
        self.context, self.client, self.estate = context, client, estate
        self.token, self.next_token, self.code, self.registry = (secrets.token_hex(20) for _ in range(4))
        self.kubeconfig = os.path.join(context.folder, "kubeconfig")
        with open(os.open(self.kubeconfig, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            json.dump(client.kubeconfig(estate.system), f)
        self.flags = ["--kubernetes", "kubeconfig", "--kubeconfig", self.kubeconfig, "--watch-namespace", estate.team]
        self.judge = "given" if self.flux_lives() else "own"
        self.server = None

    def flux_lives(self):
        """Whether a notification-controller of this cluster renews its Lease: then Receivers are its to judge."""
        status, first = self.client.raw("GET", FLUX_LEASE)
        if status != 200:
            return False
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            time.sleep(1)
            status, now = self.client.raw("GET", FLUX_LEASE)
            if status == 200 and now.get("spec", {}).get("renewTime") != first.get("spec", {}).get("renewTime"):
                return True
        return False

    def objects(self):
        estate = self.estate
        secret = lambda name, **data: estate.create("Secret", name, data={
            key: base64.b64encode(value.encode()).decode() for key, value in data.items()})
        secret("webhook-token", token=self.token)
        secret("build-hook", WebHookSecretKey=self.code)
        for name in ("webapp", "hooked"):
            # Suspended: a source-controller leaves it alone, and what matters here is the annotation.
            estate.create("GitRepository", name, spec={
                "url": "https://git.example.com/%s.git" % name, "interval": "1h", "suspend": True})
        for name in ("webapp", "leaving"):
            estate.create("Receiver", name, spec={
                "type": "github", "events": ["ping", "push"], "secretRef": {"name": "webhook-token"},
                "resources": [{"kind": "GitRepository", "name": "webapp"}]})
        estate.create("BuildConfig", "webapp", spec={
            "source": {"type": "Git", "git": {"uri": "https://github.com/Codertocat/Hello-World.git", "ref": "master"}},
            "strategy": {"type": "Docker", "dockerStrategy": {}}, "completionDeadlineSeconds": 30,
            "nodeSelector": {"grapnel.dev/test": "never"},      # no node has it: the build's pod is never run
            "triggers": [{"type": "Generic", "generic": {"secretReference": {"name": "build-hook"}}}]})
        estate.create("S2iBuilder", "webapp", spec={"config": {
            "sourceUrl": "https://git.example.com/webapp.git", "imageName": "webapp", "secretCode": self.code}})
        estate.create("Buildpack", "webapp", spec={"image": IMAGE + ":latest"})

    def start(self):
        settings = {"buildService": {"auth": {"notification": {"type": "bearer", "token": self.registry}}}}
        server = ClusterServer(self.context.grapnel, os.path.join(self.context.folder, "server"), flags=self.flags + [
            "--catalog", "cluster", "--receiver-status", self.judge, "--log-level", "debug"], config=json.dumps(settings))
        server.tokens.update((self.token, self.next_token, self.code, self.registry))
        self.context.servers.append(server)
        self.server = server.start(seconds=120)

    def flux_path(self, name="webapp", token=None):
        text = (token or self.token) + name + self.estate.team
        return "/hook/" + hashlib.sha256(text.encode()).hexdigest()

    def push(self, path, token=None):
        return self.server.post(path, PUSH, github(PUSH, token or self.token))

    def annotation(self, kind, name, key):
        return ((self.estate.get(kind, name) or {}).get("metadata", {}).get("annotations") or {}).get(key)

    def changes(self, kind, name, key, before, what):
        wait_until(lambda: self.annotation(kind, name, key) not in (None, before), PATIENCE, what, every=0.2)

    def ready(self, kind, name):
        """Waits until the object's own status says that it is ready for its present generation."""
        def is_so():
            o = self.estate.get(kind, name) or {}
            status = o.get("status") or {}
            return o if conditions(o).get("Ready", {}).get("status") == "True" and status.get("webhookPath") \
                and status.get("observedGeneration") == o["metadata"].get("generation") else None
        return wait_until(is_so, PATIENCE, "%s/%s is ready" % (kind, name), every=0.2)


@check("the Hook definition refuses bad Hooks with a reason and accepts a good one")
def definition(scene):
    good = {"type": "github", "secretRefs": [{"name": "webhook-token"}],
            "actions": [{"reconcile": {"kind": "GitRepository", "name": "hooked"}}]}
    bad = [("a type that there is not", dict(good, type="carrier-pigeon"), "type"),
           ("no actions", {k: v for k, v in good.items() if k != "actions"}, "actions"),
           ("a field that belongs to another type", dict(good, hmac={"header": "X-Signature"}), "hmac")]
    for what, spec, word in bad:
        try:
            scene.estate.create("Hook", "bad", spec=spec)
        except Refused as refused:
            expect(refused.status, 422, what)
            expect_that(word in refused.message, "%s: the message does not name %s: %s" % (what, word, refused.message))
        else:
            raise AssertionError("a Hook with %s was accepted" % what)
    scene.estate.create("Hook", "hooked", spec=good)
    scene.objects()


@check("doctor finds the environment well")
def doctor(scene):
    result = scene.context.command("doctor", *scene.flags, "--catalog", "cluster", "--receiver-status", scene.judge,
                                   "--data-dir", os.path.join(scene.context.folder, "doctor-data"), "--listen",
                                   "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", timeout=120)
    expect_in(result.returncode, (0,), "exit status of doctor\n%s%s" % (result.stdout, result.stderr))


@check("the server becomes ready with routes from the cluster alone")
def serve(scene):
    scene.start()
    for path in (scene.flux_path(), "/hooks/%s/hooked" % scene.estate.team):
        wait_until(lambda: scene.server.probe(path) in (400, 401), PATIENCE, "the route %s" % path[:24], every=0.2)


@check("a Receiver gets finalizer, path and conditions")
def receiver_status(scene):
    if scene.judge == "given":
        raise Skip("a notification-controller runs here and judges the Receivers")
    o = scene.ready("Receiver", "webapp")
    expect(o["status"]["webhookPath"], scene.flux_path(), "path in the status")
    expect_that(FINALIZER in o["metadata"].get("finalizers", []), "no finalizer: %r" % o["metadata"])


@check("a Hook gets path and conditions")
def hook_status(scene):
    o = scene.ready("Hook", "hooked")
    expect(o["status"]["webhookPath"], "/hooks/%s/hooked" % scene.estate.team, "path in the status")


@check("the Lease is held, in the namespace of the kubeconfig's context")
def lease(scene):
    path = "/apis/coordination.k8s.io/v1/namespaces/%s/leases/grapnel" % scene.estate.system
    holder = lambda: ((scene.client.get(path) or {}).get("spec") or {}).get("holderIdentity")
    wait_until(holder, PATIENCE, "a holder of the Lease", every=0.2)


@check("Flux: a signed push annotates the GitRepository; a badly signed one does not")
def flux(scene):
    expect(scene.push(scene.flux_path(), "not-the-token").status, 400, "a bad signature")
    time.sleep(1)
    before = scene.annotation("GitRepository", "webapp", REQUESTED)
    expect(before, None, "the annotation after a badly signed push")
    answer = scene.push(scene.flux_path())
    expect((answer.status, answer.decision), (200, "accepted"), "a push")
    scene.changes("GitRepository", "webapp", REQUESTED, before, "the annotation")


@check("Hook: a signed push annotates its target")
def hook(scene):
    path = "/hooks/%s/hooked" % scene.estate.team
    expect(scene.push(path, "not-the-token").status, 401, "a bad signature")
    expect(scene.push(path).status, 200, "a push")
    scene.changes("GitRepository", "hooked", REQUESTED, None, "the annotation")


@check("OpenShift: the URL's secret counts")
def openshift_route(scene):
    expect(build(scene, "not-the-secret").status, 401, "a wrong secret")
    expect(build(scene, scene.code).status, 200, "the right secret")


def build(scene, secret):
    return scene.server.post("/apis/build.openshift.io/v1/namespaces/%s/buildconfigs/webapp/webhooks/%s/generic" % (
        scene.estate.team, secret), b"", [])


@check("OpenShift: a delivery instantiates the BuildConfig")
def openshift_build(scene):
    resources = scene.client.get("/apis/" + scene.estate.api_version("BuildConfig")) or {}
    if not any(r.get("name") == "buildconfigs/instantiate" for r in resources.get("resources") or []):
        raise Skip("this cluster is no OpenShift: nothing serves buildconfigs/instantiate")
    path = "/apis/%s/namespaces/%s/builds" % (scene.estate.api_version("BuildConfig"), scene.estate.team)
    wait_until(lambda: (scene.client.get(path) or {}).get("items"), PATIENCE, "a Build", every=0.2)


@check("KubeSphere: a delivery with the code creates an S2iRun; another code none")
def kubesphere(scene):
    path = "/s2itrigger/v1alpha1/general/namespaces/%s/s2ibuilders/webapp?secretCode=" % scene.estate.team
    json_type = [("Content-Type", "application/json")]
    expect(scene.server.post(path + "not-the-code", b"{}", json_type).status, 401, "a wrong code")
    expect(scene.server.post(path + scene.code, b"{}", json_type).status, 201, "the right code")
    runs = wait_until(lambda: scene.estate.list("S2iRun"), PATIENCE, "an S2iRun", every=0.2)
    expect([r["spec"]["builderName"] for r in runs], ["webapp"], "runs")


@check("Build Service: a registry's notification refreshes what reads the image")
def kpack(scene):
    digest = "sha256:" + hashlib.sha256(os.urandom(8)).hexdigest()
    body = json.dumps({"events": [{
        "id": delivery_id(), "timestamp": "2026-05-01T12:00:00Z", "action": "push",
        "target": {"mediaType": "application/vnd.docker.distribution.manifest.v2+json", "digest": digest,
                   "repository": IMAGE.split("/", 1)[1], "tag": "latest",
                   "url": "https://registry.example.com/v2/grapnel-test/base/manifests/" + digest},
        "request": {"host": "registry.example.com", "method": "PUT"}}]}).encode()
    fields = lambda token: [("Content-Type", "application/vnd.docker.distribution.events.v1+json"),
                            ("Authorization", "Bearer " + token)]
    expect(scene.server.post("/v1/docker/notification", body, fields("not-the-token")).status, 401, "a wrong token")
    expect(scene.server.post("/v1/docker/notification", body, fields(scene.registry)).status, 202, "a push of the image")
    scene.changes("Buildpack", "webapp", REFRESHED, None, "the annotation")


@check("a rotated token: its path works; the old one goes on for the grace, and ends at once where grace is 0")
def rotation(scene):
    scene.client.patch(scene.estate.path("Secret", "webhook-token"), {
        "data": {"token": base64.b64encode(scene.next_token.encode()).decode()}})
    new, old = scene.flux_path(token=scene.next_token), scene.flux_path()
    wait_until(lambda: scene.push(new, scene.next_token).status == 200, PATIENCE, "the new path", every=0.2)
    wait_until(lambda: scene.push("/hooks/%s/hooked" % scene.estate.team, scene.next_token).status == 200, PATIENCE,
               "the Hook with the new token", every=0.2)
    if scene.judge == "own":
        expect(scene.push(old).status, 200, "the old path with the old token, within the grace")
    scene.client.patch(scene.estate.path("Receiver", "webapp"), {"metadata": {"annotations": {GRACE: "0s"}}})
    wait_until(lambda: scene.push(old).status == 404, PATIENCE, "the old path is gone", every=0.2)
    expect(scene.push(new, scene.next_token).status, 200, "the new path")
    scene.token = scene.next_token


@check("a deleted Receiver's route ends, and its finalizer does not keep it")
def deletion(scene):
    path = scene.flux_path("leaving")
    wait_until(lambda: scene.push(path).status == 200, PATIENCE, "its route is there", every=0.2)
    scene.client.call("DELETE", scene.estate.path("Receiver", "leaving"))
    wait_until(lambda: scene.push(path).status == 404, PATIENCE, "its route is gone", every=0.2)
    wait_until(lambda: scene.estate.get("Receiver", "leaving") is None, PATIENCE, "it is gone", every=0.2)
    expect(scene.push(scene.flux_path()).status, 200, "the other Receiver's route")


@check("uninstall refuses beside a running server; after it, nothing that Grapnel wrote is left")
def uninstall(scene):
    run = lambda: scene.context.command("uninstall", *scene.flags, "--receiver-status", scene.judge, "--yes", timeout=120)
    result = run()
    expect_that(result.returncode == 1 and "replica" in result.stderr, "beside the server: %r" % (result,))
    scene.server.stop(30)
    result = run()
    expect(result.returncode, 0, "exit status of uninstall\n%s%s" % (result.stdout, result.stderr))
    left = ["Receiver/%s" % o["metadata"]["name"] for o in scene.estate.list("Receiver")
            if scene.judge == "own" and FINALIZER in (o["metadata"].get("finalizers") or [])]
    left += ["Hook/%s" % o["metadata"]["name"] for o in scene.estate.list("Hook") if o["metadata"].get("finalizers")]
    left += ["Buildpack/%s" % o["metadata"]["name"] for o in scene.estate.list("Buildpack")
             if any(key.startswith("grapnel.dev/refresh") for key in o["metadata"].get("annotations") or {})]
    if scene.client.get("/apis/coordination.k8s.io/v1/namespaces/%s/leases/grapnel" % scene.estate.system):
        left.append("the Lease")
    expect(left, [], "left behind")
