#!/usr/bin/env python3
"""Nothing answered 2xx is lost when the server is killed: `make crash`.

Each round: the server takes deliveries on 64 connections; one more, marked delivery is sent, and the moment its 2xx is
there the server gets SIGKILL. It is started again on the same data directory, and then the action of the marked
delivery must have run, and that of every delivery of the load that was answered 2xx. The action is an HTTP call to a
receiver in a process of its own, which lives through all rounds.

  crash.py --grapnel FILE [--rounds 50] [--connections 64] [--loops N] [--server-flag FLAG]...

Prints rounds, deliveries, acknowledged, lost, doubled (acted upon twice: the kill came between the call and the note
that it was done; receivers tell by `webhook-id`), and `lost 0 of N`; exit status 0 only when nothing was lost.
"""
import argparse
import multiprocessing
import os
import random
import re
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Tests", "EndToEnd"))

from harness import (Closed, Connection, Failure, Server, TOKEN, free_port, github, hook, padded_push, request,  # noqa: E402
                     secret, wait_until)

LOAD_PATH, MARKED_PATH = "/hooks/team-a/load", "/hooks/team-a/marked"
MARKER = re.compile(rb'"marker":"([^"]*)"')


# - The receiver of the actions

def receive(port, pipe):
    """Process: answers each POST with 200 and counts the marker in its body. Sends a snapshot when asked."""
    counts = {}
    selector = selectors.DefaultSelector()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(1024)
    listener.setblocking(False)
    selector.register(listener, selectors.EVENT_READ, None)
    selector.register(pipe.fileno(), selectors.EVENT_READ, "pipe")
    pipe.send("ready")
    while True:
        for key, _ in selector.select():
            if key.data == "pipe":
                try:
                    pipe.recv()
                    pipe.send(counts)
                except EOFError:
                    return
            elif key.data is None:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    continue
                connection.setblocking(False)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(connection, selectors.EVENT_READ, bytearray())
            else:
                buffer = key.data
                try:
                    data = key.fileobj.recv(1 << 20)
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""
                if not data:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
                    continue
                buffer += data
                while True:
                    end = buffer.find(b"\r\n\r\n")
                    if end < 0:
                        break
                    head = bytes(buffer[:end]).lower()
                    length = re.search(rb"\r\ncontent-length: *(\d+)", head)
                    if length:
                        stop = end + 4 + int(length.group(1))
                        if len(buffer) < stop:
                            break
                    else:
                        last = buffer.find(b"0\r\n\r\n", end + 4)
                        if last < 0:
                            break
                        stop = last + 5
                    marker = MARKER.search(bytes(buffer[end:stop]))
                    name = marker.group(1).decode() if marker else "?"
                    counts[name] = counts.get(name, 0) + 1
                    del buffer[:stop]
                    try:
                        key.fileobj.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    except OSError:
                        break


class Receiver:
    def __init__(self):
        self.port = free_port()
        self.pipe, other = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=receive, args=(self.port, other), daemon=True)
        self.process.start()
        self.pipe.recv()

    def counts(self):
        self.pipe.send("counts")
        return self.pipe.recv()

    def stop(self):
        self.process.terminate()
        self.process.join()


# - The load

