"""A client of any API server that a kubeconfig leads to: one JSON call after the other, with Python's standard library.

Knows what kubeconfigs of clusters hold: authorities and client certificates (files or data), tokens (values or files),
user and password, exec plugins, tls-server-name, insecure-skip-tls-verify; several files joined by colons.
"""
import base64
import http.client
import json
import os
import socket
import ssl
import subprocess
import tempfile
import threading
import urllib.parse

MERGE = "application/merge-patch+json"


class Trouble(Exception):
    """What the user must know and can mend; not a failed check."""


class Refused(Exception):
    """An answer of 400 and above."""

    def __init__(self, status, message, what):
        super().__init__("%s: %d %s" % (what, status, message))
        self.status, self.message = status, message


def read_kubeconfig(names):
    """The merged kubeconfig; of an entry that is in several files the first one counts. Relative files are resolved."""
    merged = {"clusters": [], "users": [], "contexts": [], "current-context": None}
    for name in filter(None, names.split(":")):
        try:
            with open(name, encoding="utf-8") as f:
                text = f.read()
        except OSError as error:
            raise Trouble("KUBECONFIG names %s, which cannot be read: %s" % (name, error.strerror))
        document = parse(text, name)
        folder = os.path.dirname(os.path.abspath(name))
        for kind, member in (("clusters", "cluster"), ("users", "user"), ("contexts", "context")):
            for entry in document.get(kind) or []:
                body = entry.get(member) or {}
                for field in ("certificate-authority", "client-certificate", "client-key", "tokenFile"):
                    if body.get(field):
                        body[field] = os.path.join(folder, body[field])
                merged[kind].append((entry.get("name"), body))
        merged["current-context"] = merged["current-context"] or document.get("current-context")
    return merged


def parse(text, name):
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        import yaml
    except ImportError:
        raise Trouble("%s is YAML, and PyYAML is not here: `make deps`, or `kubectl config view --raw -o json`" % name)
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Trouble("%s is no YAML: %s" % (name, error))
    if not isinstance(document, dict):
        raise Trouble("%s holds no kubeconfig" % name)
    return document


class Client:
    """One context of a kubeconfig. Keeps a connection for each thread."""

    def __init__(self, names, context=None):
        config = read_kubeconfig(names)
        self.context = context or config["current-context"]
        find = lambda kind, name: next((body for n, body in config[kind] if n == name), None)
        entry = find("contexts", self.context)
        if entry is None:
            raise Trouble("the kubeconfig has no context %r: `kubectl config use-context NAME`" % self.context)
        self.cluster, self.user = find("clusters", entry.get("cluster")), find("users", entry.get("user")) or {}
        if not self.cluster or not self.cluster.get("server"):
            raise Trouble("the kubeconfig's context %r leads to no server" % self.context)
        self.url = urllib.parse.urlsplit(self.cluster["server"])
        self.local = threading.local()
        self.fields = {"Accept": "application/json", "User-Agent": "grapnel-test-cluster"}
        self.ssl = self._ssl()
        self._credentials()
        self.calls = []             # (verb, path) of every call

    def _file(self, body, field):
        """A file with what the kubeconfig has in a file or as data; None without either."""
        if body.get(field + "-data"):
            with tempfile.NamedTemporaryFile("wb", delete=False) as f:
                f.write(base64.b64decode(body[field + "-data"]))
            return f.name
        return body.get(field)

    def _ssl(self):
        if self.url.scheme != "https":
            return None
        ca = self._file(self.cluster, "certificate-authority")
        made = [ca] if ca and ca != self.cluster.get("certificate-authority") else []
        context = ssl.create_default_context(cafile=ca)
        if self.cluster.get("insecure-skip-tls-verify"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for name in made:
            os.remove(name)
        return context

    def _credentials(self):
        user = dict(self.user)
        if user.get("exec"):
            user.update(self._plugin(user["exec"]))
        if user.get("tokenFile"):
            with open(user["tokenFile"], encoding="utf-8") as f:
                user["token"] = f.read().strip()
        if user.get("token"):
            self.fields["Authorization"] = "Bearer " + user["token"]
        elif user.get("username"):
            pair = "%s:%s" % (user["username"], user.get("password", ""))
            self.fields["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        certificate = self._file(user, "client-certificate")
        if certificate and self.ssl:
            key = self._file(user, "client-key")
            self.ssl.load_cert_chain(certificate, key)
            for name, field in ((certificate, "client-certificate"), (key, "client-key")):
                if name != user.get(field):
                    os.remove(name)

    def _plugin(self, plugin):
        environment = dict(os.environ, **{e["name"]: e["value"] for e in plugin.get("env") or []})
        environment["KUBERNETES_EXEC_INFO"] = json.dumps({
            "apiVersion": plugin.get("apiVersion"), "kind": "ExecCredential", "spec": {"interactive": False}})
        try:
            result = subprocess.run([plugin["command"], *(plugin.get("args") or [])], env=environment, timeout=60,
                                    stdin=subprocess.DEVNULL, capture_output=True, text=True)
            status = json.loads(result.stdout)["status"]
        except (OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
            raise Trouble("the kubeconfig's plugin %s gives no credential: %s" % (plugin.get("command"), error))
        return {"token": status.get("token"), "client-certificate-data": encoded(status.get("clientCertificateData")),
                "client-key-data": encoded(status.get("clientKeyData"))}

    def kubeconfig(self, namespace):
        """The same server and user as a kubeconfig of its own whose context has this namespace."""
        return {"apiVersion": "v1", "kind": "Config", "current-context": "test",
                "clusters": [{"name": "test", "cluster": self.cluster}], "users": [{"name": "test", "user": self.user}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}]}

    # - calls

    def _connect(self):
        if self.ssl is None:
            return http.client.HTTPConnection(self.url.hostname, self.url.port or 80, timeout=60)
        connection = http.client.HTTPSConnection(self.url.hostname, self.url.port or 443, timeout=60, context=self.ssl)
        name = self.cluster.get("tls-server-name")
        if name:
            connection.sock = self.ssl.wrap_socket(
                socket.create_connection((self.url.hostname, self.url.port or 443), 60), server_hostname=name)
        return connection

    def raw(self, method, path, body=None, content_type="application/json"):
        """(status, object). A connection that the server closed meanwhile is opened once more."""
        self.calls.append((method, path))
        data = None if body is None else json.dumps(body).encode()
        fields = dict(self.fields, **({"Content-Type": content_type} if data is not None else {}))
        for attempt in (1, 2):
            connection = getattr(self.local, "connection", None) or self._connect()
            self.local.connection = connection
            try:
                connection.request(method, self.url.path.rstrip("/") + path, data, fields)
                answer = connection.getresponse()
                text = answer.read()
                break
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self.local.connection = None
                if attempt == 2:
                    raise Trouble("%s cannot be reached: %s" % (self.cluster["server"], error))
        try:
            return answer.status, json.loads(text) if text else {}
        except ValueError:
            return answer.status, {"message": text[:200].decode("utf-8", "replace")}

    def call(self, method, path, body=None, content_type="application/json", missing=False):
        """The object. With `missing` a 404 gives None; else 400 and above raise Refused."""
        status, result = self.raw(method, path, body, content_type)
        if status == 404 and missing:
            return None
        if status >= 400:
            raise Refused(status, result.get("message", ""), "%s %s" % (method, path))
        return result

    def get(self, path, missing=True):
        return self.call("GET", path, missing=missing)

    def patch(self, path, change, missing=False):
        return self.call("PATCH", path, change, MERGE, missing)


def encoded(text):
    return base64.b64encode(text.encode()).decode() if text else None
