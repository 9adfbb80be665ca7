"""`grapnel explain`: each cause of a refusal told apart, what would follow, and never a secret in the output."""
import base64
import hashlib
import hmac
import json
import os
import re
import time

import harness
from harness import Skip, chunked, delivery_id, expect, expect_that, hook, payload, request, secret, sign, wait_until
from registry import test

PATH = "/hooks/team-a/webapp"
BODY = b'{"ref":"refs/heads/main","repository":{"full_name":"team-a/webapp"},"after":"' + b"1" * 40 + b'"}'
# Without words in them, so that a part of one in an output is no chance.
TOKEN, OTHER, NEXT, UNUSED, GITLAB, SHA512, BUILD = (os.urandom(18).hex() for _ in range(7))
STANDARD = base64.b64encode(os.urandom(24)).decode()
ACTIONS = "[{reconcile: {apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, name: webapp}}, {log: {}}]"
SECRETS = [TOKEN, OTHER, NEXT, UNUSED, GITLAB, STANDARD, SHA512, BUILD]



def github(body, token=TOKEN, **more):
    return harness.github(body, token, **more)


RECEIVER = """apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: flux, namespace: team-a}
spec:
  type: github
  secretRef: {name: webhook-token}
  resources: [{apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, name: webapp}]
"""
BUILD_CONFIG = """apiVersion: build.openshift.io/v1
kind: BuildConfig
metadata: {name: app, namespace: team-a}
spec:
  source: {type: Git, git: {uri: "https://git.example.com/team-a/app.git", ref: main}}
  triggers:
  - {type: Generic, generic: {secret: %s}}
""" % BUILD
BUILDER = """apiVersion: devops.kubesphere.io/v1alpha1
kind: S2iBuilder
metadata: {name: builder, namespace: team-a}
spec:
  config: {secretCode: %s, sourceUrl: "https://git.example.com/team-a/app.git"}
""" % BUILD


def manifests():
    return {
        "secret.yaml": secret("webhook-token", TOKEN, next=NEXT, unused=UNUSED),
        "hook.yaml": hook(actions=ACTIONS, events=["push", "ping"]),
        "second.yaml": hook("second", secrets=None, more="secretRefs: [{name: webhook-token, key: next}]"),
        "other.yaml": secret("other-token", OTHER, namespace="team-b")
        + "---\n" + hook("other", secrets=["other-token"], namespace="team-b"),
        "newline.yaml": secret("newline", TOKEN[::-1] + "\n") + "---\n" + hook("newline", secrets=["newline"]),
        "gitlab.yaml": secret("gitlab", GITLAB) + "---\n" + hook("gitlab", type="gitlab", secrets=["gitlab"]),
        "sha512.yaml": secret("sha512", SHA512) + "---\n" + hook(
            "sha512", type="hmac", secrets=["sha512"], more="hmac: {algorithm: sha512}"),
        "standard.yaml": secret("standard", "whsec_" + STANDARD) + "---\n" + hook(
            "standard", type="standard-webhooks", secrets=["standard"]),
        "filtered.yaml": hook("filtered", actions=ACTIONS, more="filter: \"req.ref == 'refs/heads/other'\""),
        "broken.yaml": hook("broken", actions=ACTIONS, more="filter: \"req.missing.member == 'x'\""),
        "suspended.yaml": hook("suspended", more="suspend: true"),
        "hosted.yaml": hook("hosted", more="host: only.example.com"),
        "zz-claim.yaml": hook("thief", path=PATH),
        "flux.yaml": RECEIVER,
        "build.yaml": BUILD_CONFIG,
        "builder.yaml": BUILDER,
    }


