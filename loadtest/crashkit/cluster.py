"""A fake API server in a process of its own that works, answers 500, is slow, or is away: `mode`.

Keeps (epoch, commit) of each S2iRun that was created, and for each GitRepository when the last PATCH arrived that
succeeded. A write whose answer the server may not have got, since the API server went away then, is marked as unsure.
"""
import json
import os
import random
import threading
import time

import fakekube
from crashkit.receiver import Child
from fakekube import APIError, FakeKube, make_pki
from harness import free_port

MODES = ("working", "failing", "slow", "away")
UNSURE_SECONDS = 2          # before it goes away: answers on their way then may be lost


class Kube(FakeKube):
    def __init__(self, pki, port, seed):
        self.mode, self.epoch, self.dice = "working", 0, random.Random(seed)
        self.runs, self.patched = [], {}
        super().__init__(pki, port)

    def _listen(self, port):
        return fakekube._Server(("127.0.0.1", port), Handler, self)

    def become(self, mode):
        if (mode == "away") != (self.mode == "away"):
            if mode == "away":
                now = time.time()
                self.down()
                for run in self.runs:
                    run["unsure"] |= now - run["at"] < UNSURE_SECONDS
            else:
                self.up()
        self.mode = mode


class Handler(fakekube._Handler):
    def setup(self):
        self.epoch = self.server.kube.epoch
        super().setup()

    def _route(self, kube, parts, path):
        self.arrived = time.time()
        if kube.mode == "slow":
            time.sleep(kube.dice.uniform(0.05, 0.6))
        elif kube.mode == "failing":
            raise APIError(500, "not today")
        super()._route(kube, parts, path)

    def _write(self, kube, verb, r, namespace, name, subresource, body):
        status, result = super()._write(kube, verb, r, namespace, name, subresource, body)
        with kube.changed:
            if r.plural == "s2iruns":
                kube.runs.append({"epoch": self.epoch, "commit": body["spec"].get("newRevisionId", "?"),
                                  "at": time.time(), "unsure": kube.mode == "away"})
                kube.objects[r.key].clear()
            elif r.plural == "gitrepositories":
                kube.patched[name] = max(self.arrived, kube.patched.get(name, 0))
            del kube.writes[:], kube.reads[:]
        return status, result

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = fakekube._Handler._any


def serve(folder, port, targets, seed, pipe):
    """Process."""
    kube = Kube(make_pki(folder), port, seed)
    for name in targets:
        kube.put({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
                  "metadata": {"name": name, "namespace": "team-a"}, "spec": {"url": "https://git.example.com/x.git"}})
    kube.start()
    path = os.path.join(folder, "kubeconfig")
    with open(path, "w") as f:
        json.dump(kube.kubeconfig(), f)
    pipe.send(path)
    while True:
        try:
            word, value = pipe.recv()
        except EOFError:
            return
        answer = None
        if word == "mode":
            kube.become(value)
        elif word == "epoch":
            kube.epoch = value
        elif word == "living":
            answer = len(kube._listener._open) if kube._listener else 0
        elif word == "acts":
            with kube.changed:
                answer = list(kube.runs), dict(kube.patched)
        pipe.send(answer)


class Cluster(Child):
    def __init__(self, folder, targets, seed):
        os.makedirs(folder)
        # The port is chosen here: a forked process would choose the same ones as this one.
        super().__init__(serve, folder, free_port(), targets, seed)
        self.kubeconfig = self.started

    def begin(self, epoch):
        deadline = time.monotonic() + 10
        while self.ask("living") and time.monotonic() < deadline:
            time.sleep(0.01)
        self.ask("epoch", epoch)
