"""A namespace whose unfinished deliveries fill its share of the journal: who is refused, and who is told."""
from apikit import Api
from harness import TOKEN, expect, expect_that, github, hook, padded_push, secret, wait_until
from registry import test


@test("a namespace over its share of the journal gets 503, another none; log, API and metrics say whose", alone=True)
def over_share(context):
    sink = context.sink(status=503)
    files = {}
    for namespace in ("team-a", "team-b"):
        files[namespace + ".yaml"] = secret("webhook-token", TOKEN, namespace=namespace) + "---\n" + hook(
            namespace=namespace, actions="[{http: {url: \"%s\"}}]" % sink.url)
    # 1 % of 192 MiB is two of these and a little.
    server = context.server(files, flags=["--journal-max-bytes", "192MiB", "--journal-namespace-share", "1"])
    api = Api(server)
    body = padded_push(900 << 10)
    answers = [server.post("/hooks/team-a/webapp", body, github(body)) for _ in range(5)]
    expect([a.status for a in answers], [200, 200, 503, 503, 503], "team-a")
    expect_that("Retry-After" in answers[2].raw.decode("latin-1"), "no Retry-After in %r" % answers[2].raw[:300])
    expect(server.post("/hooks/team-b/webapp", body, github(body)).status, 200, "team-b")
    expect(server.is_ready(), True, "ready: the others' deliveries are taken")
    log = [line for line in server.log_text().splitlines() if "its whole share of the journal" in line]
    expect(len(log), 1, "lines of the log")
    expect_that("namespace=team-a" in log[0] and "--journal-namespace-share" in log[0], log[0])
    over = api.get("/journal")[1]["namespacesOverShare"]
    expect([(o["cluster"], o["namespace"], o["refused"]) for o in over], [("local", "team-a", 3)], "the API")
    counters = {r["route"]["namespace"]: r["counters"] for r in api.get("/routes")[1]["routes"]}
    expect([(counters[n]["accepted"], counters[n]["unavailable"]) for n in ("team-a", "team-b")], [(5, 3), (1, 0)], "routes")
    expect_that('grapnel_route_unavailable_total{cluster="local",kind="Hook",namespace="team-a",name="webapp"} 3'
                in server.admin("/metrics")[1].decode(), "the metric")
    sink.status = 200
    wait_until(lambda: server.post("/hooks/team-a/webapp", body, github(body)).status == 200, 60, "room again")
