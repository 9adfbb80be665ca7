"""Merged deliveries: found by what became of the one that stands for them, and redelivered once."""
from apikit import check_schema, load_openapi
from harness import TOKEN, expect, expect_that, wait_until
from redeliverydesk import Desk, http
from registry import test

MERGING = "retry: {attempts: 1, backoff: 20ms, maxBackoff: 20ms}\ncoalesce: {by: target}"
ROUTE = {"route": "Hook/team-a/webapp"}
ROWS = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Page"}}}}
OUTCOME = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/OutcomeEvent"}}}}
SELECTED = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Selected"}}}}


def chain(desk, count, name="x"):
    """Deliveries that are merged, one into the next; the last one waits until the route is resumed."""
    desk.api.post("/pause", ROUTE)
    sequences = [desk.push(delivery="%s-%d" % (name, number))[0] for number in range(1, count + 1)]
    desk.wait(sequences[:-1], "merged")
    return sequences


def figures(desk, wish=None, **filter):
    answer = desk.api.post("/redeliveries", {"filter": filter, "dryRun": True, **(wish or {})})[1]
    check_schema(load_openapi(), SELECTED, answer, "the selection of %r" % filter)
    chosen = answer["selection"]
    return chosen["sequences"], chosen["covered"], chosen["skippedRedelivered"], chosen["skippedOwed"]


@test("a merged delivery is found by what became of the last of its chain, in lists, /dead and the command")
def found(context):
    sink = context.sink(status=400)
    desk = Desk(context, http(sink.url), more=MERGING)
    one = chain(desk, 4)

    def listed(path):
        status, page = desk.api.get(path)
        expect(status, 200, path)
        check_schema(load_openapi(), ROWS, page, path)
        return [row["sequence"] for row in page["deliveries"]]
    expect(listed("/deliveries?outcome=owed"), one[::-1], "while the last one waits")
    expect(listed("/dead"), [], "nothing is dead yet")
    expect(listed("/deliveries?outcome=merged"), one[-2::-1], "merged")
    desk.api.post("/resume", ROUTE)
    desk.wait(one[-1:], "dead")
    for path in ("/dead", "/deliveries?outcome=dead", "/deliveries?outcome=merged,dead"):
        expect(listed(path), one[::-1], path)
    expect(listed("/deliveries?outcome=owed,done,failed"), [], "nothing else")
    expect(listed("/dead?delivery=x-2"), [one[1]], "by its id")
    first = listed("/dead?limit=1")
    expect(first, one[3:], "a page of one")
    rows = {row["sequence"]: row for row in desk.all()}
    for sequence in one[:-1]:
        expect((rows[sequence]["outcome"], rows[sequence]["mergedLast"], rows[sequence]["mergedOutcome"]),
               ("merged", one[-1], "dead"), "row %d" % sequence)
    expect((rows[one[-1]]["mergedLast"], rows[one[-1]]["mergedOutcome"]), (None, None), "the last one's row")
    text = context.command("deliveries", "list", "--outcome", "dead", "--data-dir", desk.server.data).stdout
    expect(text.count("into #%d (dead)" % one[-1]), 3, "rows of\n" + text)
    # An index that begins anew finds the same.
    desk.server.stop()
    desk.server.start()
    expect(listed("/dead"), one[::-1], "after a restart")


@test("redeliver: of merged deliveries one is taken for all, also when it is repeated")
def once(context):
    sink = context.sink(status=400)
    desk = Desk(context, http(sink.url), more=MERGING)
    one = chain(desk, 4)
    # What stands for them is still to be done.
    for filter in ({"outcome": "merged"}, {"outcome": "owed"}, {"since": "1h"}):
        expect(figures(desk, **filter)[:3], ([], 0, 0), "of owed ones, by %r" % filter)
    expect(figures(desk, since="1h")[3], 4, "left out as owed")
    expect(figures(desk, {"planIndex": 0}, since="1h"), ([], 0, 0, 4), "a part of their plans")
    desk.api.post("/resume", ROUTE)
    desk.wait(one[-1:], "dead")
    expect(figures(desk, outcome="dead"), (one[-1:], 3, 0, 0), "the last one, for all")
    expect(figures(desk, {"planIndex": 0}, outcome="dead"), (one[-1:], 3, 0, 0), "a part of its plan")
    expect(figures(desk, outcome="merged"), (one[2:3], 2, 0, 0), "the newest that the filter means")
    expect(figures(desk, delivery="x-2"), (one[1:2], 0, 0, 0), "one alone")
    text = desk.run("--outcome", "dead", "--rate", "100").stdout
    for word in ("1 deliveries are redelivered", "of 4 that match", "3 merged with others", "1 redelivered, 0 refused"):
        expect_that(word in text, "%r is not in\n%s" % (word, text))
    wait_until(lambda: len(desk.all("&outcome=dead")) == 5, 30, "the redelivery is dead too")
    again = [row["sequence"] for row in desk.all("&outcome=dead") if row["redeliveryOf"]]
    expect(figures(desk, outcome="dead"), (again, 3, 1, 0), "the redelivery in the place of the last one")
    sink.status = 200
    desk.run("--outcome", "dead", "--rate", "100")
    wait_until(lambda: desk.all("&outcome=done"), 30, "it is done")
    expect(figures(desk, outcome="dead"), ([], 3, 2, 0), "when it was repeated")
    expect(figures(desk, delivery="x-2"), ([], 1, 0, 0), "one alone, which that stands for")
    expect(len(sink.seen()), 3, "calls")
    chosen = desk.select(again=True)
    expect((chosen["sequences"], chosen["covered"]), (again, 3), "again, each trigger once")


@test("an outcome event tells what the history does; who listens for a merged delivery is told what stands for it")
def events(context):
    sink = context.sink(status=400)
    sink.answer = b"locked by " + TOKEN.encode()
    desk = Desk(context, http(sink.url), more=MERGING)
    one = chain(desk, 3)
    queries = ("?outcome=dead", "?delivery=x-3", "?delivery=x-1&outcome=dead", "?delivery=x-2&outcome=failed,dead",
               "?delivery=x-1&outcome=done", "?delivery=y-1")
    streams = {query: desk.api.events(query) for query in queries}
    try:
        desk.api.post("/resume", ROUTE)
        for query, meant in zip(queries, (None, None, one[0], one[1])):
            data = streams[query].next("outcome")
            check_schema(load_openapi(), OUTCOME, data, "the event for " + query)
            expect((data["sequence"], data["mergedFrom"], data["outcome"], data["merged"], data["deliveryID"]),
                   (one[2], meant, "dead", 2, "x-3"), query)
            expect((data["status"], data["attempt"], data["answer"]), (400, 1, "locked by ***"), query)
            told = desk.show(one[2])["history"][-1]
            expect({name: data[name] for name in told}, told, "what the history says")
        other = desk.push(delivery="y-1")[0]
        for query in queries[4:]:
            found = streams[query]
            if query == "?delivery=y-1":
                expect(found.next("outcome")["sequence"], other, "its own alone")
            else:
                found.socket.settimeout(2)
                try:
                    raise AssertionError("%s was told %r" % (query, found.any()))
                except TimeoutError:
                    pass
    finally:
        for stream in streams.values():
            stream.close()
