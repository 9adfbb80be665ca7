"""HTTP/1.1 on raw sockets: what is refused and how, limits, deadlines, order of answers.

The parser's own tests cover the grammar; these show that the running server does with each verdict what it must: the
status, the end of the connection, and that nothing behind a refused request is looked at.
"""
import random
import select
import socket
import threading
import time

from harness import (LONG_LIMITS, TOKEN, Closed, Connection, Failure, chunked, delivery_id, expect, expect_in, expect_that, github,
                     hook, padded_push, payload, plain_hook, read_all, request, secret, sign, wait_until)
from registry import test

PATH = "/hooks/team-a/webapp"
BODY = b'{"ref":"refs/heads/main"}'


def good(**more):
    """A good delivery's bytes."""
    return request(PATH, BODY, github(BODY), **more)


def fields(*pairs, body=BODY):
    """The head of a good delivery without framing, and the given pairs behind it."""
    return request(PATH, b"", github(body) + list(pairs), length=False)


SMUGGLED = request("/hooks/team-a/webapp", BODY, github(BODY))

# (what, bytes, statuses). Each closes the connection, and what follows in the same packet is never answered.
REFUSED = [
    ("Content-Length with Transfer-Encoding",
     fields(("Content-Length", "4"), ("Transfer-Encoding", "chunked")) + chunked(BODY), {400}),
    ("Transfer-Encoding with Content-Length",
     fields(("Transfer-Encoding", "chunked"), ("Content-Length", "4")) + chunked(BODY), {400}),
    ("two equal Content-Lengths", fields(("Content-Length", "25"), ("Content-Length", "25")) + BODY, {400}),
    ("two different Content-Lengths", fields(("Content-Length", "25"), ("Content-Length", "0")) + BODY, {400}),
    ("a list in Content-Length", fields(("Content-Length", "25, 25")) + BODY, {400}),
    ("a signed Content-Length", fields(("Content-Length", "+25")) + BODY, {400}),
    ("a negative Content-Length", fields(("Content-Length", "-1")) + BODY, {400}),
    ("a hexadecimal Content-Length", fields(("Content-Length", "0x19")) + BODY, {400}),
    ("an empty Content-Length", fields(("Content-Length", "")) + BODY, {400}),
    ("a Content-Length of 20 digits", fields(("Content-Length", "18446744073709551616")) + BODY, {400}),
    ("an unknown transfer coding", fields(("Transfer-Encoding", "gzip")) + BODY, {501}),
    ("a transfer coding before chunked", fields(("Transfer-Encoding", "gzip, chunked")) + chunked(BODY), {501}),
    ("chunked twice", fields(("Transfer-Encoding", "chunked, chunked")) + chunked(BODY), {400, 501}),
    ("two Transfer-Encodings",
     fields(("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")) + chunked(BODY), {400}),
    ("chunked spelled wrong", fields(("Transfer-Encoding", "xchunked")) + chunked(BODY), {501}),
    ("Transfer-Encoding in HTTP/1.0",
     request(PATH, b"", github(BODY) + [("Transfer-Encoding", "chunked")], version="HTTP/1.0", length=False)
     + chunked(BODY), {400}),
    ("a vertical tab before chunked", fields(("Transfer-Encoding", "\x0bchunked")) + chunked(BODY), {400, 501}),
    ("lines that end in LF", good().replace(b"\r\n", b"\n"), {400}),
    ("one field line that ends in LF", good().replace(b"Accept: */*\r\n", b"Accept: */*\n"), {400}),
    ("a bare CR in a value", good().replace(b"Accept: */*", b"Accept: a\rb"), {400}),
    ("a NUL in a value", good().replace(b"Accept: */*", b"Accept: a\x00b"), {400}),
    ("a folded line", good().replace(b"Accept: */*", b"Accept: a\r\n b"), {400}),
    ("a blank before the colon", good().replace(b"Accept:", b"Accept :"), {400}),
    ("a name that is no token", good().replace(b"Accept:", b"Acc(ept:"), {400}),
    ("an empty name", good().replace(b"Accept:", b":"), {400}),
    ("a line without a colon", good().replace(b"Accept: */*", b"Accept"), {400}),
    ("a blank before the first field", good().replace(b"Host:", b" Host:"), {400}),
    ("no Host", good(host=None), {400}),
    ("two Hosts", request(PATH, BODY, [("Host", "hooks.example.com")] + github(BODY)), {400}),
    ("a Host with a port above 65535", good(host="hooks.example.com:65536"), {400}),
    ("a Host with a blank", good(host="hooks example.com"), {400}),
    ("a Host with a path", good(host="hooks.example.com/x"), {400}),
    ("HTTP/2.0", good(version="HTTP/2.0"), {505}),
    ("HTTP/1.2", good(version="HTTP/1.2"), {505}),
    ("a version in lower case", good(version="http/1.1"), {400}),
    ("a version with trailing digits", good(version="HTTP/1.10"), {400, 505}),
    ("two blanks in the request line", good().replace(b"POST /", b"POST  /", 1), {400}),
    ("a tab in the request line", good().replace(b"POST /", b"POST\t/", 1), {400}),
    ("no version", b"POST /hooks/team-a/webapp\r\nHost: a\r\n\r\n", {400}),
    ("a target with a fragment", request(PATH + "#x", BODY, github(BODY)), {400}),
    ("a target with a quote", request(PATH + '"', BODY, github(BODY)), {400}),
    ("a target with a backslash", request(PATH + "\\", BODY, github(BODY)), {400}),
    ("a target with bytes above ASCII", request(PATH + "\xe4", BODY, github(BODY)), {400}),
    ("a target without a slash", request("hooks/team-a/webapp", BODY, github(BODY)), {400}),
    ("an asterisk with POST", request("*", BODY, github(BODY)), {400}),
    ("CONNECT", request("hooks.example.com:443", b"", [], method="CONNECT"), {400, 405, 501}),
    ("TRACE", request(PATH, b"", [], method="TRACE", length=False), {400, 405, 501}),
    ("a method that is no token", request(PATH, BODY, github(BODY), method="PO(ST"), {400}),
    ("two leading empty lines", b"\r\n\r\n" + good(), {400}),
    ("a leading LF", b"\n" + good(), {400}),
    ("an empty chunk size", fields(("Transfer-Encoding", "chunked")) + b"\r\n" + BODY + b"\r\n0\r\n\r\n", {400}),
    ("a chunk size with 0x", fields(("Transfer-Encoding", "chunked")) + b"0x19\r\n" + BODY + b"\r\n0\r\n\r\n", {400}),
    ("a chunk size with a sign", fields(("Transfer-Encoding", "chunked")) + b"+19\r\n" + BODY + b"\r\n0\r\n\r\n", {400}),
    ("a blank behind the chunk size",
     fields(("Transfer-Encoding", "chunked")) + b"19 \r\n" + BODY + b"\r\n0\r\n\r\n", {400}),
    ("a chunk size of 17 digits",
     fields(("Transfer-Encoding", "chunked")) + b"00000000000000019\r\n" + BODY + b"\r\n0\r\n\r\n", {400}),
    ("a chunk size that would overflow",
     fields(("Transfer-Encoding", "chunked")) + b"ffffffffffffffff\r\n" + BODY, {400, 413}),
    ("an LF behind the chunk size", fields(("Transfer-Encoding", "chunked")) + b"19\n" + BODY + b"\r\n0\r\n\r\n", {400}),
    ("an LF inside a chunk extension",
     fields(("Transfer-Encoding", "chunked")) + b"19;a=\nb\r\n" + BODY + b"\r\n0\r\n\r\n", {400}),
    ("no CRLF behind the chunk", fields(("Transfer-Encoding", "chunked")) + b"19\r\n" + BODY + b"XX0\r\n\r\n", {400}),
    ("a chunk longer than its size", fields(("Transfer-Encoding", "chunked")) + b"5\r\n" + BODY + b"\r\n0\r\n\r\n", {400}),
    ("a chunk line above 256 bytes",
     fields(("Transfer-Encoding", "chunked")) + b"19;a=" + b"b" * 300 + b"\r\n" + BODY + b"\r\n0\r\n\r\n", {400}),
    ("chunk extensions above 4 KiB",
     fields(("Transfer-Encoding", "chunked"))
     + b"".join(b"1;a=" + b"b" * 240 + b"\r\n" + BODY[i:i + 1] + b"\r\n" for i in range(len(BODY))) + b"0\r\n\r\n", {400}),
    ("chunks of one byte without end",
     fields(("Transfer-Encoding", "chunked"), body=b"a" * 40_000) + chunked(b"a" * 40_000, 1), {400}),
    ("a trailer with a bare LF",
     fields(("Transfer-Encoding", "chunked")) + b"19\r\n" + BODY + b"\r\n0\r\nA: b\n\r\n", {400}),
    ("a trailer above 8 KiB",
     fields(("Transfer-Encoding", "chunked")) + b"19\r\n" + BODY + b"\r\n0\r\nA: " + b"b" * 9000 + b"\r\n\r\n", {431}),
    ("33 trailer fields",
     fields(("Transfer-Encoding", "chunked")) + b"19\r\n" + BODY + b"\r\n0\r\n"
     + b"".join(b"A%d: b\r\n" % i for i in range(33)) + b"\r\n", {431}),
    ("a request line above 8 KiB", request(PATH + "?" + "q" * 9000, BODY, github(BODY)), {414}),
    ("a header block above 32 KiB",
     request(PATH, BODY, github(BODY) + [("X-Filler-%d" % i, "f" * 3000) for i in range(12)]), {431}),
    ("one field above 32 KiB", request(PATH, BODY, github(BODY) + [("X-Filler", "f" * 40_000)]), {431}),
    ("101 fields", request(PATH, BODY, github(BODY) + [("X-%d" % i, "f") for i in range(92)]), {431}),
    ("a body above the limit", request(PATH, b"", github(BODY) + [("Content-Length", "27000000")], length=False), {413}),
]


