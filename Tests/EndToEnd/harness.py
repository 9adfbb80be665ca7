"""What the end-to-end tests share: a server under test, manifests, signatures, raw HTTP, a receiver of HTTP actions.

Everything speaks to the binary from outside: its command line, its sockets, its files. Only the standard library.
"""
import base64
import contextlib
import errno
import hashlib
import hmac
import http.server
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAYLOADS = os.path.join(ROOT, "Tests", "Fixtures", "payloads")


# Seconds. A limit only stops what hangs: however slow the machine and whatever runs beside a test, nothing that is waited for
# takes so long. It proves something only beside a setting by which a server would wait for longer: LONG_LIMITS, IDLE.
PATIENCE = 45

# Limits of a server above PATIENCE: what ends sooner was not ended by them.
IDLE = ["--idle-timeout", "5m", "--busy-idle-timeout", "5m"]
LONG_LIMITS = ["--header-timeout", "60s", "--body-timeout", "1h", "--body-stall-timeout", "10m"]


class Failure(AssertionError):
    """Something was not as it must be. The text says what was expected and what came."""


class Skip(Exception):
    """The test cannot run here. The text says why."""


def expect(actual, wanted, what):
    if actual != wanted:
        raise Failure("%s: expected %r, got %r" % (what, wanted, actual))


def expect_in(actual, allowed, what):
    if actual not in allowed:
        raise Failure("%s: expected one of %r, got %r" % (what, sorted(allowed, key=str), actual))


def expect_that(condition, what):
    if not condition:
        raise Failure(what)


def wait_until(condition, seconds, what, every=0.02):
    """Polls until `condition()` gives something true and returns that.

    Fails after `seconds`, which is what a machine without other work needs at most, and never before PATIENCE is over.
    """
    seconds = max(seconds, PATIENCE)
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise Failure("waited %g s in vain: %s" % (seconds, what))
        time.sleep(every)


def expect_soon(look, wanted, what):
    """`expect` of what is told a moment later than it happens: a figure, a line of the log."""
    seen = []

    def is_so():
        seen[:] = [look()]
        return seen[0] == wanted
    try:
        wait_until(is_so, 0, what)
    except Failure:
        expect(seen[0], wanted, what)


def payload(name):
    with open(os.path.join(PAYLOADS, name), "rb") as f:
        return f.read()


def padded_push(byte_count, marker=""):
    """A GitHub push delivery of exactly `byte_count` bytes, made from the real one."""
    document = json.loads(payload("github-push.json"))
    document["marker"] = marker
    document["padding"] = ""
    missing = byte_count - len(json.dumps(document, separators=(",", ":")))
    for member in ("sender", "organization", "compare", "head_commit", "pusher"):   # make room in a small one
        if missing >= 0:
            break
        document.pop(member, None)
        missing = byte_count - len(json.dumps(document, separators=(",", ":")))
    if missing < 0:
        document = {"ref": "refs/heads/main", "marker": marker, "padding": ""}
        missing = byte_count - len(json.dumps(document, separators=(",", ":")))
    if missing < 0:
        raise ValueError("no push fits into %d bytes" % byte_count)
    document["padding"] = "p" * missing
    return json.dumps(document, separators=(",", ":")).encode()


# Ports come from below the kernel's ephemeral range: no outgoing connection can take one between choice and bind. They are claimed
# in blocks, by names that the kernel keeps where it keeps the ports and gives back when the process ends: what other runs choose at
# the same time is never the same. Ports of a run come again only when no block is left.
_PORTS, _BLOCK = range(20_000, 32_000), 200
_port_lock = threading.Lock()
_claims, _ports = [], []


