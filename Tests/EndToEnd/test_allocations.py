"""The way to the answer allocates nothing: counted on the release binary, in the loop's own thread.

A preloaded library counts each thread's allocations (Tests/Support/alloc_counter.c). It is itself shown to count by a
program that is known to allocate.
"""
import mmap
import os
import shutil
import struct
import subprocess

from harness import ROOT, TOKEN, Skip, delivery_id, expect, expect_that, github, padded_push, plain_hook, request
from registry import test

SUPPORT = os.path.join(ROOT, "Tests", "Support")
SLOT = struct.Struct("<iiQQ")           # process, thread, allocations, bytes
HEADER_BYTES, SLOTS = 64, 1024


class Counter:
    """The counting library, compiled, and the file that it counts into."""

    def __init__(self, folder):
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if not compiler:
            raise Skip("there is no C compiler (make deps)")
        self.compiler, self.folder = compiler, folder
        self.library = os.path.join(folder, "alloc_counter.so")
        self.file = os.path.join(folder, "counts")
        self.compile(["-shared", "-fPIC", "-o", self.library, os.path.join(SUPPORT, "alloc_counter.c")])
        self.reset()

    def compile(self, arguments):
        result = subprocess.run([self.compiler, "-O2", "-Wall", "-Werror", *arguments], capture_output=True, text=True)
        expect(result.returncode, 0, "the compiler: " + result.stderr)

    def reset(self):
        with open(self.file, "wb") as f:
            f.write(bytes(HEADER_BYTES + SLOTS * SLOT.size))

    @property
    def environment(self):
        return {"LD_PRELOAD": self.library, "ALLOC_COUNTER_FILE": self.file}

    def counts(self, process):
        """{thread id: (allocations, bytes)} of one process so far."""
        with open(self.file, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
            slots = [SLOT.unpack_from(data, HEADER_BYTES + i * SLOT.size) for i in range(SLOTS)]
        return {thread: (allocations, size) for owner, thread, allocations, size in slots if owner == process}


@test("the allocation counter counts every way to allocate, thread by thread")
def counter_counts(context):
    counter = Counter(context.folder)
    program = os.path.join(context.folder, "proof")
    counter.compile(["-o", program, os.path.join(SUPPORT, "alloc_counter_proof.c"), "-pthread"])
    result = subprocess.run([program], env=dict(os.environ, **counter.environment), capture_output=True, text=True)
    expect(result.returncode, 0, "the program: " + result.stderr)
    process, busy, quiet, expected = map(int, result.stdout.split())
    counts = counter.counts(process)
    expect(counts.get(busy, (0, 0))[0], expected, "allocations of the thread that allocates")
    expect(counts.get(quiet, (0, 0))[0], 0, "allocations of the thread that does not")


@test("a good 8 KiB delivery allocates nothing in the loop's thread", alone=True)
def nothing_per_delivery(context):
    # The index of delivery ids doubles at powers of two: the warm-up ends behind 4096 deliveries, and the measured ones
    # stay below 8192. Most of the warm-up is small, so that no new segment is begun meanwhile.
    # What each delivery allocated would show in every window; the change to the journal's own thread, which a slow disk brings about
    # once, shows in one.
    small, warm_up, measured, windows, growing, parallel = 4096, 320, 1200, 3, 16_000, 16
    for what, actions in (("nothing to do", "[]"), ("a log action", "[{log: {}}]")):
        counter = Counter(context.folder)
        server = context.server(plain_hook(actions=actions), loops=1, env=counter.environment)
        connections = [server.connect() for _ in range(parallel)]

        def deliver(count, body=padded_push(8192)):
            for _ in range(count // parallel):
                for connection in connections:
                    connection.send(request("/hooks/team-a/webapp", body, github(body)))
                for connection in connections:
                    expect(connection.answer().status, 200, "status")

        def in_loops():
            threads = server.threads()
            counts = counter.counts(server.pid)
            loops = [tid for tid, name in threads.items() if name.startswith("loop-")]
            expect(len(loops), 1, "threads named loop-N in %r" % threads)
            return counts.get(loops[0], (0, 0))
        deliver(small, padded_push(200))
        deliver(warm_up)
        found = []
        for _ in range(windows):
            before = in_loops()
            deliver(measured)
            after = in_loops()
            found.append((after[0] - before[0], after[1] - before[1]))
        deliver(growing)
        much_later = in_loops()
        for connection in connections:
            connection.close()
        expect_that(sum(a for a, _ in counter.counts(server.pid).values()) > 100,
                    "the counter saw next to nothing in the whole server: does it work?")
        expect_that(sorted(count for count, _ in found)[1] == 0 and max(count for count, _ in found) < 10,
                    "allocations in the loop's thread for %d windows of %d deliveries with %s (count, bytes): %r" % (
                        windows, measured, what, found))
        expect_that(much_later[0] - after[0] <= 40, "%d allocations (%d bytes) for %d more deliveries, in which tables "
                    "grow and segments change" % (much_later[0] - after[0], much_later[1] - after[1], growing))
        server.stop()


@test("refused deliveries allocate nothing in the loop's thread either", alone=True)
def nothing_per_refusal(context):
    counter = Counter(context.folder)
    server = context.server(plain_hook(), loops=1, env=counter.environment)
    body = padded_push(8192)
    with server.connect() as connection:
        def refuse(count):
            for _ in range(count):
                answer = connection.exchange(request("/hooks/team-a/webapp", body, github(body, "wrong")))
                expect(answer.status, 401, "status")
        refuse(300)
        loops = [tid for tid, name in server.threads().items() if name.startswith("loop-")]
        before = counter.counts(server.pid).get(loops[0], (0, 0))[0]
        refuse(1000)
        after = counter.counts(server.pid).get(loops[0], (0, 0))[0]
    expect(after - before, 0, "allocations for 1000 refused deliveries")
