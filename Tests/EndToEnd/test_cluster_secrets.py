"""How the Secrets of receivers are read: by name, by label, all; and one that many name."""
from clustercase import FLUX, Case, flux_path, git, hook, hook_path, receiver, secret
from harness import Skip, delivery_id, expect, expect_in, expect_that, wait_until
from registry import test

NEXT = "n3xt-t0ken-a1b2c3d4e5f60718"


@test("cluster secrets: 12 Receivers with one Secret cost one watch of it, and all follow when it changes")
def one_secret(context):
    names = ["webapp-%02d" % i for i in range(12)]
    case = Case(context, [secret(), git()] + [
        receiver(n, resources=[{"kind": "GitRepository", "name": "webapp"}]) for n in names])
    kube, server = case.kube, case.server()
    expect({server.probe(flux_path(n)) for n in names}, {400}, "all of them")
    one = lambda what: wait_until(lambda: kube.open_watches("secrets") == 1, 5, "one watch of Secrets" + what)
    one("")
    kube.apply(secret(token=NEXT))
    case.status_becomes(server, flux_path(names[-1], NEXT), 400, "the Secret of 12 Receivers is changed")
    expect({server.probe(flux_path(n, NEXT)) for n in names}, {400}, "all of them, with the new token")
    for name in names[:-1]:
        kube.remove(FLUX, "Receiver", "team-a", name)
    wait_until(lambda: len(kube.all("receivers")) == 1, 10, "those that are deleted are gone")
    one(": it is still named")
    kube.remove(FLUX, "Receiver", "team-a", names[-1])
    expect(server.is_ready(), True, "readiness")
    case.status_becomes(server, flux_path(names[-1], NEXT), 404, "the last one is deleted")
    # A watch that the client left is noticed by the server at its next write.
    wait_until(lambda: kube.apply(secret(token=NEXT, more=delivery_id())) and not kube.open_watches("secrets"), 10,
               "nobody watches a Secret that nobody names")


def secret_access(context, mode, *flags, labels={"reconcile.fluxcd.io/watch": "Enabled"}):
    """The same story for each way to read Secrets."""
    other = secret("nobody-names-it", "n0body-names-this-one-77")
    case = Case(context, [secret(labels=labels), secret("plain", NEXT), other, git(), receiver(),
                          receiver("second", token="plain"), hook()])
    kube, server = case.kube, case.server("--secret-access", mode, *flags)
    expect([server.probe(p) for p in (flux_path(), flux_path("second", NEXT), hook_path())], [400, 400, 401], mode)
    kube.apply(secret(token="an0ther-t0ken-9f8e7d", labels=labels))
    case.status_becomes(server, flux_path(token="an0ther-t0ken-9f8e7d"), 400, "a Secret is changed")
    case.ready(path=flux_path(token="an0ther-t0ken-9f8e7d"))
    kube.apply(secret("late", "l4te-t0ken-11223344", labels=labels))
    kube.apply(receiver("third", token="late"))
    case.status_becomes(server, flux_path("third", "l4te-t0ken-11223344"), 400, "another Secret is named")
    kube.remove("v1", "Secret", "team-a", "late")
    case.status_becomes(server, flux_path("third", "l4te-t0ken-11223344"), 404, "that Secret is deleted")
    return case, server


@test("cluster secrets: --secret-access by-name touches only Secrets that are named, each by its name")
def by_name(context):
    case, _ = secret_access(context, "by-name")
    paths = {path for verb, path in case.kube.reads if path.endswith("/secrets")}
    expect(paths, {"/api/v1/namespaces/team-a/secrets"}, "lists of Secrets")


@test("cluster secrets: --secret-access all watches Secrets once")
def all_secrets(context):
    case, _ = secret_access(context, "all")
    wait_until(lambda: case.kube.open_watches("secrets") == 1, 5, "one watch of Secrets")


@test("cluster secrets: --secret-access labelled watches those with the label and reads the others")
def labelled(context):
    case, _ = secret_access(context, "labelled")
    wait_until(lambda: case.kube.open_watches("secrets") == 1, 5, "one watch of Secrets")
    gets = {path for verb, path in case.kube.reads if verb == "get" and "/secrets/" in path}
    expect_in("/api/v1/namespaces/team-a/secrets/plain", gets, "Secrets that are read")
    expect_that(not any("nobody" in path for path in gets), "a Secret that nobody names was read")


@test("cluster secrets: --secret-selector says which label")
def selector(context):
    case, _ = secret_access(context, "labelled", "--secret-selector", "example.com/hooks in (yes,maybe)",
                            labels={"example.com/hooks": "yes"})
    gets = {path.rpartition("/")[2] for verb, path in case.kube.reads if verb == "get" and "/secrets/" in path}
    expect_in("plain", gets, "Secrets that are read")


@test("cluster secrets: a named Secret that loses its label stays in use with --secret-access labelled")
def label_lost(context):
    labels = {"reconcile.fluxcd.io/watch": "Enabled"}
    case = Case(context, [secret(labels=labels), git(), receiver()])
    server = case.server("--secret-access", "labelled")
    case.ready()
    case.kube.apply(secret())
    case.kube.apply(hook())
    case.status_becomes(server, hook_path(), 401, "a Hook with the same Secret")
    expect(server.probe(flux_path()), 400, "the Receiver whose Secret has no label any more")


@test("cluster secrets: what is not labelled is read every minute: changes and deletions are seen")
def reread(context):
    if not context.long:
        raise Skip("takes two minutes: run with --long")
    case = Case(context, [secret(), secret("other"), git(), receiver(), receiver("second", token="other")])
    server = case.server("--secret-access", "labelled")
    case.ready()
    case.kube.apply(secret(token=NEXT))
    case.kube.remove("v1", "Secret", "team-a", "other")
    case.status_becomes(server, flux_path(token=NEXT), 400, "the changed Secret", 65)
    case.status_becomes(server, flux_path("second"), 404, "the deleted Secret", 65)
