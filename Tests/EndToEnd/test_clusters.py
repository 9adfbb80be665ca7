"""One server for several clusters: each acts in its own, one that is away keeps none of the others from their work."""
import hashlib
import hmac
import json
import time

from clustercase import FLUX, HOOK, PUSH, TOKEN, Case, flux_path, git, hook, hook_path, receiver, secret
from fakekube import outcomes, settled
from harness import expect, expect_soon, expect_that, free_port, github, request, wait_until
from harness import hook as hook_file
from harness import secret as secret_file
from registry import test
from watchkube import watched_cluster

RETRY = {"attempts": 50, "backoff": "100ms", "maxBackoff": "500ms", "maxAge": "1h"}
OTHER = "0ther-t0ken-77aa19c3d2e4b508"


class Clusters:
    """A server of `local` and the named clusters, each a fake API server with its own objects."""

    def __init__(self, context, local=None, down=(), entries=None, **clusters):
        self.context, self.case, self.kubes = context, None, {}
        entries = entries or {}
        if local is not None:
            self.case = Case(context, local, down="local" in down)
            self.kubes["local"] = self.case.kube
        for name, objects in clusters.items():
            self.kubes[name] = watched_cluster(context, objects, down=name in down)
        self.config = json.dumps({"clusters": [
            {"name": name, "kubeconfig": self.kubes[name].kubeconfig_path, "receiverStatus": "own",
             **entries.get(name, {})}
            for name in clusters]})

    def server(self, *flags, **more):
        return self.case.server(*flags, config=self.config, **more)

    def acts(self, name, start=0):
        return sorted("%s/%s" % (w["namespace"], w["name"]) for w in self.kubes[name].acts(start))

    def expect_acts(self, what, **wanted):
        for name, acts in wanted.items():
            expect(self.acts(name), sorted(acts), "writes in cluster %s: %s" % (name, what))

    def serves(self, server, path, status=400, seconds=10):
        """Waits until a wrong signature is refused there: who is known says so."""
        wait_until(lambda: probe(server, path) == status, seconds, "%s answers %d" % (path[:24], status))

    def page(self, server):
        return server.admin("/readyz")[1].decode()


def push(server, path, token=TOKEN, body=PUSH):
    answer = server.push(body, path, token)
    expect((answer.status, answer.decision), (200, "accepted"), "a push to %s" % path[:24])
    return answer


def probe(server, path):
    return server.push(PUSH, path, "not-the-token").status


def steady(name, **more):
    return hook(name, coalesce={"by": "none"}, retry=RETRY, **more)


@test("clusters: each cluster's routes act in their own cluster, and status, Events and figures go there")
def own(context):
    here = [secret(), git("here"), git("common"), receiver("here"), steady("common", path="/hooks/team-a/here")]
    there = [secret(token=OTHER), git("there"), git("common"), git("lost"), receiver("there"),
             hook("lost", actions=[{"reconcile": {"kind": "GitRepository", "name": "none"}}], retry={"attempts": 1})]
    clusters = Clusters(context, here, there=there)
    server = clusters.server()
    expect(server.is_ready(), True, "readiness")
    answers = [push(server, flux_path("here")), push(server, flux_path("there", OTHER), OTHER),
               push(server, "/hooks/team-a/here")]
    settled(server, answers)
    clusters.expect_acts("own", local=["team-a/common", "team-a/here"], there=["team-a/there"])
    expect(probe(server, flux_path("there")), 404, "a path of nobody")
    for name, kube in clusters.kubes.items():
        receivers = {o["metadata"]["name"]: o for o in kube.all("receivers")}
        path = flux_path("here") if name == "local" else flux_path("there", OTHER)
        mine = "here" if name == "local" else "there"
        clusters.case.ready(mine, path=path, kube=kube)
        expect(sorted(receivers), [mine], "receivers")
    # An Event in the cluster of the Hook, and in no other.
    push(server, hook_path("lost"), OTHER)
    events = lambda name: [e for e in clusters.kubes[name].all("events") if e["reason"].startswith("Trigger")]
    wait_until(lambda: events("there"), 30, "an Event of the dead trigger")
    expect(events("local"), [], "Events in the other cluster")
    values = server.metrics()
    for name in ("local", "there"):
        wait_until(lambda: server.metrics()['grapnel_cluster_leader{cluster="%s"}' % name] == 1, 10,
                   "the Lease of " + name)
        pending = values['grapnel_cluster_collections{cluster="%s",state="pending"}' % name]
        expect(pending, 0, "pending lists of " + name)


