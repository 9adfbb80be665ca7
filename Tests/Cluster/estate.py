"""What a run makes in the cluster, and takes away again: namespaces of its own, and definitions of kinds that are missing.

Everything carries the label `grapnel.dev/test-run` with the run's suffix. A definition is removed only if this run
installed it, it still is that very object, and nobody has put objects of the kind outside of the run's namespaces.
"""
import os
import secrets
import time

from api import Refused, Trouble

LABEL = "grapnel.dev/test-run"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOOK_DEFINITION = os.path.join(ROOT, "deploy", "crds", "hooks.grapnel.dev.yaml")

# kind: (group, version that is installed, plural, whether status is a subresource)
KINDS = {
    "Hook": ("grapnel.dev", "v1alpha1", "hooks", True),
    "Receiver": ("notification.toolkit.fluxcd.io", "v1", "receivers", True),
    "GitRepository": ("source.toolkit.fluxcd.io", "v1", "gitrepositories", True),
    "BuildConfig": ("build.openshift.io", "v1", "buildconfigs", False),
    "S2iBuilder": ("devops.kubesphere.io", "v1alpha1", "s2ibuilders", True),
    "S2iRun": ("devops.kubesphere.io", "v1alpha1", "s2iruns", True),
    "Buildpack": ("kpack.io", "v1alpha2", "buildpacks", True),
}


