"""Pauses of what is not there, and what says that a delivery is held back."""
from apikit import Api
from harness import TOKEN, expect, expect_that, hook, plain_hook, secret, wait_until
from registry import test


@test("pausing what is not known works, and is told by the API and by grapnel pause")
def unknown(context):
    sink = context.sink()
    server = context.server(plain_hook(actions='[{http: {url: "%s"}}, {reconcile: {kind: GitRepository, name: app}}]' % sink.url))
    api = Api(server)
    origin = sink.url.rpartition("/")[0]
    known = [{"route": "Hook/team-a/webapp"}, {"namespace": "team-a"}, {"target": origin},
             {"target": "GitRepository/team-a/app"}]
    unknown = [({"route": "Hook/team-a/webap"}, "no such route"), ({"namespace": "team-x"}, "no route is in that"),
               ({"target": "http://127.0.0.1:1"}, "no route names that target"),
               ({"target": sink.url}, "no route names that target"),
               ({"route": "Hook/team-a/webapp", "cluster": "east"}, "no such cluster"),
               ({"namespace": "team-a", "cluster": "east"}, "no such cluster"),
               ({"target": origin, "cluster": "east"}, "no such cluster")]
    for subject in known:
        status, answer = api.post("/pause", subject)
        expect((status, answer["changed"], answer["known"], answer["warning"]), (200, True, True, None), repr(subject))
        expect(api.post("/resume", subject)[1]["known"], True, "resume")
    for subject, word in unknown:
        status, answer = api.post("/pause", subject)
        expect((status, answer["changed"], answer["known"]), (200, True, False), repr(subject))
        expect_that(word in answer["warning"], "%r: %r" % (subject, answer["warning"]))
        options = [part for name, value in subject.items() for part in ("--" + name, value)]
        result = context.command("pause", *options, "--data-dir", server.data)
        expect(result.returncode, 0, "exit status")
        expect_that(result.stderr.startswith("warning: ") and word in result.stderr, "%r: %r" % (options, result.stderr))
    expect(len(api.get("/queues")[1]["paused"]), len(unknown), "they are paused all the same")


@test("a delivery that is held back says by what, in lists, tables and when it is shown")
def held_back(context):
    sink = context.sink()
    server = context.server(plain_hook(actions='[{log: {}}, {http: {url: "%s"}}]' % sink.url))
    api = Api(server)

    def run(*arguments):
        return context.command("deliveries", *arguments, "--data-dir", server.data).stdout
    origin = sink.url.rpartition("/")[0]
    for subject, words in (({"route": "Hook/team-a/webapp"}, "--route Hook/team-a/webapp"),
                           ({"namespace": "team-a"}, "--namespace team-a"), ({"target": origin}, "--target " + origin)):
        api.post("/pause", subject)
        sequence = server.push().sequence
        wait_until(lambda: [q for q in api.get("/queues")[1]["queues"] if q["paused"]], 20, "it waits, paused")

        def told():
            by = api.get("/deliveries/%d" % sequence)[1]["pausedBy"]
            return by is not None and all(by[k] == v or isinstance(by[k], dict) for k, v in subject.items())
        wait_until(told, 20, "show says what holds it back: %r" % subject)
        expect_that("by " + words in run("show", str(sequence)), "not in the text of show: " + words)
        row = api.get("/deliveries?limit=1")[1]["deliveries"][0]
        if "target" in subject:
            # A list does not look into plans; queues and show do.
            expect(row["pausedBy"], None, "in the list")
        else:
            expect(row["pausedBy"] is not None, True, "in the list")
            expect_that("paused by " + words in run("list"), "not in the table")
        api.post("/resume", subject)
        wait_until(lambda: api.get("/deliveries/%d" % sequence)[1]["outcome"] == "done", 20, "it is done")
        expect(api.get("/deliveries/%d" % sequence)[1]["pausedBy"], None, "when it is over")


@test("a pause of an http target holds every action on its host and port, of whichever route and path")
def whole_host(context):
    sink = context.sink()
    origin = sink.url.rpartition("/")[0]
    server = context.server({
        "secret.yaml": secret("webhook-token", TOKEN),
        "a.yaml": hook(actions='[{http: {url: "%s/a"}}, {http: {url: "%s/b"}}]' % (origin, origin)),
        "b.yaml": hook(name="other", actions='[{http: {url: "%s/c"}}]' % origin)})
    api = Api(server)
    api.post("/pause", {"target": origin})
    server.push()
    server.push(path="/hooks/team-a/other")
    wait_until(lambda: api.get("/queues")[1]["totals"]["paused"] == 3, 20, "all three are held")
    expect(sink.seen(), [], "nothing was called")
    api.post("/resume", {"target": origin})
    wait_until(lambda: len(sink.seen()) == 3, 20, "all three are called")
