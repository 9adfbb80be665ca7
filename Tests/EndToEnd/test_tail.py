"""The live tail: what a filter means, listeners that come again, and `grapnel deliveries tail` over a lost connection."""
import json
import signal
import subprocess
import threading
import time

from apikit import Api, check_schema, load_openapi
from harness import PATIENCE, TOKEN, Failure, expect, expect_that, hook, plain_hook, secret, wait_until
from registry import test


def events_until(stream, isLast):
    """(name, data, id) of each event through the first that `isLast` means."""
    found = []
    while True:
        name, data = stream.any()
        found.append((name, data, stream.id))
        if isLast(name, data):
            return found


def told(events):
    return [(name, data["sequence"], data.get("outcome") if name == "outcome" else None) for name, data, _ in events]


@test("every part of a filter holds for deliveries and for outcomes")
def filters(context):
    bad = context.sink(status=400)
    server = context.server({
        "secret.yaml": secret("webhook-token", TOKEN), "a.yaml": hook(actions="[{log: {}}]"),
        "b.yaml": hook(name="bad", actions='[{http: {url: "%s"}}]' % bad.url),
        "c.yaml": hook(name="lab", type="gitlab", actions="[{log: {}}]")})
    api = Api(server)
    queries = {"?delivery=x-2": None, "?outcome=dead": None, "?sender=gitlab": None, "?route=bad": None,
               "?outcome=done&route=webapp": None, "?ref=main&outcome=done": None, "?ref=none": None,
               "?cluster=east": None, "?since=1h&until=30m": None, "": None}
    streams = {query: api.events(query) for query in queries}
    try:
        one = server.push(delivery="x-1").sequence
        two = server.push(delivery="x-2").sequence
        dead = server.push(path="/hooks/team-a/bad", delivery="x-3").sequence
        main = server.push(b'{"ref": "refs/heads/main"}', delivery="x-4").sequence
        lab = server.post("/hooks/team-a/lab", b'{"ref": "refs/heads/lab"}', [
            ("Content-Type", "application/json"), ("X-Gitlab-Event", "Push Hook"), ("X-Gitlab-Token", TOKEN)]).sequence
        all = [one, two, dead, main, lab]
        left = set(all)

        def over(name, data):
            if name == "outcome" and data["outcome"] in ("done", "dead"):
                left.discard(data["sequence"])
            return not left
        everything = told(events_until(streams[""], over))
        expect(sorted(s for name, s, _ in everything if name == "delivery"), all, "all of them")
        # Nothing else is under way: what ends each stream is the stream's silence.
        wanted = {
            "?delivery=x-2": [("delivery", two, None), ("outcome", two, "done")],
            "?outcome=dead": [("outcome", dead, "dead")],
            "?sender=gitlab": [("delivery", lab, None), ("outcome", lab, "done")],
            "?route=bad": [("delivery", dead, None), ("outcome", dead, "dead")],
            "?outcome=done&route=webapp": [("outcome", s, "done") for s in (one, two, main)],
            "?ref=main&outcome=done": [("outcome", main, "done")],
            "?ref=none": [], "?cluster=east": [], "?since=1h&until=30m": []}
        for query, expected in wanted.items():
            stream = streams[query]
            found = [stream.any() for _ in expected]
            stream.socket.settimeout(1)             # one too many would be here by now
            try:
                found.append(stream.any())
            except TimeoutError:
                pass
            found = [(name, data["sequence"], data.get("outcome") if name == "outcome" else None)
                     for name, data in found]
            expect(sorted(found, key=str), sorted(expected, key=str), query)
    finally:
        for stream in streams.values():
            stream.close()


