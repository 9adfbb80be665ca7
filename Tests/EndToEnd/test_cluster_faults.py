"""An API server that is away, starts, refuses, is slow or sends rubbish: what is known is served, nothing is lost."""
import contextlib
import json
import time

from clustercase import FLUX, HOOK, PUSH, TOKEN, Case, flux_path, git, hook, hook_path, receiver, secret
from fakekube import outcomes, settled
from harness import expect, expect_that, wait_until
from registry import test

NEXT = "n3xt-t0ken-a1b2c3d4e5f60718"
ONE_EACH = {"by": "none"}
RETRY = {"attempts": 50, "backoff": "100ms", "maxBackoff": "500ms", "maxAge": "1h"}


def steady(name="steady"):
    """A Hook whose every delivery is one write."""
    return hook(name, coalesce=ONE_EACH, retry=RETRY)


def start(context, **more):
    case = Case(context, [secret(), secret("turning"), git(), git("steady"), git("created"), receiver(), steady(),
                          receiver("goes"), receiver("sleeps"), receiver("turns", token="turning")], **more)
    server = case.server()
    for name in ("webapp", "goes", "sleeps", "turns"):
        case.ready(name)
    return case, server


def change(case):
    """What a team does meanwhile."""
    kube = case.kube
    kube.apply(receiver("created"))
    kube.remove(FLUX, "Receiver", "team-a", "goes")
    kube.apply(receiver("sleeps", suspend=True))
    kube.apply(secret("turning", NEXT))
    kube.apply(hook("created"))


def converges(case, server, seconds):
    """The routes are those of the objects, and the status says so."""
    began = time.monotonic()
    truth = [(flux_path("created"), 400, "created"), (flux_path("goes"), 404, "deleted"),
             (flux_path("sleeps"), 503, "suspended"), (flux_path("turns", NEXT), 400, "its token changed"),
             (hook_path("created"), 401, "a Hook, created"), (flux_path(), 400, "unchanged")]
    for path, status, what in truth:
        case.status_becomes(server, path, status, what, max(1, seconds - (time.monotonic() - began)))
    expect(server.is_ready(), True, "readiness afterwards")
    case.ready("created", seconds=seconds)
    case.ready("turns", path=flux_path("turns", NEXT), seconds=seconds)
    wait_until(lambda: case.receiver("goes") is None, seconds, "the finalizer of what was deleted is gone")
    wait_until(lambda: "out of step" not in server.admin("/readyz")[1].decode(), seconds, "nothing is out of step")
    return time.monotonic() - began


def check_deliveries(case, server, answers, before=0, seconds=30):
    """One write for each delivery, no more and no less."""
    settled(server, answers, seconds)
    expect(case.triggered(before), ["team-a/steady"] * len(answers), "writes of %d deliveries" % len(answers))


def disturbed(context, fault, seconds=20, known=True, **more):
    """Changes and deliveries while `fault(kube)` lasts; afterwards everything is as it should be."""
    case, server = start(context, **more)
    before, answers = len(case.kube.writes_since()), []
    send = lambda: answers.append(case.push(server, hook_path("steady")))
    send()
    with fault(case.kube):
        for _ in range(3):
            send()
        change(case)
        for _ in range(3):
            send()
        expect(server.probe(flux_path()), 400, "a known route meanwhile")
        expect(server.is_ready(), True, "readiness meanwhile")
    took = converges(case, server, seconds)
    send()
    check_deliveries(case, server, answers, before)
    return case, server, took


def attempts(kube, verb, resource):
    return [r for r in kube.reads if r[0] == verb and r[1].endswith("/" + resource)]


@test("cluster faults: down at the start: up but not ready, unknown paths 503; ready and served when it comes up")
def down_at_start(context):
    case = Case(context, [secret(), git(), git("hooked"), receiver(), hook()], down=True)
    server = case.server(start=False)
    server.start(ready=False)
    wait_until(lambda: server.admin("/healthz")[0] == 200, 10, "the server is up")
    wait_until(lambda: "connect" in server.admin("/readyz")[1].decode().lower(), 10, "/readyz says why")
    status, body = server.admin("/readyz")
    expect(status, 503, "/readyz")
    for path in (flux_path(), hook_path(), "/nothing"):
        answer = server.push(PUSH, path, TOKEN)
        expect(answer.status, 503, "a push to %s" % path[:20])
        expect_that(answer.field("Retry-After"), "503 without Retry-After")
    case.kube.up()
    wait_until(server.is_ready, 20, "ready after the API server came up")
    expect(server.probe("/nothing"), 404, "an unknown path")
    case.deliver(server, flux_path(), ["team-a/webapp"])
    case.deliver(server, hook_path(), ["team-a/hooked"])
    case.ready(seconds=25)