class Explainer:
    """Runs the command on requests; every output is searched for secrets and right signatures."""

    def __init__(self, context, files=None, flags=()):
        self.context, self.flags = context, list(flags)
        self.folder = os.path.join(context.folder, "explain")
        os.makedirs(self.folder, exist_ok=True)
        for name, text in (files or manifests()).items():
            with open(os.path.join(self.folder, name), "w") as f:
                f.write(text)
        self.count = 0

    def run(self, data, *flags, status=None):
        """(exit status, JSON output, text output) for the bytes of a request."""
        self.count += 1
        path = os.path.join(self.context.folder, "request-%d.http" % self.count)
        with open(path, "wb") as f:
            f.write(data)
        return self.command("--request", path, *flags, status=status, body=data)

    def command(self, *arguments, status=None, body=b""):
        results = []
        for form in (["--json"], []):
            result = self.context.command("explain", "--manifests", self.folder, *self.flags, *arguments, *form)
            check_secrecy(result.stdout + result.stderr, body)
            results.append(result)
        expect(results[0].returncode, results[1].returncode, "exit status of both forms")
        if status is not None:
            expect(results[0].returncode, status, "exit status; output:\n" + results[1].stdout + results[1].stderr)
        return results[0].returncode, json.loads(results[0].stdout or "{}"), results[1].stdout


def parts(text, length=8):
    return {text[i:i + length] for i in range(len(text) - length + 1)}


def check_secrecy(output, data):
    """Nothing of a secret, nor of a signature that would be right for what was given."""
    body = data.partition(b"\r\n\r\n")[2]
    for value in SECRETS:
        for form in (value, base64.b64encode(value.encode()).decode(), value.encode().hex()):
            for part in parts(form):
                expect_that(part not in output, "a part of a secret is in the output: %s" % part)
        for message in {body, body + b"\n", BODY}:
            for algorithm in ("sha1", "sha256", "sha512"):
                right = hmac.new(value.encode(), message, algorithm)
                for form in (right.hexdigest(), base64.b64encode(right.digest()).decode()):
                    for part in parts(form):
                        expect_that(part not in output, "a part of a right signature is in the output: %s" % part)
    for name in ("flux", "labels"):
        for part in parts(hashlib.sha256((TOKEN + name + "team-a").encode()).hexdigest()):
            expect_that(part not in output, "a part of a Flux path is in the output")


def unsigned(*pairs):
    return [f for f in github(BODY) if f[0] != "X-Hub-Signature-256"] + list(pairs)


def codes(explanation):
    return [finding["code"] for finding in explanation["verification"]["findings"]]


@test("explain: an accepted delivery: route, proof, event, answer, writes")
def accepted(context):
    explainer = Explainer(context)
    for data in (request(PATH, BODY, github(BODY)),
                 request(PATH, b"", github(BODY) + [("Transfer-Encoding", "chunked")], length=False) + chunked(BODY, 40),
                 request(PATH, BODY, github(BODY), length=False),
                 request(PATH, b"", github(BODY)[:-1], length=False).replace(b"\r\n", b"\n")[:-1]
                 + b"X-Hub-Signature-256: sha256=" + sign(BODY, TOKEN).encode() + b"\n\n" + BODY):
        _, explanation, text = explainer.run(data, status=0)
        expect(explanation["outcome"], "accepted", "outcome")
        expect(explanation["route"]["receiver"], "Hook/team-a/webapp", "receiver")
        expect_that(explanation["route"]["source"].endswith("hook.yaml:1"), explanation["route"]["source"])
        expect_that("Hook/team-a/thief" in " ".join(explanation["route"]["notes"]), "the losing claim is not named")
        expect(explanation["verification"]["status"], "proven", "verification")
        expect_that('key "token" of Secret/team-a/webhook-token' in explanation["verification"]["provenBy"], "proven by")
        expect((explanation["event"]["ref"], explanation["event"]["repository"]), ("refs/heads/main", "team-a/webapp"),
               "event")
        expect(explanation["event"]["dedupeWindowSeconds"], 60, "window")
        expect(explanation["judgement"]["status"], 200, "status")
        expect([w["action"] for w in explanation["writes"]], ["reconcile GitRepository/team-a/webapp", "log"], "actions")
        write = explanation["writes"][0]
        expect((write["verb"], write["path"]),
               ("PATCH", "/apis/source.toolkit.fluxcd.io/v1/namespaces/team-a/gitrepositories/webapp"), "write")
        expect(list(write["body"]["metadata"]["annotations"]), ["reconcile.fluxcd.io/requestedAt"], "annotation")
        expect_that("VERDICT  accepted" in text and "\n1  ROUTE" in text and "\n6  TARGETS" in text, text)


