"""Redeliveries to another target: a canary, as another route or as another object."""
import json

import clustercase
from apikit import Api
from harness import TOKEN, expect, expect_that, hook, secret, wait_until
from redeliverydesk import Desk, http
from registry import test


@test("redeliver: to another route, whose actions are carried out, also after a crash; the record says both")
def to_route(context):
    sink, canary, lab = context.sink(status=400), context.sink(), context.sink()
    desk = Desk(context, http(sink.url), [
        secret("canary-token", "another-token-0f3e"), hook("canary", secrets=["canary-token"], actions=http(canary.url)), hook("lab", type="gitlab", actions=http(lab.url)),
        hook("idle", actions="[]"), hook("asleep", actions=http(lab.url), more="suspend: true"),
        hook("waits", secrets=["nowhere"], actions=http(lab.url))])
    dead = desk.push(2, body=json.dumps({"ref": "refs/heads/main", "note": "it is " + TOKEN}).encode())
    desk.wait(dead, "dead")
    for to, code in (("Hook/team-a/none", "to-unknown"), ("Hook/team-b/canary", "to-unknown"),
                     ("Hook/team-a/idle", "to-unusable"), ("Hook/team-a/asleep", "to-unusable"),
                     ("Hook/team-a/waits", "to-unusable"), ("east:Hook/team-a/canary", "to-unknown"),
                     ("GitRepository/team-a/webapp", "to-unknown"),
                     (canary.url, "body-wrong"), ("canary", "body-wrong"), ("Hook/team-a/", "body-wrong"), (1, "body-wrong")):
        for answer in (desk.one(dead[0], to=to), desk.one(dead[0], to=to, dryRun=True),
                       desk.api.post("/redeliveries", {"filter": {"outcome": "dead"}, "to": to})):
            expect(answer[1]["error"]["code"], code, "to %r" % to)
    expect(desk.one(dead[0], to="Hook/team-a/canary", planIndex=0)[0], 400, "a part of another route's plan")
    expect([r for r in desk.all() if r["redeliveryOf"]], [], "nothing is redelivered")

    expect(desk.one(dead[0], to="Hook/team-a/canary", dryRun=True)[0], 200, "a dry run")
    status, answer = desk.one(dead[0], to="Hook/team-a/canary")
    expect(status, 202, "to the canary")
    new = answer["redelivered"]
    desk.wait([new], "done")
    row = desk.show(new)
    expect((row["route"]["name"], row["redeliveryOf"]), ("canary", dead[0]), "what the record says")
    expect(row["request"]["body"]["content"], desk.show(dead[0])["request"]["body"]["content"], "the body")
    expect_that("it is" in row["request"]["body"]["content"], "no body: %r" % row["request"]["body"])
    expect((len(canary.seen()), len(sink.seen())), (1, 2), "calls")
    for query in ("", "?body=raw"):
        answer = desk.api.raw("GET", "/api/v1/deliveries/%d%s" % (new, query))
        expect_that(answer.status == 200 and TOKEN.encode() not in answer.raw, "the secret of the first route is shown")
    # It is the canary's: what should have been done at the first place is not done by that.
    expect(desk.select()["sequences"], dead, "the same as before")
    expect(desk.select(to="Hook/team-a/canary")["sequences"], dead[1:], "to the canary once")
    text = desk.run("--outcome", "dead", "--to", "Hook/team-a/lab", "--rate", "100").stdout
    expect(text.splitlines()[-1], "2 redelivered, 0 refused", "the command")
    wait_until(lambda: len(lab.seen()) == 2, 20, "a route of another sender")
    # Accepted, then a crash before it could act.
    desk.api.post("/pause", {"route": "Hook/team-a/canary"})
    new = desk.one(dead[1], to="Hook/team-a/canary")[1]["redelivered"]
    desk.server.kill()
    desk.server.start()
    expect((desk.outcome(new), len(canary.seen())), ("owed", 1), "after the crash")
    desk.api.post("/resume", {"route": "Hook/team-a/canary"})
    desk.wait([new], "done")
    expect((len(canary.seen()), len(sink.seen())), (2, 2), "calls")
    again = desk.one(new)[1]["redelivered"]
    desk.wait([again], "done")
    expect((desk.show(again)["redeliveryOf"], len(canary.seen())), (dead[1], 3), "a redelivery of that is the canary's")


