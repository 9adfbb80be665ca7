"""The status of Receivers and Hooks: their life as notification-controller has it, Events, and --receiver-status given."""
import copy
import re

from clustercase import (FINALIZER, FLUX, HOOK, PUSH, TOKEN, Case, conditions, flux_path, git, hook, hook_path,
                         receiver, secret)
from fakekube import settled
from harness import expect, expect_in, expect_that, wait_until
from registry import test

NEXT = "n3xt-t0ken-a1b2c3d4e5f60718"
ASKED = "reconcile.fluxcd.io/requestedAt"
ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def check_conditions(o, wanted):
    """{type: (status, reason, message or its beginning and …)}, nothing else, each of the object's generation."""
    found = conditions(o)
    expect(sorted(found), sorted(wanted), "conditions of %s" % o["metadata"]["name"])
    for type, (status, reason, message) in wanted.items():
        c = found[type]
        expect((c["status"], c["reason"]), (status, reason), type)
        if message.endswith("…"):
            expect_that(c["message"].startswith(message[:-1]) and len(c["message"]) > len(message),
                        "message of %s: %r" % (type, c["message"]))
        else:
            expect(c["message"], message, "message of " + type)
        expect(c.get("observedGeneration"), o["metadata"]["generation"], "observedGeneration of " + type)
        expect_that(re.fullmatch(ISO, c["lastTransitionTime"]), "lastTransitionTime %r" % c["lastTransitionTime"])


def marked(case, name):
    """Waits until a new Receiver was judged: what was to be written before it, was."""
    case.kube.apply(receiver(name))
    case.ready(name)


def failed_terminally(text):
    return "Reconciliation failed terminally due to configuration error: " + text


READY = {"Ready": ("True", "Succeeded", "Receiver initialized for path: " + flux_path())}


@test("cluster status: a Receiver's life: initialized, asked, changed, broken, mended, without token, suspended, deleted")
def lifecycle(context):
    case = Case(context, [secret(), git()])
    kube, server = case.kube, case.server()
    # Created: finalizer, path, condition.
    kube.apply(receiver())
    o = case.ready()
    check_conditions(o, READY)
    expect(o["metadata"]["finalizers"], [FINALIZER], "finalizers")
    expect(sorted(o["status"]), ["conditions", "observedGeneration", "webhookPath"], "members of the status")
    since = conditions(o)["Ready"]["lastTransitionTime"]
    # Asked: the annotation is copied, nothing else changes.
    kube.apply(receiver(annotations={ASKED: "2026-05-01T12:00:00Z"}))
    wait_until(lambda: case.receiver()["status"].get("lastHandledReconcileAt") == "2026-05-01T12:00:00Z", 5,
               "lastHandledReconcileAt follows the annotation")
    check_conditions(case.receiver(), READY)
    # Changed: the generation follows.
    kube.apply(receiver(events=["push"], annotations={ASKED: "2026-05-01T12:00:00Z"}))
    o = case.ready()
    expect(o["status"]["observedGeneration"], 2, "observedGeneration")
    check_conditions(o, READY)
    # Broken expression: the path stays, and nothing is acted on.
    for broken, text in (
            (dict(resourceFilter="res.metadata.("), "invalid resourceFilter expression: …"),
            (dict(resources=[{"kind": "GitRepository", "name": "webapp", "filter": "req.flag"}]),
             "invalid filter expression for resources[0] (kind=GitRepository, name=webapp): …")):
        kube.apply(receiver(**broken))
        generation = case.receiver()["metadata"]["generation"]
        wait_until(lambda: case.receiver()["status"]["observedGeneration"] == generation, 5, "it was judged")
        o = case.receiver()
        check_conditions(o, {kind: (status, "InvalidCELExpression", failed_terminally(text))
                             for kind, status in (("Ready", "False"), ("Stalled", "True"))})
        expect(o["status"]["webhookPath"], flux_path(), "webhookPath")
        expect(server.push(PUSH, flux_path(), TOKEN).status, 503, "a push to it")
    # Mended.
    kube.apply(receiver())
    o = case.ready()
    check_conditions(o, READY)
    expect_that(conditions(o)["Ready"]["lastTransitionTime"] >= since, "the time of transition went back")
    generation = o["metadata"]["generation"]
    # Without token: no path, the generation is not observed.
    for what, change, message in (
            ("Secret", lambda: kube.remove("v1", "Secret", "team-a", "webhook-token"),
             "unable to read token from secret 'team-a/webhook-token' error: …"),
            ("key", lambda: kube.apply(secret(key="tokem")),
             "invalid 'team-a/webhook-token' secret data: required fields 'token'")):
        change()
        wait_until(lambda: conditions(case.receiver())["Ready"]["message"].startswith(message.rstrip("…")), 5,
                   "the %s is missed" % what)
        check_conditions(case.receiver(), {"Ready": ("False", "TokenNotFound", message),
                                           "Reconciling": ("True", "ProgressingWithRetry", message)})
        expect(case.receiver()["status"].get("webhookPath"), None, "webhookPath")
        expect(server.push(PUSH, flux_path(), TOKEN).status, 404, "a push to it")
    kube.apply(receiver(events=["push"]))
    kube.apply(receiver("marker", token="other"))
    case.condition(lambda: case.receiver("marker"), "Ready", "False", "TokenNotFound")
    expect(case.receiver()["metadata"]["generation"], generation + 1, "generation")
    expect(case.receiver()["status"]["observedGeneration"], generation, "observedGeneration while the token is missing")
    # Recovered.
    kube.apply(secret())
    o = case.ready()
    check_conditions(o, READY)
    expect(o["status"]["observedGeneration"], generation + 1, "observedGeneration")
    # Suspended: the status stays.
    before = copy.deepcopy(o["status"])
    kube.apply(receiver(suspend=True))
    case.status_becomes(server, flux_path(), 503, "it is suspended")
    marked(case, "after-suspend")
    expect(case.receiver()["status"], before, "the status of a suspended Receiver")
    kube.apply(receiver())
    o = case.ready()
    # Deleted: only our finalizer goes.
    with kube.changed:
        held = copy.deepcopy(case.receiver())
        held["metadata"]["finalizers"] = ["example.com/keeps-it", FINALIZER]
        kube.put(held)
    before = copy.deepcopy(case.receiver()["status"])
    kube.remove(FLUX, "Receiver", "team-a", "webapp")
    wait_until(lambda: case.receiver()["metadata"]["finalizers"] == ["example.com/keeps-it"], 5, "our finalizer is gone")
    case.status_becomes(server, flux_path(), 404, "it is deleted")
    expect(case.receiver()["status"], before, "the status of a deleted Receiver")
    expect({w["subresource"] for w in case.writes_to("receivers") if "status" in w["body"]}, {"status"},
           "how the status is written")