@test("clusters: one away at the start: the others serve at once, an unknown path is 503; it comes and is served")
def away_at_start(context):
    clusters = Clusters(context, [secret(), git(), receiver()], there=[secret(), git("there"), receiver("there")],
                        down=["there"])
    server = clusters.server()          # ready, though one is away
    page = clusters.page(server)
    expect_that("ready" in page.splitlines() and "cluster there: its catalog is not known yet" in page, page)
    expect_that("cluster there: Receiver" in page and "not listed yet" in page, page)
    settled(server, [push(server, flux_path())])
    clusters.expect_acts("while one is away", local=["team-a/webapp"])
    expect(probe(server, "/hook/" + "0" * 64), 503, "a path that only the other may know")
    expect(probe(server, flux_path("there")), 503, "the other's path")
    # Changes are in force meanwhile.
    clusters.kubes["local"].put(git("new"))
    clusters.kubes["local"].apply(receiver("new"))
    clusters.case.status_becomes(server, flux_path("new"), 400, "a receiver that is new meanwhile")
    clusters.kubes["there"].up()
    clusters.serves(server, flux_path("there"), seconds=40)
    settled(server, [push(server, flux_path("there"))])
    clusters.expect_acts("of the one that came", local=["team-a/webapp"], there=["team-a/there"])
    wait_until(lambda: probe(server, "/hook/" + "0" * 64) == 404, 60, "an unknown path is 404 now")
    expect_that("not known yet" not in clusters.page(server), clusters.page(server))


@test("clusters: all away: not ready, and each is named")
def all_away(context):
    clusters = Clusters(context, [secret(), receiver()], there=[secret()], down=["local", "there"])
    server = clusters.server(start=False)
    server.start(ready=False)
    wait_until(lambda: "cluster there: " in clusters.page(server), 10, "the other cluster is named")
    page = clusters.page(server)
    expect(server.is_ready(), False, "readiness")
    expect_that("not ready: the catalog of the cluster is not known yet" in page, page)
    expect_that("not ready: the catalog of cluster there is not known yet" in page, page)
    clusters.kubes["there"].up()
    wait_until(server.is_ready, 40, "ready with one of two")


@test("clusters: one that goes away keeps its routes: its deliveries act when it is back, the other's at once")
def goes_away(context):
    here = [secret(), git(), steady("webapp", path="/hooks/team-a/here")]
    there = [secret(), git("there"), steady("there")]
    clusters = Clusters(context, here, there=there)
    server = clusters.server()
    clusters.kubes["there"].down()
    late = [push(server, hook_path("there")) for _ in range(5)]
    settled_here = [push(server, "/hooks/team-a/here") for _ in range(20)]
    wanted = {str(a.sequence) for a in settled_here}
    wait_until(lambda: wanted <= {o["sequence"] for o in outcomes(server) if o["code"] == "done"}, 20,
               "the living cluster's deliveries are done")
    clusters.expect_acts("while one is away", local=["team-a/webapp"] * 20, there=[])
    expect(server.is_ready(), True, "readiness")
    expect(probe(server, "/hook/" + "0" * 64), 404, "an unknown path: everything was listed once")
    breaker = lambda name: server.metrics().get('grapnel_trigger_breaker_open{cluster="%s"}' % name)
    wait_until(lambda: breaker("there") == 1, 30, "the breaker of the one that is away")
    expect(breaker("local"), 0, "the other's breaker")
    clusters.kubes["there"].up()
    settled(server, late, 60)
    clusters.expect_acts("when it is back", local=["team-a/webapp"] * 20, there=["team-a/there"] * 5)


def alike(context, type="github", down=(), **second):
    """The same receiver in two clusters."""
    return Clusters(context, [secret(), git(), receiver(type=type)],
                    there=[secret(), git(), receiver(type=type, **second)], down=down)


