"""Redeliveries as an operator asks for them: what is left out of a selection, and a part of a plan."""
import json
import os
import signal

from apikit import check_schema, load_openapi
from harness import expect, expect_in, expect_that, hook, wait_until
from redeliverydesk import SLOW, Desk, http
from registry import test


# - What is left out

@test("redeliver: what has a redelivery that is owed or done is left out, and of those that died the newest is taken")
def again(context):
    sink = context.sink(status=400)
    desk = Desk(context, http(sink.url))
    dead = desk.push(3)
    desk.wait(dead, "dead")
    first = desk.run("--outcome", "dead", "--rate", "100")
    expect(first.stdout.splitlines()[-1], "3 redelivered, 0 refused", "the first time")
    wait_until(lambda: len(desk.all("&outcome=dead")) == 6, 30, "the redeliveries are dead too")
    second = sorted(row["sequence"] for row in desk.all("&outcome=dead"))[3:]
    # The dead redeliveries, and their origins not as well.
    chosen = desk.select()
    expect((chosen["sequences"], chosen["skippedRedelivered"], chosen["matched"]), (second, 3, 6), "the second time")
    sink.status = 200
    desk.run("--outcome", "dead", "--rate", "100")
    wait_until(lambda: len(desk.all("&outcome=done")) == 3, 30, "they are done")
    chosen = desk.select()
    expect((chosen["count"], chosen["skippedRedelivered"]), (0, 6), "the third time")
    text = desk.run("--outcome", "dead").stdout
    expect_that("6 redelivered before" in text and "--again" in text, text)
    expect(len(sink.seen(200)), 3, "calls that went well")
    # Forced: once for each origin, however often it was tried.
    chosen = desk.select(again=True)
    expect((chosen["sequences"], chosen["skippedRedelivered"]), (second, 3), "again")
    desk.run("--outcome", "dead", "--again", "--rate", "100")
    wait_until(lambda: len(sink.seen(200)) == 6, 30, "they are called again")
    for body in ({"again": 1}, {"again": "true"}):
        expect(desk.api.post("/redeliveries", {"filter": {"outcome": "dead"}, **body})[0], 400, repr(body))


@test("redeliver: a filter that means redeliveries as well takes nothing again that went well, nor to another route")
def done_again(context):
    sink, canary = context.sink(), context.sink()
    desk = Desk(context, http(sink.url), [hook("canary", actions=http(canary.url))])
    desk.wait(desk.push(3), "done")

    def left_out(**body):
        chosen = desk.api.post("/redeliveries", {"filter": {"since": "1h"}, "dryRun": True, **body})[1]["selection"]
        return chosen["count"], chosen["skippedRedelivered"]
    desk.run("--since", "1h", "--rate", "100")
    wait_until(lambda: len(desk.all("&outcome=done")) == 6, 30, "the redeliveries are done")
    expect(left_out(), (0, 6), "the second time")
    expect_that("6 redelivered before" in desk.run("--since", "1h", "--rate", "100").stdout, "what the command says")
    expect(len(sink.seen()), 6, "calls")
    expect(left_out(again=True), (3, 3), "again")
    to = "Hook/team-a/canary"
    expect(left_out(to=to), (3, 3), "to another route")
    desk.run("--namespace", "team-a", "--to", to, "--rate", "100")
    wait_until(lambda: len(desk.all("&outcome=done")) == 9, 30, "those are done")
    expect((left_out(to=to), left_out()), ((0, 9), (0, 9)), "to another route the second time")
    desk.run("--namespace", "team-a", "--to", to, "--rate", "100")
    expect((len(desk.all()), len(sink.seen()), len(canary.seen())), (9, 6, 3), "deliveries and calls")


@test("redeliver: of an original and its dead redelivery one goes to another route, not both")
def dead_to_route(context):
    sink = context.sink(status=400)
    desk = Desk(context, http(sink.url), [hook("canary", actions="[{log: {}}]")])
    first = desk.push()[0]
    desk.wait([first], "dead")
    second = desk.one(first)[1]["redelivered"]
    desk.wait([second], "dead")
    chosen = desk.select(to="Hook/team-a/canary")
    expect((chosen["sequences"], chosen["skippedRedelivered"]), ([second], 1), "to another route")