@test("redeliver: to another object of the kind and namespace that was planned, also after a crash; to no other")
def to_object(context):
    objects = [clustercase.secret(), clustercase.secret(namespace="team-b")]
    for namespace in ("team-a", "team-b"):
        objects += [clustercase.git(name, namespace) for name in ("hooked", "canary")]
        objects.append(clustercase.hook("hooked", namespace))
    case = clustercase.Case(context, objects)
    server = case.server(manifests={"operator.yaml": secret("operator-token", "operator-token-77aa1c", namespace="team-b")
                                    + "---\n" + hook("operator", namespace="team-b", secrets=["operator-token"],
                                                     actions="[{log: {}}]")})
    api = Api(server)
    path = clustercase.hook_path("hooked")
    first = wait_until(lambda: case.accepted(server, path), 20, "the Hook is known").sequence
    wait_until(lambda: api.get("/deliveries/%d" % first)[1]["outcome"] == "done", 20, "it is done")
    start = len(case.kube.writes_since())

    def redeliver(to, **more):
        return api.post("/deliveries/%d/redeliver" % first, {"to": to, **more})
    for to, code in (("GitRepository/team-b/hooked", "to-unknown"), ("HelmRepository/team-a/canary", "to-unknown"),
                     ("gitrepository/team-a/canary", "to-unknown"), ("local:GitRepository/team-a/canary", "body-wrong"),
                     # A tenant's Hook gets the requests of its own namespace alone.
                     ("Hook/team-b/hooked", "to-not-allowed")):
        for more in ({}, {"dryRun": True}):
            expect(redeliver(to, **more)[1].get("error", {}).get("code"), code, "to " + to)
    expect(redeliver("GitRepository/team-a/canary", planIndex=0, dryRun=True)[0], 200, "a dry run")
    expect(redeliver("GitRepository/team-a/canary", planIndex=1)[1]["error"]["code"], "target-unknown", "no such entry")
    expect(case.triggered(start), [], "writes")
    expect(redeliver("GitRepository/team-a/canary")[0], 202, "to the canary")
    wait_until(lambda: case.triggered(start) == ["team-a/canary"], 20, "the canary is written to")

    # Nor by way of an operator's Hook, which takes every namespace's.
    status, answer = redeliver("Hook/team-b/operator")
    expect(status, 202, "to an operator's Hook: %r" % answer)
    copy = answer["redelivered"]
    wait_until(lambda: api.get("/deliveries/%d" % copy)[1]["outcome"] == "done", 20, "it is done")
    for to, code in (("Hook/team-b/hooked", "to-not-allowed"), ("Hook/team-a/hooked", None)):
        answer = api.post("/deliveries/%d/redeliver" % copy, {"to": to, "dryRun": True})[1]
        expect(answer.get("error", {}).get("code"), code, "from there to " + to)

    api.post("/pause", {"route": "Hook/team-a/hooked"})
    new = redeliver("GitRepository/team-a/canary")[1]["redelivered"]
    server.kill()
    server.start()
    api.post("/resume", {"route": "Hook/team-a/hooked"})
    wait_until(lambda: api.get("/deliveries/%d" % new)[1]["outcome"] == "done", 20, "it is done")
    expect(case.triggered(start), ["team-a/canary"] * 2, "writes")
    told = api.get("/deliveries/%d" % new)[1]
    expect((told["redeliveryOf"], told["plan"][0]["target"]), (first, "GitRepository/team-a/canary"), "the record")
    # The original is not redelivered by that.
    chosen = api.post("/redeliveries", {"filter": {"outcome": "done", "until": "0s"}, "dryRun": True})[1]["selection"]
    expect(first in chosen["sequences"], True, "where it belongs: %r" % chosen)
