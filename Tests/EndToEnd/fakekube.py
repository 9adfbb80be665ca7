"""A small Kubernetes API server that keeps everything in memory and remembers every write.

It speaks what the server under test needs: discovery, get and list (label selectors, limit and continue,
PartialObjectMetadata by content negotiation), create (generateName), merge patch, and the instantiate subresource of
OpenShift's BuildConfigs. TLS with a CA made by the openssl command, bearer token, kubeconfig. No watches, no schemas;
watchkube.py has watches, status and finalizers.

    kube = cluster(context, objects)           made, filled, started, stopped with the test
    context.server(manifests, flags=kube.flags)
    kube.acts()                                writes that were carried out, in order
    kube.faults = [{"verb": "patch", "resource": "gitrepositories", "status": 503, "times": 3}]
    kube.down(), kube.up()                     away for a while, on the same port
"""
import base64
import contextlib
import copy
import http.server
import json
import os
import random
import re
import socket
import ssl
import string
import subprocess
import threading
import time
import urllib.parse

from harness import free_port, listen_again, wait_until

# group -> [(version, kind, plural, namespaced)]; the first version of a group is the preferred one.
RESOURCES = {
    "": [("v1", "Secret", "secrets", True), ("v1", "Event", "events", True)],
    "events.k8s.io": [("v1", "Event", "events", True)],
    "source.toolkit.fluxcd.io": [("v1", "GitRepository", "gitrepositories", True),
                                 ("v1", "OCIRepository", "ocirepositories", True)],
    "image.toolkit.fluxcd.io": [("v1", "ImageRepository", "imagerepositories", True)],
    "build.openshift.io": [("v1", "BuildConfig", "buildconfigs", True), ("v1", "Build", "builds", True)],
    "devops.kubesphere.io": [("v1alpha1", "S2iBuilder", "s2ibuilders", True), ("v1alpha1", "S2iRun", "s2iruns", True)],
    "kpack.io": [("v1alpha2", "Image", "images", True), ("v1alpha2", "Builder", "builders", True),
                 ("v1alpha2", "ClusterBuilder", "clusterbuilders", False),
                 ("v1alpha2", "ClusterStack", "clusterstacks", False)],
    "build.pivotal.io": [("v1alpha1", "Builder", "builders", True),
                         ("v1alpha1", "ClusterBuilder", "clusterbuilders", False)],
}
# Writes that say nothing about triggers.
HOUSEKEEPING = {"leases", "events", "receivers", "hooks"}
REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed",
           409: "Conflict", 415: "UnsupportedMediaType", 422: "Invalid", 429: "TooManyRequests",
           500: "InternalError", 503: "ServiceUnavailable"}


class APIError(Exception):
    """An answer of kind Status with status Failure."""

    def __init__(self, code, message, details=None, reason=None):
        super().__init__(message)
        self.code, self.message, self.details = code, message, details
        self.reason = reason or REASONS.get(code, "InternalError")

    def body(self):
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                  "message": self.message, "reason": self.reason, "code": self.code}
        if self.details:
            status["details"] = self.details
        return status


# - Certificates

class PKI:
    """A throw-away CA in `folder` and the context of a server on loopback."""

    def __init__(self, folder):
        self.folder = folder
        self.ca = os.path.join(folder, "ca.crt")
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        self._openssl("req", "-x509", *key, "-days", "3650", "-subj", "/CN=test-ca", "-keyout", self._path("ca.key"),
                      "-out", self.ca, "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        with open(self._path("kube.ext"), "w") as f:
            f.write("basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
                    "subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        self._openssl("req", *key, "-subj", "/CN=kube", "-keyout", self._path("kube.key"), "-out",
                      self._path("kube.csr"))
        self._openssl("x509", "-req", "-in", self._path("kube.csr"), "-CA", self.ca, "-CAkey", self._path("ca.key"),
                      "-CAcreateserial", "-days", "3650", "-extfile", self._path("kube.ext"), "-out",
                      self._path("kube.crt"))
        self.api = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.api.load_cert_chain(self._path("kube.crt"), self._path("kube.key"))

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)


