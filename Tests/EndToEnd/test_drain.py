"""Draining a server, and taking over what a server that is gone still owes: `grapnel drain`, `grapnel journal replay`."""
import glob
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time

from apikit import Api
from harness import (PATIENCE, Failure, Skip, delivery_id, expect, expect_in, expect_that, free_port, padded_push, plain_hook,
                     wait_until)
from registry import test


def http_hook(url, **more):
    """Manifests with one http action; attempts come often."""
    return plain_hook(actions='[{http: {url: "%s", timeout: 60s}}]' % url,
                      more="retry: {attempts: 1000, backoff: 100ms, maxBackoff: 300ms}", **more)


def owing(context, count, sink, **more):
    """A server that owes `count` deliveries, because the sink refuses them. Returns it and the delivery ids."""
    server = context.server(http_hook(sink.url), **more)
    ids = [delivery_id() for _ in range(count)]
    for i, one in enumerate(ids):
        expect(server.push(padded_push(900, "owed %d" % i), delivery=one).status, 200, "status")
    return server, ids


def owed(context, folder):
    """How many deliveries a stopped server's journal owes."""
    result = context.command("journal", "verify", "--data-dir", folder)
    return int(result.stdout.split(" owed")[0].split()[-1])


def replay(context, source, target, *more, timeout=300):
    return context.command("journal", "replay", source, "--data-dir", target, *more, timeout=timeout)


# - Draining

@test("drain: the server stops accepting, works off what it owes, and ends; exit 0")
def drained(context):
    sink = context.sink(status=503)
    server, ids = owing(context, 20, sink)
    working = lambda: "working off what is owed" in server.log_text()

    def heal():
        wait_until(working, 30, "the server works off what is owed")
        sink.status = 200
    healing = threading.Thread(target=heal, daemon=True)
    healing.start()
    result = context.command("drain", "--data-dir", server.data, "--timeout", "10m")
    healing.join()
    expect((result.returncode, result.stdout.strip()), (0, "nothing is owed: %s may go" % server.data),
           "drain\n" + result.stderr)
    expect(server.process.wait(PATIENCE), 0, "exit status of the server")
    expect(len(sink.seen(200)), 20, "successful calls")
    expect_that(working(), "no progress in the log\n" + server.tail())
    expect_that("nothing is owed any more" in server.log_text(), "no end in the log\n" + server.tail())
    expect(owed(context, server.data), 0, "owed in the journal")
    expect(context.command("drain", "--data-dir", server.data).returncode, 0, "drain of a stopped server")


@test("drain with several loops, under load")
def drained_under_load(context):
    sink = context.sink(status=200)
    server = context.server(http_hook(sink.url), loops=2)
    answered, lock, ending = [], threading.Lock(), threading.Event()

    def send():
        while not ending.is_set():
            one = delivery_id()
            try:
                if server.push(padded_push(900), delivery=one).status == 200:
                    with lock:
                        answered.append(one)
            except Exception:
                return

    senders = [threading.Thread(target=send, daemon=True) for _ in range(8)]
    for sender in senders:
        sender.start()
    wait_until(lambda: len(answered) >= 100, 30, "the load has begun")
    result = context.command("drain", "--data-dir", server.data, "--timeout", "10m", timeout=600)
    ending.set()
    for sender in senders:
        sender.join(PATIENCE)
    expect(result.returncode, 0, "drain\n" + result.stdout + result.stderr)
    calls = {h["webhook-id"] for h, _, s in sink.seen(200)}
    expect(len(calls), len(answered), "deliveries carried out, of those answered 200")


@test("drain whose time is over: exit 1, and what is owed stays; a stopped server that owes says so too")
def drained_in_vain(context):
    sink = context.sink(status=503)
    server, ids = owing(context, 3, sink)
    # Without the limit it would wait for 10 minutes, and the command would be ended here.
    result = context.command("drain", "--data-dir", server.data, "--timeout", "2s")
    expect(result.returncode, 1, "exit status\n" + result.stdout + result.stderr)
    expect_that("3 deliveries are still owed" in result.stdout, "what is owed: " + result.stdout)
    expect_that("keep " + server.data in result.stderr, "what to do: " + result.stderr)
    expect(server.process.wait(PATIENCE), 0, "exit status of the server")
    expect_that("keep the data directory" in server.log_text(), "nothing of it in the log\n" + server.tail())
    result = context.command("drain", "--data-dir", server.data)
    expect((result.returncode, "3 deliveries are still owed" in result.stdout), (1, True), "drain of the stopped server")
    sink.status = 200
    server.start()
    wait_until(lambda: len(sink.seen(200)) == 3, 10, "carried out after the restart")