@test("clusters: the same Flux receiver in two clusters: one delivery, an outcome in each; a repeat acts in none")
def fan_out(context):
    clusters = alike(context)
    server = clusters.server()
    delivery = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
    answer = server.push(PUSH, flux_path(), TOKEN, delivery=delivery)
    expect((answer.status, answer.decision), (200, "accepted"), "the push")
    wait_until(lambda: len(outcomes(server)) == 2, 20, "an outcome in each cluster")
    found = outcomes(server)
    expect(sorted(o.get("cluster", "local") for o in found), ["local", "there"], "clusters of the outcomes")
    expect(len({o["sequence"] for o in found}), 2, "records")
    expect_that(str(answer.sequence) in {o["sequence"] for o in found}, "the answer names one of the records")
    clusters.expect_acts("one delivery", local=["team-a/webapp"], there=["team-a/webapp"])
    again = server.push(PUSH, flux_path(), TOKEN, delivery=delivery)
    expect((again.status, again.decision), (200, "duplicate"), "the repeat")
    wrong = server.push(PUSH, flux_path(), "wrong")
    expect(wrong.status, 400, "a wrong signature")
    settled(server, [push(server, flux_path())])
    wait_until(lambda: len(outcomes(server)) == 4, 20, "outcomes of the second delivery")
    clusters.expect_acts("two deliveries", local=["team-a/webapp"] * 2, there=["team-a/webapp"] * 2)
    for name in clusters.kubes:
        clusters.case.condition(lambda: clusters.kubes[name].get(FLUX, "Receiver", "team-a", "webapp"), "Ready", "True",
                                "Succeeded", 10)


@test("clusters: of a Receiver in two clusters those take part that are ready and list the event; several loops")
def fan_out_parts(context):
    clusters = alike(context, events=["ping"])
    server = clusters.server(loops=2)
    settled(server, [push(server, flux_path())])
    clusters.expect_acts("an event that one lists", local=["team-a/webapp"], there=[])
    kube = clusters.kubes["there"]
    kube.apply(receiver(events=["push"]))
    done = lambda: wait_until(lambda: not server.metrics()["grapnel_trigger_owed_deliveries"], 20, "all is done")
    wait_until(lambda: push(server, flux_path()) and clusters.acts("there"), 10, "the other takes part, too")
    done()
    clusters.kubes["local"].apply(receiver(suspend=True))

    def only_there():
        now = len(clusters.acts("local"))
        answer = push(server, flux_path())
        settled(server, [answer])
        done()
        return len(clusters.acts("local")) == now
    wait_until(only_there, 10, "a suspended one takes no part")
    clusters.kubes["there"].apply(receiver(events=["push"], suspend=True))
    wait_until(lambda: probe(server, flux_path()) == 503, 10, "both suspended")
    clusters.kubes["there"].apply(receiver(type="gitlab"))
    clusters.kubes["local"].apply(receiver())
    wait_until(lambda: "already claimed" in server.log_text(), 10, "another type is no sibling, and loses the path")
    wait_until(lambda: probe(server, flux_path()) == 400, 10, "the first one's type counts")


@test("clusters: a Receiver in two clusters, one of them away: that one gets its share later; large bodies")
def fan_out_rules(context):
    clusters = alike(context, type="generic-hmac")
    server = clusters.server()
    body = b'{"a": 1}'
    fields = [("Content-Type", "application/json"),
              ("X-Signature", "sha256=" + hmac.new(TOKEN.encode(), body, hashlib.sha256).hexdigest())]
    clusters.kubes["there"].down()
    answer = server.post(flux_path(), body, fields)
    expect((answer.status, answer.decision), (200, "accepted"), "the delivery")
    wait_until(lambda: [o["code"] for o in outcomes(server)] == ["done"], 20, "the living one's outcome")
    clusters.expect_acts("while one is away", local=["team-a/webapp"], there=[])
    clusters.kubes["there"].up()
    wait_until(lambda: len(outcomes(server)) == 2, 60, "the other's outcome")
    clusters.expect_acts("afterwards", local=["team-a/webapp"], there=["team-a/webapp"])
    large = json.dumps({"text": "x" * (300 << 10)}).encode()
    fields = [("Content-Type", "application/json"),
              ("X-Signature", "sha256=" + hmac.new(TOKEN.encode(), large, hashlib.sha256).hexdigest())]
    answer = server.post(flux_path(), large, fields)
    expect((answer.status, answer.decision), (200, "accepted"), "a large delivery")
    wait_until(lambda: len(outcomes(server)) == 4, 30, "its outcomes")


@test("clusters: a Receiver with rules of its own in two clusters: judged on the loop, and by a helper")
def fan_out_ruled(context):
    clusters = alike(context, type="bitbucket")
    server = clusters.server()
    for size in (10, 300 << 10):        # on the loop, and by a helper
        before = len(outcomes(server))
        body = json.dumps({"eventKey": "repo:refs_changed", "pad": "x" * size}).encode()
        fields = [("Content-Type", "application/json"), ("X-Event-Key", "repo:refs_changed"),
                  ("X-Hub-Signature", "sha256=" + hmac.new(TOKEN.encode(), body, hashlib.sha256).hexdigest())]
        answer = server.post(flux_path(), body, fields)
        expect((answer.status, answer.decision), (200, "accepted"), "a delivery of %d bytes" % len(body))
        wait_until(lambda: len(outcomes(server)) == before + 2, 30, "two outcomes")
    clusters.expect_acts("each", local=["team-a/webapp"] * 2, there=["team-a/webapp"] * 2)