def make_pki(folder):
    return PKI(folder)


# - The store

def merge(target, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def label_filter(selector):
    """A predicate for a label selector: `a=b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a`, `!a`."""
    tests = []
    for term in re.findall(r"(?:[^,(]|\([^)]*\))+", selector):
        term = term.strip()
        m = re.fullmatch(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)", term)
        if m:
            values, inside = {v.strip() for v in m[3].split(",")}, m[2] == "in"
            tests.append(lambda l, k=m[1], v=values, i=inside: (l.get(k) in v) == i)
        elif "!=" in term:
            k, v = term.split("!=", 1)
            tests.append(lambda l, k=k.strip(), v=v.strip(): l.get(k) != v)
        elif "=" in term:
            k, v = re.split("==?", term, maxsplit=1)
            tests.append(lambda l, k=k.strip(), v=v.strip(): l.get(k) == v)
        elif term.startswith("!"):
            tests.append(lambda l, k=term[1:]: k not in l)
        elif term:
            tests.append(lambda l, k=term: k in l)
    return lambda o: all(t(o["metadata"].get("labels") or {}) for t in tests)


def partial(o):
    return {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": o["metadata"]}


class Resource:
    def __init__(self, group, version, kind, plural, namespaced):
        self.group, self.version, self.kind, self.plural, self.namespaced = group, version, kind, plural, namespaced
        self.key = (group, plural)

    @property
    def api_version(self):
        return self.group + "/" + self.version if self.group else self.version


class FakeKube:
    """The server. All state is behind one lock."""

    def __init__(self, pki, port=0, token=None):
        self.pki = pki
        self.token = token or "".join(random.choices(string.ascii_letters, k=32))
        self.resources = [Resource(g, *row) for g, rows in RESOURCES.items() for row in rows]
        self.changed = threading.RLock()
        self.objects = {}          # (group, plural) -> {(namespace, name): object}
        self.version = 1000
        self.writes = []           # every create and patch, also refused ones
        self.reads = []            # (verb, path)
        # {verb, resource, status, times, message?, namespace?, name?, retryAfter?}; with `after` instead of `status` a
        # write is carried out, `after` is called, and the connection ends without an answer.
        self.faults = []
        self._listener = listen_again(lambda: self._listen(port))
        self.port = self._listener.server_address[1]
        self.url = "https://127.0.0.1:%d" % self.port
        self.flags = []            # of a server that acts on this cluster; `cluster` fills it

    # - life

    def _listen(self, port):
        return _Server(("127.0.0.1", port), _Handler, self)

    def start(self):
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def down(self):
        """Refuses and ends all connections."""
        if self._listener:
            self._listener.shutdown()
            self._listener.server_close()
            self._listener.close_connections()
            self._listener = None

    def up(self):
        self._listener = listen_again(lambda: self._listen(self.port))
        self.start()

    stop = down

    def kubeconfig(self):
        with open(self.pki.ca, "rb") as f:
            ca = base64.b64encode(f.read()).decode()
        return {"apiVersion": "v1", "kind": "Config", "current-context": "fake",
                "clusters": [{"name": "fake", "cluster": {"server": self.url, "certificate-authority-data": ca}}],
                "users": [{"name": "fake", "user": {"token": self.token}}],
                "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake",
                                                          "namespace": "default"}}]}

    # - direct access for tests

    def resource_of(self, api_version, kind):
        """The resource of an object; another version of a known kind is registered."""
        group, _, version = api_version.rpartition("/")
        for r in self.resources:
            if (r.group, r.version, r.kind) == (group, version, kind):
                return r
        known = next((r for r in self.resources if (r.group, r.kind) == (group, kind)), None)
        if known is None:
            raise ValueError("the fake API server does not know %s of %s" % (kind, api_version))
        self.resources.append(Resource(group, version, kind, known.plural, known.namespaced))
        return self.resources[-1]

    def put(self, o):
        """Stores an object as it is, without recording a write."""
        o = copy.deepcopy(o)
        r = self.resource_of(o["apiVersion"], o["kind"])
        meta = o.setdefault("metadata", {})
        if r.namespaced:
            meta.setdefault("namespace", "default")
        else:
            meta.pop("namespace", None)
        with self.changed:
            self._store(r, (meta.get("namespace", ""), meta["name"]), o)

    def get(self, api_version, kind, namespace, name):
        r = self.resource_of(api_version, kind)
        with self.changed:
            return copy.deepcopy(self.objects.get(r.key, {}).get((namespace or "", name)))

    def writes_since(self, index=0):
        with self.changed:
            return copy.deepcopy(self.writes[index:])

    def acts(self, start=0):
        """The writes that triggers made and that succeeded."""
        return [w for w in self.writes_since(start) if w["resource"] not in HOUSEKEEPING and 200 <= w["status"] < 300]

    def attempts(self):
        """How many such writes were tried."""
        with self.changed:
            return sum(w["resource"] not in HOUSEKEEPING for w in self.writes)

    # - verbs

    def _store(self, r, key, o):
        self.version += 1
        meta = o["metadata"]
        meta["resourceVersion"] = str(self.version)
        meta.setdefault("uid", "%08x-0000-4000-8000-%012x" % (random.getrandbits(32), self.version))
        meta.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        self.objects.setdefault(r.key, {})[key] = o

    def fault(self, verb, plural, namespace, name):
        """The injected fault for this call, or None. `times` -1: until it is taken away."""
        with self.changed:
            for f in self.faults:
                if f["verb"] != verb or f["resource"] != plural or f["times"] == 0:
                    continue
                if f.get("namespace", namespace) != namespace or f.get("name", name) != name:
                    continue
                if f["times"] > 0:
                    f["times"] -= 1
                return f
        return None

    def read(self, r, namespace, name):
        with self.changed:
            o = self.objects.get(r.key, {}).get((namespace, name))
            if o is None:
                raise missing(r, name)
            return dict(copy.deepcopy(o), apiVersion=r.api_version, kind=r.kind)

    def list(self, r, namespace, query):
        with self.changed:
            visible = label_filter(query.get("labelSelector", ""))
            items = [dict(copy.deepcopy(o), apiVersion=r.api_version, kind=r.kind)
                     for (ns, _), o in sorted(self.objects.get(r.key, {}).items())
                     if namespace in ("", ns) and visible(o)]
            meta = {"resourceVersion": str(self.version)}
        limit, start = int(query.get("limit") or 0), 0
        if query.get("continue"):
            meta["resourceVersion"], start = query["continue"].split("-")
            start = int(start)
        end = start + limit if limit else len(items)
        if end < len(items):
            meta["continue"] = "%s-%d" % (meta["resourceVersion"], end)
            meta["remainingItemCount"] = len(items) - end
        return {"apiVersion": r.api_version, "kind": r.kind + "List", "metadata": meta, "items": items[start:end]}

    def create(self, r, namespace, body):
        o = copy.deepcopy(body)
        meta = o.setdefault("metadata", {})
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"][:58] + "".join(random.choices("bcdfghjklmnpqrstvwxz2456789", k=5))
        if not meta.get("name"):
            raise APIError(422, "name or generateName is required")
        if r.namespaced and meta.setdefault("namespace", namespace) != namespace:
            raise APIError(400, "the namespace of the object does not match the request")
        if o.get("kind") not in (None, r.kind) or o.get("apiVersion") not in (None, r.api_version):
            raise APIError(400, "the object is not a %s of %s" % (r.kind, r.api_version))
        with self.changed:
            key = (namespace if r.namespaced else "", meta["name"])
            if key in self.objects.get(r.key, {}):
                raise APIError(409, '%s "%s" already exists' % (qualified(r), meta["name"]), reason="AlreadyExists")
            self._store(r, key, o)
            return dict(copy.deepcopy(o), apiVersion=r.api_version, kind=r.kind)

    def patch(self, r, namespace, name, change):
        with self.changed:
            old = self.read(r, namespace, name)
            new = merge(old, change)
            for field in ("name", "namespace", "uid"):
                if field in old["metadata"]:
                    new["metadata"][field] = old["metadata"][field]
            self._store(r, (namespace, name), new)
            return self.read(r, namespace, name)

    def instantiate(self, namespace, name, request):
        """Counts `status.lastVersion` up and creates the Build."""
        configs = next(r for r in self.resources if r.key == ("build.openshift.io", "buildconfigs"))
        builds = next(r for r in self.resources if r.key == ("build.openshift.io", "builds"))
        if request.get("kind") not in (None, "BuildRequest"):
            raise APIError(400, "the body must be a BuildRequest")
        if (request.get("metadata") or {}).get("name") not in (None, "", name):
            raise APIError(400, "the BuildRequest names another BuildConfig")
        with self.changed:
            config = self.read(configs, namespace, name)
            last = (config.get("status") or {}).get("lastVersion", 0)
            if request.get("lastVersion") not in (None, last):
                raise APIError(400, "the LastVersion(%d) on build config %s/%s does not match the build request "
                               "LastVersion(%s)" % (last, namespace, name, request["lastVersion"]))
            number = last + 1
            self.patch(configs, namespace, name, {"status": {"lastVersion": number}})
            asked = request.get("metadata") or {}
            return self.create(builds, namespace, {
                "metadata": {"name": "%s-%d" % (name, number), "annotations": asked.get("annotations") or {},
                             "labels": dict(asked.get("labels") or {}, buildconfig=name)},
                "spec": {k: request[k] for k in ("revision", "triggeredBy", "env") if request.get(k)},
                "status": {"phase": "New"}})


