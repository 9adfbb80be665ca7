"""The TLS listener: what it offers and refuses, certificates that change under way, and deliveries over it.

What concerns bytes on the wire runs with epoll and with io_uring.
"""
import contextlib
import itertools
import os
import select
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

from harness import (LONG_LIMITS, TOKEN, Closed, Skip, delivery_id, expect, expect_soon, expect_that, free_port, github,
                     padded_push, payload, plain_hook, read_all, request, wait_until)
from registry import test
from tlskit import Authority, MemoryClient, Site, put, raw, run, s_client

METHODS = ("epoll", "uring")
HOOK = "/hooks/team-a/webapp"


def push(connection, body=None, delivery=None, token=TOKEN):
    body = payload("github-push.json") if body is None else body
    return connection.exchange(request(HOOK, body, github(body, token, delivery)))


def with_both(context, use, manifests=None, flags=(), **more):
    """Runs `use(site, method)` with a server of each method."""
    for method in METHODS:
        site = Site(context, manifests or plain_hook(), flags=["--io", method, *flags], **more)
        if method == "uring" and "refused io_uring" in site.server.log_text():
            raise Skip("this kernel refuses io_uring; epoll passed")
        use(site, method)
        site.server.stop()


def finished(site):
    """A connection with a delivery behind it, to a server that gives a connection little time."""
    def attempt():
        with contextlib.suppress(ssl.SSLError, Closed, OSError):        # it took this test longer than that
            connection = site.connect()
            expect(push(connection).status, 200, "a delivery")
            return connection
    return wait_until(attempt, 10, "a delivery on a new connection")


def refused(connect, what):
    """Whether a handshake fails; gives the error."""
    try:
        connection = connect()
        # TLS 1.3: a client learns of a refusal only when it reads.
        answer = push(connection)
    except (ssl.SSLError, Closed, OSError) as error:
        return error
    raise AssertionError("%s: a handshake that had to fail was answered %d" % (what, answer.status))


@test("a delivery over TLS is verified, journaled and answered like a plain one")
def delivery(context):
    def use(site, method):
        one = delivery_id()
        with site.connect() as connection:
            expect(connection.socket.version(), "TLSv1.3", "version")
            expect(connection.socket.selected_alpn_protocol(), "http/1.1", "ALPN")
            answer = push(connection, delivery=one)
            expect((answer.status, answer.decision), (200, "accepted"), method)
            expect(push(connection, delivery=one).decision, "duplicate", "on the same connection")
            expect(push(connection, token="wrong").status, 401, "another secret")
            expect(connection.exchange(request("/nowhere", b"x")).status, 404, "unknown path")
        with site.connect(site.client(version=ssl.TLSVersion.TLSv1_2, protocols=())) as connection:
            expect(connection.socket.version(), "TLSv1.2", "version")
            expect_that(connection.socket.cipher()[0].startswith("ECDHE-"), "suite %r" % (connection.socket.cipher(),))
            expect(push(connection).status, 200, "TLS 1.2")
        expect(site.server.push().status, 200, "the plain listener beside it")
        expect(site.server.metrics()['grapnel_journal_records_total{type="delivery"}'], 3 + 1, "records")
        expect(site.results()["ok"], 2, "handshakes")
        site.server.stop()
        text = context.command("journal", "inspect", "--data-dir", site.server.data).stdout
        expect_that(one in text, "the delivery is not in the journal")
    with_both(context, use, plain_hook(actions="[{log: {}}]"))


