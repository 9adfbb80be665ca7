"""The systems whose webhooks are served, one realistic story each, against an API server that remembers every write."""
import base64
import hashlib
import json
import os
import re
import threading
import time
import urllib.parse

from fakekube import cluster, outcomes, settled
from harness import (LONG_LIMITS, ROOT, TOKEN, Failure, chunked, delivery_id, expect, expect_in, expect_soon, expect_that,
                     github, hook, padded_push, payload, request, secret, sign, wait_until)
from registry import test

FIXTURES = os.path.join(ROOT, "Tests", "Fixtures")
REQUESTED = "reconcile.fluxcd.io/requestedAt"
QUICK = "retry: {attempts: 10, backoff: 100ms, maxBackoff: 500ms}"
JSON = ("Content-Type", "application/json")


def escaped(text):
    """Every byte of it escaped: the same to who decodes it, another text to who looks for it."""
    return "".join("%%%02X" % byte for byte in text.encode())


def documents(*objects):
    return "\n---\n".join(o if isinstance(o, str) else json.dumps(o) for o in objects)


def git_repository(name, namespace="team-a", annotations=None):
    return {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": {"name": name, "namespace": namespace, **({"annotations": annotations} if annotations else {})},
            "spec": {"url": "https://git.example.com/team-a/%s.git" % name, "interval": "1h"}}


def reconcile(name):
    return "\n  - reconcile: {kind: GitRepository, name: %s}" % name


def written(writes):
    """namespace/name of what was written, sorted."""
    return sorted("%s/%s" % (w["namespace"], w["name"]) for w in writes)


def check_reconciliations(writes, names):
    expect(written(writes), sorted(names), "objects annotated")
    for write in writes:
        expect((write["verb"], write["content_type"]), ("patch", "application/merge-patch+json"), "the write")
        expect(list(write["body"]), ["metadata"], "the patch's members")
        expect(list(write["body"]["metadata"]["annotations"]), [REQUESTED], "annotations")


# - Flux

def flux_path(token, name, namespace):
    return "/hook/" + hashlib.sha256((token + name + namespace).encode()).hexdigest()


PACKAGE = "example.com/package"


def image_repository(name, package=None, namespace="team-a", labels=None):
    meta = {"name": name, "namespace": namespace, "labels": {"registry": "ghcr"} if labels is None else labels}
    if package:
        meta["annotations"] = {PACKAGE: package}
    return {"apiVersion": "image.toolkit.fluxcd.io/v1", "kind": "ImageRepository", "metadata": meta,
            "spec": {"image": "ghcr.io/acme/" + name, "interval": "1h"}}


@test("Flux: a GitHub Receiver finds ImageRepositories by label, and its filter keeps those of the package")
def flux(context):
    kube = cluster(context, [
        image_repository("backend", "backend"), image_repository("backend-canary", "backend"),
        image_repository("frontend", "frontend"), image_repository("plain"),
        image_repository("unlabelled", "backend", labels={"registry": "quay"}),
        image_repository("backend", "backend", namespace="team-b")])
    receiver = {
        "apiVersion": "notification.toolkit.fluxcd.io/v1", "kind": "Receiver",
        "metadata": {"name": "packages", "namespace": "team-a"},
        "spec": {"type": "github", "events": ["ping", "registry_package"], "secretRef": {"name": "webhook-token"},
                 "resources": [{"apiVersion": "image.toolkit.fluxcd.io/v1", "kind": "ImageRepository", "name": "*",
                                "matchLabels": {"registry": "ghcr"}}],
                 "resourceFilter": 'has(res.metadata.annotations) && "%s" in res.metadata.annotations && '
                                   'res.metadata.annotations["%s"] == req.registry_package.name' % (PACKAGE, PACKAGE)}}
    server = context.server({"receiver.yaml": documents(secret("webhook-token", TOKEN), receiver)}, flags=kube.flags)
    path = flux_path(TOKEN, "packages", "team-a")
    with open(os.path.join(FIXTURES, "flux", "payloads", "github-registry-package-published-docker.json")) as f:
        published = json.load(f)

    def publish(name, **more):
        published["registry_package"]["name"] = name
        return server.push(json.dumps(published).encode(), path, event=more.pop("event", "registry_package"), **more)
    answer = publish("backend")
    expect((answer.status, answer.decision), (200, "accepted"), "the package's event")
    settled(server, [answer])
    check_reconciliations(kube.acts(), ["team-a/backend", "team-a/backend-canary"])
    expect([r for r in kube.reads if r[0] == "list"],
           [("list", "/apis/image.toolkit.fluxcd.io/v1/namespaces/team-a/imagerepositories")], "lists")

    before = len(kube.writes_since())
    answer = publish("nobody-follows-this")
    settled(server, [answer])
    expect([(o["code"], o["reason"]) for o in outcomes(server, answer.sequence)], [("ignored", "filtered")],
           "the outcome for a package that nobody follows")
    answer = server.push(payload("github-ping.json"), path, event="ping")   # its body names no package
    expect((answer.status, answer.decision), (200, "accepted"), "a ping")
    settled(server, [answer])
    expect([o["code"] for o in outcomes(server, answer.sequence)], ["ignored"], "the outcome of a ping")
    expect(publish("backend", event="push").status, 400, "an event that is not listed")
    expect(publish("backend", token="wrong").status, 400, "a wrong signature")
    expect(server.post(path, b"{}", [JSON]).status, 400, "no signature")
    kube.put(image_repository("backend-new", "backend"))        # the cluster changes, the manifests do not
    kube.put(image_repository("backend-canary", "frontend"))
    answer = publish("backend")
    settled(server, [answer])
    check_reconciliations(kube.acts(before), ["team-a/backend", "team-a/backend-new"])


