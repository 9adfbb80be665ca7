#!/usr/bin/env python3
"""`make test`: every check there is, one stage after the other, each with its time.

Stages: the direction of imports, formatting, the Swift tests (debug build), the release build, the end-to-end tests
against the release binary, and the conformance vectors when they lie beside the checkout. A stage that fails does not
stop the next one, unless the next one needs it. The last line is `N passed, N failed, N skipped` over all stages, and
the exit status is 1 when something failed or nothing ran.

  run.py [--long] [--only STAGE]... [--jobs N]
"""
import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GRAPNEL = os.path.join(ROOT, ".build", "release", "grapnel")
CONFORMANCE = os.environ.get("GRAPNEL_CONFORMANCE", os.path.join(ROOT, "..", "shared", "conformance"))

# All suites, from the copies of the vectors in the checkout; the harness itself lies beside it.
CONFORMANCE_SELECTION = ["--suite", "all", "--vectors", os.path.join(ROOT, "Tests", "Fixtures")]
# Routes from manifest files, and the same routes from a fake API server.
CONFORMANCE_SOURCES = ["manifests", "cluster"]


class Tally:
    """What a stage counted. `reasons` explains the skipped ones."""

    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped, self.reasons = passed, failed, skipped, {}

    def skip(self, reason, count=1):
        self.skipped += count
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


def simple(command, timeout, **more):
    """A stage that is one check."""
    status = run(command, timeout, **more)
    return Tally(passed=int(status == 0), failed=int(status != 0))


# Stages. Each takes the options and returns a tally.

def imports(options):
    first = simple([os.path.join(ROOT, "Tests", "imports.sh")], 60)
    second = simple([os.path.join(ROOT, "Tests", "imports.sh"), "--self-test"], 60)
    return Tally(first.passed + second.passed, first.failed + second.failed)


def formatting(options):
    sources = ["Package.swift", "Sources", "Tests"]
    for package in ("Benchmarks", "loadtest"):
        sources += [os.path.join(package, name) for name in ("Package.swift", "Sources", "Benchmarks", "Tests")
                    if os.path.exists(os.path.join(ROOT, package, name))]
    os.makedirs(os.path.join(ROOT, ".build"), exist_ok=True)
    log = os.path.join(ROOT, ".build", "format.log")
    tally = simple(["swift", "format", "lint", "--strict", "--parallel", "--recursive",
                    "--configuration", ".swift-format"] + sources, 300, log=log)
    if tally.failed:
        show_end(log, 20)
    return tally


def swift_tests(options):
    os.makedirs(os.path.join(ROOT, ".build"), exist_ok=True)
    log = os.path.join(ROOT, ".build", "swift-test.log")
    if run(["swift", "build", "--build-tests", "-j", str(options.jobs)], 2400, log) != 0:
        show_end(log, 40, r"error:|warning:|fatal")
        return Tally(failed=1)
    env = {"SWIFT_BACKTRACE": "enable=no"}          # exit tests end in a trap on purpose
    fake_kube = os.path.join(CONFORMANCE, "fakekube.py")
    if os.path.exists(fake_kube):
        env["GRAPNEL_FAKEKUBE"] = os.path.abspath(fake_kube)
    if options.long:
        env.update(GRAPNEL_SEEDS="2000", GRAPNEL_ROUNDS="5000", GRAPNEL_PIPELINE_SEEDS="10000")
    tally = Tally()
    # The clients of an API server have deadlines of seconds, which tests that keep all cores busy beside them would break.
    for selection in (["--skip", "^KubernetesTests"], ["--filter", "^KubernetesTests"]):
        run_swift_tests(options, selection, log, env, tally)
    return tally


def run_swift_tests(options, selection, log, env, total):
    # The test library writes a report of its own; depending on the version, its name has a suffix.
    report = os.path.join(ROOT, ".build", "swift-test.xml")
    reports = [report, report.replace(".xml", "-swift-testing.xml")]
    for path in reports:
        if os.path.exists(path):
            os.remove(path)
    status = run(["swift", "test", "--skip-build", "--disable-xctest", "--xunit-output", report] + selection,
                 7200 if options.long else 1500, log, env)
    tally = Tally()
    for path in filter(os.path.exists, reports):
        for suite in xml.etree.ElementTree.parse(path).getroot().iter("testsuite"):
            for case in suite.iter("testcase"):
                skipped = case.find("skipped")
                if skipped is not None:
                    tally.skip(skipped.text or "disabled")
                elif case.find("failure") is not None or case.find("error") is not None:
                    tally.failed += 1
                else:
                    tally.passed += 1
    if status != 0 and tally.failed == 0:
        tally.failed = 1                            # ended before it could report, or nothing was reported
    if tally.failed:
        show_end(log, 60, r"✘|error:|Fatal error|seed")
    elif tally.passed == 0:
        tally.failed = 1
        print("   no Swift test ran")
    total.passed += tally.passed
    total.failed += tally.failed
    total.skipped += tally.skipped
    for reason, count in tally.reasons.items():
        total.reasons[reason] = total.reasons.get(reason, 0) + count


