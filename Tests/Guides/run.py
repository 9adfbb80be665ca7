#!/usr/bin/env python3
"""The guides, run: commands and manifests are taken out of the manuals as they stand there, and carried out in order.

Each guide gets a folder, a fake API server and a real kubectl. Its manifests are applied, its commands run with bash, its
`grapnel serve` stays until the next one or the end; what the comments in front of a block promise is held against what came
(blocks.py). Ports, the public host name and system folders are put in place of the guide's; nothing else is changed.

  run.py --grapnel FILE [--only REGEX] [--json FILE] [-v]
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "EndToEnd")]

import blocks as manual                                             # noqa: E402
import yaml                                                         # noqa: E402
from cluster import guide_cluster                                   # noqa: E402
from guides import GUIDES                                           # noqa: E402
from harness import PATIENCE, ROOT, Failure, Server, Skip, expect, expect_that, free_port, wait_until    # noqa: E402

NAMESPACES = ("default", "flux-system", "team-a", "team-b", "team-c", "platform", "build-service")
PORTS = (9292, 9293, 9443, 8081)


class Reader(Server):
    """The server that the reader of a guide started last: only what harness.Server knows of one that runs."""

    def __init__(self, process, admin_port, log_path):
        self.process, self.admin_port, self.log_path, self.wrapper = process, admin_port, log_path, []


class Tour:
    """One guide being followed."""

    def __init__(self, guide, options):
        self.guide, self.options, self.server = guide, options, None
        self.folder = tempfile.mkdtemp(prefix="grapnel-guide-")
        for name in ("bin", "manifests", "data", ".build/release"):
            os.makedirs(os.path.join(self.folder, name), mode=0o700)
        for link in ("bin/grapnel", ".build/release/grapnel"):
            os.symlink(options.grapnel, os.path.join(self.folder, link))
        for name, text in guide.files.items():
            with open(os.path.join(self.folder, name), "w") as f:
                f.write(text)
        self.ports = {port: free_port() for port in PORTS}
        self.kube = guide_cluster(self.folder, guide.namespace, NAMESPACES)
        for o in guide.objects:
            self.kube.put(o)
        self.env = dict(os.environ, PATH=os.path.join(self.folder, "bin") + ":" + os.environ["PATH"], HOME=self.folder,
                        KUBECONFIG=os.path.join(self.folder, "kubeconfig"), SWIFT_BACKTRACE="enable=no",
                        GRAPNEL_LISTEN="127.0.0.1:%d" % self.ports[9292],
                        GRAPNEL_ADMIN_LISTEN="127.0.0.1:%d" % self.ports[9293], **guide.env)
        self.log = os.path.join(self.folder, "log")

    def local(self, text):
        """A command with this place's ports, folders and host name."""
        for word, value in self.guide.replace:
            text = text.replace(word, value)
        text = text.replace("https://hooks.example.org/", "http://127.0.0.1:9292/")
        text = text.replace("/var/lib/grapnel", os.path.join(self.folder, "data")).replace("0.0.0.0:", "127.0.0.1:")
        return re.sub(r"(?<=:)(%s)\b" % "|".join(map(str, PORTS)), lambda m: str(self.ports[int(m[1])]), text)

    # - blocks

    def manifest(self, block):
        head = block.text.split("\n", 1)[0]
        if head.startswith("# grapnel.yaml"):
            return self.settings(block)
        if head.startswith("# not ours: for kubectl apply") or self.guide.manifests == "cluster":
            return self.kubectl(block)
        if head.startswith("# not ours"):
            raise Skip(head[2:])
        if self.guide.manifests == "files":
            with open(os.path.join(self.folder, "manifests", "line-%d.yaml" % block.line), "w") as f:
                f.write(block.text)
        else:
            list(yaml.safe_load_all(block.text))

    def kubectl(self, block):
        if block.text.startswith("# not ours") and "for kubectl apply" not in block.text.split("\n", 1)[0]:
            raise Skip(block.text.split("\n", 1)[0][2:])
        # Nothing here serves an OpenAPI document, by which kubectl would look for slips.
        result = self.shell("kubectl apply --validate=false -f -", block.text)
        expect(result.returncode, 0, "kubectl apply: " + result.stdout)

    def settings(self, block):
        """The guide's settings; the manifests that they name come later. Read by the commands behind it, and checked alone."""
        with open(os.path.join(self.folder, "grapnel.yaml"), "w") as f:
            f.write(block.text)
        yaml.safe_load(block.text)

    def commands(self, block):
        before, result = len(self.kube.writes_since()), None
        for command in block.commands():
            command = self.local(command)
            if re.match(r"(\S*/)?grapnel serve\b", command):
                self.serve(command)
                continue
            last = command == self.local(block.commands()[-1])
            status = int((block.wanted("status") or [0])[0]) if last else 0
            patterns = block.wanted("prints") if last else []
            result = self.look(command, status, patterns)
            if self.options.verbose:
                print("     $ %s\n%s" % (command, result.stdout), flush=True)
            expect(result.returncode, status, "status of `%s`\n%s\n%s" % (command, result.stdout, self.tail()))
            for pattern in patterns:
                expect_that(re.search(pattern, result.stdout), "nothing like %r in\n%s" % (pattern, result.stdout))
        for wanted in block.wanted("writes"):
            wait_until(lambda: wanted in self.writes(before), 20, "`%s` at the API server; there were %r\n%s" % (
                wanted, self.writes(before), self.tail()))

    def look(self, command, status, patterns):
        """Runs a command; one that only looks is repeated for a while, as a reader would who is too early."""
        deadline = time.monotonic() + PATIENCE
        while True:
            result = self.shell(command)
            good = result.returncode == status and all(re.search(p, result.stdout) for p in patterns)
            if good or not re.match(r"tail |kubectl get |curl -s ", command) or time.monotonic() > deadline:
                return result
            time.sleep(0.2)

    def writes(self, start):
        return ["%s %s %s/%s" % (w["subresource"] or w["verb"], w["resource"], w["namespace"], w["name"])
                for w in self.kube.acts(start)]

    def shell(self, command, text=None):
        return subprocess.run(["bash", "-c", "set -eo pipefail\n" + command], cwd=self.folder, env=self.env, timeout=300, text=True,
                              errors="replace", input=text, stdin=None if text else subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def serve(self, command):
        self.stop()
        log = open(self.log, "ab")
        process = subprocess.Popen(["bash", "-c", "exec " + command], cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, start_new_session=True)
        self.server = Reader(process, self.ports[9293], self.log)
        self.server.log = log

        def is_ready():
            expect(process.poll(), None, "the server of `%s` ended\n%s" % (command, self.tail()))
            return self.server.is_ready()
        wait_until(is_ready, 30, "`%s` is ready" % command)

    def quickstart(self):
        """`make run` without make: what it starts."""
        self.env.update(GRAPNEL_QUICKSTART_LISTEN=self.env.pop("GRAPNEL_LISTEN"),
                        GRAPNEL_QUICKSTART_ADMIN=self.env.pop("GRAPNEL_ADMIN_LISTEN"))
        self.serve("%s bin/grapnel data" % os.path.join(ROOT, "deploy", "quickstart", "serve.sh"))

    def tail(self):
        return self.server.tail() if self.server else ""

    def stop(self):
        if self.server:
            server, self.server = self.server, None
            server.stop()

    def end(self):
        if self.server:
            self.server.kill()
        self.kube.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def follow(guide, options, verdicts):
    """Carries out a guide: first what it has the cluster hold, in order of writing, then its commands."""
    with open(os.path.join(ROOT, guide.name), encoding="utf-8") as f:
        blocks = manual.read(f.read())
    if not any(b.kind == "commands" for b in blocks):
        verdicts.append({"name": guide.name, "state": "fail", "reason": "no commands were found in it", "seconds": 0})
        return print("FAIL %s: no commands were found in it" % guide.name, flush=True)
    tour = Tour(guide, options)
    try:
        if guide.before:
            getattr(tour, guide.before)()
        order = [b for b in blocks if b.kind == "yaml"] + [b for b in blocks if b.kind == "commands"]
        for block in order:
            began, state, reason = time.monotonic(), "pass", ""
            try:
                if block.wanted("skip"):
                    raise Skip(block.wanted("skip")[0])
                tour.manifest(block) if block.kind == "yaml" else tour.commands(block)
            except Skip as skip:
                state, reason = "skip", str(skip)
            except (Failure, subprocess.TimeoutExpired, yaml.YAMLError) as failure:
                state, reason = "fail", str(failure)
            except Exception:
                state, reason = "fail", traceback.format_exc()
            name = "%s:%d %s" % (guide.name, block.line, block.title)
            verdicts.append({"name": name, "state": state, "reason": reason, "seconds": round(time.monotonic() - began, 2)})
            if state == "fail" or options.verbose or state == "skip":
                print("%-4s %s: %s" % ({"pass": "ok", "fail": "FAIL", "skip": "skip"}[state], name, reason), flush=True)
        tour.stop()
    except (Failure, OSError) as failure:
        verdicts.append({"name": guide.name, "state": "fail", "reason": str(failure), "seconds": 0})
        print("FAIL %s: %s" % (guide.name, failure), flush=True)
    finally:
        tour.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grapnel", required=True, metavar="FILE")
    parser.add_argument("--only", metavar="REGEX", help="searched in the guide's name")
    parser.add_argument("--json", metavar="FILE", help="all verdicts")
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    options.grapnel = os.path.abspath(options.grapnel)
    if not os.access(options.grapnel, os.X_OK):
        sys.exit("%s is not an executable file; `make build` makes it" % options.grapnel)
    missing = [p for p in ("kubectl", "curl", "openssl") if not shutil.which(p)]
    verdicts = []
    for guide in GUIDES:
        if options.only and not re.search(options.only, guide.name):
            continue
        if missing:
            verdicts.append({"name": guide.name, "state": "skip", "reason": "%s is not here: make deps" % missing[0], "seconds": 0})
            continue
        follow(guide, options, verdicts)
    if options.json:
        with open(options.json, "w") as f:
            json.dump(verdicts, f, indent=1)
    count = lambda state: sum(v["state"] == state for v in verdicts)
    print("%d passed, %d failed, %d skipped" % (count("pass"), count("fail"), count("skip")))
    return 1 if count("fail") or not verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