@test("each malformed or ambiguous request is refused with its status, and the connection closes")
def refused(context):
    server = context.server(plain_hook())
    problems = []
    for what, data, statuses in REFUSED:
        with server.connect() as connection:
            try:
                connection.send(data)
                connection.send(SMUGGLED)
                answer = connection.answer()
                if answer.status not in statuses:
                    problems.append("%s: %d instead of %s" % (what, answer.status, sorted(statuses)))
                elif (answer.field("Connection") or "").lower() != "close":
                    problems.append("%s: no `Connection: close`" % what)
                elif answer.field("Date") is None or answer.field("Content-Length") is None:
                    problems.append("%s: Date or Content-Length is missing" % what)
                elif answer.sequence is not None:
                    problems.append("%s: the answer names a delivery" % what)
                elif not connection.is_closed():
                    problems.append("%s: the connection stays open, or more came: %r" % (what, connection.buffer[:60]))
            except Closed as error:
                problems.append("%s: no answer (%s)" % (what, error))
            except Failure as failure:
                problems.append("%s: %s" % (what, failure))
    expect_that(not problems, "%d of %d differ:\n  %s" % (len(problems), len(REFUSED), "\n  ".join(problems)))
    expect(server.push().status, 200, "a good delivery afterwards")
    expect(server.metric("grapnel_journal_records_total") >= 1, True, "records in the journal")