@test("clusters: killed with deliveries owed in both, started with one away: each is done when its own is there")
def restart(context):
    clusters = Clusters(context, [secret(), git(), receiver(), steady("here", actions=[
        {"reconcile": {"kind": "GitRepository", "name": "webapp"}}])],
        there=[secret(), git(), git("there"), receiver(), steady("there")])
    server = clusters.server()
    for kube in clusters.kubes.values():
        kube.down()
    answers = [push(server, hook_path("here")) for _ in range(3)] + [push(server, hook_path("there")) for _ in range(3)]
    answers.append(push(server, flux_path()))
    server.kill()
    clusters.kubes["local"].up()
    server.start()
    mine = {str(a.sequence) for a in answers[:3]}
    wait_until(lambda: mine <= {o["sequence"] for o in outcomes(server) if o["code"] == "done"}, 30,
               "the living cluster's owed deliveries")
    wait_until(lambda: len(clusters.acts("local")) >= 4, 20, "with its share of the one for both")
    clusters.expect_acts("after the restart", local=["team-a/webapp"] * 4, there=[])
    wait_until(lambda: server.metric("grapnel_journal_owed_deliveries") == 4, 20, "4 are owed to the one that is away")
    expect_soon(lambda: server.metric("grapnel_cluster_waiting_deliveries"), 4, "waiting for its lists")
    # Once more, before it is back.
    server.kill()
    server.start()
    clusters.kubes["there"].up()
    wait_until(lambda: server.metric("grapnel_journal_owed_deliveries") == 0, 60, "nothing is owed any more")
    clusters.expect_acts("at the end", local=["team-a/webapp"] * 4, there=["team-a/there"] * 3 + ["team-a/webapp"])
    expect([o for o in outcomes(server) if o["code"] not in ("done", "merged")], [], "other outcomes")


@test("clusters: one that refuses the login, and one that never answers, are away at the start, and not empty")
def refused(context):
    clusters = Clusters(context, [secret(), git(), receiver()], there=[secret(), git("there"), steady("there")],
                        mute=[secret(), git("mute"), receiver("mute")])
    server = clusters.server()
    kube = clusters.kubes["there"]
    kube.down()
    owed = [push(server, hook_path("there")) for _ in range(3)]
    server.kill()
    kube.up()
    kube.starting = 401
    clusters.kubes["mute"].delay = 600
    server.start()
    settled_here = push(server, flux_path())
    wait_until(lambda: outcomes(server, settled_here.sequence), 20, "the living cluster's delivery is done")
    # Longer than a list that is refused is waited for.
    began = time.monotonic()
    while time.monotonic() - began < 14:
        expect(probe(server, "/hook/" + "0" * 64), 503, "an unknown path")
        time.sleep(0.5)
    expect_soon(lambda: server.metric("grapnel_cluster_waiting_deliveries"), 3, "waiting deliveries")
    expect_that("401" in clusters.page(server) or "Unauthorized" in clusters.page(server), clusters.page(server))
    kube.starting, clusters.kubes["mute"].delay = None, 0
    wait_until(lambda: len(clusters.acts("there")) == 3, 60, "what was owed is done")
    settled(server, owed)
    expect([o["code"] for o in outcomes(server) if o.get("cluster") == "there"], ["done"] * 3, "outcomes")
    expect(len(owed), 3, "deliveries")