# - OpenShift

BUILD_SECRET = "bc-s3cret path-7f3a91c2"             # a blank: it is escaped in the path


def build_config(name="orders", namespace="demo", ref="main", options=None, **triggers):
    meta = {"name": name, "namespace": namespace}
    if options:
        meta["annotations"] = {"grapnel.dev/webhook-options": options}
    return {"apiVersion": "build.openshift.io/v1", "kind": "BuildConfig", "metadata": meta,
            "spec": {"source": {"git": {"uri": "https://git.example.com/acme/%s.git" % name, "ref": ref}},
                     "strategy": {"type": "Docker", "dockerStrategy": {}},
                     "triggers": [{"type": kind, kind.lower(): {"secretReference": {"name": reference}}}
                                  for kind, reference in triggers.items()] + [{"type": "ConfigChange"}]},
            "status": {"lastVersion": 7}}


def build_path(secret_text=BUILD_SECRET, type="github", name="orders", namespace="demo"):
    return "/apis/build.openshift.io/v1/namespaces/%s/buildconfigs/%s/webhooks/%s/%s" % (
        namespace, name, urllib.parse.quote(secret_text, safe=""), type)


def build_secret(name="orders-github", value=BUILD_SECRET, namespace="demo"):
    return secret(name, value, namespace, key="WebHookSecretKey")


def openshift_push(name):
    with open(os.path.join(FIXTURES, "openshift", "payloads", name), "rb") as f:
        return f.read()


def openshift(context, **more):
    config = build_config(GitHub="orders-github", **more)
    kube = cluster(context, [config])
    server = context.server({"orders.yaml": documents(build_secret(), config)}, flags=kube.flags,
                            tokens=[BUILD_SECRET, urllib.parse.quote(BUILD_SECRET)])
    return kube, server


INSTANTIATE = "/apis/build.openshift.io/v1/namespaces/demo/buildconfigs/orders/instantiate"


@test("OpenShift: a GitHub push instantiates its BuildConfig once, with commit and cause")
def openshift_build(context):
    kube, server = openshift(context)
    body, one = openshift_push("github-push-main.json"), delivery_id()
    answer = server.post(build_path(), body, github(body, "not looked at", delivery=one))
    expect((answer.status, answer.decision, answer.body), (200, "accepted", b""), "the push")
    settled(server, [answer])
    writes = kube.acts()
    expect([(w["verb"], w["path"], w["status"]) for w in writes], [("create", INSTANTIATE, 201)], "calls")
    commit = json.loads(body)["head_commit"]
    people = {who: {k: commit[who][k] for k in ("name", "email")} for who in ("author", "committer")}
    revision = {"type": "Git", "git": {"commit": commit["id"], "message": commit["message"], **people}}
    labels = writes[0]["body"]["metadata"].pop("labels")
    expect(list(labels), ["grapnel.dev/delivery"], "labels")
    expect_that(re.fullmatch("[0-9a-v]{13}", labels["grapnel.dev/delivery"]), "the label is %r" % labels)
    expect(writes[0]["body"], {
        "kind": "BuildRequest", "apiVersion": "build.openshift.io/v1",
        "metadata": {"name": "orders", "annotations": {"grapnel.dev/sequence": str(answer.sequence),
                                                       "grapnel.dev/delivery-id": one}},
        "revision": revision,
        "triggeredBy": [{"message": "GitHub WebHook",
                         "githubWebHook": {"revision": revision, "secret": "<secret>"}}]}, "the BuildRequest")
    expect(kube.get("build.openshift.io/v1", "BuildConfig", "demo", "orders")["status"]["lastVersion"], 8, "builds")

    for name, event in (("github-push-feature-slash.json", "push"), ("github-ping.json", "ping")):
        other = openshift_push(name)
        answer = server.post(build_path(), other, github(other, event=event))
        expect((answer.status, answer.body), (200, b""), name)
        expect_that((answer.decision or "").startswith("ignored;"), "%s: decision %r" % (name, answer.decision))
    body = openshift_push("github-push-main.json")
    settled(server, [server.post(build_path(), body, github(body))])
    expect([w["path"] for w in kube.acts()], [INSTANTIATE] * 2, "calls: what was ignored built nothing")


@test("OpenShift: wrong secret, other trigger and unknown BuildConfig get one answer, and build nothing")
def openshift_refusals(context):
    kube, server = openshift(context)
    body = openshift_push("github-push-main.json")
    texts = {}
    for what, name, path in (
            ("a wrong secret", "orders", build_path("guess")),
            ("a wrong secret of the right length", "orders", build_path("x" * len(BUILD_SECRET))),
            ("no such trigger", "orders", build_path(type="gitlab")),
            ("no such BuildConfig", "absent", build_path(name="absent")),
            ("no such namespace", "orders", build_path(namespace="nowhere"))):
        answer = server.post(path, body, github(body))
        expect(answer.status, 401, what)
        type = path.rpartition("/")[2]
        said = json.loads(answer.body)
        expect((said["kind"], said["reason"], said["code"]), ("Status", "Unauthorized", 401), what)
        for echo in (BUILD_SECRET, urllib.parse.quote(BUILD_SECRET), "guess"):
            expect_that(echo not in answer.raw.decode(), "a secret is echoed: %r" % answer.raw)
        raw = re.sub(rb"Content-Length: \d+", b"", answer.without_date())
        texts[what] = raw.replace(name.encode(), b"NAME").replace(type.encode(), b"TYPE")
    expect(len(set(texts.values())), 1, "answers that differ in more than the names in the path: %r" % texts)
    answer = server.post(build_path(), body, github(body))
    settled(server, [answer])
    expect(kube.attempts(), 1, "calls: only the one with the right secret")