@test("cluster faults: SIGTERM while the API server was never there ends the server with status 0")
def stopped_while_down(context):
    case = Case(context, [secret(), receiver()], down=True)
    server = case.server("--shutdown-grace", "10m", start=False)
    server.start(ready=False)
    wait_until(lambda: "not listed yet" in server.admin("/readyz")[1].decode(), 10, "/readyz says what is waited for")
    server.stop()                   # by far sooner than --shutdown-grace


@test("cluster faults: down while running: known routes are served and stored, and each is acted on once it is back")
def down_while_running(context):
    case, server = start(context)
    before, answers = len(case.kube.writes_since()), []
    send = lambda: answers.append(case.push(server, hook_path("steady")))
    case.kube.down()
    for _ in range(5):
        send()
    expect(server.push(PUSH, hook_path("steady"), NEXT).status, 401, "a wrong signature meanwhile")
    expect(server.probe("/hooks/team-a/nothing"), 404, "an unknown path meanwhile")
    expect(server.is_ready(), True, "readiness meanwhile")
    wait_until(lambda: "out of step" in server.admin("/readyz")[1].decode(), 10, "/readyz says what is out of step")
    expect(case.triggered(before), [], "writes meanwhile")
    change(case)
    case.kube.up()
    send()
    took = converges(case, server, 40)
    check_deliveries(case, server, answers, before)
    print("     API server back: in step after %.1f s" % took, flush=True)


@test("cluster faults: killed with owed deliveries while the API server is down: they are acted on when it is back")
def killed_meanwhile(context):
    case, server = start(context)
    before = len(case.kube.writes_since())
    case.kube.down()
    answers = [case.push(server, hook_path("steady")) for _ in range(4)]
    server.kill()
    server.start(ready=False)
    wait_until(lambda: server.admin("/readyz")[0] == 503, 10, "up and not ready")
    expect(server.push(PUSH, hook_path("steady"), TOKEN).status, 503, "a push before anything is known")
    case.kube.up()
    wait_until(server.is_ready, 20, "ready again")
    answers.append(case.push(server, hook_path("steady")))
    check_deliveries(case, server, answers, before)


@test("cluster faults: a Hook that is gone after a kill and a restart: what has no plan is ignored, and nothing is owed")
def killed_and_gone(context):
    case, server = start(context)
    before = len(case.kube.writes_since())
    case.kube.down()
    answers = [case.push(server, hook_path("steady")) for _ in range(3)]
    server.kill()
    case.kube.remove(HOOK, "Hook", "team-a", "steady")
    case.kube.up()
    server.start()
    settled(server, answers)
    ends = {o["sequence"]: (o["code"], o.get("reason")) for o in outcomes(server)}
    done = sum(ends[str(a.sequence)][0] == "done" for a in answers)
    allowed = {("done", None), ("merged", None), ("ignored", "route-removed")}
    expect({ends[str(a.sequence)] for a in answers} - allowed, set(), "outcomes")
    expect(case.triggered(before), ["team-a/steady"] * done, "writes of those that were planned before the kill")
    expect(server.push(PUSH, hook_path("steady"), TOKEN).status, 404, "the Hook that is gone")


def starting(*phases):
    """As an API server comes up: 403 while RBAC's caches fill, 404 until the CRDs are loaded; all watches have ended."""
    @contextlib.contextmanager
    def fault(kube):
        phase(kube, phases[0])
        kube.end_watches()
        wait_until(lambda: not kube.open_watches(), 5, "the watches have ended")
        yield
        for status in phases[1:]:
            wait_until(lambda: kube.refused >= 25, 8, "calls that are answered %d" % kube.starting)
            phase(kube, status)
        wait_until(lambda: kube.refused >= 15, 8, "calls that are answered %d" % kube.starting)
        kube.starting = None
    return fault


def phase(kube, status):
    kube.starting, kube.refused = status, 0


