"""Routes from a cluster: every kind that is watched, how soon a change is in force, and manifests beside it."""
import json

from clustercase import FLUX, HOOK, PUSH, TOKEN, Case, flux_path, git, hook, hook_path, receiver, secret
from fakekube import settled
from harness import Marker, delivery_id, expect, expect_in, github, wait_until
from registry import test
from test_systems import (BUILD_SECRET, CODE, INSTANTIATE, JSON, build_config, build_path, openshift_push, s2i_builder,
                          s2i_path)

NEXT = "n3xt-t0ken-a1b2c3d4e5f60718"


def build_secret(value=BUILD_SECRET):
    return secret("orders-github", value, "demo", key="WebHookSecretKey")


@test("cluster: a Receiver, a Hook, a BuildConfig and an S2iBuilder are served, each with the write that follows")
def kinds(context):
    case = Case(context, [secret(), receiver(), git(), hook(), git("hooked"), build_secret(),
                          build_config(GitHub="orders-github"), s2i_builder()])
    kube, server = case.kube, case.server()
    case.deliver(server, flux_path(), ["team-a/webapp"], what="of the Receiver")
    case.deliver(server, hook_path(), ["team-a/hooked"], what="of the Hook")
    body, before = openshift_push("github-push-main.json"), len(kube.writes_since())
    answer = server.post(build_path(), body, github(body))
    expect((answer.status, answer.decision), (200, "accepted"), "the push to the BuildConfig")
    settled(server, [answer])
    expect([(w["verb"], w["path"], w["status"]) for w in kube.acts(before)], [("create", INSTANTIATE, 201)],
           "of the BuildConfig")
    before = len(kube.writes_since())
    answer = server.post(s2i_path("general") + "?secretCode=" + CODE, b"{}", [JSON])
    expect((answer.status, answer.decision), (201, "accepted"), "the call of the S2iBuilder")
    settled(server, [answer])
    expect([(w["verb"], w["resource"], w["body"]["spec"]["builderName"]) for w in kube.acts(before)],
           [("create", "s2iruns", "shop")], "of the S2iBuilder")
    for path in (flux_path(), hook_path(), build_path("guess"), s2i_path("general") + "?secretCode=guess"):
        expect_in(server.probe(path), {400, 401}, "a push without proof to " + path[:30])
    for path in (flux_path("other"), hook_path("other"), "/hooks/team-b/hooked", "/nothing"):
        expect(server.probe(path), 404, "an unknown path")
    case.ready()


REGISTRY_TOKEN = "registry-t0ken-77ab31d2"
KPACK = """
buildService:
  auth:
    notification: {type: bearer, tokenSecretRef: {name: registry, namespace: build-service}}
  coalesceSeconds: 0
"""


def kpack(kind, name, image, namespace=None):
    spec = {"id": "s", "buildImage": {"image": image}, "runImage": {"image": image}} if kind == "ClusterStack" \
        else {"image": image}
    return {"apiVersion": "kpack.io/v1alpha2", "kind": kind,
            "metadata": {"name": name, **({"namespace": namespace} if namespace else {})}, "spec": spec}


def notification(repository, tag="latest"):
    return json.dumps({"events": [{
        "id": delivery_id(), "timestamp": "2026-05-01T12:00:00Z", "action": "push",
        "target": {"mediaType": "application/vnd.oci.image.manifest.v1+json",
                   "digest": "sha256:" + delivery_id().replace("-", "") * 2,
                   "repository": repository, "tag": tag, "size": 1, "length": 1,
                   "url": "https://registry.example.org/v2/%s/manifests/%s" % (repository, tag)},
        "request": {"id": delivery_id(), "host": "registry.example.org", "method": "PUT"}}]}).encode()


def notify(server, repository, token=REGISTRY_TOKEN):
    return server.post("/v1/docker/notification", notification(repository), [
        ("Content-Type", "application/vnd.docker.distribution.events.v1+json"), ("Authorization", "Bearer " + token)])


@test("cluster: kpack objects are refreshed for an image; the credential is a Secret of the cluster, and follows it")
def kpack_objects(context):
    image = "registry.example.org/stacks/run:latest"
    case = Case(context, [secret("registry", REGISTRY_TOKEN, "build-service"), kpack("ClusterStack", "base", image),
                          kpack("Buildpack", "java", "registry.example.org/packs/java:latest", "team-a")])
    kube, server = case.kube, case.server(config=KPACK)

    def refreshed(repository, token=REGISTRY_TOKEN):
        before = len(kube.writes_since())
        answer = notify(server, repository, token)
        if answer.decision == "accepted":
            settled(server, [answer])
        return answer.status, sorted((w["resource"], w["name"]) for w in kube.acts(before))

    def refresh(repository, writes):
        expect(refreshed(repository), (202, writes), "refreshed for " + repository)

    def becomes(repository, writes):
        """Each kind is watched for itself: what changed together comes in any order."""
        case.within(lambda: refreshed(repository, NEXT) == (202 if writes else 200, writes),
                    "%r are refreshed for %s" % (writes, repository))
    expect(notify(server, "stacks/run", "not-" + REGISTRY_TOKEN).status, 401, "without the token")
    refresh("stacks/run", [("clusterstacks", "base")])
    refresh("packs/java", [("buildpacks", "java")])
    kube.apply(kpack("ClusterStack", "base", "registry.example.org/stacks/other:latest"))
    kube.apply(kpack("ClusterStack", "new", image))
    kube.remove("kpack.io/v1alpha2", "Buildpack", "team-a", "java")
    kube.apply(secret("registry", NEXT, "build-service"))
    case.within(lambda: notify(server, "nobody/reads", NEXT).status == 200, "a changed credential")
    becomes("stacks/run", [("clusterstacks", "new")])
    becomes("packs/java", [])
    expect(notify(server, "stacks/run").status, 401, "the credential of before")