@test("OpenShift: a push while the API server is away is built once it is back, and once")
def openshift_away(context):
    kube, server = openshift(context)
    body = openshift_push("github-push-main.json")
    kube.down()
    answers = [server.post(build_path(), body, github(body)) for _ in range(2)]
    expect([(a.status, a.decision) for a in answers], [(200, "accepted")] * 2, "pushes while the API server is away")
    wait_until(lambda: "trigger failed, will be tried again" in server.log_text(), 10, "an attempt that fails")
    expect(server.is_ready(), True, "ready while the API server is away")
    kube.faults = [{"verb": "create", "resource": "buildconfigs", "status": 503, "times": 2}]   # as it starts up
    kube.up()
    settled(server, answers, 30)
    named = sorted(w["body"]["metadata"]["annotations"]["grapnel.dev/sequence"] for w in kube.acts())
    expect(named, sorted(str(a.sequence) for a in answers), "builds by the delivery that caused them")
    expect(kube.attempts() - len(kube.acts()), 2, "attempts that failed")


# - KubeSphere

CODE = "s2i-s3cret-code-5d81e0b7"


def s2i_builder(name="shop", code=CODE, **more):
    return {"apiVersion": "devops.kubesphere.io/v1alpha1", "kind": "S2iBuilder",
            "metadata": {"name": name, "namespace": "demo"},
            "spec": {"config": {"sourceUrl": "https://git.example.com/acme/%s.git" % name, "secretCode": code,
                                "revisionId": "master", "imageName": "registry.example.com/acme/" + name, **more}}}


def s2i_path(route, name="shop"):
    return "/s2itrigger/v1alpha1/%s/namespaces/demo/s2ibuilders/%s/" % (route, name)


@test("KubeSphere: the general and the GitHub trigger create S2iRuns for those who know the code")
def kubesphere(context):
    builder = s2i_builder()
    kube = cluster(context, [builder])
    server = context.server({"shop.yaml": documents(builder)}, flags=kube.flags, tokens=[CODE])
    general, on_github = s2i_path("general"), s2i_path("github")
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    push = payload("github-push.json")
    commit = json.loads(push)["head_commit"]

    def creation(answer, revision):
        """The S2iRun that must come of this answer."""
        expect((answer.status, answer.decision), (201, "accepted"), "a request with the code")
        settled(server, [answer])
        run = next((w for w in kube.acts() if w["body"]["metadata"]["annotations"].get("grapnel.dev/sequence")
                    == str(answer.sequence)), None)
        expect_that(run, "no S2iRun for delivery %s in %r" % (answer.sequence, kube.acts()))
        expect((run["verb"], run["path"]), ("create", "/apis/devops.kubesphere.io/v1alpha1/namespaces/demo/s2iruns"),
               "the call")
        document = run["body"]
        expect((document["kind"], document["metadata"]["generateName"]), ("S2iRun", "shop"), "the object")
        wanted = {"builderName": "shop", **({"newRevisionId": revision} if revision else {})}
        expect(document["spec"], wanted, "the run's spec")
        return document["metadata"]["annotations"]["kubesphere.io/creator"]
    with server.connect() as connection:
        answer = connection.exchange(request("%s?secretCode=%s" % (general, CODE), method="GET", length=False), "GET")
    expect(creation(answer, None), "auto-trigger", "who created it")
    creation(server.post(general, ("secretCode=" + CODE).encode(), form), None)
    creation(server.post(general, b"{}", [JSON, ("Authorization", "Bearer " + CODE)]), None)
    creator = creation(server.post(on_github, push, github(push, CODE)), commit["id"])
    expect(creator, "trigger-" + commit["committer"]["name"], "who created it")
    creation(server.post(on_github, b"payload=" + urllib.parse.quote_plus(push).encode(),
                         form + [("X-GitHub-Event", "push"), ("X-Gitlab-Token", CODE)]), commit["id"])

    made = len(kube.acts())
    expect(made, 5, "runs")
    refused = [("%s?secretCode=%s" % (general, "x" * len(CODE)), b"", [], 401), (general, b"", [], 401),
               (general, ("secretCode=%sx" % CODE).encode(), form, 401),
               ("%s?secretCode=%s" % (general, CODE), b"{}", [JSON, ("X-Gitlab-Token", "wrong")], 401),
               (on_github, push, github(push, "wrong"), 401),
               (on_github, push, [JSON, ("X-GitHub-Event", "push")], 401),
               (s2i_path("general", "absent") + "?secretCode=" + CODE, b"", [], 404),
               (s2i_path("general") + "more?secretCode=" + CODE, b"", [], 404)]
    for path, body, fields, status in refused:
        expect(server.post(path, body, fields).status, status, "POST %s with %r" % (path, fields))
    other = json.dumps(dict(json.loads(push), ref="refs/heads/elsewhere")).encode()
    for body, event, reason in ((other, "push", "ref-mismatch"), (push, "issues", "event-irrelevant"),
                                (push, "ping", "ping")):
        answer = server.post(on_github, body, github(body, CODE, event=event))
        expect((answer.status, answer.decision), (200, "ignored;" + reason), "a %s for the GitHub trigger" % event)
    creation(server.post(general, ("secretCode=" + CODE).encode(), form), None)
    expect(kube.attempts(), made + 1, "attempts at the API server: what was refused or ignored started nothing")