def release_build(options):
    log = os.path.join(ROOT, ".build", "release-build.log")
    tally = simple(["swift", "build", "-c", "release", "--product", "grapnel", "-j", str(options.jobs)], 2400, log=log)
    if tally.failed:
        show_end(log, 40, r"error:|warning:|fatal")
    return tally


def end_to_end(options):
    if not os.access(GRAPNEL, os.X_OK):
        print("   there is no release binary")
        return Tally(failed=1)
    tally = run_end_to_end(options, [])
    # What touches sockets once more over io_uring: the other keeper of the poller's contract.
    other = run_end_to_end(options, ["--only", "test_(http|verify|dedupe|shutdown|admin)", "--server-flag=--io",
                                     "--server-flag=uring"])
    both = Tally(tally.passed + other.passed, tally.failed + other.failed, tally.skipped + other.skipped)
    for reasons in (tally.reasons, other.reasons):
        for reason, count in reasons.items():
            both.reasons[reason] = both.reasons.get(reason, 0) + count
    return both


def run_end_to_end(options, more):
    verdicts, tally = os.path.join(ROOT, ".build", "end-to-end.json"), Tally()
    count_verdicts(tally, verdicts, [sys.executable, os.path.join(ROOT, "Tests", "EndToEnd", "run.py"), "--grapnel", GRAPNEL,
                                     "--json", verdicts] + (["--long"] if options.long else []) + more,
                   7200 if options.long else 1500)
    return tally


def count_verdicts(tally, verdicts, command, timeout):
    """Runs a command that leaves a list of verdicts in a file, and counts them."""
    if os.path.exists(verdicts):
        os.remove(verdicts)
    status = run(command, timeout)
    if os.path.exists(verdicts):
        with open(verdicts) as f:
            for verdict in json.load(f):
                if verdict["state"] == "pass":
                    tally.passed += 1
                elif verdict["state"] == "skip":
                    tally.skip(verdict["reason"])
                else:
                    tally.failed += 1
    if status != 0 and tally.failed == 0:
        tally.failed = 1


def demo(options):
    if not os.access(GRAPNEL, os.X_OK):
        print("   there is no release binary")
        return Tally(failed=1)
    tally = Tally()
    for name in ("demo.py", "demo_cluster.py"):
        one = simple([sys.executable, os.path.join(ROOT, "Tests", "EndToEnd", name), "--grapnel", GRAPNEL], 120)
        tally.passed += one.passed
        tally.failed += one.failed
    return tally


def guides(options):
    """The manuals' commands and manifests, run as they stand there."""
    tally, verdicts = Tally(), os.path.join(ROOT, ".build", "guides.json")
    count_verdicts(tally, verdicts, [sys.executable, os.path.join(ROOT, "Tests", "Guides", "run.py"), "--grapnel", GRAPNEL,
                                     "--json", verdicts], 600)
    return tally


def cluster(options):
    """The checks against a real API server. Never by accident: a KUBECONFIG in the environment may name any cluster."""
    tally = Tally()
    if not os.environ.get("KUBECONFIG"):
        tally.skip("KUBECONFIG names no API server for tests (`make test-cluster`)")
    elif not os.environ.get("GRAPNEL_TEST_CLUSTER"):
        tally.skip("KUBECONFIG is set, GRAPNEL_TEST_CLUSTER=1 is not (`make test-cluster` needs only the first)")
    else:
        verdicts = os.path.join(ROOT, ".build", "cluster.json")
        count_verdicts(tally, verdicts, [sys.executable, os.path.join(ROOT, "Tests", "Cluster", "run.py"),
                                         "--grapnel", GRAPNEL, "--json", verdicts], 1200)
    return tally


def conformance(options):
    program = os.path.join(CONFORMANCE, "run.py")
    tally = Tally()
    if not os.path.exists(program):
        tally.skip("the conformance vectors are not beside this checkout (GRAPNEL_CONFORMANCE names their folder)")
        return tally
    if not os.access(GRAPNEL, os.X_OK):
        print("   there is no release binary")
        return Tally(failed=1)
    for source in CONFORMANCE_SOURCES:
        judge_vectors(program, source, tally)
    return tally