@test("cluster faults: an API server that restarts with 403, 404, 403 again and 401 costs no route")
def restart(context):
    disturbed(context, starting(403, 404, 403, 401), 40)


@contextlib.contextmanager
def compacted(kube):
    """The watches end, what happens meanwhile is compacted away, and the first watches get a 410."""
    kube.faults = [{"verb": "watch", "resource": "*", "status": 503, "times": -1}]
    kube.end_watches()
    wait_until(lambda: not kube.open_watches(), 5, "the watches have ended")
    yield
    kube.compact()
    kube.faults = [{"verb": "list", "resource": "*", "status": 410, "times": 3}]


@test("cluster faults: 410 to watches and lists, as an answer and as an event: what was missed is listed")
def gone(context):
    case, server, _ = disturbed(context, compacted)
    lists = len(attempts(case.kube, "list", "hooks"))
    case.kube.compact()                                             # the watches that are open get it as an event
    case.kube.apply(hook("later"))
    case.status_becomes(server, hook_path("later"), 401, "created after the 410", 10)
    wait_until(lambda: len(attempts(case.kube, "list", "hooks")) > lists, 10, "another list")


def failing(status, **more):
    @contextlib.contextmanager
    def fault(kube):
        kube.faults = [dict({"verb": verb, "resource": "*", "status": status, "times": 1_000, "given": 1_000}, **more)
                       for verb in ("watch", "patch", "update", "create", "list", "get")]
        kube.end_watches()
        wait_until(lambda: not kube.open_watches(), 5, "the watches have ended")
        yield
        met(kube, "watch", "patch")
    return fault


def met(kube, *verbs):
    """Ends all faults, when each of these verbs met one."""
    wait_until(lambda: all(any(f["verb"] == v and f["times"] < f["given"] for f in kube.faults) for v in verbs), 10,
               "calls that meet the fault: %s" % ", ".join(verbs))
    kube.faults = []


@test("cluster faults: 429 with Retry-After to lists, watches and writes")
def throttled(context):
    disturbed(context, failing(429, retryAfter=1), 30)


@test("cluster faults: 500 to lists, watches and writes")
def broken(context):
    disturbed(context, failing(500), 30)


RUBBISH = [b"", b"\x00\xff\xfe", b"<html>busy</html>", b'{"items": [{"metadata": {"name": "x"', b"[]", b"null", b'"text"',
           b'{"items": 5, "metadata": {}}', b'{"metadata": {"resourceVersion": "5"}}', b"{" * 50_000, b"[" * 50_000,
           b'{"items": [' + b'{"a":' * 20_000]


@contextlib.contextmanager
def rubbish_lists(kube):
    kube.faults = [{"verb": "list", "resource": "*", "body": body, "times": 4, "given": 4} for body in RUBBISH]
    kube.compact()
    yield
    met(kube, "list")


@test("cluster faults: lists of rubbish are refused as a whole, and known routes stay")
def garbage_lists(context):
    disturbed(context, rubbish_lists, 60)


@test("cluster faults: rubbish among the objects of a list costs nobody else")
def garbage_objects(context):
    good = [secret(), git(), receiver(), hook(), git("hooked")]
    case = Case(context, good)
    kube = case.kube
    rubbish = [None, 5, "text", [], {}, {"metadata": None}, {"metadata": {"name": 7}}, {"metadata": {"name": ""}},
               {"metadata": {"name": "a", "namespace": {}}}, {"metadata": {"name": "b", "namespace": "team-a"}},
               {"metadata": {"name": "c", "namespace": "team-a"}, "spec": []},
               {"metadata": {"name": "d", "namespace": "team-a", "annotations": 5, "finalizers": {}, "generation": "x",
                             "managedFields": "x", "deletionTimestamp": []}, "spec": {"type": "github", "resources": {}}},
               {"metadata": {"name": "e" * 70_000, "namespace": "team-a"}, "spec": {"type": 5}, "status": "x"}]
    for plural in ("receivers", "hooks", "gitrepositories", "buildconfigs", "s2ibuilders", "clusterstacks"):
        with kube.changed:
            own = [o for o in kube.all(plural)]
        body = json.dumps({"metadata": {"resourceVersion": "1000"}, "items": rubbish[:7] + own + rubbish[7:]}).encode()
        kube.faults.append({"verb": "list", "resource": plural, "body": body, "times": -1})
    server = case.server()
    expect((server.probe(flux_path()), server.probe(hook_path())), (400, 401), "the good objects among the rubbish")
    case.deliver(server, flux_path(), ["team-a/webapp"])


