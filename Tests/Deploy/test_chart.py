"""The chart: gives what deploy/kubernetes/base gives, takes values as its schema says, and says what is wrong."""
import copy
import json
import os

import yaml

import schema
import support
from support import none, test


def values_problems(values):
    merged = merge(yaml.safe_load(support.read("deploy", "helm", "grapnel", "values.yaml")), values)
    return schema.problems(merged, json.loads(support.read("deploy", "helm", "grapnel", "values.schema.json")))


def merge(a, b):
    for key, value in b.items():
        if value is None:
            a.pop(key, None)
        elif isinstance(value, dict) and isinstance(a.get(key), dict):
            merge(a[key], value)
        else:
            a[key] = value
    return a


def plain(item):
    """Without what Helm and the chart add to tell a release."""
    item = copy.deepcopy(item)
    metadata = item["metadata"]
    for label in ("helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/version"):
        metadata.get("labels", {}).pop(label, None)
    metadata.get("annotations", {}).pop("helm.sh/resource-policy", None)
    if item["kind"] == "StatefulSet":
        item["spec"]["template"]["metadata"]["annotations"].pop("checksum/settings", None)
    if item["kind"] == "ConfigMap":
        item["data"] = {name: yaml.safe_load(text) for name, text in item["data"].items()}
    return item


def by_key(objects):
    return {(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]): plain(item) for item in objects}


def same(ours, theirs):
    ours, theirs = by_key(ours), by_key(theirs)
    none("only in one of them: %s" % (key,) for key in set(ours) ^ set(theirs))
    for key in ours:
        assert ours[key] == theirs[key], "%s differs:\n%s\n%s" % (key, json.dumps(ours[key], sort_keys=True), json.dumps(theirs[key], sort_keys=True))


@test("with its defaults the chart gives the objects of deploy/kubernetes/base, but for the namespace")
def defaults():
    same(support.chart()[0], [item for item in support.rendered()["kubernetes/base"] if item["kind"] != "Namespace"])


@test("each system of the chart gives the rights of its component")
def systems():
    for component, values in {"flux": {"flux": True}, "openshift": {"openshift": "instantiate"}, "openshift-relay": {"openshift": "relay"},
                              "kubesphere": {"kubesphere": True}, "build-service": {"buildService": True}}.items():
        same(support.chart({"systems": values})[0],
             [dict(item, metadata=dict(item["metadata"], **({"namespace": "grapnel-system"} if "namespace" in item["metadata"] else {})))
              for item in support.rendered()["base and kubernetes/components/" + component] if item["kind"] != "Namespace"])


@test("exposures of the chart are those of the overlays")
def exposures():
    for overlay, kind, values in (
        ("ingress", "Ingress", {"kind": "Ingress", "host": "hooks.example.org", "ingress": {"clusterIssuer": "letsencrypt"}}),
        ("httproute", "HTTPRoute", {"kind": "HTTPRoute", "host": "hooks.example.org", "httpRoute": {"parentRefs": [
            {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "gateway-system"}]}}),
        ("openshift-route", "Route", {"kind": "Route", "host": "hooks.apps.example.org"}),
        ("loadbalancer", "Service", {"kind": "LoadBalancer"}),
        ("nodeport", "Service", {"kind": "NodePort", "nodePort": 30292}),
    ):
        objects = support.chart({"exposure": values})[0]
        theirs = support.rendered()["kubernetes/overlays/" + overlay]
        same([item for item in objects if item["kind"] == kind], [item for item in theirs if item["kind"] == kind])
        arguments = lambda items: [(sorted(c["args"]), sorted((e["name"], e["value"]) for e in c["env"]))
                                   for w in items if w["kind"] == "StatefulSet" for c in w["spec"]["template"]["spec"]["containers"]]
        assert arguments(objects) == arguments(theirs), (overlay, arguments(objects), arguments(theirs))


@test("two releases do not share names")
def releases():
    first, second = by_key(support.chart(name="a", namespace="x")[0]), by_key(support.chart(name="grapnel-b", namespace="y")[0])
    shared = {key for key in set(first) & set(second)}
    assert shared == {("CustomResourceDefinition", None, "hooks.grapnel.dev")}, shared
    assert ("StatefulSet", "x", "a-grapnel") in first and ("StatefulSet", "y", "grapnel-b") in second


@test("further clusters come with the kubeconfigs of their Secrets, at the paths that the settings name")
def clusters():
    objects = support.chart(support.CASES["several clusters"])[0]
    settings, = [yaml.safe_load(item["data"]["grapnel.yaml"]) for item in objects if item["kind"] == "ConfigMap"
                 and "grapnel.yaml" in item["data"]]
    assert settings == {"logFormat": "json", "clusters": [
        {"name": "staging", "hosts": ["a.example.org"], "kubeconfig": "/etc/grapnel-clusters/staging/kubeconfig"},
        {"name": "edge", "catalog": False, "kubeconfig": "/etc/grapnel-clusters/edge/config"}, {"name": "own", "inCluster": True}]}, settings
    spec, = [item["spec"]["template"]["spec"] for item in objects if item["kind"] == "StatefulSet"]
    volumes = {v["name"]: v["secret"]["secretName"] for v in spec["volumes"] if "secret" in v}
    assert volumes == {"cluster-staging": "grapnel-staging", "cluster-edge": "edge"}, volumes
    mounts = {m["mountPath"]: m["name"] for m in spec["containers"][0]["volumeMounts"] if m["name"] in volumes}
    assert mounts == {"/etc/grapnel-clusters/staging": "cluster-staging", "/etc/grapnel-clusters/edge": "cluster-edge"}, mounts


