"""The end of a server: what was begun is finished, nothing is reset, what stays owed is carried out later."""
import signal
import socket
import threading
import time

from harness import (Closed, Connection, Failure, Marker, delivery_id, expect, expect_that, github, padded_push,
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
                connection = Connection(self.port, 10)
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
        server = context.server(plain_hook(), loops=loops)
        body = payload("github-push.json")
        senders = [Sender(server.port, body) for _ in range(32)]
        for sender in senders:
            sender.start()
        time.sleep(1)
        began = time.monotonic()
        server.stop(8)
        took = time.monotonic() - began
        for sender in senders:
            sender.ending.set()
        for sender in senders:
            sender.join(15)
        problems = [p for s in senders for p in s.problems]
        count = sum(len(s.acknowledged) for s in senders)
        expect_that(not problems, "%d lost or refused of %d (%d loops): %s" % (
            len(problems), count, loops, "; ".join(problems[:5])))
        expect_that(count > 200, "only %d deliveries" % count)
        expect_that(took < 5, "the end took %.1f s" % took)


@test("SIGTERM: readiness fails at once, accepting goes on for --shutdown-delay")
def shutdown_delay(context):
    server = context.server(plain_hook(), flags=["--shutdown-delay", "2s"])
    server.signal(signal.SIGTERM)
    wait_until(lambda: server.admin("/readyz")[0] == 503, 1, "/readyz fails")
    answer = server.push()
    expect((answer.status, (answer.field("Connection") or "").lower()), (200, "close"), "a new connection meanwhile")
    began = time.monotonic()
    expect(server.process.wait(8), 0, "exit status")
    expect_that(time.monotonic() - began > 0.8, "it ended too early")


@test("SIGTERM: a request whose first bytes came is finished; idle connections are closed")
def begun_requests(context):
    server = context.server(plain_hook())
    body = padded_push(20_000)
    data = request(PATH, body, github(body))
    idle, kept, begun, half = (server.connect() for _ in range(4))
    expect(kept.exchange(data).status, 200, "a first request")
    begun.send(data[:30])
    half.send(data[:10_000])
    time.sleep(0.2)
    server.signal(signal.SIGTERM)
    time.sleep(0.3)
    begun.send(data[30:])
    half.send(data[10_000:])
    for what, connection in (("begun with 30 bytes", begun), ("begun with half the body", half)):
        answer = connection.answer()
        expect((answer.status, (answer.field("Connection") or "").lower()), (200, "close"), what)
        expect_that(connection.is_closed(), what + ": not closed")
    for what, connection in (("idle", idle), ("kept", kept)):
        rest, closed = read_all(connection.socket, 5)
        expect((rest, closed), (b"", True), what)
    expect(server.process.wait(8), 0, "exit status")


@test("a request that never comes to its end does not hold up the shutdown beyond the grace")
def stuck_request(context):
    server = context.server(plain_hook(), flags=["--shutdown-grace", "1s"])
    connection = server.connect()
    connection.send(request(PATH, b"", github(b"") + [("Content-Length", "1000")], length=False) + b"{")
    time.sleep(0.2)
    began = time.monotonic()
    server.stop(6)
    expect_that(time.monotonic() - began < 4, "the end took %.1f s with a grace of 1 s" % (time.monotonic() - began))
    connection.close()


@test("an action that outlives the grace stays owed and runs after the restart")
def owed_action(context):
    sink = context.sink(status=503)
    marker = Marker(context.folder)
    server = context.server(plain_hook(
        actions='\n  - http: {url: "%s", timeout: 2s}%s' % (sink.url, marker.action),
        more="retry: {attempts: 10, backoff: 200ms, maxBackoff: 1s}"), flags=["--allow-exec"])
    bodies = [padded_push(1000, "owed %d" % i) for i in range(10)]
    for body in bodies:
        expect(server.push(body).status, 200, "status")
    wait_until(lambda: len(marker.runs()) >= 10 and sink.seen(), 20, "the exec actions, and attempts at the http ones")
    time.sleep(1.3)
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
    expect(server.process.wait(8), 0, "exit status")
    server = context.server(plain_hook())
    server.signal(signal.SIGINT)
    expect(server.process.wait(8), 0, "exit status after SIGINT")