def judge_vectors(program, source, tally):
    verdicts = os.path.join(ROOT, ".build", "conformance-%s.json" % source)
    log = os.path.join(ROOT, ".build", "conformance-%s.log" % source)
    if os.path.exists(verdicts):
        os.remove(verdicts)
    run([sys.executable, program, "--grapnel", GRAPNEL, "--source", source] + CONFORMANCE_SELECTION
        + ["--json", verdicts], 1200, log)
    if not os.path.exists(verdicts):
        show_end(log, 20)
        tally.failed += 1
        return
    with open(verdicts) as f:
        results = json.load(f)
    for verdict in results:
        name = verdict["id"]
        if verdict["state"] == "pass":
            tally.passed += 1
        elif verdict["state"] == "skip":
            tally.skip(verdict["skipped"])
        else:
            tally.failed += 1
            print("   FAIL %s/%s: %s" % (verdict["suite"], name, "; ".join(verdict["problems"])))
    if not results:
        tally.failed += 1
        print("   no vector ran")


def deployment(options):
    """Manifests, chart, packages, dashboards: rendered, validated, held against the binary."""
    log = os.path.join(ROOT, ".build", "deploy.log")
    status = run([sys.executable, os.path.join(ROOT, "Tests", "Deploy", "run.py")], 900, log)
    with open(log, encoding="utf-8", errors="replace") as f:
        text = f.read()
    counts = re.findall(r"(\d+) passed, (\d+) failed, (\d+) skipped", text)
    tally = Tally()
    if counts:
        tally.passed, tally.failed = int(counts[-1][0]), int(counts[-1][1])
        skipped = re.findall(r"(?m)^skip +(.*)$", text)
        for line in skipped:
            tally.skip(line.split(": ", 1)[-1])
        tally.skipped = max(tally.skipped, int(counts[-1][2]))
    if status != 0 and not tally.failed:
        tally.failed = 1
    if tally.failed:
        show_end(log, 40, r"FAIL|Error|\|")
    return tally


def fuzzing(options):
    """Each fuzz target for a while; only in a long run."""
    return simple([os.path.join(ROOT, "Tests", "Fuzz", "run.sh"), "20"], 3600,
                  log=os.path.join(ROOT, ".build", "fuzz.log"))


def load_generator(options):
    log = os.path.join(ROOT, ".build", "loadtest.log")
    tally = simple(["swift", "test", "--package-path", "loadtest", "--disable-xctest", "-j", str(options.jobs)], 1200,
                   log=log, env={"SWIFT_BACKTRACE": "enable=no"})
    if tally.failed:
        show_end(log, 40, r"error:|✘|Fatal error")
    return tally


STAGES = [
    ("imports", "imports run one way", imports),
    ("format", "formatting", formatting),
    ("swift", "Swift tests", swift_tests),
    ("release", "release build", release_build),
    ("end-to-end", "end-to-end tests", end_to_end),
    ("demo", "demo", demo),
    ("guides", "the guides, run", guides),
    ("cluster", "a real API server", cluster),
    ("conformance", "conformance vectors", conformance),
    ("deploy", "deployment", deployment),
    ("loadtest", "load generator's tests", load_generator),
    ("fuzz", "fuzzing", fuzzing),
]
LONG_ONLY = {"fuzz"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true", help="the long simulations and more crash rounds too")
    parser.add_argument("--only", action="append", choices=[name for name, _, _ in STAGES], help="repeatable")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2, metavar="N", help="parallel compilations")
    options = parser.parse_args()

    total, began, rows = Tally(), time.monotonic(), []
    for name, title, stage in STAGES:
        if name not in options.only if options.only else name in LONG_ONLY and not options.long:
            continue
        print("== %s" % title, flush=True)
        start = time.monotonic()
        tally = stage(options)
        seconds = time.monotonic() - start
        print("== %s: %s, %.0f s\n" % (title, tally, seconds), flush=True)
        rows.append((title, tally, seconds))
        total.passed += tally.passed
        total.failed += tally.failed
        total.skipped += tally.skipped
    for title, tally, seconds in rows:
        print("%-22s %6.0f s   %s" % (title, seconds, tally))
        for reason, count in sorted(tally.reasons.items()):
            print("%33s skipped %d: %s" % ("", count, reason))
    print("%-22s %6.0f s" % ("in all", time.monotonic() - began))
    print(total)
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