@test("changed settings restart the pods")
def checksum():
    annotations = lambda values: [w["spec"]["template"]["metadata"]["annotations"]["checksum/settings"]
                                  for w in support.chart(values)[0] if w["kind"] == "StatefulSet"]
    assert annotations({}) == annotations({}) and annotations({}) != annotations({"settings": {"maxBody": "1MiB"}})


@test("values.schema.json takes the defaults and every case, and covers every value")
def schema_good():
    for name, values in support.CASES.items():
        none("%s: %s" % (name, text) for text in values_problems(values))
    defaults = yaml.safe_load(support.read("deploy", "helm", "grapnel", "values.yaml"))
    properties = json.loads(support.read("deploy", "helm", "grapnel", "values.schema.json"))["properties"]
    assert set(defaults) == set(properties) - {"global"}, set(defaults) ^ set(properties)


@test("values.schema.json refuses slips")
def schema_bad():
    for values in ({"replicas": 3}, {"replicaCount": 0}, {"replicaCount": "2"}, {"systems": {"fluxx": True}}, {"systems": {"openshift": "both"}},
                   {"receiverStatus": "mine"}, {"exposure": {"kind": "Ingres"}}, {"exposure": {"kind": "Ingress"}},
                   {"exposure": {"kind": "HTTPRoute", "host": "a.example.org"}}, {"watchNamespaces": ["Team"]}, {"watchNamespaces": ["a", "a"]},
                   {"persistence": {"size": "10GiB"}}, {"persistence": {"journalMaxBytes": "8Gi"}}, {"shutdown": {"delay": "ten"}},
                   {"externalUrl": "hooks.example.org"}, {"extraArgs": [1]}, {"tls": {"secret": "x"}}, {"clusters": [{"kubeconfigSecret": {"name": "a"}}]},
                   {"clusters": [{"name": "a", "kubeconfigSecret": "b"}]}, {"image": {"pullPolicy": "Sometimes"}}):
        assert values_problems(values), values


@test("an exposure that lacks its host is refused with what is missing")
def required():
    for values, wanted in (({"exposure": {"kind": "Ingress"}}, "exposure.host"), ({"exposure": {"kind": "HTTPRoute", "host": "a"}}, "parentRefs")):
        try:
            support.chart(values)
        except support.ChartFailure as failure:
            assert wanted in str(failure), failure
        else:
            raise AssertionError("%s was rendered" % values)


@test("every value is used by a template, and every template's value exists")
def used():
    defaults = yaml.safe_load(support.read("deploy", "helm", "grapnel", "values.yaml"))
    text = "".join(support.read("deploy", "helm", "grapnel", "templates", name) for name in os.listdir(os.path.join(support.CHART, "templates")))
    import re
    for path in sorted(set(re.findall(r"\.Values\.([\w.]+)", text))):
        node = defaults
        for part in path.split("."):
            assert isinstance(node, dict) and part in node, "templates use .Values.%s, which values.yaml does not have" % path
            node = node[part]

    def leaves(node, path):
        for key, value in node.items():
            here = path + [key]
            if ".Values." + ".".join(here) in text:
                continue
            if isinstance(value, dict) and value:
                yield from leaves(value, here)
            else:
                yield ".".join(here)
    none("value %s is used nowhere" % path for path in leaves(defaults, []))


@test("the chart's copies of the Hook definition and the rules are the originals")
def copies():
    for copied, original in (("files/hooks.grapnel.dev.yaml", "deploy/crds/hooks.grapnel.dev.yaml"), ("files/alerts.yaml", "deploy/monitoring/alerts.yaml")):
        assert support.read("deploy", "helm", "grapnel", copied) == support.read(original), "run: cp %s deploy/helm/grapnel/%s" % (original, copied)


@test("version and appVersion are the server's")
def version():
    chart = yaml.safe_load(support.read("deploy", "helm", "grapnel", "Chart.yaml"))
    source = support.read("Sources", "Grapnel", "Commands", "VersionCommand.swift")
    number = source.split('static let number = "')[1].split('"')[0]
    assert chart["appVersion"] == number and chart["version"] == number, (chart["version"], chart["appVersion"], number)
    (image,) = yaml.safe_load(support.read("deploy", "kubernetes", "base", "kustomization.yaml"))["images"]
    assert image["newTag"] == number, image


@test("the notes say what is served and how it is reached")
def notes():
    assert "inside the cluster only" in support.chart()[1]
    text = support.chart({"exposure": {"kind": "Ingress", "host": "hooks.example.org"}, "systems": {"flux": True}})[1]
    assert "https://hooks.example.org" in text and "Flux Receivers" in text and "Switch others on" not in text, text
