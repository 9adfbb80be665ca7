"""What each guide takes for granted: the objects that are there already, and what stands for its examples."""

SOURCE = "source.toolkit.fluxcd.io/v1"


def named(api, kind, namespace, *names, **spec):
    return [{"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}
            for name in names]


class Guide:
    """`manifests`: where its yaml goes. `cluster`: into the API server, as kubectl would apply it; `files`: into the folder
    `manifests`. `replace`: what stands for words of its commands. `files`: further files that its reader has."""

    def __init__(self, name, namespace="default", objects=(), manifests="cluster", replace=(), files=None, before=None, env=None):
        self.name, self.namespace, self.objects, self.manifests = name, namespace, list(objects), manifests
        self.replace, self.files, self.before, self.env = list(replace), files or {}, before, env or {}


HOOK = """apiVersion: v1
kind: Secret
metadata: {name: webapp-hook, namespace: team-a}
stringData: {token: 6f1c2d0a9b8e7f3051627384a5b6c7d8e9f00112233445566778899aabbccdde}
---
apiVersion: grapnel.dev/v1alpha1
kind: Hook
metadata: {name: webapp, namespace: team-a}
spec:
  type: github
  secretRefs: [{name: webapp-hook}]
  actions: [{log: {}}]
"""

GUIDES = [
    Guide("README.md", manifests="none", before="quickstart"),
    Guide("docs/flux.md", "flux-system",
          named(SOURCE, "GitRepository", "flux-system", "webapp", "docs", url="https://github.com/my-org/webapp.git", interval="1h")
          + named("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "flux-system", "webapp"),
          env={"TOKEN": "6f1c2d0a9b8e7f3051627384a5b6c7d8e9f00112233445566778899aabbccdde"}),
    Guide("docs/openshift.md", "team-b", replace=[("/SECRET/", "/8f0e1d2c3b4a59687766554433221100/")]),
    Guide("docs/kubesphere.md", "team-c"),
    Guide("docs/build-service.md", "build-service", files={
        "registry-token": "2f1e0d9c8b7a69584736251403f2e1d0\n"}, env={
        "DOCKER_HUB_TOKEN_A": "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "DOCKER_HUB_TOKEN_B": "1f1e2d3c4b5a69788796a5b4c3d2e1f0"}),
    Guide("docs/hooks.md", "team-a", named(SOURCE, "GitRepository", "team-a", "webapp", url="https://github.com/my-org/webapp.git",
                                           interval="1h"), manifests="files"),
    Guide("docs/tls.md", manifests="none", files={"manifests/hook.yaml": HOOK}),
    Guide("docs/install.md", manifests="none"),
]