@test("cluster status: a suspended Receiver that never had a status gets the finalizer, and no status")
def born_suspended(context):
    case = Case(context, [secret(), receiver(suspend=True)])
    server = case.server()
    wait_until(lambda: case.receiver()["metadata"].get("finalizers") == [FINALIZER], 5, "the finalizer")
    marked(case, "marker")
    expect(case.receiver().get("status"), None, "status")
    expect(server.probe(flux_path()), 503, "a push to it")


@test("cluster status: what others wrote stays, and a deletion that waited for us while we were away goes on")
def inherited(context):
    custom = {"type": "Audited", "status": "True", "reason": "ByHand", "message": "kept",
              "lastTransitionTime": "2025-01-01T00:00:00Z"}
    old = {"type": "Ready", "status": "True", "reason": "Succeeded", "message": "Receiver initialised with URL: " + flux_path(),
           "lastTransitionTime": "2025-01-01T00:00:00Z"}
    kept = receiver(status={"observedGeneration": -1, "conditions": [custom, old]})
    kept["metadata"]["finalizers"] = ["example.com/keeps-it"]
    leaving = receiver("leaving", status={"observedGeneration": 1})
    leaving["metadata"].update(finalizers=[FINALIZER], deletionTimestamp="2026-01-02T00:00:00Z")
    case = Case(context, [secret(), kept, leaving])
    server = case.server()
    o = case.ready()
    expect(o["metadata"]["finalizers"], ["example.com/keeps-it", FINALIZER], "finalizers")
    expect(conditions(o)["Audited"], custom, "a condition that is not ours")
    expect(conditions(o)["Ready"]["message"], "Receiver initialized for path: " + flux_path(), "message")
    expect(conditions(o)["Ready"]["lastTransitionTime"], "2025-01-01T00:00:00Z", "the status did not change, nor its time")
    wait_until(lambda: case.receiver("leaving") is None, 5, "the Receiver that was deleted before is gone")
    expect(server.probe(flux_path("leaving")), 404, "its path")


