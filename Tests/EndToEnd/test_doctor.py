"""`grapnel doctor`: says what is wrong with where it runs, and what to do; writes nothing to the cluster."""
import json
import os
import re
import socket
import subprocess
import threading
import time

import fakekube
import watchkube
from clustercase import TOKEN, git, hook, receiver, secret
from harness import Skip, expect, expect_in, expect_that, free_port, plain_hook
from registry import test

REVIEWS = "selfsubjectaccessreviews"


class ReviewKube(watchkube.WatchKube):
    """Answers SelfSubjectAccessReviews: `deny(attributes)` says which are denied."""

    deny = staticmethod(lambda attributes: False)

    def _listen(self, port):
        return fakekube._Server(("127.0.0.1", port), _Handler, self)


class _Handler(watchkube._Handler):
    def _serve(self, kube, r, namespace, name, subresource, path):
        if r.plural != REVIEWS:
            return super()._serve(kube, r, namespace, name, subresource, path)
        fault = kube.fault("create", r.plural, namespace, name)
        if fault and "body" in fault:
            return self._raw(fault["body"])
        self._fail(fault)
        review = self._json()
        attributes = review["spec"]["resourceAttributes"]
        with kube.changed:
            kube.asked.append(attributes)
        self._send(201, dict(review, status={"allowed": not kube.deny(attributes)}))

    def date_time_string(self, timestamp=None):
        return super().date_time_string(time.time() + self.server.kube.skew)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = fakekube._Handler._any


def cluster(context, objects=(), without=()):
    folder = os.path.join(context.folder, "kube-%d" % len(context.closers))
    os.makedirs(folder)
    kube = ReviewKube(watchkube.shared_pki(), free_port(), without=without)
    kube.asked, kube.skew = [], 0
    kube.serve("authorization.k8s.io", "v1", "SelfSubjectAccessReview", REVIEWS, False)
    for o in objects:
        kube.put(o)
    kube.start()
    context.closers.append(kube.stop)
    kube.kubeconfig_path = os.path.join(folder, "kubeconfig")
    with open(kube.kubeconfig_path, "w") as f:
        json.dump(kube.kubeconfig(), f)
    return kube


class Report:
    def __init__(self, result):
        self.code, self.text, self.errors = result.returncode, result.stdout, result.stderr

    def lines(self, word, subject=""):
        return [l for l in self.text.splitlines() if l.startswith((word + "      ")[:6] + subject)]

    def expect(self, word, subject, *texts):
        """One line of this level and subject holds all the texts."""
        lines = self.lines(word, subject)
        expect_that(any(all(t in l for t in texts) for l in lines),
                    "no line `%s %s` with %r:\n%s\n%s" % (word, subject, texts, self.text, self.errors))


def doctor(context, *flags, kube=None, listen=True, timeout=300, data=None):
    more = ["--data-dir", data or os.path.join(context.folder, "data")]
    if kube:
        more += ["--kubernetes", "kubeconfig", "--kubeconfig", kube.kubeconfig_path]
    if listen:
        more += ["--listen", "127.0.0.1:%d" % free_port(), "--admin-listen", "127.0.0.1:%d" % free_port()]
    return Report(context.command("doctor", *more, *flags, timeout=timeout))


def folder(context, manifests, name="manifests"):
    path = os.path.join(context.folder, name)
    os.makedirs(path, exist_ok=True)
    for file, text in manifests.items():
        with open(os.path.join(path, file), "w") as f:
            f.write(text)
    return path


@test("doctor: settings that cannot be read are exit 3, wrong flags 2")
def settings(context):
    expect(doctor(context, "--max-body", "lots").code, 3, "a setting that cannot be read")
    expect(doctor(context, "--config", "/no/such/file").code, 3, "no settings file")
    expect(doctor(context).code, 3, "no source of routes")
    expect(doctor(context, "--output", "xml").code, 2, "an output that there is not")


