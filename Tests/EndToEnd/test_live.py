"""`make test-cluster`, held against the fake API server: what it makes, what it needs, and that it leaves nothing behind."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

from harness import ROOT, Skip, expect, expect_that, wait_until
from livekube import BRINGS, live_cluster
from registry import test

HERE = os.path.join(ROOT, "Tests", "Cluster")
RUN = os.path.join(HERE, "run.py")
sys.path.append(HERE)
import rights                                   # noqa: E402

try:
    import yaml                                 # the script's only need beside the standard library
except ImportError:
    yaml = None

OWN = re.compile(r"grapnel-test-[0-9a-f]{8}-(team|system)")


def start(context, kube, *more, env=None, **options):
    if yaml is None:
        raise Skip("PyYAML is not installed (make deps)")
    environment = {**os.environ, "KUBECONFIG": kube.kubeconfig_path if kube else "", "TMPDIR": context.folder, **(env or {})}
    return subprocess.Popen([sys.executable, RUN, "--grapnel", context.grapnel, *more], env=environment, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)


def finish(context, process, seconds=600):
    try:
        return process.wait(seconds), process.stdout.read()
    finally:
        process.kill()
        process.stdout.close()


def verdicts(context, kube, *more):
    """(exit status, text, {check: state}) of a run."""
    file = os.path.join(context.folder, "verdicts.json")
    status, text = finish(context, start(context, kube, "--json", file, *more))
    found = {}
    if os.path.exists(file):
        with open(file) as f:
            found = {v["name"]: v["state"] for v in json.load(f)}
    return status, text, found


def written_as_people_do(kube):
    """The kubeconfig as YAML, with authority and token in files beside it."""
    folder, config = os.path.dirname(kube.kubeconfig_path), kube.kubeconfig()
    shutil.copy(kube.pki.ca, os.path.join(folder, "ca.crt"))
    with open(os.path.join(folder, "token"), "w") as f:
        f.write(kube.token + "\n")
    config["clusters"][0]["cluster"] = {"server": kube.url, "certificate-authority": "ca.crt"}
    config["users"][0]["user"] = {"tokenFile": "token"}
    with open(kube.kubeconfig_path, "w") as f:
        yaml.safe_dump(config, f)


def named_rights(verb, group, resource, namespace):
    """Only what Tests/Cluster/rights.py names; reading discovery is free."""
    for where, its_group, its_resource, verbs in rights.RIGHTS:
        place = {"cluster": namespace == "", "own": bool(OWN.fullmatch(namespace)), "installed": namespace == "" and group in BRINGS
                 }.get(where, namespace == where)
        if place and its_group in (group, "*") and its_resource in (resource, "*") and verb in verbs.split():
            return True
    return False


@test("test-cluster without KUBECONFIG, with a wrong one, and without a server says so and makes nothing")
def refusals(context):
    status, text = finish(context, start(context, None))
    expect_that(status == 3 and "KUBECONFIG names no API server" in text, "no KUBECONFIG: %d %s" % (status, text))
    status, text = finish(context, start(context, None, env={"KUBECONFIG": "/no/such/file"}))
    expect_that(status == 3 and "cannot be read" in text, "no such file: %d %s" % (status, text))
    kube = live_cluster(context)
    status, text = finish(context, start(context, kube, "--context", "other"))
    expect_that(status == 3 and "no context" in text, "another context: %d %s" % (status, text))
    kube.down()
    status, text = finish(context, start(context, kube))
    expect_that(status == 3 and "cannot be reached" in text, "away: %d %s" % (status, text))
    kube.up()
    kube.permits = lambda verb, group, resource, namespace: resource != "namespaces" or verb != "create"
    status, text = finish(context, start(context, kube))
    expect_that(status == 3 and "create namespaces" in text, "a missing right: %d %s" % (status, text))
    expect(kube.acts(), [], "writes")


@test("test-cluster on a bare API server: all checks hold, with the rights that it names and no others; nothing is left")
def bare(context):
    kube = live_cluster(context)
    kube.permits = named_rights
    before = kube.names()
    status, text, found = verdicts(context, kube)
    expect(status, 0, "exit status\n" + text)
    expect({n for n, s in found.items() if s == "skip"}, {"OpenShift: a delivery instantiates the BuildConfig"}, "skipped")
    expect_that(len(found) >= 14 and "fail" not in found.values(), text)
    expect(kube.names(), before, "left behind")
    expect_that("created Namespace" in text and "removed Namespace" in text, text)
    expect_that("created CustomResourceDefinition hooks.grapnel.dev" in text, text)
    outside = {(w["resource"], w["namespace"]) for w in kube.writes_since()
               if w["resource"] not in ("namespaces", "customresourcedefinitions") and not OWN.fullmatch(w["namespace"])}
    expect(outside, set(), "written outside of its namespaces")
    # What else the server asks for it can do without; nothing of it may be a write.
    expect({d for d in kube.denied if d[0] not in ("get", "list", "watch")}, set(), "refused writes")


@test("test-cluster where the systems are installed uses what is there, builds, and takes no definition away")
def furnished(context):
    kube = live_cluster(context, bare=False, namespaces=("default", "team-x"))
    kube.put({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs", "namespace": "team-x"}, "data": {}})
    if yaml:
        written_as_people_do(kube)
    before, served = kube.names(), len(kube.resources)
    # Without a definition of its own the fake takes any Hook; the check that it refuses bad ones must then fail.
    status, text, found = verdicts(context, kube)
    expect(status, 1, "exit status\n" + text)
    expect_that("was accepted" in text, text)
    expect((kube.names(), len(kube.resources)), (before, served), "left behind, or taken away")
    kube.resources = [r for r in kube.resources if r.group != "grapnel.dev"]
    status, text, found = verdicts(context, kube)
    expect(status, 0, "exit status\n" + text)
    expect(set(found.values()), {"pass"}, text)
    expect(kube.names(), before, "left behind")


@test("test-cluster ended by Ctrl-C, and after a check that fails, takes away what it made; what others use stays")
def ended(context):
    kube = live_cluster(context)
    before = kube.names()
    process = start(context, kube, start_new_session=True)
    wait_until(lambda: kube.all("receivers"), 60, "objects in the cluster")
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    status, text = finish(context, process)
    expect_that(status == 3 and "ended by SIGINT" in text, "%d %s" % (status, text))
    expect(kube.names(), before, "left behind after Ctrl-C")
    kube.faults = [{"verb": "patch", "resource": "gitrepositories", "status": 422, "times": -1}]
    process = start(context, kube, start_new_session=True)
    wait_until(lambda: kube.all("receivers"), 60, "objects in the cluster")
    kube.put({"apiVersion": "grapnel.dev/v1alpha1", "kind": "Hook", "metadata": {"name": "theirs", "namespace": "default"},
              "spec": {"type": "none", "actions": []}})
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    status, text = finish(context, process)
    expect_that(status == 3 and "default/theirs" in text, "%d %s" % (status, text))
    expect({n for n in kube.names() - before}, {("hooks", "default", "theirs"),
                                                ("customresourcedefinitions", "", "hooks.grapnel.dev")}, "left behind")