# - Credentials

def multipart(code):
    return ('--b0und\r\nContent-Disposition: form-data; name="secretCode"\r\n\r\n%s\r\n--b0und--\r\n' % code).encode()


def on_disk(folder):
    """All bytes below a folder of a running server; it renames segments while we read, so a walk that misses one starts over."""
    for _ in range(100):
        try:
            parts = []
            for place, _, files in os.walk(folder):
                for name in files:
                    with open(os.path.join(place, name), "rb") as f:
                        parts.append(f.read())
            return b"".join(parts)
        except FileNotFoundError:
            time.sleep(0.02)
    raise Failure("the files below %s never stood still" % folder)


@test("secrets of paths, queries, forms and fields are neither in the journal nor in the log nor in the figures")
def credentials(context):
    values = {
        "path": "path-t0ken-1c9e4f%2B77", "query": "query-t0ken-8811aa", "header": "header-t0ken-03be77",
        "bearer": "bearer-t0ken-fe6512", "password": "basic-p4ssword-90cd13", "jfrog": "jfrog-s3cret-55f0a1",
        "receiver": "receiver-t0ken-6ad2", "hub": "hub-t0ken-b0c1d2e3f4a5b6c7", "notification": "notify-t0ken-74aa",
        "code": CODE, "build": BUILD_SECRET}
    values["path"] = urllib.parse.unquote(values["path"])       # `+`: escaped in one delivery, as it is in another
    config, builder = build_config(GitHub="orders-github", Generic="orders-github"), s2i_builder()
    kube = cluster(context, [config, builder, git_repository("webapp")])
    credential = {"path": "{type: path}", "query": "{type: query, name: token}",
                  "header": "{type: header, name: X-Webhook-Token}", "bearer": "{type: bearer}"}
    parts = [build_secret(), config, builder]
    for name in ("path", "query", "header", "bearer", "password", "jfrog", "receiver"):
        parts.append(secret(name, values[name]))
    for name, text in credential.items():
        parts.append(hook("by-" + name, type="token", secrets=[name], actions="[{log: {}}]",
                          more="credential: " + text))
    parts.append(hook("by-basic", type="azure-devops", secrets=["password"], actions="[{log: {}}]"))
    parts.append(hook("by-jfrog", type="jfrog", secrets=["jfrog"], actions="[{log: {}}]",
                      more="credential: {type: header, name: X-JFrog-Event-Auth}"))
    parts.append({"apiVersion": "notification.toolkit.fluxcd.io/v1", "kind": "Receiver",
                  "metadata": {"name": "open", "namespace": "team-a"},
                  "spec": {"type": "generic", "secretRef": {"name": "receiver"},
                           "resources": [{"kind": "GitRepository", "name": "webapp"}]}})
    server = context.server(
        {"all.yaml": documents(*parts)}, flags=kube.flags, tokens=values.values(),
        config=json.dumps({"buildService": {"auth": {
            "notification": {"type": "bearer", "token": values["notification"]},
            "dockerHub": {"type": "urlToken", "token": values["hub"]}}}}))
    ids = []

    def fields(*more):
        ids.append(delivery_id())
        return [JSON, ("X-GitHub-Delivery", ids[-1]), ("X-GitHub-Event", "push"), *more]
    basic = lambda password: ("Authorization", "Basic " + base64.b64encode(("azure:" + password).encode()).decode())
    body = openshift_push("github-push-main.json")
    marker = b"marker-of-the-body-22ac81"
    marked = json.dumps({"eventType": marker.decode(), "ref": "refs/heads/main", "resource": {}}).encode()
    quoted = urllib.parse.quote(values["path"], safe="")
    hub = b'{"push_data":{"tag":"1"},"repository":{"repo_name":"a/b"}}'
    built = fields()
    named = ids[-1].encode()
    good = [
        ("/hooks/team-a/by-path/" + quoted, marked, fields()),
        ("/hooks/team-a/by-path/" + values["path"], marked, fields()),
        ("/hooks/team-a/by-query?a=b&token=%s&c=d" % values["query"], marked, fields()),
        ("/hooks/team-a/by-path/" + escaped(values["path"]), marked, fields()),
        ("/hooks/team-a/by-query?%%74oken=%s" % escaped(values["query"]), marked, fields()),
        ("/hooks/team-a/by-header", marked, fields(("X-Webhook-Token", values["header"]))),
        ("/hooks/team-a/by-bearer", marked, fields(("Authorization", "Bearer " + values["bearer"]))),
        ("/hooks/team-a/by-basic", marked, fields(basic(values["password"]))),
        ("/hooks/team-a/by-jfrog", marked, fields(("X-JFrog-Event-Auth", values["jfrog"]))),
        (flux_path(values["receiver"], "open", "team-a"), marked, fields()),
        (build_path(), body, built), (build_path(type="generic"), b"", fields()),
        (build_path().replace(urllib.parse.quote(BUILD_SECRET), escaped(BUILD_SECRET)), body, fields()),
        (s2i_path("general") + "?secretCode=" + CODE, b"{}", fields()),
        (s2i_path("general"), ("a=b&secretCode=" + CODE).encode(),
         [("Content-Type", "application/x-www-form-urlencoded")]),
        (s2i_path("general"), ("a=%s&secretCode=%s" % ("x" * (1 << 20), escaped(CODE))).encode(),
         [("Content-Type", "application/x-www-form-urlencoded")]),
        (s2i_path("general"), multipart(CODE), [("Content-Type", "multipart/form-data; boundary=b0und")]),
        (s2i_path("github"), payload("github-push.json"), fields(("X-Gitlab-Token", CODE))),
        ("/v1/docker/webhook/" + escaped(values["hub"]), hub, fields()),
        ("/v1/docker/webhook/" + values["hub"], hub, fields()),
        ("/v1/docker/webhook?token=" + values["hub"], hub, fields()),
        ("/v1/docker/notification", b'{"events":[]}', fields(("Authorization", "Bearer " + values["notification"]))),
    ]
    answers = []
    for path, content, given in good:
        answer = server.post(path, content, given)
        expect_in(answer.status, {200, 201, 202}, "POST " + path)
        expect_that(answer.decision, "POST %s: no decision" % path)
        if answer.decision == "accepted":
            answers.append(answer)
    # In chunks, the secret cut in two by a border, and one more in a trailer field.
    content = ("a=b&secretCode=" + CODE).encode()
    with server.connect() as connection:
        head = request(s2i_path("general"), fields=[("Content-Type", "application/x-www-form-urlencoded"),
                                                    ("Transfer-Encoding", "chunked")], length=False)
        trailer = ("Authorization: Bearer %s\r\n\r\n" % values["bearer"]).encode()
        answer = connection.exchange(head + chunked(content, 20)[:-2] + trailer)
    expect((answer.status, answer.decision), (201, "accepted"), "a form in chunks")
    answers.append(answer)
    expect_that(len(answers) >= 16, "only %d of the deliveries were accepted" % len(answers))
    # What is refused has the secrets too, in their places and in wrong ones.
    for path, content, given in [
            ("/hooks/team-a/by-path/%s/more" % quoted, marked, fields()),
            ("/hooks/team-a/by-path?token=" + quoted, marked, fields()),
            ("/hooks/team-a/by-query/" + values["query"], marked, fields()),
            ("/hooks/team-a/by-query?token=%s&token=%s" % (values["query"], values["query"]), marked, fields()),
            ("/hooks/team-a/by-header", marked, fields(("X-Webhook-Token", values["header"] + "x"))),
            ("/hooks/team-a/by-header", marked, fields(("Authorization", "Bearer " + values["header"]))),
            ("/hooks/team-a/by-basic", marked, fields(basic(values["password"] + "x"))),
            ("/hooks/team-a/by-basic", b"no json", fields(basic(values["password"]))),
            (build_path(type="gitlab"), body, fields()), (build_path(type="no-such-type"), body, fields()),
            (build_path(), b"no json", fields()), (build_path(name="absent"), body, fields()),
            (build_path() + "/more", body, fields()),
            (s2i_path("general", "absent") + "?secretCode=" + CODE, b"{}", fields()),
            (s2i_path("general") + "?secretCode=%sx" % CODE, b"{}", fields()),
            ("/v1/docker/webhook/" + values["hub"], b"no json", fields()),
            ("/v1/docker/webhook/%s/more" % values["hub"], b"{}", fields())]:
        status = server.post(path, content, given).status
        expect_in(status, {400, 401, 404}, "POST " + path)
    for method in ("GET", "PUT"):
        with server.connect() as connection:
            expect_in(connection.exchange(request(build_path(), method=method), method).status, {404, 405}, method)
    with server.connect() as connection:        # what the parser refuses
        answer = connection.exchange(request(build_path(), fields=[("X-Bad ", values["header"])]))
        expect(answer.status, 400, "a blank before the colon")
    settled(server, answers)
    figures = server.admin("/metrics")[1]
    for running in (True, False):
        stored = on_disk(server.data)
        expect_that(marker in stored and named in stored, "the deliveries are not on the disk")
        log = server.log_text().encode()
        expect_that(b"sequence=" in log, "the log says nothing of the deliveries")
        shown = b""
        if not running:
            result = context.command("journal", "inspect", "--data-dir", server.data)
            expect(result.returncode, 0, "`journal inspect`")
            shown = (result.stdout + result.stderr).encode()
            expect_that(named in shown, "`journal inspect` does not show the deliveries")
        for name, value in values.items():
            forms = {value, urllib.parse.quote(value, safe=""), escaped(value),
                     base64.b64encode(value.encode()).decode(), base64.b64encode(("azure:" + value).encode()).decode()}
            for form in forms:
                for place, text in (("journal", stored), ("log", log), ("figures", figures),
                                    ("output of `journal inspect`", shown)):
                    at = text.find(form.encode())
                    if at >= 0:
                        raise Failure("the %s secret is in the %s: ...%r" % (name, place, text[max(0, at - 80):at + 8]))
        if running:
            server.stop()


