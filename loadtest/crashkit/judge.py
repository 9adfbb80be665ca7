"""Who was acted on, how often, and whether at-least-once explains it.

A repeat is explained when a kill came between the action and the note that it was done: that is, when the action ran in
two incarnations of the server, and the journal that the second one opened did not hold the outcome. It is not explained
within one incarnation, nor when the outcome stood in the journal.
"""
import collections

from crashkit.load import HOOKS, TARGETS, target_of
from harness import wait_until

COUNTED = ("http", "exec", "s2i-run")


class Judge:
    def __init__(self, sent, receiver, commands, cluster):
        self.sent, self.receiver, self.commands, self.cluster = sent, receiver, commands, cluster
        self.ran = collections.defaultdict(list)        # (id, kind) -> [epoch]
        self.unsure = set()                             # (id, kind): an answer may have got lost without a kill
        self.patched = {}                               # target -> when a PATCH arrived that succeeded
        self.done = {}                                  # epoch -> {(id, kind)} in the journal that it opened
        self.excused = set()                            # ids whose record was damaged
        self.runs_seen = 0

    def collect(self):
        for epoch, name in self.receiver.calls():
            self.ran[name, "http"].append(epoch)
        for epoch, name in self.commands.runs():
            self.ran[name, "exec"].append(epoch)
            if epoch is None:
                self.unsure.add((name, "exec"))
        runs, self.patched = self.cluster.ask("acts")
        for run in runs[self.runs_seen:]:
            self.ran[self.sent.by_commit.get(run["commit"]), "s2i-run"].append(run["epoch"])
        self.runs_seen = len(runs)
        self.unsure |= {(self.sent.by_commit.get(run["commit"]), "s2i-run") for run in runs if run["unsure"]}

    def wanted(self):
        return [(name, kind) for name in self.sent.acknowledged for kind in HOOKS[self.sent.hook[name]]
                if kind in COUNTED and name not in self.excused]

    def lost(self):
        """Acknowledged and not acted on: (name, kind)."""
        self.collect()
        missing = [pair for pair in self.wanted() if pair not in self.ran]
        latest = {}
        for name in self.sent.acknowledged:
            hook = self.sent.hook[name]
            if "reconcile" in HOOKS[hook] and name not in self.excused:
                target = target_of(hook)
                if self.sent.at[name] > latest.get(target, (0, ""))[0]:
                    latest[target] = (self.sent.at[name], name)
        for target, (at, name) in latest.items():
            if self.patched.get(target, 0) < at:
                missing.append((name, "reconcile"))
        return missing

    def settle(self, seconds):
        """Waits until nothing is missing; what still is."""
        try:
            wait_until(lambda: not self.lost(), seconds, "", every=0.2)
        except AssertionError:
            pass
        return self.lost()

    def repeats(self):
        """([(name, kind, epochs)] that nothing explains, how many are explained)."""
        wrong, explained = [], 0
        for (name, kind), epochs in self.ran.items():
            if len(epochs) < 2:
                continue
            known = [e for e in epochs if e is not None]
            twice = len(known) > len(set(known)) and (name, kind) not in self.unsure
            first = min(known) if known else 0
            noted = any((name, kind) in self.done.get(e, ()) for e in known if e > first)
            if twice or noted:
                wrong.append((name, kind, epochs))
            else:
                explained += len(epochs) - 1
        return wrong, explained
