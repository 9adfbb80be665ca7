"""Renders a kustomization with exactly the features that deploy/ uses; anything else is an error.

resources (files and folders), components, namespace, images (newName, newTag), patches: JSON 6902 inline with a target (kind and name,
which may be alternatives), or a strategic merge that deletes (`$patch: delete`). Where kustomize or kubectl is on the path, the tests hold
this against it.
"""
import copy
import functools
import os
import pickle
import re

import yaml

KINDS_OF_CLUSTER = {"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
KNOWN = {"apiVersion", "kind", "resources", "components", "namespace", "images", "patches"}


class Failure(Exception):
    pass


def parse(text):
    """All documents of a YAML stream."""
    return list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


@functools.lru_cache(None)
def content(path):
    with open(path, encoding="utf-8") as f:
        return pickle.dumps([document for document in parse(f.read()) if document is not None])


def load(path):
    """The documents of a file, read once; a copy."""
    return pickle.loads(content(path))


def render(folder):
    """The objects of a kustomization, in no promised order."""
    return build(folder, [], "Kustomization")


def build(folder, objects, kind):
    path = os.path.join(folder, "kustomization.yaml")
    if not os.path.exists(path):
        raise Failure("%s: there is no kustomization.yaml" % folder)
    (settings,) = load(path)
    unknown = set(settings) - KNOWN
    if unknown:
        raise Failure("%s uses %s, which this renderer does not know" % (path, ", ".join(sorted(unknown))))
    if settings.get("kind") != kind:
        raise Failure("%s: kind must be %s" % (path, kind))
    objects = list(objects)
    for name in settings.get("resources", []):
        at = os.path.normpath(os.path.join(folder, name))
        found = render(at) if os.path.isdir(at) else load(at)
        if not os.path.isdir(at) and not os.path.abspath(at).startswith(os.path.abspath(folder) + os.sep):
            raise Failure("%s: %s lies outside of the folder, which kustomize refuses" % (path, name))
        for item in found:
            if any(key(item) == key(other) for other in objects):
                raise Failure("%s: %s is there twice" % (path, key(item)))
            objects.append(item)
    for name in settings.get("components", []):
        objects = build(os.path.normpath(os.path.join(folder, name)), objects, "Component")
    for patch in settings.get("patches", []):
        objects = apply(patch, objects, path)
    if "namespace" in settings:
        for item in objects:
            if item["kind"] not in KINDS_OF_CLUSTER:
                item["metadata"]["namespace"] = settings["namespace"]
            elif item["kind"] == "Namespace":
                item["metadata"]["name"] = settings["namespace"]
    for image in settings.get("images", []):
        for item in objects:
            rename(item, image)
    return objects


def key(item):
    return (item["apiVersion"], item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"])


def rename(item, image):
    for container in item.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
        name, _, tag = container["image"].partition(":")
        if name == image["name"]:
            container["image"] = "%s:%s" % (image.get("newName", name), image.get("newTag", tag))


def apply(patch, objects, path):
    change = yaml.safe_load(patch["patch"])
    target = patch.get("target")
    if target is None:
        target = {"kind": change["kind"], "name": re.escape(change["metadata"]["name"])}
    chosen = [item for item in objects if all(
        re.fullmatch(target[field], value) for field, value in (("kind", item["kind"]), ("name", item["metadata"]["name"]))
        if field in target)]
    if not chosen:
        raise Failure("%s: a patch for %s matches nothing" % (path, target))
    if isinstance(change, dict):
        if change.get("$patch") != "delete":
            raise Failure("%s: only $patch: delete is known of strategic merges" % path)
        return [item for item in objects if not any(item is other for other in chosen)]
    result = [copy.deepcopy(item) if any(item is other for other in chosen) else item for item in objects]
    for before, item in zip(objects, result):
        if before is not item:
            for operation in change:
                operate(item, operation, path)
    return result


def operate(item, operation, path):
    """RFC 6902: add, remove, replace, test."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].lstrip("/").split("/")]
    node = item
    try:
        for part in parts[:-1]:
            node = node[int(part)] if isinstance(node, list) else node[part]
        last = parts[-1] if isinstance(node, dict) or parts[-1] == "-" else int(parts[-1])
        value = copy.deepcopy(operation.get("value"))
        if operation["op"] == "add":
            if isinstance(node, list):
                node.insert(len(node) if last == "-" else last, value)
            else:
                node[last] = value
        elif operation["op"] == "remove":
            del node[last]
        elif operation["op"] == "replace":
            node[last]
            node[last] = value
        elif operation["op"] == "test":
            if node[last] != value:
                raise Failure("%s: test of %s failed" % (path, operation["path"]))
        else:
            raise Failure("%s: unknown operation %s" % (path, operation["op"]))
    except (KeyError, IndexError, TypeError):
        raise Failure("%s: there is no %s in %s" % (path, operation["path"], key(item)))