# - Sender types of Hooks

def standard_webhooks(body, keys, one=None, at=None):
    one, at = one or "msg_" + delivery_id().replace("-", ""), str(int(time.time()) if at is None else at)
    content = b".".join([one.encode(), at.encode(), body])
    parts = ["v1," + base64.b64encode(bytes.fromhex(sign(content, key))).decode() for key in keys]
    return [JSON, ("webhook-id", one), ("webhook-timestamp", at), ("webhook-signature", " ".join(parts))]


def gitea(body, bare=None, prefixed=None, **more):
    fields = [JSON, ("X-Gitea-Event", "push"), ("X-Gitea-Delivery", delivery_id())]
    if bare:
        fields.append(("X-Gitea-Signature", sign(body, bare)))
    if prefixed:
        fields.append(("X-Hub-Signature-256", "sha256=" + sign(body, prefixed)))
    return fields + list(more.items())


@test("Hooks of many types: each takes what its sender signs or bears, nothing else, and acts once for each")
def hook_types(context):
    old, new = bytes(range(32)), bytes(range(32, 64))
    whsec = lambda key: "whsec_" + base64.b64encode(key).decode()
    hooks = {
        "gitea": dict(type="gitea", secrets=["webhook-token"]),
        "forgejo": dict(type="forgejo", secrets=["webhook-token"]),
        "standard": dict(type="standard-webhooks", secrets=["old", "new"]),
        "jfrog": dict(type="jfrog", secrets=["webhook-token"]),
        "azure": dict(type="azure-devops", secrets=["webhook-token"], credential="{type: basic, username: azure}"),
        "path": dict(type="token", secrets=["webhook-token"], credential="{type: path}"),
        "query": dict(type="token", secrets=["webhook-token"], credential="{type: query, name: token}"),
        "bearer": dict(type="token", secrets=["webhook-token"]),
        "hmac": dict(type="hmac", secrets=["webhook-token"], credential=None),
    }

    def manifest(name):
        given = dict(hooks[name])
        credential = given.pop("credential", None)
        return hook(name, actions=reconcile(name), more="credential: " + credential if credential else "", **given)
    kube = cluster(context, [git_repository(name) for name in hooks])
    server = context.server(
        {"secrets.yaml": documents(secret("webhook-token", TOKEN), secret("old", whsec(old)),
                                   secret("new", whsec(new))),
         **{name + ".yaml": manifest(name) for name in hooks}},
        flags=kube.flags, tokens=[TOKEN, whsec(old), whsec(new)])
    body = payload("gitea-push.json")
    wrong = "wrong-" + TOKEN
    basic = lambda user, password: [JSON, ("Authorization", "Basic " + base64.b64encode(
        ("%s:%s" % (user, password)).encode()).decode())]
    image = json.dumps({"domain": "docker", "event_type": "pushed", "data": {
        "repo_key": "docker-local", "path": "team/app/1.0/manifest.json", "tag": "1.0"}}).encode()
    azure = json.dumps({"eventType": "git.push", "subscriptionId": "s", "notificationId": 7, "resource": {}}).encode()
    now = int(time.time())
    # hook -> [(what, body, fields, suffix of the path)]
    good = {
        "gitea": [("both signatures", body, gitea(body, TOKEN, TOKEN), ""),
                  ("its own signature", body, gitea(body, TOKEN), ""),
                  ("GitHub's signature", body, gitea(body, None, TOKEN), "")],
        "forgejo": [("both signatures", body,
                     [(k.replace("Gitea", "Forgejo"), v) for k, v in gitea(body, TOKEN, TOKEN)], "")],
        "standard": [("the old secret", body, standard_webhooks(body, [old]), ""),
                     ("the new secret", body, standard_webhooks(body, [new]), ""),
                     ("both", body, standard_webhooks(body, [old, new]), ""),
                     ("an unknown one before the right one", body, standard_webhooks(body, [b"?" * 32, new]), "")],
        "jfrog": [("signed", image, [JSON, ("X-JFrog-Event-Auth", sign(image, TOKEN))], "")],
        "azure": [("user and password", azure, basic("azure", TOKEN), "")],
        "path": [("the token", body, [JSON], "/" + TOKEN)],
        "query": [("the token", body, [JSON], "?token=" + TOKEN),
                  ("the token among others", body, [JSON], "?a=1&token=%s&b=2" % TOKEN)],
        "bearer": [("the token", body, [JSON, ("Authorization", "Bearer " + TOKEN)], "")],
        "hmac": [("signed", body, [JSON, ("X-Signature", sign(body, TOKEN))], "")],
    }
    bad = {
        "gitea": [("no signature", body, gitea(body), ""), ("another's signature", body, gitea(body, wrong, wrong), ""),
                  ("one of two wrong", body, gitea(body, TOKEN, wrong), ""),
                  ("the other of two wrong", body, gitea(body, wrong, TOKEN), ""),
                  ("SHA-1 alone", body, gitea(body, **{"X-Hub-Signature": "sha1=" + sign(body, TOKEN, "sha1")}), ""),
                  ("another body", body + b" ", gitea(body, TOKEN, TOKEN), "")],
        "forgejo": [("no signature", body, gitea(body), "")],
        "standard": [("no signature", body, [JSON], ""),
                     ("an unknown secret", body, standard_webhooks(body, [b"?" * 32]), ""),
                     ("old", body, standard_webhooks(body, [new], at=now - 900), ""),
                     ("from the future", body, standard_webhooks(body, [new], at=now + 900), ""),
                     ("another body", body + b" ", standard_webhooks(body, [new]), ""),
                     ("another id", body, standard_webhooks(body, [new])[:1] + [("webhook-id", "msg_other")]
                      + standard_webhooks(body, [new])[2:], "")],
        "jfrog": [("the secret itself", image, [JSON, ("X-JFrog-Event-Auth", TOKEN)], ""),
                  ("another's signature", image, [JSON, ("X-JFrog-Event-Auth", sign(image, wrong))], ""),
                  ("nothing", image, [JSON], "")],
        "azure": [("another password", azure, basic("azure", wrong), ""),
                  ("another user", azure, basic("root", TOKEN), ""),
                  ("nothing", azure, [JSON], "")],
        "path": [("another token", body, [JSON], "/" + wrong), ("no token", body, [JSON], ""),
                 ("in the query", body, [JSON], "?token=" + TOKEN)],
        "query": [("another token", body, [JSON], "?token=" + wrong), ("no token", body, [JSON], ""),
                  ("twice", body, [JSON], "?token=%s&token=%s" % (TOKEN, wrong)),
                  ("as bearer", body, [JSON, ("Authorization", "Bearer " + TOKEN)], "")],
        "bearer": [("another token", body, [JSON, ("Authorization", "Bearer " + wrong)], ""),
                   ("in the query", body, [JSON], "?token=" + TOKEN)],
        "hmac": [("another's signature", body, [JSON, ("X-Signature", sign(body, wrong))], "")],
    }

    def attempt_all(table, wanted, decision):
        for name, rows in table.items():
            for what, content, fields, suffix in rows:
                answer = server.post("/hooks/team-a/" + name + suffix, content, fields)
                expect((answer.status, answer.decision), (wanted, decision), "%s, %s" % (name, what))
                if decision == "accepted":
                    settled(server, [answer])       # one at a time: equal ones that wait are merged
    attempt_all(bad, 401, None)
    expect(kube.attempts(), 0, "attempts at the API server after refusals alone")
    attempt_all(good, 200, "accepted")
    check_reconciliations(kube.acts(), ["team-a/" + name for name, rows in good.items() for _ in rows])

    hooks["standard"]["secrets"] = ["new"]              # the end of the rotation
    server.write("standard.yaml", manifest("standard"))
    send = lambda key: server.post("/hooks/team-a/standard", body, standard_webhooks(body, [key]))
    wait_until(lambda: send(old).status == 401, 10, "the old secret counts no longer")
    answer = send(new)
    expect((answer.status, answer.decision), (200, "accepted"), "the new secret")
    settled(server, [answer])