@test("bodies of 25 MiB, chunked bodies and pipelined requests over TLS")
def bodies(context):
    def use(site, method):
        with site.connect() as connection:
            expect(push(connection, padded_push(25 << 20)).status, 200, "25 MiB, " + method)
            body = padded_push(300_000)
            head = request(HOOK, fields=github(body) + [("Transfer-Encoding", "chunked")], length=False)
            for size in (1_000, 70_000):
                chunks = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in
                                  (body[i:i + size] for i in range(0, len(body), size))) + b"0\r\n\r\n"
                expect(connection.exchange(head + chunks).status, 200, "chunked")
            many = [padded_push(size) for size in (600, 20_000, 700, 800, 100_000, 650)]
            connection.send(b"".join(request(HOOK, one, github(one)) for one in many))
            for one in many:
                expect(connection.answer().status, 200, "pipelined, %d bytes" % len(one))
            # One record with several requests, and one request in many records.
            small = [padded_push(500) for _ in range(10)]
            connection.send(b"".join(request(HOOK, one, github(one)) for one in small))
            expect([connection.answer().status for _ in small], [200] * 10, "in one record")
            data = request(HOOK, small[0], github(small[0]))
            for index in range(0, len(data), 100):
                connection.send(data[index:index + 100])
            expect(connection.answer().status, 200, "in many records")
            body = padded_push(5_000)
            connection.send(request(HOOK, fields=github(body) + [("Expect", "100-continue"), ("Content-Length",
                                    str(len(body)))], length=False))
            expect(connection.answer(interim=True).status, 100, "interim")
            expect(connection.exchange(body).status, 200, "behind 100 (Continue)")
    with_both(context, use)


@test("Expect: 100-continue with the handshake's last flight is answered")
def continue_at_once(context):
    def use(site, method):
        body = padded_push(3_000)
        head = request(HOOK, fields=github(body) + [("Expect", "100-continue"), ("Content-Length", str(len(body)))],
                       length=False)
        for _ in range(20):
            with MemoryClient(site) as client:
                client.step(client.tls.do_handshake)
                # The last flight of the handshake is still here: it goes out in one segment with the head.
                client.tls.write(head)
                expect_that(client.step(lambda: client.tls.read(1000)).startswith(b"HTTP/1.1 100 "), method)
                client.tls.write(body)
                expect_that(client.step(lambda: client.tls.read(1000)).startswith(b"HTTP/1.1 200 "), method)
    with_both(context, use)


