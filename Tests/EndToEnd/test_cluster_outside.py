"""What a Hook of a cluster may not reach outside of its objects: programs, this machine, other namespaces' images."""
import json

from clustercase import PUSH, TOKEN, Case, conditions, git, hook, hook_path, secret
from fakekube import settled
from harness import Marker, expect, expect_in, wait_until
from registry import test
from test_cluster_routes import kpack, notification
from test_cluster_tenants import refused


@test("cluster outside: repositories and images are matched in the Hook's own namespace only")
def matches(context):
    url = json.loads(PUSH)["repository"]["clone_url"]
    image = "registry.example.org/stacks/run:latest"

    def same(namespace):
        o = git("same", namespace)
        o["spec"].update(url=url)
        return o
    case = Case(context, [
        secret(), same("team-a"), same("team-b"), hook("repos", actions=[{"reconcile": {"matchRepository": True}}]),
        kpack("Buildpack", "pack", image, "team-a"), kpack("Buildpack", "pack", image, "team-b"),
        kpack("ClusterStack", "stack", image),
        hook("images", type="docker-registry", actions=[{"kpackRefresh": {}}])])
    kube, server = case.kube, case.server()
    case.deliver(server, hook_path("repos"), ["team-a/same"])
    before = len(kube.writes_since())
    answer = server.post(hook_path("images"), notification("stacks/run"), [
        ("Content-Type", "application/vnd.docker.distribution.events.v1+json"), ("Authorization", "Bearer " + TOKEN)])
    expect(answer.decision, "accepted", "a notification")
    settled(server, [answer])
    expect(case.triggered(before), ["team-a/pack"], "refreshed")


@test("cluster outside: exec is not for Hooks of a cluster, with --allow-exec neither")
def programs(context):
    marker = Marker(context.folder)
    run = [{"exec": {"command": [marker.script], "timeout": "10s"}}]
    case = Case(context, [secret(), git(), hook("runs", actions=run), hook("runs-too", actions=[{"log": {}}] + run)])
    server = case.server("--allow-exec")
    for name in ("runs", "runs-too"):
        message = refused(case, server, name, "ValidationFailed", hook_path(name))
        expect_in("exec", message, "message")
    case.kube.apply(hook("runs", actions=[{"log": {}}]))
    case.status_becomes(server, hook_path("runs"), 401, "without exec")
    case.deliver(server, hook_path("runs"), [])
    expect(marker.runs(), [], "programs that ran")


@test("cluster outside: http calls neither this machine nor the API server, whatever is listed, nor what is not listed")
def calls(context):
    sink = context.sink()
    case = Case(context, [secret()])
    inside = {"loopback": sink.url, "name": sink.url.replace("127.0.0.1", "localhost"),
              "number": sink.url.replace("127.0.0.1", "2130706433"), "short": sink.url.replace("127.0.0.1", "127.1"),
              "six": sink.url.replace("127.0.0.1", "[::1]"), "mapped": sink.url.replace("127.0.0.1", "[::ffff:127.0.0.1]"),
              "zero": sink.url.replace("127.0.0.1", "0.0.0.0"), "metadata": "http://169.254.169.254/latest/",
              "api": case.kube.url + "/api/v1/namespaces/team-b/secrets",
              "unlisted": "http://example.net/"}
    for name, url in inside.items():
        case.kube.put(hook(name, actions=[{"http": {"url": url, "timeout": "2s"}}],
                           retry={"attempts": 1, "backoff": "100ms", "maxBackoff": "100ms", "maxAge": "1s"}))
    server = case.server(config="outbound: {allow: [127.0.0.0/8, localhost, 127.0.0.1, '::1', 0.0.0.0, 169.254.169.254]}\n")
    for name in inside:
        wait_until(lambda: conditions(case.hook(name)).get("Ready"), 10, "the status of %s" % name)
        answer = server.push(PUSH, hook_path(name), TOKEN)
        expect_in(answer.status, {503, 200, 404}, "a push to %s" % name)
        if answer.status == 200:            # judged when it is called: it must not succeed
            wait_until(lambda: "sequence=%d " % answer.sequence in server.log_text(), 10, "an outcome of " + name)
    expect(sink.seen(), [], "calls that arrived")
    expect([r for r in case.kube.reads if "/team-b/secrets" in r[1]], [], "calls of the API server")
    for name in ("loopback", "metadata"):
        expect(server.push(PUSH, hook_path(name), TOKEN).status, 503, "a push to " + name)
    strict = case.server()
    expect({strict.push(PUSH, hook_path(name), TOKEN).status for name in inside}, {503}, "without outbound.allow")
