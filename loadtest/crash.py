#!/usr/bin/env python3
"""Nothing answered 2xx is lost when the server is killed, whatever stands behind it: `make crash`.

The server takes deliveries on 64 connections. They lead to http actions, commands, S2iRuns and reconciliations; the API
server behind it works, answers 500, is slow or is away, in turn. In each round the server gets SIGKILL: the moment a marked
delivery is answered 2xx, at a random moment, or while it is still starting. Then it is started again on the same disk. In
the end everything that was answered 2xx must have been acted on, and nothing twice that at-least-once does not explain
(crashkit/judge.py). In some rounds the journal of the killed server is damaged: what `grapnel journal inspect` reports must
be exactly that, the server must start and report it, and nothing else may be lost (crashkit/damage.py).

  crash.py --grapnel FILE [--rounds 50] [--seed N] [--connections 64] [--loops N] [--damage PERCENT] [--server-flag FLAG]...

Exit status 0 only when nothing was lost and nothing done twice without an explanation. The seed makes the choices
repeatable; when the kernel runs whom it does not.
"""
import argparse
import os
import random
import shutil
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "Tests", "EndToEnd")]

from crashkit.cluster import MODES, Cluster                                             # noqa: E402
from crashkit.damage import inflict                                                     # noqa: E402
from crashkit.journal import Snapshot                                                   # noqa: E402
from crashkit.judge import Judge                                                        # noqa: E402
from crashkit.load import TARGETS, Load, Sent                                           # noqa: E402
from crashkit.receiver import Receiver                                                  # noqa: E402
from harness import PATIENCE, Closed, Connection, Failure, Server, TOKEN, expect_that, hook, secret   # noqa: E402

SETTLE_EVERY, SETTLE_SECONDS = 10, 300
RETRY = "retry: {attempts: 50, backoff: 50ms, maxBackoff: 500ms}"
SCRIPT = """#!/bin/sh
# Notes by whom and for which delivery it was run.
cat > /dev/null
printf '%%s %%s\\n' "$PPID" "$GRAPNEL_DELIVERY_ID" >> "%s"
"""


class Commands:
    """What the exec action runs, and what that noted."""

    def __init__(self, folder):
        self.file, self.script = os.path.join(folder, "commands.txt"), os.path.join(folder, "note.sh")
        self.epochs, self.read = {}, 0          # pid of the server -> epoch
        with open(self.script, "w") as f:
            f.write(SCRIPT % self.file)
        os.chmod(self.script, 0o755)
        open(self.file, "w").close()

    def runs(self):
        """[(epoch, delivery id)] since the last time; without an epoch where the server was gone already."""
        with open(self.file) as f:
            f.seek(self.read)
            text = f.read()
        text = text[:text.rfind("\n") + 1]
        self.read += len(text)
        return [(self.epochs.get(pid), name) for pid, name in (line.split(" ", 1) for line in text.splitlines())]


def manifests(receiver, commands):
    http = "http: {url: \"http://127.0.0.1:%d/\", timeout: 5s}" % receiver.port
    run = 'exec: {command: ["%s"], timeout: 30s}' % commands.script
    reconcile = lambda name: "reconcile: {apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, name: %s}" % name
    actions = {"load": [http], "marked": [http], "command": [run], "build": ["s2iRun: {builderName: webapp}"],
               "all": [http, run, "s2iRun: {builderName: webapp}", reconcile(TARGETS[0])],
               **{name: [reconcile(name)] for name in TARGETS}}
    return {"secret.yaml": secret("webhook-token", TOKEN), "hooks.yaml": "---\n".join(
        hook(name, actions="[{%s}]" % "}, {".join(those), more=RETRY) for name, those in actions.items())}


