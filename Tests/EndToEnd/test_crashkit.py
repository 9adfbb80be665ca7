"""The crash test can fail: what it must find is put in front of its judges."""
import os
import random
import sys

from harness import ROOT, Failure, expect, expect_that, plain_hook
from registry import test

sys.path.append(os.path.join(ROOT, "loadtest"))
from crashkit import damage                     # noqa: E402
from crashkit.journal import Snapshot           # noqa: E402
from crashkit.judge import Judge                # noqa: E402


class Sent:
    def __init__(self, **hooks):
        self.hook, self.acknowledged = hooks, list(hooks)
        self.at, self.by_commit = {name: 100.0 + i for i, name in enumerate(hooks)}, {"c0": "a"}


class Source:
    """A receiver, commands and a cluster in one."""

    def __init__(self, calls=(), runs=(), created=(), patched=None):
        self.answers = {"calls": list(calls), "runs": list(runs)}
        self.acts = list(created), patched or {}

    def take(self, word):
        rows, self.answers[word] = self.answers[word], []
        return rows

    def calls(self):
        return self.take("calls")

    def runs(self):
        return self.take("runs")

    def ask(self, word):
        return self.acts


class Last:
    """Dice that always fall to the last record and its first byte."""

    def choice(self, rows):
        return rows[-1]

    def randrange(self, _):
        return 0


def judge(sent, **more):
    source = Source(**more)
    found = Judge(sent, source, source, source)
    return found, found.lost()


@test("the judge of the crash test: what is lost, doubled, and what at-least-once explains")
def judging(context):
    expect(judge(Sent(a="load"))[1], [("a", "http")], "not acted on")
    expect(judge(Sent(a="load"), calls=[(1, "a")])[1], [], "acted on")
    expect(judge(Sent(a="all"), calls=[(1, "a")], patched={"target-0": 101.0})[1], [("a", "exec"), ("a", "s2i-run")], "two of four")
    created = [{"epoch": 2, "commit": "c0", "unsure": False}]
    expect(judge(Sent(a="build"), created=created)[1], [], "created")
    late = Sent(a="target-1", b="target-1")
    expect(judge(late, patched={"target-1": 100.5})[1], [("b", "reconcile")], "no write after the newest")
    found, _ = judge(Sent(a="load", b="load"), calls=[(1, "a"), (1, "a"), (1, "b"), (2, "b")])
    expect(found.repeats(), ([("a", "http", [1, 1])], 1), "twice in one life; once in each of two")
    found.done[2] = {("b", "http")}
    expect(sorted(r[0] for r in found.repeats()[0]), ["a", "b"], "although the outcome was in the journal")
    found.done = {1: {("b", "http")}}
    expect([r[0] for r in found.repeats()[0]], ["a"], "an outcome that stood there before it ran at all says nothing")
    found, lost = judge(Sent(a="load"), calls=[])
    found.excused = {"a"}
    expect(found.lost(), [], "a damaged record excuses")


@test("the judge of damage: exactly what was touched, found in a real journal; a second wound that nobody told of is seen")
def wounds(context):
    server = context.server(plain_hook(actions="[{log: {}}]"))
    for life in range(2):
        for _ in range(8):
            server.push()
        server.kill()
        if life == 0:
            server.start()
    before = Snapshot(context.grapnel, server.data)
    expect_that(len(before.records) > 30 and not before.damage, before.text[-500:] + before.errors)
    expect(len({r.segment for r in before.records}), 2, "segments")
    expect(sum(1 for _, kind in before.done() if kind == "log") >= 8, True, "outcomes of the first life")
    # Wound after wound, with a start between two: each takes what it touched and nothing else, and what one took is still
    # known when the next one has hit what proved it. Some starts are followed by deliveries, some by nothing.
    dice, harms = random.Random(5), []
    for round in range(6):
        harm = damage.inflict(dice, context.grapnel, server.data, before)
        if harm:
            harms.append(harm.line())
        server.start()
        if round % 2:
            server.push()
        server.kill()
        before = Snapshot(context.grapnel, server.data)
        expect_that(harm is None or len(before.damage) >= len([d for d in harm.after.damage if d.missing]),
                    "\n".join(harms) + "\n" + damage.report(before))
    expect_that(before.damage, "\n".join(harms))
    # A byte changes, far from the bit that is flipped and told of.
    victim = next(r for r in before.records if r.kind == "delivery" and r is not before.records[-1])
    inner = damage.Snapshot

    def wound(grapnel, data):       # inflict looks right after the damage
        with open(os.path.join(data, "journal", victim.segment), "r+b") as f:
            f.seek(victim.offset + 20)
            byte = f.read(1)[0]
            f.seek(victim.offset + 20)
            f.write(bytes([byte ^ 1]))
        return inner(grapnel, data)
    damage.Snapshot = wound
    try:
        damage.flip(Last(), context.grapnel, server.data, before, before.segments())
        raise Failure("the second wound was not seen")
    except Failure as failure:
        expect_that("second wound" not in str(failure), str(failure))
    finally:
        damage.Snapshot = inner