def qualified(r):
    return r.plural + ("." + r.group if r.group else "")


def missing(r, name):
    return APIError(404, '%s "%s" not found' % (qualified(r), name),
                    {"name": name, "group": r.group, "kind": r.plural})


def not_served():
    return APIError(404, "the server could not find the requested resource")


# - HTTP

class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address, handler, kube):
        super().__init__(address, handler)
        self.kube, self._open = kube, set()

    def get_request(self):
        sock, address = super().get_request()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(300)
        # The handshake happens in the connection's own thread, at its first read.
        sock = self.kube.pki.api.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self._open.add(sock)
        return sock, address

    def shutdown_request(self, request):
        self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self):
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                sock.close()

    def handle_error(self, request, client_address):
        pass                                # a client that goes away is not worth a traceback


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "fakekube"
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def _any(self):
        kube = self.server.kube
        try:
            self.raw = self._body()
            url = urllib.parse.urlsplit(self.path)
            self.query = {k: v[-1] for k, v in urllib.parse.parse_qs(url.query, keep_blank_values=True).items()}
            if self.headers.get("Authorization") != "Bearer " + kube.token:
                raise APIError(401, "Unauthorized")
            self._route(kube, [urllib.parse.unquote(p) for p in url.path.strip("/").split("/")], url.path)
        except APIError as error:
            self._send(error.code, error.body())
        except (ConnectionError, ssl.SSLError, socket.timeout):
            self.close_connection = True
        except Exception as error:          # a defect here must be visible in a test
            self._send(500, APIError(500, "fakekube: %r" % error).body())

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any

    def _body(self):
        if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower():
            data = b""
            while True:
                size = int(self.rfile.readline().split(b";")[0], 16)
                data += self.rfile.read(size)
                if not self.rfile.readline().strip() and size == 0:
                    return data
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _json(self):
        try:
            return json.loads(self.raw) if self.raw else {}
        except ValueError as error:
            raise APIError(400, "the body is not JSON: %s" % error)

    def _send(self, status, value, headers=()):
        data = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for header in headers:
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(data)

    # - discovery and routing

    def _route(self, kube, parts, path):
        if parts == ["version"]:
            return self._send(200, {"major": "1", "minor": "34", "gitVersion": "v1.34.0-fake"})
        if parts == ["api"]:
            return self._send(200, {"kind": "APIVersions", "versions": ["v1"]})
        groups = list(dict.fromkeys(r.group for r in kube.resources if r.group))
        if parts == ["apis"]:
            return self._send(200, {"kind": "APIGroupList", "apiVersion": "v1",
                                    "groups": [self._group(kube, g) for g in groups]})
        if parts[0] == "api" and len(parts) >= 2:
            group, version, rest = "", parts[1], parts[2:]
        elif parts[0] == "apis" and len(parts) == 2 and parts[1] in groups:
            return self._send(200, self._group(kube, parts[1]))
        elif parts[0] == "apis" and len(parts) >= 3:
            group, version, rest = parts[1], parts[2], parts[3:]
        else:
            raise not_served()
        served = [r for r in kube.resources if r.group == group and r.version == version]
        if not served:
            raise not_served()
        if not rest:
            return self._send(200, self._resource_list(served))
        namespace = ""
        if rest[0] == "namespaces" and len(rest) >= 3:
            namespace, rest = rest[1], rest[2:]
        r = next((r for r in served if r.plural == rest[0]), None)
        if r is None or len(rest) > 3:
            raise not_served()
        name = rest[1] if len(rest) > 1 else ""
        self._serve(kube, r, namespace, name, rest[2] if len(rest) > 2 else "", path)

    def _group(self, kube, group):
        versions = list(dict.fromkeys(r.version for r in kube.resources if r.group == group))
        versions = [{"groupVersion": group + "/" + v, "version": v} for v in versions]
        return {"kind": "APIGroup", "apiVersion": "v1", "name": group, "versions": versions,
                "preferredVersion": versions[0]}

    def _resource_list(self, served):
        rows = [{"name": r.plural, "singularName": r.kind.lower(), "namespaced": r.namespaced, "kind": r.kind,
                 "verbs": ["create", "get", "list", "patch"]} for r in served]
        if any(r.plural == "buildconfigs" for r in served):
            rows.append({"name": "buildconfigs/instantiate", "singularName": "", "namespaced": True,
                         "kind": "BuildRequest", "verbs": ["create"]})
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": served[0].api_version,
                "resources": rows}

    # - one call

    def _serve(self, kube, r, namespace, name, subresource, path):
        verb = {"GET": "get" if name else "list", "POST": "create", "PATCH": "patch"}.get(self.command)
        if verb is None:
            raise APIError(405, "the fake API server knows no " + self.command)
        fault = kube.fault(verb, r.plural, namespace, name)
        if verb in ("get", "list"):
            with kube.changed:
                kube.reads.append((verb, path))
            self._fail(fault)
            result = kube.read(r, namespace, name) if name else kube.list(r, namespace, self.query)
            if "as=PartialObjectMetadata" in (self.headers.get("Accept") or "").replace(" ", ""):
                result = partial(result) if name else {
                    "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
                    "metadata": result["metadata"], "items": [partial(i) for i in result["items"]]}
            return self._send(200, result)
        body = self._json()
        record = {"verb": verb, "path": path, "resource": r.plural, "kind": r.kind, "namespace": namespace,
                  "name": name, "subresource": subresource, "query": dict(self.query),
                  "content_type": self.headers.get("Content-Type", ""), "body": copy.deepcopy(body),
                  "time": time.time(), "status": 0}
        with kube.changed:
            kube.writes.append(record)
        after = (fault or {}).get("after")
        try:
            self._fail(None if after else fault)
            status, result = self._write(kube, verb, r, namespace, name, subresource, body)
        except APIError as error:
            record["status"] = error.code
            raise
        record["status"] = status
        if after:
            after()
            raise ConnectionError("the answer is lost")
        self._send(status, result)

    def _fail(self, fault):
        if fault is None:
            return
        error = APIError(fault["status"], fault.get("message") or "injected fault")
        if fault.get("retryAfter") is not None:
            self._send(error.code, error.body(), [("Retry-After", str(fault["retryAfter"]))])
            raise ConnectionError("answered")
        raise error

    def _write(self, kube, verb, r, namespace, name, subresource, body):
        if verb == "create":
            if r.key == ("build.openshift.io", "buildconfigs") and subresource == "instantiate":
                return 201, kube.instantiate(namespace, name, body)
            if name:
                raise APIError(405, "the server does not allow this method on the requested resource")
            return 201, kube.create(r, namespace, body)
        if subresource:
            raise not_served()
        if self.headers.get("Content-Type", "").split(";")[0].strip() != "application/merge-patch+json":
            raise APIError(415, "only merge patches are known here")
        return 200, kube.patch(r, namespace, name, body)