# - Large requests

@test("5 MiB pushes to a Hook and a BuildConfig are verified while small ones on other connections are answered")
def large(context):
    config = build_config(ref="master", options="verify-signature", GitHub="orders-github")
    kube = cluster(context, [config, git_repository("webapp")])
    server = context.server(
        {"all.yaml": documents(build_secret(), config, secret("webhook-token", TOKEN),
                               hook("webapp", actions=reconcile("webapp")), hook("small", actions="[{log: {}}]"))},
        flags=kube.flags, tokens=[TOKEN, BUILD_SECRET])
    body = padded_push(5 << 20, "large")
    problems, accepted, small, lock, done = [], [], [], threading.Lock(), threading.Event()

    def send_large(path, key):
        try:
            for chunks in (False, True):
                for token, status in ((key, 200), ("wrong-" + key, 401)):
                    fields = github(body, token)
                    data = request(path, body, fields)
                    if chunks:
                        head = request(path, b"", fields + [("Transfer-Encoding", "chunked")], length=False)
                        data = head + chunked(body, 60_000)
                    with server.connect() as connection:
                        answer = connection.exchange(data)
                    with lock:
                        if answer.status != status:
                            problems.append("%d for a large one, expected %d" % (answer.status, status))
                        elif status == 200:
                            accepted.append(answer)
        except Exception as error:
            problems.append("a large one: %r" % error)

    def send_small(number):
        try:
            with server.connect() as connection:
                while not done.is_set() or number + len(small) < 60:
                    content = padded_push(1000 + number, "small")
                    token, status = (TOKEN, 200) if len(small) % 5 else ("wrong", 401)
                    answer = connection.exchange(request("/hooks/team-a/small", content, github(content, token)))
                    with lock:
                        small.append(answer.status)
                        if answer.status != status:
                            problems.append("%d for a small one, expected %d" % (answer.status, status))
        except Exception as error:
            problems.append("a small one: %r" % error)
    big = [threading.Thread(target=send_large, args=a) for a in (("/hooks/team-a/webapp", TOKEN),
                                                                (build_path(), BUILD_SECRET)) for _ in range(2)]
    little = [threading.Thread(target=send_small, args=(i,)) for i in range(3)]
    for thread in big + little:
        thread.start()
    for thread in big:
        thread.join()
    done.set()
    for thread in little:
        thread.join()
    expect(problems, [], "answers")
    expect(len(accepted), 8, "large ones that were accepted")
    expect({s: s in small for s in (200, 401)}, {200: True, 401: True}, "small ones of both kinds were answered")
    settled(server, accepted, 30)
    expect(sum(w["path"] == INSTANTIATE for w in kube.acts()), 4, "builds of the large pushes")
    # Equal reconciliations may be merged: at least one, at most one each.
    expect_that(1 <= written(kube.acts()).count("team-a/webapp") <= 4, "reconciliations: %r" % written(kube.acts()))
    wait_until(lambda: server.metrics()["grapnel_body_reserved_bytes"] == 0, 10, "the memory of the bodies is free")


