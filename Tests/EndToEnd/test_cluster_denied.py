"""Kinds and Secrets that may not be read: for good, for a moment at the start, and for a moment later on."""
from clustercase import Case, conditions, flux_path, git, hook, hook_path, receiver, secret
from harness import expect, expect_in, wait_until
from registry import test
from test_cluster_faults import change, converges, start

NEXT = "n3xt-t0ken-a1b2c3d4e5f60718"


@test("cluster denied: a kind that may not be listed is left out after ten seconds, and found when it may be")
def denied(context):
    case = Case(context, [secret(), git(), receiver(), hook()])
    case.kube.faults = [{"verb": verb, "resource": "hooks", "status": 403, "times": -1} for verb in ("list", "watch")]
    server = case.server(start=False)
    server.start(ready=False)
    wait_until(lambda: "Hook.grapnel.dev" in server.admin("/readyz")[1].decode(), 10, "/readyz names the kind")
    wait_until(server.is_ready, 20, "ready without the kind")
    expect_in("Hook.grapnel.dev: left out", server.admin("/readyz")[1].decode(), "/readyz")
    case.deliver(server, flux_path(), ["team-a/webapp"])
    expect(server.probe(hook_path()), 404, "a Hook")
    case.kube.faults = []
    case.status_becomes(server, hook_path(), 401, "the kind may be listed", 30)


@test("cluster denied: a Secret that may not be read costs its own receivers their paths, and nobody else")
def unreadable(context):
    case = Case(context, [secret(), secret("locked", NEXT), git(), receiver(), hook(token="locked"),
                          receiver("locked", token="locked")])
    kube = case.kube
    kube.faults = [{"verb": verb, "resource": "secrets", "name": "locked", "status": 403, "times": -1,
                    "message": 'secrets "locked" is forbidden'} for verb in ("get", "list", "watch")]
    server = case.server()
    expect((server.probe(flux_path()), server.probe(hook_path())), (400, 503), "the Receiver beside it, and its own Hook")
    expect(server.probe(flux_path("locked", NEXT)), 404, "the Receiver whose path it makes")
    case.deliver(server, flux_path(), ["team-a/webapp"])
    o = case.condition(lambda: case.receiver("locked"), "Ready", "False", "TokenNotFound")
    expect_in("unable to read token from secret 'team-a/locked' error: ", conditions(o)["Ready"]["message"], "message")
    expect_in("locked", server.admin("/readyz")[1].decode(), "what /readyz says")
    kube.faults = []
    case.status_becomes(server, flux_path("locked", NEXT), 400, "it may be read again", 20)
    case.status_becomes(server, hook_path(), 401, "the Hook too", 10)
    case.ready("locked", path=flux_path("locked", NEXT))


@test("cluster denied: a Secret that was read stays in use while reading it is refused, in whatever words")
def refused_secret(context):
    case, server = start(context)
    for words in ("RBAC: caches are not filled", "RBAC: clusterrole not found", "cannot list resource secrets"):
        case.kube.faults = [{"verb": verb, "resource": "secrets", "status": 403, "times": -1, "message": words}
                            for verb in ("get", "list", "watch")]
        case.kube.end_watches()
        wait_until(lambda: words in server.admin("/readyz")[1].decode(), 15, "/readyz says %r" % words)
        name = "marker-%d" % len(words)
        case.kube.apply(hook(name))
        case.status_becomes(server, hook_path(name), 401, "a Hook with the same Secret")
        case.push(server, hook_path("steady"))
        expect(server.probe(flux_path()), 400, "the Receiver whose Secret is refused: %s" % words)
        expect(case.receiver()["status"].get("webhookPath"), flux_path(), "webhookPath meanwhile")
    case.kube.faults = []
    change(case)
    converges(case, server, 40)


@test("cluster denied: Secrets that are refused for a moment at the start: 503 until they are read, never 404")
def refused_at_start(context):
    case = Case(context, [secret(), git(), git("hooked"), receiver(), hook()])
    case.kube.faults = [{"verb": "list", "resource": "secrets", "status": 403, "times": 3, "message": "RBAC: caches"}]
    server = case.server(start=False)
    server.start(ready=False)
    seen = []
    wait_until(lambda: seen.append(server.probe(flux_path())) or seen[-1] == 400, 20, "the Receiver is served")
    expect(set(seen) - {0, 503, 400}, set(), "what senders were told before")
    case.ready()