@test("SIGTERM with --drain-timeout works off what is owed; a second signal ends the waiting")
def drain_timeout(context):
    sink = context.sink(status=503)
    server, _ = owing(context, 5, sink, flags=["--drain-timeout", "1h"])
    working = lambda: server.log_text().count("working off what is owed")
    server.signal(signal.SIGTERM)
    wait_until(working, 10, "it works off what is owed")
    time.sleep(1)
    expect(server.process.poll(), None, "it waits for what is owed")
    sink.status = 200
    expect(server.process.wait(PATIENCE), 0, "exit status")
    expect(len(sink.seen(200)), 5, "successful calls")
    server.process = None
    sink.status, before = 503, working()
    server.start()
    expect(server.push().status, 200, "status")
    server.signal(signal.SIGTERM)
    wait_until(lambda: working() > before, 10, "it works off what is owed")
    server.signal(signal.SIGTERM)
    expect(server.process.wait(PATIENCE), 0, "exit status after a second signal")


@test("drain in the wrong place: no directory, none that was used, a file, a lock without a server, wrong flags")
def drain_errors(context):
    result = context.command("drain", "--data-dir", os.path.join(context.folder, "missing"))
    expect_that(result.returncode == 3 and "No such file" in result.stderr, "missing: %r" % (result,))
    os.makedirs(os.path.join(context.folder, "empty"))
    expect(context.command("drain", "--data-dir", os.path.join(context.folder, "empty")).returncode, 0, "never used")
    with open(os.path.join(context.folder, "file"), "w"):
        pass
    expect(context.command("drain", "--data-dir", os.path.join(context.folder, "file")).returncode, 3, "a file")
    expect(context.command("drain", "--timeout", "soon").returncode, 2, "a timeout that is none")
    expect(context.command("drain", "--timeout", "8d").returncode, 2, "a timeout that is too long")
    server = context.server(plain_hook())
    record = os.path.join(server.data, "server.json")
    for content in (b"", b"{", b'{"process":{"pid":1,"started":1},"admin":"","listen":[],"version":""}', os.urandom(200)):
        with open(record, "wb") as f:
            f.write(content)
        result = context.command("drain", "--data-dir", server.data)
        expect_that(result.returncode == 3 and "SIGTERM" in result.stderr, "server.json %r: %r" % (content[:20], result))
    os.remove(record)
    expect(context.command("drain", "--data-dir", server.data).returncode, 3, "no server.json")
    expect(server.push().status, 200, "the server goes on")


@test("a wish to drain that was left for another process is not followed")
def stale_request(context):
    sink = context.sink(status=503)
    server, _ = owing(context, 1, sink)
    with open(os.path.join(server.data, "drain.json"), "w") as f:
        json.dump({"process": {"pid": server.pid, "started": 1}, "timeoutNanoseconds": 3_600_000_000_000}, f)
    server.stop()                   # by far sooner than it would work off what is owed
    expect_that("working off" not in server.log_text(), "it worked off what is owed\n" + server.tail())
    expect_that(not os.path.exists(os.path.join(server.data, "drain.json")), "the wish is still there")


# - Taking over