@test("an outcome of a delivery that came before the listener names its route and meets filters, also after a restart")
def before_the_listener(context):
    sink = context.sink(status=503)
    server = context.server(plain_hook(actions='[{http: {url: "%s"}}]' % sink.url))
    api = Api(server)
    sequence = server.push(delivery="early").sequence
    wait_until(lambda: api.get("/deliveries/%d" % sequence)[1]["outcome"] == "failed", 20, "an attempt fails")
    server.stop()
    server.start()
    description = load_openapi()
    with api.events("?route=Hook/team-a/webapp&delivery=early") as mine, api.events("?route=other") as others:
        sink.status = 200
        while True:
            data = mine.next("outcome")
            check_schema(description, {"content": {"application/json": {"schema": {
                "$ref": "#/components/schemas/OutcomeEvent"}}}}, data, "an outcome")
            expect((data["sequence"], data["route"]["name"], data["deliveryID"], data["event"]),
                   (sequence, "webapp", "early", "push"), "whose it is")
            if data["outcome"] == "done":
                break
        others.socket.settimeout(2)
        try:
            raise AssertionError("another route's listener was told %r" % (others.any(),))
        except TimeoutError:
            pass


@test("who comes again with the last id is told exactly what it has not been told, over a restart too")
def comes_again(context):
    sink = context.sink()
    server = context.server(plain_hook(actions='[{log: {}}, {http: {url: "%s"}}]' % sink.url))
    api = Api(server)
    left = set()
    finals = {}

    def over(name, data):
        if name == "outcome":
            finals.setdefault(data["sequence"], set()).add(data["planIndex"])
        return all(finals.get(sequence) == {0, 1} for sequence in left)
    with api.events() as stream:
        begin = stream.id
        expect_that(begin, "no id at the begin")
        # Outcomes that come without deliveries share records.
        api.post("/pause", {"namespace": "team-a"})
        left.update(server.push().sequence for _ in range(12))
        wait_until(lambda: api.get("/queues")[1]["totals"]["paused"] == 24, 30, "they wait")
        api.post("/resume", {"namespace": "team-a"})
        first = events_until(stream, over)
    ids = [id for _, _, id in first]
    expect(len(set(ids)), len(ids), "each event has an id of its own")
    # Records of several outcomes are cut in two somewhere.
    expect_that(any("." in id for id in ids), "no outcome in the middle of a record in %r" % ids)
    server.stop()
    server.start()
    after = server.push().sequence
    left.add(after)
    with api.events(after=first[-1][2]) as stream:
        finals.clear()
        left.intersection_update({after})
        second = events_until(stream, over)
    whole = first + second
    expect(len([1 for name, _, _ in whole if name == "delivery"]), 13, "deliveries")
    expect(len([1 for name, _, _ in whole if name == "outcome"]), 26, "outcomes")
    for index, (_, _, id) in enumerate([("", {}, begin)] + whole[:-1]):
        with api.events(after=id) as stream:
            rest = events_until(stream, lambda name, data: stream.id == whole[-1][2])
        expect(told(rest), told(whole[index:]), "behind %s" % id)
    with api.events("?delivery=none", after=begin) as stream:
        stream.socket.settimeout(2)
        try:
            raise AssertionError("a filter does not hold for what lay between: %r" % (stream.any(),))
        except TimeoutError:
            pass


@test("an id that is none, or of another journal, is said; what is told then begins now")
def strange_ids(context):
    server = context.server(plain_hook(actions="[]"))
    api = Api(server)
    for id in ("x", "1.", "-1", "01", "1.0", "1.2.3", "4611686018427387904", "9" * 300):
        answer = api.raw("GET", "/api/v1/events", [("Last-Event-ID", id)])
        expect(answer.status, 400, id[:20])
        expect_that("Last-Event-ID" in json.loads(answer.body)["error"]["message"], "no remedy")
    server.push()
    with api.events(after="123456") as stream:
        name, data = stream.any()
        expect((name, data["reason"], data["skipped"]), ("gap", "unknown-id", None), "the first event")
        new = server.push().sequence
        name, data = stream.any()
        expect((name, data["sequence"]), ("delivery", new), "what is told then")