@test("redeliver: one that is still owed counts as redelivered; one that came to nothing does not")
def owed_again(context):
    sink = context.sink(status=400)
    desk = Desk(context, http(sink.url))
    dead = desk.push()
    desk.wait(dead, "dead")
    desk.api.post("/pause", {"route": "Hook/team-a/webapp"})
    expect(desk.one(dead[0])[0], 202, "the redelivery")
    expect((desk.select()["count"], desk.select()["skippedRedelivered"]), (0, 1), "while it is owed")
    expect(desk.one(dead[0])[0], 202, "one by its number is always taken")


@test("redeliver: oldest first under a limit, and the figures say what is left out and what is beyond it")
def figures(context):
    sink = context.sink(status=400)
    desk = Desk(context, http(sink.url), [hook("held", actions=http(sink.url)), hook("gone", actions=http(sink.url))])
    desk.api.post("/pause", {"route": "Hook/team-a/held"})
    dead = desk.push(5)
    gone = desk.push(path="/hooks/team-a/gone")
    desk.push(2, path="/hooks/team-a/held")
    desk.push(2, path="/hooks/team-a/held", delivery="twice")
    desk.wait(dead + gone, "dead")
    os.remove(os.path.join(desk.server.manifests, "3.yaml"))
    desk.server.signal(signal.SIGHUP)
    wait_until(lambda: desk.show(gone[0])["routeExists"] is False, 20, "its route is gone")
    chosen = desk.api.post("/redeliveries", {"filter": {"since": "1h"}, "limit": 2, "dryRun": True})[1]["selection"]
    expect(chosen, {"dryRun": True, "matched": 10, "count": 2, "beyondLimit": 3, "isComplete": False,
                    "skippedOwed": 3, "skippedDuplicates": 1, "skippedRedelivered": 0, "skippedGone": 1,
                    "skippedUnfit": 0, "covered": 0, "sequences": dead[:2]}, "the selection")
    text = desk.run("--since", "1h", "--limit", "2", "--dry-run").stdout
    lines = text.splitlines()
    expect(lines[0], "2 deliveries would be redelivered, oldest first, of 10 that match", "dry run")
    for word in ("3 still owed", "1 duplicates", "1 whose route is gone", "3 more match beyond the limit"):
        expect_that(word in text, "%r is not in\n%s" % (word, text))
    expect([line for line in lines if line.isdigit()], [str(s) for s in dead[:2]], "which")
    text = desk.run("--outcome", "dead", "--limit", "2", "--rate", "100").stdout
    expect([r["redeliveryOf"] for r in desk.all() if r["redeliveryOf"]], [dead[1], dead[0]], "the oldest two")
    for word in ("1 whose route is gone", "3 more match beyond the limit"):
        expect_that(word in text, "%r is not in\n%s" % (word, text))
    wait_until(lambda: len(desk.all("&outcome=dead")) == 8, 30, "the two are dead again")
    result = json.loads(desk.run("--outcome", "dead", "--limit", "2", "--rate", "100", "-o", "json").stdout)
    expect((result["count"], result["selection"]["matched"]), (2, 8), "as JSON")
    check_schema(load_openapi(), {"content": {"application/json": {"schema": {
        "$ref": "#/components/schemas/Selection"}}}}, result["selection"], "the selection")


@test("redeliver: a delivery whose route is gone is refused with the reason, dry run or not")
def gone(context):
    desk = Desk(context, "[{log: {}}]", [hook("gone", actions="[{log: {}}]")])
    sequence = desk.push(path="/hooks/team-a/gone")[0]
    desk.wait([sequence], "done")
    os.remove(os.path.join(desk.server.manifests, "2.yaml"))
    desk.server.signal(signal.SIGHUP)
    wait_until(lambda: desk.show(sequence)["routeExists"] is False, 20, "its route is gone")
    for body in ({"dryRun": True}, {}, {"target": ""}, {"planIndex": 0}):
        status, answer = desk.one(sequence, **body)
        expect_in((status, answer["error"]["code"]), {(409, "route-gone"), (400, "body-wrong")}, repr(body))
        expect_that(status == 400 or "Hook/team-a/gone" in answer["error"]["message"], repr(answer))
    expect_that("is gone" in desk.run(str(sequence), "--dry-run", status=1).stderr, "the command")
    expect([r for r in desk.all() if r["redeliveryOf"]], [], "nothing is redelivered")
    # Another route may have it.
    expect(desk.one(sequence, to="Hook/team-a/webapp", dryRun=True)[0], 200, "to another route")