@test("doctor without a cluster: a good place passes; each line that fails says what to do")
def alone(context):
    os.makedirs(os.path.join(context.folder, "data"), mode=0o700)
    manifests = folder(context, plain_hook())
    report = doctor(context, "--manifests", manifests)
    expect(report.code, 0, report.text + report.errors)
    for subject in ("settings", "data directory", "disk space", "disk sync", "open files", "memory", "--listen", "catalog"):
        expect_that(report.lines("ok", subject) or report.lines("warn", subject), "nothing of %s:\n%s" % (subject, report.text))
    expect(os.listdir(os.path.join(context.folder, "data")), [], "left in the data directory")
    document = context.command("doctor", "--manifests", manifests, "--output", "json", "--listen", "127.0.0.1:0",
                               "--admin-listen", "127.0.0.1:0")
    checks = json.loads(document.stdout)
    expect(checks["failed"], False, "JSON")
    expect_that(all(c["result"] in ("ok", "note", "warn", "fail") for c in checks["checks"]), document.stdout)
    expect_that(all("remedy" in c for c in checks["checks"] if c["result"] in ("warn", "fail")), "no remedy: " + document.stdout)
    # A directory that is not there yet, one that cannot be made, and a file.
    report = doctor(context, "--manifests", manifests, data=os.path.join(context.folder, "later"))
    report.expect("note", "data directory", "does not exist yet")
    expect_that(not os.path.exists(os.path.join(context.folder, "later")), "it was made")
    report = doctor(context, "--manifests", manifests, data="/proc/nowhere/data")
    report.expect("FAIL", "data directory", "cannot be made")
    expect(report.code, 1, "exit status")
    with open(os.path.join(context.folder, "file"), "w"):
        pass
    doctor(context, "--manifests", manifests, data=os.path.join(context.folder, "file")).expect(
        "FAIL", "data directory", "not a directory")
    # Manifests that are wrong, and none.
    broken = folder(context, {"hook.yaml": plain_hook()["hook.yaml"], "bad.yaml": "kind: [\n"}, "broken")
    report = doctor(context, "--manifests", broken)
    report.expect("FAIL", "catalog", "bad.yaml")
    report.expect("FAIL", "catalog", "webhook-token")
    expect(report.code, 1, "exit status")
    doctor(context, "--manifests", folder(context, {}, "empty")).expect("warn", "catalog", "0 routes")
    doctor(context, "--manifests", folder(context, plain_hook(token="short "), "weak")).expect("warn", "catalog", "token")


@test("doctor: ports, limits, names, proxies, certificates")
def network(context):
    manifests = folder(context, plain_hook())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        report = doctor(context, "--manifests", manifests, "--listen", "127.0.0.1:%d" % taken.getsockname()[1],
                        "--admin-listen", "192.0.2.1:9", listen=False)
    report.expect("FAIL", "--listen", "in use")
    report.expect("FAIL", "--admin-listen", "192.0.2.1")
    doctor(context, "--manifests", manifests, "--max-connections", "1000000").expect(
        "FAIL" if int(subprocess.run(["sh", "-c", "ulimit -Hn"], capture_output=True).stdout.replace(b"unlimited", b"9" * 9))
        < 1_000_256 else "ok", "open files")
    report = doctor(context, "--manifests", manifests, "--external-url", "https://no-such-host.invalid/")
    report.expect("FAIL", "external URL", "no-such-host.invalid")
    doctor(context, "--manifests", manifests, "--external-url", "http://127.0.0.1:1/").expect("ok", "external URL", "127.0.0.1")
    config = os.path.join(context.folder, "grapnel.yaml")
    with open(config, "w") as f:
        f.write("manifests: [%s]\noutbound: {proxy: 'http://user:pa55word-hidden@127.0.0.1:%d'}\n" % (manifests, free_port()))
    report = doctor(context, "--config", config)
    report.expect("FAIL", "outbound proxy", "refused")
    expect_that("pa55word" not in report.text + report.errors, "the proxy's password is shown")
    pki = watchkube.shared_pki()
    certificate, key = (os.path.join(pki.folder, n) for n in ("kube.crt", "kube.key"))
    tls = ["--manifests", manifests, "--tls-listen", "127.0.0.1:%d" % free_port()]
    doctor(context, *tls, "--tls-certificate", certificate, "--tls-key", key).expect("ok", "TLS", "good until")
    doctor(context, *tls, "--tls-certificate", certificate, "--tls-key", os.path.join(pki.folder, "ca.key")).expect(
        "FAIL", "TLS", "not the key")
    doctor(context, *tls, "--tls-certificate", "/no/such", "--tls-key", key).expect("FAIL", "TLS", "No such file")


