"""What the API tells of a delivery's attempts: when, how long, what was asked for and answered, how many; and of merged deliveries."""
import datetime
import json
import os

from apikit import Api, check_schema, load_openapi
from fakekube import cluster
from harness import TOKEN, expect, expect_in, expect_that, hook, plain_hook, secret, wait_until
from registry import test

QUICK = "retry: {attempts: 4, backoff: 20ms, maxBackoff: 20ms}"
DETAIL = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/DeliveryDetail"}}}}


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def detail(api, sequence, outcome=None):
    """The delivery, as described in docs/openapi.yaml."""
    if outcome:
        wait_until(lambda: api.get("/deliveries/%d" % sequence)[1]["outcome"] == outcome, 30,
                   "delivery %d is %s" % (sequence, outcome))
    status, value = api.get("/deliveries/%d" % sequence)
    expect(status, 200, "delivery %d" % sequence)
    check_schema(load_openapi(), DETAIL, value, "delivery %d" % sequence)
    return value


@test("of a dead delivery every attempt that counted is told, with its answer; the count is the log's")
def dead(context):
    sink = context.sink(status=409)
    sink.answer = b"locked by another run"
    server = context.server(plain_hook(actions="\n  - http: {url: \"%s\"}" % sink.url, more=QUICK))
    api = Api(server)
    sequence = server.push().sequence
    value = detail(api, sequence, "dead")
    history = value["history"]
    expect([e["outcome"] for e in history], ["failed"] * 3 + ["dead"], "history")
    expect([e["attempt"] for e in history], [1, 2, 3, 4], "numbers")
    expect([e["status"] for e in history], [409] * 4, "statuses")
    expect({e["answer"] for e in history}, {"locked by another run"}, "answers")
    expect({e["request"] for e in history}, {"POST http://127.0.0.1:%d" % sink.port}, "requests")
    expect(value["plan"][0]["attempts"], 4, "attempts of the plan's entry")
    expect(len(sink.seen()), 4, "calls")
    for event in history:
        expect_that(event["seconds"] > 0, "an attempt took no time: %r" % event)
        expect_that(moment(event["began"]) <= moment(event["time"]), "it began after its end: %r" % event)
    times = [moment(e["time"]) for e in history]
    expect(times, sorted(times), "order")
    # Each has its own time, not that of the group in which all were written.
    expect_that(len(set(times)) == 4, "attempts at one time: %r" % times)
    timing = value["timing"]
    stages = [timing[name] for name in ("received", "durable", "planned", "firstAttempt", "lastFinalOutcome")]
    expect_that(all(stages), "a stage is missing: %r" % timing)
    expect([moment(s) for s in stages], sorted(moment(s) for s in stages), "stages")
    expect(value["timing"]["lastFinalOutcome"], history[-1]["time"], "the end")
    server.stop()
    server.start()
    again = detail(api, sequence)
    expect((again["history"], again["timing"]), (history, timing), "after a restart")
    result = context.command("deliveries", "show", str(sequence), "--data-dir", server.data)
    for word in ("proven (hmac-sha256)", "durable", "first attempt", "4 attempts", "attempt 4", "-> 409",
                 "answer: locked by another run", "Match, as the route is now"):
        expect_that(word in result.stdout, "%r is not in\n%s" % (word, result.stdout))


@test("attempts that time heals are recorded once and counted all")
def healed(context):
    sink = context.sink(status=503)
    server = context.server(plain_hook(actions="\n  - http: {url: \"%s\"}" % sink.url, more=QUICK))
    api = Api(server)
    sequence = server.push().sequence
    wait_until(lambda: len(sink.seen()) >= 4, 30, "some attempts")
    sink.status = 200
    value = detail(api, sequence, "done")
    expect([e["outcome"] for e in value["history"]], ["failed", "done"], "history")
    expect(value["history"][0]["attempt"], 1, "the first")
    expect([e["status"] for e in value["history"]], [503, 200], "statuses")
    expect(value["plan"][0]["attempts"], len(sink.seen()), "attempts")
    expect(value["history"][1]["attempt"], len(sink.seen()), "the last one's number")
    expect(value["plan"][0]["outcome"], "done", "outcome")


@test("what in an action's address may be a secret shows nowhere, though its server repeats it")
def echo(context):
    sink = context.sink(status=404)
    token = "T0kenInThePath9876"
    sink.answer = b"Cannot POST /services/%s?key=%s" % (token.encode(), token[::-1].encode())
    url = "http://127.0.0.1:%d/services/%s?key=%s" % (sink.port, token, token[::-1])
    server = context.server(plain_hook(actions="\n  - http: {url: \"%s\"}" % url, more=QUICK))
    api = Api(server)
    sequence = server.push().sequence
    value = detail(api, sequence, "dead")
    expect(value["history"][0]["status"], 404, "status")
    expect_that("left out" in value["history"][0]["answer"], "the answer is %r" % value["history"][0]["answer"])
    server.stop()
    for folder, _, names in os.walk(server.data):
        for name in names:
            with open(os.path.join(folder, name), "rb") as f:
                content = f.read()
            for text in (token, token[::-1]):
                expect_that(text.encode() not in content, "the token is in %s" % name)


