"""Kustomizations: each renders, as kustomize itself renders it, to objects that the API server would take."""
import os
import shutil
import subprocess

import yaml

import kustomize
import support
from support import none, test


@test("every kustomization renders")
def renders():
    names = list(support.rendered())
    assert len(names) >= 18, names
    for folder in ("crds", "kubernetes/base", "kubernetes/overlays/ingress", "kubernetes/overlays/kubesphere"):
        assert folder in names, folder


@test("kustomize and kubectl render the same")
def same():
    command = [shutil.which("kustomize"), "build"] if shutil.which("kustomize") else None
    if command is None and shutil.which("kubectl"):
        version = subprocess.run(["kubectl", "version", "--client"], capture_output=True, text=True).stdout
        if "Kustomize Version: v5" in version:
            command = ["kubectl", "kustomize"]
    if command is None:
        raise support.Skip("neither kustomize nor a kubectl with version 5 of it is installed")
    for folder in support.folders("Kustomization"):
        objects = kustomize.render(folder)
        theirs = [item for item in kustomize.parse(support.run(*command, folder)) if item]
        order = lambda items: sorted(items, key=kustomize.key)
        for a, b in zip(order(objects), order(theirs)):
            assert a == b, "%s: %s differs:\n%s\n%s" % (os.path.relpath(folder, support.DEPLOY), kustomize.key(a), a, b)
        assert len(objects) == len(theirs), folder


@test("the renderer refuses what it does not know")
def refuses():
    with support.temporary() as folder:
        def attempt(text, wanted):
            kustomize.content.cache_clear()
            with open(os.path.join(folder, "kustomization.yaml"), "w") as f:
                f.write("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n" + text)
            with open(os.path.join(folder, "a.yaml"), "w") as f:
                f.write("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
            try:
                kustomize.render(folder)
            except kustomize.Failure as failure:
                assert wanted in str(failure), failure
            else:
                raise AssertionError("%r was rendered" % text)
        attempt("namePrefix: x-\n", "namePrefix")
        attempt("resources: [a.yaml, a.yaml]\n", "twice")
        attempt("resources: [a.yaml]\npatches: [{target: {kind: Secret}, patch: '[]'}]\n", "matches nothing")
        attempt("resources: [a.yaml]\npatches: [{target: {kind: ConfigMap}, patch: '[{op: replace, path: /data/x, value: 1}]'}]\n", "/data/x")


@test("every object fits the schema of its kind, without unknown fields")
def valid():
    none("%s: %s" % (name, text) for name, objects in support.everything() for item in objects for text in support.object_problems(item))


@test("the schemas refuse slips")
def slips():
    (service,) = [item for item in support.rendered()["kubernetes/base"] if item["kind"] == "Service" and item["metadata"]["name"] == "grapnel"]
    for change in (lambda s: s["spec"].update(selektor={}), lambda s: s["spec"]["ports"][0].update(port="80"),
                   lambda s: s["spec"]["ports"][0].pop("port"), lambda s: s.update(kind="Servise")):
        item = yaml.safe_load(yaml.safe_dump(service))
        change(item)
        assert support.object_problems(item), item


@test("each overlay and each folder of parts says what it is")
def readmes():
    overlays = os.path.join(support.DEPLOY, "kubernetes", "overlays")
    for name in sorted(os.listdir(overlays)):
        path = os.path.join(overlays, name, "README.md")
        assert os.path.exists(path), path
        text = open(path, encoding="utf-8").read().lower()
        for wanted in ("kubectl apply", "roll back", "it works when"):
            assert wanted in text or wanted.replace("kubectl", "oc") in text, "%s lacks %r" % (path, wanted)
    listed = support.read("deploy", "kubernetes", "README.md")
    missing = [name for name in os.listdir(overlays) if name not in listed]
    missing += [name for name in os.listdir(os.path.join(support.DEPLOY, "kubernetes", "components")) if name not in listed]
    none("%s is not in deploy/kubernetes/README.md" % name for name in missing)