def cluster(context, objects=(), port=None):
    """A started server with these objects, stopped with the test. `.flags` lead a server under test to it."""
    folder = os.path.join(context.folder, "kube-%d" % len(context.closers))
    os.makedirs(folder)
    # Below the ephemeral range: nobody else takes it while the server is down.
    kube = FakeKube(make_pki(folder), port or free_port())
    for o in objects:
        kube.put(o)
    kube.start()
    context.closers.append(kube.stop)
    kubeconfig = os.path.join(folder, "kubeconfig")
    with open(kubeconfig, "w") as f:
        json.dump(kube.kubeconfig(), f)
    kube.flags = ["--kubernetes", "kubeconfig", "--kubeconfig", kubeconfig, "--catalog", "manifests",
                  "--log-level", "debug"]
    return kube


# - What a server under test says of its deliveries; its log must be at level debug

FINAL = {"trigger done": "done", "trigger merged": "merged", "trigger dead": "dead", "delivery ignored": "ignored"}
OUTCOME = re.compile(r"(?:DEBUG|NOTICE|WARNING) (%s)(?= \w+=)(.*)" % "|".join(FINAL))


def outcomes(server, sequence=None):
    """Final outcomes in the log, oldest first: maps with `code`, `sequence` and the line's other fields."""
    found = []
    for line in server.log_text().splitlines():
        match = OUTCOME.search(line)
        if match:
            fields = {k: quoted or plain for k, quoted, plain in re.findall(r' (\w+)=(?:"([^"]*)"|(\S*))', match[2])}
            # A SIGKILL may leave the beginning of a line.
            if "sequence" in fields and (sequence is None or fields["sequence"] == str(sequence)):
                found.append(dict(fields, code=FINAL[match[1]]))
    return found


def settled(server, answers, seconds=20):
    """Waits until all that these accepted deliveries caused has its final outcome; then nothing more will come.

    A delivery stays owed until the last of its actions is final, so one outcome of each and nothing owed is the end.
    """
    wanted = {str(a.sequence) for a in answers}
    wait_until(lambda: wanted <= {o["sequence"] for o in outcomes(server)}, seconds,
               "an outcome for each of the deliveries %s" % ", ".join(sorted(wanted)))
    wait_until(lambda: idle(server), seconds, "nothing is owed any more")


def idle(server):
    """Whether the server has nothing to do that it knows of."""
    values = server.metrics()
    return not any(values[name] for name in (
        "grapnel_trigger_owed_deliveries", "grapnel_trigger_running_actions", "grapnel_trigger_waiting_actions",
        'grapnel_ring_depth_entries{ring="dispatch"}'))