@test("TLS 1.1, weak suites and foreign protocols are refused; curl and s_client agree")
def refusals(context):
    site = Site(context, plain_hook())
    for arguments, what in ((["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "TLS 1.1"),
                            (["-tls1", "-cipher", "ALL:@SECLEVEL=0"], "TLS 1.0"),
                            (["-tls1_2", "-cipher", "AES128-GCM-SHA256:@SECLEVEL=0"], "RSA key exchange"),
                            (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"], "CBC"),
                            (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-CCM:@SECLEVEL=0"], "CCM"),
                            (["-alpn", "h2"], "h2 alone")):
        status, text = s_client(site.port, *arguments)
        expect_that("Cipher is (NONE)" in text or "Cipher    : 0000" in text or "(NONE)" in text, what + "\n" + text)
        expect_that("alert" in text, "%s without an alert\n%s" % (what, text))
    status, text = s_client(site.port, "-alpn", "h2")
    expect_that("no application protocol" in text, text)
    results = site.results()
    expect((results["version"], results["cipher"], results["alpn"]), (2, 3, 2), "results %r" % results)
    for arguments, what in ((["-alpn", "h2,http/1.1"], "h2 and http/1.1"), ([], "no ALPN"),
                            (["-servername", "any.name.at.all"], "some name"), (["-noservername"], "no name")):
        status, text = s_client(site.port, "-CAfile", site.authority.certificate, *arguments)
        expect_that("Verify return code: 0 (ok)" in text, what + "\n" + text)
        expect_that("CN = localhost" in text or "CN=localhost" in text, what + "\n" + text)
    # No renegotiation, no compression, no early data.
    status, text = s_client(site.port, "-tls1_2", text="R\n")
    expect_that("Compression: NONE" in text, text)
    expect_that("Max Early Data: 0" in s_client(site.port, "-tls1_3", "-ign_eof",
                                                text="GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")[1], "early data")
    if not shutil.which("curl"):
        raise Skip("curl is not installed (make deps)")
    url = "https://localhost:%d/nowhere" % site.port
    # curl offers h2 and http/1.1.
    code = run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{http_version}", "--cacert",
               site.authority.certificate, url)
    expect(code, "404 1.1", "curl")
    other = Authority(site.folder, "other")
    result = subprocess.run(["curl", "-s", "--cacert", other.certificate, url], capture_output=True)
    expect(result.returncode, 60, "curl with another authority")
    wait_until(lambda: site.results()["certificate_refused_by_client"] == 1, 5, "the client's refusal is counted")


@test("a session goes on by ticket, and a client that refuses the certificate is counted")
def tickets(context):
    def use(site, method):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            client = site.client(version=version)
            with site.connect(client) as connection:
                expect(push(connection).status, 200, "first")
                session = connection.socket.session
            with site.connect(client, session=session) as connection:
                expect_that(connection.socket.session_reused, "the ticket was not taken")
                expect(push(connection).status, 200, "second")
        expect(site.results()["resumed"], 2, "resumed")
        other = Authority(site.folder, "other")
        refused(lambda: site.connect(site.client(authority=other)), "another authority")
        wait_until(lambda: site.results()["certificate_refused_by_client"] == 1, 5, "the refusal is counted")
    with_both(context, use)


@test("client certificates: the right authority's are taken, none and others are refused")
def mutual(context):
    clients = Authority(context.folder, "clients")
    strangers = Authority(context.folder, "strangers")
    site = Site(context, plain_hook(), flags=["--tls-client-ca", clients.certificate])
    good = clients.issue("sender", "sender", use="clientAuth")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with site.connect(site.client(certificate=good, version=version)) as connection:
            expect(push(connection).status, 200, "the right certificate")
        for certificate, what in ((None, "no certificate"),
                                  (strangers.issue("stranger", "sender", use="clientAuth"), "another authority's"),
                                  (clients.issue("server", "sender", use="serverAuth"), "one for servers")):
            refused(lambda: site.connect(site.client(certificate=certificate, version=version)), what)
    results = lambda: [site.results()[name] for name in ("ok", "client_certificate_missing", "client_certificate_refused")]
    expect_soon(results, [2, 2, 4], "results")
    expect(site.server.metrics()['grapnel_journal_records_total{type="delivery"}'], 2, "records")
    # Another authority in the file: from then on its clients, and no tickets of before.
    put(strangers.certificate, clients.certificate)
    site.server.signal(signal.SIGHUP)
    wait_until(lambda: site.server.metrics()['grapnel_tls_reloads_total{result="ok"}'] == 1, 10, "the new authority")
    refused(lambda: site.connect(site.client(certificate=good)), "the former authority's")
    stranger = os.path.join(context.folder, "stranger.crt"), os.path.join(context.folder, "stranger.key")
    with site.connect(site.client(certificate=stranger)) as connection:
        expect(push(connection).status, 200, "the new authority's")


@test("a replaced certificate is for new connections while open ones go on, without a signal")
def replaced(context):
    def use(site, method):
        with site.connect() as old:
            serial = old.serial
            expect(push(old).status, 200, "before")
            expiry = site.server.metrics()["grapnel_tls_certificate_expiry_seconds"]
            certificate, key = site.authority.issue("second", days=90, rsa=2048 if method == "uring" else None)
            # The certificate first: the pair does not fit for a moment, which is no news.
            began = time.monotonic()
            put(certificate, site.certificate)
            time.sleep(0.5)
            put(key, site.key)
            moment = time.monotonic() - began

            def is_new():
                with site.connect() as new:
                    return push(new).status == 200 and new.serial != serial
            wait_until(is_new, 15, "new connections see the new certificate", every=0.2)
            expect(push(old).status, 200, "after")
            now = lambda: site.server.metrics()["grapnel_tls_certificate_expiry_seconds"]
            expect_soon(lambda: now() > expiry + 20 * 86_400, True, "expiry")
            expect_soon(lambda: "TLS certificate read again" in site.server.log_text(), True, "a line in the log")
        text = site.server.log_text()
        # A pair that does not fit for two looks, one every 2 s, is news.
        expect_that("cannot be used" not in text or moment > 1.9, "the moment in between was reported:\n" + text)
    with_both(context, use)


@test("a replacement that cannot be used is reported with its file, and the old certificate stays")
def broken(context):
    site = Site(context, plain_hook())
    with open(site.certificate) as f:
        good = f.read()
    problems = 0
    other = site.authority.issue("other")

    def write(path, text):
        with open(path + ".new", "w") as f:
            f.write(text)
        os.replace(path + ".new", path)
    for path, text, words in ((site.certificate, good[:300], "--tls-certificate %s" % site.certificate),
                              (site.certificate, "", "there is no certificate in it"),
                              (site.key, "nonsense", "--tls-key"),
                              (site.key, open(other[1]).read(), "not the key of the first certificate")):
        before = open(path).read()
        write(path, text)
        site.server.signal(signal.SIGHUP)
        problems += 1
        wait_until(lambda: site.server.metrics()['grapnel_tls_reloads_total{result="failed"}'] == problems, 10, words)
        expect_soon(lambda: words in site.server.log_text(), True, "%r in the log" % words)
        with site.connect() as connection:
            expect(push(connection).status, 200, "with the old one")
        write(path, before)
    os.remove(site.key)
    # Without a signal it takes two looks.
    wait_until(lambda: site.server.metrics()['grapnel_tls_reloads_total{result="failed"}'] == problems + 1, 15, "no key")
    expect_soon(lambda: "No such file" in site.server.log_text(), True, "the missing file in the log")
    site.install(*other)
    wait_until(lambda: site.server.metrics()['grapnel_tls_reloads_total{result="ok"}'] >= 1, 15, "a good pair")
    with site.connect() as connection:
        expect(push(connection).status, 200, "with the new one")


@test("files that cannot be used at the start end it with status 1 and say which and why")
def bad_start(context):
    authority = Authority(context.folder, "a")
    certificate, key = authority.issue("good")
    other = authority.issue("other")[1]
    locked = os.path.join(context.folder, "locked.key")
    run("openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:hunter2hunter2", "-out", locked)
    weak = authority.issue("weak", rsa=1024)
    expired = authority.issue("expired")
    missing = os.path.join(context.folder, "missing.pem")
    manifests = os.path.join(context.folder, "manifests")
    os.makedirs(manifests)

    def serve(*flags):
        return context.command("serve", "--manifests", manifests, "--data-dir", os.path.join(context.folder, "data"),
                               "--admin-listen", "127.0.0.1:0", *flags)
    listen = ["--tls-listen", "127.0.0.1:0"]
    for flags, words in ((["--tls-certificate", missing, "--tls-key", key], ["--tls-certificate", missing, "No such file"]),
                         (["--tls-certificate", certificate, "--tls-key", missing], ["--tls-key", missing]),
                         (["--tls-certificate", key, "--tls-key", key], ["--tls-certificate", key, "no certificate"]),
                         (["--tls-certificate", certificate, "--tls-key", certificate], ["--tls-key", "no private key"]),
                         (["--tls-certificate", certificate, "--tls-key", locked], ["--tls-key", locked, "encrypted"]),
                         (["--tls-certificate", certificate, "--tls-key", other], ["--tls-key", "not the key of"]),
                         (["--tls-certificate", weak[0], "--tls-key", weak[1]], ["--tls-certificate", "too weak"]),
                         (["--tls-certificate", certificate, "--tls-key", key, "--tls-client-ca", key],
                          ["--tls-client-ca", key, "no certificate"]),
                         (["--tls-certificate", certificate], ["--tls-key FILE"]),
                         (["--tls-key", key], ["--tls-certificate FILE"])):
        result = serve(*listen, *flags)
        expect(result.returncode, 1, "%r: %s" % (flags, result.stderr))
        for word in words:
            expect_that(word in result.stderr, "%r in %r" % (word, result.stderr))
        expect_that("hunter2" not in result.stderr and "PRIVATE" not in result.stderr.replace("BEGIN PRIVATE KEY", ""),
                    "a secret in %r" % result.stderr)
    result = serve("--tls-certificate", certificate, "--tls-key", key)
    expect(result.returncode, 1, "without --tls-listen")
    expect_that("add --tls-listen" in result.stderr, result.stderr)


@test("without --listen there is no plain listener; --tls-listen may be given twice")
def tls_only(context):
    site = Site(context, plain_hook(), start=False)
    second = free_port()
    command = site.server.command()
    index = command.index("--listen")
    del command[index:index + 2]
    site.server.command = lambda: command + ["--tls-listen", "127.0.0.1:%d" % second]
    site.server.start()
    with site.connect() as connection:
        expect(push(connection).status, 200, "the first")
    site.port, first = second, site.port
    with site.connect() as connection:
        expect(push(connection).status, 200, "the second")
    line = [l for l in site.server.log_text().splitlines() if "ready" in l][-1]
    expect_that("listen=-" in line and "tls_listen=127.0.0.1,127.0.0.1:%d,%d" % (first, second) in line, line)


@test("half-open handshakes are closed at the deadline; a connection that finished goes on")
def half_open(context):
    def use(site, method):
        patient = Site(context, plain_hook(), flags=["--io", method, "--tls-handshake-timeout", "30s"])
        with finished(site) as done:
            started = time.monotonic()
            other = raw(patient.port)
            silent = raw(site.port)
            begun = raw(site.port, bytes.fromhex("1603010200010001fc0303"))
            slow = raw(site.port)
            for sock, what in ((silent, "silent"), (begun, "begun")):
                data, closed = read_all(sock)
                expect((data, closed), (b"", True), what)
                expect_that(time.monotonic() - started > 0.95, "%s after %.2f s" % (what, time.monotonic() - started))
            # It is the limit that was set: a server with another one waits on.
            expect_that(not select.select([other], [], [], 0)[0] or time.monotonic() - started > 29, "the other one is closed")
            other.close()
            flight = itertools.cycle(bytes.fromhex("1603010200"))

            def is_ended():
                try:
                    slow.sendall(bytes([next(flight)]))
                except OSError:
                    return True
            wait_until(is_ended, 10, "one byte now and then keeps no handshake open", every=0.1)
            expect(push(done).status, 200, "still there")
        expect_soon(lambda: site.results()["timeout"] >= 2, True, "handshakes that ran out of time")
    with_both(context, use, flags=["--tls-handshake-timeout", "1s"])


@test("plain HTTP on the TLS port is closed with an end and without an answer")
def plain(context):
    def use(site, method):
        for data in (request(HOOK, b"x" * 50, []), request(HOOK, b"x" * 2_000_000, []), b"\x80\x9e\x01\x03\x01" + b"a" * 200,
                     b"SSH-2.0-OpenSSH_9.2\r\n"):
            sock = raw(site.port)
            try:
                sock.sendall(data)
            except OSError:
                pass
            data, closed = read_all(sock, 25)           # before the handshake's time is over
            expect_that(closed and (data == b"" or data[:1] == b"\x15"), "%r, closed %r" % (data[:50], closed))
            sock.close()
        expect_soon(lambda: site.results()["plain_http"], 2, "counted")
        small = raw(site.port, b"POST / HTTP/1.1\r\n\r\n")
        expect(small.recv(10), b"", "an end, not a reset")
        with site.connect() as connection:
            expect(push(connection).status, 200, "TLS afterwards")
    with_both(context, use, flags=["--tls-handshake-timeout", "30s"])


@test("close_notify both ways: after Connection: close, at the idle timeout, and a delivery before a half-close is answered")
def goodbye(context):
    def use(site, method):
        with site.connect() as connection:
            body = payload("github-push.json")
            answer = connection.exchange(request(HOOK, body, github(body) + [("Connection", "close")]))
            expect((answer.status, answer.field("Connection")), (200, "close"), "answer")
            # suppress_ragged_eofs is off: an end without close_notify is an exception.
            expect(connection.socket.recv(1), b"", "close_notify")
        # TCP ends in the middle of a request: not a delivery.
        with site.connect() as connection:
            body = padded_push(5_000)
            data = request(HOOK, body, github(body))
            connection.send(data[:-10])
            # Python takes TLS away with this: what comes are records, of tickets and of close_notify.
            connection.socket.shutdown(socket.SHUT_WR)
            records, closed = read_all(connection.socket)
            expect_that(closed and len(records) < 600, "%d bytes, closed %r" % (len(records), closed))
        expect(site.server.metrics()['grapnel_journal_records_total{type="delivery"}'], 1, "records")
    with_both(context, use, flags=LONG_LIMITS)

    def idle(site, method):
        with finished(site) as connection:
            expect(connection.socket.recv(1), b"", "close_notify when idle")
    with_both(context, idle, flags=["--idle-timeout", "1s"])


@test("a client that sends one byte at a time is served, and its deadlines hold")
def one_byte(context):
    def use(site, method):
        with site.connect() as connection:
            body = padded_push(420)
            for byte in request(HOOK, body, github(body)):
                connection.send(bytes([byte]))
            expect(connection.answer().status, 200, "one byte a record")
        # The same below TLS: one byte of ciphertext a segment.
        with MemoryClient(site, segment=1) as client:
            client.step(client.tls.do_handshake)
            client.tls.write(request(HOOK, body, github(body)))
            expect_that(client.step(lambda: client.tls.read(1000)).startswith(b"HTTP/1.1 200 "), "one byte a segment")
    with_both(context, use, flags=[*LONG_LIMITS, "--tls-handshake-timeout", "30s"])

    def late(site, method):
        with finished(site) as connection:
            connection.send(b"POST /hooks")
            expect(connection.answer().status, 408, "the head's deadline")
    with_both(context, late, flags=["--header-timeout", "1s"])


@test("200 connections at once, each with several deliveries, on two loops")
def many(context):
    def use(site, method):
        failures = []
        client = site.client()

        def one(index):
            try:
                with site.connect(client) as connection:
                    for round in range(3):
                        body = padded_push(1_000 + 100 * index)
                        if push(connection, body).status != 200:
                            failures.append(index)
            except Exception as error:
                failures.append("%d: %r" % (index, error))
        threads = [threading.Thread(target=one, args=(index,)) for index in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expect(failures, [], method)
        expect(site.server.metrics()['grapnel_journal_records_total{type="delivery"}'], 600, "records")
        expect(site.results()["ok"], 200, "handshakes")
    with_both(context, use, loops=2, flags=[*LONG_LIMITS, "--tls-handshake-timeout", "30s"])


@test("SIGTERM: deliveries that have begun are answered over TLS, then close_notify")
def shutdown(context):
    def use(site, method):
        idle, busy = site.connect(), site.connect()
        expect(push(idle).status, 200, "before")
        body = padded_push(200_000)
        data = request(HOOK, body, github(body))
        busy.send(data[:100_000])
        expect(push(idle).status, 200, "behind what the other one sent: that was read")
        site.server.signal(signal.SIGTERM)
        wait_until(lambda: not site.server.accepts(), 10, "the listener is closed")
        busy.send(data[100_000:])
        answer = busy.answer()
        expect((answer.status, answer.field("Connection")), (200, "close"), "begun before the signal")
        expect(busy.socket.recv(1), b"", "close_notify")
        expect(idle.socket.recv(1), b"", "close_notify of an idle one")
    with_both(context, use, flags=["--shutdown-grace", "10m", *LONG_LIMITS])


@test("a certificate that expires within 14 days is warned of, an expired one is an error in the log")
def expiry(context):
    folder = os.path.join(context.folder, "short")
    os.makedirs(folder)
    authority = Authority(folder, "short")
    site = Site(context, plain_hook(), certificate=authority.issue("soon", days=10))
    expect_that("expires soon" in site.server.log_text(), site.server.tail())
    site.install(*authority.issue("expired", days=-1))
    wait_until(lambda: "has expired" in site.server.log_text(), 15, "the error in the log")
    expect_soon(lambda: site.server.metrics()["grapnel_tls_certificate_expiry_seconds"] < time.time(), True, "expiry")
    site.install(*authority.issue("long", days=300))
    wait_until(lambda: site.server.metrics()["grapnel_tls_certificate_expiry_seconds"] > time.time() + 200 * 86_400, 15,
               "the new certificate")
    expect(site.server.log_text().count("expires soon"), 1, "lines")


@test("`grapnel check` reads certificate and key as `serve` would")
def checked(context):
    folder = os.path.join(context.folder, "checked")
    os.makedirs(folder)
    authority = Authority(folder, "authority")
    certificate, key = authority.issue("right")
    _, other = authority.issue("other")
    manifests = os.path.join(context.folder, "checked-manifests")
    os.makedirs(manifests)
    for name, text in plain_hook().items():
        with open(os.path.join(manifests, name), "w") as f:
            f.write(text)
    arguments = ["check", "--manifests", manifests, "--tls-listen", "127.0.0.1:0", "--tls-certificate", certificate]
    result = context.command(*arguments, "--tls-key", key)
    expect(result.returncode, 0, "the right pair: " + result.stderr)
    result = context.command(*arguments, "--tls-key", other)
    expect(result.returncode, 1, "another key: " + result.stderr)
    expect_that("is not the key of the first certificate" in result.stderr, result.stderr)
    expect_that("/hooks/team-a/webapp" in result.stdout, "the routes are printed all the same: " + result.stdout)