def minimal(kind):
    """A definition that keeps whatever it is given: enough for a server that only reads and annotates."""
    group, version, plural, has_status = KINDS[kind]
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "%s.%s" % (plural, group)},
        "spec": {"group": group, "scope": "Namespaced",
                 "names": {"kind": kind, "listKind": kind + "List", "plural": plural, "singular": kind.lower()},
                 "versions": [{
                     "name": version, "served": True, "storage": True,
                     **({"subresources": {"status": {}}} if has_status else {}),
                     "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}}


def hook_definition():
    try:
        import yaml
    except ImportError:
        raise Trouble("the Hook definition is YAML, and PyYAML is not here: `make deps`")
    with open(HOOK_DEFINITION, encoding="utf-8") as f:
        return yaml.safe_load(f)


class Estate:
    def __init__(self, client, say):
        self.client, self.say = client, say
        self.suffix = secrets.token_hex(4)
        self.team, self.system = ("grapnel-test-%s-%s" % (self.suffix, word) for word in ("team", "system"))
        self.namespaces, self.definitions = [], []      # names; (name, uid)
        self.versions = {}                              # kind -> the version that is served
        self.installed = set()                          # kinds whose definition this run brought

    # - making

    def build(self):
        for name in (self.team, self.system):
            self.namespaces.append(name)                # before the call: an answer may get lost
            self.client.call("POST", "/api/v1/namespaces", {
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {LABEL: self.suffix}}})
            self.say("created Namespace %s" % name)
        for kind in KINDS:
            self.versions[kind] = self.served(kind)
            if self.versions[kind] is None:
                self.install(kind)

    def served(self, kind):
        """The version in which the API server serves a kind; None when it does not."""
        group, wanted, plural, _ = KINDS[kind]
        found = self.client.get("/apis/" + group)
        versions = [v["version"] for v in (found or {}).get("versions") or []]
        for version in sorted(versions, key=lambda v: v != wanted):
            resources = self.client.get("/apis/%s/%s" % (group, version))
            if any(r.get("name") == plural for r in (resources or {}).get("resources") or []):
                return version
        return None

    def install(self, kind):
        document = hook_definition() if kind == "Hook" else minimal(kind)
        document["metadata"].setdefault("labels", {})[LABEL] = self.suffix
        # A definition of a group that ends in k8s.io or belongs to others may ask for an approval; none of these does.
        made = self.client.call("POST", DEFINITIONS, document)
        name = made["metadata"]["name"]
        self.definitions.append((name, made["metadata"]["uid"]))
        self.installed.add(kind)
        self.say("created CustomResourceDefinition %s" % name)
        deadline = time.monotonic() + 60
        while not self.served(kind):
            if time.monotonic() > deadline:
                raise Refused(0, "not served after 60 s", name)
            time.sleep(0.1)
        self.versions[kind] = KINDS[kind][1]

    # - objects

    def api_version(self, kind):
        return "%s/%s" % (KINDS[kind][0], self.versions[kind])

    def path(self, kind, name="", sub=""):
        if kind == "Secret":
            start = "/api/v1/namespaces/%s/secrets" % self.team
        else:
            start = "/apis/%s/namespaces/%s/%s" % (self.api_version(kind), self.team, KINDS[kind][2])
        return start + "".join("/" + part for part in (name, sub) if part)

    def create(self, kind, name, **body):
        """Creates an object in the team's namespace; Refused when the API server does not take it."""
        o = {"apiVersion": "v1" if kind == "Secret" else self.api_version(kind), "kind": kind,
             "metadata": {"name": name, "namespace": self.team, "labels": {LABEL: self.suffix}}, **body}
        deadline = time.monotonic() + 30
        while True:
            try:
                return self.client.call("POST", self.path(kind), o)
            except Refused as refused:
                # Of several API servers one may not serve yet what another one does.
                if refused.status != 404 or kind not in self.installed or time.monotonic() > deadline:
                    raise
            time.sleep(0.5)

    def get(self, kind, name):
        return self.client.get(self.path(kind, name))

    def list(self, kind):
        return (self.client.get(self.path(kind)) or {}).get("items") or []

    # - taking away

    def remove(self):
        """Takes everything away; the texts of what could not be."""
        left = []
        for name in self.namespaces:
            try:
                self.loosen(name)
                self.client.call("DELETE", "/api/v1/namespaces/" + name, missing=True)
            except Exception as error:
                left.append("Namespace %s: %s" % (name, error))
        for name in self.namespaces:
            if not self.gone("/api/v1/namespaces/" + name):
                left.append("Namespace %s is still there: `kubectl get all -n %s`" % (name, name))
            else:
                self.say("removed Namespace %s" % name)
        for name, uid in reversed(self.definitions):
            try:
                self.remove_definition(name, uid, left)
            except Exception as error:
                left.append("CustomResourceDefinition %s: %s" % (name, error))
        return left

    def loosen(self, namespace):
        """Takes finalizers off our own objects: with the server gone nobody else does, and the namespace would stay."""
        for kind in ("Receiver", "Hook"):
            if not self.versions.get(kind):
                continue
            base = "/apis/%s/namespaces/%s/%s" % (self.api_version(kind), namespace, KINDS[kind][2])
            for item in (self.client.get(base) or {}).get("items") or []:
                if item["metadata"].get("finalizers"):
                    self.client.patch("%s/%s" % (base, item["metadata"]["name"]), {"metadata": {"finalizers": None}}, True)

    def remove_definition(self, name, uid, left):
        now = self.client.get("%s/%s" % (DEFINITIONS, name))
        if now is None:
            return
        if now["metadata"].get("uid") != uid:
            return self.say("kept CustomResourceDefinition %s: somebody put another in its place" % name)
        spec = now["spec"]
        everywhere = "/apis/%s/%s/%s" % (spec["group"], spec["versions"][0]["name"], spec["names"]["plural"])
        status, found = self.client.raw("GET", everywhere)
        others = [i["metadata"] for i in found.get("items") or [] if i["metadata"].get("namespace") not in self.namespaces]
        if status != 200:
            return left.append("CustomResourceDefinition %s: who uses it cannot be seen (%d)" % (name, status))
        if others:
            return left.append("CustomResourceDefinition %s: %s/%s and %d others use it by now" % (
                name, others[0].get("namespace"), others[0]["name"], len(others) - 1))
        self.client.call("DELETE", "%s/%s" % (DEFINITIONS, name), {
            "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}, missing=True)
        if self.gone("%s/%s" % (DEFINITIONS, name)):
            self.say("removed CustomResourceDefinition %s" % name)
        else:
            left.append("CustomResourceDefinition %s is still there" % name)

    def gone(self, path, seconds=120):
        deadline = time.monotonic() + seconds
        while self.client.get(path) is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True
