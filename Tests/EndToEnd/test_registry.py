"""A real docker-registry that notifies the server of pushes, and kpack objects that are refreshed because of them."""
import glob
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import urllib.parse

from fakekube import cluster, idle, settled
from harness import PATIENCE, ROOT, Connection, Failure, Skip, expect, expect_that, free_port, hook, secret, wait_until
from registry import test

FIXTURES = os.path.join(ROOT, "Tests", "Fixtures")
TOKEN = "notification-token-4c1f09d2b7e6"
PASSWORD = "notification-p4ssw0rd-91ab3c"
PATH = "/v1/docker/notification"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
REQUESTED, IMAGE = "grapnel.dev/refresh-requested-at", "grapnel.dev/refresh-image"
STACK = "/apis/kpack.io/v1alpha2/clusterstacks/base"
BUILDER = "/apis/build.pivotal.io/v1alpha1/namespaces/team-a/builders/java"


class Registry:
    """A docker-registry with one notification endpoint, on loopback. `host` is the URL by which clients know it."""

    def __init__(self, context, endpoint, authorization=None, timeout="60s", host=None):
        binary = shutil.which("docker-registry")
        if not binary:
            raise Skip("docker-registry is not installed (make deps)")
        self.folder = os.path.join(context.folder, "registry-%d" % len(context.closers))
        os.makedirs(self.folder)
        self.port, self.debug_port = free_port(), free_port()
        self.address = "127.0.0.1:%d" % self.port
        target = {"name": "grapnel", "url": endpoint, "timeout": timeout, "threshold": 2, "backoff": "200ms"}
        if authorization:
            target["headers"] = {"Authorization": [authorization]}
        config = os.path.join(self.folder, "config.yml")
        with open(config, "w") as f:
            json.dump({
                "version": 0.1, "log": {"level": "warn", "accesslog": {"disabled": True}},
                "storage": {"filesystem": {"rootdirectory": os.path.join(self.folder, "images")},
                            "maintenance": {"uploadpurging": {"enabled": False}}},
                "http": {"addr": self.address, "secret": "of-this-test", **({"host": host} if host else {}),
                         "debug": {"addr": "127.0.0.1:%d" % self.debug_port}},
                "notifications": {"endpoints": [target]}}, f)
        self.log = open(os.path.join(self.folder, "log"), "wb")
        self.process = subprocess.Popen([binary, "serve", config], stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, cwd=self.folder, start_new_session=True)
        context.closers.append(self.stop)
        wait_until(lambda: self.is_up(), 15, "docker-registry listens")

    def is_up(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.folder, "log"), errors="replace") as f:
                raise Failure("docker-registry ended with status %d: %s" % (self.process.returncode, f.read()[-500:]))
        try:
            return self.call("GET", "/v2/").status == 200 and self.endpoint() is not None
        except OSError:
            return False

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()

    def call(self, method, target, body=None, fields=None, port=None):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=PATIENCE)
        try:
            connection.request(method, target, body=body, headers=fields or {})
            answer = connection.getresponse()
            answer.content = answer.read()
            return answer
        finally:
            connection.close()

    def endpoint(self):
        """What the registry says of its endpoint: Pending, Events, Successes, Failures, Errors, Statuses."""
        variables = json.loads(self.call("GET", "/debug/vars", port=self.debug_port).content)
        found = variables["registry"]["notifications"]["endpoints"]
        return next((e["Metrics"] for e in found if e["name"] == "grapnel"), None)

    def delivered(self, events, seconds=20):
        """Waits until that many events were accepted by the endpoint, and nothing waits."""
        wait_until(lambda: self.endpoint()["Successes"] >= events and self.endpoint()["Pending"] == 0, seconds,
                   "the registry delivered %d events; it says %r" % (events, self.endpoint()))
        expect(self.endpoint()["Successes"], events, "events that the registry delivered")

    # - pushing and pulling

    def put_blob(self, name, data):
        answer = self.call("POST", "/v2/%s/blobs/uploads/" % name)
        expect(answer.status, 202, "the upload's start")
        place = urllib.parse.urlsplit(answer.headers["Location"])
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        query = place.query + ("&" if place.query else "") + "digest=" + urllib.parse.quote(digest)
        answer = self.call("PUT", place.path + "?" + query, data, {"Content-Type": "application/octet-stream"})
        expect(answer.status, 201, "the blob's upload")
        return {"size": len(data), "digest": digest}

    def put_blobs(self, name, marker):
        """The manifest's text; two events."""
        config = self.put_blob(name, json.dumps({"architecture": "amd64", "os": "linux", "marker": marker}).encode())
        layer = self.put_blob(name, ("layer of " + marker).encode() * 50)
        return json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": dict(config, mediaType="application/vnd.docker.container.image.v1+json"),
            "layers": [dict(layer, mediaType="application/vnd.docker.image.rootfs.diff.tar.gzip")]}).encode()

    def put_manifest(self, name, tag, manifest):
        """One event."""
        answer = self.call("PUT", "/v2/%s/manifests/%s" % (name, tag), manifest, {"Content-Type": MANIFEST})
        expect(answer.status, 201, "the manifest's upload")
        return answer.headers["Docker-Content-Digest"]

    def push(self, name, tag, marker):
        """Three events."""
        return self.put_manifest(name, tag, self.put_blobs(name, marker))