@test("a merged delivery names the last of its chain and what became of that; the last one counts the merged")
def merged(context):
    sink = context.sink(status=400)
    server = context.server(plain_hook(
        actions="\n  - http: {url: \"%s\"}" % sink.url, more=QUICK + "\ncoalesce: {by: target}"))
    api = Api(server)
    api.post("/pause", {"route": "Hook/team-a/webapp"})
    chain = [server.push().sequence for _ in range(4)]
    wait_until(lambda: api.get("/deliveries/%d" % chain[-2])[1]["outcome"] == "merged", 30, "they are merged")
    value = detail(api, chain[0])
    expect((value["mergedInto"], value["mergedLast"], value["mergedOutcome"]), (chain[1], chain[3], "owed"),
           "while the last one waits")
    api.post("/resume", {"route": "Hook/team-a/webapp"})
    last = detail(api, chain[3], "dead")
    expect((last["merged"], last["plan"][0]["merged"], last["mergedLast"], last["mergedOutcome"]), (3, 3, None, None),
           "the last one")
    for sequence, next_one in zip(chain, chain[1:]):
        value = detail(api, sequence)
        expect((value["outcome"], value["mergedInto"], value["mergedLast"], value["mergedOutcome"]),
               ("merged", next_one, chain[3], "dead"), "delivery %d" % sequence)
        expect(value["history"][0]["attempt"], None, "a merged delivery had no attempt")
        expect(value["plan"][0]["attempts"], 0, "attempts")
    result = context.command("deliveries", "show", str(chain[0]), "--data-dir", server.data)
    expect_that("%d (dead)" % chain[3] in result.stdout, "not in\n" + result.stdout)


@test("of a call to an API server the path is told, and what it answered")
def kubernetes(context):
    kube = cluster(context, [{"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
                              "metadata": {"name": "webapp", "namespace": "team-a"}, "spec": {}}])
    server = context.server(plain_hook(
        actions="\n  - reconcile: {kind: GitRepository, name: webapp}\n  - reconcile: {kind: GitRepository, name: none}",
        more=QUICK), flags=kube.flags)
    api = Api(server)
    sequence = server.push().sequence
    value = detail(api, sequence, "dead")
    path = "PATCH /apis/source.toolkit.fluxcd.io/v1/namespaces/team-a/gitrepositories/"
    done = next(e for e in value["history"] if e["planIndex"] == 0 and e["outcome"] == "done")
    expect((done["request"], done["status"], done["answer"]), (path + "webapp", 200, None), "the one that is there")
    gone = next(e for e in value["history"] if e["planIndex"] == 1 and e["outcome"] == "dead")
    expect((gone["request"], gone["status"]), (path + "none", 404), "the one that is not")
    expect_that("not found" in gone["answer"], "its answer is %r" % gone["answer"])


@test("the API says how a delivery was proven, and that nothing had to be where that is so")
def proofs(context):
    manifests = {"secret.yaml": secret("webhook-token", TOKEN), "github.yaml": hook(actions="[]"),
                 "lab.yaml": hook(name="lab", type="gitlab", actions="[]"),
                 "token.yaml": hook(name="plain", type="token", actions="[]"),
                 "open.yaml": hook(name="open", type="none", secrets=None, actions="[]")}
    server = context.server(manifests)
    api = Api(server)
    json_type = ("Content-Type", "application/json")
    sent = [(server.push().sequence, "proven", "hmac-sha256")]
    for path, fields, status, proof in [
            ("lab", [("X-Gitlab-Event", "Push Hook"), ("X-Gitlab-Token", TOKEN)], "proven", "token"),
            ("plain", [("Authorization", "Bearer " + TOKEN)], "proven", "token"), ("open", [], "none", "none")]:
        answer = server.post("/hooks/team-a/" + path, b"{}", [json_type] + fields)
        expect_in(answer.status, (200, 202), path)
        sent.append((answer.sequence, status, proof))
    for sequence, status, proof in sent:
        verification = detail(api, sequence)["verification"]
        expect((verification["status"], verification["proof"]), (status, proof), "delivery %d" % sequence)


@test("an archive keeps what was told of each attempt")
def archive(context):
    sink = context.sink(status=409)
    sink.answer = b"locked"
    server = context.server(plain_hook(actions="\n  - http: {url: \"%s\"}" % sink.url, more=QUICK))
    api = Api(server)
    sequence = server.push().sequence
    before = detail(api, sequence, "dead")
    server.stop()
    path = os.path.join(context.folder, "archive.jsonl")
    result = context.command("journal", "export", "--data-dir", server.data)
    expect(result.returncode, 0, "export: " + result.stderr)
    with open(path, "w") as f:
        f.write(result.stdout)
    other = context.server(plain_hook(actions="\n  - http: {url: \"%s\"}" % sink.url, more=QUICK), start=False)
    result = context.command("journal", "import", path, "--data-dir", other.data)
    expect(result.returncode, 0, "import: " + result.stderr)
    other.start()
    after = detail(Api(other), 1)
    expect(after["adopted"], True, "adopted")
    for member in ("history", "timing", "plan"):
        expect(json.dumps(after[member]), json.dumps(before[member]), member)


@test("what is replayed into another data directory keeps what was told of it, and its attempts are counted on")
def replay(context):
    sink = context.sink(status=409)
    manifests = plain_hook(actions="\n  - http: {url: \"%s\"}" % sink.url,
                           more="retry: {attempts: 9, backoff: 1h, maxBackoff: 1h}")
    server = context.server(manifests)
    sequence = server.push().sequence
    before = detail(Api(server), sequence, "failed")
    server.stop()
    other = context.server(manifests, start=False)
    result = context.command("journal", "replay", server.data, "--data-dir", other.data)
    expect(result.returncode, 0, "replay: " + result.stderr)
    sink.status = 200
    other.start()
    after = detail(Api(other), 1, "done")
    expect(after["history"][0], before["history"][0], "the attempt of before")
    for stage in ("received", "durable", "planned", "firstAttempt"):
        expect(after["timing"][stage], before["timing"][stage], stage)
    expect((len(after["history"]), after["plan"][0]["attempts"]), (2, 2), "attempts")