@test("explain: standard input, usage and environment")
def usage(context):
    explainer = Explainer(context)
    for arguments, status in ((["explain"], 2), (["explain", "--request", "x", "--delivery", "1"], 2),
                              (["explain", "--nonsense"], 2),
                              (["explain", "--request", "/nonexistent", "--manifests", explainer.folder], 3),
                              (["explain", "--request", "-", "--manifests", explainer.folder], 3),
                              (["explain", "--delivery", "1", "--data-dir", "/nonexistent", "--manifests", explainer.folder], 3)):
        expect(context.command(*arguments).returncode, status, " ".join(arguments))


def signature_cases():
    """(what, fields, body, cause, code of the first finding, words in it)"""
    right = sign(BODY, TOKEN)
    wrong = "0" * 64
    pretty = json.dumps(json.loads(BODY), indent=2).encode()
    spaced = json.dumps(json.loads(BODY)).encode()
    name = "X-Hub-Signature-256"
    return [
        ("no signature", unsigned(), BODY, "signature-missing", "header-missing", "X-Hub-Signature-256"),
        ("no prefix", unsigned((name, right)), BODY, "signature-prefix", "wrong-prefix", "right but for"),
        ("upper-case prefix", unsigned((name, "SHA256=" + right)), BODY, "signature-prefix", "wrong-prefix", ""),
        ("no prefix, wrong", unsigned((name, wrong)), BODY, "signature-prefix", "wrong-prefix", "no prefix"),
        ("a digit short", unsigned((name, "sha256=" + wrong[1:])), BODY, "signature-malformed", "malformed",
         "63 hexadecimal digits"),
        ("base64", unsigned((name, "sha256=" + base64.b64encode(bytes.fromhex(right)).decode())), BODY,
         "signature-malformed", "wrong-encoding", "base64"),
        ("twice", unsigned((name, "sha256=" + wrong), (name, "sha256=" + wrong)), BODY, "signature-repeated", "repeated",
         "more than once"),
        ("SHA-1", unsigned(("X-Hub-Signature", "sha1=" + sign(BODY, TOKEN, "sha1"))), BODY, "signature-missing",
         "wrong-algorithm", "SHA-1"),
        ("SHA-512", unsigned((name, "sha256=" + sign(BODY, TOKEN, "sha512"))), BODY, "signature-malformed",
         "wrong-algorithm", "SHA-512"),
        ("plain digest", unsigned((name, "sha256=" + hashlib.sha256(TOKEN.encode() + BODY).hexdigest())), BODY,
         "signature-wrong", "wrong-algorithm", "not an HMAC"),
        ("another field", unsigned(("X-Signature", "sha256=" + right)), BODY, "signature-missing", "wrong-header",
         "x-signature"),
        ("the token", unsigned(("X-Gitlab-Token", TOKEN)), BODY, "signature-missing", "wrong-header", "x-gitlab-token"),
        ("bearer", unsigned(("Authorization", "Bearer " + TOKEN)), BODY, "signature-missing", "wrong-header", "Bearer"),
        ("another receiver", github(BODY, OTHER), BODY, "signature-wrong", "other-receiver", "Hook/team-b/other"),
        ("another key in use", github(BODY, NEXT), BODY, "signature-wrong", "other-key", '"next"'),
        ("an unused key", github(BODY, UNUSED), BODY, "signature-wrong", "other-key", '"unused"'),
        ("token with newline", github(BODY, TOKEN + "\n"), BODY, "signature-wrong", "secret-newline",
         "with a line break"),
        ("a line feed was added", github(BODY), BODY + b"\n", "signature-wrong", "body-changed", "without the line feed"),
        ("a line feed was lost", github(BODY + b"\n"), BODY, "signature-wrong", "body-changed", "with a line feed"),
        ("CRLF", github(pretty.replace(b"\n", b"\r\n")), pretty, "signature-wrong", "body-changed", "CRLF where LF"),
        ("indented", github(pretty), BODY, "signature-wrong", "body-changed", "indented by 2"),
        ("spaced", github(spaced), BODY, "signature-wrong", "body-changed", "a blank behind"),
        ("compacted", github(BODY), pretty, "signature-wrong", "body-changed", "without blanks"),
        ("nothing fits", unsigned((name, "sha256=" + wrong)), BODY, "signature-wrong", "unknown", "no secret"),
    ]


