"""The end of a server: what was begun is finished, nothing is reset, what stays owed is carried out later."""
import signal
import socket
import threading
import time

from apikit import Api
from harness import (LONG_LIMITS, PATIENCE, Closed, Connection, Marker, delivery_id, expect, expect_that, github, padded_push,
                     payload, plain_hook, read_all, request, wait_until)
from registry import test

PATH = "/hooks/team-a/webapp"


class Sender(threading.Thread):
    """One client that goes on until the server stops answering; a lost answer or a reset is a problem.

    One thing is not: a kept connection that was idle in the server's eyes may be closed while the next request is on its
    way (RFC 9112 section 9.5). Senders repeat such a request; it is counted as `crossed`.
    """

    def __init__(self, port, body):
        super().__init__(daemon=True)
        self.port, self.body, self.acknowledged, self.problems, self.crossed = port, body, [], [], 0
        self.ending = threading.Event()

    def run(self):
        while not self.ending.is_set():
            try:
                connection = Connection(self.port)
            except ConnectionRefusedError:
                return                              # the listener is closed: the end
            except OSError as error:
                self.problems.append("connect: %r" % error)
                return
            with connection:
                kept = False
                while not self.ending.is_set():
                    one = delivery_id()
                    data = request(PATH, self.body, github(self.body, delivery=one))
                    try:
                        connection.socket.sendall(data)
                        answer = connection.answer()
                    except (Closed, ConnectionError, TimeoutError) as error:
                        if kept and not connection.buffer and "nothing more came" not in str(error):
                            self.crossed += 1
                        else:
                            self.problems.append("%s: %s" % (one, error or type(error).__name__))
                        break
                    kept = True
                    if answer.status == 200:
                        self.acknowledged.append(one)
                    else:
                        self.problems.append("%s: status %d" % (one, answer.status))
                    if (answer.field("Connection") or "").lower() == "close":
                        expect_that(connection.is_closed(), "open after Connection: close")
                        break


@test("SIGTERM under load: every request that was begun is answered, nothing is reset, exit 0", alone=True)
def under_load(context):
    for loops in (1, 2):
        # Far more grace than it may take: it ends when all is answered, and not because time is over.
        server = context.server(plain_hook(), loops=loops, flags=["--shutdown-grace", "10m"])
        body = payload("github-push.json")
        senders = [Sender(server.port, body) for _ in range(32)]
        for sender in senders:
            sender.start()
        count = lambda: sum(len(s.acknowledged) for s in senders)
        wait_until(lambda: count() > 400, 30, "the load has begun")
        server.stop()
        for sender in senders:
            sender.ending.set()
        for sender in senders:
            sender.join(PATIENCE)
        problems = [p for s in senders for p in s.problems]
        expect_that(not problems, "%d lost or refused of %d (%d loops): %s" % (
            len(problems), count(), loops, "; ".join(problems[:5])))


@test("SIGTERM: readiness fails at once, accepting goes on for --shutdown-delay")
def shutdown_delay(context):
    server = context.server(plain_hook(), flags=["--shutdown-delay", "10m"])
    server.signal(signal.SIGTERM)
    # Within the delay: afterwards nobody would answer.
    wait_until(lambda: server.admin("/readyz")[0] == 503, 1, "/readyz fails")
    answer = server.push()
    expect((answer.status, (answer.field("Connection") or "").lower()), (200, "close"), "a new connection meanwhile")
    server.kill()
    server = context.server(plain_hook(), flags=["--shutdown-delay", "2s"])
    began = time.monotonic()
    server.signal(signal.SIGTERM)
    expect(server.process.wait(PATIENCE), 0, "exit status")
    expect_that(time.monotonic() - began > 1.9, "it ended too early")


@test("SIGTERM: a request whose first bytes came is finished; idle connections are closed")
def begun_requests(context):
    server = context.server(plain_hook(), flags=["--shutdown-grace", "10m"] + LONG_LIMITS)
    body = padded_push(20_000)
    data = request(PATH, body, github(body))
    idle, kept, begun, half = (server.connect() for _ in range(4))
    expect(kept.exchange(data).status, 200, "a first request")
    begun.send(data[:30])
    half.send(data[:10_000])
    expect(kept.exchange(data).status, 200, "behind what the others sent: that was read")
    server.signal(signal.SIGTERM)
    wait_until(lambda: not server.accepts(), 10, "the listener is closed")
    begun.send(data[30:])
    half.send(data[10_000:])
    for what, connection in (("begun with 30 bytes", begun), ("begun with half the body", half)):
        answer = connection.answer()
        expect((answer.status, (answer.field("Connection") or "").lower()), (200, "close"), what)
        expect_that(connection.is_closed(), what + ": not closed")
    for what, connection in (("idle", idle), ("kept", kept)):
        rest, closed = read_all(connection.socket)
        expect((rest, closed), (b"", True), what)
    expect(server.process.wait(PATIENCE), 0, "exit status")


@test("a request that never comes to its end does not hold up the shutdown beyond the grace")
def stuck_request(context):
    server = context.server(plain_hook(), flags=["--shutdown-grace", "1s"] + LONG_LIMITS)
    connection = server.connect()
    connection.send(request(PATH, b"", github(b"") + [("Content-Length", "1000"), ("Expect", "100-continue")], length=False))
    expect(connection.answer(interim=True).status, 100, "the request has begun")
    server.stop()                   # nothing but the grace ends the request so soon
    connection.close()


@test("an action that outlives the grace stays owed and runs after the restart")
def owed_action(context):
    sink = context.sink(status=503)
    marker = Marker(context.folder)
    server = context.server(plain_hook(
        actions='\n  - http: {url: "%s", timeout: 60s}%s' % (sink.url, marker.action),
        more="retry: {attempts: 10, backoff: 200ms, maxBackoff: 1s}"), flags=["--allow-exec"])
    bodies = [padded_push(1000, "owed %d" % i) for i in range(10)]
    sequences = [server.push(body).sequence for body in bodies]
    expect_that(None not in sequences, "not all were accepted: %r" % sequences)
    wait_until(lambda: len(marker.runs()) >= 10 and sink.seen(), 20, "the exec actions, and attempts at the http ones")
    api = Api(server)
    wait_until(lambda: all([p["outcome"] for p in api.get("/deliveries/%d" % s)[1]["plan"] or []][1:] == ["done"]
                           for s in sequences), 20, "the exec actions are done")
    server.stop()
    sink.status = 200
    server.start()
    wait_until(lambda: {b for _, b, s in sink.seen(200)} >= set(bodies), 20, "the http actions after the restart")
    time.sleep(1)
    expect(len(marker.runs()), 10, "exec runs: those that were done are not done again")
    expect(len(sink.seen(200)), 10, "successful calls")


@test("a second SIGTERM or SIGINT does no harm")
def repeated_signals(context):
    server = context.server(plain_hook())
    expect(server.push().status, 200, "status")
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
        try:
            server.signal(number)
        except ProcessLookupError:
            break
    expect(server.process.wait(PATIENCE), 0, "exit status")
    server = context.server(plain_hook())
    server.signal(signal.SIGINT)
    expect(server.process.wait(PATIENCE), 0, "exit status after SIGINT")