def objects(image):
    """A stack of today and a builder of old that both read `image`, and one of each that read others."""
    name = image.rpartition(":")[0]

    def stack(called, build, run):
        return {"apiVersion": "kpack.io/v1alpha2", "kind": "ClusterStack", "metadata": {"name": called},
                "spec": {"id": "org.example.stack", "buildImage": {"image": build}, "runImage": {"image": run}}}

    def builder(called, of):
        return {"apiVersion": "build.pivotal.io/v1alpha1", "kind": "Builder",
                "metadata": {"name": called, "namespace": "team-a"}, "spec": {"image": of, "updatePolicy": "polling"}}
    return [stack("base", image, name + "-run:latest"), builder("java", image),
            stack("pinned", image + "@sha256:" + "0" * 64, name + "-run:1"), builder("other", name + ":stable")]


def manifests(found):
    return {"kpack.yaml": "\n---\n".join(json.dumps(o) for o in found)}


def settings(auth, **more):
    return json.dumps({"buildService": dict({"auth": {"notification": auth}}, **more)})


BEARER = [{"type": "bearer", "tokenFile": "token"}]


def serve(context, kube, found, auth, **more):
    """A server that takes notifications; credentials stand in files beside its settings."""
    server = context.server(manifests(found), start=False, config=settings(auth, **more), flags=kube.flags,
                            tokens=[TOKEN, PASSWORD])
    for name, secret in (("token", TOKEN), ("password", PASSWORD)):
        with open(os.path.join(server.folder, name), "w") as f:
            f.write(secret + "\n")
    return server


def check_refreshes(writes, image, times=1):
    """Exactly `times` refreshes of stack and builder each, and of nothing else."""
    expect(sorted(w["path"] for w in writes), sorted([STACK, BUILDER] * times), "objects written")
    for write in writes:
        expect((write["verb"], write["subresource"]), ("patch", ""), "the write of " + write["path"])
        expect(write["content_type"], "application/merge-patch+json", "content type")
        expect((list(write["body"]), list(write["body"]["metadata"])), (["metadata"], ["annotations"]), "the patch")
        annotations = write["body"]["metadata"]["annotations"]
        expect(sorted(annotations), [IMAGE, REQUESTED], "annotations")
        expect(annotations[IMAGE], image, "the image named")
        expect_that(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", annotations[REQUESTED]),
                    "no RFC 3339 time: %r" % annotations[REQUESTED])
    times_of = lambda path: [w["body"]["metadata"]["annotations"][REQUESTED] for w in writes if w["path"] == path]
    for path in (STACK, BUILDER):
        expect(len(set(times_of(path))), times, "times in the refreshes of " + path)


