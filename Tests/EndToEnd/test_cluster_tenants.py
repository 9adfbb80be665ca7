"""What whoever may write to a namespace must not get by it: paths, objects and Secrets of others."""
from clustercase import FLUX, PUSH, TOKEN, Case, conditions, flux_path, git, hook, hook_path, receiver, secret
from fakekube import settled
from harness import expect, expect_in, expect_that, wait_until
from registry import test
from test_cluster_routes import kpack
from test_systems import build_config, build_path, s2i_builder, s2i_path

VICTIM = "v1ctim-t0ken-deadbeef0011"


def refused(case, server, name, reason, path=None, status=503):
    """The Hook says why it may not, and answers like that."""
    o = case.condition(lambda: case.hook(name), "Ready", "False", reason, 10)
    if path:
        expect(server.push(PUSH, path, TOKEN).status, status, "a push to %s" % name)
    return conditions(o)["Ready"]["message"]


@test("cluster tenants: a Hook gets no path outside of /hooks/<its namespace>/, and displaces nobody")
def paths(context):
    old = "2020-01-01T00:00:00Z"            # older than those that it attacks
    victims = [secret("webhook-token", VICTIM, "team-b"), hook("hooked", "team-b"), git("hooked", "team-b"),
               receiver("webapp", "team-b"), git("webapp", "team-b")]
    wanted = [hook_path("hooked", "team-b"), flux_path("webapp", VICTIM, "team-b"), "/hooks/team-a", "/hooks/team-abc/x",
              "/hooks/team-a/../team-b/hooked", "/hooks//team-a/x", "/", "/hook/x", "/hooks", "/healthz",
              build_path("x", namespace="team-b"), s2i_path("general"), "/v1/docker/notification",
              "/hooks/TEAM-A/x", "/hooks/team-a%2fx"]
    # Paths are compared byte for byte: this one is below its own namespace, and nobody else's.
    escaped = hook("escaped", path="/hooks/team-a/%2e%2e/team-b/hooked", created=old)
    thieves = [hook("thief-%02d" % i, path=p, created=old) for i, p in enumerate(wanted)]
    case = Case(context, [secret(), escaped] + victims + thieves)
    server = case.server(status="own")
    for i in range(len(wanted)):
        wait_until(lambda: conditions(case.hook("thief-%02d" % i)).get("Ready", {}).get("status") == "False", 10,
                   "the status of the Hook with path %s" % wanted[i])
    for path in wanted:
        # The attacker knows the own token only; nobody asks for it on these paths.
        expect_in(server.push(PUSH, path, TOKEN).status, {400, 401, 404}, "a push of the attacker to %s" % path)
    case.deliver(server, hook_path("hooked", "team-b"), ["team-b/hooked"], VICTIM)
    case.deliver(server, flux_path("webapp", VICTIM, "team-b"), ["team-b/webapp"], VICTIM)
    expect({w["namespace"] for w in case.kube.acts()}, {"team-b"}, "namespaces written to")


@test("cluster tenants: hookPaths grants a namespace more paths, and nothing beside them")
def granted(context):
    case = Case(context, [secret(), git("x"), secret("webhook-token", VICTIM, "team-b")] + [
        hook("inside", path="/legacy/x", actions=[{"reconcile": {"kind": "GitRepository", "name": "x"}}]),
        hook("itself", path="/legacy"), hook("beside", path="/legacyx"), hook("other", "team-b", path="/legacy/y")])
    server = case.server(config="hookPaths: {team-a: [/legacy]}\n")
    case.deliver(server, "/legacy/x", ["team-a/x"])
    expect(server.probe("/legacy"), 401, "the granted path itself")
    refused(case, server, "beside", "NotPermitted", "/legacyx", 404)
    case.condition(lambda: case.hook("other", "team-b"), "Ready", "False", "NotPermitted")
    expect(server.push(PUSH, "/legacy/y", VICTIM).status, 404, "the path that another namespace wants")


ELSEWHERE = [
    ("reconcile", [{"reconcile": {"kind": "GitRepository", "name": "webapp", "namespace": "team-b"}}]),
    ("build", [{"openshiftBuild": {"name": "orders", "namespace": "demo"}}]),
    ("run", [{"s2iRun": {"builderName": "shop", "namespace": "demo"}}]),
    ("match", [{"reconcile": {"matchRepository": True, "namespaces": ["team-b"]}}]),
    ("match-all", [{"reconcile": {"matchRepository": True, "namespaces": ["*"]}}]),
    ("build-match", [{"openshiftBuild": {"matchRepository": True, "namespaces": ["demo"]}}]),
    ("mixed", [{"log": {}}, {"reconcile": {"kind": "GitRepository", "name": "webapp"}},
               {"reconcile": {"kind": "GitRepository", "name": "webapp", "namespace": "team-b"}}])]