@test("cluster status: an invalid oidcProvider is ValidationFailed, its broken expression InvalidCELExpression")
def oidc(context):
    provider = {"issuerURL": "https://issuer.example.com",
                "validations": [{"expression": "claims.sub == 'x'", "message": "no"}]}

    def oidc_receiver(name, *providers):
        o = receiver(name, type="generic-oidc", oidcProviders=list(providers))
        del o["spec"]["secretRef"]
        return o
    case = Case(context, [
        oidc_receiver("broken", dict(provider, validations=[{"expression": "claims.(", "message": "no"}])),
        oidc_receiver("good", provider), oidc_receiver("none")])
    case.server()
    case.ready("good", path=flux_path("good", ""))
    case.condition(lambda: case.receiver("broken"), "Ready", "False", "InvalidCELExpression")
    expect_in("oidcProviders[0]", conditions(case.receiver("broken"))["Ready"]["message"], "message")
    case.condition(lambda: case.receiver("none"), "Stalled", "True", "ValidationFailed")


@test("cluster status: Events tell what became of a Receiver, as notification-controller words them")
def events(context):
    case = Case(context, [secret(), receiver(), receiver("broken", resourceFilter="res.("), receiver("lost", token="none")])
    kube = case.kube
    case.server()

    def told(name):
        return {(e["type"], e["reason"], e["message"]) for e in kube.all("events") if e["involvedObject"]["name"] == name}
    wait_until(lambda: all(told(n) for n in ("webapp", "broken", "lost")), 10, "an Event on each")
    for e in kube.all("events"):
        about = e["involvedObject"]
        expect((about["apiVersion"], about["kind"], about["namespace"], e["metadata"]["namespace"]),
               (FLUX, "Receiver", "team-a", "team-a"), "what the Event is about")
        expect(about["uid"], case.receiver(about["name"])["metadata"]["uid"], "uid")
    (type, reason, message), = told("lost")
    expect((type, reason), ("Warning", "Failed"), "the Event of a missing token")
    expect_in("unable to read token from secret 'team-a/none' error: ", message, "its message")
    (type, reason, message), = told("broken")
    expect((type, reason), ("Warning", "InvalidCELExpression"), "the Event of a broken filter")
    expect(told("webapp"), {("Normal", "Succeeded", "Reconciliation finished, next run in 10m0s")},
           "the Event of a Receiver that is ready")


@test("cluster status: a trigger that is given up is one Warning Event on its receiver; a first failure is none yet")
def dead(context):
    case = Case(context, [secret(), receiver(), hook()])            # their repositories do not exist
    server = case.server()
    answers = [case.push(server, path) for path in (flux_path(), hook_path(), hook_path())]
    settled(server, answers, 30)

    def told(kind):
        return [e for e in case.kube.all("events") if e["involvedObject"]["kind"] == kind and e["type"] == "Warning"]
    for kind, name in (("Receiver", "webapp"), ("Hook", "hooked")):
        wait_until(lambda: told(kind), 10, "a Warning on the %s" % kind)
        expect([x["reason"] for x in told(kind)], ["TriggerDead"], "Warnings on the %s" % kind)
        e, = told(kind)
        expect(e["involvedObject"]["name"], name, "what it is about")
        expect_in("GitRepository/team-a/" + name, e["message"], "its message")


@test("cluster status: a Hook says its path or why it has none; a path has one owner, the older; no finalizer")
def hooks(context):
    young = "2026-02-01T00:00:00Z"
    case = Case(context, [
        secret(), hook(), hook("younger", created=young, path=hook_path()), hook("lost", token="none"),
        hook("broken", filter="req.("), hook("greedy", path="/hooks/team-b/x"), hook("asleep", suspend=True)])
    kube, server = case.kube, case.server()
    get = lambda name: lambda: case.hook(name)
    o = case.condition(get("hooked"), "Ready", "True", "Succeeded", 10)
    expect((o["status"]["webhookPath"], o["status"]["observedGeneration"]), (hook_path(), 1), "path and generation")
    o = case.condition(get("younger"), "Ready", "False", "PathAlreadyClaimed")
    expect_in("Hook/team-a/hooked", conditions(o)["Ready"]["message"], "message")
    case.condition(get("lost"), "Ready", "False", "TokenNotFound")
    case.condition(get("broken"), "Stalled", "True", "InvalidCELExpression")
    o = case.condition(get("greedy"), "Stalled", "True", "NotPermitted")
    expect_in("hookPaths", conditions(o)["Ready"]["message"], "the remedy")
    kube.remove(HOOK, "Hook", "team-a", "hooked")
    o = case.condition(get("younger"), "Ready", "True", "Succeeded")
    expect(o["status"]["webhookPath"], hook_path(), "the path that became free")
    kube.apply(secret("none", NEXT))
    case.condition(get("lost"), "Ready", "True", "Succeeded")
    expect(case.hook("asleep").get("status"), None, "the status of a suspended Hook")
    expect([h["metadata"].get("finalizers") for h in kube.all("hooks")], [None] * 5, "finalizers")


