"""Whose the status of Receivers is with --receiver-status auto: beside a living notification-controller we only read."""
import time

from clustercase import FINALIZER, Case, Renewing, flux_path, git, hook, lease, receiver, secret, written_by
from harness import expect, expect_soon, wait_until
from registry import test

OURS = "the status of Receivers is written by this server"
THEIRS = "the status of Receivers is read, not written"
GIVEN = "/hook/" + "c" * 64


def told():
    return {"webhookPath": GIVEN, "observedGeneration": 1, "conditions": [
        {"type": "Ready", "status": "True", "reason": "Succeeded", "message": "", "observedGeneration": 1,
         "lastTransitionTime": "2026-01-01T00:00:00Z"}]}


def check_read_only(case, server):
    """The Receiver is served as its status says, and nothing is written to it."""
    wait_until(lambda: THEIRS in server.log_text(), 5, "the log says whose the status is")
    case.status_becomes(server, GIVEN, 400, "the path of its status")
    expect(server.probe(flux_path()), 404, "the path that the token makes")
    case.deliver(server, GIVEN, ["team-a/webapp"])
    case.condition(case.hook, "Ready", "True", "Succeeded", 10)        # Hooks are ours all the same
    expect(case.writes_to("receivers"), [], "writes to Receivers")


def check_ours(case, server, seconds=10):
    case.ready(seconds=seconds)
    expect_soon(lambda: OURS in server.log_text(), True, "the log says whose the status is")
    expect(case.receiver()["metadata"]["finalizers"], [FINALIZER], "finalizers")
    case.status_becomes(server, flux_path(), 400, "the path that the token makes")
    expect(server.probe(GIVEN), 404, "the path of the old status")


def start(context, *objects, manager="notification-controller", fault=None):
    case = Case(context, [secret(), git(), hook(), git("hooked"), written_by(receiver(status=told()), manager), *objects])
    if fault:
        case.kube.faults = [dict({"verb": "get", "resource": "leases", "namespace": "flux-system", "times": -1}, **fault)]
    return case


@test("cluster owner: beside a notification-controller that renews its Lease nothing is written to Receivers")
def renewed(context):
    case = start(context)
    renewing = Renewing(case.kube)
    context.closers.append(renewing.stop)
    check_read_only(case, case.server(status="auto"))


@test("cluster owner: a controller that stops is noticed while we run, and one that comes back is too")
def stops_and_returns(context):
    # Renewed 30 s ago: it may live, and half a minute later it cannot. Renewed 600 s ago: it is gone, until it renews again.
    ending, gone = start(context), start(context, lease(time.time() - 600))
    ending.kube.put(lease(time.time() - 30))
    ending_server = ending.server(status="auto")
    check_read_only(ending, ending_server)
    gone_server = gone.server(status="auto")
    check_ours(gone, gone_server)
    renewing = Renewing(gone.kube)
    context.closers.append(renewing.stop)
    wait_until(lambda: OURS in ending_server.log_text(), 120, "the Receivers are ours")
    check_ours(ending, ending_server)
    wait_until(lambda: THEIRS in gone_server.log_text(), 25, "the Receivers are the controller's again")
    before = len(gone.kube.writes_since())
    gone.kube.put(written_by(receiver(status=told()), "notification-controller"))
    gone.status_becomes(gone_server, GIVEN, 400, "the path of its status")
    expect(gone.writes_to("receivers", before), [], "writes to Receivers")
    if context.long:
        renewing.stop()
        ours = gone_server.log_text().count(OURS)
        wait_until(lambda: gone_server.log_text().count(OURS) > ours, 95, "ours after 60 s without a renewal")
        check_ours(gone, gone_server)


@test("cluster owner: without a Lease of notification-controller the Receivers are ours")
def absent(context):
    case = start(context)
    check_ours(case, case.server(status="auto"))


@test("cluster owner: a Lease without a holder is nobody's")
def released(context):
    case = start(context, lease(None, holder=""))
    check_ours(case, case.server(status="auto"))


@test("cluster owner: --flux-namespace says where the Lease is")
def elsewhere(context):
    case = start(context)
    context.closers.append(Renewing(case.kube, namespace="gitops").stop)
    check_read_only(case, case.server("--flux-namespace", "gitops", status="auto"))


@test("cluster owner: an unreadable Lease, and notification-controller wrote a status: nothing is written")
def forbidden_known(context):
    case = start(context, fault={"status": 403})
    check_read_only(case, case.server(status="auto"))


@test("cluster owner: an unreadable Lease, and nobody else wrote a status: the Receivers are ours")
def forbidden_unknown(context):
    case = start(context, manager="grapnel", fault={"status": 403})
    check_ours(case, case.server(status="auto"))


@test("cluster owner: auto is what happens without the flag")
def default(context):
    case = start(context)
    context.closers.append(Renewing(case.kube).stop)
    check_read_only(case, case.server(status=None))
