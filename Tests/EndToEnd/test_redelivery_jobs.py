"""Redeliveries of many under way: they can be seen and stopped, and go on where they ended."""
import json
import os
import pty
import signal

from apikit import check_schema, load_openapi
from harness import PATIENCE, expect, expect_that, hook, wait_until
from redeliverydesk import Desk, http
from registry import test

# At one a second these last longer than any test waits.
MANY = 60


@test("redeliver: a selection under way is cancelled, and goes on where it ended")
def cancel(context):
    sink = context.sink(status=400)
    desk = Desk(context, http(sink.url))
    dead = desk.push(MANY)
    desk.wait(dead, "dead")
    sink.status = 200
    expect(desk.api.post("/redeliveries/1/cancel", {})[0], 404, "an unknown one")
    status, answer = desk.api.post("/redeliveries", {"filter": {"outcome": "dead"}, "rate": 1})
    expect((status, answer["redelivery"]["state"]), (202, "running"), "it begins")
    busy = desk.api.post("/redeliveries", {"filter": {"outcome": "dead"}})
    expect((busy[0], busy[1]["error"]["code"]), (409, "redelivery-running"), "another one")
    wait_until(lambda: desk.job()["done"] >= 1, 20, "the first")
    answer = desk.api.raw("POST", "/api/v1/redeliveries/1/cancel", [("Content-Type", "application/json")], b"{}")
    expect(answer.status, 200, "cancel")
    description = load_openapi()
    check_schema(description, description["paths"]["/api/v1/redeliveries/{id}/cancel"]["post"]["responses"]["200"], answer,
                 "cancel")
    job = json.loads(answer.body)
    expect((job["state"], job["count"]), ("cancelled", MANY), "the job")
    expect(1 <= job["done"] < MANY, True, "done: %r" % job["done"])
    expect(desk.api.post("/redeliveries/1/cancel", {})[1]["state"], "cancelled", "once more")
    expect(desk.job()["done"], job["done"], "nothing follows")
    expect(len([r for r in desk.all() if r["redeliveryOf"]]), job["redelivered"], "what was redelivered")
    # By a filter that means also what was redelivered.
    wait_until(lambda: len(desk.all("&outcome=done")) == job["redelivered"], 30, "what was redelivered is done")
    text = desk.run("--since", "1h", "--rate", "100").stdout
    expect(text.splitlines()[-1], "%d redelivered, 0 refused" % (MANY - job["redelivered"]), "the rest")
    wait_until(lambda: len(sink.seen(200)) == MANY, 30, "each was called once")
    expect(desk.api.post("/redeliveries/2/cancel", {})[1]["state"], "ended", "what has ended stays so")


@test("redeliver: what is redelivered by its number while a selection has it on its list is not redelivered twice")
def by_number(context):
    sink = context.sink(status=400)
    desk = Desk(context, http(sink.url), [hook("canary", actions="[{log: {}}]")])
    dead = desk.push(10)
    desk.wait(dead, "dead")
    sink.status = 200
    # One a second: the turn of the last comes long after this.
    expect(desk.api.post("/redeliveries", {"filter": {"outcome": "dead"}, "rate": 1})[0], 202, "it begins")
    expect(desk.one(dead[-1])[0], 202, "by its number")
    expect(desk.one(dead[-2], to="Hook/team-a/canary")[0], 202, "to another route, which stands for nothing else")
    wait_until(lambda: desk.job()["state"] == "ended", 60, "the selection is through")
    job = desk.job()
    expect((job["redelivered"], [(r["sequence"], r["code"]) for r in job["refusals"]]),
           (9, [(dead[-1], "redelivered-meanwhile")]), "the job")
    wait_until(lambda: len(sink.seen(200)) == 10, 30, "each is called")


@test("redeliver: the command shows how far it is; Ctrl-C cancels, --detach leaves it running, --cancel ends that")
def command(context):
    sink = context.sink(status=400)
    desk = Desk(context, http(sink.url))
    dead = desk.push(MANY)
    desk.wait(dead, "dead")
    sink.status = 200
    process = desk.popen("--outcome", "dead", "--rate", "1")
    try:
        wait_until(lambda: (desk.job() or {"done": 0})["done"] >= 3, 30, "some are done")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    job = desk.job()
    expect(job["state"], "cancelled", "the job")
    expect(process.returncode, 130, "exit status (%s%s)" % (output, errors))
    expect_that("redelivery 1: " in errors and " of %d" % MANY in errors, "no progress in %r" % errors)
    expect_that("cancelled: %d of %d redelivered" % (job["redelivered"], MANY) in errors, errors)
    expect_that("same command" in errors, "how to go on is not in " + errors)

    output = desk.run("--outcome", "dead", "--rate", "1", "--detach").stdout
    expect_that("redelivery 2" in output and "--cancel 2" in output, output)
    expect(desk.job("2")["state"], "running", "the job goes on")
    expect_that(" redelivered" in desk.run("--cancel", "2").stdout, "cancel")
    expect(desk.job("2")["state"], "cancelled", "the job")
    expect_that("no such redelivery" in desk.run("--cancel", "77", status=1).stderr, "an unknown one")
    for wrong in (["--cancel", "2", "--outcome", "dead"], ["--cancel", "2", "1"], ["1", "--detach"],
                  ["--outcome", "dead", "--detach", "--dry-run"], ["1", "--again"], ["1", "--limit", "5"][:2] + ["-5"]):
        desk.run(*wrong, status=2)

    # On a terminal it is rewritten in place.
    leader, follower = pty.openpty()
    process = desk.popen("--outcome", "dead", "--rate", "100", stderr=follower)
    try:
        os.close(follower)
        output, _ = process.communicate(timeout=PATIENCE)
        shown = os.read(leader, 4096).decode()
    finally:
        process.kill()
        os.close(leader)
    expect(process.returncode, 0, "exit status (%s%s)" % (output, shown))
    expect_that("\r" in shown and " of %d" % desk.job("3")["count"] in shown, "no progress in %r" % shown)


@test("redeliver: a server that ends meanwhile: the command says what is known to be done and how to go on")
def server_ends(context):
    sink = context.sink(status=400)
    desk = Desk(context, http(sink.url))
    desk.wait(desk.push(MANY), "dead")
    sink.status = 200
    process = desk.popen("--outcome", "dead", "--rate", "1")
    try:
        wait_until(lambda: (desk.job() or {"done": 0})["done"] >= 2, 30, "some are done")
        desk.server.kill()
        output, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    expect(process.returncode, 3, "exit status (%s%s)" % (output, errors))
    expect_that(" of %d were redelivered" % MANY in errors and "same command" in errors, errors)
    desk.server.start()
    desk.run("--outcome", "dead", "--rate", "100")
    wait_until(lambda: len(desk.all("&outcome=done")) == MANY, 30, "each is done")
    expect(len([r for r in desk.all() if r["redeliveryOf"]]), MANY, "each once")