def quiet(server, kube, writes):
    """Waits until `writes` succeeded and nothing is owed, and says all there are."""
    wait_until(lambda: len(kube.acts()) >= writes, 20, "%d refreshes" % writes)
    wait_until(lambda: idle(server), 10, "nothing is owed any more")
    return kube.acts()


def answered(server, code):
    return server.metrics().get('grapnel_http_requests_total{kind="BuildService",code="%d"}' % code, 0)


@test("a real registry: a push refreshes what reads the image, another tag and pulls write nothing, nothing times out")
def pushes_and_pulls(context):
    kube = cluster(context)
    # The port of the server is known before it runs; the registry's is what the objects name.
    server = serve(context, kube, [], BEARER)
    registry = Registry(context, "http://127.0.0.1:%d%s" % (server.port, PATH), "Bearer " + TOKEN)
    image = registry.address + "/build-service/base:latest"
    found = objects(image)
    for o in found:
        kube.put(o)
    for name, text in manifests(found).items():
        server.write(name, text)
    server.start()

    registry.push("build-service/base", "latest", "one")
    registry.delivered(3)
    check_refreshes(quiet(server, kube, 2), image)
    expect((answered(server, 202), answered(server, 200)), (1, 2), "202 for the manifest, 200 for its blobs")

    registry.push("build-service/base", "edge", "two")              # a tag that nobody reads
    registry.push("build-service/unknown", "latest", "three")       # a repository that nobody reads
    for method, target in (("GET", "manifests/latest"), ("HEAD", "manifests/latest"), ("GET", "manifests/edge")):
        answer = registry.call(method, "/v2/build-service/base/" + target, fields={"Accept": MANIFEST})
        expect(answer.status, 200, "%s of %s" % (method, target))
    layer = json.loads(registry.call("GET", "/v2/build-service/base/manifests/latest",
                                     fields={"Accept": MANIFEST}).content)["layers"][0]["digest"]
    expect(registry.call("GET", "/v2/build-service/base/blobs/" + layer).status, 200, "the pull of a blob")
    registry.delivered(3 + 6 + 5)
    expect((answered(server, 202), answered(server, 200)), (1, 13), "none of them was taken for a reason to act")
    expect(len(quiet(server, kube, 2)), 2, "writes after pushes elsewhere and pulls")

    registry.push("build-service/base", "latest", "four")           # the tag moves on
    registry.delivered(17)
    check_refreshes(quiet(server, kube, 4), image, times=2)
    said = registry.endpoint()
    expect((said["Failures"], said["Errors"]), (0, 0), "answers that came late or wrong, by the registry's count")
    expect(said["Statuses"], {"200 OK": 15, "202 Accepted": 2}, "answers that the registry saw")
    expect(kube.attempts(), 4, "attempts at the API server")


@test("a real registry: user:password@ in its URL is Basic; a wrong password is refused until it is corrected")
def basic(context):
    kube = cluster(context)
    auth = [{"type": "basic", "username": "hook", "passwordFile": "password"}]
    server = serve(context, kube, [], auth)
    registry = Registry(context, "http://hook:%s@127.0.0.1:%d%s" % (PASSWORD, server.port, PATH))
    # The objects know the registry by the name that clients outside use.
    image = "registry.example.com/build-service/base:latest"
    with open(server.config, "w") as f:
        f.write(settings(auth, hostAliases={registry.address: "registry.example.com"}))
    with open(os.path.join(server.folder, "password"), "w") as f:
        f.write("not-" + PASSWORD)
    found = objects(image)
    for o in found:
        kube.put(o)
    server.write("kpack.yaml", manifests(found)["kpack.yaml"])
    server.start()
    registry.push("build-service/base", "latest", "one")
    wait_until(lambda: answered(server, 401) >= 3, 20, "refusals")
    wait_until(lambda: registry.endpoint()["Failures"] >= 3, 20, "failures by the registry's count")
    expect((kube.attempts(), registry.endpoint()["Successes"]), (0, 0), "writes and successes without credentials")
    server.stop()
    with open(os.path.join(server.folder, "password"), "w") as f:
        f.write(PASSWORD)
    server.start()
    registry.delivered(3)
    check_refreshes(quiet(server, kube, 2), image)
    registry.push("build-service/base", "other", "two")
    registry.delivered(6)
    expect(kube.attempts(), 2, "attempts at the API server")