@test("clusters: a notification to Build Service refreshes what reads the image in each, also in one that was away")
def images(context):
    def stack(name, image="r.example/base:1"):
        return {"apiVersion": "kpack.io/v1alpha2", "kind": "ClusterStack", "metadata": {"name": name},
                "spec": {"id": "i", "buildImage": {"image": image}, "runImage": {"image": image}}}
    clusters = Clusters(context, [stack("here"), stack("other", "r.example/else:1")], there=[stack("there")],
                        down=["there"])
    config = json.loads(clusters.config)
    config["buildService"] = {"auth": {"notification": {"type": "bearer", "tokenFile": "token"}}}
    clusters.config = json.dumps(config)
    server = clusters.server(start=False)
    with open(server.folder + "/token", "w") as f:
        f.write(TOKEN)
    server.start()
    body = json.dumps({"events": [{
        "id": "e1", "action": "push", "timestamp": "2026-01-01T00:00:00Z",
        "target": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "repository": "base", "tag": "1",
                   "digest": "sha256:" + "a" * 64, "url": "https://r.example/v2/base/manifests/sha256:" + "a" * 64},
        "request": {"host": "r.example", "method": "PUT"}}]}).encode()
    notify = lambda token: server.post("/v1/docker/notification", body, [
        ("Content-Type", "application/vnd.docker.distribution.events.v1+json"), ("Authorization", "Bearer " + token)])
    expect(notify("wrong").status, 401, "a wrong token")
    answer = notify(TOKEN)
    expect((answer.status, answer.decision), (202, "accepted"), "the notification")
    acts = lambda name: [w["name"] for w in clusters.kubes[name].acts()]
    wait_until(lambda: acts("local") == ["here"], 20, "the refresh in the living cluster")
    expect_soon(lambda: server.metric("grapnel_cluster_waiting_deliveries"), 1, "waiting for the other")
    clusters.kubes["there"].up()
    wait_until(lambda: acts("there") == ["there"], 60, "the refresh in the other")
    expect(acts("local"), ["here"], "refreshes in the first")


@test("clusters: Hooks in manifest files name a cluster; matches stay in the one that is meant, and wait for it")
def named(context):
    event = json.loads(PUSH)

    def follower(name):
        o = git(name)
        o["spec"].update(url=event["repository"]["clone_url"], ref={"name": event["ref"]})
        return o
    clusters = Clusters(context, [git(), follower("follows")],
                        there=[git(), follower("follows-there")], down=["there"])
    reconcile = lambda more: "[{reconcile: {%s}}]" % more
    manifests = {
        "secret.yaml": secret_file("webhook-token", TOKEN),
        "named.yaml": hook_file("named", actions=reconcile("cluster: there, kind: GitRepository, name: webapp")),
        "here.yaml": hook_file("here", actions=reconcile("kind: GitRepository, name: webapp")),
        "match.yaml": hook_file("match", actions=reconcile("matchRepository: true, cluster: there")),
        "own.yaml": hook_file("own", actions=reconcile("matchRepository: true")),
        "wrong.yaml": hook_file("wrong", actions=reconcile("cluster: ther, kind: GitRepository, name: webapp")),
    }
    server = clusters.server(manifests=manifests)
    expect(probe(server, "/hooks/team-a/wrong"), 503, "an unknown cluster")
    log = server.log_text()
    expect_that("wrong.yaml" in log and "there is no cluster" in log and "known: local, there" in log
                and "did you mean" in log, "the problem: " + server.tail())
    for name in ("here", "own", "named", "match"):
        push(server, "/hooks/team-a/" + name)
    wait_until(lambda: len(clusters.acts("local")) == 2, 20, "what is done here")
    expect([o for o in outcomes(server) if o["code"] == "ignored"], [], "deliveries that found nothing")
    clusters.expect_acts("while it is away", local=["team-a/follows", "team-a/webapp"], there=[])
    clusters.kubes["there"].up()
    wait_until(lambda: len([o for o in outcomes(server) if o["code"] == "done"]) == 4, 60, "all is done")
    clusters.expect_acts("when it is back", local=["team-a/follows", "team-a/webapp"],
                         there=["team-a/follows-there", "team-a/webapp"])