# - A part of the plan

@test("redeliver: planIndex tells two actions on one host apart")
def plan_index(context):
    sink = context.sink()
    base = sink.url.rpartition("/")[0]
    desk = Desk(context, http(base + "/a", base + "/b"))
    sequence = desk.push()[0]
    desk.wait([sequence], "done")
    for index in (2, -1, "0", 1.5, True):
        expect_in(desk.one(sequence, planIndex=index)[0], {400, 409}, "planIndex %r" % index)
    expect(len(sink.seen()), 2, "calls")
    status, answer = desk.one(sequence, planIndex=1)
    expect(status, 202, "the second action")
    desk.wait([answer["redelivered"]], "done")
    expect([fields[":path"] for fields, _, _ in sink.seen()[2:]], ["/b"], "what was called")
    expect(len(desk.show(answer["redelivered"])["plan"]), 1, "its plan")
    desk.run(str(sequence), "--plan-index", "0", "--target", base)
    wait_until(lambda: len(sink.seen()) == 4, 20, "the first action")
    expect(sink.seen()[3][0][":path"], "/a", "what was called")
    desk.run(str(sequence), "--plan-index", "-1", status=2)
    # Of a selection, what had this action redelivered is left out, and not what had another.
    chosen = desk.select(outcome="done", planIndex=1)
    expect(sequence in chosen["sequences"], False, "redelivered before")


@test("redeliver: an action that was given up is found, and carried out again, while another one is still tried")
def part_dead(context):
    bad, down = context.sink(status=400), context.sink(status=503)
    desk = Desk(context, http(bad.url, down.url), more=SLOW)
    sequence = desk.push()[0]
    wait_until(lambda: [p["outcome"] for p in desk.show(sequence)["plan"] or []] == ["dead", "failed"], 30, "its plan")
    expect([r["sequence"] for r in desk.api.get("/dead")[1]["deliveries"]], [sequence], "the dead")
    expect([r["sequence"] for r in desk.all("&outcome=dead")], [sequence], "by filter")
    expect([r["sequence"] for r in desk.all("&outcome=owed")], [sequence], "still owed as well")
    expect(desk.one(sequence)[1]["error"]["code"], "still-owed", "all of it")
    expect(desk.one(sequence, planIndex=1)[1]["error"]["code"], "still-owed", "what is still tried")
    expect(desk.select()["skippedOwed"], 1, "a selection of all")
    expect(desk.select(planIndex=0)["sequences"], [sequence], "a selection of what is final")
    bad.status = 200
    status, answer = desk.one(sequence, planIndex=0)
    expect(status, 202, "what is final")
    desk.wait([answer["redelivered"]], "done")
    expect((len(bad.seen(200)), len(down.seen())), (1, 1), "calls")


@test("redeliver: an index of a plan is one of the original's: what was redelivered in part has another plan")
def part_of_part(context):
    sink = context.sink(status=400)
    base = sink.url.rpartition("/")[0]
    desk = Desk(context, http(base + "/a", base + "/b"))
    first = desk.push()[0]
    desk.wait([first], "dead")
    second = desk.one(first, planIndex=1)[1]["redelivered"]
    desk.wait([second], "dead")
    for index in (0, 1):
        chosen = desk.select(planIndex=index)
        expect((chosen["sequences"], chosen["skippedUnfit"]), ([first], 1), "entry %d" % index)
    expect(desk.one(second, planIndex=0, dryRun=True)[0], 200, "one by its number")
