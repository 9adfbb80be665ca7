"""Durability from outside: the order of system calls, SIGKILL, damaged and full journals."""
import glob
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time

from apikit import Api
from harness import (PATIENCE, ROOT, Failure, Marker, Skip, delivery_id, expect, expect_in, expect_that, free_port, github,
                     padded_push, plain_hook, request, wait_until)
from registry import test

PATH = "/hooks/team-a/webapp"


# - What an answer waits for

class Call:
    """One system call of a trace: the lines at which it began and ended, and its text."""

    def __init__(self, name, began, text):
        self.name, self.began, self.ended, self.text = name, began, None, text

    @property
    def fd(self):
        match = re.match(r"\w+\((\d+)", self.text)
        return int(match.group(1)) if match else -1

    @property
    def result(self):
        return self.text.rpartition("= ")[2]


def read_trace(path):
    """The calls of an `strace -f -o` file, in order. A call that never returned has `ended` None.

    The order of lines is an order of events: the tracer holds a thread at the entry and at the exit of a call until it
    has written that down. A line without `<unfinished ...>` is both.
    """
    calls, pending = [], {}
    with open(path, encoding="utf-8", errors="replace") as f:
        for number, line in enumerate(f):
            match = re.match(r"(\d+) +(.*)", line.rstrip("\n"))
            if not match:
                continue
            thread, rest = match.groups()
            resumed = re.match(r"<\.\.\. (\w+) resumed>(.*)", rest)
            if resumed:
                call = pending.pop(thread, None)
                if call:
                    call.ended = number
                    call.text += resumed.group(2)
                continue
            named = re.match(r"(\w+)\(", rest)
            if not named:
                continue
            call = Call(named.group(1), number, rest)
            calls.append(call)
            if rest.endswith("<unfinished ...>"):
                pending[thread] = call
            else:
                call.ended = number
    return calls


def order_problems(calls, delivered):
    """What is wrong with the order. `delivered` maps the sequence of each answer to its delivery's id."""
    writes = [c for c in calls if c.name in ("pwrite64", "pwritev", "pwritev2", "write", "writev")]
    syncs = [c for c in calls if c.name in ("fdatasync", "fsync") and c.ended is not None
             and c.result.startswith("0")]
    sends = [c for c in calls if c.name in ("sendto", "sendmsg", "write", "writev") and "HTTP/1.1 2" in c.text]
    problems = []
    for sequence, identity in delivered.items():
        answer = next((s for s in sends if "Grapnel-Delivery: %d\\r" % sequence in s.text), None)
        if answer is None:
            problems.append("no send holds the answer with sequence %d" % sequence)
            continue
        holding = [w for w in writes if identity in w.text and "HTTP/1.1 2" not in w.text]
        if not holding:
            problems.append("no write holds the record of delivery %s" % identity)
            continue
        if not any(w.ended is not None and w.ended < s.began and s.fd == w.fd and s.ended < answer.began
                   for w in holding for s in syncs):
            problems.append("the answer to %s (line %d) did not wait for a sync behind its write (line %d)" % (
                identity, answer.began + 1, holding[0].began + 1))
    return problems