def _claim():
    """Adds the ports of a block that nobody else has; when there is none, the ports that this process has had begin anew."""
    blocks = len(_PORTS) // _BLOCK
    for turn in range(blocks):
        block = (os.getpid() + turn) % blocks
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind("\0grapnel-tests-ports-%d" % _PORTS[block * _BLOCK])
        except OSError:
            claim.close()
            continue
        _claims.append((claim, _PORTS[block * _BLOCK:(block + 1) * _BLOCK]))
        return _ports.extend(_claims[-1][1])
    _ports.extend(itertools.chain(*(ports for _, ports in _claims)))


def free_port():
    """A port of 127.0.0.1 on which nobody listens and which nobody else that asks here is given."""
    with _port_lock:
        for _ in range(len(_PORTS)):
            if not _ports:
                _claim()
            if not _ports:
                raise Failure("other runs have all ports from %d to %d" % (_PORTS[0], _PORTS[-1]))
            port = _ports.pop(0)
            with socket.socket() as probe:
                # A program that is just being started may hold the probe for longer than we: this keeps nobody from listening.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with contextlib.suppress(OSError):
                    probe.bind(("127.0.0.1", port))
                    return port
    raise Failure("no port from %d to %d is free" % (_PORTS[0], _PORTS[-1]))