@test("explain: each cause of a failed signature is told apart")
def signatures(context):
    explainer = Explainer(context)
    for what, fields, body, cause, code, words in signature_cases():
        _, explanation, text = explainer.run(request(PATH, body, fields), status=1)
        expect(explanation["outcome"], "refused", what)
        expect(explanation["verification"]["cause"], cause, what)
        expect_that(code in codes(explanation), "%s: expected %s, got %r" % (
            what, code, explanation["verification"]["findings"]))
        expect(codes(explanation)[0], code, what + ": the first finding")
        expect_that(words in explanation["verification"]["findings"][0]["text"], "%s: %r" % (
            what, explanation["verification"]["findings"]))
        expect(explanation["judgement"]["status"], 401, what)
        expect((explanation["writes"], explanation["event"]), ([], None), what)


@test("explain: secrets with a line break, tokens, other algorithms, clocks")
def other_proofs(context):
    explainer = Explainer(context)

    def first(path, fields, body=BODY, *flags):
        _, explanation, _ = explainer.run(request(path, body, fields), *flags, status=1)
        return explanation["verification"]["findings"][0]

    finding = first("/hooks/team-a/newline", github(BODY, TOKEN[::-1]))
    expect(finding["code"], "secret-newline", finding["text"])
    expect_that("without the line break" in finding["text"], finding["text"])
    gitlab = [("Content-Type", "application/json"), ("X-Gitlab-Event", "Push Hook")]
    for fields, code in (([], "header-missing"), ([("X-Gitlab-Token", GITLAB + "x")], "unknown"),
                         ([("X-Gitlab-Token", '"%s"' % GITLAB)], "malformed"),
                         ([("X-Gitlab-Token", OTHER)], "other-receiver"),
                         ([("Authorization", "Bearer " + GITLAB)], "wrong-header"),
                         ([("Private-Token", GITLAB)], "wrong-header"),
                         ([("X-Hub-Signature-256", "sha256=" + sign(BODY, GITLAB))], "wrong-header")):
        finding = first("/hooks/team-a/gitlab", gitlab + fields)
        expect(finding["code"], code, "%r: %s" % ([name for name, _ in fields], finding["text"]))
    finding = first("/hooks/team-a/gitlab?token=" + GITLAB, gitlab)
    expect(finding["code"], "wrong-header", finding["text"])
    finding = first("/hooks/team-a/sha512", [("X-Signature", sign(BODY, SHA512))])
    expect(finding["code"], "wrong-algorithm", finding["text"])

    def standard(seconds, key=base64.b64decode(STANDARD), message=None):
        signed = b"msg_1." + str(seconds).encode() + b"." + BODY if message is None else message
        digest = base64.b64encode(hmac.new(key, signed, "sha256").digest()).decode()
        return [("webhook-id", "msg_1"), ("webhook-timestamp", str(seconds)), ("webhook-signature", "v1," + digest)]

    now = int(time.time())
    path = "/hooks/team-a/standard"
    explainer.run(request(path, BODY, standard(now)), status=0)
    finding = first(path, standard(now - 1000), BODY, "--at", str(now))
    expect(finding["code"], "clock-skew", finding["text"])
    expect_that("1000 s before" in finding["text"], finding["text"])
    explainer.run(request(path, BODY, standard(now - 1000)), "--at", str(now - 990), status=0)
    finding = first(path, standard(now, key=("whsec_" + STANDARD).encode()))
    expect(finding["code"], "secret-form", finding["text"])
    finding = first(path, standard(now, message=BODY))
    expect(finding["code"], "body-changed", finding["text"])