class Tail:
    """`grapnel deliveries tail` and what it has printed."""

    def __init__(self, server, *arguments):
        self.process = subprocess.Popen(
            [server.grapnel, "deliveries", "tail", *arguments, "--data-dir", server.data],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines, self.errors = [], []
        self.threads = [threading.Thread(target=self._take, args=pair, daemon=True) for pair in (
            (self.process.stdout, self.lines), (self.process.stderr, self.errors))]
        for thread in self.threads:
            thread.start()

    def _take(self, file, lines):
        for line in file:
            lines.append(line.rstrip("\n"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def end(self, signal=None):
        """The exit status."""
        if signal is not None:
            self.process.send_signal(signal)
        status = self.process.wait(PATIENCE)
        for thread in self.threads:
            thread.join(PATIENCE)
        return status


def listening(server, api, tail):
    """Returns when it prints what comes, with a delivery that it has printed."""
    seen = []

    def told():
        seen.append(server.push().sequence)
        return bool(tail.lines)
    wait_until(told, 60, "the tail prints")
    return seen


@test("grapnel deliveries tail connects again by itself, misses nothing, repeats nothing, and ends with 0 when interrupted")
def reconnects(context):
    server = context.server(plain_hook(actions="[]"))
    api = Api(server)
    with Tail(server, "-o", "json") as tail:
        listening(server, api, tail)

        def numbers():
            events = [json.loads(line) for line in list(tail.lines)]
            return [e["data"]["sequence"] for e in events if e["event"] == "delivery"]
        begin = numbers()[0]
        for end in (server.kill, server.stop):
            last = server.push().sequence
            wait_until(lambda: last in numbers(), 30, "it is printed")
            end()
            wait_until(lambda: any("trying again" in line for line in tail.errors), 30, "the loss is told")
            server.start()
            between = [server.push().sequence for _ in range(5)]
            wait_until(lambda: set(between) <= set(numbers()), 90, "what came meanwhile is printed")
            wait_until(lambda: any("connected again" in line for line in tail.errors), 30, "that it is connected again is told")
            tail.errors.clear()
        expect(tail.end(signal.SIGINT), 0, "exit status")
        found = numbers()
        expect(found, sorted(set(found)), "each once, in order")
        rows = api.get("/deliveries?limit=200")[1]["deliveries"]
        expect(found, sorted(row["sequence"] for row in rows if row["sequence"] >= begin), "all of them")


@test("grapnel deliveries tail ends with 3 when no server answers at first, and with 1 when it is refused")
def first_connection(context):
    server = context.server(plain_hook(actions="[]"))
    for arguments, status, word in (
            (("--admin", "http://127.0.0.1:1"), 3, "no server answers"),
            (("--data-dir", server.data, "--route", "a/b/c/d"), 1, "route is"),
            (("--data-dir", context.folder), 3, "--admin"), (("--data-dir", server.data, "--count", "0"), 2, "--count")):
        result = context.command("deliveries", "tail", *arguments)
        expect(result.returncode, status, "exit status of %r (%s)" % (arguments, result.stderr))
        expect_that(word in result.stderr, "%r is not in %r" % (word, result.stderr))


@test("grapnel deliveries tail --outcome dead prints what dies, with its route, and nothing else")
def dead_ones(context):
    bad = context.sink(status=400)
    server = context.server({
        "secret.yaml": secret("webhook-token", TOKEN), "a.yaml": hook(actions="[{log: {}}]"),
        "b.yaml": hook(name="bad", actions='[{http: {url: "%s"}}]' % bad.url)})
    with Tail(server, "--outcome", "dead", "--count", "1") as tail:
        deadline = time.monotonic() + PATIENCE
        sent = set()
        while tail.process.poll() is None:
            if time.monotonic() > deadline:
                raise Failure("it does not end: %r %r" % (tail.lines, tail.errors))
            server.push()
            sent.add(server.push(path="/hooks/team-a/bad").sequence)
            time.sleep(0.3)
        expect(tail.end(), 0, "exit status")
        expect(len(tail.lines), 1, "lines: %r" % tail.lines)
        number, _, rest = tail.lines[0].partition("[")
        expect(int(number) in sent, True, "which: " + tail.lines[0])
        for word in ("->  dead", "Hook/team-a/bad", "push", ": ", "(attempt 1, "):
            expect_that(word in rest, "%r is not in %r" % (word, tail.lines[0]))