@test("clusters: a tenant's Hook never reaches another cluster nor takes a path of the first; hosts are kept")
def tenants(context):
    intruder = hook("intruder", actions=[
        {"reconcile": {"cluster": "local", "kind": "GitRepository", "name": "webapp"}}])
    clusters = Clusters(context, [secret(), git(), steady("webapp", created="2026-05-01T00:00:00Z")],
                        there=[secret(token=OTHER), git(), steady("webapp", created="2020-01-01T00:00:00Z"), intruder,
                               hook("elsewhere", host="a.example.org")],
                        hosted=[secret(token=OTHER), git(), hook("webapp"), hook("elsewhere", host="a.example.org")],
                        entries={"hosted": {"hosts": ["B.example.org", "c.example.org"]}})
    server = clusters.server()
    wait_until(lambda: probe(server, hook_path("intruder")) == 503, 10, "the intruder is known and not ready")
    expect_soon(lambda: "acts in its own cluster only" in server.log_text(), True, "the reason in the log")
    settled(server, [push(server, hook_path("webapp"))])
    clusters.expect_acts("the first keeps the path", local=["team-a/webapp"], there=[], hosted=[])
    case, of = clusters.case, lambda cluster, name: clusters.kubes[cluster].get(HOOK, "Hook", "team-a", name)
    case.condition(lambda: of("there", "webapp"), "Ready", "False", "PathAlreadyClaimed", 10)
    expect(server.push(PUSH, hook_path("webapp"), OTHER).status, 401, "the other's secret on the first one's path")
    case.condition(lambda: of("hosted", "elsewhere"), "Ready", "False", "NotPermitted", 10)
    answers = []
    for host in ("b.example.org", "C.example.org"):
        with server.connect() as connection:
            answers.append(connection.exchange(
                request(hook_path("webapp"), PUSH, github(PUSH, OTHER), host=host)))
    expect([a.decision for a in answers], ["accepted"] * 2, "pushes at the cluster's hosts")
    settled(server, answers)
    clusters.expect_acts("by host", local=["team-a/webapp"], there=[])
    expect(set(clusters.acts("hosted")), {"team-a/webapp"}, "writes in the hosted cluster")


@test("clusters: catalog false: only acted on; no --kubernetes: the named ones alone; settings that are wrong")
def catalog_off(context):
    clusters = Clusters(context, far=[secret(), git(), receiver()], near=[secret(), git("near"), receiver("near")],
                        entries={"far": {"catalog": False}})
    manifests = {"secret.yaml": secret_file("webhook-token", TOKEN),
                 "far.yaml": hook_file(
                     "far", actions="[{reconcile: {cluster: far, kind: GitRepository, name: webapp}}]"),
                 "match.yaml": hook_file("match", actions="[{reconcile: {matchRepository: true, cluster: far}}]")}
    server = context.server(manifests, config=clusters.config, flags=["--log-level", "debug"])
    server.tokens = set()
    clusters.serves(server, flux_path("near"))
    expect(probe(server, flux_path()), 404, "a receiver of a cluster that is only acted on")
    expect(probe(server, "/hooks/team-a/match"), 503, "a match where nothing is read")
    expect_soon(lambda: "catalog: true" in server.log_text(), True, "the remedy in the log")
    settled(server, [push(server, "/hooks/team-a/far"), push(server, flux_path("near"))])
    clusters.expect_acts("named", far=["team-a/webapp"], near=["team-a/near"])
    expect(clusters.kubes["far"].all("leases"), [], "Leases where no status is written")
    expect(len(clusters.kubes["near"].all("leases")), 1, "Leases of the other")


@test("clusters: doctor and uninstall look after each, and name the one that does not answer")
def commands(context):
    clusters = Clusters(context, [secret(), git(), receiver()], there=[secret(), git("there"), receiver("there")],
                        gone=[secret()], down=["gone"])
    config = context.folder + "/clusters.yaml"
    with open(config, "w") as f:
        f.write(clusters.config)
    flags = ["--config", config, "--kubernetes", "kubeconfig", "--kubeconfig", clusters.kubes["local"].kubeconfig_path,
             "--receiver-status", "own", "--data-dir", context.folder + "/data"]
    result = context.command("doctor", *flags, "--listen", "127.0.0.1:%d" % free_port(), timeout=120)
    out = result.stdout
    expect(result.returncode, 1, "doctor's status\n" + out + result.stderr)
    for words in ("cluster local: API server: ", "cluster there: API server: ", "FAIL  cluster gone: API server"):
        expect_that(words in out, "doctor says %r: %s" % (words, out))
    expect_that("2 routes, 2 ready" in out, out)
    server = clusters.server()
    for name in ("local", "there"):
        kube, mine = clusters.kubes[name], "webapp" if name == "local" else "there"
        wait_until(lambda: kube.get(FLUX, "Receiver", "team-a", mine)["metadata"].get("finalizers"), 10, "finalizers")
    server.stop()
    result = context.command("uninstall", "--yes", *flags, timeout=120)
    expect(result.returncode, 3, "uninstall's status\n" + result.stdout + result.stderr)
    expect_that("cluster gone: " in result.stderr, result.stderr)
    for name in ("local", "there"):
        expect([o["metadata"].get("finalizers") for o in clusters.kubes[name].all("receivers")
                if o["metadata"].get("finalizers")], [], "finalizers left in cluster " + name)
        expect([o for o in clusters.kubes[name].all("leases") if o["metadata"]["name"] == "grapnel"], [], "Leases left")
