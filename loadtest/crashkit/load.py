"""The load: deliveries on many connections, closed loop, until the server is gone. Most lead to an http action, some to a
command, to an S2iRun, to a reconciliation, and some to all of these at once.
"""
import hashlib
import json
import re
import selectors
import socket
import threading
import time

from harness import github, request

TARGETS = ["target-%d" % i for i in range(4)]
# Hook -> kinds of action, in the order of its manifest.
HOOKS = {"load": ["http"], "command": ["exec"], "build": ["s2i-run"], "all": ["http", "exec", "s2i-run", "reconcile"],
         **{target: ["reconcile"] for target in TARGETS}}
SHARES = (["command"] + ["build"] * 2 + ["all"] + TARGETS) + ["load"] * 32      # of each 40 deliveries
SIZES = (700, 2000, 8192)


def target_of(hook):
    return hook if hook in TARGETS else TARGETS[0]


def push(size, name, commit):
    """A GitHub push of `size` bytes. The commit is what names the delivery in an S2iRun."""
    document = {"ref": "refs/heads/main", "before": "0" * 40, "after": commit, "marker": name, "head_commit": {"id": commit},
                "repository": {"full_name": "my-org/webapp", "clone_url": "https://github.com/my-org/webapp.git"}}
    text = json.dumps(dict(document, padding=""), separators=(",", ":"))
    return (text[:-2] + "p" * (size - len(text)) + text[-2:]).encode()


class Sent:
    """Deliveries by name: `hook`, and when it was sent. The name is the marker in the body and the delivery id."""

    def __init__(self):
        self.hook, self.at, self.by_commit, self.acknowledged = {}, {}, {}, []

    def compose(self, hook, name, size):
        self.hook[name], self.at[name] = hook, time.time()
        commit = hashlib.sha1(name.encode()).hexdigest()
        self.by_commit[commit] = name
        body = push(size, name, commit)
        return request("/hooks/team-a/" + hook, body, github(body, delivery=name))


class Load(threading.Thread):
    def __init__(self, port, prefix, connections, sent):
        super().__init__(daemon=True)
        self.port, self.prefix, self.connections, self.sent = port, prefix, connections, sent
        self.count, self.acknowledged, self.others = 0, [], {}

    def next(self, state):
        name = "%s-%d" % (self.prefix, self.count)
        hook = SHARES[self.count * 7 % len(SHARES)]
        data = self.sent.compose(hook, name, SIZES[self.count % len(SIZES)])
        state["name"], state["in"] = name, b""
        self.count += 1
        return data

    def run(self):
        selector, living = selectors.DefaultSelector(), 0
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
                if not self.hear(key.fileobj, key.data):
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
                    living -= 1

    def hear(self, connection, state):
        try:
            data = connection.recv(65536)
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
                    status = state["in"][9:12].decode("latin-1")
                    self.others[status] = self.others.get(status, 0) + 1
                if data:
                    self.push(connection, state)
        return bool(data)

    def push(self, connection, state):
        try:
            connection.sendall(self.next(state))
        except OSError:
            pass                        # the end is seen by the next recv
