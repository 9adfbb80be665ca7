"""The API server of the guides: livekube.py with what people's kubectl does to it beside what Grapnel does."""
import base64
import json
import os

from fakekube import Resource
from harness import free_port
from livekube import LiveKube
from watchkube import shared_pki

MORE = [("kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "kustomizations", True),
        ("source.toolkit.fluxcd.io", "v1", "HelmRepository", "helmrepositories", True),
        ("source.toolkit.fluxcd.io", "v1", "Bucket", "buckets", True),
        ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", False),
        ("rbac.authorization.k8s.io", "v1", "Role", "roles", True)]


class GuideKube(LiveKube):
    def create(self, r, namespace, body):
        if r.plural == "secrets":
            body = dict(body)
            data = {k: base64.b64encode(v.encode()).decode() for k, v in (body.pop("stringData", None) or {}).items()}
            body["data"] = {**(body.get("data") or {}), **data}
        return super().create(r, namespace, body)


def guide_cluster(folder, namespace, namespaces):
    """A started server; its kubeconfig is `folder`/kubeconfig, with this namespace in its context."""
    kube = GuideKube(shared_pki(), free_port(), bare=False)
    for group, version, kind, plural, namespaced in MORE:
        kube.resources.append(Resource(group, version, kind, plural, namespaced))
    for name in namespaces:
        kube.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    kube.start()
    config = kube.kubeconfig()
    config["contexts"][0]["context"]["namespace"] = namespace
    for name in ("kubeconfig", "grapnel.kubeconfig"):
        with open(os.path.join(folder, name), "w") as f:
            json.dump(config, f)
    return kube