@test("a real registry: what is pushed while the server is stopped arrives once it is back, once")
def stopped(context):
    kube = cluster(context)
    server = serve(context, kube, [], BEARER)
    registry = Registry(context, "http://127.0.0.1:%d%s" % (server.port, PATH), "Bearer " + TOKEN,
                        host="https://registry.example.com")
    image = "registry.example.com/build-service/base:latest"
    found = objects(image)
    for o in found:
        kube.put(o)
    server.write("kpack.yaml", manifests(found)["kpack.yaml"])
    server.start()
    registry.push("build-service/base", "first", "one")
    registry.delivered(3)
    server.stop()
    registry.push("build-service/base", "latest", "two")
    # What could not be sent is an error to the registry, what was refused a failure.
    wait_until(lambda: registry.endpoint()["Errors"] >= 3, 20, "attempts while nobody listens")
    expect(registry.endpoint()["Pending"], 3, "events that the registry keeps")
    kube.down()                             # and then the API server is not there either
    server.start()
    registry.delivered(6)
    expect(answered(server, 202), 1, "the push, taken while the API server is away")
    expect(kube.attempts(), 0, "writes")
    owed = lambda: server.metric("grapnel_journal_owed_deliveries")
    wait_until(lambda: owed() == 1, 10, "the journal counts what is owed")
    kube.up()
    check_refreshes(quiet(server, kube, 2), image)
    # After a crash nothing is repeated that was done.
    wait_until(lambda: owed() == 0, 10, "the outcomes are in the journal")
    server.kill()
    server.start()
    registry.push("build-service/base", "another", "three")
    registry.delivered(9)
    check_refreshes(quiet(server, kube, 2), image)
    expect(kube.attempts(), 2, "attempts at the API server")


@test("a real registry: an answer that comes too late is a duplicate the next time, and one refresh")
def too_late(context):
    kube = cluster(context)
    server = serve(context, kube, [], BEARER)
    registry = Registry(context, "http://127.0.0.1:%d%s" % (server.port, PATH), "Bearer " + TOKEN, timeout="500ms")
    image = registry.address + "/build-service/base:latest"
    found = objects(image)
    for o in found:
        kube.put(o)
    server.write("kpack.yaml", manifests(found)["kpack.yaml"])
    server.start()
    manifest = registry.put_blobs("build-service/base", "one")
    registry.delivered(2)
    server.signal(signal.SIGSTOP)           # the kernel takes connections and requests, nobody answers them
    try:
        registry.put_manifest("build-service/base", "latest", manifest)
        wait_until(lambda: registry.endpoint()["Errors"] >= 2, 20, "two attempts that ran out of time")
    finally:
        server.signal(signal.SIGCONT)
    registry.delivered(3)
    check_refreshes(quiet(server, kube, 2), image)
    # All attempts that the server ever saw are through once a later one is.
    registry.push("build-service/base", "another", "two")
    registry.delivered(6)
    check_refreshes(quiet(server, kube, 2), image)
    expect(kube.attempts(), 2, "attempts at the API server")


# - The same as a Hook

def hook_story(context, host=None):
    """One push to a registry that notifies a Hook: (the server, the API server, the registry, the image)."""
    kube = cluster(context)
    server = context.server(
        {"hook.yaml": secret("registry-token", TOKEN) + "---\n" + hook(
            "registry", type="docker-registry", secrets=["registry-token"], actions="[{kpackRefresh: {}}]")},
        start=False, flags=kube.flags, tokens=[TOKEN])
    endpoint = "http://127.0.0.1:%d/hooks/team-a/registry" % server.port
    registry = Registry(context, endpoint, "Bearer " + TOKEN, host=host)
    image = (host or "//" + registry.address).partition("//")[2] + "/build-service/base:latest"
    found = objects(image)
    for o in found:
        kube.put(o)
    server.write("kpack.yaml", manifests(found)["kpack.yaml"])
    server.start()
    registry.push("build-service/base", "latest", "one")
    registry.delivered(3)
    return server, kube, registry, image


