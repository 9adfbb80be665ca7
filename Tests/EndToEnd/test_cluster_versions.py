"""Kinds that are not served, that come later, in old versions, and in another version from one moment to the next."""
from clustercase import Case, flux_path, git, hook, hook_path, receiver, secret
from fakekube import Resource
from harness import expect
from registry import test


@test("cluster versions: kinds that are not served do not keep the server from being ready, and are found when they appear")
def appearing(context):
    groups = ("notification.toolkit.fluxcd.io", "grapnel.dev", "source.toolkit.fluxcd.io", "build.openshift.io",
              "devops.kubesphere.io", "kpack.io", "build.pivotal.io", "image.toolkit.fluxcd.io")
    case = Case(context, [secret()], without=groups)
    kube, server = case.kube, case.server()
    expect(server.probe(flux_path()), 404, "before")
    kube.serve("notification.toolkit.fluxcd.io", "v1", "Receiver", "receivers")
    kube.serve("source.toolkit.fluxcd.io", "v1", "GitRepository", "gitrepositories")
    kube.serve("grapnel.dev", "v1alpha1", "Hook", "hooks")
    for o in (receiver(), hook(), git(), git("hooked")):
        kube.apply(o)
    case.status_becomes(server, flux_path(), 400, "the CRD of Receivers is installed", 20)
    case.status_becomes(server, hook_path(), 401, "the CRD of Hooks is installed", 20)
    case.deliver(server, flux_path(), ["team-a/webapp"])
    case.deliver(server, hook_path(), ["team-a/hooked"])
    case.ready()


def old_version(context, *served, **more):
    """A cluster that serves these versions of Receivers only; each Receiver gets its status there."""
    case = Case(context, [secret()], without=("notification.toolkit.fluxcd.io", "source.toolkit.fluxcd.io"))
    kube, source = case.kube, more.get("source", "v1beta1")
    kube.serve("source.toolkit.fluxcd.io", source, "GitRepository", "gitrepositories")
    for i, (group, version) in enumerate(served):
        kube.serve(group, version, "Receiver", "receivers")
        kube.put(receiver("r%d" % i, api="%s/%s" % (group, version), resources=[{"kind": "GitRepository", "name": "r%d" % i}]))
        kube.put(git("r%d" % i, version=source))
    server = case.server()
    for i, (group, version) in enumerate(served):
        name, api = "r%d" % i, "%s/%s" % (group, version)
        case.deliver(server, flux_path(name), ["team-a/" + name], what="of a Receiver of " + api)
        o = case.ready(name, api=api)
        expect(o["status"].get("url"), flux_path(name), "status.url of " + api)
    return case


@test("cluster versions: Receivers of v1beta2 alone are served, and get status.url too")
def beta2(context):
    old_version(context, ("notification.toolkit.fluxcd.io", "v1beta2"))


@test("cluster versions: Receivers of v1beta1 and of the old group's v1alpha1 are served together, and get status.url too")
def beta1(context):
    old_version(context, ("notification.toolkit.fluxcd.io", "v1beta1"), ("notification.fluxcd.io", "v1alpha1"))


@test("cluster versions: Receivers of v1alpha1 alone are served; sources of v1alpha1 alone get both annotations")
def alpha1(context):
    case = old_version(context, ("notification.toolkit.fluxcd.io", "v1alpha1"), source="v1alpha1")
    given = case.kube.get("source.toolkit.fluxcd.io/v1alpha1", "GitRepository", "team-a", "r0")["metadata"]["annotations"]
    expect(sorted(given), ["fluxcd.io/reconcileAt", "reconcile.fluxcd.io/requestedAt"], "annotations")


@test("cluster versions: a CRD that is upgraded from v1beta2 to v1 while the server runs costs no route")
def upgraded(context):
    group = "notification.toolkit.fluxcd.io"
    case = Case(context, [secret(), git()], without=(group,))
    kube = case.kube
    kube.serve(group, "v1beta2", "Receiver", "receivers")
    kube.put(receiver(api=group + "/v1beta2"))
    server = case.server()
    case.ready(api=group + "/v1beta2")
    with kube.changed:
        kube.resources = [r for r in kube.resources if r.group != group] + [Resource(group, "v1", "Receiver", "receivers", True)]
    kube.end_watches()
    kube.apply(receiver("created"))
    case.status_becomes(server, flux_path("created"), 400, "created in the new version", 15)
    expect(server.probe(flux_path()), 400, "the one of before")
    case.deliver(server, flux_path(), ["team-a/webapp"])
    case.ready("created", seconds=15)
    kube.apply(receiver(events=["push"]))
    case.ready(seconds=15)
    expect(server.is_ready(), True, "readiness")