@test("replay: what a dead server owes is carried out once by another, which keeps time and id; repeating adds nothing")
def adopted(context):
    sink = context.sink(status=503)
    dead, ids = owing(context, 12, sink)
    wait_until(lambda: len(sink.seen(503)) >= 3, 10, "attempts")
    dead.kill()
    before = {p: open(p, "rb").read() for p in glob.glob(dead.data + "/**", recursive=True) if os.path.isfile(p)}
    heir = context.server(http_hook(sink.url))
    expect(heir.push().status, 200, "a delivery of its own")
    result = replay(context, dead.data, heir.data)
    expect_that(result.returncode == 3 and "in use" in result.stderr, "into a running server: %r" % (result,))
    heir.stop()
    result = replay(context, dead.data, heir.data, "--dry-run")
    expect_that(result.returncode == 0 and "would adopt 12 deliveries" in result.stdout, "dry run: %r" % (result,))
    for one in ids:
        expect_that('id="%s"' % one in result.stdout, "the list lacks " + one)
    expect(owed(context, heir.data), 1, "a dry run changes nothing")
    for attempt in range(3):
        result = replay(context, dead.data, heir.data)
        expect(result.returncode, 0, "exit status\n" + result.stdout + result.stderr)
        expect_that(("adopted 12 deliveries" if attempt == 0 else "12 were here already") in result.stdout, result.stdout)
        expect(owed(context, heir.data), 13, "owed")
    sink.status = 200
    heir.start()
    wait_until(lambda: len(sink.seen(200)) >= 13, 15, "successful calls")
    time.sleep(1)
    expect(len(sink.seen(200)), 13, "successful calls")
    heir.stop()
    # Final by now: the records or the ledger say that they were here.
    result = replay(context, dead.data, heir.data)
    expect_that("adopted 0 deliveries" in result.stdout and "12 were here already" in result.stdout, result.stdout)
    expect(owed(context, heir.data), 0, "owed")
    text = context.command("journal", "inspect", "--data-dir", heir.data).stdout
    first = context.command("journal", "inspect", "--data-dir", dead.data).stdout
    for one in ids:
        new, old = ([line.split() for line in t.splitlines() if one in line][0] for t in (text, first))
        expect(new[2], old[2], "the time of " + one)
        expect_that(any(w.startswith("adopted(") and w.endswith(old[1] + ")") for w in new), "no origin: %r" % new)
    after = {p: open(p, "rb").read() for p in glob.glob(dead.data + "/**", recursive=True) if os.path.isfile(p)}
    expect_that(before == after, "the old directory changed")
    # Again by a third: the origin stays the first, and what came from the third itself is left alone.
    third = os.path.join(context.folder, "third")
    expect_that("owes nothing" in replay(context, heir.data, third).stdout, "a journal that owes nothing")


@test("replay: an action that is done is not done again")
def partly_done(context):
    good, bad = context.sink(status=200), context.sink(status=503)
    actions = '[{http: {url: "%s"}}, {http: {url: "%s"}}]' % (good.url, bad.url)
    manifests = plain_hook(actions=actions, more="retry: {attempts: 1000, backoff: 100ms, maxBackoff: 300ms}")
    dead = context.server(manifests)
    sequences = []
    for i in range(6):
        answer = dead.push(padded_push(900, "part %d" % i))
        expect(answer.status, 200, "status")
        sequences.append(answer.sequence)
    wait_until(lambda: len(good.seen()) == 6 and len(bad.seen()) >= 6, 10, "the first action of each, tries of the second")
    # Outcomes ride with the next group, or within a second.
    api = Api(dead)
    wait_until(lambda: [[entry["outcome"] for entry in api.get("/deliveries/%d" % s)[1]["plan"] or []]
                        for s in sequences] == [["done", "failed"]] * 6, 20, "the outcomes are in the journal")
    dead.kill()
    heir = context.server(manifests, start=False)
    expect(replay(context, dead.data, heir.data).returncode, 0, "replay")
    bad.status = 200
    heir.start()
    wait_until(lambda: len(bad.seen(200)) >= 6, 10, "the second actions")
    time.sleep(0.5)
    expect((len(good.seen()), len(bad.seen(200))), (6, 6), "calls")


@test("replay killed again and again, then repeated: each delivery is carried out once", alone=True)
def killed(context):
    sink = context.sink(status=503)
    dead, ids = owing(context, 1500, sink)
    dead.kill()
    heir = context.server(http_hook(sink.url), start=False)
    command = [context.grapnel, "journal", "replay", dead.data, "--data-dir", heir.data]
    rounds, ended = 0, False
    while not ended and rounds < 40:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0.0, 0.02) * (rounds + 1))
        process.kill()
        ended = process.wait() == 0
        rounds += 1
    expect_that(rounds > 1, "it was never killed")
    result = replay(context, dead.data, heir.data)
    expect(result.returncode, 0, "at last\n" + result.stderr)
    expect(owed(context, heir.data), 1500, "owed after %d rounds" % rounds)
    sink.status = 200
    heir.start()
    wait_until(lambda: len(sink.seen(200)) >= 1500, 60, "successful calls")
    time.sleep(1)
    calls = [h["webhook-id"] for h, _, s in sink.seen(200)]
    expect((len(calls), len(set(calls))), (1500, 1500), "successful calls, and different ones")