@test("odd but valid requests are served")
def accepted(context):
    server = context.server(plain_hook())
    odd = [
        ("as GitHub sends it", good()),
        ("one leading empty line", b"\r\n" + good()),
        ("names in other case", good().replace(b"X-Hub-Signature-256", b"x-hub-SIGNATURE-256")),
        ("no blank behind the colon", good().replace(b"Accept: ", b"Accept:")),
        ("tabs around a value", good().replace(b"Accept: */*", b"Accept:\t*/*\t ")),
        ("bytes above ASCII in a value", good().replace(b"*/*", b"\xc3\xa4")),
        ("absolute form", good().replace(b"POST /", b"POST http://hooks.example.com/", 1)),
        ("a Host with a port", good(host="hooks.example.com:9292")),
        ("a Host that is an IPv6 address", good(host="[::1]:9292")),
        ("100 fields", request(PATH, BODY, github(BODY) + [("X-%d" % i, "f") for i in range(91)])),
        ("8 KiB of fields", request(PATH, BODY, github(BODY) + [("X-Filler", "f" * 8192)])),
        ("chunked", fields(("Transfer-Encoding", "chunked")) + chunked(BODY, 7)),
        ("Chunked", fields(("Transfer-Encoding", "Chunked")) + chunked(BODY, 7)),
        ("chunked between tabs", fields(("Transfer-Encoding", "\tchunked\t")) + chunked(BODY, 7)),
        ("a chunk extension",
         fields(("Transfer-Encoding", "chunked")) + b'19;a=b;c="d e"\r\n' + BODY + b"\r\n0;x\r\n\r\n"),
        ("a chunk size with zeros in front",
         fields(("Transfer-Encoding", "chunked")) + b"0000000000000019\r\n" + BODY + b"\r\n0\r\n\r\n"),
        ("a trailer",
         fields(("Transfer-Encoding", "chunked")) + b"19\r\n" + BODY + b"\r\n0\r\nX-Check: 1\r\n\r\n"),
    ]
    problems = []
    for what, data in odd:
        with server.connect() as connection:
            try:
                answer = connection.exchange(data)
                if answer.status != 200:
                    problems.append("%s: %d" % (what, answer.status))
                elif not connection.stays_open(0.05):
                    problems.append("%s: the connection was closed" % what)
            except Closed as error:
                problems.append("%s: no answer (%s)" % (what, error))
    expect_that(not problems, "\n  ".join(problems))