@test("explain: no route, and what was probably meant")
def routes(context):
    explainer = Explainer(context)
    flux = "/hook/" + hashlib.sha256((TOKEN + "flux" + "team-a").encode()).hexdigest()
    trimmed = "/hook/" + hashlib.sha256((TOKEN + "\n" + "flux" + "team-a").encode()).hexdigest()
    cases = [
        ("/hooks/team-a/webap", "webapp"), (PATH + "/", "differs only"), ("/hooks/TEAM-A/webapp", "differs only"),
        ("/nothing/like/it", "no receiver"), ("/hooks/team-a/hosted", "only.example.com"),
        ("/hooks/team-a/thief", "already claimed"), ("/hook/" + "0" * 64, "token, name and namespace"),
        (trimmed, "line break"), (flux.upper().replace("/HOOK", "/hook"), "other letters"),
        ("/apis/build.openshift.io/v1/namespaces/team-a/buildconfigs/ap/webhooks/%s/generic" % BUILD, "BuildConfig"),
        ("/s2itrigger/v1alpha1/general/namespaces/team-a/s2ibuilders/bilder/", "S2iBuilder"),
    ]
    for path, words in cases:
        _, explanation, _ = explainer.run(request(path, BODY, github(BODY)), status=1)
        expect(explanation["outcome"], "no-route", path)
        expect(explanation["route"]["receiver"], None, path)
        expect_that(words in " ".join(explanation["route"]["reasons"]), "%s: %r" % (path, explanation["route"]))
        expect_that(explanation["judgement"]["status"] in (401, 404), "%s: %r" % (path, explanation["judgement"]))
    _, explanation, _ = explainer.run(request(flux, BODY, github(BODY)), status=0)
    expect(explanation["route"]["receiver"], "Receiver/team-a/flux", "the Flux path")
    expect_that("a part of the path" in explanation["event"]["masked"], "masked: %r" % explanation["event"])
    _, explanation, _ = explainer.run(request("/hooks/team-a/hosted", BODY, github(BODY), host="ONLY.example.com:8080"),
                                      status=0)
    expect(explanation["route"]["host"], "only.example.com", "host")


@test("explain: what is refused before or behind the proof")
def refusals(context):
    explainer = Explainer(context, flags=["--max-body", "64KiB"])
    for data, status, reason in (
            (request(PATH, b"", [], method="GET"), 405, "method-not-allowed"),
            (request("/hooks/team-a/suspended", BODY, github(BODY)), 503, "not-ready"),
            (request(PATH, b"x" * 70_000, github(b"x" * 70_000)), 413, "body-too-large"),
            (request("/hooks/team-a/filtered", b"[]", github(b"[]")), 400, "body-malformed"),
            (b"POST  / HTTP/1.1\r\n\r\n", 400, ""), (request(PATH, BODY, github(BODY), host=None), 400, "missing-host"),
            (request(PATH, BODY, github(BODY), version="HTTP/2.0"), 505, "unsupported-version")):
        _, explanation, _ = explainer.run(data, status=1)
        expect((explanation["outcome"], explanation["judgement"]["status"]), ("refused", status), repr(data[:40]))
        expect_that(reason in explanation["judgement"]["reason"], "%r" % explanation["judgement"])
    _, explanation, _ = explainer.run(request(PATH, BODY, github(BODY, event="issues")), status=0)
    expect((explanation["outcome"], explanation["judgement"]["reason"]), ("ignored", "event-not-listed"), "issues")


@test("explain: filters have a result for each target, and errors are told")
def filters(context):
    explainer = Explainer(context)
    _, explanation, text = explainer.run(request("/hooks/team-a/filtered", BODY, github(BODY)), status=0)
    expect({(f["target"], f["result"]) for f in explanation["filters"]},
           {("GitRepository/team-a/webapp", False), ("Hook/team-a/filtered", False)}, "results")
    expect_that(explanation["writes"] == [] and "filtered" in text.splitlines()[0], text)
    _, explanation, _ = explainer.run(request("/hooks/team-a/broken", BODY, github(BODY)), status=0)
    expect_that(all(f["result"] is None and f["error"] for f in explanation["filters"]), "%r" % explanation["filters"])
    files = manifests()
    files["filtered.yaml"] = hook("filtered", actions=ACTIONS, more="filter: \"res.metadata.name == 'webapp'\"")
    _, explanation, text = Explainer(context, files).run(
        request("/hooks/team-a/filtered", BODY, github(BODY)), status=0)
    expect([(f["basis"], f["result"]) for f in explanation["filters"] if f["target"].startswith("Git")],
           [("names", True)], "by name")
    expect_that("names alone" in text, text)