@test("a real registry and a Hook: a push is one refresh, its blobs, other tags and pulls are none")
def hook_refreshes_once(context):
    server, kube, registry, image = hook_story(context)
    check_refreshes(quiet(server, kube, 2), image)
    registry.push("build-service/base", "edge", "two")
    registry.call("GET", "/v2/build-service/base/manifests/latest", fields={"Accept": MANIFEST})
    registry.delivered(7)
    check_refreshes(quiet(server, kube, 2), image)


@test("a real registry and a Hook: the image is named by the host that the registry gives itself")
def hook_host(context):
    server, kube, registry, image = hook_story(context, host="https://registry.example.com")
    quiet(server, kube, 2)
    expect(sorted({w["path"] for w in kube.acts()}), sorted([STACK, BUILDER]), "objects written")


# - Recorded requests

def replay(port, recorded):
    """One recorded request, byte for byte, on a connection of its own."""
    lines = ["%s %s HTTP/1.1" % (recorded["method"], recorded["path"])]
    lines += ["%s: %s" % tuple(field) for field in recorded["headers"]]
    with Connection(port) as connection:
        return connection.exchange(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
                                   + recorded.get("body_text", "").encode(), recorded["method"])


@test("requests that real registries sent, replayed byte for byte, get the answers of the specification")
def captures(context):
    with open(os.path.join(FIXTURES, "end-to-end", "captures.json")) as f:
        wanted = json.load(f)["expected"]
    files = sorted(glob.glob(os.path.join(FIXTURES, "build-service", "captured-*.json")))
    expect(sorted(os.path.basename(f) for f in files), sorted(wanted), "recordings and expectations")
    kube = cluster(context)
    with open(os.path.join(FIXTURES, "end-to-end", "captures-objects.json")) as f:
        found = json.load(f)
    for o in found:
        kube.put(o)
    password = "hookpass"
    server = context.server(
        manifests(found), flags=kube.flags, tokens=["fixture-token-123", password],
        config=settings([{"type": "bearer", "token": "fixture-token-123"},
                         {"type": "basic", "username": "hookuser", "password": password}],
                        hostAliases={"registry.internal:5000": "registry.example.com"}))
    problems, sent = [], 0
    # What was patched for a digest is not patched for it again: the recordings tell of the same images.
    patched = set()
    for path in files:
        name = os.path.basename(path)
        with open(path) as f:
            recorded = json.load(f)["requests"]
        expect(len(recorded), len(wanted[name]), "requests of " + name)
        for number, (one, line) in enumerate(zip(recorded, wanted[name])):
            status, decision, written = line["status"], line["decision"], line.get("writes", [])
            digest = re.search(r'"digest": *"(sha256:[0-9a-f]+)"', one.get("body_text", ""))
            if digest:
                written, known = [w for w in written if (w, digest[1]) not in patched], written
                patched.update((w, digest[1]) for w in known)
            before = len(kube.acts())
            answer = replay(server.port, one)
            sent += 1
            if answer.decision == "accepted":
                settled(server, [answer])
            writes = ["%s/%s %s" % (w["kind"], w["name"], w["body"]["metadata"]["annotations"].get(IMAGE))
                      for w in kube.acts(before)]
            came = (answer.status, answer.decision, sorted(writes), answer.body)
            if came != (status, decision, sorted(written), b""):
                problems.append("%s request %d: expected %r, got %r" % (
                    name, number + 1, (status, decision, sorted(written), b""), came))
            if status == 405:
                expect(answer.field("Allow"), "POST", "Allow")
    expect(problems, [], "%d recorded requests" % sent)
    expect_that(sent >= 45, "only %d requests were replayed" % sent)
    expect(kube.attempts(), len(kube.acts()), "attempts at the API server")