@test("a signature in a trailer proves nothing")
def trailer_signature(context):
    server = context.server(plain_hook())
    unsigned = [f for f in github(BODY) if f[0] != "X-Hub-Signature-256"]
    trailer = b"X-Hub-Signature-256: sha256=" + sign(BODY, TOKEN).encode() + b"\r\n"
    head = request(PATH, b"", unsigned + [("Transfer-Encoding", "chunked"), ("Trailer", "X-Hub-Signature-256")],
                   length=False)
    with server.connect() as connection:
        expect(connection.exchange(head + b"19\r\n" + BODY + b"\r\n0\r\n" + trailer + b"\r\n").status, 401, "status")


@test("a declared body above the limit is refused before a byte of it arrives")
def too_large(context):
    server = context.server(plain_hook(), flags=["--max-body", "10000"])
    with server.connect() as connection:
        body = padded_push(10_001)
        answer = connection.exchange(request(PATH, b"", github(body) + [("Content-Length", "10001")], length=False))
        expect(answer.status, 413, "10,001 bytes announced")
        expect_that(connection.is_closed(), "the connection stays open after 413")
    with server.connect() as connection:
        body = padded_push(10_001)
        answer = connection.exchange(fields(("Transfer-Encoding", "chunked"), body=body) + chunked(body, 4000))
        expect(answer.status, 413, "10,001 bytes in chunks")
        expect_that(connection.is_closed(), "the connection stays open after 413")
    with server.connect() as connection:
        answer = connection.exchange(request(PATH, b"", github(body) + [
            ("Content-Length", "10001"), ("Expect", "100-continue")], length=False))
        expect(answer.status, 413, "with Expect: 100-continue")
    expect(server.push(padded_push(10_000)).status, 200, "exactly 10,000 bytes")
    # A sender that does not look at the answer until all is sent must still find it, not a reset.
    with server.connect() as connection:
        body = padded_push(200_000)
        connection.send(request(PATH, body, github(body)))
        expect(connection.answer().status, 413, "200,000 bytes sent blindly")


@test("bodies of every size up to the limit are verified and stored")
def sizes(context):
    server = context.server(plain_hook())
    with server.connect() as connection:
        for count in (60, 1000, 8192, 16_384, 65_535, 65_536, 262_143, 262_145, 1 << 20, 3 << 20):
            body = padded_push(count)
            answer = connection.exchange(request(PATH, body, github(body)))
            expect(answer.status, 200, "%d bytes" % count)
            answer = connection.exchange(fields(("Transfer-Encoding", "chunked"), body=body) + chunked(body, 30_000))
            expect(answer.status, 200, "%d bytes in chunks" % count)
        body = padded_push(25 << 20)
        expect(connection.exchange(request(PATH, body, github(body))).status, 200, "25 MiB")


