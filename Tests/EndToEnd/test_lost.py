"""Segment files of the journal that somebody deletes while the server runs: told at once, and no more is lost than was in them."""
import glob
import os

from apikit import Api, check_schema, load_openapi
from harness import expect, expect_that, hook, plain_hook, wait_until
from registry import test

PADDED = b'{"ref": "refs/heads/main", "pad": "%s"}' % (b"x" * (1 << 20))


def files(server):
    return sorted(glob.glob(server.data + "/journal/*.segment"))


def journal(api):
    status, value = api.get("/journal")
    expect(status, 200, "/journal")
    check_schema(load_openapi(), {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Journal"}}}},
                 value, "/journal")
    return value


def readyz(api):
    answer = api.raw("GET", "/readyz")
    return answer.status, answer.body.decode()


@test("a segment file that is deleted is told as damage, with what was owed in it; lists and new deliveries go on")
def deleted(context):
    sink = context.sink(status=503)
    manifests = plain_hook(actions='[{http: {url: "%s"}}]' % sink.url)
    manifests["z.yaml"] = hook(name="plain", actions="[{log: {}}]")
    server = context.server(manifests)
    api = Api(server)
    owed = [server.push().sequence for _ in range(3)]
    while journal(api)["segments"] < 2:
        server.push(PADDED, path="/hooks/team-a/plain")
    last = server.push().sequence
    before = journal(api)
    expect((before["lostSegments"], before["damage"]), ([], 0), "before")
    away = os.path.join(context.folder, "away")
    first = files(server)[0]
    os.rename(first, away)
    wait_until(lambda: journal(api)["lostSegments"], 30, "/journal tells it")
    now = journal(api)
    lost = now["lostSegments"][0]
    expect((lost["segment"], lost["from"], lost["owed"], now["damage"], now["state"]), (1, 1, 3, 1, "accepting"), "lost")
    expect_that(owed[-1] <= lost["through"] < last, "through %d" % lost["through"])
    status, text = readyz(api)
    expect_that(status == 200 and "segment 1 (sequences 1 to %d, 3 owed) is gone" % lost["through"] in text, text)
    wait_until(lambda: "is gone from the disk" in server.log_text(), 10, "the log tells it")
    expect(api.get("/deliveries?limit=200&outcome=owed,failed")[0], 200, "a list")
    expect(api.get("/dead")[0], 200, "another")
    new = server.push().sequence
    # Put back, it is as it was.
    os.rename(away, first)
    wait_until(lambda: not journal(api)["lostSegments"], 30, "it is back")
    expect_that("is gone" not in readyz(api)[1], "/readyz still tells it")
    sink.status = 200
    wait_until(lambda: {s for s in owed + [last, new] if api.get("/deliveries/%d" % s)[1].get("outcome") == "done"}
               == set(owed + [last, new]), 90, "all are done")
    os.remove(first)
    wait_until(lambda: journal(api)["lostSegments"], 30, "it is gone for good")
    expect((journal(api)["damage"], journal(api)["lostSegments"][0]["owed"]), (2, 0), "nothing was owed")
    server.stop()
    server.start()
    expect(journal(api)["lostSegments"], [], "after a restart")
    expect(server.push().status, 200, "it takes deliveries")


@test("the segment that is written is left when its file is deleted: what is answered then survives a crash")
def current(context):
    sink = context.sink(status=503)
    server = context.server(plain_hook(actions='[{http: {url: "%s"}}]' % sink.url))
    api = Api(server)
    before = [server.push().sequence for _ in range(3)]
    names = files(server)
    os.remove(names[0])
    wait_until(lambda: "is gone from the disk" in server.log_text(), 30, "the log tells it")
    wait_until(lambda: server.push().status == 200 and journal(api)["segments"] > 1, 30, "another one is written")
    after = [server.push().sequence for _ in range(3)]
    expect_that(journal(api)["lostSegments"][0]["owed"] >= 3, "owed there: %r" % journal(api)["lostSegments"])
    server.kill()
    server.start()
    sink.status = 200
    wait_until(lambda: all(api.get("/deliveries/%d" % s)[1].get("outcome") == "done" for s in after), 60, "they are done")
    expect([api.get("/deliveries/%d" % s)[0] for s in before], [404] * 3, "those that were in it")