@test("explain: builds and runs with the JSON that would be sent")
def builds(context):
    explainer = Explainer(context)
    path = "/apis/build.openshift.io/v1/namespaces/team-a/buildconfigs/app/webhooks/%s/generic"
    _, explanation, _ = explainer.run(
        request(path % BUILD, b"", [("Content-Type", "application/json")]), status=0)
    write = explanation["writes"][0]
    expect((write["verb"], write["path"]),
           ("POST", "/apis/build.openshift.io/v1/namespaces/team-a/buildconfigs/app/instantiate"), "build")
    expect((write["body"]["kind"], write["body"]["metadata"]["annotations"]["grapnel.dev/sequence"]),
           ("BuildRequest", "<sequence>"), "build request")
    expect(explanation["request"]["path"], path % "***", "path")
    for wrong, code in ((OTHER, "other-receiver"), (BUILD + "%0A", "secret-newline"), ("x" * 20, "unknown")):
        _, explanation, _ = explainer.run(
            request(path % wrong, b"", [("Content-Type", "application/json")]), status=1)
        expect(codes(explanation)[0], code, "%r" % explanation["verification"])
    path = "/s2itrigger/v1alpha1/general/namespaces/team-a/s2ibuilders/builder/?secretCode="
    _, explanation, _ = explainer.run(request(path + BUILD, b"", []), status=0)
    expect_that(explanation["writes"][0]["path"].endswith("/namespaces/team-a/s2iruns"), "%r" % explanation["writes"])
    expect(explanation["writes"][0]["body"]["kind"], "S2iRun", "run")
    _, explanation, _ = explainer.run(request(path + OTHER, b"", []), status=1)
    expect(codes(explanation)[0], "other-receiver", "%r" % explanation["verification"])
    _, explanation, _ = explainer.run(request(path + BUILD, BODY, github(BODY, OTHER)), status=1)
    finding = explanation["verification"]["findings"][0]
    expect_that("Hook/team-b/other" in finding["text"] and "signature" in finding["text"], "%r" % finding)


@test("explain: a delivery from the journal of a stopped server")
def from_journal(context):
    # An action that succeeds: what failed is no duplicate the next time.
    log_only = {name + ".yaml": hook(name, actions="[{log: {}}]", events=["push"]) for name in ("filtered", "hook")}
    log_only["hook.yaml"] = log_only["hook.yaml"].replace("name: hook", "name: webapp")
    server = context.server({**manifests(), **log_only}, tokens=SECRETS)
    body = payload("github-push.json")
    one = delivery_id()
    first = server.push(body, token=TOKEN, delivery=one)
    expect(first.decision, "accepted", "first")
    wait_until(lambda: server.metric("grapnel_trigger_outcomes_total") >= 1, 10, "an outcome")
    again = server.push(body, token=TOKEN, delivery=one)
    ignored = server.push(body, token=TOKEN, event="issues")
    gitlab = server.post("/hooks/team-a/gitlab", payload("gitlab-push.json"), [
        ("Content-Type", "application/json"), ("X-Gitlab-Event", "Push Hook"), ("X-Gitlab-Token", GITLAB)])
    log = server.push(body, token=TOKEN, path="/hooks/team-a/filtered", delivery=delivery_id())
    expect((again.decision, gitlab.status, log.status), ("duplicate", 200, 200), "the others")
    server.stop()
    before = {name: os.path.getmtime(os.path.join(folder, name))
              for folder, _, names in os.walk(server.data) for name in names}
    explainer = Explainer(context)
    data = ["--data-dir", server.data]
    _, explanation, text = explainer.command("--delivery", str(first.sequence), *data, status=0)
    expect((explanation["outcome"], explanation["verification"]["status"]), ("accepted", "earlier"), "first")
    expect((explanation["route"]["receiver"], explanation["event"]["deliveryID"]), ("Hook/team-a/webapp", one), "route")
    expect(explanation["event"]["ref"], json.loads(body)["ref"], "ref")
    expect([w["action"] for w in explanation["writes"]], ["reconcile GitRepository/team-a/webapp", "log"], "actions")
    expect_that("planned:" in text, text)
    _, explanation, _ = explainer.command("--delivery", str(again.sequence), *data, status=0)
    expect_that("duplicate of delivery %d" % first.sequence in explanation["judgement"]["notes"][0], "duplicate")
    _, explanation, _ = explainer.command("--delivery", str(ignored.sequence), *data, status=0)
    expect((explanation["outcome"], explanation["judgement"]["reason"]), ("ignored", "event-not-listed"), "ignored")
    _, explanation, _ = explainer.command("--delivery", str(gitlab.sequence), *data, status=0)
    expect_that("the field x-gitlab-token" in explanation["event"]["masked"], "masked: %r" % explanation["event"])
    os.remove(os.path.join(explainer.folder, "filtered.yaml"))
    _, explanation, _ = explainer.command("--delivery", str(log.sequence), *data, status=1)
    expect(explanation["outcome"], "no-route", "a route that is gone")
    expect(context.command("explain", "--manifests", explainer.folder, *data, "--delivery", "4711").returncode, 3,
           "an unknown sequence")
    after = {name: os.path.getmtime(os.path.join(folder, name))
             for folder, _, names in os.walk(server.data) for name in names}
    expect(after, before, "files of the data directory")