@test("replay of a damaged journal: what can be read is adopted, what cannot is named; exit 1")
def damaged(context):
    sink = context.sink(status=503)
    dead, ids = owing(context, 10, sink)
    time.sleep(1.5)                             # a later record says that they were durable
    expect(dead.push().status, 200, "one more")
    dead.kill()
    lines = context.command("journal", "inspect", "--data-dir", dead.data).stdout.splitlines()
    victim = [line.split() for line in lines if ids[4] in line][0]
    path = glob.glob(dead.data + "/journal/*.segment")[0]
    for path in sorted(glob.glob(dead.data + "/journal/*.segment")):
        with open(path, "r+b") as f:
            data = f.read()
            at = data.find(b"owed 4")
            if at >= 0:
                f.seek(at)
                f.write(b"OWED 4")
    heir = os.path.join(context.folder, "heir")
    result = replay(context, dead.data, heir)
    expect(result.returncode, 1, "exit status\n" + result.stdout + result.stderr)
    expect_that("adopted 10 deliveries" in result.stdout, result.stdout)
    expect_that("record %s is lost" % victim[1] in result.stderr, "what is lost: " + result.stderr)
    expect(owed(context, heir), 10, "owed")
    result = replay(context, dead.data, heir)
    expect_that(result.returncode == 1 and "10 were here already" in result.stdout, "again: %r" % (result,))
    # Garbage where segments should be.
    for path in glob.glob(dead.data + "/journal/*"):
        with open(path, "wb") as f:
            f.write(os.urandom(50_000))
    result = replay(context, dead.data, os.path.join(context.folder, "heir-2"))
    expect_in(result.returncode, {1}, "garbage: " + result.stdout + result.stderr)


@test("replay in the wrong place: no directory, itself, its own copy, one that is in use, wrong flags")
def replay_errors(context):
    sink = context.sink(status=503)
    server, _ = owing(context, 2, sink)
    other = os.path.join(context.folder, "other")
    result = replay(context, server.data, other)
    expect_that(result.returncode == 3 and "grapnel runs on" in result.stderr, "in use: %r" % (result,))
    server.stop()
    result = replay(context, server.data, server.data + "/")
    expect_that(result.returncode == 1 and "same directory" in result.stderr, "itself: %r" % (result,))
    copy = os.path.join(context.folder, "copy")
    shutil.copytree(server.data, copy)
    for more in ((), ("--dry-run",)):
        result = replay(context, server.data, copy, *more)
        expect_that(result.returncode == 1 and "is a copy" in result.stderr, "its copy: %r" % (result,))
    result = replay(context, os.path.join(context.folder, "missing"), other)
    expect_that(result.returncode == 3 and "missing" in result.stderr, "missing: %r" % (result,))
    expect_that(not os.path.exists(other), "a directory was made for nothing")
    expect(replay(context, server.data, other, "--journal-max-bytes", "many").returncode, 2, "wrong size")
    with open(os.path.join(context.folder, "file"), "w"):
        pass
    expect(replay(context, server.data, os.path.join(context.folder, "file")).returncode, 3, "a file")
    expect(context.command("journal", "replay").returncode, 2, "no directory")


@test("replay onto a full disk: says so, and after room was made the rest follows", alone=True)
def full_disk(context):
    if os.geteuid() != 0:
        raise Skip("a small file system needs root")
    sink = context.sink(status=503)
    dead = context.server(http_hook(sink.url))
    for i in range(60):
        expect(dead.push(padded_push(1 << 20, "large %d" % i)).status, 200, "status")
    dead.kill()
    folder = os.path.join(context.folder, "small")
    os.makedirs(folder)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=260m,mode=700", "none", folder],
                      capture_output=True).returncode != 0:
        raise Skip("this system forbids mounting")
    try:
        heir, filler = os.path.join(folder, "data"), os.path.join(folder, "filler")
        with open(filler, "wb") as f:
            f.write(bytes(230 << 20))
        result = replay(context, dead.data, heir, timeout=120)
        expect(result.returncode, 3, "on a full disk\n" + result.stdout + result.stderr)
        expect_that("full" in result.stderr and "repeat" in result.stderr, "what to do: " + result.stderr)
        part = owed(context, heir) if os.path.exists(heir + "/journal") else 0
        expect_that(part < 60, "all of it fitted")
        os.remove(filler)
        result = replay(context, dead.data, heir, timeout=120)
        expect(result.returncode, 0, "with room\n" + result.stdout + result.stderr)
        expect(owed(context, heir), 60, "owed")
        result = replay(context, dead.data, heir, timeout=120)
        expect_that("60 were here already" in result.stdout, result.stdout)
    finally:
        subprocess.run(["umount", "-l", folder], capture_output=True)