@test("doctor beside a running server: its ports and its directory are notes, not failures")
def beside(context):
    server = context.server(plain_hook())
    report = doctor(context, "--manifests", server.manifests, "--listen", "127.0.0.1:%d" % server.port, "--admin-listen",
                    "127.0.0.1:%d" % server.admin_port, "--external-url", "http://127.0.0.1:%d" % server.port,
                    listen=False, data=server.data)
    expect(report.code, 0, report.text + report.errors)
    report.expect("note", "--listen", "taken", "process %d" % server.pid)
    report.expect("note", "data directory", "a grapnel runs on it")
    report.expect("ok", "external URL", "answers")
    expect(server.push().status, 200, "the server goes on")


@test("doctor: an API server that is away, hangs, refuses all, or talks nonsense")
def bad_server(context):
    kube = cluster(context, [secret(), git(), receiver()])
    kube.faults = [{"verb": "*", "resource": "*", "status": 403, "times": -1}]
    report = doctor(context, kube=kube)
    expect(report.code, 1, report.text + report.errors)
    report.expect("FAIL", "rights", "cannot be asked for", "403")
    kube.faults = []
    kube.starting = 403
    report = doctor(context, kube=kube)
    report.expect("note", "API server", "does not tell its version")
    report.expect("FAIL", "kinds", "403")
    kube.starting = 401
    doctor(context, kube=kube).expect("FAIL", "API server", "401")
    kube.starting = None
    kube.faults = [{"verb": "list", "resource": "receivers", "body": b"\x00\xff{{", "times": -1},
                   {"verb": "create", "resource": REVIEWS, "body": b'{"status": 7}', "times": -1}]
    report = doctor(context, kube=kube)
    report.expect("FAIL", "objects", "no list of objects")
    report.expect("FAIL", "rights", "no review")
    kube.faults, kube.delay = [], 3600                          # it ends before the first answer comes
    report = doctor(context, kube=kube)
    report.expect("FAIL", "API server")
    expect(report.code, 1, "exit status")
    kube.delay = 0
    kube.down()
    report = doctor(context, kube=kube)
    report.expect("FAIL", "API server", "cannot be reached")
    expect(report.code, 1, "exit status")
    with open(kube.kubeconfig_path, "w") as f:
        f.write("{nonsense")
    doctor(context, kube=kube).expect("FAIL", "API server")
    with socket.socket() as silent:                             # takes connections and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        config = kube.kubeconfig()
        config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:%d" % silent.getsockname()[1]
        with open(kube.kubeconfig_path, "w") as f:
            json.dump(config, f)
        doctor(context, kube=kube).expect("FAIL", "API server")


@test("doctor: rights that are denied are named, and granted by as few rules as possible; nothing is written")
def rights(context):
    kube = cluster(context, [secret(), git(), git("hooked"), receiver(), hook()], without=("kpack.io", "build.pivotal.io"))
    kube.skew = 4               # what is not worth a warning, with room for an answer that is long under way
    report = doctor(context, kube=kube)
    expect(report.code, 0, report.text + report.errors)
    report.expect("ok", "API server", "v1.34.0-fake")
    report.expect("ok", "clock skew")
    report.expect("note", "kinds", "not served", "Builder.kpack.io")
    report.expect("ok", "catalog", "2 routes, 2 ready")
    report.expect("ok", "targets", "2 ")
    report.expect("ok", "rights", "secrets in namespace team-a", "get, list, watch of webhook-token")
    report.expect("ok", "rights", "receivers/status.notification.toolkit.fluxcd.io", "patch")
    expect_that("Rules to grant" not in report.text, report.text)
    expect(kube.writes, [], "writes")
    expect_that(TOKEN not in report.text, "the token is shown")

    kube.deny = lambda a: a["verb"] == "watch" or a["resource"] == "leases"
    report = doctor(context, kube=kube)
    expect(report.code, 1, "exit status")
    report.expect("FAIL", "rights", "gitrepositories.source.toolkit.fluxcd.io", "denied: watch")
    report.expect("FAIL", "rights", "leases.coordination.k8s.io in namespace default", "create")
    report.expect("warn", "rights", "leases.coordination.k8s.io in namespace flux-system", "notification-controller-leader-election")
    rules = report.text.partition("Rules to grant:\n\n")[2]
    for text in ("kind: ClusterRole", "kind: Role", "namespace: team-a", "resourceNames: [webhook-token]",
                 "resources: [gitrepositories, ocirepositories]", 'apiGroups: [""]', "resourceNames: [grapnel]"):
        expect_that(text in rules, "the rules lack %r:\n%s" % (text, rules))
    expect(rules.count("verbs: [watch]"), len([l for l in rules.splitlines() if "verbs: [watch]" in l]), "rules")
    kube.deny = lambda a: True
    report = doctor(context, "--output", "json", kube=kube)
    everything = json.loads(report.text)
    expect_that(everything["failed"] and "ClusterRole" in everything["missingRules"], report.text)
    # What is not needed is not asked for.
    kube.deny = lambda a: False
    kube.asked.clear()
    doctor(context, "--observe", "--receiver-status", "given", "--secret-access", "all", kube=kube)
    expect([a for a in kube.asked if a["verb"] in ("patch", "create", "update")], [], "writes that an observer asks for")
    expect({a.get("name") for a in kube.asked if a["resource"] == "secrets"}, {None}, "Secrets by name with access to all")
    kube.asked.clear()
    doctor(context, "--watch-namespace", "team-a", kube=kube)
    expect({a.get("namespace") for a in kube.asked if a["resource"] == "gitrepositories"}, {"team-a"}, "namespaces")


