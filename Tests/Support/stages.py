"""What the stages of `make test` are made of: a count with reasons and names, a command with its log, a check that is one command."""
import os
import re
import signal
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Tally:
    """What a stage counted. `reasons` explains the skipped ones, `failures` names the failed ones and tells why in a line."""

    def __init__(self, passed=0):
        self.passed, self.failed, self.skipped, self.reasons, self.failures = passed, 0, 0, {}, []

    @classmethod
    def of_failure(cls, name, why=""):
        tally = cls()
        tally.fail(name, why)
        return tally

    def skip(self, reason, count=1):
        self.skipped += count
        self.reasons[reason] = self.reasons.get(reason, 0) + count

    def fail(self, name, why=""):
        self.failed += 1
        if why.startswith("Traceback"):
            why = why.strip().splitlines()[-1]          # what went wrong stands behind where it did
        why = " ".join(why.split())
        self.failures.append(name + (": " + why if why else ""))

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.failures += other.failures
        self.skipped += other.skipped
        for reason, count in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + count

    def __str__(self):
        return "%d passed, %d failed, %d skipped" % (self.passed, self.failed, self.skipped)


def run(command, timeout, log=None, env=None):
    """Runs a command from the root without a terminal, in a process group of its own; returns its status.

    With `log`, the output goes to that file (its end is shown by the caller when it matters) instead of ours.
    """
    print("   $ " + " ".join(os.path.relpath(c, ROOT) if os.path.isabs(c) and c.startswith(ROOT) else c
                             for c in command), flush=True)
    out = open(log, "wb") if log else None
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                               env=dict(os.environ, **(env or {})), start_new_session=True)
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        print("   still running after %d s: ended" % timeout, flush=True)
        return 124
    except KeyboardInterrupt:
        raise SystemExit(130)
    finally:
        if process.poll() is None:
            try:
                os.killpg(process.pid, signal.SIGTERM)
                time.sleep(1)
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait()
        if out:
            out.close()


def show_end(log, lines, wanted=None):
    """Prints the last lines of a log, or only those that match."""
    with open(log, encoding="utf-8", errors="replace") as f:
        text = f.read().splitlines()
    if wanted:
        text = [line for line in text if re.search(wanted, line)]
    for line in text[-lines:]:
        print("   | " + line)


def simple(name, command, timeout, **more):
    """A check that is one command."""
    status = run(command, timeout, **more)
    return Tally(passed=1) if status == 0 else Tally.of_failure(name, "status %d" % status)