LINES = [b"this is no JSON\n", b'{"type":"MODIFIED","object":null}\n', b'{"type":"ADDED","object":{"metadata":{"name":5}}}\n',
         b'{"type":"NEW","object":{}}\n', b"\xff\xfe\x00\n", b"\n", b"\r\n\n\n", b'{"type":"ERROR","object":{}}\n',
         b'{"type":"DELETED","object":{"metadata":{}}}\n', b"[" * 60_000 + b"\n",
         b'{"type":"ERROR","object":{"kind":"Status","code":500,"reason":"InternalError","message":"etcd"}}\n']


@test("cluster faults: rubbish in watch lines is refused, and what follows is seen")
def garbage_lines(context):
    case, server = start(context)
    kube, before = case.kube, len(case.kube.writes_since())
    answers = []
    for i, line in enumerate(LINES):
        kube.inject(("receivers", "hooks", "secrets")[i % 3], line)
        name = "after-%d" % i
        kube.apply(receiver(name))
        kube.apply(hook(name))
        case.status_becomes(server, flux_path(name), 400, "a Receiver after the line %r" % line[:40], 20)
        case.status_becomes(server, hook_path(name), 401, "a Hook after the line %r" % line[:40], 20)
        expect(server.probe(flux_path()), 400, "a known route after it")
        answers.append(case.push(server, hook_path("steady")))
    change(case)
    converges(case, server, 20)
    check_deliveries(case, server, answers, before)


@contextlib.contextmanager
def cutting(kube):
    """Every watch is cut in the middle of a line, three times, with the changes between the cuts."""
    kube.cut_watches()
    wait_until(lambda: kube.open_watches("hooks") and kube.open_watches("receivers"), 10, "the watches are back")
    kube.cut_watches()
    yield
    kube.cut_watches()


@test("cluster faults: watches that are cut in mid-line go on where they were, without a list")
def cut(context):
    case, server = start(context)
    lists = len(attempts(case.kube, "list", "hooks"))
    before, answers = len(case.kube.writes_since()), []
    with cutting(case.kube):
        answers += [case.push(server, hook_path("steady")) for _ in range(3)]
        change(case)
    converges(case, server, 20)
    answers.append(case.push(server, hook_path("steady")))
    check_deliveries(case, server, answers, before)
    expect(len(attempts(case.kube, "list", "hooks")), lists, "lists of Hooks: a watch that is cut is opened again")


@test("cluster faults: watches that the API server ends every second lose nothing")
def short_watches(context):
    case = Case(context, [secret(), git(), receiver()])
    case.kube.watch_seconds = 1
    server = case.server()
    for i in range(6):
        name = "r%d" % i
        opened = case.kube.watch_count
        case.kube.apply(receiver(name))
        case.status_becomes(server, flux_path(name), 400, "a Receiver while watches come and go", 5)
        case.kube.remove(FLUX, "Receiver", "team-a", name)
        case.status_becomes(server, flux_path(name), 404, "its deletion", 5)
        wait_until(lambda: case.kube.watch_count > opened, 10, "watches come and go")
    case.deliver(server, flux_path(), ["team-a/webapp"])


@test("cluster faults: an API server that answers 2 s late slows the start, and no delivery")
def slow(context):
    case = Case(context, [secret(), git(), git("steady"), receiver(), steady()])
    case.kube.delay = 2
    server = case.server(start=False)
    began = time.monotonic()
    server.start()
    ready = time.monotonic() - began
    answers, times = [], []
    before = len(case.kube.writes_since())

    def is_sooner():
        """What is answered sooner than the API server answers has not waited for it."""
        at = time.monotonic()
        answers.append(case.push(server, hook_path("steady")))
        times.append(time.monotonic() - at)
        return times[-1] < case.kube.delay
    for _ in range(2):
        wait_until(is_sooner, 10, "an answer that does not wait for the API server")
    check_deliveries(case, server, answers, before, 40)
    case.ready(seconds=30)
    print("     API server 2 s late: ready after %.1f s, answers within %.0f ms" % (ready, 1e3 * max(times)), flush=True)