@test("each 2xx answer follows the return of an fdatasync issued after the write of its record", alone=True)
def sync_before_answer(context):
    strace = shutil.which("strace")
    if not strace:
        raise Skip("strace is not installed (make deps)")
    if subprocess.run([strace, "-o", os.devnull, "true"], capture_output=True).returncode != 0:
        raise Skip("this system forbids tracing")
    for loops in (1, 2):
        trace = os.path.join(context.folder, "trace-%d" % loops)
        server = context.server(
            plain_hook(), loops=loops, flags=["--io", "epoll"], start=False,
            wrapper=[strace, "-f", "-q", "-s", "4096", "-o", trace, "-e",
                     "trace=pwrite64,pwritev,pwritev2,write,writev,sendto,sendmsg,fdatasync,fsync"])
        server.start()
        delivered, lock, problems = {}, threading.Lock(), []

        def sender(count, generator):
            with server.connect() as connection:
                for _ in range(count):
                    body = padded_push(generator.choice([700, 2000, 8192]))
                    one = delivery_id()
                    answer = connection.exchange(request(PATH, body, github(body, delivery=one)))
                    if answer.status != 200 or answer.sequence is None:
                        problems.append("status %d" % answer.status)
                    else:
                        with lock:
                            delivered[answer.sequence] = one
        threads = [threading.Thread(target=sender, args=(25, random.Random(i))) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        server.stop()
        expect(problems, [], "answers under strace")
        expect(len(delivered), 200, "deliveries with a sequence of their own")
        calls = read_trace(trace)
        problems = order_problems(calls, delivered)
        expect(problems, [], "with %d loops, %d calls traced" % (loops, len(calls)))


@test("the check of that order finds an answer that did not wait")
def order_check_works(context):
    path = os.path.join(context.folder, "trace")

    def judge(*lines):
        with open(path, "w") as f:
            f.write("\n".join(lines) + "\n")
        return len(order_problems(read_trace(path), {7: "id-1"}))
    write = '10 pwritev(5, [{iov_base="..id-1..", iov_len=9}], 1, 4096) = 9'
    sync = "10 fdatasync(5)  = 0"
    send = r'11 sendto(9, "HTTP/1.1 200 OK\r\nGrapnel-Delivery: 7\r\n\r\n", 40, 0, NULL, 0) = 40'
    expect(judge(write, sync, send), 0, "write, sync, send")
    expect(judge(sync, write, send), 1, "sync before the write")
    expect(judge(write, send, sync), 1, "send before the sync")
    expect(judge(write, "10 fdatasync(6) = 0", send), 1, "a sync of another file")
    expect(judge(write, "10 fdatasync(5) = -1 EIO (Input/output error)", send), 1, "a sync that failed")
    expect(judge(write, "10 fdatasync(5 <unfinished ...>", send, "10 <... fdatasync resumed>) = 0"), 1,
           "send while the sync runs")
    expect(judge(write, "10 fdatasync(5 <unfinished ...>", "10 <... fdatasync resumed>) = 0", send), 0,
           "send after the sync returned")
    expect(judge("10 fdatasync(5 <unfinished ...>", write.replace("10 ", "12 "), "10 <... fdatasync resumed>) = 0",
                 send), 1, "a sync that began before the write")
    expect(judge(sync, send), 1, "no write at all")
    expect(judge(write, sync), 1, "no send at all")


# - SIGKILL

@test("what was answered before SIGKILL is acted upon after the restart, under load", alone=True)
def crash_rounds(context):
    rounds = 50 if context.long else 5
    result = subprocess.run(
        [sys.executable, os.path.join(ROOT, "loadtest", "crash.py"), "--grapnel", context.grapnel,
         "--rounds", str(rounds)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600 + 60 * rounds)
    expect_that(result.returncode == 0 and "lost 0 of" in result.stdout, result.stdout[-1500:] + result.stderr[-1500:])


@test("an action that was not done when the server was killed is done after the restart, others are not repeated")
def owed_after_kill(context):
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
    # Outcomes ride with the next group, or within a second.
    wait_until(lambda: all([p["outcome"] for p in api.get("/deliveries/%d" % s)[1]["plan"] or []][1:] == ["done"]
                           for s in sequences), 20, "the outcomes of the exec actions are in the journal")
    server.kill()
    sink.status = 200
    server.start()
    wait_until(lambda: {b for _, b, s in sink.seen(200)} >= set(bodies), 20, "the http actions after the restart")
    time.sleep(1)
    expect(len(marker.runs()), 10, "exec runs: those that were done are not done again")
    expect(len(sink.seen(200)), 10, "successful calls")


@test("sequences go on after a restart")
def sequences(context):
    server = context.server(plain_hook())
    last = 0
    for _ in range(4):
        for _ in range(5):
            sequence = server.push().sequence
            expect_that(sequence > last, "sequence %d after %d" % (sequence, last))
            last = sequence
        server.kill()
        server.start()


# - Damage

def segments(server):
    """The files of the journal that hold records, largest first."""
    files = [f for f in glob.glob(os.path.join(server.data, "**"), recursive=True) if os.path.isfile(f)]
    return sorted(files, key=os.path.getsize, reverse=True)


def holding(server, text):
    """(file, offset) of the first file that holds `text`."""
    for path in segments(server):
        with open(path, "rb") as f:
            place = f.read().find(text.encode())
        if place >= 0:
            return path, place
    raise Failure("no file of the journal holds %s" % text)


@test("a damaged record is reported and skipped, the others stay")
def damaged_record(context):
    marker = Marker(context.folder)
    server = context.server(plain_hook(), flags=["--allow-exec"])
    ids = [delivery_id() for _ in range(30)]
    for one in ids:
        server.push(delivery=one)
    server.stop()
    result = context.command("journal", "verify", "--data-dir", server.data)
    expect(result.returncode, 0, "`journal verify` of a sound journal: " + result.stdout + result.stderr)
    result = context.command("journal", "inspect", "--data-dir", server.data)
    expect(result.returncode, 0, "`journal inspect`: " + result.stderr)
    for one in ids:
        expect_that(one in result.stdout, "`journal inspect` does not show %s" % one)
    path, place = holding(server, ids[9])
    with open(path, "r+b") as f:
        f.seek(place + 300)
        byte = f.read(1)
        f.seek(place + 300)
        f.write(bytes([byte[0] ^ 0x40]))
    result = context.command("journal", "verify", "--data-dir", server.data)
    expect(result.returncode, 1, "`journal verify` of a damaged journal: " + result.stdout + result.stderr)
    expect_that(os.path.basename(path) in result.stdout + result.stderr, "the damaged file is not named: %r" % (
        result.stdout + result.stderr))
    server.start()
    expect_that("damage" in server.log_text().lower(), "the damage is not in the log:\n" + server.tail())
    expect(server.push().status, 200, "a delivery afterwards")
    for one in ids[:9] + ids[10:]:
        expect(server.push(delivery=one).decision, "duplicate", "a record that was not damaged (%d)" % ids.index(one))


@test("a torn tail is cut without an alarm")
def torn_tail(context):
    server = context.server(plain_hook())
    ids = [delivery_id() for _ in range(10)]
    for one in ids:
        server.push(delivery=one)
    server.kill()
    path, place = holding(server, ids[-1])
    with open(path, "r+b") as f:        # the last record only: its second half never reached the disk
        f.seek(place + 2000)
        f.write(bytes(7500))
    server.start()
    for one in ids[:-1]:
        expect(server.push(delivery=one).decision, "duplicate", "a record before the tail")
    expect(server.push().status, 200, "a new delivery")


@test("a journal of garbage is reported, and the server starts or says why not")
def garbage(context):
    server = context.server(plain_hook())
    for _ in range(5):
        server.push()
    server.stop()
    generator = random.Random(11)
    for path in segments(server):
        if os.path.getsize(path) > 4096:
            with open(path, "r+b") as f:
                f.write(generator.randbytes(min(os.path.getsize(path), 1 << 20)))
    result = context.command("journal", "verify", "--data-dir", server.data)
    expect(result.returncode, 1, "`journal verify`: " + result.stdout + result.stderr)
    server.start()
    expect(server.push().status, 200, "a delivery afterwards")
    expect_that(re.search("damage|corrupt|unreadable|not a segment|no segment", server.log_text(), re.I),
                "the log says nothing of it:\n" + server.tail())


@test("a data directory where the disk is full: 503, then well again", alone=True)
def full_disk(context):
    if os.geteuid() != 0:
        raise Skip("a small file system needs root")
    folder = os.path.join(context.folder, "small")
    os.makedirs(folder)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m,mode=700", "none", folder],
                      capture_output=True).returncode != 0:
        raise Skip("this system forbids mounting")
    try:
        # Owed deliveries: their action cannot be carried out, so no segment of theirs may be used again.
        server = context.server(plain_hook(actions='[{http: {url: "http://127.0.0.1:%d/", timeout: 1s}}]' % free_port()),
                                start=False)
        server.data = os.path.join(folder, "data")
        server.start()
        expect(server.push().status, 200, "before")
        # Unbuffered: what does not fit would be tried once more when the file is closed.
        with open(os.path.join(folder, "filler"), "wb", buffering=0) as f:
            try:
                while f.write(bytes(1 << 20)):
                    pass
            except OSError:
                pass
        body = padded_push(1 << 20)
        refused, unready, deadline = 0, set(), time.monotonic() + PATIENCE
        while (refused < 20 or not unready) and time.monotonic() < deadline:
            with server.connect() as connection:
                answer = connection.exchange(request(PATH, body, github(body)))
            expect_in(answer.status, {200, 503}, "status on a full disk")
            if answer.status == 503:
                refused += 1
                expect_that(answer.field("Retry-After"), "503 without Retry-After")
                status, why = server.admin("/readyz")
                if status == 503:
                    unready.add(why)
                time.sleep(0.1)
        expect_that(refused >= 20, "only %d refusals on a full disk" % refused)
        expect_that(unready, "/readyz never failed while deliveries were refused on a full disk")
        expect_that(re.search("space|full", server.log_text(), re.I), "the log says nothing of the full disk:\n"
                    + server.tail())
        expect(server.admin("/healthz")[0], 200, "/healthz on a full disk")
        os.remove(os.path.join(folder, "filler"))
        wait_until(lambda: server.push().status == 200, 15, "a delivery after room was made")
        wait_until(server.is_ready, 5, "ready again")
        server.stop()
    finally:
        for server in context.servers:
            server.kill()
        subprocess.run(["umount", "-l", folder], capture_output=True)


@test("a log that wraps keeps answering and stays within its bound", alone=True)
def wrapping(context):
    limit = 256 << 20
    server = context.server(plain_hook(), flags=["--journal-max-bytes", "256MiB"])
    body = padded_push(1 << 20)
    with server.connect() as connection:
        for i in range(400):
            answer = connection.exchange(request(PATH, body, github(body)))
            expect(answer.status, 200, "delivery %d" % i)
    size = sum(os.path.getsize(p) for p in segments(server))
    expect_that(size <= limit + (64 << 20), "the journal holds %d MiB" % (size >> 20))
    server.kill()
    server.start()
    expect(server.push().status, 200, "after a restart")