@test("bodies that have to wait for memory are all taken in the end, and none is mixed up", alone=True)
def memory_for_bodies(context):
    server = context.server(plain_hook(), flags=["--max-body", "1MiB", "--body-memory", "1MiB", "--body-memory-wait", "60s"]
                            + LONG_LIMITS)
    results = []

    def deliver(number):
        generator = random.Random(number)
        with server.connect() as connection:
            for turn in range(4):
                body = padded_push(600_000 + number, "%d/%d" % (number, turn))
                data = request(PATH, body, github(body)) + request(PATH, BODY, github(BODY))
                while data:
                    size = generator.choice([100, 5000, 70_000, 400_000])
                    connection.send(data[:size])
                    data = data[size:]
                    time.sleep(generator.choice([0, 0, 0.002]))
                try:
                    results.append((connection.answer().status, connection.answer().status))
                except Closed as closed:
                    results.append((number, turn, str(closed)))
                    return
    threads = [threading.Thread(target=deliver, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(set(results), {(200, 200)}, "statuses of a large and a small delivery on each connection")
    expect(len(results), 24, "pairs that were answered")


@test("a body that finds no memory in time is answered 503, with Retry-After")
def no_memory(context):
    server = context.server(plain_hook(), flags=["--max-body", "1MiB", "--body-memory", "1MiB", "--body-memory-wait", "500ms"]
                            + LONG_LIMITS)
    holder = server.connect()
    body = padded_push(900_000)
    holder.send(request(PATH, body, github(body))[:2000])
    wait_until(lambda: server.metric("grapnel_body_reserved_bytes") > 0, 5, "the memory is taken")
    with server.connect() as connection:
        began = time.monotonic()
        connection.send(request(PATH, b"", github(body) + [("Content-Length", "900000"), ("Expect", "100-continue")],
                                length=False))
        answer = connection.answer(interim=True)
        expect(answer.status, 503, "no 100 before memory is reserved")
        expect_that(answer.field("Retry-After"), "503 without Retry-After")
        expect_that(time.monotonic() - began > 0.45, "503 came after %.1f s" % (time.monotonic() - began))
        expect_that(connection.is_closed(), "the connection stays open")
    expect(server.push().status, 200, "a small delivery meanwhile")
    holder.close()
    wait_until(lambda: server.push(body).status == 200, 5, "a large one after the memory is free")


def first_answered(server):
    """A connection with one answer behind it, to a server that gives a connection little time."""
    def attempt():
        connection = server.connect()
        try:
            expect(connection.exchange(good()).status, 200, "the first request")
            return connection
        except Closed:                          # it took this test longer than that to send it
            connection.close()
    return wait_until(attempt, 10, "an answer on a new connection")


@test("a head that does not come in time is answered 408")
def header_timeout(context):
    server = context.server(plain_hook(), flags=["--header-timeout", "1s"])
    patient = context.server(plain_hook(), flags=LONG_LIMITS)
    with patient.connect() as other, server.connect() as connection:
        began = time.monotonic()
        other.send(good()[:40])
        connection.send(good()[:40])
        expect(connection.answer().status, 408, "a head that stops")
        expect_that(time.monotonic() - began > 0.95, "408 came after %.2f s" % (time.monotonic() - began))
        expect_that(connection.is_closed(), "the connection stays open after 408")
        # It is the limit that was set: a server with another one waits on.
        expect_that(other.stays_open() or time.monotonic() - began > 59, "a head whose time is not over was answered")
    # Slowloris: each byte is in time, the whole head is not. The deadline is absolute.
    with server.connect() as connection:
        for byte in good():                     # longer than half a minute, if it were let
            connection.send(bytes([byte]))
            if select.select([connection.socket], [], [], 0.1)[0]:
                break
        expect(connection.answer().status, 408, "a head that drips")
        expect_that(connection.is_closed(), "the connection stays open after 408")
    # Also the head of a later request on the same connection.
    with first_answered(server) as connection:
        connection.send(good()[:40])
        expect(connection.answer().status, 408, "the second head that stops")


@test("a body that does not come in time is answered 408")
def body_timeout(context):
    server = context.server(plain_hook(), flags=["--body-timeout", "1s", "--body-stall-timeout", "1s"])
    patient = context.server(plain_hook(), flags=LONG_LIMITS)
    with patient.connect() as other, server.connect() as connection:
        other.send(good()[:-5])
        connection.send(good()[:-5])
        expect(connection.answer().status, 408, "a body that stops")
        expect_that(connection.is_closed(), "the connection stays open after 408")
        expect_that(other.stays_open(), "a body whose time is not over was answered")


@test("an idle connection is closed without a word")
def idle_timeout(context):
    server = context.server(plain_hook(), flags=["--idle-timeout", "1s"])
    with context.server(plain_hook()).connect() as other, server.connect() as connection:
        data, closed = read_all(connection.socket)
        expect((data, closed), (b"", True), "a connection that says nothing")
        expect_that(other.stays_open(), "a connection to a server that gives it more time was closed")
    with first_answered(server) as connection:
        data, closed = read_all(connection.socket)
        expect((data, closed), (b"", True), "a kept connection that says nothing more")


@test("slow senders do not delay others")
def slow_neighbours(context):
    server = context.server(plain_hook(), flags=LONG_LIMITS)
    slow = [server.connect() for _ in range(100)]
    try:
        for connection in slow:
            connection.send(good()[:120])
        began = time.monotonic()
        for _ in range(20):
            expect(server.push().status, 200, "beside 100 slow senders")
        # These were there all the time: the deliveries have not waited for their end.
        ended = sum(not connection.stays_open(0.001) for connection in slow)
        expect_that(ended == 0 or time.monotonic() - began > 59, "%d of the slow senders were answered or closed" % ended)
    finally:
        for connection in slow:
            connection.close()


@test("Expect: 100-continue is answered before the body, and only when the body is wanted")
def expect_continue(context):
    server = context.server(plain_hook())
    with server.connect() as connection:
        head = request(PATH, b"", github(BODY) + [("Content-Length", str(len(BODY))), ("Expect", "100-continue")],
                       length=False)
        connection.send(head)
        expect(connection.answer(interim=True).status, 100, "the interim answer")
        expect(connection.exchange(BODY).status, 200, "the final answer")
    with server.connect() as connection:
        connection.send(head.replace(b"/hooks/team-a/webapp", b"/hooks/team-a/absent"))
        expect(connection.answer(interim=True).status, 404, "an unknown route")
        expect_that(connection.is_closed(), "the connection stays open after a final status in place of 100")
    with server.connect() as connection:
        connection.send(head + BODY)        # the body came along: 100 may be left out
        expect(connection.answer().status, 200, "with the body at once")


@test("pipelined requests are answered in order")
def pipelining(context):
    server = context.server(plain_hook())
    ids = [delivery_id() for _ in range(20)]
    wrong = request(PATH, BODY, github(BODY, "wrong"))
    absent = request("/absent", BODY, github(BODY))
    batch = b"".join(request(PATH, BODY, github(BODY, delivery=i)) for i in ids[:10]) + wrong + absent \
        + b"".join(request(PATH, BODY, github(BODY, delivery=i)) for i in ids[10:])
    with server.connect() as connection:
        connection.send(batch)
        answers = [connection.answer() for _ in range(22)]
        expect([a.status for a in answers], [200] * 10 + [401, 404] + [200] * 10, "statuses")
        sequences = [a.sequence for a in answers if a.status == 200]
        expect(sequences, sorted(sequences), "sequences")
        expect(len(set(sequences)), 20, "distinct sequences")
    # What stands before a malformed request is answered first, what stands behind it never.
    with server.connect() as connection:
        connection.send(good() + b"POST / HTTP/9.9\r\n\r\n" + good())
        expect([connection.answer().status, connection.answer().status], [200, 505], "good, malformed, good")
        expect_that(connection.is_closed(), "the connection stays open")


@test("requests that span packets in every way are understood alike")
def split(context):
    server = context.server(plain_hook())
    data = good()
    with server.connect() as connection:
        for byte in data:
            connection.send(bytes([byte]))
        expect(connection.answer().status, 200, "one byte at a time")
        data = fields(("Transfer-Encoding", "chunked")) + chunked(BODY, 3)
        for byte in data:
            connection.send(bytes([byte]))
        expect(connection.answer().status, 200, "chunks, one byte at a time")
        generator = random.Random(7)
        for _ in range(30):
            body = padded_push(generator.choice([200, 3000, 20_000]))
            data = request(PATH, body, github(body)) * 2
            cuts = sorted(generator.sample(range(1, len(data)), 5))
            for start, end in zip([0] + cuts, cuts + [len(data)]):
                connection.send(data[start:end])
                time.sleep(0.001)
            expect([connection.answer().status, connection.answer().status], [200, 200], "split at %r" % cuts)


@test("random pipelines, split at random places, are answered as when they come one by one")
def random_pipelines(context):
    server = context.server(plain_hook())
    seed = random.randrange(1 << 32)
    generator = random.Random(seed)

    def any_request():
        """(bytes, status, method) of a request that keeps its connection. (A chunked body that nobody wants does not.)"""
        body = padded_push(generator.choice([100, 700, 5000, 20_000]), "%x" % generator.randrange(1 << 60))
        kind = generator.choice(["good", "good", "chunked", "bad", "bad chunked", "unknown", "get", "put", "empty line",
                                 "continue"])
        signed = github(body, "wrong" if kind.startswith("bad") else TOKEN)
        path = "/unknown" if kind.startswith("unknown") else PATH
        status = {"bad": 401, "unknown": 404, "get": 405, "put": 405}.get(kind.partition(" ")[0], 200)
        if kind == "get":
            return request(PATH, b"", method="GET", length=False), 405, "GET"
        if "chunked" in kind:
            pieces = chunked(body, generator.choice([100, 1000, 9000]))
            return request(path, b"", signed + [("Transfer-Encoding", "chunked")], length=False) + pieces, status, "POST"
        if kind == "continue":
            signed = signed + [("Expect", "100-continue")]
        data = request(path, body, signed, method="PUT" if kind == "put" else "POST")
        return (b"\r\n" if kind == "empty line" else b"") + data, status, "POST"

    for number in range(400 if context.long else 120):
        requests = [any_request() for _ in range(generator.randrange(1, 7))]
        data = b"".join(r[0] for r in requests)
        cuts = sorted(generator.sample(range(1, len(data)), min(len(data) - 1, generator.randrange(0, 9))))
        with server.connect() as connection:
            try:
                for start, end in zip([0] + cuts, cuts + [len(data)]):
                    connection.send(data[start:end])
                    if generator.random() < 0.7:
                        time.sleep(generator.choice([0, 0.0005, 0.003]))
                came = [connection.answer(method).status for _, _, method in requests]
            except Closed as closed:
                raise Failure("pipeline %d of seed %d, statuses %r, cuts %r: %s" % (
                    number, seed, [r[1] for r in requests], cuts, closed))
            expect(came, [r[1] for r in requests], "statuses of pipeline %d of seed %d, cuts %r" % (number, seed, cuts))
            expect_that(connection.stays_open(0.01), "pipeline %d of seed %d: more came, or it closed" % (number, seed))


@test("connections are kept, and closed when either side says so")
def keep_alive(context):
    server = context.server(plain_hook())
    with server.connect() as connection:
        for _ in range(100):
            answer = connection.exchange(good())
            expect((answer.status, answer.field("Connection")), (200, None), "a kept connection")
    with server.connect() as connection:
        answer = connection.exchange(request(PATH, BODY, github(BODY) + [("Connection", "close")]))
        expect((answer.status, (answer.field("Connection") or "").lower()), (200, "close"), "the peer wants to close")
        expect_that(connection.is_closed(), "the connection stays open")
    with server.connect() as connection:
        answer = connection.exchange(good(version="HTTP/1.0"))
        expect(answer.status, 200, "HTTP/1.0")
        expect_that(connection.is_closed(), "an HTTP/1.0 connection stays open")


@test("refusals by the application keep the connection and consume the body")
def application_refusals(context):
    server = context.server(plain_hook())
    with server.connect() as connection:
        expect(connection.exchange(request(PATH, BODY, github(BODY, "wrong"))).status, 401, "a wrong signature")
        expect(connection.exchange(request("/nowhere", BODY, github(BODY))).status, 404, "an unknown path")
        answer = connection.exchange(request(PATH, b"", method="GET", length=False), "GET")
        expect((answer.status, answer.field("Allow")), (405, "POST"), "GET")
        answer = connection.exchange(request(PATH, b"", method="HEAD", length=False), "HEAD")
        expect((answer.status, answer.body), (405, b""), "HEAD")
        answer = connection.exchange(request(PATH, BODY, github(BODY), method="PUT"))
        expect((answer.status, answer.field("Allow")), (405, "POST"), "PUT with a body")
        expect(connection.exchange(good()).status, 200, "a good delivery on the same connection")


@test("answers hold Date and Content-Length and nothing that came with the request")
def nothing_echoed(context):
    server = context.server(plain_hook())
    mark = "mark8d1f"
    exchanges = {
        "404": request("/hooks/%s" % mark, BODY, github(BODY) + [("X-Mark", mark)]),
        "401": request(PATH, BODY, github(BODY, signature="sha256=" + mark) + [("X-Mark", mark)]),
        "405": request(PATH + "?" + mark, b"", [("X-Mark", mark)], method="DELETE"),
        "400": request(PATH, BODY, github(BODY) + [("X-Mark " + mark, mark)]),
        "200": request(PATH, BODY, github(BODY, delivery=mark, event="push")),
    }
    for status, data in exchanges.items():
        with server.connect() as connection:
            answer = connection.exchange(data)
            expect(str(answer.status), status, "status")
            expect_that(mark.encode() not in answer.raw, "%s repeats the request: %r" % (status, answer.raw))
            expect_that(answer.field("Date") and answer.field("Content-Length") is not None,
                        "%s lacks Date or Content-Length" % status)
            expect_that(answer.field("Server") is None, "%s names the server" % status)


@test("a half-closed peer is still answered")
def half_closed(context):
    server = context.server(plain_hook(), flags=LONG_LIMITS)
    for data in (good(), fields(("Transfer-Encoding", "chunked")) + chunked(BODY, 5)):
        with server.connect() as connection:
            connection.send(data)
            connection.socket.shutdown(socket.SHUT_WR)
            expect(connection.answer().status, 200, "status")
            expect_that(connection.is_closed(), "the connection stays open")
    with server.connect() as connection:        # half a request and then the end: no answer is owed, none must hang
        connection.send(good()[:-3])
        connection.socket.shutdown(socket.SHUT_WR)
        data, closed = read_all(connection.socket)
        expect_that(closed, "the connection stays open")
        expect_that(b" 200 " not in data, "an aborted upload was answered 200")


@test("a peer that vanishes harms nobody, and its record stays")
def vanished(context):
    server = context.server(plain_hook())
    before = server.metric("grapnel_journal_records_total")
    for i in range(50):
        connection = server.connect()
        connection.send(good())
        if i % 2:
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")   # reset
        connection.close()
    expect(server.push().status, 200, "a good delivery afterwards")
    wait_until(lambda: server.metric("grapnel_journal_records_total") > before, 5, "records of vanished peers")


@test("noise on the socket neither crashes nor blocks the server")
def noise(context):
    server = context.server(plain_hook(), flags=LONG_LIMITS)
    seed = random.randrange(1 << 32)
    generator = random.Random(seed)
    template = good()
    for _ in range(150):
        data = bytearray(template * generator.choice([1, 1, 2]))
        for _ in range(generator.randrange(1, 6)):
            place = generator.randrange(len(data))
            change = generator.randrange(3)
            if change == 0:
                data[place] = generator.randrange(256)
            elif change == 1:
                del data[place:place + generator.randrange(1, 30)]
            else:
                data[place:place] = generator.randbytes(generator.randrange(1, 30))
            if not data:
                data = bytearray(b"x")
        with server.connect() as connection:
            connection.send(bytes(data))
            connection.socket.shutdown(socket.SHUT_WR)
            answers, closed = read_all(connection.socket)
            expect_that(closed, "the connection hangs on %r (seed %d)" % (bytes(data), seed))
            expect_that(answers == b"" or answers.startswith(b"HTTP/1.1 "), "no HTTP: %r" % answers[:80])
            expect_that(b"HTTP/1.1 5" not in answers.replace(b"HTTP/1.1 501", b"").replace(b"HTTP/1.1 505", b""),
                        "a 5xx for %r (seed %d)" % (bytes(data), seed))
    expect(server.push().status, 200, "a good delivery afterwards")


@test("more connections than allowed are closed at once, the others are served")
def connection_limit(context):
    server = context.server(plain_hook(), flags=["--max-connections", "100"] + LONG_LIMITS)
    connections, refused_count = [], 0
    try:
        for _ in range(120):
            connections.append(server.connect())
        wait_until(lambda: server.admin("/readyz")[0] == 200, 5, "the admin listener beside a full public one")
        answered = 0
        for connection in connections:
            try:
                if connection.exchange(good()).status == 200:
                    answered += 1
            except (Closed, OSError) as end:
                expect_that("nothing more came" not in str(end), "a connection above the limit stays open: %s" % end)
                refused_count += 1
        expect((answered, refused_count), (100, 20), "(answered, closed) of 120 with --max-connections 100")
    finally:
        for connection in connections:
            connection.close()

    def is_served():
        try:
            return server.push().status == 200
        except (Closed, OSError):               # the server has not seen yet that the others are gone
            return False

    wait_until(is_served, 5, "a delivery after the others have gone")


@test("500 connections at once are all answered")
def many_connections(context):
    hooks = plain_hook()
    server = context.server(hooks, loops=2, flags=["--max-connections", "2000"])
    connections = [Connection(server.port) for _ in range(500)]     # the per-address default is 512
    try:
        data = good()
        for connection in connections:
            connection.send(request(PATH, BODY, github(BODY)))
        expect({c.answer().status for c in connections}, {200}, "statuses")
        threads, statuses = [], []

        def work(part):
            for connection in part:
                statuses.append(connection.exchange(data).status)
        for k in range(8):
            threads.append(threading.Thread(target=work, args=(connections[k::8],)))
            threads[-1].start()
        for thread in threads:
            thread.join()
        expect(len(statuses), 500, "answers")
        expect_in(set(statuses) - {200}, [set()], "statuses other than 200")
    finally:
        for connection in connections:
            connection.close()


@test("a path is matched byte for byte, and every other path is 404")
def unknown_routes(context):
    server = context.server({**plain_hook(), "other.yaml": secret("other-token", "an0ther-secret-0123456789")
                             + "---\n" + hook("other", secrets=["other-token"], path="/github")},
                            tokens=[TOKEN, "an0ther-secret-0123456789"])
    expect(server.push(path="/github", token="an0ther-secret-0123456789").status, 200, "a claimed path")
    for path in ("/", "/hooks", "/hooks/team-a", "/hooks/team-a/webapp/", "/hooks/team-a/webapp/x", "/Github",
                 "/github/../hooks/team-a/webapp", "//github", "/%67ithub", "/metrics", "/readyz"):
        expect(server.push(path=path).status, 404, path)