@test("the configuration changes while a large request is under way: it is answered, and what is gone is not acted on")
def reload_meanwhile(context):
    kube = cluster(context, [git_repository("stays"), git_repository("goes")])
    server = context.server(
        {"secret.yaml": secret("webhook-token", TOKEN), "stays.yaml": hook("stays", actions=reconcile("stays")),
         "goes.yaml": hook("goes", actions=reconcile("goes"))}, flags=kube.flags + LONG_LIMITS)
    body = padded_push(5 << 20, "under way")
    under_way = []
    for name in ("stays", "goes"):
        data = request("/hooks/team-a/" + name, body, github(body))
        connection = server.connect()
        context.closers.append(connection.close)
        connection.send(data[:3 << 20])
        under_way.append((name, connection, data[3 << 20:]))
    reserved = lambda: server.metrics()["grapnel_body_reserved_bytes"]
    wait_until(lambda: reserved() >= 2 * len(body), 10, "both bodies are being read")
    server.write("added.yaml", hook("added", actions="[{log: {}}]"))
    server.remove("goes.yaml")
    wait_until(lambda: server.push(path="/hooks/team-a/added").status == 200, 10, "the new configuration")
    expect(server.push(path="/hooks/team-a/goes").status, 404, "the Hook that is gone")
    answers = {}
    for name, connection, rest in under_way:
        connection.send(rest)
        answers[name] = connection.answer()
    expect((answers["stays"].status, answers["stays"].decision), (200, "accepted"), "the Hook that stays")
    expect_in(answers["goes"].status, {200, 404, 503}, "the Hook that went while its request was under way")
    settled(server, [a for a in answers.values() if a.decision == "accepted"])
    check_reconciliations(kube.acts(), ["team-a/stays"])
    expect(server.push(path="/hooks/team-a/stays").status, 200, "afterwards")


