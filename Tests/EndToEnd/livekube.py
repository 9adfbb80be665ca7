"""The fake API server that can be moved into: namespaces, definitions of kinds, rights.

What it adds to watchkube.py: Namespaces, without which nothing can be created in them and whose deletion takes all along;
CustomResourceDefinitions that are served from then on and judge objects by their schema; SelfSubjectAccessReviews, and 403 for
all that `permits(verb, group, resource, namespace)` does not permit.
"""
import copy
import json
import os
import sys

import fakekube
import watchkube
from fakekube import APIError, Resource
from harness import ROOT, free_port

sys.path.append(os.path.join(ROOT, "Tests", "Deploy"))
import crd                                      # noqa: E402  the rules of structural schemas

REVIEWS = "selfsubjectaccessreviews"
BRINGS = {"source.toolkit.fluxcd.io", "image.toolkit.fluxcd.io", "notification.toolkit.fluxcd.io", "build.openshift.io",
          "devops.kubesphere.io", "kpack.io", "build.pivotal.io", "grapnel.dev"}


class LiveKube(watchkube.WatchKube):
    """`bare`: serves nothing but the core, as a cluster on which none of the systems was installed."""

    def __init__(self, pki, port, bare):
        self.permits = lambda verb, group, resource, namespace: True
        self.denied = []                # (verb, group, resource, namespace) that were answered 403
        self.definitions = {}           # (group, plural) -> definition
        super().__init__(pki, port, without=BRINGS if bare else ())
        self.resources += [Resource("", "v1", "Namespace", "namespaces", False),
                           Resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions",
                                    False),
                           Resource("authorization.k8s.io", "v1", "SelfSubjectAccessReview", REVIEWS, False)]

    def _listen(self, port):
        return fakekube._Server(("127.0.0.1", port), _Handler, self)

    def create(self, r, namespace, body):
        with self.changed:
            if r.namespaced and ("", namespace) not in self.objects.get(("", "namespaces"), {}):
                raise APIError(404, 'namespaces "%s" not found' % namespace, {"name": namespace, "kind": "namespaces"})
            self.judge(r, body)
            made = super().create(r, namespace, body)
            if r.plural == "customresourcedefinitions":
                self.define(made)
            return made

    def replace(self, r, namespace, name, change, subresource=""):
        def judged(old):
            new = change(old)
            if not subresource:
                self.judge(r, new)
            return new
        return super().replace(r, namespace, name, judged, subresource)

    def judge(self, r, body):
        definition = self.definitions.get(r.key)
        if definition is None:
            return
        item = dict(copy.deepcopy(body), apiVersion=r.api_version, kind=r.kind)
        item.pop("status", None)
        found = crd.problems(item, definition, strict=False)
        if found:
            raise APIError(422, '%s "%s" is invalid: %s' % (r.kind, body["metadata"].get("name"), "; ".join(found)))

    def define(self, document):
        spec = document["spec"]
        key = (spec["group"], spec["names"]["plural"])
        self.definitions[key] = document
        for version in spec["versions"]:
            self.resources.append(Resource(spec["group"], version["name"], spec["names"]["kind"], spec["names"]["plural"],
                                           spec["scope"] == "Namespaced"))

    def delete(self, r, namespace, name):
        with self.changed:
            result = super().delete(r, namespace, name)
            if r.plural == "namespaces":
                for other in list(self.resources):
                    for ns, item in [k for k in self.objects.get(other.key, {}) if other.namespaced and k[0] == name]:
                        super().delete(other, ns, item)
            if r.plural == "customresourcedefinitions":
                group, plural = result["spec"]["group"], result["spec"]["names"]["plural"]
                self.definitions.pop((group, plural), None)
                self.objects.pop((group, plural), None)
                self.resources = [other for other in self.resources if other.key != (group, plural)]
            return result

    def names(self):
        """Everything that there is, as (plural, namespace, name)."""
        with self.changed:
            return {(key[1], ns, name) for key, items in self.objects.items() for ns, name in items}


class _Handler(watchkube._Handler):
    def _serve(self, kube, r, namespace, name, subresource, path):
        if r.plural == REVIEWS:
            review = self._json()
            a = review["spec"]["resourceAttributes"]
            resource = a["resource"] + ("/" + a["subresource"] if a.get("subresource") else "")
            allowed = kube.permits(a["verb"], a.get("group", ""), resource, a.get("namespace", ""))
            return self._send(201, dict(review, status={"allowed": allowed}))
        watch = self.query.get("watch") in ("1", "true")
        verb = {"GET": "get" if name else "watch" if watch else "list", "POST": "create", "PUT": "update",
                "PATCH": "patch", "DELETE": "delete"}.get(self.command, "")
        resource = r.plural + ("/" + subresource if subresource else "")
        if not kube.permits(verb, r.group, resource, namespace):
            kube.denied.append((verb, r.group, resource, namespace))
            raise APIError(403, 'cannot %s resource "%s" in API group "%s" in the namespace "%s"' % (
                verb, resource, r.group, namespace))
        super()._serve(kube, r, namespace, name, subresource, path)

    # A definition brings no subresource but status: only OpenShift's own API server instantiates.

    def _resource_list(self, served):
        body = super()._resource_list(served)
        kept = [row for row in body["resources"] if not row["name"].endswith("/instantiate")
                or (served[0].group, "buildconfigs") not in self.server.kube.definitions]
        return dict(body, resources=kept)

    def _write(self, kube, verb, r, namespace, name, subresource, body):
        if subresource == "instantiate" and r.key in kube.definitions:
            raise fakekube.not_served()
        return super()._write(kube, verb, r, namespace, name, subresource, body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = fakekube._Handler._any


def live_cluster(context, bare=True, namespaces=("default",)):
    """A started server, stopped with the test. `.kubeconfig_path` leads to it."""
    folder = os.path.join(context.folder, "kube-%d" % len(context.closers))
    os.makedirs(folder)
    kube = LiveKube(watchkube.shared_pki(), free_port(), bare)
    for name in namespaces:
        kube.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    kube.start()
    context.closers.append(kube.stop)
    kube.kubeconfig_path = os.path.join(folder, "kubeconfig")
    with open(kube.kubeconfig_path, "w") as f:
        json.dump(kube.kubeconfig(), f)
    return kube
