"""Copying a journal out and in, and format versions: `grapnel journal export`, `import`, `upgrade`."""
import glob
import json
import os
import struct
import time
import zlib

from harness import delivery_id, expect, expect_that, padded_push, plain_hook, wait_until
from registry import test
from test_drain import http_hook, owed


def export(context, folder, *more, timeout=300):
    return context.command("journal", "export", "--data-dir", folder, *more, timeout=timeout)


def take_in(context, archive, folder, *more, timeout=300):
    return context.command("journal", "import", archive, "--data-dir", folder, *more, timeout=timeout)


def lines_of(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def contents(folder):
    return {p: open(p, "rb").read() for p in glob.glob(folder + "/**", recursive=True) if os.path.isfile(p)}


@test("export beside a running server, import elsewhere: owed stays owed, finished stays finished, repeating adds nothing")
def there_and_back(context):
    good = context.sink(status=200)
    server = context.server(http_hook(good.url))
    for i in range(5):
        expect(server.push(padded_push(900, "done %d" % i)).status, 200, "status")
    wait_until(lambda: len(good.seen(200)) == 5, 10, "carried out")
    good.status = 503
    ids = [delivery_id() for _ in range(7)]
    for one in ids:
        expect(server.push(padded_push(900, "owed"), delivery=one).status, 200, "status")

    archive = os.path.join(context.folder, "archive.ndjson")

    def whole():
        if os.path.exists(archive):
            os.remove(archive)
        result = export(context, server.data, "--output", archive)
        expect(result.returncode, 0, "export\n" + result.stderr)
        states = [line["state"] for line in lines_of(archive)[1:-1]]
        return (states.count("done"), states.count("owed")) == (5, 7)
    # Outcomes and the last mark of durability come within two seconds.
    wait_until(whole, 20, "all deliveries and their states in the archive of a running server")
    expect(os.stat(archive).st_mode & 0o777, 0o600, "mode of the archive")
    expect_that(not os.path.exists(archive + ".partial"), "a partial archive was left")
    result = export(context, server.data, "--output", archive)
    expect_that(result.returncode == 1 and "exists" in result.stderr, "over a file: %r" % (result,))
    piped = export(context, server.data, "--owed")
    expect(len(piped.stdout.splitlines()), 7 + 2, "lines of what is owed")
    server.kill()

    new = os.path.join(context.folder, "new")
    result = take_in(context, archive, new, "--dry-run")
    expect_that("would import 7 owed and 5 finished" in result.stdout, "dry run: %r" % (result,))
    expect_that(not os.path.exists(new), "a dry run made a directory")
    for attempt in range(3):
        result = take_in(context, archive, new)
        expect(result.returncode, 0, "import\n" + result.stderr)
        said = "imported 7 owed and 5 finished" if attempt == 0 else "0 owed and 0 finished deliveries; 12 were here"
        expect_that(said in result.stdout, result.stdout)
        expect(owed(context, new), 7, "owed")

    again = os.path.join(context.folder, "again.ndjson")
    expect(export(context, new, "--output", again).returncode, 0, "export of the import")
    for old, copy in zip(lines_of(archive)[1:-1], lines_of(again)[1:-1]):
        for member in ("origin", "receivedAt", "decision", "name", "deliveryID", "head", "body", "plan", "plannedAt"):
            expect(copy.get(member), old.get(member), "%s of #%d" % (member, old["sequence"]))
        expect(copy["state"], old["state"], "state of #%d" % old["sequence"])
        expect([o["outcome"] for o in copy.get("outcomes", [])][-1:], [o["outcome"] for o in old.get("outcomes", [])][-1:],
               "how #%d ended" % old["sequence"])

    heir = context.server(http_hook(good.url), start=False)
    heir.data = new
    good.status = 200
    heir.start()
    wait_until(lambda: len(good.seen(200)) >= 5 + 7, 20, "what was owed")
    time.sleep(1)
    expect(len(good.seen(200)), 5 + 7, "calls: nothing that was done is done again")
    heir.stop()
    expect(owed(context, new), 0, "owed at the end")


@test("an archive that is cut off, changed or something else: what stands before is taken, or nothing at all; exit 1")
def broken_archives(context):
    server = context.server(plain_hook())
    for i in range(8):
        expect(server.push(padded_push(900, "x %d" % i)).status, 200, "status")
    server.stop()
    archive = os.path.join(context.folder, "archive")
    expect(export(context, server.data, "--output", archive).returncode, 0, "export")
    with open(archive, "rb") as f:
        whole = f.read()
    lines = whole.splitlines(keepends=True)

    def attempt(name, data, count, words, code=1):
        path, folder = os.path.join(context.folder, name), os.path.join(context.folder, name + "-data")
        with open(path, "wb") as f:
            f.write(data)
        result = take_in(context, path, folder)
        expect(result.returncode, code, "%s\n%s%s" % (name, result.stdout, result.stderr))
        expect_that(words in result.stderr, "%s: %r" % (name, result))
        if count is None:
            expect_that(not os.path.exists(folder), name + " made a directory")
        else:
            expect_that("and %d finished" % count in result.stdout, "%s: %s" % (name, result.stdout))

    attempt("empty", b"", None, "is not an archive")
    attempt("garbage", os.urandom(5000), None, "is not an archive")
    attempt("json", b'{"a":1}\n', None, "is not an archive")
    attempt("headless", b"".join(lines[1:]), None, "is not an archive")
    attempt("future", whole.replace(b'"version":1', b'"version":7', 1), None, "is not an archive")
    attempt("cut", whole[:len(whole) - len(lines[-1]) - 10], 7, "cut off")
    attempt("endless", b"".join(lines[:-1]), 8, "cut off")
    attempt("short", b"".join(lines[:4] + lines[-1:]), 3, "says that it has 8")
    changed = lines[3].replace(b'"body":"eyJ', b'"body":"eyK', 1)
    expect_that(changed != lines[3], "the body does not begin as expected")
    attempt("changed", b"".join(lines[:3] + [changed] + lines[4:]), 2, "line 4 holds a record that is not what was exported")
    result = take_in(context, archive, server.data)
    expect_that(result.returncode == 0 and "8 were here" in result.stdout, "into its own: %r" % (result,))
    server.start()
    result = take_in(context, archive, server.data)
    expect_that(result.returncode == 3 and "in use" in result.stderr, "into a running server: %r" % (result,))
    expect(take_in(context, os.path.join(context.folder, "missing"), server.data).returncode, 3, "no such file")
    expect(export(context, os.path.join(context.folder, "missing")).returncode, 3, "no such directory")


@test("a data directory of an unknown format version is refused by name, and no byte of it is touched")
def unknown_version(context):
    server = context.server(plain_hook())
    expect(server.push().status, 200, "status")
    server.stop()
    result = context.command("journal", "upgrade", "--data-dir", server.data)
    expect_that(result.returncode == 0 and "format version 1: nothing to do" in result.stdout, "upgrade: %r" % (result,))
    expect(context.command("journal", "upgrade", "--data-dir", server.data, "--to", "9").returncode, 1, "upgrade --to 9")
    for path in glob.glob(server.data + "/journal/*.segment"):
        with open(path, "r+b") as f:
            for base in (0, 2048):
                f.seek(base)
                block = bytearray(f.read(68))
                block[8:12] = struct.pack("<I", 2)
                f.seek(base)
                f.write(block + struct.pack("<I", zlib.crc32(bytes(block))))
    before = contents(server.data)
    for command in (["serve", "--manifests", server.manifests, "--listen", "127.0.0.1:0",
                     "--admin-listen", "127.0.0.1:0"], ["journal", "upgrade"],
                    ["journal", "export"]):
        result = context.command(*command, "--data-dir", server.data)
        expect(result.returncode, 3, " ".join(command) + "\n" + result.stderr)
        expect_that("format version 2, and this grapnel reads 1" in result.stderr, result.stderr)
        expect_that("Start the version of grapnel that wrote it" in result.stderr, result.stderr)
    expect(context.command("journal", "verify", "--data-dir", server.data).returncode, 1, "verify")
    expect_that(contents(server.data) == before, "the directory changed")


@test("verify and inspect of what is no segment: empty, cut, foreign, a directory, unreadable; never a crash, status 1 or 0")
def strange_files(context):
    server = context.server(plain_hook())
    for i in range(3):
        expect(server.push().status, 200, "status")
    server.stop()
    folder = server.data + "/journal/"
    segment = sorted(glob.glob(folder + "*.segment"))[0]
    with open(segment, "rb") as f:
        data = f.read()
    strange = {"empty": b"", "short": data[:100], "head": data[:8192], "foreign": b"PNG" + os.urandom(9000), "zeros": bytes(70_000)}
    for name, content in strange.items():
        path = folder + "00000000000000ff.segment"
        with open(path, "wb") as f:
            f.write(content)
        for what in ("verify", "inspect"):
            result = context.command("journal", what, "--data-dir", server.data)
            # One whole copy of the identity and no record is a segment that was prepared.
            codes = (0, 1) if name in ("short", "head") else (1,)
            expect_that(result.returncode in codes, "%s of %s: %r" % (what, name, result))
        os.remove(path)
    os.makedirs(folder + "00000000000000fe.segment")
    os.symlink("/etc/hostname", folder + "00000000000000fd.segment")
    with open(folder + "notes.txt", "w") as f:
        f.write("not ours")
    result = context.command("journal", "verify", "--data-dir", server.data)
    expect(result.returncode, 0, "with a directory, a link and a foreign file\n" + result.stdout)
    os.rmdir(folder + "00000000000000fe.segment")
    os.remove(folder + "00000000000000fd.segment")
    with open(segment, "wb") as f:
        f.write(data[:len(data) // 2])
    expect_that(context.command("journal", "inspect", "--data-dir", server.data).returncode in (0, 1), "a segment cut in half")
    server.start()
    expect(server.push().status, 200, "the server goes on")
