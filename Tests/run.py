#!/usr/bin/env python3
"""`make test`: every check there is, one stage after the other, each with its time.

Stages: the direction of imports, formatting, the Swift tests (debug build), the release build, the end-to-end tests
against the release binary, and the conformance vectors when they lie beside the checkout. A stage that fails does not
stop the next one, unless the next one needs it. What failed is named once more at the end, so that the last lines of a log
are enough to know it. The last line is `N passed, N failed, N skipped` over all stages, and the exit status is 1 when something
failed or nothing ran.

  run.py [--long] [--only STAGE]... [--jobs N]
"""
import argparse
import json
import os
import re
import sys
import time
import xml.etree.ElementTree

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Support"))

from stages import ROOT, Tally, run, show_end, simple      # noqa: E402

GRAPNEL = os.path.join(ROOT, ".build", "release", "grapnel")
CONFORMANCE = os.environ.get("GRAPNEL_CONFORMANCE", os.path.join(ROOT, "..", "shared", "conformance"))

# All suites, from the copies of the vectors in the checkout; the harness itself lies beside it.
CONFORMANCE_SELECTION = ["--suite", "all", "--vectors", os.path.join(ROOT, "Tests", "Fixtures")]
# Routes from manifest files, and the same routes from a fake API server.
CONFORMANCE_SOURCES = ["manifests", "cluster"]

# Characters of a failure's line at the end; the whole stands in its stage.
FAILURE_LENGTH = 300


# Stages. Each takes the options and returns a tally.

def imports(options):
    tally = simple("Tests/imports.sh", [os.path.join(ROOT, "Tests", "imports.sh")], 60)
    tally.add(simple("Tests/imports.sh --self-test", [os.path.join(ROOT, "Tests", "imports.sh"), "--self-test"], 60))
    return tally


def formatting(options):
    sources = ["Package.swift", "Sources", "Tests"]
    for package in ("Benchmarks", "loadtest"):
        sources += [os.path.join(package, name) for name in ("Package.swift", "Sources", "Benchmarks", "Tests")
                    if os.path.exists(os.path.join(ROOT, package, name))]
    os.makedirs(os.path.join(ROOT, ".build"), exist_ok=True)
    log = os.path.join(ROOT, ".build", "format.log")
    tally = simple("swift format lint", ["swift", "format", "lint", "--strict", "--parallel", "--recursive",
                    "--configuration", ".swift-format"] + sources, 300, log=log)
    if tally.failed:
        show_end(log, 20)
    return tally


def swift_tests(options):
    os.makedirs(os.path.join(ROOT, ".build"), exist_ok=True)
    log = os.path.join(ROOT, ".build", "swift-build.log")
    if run(["swift", "build", "--build-tests", "-j", str(options.jobs)], 2400, log) != 0:
        show_end(log, 40, r"error:|warning:|fatal")
        return Tally.of_failure("swift build --build-tests")
    env = {"SWIFT_BACKTRACE": "enable=no"}          # exit tests end in a trap on purpose
    fake_kube = os.path.join(CONFORMANCE, "fakekube.py")
    if os.path.exists(fake_kube):
        env["GRAPNEL_FAKEKUBE"] = os.path.abspath(fake_kube)
    if options.long:
        env.update(GRAPNEL_SEEDS="2000", GRAPNEL_ROUNDS="5000", GRAPNEL_PIPELINE_SEEDS="10000")
    # Thousands of tests that are all begun at once wait for each other at each step; a few at a time are as quick.
    env["SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH"] = str(max(4, 2 * (os.cpu_count() or 1)))
    tally = Tally()
    # Those of an API server's clients mostly wait, others keep the cores busy.
    for name, selection in (("swift-test", ["--skip", "^KubernetesTests"]),
                            ("swift-test-kubernetes", ["--filter", "^KubernetesTests"])):
        tally.add(run_swift_tests(options, selection, os.path.join(ROOT, ".build", name + ".log"), env))
    return tally


def run_swift_tests(options, selection, log, env):
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
                elif (failure := case.find("failure")) is not None or (failure := case.find("error")) is not None:
                    tally.fail("%s/%s" % (case.get("classname"), case.get("name")), failure.get("message") or failure.text or "")
                else:
                    tally.passed += 1
    if status != 0 and tally.failed == 0:
        tally.fail("swift test %s" % " ".join(selection), "status %d without a report of a failure" % status)
    if tally.failed:
        show_end(log, 60, r"✘|error:|Fatal error|seed")
    elif tally.passed == 0:
        tally.fail("swift test %s" % " ".join(selection), "no test ran")
    return tally


def release_build(options):
    log = os.path.join(ROOT, ".build", "release-build.log")
    tally = simple("swift build -c release", ["swift", "build", "-c", "release", "--product", "grapnel",
                                              "-j", str(options.jobs)], 2400, log=log)
    if tally.failed:
        show_end(log, 40, r"error:|warning:|fatal")
    return tally