@test("cluster: what is created, changed, suspended and deleted is in force within a second")
def in_force(context):
    case = Case(context, [secret(), git()])
    kube, server = case.kube, case.server()
    becomes = lambda path, status, what: case.status_becomes(server, path, status, what)
    kube.apply(receiver())
    becomes(flux_path(), 400, "a Receiver is created")
    kube.apply(receiver(suspend=True))
    becomes(flux_path(), 503, "it is suspended")
    kube.apply(receiver())
    becomes(flux_path(), 400, "it is resumed")
    kube.apply(receiver(events=["pull_request"]))
    case.within(lambda: case.push_status(server, flux_path()) == 400, "its events are changed")
    kube.apply(receiver(resources=[{"kind": "GitRepository", "name": "webapp"}, {"kind": "GitRepository", "name": "more"}]))
    kube.apply(git("more"))
    answer = case.within(lambda: case.accepted(server, flux_path()), "its events are taken away")
    settled(server, [answer])
    case.deliver(server, flux_path(), ["team-a/more", "team-a/webapp"])
    kube.apply(secret("other-token", NEXT))
    kube.apply(receiver(token="other-token"))
    becomes(flux_path(token=NEXT), 400, "it names another Secret")
    kube.apply(hook())
    becomes(hook_path(), 401, "a Hook is created")
    kube.apply(hook(path="/hooks/team-a/elsewhere"))
    becomes("/hooks/team-a/elsewhere", 401, "its path is changed")
    expect(server.probe(hook_path()), 404, "the path of before")
    kube.apply(secret("webhook-token", NEXT))
    case.within(lambda: server.push(PUSH, "/hooks/team-a/elsewhere", NEXT).status == 200, "its Secret is changed")
    expect(server.push(PUSH, "/hooks/team-a/elsewhere", TOKEN).status, 401, "the Secret of before")
    kube.remove("v1", "Secret", "team-a", "webhook-token")
    becomes("/hooks/team-a/elsewhere", 503, "its Secret is deleted")
    kube.apply(secret("webhook-token", NEXT))
    becomes("/hooks/team-a/elsewhere", 401, "its Secret is created again")
    kube.apply(hook(path="/hooks/team-a/elsewhere", suspend=True))
    becomes("/hooks/team-a/elsewhere", 503, "it is suspended")
    kube.remove(HOOK, "Hook", "team-a", "hooked")
    becomes("/hooks/team-a/elsewhere", 404, "the Hook is deleted")
    kube.remove(FLUX, "Receiver", "team-a", "webapp")
    becomes(flux_path(token=NEXT), 404, "the Receiver is deleted")
    wait_until(lambda: case.receiver() is None, 10, "the Receiver is gone from the API server")
    kube.apply(build_secret())
    kube.apply(build_config(GitHub="orders-github"))
    body = openshift_push("github-push-main.json")
    build = lambda: server.post(build_path(), body, github(body)).status
    case.within(lambda: build() == 200, "a BuildConfig is created")
    kube.apply(build_config())
    case.within(lambda: build() == 401, "its trigger is taken away")
    kube.apply(s2i_builder())
    run = lambda: server.post(s2i_path("general") + "?secretCode=" + CODE, b"{}", [JSON]).status
    case.within(lambda: run() == 201, "an S2iBuilder is created")
    kube.remove("devops.kubesphere.io/v1alpha1", "S2iBuilder", "demo", "shop")
    case.within(lambda: run() == 404, "the S2iBuilder is deleted")
    case.report("in force")


@test("cluster: --catalog both serves manifests and cluster; what is the operator's stays the operator's")
def both(context):
    marker = Marker(context.folder)
    run = [{"exec": {"command": [marker.script], "timeout": "10s"}}]
    old = "2020-01-01T00:00:00Z"            # older than any file
    case = Case(context, [secret(), git(), receiver(), hook("stolen", path="/hooks/team-a/ours", actions=[{"log": {}}],
                                                            created=old)])
    ours = hook("ours", "ops", token="ops-token", path="/hooks/team-a/ours", actions=run)
    del ours["metadata"]["creationTimestamp"]       # as in a file
    ops = secret("ops-token", NEXT, "ops")
    case.kube.secret_values.add(NEXT)
    manifests = {"ours.json": json.dumps(ours), "ops.json": json.dumps(ops)}
    server = case.server("--catalog", "both", "--allow-exec", manifests=manifests)
    case.deliver(server, flux_path(), ["team-a/webapp"])
    one = delivery_id()
    settled(server, [case.push(server, "/hooks/team-a/ours", NEXT, delivery=one)])
    expect(marker.count(one), 1, "runs of the operator's Hook")
    expect(server.push(PUSH, "/hooks/team-a/ours", TOKEN).status, 401, "the cluster's claimant of the same path")
    case.condition(lambda: case.hook("stolen"), "Ready", "False", "PathAlreadyClaimed", 10)
    case.kube.down()
    server.stop()
    server.start(ready=False)
    wait_until(lambda: server.admin("/readyz")[0] == 503, 10, "up and not ready while the cluster is away")
    case.kube.up()
    wait_until(server.is_ready, 20, "ready")
    settled(server, [case.push(server, "/hooks/team-a/ours", NEXT)])
