"""What the TLS tests share: certificates made with openssl, clients, and a server that speaks TLS."""
import os
import shutil
import socket
import ssl
import subprocess

from harness import PATIENCE, Connection, Skip, expect, free_port

DAY = 86_400


def run(*arguments, text=None):
    if not shutil.which(arguments[0]):
        raise Skip("%s is not installed (make deps)" % arguments[0])
    result = subprocess.run(arguments, input=text, capture_output=True, text=True, timeout=300)
    expect(result.returncode, 0, " ".join(arguments) + ": " + result.stderr)
    return result.stdout


class Authority:
    """A private certificate authority in a folder."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.certificate, self.key = os.path.join(folder, name + ".pem"), os.path.join(folder, name + ".key")
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-keyout", self.key, "-out", self.certificate, "-subj", "/CN=" + name)

    def issue(self, name, common_name="localhost", days=60, use="serverAuth", rsa=None):
        """(certificate, key) as files."""
        certificate, key = os.path.join(self.folder, name + ".crt"), os.path.join(self.folder, name + ".key")
        request = os.path.join(self.folder, name + ".csr")
        kind = ["rsa:%d" % rsa] if rsa else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        run("openssl", "req", "-newkey", *kind, "-nodes", "-keyout", key, "-out", request, "-subj", "/CN=" + common_name)
        extensions = os.path.join(self.folder, name + ".ext")
        with open(extensions, "w") as f:
            f.write("basicConstraints=CA:FALSE\nextendedKeyUsage=%s\n"
                    "subjectAltName=DNS:localhost,DNS:hooks.example.org,IP:127.0.0.1\n" % use)
        run("openssl", "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
            "-out", certificate, "-extfile", extensions, "-days", str(days))
        return certificate, key


def put(source, target):
    """Replaces a file as a whole, as cert-manager and certbot do."""
    shutil.copyfile(source, target + ".new")
    os.replace(target + ".new", target)


class Site:
    """Authority, certificate and a server that speaks TLS on `port`, and plain HTTP on the server's own."""

    def __init__(self, context, manifests, flags=(), certificate=None, start=True, **more):
        self.folder = os.path.join(context.folder, "tls-%d" % len(context.servers))
        os.makedirs(self.folder)
        self.authority = Authority(self.folder, "authority")
        self.certificate, self.key = os.path.join(self.folder, "tls.crt"), os.path.join(self.folder, "tls.key")
        self.install(*(certificate or self.authority.issue("first")))
        self.port = free_port()
        self.server = context.server(
            manifests, start=start, flags=["--tls-listen", "127.0.0.1:%d" % self.port, "--tls-certificate", self.certificate,
                                           "--tls-key", self.key, *flags], **more)
        # Not one byte of the key may be logged.
        with open(self.key) as f:
            self.server.tokens.update(line for line in f.read().split("\n") if line and not line.startswith("-"))

    def install(self, certificate, key):
        put(certificate, self.certificate)
        put(key, self.key)

    def client(self, authority=None, certificate=None, protocols=("http/1.1",), version=None, suites=None):
        context = ssl.create_default_context(cafile=(authority or self.authority).certificate)
        if certificate:
            context.load_cert_chain(*certificate)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        if version:
            context.minimum_version = context.maximum_version = version
        if suites:
            context.set_ciphers(suites)
        return context

    def connect(self, client=None, name="localhost", timeout=PATIENCE, session=None):
        return TLSConnection(self.port, client or self.client(), name, timeout, session)

    def results(self):
        """{result: count} of the handshakes so far."""
        prefix = 'grapnel_tls_handshakes_total{result="'
        return {k[len(prefix):-2]: int(v) for k, v in self.server.metrics().items() if k.startswith(prefix)}


class TLSConnection(Connection):
    """The harness's connection over TLS."""

    def __init__(self, port, client, name="localhost", timeout=PATIENCE, session=None):
        super().__init__(port, timeout)
        try:
            self.socket = client.wrap_socket(self.socket, server_hostname=name, suppress_ragged_eofs=False,
                                             session=session)
        except BaseException:
            self.socket.close()
            raise

    @property
    def serial(self):
        return self.socket.getpeercert()["serialNumber"]


class MemoryClient:
    """A TLS client that decides what goes into one segment: everything that waits, or `segment` bytes."""

    def __init__(self, site, segment=None):
        self.incoming, self.outgoing, self.segment = ssl.MemoryBIO(), ssl.MemoryBIO(), segment
        self.tls = site.client().wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.socket = socket.create_connection(("127.0.0.1", site.port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def step(self, what):
        """Calls `what` until it has what it needs, sending what waits whenever it must wait for the server."""
        while True:
            try:
                return what()
            except ssl.SSLWantReadError:
                data = self.outgoing.read()
                for index in range(0, len(data), self.segment or max(1, len(data))):
                    self.socket.sendall(data[index:index + (self.segment or len(data))])
                self.incoming.write(self.socket.recv(65536))


def s_client(port, *arguments, text=""):
    """What `openssl s_client` says: (exit status, all its output)."""
    if not shutil.which("openssl"):
        raise Skip("openssl is not installed (make deps)")
    result = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % port, *arguments], input=text,
                            capture_output=True, text=True, timeout=300)
    return result.returncode, result.stdout + result.stderr


def raw(port, data=b"", timeout=PATIENCE):
    sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
    sock.sendall(data)
    return sock
