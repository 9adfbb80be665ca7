"""`grapnel queues`, `pause` and `resume`: what an operator sees of the work that is left, and holds back."""
import json

from apikit import Api
from harness import expect, expect_that, plain_hook, wait_until
from registry import test


@test("grapnel pause holds a route back, queues shows why, resume lets it go")
def pause_and_resume(context):
    sink = context.sink()
    server = context.server(plain_hook(actions="[{http: {url: \"%s\"}}]" % sink.url))

    def run(*arguments, status=0):
        result = context.command(*arguments, "--data-dir", server.data)
        expect(result.returncode, status, "exit status of %r (%s)" % (arguments, result.stderr))
        return result
    expect(run("pause").stdout, "nothing is paused\n", "at first")
    expect(run("queues").stdout.splitlines()[0],
           "0 deliveries owed: 0 actions run, 0 wait (0 in the journal alone, 0 for their targets to be found), "
           "0 are paused; 0 given up since the start", "at first")
    first = run("pause", "--route", "Hook/team-a/webapp")
    expect((first.stdout, first.stderr), ("paused: --route Hook/team-a/webapp\n", ""), "pause")
    expect(run("pause", "--route", "Hook/team-a/webapp").stdout, "was paused already: --route Hook/team-a/webapp\n", "again")
    misspelt = run("pause", "--route", "Hook/team-a/webap")
    expect_that("no such route" in misspelt.stderr, "a misspelt route is not told of: %r" % misspelt.stderr)
    sequence = server.push().sequence
    wait_until(lambda: "1 are paused" in run("queues").stdout, 20, "it waits, paused")
    text = run("queues", "-n", "team-a", "-o", "wide").stdout
    for word in ("TARGET", "Hook/team-a/webapp", "BREAKER", "Paused", "--route Hook/team-a/webap\n"):
        expect_that(word in text, "%r is not in\n%s" % (word, text))
    expect_that("Hook/team-a/webapp" not in run("queues", "-n", "team-b").stdout.split("Paused")[0], "another namespace's")
    expect(json.loads(run("queues", "-o", "json").stdout)["totals"]["paused"], 1, "as JSON")
    expect(sink.seen(), [], "nothing was called")
    wrong = run("resume", "--namespace", "team-a", status=1).stderr
    expect_that("is not paused; paused are: --route Hook/team-a/webap" in wrong, "no remedy in %r" % wrong)
    expect(run("resume", "--route", "Hook/team-a/webapp").stdout, "resumed: --route Hook/team-a/webapp\n", "resume")
    api = Api(server)
    wait_until(lambda: api.get("/deliveries/%d" % sequence)[1]["outcome"] == "done", 20, "it is done")
    run("pause", "--target", "https://x.test", "--cluster", "east")
    expect(sorted(run("pause").stdout.splitlines()),
           ["--route Hook/team-a/webap", "--target https://x.test --cluster east"], "what is paused")
    expect(len(run("resume", "--all").stdout.splitlines()), 2, "all at once")
    expect(run("resume", "--all").stdout, "nothing is paused\n", "none is left")


@test("grapnel pause and resume say what is wrong with what they are given")
def wrong(context):
    for arguments, word in (
            (("pause", "--route", "webapp"), "Kind/namespace/name"),
            (("pause", "--route", "Hook/a/b", "--namespace", "a"), "one of"),
            (("resume",), "--all"), (("resume", "--all", "--namespace", "a"), "--all"),
            (("queues", "--limit", "0"), "1 to 1000")):
        result = context.command(*arguments)
        expect(result.returncode, 2, "exit status of %r (%s)" % (arguments, result.stderr))
        expect_that(word in result.stderr, "%r is not in %r" % (word, result.stderr))
    for command in ("queues", "pause"):
        result = context.command(command, "--data-dir", context.folder)
        expect(result.returncode, 3, "no server")
        expect_that("--admin" in result.stderr, "no remedy in " + result.stderr)
    server = context.server(plain_hook())
    result = context.command("pause", "--route", "Nonsense/team-a/webapp", "--data-dir", server.data)
    expect(result.returncode, 1, "an unknown kind (%s)" % result.stderr)
