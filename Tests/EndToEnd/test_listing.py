"""Lists and routes: what they say of redeliveries, reasons and last deliveries, and what they leave out."""
import json

from apikit import Api
from harness import TOKEN, expect, expect_that, hook, plain_hook, secret, wait_until
from registry import test


def run(context, server, *arguments, status=0):
    result = context.command("deliveries", *arguments, "--data-dir", server.data)
    expect(result.returncode, status, "exit status of %r (%s)" % (arguments, result.stderr))
    return result


@test("a list tells redeliveries from originals, and why a delivery came to nothing")
def marked(context):
    server = context.server({
        "secret.yaml": secret("webhook-token", TOKEN), "a.yaml": hook(actions="[{log: {}}]"),
        "b.yaml": hook(name="picky", actions="[{log: {}}]", more="filter: \"req.ref == 'refs/heads/none'\""),
        "c.yaml": hook(name="gone", actions="[{log: {}}]", more="filter: \"true\"")})
    api = Api(server)

    def row(sequence):
        return next(r for r in api.get("/deliveries")[1]["deliveries"] if r["sequence"] == sequence)
    first = server.push().sequence
    filtered = server.push(path="/hooks/team-a/picky").sequence
    wait_until(lambda: [row(s)["outcome"] for s in (first, filtered)] == ["done", "ignored"], 20, "both are over")
    expect(row(filtered)["reason"], "filtered", "the API's reason")
    expect(row(first)["reason"], None, "of one that was done")
    again = api.post("/deliveries/%d/redeliver" % first, {})[1]["redelivered"]
    wait_until(lambda: row(again)["outcome"] == "done", 20, "it is done again")
    for output in ("table", "wide"):
        lines = run(context, server, "list", "-o", output).stdout.splitlines()
        line = {int(line.split()[0]): line for line in lines[1:]}
        expect_that(lines[0].endswith("NOTE"), "no notes in %s" % lines[0])
        expect_that("again #%d" % first in line[again], "not marked: " + line[again])
        expect_that("again" not in line[first], "marked: " + line[first])
        expect_that("ignored(filtered)" in line[filtered], "no reason in " + line[filtered])
    shown = run(context, server, "show", str(again)).stdout
    expect_that("Redelivery of" in shown and str(first) in shown.split("Redelivery of")[1].split("\n")[0], shown)
    expect_that("Redelivery of" not in run(context, server, "show", str(first)).stdout, "an original")
    server.stop()
    server.start()
    expect((row(filtered)["reason"], row(again)["redeliveryOf"]), ("filtered", first), "after a restart")


@test("a list that does not show all says so, and names where to go on; clusters are a filter")
def more(context):
    server = context.server(plain_hook(actions="[]"))
    sent = [server.push().sequence for _ in range(5)]

    def listed(*arguments):
        result = run(context, server, "list", "-o", "json", *arguments)
        return json.loads(result.stdout), result.stderr
    page, errors = listed("--limit", "2")
    expect([row["sequence"] for row in page["deliveries"]], sent[:2:-1], "the newest")
    expect_that(page["next"], "no next")
    expect_that("there are more" in errors and "--limit" in errors and page["next"] in errors, "not told: %r" % errors)
    rest, errors = listed("--cursor", page["next"])
    expect([row["sequence"] for row in rest["deliveries"]], sent[2::-1], "the rest")
    expect((rest["next"], errors), (None, ""), "nothing more")
    all, errors = listed("--limit", "5")
    expect((len(all["deliveries"]), all["next"], errors), (5, None, ""), "exactly all")
    table = run(context, server, "list", "--limit", "1")
    expect_that("there are more" in table.stderr and len(table.stdout.splitlines()) == 2, "the table")
    expect(len(listed("--cluster", "local")[0]["deliveries"]), 5, "of this cluster")
    expect(listed("--cluster", "east")[0]["deliveries"], [], "of another cluster")


@test("each route's last delivery is known at once and after a restart, in whichever segment it lies")
def last_deliveries(context):
    server = context.server({
        "secret.yaml": secret("webhook-token", TOKEN), "a.yaml": hook(actions="[]"),
        "b.yaml": hook(name="quiet", actions="[{log: {}}]"), "c.yaml": hook(name="never")})
    api = Api(server)

    def routes():
        status, answer = api.get("/routes")
        expect((status, answer["isComplete"]), (200, True), "routes")
        return {r["route"]["name"]: (r["lastDelivery"] and r["lastDelivery"]["sequence"], r["counters"]["lastReceived"])
                for r in answer["routes"]}
    quiet = server.push(path="/hooks/team-a/quiet").sequence
    wait_until(lambda: api.get("/deliveries/%d" % quiet)[1]["outcome"] == "done", 20, "it is done")
    body = b'{"ref": "refs/heads/main", "pad": "%s"}' % (b"x" * (1 << 20))
    last = [server.push(body).sequence for _ in range(80)][-1]
    wait_until(lambda: api.get("/journal")[1]["segments"] > 1, 20, "there are several segments")
    # Nobody has listed deliveries since.
    server.stop()
    server.start()
    found = routes()
    expect((found["webapp"][0], found["quiet"][0], found["never"]), (last, quiet, (None, None)), "after a restart")
    shown = api.get("/deliveries/%d" % quiet)[1]
    expect(found["quiet"][1], shown["received"], "when it was received")
    expect(api.get("/routes")[1]["routes"][0]["route"]["name"] is not None, True, "asked again")
    again = api.post("/deliveries/%d/redeliver" % quiet, {})[1]["redelivered"]
    expect(routes()["quiet"], (again, shown["received"]), "a redelivery is the last one, and not received")
    new = server.push(path="/hooks/team-a/quiet").sequence
    expect(routes()["quiet"][0], new, "a new one")


@test("inspect and verify of a directory without a journal say what it lacks")
def no_journal(context):
    for path in (context.folder, "/nowhere"):
        for command in ("inspect", "verify", "export"):
            more = ["--output", context.folder + "/x"] if command == "export" else []
            result = context.command("journal", command, "--data-dir", path, *more)
            expect(result.returncode, 3, "exit status")
            expect_that("has no journal/ in it" in result.stderr, "of %s: %r" % (command, result.stderr))


@test("what a body has wrong is said in a sentence")
def wrong_bodies(context):
    api = Api(context.server(plain_hook()))
    for path, body in (("/redeliveries", {"filter": {"since": "1h"}, "rate": 0}), ("/redeliveries", {}),
                       ("/pause", {"namespaces": "a"})):
        status, answer = api.post(path, body)
        message = answer["error"]["message"]
        expect(status, 400, path)
        expect_that(message.startswith(("the body is an object ", "the body is a JSON object ", "the body is one of ")), message)


@test("--help and the refusal of --journal-bodies until-done agree")
def journal_bodies(context):
    text = " ".join(context.command("serve", "--help").stdout.split())
    expect_that("until-done` is not built yet" in text, "the help offers it")
    expect_that("from a cluster" in text, "the help does not say where routes come from")
    result = context.command("serve", "--manifests", context.folder, "--journal-bodies", "until-done")
    expect(result.returncode != 0, True, "it starts")
    expect_that("not built yet" in result.stderr, result.stderr)