class Load(threading.Thread):
    """Deliveries on many connections, closed loop, until the server is gone."""

    def __init__(self, port, prefix, connections, bodies):
        super().__init__(daemon=True)
        self.port, self.prefix, self.connections, self.bodies = port, prefix, connections, bodies
        self.sent, self.acknowledged, self.other = 0, [], 0

    def next(self, state):
        name = "%s-%d" % (self.prefix, self.sent)
        body = padded_push(self.bodies[self.sent % len(self.bodies)], name)
        state["name"], state["in"] = name, b""
        self.sent += 1
        return request(LOAD_PATH, body, github(body))

    def run(self):
        selector = selectors.DefaultSelector()
        living = 0
        for _ in range(self.connections):
            try:
                connection = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            state = {}
            selector.register(connection, selectors.EVENT_READ, state)
            living += 1
            self.push(connection, state)
        while living:
            for key, _ in selector.select(5):
                state = key.data
                try:
                    data = key.fileobj.recv(65536)
                except OSError:
                    data = b""
                state["in"] += data
                end = state["in"].find(b"\r\n\r\n")
                if end >= 0:
                    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", state["in"][:end])
                    if len(state["in"]) >= end + 4 + (int(length.group(1)) if length else 0):
                        if state["in"].startswith(b"HTTP/1.1 2"):
                            self.acknowledged.append(state["name"])
                        else:
                            self.other += 1
                        if data:
                            self.push(key.fileobj, state)
                if not data:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
                    living -= 1

    def push(self, connection, state):
        try:
            connection.sendall(self.next(state))
        except OSError:
            pass                        # the end is seen by the next recv


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grapnel", required=True, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=50, metavar="N")
    parser.add_argument("--connections", type=int, default=64, metavar="N")
    parser.add_argument("--loops", type=int, default=0, metavar="N", help="0: 1 and 2 in turn")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--server-flag", action="append", default=[], metavar="FLAG")
    parser.add_argument("--keep", action="store_true", help="keep the folder with log and data")
    options = parser.parse_args()
    generator = random.Random(options.seed)
    print("seed %d" % options.seed)

    folder = tempfile.mkdtemp(prefix="grapnel-crash-")
    receiver = Receiver()
    action = '[{http: {url: "http://127.0.0.1:%d/", timeout: 5s}}]' % receiver.port
    more = "retry: {attempts: 20, backoff: 100ms, maxBackoff: 1s}"
    server = Server(os.path.abspath(options.grapnel), os.path.join(folder, "server"), {
        "secret.yaml": secret("webhook-token", TOKEN),
        "hooks.yaml": hook("load", actions=action, more=more) + "---\n" + hook("marked", actions=action, more=more)},
        flags=options.server_flag)
    sent, acknowledged, lost, marked_lost, doubled = 0, 0, [], 0, 0
    began, problem, finished = time.monotonic(), None, 0
    try:
        server.loops = options.loops or 1
        server.start()
        for number in range(options.rounds):
            load = Load(server.port, "load-%d" % number, options.connections, (700, 2000, 8192))
            load.start()
            time.sleep(generator.uniform(0.05, 0.5))
            name = "marked-%d" % number
            body = padded_push(generator.choice((700, 8192)), name)
            with Connection(server.port) as connection:
                answer = connection.exchange(request(MARKED_PATH, body, github(body)))
                server.kill()
            if answer.status != 200:
                raise Failure("the marked delivery of round %d was answered %d" % (number, answer.status))
            load.join(30)
            if load.is_alive():
                raise Failure("the load of round %d does not end" % number)
            if load.other:
                raise Failure("%d answers other than 2xx in round %d" % (load.other, number))
            server.loops = options.loops or 1 + (number + 1) % 2
            server.start(seconds=30)
            wanted = set(load.acknowledged) | {name}
            try:
                wait_until(lambda: wanted <= receiver.counts().keys(), 60, "", every=0.05)
            except Failure:
                pass
            counts = receiver.counts()
            missing = wanted - counts.keys()
            lost += missing
            marked_lost += name in missing
            sent += load.sent + 1
            acknowledged += len(wanted)
            finished += 1
            print("round %2d: %5d sent, %5d acknowledged, %d lost%s" % (
                number + 1, load.sent + 1, len(wanted), len(missing), " (marked)" if name in missing else ""),
                flush=True)
        time.sleep(1)
        counts = receiver.counts()
        doubled = sum(1 for n in counts.values() if n > 1)
        server.stop()
    except (Failure, Closed, OSError) as failure:
        problem = str(failure) or type(failure).__name__
        print("stopped: %s\n%s" % (problem, server.tail()))
    finally:
        server.kill()
        receiver.stop()
        if options.keep or lost or problem:
            print("folder: " + folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print("rounds %d, deliveries %d, acknowledged %d, lost %d (marked: %d of %d), doubled %d, %.0f s" % (
        finished, sent, acknowledged, len(lost), marked_lost, finished, doubled, time.monotonic() - began))
    if lost:
        print("lost: " + ", ".join(sorted(lost)[:20]))
    print("lost %d of %d" % (len(lost), acknowledged))
    return 1 if lost or problem or finished < options.rounds else 0


if __name__ == "__main__":
    sys.exit(main())