@test("explain: what it says is what a server answers")
def like_the_server(context):
    server = context.server(manifests(), tokens=SECRETS)
    explainer = Explainer(context)
    build = "/apis/build.openshift.io/v1/namespaces/team-a/buildconfigs/%s/webhooks/%s/%s"
    s2i = "/s2itrigger/v1alpha1/%s/namespaces/team-a/s2ibuilders/%s?secretCode=%s"
    flux = "/hook/" + hashlib.sha256((TOKEN + "flux" + "team-a").encode()).hexdigest()
    json_type = [("Content-Type", "application/json")]
    gitlab = json_type + [("X-Gitlab-Event", "Push Hook")]
    requests = [(PATH, body, fields) for _, fields, body, _, _, _ in signature_cases()] + [
        (PATH, BODY, github(BODY)), (PATH, BODY, github(BODY, event="issues")), (PATH, BODY, github(BODY, event="ping")),
        ("/hooks/team-a/suspended", BODY, github(BODY)), ("/hooks/team-a/filtered", BODY, github(BODY)),
        ("/hooks/team-a/filtered", b"[]", github(b"[]")), ("/hooks/team-a/hosted", BODY, github(BODY)),
        ("/hooks/team-a/gitlab", BODY, gitlab), ("/hooks/team-a/gitlab", BODY, gitlab + [("X-Gitlab-Token", GITLAB)]),
        ("/hooks/team-a/nothing", BODY, []), (flux, BODY, github(BODY)), (flux, BODY, github(BODY, OTHER)),
        (flux, BODY, unsigned()), (flux + "0", BODY, []), ("/hooks/team-a/standard", BODY, json_type),
        (build % ("app", BUILD, "generic"), b"", json_type), (build % ("app", OTHER, "generic"), b"", json_type),
        (build % ("app", BUILD, "github"), BODY, github(BODY)), (build % ("none", BUILD, "generic"), b"", json_type),
        (build % ("app", BUILD, "nonsense"), b"", json_type), (build % ("app", BUILD, "generic"), b"nonsense", json_type),
        (s2i % ("general", "builder", BUILD), b"", []), (s2i % ("general", "builder", OTHER), b"", []),
        (s2i % ("general", "none", BUILD), b"", []), (s2i % ("github", "builder", BUILD), BODY, github(BODY)),
    ]
    seen = set()
    for path, body, fields in requests:
        for method in ("POST",) if path in seen else ("POST", "GET"):
            seen.add(path)
            data = request(path, body, fields, method=method)
            with server.connect() as connection:
                answer = connection.exchange(data)
            status, explanation, text = explainer.run(data)
            what = "%s %s\n%s" % (method, path, text)
            judgement = explanation["judgement"]
            expect(judgement["status"], answer.status, what)
            named = {field["name"]: field["value"] for field in judgement["fields"]}
            if answer.decision != "duplicate":
                expect(named.get("Grapnel-Decision"), answer.decision, what)
            expect(status, 0 if answer.decision else 1, what)
            for name in ("Allow", "Retry-After"):
                expect(named.get(name), answer.field(name), name + " of " + what)
            expect(judgement["body"], answer.body.decode().split("\n")[0], what)