def listen_again(make):
    """What `make()` gives: a listener on a port that this process listened on before.

    Until a program that is just being started runs, it holds what its parent had open, the closed listener among it.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return make()
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


# - Manifests

def secret(name, token, namespace="team-a", key="token", **more):
    data = {key: token, **more}
    lines = ["  %s: %s" % (k, base64.b64encode(v.encode() if isinstance(v, str) else v).decode())
             for k, v in data.items()]
    return "apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: %s}\ndata:\n%s\n" % (
        name, namespace, "\n".join(lines))


def hook(name="webapp", type="github", secrets=("webhook-token",), actions="[]", events=None, namespace="team-a",
         path=None, more=""):
    """A Hook. `actions` is YAML text: flow style, or a block that starts with a newline; `more` is further spec."""
    lines = ["apiVersion: grapnel.dev/v1alpha1", "kind: Hook",
             "metadata: {name: %s, namespace: %s}" % (name, namespace), "spec:", "  type: %s" % type]
    if path:
        lines.append("  path: %s" % path)
    if events is not None:
        lines.append("  events: [%s]" % ", ".join(events))
    if secrets is not None:
        lines.append("  secretRefs: [%s]" % ", ".join("{name: %s}" % s for s in secrets))
    lines.append("  actions: %s" % actions)
    if more:
        lines += ["  " + line for line in more.strip("\n").split("\n")]
    return "\n".join(lines) + "\n"


TOKEN = "s3cr3t-of-team-a-0123456789abcdef"


def plain_hook(**more):
    """One Hook `webapp` of type github in team-a with its Secret: the manifests of most tests."""
    return {"secret.yaml": secret("webhook-token", more.pop("token", TOKEN)), "hook.yaml": hook(**more)}


# - Deliveries

def delivery_id():
    return str(uuid.uuid4())


def sign(body, token, algorithm="sha256"):
    return hmac.new(token.encode() if isinstance(token, str) else token, body, algorithm).hexdigest()


def github(body, token=TOKEN, delivery=None, event="push", signature=None):
    """The header fields of a GitHub delivery, as a list of pairs."""
    fields = [("User-Agent", "GitHub-Hookshot/044aadd"), ("Accept", "*/*"), ("Content-Type", "application/json"),
              ("X-GitHub-Delivery", delivery or delivery_id()), ("X-GitHub-Hook-ID", "292430182"),
              ("X-Hub-Signature-256", signature if signature is not None else "sha256=" + sign(body, token))]
    if event is not None:
        fields.insert(3, ("X-GitHub-Event", event))
    return fields


def request(path, body=b"", fields=(), method="POST", version="HTTP/1.1", host="hooks.example.com", length=True):
    """The bytes of one request, fields as given."""
    lines = ["%s %s %s" % (method, path, version)]
    if host is not None:
        lines.append("Host: " + host)
    lines += ["%s: %s" % pair for pair in fields]
    if length:
        lines.append("Content-Length: %d" % len(body))
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def chunked(body, size=1000):
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


class Answer:
    def __init__(self, status, fields, body, raw):
        self.status, self.fields, self.body, self.raw = status, fields, body, raw

    def field(self, name):
        """The value of a field that occurs at most once; None when it is absent."""
        values = [v for k, v in self.fields if k.lower() == name.lower()]
        if len(values) > 1:
            raise Failure("field %s occurs %d times" % (name, len(values)))
        return values[0] if values else None

    @property
    def sequence(self):
        value = self.field("Grapnel-Delivery")
        return None if value is None else int(value)

    @property
    def decision(self):
        return self.field("Grapnel-Decision")

    def without_date(self):
        return re.sub(rb"(?mi)^date: .*\r\n", b"", self.raw)


class Closed(Exception):
    """The peer closed or reset the connection, or fell silent, before a whole answer came."""


class Connection:
    """A raw connection to loopback: bytes out, answers in."""

    def __init__(self, port, timeout=PATIENCE):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass                            # refused early: the answer is already there

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            raise Closed("reset after %r" % self.buffer[:200])
        except TimeoutError:
            raise Closed("nothing more came in %g s after %r" % (self.socket.gettimeout(), self.buffer[:200]))
        if not data:
            raise Closed("closed after %r" % self.buffer[:200])
        self.buffer += data

    def answer(self, method="POST", interim=False):
        """The next answer. 100 (Continue) is skipped unless `interim`."""
        while True:
            while b"\r\n\r\n" not in self.buffer:
                self._more()
            end = self.buffer.index(b"\r\n\r\n") + 4
            head = self.buffer[:end]
            lines = head.decode("latin-1").split("\r\n")[:-2]
            match = re.fullmatch(r"HTTP/1\.1 (\d{3}) [^\r\n]*", lines[0])
            if not match:
                raise Failure("not a status line: %r" % lines[0])
            status = int(match.group(1))
            fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
            if status < 200:
                self.buffer = self.buffer[end:]
                if interim:
                    return Answer(status, fields, b"", head)
                continue
            length = [v for k, v in fields if k.lower() == "content-length"]
            if not length and status not in (204, 304):
                raise Failure("an answer without Content-Length: %r" % head)
            count = 0 if method == "HEAD" or not length else int(length[0])
            while len(self.buffer) < end + count:
                self._more()
            raw, self.buffer = self.buffer[:end + count], self.buffer[end + count:]
            return Answer(status, fields, raw[end:], raw)

    def exchange(self, data, method="POST"):
        self.send(data)
        return self.answer(method)

    def is_closed(self, seconds=PATIENCE):
        """Whether the peer ends the connection within `seconds` without sending anything more."""
        if self.buffer:
            return False
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except (socket.timeout, TimeoutError):
            return False

    def stays_open(self, seconds=0.2):
        """Whether the connection is still open and silent after `seconds`."""
        if self.buffer:
            return False
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(1)
            return False
        except (socket.timeout, TimeoutError):
            self.socket.settimeout(before)
            return True
        except ConnectionResetError:
            return False


def read_all(sock, seconds=PATIENCE):
    """Everything the peer sends until it closes or is silent for `seconds`; the second value says whether it closed."""
    sock.settimeout(seconds)
    data = b""
    try:
        while True:
            piece = sock.recv(65536)
            if not piece:
                return data, True
            data += piece
    except ConnectionResetError:
        return data, True
    except (socket.timeout, TimeoutError):
        return data, False


# - The server under test

class Server:
    """A `grapnel serve` in a folder of its own. Made by `Context.server`, which also ends it."""

    def __init__(self, grapnel, folder, manifests=None, flags=(), config=None, loops=1, env=None, wrapper=()):
        self.grapnel, self.folder, self.flags, self.loops = grapnel, folder, list(flags), loops
        self.wrapper, self.env = list(wrapper), dict(env or {})
        os.makedirs(folder, exist_ok=True)
        self.manifests = os.path.join(folder, "manifests")
        self.data = os.path.join(folder, "data")
        self.log_path = os.path.join(folder, "log")
        os.makedirs(self.manifests, exist_ok=True)
        os.makedirs(self.data, mode=0o700, exist_ok=True)
        self.config = None
        if config is not None:
            self.config = os.path.join(folder, "grapnel.yaml")
            with open(self.config, "w") as f:
                f.write(config)
        for name, text in (manifests or {}).items():
            self.write(name, text)
        self.port, self.admin_port = free_port(), free_port()
        self.process = None
        self.tokens = set()             # values that must never show in the log

    def write(self, name, text):
        """Puts a manifest into place as a whole, as editors and `kubectl` mounts do."""
        temporary = os.path.join(self.folder, "." + name)
        with open(temporary, "w") as f:
            f.write(text)
        os.replace(temporary, os.path.join(self.manifests, name))

    def remove(self, name):
        os.remove(os.path.join(self.manifests, name))

    def command(self):
        command = [self.grapnel, "serve"]
        if self.config:
            command += ["--config", self.config]
        return command + ["--manifests", self.manifests, "--data-dir", self.data,
                          "--listen", "127.0.0.1:%d" % self.port, "--admin-listen", "127.0.0.1:%d" % self.admin_port,
                          "--loops", str(self.loops)] + ([] if "--idle-timeout" in self.flags else IDLE) + self.flags

    def start(self, ready=True, seconds=PATIENCE):
        """Starts (again, on the same data). With `ready`, returns when /readyz says 200."""
        self.log = open(self.log_path, "ab")
        began = self.log.tell()
        self._run()
        if ready:
            deadline = time.monotonic() + seconds
            while not self.is_ready():
                if self.process.poll() is not None:
                    # A command that the killed server was starting may still hold its listener and its lock.
                    said = self.log_text().encode()[began:]
                    if (b"the port is taken" in said or b"in use" in said) and time.monotonic() < deadline:
                        time.sleep(0.02)
                        began = self.log.seek(0, os.SEEK_END)
                        self._run()
                        continue
                    raise Failure("the server ended with status %d before it was ready\n%s" % (
                        self.process.returncode, self.tail()))
                if time.monotonic() > deadline:
                    raise Failure("the server was not ready after %d s\n%s" % (seconds, self.tail()))
                time.sleep(0.01)
        return self

    def _run(self):
        self.process = subprocess.Popen(
            self.wrapper + self.command(), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            cwd=self.folder, env={**os.environ, "SWIFT_BACKTRACE": "enable=no", **self.env}, start_new_session=True)

    def admin(self, path, timeout=PATIENCE):
        """(status, body) of a GET on the admin listener; (0, b"") when nobody answers."""
        try:
            with Connection(self.admin_port, timeout) as connection:
                connection.send(request(path, method="GET", fields=[("Connection", "close")], length=False,
                                        host="127.0.0.1:%d" % self.admin_port))
                answer = connection.answer("GET")
                return answer.status, answer.body
        except (OSError, Closed):
            return 0, b""

    def is_ready(self):
        return self.admin("/readyz")[0] == 200

    def metrics(self):
        """{name{labels}: value} of /metrics."""
        status, body = self.admin("/metrics")
        expect(status, 200, "/metrics")
        values = {}
        for line in body.decode().splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                values[name] = float(value)
        return values

    def metric(self, name):
        """The sum over all label sets of one figure; 0 when there is none yet."""
        return sum(v for k, v in self.metrics().items() if k == name or k.startswith(name + "{"))

    @property
    def pid(self):
        """The server's own process, also below a wrapper such as strace (taskset replaces itself by the server)."""
        if not self.wrapper or self.wrapper[0] == "taskset":
            return self.process.pid
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open("/proc/%s/stat" % entry) as f:
                        parent = int(f.read().rpartition(")")[2].split()[1])
                    if parent == self.process.pid:
                        return int(entry)
                except (OSError, ValueError):
                    continue
        raise Failure("the server below %s was not found" % self.wrapper[0])

    def threads(self):
        """{thread id: name}"""
        names = {}
        for tid in os.listdir("/proc/%d/task" % self.pid):
            try:
                with open("/proc/%d/task/%s/comm" % (self.pid, tid)) as f:
                    names[int(tid)] = f.read().strip()
            except OSError:
                pass
        return names

    def signal(self, number):
        os.kill(self.pid, number)

    def stop(self, seconds=PATIENCE):
        """SIGTERM; must end with status 0."""
        if self.process is None:
            return
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError, Failure):
                self.signal(signal.SIGTERM)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure("still running %d s after SIGTERM\n%s" % (seconds, self.tail()))
        self.process = None
        self.log.close()
        expect(status, 0, "exit status after SIGTERM\n" + self.tail())

    def kill(self):
        """SIGKILL, as when the machine is switched off but for the page cache."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError, Failure):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
        self.log.close()

    def log_text(self):
        """What it has logged; while it runs whole lines only, since of the last one a part may be on its way."""
        is_running = self.process is not None and self.process.poll() is None
        try:
            with open(self.log_path, "rb") as f:
                text = f.read()
        except OSError:
            return ""
        return (text[:text.rfind(b"\n") + 1] if is_running else text).decode("utf-8", "replace")

    def tail(self, lines=15):
        return "\n".join("    | " + line for line in self.log_text().splitlines()[-lines:])

    def connect(self, timeout=PATIENCE):
        return Connection(self.port, timeout)

    def serves(self, path, **more):
        """Whether it takes deliveries already, and answers one to this path 200."""
        try:
            return self.push(path=path, **more).status == 200
        except (OSError, Closed):
            return False

    def accepts(self):
        """Whether somebody listens for deliveries: a server that ends, or begins, refuses connections."""
        try:
            self.connect().close()
            return True
        except ConnectionRefusedError:
            return False

    def post(self, path, body, fields, timeout=PATIENCE):
        """One request on a connection of its own."""
        with self.connect(timeout) as connection:
            return connection.exchange(request(path, body, fields))

    def push(self, body=None, path="/hooks/team-a/webapp", token=TOKEN, delivery=None, event="push", signature=None):
        """One GitHub delivery."""
        body = payload("github-push.json") if body is None else body
        return self.post(path, body, github(body, token, delivery, event, signature))


class Context:
    """What one test gets: the binary, a folder, and servers and sinks that are ended with the test."""

    def __init__(self, grapnel, folder, long=False, flags=()):
        self.grapnel, self.folder, self.long, self.flags = grapnel, folder, long, list(flags)
        self.servers, self.closers = [], []

    def server(self, manifests=None, start=True, tokens=(TOKEN,), flags=(), **more):
        folder = os.path.join(self.folder, "server-%d" % len(self.servers))
        server = Server(self.grapnel, folder, manifests, flags=self.flags + list(flags), **more)
        server.tokens.update(tokens)
        self.servers.append(server)
        if start:
            server.start()
        return server

    def sink(self, **more):
        sink = Sink(**more)
        self.closers.append(sink.stop)
        return sink

    def command(self, *arguments, timeout=2 * PATIENCE, env=None):
        """Runs `grapnel ARGUMENTS`; the result has returncode, stdout and stderr (text)."""
        return subprocess.run([self.grapnel, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout, cwd=self.folder, errors="replace",
                              env={**os.environ, "SWIFT_BACKTRACE": "enable=no", **(env or {})})

    def finish(self):
        """Ends all; fails when a server does not end well or wrote a secret into its log."""
        problems = []
        for server in self.servers:
            try:
                server.stop()
            except Failure as failure:
                problems.append(str(failure))
                server.kill()
            text = server.log_text()
            for token in server.tokens:
                if token in text or base64.b64encode(token.encode()).decode() in text:
                    problems.append("a secret is in the log (%s...)" % token[:4])
            if "Fatal error" in text:
                problems.append("the log holds a fatal error\n" + server.tail())
        for close in self.closers:
            close()
        if problems:
            raise Failure("; ".join(problems))

    def abandon(self):
        """Ends all, whatever happens."""
        for server in self.servers:
            with contextlib.suppress(Exception):
                server.kill()
        for close in self.closers:
            with contextlib.suppress(Exception):
                close()


# - What HTTP actions call

class Sink:
    """A receiver of HTTP actions on loopback. `status` may be changed at any time; `down()` stops listening.

    `answers` is set: while a test has cleared it, requests are taken, and none is answered.
    """

    def __init__(self, status=200, retry_after=None):
        self.status, self.retry_after, self.answer = status, retry_after, b""
        self.requests, self.times, self.lock = [], [], threading.Lock()
        self.answers = threading.Event()
        self.answers.set()
        self.port = free_port()
        self.httpd = None
        self.up()

    @property
    def url(self):
        return "http://127.0.0.1:%d/build" % self.port

    def up(self):
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
                    body = b""
                    while True:
                        size = int(self.rfile.readline().split(b";")[0], 16)
                        body += self.rfile.read(size)
                        self.rfile.readline()
                        if size == 0:
                            break
                else:
                    body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status = sink.status
                with sink.lock:
                    fields = dict((k.lower(), v) for k, v in self.headers.items())
                    sink.requests.append(({**fields, ":path": self.path}, body, status))
                    sink.times.append(time.monotonic())
                sink.answers.wait()
                self.send_response(status)
                if sink.retry_after is not None:
                    self.send_header("Retry-After", str(sink.retry_after))
                self.send_header("Content-Length", str(len(sink.answer)))
                self.end_headers()
                self.wfile.write(sink.answer)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 128

            def handle_error(self, request, client_address):
                pass

        self.httpd = listen_again(lambda: Server(("127.0.0.1", self.port), Handler))
        threading.Thread(target=self.httpd.serve_forever, args=(0.05,), daemon=True).start()

    def down(self):
        if self.httpd:
            self.httpd.shutdown()
            self.httpd.server_close()
            self.httpd = None

    def stop(self):
        self.answers.set()
        self.down()

    def seen(self, status=None):
        """(header fields and `:path`, body, status given) so far."""
        with self.lock:
            return [r for r in self.requests if status is None or r[2] == status]


# - Exec actions

MARKER_SCRIPT = """#!/bin/sh
# Keeps what an exec action gets on standard input, one file a run; it is whole once it has its final name.
file=$(mktemp "%(folder)s/.run-XXXXXXXX") || exit 1
{ env | grep -i '^GRAPNEL' ; echo; cat; } > "$file"
mv "$file" "%(folder)s/run-${file##*run-}"
"""


class Marker:
    """A command for exec actions that keeps each run in a file."""

    def __init__(self, folder):
        self.folder = os.path.join(folder, "runs")
        os.makedirs(self.folder, exist_ok=True)
        self.script = os.path.join(folder, "marker.sh")
        with open(self.script, "w") as f:
            f.write(MARKER_SCRIPT % {"folder": self.folder})
        os.chmod(self.script, 0o755)

    @property
    def action(self):
        return '\n  - exec: {command: ["%s"], timeout: 5m}' % self.script

    def runs(self):
        """The text of each run so far."""
        texts = []
        for name in sorted(os.listdir(self.folder)):
            if not name.startswith("."):
                with open(os.path.join(self.folder, name), "rb") as f:
                    texts.append(f.read().decode("utf-8", "replace"))
        return texts

    def count(self, delivery):
        """How many runs were for this delivery id."""
        return sum(delivery in text for text in self.runs())