class Crash:
    def __init__(self, options, folder):
        self.options, self.dice, self.folder = options, random.Random(options.seed), folder
        self.sent, self.receiver, self.commands = Sent(), Receiver(), Commands(folder)
        self.cluster = Cluster(os.path.join(folder, "cluster"), TARGETS, options.seed)
        self.judge = Judge(self.sent, self.receiver, self.commands, self.cluster)
        self.server = Server(os.path.abspath(options.grapnel), os.path.join(folder, "server"),
                             manifests(self.receiver, self.commands), flags=[
            "--allow-exec", "--kubernetes", "kubeconfig", "--kubeconfig", self.cluster.kubeconfig, "--catalog", "manifests",
            "--journal-max-bytes", "1GiB"] + options.server_flag)
        self.epoch, self.rounds, self.deliveries, self.harmed, self.damaged, self.lost = 0, 0, 0, 0, 0, []

    # - the server's life

    def start(self, ready=True):
        self.epoch += 1
        self.receiver.begin(self.epoch)
        self.cluster.begin(self.epoch)
        self.server.loops = self.options.loops or 1 + self.epoch % 2
        self.log_offset = len(self.server.log_text())
        self.server.start(ready=ready)
        self.commands.epochs[str(self.server.process.pid)] = self.epoch

    def kill(self):
        self.server.kill()
        self.snapshot = Snapshot(self.server.grapnel, self.server.data)
        expect_that(self.snapshot.records or self.snapshot.status == 0,
                    "the journal cannot be read: %s" % self.snapshot.errors)
        self.judge.done[self.epoch + 1] = self.snapshot.done()

    # - a round

    def round(self):
        """One round: load, kill, perhaps damage, start. Returns its line."""
        kind = self.dice.choices(("answered", "random", "starting"), (5, 4, 1))[0]
        modes = [self.dice.choice(MODES) for _ in range(2)]
        load = Load(self.server.port, "load-%d" % self.rounds, self.options.connections, self.sent)
        self.cluster.ask("mode", modes[0])
        load.start()
        time.sleep(self.dice.uniform(0.05, 0.3))
        self.cluster.ask("mode", modes[1])
        time.sleep(self.dice.uniform(0, 0.3))
        if kind == "answered":
            name = "marked-%d" % self.rounds
            with Connection(self.server.port) as connection:
                answer = connection.exchange(self.sent.compose("all", name, self.dice.choice((700, 8192))))
                self.server.kill()
            expect_that(answer.status == 200, "the marked delivery was answered %d" % answer.status)
            self.sent.acknowledged.append(name)
            self.deliveries += 1
        self.kill()
        load.join(PATIENCE)
        expect_that(not load.is_alive(), "the load does not end")
        expect_that(not load.others, "answers other than 2xx: %r" % load.others)
        self.sent.acknowledged += load.acknowledged
        self.deliveries += load.count
        text = "%5d sent, %5d acknowledged, killed %s, API server %s" % (
            load.count, len(load.acknowledged), kind, " then ".join(modes))
        if self.dice.random() * 100 < self.options.damage:
            text += self.harm()
        if kind == "starting":
            self.start(ready=False)
            time.sleep(self.dice.uniform(0, 0.25))
            self.kill()
        self.start()
        if self.harmed:
            self.compare_log()
        self.rounds += 1
        return text

    def harm(self):
        harm = inflict(self.dice, self.server.grapnel, self.server.data, self.snapshot)
        if harm is None:
            return ""
        self.harmed += 1
        self.damaged += len(harm.taken)
        self.judge.excused |= harm.ids
        self.judge.done[self.epoch + 1] = harm.after.done()
        self.snapshot = harm.after
        return "\n          " + harm.line()

    def compare_log(self):
        """The server found at its start exactly what was found in the stopped journal."""
        lines = self.server.log_text()[self.log_offset:].count("journal damage: what stood there is lost")
        expect_that(lines == len(self.snapshot.damage), "the server's log reports %d damaged places, the stopped journal had %d" % (
            lines, len(self.snapshot.damage)))

    def settle(self):
        """With a working API server everything that is owed comes to be done."""
        self.cluster.ask("mode", "working")
        self.lost = self.judge.settle(SETTLE_SECONDS)
        return not self.lost

    def run(self):
        self.start()
        while self.rounds < self.options.rounds:
            line = self.round()
            print("round %3d: %s" % (self.rounds, line), flush=True)
            if self.rounds % SETTLE_EVERY == 0 or self.rounds == self.options.rounds:
                if not self.settle():
                    raise Failure("not acted on after %d s: %r" % (SETTLE_SECONDS, self.lost[:10]))
        time.sleep(1.5)
        self.judge.collect()
        self.server.stop()

    def report(self, seconds):
        wrong, explained = self.judge.repeats()
        acknowledged = len(self.sent.acknowledged)
        print("journals damaged %d, records taken %d, deliveries that went with them %d; %.0f s, seed %d" % (
            self.harmed, self.damaged, len(self.judge.excused & set(self.sent.acknowledged)), seconds, self.options.seed))
        for name, kind, epochs in wrong[:20]:
            print("doubled: %s of %s, in the incarnations %s" % (kind, name, epochs))
        for name, kind in self.lost[:20]:
            print("lost: %s of %s" % (kind, name))
        print("rounds %d, deliveries %d, acknowledged %d, lost %d, doubled %d (beyond at-least-once, which explains %d)" % (
            self.rounds, self.deliveries, acknowledged, len(self.lost), len(wrong), explained))
        print("lost %d of %d" % (len(self.lost), acknowledged))
        return not wrong and not self.lost

    def end(self):
        self.server.kill()
        self.receiver.stop()
        self.cluster.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grapnel", required=True, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=50, metavar="N")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--connections", type=int, default=64, metavar="N")
    parser.add_argument("--loops", type=int, default=0, metavar="N", help="0: 2 and 1 in turn")
    parser.add_argument("--damage", type=int, default=25, metavar="PERCENT", help="of the rounds damage the journal")
    parser.add_argument("--server-flag", action="append", default=[], metavar="FLAG")
    parser.add_argument("--keep", action="store_true", help="keep the folder with log and data")
    options = parser.parse_args()
    print("seed %d" % options.seed, flush=True)
    folder = tempfile.mkdtemp(prefix="grapnel-crash-")
    began, problem, good = time.monotonic(), None, False
    crash = Crash(options, folder)
    try:
        crash.run()
    except (Failure, Closed, OSError) as failure:
        problem = str(failure) or type(failure).__name__
        print("stopped: %s\n%s" % (problem, crash.server.tail()))
    except Exception:
        problem = traceback.format_exc()
        print("stopped: %s" % problem)
    finally:
        crash.end()
        good = crash.report(time.monotonic() - began) and not problem
        if options.keep or not good:
            print("folder: " + folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 0 if good and crash.rounds == options.rounds else 1


if __name__ == "__main__":
    sys.exit(main())
