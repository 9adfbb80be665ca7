"""Replicas behind a real nginx: restarted one after the other under load, nothing is refused and nothing lost."""
import os
import shutil
import subprocess
import tempfile
import threading
import time

from harness import (PATIENCE, Closed, Connection, Failure, Skip, delivery_id, expect, free_port, github, plain_hook,
                     request, wait_until)
from registry import test

PATH = "/hooks/team-a/webapp"
BODY = b'{"ref":"refs/heads/main"}'
CONFIG = """
daemon off;
worker_processes 1;
pid %(folder)s/nginx.pid;
error_log %(folder)s/error.log;
events { worker_connections 256; }
http {
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path %(folder)s/body;
    proxy_temp_path %(folder)s/proxy;
    fastcgi_temp_path %(folder)s/fastcgi;
    uwsgi_temp_path %(folder)s/uwsgi;
    scgi_temp_path %(folder)s/scgi;
    upstream grapnel {
        # What could not be delivered to one goes to the other; fail_timeout: how long nginx leaves it alone.
        server 127.0.0.1:%(first)d max_fails=1 fail_timeout=1s;
        server 127.0.0.1:%(second)d max_fails=1 fail_timeout=1s;
        %(keepalive)s
    }
    server {
        listen 127.0.0.1:%(port)d;
        location / {
            proxy_pass http://grapnel;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_connect_timeout 2s;
        }
    }
}
"""


class Nginx:
    def __init__(self, context, servers, keepalive):
        binary = shutil.which("nginx") or "/usr/sbin/nginx"
        if not os.access(binary, os.X_OK):
            raise Skip("nginx is not installed (make deps)")
        self.folder, self.port = tempfile.mkdtemp(prefix="nginx-", dir=context.folder), free_port()
        with open(os.path.join(self.folder, "nginx.conf"), "w") as f:
            f.write(CONFIG % {"folder": self.folder, "port": self.port, "first": servers[0].port,
                              "second": servers[1].port, "keepalive": "keepalive 8;" if keepalive else ""})
        self.process = subprocess.Popen(
            [binary, "-p", self.folder, "-e", os.path.join(self.folder, "error.log"), "-c",
             os.path.join(self.folder, "nginx.conf")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        context.closers.append(self.stop)
        wait_until(self.is_up, 10, "nginx listens")

    def is_up(self):
        if self.process.poll() is not None:
            raise Failure("nginx ended: " + open(os.path.join(self.folder, "error.log")).read()[-500:])
        try:
            Connection(self.port).close()
            return True
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)


class Load:
    """Senders that never stop: each delivery has an id of its own, each answer is kept."""

    def __init__(self, port, senders=4):
        self.port, self.answers, self.stopped, self.lock = port, {}, threading.Event(), threading.Lock()
        self.threads = [threading.Thread(target=self.send, daemon=True) for _ in range(senders)]
        for thread in self.threads:
            thread.start()

    def send(self):
        connection = None
        while not self.stopped.is_set():
            delivery = delivery_id()
            try:
                connection = connection or Connection(self.port)
                answer = connection.exchange(request(PATH, BODY, github(BODY, delivery=delivery)))
                status = answer.status
            except (Closed, OSError) as error:
                status, connection = "closed: %s" % error, None
            with self.lock:
                self.answers[delivery] = status
            time.sleep(0.005)

    def count(self):
        with self.lock:
            return len(self.answers)

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(PATIENCE)
        return self.answers


def roll(context, keepalive):
    sink = context.sink()
    manifests = plain_hook(actions='\n  - http: {url: "%s", timeout: 60s}' % sink.url)
    flags = ["--shutdown-delay", "1500ms"]
    servers = [context.server(manifests, flags=flags) for _ in range(2)]
    nginx = Nginx(context, servers, keepalive)
    load = Load(nginx.port)
    try:
        wait_until(lambda: load.count() >= 50, 10, "the load begins")
        for server in servers:
            server.stop()
            before = load.count()
            wait_until(lambda: load.count() >= before + 50, 10, "the other one serves")
            server.start()
            wait_until(lambda: server.metric("grapnel_journal_records_total") > 0, 15,
                       "nginx comes back to the one that was restarted")
    finally:
        answers = load.stop()
    wrong = {d: s for d, s in answers.items() if s != 200}
    expect(wrong, {}, "deliveries of %d that were not answered 200" % len(answers))
    wait_until(lambda: sum(1 for _ in list(sink.requests)) >= len(answers), 20, "each delivery led to its call")
    calls = [r[0].get("webhook-id") for r in list(sink.requests)]
    expect(len(calls), len(answers), "calls for %d deliveries" % len(answers))
    expect(len(set(calls)), len(calls), "different webhook-ids: nothing is called twice")


@test("two replicas behind nginx, restarted one after the other under load: 0 refused, 0 lost, 0 doubled")
def rolling(context):
    roll(context, keepalive=False)


@test("the same with connections that nginx keeps open to the replicas")
def rolling_keepalive(context):
    roll(context, keepalive=True)