@test("cluster tenants: a Hook acts on objects of its own namespace only, whatever the action")
def targets(context):
    case = Case(context, [secret(), git(), git(namespace="team-b"), build_config(), s2i_builder()] + [
        hook(name, actions=actions) for name, actions in ELSEWHERE])
    server = case.server()
    for name, _ in ELSEWHERE:
        refused(case, server, name, "ValidationFailed", hook_path(name))
    expect(case.kube.attempts(), 0, "attempts at the API server")
    case.kube.apply(hook("own", actions=[{"reconcile": {"kind": "GitRepository", "name": "webapp"}}]))
    case.status_becomes(server, hook_path("own"), 401, "a Hook of its own namespace")
    case.deliver(server, hook_path("own"), ["team-a/webapp"])


@test("cluster tenants: allowCrossNamespace lets the Hooks of one namespace act on others, and no other's")
def allowed(context):
    action = [{"reconcile": {"kind": "GitRepository", "name": "webapp", "namespace": "team-c"}}]
    case = Case(context, [secret(), secret("webhook-token", VICTIM, "team-b"), git(namespace="team-c"),
                          hook(actions=action), hook("hooked", "team-b", actions=action)])
    server = case.server(config="allowCrossNamespace: [team-a]\n")
    case.deliver(server, hook_path(), ["team-c/webapp"])
    expect(server.push(PUSH, hook_path("hooked", "team-b"), VICTIM).status, 503, "the Hook that is not allowed")


@test("cluster tenants: a Hook does not act on objects of the whole cluster either")
def cluster_scoped(context):
    whole = {"stack": ("kpack.io/v1alpha2", "ClusterStack"), "builder": ("kpack.io/v1alpha2", "ClusterBuilder")}
    case = Case(context, [secret(), git(), kpack("ClusterStack", "stack", "registry.example.org/x:1"),
                          kpack("ClusterBuilder", "builder", "registry.example.org/x:1"), hook("webapp")] + [
        hook(name, actions=[{"reconcile": {"apiVersion": api, "kind": kind, "name": name}}])
        for name, (api, kind) in whole.items()])
    server = case.server()
    answers = [server.push(PUSH, hook_path(name), TOKEN) for name in whole] + [case.push(server, hook_path("webapp"))]
    wait_until(lambda: case.triggered(), 10, "the write of the Hook beside them")
    settled(server, [a for a in answers if a.decision == "accepted"], 30)
    expect(case.triggered(), ["team-a/webapp"], "writes")


STEPS = ["../../team-b/gitrepositories/webapp", "..%2f..%2fteam-b%2fgitrepositories%2fwebapp", "webapp?x=/../", "webapp/status",
         "../gitrepositories/webapp", "..", ".", "", "webapp#", "webapp\n", "a/b", "%2e%2e"]


@test("cluster tenants: names of targets cannot leave their place in a path of the API server")
def traversal(context):
    case = Case(context, [secret(), git("fine"), git(namespace="team-b"), build_config("orders", "team-b"), hook("fine")])
    kube = case.kube
    for i, step in enumerate(STEPS):
        target = {"kind": "GitRepository", "name": step}
        kube.put(hook("h%02d" % i, actions=[{"reconcile": target}], retry={"attempts": 1}))
        kube.put(hook("n%02d" % i, actions=[{"reconcile": dict(target, name="webapp", namespace=step or "team-b/")}]))
        kube.put(hook("v%02d" % i, actions=[{"reconcile": dict(
            target, name="webapp", apiVersion="source.toolkit.fluxcd.io/v1/namespaces/team-b/" + step)}]))
        kube.put(hook("b%02d" % i, actions=[{"openshiftBuild": {"name": step}}]))
        kube.put(receiver("r%02d" % i, resources=[target]))
    server, accepted = case.server(), []
    for i in range(len(STEPS)):
        for path in [hook_path("%s%02d" % (kind, i)) for kind in "hnvb"] + [flux_path("r%02d" % i)]:
            answer = server.push(PUSH, path, TOKEN)
            expect_in(answer.status, {200, 404, 503}, "a push to %s with %r" % (path[:24], STEPS[i]))
            accepted += [answer] if answer.decision == "accepted" else []
    case.deliver(server, hook_path("fine"), ["team-a/fine"])
    wait_until(lambda: not server.metrics()["grapnel_trigger_running_actions"], 20, "nothing is running")
    everything = [path for _, path in kube.reads] + [w["path"] for w in kube.writes_since() if w["resource"] not in (
        "leases", "events", "receivers", "hooks")]
    expect([p for p in everything if "team-b" in p.lower() and "2f" not in p.lower()], [], "calls about team-b")
    expect({w["namespace"] for w in kube.acts()}, {"team-a"}, "namespaces written to")
    expect({w["name"] for w in kube.acts()}, {"fine"}, "objects written to")