# - Durability of what is planned late

@test("killed between answer and plan: filtered and selected deliveries are planned and acted on after the restart")
def killed_before_plan(context):
    wanted = {"example.com/follow": "main"}
    kube = cluster(context, [git_repository("follows", annotations=wanted), git_repository("looks-away"),
                             image_repository("backend")])
    receiver = {"apiVersion": "notification.toolkit.fluxcd.io/v1", "kind": "Receiver",
                "metadata": {"name": "images", "namespace": "team-a"},
                "spec": {"type": "generic", "secretRef": {"name": "webhook-token"},
                         "resources": [{"apiVersion": "image.toolkit.fluxcd.io/v1", "kind": "ImageRepository",
                                        "name": "*", "matchLabels": {"registry": "ghcr"}}]}}
    server = context.server({"all.yaml": documents(
        secret("webhook-token", TOKEN), receiver,
        hook("webapp", actions=reconcile("follows") + reconcile("looks-away"),
             more='filter: \'has(res.metadata.annotations) && "example.com/follow" in res.metadata.annotations\'\n'
                  + QUICK))}, flags=kube.flags)
    images = flux_path(TOKEN, "images", "team-a")
    unplanned = "the targets of a delivery cannot be found yet"
    acted = 0
    for round, how in enumerate(("while it waits for the API server", "at once", "at once")):
        kube.faults = [{"verb": verb, "resource": resource, "status": 503, "times": -1}
                       for verb in ("get", "list") for resource in ("gitrepositories", "imagerepositories")]
        answers = [server.push(), server.post(images, b"{}", [JSON])]
        expect([(a.status, a.decision) for a in answers], [(200, "accepted"), (200, "accepted")], "the deliveries")
        if how != "at once":
            wait_until(lambda: server.log_text().count(unplanned) >= 2, 10, "plans that wait")
        server.kill()
        expect(len(kube.acts()), acted, "writes before the plan")
        kube.faults = []
        server.start()
        settled(server, answers, 30)
        check_reconciliations(kube.acts(acted), ["team-a/backend", "team-a/follows"])
        acted += 2
        expect(kube.attempts(), acted, "attempts at the API server, killed %s" % how)
        # What is done stays done: the next kill does not bring it back.
        server.stop()
        server.start()
    settled(server, [server.push()])
    check_reconciliations(kube.acts(acted), ["team-a/follows"])
    expect(kube.attempts(), acted + 1, "attempts at the API server after another restart")


# - Figures

@test("each action is counted under its own name")
def figures(context):
    config, builder = build_config(GitHub="orders-github"), s2i_builder()
    kube = cluster(context, [config, builder])
    server = context.server({"all.yaml": documents(build_secret(), config, builder)}, flags=kube.flags,
                            tokens=[BUILD_SECRET, CODE])
    body = openshift_push("github-push-main.json")
    answers = [server.post(build_path(), body, github(body)),
               server.post(s2i_path("general") + "?secretCode=" + CODE, b"{}", [JSON])]
    settled(server, answers)
    expect(len(kube.acts()), 2, "writes")
    done = lambda: {k: v for k, v in server.metrics().items()
                    if k.startswith("grapnel_trigger_outcomes_total") and 'outcome="done"' in k and v}
    expect_soon(done, {'grapnel_trigger_outcomes_total{action="%s",outcome="done"}' % name: 1
                  for name in ("openshift-build", "s2i-run")}, "what was done")
