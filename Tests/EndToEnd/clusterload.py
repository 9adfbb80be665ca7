#!/usr/bin/env python3
"""What a large cluster is made of for test_cluster_scale.py, each part a process of its own, so that none takes another's turns:

  clusterload.py kube FOLDER         the fake API server with all objects; its store is changed from inside
  clusterload.py deliver PORT PATH TOKEN      deliveries on one connection, each timed
  clusterload.py sink KUBECONFIG     watches as the server does, reads what comes and drops it

Commands come as JSON values, one a line; each is answered by one. The end of the input ends the process.
"""
import contextlib
import json
import os
import select
import socket
import ssl
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

RECEIVERS, SECRETS, REPOSITORIES = 5_000, 100, 10_000
WATCHED = ("apis/source.toolkit.fluxcd.io/v1/gitrepositories", "apis/notification.toolkit.fluxcd.io/v1/receivers")


def token(i):
    return "scale-t0ken-%04d-0123456789abcdef" % (i % SECRETS)


def name(i):
    return "webapp-%05d" % i


# - The side of the test

class Part:
    """One of these processes."""

    def __init__(self, context, *arguments, nice=0, cores=None):
        def place():
            os.nice(nice)
            if cores:
                os.sched_setaffinity(0, cores)
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), *map(str, arguments)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, preexec_fn=place)
        context.closers.append(self.stop)
        self.first = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise OSError("a program of the load ended by itself")
        return json.loads(line)

    def tell(self, value):
        self.process.stdin.write(json.dumps(value) + "\n")
        self.process.stdin.flush()

    def ask(self, value):
        self.tell(value)
        return self.read()

    def stop(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(10)


def commands():
    for line in sys.stdin:
        yield json.loads(line)


def say(value):
    print(json.dumps(value), flush=True)


# - The API server

def one(i, **spec):
    from clustercase import receiver
    return receiver(name(i), token="token-%d" % (i % SECRETS), resources=[{"kind": "GitRepository", "name": name(i)}], **spec)


def judged(i):
    """As it is after the first start in this cluster."""
    from clustercase import FINALIZER, flux_path
    path = flux_path(name(i), token(i))
    o = one(i)
    o["metadata"]["finalizers"] = [FINALIZER]
    o["status"] = {"webhookPath": path, "observedGeneration": 1, "conditions": [
        {"type": "Ready", "status": "True", "reason": "Succeeded", "observedGeneration": 1,
         "message": "Receiver initialized for path: " + path, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
    return o


def storm(kube, count, round):
    """So many changes of specs: three of four of a repository, one of a Receiver."""
    from clustercase import git
    for i in range(count):
        if i % 4:
            o = git(name(i % REPOSITORIES), number="%d-%d" % (round, i))
            o["spec"]["url"] += "?%d-%d" % (round, i)
            kube.apply(o)
        else:
            kube.apply(one(i // 2 + 1, events=["push", "round-%d" % round]))


def heartbeats(kube, count, round):
    """So many changes of nothing but a status: what controllers write all day long."""
    from clustercase import git
    with kube.changed:
        names = [name(i % REPOSITORIES) for i in range(count)]
    for i, n in enumerate(names):
        r = kube.resource_of("source.toolkit.fluxcd.io/v1", "GitRepository")
        kube.replace(r, "team-a", n, lambda old: dict(
            old, status={"observedGeneration": 1, "artifact": {"revision": "main@sha1:%040x" % (round * count + i)}}), "status")


def behind(kube):
    return sum((o.get("status") or {}).get("observedGeneration") != o["metadata"]["generation"]
               for o in kube.all("receivers"))


def run_kube(folder):
    from clustercase import git, secret
    from watchkube import watched_cluster
    context = SimpleNamespace(folder=folder, closers=[])
    kube = watched_cluster(context, [secret("token-%d" % i, token(i)) for i in range(SECRETS)])
    for i in range(REPOSITORIES):
        kube.put(git(name(i)))
    for i in range(RECEIVERS):
        kube.put(judged(i))
    say({"kubeconfig": kube.kubeconfig_path})
    for command in commands():
        verb, began = command["do"], time.monotonic()
        if verb == "storm":
            storm(kube, command["count"], command["round"])
        elif verb == "heartbeats":
            heartbeats(kube, command["count"], command["round"])
        elif verb == "add":
            kube.apply(one(command["index"]))
        elif verb == "remove":
            kube.remove("notification.toolkit.fluxcd.io/v1", "Receiver", "team-a", name(command["index"]))
        say({"seconds": time.monotonic() - began, "began": began, "behind": behind(kube) if verb == "behind" else None,
             "watches": kube.open_watches()})
    for close in reversed(context.closers):
        close()


# - Deliveries

def run_deliver(port, path, given):
    from clustercase import PUSH
    from harness import Connection, github, request
    times, lock, ended, trouble = [], threading.Lock(), threading.Event(), []

    def deliver():
        try:
            while not ended.is_set():
                with Connection(int(port)) as connection:
                    # The server ends a connection after 10,000.
                    for _ in range(5_000):
                        if ended.wait(0.002):
                            break
                        data = request(path, PUSH, github(PUSH, given))
                        began = time.monotonic()
                        answer = connection.exchange(data)
                        with lock:
                            times.append((began, time.monotonic() - began, answer.status))
        except Exception as error:
            trouble.append(repr(error))
    thread = threading.Thread(target=deliver)
    thread.start()
    say({})
    for _ in commands():
        with lock:
            say({"times": list(times), "trouble": trouble})
            times.clear()
    ended.set()
    thread.join()


# - What the API server and the kernel do for a server that watches, without one

def run_sink(kubeconfig):
    with open(kubeconfig) as f:
        config = json.load(f)
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    host, _, port = cluster["server"].partition("://")[2].partition(":")
    tls = ssl._create_unverified_context()
    counts = {"bytes": 0}

    def read(path):
        # The server ends each watch after a while, and sooner where it cannot write.
        while True:
            with contextlib.suppress(OSError), tls.wrap_socket(socket.create_connection((host, int(port))), server_hostname=host) as s:
                s.sendall((
                    "GET /%s?watch=true&timeoutSeconds=600 HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n"
                    "Authorization: Bearer %s\r\n\r\n" % (path, host, user.get("token", ""))).encode())
                while data := s.recv(1 << 16):
                    counts["bytes"] += len(data)
    for path in WATCHED:
        threading.Thread(target=read, args=(path,), daemon=True).start()
    say({})
    for _ in commands():
        say(counts)
    os._exit(0)


if __name__ == "__main__":
    {"kube": run_kube, "deliver": run_deliver, "sink": run_sink}[sys.argv[1]](*sys.argv[2:])
