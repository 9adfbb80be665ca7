"""The admin listener: health, readiness, figures."""
import re
import shutil
import subprocess

from harness import Skip, expect, expect_that, hook, plain_hook, request, wait_until
from registry import test


@test("health, readiness and figures are served on the admin listener only")
def endpoints(context):
    server = context.server(plain_hook())
    for path in ("/healthz", "/readyz", "/metrics"):
        expect(server.admin(path)[0], 200, path)
        with server.connect() as connection:
            expect(connection.exchange(request(path, method="GET", length=False), "GET").status in (404, 405), True,
                   path + " on the public listener")
    expect(server.admin("/nothing")[0], 404, "an unknown path")
    for garbage in (b"\x16\x03\x01\x02\x00\x01", b"GET /metrics\r\n\r\n", b"A" * 100_000):
        from harness import Connection, read_all
        with Connection(server.admin_port) as connection:
            connection.send(garbage)
            try:
                connection.socket.shutdown(1)
            except OSError:
                pass
            read_all(connection.socket)
    expect(server.admin("/healthz")[0], 200, "/healthz after garbage")


@test("promtool finds nothing to say about the figures")
def promtool(context):
    program = shutil.which("promtool")
    if not program:
        raise Skip("promtool is not installed (make deps)")
    server = context.server(plain_hook(actions="[{log: {}}]", events=["push"]), loops=2)
    server.push()
    server.push(token="wrong")
    server.push(event="issues")
    server.push(path="/nowhere")
    status, body = server.admin("/metrics")
    expect(status, 200, "/metrics")
    result = subprocess.run([program, "check", "metrics"], input=body, capture_output=True)
    expect((result.returncode, result.stdout + result.stderr), (0, b""), "promtool check metrics")


@test("every figure has HELP and TYPE, and names only closed sets")
def figures(context):
    server = context.server(plain_hook(actions="[{log: {}}]"))
    server.push(delivery="not-a-label-0001")
    server.push(token="wrong")
    server.push(path="/not-a-label-0002")
    wait_until(lambda: server.metric("grapnel_journal_records_total") >= 1, 5, "a record")
    text = server.admin("/metrics")[1].decode()
    names = {re.match(r"[a-zA-Z_:][\w:]*", line).group(0) for line in text.splitlines()
             if line and not line.startswith("#")}
    families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    helped = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP ")}
    expect(families - helped, set(), "families without HELP")
    stray = {n for n in names if n not in families and re.sub(r"_(bucket|sum|count)$", "", n) not in families}
    expect(stray, set(), "figures without TYPE")
    for mark in ("not-a-label-0001", "not-a-label-0002", "127.0.0.1"):
        expect_that(mark not in text, "%s became a label" % mark)
    for subject in ("requests", "verif", "journal_records", "journal_sync", "ring", "trigger", "connections", "memory"):
        expect_that(any(subject in name for name in names), "no figure about %s in %r" % (subject, sorted(names)))


@test("the figures count what happened")
def counts(context):
    server = context.server(plain_hook(actions="[]"), loops=1)
    before = server.metrics()
    for _ in range(7):
        server.push()
    for _ in range(5):
        server.push(token="wrong")
    for _ in range(3):
        server.push(path="/nowhere")
    grown = {}
    for name, value in server.metrics().items():
        if value != before.get(name, 0):
            grown[name] = value - before.get(name, 0)
    expect(sum(v for k, v in grown.items() if k.startswith("grapnel_journal_records_total") and "delivery" in k), 7,
           "records of deliveries in %r" % grown)
    expect(sum(v for k, v in grown.items() if 'code="401"' in k), 5, "answers 401 in %r" % grown)
    expect(sum(v for k, v in grown.items() if 'code="404"' in k), 3, "answers 404 in %r" % grown)
