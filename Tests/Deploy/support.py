"""What the tests share: the registry, the folders, running programs, all rendered variants."""
import functools
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile

import yaml

import kustomize
import schema

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEPLOY = os.path.join(ROOT, "deploy")
CHART = os.path.join(DEPLOY, "helm", "grapnel")
tests = []
grapnel = None                                  # the binary, where there is one


class Skip(Exception):
    pass


def test(name):
    def mark(function):
        tests.append((function.__module__, name, function))
        return function
    return mark


def none(problems):
    """Fails with all problems, each on a line of its own."""
    problems = list(problems)
    assert not problems, "".join("\n       " + str(p) for p in problems[:20])


def program(name):
    """The path of a program, or a skipped test."""
    found = shutil.which(name)
    if not found:
        raise Skip("%s is not installed" % name)
    return found


def run(*command, **more):
    """Standard output; a failed test when the program fails."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, **more)
    assert result.returncode == 0, "%s ended with %d: %s%s" % (command[0], result.returncode, result.stdout[-2000:], result.stderr[-2000:])
    return result.stdout


def read(*parts):
    with open(os.path.join(ROOT, *parts), encoding="utf-8") as f:
        return f.read()


def folders(kind):
    """All kustomizations of that kind below deploy/."""
    found = []
    for folder, _, files in os.walk(DEPLOY):
        if "kustomization.yaml" in files:
            (settings,) = kustomize.load(os.path.join(folder, "kustomization.yaml"))
            if settings["kind"] == kind:
                found.append(folder)
    return sorted(found)


# Parts that are not applied by themselves.
PARTS = {os.path.join("overlays", "namespaced", "tenant")}


@functools.lru_cache(None)
def _rendered():
    result = {}
    for folder in folders("Kustomization"):
        result[os.path.relpath(folder, DEPLOY)] = kustomize.render(folder)
    base = os.path.join(DEPLOY, "kubernetes", "base")
    for folder in folders("Component"):
        if "overlays" not in folder:
            name = os.path.relpath(folder, DEPLOY)
            result["base and " + name] = kustomize.build(folder, kustomize.render(base), "Component")
    return pickle.dumps(result)


def rendered():
    """Name to objects, of each kustomization, and of base with each component; a copy."""
    return pickle.loads(_rendered())


@functools.lru_cache(None)
def chart_renderer():
    """The renderer of charts, built once from Debian's packages."""
    go = program("go")
    source = os.path.join(ROOT, "Tests", "Deploy", "chart")
    if not os.path.isdir("/usr/share/gocode/src/github.com/Masterminds/sprig"):
        raise Skip("golang-github-masterminds-sprig-dev is not installed")
    folder = os.path.join(ROOT, ".build", "deploy-tests")
    os.makedirs(folder, exist_ok=True)
    output = os.path.join(folder, "chart")
    run(go, "build", "-o", output, ".", cwd=source, env=dict(
        os.environ, GO111MODULE="off", GOPATH="/usr/share/gocode", GOFLAGS="", GOCACHE=os.path.join(folder, "go-cache"), CGO_ENABLED="0"))
    return output


class ChartFailure(Exception):
    pass


def chart(values=None, name="grapnel", namespace="grapnel-system"):
    """Objects of the chart, and its notes."""
    return pickle.loads(_chart(json.dumps(values or {}, sort_keys=True), name, namespace))


@functools.lru_cache(None)
def _chart(values, name, namespace):
    values = json.loads(values)
    request = {"chart": CHART, "values": values or {}, "release": {"Name": name, "Namespace": namespace, "Service": "Helm", "Revision": 1,
                                                                  "IsInstall": True, "IsUpgrade": False}}
    result = subprocess.run([chart_renderer()], input=json.dumps(request), capture_output=True, text=True, timeout=600)
    if result.returncode != 0:
        raise ChartFailure(result.stderr.strip())
    texts = json.loads(result.stdout)
    objects = []
    for path, text in sorted(texts.items()):
        if path.endswith(".yaml"):
            objects += [item for item in kustomize.parse(text) if item]
    return pickle.dumps((objects, texts["templates/NOTES.txt"]))