def flat(value, place=""):
    """Places of all members; values but for what only the attempt knows."""
    if isinstance(value, dict):
        return [item for key, part in value.items() for item in flat(part, place + "/" + key)]
    if isinstance(value, list):
        return [item for part in value for item in flat(part, place + "/[]")]
    return [place if re.search("requestedAt|sequence|grapnel.dev/delivery$", place) else "%s=%s" % (place, value)]


@test("explain: with an API server the targets are read, and nothing is written")
def with_cluster(context):
    try:
        import fakekube
    except ImportError:
        raise Skip("no API server to ask")
    source = {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
              "metadata": {"name": "webapp", "namespace": "team-a", "labels": {"tier": "gold"}},
              "spec": {"url": "https://git.example.com/team-a/webapp.git"}}
    config = {"apiVersion": "build.openshift.io/v1", "kind": "BuildConfig", "spec": {},
              "metadata": {"name": "app", "namespace": "team-a"}}
    kube = fakekube.cluster(context, [source, config])
    files = manifests()
    files["filtered.yaml"] = hook(
        "filtered", actions="[{reconcile: {apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, name: webapp}},"
        " {reconcile: {apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, name: missing}}]",
        more="filter: \"res.metadata.labels['tier'] == 'gold'\"")
    files["labels.yaml"] = RECEIVER.replace("name: flux", "name: labels").replace(
        "[{apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, name: webapp}]",
        "[{apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, name: '*', matchLabels: {tier: gold}}]")
    data = request("/hooks/team-a/filtered", BODY, github(BODY))
    explainer = Explainer(context, files, kube.flags)
    _, explanation, text = explainer.run(data, status=0)
    expect([(f["target"], f["basis"], f["result"]) for f in explanation["filters"]],
           [("GitRepository/team-a/webapp", "api", True)], text)
    expect([w["action"] for w in explanation["writes"]], ["reconcile GitRepository/team-a/webapp"], text)
    expect_that("missing does not exist" in text and "guess" not in text, text)
    labelled = request("/hook/" + hashlib.sha256((TOKEN + "labels" + "team-a").encode()).hexdigest(), BODY, github(BODY))
    _, explanation, text = explainer.run(labelled, status=0)
    expect([w["action"] for w in explanation["writes"]], ["reconcile GitRepository/team-a/webapp"], text)
    expect(kube.acts(), [], "writes")
    server = context.server(files, tokens=SECRETS, flags=kube.flags)
    path = "/apis/build.openshift.io/v1/namespaces/team-a/buildconfigs/app/webhooks/%s/generic" % BUILD
    for path, body, fields in (("/hooks/team-a/filtered", BODY, github(BODY)), (path, b"", []), (PATH, BODY, github(BODY)),
                               ("/s2itrigger/v1alpha1/general/namespaces/team-a/s2ibuilders/builder?secretCode=" + BUILD,
                                BODY, github(BODY, BUILD))):
        _, explanation, text = explainer.run(request(path, body, fields), status=0)
        before = len(kube.acts())
        expect_that(server.post(path, body, fields).status in (200, 201), path)
        promised = [w for w in explanation["writes"] if w["path"].startswith("/apis/")]
        done = wait_until(lambda: kube.acts(before)[:len(promised)] if len(kube.acts(before)) >= len(promised) else None,
                          15, "the writes that were promised: " + text)
        for write, act in zip(promised, done):
            expect(act["verb"], {"PATCH": "patch", "POST": "create"}[write["verb"]], text)
            for name in (act["resource"], act["namespace"]):
                expect_that("/%s" % name.split("/")[0] in write["path"], "%r: %s" % (act, write["path"]))
            expect(sorted(flat(act["body"])), sorted(flat(write["body"])), text)
    kube.down()
    _, explanation, text = explainer.run(data, status=0)
    expect_that("could not be read" in text and explanation["filters"][0]["basis"] == "names", text)
    _, explanation, text = Explainer(context, files).run(labelled, status=0)
    expect_that("targets not found out" in text, text)