def end_to_end(options):
    if not os.access(GRAPNEL, os.X_OK):
        return Tally.of_failure("end-to-end tests", "there is no release binary")
    tally = run_end_to_end(options, [])
    # What touches sockets once more over io_uring: the other keeper of the poller's contract.
    tally.add(run_end_to_end(options, ["--only", "test_(http|verify|dedupe|shutdown|admin)", "--server-flag=--io",
                                       "--server-flag=uring"]))
    return tally


def run_end_to_end(options, more):
    verdicts, tally = os.path.join(ROOT, ".build", "end-to-end.json"), Tally()
    count_verdicts(tally, verdicts, [sys.executable, os.path.join(ROOT, "Tests", "EndToEnd", "run.py"), "--grapnel", GRAPNEL,
                                     "--json", verdicts] + (["--long"] if options.long else []) + more,
                   7200)
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
                    tally.fail(verdict["name"], verdict["reason"])
    if status != 0 and tally.failed == 0:
        tally.fail(os.path.relpath(command[1], ROOT), "status %d without a verdict of a failure" % status)


def demo(options):
    if not os.access(GRAPNEL, os.X_OK):
        return Tally.of_failure("demo", "there is no release binary")
    tally = Tally()
    for name in ("demo.py", "demo_cluster.py"):
        tally.add(simple(name, [sys.executable, os.path.join(ROOT, "Tests", "EndToEnd", name), "--grapnel", GRAPNEL], 900))
    return tally


def guides(options):
    """The manuals' commands and manifests, run as they stand there."""
    tally, verdicts = Tally(), os.path.join(ROOT, ".build", "guides.json")
    count_verdicts(tally, verdicts, [sys.executable, os.path.join(ROOT, "Tests", "Guides", "run.py"), "--grapnel", GRAPNEL,
                                     "--json", verdicts], 3600)
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
        return Tally.of_failure("conformance vectors", "there is no release binary")
    for source in CONFORMANCE_SOURCES:
        judge_vectors(program, source, tally)
    return tally


def judge_vectors(program, source, tally):
    verdicts = os.path.join(ROOT, ".build", "conformance-%s.json" % source)
    log = os.path.join(ROOT, ".build", "conformance-%s.log" % source)
    if os.path.exists(verdicts):
        os.remove(verdicts)
    run([sys.executable, program, "--grapnel", GRAPNEL, "--source", source] + CONFORMANCE_SELECTION
        + ["--json", verdicts], 3600, log)
    if not os.path.exists(verdicts):
        show_end(log, 20)
        tally.fail("conformance vectors, routes from %s" % source, "ended without verdicts")
        return
    with open(verdicts) as f:
        results = json.load(f)
    for verdict in results:
        if verdict["state"] == "pass":
            tally.passed += 1
        elif verdict["state"] == "skip":
            tally.skip(verdict["skipped"])
        else:
            tally.fail("%s/%s, routes from %s" % (verdict["suite"], verdict["id"], source), "; ".join(verdict["problems"]))
            print("   FAIL " + tally.failures[-1])
    if not results:
        tally.fail("conformance vectors, routes from %s" % source, "no vector ran")


def deployment(options):
    """Manifests, chart, packages, dashboards: rendered, validated, held against the binary."""
    log = os.path.join(ROOT, ".build", "deploy.log")
    status = run([sys.executable, os.path.join(ROOT, "Tests", "Deploy", "run.py")], 3600, log)
    with open(log, encoding="utf-8", errors="replace") as f:
        text = f.read()
    counts = re.findall(r"(\d+) passed, (\d+) failed, (\d+) skipped", text)
    tally = Tally()
    if counts:
        tally.passed = int(counts[-1][0])
        for line in re.findall(r"(?m)^FAIL +(.*)$", text):
            tally.fail(line)
        for line in re.findall(r"(?m)^skip +(.*)$", text):
            tally.skip(line.split(": ", 1)[-1])
        tally.skipped = max(tally.skipped, int(counts[-1][2]))
    if status != 0 and not tally.failed:
        tally.fail("Tests/Deploy/run.py", "status %d without a verdict of a failure" % status)
    if tally.failed:
        show_end(log, 40, r"FAIL|Error|\|")
    return tally


def fuzzing(options):
    """Each fuzz target for a while; only in a long run."""
    return simple("Tests/Fuzz/run.sh", [os.path.join(ROOT, "Tests", "Fuzz", "run.sh"), "20"], 3600,
                  log=os.path.join(ROOT, ".build", "fuzz.log"))


def load_generator(options):
    log = os.path.join(ROOT, ".build", "loadtest.log")
    tally = simple("swift test --package-path loadtest", ["swift", "test", "--package-path", "loadtest", "--disable-xctest",
                                                          "-j", str(options.jobs)], 1200,
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
        total.add(tally)
    for title, tally, seconds in rows:
        print("%-22s %6.0f s   %s" % (title, seconds, tally))
        for reason, count in sorted(tally.reasons.items()):
            print("%33s skipped %d: %s" % ("", count, reason))
    print("%-22s %6.0f s" % ("in all", time.monotonic() - began))
    for failure in total.failures:
        print("FAILED %s" % (failure if len(failure) <= FAILURE_LENGTH else failure[:FAILURE_LENGTH] + "…"))
    print(total)
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