# Values that are set apart from the defaults: each is a case.
CASES = {
    "defaults": {},
    "all systems": {"systems": {"flux": True, "openshift": "instantiate", "kubesphere": True, "buildService": True}},
    "relay": {"systems": {"openshift": "relay"}, "settings": {"openshift": {"mode": "relay"}}},
    "load balancer with TLS": {"exposure": {"kind": "LoadBalancer", "loadBalancerSourceRanges": ["192.0.2.0/24"]},
                               "tls": {"secretName": "grapnel-tls"}},
    "node port": {"exposure": {"kind": "NodePort", "nodePort": 30292}},
    "ingress": {"exposure": {"kind": "Ingress", "host": "hooks.example.org", "ingress": {"clusterIssuer": "letsencrypt"}},
                "networkPolicy": {"acmeSolver": True}},
    "http route": {"exposure": {"kind": "HTTPRoute", "host": "hooks.example.org",
                                "httpRoute": {"parentRefs": [{"name": "public", "namespace": "gateway-system"}]}}},
    "openshift route": {"exposure": {"kind": "Route"}, "systems": {"openshift": "instantiate"},
                        "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}},
    "namespaced": {"watchNamespaces": ["team-a", "team-b"], "noCrossNamespaceRefs": True, "systems": {"flux": True}},
    "several clusters": {"clusters": [{"name": "staging", "kubeconfigSecret": {"name": "grapnel-staging"}, "hosts": ["a.example.org"]},
                                      {"name": "edge", "kubeconfigSecret": {"name": "edge", "key": "config"}, "catalog": False},
                                      {"name": "own", "inCluster": True}], "settings": {"logFormat": "json"}},
    "monitored": {"monitoring": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
                                 "prometheusRule": {"enabled": True}}},
    "everything set": {"replicaCount": 3, "image": {"repository": "registry.internal/grapnel", "tag": "x"}, "imagePullSecrets": [{"name": "pull"}],
                       "persistence": {"size": "50Gi", "storageClassName": "fast", "journalMaxBytes": "40GiB"}, "externalUrl": "https://a.example.org",
                       "extraArgs": ["--log-level=debug"], "extraEnv": [{"name": "REGISTRY_TOKEN", "value": "x"}], "priorityClassName": "high",
                       "nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}], "podAnnotations": {"a": "b"}, "podLabels": {"c": "d"},
                       "affinity": {"nodeAffinity": {}}, "serviceAccount": {"annotations": {"e": "f"}}, "networkPolicy": {"enabled": False},
                       "podDisruptionBudget": {"enabled": False}, "crd": {"install": False}},
}


def everything():
    """(name, objects) of all kustomizations and, where the chart can be rendered, of all its cases."""
    result = list(rendered().items())
    try:
        result += [("chart: " + name, chart(values)[0]) for name, values in CASES.items()]
    except Skip:
        pass
    return result


@functools.lru_cache(None)
def schemas():
    kinds = {}
    for name in ("kubernetes-1.34.json", "others.json"):
        document = json.loads(read("Tests", "Deploy", "schemas", name))
        for kind, reference in document["kinds"].items():
            kinds[kind] = (reference, document)
    return kinds


def object_problems(item):
    """What the schema of its kind says against an object."""
    kind = "%s %s" % (item.get("apiVersion"), item.get("kind"))
    if kind not in schemas():
        return ["%s: no schema of this kind" % kind]
    reference, document = schemas()[kind]
    return ["%s %s: %s" % (item["kind"], item["metadata"]["name"], text)
            for text in schema.problems(item, {"$ref": reference}, document)]


def temporary():
    return tempfile.TemporaryDirectory(prefix="grapnel-deploy-")


sys.modules.setdefault("support", sys.modules[__name__])
