"""Which of several servers writes to the cluster: the one that holds the Lease `grapnel`."""
import signal
import time

from clustercase import LEASE, Case, flux_path, git, hook, hook_path, receiver, secret
from harness import Skip, expect, expect_that, wait_until
from registry import test


def leader(case):
    o = case.kube.get(LEASE, "Lease", "default", "grapnel")
    return ((o or {}).get("spec") or {}).get("holderIdentity") or ""


def leads(server, since=0):
    return "this replica writes status" in server.log_text()[since:]


@test("cluster election: of two servers both serve and one writes; the other takes over when it stops or is killed")
def two_servers(context):
    case = Case(context, [secret(), git(), receiver()])
    kube = case.kube
    servers = [case.server(), case.server()]
    wait_until(lambda: any(map(leads, servers)), 10, "one leads")
    first, second = servers if leads(servers[0]) else servers[::-1]
    case.ready()
    for server in servers:
        case.deliver(server, flux_path(), ["team-a/webapp"])

    def written_once(name):
        before = len(kube.writes_since())
        kube.apply(receiver(name))
        case.ready(name)
        expect(case.written("receivers", before), [("", 200), ("status", 200)], "writes to one new Receiver with two servers")
    written_once("one")
    expect(leads(second), False, "the second one leads")
    identity = leader(case)
    # It stops: the Lease is given back, and not left to run out.
    began, before = time.monotonic(), len(kube.writes_since())
    first.stop()
    wait_until(lambda: leads(second), 8, "the other leads after the first has stopped")
    handed = time.monotonic() - began
    holders = [((w["body"] or {}).get("spec") or {}).get("holderIdentity") for w in case.writes_to("leases", before)]
    expect_that("" in holders, "the Lease was not given back: holders written were %r" % holders)
    expect_that(leader(case) not in ("", identity), "the Lease has another holder")
    first.start()
    mark = len(first.log_text())
    written_once("two")
    # It is killed: the Lease runs out.
    began = time.monotonic()
    second.kill()
    kube.apply(receiver("orphan"))
    case.status_becomes(first, flux_path("orphan"), 400, "the one that is left serves meanwhile")
    case.ready("orphan", seconds=24)
    taken = time.monotonic() - began
    expect_that(leads(first, mark), "the log does not say who leads")
    print("     leadership: given back after %.1f s, taken over after %.1f s (Lease 15 s)" % (handed, taken), flush=True)


@test("cluster election: a leader that was frozen for longer than the Lease writes nothing over its successor")
def frozen(context):
    if not context.long:
        raise Skip("takes 30 s: run with --long")
    case = Case(context, [secret(), git(), receiver()])
    first = case.server()
    wait_until(lambda: leads(first), 10, "the first leads")
    second = case.server()
    case.ready()
    first.signal(signal.SIGSTOP)
    wait_until(lambda: leads(second), 25, "the second leads")
    holder = leader(case)
    case.kube.apply(receiver(events=["push"]))
    case.ready()
    mark, before = len(first.log_text()), len(case.kube.writes_since())
    first.signal(signal.SIGCONT)
    wait_until(lambda: "this replica no longer writes status" in first.log_text()[mark:], 15, "the first knows that it leads no longer")
    case.kube.apply(receiver("later"))
    case.ready("later")
    expect(leader(case), holder, "the holder of the Lease")
    expect([w["name"] for w in case.writes_to("receivers", before)], ["later"] * 2, "writes to Receivers")


@test("cluster election: a leader that cannot reach the API server for longer than it may gives up, and comes back")
def cut_off(context):
    if not context.long:
        raise Skip("takes 30 s: run with --long")
    case = Case(context, [secret(), git(), receiver()])
    server = case.server()
    case.ready()
    case.kube.down()
    wait_until(lambda: "this replica no longer writes status" in server.log_text(), 20, "it gives up")
    expect(server.probe(flux_path()), 400, "a known route meanwhile")
    mark = len(server.log_text())
    case.kube.up()
    wait_until(lambda: leads(server, mark), 40, "it leads again")
    case.kube.apply(receiver("later"))
    case.ready("later", seconds=40)


@test("cluster election: --observe writes nothing at all, and serves")
def observes(context):
    case = Case(context, [secret(), git(), receiver(), hook(), git("hooked")])
    server = case.server("--observe")
    for path in (flux_path(), hook_path()):
        case.push(server, path)
    wait_until(lambda: server.metric("grapnel_trigger_owed_deliveries") == 0, 10, "nothing is owed")
    case.kube.apply(receiver("later"))
    case.status_becomes(server, flux_path("later"), 400, "a new Receiver")
    expect([w["path"] for w in case.kube.writes_since()], [], "writes")
