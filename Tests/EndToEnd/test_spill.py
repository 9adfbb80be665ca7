"""What one route owes above its share of --max-queued-deliveries waits in the journal, and keeps no other route waiting."""
import json

from apikit import Api
from fakekube import cluster
from harness import TOKEN, expect, expect_that, github, hook, plain_hook, request, secret, wait_until
from registry import test
from test_repeats import CONFIG, made

COUNT, HELD = 2000, 200
RETRY = "retry: {attempts: 10, backoff: 50ms, maxBackoff: 100ms}"
HELD_FLAGS = ["--max-queued-deliveries", str(HELD), "--max-actions-per-target", "1"]


def body(marker):
    return json.dumps({"ref": "refs/heads/main", "marker": marker}).encode()


def storm(server, markers, path="/hooks/team-a/webapp"):
    """Deliveries one after the other on one connection."""
    with server.connect() as connection:
        for marker in markers:
            expect(connection.exchange(request(path, body(marker), github(body(marker)))).status, 200, "status")


def markers(sink, status=200):
    return [json.loads(call[1])["marker"] for call in sink.seen(status)]


def two_routes(context, storm_url, calm_url, flags=()):
    action = lambda url: '[{http: {url: "%s", timeout: 60s}}]' % url
    return context.server(
        {"secret.yaml": secret("webhook-token", TOKEN) + "---\n" + secret("webhook-token", TOKEN, "team-b"),
         "hook.yaml": hook(actions=action(storm_url), more=RETRY) + "---\n"
         + hook("calm", actions=action(calm_url), more=RETRY, namespace="team-b")}, flags=HELD_FLAGS + list(flags))


def calm_is_served(server, calm, marker):
    storm(server, [marker], "/hooks/team-b/calm")
    wait_until(lambda: marker in markers(calm), 10, "the other route's delivery is triggered")


def totals(server):
    return Api(server).get("/queues")[1]["totals"]


def check_counts(server, owed):
    """All are owed, few are held, the rest is said to wait in the journal."""
    wait_until(lambda: totals(server)["owedDeliveries"] == owed, 10, "%d that are owed" % owed)
    found = Api(server).get("/queues")[1]
    figures = found["totals"]
    expect_that(figures["waiting"] + figures["running"] >= owed, "some that are owed do not wait: %s" % figures)
    expect([row["route"]["name"] for row in found["spilled"]], ["webapp"], "routes with deliveries in the journal alone")
    expect(found["spilled"][0]["count"], figures["spilled"], "count of the route")
    expect_that(owed - HELD <= figures["spilled"] < owed, "spilled: %s" % figures)
    wait_until(lambda: server.metric("grapnel_trigger_spilled_deliveries") == figures["spilled"], 10, "the metric")
    expect_that(server.metric("grapnel_trigger_owed_deliveries") <= HELD, "more in memory than the bound")
    wait_until(lambda: server.metric("grapnel_journal_owed_deliveries") == owed, 10, "what the journal owes")
    expect_that(server.metric("grapnel_trigger_oldest_age_seconds") <= 600, "age of the oldest")


def check_order(done, attempted):
    """Each once; those that no attempt was made for before, in the order of their arrival."""
    expect(sorted(done), list(range(COUNT)), "deliveries, each once")
    never = [marker for marker in done if marker >= attempted]
    expect(never, sorted(never), "order")


@test("2,000 deliveries to a target that is down delay no other route's, over a SIGKILL too; then each is done once, in order")
def target_down(context):
    dead, calm = context.sink(), context.sink()
    dead.down()
    server = two_routes(context, dead.url, calm.url)
    storm(server, range(COUNT))
    calm_is_served(server, calm, "first")
    check_counts(server, COUNT)
    server.kill()
    server.start()
    calm_is_served(server, calm, "second")
    check_counts(server, COUNT)
    storm(server, ["late-%d" % i for i in range(5)])
    dead.up()
    wait_until(lambda: len(dead.seen(200)) >= COUNT + 5, 120, "all is done")
    wait_until(lambda: server.metric("grapnel_journal_owed_deliveries") == 0, 20, "nothing is owed")
    expect(totals(server)["spilled"], 0, "spilled in the end")
    done = markers(dead)
    expect(done[-5:], ["late-%d" % i for i in range(5)], "the last ones")
    # A hundred of each life were held; of these those that were tried stepped aside.
    check_order(done[:-5], HELD)
    expect(sorted(markers(calm)), ["first", "second"], "calls of the other route")


@test("a paused route's 2,000 deliveries delay no other route's; resumed after a restart, each is done once, in order")
def paused(context):
    sink, calm = context.sink(), context.sink()
    server = two_routes(context, sink.url, calm.url)
    api = Api(server)
    expect(api.post("/pause", {"route": "Hook/team-a/webapp"})[0], 200, "pause")
    storm(server, range(COUNT))
    calm_is_served(server, calm, "first")
    check_counts(server, COUNT)
    sequence = api.get("/deliveries?limit=1&route=webapp")[1]["deliveries"][0]["sequence"]
    expect(api.post("/deliveries/%d/redeliver" % sequence, {})[0], 409, "what waits in the journal is not redelivered")
    server.stop()
    server.start()
    calm_is_served(server, calm, "second")
    check_counts(server, COUNT)
    expect(sink.seen(), [], "calls while paused")
    expect(api.post("/resume", {"route": "Hook/team-a/webapp"})[0], 200, "resume")
    wait_until(lambda: len(sink.seen(200)) >= COUNT, 120, "all is done")
    wait_until(lambda: server.metric("grapnel_journal_owed_deliveries") == 0, 20, "nothing is owed")
    check_order(markers(sink), 0)


@test("builds of one ref that waited in the journal are made once each, though the server is killed in the middle")
def builds(context):
    kube = cluster(context, [CONFIG])
    server = context.server(plain_hook(actions="\n  - openshiftBuild: {name: orders}", more=RETRY),
                            flags=kube.flags + HELD_FLAGS)
    kube.down()
    count = 600
    storm(server, range(count))
    wait_until(lambda: server.metric("grapnel_trigger_spilled_deliveries") >= count - HELD, 20, "most wait in the journal")
    key = ("build.openshift.io", "builds")
    kube.up()
    for part in (100, 250):
        wait_until(lambda: len(made(kube, key)) >= part, 60, "%d builds" % part)
        server.kill()
        # What the dead server sent is done or lost before the next one asks what was done: an API server that does it later still would
        # make one build more, and no label could tell.
        kube.down()
        kube.up()
        server.start()
    wait_until(lambda: len(made(kube, key)) >= count, 120, "all builds")
    wait_until(lambda: server.metric("grapnel_journal_owed_deliveries") == 0, 20, "nothing is owed")
    expect(len(made(kube, key)), count, "builds")
    labels = [build["metadata"]["labels"]["grapnel.dev/delivery"] for build in made(kube, key)]
    expect(len(set(labels)), count, "labels, one for each delivery")


@test("drain works off what waits in the journal as well")
def drained(context):
    dead, calm = context.sink(), context.sink()
    dead.down()
    server = two_routes(context, dead.url, calm.url)
    storm(server, range(1000))
    wait_until(lambda: server.metric("grapnel_trigger_spilled_deliveries") >= 800, 20, "most wait in the journal")
    dead.up()
    result = context.command("drain", "--data-dir", server.data, "--timeout", "10m", timeout=600)
    expect((result.returncode, result.stdout.strip()), (0, "nothing is owed: %s may go" % server.data),
           "drain\n" + result.stderr)
    expect(sorted(markers(dead)), list(range(1000)), "calls")