@test("doctor: Secrets that are missing, lack their key or are doubtful, targets that are not there, clocks apart")
def objects(context):
    kube = cluster(context, [
        secret("good"), secret("nokey", key="other"), secret("newline", token="t0ken-with-a-newline\n"), git("there"),
        receiver("there", token="good", resources=[{"kind": "GitRepository", "name": n} for n in ("there", "vanished")]),
        receiver("gone", token="absent"), receiver("keyless", token="nokey"),
        receiver("doubtful", token="newline", resources=[{"kind": "GitRepository", "name": "there"}])])
    kube.skew = 90
    report = doctor(context, kube=kube)
    expect(report.code, 1, "exit status")
    report.expect("FAIL", "catalog", "Secret/team-a/absent")
    report.expect("FAIL", "catalog", "nokey")
    report.expect("warn", "catalog", "newline")
    report.expect("warn", "targets", "GitRepository/team-a/vanished")
    # By as much less as the answer was under way.
    report.expect("warn", "clock skew", " s ahead of this one")
    ahead = int(re.search(r"clock skew: .* (\d+) s ahead", report.text)[1])
    expect_that(30 < ahead <= 90, "the clock is 90 s ahead, told is %d" % ahead)
    expect_that("t0ken-with" not in report.text, "a token is shown")
    kube.skew = -4000
    report = doctor(context, kube=kube)
    report.expect("FAIL", "clock skew", "behind")
    report.expect("FAIL", "catalog", "Secret/team-a/absent")
    kube.faults = [{"verb": "get", "resource": "secrets", "name": "good", "status": 403, "times": -1}]
    doctor(context, kube=kube).expect("FAIL", "catalog", "good", "403")
    expect(kube.writes, [], "writes")


@test("doctor on a small and a volatile disk", alone=True)
def disks(context):
    if os.geteuid() != 0:
        raise Skip("a small file system needs root")
    place = os.path.join(context.folder, "small")
    os.makedirs(place)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=700", "none", place], capture_output=True).returncode:
        raise Skip("this system forbids mounting")
    try:
        manifests = folder(context, plain_hook())
        report = doctor(context, "--manifests", manifests, data=place)
        report.expect("warn", "file system", "tmpfs")
        report.expect("FAIL", "disk space", "64MiB free")
        with open(os.path.join(place, "filler"), "wb") as f:
            try:
                while True:
                    f.write(bytes(1 << 16))
                    f.flush()
            except OSError:
                pass
        report = doctor(context, "--manifests", manifests, data=place)
        report.expect("FAIL", "disk sync", "No space")
        expect(report.code, 1, "exit status")
        expect(os.listdir(place), ["filler"], "left in the data directory")
    finally:
        subprocess.run(["umount", "-l", place], capture_output=True)