@test("cluster status: what is right already is not written again, by a restart neither")
def quiet(context):
    case = Case(context, [secret(), receiver(), git(), hook(), git("hooked")])
    kube, server = case.kube, case.server()
    case.ready()
    case.condition(case.hook, "Ready", "True", "Succeeded", 10)
    before = len(kube.writes_since())
    for path in (flux_path(), hook_path()):
        case.push(server, path)
    server.stop()
    server.start()
    marked(case, "marker")
    again = [w["path"] for w in kube.writes_since(before) if w["resource"] in ("receivers", "hooks")
             and w["name"] != "marker"]
    expect(again, [], "writes to what says already what it should")
    expect(case.written("receivers", name="marker"), [("", 200), ("status", 200)], "writes to a new Receiver")


@test("cluster status: a conflict and a failing API server keep the status from nobody")
def stubborn(context):
    case = Case(context, [secret()])
    kube = case.kube
    kube.faults = [{"verb": "patch", "resource": "receivers", "name": "r%d" % status, "status": status,
                    "times": 1} for status in (409, 500, 429, 403)]
    for fault in kube.faults:
        kube.apply(receiver(fault["name"]))
    case.server()
    for fault in kube.faults:
        case.ready(fault["name"], seconds=15)
        expect(fault["times"], 0, "writes that met %d and are still to come" % fault["status"])


@test("cluster status: --receiver-status given writes nothing to Receivers and follows their paths and conditions")
def given(context):
    def told(path="/hook/" + "a" * 64, **states):
        return {"webhookPath": path, "observedGeneration": 1, "conditions": [
            {"type": k, "status": v, "reason": "Said", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
            for k, v in states.items()]}
    case = Case(context, [secret(), git(), hook(), receiver(status=told(Ready="True"))])
    kube, server = case.kube, case.server(status="given")
    put = lambda status, **spec: kube.put(receiver(status=status, **spec))
    one, two = "/hook/" + "a" * 64, "/hook/" + "b" * 64
    case.deliver(server, one, ["team-a/webapp"])
    expect(server.probe(flux_path()), 404, "the path that the token makes")
    put(told(two, Ready="True"))
    case.status_becomes(server, two, 400, "another path")
    expect(server.probe(one), 404, "the path of before")
    for states in (dict(Ready="False"), dict(Ready="Unknown"), dict(Ready="True", Reconciling="True"),
                   dict(Ready="True", Stalled="True"), {}):
        put(told(two, **states))
        case.status_becomes(server, two, 503, "conditions %r" % states)
        put(told(two, Ready="True", Stalled="False"))
        case.status_becomes(server, two, 400, "ready again")
    put(told(two, Ready="True"), suspend=True)
    case.status_becomes(server, two, 503, "suspended")
    put(None)
    case.status_becomes(server, two, 404, "no status")
    put(told(two, Ready="True"))
    case.status_becomes(server, two, 400, "a status again")
    case.deliver(server, two, ["team-a/webapp"])
    case.condition(case.hook, "Ready", "True", "Succeeded", 10)
    expect(case.writes_to("receivers"), [], "writes to Receivers")
    expect([e for e in kube.all("events") if e["involvedObject"]["kind"] == "Receiver"], [], "Events on Receivers")


@test("cluster status: in given mode no status can claim a path outside of /hook/")
def given_attack(context):
    ready = [{"type": "Ready", "status": "True", "reason": "Succeeded", "message": "",
              "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    old = "2020-01-01T00:00:00Z"
    stolen = [hook_path("hooked", "team-b"), "/nothing/of/mine", "hook/x", "/hook/../hooks/team-b/hooked"]
    case = Case(context, [secret(), secret("webhook-token", NEXT, "team-b"), hook("hooked", "team-b"),
                          git("hooked", "team-b")] + [
        receiver("thief-%d" % i, created=old, status={"webhookPath": p, "observedGeneration": 1, "conditions": ready})
        for i, p in enumerate(stolen)])
    server = case.server(status="given")
    case.deliver(server, hook_path("hooked", "team-b"), ["team-b/hooked"], NEXT)
    expect(server.probe("/nothing/of/mine"), 404, "a path that only a status names")