@test("cluster tenants: a Receiver acts across namespaces as Flux's does, unless --no-cross-namespace-refs")
def cross_namespace(context):
    both = [{"kind": "GitRepository", "name": "webapp"}, {"kind": "GitRepository", "name": "webapp", "namespace": "team-b"}]
    case = Case(context, [secret(), git(), git(namespace="team-b"), receiver(resources=both)])
    open_one, closed = case.server(), case.server("--no-cross-namespace-refs")
    case.deliver(open_one, flux_path(), ["team-a/webapp", "team-b/webapp"])
    case.deliver(closed, flux_path(), ["team-a/webapp"])


@test("cluster tenants: --watch-namespace reads and serves these namespaces only")
def watch_namespace(context):
    names = ("team-a", "team-b", "team-c")
    case = Case(context, [o for n in names for o in (
        secret(namespace=n), receiver(namespace=n), git(namespace=n), hook(namespace=n), git("hooked", n))])
    server = case.server("--watch-namespace", "team-a", "--watch-namespace", "team-c")
    for name in ("team-a", "team-c"):
        case.deliver(server, flux_path(namespace=name), [name + "/webapp"])
        case.ready(namespace=name)
    expect(server.probe(flux_path(namespace="team-b")), 404, "a Receiver of another namespace")
    expect(server.probe(hook_path(namespace="team-b")), 404, "a Hook of another namespace")
    expect(case.receiver(namespace="team-b")["metadata"].get("finalizers"), None, "its finalizers")
    read = {path for verb, path in case.kube.reads if verb in ("list", "watch")}
    expect_that(not any("/team-b/" in path for path in read), "namespace team-b was read: %r" % sorted(read))
    namespaced = ("receivers", "hooks", "gitrepositories", "secrets", "buildconfigs")
    wide = [p for p in read if p.rpartition("/")[2] in namespaced and "/namespaces/" not in p]
    expect(wide, [], "lists over all namespaces")


@test("cluster tenants: of two Receivers with one path the older keeps it, and the younger says so")
def same_path(context):
    # team-a/webapp and appteam-a/web: the same bytes without separators.
    case = Case(context, [
        secret(), secret(namespace="appteam-a"), git(), git("web", "appteam-a"),
        receiver("web", "appteam-a", created="2026-03-01T00:00:00Z"), receiver(created="2026-02-01T00:00:00Z")])
    server = case.server()
    case.deliver(server, flux_path(), ["team-a/webapp"])
    o = case.condition(lambda: case.receiver("web", "appteam-a"), "Ready", "False", "PathAlreadyClaimed", 10)
    expect_in("Receiver/team-a/webapp", conditions(o)["Ready"]["message"], "message")
    case.kube.remove(FLUX, "Receiver", "team-a", "webapp")
    case.ready("web", "appteam-a", flux_path())
    case.deliver(server, flux_path(), ["appteam-a/web"])


def steal(context, *flags):
    """Names of Secrets that try to reach another namespace's."""
    names = ["../../team-b/secrets/webhook-token", "..%2f..%2fteam-b%2fsecrets%2fwebhook-token", "team-b/webhook-token",
             "webhook-token,metadata.namespace=team-b", "webhook-token&fieldSelector=metadata.namespace=team-b", "", "*"]
    case = Case(context, [secret(token=VICTIM, namespace="team-b"), secret("own"), git("hooked")] + [
        hook("thief-%d" % i, token=n, actions=[{"log": {}}]) for i, n in enumerate(names)] + [
        receiver("thief-%d" % i, token=n) for i, n in enumerate(names)] + [hook(token="own")])
    server = case.server(*flags)
    case.deliver(server, hook_path(), ["team-a/hooked"])
    for i, name in enumerate(names):
        expect_in(server.push(PUSH, hook_path("thief-%d" % i), VICTIM).status, {404, 503}, "a Hook with Secret %r" % name)
        expect(server.push(PUSH, flux_path("thief-%d" % i, VICTIM), VICTIM).status, 404, "a Receiver with Secret %r" % name)
    expect([p for _, p in case.kube.reads if "/team-b/" in p], [], "reads of the other namespace")


@test("cluster tenants: names of Secrets cannot reach another namespace's, by name")
def steal_by_name(context):
    steal(context)


@test("cluster tenants: names of Secrets cannot reach another namespace's, with --secret-access all")
def steal_all(context):
    steal(context, "--secret-access", "all")
